//! Runs that hit two apps: every decision about a run is about both of them.

use super::fixture::*;
use super::gates;
use super::lifecycle::{self, Turn, View, WatchView};
use super::steady_state::monitor::BaselineState;
use crate::model::gate::{Answer, GateName};
use crate::model::ids::AppId;
use crate::model::plan::{Plan, PlannedApp};
use crate::model::run::{IntentState, Phase};
use crate::model::snapshot::{App, Gap, GapKind, Task};
use chrono::TimeDelta;
use std::collections::BTreeSet;

const PAY: &str = "/shop/pay";

fn pay() -> App {
    let mut app = app(PAY, 6);
    for (n, task) in (0..).zip(&mut app.tasks) {
        task.id = format!("pay.instance-{n}._app.1").as_str().into();
        task.instance = format!("pay.instance-{n}").as_str().into();
    }
    app
}

/// One step that kills task 0 of `/shop/cart` and task 0 of `/shop/pay`.
fn plan_of_two() -> Plan {
    let mut plan = plan();
    plan.apps.others.push(PlannedApp {
        app: PAY.into(),
        version: "v1".into(),
        instances: 6,
        healthy: 6,
    });
    let mut second = target(0);
    second.app = PAY.into();
    second.task = "pay.instance-0._app.1".into();
    second.instance = "pay.instance-0".into();
    plan.steps.truncate(1);
    plan.steps[0].targets.push(second);
    plan.blast_radius.max_apps = 2;
    plan.blast_radius.max_percent = 50;
    plan.rate_limit.burst = 2;
    plan
}

/// That plan, approved; every gate says yes.
fn world() -> World {
    let mut world = World::planned(plan_of_two());
    world.snapshot.apps.insert(PAY.into(), pay());
    let policy = world.policy.as_mut().unwrap();
    policy.blast_radius = world.plan.blast_radius;
    policy.rate_limit = world.plan.rate_limit;
    world
}

fn of_pay(world: &mut World) -> &mut App {
    world.snapshot.apps.get_mut(&AppId::from(PAY)).unwrap()
}

fn next(world: &World) -> Turn {
    let ledger = world.ledger();
    lifecycle::next(&View {
        name: &"cart".into(),
        policy: world.policy.as_ref().map_err(String::as_str),
        ledger: &ledger,
        snapshot: &world.snapshot,
        in_flight: &BTreeSet::new(),
        watch: Some(WatchView {
            baseline: BaselineState::Steady {
                why: "0 % bad".into(),
            },
            steady_since: Some(at(-40)),
        }),
        halted: None,
        now: world.now,
        quarantine: TimeDelta::minutes(5),
        kill_retry: TimeDelta::seconds(30),
        due: None,
    })
}

#[track_caller]
fn check(change: impl FnOnce(&mut World), gate: GateName, expected: &str) {
    let mut world = world();
    change(&mut world);
    let judgement = world.judge(1);
    let answer = &judgement.answers.iter().find(|a| a.gate == gate).unwrap().answer;
    assert!(
        !answer.passes() && answer.why().contains(expected),
        "\n  {answer:?}\nand not\n  {expected}"
    );
}

#[test]
fn every_gate_says_yes_about_two_apps_that_are_well() {
    let judgement = world().judge(1);
    let no: Vec<_> = judgement.blockers().collect();
    assert!(no.is_empty(), "{no:?}");
    let radius = judgement
        .answers
        .iter()
        .find(|a| a.gate == GateName::BlastRadius)
        .unwrap();
    assert_eq!(
        radius.answer,
        Answer::Pass(
            "/shop/cart: 1 of at most 1: 10 of 10 healthy, 0 charged to us, 0 down for other reasons; \
             /shop/pay: 1 of at most 1: 6 of 6 healthy, 0 charged to us, 0 down for other reasons"
                .into()
        )
    );
}

#[test]
fn what_is_wrong_with_the_second_app_is_as_much_a_no_as_with_the_first() {
    check(
        |w| of_pay(w).deployments = vec!["d-1".into()],
        GateName::Deployment,
        "deployment d-1 is at work on /shop/pay",
    );
    check(
        |w| of_pay(w).version = "v2".into(),
        GateName::Target,
        "the definition of /shop/pay changed",
    );
    check(
        |w| of_pay(w).tasks[0].id = "pay.instance-0._app.2".into(),
        GateName::Target,
        "planned task pay.instance-0._app.1 is gone",
    );
    check(
        |w| {
            w.snapshot.apps.remove(&AppId::from(PAY));
        },
        GateName::BlastRadius,
        "/shop/pay is not among the apps that Marathon shows",
    );
    check(
        |w| {
            of_pay(w).tasks.pop();
        },
        GateName::BlastRadius,
        "/shop/pay: 1 more would exceed the blast radius of 1",
    );
    check(
        |w| {
            w.snapshot.gaps.push(Gap {
                app: Some(PAY.into()),
                what: GapKind::Apps,
                why: "unreadable".into(),
            });
        },
        GateName::Freshness,
        "unreadable",
    );
    check(
        |w| {
            w.other_run(-60, "r-OTHER001", "other", PAY);
        },
        GateName::Overlap,
        "run r-OTHER001 is not over on /shop/pay",
    );
    check(
        |w| w.plan.blast_radius.max_apps = 1,
        GateName::Overlap,
        "the plan hits 2 apps at once, maxApps is 1",
    );
    check(
        |w| w.plan.steps[0].targets[1].app = "/shop/stray".into(),
        GateName::Target,
        "which is not an app of the plan",
    );
}

