//! The detector trips while something else waits: a kill with an open connection, a look at Marathon.

use crate::support::small_world::SmallWorld;
use heartbreak::model::command::{Asked, Command, Person, Role, Via};
use heartbreak::model::run::{IntentState, Phase};
use heartbreak::model::verdict::Outcome;
use heartbreak::model::view::Reply;
use heartbreak::ports::inbox::Inbox;

#[tokio::test]
async fn a_kill_that_waits_while_the_detector_trips_never_leaves() {
    let world = SmallWorld::start(1, 1, "1s").await;
    world.asks_for_a_run(0).await;
    world
        .until(0, "past its first kill", |run| !run.intents.is_empty())
        .await;
    world.outside.hold_kills();
    // The second kill is written down, admitted, and waits for its first byte.
    world.outside.until_held().await;
    let run = world
        .until(0, "about to kill again", |run| run.intents.len() == 2)
        .await;
    assert!(run.abort.is_none(), "nothing is wrong yet");
    world.outside.turns_bad("probe-0-0");
    let run = world.until(0, "aborted", |run| run.abort.is_some()).await;
    let abort = run.abort.expect("it was waited for");
    assert!(abort.cause.is_degradation(), "{:?}", abort.cause);
    assert!(abort.breach_to_fence_us.is_some());
    assert_eq!(world.outside.sent().len(), 1, "the second still waits");
    world.outside.release();
    let run = world.until(0, "over", |run| run.phase == Phase::Ended).await;
    assert_eq!(world.outside.sent().len(), 1, "and never left");
    assert!(
        matches!(run.intents[1].state, IntentState::NotSent { .. }),
        "{:?}",
        run.intents[1].state
    );
    assert_eq!(run.verdict.expect("it is over").outcome, Outcome::Aborted);
    let by = Person {
        id: "somebody".into(),
        name: "somebody".into(),
        via: Via::Api,
        role: Role::Viewer,
    };
    let asked = Asked {
        by,
        command: Command::Report { run: run.id },
        key: None,
    };
    let Ok(Reply::Report(report)) = world.operator.ask(asked).await else {
        panic!("a report");
    };
    assert_eq!(report.kills_after_breach, 0);
    world.stop().await;
}

#[tokio::test]
async fn a_marathon_that_does_not_answer_delays_no_abort() {
    let world = SmallWorld::start(1, 1, "20s").await;
    world.asks_for_a_run(0).await;
    world
        .until(0, "past its first kill", |run| !run.intents.is_empty())
        .await;
    world.outside.turns_bad_while_a_look_hangs("probe-0-0");
    let run = world.until(0, "over", |run| run.phase == Phase::Ended).await;
    let abort = run.abort.expect("the probe turned bad");
    assert!(abort.cause.is_degradation(), "{:?}", abort.cause);
    let gave_up = world.outside.gave_up().expect("the look was given up in the end");
    assert!(abort.at < gave_up, "{} waited for {gave_up}", abort.at);
    world.stop().await;
}
