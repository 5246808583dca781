//! A pretend Slack: its Web API, its people, its troubles, and a page to watch it on.

mod blocks;
mod page;
mod person;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State as Ax};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use tokio::sync::watch;

pub use person::{Answer, Person, Sent, Signing, raw_post, sign};

/// The team everyone belongs to unless told otherwise.
pub const TEAM: &str = "T0PRETEND";
/// The app's id.
pub const APP: &str = "A0PRETEND";
/// The bot's own user.
pub const BOT_USER: &str = "U0HEARTBT";
/// The token the Web API asks for.
pub const TOKEN: &str = "xoxb-sim-token";
/// The secret the person's requests are signed with.
pub const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";

#[expect(clippy::disallowed_methods, reason = "the pretend Slack has its own clock")]
fn now() -> DateTime<Utc> {
    Utc::now()
}

/// A message as Slack holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// The channel's id.
    pub channel: String,
    /// The message's id in the channel.
    pub ts: String,
    /// The parent's id, for a reply.
    pub thread_ts: Option<String>,
    /// The text, which notifications show.
    pub text: String,
    /// The blocks, an array (empty without any).
    pub blocks: Value,
    /// The metadata, if any was sent.
    pub metadata: Option<Value>,
    /// What the message said before each edit, oldest first.
    pub edits: Vec<(String, Value)>,
}

impl Message {
    /// The button with this action id, if the message has one now.
    pub fn button(&self, action_id: &str) -> Option<Value> {
        blocks::buttons(&self.blocks)
            .into_iter()
            .find(|b| b["action_id"] == action_id)
    }

    fn json(&self) -> Value {
        let mut m = json!({
            "type": "message", "subtype": "bot_message", "user": BOT_USER, "bot_id": "BBOT",
            "app_id": APP, "team": TEAM, "text": self.text, "ts": self.ts, "blocks": self.blocks,
        });
        if let Some(t) = &self.thread_ts {
            m["thread_ts"] = json!(t);
        }
        if let Some(d) = &self.metadata {
            m["metadata"] = d.clone();
        }
        if !self.edits.is_empty() {
            m["edited"] = json!({"user": BOT_USER, "ts": self.ts});
        }
        m
    }
}

/// A file that the bot sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct File {
    /// Slack's id for it.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it shows, for those who can't see it.
    pub alt: String,
    /// How many bytes were announced.
    pub announced: usize,
    /// Its bytes, once they came.
    pub bytes: Vec<u8>,
    /// Its title, once it was shared.
    pub title: String,
    /// Where it was shared: the channel and the thread's parent.
    pub shared: Option<(String, String)>,
}

/// A dialogue the bot opened.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// Slack's id for it.
    pub id: String,
    /// Who sees it.
    pub user: String,
    /// What the bot sent.
    pub view: Value,
    /// Whether it is still on the screen.
    pub open: bool,
}

/// Somebody in the workspace.
#[derive(Clone, Debug)]
pub struct Member {
    id: String,
    name: String,
    team: String,
    guest: bool,
    bot: bool,
    deleted: bool,
}

impl Member {
    /// A full member of the team.
    pub fn full(id: &str, name: &str) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            team: TEAM.into(),
            guest: false,
            bot: false,
            deleted: false,
        }
    }
    /// The same, as a guest.
    pub fn guest(mut self) -> Self {
        self.guest = true;
        self
    }
    /// The same, as a bot.
    pub fn bot(mut self) -> Self {
        self.bot = true;
        self
    }
    /// The same, deactivated.
    pub fn deleted(mut self) -> Self {
        self.deleted = true;
        self
    }
    /// The same, from another team.
    pub fn team(mut self, team: &str) -> Self {
        self.team = team.into();
        self
    }
}

/// What goes wrong with the Web API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// 500 with a page of HTML; nothing happened.
    Down500Html,
    /// 200 with a page of HTML; nothing happened.
    Html200,
    /// 429 with this many seconds in `Retry-After`.
    RateLimited(u64),
    /// `invalid_auth` for every call.
    InvalidAuth,
    /// No answer, ever; nothing happened.
    Hang,
    /// The call took effect, and the connection broke before the answer.
    AnswerLost,
    /// The call took effect, and the answer was a 500.
    Answer500,
}

#[derive(Clone)]
struct Ephemeral {
    ts: String,
    user: String,
    text: String,
    blocks: Value,
}

