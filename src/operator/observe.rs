//! Looks: asks the ports, builds what decisions need, records every gap.

use super::Operator;
use crate::engine::gates::Facts;
use crate::engine::history::Ledger;
use crate::engine::ownership::Ownership;
use crate::model::gate::{Answer, PagerAnswer};
use crate::model::ids::{ClusterName, PersonId, PolicyName};
use crate::model::plan::Plan;
use crate::model::policy::{ApprovalRule, Policy, PolicySet, PolicyState};
use crate::model::snapshot::{Gap, GapKind, Snapshot};
use crate::ports::cluster::Query;
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// The longest a whole look may take before it counts as a gap.
const LOOK_MAX: Duration = Duration::from_secs(45);
/// The longest the Mesos masters may take together.
const AGENTS_MAX: Duration = Duration::from_secs(20);
/// The longest the pager and the user groups may take.
const ASK_MAX: Duration = Duration::from_secs(5);

/// What the gates need beside ledger, snapshot and plan, gathered before they are asked.
pub(super) struct Around {
    pub ownership: Ownership,
    pub halt_file: Result<Option<String>, String>,
    pub pager: PagerAnswer,
    pub members: Result<BTreeSet<PersonId>, String>,
    pub leader: Answer,
    pub watched: Option<crate::engine::gates::Watched>,
    pub drift: TimeDelta,
}

impl Around {
    pub(super) fn facts<'a>(
        &'a self,
        op: &'a Operator,
        policy: &'a Result<Arc<Policy>, String>,
        ledger: &'a Ledger,
        snapshot: &'a Snapshot,
        now: DateTime<Utc>,
    ) -> Facts<'a> {
        Facts {
            now,
            policy: policy.as_ref().map(|p| &**p).map_err(String::as_str),
            limits: &op.config.limits,
            ledger,
            snapshot,
            ownership: &self.ownership,
            armed: op.config.armed,
            leader: &self.leader,
            clock_drift: self.drift,
            halt_file: &self.halt_file,
            pager: &self.pager,
            watch: self.watched.as_ref(),
            members: &self.members,
        }
    }
}

impl Operator {
    /// The policy folder as it is now.
    pub(super) fn policy_set(&self) -> Arc<PolicySet> {
        self.policies.borrow().clone()
    }

    /// A policy, or why it is not active.
    pub(super) fn standing(&self, name: &PolicyName) -> Result<Arc<Policy>, String> {
        match self.policy_set().policies.get(name) {
            Some(PolicyState::Active(policy)) => Ok(policy.clone()),
            Some(PolicyState::Suspended { why }) => {
                Err(format!("its file is bad and it is suspended: {why}"))
            }
            None => Err("its file is gone".into()),
        }
    }

    /// Who owns what, as of now.
    pub(super) fn ownership(&self) -> Ownership {
        let set = self.policy_set();
        Ownership {
            opt_in: self.config.opt_in.clone(),
            team_label: self.config.team_label.clone(),
            owners: set.owners.clone(),
            owners_bad: set.owners_bad.clone(),
        }
    }

    /// Looks at everything that the queries ask for, and at the agents where they are needed. What was seen
    /// last is kept, and shared: it may be big.
    pub(super) async fn look(
        &self,
        cluster: &ClusterName,
        queries: &[Query],
        needs_agents: bool,
    ) -> Arc<Snapshot> {
        let began = self.ports.clock.now();
        let Some(port) = self.ports.clusters.get(cluster) else {
            let why = format!("cluster {cluster} is not in the settings");
            return Arc::new(Snapshot::unseen(
                cluster.clone(),
                began,
                Gap {
                    app: None,
                    what: GapKind::Apps,
                    why,
                },
            ));
        };
        let mut snapshot = tokio::select! {
            biased;
            snapshot = port.look(queries) => snapshot,
            () = self.ports.clock.sleep(LOOK_MAX) => {
                let why = format!("Marathon did not answer within {} s", LOOK_MAX.as_secs());
                Snapshot::unseen(cluster.clone(), began, Gap { app: None, what: GapKind::Apps, why })
            }
        };
        if needs_agents {
            let seen = tokio::select! {
                biased;
                seen = port.agents() => seen,
                () = self.ports.clock.sleep(AGENTS_MAX) => Err(Gap {
                    app: None,
                    what: GapKind::Agents,
                    why: format!("the Mesos masters did not answer within {} s", AGENTS_MAX.as_secs()),
                }),
            };
            snapshot.take_agents(seen);
        }
        // Whatever an adapter says, a snapshot is never younger than the moment it was asked for.
        snapshot.taken_at = snapshot.taken_at.min(began);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = seen.entry(cluster.clone()).or_default();
        kept.distrusted = false;
        kept.relisted = None;
        if snapshot.is_whole() {
            kept.whole_at = Some(snapshot.taken_at);
        }
        let snapshot = Arc::new(snapshot);
        kept.last = Some(snapshot.clone());
        snapshot
    }

