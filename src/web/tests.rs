//! The door over real HTTP semantics, without a socket.

use super::api::{Ask, ROUTES};
use super::*;
use crate::model::command::{Asked, Role};
use crate::model::view::{Refusal, RefusalKind, Reply};
use async_trait::async_trait;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode};
use chrono::{DateTime, Utc};
use std::net::SocketAddr;
use std::sync::Mutex;
use tower_service::Service;

/// Remembers what it was asked and answers each question with a plain view, each command with a word.
#[derive(Default)]
struct Remembering {
    asked: Mutex<Vec<Asked>>,
    refuse: Option<Refusal>,
}

#[async_trait]
impl Inbox for Remembering {
    async fn ask(&self, asked: Asked) -> Result<Reply, Refusal> {
        use crate::model::command::Command;
        let reply = match &asked.command {
            Command::Policies => Reply::Policies(vec![]),
            Command::Runs { .. } => Reply::Runs(vec![]),
            Command::Timeline { .. } => Reply::Timeline(vec![]),
            Command::History { app } => Reply::History(Box::new(AppPast {
                app: app.clone(),
                at: Noon.now(),
                classes: vec![],
            })),
            command if command.is_question() => Reply::Help,
            _ => Reply::Done("done".into()),
        };
        self.asked.lock().unwrap().push(asked);
        match &self.refuse {
            Some(refusal) => Err(refusal.clone()),
            None => Ok(reply),
        }
    }
}

struct Noon;

#[async_trait]
impl Clock for Noon {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_442_400, 0).unwrap()
    }
    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
    async fn sleep(&self, _: Duration) {}
}

const ROLES: [Role; 5] = [
    Role::Viewer,
    Role::Stop,
    Role::Operator,
    Role::Approver,
    Role::Admin,
];

fn secret(role: Role) -> String {
    format!("{:-<32}", role.to_string())
}

fn door(inbox: Arc<Remembering>) -> Door {
    Door {
        inbox,
        tokens: ROLES
            .iter()
            .map(|r| Token::of_secret(&r.to_string(), *r, &secret(*r)).unwrap())
            .collect(),
        ready: Arc::new(|| Readiness {
            checks: vec![Check {
                what: "store".into(),
                ok: false,
                why: "disk full".into(),
            }],
        }),
        turned: Arc::new(|| Some(Duration::from_secs(1))),
        metrics: metrics_exporter_prometheus::PrometheusBuilder::new()
            .build_recorder()
            .handle(),
        clock: Arc::new(Noon),
        render: Arc::new(|_, _| vec![]),
        trend: Arc::new(|past, form| format!("{form:?} of {}", past.app).into_bytes()),
    }
}

