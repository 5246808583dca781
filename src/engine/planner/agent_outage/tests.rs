//! Racks that can be taken down whole, and every reason why one can't.

use super::*;
use crate::engine::fixture::*;
use crate::engine::planner::plan;
use crate::model::gate::{Answer, GateName};
use crate::model::policy::{Count, FaultSpec};
use crate::model::snapshot::{Agent, AttributeValue, Gap, TaskState};

const CART: &str = "/shop/cart";
const PAY: &str = "/shop/pay";

fn text(value: &str) -> Vec<AttributeValue> {
    vec![AttributeValue::Text(value.into())]
}

/// Ten agents, two on each of racks 0 to 4 (numbers): agents 0 and 1 on rack 0, and so on. `/shop/cart`
/// has a task on each of them, `/shop/pay` one on each of agents 0 to 5.
fn racks() -> World {
    let mut world = World::good();
    world.entries.clear();
    let mut pay = app(PAY, 6);
    for (n, task) in (0..).zip(&mut pay.tasks) {
        task.id = format!("pay.instance-{n}._app.1").as_str().into();
        task.instance = format!("pay.instance-{n}").as_str().into();
    }
    world.snapshot.apps.insert(PAY.into(), pay);
    for app in world.snapshot.apps.values_mut() {
        for (n, task) in (0..).zip(&mut app.tasks) {
            task.agent = Some(agent(n).id);
        }
    }
    let agents = (0..10_u32).map(|n| {
        let mut agent = agent(n);
        let rack = AttributeValue::number(f64::from(n / 2));
        agent.attributes.insert("rack".into(), vec![rack]);
        agent
    });
    world.snapshot.agents = Some(agents.collect());
    world.limits.tasks_down = 10;
    world.limits.kills_per_hour = 50;
    world.limits.kills_per_workday = 50;
    let policy = world.policy.as_mut().unwrap();
    policy.fault = FaultSpec::AgentOutage {
        attribute: Attribute::Named("rack".into()),
        value: Place::Given("1".into()),
        steps: OutageSteps::AtOnce,
        gap: Duration::from_secs(30),
    };
    policy.blast_radius.max_tasks = 2;
    policy.blast_radius.max_percent = 40;
    policy.blast_radius.min_healthy = 2;
    policy.blast_radius.max_apps = 2;
    policy.blast_radius.max_tasks_in_all = Some(4);
    policy.rate_limit.burst = 4;
    policy.rate_limit.kills = 8;
    world
}

fn fault(world: &mut World, change: impl FnOnce(&mut Attribute, &mut Place, &mut OutageSteps)) {
    match &mut world.policy.as_mut().unwrap().fault {
        FaultSpec::AgentOutage {
            attribute,
            value,
            steps,
            ..
        } => change(attribute, value, steps),
        other => panic!("{other:?}"),
    }
}

fn agents(world: &mut World) -> &mut Vec<Agent> {
    world.snapshot.agents.as_mut().unwrap()
}

fn tasks<'a>(world: &'a mut World, app: &str) -> &'a mut Vec<crate::model::snapshot::Task> {
    &mut world.snapshot.apps.get_mut(&app.into()).unwrap().tasks
}

fn made(world: &World, purpose: &str) -> Result<(Plan, Vec<Exclusion>), NoPlan> {
    plan(&Wanted {
        policy: world.policy.as_ref().unwrap(),
        limits: &world.limits,
        ownership: &world.ownership,
        ledger: &world.ledger(),
        snapshot: &world.snapshot,
        seed: "s",
        purpose,
        requested_by: None,
        run: "r-NEW00001".into(),
        now: world.now,
        only: None,
    })
}

/// `step: task on agent` of every target, in order.
fn targets(plan: &Plan) -> Vec<String> {
    let each = plan
        .steps
        .iter()
        .flat_map(|s| s.targets.iter().map(move |t| (s.number, t)));
    each.map(|(step, t)| {
        let task = t
            .task
            .as_str()
            .split('_')
            .next()
            .unwrap_or_default()
            .replace(".instance-", "-");
        format!(
            "{step}: {} {}",
            t.agent.as_ref().unwrap(),
            task.trim_end_matches('.')
        )
    })
    .collect()
}

/// Checks that a change leaves no plan for rack 1, and the reason.
#[track_caller]
fn refuses(change: impl FnOnce(&mut World), expected: &str) -> Vec<Exclusion> {
    let mut world = racks();
    change(&mut world);
    let no = made(&world, "p").unwrap_err();
    assert!(no.why.contains(expected), "\n  {}\nand not\n  {expected}", no.why);
    no.left_out
}

