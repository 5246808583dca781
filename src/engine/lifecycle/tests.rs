//! Each turn of a run, and when a charge is freed.

use super::*;
use crate::engine::fixture::*;
use crate::model::command::Role;
use crate::model::entry::Body;
use crate::model::snapshot::{Gap, GapKind, Health};

/// A world with the good plan, and what its policy's turn looks at besides.
struct Scene {
    world: World,
    watch: Option<WatchView>,
    halted: Option<(String, String)>,
    in_flight: BTreeSet<IntentId>,
    due: Option<DateTime<Utc>>,
}

impl Scene {
    fn new(world: World) -> Self {
        Self {
            world,
            watch: Some(WatchView {
                baseline: BaselineState::Steady {
                    why: "0 % bad".into(),
                },
                steady_since: Some(at(-40)),
            }),
            halted: None,
            in_flight: BTreeSet::new(),
            due: None,
        }
    }

    /// In this phase since a minute and a half ago.
    fn in_phase(phase: Phase) -> Self {
        let mut world = World::good();
        if phase != Phase::AwaitingApproval {
            world.moved(-90, phase);
        }
        Self::new(world)
    }

    fn next(&self) -> Turn {
        let ledger = self.world.ledger();
        next(&View {
            name: &"cart".into(),
            policy: self.world.policy.as_ref().map_err(String::as_str),
            ledger: &ledger,
            snapshot: &self.world.snapshot,
            in_flight: &self.in_flight,
            watch: self.watch.clone(),
            halted: self.halted.clone(),
            now: self.world.now,
            quarantine: TimeDelta::minutes(5),
            kill_retry: KILL_RETRY,
            due: self.due,
        })
    }

    fn end(&mut self) {
        let run = self.world.plan.run.clone();
        let verdict = Box::new(verdict());
        self.world.enter(0, Body::Ended { run, verdict });
    }

    fn abort(&mut self, seconds: i64, cause: AbortCause) {
        let run = self.world.plan.run.clone();
        let body = Body::Aborting {
            run,
            cause,
            breach_to_fence_us: None,
        };
        self.world.enter(seconds, body);
    }

    fn at(&mut self, seconds: i64) {
        self.world.now = at(seconds);
        self.world.snapshot.taken_at = at(seconds - 1);
    }
}

fn words(turn: &Turn) -> String {
    match turn {
        Turn::Wait { why } => format!("wait: {why}"),
        Turn::Settle { intent, state } => format!("settle {intent}: {}", state.word()),
        Turn::Propose { due, requested_by } => format!(
            "propose for {}",
            requested_by
                .as_ref()
                .map_or_else(|| format!("{}", due.unwrap()), ToString::to_string)
        ),
        Turn::Ask { run } => format!("ask {run}"),
        Turn::Do { step, patience, .. } => format!("do {step} until {}", (*patience - at(0)).num_seconds()),
        Turn::Recover { .. } => "recover".into(),
        Turn::Abort { cause, .. } => format!("abort, {}: {cause}", cause.word()),
        Turn::Conclude {
            reason,
            why,
            recovered,
            ..
        } => format!("conclude {reason:?}, recovered {recovered}: {why}"),
    }
}

#[track_caller]
fn check(scene: &Scene, expected: &str) {
    let said = words(&scene.next());
    assert!(said.starts_with(expected), "\n  {said}\nand not\n  {expected}");
}

#[test]
fn without_a_run_it_waits_until_something_is_due_or_somebody_asks() {
    let mut scene = Scene::in_phase(Phase::Recovery);
    scene.end();
    check(&scene, "wait: nothing is due and nobody asked");
    scene.due = Some(at(-5));
    check(&scene, "propose for 2026-11-23 09:59:55 UTC");
    let command = crate::model::command::Command::Run {
        policy: "cart".into(),
    };
    let by = person("bob", Role::Operator);
    let key = None;
    scene.world.enter(0, Body::Asked { by, command, key });
    check(&scene, "propose for @bob");
    scene.world.policy = Err("line 3".into());
    check(&scene, "wait: line 3");
}

