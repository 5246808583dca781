//! The loop: the only place where engine and ports meet.
//!
//! [`Operator::run`] serves all policies fairly, one `Operator::pass` at a time: look, decide, ask every
//! gate, change at most one thing, write it down. A wake-up carries no data; timer, Marathon event and
//! command all lead to the same pass over the same state. There is no recovery code: a restart is the
//! next pass.

mod ask;
mod attention;
mod book;
mod change;
mod conclude;
mod fence;
mod inbox;
mod observe;
mod pace;
mod rehearsal;
mod take_up;
mod tell;
mod views;
mod watch;

pub use book::CommitError;

use crate::engine::history::Ledger;
use crate::engine::lifecycle::{self, Turn, View};
use crate::engine::schedule::{self, Standing};
use crate::model::command::{Person, Role, Via};
use crate::model::entry::Body;
use crate::model::experiment::AbortCause;
use crate::model::ids::{AppId, ClusterName, IntentId, PolicyName, RunId};
use crate::model::policy::{Limits, Policy, PolicySet, PolicyState};
use crate::model::run::{IntentState, Phase, Run};
use crate::model::snapshot::Snapshot;
use crate::ports::clock::{Clock, Dice};
use crate::ports::cluster::Cluster;
use crate::ports::journal::{Journal, JournalError};
use crate::ports::notifier::Notifier;
use crate::ports::pager::Pager;
use crate::ports::prober::Prober;
use crate::ports::reporter::Reporter;
use crate::ports::stop_file::StopFile;
use book::Book;
use chrono::{DateTime, TimeDelta, Utc};
use fence::Fence;
use futures_util::FutureExt;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use take_up::halted;
use tokio::sync::{Notify, watch as channel};
use watch::Watch;

/// However many events Marathon sends, a policy looks at most this often because of them.
const EVENT_REST: Duration = Duration::from_secs(2);
/// How often the halt file is looked for; every last look reads it too.
const HALT_FILE_EVERY: Duration = Duration::from_secs(1);

/// The outside.
pub struct Ports {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Dice.
    pub dice: Arc<dyn Dice>,
    /// Marathons by the settings' names.
    pub clusters: BTreeMap<ClusterName, Arc<dyn Cluster>>,
    /// Probes.
    pub prober: Arc<dyn Prober>,
    /// The record.
    pub journal: Arc<dyn Journal>,
    /// People.
    pub notifier: Arc<dyn Notifier>,
    /// Alerts.
    pub pager: Arc<dyn Pager>,
    /// Reports.
    pub reporter: Arc<dyn Reporter>,
    /// The halt file.
    pub stop_file: Arc<dyn StopFile>,
}

/// What the settings say, as far as it decides.
#[derive(Clone, Debug)]
pub struct Config {
    /// Version of the binary.
    pub version: String,
    /// Whether anything may be killed.
    pub armed: bool,
    /// Limits that bind every policy.
    pub limits: Limits,
    /// The label and value that opt an app in.
    pub opt_in: (String, String),
    /// The label that names the owning team.
    pub team_label: String,
    /// The installation's secret seed for draws.
    pub seed: String,
    /// How long an unanswered kill stays charged at least: at least the longest pause, network delay and
    /// execution time together.
    pub quarantine: TimeDelta,
    /// How long to wait for the answer to a kill.
    pub kill_timeout: Duration,
    /// No byte of a kill leaves later than this after its intent.
    pub intent_deadline: TimeDelta,
    /// How often each Marathon repeats a kill that Mesos has not confirmed; 30 s where nothing is said.
    pub kill_retry: BTreeMap<ClusterName, TimeDelta>,
    /// Framework ids that the settings insist on.
    pub framework_ids: BTreeMap<ClusterName, String>,
}

