//! Whole runs in chat: the real operator between a pretend Marathon and a pretend Slack.

use chrono::Timelike;
use heartbreak::app::{self, Running};
use heartbreak::clock::RealClock;
use heartbreak::model::command::{Asked, Command, Person, Role, Via};
use heartbreak::model::run::{Phase, Run};
use heartbreak::model::view::{Refusal, Reply};
use heartbreak::ports::clock::Clock;
use heartbreak::ports::inbox::Inbox;
use heartbreak::settings::Settings;
use heartbreak_sim::slack::{APP, Answer, Message, SECRET, Slack, TEAM, TOKEN, Trouble};
use heartbreak_sim::{AppSpec, Sim, SimConfig, Timings};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

const ANA: &str = "U0ANA0001";
const BEN: &str = "U0BEN0002";
const CHO: &str = "U0CHO0003";
const SOON: Duration = Duration::from_secs(60);

struct World {
    slack: Slack,
    sim: Sim,
    running: Running,
    _folder: tempfile::TempDir,
}

fn secret(path: &Path, text: &str) {
    use std::io::Write;
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .expect("the secret is written");
}

/// A zone in which it is day, whenever the test runs.
fn zone_of_noon() -> String {
    match 12 - i64::from(RealClock.now().hour()) {
        0 => "Etc/GMT".to_owned(),
        ahead if ahead > 0 => format!("Etc/GMT-{ahead}"),
        ahead => format!("Etc/GMT+{}", -ahead),
    }
}

impl World {
    async fn start() -> Self {
        Self::start_with("users: [U0ANA0001]", |_| {}).await
    }

