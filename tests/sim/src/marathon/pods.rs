//! Pods: several containers that live and die together, listed and killed by instance.
//!
//! Thinner than apps: a change takes effect at once, and its deployment lasts until as many instances are stable
//! as are wanted. A changed definition does not replace the instances that there are.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use hyper::Method;
use serde_json::{Value, json};

use super::agents::AgentNode;
use super::definition;
use super::deploy::Action;
use super::placement::{self, Agent};
use super::refusal::{Fault, Refusal};
use super::routes::{Answer, Asked};
use super::state::{Phase, State, path_of, span, stamp};

/// A pod.
#[derive(Clone, Debug)]
pub(super) struct Pod {
    definition: Value,
    version: DateTime<Utc>,
    since: DateTime<Utc>,
    instances: Vec<PodInstance>,
}

/// One instance of a pod.
#[derive(Clone, Debug)]
struct PodInstance {
    uuid: String,
    incarnation: u32,
    phase: Phase,
    since: DateTime<Utc>,
    active_since: Option<DateTime<Utc>>,
    on: Option<Agent>,
    agent: String,
    host: String,
    address: String,
    /// By container and endpoint.
    ports: Vec<Vec<u16>>,
    dies: Option<DateTime<Utc>>,
    wiped: bool,
}

/// Names the deployment that a change began.
const DEPLOYMENT: &str = "Marathon-Deployment-Id";

/// All pods by their ids.
pub(super) type Pods = BTreeMap<String, Pod>;

fn containers(d: &Value) -> impl Iterator<Item = &Value> {
    d["containers"].as_array().into_iter().flatten()
}

fn wanted(d: &Value) -> usize {
    usize::try_from(d["scaling"]["instances"].as_u64().unwrap_or(1)).unwrap_or(1)
}

fn endpoints(container: &Value) -> impl Iterator<Item = &Value> {
    container["endpoints"].as_array().into_iter().flatten()
}

impl PodInstance {
    fn status(&self) -> &'static str {
        match self.phase {
            Phase::Waiting => "PENDING",
            Phase::Down(_) => "TERMINAL",
            Phase::Staging | Phase::Starting => "STAGING",
            Phase::Running => "STABLE",
            Phase::Unreachable { .. } => "DEGRADED",
        }
    }

    fn task_state(&self) -> &'static str {
        match self.phase {
            Phase::Waiting | Phase::Staging => "TASK_STAGING",
            Phase::Down(state) => state,
            Phase::Starting => "TASK_STARTING",
            Phase::Running => "TASK_RUNNING",
            Phase::Unreachable { .. } => "TASK_UNREACHABLE",
        }
    }

    fn condition(&self, stable: bool) -> &'static str {
        match self.phase {
            Phase::Waiting if stable => "Scheduled",
            Phase::Waiting => "Created",
            Phase::Staging if stable => "Provisioned",
            Phase::Staging => "Staging",
            Phase::Starting => "Starting",
            Phase::Running => "Running",
            Phase::Down(_) => "Killed",
            Phase::Unreachable { inactive: false } => "Unreachable",
            Phase::Unreachable { inactive: true } => "UnreachableInactive",
        }
    }
}

impl State {
    fn pod_instance_id(id: &str, i: &PodInstance) -> String {
        format!("{}.instance-{}", path_of(id), i.uuid)
    }

    fn container_id(&self, id: &str, i: &PodInstance, container: &Value) -> String {
        let instance = Self::pod_instance_id(id, i);
        let name = container["name"].as_str().unwrap_or_default();
        if self.version.stable_instances() {
            format!("{instance}.{name}.{}", i.incarnation)
        } else {
            format!("{instance}.{name}")
        }
    }

    fn new_pod_instance(at: DateTime<Utc>) -> PodInstance {
        PodInstance {
            uuid: uuid::Uuid::new_v4().to_string(),
            incarnation: 0,
            phase: Phase::Waiting,
            since: at,
            active_since: None,
            on: None,
            agent: String::new(),
            host: String::new(),
            address: String::new(),
            ports: Vec::new(),
            dies: None,
            wiped: false,
        }
    }

