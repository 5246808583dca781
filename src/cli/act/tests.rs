//! Stopping when all else fails, and waiting for a run to its verdict.

use super::*;
use crate::cli::client::Place;
use crate::cli::show::tests::run_view;
use crate::cli::show::{Format, Pen};
use crate::cli::works::Work;
use crate::model::verdict::{HypothesisResult, Outcome};
use crate::ports::clock::Clock;
use async_trait::async_trait;
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use url::Url;

#[test]
fn the_halt_file_holds_the_first_reason() {
    let dir = tempfile::tempdir().unwrap();
    assert!(
        write_halt_file(dir.path(), "fire")
            .unwrap()
            .contains("is written")
    );
    assert!(
        write_halt_file(dir.path(), "more fire")
            .unwrap()
            .contains("was there already")
    );
    assert_eq!(
        std::fs::read_to_string(dir.path().join("halt")).unwrap(),
        "fire\n"
    );
}

#[test]
fn a_state_directory_that_is_not_there_is_no_halt() {
    let dir = tempfile::tempdir().unwrap();
    assert!(write_halt_file(&dir.path().join("none"), "fire").is_err());
}

fn out() -> Out {
    Out {
        format: Format::Table,
        pen: Pen::default(),
        now: Still.now(),
    }
}

fn client(url: &str, state_dir: &Path) -> Result<Client, Trouble> {
    // The binary does this first; a second time changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let url = Url::parse(url).unwrap();
    Client::new(Place {
        url,
        token: None,
        looked: vec![],
        user: None,
        state_dir: state_dir.into(),
    })
}

async fn serve(app: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}")
}

/// An address where nobody listens.
async fn nobody() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

fn fire() -> Reason {
    Reason {
        reason: vec!["a".into(), "fire".into()],
    }
}

fn halt_file(dir: &Path) -> Option<String> {
    std::fs::read_to_string(dir.join("halt")).ok()
}

#[tokio::test]
async fn a_halt_goes_through_the_api_and_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let app = Router::new().route(
        "/api/v1/halt",
        post(|| async { Json(Reply::Done("Halted.".into())) }),
    );
    let url = serve(app).await;
    let exit = halt(fire(), client(&url, dir.path()), dir.path(), &out()).await;
    assert_eq!(exit, Ok(Exit::Done));
    assert_eq!(halt_file(dir.path()).as_deref(), Some("a fire\n"));
}

#[tokio::test]
async fn a_halt_without_an_operator_leaves_the_file_and_says_that_nobody_confirmed() {
    let dir = tempfile::tempdir().unwrap();
    let url = nobody().await;
    let trouble = halt(fire(), client(&url, dir.path()), dir.path(), &out())
        .await
        .unwrap_err();
    assert_eq!(trouble.exit, Exit::Unreachable);
    assert!(trouble.text.contains("none has confirmed it"), "{trouble}");
    assert_eq!(halt_file(dir.path()).as_deref(), Some("a fire\n"));
}

#[tokio::test]
async fn a_halt_writes_the_file_even_when_no_client_can_be_made() {
    let dir = tempfile::tempdir().unwrap();
    let broken = Err(Trouble::new(Exit::BadInput, "the token file cannot be used"));
    let trouble = halt(fire(), broken, dir.path(), &out()).await.unwrap_err();
    assert_eq!(trouble.exit, Exit::BadInput);
    assert_eq!(halt_file(dir.path()).as_deref(), Some("a fire\n"));
}

#[tokio::test]
async fn a_halt_that_reached_nothing_says_so_in_capitals() {
    let dir = tempfile::tempdir().unwrap();
    let none = dir.path().join("none");
    let url = nobody().await;
    let trouble = halt(fire(), client(&url, &none), &none, &out())
        .await
        .unwrap_err();
    assert!(trouble.text.starts_with("NOT HALTED"), "{trouble}");
}

#[tokio::test]
async fn another_hosts_halt_does_not_stop_the_operator_here() {
    let dir = tempfile::tempdir().unwrap();
    // A name that cannot resolve (RFC 6761), so that nothing leaves this machine.
    let far = client("http://operator.invalid:1", dir.path());
    assert!(halt(fire(), far, dir.path(), &out()).await.is_err());
    assert_eq!(halt_file(dir.path()), None);
}

/// Never waits.
pub(in crate::cli) struct Still;

