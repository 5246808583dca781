//! The control door: what happened, and trouble at will, for `curl`.

mod agents;
mod orders;
mod said;
#[cfg(test)]
mod tests;

use axum::body::Body;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, Response};
use serde_json::{Map, Value, json};

use crate::marathon::http::{Context, lock, percent_decoded};
use crate::marathon::state::{Kill, stamp};
use crate::mischief::{Bespoken, Recorded};
use orders::{trouble_json, trouble_name};
use said::Said;

/// What the door can do, in words.
pub const HELP: &str = include_str!("door.txt");

/// More than this nobody says to the door.
const SAID_MAX: usize = 1024 * 1024;

/// Where something can be said.
const TO: [&str; 11] = [
    "/sim/clock",
    "/sim/trouble",
    "/sim/events",
    "/sim/leader",
    "/sim/nodes",
    "/sim/tasks",
    "/sim/apps",
    "/sim/deployments",
    "/sim/marathon",
    "/sim/agents",
    "/sim/mesos",
];

/// What the door answers: a document, or in a sentence what is wrong.
type Answered = Result<Value, Wrong>;

/// Why the door refuses.
struct Wrong {
    status: u16,
    words: String,
}

impl From<String> for Wrong {
    fn from(words: String) -> Self {
        Self { status: 400, words }
    }
}

fn missing(words: &str) -> Wrong {
    Wrong {
        status: 404,
        words: words.to_owned(),
    }
}

fn response(status: u16, content_type: &str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status.try_into().unwrap_or_default();
    if let Ok(v) = content_type.parse() {
        response.headers_mut().insert(CONTENT_TYPE, v);
    }
    response
}

/// Answers at the door.
pub(crate) async fn door(context: &Context, request: Request<Incoming>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let path = percent_decoded(parts.uri.path(), false);
    let path = path.trim_end_matches('/').to_owned();
    if path == "/sim" && parts.method == Method::GET {
        return response(200, "text/plain; charset=utf-8", HELP.to_owned());
    }
    let answered = match Limited::new(body, SAID_MAX).collect().await {
        Ok(body) => answer(context, &parts.method, &path, &body.to_bytes()),
        Err(_) => Err("the body is longer than 1 MiB, or broke off".to_owned().into()),
    };
    let (status, body) = match answered {
        Ok(body) => (200, body),
        Err(wrong) => (
            wrong.status,
            json!({"message": format!("{}; nothing was changed", wrong.words)}),
        ),
    };
    // For people: one thing a line.
    let text = serde_json::to_string_pretty(&body).unwrap_or_default() + "\n";
    response(status, "application/json", text)
}

fn answer(context: &Context, method: &Method, path: &str, body: &[u8]) -> Answered {
    lock(&context.state).advance(context.clock.now());
    let get = *method == Method::GET;
    let delete = *method == Method::DELETE;
    let post = *method == Method::POST || *method == Method::PUT;
    match path {
        "/sim/state" if get => return Ok(state(context)),
        "/sim/kills" if get => {
            let kills: Vec<Value> = lock(&context.state).kills().iter().map(kill).collect();
            return Ok(json!({"kills": kills, "dropped": lock(&context.state).dropped()}));
        }
        "/sim/requests" if get => return Ok(requests(context)),
        "/sim/requests" if delete => {
            context.mischief.forget_requests();
            return Ok(json!({}));
        }
        "/sim/clock" if get => return Ok(clock(context)),
        "/sim/agents" if get => return Ok(agents::shown(&lock(&context.state))),
        "/sim/trouble" if get => return Ok(troubles(context)),
        "/sim/trouble" if delete => {
            context.mischief.clear_all();
            return Ok(troubles(context));
        }
        "/sim/events" if delete => {
            context.orders.clear();
            return Ok(state(context));
        }
        _ => {}
    }
    if let Some(number) = path.strip_prefix("/sim/trouble/").filter(|_| delete) {
        let found = number.parse().is_ok_and(|n| context.mischief.end(n));
        return if found {
            Ok(troubles(context))
        } else {
            Err(missing(&format!(
                "there is no trouble number {number}; GET /sim/trouble lists them"
            )))
        };
    }
    if let Some(app) = path.strip_prefix("/sim/apps").filter(|_| delete) {
        let mut s = lock(&context.state);
        if s.app(app).is_none() {
            return Err(missing(&format!("there is no app {app}")));
        }
        s.remove_app(app);
        drop(s);
        return Ok(state(context));
    }
    if !post || !TO.contains(&path) {
        return Err(missing(&format!(
            "there is no {method} {path} at this door; GET /sim says what there is"
        )));
    }
    let mut said = Said::read(body)?;
    match path {
        "/sim/clock" => orders::clock(context, &mut said)?,
        "/sim/trouble" => orders::trouble(context, &mut said)?,
        "/sim/events" => orders::events(context, &mut said)?,
        "/sim/leader" => orders::leader(context, &mut said)?,
        "/sim/nodes" => orders::nodes(context, &mut said)?,
        "/sim/tasks" => orders::tasks(context, &mut said)?,
        "/sim/apps" => orders::apps(context, &mut said)?,
        "/sim/agents" => agents::agents(context, &mut said)?,
        "/sim/mesos" => agents::mesos(context, &mut said)?,
        "/sim/deployments" => orders::deployments(context, &mut said)?,
        _ => orders::marathon(context, &mut said)?,
    }
    Ok(match path {
        "/sim/clock" => clock(context),
        "/sim/trouble" => troubles(context),
        "/sim/agents" | "/sim/mesos" => agents::shown(&lock(&context.state)),
        _ => state(context),
    })
}

