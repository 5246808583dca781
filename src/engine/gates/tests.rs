//! One table per gate, and what holds for all of them.

use crate::engine::admit::admit;
use crate::engine::fixture::*;
use crate::engine::gates::{REGISTRY, blocks_asking, blocks_starting};
use crate::model::command::Role;
use crate::model::entry::Body;
use crate::model::gate::{Answer, GateAnswer, GateName, Judgement, PagerAnswer};
use crate::model::ids::PlanDigest;
use crate::model::plan::Plan;
use crate::model::policy::{ApprovalMode, Freeze, Mode};
use crate::model::run::{IntentState, Phase};
use crate::model::snapshot::{Gap, GapKind, Health, MarathonVersion, TaskState};
use chrono::TimeDelta;
use std::time::Duration;

/// Checks what a gate says about step `number` of a world; `expected` is the answer's kind and a part of
/// its sentence.
#[track_caller]
fn says(world: &World, gate: GateName, number: u32, expected: &str) {
    let answer = world.answer(gate, number);
    let said = format!("{}: {}", answer.word(), answer.why());
    let (kind, words) = expected.split_once(": ").unwrap();
    assert!(
        answer.word() == kind && said.contains(words),
        "{gate} says\n  {said}\nand not\n  {expected}"
    );
}

/// The same about the first step of the good world with one change.
#[track_caller]
fn check(gate: GateName, change: impl FnOnce(&mut World), expected: &str) {
    let mut world = World::good();
    change(&mut world);
    says(&world, gate, 1, expected);
}

fn gap(app: Option<&str>, what: GapKind, why: &str) -> Gap {
    Gap {
        app: app.map(Into::into),
        what,
        why: why.into(),
    }
}

fn replanned(change: impl FnOnce(&mut Plan)) -> World {
    let mut plan = plan();
    change(&mut plan);
    World::planned(plan)
}

/// Makes one gate say no.
type Spoil = fn(&mut World);

/// For each gate, a change that makes it say no and no other.
const ONLY: [(GateName, Spoil); 16] = [
    (GateName::Halt, |w| w.halt_file = Err("permission denied".into())),
    (GateName::Armed, |w| w.armed = false),
    (GateName::Leadership, |w| {
        w.leader = Answer::Refuse("another leads".into())
    }),
    (GateName::Clock, |w| w.drift = TimeDelta::seconds(-31)),
    (GateName::Freshness, |w| w.snapshot.taken_at = at(-11)),
    (GateName::Policy, |w| {
        w.policy.as_mut().unwrap().digest = "changed".into()
    }),
    (GateName::Window, |w| w.limits.freezes.push(freeze())),
    (GateName::Target, |w| w.app().version = "v2".into()),
    (GateName::Budget, |w| w.limits.kills_per_hour = 0),
    (GateName::BlastRadius, |w| w.limits.tasks_down = 0),
    (GateName::Deployment, |w| w.app().deployments.push("d-1".into())),
    (GateName::Overlap, |w| {
        w.other_run(-30, "r-OTHER001", "other", "/shop/cart");
    }),
    (GateName::Outage, |w| w.pager = PagerAnswer::Unknown("503".into())),
    (GateName::SteadyState, |w| {
        w.watch.as_mut().unwrap().steady = Answer::Refuse("2 % bad".into());
    }),
    (GateName::ProbeFreshness, |w| {
        w.watch.as_mut().unwrap().fresh = Answer::Unknown("no answer for 3 s".into());
    }),
    (GateName::Approval, |w| w.members = Err("Slack is down".into())),
];

fn freeze() -> Freeze {
    Freeze {
        from: at(0).date_naive(),
        to: at(0).date_naive(),
        why: "Black Friday".into(),
    }
}

#[test]
fn every_gate_says_yes_in_the_good_world() {
    let judgement = World::good().judge(1);
    assert_eq!(
        judgement.blockers().collect::<Vec<_>>(),
        Vec::<&GateAnswer>::new()
    );
    assert!(judgement.passes());
    let asked: Vec<_> = judgement.answers.iter().map(|a| a.gate).collect();
    assert_eq!(asked, GateName::ALL);
}

