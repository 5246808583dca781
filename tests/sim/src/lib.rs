//! A pretend Marathon, Mesos and Slack.
