//! The record of a run. Every rendering takes its numbers from here alone.

use super::approval::{Approval, Denial};
use super::experiment::Sample;
use super::gate::Judgement;
use super::ids::{AppId, InstanceId, PlanDigest, RunId, TaskId};
use super::plan::Plan;
use super::run::{Aborted, Intent};
use super::verdict::Verdict;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    /// The same over all kills: median and worst of every stage.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<StageSummary>,
    /// Marathon's clock minus ours in milliseconds, where that is more than a second: stages by Marathon's
    /// clock have it taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_offset_ms: Option<i64>,
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    /// Tasks that came after the watch began, those of whose rows something is new.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fresh: Vec<FreshTask>,
    /// Seconds for which Marathon's launch queue still holds back new tasks of the app, as last known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launch_delay_s: Option<u64>,
    /// Marathon's clock minus ours in milliseconds, as last known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_offset_ms: Option<i64>,
    /// What its tasks answered, each asked by itself; only where the policy asks for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asked: Vec<TaskAnswer>,
}

/// What one task answered when it was asked by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskAnswer {
    /// Which.
    pub task: TaskId,
    /// How long a good answer took, in milliseconds; absent when there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ms: Option<u32>,
    /// Why it could not be asked, when nothing was learnt about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blind: Option<String>,
}

/// A task that was not there when the watch began, as its row says, by Marathon's clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FreshTask {
    /// Its id.
    pub task: TaskId,
    /// What survives a restart on Marathon 1.8 and later.
    pub instance: InstanceId,
    /// `stagedAt`.
    pub staged: Option<DateTime<Utc>>,
    /// `startedAt`.
    pub started: Option<DateTime<Utc>>,
    /// The first success of its health checks.
    pub healthy: Option<DateTime<Utc>>,
    /// Its host and its first port, `agent7.example:31005`, while it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Its first good answer to us, by our clock; only where the policy has every task asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered: Option<DateTime<Utc>>,
}

/// Evidence of one probe at a moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KillRecovery {
    /// The step.
    pub step: u32,
    /// Which app, in a run that hits several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<AppId>,
    /// t0: Marathon accepted the kill; where that is not known, the moment at which it was decided on.
    pub killed: DateTime<Utc>,
    /// t1: the victim is gone.
    pub gone: Option<DateTime<Utc>>,
    /// t2: the last replacement was staged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staged: Option<DateTime<Utc>>,
    /// t3: a replacement runs.
    pub running: Option<DateTime<Utc>>,
    /// t4: the last replacement passed its health checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthy: Option<DateTime<Utc>>,
    /// t4′: the last replacement gave us a good answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answering: Option<DateTime<Utc>>,
    /// t5: a load balancer sends sessions to the replacements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<DateTime<Utc>>,
    /// t6: as many serve as before.
    pub capacity: Option<DateTime<Utc>>,
    /// t7: start of the first steady stretch after t6.
    pub steady: Option<DateTime<Utc>>,
    /// Where each stage comes from. A load balancer stands here also where it was looked at and did not show
    /// the stage; where it does not stand here nobody looked, and when the stage was reached is unknown.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub origins: BTreeMap<Stage, Origin>,
    /// Nothing linked the replacements to their victims but their order.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_order: bool,
    /// What users felt of it, by probe; empty where nothing can be compared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub felt: Vec<Felt>,
}

/// A stage after a kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Stage {
    /// t0: the kill was answered.
    Killed,
    /// t1: the victim is gone.
    Gone,
    /// t2: a replacement is staged.
    Staged,
    /// t3: a replacement runs.
    Running,
    /// t4: a replacement is healthy.
    Healthy,
    /// t4′: a replacement answers us.
    Answering,
    /// t5: a load balancer sends sessions to the replacement.
    Rotation,
    /// t6: as many serve as before.
    Capacity,
    /// t7: the steady state holds again.
    Steady,
}