#[test]
fn a_single_gate_that_says_no_is_enough_and_is_named() {
    for (gate, change) in ONLY {
        let mut world = World::good();
        change(&mut world);
        let judgement = world.judge(1);
        let blockers: Vec<_> = judgement.blockers().map(|b| b.gate).collect();
        assert_eq!(blockers, [gate]);
        assert!(!judgement.passes(), "{gate} alone");
        assert_eq!(judgement.first_blocker().map(|b| b.gate), Some(gate));
        assert!(
            admit(&world.plan, &world.plan.steps[0], &judgement).is_none(),
            "{gate} alone"
        );
    }
    let named: Vec<_> = ONLY.iter().map(|(gate, _)| *gate).collect();
    assert_eq!(
        named,
        GateName::ALL,
        "a gate without a way to make only it say no"
    );
    let registered: Vec<_> = REGISTRY.iter().map(|(gate, _)| *gate).collect();
    assert_eq!(registered, GateName::ALL);
}

#[test]
fn all_gates_are_asked_even_after_one_has_said_no() {
    let mut world = World::good();
    for (_, change) in ONLY {
        change(&mut world);
    }
    let judgement = world.judge(1);
    assert_eq!(judgement.blockers().count(), GateName::ALL.len());
    assert_eq!(judgement.first_blocker().unwrap().gate, GateName::Halt);
}

#[test]
fn a_judgement_that_lacks_a_gate_gives_no_permit() {
    let world = World::good();
    for index in 0..GateName::ALL.len() {
        let mut judgement = world.judge(1);
        judgement.answers.remove(index);
        assert!(!judgement.passes());
        assert!(admit(&world.plan, &world.plan.steps[0], &judgement).is_none());
    }
}

#[test]
fn a_permit_is_for_one_step_of_one_plan_of_one_run() {
    let world = World::good();
    let (plan, steps) = (&world.plan, &world.plan.steps);
    let judgement = world.judge(1);
    let permit = admit(plan, &steps[0], &judgement).unwrap();
    assert!(permit.covers(&plan.digest(), 1));
    assert!(!permit.covers(&plan.digest(), 2));
    assert!(!permit.covers(&PlanDigest::from("another"), 1));
    assert_eq!(permit.step(), 1);

    assert!(
        admit(plan, &steps[1], &judgement).is_none(),
        "judged another step"
    );
    let mut other = plan.clone();
    other.remarks.push("not what was judged".into());
    assert!(
        admit(&other, &steps[0], &judgement).is_none(),
        "judged another plan"
    );
    let mut elsewhere = judgement;
    elsewhere.run = "r-OTHER001".into();
    assert!(admit(plan, &steps[0], &elsewhere).is_none(), "judged another run");
}

#[test]
fn only_what_can_be_answered_later_stands_back_when_people_are_asked() {
    for (gate, change) in ONLY {
        let mut world = World::good();
        change(&mut world);
        let judgement = world.judge(1);
        let probes = matches!(gate, GateName::SteadyState | GateName::ProbeFreshness);
        let later = probes || gate == GateName::Approval;
        assert_eq!(blocks_asking(&judgement).is_none(), later, "{gate}");
        assert_eq!(blocks_starting(&judgement).is_none(), probes, "{gate}");
    }
}

#[test]
fn the_halt_gate_believes_journal_and_file() {
    let gate = GateName::Halt;
    check(gate, |_| {}, "pass: no halt is in force");
    check(
        gate,
        |w| w.halt_file = Ok(Some("flood".into())),
        "refuse: the halt file is there: flood",
    );
    check(
        gate,
        |w| w.halt_file = Err("permission denied".into()),
        "unknown: can't be read, which counts as a halt: permission denied",
    );
    let halted = Body::Halted {
        by: person("eve", Role::Stop),
        reason: "fire".into(),
    };
    check(
        gate,
        |w| w.enter(-9, halted.clone()),
        "refuse: halted by @eve (Slack) since 2026-11-23 09:59:51 UTC: fire",
    );
    check(
        gate,
        |w| {
            w.enter(-9, halted);
            let by = person("adm", Role::Admin);
            let reason = "out".into();
            w.enter(-8, Body::Resumed { by, reason });
        },
        "pass: no halt",
    );
}

#[test]
fn the_armed_gate_lets_only_rehearsals_through_unarmed() {
    let gate = GateName::Armed;
    check(gate, |_| {}, "pass: `armed: true`");
    check(gate, |w| w.armed = false, "refuse: the operator is not armed");
    let mut rehearsal = replanned(|p| p.mode = Mode::Rehearse);
    rehearsal.armed = false;
    says(&rehearsal, gate, 1, "pass: a rehearsal reaches nothing");
    says(
        &replanned(|p| p.mode = Mode::Off),
        gate,
        1,
        "refuse: the plan's mode is off",
    );
}

