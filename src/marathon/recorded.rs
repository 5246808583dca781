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

/// Every answer of the second recorder: method, path, status and body.
fn more() -> Vec<(String, String, String, u16, String)> {
    let mut all = Vec::new();
    for folder in ["agents-and-volumes", "two-nodes"] {
        for file in std::fs::read_dir(root().join("1.11-more").join(folder)).unwrap() {
            let path = file.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap().replace("\r\n", "\n");
            let (Some((asked, answered)), Some(name)) = (text.split_once("<<< RESPONSE"), path.file_name())
            else {
                continue;
            };
            let mut request = asked.lines().nth(1).unwrap().split(' ');
            let (method, target) = (request.next().unwrap(), request.next().unwrap());
            let status = answered.split("HTTP/1.1 ").nth(1).unwrap()[..3].parse().unwrap();
            let body = answered.split_once("\n\n").map_or("", |(_, body)| body);
            all.push((
                format!("1.11-more/{folder}/{}", name.display()),
                method.to_owned(),
                target.to_owned(),
                status,
                body.trim().to_owned(),
            ));
        }
    }
    all.sort();
    all
}

fn app_in_words(app: &crate::model::snapshot::App) -> String {
    let states: Vec<String> = app
        .tasks
        .iter()
        .map(|t| {
            let health = match &t.health {
                Health::Unreported => "unreported",
                Health::Reported { alive: true, .. } => "alive",
                Health::Reported { .. } => "not alive",
            };
            format!(
                "{:?}/{health}/{}",
                t.state,
                t.incarnation.map_or("-".to_owned(), |n| n.to_string())
            )
        })
        .collect();
    format!(
        "{}{}: {} of {} serve{}{}{}{} [{}]",
        if app.pod { "pod " } else { "" },
        app.id,
        app.healthy(),
        app.instances,
        if app.health_checked { ", checked" } else { "" },
        if app.resident { ", resident" } else { "" },
        if app.deployments.is_empty() {
            ""
        } else {
            ", locked"
        },
        if app.constraints.is_empty() {
            String::new()
        } else {
            format!(", {}", app.constraints.join(" "))
        },
        states.join(" ")
    )
}

/// What the client makes of one answer, in a line.
fn made_of(method: &str, target: &str, status: u16, body: &str) -> String {
    use crate::ports::cluster::{KillAnswer, KillOrder};
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let order = KillOrder {
        intent: "r/1".into(),
        tasks: vec![],
        pod: None,
        timeout: std::time::Duration::ZERO,
    };
    if (method, path) == ("POST", "/v2/tasks/delete") {
        return match super::changes::judge(status, body.as_bytes(), &order) {
            KillAnswer::Accepted { tasks } => format!("accepted: {} tasks named", tasks.len()),
            KillAnswer::Refused { why, .. } => format!("refused: {why}"),
            KillAnswer::Unanswered { why } => format!("unanswered: {why}"),
            other => format!("{other:?}"),
        };
    }
    if status != 200 {
        return super::client::refused(status, body.as_bytes());
    }
    let mut seen = Seen::default();
    match path {
        "/v2/apps" if method == "GET" => {
            let listed: Value = serde_json::from_str(body).unwrap();
            let apps = listed["apps"]
                .as_array()
                .unwrap()
                .iter()
                .map(|raw| match app(&raw.to_string()) {
                    Ok(app) => app_in_words(&app),
                    Err(gap) => gap.why,
                });
            let mut apps: Vec<String> = apps.collect();
            apps.sort();
            apps.dedup();
            format!("{} apps; {}", apps.len(), apps.join("; "))
        }
        "/v2/info" => {
            let info: wire::Info = serde_json::from_str(body).unwrap();
            let version = crate::model::snapshot::MarathonVersion::parse(&info.version).unwrap();
            format!(
                "{version}, stable instances {}, task_killing {}, a follower waits {:?} ms",
                version.stable_instances(),
                info.has_feature("task_killing"),
                info.proxy_timeout_ms()
            )
        }
        "/v2/deployments" => {
            seen.take_deployments(body.as_bytes());
            let all: Vec<wire::Deployment> = serde_json::from_str(body).unwrap();
            let affected = all
                .iter()
                .flat_map(|d| d.affected_apps.iter().chain(d.affected_pods.iter().flatten()));
            format!(
                "{} gaps; at work on {:?}",
                seen.gaps.len(),
                affected.collect::<Vec<_>>()
            )
        }
        "/v2/queue" => {
            seen.take_queue(body.as_bytes());
            let queue: wire::Queue = serde_json::from_str(body).unwrap();
            let left = queue
                .queue
                .iter()
                .map(|q| q.delay.as_ref().and_then(|d| d.time_left_seconds));
            format!(
                "{} gaps; seconds left {:?}",
                seen.gaps.len(),
                left.collect::<Vec<_>>()
            )
        }
        path if path.starts_with("/v2/pods/") && path.ends_with("::status") => match super::pods::pod(body) {
            Ok(pod) => app_in_words(&pod),
            Err(gap) => gap.why,
        },
        path if method == "GET" && path.starts_with("/v2/apps/") => {
            match serde_json::from_str::<wire::OneApp<'_>>(body) {
                Ok(one) => match app(one.app.get()) {
                    Ok(app) => app_in_words(&app),
                    Err(gap) => gap.why,
                },
                Err(_) => "not one app, and not asked for by the client".to_owned(),
            }
        }
        _ => format!(
            "not asked for by the client ({method} {path}{})",
            if query.is_empty() { "" } else { "?…" }
        ),
    }
}

#[test]
fn what_the_client_makes_of_every_recorded_answer_is_as_reviewed() {
    let mut lines = Vec::new();
    for (name, value) in exchanges() {
        let text = |part: &Value| part.as_str().unwrap_or_default().to_owned();
        let (request, response) = (&value["request"], &value["response"]);
        if response["stream"].is_string() {
            continue;
        }
        let status = u16::try_from(response["status"].as_u64().unwrap()).unwrap();
        let made = made_of(
            &text(&request["method"]),
            &text(&request["path"]),
            status,
            &text(&response["body"]),
        );
        lines.push(format!("{name} => {made}"));
    }
    for (name, method, target, status, body) in more() {
        if target.starts_with("/v2/events") {
            continue;
        }
        lines.push(format!("{name} => {}", made_of(&method, &target, status, &body)));
    }
    assert!(lines.len() >= 200, "{}", lines.len());
    insta::assert_snapshot!("recorded", lines.join("\n"));
}
