//! A hypothesis and how it is watched: probes, tolerances, limits, and what a probe has seen.

mod reading;
mod source;

pub use reading::{Detail, Masked, Phases, PoolServer, Pooled, Reading, Sample};
pub use source::{
    AnyOf, Decimal, Graphite, Haproxy, Http, Influxdb, JsonRule, JsonWant, Prometheus, SHARE_COUNTS_AS,
    Source, StatusRange,
};

use super::ids::{AppId, ProbeName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// A share from 0 to 1, kept in parts per million so that digests need no floats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Share(pub u32);

impl Share {
    /// All of it.
    pub const WHOLE: Self = Self(1_000_000);
    /// From per cent.
    pub const fn percent(percent: u32) -> Self {
        Self(percent * 10_000)
    }
    /// As a number from 0 to 1.
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / 1e6
    }
}

impl fmt::Display for Share {
    /// `1 %`, `0.5 %`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", f64::from(self.0) / 10_000.0)
    }
}

/// The steady state that an experiment claims will survive (`steady-state` §2.7).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Hypothesis {
    /// Distance of samples, 200 ms to 60 s.
    pub interval: Duration,
    /// Longest time one sample may take; shorter than the interval.
    pub timeout: Duration,
    /// Bound on a false abort per armed window, over all abort probes together.
    pub alpha: Share,
    /// The stretch before the first kill.
    pub baseline: Baseline,
    /// What counts as recovered.
    pub recovery: Recovery,
    /// Samples without an answer.
    pub blind: Blindness,
    /// Failed requests in the armed window that end the run, when given.
    pub budget: Option<u64>,
    /// What is asked to tell "we are cut off" from "the service is down"; Marathon when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_check: Option<String>,
    /// At least one with role `abort` in a policy that kills.
    pub probes: Vec<ProbeSpec>,
    /// How every task is asked by itself, where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub each_task: Option<EachTask>,
    /// How control and experiment are told apart. What an older version wrote has none: before/after.
    #[serde(default, skip_serializing_if = "Control::is_before_after")]
    pub control: Control,
    /// The difference that is tolerated; half of each probe's limit when it is not declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<Share>,
    /// How many times as long the slowest 1 % of answers may take, in hundredths; 1.5 when it is not declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_margin_percent: Option<u32>,
}

/// How many times as long the slowest 1 % of answers may take where nothing else is declared (`steady-state` §4.4).
pub const LATENCY_MARGIN: f64 = 1.5;

impl Hypothesis {
    /// The probes that can abort.
    pub fn abort_probes(&self) -> impl Iterator<Item = &ProbeSpec> {
        self.probes.iter().filter(|p| p.role == Role::Abort)
    }

    /// The probes that the verdict counts, in the group that is experimented on: each of them is compared
    /// with its counterpart in the control group, or with itself at other times.
    ///
    /// Where two apps are compared, a probe without a counterpart counts for nothing.
    pub fn verdict_probes(&self) -> impl Iterator<Item = &ProbeSpec> {
        let two = self.control.left_alone().is_some();
        self.probes.iter().filter(move |p| {
            p.role != Role::Observe
                && p.group() == Group::Experiment
                && (!two || self.counterpart(&p.name).is_some())
        })
    }

    /// The probe of the control group that belongs to one of the experimental group.
    pub fn counterpart(&self, probe: &ProbeName) -> Option<&ProbeSpec> {
        self.probes.iter().find(|p| p.control_for.as_ref() == Some(probe))
    }

    /// The difference that is tolerated for a probe, as a share.
    pub fn margin_of(&self, probe: &ProbeSpec) -> f64 {
        self.margin.map_or(probe.max.as_f64() / 2.0, Share::as_f64)
    }

    /// How many times as long the slowest 1 % of answers may take.
    pub fn latency_margin(&self) -> f64 {
        self.latency_margin_percent
            .map_or(LATENCY_MARGIN, |percent| f64::from(percent) / 100.0)
    }
}

