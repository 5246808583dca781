//! The record of a run. Every rendering takes its numbers from here alone.

use super::approval::{Approval, Denial};
use super::experiment::Sample;
use super::gate::Judgement;
use super::ids::{AppId, PlanDigest, RunId};
use super::plan::Plan;
use super::run::{Aborted, Intent};
use super::verdict::Verdict;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Version of the report's form.
pub const SCHEMA: &str = "heartbreak/report/v1";

/// A form in which a report is written, asked for or printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The record itself; the other forms are made from it.
    Json,
    /// For terminals, pull requests and chat.
    Markdown,
    /// One page for browsers and printers, with the chart inside and nothing fetched.
    Html,
    /// The chart alone, as lines.
    Svg,
    /// The chart alone, as a picture for chat.
    Png,
    /// For pipelines: JUnit XML.
    Junit,
    /// For the tools around the Chaos Toolkit: a journal in its format.
    ChaosToolkit,
}

impl Form {
    /// Every form, the record first.
    pub const ALL: [Self; 7] = [
        Self::Json,
        Self::Markdown,
        Self::Html,
        Self::Svg,
        Self::Png,
        Self::Junit,
        Self::ChaosToolkit,
    ];

    /// The word by which people ask for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Markdown => "md",
            Self::Html => "html",
            Self::Svg => "svg",
            Self::Png => "png",
            Self::Junit => "junit",
            Self::ChaosToolkit => "chaostoolkit",
        }
    }

    /// The form with this word.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.word() == word)
    }

    /// The name of its file in the run's folder.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Json => "report.json",
            Self::Markdown => "report.md",
            Self::Html => "report.html",
            Self::Svg => "chart.svg",
            Self::Png => "chart.png",
            Self::Junit => "junit.xml",
            Self::ChaosToolkit => "chaostoolkit.json",
        }
    }

    /// The last part of its route in the API.
    pub fn route(self) -> &'static str {
        match self {
            Self::Json => "report.json",
            Self::Markdown => "report.md",
            Self::Html => "report.html",
            Self::Svg => "report.svg",
            Self::Png => "report.png",
            Self::Junit => "report.xml",
            Self::ChaosToolkit => "report.chaostoolkit.json",
        }
    }

    /// What to say in `Content-Type`.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json | Self::ChaosToolkit => "application/json",
            Self::Markdown => "text/markdown; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
            Self::Svg => "image/svg+xml",
            Self::Png => "image/png",
            Self::Junit => "application/xml",
        }
    }

    /// Whether it can be printed to a terminal.
    pub fn is_text(self) -> bool {
        self != Self::Png
    }
}

/// The whole record of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// Version of the operator that wrote it.
    pub operator: String,
    /// The run.
    pub run: RunId,
    /// What was planned.
    pub plan: Plan,
    /// Its digest.
    pub digest: PlanDigest,
    /// When the plan was made.
    pub began: DateTime<Utc>,
    /// When the run ended; `None` while it is open.
    pub ended: Option<DateTime<Utc>>,
    /// Who said yes.
    pub approvals: Vec<Approval>,
    /// Who said no.
    pub denied: Option<Denial>,
    /// Every judgement that was journalled for the run, in order.
    pub judgements: Vec<Judgement>,
    /// Every kill and what became of it.
    pub intents: Vec<Intent>,
    /// Recovery of each kill, by stage.
    pub recoveries: Vec<KillRecovery>,
    /// Why it ended early.
    pub abort: Option<Aborted>,
    /// Kill requests that left after the breach: always 0.
    pub kills_after_breach: u32,
    /// How many tasks served, over time.
    pub health: Vec<HealthPoint>,
    /// Every sample of every probe, in order; thinned when there are very many.
    pub samples: Vec<Sample>,
    /// Evidence as a share of what an abort needs, over time.
    pub evidence: Vec<EvidencePoint>,
    /// Harm done while the run was armed.
    pub harm: Vec<Harm>,
    /// What it taught; `None` while it is open.
    pub verdict: Option<Verdict>,
}

/// How many tasks of an app served at a moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HealthPoint {
    /// When.
    pub at: DateTime<Utc>,
    /// Which app.
    pub app: AppId,
    /// Serving.
    pub healthy: u32,
    /// Asked for.
    pub instances: u32,
    /// `TASK_RUNNING` rows.
    pub running: u32,
    /// Staged and starting rows.
    pub staged: u32,
}

/// Evidence of one probe at a moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvidencePoint {
    /// When.
    pub at: DateTime<Utc>,
    /// Whose.
    pub probe: super::ids::ProbeName,
    /// Per cent of what an abort needs, on the logarithmic gauge, 0 to 100.
    pub percent: u32,
}

/// When each stage after a kill was reached, by app (`steady-state` §5.1). Absent values are censored: not
/// seen before the run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KillRecovery {
    /// The step.
    pub step: u32,
    /// Which app, in a run that hits several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<AppId>,
    /// t0: the request was answered, or given up.
    pub killed: DateTime<Utc>,
    /// t1: the victim is gone.
    pub gone: Option<DateTime<Utc>>,
    /// t3: a replacement runs.
    pub running: Option<DateTime<Utc>>,
    /// t6: as many serve as before.
    pub capacity: Option<DateTime<Utc>>,
    /// t7: start of the first steady stretch after t6.
    pub steady: Option<DateTime<Utc>>,
}

/// What one probe counted while the run was armed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Harm {
    /// Whose.
    pub probe: super::ids::ProbeName,
    /// Observations.
    pub observed: u64,
    /// Bad ones.
    pub bad: u64,
    /// Highest bad share of one sample.
    pub worst: f64,
    /// Samples without an answer.
    pub blind: u64,
}