/// What was last seen of a cluster.
#[derive(Clone, Debug, Default)]
struct Seen {
    whole_at: Option<DateTime<Utc>>,
    last: Option<Arc<Snapshot>>,
    /// When it was last asked while nothing was going on, and what went wrong then.
    relisted: Option<(DateTime<Utc>, Option<String>)>,
    /// Events may have been lost since it was asked.
    distrusted: bool,
}

impl Seen {
    /// When it was last asked, if that still tells something.
    fn asked_at(&self) -> Option<DateTime<Utc>> {
        let looked = self.last.as_ref().map(|s| s.taken_at);
        let relisted = self.relisted.as_ref().map(|(at, _)| *at);
        looked.max(relisted).filter(|_| !self.distrusted)
    }
}

/// When a policy's next pass is, and how it went so far.
#[derive(Clone, Debug, Default)]
struct Turns {
    next: Duration,
    last: Duration,
    failures: u32,
    waiting: String,
    /// What was last told about failures, so that people are told once.
    told: Option<String>,
}

/// The operator.
pub struct Operator {
    ports: Ports,
    config: Config,
    policies: channel::Receiver<Arc<PolicySet>>,
    book: Book,
    installation: String,
    fence: Arc<Fence>,
    watches: Mutex<BTreeMap<RunId, Watch>>,
    seen: Mutex<BTreeMap<ClusterName, Seen>>,
    turns: Mutex<BTreeMap<PolicyName, Turns>>,
    in_flight: Mutex<BTreeSet<IntentId>>,
    /// Answers that could not be journalled yet: facts are never lost while the process lives.
    unwritten: Mutex<BTreeMap<IntentId, IntentState>>,
    unwritten_aborts: Mutex<BTreeMap<RunId, (AbortCause, Option<u64>)>>,
    /// Attention notices of this process: what, and what to do.
    attention: Mutex<BTreeMap<String, (String, String)>>,
    /// Held while a halt is taken up or lifted: a file that is being removed is not taken up again.
    halting: tokio::sync::Mutex<()>,
    /// Troubles with kills that people were told of, each once a process.
    alerted: Mutex<BTreeSet<String>>,
    /// The policies that the journal knows of.
    taken_up: Mutex<Option<Arc<PolicySet>>>,
    /// How many notices could not be shown in the last round.
    waiting: std::sync::atomic::AtomicUsize,
    /// A person asked, or something of ours went on: look at once.
    wake: Notify,
    /// Marathon said that something happened: look soon, however often it says so.
    events: Arc<Notify>,
    journal_works: AtomicBool,
    tell: Notify,
    started: (DateTime<Utc>, Duration),
    turned: Mutex<Duration>,
}

/// Why a pass could not do its work. A refusal is an answer, not an error.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// The journal could not be written or read.
    #[error("the journal can't be used")]
    Journal(#[source] JournalError),
    /// Something a pass needs could not be had.
    #[error("{0}")]
    Other(String),
}

impl<E: std::fmt::Display> From<CommitError<E>> for PassError {
    fn from(error: CommitError<E>) -> Self {
        match error {
            CommitError::Journal(error) => Self::Journal(error),
            CommitError::Refused(why) => Self::Other(why.to_string()),
        }
    }
}