/// Checks that a change leaves a plan for exactly the four tasks of rack 1.
#[track_caller]
fn hits_rack_1(change: impl FnOnce(&mut World)) {
    let mut world = racks();
    change(&mut world);
    let plan = made(&world, "p").unwrap().0;
    let mut found: Vec<_> = plan
        .steps
        .iter()
        .flat_map(|s| &s.targets)
        .map(|t| t.task.as_str())
        .collect();
    found.sort_unstable();
    assert_eq!(
        found,
        [
            "cart.instance-2._app.1",
            "cart.instance-3._app.1",
            "pay.instance-2._app.1",
            "pay.instance-3._app.1"
        ]
    );
}

#[test]
fn every_task_on_the_rack_is_named_with_its_app_and_agent() {
    let mut world = racks();
    let plan = made(&world, "p").unwrap().0;
    assert_eq!(plan.apps.to_string(), "/shop/cart and /shop/pay");
    assert_eq!(plan.outage.as_ref().unwrap().to_string(), "rack 1");
    assert_eq!(plan.steps.len(), 1);
    assert_eq!(plan.kills(), 4);
    assert!(
        plan.remarks.iter().any(|r| r.contains("its agents stay")),
        "{:?}",
        plan.remarks
    );
    fault(&mut world, |_, _, steps| *steps = OutageSteps::PerAgent);
    let plan = made(&world, "p").unwrap().0;
    let per_agent = targets(&plan);
    let hosts: Vec<_> = plan
        .outage
        .as_ref()
        .unwrap()
        .agents
        .iter()
        .map(|a| a.id.as_str())
        .collect();
    let (first, second) = (hosts[0], hosts[1]);
    let number = |id: &str| id.trim_start_matches('S').to_owned();
    assert_eq!(
        per_agent,
        [
            format!("1: {first} cart-{}", number(first)),
            format!("1: {first} pay-{}", number(first)),
            format!("2: {second} cart-{}", number(second)),
            format!("2: {second} pay-{}", number(second)),
        ]
    );
    assert_eq!(
        made(&world, "p").unwrap().0,
        plan,
        "the same draw gives the same plan"
    );
}

#[test]
fn a_rack_is_the_same_whether_its_agents_say_it_as_a_number_or_as_a_text() {
    hits_rack_1(|_| ());
    hits_rack_1(|w| fault(w, |_, value, _| *value = Place::Given("1.0".into())));
    hits_rack_1(|w| {
        agents(w)[2].attributes.insert("rack".into(), text("1"));
    });
    // A text is not taken for the number that it looks like.
    refuses(
        |w| {
            for agent in agents(w) {
                agent.attributes.insert("rack".into(), text("01"));
            }
        },
        "no task of this policy's apps is on rack 1; there are tasks on rack 01",
    );
}

#[test]
fn an_agent_is_found_by_its_id_and_by_a_host_that_only_it_has() {
    // It registered anew: the rows of its tasks keep the old id.
    hits_rack_1(|w| agents(w)[2].id = "S2-again".into());
    let unknown = refuses(
        |w| {
            agents(w)[2].id = "S2-again".into();
            agents(w)[9].host = "agent-2".into();
        },
        "it is unknown on which rack 2 of the tasks are",
    );
    assert!(
        unknown[0].what == "cart.instance-2._app.1" && unknown[0].why.contains("2 agents share host"),
        "{unknown:?}"
    );
    // With an id that is known the shared host does not matter.
    hits_rack_1(|w| agents(w)[9].host = "agent-2".into());
}

#[test]
fn a_task_of_an_agent_that_nobody_knows_is_shown_and_nothing_is_planned() {
    let unknown = refuses(
        |w| {
            agents(w).remove(9);
        },
        "so no outage would be whole: task cart.instance-9._app.1 of /shop/cart: Mesos lists no agent S9 and none on host \"agent-9\"",
    );
    assert_eq!(
        unknown
            .iter()
            .filter(|x| x.why.starts_with("unknown rack"))
            .count(),
        1
    );
    refuses(
        |w| {
            let row = &mut tasks(w, PAY)[4];
            row.agent = None;
            row.host = "".into();
        },
        "Marathon names no agent for it",
    );
    refuses(
        |w| {
            agents(w)[3]
                .attributes
                .get_mut("rack")
                .unwrap()
                .push(AttributeValue::number(7.0))
        },
        "agent S3 has attribute rack more than once: 1, 7",
    );
    // What is over is nowhere any more.
    hits_rack_1(|w| {
        let mut row = tasks(w, PAY)[0].clone();
        row.state = TaskState::Over("TASK_KILLED".into());
        row.agent = Some("gone".into());
        row.host = "gone".into();
        tasks(w, PAY).push(row);
    });
}

