//! What the probes decide: when a run does not begin, when it ends, and that no kill leaves after that.

use crate::support::world::{Door, Given, World};
use heartbreak::model::command::Command;
use heartbreak::model::experiment::AbortCause;
use heartbreak::model::report::{Origin, Stage};
use heartbreak::model::verdict::{HypothesisResult, Outcome};
use heartbreak::model::view::Reply;

fn three_kills(front: Door) -> Given {
    Given {
        approval: "mode: automatic",
        kills: 3,
        front,
        ..Given::default()
    }
}

/// With a front door like this no run begins to kill, and its verdict says these words.
async fn check_never_begins(front: Door, words: &str) {
    let world = World::given(Given {
        policy: vec![("max: 20s", "max: 4s".into())],
        ..three_kills(front)
    })
    .await;
    world.asks_for_a_run().await.expect("it is taken");
    let run = world.until_over().await;
    let verdict = run.verdict.expect("a verdict");
    assert_eq!(
        (verdict.outcome, verdict.hypothesis),
        (Outcome::Skipped, HypothesisResult::NotTested),
        "{}",
        verdict.sentence
    );
    assert!(verdict.sentence.contains(words), "{}", verdict.sentence);
    assert!(
        verdict.sentence.contains("No kill was made"),
        "{}",
        verdict.sentence
    );
    assert_eq!(world.sim.kills().len(), 0);
    world.stop().await;
}

#[tokio::test]
async fn a_service_that_fails_already_is_left_alone() {
    check_never_begins(Door::Bad, "front-door").await;
}

#[tokio::test]
async fn a_probe_that_hangs_begins_nothing() {
    check_never_begins(Door::Hangs, "front-door").await;
}

#[tokio::test]
async fn a_probe_that_answers_rubbish_begins_nothing() {
    check_never_begins(Door::Garbage, "front-door").await;
}

/// The front door becomes like this after the first of three kills: the run is aborted and the others are
/// never made.
async fn check_stops_after_the_first(front: Door, is: impl Fn(&AbortCause) -> bool) {
    let world = World::given(three_kills(Door::Good)).await;
    world.asks_for_a_run().await.expect("it is taken");
    world.until_killed(1).await;
    world.front.becomes(front);
    let run = world.until_over().await;
    let aborted = run.abort.as_ref().expect("it was aborted");
    assert!(is(&aborted.cause), "{:?}", aborted.cause);
    let verdict = run.verdict.as_ref().expect("a verdict");
    assert_eq!(verdict.outcome, Outcome::Aborted, "{}", verdict.sentence);
    assert!(verdict.sentence.contains("front-door"), "{}", verdict.sentence);
    assert_eq!(world.sim.kills().len(), 1);
    let Ok(Reply::Report(report)) = world.api(Command::Report { run: run.id.clone() }).await else {
        panic!("a report");
    };
    assert_eq!(report.kills_after_breach, 0);
    for file in ["report.json", "report.md", "report.html", "chart.svg"] {
        let path = world.state().join("reports").join(run.id.as_str()).join(file);
        world.until_written(&path).await;
    }
    world.stop().await;
}

#[tokio::test]
async fn a_service_that_breaks_after_the_first_kill_is_spared_the_others() {
    check_stops_after_the_first(Door::Bad, AbortCause::is_degradation).await;
}

#[tokio::test]
async fn a_probe_that_hangs_in_the_middle_counts_as_harm_or_blindness_and_ends_the_run() {
    let cause = |c: &AbortCause| c.is_degradation() || matches!(c, AbortCause::Blind { .. });
    check_stops_after_the_first(Door::Hangs, cause).await;
}

/// The front door hangs after the first kill, and Marathon with it or not; the cause of the abort and the run.
async fn hangs_after_the_first_kill(marathon_too: bool) -> (AbortCause, World) {
    let mut world = World::given(three_kills(Door::Good)).await;
    world.asks_for_a_run().await.expect("it is taken");
    world.until_killed(1).await;
    if marathon_too {
        world.marathon_goes_away().await;
    }
    world.front.becomes(Door::Hangs);
    let run = world.until("aborted", |run| run.abort.is_some()).await;
    (run.abort.expect("it was aborted").cause, world)
}

