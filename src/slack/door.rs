//! Where Slack comes in: checked, acknowledged in time, worked on, answered privately.
//!
//! In this order: size, text, signature on the raw bytes, memory of repeats, workspace and app, and only
//! then what is in it. Slack shows an error after three seconds and repeats no click, so the work is given
//! two; when it takes longer it goes on and its answer follows. Every request that is Slack's gets exactly
//! one answer to the person, also when it is a no. Not here: whether the person may, which is the engine's.

use super::Secret;
use super::client::{Client, Standing};
use super::inbound::{Event, Interaction, Typed, field};
use super::parse;
use super::render::{self, Message};
use super::signature::{self, Memory};
use super::text::{code, prose};
use super::trouble::Trouble;
use crate::model::command::{Asked, Command, Person, Role, Via};
use crate::model::ids::{PersonId, RunId};
use crate::model::view::{Refusal, RefusalKind, Reply};
use crate::ports::clock::Clock;
use crate::ports::inbox::Inbox;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Largest request: a dialog may have 250 KB, and percent-encoding triples that.
const BODY_BYTES_MAX: usize = 1 << 20;
/// How long Slack may wait for an answer that has something in it; it gives up after three seconds.
const BUDGET: Duration = Duration::from_secs(2);
/// How long to ask who somebody is.
const WHO_MAX: Duration = Duration::from_secs(1);
/// How often a private answer is tried.
const TRIES: u32 = 3;

/// What the door needs.
pub struct Door {
    /// Where everything that is asked goes.
    pub inbox: Arc<dyn Inbox>,
    /// For answers that come later, dialogs, and who somebody is.
    pub client: Arc<Client>,
    /// What requests are signed with.
    pub signing_secret: Secret,
    /// Our workspace.
    pub team_id: String,
    /// Our app in it.
    pub app_id: String,
    /// Who may resume and clear.
    pub admins: BTreeSet<PersonId>,
    /// Time, which tests own.
    pub clock: Arc<dyn Clock>,
}

struct Room {
    door: Door,
    memory: Memory,
}

type Shared = State<Arc<Room>>;

/// The routes below `/slack/`.
pub fn router(door: Door) -> Router {
    Router::new()
        .route("/slack/commands", post(commands).get(ssl_check))
        .route("/slack/interactions", post(interactions))
        .route("/slack/events", post(events))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(Arc::new(Room {
            door,
            memory: Memory::default(),
        }))
}

/// Slack may ask by GET whether our certificate is good; nothing is done.
async fn ssl_check(Query(query): Query<BTreeMap<String, String>>) -> StatusCode {
    match query.get("ssl_check").map(String::as_str) {
        Some("1") => StatusCode::OK,
        _ => StatusCode::METHOD_NOT_ALLOWED,
    }
}

fn done() -> Response {
    StatusCode::OK.into_response()
}

fn json_of(value: &Value) -> Response {
    (
        [(header::CONTENT_TYPE, "application/json; charset=utf-8")],
        value.to_string(),
    )
        .into_response()
}

fn ephemeral(message: &Message) -> Response {
    let mut body = message.json();
    body["response_type"] = "ephemeral".into();
    json_of(&body)
}

fn count(kind: &'static str, outcome: &'static str) {
    metrics::counter!("heartbreak_slack_requests_total", "kind" => kind, "outcome" => outcome).increment(1);
}

