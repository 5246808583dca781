use super::*;
use crate::engine::steady_state::monitor::{BaselineState, Monitor};
use crate::engine::steady_state::testing::*;
use crate::model::experiment::{Graphite, Http};

/// One abort probe `edge` that follows the baseline's 99th percentile by one and a half.
fn timed() -> Hypothesis {
    let mut h = hypothesis();
    let Source::Http(http) = &mut h.probes[0].source else {
        unreachable!()
    };
    http.slower_than_baseline_percent = Some(150);
    h
}

/// A probe `orders` that may not leave the baseline's mean by this.
fn valued(percent: i32) -> Hypothesis {
    let mut h = hypothesis();
    let source = Source::Graphite(Graphite {
        url: "http://g".into(),
        target: "x".into(),
    });
    h.probes.push(ProbeSpec {
        value: Some(ValueRule::BaselinePercent(percent)),
        ..ProbeSpec::new("orders", Role::Verdict, source)
    });
    h
}

fn waiting(probe: &str, second: f64, times_ms: &[u32], value: Option<f64>) -> Sample {
    let observed = u32::try_from(times_ms.len().max(1)).unwrap();
    Sample {
        reading: Reading::Seen {
            observed,
            bad: 0,
            slowest_ms: None,
            detail: Some(Box::new(Detail {
                pending: true,
                times_us: times_ms.iter().map(|ms| ms * 1000).collect(),
                value,
                ..Detail::default()
            })),
        },
        ..seen(probe, second, 0, observed)
    }
}

fn bad(sample: &Sample) -> u32 {
    match sample.reading {
        Reading::Seen { bad, .. } => bad,
        Reading::Blind { .. } => panic!("blind"),
    }
}

/// Twenty requests of 10 to 29 ms.
fn twenty() -> Vec<u32> {
    (10..30).collect()
}

#[test]
fn answers_are_judged_by_the_99th_percentile_from_the_first_kill_on() {
    let mut m = Monitor::new(&timed(), Duration::from_secs(600));
    for second in 0..60 {
        m.take(&waiting("edge", f64::from(second), &twenty(), None));
    }
    let BaselineState::Steady { why } = m.baseline(at(60.0)) else {
        panic!("{:?}", m.baseline(at(60.0)));
    };
    assert!(
        why.contains("edge: slower than 43.5 ms is bad, 1.5 × the 99th percentile of 1200 requests"),
        "{why}"
    );
    let slow = waiting("edge", 61.0, &[43, 44, 44, 10], None);
    assert_eq!(bad(&m.judged(&slow)), 0, "the line is not fixed yet");
    m.arm(at(60.5));
    assert_eq!(bad(&m.judged(&slow)), 2);
    let twice = m.judged(&m.judged(&slow));
    assert_eq!(bad(&twice), 2, "judged once");
    assert_eq!(
        twice.reading.detail().unwrap().times_us.len(),
        4,
        "the verdict needs the times"
    );
    let cause = (61..80).find_map(|s| m.take(&waiting("edge", f64::from(s), &[99; 20], None)));
    assert_eq!(cause.unwrap().word(), "hard");
}

#[test]
fn what_comes_after_the_first_kill_does_not_move_the_line() {
    let mut lines = Lines::new(&timed());
    for _ in 0..50 {
        lines.collect(&waiting("edge", 0.0, &twenty(), None));
    }
    lines.fix();
    let before = lines.in_words();
    for _ in 0..500 {
        lines.collect(&waiting("edge", 1.0, &[500; 20], None));
    }
    lines.fix();
    assert_eq!(lines.in_words(), before);
}

