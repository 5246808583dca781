//! The pretend Mesos masters: who the agents are, over HTTP.
//!
//! Only what a client of Marathon asks of Mesos: `/slaves`, `GET_AGENTS` and who leads. Not here: tasks,
//! frameworks, `/state`, and anything that changes the cluster.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, LOCATION};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::marathon::agents::{AgentNode, Attribute, Attributes, Presence};
use crate::marathon::http::{Shared, lock};
use crate::marathon::placement::Agent;
use crate::marathon::state::State;

/// The version that masters and agents say they are.
const MESOS: &str = "1.11.0";
/// Where an agent listens.
const AGENT_PORT: u16 = 5051;

/// Which master leads, and how it is.
#[derive(Clone, Debug, Default)]
pub struct Masters {
    leader: Option<SocketAddr>,
    /// The one that led last, which Marathon goes on naming.
    last: Option<SocketAddr>,
    /// The leader still reads what the one before it knew: `/api/v1` answers 503.
    pub recovering: bool,
}

impl Masters {
    /// This one leads now.
    pub fn elect(&mut self, master: SocketAddr) {
        self.leader = Some(master);
        self.last = self.leader;
    }

    /// Nobody leads.
    pub fn depose(&mut self) {
        self.leader = None;
    }

    /// The one that led last leads again. Says whether there was one.
    pub fn elect_last(&mut self) -> bool {
        self.leader = self.last;
        self.leader.is_some()
    }

    /// The one that leads.
    #[must_use]
    pub fn leader(&self) -> Option<SocketAddr> {
        self.leader
    }

    /// Host and port of the leader, as Marathon names it.
    pub(crate) fn named(&self) -> String {
        self.last
            .map_or_else(|| "127.0.0.1:5050".to_owned(), |m| m.to_string())
    }
}

/// Serves as the master at this address until dropped; connections end with it.
pub async fn serve(listener: TcpListener, own: SocketAddr, state: Shared) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            continue;
        };
        let state = state.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let state = state.clone();
                async move { Ok::<_, Infallible>(handle(own, &state, request).await) }
            });
            // A client that goes away is an error here, and none of ours.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn handle(own: SocketAddr, state: &Shared, request: Request<Incoming>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return text(400, "Failed to read the request");
    };
    let body = body.to_bytes();
    answer(own, &lock(state), &parts, &body)
}

fn answer(own: SocketAddr, s: &State, asked: &hyper::http::request::Parts, body: &Bytes) -> Response<Body> {
    let path = asked.uri.path().trim_end_matches('/');
    let bare = path.strip_prefix("/master").unwrap_or(path);
    if !["/slaves", "/redirect", "/api/v1", "/health"].contains(&bare) {
        return text(404, "");
    }
    if bare == "/health" {
        return text(200, "");
    }
    let Some(leader) = s.mesos.leader else {
        return text(503, "No leader elected");
    };
    if bare == "/redirect" {
        return see(&format!("//{leader}"));
    }
    if leader != own {
        let whole = asked.uri.path_and_query().map_or(path, |p| p.as_str());
        return see(&format!("//{leader}{whole}"));
    }
    if bare == "/slaves" {
        if asked.method != Method::GET && asked.method != Method::HEAD {
            let words = format!("Expecting one of {{ 'GET' }}, but received '{}'", asked.method);
            return text(405, &words);
        }
        let query = asked.uri.query().unwrap_or_default();
        let only = query.split('&').find_map(|p| p.strip_prefix("slave_id="));
        return document(&slaves(s, only));
    }
    call(s, asked, body)
}

/// A call of the operator interface.
fn call(s: &State, asked: &hyper::http::request::Parts, body: &Bytes) -> Response<Body> {
    if s.mesos.recovering {
        return text(503, "Master has not finished recovery");
    }
    if asked.method != Method::POST {
        let words = format!("Expecting one of {{ 'POST' }}, but received '{}'", asked.method);
        return text(405, &words);
    }
    let header = |name| asked.headers.get(name).and_then(|v| v.to_str().ok());
    let media = header(CONTENT_TYPE).map(|t| t.split(';').next().unwrap_or_default().trim());
    match media {
        Some("application/json") => {}
        Some(_) => {
            let words = "Expecting 'Content-Type' of application/json or application/x-protobuf";
            return text(415, words);
        }
        None => return text(400, "Expecting 'Content-Type' to be present"),
    }
    let call: Value = match serde_json::from_slice(body) {
        Ok(call) => call,
        Err(why) => return text(400, &format!("Failed to parse body into JSON: {why}")),
    };
    match call["type"].as_str() {
        Some("GET_AGENTS") => document(&get_agents(s).to_string()),
        Some(other) => text(
            501,
            &format!("The pretend master answers GET_AGENTS, not {other}"),
        ),
        None => text(
            400,
            "Failed to validate master::Call: Expecting 'type' to be present",
        ),
    }
}

