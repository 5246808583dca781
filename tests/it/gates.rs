//! Gates as people meet them: over HTTP, with the numbers in the words.

use crate::support::world::{Given, World};
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
    // A plan is made on what was seen up to a second ago: wait until it is seen.
    let why = world.why_says("3 of 4").await;
    assert!(why.starts_with("Nothing happens: "), "{why}");
    world.asks_for_a_run().await.expect("it is taken");
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
    world.why_says("deployment d-1 is at work on /shop/cart").await;
    world.asks_for_a_run().await.expect("it is taken");
    assert!(world.run().await.is_none());
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
        marathon: Box::new(slow),
        ..Given::default()
    })
    .await;
    world.why_says("Nothing stands in the way").await;
    // Somebody else kills a task.
    let task = world.sim.with(|state| state.task_ids("/shop/cart").remove(0));
    let http = reqwest::Client::new();
    let delete = http
        .post(format!("{}/v2/tasks/delete", world.sim.url()))
        .json(&serde_json::json!({ "ids": [task] }));
    assert!(delete.send().await.expect("an answer").status().is_success());
    let lie = async {
        loop {
            let url = format!(
                "{}/v2/apps//shop/cart?embed=app.tasks&embed=app.counts",
                world.sim.url()
            );
            let text = http
                .get(url)
                .send()
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
    let why = world.why().await;
    assert!(
        why.starts_with("Nothing happens: ") && why.contains("3 of 4"),
        "{why}"
    );
    world.asks_for_a_run().await.expect("it is taken");
    world.why_says("Nothing stands in the way").await;
    assert_eq!(world.sim.kills().len(), 1, "the one by hand");
    world.stop().await;
}
