//! How fast kills may follow each other, over state that the journal keeps.
//!
//! Two limits at once. GCRA ([`check`], by the governor crate) spaces kills out and lets a burst
//! through; alone it would allow `burst + kills` in an unlucky stretch of `per`. The sliding count
//! ([`sliding`]) forbids that: no stretch of `per` ever holds more than `kills`.

use crate::model::policy::RateLimit;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use governor::clock::FakeRelativeClock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::direct::NotKeyed;
use governor::{Quota, RateLimiter};
use std::cell::Cell;
use std::num::NonZeroU32;
use std::time::Duration;

/// Not now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The first instant at which the same question could be answered with yes if nothing else is
    /// killed meanwhile; `None` when it never could, because more is asked than the limit holds.
    pub until: Option<DateTime<Utc>>,
}

impl Wait {
    const NEVER: Self = Self { until: None };
}

/// The one number that GCRA remembers, taken from the journal and given back to it.
struct Arrival(Cell<Option<u64>>);

impl StateStore for Arrival {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, _: &NotKeyed, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let (answer, next) = decide(self.0.get().map(Nanos::from))?;
        self.0.set(Some(next.into()));
        Ok(answer)
    }
}

/// Whether `n` kills at once fit the GCRA of `limit`, given what the journal holds of it.
///
/// `arrival` is the theoretical arrival time in nanoseconds since 1970, `None` before the first kill.
/// The answer is the arrival time to journal with the intent. A clock that goes back gives no extra
/// kill: the arrival time stays where it was.
///
/// # Errors
///
/// [`Wait`], when they do not fit now.
pub fn check(limit: &RateLimit, arrival: Option<u64>, now: DateTime<Utc>, n: u32) -> Result<u64, Wait> {
    let Some(cells) = NonZeroU32::new(n) else {
        return Ok(arrival.unwrap_or(0));
    };
    let quota = quota(limit).ok_or(Wait::NEVER)?;
    let now = now
        .timestamp_nanos_opt()
        .and_then(|ns| u64::try_from(ns).ok())
        .ok_or(Wait::NEVER)?;
    // The limiter counts from the reading at its making: made at zero, its times are since 1970.
    let clock = FakeRelativeClock::default();
    let limiter: RateLimiter<_, _, _, NoOpMiddleware<Nanos>> =
        RateLimiter::new(quota, Arrival(Cell::new(arrival)), clock.clone());
    clock.advance(Duration::from_nanos(now));
    match limiter.check_n(cells) {
        Err(_) => Err(Wait::NEVER),
        Ok(Err(not_until)) => {
            let at = i64::try_from(not_until.earliest_possible().as_u64()).map_err(|_| Wait::NEVER)?;
            Err(Wait {
                until: Some(whole_milliseconds(DateTime::from_timestamp_nanos(at))),
            })
        }
        Ok(Ok(())) => Ok(limiter
            .into_state_store()
            .0
            .get()
            .expect("governor keeps the state it has decided on")),
    }
}

/// One cell in each `per / kills`, rounded up so that rounding never allows more. `None` allows nothing.
fn quota(limit: &RateLimit) -> Option<Quota> {
    let kills = NonZeroU32::new(limit.kills)?;
    let burst = NonZeroU32::new(limit.burst)?;
    let cell = limit.per.as_nanos().div_ceil(u128::from(kills.get()));
    let cell = u64::try_from(cell).ok()?;
    // Governor multiplies the cell by the burst in 64 bits.
    cell.checked_mul(u64::from(burst.get()))?;
    Some(Quota::with_period(Duration::from_nanos(cell))?.allow_burst(burst))
}

/// The first whole millisecond that is not earlier.
fn whole_milliseconds(at: DateTime<Utc>) -> DateTime<Utc> {
    let over = at.timestamp_subsec_nanos() % 1_000_000;
    if over == 0 {
        at
    } else {
        at + TimeDelta::nanoseconds(i64::from(1_000_000 - over))
    }
}

