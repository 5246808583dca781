//! Slack's door against a pretend Slack that signs, clicks and answers as the real one does.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use heartbreak::clock::RealClock;
use heartbreak::model::command::{Asked, Command, Role};
use heartbreak::model::view::{Refusal, RefusalKind, Reply};
use heartbreak::ports::clock::Clock;
use heartbreak::ports::inbox::Inbox;
use heartbreak::slack::render::Message;
use heartbreak::slack::{Client, Door, Options, router};
use heartbreak_sim::slack::{Answer, SECRET, Signing, Slack, TEAM, TOKEN, Trouble, sign};
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Semaphore;

const SOON: Duration = Duration::from_secs(10);

/// Remembers what was asked, and answers when it is let.
struct Remembering {
    asked: Mutex<Vec<Asked>>,
    refuse: Mutex<Option<Refusal>>,
    gate: Semaphore,
}

#[async_trait]
impl Inbox for Remembering {
    async fn ask(&self, asked: Asked) -> Result<Reply, Refusal> {
        self.asked.lock().expect("no panic inside").push(asked);
        self.gate.acquire().await.expect("the gate stays").forget();
        self.gate.add_permits(1);
        match self.refuse.lock().expect("no panic inside").clone() {
            Some(refusal) => Err(refusal),
            None => Ok(Reply::Done("It is done.".into())),
        }
    }
}

/// The machine's time, except that nobody waits when told so.
struct Hurried(AtomicBool);

#[async_trait]
impl Clock for Hurried {
    fn now(&self) -> DateTime<Utc> {
        RealClock.now()
    }
    fn elapsed(&self) -> Duration {
        RealClock.elapsed()
    }
    async fn sleep(&self, duration: Duration) {
        if !self.0.load(Ordering::Relaxed) {
            RealClock.sleep(duration).await;
        }
    }
}

struct World {
    slack: Slack,
    inbox: Arc<Remembering>,
    clock: Arc<Hurried>,
    client: Arc<Client>,
    bot: String,
}

