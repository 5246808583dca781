//! The published numbers of the abort rule, computed again: `cargo bench --bench false_aborts`, with `-- --quick` for a
//! tenth of the runs. Ours stands beside the design page's, which is data here (`statistics/page.rs`).
//!
//! Seeds are fixed, so every run of it prints the same numbers, on any number of cores.

mod statistics;

use statistics::dice::Dice;
use statistics::latency::{Latencies, Wander, Watch};
use statistics::page::{
    BLIND, COLUMNS, DEFAULT_LATENCY, DEFAULT_TOLERANCE, DELAYS, DIPS, FALSE_ABORTS, FALSE_RUNS, LATENCY,
    LONG_RUN, ONCE, RELATIVE, RISES, SLOWED, STEPS, TOGETHER, TRAFFIC, WANDER, WORSE,
};
use statistics::rules::{Default, Robust, Rule};
use statistics::watched::Watched;
use statistics::{Noise, RUN, Step, delays, delays_of, false_aborts, firing, in_parallel, quantile};
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
    dip_table(2_000 / tenth);
    blind_table(500 / tenth);
    control_table(300 / tenth);
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

fn dip_table(runs: u32) {
    println!("## A declared dip of 25 % for 5 s, {runs} runs; ours (the page's)\n");
    println!("| after a kill | runs that abort, median second of the abort |");
    println!("| --- | --- |");
    for (share, lasts, theirs) in DIPS {
        let all = delays_of((0, 60), runs, || {
            let (mut watched, mut second) = (Watched::dip(25, 5), 0);
            move |dice: &mut Dice, _| {
                second += 1;
                watched.second(dice, if second <= *lasts { *share } else { 0.001 }, 0.001)
            }
        });
        let fired: Vec<u32> = all.iter().copied().filter(|at| *at != u32::MAX).collect();
        println!(
            "| {} % bad for {lasts} s | {:.1} %, {} s ({theirs}) |",
            share * 100.0,
            100.0 * fired.len() as f64 / f64::from(runs),
            seconds(quantile(&fired, 0.5).map(f64::from))
        );
    }
    println!();
}

fn blind_table(hours: u32) {
    println!("## Missed samples; ours (the page's)\n");
    println!("| in a row that abort | chance of a miss | aborts an hour, in {hours} hours |");
    println!("| --- | --- | --- |");
    for (missed, chance, theirs) in BLIND {
        let aborts: u32 = in_parallel(hours, |seed| {
            let (mut dice, mut watched) = (Dice::new(u64::from(seed)), Watched::blind_after(*missed));
            (0..3_600)
                .map(|_| {
                    let aborts = if dice.share() < *chance {
                        watched.missed()
                    } else {
                        watched.fine()
                    };
                    if aborts {
                        watched = Watched::blind_after(*missed);
                    }
                    u32::from(aborts)
                })
                .sum::<u32>()
        })
        .iter()
        .sum();
        println!(
            "| {missed} | {} % | {:.4} ({theirs}) |",
            chance * 100.0,
            f64::from(aborts) / f64::from(hours)
        );
    }
    println!("\n| chance of a miss | seconds from 0.1 -> 5 % to the abort, median |");
    println!("| --- | --- |");
    for (chance, theirs) in SLOWED {
        let all = delays_of((60, RUN), hours, || {
            let mut rule = Robust::every(SECOND);
            move |dice: &mut Dice, after: bool| {
                let bad = dice.binomial(100, if after { 0.05 } else { 0.001 });
                dice.share() >= *chance && rule.take(100, bad)
            }
        });
        println!(
            "| {} % | {} ({theirs}) |",
            chance * 100.0,
            seconds(quantile(&all, 0.5).map(f64::from))
        );
    }
    println!();
}

fn control_table(runs: u32) {
    println!("## Beside a control group, 0.1 -> 2, 5, 20 %, {runs} runs; ours (the page's)\n");
    println!("| | both step: fires, per cent of runs | only the experiment steps: seconds, median |");
    println!("| --- | --- | --- |");
    for (window, together, alone) in RELATIVE {
        control_row(
            &format!("limit follows twice the control's last {window} s"),
            runs,
            (together, alone),
            || {
                let mut watched = Watched::relative(*window);
                move |dice: &mut Dice, experiment, control| watched.second(dice, experiment, control)
            },
        );
    }
    control_row("gauge: the experiment is worse", runs, WORSE, || {
        let mut watched = Watched::absolute();
        move |dice: &mut Dice, experiment, control| {
            watched.second(dice, experiment, control);
            watched.is_worse()
        }
    });
    println!();
}

fn control_row<F: FnMut(&mut Dice, f64, f64) -> bool>(
    what: &str,
    runs: u32,
    (together, alone): (&str, &str),
    begin: impl Fn() -> F + Sync,
) {
    let ours = |both: bool| {
        TOGETHER
            .map(|after| {
                let all = delays_of((60, RUN), runs, || {
                    let mut second = begin();
                    move |dice: &mut Dice, stepped: bool| {
                        let share = |steps: bool| if stepped && steps { after } else { 0.001 };
                        second(dice, share(true), share(both))
                    }
                });
                let fired = all.iter().filter(|at| **at != u32::MAX).count();
                if both {
                    format!("{:.1}", 100.0 * fired as f64 / all.len() as f64)
                } else {
                    seconds(quantile(&all, 0.5).map(f64::from))
                }
            })
            .join(", ")
    };
    println!(
        "| {what} | {} ({together}) | {} ({alone}) |",
        ours(true),
        ours(false)
    );
}
