//! The pretend Marathon over HTTP: connections, who answers a request, and how it goes out.

use std::convert::Infallible;
use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE};
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::election::Part;
use super::routes::{Answer, Asked};
use super::state::State;
use super::stream::{self as events, Orders};
use super::{bend, standby};
use crate::clock::Clock;
use crate::control;
use crate::mischief::{Mischief, On, Recorded, Trouble, Victim};

/// How often a node without a leader looks for one, and how often before it gives up.
const LOOKS: (Duration, u32) = (Duration::from_millis(250), 11);

/// The state, shared by the HTTP interface, the ticker and the tests.
pub type Shared = Arc<Mutex<State>>;

/// The state, whatever happened to another thread that held it.
pub fn lock(state: &Shared) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Everything a request needs.
#[derive(Clone)]
pub(crate) struct Context {
    /// The state.
    pub(crate) state: Shared,
    /// The trouble.
    pub(crate) mischief: Mischief,
    /// The time.
    pub(crate) clock: Clock,
    /// Host and port of the node that answers.
    pub(crate) own: String,
    /// What is done to event streams.
    pub(crate) orders: Orders,
    /// What `Authorization` has to say, if anybody asks.
    pub(crate) credentials: Option<String>,
    /// The requests that may be passed on to the leader at once.
    pub(crate) proxied: Arc<Semaphore>,
}

impl Context {
    /// What this node is now.
    pub(crate) fn part(&self) -> Part {
        let mut s = lock(&self.state);
        s.advance(self.clock.now());
        s.part_of(&self.own)
    }

    pub(super) fn victim(&self, leads: bool) -> Victim<'_> {
        Victim {
            node: &self.own,
            leads,
            now: self.clock.now(),
        }
    }

    pub(super) fn is_let_in(&self, authorization: Option<&str>) -> bool {
        self.credentials
            .as_ref()
            .is_none_or(|wanted| authorization == Some(wanted))
    }
}

/// Serves until dropped; connections end with it.
pub(crate) async fn serve(listener: &TcpListener, context: Context) {
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
            if events::served(&context, &mut stream).await {
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
    /// The response of a leader.
    pub(super) fn into_response(self, leader: &str, zipped: bool) -> Response<Body> {
        let mut marks = marks(leader, self.bare);
        marks.retain(|(name, _)| !leader.is_empty() || *name != "X-Marathon-Leader");
        let body = self.body.into_bytes();
        let zipped = (zipped && body.len() >= 16).then(|| gzip(&body)).flatten();
        if zipped.is_some() {
            marks.push(("Content-Encoding", "gzip".to_owned()));
        }
        let mut response = Response::new(Body::from(zipped.unwrap_or(body)));
        *response.status_mut() = self.status.try_into().unwrap_or_default();
        let headers = response.headers_mut();
        if let Some(v) = self.content_type.and_then(|t| t.parse().ok()) {
            headers.insert(CONTENT_TYPE, v);
        }
        for (name, value) in self.headers.into_iter().chain(marks) {
            if let Ok(value) = value.parse() {
                headers.insert(name, value);
            }
        }
        response
    }
}

fn gzip(body: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}

/// What stands in the head of every answer; the web server's own error pages have less of it.
pub(super) fn marks(leader: &str, bare: bool) -> Vec<(&'static str, String)> {
    let mut marks = vec![("X-Marathon-Leader", format!("http://{leader}"))];
    let caching = if bare {
        "must-revalidate,no-cache,no-store"
    } else {
        "no-cache, no-store, must-revalidate"
    };
    marks.push(("Cache-Control", caching.to_owned()));
    if !bare {
        for (name, value) in [("Pragma", "no-cache"), ("Expires", "0")] {
            marks.push((name, value.to_owned()));
        }
    }
    marks
}

/// The headers that only late versions write.
pub(super) fn frame_marks(s: &State) -> Vec<(&'static str, String)> {
    if s.version.says_frame_options() {
        vec![
            ("X-Frame-Options", "DENY".to_owned()),
            ("X-XSS-Protection", "1; mode=block".to_owned()),
        ]
    } else {
        Vec::new()
    }
}

/// A response whose body fails before its first byte, which drops the connection.
pub(super) fn dropped() -> Response<Body> {
    let broken = stream::once(async { Err::<Bytes, _>(io::Error::other("dropped on purpose")) });
    let mut response = Response::new(Body::from_stream(broken));
    let headers = response.headers_mut();
    headers.insert("content-length", 1000.into());
    response
}

/// A page of the web server itself: nothing of Marathon stands in its head.
pub(super) fn page(status: u16, reason: &str, path: &str, accept: Option<&str>) -> Response<Body> {
    let mut response = Answer::page(status, reason, path, accept).into_response("", false);
    if let Ok(reason) = hyper::ext::ReasonPhrase::try_from(reason.as_bytes()) {
        response.extensions_mut().insert(reason);
    }
    response
}

fn class(method: &Method, path: &str) -> Option<On> {
    let one = |prefix: &str| path.starts_with(prefix) && path.len() > prefix.len();
    Some(match path {
        "/v2/info" => On::Info,
        "/v2/events" => On::Events,
        "/v2/tasks/delete" if method == Method::POST => On::Kills,
        p if method == Method::DELETE
            && (one("/v2/apps/") && (p.ends_with("/tasks") || p.contains("/tasks/"))
                || one("/v2/pods/") && p.contains("::instances")) =>
        {
            On::Kills
        }
        _ if one("/v2/apps/") => On::OneApp,
        p if p.starts_with("/v2/") => On::Reads,
        _ => return None,
    })
}

pub(crate) fn percent_decoded(s: &str, plus_is_blank: bool) -> String {
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

pub(crate) fn pairs(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|p| !p.is_empty())
        .map(|p| p.split_once('=').unwrap_or((p, "")))
        .map(|(k, v)| (percent_decoded(k, true), percent_decoded(v, true)))
        .collect()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|v| v.to_str().ok())
}

