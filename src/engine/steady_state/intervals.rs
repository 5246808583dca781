//! The difference of two groups, with its interval: what every verdict rests on (`steady-state` §4.5).
//!
//! Two intervals, and the wider of them counts. Newcombe's is right for tiny counts and has a width when
//! nothing was bad at all; it takes every observation as independent. The t-interval over paired stretches
//! of time is right for bursts and drift; it knows nothing of counts. Pure arithmetic, public so that the
//! simulations of `benches/` judge with the very same functions.

use super::hard_line::upper_bound;
use crate::model::verdict::{Counts, HypothesisResult};
use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

/// One-sided error of every interval.
pub const ERROR: f64 = 0.05;

/// Pairs whose exchanges are all looked at, one by one; more are sampled.
const EXACT_MAX: usize = 12;

/// A difference and the two one-sided ends of its interval, as shares.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The difference, experiment minus control.
    pub difference: f64,
    /// It is above this, with the given chance of error.
    pub low: f64,
    /// It is below this, with the given chance of error.
    pub high: f64,
}

impl Interval {
    /// What is known of a difference of shares when nothing is.
    pub const NOTHING: Self = Self {
        difference: 0.0,
        low: -1.0,
        high: 1.0,
    };

    /// The wider of two intervals on each side, around this one's difference.
    pub fn or_wider(self, other: Self) -> Self {
        Self {
            difference: self.difference,
            low: self.low.min(other.low),
            high: self.high.max(other.high),
        }
    }

    /// The three-way answer: positive evidence in either direction, or neither.
    pub fn says(self, margin: f64) -> HypothesisResult {
        match () {
            () if self.low > margin => HypothesisResult::Disproved,
            () if self.high < margin => HypothesisResult::Held,
            () => HypothesisResult::Inconclusive,
        }
    }
}

/// The interval for paired stretches, each `(experiment, control)`: the wider of [`newcombe`] over their
/// sums and [`paired_t`] over their differences. Fewer than two pairs bound nothing.
///
/// `error` is the one-sided chance of error, above 0 and below ½.
pub fn paired(pairs: &[(Counts, Counts)], error: f64) -> Interval {
    let sums = newcombe(
        pairs.iter().map(|p| p.0).sum(),
        pairs.iter().map(|p| p.1).sum(),
        error,
    );
    match (sums, paired_t(&differences(pairs), error)) {
        (Some(sums), Some(blocks)) => sums.or_wider(blocks),
        (Some(sums), None) => sums.or_wider(Interval::NOTHING),
        (None, _) => Interval::NOTHING,
    }
}

/// The difference of shares of every pair in which both sides observed something.
pub fn differences(pairs: &[(Counts, Counts)]) -> Vec<f64> {
    pairs
        .iter()
        .filter_map(|(experiment, control)| Some(experiment.share()? - control.share()?))
        .collect()
}

/// The interval for the difference of two shares by Newcombe's method (1998, his number 10) on Wilson's
/// bounds. `None` when one side has no observations.
///
/// # Caveats
///
/// Takes observations as independent. Bursts make the true interval wider.
pub fn newcombe(experiment: Counts, control: Counts, error: f64) -> Option<Interval> {
    let (p1, p2) = (experiment.share()?, control.share()?);
    let z = z(error);
    let ((l1, u1), (l2, u2)) = (wilson(experiment, z)?, wilson(control, z)?);
    let difference = p1 - p2;
    Some(Interval {
        difference,
        low: difference - (p1 - l1).hypot(u2 - p2),
        high: difference + (u1 - p1).hypot(p2 - l2),
    })
}

/// Wilson's interval for one share.
fn wilson(counts: Counts, z: f64) -> Option<(f64, f64)> {
    let (p, n) = (counts.share()?, counts.observed as f64);
    let middle = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let half = z / (1.0 + z * z / n) * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    Some(((middle - half).max(0.0), (middle + half).min(1.0)))
}

