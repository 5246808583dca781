//! A pretend Marathon: its state and its HTTP interface.

pub mod agents;
mod crowd;
mod definition;
mod deploy;
pub mod http;
mod jackson;
mod life;
pub mod placement;
pub mod refusal;
mod routes;
mod selector;
mod show;
pub mod standby;
pub mod state;
#[cfg(test)]
mod timeline;
