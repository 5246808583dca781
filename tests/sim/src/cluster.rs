//! Agents, slow deaths, volumes and pods over HTTP, against what was recorded of a real Marathon.
//!
//! Points 7 and 14 of the list that the simulator was built from are here; point 16 is in `mesos.rs`.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::asking::ask;
use crate::marathon::state::Killed;
use crate::{Agent, AgentSpec, AppSpec, Clock, Pace, Sim, SimConfig, Version};

/// The agents of the recording.
fn recorded_agents() -> Vec<AgentSpec> {
    (0..8)
        .map(|n| {
            AgentSpec::new(format!("agent-{}.rack-{}.test", n + 1, n / 2 + 1))
                .attribute("rack", &format!("rack-{}", n / 2 + 1))
                .domain("region-a", ["zone-a1", "zone-a2"][n % 2])
        })
        .collect()
}

async fn start(version: Version, apps: Vec<AppSpec>) -> Sim {
    Sim::start(SimConfig {
        version,
        apps,
        agents: recorded_agents(),
        clock: Clock::new(Pace::Manual),
        ..SimConfig::default()
    })
    .await
    .unwrap()
}

/// Lets time pass.
fn pass(sim: &Sim, ms: u64) {
    sim.clock().advance(Duration::from_millis(ms));
    let now = sim.clock().now();
    sim.with(|s| s.advance(now));
}

