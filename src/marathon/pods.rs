//! Pods: each instance of a pod is one row of what the model calls an app.
//!
//! A row is named after its first container's task id, which counts incarnations on 1.8 and later as an
//! app's task id does; what is killed is the instance, by its own id.

use super::convert::{Seen, state};
use super::wire;
use crate::model::ids::{AgentId, AppId, InstanceId, TaskId, Word};
use crate::model::snapshot::{App, Gap, GapKind, Health, Task, TaskState};
use crate::ports::cluster::Query;
use std::collections::BTreeSet;

impl Seen {
    /// Takes in the pods of `GET /v2/pods/::status` that a query lets through: Marathon does not filter
    /// them. Gives the ids of all there are, or nothing when that can't be known.
    pub fn take_pods(&mut self, body: &[u8], queries: &[Query]) -> Option<BTreeSet<AppId>> {
        let list: wire::PodList<'_> = match serde_json::from_slice(body) {
            Ok(list) => list,
            Err(e) => {
                let why = format!("the list of pods could not be read ({}): {e}", wire::said(body));
                self.gaps.push(Gap {
                    app: None,
                    what: GapKind::Pods,
                    why,
                });
                return None;
            }
        };
        let mut ids = BTreeSet::new();
        let mut all = true;
        for raw in list.0 {
            match pod(raw.get()) {
                Ok(pod) => {
                    ids.insert(pod.id.clone());
                    if !queries.iter().any(|q| q.matches(&pod.id, &pod.labels)) {
                        continue;
                    }
                    if self.apps.contains_key(&pod.id) {
                        let why = format!("Marathon lists {} as an app and as a pod", pod.id);
                        self.lose(Gap {
                            app: Some(pod.id),
                            what: GapKind::Pods,
                            why,
                        });
                    } else {
                        self.apps.insert(pod.id.clone(), pod);
                    }
                }
                Err(gap) => {
                    all = false;
                    self.lose(gap);
                }
            }
        }
        all.then_some(ids)
    }
}

/// Reads one pod with its instances.
///
/// # Errors
///
/// A gap: with the pod's id where that at least could be read, else touching every pod.
pub(super) fn pod(json: &str) -> Result<App, Gap> {
    let gap = |app, why| Gap {
        app,
        what: GapKind::Pods,
        why,
    };
    let id = serde_json::from_str::<wire::OnlyId<'_>>(json)
        .map_err(|e| format!("a pod without a readable id was listed: {e}"))
        .and_then(|only| AppId::parse(&only.id))
        .map_err(|why| gap(None, why))?;
    readable(json).map_err(|why| {
        let why = format!("what Marathon says of pod {id} could not be read: {why}");
        gap(Some(id), why)
    })
}

fn readable(json: &str) -> Result<App, String> {
    let pod: wire::Pod = serde_json::from_str(json).map_err(|e| e.to_string())?;
    let spec = pod.spec;
    let checks = spec
        .containers
        .iter()
        .filter(|c| c.health_check.is_some())
        .count();
    let graces = spec
        .containers
        .iter()
        .filter_map(|c| c.lifecycle.as_ref()?.kill_grace_period_seconds);
    let instances = pod.instances.unwrap_or_default();
    let resident = spec.volumes.iter().flatten().any(|v| v.persistent.is_some())
        || instances
            .iter()
            .any(|i| i.local_volumes.as_ref().is_some_and(|v| !v.is_empty()));
    let mut ids = BTreeSet::new();
    let mut tasks = Vec::with_capacity(instances.len());
    for instance in instances {
        let bad = instance.id.is_empty() || instance.id.chars().any(char::is_control);
        if bad || !ids.insert(instance.id.clone()) {
            return Err(format!(
                "instance id {:?} is empty, listed twice or has control characters",
                instance.id
            ));
        }
        tasks.push(row(instance, checks));
    }
    Ok(App {
        id: AppId::parse(&pod.id)?,
        instances: spec.scaling.instances,
        labels: spec
            .labels
            .unwrap_or_default()
            .into_iter()
            .map(|(key, value)| (Word::new(key), value))
            .collect(),
        version: spec.version.unwrap_or_default(),
        health_checked: checks > 0,
        resident,
        constraints: spec
            .scheduling
            .and_then(|s| s.placement?.constraints)
            .unwrap_or_default()
            .into_iter()
            .map(|c| match c.value {
                Some(value) => format!("{}:{}:{value}", c.field_name, c.operator),
                None => format!("{}:{}", c.field_name, c.operator),
            })
            .collect(),
        // Only `/v2/deployments` says them.
        deployments: vec![],
        launch_delay_s: None,
        // No grace period is longer than a day; a cast of less is exact enough.
        kill_grace_s: graces
            .reduce(f64::max)
            .map(|s| s.clamp(0.0, 86_400.0).ceil() as u64),
        pod: true,
        tasks,
    })
}

fn row(instance: wire::PodInstance, checks: usize) -> Task {
    let mut containers = instance.containers.unwrap_or_default();
    containers.sort_by(|a, b| a.name.cmp(&b.name));
    let first = containers.iter().find_map(|c| c.container_id.as_deref());
    let id = first.unwrap_or(&instance.id).to_owned();
    let incarnation = id
        .strip_prefix(&instance.id)
        .and_then(|rest| rest.rsplit_once('.')?.1.parse().ok());
    let states: Vec<TaskState> = containers.iter().map(|c| state(&c.status)).collect();
    let has = |wanted: &TaskState| states.iter().any(|s| s == wanted);
    let all_run = !states.is_empty() && states.iter().all(|s| *s == TaskState::Running);
    let state = match instance.status.as_str() {
        "TERMINAL" => TaskState::Over("TERMINAL".to_owned()),
        _ if has(&TaskState::Unreachable) => TaskState::Unreachable,
        _ if has(&TaskState::Killing) => TaskState::Killing,
        "STABLE" | "DEGRADED" if all_run => TaskState::Running,
        "PENDING" | "STAGING" => TaskState::Staging,
        other => TaskState::Other(other.to_owned()),
    };
    let reports: Vec<&wire::Condition> = containers
        .iter()
        .flat_map(|c| c.conditions.iter().flatten())
        .filter(|c| c.name == "healthy")
        .collect();
    let health = if reports.is_empty() {
        Health::Unreported
    } else {
        let successes: Option<Vec<_>> = reports.iter().map(|r| r.last_updated).collect();
        Health::Reported {
            alive: reports.iter().all(|r| r.value == "true"),
            last_success: successes
                .filter(|_| reports.len() >= checks)
                .and_then(|all| all.into_iter().min()),
            first_success: None,
        }
    };
    Task {
        id: TaskId::new(id),
        incarnation,
        host: Word::new(instance.agent_hostname.unwrap_or_default()),
        port: None,
        agent: instance.agent_id.filter(|a| !a.is_empty()).map(AgentId::new),
        staged_at: None,
        // All of it runs since the last of its containers does.
        started_at: containers
            .iter()
            .map(|c| c.status_since)
            .collect::<Option<Vec<_>>>()
            .filter(|_| state == TaskState::Running)
            .and_then(|all| all.into_iter().max()),
        state,
        version: None,
        health,
        region: instance.agent_region.map(Word::new),
        zone: instance.agent_zone.map(Word::new),
        instance: InstanceId::new(instance.id),
    }
}

#[cfg(test)]
#[path = "pods_test.rs"]
mod tests;