/// Asks every task by itself, at its host and its first port (`steady-state` §3.1): it shows how the app copes and
/// when a replacement first answers, to the second, however rare Marathon's own checks are. It decides nothing: the
/// victim is down by construction, and a load balancer would have spared its users much of what is seen here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EachTask {
    /// Path and query of the request, such as `/health`.
    pub path: String,
}

/// How control and experiment are told apart (`steady-state` §3).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", tag = "design")]
pub enum Control {
    /// The same app before the first kill: the weakest design.
    #[default]
    BeforeAfter,
    /// Windows of the same app after a kill against windows after a sham, in pairs, their order drawn.
    Sham {
        /// Pairs that a verdict rests on. A run with fewer adds the pairs of earlier runs; it never kills more.
        pairs: u32,
        /// How long each slot is compared.
        window: Duration,
        /// The least time between the end of a window and the next slot.
        settle: Duration,
    },
    /// Two apps of the same definition side by side, each with its own probes.
    Parallel {
        /// The app that is left alone.
        control: AppId,
        /// The app that is hit.
        experiment: AppId,
    },
    /// Before against after, less what an untouched app did meanwhile.
    Reference {
        /// The app that is left alone.
        app: AppId,
    },
}

impl Control {
    /// Whether there is no control group at all.
    pub fn is_before_after(&self) -> bool {
        *self == Self::BeforeAfter
    }

    /// The least time between two slots; none of its own for other designs.
    pub fn slot(&self) -> Duration {
        match self {
            Self::Sham { window, settle, .. } => window.saturating_add(*settle),
            Self::BeforeAfter | Self::Parallel { .. } | Self::Reference { .. } => Duration::ZERO,
        }
    }

    /// How long each slot is compared; nothing for designs without slots.
    pub fn window(&self) -> Duration {
        match self {
            Self::Sham { window, .. } => *window,
            Self::BeforeAfter | Self::Parallel { .. } | Self::Reference { .. } => Duration::ZERO,
        }
    }

    /// The app that must be left alone: the control group.
    pub fn left_alone(&self) -> Option<&AppId> {
        match self {
            Self::Parallel { control: app, .. } | Self::Reference { app } => Some(app),
            Self::BeforeAfter | Self::Sham { .. } => None,
        }
    }

    /// The name of the design, and how much a verdict under it can be trusted.
    pub fn label(&self) -> &'static str {
        match self {
            Self::BeforeAfter => "weak (before/after)",
            Self::Sham { .. } => "good (sham slots)",
            Self::Parallel { .. } => "strong (parallel apps)",
            Self::Reference { .. } => "moderate (reference app)",
        }
    }
}

/// Which of the two groups a probe looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// The app that is left alone.
    Control,
    /// The app that is hit.
    Experiment,
}

/// The stretch before the first kill, in which the steady state has to show itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Baseline {
    /// At least this long.
    pub at_least: Duration,
    /// Given up after this long: the run is skipped, "not steady".
    pub at_most: Duration,
}

/// What counts as recovered after a kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Recovery {
    /// Within this time of the last kill, otherwise "not recovered".
    pub within: Duration,
    /// Steady for this long.
    pub hold: Duration,
    /// Whether the policy says so itself: then an app that does not recover in time disproves the hypothesis,
    /// and otherwise nothing is concluded from it (`steady-state` §7.1). Older versions did not ask.
    #[serde(default = "Recovery::is_expected", skip_serializing_if = "Clone::clone")]
    pub expected: bool,
}

impl Recovery {
    fn is_expected() -> bool {
        true
    }
}

/// What missing samples do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Blindness {
    /// Missed samples in a row that close the kill gate.
    pub hold_fire_after: u32,
    /// Missed samples in a row, and at least three seconds, that abort.
    pub abort_after: u32,
}

