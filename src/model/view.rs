//! What the operator answers: the same data for terminal, Slack, API and pages.

use super::command::Role;
use super::forecast::Forecast;
use super::gate::{GateAnswer, Judgement};
use super::halt::Halt;
use super::ids::{AppId, ClusterName, PlanDigest, PolicyName, RunId};
use super::past::AppPast;
use super::plan::Plan;
use super::report::Report;
use super::run::Run;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// An answer to a [`Command`](super::command::Command).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "reply", content = "body")]
pub enum Reply {
    /// Nothing more than a sentence.
    Done(String),
    /// Asked for help: which commands there are is the door's own knowledge.
    Help,
    /// `status`.
    Status(Box<Status>),
    /// `policies`.
    Policies(Vec<PolicyView>),
    /// `runs`.
    Runs(Vec<RunView>),
    /// `describe run`.
    Run(Box<RunView>),
    /// `report`.
    Report(Box<Report>),
    /// `plan`.
    Plan(Box<PlanView>),
    /// `why`.
    Why(Box<Why>),
    /// `was-it-you`.
    WasItYou(Box<WasItYou>),
    /// `timeline`.
    Timeline(Vec<TimelineItem>),
    /// `history`.
    History(Box<AppPast>),
    /// `forecast`.
    Forecast(Box<Forecast>),
    /// Stops answer what is still open.
    Stopped {
        /// What was done, in one sentence.
        done: String,
        /// What is still open, in words.
        open: Vec<String>,
    },
}

/// Why something asked was not done. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What kind of no it is.
    pub kind: RefusalKind,
    /// What is wrong, what to do, what did not happen.
    pub why: String,
}

/// What kind of no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RefusalKind {
    /// There is no such thing.
    NotFound,
    /// This person may not.
    NotAllowed,
    /// Not now: decided already, expired, changed, halted, a gate says no.
    Conflict,
    /// The question makes no sense.
    Invalid,
    /// The journal or the cluster could not be reached.
    Unavailable,
}

impl Refusal {
    /// A refusal of this kind, with its sentence.
    pub fn new(kind: RefusalKind, why: impl Into<String>) -> Self {
        Self {
            kind,
            why: why.into(),
        }
    }
}

/// How everything is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// As of when.
    pub at: DateTime<Utc>,
    /// Version of the operator.
    pub version: String,
    /// Whether the settings let it kill.
    pub armed: bool,
    /// Whether it is stopped.
    pub halt: Option<Halt>,
    /// The clusters and how they were last seen.
    pub clusters: Vec<ClusterView>,
    /// Policies by how they are.
    pub policies: Vec<PolicyView>,
    /// Runs that are not over.
    pub open_runs: Vec<RunView>,
    /// Intents that still count as tasks down because of us, in words.
    pub charged: Vec<String>,
    /// Messages that wait for Slack.
    pub outbox_waiting: usize,
}

/// How a cluster was last seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClusterView {
    /// Which.
    pub name: ClusterName,
    /// When a whole look last succeeded.
    pub seen: Option<DateTime<Utc>>,
    /// Marathon's version.
    pub version: Option<String>,
    /// Its framework id.
    pub framework_id: Option<String>,
    /// How many apps the last look saw.
    pub apps: usize,
    /// What could not be seen, in words.
    pub gaps: Vec<String>,
}

/// How a policy is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PolicyView {
    /// Which.
    pub name: PolicyName,
    /// Whose.
    pub team: String,
    /// off, rehearse or enforce.
    pub mode: String,
    /// Where.
    pub cluster: ClusterName,
    /// `active`, or why not.
    pub state: String,
    /// In one sentence: what it allows.
    pub allows: String,
    /// When the schedule is next due, if it knows.
    pub next: Option<DateTime<Utc>>,
    /// The one blocker that matters most now.
    pub blocked: Option<GateAnswer>,
    /// Its latest run.
    pub last_run: Option<RunId>,
}

/// A run and what is only known live.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunView {
    /// As journalled.
    pub run: Run,
    /// Per cent of the evidence that an abort needs, the highest of all probes.
    pub evidence_percent: Option<u32>,
    /// Per cent of the evidence that it takes to say that the experimental group does worse than the control
    /// group; only where two groups are looked at side by side. A gauge: nothing is decided by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difference_percent: Option<u32>,
    /// Bad share of the last sample of each probe, in words.
    pub probes: Vec<String>,
    /// Tasks that serve now.
    pub healthy: Option<u32>,
    /// What it waits for, in a sentence.
    pub waiting: Option<String>,
    /// Where its report's files are.
    pub reports: Vec<String>,
}

/// A plan that might be made now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanView {
    /// The plan; `None` when none can be made.
    pub plan: Option<Plan>,
    /// Its digest, where there is a plan.
    pub digest: Option<PlanDigest>,
    /// Why there is none.
    pub none: Option<String>,
    /// Every app that was looked at and left out, with the reason.
    pub left_out: Vec<Exclusion>,
    /// What the gates say.
    pub judgement: Option<Judgement>,
}

/// Something that was looked at and left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exclusion {
    /// An app's or a task's id.
    pub what: String,
    /// Why.
    pub why: String,
}

/// Why nothing happened, or whether it would.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Why {
    /// What was asked about.
    pub subject: String,
    /// As of when.
    pub at: DateTime<Utc>,
    /// The one sentence that matters most.
    pub lead: String,
    /// For each policy that names it: the gates' answers, or why there is no plan.
    pub policies: Vec<WhyPolicy>,
}

/// The part of [`Why`] for one policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WhyPolicy {
    /// Which.
    pub policy: PolicyName,
    /// Its open run, if any.
    pub run: Option<RunId>,
    /// Why there is no plan.
    pub none: Option<String>,
    /// What the gates say.
    pub answers: Vec<GateAnswer>,
    /// Apps and tasks left out.
    pub left_out: Vec<Exclusion>,
    /// When the schedule is next due.
    pub next: Option<DateTime<Utc>>,
}

/// Was it us? Silence never reads as No.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WasItYou {
    /// Yes, no, perhaps, cannot tell.
    pub answer: WasIt,
    /// As of when.
    pub at: DateTime<Utc>,
    /// In one line.
    pub line: String,
    /// All that we did in the cluster in the last 30 minutes.
    pub items: Vec<TimelineItem>,
}

/// The four answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WasIt {
    /// We did.
    Yes,
    /// We did not.
    No,
    /// A request of ours is unanswered.
    Perhaps,
    /// The journal is not up to date.
    CannotTell,
}

/// Something we did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimelineItem {
    /// When.
    pub at: DateTime<Utc>,
    /// A word for its kind: `kill`, `plan`, `abort`, `halt`, …
    pub kind: String,
    /// Which run.
    pub run: Option<RunId>,
    /// Which app.
    pub app: Option<AppId>,
    /// Which other apps, where it concerns several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_apps: Vec<AppId>,
    /// In a sentence.
    pub what: String,
}

impl TimelineItem {
    /// The apps it concerns.
    pub fn apps(&self) -> impl Iterator<Item = &AppId> {
        self.app.iter().chain(&self.other_apps)
    }
}

/// What a door must tell of a caller that it could not place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// The name.
    pub name: String,
    /// The role.
    pub role: Role,
}
