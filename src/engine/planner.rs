//! Policy, snapshot, history and seed to a plan, or why there is none.

mod agent_outage;

use super::faults::kill_task;
use super::gates;
use super::history::Ledger;
use super::ownership::Ownership;
use super::schedule;
use super::slots;
use super::steady_state::intervals;
use super::targets::{self, Fit, Lot};
use crate::model::command::Person;
use crate::model::experiment::{Control, ProbeSpec, Source};
use crate::model::ids::{AppId, RunId};
use crate::model::plan::{Plan, PlannedApp, PlannedApps, PlannedOutage, Step, Target};
use crate::model::policy::{FaultSpec, Limits, Mode, Policy};
use crate::model::snapshot::{App, ClusterInfo, GapKind, Snapshot, Task};
use crate::model::text;
use crate::model::verdict::Counts;
use crate::model::view::Exclusion;
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a plan is made from.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// For this policy.
    pub policy: &'a Policy,
    /// Within these limits.
    pub limits: &'a Limits,
    /// Who owns what.
    pub ownership: &'a Ownership,
    /// What we did before.
    pub ledger: &'a Ledger,
    /// What is there.
    pub snapshot: &'a Snapshot,
    /// The installation's secret seed.
    pub seed: &'a str,
    /// What the draw is for: the same purpose draws the same targets.
    pub purpose: &'a str,
    /// Who asked; `None` for the schedule.
    pub requested_by: Option<Person>,
    /// The run that would execute it.
    pub run: RunId,
    /// Now.
    pub now: DateTime<Utc>,
    /// Only this app, when somebody asks about one.
    pub only: Option<&'a crate::model::ids::AppId>,
}

/// Why there is no plan, with everything that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoPlan {
    /// In one sentence.
    pub why: String,
    /// Apps and tasks that were left out, each with its reason.
    pub left_out: Vec<Exclusion>,
}

/// Makes a plan, with nothing left to choose, and says what was left out and why.
///
/// # Errors
///
/// [`NoPlan`], when nothing can be hit now.
pub fn plan(wanted: &Wanted<'_>) -> Result<(Plan, Vec<Exclusion>), NoPlan> {
    let policy = wanted.policy;
    let mut left_out = vec![];
    if policy.mode == Mode::Off {
        return Err(NoPlan {
            why: format!("policy {} has `mode: off`", policy.name),
            left_out,
        });
    }
    let lot = Lot {
        seed: wanted.seed,
        purpose: wanted.purpose,
    };
    let (count, at_once, gap) = match &policy.fault {
        FaultSpec::KillTasks { count, at_once, gap } => (*count, *at_once, *gap),
        FaultSpec::AgentOutage {
            attribute,
            value,
            steps,
            gap,
        } => return agent_outage::plan(wanted, &lot, attribute, value, *steps, *gap),
    };
    let busy = wanted.ledger.busy_apps(&policy.cluster);
    let mut turns: BTreeMap<String, Vec<(&App, Vec<String>)>> = BTreeMap::new();
    let named = wanted
        .snapshot
        .apps_like(&policy.scope.ids)
        .filter(|app| wanted.only.is_none_or(|only| app.id == *only));
    let mut not_opted_in = vec![];
    for app in named {
        if !policy.scope.names(&app.id, &app.labels) {
            continue;
        }
        if wanted.ownership.nobody_opted_in(app) {
            not_opted_in.push(&app.id);
            continue;
        }
        match unfit_now(wanted, &busy, app) {
            Ok(remarks) => turns
                .entry(targets::turn(policy, app))
                .or_default()
                .push((app, remarks)),
            Err(why) => left_out.push(Exclusion {
                what: app.id.to_string(),
                why,
            }),
        }
    }
    left_out.extend(together(&not_opted_in, wanted.ownership));
    left_out.extend(unseen(wanted.snapshot));
    let info = match identified(wanted) {
        Ok(info) => info,
        Err(why) => return Err(NoPlan { why, left_out }),
    };
    if let Some(apps_gap) = wanted
        .snapshot
        .gaps
        .iter()
        .find(|g| g.app.is_none() && g.what != GapKind::Pods && turns.is_empty())
    {
        return Err(NoPlan {
            why: format!("the apps could not be seen: {}", apps_gap.why),
            left_out,
        });
    }

    let mut turns: Vec<_> = turns.into_iter().collect();
    turns.sort_by_cached_key(|(turn, _)| lot.rank(&format!("turn|{turn}")));
    for (_, mut apps) in turns {
        apps.sort_by_cached_key(|(app, _)| lot.rank(app.id.as_str()));
        for (app, remarks) in apps {
            let (drawn, tasks_left_out) = targets::draw(policy, app, &lot, wanted.now);
            left_out.extend(tasks_left_out);
            let steps = kill_task::steps(count, at_once, app, &drawn, |most| lot.up_to(most))
                .and_then(|steps| with_shams(policy, app, &drawn, &lot, steps, gap));
            match steps {
                Err(why) => left_out.push(Exclusion {
                    what: app.id.to_string(),
                    why,
                }),
                Ok((steps, gap)) => {
                    let remarks = remarks.into_iter().chain(sees_too_little(policy)).collect();
                    let made = Made {
                        apps: planned(app).into(),
                        outage: None,
                        steps,
                        gap,
                        remarks,
                    };
                    return Ok((made.plan(wanted, info), left_out));
                }
            }
        }
    }
    let why = match left_out.first() {
        None => names_nothing(policy),
        Some(first) => format!("nothing can be hit now: {}", first.why),
    };
    Err(NoPlan { why, left_out })
}

