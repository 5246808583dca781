//! Adapter: the Mesos masters, and of them only who the agents are.
//!
//! Reads `GET /slaves` and nothing else; there is no way here to change anything. Asked only for policies
//! whose fault is about agents.

mod client;
mod convert;
mod wire;

pub use client::{Client, Login, Options, SetupError};
