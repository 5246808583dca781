//! Behaviour that a person can see, and the shape of the source tree: one binary, linked once.

mod chat;
mod demo;
mod restarts;
mod slack_door;
mod support;
mod tidy;
