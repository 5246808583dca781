//! Changes of apps and the deployments that carry them out.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::definition::{self, Definition};
use super::refusal::{Fault, Refusal};
use super::state::{App, AppSpec, Check, Health, Instance, Killer, PendingKill, Phase, State, stamp};
use super::version::Plans;

/// What a step of a deployment does with an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Start,
    Stop,
    Scale(u32),
    Restart,
}

impl Action {
    fn name(&self, pod: bool) -> &'static str {
        match self {
            Self::Start if pod => "StartPod",
            Self::Start => "StartApplication",
            Self::Stop if pod => "StopPod",
            Self::Stop => "StopApplication",
            Self::Scale(_) if pod => "ScalePod",
            Self::Scale(_) => "ScaleApplication",
            Self::Restart if pod => "RestartPod",
            Self::Restart => "RestartApplication",
        }
    }
}

/// A deployment under way.
#[derive(Clone, Debug)]
pub(super) struct Deployment {
    pub(super) id: String,
    version: DateTime<Utc>,
    steps: Vec<Vec<(Action, String)>>,
    /// It is about a pod.
    pod: bool,
    /// Counts from 1; 0 as long as it has not begun.
    step: usize,
    pub(super) begins: DateTime<Utc>,
    /// What the apps were before; nothing for a new one.
    before: BTreeMap<String, Option<Definition>>,
    /// Instances to kill, by app.
    victims: BTreeMap<String, Vec<String>>,
    /// Set by a test: it goes on until the test ends it.
    held: bool,
    grown: bool,
    /// All groups before and after, for versions whose events carry them.
    worlds: Option<(Value, Value)>,
}

impl Deployment {
    pub(super) fn has_begun(&self) -> bool {
        self.step > 0 || self.held
    }

    /// It replaces tasks of an older configuration.
    pub(super) fn replaces_tasks(&self) -> bool {
        self.steps
            .iter()
            .flatten()
            .any(|(action, _)| *action == Action::Restart)
    }

    fn apps(&self) -> Vec<&str> {
        let mut apps: Vec<&str> = self.steps.iter().flatten().map(|(_, app)| app.as_str()).collect();
        apps.sort_unstable();
        apps.dedup();
        apps
    }

    fn actions(&self, step: &[(Action, String)], with_checks: bool) -> Value {
        let of = if self.pod { "pod" } else { "app" };
        step.iter()
            .map(|(action, id)| {
                let mut action = json!({"action": action.name(self.pod), of: id});
                if with_checks {
                    action["readinessCheckResults"] = json!([]);
                }
                action
            })
            .collect()
    }

    fn plan(&self) -> Value {
        let steps: Vec<Value> = self
            .steps
            .iter()
            .map(|s| json!({"actions": self.actions(s, false)}))
            .collect();
        json!({"id": self.id, "version": stamp(self.version), "steps": steps})
    }

    /// The plan as events carry it.
    fn told(&self) -> Value {
        let mut plan = self.plan();
        if let Some((original, target)) = &self.worlds {
            plan["original"] = original.clone();
            plan["target"] = target.clone();
        }
        plan
    }

    fn current(&self) -> Value {
        let step = self.step.checked_sub(1).and_then(|n| self.steps.get(n));
        json!({"actions": self.actions(step.map_or(&[], Vec::as_slice), false)})
    }

    /// As `/v2/deployments` lists it.
    pub(super) fn json(&self) -> Value {
        let step = self.step.checked_sub(1).and_then(|n| self.steps.get(n));
        let mut json = self.plan();
        let none = Vec::new();
        let (apps, pods) = if self.pod {
            (none, self.apps())
        } else {
            (self.apps(), none)
        };
        json["affectedApps"] = json!(apps);
        json["affectedPods"] = json!(pods);
        json["currentActions"] = self.actions(step.map_or(&[], Vec::as_slice), true);
        json["currentStep"] = json!(self.step);
        json["totalSteps"] = json!(self.steps.len());
        json
    }
}

/// A deployment that has been accepted.
#[derive(Clone, Debug)]
pub(super) struct Accepted {
    pub(super) version: DateTime<Utc>,
    pub(super) id: String,
    /// The app did not exist before.
    pub(super) created: bool,
}

impl Accepted {
    pub(super) fn json(&self) -> Value {
        json!({"version": stamp(self.version), "deploymentId": self.id})
    }
}

/// What a request wants changed.
#[derive(Default)]
struct Change {
    /// The new definitions; nothing where an app goes.
    apps: BTreeMap<String, Option<Definition>>,
    /// Tasks are to be replaced even if nothing else changes.
    restart: bool,
    victims: BTreeMap<String, Vec<String>>,
    /// The group the request was about.
    group: String,
    force: bool,
}

/// How a PUT or a PATCH is meant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    pub(super) force: bool,
    /// What is not said stays as it is.
    pub(super) partial: bool,
    /// An app that does not exist is made.
    pub(super) create: bool,
}

