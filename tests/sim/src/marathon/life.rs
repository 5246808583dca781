//! The passing of time: tasks are launched, start, are checked and die.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use std::time::Duration;

use super::definition;
use super::habits;
use super::lost::Round;
use super::placement;
use super::state::{
    App, Check, Health, Instance, Kill, Killed, Killer, PendingKill, Phase, State, span, stamp,
};
use super::volumes;

/// What happens next.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    /// The next step in the life of an instance: its app and its id.
    Step(String, String),
    /// A health check of an app.
    Check(String, usize),
    /// Deployments go on.
    Deployments,
    /// The next step in the life of a pod's instance.
    Pod(String, String),
    /// Marathon looks at what has got lost.
    Round(Round),
    /// A node comes or goes, or another leads.
    Election,
}

/// How a condition of an instance is called in events.
fn condition(status: &str) -> &'static str {
    match status {
        "TASK_STARTING" => "Starting",
        "TASK_RUNNING" => "Running",
        "TASK_KILLING" => "Killing",
        "TASK_KILLED" => "Killed",
        "TASK_FAILED" => "Failed",
        "TASK_FINISHED" => "Finished",
        "TASK_ERROR" => "Error",
        "TASK_GONE" => "Gone",
        "TASK_DROPPED" => "Dropped",
        "TASK_UNREACHABLE" => "Unreachable",
        _ => "Unknown",
    }
}

impl State {
    pub(super) fn any(&self, app: &str, uuid: &str) -> Option<(&App, &Instance)> {
        let mine = |a: &&App| a.spec.id == app && a.instances.iter().any(|i| i.uuid == uuid);
        let a = self.apps.values().chain(&self.leaving).find(mine)?;
        Some((a, a.instances.iter().find(|i| i.uuid == uuid)?))
    }

    pub(super) fn instance_mut(&mut self, app: &str, uuid: &str) -> Option<&mut Instance> {
        let a = self.any_mut(app, uuid)?;
        a.instances.iter_mut().find(|i| i.uuid == uuid)
    }

    /// Tells the listeners of an instance.
    pub(super) fn tell_instance(&mut self, app: &str, uuid: &str, condition: &str, at: DateTime<Utc>) {
        let Some((a, i)) = self.any(app, uuid) else {
            return;
        };
        let placed = |text: &str| {
            if i.on.is_some() { json!(text) } else { Value::Null }
        };
        let data = json!({
            "instanceId": self.instance_id(a, i), "condition": condition, "runSpecId": app,
            "agentId": placed(&i.agent), "host": placed(&i.host), "runSpecVersion": stamp(i.version),
        });
        self.emit("instance_changed_event", data, at);
    }

    /// Tells the listeners of a task and of its instance.
    pub(super) fn tell_task(
        &mut self,
        app: &str,
        uuid: &str,
        status: &str,
        message: &str,
        at: DateTime<Utc>,
    ) {
        self.tell_status(app, uuid, status, message, at);
        self.tell_instance(app, uuid, condition(status), at);
    }

    /// Tells the listeners of a task.
    pub(super) fn tell_status(
        &mut self,
        app: &str,
        uuid: &str,
        status: &str,
        message: &str,
        at: DateTime<Utc>,
    ) {
        let Some((a, i)) = self.any(app, uuid) else {
            return;
        };
        let data = json!({
            "slaveId": i.agent, "taskId": self.task_id(a, i), "taskStatus": status,
            "message": message, "appId": app, "host": i.host, "ipAddresses": addresses(i),
            "ports": i.ports, "version": stamp(i.version),
        });
        self.emit("status_update_event", data, at);
    }

    /// With the feature `task_killing`, agents say that they are about it.
    pub(super) fn tell_killing(&mut self, app: &str, uuid: &str) {
        if self.task_killing {
            let now = self.now;
            self.tell_task(app, uuid, "TASK_KILLING", "", now);
        }
    }