    /// What was not said of a pod, filled in.
    fn complete_pod(&self, id: &str, given: &Value) -> Value {
        let mut d = given.clone();
        d["id"] = json!(id);
        let or = |v: &Value, default: Value| if v.is_null() { default } else { v.clone() };
        if let Some(list) = d["containers"].as_array_mut() {
            for c in list {
                for (key, default) in [("cpus", 0.1), ("mem", 32.0), ("disk", 0.0)] {
                    c["resources"][key] = json!(c["resources"][key].as_f64().unwrap_or(default));
                }
                c["resources"]["gpus"] = or(&c["resources"]["gpus"], json!(0));
            }
        }
        d["networks"] = or(&d["networks"], json!([{"mode": "host"}]));
        let count = d["scaling"]["instances"].as_u64().unwrap_or(1);
        d["scaling"] = json!({"kind": "fixed", "instances": count});
        let longest = f64::from(self.version.max_launch_delay_seconds());
        for (part, default) in [
            (
                "backoff",
                json!({"backoff": 1.0, "backoffFactor": 1.15, "maxLaunchDelay": longest}),
            ),
            (
                "upgrade",
                json!({"minimumHealthCapacity": 1.0, "maximumOverCapacity": 1.0}),
            ),
            ("placement", json!({})),
            ("killSelection", json!("YOUNGEST_FIRST")),
            (
                "unreachableStrategy",
                json!({"inactiveAfterSeconds": 0, "expungeAfterSeconds": 0}),
            ),
        ] {
            d["scheduling"][part] = or(&d["scheduling"][part], default);
        }
        d["executorResources"] = or(
            &d["executorResources"],
            json!({"cpus": 0.1, "mem": 32.0, "disk": 10.0}),
        );
        if self.version.has_roles() {
            d["role"] = or(&d["role"], json!("*"));
        }
        d
    }

    /// Takes a pod as `POST /v2/pods` does; with `replace`, as `PUT` does. Gives its id, what is answered, and
    /// the deployment.
    fn put_pod(
        &mut self,
        given: &Value,
        named: Option<&str>,
        replace: bool,
        force: bool,
    ) -> Result<(String, Value, String), Refusal> {
        let fault = |path: &str, words: &str| {
            Err(Refusal::not_valid(&[Fault {
                path: path.to_owned(),
                errors: vec![words.to_owned()],
            }]))
        };
        let id = named.or_else(|| given["id"].as_str());
        let Some(id) = id.map(definition::canonical) else {
            return fault("/id", "must not be empty");
        };
        if given["containers"].as_array().is_none_or(Vec::is_empty) {
            return fault("/containers", "must not be empty");
        }
        if containers(given).any(|c| c["name"].as_str().is_none_or(str::is_empty)) {
            return fault("/containers(0)/name", "must not be empty");
        }
        if !replace && (self.pods.contains_key(&id) || self.app(&id).is_some()) {
            let words = format!("A pod with id [{id}] already exists.");
            return Err(Refusal::message(409, &words));
        }
        let now = self.now;
        let mut shown = Value::Null;
        let deployment = self.deploy_pod(&id, force, |s, version| {
            let mut definition = s.complete_pod(&id, given);
            definition["version"] = json!(stamp(version));
            let old = s.pods.remove(&id);
            let is_new = old.is_none();
            let count = wanted(&definition);
            let mut instances = old.map_or_else(Vec::new, |pod| pod.instances);
            instances.truncate(count);
            while instances.len() < count {
                instances.push(Self::new_pod_instance(now));
            }
            shown = s.numbers(definition.clone());
            let pod = Pod {
                definition,
                version,
                since: now,
                instances,
            };
            for i in pod.instances.iter().filter(|i| i.on.is_none()) {
                s.tell_scheduled(&id, &pod, i, now);
            }
            s.pods.insert(id.clone(), pod);
            let scale = Action::Scale(u32::try_from(count).unwrap_or(u32::MAX));
            if is_new {
                vec![Action::Start, scale]
            } else {
                vec![scale]
            }
        })?;
        let kind = if replace {
            "pod_updated_event"
        } else {
            "pod_created_event"
        };
        self.emit(kind, json!({"clientIp": "127.0.0.1", "uri": "/v2/pods"}), now);
        Ok((id, shown, deployment))
    }

