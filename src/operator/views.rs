//! Answers to questions. Changes nothing.

use super::{Operator, Seen};
use crate::engine::gates;
use crate::engine::history::Ledger;
use crate::engine::planner::{self, NoPlan, Wanted};
use crate::engine::schedule::{self, forecast};
use crate::engine::score;
use crate::model::command::Command;
use crate::model::forecast::Forecast;
use crate::model::ids::{ClusterName, PolicyName, RunId};
use crate::model::policy::{ApprovalMode, Mode, Policy, PolicyState};
use crate::model::run::{Intent, IntentState, Run};
use crate::model::snapshot::Snapshot;
use crate::model::view::{
    ClusterView, PlanView, PolicyView, Refusal, RefusalKind, Reply, RunView, Status, TimelineItem, WasIt,
    WasItYou, Why, WhyPolicy,
};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// A look for a question may take this long; then the last one is used, with its age.
const LOOK_FOR_QUESTION_MAX: Duration = Duration::from_millis(1_500);
/// `was-it-you` always adds everything from this long ago on.
const AROUND: TimeDelta = TimeDelta::minutes(30);

impl Operator {
    pub(super) async fn answer(&self, command: &Command) -> Result<Reply, Refusal> {
        match command {
            Command::Help => Ok(Reply::Help),
            Command::Status => Ok(Reply::Status(Box::new(self.status().await))),
            Command::Policies => Ok(Reply::Policies(self.policy_views().await)),
            Command::Runs { most } => {
                let runs: Vec<Run> = self
                    .book
                    .read(|l| l.open_runs().chain(l.ended_runs()).take(*most).cloned().collect())
                    .await;
                Ok(Reply::Runs(runs.iter().map(|r| self.run_view(r)).collect()))
            }
            Command::DescribeRun { run } => Ok(Reply::Run(Box::new(self.run_view(&self.known(run).await?)))),
            Command::Report { run } => {
                let run = self.known(run).await?;
                Ok(Reply::Report(Box::new(self.report_of(&run).await)))
            }
            Command::Plan { policy } => {
                let standing = self.active(policy)?;
                let snapshot = self.look_for_question(&standing).await;
                Ok(Reply::Plan(Box::new(
                    self.plan_view(&standing, &snapshot, None).await,
                )))
            }
            Command::Why { subject } => Ok(Reply::Why(Box::new(self.why(subject).await?))),
            Command::WasItYou { subject } => Ok(Reply::WasItYou(Box::new(
                self.was_it_you(subject.as_deref()).await,
            ))),
            Command::Timeline { since, app } => {
                let items = self.book.read(|l| timeline(l, *since, app.as_ref())).await;
                Ok(Reply::Timeline(items))
            }
            Command::History { app } => {
                let now = self.ports.clock.now();
                let past = self.book.read(|l| score::past(app, &l.taught, now)).await;
                Ok(Reply::History(Box::new(past)))
            }
            Command::Forecast { from, to, policy } => self
                .forecast(*from, *to, policy.as_ref())
                .map(|ahead| Reply::Forecast(Box::new(ahead))),
            Command::Run { .. }
            | Command::Approve { .. }
            | Command::Deny { .. }
            | Command::Abort { .. }
            | Command::Halt { .. }
            | Command::Resume { .. }
            | Command::Clear { .. } => Err(Refusal::new(
                RefusalKind::Invalid,
                "that is a command, not a question; nothing was changed",
            )),
        }
    }

    /// What the schedules hold. Policies that are suspended are named: nothing of them will run.
    fn forecast(
        &self,
        from: NaiveDate,
        to: NaiveDate,
        only: Option<&PolicyName>,
    ) -> Result<Forecast, Refusal> {
        if let Some(only) = only {
            self.active(only)?;
        }
        let set = self.policy_set();
        let (mut active, mut suspended) = (vec![], vec![]);
        for (name, state) in set
            .policies
            .iter()
            .filter(|(name, _)| only.is_none_or(|o| o == *name))
        {
            match state {
                PolicyState::Active(policy) => active.push(policy.clone()),
                PolicyState::Suspended { .. } => {
                    suspended.push(format!(
                        "{name} is suspended: nothing of it runs until its file is mended."
                    ));
                }
            }
        }
        let policies = active.iter().map(Arc::as_ref);
        let mut ahead = forecast::forecast(Some(&self.config.seed), policies, &self.config.limits, from, to)
            .map_err(|why| Refusal::new(RefusalKind::Invalid, why))?;
        ahead.remarks.extend(suspended);
        Ok(ahead)
    }

