use super::*;
use crate::marathon::Client;
use crate::marathon::changes::send_once;
use crate::marathon::convert::app;
use crate::marathon::pretend::{HandClock, answer, json, options, serve};
use crate::ports::cluster::{Cluster, KillAnswer, KillOrder, LastLook, PodInstances};
use std::time::Duration;

/// What a real 1.11 said of a pod with two instances.
fn recorded() -> String {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/data/marathon/1.11-more/agents-and-volumes/08-pod-status.txt"
    );
    let text = std::fs::read_to_string(path).unwrap();
    let start = text.find("{\"id\":\"/pod\"").unwrap();
    text[start..].trim().to_owned()
}

fn all() -> Vec<Query> {
    vec![Query::all()]
}

#[test]
fn a_recorded_pod_is_an_app_whose_rows_are_its_instances() {
    let app = pod(&recorded()).unwrap();
    assert!(app.pod && !app.resident && !app.health_checked);
    assert_eq!((app.id.as_str(), app.instances, app.tasks.len()), ("/pod", 2, 2));
    assert_eq!(app.version, "2026-11-23T13:19:14.772Z");
    let row = &app.tasks[0];
    assert_eq!(
        row.instance.as_str(),
        "pod.instance-7abdd38c-e740-11f1-8d4d-02fc00000001"
    );
    assert_eq!(
        row.id.as_str(),
        "pod.instance-7abdd38c-e740-11f1-8d4d-02fc00000001.c1.1"
    );
    assert_eq!(row.incarnation, Some(1));
    assert_eq!(row.state, TaskState::Running);
    assert_eq!(row.host.as_str(), "agent-5.rack-3.test");
    assert_eq!(row.zone.as_ref().map(Word::as_str), Some("zone-a1"));
    assert_eq!(app.healthy(), 2, "running counts where there is no health check");
}

fn with(status: &str, containers: &str, spec: &str) -> App {
    let json = format!(
        r#"{{"id":"/p","spec":{{"version":"v","containers":[{spec}],"scaling":{{"kind":"fixed","instances":1}}}},
            "status":"STABLE","instances":[{{"id":"p.instance-1","status":"{status}","containers":[{containers}]}}]}}"#
    );
    pod(&json).unwrap()
}

fn container(name: &str, state: &str, conditions: &str) -> String {
    format!(
        r#"{{"name":"{name}","status":"{state}","statusSince":"2026-01-01T00:00:10Z",
            "containerId":"p.instance-1.{name}.3","conditions":[{conditions}]}}"#
    )
}

#[test]
fn an_instance_runs_when_all_of_it_runs() {
    let (a, b) = (
        container("a", "TASK_RUNNING", ""),
        container("b", "TASK_STAGING", ""),
    );
    for (status, containers, state) in [
        ("STABLE", a.clone(), TaskState::Running),
        ("DEGRADED", a.clone(), TaskState::Running),
        ("STABLE", format!("{a},{b}"), TaskState::Other("STABLE".into())),
        ("STAGING", b.clone(), TaskState::Staging),
        ("PENDING", String::new(), TaskState::Staging),
        ("STABLE", String::new(), TaskState::Other("STABLE".into())),
        ("TERMINAL", a.clone(), TaskState::Over("TERMINAL".into())),
        ("INVENTED", a.clone(), TaskState::Other("INVENTED".into())),
        (
            "DEGRADED",
            format!("{a},{}", container("b", "TASK_UNREACHABLE", "")),
            TaskState::Unreachable,
        ),
        (
            "STABLE",
            format!("{a},{}", container("b", "TASK_KILLING", "")),
            TaskState::Killing,
        ),
    ] {
        assert_eq!(
            with(status, &containers, "{}").tasks[0].state,
            state,
            "{status} {containers}"
        );
    }
}

