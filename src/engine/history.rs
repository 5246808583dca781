//! Folds journal entries into what decisions need: runs, charges, rates, halts, what was told.
//!
//! There is no other state that decides. A restart is a fold from the first entry; the operator keeps
//! the fold and applies each entry it appends, and an append succeeds only if the journal's head is
//! the fold's head, so what was checked against a [`Ledger`] holds in the transaction that writes.

use super::score;
use crate::model::approval::{Approval, Denial};
use crate::model::command::{Command, Person};
use crate::model::entry::{Body, Entry};
use crate::model::experiment::AbortCause;
use crate::model::halt::Halt;
use crate::model::ids::{
    AppId, ClusterName, IntentId, PlanDigest, PolicyDigest, PolicyName, ProbeName, RunId, Seq,
};
use crate::model::notice::MessageRef;
use crate::model::past::Taught;
use crate::model::plan::Plan;
use crate::model::policy::Mode;
use crate::model::run::{Aborted, Intent, IntentState, Phase, Run};
use crate::model::verdict::{HypothesisResult, Pair, Verdict};
use crate::model::view::TimelineItem;
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How many ended runs are kept whole in memory; older ones are in the journal.
const ENDED_RUNS_KEPT: usize = 200;
/// How many timeline items are kept in memory; older ones are in the journal.
const TIMELINE_KEPT: usize = 5_000;
/// How many ended runs are remembered for scores; a run of a year ago weighs a sixteenth.
const TAUGHT_KEPT: usize = 20_000;
/// How long a repeated request is recognised by its key.
const KEYS_KEPT: TimeDelta = TimeDelta::hours(24);
/// How long kills are remembered for rates and distances: longer than any limit may reach back.
const KILLS_KEPT: TimeDelta = TimeDelta::days(400);

/// How long a pair of slots counts for later verdicts: a service of a year ago is another service.
const PAIRS_KEPT: TimeDelta = TimeDelta::days(90);
/// How many pairs are kept for each probe of an experiment: the most that a verdict may rest on.
const PAIRS_MAX: usize = 50;

/// The fold of the journal.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ledger {
    /// The last entry that is in here.
    pub head: Seq,
    /// When it was written.
    pub last_at: Option<DateTime<Utc>>,
    /// Open runs and the latest ended ones.
    pub runs: BTreeMap<RunId, Run>,
    /// Ended runs in the order they ended.
    ended: VecDeque<RunId>,
    /// The halt that is in force.
    pub halt: Option<Halt>,
    /// Framework ids by cluster.
    pub pinned: BTreeMap<ClusterName, String>,
    /// Policies as last seen.
    pub policies: BTreeMap<PolicyName, PolicyRecord>,
    /// The governor's state by bucket.
    pub rates: BTreeMap<String, u64>,
    /// Every decided kill that may have been sent, oldest first; shams are not in here.
    pub kills: Vec<Kill>,
    /// Messages that stand somewhere, by the notice's key: where, and which version they show.
    pub told: BTreeMap<String, (MessageRef, u64)>,
    /// Requests for a run that wait for their pass.
    pub requests: BTreeMap<PolicyName, Request>,
    /// The last instant of each policy's schedule that was served or skipped.
    pub served: BTreeMap<PolicyName, DateTime<Utc>>,
    /// Keys of requests that were taken.
    keys: BTreeMap<String, DateTime<Utc>>,
    /// What we did, oldest first.
    pub timeline: VecDeque<TimelineItem>,
    /// Events that people have to be told once each: key, and what.
    pub news: BTreeMap<String, News>,
    /// Pairs of slots of ended runs, by the experiment that measured them, oldest first.
    pairs: BTreeMap<PlanDigest, VecDeque<Measured>>,
    /// What every run that ended has taught, oldest first.
    pub taught: VecDeque<Taught>,
    /// How many entries of each kind: for tests that hold metrics against the journal.
    pub counts: BTreeMap<&'static str, u64>,
}

/// One pair of slots that counts for later verdicts on the same experiment.
#[derive(Clone, Debug, PartialEq)]
struct Measured {
    at: DateTime<Utc>,
    probe: ProbeName,
    pair: Pair,
}