struct Trigger {
    user: String,
    at: DateTime<Utc>,
    used: bool,
}

struct Hook {
    user: String,
    channel: String,
    message: Option<String>,
    at: DateTime<Utc>,
    uses: u32,
}

#[derive(Default)]
struct Held {
    serial: u64,
    messages: Vec<Message>,
    ephemerals: Vec<Ephemeral>,
    views: Vec<View>,
    members: BTreeMap<String, Member>,
    groups: BTreeMap<String, Vec<String>>,
    channels: BTreeMap<String, (String, bool)>,
    troubles: VecDeque<(Trouble, Option<String>, Option<usize>)>,
    triggers: HashMap<String, Trigger>,
    hooks: HashMap<String, Hook>,
    last_post: HashMap<String, DateTime<Utc>>,
    violations: BTreeMap<String, usize>,
    calls: Vec<(String, Value)>,
    bot: Option<String>,
    /// Where this Slack listens, for the addresses it gives out.
    base: String,
    files: Vec<File>,
}

impl Held {
    fn next(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }
    fn ts(&mut self) -> String {
        let n = self.next();
        format!("{}.{:06}", 1_790_000_000 + n / 1000, (n % 1000) * 100)
    }
    fn counted(&mut self, channel: &str) {
        let at = now();
        if let Some(last) = self.last_post.insert(channel.into(), at)
            && at - last < chrono::Duration::milliseconds(900)
        {
            *self.violations.entry(channel.into()).or_default() += 1;
        }
    }
    fn whisper(&mut self, user: &str, text: &str, blocks: Value) -> String {
        let ts = self.ts();
        self.ephemerals.push(Ephemeral {
            ts: ts.clone(),
            user: user.into(),
            text: text.into(),
            blocks,
        });
        ts
    }
    fn say(
        &mut self,
        channel: &str,
        thread_ts: Option<String>,
        text: &str,
        blocks: Value,
        metadata: Option<Value>,
    ) -> Message {
        let message = Message {
            channel: channel.into(),
            ts: self.ts(),
            thread_ts,
            text: text.into(),
            blocks,
            metadata,
            edits: Vec::new(),
        };
        self.messages.push(message.clone());
        message
    }
    fn edit(&mut self, channel: &str, ts: &str, text: &str, blocks: Value) -> Option<Message> {
        let m = self
            .messages
            .iter_mut()
            .find(|m| m.channel == channel && m.ts == ts)?;
        let old = (
            std::mem::replace(&mut m.text, text.into()),
            std::mem::replace(&mut m.blocks, blocks),
        );
        m.edits.push(old);
        Some(m.clone())
    }
}

/// A running pretend Slack. Clones share one workspace.
#[derive(Clone)]
pub struct Slack {
    addr: SocketAddr,
    held: Arc<Mutex<Held>>,
    changed: watch::Sender<u64>,
}

impl Slack {
    /// Starts one on a free port of this machine, with people ana, ben, cho, gus, dee, robot and olga, a group, two channels
    /// and an archived one.
    pub async fn start() -> Self {
        Self::start_on(SocketAddr::from(([127, 0, 0, 1], 0)))
            .await
            .expect("a free port on this machine")
    }

    /// Starts one on this address.
    pub async fn start_on(addr: SocketAddr) -> std::io::Result<Self> {
        let listener = tokio::net::TcpListener::bind(addr).await?;
        let slack = Self {
            addr: listener.local_addr()?,
            held: Arc::default(),
            changed: watch::Sender::new(0),
        };
        slack.held().base = slack.base();
        for m in [
            Member::full("U0ANA0001", "ana"),
            Member::full("U0BEN0002", "ben"),
            Member::full("U0CHO0003", "cho"),
            Member::full("U0GUS0004", "gus").guest(),
            Member::full("U0DEE0005", "dee").deleted(),
            Member::full("U0ROBOT06", "robot").bot(),
            Member::full("U0OLGA007", "olga").team("T0FOREIGN"),
        ] {
            slack.add_member(m);
        }
        slack.set_group("S0CHAOS01", &["U0ANA0001", "U0BEN0002"]);
        slack.add_channel("C0CHAOS01", "chaos");
        slack.add_channel("C0OPERATE", "operators");
        slack.add_channel("C0OLDOLD9", "old");
        slack.archive("C0OLDOLD9");
        let app = Router::new()
            .route("/api/{method}", any(api))
            .route("/hook/{id}", post(hook))
            .route("/upload/{id}", post(upload))
            .merge(page::routes())
            .with_state(slack.clone());
        tokio::spawn(async move {
            if let Err(e) = axum::serve(listener, app).await {
                tracing::warn!(error = %e, "the pretend Slack stopped");
            }
        });
        Ok(slack)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, f: impl FnOnce(&mut Held) -> T) -> T {
        let out = f(&mut self.held());
        self.changed.send_modify(|n| *n += 1);
        out
    }