#[test]
fn a_plan_waits_for_people_until_a_no_or_its_end() {
    let mut scene = Scene::in_phase(Phase::AwaitingApproval);
    check(&scene, "ask r-CART0001");
    scene.at(3599);
    check(&scene, "ask r-CART0001");
    scene.at(3600);
    check(
        &scene,
        r#"conclude "expired", recovered false: nobody decided before 2026-11-23 11:00:00 UTC; nothing was killed"#,
    );
    let run = scene.world.plan.run.clone();
    let by = person("gil", Role::Approver);
    let reason = "release".into();
    scene.world.enter(3600, Body::Denied { run, by, reason });
    check(
        &scene,
        r#"conclude "denied", recovered false: denied by @gil: release"#,
    );
}

#[test]
fn a_halt_ends_what_is_under_way_and_what_waits_for_people() {
    for phase in [Phase::Baseline, Phase::Steps, Phase::Recovery] {
        let mut scene = Scene::in_phase(phase);
        scene.halted = Some(("@eve".into(), "fire".into()));
        check(&scene, "abort, halt");
    }
    let mut scene = Scene::in_phase(Phase::AwaitingApproval);
    scene.halted = Some(("@eve".into(), "fire".into()));
    check(&scene, r#"conclude "halt""#);
}

#[test]
fn a_changed_or_missing_policy_ends_its_run_in_every_phase() {
    for bad in [true, false] {
        for phase in [
            Phase::AwaitingApproval,
            Phase::Baseline,
            Phase::Steps,
            Phase::Recovery,
        ] {
            let mut scene = Scene::in_phase(phase);
            if bad {
                scene.world.policy = Err("gone".into());
            } else {
                scene.world.policy.as_mut().unwrap().digest = "new".into();
            }
            let waits = phase == Phase::AwaitingApproval;
            check(
                &scene,
                if waits {
                    r#"conclude "policy""#
                } else {
                    "abort, policy"
                },
            );
        }
    }
}

#[test]
fn the_baseline_comes_before_the_first_step() {
    let mut scene = Scene::in_phase(Phase::Baseline);
    // Ten minutes from the beginning of the baseline.
    check(&scene, "do 1 until 510");
    scene.watch = None;
    check(&scene, "wait: the probes are starting");
    let watch = |baseline| {
        Some(WatchView {
            baseline,
            steady_since: None,
        })
    };
    scene.watch = watch(BaselineState::Measuring {
        why: "20 s to go".into(),
    });
    check(&scene, "wait: 20 s to go");
    scene.watch = watch(BaselineState::NotSteady {
        why: "3 % bad".into(),
    });
    check(&scene, r#"conclude "not steady", recovered false: 3 % bad"#);
}

#[test]
fn the_next_step_waits_for_proof_recovery_and_the_gap() {
    let mut scene = Scene::in_phase(Phase::Steps);
    scene.world.killed(-50, 1, acked(0, -1));
    scene.world.snapshot.taken_at = at(-2);
    check(&scene, "wait: r-CART0001/1 is not proven over: acked");

    let mut scene = Scene::in_phase(Phase::Steps);
    scene.world.killed(-50, 1, resolved(-40));
    check(&scene, "wait: the gap of 60 s between steps is not over");
    scene.at(10);
    check(&scene, "do 2 until 550");
    scene.world.app().tasks.pop();
    check(&scene, "wait: 9 of 10 tasks serve");
    scene.at(251);
    check(
        &scene,
        "abort, not recovered: the app had not recovered from step 1 in time: 9 of 10",
    );
    scene.at(250);
    check(&scene, "wait: 9 of 10 tasks serve");
    scene.world.snapshot.apps.clear();
    check(&scene, "wait: /shop/cart can't be seen");

    let mut scene = Scene::in_phase(Phase::Steps);
    scene.world.killed(-70, 1, resolved(-60));
    check(&scene, "do 2");
    scene.watch.as_mut().unwrap().steady_since = None;
    check(
        &scene,
        "wait: the steady state has not held for 30 s since the kill",
    );
    scene.world.killed(-65, 2, resolved(-60));
    check(&scene, "recover");
}

#[test]
fn a_kill_that_did_nothing_or_hangs_ends_the_run() {
    let why = || "refused".to_owned();
    for state in [
        held(-40),
        IntentState::NoEffect {
            why: why(),
            at: at(-40),
        },
        IntentState::NotSent {
            why: why(),
            at: at(-40),
        },
    ] {
        let mut scene = Scene::in_phase(Phase::Steps);
        scene.world.killed(-50, 1, state);
        check(&scene, "abort, kill");
    }
}

#[test]
fn recovery_ends_whole_or_out_of_time() {
    let mut scene = Scene::in_phase(Phase::Recovery);
    scene.world.killed(-50, 1, resolved(-40));
    check(&scene, r#"conclude "", recovered true: whole and steady again"#);
    scene.world.app().tasks.pop();
    check(&scene, "wait: 9 of 10 tasks serve");
    scene.at(250);
    check(&scene, "wait: 9 of 10 tasks serve");
    scene.at(251);
    check(&scene, r#"conclude "", recovered false: 9 of 10 tasks serve"#);
}

#[test]
fn an_abort_waits_for_what_was_killed_and_then_concludes() {
    let stop = || AbortCause::Manual {
        by: "@eve".into(),
        reason: "smoke".into(),
    };
    let mut scene = Scene::in_phase(Phase::Baseline);
    scene.abort(-10, stop());
    check(&scene, r#"conclude "manual", recovered true"#);

    let mut scene = Scene::in_phase(Phase::Steps);
    scene.world.killed(-50, 1, held(-40));
    scene.abort(-10, stop());
    check(&scene, "wait: what was killed is not whole and steady again");
    scene.halted = Some(("@eve".into(), "fire".into()));
    check(&scene, "wait: ");
    scene.at(291);
    check(&scene, r#"conclude "manual", recovered false"#);

    let mut scene = Scene::in_phase(Phase::Steps);
    scene.world.killed(-50, 1, resolved(-40));
    scene.abort(-10, stop());
    check(&scene, r#"conclude "manual", recovered true"#);
    scene.watch = None;
    check(&scene, "wait: ");
}

#[test]
fn after_a_restart_whole_is_all_that_can_be_known() {
    let mut scene = Scene::in_phase(Phase::Steps);
    scene.world.killed(-50, 1, resolved(-40));
    scene.abort(-10, AbortCause::Restarted);
    scene.watch = None;
    check(&scene, r#"conclude "operator restarted", recovered true"#);
}

/// A run in its steps with one kill 60 s ago, in this state.
fn one_kill(state: IntentState) -> Scene {
    let mut scene = Scene::in_phase(Phase::Steps);
    scene.world.killed(-60, 1, state);
    scene
}

/// Task 0 was killed, and its next incarnation serves.
fn replace(scene: &mut Scene) {
    let heir = &mut scene.world.app().tasks[0];
    heir.id = "cart.instance-0._app.2".into();
    heir.incarnation = Some(2);
    heir.started_at = Some(at(-50));
    heir.health = Health::Reported {
        alive: true,
        last_success: Some(at(-3)),
        first_success: Some(at(-45)),
    };
}

const NOT_YET: &str = "wait: r-CART0001/1 is not proven over";

#[test]
fn an_intent_without_a_record_may_have_happened_once_its_deadline_is_over() {
    let mut scene = one_kill(IntentState::Open);
    check(&scene, "settle r-CART0001/1: ambiguous");
    scene.in_flight.insert("r-CART0001/1".into());
    check(&scene, NOT_YET);
    scene.in_flight.clear();
    scene.at(-55);
    check(&scene, NOT_YET);
    scene.at(-54);
    check(&scene, "settle r-CART0001/1: ambiguous");
}

#[test]
fn an_answered_kill_is_over_when_its_task_is_gone_and_replaced_in_a_later_view() {
    let mut scene = one_kill(acked(0, -59));
    check(&scene, NOT_YET);
    replace(&mut scene);
    check(&scene, "settle r-CART0001/1: resolved");
    scene.world.snapshot.taken_at = at(-59);
    check(&scene, NOT_YET);
    scene.world.snapshot.taken_at = at(-58);
    check(&scene, "settle r-CART0001/1: resolved");
    scene.world.snapshot.gaps.push(Gap {
        app: None,
        what: GapKind::Apps,
        why: "half".into(),
    });
    check(&scene, NOT_YET);
}

#[test]
fn a_target_that_is_only_gone_stays_charged() {
    let mut scene = one_kill(acked(0, -59));
    scene.world.app().tasks.remove(0);
    check(&scene, NOT_YET);
    // The heir that is not healthy by its own checks is no replacement.
    let mut scene = one_kill(acked(0, -59));
    replace(&mut scene);
    scene.world.app().tasks[0].started_at = Some(at(-2));
    check(&scene, NOT_YET);
    // A row of the dead task that stays listed does not stand in the way.
    let mut scene = one_kill(acked(0, -59));
    let mut dead = task(0);
    dead.state = TaskState::Over("TASK_KILLED".into());
    replace(&mut scene);
    scene.world.app().tasks.push(dead);
    check(&scene, "settle r-CART0001/1: resolved");
}

#[test]
fn the_ids_that_marathon_answered_with_decide_and_not_those_we_asked_for() {
    // Task .1 died by itself; the kill was answered with its heir .2, which still serves.
    let heir = IntentState::Acked {
        tasks: vec!["cart.instance-0._app.2".into()],
        at: at(-59),
    };
    let mut scene = one_kill(heir);
    replace(&mut scene);
    check(&scene, NOT_YET);
    scene.world.app().tasks[0].id = "cart.instance-0._app.3".into();
    check(&scene, "settle r-CART0001/1: resolved");
}

#[test]
fn an_accepted_kill_whose_task_still_runs_after_the_quarantine_needs_a_person() {
    let mut scene = one_kill(acked(0, -59));
    well_at(&mut scene, -60);
    // It has not answered a health check since: nobody can say that it was not asked to end.
    scene.at(246);
    assert!(!words(&scene.next()).starts_with("settle"));
    scene.at(247);
    check(&scene, "settle r-CART0001/1: held");
    // However patient the app is, Marathon gets its grace and two more attempts on top.
    scene.world.app().kill_grace_s = Some(600);
    assert!(!words(&scene.next()).starts_with("settle"));
    scene.at(-59 + 600 + 60 + 2);
    check(&scene, "settle r-CART0001/1: held");
    let mut scene = one_kill(held(-50));
    replace(&mut scene);
    scene.at(100_000);
    assert!(
        !words(&scene.next()).starts_with("settle"),
        "only a person frees it"
    );
}

/// The task of the kill, and every other, answered its last health check then.
fn well_at(scene: &mut Scene, seconds: i64) {
    for task in &mut scene.world.app().tasks {
        task.health = Health::Reported {
            alive: true,
            last_success: Some(at(seconds)),
            first_success: Some(at(-86_300)),
        };
    }
}

#[test]
fn a_kill_that_marathon_dropped_did_nothing_once_its_task_is_well_long_after_its_grace() {
    let mut scene = one_kill(acked(0, -59));
    well_at(&mut scene, 200);
    scene.at(246);
    assert!(
        !words(&scene.next()).starts_with("settle"),
        "it may still land, as one without an answer may"
    );
    scene.at(247);
    check(&scene, "settle r-CART0001/1: no effect");
    // Within its grace a dying task still answers its checks.
    scene.world.app().kill_grace_s = Some(300);
    scene.at(-59 + 300 + 60 + 2);
    check(&scene, "settle r-CART0001/1: held");
    well_at(&mut scene, 300);
    check(&scene, "settle r-CART0001/1: no effect");
    // Another task is down meanwhile: it could be the kill's doing.
    scene.world.app().tasks[5].state = TaskState::Staging;
    check(&scene, "settle r-CART0001/1: held");
}

#[test]
fn a_pod_that_no_list_shows_is_not_taken_for_gone() {
    for (state, late) in [(acked(0, -59), 0), (ambiguous(-55), 247)] {
        let mut scene = one_kill(state.clone());
        scene.world.snapshot.apps.clear();
        scene.at(late);
        check(&scene, "settle r-CART0001/1: resolved");
        let mut scene = one_kill(state);
        for entry in &mut scene.world.entries {
            if let Body::Intended { intent, .. } = &mut entry.body {
                intent.targets[0].pod = true;
            }
        }
        scene.world.snapshot.apps.clear();
        scene.at(late);
        assert!(!words(&scene.next()).starts_with("settle"));
    }
}

#[test]
fn people_are_told_of_a_kill_that_should_have_shown_by_now_and_why_it_may_not_have() {
    let told = |change: &dyn Fn(&mut Scene), seconds: i64| {
        let mut scene = one_kill(acked(0, -59));
        change(&mut scene);
        scene.at(seconds);
        let ledger = scene.world.ledger();
        let (_, intent) = ledger.charged().next().unwrap();
        let (snapshot, app) = (&scene.world.snapshot, "/shop/cart".into());
        let info = snapshot.info.as_ref().unwrap();
        without_effect(&snapshot.apps[&app], intent, info, KILL_RETRY, scene.world.now)
    };
    let nothing = |_: &mut Scene| {};
    // Ten seconds of grace, and twice thirty for Marathon to try again.
    assert_eq!(told(&nothing, -59 + 70), None);
    let said = told(&nothing, -59 + 71).unwrap();
    assert!(
        said.starts_with("Marathon accepted kill r-CART0001/1 of /shop/cart 71 s ago and "),
        "{said}"
    );
    assert!(
        said.contains("a leader that ends right after its answer forgets the kill"),
        "{said}"
    );
    let old = |scene: &mut Scene| scene.world.snapshot.info.as_mut().unwrap().version.minor = 7;
    let said = told(&old, 100).unwrap();
    assert!(
        said.contains("Marathon 1.7 answers 200 and drops a kill while the app is locked"),
        "{said}"
    );
    let showing = |scene: &mut Scene| scene.world.snapshot.info.as_mut().unwrap().task_killing = true;
    assert!(
        told(&showing, 100)
            .unwrap()
            .contains("would show it as TASK_KILLING")
    );
    let away = |scene: &mut Scene| scene.world.app().tasks[0].state = TaskState::Unreachable;
    assert!(told(&away, 100).unwrap().contains("its agent is unreachable"));
    let dying = |scene: &mut Scene| scene.world.app().tasks[0].state = TaskState::Killing;
    assert_eq!(told(&dying, 100), None, "it has shown");
    let patient = |scene: &mut Scene| scene.world.app().kill_grace_s = Some(600);
    assert_eq!(told(&patient, 600), None);
    let gone = |scene: &mut Scene| drop(scene.world.app().tasks.remove(0));
    assert_eq!(told(&gone, 100), None);
}

#[test]
fn an_unanswered_kill_is_over_only_after_the_quarantine_and_then_only_if_all_serve() {
    let mut scene = one_kill(ambiguous(-55));
    replace(&mut scene);
    check(&scene, NOT_YET);
    // Deadline 5 s after the intent, quarantine 5 min: the view has to be from after second 245.
    scene.at(246);
    assert!(!words(&scene.next()).starts_with("settle"));
    scene.at(247);
    check(&scene, "settle r-CART0001/1: resolved");
    scene.world.app().tasks.remove(0);
    assert!(!words(&scene.next()).starts_with("settle"));
}

#[test]
fn a_charge_outlives_its_run_and_is_settled_all_the_same() {
    let mut scene = one_kill(IntentState::Open);
    scene.end();
    check(&scene, "settle r-CART0001/1: ambiguous");
}
