//! Who is drawn, who is left out, and why.

use super::plan;
use super::*;
use crate::engine::fixture::*;
use crate::model::policy::{AppPattern, Count, Fairness, FaultSpec};
use crate::model::snapshot::TaskState;
use std::collections::BTreeSet;

/// Nothing was done yet.
fn idle() -> World {
    let mut world = World::good();
    world.entries.clear();
    world
}

fn made(world: &World, seed: &str, purpose: &str) -> Result<(Plan, Vec<Exclusion>), NoPlan> {
    plan(&Wanted {
        policy: world.policy.as_ref().unwrap(),
        limits: &world.limits,
        ownership: &world.ownership,
        ledger: &world.ledger(),
        snapshot: &world.snapshot,
        seed,
        purpose,
        requested_by: None,
        run: "r-NEW00001".into(),
        now: world.now,
        only: None,
    })
}

/// Checks that there is no plan after a change, and why.
#[track_caller]
fn refuses(change: impl FnOnce(&mut World), expected: &str) {
    let mut world = idle();
    change(&mut world);
    let why = made(&world, "s", "p").unwrap_err().why;
    assert!(why.contains(expected), "\n  {why}\nand not\n  {expected}");
}

fn count(world: &mut World, wanted: Count) {
    match &mut world.policy.as_mut().unwrap().fault {
        FaultSpec::KillTasks { count, .. } => *count = wanted,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_same_seed_and_purpose_draw_the_same_and_others_do_not() {
    let world = idle();
    let tasks = |seed: &str, purpose: &str| made(&world, seed, purpose).unwrap().0.steps;
    assert_eq!(tasks("s", "monday"), tasks("s", "monday"));
    let drawn: BTreeSet<_> = (0..20)
        .map(|day| format!("{:?}", tasks("s", &day.to_string())))
        .collect();
    assert!(drawn.len() > 10);
    assert_ne!(tasks("s", "monday"), tasks("t", "monday"));
}

#[test]
fn an_app_that_may_not_be_hit_is_left_out_with_its_reason() {
    refuses(
        |w| w.policy.as_mut().unwrap().mode = Mode::Off,
        "policy cart has `mode: off`",
    );
    refuses(|w| w.app().labels.clear(), "/shop/cart is not opted in");
    refuses(
        |w| w.app().deployments.push("d-1".into()),
        "deployment d-1 is at work on /shop/cart",
    );
    refuses(
        |w| w.limits.forbidden_apps.push(AppPattern("/**".into())),
        "forbidden by the settings",
    );
    refuses(
        |w| _ = w.other_run(-30, "r-OTHER001", "other", "/shop/cart"),
        "an earlier run is not over on /shop/cart",
    );
    refuses(
        |w| w.snapshot.apps.clear(),
        "policy cart names no app that Marathon shows",
    );
    refuses(|w| w.snapshot.info = None, "cluster prod could not be seen");
    refuses(
        |w| _ = w.app().tasks.pop(),
        "9 of 10 healthy, which already uses up the blast radius of 1",
    );
}

#[test]
fn of_many_apps_that_nobody_opted_in_three_are_named_and_the_others_counted() {
    let mut world = idle();
    world.policy.as_mut().unwrap().scope.ids = vec![AppPattern("/**".into())];
    for n in 0..2_000 {
        let mut other = app(&format!("/other/{n:04}"), 3);
        other.labels.clear();
        world.snapshot.apps.insert(other.id.clone(), other);
    }
    let (_, left_out) = made(&world, "s", "p").unwrap();
    let lines: Vec<_> = left_out
        .iter()
        .map(|x| (x.what.as_str(), x.why.as_str()))
        .collect();
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert_eq!(lines[0].0, "/other/0000");
    assert!(
        lines[0]
            .1
            .starts_with("/other/0000 is not opted in: no line of owners.yaml"),
        "{lines:?}"
    );
    assert_eq!(
        lines[3],
        ("1,997 more apps", "not opted in, as /other/0000 is not")
    );
}

#[test]
fn a_radius_that_rounds_down_to_nothing_says_so() {
    refuses(
        |w| {
            w.app().instances = 4;
            w.app().tasks.truncate(4);
        },
        "the blast radius of /shop/cart rounds down to 0: maxTasks 1, 20 % of 4 instances, minHealthy 1",
    );
    refuses(
        |w| count(w, Count::Percent(9)),
        "9 % of the tasks of 10 instances of /shop/cart comes to 0 kills",
    );
}

#[test]
fn an_exact_count_that_is_not_there_is_not_rounded_down() {
    refuses(
        |w| count(w, Count::Exactly(11)),
        "11 tasks of /shop/cart are wanted and 10 may be hit",
    );
    let mut world = idle();
    count(&mut world, Count::Exactly(10));
    assert_eq!(made(&world, "s", "p").unwrap().0.kills(), 10);
}

#[test]
fn a_task_that_may_not_be_hit_is_never_drawn_and_is_named() {
    let mut world = idle();
    world.policy.as_mut().unwrap().blast_radius.max_tasks = 2;
    world.app().tasks[3].started_at = Some(at(-100));
    world.app().tasks[4].state = TaskState::Killing;
    for purpose in 0..50 {
        let Ok((made, left_out)) = made(&world, "s", &purpose.to_string()) else {
            continue;
        };
        let hit: Vec<_> = made
            .steps
            .iter()
            .flat_map(|s| &s.targets)
            .map(|t| &t.task)
            .collect();
        assert!(!hit.contains(&&task(3).id) && !hit.contains(&&task(4).id));
        assert_eq!(left_out.len(), 2, "{left_out:?}");
    }
}

#[test]
fn a_group_with_many_apps_has_no_more_turns_than_one_with_a_single_app() {
    let mut world = idle();
    world.policy.as_mut().unwrap().scope.ids.clear();
    world.snapshot.apps.clear();
    for id in (0..20).map(|n| format!("/many/a{n}")).chain(["/one/a".into()]) {
        world.snapshot.apps.insert(id.as_str().into(), app(&id, 10));
    }
    let turns = |world: &World| {
        (0..200)
            .filter(|n| {
                made(world, "s", &n.to_string())
                    .unwrap()
                    .0
                    .apps
                    .first
                    .app
                    .as_str()
                    == "/one/a"
            })
            .count()
    };
    let alone = turns(&world);
    assert!(alone < 30, "{alone} of 200 with a turn for each app");
    world.policy.as_mut().unwrap().scope.one_per = Fairness::Group;
    let shared = turns(&world);
    assert!(
        (70..130).contains(&shared),
        "{shared} of 200 with a turn for each group"
    );
}

fn shams() -> Control {
    Control::Sham {
        pairs: 5,
        window: Duration::from_secs(60),
        settle: Duration::from_secs(90),
    }
}

#[test]
fn every_kill_gets_its_sham_and_no_kill_is_added() {
    let mut world = idle();
    let before = made(&world, "s", "p").unwrap().0;
    world.policy.as_mut().unwrap().hypothesis.control = shams();
    let plan = made(&world, "s", "p").unwrap().0;
    assert_eq!((before.kills(), plan.kills(), plan.shams()), (2, 2, 2));
    let killed = |plan: &Plan| -> Vec<_> {
        let real = plan.steps.iter().filter(|s| !s.is_sham());
        real.flat_map(|s| s.targets.clone()).collect()
    };
    assert_eq!(killed(&plan), killed(&before), "shams change nobody's fate");
    // The gap of the fault is a minute; a slot is longer.
    assert_eq!(plan.gap, Duration::from_secs(150));
    assert_eq!(
        plan.longest_from(1),
        Duration::from_secs(600 + 4 * 300),
        "shams take their time"
    );
}

#[test]
fn the_digest_covers_the_order_of_the_slots() {
    let mut world = idle();
    world.policy.as_mut().unwrap().hypothesis.control = shams();
    let plan = made(&world, "s", "p").unwrap().0;
    let changed = |change: fn(&mut Plan)| {
        let mut other = plan.clone();
        change(&mut other);
        other.digest()
    };
    assert_ne!(
        changed(|p| p.steps[0].slot.as_mut().unwrap().sham ^= true),
        plan.digest()
    );
    assert_ne!(
        changed(|p| p.steps[0].slot.as_mut().unwrap().pair = 2),
        plan.digest()
    );
    assert_ne!(changed(|p| p.steps[0].slot = None), plan.digest());
    assert_ne!(
        changed(|p| p.hypothesis.control = Control::BeforeAfter),
        plan.digest()
    );
    // What adds up over runs is the experiment, whenever it is made and on whatever tasks.
    let another = made(&world, "s", "another day").unwrap().0;
    assert_ne!(another.digest(), plan.digest());
    assert_eq!(another.experiment(), plan.experiment());
    world.policy.as_mut().unwrap().hypothesis.margin = Some(crate::model::experiment::Share(1));
    assert_ne!(made(&world, "s", "p").unwrap().0.experiment(), plan.experiment());
}

#[test]
fn a_plan_of_an_older_version_loads_as_before_and_after_with_the_digest_it_had() {
    let plan = made(&idle(), "s", "p").unwrap().0;
    let text = serde_json::to_string(&plan).unwrap();
    for newer in ["slot", "control", "margin"] {
        assert!(!text.contains(&format!("\"{newer}")), "{newer} is in {text}");
    }
    let read: Plan = serde_json::from_str(&text).unwrap();
    assert!(read.hypothesis.control.is_before_after() && read.steps.iter().all(|s| !s.is_sham()));
    assert_eq!(read.digest(), plan.digest());
}

#[test]
fn the_control_group_is_never_hit() {
    let two = |control: Control| {
        let mut world = idle();
        let policy = world.policy.as_mut().unwrap();
        policy.scope.ids.clear();
        policy.hypothesis.control = control;
        for id in ["/shop/a", "/shop/b"] {
            world.snapshot.apps.insert(id.into(), app(id, 10));
        }
        (0..40)
            .map(|n| {
                made(&world, "s", &n.to_string())
                    .unwrap()
                    .0
                    .apps
                    .first
                    .app
                    .to_string()
            })
            .collect::<BTreeSet<_>>()
    };
    let parallel = two(Control::Parallel {
        control: "/shop/a".into(),
        experiment: "/shop/b".into(),
    });
    assert_eq!(parallel, BTreeSet::from(["/shop/b".to_owned()]));
    let reference = two(Control::Reference {
        app: "/shop/a".into(),
    });
    assert!(
        reference.len() == 2 && !reference.contains("/shop/a"),
        "{reference:?}"
    );
}

#[test]
fn a_plan_says_beforehand_when_its_verdict_can_never_be_held() {
    let remarks = |requests: u32| {
        let mut world = idle();
        let policy = world.policy.as_mut().unwrap();
        policy.hypothesis.control = shams();
        let Source::Http(http) = &mut policy.hypothesis.probes[0].source else {
            panic!("an http probe")
        };
        http.requests = requests;
        made(&world, "s", "p").unwrap().0.remarks.join("; ")
    };
    assert!(
        remarks(1).contains("probe edge makes 300 requests in each group, too few"),
        "{}",
        remarks(1)
    );
    assert!(remarks(1).contains("below the margin of 0.5 points"));
    assert!(!remarks(2).contains("too few"), "{}", remarks(2));
}
