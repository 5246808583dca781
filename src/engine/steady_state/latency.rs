//! The slow end of two groups: the ratio of their 99th percentiles, with its interval (`steady-state` §4.5).
//!
//! Blocks of time are drawn anew, not single answers: answers of one moment are alike, and a bootstrap over
//! answers would be far too sure. What was seen at the same time is drawn together, so that what both apps felt
//! drops out.

use super::intervals::{ERROR, SplitMix64};
use crate::model::verdict::{HypothesisResult, LatencyDifference, Pair, Times};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;

/// Answers that each group needs before its 99th percentile means anything.
const ANSWERS_MIN: u64 = 1_000;
/// Blocks that each side needs to be drawn from: with three the interval is far too sure of itself.
const BLOCKS_MIN: usize = 5;
/// How often the blocks are drawn anew.
const RESAMPLES: u32 = 400;
/// Longest time that is told apart: an hour. Longer ones count as that.
const LONGEST_US: u64 = 3_600_000_000;

/// How long the answers of one block of time took: those of the app that is hit, and at the same time those of an app
/// that is left alone, where there is one.
#[derive(Clone, Debug, Default)]
pub struct Block {
    /// Of the app that is hit.
    pub own: Times,
    /// Of the app that is left alone.
    pub other: Option<Times>,
}

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
    compare_at(pairs, margin, ERROR)
}

/// As [`compare`], with this one-sided chance of error.
pub fn compare_at(pairs: &[Pair], margin: f64, error: f64) -> Option<LatencyDifference> {
    let both = pairs.iter().map(|p| vec![&p.experiment_times, &p.control_times]);
    let bag = Bag::new(&[1, -1], both)?;
    let chance = slower_chance(
        pairs.iter().map(|p| &p.experiment_times),
        pairs.iter().map(|p| &p.control_times),
    );
    judged(&[bag], (margin, error), chance)
}

/// Compares the blocks after the first kill with those before it; each side is drawn for itself, as none of its blocks
/// belongs to one of the other. Where there is an app that is left alone, what it did meanwhile is taken away: the ratio
/// is after over before of the one, divided by after over before of the other.
///
/// `None` with fewer than five blocks on a side or fewer than a thousand answers of an app on a side; for the rest as
/// [`compare`].
pub fn compare_sides(before: &[Block], after: &[Block], margin: f64) -> Option<LatencyDifference> {
    compare_sides_at(before, after, margin, ERROR)
}

/// As [`compare_sides`], with this one-sided chance of error.
pub fn compare_sides_at(
    before: &[Block],
    after: &[Block],
    margin: f64,
    error: f64,
) -> Option<LatencyDifference> {
    let side = |blocks: &[Block], sign: i32| {
        if blocks.iter().all(|block| block.other.is_none()) {
            return Bag::new(&[sign], blocks.iter().map(|block| vec![&block.own]));
        }
        let both = blocks
            .iter()
            .filter_map(|b| Some(vec![&b.own, b.other.as_ref()?]));
        Bag::new(&[sign, -sign], both)
    };
    let chance = slower_chance(after.iter().map(|b| &b.own), before.iter().map(|b| &b.own));
    judged(&[side(after, 1)?, side(before, -1)?], (margin, error), chance)
}

/// Blocks of one side, drawn anew together: in each of them a histogram for every app that is looked at.
struct Bag {
    /// For each app whether its percentile multiplies the ratio (1) or divides it (-1).
    signs: Vec<i32>,
    blocks: Vec<Vec<Histogram<u32>>>,
}

impl Bag {
    /// Blocks in which an app has no times are left out.
    fn new<'t>(signs: &[i32], blocks: impl Iterator<Item = Vec<&'t Times>>) -> Option<Self> {
        let blocks = blocks
            .filter(|times| times.iter().all(|times| !times.is_empty()))
            .map(|times| times.into_iter().map(histogram).collect())
            .collect::<Option<_>>()?;
        Some(Self {
            signs: signs.to_vec(),
            blocks,
        })
    }

    /// The sums of some blocks, by app.
    fn merged(&self, places: impl Iterator<Item = usize>) -> Option<Vec<Histogram<u32>>> {
        let mut sums = self.signs.iter().map(|_| empty()).collect::<Option<Vec<_>>>()?;
        for place in places {
            for (sum, block) in sums.iter_mut().zip(&self.blocks[place]) {
                sum.add(block).ok()?;
            }
        }
        Some(sums)
    }
}