async fn get(sim: &Sim, path: &str) -> Value {
    let (status, _, body) = ask(sim.address(), "GET", path, "").await;
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

async fn kill(sim: &Sim, query: &str, id: &str) -> Value {
    let body = json!({"ids": [id]}).to_string();
    let path = format!("/v2/tasks/delete{query}");
    let (status, _, body) = ask(sim.address(), "POST", &path, &body).await;
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

async fn rows(sim: &Sim, app: &str) -> Vec<Value> {
    let app = get(sim, &format!("/v2/apps{app}")).await;
    app["app"]["tasks"].as_array().unwrap().clone()
}

fn states(rows: &[Value]) -> Vec<&str> {
    let mut states: Vec<&str> = rows.iter().map(|r| r["state"].as_str().unwrap()).collect();
    states.sort_unstable();
    states
}

fn recording(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/marathon/1.11-more/agents-and-volumes");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

/// The document at the end of a recorded answer.
fn answered(name: &str) -> Value {
    serde_json::from_str(recording(name).trim_end().lines().last().unwrap()).unwrap()
}

/// One event as `task TASK_RUNNING, 1 address` or `instance Running`.
fn said(event: &Value) -> Option<String> {
    match event["eventType"].as_str()? {
        "status_update_event" => Some(format!(
            "task {} ports {} addresses {}",
            event["taskStatus"].as_str()?,
            event["ports"].as_array()?.len(),
            event["ipAddresses"].as_array()?.len()
        )),
        "instance_changed_event" => {
            let placed = if event["host"].is_null() {
                "nowhere"
            } else {
                "placed"
            };
            Some(format!("instance {} {placed}", event["condition"].as_str()?))
        }
        _ => None,
    }
}

fn of(event: &Value, instance: &str) -> bool {
    let id = event["taskId"].as_str().or_else(|| event["instanceId"].as_str());
    id.is_some_and(|id| id.starts_with(instance))
}

/// What was said of an instance on the real one.
fn recorded_life(instance: &str) -> Vec<String> {
    let text = recording("00-events.txt");
    let events = text.lines().filter_map(|l| l.strip_prefix("data: "));
    let events = events.map(|l| serde_json::from_str::<Value>(l).unwrap());
    events
        .filter(|e| of(e, instance))
        .filter_map(|e| said(&e))
        .collect()
}

/// What was said of an instance here.
fn life(sim: &Sim, instance: &str) -> Vec<String> {
    let events = sim.with(|s| s.events_from(0));
    let events = events.into_iter().map(|e| e.data);
    events
        .filter(|e| of(e, instance))
        .filter_map(|e| said(&e))
        .collect()
}

fn instance_of(row: &Value) -> String {
    row["id"]
        .as_str()
        .unwrap()
        .split("._app")
        .next()
        .unwrap()
        .to_owned()
}

/// The names in a document, and of what kind what they name is.
fn keys(v: &Value, at: &str, found: &mut BTreeSet<String>) {
    match v {
        Value::Object(o) => {
            for (key, v) in o {
                keys(v, &format!("{at}.{key}"), found);
            }
        }
        Value::Array(list) => {
            for v in list {
                keys(v, &format!("{at}[]"), found);
            }
            if list.is_empty() {
                found.insert(format!("{at} list"));
            }
        }
        Value::String(_) => drop(found.insert(format!("{at} text"))),
        Value::Number(_) => drop(found.insert(format!("{at} number"))),
        Value::Bool(_) => drop(found.insert(format!("{at} flag"))),
        Value::Null => drop(found.insert(format!("{at} null"))),
    }
}

#[track_caller]
fn same_shape(real: &Value, ours: &Value) {
    let (mut a, mut b) = (BTreeSet::new(), BTreeSet::new());
    keys(real, "", &mut a);
    keys(ours, "", &mut b);
    let missing: Vec<_> = a.difference(&b).collect();
    let more: Vec<_> = b.difference(&a).collect();
    assert!(
        missing.is_empty() && more.is_empty(),
        "missing {missing:?}, too much {more:?}\n{ours}"
    );
}

fn unreachable_app() -> Value {
    json!({
        "id": "/t/unreach", "cmd": "sleep 1000", "instances": 8, "cpus": 0.1, "mem": 32,
        "constraints": [["hostname", "UNIQUE"]],
        "unreachableStrategy": {"inactiveAfterSeconds": 5, "expungeAfterSeconds": 60},
    })
}

#[tokio::test]
async fn point_14_an_agent_lost_and_back_looks_as_on_a_real_one() {
    let sim = start(Version::V1_11, vec![]).await;
    sim.with(|s| s.deploy(&unreachable_app())).unwrap();
    pass(&sim, 10_000);
    let before = rows(&sim, "/t/unreach").await;
    let lost = before
        .iter()
        .find(|r| r["host"] == "agent-3.rack-2.test")
        .unwrap()
        .clone();
    let agent = sim.with(|s| s.find_agent("agent-3.rack-2.test")).unwrap();
    sim.with(|s| s.lose_agent(agent));
    pass(&sim, 2_000);
    let app = get(&sim, "/v2/apps/t/unreach").await;
    let real = answered("06-tasks-unreachable.txt");
    for count in ["tasksRunning", "tasksStaged", "tasksHealthy", "tasksUnhealthy"] {
        assert_eq!(app["app"][count], real["app"][count], "{count}");
    }
    let find = |app: &Value| {
        let rows = app["app"]["tasks"].as_array().unwrap().clone();
        rows.into_iter()
            .find(|r| r["state"] == "TASK_UNREACHABLE")
            .unwrap()
    };
    same_shape(&find(&real), &find(&app));
    assert_eq!(find(&app)["id"], lost["id"]);
    pass(&sim, 40_000);
    assert_eq!(states(&rows(&sim, "/t/unreach").await).len(), 8);
    sim.with(|s| s.return_agent(agent));
    let instance = instance_of(&lost);
    assert_eq!(
        life(&sim, &instance),
        recorded_life("t_unreach.instance-53ad373e-e740-11f1-8d4d-02fc00000001")
    );
    sim.stop().await;
}

#[tokio::test]
async fn point_14_a_silent_agent_looks_alive_until_mesos_gives_it_up() {
    let sim = start(
        Version::V1_11,
        vec![AppSpec::new("/web", 8).constraint(&["hostname", "UNIQUE"])],
    )
    .await;
    sim.with(|s| s.silence_agent(Agent(2)));
    pass(&sim, 1_900);
    assert_eq!(states(&rows(&sim, "/web").await), ["TASK_RUNNING"; 8]);
    // A kill there is accepted, and nobody hears of it.
    let id = rows(&sim, "/web").await[2]["id"].as_str().unwrap().to_owned();
    assert_eq!(kill(&sim, "", &id).await["tasks"].as_array().unwrap().len(), 1);
    pass(&sim, 90);
    assert_eq!(sim.kills().len(), 0);
    pass(&sim, 10);
    // With the defaults it is replaced at once; a host of its own is not to be had any more.
    assert_eq!(states(&rows(&sim, "/web").await), ["TASK_RUNNING"; 7]);
    let queue = get(&sim, "/v2/queue").await;
    assert_eq!(queue["queue"][0]["count"], 1);
    assert_eq!(
        queue["queue"][0]["processedOffersSummary"]["unusedOffersCount"],
        7
    );
    sim.stop().await;
}

#[tokio::test]
async fn point_14_a_kill_of_an_unreachable_task_replaces_it_and_the_old_one_dies_when_it_returns() {
    for version in [Version::V1_11, Version::V1_7] {
        let app = AppSpec::new("/web", 2).with(
            "unreachableStrategy",
            json!({"inactiveAfterSeconds": 3600, "expungeAfterSeconds": 7200}),
        );
        let sim = start(version, vec![app]).await;
        sim.with(|s| s.lose_agent(Agent(0)));
        let before = rows(&sim, "/web").await;
        assert_eq!(states(&before), ["TASK_RUNNING", "TASK_UNREACHABLE"]);
        let old = before.iter().find(|r| r["state"] == "TASK_UNREACHABLE").unwrap();
        let id = old["id"].as_str().unwrap().to_owned();
        assert_eq!(kill(&sim, "", &id).await["tasks"][0]["state"], "TASK_UNREACHABLE");
        pass(&sim, 10_000);
        let after = rows(&sim, "/web").await;
        assert_eq!(states(&after), ["TASK_RUNNING"; 2]);
        assert!(
            after.iter().all(|r| instance_of(r) != instance_of(old)),
            "{after:?}"
        );
        sim.with(|s| s.return_agent(Agent(0)));
        pass(&sim, 1_000);
        let events = sim.with(|s| s.events_from(0));
        let end = events
            .iter()
            .find(|e| e.kind == "unknown_instance_terminated_event")
            .unwrap();
        assert_eq!(end.data["runSpecId"], "/web");
        assert_eq!(states(&rows(&sim, "/web").await), ["TASK_RUNNING"; 2]);
        sim.stop().await;
    }
}

#[tokio::test]
async fn point_14_a_kill_of_an_unreachable_resident_task_does_nothing() {
    for query in ["", "?wipe=true"] {
        let sim = start(Version::V1_11, vec![AppSpec::new("/db", 1).resident("data")]).await;
        sim.with(|s| s.lose_agent(Agent(0)));
        let before = rows(&sim, "/db").await;
        assert_eq!(states(&before), ["TASK_UNREACHABLE"]);
        let id = before[0]["id"].as_str().unwrap().to_owned();
        assert_eq!(kill(&sim, query, &id).await["tasks"].as_array().unwrap().len(), 1);
        pass(&sim, 24 * 3_600_000);
        let after = rows(&sim, "/db").await;
        assert_eq!(
            (states(&after), &after[0]["id"]),
            (vec!["TASK_UNREACHABLE"], &before[0]["id"])
        );
        sim.with(|s| s.return_agent(Agent(0)));
        pass(&sim, 1_000);
        let back = rows(&sim, "/db").await;
        assert_eq!(
            (states(&back), &back[0]["id"]),
            (vec!["TASK_RUNNING"], &before[0]["id"])
        );
        sim.stop().await;
    }
}

#[tokio::test]
async fn point_14_an_inactive_task_is_one_row_more_until_it_is_forgotten_or_back() {
    let app = || {
        AppSpec::new("/web", 2).with(
            "unreachableStrategy",
            json!({"inactiveAfterSeconds": 60, "expungeAfterSeconds": 3600}),
        )
    };
    // Whether it is inactive is looked at every ten minutes.
    let sim = start(Version::V1_11, vec![app()]).await;
    sim.with(|s| s.lose_agent(Agent(0)));
    pass(&sim, 590_000);
    assert_eq!(
        states(&rows(&sim, "/web").await),
        ["TASK_RUNNING", "TASK_UNREACHABLE"]
    );
    pass(&sim, 20_000);
    let more = rows(&sim, "/web").await;
    assert_eq!(
        states(&more),
        ["TASK_RUNNING", "TASK_RUNNING", "TASK_UNREACHABLE"]
    );
    let inactive = more.iter().find(|r| r["state"] == "TASK_UNREACHABLE").unwrap();
    for gone in ["stagedAt", "startedAt", "version"] {
        assert!(inactive.get(gone).is_none(), "{inactive}");
    }
    assert_eq!(inactive["ports"], json!([]));
    let counts = get(&sim, "/v2/apps/web").await;
    assert_eq!(
        (&counts["app"]["tasksRunning"], &counts["app"]["tasksStaged"]),
        (&json!(2), &json!(0))
    );
    // After an hour it is forgotten.
    pass(&sim, 3_600_000);
    assert_eq!(states(&rows(&sim, "/web").await), ["TASK_RUNNING"; 2]);
    sim.stop().await;

    // Back before that, there is one too many until Marathon counts again, and the youngest goes.
    let sim = start(Version::V1_11, vec![app()]).await;
    sim.with(|s| s.lose_agent(Agent(0)));
    pass(&sim, 610_000);
    let old = rows(&sim, "/web").await;
    let old = old.iter().find(|r| r["state"] == "TASK_UNREACHABLE").unwrap();
    sim.with(|s| s.return_agent(Agent(0)));
    assert_eq!(states(&rows(&sim, "/web").await), ["TASK_RUNNING"; 3]);
    pass(&sim, 310_000);
    let after = rows(&sim, "/web").await;
    assert_eq!(states(&after), ["TASK_RUNNING"; 2]);
    assert!(after.iter().any(|r| r["id"] == old["id"]), "{after:?}");
    assert!(sim.kills().is_empty());
    sim.stop().await;
}

#[tokio::test]
async fn a_slow_kill_with_task_killing_looks_as_on_a_real_one() {
    let sim = start(Version::V1_11, vec![]).await;
    sim.with(|s| s.task_killing = true);
    let app = json!({"id": "/t/slow", "cmd": "sleep 1000", "instances": 1, "cpus": 0.1, "mem": 32,
        "labels": {"SIM_KILL_MS": "4000"}, "taskKillGracePeriodSeconds": 10});
    sim.with(|s| s.deploy(&app)).unwrap();
    pass(&sim, 10_000);
    let row = rows(&sim, "/t/slow").await[0].clone();
    let answer = kill(&sim, "", row["id"].as_str().unwrap()).await;
    let real = answered("04-kill-slow.txt");
    same_shape(&real, &answer);
    assert_eq!(answer["tasks"][0]["state"], real["tasks"][0]["state"]);
    pass(&sim, 1_000);
    let during = get(&sim, "/v2/apps/t/slow").await;
    let real = answered("05-slow-during-kill.txt");
    for count in ["tasksRunning", "tasksStaged", "tasksHealthy", "tasksUnhealthy"] {
        assert_eq!(during["app"][count], real["app"][count], "{count}");
    }
    assert_eq!(during["app"]["tasks"][0]["state"], "TASK_KILLING");
    same_shape(&real["app"]["tasks"], &during["app"]["tasks"]);
    pass(&sim, 10_000);
    assert_eq!(
        life(&sim, &instance_of(&row)),
        recorded_life("t_slow.instance-53c26cf5-e740-11f1-8d4d-02fc00000001")
    );
    sim.stop().await;
}

#[tokio::test]
async fn point_7_over_http_a_crashing_app_waits_longer_each_time_and_a_killed_one_does_not() {
    let sim = start(Version::V1_11, vec![AppSpec::new("/web", 1)]).await;
    let crash = json!({"id": "/t/crash", "cmd": "sleep 1000", "instances": 1, "cpus": 0.1, "mem": 32,
        "labels": {"SIM_FAIL_MS": "1000"}, "backoffSeconds": 100, "backoffFactor": 2});
    sim.with(|s| s.deploy(&crash)).unwrap();
    pass(&sim, 5_000);
    let failed = get(&sim, "/v2/apps/t/crash").await;
    let real = answered("02-crash-app.txt");
    same_shape(&real["app"]["tasks"], &failed["app"]["tasks"]);
    same_shape(&real["app"]["lastTaskFailure"], &failed["app"]["lastTaskFailure"]);
    let delay = async |app: &str| {
        let queue = get(&sim, "/v2/queue").await;
        let all = queue["queue"].as_array().unwrap();
        let one = all.iter().find(|q| q["app"]["id"] == app);
        one.map(|q| q["delay"]["timeLeftSeconds"].as_i64().unwrap())
    };
    assert!((90..=100).contains(&delay("/t/crash").await.unwrap()));
    let id = rows(&sim, "/web").await[0]["id"].as_str().unwrap().to_owned();
    kill(&sim, "", &id).await;
    pass(&sim, 300);
    assert_eq!(delay("/web").await, Some(0));
    pass(&sim, 110_000);
    assert!((150..=200).contains(&delay("/t/crash").await.unwrap()));
    // An executor that calls a killed task finished makes its replacement wait.
    sim.with(|s| s.killed_are = Killed::Finished);
    let id = rows(&sim, "/web").await[0]["id"].as_str().unwrap().to_owned();
    kill(&sim, "", &id).await;
    pass(&sim, 300);
    assert_eq!(states(&rows(&sim, "/web").await), ["TASK_FINISHED"]);
    sim.stop().await;
}

#[tokio::test]
async fn a_resident_app_is_killed_and_wiped_as_on_a_real_one() {
    let sim = start(Version::V1_11, vec![]).await;
    let put = recording("09-resident.txt");
    let body = put.lines().find(|l| l.starts_with("{\"id\"")).unwrap();
    let (status, _, _) = ask(sim.address(), "PUT", "/v2/apps//data/vol", body).await;
    assert_eq!(status, 201);
    pass(&sim, 10_000);
    let real = answered("10-resident-app.txt");
    let app = get(&sim, "/v2/apps/data/vol").await;
    same_shape(&real["app"]["tasks"], &app["app"]["tasks"]);
    for key in ["residency", "unreachableStrategy", "upgradeStrategy", "container"] {
        assert_eq!(real["app"][key], app["app"][key], "{key}");
    }
    let first = rows(&sim, "/data/vol").await[0].clone();
    let answer = kill(&sim, "", first["id"].as_str().unwrap()).await;
    same_shape(&answered("11-resident-kill.txt"), &answer);
    pass(&sim, 10_000);
    let second = rows(&sim, "/data/vol").await[0].clone();
    let wiped = kill(&sim, "?wipe=true", second["id"].as_str().unwrap()).await;
    let real = answered("12-resident-kill-wipe.txt");
    same_shape(&real, &wiped);
    // As recorded: the next incarnation, on the same agent, with the same port and volume.
    for (before, after) in [
        (&answered("11-resident-kill.txt")["tasks"][0], &real["tasks"][0]),
        (&first, &second),
    ] {
        assert_eq!(instance_of(before), instance_of(after));
        assert!(before["id"].as_str().unwrap().ends_with("._app.1"));
        assert!(after["id"].as_str().unwrap().ends_with("._app.2"));
        for same in ["host", "slaveId", "ports", "localVolumes"] {
            assert_eq!(before[same], after[same], "{same}");
        }
    }
    sim.stop().await;
}

#[tokio::test]
async fn an_upgrade_of_a_resident_app_keeps_its_volumes() {
    let sim = start(
        Version::V1_11,
        vec![AppSpec::new("/db", 2).resident("data").health_checks(false)],
    )
    .await;
    let volumes = |rows: &[Value]| {
        let all = rows
            .iter()
            .map(|r| r["localVolumes"][0]["uuid"].as_str().unwrap().to_owned());
        all.collect::<BTreeSet<String>>()
    };
    let before = rows(&sim, "/db").await;
    let (status, _, _) = ask(sim.address(), "PUT", "/v2/apps/db", r#"{"cmd": "sleep 7"}"#).await;
    assert_eq!(status, 200);
    pass(&sim, 60_000);
    let after = rows(&sim, "/db").await;
    assert_eq!(get(&sim, "/v2/deployments").await, json!([]));
    assert_eq!(states(&after), ["TASK_RUNNING"; 2]);
    assert_eq!(volumes(&before), volumes(&after));
    assert_ne!(before[0]["version"], after[0]["version"]);
    sim.stop().await;
}

#[tokio::test]
async fn a_resident_task_scaled_away_stays_listed_as_killed_and_is_taken_up_again() {
    let spec = AppSpec::new("/db", 2).resident("data").health_checks(false);
    let sim = start(Version::V1_11, vec![spec]).await;
    let before = rows(&sim, "/db").await;
    kill(&sim, "?scale=true", before[0]["id"].as_str().unwrap()).await;
    pass(&sim, 10_000);
    assert_eq!(get(&sim, "/v2/deployments").await, json!([]));
    let app = get(&sim, "/v2/apps/db").await;
    assert_eq!(
        (&app["app"]["instances"], &app["app"]["tasksRunning"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(states(&rows(&sim, "/db").await), ["TASK_KILLED", "TASK_RUNNING"]);
    assert_eq!(get(&sim, "/v2/queue").await["queue"], json!([]));
    let (status, _, _) = ask(sim.address(), "PUT", "/v2/apps/db", r#"{"instances": 2}"#).await;
    assert_eq!(status, 200);
    pass(&sim, 10_000);
    let after = rows(&sim, "/db").await;
    assert_eq!(states(&after), ["TASK_RUNNING"; 2]);
    assert!(
        after
            .iter()
            .any(|r| r["localVolumes"] == before[0]["localVolumes"]),
        "{after:?}"
    );
    sim.stop().await;
}

#[tokio::test]
async fn pods_are_listed_killed_by_instance_and_come_back() {
    for version in [Version::V1_11, Version::V1_7] {
        let stable = version == Version::V1_11;
        let sim = start(version, vec![]).await;
        assert_eq!(ask(sim.address(), "HEAD", "/v2/pods", "").await.0, 200);
        let post = recording("07-pod.txt");
        let body = post.lines().find(|l| l.starts_with("{\"id\"")).unwrap();
        let (status, head, body) = ask(sim.address(), "POST", "/v2/pods", body).await;
        assert_eq!(status, 201, "{body}");
        assert!(
            head.contains("marathon-deployment-id: ") && head.contains("/pod\r\n"),
            "{head}"
        );
        if stable {
            same_shape(&answered("07-pod.txt"), &serde_json::from_str(&body).unwrap());
        }
        assert_eq!(get(&sim, "/v2/pods/::status").await[0]["status"], "DEGRADED");
        pass(&sim, 10_000);
        let status = get(&sim, "/v2/pods//pod::status").await;
        if stable {
            same_shape(&answered("08-pod-status.txt"), &status);
        }
        assert_eq!(status["status"], "STABLE");
        let instances = status["instances"].as_array().unwrap();
        assert_eq!(instances.len(), 2);
        let (id, task) = (&instances[0]["id"], &instances[0]["containers"][0]["containerId"]);
        let suffix = if stable { ".c1.1" } else { ".c1" };
        assert_eq!(*task, format!("{}{suffix}", id.as_str().unwrap()));
        if stable {
            let recorded = recorded_life("pod.instance-7abdd38c-e740-11f1-8d4d-02fc00000001");
            assert_eq!(life(&sim, id.as_str().unwrap()), recorded);
        }
        // Its tasks are no tasks of an app: neither listed nor killed as such.
        assert_eq!(get(&sim, "/v2/tasks").await["tasks"], json!([]));
        assert_eq!(kill(&sim, "", task.as_str().unwrap()).await["tasks"], json!([]));
        pass(&sim, 1_000);
        assert_eq!(get(&sim, "/v2/pods/pod::status").await["status"], "STABLE");
        // By instance they are; an unknown one is left out.
        let unknown = format!("pod.instance-{}", uuid::Uuid::new_v4());
        let ids = json!([id, unknown]).to_string();
        let (status, _, body) = ask(sim.address(), "DELETE", "/v2/pods/pod::instances", &ids).await;
        assert_eq!(status, 200);
        let killed: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            (killed.as_array().unwrap().len(), &killed[0]["instanceId"]),
            (1, id)
        );
        assert_eq!(killed[0]["agentInfo"]["attributes"], json!([]));
        pass(&sim, 300);
        assert_eq!(get(&sim, "/v2/pods/pod::status").await["status"], "DEGRADED");
        pass(&sim, 10_000);
        let after = get(&sim, "/v2/pods/pod::status").await;
        assert_eq!(after["status"], "STABLE");
        let mut again = after["instances"].as_array().unwrap().iter();
        let same = again.find(|i| i["id"] == *id);
        assert_eq!(same.is_some(), stable);
        if let Some(same) = same {
            assert_eq!(
                same["containers"][0]["containerId"],
                format!("{}.c1.2", id.as_str().unwrap())
            );
        }
        for (path, status) in [
            (format!("/v2/pods/pod::instances/{unknown}"), 404),
            ("/v2/pods/pod::instances/pod.x".to_owned(), 422),
            (format!("/v2/pods/no::instances/{unknown}"), 404),
        ] {
            assert_eq!(ask(sim.address(), "DELETE", &path, "").await.0, status, "{path}");
        }
        let (status, _, body) = ask(sim.address(), "GET", "/v2/pods/no", "").await;
        let body: Value = serde_json::from_str(&body).unwrap();
        let inner: Value = serde_json::from_str(body["message"].as_str().unwrap()).unwrap();
        assert_eq!(
            (status, &inner["message"]),
            (404, &json!("Pod '/no' does not exist"))
        );
        sim.stop().await;
    }
}

#[tokio::test]
async fn a_change_of_a_pod_is_a_deployment_until_it_is_stable() {
    let sim = start(Version::V1_11, vec![]).await;
    let pod = |instances: u32| {
        json!({"id": "/pod", "containers": [{"name": "c1"}], "scaling": {"instances": instances}}).to_string()
    };
    let (_, head, _) = ask(sim.address(), "POST", "/v2/pods", &pod(2)).await;
    let listed = get(&sim, "/v2/deployments").await;
    assert!(head.contains(listed[0]["id"].as_str().unwrap()), "{head}");
    assert_eq!(
        (&listed[0]["affectedApps"], &listed[0]["affectedPods"]),
        (&json!([]), &json!(["/pod"]))
    );
    assert_eq!(
        listed[0]["steps"],
        json!([
            {"actions": [{"action": "StartPod", "pod": "/pod"}]},
            {"actions": [{"action": "ScalePod", "pod": "/pod"}]},
        ])
    );
    let queue = get(&sim, "/v2/queue").await["queue"][0].clone();
    assert_eq!(
        (&queue["pod"]["id"], &queue["count"]),
        (&json!("/pod"), &json!(2))
    );
    // Another change is refused until then, and by force takes its place.
    let (status, _, body) = ask(sim.address(), "PUT", "/v2/pods/pod", &pod(3)).await;
    assert!(
        status == 409 && body.contains("\"deployments\":[{\"id\":"),
        "{status} {body}"
    );
    let (status, _, _) = ask(sim.address(), "PUT", "/v2/pods/pod?force=true", &pod(3)).await;
    assert_eq!(status, 200);
    pass(&sim, 10_000);
    assert_eq!(get(&sim, "/v2/deployments").await, json!([]));
    assert_eq!(get(&sim, "/v2/queue").await["queue"], json!([]));
    let status = get(&sim, "/v2/pods/pod::status").await;
    assert_eq!(status["instances"].as_array().unwrap().len(), 3);
    let (status, _, _) = ask(sim.address(), "DELETE", "/v2/pods/pod", "").await;
    assert_eq!(status, 202);
    let stops = get(&sim, "/v2/deployments").await[0]["steps"][0]["actions"][0].clone();
    assert_eq!(stops, json!({"action": "StopPod", "pod": "/pod"}));
    pass(&sim, 1_000);
    assert_eq!(get(&sim, "/v2/deployments").await, json!([]));
    sim.stop().await;
}

#[tokio::test]
async fn a_task_that_is_a_process_answers_its_checks_whatever_its_command_says() {
    for (processes, healthy) in [(true, 2), (false, 0)] {
        let sim = start(Version::V1_11, vec![]).await;
        sim.with(|s| s.host = processes.then(|| "127.0.0.1".to_owned()));
        let app = json!({"id": "/new", "cmd": "sleep 1000", "instances": 2, "cpus": 0.1, "mem": 32,
            "healthChecks": [{"protocol": "HTTP", "path": "/", "gracePeriodSeconds": 300, "intervalSeconds": 5}]});
        let (status, _, body) = ask(sim.address(), "POST", "/v2/apps", &app.to_string()).await;
        assert_eq!(status, 201, "{body}");
        pass(&sim, 30_000);
        let app = get(&sim, "/v2/apps/new").await["app"].clone();
        assert_eq!(
            (&app["tasksRunning"], &app["tasksHealthy"]),
            (&json!(2), &json!(healthy))
        );
        sim.stop().await;
    }
}

#[tokio::test]
async fn a_group_lists_what_is_asked_for_and_everything_when_nothing_is() {
    let sim = start(
        Version::V1_11,
        vec![AppSpec::new("/shop/web", 2), AppSpec::new("/shop/db/main", 1)],
    )
    .await;
    let pod = json!({"id": "/pay/pod", "containers": [{"name": "c1"}]}).to_string();
    assert_eq!(ask(sim.address(), "POST", "/v2/pods", &pod).await.0, 201);
    let all = get(&sim, "/v2/groups").await;
    assert_eq!(
        all["groups"].as_array().unwrap().len(),
        2,
        "a group of pods alone is one: {all}"
    );
    assert_eq!(get(&sim, "/v2/groups/pay").await["pods"][0]["id"], "/pay/pod");
    let shop = get(&sim, "/v2/groups/shop").await;
    assert_eq!(shop["groups"][0]["apps"][0]["id"], "/shop/db/main");
    assert!(shop["apps"][0]["tasks"].is_null() && shop["apps"][0]["tasksRunning"].is_null());
    let some = get(&sim, "/v2/groups/shop?embed=group.apps&embed=group.apps.counts").await;
    assert_eq!(
        (&some["groups"], &some["apps"][0]["tasksRunning"]),
        (&json!([]), &json!(2))
    );
    assert!(some["apps"][0]["tasks"].is_null() && some["apps"][0]["deployments"].is_null());
    let some = get(
        &sim,
        "/v2/groups/shop?embed=group.groups&embed=group.apps&embed=group.apps.tasks",
    )
    .await;
    assert_eq!(some["groups"][0]["apps"][0]["tasks"].as_array().unwrap().len(), 1);
    assert_eq!(some["apps"][0]["deployments"], json!([]));
    let none = get(&sim, "/v2/groups/shop?embed=unknown").await;
    assert_eq!((&none["apps"], &none["groups"]), (&json!([]), &json!([])));
    let below = get(&sim, "/v2/groups/shop/apps").await;
    assert_eq!(below.as_array().unwrap().len(), 2);
    let (status, _, body) = ask(sim.address(), "GET", "/v2/groups/none", "").await;
    assert!(
        status == 404 && body.contains("Group '/none' does not exist"),
        "{body}"
    );
    sim.stop().await;
}

#[tokio::test]
async fn a_pod_on_a_lost_agent_is_degraded_and_replaced() {
    let sim = start(Version::V1_11, vec![]).await;
    let pod = json!({"id": "/pod", "containers": [{"name": "c1"}], "scaling": {"instances": 2}});
    let (status, _, body) = ask(sim.address(), "POST", "/v2/pods", &pod.to_string()).await;
    assert_eq!(status, 201, "{body}");
    pass(&sim, 10_000);
    let before = get(&sim, "/v2/pods/pod::status").await;
    let agent = sim.with(|s| s.find_agent(before["instances"][0]["agentHostname"].as_str().unwrap()));
    sim.with(|s| s.lose_agent(agent.unwrap()));
    assert_eq!(get(&sim, "/v2/pods/pod::status").await["status"], "DEGRADED");
    pass(&sim, 10_000);
    let after = get(&sim, "/v2/pods/pod::status").await;
    assert_eq!(after["status"], "STABLE");
    assert_ne!(before["instances"][0]["id"], after["instances"][0]["id"]);
    sim.stop().await;
}

#[tokio::test]
async fn an_app_whose_constraints_fit_nowhere_waits_in_the_queue_and_says_why() {
    let sim = start(
        Version::V1_11,
        vec![AppSpec::new("/web", 8).constraint(&["hostname", "UNIQUE"])],
    )
    .await;
    let (status, _, _) = ask(sim.address(), "PUT", "/v2/apps/web", r#"{"instances": 9}"#).await;
    assert_eq!(status, 200);
    pass(&sim, 60_000);
    let queue = get(&sim, "/v2/queue").await;
    let item = &queue["queue"][0];
    assert_eq!(
        (&item["count"], &item["delay"]["overdue"]),
        (&json!(1), &json!(true))
    );
    let reasons = item["processedOffersSummary"]["rejectSummaryLastOffers"]
        .as_array()
        .unwrap();
    let unfit = reasons
        .iter()
        .find(|r| r["reason"] == "UnfulfilledConstraint")
        .unwrap();
    assert_eq!(unfit["declined"], 8);
    assert!(item["lastUnusedOffers"].is_null());
    let asked = get(&sim, "/v2/queue?embed=lastUnusedOffers").await;
    let offers = asked["queue"][0]["lastUnusedOffers"].as_array().unwrap().clone();
    assert_eq!(offers.len(), 8);
    let agent = sim.with(|s| s.agent_id(Agent(0)));
    assert_eq!(offers[0]["offer"]["agentId"], agent.as_str());
    assert_eq!(offers[0]["reason"], json!(["UnfulfilledConstraint"]));
    assert_eq!(get(&sim, "/v2/deployments").await.as_array().unwrap().len(), 1);
    sim.stop().await;
}

#[tokio::test]
async fn group_by_without_a_number_stops_every_launch_on_1_11_until_another_leads() {
    for (version, stops) in [(Version::V1_11, true), (Version::V1_7, false)] {
        let mut sim = start(version, vec![AppSpec::new("/web", 1)]).await;
        let second = sim.second_node().await.unwrap();
        let app = json!({"id": "/grouped", "cmd": "sleep 1", "instances": 1, "cpus": 0.1, "mem": 32,
            "constraints": [["rack", "GROUP_BY"]]});
        sim.with(|s| s.deploy(&app)).unwrap();
        pass(&sim, 10_000);
        let id = rows(&sim, "/web").await[0]["id"].as_str().unwrap().to_owned();
        kill(&sim, "", &id).await;
        pass(&sim, 60_000);
        let up = sim.with(|s| s.app("/web").unwrap().instances[0].is_up());
        assert_eq!(up, !stops, "{version:?}");
        // Without that app, a restart helps.
        sim.with(|s| s.remove_app("/grouped"));
        sim.kill_leader(Duration::from_secs(1)).await;
        pass(&sim, 60_000);
        assert!(
            sim.with(|s| s.app("/web").unwrap().instances[0].is_up()),
            "{version:?} {second}"
        );
        sim.stop().await;
    }
}

#[tokio::test]
async fn agents_and_masters_are_troubled_at_the_control_door() {
    let sim = start(Version::V1_11, vec![AppSpec::new("/web", 2)]).await;
    let tell = async |path: &str, body: Value| {
        let (status, _, body) = ask(sim.address(), "POST", path, &body.to_string()).await;
        (status, serde_json::from_str::<Value>(&body).unwrap())
    };
    let host = "agent-1.rack-1.test";
    let (status, shown) = tell("/sim/agents", json!({"agent": host, "do": "lose"})).await;
    assert_eq!((status, &shown["agents"][0]["is"]), (200, &json!("unreachable")));
    assert_eq!(shown["agents"][1]["tasks"].as_array().unwrap().len(), 1);
    assert_eq!(shown["agents"][0]["attributes"], "rack:rack-1");
    let (_, shown) = tell("/sim/agents", json!({"agent": "1", "do": "return"})).await;
    assert_eq!(shown["agents"][0]["is"], "active");
    let (_, shown) = tell("/sim/agents", json!({"agent": "S1", "do": "silence"})).await;
    assert_eq!(shown["agents"][1]["is"], "silent");
    for wrong in [
        json!({"agent": "nobody", "do": "lose"}),
        json!({"agent": "1", "do": "dance"}),
        json!({"agent": "1"}),
    ] {
        let (status, said) = tell("/sim/agents", wrong).await;
        assert!(
            status == 400 && said["message"].as_str().unwrap().ends_with("nothing was changed"),
            "{said}"
        );
    }
    let (_, shown) = tell("/sim/mesos", json!({"do": "depose"})).await;
    assert_eq!(shown["mesos"]["leader"], Value::Null);
    let (_, shown) = tell("/sim/mesos", json!({"do": "elect"})).await;
    assert_eq!(
        format!("http://{}", shown["mesos"]["leader"].as_str().unwrap()),
        sim.mesos_url()
    );
    sim.stop().await;
}
