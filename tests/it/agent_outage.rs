//! A rack that goes dark: Marathon's tasks joined with Mesos's agents, over HTTP, from the question in chat to
//! the report.

use crate::support::world::{ANA, Given, World};
use heartbreak::model::run::Run;
use heartbreak::model::verdict::{HypothesisResult, Outcome};
use heartbreak_sim::{Agent, AgentSpec, AppSpec, Presence};
use std::collections::{BTreeMap, BTreeSet};

/// Six agents, two on each of racks 1 to 3 (numbers, as Mesos has them), and three apps with a task on each
/// of them; nobody has opted `/shop/other` in.
fn three_racks() -> (Vec<AppSpec>, Vec<AgentSpec>) {
    let app = |id: &str| AppSpec::new(id, 6).label("team", "shop");
    let apps = vec![
        app("/shop/cart").label("chaos", "opt-in"),
        app("/shop/pay").label("chaos", "opt-in"),
        app("/shop/other"),
    ];
    let agents = (0..6).map(|n| {
        let agent = AgentSpec::new(format!("a{n}.test"));
        agent.attribute("rack", &format!("{}", 1 + n / 2))
    });
    (apps, agents.collect())
}

/// A policy for rack 2 of all apps under `/shop`.
fn rack_2(steps: &str) -> Given {
    Given {
        cluster_of: Some(three_racks()),
        mesos: true,
        settings: "limits: { tasksDown: 8, killsPerHour: 50, killsPerWorkday: 50 }".into(),
        policy: vec![
            ("/shop/cart", "/shop/**".into()),
            (
                "killTasks: { count: 1, gap: 1s }",
                format!("agentOutage: {{ attribute: rack, value: 2, steps: {steps}, gap: 1s }}"),
            ),
            (
                "maxTasks: 1, maxPercent: 25, minHealthy: 3",
                "maxTasks: 4, maxPercent: 60, minHealthy: 2, maxApps: 2, maxTasksInAll: 8".into(),
            ),
            (
                "kills: 5, per: 1h, burst: 5",
                "kills: 20, per: 1h, burst: 8".into(),
            ),
        ],
        ..Given::default()
    }
}

/// The tasks of opted-in apps by the host they run on, as Marathon itself lists them.
async fn by_host(world: &World) -> BTreeMap<String, BTreeSet<String>> {
    let answer = reqwest::get(format!("{}/v2/tasks", world.sim.url()))
        .await
        .expect("an answer");
    let text = answer.text().await.expect("a body");
    let all: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let mut hosts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for task in all["tasks"].as_array().expect("tasks") {
        if task["appId"] != "/shop/other" {
            let text = |field: &str| task[field].as_str().expect("a text").to_owned();
            hosts.entry(text("host")).or_default().insert(text("id"));
        }
    }
    hosts
}

fn killed(world: &World) -> BTreeSet<String> {
    world.sim.kills().into_iter().map(|kill| kill.killed).collect()
}

fn requests(world: &World) -> usize {
    let all = world.sim.requests();
    all.iter().filter(|r| r.path == "/v2/tasks/delete").count()
}

fn held(run: &Run) {
    let verdict = run.verdict.as_ref().expect("a verdict");
    assert_eq!(verdict.outcome, Outcome::Completed, "{}", verdict.sentence);
    assert_ne!(
        verdict.hypothesis,
        HypothesisResult::Disproved,
        "{}",
        verdict.sentence
    );
}

#[tokio::test]
async fn a_rack_goes_dark_at_once_after_people_saw_every_task_that_would_die() {
    let world = World::given(rack_2("atOnce")).await;
    world.why_says("Nothing stands in the way").await;
    let hosts = by_host(&world).await;
    let there: BTreeSet<String> = ["a2.test", "a3.test"]
        .iter()
        .flat_map(|h| hosts[*h].clone())
        .collect();
    world.asks_for_a_run().await.expect("it is taken");
    let card = world.card().await;
    let shown = format!("{card:?}");
    for task in &there {
        assert!(
            shown.contains(task.as_str()),
            "{task} is not on the card: {shown}"
        );
    }
    assert!(card.text.contains("rack 2"), "{}", card.text);
    world.clicks(ANA, &card, "approve").await;
    let run = world.until_over().await;
    held(&run);
    assert_eq!(killed(&world), there, "all of them, and nothing else");
    assert_eq!(requests(&world), 1, "in one request");
    assert_eq!(run.plan.apps.count(), 2);
    assert_eq!(run.intents.len(), 1);
    assert!(world.charged().await.is_empty());
    // The report knows each app by itself.
    let report = world.state().join(format!("reports/{}/report.json", run.id));
    world.until_written(&report).await;
    let report: serde_json::Value =
        serde_json::from_slice(&std::fs::read(report).expect("the report")).expect("JSON");
    let recovered: Vec<_> = report["recoveries"].as_array().expect("a list").iter().collect();
    assert_eq!(recovered.len(), 2, "{recovered:?}");
    assert!(
        recovered.iter().all(|r| r["capacity"].is_string()),
        "{recovered:?}"
    );
    assert_eq!(report["plan"]["outage"]["value"], "2");
    world.stop().await;
}