async fn send(door: Door, request: Request<Body>) -> (StatusCode, axum::http::HeaderMap, String) {
    let response = Service::call(&mut router(door), request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap();
    (
        parts.status,
        parts.headers,
        String::from_utf8(bytes.to_vec()).unwrap(),
    )
}

/// A request that is well-formed for its route.
fn request(route: &super::api::Route, token: Option<&str>) -> Request<Body> {
    let path = route
        .path
        .replace("{run}", "r-7Q2MK4XN")
        .replace("{policy}", "cart");
    let query = match route.ask {
        Ask::Why => "?subject=cart",
        Ask::History | Ask::Trend(_) => "?app=/shop/cart",
        _ => "",
    };
    let body = match route.ask {
        Ask::Approve => r#"{"digest":"0123456789ab"}"#,
        Ask::Deny | Ask::Abort | Ask::AbortAll | Ask::Halt | Ask::Resume => r#"{"reason":"because"}"#,
        Ask::Clear => r#"{"intent":"r-7Q2MK4XN/1","reason":"because"}"#,
        _ => "",
    };
    let mut builder = Request::builder()
        .method(if route.post { "POST" } else { "GET" })
        .uri(path + query);
    if let Some(token) = token {
        builder = builder.header("authorization", format!("Bearer {token}"));
    }
    builder.body(Body::from(body)).unwrap()
}

/// What `surfaces` §3 promises, written down a second time.
fn promised(route: &super::api::Route) -> Role {
    match route.ask {
        Ask::Abort | Ask::AbortAll | Ask::Halt => Role::Stop,
        Ask::Start => Role::Operator,
        Ask::Approve | Ask::Deny => Role::Approver,
        Ask::Resume | Ask::Clear => Role::Admin,
        _ => Role::Viewer,
    }
}

#[tokio::test]
async fn every_route_lets_in_exactly_the_roles_it_promises() {
    for route in ROUTES {
        let callers = [(None, None), (None, Some("wrong".repeat(8)))]
            .into_iter()
            .chain(ROLES.iter().map(|role| (Some(*role), Some(secret(*role)))));
        for (role, token) in callers {
            let inbox = Arc::new(Remembering::default());
            let (status, _, body) = send(door(inbox.clone()), request(route, token.as_deref())).await;
            let expected_in = role.is_some_and(|role| role >= promised(route));
            let asked = inbox.asked.lock().unwrap().len();
            let seen = format!("{} as {role:?}: {status} {body}", route.path);
            assert_eq!(asked == 1, expected_in, "{seen}");
            match (role, expected_in) {
                (None, _) => assert_eq!(status, StatusCode::UNAUTHORIZED, "{seen}"),
                (Some(_), false) => assert_eq!(status, StatusCode::FORBIDDEN, "{seen}"),
                (Some(_), true) => assert!(!status.is_client_error(), "{seen}"),
            }
            if let (Some(role), true) = (role, expected_in) {
                assert_eq!(inbox.asked.lock().unwrap()[0].by.role, role);
            }
        }
    }
}

#[test]
fn whatever_changes_something_is_a_post_and_needs_more_than_a_viewer() {
    for route in ROUTES {
        assert_eq!(route.post, promised(route) > Role::Viewer, "{}", route.path);
    }
}

#[tokio::test]
async fn the_idempotency_key_reaches_the_operator() {
    let inbox = Arc::new(Remembering::default());
    let halt =
        || Request::post("/api/v1/halt").header("authorization", format!("Bearer {}", secret(Role::Stop)));
    let good = halt()
        .header("idempotency-key", "k-1")
        .body(Body::from(r#"{"reason":"x"}"#))
        .unwrap();
    assert_eq!(send(door(inbox.clone()), good).await.0, StatusCode::OK);
    assert_eq!(inbox.asked.lock().unwrap()[0].key.as_deref(), Some("k-1"));
    let bad = halt()
        .header("idempotency-key", "k".repeat(129))
        .body(Body::from(r#"{"reason":"x"}"#))
        .unwrap();
    assert_eq!(send(door(inbox.clone()), bad).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(inbox.asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_body_beyond_the_cap_reaches_nobody() {
    let inbox = Arc::new(Remembering::default());
    let body = format!(r#"{{"reason":"{}"}}"#, "x".repeat(BODY_BYTES_MAX));
    let request = Request::post("/api/v1/halt")
        .header("authorization", format!("Bearer {}", secret(Role::Stop)))
        .body(Body::from(body))
        .unwrap();
    assert_eq!(
        send(door(inbox.clone()), request).await.0,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    assert!(inbox.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_refusal_is_problem_json_about_its_run() {
    let refuse = Some(Refusal::new(
        RefusalKind::Conflict,
        "denied already; nothing was changed",
    ));
    let inbox = Arc::new(Remembering {
        refuse,
        ..Default::default()
    });
    let route = ROUTES.iter().find(|r| r.ask == Ask::Approve).unwrap();
    let (status, headers, body) = send(door(inbox), request(route, Some(&secret(Role::Approver)))).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(headers["content-type"], "application/problem+json");
    let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(problem["run"], "r-7Q2MK4XN");
    assert_eq!(problem["detail"], "denied already; nothing was changed");
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems_too() {
    for (method, path, expected) in [
        ("GET", "/nope", 404),
        ("GET", "/api/v1/halt", 405),
        ("POST", "/api/v1/status", 405),
    ] {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .body(Body::empty())
            .unwrap();
        let (status, headers, _) = send(door(Arc::default()), request).await;
        assert_eq!(status.as_u16(), expected, "{method} {path}");
        assert_eq!(headers["content-type"], "application/problem+json");
    }
}

#[tokio::test]
async fn health_tells_a_stuck_loop_from_a_turning_one() {
    for (age, expected) in [(None, 503), (Some(1), 200), (Some(600), 503)] {
        let mut door = door(Arc::default());
        door.turned = Arc::new(move || age.map(Duration::from_secs));
        let request = Request::get("/healthz").body(Body::empty()).unwrap();
        assert_eq!(send(door, request).await.0.as_u16(), expected, "{age:?}");
    }
}

#[tokio::test]
async fn readiness_says_which_is_not() {
    let request = Request::get("/readyz").body(Body::empty()).unwrap();
    let (status, _, body) = send(door(Arc::default()), request).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    insta::assert_snapshot!(body, @r#"{"checks":[{"ok":false,"what":"store","why":"disk full"}],"ready":false}"#);
}

#[tokio::test]
async fn the_pages_are_for_this_machine_and_for_bearers() {
    let ui = |path: &str, peer: &str, token: bool| {
        let mut request = Request::get(path)
            .header("host", "localhost:9480")
            .body(Body::empty())
            .unwrap();
        request
            .extensions_mut()
            .insert(ConnectInfo(peer.parse::<SocketAddr>().unwrap()));
        if token {
            let value = format!("Bearer {}", secret(Role::Viewer)).parse().unwrap();
            request.headers_mut().insert("authorization", value);
        }
        request
    };
    for path in [
        "/ui",
        "/ui/runs/r-7Q2MK4XN",
        "/ui/runs/r-7Q2MK4XN/report",
        "/ui/history?app=/shop/cart",
    ] {
        for (peer, token, let_in) in [
            ("10.0.0.9:1", false, false),
            ("10.0.0.9:1", true, true),
            ("127.0.0.1:1", false, true),
        ] {
            let inbox = Arc::new(Remembering::default());
            let (status, ..) = send(door(inbox.clone()), ui(path, peer, token)).await;
            let asked = inbox.asked.lock().unwrap();
            assert_eq!(!asked.is_empty(), let_in, "{path} {peer} {token}: {status}");
            assert_eq!(
                status == StatusCode::UNAUTHORIZED,
                !let_in,
                "{path} {peer} {token}"
            );
            assert!(
                asked
                    .iter()
                    .all(|a| a.by.role == Role::Viewer && a.command.is_question())
            );
        }
    }
}

#[tokio::test]
async fn the_trend_of_an_app_is_a_picture_of_its_kind() {
    for (path, kind, drawn) in [
        ("/api/v1/history.svg", "image/svg+xml", "Svg of /shop/cart"),
        ("/api/v1/history.png", "image/png", "Png of /shop/cart"),
    ] {
        let request = Request::get(format!("{path}?app=/shop/cart"))
            .header("authorization", format!("Bearer {}", secret(Role::Viewer)))
            .body(Body::empty())
            .unwrap();
        let (status, headers, body) = send(door(Arc::default()), request).await;
        assert_eq!((status, body.as_str()), (StatusCode::OK, drawn));
        assert!(
            headers["content-type"].to_str().unwrap().starts_with(kind),
            "{headers:?}"
        );
    }
}

#[tokio::test]
async fn no_answer_may_be_cached_framed_or_run() {
    let request = Request::get("/healthz").body(Body::empty()).unwrap();
    let (_, headers, _) = send(door(Arc::default()), request).await;
    assert_eq!(headers["cache-control"], "no-store");
    assert!(
        headers["content-security-policy"]
            .to_str()
            .unwrap()
            .starts_with("default-src 'none'")
    );
    assert!(headers.get("access-control-allow-origin").is_none());
}
