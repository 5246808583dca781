//! The simulated verdicts of the published table: two groups with shared noise, judged by the real intervals.

use super::dice::Dice;
use super::{in_parallel, kayenta};
use heartbreak::engine::steady_state::intervals::{ERROR, paired};
use heartbreak::model::verdict::{Counts, HypothesisResult};

/// The tolerated difference of every row: one point.
pub const MARGIN: f64 = 0.01;
/// Seconds of one block, as in the table. A run of the operator takes ten blocks whatever its length.
const BLOCK: usize = 10;
/// Deviation of the logarithm of the bad share, and how much of it the next second keeps.
const DEVIATION: f64 = 0.7;
const KEPT: f64 = 0.95;

/// One row of the table: seconds, requests a second and group, and for each true difference how many per cent are held,
/// disproved and inconclusive, and how many pass Kayenta's judge.
pub struct Row {
    pub seconds: u32,
    pub per_second: u32,
    pub says: [[f64; 3]; 5],
    pub passes: [f64; 5],
}

/// The true differences of the columns.
pub const DIFFERENCES: [f64; 5] = [0.0, 0.005, 0.01, 0.02, 0.05];

/// The table of the design page.
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
        [100.0, 100.0, 100.0, 100.0, 100.0],
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
        [100.0, 100.0, 100.0, 100.0, 21.0],
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
        [100.0, 100.0, 100.0, 100.0, 0.0],
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
        [100.0, 100.0, 0.0, 0.0, 0.0],
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
        [100.0, 0.0, 0.0, 0.0, 0.0],
    ),
];

const fn row(seconds: u32, per_second: u32, says: [[f64; 3]; 5], passes: [f64; 5]) -> Row {
    Row {
        seconds,
        per_second,
        says,
        passes,
    }
}

/// How many per cent of the runs are held, disproved and inconclusive.
pub fn verdicts(seconds: u32, per_second: u32, difference: f64, runs: u32) -> [f64; 3] {
    shares(&in_parallel(runs, |seed| {
        let bad = bad_of_seconds(u64::from(seed), seconds, per_second, difference);
        let pairs: Vec<(Counts, Counts)> = bad
            .chunks(BLOCK)
            .map(|block| {
                let counts = |bad: u32| Counts {
                    observed: block.len() as u64 * u64::from(per_second),
                    bad: u64::from(bad),
                };
                (
                    counts(block.iter().map(|(experiment, _)| experiment).sum()),
                    counts(block.iter().map(|(_, control)| control).sum()),
                )
            })
            .collect();
        paired(&pairs, ERROR).says(MARGIN)
    }))
}

/// How many per cent of such runs pass Kayenta's judge.
pub fn passing(seconds: u32, per_second: u32, difference: f64, runs: u32) -> f64 {
    let passed = in_parallel(runs, |seed| {
        let (experiment, control): (Vec<u32>, Vec<u32>) =
            bad_of_seconds(u64::from(seed), seconds, per_second, difference)
                .into_iter()
                .unzip();
        u32::from(kayenta::passes(&experiment, &control))
    });
    100.0 * f64::from(passed.iter().sum::<u32>()) / f64::from(runs)
}

/// Held, disproved and inconclusive among these, in per cent.
pub fn shares(all: &[HypothesisResult]) -> [f64; 3] {
    [
        HypothesisResult::Held,
        HypothesisResult::Disproved,
        HypothesisResult::Inconclusive,
    ]
    .map(|wanted| 100.0 * all.iter().filter(|says| **says == wanted).count() as f64 / all.len() as f64)
}

/// Bad requests of experiment and control in every second of one run.
fn bad_of_seconds(seed: u64, seconds: u32, per_second: u32, difference: f64) -> Vec<(u32, u32)> {
    let mut dice = Dice::new(seed + 30_000_000);
    let mut noise = DEVIATION * dice.normal();
    (0..seconds)
        .map(|_| {
            noise = KEPT * noise + DEVIATION * (1.0 - KEPT * KEPT).sqrt() * dice.normal();
            let base = (0.001 * noise.exp()).min(0.5);
            let experiment = dice.binomial(per_second, base + difference);
            (experiment, dice.binomial(per_second, base))
        })
        .collect()
}
