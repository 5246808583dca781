//! What several of these tests stand on.

pub mod daemons;
pub mod judges;
pub mod real_process;
#[path = "../../../benches/small_world/mod.rs"]
pub mod small_world;
pub mod world;

pub(crate) use small_world::zone_of_noon;