#[test]
fn a_kill_is_charged_to_each_app_by_its_own_tasks() {
    let mut world = world();
    world.moved(-90, Phase::Steps);
    let plan = world.plan.clone();
    world.killed_by(&plan, -60, 1, IntentState::Open);
    let ledger = world.ledger();
    let of = |app: &App| gates::usage(&ledger, &"prod".into(), app);
    assert_eq!(of(&world.snapshot.apps[&AppId::from("/shop/cart")]).charged, 1);
    assert_eq!(of(&pay()).charged, 1);
    assert_eq!(ledger.charged_tasks(&"prod".into()), 2);
    let busy: Vec<_> = ledger.busy_apps(&"prod".into()).into_iter().collect();
    assert_eq!(busy, ["/shop/cart".into(), PAY.into()]);
    for app in ["/shop/cart", PAY] {
        assert_eq!(
            ledger.last_kill_of(&"prod".into(), &app.into()).unwrap().tasks,
            1,
            "{app}"
        );
        assert!(
            ledger
                .timeline
                .iter()
                .any(|i| i.kind == "kill" && i.apps().all(|a| a.as_str() == app))
        );
    }
    assert!(
        ledger
            .timeline
            .iter()
            .any(|i| i.kind == "plan" && i.apps().count() == 2)
    );
}

/// A kill of both tasks, answered a minute ago; the tasks in `back` have a next incarnation that serves.
fn after_the_kill(back: &[&str]) -> World {
    let mut world = world();
    world.moved(-90, Phase::Steps);
    let plan = world.plan.clone();
    let tasks = plan.steps[0].targets.iter().map(|t| t.task.clone()).collect();
    world.killed_by(&plan, -60, 1, IntentState::Acked { tasks, at: at(-59) });
    for app in world.snapshot.apps.values_mut() {
        let heir: &mut Task = &mut app.tasks[0];
        heir.id = format!("{}._app.2", heir.instance).as_str().into();
        heir.started_at = Some(at(-50));
        if !back.contains(&app.id.as_str()) {
            app.tasks.remove(0);
        }
    }
    world
}

#[test]
fn a_kill_is_over_only_when_both_apps_are_whole_again() {
    for back in [&["/shop/cart"][..], &[PAY][..], &[][..]] {
        let turn = next(&after_the_kill(back));
        assert!(!matches!(turn, Turn::Settle { .. }), "{back:?}: {turn:?}");
    }
    let turn = next(&after_the_kill(&["/shop/cart", PAY]));
    assert!(
        matches!(
            &turn,
            Turn::Settle {
                state: IntentState::Resolved { .. },
                ..
            }
        ),
        "{turn:?}"
    );
    let mut unseen = after_the_kill(&["/shop/cart", PAY]);
    unseen.snapshot.gaps.push(Gap {
        app: Some(PAY.into()),
        what: GapKind::Apps,
        why: "unreadable".into(),
    });
    assert!(!matches!(next(&unseen), Turn::Settle { .. }));
    // What is missing of the agents says nothing about apps.
    let mut agents = after_the_kill(&["/shop/cart", PAY]);
    agents.snapshot.gaps.push(Gap {
        app: None,
        what: GapKind::Agents,
        why: "no master".into(),
    });
    assert!(matches!(next(&agents), Turn::Settle { .. }));
}

#[test]
fn recovery_waits_for_the_app_that_is_still_short() {
    let mut world = world();
    world.moved(-90, Phase::Recovery);
    let plan = world.plan.clone();
    let proof = IntentState::Resolved {
        why: "proof".into(),
        at: at(-40),
        tasks: vec![],
    };
    world.killed_by(&plan, -60, 1, proof);
    of_pay(&mut world).tasks.pop();
    let turn = next(&world);
    assert!(
        matches!(&turn, Turn::Wait { why } if why == "/shop/pay: 5 of 6 tasks serve"),
        "{turn:?}"
    );
}