    async fn known(&self, run: &RunId) -> Result<Run, Refusal> {
        if let Some(known) = self.book.read(|l| l.runs.get(run).cloned()).await {
            return Ok(known);
        }
        // Runs that ended long ago are in the journal only.
        let entries = self.ports.journal.of_run(run).await.map_err(|error| {
            Refusal::new(
                RefusalKind::Unavailable,
                format!("the journal can't be read: {error}"),
            )
        })?;
        let mut ledger = Ledger::default();
        for mut entry in entries {
            entry.seq = ledger.head.next();
            ledger.apply(&entry);
        }
        ledger.runs.remove(run).ok_or_else(|| {
            Refusal::new(
                RefusalKind::NotFound,
                format!("there is no run {run}; `heartbreak get runs` lists them"),
            )
        })
    }

    fn active(&self, policy: &PolicyName) -> Result<Arc<Policy>, Refusal> {
        if !self.policy_set().policies.contains_key(policy) {
            let names = self
                .policy_set()
                .policies
                .keys()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", ");
            return Err(Refusal::new(
                RefusalKind::NotFound,
                format!("there is no policy {policy}; there are: {names}"),
            ));
        }
        self.standing(policy).map_err(|why| {
            Refusal::new(
                RefusalKind::Conflict,
                format!("policy {policy} is not active: {why}"),
            )
        })
    }

    async fn status(&self) -> Status {
        let now = self.ports.clock.now();
        let policies = self.policy_views().await;
        let runs: Vec<Run> = self.book.read(|l| l.open_runs().cloned().collect()).await;
        let (halt, charged) = self
            .book
            .read(|l| {
                (
                    l.halt.clone(),
                    l.charged().map(|(r, i)| charge_in_words(r, i, now)).collect(),
                )
            })
            .await;
        Status {
            at: now,
            version: self.config.version.clone(),
            armed: self.config.armed,
            halt,
            clusters: self.cluster_views(),
            policies,
            open_runs: runs.iter().map(|r| self.run_view(r)).collect(),
            charged,
            outbox_waiting: self.waiting.load(std::sync::atomic::Ordering::Relaxed),
        }
    }

    /// The clusters and how they were last seen.
    pub fn cluster_views(&self) -> Vec<ClusterView> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        self.ports
            .clusters
            .keys()
            .map(|name| {
                let kept = seen.get(name).cloned().unwrap_or_default();
                let Seen {
                    whole_at,
                    last,
                    relisted,
                    distrusted: _,
                } = kept;
                let (relisted_at, trouble) =
                    relisted.map_or((None, None), |(at, trouble)| (Some(at), trouble));
                let info = last.as_ref().and_then(|s| s.info.clone());
                ClusterView {
                    name: name.clone(),
                    seen: whole_at.max(relisted_at.filter(|_| trouble.is_none())),
                    version: info.as_ref().map(|i| i.version.to_string()),
                    framework_id: info.map(|i| i.framework_id),
                    apps: last.as_ref().map_or(0, |s| s.apps.len()),
                    gaps: last.map_or_else(
                        || vec!["not looked at yet".into()],
                        |s| {
                            let gaps = s.gaps.iter().filter(|_| !s.is_whole());
                            gaps.map(|g| g.why.clone()).chain(trouble).collect()
                        },
                    ),
                }
            })
            .collect()
    }

    async fn policy_views(&self) -> Vec<PolicyView> {
        let set = self.policy_set();
        let now = self.ports.clock.now();
        let mut views = vec![];
        for (name, state) in &set.policies {
            let (blocked, last_run) = self
                .book
                .read(|l| {
                    let open = l.open_run_of(name);
                    let blocked = open
                        .and_then(|r| r.judged.as_ref())
                        .and_then(|j| j.first_blocker().cloned());
                    let last = open.or_else(|| l.ended_runs().find(|r| r.plan.policy == *name));
                    (blocked, last.map(|r| r.id.clone()))
                })
                .await;
            views.push(match state {
                PolicyState::Active(policy) => PolicyView {
                    name: name.clone(),
                    team: policy.team.clone(),
                    mode: policy.mode.to_string(),
                    cluster: policy.cluster.clone(),
                    state: "active".into(),
                    allows: crate::model::words::allows(policy),
                    next: self.next_due(policy, now),
                    blocked,
                    last_run,
                },
                PolicyState::Suspended { why } => PolicyView {
                    name: name.clone(),
                    team: String::new(),
                    mode: "suspended".into(),
                    cluster: ClusterName::new(""),
                    state: format!("suspended: {why}"),
                    allows: "nothing, until its file is mended".into(),
                    next: None,
                    blocked: None,
                    last_run,
                },
            });
        }
        views
    }

    fn next_due(&self, policy: &Policy, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let until = now + TimeDelta::days(60);
        schedule::due(
            &self.config.seed,
            policy,
            policy.name.as_str(),
            &self.config.limits,
            now,
            until,
        )
        .into_iter()
        .find(|at| *at > now)
    }

    pub(super) fn run_view(&self, run: &Run) -> RunView {
        let watch = self.watch_of(&run.id);
        let turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = turns
            .get(&run.plan.policy)
            .map(|t| t.waiting.clone())
            .filter(|w| run.is_open() && !w.is_empty());
        RunView {
            run: run.clone(),
            evidence_percent: watch.as_ref().and_then(super::watch::Watch::evidence_percent),
            difference_percent: watch.as_ref().and_then(super::watch::Watch::difference_percent),
            probes: watch
                .as_ref()
                .map(super::watch::Watch::probes)
                .unwrap_or_default(),
            healthy: watch.as_ref().and_then(super::watch::Watch::healthy),
            waiting,
            reports: if run.is_open() {
                vec![]
            } else {
                self.ports.reporter.places(&run.id)
            },
        }
    }

    /// A look that a person waits for: a fresh one if Marathon is quick, otherwise the last one.
    async fn look_for_question(&self, policy: &Policy) -> Arc<Snapshot> {
        let last = {
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.get(&policy.cluster).and_then(|s| s.last.clone())
        };
        let queries = super::ask::queries(&[policy], &[], None);
        tokio::select! {
            biased;
            fresh = self.look(&policy.cluster, &queries, policy.fault.needs_agents()) => {
                self.pin(&fresh).await;
                fresh
            }
            () = self.ports.clock.sleep(LOOK_FOR_QUESTION_MAX) => match last {
                Some(last) => last,
                None => Arc::new(Snapshot::unseen(
                    policy.cluster.clone(),
                    self.ports.clock.now(),
                    crate::model::snapshot::Gap {
                        app: None,
                        what: crate::model::snapshot::GapKind::Apps,
                        why: "Marathon did not answer within 1.5 s and was not seen before".into(),
                    },
                )),
            },
        }
    }

    /// What would be planned now, and what the gates would say.
    pub(super) async fn plan_view(
        &self,
        policy: &Arc<Policy>,
        snapshot: &Snapshot,
        only: Option<&crate::model::ids::AppId>,
    ) -> PlanView {
        let around = self.around(None, Some(&policy.approval)).await;
        let now = self.ports.clock.now();
        let standing = Ok(policy.clone());
        self.book
            .read(|ledger| {
                let made = planner::plan(&Wanted {
                    policy,
                    limits: &self.config.limits,
                    ownership: &around.ownership,
                    ledger,
                    snapshot,
                    seed: &self.config.seed,
                    purpose: &format!("{}|preview", policy.name),
                    requested_by: None,
                    run: RunId::derive(&self.installation, ledger.head.next()),
                    now,
                    only,
                });
                match made {
                    Ok((plan, left_out)) => {
                        let facts = around.facts(self, &standing, ledger, snapshot, now);
                        let judgement = plan.steps.first().map(|step| gates::judge(&plan, step, &facts));
                        let digest = Some(plan.digest());
                        PlanView {
                            plan: Some(plan),
                            digest,
                            none: None,
                            left_out,
                            judgement,
                        }
                    }
                    Err(NoPlan { why, left_out }) => PlanView {
                        plan: None,
                        digest: None,
                        none: Some(why),
                        left_out,
                        judgement: None,
                    },
                }
            })
            .await
    }

    async fn why(&self, subject: &str) -> Result<Why, Refusal> {
        let now = self.ports.clock.now();
        let set = self.policy_set();
        let named: Vec<&PolicyName> = set.policies.keys().filter(|n| n.as_str() == subject).collect();
        let app = subject
            .starts_with('/')
            .then(|| crate::model::ids::AppId::new(subject));
        if named.is_empty() && app.is_none() {
            let names = set
                .policies
                .keys()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", ");
            return Err(Refusal::new(
                RefusalKind::NotFound,
                format!("{subject:?} is neither a policy ({names}) nor an app id, which starts with `/`"),
            ));
        }
        let mut policies = vec![];
        for (name, state) in &set.policies {
            if app.is_none() && !named.contains(&name) {
                continue;
            }
            let PolicyState::Active(policy) = state else {
                if let PolicyState::Suspended { why } = state
                    && named.contains(&name)
                {
                    policies.push(WhyPolicy {
                        policy: name.clone(),
                        run: None,
                        none: Some(format!("its file is bad and it is suspended: {why}")),
                        answers: vec![],
                        left_out: vec![],
                        next: None,
                    });
                }
                continue;
            };
            if let Some(part) = self.why_policy(policy, app.as_ref(), now).await {
                policies.push(part);
            }
        }
        let lead = lead(subject, &policies, app.is_some());
        Ok(Why {
            subject: subject.to_owned(),
            at: now,
            lead,
            policies,
        })
    }

    async fn why_policy(
        &self,
        policy: &Arc<Policy>,
        app: Option<&crate::model::ids::AppId>,
        now: DateTime<Utc>,
    ) -> Option<WhyPolicy> {
        let next = self.next_due(policy, now);
        let open = self.book.read(|l| l.open_run_of(&policy.name).cloned()).await;
        if let Some(run) = open.filter(|r| app.is_none_or(|a| r.plan.apps.contains(a))) {
            return Some(WhyPolicy {
                policy: policy.name.clone(),
                run: Some(run.id.clone()),
                none: None,
                answers: run.judged.map(|j| j.answers).unwrap_or_default(),
                left_out: vec![],
                next,
            });
        }
        let snapshot = self.look_for_question(policy).await;
        let view = self.plan_view(policy, &snapshot, app).await;
        if let Some(app) = app
            && view.plan.is_none()
            && !view.left_out.iter().any(|x| x.what == app.as_str())
            && !snapshot
                .apps
                .get(app)
                .is_some_and(|a| policy.scope.names(&a.id, &a.labels))
        {
            return None;
        }
        let none = view.none.or_else(|| self.cannot_ask(policy));
        Some(WhyPolicy {
            policy: policy.name.clone(),
            run: None,
            none,
            answers: view.judgement.map(|j| j.answers).unwrap_or_default(),
            left_out: view.left_out,
            next,
        })
    }

    /// Why nobody could be asked for the approval that this policy needs.
    fn cannot_ask(&self, policy: &Policy) -> Option<String> {
        let asks = policy.mode == Mode::Enforce && policy.approval.mode == ApprovalMode::Required;
        let reachable = self.ports.notifier.reachable();
        reachable
            .err()
            .filter(|_| asks)
            .map(|why| format!("nobody can be asked for approval: {why}"))
    }

    async fn was_it_you(&self, subject: Option<&str>) -> WasItYou {
        let at = self.ports.clock.now();
        let fresh = self.book.settle().await;
        self.book
            .read(|ledger| {
                let items = timeline(ledger, at - AROUND, None);
                if let Err(error) = &fresh {
                    let last = ledger.last_at.map_or_else(|| "never".to_owned(), |t| t.format("%F %T UTC").to_string());
                    let line = format!("Cannot tell: the journal can't be read ({error}); its last known entry is from {last}.");
                    return WasItYou { answer: WasIt::CannotTell, at, line, items };
                }
                let touches = |intent: &Intent| {
                    subject.is_none_or(|s| {
                        intent.targets.iter().any(|t| t.app.as_str() == s || t.host == s || t.task.as_str() == s || t.instance.as_str() == s)
                    })
                };
                let real = || {
                    let runs = ledger.runs.values();
                    runs.flat_map(|r| r.intents.iter().map(move |i| (r, i))).filter(|(_, i)| !i.sham && touches(i))
                };
                let about = subject.map_or_else(|| "in the cluster".to_owned(), |s| format!("on {s}"));
                if let Some((run, intent)) = real()
                    .find(|(_, i)| matches!(i.state, IntentState::Open | IntentState::Ambiguous { .. } | IntentState::Held { .. }))
                {
                    let until = intent.deadline + self.config.quarantine;
                    let line = format!(
                        "Perhaps: a kill of {} is unanswered since {} and may land until {} ({}).",
                        run.plan.apps,
                        intent.at.format("%T UTC"),
                        until.format("%T UTC"),
                        intent.id
                    );
                    return WasItYou { answer: WasIt::Perhaps, at, line, items };
                }
                let latest = real()
                    .filter(|(_, i)| !matches!(i.state, IntentState::NotSent { .. } | IntentState::NoEffect { .. }))
                    .max_by_key(|(_, i)| i.at);
                match latest {
                    Some((run, intent)) if at - intent.at < AROUND => {
                        let end = match &intent.state {
                            IntentState::Resolved { at, .. } => format!("whole again {}", at.format("%T UTC")),
                            _ => "not proven whole again yet".into(),
                        };
                        // Asked about one app of several, its own tasks are meant.
                        let one = subject.and_then(|s| run.plan.apps.iter().find(|a| a.app.as_str() == s));
                        let (killed, instances, app) = match one {
                            Some(one) => {
                                let own = intent.targets.iter().filter(|t| t.app == one.app).count();
                                (own, one.instances, one.app.to_string())
                            }
                            None => (
                                intent.targets.len(),
                                run.plan.apps.instances(),
                                run.plan.apps.to_string(),
                            ),
                        };
                        let line = format!(
                            "Yes: killed {killed} of {instances} tasks of {app} at {}, run {}, {end}.",
                            intent.at.format("%T UTC"),
                            run.id
                        );
                        WasItYou { answer: WasIt::Yes, at, line, items }
                    }
                    earlier => {
                        let since = earlier.map_or_else(
                            || "nothing by us in the journal".to_owned(),
                            |(_, i)| format!("nothing by us since {}", i.at.format("%F %T UTC")),
                        );
                        let open = ledger.open_runs().count();
                        let running = if open == 0 { "no run is open".to_owned() } else { format!("{open} runs are open") };
                        let line = format!("No: {since} {about}; {running}.");
                        WasItYou { answer: WasIt::No, at, line, items }
                    }
                }
            })
            .await
    }

    /// What is still open, in words: every stop answers with this.
    pub(super) async fn still_open(&self) -> Vec<String> {
        let now = self.ports.clock.now();
        self.book
            .read(|l| {
                let charged = l.charged().map(|(r, i)| charge_in_words(r, i, now));
                let runs = l
                    .open_runs()
                    .map(|r| format!("run {} on {}: {}", r.id, r.plan.apps, r.phase));
                charged.chain(runs).collect()
            })
            .await
    }

    /// The journal's fold, for whoever serves a page or a metric.
    pub async fn read_ledger<T>(&self, look: impl FnOnce(&Ledger) -> T) -> T {
        self.book.read(look).await
    }
}

