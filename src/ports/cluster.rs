//! A Marathon: look, and harm with a permit.

pub use super::Permit;
use crate::model::ids::{AppId, IntentId, TaskId};
use crate::model::policy::{AppPattern, LabelSelector};
use crate::model::snapshot::{App, Gap, Snapshot};
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::time::Duration;

/// One cluster.
#[async_trait]
pub trait Cluster: Send + Sync {
    /// Looks at everything the queries let through. Never fails: what could not be seen is a gap.
    async fn look(&self, queries: &[Query]) -> Snapshot;

    /// Looks at one app with its tasks, quickly; for watching a run.
    ///
    /// # Errors
    ///
    /// The gap, when the app could not be seen. `Ok(None)` when Marathon says that there is none.
    async fn look_at(&self, app: &AppId) -> Result<Option<App>, Gap>;

    /// Sends one kill request, once, and never again.
    ///
    /// Connects first, then asks `last_look` (in memory, no await), then writes. Once `last_look`
    /// has said yes the request counts as sent.
    async fn kill(&self, order: &KillOrder, permit: &Permit, last_look: &dyn LastLook) -> KillAnswer;
}

/// Which apps a look is about. An app is asked for when one of the queries lets it through; a look keeps
/// no other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Its labels must match; `None` leaves them free.
    pub selector: Option<LabelSelector>,
    /// Its id must match every one of these; none at all leave it free.
    pub ids: Vec<AppPattern>,
}

impl Query {
    /// Asks for every app.
    pub fn all() -> Self {
        Self::default()
    }

    /// Asks for one app, whatever its labels are.
    pub fn app(id: &AppId) -> Self {
        Self {
            selector: None,
            ids: vec![AppPattern(id.to_string())],
        }
    }

    /// Whether it asks for this app, as far as the id says.
    pub fn names(&self, id: &AppId) -> bool {
        self.ids.iter().all(|pattern| pattern.matches(id))
    }

    /// Whether it asks for this app.
    pub fn matches(&self, id: &AppId, labels: &BTreeMap<String, String>) -> bool {
        self.names(id) && self.selector.as_ref().is_none_or(|s| s.matches(labels))
    }
}

/// One kill request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KillOrder {
    /// Goes out as `X-Heartbreak-Intent`.
    pub intent: IntentId,
    /// Exactly these ids, in this order.
    pub tasks: Vec<TaskId>,
    /// How long to wait for the answer.
    pub timeout: Duration,
}

/// Asked after the connection stands and before the first byte goes out.
pub trait LastLook: Send + Sync {
    /// Why nothing may be sent any more; `None` lets the request out, and from then on it counts as sent.
    fn closed(&self) -> Option<String>;
}

/// What is known right after a kill request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KillAnswer {
    /// Not a byte was written.
    NotSent {
        /// Why.
        why: String,
    },
    /// 200 and a task list: the ids Marathon names. Accepted is not dead.
    Accepted {
        /// As answered, without those Marathon left out.
        tasks: Vec<TaskId>,
    },
    /// A definite no: 400, 401, 403, 404, 422, or the 502 that says there is no leader.
    Refused {
        /// HTTP status.
        status: u16,
        /// In a sentence.
        why: String,
    },
    /// Anything else: may have happened, may yet happen.
    Unanswered {
        /// In a sentence.
        why: String,
    },
    /// A rehearsal wrote it down.
    WrittenDown,
}
