//! One kill, watched every 20 ms, against the same watched on two real Marathons.

use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::show::Embed;
use super::state::{State, Timings, Version, stamp};

const APP: &str = "/shop/web";

fn at(ms: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::milliseconds(ms)
}

fn look(s: &State) -> Value {
    let all = Embed {
        tasks: true,
        ..Embed::default()
    };
    s.app_json(s.app(APP).unwrap(), all)
}

/// Counts and rows as the recording names them; without times, which chance makes.
fn seen(app: &Value, victim: &str) -> Value {
    let rows = app["tasks"].as_array().unwrap();
    let mut rows: Vec<Value> = rows
        .iter()
        .map(|row| {
            let id = row["id"].as_str().unwrap();
            let who = if id.contains(victim) { "victim" } else { "other" };
            let incarnation = id.split_once("._app.").map_or("", |(_, n)| n);
            let results = row["healthCheckResults"].as_array().unwrap();
            let alive: Vec<&Value> = results.iter().map(|r| &r["alive"]).collect();
            json!({
                "who": who, "incarnation": incarnation, "state": row["state"], "alive": alive,
                "started": row.get("startedAt").is_some(),
                "ports": row["ports"].as_array().is_some_and(|p| !p.is_empty()),
            })
        })
        .collect();
    rows.sort_by_key(Value::to_string);
    let mut seen = json!({"rows": rows});
    for key in ["tasksRunning", "tasksStaged", "tasksHealthy", "tasksUnhealthy"] {
        seen[key] = app[key].clone();
    }
    seen
}

/// The recording in the same words.
fn recorded(marathon: &str) -> Vec<Value> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/marathon/kill-timeline.json");
    let all: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let one = all.iter().find(|t| t["marathon"] == marathon).unwrap();
    let changes = one["changes"].as_array().unwrap();
    changes
        .iter()
        .map(|change| {
            let mut change = change.clone();
            change.as_object_mut().unwrap().remove("seconds");
            let rows = change["rows"].as_array_mut().unwrap();
            for row in rows.iter_mut() {
                let id = row["id"].as_str().unwrap().to_owned();
                row.as_object_mut().unwrap().remove("id");
                row["who"] = json!(id.split_once(' ').unwrap().0);
                row["incarnation"] = json!(id.split_once("._app.").map_or("", |(_, n)| n));
            }
            rows.sort_by_key(Value::to_string);
            change
        })
        .collect()
}

#[track_caller]
fn check(version: Version, marathon: &str, timings: Timings) {
    let mut s = State::new(version, timings, at(0));
    let app = json!({
        "id": APP, "cmd": "python3 -m http.server $PORT0", "instances": 2,
        "portDefinitions": [{"port": 0, "name": "http"}],
        "healthChecks": [{"protocol": "HTTP", "path": "/", "portIndex": 0, "gracePeriodSeconds": 4,
            "intervalSeconds": 2, "timeoutSeconds": 1, "maxConsecutiveFailures": 0}],
    });
    s.post_app(&app, false).unwrap();
    let mut now = 0;
    while look(&s)["tasksHealthy"] != 2 || look(&s)["deployments"] != json!([]) {
        now += 20;
        assert!(now < 60_000, "{}", look(&s));
        s.advance(at(now));
    }
    // The next round of checks comes 1.48 s after the kill, as it did for the recording of 1.7.
    let checked = look(&s)["tasks"][0]["healthCheckResults"][0]["lastSuccess"].clone();
    assert_eq!(checked, json!(stamp(at(now))));
    now += 520;
    s.advance(at(now));
    let victim = s.task_ids(APP)[0].clone();
    let short = s.app(APP).unwrap().instances[0].uuid.clone();
    assert_eq!(s.kill(&[victim], None, false).unwrap().len(), 1);
    let mut changes: Vec<Value> = Vec::new();
    for _ in 0..80 {
        now += 20;
        s.advance(at(now));
        let seen = seen(&look(&s), &short);
        if changes.last() != Some(&seen) {
            changes.push(seen);
        }
    }
    assert_eq!(changes, recorded(marathon));
}

fn timings(kill: u64, offer: u64) -> Timings {
    Timings {
        kill_delay: Duration::from_millis(kill),
        offer_delay: Duration::from_millis(offer),
        start_delay: Duration::from_millis(400),
        ..Timings::default()
    }
}

#[test]
fn a_kill_looks_as_on_marathon_1_11_inherited_health_included() {
    check(Version::V1_11, "1.11", timings(200, 30));
}

#[test]
fn a_kill_looks_as_on_marathon_1_7() {
    check(Version::V1_7, "1.7", timings(80, 400));
}
