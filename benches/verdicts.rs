//! The published table of verdicts, computed again with the real intervals: `cargo bench --bench verdicts`, with
//! `-- --quick` for a tenth of the runs. Ours stands beside the design page's.

mod statistics;

use statistics::verdicts::{DIFFERENCES, TABLE, verdicts};

fn main() {
    let runs = if std::env::args().any(|arg| arg == "--quick") {
        200
    } else {
        2_000
    };
    println!("Held/disproved/inconclusive, per cent of {runs} runs; margin 1 point; ours (the page's)\n");
    println!("| per group | +0 | +0.5 | +1 (margin) | +2 | +5 |");
    println!("| --- | --- | --- | --- | --- | --- |");
    let mut farthest: f64 = 0.0;
    for row in TABLE {
        let cells: Vec<String> = DIFFERENCES
            .iter()
            .zip(row.says)
            .map(|(difference, theirs)| {
                let ours = verdicts(row.seconds, row.per_second, *difference, runs);
                farthest = ours
                    .iter()
                    .zip(theirs)
                    .map(|(ours, theirs)| (ours - theirs).abs())
                    .fold(farthest, f64::max);
                let say =
                    |[held, disproved, neither]: [f64; 3]| format!("{held:.0}/{disproved:.0}/{neither:.0}");
                format!("{} ({})", say(ours), say(theirs))
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
        "\nFarthest from the page: {farthest:.1} points. The page's own runs were 120 to 600 a cell: 2 to 4 points."
    );
}
