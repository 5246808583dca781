//! What a faithful Marathon must get right, version by version, asked over HTTP.
//!
//! Each test has the number of the point in the list that the simulator was built from. Points 14 and
//! 16, agents that go away and the Mesos side, are tested where they are made.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::asking::{ask, ask_with};
use crate::marathon::state::Killed;
use crate::{AppSpec, Clock, Pace, Sim, SimConfig, Version};

use Version::{V1_4, V1_5, V1_6, V1_7, V1_8, V1_9, V1_10, V1_11};

const APP: &str = "/shop/web";

/// So many nodes with three healthy tasks, whose time stands still.
async fn nodes(version: Version, nodes: u16) -> Sim {
    let config = SimConfig {
        version,
        nodes,
        apps: vec![AppSpec::new(APP, 3).label("tier", "front")],
        clock: Clock::new(Pace::Manual),
        ..SimConfig::default()
    };
    Sim::start(config).await.unwrap()
}

async fn sim(version: Version) -> Sim {
    nodes(version, 1).await
}

/// Lets time pass.
fn pass(sim: &Sim, ms: u64) {
    sim.clock().advance(Duration::from_millis(ms));
    let now = sim.clock().now();
    sim.with(|s| s.advance(now));
}

async fn get(at: SocketAddr, path: &str) -> Value {
    let (status, head, body) = ask(at, "GET", path, "").await;
    assert_eq!(status, 200, "{path}: {head}{body}");
    serde_json::from_str(&body).unwrap()
}

async fn app(sim: &Sim) -> Value {
    get(sim.address(), &format!("/v2/apps{APP}")).await["app"].clone()
}

fn row(app: &Value, id: &str) -> Option<Value> {
    let rows = app["tasks"].as_array().unwrap();
    rows.iter().find(|r| r["id"] == id).cloned()
}

async fn delete(sim: &Sim, query: &str, ids: &[&str]) -> (u16, Value) {
    let body = json!({"ids": ids}).to_string();
    let (status, _, body) = ask(sim.address(), "POST", &format!("/v2/tasks/delete{query}"), &body).await;
    (status, serde_json::from_str(&body).unwrap_or(json!(body)))
}

fn first(sim: &Sim) -> String {
    sim.with(|s| s.task_ids(APP)[0].clone())
}

/// A reader of the event stream.
struct Events {
    stream: TcpStream,
    seen: String,
}

impl Events {
    async fn join(at: SocketAddr, query: &str) -> Self {
        let mut stream = TcpStream::connect(at).await.unwrap();
        let head = format!("GET /v2/events{query} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        Self {
            stream,
            seen: String::new(),
        }
    }

    /// Reads on until this has been seen; says whether it has, or the stream has ended.
    async fn until(&mut self, wanted: &str) -> bool {
        let read = async {
            let mut part = vec![0; 64 * 1024];
            while !self.seen.contains(wanted) {
                let n = self.stream.read(&mut part).await.unwrap_or(0);
                if n == 0 {
                    return false;
                }
                self.seen += &String::from_utf8_lossy(&part[..n]);
            }
            true
        };
        let read = tokio::time::timeout(Duration::from_secs(30), read).await;
        read.unwrap_or_else(|_| panic!("{wanted} did not come within 30 s; what came: {}", self.seen))
    }

    /// The same, for a moment only.
    async fn until_now(&mut self, wanted: &str) -> bool {
        let mut part = vec![0; 64 * 1024];
        let read = async {
            while !self.seen.contains(wanted) {
                let n = self.stream.read(&mut part).await.unwrap_or(0);
                assert_ne!(n, 0, "it was closed");
                self.seen += &String::from_utf8_lossy(&part[..n]);
            }
        };
        let _ = tokio::time::timeout(Duration::from_millis(200), read).await;
        self.seen.contains(wanted)
    }

    /// Reads until the stream is closed.
    async fn end(&mut self) {
        assert!(!self.until("\u{0}").await);
    }

    fn data(&self) -> Vec<Value> {
        let lines = self.seen.lines().filter_map(|l| l.strip_prefix("data: "));
        lines.filter_map(|l| serde_json::from_str(l).ok()).collect()
    }
}

#[tokio::test]
async fn point_01_an_instance_is_stable_from_1_8_and_a_dead_row_stays() {
    for version in Version::ALL {
        let stable = version >= V1_8;
        let sim = sim(version).await;
        let id = first(&sim);
        assert_eq!(
            id.contains(".instance-") && id.ends_with("._app.1"),
            stable,
            "{id}"
        );
        assert_eq!(delete(&sim, "", &[&id]).await.0, 200);
        pass(&sim, 300);
        let dead = row(&app(&sim).await, &id);
        assert_eq!(
            dead.as_ref().map(|r| &r["state"]),
            stable.then_some(&json!("TASK_KILLED"))
        );
        if let Some(dead) = dead {
            assert!(
                dead.get("startedAt").is_none() && dead["ports"] == json!([]),
                "{dead}"
            );
        }
        pass(&sim, 5_000);
        let ids = sim.with(|s| s.task_ids(APP));
        assert!(ids.len() == 3 && !ids.contains(&id), "{version}: {ids:?}");
        assert_eq!(ids.contains(&id.replace("._app.1", "._app.2")), stable, "{ids:?}");
        sim.stop().await;
    }
}