#[async_trait]
impl Clock for Still {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_442_400, 0).unwrap()
    }
    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
    async fn sleep(&self, _: Duration) {
        tokio::task::yield_now().await;
    }
}

pub(in crate::cli) fn works() -> Works {
    fn none<A: 'static, T: Send + 'static>() -> Work<A, T> {
        Box::new(|_| async { Err(Trouble::new(Exit::Ours, "not part of this test")) }.boxed())
    }
    Works {
        clock: Arc::new(Still),
        run: none(),
        check: none(),
        plan_snapshot: none(),
        save_snapshot: none(),
        why_snapshot: none(),
        timeline_journal: none(),
        history_journal: none(),
        rehearse: none(),
        forecast: none(),
        render: Arc::new(|report, form| format!("{form:?} of {}, alone", report.run).into_bytes()),
        trend: Arc::new(|past, form| format!("{form:?} of {}", past.app).into_bytes()),
        audit_verify: none(),
        schema: Box::new(|_| Ok(String::new())),
        demo: none(),
        sim: none(),
    }
}

/// An operator whose run ends at the third look with this verdict, and that is away at the second.
async fn wait_for(outcome: Outcome, hypothesis: HypothesisResult) -> Result<Exit, Trouble> {
    let mut ended = run_view();
    let mut open = ended.clone();
    (open.run.phase, open.run.verdict) = (Phase::Baseline, None);
    if let Some(verdict) = &mut ended.run.verdict {
        (verdict.outcome, verdict.hypothesis) = (outcome, hypothesis);
    }
    let reply = Reply::Run(Box::new(open.clone()));
    let looks = Arc::new(AtomicU32::new(0));
    let look = move || {
        let answer = match looks.fetch_add(1, Ordering::SeqCst) {
            0 => Ok(Json(open.clone())),
            1 => {
                let problem = json!({ "type": "urn:heartbreak:unavailable", "title": "t", "detail": "away" });
                Err((axum::http::StatusCode::SERVICE_UNAVAILABLE, Json(problem)))
            }
            _ => Ok(Json(ended.clone())),
        };
        async move { answer }
    };
    let app = Router::new()
        .route(
            "/api/v1/policies/cart/runs",
            post(move || async move { Json(reply) }),
        )
        .route("/api/v1/runs/r-7Q2MK4XN", get(look));
    let client = client(&serve(app).await, Path::new("/nowhere"))?;
    start(
        Start {
            policy: "cart".into(),
            wait: true,
        },
        &client,
        &works(),
        &mut out(),
    )
    .await
}

#[tokio::test]
async fn waiting_outlives_a_short_absence_and_ends_with_the_verdicts_code() {
    assert_eq!(
        wait_for(Outcome::Completed, HypothesisResult::Held).await,
        Ok(Exit::Done)
    );
    assert_eq!(
        wait_for(Outcome::Aborted, HypothesisResult::Disproved).await,
        Ok(Exit::Disproved)
    );
    assert_eq!(
        wait_for(Outcome::Skipped, HypothesisResult::NotTested).await,
        Ok(Exit::Skipped)
    );
}

#[tokio::test]
async fn a_run_that_disappears_is_no_verdict() {
    let app = Router::new().route(
        "/api/v1/policies/cart/runs",
        post(|| async { Json(Reply::Run(Box::new(run_view()))) }),
    );
    let client = client(&serve(app).await, Path::new("/nowhere")).unwrap();
    let waited = start(
        Start {
            policy: "cart".into(),
            wait: true,
        },
        &client,
        &works(),
        &mut out(),
    )
    .await;
    let trouble = waited.unwrap_err();
    assert!(trouble.exit >= Exit::Usage, "{trouble}");
    assert!(trouble.text.contains("goes on"), "{trouble}");
}

#[tokio::test]
async fn approving_without_a_digest_sends_nothing() {
    let app = Router::new().route("/api/v1/runs/r-7Q2MK4XN", get(|| async { Json(run_view()) }));
    let client = client(&serve(app).await, Path::new("/nowhere")).unwrap();
    let args = Approve {
        run: "r-7Q2MK4XN".into(),
        digest: None,
    };
    let trouble = approve(args, &client, &out()).await.unwrap_err();
    assert_eq!(trouble.exit, Exit::Usage);
    assert!(
        trouble
            .text
            .contains("heartbreak approve r-7Q2MK4XN abababababab"),
        "{trouble}"
    );
}
