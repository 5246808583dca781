//! The operator's ports, in memory: each call may be slow, fail, lie as the outside does, or be the last
//! thing that this process ever does.

use crate::world::{
    DEADLINE, Event, LATE_MAX, QUARANTINE, Request, STALE_MAX, Sabotage, View, World, cart, execute,
};
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use heartbreak::model::command::{Asked, Command, Person, Role, Via};
use heartbreak::model::entry::{Body, Entry};
use heartbreak::model::experiment::{ProbeSpec, Reading};
use heartbreak::model::ids::{AppId, GroupId, PersonId, PlanDigest, RunId, Seq, TaskId};
use heartbreak::model::notice::{MessageRef, Notice, NoticeBody};
use heartbreak::model::policy::{PolicySet, PolicyState};
use heartbreak::model::report::Report;
use heartbreak::model::run::{IntentState, Phase};
use heartbreak::model::snapshot::{
    App, ClusterInfo, Gap, GapKind, Health, MarathonVersion, Snapshot, Task, TaskState,
};
use heartbreak::operator::{Config, Operator, Ports};
use heartbreak::ports::Permit;
use heartbreak::ports::clock::{Clock, Dice as DicePort};
use heartbreak::ports::cluster::{Cluster, KillAnswer, KillOrder, LastLook, Query};
use heartbreak::ports::inbox::Inbox;
use heartbreak::ports::journal::{AppendError, Journal, JournalError, Measured};
use heartbreak::ports::notifier::{Notifier, NotifyError};
use heartbreak::ports::pager::{Pager, PagerAnswer};
use heartbreak::ports::prober::{Patience, Prober};
use heartbreak::ports::reporter::Reporter;
use heartbreak::ports::stop_file::StopFile;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// One process of the operator. A dead one never comes back from a call.
#[derive(Clone)]
struct Process {
    world: Arc<World>,
    dead: Arc<AtomicBool>,
    number: u64,
}

impl Process {
    /// Marks an effect boundary: here the process may die, before or after the effect.
    async fn boundary(&self) {
        if self.dead.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let crash = {
            let mut state = self.world.lock();
            state.effects += 1;
            state.crash_at == Some(state.effects)
        };
        if crash {
            self.dead.store(true, Ordering::SeqCst);
            self.world.crash.notify_one();
            std::future::pending::<()>().await;
        }
    }

    async fn slow(&self, low: u64, high: u64) {
        tokio::time::sleep(self.world.roll(|d| d.millis(low, high))).await;
    }
}

#[async_trait]
impl Clock for Process {
    fn now(&self) -> DateTime<Utc> {
        self.world.wall()
    }
    fn elapsed(&self) -> Duration {
        let elapsed = self.world.elapsed();
        if self.world.setup.sabotage == Sabotage::TrustTheClock {
            let offset = self.world.lock().wall_offset;
            return (elapsed + Duration::from_secs(90_000))
                .saturating_sub(Duration::ZERO)
                .checked_add_signed(offset)
                .unwrap_or(elapsed);
        }
        elapsed
    }
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
        if self.dead.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    }
}

trait AddSigned {
    fn checked_add_signed(self, delta: TimeDelta) -> Option<Duration>;
}
impl AddSigned for Duration {
    fn checked_add_signed(self, delta: TimeDelta) -> Option<Duration> {
        match delta.to_std() {
            Ok(forward) => self.checked_add(forward),
            Err(_) => self.checked_sub((-delta).to_std().ok()?),
        }
    }
}

impl DicePort for Process {
    fn number(&self) -> u64 {
        self.world.roll(crate::world::Dice::next)
    }
}