#[test]
fn the_leadership_gate_repeats_what_the_operator_knows() {
    let gate = GateName::Leadership;
    check(gate, |_| {}, "pass: yes");
    check(
        gate,
        |w| w.leader = Answer::Refuse("lost the lock".into()),
        "refuse: lost the lock",
    );
    check(
        gate,
        |w| w.leader = Answer::Unknown("the store is away".into()),
        "unknown: the store is away",
    );
}

#[test]
fn the_clock_gate_wants_all_clocks_within_thirty_seconds() {
    let gate = GateName::Clock;
    check(gate, |_| {}, "pass: Marathon's clock is 0 s away");
    check(gate, |w| w.drift = TimeDelta::seconds(30), "pass: ");
    check(
        gate,
        |w| w.drift = TimeDelta::seconds(31),
        "unknown: the wall clock moved 31 s",
    );
    check(
        gate,
        |w| w.drift = TimeDelta::seconds(-31),
        "unknown: the wall clock moved -31 s",
    );
    check(
        gate,
        |w| w.enter(31, Body::Stopped { why: "later".into() }),
        "unknown: the journal's last entry is 31 s in the future",
    );
    for ms in [30_001, -30_001] {
        let offset = |w: &mut World| w.snapshot.info.as_mut().unwrap().clock_offset_ms = Some(ms);
        check(
            gate,
            offset,
            &format!("unknown: Marathon's clock is {} s away", ms / 1000),
        );
    }
    check(
        gate,
        |w| w.snapshot.info.as_mut().unwrap().clock_offset_ms = None,
        "pass: the clock agrees with the machine's progress and with the journal",
    );
}

#[test]
fn the_freshness_gate_wants_a_young_whole_view_of_the_pinned_cluster() {
    let gate = GateName::Freshness;
    check(gate, |_| {}, "pass: seen 2 s ago, whole, framework fw-1");
    check(gate, |w| w.snapshot.taken_at = at(-10), "pass: seen 10 s ago");
    check(
        gate,
        |w| w.snapshot.taken_at = at(-10) - TimeDelta::milliseconds(1),
        "unknown: the snapshot is 10 s old, at most 10 s are trusted",
    );
    check(
        gate,
        |w| w.snapshot.taken_at = at(2),
        "unknown: the snapshot is -2 s old",
    );
    check(
        gate,
        |w| {
            w.snapshot.info = None;
            w.snapshot
                .gaps
                .push(gap(None, GapKind::Info, "/v2/info timed out"));
        },
        "unknown: /v2/info timed out",
    );
    check(
        gate,
        |w| w.snapshot.info = None,
        "unknown: Marathon did not say who it is",
    );
    check(
        gate,
        |w| w.snapshot.info.as_mut().unwrap().framework_id = "fw-2".into(),
        r#"refuse: another Marathon: it calls itself framework "fw-2", the pinned one is "fw-1""#,
    );
    says(
        &replanned(|p| p.framework_id = "fw-0".into()),
        gate,
        1,
        r#"refuse: the plan is for "fw-0""#,
    );
    check(
        gate,
        |w| w.snapshot.gaps.push(gap(None, GapKind::Deployments, "no list")),
        "unknown: something could not be seen: no list",
    );
    check(
        gate,
        |w| {
            w.snapshot
                .gaps
                .push(gap(Some("/shop/cart"), GapKind::Apps, "half a row"))
        },
        "unknown: half a row",
    );
    check(
        gate,
        |w| {
            w.snapshot
                .gaps
                .push(gap(Some("/else"), GapKind::Apps, "half a row"))
        },
        "pass: seen 2 s ago",
    );
}

#[test]
fn a_view_from_before_our_own_last_effect_is_not_trusted() {
    let gate = GateName::Freshness;
    let before = "unknown: the snapshot is from before our own last kill was answered";
    for state in [IntentState::Open, acked(0, -1), ambiguous(-1)] {
        check(gate, |w| w.killed(-2, 1, state), before);
    }
    check(gate, |w| w.killed(-10, 1, acked(0, -3)), "pass: ");
    check(gate, |w| w.killed(-10, 1, acked(0, -2)), before);
    // What another run did to the same cluster is an effect of ours as well.
    check(
        gate,
        |w| {
            let other = w.other_run(-30, "r-OTHER001", "other", "/shop/pay");
            w.killed_by(&other, -10, 1, acked(0, -1));
        },
        before,
    );
}

