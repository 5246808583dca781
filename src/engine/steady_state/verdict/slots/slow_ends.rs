//! Verdicts about how long the slowest answers took.

use super::two_apps::beside;
use super::*;
use crate::engine::steady_state::monitor::Monitor;
use crate::model::experiment::{Detail, Http, Reading, Source};

/// Fifty answers of one second, as the HTTP probe tells of them: log-normal, median 20 ms and 99th percentile
/// 200 ms, times `factor`.
fn answers(dice: &mut Dice, second: f64, factor: f64, http: &Http) -> Sample {
    let times_us: Vec<u32> = (0..50)
        .map(|_| {
            // Box and Muller.
            let (u, v) = (dice.share().max(1e-12), dice.share());
            let normal = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
            (20_000.0 * factor * (normal * 10_f64.ln() / 2.326).exp()) as u32
        })
        .collect();
    let line = http.slower_than.map_or(u128::MAX, |line| line.as_micros());
    let bad = times_us.iter().filter(|us| u128::from(**us) > line).count();
    Sample {
        reading: Reading::Seen {
            observed: 50,
            bad: bad as u32,
            slowest_ms: None,
            detail: Some(Box::new(Detail {
                pending: http.slower_than_baseline_percent.is_some(),
                times_us,
                ..Detail::default()
            })),
        },
        ..seen("edge", second, 0, 50)
    }
}

/// A run whose answers take `factor` times as long after kills, watched as it happens: what the monitor hands on
/// is what is kept, and what is kept is what is judged.
fn watched(order: &str, factor: f64, http: &Http) -> Run {
    Run::new(order).with(|run| {
        let edge = &mut run.plan.hypothesis.probes[0];
        edge.source = Source::Http(http.clone());
        // Some more slow answers are tolerated, their slow end is not.
        edge.max = crate::model::experiment::Share::percent(5);
        let hypothesis = run.plan.hypothesis.clone();
        let mut monitor = Monitor::new(&hypothesis, Duration::from_secs(1_800));
        let mut dice = Dice(11);
        let mut kept = vec![];
        for second in 0..run.ended as i32 {
            let now = f64::from(second);
            for intent in run.intents.iter().filter(|i| i.at == at(now)) {
                monitor.arm(intent.at);
            }
            let kills = run.intents.iter().filter(|i| !i.sham);
            let hit = kills
                .map(|i| (i.at - at(0.0)).as_seconds_f64())
                .any(|from| (from..from + 60.0).contains(&now));
            let sample = answers(&mut dice, now, if hit { factor } else { 1.0 }, http);
            assert_eq!(monitor.take(&sample), None, "nothing to abort for");
            kept.push(monitor.judged(&sample));
        }
        run.samples = crate::engine::steady_state::lines::judged_all(&hypothesis, &kept).into_owned();
    })
}

/// Both ways in which a policy can draw a line for slow answers.
fn lines() -> [Http; 2] {
    let http = Http {
        requests: 50,
        ..Http::default()
    };
    [
        Http {
            slower_than: Some(Duration::from_millis(300)),
            ..http.clone()
        },
        Http {
            slower_than_baseline_percent: Some(150),
            ..http
        },
    ]
}

#[test]
fn a_run_that_takes_the_time_of_answers_holds_when_kills_make_none_slower() {
    for http in lines() {
        let found = watched(ORDER, 1.0, &http).check(Completed, Held, "no difference");
        let latency = found.differences[0].latency.expect("it was compared");
        assert_eq!(latency.says, Held, "{latency:?}");
        assert_eq!(
            (latency.experiment_answers, latency.control_answers),
            (15_000, 15_000)
        );
        assert!(
            found.sentence.contains(" Slowest 1 % of answers (edge): from "),
            "{}",
            found.sentence
        );
        assert!(
            found.sentence.contains("times as long, 95 % sure it is below 1."),
            "{}",
            found.sentence
        );
    }
}

#[test]
fn slower_answers_after_kills_disprove_even_where_few_are_too_slow() {
    for http in lines() {
        let found = watched(ORDER, 2.0, &http).check(
            Completed,
            Disproved,
            "yes (probe edge is slower after a kill: its slowest 1 % take at least 1.",
        );
        let edge = &found.differences[0];
        let latency = edge.latency.expect("it was compared");
        assert!(edge.high < edge.margin, "the share alone tolerates it: {edge:?}");
        assert!(
            (latency.ratio - 2.0).abs() < 0.2 && latency.low > 1.5,
            "{latency:?}"
        );
        assert!(found.sentence.contains("(tolerated: 1.5)."), "{}", found.sentence);
    }
}

#[test]
fn at_the_margin_the_slow_end_keeps_a_run_from_being_held() {
    let found = watched(ORDER, 1.5, &lines()[0]).check(
        Completed,
        Inconclusive,
        "not known (probe edge saw too little of its slow end: its slowest 1 % may take 1.",
    );
    assert_eq!(found.differences[0].latency.unwrap().says, Inconclusive);
}

