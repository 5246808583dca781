use super::*;
use crate::engine::steady_state::recovery::{harm, recoveries};
use crate::engine::steady_state::testing::*;
use crate::model::experiment::{AbortCause, Detail, Reading};
use crate::model::plan::{PlannedApp, Step, Target};
use crate::model::policy::{ApprovalMode, ApprovalRule, BlastRadius, Mode, RateLimit};
use crate::model::run::IntentState;
use std::time::Duration;

fn target(step: u32) -> Target {
    Target {
        app: "/shop/cart".into(),
        task: format!("cart.{step}").as_str().into(),
        instance: format!("cart.{step}").as_str().into(),
        host: "a1".into(),
        pod: false,
        agent: None,
    }
}

/// A plan of so many kills of one of twelve tasks.
pub fn plan(steps: u32) -> Plan {
    Plan {
        run: "r-1".into(),
        policy: "cart".into(),
        policy_digest: "d".into(),
        team: "shop".into(),
        cluster: "prod".into(),
        framework_id: "f".into(),
        mode: Mode::Enforce,
        apps: PlannedApp {
            app: "/shop/cart".into(),
            version: "v".into(),
            instances: 12,
            healthy: 12,
        }
        .into(),
        outage: None,
        requested_by: None,
        steps: (1..=steps)
            .map(|number| Step {
                number,
                targets: vec![target(number)],
                slot: None,
            })
            .collect(),
        gap: Duration::from_secs(60),
        blast_radius: BlastRadius {
            max_tasks: 1,
            max_percent: 10,
            min_healthy: 2,
            max_apps: 1,
            max_tasks_in_all: None,
        },
        rate_limit: RateLimit {
            kills: 1,
            per: Duration::from_secs(60),
            burst: 1,
        },
        allow_no_health_check: false,
        hypothesis: hypothesis(),
        approval: ApprovalRule {
            mode: ApprovalMode::Automatic,
            users: Default::default(),
            groups: Default::default(),
            quorum: 0,
            expires: Duration::from_secs(60),
        },
        channel: None,
        made_at: at(0.0),
        remarks: vec![],
    }
}

/// A kill that was accepted 0.2 s after it was decided on.
pub fn intent(step: u32, seconds: f64) -> Intent {
    Intent {
        id: format!("i-{step}").as_str().into(),
        run: "r-1".into(),
        step,
        targets: vec![target(step)],
        at: at(seconds),
        deadline: at(seconds + 5.0),
        sham: false,
        state: IntentState::Acked {
            tasks: vec![],
            at: at(seconds + 0.2),
        },
    }
}

/// A run with one planned kill at 60 s, watched for 360 s after it, recovered at 70 s.
struct World {
    plan: Plan,
    intents: Vec<Intent>,
    abort: Option<Aborted>,
    skipped: Option<String>,
    samples: Vec<Sample>,
    recoveries: Vec<KillRecovery>,
    earlier: Vec<(ProbeName, Pair)>,
    ended: f64,
}