    /// Whether as many instances of a pod are stable as are wanted; a pod that is gone lacks none.
    pub(super) fn pod_is_whole(&self, id: &str) -> bool {
        self.pods.get(id).is_none_or(|pod| {
            let stable = pod.instances.iter().filter(|i| i.phase == Phase::Running);
            stable.count() >= wanted(&pod.definition)
        })
    }

    /// The pods with the versions of their definitions.
    pub(super) fn pod_versions(&self) -> impl Iterator<Item = (&str, DateTime<Utc>)> {
        self.pods.iter().map(|(id, pod)| (id.as_str(), pod.version))
    }

    /// Pods of which instances wait for an offer, as the launch queue lists them.
    pub(super) fn queued_pods(&self, with_offers: bool) -> impl Iterator<Item = Value> {
        self.pods.values().filter_map(move |pod| {
            let waits = |i: &&PodInstance| matches!(i.phase, Phase::Waiting | Phase::Down(_));
            let waiting: Vec<&PodInstance> = pod.instances.iter().filter(waits).collect();
            let since = waiting.iter().map(|i| i.since).min()?;
            let stuck = self.room_for_pod(pod).is_none();
            let launched = pod.instances.iter().filter(|i| i.phase.is_active());
            let last_used = launched.clone().map(|i| i.since).max();
            let mut item = json!({
                "count": waiting.len(),
                "delay": {"timeLeftSeconds": 0, "overdue": true},
                "since": stamp(since),
                "processedOffersSummary": self.offers_json(stuck, launched.count(), last_used),
                "pod": self.numbers(pod.definition.clone()),
            });
            if self.version.has_roles() {
                item["role"] = pod.definition["role"].clone();
            }
            if with_offers {
                item["lastUnusedOffers"] = self.turned_down(stuck);
            }
            Some(item)
        })
    }

    /// The agent on which the next instance of a pod would be launched.
    fn room_for_pod(&self, pod: &Pod) -> Option<Agent> {
        let none = Vec::new();
        let others: Vec<Agent> = pod.instances.iter().filter_map(|o| o.on).collect();
        let constraints = pod.definition["scheduling"]["placement"]["constraints"].as_array();
        let constraints: Vec<Value> = constraints.unwrap_or(&none).iter().map(as_list).collect();
        placement::find(&self.agents, &constraints, self.next_agent, &others)
    }

    fn pod_status(&self, id: &str, pod: &Pod) -> Value {
        let stable = pod.instances.iter().filter(|i| i.phase == Phase::Running).count();
        let status = if pod.instances.is_empty() {
            "TERMINAL"
        } else if stable >= wanted(&pod.definition) {
            "STABLE"
        } else {
            "DEGRADED"
        };
        let listed = pod.instances.iter().filter(|i| i.on.is_some());
        let instances: Vec<Value> = listed.map(|i| self.pod_instance_status(id, pod, i)).collect();
        let changed = pod.instances.iter().map(|i| i.since).chain([pod.since]).max();
        let changed = stamp(changed.unwrap_or(pod.since));
        let mut spec = definition::plain(pod.definition.clone());
        if spec["scheduling"]["placement"] == json!({})
            && let Some(scheduling) = spec["scheduling"].as_object_mut()
        {
            scheduling.remove("placement");
        }
        json!({
            "id": id, "spec": spec, "status": status, "statusSince": changed, "instances": instances,
            "terminationHistory": [], "lastUpdated": stamp(self.now), "lastChanged": changed,
        })
    }

