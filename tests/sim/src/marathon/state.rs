//! What the pretend Marathon knows. Time moves only through [`State::advance`].

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::agents::{AgentNode, AgentSpec};
use super::definition::{self, Definition};
use super::deploy::Deployment;
use super::habits;
use super::lost::{Orphan, Rounds, Watch};
use super::placement::{self, Agent};
use super::pods::Pods;
use super::refusal::Refusal;
use super::volumes::{self, Volume};
use crate::generate::{Generator, Place, Shape};

use super::election::{Node, Vacancy};
pub use super::version::Version;
use crate::mesos::Masters;

/// How long each step in the life of a task takes.
#[derive(Clone, Copy, Debug)]
pub struct Timings {
    /// From the kill request to the death of the task.
    pub kill_delay: Duration,
    /// From the death of a task to the staging of its replacement.
    pub offer_delay: Duration,
    /// From staging to running.
    pub start_delay: Duration,
    /// From running to the first health result of its own.
    pub health_delay: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            kill_delay: Duration::from_millis(200),
            offer_delay: Duration::from_millis(800),
            start_delay: Duration::from_millis(500),
            health_delay: Duration::from_millis(700),
        }
    }
}

impl Timings {
    /// As on a real cluster: the three seconds that agents give a command to end, an offer within the
    /// shortest interval between two, and a check a few seconds after the start.
    #[must_use]
    pub fn real(version: Version) -> Self {
        let offers = version.min_revive_offers_interval();
        Self {
            kill_delay: Duration::from_secs(3),
            offer_delay: Duration::from_millis(offers.into()),
            start_delay: Duration::from_secs(2),
            health_delay: Duration::from_secs(5),
        }
    }
}

/// An app to pretend.
#[derive(Clone, Debug)]
pub struct AppSpec {
    /// Absolute id, such as `/shop/web`.
    pub id: String,
    /// How many instances.
    pub instances: u32,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Whether it has a health check.
    pub health_checks: bool,
    /// Its command.
    pub cmd: String,
    /// Placement constraints, each a list such as `["hostname", "UNIQUE"]`.
    pub constraints: Vec<Vec<String>>,
    /// Further fields of its definition, as Marathon takes them.
    pub more: Definition,
}

impl AppSpec {
    /// An app with an id that Marathon would take, one instance and a health check.
    ///
    /// # Errors
    /// In a sentence, what is wrong with the id.
    pub fn named(id: &str) -> Result<Self, String> {
        if !id.starts_with('/') || id == "/" || definition::canonical(id) != id || !definition::is_id(id) {
            return Err(format!(
                "\"{id}\" is no app id: it begins with a slash and has lower-case letters, digits, dots and \
                 hyphens, such as /shop/cart"
            ));
        }
        Ok(Self::new(id, 1))
    }

    /// Reads `/shop/cart:4,team=shop,tier=front`: an id, how many instances, labels.
    ///
    /// # Errors
    /// In a sentence, what is wrong.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',');
        let first = parts.next().unwrap_or_default();
        let (id, count) = first.split_once(':').unwrap_or((first, "1"));
        let mut spec = Self::named(id)?;
        spec.instances = match count.parse() {
            Ok(n @ 0..=100_000) => n,
            _ => return Err(format!("\"{count}\" is no number of instances from 0 to 100000")),
        };
        for label in parts {
            let Some((key, value)) = label.split_once('=').filter(|(key, _)| !key.is_empty()) else {
                return Err(format!("\"{label}\" is no label such as team=shop"));
            };
            spec.labels.insert(key.to_owned(), value.to_owned());
        }
        Ok(spec)
    }

    /// An app with a health check and no labels.
    pub fn new(id: impl Into<String>, instances: u32) -> Self {
        Self {
            id: id.into(),
            instances,
            labels: BTreeMap::new(),
            health_checks: true,
            cmd: "sleep 1000000".to_owned(),
            constraints: Vec::new(),
            more: Definition::new(),
        }
    }

    /// Adds a field of its definition, as Marathon takes it.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: Value) -> Self {
        self.more.insert(key.into(), value);
        self
    }

    /// Gives each instance a persistent volume at this path, which ties it to its agent.
    #[must_use]
    pub fn resident(self, path: &str) -> Self {
        let volume = json!({"containerPath": path, "mode": "RW", "persistent": {"size": 100}});
        self.with("container", json!({"type": "MESOS", "volumes": [volume]}))
            .with("unreachableStrategy", json!("disabled"))
            .with(
                "upgradeStrategy",
                json!({"minimumHealthCapacity": 0.5, "maximumOverCapacity": 0}),
            )
    }

    /// Adds a constraint such as `["hostname", "UNIQUE"]`.
    #[must_use]
    pub fn constraint(mut self, words: &[&str]) -> Self {
        self.constraints
            .push(words.iter().map(|w| (*w).to_owned()).collect());
        self
    }

    /// Adds a label.
    #[must_use]
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(key.into(), value.into());
        self
    }

    /// Says whether it has a health check.
    #[must_use]
    pub fn health_checks(mut self, yes: bool) -> Self {
        self.health_checks = yes;
        self
    }
}

