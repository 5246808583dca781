//! The whole operator in this process, between a pretend Marathon, a pretend Slack and a front door that
//! can be made to fail: over real HTTP, with a real journal in a temporary folder.

use super::zone_of_noon;
use heartbreak::app::{self, Running};
use heartbreak::clock::RealClock;
use heartbreak::engine::history::Ledger;
use heartbreak::journal::SqliteJournal;
use heartbreak::model::command::{Asked, Command, Person, Role, Via};
use heartbreak::model::run::{Phase, Run};
use heartbreak::model::view::{Refusal, Reply, RunView};
use heartbreak::ports::clock::Clock;
use heartbreak::ports::inbox::Inbox;
use heartbreak::settings::Settings;
use heartbreak_sim::slack::{APP, Answer, Message, SECRET, Slack, TEAM, TOKEN};
use heartbreak_sim::{AgentSpec, AppSpec, Sim, SimConfig, Timings, Version};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// An approver, unless a test says otherwise.
pub const ANA: &str = "U0ANA0001";
/// Somebody of the workspace.
pub const BEN: &str = "U0BEN0002";
/// An admin.
pub const CHO: &str = "U0CHO0003";
/// No state may take longer to come about.
pub const SOON: Duration = Duration::from_secs(60);

/// How the front door answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Door {
    /// 200.
    Good,
    /// 500.
    Bad,
    /// Something that is not HTTP.
    Garbage,
    /// Never.
    Hangs,
    /// 200, but 500 once in five times.
    Flaky,
}

/// What is probed.
#[derive(Clone)]
pub struct Front(Arc<AtomicU8>);

/// What stands in a policy for the address of the second front door.
pub const BESIDE: &str = "BESIDE";

impl Front {
    async fn open() -> (Self, String) {
        let front = Self(Arc::new(AtomicU8::new(Door::Good as u8)));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let mode = front.0.clone();
        tokio::spawn(async move {
            let mut turn = 0_u32;
            while let Ok((mut socket, _)) = listener.accept().await {
                let mode = mode.clone();
                turn += 1;
                tokio::spawn(async move {
                    let mut asked = vec![0; 4096];
                    let _ = socket.read(&mut asked).await;
                    let status = match mode.load(Ordering::Relaxed) {
                        good if good == Door::Good as u8 => "200 OK",
                        flaky if flaky == Door::Flaky as u8 && !turn.is_multiple_of(5) => "200 OK",
                        flaky if flaky == Door::Flaky as u8 => "500 Internal Server Error",
                        bad if bad == Door::Bad as u8 => "500 Internal Server Error",
                        garbage if garbage == Door::Garbage as u8 => {
                            let _ = socket.write_all(b"\x00\xff\x00 what?\r\n").await;
                            return;
                        }
                        _ => return std::future::pending().await,
                    };
                    let answer =
                        format!("HTTP/1.1 {status}\r\ncontent-length: 4\r\nconnection: close\r\n\r\ndoor");
                    let _ = socket.write_all(answer.as_bytes()).await;
                });
            }
        });
        (front, url)
    }

    /// From now on it answers so.
    pub fn becomes(&self, door: Door) {
        self.0.store(door as u8, Ordering::Relaxed);
    }
}

type Change<T> = Box<dyn FnOnce(&T)>;

/// How a world differs from the usual one.
pub struct Given {
    /// `spec.approval`, without its braces.
    pub approval: &'static str,
    /// Kills of one run, a second apart.
    pub kills: u32,
    /// What is replaced in the policy.
    pub policy: Vec<(&'static str, String)>,
    /// Lines for the settings.
    pub settings: String,
    /// `probes.allowCommands` of the settings.
    pub commands: &'static str,
    /// Other apps and agents than the usual ones.
    pub cluster_of: Option<(Vec<AppSpec>, Vec<AgentSpec>)>,
    /// Whether the settings name the Mesos master.
    pub mesos: bool,
    /// More lines about the cluster in the settings.
    pub cluster: &'static str,
    /// Done to Slack before the operator starts.
    pub slack: Change<Slack>,
    /// Done to Marathon before the operator starts.
    pub marathon: Change<Sim>,
    /// How the front door is.
    pub front: Door,
    /// Whether the settings let it kill.
    pub armed: bool,
    /// Shorter than any settings file may say.
    pub quarantine: Option<Duration>,
    /// How often Marathon repeats a kill, as the settings say it.
    pub kill_retry: Option<Duration>,
    /// Which Marathon.
    pub version: Version,
    /// How many nodes it has; the settings list all of them.
    pub nodes: u16,
}

impl Default for Given {
    fn default() -> Self {
        Self {
            approval: "approvers: { users: [U0ANA0001] }",
            kills: 1,
            policy: vec![],
            settings: String::new(),
            commands: "[]",
            cluster_of: None,
            mesos: false,
            cluster: "",
            slack: Box::new(|_| {}),
            marathon: Box::new(|_| {}),
            front: Door::Good,
            armed: true,
            quarantine: None,
            kill_retry: None,
            version: Version::default(),
            nodes: 1,
        }
    }
}

/// Everything.
pub struct World {
    /// The pretend Slack.
    pub slack: Slack,
    /// The pretend Marathon.
    pub sim: Sim,
    /// The operator.
    pub running: Running,
    /// What is probed.
    pub front: Front,
    /// What is probed where the policy says [`BESIDE`]: the front door of the app that is left alone.
    pub beside: Front,
    folder: tempfile::TempDir,
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

impl World {
    /// The usual one.
    pub async fn start() -> Self {
        Self::given(Given::default()).await
    }

