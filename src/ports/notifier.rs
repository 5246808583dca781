//! Telling people.

use crate::model::ids::{GroupId, PersonId};
use crate::model::notice::{MessageRef, Notice};
use async_trait::async_trait;
use std::collections::BTreeSet;
use std::time::Duration;

/// Makes notices visible.
#[async_trait]
pub trait Notifier: Send + Sync {
    /// Shows a notice: posts it, or edits the message where it stands already.
    ///
    /// # Errors
    ///
    /// Says whether trying again makes sense. Nothing is lost: the operator keeps the notice.
    async fn show(&self, notice: &Notice, shown: Option<&MessageRef>) -> Result<MessageRef, NotifyError>;

    /// Who is in a user group now.
    ///
    /// # Errors
    ///
    /// A sentence: not knowing means nobody.
    async fn members(&self, group: &GroupId) -> Result<BTreeSet<PersonId>, String>;

    /// Whether approvals can be asked for here at all, and why not.
    fn reachable(&self) -> Result<(), String>;
}

/// Why a notice is not visible yet.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// Try again, not before this long.
    #[error("{why}")]
    Later {
        /// In a sentence.
        why: String,
        /// Not before.
        after: Duration,
    },
    /// This notice can never be shown there.
    #[error("{why}")]
    Never {
        /// In a sentence.
        why: String,
    },
    /// The message is gone: post a new one.
    #[error("the message is gone")]
    Gone,
}
