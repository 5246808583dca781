//! Adapter (axum): health, metrics, the API with its roles, and pages.
//!
//! Turns HTTP into what people ask of the [`Inbox`] and answers back; decides nothing. No cookies and
//! no CORS: whatever changes something needs a bearer token, which no web page can send for somebody.
//! Slack's routes are not here: they are an adapter of their own.

mod api;
mod auth;
mod metrics;
mod problem;
mod read;
mod ui;

pub use auth::Token;
pub use metrics::{Check, Readiness};
pub use problem::Problem;

use crate::model::past::AppPast;
use crate::model::report::{Form, Report};
use crate::ports::clock::Clock;
use crate::ports::inbox::Inbox;
use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use std::sync::Arc;
use std::time::Duration;

/// Largest body of a request: a reason and a digest fit a hundred times over.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Writes a report in one form.
pub type Render = Arc<dyn Fn(&Report, Form) -> Vec<u8> + Send + Sync>;

/// Draws the trend of an app, as SVG or PNG.
pub type RenderTrend = Arc<dyn Fn(&AppPast, Form) -> Vec<u8> + Send + Sync>;

/// What the web door needs.
#[derive(Clone)]
pub struct Door {
    /// Where everything that is asked goes.
    pub inbox: Arc<dyn Inbox>,
    /// Who may ask.
    pub tokens: Vec<Token>,
    /// What is there and what is not. Called on every `/readyz`; must not block.
    pub ready: Arc<dyn Fn() -> Readiness + Send + Sync>,
    /// How long ago the loop last turned; `None` before its first turn.
    pub turned: Arc<dyn Fn() -> Option<Duration> + Send + Sync>,
    /// What `/metrics` renders.
    pub metrics: PrometheusHandle,
    /// What "30 minutes ago" is counted from.
    pub clock: Arc<dyn Clock>,
    /// Renders reports: adapters do not know each other.
    pub render: Render,
    /// Draws trends.
    pub trend: RenderTrend,
}

/// Every route of this door.
///
/// Serve it with `into_make_service_with_connect_info::<SocketAddr>()`: without the peer's address
/// nobody counts as local, and `/ui` needs a token from everybody.
pub fn router(door: Door) -> Router {
    let door = Arc::new(door);
    api::routes()
        .route("/healthz", get(metrics::healthz))
        .route("/readyz", get(metrics::readyz))
        .route("/metrics", get(metrics::metrics))
        .merge(ui::routes())
        .fallback(|| async { Problem::not_found("there is no such path; nothing was done") })
        .method_not_allowed_fallback(|| async { Problem::method() })
        .layer(axum::middleware::map_response(guard_headers))
        .with_state(door)
}

/// Headers that every answer carries: nothing here may be cached, framed, sniffed or run.
async fn guard_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests;