    /// With these approvers, and this done to Slack before the operator starts.
    async fn start_with(approvers: &str, to_slack: impl FnOnce(&Slack)) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config = SimConfig {
            timings: Timings {
                kill_delay: Duration::from_millis(40),
                offer_delay: Duration::from_millis(80),
                start_delay: Duration::from_millis(40),
                health_delay: Duration::from_millis(40),
            },
            apps: vec![
                AppSpec::new("/shop/cart", 4)
                    .label("chaos", "opt-in")
                    .label("team", "shop"),
            ],
            ..SimConfig::default()
        };
        let sim = Sim::start(config).await.expect("a pretend Marathon");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let good = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            let router = axum::Router::new().fallback(|| async { "good" });
            axum::serve(listener, router).await
        });
        let slack = Slack::start().await;
        to_slack(&slack);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        std::fs::create_dir(path.join("policies")).expect("a folder");
        secret(&path.join("bot"), TOKEN);
        secret(&path.join("signing"), SECRET);
        let settings = format!(
            "apiVersion: heartbreak/v1
kind: Settings
armed: true
stateDir: {0}/state
policyDir: {0}/policies
listen: 127.0.0.1:0
clusters:
  - name: pretend
    marathon: {{ urls: [\"{1}\"] }}
probes: {{ allowHosts: [\"127.0.0.0/8\"] }}
slack:
  teamId: {TEAM}
  appId: {APP}
  botTokenFile: {0}/bot
  signingSecretFile: {0}/signing
  channel: C0CHAOS01
  operatorsChannel: C0OPERATE
  admins: [{CHO}]
  apiUrl: {2}/api
",
            path.display(),
            sim.url(),
            slack.base(),
        );
        std::fs::write(path.join("heartbreak.yaml"), settings).expect("the settings are written");
        let policy = format!(
            "apiVersion: heartbreak/v1
kind: ChaosPolicy
metadata: {{ name: cart, team: shop }}
spec:
  mode: enforce
  cluster: pretend
  target: {{ apps: {{ ids: [\"/shop/cart\"] }}, tasks: {{ minAge: 0s }} }}
  fault: {{ killTasks: {{ count: 1 }} }}
  schedule:
    windows: [ {{ days: [mon, tue, wed, thu, fri, sat, sun], from: \"08:00\", to: \"20:00\" }} ]
    timezone: {}
    onDemand: true
    minTimeBetween: none
  blastRadius: {{ maxTasks: 1, maxPercent: 25, minHealthy: 3 }}
  rateLimit: {{ kills: 5, per: 1h, burst: 5 }}
  steadyState:
    interval: 200ms
    timeout: 190ms
    baseline: {{ for: 2s, max: 20s }}
    recovery: {{ within: 8s, hold: 400ms }}
    probes:
      - name: front-door
        role: abort
        source: {{ http: {{ url: \"http://{good}/\", requests: 5 }} }}
        share: {{ max: 30%, hard: 90% }}
  approval: {{ approvers: {{ {approvers} }} }}
",
            zone_of_noon(),
        );
        std::fs::write(path.join("policies/cart.yaml"), policy).expect("the policy is written");
        let settings = Settings::load(&path.join("heartbreak.yaml")).expect("good settings");
        let running = app::start(settings).await.expect("it starts");
        slack.set_bot(&running.url);
        Self {
            slack,
            sim,
            running,
            _folder: folder,
        }
    }

    async fn types(&self, user: &str, text: &str) -> Answer {
        let answer = self
            .slack
            .person(user)
            .command(&self.running.url, "/heartbreak", text)
            .await;
        assert_eq!(answer.status, 200, "{text}: {}", answer.body);
        answer
    }

    async fn clicks(&self, user: &str, seen: &Message, action: &str) {
        let person = self.slack.person(user);
        let answer = person
            .click_on(&self.running.url, seen, action)
            .await
            .expect("the button is there");
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, ""),
            "{action} by {user}"
        );
    }

    async fn hears(&self, user: &str, words: &str) -> String {
        let heard = self
            .slack
            .wait_for_ephemeral(user, |text| text.contains(words), SOON)
            .await;
        heard.unwrap_or_else(|| panic!("{user} never heard {words:?}, but {:?}", self.slack.ephemerals()))
    }

    async fn sees(&self, what: &str, fits: impl Fn(&Message) -> bool) -> Message {
        let seen = self.slack.wait_for(fits, SOON).await;
        seen.unwrap_or_else(|| {
            let all: Vec<String> = self.slack.messages().into_iter().map(|m| m.text).collect();
            panic!("nobody ever saw {what}, but {all:#?}")
        })
    }

    /// The card of the request for approval.
    async fn card(&self) -> Message {
        self.sees("a card with Approve", |m| m.button("approve").is_some())
            .await
    }

    /// The newest run.
    async fn run(&self) -> Option<Run> {
        let newest =
            |l: &heartbreak::engine::history::Ledger| l.runs.values().max_by_key(|r| r.plan.made_at).cloned();
        self.running.operator.read_ledger(newest).await
    }

    /// Waits until the newest run is so.
    async fn until(&self, what: &str, is: impl Fn(&Run) -> bool) -> Run {
        let waiting = async {
            loop {
                if let Some(run) = self.run().await.filter(|run| is(run)) {
                    return run;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        match tokio::time::timeout(SOON, waiting).await {
            Ok(run) => run,
            Err(_) => panic!("the run was never {what}: {:#?}", self.run().await),
        }
    }

    /// Asks over the API, as the command line does.
    async fn api(&self, command: Command) -> Result<Reply, Refusal> {
        let by = Person {
            id: "local".into(),
            name: "local".into(),
            via: Via::Api,
            role: Role::Admin,
        };
        self.running
            .operator
            .ask(Asked {
                by,
                command,
                key: None,
            })
            .await
    }

    async fn stop(self) {
        self.running.stop("the test is over").await;
        self.sim.stop().await;
    }
}

#[tokio::test]
async fn a_run_is_asked_for_approved_watched_and_told_in_one_message() {
    let world = World::start_with("users: [U0ANA0001, U0BEN0002]", |_| {}).await;
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
    let run = world.until("over", |r| r.phase == Phase::Ended).await;
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
    let world = World::start_with("groups: [S0CHAOS01]", |_| {}).await;
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
    world.until("over", |r| r.phase == Phase::Ended).await;
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
    let world = World::start_with("users: [U0ANA0001]", |slack| {
        slack.trouble(Trouble::Down500Html, None)
    })
    .await;
    let policy = || Command::Run {
        policy: "cart".into(),
    };
    world.api(policy()).await.expect("taken");
    let why = async {
        loop {
            if let Ok(Reply::Why(why)) = world
                .api(Command::Why {
                    subject: "cart".into(),
                })
                .await
            {
                let text = format!("{why:?}");
                if text.contains("nobody can be asked for approval") {
                    return text;
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let why = tokio::time::timeout(SOON, why).await.expect("why says it");
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
    let world = World::start_with("groups: [S0CHAOS01]", |_| {}).await;
    world.types(CHO, "run cart").await;
    let card = world.card().await;
    world.clicks(ANA, &card, "approve").await;
    world.until("started", |r| r.started.is_some()).await;
    world.slack.trouble(Trouble::Down500Html, None);
    let run = world.until("over", |r| r.phase == Phase::Ended).await;
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
    world.until("over", |r| r.phase == Phase::Ended).await;
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
    world.until("over", |r| r.phase == Phase::Ended).await;
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
    let world = World::start_with("users: [U0ANA0001]", |slack| {
        slack.trouble_with("chat.postMessage", Trouble::AnswerLost, Some(1));
    })
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
    let run = world.until("over", |r| r.phase == Phase::Ended).await;
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
    let world = World::start_with("users: [U0ANA0001]", |slack| {
        slack.trouble(Trouble::InvalidAuth, None)
    })
    .await;
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
