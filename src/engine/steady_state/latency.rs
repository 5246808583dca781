//! The slow end of two groups: the ratio of their 99th percentiles, with its interval (`steady-state` §4.5).
//!
//! Blocks of time are drawn anew, not single answers: answers of one moment are alike, and a bootstrap over
//! answers would be far too sure. Both groups' blocks of a pair are drawn together, so that what both felt
//! drops out.

use super::intervals::{ERROR, SplitMix64};
use crate::model::verdict::{HypothesisResult, LatencyDifference, Pair, Times};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;

/// The ratio that is tolerated when nothing else is declared (`steady-state` §4.4).
pub const MARGIN: f64 = 1.5;
/// Answers that each group needs before its 99th percentile means anything.
const ANSWERS_MIN: u64 = 1_000;
/// Pairs of blocks that a bootstrap needs: with three it is far too sure of itself.
const PAIRS_MIN: usize = 5;
/// How often the blocks are drawn anew.
const RESAMPLES: u32 = 400;
/// Longest time that is told apart: an hour. Longer ones count as that.
const LONGEST_US: u64 = 3_600_000_000;

/// Compares the times of answers, pair by pair; pairs without times in both groups are left out.
///
/// Depends on its arguments alone: the dice have a fixed seed. `None` with fewer than five pairs, or
/// fewer than a thousand answers in a group.
///
/// # Caveats
///
/// - Resolves times to about 1 %. With few blocks the interval is a little too narrow.
/// - An answer that never came has no time: it is bad, and the bad shares are compared beside this.
pub fn compare(pairs: &[Pair], margin: f64) -> Option<LatencyDifference> {
    let blocks: Vec<(Histogram<u32>, Histogram<u32>)> = pairs
        .iter()
        .filter(|pair| !pair.experiment_times.is_empty() && !pair.control_times.is_empty())
        .map(|pair| {
            Some((
                histogram(&pair.experiment_times)?,
                histogram(&pair.control_times)?,
            ))
        })
        .collect::<Option<_>>()?;
    if blocks.len() < PAIRS_MIN {
        return None;
    }
    let (experiment, control) = merged(blocks.iter())?;
    if experiment.len() < ANSWERS_MIN || control.len() < ANSWERS_MIN {
        return None;
    }
    let ratio = |e: &Histogram<u32>, c: &Histogram<u32>| p99(e) / p99(c);
    let mut dice = SplitMix64(0x9E37);
    let mut ratios: Vec<f64> = (0..RESAMPLES)
        .filter_map(|_| {
            let drawn = (0..blocks.len()).map(|_| &blocks[(dice.roll() % blocks.len() as u64) as usize]);
            merged(drawn).map(|(e, c)| ratio(&e, &c))
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let place = (share * ratios.len() as f64).floor() as usize;
        ratios.get(place.min(ratios.len().saturating_sub(1))).copied()
    };
    let (low, high) = (at(ERROR)?, at(1.0 - ERROR)?);
    Some(LatencyDifference {
        experiment_answers: experiment.len(),
        control_answers: control.len(),
        experiment_p99_ms: p99(&experiment) / 1e3,
        control_p99_ms: p99(&control) / 1e3,
        ratio: ratio(&experiment, &control),
        low,
        high,
        margin,
        slower_chance: slower_chance(pairs),
        says: match () {
            () if low > margin => HypothesisResult::Disproved,
            () if high < margin => HypothesisResult::Held,
            () => HypothesisResult::Inconclusive,
        },
    })
}

/// The chance that an answer of the experimental group took longer than one of the control group; equal times
/// count half.
fn slower_chance(pairs: &[Pair]) -> Option<f64> {
    let mut counts: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
    for pair in pairs {
        for (us, count) in pair.experiment_times.counts() {
            counts.entry(us).or_default().0 += f64::from(count);
        }
        for (us, count) in pair.control_times.counts() {
            counts.entry(us).or_default().1 += f64::from(count);
        }
    }
    let (mut longer, mut experiments, mut controls) = (0.0, 0.0, 0.0);
    for (experiment, control) in counts.into_values() {
        longer += experiment * (controls + control / 2.0);
        experiments += experiment;
        controls += control;
    }
    (experiments > 0.0 && controls > 0.0).then(|| longer / (experiments * controls))
}

/// At two significant digits a bucket is never wider than 1 %.
fn empty() -> Option<Histogram<u32>> {
    Histogram::new_with_bounds(1, LONGEST_US, 2).ok()
}

fn histogram(times: &Times) -> Option<Histogram<u32>> {
    let mut histogram = empty()?;
    for (us, count) in times.counts() {
        histogram.saturating_record_n(u64::from(us).max(1), count);
    }
    Some(histogram)
}

fn merged<'a>(
    blocks: impl Iterator<Item = &'a (Histogram<u32>, Histogram<u32>)>,
) -> Option<(Histogram<u32>, Histogram<u32>)> {
    let (mut experiment, mut control) = (empty()?, empty()?);
    for (e, c) in blocks {
        experiment.add(e).ok()?;
        control.add(c).ok()?;
    }
    Some((experiment, control))
}

