//! Stub.
use crate::model::policy::{Limits, Policy, Schedule};
use chrono::{DateTime, Utc};
#[derive(Debug)]
pub struct Closed {
    pub why: String,
    pub next_opening: Option<DateTime<Utc>>,
}
impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.why)
    }
}
pub fn open_until(_s: &Schedule, _l: &Limits, now: DateTime<Utc>) -> Result<DateTime<Utc>, Closed> {
    Ok(now)
}
pub fn gap_kept(_s: &Schedule, _l: &Limits, _last: DateTime<Utc>, _now: DateTime<Utc>) -> Result<(), String> {
    Ok(())
}
pub fn due(
    _seed: &str,
    _p: &Policy,
    _key: &str,
    _l: &Limits,
    _from: DateTime<Utc>,
    _to: DateTime<Utc>,
) -> Vec<DateTime<Utc>> {
    vec![]
}
pub const LATE_MAX: chrono::TimeDelta = chrono::TimeDelta::minutes(5);
