//! What a policy's next turn is: wait, settle, propose, start, do a step, abort, conclude.
//!
//! Pure: the same history, snapshot and moment give the same turn. There is no recovery code; what an
//! earlier process left behind is history like any other.

mod effect;

pub use effect::{KILL_RETRY, without_effect};

use super::history::Ledger;
use super::steady_state::monitor::BaselineState;
use crate::model::command::Person;
use crate::model::experiment::AbortCause;
use crate::model::ids::{AppId, IntentId, PolicyName, RunId, TaskId};
use crate::model::policy::Policy;
use crate::model::run::{Intent, IntentState, Phase, Run};
use crate::model::snapshot::{App, Snapshot, TaskState};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeSet;

/// What a policy's turn looks at.
#[derive(Clone, Debug)]
pub struct View<'a> {
    /// The policy's name.
    pub name: &'a PolicyName,
    /// The policy, or why it is not active.
    pub policy: Result<&'a Policy, &'a str>,
    /// What we did.
    pub ledger: &'a Ledger,
    /// What is there.
    pub snapshot: &'a Snapshot,
    /// Intents that this process is sending right now.
    pub in_flight: &'a BTreeSet<IntentId>,
    /// What the open run's probes say; `None` when nobody watches.
    pub watch: Option<WatchView>,
    /// The halt, from journal or file: who, and why.
    pub halted: Option<(String, String)>,
    /// Now.
    pub now: DateTime<Utc>,
    /// How long an unanswered kill stays charged at least.
    pub quarantine: TimeDelta,
    /// How often Marathon repeats a kill that Mesos has not confirmed.
    pub kill_retry: TimeDelta,
    /// The instant of the schedule that is due, if any.
    pub due: Option<DateTime<Utc>>,
}

/// What the probes of a run say about its phases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchView {
    /// Whether the baseline is done.
    pub baseline: BaselineState,
    /// Since when the steady state has held, if it has for long enough to count as recovered.
    pub steady_since: Option<DateTime<Utc>>,
}

/// What comes next for a policy. At most one of these in a pass.
#[derive(Clone, Debug, PartialEq)]
pub enum Turn {
    /// Nothing to do now.
    Wait {
        /// What it waits for, in a sentence.
        why: String,
    },
    /// More is known of a kill.
    Settle {
        /// Which.
        intent: IntentId,
        /// What.
        state: IntentState,
    },
    /// A plan is wanted.
    Propose {
        /// For this instant of the schedule.
        due: Option<DateTime<Utc>>,
        /// Or for this person.
        requested_by: Option<Person>,
    },
    /// The run waits for people; its gates have to be asked.
    Ask {
        /// Which run.
        run: RunId,
    },
    /// A step is wanted; the gates decide.
    Do {
        /// Which run.
        run: RunId,
        /// Which step, from 1.
        step: u32,
        /// When the gates' refusal ends the run instead of making it wait.
        patience: DateTime<Utc>,
    },
    /// All steps are taken.
    Recover {
        /// Which run.
        run: RunId,
    },
    /// End it early.
    Abort {
        /// Which run.
        run: RunId,
        /// Why.
        cause: AbortCause,
    },
    /// The run is over.
    Conclude {
        /// Which run.
        run: RunId,
        /// One word for why, where it did not complete: `expired`, `denied`, `not steady`, …
        reason: String,
        /// In a sentence.
        why: String,
        /// Whether the app is whole and steady again.
        recovered: bool,
    },
}

/// The next turn of a policy.
pub fn next(view: &View<'_>) -> Turn {
    if let Some((intent, state)) = settle(view) {
        return Turn::Settle { intent, state };
    }
    match view.ledger.open_run_of(view.name) {
        Some(run) => open(view, run),
        None => idle(view),
    }
}

fn idle(view: &View<'_>) -> Turn {
    if let Err(why) = view.policy {
        return Turn::Wait { why: why.to_owned() };
    }
    if let Some(request) = view.ledger.requests.get(view.name) {
        return Turn::Propose {
            due: None,
            requested_by: Some(request.by.clone()),
        };
    }
    match view.due {
        Some(due) => Turn::Propose {
            due: Some(due),
            requested_by: None,
        },
        None => Turn::Wait {
            why: "nothing is due and nobody asked".into(),
        },
    }
}

