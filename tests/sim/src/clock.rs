//! The time of the pretend world: the real one, a faster one, or one moved by hand.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// The time by the computer's clock.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the pretend world has its own real clock"
)]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

/// How fast the time of the pretend world passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Only when it is told to.
    Manual,
    /// So many times as fast as the real one; 1 is the real one.
    Times(u32),
}

impl std::fmt::Display for Pace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Manual => f.write_str("manual"),
            Self::Times(1) => f.write_str("real"),
            Self::Times(n) => write!(f, "x{n}"),
        }
    }
}

impl std::str::FromStr for Pace {
    type Err = String;

    /// Reads `real`, `manual`, or a factor from `x1` to `x1000`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let factor = text.strip_prefix('x').and_then(|n| n.parse().ok());
        match (text, factor) {
            ("real", _) => Ok(Self::Times(1)),
            ("manual", _) => Ok(Self::Manual),
            (_, Some(n @ 1..=1000)) => Ok(Self::Times(n)),
            _ => Err("no pace of time: say real, manual, or a factor such as x10 (at most x1000)".to_owned()),
        }
    }
}

#[derive(Debug)]
struct Inner {
    pace: Pace,
    /// Both times when the pace was last set or time moved by hand.
    real: DateTime<Utc>,
    own: DateTime<Utc>,
}

/// The clock of the pretend world; clones share it.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Mutex<Inner>>);

impl Default for Clock {
    fn default() -> Self {
        Self::new(Pace::Times(1))
    }
}

impl Clock {
    /// A clock that starts with the real time.
    #[must_use]
    pub fn new(pace: Pace) -> Self {
        let real = now();
        Self(Arc::new(Mutex::new(Inner {
            pace,
            real,
            own: real,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.lock().now()
    }

    /// How fast it goes.
    #[must_use]
    pub fn pace(&self) -> Pace {
        self.lock().pace
    }

    /// Sets how fast it goes from now on.
    pub fn set_pace(&self, pace: Pace) {
        let mut inner = self.lock();
        inner.own = inner.now();
        inner.real = now();
        inner.pace = pace;
    }

    /// Moves it forward at once.
    pub fn advance(&self, by: Duration) {
        let mut inner = self.lock();
        inner.own = inner.now() + TimeDelta::from_std(by).unwrap_or_default();
        inner.real = now();
    }
}

impl Inner {
    fn now(&self) -> DateTime<Utc> {
        match self.pace {
            Pace::Manual => self.own,
            Pace::Times(n) => {
                let passed = (now() - self.real).max(TimeDelta::zero());
                self.own + passed * i32::try_from(n).unwrap_or(1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stands_still_until_it_is_moved_by_hand() {
        let clock = Clock::new(Pace::Manual);
        let before = clock.now();
        clock.advance(Duration::from_secs(30));
        assert_eq!(clock.now() - before, TimeDelta::seconds(30));
        clock.set_pace(Pace::Times(1000));
        assert!(clock.now() - before >= TimeDelta::seconds(30));
    }

    #[test]
    fn paces_are_read_and_written_alike() {
        for text in ["real", "manual", "x10", "x1000"] {
            assert_eq!(text.parse::<Pace>().map(|p| p.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "x0", "x1001", "10", "fast"] {
            assert!(text.parse::<Pace>().is_err(), "{text}");
        }
    }
}