#[tokio::test]
async fn point_02_the_matrix_of_tasks_delete() {
    const UNKNOWN: &str = "shop_web.instance-00000000-0000-11ee-8000-000000000000._app.1";
    for version in Version::ALL {
        let sim = sim(version).await;
        let wrong_shape = if version == V1_4 { 400 } else { 422 };
        let no_uuid = if version <= V1_5 { 200 } else { 422 };
        for (body, status) in [
            (json!({"ids": []}).to_string(), 200),
            (json!({"ids": [UNKNOWN, UNKNOWN]}).to_string(), 200),
            (json!({"ids": ["foo"]}).to_string(), 400),
            (json!({"ids": ["foo.bar"]}).to_string(), no_uuid),
            (json!({"ids": "foo.bar"}).to_string(), wrong_shape),
            (json!({"ids": [1, 2]}).to_string(), wrong_shape),
            ("{}".to_owned(), wrong_shape),
            ("{".to_owned(), 400),
            (String::new(), 400),
        ] {
            let (got, _, said) = ask_with(
                sim.address(),
                "POST",
                "/v2/tasks/delete",
                &[("Content-Type", "application/json")],
                &body,
            )
            .await;
            assert_eq!(got, status, "{version}: {body}: {said}");
        }
        // One bad id, and nothing is killed; the same id twice is one kill, shown as it was before.
        let id = first(&sim);
        assert_eq!(delete(&sim, "", &[&id, "foo"]).await.0, 400);
        pass(&sim, 300);
        assert!(sim.kills().is_empty());
        let (status, answer) = delete(&sim, "", &[&id, &id, UNKNOWN]).await;
        assert_eq!((status, answer["tasks"].as_array().unwrap().len()), (200, 1));
        assert_eq!(answer["tasks"][0]["state"], "TASK_RUNNING");
        pass(&sim, 300);
        assert_eq!(sim.kills().len(), 1);
        let (status, _) = delete(&sim, "?scale=true&wipe=true", &[&id]).await;
        assert_eq!(status, 400);
        sim.stop().await;
    }
}

#[tokio::test]
async fn point_03_a_stale_incarnation_kills_the_live_one_from_1_8() {
    for version in Version::ALL {
        let sim = sim(version).await;
        let id = first(&sim);
        delete(&sim, "", &[&id]).await;
        pass(&sim, 5_000);
        let (status, answer) = delete(&sim, "", &[&id]).await;
        let named: Vec<&str> = answer["tasks"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|t| t["id"].as_str())
            .collect();
        pass(&sim, 5_000);
        let killed: Vec<String> = sim.kills().into_iter().map(|k| k.killed).collect();
        if version >= V1_8 {
            let live = id.replace("._app.1", "._app.2");
            assert_eq!((status, named), (200, vec![live.as_str()]));
            assert_eq!(killed, [id.clone(), live]);
        } else {
            assert_eq!((status, named), (200, vec![]));
            assert_eq!(killed, [id]);
        }
        sim.stop().await;
    }
}

#[tokio::test]
async fn point_04_a_lock_refuses_scaling_and_drops_plain_kills_up_to_1_7() {
    for version in Version::ALL {
        let dropped = version <= V1_7;
        let sim = sim(version).await;
        let ids = sim.with(|s| s.task_ids(APP));
        // Between two kills: the first holds the app.
        delete(&sim, "", &[&ids[0]]).await;
        let (status, answer) = delete(&sim, "", &[&ids[1]]).await;
        assert_eq!((status, answer["tasks"].as_array().unwrap().len()), (200, 1));
        pass(&sim, 5_000);
        assert_eq!(sim.kills().len(), if dropped { 1 } else { 2 }, "{version}");

        sim.with(|s| s.set_deployment(APP, Some("d-1")));
        let (status, answer) = delete(&sim, "?scale=true", &[&ids[2]]).await;
        assert_eq!((status, &answer["deployments"][0]["id"]), (409, &json!("d-1")));
        let before = sim.kills().len();
        let (status, answer) = delete(&sim, "?force=true", &[&ids[2]]).await;
        assert_eq!((status, answer["tasks"].as_array().unwrap().len()), (200, 1));
        pass(&sim, 5_000);
        assert_eq!(sim.kills().len() - before, usize::from(!dropped), "{version}");
        assert_eq!(sim.with(|s| s.dropped().len()), if dropped { 2 } else { 0 });
        sim.stop().await;
    }
}

#[tokio::test]
async fn point_05_a_scale_kill_is_a_deployment_even_if_nothing_changes() {
    for version in Version::ALL {
        let sim = sim(version).await;
        let id = first(&sim);
        for (ids, left) in [(vec![id.as_str()], 2), (vec![id.as_str()], 2), (vec![], 2)] {
            let body = json!({"ids": ids}).to_string();
            let (status, head, body) = ask(sim.address(), "POST", "/v2/tasks/delete?scale=true", &body).await;
            let answer: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(status, 200, "{body}");
            let deployment = answer["deploymentId"].as_str().unwrap();
            assert!(answer["version"].is_string());
            assert!(
                head.contains(&format!("marathon-deployment-id: {deployment}\r\n")),
                "{head}"
            );
            pass(&sim, 5_000);
            let app = app(&sim).await;
            assert_eq!(
                (&app["instances"], &app["tasksRunning"]),
                (&json!(left), &json!(left)),
                "{version}"
            );
        }
        let path = format!("/v2/apps{APP}/tasks?scale=true");
        for _ in 0..2 {
            let (status, _, _) = ask(sim.address(), "DELETE", &path, "").await;
            pass(&sim, 5_000);
            let there = app(&sim).await;
            assert_eq!(there["instances"], 0);
            if there["tasks"] == json!([]) && status == 404 {
                break;
            }
            assert_eq!(status, 200);
        }
        sim.stop().await;
    }
}

