//! What we ask of Slack: post, edit, whisper, open a dialog, and who somebody is.
//!
//! Every call goes through [`Pace`], so that neither people nor a storm of progress can make Slack refuse a
//! stop or a verdict. What is known about people is kept for a few minutes and never longer: not knowing
//! means no. Not here: what a message says, and who may do what.

use super::Secret;
use super::connector::Connector;
use super::pace::Pace;
use super::render::Message;
use super::trouble::{self, Trouble};
use crate::model::ids::{GroupId, PersonId};
use crate::model::notice::{MessageRef, Priority};
use crate::ports::clock::Clock;
use secrecy::ExposeSecret;
use serde::Deserialize;
use slack_morphism::errors::SlackClientError;
use slack_morphism::prelude::*;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use url::Url;

/// How long a person's standing is believed.
const MEMBER_FRESH: Duration = Duration::from_secs(300);
/// How long the members of a group are believed.
const GROUP_FRESH: Duration = Duration::from_secs(120);
/// How long a failed question is not asked again: a pass must not wait for an outage every time.
const FAILURE_FRESH: Duration = Duration::from_secs(10);
/// How often Slack is asked whether it still knows us, when it does and when it does not.
const CHECK_EVERY: (Duration, Duration) = (Duration::from_secs(300), Duration::from_secs(15));
/// How many people are remembered.
const MEMBERS_MAX: usize = 5_000;

/// Which Slack, as whom.
pub struct Options {
    /// The Web API: `https://slack.com/api`.
    pub api_url: Url,
    /// `xoxb-…`
    pub bot_token: Secret,
    /// Our workspace: everybody else's people are strangers.
    pub team_id: String,
    /// Time, which tests own.
    pub clock: Arc<dyn Clock>,
}

/// What somebody is in our workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A full member.
    Full,
    /// A guest of one or several channels.
    Guest,
    /// A bot.
    Bot,
    /// Deactivated.
    Gone,
    /// Of another workspace, in a shared channel.
    Stranger,
}

/// Somebody, as Slack describes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// What they are.
    pub standing: Standing,
    /// For display only: its owner can change it at any time.
    pub name: String,
}

/// A picture to hang below a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// File name, with its ending.
    pub name: String,
    /// Shown above it.
    pub title: String,
    /// What it shows, for those who can't see it; at most 1,000 characters.
    pub alt: String,
    /// The picture.
    pub png: Vec<u8>,
}

/// A connection to one workspace.
pub struct Client {
    slack: SlackClient<Connector>,
    connector: Connector,
    token: Secret,
    api: Url,
    team: String,
    clock: Arc<dyn Clock>,
    /// How fast we may talk.
    pub pace: Pace,
    members: Kept<PersonId, Result<Member, String>>,
    groups: Kept<GroupId, Result<BTreeSet<PersonId>, String>>,
    workspace: Mutex<Workspace>,
    health: Mutex<Result<(), String>>,
}

/// Whether the token belongs where the settings say.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Workspace {
    NotAsked,
    Ours,
    Other(String),
}

/// Answers, with when they were given.
type Kept<K, V> = Mutex<HashMap<K, (Duration, V)>>;

/// The answer to a post: only what we need, so that nothing else in it can make a sent message look unsent.
#[derive(Deserialize)]
struct Posted {
    channel: String,
    ts: String,
}

#[derive(Deserialize)]
struct Anything {}

/// Where Slack wants the bytes of a file, and what it calls the file.
#[derive(Deserialize)]
struct UploadPlace {
    upload_url: String,
    file_id: String,
}

#[derive(Deserialize)]
struct Whoami {
    team_id: String,
}

#[derive(Deserialize)]
struct UserInfo {
    user: User,
}

#[derive(Deserialize)]
struct User {
    id: String,
    team_id: Option<String>,
    name: Option<String>,
    #[serde(default)]
    profile: Profile,
    deleted: Option<bool>,
    is_bot: Option<bool>,
    is_restricted: Option<bool>,
    is_ultra_restricted: Option<bool>,
    is_stranger: Option<bool>,
}

#[derive(Default, Deserialize)]
struct Profile {
    display_name: Option<String>,
}

#[derive(Deserialize)]
struct GroupUsers {
    users: Vec<PersonId>,
}

