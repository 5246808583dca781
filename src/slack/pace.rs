//! How fast we may talk to Slack: one message a second and channel, few edits a minute, stops and verdicts
//! with a share of their own.
//!
//! Slack allows about 50 edits a minute over all channels. GCRA lets `burst + rate` through in the worst
//! minute, so the two buckets below never exceed 30 + 10 = 40; the second is for [`Priority::First`] alone.
//! When Slack names a time to wait for a method, nothing of that method is sent before.

use crate::model::notice::Priority;
use crate::ports::clock::Clock;
use governor::clock::Clock as GovernorClock;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{NotUntil, Quota, RateLimiter};
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Edits for everybody: a burst of 6 and 24 a minute.
const UPDATES: (u32, Duration) = (6, Duration::from_millis(2_500));
/// Edits kept for stops and verdicts: a burst of 4 and 6 a minute.
const UPDATES_FIRST: (u32, Duration) = (4, Duration::from_secs(10));
/// Posts over all channels: Slack says "several hundred a minute".
const POSTS_ALL: (u32, Duration) = (4, Duration::from_millis(500));
/// Posts into one channel.
const POSTS_CHANNEL: (u32, Duration) = (1, Duration::from_secs(1));
/// How many channels are remembered before quiet ones are forgotten.
const CHANNELS_MAX: usize = 1_000;

/// Our clock, as governor reads one.
#[derive(Clone)]
struct Steady(Arc<dyn Clock>);

impl GovernorClock for Steady {
    type Instant = Duration;
    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

type Limiter = RateLimiter<String, HashMapStateStore<String>, Steady, NoOpMiddleware<Duration>>;

/// Says when the next call may leave.
pub struct Pace {
    clock: Arc<dyn Clock>,
    channel: Limiter,
    posts: Limiter,
    updates: Limiter,
    updates_first: Limiter,
    paused: Mutex<HashMap<&'static str, Duration>>,
}

impl Pace {
    /// With full buckets.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let limiter = |(burst, period): (u32, Duration)| {
            let quota = Quota::with_period(period)
                .expect("no period above is zero")
                .allow_burst(NonZeroU32::new(burst).expect("no burst above is zero"));
            RateLimiter::hashmap_with_clock(quota, Steady(clock.clone()))
        };
        Self {
            channel: limiter(POSTS_CHANNEL),
            posts: limiter(POSTS_ALL),
            updates: limiter(UPDATES),
            updates_first: limiter(UPDATES_FIRST),
            paused: Mutex::new(HashMap::new()),
            clock,
        }
    }

    /// Whether a message may go into the channel now.
    ///
    /// # Errors
    ///
    /// Not before this long.
    pub fn post(&self, channel: &str) -> Result<(), Duration> {
        if self.channel.len() > CHANNELS_MAX {
            self.channel.retain_recent();
        }
        self.take(&self.channel, channel)?;
        self.take(&self.posts, "")
    }

    /// Whether a message may be edited now.
    ///
    /// # Errors
    ///
    /// Not before this long.
    pub fn update(&self, priority: Priority) -> Result<(), Duration> {
        let common = self.take(&self.updates, "");
        match (common, priority) {
            (Err(wait), Priority::First) => self.take(&self.updates_first, "").map_err(|own| own.min(wait)),
            (answer, _) => answer,
        }
    }

    /// Whether Slack lets this method be called now.
    ///
    /// # Errors
    ///
    /// Not before this long.
    pub fn open(&self, method: &'static str) -> Result<(), Duration> {
        let paused = self.paused.lock().unwrap_or_else(PoisonError::into_inner);
        match paused
            .get(method)
            .map(|until| until.saturating_sub(self.clock.elapsed()))
        {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => Ok(()),
        }
    }

    /// Slack asked to wait.
    pub fn pause(&self, method: &'static str, wait: Duration) {
        metrics::counter!("heartbreak_slack_rate_limited_total").increment(1);
        let mut paused = self.paused.lock().unwrap_or_else(PoisonError::into_inner);
        paused.insert(method, self.clock.elapsed() + wait);
    }

    fn take(&self, limiter: &Limiter, key: &str) -> Result<(), Duration> {
        limiter
            .check_key(&key.to_owned())
            .map_err(|until: NotUntil<Duration>| until.wait_time_from(self.clock.elapsed()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slack::pretend::ClockInHand;

    fn pace() -> (Arc<ClockInHand>, Pace) {
        let clock = Arc::new(ClockInHand::default());
        (clock.clone(), Pace::new(clock))
    }

    /// How many get through in a minute of trying ten times a second.
    fn in_a_minute(clock: &ClockInHand, mut ask: impl FnMut() -> bool) -> usize {
        (0..600)
            .filter(|_| {
                clock.advance(Duration::from_millis(100));
                ask()
            })
            .count()
    }

    #[test]
    fn a_channel_takes_one_message_a_second() {
        let (clock, pace) = pace();
        assert_eq!(pace.post("C1"), Ok(()));
        assert!(pace.post("C1").is_err());
        assert_eq!(pace.post("C2"), Ok(()), "another channel has its own second");
        clock.advance(Duration::from_secs(1));
        assert_eq!(pace.post("C1"), Ok(()));
        let (clock, pace) = self::pace();
        assert!(in_a_minute(&clock, || pace.post("C1").is_ok()) <= 61);
    }

    #[test]
    fn a_quarter_of_the_edits_is_kept_for_stops_and_verdicts() {
        let (clock, pace) = pace();
        let ticks = in_a_minute(&clock, || pace.update(Priority::Last).is_ok());
        assert!((24..=30).contains(&ticks), "{ticks}");
        let stops = (0..20).filter(|_| pace.update(Priority::First).is_ok()).count();
        assert!(
            stops >= 4,
            "after a minute of ticks {stops} stops get through at once"
        );
        let (clock, pace) = self::pace();
        let all = in_a_minute(&clock, || pace.update(Priority::First).is_ok());
        assert!((30..=40).contains(&all), "{all}");
    }

    #[test]
    fn a_wait_is_for_one_method() {
        let (clock, pace) = pace();
        pace.pause("chat.update", Duration::from_secs(7));
        assert_eq!(pace.open("chat.update"), Err(Duration::from_secs(7)));
        assert_eq!(pace.open("chat.postMessage"), Ok(()));
        clock.advance(Duration::from_secs(7));
        assert_eq!(pace.open("chat.update"), Ok(()));
    }

    #[test]
    fn the_wait_that_is_named_is_long_enough() {
        let (clock, pace) = pace();
        while pace.update(Priority::Third).is_ok() {}
        let wait = pace.update(Priority::Third).expect_err("used up");
        clock.advance(wait);
        assert_eq!(pace.update(Priority::Third), Ok(()));
    }
}
