//! The page.
use super::Slack;
use axum::Router;

/// The page's addresses.
pub(super) fn routes() -> Router<Slack> {
    Router::new()
}