impl World {
    async fn start() -> Self {
        let slack = Slack::start().await;
        let clock = Arc::new(Hurried(AtomicBool::new(false)));
        let inbox = Arc::new(Remembering {
            asked: Mutex::default(),
            refuse: Mutex::default(),
            gate: Semaphore::new(1),
        });
        let client = Client::new(Options {
            api_url: format!("{}/api", slack.base()).parse().expect("an address"),
            bot_token: Arc::new(|| Ok(TOKEN.to_owned().into())),
            team_id: TEAM.into(),
            clock: clock.clone(),
        });
        let client = Arc::new(client.expect("a client"));
        let door = Door {
            inbox: inbox.clone(),
            client: client.clone(),
            signing_secret: Arc::new(|| Ok(SECRET.to_owned().into())),
            team_id: TEAM.into(),
            app_id: "A0PRETEND".into(),
            admins: ["U0CHO0003".into()].into(),
            clock: clock.clone(),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let bot = format!("http://{}", listener.local_addr().expect("an address"));
        let app = router(door);
        tokio::spawn(async move { axum::serve(listener, app).await });
        slack.set_bot(&bot);
        Self {
            slack,
            inbox,
            clock,
            client,
            bot,
        }
    }

    fn asked(&self) -> Vec<Asked> {
        self.inbox.asked.lock().expect("no panic inside").clone()
    }

    async fn types(&self, user: &str, text: &str) -> Answer {
        self.slack
            .person(user)
            .command(&self.bot, "/heartbreak", text)
            .await
    }

    /// What this person is told privately.
    async fn hears(&self, user: &str, words: &str) -> String {
        let heard = self
            .slack
            .wait_for_ephemeral(user, |text| text.contains(words), SOON)
            .await;
        heard.unwrap_or_else(|| panic!("{user} never heard {words:?}, but {:?}", self.slack.ephemerals()))
    }

    /// A card with these buttons, as (action, value).
    async fn card(&self, buttons: &[(&str, &str)]) -> String {
        self.card_in("C0CHAOS01", buttons).await
    }

    async fn card_in(&self, channel: &str, buttons: &[(&str, &str)]) -> String {
        let elements: Vec<_> = buttons
            .iter()
            .map(|(action, value)| {
                json!({"type": "button", "action_id": action, "value": value, "text": {"type": "plain_text", "text": action}})
            })
            .collect();
        let blocks = json!([{"type": "actions", "elements": elements}]);
        let message = Message {
            text: "A card".into(),
            blocks: serde_json::from_value(blocks).expect("blocks"),
        };
        self.client
            .post(channel, None, &message, "card")
            .await
            .expect("it is posted")
            .ts
    }

    /// Posts as Slack does, with these headers.
    async fn post(&self, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> (u16, String) {
        heartbreak_sim::slack::raw_post(&format!("{}{path}", self.bot), headers, body)
            .await
            .expect("an answer")
    }
}

fn signed(at: i64, body: &str) -> (String, String) {
    (sign(SECRET, &at.to_string(), body), at.to_string())
}

#[tokio::test]
async fn what_is_not_slacks_is_turned_away_and_nothing_is_done() {
    let world = World::start().await;
    let halt = |signing| {
        let person = world.slack.person("U0ANA0001").signing(signing);
        let bot = world.bot.clone();
        async move { person.command(&bot, "/heartbreak", "halt now").await }
    };
    for signing in [Signing::Missing, Signing::Bad, Signing::Old, Signing::Future] {
        let name = format!("{signing:?}");
        let answer = halt(signing).await;
        assert_eq!((answer.status, answer.body.as_str()), (401, ""), "{name}");
    }
    assert_eq!(world.asked(), []);

    let good = halt(Signing::Good).await;
    assert_eq!(good.status, 200);
    assert_eq!(world.asked().len(), 1);
    // The very same request again: answered, and without effect.
    let again = halt(Signing::Replay(good.sent)).await;
    assert_eq!((again.status, again.body.as_str()), (200, ""));
    assert_eq!(world.asked().len(), 1);
}

#[tokio::test]
async fn headers_and_bodies_of_the_wrong_form_are_turned_away() {
    let world = World::start().await;
    let now = RealClock.now().timestamp();
    let body = format!("team_id={TEAM}&api_app_id=A0PRETEND&user_id=U0ANA0001&text=halt");
    let form = ("content-type", "application/x-www-form-urlencoded");
    let (signature, at) = signed(now, &body);
    let (sig, ts) = ("x-slack-signature", "x-slack-request-timestamp");
    let upper = signature.to_uppercase();
    let newer = signature.replace("v0=", "v1=");
    let (later, later_at) = signed(now + 299, &body);
    let junk = sign(SECRET, "soon", &body);
    type Row<'a> = (&'a str, Vec<(&'a str, &'a str)>, Vec<u8>, u16);
    let table: Vec<Row<'_>> = vec![
        (
            "two signatures",
            vec![form, (sig, &signature), (sig, &signature), (ts, &at)],
            body.clone().into(),
            401,
        ),
        (
            "two timestamps",
            vec![form, (sig, &signature), (ts, &at), (ts, &at)],
            body.clone().into(),
            401,
        ),
        (
            "no timestamp",
            vec![form, (sig, &signature)],
            body.clone().into(),
            401,
        ),
        (
            "a timestamp of letters",
            vec![form, (sig, &junk), (ts, "soon")],
            body.clone().into(),
            401,
        ),
        (
            "capital hex",
            vec![form, (sig, &upper), (ts, &at)],
            body.clone().into(),
            401,
        ),
        (
            "another scheme",
            vec![form, (sig, &newer), (ts, &at)],
            body.clone().into(),
            401,
        ),
        (
            "a body that is not text",
            vec![form, (sig, &signature), (ts, &at)],
            vec![0xff, 0xfe],
            400,
        ),
        (
            "two megabytes",
            vec![form, (sig, &signature), (ts, &at)],
            vec![b'a'; 2 << 20],
            413,
        ),
        (
            "a check without a signature",
            vec![form],
            b"ssl_check=1&command=%2Fheartbreak&text=halt".into(),
            200,
        ),
        ("nothing at all", vec![form], vec![], 401),
    ];
    for (name, headers, body, status) in table {
        let (got, text) = world.post("/slack/commands", &headers, body).await;
        assert_eq!(got, status, "{name}");
        assert!(
            text.is_empty() || got == 413,
            "{name} tells whoever sends it {text:?}"
        );
        assert_eq!(world.asked(), [], "{name}");
    }
    let (got, _) = world
        .post(
            "/slack/commands",
            &[form, (sig, &later), (ts, &later_at)],
            body.into(),
        )
        .await;
    assert_eq!(got, 200, "299 seconds ahead is still now");
    assert_eq!(world.asked().len(), 1);
}