impl State {
    /// The ids of the deployments that hold an app.
    #[must_use]
    pub fn holding(&self, app: &str) -> Vec<Value> {
        self.holders(app).map(|d| json!(d.id)).collect()
    }

    /// The deployments that hold an app.
    pub(super) fn holders(&self, app: &str) -> impl Iterator<Item = &Deployment> {
        self.deployments.iter().filter(move |d| d.apps().contains(&app))
    }

    /// Puts an app under a deployment that goes on, or ends it.
    pub fn set_deployment(&mut self, app: &str, deployment: Option<&str>) {
        let at = self.now;
        let Some(a) = self.apps.get(app) else {
            return;
        };
        let instances = a.spec.instances;
        let (held, others) = std::mem::take(&mut self.deployments)
            .into_iter()
            .partition(|d| d.held && d.apps().contains(&app));
        self.deployments = others;
        if let Some(id) = deployment {
            let d = Deployment {
                id: id.to_owned(),
                version: at,
                steps: vec![vec![(Action::Scale(instances), app.to_owned())]],
                pod: false,
                step: 1,
                begins: at,
                before: BTreeMap::new(),
                victims: BTreeMap::new(),
                held: true,
                grown: false,
                worlds: None,
            };
            let data = json!({"plan": d.told(), "currentStep": d.current()});
            self.deployments.push(d);
            self.emit("deployment_info", data, at);
        } else {
            for d in held {
                let data = json!({"id": d.id, "plan": d.told()});
                self.emit("deployment_success", data, at);
            }
        }
    }

    /// An app without instances.
    pub(super) fn new_app(&self, definition: Definition, version: DateTime<Utc>) -> App {
        let labels = definition.get("labels").and_then(Value::as_object);
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let constraints = definition.get("constraints").and_then(Value::as_array);
        let spec = AppSpec {
            id: definition::id_of(&definition),
            instances: definition::instances_of(&definition),
            labels: labels
                .into_iter()
                .flatten()
                .map(|(k, v)| (k.clone(), text(v)))
                .collect(),
            health_checks: definition.contains_key("healthChecks"),
            cmd: definition.get("cmd").map(text).unwrap_or_default(),
            constraints: constraints
                .into_iter()
                .flatten()
                .map(|c| c.as_array().into_iter().flatten().map(text).collect())
                .collect(),
            more: Definition::new(),
        };
        let checks = definition.get("healthChecks").and_then(Value::as_array);
        let checks = checks
            .into_iter()
            .flatten()
            .map(|json| {
                let mut check = Check {
                    json: json.clone(),
                    next: None,
                };
                if ["HTTP", "HTTPS", "TCP"].contains(&json["protocol"].as_str().unwrap_or_default()) {
                    check.next = Some(self.now + check.interval().min(TimeDelta::seconds(5)));
                }
                check
            })
            .collect();
        App {
            spec,
            version,
            scaled_at: version,
            configured_at: version,
            launch_delay: std::time::Duration::ZERO,
            healthy: true,
            instances: Vec::new(),
            history: vec![(version, definition.clone())],
            definition,
            checks,
            backoff: None,
            last_failure: None,
            serves: self.host.is_some(),
        }
    }

    /// Gives service ports to those that have none.
    pub(super) fn assign_ports(&self, d: &mut Definition) {
        fn ports(d: &mut Definition) -> Vec<&mut Value> {
            let mapped = d.get("container").is_some_and(|c| c["portMappings"].is_array());
            let (list, key) = if mapped {
                (
                    d.get_mut("container").map(|c| &mut c["portMappings"]),
                    "servicePort",
                )
            } else {
                (d.get_mut("portDefinitions"), "port")
            };
            let list = list.and_then(Value::as_array_mut);
            list.into_iter().flatten().map(|p| &mut p[key]).collect()
        }
        let mut used: Vec<u64> = self
            .apps
            .values()
            .flat_map(|a| {
                let mut d = a.definition.clone();
                ports(&mut d)
                    .iter()
                    .filter_map(|p| p.as_u64())
                    .collect::<Vec<_>>()
            })
            .collect();
        for port in ports(d) {
            if *port == 0
                && let Some(free) = (10_000..20_000).find(|p| !used.contains(p))
            {
                used.push(free);
                *port = json!(free);
            }
        }
    }

    /// Lets a change in, and gives it its version: one whose apps or pods are under deployment ends that by
    /// force, or is refused; so is one too many.
    fn admit(
        &mut self,
        group: &str,
        force: bool,
        touches: impl Fn(&str) -> bool,
    ) -> Result<DateTime<Utc>, Refusal> {
        let conflicts: Vec<String> = self
            .deployments
            .iter()
            .filter(|d| d.apps().into_iter().any(&touches))
            .map(|d| d.id.clone())
            .collect();
        let version = self.fresh_version();
        if !force && !conflicts.is_empty() {
            let refusal = Refusal::locked(&conflicts);
            return Err(self.refuse(group, refusal));
        }
        if let Some(most) = self.version.max_running_deployments()
            && self.deployments.len() >= most
            && conflicts.is_empty()
        {
            let words = format!(
                "Max number ({most}) of running deployments is achieved. Wait for existing \
                 deployments to complete or cancel one using force=true parameter. You can increase max \
                 deployment number by using --max_running_deployments parameter but be advised that this \
                 can have negative effects on the performance."
            );
            return Err(self.refuse(group, Refusal::message(403, &words)));
        }
        for id in conflicts {
            self.cancel(&id);
        }
        Ok(version)
    }