    /// Where it listens: `http://127.0.0.1:port`; the Web API is under `/api/`.
    pub fn base(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Where the bot listens, for the page's buttons.
    pub fn set_bot(&self, url: &str) {
        self.change(|h| h.bot = Some(url.trim_end_matches('/').into()));
    }

    /// Adds or replaces somebody.
    pub fn add_member(&self, member: Member) {
        self.change(|h| h.members.insert(member.id.clone(), member));
    }

    /// Sets who is in a user group.
    pub fn set_group(&self, group: &str, users: &[&str]) {
        self.change(|h| {
            let users = users.iter().map(|u| (*u).to_owned()).collect();
            h.groups.insert(group.into(), users);
        });
    }

    /// Adds or renames a channel.
    pub fn add_channel(&self, id: &str, name: &str) {
        self.change(|h| h.channels.insert(id.into(), (name.into(), false)));
    }

    /// Archives a channel.
    pub fn archive(&self, id: &str) {
        self.change(|h| {
            if let Some(c) = h.channels.get_mut(id) {
                c.1 = true;
            }
        });
    }

    /// Every message now, oldest first.
    pub fn messages(&self) -> Vec<Message> {
        self.held().messages.clone()
    }

    /// Every file that was shared, oldest first.
    pub fn files(&self) -> Vec<File> {
        let held = self.held();
        held.files
            .iter()
            .filter(|f| f.shared.is_some())
            .cloned()
            .collect()
    }

    /// Every private word, as (user, text), oldest first.
    pub fn ephemerals(&self) -> Vec<(String, String)> {
        let held = self.held();
        held.ephemerals
            .iter()
            .map(|e| (e.user.clone(), e.text.clone()))
            .collect()
    }

    /// Every dialogue opened, oldest first.
    pub fn views(&self) -> Vec<View> {
        self.held().views.clone()
    }

    /// Every Web API call that got past the troubles, as (method, arguments).
    pub fn calls(&self) -> Vec<(String, Value)> {
        self.held().calls.clone()
    }

    /// How often each channel got a message within 0.9 s of the one before.
    pub fn rate_violations(&self) -> BTreeMap<String, usize> {
        self.held().violations.clone()
    }

    /// Makes the next `count` calls go wrong (`None`: all until [`Slack::clear_troubles`]).
    pub fn trouble(&self, trouble: Trouble, count: Option<usize>) {
        self.held().troubles.push_back((trouble, None, count));
    }

    /// The same for the calls of one method only.
    pub fn trouble_with(&self, method: &str, trouble: Trouble, count: Option<usize>) {
        let method = Some(method.to_owned());
        self.held().troubles.push_back((trouble, method, count));
    }

    /// Ends all trouble.
    pub fn clear_troubles(&self) {
        self.held().troubles.clear();
    }

    /// Waits for the first message, old or new, that fits.
    pub async fn wait_for(&self, fits: impl Fn(&Message) -> bool, timeout: Duration) -> Option<Message> {
        self.wait_until(|s| s.held().messages.iter().find(|m| fits(m)).cloned(), timeout)
            .await
    }

    /// Waits for the first private word to this user that fits.
    pub async fn wait_for_ephemeral(
        &self,
        user: &str,
        fits: impl Fn(&str) -> bool,
        timeout: Duration,
    ) -> Option<String> {
        let find = |s: &Self| {
            let words = s.ephemerals();
            words.into_iter().find(|(u, t)| u == user && fits(t))
        };
        self.wait_until(find, timeout).await.map(|(_, t)| t)
    }

    /// Waits for a dialogue on this user's screen.
    pub async fn wait_for_view(&self, user: &str, timeout: Duration) -> Option<View> {
        let find = |s: &Self| s.views().into_iter().find(|v| v.open && v.user == user);
        self.wait_until(find, timeout).await
    }

    /// Waits until something can be found; looks again after every change.
    pub async fn wait_until<T>(&self, find: impl Fn(&Self) -> Option<T>, timeout: Duration) -> Option<T> {
        let mut changed = self.changed.subscribe();
        let search = async {
            loop {
                changed.borrow_and_update();
                if let Some(found) = find(self) {
                    return Some(found);
                }
                changed.changed().await.ok()?;
            }
        };
        tokio::time::timeout(timeout, search).await.ok().flatten()
    }

    fn take_trouble(&self, method: &str) -> Option<Trouble> {
        let mut held = self.held();
        let at = held
            .troubles
            .iter()
            .position(|(_, m, _)| m.as_deref().is_none_or(|m| m == method))?;
        let entry = &mut held.troubles[at];
        let trouble = entry.0.clone();
        if let Some(n) = &mut entry.2 {
            if *n <= 1 {
                held.troubles.remove(at);
            } else {
                *n -= 1;
            }
        }
        Some(trouble)
    }
}

fn failed(error: &str) -> Value {
    json!({"ok": false, "error": error})
}

fn html_error(status: StatusCode) -> Response {
    let page = "<!DOCTYPE html><html><body><h1>Slack is having a bad day</h1></body></html>";
    (status, [(header::CONTENT_TYPE, "text/html")], page).into_response()
}

fn answer(value: &Value) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json; charset=utf-8")];
    (kind, value.to_string()).into_response()
}