/// Whether `n` more kills now would leave every half-open stretch `[t, t + per)` with at most `kills`.
///
/// `sent` is what was sent, in any order; what may have been sent counts. Kills dated after `now`
/// (the clock went back) count as well.
///
/// # Errors
///
/// [`Wait`], when they do not fit now.
pub fn sliding(
    sent: impl Iterator<Item = (DateTime<Utc>, u32)>,
    limit: &RateLimit,
    now: DateTime<Utc>,
    n: u32,
) -> Result<(), Wait> {
    if n == 0 {
        return Ok(());
    }
    let (kills, n) = (u64::from(limit.kills), u64::from(n));
    if n > kills || limit.per.is_zero() {
        return Err(Wait::NEVER);
    }
    let per = TimeDelta::from_std(limit.per).map_err(|_| Wait::NEVER)?;
    let mut recent: Vec<_> = sent.filter(|(at, _)| now - *at < per).collect();
    recent.sort_unstable();
    let mut held: u64 = recent.iter().map(|(_, count)| u64::from(*count)).sum();
    let mut until = None;
    for (at, count) in recent {
        if held + n <= kills {
            break;
        }
        held -= u64::from(count);
        until = Some(Wait {
            until: at.checked_add_signed(per),
        });
    }
    until.map_or(Ok(()), Err)
}

/// How many of `sent` fall on the civil date that it is in `zone` now, or later: kills dated on a
/// later day are only there when the clock went back, and must not be forgotten for that.
pub fn on_this_date(sent: impl Iterator<Item = (DateTime<Utc>, u32)>, zone: Tz, now: DateTime<Utc>) -> u32 {
    let today = date_in(zone, now);
    sent.filter(|(at, _)| date_in(zone, *at) >= today)
        .fold(0, |sum, (_, count)| sum.saturating_add(count))
}

