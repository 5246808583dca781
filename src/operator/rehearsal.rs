//! A cluster that only writes down: what `mode: rehearse` acts on instead of the real one.

use crate::model::ids::AppId;
use crate::model::snapshot::{Agent, App, Gap, Snapshot};
use crate::ports::Permit;
use crate::ports::cluster::{Cluster, KillAnswer, KillOrder, LastLook, Query};
use async_trait::async_trait;
use std::sync::Arc;

/// Looks at the real cluster and harms nothing.
pub struct WritesDown(pub Arc<dyn Cluster>);

#[async_trait]
impl Cluster for WritesDown {
    async fn agents(&self) -> Result<Vec<Agent>, Gap> {
        self.0.agents().await
    }

    async fn look(&self, queries: &[Query]) -> Snapshot {
        self.0.look(queries).await
    }

    async fn look_at(&self, app: &AppId) -> Result<Option<App>, Gap> {
        self.0.look_at(app).await
    }

    async fn ping(&self) -> Result<(), String> {
        self.0.ping().await
    }

    async fn kill(&self, order: &KillOrder, _permit: &Permit, last_look: &dyn LastLook) -> KillAnswer {
        if let Some(why) = last_look.closed() {
            return KillAnswer::NotSent { why };
        }
        tracing::info!(intent = %order.intent, tasks = ?order.tasks, "rehearsed: nothing was sent");
        KillAnswer::WrittenDown
    }
}
