//! Stub.
use crate::model::policy::RateLimit;
use chrono::{DateTime, Utc};
#[derive(Debug)]
pub struct Wait {
    pub until: Option<DateTime<Utc>>,
}
impl std::fmt::Display for Wait {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "wait")
    }
}
pub fn check(_l: &RateLimit, _a: Option<u64>, _now: DateTime<Utc>, _n: u32) -> Result<u64, Wait> {
    Ok(0)
}
pub fn sliding(
    _s: impl Iterator<Item = (DateTime<Utc>, u32)>,
    _l: &RateLimit,
    _now: DateTime<Utc>,
    _n: u32,
) -> Result<(), Wait> {
    Ok(())
}
