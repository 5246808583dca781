//! Everything that was recorded from real Marathons, read by the types that read it in production.

use super::convert::{Seen, app};
use super::{reference, wire};
use crate::model::snapshot::{Health, TaskState};
use crate::ports::cluster::Query;
use serde_json::Value;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/marathon")
}

/// Every exchange of 1.11 and 1.7, by path.
fn exchanges() -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for version in ["1.11", "1.7"] {
        for scenario in std::fs::read_dir(root().join(version)).unwrap() {
            for file in std::fs::read_dir(scenario.unwrap().path()).unwrap() {
                let path = file.unwrap().path();
                let value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
                all.push((path.strip_prefix(root()).unwrap().display().to_string(), value));
            }
        }
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

/// Every recorded list of apps.
pub(super) fn lists() -> Vec<(String, String)> {
    exchanges()
        .into_iter()
        .filter(|(_, value)| {
            let path = value["request"]["path"].as_str().unwrap();
            let bare = path.split('?').next();
            value["request"]["method"] == "GET"
                && bare == Some("/v2/apps")
                && value["response"]["status"] == 200
        })
        .filter_map(|(name, value)| Some((name, value["response"]["body"].as_str()?.to_owned())))
        .collect()
}

/// Every recorded event stream, without its head.
pub(super) fn streams() -> Vec<(String, String)> {
    exchanges()
        .into_iter()
        .filter_map(|(name, value)| {
            let stream = value["response"]["stream"].as_str()?;
            let (head, body) = stream.split_once("\r\n\r\n")?;
            head.contains("text/event-stream")
                .then(|| (name, body.to_owned()))
        })
        .collect()
}

#[test]
fn every_recorded_body_is_read_as_what_it_is() {
    let (mut lists, mut apps, mut kills, mut problems, mut others) = (0, 0, 0, 0, 0);
    for (name, value) in exchanges() {
        let method = value["request"]["method"].as_str().unwrap();
        let path = value["request"]["path"].as_str().unwrap();
        let (bare, query) = path.split_once('?').unwrap_or((path, ""));
        let Some(body) = value["response"]["body"].as_str() else {
            continue;
        };
        let status = value["response"]["status"].as_u64().unwrap();
        let json: Option<Value> = serde_json::from_str(body).ok();
        if status >= 400 {
            let message = json.as_ref().and_then(|j| j["message"].as_str());
            assert_eq!(wire::message(body.as_bytes()).as_deref(), message, "{name}");
            problems += 1;
            continue;
        }
        match (method, bare, json) {
            ("GET", "/v2/apps", Some(json)) => {
                let mut seen = Seen::default();
                seen.add(reference::whole(&[Query::all()], body.as_bytes()).unwrap());
                let listed = json["apps"].as_array().unwrap();
                if query.contains("embed=apps.tasks") && !query.contains("apps.tasks,") {
                    assert!(seen.gaps.is_empty(), "{name}: {:?}", seen.gaps);
                    assert_eq!(seen.apps.len(), listed.len(), "{name}");
                    for row in listed {
                        let app = &seen.apps[&row["id"].as_str().unwrap().into()];
                        assert_eq!(app.tasks.len(), row["tasks"].as_array().unwrap().len(), "{name}");
                        assert!(
                            app.tasks
                                .iter()
                                .all(|t| t.incarnation.is_some() == name.starts_with("1.11"))
                        );
                    }
                } else {
                    // Without the tasks no app is seen, and each says so.
                    assert_eq!((seen.gaps.len(), seen.apps.len()), (listed.len(), 0), "{name}");
                }
                lists += 1;
            }
            ("GET", _, Some(json)) if json["app"].is_object() => {
                let one: wire::OneApp<'_> = serde_json::from_str(body).unwrap();
                let read = app(one.app.get()).unwrap_or_else(|gap| panic!("{name}: {gap:?}"));
                assert_eq!(read.id.as_str(), json["app"]["id"].as_str().unwrap(), "{name}");
                assert_eq!(
                    u64::from(read.instances),
                    json["app"]["instances"].as_u64().unwrap(),
                    "{name}"
                );
                assert!(
                    !read.tasks.iter().any(|t| matches!(t.state, TaskState::Other(_))),
                    "{name}"
                );
                apps += 1;
            }
            ("POST", "/v2/tasks/delete", Some(json)) if json["tasks"].is_array() => {
                let killed: wire::Killed = serde_json::from_str(body).unwrap();
                assert_eq!(
                    killed.tasks.len(),
                    json["tasks"].as_array().unwrap().len(),
                    "{name}"
                );
                kills += 1;
            }
            ("GET", "/v2/info", _) => {
                let info: wire::Info = serde_json::from_str(body).unwrap();
                assert!(info.framework_id.is_some() && info.leader.is_some(), "{name}");
                others += 1;
            }
            ("GET", "/v2/deployments", Some(json)) => {
                let all: Vec<wire::Deployment> = serde_json::from_str(body).unwrap();
                assert_eq!(all.len(), json.as_array().unwrap().len(), "{name}");
                others += 1;
            }
            ("GET", "/v2/queue", Some(json)) => {
                let queue: wire::Queue = serde_json::from_str(body).unwrap();
                assert_eq!(
                    queue.queue.len(),
                    json["queue"].as_array().unwrap().len(),
                    "{name}"
                );
                others += 1;
            }
            _ => {}
        }
    }
    assert!(
        lists >= 20 && apps >= 10 && kills >= 10 && problems >= 20 && others >= 6,
        "{lists} {apps} {kills} {problems} {others}"
    );
}

#[test]
fn a_resident_app_and_an_unreachable_task_are_known_in_the_recordings() {
    let read = |file: &str| {
        let text = std::fs::read_to_string(root().join("1.11-more/agents-and-volumes").join(file)).unwrap();
        let start = text.find("{\"app\":").unwrap();
        let mut values = serde_json::Deserializer::from_str(&text[start..]).into_iter::<Value>();
        app(&values.next().unwrap().unwrap()["app"].to_string()).unwrap()
    };
    assert!(read("10-resident-app.txt").resident);
    let unreachable = read("06-tasks-unreachable.txt");
    assert!(!unreachable.resident);
    assert!(unreachable.healthy() <= unreachable.instances);
}

#[test]
fn inherited_health_is_never_counted_along_the_recorded_kill() {
    let text = std::fs::read_to_string(root().join("kill-timeline.json")).unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    let mut lies = 0;
    for marathon in all.as_array().unwrap() {
        for change in marathon["changes"].as_array().unwrap() {
            let rows = change["rows"].as_array().unwrap();
            let mut tasks = Vec::new();
            let mut living = 0;
            for (place, row) in rows.iter().enumerate() {
                let new = row["id"].as_str().unwrap().ends_with("_app.2");
                let started = row["started"].as_bool().unwrap();
                living += u32::from(!new && started && row["alive"][0] == true);
                // The recording keeps no times: the old incarnation started at :10 and was last well at :20,
                // the new one starts at :30.
                let mut task = serde_json::json!({
                    "id": format!("x.{place}"), "appId": "/x", "host": "h", "state": row["state"],
                    "healthCheckResults": row["alive"].as_array().unwrap().iter().map(|alive| {
                        serde_json::json!({"alive": alive, "lastSuccess": "2026-01-01T00:00:20.000Z",
                            "firstSuccess": "2026-01-01T00:00:11.000Z", "instanceId": "instance [x.0]"})
                    }).collect::<Vec<_>>(),
                });
                if started {
                    task["startedAt"] = format!("2026-01-01T00:00:{}.000Z", if new { 30 } else { 10 }).into();
                }
                tasks.push(task);
            }
            let json = serde_json::json!({"id": "/x", "instances": 2, "healthChecks": [{}], "deployments": [], "tasks": tasks});
            let read = app(&json.to_string()).unwrap();
            assert_eq!(read.healthy(), living, "{change}");
            lies += u32::from(change["tasksHealthy"].as_u64().unwrap() > u64::from(living));
            assert!(
                read.tasks
                    .iter()
                    .all(|t| t.health != Health::Unreported || !read.is_healthy(t))
            );
        }
    }
    assert!(
        lies >= 3,
        "the recording shows Marathon's own counts to be too high {lies} times"
    );
}