#[tokio::test]
async fn other_workspaces_and_apps_and_people_who_are_no_full_members_are_told_no() {
    let world = World::start().await;
    let other_app = world.slack.person("U0ANA0001").app("A0FOREIGN");
    let other_team = world.slack.person("U0ANA0001").team("T0FOREIGN");
    for person in [other_app, other_team] {
        let answer = person.command(&world.bot, "/heartbreak", "halt").await;
        assert_eq!(answer.status, 200, "a mistake of people is not an error of ours");
        assert!(answer.body.contains("another workspace"), "{}", answer.body);
    }
    // She is of another team, and a forged team does not make her one of ours.
    for (user, words) in [
        ("U0GUS0004", "Guests"),
        ("U0DEE0005", "Deactivated"),
        ("U0ROBOT06", "Bots"),
        ("U0OLGA007", "other workspaces"),
    ] {
        let answer = world
            .slack
            .person(user)
            .team(TEAM)
            .command(&world.bot, "/heartbreak", "halt")
            .await;
        assert!(
            answer.body.contains(words) && answer.body.contains("Nothing was done"),
            "{user}: {}",
            answer.body
        );
    }
    assert_eq!(world.asked(), []);
}

#[tokio::test]
async fn identity_is_the_user_id_and_admins_are_named_in_the_settings() {
    let world = World::start().await;
    assert_eq!(
        world.types("U0ANA0001", "resume it was nothing").await.status,
        200
    );
    assert_eq!(world.types("U0CHO0003", "resume").await.status, 200);
    let asked = world.asked();
    assert_eq!(
        (asked[0].by.id.as_str(), asked[0].by.name.as_str()),
        ("U0ANA0001", "@ana")
    );
    assert_eq!(
        (asked[0].by.role, asked[1].by.role),
        (Role::Approver, Role::Admin)
    );
    assert_eq!(
        asked[0].command,
        Command::Resume {
            reason: "it was nothing".into()
        }
    );
}

#[tokio::test]
async fn while_slack_cannot_say_who_asks_people_can_stop_and_look_but_not_start() {
    let world = World::start().await;
    world.slack.trouble_with("users.info", Trouble::Down500Html, None);
    assert_eq!(world.types("U0ANA0001", "halt fire").await.status, 200);
    assert_eq!(world.types("U0ANA0001", "was it you?").await.status, 200);
    assert_eq!(world.asked().len(), 2);
    assert_eq!(world.asked()[0].by.role, Role::Stop);
    for text in ["run cart", "approve r-7Q2MK4XN abababababab", "resume"] {
        let answer = world.types("U0CHO0003", text).await;
        assert!(
            answer.body.contains("can't be checked") && answer.body.contains("Nothing was done"),
            "{}",
            answer.body
        );
    }
    assert_eq!(world.asked().len(), 2);
}

#[tokio::test]
async fn what_cannot_be_understood_is_answered_with_what_to_write() {
    let world = World::start().await;
    let answer = world.types("U0ANA0001", "hlat").await;
    assert_eq!(answer.status, 200);
    world.hears("U0ANA0001", "Did you mean `halt`?").await;
    assert_eq!(world.asked(), []);
}

