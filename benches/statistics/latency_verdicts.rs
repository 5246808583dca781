//! Simulated verdicts on latency: groups of log-normal times, judged by the real comparisons.

use super::dice::Dice;
use super::in_parallel;
use super::verdicts::shares;
use heartbreak::engine::steady_state::latency::{Block, compare, compare_sides};
use heartbreak::model::verdict::{Counts, HypothesisResult, Pair, Times};

/// The tolerated ratio of 99 % quantiles of the page's figures. A policy that declares none gets 1.5.
pub const MARGIN: f64 = 1.25;

/// Every time of the experimental group is this much longer.
pub const FACTORS: [f64; 4] = [1.0, 1.25, 1.5, 2.0];

/// What is compared with what.
#[derive(Clone, Copy, Debug)]
pub enum Groups {
    /// The same time in both groups.
    Pairs,
    /// After with before.
    Sides,
    /// The same, less what an app beside it did, whose answers take twice as long after as before; so do those of the
    /// app that is hit, beside the factor.
    Reference,
}

/// One setting: groups, seconds, requests a second and group, blocks of time, and the page's words for every factor.
pub struct Row {
    pub groups: Groups,
    pub seconds: u32,
    pub per_second: u32,
    pub blocks: u32,
    pub says: [&'static str; 4],
}

/// What the page says under its table of verdicts, at a margin of 1.25.
pub const TABLE: &[Row] = &[
    Row {
        groups: Groups::Pairs,
        seconds: 300,
        per_second: 100,
        blocks: 10,
        says: ["held 100", "no figure", "disproved 98 to 100", "disproved 100"],
    },
    Row {
        groups: Groups::Pairs,
        seconds: 300,
        per_second: 20,
        blocks: 10,
        says: [
            "held 93 to 97",
            "no figure",
            "disproved 76 to 87",
            "disproved 100",
        ],
    },
    Row {
        groups: Groups::Pairs,
        seconds: 300,
        per_second: 100,
        blocks: 20,
        says: ["held 100", "2 to 8 each", "disproved 98 to 100", "disproved 100"],
    },
    Row {
        groups: Groups::Pairs,
        seconds: 300,
        per_second: 20,
        blocks: 20,
        says: [
            "held 93 to 97",
            "2 to 8 each",
            "disproved 76 to 87",
            "disproved 100",
        ],
    },
    apart(Groups::Sides, 100),
    apart(Groups::Sides, 20),
    apart(Groups::Reference, 100),
    apart(Groups::Reference, 20),
];

/// Of these the page has no figures. The operator cuts each side into ten blocks.
const fn apart(groups: Groups, per_second: u32) -> Row {
    Row {
        groups,
        seconds: 300,
        per_second,
        blocks: 10,
        says: ["no figure"; 4],
    }
}

/// How many per cent of the runs are held, disproved and inconclusive.
pub fn latency_verdicts(row: &Row, factor: f64, runs: u32) -> [f64; 3] {
    shares(&in_parallel(runs, |seed| one(u64::from(seed), row, factor)))
}

/// Median 20 ms, 99 % quantile 200 ms, in microseconds.
fn one(seed: u64, row: &Row, factor: f64) -> HypothesisResult {
    let mut dice = Dice::new(seed + 60_000_000);
    let mut times = |factor: f64| -> Times {
        let requests = 0..row.seconds * row.per_second / row.blocks;
        requests
            .map(|_| (20_000.0 * factor * 10_f64.powf(dice.normal() / 2.326)) as u32)
            .collect()
    };
    let says = match row.groups {
        Groups::Pairs => {
            let pair = |number| Pair {
                run: "simulated".into(),
                number,
                experiment: Counts::default(),
                control: Counts::default(),
                experiment_times: times(factor),
                control_times: times(1.0),
            };
            compare(&(0..row.blocks).map(pair).collect::<Vec<_>>(), MARGIN)
        }
        Groups::Sides | Groups::Reference => {
            let beside = matches!(row.groups, Groups::Reference);
            let change = if beside { 2.0 } else { 1.0 };
            let mut side = |factor: f64, other: f64| -> Vec<Block> {
                (0..row.blocks)
                    .map(|_| Block {
                        own: times(factor),
                        other: beside.then(|| times(other)),
                    })
                    .collect()
            };
            let before = side(1.0, 1.0);
            compare_sides(&before, &side(factor * change, change), MARGIN)
        }
    };
    says.map_or(HypothesisResult::Inconclusive, |difference| difference.says)
}
