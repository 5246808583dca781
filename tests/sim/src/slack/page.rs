//! The page that shows the workspace, for the demo.

use axum::Router;
use axum::extract::{Form, Path, Query, State as Ax};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde_json::Value;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::person::encode;
use super::{Message, Slack, TEAM, View};

type Fields = HashMap<String, String>;

const STYLE: &str = "
:root{color-scheme:light dark;--bg:#fff;--fg:#1d1c1d;--dim:#5e5d60;--line:#dcdcdc;--code:#f3f3f4;--codefg:#b3123f;--go:#007a5a;--stop:#c01343;--side:#4a154b}
@media(prefers-color-scheme:dark){:root{--bg:#1a1d21;--fg:#e3e4e6;--dim:#a5a8ac;--line:#3b3e43;--code:#2a2d32;--codefg:#f08a9b;--go:#148567;--stop:#d63a5e;--side:#350d36}}
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--fg);font:15px/1.47 system-ui,sans-serif}
nav{position:sticky;top:0;background:var(--side);color:#fff;padding:10px 16px;display:flex;gap:6px 14px;flex-wrap:wrap;align-items:center;z-index:1}
nav b{margin-right:auto}nav a{color:#fff;opacity:.8}nav a.on{opacity:1;font-weight:700;text-decoration:none}
main{max-width:760px;margin:0 auto;padding:8px 16px 90px}article{display:flex;gap:10px;padding:12px 0;border-bottom:1px solid var(--line)}
article.reply{margin-left:28px}article.private{background:color-mix(in srgb,var(--code) 70%,transparent);padding:12px}
.face{flex:none;width:36px;height:36px;border-radius:8px;background:var(--side);color:#fff;display:grid;place-items:center}
.body{min-width:0;flex:1;overflow-wrap:anywhere}.who{font-weight:700}.dim{color:var(--dim);font-size:13px}h2{font-size:18px;margin:4px 0}
p,.sec{margin:4px 0}.fields{display:grid;grid-template-columns:repeat(auto-fit,minmax(200px,1fr));gap:6px 18px;margin:6px 0}
code,pre{background:var(--code);border:1px solid var(--line);border-radius:4px;font:13px ui-monospace,monospace}code{padding:1px 4px;color:var(--codefg)}pre{padding:8px;margin:4px 0;overflow-x:auto;white-space:pre-wrap}
blockquote{margin:4px 0;padding-left:12px;border-left:4px solid var(--line)}hr{border:0;border-top:1px solid var(--line)}.at{background:#1264a322;border-radius:3px;padding:0 2px}
.row{display:flex;gap:8px;flex-wrap:wrap;margin:8px 0}button{font:inherit;font-weight:600;min-height:36px;padding:4px 14px;border-radius:6px;border:1px solid var(--line);background:var(--bg);color:var(--fg);cursor:pointer}
button.primary{background:var(--go);border-color:var(--go);color:#fff}button.danger{background:var(--stop);border-color:var(--stop);color:#fff}
footer{position:fixed;bottom:0;left:0;right:0;background:var(--bg);border-top:1px solid var(--line);padding:10px 16px}footer form{max-width:728px;margin:auto;display:flex;gap:8px;align-items:center}
img{max-width:100%;border:1px solid var(--line);border-radius:6px}input,textarea{font:inherit;flex:1;width:100%;min-width:0;padding:7px 10px;border:1px solid var(--line);border-radius:6px;background:var(--bg);color:var(--fg)}.wrong{color:var(--stop)}";

const SCRIPT: &str = "
const near=()=>innerHeight+scrollY>document.body.scrollHeight-80;
if(sessionStorage.end!=='no')scrollTo(0,document.body.scrollHeight);
setInterval(async()=>{try{const r=await fetch('/state');const v=await r.text();
const t=document.querySelector('footer input[name=text]');
if(v!==document.body.dataset.v&&!(t&&t.value)){sessionStorage.end=near()?'yes':'no';location.reload()}}catch{}},1000)";

/// The page's addresses.
pub(super) fn routes() -> Router<Slack> {
    Router::new()
        .route("/", get(home))
        .route("/files/{id}", get(file))
        .route("/state", get(state))
        .route("/click", post(click))
        .route("/command", post(command))
        .route("/view/{id}", get(view).post(submit))
}

fn esc(s: &str) -> String {
    s.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

fn field<'a>(f: &'a Fields, key: &str) -> &'a str {
    f.get(key).map_or("", String::as_str)
}

fn unescaped(s: &str) -> String {
    s.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// Slack's own markup as HTML.
fn mrkdwn(slack: &Slack, s: &str) -> String {
    let mut out = String::new();
    for (n, part) in s.split("```").enumerate() {
        if n % 2 == 1 {
            let _ = write!(out, "<pre>{}</pre>", esc(&unescaped(part.trim_matches('\n'))));
            continue;
        }
        let lines = part.trim_matches('\n').split('\n').map(|line| {
            match line.strip_prefix("&gt;").or(line.strip_prefix('>')) {
                Some(q) => format!("<blockquote>{}</blockquote>", spans(slack, q.trim_start())),
                None => format!("{}<br>", spans(slack, line)),
            }
        });
        let html: String = lines.collect();
        out.push_str(html.strip_suffix("<br>").unwrap_or(&html));
    }
    out
}

fn spans(slack: &Slack, line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    let mut before = ' ';
    while let Some(c) = rest.chars().next() {
        let tail = &rest[c.len_utf8()..];
        let end = match c {
            '<' => tail.find('>'),
            '`' | '*' | '_' | '~' if !before.is_alphanumeric() => {
                tail.find(c).filter(|n| *n > 0 && !tail.starts_with(' '))
            }
            _ => None,
        };
        if let Some(n) = end {
            let inner = &tail[..n];
            match c {
                '<' => out.push_str(&token(slack, inner)),
                '`' => {
                    let _ = write!(out, "<code>{}</code>", esc(&unescaped(inner)));
                }
                _ => {
                    let tag = match c {
                        '*' => "b",
                        '_' => "i",
                        _ => "s",
                    };
                    let _ = write!(out, "<{tag}>{}</{tag}>", spans(slack, inner));
                }
            }
            rest = &tail[n + 1..];
            before = ' ';
            continue;
        }
        let entity = ["&amp;", "&lt;", "&gt;"]
            .into_iter()
            .find(|e| rest.starts_with(e));
        if let Some(e) = entity {
            out.push_str(e);
            rest = &rest[e.len()..];
        } else {
            out.push_str(&esc(&c.to_string()));
            rest = tail;
        }
        before = c;
    }
    out
}

fn token(slack: &Slack, inner: &str) -> String {
    let (id, label) = inner.split_once('|').unwrap_or((inner, ""));
    let held = slack.held();
    let shown = |mark: &str, name: &str| format!("<span class=at>{mark}{}</span>", esc(name));
    if let Some(u) = id.strip_prefix('@') {
        return shown("@", held.members.get(u).map_or(u, |m| m.name.as_str()));
    }
    if let Some(c) = id.strip_prefix('#') {
        return shown("#", held.channels.get(c).map_or(c, |c| c.0.as_str()));
    }
    if let Some(special) = id.strip_prefix('!') {
        let name = if label.is_empty() { special } else { label };
        return esc(&unescaped(name));
    }
    let name = unescaped(if label.is_empty() { id } else { label });
    if id.starts_with("https://") || id.starts_with("http://") {
        let to = esc(&unescaped(id));
        return format!("<a href=\"{to}\" rel=\"noreferrer noopener\">{}</a>", esc(&name));
    }
    esc(&name)
}

fn words(slack: &Slack, v: &Value) -> String {
    let s = v["text"].as_str().unwrap_or_default();
    if v["type"] == "mrkdwn" {
        mrkdwn(slack, s)
    } else {
        esc(s)
    }
}

fn button(e: &Value, at: Option<(&Message, &str)>) -> String {
    let style = e["style"].as_str().unwrap_or_default();
    let label = esc(e["text"]["text"].as_str().unwrap_or_default());
    let Some((m, who)) = at else {
        return format!("<button disabled class=\"{}\">{label}</button>", esc(style));
    };
    let sure = e["confirm"]["text"]["text"].as_str().map_or(String::new(), |t| {
        format!(
            " data-sure=\"{}\" onsubmit=\"return confirm(this.dataset.sure)\"",
            esc(t)
        )
    });
    format!(
        "<form method=post action=/click{sure}><input type=hidden name=channel value=\"{}\"><input type=hidden name=ts value=\"{}\"><input type=hidden name=who value=\"{}\"><input type=hidden name=action value=\"{}\"><button class=\"{}\">{label}</button></form>",
        esc(&m.channel),
        esc(&m.ts),
        esc(who),
        esc(e["action_id"].as_str().unwrap_or_default()),
        esc(style)
    )
}

fn all<'a>(v: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    v[key].as_array().into_iter().flatten()
}

fn blocks(slack: &Slack, blocks: &Value, text: &str, at: Option<(&Message, &str)>) -> String {
    let mut out = String::new();
    let list = blocks.as_array().map_or(&[][..], Vec::as_slice);
    if list.is_empty() {
        return format!("<div class=sec>{}</div>", mrkdwn(slack, text));
    }
    for b in list {
        let _ = match b["type"].as_str().unwrap_or_default() {
            "header" => write!(out, "<h2>{}</h2>", words(slack, &b["text"])),
            "section" => {
                let _ = write!(out, "<div class=sec>{}</div>", words(slack, &b["text"]));
                if b["fields"].is_array() {
                    let fields: String = all(b, "fields")
                        .map(|f| format!("<div>{}</div>", words(slack, f)))
                        .collect();
                    let _ = write!(out, "<div class=fields>{fields}</div>");
                }
                if b["accessory"]["type"] == "button" {
                    out.push_str(&button(&b["accessory"], at));
                }
                Ok(())
            }
            "context" => {
                let parts: Vec<_> = all(b, "elements").map(|e| words(slack, e)).collect();
                write!(out, "<p class=dim>{}</p>", parts.join(" &nbsp; "))
            }
            "actions" => {
                let row: String = all(b, "elements").map(|e| button(e, at)).collect();
                write!(out, "<div class=row>{row}</div>")
            }
            "divider" => write!(out, "<hr>"),
            other => write!(out, "<p class=dim>({})</p>", esc(other)),
        };
    }
    out
}

fn wrap(version: u64, script: &str, inner: &str) -> Html<String> {
    Html(format!(
        "<!DOCTYPE html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width,initial-scale=1\"><title>Pretend Slack</title><style>{STYLE}</style><body data-v={version}>{inner}<script>{script}</script></body></html>"
    ))
}

async fn file(Ax(slack): Ax<Slack>, Path(id): Path<String>) -> Response {
    match slack.files().into_iter().find(|f| f.id == id) {
        Some(file) => ([(header::CONTENT_TYPE, "image/png")], file.bytes).into_response(),
        None => (StatusCode::NOT_FOUND, "there is no such file").into_response(),
    }
}

async fn state(Ax(slack): Ax<Slack>) -> String {
    slack.changed.borrow().to_string()
}

async fn home(Ax(slack): Ax<Slack>, Query(q): Query<Fields>) -> Html<String> {
    let version = *slack.changed.borrow();
    let (members, messages, whispers, views, channels) = {
        let h = slack.held();
        (
            h.members.clone(),
            h.messages.clone(),
            h.ephemerals.clone(),
            h.views.clone(),
            h.channels.clone(),
        )
    };
    let who = match field(&q, "as") {
        "" => "U0ANA0001",
        w => w,
    };
    let mut out = String::from("<nav><b>Pretend Slack</b>You are");
    for m in members.values().filter(|m| !m.bot && !m.deleted) {
        let on = if m.id == who { "on" } else { "" };
        let note = match (m.guest, m.team == TEAM) {
            (true, _) => " (guest)",
            (_, false) => " (other team)",
            _ => "",
        };
        let (to, name) = (encode(&m.id), esc(&m.name));
        let _ = write!(out, "<a class=\"{on}\" href=\"/?as={to}\">{name}{note}</a>");
    }
    out.push_str("</nav><main>");
    let mut cards = Vec::new();
    for m in &messages {
        let name = channels.get(&m.channel).map_or("", |c| c.0.as_str());
        let (reply, edited) = (
            if m.thread_ts.is_some() { "reply" } else { "" },
            if m.edits.is_empty() { "" } else { " (edited)" },
        );
        let inner = blocks(&slack, &m.blocks, &m.text, Some((m, who)));
        cards.push((m.ts.clone(), format!("<article class=\"{reply}\"><div class=face>H</div><div class=body><span class=who>Heartbreak</span> <span class=dim>#{}{edited}</span>{inner}</div></article>", esc(name))));
    }
    for file in slack.files() {
        let (channel, thread) = file.shared.clone().unwrap_or_default();
        let name = channels.get(&channel).map_or("", |c| c.0.as_str());
        // Just below the last message of its thread, so below what it belongs to.
        let below = messages
            .iter()
            .filter(|m| m.ts == thread || m.thread_ts.as_ref() == Some(&thread))
            .map(|m| m.ts.clone())
            .max();
        cards.push((format!("{}~{}", below.unwrap_or(thread), file.id), format!("<article class=reply><div class=face>H</div><div class=body><span class=who>Heartbreak</span> <span class=dim>#{}</span><p>{}</p><img src=\"/files/{}\" alt=\"{}\"></div></article>", esc(name), esc(&file.title), encode(&file.id), esc(&file.alt))));
    }
    for e in whispers.iter().filter(|e| e.user == who) {
        let inner = blocks(&slack, &e.blocks, &e.text, None);
        cards.push((e.ts.clone(), format!("<article class=private><div class=face>H</div><div class=body><span class=dim>Only visible to you</span>{inner}</div></article>")));
    }
    cards.sort();
    if cards.is_empty() {
        out.push_str("<p class=dim>Nothing has been said yet.</p>");
    }
    out.extend(cards.into_iter().map(|c| c.1));
    for v in views.iter().filter(|v| v.open && v.user == who) {
        let title = esc(v.view["title"]["text"].as_str().unwrap_or("Form"));
        let _ = write!(out, "<p><a href=\"/view/{}\">Open form: {title}</a></p>", v.id);
    }
    let _ = write!(
        out,
        "</main><footer><form method=post action=/command><input type=hidden name=who value=\"{}\"><label for=t><code>/heartbreak</code></label><input id=t name=text autocomplete=off placeholder=status><button>Send</button></form></footer>",
        esc(who)
    );
    wrap(version, SCRIPT, &out)
}

/// The bot's address, unless the form came from another site.
fn bot(slack: &Slack, headers: &HeaderMap) -> Result<String, (StatusCode, &'static str)> {
    let origin = headers.get(header::ORIGIN).and_then(|v| v.to_str().ok());
    if origin.is_some_and(|o| o != slack.base() && o != slack.base().replace("127.0.0.1", "localhost")) {
        return Err((StatusCode::FORBIDDEN, "from another site"));
    }
    let bot = slack.held().bot.clone();
    bot.ok_or((StatusCode::SERVICE_UNAVAILABLE, "no bot is running"))
}

fn back(who: &str) -> Response {
    Redirect::to(&format!("/?as={}", encode(who))).into_response()
}

async fn click(Ax(slack): Ax<Slack>, headers: HeaderMap, Form(f): Form<Fields>) -> Response {
    let bot = match bot(&slack, &headers) {
        Ok(b) => b,
        Err(r) => return r.into_response(),
    };
    let who = field(&f, "who");
    let fits = |m: &Message| m.channel == field(&f, "channel") && m.ts == field(&f, "ts");
    let action = field(&f, "action");
    if let Err(e) = slack.person(who).click_where(&bot, fits, action).await {
        return (StatusCode::CONFLICT, e).into_response();
    }
    if action == "deny"
        && let Some(v) = slack.wait_for_view(who, Duration::from_millis(1500)).await
    {
        return Redirect::to(&format!("/view/{}", v.id)).into_response();
    }
    back(who)
}

async fn command(Ax(slack): Ax<Slack>, headers: HeaderMap, Form(f): Form<Fields>) -> Response {
    let bot = match bot(&slack, &headers) {
        Ok(b) => b,
        Err(r) => return r.into_response(),
    };
    let who = field(&f, "who");
    let person = slack.person(who);
    person.command(&bot, "/heartbreak", field(&f, "text")).await;
    back(who)
}

fn opened(slack: &Slack, id: &str) -> Option<View> {
    slack.views().into_iter().find(|v| v.id == id && v.open)
}

fn form(slack: &Slack, v: &View, errors: &Value) -> Html<String> {
    let mut out = format!(
        "<main><h2>{}</h2><form method=post>",
        esc(v.view["title"]["text"].as_str().unwrap_or_default())
    );
    for b in all(&v.view, "blocks") {
        if b["type"] != "input" {
            let one = Value::Array(vec![b.clone()]);
            out.push_str(&blocks(slack, &one, "", None));
            continue;
        }
        let id = b["block_id"].as_str().unwrap_or_default();
        let wrong = errors[id].as_str().unwrap_or_default();
        let _ = write!(
            out,
            "<p><label>{}<textarea name=\"{}\" rows=3 autofocus></textarea></label></p><p class=wrong>{}</p>",
            words(slack, &b["label"]),
            esc(id),
            esc(wrong)
        );
    }
    let label = esc(v.view["submit"]["text"].as_str().unwrap_or("Submit"));
    let _ = write!(
        out,
        "<div class=row><button class=primary>{label}</button><a href=\"/?as={}\">Go back</a></div></form></main>",
        encode(&v.user)
    );
    wrap(0, "", &out)
}

async fn view(Ax(slack): Ax<Slack>, Path(id): Path<String>) -> Response {
    match opened(&slack, &id) {
        Some(v) => form(&slack, &v, &Value::Null).into_response(),
        None => Redirect::to("/").into_response(),
    }
}

async fn submit(
    Ax(slack): Ax<Slack>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Form(f): Form<Fields>,
) -> Response {
    let bot = match bot(&slack, &headers) {
        Ok(b) => b,
        Err(r) => return r.into_response(),
    };
    let Some(v) = opened(&slack, &id) else {
        return Redirect::to("/").into_response();
    };
    let values: Vec<_> = f.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let answer = slack.person(&v.user).submit(&bot, &v, &values).await;
    let said: Value = serde_json::from_str(&answer.body).unwrap_or(Value::Null);
    if said["response_action"] == "errors" {
        return form(&slack, &v, &said["errors"]).into_response();
    }
    back(&v.user)
}