fn open(view: &View<'_>, run: &Run) -> Turn {
    let id = run.id.clone();
    let conclude = |reason: &str, why: String, recovered: bool| Turn::Conclude {
        run: id.clone(),
        reason: reason.to_owned(),
        why,
        recovered,
    };
    if let Some(cause) = must_end(view, run) {
        return match run.phase {
            Phase::AwaitingApproval => conclude(cause.word(), cause.to_string(), false),
            Phase::Baseline | Phase::Steps | Phase::Recovery => Turn::Abort { run: id, cause },
            Phase::Aborting | Phase::Ended => aborting(view, run),
        };
    }
    match run.phase {
        Phase::AwaitingApproval => {
            if let Some(denial) = &run.denied {
                return conclude(
                    "denied",
                    format!("denied by {}: {}", denial.by, denial.reason),
                    false,
                );
            }
            if let Some(expires) = run.approval_expires.filter(|e| view.now >= *e) {
                let why = format!(
                    "nobody decided before {}; nothing was killed",
                    expires.format("%F %T UTC")
                );
                return conclude("expired", why, false);
            }
            Turn::Ask { run: id }
        }
        Phase::Baseline => match view.watch.as_ref().map(|w| &w.baseline) {
            None => Turn::Wait {
                why: "the probes are starting".into(),
            },
            Some(BaselineState::Measuring { why }) => Turn::Wait { why: why.clone() },
            Some(BaselineState::NotSteady { why }) => conclude("not steady", why.clone(), false),
            Some(BaselineState::Steady { .. }) => {
                let patience = run.phase_since + span(run.plan.hypothesis.baseline.at_most);
                Turn::Do {
                    run: id,
                    step: 1,
                    patience,
                }
            }
        },
        Phase::Steps => between_steps(view, run),
        Phase::Recovery => recovery(view, run),
        Phase::Aborting | Phase::Ended => aborting(view, run),
    }
}

/// What ends a run whatever its phase.
fn must_end(view: &View<'_>, run: &Run) -> Option<AbortCause> {
    if run.phase == Phase::Aborting {
        return None;
    }
    // A request that waits ends too: it must not spring to life when somebody resumes.
    if let Some((by, reason)) = &view.halted {
        return Some(AbortCause::Halt {
            by: by.clone(),
            reason: reason.clone(),
        });
    }
    match view.policy {
        Err(why) => Some(AbortCause::Policy {
            why: format!("policy {} is not active: {why}", view.name),
        }),
        Ok(policy) if policy.digest != run.plan.policy_digest => Some(AbortCause::Policy {
            why: format!("policy {} was changed", view.name),
        }),
        Ok(_) => None,
    }
}

fn between_steps(view: &View<'_>, run: &Run) -> Turn {
    let next = run.next_step();
    let Some(last) = run.intents.last() else {
        let patience = run.phase_since + span(run.plan.hypothesis.recovery.within);
        return Turn::Do {
            run: run.id.clone(),
            step: next,
            patience,
        };
    };
    if let Some(held) = run
        .intents
        .iter()
        .find(|i| matches!(i.state, IntentState::Held { .. }))
    {
        return Turn::Abort {
            run: run.id.clone(),
            cause: AbortCause::Kill {
                why: format!("{} did not take effect and needs a person", held.id),
            },
        };
    }
    if let Some(refused) = run.intents.iter().find_map(|i| match &i.state {
        IntentState::NoEffect { why, .. } | IntentState::NotSent { why, .. } => Some((i, why)),
        _ => None,
    }) {
        let why = format!("{} had no effect: {}", refused.0.id, refused.1);
        return Turn::Abort {
            run: run.id.clone(),
            cause: AbortCause::Kill { why },
        };
    }
    if run.plan.step(next).is_none() {
        return Turn::Recover { run: run.id.clone() };
    }
    let overdue = last.at + span(run.plan.hypothesis.recovery.within);
    match whole_and_steady(view, run) {
        Err(why) if view.now > overdue => Turn::Abort {
            run: run.id.clone(),
            cause: AbortCause::NotRecovered { step: last.step, why },
        },
        Err(why) => Turn::Wait { why },
        Ok(()) if view.now < last.at + span(run.plan.gap) => Turn::Wait {
            why: format!(
                "the gap of {} s between steps is not over",
                run.plan.gap.as_secs()
            ),
        },
        Ok(()) => {
            let patience = last.at + span(run.plan.hypothesis.recovery.within.max(run.plan.gap)) * 2;
            Turn::Do {
                run: run.id.clone(),
                step: next,
                patience,
            }
        }
    }
}

