//! The published numbers of the abort rule, computed again: `cargo bench --bench false_aborts`, with `-- --quick` for a
//! tenth of the runs. Ours stands beside the design page's, which is data here (`statistics/page.rs`).
//!
//! Seeds are fixed, so every run of it prints the same numbers, on any number of cores.

mod statistics;

use statistics::dice::Dice;
use statistics::latency::{Latencies, Wander, Watch};
use statistics::page::{
    COLUMNS, DEFAULT_LATENCY, DEFAULT_TOLERANCE, DELAYS, FALSE_ABORTS, FALSE_RUNS, LATENCY, LONG_RUN, ONCE,
    RISES, STEPS, TRAFFIC, WANDER,
};
use statistics::rules::Default;
use statistics::{Noise, RUN, Step, delays, delays_of, false_aborts, firing, quantile};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let tenth = if quick { 10 } else { 1 };
    false_table(FALSE_RUNS / tenth);
    long_run(tenth);
    delay_table(2_000 / tenth);
    once_table(2_000 / tenth);
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

fn once_table(runs: u32) {
    println!("## Seconds to the abort in other worlds, median, {runs} runs; ours (the page's)\n");
    println!("| rule and step | median |");
    println!("| --- | --- |");
    for row in ONCE {
        let ours = quantile(&delays(row.step, runs, row.make), 0.5);
        let ours = ours.map_or_else(|| "never".to_owned(), |seconds| seconds.to_string());
        println!("| {} | {ours} ({}) |", row.what, row.says);
    }
    println!();
}

fn latency_table(runs: u32) {
    println!("## Latency, L / p99 = 1.25; at 20, 100 and 1,000 requests a second; ours (the page's)\n");
    let names: Vec<&str> = RISES.iter().map(|(name, _)| *name).collect();
    println!(
        "| rule | false aborts, per cent of {runs} runs | seconds to the abort, median, {} |",
        names.join(" | ")
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    for row in LATENCY {
        let fires = TRAFFIC.map(|observed| {
            let fired = firing(runs, || {
                let mut rule = (row.make)();
                move |dice: &mut Dice| rule.look(Latencies::USUAL, observed, dice)
            });
            format!("{:.1}", 100.0 * f64::from(fired) / f64::from(runs))
        });
        let cells: Vec<String> = RISES
            .iter()
            .zip(row.delays)
            .map(|((_, rise), theirs)| beside(medians(row.make, row.clean, *rise, runs), theirs))
            .collect();
        println!(
            "| {} | {} | {} |",
            row.rule,
            beside(fires, row.fires),
            cells.join(" | ")
        );
    }
    println!("\nThe same for batch-robust with the default, L / p99 = 1.5\n");
    println!("| rise | median |");
    println!("| --- | --- |");
    for (factor, theirs) in DEFAULT_LATENCY {
        let ours = medians(DEFAULT_TOLERANCE, 60, Latencies::all(*factor), runs);
        println!("| x{factor} | {} |", beside(ours, *theirs));
    }
    println!();
}

/// Median seconds to the abort, for each traffic.
fn medians(make: fn() -> Box<dyn Watch>, clean: u32, rise: Latencies, runs: u32) -> [String; 3] {
    TRAFFIC.map(|observed| {
        let all = delays_of((clean, RUN), runs, || {
            let mut rule = make();
            move |dice: &mut Dice, after: bool| {
                rule.look(if after { rise } else { Latencies::USUAL }, observed, dice)
            }
        });
        seconds(quantile(&all, 0.5).map(f64::from))
    })
}

/// `1, 2, 3 (1, 2, 4)`.
fn beside(ours: [String; 3], theirs: [f64; 3]) -> String {
    format!(
        "{} ({})",
        ours.join(", "),
        theirs.map(|x| x.to_string()).join(", ")
    )
}

fn wander_table(runs: u32) {
    println!(
        "## False aborts when all latencies wander slowly, per cent of {runs} runs; ours (the page's)\n"
    );
    println!("| rule | requests a second | standard deviation | false aborts |");
    println!("| --- | --- | --- | --- |");
    for row in WANDER {
        let fired = firing(runs, || {
            let (mut rule, mut wander) = ((row.make)(), Wander::new(row.deviation));
            move |dice: &mut Dice| {
                let now = wander.next(dice);
                rule.look(now, row.observed, dice)
            }
        });
        println!(
            "| {} | {} | {:.0} % | {:.2} ({}) |",
            row.rule,
            row.observed,
            row.deviation * 100.0,
            100.0 * f64::from(fired) / f64::from(runs),
            row.fires
        );
    }
    println!();
}