/// Student's interval for the mean of paired differences; `None` with fewer than two.
pub fn paired_t(differences: &[f64], error: f64) -> Option<Interval> {
    let (mean, spread) = mean_and_error(differences)?;
    let half = t(error, differences.len() as f64 - 1.0) * spread;
    Some(Interval {
        difference: mean,
        low: mean - half,
        high: mean + half,
    })
}

/// Welch's interval for the difference of two means; `None` with fewer than two on a side.
pub fn welch(after: &[f64], before: &[f64], error: f64) -> Option<Interval> {
    let ((m1, e1), (m2, e2)) = (mean_and_error(after)?, mean_and_error(before)?);
    let (v1, v2) = (e1 * e1, e2 * e2);
    let difference = m1 - m2;
    let freedom =
        (v1 + v2).powi(2) / (v1 * v1 / (after.len() as f64 - 1.0) + v2 * v2 / (before.len() as f64 - 1.0));
    let half = if freedom.is_finite() {
        t(error, freedom.max(1.0)) * (v1 + v2).sqrt()
    } else {
        // Both sides without any spread.
        0.0
    };
    Some(Interval {
        difference,
        low: difference - half,
        high: difference + half,
    })
}

/// What is left of `one` when `other` is taken away: two independent differences, by the method of
/// variance estimates recovery (Zou and Donner 2008), which Newcombe's method is a case of.
pub fn less(one: Interval, other: Interval) -> Interval {
    let difference = one.difference - other.difference;
    Interval {
        difference,
        low: difference - (one.difference - one.low).hypot(other.high - other.difference),
        high: difference + (one.high - one.difference).hypot(other.difference - other.low),
    }
}

/// The chance of a mean difference at least this large if the two stretches of each pair had been drawn
/// the other way round as likely as not: exact for up to twelve pairs, over all exchanges; for more over
/// 4,096 drawn with a fixed seed. `None` without pairs.
pub fn chance(differences: &[f64]) -> Option<f64> {
    let n = differences.len();
    if n == 0 {
        return None;
    }
    let observed: f64 = differences.iter().sum();
    // Sums of the same numbers in another order differ in the last digits.
    let as_large = |sum: f64| sum >= observed - 1e-12;
    let sum_with = |signs: u64| -> f64 {
        (0..)
            .zip(differences)
            .map(|(bit, d)| if signs >> (bit % 64) & 1 == 1 { -d } else { *d })
            .sum()
    };
    if n <= EXACT_MAX {
        let all = 1_u64 << n;
        let large = (0..all).filter(|signs| as_large(sum_with(*signs))).count();
        return Some(large as f64 / all as f64);
    }
    let mut dice = SplitMix64(n as u64);
    let large = (0..4_096).filter(|_| as_large(sum_with(dice.roll()))).count();
    // The observed order is one of the possible ones.
    Some((large + 1) as f64 / 4_097.0)
}

/// The smallest difference that would have been found four times in five; `None` without counts on both
/// sides. The larger of what the counts and what the spread of the pairs allow.
///
/// By the counts: the share at which the experimental group shows, four times in five, as many bad ones as [`newcombe`]
/// needs to be sure that it is worse than the control group as it was. A normal approximation would promise half of
/// that where next to nothing was bad.
pub fn smallest(experiment: Counts, control: Counts, differences: &[f64]) -> Option<f64> {
    if experiment.observed == 0 || control.observed == 0 {
        return None;
    }
    let all = experiment.observed;
    let is_found = |bad: u64| {
        let seen = Counts { observed: all, bad };
        newcombe(seen, control, ERROR).is_some_and(|interval| interval.low > 0.0)
    };
    let (mut too_few, mut enough) = (0, all);
    while enough - too_few > 1 {
        let bad = too_few + (enough - too_few) / 2;
        if is_found(bad) {
            enough = bad
        } else {
            too_few = bad
        }
    }
    let counted = match is_found(enough) {
        true => upper_bound(enough - 1, all, 0.2) - control.share().unwrap_or(0.0),
        false => 1.0,
    };
    let spread = mean_and_error(differences).map_or(0.0, |(_, error)| {
        let freedom = differences.len() as f64 - 1.0;
        (t(ERROR, freedom) + t(0.2, freedom)) * error
    });
    Some(counted.max(spread).min(1.0))
}

