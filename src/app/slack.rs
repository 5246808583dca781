//! Slack, or its absence: then people are told in the log, and decide over the command line.

use crate::cli::trouble::Trouble;
use crate::exit::Exit;
use crate::model::ids::{GroupId, PersonId};
use crate::model::notice::{MessageRef, Notice};
use crate::operator::Operator;
use crate::ports::clock::Clock;
use crate::ports::notifier::{Notifier, NotifyError};
use crate::settings::Settings;
use async_trait::async_trait;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The way to Slack and back.
pub struct Slack {
    notifier: Arc<dyn Notifier>,
}

impl Slack {
    pub fn notifier(&self) -> Arc<dyn Notifier> {
        self.notifier.clone()
    }

    /// The routes that Slack calls; none without Slack.
    pub fn routes(&self, _operator: Arc<Operator>, _clock: Arc<dyn Clock>) -> axum::Router {
        axum::Router::new()
    }
}

/// Without Slack, people are told in the log. A `slack:` section is refused and never ignored: somebody
/// who wrote one counts on being asked and told there.
pub async fn connect(settings: &Settings, _clock: &Arc<dyn Clock>) -> Result<Slack, Trouble> {
    if settings.slack.is_some() {
        return Err(Trouble::new(
            Exit::BadInput,
            "`slack:` is not active in this version: leave the section out, and approve, deny, abort and halt with \
             `heartbreak` or the HTTP API; nothing was started",
        ));
    }
    Ok(Slack {
        notifier: Arc::new(LogOnly),
    })
}

/// Tells people in the log. Approvals come over the command line or the API.
struct LogOnly;

#[async_trait]
impl Notifier for LogOnly {
    async fn show(&self, notice: &Notice, _: Option<&MessageRef>) -> Result<MessageRef, NotifyError> {
        tracing::info!(key = %notice.key, version = notice.version, "no Slack in the settings: told in the log only");
        Ok(MessageRef {
            channel: "log".into(),
            ts: notice.version.to_string(),
        })
    }
    async fn members(&self, group: &GroupId) -> Result<BTreeSet<PersonId>, String> {
        Err(format!(
            "without Slack in the settings nobody can be asked who is in group {group}"
        ))
    }
    fn reachable(&self) -> Result<(), String> {
        Ok(())
    }
}