impl Stage {
    /// Those that follow a kill, in their order.
    pub const ALL: [Self; 8] = [
        Self::Gone,
        Self::Staged,
        Self::Running,
        Self::Healthy,
        Self::Answering,
        Self::Rotation,
        Self::Capacity,
        Self::Steady,
    ];

    /// When a kill reached it.
    pub fn of(self, kill: &KillRecovery) -> Option<DateTime<Utc>> {
        match self {
            Self::Killed => Some(kill.killed),
            Self::Gone => kill.gone,
            Self::Staged => kill.staged,
            Self::Running => kill.running,
            Self::Healthy => kill.healthy,
            Self::Answering => kill.answering,
            Self::Rotation => kill.rotation,
            Self::Capacity => kill.capacity,
            Self::Steady => kill.steady,
        }
    }

    /// In words: `victim gone`.
    pub fn words(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::Gone => "victim gone",
            Self::Staged => "replacement staged",
            Self::Running => "replacement running",
            Self::Healthy => "replacement healthy",
            Self::Answering => "replacement answers us",
            Self::Rotation => "in rotation",
            Self::Capacity => "capacity restored",
            Self::Steady => "steady again",
        }
    }
}

/// Where the moment of a stage comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Origin {
    /// Our clock, when the answer to the kill came.
    Answer,
    /// Our clock, when the intent became durable: no answer came, or its moment is not known.
    Intent,
    /// Our clock, at the first look that showed it.
    Look,
    /// Marathon's clock, in the task's row.
    TaskRow,
    /// Marathon's clock, in the result of a health check.
    HealthResult,
    /// Our clock, at the proof that the kill is over.
    Proof,
    /// The probes' samples.
    Samples,
    /// Our clock, at the first good answer to a request of ours.
    OwnRequest,
    /// Our clock, at the first look at the load balancers' statistics that showed it.
    Balancer,
}

impl Origin {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Answer => "our clock, at the answer",
            Self::Intent => "our clock, at the intent",
            Self::Look => "our clock, at the first look that showed it",
            Self::TaskRow => "the task's row",
            Self::HealthResult => "the health check's result",
            Self::Proof => "our clock, at the proof",
            Self::Samples => "the probes' samples",
            Self::OwnRequest => "our clock, at its first good answer to us",
            Self::Balancer => "the load balancer's statistics",
        }
    }
}

/// What users felt of one kill, as one probe saw it: from the kill until the app was steady again, compared
/// with times in which nothing was killed (`steady-state` §5.2).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Felt {
    /// Whose samples.
    pub probe: super::ids::ProbeName,
    /// Observations.
    pub observed: u64,
    /// Bad ones.
    pub bad: u64,
    /// Seconds of total loss that it amounts to, summed with its sign.
    pub dip_area_s: f64,
    /// Failures beyond what there would have been anyway.
    pub attributable: f64,
    /// Lower end of their two-sided 95 % interval.
    pub attributable_low: f64,
    /// Upper end of their two-sided 95 % interval.
    pub attributable_high: f64,
    /// Highest bad share of one second, or of one sample where those are rarer.
    pub worst_second: f64,
    /// Highest bad share of ten seconds.
    pub worst_ten_seconds: f64,
    /// Requests that a load balancer tried again on the same server.
    pub masked_retries: u64,
    /// Requests that a load balancer sent to another server: no error, up to its connect timeout of delay.
    pub masked_redispatches: u64,
}

/// One stage over all kills of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StageSummary {
    /// Which.
    pub stage: Stage,
    /// Kills.
    pub kills: u32,
    /// Kills that were not seen to reach it.
    pub censored: u32,
    /// The median from the kill on, by Kaplan and Meier; `None` when fewer than half were seen to reach it.
    pub median_ms: Option<u64>,
    /// The longest.
    pub worst_ms: u64,
    /// The longest was not seen to its end: it took longer than that.
    pub worst_is_censored: bool,
}

/// What one probe counted while the run was armed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    /// How many times faster than its limit tolerates the error budget burnt, over 60 s and 5 s alike, at its
    /// fastest; absent where nothing was seen, and in records of older versions. Nothing was decided by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burn: Option<f64>,
}