    /// Failures make later launches wait, longer each time.
    fn back_off(&mut self, app: &str, at: DateTime<Utc>) {
        let Some(a) = self.apps.get_mut(app) else {
            return;
        };
        let number = |key: &str| a.definition.get(key).and_then(Value::as_f64).unwrap_or(1.0);
        let longest = number("maxLaunchDelaySeconds");
        let next = match a.backoff {
            None => number("backoffSeconds"),
            Some((delay, _)) => delay.as_secs_f64() * number("backoffFactor"),
        };
        a.backoff = Some((Duration::from_secs_f64(next.clamp(0.0, longest)), at));
    }

    pub(super) fn die(
        &mut self,
        app: &str,
        uuid: &str,
        status: &'static str,
        message: &str,
        at: DateTime<Utc>,
    ) {
        self.tell_task(app, uuid, status, message, at);
        let killed = status == "TASK_KILLED";
        if !killed {
            self.back_off(app, at);
            if let Some((a, i)) = self.any(app, uuid).filter(|_| status != "TASK_FINISHED") {
                let failure = self.failure(a, i, status, message, at);
                if let Some(a) = self.apps.get_mut(app) {
                    a.last_failure = Some(failure);
                }
            }
        }
        let replaced = self.holders(app).any(super::deploy::Deployment::replaces_tasks);
        let fresh = self.waiting(at, at);
        let stable = self.version.stable_instances();
        let stays = self.apps.contains_key(app);
        let Some(a) = self.any_mut(app, uuid) else {
            return;
        };
        let Some(n) = a.instances.iter().position(|i| i.uuid == uuid) else {
            return;
        };
        let i = &mut a.instances[n];
        let stops = stable && stays && i.unwanted && !i.wiped && !i.volumes.is_empty();
        let keeps_data = !i.volumes.is_empty() && !i.wiped && replaced;
        if keeps_data && i.version < a.configured_at {
            // Its data stays, and a task of the new configuration follows on it.
            i.reserve(at);
            i.phase = Phase::Down(if stable { status } else { "TASK_STAGING" });
            i.version = a.version;
            i.unwanted = false;
        } else if stops {
            // Scaled away with its data: it stays listed, and the next scaling up takes it first.
            i.reserve(at);
            i.phase = Phase::Down(status);
        } else if i.unwanted || (replaced && i.version < a.configured_at) {
            a.instances.remove(n);
        } else if !stable && !i.volumes.is_empty() {
            i.reserve(at);
            self.tell_instance(app, uuid, "Reserved", at);
        } else if !stable {
            *i = Instance {
                version: a.version,
                ..fresh
            };
        } else {
            i.phase = Phase::Down(status);
            i.since = at;
            i.staged_at = None;
            i.started_at = None;
            i.own_health = false;
            i.killing = None;
        }
    }

    /// The last failure of an app, as it is listed.
    fn failure(&self, a: &App, i: &Instance, status: &str, message: &str, at: DateTime<Utc>) -> Value {
        json!({
            "appId": a.spec.id, "host": i.host, "message": message, "state": status,
            "taskId": self.task_id(a, i), "timestamp": stamp(at), "version": stamp(i.version),
            "slaveId": i.agent,
        })
    }

    fn execute_kill(&mut self, app: &str, uuid: &str, kill: PendingKill) {
        if kill.by == Killer::Request {
            let (mut down, mut down_in_app) = (Vec::new(), Vec::new());
            for a in self.apps.values() {
                for i in a.instances.iter().filter(|i| !i.is_up() && i.uuid != uuid) {
                    down.push(self.task_id(a, i));
                    if a.spec.id == app {
                        down_in_app.push(self.task_id(a, i));
                    }
                }
            }
            if let Some((a, i)) = self.any(app, uuid) {
                let killed = self.task_id(a, i);
                self.kills.push(Kill {
                    at: kill.due,
                    app: app.to_owned(),
                    intent: kill.intent,
                    asked: kill.asked,
                    killed,
                    others_down: down,
                    others_down_in_app: down_in_app,
                });
            }
        }
        let (status, message) = match self.killed_are {
            _ if self.death(app).forced => ("TASK_KILLED", "Command terminated with signal Killed"),
            Killed::Killed => ("TASK_KILLED", "Command terminated with signal Terminated"),
            Killed::Finished => ("TASK_FINISHED", "Command exited with status 0"),
        };
        self.die(app, uuid, status, message, kill.due);
    }

