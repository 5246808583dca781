//! Slack, or its absence: then people are told in the log, and decide over the command line.

use crate::cli::trouble::Trouble;
use crate::exit::Exit;
use crate::model::ids::{GroupId, PersonId};
use crate::model::notice::{MessageRef, Notice};
use crate::model::report::Form;
use crate::operator::Operator;
use crate::ports::clock::Clock;
use crate::ports::notifier::{Notifier, NotifyError};
use crate::report::render;
use crate::settings::{Delivery, SecretPlace, Settings};
use crate::slack::{Client, Door, Options, Secret, SlackNotifier, router};
use async_trait::async_trait;
use secrecy::SecretString;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Where Slack's Web API is unless the settings say otherwise.
const API_URL: &str = "https://slack.com/api";

/// The way to Slack and back.
pub struct Slack {
    notifier: Arc<dyn Notifier>,
    way_in: Option<WayIn>,
}

struct WayIn {
    client: Arc<Client>,
    signing_secret: Secret,
    team_id: String,
    app_id: String,
    admins: BTreeSet<PersonId>,
}

impl Slack {
    pub fn notifier(&self) -> Arc<dyn Notifier> {
        self.notifier.clone()
    }

    /// The routes that Slack calls; none without Slack.
    pub fn routes(&self, operator: Arc<Operator>, clock: Arc<dyn Clock>) -> axum::Router {
        let Some(way_in) = &self.way_in else {
            return axum::Router::new();
        };
        router(Door {
            inbox: operator,
            client: way_in.client.clone(),
            signing_secret: way_in.signing_secret.clone(),
            team_id: way_in.team_id.clone(),
            app_id: way_in.app_id.clone(),
            admins: way_in.admins.clone(),
            clock,
        })
    }

    /// Whether Slack works; `None` without Slack.
    pub fn state(&self) -> Option<Result<(), String>> {
        self.way_in.as_ref().map(|way_in| way_in.client.reachable())
    }

    /// Asks Slack now and then whether it still knows us. Ends at once without Slack.
    pub async fn keep_checking(&self) {
        if let Some(way_in) = &self.way_in {
            way_in.client.keep_checking().await;
        }
    }
}

/// Makes the way to Slack. Whether Slack answers is not asked here: an operator has to start, and to end
/// what is open, while Slack is down or the token is revoked.
pub fn connect(settings: &Settings, clock: &Arc<dyn Clock>) -> Result<Slack, Trouble> {
    let Some(slack) = &settings.slack else {
        return Ok(Slack {
            notifier: Arc::new(LogOnly),
            way_in: None,
        });
    };
    let bad = |why: String| Trouble::new(Exit::BadInput, format!("{why}; nothing was started"));
    let Delivery::Http { signing_secret } = &slack.delivery else {
        return Err(bad(
            "Socket Mode (`appTokenFile`) is not active in this version: give the signing secret \
             (`signingSecretFile`), and let Slack reach /slack/ as deploy/README.md says"
                .to_owned(),
        ));
    };
    // Read once to find out whether it can be, and again whenever it is needed.
    let secret = |place: &SecretPlace| -> Result<Secret, Trouble> {
        super::serve::secret(place).map_err(bad)?;
        let place = place.clone();
        Ok(Arc::new(move || {
            super::serve::secret(&place).map(SecretString::from)
        }))
    };
    let api_url = match &slack.api_url {
        Some(url) => url.clone(),
        None => API_URL
            .parse()
            .map_err(|error| bad(format!("{API_URL}: {error}")))?,
    };
    let client = Client::new(Options {
        api_url,
        bot_token: secret(&slack.bot_token)?,
        team_id: slack.team_id.clone(),
        clock: clock.clone(),
    })
    .map_err(bad)?;
    let client = Arc::new(client);
    let notifier = SlackNotifier::new(
        client.clone(),
        Arc::new(|report| render(report, Form::Png)),
        clock.clone(),
        slack.channel.clone(),
        slack.operators_channel.clone(),
    );
    Ok(Slack {
        notifier: Arc::new(notifier),
        way_in: Some(WayIn {
            client,
            signing_secret: secret(signing_secret)?,
            team_id: slack.team_id.clone(),
            app_id: slack.app_id.clone(),
            admins: slack.admins.clone(),
        }),
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
