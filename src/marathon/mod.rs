//! Adapter: Marathon 1.4 to 1.11.
//!
//! Reads are tried on every node; a kill is written once, on one connection, and never again. Nothing
//! here scales, wipes or forces: those parameters do not exist in this code.

mod asks;
mod auth;
mod changes;
mod client;
mod convert;
mod dcos;
mod decode;
mod events;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzz;
#[cfg(test)]
mod pretend;
#[cfg(test)]
mod recorded;
#[cfg(any(test, feature = "fuzzing"))]
mod reference;
mod tls;
mod wire;

pub use auth::{Auth, Provider};
pub use client::{Client, Options, SetupError};
pub use dcos::ServiceAccount;
pub use events::follow;
pub use tls::TlsFiles;

use crate::model::ids::AppId;
use crate::model::snapshot::{App, Gap, Snapshot};
use crate::ports::cluster::{Cluster, KillAnswer, KillOrder, LastLook, Permit, Query};

#[async_trait::async_trait]
impl Cluster for Client {
    async fn look(&self, queries: &[Query]) -> Snapshot {
        self.look_at_all(queries).await
    }

    async fn look_at(&self, app: &AppId) -> Result<Option<App>, Gap> {
        self.look_at_one(app).await
    }

    async fn kill(&self, order: &KillOrder, permit: &Permit, last_look: &dyn LastLook) -> KillAnswer {
        match changes::belongs(&order.intent, permit.step()) {
            Ok(()) => changes::send_once(self, order, last_look).await,
            Err(why) => KillAnswer::NotSent { why },
        }
    }
}