/// Something that people are told once.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// Everything stopped.
    Halted(Halt),
    /// The halt was lifted.
    Resumed {
        /// Who.
        by: Person,
        /// Why.
        reason: String,
    },
    /// A policy's file turned bad.
    Suspended {
        /// Which.
        policy: PolicyName,
        /// What is wrong with it.
        why: String,
    },
    /// A charge needs a person.
    Held {
        /// Which.
        intent: IntentId,
        /// Why.
        why: String,
    },
}

/// A policy as the journal last saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyRecord {
    /// Its digest; `None` while it is suspended.
    pub digest: Option<PolicyDigest>,
    /// Why it is suspended.
    pub suspended: Option<String>,
    /// Its file is gone.
    pub gone: bool,
}

/// The part of one decided kill that hits one app, for rates and distances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kill {
    /// Which intent.
    pub intent: IntentId,
    /// Under which policy.
    pub policy: PolicyName,
    /// Where.
    pub cluster: ClusterName,
    /// What.
    pub app: AppId,
    /// How many tasks.
    pub tasks: u32,
    /// When it became durable.
    pub at: DateTime<Utc>,
    /// The last moment it can have had an effect, once that is known.
    pub over: Option<DateTime<Utc>>,
    /// Known never to have left. What was sent counts against the rates even when it had no effect: they
    /// limit what we ask for, and "no effect" may be learned from silence.
    pub void: bool,
}

/// A person's request for a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Who.
    pub by: Person,
    /// When.
    pub at: DateTime<Utc>,
    /// Its entry.
    pub seq: Seq,
}

impl Ledger {
    /// Folds entries from nothing.
    pub fn fold<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Self {
        let mut ledger = Self::default();
        for entry in entries {
            ledger.apply(entry);
        }
        ledger
    }

