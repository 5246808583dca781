//! Takes one reading.

use crate::model::experiment::{ProbeSpec, Reading};
use async_trait::async_trait;

/// Takes readings. `Source::Marathon` never reaches it: the operator reads that from task rows.
#[async_trait]
pub trait Prober: Send + Sync {
    /// One reading, within the probe's timeout. Never fails: blind is a reading.
    async fn take(&self, probe: &ProbeSpec, timeout: std::time::Duration) -> Reading;
}
