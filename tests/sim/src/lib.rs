//! A pretend Marathon, Mesos and Slack.

pub mod clock;
pub mod marathon;
pub mod mischief;
