//! The published numbers of the abort rule, computed again: `cargo bench --bench false_aborts`, with `-- --quick` for a
//! tenth of the runs. Ours stands beside the design page's, which is data here (`statistics/page.rs`).
//!
//! Seeds are fixed, so every run of it prints the same numbers, on any number of cores.

mod statistics;

use statistics::dice::Dice;
use statistics::page::{COLUMNS, DELAYS, FALSE_ABORTS, FALSE_RUNS, LATENCY, LONG_RUN, STEPS, WANDER};
use statistics::rules::{Default, Robust, Rule};
use statistics::{Noise, RUN, Step, delays, false_aborts, in_parallel, quantile, slow_share};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let tenth = if quick { 10 } else { 1 };
    false_table(FALSE_RUNS / tenth);
    long_run(tenth);
    delay_table(2_000 / tenth);
    latency_table(2_000 / tenth);
    wander_table(FALSE_RUNS / tenth);
}

fn false_table(runs: u32) {
    println!("\n## False aborts, per cent of {runs} runs of 600 s; limit 1 %; ours (the page's)\n");
    for (observed, pick) in [(20, 0), (100, 1)] {
        let names: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).collect();
        println!("| rule, {observed} requests a second | {} |", names.join(" | "));
        println!("| --- | --- | --- | --- | --- | --- |");
        for row in FALSE_ABORTS {
            let theirs = if pick == 0 { row.at_20 } else { row.at_100 };
            let cells: Vec<String> = COLUMNS
                .iter()
                .zip(theirs)
                .map(|((_, noise), theirs)| {
                    let fired = false_aborts(*noise, observed, runs, row.make);
                    format!("{:.1} ({theirs})", 100.0 * f64::from(fired) / f64::from(runs))
                })
                .collect();
            println!("| {} | {} |", row.rule, cells.join(" | "));
        }
        println!();
    }
}

/// Ten-minute windows one after the other, each armed afresh, as the page's long run is.
fn long_run(tenth: u32) {
    println!("## The default for a long time; ours (the page's)\n");
    println!("| requests a second | errors | hours | false aborts |");
    println!("| --- | --- | --- | --- |");
    for (observed, share, hours, theirs) in LONG_RUN {
        let windows = hours * 6 / tenth;
        let fired = false_aborts(Noise::Independent(*share), *observed, windows, || {
            Default::every(SECOND)
        });
        println!(
            "| {observed} | {} % | {} ({hours}) | {fired} ({theirs}) |",
            share * 100.0,
            windows / 6
        );
    }
    println!();
}

fn delay_table(runs: u32) {
    println!("## Seconds from an error step to the abort, median/95th, {runs} runs; ours (the page's)\n");
    println!("| rule | requests a sample | 0.1 -> 2 % | -> 5 % | -> 20 % | -> 100 % |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for row in DELAYS {
        let second = row.per_second as u32;
        let cells: Vec<String> = STEPS
            .iter()
            .zip(row.delays)
            .map(|(after, (median, most))| {
                let step = Step {
                    observed: row.observed,
                    clean: row.clean * second,
                    before: 0.001,
                    after: *after,
                    most: RUN * second,
                };
                let all = delays(step, runs, row.make);
                let ours = |share| seconds(quantile(&all, share).map(|n| f64::from(n) / row.per_second));
                format!(
                    "{}/{} ({}/{})",
                    ours(0.5),
                    ours(0.95),
                    seconds(median),
                    seconds(most)
                )
            })
            .collect();
        println!("| {} | {} | {} |", row.rule, row.observed, cells.join(" | "));
    }
    println!();
}

fn seconds(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value}"))
}

fn latency_table(runs: u32) {
    println!(
        "## Seconds from a rise of all latencies to the abort, batch-robust, median; ours (the page's)\n"
    );
    println!("| L / p99 | requests a second | rise | median |");
    println!("| --- | --- | --- | --- |");
    for (tolerance, observed, factor, theirs) in LATENCY {
        let step = Step {
            observed: *observed,
            clean: 60,
            before: slow_share(*tolerance, 1.0, 0.0),
            after: slow_share(*tolerance, *factor, 0.0),
            most: RUN,
        };
        let all = delays(step, runs, || Robust::every(SECOND));
        println!(
            "| {tolerance} | {observed} | x{factor} | {} ({theirs}) |",
            seconds(quantile(&all, 0.5).map(f64::from))
        );
    }
    println!();
}

fn wander_table(runs: u32) {
    println!(
        "## False aborts when all latencies wander slowly, batch-robust, per cent of {runs} runs; ours (the page's)\n"
    );
    println!("| L / p99 | requests a second | standard deviation | false aborts |");
    println!("| --- | --- | --- | --- |");
    for (tolerance, observed, deviation, theirs) in WANDER {
        let fires = |seed: u32| {
            let (mut dice, mut rule) = (Dice::new(u64::from(seed)), Robust::every(SECOND));
            let mut wander = deviation * dice.normal();
            (0..RUN).any(|_| {
                // φ = 0.95, scaled so that the deviation stays what it is.
                wander = 0.95 * wander + deviation * (1.0_f64 - 0.95 * 0.95).sqrt() * dice.normal();
                rule.take(
                    *observed,
                    dice.binomial(*observed, slow_share(*tolerance, 1.0, wander)),
                )
            })
        };
        let fired: u32 = in_parallel(runs, |seed| u32::from(fires(seed))).iter().sum();
        println!(
            "| {tolerance} | {observed} | {:.0} % | {:.2} ({theirs}) |",
            deviation * 100.0,
            100.0 * f64::from(fired) / f64::from(runs)
        );
    }
    println!();
}