/// The steps with a sham for each of them, where the design wants that, and the least time between two.
fn with_shams(
    policy: &Policy,
    app: &App,
    drawn: &[&Task],
    lot: &Lot<'_>,
    steps: Vec<Step>,
    gap: Duration,
) -> Result<(Vec<Step>, Duration), String> {
    let control = &policy.hypothesis.control;
    if !matches!(control, Control::Sham { .. }) {
        return Ok((steps, gap));
    }
    let killed: BTreeSet<_> = steps.iter().flat_map(|s| &s.targets).map(|t| &t.task).collect();
    let spare: Vec<Target> = drawn
        .iter()
        .filter(|task| !killed.contains(&task.id))
        .map(|task| Target::of(app, task))
        .collect();
    Ok((slots::in_pairs(steps, &spare, lot)?, gap.max(control.slot())))
}

/// Probes that see so little in all slots together that no verdict could be *held*, said before anybody
/// approves and not after five kills.
fn sees_too_little(policy: &Policy) -> Vec<String> {
    let hypothesis = &policy.hypothesis;
    let Control::Sham { pairs, window, .. } = hypothesis.control else {
        return vec![];
    };
    let too_little = |probe: &ProbeSpec| {
        let requests = match &probe.source {
            Source::Http(http) => http.requests,
            Source::Tcp { .. } => 1,
            // How much traffic a balancer or a metric counts is not ours to say.
            _ => return None,
        };
        let every = probe.every.unwrap_or(hypothesis.interval);
        let samples = window.as_millis() / every.as_millis().max(1);
        let observed = u64::try_from(samples).unwrap_or(u64::MAX) * u64::from(requests) * u64::from(pairs);
        let clean = Counts { observed, bad: 0 };
        let margin = hypothesis.margin_of(probe);
        let best = intervals::newcombe(clean, clean, intervals::ERROR);
        best.is_none_or(|best| best.high >= margin).then(|| {
            format!(
                "probe {} makes {observed} requests in each group, too few to show that a difference is below the \
                 margin of {} points: the verdict can't be held; raise `requests`, `control.window` or `control.real`",
                probe.name,
                margin * 100.0
            )
        })
    };
    hypothesis.verdict_probes().filter_map(too_little).collect()
}

/// What differs from fault to fault in a plan.
struct Made {
    apps: PlannedApps,
    outage: Option<PlannedOutage>,
    steps: Vec<Step>,
    gap: Duration,
    remarks: Vec<String>,
}

impl Made {
    fn plan(self, wanted: &Wanted<'_>, info: &ClusterInfo) -> Plan {
        let policy = wanted.policy;
        Plan {
            run: wanted.run.clone(),
            policy: policy.name.clone(),
            policy_digest: policy.digest.clone(),
            team: policy.team.clone(),
            cluster: policy.cluster.clone(),
            framework_id: info.framework_id.clone(),
            mode: policy.mode,
            apps: self.apps,
            outage: self.outage,
            requested_by: wanted.requested_by.clone(),
            steps: self.steps,
            gap: self.gap,
            blast_radius: policy.blast_radius,
            rate_limit: policy.rate_limit,
            allow_no_health_check: policy.scope.allow_no_health_check,
            hypothesis: policy.hypothesis.clone(),
            approval: policy.approval.clone(),
            channel: policy.notify.channel.clone(),
            made_at: wanted.now,
            remarks: self.remarks,
        }
    }
}