    /// A deployment of a pod, whose definition is changed by `change` once it is let in.
    pub(super) fn deploy_pod(
        &mut self,
        id: &str,
        force: bool,
        change: impl FnOnce(&mut Self, DateTime<Utc>) -> Vec<Action>,
    ) -> Result<String, Refusal> {
        let group = definition::parent(id);
        let version = self.admit(&group, force, |other| other == id)?;
        let heavy = self.version.plans() != Plans::Light;
        let original = heavy.then(|| self.group_json("/"));
        let steps = change(self, version).into_iter();
        let deployment = Deployment {
            id: Uuid::new_v4().to_string(),
            version,
            steps: steps.map(|action| vec![(action, id.to_owned())]).collect(),
            pod: true,
            step: 0,
            begins: self.now + TimeDelta::milliseconds(10),
            before: BTreeMap::new(),
            victims: BTreeMap::new(),
            held: false,
            grown: false,
            worlds: original.map(|original| (original, self.group_json("/"))),
        };
        let deployed = deployment.id.clone();
        self.deployments.push(deployment);
        let data = json!({"groupId": group, "version": stamp(version)});
        self.emit("group_change_success", data, self.now);
        Ok(deployed)
    }

    /// Accepts a change, or refuses it and tells the listeners.
    fn change(&mut self, mut change: Change) -> Result<Accepted, Refusal> {
        let version = self.admit(&change.group, change.force, |id| change.apps.contains_key(id))?;
        let heavy = self.version.plans() != Plans::Light;
        let original = heavy.then(|| self.group_json("/"));
        let (mut stops, mut starts, mut rest) = (Vec::new(), Vec::new(), Vec::new());
        let mut before = BTreeMap::new();
        let mut created = false;
        for (id, new) in std::mem::take(&mut change.apps) {
            let old = self.apps.remove(&id);
            before.insert(id.clone(), old.as_ref().map(|a| a.definition.clone()));
            match (old, new) {
                (None, None) => {}
                (Some(old), None) => {
                    self.leaving.push(old);
                    stops.push((Action::Stop, id));
                }
                (None, Some(mut new)) => {
                    created = true;
                    self.assign_ports(&mut new);
                    let app = self.new_app(new, version);
                    starts.push((Action::Start, id.clone()));
                    rest.push((Action::Scale(app.spec.instances), id.clone()));
                    self.listen(&app, version);
                    self.apps.insert(id, app);
                }
                (Some(old), Some(mut new)) => {
                    self.assign_ports(&mut new);
                    let count = definition::instances_of(&new);
                    let replace = change.restart || definition::needs_new_tasks(&old.definition, &new);
                    let scaled = count != old.spec.instances || change.victims.contains_key(&id);
                    let mut app = self.new_app(new, version);
                    app.launch_delay = old.launch_delay;
                    app.healthy = old.healthy;
                    app.serves = old.serves;
                    app.last_failure = old.last_failure;
                    app.history.splice(0..0, old.history);
                    app.instances = old.instances;
                    if replace {
                        let to_nothing = Action::Scale(0);
                        let action = if count == 0 { to_nothing } else { Action::Restart };
                        rest.push((action, id.clone()));
                        self.listen(&app, version);
                    } else {
                        app.configured_at = old.configured_at;
                        app.checks = old.checks;
                        app.backoff = old.backoff;
                        if scaled {
                            rest.push((Action::Scale(count), id.clone()));
                        } else {
                            app.version = old.version;
                            app.scaled_at = old.scaled_at;
                            app.history.pop();
                        }
                    }
                    self.apps.insert(id, app);
                }
            }
        }
        let steps: Vec<_> = [stops, starts, rest]
            .into_iter()
            .filter(|s| !s.is_empty())
            .collect();
        let deployment = Deployment {
            id: Uuid::new_v4().to_string(),
            version,
            steps,
            pod: false,
            step: 0,
            begins: self.now + TimeDelta::milliseconds(10),
            before,
            victims: change.victims,
            held: false,
            grown: false,
            worlds: original.map(|original| (original, self.group_json("/"))),
        };
        let id = deployment.id.clone();
        self.deployments.push(deployment);
        let data = json!({"groupId": change.group, "version": stamp(version)});
        self.emit("group_change_success", data, self.now);
        Ok(Accepted { version, id, created })
    }

    /// Tells the listeners of a change refused.
    fn refuse(&mut self, group: &str, refusal: Refusal) -> Refusal {
        let version = self.fresh_version();
        let data = json!({"groupId": group, "version": stamp(version), "reason": refusal.words()});
        self.emit("group_change_failed", data, self.now);
        refusal
    }

