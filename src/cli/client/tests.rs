//! The client against a small pretend operator on a real socket.

use super::*;
use crate::model::view::{Reply, TimelineItem};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;
use std::sync::{Arc, Mutex};

/// What a request looked like: method and path with query, its headers, its body.
type Seen = Arc<Mutex<Vec<(String, HeaderMap, Value)>>>;

fn problem(status: u16, kind: &str, detail: &str) -> (StatusCode, Json<Value>) {
    (
        StatusCode::from_u16(status).unwrap(),
        Json(json!({ "type": kind, "title": "t", "detail": detail })),
    )
}

async fn operator(seen: Seen) -> Url {
    let remember = move |request: Request, next: axum::middleware::Next| {
        let seen = seen.clone();
        async move {
            let (parts, body) = request.into_parts();
            let bytes = axum::body::to_bytes(body, 65_536).await.unwrap();
            let line = format!("{} {}", parts.method, parts.uri);
            let json = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
            seen.lock().unwrap().push((line, parts.headers.clone(), json));
            next.run(Request::from_parts(parts, bytes.into())).await
        }
    };
    let app = Router::new()
        .route(
            "/api/v1/timeline",
            get(|| async { Json::<Vec<TimelineItem>>(vec![]) }),
        )
        .route(
            "/api/v1/halt",
            post(|| async { Json(Reply::Done("Halted.".into())) }),
        )
        .route(
            "/api/v1/policies",
            get(|| async { problem(401, "urn:heartbreak:unauthorized", "a token is needed") }),
        )
        .route(
            "/api/v1/resume",
            post(|| async { problem(409, "urn:heartbreak:conflict", "not halted") }),
        )
        .route(
            "/api/v1/status",
            get(|| async { problem(503, "urn:heartbreak:unavailable", "the journal") }),
        )
        .route(
            "/api/v1/runs",
            get(|| async { (StatusCode::BAD_GATEWAY, "<html>nginx</html>") }),
        )
        .route("/api/v1/gates", get(|| async { "{}" }))
        .route(
            "/api/v1/why",
            get(|| async { axum::response::Redirect::temporary("/api/v1/timeline") }),
        )
        .layer(axum::middleware::from_fn(remember));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    Url::parse(&format!("http://{address}")).unwrap()
}

fn client(url: Url) -> Client {
    // The binary does this first; a second time changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::new(Place {
        url,
        token: Some("secret".into()),
        looked: vec!["/var/lib/heartbreak/token: its token was sent".into()],
        user: Some("ana".into()),
        state_dir: "/var/lib/heartbreak".into(),
    })
    .unwrap()
}

async fn trouble(path: &str) -> Trouble {
    let client = client(operator(Seen::default()).await);
    client.get::<Vec<TimelineItem>>(&[path], &[]).await.unwrap_err()
}

#[tokio::test]
async fn a_question_carries_token_and_user_and_its_arguments_stay_arguments() {
    let seen = Seen::default();
    let client = client(operator(seen.clone()).await);
    let items: Vec<TimelineItem> = client
        .get(&["timeline"], &[("app", "/shop/cart&x")])
        .await
        .unwrap();
    assert!(items.is_empty());
    let _ = client.get::<Value>(&["runs", "../halt", "report.md"], &[]).await;
    let seen = seen.lock().unwrap();
    assert_eq!(seen[0].0, "GET /api/v1/timeline?app=%2Fshop%2Fcart%26x");
    assert_eq!(seen[0].1["authorization"], "Bearer secret");
    assert_eq!(seen[0].1["x-heartbreak-user"], "ana");
    assert!(seen[0].1.get("idempotency-key").is_none());
    assert_eq!(seen[1].0, "GET /api/v1/runs/..%2Fhalt/report.md");
}

#[tokio::test]
async fn a_command_carries_a_key_of_its_own() {
    let seen = Seen::default();
    let client = client(operator(seen.clone()).await);
    for _ in 0..2 {
        let reply: Reply = client
            .post(&["halt"], &json!({ "reason": "fire" }))
            .await
            .unwrap();
        assert_eq!(reply, Reply::Done("Halted.".into()));
    }
    let seen = seen.lock().unwrap();
    assert_eq!(seen[0].2, json!({ "reason": "fire" }));
    assert_ne!(seen[0].1["idempotency-key"], seen[1].1["idempotency-key"]);
}

#[tokio::test]
async fn a_401_says_where_a_token_was_looked_for() {
    let trouble = trouble("policies").await;
    assert_eq!(trouble.exit, Exit::Refused);
    insta::assert_snapshot!(trouble, @r"
    a token is needed
    A token was looked for in:
      /var/lib/heartbreak/token: its token was sent
    Name a file with --token-file or $HEARTBREAK_TOKEN_FILE.
    ");
}

#[tokio::test]
async fn problems_keep_their_sentence_and_get_their_code() {
    let trouble = trouble("status").await;
    assert_eq!(trouble, Trouble::new(Exit::Unreachable, "the journal"));
    let client = client(operator(Seen::default()).await);
    let refused = client.post::<Reply>(&["resume"], &json!({})).await.unwrap_err();
    assert_eq!(refused, Trouble::new(Exit::Refused, "not halted"));
}

#[tokio::test]
async fn something_else_on_the_port_is_not_taken_for_an_operator() {
    let trouble = trouble("runs").await;
    assert_eq!(trouble.exit, Exit::Unreachable);
    assert!(trouble.text.contains("not as a Heartbreak does"), "{trouble}");
}

#[tokio::test]
async fn an_answer_of_another_version_is_not_guessed_at() {
    let trouble = trouble("gates").await;
    assert_eq!(trouble.exit, Exit::Ours);
    assert!(trouble.text.contains("of the same version?"), "{trouble}");
}

#[tokio::test]
async fn a_token_follows_no_redirect() {
    let seen = Seen::default();
    let client = client(operator(seen.clone()).await);
    assert!(client.get::<Value>(&["why"], &[]).await.is_err());
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn nobody_there_says_what_to_do() {
    // A port that was just free, and a listener that is gone.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    drop(listener);
    let trouble = client(url.clone())
        .get::<Value>(&["status"], &[])
        .await
        .unwrap_err();
    assert_eq!(trouble.exit, Exit::Unreachable);
    let text = trouble.text.replace(url.as_str(), "URL/");
    insta::assert_snapshot!(text, @r"
    no operator answers at URL/: tcp connect error: Connection refused (os error 111); nothing was asked of it.
    Start one with `heartbreak run`, or say where it is with --url or $HEARTBREAK_URL.
    ");
}
