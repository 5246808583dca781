//! How long rules take to see an error step (§4.3 of the page).

use super::super::rules::{Count, Cumulative, Default, LIMIT, Rule, Windows};
use super::super::sums::{Pooled, Requests};
use super::SECOND;
use std::time::Duration;

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
    Box::new(Windows::new(&[30], LIMIT, 10))
}

fn burn() -> Box<dyn Rule> {
    Box::new(Windows::new(&[60, 5], 0.0144, 60))
}

fn ratio() -> Box<dyn Rule> {
    Box::new(Cumulative::percent(10))
}

fn single_start() -> Box<dyn Rule> {
    Box::new(Requests::single_start())
}

fn restarted() -> Box<dyn Rule> {
    Box::new(Requests::restarted())
}

fn pooled() -> Box<dyn Rule> {
    Box::new(Pooled::new())
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
        "mSPRT from t = 0",
        single_start,
        20,
        120,
        [median(279.0), both(57.0, 76.0), both(12.0, 14.0), median(3.0)],
    ),
    row(
        "mSPRT from t = 0",
        single_start,
        100,
        120,
        [both(200.0, 243.0), both(41.0, 48.0), both(9.0, 10.0), median(2.0)],
    ),
    row(
        "k6 cumulative > 1 %",
        pooled,
        20,
        120,
        [both(108.0, 171.0), both(28.0, 41.0), both(6.0, 8.0), median(2.0)],
    ),
    row(
        "k6 cumulative > 1 %",
        pooled,
        100,
        120,
        [both(109.0, 136.0), both(28.0, 33.0), both(6.0, 7.0), median(2.0)],
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
        "SR request-level",
        restarted,
        20,
        120,
        [both(110.0, 218.0), both(14.0, 28.0), both(2.0, 4.0), median(1.0)],
    ),
    row(
        "SR request-level",
        restarted,
        100,
        120,
        [both(27.0, 53.0), both(4.0, 6.0), both(1.0, 1.0), median(1.0)],
    ),
    row(
        "SR request-level",
        restarted,
        1000,
        120,
        [both(4.0, 6.0), both(1.0, 1.0), both(1.0, 1.0), median(1.0)],
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
