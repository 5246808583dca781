//! What a rehearsal measured, and what follows from it.

use super::experiment::{Role, Share};
use super::ids::{PolicyName, ProbeName};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// `rehearse POLICY`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rehearsal {
    /// Which policy.
    pub policy: PolicyName,
    /// When it began.
    pub began: DateTime<Utc>,
    /// For how long was measured, in seconds.
    pub measured_s: u64,
    /// It was ended early.
    pub cut_short: bool,
    /// Sham kills, oldest first.
    pub shams: Vec<ShamKill>,
    /// What would have ended a real run, oldest first. After each the evidence begins at nothing.
    pub would_abort: Vec<WouldAbort>,
    /// One for each probe.
    pub probes: Vec<ProbeNoise>,
    /// Distance of samples and timeout that fit what was measured.
    pub timing: Timing,
    /// What was written to the policy file, when that was asked for.
    pub written: Option<String>,
    /// What the numbers leave out, in sentences.
    pub remarks: Vec<String>,
}

/// A moment at which everything was done that comes before a kill, and no kill.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShamKill {
    /// When.
    pub at: DateTime<Utc>,
    /// How many tasks would have died.
    pub tasks: u32,
    /// Which tasks would have died, or why none would.
    pub what: String,
}

/// A moment at which a real run would have ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WouldAbort {
    /// When.
    pub at: DateTime<Utc>,
    /// Why.
    pub why: String,
}

/// What one probe saw while nothing was done to the app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProbeNoise {
    /// Which.
    pub probe: ProbeName,
    /// What its samples decide.
    pub role: Role,
    /// Samples that saw something.
    pub samples: u32,
    /// Samples that saw nothing.
    pub blind: u32,
    /// Observations.
    pub observed: u64,
    /// Bad ones.
    pub bad: u64,
    /// Bad share; `None` when nothing was observed.
    pub share: Option<f64>,
    /// One-sided 95 % upper bound of it.
    pub upper: f64,
    /// Highest bad share of one sample.
    pub worst: f64,
    /// How much more the share varies from sample to sample than independent requests would let it: 1 is not more.
    pub spread: Option<f64>,
    /// Highest evidence, in per cent of what an abort takes, under the policy as it is; `None` for a probe that gathers
    /// none.
    pub evidence_peak: Option<u32>,
    /// In a sentence, why it gathers none and what ends a run instead.
    pub evidence_why: String,
    /// 99 % quantile of one request's time in milliseconds, from 1,000 requests on.
    pub p99_ms: Option<u32>,
    /// The policy's limit.
    pub limit: Share,
    /// The limit that fits what was measured; `None` when none does, or when too little was seen.
    pub limit_advised: Option<Share>,
    /// The lowest limit that what was measured would have borne.
    pub limit_tightest: Option<Share>,
    /// In a sentence.
    pub limit_why: String,
    /// L: half as slow again as the 99 % quantile, in milliseconds.
    pub slower_than_ms: Option<u32>,
    /// L, where the policy should have it: what `--write` puts into its file.
    pub slower_than_advised_ms: Option<u32>,
    /// In a sentence, why not where it should not, or why nothing is known of it.
    pub slower_than_why: String,
    /// Time to detect, under the policy as it is.
    pub delays: Vec<Delay>,
    /// Time to detect, with what is advised.
    pub delays_advised: Vec<Delay>,
}

/// How long it takes until a bad share ends a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delay {
    /// The bad share, 0 to 1.
    pub share: f64,
    /// Median in seconds; `None` when it is not detected within ten minutes, or is inside the limit.
    pub seconds: Option<f64>,
}

/// Distance of samples and timeout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Timing {
    /// As the policy has it, in milliseconds.
    pub interval_ms: u64,
    /// As the policy has it, in milliseconds.
    pub timeout_ms: u64,
    /// What fits, in milliseconds.
    pub interval_advised_ms: u64,
    /// What fits, in milliseconds.
    pub timeout_advised_ms: u64,
    /// In a sentence.
    pub why: String,
}
