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
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::state::State;
use crate::mischief::{Mischief, On, Recorded, Trouble};

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

struct Answer {
    status: u16,
    content_type: String,
    body: String,
}

fn answer(status: u16, body: &Value) -> Answer {
    Answer {
        status,
        content_type: "application/json".to_owned(),
        body: body.to_string(),
    }
}

fn message(status: u16, text: &str) -> Answer {
    answer(status, &json!({"message": text}))
}

fn no_app(id: &str) -> Answer {
    let text = format!("App '{id}' does not exist");
    answer(404, &json!({"message": text, "details": []}))
}

impl Answer {
    fn into_response(self, leader: &str) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status.try_into().unwrap_or_default();
        let headers = response.headers_mut();
        if let Ok(v) = self.content_type.parse() {
            headers.insert(CONTENT_TYPE, v);
        }
        if let Ok(v) = format!("http://{leader}").parse() {
            headers.insert("X-Marathon-Leader", v);
        }
        response
    }
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

fn percent_decoded(s: &str) -> String {
    let mut out = Vec::with_capacity(s.len());
    let mut bytes = s.bytes();
    while let Some(b) = bytes.next() {
        match b {
            b'+' => out.push(b' '),
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
        .map(|(k, v)| (percent_decoded(k), percent_decoded(v)))
        .collect()
}

async fn handle(context: Context, request: Request<Incoming>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = match body.collect().await {
        Ok(b) => String::from_utf8_lossy(&b.to_bytes()).into_owned(),
        Err(_) => return dropped(),
    };
    let path = percent_decoded(parts.uri.path());
    let header = |name: &str| parts.headers.get(name).and_then(|v| v.to_str().ok());
    if parts.method != Method::GET && parts.method != Method::HEAD {
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
        intent: header("x-heartbreak-intent").map(str::to_owned),
        body,
    };
    match &trouble {
        Some(Trouble::Delay(d)) => tokio::time::sleep(*d).await,
        Some(Trouble::Hang) => std::future::pending().await,
        Some(Trouble::CloseBefore) => return dropped(),
        Some(Trouble::Status(status, body, content_type)) => {
            let a = Answer {
                status: *status,
                content_type: content_type.clone(),
                body: body.clone(),
            };
            return a.into_response(&leader);
        }
        Some(Trouble::Html200) => {
            let a = Answer {
                status: 200,
                content_type: "text/html; charset=utf-8".to_owned(),
                body: "<!DOCTYPE html><html><body>Please sign in</body></html>".to_owned(),
            };
            return a.into_response(&leader);
        }
        Some(Trouble::EmptyApps) => {
            return answer(200, &json!({"apps": []})).into_response(&leader);
        }
        _ => {}
    }
    if on == Some(On::Events) {
        if trouble == Some(Trouble::CloseAfter) {
            return dropped();
        }
        if asked.method != Method::GET || header(ACCEPT.as_str()) != Some("text/event-stream") {
            return message(405, "Method Not Allowed").into_response(&leader);
        }
        return events(&context, &asked, &leader);
    }
    let held = matches!(trouble, Some(Trouble::AcceptNever | Trouble::ExecuteLate(_)));
    let mut a = asked.answer(&mut lock(&context.state), held);
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

fn events(context: &Context, asked: &Asked, leader: &str) -> Response<Body> {
    let wanted: Vec<String> = asked.all("event_type").map(str::to_owned).collect();
    let state = Arc::clone(&context.state);
    let (next, now) = {
        let s = lock(&state);
        (s.next_event(), s.now())
    };
    let attached = json!({"eventType": "event_stream_attached", "remoteAddress": "127.0.0.1",
        "timestamp": super::state::stamp(now)});
    let first = format!("event: event_stream_attached\r\ndata: {attached}\r\n\r\n");
    let start = (Some(first), next, 0_u32);
    let body = stream::unfold(start, move |(first, mut next, mut idle)| {
        let (state, wanted) = (Arc::clone(&state), wanted.clone());
        async move {
            if let Some(first) = first {
                return Some((Ok::<_, Infallible>(Bytes::from(first)), (None, next, idle)));
            }
            loop {
                let mut text = String::new();
                for e in lock(&state).events_from(next) {
                    next = e.number + 1;
                    if wanted.is_empty() || wanted.contains(&e.kind) {
                        text += &format!("event: {}\r\ndata: {}\r\n\r\n", e.kind, e.data);
                    }
                }
                if text.is_empty() && idle >= 500 {
                    text.push_str("\r\n");
                    idle = 0;
                }
                if !text.is_empty() {
                    return Some((Ok(Bytes::from(text)), (None, next, idle)));
                }
                idle += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    });
    let mut response = Response::new(Body::from_stream(body));
    let headers = response.headers_mut();
    if let Ok(v) = "text/event-stream".parse() {
        headers.insert(CONTENT_TYPE, v);
    }
    if let Ok(v) = format!("http://{leader}").parse() {
        headers.insert("X-Marathon-Leader", v);
    }
    response
}

/// A label selector's term.
enum Term {
    Has(String),
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
}

fn name(s: &str) -> Option<String> {
    let s = s.trim();
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_./:".contains(c);
    (!s.is_empty() && s.chars().all(fine)).then(|| s.to_owned())
}

fn term(text: &str) -> Option<Term> {
    let text = text.trim();
    if let Some((k, v)) = text.split_once("!=") {
        return Some(Term::NotIn(name(k)?, vec![name(v)?]));
    }
    if let Some((k, v)) = text.split_once("==") {
        return Some(Term::In(name(k)?, vec![name(v)?]));
    }
    if let Some((head, list)) = text.split_once('(') {
        let list: Option<Vec<String>> = list.strip_suffix(')')?.split(',').map(name).collect();
        let mut words = head.split_whitespace();
        let (key, op) = (name(words.next()?)?, words.next()?);
        return match (op, words.next()) {
            ("in", None) => Some(Term::In(key, list?)),
            ("notin", None) => Some(Term::NotIn(key, list?)),
            _ => None,
        };
    }
    name(text).map(Term::Has)
}

fn selector(text: &str) -> Option<Vec<Term>> {
    let (mut terms, mut from, mut depth) = (Vec::new(), 0, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                terms.push(term(&text[from..at])?);
                from = at + 1;
            }
            _ => {}
        }
    }
    terms.push(term(&text[from..])?);
    Some(terms)
}

struct Asked {
    method: Method,
    path: String,
    query: Vec<(String, String)>,
    intent: Option<String>,
    body: String,
}

impl Asked {
    fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.query
            .iter()
            .filter(move |(k, _)| k == key)
            .map(|(_, v)| v.as_str())
    }

    fn first(&self, key: &str) -> Option<&str> {
        self.query.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// With `held`, a kill answers as ever and is not carried out.
    fn answer(&self, s: &mut State, held: bool) -> Answer {
        let get = self.method == Method::GET;
        match self.path.trim_end_matches('/') {
            "/ping" if get => Answer {
                status: 200,
                content_type: "text/plain".to_owned(),
                body: "pong".to_owned(),
            },
            "/v2/leader" if get => answer(200, &json!({"leader": s.leader})),
            "/v2/info" if get => answer(200, &info(s)),
            "/v2/apps" if get => self.apps(s),
            "/v2/tasks" if get => {
                let tasks: Vec<Value> = s.apps().flat_map(|a| s.rows(a)).collect();
                answer(200, &json!({"tasks": tasks}))
            }
            "/v2/tasks/delete" if self.method == Method::POST => self.kill(s, held),
            "/v2/deployments" if get => {
                let all: Vec<Value> = s
                    .apps()
                    .filter_map(|a| {
                        let id = a.deployment.as_ref()?;
                        Some(json!({"id": id, "version": super::state::stamp(a.version),
                            "affectedApps": [a.spec.id], "affectedPods": [], "steps": [],
                            "currentActions": [], "currentStep": 1, "totalSteps": 1}))
                    })
                    .collect();
                answer(200, &json!(all))
            }
            "/v2/queue" if get => answer(200, &s.queue_json()),
            path if get && path.starts_with("/v2/apps/") => {
                let id = path["/v2/apps".len()..].trim_start_matches('/');
                let id = format!("/{id}");
                let id = id.as_str();
                if let Some(a) = s.app(id) {
                    answer(200, &json!({"app": s.app_json(a, true)}))
                } else if let Some(id) = id.strip_suffix("/tasks") {
                    match s.app(id) {
                        Some(a) => answer(200, &json!({"tasks": s.rows(a)})),
                        None => no_app(id),
                    }
                } else {
                    no_app(id)
                }
            }
            _ => message(404, "The requested resource does not exist"),
        }
    }

    fn apps(&self, s: &State) -> Answer {
        let mut terms = Vec::new();
        if let Some(text) = self.first("label").filter(|t| !t.is_empty()) {
            match selector(text) {
                Some(t) => terms = t,
                None => {
                    let details = json!([{"path": "/", "errors": [
                        format!("Parsing error: invalid label selector '{text}'")]}]);
                    let refusal = json!({"message": "Object is not valid", "details": details});
                    return answer(422, &refusal);
                }
            }
        }
        let tasks = self.all("embed").any(|e| e == "apps.tasks");
        let part = self.first("id").unwrap_or_default();
        let apps: Vec<Value> = s
            .apps()
            .filter(|a| a.spec.id.contains(part))
            .filter(|a| {
                let of = |k: &String| a.spec.labels.get(k);
                terms.iter().all(|t| match t {
                    Term::Has(k) => of(k).is_some(),
                    Term::In(k, list) => of(k).is_some_and(|v| list.contains(v)),
                    Term::NotIn(k, list) => of(k).is_some_and(|v| !list.contains(v)),
                })
            })
            .map(|a| s.app_json(a, tasks))
            .collect();
        answer(200, &json!({"apps": apps}))
    }

    fn kill(&self, s: &mut State, held: bool) -> Answer {
        let Ok(body) = serde_json::from_str::<Value>(&self.body) else {
            return message(400, "Invalid JSON");
        };
        let ids: Option<Vec<String>> = body["ids"].as_array().and_then(|ids| {
            let ids = ids.iter().map(|i| i.as_str().map(str::to_owned));
            ids.collect()
        });
        let Some(ids) = ids else {
            let details = json!([{"path": "/ids", "errors": ["error.path.missing"]}]);
            return answer(422, &json!({"message": "Invalid JSON", "details": details}));
        };
        let scale = self.first("scale") == Some("true");
        let rows = if held {
            Ok(s.rows_of(&ids))
        } else {
            s.kill(&ids, self.intent.as_deref(), scale)
        };
        match rows {
            Ok(_) if scale => answer(
                200,
                &json!({"version": super::state::stamp(s.now()),
                        "deploymentId": uuid::Uuid::new_v4().to_string()}),
            ),
            Ok(rows) => answer(200, &json!({"tasks": rows})),
            Err(bad) => {
                let text = format!(
                    "Invalid task id '{}'. Only instance or task ids are allowed.",
                    bad.0
                );
                message(400, &text)
            }
        }
    }
}

fn info(s: &State) -> Value {
    json!({
        "name": "marathon", "version": s.version_text(), "buildref": "unknown", "elected": true,
        "leader": s.leader, "frameworkId": s.framework_id,
        "marathon_config": {
            "master": "zk://127.0.0.1:2181/mesos", "framework_name": "marathon", "mesos_role": "*",
            "ha": true, "checkpoint": true, "failover_timeout": 604_800, "hostname": "127.0.0.1",
            "local_port_min": 10000, "local_port_max": 20000, "executor": "//cmd",
            "mesos_leader_ui_url": "http://127.0.0.1:5050/", "leader_proxy_connection_timeout_ms": 5000,
            "task_launch_timeout": 300_000, "task_reservation_timeout": 20000, "features": [],
            "access_control_allow_origin": null, "env_vars_prefix": null, "webui_url": null,
        },
        "zookeeper_config": {"zk": "zk://127.0.0.1:2181/marathon", "zk_timeout": 10000,
            "zk_session_timeout": 10000, "zk_max_versions": 50, "zk_compression": true,
            "zk_compression_threshold": 65536, "zk_connection_timeout": 10000},
        "http_config": {"http_port": 8080, "https_port": 8443, "assets_path": null},
        "event_subscriber": {"type": "http_callback"},
    })
}
