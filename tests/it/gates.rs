//! Gates as people meet them: over HTTP, with the numbers in the words.

use crate::support::world::{Given, World};
use heartbreak::model::entry::Body;
use heartbreak::model::gate::{Answer, GateName};
use heartbreak_sim::{Sim, Timings};
use std::time::Duration;

#[tokio::test]
async fn outside_its_window_a_policy_does_nothing_and_says_when_it_opens() {
    let world = World::given(Given {
        policy: vec![(
            "from: \"08:00\", to: \"20:00\"",
            "from: \"20:30\", to: \"23:30\"".into(),
        )],
        ..Given::default()
    })
    .await;
    world.asks_for_a_run().await.expect("it is taken");
    let why = world.why_says("Nothing happens: window").await;
    assert!(why.contains("20:30"), "{why}");
    assert!(world.run().await.is_none());
    assert_eq!(world.sim.kills().len(), 0);
    world.stop().await;
}

#[tokio::test]
async fn an_app_that_is_short_of_a_task_already_loses_no_other() {
    let world = World::start().await;
    world.why_says("Nothing stands in the way").await;
    let gone = world.sim.with(|state| {
        state.set_launch_delay("/shop/cart", Duration::from_secs(600));
        let task = state.task_ids("/shop/cart").remove(0);
        state.fail_task(&task)
    });
    assert!(gone);
    world.asks_for_a_run().await.expect("it is taken");
    let why = world.why_says("Nothing happens: ").await;
    assert!(why.contains("3 of 4 healthy") || why.contains("3 of 4"), "{why}");
    assert!(world.run().await.is_none());
    assert_eq!(world.sim.kills().len(), 0);
    world.stop().await;
}

#[tokio::test]
async fn a_deployment_is_waited_for() {
    let world = World::start().await;
    world.why_says("Nothing stands in the way").await;
    world
        .sim
        .with(|state| state.set_deployment("/shop/cart", Some("d-1")));
    world.asks_for_a_run().await.expect("it is taken");
    world.why_says("deployment d-1 is at work on /shop/cart").await;
    assert_eq!(world.sim.kills().len(), 0);
    world.stop().await;
}

#[tokio::test]
async fn an_operator_that_is_not_armed_asks_nobody_and_kills_nothing() {
    let world = World::given(Given {
        armed: false,
        approval: "mode: automatic",
        ..Given::default()
    })
    .await;
    world.asks_for_a_run().await.expect("it is taken");
    world.why_says("Nothing happens: armed").await;
    assert!(world.run().await.is_none());
    assert_eq!(world.sim.kills().len(), 0);
    world.stop().await;
}

/// On 1.8 and later Marathon counts a replacement as healthy while it is staged: it inherits what the dead
/// task answered. Whoever believed that number would kill the next one now.
#[tokio::test]
async fn a_staged_replacement_with_inherited_health_does_not_count_as_serving() {
    let slow = |sim: &Sim| {
        sim.with(|state| {
            state.timings = Timings {
                kill_delay: Duration::from_millis(40),
                offer_delay: Duration::from_millis(80),
                start_delay: Duration::from_secs(3),
                health_delay: Duration::from_millis(40),
            };
        });
    };
    let world = World::given(Given {
        approval: "mode: automatic",
        kills: 2,
        marathon: Box::new(slow),
        ..Given::default()
    })
    .await;
    world.asks_for_a_run().await.expect("it is taken");
    world.until_killed(1).await;
    let lie = async {
        loop {
            let url = format!(
                "{}/v2/apps//shop/cart?embed=app.tasks&embed=app.counts",
                world.sim.url()
            );
            let text = reqwest::get(url)
                .await
                .expect("an answer")
                .text()
                .await
                .expect("a body");
            let app: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            let app = &app["app"];
            let staged = app["tasks"].as_array().is_some_and(|tasks| {
                tasks
                    .iter()
                    .any(|t| t["state"] == "TASK_STAGING" && t["healthCheckResults"][0]["alive"] == true)
            });
            if staged {
                return app["tasksHealthy"].as_u64();
            }
        }
    };
    let lie = tokio::time::timeout(Duration::from_secs(20), lie).await;
    assert_eq!(
        lie.expect("a replacement is staged"),
        Some(4),
        "Marathon says that all are healthy"
    );
    let run = world.until_over().await;
    assert_eq!(world.sim.kills().len(), 2, "{:?}", run.verdict);
    // The gate was asked about the second kill while the first was not replaced, and said no with numbers.
    let refusals: Vec<String> = world
        .entries()
        .await
        .into_iter()
        .filter_map(|entry| match entry.body {
            Body::Judged { judgement } => Some(judgement.answers),
            _ => None,
        })
        .flatten()
        .filter(|a| a.gate == GateName::BlastRadius)
        .filter_map(|a| match a.answer {
            Answer::Refuse(why) => Some(why),
            Answer::Pass(_) | Answer::Unknown(_) => None,
        })
        .collect();
    assert!(refusals.iter().any(|why| why.contains("3 of 4")), "{refusals:?}");
    world.stop().await;
}
