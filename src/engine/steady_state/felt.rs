//! What users felt of one kill: harm that the kill accounts for, beyond what there would have been anyway
//! (`steady-state` §5.2).

use super::{Tick, delta, later};
use crate::model::experiment::{Control, Hypothesis, ProbeSpec, Role, Sample};
use crate::model::ids::ProbeName;
use crate::model::plan::Plan;
use crate::model::report::Felt;
use crate::model::run::Intent;
use crate::model::verdict::Counts;
use chrono::{DateTime, TimeDelta, Utc};
use std::time::Duration;

/// The normal quantile of a two-sided 95 % interval.
const TWO_SIDED: f64 = 1.959_964;
/// Samples of the control that make one block of its spread.
const BLOCK: usize = 10;

/// What every probe that decides something saw from one kill until the app was steady again.
///
/// What there would have been anyway is the bad share after the shams of the run, or without shams before
/// its first step. Harm is summed with its sign: counting only what is worse would turn noise into harm.
pub(super) fn felt(
    plan: &Plan,
    intents: &[Intent],
    samples: &[Sample],
    from: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Vec<Felt> {
    let hypothesis = &plan.hypothesis;
    hypothesis
        .probes
        .iter()
        .filter(|p| p.role != Role::Observe)
        .filter_map(|probe| of_probe(plan, probe, intents, samples, from, until))
        .collect()
}

fn of_probe(
    plan: &Plan,
    probe: &ProbeSpec,
    intents: &[Intent],
    samples: &[Sample],
    from: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Option<Felt> {
    let every = probe.every.unwrap_or(plan.hypothesis.interval);
    let control = control(&plan.hypothesis, &probe.name, intents, samples);
    let expected = Counts::of(&control).share()?;
    let inside: Vec<&Sample> = samples
        .iter()
        .filter(|s| s.probe == probe.name && from <= s.at && s.at <= until)
        .collect();
    let ticks: Vec<Tick> = inside.iter().filter_map(|s| Tick::of(s)).collect();
    let seen = Counts::of(&ticks);
    let share = seen.share()?;
    let area = ticks.iter().map(|t| t.share() - expected).sum::<f64>() * every.as_secs_f64();
    let failed = seen.bad as f64 - expected * seen.observed as f64;
    let half = TWO_SIDED * variance(seen, share, &control, expected).sqrt();
    let masked = inside.iter().filter_map(|s| s.reading.detail()?.masked);
    let (retries, redispatches) = masked.fold((0_u64, 0_u64), |(r, d), m| {
        (r + u64::from(m.retries), d + u64::from(m.redispatches))
    });
    Some(Felt {
        probe: probe.name.clone(),
        observed: seen.observed,
        bad: seen.bad,
        dip_area_s: area,
        attributable: failed,
        attributable_low: failed - half,
        attributable_high: failed + half,
        worst_second: worst(&ticks, TimeDelta::seconds(1).max(delta(every))),
        worst_ten_seconds: worst(&ticks, TimeDelta::seconds(10).max(delta(every))),
        masked_retries: retries,
        masked_redispatches: redispatches,
    })
}

/// Samples of times in which nothing was killed: the windows after shams, or else all before the first step.
fn control(hypothesis: &Hypothesis, probe: &ProbeName, intents: &[Intent], samples: &[Sample]) -> Vec<Tick> {
    let of = |inside: &dyn Fn(DateTime<Utc>) -> bool| -> Vec<Tick> {
        samples
            .iter()
            .filter(|s| s.probe == *probe && inside(s.at))
            .filter_map(Tick::of)
            .collect()
    };
    if let Control::Sham { window, .. } = hypothesis.control {
        let shams = || intents.iter().filter(|i| i.sham);
        let after = of(&|at| shams().any(|i| i.at <= at && at < later(i.at, window)));
        if !after.is_empty() {
            return after;
        }
    }
    let first = intents.iter().map(|i| i.at).min();
    of(&|at| first.is_none_or(|first| later(at, hypothesis.timeout) <= first))
}

/// Of the attributable failures: the chance in what was seen, and in what was expected, both widened by how
/// much more the control swings from block to block than single requests would.
fn variance(seen: Counts, share: f64, control: &[Tick], expected: f64) -> f64 {
    let n = seen.observed as f64;
    let all = Counts::of(control).observed as f64;
    let one = expected * (1.0 - expected);
    let blocks: Vec<Counts> = control.chunks(BLOCK).map(Counts::of).collect();
    let swing = if one > 0.0 && blocks.len() > 1 {
        let sum = blocks
            .iter()
            .map(|b| (b.bad as f64 - expected * b.observed as f64).powi(2) / (b.observed as f64 * one))
            .sum::<f64>();
        (sum / (blocks.len() as f64 - 1.0)).max(1.0)
    } else {
        1.0
    };
    let in_seen = (n * share * (1.0 - share)).max(n * one);
    let in_expected = if all > 0.0 { n * n * one / all } else { 0.0 };
    swing * (in_seen + in_expected)
}

/// The highest bad share of any stretch of this length.
fn worst(ticks: &[Tick], length: TimeDelta) -> f64 {
    let mut highest = 0.0_f64;
    for (first, tick) in ticks.iter().enumerate() {
        let stretch = ticks[first..].iter().take_while(|t| t.at < tick.at + length);
        highest = highest.max(Counts::of(stretch).share().unwrap_or(0.0));
    }
    highest
}

/// The longest that what a kill left behind is summed when the app was never steady again.
pub(super) fn until(
    steady: Option<DateTime<Utc>>,
    next: Option<DateTime<Utc>>,
    within: Duration,
    from: DateTime<Utc>,
) -> DateTime<Utc> {
    let end = steady.unwrap_or_else(|| later(from, within));
    next.map_or(end, |next| end.min(next))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::steady_state::testing::*;
    use crate::engine::steady_state::verdict::tests::{intent, plan};

    fn of(samples: &[Sample]) -> Felt {
        let found = felt(&plan(1), &[intent(1, 100.0)], samples, at(100.0), at(110.0));
        found.into_iter().next().expect("one probe")
    }

    #[test]
    fn harm_is_what_goes_beyond_what_there_was_anyway() {
        // One in a hundred before; for five seconds after the kill eleven in a hundred.
        let mut samples: Vec<Sample> = (0..100).map(|s| seen("edge", f64::from(s), 1, 100)).collect();
        samples.extend((100..111).map(|s| seen("edge", f64::from(s), if s < 105 { 11 } else { 1 }, 100)));
        let found = of(&samples);
        assert_eq!((found.observed, found.bad), (1_100, 61));
        assert!((found.dip_area_s - 0.5).abs() < 1e-9, "{found:?}");
        assert!((found.attributable - 50.0).abs() < 1e-9, "{found:?}");
        // √(1100·0.0555·0.9445 + 1100²·0.0099/10000) = 7.67, twice on each side.
        assert!((found.attributable_high - 65.0).abs() < 0.5, "{found:?}");
        assert!((found.worst_second - 0.11).abs() < 1e-9);
        assert!((found.worst_ten_seconds - 0.06).abs() < 1e-9, "{found:?}");
    }

    #[test]
    fn noise_is_not_summed_up_to_harm() {
        let noisy = |s: i32| seen("edge", f64::from(s), if s % 2 == 0 { 4 } else { 0 }, 100);
        let samples: Vec<Sample> = (0..111).map(noisy).collect();
        let found = of(&samples);
        assert!(
            found.dip_area_s.abs() < 0.05 && found.attributable_low < 0.0,
            "{found:?}"
        );
    }

    #[test]
    fn without_anything_to_compare_with_nothing_is_attributed() {
        let samples: Vec<Sample> = (100..111).map(|s| seen("edge", f64::from(s), 9, 100)).collect();
        assert_eq!(
            felt(&plan(1), &[intent(1, 100.0)], &samples, at(100.0), at(110.0)),
            []
        );
    }
}
