//! Whole runs in chat: the real operator between a pretend Marathon and a pretend Slack.

use crate::support::world::{ANA, BEN, CHO, Given, SOON, World};
use heartbreak::model::command::Command;
use heartbreak::model::run::Phase;
use heartbreak::model::view::Reply;
use heartbreak_sim::slack::{Message, Slack, Trouble};

fn approved_by(approval: &'static str) -> Given {
    Given {
        approval,
        ..Given::default()
    }
}

fn with_slack(change: impl FnOnce(&Slack) + 'static) -> Given {
    Given {
        slack: Box::new(change),
        ..Given::default()
    }
}

#[tokio::test]
async fn a_run_is_asked_for_approved_watched_and_told_in_one_message() {
    let world = World::given(approved_by("approvers: { users: [U0ANA0001, U0BEN0002] }")).await;
    let taken = world.types(BEN, "run cart").await;
    assert!(taken.body.contains("is being planned"), "{}", taken.body);
    let card = world.card().await;
    assert!(
        card.text
            .starts_with("Approval needed: kill *1 of 4* tasks of `/shop/cart`"),
        "{}",
        card.text
    );

    // Whoever asked, whoever is no approver, and a yes to another plan: each is told why, privately.
    world.clicks(BEN, &card, "approve").await;
    world.hears(BEN, "asked for run").await;
    world.clicks(CHO, &card, "approve").await;
    world.hears(CHO, "is not an approver").await;
    let text = card.blocks.to_string();
    let run = world.run().await.expect("there is a run");
    let other = text.replace(run.digest.short(), "0123456789ab");
    let changed = Message {
        blocks: other.parse().expect("JSON"),
        ..card.clone()
    };
    world.clicks(ANA, &changed, "approve").await;
    world.hears(ANA, "another plan").await;
    assert_eq!(
        world.run().await.map(|r| (r.phase, r.approvals.len())),
        Some((Phase::AwaitingApproval, 0))
    );

    world.clicks(ANA, &card, "approve").await;
    world.hears(ANA, "Approved").await;
    let run = world.until_over().await;
    let verdict = world
        .sees("the verdict", |m| m.thread_ts.as_deref() == Some(&card.ts))
        .await;
    assert!(verdict.text.contains("Held."), "{}", verdict.text);
    let ended = world
        .sees("the card with its end", |m| {
            m.ts == card.ts && m.text.starts_with("Held")
        })
        .await;
    assert!(ended.edits.len() >= 2, "{} edits", ended.edits.len());
    assert_eq!(ended.button("approve"), None, "nobody can press what is over");
    let cards = world
        .slack
        .messages()
        .into_iter()
        .filter(|m| m.thread_ts.is_none())
        .count();
    assert_eq!(cards, 1, "one message a run");
    let chart = world
        .slack
        .wait_until(|s| s.files().into_iter().next(), SOON)
        .await
        .expect("the chart");
    assert_eq!(chart.shared, Some((card.channel.clone(), card.ts.clone())));
    assert!(chart.bytes.starts_with(b"\x89PNG"), "{} bytes", chart.bytes.len());
    assert!(chart.title.contains("/shop/cart"), "{}", chart.title);
    assert_eq!(world.sim.kills().len(), 1);
    assert_eq!(run.intents.len(), 1);

    // An old screen still has the button.
    world.clicks(ANA, &card, "approve").await;
    let late = world.hears(ANA, "Not now").await;
    assert!(late.contains(run.id.as_str()), "{late}");
    assert_eq!(world.sim.kills().len(), 1);
    assert_eq!(
        world.slack.rate_violations(),
        [].into(),
        "not faster than Slack allows"
    );
    world.stop().await;
}

#[tokio::test]
async fn a_no_ends_the_run_with_its_reason_and_nothing_dies() {
    let world = World::given(approved_by("approvers: { groups: [S0CHAOS01] }")).await;
    world.types(CHO, "run cart").await;
    let card = world.card().await;
    world.clicks(BEN, &card, "deny").await;
    let view = world
        .slack
        .wait_for_view(BEN, SOON)
        .await
        .expect("the dialog opens");
    let answer = world
        .slack
        .person(BEN)
        .submit(&world.running.url, &view, &[("reason", "release <!channel> day")])
        .await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    world.until_over().await;
    let ended = world
        .sees("the denied card", |m| {
            m.ts == card.ts && m.text.starts_with("Denied")
        })
        .await;
    let shown = ended.blocks.to_string();
    assert!(
        shown.contains("release") && !shown.contains("<!channel>"),
        "{shown}"
    );
    assert_eq!(ended.button("approve"), None);

    world.clicks(ANA, &card, "approve").await;
    world.hears(ANA, "Not now").await;
    assert_eq!(world.sim.kills().len(), 0);
    world.stop().await;
}

