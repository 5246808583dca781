//! A person at the pretend Slack: commands, clicks and forms, signed as Slack signs them.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::{BodyExt, Full};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use sha2::Sha256;

use super::{APP, Held, Hook, Message, SECRET, Slack, TEAM, Trigger, View, blocks, now};

/// Slack's signature `v0=…` over a timestamp and a raw body.
pub fn sign(secret: &str, timestamp: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(format!("v0:{timestamp}:{body}").as_bytes());
    let mut out = String::from("v0=");
    for b in mac.finalize().into_bytes() {
        let _ = write!(out, "{b:02x}");
    }
    out
}

/// How requests are signed.
#[derive(Clone, Debug)]
pub enum Signing {
    /// As Slack does.
    Good,
    /// With another secret.
    Bad,
    /// Not at all.
    Missing,
    /// Well, but 310 s ago.
    Old,
    /// Well, but 310 s ahead.
    Future,
    /// The very same headers and body as an earlier request.
    Replay(Sent),
}

/// A request as it went out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// `X-Slack-Request-Timestamp`.
    pub timestamp: String,
    /// `X-Slack-Signature`, unless left out.
    pub signature: Option<String>,
    /// The raw body.
    pub body: String,
}

/// What the bot answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status; 0 when no answer came within 3 s.
    pub status: u16,
    /// The body.
    pub body: String,
    /// The request it answers, for [`Signing::Replay`].
    pub sent: Sent,
}

/// Somebody who types commands and presses buttons.
#[derive(Clone)]
pub struct Person {
    slack: Slack,
    /// The user's id.
    pub user: String,
    /// The team the requests name.
    pub team: String,
    /// The app the requests name.
    pub app: String,
    /// The channel commands are typed in.
    pub channel: String,
    /// How requests are signed.
    pub signing: Signing,
    /// The time requests are signed at, if not now.
    pub at: Option<DateTime<Utc>>,
}

impl Slack {
    /// This user, in their own team, typing in the first channel.
    pub fn person(&self, user: &str) -> Person {
        let team = self.held().members.get(user).map(|m| m.team.clone());
        Person {
            slack: self.clone(),
            user: user.into(),
            team: team.unwrap_or_else(|| TEAM.into()),
            app: APP.into(),
            channel: "C0CHAOS01".into(),
            signing: Signing::Good,
            at: None,
        }
    }
}

impl Person {
    /// The same person, signing like this.
    pub fn signing(mut self, signing: Signing) -> Self {
        self.signing = signing;
        self
    }
    /// The same person, with requests that name this team.
    pub fn team(mut self, team: &str) -> Self {
        self.team = team.into();
        self
    }
    /// The same person, with requests that name this app.
    pub fn app(mut self, app: &str) -> Self {
        self.app = app.into();
        self
    }
    /// The same person, in this channel.
    pub fn channel(mut self, channel: &str) -> Self {
        self.channel = channel.into();
        self
    }
    /// The same person, signing at this time.
    pub fn at(mut self, at: DateTime<Utc>) -> Self {
        self.at = Some(at);
        self
    }

    /// Types a slash command; what the bot answers is shown, as Slack would.
    pub async fn command(&self, bot: &str, command: &str, text: &str) -> Answer {
        let (trigger, hook, channel_name) = self.slack.change(|h| {
            let (t, u) = self.tokens(h, &self.channel, None);
            (t, u, h.channels.get(&self.channel).map(|c| c.0.clone()))
        });
        let body = encode_form(&[
            ("token", "legacy"),
            ("team_id", &self.team),
            ("team_domain", "pretend"),
            ("channel_id", &self.channel),
            ("channel_name", &channel_name.unwrap_or_default()),
            ("user_id", &self.user),
            ("user_name", &self.name()),
            ("command", command),
            ("text", text),
            ("api_app_id", &self.app),
            ("is_enterprise_install", "false"),
            ("response_url", &hook),
            ("trigger_id", &trigger),
        ]);
        let answer = self.send(bot, "/slack/commands", body).await;
        if answer.status == 200 && !answer.body.trim().is_empty() {
            let said: Value = serde_json::from_str(&answer.body)
                .ok()
                .filter(Value::is_object)
                .unwrap_or_else(|| json!({"text": answer.body}));
            let words = said["text"].as_str().unwrap_or_default();
            if let Ok(kept) = blocks::checked(&said["blocks"], words) {
                self.slack.change(|h| {
                    if said["response_type"] == "in_channel" {
                        h.say(&self.channel, None, words, kept, None);
                    } else {
                        h.whisper(&self.user, words, kept);
                    }
                });
            }
        }
        answer
    }