    /// One request, while nothing is going on: whether the cluster still answers. Nothing is decided on it;
    /// whatever comes due looks for itself.
    pub(super) async fn relist(&self, cluster: &ClusterName, policy: &Policy) {
        let began = self.ports.clock.now();
        let queries = super::ask::queries(&[policy], &[], Some(&self.ownership()));
        let (Some(port), Some(query)) = (self.ports.clusters.get(cluster), queries.into_iter().next()) else {
            return;
        };
        let answer = tokio::select! {
            biased;
            answer = port.relist(&query) => answer,
            () = self.ports.clock.sleep(LOOK_MAX) => {
                Err(format!("Marathon did not answer within {} s", LOOK_MAX.as_secs()))
            }
        };
        let trouble = answer.err();
        if let Some(why) = &trouble {
            tracing::warn!(%cluster, %why, "an idle look failed");
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = seen.entry(cluster.clone()).or_default();
        kept.distrusted = false;
        kept.relisted = Some((began, trouble));
    }

    /// Pins the framework id of a cluster that is seen for the first time, or that the settings name.
    pub(super) async fn pin(&self, snapshot: &Snapshot) {
        let Some(info) = &snapshot.info else { return };
        let insisted = self.config.framework_ids.get(&snapshot.cluster);
        if insisted.is_some_and(|id| *id != info.framework_id) {
            return;
        }
        let (cluster, framework_id) = (snapshot.cluster.clone(), info.framework_id.clone());
        let written = self
            .book
            .commit(|ledger, _| {
                // What a person wrote into the settings replaces what was pinned before.
                let pinned = ledger.pinned.get(&cluster);
                let stands = pinned.is_some_and(|id| insisted.is_none() || *id == framework_id);
                Ok::<_, std::convert::Infallible>(if stands {
                    vec![]
                } else {
                    vec![crate::model::entry::Body::Pinned {
                        cluster: cluster.clone(),
                        framework_id: framework_id.clone(),
                    }]
                })
            })
            .await;
        if let Err(error) = written {
            tracing::warn!(%error, "the framework id could not be pinned; nothing is killed until it is");
        }
    }

    /// Gathers what the gates need beside ledger, snapshot and plan.
    pub(super) async fn around(&self, plan: Option<&Plan>, rule: Option<&ApprovalRule>) -> Around {
        let now = self.ports.clock.now();
        let pager = tokio::select! {
            biased;
            answer = self.ports.pager.ask() => answer,
            () = self.ports.clock.sleep(ASK_MAX) => PagerAnswer::Unknown("it did not answer within 5 s".into()),
        };
        let members = match rule {
            Some(rule) => self.members(rule).await,
            None => Ok(BTreeSet::new()),
        };
        let watched = plan
            .and_then(|p| self.watch_of(&p.run))
            .map(|watch| watch.watched(now));
        Around {
            ownership: self.ownership(),
            halt_file: self.ports.stop_file.read(),
            pager,
            members,
            leader: Answer::Pass("this process holds the journal's lock".into()),
            watched,
            drift: self.drift(),
        }
    }

    /// Everyone in the groups of an approval rule.
    pub(super) async fn members(&self, rule: &ApprovalRule) -> Result<BTreeSet<PersonId>, String> {
        let mut all = BTreeSet::new();
        for group in &rule.groups {
            let members = tokio::select! {
                biased;
                members = self.ports.notifier.members(group) => members,
                () = self.ports.clock.sleep(ASK_MAX) => Err("Slack did not answer within 5 s".to_owned()),
            };
            all.extend(members?);
        }
        Ok(all)
    }

    /// How far the wall clock has moved against the machine's own progress since the start.
    pub(super) fn drift(&self) -> TimeDelta {
        let wall = self.ports.clock.now() - self.started.0;
        let boot = TimeDelta::from_std(self.ports.clock.elapsed().saturating_sub(self.started.1))
            .unwrap_or_default();
        wall - boot
    }
}