impl Operator {
    /// Reads the journal, ends what an earlier process left armed, and is ready to run.
    ///
    /// # Errors
    ///
    /// When the journal can't be read or written: then nothing runs.
    pub async fn start(
        ports: Ports,
        config: Config,
        policies: channel::Receiver<Arc<PolicySet>>,
        events: Arc<Notify>,
    ) -> Result<Arc<Self>, JournalError> {
        let installation = ports.journal.installation().await?;
        let book = Book::open(ports.journal.clone(), ports.clock.clone()).await?;
        let process = format!("{:016x}", ports.dice.number());
        let version = config.version.clone();
        let started = book.commit(|ledger, _| {
            let mut bodies = vec![Body::Started {
                version: version.clone(),
                process: process.clone(),
            }];
            for (run, cause) in ledger.left_open() {
                bodies.push(Body::Aborting {
                    run,
                    cause,
                    breach_to_fence_us: None,
                });
            }
            Ok::<_, std::convert::Infallible>(bodies)
        });
        match started.await {
            Ok(_) => {}
            Err(CommitError::Journal(error)) => return Err(error),
            Err(CommitError::Refused(never)) => match never {},
        }
        let fence = Arc::new(Fence::default());
        book.read(|ledger| {
            for run in ledger.open_runs().filter(|r| r.abort.is_some()) {
                fence.close(&run.id, "the run is aborting", ports.clock.elapsed());
            }
            if ledger.halt.is_some() {
                fence.close_all("a halt is in force");
            }
        })
        .await;
        let started = (ports.clock.now(), ports.clock.elapsed());
        Ok(Arc::new(Self {
            ports,
            config,
            policies,
            book,
            installation,
            fence,
            watches: Mutex::default(),
            seen: Mutex::default(),
            turns: Mutex::default(),
            in_flight: Mutex::default(),
            unwritten: Mutex::default(),
            unwritten_aborts: Mutex::default(),
            attention: Mutex::default(),
            halting: tokio::sync::Mutex::default(),
            alerted: Mutex::default(),
            taken_up: Mutex::default(),
            waiting: std::sync::atomic::AtomicUsize::new(0),
            wake: Notify::new(),
            events,
            journal_works: AtomicBool::new(true),
            tell: Notify::new(),
            started,
            turned: Mutex::new(started.1),
        }))
    }

    /// Serves all policies until this future is dropped. See [`Operator::stop`] for an orderly end.
    pub async fn run(self: &Arc<Self>) {
        let told = self.clone();
        let telling = async move { told.tell_people().await };
        let serving = async {
            loop {
                let rest = self.round().await;
                *self.turned.lock().unwrap_or_else(PoisonError::into_inner) = self.ports.clock.elapsed();
                tokio::select! {
                    biased;
                    () = self.wake.notified() => self.hurry(Duration::ZERO),
                    () = self.events.notified() => self.hurry(EVENT_REST),
                    () = self.ports.clock.sleep(rest) => {}
                }
            }
        };
        // Beside the passes: however much there is to write, nobody waits for it.
        let catching_up = async {
            Box::pin(self.write_missed_reports()).await;
            std::future::pending::<()>().await;
        };
        // Beside the passes as well: a stop must not wait for a Marathon that hangs.
        let halting = async {
            loop {
                self.take_up_halt_file().await;
                self.ports.clock.sleep(HALT_FILE_EVERY).await;
            }
        };
        tokio::select! {
            biased;
            () = halting => {}
            () = telling => {}
            () = serving => {}
            () = catching_up => {}
        }
    }

    /// Ends in order: closes the fence, aborts what is armed, says so in the journal.
    pub async fn stop(&self, why: &str) {
        self.fence.close_all(why);
        let by = Person {
            id: "operator".into(),
            name: "the operator".into(),
            via: Via::Signal,
            role: Role::Admin,
        };
        let stopped = self.book.commit(|ledger, _| {
            let mut bodies: Vec<Body> = ledger
                .left_open()
                .into_iter()
                .map(|(run, _)| Body::Aborting {
                    run,
                    cause: AbortCause::Manual {
                        by: by.name.clone(),
                        reason: why.to_owned(),
                    },
                    breach_to_fence_us: None,
                })
                .collect();
            bodies.push(Body::Stopped { why: why.to_owned() });
            Ok::<_, std::convert::Infallible>(bodies)
        });
        if let Err(error) = stopped.await {
            tracing::error!(%error, "the end could not be journalled; the next start treats it as a crash");
        }
        let watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        watches.values().for_each(Watch::stop);
    }

    /// How long ago the loop last came round: the health check's question.
    pub fn since_last_turn(&self) -> Duration {
        let turned = *self.turned.lock().unwrap_or_else(PoisonError::into_inner);
        self.ports.clock.elapsed().saturating_sub(turned)
    }