    /// The next step of an instance: when it is due.
    fn due(&self, a: &App, i: &Instance) -> Option<DateTime<Utc>> {
        let t = &self.timings;
        // Nobody hears of what happens where nobody answers.
        if i.phase.is_unreachable() || i.phase.is_active() && self.is_silent(i.on) {
            return None;
        }
        let by_agent = a.checks.iter().any(|c| c.next.is_none());
        let step = match i.phase {
            Phase::Waiting | Phase::Down(_) => {
                // Nobody takes offers without a leader; and the older ones, not while a kill is under way.
                let killing = |i: &Instance| i.killing.as_ref().is_some_and(|k| k.by == Killer::Request);
                if self.lost.is_some()
                    || self.stalled
                    || self.version.plain_kill_needs_lock() && a.instances.iter().any(killing)
                {
                    return None;
                }
                let offer = i.since + span(t.offer_delay) + span(a.launch_delay);
                let allowed = a.backoff.map_or(offer, |(delay, from)| from + span(delay));
                // An old one is not launched any more while a deployment replaces it.
                let stale = i.version < a.configured_at
                    && self
                        .holders(&a.spec.id)
                        .any(super::deploy::Deployment::replaces_tasks);
                let led = self
                    .leads_since
                    .map_or(offer, |since| since + span(t.offer_delay));
                let due = offer.max(allowed).max(led);
                (!i.unwanted && !stale && self.room(a, &i.uuid).is_some()).then_some(due)
            }
            Phase::Staging => Some(i.since + span(t.start_delay / 2)),
            Phase::Starting => Some(i.since + span(t.start_delay - t.start_delay / 2)),
            Phase::Running => {
                let result = (!i.own_health && by_agent).then(|| i.since + span(t.health_delay));
                let end = habits::lifetime(a).map(|life| i.since + life);
                result.into_iter().chain(end).min()
            }
            Phase::Unreachable { .. } => None,
        };
        match (step, i.killing.as_ref().map(|k| k.due)) {
            (Some(s), Some(k)) => Some(s.min(k)),
            (s, k) => s.or(k),
        }
    }

    fn step(&mut self, app: &str, uuid: &str, at: DateTime<Utc>) {
        let Some(i) = self.instance_mut(app, uuid) else {
            return;
        };
        if let Some(kill) = i.killing.take_if(|k| k.due <= at) {
            self.execute_kill(app, uuid, kill);
            return;
        }
        let mut after = None;
        match i.phase {
            Phase::Waiting | Phase::Down(_) => self.launch(app, uuid, at),
            Phase::Staging => {
                i.phase = Phase::Starting;
                i.since = at;
                after = Some("TASK_STARTING");
            }
            Phase::Starting => {
                i.phase = Phase::Running;
                i.since = at;
                i.started_at = Some(at);
                after = Some("TASK_RUNNING");
            }
            Phase::Running => {
                let since = i.since;
                let ended = self.any(app, uuid).and_then(|(a, _)| {
                    let life = habits::lifetime(a)?;
                    (since + life <= at).then(|| habits::ending(a))
                });
                match ended {
                    Some((status, words)) => self.die(app, uuid, status, &words, at),
                    None => self.agent_reports(app, uuid, at, true),
                }
            }
            Phase::Unreachable { .. } => {}
        }
        if let Some(status) = after {
            if let Some(a) = self.apps.get_mut(app) {
                if status == "TASK_RUNNING"
                    && a.checks.is_empty()
                    && let Some(i) = a.instances.iter_mut().find(|i| i.uuid == uuid)
                {
                    i.own_health = true;
                }
                if let Some((_, from)) = &mut a.backoff {
                    *from = at;
                }
            }
            self.tell_task(app, uuid, status, "", at);
        }
    }