/// The bag of the experimental group comes first, and in every bag the app that is hit.
fn judged(
    bags: &[Bag],
    (margin, error): (f64, f64),
    slower_chance: Option<f64>,
) -> Option<LatencyDifference> {
    if bags.iter().any(|bag| bag.blocks.len() < BLOCKS_MIN) {
        return None;
    }
    let ratio = |sums: &[Vec<Histogram<u32>>]| -> f64 {
        let signs = bags.iter().flat_map(|bag| &bag.signs);
        signs
            .zip(sums.iter().flatten())
            .map(|(sign, sum)| p99(sum).powi(*sign))
            .product()
    };
    let whole: Vec<_> = bags
        .iter()
        .map(|bag| bag.merged(0..bag.blocks.len()))
        .collect::<Option<_>>()?;
    if whole.iter().flatten().any(|sum| sum.len() < ANSWERS_MIN) {
        return None;
    }
    let (experiment, control) = match whole.as_slice() {
        [both] => (both.first()?, both.get(1)?),
        [with, without, ..] => (with.first()?, without.first()?),
        [] => return None,
    };
    let mut dice = SplitMix64(0x9E37);
    let mut ratios: Vec<f64> = (0..RESAMPLES)
        .filter_map(|_| {
            let mut drawn = |bag: &Bag| {
                let all = bag.blocks.len();
                bag.merged((0..all).map(|_| (dice.roll() % all as u64) as usize))
            };
            let sums: Vec<_> = bags.iter().map(&mut drawn).collect::<Option<_>>()?;
            Some(ratio(&sums))
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let place = (share * ratios.len() as f64).floor() as usize;
        ratios.get(place.min(ratios.len().saturating_sub(1))).copied()
    };
    let (low, high) = (at(error)?, at(1.0 - error)?);
    Some(LatencyDifference {
        experiment_answers: experiment.len(),
        control_answers: control.len(),
        experiment_p99_ms: p99(experiment) / 1e3,
        control_p99_ms: p99(control) / 1e3,
        ratio: ratio(&whole),
        low,
        high,
        margin,
        slower_chance,
        says: match () {
            () if low > margin => HypothesisResult::Disproved,
            () if high < margin => HypothesisResult::Held,
            () => HypothesisResult::Inconclusive,
        },
    })
}

/// The chance that an answer of the experimental group took longer than one of the control group; equal times
/// count half.
fn slower_chance<'t>(
    experiment: impl Iterator<Item = &'t Times>,
    control: impl Iterator<Item = &'t Times>,
) -> Option<f64> {
    let mut counts: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
    for (us, count) in experiment.flat_map(Times::counts) {
        counts.entry(us).or_default().0 += f64::from(count);
    }
    for (us, count) in control.flat_map(Times::counts) {
        counts.entry(us).or_default().1 += f64::from(count);
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

/// In microseconds, at least 1.
fn p99(histogram: &Histogram<u32>) -> f64 {
    histogram.value_at_quantile(0.99).max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::steady_state::testing::Dice;
    use crate::model::experiment::LATENCY_MARGIN;
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
        let same = compare(&world(10, 3_000, 1.0), LATENCY_MARGIN).unwrap();
        assert_eq!(same.says, HypothesisResult::Held, "{same:?}");
        assert!((same.control_p99_ms - 200.0).abs() < 20.0, "{same:?}");
        assert_eq!((same.experiment_answers, same.control_answers), (30_000, 30_000));
        let twice = compare(&world(10, 3_000, 2.0), LATENCY_MARGIN).unwrap();
        assert_eq!(twice.says, HypothesisResult::Disproved, "{twice:?}");
        assert!((twice.ratio - 2.0).abs() < 0.2, "{twice:?}");
        assert_eq!(
            compare(&world(10, 3_000, 2.0), LATENCY_MARGIN).unwrap(),
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
        let slower_chance = |pairs: &[Pair]| {
            let sides = (
                pairs.iter().map(|p| &p.experiment_times),
                pairs.iter().map(|p| &p.control_times),
            );
            super::slower_chance(sides.0, sides.1)
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
        assert_eq!(compare(&world(10, 99, 1.0), LATENCY_MARGIN), None);
        assert_eq!(compare(&world(4, 3_000, 2.0), LATENCY_MARGIN), None);
        let mut old = world(5, 3_000, 2.0);
        assert!(compare(&old, LATENCY_MARGIN).is_some());
        old[0].control_times = Times::default();
        assert_eq!(
            compare(&old, LATENCY_MARGIN),
            None,
            "a pair without times is none"
        );
        assert_eq!(compare(&[], LATENCY_MARGIN), None);
    }

    /// The control group's answers as those before the first kill, the others as those after it; with an app beside
    /// it whose answers take `other` times as long after as before.
    fn sides(blocks: usize, factor: f64, other: Option<f64>) -> [Vec<Block>; 2] {
        let own = world(blocks, 3_000, factor);
        let beside = other.map(|factor| world(blocks, 3_000, factor));
        let side = |of: fn(&Pair) -> &Times| {
            let block = |place: usize, pair: &Pair| Block {
                own: of(pair).clone(),
                other: beside.as_ref().map(|pairs| of(&pairs[place]).clone()),
            };
            own.iter().enumerate().map(|(i, pair)| block(i, pair)).collect()
        };
        [side(|p| &p.control_times), side(|p| &p.experiment_times)]
    }

    #[test]
    fn after_is_compared_with_before_less_what_an_app_beside_it_did() {
        let says = |factor: f64, other: Option<f64>| {
            let [before, after] = sides(10, factor, other);
            let found = compare_sides(&before, &after, LATENCY_MARGIN).unwrap();
            assert_eq!(
                (found.experiment_answers, found.control_answers),
                (30_000, 30_000)
            );
            assert!((found.control_p99_ms - 200.0).abs() < 20.0, "{found:?}");
            (found.says, found.ratio)
        };
        assert_eq!(says(1.0, None).0, HypothesisResult::Held);
        let (slower, ratio) = says(2.0, None);
        assert_eq!(slower, HypothesisResult::Disproved);
        assert!((ratio - 2.0).abs() < 0.2, "{ratio}");
        // Both became slower at the same time: that was not the kill.
        let (common, ratio) = says(2.0, Some(2.0));
        assert_eq!(common, HypothesisResult::Held);
        assert!((ratio - 1.0).abs() < 0.1, "{ratio}");
        assert_eq!(says(2.0, Some(1.0)).0, HypothesisResult::Disproved);
        // One that became faster meanwhile would have made the other faster, too.
        assert_eq!(says(1.0, Some(0.5)).0, HypothesisResult::Disproved);
    }

    #[test]
    fn a_side_with_too_few_blocks_or_answers_says_nothing() {
        let [before, after] = sides(10, 2.0, None);
        assert!(compare_sides(&before[..5], &after[..5], LATENCY_MARGIN).is_some());
        assert_eq!(compare_sides(&before[..4], &after, LATENCY_MARGIN), None);
        assert_eq!(compare_sides(&before, &after[..4], LATENCY_MARGIN), None);
        let thin = |blocks: &[Block]| -> Vec<Block> {
            let few = |block: &Block| Block {
                own: (0..99).map(|_| block.own.counts().next().unwrap().0).collect(),
                other: None,
            };
            blocks.iter().map(few).collect()
        };
        assert_eq!(compare_sides(&thin(&before), &after, LATENCY_MARGIN), None);
        assert_eq!(compare_sides(&before, &thin(&after), LATENCY_MARGIN), None);
    }
}
