//! The event stream: who reads it, what each reader gets, and what can be done to it.

use std::convert::Infallible;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use hyper::header::CONNECTION;
use hyper::{Method, Response};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::election::Part;
use super::http::{Context, frame_marks, lock, marks, pairs};
use super::routes::{Answer, Asked};
use super::state::Event;
use super::version::{Plans, SlowReader};
use crate::mischief::On;

/// The type of the event stream, as the real one writes it.
const EVENTS: &str = "text/event-stream;charset=utf-8";
/// How often the event stream shows that it lives.
const HEARTBEAT: Duration = Duration::from_secs(10);

#[derive(Default)]
struct Inner {
    /// Streams older than this are closed.
    generation: u64,
    /// Events by number: left out, written twice, written in reverse.
    left_out: Range<u64>,
    doubled: Range<u64>,
    reversed: Range<u64>,
    /// Nothing is written, not even heartbeats, and nothing is closed.
    silent: Option<Instant>,
    readers: usize,
}

/// What is done to all event streams; clones share it.
#[derive(Clone, Default)]
pub struct Orders(Arc<Mutex<Inner>>);

impl Orders {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes every stream.
    pub fn close(&self) {
        self.lock().generation += 1;
    }

    /// Leaves so many events out, from this number on.
    pub fn leave_out(&self, from: u64, count: u64) {
        self.lock().left_out = from..from.saturating_add(count);
    }

    /// Writes so many events twice, from this number on.
    pub fn double(&self, from: u64, count: u64) {
        self.lock().doubled = from..from.saturating_add(count);
    }

    /// Writes so many events in reverse, from this number on, once the last of them is there.
    pub fn reverse(&self, from: u64, count: u64) {
        self.lock().reversed = from..from.saturating_add(count);
    }

    /// Keeps every stream open and silent for so long by the real clock.
    pub fn silence(&self, lasts: Duration) {
        self.lock().silent = Some(Instant::now() + lasts);
    }

    /// Nothing more of all that.
    pub fn clear(&self) {
        let mut inner = self.lock();
        (inner.left_out, inner.doubled, inner.reversed, inner.silent) = (0..0, 0..0, 0..0, None);
    }

    /// How many read now.
    #[must_use]
    pub fn readers(&self) -> usize {
        self.lock().readers
    }
}

/// One reader of the event stream.
struct Reader {
    context: Context,
    wanted: Vec<String>,
    light: bool,
    next: u64,
    beat: Instant,
    generation: u64,
}

impl Reader {
    /// Joins; every reader is told of it.
    fn new(context: &Context, asked: &Asked) -> Self {
        let (next, plans) = {
            let mut s = lock(&context.state);
            let now = s.now();
            let next = s.next_event();
            let data = json!({"remoteAddress": "127.0.0.1"});
            s.emit("event_stream_attached", data, now);
            (next, s.version.plans())
        };
        let light = plans == Plans::HeavyUnlessAsked && asked.all("plan-format").any(|f| f == "light");
        let mut orders = context.orders.lock();
        orders.readers += 1;
        Self {
            context: context.clone(),
            wanted: asked.all("event_type").map(str::to_owned).collect(),
            light,
            next,
            beat: Instant::now() + HEARTBEAT,
            generation: orders.generation,
        }
    }

    /// Too much may have come while the last write was under way: then the stream ends, or what had
    /// no room is lost. All events count, also those that this reader does not want.
    fn catch_up(&mut self) -> Option<String> {
        let s = lock(&self.context.state);
        let end = s.next_event();
        let buffer = s.version.event_buffer();
        if end.saturating_sub(self.next) <= buffer {
            return Some(String::new());
        }
        match s.version.slow_reader() {
            SlowReader::IsClosed => None,
            SlowReader::MissesEvents => {
                let had_room = self.next..self.next + buffer;
                let mut events = s.events_from(had_room.start);
                drop(s);
                events.retain(|e| had_room.contains(&e.number));
                self.next = end;
                Some(events.iter().map(|e| self.written(e)).collect())
            }
        }
    }

    fn written(&self, e: &Event) -> String {
        if !self.wanted.is_empty() && !self.wanted.contains(&e.kind) {
            return String::new();
        }
        let mut data = e.data.clone();
        if self.light
            && let Some(plan) = data.get_mut("plan").and_then(serde_json::Value::as_object_mut)
        {
            plan.remove("original");
            plan.remove("target");
        }
        format!("event: {}\r\ndata: {data}\r\n\r\n", e.kind)
    }