impl Room {
    /// The body as text, if it is Slack's, fresh and new.
    fn admit<'a>(
        &self,
        kind: &'static str,
        headers: &HeaderMap,
        body: &'a Bytes,
    ) -> Result<&'a str, StatusCode> {
        let Ok(text) = std::str::from_utf8(body) else {
            count(kind, "not-text");
            return Err(StatusCode::BAD_REQUEST);
        };
        let is_check = || field(text, "ssl_check").as_deref() == Some("1");
        if !signature::is_signed(headers) && is_check() {
            return Err(StatusCode::OK);
        }
        let now = self.door.clock.now();
        let secret = (self.door.signing_secret)().map_err(|why| {
            count(kind, "no-secret");
            tracing::error!(kind, %why, "nothing of Slack's can be believed without the signing secret");
            StatusCode::SERVICE_UNAVAILABLE
        })?;
        let signed = signature::verify(headers, body, &secret, now).map_err(|why| {
            count(kind, "not-believed");
            tracing::debug!(kind, %why, "a request to Slack's door was refused; nothing was done");
            StatusCode::UNAUTHORIZED
        })?;
        if !self.memory.is_new(signed, self.door.clock.elapsed()) {
            count(kind, "repeated");
            tracing::info!(kind, "a request of Slack's came twice; it counts once");
            return Err(StatusCode::OK);
        }
        if is_check() {
            return Err(StatusCode::OK);
        }
        count(kind, "taken");
        Ok(text)
    }

    /// Whether a request is of our workspace and for our app.
    fn is_ours<'a>(&self, mut teams: impl Iterator<Item = &'a str>, app: &str) -> Result<(), Message> {
        let mut some = false;
        let all_ours = teams.all(|team| {
            some = true;
            team == self.door.team_id
        });
        if some && all_ours && app == self.door.app_id {
            return Ok(());
        }
        tracing::warn!(
            app,
            "a signed request of another workspace or app was refused; nothing was done"
        );
        Err(render::sentence(
            "*Not allowed:* this bot works for another workspace, or this is another app of it. Nothing was done.",
        ))
    }

    /// Who asks. Identity is the user id; what Slack says about it decides what they may ask for.
    async fn person(&self, user: &str, command: &Command) -> Result<Person, Message> {
        let id = PersonId::new(user);
        let known = tokio::select! {
            biased;
            known = self.door.client.member(&id) => known,
            () = self.door.clock.sleep(WHO_MAX) => Err("Slack did not say within a second".to_owned()),
        };
        let no = |why: &str| {
            let why = format!("{why} can't use Heartbreak. Nothing was done.");
            Err(render::sentence(format!("*Not allowed:* {why}")))
        };
        match known {
            Ok(member) => match member.standing {
                Standing::Full => {
                    let role = if self.door.admins.contains(&id) {
                        Role::Admin
                    } else {
                        Role::Approver
                    };
                    Ok(Person {
                        name: format!("@{}", member.name),
                        id,
                        via: Via::Slack,
                        role,
                    })
                }
                Standing::Guest => no("Guests"),
                Standing::Bot => no("Bots"),
                Standing::Gone => no("Deactivated people"),
                Standing::Stranger => no("People of other workspaces"),
            },
            // Stopping is the safe direction and looking harms nothing; everything else needs to know who.
            Err(_) if command.is_question() || is_stop(command) => Ok(Person {
                name: user.to_owned(),
                id,
                via: Via::Slack,
                role: Role::Stop,
            }),
            Err(why) => Err(render::sentence(format!(
                "*Not possible at the moment:* who you are can't be checked ({}). Looking, `abort` and `halt` work; \
                 everything else works on the machine with `heartbreak`. Nothing was done.",
                prose(&why, 300)
            ))),
        }
    }

    async fn ask(&self, user: &str, command: Command, key: &str) -> Result<Message, No> {
        let by = self
            .person(user, &command)
            .await
            .map_err(|message| No { message, why: None })?;
        let key = Some(key.to_owned()).filter(|key| !key.is_empty());
        match self.door.inbox.ask(Asked { by, command, key }).await {
            Ok(reply) => Ok(self.shown(&reply)),
            Err(refusal) => Err(No {
                message: render::refusal(&refusal),
                why: Some(refusal.why),
            }),
        }
    }

    fn shown(&self, reply: &Reply) -> Message {
        render::reply(reply, self.door.clock.now())
    }

    async fn typed(&self, typed: &Typed) -> Message {
        if let Err(no) = self.is_ours([typed.team.as_str()].into_iter(), &typed.app) {
            return no;
        }
        let command = match parse::parse(&typed.text, self.door.clock.now()) {
            Ok(command) => command,
            Err(why) => return render::misread(&why),
        };
        self.ask(&typed.user, command, &typed.trigger)
            .await
            .unwrap_or_else(|no| no.message)
    }

    /// What a pressed button asks for.
    async fn clicked(&self, click: &Interaction) -> Result<Option<Message>, No> {
        let app = click.api_app_id.as_deref().unwrap_or_default();
        self.is_ours(click.teams(), app).map_err(No::of)?;
        let key = click.trigger_id.as_deref().unwrap_or_default();
        let Some(action) = click.actions.as_deref().and_then(<[_]>::first) else {
            return Ok(None);
        };
        let value = action.value.as_deref().unwrap_or_default();
        let run = || run_of(value).ok_or_else(|| No::of(old_button()));
        let command = match action.action_id.as_str() {
            render::APPROVE => parse::parse(&format!("approve {value}"), self.door.clock.now())
                .map_err(|_| No::of(old_button()))?,
            render::ABORT => Command::Abort {
                run: Some(run()?),
                reason: "the Abort button was pressed".to_owned(),
            },
            render::HALT => Command::Halt {
                reason: "the Halt button was pressed".to_owned(),
            },
            render::DENY => {
                // The trigger is good for three seconds: open first; whoever answers is checked then.
                let digest = value.split_once('.').map_or("", |(_, digest)| digest);
                let view = render::deny_view(&run()?, digest, click.channel_id());
                return match self.door.client.open_view(key, view).await {
                    Ok(()) => Ok(None),
                    Err(Trouble::TriggerExpired) => Err(No::of(render::sentence(
                        "That took too long, and Slack closed the door: press again. Nothing was done.",
                    ))),
                    Err(trouble) => Err(No::of(render::sentence(format!(
                        "The dialog can't be opened ({}). `{} deny {value} REASON` does the same. Nothing was done.",
                        prose(&trouble.sentence(), 300),
                        parse::SLASH,
                    )))),
                };
            }
            _ => return Err(No::of(old_button())),
        };
        let user = click.user_id();
        self.ask(user, command, key).await.map(Some)
    }

    /// A reason for a no. Whoever sends it is checked again: they opened the dialog a while ago.
    async fn submitted(&self, sent: &Interaction) -> Result<Message, No> {
        let app = sent.api_app_id.as_deref().unwrap_or_default();
        self.is_ours(sent.teams(), app).map_err(No::of)?;
        let Some(view) = sent
            .view
            .as_ref()
            .filter(|view| view.callback_id == render::DENY_VIEW)
        else {
            return Err(No::of(old_button()));
        };
        let metadata: Value = serde_json::from_str(&view.private_metadata).unwrap_or_default();
        let run = metadata["value"]
            .as_str()
            .and_then(run_of)
            .ok_or_else(|| No::of(old_button()))?;
        let reason = view.typed(render::REASON, render::REASON).trim().to_owned();
        if reason.is_empty() {
            return Err(No::because(
                "Say why in a few words: whoever asked has to learn from it.",
            ));
        }
        let key = sent.trigger_id.as_deref().unwrap_or_default();
        self.ask(sent.user_id(), Command::Deny { run, reason }, key).await
    }

    /// A private word, however late.
    async fn tell(&self, to: &Addressee, message: &Message) {
        let mut failures = 0;
        while failures < TRIES {
            let told = match (&to.response_url, &to.channel) {
                (Some(url), channel) if failures == 0 => {
                    self.door.client.respond(url, channel.as_deref(), message).await
                }
                (_, Some(channel)) => self.door.client.whisper(channel, &to.user, message).await,
                _ => {
                    return tracing::warn!(user = %to.user, "an answer could not be given: no address came with the request");
                }
            };
            let wait = match told {
                Ok(()) => return,
                // Our own turn comes within seconds, and costs no try.
                Err(Trouble::Pace(wait)) => wait,
                Err(trouble) => {
                    failures += 1;
                    tracing::warn!(user = %to.user, why = %trouble.sentence(), failures, "a private answer was not taken");
                    match trouble {
                        Trouble::Wait(wait) => wait,
                        _ => Duration::from_secs(1),
                    }
                }
            };
            self.door
                .clock
                .sleep(wait.clamp(Duration::from_millis(1), Duration::from_secs(30)))
                .await;
        }
    }
}

