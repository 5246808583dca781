use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::HELP;
use super::orders::{ON, WHATS};
use crate::asking::{ask, ask_with};
use crate::{AppSpec, Clock, Pace, Sim, SimConfig};

const APP: &str = "/shop/web";

async fn sim(nodes: u16) -> Sim {
    let config = SimConfig {
        nodes,
        apps: vec![AppSpec::new(APP, 3)],
        clock: Clock::new(Pace::Manual),
        ..SimConfig::default()
    };
    Sim::start(config).await.unwrap()
}

/// What the door says to this, which it has to take.
async fn tell(at: SocketAddr, path: &str, said: Value) -> Value {
    let (status, _, body) = ask(at, "POST", path, &said.to_string()).await;
    assert_eq!(status, 200, "{path} {said}: {body}");
    serde_json::from_str(&body).unwrap()
}

async fn look(at: SocketAddr, path: &str) -> Value {
    let (status, _, body) = ask(at, "GET", path, "").await;
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// The whole answer, whatever becomes of the connection.
async fn raw(at: SocketAddr, method: &str, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(at).await.unwrap();
    let text = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

async fn advance(at: SocketAddr, by: &str) {
    tell(at, "/sim/clock", json!({"advance": by})).await;
}

#[test]
fn the_help_names_everything_that_can_be_said() {
    let words: Vec<&str> = WHATS.split(", ").map(str::trim).collect();
    assert!(words.len() == 19);
    for word in words.into_iter().chain(ON.iter().map(|(name, _)| *name)) {
        assert!(HELP.contains(word), "{word}");
    }
    for path in super::TO {
        assert!(HELP.contains(&format!("POST   {path}")), "{path}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_said_in_a_sentence_and_nothing_is_changed() {
    let sim = sim(2).await;
    let at = sim.address();
    for (path, said, words) in [
        ("/sim/trouble", "", "the body is no JSON"),
        ("/sim/trouble", "[]", "the body is a list"),
        (
            "/sim/trouble",
            "{}",
            "\"on\" is missing: say which, such as \"kills\"",
        ),
        (
            "/sim/trouble",
            r#"{"on": "kill", "what": "slow"}"#,
            "there is info, lists, app, kills, events, reads, all",
        ),
        (
            "/sim/trouble",
            r#"{"on": "kills", "what": "fast"}"#,
            "there is slow, never, status",
        ),
        (
            "/sim/trouble",
            r#"{"on": "reads", "what": "neverExecuted"}"#,
            "befalls kills only",
        ),
        (
            "/sim/trouble",
            r#"{"on": "reads", "what": "slow", "by": 5}"#,
            "\"by\" is 5, and has to be a length of time",
        ),
        (
            "/sim/trouble",
            r#"{"on": "reads", "what": "slow", "times": 0}"#,
            "a number from 1 to 1000000",
        ),
        (
            "/sim/trouble",
            r#"{"on": "reads", "what": "slow", "node": 3}"#,
            "\"node\" is 3, and there are 2 nodes",
        ),
        (
            "/sim/trouble",
            r#"{"on": "reads", "what": "slow", "duration": "5s"}"#,
            "\"duration\" means nothing here",
        ),
        (
            "/sim/trouble",
            r#"{"on": "reads", "what": "status", "status": 99}"#,
            "from 200 to 599",
        ),
        (
            "/sim/trouble",
            r#"{"on": "reads", "what": "redirect", "to": "elsewhere"}"#,
            "has to begin with http://",
        ),
        ("/sim/clock", "{}", "neither \"mode\" nor \"advance\" is said"),
        ("/sim/clock", r#"{"mode": "fast"}"#, "no pace of time"),
        ("/sim/clock", r#"{"advance": "-5s"}"#, "a length of time"),
        ("/sim/leader", r#"{"do": "shoot"}"#, "there is kill, abdicate"),
        (
            "/sim/leader",
            r#"{"do": "abdicate", "lasts": "1s"}"#,
            "takes its own time",
        ),
        ("/sim/nodes", r#"{"do": "kill"}"#, "\"node\" is missing"),
        ("/sim/nodes", r#"{"do": "kill", "node": 9}"#, "there are 2 nodes"),
        ("/sim/tasks", r#"{"crash": "nonsense"}"#, "no task nonsense runs"),
        ("/sim/tasks", r#"{"crash": "/none"}"#, "no app /none runs a task"),
        (
            "/sim/tasks",
            r#"{"crash": "/shop/web", "as": "TASK_LOST"}"#,
            "there is TASK_FAILED",
        ),
        ("/sim/apps", r#"{"id": "/none"}"#, "there is no app /none"),
        (
            "/sim/apps",
            r#"{"id": "Not An Id", "instances": 1}"#,
            "is no app id",
        ),
        (
            "/sim/apps",
            r#"{"id": "/shop/web", "labels": {}}"#,
            "change its labels with PUT",
        ),
        ("/sim/deployments", r#"{"app": "/none"}"#, "there is no app /none"),
        ("/sim/events", r#"{"do": "burn"}"#, "there is close, leaveOut"),
        ("/sim/marathon", "{}", "neither"),
        (
            "/sim/marathon",
            r#"{"killedAre": "TASK_LOST"}"#,
            "there is TASK_KILLED, TASK_FINISHED",
        ),
    ] {
        let (status, head, body) = ask(at, "POST", path, said).await;
        let answer: Value = serde_json::from_str(&body).unwrap();
        let message = answer["message"].as_str().unwrap();
        assert_eq!(status, 400, "{path} {said}: {body}");
        assert!(head.contains("application/json"));
        assert!(message.contains(words), "{path} {said}: {message}");
        assert!(message.ends_with("; nothing was changed"), "{message}");
    }
    for (method, path) in [
        ("GET", "/sim/nonsense"),
        ("POST", "/sim/state"),
        ("DELETE", "/sim/trouble/7"),
        ("DELETE", "/sim/apps/none"),
    ] {
        assert_eq!(ask(at, method, path, "").await.0, 404, "{method} {path}");
    }
    let state = look(at, "/sim/state").await;
    assert_eq!((&state["troubles"], &state["kills"]), (&json!([]), &json!(0)));
    assert_eq!(state["apps"][0]["up"], 3);
    sim.stop().await;
}

#[tokio::test]
async fn every_trouble_with_reads_is_what_a_client_gets() {
    let sim = sim(1).await;
    let at = sim.address();
    let get = async || raw(at, "GET", "/v2/apps", "").await;
    let sound = get().await;
    assert!(sound.starts_with("HTTP/1.1 200"));
    for (what, wanted) in [
        (json!({"what": "status"}), "HTTP/1.1 503"),
        (
            json!({"what": "status", "status": 500}),
            "Futures timed out after",
        ),
        (json!({"what": "status", "status": 401}), "Not Authenticated!"),
        (
            json!({"what": "status", "status": 403}),
            "Not Authorized to perform this action!",
        ),
        (json!({"what": "status", "status": 404}), "does not exist"),
        (
            json!({"what": "status", "status": 409}),
            "App is locked by one or more deployments",
        ),
        (json!({"what": "status", "status": 423}), "HTTP/1.1 423"),
        (
            json!({"what": "status", "status": 502}),
            "Connection to leader refused.",
        ),
        (
            json!({"what": "status", "status": 502, "reason": "Could not determine the current leader"}),
            "<pre>    Could not determine the current leader</pre>",
        ),
        (
            json!({"what": "status", "status": 504, "body": {"own": 1}}),
            "{\"own\":1}",
        ),
        (json!({"what": "html"}), "text/html"),
        (
            json!({"what": "redirect", "to": "http://elsewhere/"}),
            "location: http://elsewhere/",
        ),
        (json!({"what": "emptyList"}), "{\"apps\":[]}"),
        (json!({"what": "unknownFields"}), "notInThisVersion"),
        (json!({"what": "wrongTypes"}), "\"instances\":\"<3>\""),
    ] {
        let mut said = what.clone();
        said["on"] = json!("lists");
        said["times"] = json!(1);
        tell(at, "/sim/trouble", said).await;
        let got = get().await;
        assert!(
            got.to_lowercase().contains(&wanted.to_lowercase()),
            "{what}: {got}"
        );
        assert!(get().await.starts_with("HTTP/1.1 200"), "{what}: only once");
    }
    tell(
        at,
        "/sim/trouble",
        json!({"on": "lists", "what": "lostBefore", "times": 1}),
    )
    .await;
    assert_eq!(get().await, "");
    tell(
        at,
        "/sim/trouble",
        json!({"on": "lists", "what": "truncated", "times": 1}),
    )
    .await;
    let cut = get().await;
    let body = cut.split_once("\r\n\r\n").unwrap().1;
    assert!(!body.is_empty() && serde_json::from_str::<Value>(body).is_err());
    tell(
        at,
        "/sim/trouble",
        json!({"on": "lists", "what": "huge", "mib": 2, "times": 1}),
    )
    .await;
    let long = get().await;
    let body = long.split_once("\r\n\r\n").unwrap().1;
    assert!(body.len() > 2 * 1024 * 1024);
    assert_eq!(serde_json::from_str::<Value>(body).unwrap()["apps"][0]["id"], APP);

    tell(
        at,
        "/sim/trouble",
        json!({"on": "lists", "what": "endless", "times": 1}),
    )
    .await;
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream
        .write_all(b"GET /v2/apps HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut part = vec![0; 64 * 1024];
    let mut got = 0;
    while got < 1024 * 1024 {
        got += stream.read(&mut part).await.unwrap();
    }

    tell(
        at,
        "/sim/trouble",
        json!({"on": "lists", "what": "slow", "by": "300ms", "times": 1}),
    )
    .await;
    let began = crate::clock::now();
    assert_eq!(
        get().await.split_once("\r\n\r\n").unwrap().1,
        sound.split_once("\r\n\r\n").unwrap().1
    );
    assert!((crate::clock::now() - began).num_milliseconds() >= 300);
    tell(
        at,
        "/sim/trouble",
        json!({"on": "lists", "what": "never", "times": 1}),
    )
    .await;
    let never = tokio::time::timeout(Duration::from_millis(300), get()).await;
    assert!(never.is_err());

    let id = look(at, "/v2/info").await["frameworkId"].clone();
    tell(
        at,
        "/sim/trouble",
        json!({"on": "info", "what": "otherFramework"}),
    )
    .await;
    assert_ne!(look(at, "/v2/info").await["frameworkId"], id);

    // What was true when it was made, for as long as its time is.
    tell(
        at,
        "/sim/trouble",
        json!({"on": "lists", "what": "stale", "for": "5m"}),
    )
    .await;
    sim.with(|s| s.scale(APP, 1));
    advance(at, "4m").await;
    assert_eq!(look(at, "/v2/apps").await["apps"][0]["instances"], 3);
    advance(at, "2m").await;
    assert_eq!(look(at, "/v2/apps").await["apps"][0]["instances"], 1);

    // All of them end at once, or one by its number.
    tell(at, "/sim/trouble", json!({"on": "reads", "what": "html"})).await;
    let list = look(at, "/sim/trouble").await["troubles"]
        .as_array()
        .unwrap()
        .clone();
    let lists = list
        .iter()
        .find(|t| t["on"] == "lists" && t["what"] == "html")
        .unwrap();
    assert_eq!(
        ask(at, "DELETE", &format!("/sim/trouble/{}", lists["number"]), "")
            .await
            .0,
        200
    );
    assert!(get().await.contains(APP));
    assert!(
        raw(at, "GET", "/v2/apps/shop/web", "")
            .await
            .contains("text/html")
    );
    ask(at, "DELETE", "/sim/trouble", "").await;
    assert!(raw(at, "GET", "/v2/apps/shop/web", "").await.contains(APP));
    sim.stop().await;
}

#[tokio::test]
async fn every_trouble_with_kills_does_what_it_says() {
    let sim = sim(1).await;
    let at = sim.address();
    let kill = async || {
        let id = sim.with(|s| s.task_ids(APP)[0].clone());
        let body = json!({"ids": [id]}).to_string();
        (id, raw(at, "POST", "/v2/tasks/delete", &body).await)
    };
    // (trouble, whether it is answered with the task, kills at once, kills after a minute)
    for (what, answered, at_once, later) in [
        (json!({"what": "lostBefore"}), false, 0, 0),
        (json!({"what": "lostAfter"}), false, 1, 1),
        (json!({"what": "neverExecuted"}), true, 0, 0),
        (json!({"what": "executedLate", "by": "2s"}), true, 0, 1),
        (json!({"what": "twice", "by": "2s"}), true, 1, 2),
        (json!({"what": "status", "status": 409}), false, 0, 0),
    ] {
        let mut said = what.clone();
        said["on"] = json!("kills");
        said["times"] = json!(1);
        tell(at, "/sim/trouble", said).await;
        let before = sim.kills().len();
        let (id, answer) = kill().await;
        assert_eq!(
            answer.starts_with("HTTP/1.1 200") && answer.contains(&id),
            answered,
            "{what}: {answer}"
        );
        advance(at, "10s").await;
        assert_eq!(sim.kills().len() - before, at_once, "{what}");
        let end = tokio::time::Instant::now() + Duration::from_secs(20);
        if later > at_once {
            while sim.kills().len() - before < later {
                assert!(
                    tokio::time::Instant::now() < end,
                    "{what}: it was not carried out"
                );
                tokio::time::sleep(Duration::from_millis(20)).await;
                advance(at, "10s").await;
            }
        }
        assert_eq!(sim.kills().len() - before, later, "{what}");
    }
    tell(
        at,
        "/sim/trouble",
        json!({"on": "kills", "what": "otherIncarnation", "times": 1}),
    )
    .await;
    let (id, answer) = kill().await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && !answer.contains(&format!("{id}\"")),
        "{answer}"
    );
    advance(at, "10s").await;
    let kills = look(at, "/sim/kills").await["kills"].clone();
    let last = kills.as_array().unwrap().last().unwrap().clone();
    assert_eq!(
        (&last["killed"], &last["asked"], &last["app"]),
        (&json!(id), &json!(id), &json!(APP))
    );
    let requests = look(at, "/sim/requests").await;
    let asked = requests["requests"].as_array().unwrap().iter();
    assert_eq!(asked.filter(|r| r["path"] == "/v2/tasks/delete").count(), 7);
    ask(at, "DELETE", "/sim/requests", "").await;
    assert_eq!(look(at, "/sim/requests").await["requests"], json!([]));
    sim.stop().await;
}

#[tokio::test]
async fn a_stale_follower_is_a_second_leader_that_answers_differently() {
    let sim = sim(3).await;
    let [leader, second, third] = sim.addresses()[..] else {
        panic!("three nodes");
    };
    tell(
        third,
        "/sim/trouble",
        json!({"on": "all", "what": "stale", "node": 2}),
    )
    .await;
    sim.with(|s| s.scale(APP, 5));
    let instances = async |at| {
        let (_, head, body) = ask(at, "GET", "/v2/apps", "").await;
        let body: Value = serde_json::from_str(&body).unwrap();
        let says = head
            .lines()
            .find(|l| l.starts_with("x-marathon-leader"))
            .unwrap()
            .to_owned();
        (body["apps"][0]["instances"].as_u64().unwrap(), says)
    };
    assert_eq!(
        instances(leader).await,
        (5, format!("x-marathon-leader: http://{leader}"))
    );
    assert_eq!(
        instances(third).await,
        (5, format!("x-marathon-leader: http://{leader}"))
    );
    assert_eq!(
        instances(second).await,
        (3, format!("x-marathon-leader: http://{second}"))
    );
    // What is killed there is killed nowhere.
    let id = sim.with(|s| s.task_ids(APP)[0].clone());
    let body = json!({"ids": [id]}).to_string();
    let (status, _, body) = ask(second, "POST", "/v2/tasks/delete", &body).await;
    assert!(status == 200 && body.contains(&id), "{body}");
    advance(third, "1m").await;
    assert!(sim.kills().is_empty());
    sim.stop().await;
}

/// A reader of the event stream.
struct Events(TcpStream, String);

impl Events {
    async fn join(sim: &Sim) -> Self {
        let mut stream = TcpStream::connect(sim.address()).await.unwrap();
        let text = "GET /v2/events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n";
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut events = Self(stream, String::new());
        assert!(events.until("event_stream_attached").await);
        events
    }

    /// Reads until this has come; says no when the stream ends.
    async fn until(&mut self, wanted: &str) -> bool {
        let mut part = vec![0; 64 * 1024];
        let read = async {
            while !self.1.contains(wanted) {
                let n = self.0.read(&mut part).await.unwrap_or(0);
                if n == 0 {
                    return false;
                }
                self.1 += &String::from_utf8_lossy(&part[..n]);
            }
            true
        };
        tokio::time::timeout(Duration::from_secs(20), read).await.unwrap()
    }

    fn numbered(&self) -> Vec<&str> {
        let names = self.1.lines().filter_map(|l| l.strip_prefix("event: n"));
        names.collect()
    }
}

#[tokio::test]
async fn the_event_stream_loses_doubles_reorders_falls_silent_and_is_closed() {
    let sim = sim(1).await;
    let at = sim.address();
    let say = |names: &[&str]| {
        sim.with(|s| names.iter().for_each(|n| s.say(n)));
    };
    let mut events = Events::join(&sim).await;
    tell(at, "/sim/events", json!({"do": "leaveOut", "count": 2})).await;
    say(&["n1", "n2", "n3"]);
    assert!(events.until("event: n3").await);
    tell(at, "/sim/events", json!({"do": "double", "count": 1})).await;
    say(&["n4", "n5"]);
    assert!(events.until("event: n5").await);
    tell(at, "/sim/events", json!({"do": "reverse", "count": 3})).await;
    say(&["n6", "n7"]);
    tokio::time::sleep(Duration::from_millis(100)).await;
    say(&["n8", "n9"]);
    assert!(events.until("event: n9").await);
    assert_eq!(events.numbered(), ["3", "4", "4", "5", "8", "7", "6", "9"]);

    tell(at, "/sim/events", json!({"do": "silence", "for": "1h"})).await;
    say(&["n10"]);
    let nothing = tokio::time::timeout(Duration::from_millis(300), events.until("event: n10")).await;
    assert!(nothing.is_err(), "it is open, and says nothing");
    ask(at, "DELETE", "/sim/events", "").await;
    assert!(events.until("event: n10").await);

    tell(at, "/sim/events", json!({"do": "flood", "count": 500})).await;
    say(&["n11"]);
    assert!(events.until("event: n11").await);
    assert_eq!(events.1.matches("event: status_update_event").count(), 500);
    assert_eq!(look(at, "/sim/state").await["eventReaders"], 1);
    tell(at, "/sim/events", json!({"do": "close"})).await;
    assert!(!events.until("\u{0}").await, "it is closed");
    sim.stop().await;
}

#[tokio::test]
async fn apps_tasks_and_deployments_are_moved_by_hand() {
    let sim = sim(1).await;
    let at = sim.address();
    tell(
        at,
        "/sim/apps",
        json!({"id": "/new", "instances": 2, "labels": {"team": "shop"}}),
    )
    .await;
    let new = look(at, "/v2/apps?label=team==shop").await["apps"][0].clone();
    assert_eq!((&new["id"], &new["tasksHealthy"]), (&json!("/new"), &json!(2)));
    tell(at, "/sim/apps", json!({"id": "/new", "healthy": false})).await;
    advance(at, "30s").await;
    assert_eq!(look(at, "/v2/apps/new").await["app"]["tasksUnhealthy"], 2);
    tell(
        at,
        "/sim/apps",
        json!({"id": "/new", "healthy": true, "launchDelay": "1h"}),
    )
    .await;
    advance(at, "30s").await;
    tell(at, "/sim/tasks", json!({"crash": "/new"})).await;
    advance(at, "10m").await;
    let new = look(at, "/v2/apps/new").await["app"].clone();
    assert_eq!(
        (&new["tasksRunning"], &new["lastTaskFailure"]["state"]),
        (&json!(1), &json!("TASK_FAILED"))
    );
    assert_eq!(ask(at, "DELETE", "/sim/apps/new", "").await.0, 200);
    assert_eq!(ask(at, "GET", "/v2/apps/new", "").await.0, 404);

    tell(at, "/sim/deployments", json!({"app": APP, "stuck": true})).await;
    assert_eq!(look(at, "/v2/deployments").await[0]["affectedApps"], json!([APP]));
    advance(at, "1h").await;
    let (status, _, body) = ask(at, "PUT", "/v2/apps/shop/web", r#"{"instances": 4}"#).await;
    assert!(status == 409 && body.contains("locked"), "{body}");
    tell(at, "/sim/deployments", json!({"app": APP, "stuck": false})).await;
    assert_eq!(look(at, "/v2/deployments").await, json!([]));

    tell(at, "/sim/clock", json!({"mode": "x1000"})).await;
    let before = look(at, "/sim/clock").await["now"].clone();
    let end = tokio::time::Instant::now() + Duration::from_secs(20);
    while look(at, "/sim/clock").await["now"] == before {
        assert!(tokio::time::Instant::now() < end, "time stands still");
    }
    sim.stop().await;
}

#[tokio::test]
async fn the_door_is_open_on_followers_and_asks_nobody_who_he_is() {
    let config = SimConfig {
        nodes: 2,
        credentials: Some("ana:secret".to_owned()),
        ..SimConfig::default()
    };
    let sim = Sim::start(config).await.unwrap();
    for at in sim.addresses() {
        let (status, head, body) = ask_with(at, "GET", "/sim", &[], "").await;
        assert!(status == 200 && head.contains("text/plain"), "{head}");
        assert_eq!(body, HELP);
        assert_eq!(
            look(at, "/sim/state").await["leader"],
            json!(sim.address().to_string())
        );
    }
    sim.stop().await;
}
