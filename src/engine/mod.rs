//! Decisions: pure functions over nouns. No I/O, no clock, no `async`.

pub mod admit;
pub mod rate;
pub mod schedule;
pub mod steady_state;
