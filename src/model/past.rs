//! What an app's experiments have taught so far.

use super::ids::{AppId, ClusterName, PolicyName, RunId};
use super::verdict::{HypothesisResult, Outcome};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// One run that ended, as far as a score needs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Taught {
    /// Which run.
    pub run: RunId,
    /// Under which policy.
    pub policy: PolicyName,
    /// Where.
    pub cluster: ClusterName,
    /// When it ended.
    pub at: DateTime<Utc>,
    /// How it ended.
    pub outcome: Outcome,
    /// What it taught.
    pub hypothesis: HypothesisResult,
    /// One word for why it ended early or was skipped.
    pub reason: String,
    /// It killed nothing on purpose.
    pub rehearsed: bool,
    /// The apps that it was about, each with its fault class: what was done to it and what judged it.
    pub apps: Vec<(AppId, String)>,
}

/// `history APP`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppPast {
    /// Which app.
    pub app: AppId,
    /// As of.
    pub at: DateTime<Utc>,
    /// One for each cluster and fault class, the one with the latest result first. Never averaged: surviving a small
    /// fault says nothing about a large one.
    pub classes: Vec<ClassPast>,
}

/// What an app's experiments of one fault class have taught.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClassPast {
    /// Where.
    pub cluster: ClusterName,
    /// What was done to the app, and what judged it.
    pub class: String,
    /// Runs that held.
    pub held: u32,
    /// Runs that disproved.
    pub disproved: u32,
    /// Runs that killed and taught nothing.
    pub inconclusive: u32,
    /// Runs that killed nothing.
    pub skipped: u32,
    /// Rehearsals.
    pub rehearsed: u32,
    /// The score; `None` below three counted runs: "not enough experiments".
    pub score: Option<Score>,
    /// In a sentence, with the counts.
    pub sentence: String,
    /// Why the score falls without a failure, if it does: nothing was counted for a half-life.
    pub stale: Option<String>,
    /// Every run, oldest first: the ticks of a chart.
    pub results: Vec<ResultPoint>,
    /// Mean and band over time, oldest first: the lines of a chart.
    pub trend: Vec<TrendPoint>,
}

/// Runs that held or disproved before there is a score: fewer are "not enough experiments".
pub const COUNTED_MIN: u32 = 3;

impl ClassPast {
    /// The trend from where on there is a score; before that its lower edge is no statement.
    pub fn scored(&self) -> &[TrendPoint] {
        if self.score.is_none() {
            return &[];
        }
        let counted = self.results.iter().filter(|result| {
            matches!(
                result.hypothesis,
                HypothesisResult::Held | HypothesisResult::Disproved
            )
        });
        let Some(enough) = counted.map(|result| result.at).nth(COUNTED_MIN as usize - 1) else {
            return &[];
        };
        let first = self.trend.partition_point(|point| point.at < enough);
        &self.trend[first..]
    }
}

/// The chance to survive a fault of a class, from the counted runs: a survival rate under *our* kills, not an
/// availability.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Score {
    /// It is at least this with 95 % confidence: the headline. 0 to 1.
    pub low: f64,
    /// Its mean. 0 to 1.
    pub mean: f64,
    /// Counted runs.
    pub counted: u32,
    /// How many fresh runs they are worth: each loses half its weight in 90 days.
    pub worth: f64,
}

/// One run in a chart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResultPoint {
    /// When it ended.
    pub at: DateTime<Utc>,
    /// Which.
    pub run: RunId,
    /// Under which policy.
    pub policy: PolicyName,
    /// How it ended.
    pub outcome: Outcome,
    /// What it taught.
    pub hypothesis: HypothesisResult,
    /// One word for why it ended early or was skipped.
    pub reason: String,
}

/// The score at a moment, with the ends of its 90 % band. There from the first counted run on, also below three.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrendPoint {
    /// When.
    pub at: DateTime<Utc>,
    /// 5 % quantile.
    pub low: f64,
    /// Mean.
    pub mean: f64,
    /// 95 % quantile.
    pub high: f64,
}