fn clock(context: &Context) -> Value {
    json!({"now": stamp(context.clock.now()), "mode": context.clock.pace().to_string()})
}

fn troubles(context: &Context) -> Value {
    let troubles = context.mischief.troubles(context.clock.now());
    let troubles: Vec<Value> = troubles.iter().map(trouble).collect();
    json!({"troubles": troubles})
}

fn trouble(b: &Bespoken) -> Value {
    let mut shown = Map::new();
    shown.insert("number".to_owned(), json!(b.number));
    shown.insert("on".to_owned(), json!(orders::on_name(b.on)));
    shown.insert("what".to_owned(), json!(trouble_name(&b.trouble)));
    if let Value::Object(more) = trouble_json(&b.trouble) {
        shown.extend(more);
    }
    for (key, v) in [
        ("requestsLeft", b.left.map(|n| json!(n))),
        ("until", b.until.map(|t| json!(stamp(t)))),
        ("onNode", b.node.as_ref().map(|n| json!(n))),
    ] {
        if let Some(v) = v {
            shown.insert(key.to_owned(), v);
        }
    }
    Value::Object(shown)
}

fn kill(k: &Kill) -> Value {
    json!({
        "at": stamp(k.at), "app": k.app, "asked": k.asked, "killed": k.killed, "intent": k.intent,
        "othersDown": k.others_down, "othersDownInApp": k.others_down_in_app,
    })
}

fn requests(context: &Context) -> Value {
    let shown = |r: &Recorded| {
        json!({
            "at": stamp(r.at), "method": r.method, "path": r.path, "query": r.query, "body": r.body,
            "headers": r.headers.iter().map(|(n, v)| json!([n, v])).collect::<Vec<_>>(),
        })
    };
    let requests: Vec<Value> = context.mischief.requests().iter().map(shown).collect();
    json!({"requests": requests, "reads": context.mischief.read(), "lastReads": context.mischief.reads()})
}

fn state(context: &Context) -> Value {
    let s = lock(&context.state);
    let nodes: Vec<Value> = s
        .nodes()
        .map(|(address, up)| json!({"address": address, "up": up, "leads": s.leader_now() == Some(address)}))
        .collect();
    let apps: Vec<Value> = s
        .apps()
        .map(|a| {
            let up = a.instances.iter().filter(|i| i.is_up()).count();
            let deployments: Vec<Value> = s.holding(&a.spec.id);
            json!({
                "id": a.spec.id, "instances": a.spec.instances, "up": up, "tasks": s.task_ids(&a.spec.id),
                "deployments": deployments, "mayBeHealthy": a.healthy,
            })
        })
        .collect();
    let (version, leader, kills) = (s.version, s.leader_now().map(str::to_owned), s.kills().len());
    drop(s);
    json!({
        "marathon": version.full(), "clock": clock(context), "leader": leader, "nodes": nodes,
        "apps": apps, "kills": kills, "eventReaders": context.orders.readers(),
        "troubles": troubles(context)["troubles"],
    })
}
