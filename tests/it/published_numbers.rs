//! A short part of the simulation behind the published numbers, held to them as tightly as its runs allow.

#[path = "../../benches/statistics/mod.rs"]
mod statistics;

use heartbreak::engine::steady_state::monitor::Monitor;
use heartbreak::model::experiment::{AbortCause, Reading, Sample};
use statistics::dice::Dice;
use statistics::page::{COLUMNS, DELAYS, FALSE_ABORTS, FALSE_RUNS, STEPS};
use statistics::rules::{Default, Rule};
use statistics::{Noise, RUN, Step, Stream, delays, false_aborts, quantile};
use std::time::Duration;

/// How many runs of ours may fire when the page says `percent`: four standard deviations of the difference of two
/// simulations, ours with `runs` and the page's with its own; the page's rounding, and one run, on top.
fn allowed(percent: f64, runs: u32) -> (f64, f64) {
    let p = (percent / 100.0).clamp(1e-4, 1.0 - 1e-4);
    let n = f64::from(runs);
    let deviation = (p * (1.0 - p) * (1.0 / n + 1.0 / f64::from(FALSE_RUNS))).sqrt();
    let rounding = if percent >= 3.0 { 0.005 } else { 0.0005 };
    let slack = 4.0 * deviation + rounding + 1.0 / n;
    ((p - slack) * n, (p + slack) * n)
}