#[test]
fn agents_or_apps_that_could_not_be_seen_leave_no_plan() {
    let gap = |what| Gap {
        app: None,
        what,
        why: "the door is shut".into(),
    };
    refuses(
        |w| {
            w.snapshot.agents = None;
            w.snapshot.gaps.push(gap(GapKind::Agents));
        },
        "the door is shut",
    );
    refuses(|w| w.snapshot.agents = None, "were not looked at");
    refuses(
        |w| w.snapshot.gaps.push(gap(GapKind::Apps)),
        "not every app could be seen",
    );
    refuses(
        |w| w.snapshot.gaps.push(gap(GapKind::Pods)),
        "not every app could be seen",
    );
    refuses(|w| w.snapshot.info = None, "could not be seen");
}

#[test]
fn zones_and_regions_come_from_mesos_and_else_from_the_tasks_own_row() {
    let zone = |w: &mut World| {
        fault(w, |attribute, value, _| {
            *attribute = Attribute::Zone;
            *value = Place::Given("z1".into());
        });
    };
    hits_rack_1(|w| {
        zone(w);
        agents(w)[2].zone = Some("z1".into());
        agents(w)[3].zone = Some("z1".into());
    });
    hits_rack_1(|w| {
        zone(w);
        for app in [CART, PAY] {
            for row in &mut tasks(w, app)[2..4] {
                row.zone = Some("z1".into());
            }
        }
    });
    refuses(
        |w| {
            zone(w);
            agents(w)[2].zone = Some("z1".into());
            tasks(w, PAY)[2].zone = Some("z2".into());
        },
        "Mesos says zone z1 and Marathon zone z2",
    );
    hits_rack_1(|w| {
        fault(w, |attribute, value, _| {
            *attribute = Attribute::Region;
            *value = Place::Given("eu".into());
        });
        agents(w)[2].region = Some("eu".into());
        agents(w)[3].region = Some("eu".into());
    });
}

#[test]
fn one_host_is_a_place_too() {
    let mut world = racks();
    fault(&mut world, |attribute, value, _| {
        *attribute = Attribute::Hostname;
        *value = Place::Given("agent-7".into());
    });
    let plan = made(&world, "p").unwrap().0;
    assert_eq!(targets(&plan), ["1: S7 cart-7"]);
    assert_eq!(plan.outage.unwrap().to_string(), "host agent-7");
}

#[test]
fn tasks_on_agents_without_the_attribute_are_left_alone_and_the_plan_says_so() {
    let mut world = racks();
    agents(&mut world)[9].attributes.clear();
    let plan = made(&world, "p").unwrap().0;
    assert_eq!(plan.kills(), 4);
    let remark = "1 tasks of this policy's apps run on agents without any rack and are left alone";
    assert!(plan.remarks.iter().any(|r| r == remark), "{:?}", plan.remarks);
}

#[test]
fn one_task_that_may_not_be_hit_leaves_the_whole_rack_alone() {
    let young = |w: &mut World| tasks(w, PAY)[3].started_at = Some(at(-20));
    let left_out = refuses(young, "rack 1 can't be taken down whole: it is 20 s old");
    assert_eq!(left_out[0].what, "pay.instance-3._app.1");
    refuses(
        |w| tasks(w, PAY)[3].state = TaskState::Staging,
        "it is not running (Staging), of /shop/pay",
    );
    refuses(
        |w| agents(w)[3].state = AgentState::Recovered,
        "agent S3 on agent-3 is not connected to Mesos",
    );
    // Elsewhere it would not matter.
    hits_rack_1(|w| agents(w)[7].state = AgentState::Inactive);
}

