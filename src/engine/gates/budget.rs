//! The budget gate: is there rate and budget left, across runs and restarts?

use super::Question;
use crate::engine::history::Kill;
use crate::engine::rate;
use crate::model::entry::RateState;
use crate::model::gate::Answer;
use crate::model::policy::{Mode, RateLimit};
use chrono::{DateTime, Utc};
use std::time::Duration;

/// Refuses when the policy's rate limit or one of the cluster's limits would be exceeded.
pub fn judge(q: &Question<'_>) -> Answer {
    if q.plan.mode == Mode::Rehearse {
        return Answer::Pass("a rehearsal uses no budget".into());
    }
    if q.step.is_sham() {
        return Answer::Pass("a sham uses no budget".into());
    }
    match charge(q) {
        Ok(_) => Answer::Pass(format!(
            "{} of {} kills per {} s are free, and the cluster's limits are kept",
            q.plan.rate_limit.kills.saturating_sub(counted(
                q.facts.ledger.kills.iter().filter(|k| k.policy == q.plan.policy),
                q
            )),
            q.plan.rate_limit.kills,
            q.plan.rate_limit.per.as_secs()
        )),
        Err(why) => Answer::Refuse(why),
    }
}

fn counted<'a>(kills: impl Iterator<Item = &'a Kill>, q: &Question<'_>) -> u32 {
    let per = chrono::TimeDelta::from_std(q.plan.rate_limit.per).unwrap_or(chrono::TimeDelta::MAX);
    kills
        .filter(|k| !k.void && q.facts.now - effective(k, q.facts.now) < per)
        .map(|k| k.tasks)
        .sum()
}

/// A kill counts from its commit until its last possible effect: as long as that is not known, it counts
/// as if it were now.
fn effective(kill: &Kill, now: DateTime<Utc>) -> DateTime<Utc> {
    kill.over.unwrap_or(now).min(now.max(kill.at))
}

/// The governor's state after this step, to be written in the transaction of its intent.
///
/// # Errors
///
/// The limit that would be exceeded, with the numbers.
pub fn charge(q: &Question<'_>) -> Result<Vec<RateState>, String> {
    let facts = q.facts;
    let tasks = q.tasks();
    let kills = || facts.ledger.kills.iter().filter(|k| !k.void);
    let limit = &q.plan.rate_limit;
    let bucket = q.plan.policy.as_str();
    let arrival_ns =
        rate::check(limit, facts.ledger.rates.get(bucket).copied(), facts.now, tasks).map_err(|wait| {
            format!(
                "policy {bucket} may kill {} per {} s, burst {}: {}",
                limit.kills,
                limit.per.as_secs(),
                limit.burst,
                until(&wait)
            )
        })?;
    let own = kills()
        .filter(|k| k.policy == q.plan.policy)
        .map(|k| (effective(k, facts.now), k.tasks));
    rate::sliding(own, limit, facts.now, tasks).map_err(|wait| {
        format!(
            "policy {bucket} may kill {} in any {} s: {}",
            limit.kills,
            limit.per.as_secs(),
            until(&wait)
        )
    })?;

    let here = || kills().filter(|k| k.cluster == q.plan.cluster);
    let hourly = RateLimit {
        kills: facts.limits.kills_per_hour,
        per: Duration::from_secs(3600),
        burst: facts.limits.kills_per_hour,
    };
    rate::sliding(
        here().map(|k| (effective(k, facts.now), k.tasks)),
        &hourly,
        facts.now,
        tasks,
    )
    .map_err(|wait| {
        format!(
            "the cluster's limit is {} kills in any hour: {}",
            hourly.kills,
            until(&wait)
        )
    })?;
    let zone = facts.limits.timezone;
    let today = facts.now.with_timezone(&zone).date_naive();
    let used: u32 = here()
        .filter(|k| effective(k, facts.now).with_timezone(&zone).date_naive() == today)
        .map(|k| k.tasks)
        .sum();
    if used.saturating_add(tasks) > facts.limits.kills_per_workday {
        return Err(format!(
            "the cluster's limit is {} kills per work day, {used} were made today",
            facts.limits.kills_per_workday
        ));
    }
    Ok(vec![RateState {
        bucket: bucket.to_owned(),
        arrival_ns,
    }])
}

/// When a limit lets go, in words.
fn until(wait: &rate::Wait) -> String {
    wait.until.map_or_else(
        || "it never will".to_owned(),
        |at| format!("free at {}", at.format("%F %T UTC")),
    )
}
