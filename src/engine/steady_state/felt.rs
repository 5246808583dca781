//! What users felt of one kill: harm that the kill accounts for, beyond what there would have been anyway
//! (`steady-state` §5.2).

use super::{Tick, delta, later, whole_stretches};
use crate::model::experiment::{Control, Group, Hypothesis, ProbeSpec, Role, Sample};
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

/// What every probe of the app that was hit, and that decides something, saw from one kill until the app was
/// steady again.
///
/// Harm is summed with its sign: counting only what is worse would turn noise into harm.
pub(super) fn felt(
    plan: &Plan,
    intents: &[Intent],
    samples: &[Sample],
    from: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Vec<Felt> {
    let hypothesis = &plan.hypothesis;
    let probes = hypothesis.probes.iter();
    probes
        .filter(|p| p.role != Role::Observe && p.group() == Group::Experiment)
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
    let anyway = anyway(&plan.hypothesis, &probe.name, intents, samples, (from, until))?;
    let inside: Vec<&Sample> = samples
        .iter()
        .filter(|s| s.probe == probe.name && from <= s.at && s.at <= until)
        .collect();
    let mut ticks: Vec<Tick> = inside.iter().filter_map(|s| Tick::of(s)).collect();
    ticks.sort_by_key(|tick| tick.at);
    let seen = Counts::of(&ticks);
    let share = seen.share()?;
    let area = ticks.iter().map(|t| t.share() - anyway.share).sum::<f64>() * every.as_secs_f64();
    let failed = seen.bad as f64 - anyway.share * seen.observed as f64;
    let half = TWO_SIDED * anyway.variance_of(seen, share).sqrt();
    let masked = inside.iter().filter_map(|s| s.reading.detail()?.masked);
    let (retries, redispatches) = masked.fold((0_u64, 0_u64), |(r, d), m| {
        (r + u64::from(m.retries), d + u64::from(m.redispatches))
    });
    let worst = |length: TimeDelta| {
        whole_stretches(&ticks, length.max(delta(every)), every)
            .filter_map(|stretch| Counts::of(stretch).share())
            .fold(0.0, f64::max)
    };
    Some(Felt {
        probe: probe.name.clone(),
        observed: seen.observed,
        bad: seen.bad,
        dip_area_s: area,
        attributable: failed,
        attributable_low: failed - half,
        attributable_high: failed + half,
        worst_second: worst(TimeDelta::seconds(1)),
        worst_ten_seconds: worst(TimeDelta::seconds(10)),
        masked_retries: retries,
        masked_redispatches: redispatches,
    })
}

/// What there would have been without the kill.
struct Anyway {
    /// The bad share.
    share: f64,
    /// How far chance moves that share: its variance.
    variance: f64,
    /// How much more the control swings from block to block than single requests would.
    swing: f64,
}

impl Anyway {
    /// What was seen where nothing was killed; `None` when nothing was seen there.
    fn of(control: &[Tick]) -> Option<Self> {
        let counts = Counts::of(control);
        let share = counts.share()?;
        let one = share * (1.0 - share);
        let blocks: Vec<Counts> = control.chunks(BLOCK).map(Counts::of).collect();
        let swing = if one > 0.0 && blocks.len() > 1 {
            let sum = blocks
                .iter()
                .map(|b| (b.bad as f64 - share * b.observed as f64).powi(2) / (b.observed as f64 * one))
                .sum::<f64>();
            (sum / (blocks.len() as f64 - 1.0)).max(1.0)
        } else {
            1.0
        };
        Some(Self {
            share,
            variance: one / counts.observed as f64,
            swing,
        })
    }

    /// The share of the app itself before, moved by as much as the share of another one has moved since.
    fn moved(self, before: &Self, since: &Self) -> Self {
        Self {
            share: (self.share + since.share - before.share).clamp(0.0, 1.0),
            variance: self.variance + before.variance + since.variance,
            swing: self.swing.max(before.swing).max(since.swing),
        }
    }

    /// Of the attributable failures: the chance in what was seen, and in what was expected, both widened by
    /// the swing.
    fn variance_of(&self, seen: Counts, share: f64) -> f64 {
        let n = seen.observed as f64;
        let one = self.share * (1.0 - self.share);
        let in_seen = (n * share * (1.0 - share)).max(n * one);
        self.swing * (in_seen + n * n * self.variance)
    }
}

/// What there would have been anyway, by the declared design: what the other app shows at the same time, what
/// there is after shams, or else what there was before the first step. For a reference app, what there was before
/// the first step, moved by what the reference app has done since: the two need not be alike.
///
/// So a cause that hits both apps is not put down to the kill, where there are two.
fn anyway(
    hypothesis: &Hypothesis,
    probe: &ProbeName,
    intents: &[Intent],
    samples: &[Sample],
    (from, until): (DateTime<Utc>, DateTime<Utc>),
) -> Option<Anyway> {
    let of = |probe: &ProbeName, inside: &dyn Fn(DateTime<Utc>) -> bool| -> Option<Anyway> {
        let mut ticks: Vec<Tick> = samples
            .iter()
            .filter(|s| s.probe == *probe && inside(s.at))
            .filter_map(Tick::of)
            .collect();
        ticks.sort_by_key(|tick| tick.at);
        Anyway::of(&ticks)
    };
    let first = intents.iter().map(|i| i.at).min();
    let before = |at| first.is_none_or(|first| later(at, hypothesis.timeout) <= first);
    let meanwhile = |at| from <= at && at <= until;
    let own = || of(probe, &before);
    match (&hypothesis.control, hypothesis.counterpart(probe)) {
        (Control::Sham { window, .. }, _) => {
            let shams = || intents.iter().filter(|i| i.sham);
            of(probe, &|at| {
                shams().any(|i| i.at <= at && at < later(i.at, *window))
            })
            .or_else(own)
        }
        (Control::Parallel { .. }, Some(other)) => of(&other.name, &meanwhile),
        (Control::Reference { .. }, Some(other)) => {
            let (was, is) = (of(&other.name, &before)?, of(&other.name, &meanwhile)?);
            Some(own()?.moved(&was, &is))
        }
        (Control::BeforeAfter | Control::Parallel { .. } | Control::Reference { .. }, _) => own(),
    }
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
    fn the_worst_ten_seconds_are_ten_seconds_that_were_watched() {
        // Three bad samples at the end of what was seen are three seconds, not ten.
        let share = |s: i32| if s < 108 { 5 } else { 60 };
        let samples: Vec<Sample> = (0..111)
            .map(|s| seen("edge", f64::from(s), share(s), 100))
            .collect();
        let found = of(&samples);
        // From 101 to 111: seven of 5 in a hundred and three of 60.
        assert!((found.worst_ten_seconds - 0.215).abs() < 1e-9, "{found:?}");
        assert!((found.worst_second - 0.6).abs() < 1e-9, "{found:?}");
        // Less than ten seconds were seen at all: then that is all there is to tell.
        let short: Vec<Sample> = samples.into_iter().filter(|s| s.at < at(105.0)).collect();
        assert!((of(&short).worst_ten_seconds - 0.05).abs() < 1e-9);
    }

    /// Two apps side by side; `edge` looks at the one that is hit, `other` at the one that is left alone.
    fn two_apps(control: Control) -> Plan {
        let mut plan = plan(1);
        let mut other = plan.hypothesis.probes[0].clone();
        other.name = "other".into();
        other.control_for = Some("edge".into());
        plan.hypothesis.probes.push(other);
        plan.hypothesis.control = control;
        plan
    }

    /// So many bad of a hundred before second 100, and from it on.
    fn both(own: (u32, u32), other: (u32, u32)) -> Vec<Sample> {
        let of = |name: &'static str, (before, after): (u32, u32)| {
            (0..111).map(move |s| seen(name, f64::from(s), if s < 100 { before } else { after }, 100))
        };
        of("edge", own).chain(of("other", other)).collect()
    }

    fn attributed(control: Control, samples: &[Sample]) -> Vec<(String, f64)> {
        let found = felt(
            &two_apps(control),
            &[intent(1, 100.0)],
            samples,
            at(100.0),
            at(110.0),
        );
        let rounded = |felt: Felt| (felt.probe.to_string(), felt.attributable.round());
        found.into_iter().map(rounded).collect()
    }

    #[test]
    fn what_hits_both_apps_is_not_put_down_to_the_kill() {
        let parallel = || Control::Parallel {
            control: "/b".into(),
            experiment: "/shop/cart".into(),
        };
        let reference = || Control::Reference { app: "/b".into() };
        for control in [parallel(), reference()] {
            let common = attributed(control, &both((1, 20), (1, 20)));
            assert_eq!(
                common,
                [("edge".to_owned(), 0.0)],
                "and no row for the control group"
            );
        }
        // Only the app that was hit: 19 of each hundred in eleven seconds.
        assert_eq!(attributed(parallel(), &both((1, 20), (1, 1)))[0].1, 209.0);
        // A reference app may always be worse; what counts is how it moved.
        assert_eq!(attributed(reference(), &both((1, 20), (5, 9)))[0].1, 165.0);
        // Where the other app was not seen meanwhile nothing is known.
        let alone: Vec<Sample> = both((1, 20), (1, 1))
            .into_iter()
            .filter(|s| s.probe.as_str() == "edge")
            .collect();
        assert_eq!(attributed(parallel(), &alone), []);
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
