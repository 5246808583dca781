//! Who answers: version, features and framework id, asked once for each leader.
//!
//! `/v2/info` is asked when nothing is known, when any answer names another leader than the one that was
//! asked (mixed versions during an upgrade), after every kill, and when what is known is older than a snapshot may be. So
//! the framework id behind a decision (I18) is never older than the rest of what it rests on was allowed to be.

use super::client::{Answer, Client};
use super::wire;
use crate::model::snapshot::{ClusterInfo, MarathonVersion};
use chrono::{DateTime, Utc};
use reqwest::header;
use std::sync::PoisonError;
use std::time::Duration;

/// As long as a snapshot is trusted (`engine::gates::freshness`, I15).
const INFO_AGE_MAX: Duration = Duration::from_secs(10);

/// What one leader said of itself.
#[derive(Clone)]
pub(super) struct Probed {
    info: ClusterInfo,
    leader: Option<String>,
    at: Duration,
}

impl Client {
    /// What the leader says of itself, asked anew where that has to be.
    ///
    /// # Errors
    ///
    /// Why it can't be known, in a sentence.
    pub(super) async fn info(&self) -> Result<ClusterInfo, String> {
        if let Some(known) = self.known_info() {
            return Ok(known);
        }
        let at = self.options.clock.elapsed();
        let before = self.options.clock.now();
        let answer = self
            .read_ok(&["v2", "info"], &[], self.options.max_body_bytes)
            .await?;
        let middle = before + (self.options.clock.now() - before) / 2;
        let leader = self.told_leader();
        let info = understood(&answer, leader.as_deref(), middle)?;
        let mut probed = self.probed.lock().unwrap_or_else(PoisonError::into_inner);
        if probed
            .as_ref()
            .is_none_or(|p| p.info.version != info.version || p.leader != leader)
        {
            tracing::info!(
                cluster = %self.options.cluster, version = %info.version, leader,
                task_killing = info.task_killing, proxy_timeout_ms = info.proxy_timeout_ms,
                "Marathon was asked who it is"
            );
        }
        *probed = Some(Probed {
            info: info.clone(),
            leader,
            at,
        });
        Ok(info)
    }

    fn known_info(&self) -> Option<ClusterInfo> {
        let leader = self.told_leader();
        let now = self.options.clock.elapsed();
        let probed = self.probed.lock().unwrap_or_else(PoisonError::into_inner);
        let known = probed.as_ref()?;
        let young = now.saturating_sub(known.at) < INFO_AGE_MAX;
        (known.leader == leader && young).then(|| known.info.clone())
    }

    /// The next look asks anew.
    pub(super) fn forget_info(&self) {
        *self.probed.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn understood(answer: &Answer, leader: Option<&str>, middle: DateTime<Utc>) -> Result<ClusterInfo, String> {
    let info: wire::Info = serde_json::from_slice(&answer.body)
        .map_err(|e| format!("its answer is {}: {e}", wire::said(&answer.body)))?;
    let date = answer.headers.get(header::DATE).and_then(|d| d.to_str().ok());
    let date = date
        .and_then(|d| DateTime::parse_from_rfc2822(d).ok())
        .map(|d| d.with_timezone(&Utc));
    Ok(ClusterInfo {
        version: MarathonVersion::parse(&info.version)
            .ok_or_else(|| format!("its version {:?} is not a version", info.version))?,
        task_killing: info.has_feature("task_killing"),
        proxy_timeout_ms: info.proxy_timeout_ms(),
        leader: leader.map(str::to_owned).or(info.leader),
        clock_offset_ms: date.map(|d| (d - middle).num_milliseconds()),
        framework_id: info
            .framework_id
            .filter(|id| !id.is_empty())
            .ok_or("it has no framework id yet: Marathon is not registered with Mesos")?,
    })
}

#[cfg(test)]
#[cfg(test)]
#[path = "probe_test.rs"]
mod tests;
