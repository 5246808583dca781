//! What several of these tests stand on.

pub mod real_process;
