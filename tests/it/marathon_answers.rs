//! Marathon that answers what it should not, late, or not at all: the words that people get, and nothing dies.

use crate::support::world::{Given, World};
use heartbreak::model::verdict::Outcome;
use heartbreak_sim::{On, Sim, Trouble};
use std::time::Duration;

fn with_marathon(change: impl FnOnce(&Sim) + 'static) -> Given {
    Given {
        marathon: Box::new(change),
        ..Given::default()
    }
}

/// A run is asked for while every read goes wrong so: nothing is planned and nothing dies, `why` says these
/// words, and as soon as Marathon is well again nothing stands in the way.
async fn check(trouble: Trouble, words: &str) {
    let world = World::given(with_marathon(move |sim| {
        sim.mischief().always(On::Reads, trouble)
    }))
    .await;
    world.asks_for_a_run().await.expect("it is taken, and waits");
    let why = world.why_says(words).await;
    assert!(why.starts_with("Nothing happens: "), "{why}");
    assert!(
        world.run().await.is_none(),
        "nothing is planned on what was not seen"
    );
    assert_eq!(world.sim.kills().len(), 0);
    world.sim.mischief().clear_all();
    world.why_says("Nothing stands in the way").await;
    world.stop().await;
}

#[tokio::test]
async fn a_web_page_is_no_cluster() {
    check(
        Trouble::Html200,
        "the answer is an HTML page, and it is not a list of apps",
    )
    .await;
}

#[tokio::test]
async fn half_an_answer_is_no_answer() {
    check(Trouble::Truncated, "EOF while parsing").await;
}

#[tokio::test]
async fn numbers_for_names_are_not_guessed_at() {
    check(
        Trouble::WrongTypes,
        "an app without a readable id was listed: invalid type: integer",
    )
    .await;
}

#[tokio::test]
async fn a_login_that_is_not_known_is_said_to_be() {
    let page = || (String::new(), "text/html".to_owned());
    let (body, kind) = page();
    check(
        Trouble::Status(401, body, kind),
        "Marathon does not know us (401, an empty body): check the credentials",
    )
    .await;
}

#[tokio::test]
async fn a_login_that_may_not_is_said_to_may_not() {
    let body = r#"{"message":"Not Authorized to perform this action!"}"#.to_owned();
    check(
        Trouble::Status(403, body, "application/json".into()),
        "Marathon knows us but does not allow it (403, \"Not Authorized to perform this action!\"): check the permissions",
    )
    .await;
}

#[tokio::test]
async fn a_follower_without_a_leader_is_waited_for() {
    check(Trouble::Status(502, String::new(), String::new()), "502").await;
}

#[tokio::test]
async fn a_connection_that_breaks_is_said_to_break() {
    check(Trouble::CloseBefore, "connection closed before message completed").await;
}

#[tokio::test]
async fn an_answer_that_never_comes_keeps_nobody_waiting() {
    check(
        Trouble::Hang,
        "Marathon did not answer within 1.5 s and was not seen before",
    )
    .await;
}

#[tokio::test]
async fn an_answer_half_a_minute_late_keeps_nobody_waiting() {
    check(
        Trouble::Delay(Duration::from_secs(30)),
        "Marathon did not answer within 1.5 s and was not seen before",
    )
    .await;
}

#[tokio::test]
async fn a_marathon_that_is_not_there_is_said_to_be_away() {
    let mut world = World::start().await;
    world.why_says("Nothing stands in the way").await;
    world.marathon_goes_away().await;
    world.asks_for_a_run().await.expect("it is taken");
    let why = world.why_says("Connection refused").await;
    assert!(why.starts_with("Nothing happens: "), "{why}");
    assert!(world.run().await.is_none());
    world.stop().await;
}

#[tokio::test]
async fn a_marathon_that_hangs_after_it_was_seen_is_not_believed_to_be_as_it_was() {
    let world = World::start().await;
    world.why_says("Nothing stands in the way").await;
    world.sim.mischief().always(On::Reads, Trouble::Hang);
    // What was seen is good for ten seconds and not longer.
    let why = world.why_says("s old, at most 10 s are trusted").await;
    assert!(why.starts_with("Nothing happens: freshness"), "{why}");
    world.asks_for_a_run().await.expect("it is taken");
    assert!(world.run().await.is_none());
    assert_eq!(world.sim.kills().len(), 0);
    world.stop().await;
}

#[tokio::test]
async fn a_marathon_that_will_not_say_who_it_is_is_not_touched() {
    for trouble in [Trouble::Html200, Trouble::Truncated, Trouble::WrongTypes] {
        let name = format!("{trouble:?}");
        let world = World::given(with_marathon(move |sim| sim.mischief().always(On::Info, trouble))).await;
        world.asks_for_a_run().await.expect("it is taken");
        let why = world.why_says("Nothing happens: ").await;
        assert!(world.run().await.is_none(), "{name}: {why}");
        assert_eq!(world.sim.kills().len(), 0);
        world.stop().await;
    }
}

#[tokio::test]
async fn an_app_that_is_no_longer_listed_is_said_to_be_gone() {
    let world = World::start().await;
    world.why_says("Nothing stands in the way").await;
    world.sim.with(|state| state.remove_app("/shop/cart"));
    let why = world.why_says("Marathon has no app /shop/cart").await;
    world.asks_for_a_run().await.expect("it is taken");
    assert!(why.starts_with("Nothing happens: "), "{why}");
    assert!(world.run().await.is_none());
    assert_eq!(world.sim.kills().len(), 0);
    world.stop().await;
}