/// Where an instance is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Waiting for an offer, and not listed.
    Waiting,
    /// Dead, waiting for an offer, listed with this Marathon task state.
    Down(&'static str),
    /// Accepted by an agent, not started yet.
    Staging,
    /// Being started by the agent.
    Starting,
    /// Running.
    Running,
    /// Out of reach with its agent; when inactive, another has taken its place or will.
    Unreachable {
        /// It does not count any more.
        inactive: bool,
    },
}

impl Phase {
    /// Out of reach with its agent.
    #[must_use]
    pub fn is_unreachable(self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    /// There is a task that has not ended.
    #[must_use]
    pub fn is_active(self) -> bool {
        matches!(
            self,
            Self::Staging | Self::Starting | Self::Running | Self::Unreachable { inactive: false }
        )
    }
}

/// A health result as Marathon lists it.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// Failures since the last success.
    pub consecutive_failures: u32,
    /// When it first passed.
    pub first_success: Option<DateTime<Utc>>,
    /// When it last passed.
    pub last_success: Option<DateTime<Utc>>,
    /// When it last failed.
    pub last_failure: Option<DateTime<Utc>>,
    /// Why it last failed.
    pub last_failure_cause: Option<String>,
}

impl Health {
    /// The last check passed.
    #[must_use]
    pub fn alive(&self) -> bool {
        self.last_success
            .is_some_and(|passed| self.last_failure.is_none_or(|failed| passed > failed))
    }
}

/// As what agents report a task that ended because it was told to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Killed {
    /// `TASK_KILLED`.
    #[default]
    Killed,
    /// `TASK_FINISHED`, as before Mesos 1.5 when the command exits with 0. Later launches wait for it.
    Finished,
}

/// Who wants a task dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Killer {
    Request,
    Deployment,
    HealthCheck,
}

/// A kill accepted and not yet carried out.
#[derive(Clone, Debug)]
pub(super) struct PendingKill {
    pub(super) due: DateTime<Utc>,
    pub(super) asked: String,
    pub(super) intent: Option<String>,
    pub(super) by: Killer,
}

/// One instance of an app.
#[derive(Clone, Debug)]
pub struct Instance {
    /// The id shared by all incarnations.
    pub uuid: String,
    /// The number of the current incarnation, from 1.
    pub incarnation: u32,
    /// The configuration it runs.
    pub version: DateTime<Utc>,
    /// Where it is in its life.
    pub phase: Phase,
    /// Since when.
    pub since: DateTime<Utc>,
    /// When the current incarnation was staged.
    pub staged_at: Option<DateTime<Utc>>,
    /// When the current incarnation started.
    pub started_at: Option<DateTime<Utc>>,
    /// The results listed, one for each health check; they may be inherited.
    pub health: Vec<Option<Health>>,
    /// Whether the current incarnation has had a result of its own (or needs none).
    pub own_health: bool,
    /// The agent's host name.
    pub host: String,
    /// The agent's id.
    pub agent: String,
    /// The agent's address.
    pub(super) address: String,
    /// The ports given to it.
    pub ports: Vec<u16>,
    pub(super) on: Option<Agent>,
    /// Its persistent volumes, from its first launch on.
    pub(super) volumes: Vec<Volume>,
    /// They go with its task.
    pub(super) wiped: bool,
    pub(super) killing: Option<PendingKill>,
    /// It is not wanted any more: no other task follows this one.
    pub(super) unwanted: bool,
}

impl Instance {
    /// Running, with a passing result of its own and no failing one.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.phase == Phase::Running && self.own_health && self.health.iter().flatten().all(Health::alive)
    }

    /// A kill has been accepted and not yet carried out.
    #[must_use]
    pub fn is_being_killed(&self) -> bool {
        self.killing.is_some()
    }

    /// It is one of those that the app wants: not given up, and not replaced while out of reach.
    pub(super) fn counts(&self) -> bool {
        !self.unwanted && self.phase != Phase::Unreachable { inactive: true }
    }

    /// The first of its ports, or 0.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.ports.first().copied().unwrap_or(0)
    }
}

/// A health check of an app.
#[derive(Clone, Debug)]
pub(super) struct Check {
    /// As Marathon lists it.
    pub(super) json: Value,
    /// When Marathon itself checks next; the agent does it when there is no such time.
    pub(super) next: Option<DateTime<Utc>>,
}

impl Check {
    pub(super) fn seconds(&self, key: &str) -> u64 {
        self.json[key].as_u64().unwrap_or(0)
    }

    pub(super) fn interval(&self) -> TimeDelta {
        span(Duration::from_secs(self.seconds("intervalSeconds").max(1)))
    }
}