    fn launch(&mut self, app: &str, uuid: &str, at: DateTime<Utc>) {
        let Some((a, i)) = self.any(app, uuid) else {
            return;
        };
        let Some(agent) = self.room(a, uuid) else {
            return;
        };
        if self.version.divides_by_group_by() && placement::groups_without_number(&a.definition) {
            // A division by zero ends the matching of offers, for all apps and until a restart.
            self.stalled = true;
            return;
        }
        let (ports, checks) = (definition::ports_of(&a.definition), a.checks.len());
        let current = if i.version < a.configured_at {
            a.version
        } else {
            i.version
        };
        let mut i = i.clone();
        i.incarnation += 1;
        i.version = current;
        i.phase = Phase::Staging;
        i.since = at;
        i.staged_at = Some(at);
        i.health.resize(checks, None);
        let claimed = volumes::claim(a);
        self.put_on(&mut i, agent, ports);
        if i.volumes.is_empty() {
            i.volumes = claimed;
        }
        if let Some(slot) = self.instance_mut(app, uuid) {
            *slot = i;
        }
        if let Some((_, from)) = self.apps.get_mut(app).and_then(|a| a.backoff.as_mut()) {
            *from = at;
        }
        let condition = self.version.launched();
        self.tell_instance(app, uuid, condition, at);
    }

    /// The agent reports on the checks it makes: first results, changes, and every failure.
    fn agent_reports(&mut self, app: &str, uuid: &str, at: DateTime<Utc>, first: bool) {
        let Some((a, i)) = self.any(app, uuid) else {
            return;
        };
        let mut results = Vec::new();
        for (n, check) in a.checks.iter().enumerate().filter(|(_, c)| c.next.is_none()) {
            let passes = passes(a, i, check).is_ok();
            let listed = i.health.get(n).and_then(Option::as_ref);
            // An agent keeps early failures to itself; the apps of a test show them at once.
            let grace = span(Duration::from_secs(check.seconds("gracePeriodSeconds")));
            let early = listed.is_none_or(|h| h.first_success.is_none()) && i.since + grace > at;
            if !passes && early && !a.serves {
                continue;
            }
            let again = listed
                .and_then(|h| h.last_failure)
                .is_none_or(|t| t + check.interval() <= at);
            let news = listed.is_none_or(|h| h.alive() != passes) || (!passes && again);
            if first || news {
                let cause = (!passes).then(String::new);
                results.push((n, cause));
            }
        }
        for (n, cause) in results {
            self.record(app, uuid, n, cause, at);
        }
        if first && let Some(i) = self.instance_mut(app, uuid) {
            i.own_health = true;
        }
    }

    /// Writes a result down: passed, or why not.
    fn record(&mut self, app: &str, uuid: &str, check: usize, cause: Option<String>, at: DateTime<Utc>) {
        let Some(i) = self.instance_mut(app, uuid) else {
            return;
        };
        if i.health.len() <= check {
            i.health.resize(check + 1, None);
        }
        let health = i.health[check].get_or_insert_default();
        let before = health.alive();
        match cause {
            None => {
                health.first_success.get_or_insert(at);
                health.last_success = Some(at);
                health.consecutive_failures = 0;
            }
            Some(cause) => {
                health.last_failure = Some(at);
                health.last_failure_cause = Some(cause).filter(|c| !c.is_empty());
                health.consecutive_failures = health.consecutive_failures.saturating_add(1);
            }
        }
        let alive = health.alive();
        let all = i.health.iter().flatten().all(Health::alive);
        if before == alive {
            return;
        }
        let Some((a, i)) = self.any(app, uuid) else {
            return;
        };
        let id = self.instance_id(a, i);
        let version = stamp(i.version);
        let data = json!({"appId": app, "instanceId": id, "version": version, "alive": alive});
        self.emit("health_status_changed_event", data, at);
        let data = json!({"instanceId": id, "runSpecId": app, "healthy": all, "runSpecVersion": version});
        self.emit("instance_health_changed_event", data, at);
    }

