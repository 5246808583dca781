use super::*;
use crate::engine::steady_state::testing::*;
use crate::model::experiment::{Dip, Role};

const WINDOW: Duration = Duration::from_secs(600);

fn monitor() -> Monitor {
    Monitor::new(&hypothesis(), WINDOW)
}

fn with(change: impl FnOnce(&mut Hypothesis)) -> Monitor {
    let mut h = hypothesis();
    change(&mut h);
    Monitor::new(&h, WINDOW)
}

/// Armed at 0 s.
fn armed(mut monitor: Monitor) -> Monitor {
    monitor.arm(at(0.0));
    monitor
}

/// The word of the first abort and the second in which it came.
fn first_abort(monitor: &mut Monitor, samples: impl IntoIterator<Item = Sample>) -> Option<(String, f64)> {
    samples.into_iter().find_map(|sample| {
        let cause = monitor.take(&sample)?;
        Some((
            cause.word().to_owned(),
            (sample.at - at(0.0)).num_milliseconds() as f64 / 1000.0,
        ))
    })
}

fn every_second(bad: u32, observed: u32) -> impl Iterator<Item = Sample> {
    (0..600).map(move |s| seen("edge", f64::from(s), bad, observed))
}

fn word(found: (&str, f64)) -> Option<(String, f64)> {
    Some((found.0.to_owned(), found.1))
}

#[test]
fn the_hard_line_comes_before_the_limit_and_the_limit_before_the_budget() {
    assert_eq!(
        first_abort(&mut armed(monitor()), every_second(100, 100)),
        word(("hard", 0.0))
    );
    // 20 % errors: the fifth sample, as published.
    assert_eq!(
        first_abort(&mut armed(monitor()), every_second(20, 100)),
        word(("limit", 4.0))
    );
    let budget = |allowed| armed(with(|h| h.budget = Some(allowed)));
    assert_eq!(
        first_abort(&mut budget(79), every_second(20, 100)),
        word(("budget", 3.0))
    );
    assert_eq!(
        first_abort(&mut budget(80), every_second(20, 100)),
        word(("limit", 4.0))
    );
    assert_eq!(
        first_abort(&mut budget(0), every_second(100, 100)),
        word(("hard", 0.0))
    );
}

#[test]
fn samples_in_a_row_above_the_limit_abort_where_a_policy_asks_for_it() {
    let five = || with(|h| h.probes[0].consecutive = Some(5));
    let row = |bad: &'static [u32]| {
        bad.iter()
            .zip(0..)
            .map(|(bad, s)| seen("edge", f64::from(s), *bad, 100))
    };
    // 2 % at a limit of 1 %: the detector takes 19 samples.
    assert_eq!(
        first_abort(&mut armed(monitor()), every_second(2, 100)),
        word(("limit", 18.0))
    );
    assert_eq!(
        first_abort(&mut armed(five()), every_second(2, 100)),
        word(("limit", 4.0))
    );
    let cause = every_second(2, 100).find_map({
        let mut m = armed(five());
        move |sample| m.take(&sample)
    });
    assert_eq!(
        cause.unwrap().to_string(),
        "probe edge was above its limit in 5 samples in a row"
    );
    // At the limit is not above it, one good sample begins anew, one that saw nothing changes nothing.
    assert_eq!(first_abort(&mut armed(five()), row(&[1; 30])), None);
    assert_eq!(
        first_abort(&mut armed(five()), row(&[2, 2, 2, 2, 0, 2, 2, 2, 2])),
        None
    );
    let with_a_gap = row(&[2, 2, 2, 2]).chain([blind("edge", 4.0), seen("edge", 5.0, 2, 100)]);
    assert_eq!(first_abort(&mut armed(five()), with_a_gap), word(("limit", 5.0)));
    // What the baseline saw does not count.
    let mut m = five();
    for sample in row(&[2; 4]) {
        m.take(&sample);
    }
    m.arm(at(4.0));
    assert_eq!(m.take(&seen("edge", 4.0, 2, 100)), None);
    // A declared dip lifts this line as well.
    let mut m = with(|h| {
        h.probes[0].consecutive = Some(5);
        h.probes[0].dip = Some(Dip {
            max: Share::percent(25),
            lasts: Duration::from_secs(10),
        });
    });
    m.arm(at(0.0));
    m.killed(at(0.0));
    assert_eq!(first_abort(&mut m, row(&[2; 10])), None);
}

