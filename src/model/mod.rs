//! Nouns: plain data that everything else speaks in.
//!
//! No I/O, no clock, no randomness, no `async`. Whatever talks to the world depends on what is
//! written here, never the reverse.

pub mod approval;
pub mod command;
pub mod entry;
pub mod experiment;
pub mod forecast;
pub mod gate;
pub mod halt;
pub mod ids;
pub mod notice;
pub mod past;
pub mod plan;
pub mod policy;
pub mod rehearsal;
pub mod report;
pub mod run;
pub mod snapshot;
pub mod text;
pub mod verdict;
pub mod view;
pub mod words;