#[async_trait]
impl Cluster for Process {
    async fn look(&self, _queries: &[Query]) -> Snapshot {
        self.boundary().await;
        let asked = self.world.truth();
        let taken_at = self.world.wall();
        self.slow(5, 900).await;
        let unseen = self.world.trouble(self.world.setup.read_errors);
        let View {
            app,
            down,
            deployment,
            ..
        } = self.view();
        self.world.happened(Event::Looked {
            asked,
            deployment,
            whole: !unseen,
            down,
        });
        if unseen {
            let gap = Gap {
                app: None,
                what: GapKind::Apps,
                why: "Marathon answered 502 with HTML".into(),
            };
            return Snapshot::unseen("sim".into(), taken_at, gap);
        }
        let offset = match self.world.setup.sabotage {
            Sabotage::TrustTheClock => None,
            _ => Some((self.world.truth() - self.world.wall()).num_milliseconds()),
        };
        Snapshot {
            cluster: "sim".into(),
            taken_at,
            info: Some(ClusterInfo {
                framework_id: "framework-1".into(),
                version: MarathonVersion {
                    major: 1,
                    minor: if self.world.setup.stable { 11 } else { 7 },
                },
                leader: None,
                clock_offset_ms: offset,
                task_killing: false,
                proxy_timeout_ms: None,
            }),
            apps: BTreeMap::from([(cart(), app)]),
            agents: None,
            gaps: vec![],
        }
    }

    /// Nobody is ever cut off here, so that silence of a probe is always harm.
    async fn ping(&self) -> Result<(), String> {
        Ok(())
    }

    async fn look_at(&self, _app: &AppId) -> Result<Option<App>, Gap> {
        self.boundary().await;
        self.slow(1, 200).await;
        Ok(Some(self.view().app))
    }

    async fn kill(&self, order: &KillOrder, _permit: &Permit, last_look: &dyn LastLook) -> KillAnswer {
        self.boundary().await;
        let world = &self.world;
        let setup = &world.setup;
        // Connecting may take longer than the intent may live.
        if world.trouble(150) {
            self.slow(1_000, 9_000).await
        } else {
            self.slow(1, 50).await
        }
        if self.dead.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if setup.sabotage != Sabotage::NoLastLook
            && let Some(why) = last_look.closed()
        {
            return KillAnswer::NotSent { why };
        }
        let tasks: Vec<String> = order.tasks.iter().map(ToString::to_string).collect();
        let intent = order.intent.to_string();
        let bytes = |at| Event::BytesOut {
            intent: intent.clone(),
            tasks: tasks.clone(),
            at,
        };
        world.happened(bytes(world.truth()));
        let lost = world.trouble(setup.lost_before);
        let late = world.trouble(setup.late);
        let never = world.trouble(setup.never);
        let answer_lost = world.trouble(setup.answer_lost);
        let now = world.truth();
        let request = Request {
            intent: intent.clone(),
            tasks: tasks.clone(),
            lands: now,
        };
        if !lost && !never {
            let lands = if late {
                now + TimeDelta::milliseconds(world.roll(|d| d.between(1_000, LATE_MAX)) as i64)
            } else {
                now
            };
            world.lock().in_network.push(Request {
                lands,
                ..request.clone()
            });
        }
        let killed: Vec<TaskId> = {
            let state = world.lock();
            let mut copy = crate::world::State {
                instances: state.instances.clone(),
                ..Default::default()
            };
            drop(state);
            execute(&mut copy, &request, now, setup.stable, &mut vec![], || 1)
                .into_iter()
                .map(TaskId::new)
                .collect()
        };
        if !late {
            world.turn();
        }
        self.boundary().await;
        if lost || answer_lost || (late && world.trouble(500)) {
            if setup.sabotage == Sabotage::Resend {
                world.happened(bytes(world.truth()));
                world.lock().in_network.push(request);
            }
            tokio::time::sleep(order.timeout).await;
            return KillAnswer::Unanswered {
                why: "no answer came".into(),
            };
        }
        self.slow(1, 300).await;
        KillAnswer::Accepted { tasks: killed }
    }
}

impl Process {
    fn deploying(&self) -> bool {
        let now = self.world.truth();
        self.world
            .lock()
            .deployment_until
            .is_some_and(|until| until > now)
    }