/// One app.
#[derive(Clone, Debug)]
pub struct App {
    /// Its id, number of instances and labels; `instances` follows every change of scale.
    pub spec: AppSpec,
    /// The version of its definition.
    pub version: DateTime<Utc>,
    /// When its number of instances last changed.
    pub scaled_at: DateTime<Utc>,
    /// When anything else last changed.
    pub configured_at: DateTime<Utc>,
    /// Extra time before a replacement is staged.
    pub launch_delay: Duration,
    /// Whether its health checks may pass.
    pub healthy: bool,
    /// Its instances.
    pub instances: Vec<Instance>,
    pub(super) definition: Definition,
    pub(super) history: Vec<(DateTime<Utc>, Definition)>,
    pub(super) checks: Vec<Check>,
    /// How long launches wait after failures, counted from when.
    pub(super) backoff: Option<(Duration, DateTime<Utc>)>,
    pub(super) last_failure: Option<Value>,
    /// Its tasks serve whatever their command says: a test set them up so, or they are processes of this computer.
    pub(super) serves: bool,
}

impl App {
    /// How long launches wait after failures; nothing, when none has failed of late.
    #[must_use]
    pub fn launch_waits(&self) -> Option<Duration> {
        self.backoff.map(|(delay, _)| delay)
    }
}

/// A task killed on request.
#[derive(Clone, Debug)]
pub struct Kill {
    /// When the task died.
    pub at: DateTime<Utc>,
    /// The app.
    pub app: String,
    /// The intent header of the request.
    pub intent: Option<String>,
    /// The task id asked for.
    pub asked: String,
    /// The task id that died.
    pub killed: String,
    /// The task ids, of all apps, that were not up at that moment, without this one.
    pub others_down: Vec<String>,
    /// Those of them that belong to the same app.
    pub others_down_in_app: Vec<String>,
}

/// An entry of the event stream.
#[derive(Clone, Debug)]
pub struct Event {
    /// Counts up from 0.
    pub number: u64,
    /// Such as `status_update_event`.
    pub kind: String,
    /// The JSON document.
    pub data: Value,
}

/// A live task that should have a process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LiveTask {
    /// Its id.
    pub id: String,
    /// Its app.
    pub app: String,
    /// Its port.
    pub port: u16,
}

/// The state of the pretend Marathon.
pub struct State {
    /// Which Marathon this is.
    pub version: Version,
    /// How long things take.
    pub timings: Timings,
    /// The framework id.
    pub framework_id: String,
    /// Host and port of the leader, as the headers say it.
    pub leader: String,
    /// When set, every task is on this host.
    pub host: Option<String>,
    /// The Mesos masters.
    pub mesos: Masters,
    pub(super) agents: Vec<AgentNode>,
    /// Generated apps, which are only read.
    pub(super) crowd: Option<Arc<Generator>>,
    /// How long it takes until agents and their tasks are given up.
    pub(super) watch: Watch,
    /// Tasks that Marathon has forgotten and that may return.
    pub(super) orphans: Vec<Orphan>,
    pub(super) rounds: Rounds,
    pub(super) pods: Pods,
    /// It takes no offers any more, until another leads.
    pub(super) stalled: bool,
    /// The feature `task_killing`: a task that is being killed is shown so, and does not count as running.
    pub task_killing: bool,
    /// As what agents report a task that was killed.
    pub killed_are: Killed,
    pub(super) apps: BTreeMap<String, App>,
    /// Apps deleted whose tasks are still being killed.
    pub(super) leaving: Vec<App>,
    pub(super) deployments: Vec<Deployment>,
    pub(super) now: DateTime<Utc>,
    pub(super) last_version: DateTime<Utc>,
    /// The time without a leader, while it lasts.
    pub(super) lost: Option<Vacancy>,
    /// The nodes; the pure state machine can do without.
    pub(super) nodes: Vec<Node>,
    /// When the leader lets go, if it has been asked to.
    pub(super) abdicates: Option<DateTime<Utc>>,
    /// Since when the leader leads, if another did before.
    pub(super) leads_since: Option<DateTime<Utc>>,
    pub(super) kills: Vec<Kill>,
    dropped: Vec<String>,
    events: VecDeque<Event>,
    next_event: u64,
    pub(super) next_agent: usize,
    next_port: u16,
    ports: Option<Box<dyn FnMut() -> u16 + Send>>,
}

const KEPT_EVENTS: usize = 5000;

pub(super) fn span(d: Duration) -> TimeDelta {
    TimeDelta::from_std(d).unwrap_or(TimeDelta::MAX)
}

/// A time as Marathon writes it.
#[must_use]
pub fn stamp(t: DateTime<Utc>) -> String {
    t.to_rfc3339_opts(SecondsFormat::Millis, true)
}

pub(crate) fn path_of(app: &str) -> String {
    app.trim_start_matches('/').replace('/', "_")
}

/// What a task id says: the app's path with underscores, and the instance.
#[derive(Debug, PartialEq, Eq)]
struct TaskId {
    app: String,
    /// `instance` or `marathon`; ids of the old form count as the second.
    kind: String,
    uuid: String,
}

