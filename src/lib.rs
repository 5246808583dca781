//! Heartbreak: a safety-gated chaos operator for Apache Mesos and Marathon.
//!
//! # The rooms
//!
//! ```text
//!            model  ◄──  engine  ◄──  ports  ◄──┬──  operator  ◄──┐
//!              ▲                                │                 ├──  app  ◄──  main
//!              └──  policy                      └──  adapters  ◄──┘
//!                          marathon mesos probes journal slack report web outage clock stop_file
//! ```
//!
//! - **Arrows point at the nouns.** Whatever talks to the world depends on what decides, never the
//!   reverse: [`model`] imports nothing of ours, [`engine`] only [`model`], and neither contains files,
//!   clocks, sockets or `async`.
//! - **Adapters do not know each other.** What Slack needs to know of Marathon is in the nouns it is given.
//! - **Harming the cluster takes a [`ports::Permit`]**, which only [`engine::admit`] makes, from a judgement
//!   in which every registered gate said yes about exactly that step.
//!
//! `tests/it/tidy.rs` holds the first two, the compiler the third.
//!
//! # How one turn flows
//!
//! Timer, Marathon event and command lead to the same pass over the same state: observe, decide
//! ([`engine::lifecycle`]), judge ([`engine::gates`]), admit, write the intent, change, record, tell. A pass
//! changes at most one thing. A restart is the next pass.

pub mod app;
pub mod cli;
pub mod clock;
#[cfg(feature = "demo")]
pub mod demo;
pub mod engine;
pub mod exit;
pub mod journal;
pub mod marathon;
pub mod mesos;
pub mod model;
pub mod operator;
pub mod outage;
pub mod policy;
pub mod ports;
pub mod probes;
pub mod report;
pub mod settings;
pub mod slack;
pub mod stop_file;
pub mod telemetry;
pub mod web;