    /// One that differs.
    pub async fn given(given: Given) -> Self {
        // The binary does the same first of all; without it no client can be made.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (apps, agents) = given.cluster_of.unwrap_or_else(|| {
            let cart = AppSpec::new("/shop/cart", 4).label("chaos", "opt-in");
            (vec![cart.label("team", "shop")], vec![])
        });
        let config = SimConfig {
            version: given.version,
            nodes: given.nodes,
            timings: Timings {
                kill_delay: Duration::from_millis(40),
                offer_delay: Duration::from_millis(80),
                start_delay: Duration::from_millis(40),
                health_delay: Duration::from_millis(40),
            },
            apps,
            agents,
            ..SimConfig::default()
        };
        let sim = Sim::start(config).await.expect("a pretend Marathon");
        let urls: Vec<String> = sim
            .addresses()
            .iter()
            .map(|a| format!("\"http://{a}\""))
            .collect();
        let (front, url) = Front::open().await;
        front.becomes(given.front);
        let (beside, beside_url) = Front::open().await;
        let slack = Slack::start().await;
        (given.slack)(&slack);
        (given.marathon)(&sim);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        std::fs::create_dir(path.join("policies")).expect("a folder");
        secret(&path.join("bot"), TOKEN);
        secret(&path.join("signing"), SECRET);
        let settings = format!(
            "apiVersion: heartbreak/v1
kind: Settings
armed: {5}
stateDir: {0}/state
policyDir: {0}/policies
listen: 127.0.0.1:0
clusters:
  - name: pretend
    marathon: {{ urls: [{1}] }}{6}{4}
probes: {{ allowHosts: [\"127.0.0.0/8\"], allowCommands: {7} }}
slack:
  teamId: {TEAM}
  appId: {APP}
  botTokenFile: {0}/bot
  signingSecretFile: {0}/signing
  channel: C0CHAOS01
  operatorsChannel: C0OPERATE
  admins: [{CHO}]
  apiUrl: {2}/api
{3}",
            path.display(),
            urls.join(", "),
            slack.base(),
            given.settings,
            given.cluster,
            given.armed,
            if given.mesos {
                format!("\n    mesos: {{ urls: [\"{}\"] }}", sim.mesos_url())
            } else {
                String::new()
            },
            given.commands,
        );
        std::fs::write(path.join("heartbreak.yaml"), settings).expect("the settings are written");
        let mut policy = format!(
            "apiVersion: heartbreak/v1
kind: ChaosPolicy
metadata: {{ name: cart, team: shop }}
spec:
  mode: enforce
  cluster: pretend
  target: {{ apps: {{ ids: [\"/shop/cart\"] }}, tasks: {{ minAge: 0s }} }}
  fault: {{ killTasks: {{ count: {}, gap: 1s }} }}
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
    control: {{ design: beforeAfter }}
    probes:
      - name: front-door
        role: abort
        source: {{ http: {{ url: \"{url}\", requests: 5 }} }}
        share: {{ max: 30%, hard: 90% }}
  approval: {{ {} }}
",
            given.kills,
            zone_of_noon(),
            given.approval,
        );
        for (old, new) in given.policy {
            assert!(policy.contains(old), "the policy has no {old:?}");
            policy = policy.replace(old, &new.replace(BESIDE, &beside_url));
        }
        std::fs::write(path.join("policies/cart.yaml"), policy).expect("the policy is written");
        let mut settings = Settings::load(&path.join("heartbreak.yaml")).expect("good settings");
        settings.quarantine = given.quarantine.unwrap_or(settings.quarantine);
        for cluster in &mut settings.clusters {
            cluster.kill_retry = given.kill_retry.unwrap_or(cluster.kill_retry);
        }
        let running = app::start(settings).await.expect("it starts");
        slack.set_bot(&running.url);
        Self {
            slack,
            sim,
            running,
            front,
            beside,
            folder,
        }
    }

    /// The policy's file.
    pub fn policy_file(&self) -> PathBuf {
        self.folder.path().join("policies/cart.yaml")
    }

    /// The state folder.
    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Nobody listens at Marathon's address any more.
    pub async fn marathon_goes_away(&mut self) {
        let nobody = Sim::start(SimConfig::default())
            .await
            .expect("another pretend Marathon");
        std::mem::replace(&mut self.sim, nobody).stop().await;
    }

    /// Somebody types a command in Slack.
    pub async fn types(&self, user: &str, text: &str) -> Answer {
        let answer = self
            .slack
            .person(user)
            .command(&self.running.url, "/heartbreak", text)
            .await;
        assert_eq!(answer.status, 200, "{text}: {}", answer.body);
        answer
    }

    /// Somebody presses a button as they saw it.
    pub async fn clicks(&self, user: &str, seen: &Message, action: &str) {
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

    /// Waits for a private word.
    pub async fn hears(&self, user: &str, words: &str) -> String {
        let heard = self
            .slack
            .wait_for_ephemeral(user, |text| text.contains(words), SOON)
            .await;
        heard.unwrap_or_else(|| panic!("{user} never heard {words:?}, but {:?}", self.slack.ephemerals()))
    }

    /// Waits for a message in Slack.
    pub async fn sees(&self, what: &str, fits: impl Fn(&Message) -> bool) -> Message {
        let seen = self.slack.wait_for(fits, SOON).await;
        seen.unwrap_or_else(|| {
            let all: Vec<String> = self.slack.messages().into_iter().map(|m| m.text).collect();
            panic!("nobody ever saw {what}, but {all:#?}")
        })
    }

    /// The card of the request for approval.
    pub async fn card(&self) -> Message {
        self.sees("a card with Approve", |m| m.button("approve").is_some())
            .await
    }

    /// The newest run.
    pub async fn run(&self) -> Option<Run> {
        let newest = |l: &Ledger| l.runs.values().max_by_key(|r| r.plan.made_at).cloned();
        self.running.operator.read_ledger(newest).await
    }

    /// Waits until the newest run is so.
    pub async fn until(&self, what: &str, is: impl Fn(&Run) -> bool) -> Run {
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
            Err(_) => panic!(
                "the run was never {what}: {:#?}\n{}",
                self.run().await,
                self.why().await
            ),
        }
    }

    /// Waits until the newest run is shown so to those who ask for it.
    pub async fn until_view(&self, what: &str, is: impl Fn(&RunView) -> bool) {
        let waiting = async {
            loop {
                if let Some(run) = self.run().await
                    && let Ok(Reply::Run(view)) = self.api(Command::DescribeRun { run: run.id }).await
                    && is(&view)
                {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(SOON, waiting).await;
        assert!(waited.is_ok(), "the run was never {what}: {}", self.why().await);
    }

    /// Waits until the newest run is over.
    pub async fn until_over(&self) -> Run {
        self.until("over", |run| run.phase == Phase::Ended).await
    }

    /// Asks over the API, as the command line does.
    pub async fn api(&self, command: Command) -> Result<Reply, Refusal> {
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

    /// Asks for a run.
    pub async fn asks_for_a_run(&self) -> Result<Reply, Refusal> {
        self.api(Command::Run {
            policy: "cart".into(),
        })
        .await
    }

    /// What `why cart` says, in one line.
    pub async fn why(&self) -> String {
        let asked = RealClock.elapsed();
        let text = match self
            .api(Command::Why {
                subject: "cart".into(),
            })
            .await
        {
            Ok(Reply::Why(why)) => format!("{} {:?}", why.lead, why.policies),
            other => format!("{other:?}"),
        };
        let took = RealClock.elapsed() - asked;
        // Two seconds are promised; this machine may be busy with other things.
        assert!(took < Duration::from_secs(5), "why took {took:?}");
        text
    }

    /// Waits until `why cart` says these words.
    pub async fn why_says(&self, words: &str) -> String {
        let looking = async {
            loop {
                let text = self.why().await;
                if text.contains(words) {
                    return text;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        match tokio::time::timeout(SOON, looking).await {
            Ok(text) => text,
            Err(_) => panic!("why never says {words:?}, but {}", self.why().await),
        }
    }

    /// What still counts as down because of us, in words.
    pub async fn charged(&self) -> Vec<String> {
        match self.api(Command::Status).await {
            Ok(Reply::Status(status)) => status.charged,
            other => panic!("a status, and not {other:?}"),
        }
    }

    /// Waits until the simulator has carried out this many kills.
    pub async fn until_killed(&self, kills: usize) {
        let looking = async {
            while self.sim.kills().len() < kills {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(SOON, looking).await.is_err() {
            panic!(
                "{} of {kills} kills; {}",
                self.sim.kills().len(),
                self.why().await
            );
        }
    }

    /// Waits until a file is there.
    pub async fn until_written(&self, path: &Path) {
        let looking = async {
            while !path.is_file() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        assert!(
            tokio::time::timeout(SOON, looking).await.is_ok(),
            "{} is never written",
            path.display()
        );
    }

    /// Ends the operator; the folder stays until the value is dropped.
    pub async fn stop_and_keep(self) -> tempfile::TempDir {
        self.running.stop("the test is over").await;
        self.sim.stop().await;
        self.folder
    }

    /// Ends it, and looks whether its journal is whole.
    pub async fn stop(self) {
        self.running.stop("the test is over").await;
        self.sim.stop().await;
        let journal = self.folder.path().join("state/journal.db");
        let verified = SqliteJournal::verify(journal).await;
        verified.expect("nothing in the journal is lost or changed");
    }
}
