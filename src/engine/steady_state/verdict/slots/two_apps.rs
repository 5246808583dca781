//! Verdicts of two apps side by side, and of one before and after.

use super::*;

/// Two apps side by side: no slots, one kill every two minutes.
pub(super) fn beside(control: Control) -> Run {
    Run::new("KKK").with(|run| {
        run.plan.hypothesis.control = control;
        for step in &mut run.plan.steps {
            step.slot = None;
        }
        let mut other = probe("other", Role::Abort);
        other.control_for = Some("edge".into());
        run.plan.hypothesis.probes.push(other);
        let other: Vec<_> = (0..run.ended as i32)
            .map(|s| seen("other", f64::from(s), 0, 100))
            .collect();
        run.samples.extend(other);
    })
}

fn parallel() -> Run {
    beside(Control::Parallel {
        control: "/shop/cart-b".into(),
        experiment: "/shop/cart".into(),
    })
}

/// Sets so many bad of a hundred for a probe in a span of seconds.
fn set(run: &mut Run, probe: &str, from: f64, to: f64, bad: u32) {
    for sample in run.samples.iter_mut().filter(|s| s.probe == probe.into()) {
        let second = (sample.at - at(0.0)).as_seconds_f64();
        if (from..to).contains(&second) {
            *sample = seen(probe, second, bad, 100);
        }
    }
}

#[test]
fn parallel_apps_are_compared_in_ten_blocks_of_the_same_time() {
    let found = parallel().check(Completed, Held, "no difference");
    assert_eq!(
        (found.differences[0].pairs.len(), found.design.as_str()),
        (10, "strong (parallel apps)")
    );
    assert_eq!(found.differences[0].chance, None, "nothing was drawn");
    let found = parallel().with(|run| set(run, "edge", FIRST, 999.0, 3)).check(
        Completed,
        Disproved,
        "yes (probe edge is worse in the app that was hit",
    );
    assert!(found.differences[0].low > 0.02);
    // The same in both: nothing to do with the kill.
    parallel()
        .with(|run| {
            set(run, "edge", FIRST, 999.0, 1);
            set(run, "other", FIRST, 999.0, 1);
        })
        .check(Completed, Held, "no difference");
    // Apart before anybody was hit: not two equal groups.
    parallel().with(|run| set(run, "other", 0.0, FIRST, 5)).check(
        Completed,
        Inconclusive,
        "not known (probe edge differed between the apps by -5.00 points before any kill",
    );
}

#[test]
fn an_abort_of_parallel_apps_looks_at_the_other_app() {
    let cut = |change: fn(&mut Run), cause| parallel().with(change).aborted(FIRST + 5.0, cause);
    cut(|run| set(run, "edge", FIRST, 999.0, 40), limit()).check(WasAborted, Disproved, "yes (");
    cut(
        |run| {
            set(run, "edge", FIRST, 999.0, 40);
            set(run, "other", FIRST, 999.0, 40);
        },
        limit(),
    )
    .check(WasAborted, Inconclusive, "not known (common cause");
    let of_other = AbortCause::Limit {
        probe: "other".into(),
        evidence_percent: 100,
    };
    cut(|run| set(run, "other", FIRST, 999.0, 40), of_other).check(
        WasAborted,
        Inconclusive,
        "not known (common cause",
    );
    cut(
        |run| {
            set(run, "edge", FIRST, 999.0, 40);
            run.samples.retain(|s| s.probe != "other".into());
        },
        limit(),
    )
    .check(
        WasAborted,
        Inconclusive,
        "not known (degraded during the experiment, cause not established",
    );
}

#[test]
fn a_reference_app_takes_away_what_happened_to_both() {
    let reference = || {
        beside(Control::Reference {
            app: "/shop/pay".into(),
        })
    };
    let found = reference().check(Completed, Held, "no difference");
    assert_eq!(found.design, "moderate (reference app)");
    let moved = |run: &mut Run| set(run, "edge", FIRST / 2.0, FIRST, 2);
    let trend = |verdict: &Verdict| {
        let told = verdict
            .limits
            .iter()
            .find(|l| l.contains("more than the reference app"));
        told.expect("the trend before is told").clone()
    };
    let (alike, apart) = (trend(&found), trend(&reference().with(moved).verdict()));
    assert!(alike.contains("changed by 0 points more"), "{alike}");
    assert!(apart.contains("changed by +2.00 points more"), "{apart}");
    reference().with(|run| set(run, "edge", FIRST, 999.0, 3)).check(
        Completed,
        Disproved,
        "probably (probe edge is worse after the kills",
    );
    let both = reference()
        .with(|run| {
            set(run, "edge", FIRST, 999.0, 3);
            set(run, "other", FIRST, 999.0, 3);
        })
        .verdict();
    assert!(
        both.differences[0].difference.abs() < 1e-9 && both.hypothesis != Disproved,
        "{}",
        both.sentence
    );
}

#[test]
fn a_probe_that_did_not_see_all_of_the_time_after_the_first_kill_holds_nothing() {
    let blind = |probe: &'static str, control: Control| {
        beside(control).with(|run| {
            let gap = at(FIRST + 20.0)..at(FIRST + 60.0);
            run.samples
                .retain(|s| s.probe != probe.into() || !gap.contains(&s.at));
        })
    };
    let why = |probe: &str| {
        format!("not known (probe {probe} did not see all of the time from the first kill to the end")
    };
    let reference = || Control::Reference {
        app: "/shop/pay".into(),
    };
    for probe in ["edge", "other"] {
        blind(probe, reference()).check(Completed, Inconclusive, &why(probe));
        let parallel = parallel().plan.hypothesis.control;
        blind(probe, parallel).check(Completed, Inconclusive, &why(probe));
    }
    blind("edge", Control::BeforeAfter)
        .with(|run| run.plan.hypothesis.probes.truncate(1))
        .check(Completed, Inconclusive, &why("edge"));
}

#[test]
fn what_comes_in_bursts_after_the_kills_is_less_sure_than_its_sum() {
    // The same sum twice: one bad of a hundred in every other second, and all of them at once.
    let before_after = |burst: bool| {
        beside(Control::BeforeAfter).with(|run| {
            run.plan.hypothesis.probes.truncate(1);
            for second in 0..360 {
                let bad = match (burst, second) {
                    (false, s) => u32::from(s % 2 == 0),
                    (true, s) if s < 9 => 20,
                    (true, _) => 0,
                };
                let from = FIRST + f64::from(second);
                set(run, "edge", from, from + 1.0, bad);
            }
        })
    };
    let (even, burst) = (before_after(false).verdict(), before_after(true).verdict());
    let (even, burst) = (&even.differences[0], &burst.differences[0]);
    assert!((even.difference - burst.difference).abs() < 1e-9);
    assert!(even.low > 0.0 && burst.low < 0.0, "{even:?} {burst:?}");
}