/// What each of several probes says when one disproof among them is enough: Holm's correction (1979).
///
/// `interval` gives a probe's interval at a one-sided chance of error. *Disproved* is corrected for the
/// number of probes; *held* needs every probe, and needs no correction.
pub fn holm(margins: &[f64], interval: impl Fn(usize, f64) -> Interval) -> Vec<HypothesisResult> {
    let mut says: Vec<HypothesisResult> = (0..)
        .zip(margins)
        .map(|(probe, margin)| match interval(probe, ERROR).says(*margin) {
            HypothesisResult::Disproved => HypothesisResult::Inconclusive,
            other => other,
        })
        .collect();
    loop {
        let left = says.iter().filter(|s| **s != HypothesisResult::Disproved).count();
        let next = (0..margins.len()).find(|probe| {
            says[*probe] != HypothesisResult::Disproved
                && interval(*probe, ERROR / left as f64).low > margins[*probe]
        });
        match next {
            Some(probe) => says[probe] = HypothesisResult::Disproved,
            None => return says,
        }
    }
}

/// The mean and its standard error; `None` with fewer than two values.
fn mean_and_error(values: &[f64]) -> Option<(f64, f64)> {
    if values.len() < 2 {
        return None;
    }
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
    Some((mean, (variance / n).sqrt()))
}

/// The normal quantile that leaves this much on one side.
pub(super) fn z(error: f64) -> f64 {
    Normal::standard().inverse_cdf(1.0 - error)
}

/// Student's quantile that leaves this much on one side.
fn t(error: f64, freedom: f64) -> f64 {
    StudentsT::new(0.0, 1.0, freedom).map_or(f64::INFINITY, |t| t.inverse_cdf(1.0 - error))
}

/// SplitMix64 (Steele, Lea and Flood 2014): dice that come out the same everywhere and always.
#[derive(Clone, Copy, Debug)]
pub struct SplitMix64(pub u64);

impl SplitMix64 {
    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(bad: u64, observed: u64) -> Counts {
        Counts { observed, bad }
    }