#[test]
fn one_kill_a_day_compares_the_slow_ends_of_all_its_days() {
    let day = watched("sK", 2.0, &lines()[0]);
    let pair = day.verdict().differences[0].pairs[0].clone();
    assert_eq!(day.verdict().differences[0].latency, None, "one pair is too few");
    let unsaid = "how long its slowest answers took was not compared";
    assert!(
        day.verdict().limits.iter().any(|l| l.contains(unsaid)),
        "{:?}",
        day.verdict().limits
    );
    let on = day.with(|run| {
        run.earlier = (1..=4)
            .map(|day| {
                // As the journal gives it back.
                let kept = serde_json::to_string(&pair).unwrap();
                let pair: Pair = serde_json::from_str(&kept).unwrap();
                let run = format!("r-day{day}").as_str().into();
                ("edge".into(), Pair { run, ..pair })
            })
            .collect();
    });
    let found = on.check(Completed, Disproved, "yes (probe edge is slower after a kill");
    assert_eq!(found.differences[0].latency.unwrap().experiment_answers, 15_000);
    assert!(found.limits.iter().all(|l| !l.contains(unsaid)));
}

/// Two apps of which one is hit, or one app before and after: the answers of each take so many times as long from the
/// first kill on.
fn sides(control: Control, hit: f64, alone: f64) -> Run {
    beside(control).with(|run| {
        let http = lines()[0].clone();
        let mut dice = Dice(5);
        run.samples.clear();
        for probe in &mut run.plan.hypothesis.probes {
            probe.source = Source::Http(http.clone());
            probe.max = crate::model::experiment::Share::percent(5);
            let factor = if probe.name == "edge".into() { hit } else { alone };
            for second in 0..run.ended as i32 {
                let second = f64::from(second);
                let factor = if second < FIRST { 1.0 } else { factor };
                run.samples.push(Sample {
                    probe: probe.name.clone(),
                    ..answers(&mut dice, second, factor, &http)
                });
            }
        }
        if run.plan.hypothesis.control.left_alone().is_none() {
            run.plan.hypothesis.probes.truncate(1);
        }
    })
}

fn reference() -> Control {
    Control::Reference {
        app: "/shop/pay".into(),
    }
}

#[test]
fn before_and_after_compares_slow_ends_and_a_reference_app_takes_away_what_both_felt() {
    let found = sides(Control::BeforeAfter, 1.0, 1.0).check(Completed, Held, "no difference");
    let latency = found.differences[0].latency.expect("it was compared");
    assert_eq!(
        (latency.experiment_answers, latency.control_answers),
        (18_000, 6_000)
    );
    sides(Control::BeforeAfter, 2.0, 1.0).check(
        Completed,
        Disproved,
        "probably, as far as before and after can tell (probe edge is slower after the kills: its slowest 1 % take at least",
    );
    sides(reference(), 2.0, 1.0).check(
        Completed,
        Disproved,
        "probably (probe edge is slower after the kills",
    );
    let both = sides(reference(), 2.0, 2.0).check(Completed, Held, "no difference");
    assert!(
        both.sentence
            .contains(" times as long, less what the reference app did meanwhile, 95 % sure it is below 1."),
        "{}",
        both.sentence
    );
    let latency = both.differences[0].latency.expect("it was compared");
    assert!(
        latency.experiment_p99_ms > 1.8 * latency.control_p99_ms,
        "{latency:?}"
    );
}

#[test]
fn too_little_time_before_the_first_kill_leaves_the_slow_end_uncompared_and_says_so() {
    let found = sides(Control::BeforeAfter, 1.0, 1.0)
        .with(|run| run.samples.retain(|s| s.at >= at(FIRST - 20.0)))
        .verdict();
    assert_eq!(found.differences[0].latency, None);
    let unsaid = "that needs 25 s before the first kill and after it, with a thousand answers on each side.";
    assert!(
        found.limits.iter().any(|l| l.ends_with(unsaid)),
        "{:?}",
        found.limits
    );
}

#[test]
fn what_a_policy_tolerates_of_the_slow_end_is_what_counts() {
    let declared = |percent: u32| {
        watched(ORDER, 1.5, &lines()[0]).with(|run| {
            run.plan.hypothesis.latency_margin_percent = Some(percent);
        })
    };
    let found = declared(125).check(Completed, Disproved, "yes (probe edge is slower after a kill");
    assert!(
        found.sentence.contains("(tolerated: 1.25)."),
        "{}",
        found.sentence
    );
    declared(200).check(Completed, Held, "no difference");
}

#[test]
fn slow_ends_and_shares_of_all_probes_have_one_error_among_them() {
    let run = watched(ORDER, 1.8, &lines()[0]);
    let alone = run.verdict().differences[0].latency.expect("it was compared");
    assert_eq!(alone.says, Disproved, "{alone:?}");
    // A margin that is just kept with one chance of error in twenty is not disproved among four comparisons.
    let hypothesis = run.plan.hypothesis.clone();
    let just = run.with(|run| {
        run.plan.hypothesis.latency_margin_percent = Some((alone.low * 100.0).floor() as u32);
    });
    let found = just.verdict().differences[0].latency.expect("it was compared");
    assert!(found.low > found.margin, "{found:?}");
    assert_eq!(found.says, Inconclusive, "{found:?}");
    assert_eq!(
        hypothesis.verdict_probes().count(),
        1,
        "its share and its slow end are two"
    );
}