#[tokio::test]
async fn while_slack_is_down_no_run_that_needs_a_yes_starts_and_it_is_said_why() {
    let world = World::given(with_slack(|slack| slack.trouble(Trouble::Down500Html, None))).await;
    let policy = || Command::Run {
        policy: "cart".into(),
    };
    world.api(policy()).await.expect("taken");
    let why = world.why_says("nobody can be asked for approval").await;
    assert!(why.contains("Slack answered 500"), "{why}");
    assert!(world.run().await.is_none());
    assert_eq!(world.sim.kills().len(), 0);

    // As soon as Slack is back the next request is asked for there, and what waited appears.
    world.slack.clear_troubles();
    world
        .sees("what waited", |m| {
            m.text.contains("asked for a run of cart, and there is none")
        })
        .await;
    world.types(BEN, "run cart").await;
    world.card().await;
    world.stop().await;
}

#[tokio::test]
async fn a_run_goes_on_while_slack_is_down_and_its_end_is_told_when_slack_is_back() {
    let world = World::given(approved_by("approvers: { groups: [S0CHAOS01] }")).await;
    world.types(CHO, "run cart").await;
    let card = world.card().await;
    world.clicks(ANA, &card, "approve").await;
    world.until("started", |r| r.started.is_some()).await;
    world.slack.trouble(Trouble::Down500Html, None);
    let run = world.until_over().await;
    assert_eq!(run.intents.len(), 1);
    assert_eq!(
        world.sim.kills().len(),
        1,
        "the members of the group were asked before"
    );
    world.slack.clear_troubles();
    world
        .sees("the verdict", |m| m.thread_ts.as_deref() == Some(&card.ts))
        .await;
    world.stop().await;
}

#[tokio::test]
async fn the_command_line_aborts_while_slack_hangs() {
    let world = World::start().await;
    world.types(BEN, "run cart").await;
    let card = world.card().await;
    world.clicks(ANA, &card, "approve").await;
    world.until("started", |r| r.started.is_some()).await;
    world.slack.trouble(Trouble::Hang, None);
    let stopped = world
        .api(Command::Abort {
            run: None,
            reason: "fire".into(),
        })
        .await
        .expect("aborted");
    assert!(matches!(stopped, Reply::Stopped { .. }), "{stopped:?}");
    world.until_over().await;
    world.slack.clear_troubles();
    world
        .sees("the aborted card", |m| {
            m.ts == card.ts && m.text.contains("aborted by local: fire")
        })
        .await;
    world.stop().await;
}

#[tokio::test]
async fn a_halt_typed_in_chat_ends_what_is_open_and_only_an_admin_lifts_it() {
    let world = World::start().await;
    world.types(BEN, "run cart").await;
    let card = world.card().await;
    let stopped = world.types(BEN, "halt “pager is ringing”").await;
    assert!(
        stopped.body.contains("Halted by @ben: pager is ringing"),
        "{}",
        stopped.body
    );
    let halted = world.sees("the halt", |m| m.text.starts_with("Halted by")).await;
    assert_eq!(halted.channel, "C0OPERATE");
    world.until_over().await;
    world.clicks(ANA, &card, "approve").await;
    world.hears(ANA, "Not now").await;

    let no = world.types(ANA, "resume").await;
    assert!(no.body.contains("needs the role admin"), "{}", no.body);
    let refused = world.types(BEN, "run cart").await;
    assert!(refused.body.contains("halted by @ben"), "{}", refused.body);
    world.types(CHO, "resume it was a drill").await;
    world
        .sees("the end of the halt", |m| m.text.starts_with("Resumed by"))
        .await;
    assert_eq!(world.sim.kills().len(), 0);
    world.stop().await;
}

