//! One execution of one plan, with phases.

use super::approval::{Approval, Denial};
use super::experiment::AbortCause;
use super::gate::Judgement;
use super::ids::{IntentId, PlanDigest, RunId, TaskId};
use super::plan::{Plan, Target};
use super::verdict::Verdict;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// The plan stands and waits for people.
    AwaitingApproval,
    /// Admitted; the steady state is being measured.
    Baseline,
    /// Steps are taken: kill, watch, settle.
    Steps,
    /// All steps taken; waiting for the app to be whole and steady.
    Recovery,
    /// Ending early: no further step; waiting for what we did to be whole again.
    Aborting,
    /// Over.
    Ended,
}

impl Phase {
    /// Which phase may follow which. Ending is allowed from everywhere.
    pub fn may_become(self, next: Self) -> bool {
        use Phase::{Aborting, AwaitingApproval, Baseline, Ended, Recovery, Steps};
        matches!(
            (self, next),
            (AwaitingApproval, Baseline)
                | (Baseline, Steps)
                | (Steps, Recovery)
                | (Baseline | Steps | Recovery | AwaitingApproval, Aborting)
                | (AwaitingApproval | Baseline | Steps | Recovery | Aborting, Ended)
        )
    }

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::AwaitingApproval => "awaiting approval",
            Self::Baseline => "baseline",
            Self::Steps => "steps",
            Self::Recovery => "recovery",
            Self::Aborting => "aborting",
            Self::Ended => "ended",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// A run as the journal tells it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Its plan.
    pub plan: Plan,
    /// The plan's digest.
    pub digest: PlanDigest,
    /// Where it is.
    pub phase: Phase,
    /// Since when.
    pub phase_since: DateTime<Utc>,
    /// Who said yes so far.
    pub approvals: Vec<Approval>,
    /// Who said no.
    pub denied: Option<Denial>,
    /// When the request for approval ends.
    pub approval_expires: Option<DateTime<Utc>>,
    /// Whether the approvals were consumed by the start.
    pub started: Option<DateTime<Utc>>,
    /// What was sent or may have been, in order.
    pub intents: Vec<Intent>,
    /// When Marathon accepted each kill: the state of one that is over does not tell any more.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub accepted: BTreeMap<IntentId, DateTime<Utc>>,
    /// Why it is being aborted.
    pub abort: Option<Aborted>,
    /// The latest judgement.
    pub judged: Option<Judgement>,
    /// How it ended.
    pub verdict: Option<Verdict>,
    /// When it ended.
    pub ended: Option<DateTime<Utc>>,
}

impl Run {
    /// Whether it is not over.
    pub fn is_open(&self) -> bool {
        self.phase != Phase::Ended
    }
    /// Whether probes are being sampled in this phase.
    pub fn is_watched(&self) -> bool {
        matches!(
            self.phase,
            Phase::Baseline | Phase::Steps | Phase::Recovery | Phase::Aborting
        )
    }
    /// When the first kill was decided on.
    pub fn first_kill(&self) -> Option<DateTime<Utc>> {
        self.intents.first().map(|i| i.at)
    }
    /// The number of the next step, from 1; one past the last when all are taken.
    pub fn next_step(&self) -> u32 {
        self.intents.iter().map(|i| i.step).max().unwrap_or(0) + 1
    }
}

/// When and why a run began to abort.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Aborted {
    /// Why.
    pub cause: AbortCause,
    /// When that was journalled.
    pub at: DateTime<Utc>,
    /// From the sample that breached to "no further kill request can leave", in microseconds, where
    /// a sample was the cause.
    pub breach_to_fence_us: Option<u64>,
}

/// One decided kill: what was sent, or may have been.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Intent {
    /// Its id, sent as a header.
    pub id: IntentId,
    /// The run.
    pub run: RunId,
    /// The step.
    pub step: u32,
    /// What is asked to die.
    pub targets: Vec<Target>,
    /// When it became durable.
    pub at: DateTime<Utc>,
    /// No byte leaves after this.
    pub deadline: DateTime<Utc>,
    /// A rehearsal's: charges nothing, reaches nothing.
    pub sham: bool,
    /// What is known of it.
    pub state: IntentState,
}

