//! Latency (§4.4 of the page): log-normal, median 20 ms, 99 % quantile 200 ms.

use super::super::latency::{Latencies, P99Above, P99Cusum, P99Ranks, Slow, Watch};
use super::super::rules::Robust;
use super::super::sums::Requests;
use super::SECOND;

/// Requests a second of the columns.
pub const TRAFFIC: [u32; 3] = [20, 100, 1_000];

/// What happens to the latencies.
pub const RISES: [(&str, Latencies); 4] = [
    ("x1.5", Latencies::all(1.5)),
    ("x2", Latencies::all(2.0)),
    ("x5", Latencies::all(5.0)),
    ("10 % of requests x5", Latencies::some(0.1, 5.0)),
];

/// One rule: for each traffic its false aborts in per cent of runs of 600 s, and for each rise its median delay in
/// seconds.
pub struct LatencyRow {
    pub rule: &'static str,
    pub make: fn() -> Box<dyn Watch>,
    /// Usual seconds before the rise.
    pub clean: u32,
    pub fires: [f64; 3],
    pub delays: [[f64; 3]; 4],
}

fn three() -> Box<dyn Watch> {
    Box::new(P99Above::in_a_row(3, 1.25))
}

fn cusum() -> Box<dyn Watch> {
    Box::new(P99Cusum::default())
}

fn ranks() -> Box<dyn Watch> {
    Box::new(P99Ranks::above(3.719))
}

/// The detector on the share of requests slower than so many per cent of the usual 99 % quantile.
fn robust<const PERCENT: u32>() -> Box<dyn Watch> {
    Box::new(Slow {
        line: f64::from(PERCENT) / 100.0,
        rule: Robust::every(SECOND),
    })
}

/// The table, at L = 1.25 times the 99 % quantile.
pub const LATENCY: &[LatencyRow] = &[
    LatencyRow {
        rule: "sample p99 > L, 3 consecutive",
        make: three,
        clean: 120,
        fires: [43.0, 43.0, 0.5],
        delays: [[47.0, 11.0, 3.0], [11.0, 3.0, 3.0], [3.0; 3], [20.0, 5.0, 3.0]],
    },
    LatencyRow {
        rule: "CUSUM on log p99, estimated baseline, h=8",
        make: cusum,
        clean: 120,
        fires: [21.0, 19.0, 14.0],
        delays: [
            [22.0, 10.0, 3.0],
            [9.0, 5.0, 2.0],
            [3.0, 2.0, 1.0],
            [13.0, 6.0, 2.0],
        ],
    },
    LatencyRow {
        rule: "Mann-Whitney 10 s vs 60 s, α = 1 %",
        make: || Box::new(P99Ranks::above(2.326)),
        clean: 120,
        fires: [66.0; 3],
        delays: [[12.0, 8.0, 5.0], [7.0, 6.0, 5.0], [5.0; 3], [10.0, 6.0, 5.0]],
    },
    LatencyRow {
        rule: "same, α = 0.01 %",
        make: ranks,
        clean: 120,
        fires: [1.1, 0.8, 0.9],
        delays: [[159.0, 17.0, 8.0], [16.0, 9.0, 8.0], [8.0; 3], [65.0, 10.0, 8.0]],
    },
    LatencyRow {
        rule: "SR request-level on slow share",
        make: || {
            Box::new(Slow {
                line: 1.25,
                rule: Requests::restarted(),
            })
        },
        clean: 120,
        fires: [0.0; 3],
        delays: [
            [234.0, 59.0, 8.0],
            [30.0, 8.0, 1.0],
            [2.0, 1.0, 1.0],
            [75.0, 18.0, 3.0],
        ],
    },
    LatencyRow {
        rule: "SR batch-robust on slow share",
        make: robust::<125>,
        clean: 60,
        fires: [0.03, 0.0, 0.0],
        delays: [
            [233.0, 63.0, 27.0],
            [34.0, 13.0, 11.0],
            [5.0; 3],
            [75.0, 23.0, 16.0],
        ],
    },
];

/// The default tolerance, L = 1.5 times the 99 % quantile, batch-robust: factor of the rise, median delays in seconds.
pub const DEFAULT_LATENCY: &[(f64, [f64; 3])] = &[
    (2.0, [94.0, 28.0, 18.0]),
    (3.0, [15.0, 9.0, 8.0]),
    (5.0, [6.0, 5.0, 5.0]),
];

/// That rule.
pub const DEFAULT_TOLERANCE: fn() -> Box<dyn Watch> = robust::<150>;

/// False aborts without any change, while all latencies wander slowly.
pub struct WanderRow {
    pub rule: &'static str,
    pub make: fn() -> Box<dyn Watch>,
    pub observed: u32,
    /// Of the logarithm.
    pub deviation: f64,
    /// Per cent of runs of 600 s.
    pub fires: f64,
}

const fn wander(
    rule: &'static str,
    make: fn() -> Box<dyn Watch>,
    observed: u32,
    deviation: f64,
    fires: f64,
) -> WanderRow {
    WanderRow {
        rule,
        make,
        observed,
        deviation,
        fires,
    }
}

/// The sentences under the table, and "at limit" in its last row, which does not wander.
pub const WANDER: &[WanderRow] = &[
    wander("batch-robust, L / p99 = 1", robust::<100>, 20, 0.0, 0.6),
    wander("batch-robust, L / p99 = 1", robust::<100>, 100, 0.0, 0.5),
    wander("batch-robust, L / p99 = 1", robust::<100>, 1_000, 0.0, 0.1),
    wander("p99 > L, 3 consecutive", three, 100, 0.1, 66.0),
    wander("p99 > L, 3 consecutive", three, 1_000, 0.1, 63.0),
    wander("CUSUM", cusum, 100, 0.1, 51.0),
    wander("CUSUM", cusum, 1_000, 0.1, 83.0),
    wander("Mann-Whitney, α = 0.01 %", ranks, 100, 0.1, 14.0),
    wander("Mann-Whitney, α = 0.01 %", ranks, 1_000, 0.1, 70.0),
    wander("batch-robust, L / p99 = 1.25", robust::<125>, 100, 0.1, 0.0),
    wander("batch-robust, L / p99 = 1.25", robust::<125>, 1_000, 0.1, 0.0),
    wander("batch-robust, L / p99 = 1.25", robust::<125>, 100, 0.2, 11.0),
    wander("batch-robust, L / p99 = 1.25", robust::<125>, 1_000, 0.2, 34.0),
    wander("batch-robust, L / p99 = 1.5", robust::<150>, 100, 0.2, 0.5),
    wander("batch-robust, L / p99 = 1.5", robust::<150>, 1_000, 0.2, 1.3),
];
