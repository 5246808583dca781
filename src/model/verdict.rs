//! What a run taught about its hypothesis.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// Every planned step was taken.
    Completed,
    /// Ended early.
    Aborted,
    /// No kill was made.
    Skipped,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Completed => "completed",
            Self::Aborted => "aborted",
            Self::Skipped => "skipped",
        })
    }
}

/// What a run taught about the hypothesis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HypothesisResult {
    /// Positive evidence for it.
    Held,
    /// Positive evidence against it.
    Disproved,
    /// Neither.
    Inconclusive,
    /// No kill was made, or it was a rehearsal.
    NotTested,
}

impl fmt::Display for HypothesisResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Held => "held",
            Self::Disproved => "disproved",
            Self::Inconclusive => "inconclusive",
            Self::NotTested => "not tested",
        })
    }
}

/// The verdict on a run: two fields, never one (`steady-state` §7.1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// How it ended.
    pub outcome: Outcome,
    /// What it taught.
    pub hypothesis: HypothesisResult,
    /// One word for why it ended early or was skipped; empty when completed.
    pub reason: String,
    /// The fixed sentence for people.
    pub sentence: String,
    /// `Stayed within limits: …` and `Caused by the kill: …`.
    pub lines: Vec<String>,
    /// What the run could not have seen.
    pub limits: Vec<String>,
    /// How good the design is: `weak (before/after)` until control groups exist.
    pub design: String,
    /// One comparison for each probe that counts.
    pub differences: Vec<Difference>,
}

/// Bad share after the kills against before, for one probe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Whose samples.
    pub probe: super::ids::ProbeName,
    /// Bad observations before the first kill.
    pub before_bad: u64,
    /// Observations before the first kill.
    pub before_observed: u64,
    /// Bad observations from the first kill on.
    pub after_bad: u64,
    /// Observations from the first kill on.
    pub after_observed: u64,
    /// After minus before, as a share.
    pub difference: f64,
    /// Lower end of the one-sided 95 % interval.
    pub low: f64,
    /// Upper end of the one-sided 95 % interval.
    pub high: f64,
    /// The difference that is tolerated.
    pub margin: f64,
    /// What this probe alone says.
    pub says: HypothesisResult,
}
