//! A pretend Marathon, Mesos and Slack.
pub mod slack;
