//! The pretend Marathon over HTTP.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, CONTENT_TYPE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::routes::{Answer, Asked};
use super::standby::{self, Interregnum, Standby};
use super::state::State;
use crate::mischief::{Mischief, On, Recorded, Trouble};

/// The type of the event stream, as the real one writes it.
const EVENTS: &str = "text/event-stream;charset=utf-8";
/// How often the event stream shows that it lives.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// The state, shared by the HTTP interface, the ticker and the tests.
pub type Shared = Arc<Mutex<State>>;

/// The state, whatever happened to another thread that held it.
pub fn lock(state: &Shared) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Everything a request needs.
#[derive(Clone)]
pub struct Context {
    /// The state.
    pub state: Shared,
    /// The trouble.
    pub mischief: Mischief,
    /// What a node knows that does not lead from the start.
    pub standby: Option<Standby>,
}

impl Context {
    /// This node's part, as long as another one leads: the leader, and since when it is gone.
    fn stands_by(&self) -> Option<(&Standby, String, Option<Interregnum>)> {
        let standby = self.standby.as_ref()?;
        let s = lock(&self.state);
        (s.leader != standby.own).then(|| (standby, s.leader.clone(), s.lost))
    }
}

/// Serves until dropped; connections end with it.
pub async fn serve(listener: TcpListener, context: Context) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let context = context.clone();
        connections.spawn(async move {
            let mut stream = stream;
            if streamed(&context, &mut stream).await {
                return;
            }
            let service = service_fn(move |request| {
                let context = context.clone();
                async move { Ok::<_, Infallible>(handle(context, request).await) }
            });
            // A dropped connection is an error here, and meant.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

impl Answer {
    pub(super) fn into_response(self, leader: &str) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status.try_into().unwrap_or_default();
        let headers = response.headers_mut();
        if let Some(v) = self.content_type.and_then(|t| t.parse().ok()) {
            headers.insert(CONTENT_TYPE, v);
        }
        for (name, value) in self.headers.into_iter().chain(marks(leader, self.bare)) {
            if let Ok(value) = value.parse() {
                headers.insert(name, value);
            }
        }
        response
    }
}

/// What stands in the head of every answer; the web server's own error pages have less of it.
fn marks(leader: &str, bare: bool) -> Vec<(&'static str, String)> {
    let mut marks = vec![("X-Marathon-Leader", format!("http://{leader}"))];
    let caching = if bare {
        "must-revalidate,no-cache,no-store"
    } else {
        "no-cache, no-store, must-revalidate"
    };
    marks.push(("Cache-Control", caching.to_owned()));
    if !bare {
        for (name, value) in [
            ("X-Frame-Options", "DENY"),
            ("X-XSS-Protection", "1; mode=block"),
            ("Pragma", "no-cache"),
            ("Expires", "0"),
        ] {
            marks.push((name, value.to_owned()));
        }
    }
    marks
}

/// A response whose body fails before its first byte, which drops the connection.
fn dropped() -> Response<Body> {
    let broken = stream::once(async { Err::<Bytes, _>(io::Error::other("dropped on purpose")) });
    let mut response = Response::new(Body::from_stream(broken));
    let headers = response.headers_mut();
    headers.insert("content-length", 1000.into());
    response
}

fn class(method: &Method, path: &str) -> Option<On> {
    Some(match path {
        "/v2/info" => On::Info,
        "/v2/events" => On::Events,
        "/v2/tasks/delete" if method == Method::POST => On::Kills,
        p if p.starts_with("/v2/apps/") && p.len() > "/v2/apps/".len() => On::OneApp,
        p if p.starts_with("/v2/") => On::Reads,
        _ => return None,
    })
}

/// Numbers for strings and strings for the rest, names untouched.
fn scramble(v: &Value) -> Value {
    match v {
        Value::Object(o) => o.iter().map(|(k, v)| (k.clone(), scramble(v))).collect(),
        Value::Array(a) => a.iter().map(scramble).collect(),
        Value::String(_) => json!(7),
        Value::Null => Value::Null,
        other => json!(format!("<{other}>")),
    }
}

fn percent_decoded(s: &str, plus_is_blank: bool) -> String {
    let mut out = Vec::with_capacity(s.len());
    let mut bytes = s.bytes();
    while let Some(b) = bytes.next() {
        match b {
            b'+' if plus_is_blank => out.push(b' '),
            b'%' => {
                let hex: Vec<u8> = bytes.by_ref().take(2).collect();
                let hex = String::from_utf8_lossy(&hex).into_owned();
                out.push(u8::from_str_radix(&hex, 16).unwrap_or(b'?'));
            }
            b => out.push(b),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn pairs(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|p| !p.is_empty())
        .map(|p| p.split_once('=').unwrap_or((p, "")))
        .map(|(k, v)| (percent_decoded(k, true), percent_decoded(v, true)))
        .collect()
}

async fn handle(context: Context, request: Request<Incoming>) -> Response<Body> {
    if let Some((standby, leader, lost)) = context.stands_by() {
        return standby::pass_on(standby, &leader, lost, request).await;
    }
    let (parts, body) = request.into_parts();
    let body = match body.collect().await {
        Ok(b) => String::from_utf8_lossy(&b.to_bytes()).into_owned(),
        Err(_) => return dropped(),
    };
    let path = percent_decoded(parts.uri.path(), false);
    let header = |name: &str| parts.headers.get(name).and_then(|v| v.to_str().ok());
    if parts.method == Method::GET || parts.method == Method::HEAD {
        let asked = parts.uri.path_and_query().map_or("", |p| p.as_str());
        context.mischief.record_read(asked);
    } else {
        context.mischief.record(Recorded {
            method: parts.method.to_string(),
            path: path.clone(),
            query: parts.uri.query().map(str::to_owned),
            headers: parts
                .headers
                .iter()
                .map(|(n, v)| (n.to_string(), String::from_utf8_lossy(v.as_bytes()).into_owned()))
                .collect(),
            body: body.clone(),
            at: crate::clock::now(),
        });
    }
    let on = class(&parts.method, &path);
    let trouble = on.and_then(|on| context.mischief.take(on));
    let leader = lock(&context.state).leader.clone();
    let asked = Asked {
        method: parts.method.clone(),
        path,
        query: pairs(parts.uri.query().unwrap_or_default()),
        accept: header(ACCEPT.as_str()).map(str::to_owned),
        content_type: header(CONTENT_TYPE.as_str()).map(str::to_owned),
        intent: header("x-heartbreak-intent").map(str::to_owned),
        body,
    };
    match &trouble {
        Some(Trouble::Delay(d)) => tokio::time::sleep(*d).await,
        Some(Trouble::Hang) => std::future::pending().await,
        Some(Trouble::CloseBefore) => return dropped(),
        Some(Trouble::Status(status, body, content_type)) => {
            return Answer::text(*status, content_type, body).into_response(&leader);
        }
        Some(Trouble::Html200) => {
            let page = "<!DOCTYPE html><html><body>Please sign in</body></html>";
            return Answer::text(200, "text/html; charset=utf-8", page).into_response(&leader);
        }
        Some(Trouble::EmptyApps) => {
            return Answer::json(200, &json!({"apps": []})).into_response(&leader);
        }
        _ => {}
    }
    if on == Some(On::Events) {
        if trouble == Some(Trouble::CloseAfter) {
            return dropped();
        }
        // Exactly this, on a line of its own.
        let mut lines = parts.headers.get_all(ACCEPT).iter();
        let exact = lines.next().is_some_and(|v| v == "text/event-stream") && lines.next().is_none();
        if asked.method != Method::GET || !exact {
            let reason = format!("HTTP method {} is not supported by this URL", asked.method);
            let page = Answer::page(405, &reason, &asked.path, asked.accept.as_deref());
            return page.into_response(&leader);
        }
        return events(&context, &asked, &leader);
    }
    let held = matches!(trouble, Some(Trouble::AcceptNever | Trouble::ExecuteLate(_)));
    let mut a = {
        let mut state = lock(&context.state);
        state.advance(crate::clock::now());
        if let Some(crowded) = super::crowd::answer(&asked, &mut state, &leader) {
            return crowded;
        }
        asked.answer(&mut state, held)
    };
    match trouble {
        Some(Trouble::CloseAfter) => return dropped(),
        Some(Trouble::ExecuteLate(delay)) => {
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                let _ = asked.answer(&mut lock(&context.state), false);
            });
        }
        Some(Trouble::Truncated) => {
            let mut half = a.body.len() / 2;
            while !a.body.is_char_boundary(half) {
                half -= 1;
            }
            a.body.truncate(half);
        }
        Some(Trouble::WrongTypes) => {
            if let Ok(v) = serde_json::from_str::<Value>(&a.body) {
                a.body = scramble(&v).to_string();
            }
        }
        Some(Trouble::OtherFramework(id)) => {
            if let Ok(mut v) = serde_json::from_str::<Value>(&a.body)
                && v.is_object()
            {
                v["frameworkId"] = json!(id);
                a.body = v.to_string();
            }
        }
        _ => {}
    }
    a.into_response(&leader)
}

/// One reader of the event stream.
struct Reader {
    state: Shared,
    wanted: Vec<String>,
    next: u64,
    beat: tokio::time::Instant,
}

impl Reader {
    /// Joins; every reader is told of it.
    fn new(context: &Context, asked: &Asked) -> Self {
        let state = Arc::clone(&context.state);
        let next = {
            let mut s = lock(&state);
            let now = s.now();
            let next = s.next_event();
            s.emit(
                "event_stream_attached",
                json!({"remoteAddress": "127.0.0.1"}),
                now,
            );
            next
        };
        Self {
            state,
            wanted: asked.all("event_type").map(str::to_owned).collect(),
            next,
            beat: tokio::time::Instant::now() + HEARTBEAT,
        }
    }

    /// What is to be written next: events, or an empty line to show that the stream lives.
    async fn more(&mut self) -> String {
        loop {
            let mut text = String::new();
            for e in lock(&self.state).events_from(self.next) {
                self.next = e.number + 1;
                if self.wanted.is_empty() || self.wanted.contains(&e.kind) {
                    text += &format!("event: {}\r\ndata: {}\r\n\r\n", e.kind, e.data);
                }
            }
            if tokio::time::Instant::now() >= self.beat {
                self.beat += HEARTBEAT;
                text.push_str("\r\n");
            }
            if !text.is_empty() {
                return text;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// The stream on a connection that has served other requests before.
fn events(context: &Context, asked: &Asked, leader: &str) -> Response<Body> {
    let reader = Reader::new(context, asked);
    let body = stream::unfold(reader, |mut reader| async move {
        let text = reader.more().await;
        Some((Ok::<_, Infallible>(Bytes::from(text)), reader))
    });
    let answer = Answer::text(200, EVENTS, "");
    let mut response = answer.into_response(leader);
    *response.body_mut() = Body::from_stream(body);
    response
}

/// Serves the event stream if that is what a new connection asks for first.
///
/// The stream of the real one has neither a length nor chunks: it ends with the connection.
async fn streamed(context: &Context, stream: &mut TcpStream) -> bool {
    if context.stands_by().is_some() {
        return false;
    }
    let mut seen = vec![0; 16 * 1024];
    let head = loop {
        let Ok(n) = stream.peek(&mut seen).await else {
            return false;
        };
        let wanted = b"GET /v2/events";
        let common = n.min(wanted.len());
        if n == 0 || seen[..common] != wanted[..common] {
            return false;
        }
        if let Some(end) = seen[..n].windows(4).position(|w| w == b"\r\n\r\n") {
            break String::from_utf8_lossy(&seen[..end]).into_owned();
        }
        if n == seen.len() {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    };
    let mut lines = head.split("\r\n");
    let target = lines.next().and_then(|l| l.split(' ').nth(1)).unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let accepts: Vec<&str> = lines
        .filter_map(|l| l.split_once(':'))
        .filter(|(name, _)| name.eq_ignore_ascii_case("accept"))
        .map(|(_, value)| value.trim())
        .collect();
    if path != "/v2/events" || accepts != ["text/event-stream"] || context.mischief.awaits(On::Events) {
        return false;
    }
    let asked = Asked {
        method: Method::GET,
        path: path.to_owned(),
        query: pairs(query),
        accept: None,
        content_type: None,
        intent: None,
        body: String::new(),
    };
    let leader = lock(&context.state).leader.clone();
    let mut head = "HTTP/1.1 200 OK\r\n".to_owned();
    let date = crate::clock::now()
        .format("%a, %d %b %Y %H:%M:%S GMT")
        .to_string();
    let marks = marks(&leader, false).into_iter();
    let all = [("Date", date)].into_iter().chain(marks);
    let ends = [
        ("Content-Type", EVENTS.to_owned()),
        ("Connection", "close".to_owned()),
    ];
    for (name, value) in all.chain(ends) {
        head += &format!("{name}: {value}\r\n");
    }
    head += "\r\n";
    let mut reader = Reader::new(context, &asked);
    let (mut from, mut to) = stream.split();
    let write = async {
        let mut text = head;
        while to.write_all(text.as_bytes()).await.is_ok() {
            text = reader.more().await;
        }
    };
    let read = async {
        let mut rest = vec![0; 1024];
        while from.read(&mut rest).await.is_ok_and(|n| n > 0) {}
    };
    tokio::select! {
        () = write => {}
        () = read => {}
    }
    true
}
