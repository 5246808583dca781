//! Is somebody's pager ringing?

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

/// Asks for active alerts.
#[async_trait]
pub trait Pager: Send + Sync {
    /// Whether it is quiet. Never fails: cannot ask is an answer, and counts as no.
    async fn ask(&self) -> PagerAnswer;
}

/// What the pager says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "pager", content = "why")]
pub enum PagerAnswer {
    /// The settings name none: the gate passes and says so.
    NotConfigured,
    /// No matching alert.
    Quiet,
    /// These alerts.
    Ringing(Vec<String>),
    /// It could not be asked.
    Unknown(String),
}