#[tokio::test]
async fn one_agent_after_the_other_each_once_the_one_before_is_whole_again() {
    let world = World::given(Given {
        approval: "mode: automatic",
        ..rack_2("perAgent")
    })
    .await;
    world.why_says("Nothing stands in the way").await;
    let hosts = by_host(&world).await;
    world.asks_for_a_run().await.expect("it is taken");
    let run = world.until_over().await;
    held(&run);
    assert_eq!(requests(&world), 2);
    let planned = run.plan.outage.expect("an outage").agents;
    for (number, agent) in (1..).zip(&planned) {
        let intent = format!("{}/{number}", run.id);
        let kills = world.sim.kills();
        let of_step: Vec<_> = kills
            .iter()
            .filter(|k| k.intent.as_ref() == Some(&intent))
            .collect();
        let tasks: BTreeSet<_> = of_step.iter().map(|k| k.killed.clone()).collect();
        assert_eq!(tasks, hosts[&agent.host], "step {number}");
        // Whatever was down meanwhile died in the same step.
        let down: BTreeSet<_> = of_step.iter().flat_map(|k| k.others_down.clone()).collect();
        assert!(down.is_subset(&tasks), "step {number}: {down:?}");
    }
    assert_eq!(planned.len(), 2);
    world.stop().await;
}

#[tokio::test]
async fn what_is_not_known_of_the_agents_or_could_not_come_back_leaves_the_rack_alone() {
    let world = World::given(Given {
        approval: "mode: automatic",
        ..rack_2("atOnce")
    })
    .await;
    world.why_says("Nothing stands in the way").await;
    let (lost, back) = (
        |world: &World| {
            world
                .sim
                .with(|s| s.set_presence(Agent(5), Presence::Unreachable))
        },
        |world: &World| world.sim.with(|s| s.set_presence(Agent(5), Presence::Active)),
    );
    lost(&world);
    let why = world.why_says("it is unknown on which rack").await;
    assert!(why.contains("a5.test") && why.contains("unknown rack"), "{why}");
    world.asks_for_a_run().await.expect("it is taken");
    world
        .sees("that there is no run", |m| {
            m.text.contains("it is unknown on which rack")
        })
        .await;
    assert!(world.run().await.is_none());
    back(&world);
    world.why_says("Nothing stands in the way").await;

    world.sim.with(|s| s.mesos.depose());
    world.why_says("no master leads").await;
    let master = world.sim.mesos_url();
    let master = master.trim_start_matches("http://").parse().expect("an address");
    world.sim.with(|s| s.mesos.elect(master));
    world.why_says("Nothing stands in the way").await;

    world
        .sim
        .with(|s| s.set_presence(Agent(2), Presence::Deactivated));
    world.why_says("is not connected to Mesos").await;
    assert_eq!(killed(&world), BTreeSet::new());
    world.stop().await;
}

#[tokio::test]
async fn an_app_that_is_clustered_on_the_rack_is_refused_by_name() {
    let (mut apps, agents) = three_racks();
    apps[1].constraints = vec![vec!["rack".into(), "IS".into(), "2".into()]];
    let world = World::given(Given {
        cluster_of: Some((apps, agents)),
        ..rack_2("atOnce")
    })
    .await;
    let why = world
        .why_says("/shop/pay could not come back without rack 2: /shop/pay is bound by constraint rack:IS:2")
        .await;
    assert!(
        why.starts_with("Nothing happens: rack 2 can't be taken down whole"),
        "{why}"
    );
    world.asks_for_a_run().await.expect("it is taken");
    assert_eq!(killed(&world), BTreeSet::new());
    world.stop().await;
}

#[tokio::test]
async fn without_mesos_masters_in_the_settings_nothing_is_planned() {
    let world = World::given(Given {
        mesos: false,
        ..rack_2("atOnce")
    })
    .await;
    world
        .why_says("the settings name no Mesos masters for this cluster (`clusters[].mesos.urls`)")
        .await;
    assert!(world.run().await.is_none());
    world.stop().await;
}
