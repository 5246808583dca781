//! The published tables of verdicts, computed again with the real intervals: `cargo bench --bench verdicts`, with
//! `-- --quick` for a tenth of the runs. Ours stands beside the design page's.

mod statistics;

use statistics::latency_verdicts::{self, FACTORS, latency_verdicts};
use statistics::shams::{BACKGROUNDS, EFFECTS, shams};
use statistics::verdicts::{DIFFERENCES, TABLE, passing, verdicts};

fn main() {
    let tenth = if std::env::args().any(|arg| arg == "--quick") {
        10
    } else {
        1
    };
    error_table(2_000 / tenth, 400 / tenth);
    latency_table(100 / tenth);
    sham_table(2_000 / tenth);
}

fn error_table(runs: u32, judged: u32) {
    println!(
        "Held/disproved/inconclusive, per cent of {runs} runs; margin 1 point; K: pass Kayenta's judge, per cent of {judged} runs; ours (the page's)\n"
    );
    println!("| per group | +0 | +0.5 | +1 (margin) | +2 | +5 |");
    println!("| --- | --- | --- | --- | --- | --- |");
    let mut farthest: f64 = 0.0;
    for row in TABLE {
        let cells: Vec<String> = DIFFERENCES
            .iter()
            .zip(row.says.iter().zip(row.passes))
            .map(|(difference, (theirs, passes))| {
                let ours = verdicts(row.seconds, row.per_second, *difference, runs);
                farthest = ours
                    .iter()
                    .zip(theirs)
                    .map(|(ours, theirs)| (ours - theirs).abs())
                    .fold(farthest, f64::max);
                let judge = passing(row.seconds, row.per_second, *difference, judged);
                format!("{} ({}) K {judge:.0} ({passes})", say(ours), say(*theirs))
            })
            .collect();
        println!(
            "| {} s x {}/s | {} |",
            row.seconds,
            row.per_second,
            cells.join(" | ")
        );
    }
    println!(
        "\nFarthest from the page, without K: {farthest:.1} points. The page's own runs were 120 to 600 a cell: 2 to 4 points."
    );
}

fn latency_table(runs: u32) {
    println!(
        "\nThe slow end, held/disproved/inconclusive, per cent of {runs} runs; margin x{}; ours (the page's)\n",
        latency_verdicts::MARGIN
    );
    println!("| compared | per group | blocks | x1 | x1.25 (margin) | x1.5 | x2 |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for row in latency_verdicts::TABLE {
        let cells: Vec<String> = FACTORS
            .iter()
            .zip(row.says)
            .map(|(factor, theirs)| format!("{} ({theirs})", say(latency_verdicts(row, *factor, runs))))
            .collect();
        println!(
            "| {:?} | {} s x {}/s | {} | {} |",
            row.groups,
            row.seconds,
            row.per_second,
            row.blocks,
            cells.join(" | ")
        );
    }
}

fn sham_table(runs: u32) {
    println!(
        "\nFour pairs of a kill and a sham: held/disproved/difference found, per cent of {runs} runs; margin half a point; ours (the page's)\n"
    );
    let names: Vec<&str> = BACKGROUNDS.iter().map(|(name, _)| *name).collect();
    println!("| after a kill | {} | the page |", names.join(" | "));
    println!("| --- | --- | --- | --- | --- | --- |");
    for (effect, share, lasts, theirs) in EFFECTS {
        let cells = BACKGROUNDS.map(|(_, background)| say(shams(background, share, lasts, runs)));
        println!("| {effect} | {} | {theirs} |", cells.join(" | "));
    }
}

fn say([held, disproved, neither]: [f64; 3]) -> String {
    format!("{held:.0}/{disproved:.0}/{neither:.0}")
}
