//! A pretend Marathon: its state and its HTTP interface.

pub mod state;
