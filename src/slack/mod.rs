//! Adapter: Slack.
mod limits;
mod parse;
mod render;
mod text;
