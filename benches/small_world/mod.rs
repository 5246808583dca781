//! The real operator between ports in memory: real time, a cluster that heals at once, probes that can be turned bad,
//! kills that can be held between the open connection and the last look. Shared by a benchmark and some tests.

#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "each of its users takes a part"
)]

pub mod nobody;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Timelike, Utc};
use heartbreak::clock::{RealClock, RealDice};
use heartbreak::journal::MemoryJournal;
use heartbreak::model::command::{Asked, Command, Person, Role, Via};
use heartbreak::model::experiment::{ProbeSpec, Reading, Source};
use heartbreak::model::ids::{AppId, RunId, TaskId};
use heartbreak::model::policy::{Limits, PolicySet, PolicyState};
use heartbreak::model::run::Run;
use heartbreak::model::snapshot::{
    App, ClusterInfo, Gap, Health, MarathonVersion, Snapshot, Task, TaskState,
};
use heartbreak::operator::{Config, Operator, Ports};
use heartbreak::policy::load::parse_policy;
use heartbreak::ports::Permit;
use heartbreak::ports::clock::Clock;
use heartbreak::ports::cluster::{Cluster, KillAnswer, KillOrder, LastLook, Query};
use heartbreak::ports::inbox::Inbox;
use heartbreak::ports::prober::{Patience, Prober};
use nobody::Nobody;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

/// No state may take longer to come about.
const SOON: Duration = Duration::from_secs(60);
const TASKS: u32 = 5;

/// What is outside of the operator.
#[derive(Default)]
pub struct Outside {
    apps: Mutex<BTreeMap<AppId, App>>,
    bad: Mutex<BTreeSet<String>>,
    sent: Mutex<Vec<TaskId>>,
    /// From now on kills wait before their last look.
    hold: AtomicBool,
    held: Notify,
    release: Notify,
    /// The probe that turns bad with the next look at an app, which is never answered.
    breaks: Mutex<Option<String>>,
    /// When somebody stopped waiting for that look.
    given_up: Arc<Mutex<Option<DateTime<Utc>>>>,
}

/// Notes when it is dropped.
struct Waiting(Arc<Mutex<Option<DateTime<Utc>>>>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.lock().expect("no panic").get_or_insert(RealClock.now());
    }
}

impl Outside {
    /// From now on this probe sees only failures.
    pub fn turns_bad(&self, probe: &str) {
        self.bad.lock().expect("no panic").insert(probe.to_owned());
    }

    /// With the next look at an app this probe turns bad, and that look is never answered.
    pub fn turns_bad_while_a_look_hangs(&self, probe: &str) {
        *self.breaks.lock().expect("no panic") = Some(probe.to_owned());
    }

    /// When somebody stopped waiting for the look that is never answered.
    pub fn gave_up(&self) -> Option<DateTime<Utc>> {
        *self.given_up.lock().expect("no panic")
    }

    /// From now on a kill waits with an open connection.
    pub fn hold_kills(&self) {
        self.hold.store(true, Ordering::SeqCst);
    }

    /// Waits until a kill waits.
    pub async fn until_held(&self) {
        tokio::time::timeout(SOON, self.held.notified())
            .await
            .expect("a kill comes");
    }

    /// The kill that waits goes on.
    pub fn release(&self) {
        self.release.notify_one();
    }

    /// Tasks whose kill request left.
    pub fn sent(&self) -> Vec<TaskId> {
        self.sent.lock().expect("no panic").clone()
    }

    fn add(&self, app: &AppId) {
        let app = App {
            id: app.clone(),
            instances: TASKS,
            labels: [("chaos", "opt-in"), ("team", "shop")]
                .map(|(key, value)| (key.into(), value.to_owned()))
                .into(),
            version: "v1".into(),
            health_checked: true,
            resident: false,
            constraints: vec![],
            deployments: vec![],
            launch_delay_s: None,
            kill_grace_s: None,
            pod: false,
            tasks: (0..TASKS).map(|n| task(app, n, 1)).collect(),
        };
        self.apps.lock().expect("no panic").insert(app.id.clone(), app);
    }
}

fn task(app: &AppId, n: u32, incarnation: u64) -> Task {
    let name = app.as_str().trim_start_matches('/').replace('/', "_");
    let started = RealClock.now() - TimeDelta::seconds(5);
    Task {
        id: format!("{name}.instance-{n}._app.{incarnation}").as_str().into(),
        instance: format!("{name}.instance-{n}").as_str().into(),
        incarnation: Some(incarnation),
        host: format!("agent-{n}").into(),
        port: None,
        agent: None,
        state: TaskState::Running,
        staged_at: Some(started),
        started_at: Some(started),
        version: None,
        health: Health::Reported {
            alive: true,
            last_success: Some(started + TimeDelta::seconds(2)),
            first_success: Some(started + TimeDelta::seconds(1)),
        },
        region: None,
        zone: None,
    }
}