#[test]
fn one_app_that_may_not_be_hit_leaves_the_whole_rack_alone() {
    #[track_caller]
    fn check(change: impl FnOnce(&mut App), expected: &str) {
        let left_out = refuses(
            |w| change(w.snapshot.apps.get_mut(&PAY.into()).unwrap()),
            &format!("rack 1 can't be taken down whole: {expected}"),
        );
        assert_eq!(left_out[0].what, PAY);
    }
    check(
        |app| app.resident = true,
        "/shop/pay is resident: its tasks are bound to a volume on one agent",
    );
    check(
        |app| app.constraints = vec!["rack:CLUSTER".into()],
        "/shop/pay could not come back without rack 1: /shop/pay is bound by constraint rack:CLUSTER",
    );
    check(
        |app| app.constraints = vec!["rack:UNIQUE".into()],
        "/shop/pay could not come back without rack 1: /shop/pay has 6 instances and constraint rack:UNIQUE",
    );
    check(
        |app| app.constraints = vec!["rack:IS:1".into()],
        "/shop/pay could not come back without rack 1: /shop/pay is bound by constraint rack:IS:1",
    );
    check(
        |app| app.deployments = vec!["d-1".into()],
        "deployment d-1 is at work on /shop/pay",
    );
    check(|app| app.pod = true, "/shop/pay is a pod");
    check(|app| app.health_checked = false, "/shop/pay has no health check");
}

#[test]
fn an_app_spread_over_spare_hosts_can_come_back() {
    let unique = |instances: u32| {
        move |w: &mut World| {
            let pay = w.snapshot.apps.get_mut(&PAY.into()).unwrap();
            pay.constraints = vec!["hostname:UNIQUE".into()];
            pay.instances = instances;
        }
    };
    // Eight hosts are left without rack 1.
    hits_rack_1(unique(6));
    let mut world = racks();
    unique(6)(&mut world);
    agents(&mut world).truncate(6);
    tasks(&mut world, CART).truncate(6);
    world.app().instances = 6;
    let no = made(&world, "p").unwrap_err();
    assert!(
        no.why.contains("needs 6 places; 4 are left"),
        "no spare agent: {}",
        no.why
    );
}

#[test]
fn an_app_whose_owner_did_not_opt_in_is_no_part_of_it_and_is_shown() {
    let mut world = racks();
    world
        .snapshot
        .apps
        .get_mut(&PAY.into())
        .unwrap()
        .labels
        .remove("chaos");
    let (plan, left_out) = made(&world, "p").unwrap();
    assert_eq!(plan.apps.to_string(), CART);
    assert!(left_out.iter().any(|x| x.what == PAY), "{left_out:?}");
}

#[test]
fn the_radius_counts_by_app_and_in_all() {
    #[track_caller]
    fn check(change: impl FnOnce(&mut World), expected: &str) {
        refuses(change, &format!("rack 1 can't be taken down whole: {expected}"));
    }
    check(
        |w| w.policy.as_mut().unwrap().blast_radius.max_tasks = 1,
        "2 of the 10 tasks of /shop/cart would go down in one step, 0 are down already, and its blast radius is 1",
    );
    check(
        |w| w.policy.as_mut().unwrap().blast_radius.max_percent = 20,
        "2 of the 6 tasks of /shop/pay would go down in one step, 0 are down already, and its blast radius is 1",
    );
    check(
        |w| w.policy.as_mut().unwrap().blast_radius.max_apps = 1,
        "it would hit 2 apps, maxApps is 1",
    );
    check(
        |w| w.policy.as_mut().unwrap().blast_radius.max_tasks_in_all = Some(3),
        "4 tasks would die in one step, blastRadius.maxTasksInAll is 3",
    );
    check(
        |w| w.policy.as_mut().unwrap().rate_limit.burst = 3,
        "4 tasks would die in one step, rateLimit.burst is 3",
    );
    check(
        |w| w.limits.tasks_down = 3,
        "4 tasks would die in one step, limits.tasksDown of the settings is 3",
    );
    check(
        |w| tasks(w, CART)[8].state = TaskState::Staging,
        "2 of the 10 tasks of /shop/cart would go down in one step, 1 are down already, and its blast radius is 2",
    );
    // One agent after the other, each step is half of it.
    hits_rack_1(|w| {
        fault(w, |_, _, steps| *steps = OutageSteps::PerAgent);
        let radius = &mut w.policy.as_mut().unwrap().blast_radius;
        radius.max_tasks = 1;
        radius.max_tasks_in_all = Some(2);
    });
}

