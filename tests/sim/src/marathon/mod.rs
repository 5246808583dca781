//! A pretend Marathon: its state and its HTTP interface.

mod definition;
mod deploy;
pub mod http;
mod jackson;
mod life;
mod placement;
pub mod refusal;
mod routes;
mod selector;
mod show;
pub mod standby;
pub mod state;
#[cfg(test)]
mod timeline;