#[async_trait]
impl Cluster for Outside {
    async fn look(&self, _: &[Query]) -> Snapshot {
        Snapshot {
            cluster: "small".into(),
            taken_at: RealClock.now(),
            info: Some(ClusterInfo {
                framework_id: "framework".into(),
                version: MarathonVersion { major: 1, minor: 11 },
                leader: None,
                clock_offset_ms: Some(0),
                task_killing: false,
                proxy_timeout_ms: None,
            }),
            apps: self.apps.lock().expect("no panic").clone(),
            agents: None,
            gaps: vec![],
        }
    }

    async fn look_at(&self, app: &AppId) -> Result<Option<App>, Gap> {
        let breaks = self.breaks.lock().expect("no panic").take();
        if let Some(probe) = breaks {
            let _waiting = Waiting(self.given_up.clone());
            self.turns_bad(&probe);
            std::future::pending::<()>().await;
        }
        Ok(self.apps.lock().expect("no panic").get(app).cloned())
    }

    async fn ping(&self) -> Result<(), String> {
        Ok(())
    }

    async fn kill(&self, order: &KillOrder, _: &Permit, last_look: &dyn LastLook) -> KillAnswer {
        if self.hold.load(Ordering::SeqCst) {
            self.held.notify_one();
            self.release.notified().await;
        }
        if let Some(why) = last_look.closed() {
            return KillAnswer::NotSent { why };
        }
        self.sent.lock().expect("no panic").extend(order.tasks.clone());
        let mut apps = self.apps.lock().expect("no panic");
        for app in apps.values_mut() {
            let id = app.id.clone();
            for (n, row) in app.tasks.iter_mut().enumerate() {
                if order.tasks.contains(&row.id) {
                    *row = task(&id, n as u32, row.incarnation.unwrap_or(0) + 1);
                }
            }
        }
        KillAnswer::Accepted {
            tasks: order.tasks.clone(),
        }
    }
}

#[async_trait]
impl Prober for Outside {
    async fn take(&self, _: &RunId, probe: &ProbeSpec, _: Patience) -> Reading {
        let requests = match &probe.source {
            Source::Http(http) => http.requests,
            _ => 1,
        };
        // An answer never comes at once: what else is asked in a tick is under way by then.
        tokio::task::yield_now().await;
        let bad = self.bad.lock().expect("no panic").contains(probe.name.as_str());
        Reading::Seen {
            observed: requests,
            bad: if bad { requests } else { 0 },
            slowest_ms: None,
            detail: None,
        }
    }
}

/// The operator at work.
pub struct SmallWorld {
    pub operator: Arc<Operator>,
    pub outside: Arc<Outside>,
    running: JoinHandle<()>,
    _policies: watch::Sender<Arc<PolicySet>>,
}

/// `/small/app-N` of policy `policy-N`, judged by probes `probe-N-0`, `probe-N-1`, …
pub fn name(kind: &str, n: usize) -> String {
    format!("{kind}-{n}")
}

/// A zone in which it is about noon now: the window is open whenever this runs.
pub fn zone_of_noon() -> String {
    match 12 - i64::from(RealClock.now().hour()) {
        0 => "Etc/GMT".to_owned(),
        ahead if ahead > 0 => format!("Etc/GMT-{ahead}"),
        ahead => format!("Etc/GMT+{}", -ahead),
    }
}

