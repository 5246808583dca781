//! How often Marathon is asked: on a clock that stands still until the test moves it, over real HTTP.

use crate::support::small_world::nobody::Nobody;
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use heartbreak::journal::MemoryJournal;
use heartbreak::marathon::{self, Auth, Client, News, Options, TlsFiles};
use heartbreak::model::command::{Asked, Command, Person, Role, Via};
use heartbreak::model::experiment::{ProbeSpec, Reading};
use heartbreak::model::ids::RunId;
use heartbreak::operator::{Config, Operator, Ports};
use heartbreak::policy::Folder;
use heartbreak::ports::clock::{Clock, Dice};
use heartbreak::ports::cluster::Cluster;
use heartbreak::ports::inbox::Inbox;
use heartbreak::ports::prober::{Patience, Prober};
use heartbreak::settings::Settings;
use heartbreak_sim::{AppSpec, Sim, SimConfig};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, watch};

/// Time that stands still until a test moves it.
struct Hand {
    began: DateTime<Utc>,
    elapsed: watch::Sender<Duration>,
}

impl Hand {
    fn advance(&self, by: Duration) {
        self.elapsed.send_modify(|elapsed| *elapsed += by);
    }
}

#[async_trait]
impl Clock for Hand {
    fn now(&self) -> DateTime<Utc> {
        self.began + self.elapsed()
    }
    fn elapsed(&self) -> Duration {
        *self.elapsed.borrow()
    }
    async fn sleep(&self, duration: Duration) {
        let until = self.elapsed() + duration;
        let mut changes = self.elapsed.subscribe();
        let _ended = changes.wait_for(|now| *now >= until).await;
    }
}

/// A service that is well, and a number that is drawn.
struct Quiet;

impl Dice for Quiet {
    fn number(&self) -> u64 {
        7
    }
}

#[async_trait]
impl Prober for Quiet {
    async fn take(&self, _: &RunId, _: &ProbeSpec, _: Patience) -> Reading {
        Reading::Seen {
            observed: 5,
            bad: 0,
            slowest_ms: None,
            detail: None,
        }
    }
}

fn client(url: &str, clock: Arc<Hand>) -> Client {
    Client::new(Options {
        cluster: "pretend".into(),
        urls: vec![url.parse().expect("an address")],
        auth: Auth::None,
        tls: TlsFiles::default(),
        allowed_hosts: BTreeSet::new(),
        connect_timeout: Duration::from_secs(5),
        read_timeout: Duration::from_secs(30),
        event_silence: Duration::from_secs(86_400),
        max_list_bytes: 512 << 20,
        max_body_bytes: 8 << 20,
        clock,
    })
    .expect("a client")
}

struct Stage {
    sim: Sim,
    clock: Arc<Hand>,
    operator: Arc<Operator>,
    events: Arc<Notify>,
    running: tokio::task::JoinHandle<()>,
    _policies: watch::Sender<Arc<heartbreak::model::policy::PolicySet>>,
    _folder: tempfile::TempDir,
}

/// Waits until it is so; the deadline is for a machine with other things to do.
async fn until(what: &str, is: impl Fn() -> bool) {
    let waiting = async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), waiting).await;
    assert!(waited.is_ok(), "never {what}");
}

