//! A year of many policies, foreseen: `cargo bench --bench forecast`.
//!
//! Printed beside it: the same number of SHA-256 digests alone, which no forecast can be faster than.

use heartbreak::engine::schedule::forecast::forecast;
use heartbreak::model::policy::{Freeze, Limits, Policy};
use heartbreak::policy::load::parse_policy;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::time::Instant;

const POLICIES: usize = 100;
const POLICY: &str = include_str!("../policies/examples/3-all-year.yaml");

#[expect(
    clippy::disallowed_methods,
    reason = "a benchmark measures the machine's own time"
)]
fn now() -> Instant {
    Instant::now()
}

fn main() {
    let policies: Vec<Policy> = (0..POLICIES)
        .map(|i| {
            let text = POLICY.replace("web-tier-all-year", &format!("web-tier-{i}"));
            parse_policy(Path::new("bench.yaml"), text.as_bytes())
                .map_err(|(_, problems)| problems.to_string())
                .expect("the example is good")
        })
        .collect();
    let limits = Limits {
        tasks_down: 3,
        kills_per_hour: 10,
        kills_per_workday: 20,
        forbidden_apps: vec![],
        freezes: vec![Freeze {
            from: "2026-12-18".parse().expect("a date"),
            to: "2027-01-07".parse().expect("a date"),
            why: "year end".into(),
        }],
        timezone: chrono_tz::Europe::Madrid,
        holidays: Default::default(),
        covered: Default::default(),
    };
    let (from, to) = (
        "2026-01-01".parse().expect("a date"),
        "2026-12-31".parse().expect("a date"),
    );
    let mut best = f64::MAX;
    let mut moments = 0;
    for _ in 0..5 {
        let began = now();
        let ahead = forecast(Some("seed"), &policies, &limits, from, to).expect("a year");
        best = best.min(began.elapsed().as_secs_f64());
        moments = ahead.moments.len();
    }
    let digests = POLICIES * 365 * 2;
    let began = now();
    let mut sum = 0_u8;
    for i in 0..digests {
        sum ^= Sha256::digest(format!("v1|seed|web-tier-{i}|2026-03-30|fire"))[0];
    }
    let least = began.elapsed().as_secs_f64();
    println!("| what | seconds | ratio |");
    println!("| --- | --- | --- |");
    println!(
        "| forecast, {POLICIES} policies, 2026, {moments} moments | {best:.3} | {:.1} |",
        best / least
    );
    println!("| {digests} SHA-256 digests alone (checksum {sum:02x}) | {least:.3} | 1 |");
    println!("Target: at most 1 second.");
}