/// Reads a task id by the four forms that Marathon knows, in its order; with `strict`, its UUID too.
fn parse_id(id: &str, strict: bool) -> Result<TaskId, Refusal> {
    const FORMS: [&str; 4] = [
        r"^(?<app>.+)\.(?<kind>instance|marathon)-(?<uuid>[^_.]+)[._][^.]+\.\d+$",
        r"^(?<app>.+)\.(?<kind>instance|marathon)-(?<uuid>[^_.]+)[._][^.]+$",
        r"^(?<app>.+)[._](?<uuid>[^_.]+)\.\d+$",
        r"^(?<app>.+)[._](?<uuid>[^_.]+)$",
    ];
    static READ: LazyLock<Vec<regex::Regex>> =
        LazyLock::new(|| FORMS.iter().filter_map(|f| regex::Regex::new(f).ok()).collect());
    let Some(found) = READ.iter().find_map(|form| form.captures(id)) else {
        let words =
            format!("Invalid task id '{id}'. [taskId {id} no valid identifier (of class java.lang.String)]");
        return Err(Refusal::message(400, &words));
    };
    let part = |name| found.name(name).map_or("", |m| m.as_str()).to_owned();
    let uuid = part("uuid");
    let kind = part("kind");
    let kind = if kind.is_empty() {
        "marathon".to_owned()
    } else {
        kind
    };
    if !strict {
        return Ok(TaskId {
            app: part("app"),
            kind,
            uuid,
        });
    }
    let pieces: Vec<&str> = uuid.split('-').collect();
    if pieces.len() != 5 {
        return Err(Refusal::message(422, &format!("Invalid UUID string: {uuid}")));
    }
    let hex = |p: &&&str| p.is_empty() || !p.chars().all(|c| c.is_ascii_hexdigit());
    if let Some(bad) = pieces.iter().find(hex) {
        return Err(Refusal::message(422, &format!("For input string: \"{bad}\"")));
    }
    Ok(TaskId {
        app: part("app"),
        kind,
        uuid,
    })
}

impl State {
    /// An empty Marathon.
    #[must_use]
    pub fn new(version: Version, timings: Timings, now: DateTime<Utc>) -> Self {
        let mut state = Self {
            version,
            timings,
            framework_id: format!("{}-0000", Uuid::new_v4()),
            leader: "127.0.0.1:8080".to_owned(),
            host: None,
            mesos: Masters::default(),
            agents: Vec::new(),
            crowd: None,
            orphans: Vec::new(),
            watch: Watch::default(),
            rounds: Rounds::from(now, &Watch::default()),
            pods: Pods::new(),
            stalled: false,
            task_killing: false,
            killed_are: Killed::default(),
            apps: BTreeMap::new(),
            leaving: Vec::new(),
            deployments: Vec::new(),
            now,
            last_version: now,
            lost: None,
            nodes: Vec::new(),
            abdicates: None,
            leads_since: None,
            kills: Vec::new(),
            dropped: Vec::new(),
            events: VecDeque::new(),
            next_event: 0,
            next_agent: 0,
            next_port: 31000,
            ports: None,
        };
        state.set_agents(AgentSpec::cluster(8));
        state
    }

    /// Where ports come from; without this they count up from 31000.
    pub fn set_ports(&mut self, ports: impl FnMut() -> u16 + Send + 'static) {
        self.ports = Some(Box::new(ports));
    }

