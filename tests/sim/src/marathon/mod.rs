//! A pretend Marathon: its state and its HTTP interface.

pub mod agents;
mod bend;
mod crowd;
mod definition;
mod deploy;
mod election;
mod habits;
pub mod http;
mod jackson;
mod life;
pub mod lost;
pub mod placement;
mod pods;
pub mod refusal;
mod routes;
mod selector;
mod show;
mod standby;
pub mod state;
pub mod stream;
#[cfg(test)]
mod timeline;
pub mod version;
mod volumes;