impl Client {
    /// Connects to nothing yet.
    ///
    /// # Errors
    ///
    /// A sentence, when the address can't be used. Nothing was sent.
    pub fn new(options: Options) -> Result<Self, String> {
        let connector = Connector::new(&options.api_url)?;
        Ok(Self {
            slack: SlackClient::new(connector.clone()),
            connector,
            token: options.bot_token,
            api: options.api_url,
            team: options.team_id,
            pace: Pace::new(options.clock.clone()),
            clock: options.clock,
            members: Mutex::default(),
            groups: Mutex::default(),
            workspace: Mutex::new(Workspace::NotAsked),
            health: Mutex::new(Err("Slack was not asked yet".to_owned())),
        })
    }

    /// Whether Slack took our last call, and why not.
    ///
    /// # Errors
    ///
    /// In a sentence; nobody can be asked for anything until it is mended.
    pub fn reachable(&self) -> Result<(), String> {
        if let Workspace::Other(why) = self.workspace() {
            return Err(why);
        }
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks Slack whether it knows us, and whether this is the workspace of the settings.
    ///
    /// # Errors
    ///
    /// What is wrong; [`Client::reachable`] says it too from now on.
    pub async fn check(&self) -> Result<(), Trouble> {
        let who: Whoami = self.get("auth.test", &[]).await?;
        let workspace = match who.team_id == self.team {
            true => Workspace::Ours,
            false => Workspace::Other(format!(
                "the bot token is for workspace {}, the settings say {}",
                who.team_id, self.team
            )),
        };
        *self.workspace.lock().unwrap_or_else(PoisonError::into_inner) = workspace;
        self.is_ours()
    }

    fn workspace(&self) -> Workspace {
        self.workspace
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn is_ours(&self) -> Result<(), Trouble> {
        match self.workspace() {
            Workspace::Other(why) => Err(Trouble::SetUp(why)),
            Workspace::Ours | Workspace::NotAsked => Ok(()),
        }
    }

    /// Asks now and then, for ever: a token that is revoked at night is known before it is needed.
    pub async fn keep_checking(&self) {
        loop {
            if let Err(trouble) = self.check().await {
                tracing::warn!(why = %trouble.sentence(), "Slack can't be used; runs that need an approval do not start");
            }
            let well = self.reachable().is_ok();
            self.clock
                .sleep(if well { CHECK_EVERY.0 } else { CHECK_EVERY.1 })
                .await;
        }
    }

    /// Posts a message. `key` names it for people who look for it.
    ///
    /// # Errors
    ///
    /// What is wrong. After [`Trouble::Outage`] it may stand there all the same.
    pub async fn post(
        &self,
        channel: &str,
        thread: Option<&str>,
        message: &Message,
        key: &str,
    ) -> Result<MessageRef, Trouble> {
        self.pace.post(channel).map_err(Trouble::Pace)?;
        let metadata = SlackMessageMetadata::new("chaos_notice".into())
            .with_event_payload([("key".to_owned(), key.to_owned())].into());
        let request =
            SlackApiChatPostMessageRequest::new(channel.into(), content(message).with_metadata(metadata))
                .opt_thread_ts(thread.map(Into::into))
                .with_unfurl_links(false)
                .with_unfurl_media(false);
        let posted: Posted = self.send("chat.postMessage", &request).await?;
        Ok(MessageRef {
            channel: posted.channel,
            ts: posted.ts,
        })
    }

    /// Edits a message of ours.
    ///
    /// # Errors
    ///
    /// What is wrong.
    pub async fn update(
        &self,
        at: &MessageRef,
        message: &Message,
        priority: Priority,
    ) -> Result<(), Trouble> {
        self.pace.update(priority).map_err(Trouble::Pace)?;
        let request = SlackApiChatUpdateRequest::new(
            at.channel.as_str().into(),
            content(message),
            at.ts.as_str().into(),
        );
        let Anything {} = self.send("chat.update", &request).await?;
        Ok(())
    }

    /// Shows a message to one person only. It vanishes when they reload.
    ///
    /// # Errors
    ///
    /// What is wrong.
    pub async fn whisper(&self, channel: &str, user: &PersonId, message: &Message) -> Result<(), Trouble> {
        self.pace.post(channel).map_err(Trouble::Pace)?;
        let request =
            SlackApiChatPostEphemeralRequest::new(channel.into(), user.as_str().into(), content(message));
        let Anything {} = self.send("chat.postEphemeral", &request).await?;
        Ok(())
    }

    /// Answers one person through the address that came with their request, in the channel it came from.
    ///
    /// # Errors
    ///
    /// When it is not Slack's address, or too late.
    pub async fn respond(&self, url: &str, channel: Option<&str>, message: &Message) -> Result<(), Trouble> {
        self.pace
            .post(channel.unwrap_or_default())
            .map_err(Trouble::Pace)?;
        let url = self
            .slacks_own(url, "hooks.slack.com")
            .ok_or_else(|| Trouble::Other("the response_url is not Slack's".to_owned()))?;
        let mut body = message.json();
        body["response_type"] = "ephemeral".into();
        body["replace_original"] = false.into();
        self.connector
            .respond(url, &body)
            .await
            .map_err(|error| trouble::of(&error))
    }

    /// Hangs a picture into the thread below a message: asks for a place, sends the bytes, says where they
    /// belong. Slack shows it a moment later.
    ///
    /// # Errors
    ///
    /// What is wrong; after [`Trouble::Outage`] it may appear all the same.
    pub async fn hang(&self, below: &MessageRef, picture: Picture) -> Result<(), Trouble> {
        let Picture {
            name,
            title,
            alt,
            png,
        } = picture;
        let length = png.len().to_string();
        let params = [
            ("filename", name.as_str()),
            ("length", length.as_str()),
            ("alt_txt", alt.as_str()),
        ];
        let place: UploadPlace = self.get("files.getUploadURLExternal", &params).await?;
        let url = self
            .slacks_own(&place.upload_url, "files.slack.com")
            .ok_or_else(|| Trouble::Other("the upload_url is not Slack's".to_owned()))?;
        self.connector
            .upload(url, png)
            .await
            .map_err(|error| trouble::of(&error))?;
        let request = serde_json::json!({
            "files": [{ "id": place.file_id, "title": title }],
            "channel_id": below.channel,
            "thread_ts": below.ts,
        });
        let Anything {} = self.send("files.completeUploadExternal", &request).await?;
        Ok(())
    }

    /// Only Slack's own: its answers are believed, but a check costs nothing, and we would post anywhere.
    fn slacks_own(&self, url: &str, host: &str) -> Option<Url> {
        let url: Url = url.parse().ok()?;
        let slack = url.scheme() == "https" && url.host_str() == Some(host);
        (slack || url.origin() == self.api.origin()).then_some(url)
    }

    /// Opens a dialog for whoever clicked, within three seconds of the click.
    ///
    /// # Errors
    ///
    /// What is wrong; nothing was opened.
    pub async fn open_view(&self, trigger: &str, view: SlackView) -> Result<(), Trouble> {
        let request = SlackApiViewsOpenRequest::new(trigger.into(), view);
        let Anything {} = self.send("views.open", &request).await?;
        Ok(())
    }

    /// What somebody is.
    ///
    /// # Errors
    ///
    /// A sentence: not known now.
    pub async fn member(&self, id: &PersonId) -> Result<Member, String> {
        if let Some(known) = self.kept(&self.members, id, MEMBER_FRESH) {
            return known;
        }
        let answer: Result<UserInfo, Trouble> = self.get("users.info", &[("user", id.as_str())]).await;
        let member = match answer {
            Ok(info) if info.user.id == id.as_str() => Ok(self.member_of(info.user)),
            Ok(_) => Err("Slack answered about somebody else".to_owned()),
            Err(Trouble::Other(code)) => Err(format!("Slack does not know this person ({code})")),
            Err(trouble) => Err(trouble.sentence()),
        };
        self.keep(&self.members, id.clone(), member.clone());
        member
    }

    fn member_of(&self, user: User) -> Member {
        let yes = |flag: Option<bool>| flag == Some(true);
        let standing = if yes(user.is_stranger) || user.team_id.is_some_and(|team| team != self.team) {
            Standing::Stranger
        } else if yes(user.deleted) {
            Standing::Gone
        } else if yes(user.is_bot) {
            Standing::Bot
        } else if yes(user.is_restricted) || yes(user.is_ultra_restricted) {
            Standing::Guest
        } else {
            Standing::Full
        };
        let shown = user.profile.display_name.filter(|name| !name.trim().is_empty());
        let name = shown.or(user.name).unwrap_or(user.id);
        let tame = |c: &char| !c.is_control() && !matches!(c, '<' | '>' | '&' | '`');
        Member {
            standing,
            name: name.chars().filter(tame).take(40).collect(),
        }
    }

    /// Who is in a user group.
    ///
    /// # Errors
    ///
    /// A sentence: not known now, so nobody is.
    pub async fn group(&self, id: &GroupId) -> Result<BTreeSet<PersonId>, String> {
        if let Some(known) = self.kept(&self.groups, id, GROUP_FRESH) {
            return known;
        }
        let params = [("usergroup", id.as_str()), ("include_disabled", "false")];
        let answer: Result<GroupUsers, Trouble> = self.get("usergroups.users.list", &params).await;
        let members = match answer {
            Ok(group) => Ok(group.users.into_iter().collect()),
            Err(Trouble::Other(code)) => Err(format!("Slack does not know group {id} ({code})")),
            Err(trouble) => Err(trouble.sentence()),
        };
        self.keep(&self.groups, id.clone(), members.clone());
        members
    }

    fn kept<K: std::hash::Hash + Eq, T: Clone>(
        &self,
        kept: &Kept<K, Result<T, String>>,
        key: &K,
        fresh: Duration,
    ) -> Option<Result<T, String>> {
        let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, known) = kept.get(key)?;
        let limit = if known.is_ok() { fresh } else { FAILURE_FRESH };
        (self.clock.elapsed().saturating_sub(*at) < limit).then(|| known.clone())
    }

    fn keep<K: std::hash::Hash + Eq, T>(&self, kept: &Kept<K, T>, key: K, value: T) {
        let now = self.clock.elapsed();
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MEMBERS_MAX {
            kept.retain(|_, (at, _)| now.saturating_sub(*at) < GROUP_FRESH);
        }
        kept.insert(key, (now, value));
    }

    async fn get<R: for<'de> Deserialize<'de> + Send>(
        &self,
        method: &'static str,
        params: &[(&str, &str)],
    ) -> Result<R, Trouble> {
        self.pace.open(method).map_err(Trouble::Pace)?;
        let params: Vec<_> = params.iter().map(|(key, value)| (*key, Some(*value))).collect();
        let token = self.token()?;
        let session = self.slack.open_session(&token);
        let answer = session.http_session_api.http_get(method, &params, None).await;
        self.judged(method, answer)
    }

    async fn send<R: for<'de> Deserialize<'de> + Send>(
        &self,
        method: &'static str,
        request: &(impl serde::Serialize + Send + Sync),
    ) -> Result<R, Trouble> {
        // No word leaves for a workspace that is not ours.
        if self.workspace() == Workspace::NotAsked {
            self.check().await?;
        }
        self.is_ours()?;
        self.pace.open(method).map_err(Trouble::Pace)?;
        let token = self.token()?;
        let session = self.slack.open_session(&token);
        let answer = session.http_session_api.http_post(method, request, None).await;
        self.judged(method, answer)
    }

    fn token(&self) -> Result<SlackApiToken, Trouble> {
        let token = (self.token)().map_err(|why| {
            self.note(Err(why.clone()));
            Trouble::SetUp(why)
        })?;
        Ok(SlackApiToken::new(token.expose_secret().into()))
    }

    /// Remembers how Slack is, and that it asked us to wait.
    fn judged<R>(&self, method: &'static str, answer: Result<R, SlackClientError>) -> Result<R, Trouble> {
        let answer = answer.map_err(|error| trouble::of(&error));
        match &answer {
            Err(Trouble::Wait(time)) => self.pace.pause(method, *time),
            Err(trouble @ (Trouble::Outage(_) | Trouble::BotIsOut(_))) => self.note(Err(trouble.sentence())),
            // Any other refusal is an answer: Slack is there and lets us in.
            Ok(_) | Err(_) => self.note(Ok(())),
        }
        answer
    }

    fn note(&self, health: Result<(), String>) {
        metrics::gauge!("heartbreak_slack_reachable").set(f64::from(u8::from(health.is_ok())));
        *self.health.lock().unwrap_or_else(PoisonError::into_inner) = health;
    }
}

fn content(message: &Message) -> SlackMessageContent {
    SlackMessageContent::new()
        .with_text(message.text.clone())
        .with_blocks(message.blocks.clone())
}
