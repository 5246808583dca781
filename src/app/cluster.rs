//! One cluster for the operator: a Marathon, and beside it the Mesos masters that know its agents.

use crate::cli::trouble::Trouble;
use crate::exit::Exit;
use crate::model::ids::AppId;
use crate::model::snapshot::{Agent, App, Gap, GapKind, Snapshot};
use crate::ports::Permit;
use crate::ports::cluster::{Cluster, KillAnswer, KillOrder, LastLook, Query};
use crate::{marathon, mesos, settings};
use async_trait::async_trait;
use reqwest::header::HeaderValue;
use std::sync::Arc;
use std::time::Duration;

/// A Marathon and its Mesos masters.
pub struct MarathonAndMesos {
    marathon: Arc<marathon::Client>,
    mesos: Option<mesos::Client>,
}

impl MarathonAndMesos {
    /// Puts a Marathon and what the settings say of its masters together; sends nothing.
    ///
    /// # Errors
    ///
    /// What is wrong with the masters' addresses.
    pub fn new(marathon: Arc<marathon::Client>, cluster: &settings::Cluster) -> Result<Self, Trouble> {
        let client = cluster.mesos.as_ref().map(|masters| {
            let login = AsMarathon(marathon.clone());
            mesos::Client::new(mesos::Options {
                cluster: cluster.name.clone(),
                urls: masters.urls.clone(),
                login: masters.login.then(|| Arc::new(login) as Arc<dyn mesos::Login>),
                tls: marathon.certificates(),
                connect_timeout: Duration::from_secs(5),
                read_timeout: Duration::from_secs(15),
            })
        });
        let mesos = client
            .transpose()
            .map_err(|error| Trouble::new(Exit::BadInput, format!("{error}; nothing was started")))?;
        Ok(Self { marathon, mesos })
    }

    /// The Marathon alone: for its events.
    pub fn marathon(&self) -> &marathon::Client {
        &self.marathon
    }
}

/// Shows the masters what Marathon is shown: behind DC/OS's Admin Router it is one login.
struct AsMarathon(Arc<marathon::Client>);

#[async_trait]
impl mesos::Login for AsMarathon {
    async fn authorization(&self) -> Result<Option<HeaderValue>, String> {
        self.0.authorization().await
    }

    fn forget(&self) {
        self.0.forget_login();
    }
}

#[async_trait]
impl Cluster for MarathonAndMesos {
    async fn look(&self, queries: &[Query]) -> Snapshot {
        self.marathon.look(queries).await
    }

    async fn look_at(&self, app: &AppId) -> Result<Option<App>, Gap> {
        self.marathon.look_at(app).await
    }

    async fn ping(&self) -> Result<(), String> {
        self.marathon.ping().await
    }

    async fn relist(&self, query: &Query) -> Result<usize, String> {
        self.marathon.relist(query).await
    }

    async fn agents(&self) -> Result<Vec<Agent>, Gap> {
        let Some(mesos) = &self.mesos else {
            return self.marathon.agents().await;
        };
        mesos.agents().await.map_err(|why| Gap {
            app: None,
            what: GapKind::Agents,
            why: format!("the Mesos agents could not be read: {why}"),
        })
    }

    async fn kill(&self, order: &KillOrder, permit: &Permit, last_look: &dyn LastLook) -> KillAnswer {
        self.marathon.kill(order, permit, last_look).await
    }
}
