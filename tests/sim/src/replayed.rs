//! Two nodes against what two real ones of 1.11 answered, word for word where words are theirs.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::{Clock, Pace, Sim, SimConfig, Timings};

/// Where the recorded leader and the recorded standby listened.
const LEADER: &str = "127.0.0.1:18090";
const STANDBY: &str = "127.0.0.1:18092";

fn file(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/marathon/1.11-more/two-nodes");
    let text = std::fs::read_to_string(folder.join(name)).unwrap();
    text.replace("\r\n", "\n")
}

async fn nodes() -> Sim {
    let config = SimConfig {
        nodes: 2,
        clock: Clock::new(Pace::Manual),
        timings: Timings::default(),
        ..SimConfig::default()
    };
    Sim::start(config).await.unwrap()
}

fn pass(sim: &Sim, ms: u64) {
    sim.clock().advance(Duration::from_millis(ms));
    let now = sim.clock().now();
    sim.with(|s| s.advance(now));
}

/// An answer: its first line, its headers, its body.
#[derive(Debug)]
struct Answer {
    line: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Answer {
    fn read(text: &str) -> Self {
        let text = text.replace("\r\n", "\n");
        let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
        let mut lines = head.lines();
        let line = lines.next().unwrap_or_default().to_owned();
        let header = |l: &str| l.split_once(": ").map(|(n, v)| (n.to_lowercase(), v.to_owned()));
        Self {
            line,
            headers: lines.filter_map(header).collect(),
            body: body.trim().to_owned(),
        }
    }

    fn names(&self) -> BTreeSet<&str> {
        let passing = ["date", "content-length", "connection", "transfer-encoding"];
        let names = self.headers.iter().map(|(n, _)| n.as_str());
        names.filter(|n| !passing.contains(n)).collect()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map(|(_, v)| v.as_str())
    }
}

async fn exchange(at: SocketAddr, request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(at).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The keys and types of a document; words where Marathon speaks.
fn shape(v: &Value) -> Value {
    match v {
        Value::Object(o) if o.contains_key("message") => v.clone(),
        Value::Object(o) => {
            let varies = |k: &str| {
                k.ends_with("_config")
                    || ["gauges", "counters", "histograms", "meters", "timers"].contains(&k)
            };
            let pairs = o.iter();
            let pairs = pairs.map(|(k, v)| (k.clone(), if varies(k) { Value::Null } else { shape(v) }));
            pairs.collect()
        }
        Value::Array(a) => a.iter().map(shape).collect(),
        Value::String(_) => Value::from("text"),
        Value::Number(n) => Value::from(if n.is_f64() { 0.5 } else { 0.0 }),
        other => other.clone(),
    }
}

#[tokio::test]
async fn a_standby_answers_as_a_real_one() {
    let sim = nodes().await;
    let [leader, standby] = sim.addresses()[..] else {
        panic!("two nodes");
    };
    let (a, b) = (leader.to_string(), standby.to_string());
    let ours = |text: &str| text.replace(LEADER, &a).replace(STANDBY, &b);
    for name in [
        "01-standby-info.txt",
        "02-standby-ping.txt",
        "03-standby-leader.txt",
        "04-standby-events.txt",
        "05-standby-metrics.txt",
        "05b-standby-ui-root.txt",
        "06-standby-put-app.txt",
        "07-standby-apps-embed.txt",
        "08-standby-tasks-delete.txt",
        "09-standby-apps-embed.txt",
        "09b-proxy-loop.txt",
        "11-leader-delete.txt",
    ] {
        let recorded = file(name);
        let (request, response) = recorded.split_once("<<< RESPONSE").unwrap();
        let response = response.split_once('\n').unwrap().1;
        let wanted = Answer::read(&ours(response));
        let request = request.trim_start_matches(">>> REQUEST\n");
        let (head, body) = request.split_once("\n\n").unwrap();
        let mut body = body.trim().to_owned();
        if name.starts_with("08") {
            let victim = sim.with(|s| s.task_ids("/dev/web")[0].clone());
            body = serde_json::json!({"ids": [victim]}).to_string();
        }
        let mut text = String::new();
        for line in ours(head).lines().filter(|l| !l.starts_with("Content-Length")) {
            text += &format!("{line}\r\n");
        }
        let length = if body.is_empty() {
            String::new()
        } else {
            format!("Content-Length: {}\r\n", body.len())
        };
        text += &format!("{length}\r\n{body}");
        let to = if head.contains(LEADER) { leader } else { standby };
        let answer = Answer::read(&exchange(to, &text).await.unwrap());
        assert_eq!(answer.line, wanted.line, "{name}: {answer:?}");
        assert_eq!(answer.names(), wanted.names(), "{name}: {answer:?}");
        for header in [
            "location",
            "content-type",
            "x-marathon-via",
            "x-marathon-leader",
            "expires",
            "vary",
        ] {
            assert_eq!(answer.header(header), wanted.header(header), "{name}: {header}");
        }
        match (
            serde_json::from_str::<Value>(&answer.body),
            serde_json::from_str::<Value>(&wanted.body),
        ) {
            (Ok(answer), Ok(wanted)) => assert_eq!(shape(&answer), shape(&wanted), "{name}"),
            _ => assert_eq!(answer.body, wanted.body, "{name}"),
        }
        // Everything runs before the next one asks.
        for _ in 0..16 {
            pass(&sim, if name.starts_with("11") { 0 } else { 500 });
        }
    }
    sim.stop().await;
}

/// Who answers how, as the timelines write it.
async fn looks(at: SocketAddr, sim: &Sim) -> String {
    let request = "GET /v2/apps HTTP/1.1\r\nHost: x\r\nAccept: */*\r\nConnection: close\r\n\r\n";
    let answer = match exchange(at, request).await {
        Err(refused) => return format!("{refused:?}"),
        Ok(answer) => answer,
    };
    let answer = Answer::read(&answer);
    let mut text = answer.line.clone();
    for (n, node) in sim.addresses().iter().enumerate() {
        if answer.header("x-marathon-leader") == Some(&format!("http://{node}")) {
            text += &format!(" led by {n}");
        }
    }
    text
}

/// The same of a line in a recording.
fn recorded(line: &str) -> String {
    if line.contains("ConnectionRefusedError") {
        return "refused".to_owned();
    }
    let mut text = line.split('\'').nth(1).unwrap().to_owned();
    for (n, node) in [LEADER, STANDBY].iter().enumerate() {
        if line.contains(&format!("X-Marathon-Leader: http://{node}'")) {
            text += &format!(" led by {n}");
        }
    }
    text
}

#[track_caller]
fn same(seen: &str, wanted: &str, line: &str) {
    if wanted == "refused" {
        assert!(seen.contains("ConnectionRefused"), "{line}: {seen}");
    } else {
        assert_eq!(seen, wanted, "{line}");
    }
}

/// Waits until the sockets have followed the state.
async fn settled(sim: &Sim) {
    for at in sim.addresses() {
        let listens = sim.with(|s| s.listens(&at.to_string()));
        while TcpStream::connect(at).await.is_ok() != listens {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test]
async fn an_abdication_looks_as_it_did_from_outside() {
    let sim = nodes().await;
    let mut gone = 0;
    sim.with(crate::State::abdicate);
    for line in file("12-timeline-abdication.txt").lines() {
        let (seconds, rest) = line.split_once(' ').unwrap();
        let (node, _) = rest.split_once(' ').unwrap();
        let ms = (seconds.parse::<f64>().unwrap() * 1000.0) as u64;
        // The recording says when it was asked, and the answer came a little later.
        let ms = ms + 25;
        pass(&sim, ms - gone);
        gone = ms;
        settled(&sim).await;
        let at = sim.addresses()[usize::from(node == "b")];
        same(&looks(at, &sim).await, &recorded(line), line);
    }
    sim.stop().await;
}

#[tokio::test]
async fn a_leader_killed_hard_looks_as_it_did_from_outside() {
    let sim = nodes().await;
    let mut gone = 0;
    // The recording begins when the other node has the lead.
    let addresses = sim.addresses();
    sim.with(|s| {
        s.kill_node(
            &addresses[0].to_string(),
            Duration::from_millis(1),
            Some(Duration::from_millis(1)),
        )
    });
    pass(&sim, 10);
    settled(&sim).await;
    let leader = sim.addresses()[1].to_string();
    assert_eq!(
        sim.with(|s| s.leader_now().map(str::to_owned)),
        Some(leader.clone())
    );
    sim.with(|s| s.kill_node(&leader, Duration::from_millis(13_370), None));
    for line in file("21-timeline-kill9.txt").lines() {
        let (seconds, _) = line.split_once(' ').unwrap();
        let ms = (seconds.parse::<f64>().unwrap() * 1000.0) as u64;
        pass(&sim, ms - gone);
        gone = ms;
        settled(&sim).await;
        same(&looks(addresses[0], &sim).await, &recorded(line), line);
    }
    sim.stop().await;
}