/// How to look.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProbeSpec {
    /// Unique in the policy.
    pub name: ProbeName,
    /// What its samples decide.
    pub role: Role,
    /// Where they come from.
    pub source: Source,
    /// The limit line: highest tolerated bad share.
    pub max: Share,
    /// The hard line: degradation by definition, from one sample with enough requests.
    pub hard: Share,
    /// Lifts both lines for a while after a kill.
    pub dip: Option<Dip>,
    /// What a measured number has to be; then each sample is one observation, good or bad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<ValueRule>,
    /// Distance of its samples, a multiple of the hypothesis' interval; that interval when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Duration>,
    /// Loosens the limit line by what a control sees at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relative: Option<Relative>,
    /// Missed samples in a row that abort, where not as the hypothesis has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort_after: Option<u32>,
    /// So many samples in a row above the limit that end the run, besides the detector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consecutive: Option<u32>,
    /// Looks at the control group, and is compared with this probe of the experimental group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control_for: Option<ProbeName>,
}

impl ProbeSpec {
    /// Whether its bad observations are failed requests, which the budget counts; a task that does
    /// not serve is none.
    pub fn counts_requests(&self) -> bool {
        self.value.is_none()
            && match &self.source {
                Source::Http(_) | Source::Tcp { .. } | Source::Haproxy(_) => true,
                // Only where it says how many requests its share is made of.
                Source::Prometheus(prometheus) => prometheus.requests.is_some(),
                // Of a group one vantage point speaks for all.
                Source::AnyOf(_)
                | Source::Marathon
                | Source::Graphite(_)
                | Source::Influxdb(_)
                | Source::Command { .. } => false,
            }
    }

    /// A probe with the limits of a policy that says nothing of them: 1 % and 50 %.
    pub fn new(name: impl Into<ProbeName>, role: Role, source: Source) -> Self {
        Self {
            name: name.into(),
            role,
            source,
            max: Share::percent(1),
            hard: Share::percent(50),
            dip: None,
            value: None,
            every: None,
            relative: None,
            abort_after: None,
            consecutive: None,
            control_for: None,
        }
    }

    /// Which group it looks at.
    pub fn group(&self) -> Group {
        match self.control_for {
            Some(_) => Group::Control,
            None => Group::Experiment,
        }
    }
}

/// What a measured number has to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ValueRule {
    /// Between two ends, both included; at least one is there.
    Range {
        /// At least.
        min: Option<Decimal>,
        /// At most.
        max: Option<Decimal>,
    },
    /// Exactly this.
    Equals(Decimal),
    /// At most this much above the mean of the baseline (a negative number: below it), in per cent.
    BaselinePercent(i32),
}

/// Requests of a baseline below which its 99th percentile says little (`steady-state` §2.3).
pub const P99_REQUESTS: u32 = 1_000;

/// Samples of a baseline below which its mean says little.
pub const MEAN_SAMPLES: u32 = 30;

impl fmt::Display for ValueRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range {
                min: Some(min),
                max: Some(max),
            } => write!(f, "from {min} to {max}"),
            Self::Range { min: Some(min), .. } => write!(f, "at least {min}"),
            Self::Range { max: Some(max), .. } => write!(f, "at most {max}"),
            Self::Range { .. } => f.write_str("anything"),
            Self::Equals(wanted) => write!(f, "exactly {wanted}"),
            Self::BaselinePercent(percent) if *percent < 0 => {
                write!(
                    f,
                    "at most {} % below the baseline's mean",
                    percent.unsigned_abs()
                )
            }
            Self::BaselinePercent(percent) => write!(f, "at most {percent} % above the baseline's mean"),
        }
    }
}

/// A limit line that follows a control: `max(limit, ratio × upper 95 % bound of the control's last
/// window)`. It loosens the limit line, never the hard line and never the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Relative {
    /// How many times the control's bad share is tolerated, in per cent: 200 is twice.
    pub ratio_percent: u32,
    /// How far back the control is looked at.
    pub window: Duration,
}

/// What a probe's samples decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Gate, abort and verdict.
    Abort,
    /// The verdict only.
    Verdict,
    /// Drawn, never decides.
    Observe,
}

/// A declared, bounded lift of the limit after a kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Dip {
    /// The line meanwhile.
    pub max: Share,
    /// For this long after a kill.
    pub lasts: Duration,
}

