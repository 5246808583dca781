//! The numbers of the design page, as they stand there.

use super::Noise;
use super::rules::{Count, Cumulative, Cusum, Default, Ewma, LIMIT, Robust, Rule, Total, Windows};
use std::time::Duration;

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

const SECOND: Duration = Duration::from_secs(1);

/// The table of false aborts, per cent of runs of 600 s. Left out: the rules that the page names without saying how they
/// are computed (two z-tests, mSPRT, request-level SR).
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
        make: || Box::new(Windows::new(&[10], LIMIT)),
        at_20: [22.0, 100.0, 100.0, 66.0, 79.0],
        at_100: [0.5, 93.0, 100.0, 58.0, 81.0],
    },
    FalseRow {
        rule: "30 s window > 1 %",
        make: || Box::new(Windows::new(&[30], LIMIT)),
        at_20: [0.6, 86.0, 100.0, 9.0, 43.0],
        at_100: [0.0, 4.0, 100.0, 3.0, 43.0],
    },
    FalseRow {
        rule: "burn 14.4x, 60 s & 5 s",
        make: || Box::new(Windows::new(&[60, 5], 0.0144)),
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
        rule: "total bad samples > 3 (Argo)",
        make: || Box::new(Total::new()),
        at_20: [100.0, 100.0, 100.0, 97.0, 100.0],
        at_100: [31.0, 100.0, 100.0, 100.0, 81.0],
    },
    FalseRow {
        rule: "cumulative bad ratio >= 10 % (CTK)",
        make: || Box::new(Cumulative::new()),
        at_20: [20.0, 92.0, 100.0, 15.0, 25.0],
        at_100: [5.0, 88.0, 100.0, 21.0, 12.0],
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

/// Median and 95 % quantile of a delay in seconds, where the page gives them; `None`: never in time.
pub type Delay = (Option<f64>, Option<f64>);

/// One rule at one traffic: its delays for 0.1 % → 2, 5, 20 and 100 %.
pub struct DelayRow {
    pub rule: &'static str,
    pub make: fn() -> Box<dyn Rule>,
    /// Requests a sample.
    pub observed: u32,
    /// Samples a second.
    pub per_second: f64,
    /// Clean seconds before the step.
    pub clean: u32,
    pub delays: [Delay; 4],
}

/// The shares after the step.
pub const STEPS: [f64; 4] = [0.02, 0.05, 0.2, 1.0];

const fn both(median: f64, most: f64) -> Delay {
    (Some(median), Some(most))
}

const fn median(median: f64) -> Delay {
    (Some(median), None)
}

fn three() -> Box<dyn Rule> {
    Box::new(Count::new(3, 3))
}

fn window_30() -> Box<dyn Rule> {
    Box::new(Windows::new(&[30], LIMIT))
}

fn burn() -> Box<dyn Rule> {
    Box::new(Windows::new(&[60, 5], 0.0144))
}

fn ratio() -> Box<dyn Rule> {
    Box::new(Cumulative::new())
}

fn default() -> Box<dyn Rule> {
    Box::new(Default::every(SECOND))
}

fn default_at_4_hz() -> Box<dyn Rule> {
    Box::new(Default::every(Duration::from_millis(250)))
}

const fn row(
    rule: &'static str,
    make: fn() -> Box<dyn Rule>,
    observed: u32,
    clean: u32,
    delays: [Delay; 4],
) -> DelayRow {
    DelayRow {
        rule,
        make,
        observed,
        per_second: 1.0,
        clean,
        delays,
    }
}

/// The table of delays on an error step.
pub const DELAYS: &[DelayRow] = &[
    row(
        "3 consecutive > 1 %",
        three,
        20,
        120,
        [both(28.0, 114.0), both(6.0, 20.0), both(3.0, 3.0), median(3.0)],
    ),
    row(
        "3 consecutive > 1 %",
        three,
        100,
        120,
        [both(7.0, 25.0), both(3.0, 5.0), both(3.0, 3.0), median(3.0)],
    ),
    row(
        "30 s window > 1 %",
        window_30,
        20,
        120,
        [both(16.0, 29.0), both(7.0, 12.0), both(2.0, 3.0), median(1.0)],
    ),
    row(
        "30 s window > 1 %",
        window_30,
        100,
        120,
        [both(15.0, 20.0), both(6.0, 8.0), both(2.0, 2.0), median(1.0)],
    ),
    row(
        "burn 14.4x, 60 s & 5 s",
        burn,
        20,
        120,
        [both(44.0, 69.0), both(17.0, 26.0), both(5.0, 6.0), median(1.0)],
    ),
    row(
        "burn 14.4x, 60 s & 5 s",
        burn,
        100,
        120,
        [both(43.0, 52.0), both(17.0, 20.0), both(5.0, 5.0), median(1.0)],
    ),
    row(
        "CTK cumulative ratio 10 %",
        ratio,
        20,
        120,
        [both(43.0, 72.0), both(18.0, 27.0), both(12.0, 14.0), median(12.0)],
    ),
    row(
        "CTK cumulative ratio 10 %",
        ratio,
        100,
        120,
        [both(24.0, 34.0), both(14.0, 16.0), both(14.0, 14.0), median(14.0)],
    ),
    row(
        "default",
        default,
        1,
        60,
        [(None, None), both(171.0, 434.0), both(21.0, 47.0), both(3.0, 3.0)],
    ),
    row(
        "default",
        default,
        20,
        60,
        [
            both(106.0, 221.0),
            both(16.0, 30.0),
            both(5.0, 6.0),
            both(1.0, 1.0),
        ],
    ),
    row(
        "default",
        default,
        100,
        60,
        [both(32.0, 55.0), both(9.0, 11.0), both(5.0, 5.0), both(1.0, 1.0)],
    ),
    row(
        "default",
        default,
        1000,
        60,
        [both(19.0, 22.0), both(8.0, 9.0), both(5.0, 5.0), both(1.0, 1.0)],
    ),
    DelayRow {
        rule: "default, 0.25 s samples",
        make: default_at_4_hz,
        observed: 25,
        per_second: 4.0,
        clean: 60,
        delays: [both(26.0, 50.0), both(4.0, 6.8), both(1.25, 1.5), median(0.25)],
    },
    DelayRow {
        rule: "default, 0.25 s samples",
        make: default_at_4_hz,
        observed: 250,
        per_second: 4.0,
        clean: 60,
        delays: [both(6.0, 8.0), both(2.5, 2.8), median(1.25), median(0.25)],
    },
];

/// Latency: tolerance over the 99 % quantile, requests a second, factor of the rise, median delay in seconds.
pub const LATENCY: &[(f64, u32, f64, f64)] = &[
    (1.25, 20, 1.5, 233.0),
    (1.25, 100, 1.5, 63.0),
    (1.25, 1000, 1.5, 27.0),
    (1.25, 20, 2.0, 34.0),
    (1.25, 100, 2.0, 13.0),
    (1.25, 1000, 2.0, 11.0),
    (1.25, 20, 5.0, 5.0),
    (1.25, 100, 5.0, 5.0),
    (1.25, 1000, 5.0, 5.0),
    (1.5, 20, 2.0, 94.0),
    (1.5, 100, 2.0, 28.0),
    (1.5, 1000, 2.0, 18.0),
    (1.5, 20, 3.0, 15.0),
    (1.5, 100, 3.0, 9.0),
    (1.5, 1000, 3.0, 8.0),
    (1.5, 20, 5.0, 6.0),
    (1.5, 100, 5.0, 5.0),
    (1.5, 1000, 5.0, 5.0),
];

/// Slow wander of all latencies (AR(1), φ 0.95) without any change: tolerance, requests a second, standard deviation,
/// false aborts in per cent.
pub const WANDER: &[(f64, u32, f64, f64)] = &[
    (1.25, 100, 0.1, 0.0),
    (1.25, 1000, 0.1, 0.0),
    (1.25, 100, 0.2, 11.0),
    (1.25, 1000, 0.2, 34.0),
    (1.5, 100, 0.2, 0.5),
    (1.5, 1000, 0.2, 1.3),
];
