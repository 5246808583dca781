//! How long each kill was felt, and how much harm was done (`steady-state` §5).
//!
//! Everything is read off what was seen; what was not seen stays `None` and is shown as censored.

use super::rotation;
use super::stages::{self, Replaced};
use super::{Tick, burn, covers, delta, felt, later, stretch, whole_stretches};
use crate::model::experiment::{Hypothesis, Reading, Role, Sample};
use crate::model::ids::{AppId, IntentId};
use crate::model::plan::Plan;
use crate::model::report::{Harm, HealthPoint, KillRecovery, Origin, Stage, StageSummary};
use crate::model::run::{Intent, IntentState, Run};
use crate::model::verdict::Counts;
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The recovery of every kill of a run.
pub fn of_run(run: &Run, health: &[HealthPoint], samples: &[Sample]) -> Vec<KillRecovery> {
    recovered(&run.plan, &run.intents, &run.accepted, health, samples)
}

/// [`of_run`], where nothing is known of a kill but its state.
#[cfg(test)]
pub(super) fn recoveries(
    plan: &Plan,
    intents: &[Intent],
    health: &[HealthPoint],
    samples: &[Sample],
) -> Vec<KillRecovery> {
    recovered(plan, intents, &BTreeMap::new(), health, samples)
}

/// The recovery of every kill that was or may have been made, in order, and in one kill by app. Rehearsed kills, and those
/// that never left or were refused, have none.
///
/// # Guarantees
///
/// - Capacity counts only after the victim was seen to be gone, or after proof of Marathon's: the
///   first look after a kill often still shows the victim.
/// - Steady counts only after capacity, and only where every abort probe watched all of it.
///
/// # Caveats
///
/// Marathon does not link a replacement to its victim, so counts are compared with the last look
/// before the kill; a victim that was replaced between two looks was never seen gone.
fn recovered(
    plan: &Plan,
    intents: &[Intent],
    accepted: &BTreeMap<IntentId, DateTime<Utc>>,
    health: &[HealthPoint],
    samples: &[Sample],
) -> Vec<KillRecovery> {
    let ticks = ticks_of_abort_probes(&plan.hypothesis, samples);
    let kills: Vec<&Intent> = intents.iter().filter(|intent| intent.may_have_killed()).collect();
    let replaced: BTreeMap<&AppId, Vec<Replaced>> = plan
        .apps
        .ids()
        .map(|app| (app, stages::replacements(&kills, app, health)))
        .collect();
    let rotations = rotation::rotations(plan, &kills, &replaced, samples);
    let mut found = vec![];
    for (index, intent) in kills.iter().enumerate() {
        let apps: BTreeSet<_> = intent.targets.iter().map(|t| &t.app).collect();
        for app in apps {
            let killed = killed_at(intent, accepted);
            let mut kill = seen_by_looks(intent, killed, health.iter().filter(|point| point.app == *app));
            kill.app = plan.apps.are_several().then(|| app.clone());
            if let Some(rows) = replaced.get(app).and_then(|rows| rows.get(index)) {
                kill.by_order = rows.by_order;
                kill.reach((Stage::Staged, Origin::TaskRow, rows.staged));
                kill.reach((Stage::Running, Origin::TaskRow, rows.running));
                kill.reach((Stage::Healthy, Origin::HealthResult, rows.healthy));
                kill.reach((Stage::Answering, Origin::OwnRequest, rows.answering));
            }
            if let Some(seen) = rotations.get(index).copied().flatten() {
                kill.origins.insert(Stage::Rotation, Origin::Balancer);
                kill.rotation = seen.at;
                kill.by_order |= seen.by_order;
            }
            let steady = kill
                .capacity
                .and_then(|from| first_steady(&plan.hypothesis, &ticks, from));
            kill.reach((Stage::Steady, Origin::Samples, steady));
            let next = intents.iter().map(|i| i.at).find(|at| *at > intent.at);
            let until = felt::until(kill.steady, next, plan.hypothesis.recovery.within, kill.killed);
            kill.felt = felt::felt(plan, intents, samples, kill.killed, until);
            found.push(kill);
        }
    }
    found
}

/// Median and worst of every stage over the kills of a run that was watched until a moment.
pub fn summaries(recoveries: &[KillRecovery], until: Option<DateTime<Utc>>) -> Vec<StageSummary> {
    stages::summaries(recoveries, until)
}