fn text(status: u16, words: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(words.to_owned()));
    *response.status_mut() = status.try_into().unwrap_or_default();
    let kind = hyper::header::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

fn document(body: &str) -> Response<Body> {
    let mut response = text(200, body);
    let kind = hyper::header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// Elsewhere; the method and the body stay.
fn see(location: &str) -> Response<Body> {
    let mut response = text(307, "");
    if let Ok(location) = location.parse() {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// Attributes as `/slaves` writes them: a name that comes twice is a key that comes twice.
impl Serialize for Attributes {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            match value {
                Attribute::Scalar(number) => map.serialize_entry(name, number)?,
                other => map.serialize_entry(name, &other.to_string())?,
            }
        }
        map.end()
    }
}

fn domain(agent: &AgentNode) -> Option<Value> {
    let (region, zone) = agent.spec.domain.as_ref()?;
    Some(json!({"fault_domain": {"region": {"name": region}, "zone": {"name": zone}}}))
}

fn pid(agent: &AgentNode) -> String {
    format!("slave(1)@{}:{AGENT_PORT}", agent.address())
}

/// One entry of `/slaves`. The attributes stand apart: a tree of values could not hold a key twice.
#[derive(serde::Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    rest: Value,
    attributes: &'a Attributes,
}

fn slave(s: &State, place: usize, agent: &AgentNode) -> Result<String, serde_json::Error> {
    let resources =
        json!({"cpus": 4.0, "disk": 10_240.0, "gpus": 0.0, "mem": 8_192.0, "ports": "[31000-32000]"});
    let mut row = json!({
        "id": s.agent_id(Agent(place)),
        "hostname": s.agent_host(agent),
        "port": AGENT_PORT,
        "pid": pid(agent),
        "registered_time": 1_700_000_000.25,
        "resources": resources,
        "version": MESOS,
        "capabilities": ["MULTI_ROLE", "HIERARCHICAL_ROLE", "RESERVATION_REFINEMENT"],
    });
    if let Some(domain) = domain(agent) {
        row["domain"] = domain;
    }
    if agent.presence != Presence::Recovered {
        row["active"] = json!(agent.presence == Presence::Active);
        row["deactivated"] = json!(agent.presence == Presence::Deactivated);
    }
    serde_json::to_string(&Row {
        rest: row,
        attributes: &agent.spec.attributes,
    })
}

/// `/slaves`, or the one with this id.
fn slaves(s: &State, only: Option<&str>) -> String {
    let list = |recovered: bool| -> String {
        let listed = s.agents().iter().enumerate().filter(|(n, a)| {
            a.presence != Presence::Unreachable
                && (a.presence == Presence::Recovered) == recovered
                && only.is_none_or(|id| s.agent_id(Agent(*n)) == id)
        });
        let rows: Vec<String> = listed.filter_map(|(n, a)| slave(s, n, a).ok()).collect();
        rows.join(",")
    };
    format!(
        "{{\"slaves\":[{}],\"recovered_slaves\":[{}]}}",
        list(false),
        list(true)
    )
}

/// An attribute as `GET_AGENTS` writes it.
fn typed(name: &str, value: &Attribute) -> Value {
    match value {
        Attribute::Text(text) => json!({"name": name, "type": "TEXT", "text": {"value": text}}),
        Attribute::Scalar(number) => json!({"name": name, "type": "SCALAR", "scalar": {"value": number}}),
        Attribute::Ranges(ranges) => {
            let range = |(begin, end): &(u64, u64)| json!({"begin": begin, "end": end});
            let ranges: Vec<Value> = ranges.iter().map(range).collect();
            json!({"name": name, "type": "RANGES", "ranges": {"range": ranges}})
        }
        Attribute::Set(items) => json!({"name": name, "type": "SET", "set": {"item": items}}),
    }
}