#[test]
fn any_draws_among_racks_that_can_go_whole_and_shows_why_others_were_passed_over() {
    let mut world = racks();
    fault(&mut world, |_, value, _| *value = Place::Any);
    let drawn = |world: &World, purpose: &str| made(world, purpose).unwrap().0.outage.unwrap().value;
    let all: BTreeSet<_> = (0..40).map(|n| drawn(&world, &n.to_string())).collect();
    assert_eq!(all.len(), 5, "{all:?}");
    assert_eq!(drawn(&world, "monday"), drawn(&world, "monday"));
    // Agents that come and go elsewhere do not change the draw.
    let before: Vec<_> = (0..20).map(|n| drawn(&world, &n.to_string())).collect();
    agents(&mut world).push(agent(77));
    assert_eq!(
        (0..20).map(|n| drawn(&world, &n.to_string())).collect::<Vec<_>>(),
        before
    );
    // A rack that can't go whole is never drawn, and the plan for another says why.
    tasks(&mut world, CART)[2].started_at = Some(at(-20));
    for (n, before) in before.iter().enumerate() {
        let (plan, left_out) = made(&world, &n.to_string()).unwrap();
        assert_ne!(plan.outage.unwrap().value, "1");
        let passed_over = left_out.iter().any(|x| x.what == "cart.instance-2._app.1");
        assert_eq!(passed_over, before == "1", "{left_out:?}");
    }
}

/// The gates' word about step 1 of the plan for rack 1, after the world has changed.
fn judged(change: impl FnOnce(&mut World)) -> (Answer, Answer) {
    let mut world = racks();
    let plan = made(&world, "p").unwrap().0;
    let mut judged = World::planned(plan);
    judged.policy = world.policy.clone();
    judged.limits = world.limits.clone();
    change(&mut world);
    judged.snapshot = world.snapshot;
    let answers = judged.judge(1).answers;
    let of = |gate: GateName| answers.iter().find(|a| a.gate == gate).unwrap().answer.clone();
    (of(GateName::Target), of(GateName::BlastRadius))
}

#[test]
fn the_gates_let_the_whole_rack_through_and_nothing_that_changed_since() {
    let (target, radius) = judged(|_| ());
    assert!(target.passes() && radius.passes(), "{target:?} {radius:?}");

    #[track_caller]
    fn check(change: impl FnOnce(&mut World), expected: Answer) {
        let (target, _) = judged(change);
        let same = std::mem::discriminant(&target) == std::mem::discriminant(&expected);
        assert!(same && target.why().contains(expected.why()), "{target:?}");
    }
    check(
        |w| w.snapshot.agents = None,
        Answer::Unknown("were not looked at".into()),
    );
    check(
        |w| {
            agents(w).remove(9);
        },
        Answer::Unknown("whether task cart.instance-9._app.1 of /shop/cart is on rack 1 is unknown".into()),
    );
    check(
        |w| {
            agents(w)[3].attributes.insert("rack".into(), text("9"));
        },
        Answer::Refuse("planned task cart.instance-3._app.1 is no longer on rack 1".into()),
    );
    check(
        |w| {
            agents(w)[4].attributes.insert("rack".into(), text("1"));
        },
        Answer::Refuse("on rack 1 too and is not in the plan".into()),
    );
    check(
        |w| w.snapshot.apps.get_mut(&PAY.into()).unwrap().constraints = vec!["rack:CLUSTER".into()],
        Answer::Refuse("/shop/pay could not come back without rack 1".into()),
    );
    check(
        |w| w.snapshot.apps.get_mut(&PAY.into()).unwrap().version = "v2".into(),
        Answer::Refuse("the definition of /shop/pay changed".into()),
    );
    check(
        |w| tasks(w, PAY)[2].state = TaskState::Killing,
        Answer::Refuse("planned task pay.instance-2._app.1: it is not running".into()),
    );
}

#[test]
fn the_radius_gate_asks_each_app_and_all_together() {
    let (_, radius) = judged(|w| tasks(w, PAY)[5].state = TaskState::Staging);
    assert!(
        radius
            .why()
            .contains("/shop/pay: 2 more would exceed the blast radius of 2"),
        "{radius:?}"
    );
    let mut world = racks();
    let mut plan = made(&world, "p").unwrap().0;
    plan.blast_radius.max_tasks_in_all = Some(3);
    world.entries.clear();
    let mut judged = World::planned(plan);
    judged.snapshot = world.snapshot;
    judged.limits = world.limits;
    let answers = judged.judge(1).answers;
    let radius = answers.iter().find(|a| a.gate == GateName::BlastRadius).unwrap();
    assert!(
        radius
            .answer
            .why()
            .contains("4 more would exceed maxTasksInAll 3"),
        "{radius:?}"
    );
}

#[test]
fn a_policy_that_kills_single_tasks_needs_no_agents() {
    let mut world = racks();
    world.snapshot.agents = None;
    world.policy.as_mut().unwrap().fault = FaultSpec::KillTasks {
        count: Count::Exactly(1),
        at_once: 1,
        gap: Duration::from_secs(30),
    };
    assert_eq!(made(&world, "p").unwrap().0.outage, None);
}