#[tokio::test]
async fn a_policy_for_an_app_that_does_not_exist_says_so() {
    let world = World::given(Given {
        policy: vec![("ids: [\"/shop/cart\"]", "ids: [\"/shop/crat\"]".into())],
        ..Given::default()
    })
    .await;
    world.asks_for_a_run().await.expect("it is taken");
    let why = world.why_says("/shop/crat").await;
    assert!(why.starts_with("Nothing happens: "), "{why}");
    assert_eq!(world.sim.kills().len(), 0);
    world.stop().await;
}

#[tokio::test]
async fn another_marathon_behind_the_same_address_is_not_touched() {
    let world = World::start().await;
    world.why_says("Nothing stands in the way").await;
    let other = Trouble::OtherFramework("f-other".into());
    world.sim.mischief().always(On::Info, other);
    world
        .why_says("this is another Marathon: it calls itself framework \\\"f-other\\\"")
        .await;
    world.asks_for_a_run().await.expect("it is taken");
    assert!(world.run().await.is_none());
    assert_eq!(world.sim.kills().len(), 0);
    world.stop().await;
}

#[tokio::test]
async fn a_framework_id_of_the_settings_is_held_from_the_first_look() {
    let world = World::given(Given {
        cluster: "\n    frameworkId: f-settings",
        ..Given::default()
    })
    .await;
    world.asks_for_a_run().await.expect("it is taken");
    world
        .why_says("the settings name another one (`frameworkId`)")
        .await;
    assert!(world.run().await.is_none());
    world.stop().await;
}

#[tokio::test]
async fn a_marathon_that_turns_bad_between_two_kills_gets_no_second_one() {
    let world = World::given(Given {
        approval: "mode: automatic",
        kills: 2,
        ..Given::default()
    })
    .await;
    world.asks_for_a_run().await.expect("it is taken");
    world.until_killed(1).await;
    world.sim.mischief().always(On::Reads, Trouble::Html200);
    let run = world.until_over().await;
    assert_eq!(world.sim.kills().len(), 1, "what can't be seen can't be judged");
    let verdict = run.verdict.expect("a verdict");
    assert_eq!(verdict.outcome, Outcome::Aborted, "{}", verdict.sentence);
    println!("{}", verdict.sentence);
    // The kill stays charged until Marathon can be seen, and shows the app whole.
    assert_eq!(world.charged().await.len(), 1);
    world.sim.mischief().clear_all();
    world
        .until("free of charges", |run| {
            run.intents.iter().all(|i| !i.is_charged())
        })
        .await;
    world.stop().await;
}

#[tokio::test]
async fn a_kill_without_an_answer_is_never_sent_again_and_counts_as_a_kill() {
    let world = World::given(Given {
        approval: "mode: automatic",
        kills: 2,
        marathon: Box::new(|sim| sim.mischief().next(On::Kills, 1, Trouble::CloseBefore)),
        ..Given::default()
    })
    .await;
    world.asks_for_a_run().await.expect("it is taken");
    world.until("tried", |run| !run.intents.is_empty()).await;
    let asked = || {
        let requests = world.sim.requests();
        requests
            .into_iter()
            .filter(|r| r.path.ends_with("/v2/tasks/delete"))
            .count()
    };
    world
        .until("unanswered", |run| {
            run.intents.iter().any(|i| i.state.word() == "ambiguous")
        })
        .await;
    assert_eq!((asked(), world.sim.kills().len()), (1, 0));
    let charged = world.charged().await;
    assert!(charged.iter().any(|c| c.contains("unanswered")), "{charged:?}");
    // Whatever time it is given, and however often it is asked: no second request leaves.
    world.until_over().await;
    world.asks_for_a_run().await.expect("it is taken");
    world.why_says("an earlier run is not over").await;
    assert_eq!((asked(), world.sim.kills().len()), (1, 0));
    world.stop().await;
}

#[tokio::test]
async fn a_task_that_nothing_replaces_stays_charged_and_is_told_to_people() {
    let world = World::given(Given {
        approval: "mode: automatic",
        quarantine: Some(Duration::from_secs(1)),
        marathon: Box::new(|sim| sim.with(|state| state.timings.offer_delay = Duration::from_secs(3_600))),
        ..Given::default()
    })
    .await;
    world.asks_for_a_run().await.expect("it is taken");
    let run = world.until_over().await;
    assert_eq!(world.sim.kills().len(), 1);
    let told = world
        .sees("that it is not replaced", |m| m.text.contains("is not replaced"))
        .await;
    assert!(told.text.contains(run.id.as_str()), "{}", told.text);
    assert_eq!(told.channel, "C0OPERATE");
    assert_eq!(world.charged().await.len(), 1);
    world.asks_for_a_run().await.expect("it is taken");
    let why = world.why_says("Nothing happens: ").await;
    assert!(why.contains("an earlier run is not over on /shop/cart"), "{why}");
    assert_eq!(
        world.sim.kills().len(),
        1,
        "no second one while the first is down"
    );
    world.stop().await;
}