    /// The time of the last [`State::advance`].
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// The version as `/v2/info` says it.
    #[must_use]
    pub fn version_text(&self) -> &'static str {
        self.version.full()
    }

    /// What it knows now, to be shown later: it can be read and changed, and nothing comes of it.
    #[must_use]
    pub fn frozen(&self) -> crate::mischief::Frozen {
        let mut copy = Self::new(self.version, self.timings, self.now);
        copy.framework_id.clone_from(&self.framework_id);
        copy.leader.clone_from(&self.leader);
        copy.host.clone_from(&self.host);
        copy.agents.clone_from(&self.agents);
        copy.pods.clone_from(&self.pods);
        copy.apps.clone_from(&self.apps);
        copy.leaving.clone_from(&self.leaving);
        copy.deployments.clone_from(&self.deployments);
        copy.last_version = self.last_version;
        crate::mischief::Frozen(std::sync::Arc::new(std::sync::Mutex::new(copy)))
    }

    /// Adds generated apps on the agents there are. They are listed and nothing more: a kill of their tasks
    /// finds nobody.
    pub fn generate(&mut self, shape: Shape) {
        let place = |(n, a): (usize, &AgentNode)| Place {
            host: self.agent_host(a),
            address: a.address(),
            id: self.agent_id(Agent(n)),
            domain: a.spec.domain.clone(),
        };
        let places = self.agents.iter().enumerate().map(place).collect();
        self.crowd = Some(Arc::new(Generator::on(shape, places)));
    }

    /// All apps.
    pub fn apps(&self) -> impl Iterator<Item = &App> {
        self.apps.values()
    }

    /// One app.
    #[must_use]
    pub fn app(&self, id: &str) -> Option<&App> {
        self.apps.get(id)
    }

    /// An app, or one deleted whose tasks still live.
    pub(super) fn any_mut(&mut self, id: &str, uuid: &str) -> Option<&mut App> {
        let mine = |a: &&mut App| a.spec.id == id && a.instances.iter().any(|i| i.uuid == uuid);
        self.apps.values_mut().chain(&mut self.leaving).find(mine)
    }

    /// The kills carried out.
    #[must_use]
    pub fn kills(&self) -> &[Kill] {
        &self.kills
    }

    /// The task ids whose kill was answered with 200 and dropped.
    #[must_use]
    pub fn dropped(&self) -> &[String] {
        &self.dropped
    }

    /// The events from this number on that are still kept.
    #[must_use]
    pub fn events_from(&self, number: u64) -> Vec<Event> {
        self.events
            .iter()
            .filter(|e| e.number >= number)
            .cloned()
            .collect()
    }

    /// Tells the listeners of live tasks, over and over, so many times.
    pub fn flood(&mut self, count: u32) {
        let at = self.now;
        let live: Vec<Value> = self
            .live_tasks()
            .iter()
            .map(|t| {
                json!({"slaveId": "", "taskId": t.id, "taskStatus": "TASK_RUNNING", "message": "", "appId": t.app,
                    "host": "unknown", "ipAddresses": [], "ports": [t.port], "version": stamp(at)})
            })
            .collect();
        for n in 0..count as usize {
            let data = live.get(n % live.len().max(1)).cloned();
            self.emit("status_update_event", data.unwrap_or_else(|| json!({})), at);
        }
    }

    /// Tells the listeners of nothing but this kind of event.
    pub fn say(&mut self, kind: &str) {
        let at = self.now;
        self.emit(kind, json!({}), at);
    }

    /// The number the next event will have.
    #[must_use]
    pub fn next_event(&self) -> u64 {
        self.next_event
    }

    /// The id of the current incarnation's task.
    #[must_use]
    pub fn task_id(&self, app: &App, i: &Instance) -> String {
        let path = path_of(&app.spec.id);
        if self.version.stable_instances() {
            format!("{path}.instance-{}._app.{}", i.uuid, i.incarnation)
        } else if i.volumes.is_empty() {
            format!("{path}.{}", i.uuid)
        } else {
            format!("{path}.{}.{}", i.uuid, i.incarnation)
        }
    }

    /// The id of an instance.
    #[must_use]
    pub fn instance_id(&self, app: &App, i: &Instance) -> String {
        let path = path_of(&app.spec.id);
        if self.version.stable_instances() {
            format!("{path}.instance-{}", i.uuid)
        } else {
            format!("{path}.marathon-{}", i.uuid)
        }
    }

    /// The ids of the listed tasks of an app.
    #[must_use]
    pub fn task_ids(&self, app: &str) -> Vec<String> {
        self.app(app).map_or_else(Vec::new, |a| {
            a.instances
                .iter()
                .filter(|i| i.phase != Phase::Waiting)
                .map(|i| self.task_id(a, i))
                .collect()
        })
    }

    /// The tasks that run now.
    #[must_use]
    pub fn live_tasks(&self) -> Vec<LiveTask> {
        self.live(|i| i.phase == Phase::Running && !self.is_silent(i.on))
    }

    /// The tasks of an app that run now and pass their own health check.
    #[must_use]
    pub fn up_tasks(&self, app: &str) -> Vec<LiveTask> {
        let mut tasks = self.live(Instance::is_up);
        tasks.retain(|t| t.app == app);
        tasks
    }

    fn live(&self, wanted: impl Fn(&Instance) -> bool) -> Vec<LiveTask> {
        let mut tasks = Vec::new();
        for a in self.apps.values().chain(&self.leaving) {
            for i in a.instances.iter().filter(|i| wanted(i)) {
                tasks.push(LiveTask {
                    id: self.task_id(a, i),
                    app: a.spec.id.clone(),
                    port: i.port(),
                });
            }
        }
        tasks
    }

    pub(super) fn emit(&mut self, kind: &str, mut data: Value, at: DateTime<Utc>) {
        data["eventType"] = json!(kind);
        data["timestamp"] = json!(stamp(at));
        self.events.push_back(Event {
            number: self.next_event,
            kind: kind.to_owned(),
            data,
        });
        self.next_event += 1;
        while self.events.len() > KEPT_EVENTS {
            self.events.pop_front();
        }
    }

    /// An instance without a task.
    pub(super) fn waiting(&self, version: DateTime<Utc>, since: DateTime<Utc>) -> Instance {
        Instance {
            uuid: Uuid::new_v4().to_string(),
            incarnation: 0,
            version,
            phase: Phase::Waiting,
            since,
            staged_at: None,
            started_at: None,
            health: Vec::new(),
            own_health: false,
            host: String::new(),
            agent: String::new(),
            address: String::new(),
            ports: Vec::new(),
            on: None,
            volumes: Vec::new(),
            wiped: false,
            killing: None,
            unwanted: false,
        }
    }

    /// Puts an instance on an agent with as many ports as it needs.
    pub(super) fn put_on(&mut self, i: &mut Instance, agent: Agent, ports: usize) {
        if i.bound_to() == Some(agent) {
            return;
        }
        self.next_agent = agent.0 + 1;
        i.on = Some(agent);
        i.agent = self.agent_id(agent);
        if let Some(a) = self.agents.get(agent.0) {
            i.host = self.agent_host(a);
            i.address = self.host.clone().unwrap_or_else(|| a.address());
        }
        i.ports.clear();
        for _ in 0..ports {
            let port = self.next_port();
            i.ports.push(port);
        }
    }

    pub(super) fn next_port(&mut self) -> u16 {
        match &mut self.ports {
            Some(f) => f(),
            None => {
                let p = self.next_port;
                self.next_port = if p >= 32000 { 31000 } else { p + 1 };
                p
            }
        }
    }

    /// The agent for the next task of an app, if its constraints allow any.
    pub(super) fn room(&self, a: &App, but: &str) -> Option<Agent> {
        let bound = a
            .instances
            .iter()
            .find(|i| i.uuid == but)
            .and_then(Instance::bound_to);
        if let Some(agent) = bound {
            return self
                .agents
                .get(agent.0)
                .filter(|a| a.takes_tasks())
                .map(|_| agent);
        }
        let others: Vec<Agent> = a
            .instances
            .iter()
            .filter(|i| i.uuid != but && i.phase.is_active())
            .filter_map(|i| i.on)
            .collect();
        let none = Vec::new();
        let constraints = a.definition.get("constraints").and_then(Value::as_array);
        placement::find(
            &self.agents,
            constraints.unwrap_or(&none),
            self.next_agent,
            &others,
        )
    }

    /// A version that no other change has.
    pub(super) fn fresh_version(&mut self) -> DateTime<Utc> {
        self.last_version = self.now.max(self.last_version + TimeDelta::milliseconds(1));
        self.last_version
    }

    /// Adds an app whose instances have been running and passing for an hour.
    pub fn add_app(&mut self, spec: AppSpec) {
        let started = self.now - TimeDelta::hours(1);
        let version = self.now - TimeDelta::hours(2);
        let mut given = json!({
            "id": spec.id, "cmd": spec.cmd, "instances": spec.instances, "labels": spec.labels,
            "constraints": spec.constraints, "cpus": 0.1, "mem": 32,
        });
        if spec.health_checks {
            given["healthChecks"] = json!([{"protocol": "MESOS_HTTP", "path": "/health",
                "portIndex": 0, "gracePeriodSeconds": 10, "intervalSeconds": 5,
                "timeoutSeconds": 5, "maxConsecutiveFailures": 3, "delaySeconds": 1}]);
        }
        let mut given = given.as_object().cloned().unwrap_or_default();
        given.extend(spec.more.clone());
        let mut definition = definition::complete(&spec.id, &given, self.version);
        // Without them, any later change would give it some, and so replace every task.
        self.assign_ports(&mut definition);
        let health: Vec<Option<Health>> = (0..usize::from(spec.health_checks))
            .map(|_| {
                Some(Health {
                    first_success: Some(started + TimeDelta::seconds(5)),
                    last_success: Some(started + TimeDelta::seconds(5)),
                    ..Health::default()
                })
            })
            .collect();
        let count = spec.instances;
        let mut app = self.new_app(definition, version);
        app.serves = true;
        // What ends by itself has not been running for an hour.
        let started = if habits::lifetime(&app).is_some() {
            self.now
        } else {
            started
        };
        for _ in 0..count {
            let mut i = Instance {
                incarnation: 1,
                phase: Phase::Running,
                staged_at: Some(started - TimeDelta::seconds(2)),
                started_at: Some(started),
                health: health.clone(),
                own_health: true,
                ..self.waiting(version, started)
            };
            let agent = self
                .room(&app, "")
                .unwrap_or(Agent(self.next_agent % self.agents.len().max(1)));
            self.put_on(&mut i, agent, definition::ports_of(&app.definition));
            i.volumes = volumes::claim(&app);
            app.instances.push(i);
        }
        app.spec = spec;
        self.apps.insert(app.spec.id.clone(), app);
    }

    /// Removes an app and all its tasks at once.
    pub fn remove_app(&mut self, id: &str) {
        if self.apps.remove(id).is_some() {
            let at = self.now;
            self.emit("app_terminated_event", json!({"appId": id}), at);
        }
    }

    /// Changes the number of instances; new ones wait for an offer, surplus ones go at once.
    pub fn scale(&mut self, id: &str, instances: u32) {
        let now = self.now;
        let version = self.fresh_version();
        let Some(mut app) = self.apps.remove(id) else {
            return;
        };
        app.spec.instances = instances;
        app.definition.insert("instances".to_owned(), json!(instances));
        app.version = version;
        app.scaled_at = version;
        app.instances.truncate(instances as usize);
        while app.instances.len() < instances as usize {
            app.instances.push(self.waiting(version, now));
        }
        self.apps.insert(id.to_owned(), app);
    }

    /// Holds the replacements of an app back for this long on top of the usual.
    pub fn set_launch_delay(&mut self, app: &str, delay: Duration) {
        if let Some(a) = self.apps.get_mut(app) {
            a.launch_delay = delay;
        }
    }

    /// Makes the health checks of an app pass or fail.
    pub fn set_health(&mut self, app: &str, healthy: bool) {
        if let Some(a) = self.apps.get_mut(app) {
            a.healthy = healthy;
        }
    }

    /// A task dies of itself. Says whether it was live.
    pub fn fail_task(&mut self, id: &str) -> bool {
        self.end_task(id, "TASK_FAILED")
    }

    /// A task ends in this state, and nobody asked for it. Says whether it was live.
    pub fn end_task(&mut self, id: &str, state: &'static str) -> bool {
        let Ok(Some((app, uuid))) = self.find(id) else {
            return false;
        };
        let found = self.apps.get(&app).and_then(|a| {
            let i = a.instances.iter().find(|i| i.uuid == uuid)?;
            let lives = i.phase.is_active() && !i.phase.is_unreachable();
            (self.task_id(a, i) == id && lives).then_some(())
        });
        if found.is_some() {
            let now = self.now;
            let words = if state == "TASK_FINISHED" {
                "Command exited with status 0"
            } else {
                "Command exited with status 1"
            };
            self.die(&app, &uuid, state, words, now);
        }
        found.is_some()
    }

    /// The app and the instance a task id belongs to, whatever the incarnation.
    ///
    /// # Errors
    /// It is no task id.
    pub(super) fn find(&self, id: &str) -> Result<Option<(String, String)>, Refusal> {
        let said = parse_id(id, self.version.bad_uuid_is_refused())?;
        let kind = if self.version.stable_instances() {
            "instance"
        } else {
            "marathon"
        };
        if said.kind != kind {
            return Ok(None);
        }
        let known =
            |a: &App| path_of(&a.spec.id) == said.app && a.instances.iter().any(|i| i.uuid == said.uuid);
        let app = self.apps.values().find(|a| known(a));
        Ok(app.map(|a| (a.spec.id.clone(), said.uuid)))
    }

    /// The instances that task ids belong to, each once, grouped by app, with the id asked for.
    ///
    /// # Errors
    /// One of them is no task id.
    pub(super) fn find_all(
        &self,
        ids: &[String],
    ) -> Result<BTreeMap<String, Vec<(String, String)>>, Refusal> {
        let mut found: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
        for id in ids {
            if let Some((app, uuid)) = self.find(id)? {
                let list = found.entry(app).or_default();
                if list.iter().all(|(known, _)| *known != uuid) {
                    list.push((uuid, id.clone()));
                }
            }
        }
        Ok(found)
    }

    /// A kill request: the rows before the kill of the tasks that exist.
    ///
    /// With `wipe`, the instances are given up and others take their place.
    ///
    /// # Errors
    /// One of the ids is no task id; nothing is killed then.
    pub fn kill(&mut self, ids: &[String], intent: Option<&str>, wipe: bool) -> Result<Vec<Value>, Refusal> {
        let found = self.find_all(ids)?;
        let rows = self.rows_of(ids)?;
        for (app, wanted) in found {
            self.kill_in(&app, &wanted, intent, wipe);
        }
        Ok(rows)
    }

    /// The rows of those of these tasks that exist, without what health checks say.
    ///
    /// # Errors
    /// One of the ids is no task id.
    pub fn rows_of(&self, ids: &[String]) -> Result<Vec<Value>, Refusal> {
        let mut rows = Vec::new();
        for (app, wanted) in self.find_all(ids)? {
            let Some(a) = self.apps.get(&app) else {
                continue;
            };
            let listed =
                |i: &&Instance| i.phase != Phase::Waiting && wanted.iter().any(|(uuid, _)| *uuid == i.uuid);
            for i in a.instances.iter().filter(listed) {
                let mut row = self.row(a, i);
                row["healthCheckResults"] = json!([]);
                rows.push(row);
            }
        }
        Ok(rows)
    }

    /// Kills instances of one app, each given with the task id asked for.
    pub(super) fn kill_in(
        &mut self,
        app: &str,
        wanted: &[(String, String)],
        intent: Option<&str>,
        wipe: bool,
    ) {
        let due = self.now + self.death(app).after;
        let locked = self.holders(app).next().is_some();
        let Some(a) = self.apps.get_mut(app) else {
            return;
        };
        let under_way = |i: &Instance| i.killing.as_ref().is_some_and(|k| k.by == Killer::Request);
        // The older ones look at what was under way before this request.
        if self.version.plain_kill_needs_lock() && !wipe && (locked || a.instances.iter().any(under_way)) {
            self.dropped.extend(wanted.iter().map(|(_, asked)| asked.clone()));
            return;
        }
        let resident = definition::resident(&a.definition);
        let (mut dying, mut lost) = (Vec::new(), Vec::new());
        for (uuid, asked) in wanted {
            let Some(i) = a.instances.iter_mut().find(|i| i.uuid == *uuid) else {
                continue;
            };
            if i.phase.is_unreachable() {
                // An ephemeral one is given up; a resident one stays as it is, wiped or not.
                if !resident {
                    lost.push(uuid.clone());
                }
                continue;
            }
            i.unwanted |= wipe;
            i.wiped |= wipe;
            if i.phase.is_active() && i.killing.is_none() {
                i.killing = Some(PendingKill {
                    due,
                    asked: asked.clone(),
                    intent: intent.map(str::to_owned),
                    by: Killer::Request,
                });
                dying.push(uuid.clone());
            }
        }
        for uuid in dying {
            self.tell_killing(app, &uuid);
        }
        for uuid in &lost {
            self.forget(app, uuid);
        }
        if wipe || !lost.is_empty() {
            self.refill(app);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(20000) + TimeDelta::milliseconds(ms)
    }

    fn web(version: Version) -> State {
        let mut s = State::new(version, Timings::default(), at(0));
        s.add_app(AppSpec::new("/shop/web", 3));
        s
    }

    fn first(s: &State) -> Value {
        let a = s.app("/shop/web").unwrap();
        s.rows(a)[0].clone()
    }

    #[test]
    fn a_replacement_inherits_the_old_health_result() {
        let mut s = web(Version::V1_11);
        let id = s.task_ids("/shop/web")[0].clone();
        assert!(id.starts_with("shop_web.instance-") && id.ends_with("._app.1"));
        let rows = s.kill(std::slice::from_ref(&id), Some("i-1"), false).unwrap();
        assert_eq!(rows[0]["state"], "TASK_RUNNING");
        s.advance(at(100));
        assert!(s.kills().is_empty());
        s.advance(at(250));
        assert_eq!(s.kills()[0].intent.as_deref(), Some("i-1"));
        let r = first(&s);
        assert_eq!(r["state"], "TASK_KILLED");
        assert!(r.get("startedAt").is_none() && r.get("version").is_none());
        s.advance(at(1100));
        let r = first(&s);
        assert_eq!(r["state"], "TASK_STAGING");
        assert!(r["id"].as_str().unwrap().ends_with("._app.2"));
        assert_eq!(r["healthCheckResults"][0]["alive"], true);
        let old = r["healthCheckResults"][0]["lastSuccess"].clone();
        s.advance(at(1600));
        let r = first(&s);
        assert_eq!(r["state"], "TASK_RUNNING");
        assert_eq!(r["healthCheckResults"][0]["lastSuccess"], old);
        s.advance(at(2300));
        let r = first(&s);
        let h = &r["healthCheckResults"][0];
        assert!(h["lastSuccess"].as_str() > r["startedAt"].as_str());
        assert!(h["firstSuccess"].as_str() < r["startedAt"].as_str());
    }

    #[test]
    fn a_stale_id_kills_the_live_incarnation() {
        let mut s = web(Version::V1_11);
        let id = s.task_ids("/shop/web")[0].clone();
        s.kill(std::slice::from_ref(&id), None, false).unwrap();
        s.advance(at(5000));
        s.kill(std::slice::from_ref(&id), None, false).unwrap();
        s.advance(at(10000));
        assert_eq!(s.kills().len(), 2);
        assert_eq!(s.kills()[1].asked, id);
        assert!(s.kills()[1].killed.ends_with("._app.2"));
    }

    #[test]
    fn the_old_marathon_drops_kills_without_a_word() {
        let mut s = web(Version::V1_7);
        let ids = s.task_ids("/shop/web");
        s.kill(&ids[..1], None, false).unwrap();
        assert_eq!(s.kill(&ids[1..2], None, false).unwrap().len(), 1);
        s.advance(at(300));
        assert_eq!(s.kills().len(), 1);
        assert_eq!(s.task_ids("/shop/web").len(), 2);
        s.advance(at(5000));
        assert!(!s.task_ids("/shop/web").contains(&ids[0]));
        s.set_deployment("/shop/web", Some("d"));
        s.kill(&ids[1..2], None, false).unwrap();
        s.advance(at(9000));
        assert_eq!((s.kills().len(), s.dropped().len()), (1, 2));
    }

    #[test]
    fn a_malformed_id_is_refused() {
        let mut s = web(Version::V1_11);
        assert!(s.kill(&["foo".to_owned()], None, false).is_err());
        let other = format!("web.instance-{}._app.1", Uuid::new_v4());
        assert_eq!(s.kill(&[other], None, false), Ok(vec![]));
    }
}