    /// Tells the listeners of the health checks of a new configuration.
    fn listen(&mut self, app: &App, version: DateTime<Utc>) {
        for check in &app.checks {
            let check = definition::plain(check.json.clone());
            let data = json!({"appId": app.spec.id, "version": stamp(version), "healthCheck": check});
            self.emit("add_health_check_event", data, self.now);
        }
    }

    fn posted(&mut self, uri: &str, definition: &Definition, version: DateTime<Utc>) {
        let mut shown = definition::plain(json!(definition));
        shown["version"] = json!(stamp(version));
        let data = json!({"clientIp": "127.0.0.1", "uri": uri, "appDefinition": shown});
        self.emit("api_post_event", data, self.now);
    }

    /// Takes an app as `POST /v2/apps` does.
    ///
    /// # Errors
    /// What Marathon says against it, as it says it.
    pub fn deploy(&mut self, definition: &Value) -> Result<(), String> {
        let refused = |refusal: Refusal| refusal.body.to_string();
        self.post_app(definition, false).map(|_| ()).map_err(refused)
    }

    /// `POST /v2/apps`: what was accepted, and the app as it is answered.
    pub(super) fn post_app(&mut self, given: &Value, force: bool) -> Result<(Accepted, Value), Refusal> {
        definition::shape(given, false)?;
        let id = definition::canonical(given["id"].as_str().unwrap_or_default());
        let empty = Definition::new();
        let new = definition::complete(&id, given.as_object().unwrap_or(&empty), self.version);
        definition::rules(&new, self.version)?;
        let group = definition::parent(&id);
        if self.apps.contains_key(&id) {
            let words = format!("An app with id [{id}] already exists.");
            return Err(self.refuse(&group, Refusal::message(409, &words)));
        }
        let accepted = self.change(Change {
            apps: [(id, Some(new.clone()))].into(),
            group,
            force,
            ..Change::default()
        })?;
        self.posted("/v2/apps", &new, accepted.version);
        let mut body = json!(new);
        body["version"] = json!(stamp(accepted.version));
        for key in ["tasksStaged", "tasksRunning", "tasksHealthy", "tasksUnhealthy"] {
            body[key] = json!(0);
        }
        body["deployments"] = json!([{"id": accepted.id}]);
        if self.version.new_app_lists_tasks() {
            body["tasks"] = json!([]);
        }
        Ok((accepted, self.numbers(body)))
    }

    /// The definition that a PUT or a PATCH of one app asks for.
    fn wanted(&self, id: &str, given: &Value, how: Manner) -> Result<Definition, Refusal> {
        let old = self.apps.get(id).map(|a| &a.definition);
        let missing = Refusal::message(404, &format!("App '{id}' does not exist"));
        let empty = Definition::new();
        let fields = given.as_object().unwrap_or(&empty);
        if let Some(version) = fields.get("version").and_then(Value::as_str) {
            if fields
                .iter()
                .any(|(k, v)| k != "id" && k != "version" && !v.is_null())
            {
                return Err(Refusal::not_valid(&[Fault {
                    path: "/".to_owned(),
                    errors: vec!["The 'version' field may only be combined with the 'id' field.".to_owned()],
                }]));
            }
            if old.is_some() {
                return self.version_of(id, version).cloned().ok_or(missing);
            }
        }
        let new = match old {
            Some(old) if how.partial => {
                definition::shape(given, true)?;
                definition::changed(old, fields, self.version)
            }
            None if !how.create => return Err(missing),
            _ => {
                if !given.is_object() {
                    return Err(Refusal::wrong_shape(&[Fault {
                        path: String::new(),
                        errors: vec!["error.expected.jsobject".to_owned()],
                    }]));
                }
                let mut whole = fields.clone();
                whole.insert("id".to_owned(), json!(id));
                definition::shape(&json!(whole), false)?;
                definition::complete(id, &whole, self.version)
            }
        };
        definition::rules(&new, self.version)?;
        Ok(new)
    }

    /// `PUT` or `PATCH` of one app.
    pub(super) fn put_app(&mut self, id: &str, given: &Value, how: Manner) -> Result<Accepted, Refusal> {
        let group = definition::parent(id);
        let new = match self.wanted(id, given, how) {
            Ok(new) => new,
            Err(refusal) if refusal.status == 404 => return Err(self.refuse(&group, refusal)),
            Err(refusal) => return Err(refusal),
        };
        let accepted = self.change(Change {
            apps: [(id.to_owned(), Some(new.clone()))].into(),
            group,
            force: how.force,
            ..Change::default()
        })?;
        self.posted(&format!("/v2/apps/{id}"), &new, accepted.version);
        Ok(accepted)
    }

