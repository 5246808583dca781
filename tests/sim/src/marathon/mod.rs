//! A pretend Marathon: its state and its HTTP interface.

pub mod agents;
mod crowd;
mod bend;
mod definition;
mod deploy;
mod election;
pub mod http;
mod jackson;
mod life;
pub mod placement;
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