    /// What Marathon shows now. Sometimes it shows what was: a leader that has not heard of the last seconds
    /// yet answers as surely as any other.
    fn view(&self) -> View {
        let app = self.app();
        let deployment = self.deploying();
        let (stable, at) = (self.world.setup.stable, self.world.truth());
        let stale = self.world.setup.stale > 0 && self.world.trouble(self.world.setup.stale);
        let millis = if stale {
            self.world.roll(|d| d.between(500, STALE_MAX))
        } else {
            0
        };
        let age = TimeDelta::milliseconds(millis as i64);
        let mut state = self.world.lock();
        let down = state
            .instances
            .iter()
            .filter(|i| !i.serves())
            .map(|i| i.instance_id(stable))
            .collect();
        state
            .views
            .retain(|view| at - view.at <= TimeDelta::milliseconds(2 * STALE_MAX as i64));
        state.views.push(View {
            at,
            app,
            down,
            deployment,
        });
        let old = state
            .views
            .iter()
            .rev()
            .find(|view| at - view.at >= age)
            .filter(|_| stale)
            .cloned();
        match old {
            Some(old) => {
                state.events.push(Event::Stale { age: at - old.at });
                old
            }
            None => state.views.last().cloned().expect("one was put there"),
        }
    }

    fn app(&self) -> App {
        self.world.turn();
        let (setup, now) = (&self.world.setup, self.world.truth());
        let deploying = self.deploying() && setup.sabotage != Sabotage::HideDeployments;
        let state = self.world.lock();
        let mut tasks = vec![];
        for instance in &state.instances {
            let over = instance.over_until.is_some();
            if over && !setup.stable {
                continue;
            }
            let lies = setup.sabotage == Sabotage::InheritedHealth && instance.healthy.is_none() && !over;
            let success = instance.healthy.map(|h| h.max(now - TimeDelta::seconds(5)));
            let inherited = if setup.stable { instance.inherited } else { None };
            let last_success = success.or(inherited);
            let started_at = if lies {
                instance.inherited.map(|h| h - TimeDelta::seconds(60))
            } else {
                instance.started
            };
            tasks.push(Task {
                id: instance.task_id(setup.stable).into_id(),
                instance: heartbreak::model::ids::InstanceId::new(instance.instance_id(setup.stable)),
                incarnation: setup.stable.then_some(instance.incarnation),
                host: format!("agent-{}", instance.number % 3).into(),
                port: None,
                agent: None,
                state: match (over, started_at.is_some()) {
                    (true, _) => TaskState::Over("TASK_KILLED".into()),
                    (false, true) => TaskState::Running,
                    (false, false) => TaskState::Staging,
                },
                staged_at: (!over).then_some(instance.staged),
                started_at: if over { None } else { started_at },
                version: Some("1".into()),
                health: match last_success {
                    Some(at) if !over => Health::Reported {
                        alive: true,
                        last_success: Some(at),
                        first_success: Some(at),
                    },
                    _ => Health::Unreported,
                },
                region: None,
                zone: None,
            });
        }
        App {
            id: cart(),
            instances: setup.instances,
            labels: BTreeMap::from([("chaos".into(), "opt-in".into())]),
            version: "1".into(),
            health_checked: true,
            resident: false,
            constraints: vec![],
            deployments: if deploying { vec!["d-1".into()] } else { vec![] },
            launch_delay_s: None,
            kill_grace_s: None,
            pod: false,
            tasks,
        }
    }
}

trait IntoId {
    fn into_id(self) -> TaskId;
}
impl IntoId for String {
    fn into_id(self) -> TaskId {
        TaskId::new(self)
    }
}

