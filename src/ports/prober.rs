//! Takes one reading.

use crate::model::experiment::{ProbeSpec, Reading};
use crate::model::ids::RunId;
use async_trait::async_trait;

/// Takes readings. `Source::Marathon` never reaches it: the operator reads that from task rows.
#[async_trait]
pub trait Prober: Send + Sync {
    /// One reading, within the probe's timeout. Never fails: blind is a reading.
    ///
    /// Sources that count from one look to the next (the counters of a load balancer) remember the
    /// last look of this probe in this run; the first one of a run is blind.
    async fn take(&self, run: &RunId, probe: &ProbeSpec, timeout: std::time::Duration) -> Reading;
}
