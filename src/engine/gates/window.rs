//! The window gate: is somebody awake to watch this run to its end?

use super::Question;
use crate::engine::schedule;
use crate::model::gate::Answer;

/// Refuses a plan whose rest would not be over before its window closes.
///
/// The whole rest has to fit, not only the next step: a kill a minute before everybody goes home is
/// a kill that nobody watches. Evaluated as *now → civil time* in the policy's zone.
pub fn judge(q: &Question<'_>) -> Answer {
    let policy = match q.facts.policy {
        Ok(policy) => policy,
        Err(why) => return Answer::Unknown(format!("without an active policy there is no window: {why}")),
    };
    let now = q.facts.now;
    let closes_at = match schedule::open_until(&policy.schedule, q.facts.limits, now) {
        Ok(closes_at) => closes_at,
        Err(closed) => return Answer::Refuse(closed.why),
    };
    let rest = q.plan.longest_from(q.step.number);
    let zone = policy.schedule.timezone;
    let civil =
        |at: chrono::DateTime<chrono::Utc>| at.with_timezone(&zone).format("%a %H:%M:%S %Z").to_string();
    let ends_at = now + rest;
    if ends_at < closes_at {
        Answer::Pass(format!(
            "open until {}; the rest of the plan is over by {}",
            civil(closes_at),
            civil(ends_at)
        ))
    } else {
        Answer::Refuse(format!(
            "the rest of the plan may take {} s, until {}, and the window closes {}",
            rest.as_secs(),
            civil(ends_at),
            civil(closes_at)
        ))
    }
}