/// In microseconds, at least 1.
fn p99(histogram: &Histogram<u32>) -> f64 {
    histogram.value_at_quantile(0.99).max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::steady_state::testing::Dice;
    use crate::model::verdict::Counts;

    /// So many blocks of so many answers: log-normal, median 20 ms, 99th percentile 200 ms, times `factor`
    /// in the experimental group, and the same wander in both.
    fn world(blocks: usize, answers: usize, factor: f64) -> Vec<Pair> {
        let mut dice = Dice(7);
        let mut time = |scale: f64| {
            // Box and Muller.
            let (u, v) = (dice.share().max(1e-12), dice.share());
            let normal = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
            (20_000.0 * scale * (normal * 10_f64.ln() / 2.326).exp()) as u32
        };
        (0..blocks)
            .map(|block| {
                let wander = 1.0 + 0.1 * (block as f64).sin();
                let mut some = |scale: f64| (0..answers).map(|_| time(scale)).collect();
                Pair {
                    run: "r-1".into(),
                    number: block as u32,
                    experiment: Counts::default(),
                    control: Counts::default(),
                    experiment_times: some(wander * factor),
                    control_times: some(wander),
                }
            })
            .collect()
    }

    #[test]
    fn the_slow_end_holds_or_is_disproved_by_its_ratio() {
        let same = compare(&world(10, 3_000, 1.0), MARGIN).unwrap();
        assert_eq!(same.says, HypothesisResult::Held, "{same:?}");
        assert!((same.control_p99_ms - 200.0).abs() < 20.0, "{same:?}");
        assert_eq!((same.experiment_answers, same.control_answers), (30_000, 30_000));
        let twice = compare(&world(10, 3_000, 2.0), MARGIN).unwrap();
        assert_eq!(twice.says, HypothesisResult::Disproved, "{twice:?}");
        assert!((twice.ratio - 2.0).abs() < 0.2, "{twice:?}");
        assert_eq!(
            compare(&world(10, 3_000, 2.0), MARGIN).unwrap(),
            twice,
            "no dice of the moment"
        );
    }

    #[test]
    fn the_chance_to_be_slower_is_a_half_where_both_are_alike_and_counts_equals_half() {
        let pair = |experiment: &[u32], control: &[u32]| Pair {
            experiment_times: experiment.iter().copied().collect(),
            control_times: control.iter().copied().collect(),
            ..world(1, 0, 1.0).remove(0)
        };
        let alike = slower_chance(&world(10, 3_000, 1.0)).unwrap();
        assert!((alike - 0.5).abs() < 0.01, "{alike}");
        // By hand: of the six pairs of answers two are longer and one is equal.
        assert_eq!(slower_chance(&[pair(&[10, 30], &[20, 30, 40])]), Some(1.5 / 6.0));
        assert_eq!(slower_chance(&[pair(&[10], &[]), pair(&[], &[5])]), Some(1.0));
        assert_eq!(slower_chance(&[pair(&[10], &[])]), None);
    }

    #[test]
    fn too_few_answers_or_blocks_say_nothing() {
        assert_eq!(compare(&world(10, 99, 1.0), MARGIN), None);
        assert_eq!(compare(&world(4, 3_000, 2.0), MARGIN), None);
        let mut old = world(5, 3_000, 2.0);
        assert!(compare(&old, MARGIN).is_some());
        old[0].control_times = Times::default();
        assert_eq!(compare(&old, MARGIN), None, "a pair without times is none");
        assert_eq!(compare(&[], MARGIN), None);
    }
}
