//! A person's yes to one digest, with an end.

use super::command::Person;
use super::ids::PlanDigest;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A person's yes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Approval {
    /// Who said it.
    pub by: Person,
    /// To which plan.
    pub digest: PlanDigest,
    /// When.
    pub at: DateTime<Utc>,
}

/// A person's no; ends the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Denial {
    /// Who said it.
    pub by: Person,
    /// Why.
    pub reason: String,
    /// When.
    pub at: DateTime<Utc>,
}