    /// Marathon makes one of its own checks on all tasks of an app.
    fn check(&mut self, app: &str, n: usize, at: DateTime<Utc>) {
        let Some(a) = self.apps.get_mut(app) else {
            return;
        };
        let Some(check) = a.checks.get_mut(n) else {
            return;
        };
        check.next = Some(at + check.interval());
        let check = check.clone();
        // What was known of instances without a task is forgotten now, and not before.
        for i in a.instances.iter_mut().filter(|i| !i.phase.is_active()) {
            if let Some(slot) = i.health.get_mut(n) {
                *slot = None;
            }
        }
        let grace = span(Duration::from_secs(check.seconds("gracePeriodSeconds")));
        let most = check.seconds("maxConsecutiveFailures");
        let running: Vec<(String, Result<(), String>)> = self.apps[app]
            .instances
            .iter()
            .filter(|i| i.phase == Phase::Running)
            .map(|i| {
                let result = if self.is_silent(i.on) {
                    Err(format!(
                        "Timed out after {} seconds",
                        check.seconds("timeoutSeconds")
                    ))
                } else {
                    passes(&self.apps[app], i, &check)
                };
                (i.uuid.clone(), result)
            })
            .collect();
        for (uuid, result) in running {
            let cause = result.err();
            let Some((a, i)) = self.any(app, &uuid) else {
                continue;
            };
            let health = i.health.get(n).cloned().flatten().unwrap_or_default();
            let early = health.first_success.is_none() && i.since + grace > at;
            if let Some(cause) = &cause {
                if early {
                    // The failure is ignored, and the empty record is listed all the same.
                    if let Some(i) = self.instance_mut(app, &uuid) {
                        i.health.resize(i.health.len().max(n + 1), None);
                        i.health[n].get_or_insert_default();
                    }
                    continue;
                }
                let mut data = json!({"appId": app, "healthCheck": definition::plain(check.json.clone())});
                data[self.version.failed_check_key()] = json!(self.instance_id(a, i));
                let too_many = most > 0 && u64::from(health.consecutive_failures) >= most;
                self.emit("failed_health_check_event", data, at);
                if too_many {
                    self.kill_unhealthy(app, &uuid, cause, at);
                }
            }
            self.record(app, &uuid, n, cause, at);
            if let Some(i) = self.instance_mut(app, &uuid) {
                let started = i.started_at;
                i.own_health = i.health.iter().all(|h| {
                    let h = h.as_ref();
                    let last = h.and_then(|h| h.last_success.max(h.last_failure));
                    last > started
                });
            }
        }
    }

    fn kill_unhealthy(&mut self, app: &str, uuid: &str, cause: &str, at: DateTime<Utc>) {
        let Some((a, i)) = self.any(app, uuid) else {
            return;
        };
        if i.killing.is_some() {
            return;
        }
        let data = json!({
            "appId": app, "taskId": self.task_id(a, i), "instanceId": self.instance_id(a, i),
            "version": stamp(i.version), "reason": cause, "host": i.host, "slaveId": i.agent,
        });
        let words = format!("Task was killed since health check failed. Reason: {cause}");
        let failure = self.failure(a, i, "TASK_KILLED", &words, at);
        self.emit("unhealthy_instance_kill_event", data, at);
        let due = at + self.death(app).after;
        if let Some(a) = self.apps.get_mut(app) {
            a.last_failure = Some(failure);
        }
        if let Some(i) = self.instance_mut(app, uuid) {
            i.killing = Some(PendingKill {
                due,
                asked: String::new(),
                intent: None,
                by: Killer::HealthCheck,
            });
        }
    }

    /// Moves time on, doing everything that falls due in the order it falls due.
    pub fn advance(&mut self, now: DateTime<Utc>) {
        self.skip_rounds(now);
        while let Some((due, next)) = self.next_due(now) {
            match next {
                Next::Step(app, uuid) => self.step(&app, &uuid, due),
                Next::Check(app, n) => self.check(&app, n, due),
                Next::Deployments => {}
                Next::Pod(id, uuid) => self.step_pod(&id, &uuid, due),
                Next::Round(round) => self.go_round(round, due),
                Next::Election => self.hold_election(due),
            }
            self.progress(due);
        }
        self.now = self.now.max(now);
        let now = self.now;
        let watched: Vec<(String, String)> = self
            .apps
            .values()
            .filter(|a| a.checks.iter().any(|c| c.next.is_none()))
            .flat_map(|a| {
                let ready = a
                    .instances
                    .iter()
                    .filter(|i| i.phase == Phase::Running && i.own_health && !self.is_silent(i.on));
                ready.map(|i| (a.spec.id.clone(), i.uuid.clone()))
            })
            .collect();
        for (app, uuid) in watched {
            self.agent_reports(&app, &uuid, now, false);
        }
        self.progress(now);
        for a in self.apps.values_mut() {
            let longest = a.definition.get("maxLaunchDelaySeconds").and_then(Value::as_i64);
            let longest = TimeDelta::seconds(longest.unwrap_or(300));
            a.backoff.take_if(|(_, from)| now - *from > longest);
        }
    }