fn is_stop(command: &Command) -> bool {
    matches!(command, Command::Halt { .. } | Command::Abort { .. })
}

/// The run that a button is for: `run.digest`.
fn run_of(value: &str) -> Option<RunId> {
    let (run, _) = value.split_once('.')?;
    let known = run
        .strip_prefix("r-")
        .is_some_and(|id| id.len() == 8 && id.bytes().all(|b| b.is_ascii_alphanumeric()));
    known.then(|| RunId::new(run))
}

fn old_button() -> Message {
    render::sentence(format!(
        "This button is not known, perhaps of another version: `{} help` shows what can be asked. Nothing was done.",
        parse::SLASH
    ))
}

/// A no, as a message and, where the engine said it, in its own words.
struct No {
    message: Message,
    why: Option<String>,
}

impl No {
    fn of(message: Message) -> Self {
        Self { message, why: None }
    }

    fn because(why: &str) -> Self {
        let refusal = Refusal::new(RefusalKind::Invalid, why);
        Self {
            message: render::refusal(&refusal),
            why: Some(refusal.why),
        }
    }

    /// For a field of a dialog: plain text.
    fn plain(&self) -> String {
        let text = self.why.as_deref().unwrap_or(&self.message.text);
        text.chars()
            .filter(|c| !matches!(c, '*' | '`'))
            .take(300)
            .collect()
    }
}

/// Where a private word goes.
struct Addressee {
    user: PersonId,
    channel: Option<String>,
    response_url: Option<String>,
}