#[test]
fn the_policy_gate_wants_the_policy_that_was_planned_for() {
    let gate = GateName::Policy;
    check(gate, |_| {}, "pass: policy cart is unchanged, mode enforce");
    check(
        gate,
        |w| w.policy = Err("line 3: unknown field".into()),
        "refuse: policy cart is not active: line 3",
    );
    check(
        gate,
        |w| w.policy.as_mut().unwrap().mode = Mode::Off,
        "refuse: policy cart has `mode: off`",
    );
    check(
        gate,
        |w| w.policy.as_mut().unwrap().digest = "new".into(),
        "refuse: policy cart was changed after the plan was made",
    );
}

#[test]
fn the_window_gate_wants_the_whole_rest_of_the_plan_to_fit() {
    let gate = GateName::Window;
    // Ten minutes of baseline and twice five of recovery: over by 11:20 in Berlin.
    check(
        gate,
        |_| {},
        "pass: open until Mon 17:00:00 CET; the rest of the plan is over by Mon 11:20:00 CET",
    );
    let closing = |hour, minute| {
        move |w: &mut World| {
            let window = &mut w.policy.as_mut().unwrap().schedule.windows[0];
            window.to = chrono::NaiveTime::from_hms_opt(hour, minute, 0).unwrap();
        }
    };
    check(gate, closing(11, 21), "pass: ");
    check(
        gate,
        closing(11, 20),
        "refuse: the rest of the plan may take 1200 s, until Mon 11:20:00 CET, and the window closes Mon 11:20:00 CET",
    );
    // Before the second step only one recovery is left.
    let mut world = World::good();
    closing(11, 6)(&mut world);
    says(&world, gate, 2, "pass: over by Mon 11:05:00 CET");
    closing(11, 5)(&mut world);
    says(&world, gate, 2, "refuse: the rest of the plan may take 300 s");
    check(gate, closing(10, 59), "refuse: ");
    check(
        gate,
        |w| w.policy.as_mut().unwrap().schedule.windows.clear(),
        "refuse: ",
    );
    check(gate, |w| w.limits.freezes.push(freeze()), "refuse: Black Friday");
    check(
        gate,
        |w| w.policy = Err("gone".into()),
        "unknown: without an active policy there is no window: gone",
    );
}

#[test]
fn the_target_gate_wants_exactly_the_planned_incarnations() {
    let gate = GateName::Target;
    check(
        gate,
        |_| {},
        "pass: 1 planned tasks of /shop/cart are there and may be hit",
    );
    check(
        gate,
        |w| w.app().version = "v2".into(),
        "refuse: the definition of /shop/cart changed",
    );
    check(
        gate,
        |w| w.app().tasks[0].id = "cart.instance-0._app.2".into(),
        "refuse: planned task cart.instance-0._app.1 is gone",
    );
    check(
        gate,
        |w| w.app().tasks[0].state = TaskState::Unreachable,
        "refuse: it is not running (Unreachable)",
    );
    check(
        gate,
        |w| w.app().tasks[0].started_at = None,
        "refuse: nobody knows when it started",
    );
    check(
        gate,
        |w| w.app().tasks[0].started_at = Some(at(-599)),
        "refuse: it is 599 s old, `minAge` is 600 s",
    );
    check(
        gate,
        |w| w.app().tasks[0].health = Health::Unreported,
        "refuse: it does not count as healthy",
    );
    check(
        gate,
        |w| _ = w.app().labels.remove("chaos"),
        "refuse: /shop/cart is not opted in",
    );
    check(
        gate,
        |w| _ = w.app().labels.insert("team".into(), "pay".into()),
        r#"refuse: /shop/cart belongs to team "pay""#,
    );
    check(
        gate,
        |w| w.ownership.owners_bad = Some("line 2".into()),
        "unknown: owners.yaml can't be used",
    );
    check(
        gate,
        |w| w.app().resident = true,
        "refuse: /shop/cart is resident",
    );
    check(
        gate,
        |w| w.app().health_checked = false,
        "refuse: /shop/cart has no health check",
    );
    check(
        gate,
        |w| w.app().instances = 1,
        "refuse: /shop/cart has 1 instance: nothing would be left",
    );
    check(
        gate,
        |w| {
            w.limits
                .forbidden_apps
                .push(crate::model::policy::AppPattern("/shop/*".into()))
        },
        "refuse: /shop/cart is forbidden by the settings (/shop/*)",
    );
    check(
        gate,
        |w| w.snapshot.apps.clear(),
        "refuse: /shop/cart is not among the apps that Marathon shows",
    );
    check(
        gate,
        |w| {
            w.snapshot.apps.clear();
            w.snapshot.gaps.push(gap(None, GapKind::Apps, "timed out"));
        },
        "unknown: /shop/cart could not be seen: timed out",
    );
    check(
        gate,
        |w| w.policy = Err("gone".into()),
        "unknown: without an active policy nothing is a target",
    );
}