#[test]
fn false_aborts_are_as_rare_as_published() {
    const RUNS: u32 = 100;
    let mut wrong = vec![];
    let ours = [
        "3 consecutive",
        "30 s window > 1 %",
        "total bad samples > 3 (Argo)",
        "default (robust + hard line)",
    ];
    for row in FALSE_ABORTS.iter().filter(|row| ours.contains(&row.rule)) {
        for (observed, theirs) in [(20, row.at_20), (100, row.at_100)] {
            for ((name, noise), percent) in COLUMNS.iter().zip(theirs) {
                let fired = f64::from(false_aborts(*noise, observed, RUNS, row.make));
                let (low, high) = allowed(percent, RUNS);
                if !(low..=high).contains(&fired) {
                    wrong.push(format!(
                        "{} at {observed}/s, {name}: {fired} of {RUNS}, {low:.1} to {high:.1} allowed by {percent} %",
                        row.rule
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_default_aborts_as_fast_as_published() {
    const RUNS: u32 = 200;
    let mut wrong = vec![];
    for row in DELAYS
        .iter()
        .filter(|row| row.rule.starts_with("default") && row.observed <= 100)
    {
        for (after, (median, _)) in STEPS.iter().zip(row.delays) {
            let second = row.per_second as u32;
            let step = Step {
                observed: row.observed,
                clean: row.clean * second,
                before: 0.001,
                after: *after,
                most: RUN * second,
            };
            let all = delays(step, RUNS, row.make);
            assert!(
                all.len() as u32 > RUNS * 9 / 10,
                "most runs see no alarm before the step"
            );
            let ours = quantile(&all, 0.5).map(|n| f64::from(n) / row.per_second);
            // The median of 200 is within a fifth of the page's, or one sample.
            let fits = match (ours, median) {
                (Some(ours), Some(theirs)) => {
                    (ours - theirs).abs() <= (0.2 * theirs).max(1.0 / row.per_second)
                }
                (None, None) => true,
                _ => false,
            };
            if !fits {
                wrong.push(format!(
                    "{} at {}: -> {after}: {ours:?}, {median:?}",
                    row.rule, row.observed
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The simulation runs the parts; the operator runs the monitor. Both must fire at the same sample for the same reason.
#[test]
fn the_monitor_fires_exactly_where_the_simulated_rule_does() {
    let policy = std::fs::read_to_string(
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/examples/2-approved-kill.yaml"),
    )
    .unwrap();
    let file = std::path::Path::new("example.yaml");
    let policy = heartbreak::policy::load::parse_policy(file, policy.as_bytes()).unwrap();
    let mut hypothesis = policy.hypothesis;
    hypothesis.budget = None;
    hypothesis
        .probes
        .retain(|probe| probe.role == heartbreak::model::experiment::Role::Abort);
    hypothesis.probes.truncate(1);
    let probe = &mut hypothesis.probes[0];
    (probe.max, probe.hard, probe.dip) = (
        heartbreak::model::experiment::Share::percent(1),
        heartbreak::model::experiment::Share::percent(50),
        None,
    );
    hypothesis.alpha = heartbreak::model::experiment::Share::percent(1);
    hypothesis.interval = Duration::from_secs(1);
    let name = hypothesis.probes[0].name.clone();
    let start = chrono::DateTime::from_timestamp(1_790_000_000, 0).unwrap();
    let mut fired = (0, 0);
    for seed in 0..60_u64 {
        let share = [0.001, 0.02, 0.2, 1.0][seed as usize % 4];
        let mut dice = Dice::new(seed);
        let mut stream = Stream::new(Noise::Independent(share), 20);
        let mut rule = Default::every(Duration::from_secs(1));
        let mut monitor = Monitor::new(&hypothesis, Duration::from_secs(600));
        monitor.arm(start);
        for second in 0..RUN {
            let bad = stream.next(&mut dice);
            let sample = Sample {
                at: start + chrono::TimeDelta::seconds(i64::from(second)),
                probe: name.clone(),
                reading: Reading::Seen {
                    observed: 20,
                    bad,
                    slowest_ms: None,
                    detail: None,
                },
            };
            let cause = monitor.take(&sample);
            assert_eq!(
                cause.is_some(),
                rule.take(20, bad),
                "seed {seed}, second {second}"
            );
            match cause {
                Some(AbortCause::Hard { .. }) => fired.1 += 1,
                Some(_) => fired.0 += 1,
                None => continue,
            }
            break;
        }
    }
    assert!(fired.0 >= 25 && fired.1 >= 14, "{fired:?}");
}

#[test]
fn verdicts_fall_as_often_as_published() {
    use statistics::verdicts::{DIFFERENCES, TABLE, verdicts};
    const RUNS: u32 = 300;
    let mut wrong = vec![];
    // A thousand requests a second take longest and decide most clearly: the benchmark has them.
    for row in TABLE.iter().filter(|row| row.per_second <= 100) {
        for (difference, theirs) in DIFFERENCES.iter().zip(row.says) {
            let ours = verdicts(row.seconds, row.per_second, *difference, RUNS);
            for (ours, theirs) in ours.iter().zip(theirs) {
                // Three points, and three standard deviations of both simulations; the page's had about 300 runs a cell.
                let p = (theirs / 100.0).clamp(0.005, 0.995);
                let deviation = (p * (1.0 - p) * 2.0 / f64::from(RUNS)).sqrt() * 100.0;
                if (ours - theirs).abs() > 3.0 + 3.0 * deviation {
                    wrong.push(format!(
                        "{} s x {}/s, +{difference}: {ours:.1} %, published {theirs} %",
                        row.seconds, row.per_second
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The judge that the verdicts stand beside is as blind as published: at 20 requests a second two points more pass.
#[test]
fn the_other_judge_passes_as_often_as_published() {
    use statistics::kayenta::passes;
    use statistics::verdicts::{DIFFERENCES, TABLE, passing};
    assert!(passes(&[0, 1, 2], &[2, 0, 1]), "identical data pass");
    assert!(passes(&[1; 50], &[2; 50]), "fewer errors are no increase");
    assert!(!passes(&[5; 50], &[1; 50]));
    const RUNS: u32 = 40;
    for row in TABLE.iter().filter(|row| row.per_second == 20) {
        for (difference, theirs) in DIFFERENCES.iter().zip(row.passes) {
            let ours = passing(row.seconds, row.per_second, *difference, RUNS);
            // Four standard deviations of ours and of some 300 runs of the page's; two runs where all pass or none.
            let p = theirs / 100.0;
            let deviation = (p * (1.0 - p) * (1.0 / f64::from(RUNS) + 1.0 / 300.0)).sqrt() * 100.0;
            assert!(
                (ours - theirs).abs() <= (4.0 * deviation).max(5.0),
                "{} s x {}/s, +{difference}: {ours:.0} % pass, published {theirs} %",
                row.seconds,
                row.per_second
            );
        }
    }
}