    /// `PUT` or `PATCH` of several apps in one deployment.
    pub(super) fn put_apps(&mut self, given: &Value, how: Manner) -> Result<Accepted, Refusal> {
        let Some(list) = given.as_array() else {
            return Err(Refusal::wrong_shape(&[Fault {
                path: String::new(),
                errors: vec!["error.expected.jsarray".to_owned()],
            }]));
        };
        let mut apps = BTreeMap::new();
        for one in list {
            let Some(id) = one["id"].as_str() else {
                let words = "requirement failed: App Update must have app id set";
                return Err(Refusal::message(422, words));
            };
            let id = definition::canonical(id);
            let new = self.wanted(&id, one, how)?;
            apps.insert(id, Some(new));
        }
        self.change(Change {
            apps,
            group: "/".to_owned(),
            force: how.force,
            ..Change::default()
        })
    }

    /// `DELETE` of an app.
    pub(super) fn delete_app(&mut self, id: &str, force: bool) -> Result<Accepted, Refusal> {
        let group = definition::parent(id);
        if !self.apps.contains_key(id) {
            let refusal = Refusal::message(404, &format!("App '{id}' does not exist"));
            return Err(self.refuse(&group, refusal));
        }
        self.change(Change {
            apps: [(id.to_owned(), None)].into(),
            group,
            force,
            ..Change::default()
        })
    }

    /// `POST /v2/apps/{id}/restart`.
    pub(super) fn restart_app(&mut self, id: &str, force: bool) -> Result<Accepted, Refusal> {
        let group = definition::parent(id);
        let Some(a) = self.apps.get(id) else {
            let refusal = Refusal::message(404, &format!("App '{id}' does not exist"));
            return Err(self.refuse(&group, refusal));
        };
        let same = a.definition.clone();
        self.change(Change {
            apps: [(id.to_owned(), Some(same))].into(),
            restart: true,
            group,
            force,
            ..Change::default()
        })
    }

    /// A kill that also lowers the number of instances: instances by app, each with the id asked for.
    pub(super) fn scale_kill(
        &mut self,
        found: &BTreeMap<String, Vec<(String, String)>>,
        force: bool,
    ) -> Result<Accepted, Refusal> {
        let mut change = Change {
            group: "/".to_owned(),
            force,
            ..Change::default()
        };
        for (id, wanted) in found {
            let Some(a) = self.apps.get(id) else {
                continue;
            };
            // Without the feature `task_killing`, a task being killed is still running, and counts.
            let shown_dying = |i: &Instance| self.task_killing && i.is_being_killed();
            let active = |i: &&Instance| {
                i.phase.is_active() && !shown_dying(i) && wanted.iter().any(|(uuid, _)| *uuid == i.uuid)
            };
            let victims: Vec<String> = a
                .instances
                .iter()
                .filter(active)
                .map(|i| i.uuid.clone())
                .collect();
            if victims.is_empty() {
                continue;
            }
            let fewer = u32::try_from(victims.len()).unwrap_or(u32::MAX);
            let mut new = a.definition.clone();
            new.insert(
                "instances".to_owned(),
                json!(a.spec.instances.saturating_sub(fewer)),
            );
            change.apps.insert(id.clone(), Some(new));
            change.victims.insert(id.clone(), victims);
        }
        self.change(change)
    }

    /// `DELETE /v2/deployments/{id}`: with force it only stops, without the apps go back.
    pub(super) fn end_deployment(&mut self, id: &str, force: bool) -> Result<Option<Accepted>, Refusal> {
        let Some(d) = self.deployments.iter().find(|d| d.id == id) else {
            let words = format!("DeploymentPlan {id} does not exist");
            return Err(Refusal::not_found(self.version, &words));
        };
        if force {
            self.cancel(id);
            return Ok(None);
        }
        let apps = d.before.clone();
        self.change(Change {
            apps,
            group: "/".to_owned(),
            force: true,
            ..Change::default()
        })
        .map(Some)
    }

    fn cancel(&mut self, id: &str) {
        let Some(n) = self.deployments.iter().position(|d| d.id == id) else {
            return;
        };
        let d = self.deployments.remove(n);
        let mut data = json!({"id": d.id, "plan": d.told()});
        if self.version.tells_why_deployments_fail() {
            data["reason"] = json!("The upgrade has been cancelled");
        }
        self.emit("deployment_failed", data, self.now);
    }

    /// The version of a definition that was in force at a time, as `GET …/versions` names them.
    pub(super) fn version_of(&self, id: &str, version: &str) -> Option<&Definition> {
        let a = self.apps.get(id)?;
        let same = |(at, _): &&(DateTime<Utc>, Definition)| stamp(*at) == version;
        a.history.iter().find(same).map(|(_, d)| d)
    }

    /// `DELETE /v2/queue/{id}/delay`.
    pub(super) fn reset_delay(&mut self, id: &str) -> Result<(), Refusal> {
        let must_delay = self.version.delay_reset_needs_a_delay();
        let words = format!("Application {id} not found in tasks queue.");
        let missing = Refusal::not_found(self.version, &words);
        let a = self.apps.get_mut(id).ok_or_else(|| missing.clone())?;
        let queued = a
            .instances
            .iter()
            .any(|i| matches!(i.phase, Phase::Waiting | Phase::Down(_)) && !i.unwanted);
        if !queued || (must_delay && a.backoff.is_none()) {
            return Err(missing);
        }
        a.backoff = None;
        Ok(())
    }

