//! The numbers of the design page, as they stand there.

mod delays;
mod errors;
mod latency;
mod sentences;

pub use delays::*;
pub use errors::*;
pub use latency::*;
pub use sentences::*;

use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