    /// Takes in the next entry.
    ///
    /// # Panics
    ///
    /// When the entry is not the next one: the journal promises order without gaps.
    pub fn apply(&mut self, entry: &Entry) {
        assert_eq!(
            entry.seq,
            self.head.next(),
            "the journal promises entries in order, without gaps"
        );
        self.head = entry.seq;
        self.last_at = Some(self.last_at.map_or(entry.at, |last| last.max(entry.at)));
        *self.counts.entry(entry.body.kind()).or_default() += 1;
        let at = entry.at;
        match &entry.body {
            Body::Started { version, .. } => {
                self.note(at, "start", format!("operator {version} started"));
            }
            Body::Stopped { why } => self.note(at, "stop", format!("operator stopped: {why}")),
            Body::Pinned {
                cluster,
                framework_id,
            } => {
                self.pinned.insert(cluster.clone(), framework_id.clone());
            }
            Body::PolicySeen { policy, digest } => {
                let record = PolicyRecord {
                    digest: Some(digest.clone()),
                    suspended: None,
                    gone: false,
                };
                self.policies.insert(policy.clone(), record);
            }
            Body::PolicySuspended { policy, why } => {
                let record = PolicyRecord {
                    digest: None,
                    suspended: Some(why.clone()),
                    gone: false,
                };
                self.policies.insert(policy.clone(), record);
                self.requests.remove(policy);
                self.news.insert(
                    format!("policy/{policy}/{}", entry.seq),
                    News::Suspended {
                        policy: policy.clone(),
                        why: why.clone(),
                    },
                );
                self.note(
                    at,
                    "policy",
                    format!("policy {policy} is suspended: its file is bad"),
                );
            }
            Body::PolicyGone { policy } => {
                let record = PolicyRecord {
                    digest: None,
                    suspended: None,
                    gone: true,
                };
                self.policies.insert(policy.clone(), record);
                self.requests.remove(policy);
                self.note(at, "policy", format!("policy {policy} is gone"));
            }
            Body::Asked { by, command, key } => {
                if let Some(key) = key {
                    self.keys.retain(|_, since| at - *since < KEYS_KEPT);
                    self.keys.insert(key.clone(), at);
                }
                if let Command::Run { policy } = command {
                    let request = Request {
                        by: by.clone(),
                        at,
                        seq: entry.seq,
                    };
                    self.requests.insert(policy.clone(), request);
                }
            }
            Body::Declined { command, .. } => {
                if let Command::Run { policy } = command {
                    self.requests.remove(policy);
                }
            }
            Body::Skipped { policy, due, why } => {
                self.serve(policy, *due);
                self.note(at, "skip", format!("policy {policy} skipped its run: {why}"));
            }
            Body::Planned {
                plan,
                digest,
                due,
                approval_expires,
            } => {
                self.requests.remove(&plan.policy);
                if let Some(due) = due {
                    self.serve(&plan.policy, *due);
                }
                let what = format!(
                    "planned to kill {} of {} tasks ({})",
                    plan.kills(),
                    plan.apps.instances(),
                    plan.mode
                );
                self.note_apps(at, "plan", &plan.run, ids_of(plan), what);
                let run = Run {
                    id: plan.run.clone(),
                    plan: (**plan).clone(),
                    digest: digest.clone(),
                    phase: Phase::AwaitingApproval,
                    phase_since: at,
                    approvals: vec![],
                    denied: None,
                    approval_expires: *approval_expires,
                    started: None,
                    intents: vec![],
                    accepted: BTreeMap::new(),
                    abort: None,
                    judged: None,
                    verdict: None,
                    ended: None,
                };
                self.runs.insert(plan.run.clone(), run);
            }
            Body::Approved { run, digest, by } => {
                self.with(run, |r| {
                    r.approvals.push(Approval {
                        by: by.clone(),
                        digest: digest.clone(),
                        at,
                    });
                });
                self.note_run(at, "approve", run, format!("approved by {by}"));
            }
            Body::Denied { run, by, reason } => {
                self.with(run, |r| {
                    r.denied = Some(Denial {
                        by: by.clone(),
                        reason: reason.clone(),
                        at,
                    });
                });
                self.note_run(at, "deny", run, format!("denied by {by}: {reason}"));
            }
            Body::Judged { judgement } => {
                self.with(&judgement.run, |r| r.judged = Some(judgement.clone()));
            }
            Body::Moved { run, to } => {
                self.with(run, |r| {
                    r.phase = *to;
                    r.phase_since = at;
                    if *to == Phase::Baseline {
                        r.started = Some(at);
                    }
                });
                self.note_run(at, "phase", run, to.word().to_owned());
            }
            Body::Intended { intent, rates } => self.intended(at, intent, rates),
            Body::Settled { intent, state } => self.settled(at, intent, state),
            Body::Aborting {
                run,
                cause,
                breach_to_fence_us,
            } => {
                self.with(run, |r| {
                    r.abort = Some(Aborted {
                        cause: cause.clone(),
                        at,
                        breach_to_fence_us: *breach_to_fence_us,
                    });
                    r.phase = Phase::Aborting;
                    r.phase_since = at;
                });
                self.note_run(at, "abort", run, cause.to_string());
            }
            Body::Ended { run, verdict } => {
                self.remember_pairs(at, run, verdict);
                self.with(run, |r| {
                    r.verdict = Some((**verdict).clone());
                    r.phase = Phase::Ended;
                    r.phase_since = at;
                    r.ended = Some(at);
                });
                self.note_run(at, "end", run, verdict.sentence.clone());
                if let Some(taught) = self.runs.get(run).and_then(score::taught) {
                    if self.taught.len() == TAUGHT_KEPT {
                        self.taught.pop_front();
                    }
                    self.taught.push_back(taught);
                }
                self.ended.push_back(run.clone());
                self.forget_old_runs();
            }
            Body::Halted { by, reason } => {
                let halt = Halt {
                    by: by.clone(),
                    reason: reason.clone(),
                    since: at,
                };
                self.note(at, "halt", format!("halted by {by} ({}): {reason}", by.via));
                self.news
                    .insert(format!("halt/{}", entry.seq), News::Halted(halt.clone()));
                self.halt = Some(halt);
            }
            Body::Resumed { by, reason } => {
                self.halt = None;
                let news = News::Resumed {
                    by: by.clone(),
                    reason: reason.clone(),
                };
                self.news.insert(format!("resume/{}", entry.seq), news);
                self.note(at, "resume", format!("resumed by {by}: {reason}"));
            }
            Body::Told {
                key,
                message,
                version,
            } => {
                self.told.insert(key.clone(), (message.clone(), *version));
            }
        }
    }

