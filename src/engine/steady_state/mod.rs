//! Samples to evidence to abort; readings to verdict.
//!
//! Two decisions, never mixed: the *abort* compares with a declared limit after every sample
//! ([`monitor`]), the *verdict* compares the experimental group with the control group once, at the end
//! ([`verdict`]). A coincidental outage must stop a run, and must not count as a finding.

pub mod advice;
mod beside;
mod burn;
pub mod detector;
mod felt;
mod groups;
pub mod hard_line;
pub mod intervals;
pub mod latency;
pub mod lines;
pub mod monitor;
pub mod recovery;
mod rotation;
mod stages;
pub mod verdict;

use crate::model::experiment::{Reading, Sample, Share};
use crate::model::verdict::Counts;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What one tick of one probe has shown, where it has shown anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tick {
    /// When the tick was due.
    pub at: DateTime<Utc>,
    /// Observations; never 0.
    pub observed: u32,
    /// Bad ones; never more than observed.
    pub bad: u32,
}

impl Tick {
    /// `None` for a blind sample, and for one that makes no sense: nothing observed, or more bad
    /// than observed.
    pub fn of(sample: &Sample) -> Option<Self> {
        match sample.reading {
            Reading::Seen { observed, bad, .. } if observed > 0 && bad <= observed => Some(Self {
                at: sample.at,
                observed,
                bad,
            }),
            Reading::Seen { .. } | Reading::Blind { .. } => None,
        }
    }

    /// The bad share, 0 to 1.
    pub fn share(self) -> f64 {
        f64::from(self.bad) / f64::from(self.observed)
    }
}

impl Counts {
    /// Observations of several ticks together.
    pub(crate) fn of<'a>(ticks: impl IntoIterator<Item = &'a Tick>) -> Self {
        ticks
            .into_iter()
            .fold(Self::default(), |counts, tick| counts.and(*tick))
    }

    pub(crate) fn and(self, tick: Tick) -> Self {
        self + Self {
            observed: u64::from(tick.observed),
            bad: u64::from(tick.bad),
        }
    }

    /// Whether the bad share is known and at most `limit`.
    pub(crate) fn is_within(self, limit: Share) -> bool {
        self.share().is_some_and(|share| share <= limit.as_f64())
    }
}

/// Whether ticks cover a stretch from `from` to `to` without a hole longer than two intervals.
///
/// One missed tick in between makes a hole of exactly two intervals, and is let through: what
/// nobody has looked at is not steady, but one lost packet does not unmake half a minute.
pub(crate) fn covers(ticks: &[Tick], from: DateTime<Utc>, to: DateTime<Utc>, interval: Duration) -> bool {
    let hole = delta(interval.saturating_mul(2));
    let mut last = from;
    for tick in ticks {
        if tick.at - last > hole {
            return false;
        }
        last = last.max(tick.at);
    }
    !ticks.is_empty() && to - last <= hole
}

/// The stretches of this length that begin with a tick, in order, and of those only the ones that were watched
/// to their end: one that is cut off would make a few bad samples look like many. Where nothing was watched for
/// as long, all that was seen is the one stretch.
pub(crate) fn whole_stretches(
    ticks: &[Tick],
    length: TimeDelta,
    interval: Duration,
) -> impl Iterator<Item = &[Tick]> {
    let watched = ticks.last().map(|last| later(last.at, interval));
    let end = move |start: DateTime<Utc>| start.checked_add_signed(length);
    let is_whole = move |first: usize| {
        let end = end(ticks[first].at);
        first == 0 || end.zip(watched).is_some_and(|(end, watched)| end <= watched)
    };
    (0..ticks.len())
        .filter(move |first| is_whole(*first))
        .map(move |first| {
            let rest = &ticks[first..];
            match end(rest[0].at) {
                Some(end) => &rest[..rest.partition_point(|tick| tick.at < end)],
                None => rest,
            }
        })
}

/// How long a stretch has to be that is judged as one: as declared, and two samples at the least.
pub(crate) fn stretch(hold: Duration, interval: Duration) -> Duration {
    hold.max(interval.saturating_mul(2))
}

/// A length of time in chrono's type; the longest there is when it does not fit.
pub(crate) fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