#[test]
fn the_budget_gate_counts_across_runs_policies_and_days() {
    let gate = GateName::Budget;
    check(gate, |_| {}, "pass: 4 of 4 kills per 3600 s are free");
    // What was sent and may have been sent counts; what never left does not.
    let sent = |state: IntentState| {
        let mut world = replanned(|p| p.rate_limit.kills = 1);
        world.killed(-1800, 1, state);
        world
    };
    says(
        &sent(resolved(-1799)),
        gate,
        2,
        "refuse: policy cart may kill 1 in any 3600 s: free at 2026-11-23 10:30:01 UTC",
    );
    for state in [IntentState::Open, acked(0, -1799), ambiguous(-1799), held(-1799)] {
        says(
            &sent(state),
            gate,
            2,
            "refuse: policy cart may kill 1 in any 3600 s: free at 2026-11-23 11:00:00 UTC",
        );
    }
    let why = || "no byte".to_owned();
    says(
        &sent(IntentState::NotSent {
            why: why(),
            at: at(-1799),
        }),
        gate,
        2,
        "pass: 1 of 1",
    );
    says(
        &sent(IntentState::NoEffect {
            why: why(),
            at: at(-1799),
        }),
        gate,
        2,
        "refuse: policy cart may kill 1 in any 3600 s: free at 2026-11-23 10:30:01 UTC",
    );
    says(
        &replanned(|p| p.rate_limit.kills = 0),
        gate,
        1,
        "refuse: policy cart may kill 0 per 3600 s, burst 4: it never will",
    );
    says(
        &replanned(|p| p.rate_limit.burst = 0),
        gate,
        1,
        "refuse: burst 0: it never will",
    );

    let elsewhere = |limit: fn(&mut World)| {
        move |w: &mut World| {
            limit(w);
            let other = w.other_run(-1900, "r-OTHER001", "other", "/shop/pay");
            w.killed_by(&other, -1800, 1, resolved(-1799));
        }
    };
    check(gate, elsewhere(|w| w.limits.kills_per_hour = 2), "pass: ");
    check(
        gate,
        elsewhere(|w| w.limits.kills_per_hour = 1),
        "refuse: the cluster's limit is 1 kills in any hour: free at 2026-11-23 10:30:01 UTC",
    );
    check(
        gate,
        elsewhere(|w| w.limits.kills_per_workday = 1),
        "refuse: the cluster's limit is 1 kills per work day, 1 were made today",
    );
    let mut rehearsal = replanned(|p| p.mode = Mode::Rehearse);
    rehearsal.limits.kills_per_hour = 0;
    says(&rehearsal, gate, 1, "pass: a rehearsal uses no budget");
}

#[test]
fn the_blast_radius_gate_counts_what_is_down_for_any_reason() {
    let gate = GateName::BlastRadius;
    check(
        gate,
        |_| {},
        "pass: 1 of at most 1: 10 of 10 healthy, 0 charged to us, 0 down for other reasons",
    );
    check(
        gate,
        |w| w.app().tasks[5].state = TaskState::Staging,
        "refuse: 1 more would exceed the blast radius of 1: 9 of 10 healthy, 0 charged to us, 1 down for other reasons",
    );
    check(
        gate,
        |w| _ = w.app().tasks.pop(),
        "refuse: 9 of 10 healthy, 0 charged to us, 1 down for other reasons",
    );
    check(
        gate,
        |w| w.limits.tasks_down = 0,
        "refuse: 1 more would exceed the cluster's limit of 0 tasks down by us at once: 0 are charged",
    );
    check(
        gate,
        |w| {
            w.app().instances = 4;
            w.app().tasks.truncate(4);
        },
        "refuse: the blast radius of /shop/cart rounds down to 0 (maxTasks 1, 20 % of 4, minHealthy 1)",
    );
    check(
        gate,
        |w| w.snapshot.apps.clear(),
        "refuse: /shop/cart is not among the apps",
    );
    check(
        gate,
        |w| {
            w.snapshot.apps.clear();
            w.snapshot.gaps.push(gap(None, GapKind::Apps, "timed out"));
        },
        "unknown: /shop/cart could not be seen",
    );
    let mut least = replanned(|p| p.blast_radius.min_healthy = 9);
    says(&least, gate, 1, "pass: ");
    least = replanned(|p| p.blast_radius.min_healthy = 10);
    says(&least, gate, 1, "refuse: rounds down to 0");
}

