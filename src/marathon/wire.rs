//! Marathon's JSON as it is for 1.4 to 1.11.
//!
//! Only what is used is named; everything else may be there, absent or null. `unreachableStrategy`
//! (object or string) and `details` (string or array) therefore never get in the way. A field that is
//! used and has the wrong type makes its app unreadable, never smaller.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// `GET /v2/apps`: each app is read on its own, so that one bad app does not hide the others.
#[derive(Deserialize)]
pub(super) struct AppList<'a> {
    #[serde(borrow)]
    pub apps: Vec<&'a RawValue>,
}

/// `GET /v2/apps/{id}`.
#[derive(Deserialize)]
pub(super) struct OneApp<'a> {
    #[serde(borrow)]
    pub app: &'a RawValue,
}

/// Just enough to say which app could not be read.
#[derive(Deserialize)]
pub(super) struct OnlyId {
    pub id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct App {
    pub id: String,
    pub instances: u32,
    pub labels: Option<BTreeMap<String, String>>,
    pub version: Option<String>,
    pub health_checks: Option<Vec<IgnoredAny>>,
    pub residency: Option<IgnoredAny>,
    pub container: Option<Container>,
    pub constraints: Option<Vec<Vec<String>>>,
    pub deployments: Option<Vec<DeploymentRef>>,
    pub tasks: Option<Vec<Task>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Container {
    pub volumes: Option<Vec<Volume>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Volume {
    pub persistent: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
pub(super) struct DeploymentRef {
    pub id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Task {
    pub id: String,
    pub app_id: String,
    pub host: String,
    pub state: String,
    pub slave_id: Option<String>,
    pub staged_at: Option<DateTime<Utc>>,
    pub started_at: Option<DateTime<Utc>>,
    pub version: Option<String>,
    pub health_check_results: Option<Vec<HealthResult>>,
    pub local_volumes: Option<Vec<IgnoredAny>>,
    pub region: Option<String>,
    pub zone: Option<String>,
}

/// Its `instanceId` reads `instance [web.instance-…]`, in words, and is not used.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HealthResult {
    pub alive: bool,
    pub first_success: Option<DateTime<Utc>>,
    pub last_success: Option<DateTime<Utc>>,
}

/// `GET /v2/info`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Info {
    pub framework_id: Option<String>,
    pub version: String,
    pub leader: Option<String>,
}

/// One of `GET /v2/deployments`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Deployment {
    pub id: String,
    pub affected_apps: Vec<String>,
}

/// `GET /v2/queue`.
#[derive(Debug, Deserialize)]
pub(super) struct Queue {
    pub queue: Vec<Queued>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Queued {
    /// Absent for pods.
    pub app: Option<QueuedApp>,
    pub delay: Option<Delay>,
}

#[derive(Debug, Deserialize)]
pub(super) struct QueuedApp {
    pub id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Delay {
    pub time_left_seconds: Option<i64>,
}

/// The answer of a kill.
#[derive(Debug, Deserialize)]
pub(super) struct Killed {
    pub tasks: Vec<KilledTask>,
}

#[derive(Debug, Deserialize)]
pub(super) struct KilledTask {
    pub id: String,
}

/// An error, where it is JSON at all.
#[derive(Debug, Deserialize)]
pub(super) struct Problem {
    pub message: String,
}

/// The message of a JSON error body.
pub(super) fn message(body: &[u8]) -> Option<String> {
    serde_json::from_slice::<Problem>(body).ok().map(|p| p.message)
}

/// What a body says, short and harmless enough for a sentence.
pub(super) fn said(body: &[u8]) -> String {
    if let Some(message) = message(body) {
        let clean: String = message
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(300)
            .collect();
        return format!("\"{}\"", clean.trim());
    }
    match body.iter().find(|b| !b.is_ascii_whitespace()) {
        None => "an empty body".to_owned(),
        Some(b'<') => "an HTML page".to_owned(),
        Some(_) => "a body that is not Marathon's JSON".to_owned(),
    }
}