#[tokio::test]
async fn point_06_a_kill_takes_its_time_and_is_told_in_order() {
    for version in Version::ALL {
        let sim = sim(version).await;
        let query = "?event_type=status_update_event&event_type=instance_changed_event";
        let mut events = Events::join(sim.address(), query).await;
        assert!(events.until("\r\n\r\n").await);
        while sim.orders().readers() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let id = first(&sim);
        delete(&sim, "", &[&id]).await;
        let during = row(&app(&sim).await, &id).unwrap();
        assert_eq!(during["state"], "TASK_RUNNING");
        assert_eq!(app(&sim).await["tasksHealthy"], 3);
        pass(&sim, 5_000);
        assert!(events.until("\"condition\":\"Running\"").await);
        let told: Vec<String> = events
            .data()
            .iter()
            .filter_map(|e| {
                e["taskStatus"]
                    .as_str()
                    .or(e["condition"].as_str())
                    .map(str::to_owned)
            })
            .collect();
        let launched = if version >= V1_8 { "Provisioned" } else { "Created" };
        let wanted = [
            "TASK_KILLED",
            "Killed",
            launched,
            "TASK_STARTING",
            "Starting",
            "TASK_RUNNING",
            "Running",
        ];
        assert_eq!(told, wanted, "{version}");
        let killed = &events.data()[0];
        assert_eq!((&killed["taskId"], &killed["appId"]), (&json!(id), &json!(APP)));
        sim.stop().await;
    }
}

#[tokio::test]
async fn point_07_a_kill_delays_no_launch_and_a_failure_does() {
    for version in Version::ALL {
        let sim = sim(version).await;
        let delay = async || get(sim.address(), "/v2/queue").await["queue"][0]["delay"].clone();
        delete(&sim, "", &[&first(&sim)]).await;
        pass(&sim, 250);
        assert_eq!(delay().await["overdue"], true);
        pass(&sim, 5_000);
        for (times, lasts) in [(1, 1_000), (2, 1_150)] {
            assert!(sim.with(|s| {
                let id = s.task_ids(APP)[0].clone();
                s.fail_task(&id)
            }));
            let waits = sim.with(|s| s.app(APP).unwrap().launch_waits().unwrap());
            assert_eq!(waits.as_millis(), lasts, "after {times}");
            pass(&sim, 5_000);
        }
        // Agents before Mesos 1.5 call a task that was killed, and ended well, finished.
        sim.with(|s| s.killed_are = Killed::Finished);
        delete(&sim, "", &[&first(&sim)]).await;
        pass(&sim, 250);
        let waits = sim.with(|s| s.app(APP).unwrap().launch_waits().unwrap());
        assert!(waits.as_millis() > 1_300, "{waits:?}");
        let longest = if version >= V1_8 { 300 } else { 3600 };
        assert_eq!(app(&sim).await["maxLaunchDelaySeconds"], longest);
        sim.stop().await;
    }
}

#[tokio::test]
async fn point_08_counts_are_what_mesos_said_last_and_what_checks_said_ever() {
    for version in Version::ALL {
        let sim = sim(version).await;
        let counts = async || {
            let app = app(&sim).await;
            ["tasksStaged", "tasksRunning", "tasksHealthy", "tasksUnhealthy"]
                .map(|k| app[k].as_u64().unwrap())
        };
        assert_eq!(counts().await, [0, 3, 3, 0]);
        delete(&sim, "", &[&first(&sim)]).await;
        assert_eq!(counts().await, [0, 3, 3, 0], "in its grace period it counts");
        pass(&sim, 250);
        assert_eq!(counts().await, [0, 2, 2, 0]);
        // From 1.8 the next incarnation inherits what was known of the one before.
        let inherited = if version >= V1_8 { 3 } else { 2 };
        pass(&sim, 800);
        assert_eq!(counts().await, [1, 2, inherited, 0], "staged");
        pass(&sim, 250);
        assert_eq!(counts().await, [0, 2, inherited, 0], "starting counts nowhere");
        pass(&sim, 250);
        assert_eq!(counts().await, [0, 3, inherited, 0], "no result of its own yet");
        pass(&sim, 5_000);
        assert_eq!(counts().await, [0, 3, 3, 0]);
        sim.with(|s| s.task_killing = true);
        delete(&sim, "", &[&first(&sim)]).await;
        assert_eq!(counts().await, [0, 2, 3, 0], "killing counts nowhere either");
        assert_eq!(
            row(&app(&sim).await, &first(&sim)).unwrap()["state"],
            "TASK_KILLING"
        );
        sim.stop().await;
    }
}

