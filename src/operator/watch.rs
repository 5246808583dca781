//! Watches one run: samples every probe on a fixed grid, feeds the detector, closes the fence on a breach.
//!
//! It runs beside the passes, so that a slow Marathon can delay a kill but never an abort. Ticks are on
//! a grid from the start, not "interval after the answer": a slow probe must not slow the watch.

use super::Operator;
use crate::engine::gates::Watched;
use crate::engine::lifecycle::WatchView;
use crate::engine::steady_state::monitor::Monitor;
use crate::model::experiment::{AbortCause, Http, ProbeSpec, Reading, Role, Sample, Source, StatusRange};
use crate::model::ids::{AppId, ClusterName, ProbeName, RunId, TaskId};
use crate::model::plan::Plan;
use crate::model::report::{EvidencePoint, FreshTask, HealthPoint, TaskAnswer};
use crate::model::snapshot::{App, Health, Task, TaskState};
use crate::ports::journal::Measured;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The longest that looking at the apps may take in one tick.
const LOOK_MAX: Duration = Duration::from_secs(5);
/// How often the apps are looked at when no probe needs them more often.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The same for each app: with more than five of them Marathon still answers five looks a second.
const LOOK_EVERY_APP: Duration = Duration::from_millis(200);
/// How many apps are looked at side by side.
const LOOKS_AT_ONCE: usize = 4;

/// What a watch knows, shared with the passes.
#[derive(Clone)]
pub struct Watch {
    state: Arc<Mutex<State>>,
}

/// Where a task can be asked.
#[derive(Clone, Debug, PartialEq)]
struct Place {
    app: AppId,
    task: TaskId,
    host: String,
    port: u16,
}

struct State {
    monitor: Monitor,
    last: BTreeMap<ProbeName, Sample>,
    healthy: Option<u32>,
    /// Since when as many tasks of every app serve as when the run was planned, seen by this watch.
    whole_since: Option<DateTime<Utc>>,
    evidence: BTreeMap<ProbeName, u32>,
    /// Why the self-check of this tick got no answer, when it got none.
    cut_off: Option<String>,
    /// Tasks that were there at the first look at their app.
    old: BTreeMap<AppId, BTreeSet<TaskId>>,
    /// Tasks that came since, as last written down.
    fresh: BTreeMap<TaskId, FreshTask>,
    /// Tasks that can be asked by themselves, as last seen; only where the policy wants that.
    places: Vec<Place>,
    /// First good answers to us of tasks that came since.
    answered: BTreeMap<TaskId, DateTime<Utc>>,
    stopped: bool,
}

