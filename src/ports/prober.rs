//! Takes one reading.

use crate::model::experiment::{Hypothesis, ProbeSpec, Reading};
use crate::model::ids::RunId;
use async_trait::async_trait;
use std::time::Duration;

/// How long one reading may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long an answer is waited for; that of each request, where a reading takes several.
    pub timeout: Duration,
    /// From one reading to the next: longer than the timeout, and all of a reading is over by then.
    pub interval: Duration,
}

impl Patience {
    /// As a policy declares it.
    pub fn of(hypothesis: &Hypothesis) -> Self {
        Self {
            timeout: hypothesis.timeout,
            interval: hypothesis.interval,
        }
    }

    /// This timeout, with as much room beside it as the defaults leave.
    pub fn within(timeout: Duration) -> Self {
        Self {
            timeout,
            interval: timeout + timeout / 4,
        }
    }
}

/// Takes readings. `Source::Marathon` never reaches it: the operator reads that from task rows.
#[async_trait]
pub trait Prober: Send + Sync {
    /// One reading, before the interval is over. Never fails: blind is a reading.
    ///
    /// Sources that count from one look to the next (the counters of a load balancer) remember the
    /// last look of this probe in this run; the first one of a run is blind.
    async fn take(&self, run: &RunId, probe: &ProbeSpec, timing: Patience) -> Reading;
}
