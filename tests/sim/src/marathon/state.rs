//! What the pretend Marathon knows. Time moves only through [`State::advance`].

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

/// Which Marathon is pretended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// 1.11: instances keep their identity, incarnations count up, a killed row stays listed.
    #[default]
    V1_11,
    /// 1.7: every task has a new id, a killed row vanishes, kills are dropped without a word while
    /// the app has a deployment or a kill under way.
    V1_7,
}

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
}

impl AppSpec {
    /// An app with a health check and no labels.
    pub fn new(id: impl Into<String>, instances: u32) -> Self {
        Self {
            id: id.into(),
            instances,
            labels: BTreeMap::new(),
            health_checks: true,
            cmd: "sleep 1000000".to_owned(),
            constraints: Vec::new(),
        }
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
    /// Running.
    Running,
}

/// A health result as Marathon lists it.
#[derive(Clone, Debug)]
pub struct Health {
    /// The last check passed.
    pub alive: bool,
    /// Failures since the last success.
    pub consecutive_failures: u32,
    /// When it first passed.
    pub first_success: Option<DateTime<Utc>>,
    /// When it last passed.
    pub last_success: Option<DateTime<Utc>>,
    /// When it last failed.
    pub last_failure: Option<DateTime<Utc>>,
}

/// A kill accepted and not yet carried out.
#[derive(Clone, Debug)]
struct PendingKill {
    due: DateTime<Utc>,
    asked: String,
    intent: Option<String>,
    scale: bool,
}

/// One instance of an app.
#[derive(Clone, Debug)]
pub struct Instance {
    /// The id shared by all incarnations.
    pub uuid: String,
    /// The number of the current incarnation, from 1.
    pub incarnation: u32,
    /// Where it is in its life.
    pub phase: Phase,
    /// Since when.
    pub since: DateTime<Utc>,
    /// When the current incarnation was staged.
    pub staged_at: Option<DateTime<Utc>>,
    /// When the current incarnation started.
    pub started_at: Option<DateTime<Utc>>,
    /// The health result listed, which may be inherited.
    pub health: Option<Health>,
    /// Whether the current incarnation has had a result of its own (or needs none).
    pub own_health: bool,
    /// The agent's host name.
    pub host: String,
    /// The agent's id.
    pub agent: String,
    /// The port given to it.
    pub port: u16,
    killing: Option<PendingKill>,
}

impl Instance {
    /// Running, with a passing result of its own and no kill under way.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.phase == Phase::Running && self.own_health && self.health.as_ref().is_none_or(|h| h.alive)
    }

    /// A kill has been accepted and not yet carried out.
    #[must_use]
    pub fn is_being_killed(&self) -> bool {
        self.killing.is_some()
    }
}

/// One app.
#[derive(Clone, Debug)]
pub struct App {
    /// What it was made from; `instances` follows [`State::scale`].
    pub spec: AppSpec,
    /// The configuration version.
    pub version: DateTime<Utc>,
    /// The deployment that holds it, if any.
    pub deployment: Option<String>,
    /// Extra time before a replacement is staged.
    pub launch_delay: Duration,
    /// Whether its health checks pass.
    pub healthy: bool,
    /// Its instances.
    pub instances: Vec<Instance>,
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

/// A task id that is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadTaskId(pub String);

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
    apps: BTreeMap<String, App>,
    now: DateTime<Utc>,
    kills: Vec<Kill>,
    dropped: Vec<String>,
    events: VecDeque<Event>,
    next_event: u64,
    next_agent: u32,
    next_port: u16,
    ports: Option<Box<dyn FnMut() -> u16 + Send>>,
}

const KEPT_EVENTS: usize = 5000;

fn span(d: Duration) -> TimeDelta {
    TimeDelta::from_std(d).unwrap_or(TimeDelta::MAX)
}