/// A moment some time later; the last moment there is when it does not fit.
pub(crate) fn later(at: DateTime<Utc>, by: Duration) -> DateTime<Utc> {
    at.checked_add_signed(delta(by))
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// A moment some time earlier; the first moment there is when it does not fit.
pub(crate) fn earlier(at: DateTime<Utc>, by: Duration) -> DateTime<Utc> {
    at.checked_sub_signed(delta(by))
        .unwrap_or(DateTime::<Utc>::MIN_UTC)
}

/// A share for people: `0.4 %`, `12 %`; up to three digits after the point where they matter.
pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let digits = match percent.abs() {
        p if p >= 10.0 => 1,
        p if p >= 0.1 => 2,
        _ => 3,
    };
    let text = format!("{percent:.digits$}");
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    format!("{} %", if text == "-0" { "0" } else { text })
}

/// A length of time for people: `0.8 s`, `30 s`, `5 min`.
pub(crate) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if duration.as_secs() >= 120 && duration.as_secs().is_multiple_of(60) && duration.subsec_nanos() == 0 {
        return format!("{} min", duration.as_secs() / 60);
    }
    format!("{} s", (seconds * 10.0).round() / 10.0)
}

#[cfg(test)]
pub(crate) mod testing {
    //! What the tests of this room share.

    use crate::model::experiment::*;
    use chrono::{DateTime, TimeDelta, Utc};
    use std::time::Duration;

    /// A moment, in seconds from the beginning of the test.
    pub fn at(seconds: f64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000, 0).unwrap()
            + TimeDelta::milliseconds((seconds * 1000.0).round() as i64)
    }

    /// A probe over HTTP: 1 % limit, 50 % hard line.
    pub fn probe(name: &str, role: Role) -> ProbeSpec {
        ProbeSpec::new(
            name,
            role,
            Source::Http(Http {
                url: "http://cart.example/".into(),
                requests: 100,
                status: vec![StatusRange { from: 200, to: 299 }],
                ..Http::default()
            }),
        )
    }

    /// The defaults of a policy, with one abort probe, `edge`.
    pub fn hypothesis() -> Hypothesis {
        Hypothesis {
            interval: Duration::from_secs(1),
            timeout: Duration::from_millis(800),
            alpha: Share::percent(1),
            baseline: Baseline {
                at_least: Duration::from_secs(60),
                at_most: Duration::from_secs(600),
            },
            recovery: Recovery {
                within: Duration::from_secs(300),
                hold: Duration::from_secs(30),
                expected: true,
            },
            blind: Blindness {
                hold_fire_after: 1,
                abort_after: 3,
            },
            budget: None,
            self_check: None,
            each_task: None,
            probes: vec![probe("edge", Role::Abort)],
            control: Control::BeforeAfter,
            margin: None,
            latency_margin_percent: None,
        }
    }

    /// A sample with observations.
    pub fn seen(probe: &str, seconds: f64, bad: u32, observed: u32) -> Sample {
        Sample {
            at: at(seconds),
            probe: probe.into(),
            reading: Reading::seen(observed, bad),
        }
    }

    /// A sample without.
    pub fn blind(probe: &str, seconds: f64) -> Sample {
        Sample {
            at: at(seconds),
            probe: probe.into(),
            reading: Reading::Blind {
                why: "no route".into(),
            },
        }
    }

    /// Reproducible dice for the laws.
    pub struct Dice(pub u64);

    impl Dice {
        pub fn next(&mut self) -> u64 {
            let mut dice = crate::engine::steady_state::intervals::SplitMix64(self.0);
            let number = dice.roll();
            self.0 = dice.0;
            number
        }
        /// From 0 to 1, without 1.
        pub fn share(&mut self) -> f64 {
            (self.next() >> 11) as f64 / (1u64 << 53) as f64
        }
        /// How many of `n` come up with this chance.
        pub fn of(&mut self, n: u32, chance: f64) -> u32 {
            (0..n).filter(|_| self.share() < chance).count() as u32
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_spans_are_said_in_few_digits() {
        for (share, expected) in [
            (0.004, "0.4 %"),
            (0.0, "0 %"),
            (1.0, "100 %"),
            (0.0012, "0.12 %"),
            (0.00004, "0.004 %"),
            (0.126, "12.6 %"),
        ] {
            assert_eq!(percent(share), expected);
        }
        assert_eq!(span(Duration::from_millis(800)), "0.8 s");
        assert_eq!(span(Duration::from_secs(300)), "5 min");
        assert_eq!(span(Duration::from_secs(90)), "90 s");
    }

    #[test]
    fn a_reading_that_makes_no_sense_is_no_tick() {
        assert_eq!(Tick::of(&testing::seen("a", 0.0, 0, 0)), None);
        assert_eq!(Tick::of(&testing::seen("a", 0.0, 3, 2)), None);
        assert_eq!(Tick::of(&testing::blind("a", 0.0)), None);
        assert!(Tick::of(&testing::seen("a", 0.0, 2, 2)).is_some());
    }
}