impl Watch {
    /// A watch over a run that starts its baseline.
    pub fn new(plan: &Plan) -> Self {
        let armed = plan.longest_from(2) + plan.gap;
        let state = State {
            monitor: Monitor::new(&plan.hypothesis, armed),
            last: BTreeMap::new(),
            healthy: None,
            whole_since: None,
            evidence: BTreeMap::new(),
            cut_off: None,
            old: BTreeMap::new(),
            fresh: BTreeMap::new(),
            places: vec![],
            answered: BTreeMap::new(),
            stopped: false,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answers for the two gates that ask the probes.
    pub fn watched(&self, now: DateTime<Utc>) -> Watched {
        let state = self.lock();
        Watched {
            steady: state.monitor.steady_state(now),
            fresh: state.monitor.probe_freshness(now),
        }
    }

    /// What the phases need. Steady counts only from when the app was seen whole again: a stretch that
    /// began before that says nothing about recovery.
    pub fn view(&self, now: DateTime<Utc>, last_kill: Option<DateTime<Utc>>, plan: &Plan) -> WatchView {
        let state = self.lock();
        let hold = plan.hypothesis.recovery.hold;
        let settled = TimeDelta::from_std(plan.hypothesis.interval * 2).unwrap_or_default();
        let from = match (last_kill, state.whole_since) {
            (None, _) => Some(DateTime::<Utc>::MIN_UTC),
            (Some(kill), Some(whole)) if whole > kill => Some(whole + settled),
            _ => None,
        };
        WatchView {
            baseline: state.monitor.baseline(now),
            steady_since: from.and_then(|from| {
                state
                    .monitor
                    .steady_since(now, hold)
                    .filter(|since| *since >= from)
            }),
        }
    }

    /// A step is about to be taken: arms the detector before the first byte can leave. A declared dip
    /// begins with a kill only: nothing excuses harm after a sham.
    pub fn step_decided(&self, at: DateTime<Utc>, is_kill: bool) {
        let mut state = self.lock();
        state.whole_since = None;
        state.monitor.arm(at);
        if is_kill {
            state.monitor.killed(at);
        }
    }

    /// For each app the tasks that came after its first look and of whose rows something is new.
    fn fresh(&self, apps: &[App]) -> Vec<Vec<FreshTask>> {
        let mut state = self.lock();
        apps.iter().map(|app| state.fresh(app)).collect()
    }

    /// The highest evidence of all probes, in per cent of what an abort needs.
    pub fn evidence_percent(&self) -> Option<u32> {
        self.lock().evidence.values().copied().max()
    }

    /// The highest evidence of all probes that the experimental group does worse than the control group, in per
    /// cent of what it takes to say so; `None` where there are no two groups.
    pub fn difference_percent(&self) -> Option<u32> {
        self.lock().monitor.beside().into_values().max()
    }

    /// Tasks that served at the last look.
    pub fn healthy(&self) -> Option<u32> {
        self.lock().healthy
    }

    /// The last sample of each probe, in words.
    pub fn probes(&self) -> Vec<String> {
        let state = self.lock();
        state
            .last
            .values()
            .map(|s| match &s.reading {
                Reading::Seen {
                    observed,
                    bad,
                    detail,
                    ..
                } => {
                    let masked = detail.as_ref().and_then(|d| d.masked);
                    let masked = masked.map(|m| format!(", {m}")).unwrap_or_default();
                    format!("{}: {bad} of {observed} bad{masked}", s.probe)
                }
                Reading::Blind { why } => format!("{}: blind ({why})", s.probe),
            })
            .collect()
    }

    /// Ends the watch after its current tick.
    pub fn stop(&self) {
        self.lock().stopped = true;
    }
}

/// Most tasks that are asked by themselves in one look.
const ASKED_MAX: usize = 16;

/// Whether a probe is looked at in this tick.
fn is_due(probe: &ProbeSpec, interval: Duration, tick: u32) -> bool {
    let every = probe.every.unwrap_or(interval).as_millis() / interval.as_millis().max(1);
    u128::from(tick).is_multiple_of(every.max(1))
}

/// Why a self-check says that nobody can be reached, if it does.
fn cut_off(reading: &Reading) -> Option<String> {
    match reading {
        Reading::Blind { why } => Some(why.clone()),
        Reading::Seen { .. } if reading.is_silence() => Some("nobody answered it".into()),
        Reading::Seen { .. } => None,
    }
}

/// A sample that nobody answered says nothing of the service when nobody answers us elsewhere either: then
/// it is blind. Both end a run, the one as blind, the other as harm.
fn told_apart(sample: Sample, cut_off: Option<&str>) -> Sample {
    match cut_off {
        Some(why) if sample.reading.is_silence() => Sample {
            reading: Reading::cut_off(why),
            ..sample
        },
        _ => sample,
    }
}

impl State {
    /// Tasks that came after the first look and of whose rows something is new.
    fn fresh(&mut self, app: &App) -> Vec<FreshTask> {
        let there = || app.tasks.iter().map(|task| task.id.clone()).collect();
        let old = self.old.entry(app.id.clone()).or_insert_with(there);
        let mut news = vec![];
        for task in app.tasks.iter().filter(|task| !old.contains(&task.id)) {
            let row = FreshTask {
                answered: self.answered.get(&task.id).copied(),
                ..fresh_task(task)
            };
            if self.fresh.get(&task.id) != Some(&row) {
                self.fresh.insert(task.id.clone(), row.clone());
                news.push(row);
            }
        }
        news
    }

    /// Takes note of which tasks can be asked by themselves: those that came since, then those that are to die, then
    /// others, always the same ones.
    fn find_places(&mut self, apps: &[App], plan: &Plan) {
        if plan.hypothesis.each_task.is_none() {
            return;
        }
        let to_die: BTreeSet<&TaskId> = plan
            .steps
            .iter()
            .flat_map(|s| &s.targets)
            .map(|t| &t.task)
            .collect();
        let rows = apps
            .iter()
            .flat_map(|app| app.tasks.iter().map(move |task| (app, task)));
        let mut places: Vec<(u8, Place)> = rows
            .filter(|(_, task)| task.state == TaskState::Running)
            .filter_map(|(app, task)| {
                let old = self.old.get(&app.id).is_some_and(|old| old.contains(&task.id));
                let rank = match old {
                    false => 0,
                    true if to_die.contains(&task.id) => 1,
                    true => 2,
                };
                let place = Place {
                    app: app.id.clone(),
                    task: task.id.clone(),
                    host: task.host.to_string(),
                    port: task.port?,
                };
                Some((rank, place))
            })
            .collect();
        places.sort_by(|(a, one), (b, other)| (a, &one.task).cmp(&(b, &other.task)));
        places.truncate(ASKED_MAX);
        self.places = places.into_iter().map(|(_, place)| place).collect();
    }

    /// Takes note of the first good answer of each task that came since.
    fn heard(&mut self, answers: &[(AppId, TaskAnswer)], at: DateTime<Utc>) {
        for (app, answer) in answers.iter().filter(|(_, answer)| answer.ms.is_some()) {
            let old = self.old.get(app).is_none_or(|old| old.contains(&answer.task));
            if !old {
                self.answered.entry(answer.task.clone()).or_insert(at);
            }
        }
    }

    /// Takes in one look at every app of the plan.
    fn seen(&mut self, apps: &[App], plan: &Plan, now: DateTime<Utc>) {
        self.find_places(apps, plan);
        self.healthy = Some(apps.iter().map(App::healthy).sum());
        let whole = plan.apps.iter().all(|planned| {
            let mut apps = apps.iter().filter(|app| app.id == planned.app);
            apps.any(|app| app.healthy() >= planned.healthy.min(app.instances))
        });
        if !whole {
            self.whole_since = None;
        } else {
            self.whole_since = self.whole_since.or(Some(now));
        }
    }
}

impl Operator {
    /// Samples until the run is over. One task for each watched run.
    pub(super) async fn watch(self: Arc<Self>, plan: Plan, watch: Watch) {
        let clock = self.ports.clock.clone();
        let interval = plan.hypothesis.interval;
        let (start, began) = (clock.elapsed(), clock.now());
        let mut next_look = start;
        let mut tick: u32 = 0;
        loop {
            let due = start + interval * tick;
            let now = clock.elapsed();
            if due > now {
                clock.sleep(due - now).await;
            }
            if watch.lock().stopped {
                return;
            }
            let at = began + TimeDelta::from_std(interval * tick).unwrap_or_default();
            let look = clock.elapsed() >= next_look;
            if look {
                next_look = clock.elapsed() + LOOK_EVERY.max(LOOK_EVERY_APP * plan.apps.count());
            }
            let wants_app = look
                || plan
                    .hypothesis
                    .probes
                    .iter()
                    .any(|p| p.source == Source::Marathon);
            let places = if look { watch.lock().places.clone() } else { vec![] };
            let (samples, apps, self_check, answers) = tokio::join!(
                self.sample(&plan, at, tick),
                async {
                    if wants_app {
                        self.look_at(&plan).await
                    } else {
                        Err("not looked at".to_owned())
                    }
                },
                self.self_check(&plan),
                self.ask_each(&plan, places),
            );
            watch.lock().cut_off = self_check.err();
            let mut measured = vec![];
            if let Ok(apps) = &apps {
                let offset = self.clock_offset_of(&plan.cluster);
                watch.lock().heard(&answers, at);
                let fresh = watch.fresh(apps);
                measured.extend(apps.iter().zip(fresh).map(|(app, fresh)| {
                    let own = answers.iter().filter(|(of, _)| *of == app.id);
                    Measured::Health(HealthPoint {
                        asked: own.map(|(_, answer)| answer.clone()).collect(),
                        ..health_point(app, at, fresh, offset)
                    })
                }));
                watch.lock().seen(apps, &plan, clock.now());
            }
            let marathon = plan
                .hypothesis
                .probes
                .iter()
                .filter(|p| p.source == Source::Marathon)
                .map(|p| {
                    let reading = match &apps {
                        Ok(apps) => Reading::seen(
                            apps.iter().map(|app| app.instances).sum(),
                            apps.iter().map(App::missing).sum(),
                        ),
                        Err(why) => Reading::Blind { why: why.clone() },
                    };
                    Sample {
                        at,
                        probe: p.name.clone(),
                        reading,
                    }
                });
            for sample in samples.into_iter().chain(marathon) {
                let sample = told_apart(sample, watch.lock().cut_off.as_deref());
                self.take(&plan, &watch, &sample, &mut measured).await;
            }
            let overdue = watch.lock().monitor.overdue(clock.now());
            if let Some(cause) = overdue {
                self.abort_run(&plan.run, cause, None).await;
            }
            if let Err(error) = self.ports.journal.keep(&plan.run, &measured).await {
                tracing::warn!(run = %plan.run, %error, "samples could not be kept; the chart will have a gap");
            }
            // Ticks that went by meanwhile were missed: each is blind, none is made up for.
            let reached = (clock.elapsed().saturating_sub(start)).as_millis() / interval.as_millis().max(1);
            let reached = u32::try_from(reached).unwrap_or(u32::MAX);
            for missed in tick.saturating_add(1)..reached {
                let at = began + TimeDelta::from_std(interval * missed).unwrap_or_default();
                for probe in plan
                    .hypothesis
                    .probes
                    .iter()
                    .filter(|p| is_due(p, interval, missed))
                {
                    let reading = Reading::Blind {
                        why: "the tick was overrun".into(),
                    };
                    let sample = Sample {
                        at,
                        probe: probe.name.clone(),
                        reading,
                    };
                    self.take(&plan, &watch, &sample, &mut vec![]).await;
                }
            }
            tick = tick.saturating_add(1).max(reached);
        }
    }

    /// One tick of every probe that is asked over the network.
    async fn sample(&self, plan: &Plan, at: DateTime<Utc>, tick: u32) -> Vec<Sample> {
        let (timeout, interval) = (plan.hypothesis.timeout, plan.hypothesis.interval);
        let probes = plan
            .hypothesis
            .probes
            .iter()
            .filter(|p| p.source != Source::Marathon && is_due(p, interval, tick));
        join_all(probes.map(|probe| async move {
            let asked = self.ports.prober.take(&plan.run, probe, timeout);
            // The prober keeps its own time; this bound only covers a prober that breaks its promise.
            let reading = tokio::select! {
                biased;
                reading = asked => reading,
                () = self.ports.clock.sleep(plan.hypothesis.interval) => {
                    Reading::Blind { why: "no answer within the interval".into() }
                }
            };
            Sample {
                at,
                probe: probe.name.clone(),
                reading,
            }
        }))
        .await
    }

    /// Asks tasks by themselves, as the policy wants it: what they answer is drawn, and decides nothing.
    async fn ask_each(&self, plan: &Plan, places: Vec<Place>) -> Vec<(AppId, TaskAnswer)> {
        let Some(each) = &plan.hypothesis.each_task else {
            return vec![];
        };
        let timeout = plan.hypothesis.timeout;
        join_all(places.into_iter().map(|place| async move {
            let host = match place.host.contains(':') {
                true => format!("[{}]", place.host),
                false => place.host,
            };
            let source = Source::Http(Http {
                url: format!("http://{host}:{}{}", place.port, each.path),
                requests: 1,
                status: vec![StatusRange { from: 200, to: 399 }],
                ..Http::default()
            });
            let spec = ProbeSpec::new("each-task", Role::Observe, source);
            let reading = tokio::select! {
                biased;
                reading = self.ports.prober.take(&plan.run, &spec, timeout) => reading,
                () = self.ports.clock.sleep(timeout) => Reading::Seen {
                    observed: 1,
                    bad: 1,
                    slowest_ms: None,
                    detail: None,
                },
            };
            let (ms, blind) = match reading {
                Reading::Seen {
                    bad: 0, slowest_ms, ..
                } => (Some(slowest_ms.unwrap_or(0)), None),
                Reading::Seen { .. } => (None, None),
                Reading::Blind { why } => (None, Some(why)),
            };
            let task = place.task;
            (place.app, TaskAnswer { task, ms, blind })
        }))
        .await
    }

    /// Asks what tells "we are cut off" from "the service is down": what the policy names, or Marathon's
    /// `/ping`. Asked in every tick, beside the probes, so that it speaks of the same moment as they do.
    async fn self_check(&self, plan: &Plan) -> Result<(), String> {
        let asked = async {
            let Some(url) = plan.hypothesis.self_check.clone() else {
                return match self.ports.clusters.get(&plan.cluster) {
                    Some(cluster) => cluster.ping().await,
                    None => Err(format!("cluster {} is not in the settings", plan.cluster)),
                };
            };
            let source = Source::Http(Http {
                url,
                requests: 1,
                status: vec![StatusRange { from: 100, to: 599 }],
                ..Http::default()
            });
            let spec = ProbeSpec::new("self-check", Role::Observe, source);
            let timeout = plan.hypothesis.timeout;
            cut_off(&self.ports.prober.take(&plan.run, &spec, timeout).await).map_or(Ok(()), Err)
        };
        tokio::select! {
            biased;
            said = asked => said,
            () = self.ports.clock.sleep(plan.hypothesis.timeout) => Err("no answer in time".into()),
        }
    }

    /// How far Marathon's clock is from ours, as last seen.
    fn clock_offset_of(&self, cluster: &ClusterName) -> Option<i64> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(cluster)?.last.as_ref()?.info.as_ref()?.clock_offset_ms
    }

    /// Every app of the plan, or why one of them could not be seen: half a look is none.
    async fn look_at(&self, plan: &Plan) -> Result<Vec<App>, String> {
        let Some(cluster) = self.ports.clusters.get(&plan.cluster) else {
            return Err(format!("cluster {} is not in the settings", plan.cluster));
        };
        let looks = stream::iter(plan.apps.ids().cloned()).map(|app| async move {
            match cluster.look_at(&app).await {
                Ok(Some(app)) => Ok(app),
                Ok(None) => Err(format!("Marathon says that {app} does not exist")),
                Err(gap) => Err(gap.why),
            }
        });
        tokio::select! {
            biased;
            seen = looks.buffered(LOOKS_AT_ONCE).try_collect() => seen,
            () = self.ports.clock.sleep(plan.hypothesis.interval.min(LOOK_MAX)) => {
                Err("Marathon did not answer within the interval".into())
            }
        }
    }

    /// Feeds one sample; on a breach closes the fence first, then writes it down.
    async fn take(&self, plan: &Plan, watch: &Watch, sample: &Sample, measured: &mut Vec<Measured>) {
        let clock = &self.ports.clock;
        let seen = clock.elapsed();
        let (breach, evidence, sample) = {
            let mut state = watch.lock();
            let breach = state.monitor.take(sample);
            let sample = state.monitor.judged(sample);
            let evidence = state.monitor.evidence().get(&sample.probe).copied();
            if let Some(percent) = evidence {
                state.evidence.insert(sample.probe.clone(), percent);
            }
            state.last.insert(sample.probe.clone(), sample.clone());
            (breach, evidence, sample)
        };
        let closed = breach
            .as_ref()
            .map(|cause| self.fence.close(&plan.run, &cause.to_string(), clock.elapsed()));
        let kind = match sample.reading {
            Reading::Seen { .. } => "seen",
            Reading::Blind { .. } => "blind",
        };
        metrics::counter!("heartbreak_probe_samples_total", "kind" => kind).increment(1);
        let at = sample.at;
        let probe = sample.probe.clone();
        measured.push(Measured::Sample(sample));
        if let Some(percent) = evidence {
            measured.push(Measured::Evidence(EvidencePoint { at, probe, percent }));
            metrics::gauge!("heartbreak_evidence_ratio").set(f64::from(percent) / 100.0);
        }
        if let (Some(cause), Some(closed)) = (breach, closed) {
            let latency = closed.saturating_sub(seen);
            metrics::histogram!("heartbreak_breach_to_fence_seconds").record(latency.as_secs_f64());
            let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
            self.abort_run(&plan.run, cause, Some(us)).await;
        }
    }

    /// Closes the fence of a run and journals why. Repeats do nothing.
    pub(super) async fn abort_run(&self, run: &RunId, cause: AbortCause, breach_to_fence_us: Option<u64>) {
        self.fence
            .close(run, &cause.to_string(), self.ports.clock.elapsed());
        let written = self
            .book
            .commit(|ledger, _| abort_bodies(ledger, run, &cause, breach_to_fence_us))
            .await;
        match written {
            Ok(entries) if !entries.is_empty() => {
                tracing::warn!(%run, cause = %cause, "aborting");
                self.tell.notify_one();
            }
            Ok(_) => {}
            Err(error) => {
                tracing::error!(%run, cause = %cause, %error, "the abort could not be journalled; the fence is closed");
                self.unwritten_aborts
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(run.clone(), cause);
            }
        }
        self.wake.notify_one();
    }
}

/// The entry that aborts a run, if it is open and not aborting already.
pub(super) fn abort_bodies(
    ledger: &crate::engine::history::Ledger,
    run: &RunId,
    cause: &AbortCause,
    breach_to_fence_us: Option<u64>,
) -> Result<Vec<crate::model::entry::Body>, std::convert::Infallible> {
    let open = ledger
        .runs
        .get(run)
        .is_some_and(|r| r.is_open() && r.abort.is_none());
    Ok(if open {
        vec![crate::model::entry::Body::Aborting {
            run: run.clone(),
            cause: cause.clone(),
            breach_to_fence_us,
        }]
    } else {
        vec![]
    })
}

/// What a task's row says of its beginning.
///
/// From Marathon 1.8 on an instance keeps its health results when its task is replaced: a first success before
/// this task's start is that of the one that was killed, and the latest success is the next best.
fn fresh_task(task: &Task) -> FreshTask {
    let own = |at: &DateTime<Utc>| task.started_at.is_some_and(|started| started <= *at);
    FreshTask {
        task: task.id.clone(),
        instance: task.instance.clone(),
        staged: task.staged_at,
        started: task.started_at,
        healthy: match &task.health {
            Health::Reported {
                first_success,
                last_success,
                ..
            } => first_success.filter(own).or(last_success.filter(own)),
            Health::Unreported => None,
        },
        answered: None,
    }
}

fn health_point(app: &App, at: DateTime<Utc>, fresh: Vec<FreshTask>, offset: Option<i64>) -> HealthPoint {
    let count = |state: &dyn Fn(&TaskState) -> bool| {
        u32::try_from(app.tasks.iter().filter(|t| state(&t.state)).count()).unwrap_or(u32::MAX)
    };
    HealthPoint {
        at,
        app: app.id.clone(),
        healthy: app.healthy(),
        instances: app.instances,
        running: count(&|s| *s == TaskState::Running),
        staged: count(&|s| matches!(s, TaskState::Staging | TaskState::Starting)),
        fresh,
        clock_offset_ms: offset,
        asked: vec![],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::experiment::{Detail, EachTask};

    #[test]
    fn of_many_tasks_those_that_came_since_are_asked_first_then_those_that_are_to_die() {
        use crate::engine::fixture::{app, plan};
        let mut plan = plan();
        plan.hypothesis.each_task = Some(EachTask {
            path: "/health".into(),
        });
        let to_die = plan.steps[0].targets[0].task.clone();
        let mut app = app("/shop/cart", 0);
        app.tasks = (0..40).map(crate::engine::fixture::task).collect();
        for (n, task) in app.tasks.iter_mut().enumerate() {
            task.port = Some(31_000 + n as u16);
        }
        app.tasks[5].port = None;
        app.tasks[2].state = TaskState::Staging;
        app.tasks[39].host = "::1".into();
        let watch = Watch::new(&plan);
        let mut state = watch.lock();
        state.fresh(&app);
        let new = app.tasks[39].id.clone();
        state.old.get_mut(&app.id).expect("looked at").remove(&new);
        state.find_places(std::slice::from_ref(&app), &plan);
        let asked: Vec<&TaskId> = state.places.iter().map(|place| &place.task).collect();
        assert_eq!(asked.len(), ASKED_MAX);
        assert_eq!(asked[..2], [&new, &to_die]);
        assert!(!asked.contains(&&app.tasks[5].id) && !asked.contains(&&app.tasks[2].id));
        // Its first good answer counts, and only that of one that was not there before.
        let good = |task: &TaskId, ms: Option<u32>| {
            let answer = TaskAnswer {
                task: task.clone(),
                ms,
                blind: None,
            };
            (app.id.clone(), answer)
        };
        let at = |s: i64| DateTime::UNIX_EPOCH + TimeDelta::seconds(s);
        state.heard(&[good(&new, None), good(&to_die, Some(3))], at(1));
        state.heard(&[good(&new, Some(9))], at(2));
        state.heard(&[good(&new, Some(2))], at(3));
        assert_eq!(state.answered, BTreeMap::from([(new, at(2))]));
        plan.hypothesis.each_task = None;
        state.places.clear();
        state.find_places(std::slice::from_ref(&app), &plan);
        assert!(state.places.is_empty(), "nobody wants that");
    }

    fn silent() -> Reading {
        Reading::Seen {
            observed: 5,
            bad: 5,
            slowest_ms: None,
            detail: Some(Box::new(Detail {
                unanswered: 5,
                ..Detail::default()
            })),
        }
    }

    /// What becomes of a reading, with what the self-check says.
    fn judged(reading: Reading, cut_off: Option<&str>) -> Reading {
        let sample = Sample {
            at: DateTime::UNIX_EPOCH,
            probe: "edge".into(),
            reading,
        };
        told_apart(sample, cut_off).reading
    }

    #[test]
    fn silence_on_both_sides_is_blindness_and_on_one_side_harm() {
        let Reading::Blind { why } = judged(silent(), Some("no route")) else {
            panic!("not blind");
        };
        assert_eq!(
            why,
            "nobody answered, nor did the self-check (no route): we may be cut off"
        );
        assert_eq!(judged(silent(), None), silent());
        // Somebody answered, badly: so we are not cut off, whatever the self-check says.
        let bad = Reading::seen(5, 5);
        assert_eq!(judged(bad.clone(), Some("no route")), bad);
    }

    #[test]
    fn a_self_check_that_answers_anything_has_answered() {
        assert_eq!(cut_off(&Reading::seen(1, 1)), None);
        assert_eq!(cut_off(&silent()).as_deref(), Some("nobody answered it"));
        assert_eq!(cut_off(&Reading::blind("no route")).as_deref(), Some("no route"));
    }

    #[test]
    fn a_probe_with_its_own_distance_is_looked_at_that_often() {
        let second = Duration::from_secs(1);
        let mut probe = ProbeSpec::new("edge", Role::Verdict, Source::Marathon);
        let due = |probe: &ProbeSpec| (0..=30).filter(|tick| is_due(probe, second, *tick)).count();
        assert_eq!(due(&probe), 31);
        probe.every = Some(15 * second);
        assert_eq!(due(&probe), 3);
    }
}
