//! What tests of this folder share: a clock that moves only when told.

use crate::ports::clock::Clock;
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use std::sync::Mutex;
use std::time::Duration;

/// Starts at 2026-09-21 14:13:20 UTC.
#[derive(Default)]
pub struct ClockInHand(Mutex<Duration>);

impl ClockInHand {
    /// Moves both times on.
    pub fn advance(&self, by: Duration) {
        *self.0.lock().expect("no test panics inside") += by;
    }
}

#[async_trait]
impl Clock for ClockInHand {
    fn now(&self) -> DateTime<Utc> {
        let start = DateTime::from_timestamp(1_790_000_000, 0).expect("a moment");
        start + TimeDelta::from_std(self.elapsed()).expect("a short time")
    }
    fn elapsed(&self) -> Duration {
        *self.0.lock().expect("no test panics inside")
    }
    async fn sleep(&self, _: Duration) {
        std::future::pending().await
    }
}