    /// Presses a button of the message with this `ts`, with the value it has now.
    pub async fn click(&self, bot: &str, ts: &str, action: &str) -> Result<Answer, String> {
        self.click_where(bot, |m| m.ts == ts, action).await
    }

    /// Presses a button of the newest message that fits.
    pub async fn click_where(
        &self,
        bot: &str,
        fits: impl Fn(&Message) -> bool,
        action: &str,
    ) -> Result<Answer, String> {
        let message = self.slack.messages().into_iter().rev().find(fits);
        let message = message.ok_or("no such message")?;
        self.click_on(bot, &message, action).await
    }

    /// Presses a button of a message as it was seen, even if it has been edited since: an old
    /// screen, or a forged one.
    pub async fn click_on(&self, bot: &str, seen: &Message, action: &str) -> Result<Answer, String> {
        let mut button = seen.button(action).ok_or_else(|| format!("no button {action}"))?;
        let (trigger, hook, stamp, name) = self.slack.change(|h| {
            let (t, u) = self.tokens(h, &seen.channel, Some(&seen.ts));
            let name = h.channels.get(&seen.channel).map(|c| c.0.clone());
            (t, u, h.ts(), name)
        });
        button["action_ts"] = json!(stamp);
        let payload = json!({
            "type": "block_actions", "user": self.json(), "api_app_id": self.app, "token": "legacy",
            "team": {"id": self.team, "domain": "pretend"}, "enterprise": null,
            "is_enterprise_install": false,
            "container": {
                "type": "message", "message_ts": seen.ts, "channel_id": seen.channel,
                "is_ephemeral": false,
            },
            "channel": {"id": seen.channel, "name": name}, "message": seen.json(),
            "state": {"values": {}}, "trigger_id": trigger, "response_url": hook,
            "actions": [button],
        });
        Ok(self.interact(bot, &payload).await)
    }

    /// Sends a form, with values as (block id, value). The dialogue closes if the bot has no objection.
    pub async fn submit(&self, bot: &str, view: &View, values: &[(&str, &str)]) -> Answer {
        let mut state = Map::new();
        for b in view.view["blocks"].as_array().into_iter().flatten() {
            let (Some(block), true) = (b["block_id"].as_str(), b["type"] == "input") else {
                continue;
            };
            let value = values.iter().find(|(k, _)| *k == block).map(|(_, v)| *v);
            let value = value.filter(|v| !v.is_empty());
            let action = b["element"]["action_id"].as_str().unwrap_or_default();
            let kind = &b["element"]["type"];
            state.insert(block.into(), json!({action: {"type": kind, "value": value}}));
        }
        let mut shown = view.view.clone();
        shown["state"] = json!({"values": state});
        let (trigger, _) = self.slack.change(|h| self.tokens(h, &self.channel, None));
        let payload = json!({
            "type": "view_submission", "user": self.json(), "api_app_id": self.app,
            "token": "legacy", "team": {"id": self.team, "domain": "pretend"}, "enterprise": null,
            "is_enterprise_install": false, "trigger_id": trigger, "view": shown,
            "response_urls": [],
        });
        let answer = self.interact(bot, &payload).await;
        let said: Value = serde_json::from_str(&answer.body).unwrap_or(Value::Null);
        if answer.status == 200 && said["response_action"] != "errors" {
            self.slack.close_view(&view.id);
        }
        answer
    }

    /// Sends any interaction payload.
    pub async fn interact(&self, bot: &str, payload: &Value) -> Answer {
        let body = encode_form(&[("payload", &payload.to_string())]);
        self.send(bot, "/slack/interactions", body).await
    }

    fn name(&self) -> String {
        let held = self.slack.held();
        held.members
            .get(&self.user)
            .map_or_else(|| self.user.clone(), |m| m.name.clone())
    }

    fn json(&self) -> Value {
        let name = self.name();
        json!({"id": self.user, "username": name, "name": name, "team_id": self.team})
    }

    fn tokens(&self, h: &mut Held, channel: &str, message: Option<&str>) -> (String, String) {
        let trigger = format!("{}.{}.sim", h.next(), TEAM);
        let (user, at) = (self.user.clone(), now());
        let used = false;
        h.triggers.insert(trigger.clone(), Trigger { user, at, used });
        let id = format!("h{}", h.next());
        let hook = Hook {
            user: self.user.clone(),
            channel: channel.into(),
            message: message.map(str::to_owned),
            at,
            uses: 0,
        };
        h.hooks.insert(id.clone(), hook);
        (trigger, format!("{}/hook/{id}", self.slack.base()))
    }