#[tokio::test]
async fn point_08_a_failing_check_in_its_grace_period_is_an_empty_record() {
    let sim = sim(V1_11).await;
    let app = json!({
        "id": "/grace", "cmd": "sleep 1000",
        "healthChecks": [{"protocol": "HTTP", "path": "/", "portIndex": 0, "gracePeriodSeconds": 60,
            "intervalSeconds": 2}], "portDefinitions": [{"port": 0}],
    });
    let (status, _, body) = ask(sim.address(), "POST", "/v2/apps", &app.to_string()).await;
    assert_eq!(status, 201, "{body}");
    for _ in 0..40 {
        pass(&sim, 250);
    }
    let app = get(sim.address(), "/v2/apps/grace").await["app"].clone();
    let results = app["tasks"][0]["healthCheckResults"].clone();
    let instance = results[0]["instanceId"].clone();
    assert_eq!(
        results,
        json!([{"alive": false, "consecutiveFailures": 0, "instanceId": instance}])
    );
    assert_eq!(
        (&app["tasksHealthy"], &app["tasksUnhealthy"]),
        (&json!(0), &json!(1))
    );
    sim.stop().await;
}

#[tokio::test]
async fn point_09_tasks_and_apps_are_written_as_each_version_writes_them() {
    for version in Version::ALL {
        let sim = sim(version).await;
        ask(
            sim.address(),
            "POST",
            "/v2/apps",
            r#"{"id": "/plain", "cmd": "sleep 1000"}"#,
        )
        .await;
        pass(&sim, 1_000);
        pass(&sim, 1);
        let staged = get(sim.address(), "/v2/apps/plain").await["app"].clone();
        let task = staged["tasks"][0].clone();
        let has = |key: &str| task.get(key).is_some();
        let old = version <= V1_5;
        assert_eq!(task["state"], "TASK_STAGING", "{version}: {staged}");
        assert_eq!(
            task.get("startedAt"),
            old.then_some(&Value::Null),
            "{version}: {task}"
        );
        for empty in [
            "servicePorts",
            "healthCheckResults",
            "localVolumes",
            "ipAddresses",
        ] {
            assert_eq!(has(empty), !old, "{version}: {empty}");
        }
        for (key, from) in [("region", V1_6), ("zone", V1_6), ("role", V1_9)] {
            assert_eq!(has(key), version >= from, "{version}: {key}");
        }
        assert_eq!(staged.get("role").is_some(), version >= V1_9);
        assert_eq!(
            staged["mem"].to_string(),
            if version >= V1_9 { "128.0" } else { "128" }
        );
        // 1.4 still shows what later versions only take.
        assert_eq!(staged["ports"].is_array(), version == V1_4);
        assert_eq!(staged.get("ipAddress"), (version == V1_4).then_some(&Value::Null));
        assert_eq!(staged.get("networks").is_some(), version != V1_4);
        let stats = get(sim.address(), "/v2/apps?embed=apps.taskStats").await["apps"][0].clone();
        let key = if version >= V1_9 {
            "tasksStats"
        } else {
            "taskStats"
        };
        let other = if version >= V1_9 {
            "taskStats"
        } else {
            "tasksStats"
        };
        assert!(stats[key].is_object() && stats.get(other).is_none(), "{version}");
        let queue = get(sim.address(), "/v2/info").await;
        assert_eq!(queue["version"], version.full());
        sim.stop().await;
    }
}

#[tokio::test]
async fn point_10_embeds_are_always_on_and_selectors_need_the_label() {
    for version in Version::ALL {
        let sim = sim(version).await;
        let list = async |query: &str| {
            let apps = get(sim.address(), &format!("/v2/apps{query}")).await["apps"].clone();
            apps.as_array().unwrap().clone()
        };
        let plain = &list("").await[0];
        assert_eq!(
            (&plain["tasksRunning"], &plain["deployments"]),
            (&json!(3), &json!([]))
        );
        assert!(plain.get("tasks").is_none());
        assert!(list("?embed=apps.nonsense").await[0].get("tasks").is_none());
        assert!(
            list("?embed=apps.tasks,apps.counts").await[0]
                .get("tasks")
                .is_none()
        );
        assert_eq!(
            list("?embed=tasks").await[0]["tasks"].as_array().unwrap().len(),
            3
        );
        assert_eq!(list("?id=OP/W").await.len(), 1, "a part of the id, in any case");
        for (selector, found) in [
            ("tier==front", 1),
            ("tier!=back", 1),
            ("tier!=front", 0),
            ("other!=front", 0),
            ("other+notin+(x)", 0),
            ("", 1),
        ] {
            assert_eq!(
                list(&format!("?label={selector}")).await.len(),
                found,
                "{selector}"
            );
        }
        let (status, _, body) = ask(sim.address(), "GET", "/v2/apps?label=a=b", "").await;
        assert!(
            status == 422 && body.contains("Can not parse label selector"),
            "{body}"
        );
        let tasks = get(sim.address(), "/v2/tasks?status=killed").await;
        assert_eq!(
            tasks["tasks"].as_array().unwrap().len(),
            3,
            "an unknown state filters nothing"
        );
        sim.stop().await;
    }
}

