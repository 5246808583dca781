//! What machines ask without a token: alive, ready, and numbers.

use super::Door;
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

/// A loop that has not turned for this long is stuck: one turn takes seconds, and a look at a cluster
/// gives up well within a minute.
const LOOP_STUCK_AFTER: Duration = Duration::from_secs(120);

/// Whether everything that is needed is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// One for each thing that is needed: store, each cluster, policies.
    pub checks: Vec<Check>,
}

/// Whether one needed thing is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What: `store`, `cluster prod`, `policies`.
    pub what: String,
    /// Whether it is there.
    pub ok: bool,
    /// In a sentence: why not, or how it was seen.
    pub why: String,
}

impl Readiness {
    /// Whether all of it is there. Nothing checked is not ready.
    pub fn is_ready(&self) -> bool {
        !self.checks.is_empty() && self.checks.iter().all(|c| c.ok)
    }
}

/// `GET /healthz`: the process turns its loop.
pub(super) async fn healthz(State(door): State<Arc<Door>>) -> Response {
    let age = (door.turned)();
    let stuck = age.is_none_or(|age| age > LOOP_STUCK_AFTER);
    let line = match age {
        None => "the loop has not turned yet\n".to_owned(),
        Some(age) if stuck => format!("the loop last turned {} s ago\n", age.as_secs()),
        Some(_) => "ok\n".to_owned(),
    };
    (
        if stuck {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            StatusCode::OK
        },
        line,
    )
        .into_response()
}

/// `GET /readyz`: which of the needed things is not there.
pub(super) async fn readyz(State(door): State<Arc<Door>>) -> Response {
    let readiness = (door.ready)();
    let ready = readiness.is_ready();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (
        status,
        Json(serde_json::json!({ "ready": ready, "checks": readiness.checks })),
    )
        .into_response()
}

/// `GET /metrics`: Prometheus text.
pub(super) async fn metrics(State(door): State<Arc<Door>>) -> Response {
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        door.metrics.render(),
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_checked_is_not_ready() {
        let check = |ok| Check {
            what: "store".into(),
            ok,
            why: String::new(),
        };
        assert!(!Readiness { checks: vec![] }.is_ready());
        assert!(
            Readiness {
                checks: vec![check(true)]
            }
            .is_ready()
        );
        assert!(
            !Readiness {
                checks: vec![check(true), check(false)]
            }
            .is_ready()
        );
    }
}