/// What each probe counted from the first kill to the end, probes that only observe included.
pub fn harm(
    hypothesis: &Hypothesis,
    samples: &[Sample],
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Vec<Harm> {
    hypothesis
        .probes
        .iter()
        .map(|probe| {
            let mut harm = Harm {
                probe: probe.name.clone(),
                observed: 0,
                bad: 0,
                worst: 0.0,
                blind: 0,
                burn: None,
            };
            for sample in samples
                .iter()
                .filter(|s| s.probe == probe.name && from <= s.at && s.at <= to)
            {
                match Tick::of(sample) {
                    Some(tick) => {
                        harm.observed += u64::from(tick.observed);
                        harm.bad += u64::from(tick.bad);
                        harm.worst = harm.worst.max(tick.share());
                    }
                    None => harm.blind += 1,
                }
            }
            let mut seen: Vec<Tick> = samples
                .iter()
                .filter(|s| s.probe == probe.name && s.at <= to)
                .filter_map(Tick::of)
                .collect();
            seen.sort_by_key(|tick| tick.at);
            harm.burn = burn::fastest(&seen, probe.max, from);
            harm
        })
        .collect()
}

/// t0: when Marathon accepted the kill. Where no such answer came, or a record of an older version does not
/// tell, the moment at which the intent became durable stands for it: no effect can be earlier.
fn killed_at(intent: &Intent, accepted: &BTreeMap<IntentId, DateTime<Utc>>) -> (DateTime<Utc>, Origin) {
    let answered = match &intent.state {
        IntentState::Acked { at, .. } => Some(at),
        _ => accepted.get(&intent.id),
    };
    match answered {
        Some(at) => (*at, Origin::Answer),
        None => (intent.at, Origin::Intent),
    }
}

impl KillRecovery {
    /// Takes note of a stage, where it was reached. A later note takes the place of an earlier one.
    fn reach(&mut self, (stage, origin, at): (Stage, Origin, Option<DateTime<Utc>>)) {
        if at.is_none() {
            return;
        }
        match stage {
            Stage::Killed => return,
            Stage::Gone => self.gone = at,
            Stage::Staged => self.staged = at,
            Stage::Running => self.running = at,
            Stage::Healthy => self.healthy = at,
            Stage::Answering => self.answering = at,
            Stage::Rotation => self.rotation = at,
            Stage::Capacity => self.capacity = at,
            Stage::Steady => self.steady = at,
        }
        self.origins.insert(stage, origin);
    }
}

/// Everything that the looks at the app show.
fn seen_by_looks<'a>(
    intent: &Intent,
    (killed, origin): (DateTime<Utc>, Origin),
    health: impl Iterator<Item = &'a HealthPoint> + Clone,
) -> KillRecovery {
    let mut found = KillRecovery {
        step: intent.step,
        app: None,
        killed,
        gone: None,
        staged: None,
        running: None,
        healthy: None,
        answering: None,
        rotation: None,
        capacity: None,
        steady: None,
        origins: BTreeMap::from([(Stage::Killed, origin)]),
        by_order: false,
        felt: vec![],
    };
    if let Some(before) = health.clone().filter(|point| point.at <= intent.at).last() {
        // Marathon may act before its answer arrives, so the looks count from the intent on.
        let mut came = false;
        for point in health.filter(|point| point.at > intent.at) {
            let at = Some(point.at);
            came |= !point.fresh.is_empty();
            // Fewer that are healthy may be as many that run: a new leader has to ask for everybody's health first.
            let replaced = came && point.healthy < before.healthy;
            if found.gone.is_none() && (point.running < before.running || replaced) {
                found.reach((Stage::Gone, Origin::Look, at));
            }
            if found.gone.is_some() && found.running.is_none() && point.running >= before.running {
                found.reach((Stage::Running, Origin::Look, at));
            }
            if found.gone.is_some() && found.capacity.is_none() && point.healthy >= before.healthy {
                found.reach((Stage::Capacity, Origin::Look, at));
            }
        }
    }
    if let (None, IntentState::Resolved { at, .. }) = (found.capacity, &intent.state) {
        found.reach((Stage::Capacity, Origin::Proof, Some(*at)));
    }
    found
}

