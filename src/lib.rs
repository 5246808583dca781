//! Heartbreak: a safety-gated chaos operator for Apache Mesos and Marathon.

pub mod app;
pub mod cli;
pub mod clock;
#[cfg(feature = "demo")]
pub mod demo;
pub mod engine;
pub mod exit;
pub mod journal;
pub mod marathon;
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
