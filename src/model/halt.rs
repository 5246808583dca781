//! Stop everything, sticky, until a person resumes.

use super::command::Person;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Who stopped us, why, since when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halt {
    /// Who.
    pub by: Person,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: DateTime<Utc>,
}
