//! The simulated verdicts of the published table: two groups with shared noise, judged by the real intervals.

use super::dice::Dice;
use super::in_parallel;
use heartbreak::engine::steady_state::intervals::{ERROR, paired};
use heartbreak::model::verdict::{Counts, HypothesisResult};

/// The tolerated difference of every row: one point.
pub const MARGIN: f64 = 0.01;
/// Seconds of one block, as in the table. A run of the operator takes ten blocks whatever its length.
const BLOCK: u32 = 10;
/// Deviation of the logarithm of the bad share, and how much of it the next second keeps.
const DEVIATION: f64 = 0.7;
const KEPT: f64 = 0.95;

/// One row of the table: seconds, requests a second and group, and for each true difference how many per cent are held,
/// disproved and inconclusive.
pub struct Row {
    pub seconds: u32,
    pub per_second: u32,
    pub says: [[f64; 3]; 5],
}

/// The true differences of the columns.
pub const DIFFERENCES: [f64; 5] = [0.0, 0.005, 0.01, 0.02, 0.05];

/// The table of the design page, without the column of the Mann-Whitney judge.
pub const TABLE: &[Row] = &[
    row(
        300,
        1,
        [
            [69.0, 0.0, 31.0],
            [17.0, 0.0, 83.0],
            [3.0, 2.0, 95.0],
            [0.0, 20.0, 79.0],
            [0.0, 96.0, 4.0],
        ],
    ),
    row(
        60,
        20,
        [
            [99.0, 0.0, 1.0],
            [49.0, 0.0, 51.0],
            [3.0, 3.0, 94.0],
            [0.0, 63.0, 37.0],
            [0.0, 100.0, 0.0],
        ],
    ),
    row(
        300,
        20,
        [
            [100.0, 0.0, 0.0],
            [99.0, 0.0, 1.0],
            [6.0, 4.0, 90.0],
            [0.0, 100.0, 0.0],
            [0.0, 100.0, 0.0],
        ],
    ),
    row(
        300,
        100,
        [
            [100.0, 0.0, 0.0],
            [100.0, 0.0, 0.0],
            [6.0, 5.0, 89.0],
            [0.0, 100.0, 0.0],
            [0.0, 100.0, 0.0],
        ],
    ),
    row(
        300,
        1000,
        [
            [100.0, 0.0, 0.0],
            [100.0, 0.0, 0.0],
            [5.0, 4.0, 90.0],
            [0.0, 100.0, 0.0],
            [0.0, 100.0, 0.0],
        ],
    ),
];

const fn row(seconds: u32, per_second: u32, says: [[f64; 3]; 5]) -> Row {
    Row {
        seconds,
        per_second,
        says,
    }
}

/// How many per cent of the runs are held, disproved and inconclusive.
pub fn verdicts(seconds: u32, per_second: u32, difference: f64, runs: u32) -> [f64; 3] {
    let all = in_parallel(runs, |seed| one(u64::from(seed), seconds, per_second, difference));
    let share = |wanted| 100.0 * all.iter().filter(|says| **says == wanted).count() as f64 / f64::from(runs);
    [
        share(HypothesisResult::Held),
        share(HypothesisResult::Disproved),
        share(HypothesisResult::Inconclusive),
    ]
}

fn one(seed: u64, seconds: u32, per_second: u32, difference: f64) -> HypothesisResult {
    let mut dice = Dice::new(seed + 30_000_000);
    let mut noise = DEVIATION * dice.normal();
    let mut pairs: Vec<(Counts, Counts)> = vec![];
    for second in 0..seconds {
        noise = KEPT * noise + DEVIATION * (1.0 - KEPT * KEPT).sqrt() * dice.normal();
        let base = (0.001 * noise.exp()).min(0.5);
        let mut counts = |share: f64| Counts {
            observed: u64::from(per_second),
            bad: u64::from(dice.binomial(per_second, share)),
        };
        let (experiment, control) = (counts(base + difference), counts(base));
        match pairs.last_mut().filter(|_| second % BLOCK != 0) {
            Some((e, c)) => {
                *e = [*e, experiment].into_iter().sum();
                *c = [*c, control].into_iter().sum();
            }
            None => pairs.push((experiment, control)),
        }
    }
    paired(&pairs, ERROR).says(MARGIN)
}