#[test]
fn the_budget_counts_requests_not_tasks_and_not_the_baseline() {
    let marathon = armed(with(|h| {
        h.budget = Some(0);
        h.probes[0].source = Source::Marathon;
        h.probes[0].max = Share::percent(50);
    }));
    assert_eq!(first_abort(&mut marathon.clone(), every_second(1, 10)), None);
    let mut m = with(|h| h.budget = Some(1));
    m.take(&seen("edge", 0.0, 1, 100));
    m.arm(at(1.0));
    assert_eq!(m.take(&seen("edge", 1.0, 1, 100)), None);
    assert_eq!(m.take(&seen("edge", 2.0, 1, 100)).unwrap().word(), "budget");
}

#[test]
fn marathon_aborts_as_a_hard_floor_only_and_takes_no_evidence_from_the_others() {
    let tasks = |h: &mut Hypothesis| {
        let mut floor = probe("tasks", Role::Abort);
        floor.source = Source::Marathon;
        h.probes.push(floor);
    };
    let missing = |bad: u32, of: u32| (0..600).map(move |s| seen("tasks", f64::from(s), bad, of));
    // Far beyond the limit of 1 %, for ten minutes: late news, repeated.
    assert_eq!(first_abort(&mut armed(with(tasks)), missing(2, 4)), None);
    // More than half of them, even where there are few, and in one look.
    assert_eq!(
        first_abort(&mut armed(with(tasks)), missing(3, 4)),
        word(("hard", 0.0))
    );
    assert_eq!(
        first_abort(&mut armed(with(tasks)), missing(1, 1)),
        word(("hard", 0.0))
    );
    let m = armed(with(tasks));
    assert_eq!(
        m.evidence().keys().map(ToString::to_string).collect::<Vec<_>>(),
        ["edge"]
    );
    // The gate still asks it.
    let mut m = armed(with(tasks));
    for s in 0..60 {
        m.take(&seen("edge", f64::from(s), 0, 100));
        m.take(&seen("tasks", f64::from(s), 1, 4));
    }
    assert!(!m.steady_state(at(60.0)).passes());
    // Half of alpha would be spent on nothing if it counted among the detectors.
    let alone = first_abort(&mut armed(monitor()), every_second(5, 100));
    assert_eq!(first_abort(&mut armed(with(tasks)), every_second(5, 100)), alone);
}

#[test]
fn blindness_aborts_after_enough_samples_and_three_seconds() {
    let dark = |interval: f64| (0..100).map(move |n| blind("edge", f64::from(n) * interval));
    assert_eq!(
        first_abort(&mut armed(monitor()), dark(1.0)),
        word(("blind", 2.0))
    );
    let quick = armed(with(|h| h.interval = Duration::from_millis(250)));
    assert_eq!(first_abort(&mut quick.clone(), dark(0.25)), word(("blind", 2.75)));
    let patient = armed(with(|h| h.blind.abort_after = 5));
    assert_eq!(first_abort(&mut patient.clone(), dark(1.0)), word(("blind", 4.0)));
    let mut broken = armed(monitor());
    let samples = [
        blind("edge", 0.0),
        blind("edge", 1.0),
        seen("edge", 2.0, 0, 9),
        blind("edge", 3.0),
        blind("edge", 4.0),
    ];
    assert_eq!(first_abort(&mut broken, samples), None);
}

#[test]
fn a_reading_without_observations_is_blind() {
    for reading in [(0, 0), (2, 1)] {
        let samples = (0..9).map(|s| seen("edge", f64::from(s), reading.0, reading.1));
        assert_eq!(first_abort(&mut armed(monitor()), samples), word(("blind", 2.0)));
    }
}

#[test]
fn absent_samples_abort_too() {
    let mut m = monitor();
    assert_eq!(m.overdue(at(999.0)), None, "not armed");
    m.take(&seen("edge", 0.0, 0, 100));
    m.arm(at(0.5));
    assert_eq!(m.overdue(at(4.5)), None);
    let cause = m.overdue(at(4.6)).unwrap();
    assert_eq!(cause.word(), "blind");
    m.take(&seen("edge", 4.0, 0, 100));
    assert_eq!(m.overdue(at(4.6)), None);
}

