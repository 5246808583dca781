//! The leader ends right after it accepted a kill, as a real one was seen to: the kill never happened.

use crate::support::world::{Given, World};
use heartbreak::model::run::IntentState;
use heartbreak::model::verdict::HypothesisResult;
use heartbreak_sim::{AppSpec, Version};
use serde_json::json;
use std::time::Duration;

/// One run through all of it. A kill that nobody carries out stays charged until it is proven that it did
/// nothing; then the operator goes on by itself, and the next run kills.
async fn the_leader_ends_during_a_kill(version: Version) {
    let asked_every_second = json!([{"protocol": "HTTP", "path": "/health", "portIndex": 0,
        "gracePeriodSeconds": 10, "intervalSeconds": 1, "timeoutSeconds": 1, "maxConsecutiveFailures": 3}]);
    let cart = AppSpec::new("/shop/cart", 4)
        .label("chaos", "opt-in")
        .label("team", "shop");
    let world = World::given(Given {
        cluster_of: Some((vec![cart.with("healthChecks", asked_every_second)], vec![])),
        approval: "mode: automatic",
        version,
        nodes: 2,
        quarantine: Some(Duration::from_secs(2)),
        kill_retry: Some(Duration::from_secs(2)),
        marathon: Box::new(|sim| sim.with(|s| s.timings.kill_delay = Duration::from_secs(5))),
        ..Given::default()
    })
    .await;
    world.asks_for_a_run().await.expect("it is taken");
    let run = world
        .until("accepted", |run| {
            run.intents
                .iter()
                .any(|i| matches!(i.state, IntentState::Acked { .. }))
        })
        .await;
    world.sim.kill_leader(Duration::from_secs(2)).await;
    world
        .sim
        .with(|s| s.timings.kill_delay = Duration::from_millis(40));

    // It waits: nothing is sent again, the kill is charged, and nobody says that all is well.
    let charged = world.charged().await;
    assert!(charged[0].contains(run.id.as_str()), "{charged:?}");
    // Health comes back on the new leader; the same task answers its checks as before, long after its grace.
    let run = world
        .until("settled", |run| run.intents.iter().all(|i| !i.is_charged()))
        .await;
    let IntentState::NoEffect { why, .. } = &run.intents[0].state else {
        panic!("{:?}", run.intents[0].state)
    };
    assert!(why.contains("never carried it out"), "{why}");
    let told = world
        .sees("that it had no effect", |m| {
            m.text.contains("Marathon accepted kill") && m.text.contains("still runs")
        })
        .await;
    assert!(told.text.contains(run.id.as_str()), "{}", told.text);
    let over = world.until_over().await;
    let verdict = over.verdict.expect("a verdict");
    assert_eq!(
        verdict.hypothesis,
        HypothesisResult::Inconclusive,
        "{}",
        verdict.sentence
    );
    let sent = || {
        let requests = world.sim.requests();
        requests
            .iter()
            .filter(|r| r.path.ends_with("/v2/tasks/delete"))
            .count()
    };
    assert_eq!(
        (sent(), world.sim.kills().len()),
        (1, 0),
        "and never a second time"
    );

    // It goes on: the next run is planned, and its kill happens.
    world.asks_for_a_run().await.expect("it is taken");
    world.until_killed(1).await;
    let next = world.until_over().await;
    assert_ne!(next.id, run.id);
    assert_eq!((sent(), world.sim.kills().len()), (2, 1));
    world.stop().await;
}

#[tokio::test]
async fn a_kill_that_the_ended_leader_of_1_5_forgot_is_waited_for_and_the_next_one_happens() {
    the_leader_ends_during_a_kill(Version::V1_5).await;
}

#[tokio::test]
async fn a_kill_that_the_ended_leader_of_1_7_forgot_is_waited_for_and_the_next_one_happens() {
    the_leader_ends_during_a_kill(Version::V1_7).await;
}

#[tokio::test]
async fn a_kill_that_the_ended_leader_of_1_8_forgot_is_waited_for_and_the_next_one_happens() {
    the_leader_ends_during_a_kill(Version::V1_8).await;
}

#[tokio::test]
async fn a_kill_that_the_ended_leader_of_1_11_forgot_is_waited_for_and_the_next_one_happens() {
    the_leader_ends_during_a_kill(Version::V1_11).await;
}