fn recovery(view: &View<'_>, run: &Run) -> Turn {
    let within = span(run.plan.hypothesis.recovery.within);
    let since = run.intents.last().map_or(run.phase_since, |i| i.at);
    let conclude = |recovered: bool, why: String| Turn::Conclude {
        run: run.id.clone(),
        reason: String::new(),
        why,
        recovered,
    };
    match whole_and_steady(view, run) {
        // A slot whose window is cut short compares nothing.
        Ok(()) if view.now < since + span(run.plan.hypothesis.control.window()) => Turn::Wait {
            why: "the window of the last slot is not over".into(),
        },
        Ok(()) => conclude(true, "whole and steady again".into()),
        Err(why) if view.now > since + within => conclude(false, why),
        Err(why) => Turn::Wait { why },
    }
}

fn aborting(view: &View<'_>, run: &Run) -> Turn {
    let since = run.abort.as_ref().map_or(run.phase_since, |a| a.at);
    let within = span(run.plan.hypothesis.recovery.within);
    let (reason, why) = run.abort.as_ref().map_or_else(
        || ("aborted".to_owned(), String::new()),
        |a| (a.cause.word().to_owned(), a.cause.to_string()),
    );
    let conclude = |recovered| Turn::Conclude {
        run: run.id.clone(),
        reason: reason.clone(),
        why: why.clone(),
        recovered,
    };
    if run.intents.iter().all(|i| i.sham || !i.is_charged()) {
        let restarted = run
            .abort
            .as_ref()
            .is_some_and(|a| a.cause == AbortCause::Restarted);
        // After a restart nobody watches the probes any more: whole is all that can be known.
        if run.intents.is_empty() || restarted || whole_and_steady(view, run).is_ok() {
            return conclude(true);
        }
    }
    if view.now > since + within {
        return conclude(false);
    }
    Turn::Wait {
        why: "what was killed is not whole and steady again".into(),
    }
}

/// Whether every kill of the run is proven over, each app serves as before, and the steady state holds.
fn whole_and_steady(view: &View<'_>, run: &Run) -> Result<(), String> {
    if let Some(open) = run.intents.iter().find(|i| i.is_charged()) {
        return Err(format!("{} is not proven over: {}", open.id, open.state.word()));
    }
    for planned in run.plan.apps.iter() {
        let Some(app) = view.snapshot.apps.get(&planned.app) else {
            return Err(format!("{} can't be seen", planned.app));
        };
        let before = planned.healthy.min(app.instances);
        if app.healthy() < before {
            let serve = format!("{} of {before} tasks serve", app.healthy());
            return Err(if run.plan.apps.are_several() {
                format!("{}: {serve}", planned.app)
            } else {
                serve
            });
        }
    }
    let last_kill = run.intents.last().map(|i| i.at);
    match view.watch.as_ref().and_then(|w| w.steady_since) {
        Some(_) => Ok(()),
        None if last_kill.is_none() => Ok(()),
        None => Err(format!(
            "the steady state has not held for {} s since the kill",
            run.plan.hypothesis.recovery.hold.as_secs()
        )),
    }
}

/// More that is now known of a kill under this policy, whether its run is open or over.
fn settle(view: &View<'_>) -> Option<(IntentId, IntentState)> {
    let mine = view
        .ledger
        .charged()
        .filter(|(run, _)| run.plan.policy == *view.name);
    mine.filter(|(_, i)| !view.in_flight.contains(&i.id))
        .find_map(|(run, intent)| Some((intent.id.clone(), settled(view, run, intent)?)))
}