#[test]
fn a_kill_that_is_not_proven_over_stays_charged_though_its_target_still_serves() {
    let gate = GateName::BlastRadius;
    let charged = "refuse: 1 more would exceed the blast radius of 1: 10 of 10 healthy, 1 charged to us, 0 down for other reasons";
    for state in [IntentState::Open, acked(0, -59), ambiguous(-59), held(-59)] {
        let mut world = World::good();
        world.killed(-60, 1, state);
        says(&world, gate, 2, charged);
    }
    let why = || "no".to_owned();
    for over in [
        resolved(-59),
        IntentState::NotSent {
            why: why(),
            at: at(-59),
        },
        IntentState::NoEffect {
            why: why(),
            at: at(-59),
        },
    ] {
        let mut world = World::good();
        world.killed(-60, 1, over);
        says(&world, gate, 2, "pass: 10 of 10 healthy, 0 charged to us");
    }
    // A charged task that is down explains one missing instance, and only one.
    let mut world = replanned(|p| p.blast_radius.max_tasks = 2);
    world.killed(-60, 1, acked(0, -59));
    world.app().tasks.remove(0);
    says(
        &world,
        gate,
        2,
        "pass: 1 of at most 2: 9 of 10 healthy, 1 charged to us, 0 down for other reasons",
    );
    world.app().tasks.remove(5);
    says(
        &world,
        gate,
        2,
        "refuse: 8 of 10 healthy, 1 charged to us, 1 down for other reasons",
    );
    // A charge that still serves stands on top of what is down.
    let mut world = replanned(|p| p.blast_radius.max_tasks = 2);
    world.killed(-60, 1, ambiguous(-59));
    world.app().tasks.remove(5);
    says(
        &world,
        gate,
        2,
        "refuse: 9 of 10 healthy, 1 charged to us, 1 down for other reasons",
    );
}

#[test]
fn a_replacement_that_inherits_its_predecessors_health_does_not_serve() {
    let mut world = World::good();
    // Seen on 1.11: the new incarnation is staged and already `alive`, by the dead one's checks.
    world.killed(-60, 1, resolved(-30));
    let heir = &mut world.app().tasks[0];
    heir.id = "cart.instance-0._app.2".into();
    heir.incarnation = Some(2);
    heir.state = TaskState::Staging;
    heir.started_at = None;
    heir.health = Health::Reported {
        alive: true,
        last_success: Some(at(-61)),
        first_success: Some(at(-86_300)),
    };
    let refused = "refuse: 1 more would exceed the blast radius of 1: 9 of 10 healthy, 0 charged to us, 1 down for other reasons";
    says(&world, GateName::BlastRadius, 2, refused);
    // Running is not enough while no check has answered since.
    let heir = &mut world.app().tasks[0];
    heir.state = TaskState::Running;
    heir.started_at = Some(at(-40));
    says(&world, GateName::BlastRadius, 2, refused);
    world.app().tasks[0].health = Health::Reported {
        alive: true,
        last_success: Some(at(-39)),
        first_success: Some(at(-39)),
    };
    says(&world, GateName::BlastRadius, 2, "pass: 10 of 10 healthy");
}

#[test]
fn the_deployment_gate_waits_for_marathons_own_business() {
    let gate = GateName::Deployment;
    check(
        gate,
        |_| {},
        "pass: no deployment and no launch delay on /shop/cart",
    );
    check(
        gate,
        |w| w.app().deployments.push("d-7".into()),
        "refuse: deployment d-7 is at work on /shop/cart",
    );
    check(
        gate,
        |w| w.app().launch_delay_s = Some(40),
        "refuse: delays launches of /shop/cart for another 40 s",
    );
    check(gate, |w| w.app().launch_delay_s = Some(0), "pass: ");
    check(
        gate,
        |w| w.snapshot.info = None,
        "unknown: Marathon did not say its version",
    );
}

#[test]
fn an_old_marathon_gets_no_kill_while_another_is_outstanding() {
    let gate = GateName::Deployment;
    let mut world = World::good();
    world.killed(-60, 1, acked(0, -59));
    says(&world, gate, 2, "pass: ");
    let version = MarathonVersion { major: 1, minor: 7 };
    world.snapshot.info.as_mut().unwrap().version = version;
    says(
        &world,
        gate,
        2,
        "refuse: a kill on /shop/cart is outstanding, and Marathon 1.7 would silently drop another",
    );
    let intent = crate::model::ids::IntentId::of(&world.plan.run, 1);
    let state = resolved(-5);
    world.enter(-5, Body::Settled { intent, state });
    says(&world, gate, 2, "pass: ");
}