async fn handle(context: Context, request: Request<Incoming>) -> Response<Body> {
    let path = percent_decoded(request.uri().path(), false);
    let mut part = context.part();
    if part == Part::Gone {
        return dropped();
    }
    if path == "/sim" || path.starts_with("/sim/") {
        return control::door(&context, request).await;
    }
    let accept = text(request.headers(), ACCEPT.as_str()).map(str::to_owned);
    if !context.is_let_in(text(request.headers(), AUTHORIZATION.as_str())) {
        let mut refusal = page(401, "Unauthorized", &path, accept.as_deref());
        if let Ok(challenge) = "basic realm=\"Mesosphere\"".parse() {
            refusal.headers_mut().insert("WWW-Authenticate", challenge);
        }
        return refusal;
    }
    for _ in 0..LOOKS.1 {
        if part != Part::Leaderless {
            break;
        }
        tokio::time::sleep(LOOKS.0).await;
        part = context.part();
    }
    let leads = part == Part::Leads;
    let trouble =
        class(request.method(), &path).and_then(|on| context.mischief.take(on, context.victim(leads)));
    match part {
        Part::Leads => answer(context, request, path, trouble).await,
        Part::Gone => dropped(),
        Part::Leaderless => {
            let status = lock(&context.state).version.leaderless_status();
            page(
                status,
                "Could not determine the current leader",
                &path,
                accept.as_deref(),
            )
        }
        Part::Follows(_) | Part::LeaderGone(_) => match trouble {
            // It does not know that another leads, and answers itself.
            Some(trouble @ Trouble::Stale(_)) => answer(context, request, path, Some(trouble)).await,
            Some(trouble) => {
                if let Some(response) = bend::before(&trouble, &path, accept.as_deref(), "").await {
                    return response;
                }
                standby::pass_on(&context, part, request).await
            }
            None => standby::pass_on(&context, part, request).await,
        },
    }
}

/// Answers as the leader does.
async fn answer(
    context: Context,
    request: Request<Incoming>,
    path: String,
    trouble: Option<Trouble>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = match body.collect().await {
        Ok(b) => String::from_utf8_lossy(&b.to_bytes()).into_owned(),
        Err(_) => return dropped(),
    };
    let header = |name: &str| text(&parts.headers, name).map(str::to_owned);
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
            at: context.clock.now(),
        });
    }
    let asked = Asked {
        method: parts.method.clone(),
        path,
        query: pairs(parts.uri.query().unwrap_or_default()),
        accept: header(ACCEPT.as_str()),
        content_type: header(CONTENT_TYPE.as_str()),
        intent: header("x-heartbreak-intent"),
        body,
    };
    let zipped = header(ACCEPT_ENCODING.as_str()).is_some_and(|a| a.contains("gzip"));
    let leader = context.own.clone();
    if let Some(trouble) = &trouble
        && let Some(response) = bend::before(trouble, &asked.path, asked.accept.as_deref(), &leader).await
    {
        return response;
    }
    if asked.path == "/v2/events" {
        if trouble == Some(Trouble::CloseAfter) {
            return dropped();
        }
        // Exactly this, on a line of its own.
        let mut lines = parts.headers.get_all(ACCEPT).iter();
        let exact = lines.next().is_some_and(|v| v == "text/event-stream") && lines.next().is_none();
        if asked.method != Method::GET || !exact {
            let reason = format!("HTTP method {} is not supported by this URL", asked.method);
            let page = Answer::page(405, &reason, &asked.path, asked.accept.as_deref());
            return page.into_response(&leader, false);
        }
        return events::response(&context, &asked, &leader);
    }
    if matches!(trouble, None | Some(Trouble::Delay(_)))
        && let Some(crowded) = {
            let mut state = lock(&context.state);
            state.advance(context.clock.now());
            super::crowd::answer(&asked, &mut state, &leader, zipped)
        }
    {
        return crowded;
    }
    match bend::answer(&context, &asked, trouble) {
        Some(mut answer) => {
            if !answer.bare {
                answer.headers.extend(frame_marks(&lock(&context.state)));
            }
            if asked.method == Method::GET && answer.status == 200 {
                let vary = "Accept-Encoding, User-Agent".to_owned();
                answer.headers.push(("Vary", vary));
            }
            answer.into_response(&leader, zipped)
        }
        None => dropped(),
    }
}