#[tokio::test]
async fn a_click_on_approve_is_a_yes_to_that_run_and_digest_and_is_answered_privately() {
    let world = World::start().await;
    let ts = world.card(&[("approve", "r-7Q2MK4XN.abababababab")]).await;
    let answer = world
        .slack
        .person("U0BEN0002")
        .click(&world.bot, &ts, "approve")
        .await
        .expect("a button");
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    world.hears("U0BEN0002", "It is done.").await;
    let asked = world.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].by.id.as_str(), "U0BEN0002");
    assert_eq!(
        asked[0].command,
        Command::Approve {
            run: "r-7Q2MK4XN".into(),
            digest: "abababababab".into()
        }
    );

    // Refused: why, privately.
    *world.inbox.refuse.lock().expect("no panic inside") = Some(Refusal::new(
        RefusalKind::Conflict,
        "run r-7Q2MK4XN was decided already; nothing was changed",
    ));
    world
        .slack
        .person("U0ANA0001")
        .click(&world.bot, &ts, "approve")
        .await
        .expect("a button");
    let heard = world.hears("U0ANA0001", "decided already").await;
    assert!(heard.starts_with("Not now"), "{heard}");
}

#[tokio::test]
async fn stops_are_pressed_without_a_question() {
    let world = World::start().await;
    let ts = world
        .card(&[("abort", "r-7Q2MK4XN.abababababab"), ("halt", "all")])
        .await;
    for action in ["abort", "halt"] {
        world
            .slack
            .person("U0ANA0001")
            .click(&world.bot, &ts, action)
            .await
            .expect("a button");
    }
    let commands: Vec<Command> = world.asked().into_iter().map(|asked| asked.command).collect();
    assert_eq!(
        commands,
        [
            Command::Abort {
                run: Some("r-7Q2MK4XN".into()),
                reason: "the Abort button was pressed".into()
            },
            Command::Halt {
                reason: "the Halt button was pressed".into()
            },
        ]
    );
}

