//! Designs with a second app that is left alone: from the request for a run to its verdict and report, over
//! real HTTP.

use crate::support::judges::accept_reports;
use crate::support::world::{BESIDE, Door, Given, World};
use heartbreak::model::command::Command;
use heartbreak::model::report::Report;
use heartbreak::model::run::{Phase, Run};
use heartbreak::model::verdict::{HypothesisResult, Outcome, Verdict};
use heartbreak::model::view::Reply;
use heartbreak_sim::AppSpec;

/// The app that is hit.
const HIT: &str = "/shop/cart";
/// The app that is left alone, though its owner has opted it in.
const ALONE: &str = "/shop/cart-alone";

const PARALLEL: &str = "design: parallel, control: /shop/cart-alone, experiment: /shop/cart, margin: 5pp";
const REFERENCE: &str = "design: reference, reference: /shop/cart-alone, margin: 10pp";

/// One kill, watched for long enough to compare stretches of five seconds.
async fn two_apps(design: &str) -> World {
    let own = |id: &str| AppSpec::new(id, 4).label("chaos", "opt-in").label("team", "shop");
    World::given(Given {
        approval: "mode: automatic",
        policy: vec![
            ("ids: [\"/shop/cart\"]", "ids: [\"/shop/*\"]".into()),
            (
                "control: { design: beforeAfter }",
                format!("control: {{ {design} }}"),
            ),
            (
                "baseline: { for: 2s, max: 20s }",
                "baseline: { for: 11s, max: 40s }".into(),
            ),
            (
                "recovery: { within: 8s, hold: 400ms }",
                // A busy machine may miss samples in a row without ending the test.
                "recovery: { within: 30s, hold: 11s }\n    blind: { abortAfter: 20 }".into(),
            ),
            (
                "    probes:\n",
                format!(
                    "    probes:
      - name: beside
        role: abort
        controlFor: front-door
        source: {{ http: {{ url: \"{BESIDE}\", requests: 5 }} }}
        share: {{ max: 30%, hard: 90% }}
"
                ),
            ),
        ],
        cluster_of: Some((vec![own(HIT), own(ALONE)], vec![])),
        ..Given::default()
    })
    .await
}

/// One run in which, from the kill to its abort or its end, the doors of the app that is hit and of the one left alone are
/// like this; its verdict and its report, also in the words that a person reads.
async fn run_of(world: &World, hit: Door, alone: Door) -> (Verdict, Box<Report>, String) {
    world.asks_for_a_run().await.expect("it is taken");
    world.until_killed(1).await;
    world.front.becomes(hit);
    world.beside.becomes(alone);
    let ends = |run: &Run| run.abort.is_some() || run.phase == Phase::Ended;
    world.until("aborted or over", ends).await;
    world.front.becomes(Door::Good);
    world.beside.becomes(Door::Good);
    let run = world.until_over().await;
    let verdict = run.verdict.clone().expect("a verdict");
    let Ok(Reply::Report(report)) = world.api(Command::Report { run: run.id.clone() }).await else {
        panic!("a report");
    };
    assert_eq!(report.kills_after_breach, 0);
    let hit: Vec<String> = world.sim.kills().into_iter().map(|kill| kill.app).collect();
    assert_eq!(hit, [HIT], "the app that is left alone was hit");
    let folder = world.state().join("reports").join(run.id.as_str());
    for file in [
        "report.json",
        "report.html",
        "chart.svg",
        "junit.xml",
        "chaostoolkit.json",
    ] {
        world.until_written(&folder.join(file)).await;
    }
    world.until_written(&folder.join("report.md")).await;
    let words = std::fs::read_to_string(folder.join("report.md")).expect("the report can be read");
    (verdict, report, words)
}

fn check(verdict: &Verdict, outcome: Outcome, hypothesis: HypothesisResult, words: &str) {
    let lines = verdict.lines.join("\n");
    assert_eq!(
        (verdict.outcome, verdict.hypothesis),
        (outcome, hypothesis),
        "{} {lines}",
        verdict.sentence
    );
    assert!(lines.contains(words), "{lines}");
}

#[tokio::test]
async fn users_of_both_parallel_apps_see_the_same_and_the_hypothesis_holds() {
    let world = two_apps(PARALLEL).await;
    let (verdict, report, words) = run_of(&world, Door::Good, Door::Good).await;
    check(
        &verdict,
        Outcome::Completed,
        HypothesisResult::Held,
        "no difference beyond what is tolerated",
    );
    assert_eq!(verdict.design, "strong (parallel apps)");
    accept_reports(&[world.state().join("reports").join(report.run.as_str())]);
    let kill = report.recoveries.first().expect("one kill");
    assert!(
        kill.healthy.is_some() && kill.running <= kill.healthy,
        "the health of the killed task is not that of its replacement: {kill:?}"
    );
    let [difference] = verdict.differences.as_slice() else {
        panic!(
            "one probe is compared, its counterpart is not: {:?}",
            verdict.differences
        )
    };
    assert_eq!(difference.probe.as_str(), "front-door");
    assert!(
        difference.control_observed > 0 && difference.pairs.len() >= 2,
        "{difference:?}"
    );
    assert_eq!(
        report.plan.apps.ids().map(|id| id.as_str()).collect::<Vec<_>>(),
        [HIT]
    );
    for said in [
        "App left alone",
        "App that was hit",
        "was left alone",
        "strong (parallel apps)",
    ] {
        assert!(words.contains(said), "{said:?} is not in {words}");
    }
    world.stop().await;
}

#[tokio::test]
async fn what_only_users_of_the_parallel_app_that_was_hit_saw_was_caused_by_the_kill() {
    let world = two_apps(PARALLEL).await;
    let ((verdict, _, words), ()) = tokio::join!(
        run_of(&world, Door::Flaky, Door::Good),
        world.until_view("showing a difference", |view| view.difference_percent >= Some(20)),
    );
    check(
        &verdict,
        Outcome::Completed,
        HypothesisResult::Disproved,
        "Caused by the kill: yes",
    );
    assert!(
        verdict.sentence.contains("in the app that was hit"),
        "{}",
        verdict.sentence
    );
    assert!(words.contains("disproved"), "{words}");
    world.stop().await;
}

#[tokio::test]
async fn what_users_of_both_parallel_apps_suffered_is_a_common_cause_and_not_the_kill() {
    let world = two_apps(PARALLEL).await;
    let (verdict, _, words) = run_of(&world, Door::Bad, Door::Bad).await;
    check(
        &verdict,
        Outcome::Aborted,
        HypothesisResult::Inconclusive,
        "common cause",
    );
    assert!(words.contains("common cause"), "{words}");
    world.stop().await;
}

#[tokio::test]
async fn a_reference_app_that_changes_alike_takes_the_blame_off_the_kill() {
    let world = two_apps(REFERENCE).await;
    let (verdict, report, words) = run_of(&world, Door::Flaky, Door::Flaky).await;
    check(
        &verdict,
        Outcome::Completed,
        HypothesisResult::Held,
        "no difference beyond what is tolerated",
    );
    assert_eq!(verdict.design, "moderate (reference app)");
    let [difference] = verdict.differences.as_slice() else {
        panic!("one probe is compared: {:?}", verdict.differences)
    };
    let share = |bad: u64, observed: u64| bad as f64 / observed.max(1) as f64;
    let (before, after) = (
        share(difference.control_bad, difference.control_observed),
        share(difference.experiment_bad, difference.experiment_observed),
    );
    assert!(
        before == 0.0 && after > 0.1 && difference.difference.abs() < 0.1,
        "{difference:?}"
    );
    assert_eq!(
        report.plan.apps.ids().map(|id| id.as_str()).collect::<Vec<_>>(),
        [HIT]
    );
    for said in [
        "Before the first kill",
        "After it",
        "was left alone",
        "moderate (reference app)",
    ] {
        assert!(words.contains(said), "{said:?} is not in {words}");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_change_that_the_reference_app_does_not_share_is_probably_the_kills() {
    let world = two_apps(REFERENCE).await;
    let (verdict, _, words) = run_of(&world, Door::Flaky, Door::Good).await;
    check(
        &verdict,
        Outcome::Completed,
        HypothesisResult::Disproved,
        "Caused by the kill: probably (",
    );
    assert!(words.contains("disproved"), "{words}");
    world.stop().await;
}