#[test]
fn only_abort_probes_decide() {
    for role in [Role::Observe, Role::Verdict] {
        let mut m = armed(with(|h| h.probes.push(probe("other", role))));
        let broken = (0..60).map(|s| seen("other", f64::from(s), 100, 100));
        assert_eq!(first_abort(&mut m, broken), None);
        assert_eq!(
            first_abort(&mut m, (0..60).map(|s| blind("other", f64::from(s)))),
            None
        );
        assert_eq!(
            m.evidence().keys().map(ToString::to_string).collect::<Vec<_>>(),
            ["edge"]
        );
    }
}

#[test]
fn the_baseline_never_aborts_and_spends_no_evidence() {
    let mut m = monitor();
    assert_eq!(first_abort(&mut m, every_second(100, 100)), None);
    assert_eq!(m.evidence()[&"edge".into()], 100);
    m.arm(at(600.0));
    assert_eq!(m.evidence()[&"edge".into()], 0);
    m.take(&seen("edge", 601.0, 20, 100));
    let spent = m.evidence();
    m.arm(at(602.0));
    assert_eq!(m.evidence(), spent, "arming twice must not forget");
}

#[test]
fn the_red_line_is_split_among_abort_probes() {
    let one = monitor().watches[0].detector.threshold();
    let two = with(|h| h.probes.push(probe("second", Role::Abort))).watches[0]
        .detector
        .threshold();
    assert_eq!((one, two), (60_000.0, 120_000.0));
}

#[track_caller]
fn check_baseline(monitor: &Monitor, now: f64, kind: &str, words: &str) {
    let (found, why) = match monitor.baseline(at(now)) {
        BaselineState::Measuring { why } => ("measuring", why),
        BaselineState::Steady { why } => ("steady", why),
        BaselineState::NotSteady { why } => ("not steady", why),
    };
    assert!(found == kind && why.contains(words), "{found}: {why}");
}

#[test]
fn a_baseline_has_to_be_long_clean_and_seen() {
    let fed = |bad: u32, observed: u32, seconds: i32| {
        let mut m = monitor();
        (0..=seconds).for_each(|s| drop(m.take(&seen("edge", f64::from(s), bad, observed))));
        m
    };
    check_baseline(&monitor(), 0.0, "measuring", "no sample yet");
    check_baseline(&fed(0, 100, 59), 59.0, "measuring", "59 s of 60 s");
    check_baseline(&fed(0, 100, 60), 60.0, "steady", "0 of 6100 bad");
    // One request a second needs 299 of them for a limit of 1 %.
    check_baseline(&fed(0, 1, 297), 297.0, "measuring", "95 % sure below 1");
    check_baseline(&fed(0, 1, 298), 298.0, "steady", "0 of 299 bad");
    check_baseline(&fed(1, 100, 600), 600.0, "not steady", "not steady within 10 min");
    check_baseline(&fed(20, 100, 9), 9.0, "not steady", "above its limit of 1 %");
    check_baseline(&fed(100, 100, 0), 1.0, "not steady", "hard line");
    let mut m = fed(0, 100, 80);
    m.take(&blind("edge", 81.0));
    (82..91).for_each(|s| drop(m.take(&seen("edge", f64::from(s), 0, 100))));
    check_baseline(&m, 91.0, "measuring", "last 9 samples");
    m.take(&seen("edge", 91.0, 0, 100));
    check_baseline(&m, 91.0, "steady", "");
    check_baseline(
        &with(|h| h.probes.clear()),
        61.0,
        "not steady",
        "no probe has the role abort",
    );
    let mut dark = monitor();
    (0..=600).for_each(|s| drop(dark.take(&blind("edge", f64::from(s)))));
    check_baseline(&dark, 600.0, "not steady", "");
}

#[track_caller]
fn check_answer(answer: &Answer, kind: &str, words: &str) {
    assert!(
        answer.word() == kind && answer.why().contains(words),
        "{answer:?}"
    );
}

