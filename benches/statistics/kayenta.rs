//! The judge of Kayenta (`NetflixACAJudge`), written anew from its parameters: what passes there as "no worse".

use statrs::distribution::{ContinuousCDF, Normal};
use std::collections::BTreeMap;

/// Two-sided confidence of the interval.
const CONFIDENCE: f64 = 0.98;
/// How far the interval has to be from zero, as a share of the estimated shift itself.
const TOLERANCE: f64 = 0.25;

/// Whether bad requests of every second, out of equally many in both groups, pass with direction "increase".
///
/// Mann-Whitney with its normal approximation, continuity and tie correction. As in R's `wilcox.test` the interval for
/// the shift of the experiment holds the shifts that the test does not reject, and the estimate is Hodges and Lehmann's
/// median of the differences. Both are differences of pairs of seconds, so they are counted exactly here, where a
/// search ends within 0.0001 of them. Identical data pass.
///
/// # Caveats
///
/// - Ties are those of the data as they are. R and Kayenta count them anew after every shift: at 60 s x 20/s and +5
///   points a third of the runs pass by that, not a quarter (page: 21 %). No other cell of the table changes.
/// - Takes every second for independent, as the judge does. Kayenta sees one value a minute as a rule.
pub fn passes(experiment: &[u32], control: &[u32]) -> bool {
    let (x, y) = (tally(experiment), tally(control));
    if x == y {
        return true;
    }
    let mut differences: BTreeMap<i64, f64> = BTreeMap::new();
    for (a, times) in &x {
        for (b, others) in &y {
            *differences.entry(i64::from(*a) - i64::from(*b)).or_default() += times * others;
        }
    }
    let (m, n) = (experiment.len() as f64, control.len() as f64);
    let both = tally(experiment.iter().chain(control));
    let ties: f64 = both.values().map(|t| t.powi(3) - t).sum();
    let deviation = (m * n / 12.0 * (m + n + 1.0 - ties / ((m + n) * (m + n - 1.0)))).sqrt();
    let z = Normal::standard().inverse_cdf(0.5 + CONFIDENCE / 2.0);
    // The smallest difference with at most so many pairs above it.
    let first = |most: f64| {
        let mut above = m * n;
        differences.iter().find_map(|(difference, pairs)| {
            above -= pairs;
            (above <= most).then_some(*difference as f64)
        })
    };
    let low = first(m * n / 2.0 + 0.5 + z * deviation).unwrap_or_default();
    let estimate = first(m * n / 2.0).unwrap_or_default();
    low <= TOLERANCE * estimate.abs()
}

/// How often each value is there.
fn tally<'v>(values: impl IntoIterator<Item = &'v u32>) -> BTreeMap<u32, f64> {
    let mut tally = BTreeMap::new();
    for value in values {
        *tally.entry(*value).or_default() += 1.0;
    }
    tally
}