fn charge_in_words(run: &Run, intent: &Intent, now: DateTime<Utc>) -> String {
    let tasks = intent.targets.len();
    let age = (now - intent.at).num_seconds();
    let what = match &intent.state {
        IntentState::Open => "on its way, or sent without a recorded answer".to_owned(),
        IntentState::Acked { .. } => "accepted by Marathon, replacement not proven to serve".to_owned(),
        IntentState::Ambiguous { why, .. } => format!("unanswered ({why})"),
        IntentState::Held { why, .. } => format!("needs a person ({why})"),
        other => other.word().to_owned(),
    };
    format!(
        "{} of {} ({tasks} of {} tasks, {age} s ago): {what}",
        intent.id,
        run.plan.apps,
        run.plan.apps.instances()
    )
}

fn timeline(
    ledger: &Ledger,
    since: DateTime<Utc>,
    app: Option<&crate::model::ids::AppId>,
) -> Vec<TimelineItem> {
    ledger
        .timeline
        .iter()
        .filter(|item| item.at >= since && app.is_none_or(|a| item.apps().any(|b| b == a)))
        .cloned()
        .collect()
}

fn lead(subject: &str, policies: &[WhyPolicy], app: bool) -> String {
    let Some(first) = policies.first() else {
        return if app {
            format!("No policy names {subject}: nothing can happen to it.")
        } else {
            format!("Policy {subject} has nothing to say.")
        };
    };
    if let Some(none) = &first.none {
        return format!("Nothing happens: {none}.");
    }
    let blockers: Vec<_> = first.answers.iter().filter(|a| !a.answer.passes()).collect();
    match blockers
        .iter()
        .find(|a| !a.gate.is_answered_later())
        .or_else(|| blockers.first())
    {
        Some(blocker) if blocker.gate.is_answered_later() => {
            format!(
                "Nothing stands in the way now; still to come: {}: {}.",
                blocker.gate,
                blocker.answer.why()
            )
        }
        Some(blocker) => format!("Nothing happens: {}: {}.", blocker.gate, blocker.answer.why()),
        None => "Nothing stands in the way.".into(),
    }
}