#[tokio::test]
async fn a_no_asks_for_its_reason_and_whoever_gives_it_is_checked_again() {
    let world = World::start().await;
    let ts = world.card(&[("deny", "r-7Q2MK4XN.abababababab")]).await;
    let ana = world.slack.person("U0ANA0001");
    ana.click(&world.bot, &ts, "deny").await.expect("a button");
    let view = world
        .slack
        .wait_for_view("U0ANA0001", SOON)
        .await
        .expect("the dialog opens");
    assert_eq!(world.asked(), [], "opening decides nothing");

    let empty = ana.submit(&world.bot, &view, &[("reason", "")]).await;
    assert!(empty.body.contains("Say why"), "{}", empty.body);
    assert_eq!(world.asked(), []);

    // Her rights are gone since she opened it: told in the dialog.
    *world.inbox.refuse.lock().expect("no panic inside") = Some(Refusal::new(
        RefusalKind::NotAllowed,
        "@ana is not an approver; nothing was changed",
    ));
    let refused = ana.submit(&world.bot, &view, &[("reason", "release day")]).await;
    assert!(
        refused.body.contains(r#""response_action":"errors""#),
        "{}",
        refused.body
    );
    assert!(refused.body.contains("is not an approver"), "{}", refused.body);

    *world.inbox.refuse.lock().expect("no panic inside") = None;
    let taken = ana.submit(&world.bot, &view, &[("reason", "release day")]).await;
    assert_eq!((taken.status, taken.body.as_str()), (200, ""));
    world.hears("U0ANA0001", "It is done.").await;
    let last = world.asked().pop().expect("asked");
    assert_eq!(
        last.command,
        Command::Deny {
            run: "r-7Q2MK4XN".into(),
            reason: "release day".into()
        }
    );
}

#[tokio::test]
async fn a_dialog_that_slack_does_not_open_is_said_and_not_swallowed() {
    let world = World::start().await;
    let ts = world.card(&[("deny", "r-7Q2MK4XN.abababababab")]).await;
    world.slack.trouble_with("views.open", Trouble::Down500Html, None);
    world
        .slack
        .person("U0ANA0001")
        .click(&world.bot, &ts, "deny")
        .await
        .expect("a button");
    world.hears("U0ANA0001", "The dialog can't be opened").await;
    assert_eq!(world.asked(), []);
}

#[tokio::test]
async fn buttons_of_another_version_do_nothing_and_say_so() {
    let world = World::start().await;
    world.slack.add_channel("C0THIRD03", "third");
    let buttons = [
        ("C0CHAOS01", "explode", "x"),
        ("C0OPERATE", "abort", "everything"),
        ("C0THIRD03", "approve", "r-7Q2MK4XN.zz"),
    ];
    for (told, (channel, action, value)) in buttons.into_iter().enumerate() {
        let ts = world.card_in(channel, &[(action, value)]).await;
        world
            .slack
            .person("U0ANA0001")
            .click(&world.bot, &ts, action)
            .await
            .expect("a button");
        let one_more = |slack: &Slack| slack.ephemerals().get(told).cloned();
        let (user, text) = world.slack.wait_until(one_more, SOON).await.expect("an answer");
        assert_eq!(user, "U0ANA0001");
        assert!(
            text.contains("This button is not known") && text.contains("Nothing was done"),
            "{text}"
        );
    }
    assert_eq!(world.asked(), []);
}

#[tokio::test]
async fn slack_gets_its_answer_in_time_and_the_person_gets_theirs_later() {
    let world = World::start().await;
    let ts = world.card(&[("approve", "r-7Q2MK4XN.abababababab")]).await;
    // Who asks is known before everybody gets impatient.
    world.types("U0ANA0001", "status").await;
    let held = world.inbox.gate.acquire().await.expect("the gate stays");
    world.clock.0.store(true, Ordering::Relaxed);

    let typed = world.types("U0ANA0001", "status").await;
    assert!(typed.body.contains("the answer follows here"), "{}", typed.body);
    let clicked = world
        .slack
        .person("U0ANA0001")
        .click(&world.bot, &ts, "approve")
        .await
        .expect("a button");
    assert_eq!(clicked.status, 200);
    let before = world.slack.ephemerals().len();
    drop(held);
    let both = |slack: &Slack| (slack.ephemerals().len() >= before + 2).then_some(());
    world
        .slack
        .wait_until(both, SOON)
        .await
        .expect("both answers come");
}

#[tokio::test]
async fn slack_asks_whether_we_are_who_we_say() {
    let world = World::start().await;
    let now = RealClock.now().timestamp();
    let body = r#"{"type":"url_verification","challenge":"3eZbrw1aB10Fdsk"}"#;
    let (signature, at) = signed(now, body);
    let headers = [
        ("content-type", "application/json"),
        ("x-slack-signature", signature.as_str()),
        ("x-slack-request-timestamp", at.as_str()),
    ];
    let (status, text) = world.post("/slack/events", &headers, body.into()).await;
    assert_eq!(
        (status, text.as_str()),
        (200, r#"{"challenge":"3eZbrw1aB10Fdsk"}"#)
    );
    let (status, _) = world.post("/slack/events", &[], body.into()).await;
    assert_eq!(status, 401, "not without a signature");
}

#[tokio::test]
async fn no_word_leaves_for_a_workspace_that_is_not_ours() {
    let world = World::start().await;
    let client = Client::new(Options {
        api_url: format!("{}/api", world.slack.base()).parse().expect("an address"),
        bot_token: Arc::new(|| Ok(TOKEN.to_owned().into())),
        team_id: "T0FOREIGN".into(),
        clock: world.clock.clone(),
    })
    .expect("a client");
    let blocks = json!([{"type": "divider"}]);
    let message = Message {
        text: "A secret plan".into(),
        blocks: serde_json::from_value(blocks).expect("blocks"),
    };
    for channel in ["C0CHAOS01", "C0OPERATE"] {
        let refused = client
            .post(channel, None, &message, "key")
            .await
            .expect_err("another workspace");
        assert!(
            refused
                .sentence()
                .contains("the bot token is for workspace T0PRETEND"),
            "{}",
            refused.sentence()
        );
        assert!(
            client
                .reachable()
                .is_err_and(|why| why.contains("the settings say T0FOREIGN"))
        );
    }
    assert_eq!(world.slack.messages(), []);
}