    /// Moves all deployments on as far as they go.
    pub(super) fn progress(&mut self, at: DateTime<Utc>) {
        if self.lost.is_some() {
            return;
        }
        let ids: Vec<String> = self.deployments.iter().map(|d| d.id.clone()).collect();
        for id in ids {
            self.push_on(&id, at);
        }
        self.leaving.retain(|a| !a.instances.is_empty());
    }

    fn push_on(&mut self, id: &str, at: DateTime<Utc>) {
        loop {
            let Some(n) = self.deployments.iter().position(|d| d.id == id) else {
                return;
            };
            let d = &mut self.deployments[n];
            if d.held || d.begins > at {
                return;
            }
            if d.step == 0 && !d.steps.is_empty() {
                d.step = 1;
                let data = json!({"plan": d.told(), "currentStep": d.current()});
                self.emit("deployment_info", data, at);
                continue;
            }
            let Some(step) = d.step.checked_sub(1).and_then(|n| d.steps.get(n)).cloned() else {
                let data = json!({"id": d.id, "plan": d.told()});
                self.deployments.remove(n);
                self.emit("deployment_success", data, at);
                return;
            };
            let mut done = true;
            for (action, app) in &step {
                done &= self.work(n, action, app, at);
            }
            if !done {
                return;
            }
            let d = &mut self.deployments[n];
            let data = json!({"plan": d.told(), "currentStep": d.current()});
            d.step += 1;
            d.grown = false;
            let next = json!({"plan": d.told(), "currentStep": d.current()});
            let more = d.step <= d.steps.len();
            self.emit("deployment_step_success", data, at);
            if more {
                self.emit("deployment_info", next, at);
            }
        }
    }

    /// Does what can be done now for one action; says whether it is finished.
    fn work(&mut self, deployment: usize, action: &Action, app: &str, at: DateTime<Utc>) -> bool {
        if self.deployments[deployment].pod {
            return matches!(action, Action::Start) || self.pod_is_whole(app);
        }
        match action {
            Action::Start => true,
            Action::Stop => {
                let there: Vec<String> = self
                    .leaving
                    .iter()
                    .filter(|a| a.spec.id == app)
                    .flat_map(|a| a.instances.iter().map(|i| i.uuid.clone()))
                    .collect();
                for uuid in &there {
                    self.give_up(app, uuid, at);
                }
                let gone = self
                    .leaving
                    .iter()
                    .all(|a| a.spec.id != app || a.instances.is_empty());
                if gone {
                    self.emit("app_terminated_event", json!({"appId": app}), at);
                }
                gone
            }
            Action::Scale(count) => self.work_on_scale(deployment, app, *count, at),
            Action::Restart => self.work_on_restart(app, at),
        }
    }

    fn work_on_scale(&mut self, deployment: usize, app: &str, count: u32, at: DateTime<Utc>) -> bool {
        let victims = self.deployments[deployment]
            .victims
            .remove(app)
            .unwrap_or_default();
        for uuid in victims {
            self.give_up(app, &uuid, at);
        }
        let Some(a) = self.apps.get(app) else {
            return true;
        };
        let wanted = a.instances.iter().filter(|i| i.counts()).count();
        let version = a.version;
        let count = count as usize;
        if wanted > count {
            self.give_up_some(app, wanted - count, at);
        } else if wanted < count {
            self.deployments[deployment].grown = true;
            for _ in wanted..count {
                self.schedule(app, version, at);
            }
        }
        let grown = self.deployments[deployment].grown;
        let Some(a) = self.apps.get(app) else {
            return true;
        };
        let ready = a
            .instances
            .iter()
            .filter(|i| !i.unwanted && is_ready(a, i))
            .count();
        a.instances.iter().all(|i| !i.unwanted || i.is_stopped()) && (!grown || ready >= count)
    }

    /// Gives so many instances of an app up, those first that are least of use.
    pub(super) fn give_up_some(&mut self, app: &str, surplus: usize, at: DateTime<Utc>) {
        let Some(a) = self.apps.get(app) else {
            return;
        };
        let mut wanted: Vec<Instance> = a.instances.iter().filter(|i| i.counts()).cloned().collect();
        let oldest_first = a
            .definition
            .get("killSelection")
            .is_some_and(|k| k == "OLDEST_FIRST");
        wanted.sort_by_key(|i| {
            let rank = match i.phase {
                Phase::Waiting | Phase::Down(_) => 0,
                Phase::Unreachable { .. } => 1,
                Phase::Staging => 2,
                Phase::Starting => 3,
                Phase::Running => 4,
            };
            let age = i.staged_at.unwrap_or(i.since).timestamp_millis();
            (rank, if oldest_first { age } else { -age })
        });
        for i in wanted.iter().take(surplus) {
            self.give_up(app, &i.uuid, at);
        }
    }

