//! Time and dice, so that tests own both.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use std::time::Duration;

/// Tells the time.
#[async_trait]
pub trait Clock: Send + Sync {
    /// Wall clock, in whole milliseconds.
    fn now(&self) -> DateTime<Utc>;
    /// Time since some fixed moment; never goes back, and goes on while the machine sleeps.
    fn elapsed(&self) -> Duration;
    /// Comes back after this long.
    async fn sleep(&self, duration: Duration);
}

/// Throws dice: for jitter and for names, never for decisions.
pub trait Dice: Send + Sync {
    /// Any number.
    fn number(&self) -> u64;
}
