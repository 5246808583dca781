//! Behaviour that a person can see, and the shape of the source tree: one binary, linked once.

mod chat;
mod demo;
mod slack_door;
mod tidy;