fn get_agents(s: &State) -> Value {
    let info = |(n, agent): (usize, &AgentNode)| {
        let attributes = agent.spec.attributes.0.iter();
        let attributes: Vec<Value> = attributes.map(|(name, value)| typed(name, value)).collect();
        let mut info = json!({
            "id": {"value": s.agent_id(Agent(n))}, "hostname": s.agent_host(agent), "port": AGENT_PORT,
            "attributes": attributes,
            "resources": [
                {"name": "cpus", "type": "SCALAR", "scalar": {"value": 4.0}},
                {"name": "mem", "type": "SCALAR", "scalar": {"value": 8192.0}},
            ],
        });
        if let Some(domain) = domain(agent) {
            info["domain"] = domain;
        }
        info
    };
    let all = || s.agents().iter().enumerate();
    let recovered = all().filter(|(_, a)| a.presence == Presence::Recovered);
    let here = all().filter(|(_, a)| !matches!(a.presence, Presence::Recovered | Presence::Unreachable));
    let agents: Vec<Value> = here
        .map(|(n, a)| {
            json!({
                "agent_info": info((n, a)),
                "active": a.presence == Presence::Active,
                "deactivated": a.presence == Presence::Deactivated,
                "pid": pid(a), "version": MESOS,
                "registered_time": {"nanoseconds": 1_700_000_000_250_000_000_u64},
            })
        })
        .collect();
    let recovered: Vec<Value> = recovered.map(info).collect();
    json!({"type": "GET_AGENTS", "get_agents": {"agents": agents, "recovered_agents": recovered}})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asking::{ask, ask_with};
    use crate::{AgentSpec, AppSpec, Sim, SimConfig};

    fn agents() -> Vec<AgentSpec> {
        vec![
            AgentSpec::new("a1.test")
                .attribute("rack", "r1")
                .attribute("rack", "r2")
                .attribute("gen", "3")
                .attribute("slots", "[1-5]")
                .attribute("disks", "{a,b}")
                .domain("eu", "z1"),
            AgentSpec::new("a2.test"),
        ]
    }

    async fn cluster() -> Sim {
        let config = SimConfig {
            agents: agents(),
            apps: vec![AppSpec::new("/web", 2)],
            ..SimConfig::default()
        };
        Sim::start(config).await.unwrap()
    }

    #[tokio::test]
    async fn point_16_agents_are_listed_with_typed_attributes_and_without_a_missing_domain() {
        let sim = cluster().await;
        let (_, _, info) = ask(sim.address(), "GET", "/v2/info", "").await;
        let info: Value = serde_json::from_str(&info).unwrap();
        let url = info["marathon_config"]["mesos_leader_ui_url"].as_str().unwrap();
        assert_eq!(url, format!("{}/", sim.mesos_url()));
        let (status, head, text) = ask(sim.mesos, "GET", "/slaves", "").await;
        assert_eq!(status, 200);
        assert!(head.contains("content-type: application/json"), "{head}");
        let twice = r#""attributes":{"rack":"r1","rack":"r2","gen":3.0,"slots":"[1-5]","disks":"{a, b}"}"#;
        assert!(text.contains(twice), "{text}");
        let (_, _, other) = ask(sim.mesos, "GET", "/master/slaves", "").await;
        assert_eq!(text, other);
        let all: Value = serde_json::from_str(&text).unwrap();
        let (one, two) = (&all["slaves"][0], &all["slaves"][1]);
        assert_eq!(one["domain"]["fault_domain"]["zone"]["name"], "z1");
        assert!(two.get("domain").is_none() && two["attributes"] == json!({}));
        assert_eq!((&one["active"], &one["port"]), (&json!(true), &json!(5051)));
        let (_, _, tasks) = ask(sim.address(), "GET", "/v2/apps/web/tasks", "").await;
        let tasks: Value = serde_json::from_str(&tasks).unwrap();
        assert_eq!(tasks["tasks"][0]["slaveId"], one["id"]);
        assert_eq!(tasks["tasks"][0]["host"], one["hostname"]);
        let path = format!("/slaves?slave_id={}", two["id"].as_str().unwrap());
        let (_, _, text) = ask(sim.mesos, "GET", &path, "").await;
        let found: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(found["slaves"], json!([two]));
        sim.stop().await;
    }

    #[tokio::test]
    async fn agents_that_went_away_are_recovered_or_nowhere() {
        let sim = cluster().await;
        sim.with(|s| {
            s.set_presence(Agent(0), Presence::Recovered);
            s.set_presence(Agent(1), Presence::Unreachable);
        });
        let (_, _, text) = ask(sim.mesos, "GET", "/slaves", "").await;
        let all: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(all["slaves"], json!([]));
        let recovered = all["recovered_slaves"].as_array().unwrap();
        assert!(
            recovered.len() == 1 && recovered[0].get("active").is_none(),
            "{all}"
        );
        let before = sim.with(|s| s.agent_id(Agent(0)));
        sim.with(|s| s.register_anew(Agent(0)));
        let (_, _, text) = ask(sim.mesos, "GET", "/slaves", "").await;
        let all: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(all["slaves"][0]["hostname"], "a1.test");
        assert_ne!(all["slaves"][0]["id"], json!(before));
        sim.stop().await;
    }

    #[tokio::test]
    async fn get_agents_says_the_type_of_each_attribute() {
        let sim = cluster().await;
        let json_body = [("Content-Type", "application/json")];
        let body = r#"{"type":"GET_AGENTS"}"#;
        let (status, _, text) = ask_with(sim.mesos, "POST", "/api/v1", &json_body, body).await;
        assert_eq!(status, 200, "{text}");
        let all: Value = serde_json::from_str(&text).unwrap();
        let agents = &all["get_agents"]["agents"];
        assert_eq!(
            agents[0]["agent_info"]["attributes"],
            json!([
                {"name": "rack", "type": "TEXT", "text": {"value": "r1"}},
                {"name": "rack", "type": "TEXT", "text": {"value": "r2"}},
                {"name": "gen", "type": "SCALAR", "scalar": {"value": 3.0}},
                {"name": "slots", "type": "RANGES", "ranges": {"range": [{"begin": 1, "end": 5}]}},
                {"name": "disks", "type": "SET", "set": {"item": ["a", "b"]}},
            ])
        );
        assert!(agents[1]["agent_info"].get("domain").is_none());
        let (status, _, _) = ask_with(sim.mesos, "POST", "/api/v1", &json_body, "{").await;
        assert_eq!(status, 400);
        let xml = [("Content-Type", "text/xml")];
        assert_eq!(ask_with(sim.mesos, "POST", "/api/v1", &xml, body).await.0, 415);
        assert_eq!(ask(sim.mesos, "GET", "/api/v1", "").await.0, 405);
        sim.with(|s| s.mesos.recovering = true);
        let (status, _, _) = ask_with(sim.mesos, "POST", "/api/v1", &json_body, body).await;
        assert_eq!(status, 503);
        sim.stop().await;
    }

    #[tokio::test]
    async fn point_16_another_master_sends_elsewhere_without_naming_a_scheme() {
        let mut sim = cluster().await;
        let other = sim.second_master().await.unwrap();
        for (path, to) in [
            ("/slaves?slave_id=x", format!("//{}/slaves?slave_id=x", sim.mesos)),
            ("/master/slaves", format!("//{}/master/slaves", sim.mesos)),
            ("/api/v1", format!("//{}/api/v1", sim.mesos)),
            ("/redirect", format!("//{}", sim.mesos)),
            ("/master/redirect", format!("//{}", sim.mesos)),
        ] {
            let (status, head, _) = ask(other, "GET", path, "").await;
            assert_eq!(status, 307, "{path}");
            assert!(head.contains(&format!("location: {to}\r\n")), "{path}: {head}");
        }
        assert_eq!(ask(sim.mesos, "GET", "/redirect", "").await.0, 307);
        sim.with(|s| s.mesos.elect(other));
        assert_eq!(ask(other, "GET", "/slaves", "").await.0, 200);
        assert_eq!(ask(sim.mesos, "GET", "/slaves", "").await.0, 307);
        sim.with(|s| s.mesos.depose());
        for master in [sim.mesos, other] {
            let (status, _, text) = ask(master, "GET", "/slaves", "").await;
            assert_eq!((status, text.as_str()), (503, "No leader elected"));
        }
        sim.stop().await;
    }
}
