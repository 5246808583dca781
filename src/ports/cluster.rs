//! A Marathon: look, and harm with a permit.

pub use super::Permit;
use crate::model::ids::{AppId, InstanceId, IntentId, TaskId};
use crate::model::plan::Target;
use crate::model::policy::{AppPattern, LabelSelector};
use crate::model::snapshot::{Agent, App, Gap, GapKind, Snapshot};
use async_trait::async_trait;
use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::time::Duration;

/// One cluster.
#[async_trait]
pub trait Cluster: Send + Sync {
    /// Looks at everything the queries let through. Never fails: what could not be seen is a gap.
    async fn look(&self, queries: &[Query]) -> Snapshot;

    /// Looks at one app with its tasks, quickly; for watching a run.
    ///
    /// # Errors
    ///
    /// The gap, when the app could not be seen. `Ok(None)` when Marathon says that there is none.
    async fn look_at(&self, app: &AppId) -> Result<Option<App>, Gap>;

    /// Whether anybody answers there at all, whatever is said: tells "we are cut off" from "the service is
    /// down" while a run is watched. Marathon's `/ping`.
    ///
    /// # Errors
    ///
    /// Why nobody answered, in a sentence.
    async fn ping(&self) -> Result<(), String>;

    /// Asks in one request whether the cluster answers, while nothing is going on. Gives the number of apps
    /// that the query lets through.
    ///
    /// # Errors
    ///
    /// Why it could not be seen, in a sentence.
    async fn relist(&self, query: &Query) -> Result<usize, String> {
        let seen = self.look(std::slice::from_ref(query)).await;
        match seen.gaps.into_iter().next() {
            None => Ok(seen.apps.len()),
            Some(gap) => Err(gap.why),
        }
    }

    /// Every Mesos agent, as the leading master knows it. Asked only for policies whose fault is about
    /// agents, right after a look.
    ///
    /// # Errors
    ///
    /// The gap, when they could not be seen.
    async fn agents(&self) -> Result<Vec<Agent>, Gap> {
        Err(Gap {
            app: None,
            what: GapKind::Agents,
            why: "the settings name no Mesos masters for this cluster (`clusters[].mesos.urls`)".to_owned(),
        })
    }

    /// Sends one kill request, once, and never again.
    ///
    /// Connects first, then asks `last_look` (in memory, no await), then writes. Once `last_look`
    /// has said yes the request counts as sent.
    async fn kill(&self, order: &KillOrder, permit: &Permit, last_look: &dyn LastLook) -> KillAnswer;
}

/// Which apps a look is about. An app is asked for when one of the queries lets it through; a look keeps
/// no other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Its labels must match; `None` leaves them free.
    pub selector: Option<LabelSelector>,
    /// Its id must match every one of these; none at all leave it free.
    pub ids: Vec<AppPattern>,
}

impl Query {
    /// Asks for every app.
    pub fn all() -> Self {
        Self::default()
    }

    /// Asks for one app, whatever its labels are.
    pub fn app(id: &AppId) -> Self {
        Self {
            selector: None,
            ids: vec![AppPattern(id.to_string())],
        }
    }

    /// Whether it asks for this app, as far as the id says.
    pub fn names(&self, id: &AppId) -> bool {
        self.ids.iter().all(|pattern| pattern.matches(id))
    }

    /// Whether it asks for this app.
    pub fn matches<K: Borrow<str> + Ord>(&self, id: &AppId, labels: &BTreeMap<K, String>) -> bool {
        self.names(id) && self.selector.as_ref().is_none_or(|s| s.matches(labels))
    }
}

/// One kill request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KillOrder {
    /// Goes out as `X-Heartbreak-Intent`.
    pub intent: IntentId,
    /// Exactly these ids, in this order.
    pub tasks: Vec<TaskId>,
    /// Where the tasks are a pod's: then its instances are what is asked for.
    pub pod: Option<PodInstances>,
    /// How long to wait for the answer.
    pub timeout: Duration,
}

/// Instances of one pod, in the order of the tasks that stand for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodInstances {
    /// The pod.
    pub pod: AppId,
    /// One for each task of the order.
    pub instances: Vec<InstanceId>,
}

impl KillOrder {
    /// The order for one step.
    ///
    /// # Errors
    ///
    /// When its targets can't be asked for in one request, which a plan of ours never has: apps and pods
    /// together, or more than one pod.
    pub fn of(intent: IntentId, targets: &[Target], timeout: Duration) -> Result<Self, String> {
        let pods: Vec<&Target> = targets.iter().filter(|t| t.pod).collect();
        let pod = match pods.first() {
            None => None,
            Some(first) if pods.len() == targets.len() && pods.iter().all(|t| t.app == first.app) => {
                Some(PodInstances {
                    pod: first.app.clone(),
                    instances: pods.iter().map(|t| t.instance.clone()).collect(),
                })
            }
            Some(first) => {
                return Err(format!(
                    "instances of pod {} can't be ended in one request with anything else",
                    first.app
                ));
            }
        };
        Ok(Self {
            intent,
            tasks: targets.iter().map(|t| t.task.clone()).collect(),
            pod,
            timeout,
        })
    }
}

/// Asked after the connection stands and before the first byte goes out.
pub trait LastLook: Send + Sync {
    /// Why nothing may be sent any more; `None` lets the request out, and from then on it counts as sent.
    fn closed(&self) -> Option<String>;
}

/// What is known right after a kill request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KillAnswer {
    /// Not a byte was written.
    NotSent {
        /// Why.
        why: String,
    },
    /// 200 and a task list: the ids Marathon names. Accepted is not dead.
    Accepted {
        /// As answered, without those Marathon left out.
        tasks: Vec<TaskId>,
    },
    /// A definite no: 400, 401, 403, 404, 422, or the 502 that says there is no leader.
    Refused {
        /// HTTP status.
        status: u16,
        /// In a sentence.
        why: String,
    },
    /// Anything else: may have happened, may yet happen.
    Unanswered {
        /// In a sentence.
        why: String,
    },
    /// A rehearsal wrote it down.
    WrittenDown,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(app: &str, task: &str, instance: &str, pod: bool) -> Target {
        Target {
            app: app.into(),
            task: task.into(),
            instance: instance.into(),
            host: "h".into(),
            pod,
            agent: None,
        }
    }

    #[test]
    fn tasks_of_apps_and_instances_of_one_pod_are_orders_and_nothing_mixed_is() {
        let of = |targets: &[Target]| KillOrder::of("r/1".into(), targets, Duration::ZERO);
        let (a, b) = (target("/a", "a.1", "a", false), target("/b", "b.1", "b", false));
        let (p, q) = (
            target("/p", "p.i.c.1", "p.i", true),
            target("/q", "q.i.c.1", "q.i", true),
        );
        let order = of(&[a.clone(), b]).expect("one request can ask for tasks of several apps");
        assert!(order.pod.is_none() && order.tasks == ["a.1".into(), "b.1".into()]);
        let order = of(std::slice::from_ref(&p)).expect("one pod");
        let pod = order.pod.expect("it is a pod's");
        assert_eq!((pod.pod.as_str(), pod.instances), ("/p", vec!["p.i".into()]));
        assert_eq!(order.tasks, ["p.i.c.1".into()]);
        assert!(of(&[p.clone(), a]).is_err());
        assert!(
            of(&[p, q])
                .expect_err("two pods")
                .contains("pod /p can't be ended in one request")
        );
    }
}