impl Stage {
    async fn set() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let apps = vec![
            AppSpec::new("/shop/cart", 4)
                .label("chaos", "opt-in")
                .label("team", "shop"),
        ];
        let sim = Sim::start(SimConfig {
            apps,
            ..SimConfig::default()
        })
        .await
        .expect("a pretend Marathon");
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["cart", "other"] {
            let policy = format!(
                "apiVersion: heartbreak/v1
kind: ChaosPolicy
metadata: {{ name: {name}, team: shop }}
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
    probes:
      - name: front-door
        role: abort
        source: {{ http: {{ url: \"http://127.0.0.1:9/\" }} }}
        share: {{ max: 30%, hard: 90% }}
  approval: {{ approvers: {{ users: [U0ANA0001] }} }}
",
                crate::support::zone_of_noon()
            );
            std::fs::write(folder.path().join(format!("{name}.yaml")), policy).expect("it is written");
        }
        let reading = Folder::new(folder.path()).read();
        assert!(reading.problems.is_empty(), "{}", reading.problems);
        let (sender, policies) = watch::channel(Arc::new(reading.set));
        let settings = "apiVersion: heartbreak/v1\nkind: Settings\nclusters: [ { name: pretend, marathon: { urls: [\"http://m1:8080\"] } } ]\n";
        let settings =
            Settings::parse(Path::new("heartbreak.yaml"), settings.as_bytes()).expect("good settings");
        let clock = Arc::new(Hand {
            began: heartbreak::clock::RealClock.now(),
            elapsed: watch::Sender::new(Duration::ZERO),
        });
        let cluster: Arc<dyn Cluster> = Arc::new(client(&sim.url(), clock.clone()));
        let ports = Ports {
            clock: clock.clone(),
            dice: Arc::new(Quiet),
            clusters: BTreeMap::from([("pretend".into(), cluster)]),
            prober: Arc::new(Quiet),
            journal: Arc::new(MemoryJournal::new("test")),
            notifier: Arc::new(Nobody),
            pager: Arc::new(Nobody),
            reporter: Arc::new(Nobody),
            stop_file: Arc::new(Nobody),
        };
        let config = Config {
            version: "test".into(),
            armed: true,
            limits: settings.limits,
            opt_in: settings.opt_in,
            team_label: settings.team_label,
            seed: "seed".into(),
            quarantine: TimeDelta::minutes(5),
            kill_timeout: Duration::from_secs(10),
            intent_deadline: TimeDelta::seconds(5),
            framework_ids: BTreeMap::new(),
            kill_retry: BTreeMap::new(),
        };
        let events = Arc::new(Notify::new());
        let operator = Operator::start(ports, config, policies, events.clone())
            .await
            .expect("it starts");
        let served = operator.clone();
        let running = tokio::spawn(async move { Box::pin(served.run()).await });
        let stage = Self {
            sim,
            clock,
            operator,
            events,
            running,
            _policies: sender,
            _folder: folder,
        };
        until("looked at", || stage.operator.cluster_views()[0].seen.is_some()).await;
        stage.rest().await;
        stage
    }

    /// Waits until the loop has come round often enough for everything that was due to be done.
    async fn rest(&self) {
        let mut read = self.sim.mischief().read();
        let mut still = 0;
        while still < 10 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let now = self.sim.mischief().read();
            still = if now == read { still + 1 } else { 0 };
            read = now;
        }
    }

    /// Moves the clock on in steps that no timer of ours is shorter than.
    async fn goes_on(&self, by: Duration) {
        let step = Duration::from_millis(500);
        for _ in 0..by.as_millis() / step.as_millis() {
            self.clock.advance(step);
            // A pass that is due asks at once; whatever it asks has to be counted before the clock goes on.
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        self.rest().await;
    }

    fn lists(&self) -> usize {
        let reads = self.sim.mischief().reads();
        reads.iter().filter(|r| r.starts_with("/v2/apps?")).count()
    }

    async fn stop(self) {
        self.running.abort();
        self.sim.stop().await;
    }
}

#[tokio::test]
async fn an_idle_operator_asks_for_one_list_a_minute_and_nothing_else() {
    let stage = Stage::set().await;
    let before = stage.sim.mischief().read();
    let minutes = 10;
    stage.goes_on(Duration::from_secs(60 * minutes)).await;
    let asked = stage.sim.mischief().read() - before;
    let reads = stage.sim.mischief().reads();
    let last = &reads[reads.len() - usize::try_from(asked).expect("a few")..];
    assert!(
        (minutes - 2..=minutes).contains(&asked),
        "{asked} requests in {minutes} min: {last:?}"
    );
    assert!(
        last.iter().all(|r| r.starts_with("/v2/apps?label=chaos")),
        "{last:?}"
    );
    // Events alone change nothing about that: there is nothing to decide.
    for _ in 0..20 {
        stage.events.notify_one();
        stage.goes_on(Duration::from_secs(2)).await;
    }
    assert!(stage.sim.mischief().read() - before - asked <= 1);
    stage.stop().await;
}

#[tokio::test]
async fn a_stream_that_was_opened_anew_leads_to_one_relist() {
    let stage = Stage::set().await;
    let before = stage.sim.mischief().read();
    stage.operator.stream_opened(&"pretend".into());
    stage.goes_on(Duration::from_secs(4)).await;
    assert_eq!(
        stage.sim.mischief().read() - before,
        1,
        "{:?}",
        stage.sim.mischief().reads()
    );
    stage.stop().await;
}

#[tokio::test]
async fn ten_thousand_events_in_a_second_lead_to_one_look() {
    let stage = Stage::set().await;
    // A plan that waits for people: whatever happens is looked at, every two seconds at most.
    let by = Person {
        id: "local".into(),
        name: "local".into(),
        via: Via::Api,
        role: Role::Admin,
    };
    let command = Command::Run {
        policy: "cart".into(),
    };
    let asked = Asked {
        by,
        command,
        key: None,
    };
    stage.operator.ask(asked).await.expect("it is taken");
    stage.goes_on(Duration::from_secs(3)).await;
    let open = stage.operator.read_ledger(|l| l.open_runs().count()).await;
    assert_eq!(open, 1, "it waits for approval");

    // All of them within this second, from a Marathon that says nothing else.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let storming = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.expect("a reader");
        let mut request = vec![0; 4096];
        let _ = socket.read(&mut request).await;
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream;charset=utf-8\r\n\r\n";
        let event = "event: status_update_event\r\ndata: {\"taskStatus\":\"TASK_RUNNING\"}\r\n\r\n";
        let _ = socket.write_all(head.as_bytes()).await;
        for _ in 0..100 {
            let _ = socket.write_all(event.repeat(100).as_bytes()).await;
            tokio::task::yield_now().await;
        }
        socket
    });
    let before = stage.lists();
    let wakes = Arc::new(AtomicU64::new(0));
    let (events, counted) = (stage.events.clone(), wakes.clone());
    let reader = client(&url, stage.clock.clone());
    let following = tokio::spawn(async move {
        marathon::follow(&reader, |news| {
            if news == News::Events {
                counted.fetch_add(1, Ordering::SeqCst);
            }
            events.notify_one();
        })
        .await;
    });
    let _socket = storming.await.expect("it has written all");
    until("woken", || wakes.load(Ordering::SeqCst) > 0).await;
    stage.goes_on(Duration::from_secs(1)).await;
    let looks = stage.lists() - before;
    assert!(
        looks <= 1,
        "{looks} looks for {} wakes within a second",
        wakes.load(Ordering::SeqCst)
    );
    stage.goes_on(Duration::from_secs(2)).await;
    let looks = stage.lists() - before;
    assert!((1..=2).contains(&looks), "{looks} looks in three seconds");
    following.abort();
    stage.stop().await;
}
