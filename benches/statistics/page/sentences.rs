//! Delays that the page gives in the sentences under its table (§4.3).

use super::super::Step;
use super::super::rules::{Cumulative, Default, Rule};
use super::super::sums::{Pooled, Requests};
use super::SECOND;
use heartbreak::model::experiment::Share;

/// A step of the bad share from 0.1 %.
pub struct Once {
    pub what: &'static str,
    pub make: fn() -> Box<dyn Rule>,
    pub step: Step,
    /// The median in seconds. What a smaller α costs stands on the page as a difference.
    pub says: &'static str,
}

const fn once(
    what: &'static str,
    make: fn() -> Box<dyn Rule>,
    (observed, clean): (u32, u32),
    after: f64,
    says: &'static str,
) -> Once {
    Once {
        what,
        make,
        step: Step {
            observed,
            clean,
            before: 0.001,
            after,
            most: 600,
        },
        says,
    }
}

/// A hundred requests a second, after a minute.
const SOON: (u32, u32) = (100, 60);
/// The same after half an hour.
const LATE: (u32, u32) = (100, 1_800);
/// One check a second, after a minute.
const CHECK: (u32, u32) = (1, 60);

fn ratio<const PERCENT: u32>() -> Box<dyn Rule> {
    Box::new(Cumulative::percent(PERCENT))
}

fn pooled() -> Box<dyn Rule> {
    Box::new(Pooled::new())
}

fn single_start() -> Box<dyn Rule> {
    Box::new(Requests::single_start())
}

/// The default with a limit in parts per million.
fn limit<const PPM: u32>() -> Box<dyn Rule> {
    Box::new(Default::with(Share(PPM), Share::percent(1), SECOND))
}

fn default() -> Box<dyn Rule> {
    Box::new(Default::every(SECOND))
}

fn careful() -> Box<dyn Rule> {
    Box::new(Default::with(Share::percent(1), Share(1_000), SECOND))
}

/// All of them.
pub const ONCE: &[Once] = &[
    once(
        "CTK cumulative ratio 10 %, -> 20 % after 30 min",
        ratio::<10>,
        LATE,
        0.2,
        "192",
    ),
    once(
        "CTK cumulative ratio 50 %, -> 20 % after 30 min",
        ratio::<50>,
        LATE,
        0.2,
        "never",
    ),
    once(
        "k6 cumulative > 1 %, -> 20 % after 30 min",
        pooled,
        LATE,
        0.2,
        "86",
    ),
    once(
        "mSPRT from t = 0, -> 20 % after 30 min",
        single_start,
        LATE,
        0.2,
        "110",
    ),
    once("default, -> 20 % after 30 min", default, LATE, 0.2, "5"),
    once("default, α = 0.1 %, -> 2 %", careful, SOON, 0.02, "32 + 8"),
    once("default, α = 0.1 %, -> 5 %", careful, SOON, 0.05, "9 + 2"),
    once("default, α = 0.1 %, -> 100 %", careful, SOON, 1.0, "1 + 0 to 1"),
    once(
        "default, limit 0.5 %, -> 2.5 %",
        limit::<5_000>,
        SOON,
        0.025,
        "10",
    ),
    once("default, limit 1 %, -> 5 %", limit::<10_000>, SOON, 0.05, "9"),
    once("default, limit 2 %, -> 10 %", limit::<20_000>, SOON, 0.1, "9"),
    once("default, limit 5 %, -> 25 %", limit::<50_000>, SOON, 0.25, "9"),
    once("default, one check a second, -> 10 %", default, CHECK, 0.1, "55"),
    once("default, one check a second, -> 20 %", default, CHECK, 0.2, "22"),
    once("default, one check a second, -> 50 %", default, CHECK, 0.5, "7"),
    once("default, one check a second, -> 100 %", default, CHECK, 1.0, "3"),
];