/// What is now known of one kill; `None` when nothing new.
fn settled(view: &View<'_>, run: &Run, intent: &Intent) -> Option<IntentState> {
    let at = view.now;
    match &intent.state {
        // Never "crashed, so not sent": what has no answer may have happened.
        IntentState::Open if at > intent.deadline => Some(IntentState::Ambiguous {
            why: "the operator has no record of an answer".into(),
            at,
        }),
        IntentState::Acked { tasks, at: answered } => {
            if view.snapshot.taken_at <= *answered || !is_seen_whole(view, intent) {
                return None;
            }
            let there: Vec<&App> = apps_hit(intent)
                .into_iter()
                .filter_map(|app| view.snapshot.apps.get(app))
                .collect();
            if there.is_empty() && may_be_hidden(intent) {
                return None;
            }
            if there.is_empty() {
                let why = format!("{} is gone from Marathon", run.plan.apps);
                return Some(IntentState::Resolved {
                    why,
                    at,
                    tasks: tasks.clone(),
                });
            }
            let lives = |id: &TaskId| {
                let mut rows = there.iter().flat_map(|app| &app.tasks);
                rows.any(|t| t.id == *id && !matches!(t.state, TaskState::Over(_)))
            };
            if !tasks.iter().any(lives) {
                let whole = there.iter().all(|app| is_whole(app, intent, tasks));
                return whole.then(|| IntentState::Resolved {
                    why: "the tasks that Marathon named are gone and their replacements serve".into(),
                    at,
                    tasks: tasks.clone(),
                });
            }
            // An effect may be as late as that of a kill without an answer.
            let patience = there
                .iter()
                .map(|app| *answered + effect::within(app, view.kill_retry))
                .fold(intent.deadline + view.quarantine, DateTime::max);
            if view.snapshot.taken_at <= patience {
                return None;
            }
            let since = (at - *answered).num_seconds();
            Some(if effect::never_came(&there, tasks, *answered) {
                let why = format!(
                    "Marathon accepted the kill {since} s ago and never carried it out: the same tasks answered \
                     health checks long after their grace period"
                );
                IntentState::NoEffect { why, at }
            } else {
                let why = format!("Marathon accepted the kill {since} s ago and the task still runs");
                IntentState::Held { why, at }
            })
        }
        IntentState::Ambiguous { .. } => {
            let over = intent.deadline + view.quarantine;
            if view.snapshot.taken_at <= over || !is_seen_whole(view, intent) {
                return None;
            }
            // An app that is gone from Marathon has nothing that could come back.
            let hidden = apps_hit(intent)
                .iter()
                .all(|app| !view.snapshot.apps.contains_key(*app));
            if hidden && may_be_hidden(intent) {
                return None;
            }
            let whole = apps_hit(intent)
                .into_iter()
                .filter_map(|app| view.snapshot.apps.get(app))
                .all(|app| is_whole(app, intent, &[]));
            whole.then(|| IntentState::Resolved {
                why: format!(
                    "unanswered for longer than the quarantine of {} s, and every task serves",
                    view.quarantine.num_seconds()
                ),
                at,
                tasks: vec![],
            })
        }
        IntentState::Open
        | IntentState::Held { .. }
        | IntentState::NotSent { .. }
        | IntentState::NoEffect { .. }
        | IntentState::Resolved { .. } => None,
    }
}

/// The apps that this kill hits.
fn apps_hit(intent: &Intent) -> BTreeSet<&AppId> {
    intent.targets.iter().map(|t| &t.app).collect()
}

/// Whether what this kill hit may exist although no list shows it: a door before Marathon may hide all pods.
fn may_be_hidden(intent: &Intent) -> bool {
    intent.targets.iter().any(|t| t.pod)
}

/// Whether the snapshot has no gap where the apps of this kill are concerned.
fn is_seen_whole(view: &View<'_>, intent: &Intent) -> bool {
    let mut apps = apps_hit(intent).into_iter();
    apps.all(|app| view.snapshot.gaps_of(app).next().is_none())
}

/// Whether every instance of the app that this kill hit serves again, or every one there should be does.
fn is_whole(app: &App, intent: &Intent, killed: &[TaskId]) -> bool {
    let mut hit = intent.targets.iter().filter(|t| t.app == app.id);
    app.healthy() >= app.instances || hit.all(|t| replaced(app, t.instance.as_str(), killed))
}

/// Whether an incarnation of this instance serves that is none of `killed`.
fn replaced(app: &App, instance: &str, killed: &[TaskId]) -> bool {
    app.tasks
        .iter()
        .any(|t| t.instance.as_str() == instance && !killed.contains(&t.id) && app.is_healthy(t))
}

fn span(duration: std::time::Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

#[cfg(test)]
mod tests;