#[async_trait]
impl Prober for Process {
    async fn take(&self, _run: &RunId, _probe: &ProbeSpec, timing: Patience) -> Reading {
        self.boundary().await;
        self.slow(1, 300).await;
        let world = &self.world;
        let at = world.truth();
        if world.trouble(world.setup.blind) {
            if world.setup.sabotage == Sabotage::BlindIsGood {
                world.happened(Event::Probed { good: false, at });
                return Reading::seen(50, 0);
            }
            // It counts from when the operator can know it.
            tokio::time::sleep(timing.timeout).await;
            world.happened(Event::Probed { good: false, at });
            return Reading::Blind {
                why: "the probe hung".into(),
            };
        }
        let bad = {
            let state = world.lock();
            if state.bad_until.is_some_and(|until| until > at) {
                state.bad_share
            } else {
                0
            }
        };
        world.happened(Event::Probed { good: bad < 25, at });
        Reading::seen(50, bad)
    }
}

fn failed(what: &str) -> JournalError {
    JournalError {
        what: what.into(),
        source: None,
    }
}

#[async_trait]
impl Journal for Process {
    async fn installation(&self) -> Result<String, JournalError> {
        Ok(format!("sim-{}", self.world.setup.seed))
    }

    async fn read(&self, after: Seq, most: usize) -> Result<Vec<Entry>, JournalError> {
        self.boundary().await;
        self.persist_lost();
        if self.world.setup.sabotage == Sabotage::CrashedMeansNotSent && self.number > 1 && after == Seq(0) {
            self.take_open_for_unsent();
        }
        let state = self.world.lock();
        let from = usize::try_from(after.0).unwrap_or(usize::MAX);
        let mut page: Vec<Entry> = state.journal.iter().skip(from).take(most).cloned().collect();
        if self.world.setup.sabotage == Sabotage::ForgetRates && self.number > 1 {
            for entry in &mut page {
                if let Body::Intended { rates, .. } = &mut entry.body {
                    rates.clear();
                    entry.at -= TimeDelta::days(1);
                }
                if matches!(entry.body, Body::Settled { .. }) {
                    entry.at -= TimeDelta::days(1);
                }
            }
        }
        Ok(page)
    }

    async fn append(
        &self,
        expected: Seq,
        at: DateTime<Utc>,
        bodies: &[Body],
    ) -> Result<Vec<Entry>, AppendError> {
        self.boundary().await;
        self.slow(0, 20).await;
        self.boundary().await;
        self.persist_lost();
        let world = &self.world;
        let loses = world.trouble(world.setup.commit_lost);
        let done = world.roll(|d| d.chance(500));
        let entries: Vec<Entry> = {
            let mut state = world.lock();
            let head = Seq(state.journal.len() as u64);
            if head != expected {
                return Err(AppendError::Conflict { head });
            }
            if loses && !done {
                return Err(AppendError::Failed(failed("the disk is busy")));
            }
            let entries: Vec<Entry> = bodies
                .iter()
                .zip(head.0 + 1..)
                .map(|(body, seq)| Entry {
                    seq: Seq(seq),
                    at,
                    body: body.clone(),
                })
                .collect();
            let loses_intents = world.setup.sabotage == Sabotage::LoseIntents
                && bodies.iter().any(|b| matches!(b, Body::Intended { .. }));
            if loses_intents {
                state.lost_intents = entries.iter().map(|e| (e.seq.0, e.clone())).collect();
                return Ok(entries);
            }
            state.journal.extend(entries.iter().cloned());
            entries
        };
        for entry in &entries {
            world.happened(Event::Entry(Box::new(entry.clone())));
        }
        self.boundary().await;
        if loses {
            return Err(AppendError::Failed(failed("the answer to the commit was lost")));
        }
        Ok(entries)
    }

    async fn keep(&self, run: &RunId, measured: &[Measured]) -> Result<(), JournalError> {
        self.boundary().await;
        let mut state = self.world.lock();
        state
            .measured
            .entry(run.to_string())
            .or_default()
            .extend(measured.iter().cloned());
        Ok(())
    }

    async fn kept(&self, run: &RunId) -> Result<Vec<Measured>, JournalError> {
        self.boundary().await;
        Ok(self
            .world
            .lock()
            .measured
            .get(run.as_str())
            .cloned()
            .unwrap_or_default())
    }
}