#[test]
fn the_steady_state_gate_wants_baseline_evidence_and_share() {
    let mut m = monitor();
    (0..30).for_each(|s| drop(m.take(&seen("edge", f64::from(s), 0, 100))));
    check_answer(&m.steady_state(at(30.0)), "unknown", "still being measured");
    (30..=60).for_each(|s| drop(m.take(&seen("edge", f64::from(s), 0, 100))));
    check_answer(&m.steady_state(at(60.0)), "pass", "edge 0 % bad (limit 1 %");
    m.arm(at(61.0));
    check_answer(&m.steady_state(at(61.0)), "pass", "");
    m.take(&seen("edge", 61.0, 40, 100));
    check_answer(&m.steady_state(at(61.0)), "refuse", "limit 1 %");
    check_answer(
        &m.steady_state(at(200.0)),
        "unknown",
        "has seen nothing in the last 30 s",
    );
    (62..65).for_each(|s| drop(m.take(&seen("edge", f64::from(s), 40, 100))));
    check_answer(&m.steady_state(at(65.0)), "refuse", "all the evidence");
    let mut broken = monitor();
    broken.take(&seen("edge", 0.0, 100, 100));
    check_answer(&broken.steady_state(at(0.0)), "refuse", "hard line");
    check_answer(
        &with(|h| h.probes[0].role = Role::Observe).steady_state(at(0.0)),
        "unknown",
        "no probe",
    );
}

#[test]
fn a_dip_does_not_open_the_gate() {
    let mut m = armed(with(|h| {
        h.probes[0].dip = Some(Dip {
            max: Share::percent(90),
            lasts: Duration::from_secs(60),
        })
    }));
    m.killed(at(0.0));
    m.take(&seen("edge", 1.0, 40, 100));
    check_answer(&m.steady_state(at(1.0)), "refuse", "40 %");
}

#[test]
fn the_freshness_gate_closes_at_the_first_miss() {
    let mut m = monitor();
    check_answer(&m.probe_freshness(at(0.0)), "unknown", "not seen anything");
    m.take(&seen("edge", 0.0, 0, 100));
    check_answer(&m.probe_freshness(at(1.9)), "pass", "1.9 s old");
    check_answer(&m.probe_freshness(at(2.0)), "unknown", "2 s old");
    m.take(&blind("edge", 1.0));
    check_answer(
        &m.probe_freshness(at(1.1)),
        "unknown",
        "1 times in a row (no route)",
    );
    m.take(&seen("edge", 2.0, 0, 100));
    check_answer(&m.probe_freshness(at(2.1)), "pass", "");
    check_answer(&m.probe_freshness(at(-9.0)), "unknown", "from the future");
    let mut patient = with(|h| h.blind.hold_fire_after = 2);
    patient.take(&seen("edge", 0.0, 0, 100));
    patient.take(&blind("edge", 1.0));
    check_answer(&patient.probe_freshness(at(1.5)), "pass", "");
    patient.take(&blind("edge", 1.6));
    check_answer(&patient.probe_freshness(at(1.7)), "unknown", "2 times");
    let mut two = with(|h| h.probes.push(probe("second", Role::Abort)));
    two.take(&seen("edge", 0.0, 0, 100));
    check_answer(&two.probe_freshness(at(0.0)), "unknown", "probe second");
}

#[test]
fn steady_again_needs_the_whole_stretch_watched_and_clean() {
    let hold = Duration::from_secs(30);
    let mut m = armed(monitor());
    (0..29).for_each(|s| drop(m.take(&seen("edge", f64::from(s), 0, 100))));
    assert_eq!(
        m.steady_since(at(29.0), hold),
        Some(at(-1.0)),
        "a hole of one interval at the start"
    );
    assert_eq!(
        m.steady_since(at(27.0), hold),
        None,
        "three seconds of it were not watched"
    );
    assert_eq!(m.steady_since(at(31.5), hold), None, "stale");
    (31..70).for_each(|s| drop(m.take(&seen("edge", f64::from(s), 0, 100))));
    assert_eq!(m.steady_since(at(40.0), hold), None, "29 and 30 are missing");
    assert_eq!(m.steady_since(at(69.0), hold), Some(at(39.0)));
    m.take(&seen("edge", 70.0, 40, 100));
    assert_eq!(m.steady_since(at(70.0), hold), None);
    assert_eq!(with(|h| h.probes.clear()).steady_since(at(70.0), hold), None);
}