#[tokio::test]
async fn point_11_the_event_stream_is_asked_for_exactly_and_ends_with_its_connection() {
    for version in Version::ALL {
        let sim = sim(version).await;
        for accept in ["text/event-stream, */*", "text/event-stream;q=0.9", "*/*"] {
            let (status, head, body) =
                ask_with(sim.address(), "GET", "/v2/events", &[("Accept", accept)], "").await;
            assert_eq!(status, 405, "{accept}");
            assert_eq!(
                head.contains("text/html"),
                accept.contains("*/*"),
                "{accept}: {head}{body}"
            );
        }
        let gzip = [("Accept", "text/event-stream"), ("Accept-Encoding", "gzip")];
        let mut text = "GET /v2/events HTTP/1.1\r\nHost: x\r\n".to_owned();
        for (name, value) in gzip {
            text += &format!("{name}: {value}\r\n");
        }
        let mut events = Events {
            stream: TcpStream::connect(sim.address()).await.unwrap(),
            seen: String::new(),
        };
        events
            .stream
            .write_all(format!("{text}\r\n").as_bytes())
            .await
            .unwrap();
        assert!(
            events
                .until("\r\n\r\nevent: event_stream_attached\r\ndata: {")
                .await,
            "{}",
            events.seen
        );
        let head = events.seen.split("\r\n\r\n").next().unwrap().to_lowercase();
        assert!(
            head.contains("content-type: text/event-stream;charset=utf-8"),
            "{head}"
        );
        assert!(head.contains("connection: close"), "{head}");
        for absent in ["content-length", "transfer-encoding", "content-encoding"] {
            assert!(!head.contains(absent), "{head}");
        }
        for absent in ["\nid:", "\nretry:"] {
            assert!(!events.seen.contains(absent));
        }
        sim.orders().close();
        events.end().await;
        sim.stop().await;
    }
}

#[tokio::test]
async fn point_11_the_heart_of_a_quiet_stream_beats_every_ten_seconds() {
    let sim = sim(V1_11).await;
    let mut events = Events::join(sim.address(), "?event_type=none").await;
    let began = crate::clock::now();
    assert!(events.until("\r\n\r\n\r\n").await, "{}", events.seen);
    assert!((crate::clock::now() - began).num_seconds() >= 9);
    sim.stop().await;
}

#[tokio::test]
async fn point_11_a_reader_that_does_not_read_misses_events_or_is_closed_from_1_8() {
    for version in [V1_4, V1_7, V1_8, V1_11] {
        let sim = sim(version).await;
        let mut events = Events::join(sim.address(), "").await;
        assert!(events.until("event_stream_attached").await);
        // So much that no buffer between the two takes it: the first write is stuck, and more comes.
        for _ in 0..40 {
            sim.with(|s| s.flood(1_000));
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        sim.with(|s| s.say("last_event"));
        if version >= V1_8 {
            events.end().await;
            assert!(!events.seen.contains("last_event"));
        } else {
            // It is still open, and what came in between is lost.
            tokio::time::sleep(Duration::from_millis(50)).await;
            let drain = async {
                loop {
                    sim.with(|s| s.say("later_event"));
                    if events.until_now("later_event").await {
                        break;
                    }
                }
            };
            tokio::time::timeout(Duration::from_secs(30), drain)
                .await
                .unwrap();
            let got = events.seen.matches("event: status_update_event").count();
            assert!(got < 40_000, "{version}: {got} of 40000");
        }
        sim.stop().await;
    }
}

/// The head of an answer, with one header line of it.
async fn answer(
    at: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (u16, String, String) {
    ask_with(at, method, path, headers, body).await
}

#[tokio::test]
async fn point_12_a_follower_passes_on_and_says_so() {
    for version in Version::ALL {
        let sim = nodes(version, 2).await;
        let [leader, follower] = sim.addresses()[..] else {
            panic!("two nodes");
        };
        let (status, head, body) = ask(follower, "GET", "/v2/leader", "").await;
        assert_eq!(
            (status, body),
            (200, format!("{{\"leader\":\"{leader}\"}}")),
            "{version}"
        );
        assert!(
            head.contains(&format!("x-marathon-leader: http://{leader}\r\n")),
            "{head}"
        );
        assert!(
            head.contains(&format!("x-marathon-via: 1.1 {follower}\r\n")),
            "{head}"
        );
        assert!(
            !ask(leader, "GET", "/v2/leader", "")
                .await
                .1
                .contains("x-marathon-via")
        );

        let stream = [("Accept", "text/event-stream")];
        if version >= V1_7 {
            let (status, head, body) = answer(follower, "GET", "/v2/events?event_type=a", &stream, "").await;
            assert_eq!((status, body.as_str()), (302, ""));
            assert!(
                head.contains(&format!("location: http://{leader}/v2/events?event_type=a\r\n")),
                "{head}"
            );
        } else {
            let mut events = Events::join(follower, "").await;
            assert!(
                events.until("event_stream_attached").await,
                "{version}: passed on"
            );
        }

        let via = format!("1.1 {follower}");
        let (status, _, body) = answer(follower, "GET", "/v2/apps", &[("X-Marathon-Via", &via)], "").await;
        assert!(
            status == 502 && body.contains("Detected proxying loop."),
            "{body}"
        );

        // A body without its length arrives empty from 1.6 on.
        let mut stream = TcpStream::connect(follower).await.unwrap();
        let kill = r#"{"ids":[]}"#;
        let text = format!(
            "POST /v2/tasks/delete HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
             {:x}\r\n{kill}\r\n0\r\n\r\n",
            kill.len()
        );
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).await.unwrap();
        let arrives = version < V1_6;
        let status = if arrives { "HTTP/1.1 200" } else { "HTTP/1.1 400" };
        assert!(said.starts_with(status), "{version}: {said}");
        assert_eq!(said.contains("Please specify data in JSON format"), !arrives);
        sim.stop().await;
    }
}

#[tokio::test]
async fn point_12_without_a_leader_a_node_waits_and_then_gives_up() {
    for (version, wanted) in [(V1_6, 503), (V1_7, 502), (V1_11, 502)] {
        let sim = nodes(version, 2).await;
        let follower = sim.addresses()[1];
        sim.with(crate::State::abdicate);
        pass(&sim, 600);
        let began = crate::clock::now();
        let (status, _, body) = ask(follower, "GET", "/v2/apps", "").await;
        assert!(
            status == wanted && body.contains("Could not determine the current leader"),
            "{body}"
        );
        assert!((crate::clock::now() - began).num_milliseconds() >= 2_700);
        // What takes JSON gets nothing at all.
        let json = [("Accept", "application/json")];
        let waits = answer(follower, "GET", "/v2/apps", &json, "");
        let leads = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            pass(&sim, 1_000);
        };
        let ((status, head, _), ()) = tokio::join!(waits, leads);
        assert!(
            status == 200 && head.contains(&format!("x-marathon-leader: http://{follower}")),
            "{head}"
        );
        sim.stop().await;
    }
}