    async fn send(&self, bot: &str, path: &str, body: String) -> Answer {
        let shift = match self.signing {
            Signing::Old => -310,
            Signing::Future => 310,
            _ => 0,
        };
        let timestamp = (self.at.unwrap_or_else(now).timestamp() + shift).to_string();
        let sent = match &self.signing {
            Signing::Replay(sent) => sent.clone(),
            signing => {
                let signature = match signing {
                    Signing::Missing => None,
                    Signing::Bad => Some(sign("another secret", &timestamp, &body)),
                    _ => Some(sign(SECRET, &timestamp, &body)),
                };
                Sent {
                    timestamp,
                    signature,
                    body,
                }
            }
        };
        let url = format!("{}{path}", bot.trim_end_matches('/'));
        let asked = tokio::time::timeout(Duration::from_secs(3), post(&url, &sent)).await;
        let (status, body) = match asked {
            Ok(Ok(got)) => got,
            Ok(Err(e)) => (0, e),
            Err(_) => (0, "operation_timeout".into()),
        };
        Answer { status, body, sent }
    }
}

impl Slack {
    /// Takes a dialogue off the screen.
    pub fn close_view(&self, id: &str) {
        self.change(|h| {
            for v in h.views.iter_mut().filter(|v| v.id == id) {
                v.open = false;
            }
        });
    }
}

async fn post(url: &str, sent: &Sent) -> Result<(u16, String), String> {
    let mut headers = vec![
        ("user-agent", "Slackbot 1.0 (+https://api.slack.com/robots)"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    if let Some(signature) = &sent.signature {
        headers.push(("x-slack-request-timestamp", &sent.timestamp));
        headers.push(("x-slack-signature", signature));
    }
    raw_post(url, &headers, sent.body.clone().into_bytes()).await
}

/// Posts exactly these headers and bytes; gives back status and body.
///
/// # Errors
///
/// What kept an answer from coming.
pub async fn raw_post(url: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Result<(u16, String), String> {
    let uri: Uri = url.parse().map_err(|_| "not an address".to_owned())?;
    let authority = uri.authority().ok_or("not an address")?.clone();
    let to = (authority.host(), authority.port_u16().unwrap_or(80));
    let told = |e: &dyn std::fmt::Display| e.to_string();
    let socket = tokio::net::TcpStream::connect(to).await.map_err(|e| told(&e))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket))
        .await
        .map_err(|e| told(&e))?;
    tokio::spawn(connection);
    let mut request = Request::post(uri.path()).header("host", authority.as_str());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::from(body))).map_err(|e| told(&e))?;
    let response = sender.send_request(request).await.map_err(|e| told(&e))?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.map_err(|e| told(&e))?;
    let body = String::from_utf8_lossy(&body.to_bytes()).into_owned();
    Ok((status, body))
}

/// Percent-encodes for a form or a query.
pub(super) fn encode(s: &str) -> String {
    let mut out = String::new();
    for b in s.bytes() {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => out.push(b.into()),
            b' ' => out.push('+'),
            _ => {
                let _ = write!(out, "%{b:02X}");
            }
        }
    }
    out
}

fn encode_form(pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(k, v)| format!("{}={}", encode(k), encode(v)))
        .collect();
    pairs.join("&")
}

fn decode(s: &str) -> String {
    let raw = s.as_bytes();
    let mut out = Vec::new();
    let mut i = 0;
    while i < raw.len() {
        let hex = (raw[i] == b'%')
            .then(|| raw.get(i + 1..i + 3))
            .flatten()
            .and_then(|h| std::str::from_utf8(h).ok())
            .and_then(|h| u8::from_str_radix(h, 16).ok());
        match (hex, raw[i]) {
            (Some(b), _) => {
                out.push(b);
                i += 2;
            }
            (None, b'+') => out.push(b' '),
            (None, b) => out.push(b),
        }
        i += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The pairs of a form or a query.
pub(super) fn decode_form(s: &str) -> Vec<(String, String)> {
    s.split('&')
        .filter(|p| !p.is_empty())
        .map(|p| p.split_once('=').unwrap_or((p, "")))
        .map(|(k, v)| (decode(k), decode(v)))
        .collect()
}