/// The ticks of each abort probe, in order.
fn ticks_of_abort_probes(hypothesis: &Hypothesis, samples: &[Sample]) -> Vec<Vec<Tick>> {
    hypothesis
        .abort_probes()
        .map(|probe| {
            let mut ticks: Vec<Tick> = samples
                .iter()
                .filter(|s| s.probe == probe.name)
                .filter_map(Tick::of)
                .collect();
            ticks.sort_by_key(|tick| tick.at);
            ticks
        })
        .collect()
}

/// t7: the start of the first stretch of `recovery.hold` after `from` in which every abort probe
/// kept its limit.
fn first_steady(hypothesis: &Hypothesis, ticks: &[Vec<Tick>], from: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let hold = stretch(hypothesis.recovery.hold, hypothesis.interval);
    let steady = |start: DateTime<Utc>| {
        hypothesis.abort_probes().zip(ticks).all(|(probe, ticks)| {
            let stretch = between(ticks, start, hold);
            covers(stretch, start, later(start, hold), hypothesis.interval)
                && Counts::of(stretch).is_within(probe.max)
        })
    };
    let first = ticks.first()?;
    std::iter::once(from)
        .chain(first.iter().map(|tick| tick.at).filter(|at| *at > from))
        .find(|start| steady(*start))
}

/// Ticks from `start` for as long as `hold`, the end excluded.
fn between(ticks: &[Tick], start: DateTime<Utc>, hold: Duration) -> &[Tick] {
    let end = later(start, hold);
    let first = ticks.partition_point(|tick| tick.at < start);
    let last = ticks.partition_point(|tick| tick.at < end);
    &ticks[first..last]
}

