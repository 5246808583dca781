//! The numbers of the design page, as they stand there.

mod delays;
mod errors;
mod latency;
mod sentences;
mod watch;

pub use delays::*;
pub use errors::*;
pub use latency::*;
pub use sentences::*;
pub use watch::*;

use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