    fn pod_instance_status(&self, id: &str, pod: &Pod, i: &PodInstance) -> Value {
        let since = stamp(i.since);
        let sum = |key: &str| {
            let own = pod.definition["executorResources"][key].as_f64().unwrap_or(0.0);
            let all = containers(&pod.definition).filter_map(|c| c["resources"][key].as_f64());
            own + all.sum::<f64>()
        };
        let list: Vec<Value> = containers(&pod.definition)
            .enumerate()
            .map(|(n, c)| {
                let endpoints: Vec<Value> = endpoints(c)
                    .enumerate()
                    .map(|(m, e)| {
                        let port = i.ports.get(n).and_then(|ports| ports.get(m));
                        json!({"name": e["name"], "allocatedHostPort": port})
                    })
                    .collect();
                json!({
                    "name": c["name"], "status": i.task_state(), "statusSince": since, "conditions": [],
                    "containerId": self.container_id(id, i, c), "endpoints": endpoints,
                    "resources": definition::plain(c["resources"].clone()), "lastUpdated": since,
                    "lastChanged": since,
                })
            })
            .collect();
        let addresses: Vec<&str> = match i.phase {
            Phase::Running | Phase::Starting => vec![&i.address],
            _ => Vec::new(),
        };
        let resources = json!({"cpus": (sum("cpus") * 1e6).round() / 1e6, "mem": sum("mem"),
            "disk": sum("disk"), "gpus": 0});
        let mut shown = json!({
            "id": Self::pod_instance_id(id, i), "status": i.status(), "statusSince": since,
            "conditions": [], "agentHostname": i.host, "agentId": i.agent,
            "resources": definition::plain(resources), "networks": [{"addresses": addresses}],
            "containers": list, "localVolumes": [], "lastUpdated": since, "lastChanged": since,
            "specReference": format!("/v2/pods{id}::versions/{}", stamp(pod.version)),
        });
        if let Some((region, zone)) = self.domain_of(i.on) {
            shown["agentRegion"] = json!(region);
            shown["agentZone"] = json!(zone);
        }
        if self.version.has_roles() {
            shown["role"] = pod.definition["role"].clone();
        }
        shown
    }

    fn domain_of(&self, on: Option<Agent>) -> Option<&(String, String)> {
        let agent: &AgentNode = self.agents.get(on?.0)?;
        agent.spec.domain.as_ref().filter(|_| self.version.minor() >= 6)
    }

    /// An instance as the answer to its kill shows it.
    fn killed_pod(&self, id: &str, pod: &Pod, i: &PodInstance) -> Value {
        let mut state = json!({"condition": i.condition(self.version.stable_instances()),
            "since": stamp(i.since)});
        if let Some(t) = i.active_since {
            state["activeSince"] = json!(stamp(t));
        }
        if self.version.minor() >= 7 {
            state["goal"] = json!("Running");
        }
        let mut agent = json!({"host": i.host, "agentId": i.agent, "attributes": []});
        if let Some((region, zone)) = self.domain_of(i.on) {
            agent["region"] = json!(region);
            agent["zone"] = json!(zone);
        }
        json!({
            "instanceId": Self::pod_instance_id(id, i), "state": state, "agentInfo": agent,
            "runSpecVersion": stamp(pod.version),
            "unreachableStrategy": pod.definition["scheduling"]["unreachableStrategy"],
        })
    }

    /// Kills instances of a pod; the answer shows those that there are.
    fn kill_pods(&mut self, id: &str, ids: &[String], wipe: bool) -> Vec<Value> {
        let dies = self.now + span(self.timings.kill_delay);
        let Some(mut pod) = self.pods.remove(id) else {
            return Vec::new();
        };
        let mut shown = Vec::new();
        let mut lost = Vec::new();
        for n in 0..pod.instances.len() {
            let i = &pod.instances[n];
            if i.on.is_none() || !ids.contains(&Self::pod_instance_id(id, i)) {
                continue;
            }
            shown.push(self.killed_pod(id, &pod, i));
            let i = &mut pod.instances[n];
            i.wiped |= wipe;
            if i.phase.is_unreachable() {
                lost.push(n);
            } else if i.phase.is_active() {
                i.dies.get_or_insert(dies);
            }
        }
        for n in lost {
            pod.instances[n] = self.another(id, &pod, self.now);
        }
        self.pods.insert(id.to_owned(), pod);
        shown
    }

