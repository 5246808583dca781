//! Shows notices: posts them, edits them where they stand, and says when to try again.
//!
//! One message a run, edited in place; a verdict as a reply below it, because edits notify nobody. What
//! Slack refuses for its form is sent again as one plain sentence: a verdict must appear. Keeps nothing:
//! the operator knows what is visible.

use super::client::{Client, Picture};
use super::limits;
use super::render::{self, Message};
use super::trouble::Trouble;
use crate::model::ids::{GroupId, PersonId};
use crate::model::notice::{MessageRef, Notice, NoticeBody};
use crate::model::report::Report;
use crate::ports::clock::Clock;
use crate::ports::notifier::{Notifier, NotifyError};
use async_trait::async_trait;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// After an outage: soon, because approvals wait; the operator adds its own growing back-off.
const AFTER_OUTAGE: Duration = Duration::from_secs(5);
/// After what only a person can mend.
const AFTER_SET_UP: Duration = Duration::from_secs(60);

/// Draws the chart of a run as a PNG. Slow: not for the thread that tells people.
pub type Draw = Arc<dyn Fn(&Report) -> Vec<u8> + Send + Sync>;

/// Tells people in Slack.
pub struct SlackNotifier {
    client: Arc<Client>,
    draw: Draw,
    clock: Arc<dyn Clock>,
    channel: String,
    operators_channel: String,
}

impl SlackNotifier {
    /// Runs are shown in `channel` unless their policy names another; our own trouble in
    /// `operators_channel`.
    pub fn new(
        client: Arc<Client>,
        draw: Draw,
        clock: Arc<dyn Clock>,
        channel: String,
        operators_channel: Option<String>,
    ) -> Self {
        let operators_channel = operators_channel.unwrap_or_else(|| channel.clone());
        Self {
            client,
            draw,
            clock,
            channel,
            operators_channel,
        }
    }

    fn channel_of<'a>(&'a self, notice: &'a Notice) -> &'a str {
        match (&notice.body, &notice.channel) {
            (_, Some(channel)) => channel,
            (NoticeBody::Run(_) | NoticeBody::Verdict(_), None) => &self.channel,
            (
                NoticeBody::Halted { .. }
                | NoticeBody::Resumed { .. }
                | NoticeBody::Suspended { .. }
                | NoticeBody::Attention { .. },
                None,
            ) => &self.operators_channel,
        }
    }

    /// Hangs the chart below a verdict that people can see now. Beside everything else: no stop waits for a
    /// picture, and a verdict without one is still a verdict, so it is tried once.
    fn hang_chart(&self, report: &Report, below: MessageRef) {
        let (client, draw, report) = (self.client.clone(), self.draw.clone(), report.clone());
        tokio::spawn(async move {
            let run = report.run.clone();
            let title = format!("{run}: {}", report.plan.apps);
            let alt = format!(
                "Chart of run {run}: bad share of every probe, tasks that serve, evidence for an abort and every kill \
                 on one time axis"
            );
            let Ok(png) = tokio::task::spawn_blocking(move || draw(&report)).await else {
                tracing::error!(%run, "the chart could not be drawn; the verdict is told without it");
                return;
            };
            let name = format!("{run}.png");
            if let Err(trouble) = client
                .hang(
                    &below,
                    Picture {
                        name,
                        title,
                        alt,
                        png,
                    },
                )
                .await
            {
                tracing::warn!(%run, why = %trouble.sentence(), "the chart is not in Slack; it is in the report's folder");
            }
        });
    }

    async fn put(
        &self,
        notice: &Notice,
        shown: Option<&MessageRef>,
        message: &Message,
    ) -> Result<MessageRef, Trouble> {
        if let Some(at) = shown {
            self.client.update(at, message, notice.priority).await?;
            return Ok(at.clone());
        }
        let thread = notice.under.as_ref().filter(|at| is_slack(at));
        let channel = thread.map_or_else(|| self.channel_of(notice), |at| &at.channel);
        let posted = self
            .client
            .post(channel, thread.map(|at| at.ts.as_str()), message, &notice.key)
            .await;
        match posted {
            Err(trouble @ (Trouble::NotInvited(_) | Trouble::PlaceGone(_)))
                if channel != self.operators_channel =>
            {
                tracing::warn!(
                    key = %notice.key, channel, why = %trouble.sentence(),
                    "shown in the operators' channel instead"
                );
                self.client
                    .post(&self.operators_channel, None, message, &notice.key)
                    .await
            }
            other => other,
        }
    }
}

/// Written by a notifier without Slack, a message stands nowhere that can be edited.
fn is_slack(at: &MessageRef) -> bool {
    at.ts.contains('.')
}

/// What is sent when the form is refused: the one sentence alone.
fn plain(message: &Message) -> Message {
    render::sentence(message.text.clone())
}

#[async_trait]
impl Notifier for SlackNotifier {
    async fn show(&self, notice: &Notice, shown: Option<&MessageRef>) -> Result<MessageRef, NotifyError> {
        let mut message = render::notice(&notice.body, self.clock.now());
        let broken = limits::check_message(&message.json());
        if !broken.is_empty() {
            let rules: Vec<String> = broken.iter().map(ToString::to_string).collect();
            tracing::error!(key = %notice.key, rules = %rules.join(", "), "a message breaks Slack's rules; its sentence alone is sent");
            message = plain(&message);
        }
        let shown = shown.filter(|at| is_slack(at));
        let mut answer = self.put(notice, shown, &message).await;
        if let Err(Trouble::Ours(what)) = &answer {
            tracing::error!(key = %notice.key, %what, "Slack refuses the form of a message; its sentence alone is sent");
            answer = self.put(notice, shown, &plain(&message)).await;
        }
        if let (NoticeBody::Verdict(report), None, Ok(at)) = (&notice.body, shown, &answer) {
            let thread = notice.under.clone().filter(is_slack);
            self.hang_chart(report, thread.unwrap_or_else(|| at.clone()));
        }
        let later = |trouble: &Trouble, after| NotifyError::Later {
            why: trouble.sentence(),
            after,
        };
        answer.map_err(|trouble| match &trouble {
            Trouble::Pace(after) | Trouble::Wait(after) => later(&trouble, *after),
            Trouble::Outage(_) => later(&trouble, AFTER_OUTAGE),
            Trouble::BotIsOut(_) | Trouble::SetUp(_) | Trouble::NotInvited(_) | Trouble::PlaceGone(_) => {
                later(&trouble, AFTER_SET_UP)
            }
            Trouble::MessageGone => NotifyError::Gone,
            Trouble::Ours(_) => NotifyError::Never {
                why: trouble.sentence(),
            },
            Trouble::TriggerExpired | Trouble::Other(_) => later(&trouble, AFTER_SET_UP),
        })
    }

    async fn members(&self, group: &GroupId) -> Result<BTreeSet<PersonId>, String> {
        self.client.group(group).await
    }

    fn reachable(&self) -> Result<(), String> {
        self.client.reachable()
    }
}