#[test]
fn a_pods_health_counts_when_every_check_answered_after_the_start() {
    let well =
        |at: &str| format!(r#"{{"name":"healthy","value":"true","lastUpdated":"2026-01-01T00:00:{at}Z"}}"#);
    let unwell = r#"{"name":"healthy","value":"false","reason":"health-unreported-by-mesos","lastUpdated":"2026-01-01T00:00:20Z"}"#;
    let (spec, two) = (
        r#"{"healthCheck":{}}"#,
        r#"{"healthCheck":{}},{"healthCheck":{}}"#,
    );
    for (spec, conditions, healthy) in [
        (spec, well("20"), 1),
        (spec, well("05"), 0),
        (spec, String::new(), 0),
        (spec, unwell.to_owned(), 0),
        (two, well("20"), 0),
        (two, format!("{},{}", well("20"), well("30")), 1),
        (two, format!("{},{unwell}", well("20")), 0),
        (spec, r#"{"name":"other","value":"true"}"#.to_owned(), 0),
    ] {
        let app = with("STABLE", &container("a", "TASK_RUNNING", &conditions), spec);
        assert!(app.health_checked);
        assert_eq!(app.healthy(), healthy, "{conditions}");
    }
}

#[test]
fn a_pods_volumes_constraints_and_grace_are_known() {
    let json = r#"{"id":"/p","spec":{"labels":{"chaos":"opt-in"},"containers":[{"lifecycle":{"killGracePeriodSeconds":4.5}}],
        "scaling":{"instances":1},"volumes":[{"name":"v","persistent":{"size":1}}],
        "scheduling":{"placement":{"constraints":[{"fieldName":"hostname","operator":"UNIQUE"},{"fieldName":"rack","operator":"LIKE","value":"r1"}]}}}}"#;
    let app = pod(json).unwrap();
    assert!(app.resident);
    assert_eq!(app.constraints, ["hostname:UNIQUE", "rack:LIKE:r1"]);
    assert_eq!(app.kill_grace_s, Some(5));
    assert_eq!(app.labels["chaos"], "opt-in");
    assert!(app.tasks.is_empty());
}

