//! What the operator needs from outside, as traits.
//!
//! Re-exports the permit and nothing else of `engine`: harming the cluster takes one.

pub mod clock;
pub mod cluster;
pub mod inbox;
pub mod journal;
pub mod notifier;
pub mod pager;
pub mod prober;
pub mod reporter;
pub mod stop_file;

pub use crate::engine::admit::Permit;