impl Process {
    /// The sabotaged journal writes what it confirmed earlier.
    fn persist_lost(&self) {
        let late: Vec<Entry> = {
            let mut state = self.world.lock();
            let late: Vec<Entry> = std::mem::take(&mut state.lost_intents)
                .into_iter()
                .map(|(_, e)| e)
                .collect();
            state.journal.extend(late.iter().cloned());
            late
        };
        for entry in late {
            self.world.happened(Event::Entry(Box::new(entry)));
        }
    }

    fn take_open_for_unsent(&self) {
        let at = self.world.wall();
        let mut state = self.world.lock();
        let mut open = BTreeMap::new();
        for entry in &state.journal {
            match &entry.body {
                Body::Intended { intent, .. } => {
                    open.insert(intent.id.clone(), ());
                }
                Body::Settled { intent, .. } => {
                    open.remove(intent);
                }
                _ => {}
            }
        }
        for intent in open.into_keys() {
            let seq = Seq(state.journal.len() as u64 + 1);
            let unsent = IntentState::NotSent {
                why: "crashed, so not sent".into(),
                at,
            };
            state.journal.push(Entry {
                seq,
                at,
                body: Body::Settled {
                    intent,
                    state: unsent,
                },
            });
        }
    }
}

#[async_trait]
impl Notifier for Process {
    async fn show(&self, notice: &Notice, _shown: Option<&MessageRef>) -> Result<MessageRef, NotifyError> {
        self.boundary().await;
        self.slow(10, 800).await;
        if self.world.trouble(50) {
            return Err(NotifyError::Later {
                why: "429".into(),
                after: Duration::from_secs(3),
            });
        }
        if let NoticeBody::Run(view) = &notice.body
            && view.run.phase == Phase::AwaitingApproval
        {
            tokio::spawn(people(
                self.world.clone(),
                view.run.id.clone(),
                view.run.digest.clone(),
            ));
        }
        let ts = {
            let mut state = self.world.lock();
            state.messages += 1;
            state.messages.to_string()
        };
        Ok(MessageRef {
            channel: "C1".into(),
            ts,
        })
    }
    async fn members(&self, _group: &GroupId) -> Result<BTreeSet<PersonId>, String> {
        Ok(BTreeSet::new())
    }
    fn reachable(&self) -> Result<(), String> {
        Ok(())
    }
}

/// People press buttons: late, twice, the wrong ones, and without the right.
async fn people(world: Arc<World>, run: RunId, digest: PlanDigest) {
    let clicks = world.roll(|d| d.between(0, 3));
    for _ in 0..clicks {
        let wait = world.roll(|d| {
            if d.chance(700) {
                d.millis(500, 60_000)
            } else {
                d.millis(60_000, 1_500_000)
            }
        });
        tokio::time::sleep(wait).await;
        let by = world.roll(|d| ["U1", "U2", "U9"][usize::try_from(d.below(3)).unwrap_or(0)]);
        let wrong = world.roll(|d| {
            d.chance(if world.setup.sabotage == Sabotage::AnyDigest {
                800
            } else {
                200
            })
        });
        let given = if wrong {
            "000000000000".to_owned()
        } else {
            digest.short().to_owned()
        };
        let deny = world.roll(|d| d.chance(100));
        if !deny {
            world.happened(Event::Clicked {
                run: run.to_string(),
                digest: given.clone(),
                by: by.to_owned(),
                at: world.truth(),
            });
        }
        let given = if wrong && world.setup.sabotage == Sabotage::AnyDigest {
            digest.short().to_owned()
        } else {
            given
        };
        let command = if deny {
            Command::Deny {
                run: run.clone(),
                reason: "not today".into(),
            }
        } else {
            Command::Approve {
                run: run.clone(),
                digest: PlanDigest::new(given),
            }
        };
        let twice = world.roll(|d| d.chance(300));
        for _ in 0..=u32::from(twice) {
            ask(&world, by, command.clone()).await;
        }
    }
}

