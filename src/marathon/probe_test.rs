use super::*;
use crate::marathon::pretend::{Do, HandClock, answer_with, json, options, serve};
use crate::model::snapshot::GapKind;
use crate::ports::cluster::{Cluster, Query};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

fn query() -> Vec<Query> {
    vec![Query::all()]
}

/// A Marathon whose leader, version and framework id a test changes.
#[derive(Clone)]
struct Said {
    leader: &'static str,
    version: &'static str,
    framework: &'static str,
    features: &'static str,
}

const AT_FIRST: Said = Said {
    leader: "http://m1:8080",
    version: "1.7.236",
    framework: "f-1",
    features: "[]",
};

async fn marathon(said: Arc<Mutex<Said>>) -> crate::marathon::pretend::Server {
    serve(move |request| {
        let said = said.lock().unwrap().clone();
        let head = format!("Content-Type: application/json\r\nX-Marathon-Leader: {}\r\n", said.leader);
        let path = request.split(['?', ' ']).nth(1).unwrap();
        let body = match path {
            "/v2/info" => format!(
                r#"{{"version":"{}","frameworkId":"{}","marathon_config":{{"features":{},"leader_proxy_read_timeout_ms":10000}}}}"#,
                said.version, said.framework, said.features
            ),
            "/v2/apps" => r#"{"apps":[]}"#.to_owned(),
            "/v2/deployments" | "/v2/pods/::status" => "[]".to_owned(),
            _ => r#"{"queue":[]}"#.to_owned(),
        };
        answer_with(200, &head, &body)
    })
    .await
}

fn infos(server: &crate::marathon::pretend::Server) -> usize {
    let asked = server.asked();
    asked.iter().filter(|r| r.starts_with("GET /v2/info ")).count()
}

#[tokio::test]
async fn a_leader_is_asked_once_who_it_is_and_another_leader_again() {
    let said = Arc::new(Mutex::new(AT_FIRST));
    let server = marathon(said.clone()).await;
    let client = Client::new(options(vec![server.url.clone()])).unwrap();
    for _ in 0..5 {
        let seen = client.look(&query()).await;
        assert_eq!(seen.info.unwrap().version.to_string(), "1.7");
    }
    assert_eq!(infos(&server), 1);
    // Half of the upgrade is done: another node leads, and is of another version.
    *said.lock().unwrap() = Said {
        leader: "http://m2:8080",
        version: "1.8.244",
        ..AT_FIRST
    };
    for _ in 0..5 {
        let seen = client.look(&query()).await;
        assert!(seen.gaps.is_empty(), "{:?}", seen.gaps);
        assert_eq!(seen.info.unwrap().version.to_string(), "1.8");
    }
    assert_eq!(infos(&server), 2);
}

#[tokio::test]
async fn what_is_known_of_a_leader_is_never_older_than_a_snapshot_may_be() {
    let said = Arc::new(Mutex::new(AT_FIRST));
    let server = marathon(said.clone()).await;
    let clock = HandClock::new();
    let mut options = options(vec![server.url.clone()]);
    options.clock = clock.clone();
    let client = Client::new(options).unwrap();
    assert_eq!(client.look(&query()).await.info.unwrap().framework_id, "f-1");
    // The same address and the same leader's name, and yet another Marathon.
    said.lock().unwrap().framework = "f-2";
    clock.advance(INFO_AGE_MAX - Duration::from_millis(1));
    assert_eq!(client.look(&query()).await.info.unwrap().framework_id, "f-1");
    clock.advance(Duration::from_millis(1));
    assert_eq!(client.look(&query()).await.info.unwrap().framework_id, "f-2");
    assert_eq!(infos(&server), 2);
}