#[tokio::test]
async fn point_12_a_leader_that_refuses_or_is_silent() {
    for version in Version::ALL {
        let sim = nodes(version, 2).await;
        let follower = sim.addresses()[1];
        sim.kill_leader(Duration::from_secs(10)).await;
        let json = [("Accept", "application/json")];
        let refused = if version == V1_4 { 503 } else { 502 };
        let (status, head, body) = answer(follower, "GET", "/v2/apps", &json, "").await;
        assert_eq!((status, body.as_str()), (refused, ""), "{version}");
        assert!(
            !head.contains("content-type") && !head.contains("x-marathon-leader"),
            "{head}"
        );
        let (_, head, body) = ask(follower, "GET", "/v2/apps", "").await;
        assert!(
            head.contains("text/html") && body.contains("Connection to leader refused."),
            "{body}"
        );
        // A third of the way on, the requests have piled up; the older proxies know nothing of that.
        pass(&sim, 3_000);
        let (status, _, _) = ask(follower, "GET", "/v2/apps", "").await;
        assert_eq!(status, if version >= V1_6 { 500 } else { refused }, "{version}");
        sim.stop().await;
    }
    let silent = async |version: Version, wanted: u16| {
        let sim = nodes(version, 2).await;
        sim.mischief().always(crate::On::Reads, crate::Trouble::Hang);
        let (status, _, _) = ask(sim.addresses()[1], "GET", "/v2/apps", "").await;
        assert_eq!(status, wanted, "{version}");
        sim.stop().await;
    };
    tokio::join!(silent(V1_5, 504), silent(V1_6, 500), silent(V1_11, 500));
}

#[tokio::test]
async fn point_13_a_fail_over_loses_health_delays_and_kills() {
    for version in Version::ALL {
        let sim = nodes(version, 3).await;
        let [leader, second, third] = sim.addresses()[..] else {
            panic!("three nodes");
        };
        let checked = json!({
            "id": "/checked", "cmd": "python3 -m http.server $PORT0", "instances": 2,
            "portDefinitions": [{"port": 0}],
            "healthChecks": [{"protocol": "HTTP", "path": "/", "portIndex": 0, "intervalSeconds": 2}],
        });
        ask(third, "POST", "/v2/apps", &checked.to_string()).await;
        for _ in 0..20 {
            pass(&sim, 500);
        }
        let looks = async |at| {
            let app = get(at, "/v2/apps/checked").await["app"].clone();
            [&app["tasksRunning"], &app["tasksHealthy"], &app["tasksUnhealthy"]].map(|n| n.as_u64().unwrap())
        };
        assert_eq!(looks(third).await, [2, 2, 0]);
        let mut events = Events::join(leader, "").await;
        assert!(events.until("event_stream_attached").await);
        sim.with(|s| {
            let failed = s.task_ids(APP)[2].clone();
            s.fail_task(&failed);
        });
        let victim = sim.with(|s| s.task_ids("/checked")[0].clone());
        let (status, answer) = delete(&sim, "", &[&victim]).await;
        assert_eq!((status, answer["tasks"].as_array().unwrap().len()), (200, 1));

        let (status, _, _) = ask(
            third,
            "POST",
            "/sim/leader",
            r#"{"do": "kill", "lasts": "10s", "backAfter": "20s"}"#,
        )
        .await;
        assert_eq!(status, 200);
        events.end().await;
        while TcpStream::connect(leader).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        pass(&sim, 10_000);
        assert_eq!(
            looks(second).await,
            [2, 0, 0],
            "{version}: nothing has been checked yet"
        );
        assert_eq!(sim.kills().len(), 0, "{version}: what was accepted is forgotten");
        assert!(sim.with(|s| s.task_ids("/checked")).contains(&victim));
        assert!(
            sim.with(|s| s.app(APP).unwrap().launch_waits().is_none()),
            "delays are lost"
        );
        for _ in 0..20 {
            pass(&sim, 500);
        }
        assert_eq!(looks(second).await, [2, 2, 0]);
        // The old leader is back, and follows.
        while ask_if_up(leader).await.is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let (_, head, _) = ask(leader, "GET", "/v2/apps", "").await;
        assert!(
            head.contains(&format!("x-marathon-leader: http://{second}")),
            "{head}"
        );
        assert!(head.contains(&format!("x-marathon-via: 1.1 {leader}")), "{head}");
        sim.stop().await;
    }
}