/// The highest bad share of any stretch of `hold` for the abort probes, with that probe's place in
/// the hypothesis; `None` when nothing was seen.
pub(super) fn peak(hypothesis: &Hypothesis, samples: &[Sample], from: DateTime<Utc>) -> Option<(usize, f64)> {
    let hold = stretch(hypothesis.recovery.hold, hypothesis.interval);
    let mut highest: Option<(usize, f64)> = None;
    for (index, probe) in hypothesis
        .probes
        .iter()
        .enumerate()
        .filter(|(_, p)| p.role == Role::Abort)
    {
        let mut ticks: Vec<Tick> = samples
            .iter()
            .filter(|s| s.probe == probe.name && s.at >= from && matches!(s.reading, Reading::Seen { .. }))
            .filter_map(Tick::of)
            .collect();
        ticks.sort_by_key(|tick| tick.at);
        for stretch in whole_stretches(&ticks, delta(hold), hypothesis.interval) {
            let Some(share) = Counts::of(stretch).share() else {
                continue;
            };
            let nearer = |i: usize, s: f64| s / hypothesis.probes[i].max.as_f64().max(1e-6);
            if highest.is_none_or(|(i, s)| nearer(index, share) > nearer(i, s)) {
                highest = Some((index, share));
            }
        }
    }
    highest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::steady_state::testing::*;
    use crate::engine::steady_state::verdict::tests::{intent, plan};
    use crate::model::report::FreshTask;

    fn health(seconds: f64, healthy: u32, running: u32) -> HealthPoint {
        HealthPoint {
            at: at(seconds),
            app: "/shop/cart".into(),
            healthy,
            instances: 12,
            running,
            staged: 0,
            fresh: vec![],
            launch_delay_s: None,
            clock_offset_ms: None,
            asked: vec![],
        }
    }

    fn clean(from: i32, to: i32) -> Vec<Sample> {
        (from..to).map(|s| seen("edge", f64::from(s), 0, 100)).collect()
    }

    #[test]
    fn stages_follow_what_was_seen() {
        let points = [
            health(99.0, 12, 12),
            health(100.5, 12, 12),
            health(101.0, 11, 11),
            health(105.0, 11, 12),
            health(110.0, 12, 12),
        ];
        let found = &recoveries(&plan(1), &[intent(1, 100.0)], &points, &clean(0, 200))[0];
        assert_eq!(found.killed, at(100.2));
        assert_eq!((found.gone, found.running), (Some(at(101.0)), Some(at(105.0))));
        assert_eq!((found.capacity, found.steady), (Some(at(110.0)), Some(at(110.0))));
    }

    #[test]
    fn times_count_from_the_answer_also_when_the_kill_is_over() {
        let origin = |intent: Intent, accepted: &[(IntentId, DateTime<Utc>)]| {
            let accepted = accepted.iter().cloned().collect();
            let found = &recovered(&plan(1), &[intent], &accepted, &[], &clean(0, 200))[0];
            (found.killed, found.origins[&Stage::Killed])
        };
        let mut over = intent(1, 100.0);
        over.state = IntentState::Resolved {
            why: "whole".into(),
            at: at(120.0),
            tasks: vec![],
        };
        let answer = (over.id.clone(), at(100.2));
        assert_eq!(origin(over.clone(), &[answer]), (at(100.2), Origin::Answer));
        assert_eq!(origin(over, &[]), (at(100.0), Origin::Intent));
        // Giving up is no answer: the kill may have come at any moment before.
        let mut unanswered = intent(1, 100.0);
        unanswered.state = IntentState::Ambiguous {
            why: "reset".into(),
            at: at(105.0),
        };
        assert_eq!(origin(unanswered, &[]), (at(100.0), Origin::Intent));
    }

    #[test]
    fn health_that_a_new_leader_does_not_know_yet_is_no_task_that_is_gone() {
        let mut points = [health(99.0, 12, 12), health(101.0, 0, 12), health(110.0, 12, 12)];
        let seen = |points: &[HealthPoint]| {
            recoveries(&plan(1), &[intent(1, 100.0)], points, &clean(0, 200))[0].clone()
        };
        let found = seen(&points);
        assert_eq!((found.gone, found.capacity, found.steady), (None, None, None));
        // The victim and its replacement may both have run, each at its look.
        points[1].fresh = vec![FreshTask {
            task: "cart.new".into(),
            instance: "cart.new".into(),
            staged: Some(at(100.4)),
            started: Some(at(100.8)),
            healthy: None,
            address: None,
            answered: None,
        }];
        assert_eq!(seen(&points).gone, Some(at(101.0)));
    }

    #[test]
    fn a_victim_that_was_never_seen_gone_is_never_seen_replaced() {
        let points = [health(99.0, 12, 12), health(101.0, 12, 12)];
        let found = &recoveries(&plan(1), &[intent(1, 100.0)], &points, &clean(0, 200))[0];
        assert_eq!((found.gone, found.capacity, found.steady), (None, None, None));
        let mut proven = intent(1, 100.0);
        proven.state = IntentState::Resolved {
            why: "whole".into(),
            at: at(120.0),
            tasks: vec![],
        };
        let found = &recoveries(&plan(1), &[proven], &points, &clean(0, 200))[0];
        assert_eq!((found.capacity, found.steady), (Some(at(120.0)), Some(at(120.0))));
    }

    #[test]
    fn steady_waits_for_the_limit_and_for_eyes() {
        let points = [health(99.0, 12, 12), health(101.0, 11, 11), health(110.0, 12, 12)];
        let mut samples = clean(0, 110);
        samples.extend((110..120).map(|s| seen("edge", f64::from(s), 50, 100)));
        samples.extend(clean(120, 300));
        let steady =
            |samples: &[Sample]| recoveries(&plan(1), &[intent(1, 100.0)], &points, samples)[0].steady;
        // The last bad second may be part of a stretch only where it is below 1 % of it: not here.
        assert_eq!(steady(&samples), Some(at(120.0)));
        let blinded: Vec<_> = samples
            .iter()
            .filter(|s| !(at(125.0)..at(160.0)).contains(&s.at))
            .cloned()
            .collect();
        assert_eq!(steady(&blinded), Some(at(160.0)));
        assert_eq!(
            steady(&clean(0, 130)),
            None,
            "the stretch was not watched to its end"
        );
    }

    #[test]
    fn shams_and_kills_that_never_left_have_no_recovery() {
        let mut sham = intent(1, 100.0);
        sham.sham = true;
        let mut unsent = intent(2, 110.0);
        unsent.state = IntentState::NotSent {
            why: "fence".into(),
            at: at(110.0),
        };
        assert_eq!(recoveries(&plan(2), &[sham, unsent], &[], &[]), []);
    }

    #[test]
    fn harm_counts_the_armed_window_only() {
        let samples = [
            seen("edge", 1.0, 9, 10),
            seen("edge", 10.0, 1, 10),
            blind("edge", 11.0),
            seen("edge", 12.0, 2, 10),
            seen("edge", 99.0, 9, 10),
        ];
        let found = &harm(&hypothesis(), &samples, at(10.0), at(20.0))[0];
        assert_eq!((found.observed, found.bad, found.blind), (20, 3, 1));
        assert!((found.worst - 0.2).abs() < 1e-12);
    }
}