async fn api(
    Ax(slack): Ax<Slack>,
    Path(method): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let trouble = slack.take_trouble(&method);
    match &trouble {
        Some(Trouble::Down500Html) => return html_error(StatusCode::INTERNAL_SERVER_ERROR),
        Some(Trouble::Html200) => return html_error(StatusCode::OK),
        Some(Trouble::RateLimited(s)) => {
            let wait = [(header::RETRY_AFTER, s.to_string())];
            let body = failed("ratelimited").to_string();
            return (StatusCode::TOO_MANY_REQUESTS, wait, body).into_response();
        }
        Some(Trouble::InvalidAuth) => return answer(&failed("invalid_auth")),
        Some(Trouble::Hang) => return std::future::pending().await,
        Some(Trouble::AnswerLost | Trouble::Answer500) | None => {}
    }
    let args = arguments(&uri, &headers, &body);
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.strip_prefix("Bearer "))
        .or(args["token"].as_str());
    let out = match token {
        None => failed("not_authed"),
        Some(t) if t != TOKEN => failed("invalid_auth"),
        Some(_) => slack.change(|h| {
            h.calls.push((method.clone(), args.clone()));
            called(h, &method, &args).unwrap_or_else(|e| e)
        }),
    };
    match trouble {
        Some(Trouble::AnswerLost) => {
            let broken = std::io::Error::other("the connection broke");
            let stream = futures_util::stream::iter([Err::<Bytes, _>(broken)]);
            Body::from_stream(stream).into_response()
        }
        Some(Trouble::Answer500) => html_error(StatusCode::INTERNAL_SERVER_ERROR),
        _ => answer(&out),
    }
}

fn arguments(uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Value {
    let mut args = Map::new();
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    let mut pairs = person::decode_form(uri.query().unwrap_or_default());
    if kind.starts_with("application/json") {
        if let Ok(Value::Object(o)) = serde_json::from_slice(body) {
            args = o;
        }
    } else {
        pairs.extend(person::decode_form(&String::from_utf8_lossy(body)));
    }
    for (k, v) in pairs {
        args.insert(k, Value::String(v));
    }
    for key in ["blocks", "metadata", "view"] {
        if let Some(Value::String(s)) = args.get(key) {
            let parsed = serde_json::from_str(s).unwrap_or(Value::Null);
            args.insert(key.into(), parsed);
        }
    }
    Value::Object(args)
}

fn text<'a>(args: &'a Value, key: &str) -> &'a str {
    args[key].as_str().unwrap_or_default()
}

fn place(held: &Held, channel: &str) -> Result<(), Value> {
    match held.channels.get(channel) {
        None => Err(failed("channel_not_found")),
        Some((_, true)) => Err(failed("is_archived")),
        Some(_) => Ok(()),
    }
}