async fn ask_if_up(at: SocketAddr) -> Option<()> {
    let mut stream = TcpStream::connect(at).await.ok()?;
    stream
        .write_all(b"GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await
        .ok()?;
    let mut said = String::new();
    stream.read_to_string(&mut said).await.ok()?;
    said.starts_with("HTTP/1.1 200").then_some(())
}

#[tokio::test]
async fn point_13_an_abdication_closes_streams_and_the_standby_answers_1_4_s_later() {
    let sim = nodes(V1_11, 2).await;
    let [leader, second] = sim.addresses()[..] else {
        panic!("two nodes");
    };
    let mut events = Events::join(leader, "").await;
    assert!(events.until("event_stream_attached").await);
    let (status, _, body) = ask(leader, "DELETE", "/v2/leader", "").await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (status, body),
        (200, json!({"message": "Leadership abdicated", "details": []}))
    );
    // It still leads for half a second.
    pass(&sim, 400);
    let (_, head, _) = ask(second, "GET", "/v2/apps", "").await;
    assert!(
        head.contains(&format!("x-marathon-leader: http://{leader}")),
        "{head}"
    );
    pass(&sim, 280);
    events.end().await;
    // It takes connections, and drops them.
    let mut stream = TcpStream::connect(leader).await.unwrap();
    stream
        .write_all(b"GET /v2/apps HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut said = String::new();
    let _ = stream.read_to_string(&mut said).await;
    assert_eq!(said, "");
    pass(&sim, 710);
    assert!(sim.with(|s| s.leader_now().is_none()));
    pass(&sim, 10);
    let (status, head, _) = ask(second, "GET", "/v2/apps", "").await;
    assert!(
        status == 200 && head.contains(&format!("x-marathon-leader: http://{second}")),
        "{head}"
    );
    pass(&sim, 90);
    while TcpStream::connect(leader).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Its supervisor starts it again, and it follows.
    pass(&sim, 5_000);
    while ask_if_up(leader).await.is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (_, head, _) = ask(leader, "GET", "/v2/apps", "").await;
    assert!(head.contains(&format!("x-marathon-via: 1.1 {leader}")), "{head}");
    sim.stop().await;
}

#[tokio::test]
async fn point_13_a_deployment_is_resumed_by_the_next_leader() {
    let sim = nodes(V1_11, 2).await;
    let (leader, second) = (sim.addresses()[0], sim.addresses()[1]);
    let path = format!("/v2/apps{APP}");
    let (status, _, _) = ask(leader, "PUT", &path, r#"{"instances": 5}"#).await;
    assert_eq!(status, 200);
    pass(&sim, 50);
    sim.kill_leader(Duration::from_secs(10)).await;
    pass(&sim, 10_000);
    assert_eq!(
        get(second, &path).await["app"]["deployments"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    pass(&sim, 10_000);
    let app = get(second, &path).await["app"].clone();
    assert_eq!(
        (&app["tasksRunning"], &app["deployments"]),
        (&json!(5), &json!([]))
    );
    sim.stop().await;
}

#[tokio::test]
async fn point_15_what_an_error_says_and_in_which_shape() {
    for version in Version::ALL {
        let sim = sim(version).await;
        let at = sim.address();
        let (status, _, body) = ask(at, "GET", "/v2/apps/none", "").await;
        let mut wanted = json!({"message": "App '/none' does not exist"});
        if version >= V1_9 {
            wanted["details"] = json!([]);
        }
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, body), (404, wanted), "{version}");
        let (status, _, body) = ask(at, "POST", "/v2/apps", "{").await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert!(status == 400 && body["details"].is_string(), "{body}");
        let (status, _, body) = ask(at, "POST", "/v2/apps", r#"{"id": 7}"#).await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(status, if version == V1_4 { 400 } else { 422 });
        assert!(body["details"].is_array(), "{body}");
        let (status, head, _) = ask(at, "GET", "/v2/nonsense", "").await;
        assert_eq!(status, if version <= V1_5 { 404 } else { 500 }, "{version}");
        assert!(head.contains("application/json"), "{head}");
        // Jetty's own page, for those who take pages.
        let (status, head, body) = ask(at, "GET", "/v2/events", "").await;
        assert!(
            status == 405 && head.contains("text/html") && body.contains("HTTP ERROR 405"),
            "{body}"
        );
        let (status, _, body) = ask(
            at,
            "POST",
            "/v2/apps",
            &json!({"id": APP, "cmd": "sleep 1"}).to_string(),
        )
        .await;
        assert!(status == 409 && !body.contains("deployments"), "{body}");
        sim.stop().await;
    }
}

#[tokio::test]
async fn point_15_too_many_deployments_are_a_403_that_is_no_question_of_rights() {
    for (version, limited) in [(V1_4, false), (V1_5, true), (V1_11, true)] {
        let sim = sim(version).await;
        sim.with(|s| {
            for n in 0..100 {
                let app = json!({"id": format!("/busy/{n}"), "cmd": "sleep 1000",
                    "constraints": [["hostname", "LIKE", "nowhere"]]});
                s.deploy(&app).unwrap();
            }
        });
        let (status, _, body) = ask(
            sim.address(),
            "POST",
            "/v2/apps",
            r#"{"id": "/one-more", "cmd": "sleep 1"}"#,
        )
        .await;
        assert_eq!(status, if limited { 403 } else { 201 }, "{version}");
        assert_eq!(
            body.contains("Max number (100) of running deployments is achieved"),
            limited
        );
        sim.stop().await;
    }
}

#[tokio::test]
async fn what_came_and_went_with_the_versions() {
    for version in Version::ALL {
        let sim = sim(version).await;
        let at = sim.address();
        let unknown = if version <= V1_5 { 404 } else { 500 };
        let status = async |path: &str| ask(at, "GET", path, "").await.0;
        assert_eq!(
            status("/v2/eventSubscriptions").await,
            if version == V1_4 { 200 } else { unknown }
        );
        assert_eq!(
            status("/v2/schemas/app").await,
            if version <= V1_6 { 200 } else { unknown }
        );
        assert_eq!(
            status("/metrics/prometheus").await,
            if version >= V1_7 { 200 } else { unknown }
        );
        let metrics = get(at, "/metrics").await;
        assert_eq!(metrics.get("start").is_some(), version <= V1_6, "{version}");

        let plain = [("Accept", "text/plain")];
        let (status, head, body) = answer(at, "GET", "/v2/tasks", &plain, "").await;
        if version < V1_10 {
            assert!(
                status == 200 && head.contains("content-type: text/plain"),
                "{head}"
            );
            assert!(
                body.starts_with("shop_web\t") && body.trim_end().split('\t').count() == 5,
                "{body}"
            );
        } else {
            assert_eq!(status, 406, "{version}");
        }
        let (_, head, _) = ask(at, "GET", "/v2/tasks", "").await;
        assert_eq!(head.contains("application/json; qs=2"), version <= V1_5, "{head}");
        assert_eq!(head.contains("x-frame-options: deny"), version >= V1_7, "{head}");

        // Words an app's id may not end with, and constraints that came later.
        let post = async |app: Value| ask(at, "POST", "/v2/apps", &app.to_string()).await.0;
        let reserved = json!({"id": "/a/tasks", "cmd": "sleep 1"});
        assert_eq!(
            post(reserved).await,
            if version >= V1_8 { 422 } else { 201 },
            "{version}"
        );
        let zone = json!({"id": "/zoned", "cmd": "sleep 1", "constraints": [["@zone", "IS", "eu-a"]]});
        assert_eq!(
            post(zone).await,
            if version >= V1_6 { 201 } else { 422 },
            "{version}"
        );
        sim.stop().await;
    }
}

#[tokio::test]
async fn deployment_events_carry_the_whole_world_in_1_4_and_by_default_in_1_5() {
    for (version, query, heavy) in [
        (V1_4, "", true),
        (V1_4, "?plan-format=light", true),
        (V1_5, "", true),
        (V1_5, "?plan-format=light", false),
        (V1_6, "", false),
        (V1_11, "", false),
    ] {
        let sim = sim(version).await;
        let mut events = Events::join(sim.address(), query).await;
        assert!(events.until("event_stream_attached").await);
        ask(
            sim.address(),
            "PUT",
            &format!("/v2/apps{APP}"),
            r#"{"instances": 4}"#,
        )
        .await;
        pass(&sim, 20);
        assert!(events.until("\"eventType\":\"deployment_info\"").await);
        let plan = events.data().iter().find(|e| e["plan"].is_object()).unwrap()["plan"].clone();
        assert_eq!(plan["original"].is_object(), heavy, "{version}{query}: {plan}");
        if heavy {
            let count = |world: &str| plan[world]["groups"][0]["apps"][0]["instances"].clone();
            assert_eq!(
                (count("original"), count("target")),
                (json!(3), json!(4)),
                "{plan}"
            );
        }
        let listed = get(sim.address(), "/v2/deployments").await;
        assert!(listed[0].get("original").is_none());
        sim.stop().await;
    }
}

#[tokio::test]
async fn an_answer_is_zipped_when_that_is_offered_and_an_event_stream_never() {
    let sim = sim(V1_11).await;
    let mut stream = TcpStream::connect(sim.address()).await.unwrap();
    let text = "GET /v2/apps HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAccept-Encoding: gzip\r\n\r\n";
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut said = Vec::new();
    stream.read_to_end(&mut said).await.unwrap();
    let at = said.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&said[..at]).to_lowercase();
    assert!(
        head.contains("content-encoding: gzip") && head.contains("vary: accept-encoding"),
        "{head}"
    );
    let mut body = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&said[at + 4..]), &mut body).unwrap();
    assert!(body.contains(APP), "{body}");
    assert!(
        !ask(sim.address(), "GET", "/v2/apps", "")
            .await
            .1
            .contains("content-encoding")
    );
    sim.stop().await;
}

#[tokio::test]
async fn with_credentials_nobody_is_let_in_without_them() {
    let config = SimConfig {
        credentials: Some("ana:secret".to_owned()),
        nodes: 2,
        ..SimConfig::default()
    };
    let sim = Sim::start(config).await.unwrap();
    for at in sim.addresses() {
        for wrong in [vec![], vec![("Authorization", "Basic d3Jvbmc=")]] {
            let (status, head, body) = answer(at, "GET", "/v2/apps", &wrong, "").await;
            assert_eq!(status, 401);
            assert!(
                head.contains("www-authenticate: basic realm=\"mesosphere\""),
                "{head}"
            );
            assert!(body.contains("HTTP ERROR 401"), "{body}");
        }
        let right = [("Authorization", "Basic YW5hOnNlY3JldA==")];
        assert_eq!(answer(at, "GET", "/v2/apps", &right, "").await.0, 200);
        let stream = [("Accept", "text/event-stream")];
        assert_eq!(answer(at, "GET", "/v2/events", &stream, "").await.0, 401);
    }
    sim.stop().await;
}