async fn ask(world: &Arc<World>, by: &str, command: Command) {
    let operator = world
        .operator
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .clone();
    if let Some(operator) = operator {
        let by = Person {
            id: by.into(),
            name: by.into(),
            via: Via::Slack,
            role: Role::Admin,
        };
        // A process that dies meanwhile never answers.
        let _ = tokio::time::timeout(
            Duration::from_secs(30),
            operator.ask(Asked {
                by,
                command,
                key: None,
            }),
        )
        .await;
    }
}

#[async_trait]
impl Pager for Process {
    async fn ask(&self) -> PagerAnswer {
        PagerAnswer::Quiet
    }
}

#[async_trait]
impl Reporter for Process {
    async fn write(&self, _report: &Report) -> Result<Vec<String>, String> {
        self.boundary().await;
        Ok(vec![])
    }
    fn places(&self, _run: &RunId) -> Vec<String> {
        vec![]
    }
    fn is_written(&self, _run: &RunId) -> bool {
        true
    }
}

impl StopFile for Process {
    fn read(&self) -> Result<Option<String>, String> {
        Ok(self.world.lock().halt_file.clone())
    }
    fn remove(&self) -> Result<(), String> {
        self.world.lock().halt_file = None;
        Ok(())
    }
}

/// One life: processes that come and go, trouble for the first part, peace for the rest.
pub async fn live_through(world: &Arc<World>) -> Result<(), String> {
    let setup = &world.setup;
    let (_policies, seen) = watch::channel(Arc::new(PolicySet {
        policies: BTreeMap::from([(
            setup.policy.name.clone(),
            PolicyState::Active(Arc::new(setup.policy.clone())),
        )]),
        owners: vec![],
        owners_bad: None,
    }));
    let nature = tokio::spawn(nature(world.clone()));
    let peace = Duration::from_secs(30 * 60);
    let end = setup.length + peace;
    let mut number = 0;
    let outcome = loop {
        number += 1;
        let process = Process {
            world: world.clone(),
            dead: Arc::new(AtomicBool::new(false)),
            number,
        };
        if setup.crash_every > 0 && world.elapsed() < setup.length {
            let after = world.roll(|d| d.between(1, setup.crash_every));
            let mut state = world.lock();
            state.crash_at = Some(state.effects + after);
        } else {
            world.lock().crash_at = None;
        }
        let life = tokio::spawn(one_process(process.clone(), seen.clone()));
        let outcome = loop {
            tokio::select! {
                biased;
                () = world.crash.notified() => break None,
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
            }
            if let Some(why) = broken(world) {
                break Some(Err(why));
            }
            if life.is_finished() {
                break Some(Err("the operator gave up".to_owned()));
            }
            if world.elapsed() >= setup.length {
                *world
                    .trouble_over
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner) = true;
                world.lock().crash_at = None;
            }
            if world.elapsed() >= end {
                break Some(Ok(()));
            }
        };
        process.dead.store(true, Ordering::SeqCst);
        life.abort();
        let finished = life.await;
        *world
            .operator
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = None;
        match outcome {
            Some(Err(why)) => {
                let panicked = finished
                    .err()
                    .filter(|e| e.is_panic())
                    .map(|e| format!("{e:?}"))
                    .unwrap_or_default();
                break Err(format!("{why} {panicked}"));
            }
            Some(Ok(())) => break Ok(()),
            None => {
                world.happened(Event::Crashed { at: world.truth() });
                tokio::time::sleep(world.roll(|d| d.millis(100, 20_000))).await;
                world.happened(Event::Restarted { at: world.truth() });
            }
        }
    };
    nature.abort();
    outcome?;
    let journal = world.lock().journal.clone();
    world
        .judge
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .at_the_end(&journal);
    broken(world).map_or(Ok(()), Err)
}

fn broken(world: &World) -> Option<String> {
    world
        .judge
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .broken
        .clone()
}