#[tokio::test]
async fn an_answer_lost_on_the_way_asks_twice_and_counts_once() {
    let world = World::given(with_slack(|slack| {
        slack.trouble_with("chat.postMessage", Trouble::AnswerLost, Some(1));
    }))
    .await;
    world.types(BEN, "run cart").await;
    let two = |slack: &Slack| {
        let cards: Vec<Message> = slack
            .messages()
            .into_iter()
            .filter(|m| m.button("approve").is_some())
            .collect();
        (cards.len() == 2).then_some(cards)
    };
    let cards = world
        .slack
        .wait_until(two, SOON)
        .await
        .expect("it is asked again");
    // The one that we do not know of works as well, and both are one request.
    world.clicks(ANA, &cards[0], "approve").await;
    world.hears(ANA, "Approved").await;
    world.clicks(ANA, &cards[1], "approve").await;
    world.hears(ANA, "Not now").await;
    let run = world.until_over().await;
    assert_eq!((run.approvals.len(), world.sim.kills().len()), (1, 1));
    world.stop().await;
}

#[tokio::test]
async fn every_question_is_answered_in_chat() {
    let world = World::start().await;
    for (text, words) in [
        ("", "what you can ask"),
        ("help", "what you can ask"),
        ("status", "Armed, not halted"),
        ("policies", "1 policy."),
        ("plan cart", "A run now would kill"),
        ("why cart", "Nothing stands in the way"),
        ("why /shop/cart", "Nothing stands in the way"),
        ("was it you?", "No"),
        ("was-it-you /shop/cart", "No"),
        ("runs", "There has been no run"),
        ("timeline 2h", "by us"),
        ("plan nothing", "there is no policy nothing"),
        ("show r-7Q2MK4XN", "there is no run"),
        ("abort", "no run is open"),
    ] {
        let answer = world.types(BEN, text).await;
        let said: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
        assert_eq!(said["response_type"], "ephemeral", "{text}");
        let shown = said["text"].as_str().unwrap_or_default();
        assert!(shown.contains(words), "{text}: {shown}");
        // The pretend Slack takes only what the real one takes.
        world.hears(BEN, shown).await;
    }
    world.stop().await;
}

#[tokio::test]
async fn a_token_that_slack_does_not_take_is_said_and_stops_work_all_the_same() {
    let world = World::given(with_slack(|slack| slack.trouble(Trouble::InvalidAuth, None))).await;
    world
        .api(Command::Run {
            policy: "cart".into(),
        })
        .await
        .expect("taken");
    world
        .api(Command::Halt {
            reason: "drill".into(),
        })
        .await
        .expect("halted without Slack");
    let ready = reqwest::get(format!("{}/readyz", world.running.url))
        .await
        .expect("an answer");
    assert_eq!(ready.status(), 503);
    let body = ready.text().await.expect("a body");
    assert!(body.contains("slack") && body.contains("invalid_auth"), "{body}");
    assert_eq!(world.slack.messages(), []);
    world.stop().await;
}

#[tokio::test]
async fn rotated_secrets_count_without_a_restart() {
    let world = World::start().await;
    let secret = |name: &str, text: &str| {
        let path = world.state().parent().expect("the folder").join(name);
        let fresh = path.with_extension("new");
        use std::os::unix::fs::OpenOptionsExt;
        let file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&fresh);
        std::io::Write::write_all(&mut file.expect("a file"), text.as_bytes()).expect("written");
        std::fs::rename(fresh, path).expect("put in its place");
    };
    assert_eq!(world.types(BEN, "status").await.status, 200);
    secret("signing", "another secret of the same app, rotated");
    let refused = world
        .slack
        .person(BEN)
        .command(&world.running.url, "/heartbreak", "status")
        .await;
    assert_eq!(refused.status, 401, "what was signed with the old secret");
    secret("signing", heartbreak_sim::slack::SECRET);
    assert_eq!(world.types(BEN, "status").await.status, 200);
    world.stop().await;
}

#[tokio::test]
async fn a_request_that_nobody_decides_expires_and_a_late_click_is_told_so() {
    let world = World::given(approved_by("approvers: { users: [U0ANA0001] }, expires: 1m")).await;
    world.types(BEN, "run cart").await;
    let card = world.card().await;
    let over = async {
        while world.run().await.is_none_or(|run| run.phase != Phase::Ended) {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(2 * SOON, over)
        .await
        .expect("it expires by itself");
    let ended = world
        .sees("the expired card", |m| {
            m.ts == card.ts && m.text.starts_with("Expired")
        })
        .await;
    assert_eq!(ended.button("approve"), None);
    assert!(ended.text.contains("nobody decided before"), "{}", ended.text);
    world.clicks(ANA, &card, "approve").await;
    let late = world.hears(ANA, "Not now").await;
    assert!(late.contains("expired") || late.contains("over"), "{late}");
    assert_eq!(world.sim.kills().len(), 0);
    world.stop().await;
}
