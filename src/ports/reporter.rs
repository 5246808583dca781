//! Writes reports where people find them.

use crate::model::report::Report;
use async_trait::async_trait;

/// Writes reports.
#[async_trait]
pub trait Reporter: Send + Sync {
    /// Writes every form of the report and says where.
    ///
    /// # Errors
    ///
    /// A sentence. Nothing is lost: the journal can write it again.
    async fn write(&self, report: &Report) -> Result<Vec<String>, String>;
    /// Where the report's files are, or would be.
    fn places(&self, run: &crate::model::ids::RunId) -> Vec<String>;
    /// Whether every form of the report is there.
    fn is_written(&self, run: &crate::model::ids::RunId) -> bool;
}