    fn intended(&mut self, at: DateTime<Utc>, intent: &Intent, rates: &[crate::model::entry::RateState]) {
        for rate in rates {
            self.rates.insert(rate.bucket.clone(), rate.arrival_ns);
        }
        let mut by_app: BTreeMap<&AppId, Vec<&str>> = BTreeMap::new();
        for target in &intent.targets {
            by_app.entry(&target.app).or_default().push(target.task.as_str());
        }
        let mut enforced = false;
        if let Some(run) = self.runs.get_mut(&intent.run) {
            enforced = run.plan.mode == Mode::Enforce;
            run.intents.push(intent.clone());
            if !intent.sham {
                self.kills.extend(by_app.iter().map(|(app, tasks)| Kill {
                    intent: intent.id.clone(),
                    policy: run.plan.policy.clone(),
                    cluster: run.plan.cluster.clone(),
                    app: (*app).clone(),
                    tasks: u32::try_from(tasks.len()).unwrap_or(u32::MAX),
                    at,
                    over: None,
                    void: false,
                }));
            }
        }
        self.kills.retain(|k| k.over.is_none() || at - k.at < KILLS_KEPT);
        for (app, tasks) in by_app {
            let ids = tasks.join(", ");
            let (kind, what) = match (intent.sham, enforced) {
                (false, _) => ("kill", format!("killing {ids}")),
                (true, true) => ("sham", format!("a sham: everything but the kill of {ids}")),
                (true, false) => ("kill", format!("rehearsed the kill of {ids}")),
            };
            self.note_apps(at, kind, &intent.run, vec![app.clone()], what);
        }
    }

    fn settled(&mut self, at: DateTime<Utc>, id: &IntentId, state: &IntentState) {
        for run in self.runs.values_mut() {
            for intent in run.intents.iter_mut().filter(|i| i.id == *id) {
                intent.state = state.clone();
                if let IntentState::Acked { at, .. } = state {
                    run.accepted.insert(id.clone(), *at);
                }
            }
        }
        for kill in self.kills.iter_mut().filter(|k| k.intent == *id) {
            match state {
                IntentState::NotSent { .. } => {
                    kill.void = true;
                    kill.over = Some(at);
                }
                IntentState::NoEffect { .. } | IntentState::Resolved { .. } => kill.over = Some(at),
                IntentState::Open
                | IntentState::Acked { .. }
                | IntentState::Ambiguous { .. }
                | IntentState::Held { .. } => {}
            }
        }
        if let IntentState::Held { why, .. } = state {
            self.news.insert(
                format!("held/{id}"),
                News::Held {
                    intent: id.clone(),
                    why: why.clone(),
                },
            );
        }
        let run = RunId::from(id.as_str().split('/').next().unwrap_or_default());
        self.note_run(at, "settle", &run, format!("{id} is {}", state.word()));
    }

    fn serve(&mut self, policy: &PolicyName, due: DateTime<Utc>) {
        let served = self.served.entry(policy.clone()).or_insert(due);
        *served = due.max(*served);
    }

    fn with(&mut self, run: &RunId, change: impl FnOnce(&mut Run)) {
        if let Some(run) = self.runs.get_mut(run) {
            change(run);
        }
    }

    fn note_run(&mut self, at: DateTime<Utc>, kind: &str, run: &RunId, what: String) {
        let apps = self.runs.get(run).map(|r| ids_of(&r.plan)).unwrap_or_default();
        self.note_apps(at, kind, run, apps, what);
    }

    fn note(&mut self, at: DateTime<Utc>, kind: &str, what: String) {
        self.keep(TimelineItem {
            at,
            kind: kind.to_owned(),
            run: None,
            app: None,
            other_apps: vec![],
            what,
        });
    }

    fn note_apps(&mut self, at: DateTime<Utc>, kind: &str, run: &RunId, apps: Vec<AppId>, what: String) {
        let mut apps = apps.into_iter();
        self.keep(TimelineItem {
            at,
            kind: kind.to_owned(),
            run: Some(run.clone()),
            app: apps.next(),
            other_apps: apps.collect(),
            what,
        });
    }

    fn keep(&mut self, item: TimelineItem) {
        if self.timeline.len() == TIMELINE_KEPT {
            self.timeline.pop_front();
        }
        self.timeline.push_back(item);
    }

