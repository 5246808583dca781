//! Adapter: Slack.
