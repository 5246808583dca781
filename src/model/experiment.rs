//! A hypothesis and how it is watched: probes, tolerances, limits, and what a probe has seen.

use super::ids::ProbeName;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// A share from 0 to 1, kept in parts per million so that digests need no floats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// At least one with role `abort` in a policy that kills.
    pub probes: Vec<ProbeSpec>,
}

impl Hypothesis {
    /// The probes that can abort.
    pub fn abort_probes(&self) -> impl Iterator<Item = &ProbeSpec> {
        self.probes.iter().filter(|p| p.role == Role::Abort)
    }
}

/// The stretch before the first kill, in which the steady state has to show itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// At least this long.
    pub at_least: Duration,
    /// Given up after this long: the run is skipped, "not steady".
    pub at_most: Duration,
}

/// What counts as recovered after a kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// Within this time of the last kill, otherwise "not recovered".
    pub within: Duration,
    /// Steady for this long.
    pub hold: Duration,
}

/// What missing samples do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blindness {
    /// Missed samples in a row that close the kill gate.
    pub hold_fire_after: u32,
    /// Missed samples in a row, and at least three seconds, that abort.
    pub abort_after: u32,
}

/// How to look.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
}

/// What a probe's samples decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Gate, abort and verdict.
    Abort,
    /// The verdict only.
    Verdict,
    /// Drawn, never decides.
    Observe,
}

/// Where samples come from. One file in `probes` for each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// Requests on a fixed grid.
    Http {
        /// `http` or `https`.
        url: String,
        /// Requests in one sample, 1 to 50.
        requests: u32,
        /// What answers are good.
        status: Vec<StatusRange>,
        /// The body has to match.
        body_matches: Option<String>,
        /// Slower answers are bad.
        slower_than: Option<Duration>,
    },
    /// A connection that opens.
    Tcp {
        /// `host:port`.
        address: String,
    },
    /// `1 − healthy ÷ expected` of the target app, counted by us from task rows.
    Marathon,
}

impl Source {
    /// The word for it in policies, logs and reports.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Http { .. } => "http",
            Self::Tcp { .. } => "tcp",
            Self::Marathon => "marathon",
        }
    }
}

/// A span of HTTP status codes, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusRange {
    /// First.
    pub from: u16,
    /// Last.
    pub to: u16,
}

/// A declared, bounded lift of the limit after a kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dip {
    /// The line meanwhile.
    pub max: Share,
    /// For this long after a kill.
    pub lasts: Duration,
}

/// What one tick of one probe has shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// When the tick was due (the grid, not the answer).
    pub at: DateTime<Utc>,
    /// Whose.
    pub probe: ProbeName,
    /// What.
    pub reading: Reading,
}

/// What was seen once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reading {
    /// Observations were made.
    Seen {
        /// How many.
        observed: u32,
        /// How many of them were bad.
        bad: u32,
        /// The slowest of them in milliseconds, where time was taken.
        slowest_ms: Option<u32>,
    },
    /// Nothing could be measured: neither good nor bad.
    Blind {
        /// Why not.
        why: String,
    },
}

impl Reading {
    /// The bad share; `None` when blind or when nothing was observed.
    pub fn bad_share(&self) -> Option<f64> {
        match self {
            Self::Seen { observed, bad, .. } if *observed > 0 => Some(f64::from(*bad) / f64::from(*observed)),
            _ => None,
        }
    }
}

/// Why a run was, or has to be, aborted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "rule")]
pub enum AbortCause {
    /// The sequential detector had enough evidence.
    Limit {
        /// Whose samples.
        probe: ProbeName,
        /// Evidence as a share of what was needed, in per cent.
        evidence_percent: u32,
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
}

impl AbortCause {
    /// The fixed word for metrics and reports (`steady-state` §7.1).
    pub fn word(&self) -> &'static str {
        match self {
            Self::Limit { .. } => "limit",
            Self::Hard { .. } => "hard",
            Self::Budget { .. } => "budget",
            Self::Blind { .. } => "blind",
            Self::Manual { .. } => "manual",
            Self::Halt { .. } => "halt",
            Self::Policy { .. } => "policy",
            Self::Gate { .. } => "gate",
            Self::Restarted => "operator restarted",
            Self::Kill { .. } => "kill",
        }
    }

    /// Whether a probe has seen harm: the only aborts that can disprove a hypothesis.
    pub fn is_degradation(&self) -> bool {
        matches!(self, Self::Limit { .. } | Self::Hard { .. } | Self::Budget { .. })
    }
}

impl fmt::Display for AbortCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limit { probe, evidence_percent } => {
                write!(f, "probe {probe} stayed above its limit: {evidence_percent} % of the evidence needed")
            }
            Self::Hard { probe, observed, bad } => {
                write!(f, "probe {probe} crossed its hard line: {bad} of {observed} bad in one sample")
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
        }
    }
}