    /// Replaces the tasks of an older configuration, as many at a time as the upgrade strategy allows.
    fn work_on_restart(&mut self, app: &str, at: DateTime<Utc>) -> bool {
        let Some(a) = self.apps.get(app) else {
            return true;
        };
        let count = a.spec.instances as usize;
        let version = a.version;
        let share = |key: &str| {
            let strategy = a.definition.get("upgradeStrategy");
            strategy.and_then(|s| s[key].as_f64()).unwrap_or(1.0)
        };
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "small and not negative"
        )]
        let (mut least, mut most) = (
            (count as f64 * share("minimumHealthCapacity")).ceil() as usize,
            (count as f64 * (1.0 + share("maximumOverCapacity"))).floor() as usize,
        );
        let is_old = |i: &Instance| i.version < a.configured_at;
        let old: Vec<&Instance> = a.instances.iter().filter(|i| is_old(i) && i.counts()).collect();
        if least == most && most <= old.len() {
            if definition::resident(&a.definition) {
                least = least.saturating_sub(1);
            } else {
                most += 1;
            }
        }
        let fresh = a.instances.iter().filter(|i| !is_old(i) && i.counts()).count();
        let ready = a
            .instances
            .iter()
            .filter(|i| !is_old(i) && !i.unwanted && is_ready(a, i))
            .count();
        let running = old.iter().filter(|i| i.phase.is_active()).count();
        let mut spare = (running + ready).saturating_sub(least);
        if ready >= count {
            spare = old.len();
        }
        // Too many of the new ones can be left of a deployment that this one took the place of.
        let surplus = a.instances.iter().filter(|i| !is_old(i) && !i.unwanted);
        let mut going: Vec<String> = surplus.skip(count).map(|i| i.uuid.clone()).collect();
        for i in &old {
            if !i.phase.is_active() {
                going.push(i.uuid.clone());
            } else if spare > 0 {
                spare -= 1;
                going.push(i.uuid.clone());
            }
        }
        for uuid in going {
            self.give_up(app, &uuid, at);
        }
        let there = self.apps.get(app).map_or(0, |a| {
            let inactive = Phase::Unreachable { inactive: true };
            let there = a.instances.iter().filter(|i| i.phase != inactive);
            there.filter(|i| !i.is_stopped()).count()
        });
        let room = most.saturating_sub(there).min(count.saturating_sub(fresh));
        for _ in 0..room {
            self.schedule(app, version, at);
        }
        let Some(a) = self.apps.get(app) else {
            return true;
        };
        let done = |i: &Instance| i.version >= a.configured_at && !i.unwanted && is_ready(a, i);
        let mut counted = a
            .instances
            .iter()
            .filter(|i| i.phase != Phase::Unreachable { inactive: true } && !i.is_stopped());
        counted.clone().count() == count && counted.all(done)
    }

    /// One more instance waits for an offer.
    fn schedule(&mut self, app: &str, version: DateTime<Utc>, at: DateTime<Utc>) {
        let mut i = self.waiting(version, at);
        if let Some(a) = self.apps.get_mut(app) {
            if let Some(n) = a.instances.iter().position(Instance::is_stopped) {
                i = Instance {
                    unwanted: false,
                    since: at,
                    version,
                    ..a.instances.remove(n)
                };
            }
            a.instances.push(i.clone());
        }
        let uuid = i.uuid;
        if self.version.stable_instances() {
            self.tell_instance(app, &uuid, "Scheduled", at);
        }
    }

    /// An instance is not wanted any more: killed, or dropped at once when it has no task.
    pub(super) fn give_up(&mut self, app: &str, uuid: &str, at: DateTime<Utc>) {
        let due = at + self.death(app).after;
        let Some(a) = self.any_mut(app, uuid) else {
            return;
        };
        let Some(n) = a.instances.iter().position(|i| i.uuid == uuid) else {
            return;
        };
        let i = &mut a.instances[n];
        if i.phase.is_unreachable() {
            self.forget(app, uuid);
            return;
        }
        if !i.phase.is_active() {
            a.instances.remove(n);
            return;
        }
        if i.unwanted {
            return;
        }
        i.unwanted = true;
        i.killing.get_or_insert(PendingKill {
            due,
            asked: String::new(),
            intent: None,
            by: Killer::Deployment,
        });
        self.tell_killing(app, uuid);
        if self.version.stable_instances() {
            self.tell_instance(app, uuid, "Running", at);
        }
    }

    /// As many instances wait for offers as are missing.
    pub(super) fn refill(&mut self, app: &str) {
        let at = self.now;
        let Some(a) = self.apps.get_mut(app) else {
            return;
        };
        a.instances
            .retain(|i| !i.unwanted || i.phase.is_active() || i.is_stopped());
        let version = a.version;
        let there = a.instances.iter().filter(|i| i.counts()).count();
        for _ in there..a.spec.instances as usize {
            self.schedule(app, version, at);
        }
    }
}

