//! Decisions: pure functions over nouns. No I/O, no clock, no `async`.

pub mod admit;
pub mod agents;
pub mod authority;
pub mod constraints;
pub mod faults;
#[cfg(test)]
pub(crate) mod fixture;
pub mod gates;
pub mod history;
pub mod lifecycle;
pub mod ownership;
pub mod planner;
pub mod rate;
pub mod report;
pub mod schedule;
pub mod score;
#[cfg(test)]
mod several_apps;
pub mod slots;
pub mod steady_state;
pub mod targets;
