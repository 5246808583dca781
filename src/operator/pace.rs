//! When to look again.

use std::time::Duration;

/// While a run is open.
pub const BUSY: Duration = Duration::from_millis(500);
/// While something is charged, requested or about to be due.
pub const SOON: Duration = Duration::from_secs(5);
/// While nothing is due and nobody has asked, at the longest: a request wakes, and so does an event.
pub const QUIET: Duration = Duration::from_secs(30);
/// While nothing is going on.
pub const IDLE: Duration = Duration::from_secs(60);
/// The longest wait after failures in a row.
const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// When to come back after this many failures in a row: doubling from one second, capped, with up to a
/// quarter of jitter so that policies do not come back together.
pub fn after_failures(failures: u32, dice: u64) -> Duration {
    let base = Duration::from_secs(1 << failures.saturating_sub(1).min(6)).min(BACKOFF_MAX);
    base + jitter(base / 4, dice)
}

/// A part of `most`, by dice.
pub fn jitter(most: Duration, dice: u64) -> Duration {
    let millis = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 {
        Duration::ZERO
    } else {
        Duration::from_millis(dice % millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backs_off_to_a_cap_and_never_comes_back_at_once() {
        assert!(after_failures(1, 0) >= Duration::from_secs(1));
        assert!(after_failures(3, 0) >= Duration::from_secs(4));
        for dice in [0, 7, u64::MAX] {
            assert!(after_failures(40, dice) <= BACKOFF_MAX + BACKOFF_MAX / 4);
        }
    }
}
