//! False aborts on errors (§4.2 of the page).

use super::super::Noise;
use super::super::rules::{Count, Cumulative, Cusum, Default, Ewma, LIMIT, Robust, Rule, Total, Windows};
use super::super::sums::{Requests, ZTest};
use super::SECOND;

/// Runs a cell of the page's table of false aborts.
pub const FALSE_RUNS: u32 = 6_000;

/// The columns of that table.
pub const COLUMNS: [(&str, Noise); 5] = [
    ("inside", Noise::Independent(0.001)),
    ("half", Noise::Independent(0.005)),
    ("at limit", Noise::Independent(0.01)),
    ("over-disp.", Noise::OverDispersed),
    ("bursts", Noise::Bursts),
];

/// One rule, and in how many per cent of the page's runs it fired at 20 and at 100 requests a sample.
pub struct FalseRow {
    pub rule: &'static str,
    pub make: fn() -> Box<dyn Rule>,
    pub at_20: [f64; 5],
    pub at_100: [f64; 5],
}

/// The table of false aborts, per cent of runs of 600 s. When a window that is not full yet begins to count, the page
/// does not say: from the first sample at 10 s, from the tenth at 30 s and full at 60 s give its figures.
pub const FALSE_ABORTS: &[FalseRow] = &[
    FalseRow {
        rule: "1 sample > 1 %",
        make: || Box::new(Count::new(1, 1)),
        at_20: [100.0, 100.0, 100.0, 100.0, 100.0],
        at_100: [94.0, 100.0, 100.0, 100.0, 99.0],
    },
    FalseRow {
        rule: "3 consecutive",
        make: || Box::new(Count::new(3, 3)),
        at_20: [0.4, 38.0, 95.0, 0.2, 33.0],
        at_100: [0.0, 33.0, 100.0, 0.4, 41.0],
    },
    FalseRow {
        rule: "5 consecutive",
        make: || Box::new(Count::new(5, 5)),
        at_20: [0.0, 0.4, 9.0, 0.0, 7.0],
        at_100: [0.0, 0.3, 43.0, 0.0, 12.0],
    },
    FalseRow {
        rule: "3 of 5",
        make: || Box::new(Count::new(3, 5)),
        at_20: [2.6, 89.0, 100.0, 1.1, 39.0],
        at_100: [0.0, 85.0, 100.0, 2.7, 42.0],
    },
    FalseRow {
        rule: "EWMA(0.2) > 1 %",
        make: || Box::new(Ewma::new()),
        at_20: [100.0, 100.0, 100.0, 100.0, 100.0],
        at_100: [0.1, 100.0, 100.0, 97.0, 86.0],
    },
    FalseRow {
        rule: "10 s window > 1 %",
        make: || Box::new(Windows::new(&[10], LIMIT, 1)),
        at_20: [22.0, 100.0, 100.0, 66.0, 79.0],
        at_100: [0.5, 93.0, 100.0, 58.0, 81.0],
    },
    FalseRow {
        rule: "30 s window > 1 %",
        make: || Box::new(Windows::new(&[30], LIMIT, 10)),
        at_20: [0.6, 86.0, 100.0, 9.0, 43.0],
        at_100: [0.0, 4.0, 100.0, 3.0, 43.0],
    },
    FalseRow {
        rule: "burn 14.4x, 60 s & 5 s",
        make: || Box::new(Windows::new(&[60, 5], 0.0144, 60)),
        at_20: [0.0, 0.3, 84.0, 0.0, 3.0],
        at_100: [0.0, 0.0, 4.0, 0.0, 3.0],
    },
    FalseRow {
        rule: "CUSUM 0.1->2 %, h=8",
        make: || Box::new(Cusum::new()),
        at_20: [1.8, 99.0, 100.0, 54.0, 71.0],
        at_100: [3.0, 100.0, 100.0, 100.0, 87.0],
    },
    FalseRow {
        rule: "z-test vs baseline, peeked, α = 1 %",
        make: || Box::new(ZTest::against(0.001)),
        at_20: [11.0, 100.0, 100.0, 22.0, 61.0],
        at_100: [15.0, 100.0, 100.0, 50.0, 80.0],
    },
    FalseRow {
        rule: "z-test vs limit, peeked, α = 1 %",
        make: || Box::new(ZTest::against(LIMIT)),
        at_20: [0.0, 0.3, 15.0, 0.2, 2.0],
        at_100: [0.0, 0.1, 15.0, 2.0, 4.0],
    },
    FalseRow {
        rule: "total bad samples > 3 (Argo)",
        make: || Box::new(Total::new()),
        at_20: [100.0, 100.0, 100.0, 97.0, 100.0],
        at_100: [31.0, 100.0, 100.0, 100.0, 81.0],
    },
    FalseRow {
        rule: "cumulative bad ratio >= 10 % (CTK)",
        make: || Box::new(Cumulative::percent(10)),
        at_20: [20.0, 92.0, 100.0, 15.0, 25.0],
        at_100: [5.0, 88.0, 100.0, 21.0, 12.0],
    },
    FalseRow {
        rule: "mSPRT, single start, α = 1 %",
        make: || Box::new(Requests::single_start()),
        at_20: [0.0, 0.0, 0.1, 0.1, 0.8],
        at_100: [0.0, 0.0, 0.2, 0.7, 3.0],
    },
    FalseRow {
        rule: "SR, request-level",
        make: || Box::new(Requests::restarted()),
        at_20: [0.0, 0.0, 0.3, 2.5, 24.0],
        at_100: [0.0, 0.0, 0.3, 48.0, 79.0],
    },
    FalseRow {
        rule: "SR, batch-robust",
        make: || Box::new(Robust::every(SECOND)),
        at_20: [0.0, 0.0, 0.5, 0.0, 4.0],
        at_100: [0.0, 0.0, 0.4, 0.0, 6.0],
    },
    FalseRow {
        rule: "default (robust + hard line)",
        make: || Box::new(Default::every(SECOND)),
        at_20: [0.0, 0.0, 0.4, 0.0, 4.0],
        at_100: [0.0, 0.0, 0.6, 0.0, 6.0],
    },
];

/// Hours without or with a false abort of the default: requests a second, share, hours, aborts.
pub const LONG_RUN: &[(u32, f64, u32, u32)] = &[
    (1, 0.001, 5_000, 1),
    (20, 0.001, 5_000, 0),
    (100, 0.001, 5_000, 0),
    (100, 0.005, 5_000, 0),
    (1_000, 0.005, 1_666, 0),
];
