//! Policy files under a running operator: changed, broken, deleted.

use crate::support::world::{Given, World};
use heartbreak::model::experiment::AbortCause;
use heartbreak::model::run::Phase;
use heartbreak::model::verdict::Outcome;

fn three_kills() -> Given {
    Given {
        approval: "mode: automatic",
        kills: 3,
        ..Given::default()
    }
}

/// In the middle of a run of three kills this is done to the policy's file: the run ends in order, because
/// of the policy, after its first kill.
async fn check_ends_the_run(world: &World, change: impl FnOnce(&std::path::Path)) {
    world.asks_for_a_run().await.expect("it is taken");
    world.until_killed(1).await;
    change(&world.policy_file());
    let run = world.until_over().await;
    let cause = run.abort.map(|a| a.cause);
    assert!(matches!(cause, Some(AbortCause::Policy { .. })), "{cause:?}");
    assert_eq!(run.verdict.map(|v| v.outcome), Some(Outcome::Aborted));
    assert!(world.sim.kills().len() < 3, "{} kills", world.sim.kills().len());
}

#[tokio::test]
async fn a_file_that_turns_bad_suspends_its_policy_ends_its_run_and_is_told() {
    let world = World::given(three_kills()).await;
    check_ends_the_run(&world, |file| std::fs::write(file, "spec: [").expect("written")).await;
    let refused = world.asks_for_a_run().await.expect_err("suspended");
    assert!(refused.why.contains("policy cart can't run"), "{}", refused.why);
    let told = world
        .sees("the suspension", |m| {
            m.text.starts_with("Policy cart is suspended")
        })
        .await;
    assert_eq!(told.channel, "C0OPERATE");
    let metrics = reqwest::get(format!("{}/metrics", world.running.url))
        .await
        .expect("an answer");
    let metrics = metrics.text().await.expect("a body");
    assert!(
        metrics.contains("heartbreak_policies{state=\"suspended\"} 1"),
        "{metrics}"
    );
    world.stop().await;
}

#[tokio::test]
async fn a_deleted_file_ends_its_run() {
    let world = World::given(three_kills()).await;
    check_ends_the_run(&world, |file| std::fs::remove_file(file).expect("removed")).await;
    let refused = world.asks_for_a_run().await.expect_err("gone");
    assert!(refused.why.contains("there is no policy cart"), "{}", refused.why);
    world.stop().await;
}

#[tokio::test]
async fn a_changed_file_counts_at_once_and_voids_what_was_asked_under_the_old_one() {
    let world = World::start().await;
    world.asks_for_a_run().await.expect("it is taken");
    let card = world.card().await;
    let text = std::fs::read_to_string(world.policy_file()).expect("read");
    std::fs::write(world.policy_file(), text.replace("count: 1", "count: 2")).expect("written");
    let run = world.until_over().await;
    assert_eq!(run.plan.steps.len(), 1);
    world.clicks(crate::support::world::ANA, &card, "approve").await;
    world.hears(crate::support::world::ANA, "Not now").await;
    let again = async {
        // The folder may have been read a moment ago and not since.
        while world.asks_for_a_run().await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(crate::support::world::SOON, again)
        .await
        .expect("it is taken");
    let second = world
        .until("asked anew", |r| {
            r.id != run.id && r.phase == Phase::AwaitingApproval
        })
        .await;
    assert_eq!(second.plan.steps.len(), 2, "by the new file");
    assert_eq!(world.sim.kills().len(), 0);
    world.stop().await;
}

#[test]
fn the_schemas_that_are_published_are_those_that_are_printed() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    for (of, file) in [("policy", "schema.json"), ("report", "report-schema.json")] {
        let out = std::process::Command::new(env!("CARGO_BIN_EXE_heartbreak"))
            .args(["schema", of])
            .env_clear()
            .output()
            .expect("the binary can be run");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let published = std::fs::read_to_string(folder.join(file)).expect("it is published");
        assert!(
            String::from_utf8_lossy(&out.stdout) == published,
            "{file} is not what `schema {of}` prints"
        );
    }
}
