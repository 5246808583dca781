//! When a run may happen ([`windows`]), when it is meant to ([`cadence`]) and what that comes to ([`forecast`]);
//! pure functions of the policy, the limits and the time.

pub mod cadence;
mod expected;
pub mod forecast;
pub mod windows;

pub use cadence::{MISSED_AFTER, Standing, TooSoon, due, gap_allows, longest_armed, next_due, standing};
pub use windows::{Closed, is_work_day, open_until, open_windows, windows_of};

/// No question looks further ahead than this many days: a schedule without an answer by then has none.
pub(super) const HORIZON_DAYS: usize = 400;

#[cfg(test)]
mod tests;
