//! The append-only record of what was decided and done: on disk ([`sqlite`]) and in memory ([`memory`]).

mod chain;
pub mod memory;
mod place;
pub mod sqlite;

pub use memory::MemoryJournal;
pub use sqlite::{SqliteJournal, Verified};

#[cfg(test)]
mod tests;
