//! Verdicts of designs with a control group.

mod slow_ends;
mod two_apps;

use super::tests::{intent, plan};
use super::*;
use crate::engine::steady_state::testing::*;
use crate::model::experiment::Role;
use crate::model::plan::Slot as Planned;
use crate::model::run::IntentState;
use HypothesisResult::{Disproved, Held, Inconclusive, NotTested};
use Outcome::{Aborted as WasAborted, Completed, Skipped};
use proptest::prelude::*;
use std::time::Duration;

/// Slots follow each other every two minutes from the second minute on: 60 s of window, 60 s to settle.
const FIRST: f64 = 120.0;
const EVERY: f64 = 120.0;

/// A run with sham slots; `K` is a kill and `s` a sham, two letters to a pair.
struct Run {
    plan: Plan,
    intents: Vec<Intent>,
    abort: Option<Aborted>,
    samples: Vec<Sample>,
    recoveries: Vec<KillRecovery>,
    earlier: Vec<(ProbeName, Pair)>,
    ended: f64,
}

impl Run {
    /// Every slot taken and recovered from; no answer bad; 100 a second.
    fn new(order: &str) -> Self {
        let steps = u32::try_from(order.len()).unwrap();
        let mut plan = plan(steps);
        plan.hypothesis.control = Control::Sham {
            pairs: 5,
            window: Duration::from_secs(60),
            settle: Duration::from_secs(60),
        };
        let mut intents = vec![];
        let mut recoveries = vec![];
        for (index, letter) in (0_u32..).zip(order.chars()) {
            let number = index + 1;
            let sham = letter == 's';
            plan.steps[index as usize].slot = Some(Planned {
                pair: index / 2 + 1,
                sham,
            });
            let at_second = FIRST + EVERY * f64::from(index);
            let mut intent = intent(number, at_second);
            intent.sham = sham;
            if sham {
                intent.state = IntentState::Resolved {
                    why: "written down".into(),
                    at: intent.at,
                    tasks: vec![],
                };
            } else {
                recoveries.push(KillRecovery {
                    step: number,
                    app: None,
                    killed: intent.at,
                    gone: Some(at(at_second + 1.0)),
                    running: Some(at(at_second + 5.0)),
                    capacity: Some(at(at_second + 10.0)),
                    steady: Some(at(at_second + 10.0)),
                    staged: None,
                    answering: None,
                    rotation: None,
                    healthy: None,
                    origins: Default::default(),
                    by_order: false,
                    felt: vec![],
                });
            }
            intents.push(intent);
        }
        let ended = FIRST + EVERY * f64::from(steps);
        let samples = (0..ended as i32)
            .map(|s| seen("edge", f64::from(s), 0, 100))
            .collect();
        Self {
            plan,
            intents,
            abort: None,
            samples,
            recoveries,
            earlier: vec![],
            ended,
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// So many bad of the hundred of each second for `lasts` seconds after every kill, or every sham.
    fn bad(self, letter: char, bad: u32, lasts: f64) -> Self {
        self.with(|run| {
            let hit: Vec<f64> = run
                .intents
                .iter()
                .filter(|i| i.sham == (letter == 's'))
                .map(|i| (i.at - at(0.0)).as_seconds_f64())
                .collect();
            for (second, sample) in run.samples.iter_mut().enumerate() {
                let second = second as f64;
                if hit.iter().any(|from| (*from..from + lasts).contains(&second)) {
                    *sample = seen("edge", second, bad, 100);
                }
            }
        })
    }

    /// Everything after this moment never happened, because of this.
    fn aborted(self, second: f64, cause: AbortCause) -> Self {
        self.with(|run| {
            run.abort = Some(Aborted {
                cause,
                at: at(second),
                breach_to_fence_us: None,
            });
            run.intents.retain(|i| i.at < at(second));
            run.recoveries.retain(|r| r.killed < at(second));
            run.samples.retain(|s| s.at <= at(second));
            run.ended = second + 30.0;
        })
    }

    fn verdict(&self) -> Verdict {
        verdict(&Findings {
            plan: &self.plan,
            intents: &self.intents,
            abort: self.abort.as_ref(),
            skipped: None,
            samples: &self.samples,
            recoveries: &self.recoveries,
            earlier: &self.earlier,
            ended: at(self.ended),
        })
    }

    #[track_caller]
    fn check(&self, outcome: Outcome, hypothesis: HypothesisResult, caused: &str) -> Verdict {
        let found = self.verdict();
        assert_eq!(
            (found.outcome, found.hypothesis),
            (outcome, hypothesis),
            "{}",
            found.sentence
        );
        assert!(
            found.lines[1].starts_with(&format!("Caused by the kill: {caused}")),
            "{}",
            found.lines[1]
        );
        found
    }
}

fn limit() -> AbortCause {
    AbortCause::Limit {
        probe: "edge".into(),
        evidence_percent: 100,
    }
}

const ORDER: &str = "KssKKsKssK";

#[test]
fn five_clean_pairs_hold_and_say_what_they_could_not_have_seen() {
    let found = Run::new(ORDER).check(Completed, Held, "no difference beyond what is tolerated.");
    assert_eq!(
        found.sentence,
        "Held. 5 kills of 1 of 12 tasks. Bad answers (edge): 0 % after a kill, 0 % after a sham; difference 0 points, \
         95 % sure it is below +0.009 (tolerated: +0.50). 30,000 observations after a sham, 30,000 observations after a \
         kill. A difference below about 0.018 points would probably have been missed. Design: sham slots (good)."
    );
    assert_eq!(found.design, "good (sham slots)");
    assert_eq!(
        found.about_design,
        "Design: sham slots (5 real, 5 sham, same app). A difference here is not explained by slow drift. Effects \
         lasting longer than the 60 s settle time would be missed."
    );
    let edge = &found.differences[0];
    assert_eq!((edge.pairs.len(), edge.experiment_observed), (5, 30_000));
    assert_eq!(
        found.pairs,
        Some(Progress {
            have: 5,
            need: 5,
            earlier: 0
        })
    );
}

#[test]
fn a_difference_after_every_kill_disproves_with_its_interval_and_its_chance() {
    // Two in a hundred for half of the window: one point in all.
    let found = Run::new(ORDER).bad('K', 2, 30.0).check(
        Completed,
        Disproved,
        "yes (probe edge is worse after a kill by at least +0.9",
    );
    let edge = &found.differences[0];
    assert!((edge.difference - 0.01).abs() < 1e-12 && edge.low > 0.008 && edge.high < 0.012);
    assert_eq!(edge.chance, Some(1.0 / 32.0));
    assert!(
        found
            .sentence
            .contains("difference +1.00 points, 95 % sure it is above +0.9")
    );
}

#[test]
fn what_happens_after_shams_as_well_is_no_difference() {
    let found = Run::new(ORDER).bad('K', 1, 30.0).bad('s', 1, 30.0);
    found.check(Completed, Held, "no difference");
    // Beyond the limit the control group itself is not to be relied on.
    let found = Run::new(ORDER).bad('K', 2, 60.0).bad('s', 2, 60.0);
    found.check(
        Completed,
        Inconclusive,
        "not known (common cause: probe edge saw 2 % bad after a sham",
    );
}

#[test]
fn one_kill_a_day_adds_up_and_says_how_far_it_is() {
    let first = Run::new("Ks").check(Completed, Inconclusive, "not known yet, pair 1 of 5.");
    assert_eq!(first.lines[0], "Stayed within limits: yes (peak 0 %, limit 1 %).");
    assert_eq!(
        first.pairs,
        Some(Progress {
            have: 1,
            need: 5,
            earlier: 0
        })
    );
    let pair = |day: u32, bad: u64| {
        let counts = |bad| Counts { observed: 6_000, bad };
        let pair = Pair {
            run: format!("r-day{day}").as_str().into(),
            number: 1,
            experiment: counts(bad),
            control: counts(0),
            experiment_times: Default::default(),
            control_times: Default::default(),
        };
        ("edge".into(), pair)
    };
    let on = |days: u32, bad: u64| {
        Run::new("sK").with(|run| run.earlier = (1..=days).map(|d| pair(d, bad)).collect())
    };
    on(3, 0).check(Completed, Inconclusive, "not known yet, pair 4 of 5.");
    let fifth = on(4, 0).check(Completed, Held, "no difference");
    assert_eq!(
        fifth.pairs,
        Some(Progress {
            have: 5,
            need: 5,
            earlier: 4
        })
    );
    // Of more only the latest count.
    assert_eq!(on(9, 0).verdict().differences[0].pairs.len(), 5);
    on(4, 120).bad('K', 2, 60.0).check(Completed, Disproved, "yes");
    // However many there are, today's own pair has to be watched.
    on(9, 0)
        .with(|run| run.samples.retain(|s| !(at(130.0)..at(150.0)).contains(&s.at)))
        .check(
            Completed,
            Inconclusive,
            "not known (probe edge watched 0 of 1 pairs",
        );
}

#[test]
fn harm_after_a_kill_disproves_where_the_shams_were_fine() {
    let found = Run::new("sKKs")
        .bad('K', 30, 60.0)
        .aborted(FIRST + EVERY + 4.0, limit())
        .check(WasAborted, Disproved, "yes (probe edge stayed above its limit: 100 % of the evidence needed, and the limit was kept after a sham)");
    let edge = &found.differences[0];
    assert_eq!((edge.control_bad, edge.control_observed), (0, 6_000));
    assert!(edge.low > edge.margin, "{edge:?}");
    assert!(
        found.lines[0].starts_with("Stayed within limits: no (peak 30 %"),
        "{}",
        found.lines[0]
    );
    assert_eq!(
        crate::model::verdict::HypothesisResult::Disproved,
        found.hypothesis
    );
}

#[test]
fn harm_after_a_sham_is_a_common_cause_whatever_happened_after_kills() {
    Run::new("KssK")
        .bad('s', 30, 60.0)
        .aborted(FIRST + EVERY + 4.0, limit())
        .check(WasAborted, Inconclusive, "not known (common cause: ");
    // A control group that is over its limit acquits the kill, too.
    Run::new("sKsK")
        .bad('s', 5, 60.0)
        .bad('K', 30, 60.0)
        .aborted(FIRST + EVERY + 4.0, limit())
        .check(WasAborted, Inconclusive, "not known (common cause: ");
}

#[test]
fn harm_in_the_first_slot_has_no_control_and_so_no_cause() {
    // However long and clean the time before it was: that is before and after, the weakest design.
    let found = Run::new("Kssk").bad('K', 30, 60.0).aborted(FIRST + 4.0, limit());
    let verdict = found.check(
        WasAborted,
        Inconclusive,
        "not known (degraded during the experiment, cause not established",
    );
    assert!(
        verdict.lines[1].contains("no sham came before it"),
        "{}",
        verdict.lines[1]
    );
    assert!(
        verdict.lines[0].starts_with("Stayed within limits: no"),
        "{:?}",
        verdict.lines
    );
    // Shams of earlier days are a control: their moments were drawn like those of the kills.
    let later = found.with(|run| {
        let counts = Counts {
            observed: 6_000,
            bad: 0,
        };
        run.earlier = vec![(
            "edge".into(),
            Pair {
                run: "r-day1".into(),
                number: 1,
                experiment: counts,
                control: counts,
                experiment_times: Default::default(),
                control_times: Default::default(),
            },
        )];
    });
    later.check(WasAborted, Disproved, "yes (");
}

#[test]
fn a_spent_budget_disproves_only_beyond_the_margin() {
    let budget = || AbortCause::Budget {
        failed: 9,
        allowed: 8,
    };
    Run::new("sK")
        .bad('K', 30, 60.0)
        .aborted(FIRST + EVERY + 4.0, budget())
        .check(WasAborted, Disproved, "yes (9 failed requests");
    Run::new("sK").aborted(FIRST + EVERY + 4.0, budget()).check(
        WasAborted,
        Inconclusive,
        "not known (9 failed requests",
    );
}

#[test]
fn not_recovered_after_a_kill_disproves_and_after_a_sham_it_does_not() {
    let gone = |step| AbortCause::NotRecovered {
        step,
        why: "9 of 12 tasks serve".into(),
    };
    let late = FIRST + 301.0;
    Run::new("Ks")
        .with(|run| run.intents.truncate(1))
        .with(|run| run.recoveries[0].steady = None)
        .with(|run| {
            run.samples
                .extend((360..430).map(|s| seen("edge", f64::from(s), 0, 100)))
        })
        .aborted(late, gone(1))
        .check(
            WasAborted,
            Disproved,
            "yes (the app had not recovered from step 1",
        );
    Run::new("Ks")
        .with(|run| {
            run.intents.truncate(1);
            run.recoveries[0].steady = None;
            run.samples.retain(|s| s.at < at(FIRST));
        })
        .aborted(late, gone(1))
        .check(WasAborted, Inconclusive, "not known (the run was cut short");
    Run::new("KssK").aborted(FIRST + EVERY + 301.0, gone(2)).check(
        WasAborted,
        Inconclusive,
        "not known (common cause",
    );
}

#[test]
fn a_run_that_ends_among_its_shams_has_tested_nothing() {
    let found = Run::new("sK").aborted(FIRST + 20.0, limit());
    let verdict = found.check(Skipped, NotTested, "not tested");
    assert_eq!(verdict.reason, "limit");
}

#[test]
fn several_probes_need_all_to_hold_and_one_to_disprove() {
    let two = |bad: u32| {
        Run::new(ORDER).with(|run| {
            run.plan.hypothesis.probes.push(probe("slo", Role::Verdict));
            let kills: Vec<_> = run.intents.iter().filter(|i| !i.sham).map(|i| i.at).collect();
            let more: Vec<_> = (0..run.ended as i32)
                .map(|s| {
                    let s = f64::from(s);
                    let after = kills
                        .iter()
                        .any(|k| *k <= at(s) && at(s) < *k + chrono::TimeDelta::seconds(60));
                    seen("slo", s, if after { bad } else { 0 }, 100)
                })
                .collect();
            run.samples.extend(more);
        })
    };
    two(0).check(Completed, Held, "no difference");
    two(2).check(Completed, Disproved, "yes (probe slo");
    two(0)
        .with(|run| run.samples.retain(|s| s.probe != "slo".into()))
        .check(Completed, Inconclusive, "not known yet, pair 0 of 5");
}

#[test]
fn the_probe_that_disproved_is_the_one_that_is_spoken_of() {
    let found = Run::new(ORDER).bad('K', 2, 60.0).with(|run| {
        // This one saw next to nothing: its difference may be anything, and shows nothing.
        run.plan.hypothesis.probes.push(probe("slo", Role::Verdict));
        let few = (0..run.ended as i32).map(|s| seen("slo", f64::from(s), u32::from(s % 7 == 0), 1));
        run.samples.extend(few.collect::<Vec<_>>());
    });
    let verdict = found.check(Completed, Disproved, "yes (probe edge is worse after a kill");
    assert!(
        verdict.sentence.contains(" Bad answers (edge): 2 % after a kill"),
        "{}",
        verdict.sentence
    );
}

#[test]
fn a_run_that_was_cut_short_says_how_many_slots_it_took_of_those_planned() {
    let found = Run::new(ORDER)
        .aborted(FIRST + EVERY * 2.0 + 4.0, limit())
        .verdict();
    assert!(
        found
            .about_design
            .starts_with("Design: sham slots (1 real, 2 sham of 5 and 5 planned, same app)."),
        "{}",
        found.about_design
    );
}

#[test]
fn a_clear_difference_disproves_also_where_nobody_declared_when_to_be_whole_again() {
    Run::new(ORDER)
        .bad('K', 2, 60.0)
        .with(|run| {
            run.plan.hypothesis.recovery.expected = false;
            run.recoveries[0].steady = None;
        })
        .check(Completed, Disproved, "yes (probe edge is worse after a kill");
}

proptest! {
    /// Whatever was seen: no `held` with a slot cut short or not watched, and none without both groups.
    #[test]
    fn held_needs_every_slot_whole_and_both_groups_measured(
        order in prop::collection::vec(any::<bool>(), 5),
        cut in 0_u32..12,
        hole in prop::option::of(0_u32..10),
        earlier in 0_u32..8,
        bad in 0_u32..3,
    ) {
        let order: String = order.iter().map(|first| if *first { "Ks" } else { "sK" }).collect();
        let mut run = Run::new(&order).bad('K', bad, 10.0);
        run.earlier = (0..earlier)
            .map(|day| {
                let counts = Counts { observed: 6_000, bad: 0 };
                let pair = Pair { run: format!("r-{day}").as_str().into(), number: 1, experiment: counts, control: counts, experiment_times: Default::default(), control_times: Default::default() };
                ("edge".into(), pair)
            })
            .collect();
        // A slot that nobody watched for four seconds, at some place in its window.
        if let Some(slot) = hole {
            let from = FIRST + EVERY * f64::from(slot) + 10.0;
            run.samples.retain(|s| !(at(from)..at(from + 4.0)).contains(&s.at));
        }
        // An end in the middle of a slot's window, where `cut` names one.
        if cut < 10 {
            let end = FIRST + EVERY * f64::from(cut) + 30.0;
            run = run.aborted(end, AbortCause::Manual { by: "ana".into(), reason: "lunch".into() });
        }
        let found = run.verdict();
        if cut < 10 || hole.is_some() {
            prop_assert_ne!(found.hypothesis, Held, "{}", found.sentence);
        } else if bad == 0 {
            prop_assert_eq!(found.hypothesis, Held, "{}", found.sentence);
        }
        if found.hypothesis == Held {
            for d in &found.differences {
                prop_assert!(d.control_observed > 0 && d.experiment_observed > 0);
            }
        }
        let blind: Vec<_> = run.samples.iter().filter(|s| s.at < at(FIRST)).cloned().collect();
        run.samples = blind;
        prop_assert_ne!(run.verdict().hypothesis, Held);
    }
}
