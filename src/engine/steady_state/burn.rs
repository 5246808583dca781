//! A second opinion in the language of service level objectives: how fast the error budget burnt.
//!
//! The burn rate is the bad share over what the limit tolerates. Like the usual alert it counts only what two
//! windows show alike, a long one (60 s, so that a blip is none) and a short one (5 s, so that it is over when it
//! is over): the multi-window rule of the SRE workbook with windows for a watch and not for a pager
//! (`steady-state` §4.6). It has no bound on false alarms, and nothing is decided by it.

use super::{Tick, earlier};
use crate::model::experiment::Share;
use crate::model::verdict::Counts;
use chrono::{DateTime, Utc};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_secs(5);

/// The fastest burn from `from` on, in multiples of what the limit tolerates: the highest, over all samples, of
/// the slower of both windows. `None` where nothing was seen.
///
/// `ticks` are in their order in time; those before `from` only fill the windows.
pub fn fastest(ticks: &[Tick], limit: Share, from: DateTime<Utc>) -> Option<f64> {
    let rate = |upto: usize, window: Duration| {
        let since = earlier(ticks[upto].at, window);
        let begins = ticks[..=upto].partition_point(|tick| tick.at <= since);
        Counts::of(&ticks[begins..=upto]).share()
    };
    let first = ticks.partition_point(|tick| tick.at < from);
    (first..ticks.len())
        .filter_map(|n| Some(rate(n, LONG)?.min(rate(n, SHORT)?) / limit.as_f64()))
        .max_by(f64::total_cmp)
        .filter(|rate| rate.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::steady_state::testing::{at, seen};

    /// A minute of clean samples of 100, then these; the burn at a limit of 1 %.
    fn after_a_clean_minute(bad: &[u32]) -> Option<f64> {
        let clean = std::iter::repeat_n(0, 60);
        let ticks: Vec<Tick> = clean
            .chain(bad.iter().copied())
            .zip(0..)
            .filter_map(|(bad, s)| Tick::of(&seen("edge", f64::from(s), bad, 100)))
            .collect();
        fastest(&ticks, Share::percent(1), at(60.0))
    }

    #[track_caller]
    fn close(found: Option<f64>, expected: f64) {
        assert!(found.is_some_and(|f| (f - expected).abs() < 1e-9), "{found:?}");
    }

    #[test]
    fn the_slower_of_both_windows_counts() {
        // One second of total loss: 1/60 of the minute, however bad the five seconds were.
        close(after_a_clean_minute(&[100]), 100.0 / 60.0);
        // A fifth of all requests for a minute: 20 times in both.
        close(after_a_clean_minute(&[20; 60]), 20.0);
        // It is over when it is over: what the long window remembers does not count any more.
        close(after_a_clean_minute(&[0, 0, 0]), 0.0);
        let spike = after_a_clean_minute(&[100, 100, 100, 0, 0, 0, 0, 0, 0, 0]);
        close(spike, 300.0 / 60.0);
    }

    #[test]
    fn nothing_seen_burns_nothing_that_anybody_knows_of() {
        assert_eq!(fastest(&[], Share::percent(1), at(0.0)), None);
        assert_eq!(
            after_a_clean_minute(&[]),
            None,
            "what came before the kill does not count"
        );
    }
}