fn planned(app: &App) -> PlannedApp {
    PlannedApp {
        app: app.id.clone(),
        version: app.version.clone(),
        instances: app.instances,
        healthy: app.healthy(),
    }
}

/// Apps that nobody opted in: a few by name, thousands in one line.
fn together(apps: &[&AppId], ownership: &Ownership) -> Vec<Exclusion> {
    const NAMED: usize = 3;
    let mut lines: Vec<_> = apps
        .iter()
        .take(NAMED)
        .map(|app| Exclusion {
            what: app.to_string(),
            why: format!("{app} is not opted in: {}", ownership.what_would_opt_in()),
        })
        .collect();
    if apps.len() > NAMED {
        lines.push(Exclusion {
            what: format!("{} more apps", text::count((apps.len() - NAMED) as u64)),
            why: format!("not opted in, as {} is not", apps[0]),
        });
    }
    lines
}

/// What could not be seen, as exclusions.
fn unseen(snapshot: &Snapshot) -> impl Iterator<Item = Exclusion> {
    snapshot.gaps.iter().map(|gap| Exclusion {
        what: gap
            .app
            .as_ref()
            .map_or_else(|| snapshot.cluster.to_string(), ToString::to_string),
        why: format!("could not be seen: {}", gap.why),
    })
}

/// Who the cluster says it is, or why that is not known.
fn identified<'a>(wanted: &Wanted<'a>) -> Result<&'a ClusterInfo, String> {
    let snapshot = wanted.snapshot;
    snapshot.info.as_ref().ok_or_else(|| {
        let gaps: Vec<_> = snapshot.gaps.iter().map(|g| g.why.as_str()).collect();
        format!(
            "cluster {} could not be seen: {}",
            wanted.policy.cluster,
            gaps.join("; ")
        )
    })
}

/// A policy without a single app, and which of its words to look at.
fn names_nothing(policy: &Policy) -> String {
    let ids: Vec<String> = policy.scope.ids.iter().map(ToString::to_string).collect();
    let where_to_look = match ids.as_slice() {
        [] => "no app has the labels of its `target` and is opted in".to_owned(),
        ids => format!(
            "Marathon has no app {}, or not with these labels, or nobody opted it in",
            ids.join(", ")
        ),
    };
    format!(
        "policy {} names no app that Marathon shows: {where_to_look}",
        policy.name
    )
}

/// Why an app can't have a turn now, or what the plan should remark about it.
///
/// `busy` are the apps of the cluster with an open run or a charge: found once for all apps.
fn unfit_now(wanted: &Wanted<'_>, busy: &BTreeSet<AppId>, app: &App) -> Result<Vec<String>, String> {
    let policy = wanted.policy;
    let remarks = match targets::fits(policy, app, wanted.limits, wanted.ownership) {
        Fit::Yes(remarks) => remarks,
        Fit::No(why) | Fit::Unknown(why) => return Err(why),
    };
    if busy.contains(&app.id) {
        return Err(format!("an earlier run is not over on {}", app.id));
    }
    if let Some(last) = wanted.ledger.last_kill_of(&policy.cluster, &app.id)
        && let Err(too_soon) =
            schedule::gap_allows(&policy.schedule, wanted.limits, Some(last.at), wanted.now)
    {
        return Err(format!("{}: {}", app.id, too_soon.why));
    }
    if let Some(deployment) = app.deployments.first() {
        return Err(format!("deployment {deployment} is at work on {}", app.id));
    }
    let allowance = policy.blast_radius.allowance(app.instances);
    if allowance == 0 {
        let r = policy.blast_radius;
        return Err(format!(
            "the blast radius of {} rounds down to 0: maxTasks {}, {} % of {} instances, minHealthy {}",
            app.id, r.max_tasks, r.max_percent, app.instances, r.min_healthy
        ));
    }
    let used = gates::usage(wanted.ledger, &policy.cluster, app);
    if used.charged + used.others >= allowance {
        return Err(format!(
            "{}: {} of {} healthy, which already uses up the blast radius of {allowance}",
            app.id,
            app.healthy(),
            app.instances
        ));
    }
    Ok(remarks)
}

#[cfg(test)]
mod tests;