    /// What has come since the last time, as the orders want it.
    fn news(&mut self) -> String {
        let (events, end) = {
            let s = lock(&self.context.state);
            (s.events_from(self.next), s.next_event())
        };
        let (left_out, doubled, reversed) = {
            let orders = self.context.orders.lock();
            (
                orders.left_out.clone(),
                orders.doubled.clone(),
                orders.reversed.clone(),
            )
        };
        let mut text = String::new();
        let mut backwards: Vec<String> = Vec::new();
        for e in &events {
            if reversed.contains(&e.number) {
                if end < reversed.end {
                    break;
                }
                backwards.push(self.written(e));
            } else if !left_out.contains(&e.number) {
                text.extend(backwards.drain(..).rev());
                let times = if doubled.contains(&e.number) { 2 } else { 1 };
                text += &self.written(e).repeat(times);
            }
            self.next = e.number + 1;
        }
        text.extend(backwards.into_iter().rev());
        text
    }

    /// What is to be written next: events, or an empty line to show that the stream lives.
    /// Nothing, when the stream ends.
    async fn more(&mut self) -> Option<String> {
        let mut text = self.catch_up()?;
        loop {
            let silent = {
                let mut orders = self.context.orders.lock();
                if orders.generation != self.generation {
                    return None;
                }
                orders.silent.take_if(|until| *until <= Instant::now());
                orders.silent.is_some()
            };
            if lock(&self.context.state).part_of(&self.context.own) != Part::Leads {
                return None;
            }
            if !silent {
                text += &self.news();
                if Instant::now() >= self.beat {
                    self.beat = Instant::now() + HEARTBEAT;
                    text.push_str("\r\n");
                }
                if !text.is_empty() {
                    return Some(text);
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut orders = self.context.orders.lock();
        orders.readers = orders.readers.saturating_sub(1);
    }
}

/// The stream on a connection that has served other requests before, or for a follower that passes it on.
pub(super) fn response(context: &Context, asked: &Asked, leader: &str) -> Response<Body> {
    let reader = Reader::new(context, asked);
    let body = stream::unfold(reader, |mut reader| async move {
        let text = reader.more().await?;
        Some((Ok::<_, Infallible>(Bytes::from(text)), reader))
    });
    let mut answer = Answer::text(200, EVENTS, "");
    answer.headers.extend(frame_marks(&lock(&context.state)));
    let mut response = answer.into_response(leader, false);
    if let Ok(close) = "close".parse() {
        response.headers_mut().insert(CONNECTION, close);
    }
    *response.body_mut() = Body::from_stream(body);
    response
}

/// Serves the event stream if that is what a new connection asks for first.
///
/// The stream of the real one has neither a length nor chunks: it ends with the connection.
pub(super) async fn served(context: &Context, stream: &mut TcpStream) -> bool {
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
    let headers: Vec<(&str, &str)> = lines
        .filter_map(|l| l.split_once(':'))
        .map(|(name, value)| (name, value.trim()))
        .collect();
    let all = |wanted: &str| -> Vec<&str> {
        let found = headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| *value).collect()
    };
    // Everything out of the ordinary is for the others to answer.
    if path != "/v2/events"
        || all("accept") != ["text/event-stream"]
        || context.part() != Part::Leads
        || !context.is_let_in(all("authorization").first().copied())
        || context.mischief.awaits(On::Events, context.victim(true))
    {
        return false;
    }
    context.mischief.record_read(target);
    let asked = Asked {
        method: Method::GET,
        path: path.to_owned(),
        query: pairs(query),
        accept: None,
        content_type: None,
        intent: None,
        body: String::new(),
    };
    let date = crate::clock::now()
        .format("%a, %d %b %Y %H:%M:%S GMT")
        .to_string();
    let mut names = vec![("Date", date)];
    names.extend(marks(&context.own, false));
    names.extend(frame_marks(&lock(&context.state)));
    names.push(("Content-Type", EVENTS.to_owned()));
    names.push(("Connection", "close".to_owned()));
    let mut head = "HTTP/1.1 200 OK\r\n".to_owned();
    for (name, value) in names {
        head += &format!("{name}: {value}\r\n");
    }
    head += "\r\n";
    let mut reader = Reader::new(context, &asked);
    let (mut from, mut to) = stream.split();
    let write = async {
        let mut text = Some(head);
        while let Some(part) = text {
            if to.write_all(part.as_bytes()).await.is_err() {
                return;
            }
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