#[test]
fn a_long_interval_widens_the_stretch_to_two_samples() {
    let mut m = armed(with(|h| h.interval = Duration::from_secs(60)));
    (0..5).for_each(|n| drop(m.take(&seen("edge", f64::from(n) * 60.0, 0, 100))));
    check_answer(&m.steady_state(at(290.0)), "pass", "over the last 2 min");
    assert_eq!(
        m.steady_since(at(290.0), Duration::from_secs(30)),
        Some(at(170.0))
    );
}

#[test]
fn a_declared_dip_lifts_both_lines_for_its_seconds_only() {
    let dipped = || {
        let mut m = armed(with(|h| {
            h.probes[0].dip = Some(Dip {
                max: Share::percent(90),
                lasts: Duration::from_secs(5),
            })
        }));
        m.killed(at(10.0));
        m
    };
    let burst = |from: u32, to: u32| (from..to).map(|s| seen("edge", f64::from(s), 80, 100));
    assert_eq!(first_abort(&mut dipped(), burst(10, 15)), None);
    assert_eq!(first_abort(&mut dipped(), burst(15, 16)), word(("hard", 15.0)));
    assert_eq!(first_abort(&mut dipped(), burst(9, 10)), word(("hard", 9.0)));
    let under_way = [seen("edge", 9.5, 80, 100)];
    assert_eq!(first_abort(&mut dipped(), under_way), None);
    let low = armed(with(|h| {
        h.probes[0].dip = Some(Dip {
            max: Share::percent(2),
            lasts: Duration::from_secs(5),
        })
    }));
    let mut low = low;
    low.killed(at(0.0));
    let forty = [seen("edge", 1.0, 40, 100)];
    assert_eq!(
        first_abort(&mut low, forty),
        None,
        "a dip below the hard line must not lower it"
    );
}

#[test]
fn blind_samples_never_change_the_evidence() {
    let mut dice = Dice(7);
    for _ in 0..200 {
        let (mut with_blind, mut without) = (armed(monitor()), armed(monitor()));
        for second in 0..40 {
            if dice.share() < 0.3 {
                with_blind.take(&blind("edge", f64::from(second)));
            } else {
                let sample = seen("edge", f64::from(second), dice.of(50, 0.03), 50);
                with_blind.take(&sample);
                without.take(&sample);
            }
            assert_eq!(with_blind.watches[0].detector, without.watches[0].detector);
        }
    }
}

#[test]
fn a_dip_never_brings_a_hard_abort_forward() {
    let mut dice = Dice(11);
    let hard = |m: &mut Monitor, samples: &[Sample]| {
        samples
            .iter()
            .position(|s| matches!(m.take(s), Some(AbortCause::Hard { .. })))
    };
    for _ in 0..300 {
        let dip = Dip {
            max: Share(dice.next() as u32 % 1_000_000),
            lasts: Duration::from_secs(dice.next() % 20),
        };
        let samples: Vec<_> = (0..60)
            .map(|s| seen("edge", f64::from(s), dice.of(20, 0.6), 20))
            .collect();
        let mut plain = armed(monitor());
        let mut dipped = armed(with(|h| h.probes[0].dip = Some(dip)));
        let kill = (dice.next() % 60) as f64;
        plain.killed(at(kill));
        dipped.killed(at(kill));
        let (without, with) = (hard(&mut plain, &samples), hard(&mut dipped, &samples));
        assert!(
            with.is_none_or(|with| without.is_some_and(|without| without <= with)),
            "{without:?} {with:?}"
        );
    }
}