impl World {
    /// With so many bad of 100 a second before and after.
    fn new(before: u32, after: u32) -> Self {
        let samples = (0..420)
            .map(|s| seen("edge", f64::from(s), if s < 60 { before } else { after }, 100))
            .collect();
        let recovery = KillRecovery {
            step: 1,
            app: None,
            killed: at(60.2),
            gone: Some(at(61.0)),
            running: Some(at(65.0)),
            capacity: Some(at(70.0)),
            steady: Some(at(70.0)),
            staged: None,
            healthy: None,
            answering: None,
            rotation: None,
            origins: Default::default(),
            by_order: false,
            felt: vec![],
        };
        Self {
            plan: plan(1),
            intents: vec![intent(1, 60.0)],
            abort: None,
            skipped: None,
            samples,
            recoveries: vec![recovery],
            earlier: vec![],
            ended: 420.0,
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn aborted(self, cause: AbortCause) -> Self {
        self.with(|w| {
            w.abort = Some(Aborted {
                cause,
                at: at(80.0),
                breach_to_fence_us: None,
            })
        })
    }

    fn verdict(&self) -> Verdict {
        verdict(&Findings {
            plan: &self.plan,
            intents: &self.intents,
            abort: self.abort.as_ref(),
            skipped: self.skipped.as_deref(),
            samples: &self.samples,
            recoveries: &self.recoveries,
            earlier: &self.earlier,
            ended: at(self.ended),
        })
    }

    #[track_caller]
    fn check(&self, outcome: Outcome, hypothesis: HypothesisResult, reason: &str) {
        let found = self.verdict();
        assert_eq!(
            (found.outcome, found.hypothesis),
            (outcome, hypothesis),
            "{}",
            found.sentence
        );
        assert_eq!(found.reason, reason);
        assert_eq!(found.lines.len(), 2);
        assert!(!found.limits.is_empty() && found.design.contains("weak"));
    }
}

fn limit() -> AbortCause {
    AbortCause::Limit {
        probe: "edge".into(),
        evidence_percent: 100,
    }
}

use HypothesisResult::{Disproved, Held, Inconclusive, NotTested};
use Outcome::{Aborted as WasAborted, Completed, Skipped};

#[test]
fn a_clean_run_held() {
    World::new(0, 0).check(Completed, Held, "");
    let found = World::new(0, 0).verdict();
    assert_eq!(found.lines[0], "Stayed within limits: yes (peak 0 %, limit 1 %).");
    assert_eq!(
        found.lines[1],
        "Caused by the kill: no difference beyond what is tolerated."
    );
    assert_eq!(
        found.sentence,
        "Held. 1 kill of 1 of 12 tasks. Bad answers (edge): 0 % after the kills, 0 % before; difference 0 points, \
         95 % sure it is below +0.008 (tolerated: +0.50). 6,000 observations before, 36,000 observations after the kills. \
         A difference below about 0.060 points would probably have been missed. Design: before/after (weak)."
    );
}

#[test]
fn a_clear_difference_disproves_and_shows_its_lower_end() {
    World::new(0, 2).check(Completed, Disproved, "");
    let found = World::new(0, 2).verdict();
    assert!(
        found.sentence.contains("95 % sure it is above +1.8"),
        "{}",
        found.sentence
    );
    assert!(
        found.lines[0].starts_with("Stayed within limits: no (peak 2 % over 30 s"),
        "{}",
        found.lines[0]
    );
    assert!(
        found.lines[1].starts_with("Caused by the kill: probably"),
        "{}",
        found.lines[1]
    );
}

#[test]
fn an_interval_across_the_margin_says_nothing() {
    let few = World::new(0, 0).with(|w| {
        w.samples = (0..420).map(|s| seen("edge", f64::from(s), 0, 1)).collect();
    });
    few.check(Completed, Inconclusive, "");
    assert!(
        few.verdict().sentence.contains("saw too little"),
        "{}",
        few.verdict().sentence
    );
}

#[test]
fn nothing_seen_on_one_side_is_never_held() {
    let dark = World::new(0, 0).with(|w| w.samples.retain(|s| s.at >= at(60.0)));
    dark.check(Completed, Inconclusive, "");
    let none = World::new(0, 0).with(|w| w.samples.clear());
    none.check(Completed, Inconclusive, "");
    assert!(none.verdict().lines[0].contains("not known"));
}

#[test]
fn an_abort_without_a_control_establishes_no_cause() {
    let aborted = World::new(0, 20).aborted(limit());
    aborted.check(WasAborted, Inconclusive, "limit");
    let found = aborted.verdict();
    assert!(
        found
            .sentence
            .contains("degraded during the experiment, cause not established")
    );
    assert!(
        found.lines[0].starts_with("Stayed within limits: no (peak 20 %"),
        "{}",
        found.lines[0]
    );
    assert!(found.lines[1].starts_with("Caused by the kill: not known"));
}

#[test]
fn silence_with_an_answered_self_check_is_said_to_be_the_service_and_without_one_ours() {
    let ended_by = |cause: AbortCause, reading: Reading| {
        let mut world = World::new(0, 0).aborted(cause);
        let until = world.abort.as_ref().unwrap().at;
        world.samples.retain(|s| s.at < until);
        world.samples.push(Sample {
            at: until,
            probe: "edge".into(),
            reading,
        });
        world.verdict().lines.get(2).cloned()
    };
    let silent = |unanswered| Reading::Seen {
        observed: 100,
        bad: 100,
        slowest_ms: None,
        detail: Some(Box::new(Detail {
            unanswered,
            ..Detail::default()
        })),
    };
    let hard = || AbortCause::Hard {
        probe: "edge".into(),
        observed: 100,
        bad: 100,
    };
    let blind = || AbortCause::Blind {
        probe: "edge".into(),
        missed: 3,
        why: "…".into(),
    };
    assert_eq!(
        ended_by(hard(), silent(100)).as_deref(),
        Some("The service is down: nobody answered probe edge, while the self-check was answered.")
    );
    assert_eq!(
        ended_by(limit(), silent(100)).as_deref(),
        Some("The service is down: nobody answered probe edge, while the self-check was answered.")
    );
    assert_eq!(
        ended_by(blind(), Reading::cut_off("connection refused")).as_deref(),
        Some("We may be cut off: nobody answered probe edge, nor the self-check. The service may be well.")
    );
    // Some answers came, or it was blind for a reason of its own.
    assert_eq!(ended_by(hard(), silent(99)), None);
    assert_eq!(ended_by(blind(), Reading::blind("NaN")), None);
}

#[test]
fn aborts_for_other_reasons_are_inconclusive() {
    let blind = AbortCause::Blind {
        probe: "edge".into(),
        missed: 3,
        why: "no route".into(),
    };
    World::new(0, 0)
        .aborted(blind)
        .check(WasAborted, Inconclusive, "blind");
    let manual = AbortCause::Manual {
        by: "ana".into(),
        reason: "lunch".into(),
    };
    World::new(0, 2)
        .aborted(manual)
        .check(WasAborted, Inconclusive, "manual");
    World::new(0, 0)
        .aborted(AbortCause::Restarted)
        .check(WasAborted, Inconclusive, "operator restarted");
}

#[test]
fn no_kill_is_skipped_and_tests_nothing() {
    let none = World::new(0, 0).with(|w| w.intents.clear());
    none.check(Skipped, NotTested, "no kill was made");
    let why = World::new(0, 0).with(|w| {
        w.intents.clear();
        w.skipped = Some("not steady".into());
    });
    why.check(Skipped, NotTested, "not steady");
    let unsent = World::new(0, 0).with(|w| {
        w.intents[0].state = IntentState::NotSent {
            why: "fence".into(),
            at: at(60.0),
        };
    });
    unsent.aborted(limit()).check(Skipped, NotTested, "limit");
}

#[test]
fn a_rehearsal_tests_nothing() {
    let sham = || World::new(0, 5).with(|w| w.intents[0].sham = true);
    sham().check(Completed, NotTested, "");
    sham().aborted(limit()).check(WasAborted, NotTested, "limit");
    sham()
        .with(|w| w.plan = plan(2))
        .check(WasAborted, NotTested, "cut short");
}

#[test]
fn not_recovered_in_time_disproves_where_somebody_watched() {
    let never = || World::new(0, 0).with(|w| w.recoveries[0].steady = None);
    never().check(Completed, Disproved, "");
    World::new(0, 0)
        .with(|w| w.recoveries[0].steady = Some(at(361.0)))
        .check(Completed, Disproved, "");
    never()
        .with(|w| w.ended = 200.0)
        .check(Completed, Inconclusive, "");
    never()
        .with(|w| w.samples.retain(|s| s.at < at(60.0)))
        .check(Completed, Inconclusive, "");
}

#[test]
fn not_recovered_in_time_disproves_nothing_where_no_policy_expects_it() {
    let unexpected = || {
        World::new(0, 0).with(|w| {
            w.recoveries[0].steady = None;
            w.plan.hypothesis.recovery.expected = false;
        })
    };
    unexpected().check(Completed, Inconclusive, "");
    let words = unexpected().verdict().sentence;
    assert!(words.contains("declares no `recovery.within`"), "{words}");
    let cause = AbortCause::NotRecovered {
        step: 1,
        why: "3 of 4 serve".into(),
    };
    for (expected, says) in [(false, Inconclusive), (true, Disproved)] {
        let waited = unexpected().aborted(cause.clone()).with(|w| {
            w.plan.hypothesis.recovery.expected = expected;
            w.abort.as_mut().expect("aborted").at = at(400.0);
        });
        waited.check(WasAborted, says, "not recovered");
    }
}

#[test]
fn a_kill_after_which_nobody_saw_a_task_end_shows_nothing() {
    let world = |gone: Option<f64>, steady: Option<f64>| {
        World::new(0, 0).with(|w| {
            w.recoveries[0].gone = gone.map(at);
            w.recoveries[0].staged = None;
            w.recoveries[0].steady = steady.map(at);
        })
    };
    for steady in [None, Some(90.0)] {
        let forgotten = world(None, steady);
        forgotten.check(Completed, Inconclusive, "");
        let words = forgotten.verdict().sentence;
        assert!(words.contains("nobody saw a task end"), "{words}");
    }
    world(Some(61.0), None).check(Completed, Disproved, "");
    world(Some(61.0), Some(90.0)).check(Completed, Held, "");
}

#[test]
fn a_missing_or_refused_kill_is_never_held() {
    World::new(0, 0)
        .with(|w| w.plan = plan(2))
        .check(WasAborted, Inconclusive, "cut short");
    let refused = World::new(0, 0).with(|w| {
        w.plan = plan(2);
        let mut second = intent(2, 100.0);
        second.state = IntentState::NoEffect {
            why: "404".into(),
            at: at(100.0),
        };
        w.intents.push(second);
    });
    refused.check(Completed, Inconclusive, "");
}

#[test]
fn held_needs_every_probe_and_observers_do_not_count() {
    use crate::model::experiment::Role;
    let second = |role, bad: u32| {
        World::new(0, 0).with(|w| {
            w.plan.hypothesis.probes.push(probe("slo", role));
            w.samples
                .extend((0..420).map(|s| seen("slo", f64::from(s), if s < 60 { 0 } else { bad }, 100)));
        })
    };
    second(Role::Verdict, 0).check(Completed, Held, "");
    second(Role::Verdict, 2).check(Completed, Disproved, "");
    second(Role::Observe, 90).check(Completed, Held, "");
}

#[test]
fn a_sample_under_way_at_the_kill_counts_as_after() {
    let world =
        World::new(0, 0).with(|w| w.samples = vec![seen("edge", 59.0, 0, 100), seen("edge", 59.5, 100, 100)]);
    let found = &world.verdict().differences[0];
    assert_eq!(
        (
            found.control_observed,
            found.experiment_observed,
            found.experiment_bad
        ),
        (100, 100, 100)
    );
}

#[test]
fn recoveries_and_harm_fit_together() {
    let world = World::new(0, 0);
    assert_eq!(
        harm(&world.plan.hypothesis, &world.samples, at(60.0), at(420.0))[0].observed,
        36_000
    );
    assert_eq!(
        recoveries(&world.plan, &world.intents, &[], &world.samples)[0].steady,
        None
    );
}