async fn one_process(process: Process, policies: watch::Receiver<Arc<PolicySet>>) {
    let world = process.world.clone();
    let one: Arc<Process> = Arc::new(process);
    let ports = Ports {
        clock: one.clone(),
        dice: one.clone(),
        clusters: BTreeMap::from([("sim".into(), one.clone() as Arc<dyn Cluster>)]),
        prober: one.clone(),
        journal: one.clone(),
        notifier: one.clone(),
        pager: one.clone(),
        reporter: one.clone(),
        stop_file: one,
    };
    let config = Config {
        version: "sim".into(),
        armed: true,
        limits: world.setup.limits.clone(),
        opt_in: ("chaos".into(), "opt-in".into()),
        team_label: "team".into(),
        seed: format!("seed-{}", world.setup.seed),
        quarantine: if world.setup.sabotage == Sabotage::NoQuarantine {
            TimeDelta::zero()
        } else {
            QUARANTINE
        },
        kill_timeout: Duration::from_secs(10),
        intent_deadline: DEADLINE,
        framework_ids: BTreeMap::new(),
        kill_retry: BTreeMap::new(),
    };
    // A journal that fails at the start is tried again, as a supervisor would.
    let wake = Arc::new(Notify::new());
    let operator = match Operator::start(ports, config, policies, wake).await {
        Ok(operator) => operator,
        Err(_) => {
            world.crash.notify_one();
            return std::future::pending().await;
        }
    };
    *world
        .operator
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(operator.clone());
    Box::pin(operator.run()).await;
}

/// What happens by itself: time, deaths, deployments, degradation, clocks, and people with halts.
async fn nature(world: Arc<World>) {
    let setup = world.setup.clone();
    let seconds = setup.length.as_secs().max(1);
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        world.turn();
        if world.trouble(setup.natural_deaths) {
            world.natural_death();
        }
        let now = world.truth();
        if world.trouble(setup.deployments) {
            let lasts = world.roll(|d| d.between(10, 120));
            world.lock().deployment_until =
                Some(now + TimeDelta::seconds(i64::try_from(lasts).unwrap_or(60)));
        }
        if world.trouble(setup.bad) {
            let (lasts, share) = world.roll(|d| (d.between(2, 60), d.between(3, 50)));
            let mut state = world.lock();
            state.bad_until = Some(now + TimeDelta::seconds(i64::try_from(lasts).unwrap_or(5)));
            state.bad_share = u32::try_from(share).unwrap_or(10);
        }
        // Rare things, a few times in a life.
        if world.trouble(1) && world.roll(|d| d.below(seconds / 2 * 2)) < setup.clock_jumps * 1_000 / 2 {
            let by = world.roll(|d| match d.below(4) {
                0 => TimeDelta::seconds(25),
                1 => TimeDelta::hours(1),
                2 => TimeDelta::hours(-1),
                _ => TimeDelta::seconds(-25),
            });
            let total = {
                let mut state = world.lock();
                // One jump away and back again: two small ones in one direction would add up.
                let offset = if state.wall_offset.is_zero() {
                    by
                } else {
                    TimeDelta::zero()
                };
                let by = offset - state.wall_offset;
                state.wall_offset = offset;
                by
            };
            world.happened(Event::Jumped { by: total, at: now });
        }
        if world.trouble(1) && world.roll(|d| d.below(4)) < setup.halts {
            if world.roll(|d| d.chance(500)) {
                world.lock().halt_file = Some("an incident".into());
                world.happened(Event::HaltFile { at: now });
            } else {
                ask(
                    &world,
                    "U1",
                    Command::Halt {
                        reason: "an incident".into(),
                    },
                )
                .await;
            }
            let wait = world.roll(|d| d.millis(5_000, 300_000));
            let (world, now) = (world.clone(), wait);
            tokio::spawn(async move {
                tokio::time::sleep(now).await;
                ask(
                    &world,
                    "U2",
                    Command::Resume {
                        reason: "over".into(),
                    },
                )
                .await;
            });
        }
        if world.trouble(1) && world.roll(|d| d.below(4)) < setup.aborts {
            ask(
                &world,
                "U2",
                Command::Abort {
                    run: None,
                    reason: "enough".into(),
                },
            )
            .await;
        }
    }
}