    fn pod_due(&self, i: &PodInstance) -> Option<DateTime<Utc>> {
        let t = &self.timings;
        if i.phase.is_unreachable() || i.phase.is_active() && self.is_silent(i.on) {
            return None;
        }
        let step = match i.phase {
            Phase::Waiting | Phase::Down(_) if self.lost.is_some() || self.stalled => None,
            Phase::Waiting | Phase::Down(_) => Some(i.since + span(t.offer_delay)),
            Phase::Staging => Some(i.since + span(t.start_delay / 2)),
            Phase::Starting => Some(i.since + span(t.start_delay - t.start_delay / 2)),
            Phase::Running | Phase::Unreachable { .. } => None,
        };
        step.into_iter().chain(i.dies).min()
    }

    /// What is due next, and for which instance.
    pub(super) fn next_pod(&self) -> Option<(DateTime<Utc>, (String, String))> {
        let all = self.pods.iter().flat_map(|(id, pod)| {
            let due = pod.instances.iter();
            due.filter_map(|i| Some((self.pod_due(i)?, (id.clone(), i.uuid.clone()))))
        });
        all.min()
    }

    pub(super) fn step_pod(&mut self, id: &str, uuid: &str, at: DateTime<Utc>) {
        let Some(mut pod) = self.pods.remove(id) else {
            return;
        };
        if let Some(n) = pod.instances.iter().position(|i| i.uuid == uuid) {
            self.move_pod(id, &mut pod, n, at);
        }
        self.pods.insert(id.to_owned(), pod);
    }

    fn move_pod(&mut self, id: &str, pod: &mut Pod, n: usize, at: DateTime<Utc>) {
        let stable = self.version.stable_instances();
        let mut i = pod.instances[n].clone();
        if i.dies.take_if(|due| *due <= at).is_some() {
            i.phase = Phase::Down("TASK_KILLED");
            i.since = at;
            i.active_since = None;
            self.tell_pod(id, pod, &i, Some("Container exited on signal Terminated"), at);
            pod.instances[n] = if stable && !i.wiped {
                i
            } else {
                self.another(id, pod, at)
            };
            return;
        }
        match i.phase {
            Phase::Waiting | Phase::Down(_) => {
                let Some(agent) = self.room_for_pod(pod) else {
                    // Nothing fits: it asks again with the next offers.
                    i.since = at;
                    pod.instances[n] = i;
                    return;
                };
                self.next_agent = agent.0 + 1;
                i.incarnation += 1;
                i.phase = Phase::Staging;
                i.on = Some(agent);
                i.agent = self.agent_id(agent);
                if let Some(a) = self.agents.get(agent.0) {
                    i.host = self.agent_host(a);
                    i.address = self.host.clone().unwrap_or_else(|| a.address());
                }
                let count = containers(&pod.definition).map(|c| endpoints(c).count());
                let count: Vec<usize> = count.collect();
                i.ports = count
                    .into_iter()
                    .map(|many| (0..many).map(|_| self.next_port()).collect())
                    .collect();
            }
            Phase::Staging => i.phase = Phase::Starting,
            Phase::Starting => {
                i.phase = Phase::Running;
                i.active_since = Some(at);
            }
            Phase::Running | Phase::Unreachable { .. } => return,
        }
        i.since = at;
        let reported = matches!(i.phase, Phase::Starting | Phase::Running).then_some("");
        self.tell_pod(id, pod, &i, reported, at);
        pod.instances[n] = i;
    }