/// Why a run was, or has to be, aborted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", tag = "rule")]
pub enum AbortCause {
    /// The sequential detector had enough evidence.
    Limit {
        /// Whose samples.
        probe: ProbeName,
        /// Evidence as a share of what was needed, in per cent.
        evidence_percent: u32,
    },
    /// As many samples in a row above the limit as the policy takes for harm.
    Consecutive {
        /// Whose samples.
        probe: ProbeName,
        /// How many.
        samples: u32,
    },
    /// One sample beyond the hard line.
    Hard {
        /// Whose sample.
        probe: ProbeName,
        /// Observed.
        observed: u32,
        /// Bad.
        bad: u32,
    },
    /// Too many failed requests in all.
    Budget {
        /// How many failed.
        failed: u64,
        /// How many were allowed.
        allowed: u64,
    },
    /// Too long without an answer.
    Blind {
        /// Whose.
        probe: ProbeName,
        /// Samples missed in a row.
        missed: u32,
        /// Why.
        why: String,
    },
    /// A person.
    Manual {
        /// Who, for display.
        by: String,
        /// Why.
        reason: String,
    },
    /// A halt.
    Halt {
        /// Who, for display.
        by: String,
        /// Why.
        reason: String,
    },
    /// The policy was changed, suspended or removed.
    Policy {
        /// What happened to it.
        why: String,
    },
    /// A gate refused in the middle of the run.
    Gate {
        /// Which, and what it said.
        why: String,
    },
    /// The operator restarted while the run was armed.
    Restarted,
    /// Marathon did not do what a kill needs.
    Kill {
        /// What.
        why: String,
    },
    /// The app was not whole and steady again in time after a step.
    NotRecovered {
        /// Which step, from 1.
        step: u32,
        /// What was still missing.
        why: String,
    },
}

impl AbortCause {
    /// The fixed word for metrics and reports (`steady-state` §7.1).
    pub fn word(&self) -> &'static str {
        match self {
            Self::Limit { .. } | Self::Consecutive { .. } => "limit",
            Self::Hard { .. } => "hard",
            Self::Budget { .. } => "budget",
            Self::Blind { .. } => "blind",
            Self::Manual { .. } => "manual",
            Self::Halt { .. } => "halt",
            Self::Policy { .. } => "policy",
            Self::Gate { .. } => "gate",
            Self::Restarted => "operator restarted",
            Self::Kill { .. } => "kill",
            Self::NotRecovered { .. } => "not recovered",
        }
    }

    /// Whether a probe has seen harm: the only aborts that can disprove a hypothesis.
    pub fn is_degradation(&self) -> bool {
        self.culprit().is_some() || matches!(self, Self::Budget { .. })
    }

    /// The probe that saw harm, where it was one.
    pub fn culprit(&self) -> Option<&ProbeName> {
        match self {
            Self::Limit { probe, .. } | Self::Consecutive { probe, .. } | Self::Hard { probe, .. } => {
                Some(probe)
            }
            _ => None,
        }
    }
}

impl fmt::Display for AbortCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limit {
                probe,
                evidence_percent,
            } => {
                write!(
                    f,
                    "probe {probe} stayed above its limit: {evidence_percent} % of the evidence needed"
                )
            }
            Self::Consecutive { probe, samples } => {
                write!(
                    f,
                    "probe {probe} was above its limit in {samples} samples in a row"
                )
            }
            Self::Hard { probe, observed, bad } => {
                write!(
                    f,
                    "probe {probe} crossed its hard line: {bad} of {observed} bad in one sample"
                )
            }
            Self::Budget { failed, allowed } => write!(f, "{failed} failed requests, {allowed} allowed"),
            Self::Blind { probe, missed, why } => {
                write!(f, "probe {probe} gave no answer {missed} times in a row ({why})")
            }
            Self::Manual { by, reason } => write!(f, "aborted by {by}: {reason}"),
            Self::Halt { by, reason } => write!(f, "halted by {by}: {reason}"),
            Self::Policy { why } => f.write_str(why),
            Self::Gate { why } => write!(f, "a gate closed: {why}"),
            Self::Restarted => f.write_str("the operator restarted while the run was armed"),
            Self::Kill { why } => f.write_str(why),
            Self::NotRecovered { step, why } => {
                write!(f, "the app had not recovered from step {step} in time: {why}")
            }
        }
    }
}
