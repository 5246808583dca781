//! What the schedules hold for a stretch of dates.

use super::ids::{ClusterName, PolicyName};
use super::policy::Mode;
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

/// The calendar of all policies from one date to another, both included, by the dates of each policy's zone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Forecast {
    /// First date.
    pub from: NaiveDate,
    /// Last date.
    pub to: NaiveDate,
    /// SHA-256 of the seed that the moments are drawn from: published in advance, it proves later, when the seed is
    /// shown, that nothing was chosen by hand. `None` without a seed: then there are expectations but no moments.
    pub seed_sha256: Option<String>,
    /// One for each policy, app and month, in this order.
    pub months: Vec<MonthAhead>,
    /// The moments, in the order of time.
    pub moments: Vec<Moment>,
    /// What the numbers leave out, in sentences.
    pub remarks: Vec<String>,
}

/// What is to be expected of one policy for one app in one month.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MonthAhead {
    /// Which policy.
    pub policy: PolicyName,
    /// How far it goes.
    pub mode: Mode,
    /// Where.
    pub cluster: ClusterName,
    /// Which app; the policy's own words where it does not name its apps one by one.
    pub app: String,
    /// `2026-03`.
    pub month: String,
    /// Dates on which a run can begin and still end inside its window.
    pub days: u32,
    /// Runs to be expected on average, with what minimum gaps take away.
    pub runs: f64,
    /// Runs that the seed draws, the minimum gap kept; `None` without a seed, and where several apps share the turns.
    pub drawn: Option<u32>,
    /// Kills to be expected.
    pub kills: f64,
    /// Kills if every run that is drawn, or expected, kills as many tasks as it may.
    pub kills_max: u32,
}

/// A moment at which a policy is meant to start a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Moment {
    /// When.
    pub at: DateTime<Utc>,
    /// The same in the policy's zone, with weekday and abbreviation.
    pub local: String,
    /// The longest that the run may take, in seconds.
    pub longest_s: u64,
    /// Which policy.
    pub policy: PolicyName,
    /// How far it goes.
    pub mode: Mode,
    /// Which app, as in [`MonthAhead::app`]; of several one is drawn then.
    pub app: String,
    /// Kills at the most.
    pub kills_max: u32,
    /// Why it will not begin, where that is foreseeable.
    pub held_back: Option<String>,
}