#[tokio::test]
async fn a_service_that_is_down_is_said_to_be_down_where_the_self_check_is_answered() {
    let (cause, world) = hangs_after_the_first_kill(false).await;
    assert!(cause.is_degradation(), "{cause:?}");
    let verdict = world.until_over().await.verdict.expect("a verdict");
    let line = "The service is down: nobody answered probe front-door, while the self-check was answered.";
    assert_eq!(
        verdict.lines.get(2).map(String::as_str),
        Some(line),
        "{:?}",
        verdict.lines
    );
    world.stop().await;
}

#[tokio::test]
async fn where_nobody_answers_anywhere_we_may_be_cut_off_and_the_run_ends_as_blind() {
    let (cause, world) = hangs_after_the_first_kill(true).await;
    let AbortCause::Blind { why, .. } = &cause else {
        panic!("{cause:?}");
    };
    assert!(why.ends_with("we may be cut off"), "{why}");
    world.stop().await;
}

#[tokio::test]
async fn a_sham_does_everything_but_the_kill_and_pairs_add_up_over_runs() {
    // A busy machine may miss samples in a row without ending the test.
    let slots = "blind: { abortAfter: 20 }\n    control: { design: sham, window: 2s, settle: 400ms }";
    let world = World::given(Given {
        approval: "mode: automatic",
        policy: vec![("control: { design: beforeAfter }", slots.into())],
        ..Given::default()
    })
    .await;
    for day in 1..=2 {
        world.asks_for_a_run().await.expect("it is taken");
        world.until("a new run", |run| run.is_open() || day == 1).await;
        let run = world.until_over().await;
        let shams: Vec<bool> = run.intents.iter().map(|i| i.sham).collect();
        assert!(shams == [true, false] || shams == [false, true], "{shams:?}");
        assert_eq!(world.sim.kills().len(), day, "a sham reaches nothing");
        let sham = run.intents.iter().find(|i| i.sham).expect("one of two");
        assert!(
            world
                .sim
                .kills()
                .iter()
                .all(|k| k.intent.as_deref() != Some(sham.id.as_str())),
            "{:?}",
            world.sim.kills()
        );
        let counted = world.running.operator.read_ledger(|l| l.kills.len()).await;
        assert_eq!(counted, day, "a sham is charged to no rate and no budget");
        let verdict = run.verdict.as_ref().expect("a verdict");
        assert_eq!(
            (verdict.outcome, verdict.hypothesis),
            (Outcome::Completed, HypothesisResult::Inconclusive),
            "{}",
            verdict.sentence
        );
        let line = format!("Caused by the kill: not known yet, pair {day} of 5.");
        assert_eq!(verdict.lines[1], line, "{}", verdict.sentence);
        let Ok(Reply::Report(report)) = world.api(Command::Report { run: run.id.clone() }).await else {
            panic!("a report");
        };
        let [kill] = report.recoveries.as_slice() else {
            panic!("one kill, and shams have no recovery: {:?}", report.recoveries)
        };
        let origin = |stage: Stage| kill.origins.get(&stage).copied();
        assert_eq!(origin(Stage::Staged), Some(Origin::TaskRow), "{kill:?}");
        assert_eq!(origin(Stage::Running), Some(Origin::TaskRow), "{kill:?}");
        assert_eq!(origin(Stage::Healthy), Some(Origin::HealthResult), "{kill:?}");
        assert_eq!(origin(Stage::Steady), Some(Origin::Samples), "{kill:?}");
        assert!(kill.felt.iter().any(|f| f.observed > 0 && f.bad == 0), "{kill:?}");
        let capacity = report.stages.iter().find(|s| s.stage == Stage::Capacity);
        assert!(
            capacity.is_some_and(|s| s.kills == 1 && s.median_ms.is_some()),
            "{:?}",
            report.stages
        );
    }
    world.stop().await;
}