    /// Whether the journal could be written last time.
    pub fn journal_works(&self) -> bool {
        self.journal_works.load(Ordering::Relaxed)
    }

    /// One round over every policy that is due. Gives the time until the next is.
    async fn round(self: &Arc<Self>) -> Duration {
        self.flush_unwritten().await;
        if let Err(error) = self.take_up_policies().await {
            tracing::error!(%error, "changed policies could not be journalled; their old state counts");
        }
        let due = self.due_policies().await;
        for name in due {
            let outcome = AssertUnwindSafe(self.pass(&name)).catch_unwind().await;
            if let Ok(outcome) = &outcome {
                self.journal_works
                    .store(!matches!(outcome, Err(PassError::Journal(_))), Ordering::Relaxed);
            }
            self.reckon(&name, outcome);
        }
        self.gauge().await;
        let now = self.ports.clock.elapsed();
        let turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let next = turns.values().map(|t| t.next).min().unwrap_or(now + pace::SOON);
        next.saturating_sub(now)
            .clamp(Duration::from_millis(10), Duration::from_secs(1))
    }

    /// Shows how things are, for whoever watches us.
    async fn gauge(&self) {
        let (charged, halted, open) = self
            .book
            .read(|l| {
                (
                    l.charged().map(|(_, i)| i.targets.len()).sum::<usize>(),
                    l.halt.is_some(),
                    l.open_runs().count(),
                )
            })
            .await;
        metrics::gauge!("heartbreak_charged").set(charged as f64);
        metrics::gauge!("heartbreak_halted").set(f64::from(u8::from(halted)));
        metrics::gauge!("heartbreak_armed").set(f64::from(u8::from(self.config.armed)));
        metrics::gauge!("heartbreak_leader").set(1.0);
        metrics::gauge!("heartbreak_runs", "phase" => "open").set(open as f64);
        let set = self.policy_set();
        let (all, active) = (
            set.policies.len(),
            set.policies
                .values()
                .filter(|p| matches!(p, PolicyState::Active(_)))
                .count(),
        );
        metrics::gauge!("heartbreak_policies", "state" => "active").set(active as f64);
        metrics::gauge!("heartbreak_policies", "state" => "suspended").set((all - active) as f64);
        let now = self.ports.clock.now();
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(oldest) = seen
            .values()
            .filter_map(|s| s.last.as_ref())
            .map(|s| s.age(now))
            .max()
        {
            metrics::gauge!("heartbreak_snapshot_age_seconds").set(oldest.num_milliseconds() as f64 / 1000.0);
        }
    }

    /// Makes every policy due, but not sooner than `rest` after its last pass: so a storm of events
    /// costs one look per rest and not one per event.
    fn hurry(&self, rest: Duration) {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        for turn in turns.values_mut().filter(|t| t.failures == 0) {
            turn.next = turn.next.min(turn.last + rest);
        }
    }