#[test]
fn a_99th_percentile_needs_a_thousand_requests() {
    let mut m = Monitor::new(&timed(), Duration::from_secs(600));
    for second in 0..61 {
        m.take(&waiting("edge", f64::from(second), &[10; 16], None));
    }
    let BaselineState::Measuring { why } = m.baseline(at(61.0)) else {
        panic!("{:?}", m.baseline(at(61.0)));
    };
    assert_eq!(
        why,
        "probe edge: 976 of the 1000 good requests that a 99th percentile needs"
    );
    assert!(matches!(m.baseline(at(601.0)), BaselineState::NotSteady { .. }));
}

#[test]
fn a_line_beyond_the_timeout_is_none() {
    let mut lines = Lines::new(&timed());
    for _ in 0..50 {
        lines.collect(&waiting("edge", 0.0, &[700; 20], None));
    }
    let why = lines.missing().unwrap();
    assert!(
        why.contains("would be at 1050 ms, not below the timeout of 800 ms"),
        "{why}"
    );
}

#[test]
fn values_are_judged_by_the_mean_in_the_direction_that_was_written() {
    for (percent, value, expected) in [
        (25, 12.6, 1),
        (25, 12.4, 0),
        (25, 1.0, 0),
        (-10, 8.9, 1),
        (-10, 9.1, 0),
        (-10, 90.0, 0),
    ] {
        let mut lines = Lines::new(&valued(percent));
        for n in 0..40 {
            let value = if n % 2 == 0 { 9.5 } else { 10.5 };
            lines.collect(&waiting("orders", f64::from(n), &[], Some(value)));
        }
        assert_eq!(lines.missing(), None);
        lines.fix();
        let judged = lines
            .judged(&waiting("orders", 99.0, &[], Some(value)))
            .into_owned();
        assert_eq!(bad(&judged), expected, "{percent} {value}");
        assert_eq!(
            judged.reading.detail().unwrap().value,
            Some(value),
            "the number stays"
        );
    }
}

#[test]
fn a_baseline_that_can_draw_no_line_is_not_enough() {
    let of = |values: &mut dyn Iterator<Item = f64>| {
        let mut lines = Lines::new(&valued(25));
        values.for_each(|v| lines.collect(&waiting("orders", 0.0, &[], Some(v))));
        lines.missing().unwrap_or_default()
    };
    assert!(of(&mut (0..29).map(f64::from)).contains("29 of the 30 samples"));
    assert!(of(&mut std::iter::repeat_n(0.0, 40)).contains("a percentage of it says nothing"));
    let why = of(&mut (0..40).map(|n| if n % 4 == 0 { 40.0 } else { 1.0 }));
    assert!(
        why.contains("25 % of the baseline is beyond its own line"),
        "{why}"
    );
}

#[test]
fn a_run_does_not_wait_for_a_probe_that_only_observes() {
    let mut h = valued(25);
    assert!(Lines::new(&h).missing().is_some());
    h.probes[1].role = Role::Observe;
    assert_eq!(Lines::new(&h).missing(), None);
}

#[test]
fn the_verdict_compares_before_and_after_by_the_same_line() {
    let h = timed();
    let mut samples: Vec<Sample> = (0..60)
        .map(|s| {
            let mut times = twenty();
            times[0] = if s == 7 { 200 } else { 10 };
            waiting("edge", f64::from(s), &times, None)
        })
        .collect();
    let mut lines = Lines::new(&h);
    samples.iter().for_each(|s| lines.collect(s));
    lines.fix();
    samples.push(lines.judged(&waiting("edge", 61.0, &[44; 20], None)).into_owned());
    let judged = judged_all(&h, &samples);
    assert_eq!(bad(&judged[7]), 1, "the one slow answer of the baseline");
    assert_eq!(judged.iter().map(bad).sum::<u32>(), 21);
    assert!(judged.iter().all(|s| !s.reading.detail().unwrap().pending));
    let fixed = ProbeSpec::new("edge", Role::Abort, Source::Http(Http::default()));
    let plain = Hypothesis {
        probes: vec![fixed],
        ..hypothesis()
    };
    assert!(matches!(judged_all(&plain, &samples), Cow::Borrowed(_)));
}