#[test]
fn two_null_probes_together_abort_no_more_often_than_alpha() {
    let mut dice = Dice(3);
    let mut aborted = 0;
    for _ in 0..300 {
        let mut m = Monitor::new(
            &{
                let mut h = hypothesis();
                h.probes.push(probe("second", Role::Abort));
                h
            },
            Duration::from_secs(120),
        );
        m.arm(at(0.0));
        let fired = (0..120).any(|s| {
            ["edge", "second"]
                .iter()
                .any(|p| m.take(&seen(p, f64::from(s), dice.of(20, 0.01), 20)).is_some())
        });
        aborted += u32::from(fired);
    }
    // 3 are expected at the most; 10 is four standard deviations above.
    assert!(aborted <= 10, "{aborted} of 300 null runs aborted");
}

#[test]
fn a_monitor_survives_json() {
    let mut m = armed(monitor());
    m.killed(at(0.0));
    (0..50).for_each(|s| drop(m.take(&seen("edge", f64::from(s), s as u32 % 3, 100))));
    let text = serde_json::to_string(&m).unwrap();
    assert_eq!(serde_json::from_str::<Monitor>(&text).unwrap(), m);
}

/// A limit of 1 % that follows twice what a control shows in the last 10 s.
fn relative() -> Monitor {
    use crate::model::experiment::Relative;
    armed(with(|h| {
        h.probes[0].relative = Some(Relative {
            ratio_percent: 200,
            window: Duration::from_secs(10),
        });
    }))
}

/// The first abort when both groups answer like this, the control before the experiment.
fn both(m: &mut Monitor, control: u32, experiment: u32, observed: u32) -> Option<String> {
    (0..300).find_map(|s| {
        let s = f64::from(s);
        // Ten seconds of what there was before.
        let (control, experiment) = if s < 10.0 { (0, 0) } else { (control, experiment) };
        m.control(&seen("edge", s, control, observed));
        m.take(&seen("edge", s, experiment, observed))
            .map(|c| c.word().to_owned())
    })
}

#[test]
fn a_common_cause_does_not_fire_a_relative_limit_and_a_difference_does() {
    for bad in [2, 5, 20] {
        assert_eq!(both(&mut relative(), bad, bad, 100), None, "both at {bad} %");
        assert_eq!(
            both(&mut armed(monitor()), bad, bad, 100).as_deref(),
            Some("limit"),
            "without"
        );
        assert_eq!(
            both(&mut relative(), 0, bad, 100).as_deref(),
            Some("limit"),
            "only one"
        );
    }
}

#[test]
fn a_relative_limit_never_lifts_the_hard_line_or_the_budget() {
    assert_eq!(both(&mut relative(), 100, 100, 100).as_deref(), Some("hard"));
    let mut m = relative();
    m.hypothesis.budget = Some(50);
    assert_eq!(both(&mut m, 5, 5, 100).as_deref(), Some("budget"));
}

#[test]
fn a_control_that_sees_little_or_nothing_loosens_nothing() {
    // 59 requests a second are 590 in the window: all good, they would still allow 1.01 %.
    assert_eq!(both(&mut relative(), 3, 3, 59).as_deref(), Some("limit"));
    let mut m = relative();
    for s in 0..10 {
        m.control(&seen("edge", f64::from(s), 20, 100));
    }
    let alone = (40..300).find_map(|s| m.take(&seen("edge", f64::from(s), 20, 100)));
    assert_eq!(alone.unwrap().word(), "limit", "the control is silent since 30 s");
}

#[test]
fn a_flaky_source_may_miss_more() {
    let mut m = armed(with(|h| h.probes[0].abort_after = Some(5)));
    let missed = first_abort(&mut m, (0..60).map(|s| blind("edge", f64::from(s))));
    assert_eq!(missed, word(("blind", 4.0)));
}

#[test]
fn a_limit_near_to_what_there_is_anyway_is_warned_of() {
    let mut m = monitor();
    every_second(0, 5)
        .take(61)
        .for_each(|s| assert_eq!(m.take(&s), None));
    let BaselineState::Steady { why } = m.baseline(at(61.0)) else {
        panic!("{:?}", m.baseline(at(61.0)));
    };
    assert!(
        why.contains(
            "warning: the limit of 1 % is less than twice what the baseline of edge is sure of (0.98 %)"
        ),
        "{why}"
    );
    let mut m = monitor();
    every_second(0, 100)
        .take(61)
        .for_each(|s| assert_eq!(m.take(&s), None));
    assert!(m.warnings().is_empty());
}
