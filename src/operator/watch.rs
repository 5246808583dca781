//! Watches one run: samples every probe on a fixed grid, feeds the detector, closes the fence on a breach.
//!
//! It runs beside the passes, so that a slow Marathon can delay a kill but never an abort. Ticks are on
//! a grid from the start, not "interval after the answer": a slow probe must not slow the watch.

mod each_task;
mod looks;

use super::Operator;
use crate::engine::gates::Watched;
use crate::engine::lifecycle::WatchView;
use crate::engine::steady_state::monitor::Monitor;
use crate::model::experiment::{AbortCause, Http, ProbeSpec, Reading, Role, Sample, Source, StatusRange};
use crate::model::ids::{AppId, ProbeName, RunId, TaskId};
use crate::model::plan::Plan;
use crate::model::report::{EvidencePoint, FreshTask};
use crate::ports::journal::Measured;
use crate::ports::prober::Patience;
use chrono::{DateTime, TimeDelta, Utc};
use each_task::Place;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use looks::{LOOK_EVERY, LOOK_EVERY_APP};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What a tick's self-check says, asked once for all probes.
type SelfCheck<'a> = Shared<BoxFuture<'a, Result<(), String>>>;

/// What a watch knows, shared with the passes.
#[derive(Clone)]
pub struct Watch {
    state: Arc<Mutex<State>>,
}

struct State {
    monitor: Monitor,
    last: BTreeMap<ProbeName, Sample>,
    healthy: Option<u32>,
    /// Since when as many tasks of every app serve as when the run was planned, seen by this watch.
    whole_since: Option<DateTime<Utc>>,
    evidence: BTreeMap<ProbeName, u32>,
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

    /// Tasks that can be asked by themselves.
    fn places(&self) -> Vec<Place> {
        self.lock().places.clone()
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
                for probe in plan.hypothesis.abort_probes() {
                    let (policy, probe) = (plan.policy.to_string(), probe.name.to_string());
                    metrics::gauge!("heartbreak_evidence_ratio", "policy" => policy, "probe" => probe)
                        .set(0.0);
                }
                return;
            }
            let at = began + TimeDelta::from_std(interval * tick).unwrap_or_default();
            let look = clock.elapsed() >= next_look;
            if look {
                next_look = clock.elapsed() + LOOK_EVERY.max(LOOK_EVERY_APP * plan.apps.count());
            }
            let check = self.self_check(&plan).boxed().shared();
            let (mut measured, looked, _) = tokio::join!(
                self.ask_probes(&plan, &watch, (at, tick), &check),
                self.look_at_apps(&plan, &watch, at, look),
                check.clone(),
            );
            measured.extend(looked);
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

    /// One tick of every probe that is asked over the network. Each answer is fed as it comes: what else is slow
    /// in this tick, another probe, Marathon or a task that is asked by itself, delays no abort.
    async fn ask_probes(
        &self,
        plan: &Plan,
        watch: &Watch,
        (at, tick): (DateTime<Utc>, u32),
        check: &SelfCheck<'_>,
    ) -> Vec<Measured> {
        let interval = plan.hypothesis.interval;
        let probes = plan.hypothesis.probes.iter();
        let mut samples: FuturesUnordered<_> = probes
            .filter(|probe| probe.source != Source::Marathon && is_due(probe, interval, tick))
            .map(|probe| self.sample(plan, probe, at, check))
            .collect();
        let mut measured = vec![];
        while let Some(sample) = samples.next().await {
            self.take(plan, watch, &sample, &mut measured).await;
        }
        measured
    }

    /// One sample of one probe. Where nobody answered, it waits for what the self-check says of the same moment.
    async fn sample(
        &self,
        plan: &Plan,
        probe: &ProbeSpec,
        at: DateTime<Utc>,
        check: &SelfCheck<'_>,
    ) -> Sample {
        let sample = Sample {
            at,
            probe: probe.name.clone(),
            reading: self.reading(plan, probe).await,
        };
        if sample.reading.is_silence() {
            told_apart(sample, check.clone().await.err().as_deref())
        } else {
            sample
        }
    }

    /// What a probe says, within the interval.
    async fn reading(&self, plan: &Plan, probe: &ProbeSpec) -> Reading {
        let asked = self
            .ports
            .prober
            .take(&plan.run, probe, Patience::of(&plan.hypothesis));
        // The prober keeps its own time; this bound only covers a prober that breaks its promise.
        tokio::select! {
            biased;
            reading = asked => reading,
            () = self.ports.clock.sleep(plan.hypothesis.interval) => {
                Reading::blind("no answer within the interval")
            }
        }
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
            let timing = Patience::of(&plan.hypothesis);
            cut_off(&self.ports.prober.take(&plan.run, &spec, timing).await).map_or(Ok(()), Err)
        };
        tokio::select! {
            biased;
            said = asked => said,
            () = self.ports.clock.sleep(plan.hypothesis.timeout) => Err("no answer in time".into()),
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
        let (policy, name) = (plan.policy.to_string(), sample.probe.to_string());
        metrics::counter!("heartbreak_probe_samples_total", "policy" => policy.clone(), "probe" => name.clone(), "kind" => kind)
            .increment(1);
        let at = sample.at;
        let probe = sample.probe.clone();
        measured.push(Measured::Sample(sample));
        if let Some(percent) = evidence {
            measured.push(Measured::Evidence(EvidencePoint { at, probe, percent }));
            metrics::gauge!("heartbreak_evidence_ratio", "policy" => policy, "probe" => name)
                .set(f64::from(percent) / 100.0);
        }
        if let (Some(cause), Some(closed)) = (breach, closed) {
            let latency = closed.saturating_sub(seen);
            metrics::histogram!("heartbreak_breach_to_fence_seconds").record(latency.as_secs_f64());
            self.abort_run(&plan.run, cause, Some(micros(latency))).await;
        }
    }

    /// Closes the fence of a run and journals why. Repeats do nothing. How long it took from the sample that breached
    /// is given where a sample was the cause; for all else it is measured here.
    pub(super) async fn abort_run(&self, run: &RunId, cause: AbortCause, breach_to_fence_us: Option<u64>) {
        let told = self.ports.clock.elapsed();
        self.fence
            .close(run, &cause.to_string(), self.ports.clock.elapsed());
        let took = self.ports.clock.elapsed().saturating_sub(told);
        let us = breach_to_fence_us.unwrap_or_else(|| micros(took));
        let written = self
            .book
            .commit(|ledger, _| abort_bodies(ledger, run, &cause, Some(us)))
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
                    .insert(run.clone(), (cause, Some(us)));
            }
        }
        self.wake.notify_one();
    }
}

/// In whole microseconds.
pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::experiment::Detail;

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
