//! The only place in the pretend world that reads the real clock.

use chrono::{DateTime, Utc};

/// The time by the computer's clock.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the pretend world has its own real clock"
)]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}