/// A time as Marathon writes it.
#[must_use]
pub fn stamp(t: DateTime<Utc>) -> String {
    t.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn path_of(app: &str) -> String {
    app.trim_start_matches('/').replace('/', "_")
}

/// The parts of a task id: the app's path with underscores, and the instance's UUID.
fn parse_id(id: &str) -> Option<(&str, &str)> {
    let (app, rest) = if let Some(at) = id.rfind(".instance-") {
        (&id[..at], &id[at + ".instance-".len()..])
    } else {
        id.rsplit_once('.')?
    };
    let uuid = rest.get(..36)?;
    Uuid::parse_str(uuid).ok()?;
    let tail = &rest[36..];
    let fine = match tail.strip_prefix("._app") {
        Some("") => true,
        Some(n) => n.strip_prefix('.').is_some_and(|n| n.parse::<u32>().is_ok()),
        None => tail.is_empty(),
    };
    (fine && !app.is_empty()).then_some((app, uuid))
}

impl State {
    /// An empty Marathon.
    #[must_use]
    pub fn new(version: Version, timings: Timings, now: DateTime<Utc>) -> Self {
        Self {
            version,
            timings,
            framework_id: format!("{}-0000", Uuid::new_v4()),
            leader: "127.0.0.1:8080".to_owned(),
            host: None,
            apps: BTreeMap::new(),
            now,
            kills: Vec::new(),
            dropped: Vec::new(),
            events: VecDeque::new(),
            next_event: 0,
            next_agent: 0,
            next_port: 31000,
            ports: None,
        }
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
        match self.version {
            Version::V1_11 => "1.11.24",
            Version::V1_7 => "1.7.202",
        }
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

    /// The number the next event will have.
    #[must_use]
    pub fn next_event(&self) -> u64 {
        self.next_event
    }

    /// The id of the current incarnation's task.
    #[must_use]
    pub fn task_id(&self, app: &App, i: &Instance) -> String {
        let path = path_of(&app.spec.id);
        match self.version {
            Version::V1_11 => format!("{path}.instance-{}._app.{}", i.uuid, i.incarnation),
            Version::V1_7 => format!("{path}.{}", i.uuid),
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
        self.live(|i| i.phase == Phase::Running)
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
        for a in self.apps.values() {
            for i in a.instances.iter().filter(|i| wanted(i)) {
                tasks.push(LiveTask {
                    id: self.task_id(a, i),
                    app: a.spec.id.clone(),
                    port: i.port,
                });
            }
        }
        tasks
    }

    fn emit(&mut self, kind: &str, mut data: Value, at: DateTime<Utc>) {
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

    fn waiting(&self) -> Instance {
        Instance {
            uuid: Uuid::new_v4().to_string(),
            incarnation: 0,
            phase: Phase::Waiting,
            since: self.now,
            staged_at: None,
            started_at: None,
            health: None,
            own_health: false,
            host: String::new(),
            agent: String::new(),
            port: 0,
            killing: None,
        }
    }

    fn place(&mut self) -> (String, String, u16) {
        let n = self.next_agent % 5;
        self.next_agent += 1;
        let port = match &mut self.ports {
            Some(f) => f(),
            None => {
                let p = self.next_port;
                self.next_port = if p >= 32000 { 31000 } else { p + 1 };
                p
            }
        };
        let host = self
            .host
            .clone()
            .unwrap_or_else(|| format!("agent-{}.sim", n + 1));
        let framework = self.framework_id.trim_end_matches("-0000");
        (host, format!("{framework}-S{n}"), port)
    }

    /// Adds an app whose instances have been running and passing for an hour.
    pub fn add_app(&mut self, spec: AppSpec) {
        let started = self.now - TimeDelta::hours(1);
        let mut instances = Vec::new();
        for _ in 0..spec.instances {
            let (host, agent, port) = self.place();
            instances.push(Instance {
                incarnation: 1,
                phase: Phase::Running,
                since: started,
                staged_at: Some(started - TimeDelta::seconds(2)),
                started_at: Some(started),
                health: spec.health_checks.then_some(Health {
                    alive: true,
                    consecutive_failures: 0,
                    first_success: Some(started + TimeDelta::seconds(5)),
                    last_success: Some(self.now),
                    last_failure: None,
                }),
                own_health: true,
                host,
                agent,
                port,
                ..self.waiting()
            });
        }
        let app = App {
            version: self.now - TimeDelta::hours(2),
            deployment: None,
            launch_delay: Duration::ZERO,
            healthy: true,
            instances,
            spec,
        };
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
        let fresh = self.waiting();
        let now = self.now;
        if let Some(app) = self.apps.get_mut(id) {
            app.spec.instances = instances;
            app.version = now;
            app.instances.truncate(instances as usize);
            while app.instances.len() < instances as usize {
                app.instances.push(Instance {
                    uuid: Uuid::new_v4().to_string(),
                    ..fresh.clone()
                });
            }
        }
    }

    /// Puts an app under a deployment, or ends it.
    pub fn set_deployment(&mut self, app: &str, deployment: Option<&str>) {
        let at = self.now;
        let Some(a) = self.apps.get_mut(app) else {
            return;
        };
        let before = std::mem::replace(&mut a.deployment, deployment.map(str::to_owned));
        match (before, deployment) {
            (_, Some(d)) => self.emit("deployment_info", json!({"plan": {"id": d}}), at),
            (Some(d), None) => self.emit("deployment_success", json!({"id": d}), at),
            (None, None) => {}
        }
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
        let Some((app, n)) = self.find(id) else {
            return false;
        };
        let a = &self.apps[&app];
        let i = &a.instances[n];
        if self.task_id(a, i) != id || !matches!(i.phase, Phase::Running | Phase::Staging) {
            return false;
        }
        let now = self.now;
        self.die(&app, n, "TASK_FAILED", now);
        true
    }

    /// The app and the place of the instance a task id belongs to, whatever the incarnation.
    fn find(&self, id: &str) -> Option<(String, usize)> {
        let (path, uuid) = parse_id(id)?;
        self.apps.values().find_map(|a| {
            if path_of(&a.spec.id) != path {
                return None;
            }
            let n = a.instances.iter().position(|i| i.uuid == uuid)?;
            Some((a.spec.id.clone(), n))
        })
    }

    /// A kill request: the rows before the kill of the tasks that exist.
    ///
    /// # Errors
    /// One of the ids is no task id; nothing is killed then.
    pub fn kill(
        &mut self,
        ids: &[String],
        intent: Option<&str>,
        scale: bool,
    ) -> Result<Vec<Value>, BadTaskId> {
        if let Some(bad) = ids.iter().find(|id| parse_id(id).is_none()) {
            return Err(BadTaskId(bad.clone()));
        }
        let due = self.now + span(self.timings.kill_delay);
        // 1.7 looks at what was under way before this request.
        let busy: Vec<String> = self
            .apps
            .values()
            .filter(|a| a.deployment.is_some() || a.instances.iter().any(Instance::is_being_killed))
            .map(|a| a.spec.id.clone())
            .collect();
        let mut rows = Vec::new();
        for id in ids {
            let Some((app, n)) = self.find(id) else {
                continue;
            };
            let a = &self.apps[&app];
            if a.instances[n].phase == Phase::Waiting {
                continue;
            }
            rows.push(self.row(a, &a.instances[n]));
            if self.version == Version::V1_7 && busy.contains(&app) {
                self.dropped.push(id.clone());
                continue;
            }
            if let Some(i) = self
                .apps
                .get_mut(&app)
                .and_then(|a| a.instances.get_mut(n))
                .filter(|i| i.killing.is_none() && matches!(i.phase, Phase::Running | Phase::Staging))
            {
                i.killing = Some(PendingKill {
                    due,
                    asked: id.clone(),
                    intent: intent.map(str::to_owned),
                    scale,
                });
            }
        }
        Ok(rows)
    }

    /// What a kill would answer, without doing it.
    #[must_use]
    pub fn rows_of(&self, ids: &[String]) -> Vec<Value> {
        ids.iter()
            .filter_map(|id| self.find(id))
            .map(|(app, n)| {
                let a = &self.apps[&app];
                self.row(a, &a.instances[n])
            })
            .collect()
    }

    fn status(&mut self, app: &str, n: usize, status: &str, at: DateTime<Utc>) {
        let a = &self.apps[app];
        let i = &a.instances[n];
        let data = json!({
            "slaveId": i.agent, "taskId": self.task_id(a, i), "taskStatus": status, "message": "",
            "appId": app, "host": i.host, "ipAddresses": [],
            "ports": if i.port == 0 { vec![] } else { vec![i.port] },
            "version": stamp(a.version),
        });
        self.emit("status_update_event", data, at);
    }

    fn die(&mut self, app: &str, n: usize, status: &'static str, at: DateTime<Utc>) {
        self.status(app, n, status, at);
        let v17 = self.version == Version::V1_7;
        let fresh = self.waiting();
        let Some(a) = self.apps.get_mut(app) else {
            return;
        };
        let i = &mut a.instances[n];
        i.killing = None;
        if v17 {
            *i = Instance { since: at, ..fresh };
        } else {
            i.phase = Phase::Down(status);
            i.since = at;
            i.staged_at = None;
            i.started_at = None;
            i.own_health = false;
        }
    }

    fn execute_kill(&mut self, app: &str, n: usize, kill: PendingKill) {
        let (mut down, mut down_in_app) = (Vec::new(), Vec::new());
        for a in self.apps.values() {
            for (m, i) in a.instances.iter().enumerate() {
                if i.is_up() || (a.spec.id == app && m == n) {
                    continue;
                }
                down.push(self.task_id(a, i));
                if a.spec.id == app {
                    down_in_app.push(self.task_id(a, i));
                }
            }
        }
        let a = &self.apps[app];
        let killed = self.task_id(a, &a.instances[n]);
        self.kills.push(Kill {
            at: kill.due,
            app: app.to_owned(),
            intent: kill.intent,
            asked: kill.asked,
            killed,
            others_down: down,
            others_down_in_app: down_in_app,
        });
        self.die(app, n, "TASK_KILLED", kill.due);
        if kill.scale
            && let Some(a) = self.apps.get_mut(app)
        {
            a.instances.remove(n);
            a.spec.instances = a.spec.instances.saturating_sub(1);
        }
    }

    /// The next step of an instance: when it is due.
    fn due(&self, a: &App, i: &Instance) -> Option<DateTime<Utc>> {
        let t = &self.timings;
        let step = match i.phase {
            Phase::Waiting | Phase::Down(_) => Some(i.since + span(t.offer_delay) + span(a.launch_delay)),
            Phase::Staging => Some(i.since + span(t.start_delay)),
            Phase::Running if !i.own_health => Some(i.since + span(t.health_delay)),
            Phase::Running => None,
        };
        match (step, i.killing.as_ref().map(|k| k.due)) {
            (Some(s), Some(k)) => Some(s.min(k)),
            (s, k) => s.or(k),
        }
    }

    fn step(&mut self, app: &str, n: usize, at: DateTime<Utc>) {
        let kill = self.apps.get_mut(app).and_then(|a| {
            let k = &mut a.instances[n].killing;
            if k.as_ref().is_some_and(|k| k.due <= at) {
                k.take()
            } else {
                None
            }
        });
        if let Some(kill) = kill {
            self.execute_kill(app, n, kill);
            return;
        }
        let phase = self.apps[app].instances[n].phase;
        let placed = matches!(phase, Phase::Waiting | Phase::Down(_)).then(|| self.place());
        let Some(a) = self.apps.get_mut(app) else {
            return;
        };
        let (checked, healthy) = (a.spec.health_checks, a.healthy);
        let i = &mut a.instances[n];
        let mut status = None;
        if let Some((host, agent, port)) = placed {
            i.incarnation += 1;
            i.phase = Phase::Staging;
            i.since = at;
            i.staged_at = Some(at);
            (i.host, i.agent, i.port) = (host, agent, port);
            status = Some("TASK_STAGING");
        } else if phase == Phase::Staging {
            i.phase = Phase::Running;
            i.since = at;
            i.started_at = Some(at);
            i.own_health = !checked;
            status = Some("TASK_RUNNING");
        } else {
            i.own_health = true;
            i.health = Some(Health {
                alive: healthy,
                consecutive_failures: u32::from(!healthy),
                first_success: healthy.then_some(at),
                last_success: healthy.then_some(at),
                last_failure: (!healthy).then_some(at),
            });
            let data = {
                let a = &self.apps[app];
                let i = &a.instances[n];
                json!({"appId": app, "instanceId": self.instance_text(a, i),
                       "taskId": self.task_id(a, i), "version": stamp(a.version), "alive": healthy})
            };
            self.emit("health_status_changed_event", data, at);
        }
        if let Some(status) = status {
            self.status(app, n, status, at);
        }
    }

    /// Moves time on, doing everything that falls due in the order it falls due.
    pub fn advance(&mut self, now: DateTime<Utc>) {
        loop {
            let next = self
                .apps
                .values()
                .flat_map(|a| {
                    a.instances.iter().enumerate().filter_map(|(n, i)| {
                        let due = self.due(a, i)?;
                        Some((due, a.spec.id.clone(), n))
                    })
                })
                .filter(|(due, ..)| *due <= now)
                .min();
            let Some((due, app, n)) = next else {
                break;
            };
            self.step(&app, n, due);
        }
        self.now = self.now.max(now);
        let now = self.now;
        for a in self.apps.values_mut().filter(|a| a.spec.health_checks) {
            for i in &mut a.instances {
                if i.phase != Phase::Running || !i.own_health {
                    continue;
                }
                if let Some(h) = &mut i.health {
                    h.alive = a.healthy;
                    if a.healthy {
                        h.consecutive_failures = 0;
                        h.first_success.get_or_insert(now);
                        h.last_success = Some(now);
                    } else {
                        h.consecutive_failures = h.consecutive_failures.saturating_add(1);
                        h.last_failure = Some(now);
                    }
                }
            }
        }
    }

    fn instance_text(&self, a: &App, i: &Instance) -> String {
        let path = path_of(&a.spec.id);
        match self.version {
            Version::V1_11 => format!("instance [{path}.instance-{}]", i.uuid),
            Version::V1_7 => format!("instance [{path}.marathon-{}]", i.uuid),
        }
    }

    /// A task as Marathon lists it.
    #[must_use]
    pub fn row(&self, a: &App, i: &Instance) -> Value {
        let (state, down) = match i.phase {
            Phase::Down(s) => (s, true),
            Phase::Staging | Phase::Waiting => ("TASK_STAGING", false),
            Phase::Running => ("TASK_RUNNING", false),
        };
        let mut row = json!({
            "id": self.task_id(a, i),
            "appId": a.spec.id,
            "host": i.host,
            "slaveId": i.agent,
            "state": state,
            "servicePorts": [],
            "ipAddresses": [],
            "localVolumes": [],
            "region": "default-region",
            "zone": "default-zone",
            "role": "*",
        });
        if !down {
            row["ports"] = json!([i.port]);
            row["version"] = json!(stamp(a.version));
            if let Some(t) = i.staged_at {
                row["stagedAt"] = json!(stamp(t));
            }
            if let Some(t) = i.started_at {
                row["startedAt"] = json!(stamp(t));
            }
        }
        if let Some(h) = &i.health {
            let mut r = json!({
                "alive": h.alive,
                "consecutiveFailures": h.consecutive_failures,
                "instanceId": self.instance_text(a, i),
            });
            for (key, t) in [
                ("firstSuccess", h.first_success),
                ("lastSuccess", h.last_success),
                ("lastFailure", h.last_failure),
            ] {
                if let Some(t) = t {
                    r[key] = json!(stamp(t));
                }
            }
            row["healthCheckResults"] = json!([r]);
        }
        row
    }

    /// The tasks of an app as Marathon lists them.
    #[must_use]
    pub fn rows(&self, a: &App) -> Vec<Value> {
        a.instances
            .iter()
            .filter(|i| i.phase != Phase::Waiting)
            .map(|i| self.row(a, i))
            .collect()
    }

    /// An app's definition and counts as Marathon lists them.
    #[must_use]
    pub fn app_json(&self, a: &App, tasks: bool) -> Value {
        let count = |f: &dyn Fn(&Instance) -> bool| a.instances.iter().filter(|i| f(i)).count();
        let checks = if a.spec.health_checks {
            json!([{"protocol": "MESOS_HTTP", "path": "/health", "portIndex": 0,
                    "gracePeriodSeconds": 10, "intervalSeconds": 5, "timeoutSeconds": 5,
                    "maxConsecutiveFailures": 3, "delaySeconds": 1, "ipProtocol": "IPv4"}])
        } else {
            json!([])
        };
        let deployments: Vec<Value> = a.deployment.iter().map(|d| json!({"id": d})).collect();
        let mut app = json!({
            "id": a.spec.id, "cmd": a.spec.cmd, "cpus": 0.1, "mem": 32, "disk": 0, "gpus": 0,
            "instances": a.spec.instances, "labels": a.spec.labels, "env": {}, "executor": "",
            "constraints": a.spec.constraints, "fetch": [], "dependencies": [],
            "backoffSeconds": 1, "backoffFactor": 1.15, "maxLaunchDelaySeconds": 300,
            "healthChecks": checks, "readinessChecks": [], "requirePorts": false,
            "portDefinitions": [{"port": 0, "protocol": "tcp", "name": "default"}],
            "networks": [{"mode": "host"}], "role": "*", "killSelection": "YOUNGEST_FIRST",
            "upgradeStrategy": {"minimumHealthCapacity": 1, "maximumOverCapacity": 1},
            "unreachableStrategy": {"inactiveAfterSeconds": 0, "expungeAfterSeconds": 0},
            "version": stamp(a.version),
            "versionInfo": {"lastScalingAt": stamp(a.version), "lastConfigChangeAt": stamp(a.version)},
            "tasksStaged": count(&|i| i.phase == Phase::Staging),
            "tasksRunning": count(&|i| i.phase == Phase::Running),
            "tasksHealthy": count(&|i| i.phase == Phase::Running
                && i.health.as_ref().is_some_and(|h| h.alive)),
            "tasksUnhealthy": count(&|i| i.phase == Phase::Running
                && i.health.as_ref().is_some_and(|h| !h.alive)),
            "deployments": deployments,
        });
        if tasks {
            app["tasks"] = json!(self.rows(a));
        }
        app
    }

    /// The launch queue.
    #[must_use]
    pub fn queue_json(&self) -> Value {
        let queue: Vec<Value> = self
            .apps
            .values()
            .filter_map(|a| {
                let waiting: Vec<_> = a
                    .instances
                    .iter()
                    .filter(|i| matches!(i.phase, Phase::Waiting | Phase::Down(_)))
                    .collect();
                let first = waiting.first()?;
                let left = (first.since + span(a.launch_delay) - self.now)
                    .num_seconds()
                    .max(0);
                Some(json!({
                    "count": waiting.len(),
                    "delay": {"timeLeftSeconds": left, "overdue": left == 0},
                    "since": stamp(first.since),
                    "app": self.app_json(a, false),
                }))
            })
            .collect();
        json!({"queue": queue})
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
        assert!(h["firstSuccess"].as_str() > r["startedAt"].as_str());
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
