//! The answers that decide: pass, refuse, unknown; all of them are kept.

use super::ids::{PlanDigest, RunId};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Every gate there is, in the order in which a blocker matters to people.
///
/// `engine::gates` registers one file for each; a judgement that does not name all of them gives no
/// permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GateName {
    /// Is the operator stopped?
    Halt,
    /// Has somebody armed it?
    Armed,
    /// Are we the one who decides?
    Leadership,
    /// Is the clock to be believed?
    Clock,
    /// Is the snapshot young, whole and of the pinned cluster?
    Freshness,
    /// Is this policy still the one that was planned?
    Policy,
    /// Is somebody awake until the plan is over?
    Window,
    /// Are the planned tasks still there, opted in and allowed?
    Target,
    /// Is there budget and rate left?
    Budget,
    /// Are few enough down, counted against what is healthy now?
    BlastRadius,
    /// Is Marathon busy with the app?
    Deployment,
    /// Is another run at work on the app?
    Overlap,
    /// Is nobody's pager ringing?
    Outage,
    /// Does the hypothesis hold?
    SteadyState,
    /// Has every abort probe answered lately?
    ProbeFreshness,
    /// Did the right people approve this very plan?
    Approval,
}

impl GateName {
    /// All of them, in order.
    pub const ALL: [Self; 16] = [
        Self::Halt,
        Self::Armed,
        Self::Leadership,
        Self::Clock,
        Self::Freshness,
        Self::Policy,
        Self::Window,
        Self::Target,
        Self::Budget,
        Self::BlastRadius,
        Self::Deployment,
        Self::Overlap,
        Self::Outage,
        Self::SteadyState,
        Self::ProbeFreshness,
        Self::Approval,
    ];

    /// The word for it in logs, metrics and messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::Halt => "halt",
            Self::Armed => "armed",
            Self::Leadership => "leadership",
            Self::Clock => "clock",
            Self::Freshness => "freshness",
            Self::Policy => "policy",
            Self::Window => "window",
            Self::Target => "target",
            Self::Budget => "budget",
            Self::BlastRadius => "blast radius",
            Self::Deployment => "deployment",
            Self::Overlap => "overlap",
            Self::Outage => "outage",
            Self::SteadyState => "steady state",
            Self::ProbeFreshness => "probe freshness",
            Self::Approval => "approval",
        }
    }

    /// Gates that can only be answered later in a run: they don't stand in the way of asking for an
    /// approval or of measuring a baseline, and they are asked again before every kill.
    pub fn is_answered_later(self) -> bool {
        match self {
            Self::SteadyState | Self::ProbeFreshness | Self::Approval => true,
            Self::Halt
            | Self::Armed
            | Self::Leadership
            | Self::Clock
            | Self::Freshness
            | Self::Policy
            | Self::Window
            | Self::Target
            | Self::Budget
            | Self::BlastRadius
            | Self::Deployment
            | Self::Overlap
            | Self::Outage => false,
        }
    }
}

impl fmt::Display for GateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// What the pager says, where one can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", tag = "pager", content = "why")]
pub enum PagerAnswer {
    /// The settings name none: the gate passes and says so.
    NotConfigured,
    /// No matching alert.
    Quiet,
    /// These alerts.
    Ringing(Vec<String>),
    /// It could not be asked.
    Unknown(String),
}

/// What one gate says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", tag = "answer", content = "why")]
pub enum Answer {
    /// Yes, and why, with the numbers.
    Pass(String),
    /// No, and why, with the numbers.
    Refuse(String),
    /// It could not see: counts as no.
    Unknown(String),
}

impl Answer {
    /// Whether it is a yes.
    pub fn passes(&self) -> bool {
        matches!(self, Self::Pass(_))
    }
    /// `pass`, `refuse` or `unknown`, for metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Pass(_) => "pass",
            Self::Refuse(_) => "refuse",
            Self::Unknown(_) => "unknown",
        }
    }
    /// The sentence.
    pub fn why(&self) -> &str {
        match self {
            Self::Pass(why) | Self::Refuse(why) | Self::Unknown(why) => why,
        }
    }
}

/// The answer of one gate, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GateAnswer {
    /// Which gate.
    pub gate: GateName,
    /// What it said.
    #[serde(flatten)]
    pub answer: Answer,
}

/// The answers of all gates about one step of one plan, at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[must_use = "a judgement that nobody reads protects nobody"]
pub struct Judgement {
    /// The run.
    pub run: RunId,
    /// The plan.
    pub digest: PlanDigest,
    /// The step, from 1.
    pub step: u32,
    /// When.
    pub at: DateTime<Utc>,
    /// Every gate, in order.
    pub answers: Vec<GateAnswer>,
}

impl Judgement {
    /// Whether every gate said yes and none is missing.
    pub fn passes(&self) -> bool {
        GateName::ALL
            .iter()
            .all(|gate| self.answers.iter().any(|a| a.gate == *gate))
            && self.answers.iter().all(|a| a.answer.passes())
    }

    /// The blocker that matters most, if any.
    pub fn first_blocker(&self) -> Option<&GateAnswer> {
        self.blockers().min_by_key(|a| a.gate)
    }

    /// Every answer that is not a yes.
    pub fn blockers(&self) -> impl Iterator<Item = &GateAnswer> {
        self.answers.iter().filter(|a| !a.answer.passes())
    }
}