    /// Keeps the pairs that a run measured itself, for runs of the same experiment that come after it.
    ///
    /// A disproof begins anew: what led to it must not weigh on the test of its mending.
    fn remember_pairs(&mut self, at: DateTime<Utc>, run: &RunId, verdict: &Verdict) {
        let Some(plan) = self.runs.get(run).map(|r| &r.plan) else {
            return;
        };
        if verdict.pairs.is_none() || plan.mode != Mode::Enforce {
            return;
        }
        let known = self.pairs.entry(plan.experiment()).or_default();
        if verdict.hypothesis == HypothesisResult::Disproved {
            known.clear();
            return;
        }
        for difference in &verdict.differences {
            let own = difference.pairs.iter().filter(|pair| pair.run == *run);
            known.extend(own.map(|pair| Measured {
                at,
                probe: difference.probe.clone(),
                pair: pair.clone(),
            }));
        }
        known.retain(|m| at - m.at < PAIRS_KEPT);
        let most = PAIRS_MAX * verdict.differences.len().max(1);
        known.drain(..known.len().saturating_sub(most));
    }

    /// Pairs of slots that earlier runs of this experiment measured, oldest first.
    pub fn earlier_pairs(&self, experiment: &PlanDigest) -> Vec<(ProbeName, Pair)> {
        let known = self.pairs.get(experiment).into_iter().flatten();
        known.map(|m| (m.probe.clone(), m.pair.clone())).collect()
    }

    /// Drops the oldest ended runs; never one that still has a charge.
    fn forget_old_runs(&mut self) {
        while self.ended.len() > ENDED_RUNS_KEPT {
            let Some(at) = self.ended.iter().position(|id| {
                self.runs
                    .get(id)
                    .is_none_or(|run| !run.intents.iter().any(Intent::is_charged))
            }) else {
                return;
            };
            if let Some(id) = self.ended.remove(at) {
                self.runs.remove(&id);
                self.told.remove(&format!("run/{id}"));
                self.told.remove(&format!("verdict/{id}"));
            }
        }
    }

    /// Runs that are not over.
    pub fn open_runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.values().filter(|r| r.is_open())
    }

    /// The open run of a policy, if it has one.
    pub fn open_run_of(&self, policy: &PolicyName) -> Option<&Run> {
        self.open_runs().find(|r| r.plan.policy == *policy)
    }

    /// Ended runs that are kept, newest first.
    pub fn ended_runs(&self) -> impl Iterator<Item = &Run> {
        self.ended.iter().rev().filter_map(|id| self.runs.get(id))
    }

    /// Every intent that still counts as tasks down because of us, with its run.
    pub fn charged(&self) -> impl Iterator<Item = (&Run, &Intent)> {
        self.runs.values().flat_map(|run| {
            run.intents
                .iter()
                .filter(|i| i.is_charged())
                .map(move |i| (run, i))
        })
    }

    /// How many tasks are charged in a cluster.
    pub fn charged_tasks(&self, cluster: &ClusterName) -> u32 {
        let tasks: usize = self
            .charged()
            .filter(|(run, _)| run.plan.cluster == *cluster)
            .map(|(_, i)| i.targets.len())
            .sum();
        u32::try_from(tasks).unwrap_or(u32::MAX)
    }

    /// Whether a request with this key was taken already.
    pub fn knows_key(&self, key: &str) -> bool {
        self.keys.contains_key(key)
    }

    /// When an app was last really killed, or may have been.
    pub fn last_kill_of(&self, cluster: &ClusterName, app: &AppId) -> Option<&Kill> {
        self.kills
            .iter()
            .rev()
            .find(|k| !k.void && k.app == *app && k.cluster == *cluster)
    }

    /// Apps with an open run or a charge, by cluster.
    pub fn busy_apps(&self, cluster: &ClusterName) -> BTreeSet<AppId> {
        let open = self
            .open_runs()
            .filter(|r| r.plan.cluster == *cluster)
            .flat_map(|r| ids_of(&r.plan));
        let charged = self
            .charged()
            .filter(|(r, _)| r.plan.cluster == *cluster)
            .flat_map(|(r, _)| ids_of(&r.plan));
        open.chain(charged).collect()
    }

    /// What a process that starts now has to end: every run that was past its approval.
    pub fn left_open(&self) -> Vec<(RunId, AbortCause)> {
        self.open_runs()
            .filter(|r| matches!(r.phase, Phase::Baseline | Phase::Steps | Phase::Recovery))
            .map(|r| (r.id.clone(), AbortCause::Restarted))
            .collect()
    }
}

fn ids_of(plan: &Plan) -> Vec<AppId> {
    plan.apps.ids().cloned().collect()
}

#[cfg(test)]
mod tests;