    fn next_due(&self, now: DateTime<Utc>) -> Option<(DateTime<Utc>, Next)> {
        let steps = self.apps.values().chain(&self.leaving).flat_map(|a| {
            a.instances.iter().filter_map(|i| {
                let due = self.due(a, i).filter(|due| *due <= now)?;
                Some((due, Next::Step(a.spec.id.clone(), i.uuid.clone())))
            })
        });
        let checks = self.apps.values().flat_map(|a| {
            a.checks.iter().enumerate().filter_map(|(n, c)| {
                let due = c.next.filter(|due| *due <= now)?;
                Some((due, Next::Check(a.spec.id.clone(), n)))
            })
        });
        let deployments = self
            .deployments
            .iter()
            .filter(|d| !d.has_begun() && d.begins <= now)
            .map(|d| (d.begins, Next::Deployments));
        let election = self.next_election().filter(|due| *due <= now);
        let election = election.map(|due| (due, Next::Election));
        let pod = self.next_pod().filter(|(due, _)| *due <= now);
        let pod = pod.map(|(due, (id, uuid))| (due, Next::Pod(id, uuid)));
        let round = self.next_round().filter(|(due, _)| *due <= now);
        let round = round.map(|(due, round)| (due, Next::Round(round)));
        steps
            .chain(checks)
            .chain(deployments)
            .chain(election)
            .chain(pod)
            .chain(round)
            .min()
    }
}

/// The addresses of a task, known once its agent has reported it.
pub(super) fn addresses(i: &Instance) -> Value {
    if matches!(i.phase, Phase::Waiting | Phase::Staging) || i.phase.is_unreachable() {
        return json!([]);
    }
    json!([{"ipAddress": i.address, "protocol": "IPv4"}])
}

/// Whether a check of a task passes; if not, why not, in Marathon's words.
///
/// Commands are not run, so what would answer is read from the command: a web server of Python
/// knows its first page and no other, an image answers everything, and nothing else listens.
fn passes(a: &App, i: &Instance, check: &Check) -> Result<(), String> {
    let text = |key: &str| check.json[key].as_str().unwrap_or_default();
    let protocol = text("protocol");
    if !a.healthy {
        return Err("503 Service Unavailable".to_owned());
    }
    if protocol == "COMMAND" {
        let command = check.json["command"]["value"].as_str().unwrap_or_default().trim();
        let fails = command == "false" || command.starts_with("exit ") && command != "exit 0";
        return if fails { Err(String::new()) } else { Ok(()) };
    }
    let args = a.definition.get("args").map(Value::to_string).unwrap_or_default();
    let cmd = a
        .definition
        .get("cmd")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let python = [cmd, &args]
        .iter()
        .any(|c| c.contains("http.server") || c.contains("SimpleHTTPServer"));
    let image = a
        .definition
        .get("container")
        .is_some_and(|c| c["docker"].is_object());
    if !python && !image && !a.serves {
        let index = check.json["portIndex"]
            .as_u64()
            .and_then(|n| usize::try_from(n).ok());
        let port = check.json["port"]
            .as_u64()
            .or_else(|| i.ports.get(index.unwrap_or(0)).map(|p| u64::from(*p)))
            .unwrap_or(0);
        return Err(format!(
            "Tcp command [Connect({}/<unresolved>:{port},None,List(),Some(10 seconds),true)] failed because of \
             java.net.ConnectException: Connection refused",
            i.host
        ));
    }
    let path = text("path").split('?').next().unwrap_or_default();
    let known = image || path.is_empty() || path == "/" || (a.serves && path == "/health");
    if protocol.ends_with("TCP") || known {
        Ok(())
    } else {
        Err("404 Not Found".to_owned())
    }
}