fn called(held: &mut Held, method: &str, args: &Value) -> Result<Value, Value> {
    let channel = text(args, "channel");
    let words = text(args, "text");
    match method {
        "auth.test" => Ok(json!({
            "ok": true, "url": "https://pretend.slack.com/", "team": "Pretend", "user": "heartbreak",
            "team_id": TEAM, "user_id": BOT_USER, "bot_id": "BBOT", "is_enterprise_install": false,
        })),
        "chat.postMessage" => {
            place(held, channel)?;
            let blocks = blocks::checked(&args["blocks"], words)?;
            let thread = args["thread_ts"].as_str().map(str::to_owned);
            held.counted(channel);
            let m = held.say(channel, thread, words, blocks, args.get("metadata").cloned());
            Ok(json!({"ok": true, "channel": channel, "ts": m.ts, "message": m.json()}))
        }
        "chat.update" => {
            place(held, channel)?;
            if words.chars().count() > 4000 {
                return Err(failed("msg_too_long"));
            }
            let blocks = blocks::checked(&args["blocks"], words)?;
            let m = held
                .edit(channel, text(args, "ts"), words, blocks)
                .ok_or_else(|| failed("message_not_found"))?;
            Ok(json!({
                "ok": true, "channel": channel, "ts": m.ts, "text": words, "message": m.json(),
            }))
        }
        "chat.postEphemeral" => {
            place(held, channel)?;
            let user = text(args, "user");
            if !held.members.contains_key(user) {
                return Err(failed("user_not_in_channel"));
            }
            let blocks = blocks::checked(&args["blocks"], words)?;
            held.counted(channel);
            let ts = held.whisper(user, words, blocks);
            Ok(json!({"ok": true, "message_ts": ts}))
        }
        "chat.delete" => {
            place(held, channel)?;
            let ts = text(args, "ts");
            let at = held
                .messages
                .iter()
                .position(|m| m.channel == channel && m.ts == ts)
                .ok_or_else(|| failed("message_not_found"))?;
            held.messages.remove(at);
            Ok(json!({"ok": true, "channel": channel, "ts": ts}))
        }
        "files.getUploadURLExternal" => {
            let announced = text(args, "length").parse().unwrap_or(0);
            if text(args, "filename").is_empty() || announced == 0 {
                return Err(failed("missing_argument"));
            }
            let id = format!("F{:010}", held.next());
            held.files.push(File {
                id: id.clone(),
                name: text(args, "filename").to_owned(),
                alt: text(args, "alt_txt").to_owned(),
                announced,
                ..File::default()
            });
            Ok(json!({"ok": true, "upload_url": format!("{}/upload/{id}", held.base), "file_id": id}))
        }
        "files.completeUploadExternal" => {
            let channel = text(args, "channel_id");
            place(held, channel)?;
            let wanted = &args["files"][0];
            let file = held
                .files
                .iter_mut()
                .find(|f| Some(f.id.as_str()) == wanted["id"].as_str() && !f.bytes.is_empty())
                .ok_or_else(|| failed("file_not_found"))?;
            file.title = text(wanted, "title").to_owned();
            file.shared = Some((channel.to_owned(), text(args, "thread_ts").to_owned()));
            Ok(json!({"ok": true, "files": [{"id": file.id, "title": file.title}]}))
        }
        "views.open" => {
            let trigger = held
                .triggers
                .get_mut(text(args, "trigger_id"))
                .ok_or_else(|| failed("invalid_trigger_id"))?;
            if now() - trigger.at > chrono::Duration::seconds(3) {
                return Err(failed("expired_trigger_id"));
            }
            if std::mem::replace(&mut trigger.used, true) {
                return Err(failed("exchanged_trigger_id"));
            }
            let user = trigger.user.clone();
            blocks::checked_view(&args["view"])?;
            let id = format!("V{}", held.next());
            let mut view = args["view"].clone();
            view["id"] = json!(id);
            view["hash"] = json!(format!("{}.h", held.next()));
            view["team_id"] = json!(TEAM);
            view["app_id"] = json!(APP);
            view["bot_id"] = json!("BBOT");
            view["root_view_id"] = json!(id);
            view["state"] = json!({"values": {}});
            held.views.push(View {
                id,
                user,
                view: view.clone(),
                open: true,
            });
            Ok(json!({"ok": true, "view": view}))
        }
        "users.info" => {
            let m = held
                .members
                .get(text(args, "user"))
                .ok_or_else(|| failed("user_not_found"))?;
            Ok(json!({"ok": true, "user": {
                "id": m.id, "team_id": m.team, "name": m.name, "real_name": m.name,
                "deleted": m.deleted, "is_bot": m.bot, "is_app_user": false,
                "is_restricted": m.guest, "is_ultra_restricted": false,
                "is_stranger": m.team != TEAM, "is_admin": false, "is_owner": false,
                "tz": "Europe/Berlin", "tz_label": "Central European Time", "tz_offset": 3600,
                "updated": 1_700_000_000, "profile": {
                    "display_name": m.name, "real_name": m.name, "team": m.team,
                },
            }}))
        }
        "usergroups.users.list" => held
            .groups
            .get(text(args, "usergroup"))
            .map(|users| json!({"ok": true, "users": users}))
            .ok_or_else(|| failed("no_such_subteam")),
        "conversations.info" => held
            .channels
            .get(channel)
            .map(|(name, archived)| {
                json!({"ok": true, "channel": {
                    "id": channel, "name": name, "name_normalized": name, "is_channel": true,
                    "is_archived": archived, "is_member": !archived, "is_private": false,
                    "is_ext_shared": false, "is_shared": false, "created": 1_700_000_000,
                    "creator": "U0ANA0001", "context_team_id": TEAM,
                }})
            })
            .ok_or_else(|| failed("channel_not_found")),
        _ => Err(failed("unknown_method")),
    }
}