fn date_in(zone: Tz, at: DateTime<Utc>) -> NaiveDate {
    at.with_timezone(&zone).date_naive()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000 + second, 0).unwrap()
    }

    fn limit(kills: u32, per: u64, burst: u32) -> RateLimit {
        RateLimit {
            kills,
            per: Duration::from_secs(per),
            burst,
        }
    }

    #[test]
    fn a_burst_passes_and_then_one_in_each_share_of_the_time() {
        let limit = limit(6, 3600, 2);
        let first = check(&limit, None, at(0), 2).unwrap();
        assert_eq!(
            check(&limit, Some(first), at(0), 1),
            Err(Wait { until: Some(at(600)) })
        );
        assert_eq!(
            check(&limit, Some(first), at(599), 1),
            Err(Wait { until: Some(at(600)) })
        );
        let second = check(&limit, Some(first), at(600), 1).unwrap();
        assert_eq!(
            check(&limit, Some(second), at(600), 1),
            Err(Wait {
                until: Some(at(1200))
            })
        );
        assert_eq!(
            check(&limit, Some(second), at(600), 2),
            Err(Wait {
                until: Some(at(1800))
            })
        );
    }

    #[test]
    fn what_can_never_fit_is_never() {
        #[track_caller]
        fn never(limit: RateLimit, n: u32) {
            assert_eq!(check(&limit, None, at(0), n), Err(Wait::NEVER), "{limit:?}");
        }
        never(limit(0, 3600, 1), 1);
        never(limit(1, 3600, 0), 1);
        never(limit(1, 0, 1), 1);
        never(limit(6, 3600, 2), 3);
        never(limit(1, u64::MAX, u32::MAX), 1);
        assert_eq!(
            sliding(std::iter::empty(), &limit(0, 3600, 1), at(0), 1),
            Err(Wait::NEVER)
        );
        assert_eq!(
            sliding(std::iter::empty(), &limit(2, 3600, 9), at(0), 3),
            Err(Wait::NEVER)
        );
        assert_eq!(
            sliding(std::iter::empty(), &limit(2, 0, 9), at(0), 1),
            Err(Wait::NEVER)
        );
    }

    #[test]
    fn a_share_that_does_not_divide_is_rounded_up() {
        let limit = RateLimit {
            kills: 3,
            per: Duration::from_nanos(10),
            burst: 1,
        };
        let start = DateTime::from_timestamp_nanos(1_000_000_000);
        assert_eq!(check(&limit, None, start, 1), Ok(1_000_000_004));
    }

    #[test]
    fn the_stretch_is_half_open() {
        let sent = [(at(0), 2)];
        let count = |now| sliding(sent.into_iter(), &limit(2, 3600, 2), at(now), 1);
        assert_eq!(
            count(3599),
            Err(Wait {
                until: Some(at(3600))
            })
        );
        assert_eq!(count(3600), Ok(()));
    }

    #[test]
    fn the_wait_ends_when_enough_have_left_the_stretch() {
        let sent = [(at(20), 1), (at(0), 1), (at(10), 1)];
        let wait = sliding(sent.into_iter(), &limit(3, 100, 3), at(50), 2);
        assert_eq!(wait, Err(Wait { until: Some(at(110)) }));
    }

    #[test]
    fn a_clock_that_goes_back_gives_no_extra_kill() {
        let limit = limit(1, 3600, 1);
        let arrival = check(&limit, None, at(0), 1).unwrap();
        assert_eq!(
            check(&limit, Some(arrival), at(-86_400), 1),
            Err(Wait {
                until: Some(at(3600))
            })
        );
        let sent = [(at(0), 1)];
        assert!(sliding(sent.into_iter(), &limit, at(-86_400), 1).is_err());
        assert_eq!(on_this_date(sent.into_iter(), Tz::Europe__Berlin, at(-86_400)), 1);
    }

    #[test]
    fn the_day_is_civil() {
        let zone = Tz::Europe__Berlin;
        let utc = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let sent = [(utc("2026-03-29T21:59:59Z"), 1), (utc("2026-03-29T22:00:00Z"), 2)];
        assert_eq!(
            on_this_date(sent.into_iter(), zone, utc("2026-03-30T10:00:00Z")),
            2
        );
        assert_eq!(
            on_this_date(sent.into_iter(), zone, utc("2026-03-30T22:00:00Z")),
            0
        );
    }

    proptest! {
        #[test]
        fn no_stretch_holds_more_than_the_limit(
            steps in prop::collection::vec((-400_i64..2000, 1_u32..4), 1..200),
            kills in 0_u32..8,
            per in 1_u64..4000,
            burst in 1_u32..6,
        ) {
            let limit = limit(kills, per, burst);
            let (mut now, mut arrival, mut sent) = (0, None, Vec::new());
            for (step, n) in steps {
                now += step;
                let gcra = check(&limit, arrival, at(now), n);
                if sliding(sent.iter().copied(), &limit, at(now), n).is_ok() && let Ok(next) = gcra {
                    prop_assert!(arrival.is_none_or(|old| next > old));
                    arrival = Some(next);
                    sent.push((at(now), n));
                }
            }
            for (start, _) in &sent {
                let end = *start + limit.per;
                let held: u32 = sent.iter().filter(|(t, _)| t >= start && *t < end).map(|(_, n)| n).sum();
                prop_assert!(held <= kills);
            }
        }

        #[test]
        fn the_end_of_the_wait_is_exact(
            before in prop::collection::vec((0_i64..500, 1_u32..3), 0..20), n in 1_u32..5,
        ) {
            let limit = limit(5, 300, 5);
            let sent: Vec<_> = before.iter().map(|(t, n)| (at(*t), *n)).collect();
            if let Err(Wait { until: Some(until) }) = sliding(sent.iter().copied(), &limit, at(500), n) {
                prop_assert!(sliding(sent.iter().copied(), &limit, until, n).is_ok());
                let early = until - TimeDelta::milliseconds(1);
                prop_assert!(sliding(sent.iter().copied(), &limit, early, n).is_err());
            }
        }

        #[test]
        fn a_restart_changes_nothing(steps in prop::collection::vec((0_u64..900, 1_u32..3), 1..100)) {
            let limit = limit(6, 3600, 2);
            let clock = FakeRelativeClock::default();
            let lasting = RateLimiter::direct_with_clock(quota(&limit).unwrap(), clock.clone());
            let (mut now, mut arrival) = (0, None);
            for (step, n) in steps {
                now += i64::try_from(step).unwrap();
                clock.advance(Duration::from_secs(step));
                let fits = lasting.check_n(NonZeroU32::new(n).unwrap()).unwrap().is_ok();
                let ours = check(&limit, arrival, at(now), n);
                prop_assert_eq!(fits, ours.is_ok());
                arrival = ours.ok().or(arrival);
            }
        }
    }
}