#[test]
fn the_overlap_gate_keeps_runs_apart() {
    let gate = GateName::Overlap;
    check(gate, |_| {}, "pass: no other run touches /shop/cart");
    check(
        gate,
        |w| _ = w.other_run(-30, "r-OTHER001", "other", "/shop/cart"),
        "refuse: run r-OTHER001 is not over on /shop/cart",
    );
    check(
        gate,
        |w| _ = w.other_run(-30, "r-OTHER001", "other", "/shop/pay"),
        "pass: ",
    );
    check(
        gate,
        |w| _ = w.other_run(-30, "r-OTHER001", "cart", "/shop/pay"),
        "refuse: policy cart is at work on 1 apps, maxApps is 1",
    );
    let ended = |state: IntentState| {
        move |w: &mut World| {
            let other = w.other_run(-90, "r-OTHER001", "other", "/shop/cart");
            w.killed_by(&other, -80, 1, state);
            let verdict = Box::new(verdict());
            w.enter(
                -20,
                Body::Ended {
                    run: other.run,
                    verdict,
                },
            );
        }
    };
    check(
        gate,
        ended(held(-79)),
        "refuse: run r-OTHER001 is not over on /shop/cart",
    );
    check(gate, ended(resolved(-79)), "pass: ");
}

#[test]
fn the_outage_gate_takes_silence_for_ringing() {
    let gate = GateName::Outage;
    check(gate, |_| {}, "pass: no matching alert is active");
    check(
        gate,
        |w| w.pager = PagerAnswer::NotConfigured,
        "pass: the settings name no pager",
    );
    check(
        gate,
        |w| w.pager = PagerAnswer::Ringing(vec!["CartDown".into(), "Disk".into()]),
        "refuse: an alert is active: CartDown, Disk",
    );
    check(
        gate,
        |w| w.pager = PagerAnswer::Unknown("503".into()),
        "unknown: the pager can't be asked: 503",
    );
}

#[test]
fn the_probe_gates_are_unknown_until_somebody_watches() {
    check(GateName::SteadyState, |_| {}, "pass: yes");
    check(
        GateName::SteadyState,
        |w| w.watch = None,
        "unknown: not measured yet",
    );
    check(GateName::ProbeFreshness, |_| {}, "pass: yes");
    check(
        GateName::ProbeFreshness,
        |w| w.watch = None,
        "unknown: no probe has been asked yet",
    );
    let answers = |answer: fn(String) -> Answer| {
        move |w: &mut World| {
            let watch = w.watch.as_mut().unwrap();
            watch.steady = answer("steady".into());
            watch.fresh = answer("fresh".into());
        }
    };
    check(GateName::SteadyState, answers(Answer::Refuse), "refuse: steady");
    check(GateName::ProbeFreshness, answers(Answer::Refuse), "refuse: fresh");
    check(GateName::SteadyState, answers(Answer::Unknown), "unknown: steady");
    check(
        GateName::ProbeFreshness,
        answers(Answer::Unknown),
        "unknown: fresh",
    );
}

/// Checks the approval gate after these people said yes, ten seconds apart.
#[track_caller]
fn approvals(change: impl FnOnce(&mut Plan), people: &[&str], expected: &str) {
    let mut plan = plan();
    change(&mut plan);
    let mut world = World::unapproved(plan);
    for (seconds, by) in (-60..).step_by(10).zip(people) {
        let yes = approved(&world.plan, by);
        world.enter(seconds, yes);
    }
    world.members = Ok(["gus".into(), "gil".into()].into());
    says(&world, GateName::Approval, 1, expected);
}

#[test]
fn the_approval_gate_counts_different_allowed_people() {
    let short = plan().digest().short().to_owned();
    approvals(
        |_| {},
        &["ana"],
        &format!("pass: 1 of 1 approvals for plan {short}: ana"),
    );
    approvals(|_| {}, &[], &format!("refuse: 0 of 1 approvals for plan {short}"));
    approvals(|_| {}, &["gus"], "pass: 1 of 1 approvals");
    approvals(|_| {}, &["mallory"], "refuse: 0 of 1 approvals");
    approvals(|p| p.approval.quorum = 2, &["ana"], "refuse: 1 of 2 approvals");
    approvals(
        |p| p.approval.quorum = 2,
        &["ana", "ana"],
        "refuse: 1 of 2 approvals",
    );
    approvals(
        |p| p.approval.quorum = 2,
        &["ana", "gil"],
        "pass: 2 of 2 approvals",
    );
    approvals(|p| p.approval.quorum = 0, &[], "refuse: 0 of 1 approvals");
}