/// Waits for an answer as long as Slack does not mind. `None`: it comes later, and the sender knows.
async fn in_time<T>(room: &Room, mut answer: oneshot::Receiver<T>) -> Option<T> {
    tokio::select! {
        biased;
        answer = &mut answer => answer.ok(),
        () = room.door.clock.sleep(BUDGET) => {
            answer.close();
            answer.try_recv().ok()
        }
    }
}

async fn commands(State(room): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let typed = match room.admit("command", &headers, &body) {
        Ok(form) => Typed::read(form),
        Err(status) => return status.into_response(),
    };
    let (send, answer) = oneshot::channel();
    let worker = room.clone();
    // A task of its own: Slack hanging up must not leave a command half done.
    tokio::spawn(async move {
        let message = worker.typed(&typed).await;
        if let Err(late) = send.send(message) {
            let to = Addressee {
                user: PersonId::new(&typed.user),
                channel: Some(typed.channel).filter(|c| !c.is_empty()),
                response_url: Some(typed.response_url).filter(|u| !u.is_empty()),
            };
            worker.tell(&to, &late).await;
        }
    });
    match in_time(&room, answer).await {
        Some(message) => ephemeral(&message),
        None => ephemeral(&render::sentence(
            "Taken. It needs a moment; the answer follows here.",
        )),
    }
}

async fn interactions(State(room): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let payload = match room.admit("interaction", &headers, &body) {
        Ok(form) => field(form, "payload"),
        Err(status) => return status.into_response(),
    };
    let read: Option<Interaction> = payload.and_then(|payload| serde_json::from_str(&payload).ok());
    let Some(interaction) = read else {
        count("interaction", "not-read");
        tracing::warn!("a signed interaction of Slack's can't be read; nothing was done");
        return done();
    };
    match interaction.kind.as_str() {
        "block_actions" => click(room, interaction).await,
        "view_submission" => submission(room, interaction).await,
        other => {
            tracing::info!(kind = %code(other, 40), "an interaction of a kind that is not used");
            done()
        }
    }
}

async fn click(room: Arc<Room>, click: Interaction) -> Response {
    let (send, acknowledged) = oneshot::channel();
    let worker = room.clone();
    tokio::spawn(async move {
        let outcome = worker.clicked(&click).await;
        // Durable now: Slack may be told before the person is.
        let _ = send.send(());
        let message = match outcome {
            Ok(None) => return,
            Ok(Some(message)) => message,
            Err(no) => no.message,
        };
        let to = Addressee {
            user: PersonId::new(click.user_id()),
            channel: click.channel_id().map(str::to_owned),
            response_url: click.response_url.clone(),
        };
        worker.tell(&to, &message).await;
    });
    in_time(&room, acknowledged).await;
    done()
}

async fn submission(room: Arc<Room>, sent: Interaction) -> Response {
    let (send, answer) = oneshot::channel();
    let worker = room.clone();
    tokio::spawn(async move {
        let outcome = worker.submitted(&sent).await;
        let metadata = sent
            .view
            .as_ref()
            .map(|view| view.private_metadata.as_str())
            .unwrap_or_default();
        let metadata: Value = serde_json::from_str(metadata).unwrap_or_default();
        let channel = metadata["channel"]
            .as_str()
            .filter(|c| !c.is_empty())
            .map(str::to_owned);
        let to = Addressee {
            user: PersonId::new(sent.user_id()),
            channel,
            response_url: None,
        };
        match outcome {
            Ok(message) => {
                let _ = send.send(None);
                worker.tell(&to, &message).await;
            }
            Err(no) => {
                // In the dialog, beside the field; when it is closed already, as a private word.
                if send.send(Some(no.plain())).is_err() {
                    worker.tell(&to, &no.message).await;
                }
            }
        }
    });
    match in_time(&room, answer).await {
        Some(Some(why)) => json_of(&json!({"response_action": "errors", "errors": {render::REASON: why}})),
        Some(None) | None => done(),
    }
}

async fn events(State(room): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let text = match room.admit("event", &headers, &body) {
        Ok(text) => text,
        Err(status) => return status.into_response(),
    };
    let event: Event = serde_json::from_str(text).unwrap_or_default();
    match (event.kind.as_str(), event.challenge) {
        ("url_verification", Some(challenge)) => json_of(&json!({"challenge": challenge})),
        // Nothing is subscribed to. An answer other than 200 would switch the app's events off.
        _ => {
            tracing::debug!(
                id = event.event_id.as_deref().unwrap_or_default(),
                "an event that is not used"
            );
            done()
        }
    }
}