/// A deployment need not wait for this instance any more.
fn is_ready(a: &App, i: &Instance) -> bool {
    i.phase == Phase::Running
        && (a.checks.is_empty()
            || i.own_health && i.health.len() == a.checks.len() && {
                i.health.iter().all(|h| h.as_ref().is_some_and(Health::alive))
            })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::marathon::state::{Timings, Version};

    const APP: &str = "/shop/web";

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::milliseconds(ms)
    }

    /// Three tasks that run and check nothing, 10 s after the start.
    fn three(version: Version) -> State {
        let mut s = State::new(version, Timings::default(), at(0));
        let app = json!({"id": APP, "cmd": "sleep 1000", "instances": 3});
        s.post_app(&app, false).unwrap();
        s.advance(at(10_000));
        assert_eq!((running(&s), s.deployments.len()), (3, 0));
        s
    }

    fn running(s: &State) -> usize {
        let a = s.app(APP).unwrap();
        a.instances.iter().filter(|i| i.phase == Phase::Running).count()
    }

    fn put(s: &mut State, change: Value, force: bool) -> Result<Accepted, Refusal> {
        let how = Manner {
            force,
            partial: true,
            create: true,
        };
        s.put_app(APP, &change, how)
    }

    #[test]
    fn an_upgrade_replaces_every_task_and_keeps_as_many_running() {
        let mut s = three(Version::V1_11);
        let old = s.task_ids(APP);
        put(&mut s, json!({"cmd": "sleep 2000"}), false).unwrap();
        for ms in (10_000..20_000).step_by(20) {
            s.advance(at(ms));
            assert!(running(&s) >= 3, "{} run after {ms} ms", running(&s));
        }
        let new = s.task_ids(APP);
        assert!(new.len() == 3 && new.iter().all(|id| !old.contains(id)));
        assert!(s.deployments.is_empty() && s.kills().is_empty());
    }

    #[test]
    fn a_scale_kill_needs_the_lock_and_takes_it_by_force() {
        let mut s = three(Version::V1_11);
        let stuck = json!({"constraints": [["hostname", "LIKE", "nowhere"]]});
        let stuck = put(&mut s, stuck, false).unwrap();
        s.advance(at(11_000));
        let found = s.find_all(&s.task_ids(APP)[..1]).unwrap();
        let refusal = s.scale_kill(&found, false).unwrap_err();
        assert_eq!(
            (refusal.status, &refusal.body["deployments"][0]["id"]),
            (409, &json!(stuck.id))
        );
        s.scale_kill(&found, true).unwrap();
        s.advance(at(12_000));
        assert_eq!(s.app(APP).unwrap().spec.instances, 2);
        assert!(s.holders(APP).all(|d| d.id != stuck.id));
    }

    #[test]
    fn a_plain_kill_under_a_lock_lasts_on_1_11_and_is_dropped_by_1_7() {
        for (version, left) in [(Version::V1_11, 2), (Version::V1_7, 3)] {
            let mut s = three(version);
            let stuck = json!({"constraints": [["hostname", "LIKE", "nowhere"]]});
            put(&mut s, stuck, false).unwrap();
            s.advance(at(11_000));
            let victim = s.task_ids(APP)[..1].to_vec();
            assert_eq!(s.kill(&victim, None, false).unwrap().len(), 1);
            s.advance(at(60_000));
            assert_eq!((running(&s), s.task_ids(APP).len()), (left, left), "{version:?}");
        }
    }

    #[test]
    fn going_back_undoes_a_change_and_a_deleted_app_ends_its_tasks() {
        let mut s = three(Version::V1_11);
        let stuck = json!({"instances": 4, "constraints": [["hostname", "LIKE", "nowhere"]]});
        let id = put(&mut s, stuck, false).unwrap().id;
        s.advance(at(11_000));
        assert!(s.end_deployment(&id, false).unwrap().is_some());
        s.advance(at(20_000));
        let a = s.app(APP).unwrap();
        assert!(a.spec.instances == 3 && a.spec.constraints.is_empty());
        assert_eq!((running(&s), s.deployments.len()), (3, 0));
        s.delete_app(APP, true).unwrap();
        assert!(s.app(APP).is_none() && s.live_tasks().len() == 3);
        s.advance(at(21_000));
        assert!(s.live_tasks().is_empty() && s.deployments.is_empty() && s.leaving.is_empty());
    }

    #[test]
    fn failures_make_launches_wait_longer_and_kills_do_not() {
        let mut s = three(Version::V1_11);
        let id = s.task_ids(APP)[0].clone();
        assert!(s.fail_task(&id));
        assert_eq!(
            s.app(APP).unwrap().backoff.map(|(delay, _)| delay.as_millis()),
            Some(1000)
        );
        assert!(s.reset_delay(APP).is_ok());
        let other = s.task_ids(APP)[1].clone();
        s.kill(&[other], None, false).unwrap();
        s.advance(at(10_500));
        assert!(s.app(APP).unwrap().backoff.is_none());
    }
}
