//! What several of these tests stand on.

pub mod daemons;
pub mod real_process;
pub mod world;

use chrono::Timelike;
use heartbreak::clock::RealClock;
use heartbreak::ports::clock::Clock;

/// A zone in which it is about noon now: the window is open whenever the tests run.
pub(crate) fn zone_of_noon() -> String {
    match 12 - i64::from(RealClock.now().hour()) {
        0 => "Etc/GMT".to_owned(),
        ahead if ahead > 0 => format!("Etc/GMT-{ahead}"),
        ahead => format!("Etc/GMT+{}", -ahead),
    }
}