    /// Tells the listeners of an instance, and of its tasks if their agent says something.
    fn tell_pod(&mut self, id: &str, pod: &Pod, i: &PodInstance, words: Option<&str>, at: DateTime<Utc>) {
        if let Some(words) = words {
            for (n, c) in containers(&pod.definition).enumerate() {
                let data = json!({
                    "slaveId": i.agent, "taskId": self.container_id(id, i, c), "taskStatus": i.task_state(),
                    "message": words, "appId": id, "host": i.host,
                    "ipAddresses": [{"ipAddress": i.address, "protocol": "IPv4"}],
                    "ports": i.ports.get(n), "version": stamp(pod.version),
                });
                self.emit("status_update_event", data, at);
            }
        }
        let data = json!({
            "instanceId": Self::pod_instance_id(id, i),
            "condition": i.condition(self.version.stable_instances()), "runSpecId": id,
            "agentId": i.on.map(|_| &i.agent), "host": i.on.map(|_| &i.host),
            "runSpecVersion": stamp(pod.version),
        });
        self.emit("instance_changed_event", data, at);
    }

    fn tell_scheduled(&mut self, id: &str, pod: &Pod, i: &PodInstance, at: DateTime<Utc>) {
        if self.version.stable_instances() {
            self.tell_pod(id, pod, i, None, at);
        }
    }

    /// An instance in the place of one that is given up.
    fn another(&mut self, id: &str, pod: &Pod, at: DateTime<Utc>) -> PodInstance {
        let i = Self::new_pod_instance(at);
        self.tell_scheduled(id, pod, &i, at);
        i
    }

    fn each_pod_on(
        &mut self,
        agent: Agent,
        mut f: impl FnMut(&mut Self, &str, &Pod, PodInstance) -> PodInstance,
    ) {
        for (id, mut pod) in std::mem::take(&mut self.pods) {
            for n in 0..pod.instances.len() {
                if pod.instances[n].on == Some(agent) {
                    pod.instances[n] = f(self, &id, &pod, pod.instances[n].clone());
                }
            }
            self.pods.insert(id, pod);
        }
    }

    /// The instances on an agent are out of reach.
    pub(super) fn lose_pods(&mut self, agent: Agent, words: &str, at: DateTime<Utc>) {
        self.each_pod_on(agent, |s, id, pod, mut i| {
            if !i.phase.is_active() || i.phase.is_unreachable() {
                return i;
            }
            i.phase = Phase::Unreachable { inactive: false };
            i.since = at;
            s.tell_pod(id, pod, &i, Some(words), at);
            let strategy = &pod.definition["scheduling"]["unreachableStrategy"];
            if strategy["expungeAfterSeconds"] == 0 {
                return s.another(id, pod, at);
            }
            i
        });
    }

    /// Those that were not replaced are back.
    pub(super) fn return_pods(&mut self, agent: Agent, at: DateTime<Utc>) {
        self.each_pod_on(agent, |s, id, pod, mut i| {
            if i.phase.is_unreachable() {
                i.phase = Phase::Running;
                i.since = at;
                s.tell_pod(id, pod, &i, Some("Unreachable agent re-reregistered"), at);
            }
            i
        });
    }

    /// The ids of the containers on an agent.
    pub(super) fn pod_tasks_on(&self, agent: Agent) -> Vec<String> {
        let all = self.pods.iter().flat_map(|(id, pod)| {
            let here = pod.instances.iter().filter(|i| i.on == Some(agent));
            here.flat_map(move |i| containers(&pod.definition).map(move |c| self.container_id(id, i, c)))
        });
        all.collect()
    }

    /// The pods of a group, as it lists them.
    pub(super) fn pods_in(&self, group: &str) -> Vec<Value> {
        let here = self.pods.iter().filter(|(id, _)| definition::parent(id) == group);
        here.map(|(id, pod)| self.pod_status(id, pod)).collect()
    }
}

/// A constraint of a pod as apps write it.
fn as_list(constraint: &Value) -> Value {
    let parts = ["fieldName", "operator", "value"]
        .iter()
        .map(|key| &constraint[*key]);
    parts.filter(|part| !part.is_null()).cloned().collect()
}