#[tokio::test]
async fn a_framework_id_that_changes_within_a_look_is_no_view_of_either() {
    let count = AtomicUsize::new(0);
    let server = serve(move |request| {
        let path = request.split(['?', ' ']).nth(1).unwrap();
        // The leader's name changes with the framework, so that both are asked.
        let late = path != "/v2/info" || count.fetch_add(1, Ordering::SeqCst) > 0;
        let (leader, framework) = if late { ("m2", "f-2") } else { ("m1", "f-1") };
        let head = format!("Content-Type: application/json\r\nX-Marathon-Leader: http://{leader}:1\r\n");
        let info = format!(r#"{{"version":"1.11","frameworkId":"{framework}"}}"#);
        match path {
            "/v2/info" => answer_with(200, &head, &info),
            "/v2/apps" => answer_with(200, &head, r#"{"apps":[]}"#),
            "/v2/queue" => answer_with(200, &head, r#"{"queue":[]}"#),
            _ => answer_with(200, &head, "[]"),
        }
    })
    .await;
    let client = Client::new(options(vec![server.url.clone()])).unwrap();
    let seen = client.look(&query()).await;
    assert!(seen.info.is_none());
    let why = &seen.gaps.iter().find(|g| g.what == GapKind::Info).unwrap().why;
    assert!(
        why.contains(r#"it was framework "f-1" when the look began and "f-2" when it ended"#),
        "{why}"
    );
}

#[tokio::test]
async fn two_leaders_in_one_look_are_no_whole_view() {
    let server = serve(|request| {
        let path = request.split(['?', ' ']).nth(1).unwrap();
        let leader = if path == "/v2/deployments" { "m2" } else { "m1" };
        let head = format!("Content-Type: application/json\r\nX-Marathon-Leader: http://{leader}:1\r\n");
        match path {
            "/v2/info" => answer_with(200, &head, r#"{"version":"1.11","frameworkId":"f"}"#),
            "/v2/apps" => answer_with(200, &head, r#"{"apps":[]}"#),
            "/v2/queue" => answer_with(200, &head, r#"{"queue":[]}"#),
            _ => answer_with(200, &head, "[]"),
        }
    })
    .await;
    let client = Client::new(options(vec![server.url.clone()])).unwrap();
    let seen = client.look(&query()).await;
    assert!(!seen.is_whole());
    let why = &seen.gaps[0].why;
    assert!(
        why.contains("parts of it come from different leaders (http://m1:1 and http://m2:1)"),
        "{why}"
    );
}

#[tokio::test]
async fn features_are_read_however_they_are_written_and_never_guessed() {
    for (features, has) in [
        (r#"["task_killing","gpu_resources"]"#, true),
        (r#""gpu_resources, task_killing""#, true),
        ("[]", false),
        ("null", false),
        ("7", false),
        (r#"["task_killings"]"#, false),
    ] {
        let said = Arc::new(Mutex::new(Said { features, ..AT_FIRST }));
        let server = marathon(said).await;
        let client = Client::new(options(vec![server.url.clone()])).unwrap();
        let info = client.look(&query()).await.info.unwrap();
        assert_eq!(info.task_killing, has, "{features}");
        assert_eq!(info.proxy_timeout_ms, Some(10_000));
    }
    let bare = serve(|_| json(r#"{"version":"1.4.13","frameworkId":"f","marathon_config":[]}"#)).await;
    let client = Client::new(options(vec![bare.url.clone()])).unwrap();
    let info = client.look(&[]).await.info.unwrap();
    assert!(!info.task_killing && info.proxy_timeout_ms.is_none());
}

#[tokio::test]
async fn a_marathon_that_has_no_name_yet_is_not_known() {
    for (body, words) in [
        (r#"{"version":"1.11"}"#, "not registered with Mesos"),
        (
            r#"{"version":"1.11","frameworkId":""}"#,
            "not registered with Mesos",
        ),
        (r#"{"version":"eleven","frameworkId":"f"}"#, "is not a version"),
        (r#"{"version":7,"frameworkId":"f"}"#, "invalid type"),
    ] {
        let server = serve(move |_| json(body)).await;
        let client = Client::new(options(vec![server.url.clone()])).unwrap();
        let why = client.info().await.unwrap_err();
        assert!(why.contains(words), "{why}");
    }
    let server = serve(|_| Do::Close).await;
    let client = Client::new(options(vec![server.url.clone()])).unwrap();
    assert!(client.info().await.is_err());
}
