//! The pretend Marathon against recordings of two real ones.
//!
//! The judge asks it what the real ones were asked and compares every answer. What it prints when
//! something differs is what this test fails with.

use heartbreak_sim::{Sim, SimConfig, Timings, Version};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How many answers each real Marathon gave.
const EXCHANGES: usize = 97;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_answers_as_marathon_1_11_did() {
    judge(Version::V1_11, "1.11").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_answers_as_marathon_1_7_did() {
    judge(Version::V1_7, "1.7").await;
}

async fn judge(version: Version, recording: &str) {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    // A task outlives the kill request by long enough to be listed, also on a busy machine.
    let timings = Timings {
        kill_delay: Duration::from_millis(500),
        offer_delay: Duration::from_millis(300),
        start_delay: Duration::from_millis(300),
        ..Timings::default()
    };
    let sim = Sim::start(SimConfig {
        version,
        timings,
        ..SimConfig::default()
    })
    .await
    .expect("a port of this machine is free");
    let output = tokio::process::Command::new("python3")
        .arg(tests.join("judges/contract.py"))
        .args(["compare", "--base", &sim.url(), "--with"])
        .arg(tests.join("data/marathon").join(recording))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await;
    let output = match output {
        Ok(output) => output,
        Err(why) => panic!("the judge needs python3, and it can't be started: {why}"),
    };
    sim.stop().await;
    let said = String::from_utf8_lossy(&output.stdout);
    let trouble = String::from_utf8_lossy(&output.stderr);
    let wanted = format!("{EXCHANGES} passed, 0 failed");
    assert!(
        output.status.success() && said.lines().last() == Some(&wanted),
        "the pretend Marathon {recording} differs from the real one:\n{said}{trouble}"
    );
}

/// Two nodes, side by side, and the leader killed right after it has accepted a kill.
#[tokio::test]
async fn two_nodes_answer_as_two_real_ones_did() {
    let recording = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/marathon/1.11-two-nodes.json");
    let recording = std::fs::read_to_string(recording).expect("the recording is there");
    let recording: Value = serde_json::from_str(&recording).expect("it is JSON");
    let mut sim = Sim::start(SimConfig::default())
        .await
        .expect("a port of this machine is free");
    let leader = sim.address();
    let follower = sim.second_node().await.expect("a port of this machine is free");
    let app = json!({
        "id": "/ha/web", "cmd": "python3 -m http.server $PORT0", "instances": 3, "cpus": 0.1, "mem": 16,
        "portDefinitions": [{"port": 0, "protocol": "tcp", "name": "http"}],
        "healthChecks": [{"protocol": "HTTP", "path": "/", "portIndex": 0, "gracePeriodSeconds": 4,
            "intervalSeconds": 2, "timeoutSeconds": 1, "maxConsecutiveFailures": 0}],
    });
    let answer = ask(follower, "POST", "/v2/apps", &[], &app.to_string()).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    healthy(follower, 3).await;

    let mut victims = sim.with(|s| s.task_ids("/ha/web")).into_iter();
    for exchange in recorded(&recording["exchanges"]) {
        let (step, exchange) = (&exchange[0], &exchange[1]);
        let request = &exchange["request"];
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let mut body = text(&request["body"]);
        let first = body.find(".instance-").filter(|_| !body.contains("-0000-11ee-"));
        if first.is_some() {
            let victim = victims.next().expect("there are three tasks");
            body = json!({"ids": [victim]}).to_string();
        }
        let headers: Vec<(String, String)> = request["headers"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.clone(), text(value)))
            .collect();
        let to = if exchange["asked"] == "leader" {
            leader
        } else {
            follower
        };
        let answer = ask(
            to,
            &text(&request["method"]),
            &text(&request["path"]),
            &headers,
            &body,
        )
        .await;
        let wanted = match exchange["raw"].as_str() {
            Some(raw) => Answer::read(raw),
            None => Answer::recorded(&exchange["response"]),
        };
        assert_eq!(answer.shape(), wanted.shape(), "{step}: {answer:?}");
        if step == "follower-kill" {
            while sim.kills().is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            healthy(follower, 3).await;
        }
    }

    sim.kill_leader(Duration::from_secs(4)).await;
    assert!(TcpStream::connect(leader).await.is_err());
    let mut statuses: Vec<u16> = Vec::new();
    let last = loop {
        let accept = ("Accept".to_owned(), "application/json".to_owned());
        let answer = ask(follower, "GET", "/v2/apps/ha/web", &[accept], "").await;
        if statuses.last() != Some(&answer.status) {
            statuses.push(answer.status);
        }
        if answer.status == 200 {
            break answer;
        }
        assert_eq!((answer.body.as_str(), answer.header("content-type")), ("", None));
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let wanted: Vec<&Value> = recorded(&recording["failover"])
        .iter()
        .map(|f| &f["status"])
        .collect();
    assert_eq!(json!(statuses), json!(wanted));
    assert_eq!(last.header("x-marathon-via"), None);
    // The kill that was answered with 200 never happened: only the one before it did.
    let app: Value = serde_json::from_str(&last.body).expect("an app is JSON");
    let mut incarnations: Vec<&str> = app["app"]["tasks"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|t| t["id"].as_str()?.rsplit_once('.').map(|(_, n)| n))
        .collect();
    incarnations.sort_unstable();
    assert_eq!(incarnations, ["1", "1", "2"]);
    assert_eq!(app["app"]["tasksRunning"], 3);
    assert_eq!(sim.kills().len(), 1);
    healthy(follower, 3).await;
}

fn recorded(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}

/// Waits until so many tasks of the app are healthy by checks of their own.
async fn healthy(at: SocketAddr, count: usize) {
    for _ in 0..400 {
        let answer = ask(at, "GET", "/v2/apps/ha/web/tasks", &[], "").await;
        let tasks: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        let good = recorded(&tasks["tasks"]).iter().filter(|t| {
            let passed = t["healthCheckResults"][0]["lastSuccess"].as_str();
            passed.is_some() && passed > t["startedAt"].as_str() && t["startedAt"].is_string()
        });
        let app = ask(at, "GET", "/v2/apps/ha/web", &[], "").await;
        if good.count() == count && app.body.contains("\"deployments\":[]") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the app did not become healthy within 20 s");
}

/// An answer as it came over the wire, or as it was recorded.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Answer {
    fn read(raw: &str) -> Self {
        let (head, body) = raw.split_once("\r\n\r\n").unwrap_or((raw, ""));
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|l| l.split(' ').nth(1)?.parse().ok());
        Self {
            status: status.unwrap_or_default(),
            headers: lines
                .filter_map(|l| l.split_once(": "))
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                .collect(),
            body: body.to_owned(),
        }
    }

    fn recorded(response: &Value) -> Self {
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        Self {
            status: response["status"]
                .as_u64()
                .and_then(|s| s.try_into().ok())
                .unwrap_or(0),
            headers: response["headers"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, value)| (name.clone(), text(value)))
                .collect(),
            body: text(&response["body"]),
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Everything but what differs from run to run: ids, times, places and settings.
    fn shape(&self) -> Value {
        let there = |name| self.header(name).is_some();
        let body = serde_json::from_str(&self.body).map_or_else(|_| json!(self.body), |v| shape(&v));
        json!({
            "status": self.status, "type": self.header("content-type"), "body": body,
            "via": there("x-marathon-via"), "leader": there("x-marathon-leader"),
            "location": there("location"), "caching": self.header("cache-control"),
        })
    }
}

/// The keys, types and words of a document.
fn shape(v: &Value) -> Value {
    match v {
        Value::Object(o) if o.contains_key("message") => v.clone(),
        Value::Object(o) => o
            .iter()
            .map(|(k, v)| {
                let varies = k.ends_with("_config") || ["port", "ports"].contains(&k.as_str());
                (k.clone(), if varies { json!("varies") } else { shape(v) })
            })
            .collect(),
        Value::Array(a) => a.iter().map(shape).collect(),
        Value::String(_) => json!("text"),
        other => other.clone(),
    }
}

async fn ask(at: SocketAddr, method: &str, path: &str, headers: &[(String, String)], body: &str) -> Answer {
    let mut stream = TcpStream::connect(at).await.expect("the node listens");
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    if headers.iter().any(|(name, _)| name == "Transfer-Encoding") {
        text += &format!("\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    } else {
        text += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
    }
    stream.write_all(text.as_bytes()).await.expect("the node reads");
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .await
        .expect("the node answers");
    Answer::read(&answer)
}