#[test]
fn a_pod_that_can_t_be_read_is_a_gap_and_an_app_is_not_touched_by_it() {
    let gaps = |body: &str| {
        let mut seen = Seen::default();
        let a = app(r#"{"id":"/a","instances":1,"deployments":[],"tasks":[]}"#).unwrap();
        seen.apps.insert(a.id.clone(), a);
        let ids = seen.take_pods(body.as_bytes(), &all());
        (seen, ids)
    };
    for body in [
        "",
        "{",
        "<html>",
        "7",
        r#"[{"id":7}]"#,
        r#"[{"id":"/../p"}]"#,
        r#"[{"id":"/p"}]"#,
    ] {
        let (seen, ids) = gaps(body);
        assert!(ids.is_none(), "{body}");
        assert_eq!(seen.gaps.len(), 1, "{body}");
        assert!(seen.apps.contains_key(&AppId::from("/a")));
    }
    let twice = r#"{"id":"p.instance-1","status":"STABLE"}"#;
    let (seen, _) = gaps(&format!(
        r#"[{{"id":"/p","spec":{{"containers":[],"scaling":{{"instances":1}}}},"instances":[{twice},{twice}]}}]"#
    ));
    assert!(seen.gaps[0].why.contains("listed twice"), "{:?}", seen.gaps);
    let (seen, _) = gaps(r#"[{"id":"/a","spec":{"containers":[],"scaling":{"instances":1}}}]"#);
    assert!(
        seen.gaps[0].why.contains("as an app and as a pod"),
        "{:?}",
        seen.gaps
    );
    assert!(
        !seen.apps.contains_key(&AppId::from("/a")),
        "nobody knows what it is"
    );
}

#[tokio::test]
async fn pods_are_looked_for_once_a_minute_where_there_are_none_and_each_time_where_there_are() {
    for (list, times) in [
        ("[]".to_owned(), [1, 1, 2]),
        (format!("[{}]", recorded()), [1, 2, 3]),
    ] {
        let server = serve(move |request| match request.split(['?', ' ']).nth(1).unwrap() {
            "/v2/info" => json(r#"{"version":"1.11","frameworkId":"f"}"#),
            "/v2/apps" => json(r#"{"apps":[]}"#),
            "/v2/queue" => json(r#"{"queue":[{"pod":{"id":"/pod"},"delay":{"timeLeftSeconds":9}}]}"#),
            "/v2/deployments" => json(r#"[{"id":"d","affectedApps":[],"affectedPods":["/pod"]}]"#),
            _ => json(&list),
        })
        .await;
        let clock = HandClock::new();
        let mut options = options(vec![server.url.clone()]);
        options.clock = clock.clone();
        let client = Client::new(options).unwrap();
        for wanted in times {
            let seen = client.look(&all()).await;
            assert!(seen.gaps.is_empty(), "{:?}", seen.gaps);
            if let Some(pod) = seen.apps.get(&AppId::from("/pod")) {
                assert_eq!((pod.deployments.len(), pod.launch_delay_s), (1, Some(9)));
            }
            let asked = server.asked();
            let pods = asked.iter().filter(|r| r.contains("/v2/pods/::status"));
            assert_eq!(pods.count(), wanted);
            clock.advance(Duration::from_secs(31));
        }
    }
}

#[tokio::test]
async fn a_marathon_that_hides_its_pods_still_shows_its_apps() {
    for (say, gaps) in [
        (answer(404, "application/json", "{}"), 0),
        (answer(405, "", ""), 0),
        (
            answer(
                500,
                "application/json",
                r#"{"message":"URI not found: /v2/pods/::status"}"#,
            ),
            0,
        ),
        (
            answer(500, "application/json", r#"{"message":"Futures timed out"}"#),
            1,
        ),
        (answer(403, "application/json", r#"{"message":"no"}"#), 1),
        (answer(200, "text/html", "<html>"), 1),
    ] {
        let server = serve(move |request| match request.split(['?', ' ']).nth(1).unwrap() {
            "/v2/info" => json(r#"{"version":"1.11","frameworkId":"f"}"#),
            "/v2/apps" => json(r#"{"apps":[{"id":"/a","instances":1,"deployments":[],"tasks":[]}]}"#),
            "/v2/queue" => json(r#"{"queue":[]}"#),
            "/v2/deployments" => json("[]"),
            _ => say.clone(),
        })
        .await;
        let client = Client::new(options(vec![server.url.clone()])).unwrap();
        let seen = client.look(&all()).await;
        assert_eq!(seen.gaps.len(), gaps, "{:?}", seen.gaps);
        assert!(seen.is_whole());
        assert_eq!(seen.gaps_of(&"/a".into()).count(), 0, "an app is no pod");
        assert_eq!(seen.gaps_of(&"/p".into()).count(), gaps, "this one may be");
    }
}

#[tokio::test]
async fn one_pod_is_asked_for_by_its_own_address() {
    let one = recorded();
    let list = format!("[{one}]");
    let server = serve(move |request| match request.split(['?', ' ']).nth(1).unwrap() {
        "/v2/pods/::status" => json(&list),
        "/v2/pods/pod::status" => json(&one),
        "/v2/apps" => json(r#"{"apps":[]}"#),
        _ => answer(
            404,
            "application/json",
            r#"{"message":"App '/pod' does not exist"}"#,
        ),
    })
    .await;
    let client = Client::new(options(vec![server.url.clone()])).unwrap();
    assert_eq!(
        client.look_at(&"/pod".into()).await,
        Ok(None),
        "nobody knows yet that it is one"
    );
    client.look(&all()).await;
    let seen = client.look_at(&"/pod".into()).await.unwrap().unwrap();
    assert_eq!(seen.healthy(), 2);
}

struct Open;
impl LastLook for Open {
    fn closed(&self) -> Option<String> {
        None
    }
}

fn order() -> KillOrder {
    KillOrder {
        intent: "r-7Q2MK4XN/2".into(),
        tasks: vec!["p.instance-1.c1.4".into(), "p.instance-2.c1.1".into()],
        pod: Some(PodInstances {
            pod: "/shop/p".into(),
            instances: vec!["p.instance-1".into(), "p.instance-2".into()],
        }),
        timeout: Duration::from_secs(10),
    }
}

#[tokio::test]
async fn a_pods_instances_are_ended_by_a_bare_array_with_its_length() {
    let server = serve(|_| json(r#"[{"instanceId":"p.instance-2","state":{"condition":"Running"}}]"#)).await;
    let client = Client::new(options(vec![server.url.clone()])).unwrap();
    let answer = send_once(&client, &order(), &Open).await;
    assert_eq!(
        answer,
        KillAnswer::Accepted {
            tasks: vec!["p.instance-2.c1.1".into()]
        },
        "the one that Marathon did not name is left out"
    );
    let asked = server.asked();
    assert_eq!(asked.len(), 1);
    let (head, body) = asked[0].split_once("\r\n\r\n").unwrap();
    assert_eq!(body, r#"["p.instance-1","p.instance-2"]"#);
    assert!(
        head.starts_with("DELETE /v2/pods/shop/p::instances HTTP/1.1\r\n"),
        "{head}"
    );
    assert!(head.contains("\r\ncontent-length: 31"), "{head}");
    assert!(!head.contains("wipe") && !head.contains("tasks/delete"));
}

#[tokio::test]
async fn an_answer_that_names_no_instances_is_no_answer() {
    // 1.4 writes something of its own; so may a proxy.
    for body in [
        r#"{"tasks":[]}"#,
        r#"[{"instance":{"idString":"p.instance-1"}}]"#,
        "",
        "<html>",
    ] {
        let server = serve(move |_| json(body)).await;
        let client = Client::new(options(vec![server.url.clone()])).unwrap();
        let answer = send_once(&client, &order(), &Open).await;
        assert!(
            matches!(answer, KillAnswer::Unanswered { .. }),
            "{body}: {answer:?}"
        );
    }
}
