//! One line of the journal; versioned.

use super::command::{Command, Person};
use super::experiment::AbortCause;
use super::gate::Judgement;
use super::ids::{ClusterName, IntentId, PlanDigest, PolicyDigest, PolicyName, RunId, Seq};
use super::notice::MessageRef;
use super::plan::Plan;
use super::run::{Intent, IntentState, Phase};
use super::verdict::Verdict;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Version of the entry format. Raise it when an older reader would misread a newer entry.
pub const FORMAT: u32 = 1;

/// An entry as it stands in the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its place.
    pub seq: Seq,
    /// When it was written, by our clock, in whole milliseconds.
    pub at: DateTime<Utc>,
    /// What it says.
    pub body: Body,
}

/// The governor's state of one bucket, written with the intent that it let through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateState {
    /// Policy name, or `cluster:NAME`.
    pub bucket: String,
    /// GCRA's theoretical arrival time in nanoseconds since 1970.
    pub arrival_ns: u64,
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Body {
    /// The operator started; ends what an earlier process left armed.
    Started {
        /// Version of the binary.
        version: String,
        /// Random for each process.
        process: String,
    },
    /// The operator stopped in an orderly way.
    Stopped {
        /// Why.
        why: String,
    },
    /// A framework id was pinned at first contact.
    Pinned {
        /// Which cluster.
        cluster: ClusterName,
        /// Its framework id.
        framework_id: String,
    },
    /// A policy was read for the first time or has changed.
    PolicySeen {
        /// Which.
        policy: PolicyName,
        /// As it is now.
        digest: PolicyDigest,
    },
    /// A policy's file turned bad; its last good version is not used.
    PolicySuspended {
        /// Which.
        policy: PolicyName,
        /// What is wrong with the file.
        why: String,
    },
    /// A policy's file is gone.
    PolicyGone {
        /// Which.
        policy: PolicyName,
    },
    /// A person asked for something that changes things.
    Asked {
        /// Who.
        by: Person,
        /// What.
        command: Command,
        /// Under which key.
        key: Option<String>,
    },
    /// What was asked was refused.
    Declined {
        /// Who.
        by: Person,
        /// What.
        command: Command,
        /// Why.
        why: String,
    },
    /// A due instant passed without a run.
    Skipped {
        /// Which policy.
        policy: PolicyName,
        /// The instant.
        due: DateTime<Utc>,
        /// Why.
        why: String,
    },
    /// A plan was made; asks for approval where the rule says so.
    Planned {
        /// The plan.
        plan: Box<Plan>,
        /// Its digest.
        digest: PlanDigest,
        /// The instant of the schedule that it serves.
        due: Option<DateTime<Utc>>,
        /// When the request for approval ends.
        approval_expires: Option<DateTime<Utc>>,
    },
    /// A person's yes.
    Approved {
        /// Which run.
        run: RunId,
        /// Exactly this plan.
        digest: PlanDigest,
        /// Who.
        by: Person,
    },
    /// A person's no.
    Denied {
        /// Which run.
        run: RunId,
        /// Who.
        by: Person,
        /// Why.
        reason: String,
    },
    /// All gates were asked.
    Judged {
        /// Their answers.
        judgement: Judgement,
    },
    /// A run went on to its next phase. The start (`Baseline`) consumes its approvals.
    Moved {
        /// Which run.
        run: RunId,
        /// To where.
        to: Phase,
    },
    /// A kill was decided. Durable before a byte leaves.
    Intended {
        /// What.
        intent: Intent,
        /// The governor's state, in the same transaction.
        rates: Vec<RateState>,
    },
    /// More is known of an intent.
    Settled {
        /// Which.
        intent: IntentId,
        /// What.
        state: IntentState,
    },
    /// A run began to end early.
    Aborting {
        /// Which.
        run: RunId,
        /// Why.
        cause: AbortCause,
        /// From the sample that breached to the closed fence, in microseconds.
        breach_to_fence_us: Option<u64>,
    },
    /// A run is over.
    Ended {
        /// Which.
        run: RunId,
        /// What it taught.
        verdict: Box<Verdict>,
    },
    /// Everything stops.
    Halted {
        /// Who.
        by: Person,
        /// Why.
        reason: String,
    },
    /// A person lifted the halt.
    Resumed {
        /// Who.
        by: Person,
        /// Why.
        reason: String,
    },
    /// A message reached its channel.
    Told {
        /// The notice's key.
        key: String,
        /// Where it stands.
        message: MessageRef,
        /// The state of the notice that it shows.
        version: u64,
    },
}

impl Body {
    /// The word for it in the journal's `kind` column.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Started { .. } => "started",
            Self::Stopped { .. } => "stopped",
            Self::Pinned { .. } => "pinned",
            Self::PolicySeen { .. } => "policySeen",
            Self::PolicySuspended { .. } => "policySuspended",
            Self::PolicyGone { .. } => "policyGone",
            Self::Asked { .. } => "asked",
            Self::Declined { .. } => "declined",
            Self::Skipped { .. } => "skipped",
            Self::Planned { .. } => "planned",
            Self::Approved { .. } => "approved",
            Self::Denied { .. } => "denied",
            Self::Judged { .. } => "judged",
            Self::Moved { .. } => "moved",
            Self::Intended { .. } => "intended",
            Self::Settled { .. } => "settled",
            Self::Aborting { .. } => "aborting",
            Self::Ended { .. } => "ended",
            Self::Halted { .. } => "halted",
            Self::Resumed { .. } => "resumed",
            Self::Told { .. } => "told",
        }
    }

    /// The run it speaks of, if any.
    pub fn run(&self) -> Option<&RunId> {
        match self {
            Self::Planned { plan, .. } => Some(&plan.run),
            Self::Approved { run, .. }
            | Self::Denied { run, .. }
            | Self::Moved { run, .. }
            | Self::Aborting { run, .. }
            | Self::Ended { run, .. } => Some(run),
            Self::Judged { judgement } => Some(&judgement.run),
            Self::Intended { intent, .. } => Some(&intent.run),
            Self::Started { .. }
            | Self::Stopped { .. }
            | Self::Pinned { .. }
            | Self::PolicySeen { .. }
            | Self::PolicySuspended { .. }
            | Self::PolicyGone { .. }
            | Self::Asked { .. }
            | Self::Declined { .. }
            | Self::Skipped { .. }
            | Self::Settled { .. }
            | Self::Halted { .. }
            | Self::Resumed { .. }
            | Self::Told { .. } => None,
        }
    }
}
