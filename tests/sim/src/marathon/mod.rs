//! A pretend Marathon: its state and its HTTP interface.

pub mod http;
pub mod state;