/// Takes the bytes of an announced file; like the real one it wants no token, and answers in plain text.
async fn upload(Ax(slack): Ax<Slack>, Path(id): Path<String>, body: Bytes) -> Response {
    let taken = slack.change(|h| {
        let file = h.files.iter_mut().find(|f| f.id == id)?;
        (file.announced == body.len()).then(|| file.bytes = body.to_vec())
    });
    match taken {
        Some(()) => (StatusCode::OK, format!("OK - {}", body.len())).into_response(),
        None => (StatusCode::BAD_REQUEST, "no such upload, or another length").into_response(),
    }
}

async fn hook(Ax(slack): Ax<Slack>, Path(id): Path<String>, body: Bytes) -> Response {
    let args: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let out = slack.change(|h| hooked(h, &id, &args));
    match out {
        Ok(()) => answer(&json!({"ok": true})),
        Err(e) => (StatusCode::NOT_FOUND, e.to_string()).into_response(),
    }
}

fn hooked(held: &mut Held, id: &str, args: &Value) -> Result<(), Value> {
    let hook = held.hooks.get_mut(id).ok_or_else(|| failed("expired_url"))?;
    hook.uses += 1;
    if hook.uses > 5 || now() - hook.at > chrono::Duration::minutes(30) {
        return Err(failed("expired_url"));
    }
    let (user, channel, message) = (hook.user.clone(), hook.channel.clone(), hook.message.clone());
    if args["delete_original"] == true {
        held.messages
            .retain(|m| m.channel != channel || Some(&m.ts) != message.as_ref());
        return Ok(());
    }
    let words = text(args, "text");
    let blocks = blocks::checked(&args["blocks"], words)?;
    match message {
        Some(ts) if args["replace_original"] == true => {
            held.edit(&channel, &ts, words, blocks);
        }
        _ => {
            held.counted(&channel);
            if args["response_type"] == "in_channel" {
                held.say(&channel, None, words, blocks, None);
            } else {
                held.whisper(&user, words, blocks);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_signature_comes_out() {
        let body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
        assert_eq!(
            sign(SECRET, "1531420618", body),
            "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
        );
    }

    #[test]
    fn an_update_without_blocks_drops_them() {
        let mut held = Held::default();
        held.channels.insert("C0CHAOS01".into(), ("chaos".into(), false));
        let section = json!([{"type": "section", "text": {"type": "mrkdwn", "text": "hello"}}]);
        let args = json!({"channel": "C0CHAOS01", "text": "hello", "blocks": section});
        let posted = called(&mut held, "chat.postMessage", &args).unwrap();
        assert_eq!(held.messages[0].blocks.as_array().unwrap().len(), 1);
        let args = json!({"channel": "C0CHAOS01", "ts": posted["ts"], "text": "bye"});
        called(&mut held, "chat.update", &args).unwrap();
        assert_eq!(held.messages[0].blocks, json!([]));
        assert_eq!(held.messages[0].text, "bye");
        assert_eq!(held.messages[0].edits[0].0, "hello");
    }
}