impl Intent {
    /// Whether it was, or may have been, a kill.
    pub fn may_have_killed(&self) -> bool {
        !self.sham
            && !matches!(
                self.state,
                IntentState::NotSent { .. } | IntentState::NoEffect { .. }
            )
    }

    /// Whether it still counts against the blast radius.
    pub fn is_charged(&self) -> bool {
        !self.sham && self.state.is_charged()
    }

    /// The targets that Marathon did not name in its answer: neither the incarnation that was asked for nor,
    /// from 1.8 on, a later one of the same instance.
    pub fn skipped<'a>(&'a self, named: &[TaskId]) -> Vec<&'a Target> {
        let is_of = |task: &TaskId, t: &Target| {
            let rest = task.as_str().strip_prefix(t.instance.as_str());
            *task == t.task || rest.is_some_and(|rest| rest.starts_with('.'))
        };
        let missing = |t: &&Target| !named.iter().any(|task| is_of(task, t));
        self.targets.iter().filter(missing).collect()
    }
}

/// What is known of an intent (`reliability` §1.1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", tag = "state")]
pub enum IntentState {
    /// Durable; nothing is known of what followed.
    Open,
    /// The sender itself says that it wrote no byte.
    NotSent {
        /// Why.
        why: String,
        /// When.
        at: DateTime<Utc>,
    },
    /// Marathon answered 200 with these tasks: the ids *it* names.
    Acked {
        /// As answered.
        tasks: Vec<TaskId>,
        /// When.
        at: DateTime<Utc>,
    },
    /// Marathon refused in so many words: nothing was killed.
    NoEffect {
        /// What it said.
        why: String,
        /// When.
        at: DateTime<Utc>,
    },
    /// No definite answer: counts as a kill.
    Ambiguous {
        /// What came instead.
        why: String,
        /// When we gave up.
        at: DateTime<Utc>,
    },
    /// Proof that the app is whole again.
    Resolved {
        /// The proof.
        why: String,
        /// When.
        at: DateTime<Utc>,
        /// Tasks that Marathon had answered with.
        tasks: Vec<TaskId>,
    },
    /// Should have had an effect by now and had none, or the other way round: a person has to look.
    Held {
        /// Why.
        why: String,
        /// When.
        at: DateTime<Utc>,
    },
}

impl IntentState {
    /// Whether an intent in this state counts as a task that is down because of us.
    pub fn is_charged(&self) -> bool {
        match self {
            Self::Open | Self::Acked { .. } | Self::Ambiguous { .. } | Self::Held { .. } => true,
            Self::NotSent { .. } | Self::NoEffect { .. } | Self::Resolved { .. } => false,
        }
    }

    /// The word for metrics and lists.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::NotSent { .. } => "not sent",
            Self::Acked { .. } => "acked",
            Self::NoEffect { .. } => "no effect",
            Self::Ambiguous { .. } => "ambiguous",
            Self::Resolved { .. } => "resolved",
            Self::Held { .. } => "held",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_marathon_left_out_is_known_by_instance() {
        let target = |n: u32| Target {
            app: "/a".into(),
            task: format!("a.instance-{n}._app.1").as_str().into(),
            instance: format!("a.instance-{n}").as_str().into(),
            host: "h".into(),
            pod: false,
            agent: None,
        };
        let at = DateTime::UNIX_EPOCH;
        let intent = Intent {
            id: "r/1".into(),
            run: "r".into(),
            step: 1,
            targets: vec![target(1), target(11)],
            at,
            deadline: at,
            sham: false,
            state: IntentState::Open,
        };
        let skipped = |named: &[&str]| -> Vec<String> {
            let named: Vec<TaskId> = named.iter().map(|t| TaskId::from(*t)).collect();
            let left = intent.skipped(&named);
            left.iter().map(|t| t.instance.to_string()).collect()
        };
        assert_eq!(skipped(&["a.instance-1._app.1"]), ["a.instance-11"]);
        // The heir of the one that was asked for is what it kills from 1.8 on.
        assert!(skipped(&["a.instance-1._app.2", "a.instance-11._app.1"]).is_empty());
        assert_eq!(skipped(&[]).len(), 2);
    }
}