    /// Policies whose turn it is, the longest waiting first: active ones, and any with something open.
    async fn due_policies(&self) -> Vec<PolicyName> {
        let mut names: BTreeSet<PolicyName> = self.policy_set().policies.keys().cloned().collect();
        self.book
            .read(|ledger| {
                names.extend(ledger.open_runs().map(|r| r.plan.policy.clone()));
                names.extend(ledger.charged().map(|(r, _)| r.plan.policy.clone()));
            })
            .await;
        let now = self.ports.clock.elapsed();
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|name, _| names.contains(name));
        for name in &names {
            turns.entry(name.clone()).or_default();
        }
        let mut due: Vec<_> = turns
            .iter()
            .filter(|(_, t)| t.next <= now)
            .map(|(n, t)| (t.next, n.clone()))
            .collect();
        due.sort();
        due.into_iter().map(|(_, name)| name).collect()
    }

    /// Decides when a policy's next pass is, by how this one went.
    fn reckon(&self, name: &PolicyName, outcome: std::thread::Result<Result<Pace, PassError>>) {
        metrics::counter!("heartbreak_passes_total").increment(1);
        let now = self.ports.clock.elapsed();
        let dice = self.ports.dice.number();
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = turns.entry(name.clone()).or_default();
        turn.last = now;
        let (failed, loud) = match outcome {
            Ok(Ok(pace)) => {
                turn.failures = 0;
                turn.told = None;
                turn.waiting = pace.why;
                turn.next = now + pace.after + pace::jitter(pace.after / 10, dice);
                return;
            }
            Ok(Err(error)) => {
                let mut text = error.to_string();
                let mut source = std::error::Error::source(&error);
                while let Some(cause) = source {
                    text = format!("{text}: {cause}");
                    source = cause.source();
                }
                (text, false)
            }
            Err(panic) => {
                let text = panic
                    .downcast_ref::<&str>()
                    .map(|s| (*s).to_owned())
                    .or_else(|| panic.downcast_ref::<String>().cloned())
                    .unwrap_or_else(|| "no message".into());
                (
                    format!("a pass of policy {name} broke a promise of ours: {text}"),
                    true,
                )
            }
        };
        turn.failures = turn.failures.saturating_add(1);
        turn.next = now + pace::after_failures(turn.failures, dice);
        turn.waiting.clone_from(&failed);
        tracing::error!(policy = %name, error = %failed, failures = turn.failures, "a pass failed; nothing was changed by it");
        if (loud || turn.failures >= 5) && turn.told.as_deref() != Some(&failed) {
            turn.told = Some(failed.clone());
            self.attend(
                format!("pass/{name}"),
                format!("policy {name} can't be served: {failed}"),
                "other policies go on; read the operator's log and `heartbreak why`".into(),
            );
        }
    }

    /// One turn for one policy: look, decide, change at most one thing, write it down.
    ///
    /// # Errors
    ///
    /// When our own work could not be done. A refusal is not an error.
    async fn pass(self: &Arc<Self>, name: &PolicyName) -> Result<Pace, PassError> {
        self.book.settle().await.map_err(PassError::Journal)?;
        let policy = self.standing(name);
        let now = self.ports.clock.now();
        let (open, asked, busy, cluster, apps) = self
            .book
            .read(|ledger| self.situation(ledger, name, &policy))
            .await;
        let due = match &policy {
            Ok(policy) if open.is_none() => self.due(policy, now).await?,
            _ => None,
        };
        let Some(cluster) = cluster else {
            return Ok(Pace::new(
                pace::IDLE,
                "nothing is open and the policy is not active",
            ));
        };
        if !busy
            && due.is_none()
            && open.is_none()
            && let Ok(policy) = &policy
            && (self.seen_lately(&cluster, now) || self.was_seen(&cluster))
        {
            if !self.seen_lately(&cluster, now) {
                self.relist(&cluster, policy).await;
            }
            let rest = self.quiet(&cluster, policy, now);
            return Ok(Pace::new(rest, "nothing is due and nobody asked"));
        }
        // A run that is open needs its app and nothing else; that of an outage all of them, because whatever
        // came to the place since it was planned belongs to it.
        let needs_agents = policy.iter().any(|p| p.fault.needs_agents());
        let looked_for: Vec<&Policy> = policy
            .iter()
            .map(|p| &**p)
            .filter(|_| open.is_none() || needs_agents)
            .collect();
        // Whoever asked is told of every app why it is no target; nobody reads that of a schedule.
        let ownership = self.ownership();
        let queries = ask::queries(&looked_for, &apps, (!asked).then_some(&ownership));
        let snapshot = self.look(&cluster, &queries, needs_agents).await;
        self.pin(&snapshot).await;
        if let Some(run) = &open {
            self.keep_watching(run);
        }

        let now = self.ports.clock.now();
        self.alert_about_the_unreplaced(name, now).await;
        self.alert_about_kills_without_effect(name, &snapshot, now).await;
        let watch = open.as_ref().and_then(|run| {
            let watch = self.watch_of(&run.id)?;
            Some(watch.view(now, run.intents.last().map(|i| i.at), &run.plan))
        });
        let halt_file = self.ports.stop_file.read();
        let in_flight = self
            .in_flight
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let turn = self
            .book
            .read(|ledger| {
                lifecycle::next(&View {
                    name,
                    policy: policy.as_ref().map(|p| &**p).map_err(String::as_str),
                    ledger,
                    snapshot: &snapshot,
                    in_flight: &in_flight,
                    watch,
                    halted: halted(ledger, &halt_file),
                    now,
                    quarantine: self.config.quarantine,
                    kill_retry: self.kill_retry(&snapshot.cluster),
                    due,
                })
            })
            .await;
        let busy_pace = if open.is_some() { pace::BUSY } else { pace::SOON };
        match turn {
            Turn::Wait { why } => Ok(Pace::new(busy_pace, why)),
            Turn::Settle { intent, state } => self.settle(&intent, state).await,
            Turn::Propose { due, requested_by } => {
                self.propose(name, &policy, &snapshot, due, requested_by).await
            }
            Turn::Ask { run } => self.ask_gates(&run, &policy, &snapshot).await,
            Turn::Do { run, step, patience } => self.do_step(&run, step, patience, &policy, &snapshot).await,
            Turn::Recover { run } => self.move_to(&run, Phase::Steps, Phase::Recovery).await,
            Turn::Abort { run, cause } => {
                self.abort_run(&run, cause, None).await;
                Ok(Pace::new(Duration::ZERO, "aborting"))
            }
            Turn::Conclude {
                run,
                reason,
                why,
                recovered,
            } => self.conclude(&run, &reason, &why, recovered).await,
        }
    }

    /// The open run of a policy, whether a person asked for one, whether anything is going on, the cluster,
    /// and the apps that are under way.
    fn situation(
        &self,
        ledger: &Ledger,
        name: &PolicyName,
        policy: &Result<Arc<Policy>, String>,
    ) -> (Option<Run>, bool, bool, Option<ClusterName>, Vec<AppId>) {
        let open = ledger.open_run_of(name).cloned();
        let charged: Vec<_> = ledger
            .charged()
            .filter(|(r, _)| r.plan.policy == *name)
            .map(|(r, _)| r.plan.clone())
            .collect();
        let asked = ledger.requests.contains_key(name);
        let busy = !charged.is_empty() || asked;
        let cluster = open
            .as_ref()
            .map(|r| r.plan.cluster.clone())
            .or_else(|| charged.first().map(|p| p.cluster.clone()))
            .or_else(|| policy.as_ref().ok().map(|p| p.cluster.clone()));
        let apps = open
            .iter()
            .map(|r| &r.plan)
            .chain(&charged)
            .flat_map(|plan| plan.apps.ids().cloned())
            .collect::<BTreeSet<_>>();
        (open, asked, busy, cluster, apps.into_iter().collect())
    }

    fn was_seen(&self, cluster: &ClusterName) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(cluster).is_some_and(|s| s.whole_at.is_some())
    }

    /// Whether a relist would tell little: so an idle operator asks a Marathon once in a minute.
    fn seen_lately(&self, cluster: &ClusterName, now: DateTime<Utc>) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(cluster).and_then(Seen::asked_at).is_some_and(|at| {
            let age = now - at;
            age >= TimeDelta::zero() && age.to_std().is_ok_and(|age| age < pace::IDLE)
        })
    }

    /// How long there is nothing to do for a policy that waits: until the next instant of its schedule, or until
    /// what was seen of its cluster is too old.
    fn quiet(&self, cluster: &ClusterName, policy: &Policy, now: DateTime<Utc>) -> Duration {
        let stale = {
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let asked_at = seen.get(cluster).and_then(Seen::asked_at);
            asked_at.and_then(|at| pace::IDLE.checked_sub((now - at).to_std().ok()?))
        };
        let rest = stale.unwrap_or_default().clamp(pace::SOON, pace::QUIET);
        let name = policy.name.as_str();
        let until = now + rest;
        let next = schedule::due(&self.config.seed, policy, name, &self.config.limits, now, until);
        let next = next.first().and_then(|at| (*at - now).to_std().ok());
        next.map_or(rest, |next| next.min(rest))
    }

    /// The event stream of a cluster was opened anew: what was said meanwhile is lost, so the next pass
    /// asks what is true.
    pub fn stream_opened(&self, cluster: &ClusterName) {
        {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(seen) = seen.get_mut(cluster) {
                seen.distrusted = true;
            }
        }
        self.events.notify_one();
    }

    /// The instant of the schedule that is due now, skipping those that are too late.
    async fn due(&self, policy: &Policy, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, PassError> {
        let served = self
            .book
            .read(|ledger| ledger.served.get(&policy.name).copied())
            .await;
        let from = served.map_or(self.started.0, |s| s.max(self.started.0 - TimeDelta::days(1)));
        let instants = schedule::due(
            &self.config.seed,
            policy,
            policy.name.as_str(),
            &self.config.limits,
            from,
            now,
        );
        let (due, why) = match schedule::standing(&instants, served, now) {
            Standing::Nothing => return Ok(None),
            Standing::Due(due) => return Ok(Some(due)),
            Standing::Missed { due, why } => (due, why),
        };
        let name = policy.name.clone();
        self.book
            .commit(|ledger, _| {
                let news = ledger.served.get(&name).is_none_or(|s| *s < due);
                Ok::<_, std::convert::Infallible>(if news {
                    vec![Body::Skipped {
                        policy: name.clone(),
                        due,
                        why: why.clone(),
                    }]
                } else {
                    vec![]
                })
            })
            .await?;
        Ok(None)
    }

    fn watch_of(&self, run: &RunId) -> Option<Watch> {
        self.watches
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(run)
            .cloned()
    }

    /// Starts the watch of a run that needs one and has none. A run that began under an earlier process
    /// gets none: it is being aborted.
    fn keep_watching(self: &Arc<Self>, run: &Run) {
        let ours = run.started.is_some_and(|at| at >= self.started.0);
        if !run.is_watched() || !ours {
            return;
        }
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        if watches.contains_key(&run.id) {
            return;
        }
        let watch = Watch::new(&run.plan);
        watches.insert(run.id.clone(), watch.clone());
        let (op, plan) = (self.clone(), run.plan.clone());
        tokio::spawn(async move { op.watch(plan, watch).await });
    }

    /// Writes what an earlier attempt could not: answers of kills, and aborts.
    async fn flush_unwritten(&self) {
        let waiting: Vec<_> = {
            let unwritten = self.unwritten.lock().unwrap_or_else(PoisonError::into_inner);
            unwritten.iter().map(|(k, v)| (k.clone(), v.clone())).collect()
        };
        for (intent, state) in waiting {
            if self.write_settled(&intent, state).await.is_ok() {
                self.unwritten
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .remove(&intent);
                self.in_flight
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .remove(&intent);
            }
        }
        let aborts: Vec<_> = {
            let mut aborts = self
                .unwritten_aborts
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *aborts).into_iter().collect()
        };
        for (run, (cause, measured)) in aborts {
            self.abort_run(&run, cause, measured).await;
        }
    }

    fn kill_retry(&self, cluster: &ClusterName) -> TimeDelta {
        let told = self.config.kill_retry.get(cluster).copied();
        told.unwrap_or(lifecycle::KILL_RETRY)
    }
}

/// When a policy's next pass is, and what it waits for.
#[derive(Clone, Debug)]
struct Pace {
    after: Duration,
    why: String,
}

impl Pace {
    fn new(after: Duration, why: impl Into<String>) -> Self {
        Self {
            after,
            why: why.into(),
        }
    }
}
