//! A Marathon: look, and harm with a permit.

pub use super::Permit;
use crate::model::ids::{AppId, IntentId, TaskId};
use crate::model::policy::LabelSelector;
use crate::model::snapshot::{App, Gap, Snapshot};
use async_trait::async_trait;
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

/// Which apps a look is about. A query without a selector and without a prefix means all of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Query {
    /// `label=`, in Marathon's grammar.
    pub selector: Option<LabelSelector>,
    /// `id=`: Marathon treats it as a substring, so whoever asks filters again.
    pub id_contains: Option<String>,
}

impl std::hash::Hash for LabelSelector {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.to_string().hash(state);
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
