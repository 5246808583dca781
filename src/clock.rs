//! The machine's clock and dice: the only place that asks the operating system for either.

use crate::ports::clock::{Clock, Dice};
use async_trait::async_trait;
use chrono::{DateTime, SubsecRound, Utc};
use std::time::Duration;

/// The clock of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealClock;

#[async_trait]
impl Clock for RealClock {
    /// Truncated to milliseconds, because that is what the journal keeps: what is decided on and what
    /// is read back later are then the same instant.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one clock that everybody else asks through the port"
    )]
    fn now(&self) -> DateTime<Utc> {
        Utc::now().trunc_subsecs(3)
    }

    /// On Linux `CLOCK_BOOTTIME`: `CLOCK_MONOTONIC` stands still while the machine is suspended, and a
    /// deadline measured on it would still look young after a night with the lid closed.
    fn elapsed(&self) -> Duration {
        #[cfg(target_os = "linux")]
        const STEADY: rustix::time::ClockId = rustix::time::ClockId::Boottime;
        #[cfg(not(target_os = "linux"))]
        const STEADY: rustix::time::ClockId = rustix::time::ClockId::Monotonic;
        let time = rustix::time::clock_gettime(STEADY);
        let seconds = u64::try_from(time.tv_sec).expect("time since boot is not negative");
        let nanos = u32::try_from(time.tv_nsec).expect("the kernel keeps nanoseconds below a second");
        Duration::new(seconds, nanos)
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// The dice of this machine: the operating system's random numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDice;

impl Dice for RealDice {
    fn number(&self) -> u64 {
        getrandom::u64().expect("the operating system gives random numbers")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn now_has_no_more_than_milliseconds() {
        let now = RealClock.now();
        assert_eq!(now.timestamp_subsec_nanos() % 1_000_000, 0);
    }

    #[test]
    fn elapsed_never_goes_back() {
        let mut last = RealClock.elapsed();
        for _ in 0..1000 {
            let next = RealClock.elapsed();
            assert!(next >= last);
            last = next;
        }
    }

    #[test]
    fn dice_do_not_repeat_themselves() {
        assert_ne!(RealDice.number(), RealDice.number());
    }
}