impl SmallWorld {
    /// This many policies, each with an app and this many probes of its own at 4 Hz, two kills and a gap between them.
    pub async fn start(policies: usize, probes: usize, gap: &str) -> Self {
        let outside = Arc::new(Outside::default());
        let mut set = PolicySet::default();
        for n in 0..policies {
            outside.add(&AppId::new(format!("/small/{}", name("app", n))));
            let text = policy(n, probes, gap);
            let policy = parse_policy(Path::new("small.yaml"), text.as_bytes())
                .unwrap_or_else(|(_, problems)| panic!("{problems}"));
            set.policies
                .insert(policy.name.clone(), PolicyState::Active(Arc::new(policy)));
        }
        let (sender, receiver) = watch::channel(Arc::new(set));
        let ports = Ports {
            clock: Arc::new(RealClock),
            dice: Arc::new(RealDice),
            clusters: BTreeMap::from([("small".into(), outside.clone() as Arc<dyn Cluster>)]),
            prober: outside.clone(),
            journal: Arc::new(MemoryJournal::new("small")),
            notifier: Arc::new(Nobody),
            pager: Arc::new(Nobody),
            reporter: Arc::new(Nobody),
            stop_file: Arc::new(Nobody),
        };
        let config = Config {
            version: "0".into(),
            armed: true,
            limits: Limits {
                tasks_down: 1_000,
                kills_per_hour: 1_000,
                kills_per_workday: 1_000,
                forbidden_apps: vec![],
                freezes: vec![],
                timezone: chrono_tz::UTC,
                holidays: BTreeSet::new(),
                covered: heartbreak::model::policy::Covered::default(),
            },
            opt_in: ("chaos".into(), "opt-in".into()),
            team_label: "team".into(),
            seed: "seed".into(),
            quarantine: TimeDelta::seconds(300),
            kill_timeout: Duration::from_secs(10),
            intent_deadline: TimeDelta::seconds(30),
            framework_ids: BTreeMap::new(),
            kill_retry: BTreeMap::new(),
        };
        let operator = Operator::start(ports, config, receiver, Arc::new(Notify::new()))
            .await
            .expect("it starts");
        let serving = operator.clone();
        Self {
            operator,
            outside,
            running: tokio::spawn(async move { Box::pin(serving.run()).await }),
            _policies: sender,
        }
    }

    /// Asks for a run of a policy.
    pub async fn asks_for_a_run(&self, n: usize) {
        let by = Person {
            id: "somebody".into(),
            name: "somebody".into(),
            via: Via::Api,
            role: Role::Admin,
        };
        let command = Command::Run {
            policy: name("policy", n).as_str().into(),
        };
        let asked = Asked {
            by,
            command,
            key: None,
        };
        self.operator.ask(asked).await.expect("it is taken");
    }

    /// The run of a policy.
    pub async fn run(&self, n: usize) -> Option<Run> {
        let policy = name("policy", n);
        self.operator
            .read_ledger(|l| {
                l.runs
                    .values()
                    .find(|r| r.plan.policy.as_str() == policy)
                    .cloned()
            })
            .await
    }

    /// Waits until the run of a policy is so.
    pub async fn until(&self, n: usize, what: &str, is: impl Fn(&Run) -> bool) -> Run {
        let waiting = async {
            loop {
                if let Some(run) = self.run(n).await.filter(|run| is(run)) {
                    return run;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        match tokio::time::timeout(SOON, waiting).await {
            Ok(run) => run,
            Err(_) => panic!("the run was never {what}: {:#?}", self.run(n).await),
        }
    }

    /// Ends it.
    pub async fn stop(self) {
        self.operator.stop("enough").await;
        self.running.abort();
        let _ = self.running.await;
    }
}

fn policy(n: usize, probes: usize, gap: &str) -> String {
    let probes: String = (0..probes)
        .map(|i| {
            format!(
                "      - name: {}\n        role: abort\n        source: {{ http: {{ url: \"http://192.0.2.1/\", requests: 50 }} }}\n        share: {{ max: 1%, hard: 50% }}\n",
                name("probe", n) + &format!("-{i}"),
            )
        })
        .collect();
    format!(
        "apiVersion: heartbreak/v1
kind: ChaosPolicy
metadata: {{ name: {}, team: shop }}
spec:
  mode: enforce
  cluster: small
  target: {{ apps: {{ ids: [\"/small/{}\"] }}, tasks: {{ minAge: 0s }} }}
  fault: {{ killTasks: {{ count: 2, gap: {gap} }} }}
  schedule:
    windows: [ {{ days: [mon, tue, wed, thu, fri, sat, sun], from: \"08:00\", to: \"20:00\" }} ]
    timezone: {}
    onDemand: true
    minTimeBetween: none
  blastRadius: {{ maxTasks: 1, maxPercent: 25, minHealthy: 3 }}
  rateLimit: {{ kills: 5, per: 1h, burst: 5 }}
  steadyState:
    interval: 250ms
    timeout: 200ms
    baseline: {{ for: 3s, max: 30s }}
    recovery: {{ within: 20s, hold: 500ms }}
    control: {{ design: beforeAfter }}
    probes:
{probes}  approval: {{ mode: automatic }}
",
        name("policy", n),
        name("app", n),
        zone_of_noon(),
    )
}