#[test]
fn nobody_approves_a_run_they_asked_for() {
    let own = |p: &mut Plan| p.requested_by = Some(person("ana", Role::Approver));
    approvals(own, &["ana"], "refuse: 0 of 1 approvals");
    approvals(own, &["ana", "gus"], "pass: 1 of 1 approvals");
}

#[test]
fn an_approval_is_for_one_digest_until_its_end_by_somebody_still_allowed() {
    let gate = GateName::Approval;
    // The same run, approved as it was before.
    let mut world = World::unapproved(plan());
    let mut older = plan();
    older.remarks.push("as it was".into());
    let yes = approved(&older, "ana");
    world.enter(-60, yes);
    says(&world, gate, 1, "refuse: 0 of 1 approvals");

    check(gate, |w| w.now = at(3599), "pass: ");
    check(
        gate,
        |w| w.now = at(3600),
        "refuse: the request expired at 2026-11-23 11:00:00 UTC",
    );
    // Once started the approvals are consumed, and the run's own limits hold.
    check(
        gate,
        |w| {
            w.moved(-30, Phase::Baseline);
            w.now = at(3600);
        },
        "pass: ",
    );
    // A yes after the end is none, even if the run had begun.
    let mut late = World::unapproved(plan());
    late.moved(-30, Phase::Baseline);
    let yes = approved(&late.plan, "ana");
    late.enter(3600, yes);
    late.now = at(3601);
    says(&late, gate, 1, "refuse: 0 of 1 approvals");

    let mut removed = World::unapproved(plan());
    let yes = approved(&removed.plan, "gus");
    removed.enter(-60, yes);
    removed.members = Ok(["gus".into()].into());
    says(&removed, gate, 1, "pass: ");
    removed.members = Ok(["gil".into()].into());
    says(&removed, gate, 1, "refuse: 0 of 1 approvals");
    removed.members = Err("Slack is down".into());
    says(
        &removed,
        gate,
        1,
        "unknown: the approver groups can't be read: Slack is down",
    );
    // A run that has started was approved by people who were asked for then.
    removed.moved(-30, Phase::Baseline);
    says(&removed, gate, 1, "pass: 1 of 1 approvals");
    removed.members = Ok(["gil".into()].into());
    says(&removed, gate, 1, "refuse: 0 of 1 approvals");
}

#[test]
fn one_no_outweighs_every_yes() {
    let gate = GateName::Approval;
    check(
        gate,
        |w| {
            let run = w.plan.run.clone();
            let by = person("gil", Role::Approver);
            let reason = "release day".into();
            w.enter(-30, Body::Denied { run, by, reason });
        },
        "refuse: denied by @gil: release day",
    );
}

#[test]
fn without_a_request_nobody_has_approved() {
    let mut world = World::good();
    world.plan.run = "r-NEW00001".into();
    says(
        &world,
        GateName::Approval,
        1,
        "refuse: nobody was asked yet; 0 of 1 approvals",
    );
    world.plan.mode = Mode::Rehearse;
    says(&world, GateName::Approval, 1, "pass: a rehearsal reaches nothing");
    world.plan.mode = Mode::Enforce;
    world.plan.approval.mode = ApprovalMode::Automatic;
    says(&world, GateName::Approval, 1, "pass: `approval: automatic`");
}

#[test]
fn the_window_of_a_plan_grows_with_its_gap() {
    let mut world = replanned(|p| p.gap = Duration::from_secs(3 * 3600));
    says(
        &world,
        GateName::Window,
        1,
        "refuse: the rest of the plan may take 22200 s",
    );
    world.plan.steps.pop();
    says(&world, GateName::Window, 1, "pass: ");
}

#[test]
fn a_sham_uses_no_budget_and_is_asked_everything_else() {
    let mut world = World::good();
    world.limits.kills_per_workday = 0;
    world.app().deployments = vec!["d-1".into()];
    let kill = world.judge(1);
    world.plan.steps[0].slot = Some(crate::model::plan::Slot { pair: 1, sham: true });
    let sham = world.judge(1);
    let said = |judgement: &Judgement, gate: GateName| {
        let answer = judgement.answers.iter().find(|a| a.gate == gate).unwrap();
        answer.answer.passes()
    };
    assert!(!said(&kill, GateName::Budget) && said(&sham, GateName::Budget));
    assert!(!said(&sham, GateName::Deployment));
    assert_eq!(sham.answers.len(), REGISTRY.len());
}