    #[track_caller]
    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 5.1e-5, "{found} and not {expected}");
    }

    #[test]
    fn a_difference_of_the_smallest_size_is_found_four_times_in_five() {
        use statrs::distribution::{Binomial, DiscreteCDF};
        for (all, control) in [(500, 0), (30_000, 0), (1_000, 5), (6_000, 60)] {
            let counts = |bad| Counts { observed: all, bad };
            let share = |bad: u64| bad as f64 / all as f64;
            let least = smallest(counts(control), counts(control), &[]).unwrap();
            let found = |bad: u64| newcombe(counts(bad), counts(control), ERROR).unwrap().low > 0.0;
            let needed = (control..=all).find(|bad| found(*bad)).unwrap();
            let world = Binomial::new(share(control) + least, all).unwrap();
            let power = 1.0 - world.cdf(needed - 1);
            assert!((power - 0.8).abs() < 0.005, "{all} {control}: {power}");
        }
        assert_eq!(
            smallest(Counts::default(), Counts { observed: 9, bad: 0 }, &[]),
            None
        );
    }

    #[test]
    fn newcombe_gives_the_published_intervals() {
        for (experiment, control, expected) in [
            ((30, 6_000), (6, 6_000), (0.0040, 0.0024, 0.0058)),
            ((130, 6_000), (6, 6_000), (0.0207, 0.0176, 0.0240)),
            ((0, 300), (0, 300), (0.0, -0.0089, 0.0089)),
        ] {
            let found = newcombe(
                counts(experiment.0, experiment.1),
                counts(control.0, control.1),
                ERROR,
            )
            .unwrap();
            near(found.difference, expected.0);
            near(found.low, expected.1);
            near(found.high, expected.2);
        }
        assert_eq!(newcombe(Counts::default(), counts(0, 1), ERROR), None);
    }

    #[test]
    fn students_interval_gives_the_textbook_numbers() {
        // Five differences with mean 0.03 and deviation 0.01581: t(0.95, 4) = 2.1318.
        let found = paired_t(&[0.01, 0.02, 0.03, 0.04, 0.05], ERROR).unwrap();
        near(found.difference, 0.03);
        near(found.low, 0.03 - 2.131_85 * 0.007_071_07);
        near(found.high, 0.03 + 2.131_85 * 0.007_071_07);
        assert_eq!(paired_t(&[0.01], ERROR), None);
        // Welch for {2, 4, 6} and {1, 2, 3}: 2.94 degrees of freedom, t(0.95) = 2.3764.
        let found = welch(&[2.0, 4.0, 6.0], &[1.0, 2.0, 3.0], ERROR).unwrap();
        near(found.difference, 2.0);
        assert!((found.low - (2.0 - 2.376 * 1.291)).abs() < 5e-3, "{found:?}");
    }

    #[test]
    fn the_wider_interval_counts() {
        // Equal pairs: no spread, so the counts bound it.
        let equal = vec![(counts(0, 100), counts(0, 100)); 5];
        let counted = newcombe(counts(0, 500), counts(0, 500), ERROR).unwrap();
        assert_eq!(paired(&equal, ERROR), counted);
        // One pair with everything in it: the spread of the pairs bounds it.
        let mut burst = equal.clone();
        burst[2].0 = counts(50, 100);
        let found = paired(&burst, ERROR);
        assert!(found.low < 0.0 && found.high > 0.2, "{found:?}");
        // One pair bounds nothing, however many requests there were.
        let one = paired(&[(counts(0, 1_000_000), counts(0, 1_000_000))], ERROR);
        assert_eq!((one.low, one.high), (-1.0, 1.0));
        assert_eq!(paired(&[], ERROR), Interval::NOTHING);
    }

    #[test]
    fn five_pairs_that_all_point_one_way_come_by_chance_once_in_thirty_two() {
        near(chance(&[0.1, 0.2, 0.1, 0.3, 0.1]).unwrap(), 1.0 / 32.0);
        near(chance(&[0.1; 4]).unwrap(), 1.0 / 16.0);
        near(chance(&[0.1; 2]).unwrap(), 0.25);
        near(chance(&[0.0; 5]).unwrap(), 1.0);
        near(chance(&[-0.1; 5]).unwrap(), 1.0);
        // By hand: of the eight sums of ±1 ±2 ±3, those of at least 2 are 6, 4 and 2.
        near(chance(&[1.0, -2.0, 3.0]).unwrap(), 3.0 / 8.0);
        assert_eq!(chance(&[]), None);
        let many = chance(&[0.1; 20]).unwrap();
        assert!(many < 0.001, "{many}");
    }

    #[test]
    fn several_probes_make_a_disproof_harder_and_one_disproof_makes_the_next_easier() {
        // Normal intervals around a difference, of standard error 1.
        let around = |centres: &'static [f64]| {
            move |probe: usize, error: f64| Interval {
                difference: centres[probe],
                low: centres[probe] - z(error),
                high: centres[probe] + z(error),
            }
        };
        use HypothesisResult::{Disproved, Inconclusive};
        // 1.8 is beyond 1.645 and not beyond 1.96.
        assert_eq!(holm(&[0.0], around(&[1.8])), [Disproved]);
        assert_eq!(holm(&[0.0; 2], around(&[1.8, 0.0])), [Inconclusive, Inconclusive]);
        assert_eq!(holm(&[0.0; 2], around(&[1.8, 3.0])), [Disproved, Disproved]);
    }

    #[test]
    fn what_is_taken_away_widens_what_is_left() {
        let one = Interval {
            difference: 0.05,
            low: 0.04,
            high: 0.06,
        };
        let found = less(
            one,
            Interval {
                difference: 0.05,
                low: 0.02,
                high: 0.08,
            },
        );
        near(found.difference, 0.0);
        near(found.high, 0.01_f64.hypot(0.03));
        near(found.low, -0.01_f64.hypot(0.03));
    }
}
