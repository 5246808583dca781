//! Is somebody's pager ringing?

pub use crate::model::gate::PagerAnswer;
use async_trait::async_trait;

/// Asks for active alerts.
#[async_trait]
pub trait Pager: Send + Sync {
    /// Whether it is quiet. Never fails: cannot ask is an answer, and counts as no.
    async fn ask(&self) -> PagerAnswer;
}