impl Asked {
    /// Everything at and below `/v2/pods`.
    pub(super) fn pods(&self, s: &mut State, rest: &str, held: bool) -> Result<Answer, Refusal> {
        let get = self.method == Method::GET || self.method == Method::HEAD;
        let delete = self.method == Method::DELETE;
        let force = self.flag("force", false);
        let ok = |body: &Value| Ok(Answer::json(200, body));
        let not_allowed = || Err(Refusal::message(405, "Method Not Allowed"));
        let rest = rest.trim_start_matches('/');
        if rest.is_empty() {
            return match self.method {
                _ if get => {
                    let all = s.pods.values().map(|pod| s.numbers(pod.definition.clone()));
                    ok(&all.collect())
                }
                Method::POST => {
                    let (id, shown, deployment) = s.put_pod(&self.read(s)?, None, false, force)?;
                    let answer = Answer::json(201, &shown);
                    let location = format!("http://{}{id}", s.leader);
                    Ok(answer.with("Location", location).with(DEPLOYMENT, deployment))
                }
                _ => not_allowed(),
            };
        }
        if rest == "::status" {
            let all: Value = s.pods.iter().map(|(id, pod)| s.pod_status(id, pod)).collect();
            return if get { ok(&all) } else { not_allowed() };
        }
        let (name, part) = rest.split_once("::").unwrap_or((rest, ""));
        let id = definition::canonical(name);
        let Some(pod) = s.pods.get(&id) else {
            if self.method == Method::PUT {
                let (_, shown, deployment) = s.put_pod(&self.read(s)?, Some(&id), true, force)?;
                return Ok(Answer::json(201, &shown).with(DEPLOYMENT, deployment));
            }
            let inner = json!({"message": format!("Pod '{id}' does not exist")});
            return Err(Refusal::message(404, &inner.to_string()));
        };
        match part {
            "" if get => ok(&s.numbers(pod.definition.clone())),
            "" if delete => {
                let now = s.now();
                let deployment = s.deploy_pod(&id, force, |s, _| {
                    s.pods.remove(&id);
                    vec![Action::Stop]
                })?;
                s.emit(
                    "pod_deleted_event",
                    json!({"clientIp": "127.0.0.1", "uri": format!("/v2/pods{id}")}),
                    now,
                );
                Ok(Answer::empty(202).with(DEPLOYMENT, deployment))
            }
            "" if self.method == Method::PUT => {
                let (_, shown, deployment) = s.put_pod(&self.read(s)?, Some(&id), true, force)?;
                Ok(Answer::json(200, &shown).with(DEPLOYMENT, deployment))
            }
            "status" if get => ok(&s.pod_status(&id, pod)),
            "versions" if get => ok(&json!([stamp(pod.version)])),
            "instances" if delete => {
                let said = self.read(s)?;
                let Ok(ids) = serde_json::from_value::<Vec<String>>(said) else {
                    return Err(Refusal::wrong_shape(&[Fault {
                        path: String::new(),
                        errors: vec!["error.expected.jsarray".to_owned()],
                    }]));
                };
                for id in &ids {
                    is_instance(id)?;
                }
                let killed = if held {
                    Vec::new()
                } else {
                    s.kill_pods(&id, &ids, self.flag("wipe", false))
                };
                ok(&json!(killed))
            }
            _ => {
                let Some(instance) = part.strip_prefix("instances/").filter(|_| delete) else {
                    return if part.starts_with("instances") || part == "status" {
                        not_allowed()
                    } else {
                        Err(Refusal::message(404, "HTTP 404 Not Found"))
                    };
                };
                is_instance(instance)?;
                let killed = s.kill_pods(&id, &[instance.to_owned()], self.flag("wipe", false));
                match killed.first() {
                    Some(one) => ok(one),
                    None => {
                        let words = format!("Task '{instance}' does not exist");
                        Err(Refusal::not_found(s.version, &words))
                    }
                }
            }
        }
    }
}

/// Whether this has the shape of an instance id.
fn is_instance(id: &str) -> Result<(), Refusal> {
    let uuid = id
        .rsplit_once(".instance-")
        .or_else(|| id.rsplit_once(".marathon-"));
    if uuid.is_some_and(|(_, uuid)| uuid::Uuid::parse_str(uuid).is_ok()) {
        Ok(())
    } else {
        Err(Refusal::message(422, &format!("Invalid instance id '{id}'")))
    }
}
