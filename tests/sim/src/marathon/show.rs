//! Apps, tasks and queues as Marathon lists them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::agents::Attribute;
use super::definition;
use super::life::addresses;
use super::placement::Agent;
use super::state::{App, Health, Instance, Phase, State, stamp};

/// What is listed with an app besides its definition, counts and deployments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Embed {
    /// Its tasks.
    pub tasks: bool,
    /// Its last failed task.
    pub last_failure: bool,
    /// Counts by version.
    pub stats: bool,
    /// The results of readiness checks.
    pub readiness: bool,
}

impl Embed {
    /// What the names in a query ask for; unknown ones ask for nothing.
    pub fn read<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut embed = Self::default();
        for name in names {
            let bare = ["group.apps.", "apps.", "app."]
                .iter()
                .find_map(|p| name.strip_prefix(p))
                .unwrap_or(name);
            match bare {
                "tasks" => embed.tasks = true,
                "failures" => (embed.tasks, embed.last_failure) = (true, true),
                "lastTaskFailure" => embed.last_failure = true,
                "taskStats" => embed.stats = true,
                "readiness" => embed.readiness = true,
                _ => {}
            }
        }
        embed
    }
}

/// What is listed with a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GroupEmbed {
    apps: bool,
    pods: bool,
    groups: bool,
    each: Option<AppEmbed>,
}

/// What a group lists with each app, of which it counts nothing by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct AppEmbed {
    counts: bool,
    deployments: bool,
    more: Embed,
}

impl GroupEmbed {
    /// What is listed when nobody says what.
    const ALL: Self = Self {
        apps: true,
        pods: true,
        groups: true,
        each: None,
    };

    /// What the names in a query ask for: without a single one everything, else only what is named.
    pub(super) fn read(names: &[&str]) -> Self {
        if names.is_empty() {
            return Self::ALL;
        }
        let of_apps: Vec<&str> = names
            .iter()
            .filter_map(|name| name.strip_prefix("group.apps."))
            .collect();
        let each = AppEmbed {
            counts: of_apps.contains(&"counts"),
            deployments: ["deployments", "tasks", "failures"]
                .iter()
                .any(|name| of_apps.contains(name)),
            more: Embed::read(of_apps.iter().copied()),
        };
        Self {
            apps: names.contains(&"group.apps"),
            pods: names.contains(&"group.pods"),
            groups: names.contains(&"group.groups"),
            each: (each != AppEmbed::default()).then_some(each),
        }
    }
}

/// The reasons for which an offer is not used, in the order they are asked.
const REASONS: [&str; 10] = [
    "UnfulfilledRole",
    "UnfulfilledConstraint",
    "NoCorrespondingReservationFound",
    "AgentMaintenance",
    "InsufficientCpus",
    "InsufficientMemory",
    "InsufficientDisk",
    "InsufficientGpus",
    "InsufficientPorts",
    "DeclinedScarceResources",
];

/// An attribute of an agent as an offer shows it.
fn offered((name, value): &(String, Attribute)) -> Value {
    let range = |(begin, end): &(u64, u64)| json!({"begin": begin, "end": end});
    match value {
        Attribute::Text(text) => json!({"name": name, "text": text}),
        Attribute::Scalar(number) => json!({"name": name, "scalar": number}),
        Attribute::Ranges(ranges) => {
            json!({"name": name, "ranges": ranges.iter().map(range).collect::<Vec<_>>()})
        }
        Attribute::Set(set) => json!({"name": name, "set": set}),
    }
}

/// How many offers got past each question, if so many failed at the constraints.
fn funnel(offers: usize, unfit: usize) -> Value {
    let mut left = offers;
    REASONS
        .iter()
        .map(|reason| {
            let processed = left;
            let declined = if *reason == "UnfulfilledConstraint" {
                unfit
            } else {
                0
            };
            left -= declined;
            json!({"reason": reason, "declined": declined, "processed": processed})
        })
        .collect()
}

/// Staged, running, healthy, unhealthy; with `dying`, tasks being killed do not run.
fn counts<'a>(instances: impl Iterator<Item = &'a Instance> + Clone, dying: bool) -> [usize; 4] {
    let count = |f: &dyn Fn(&Instance) -> bool| {
        let active = instances.clone().filter(|i| i.phase.is_active());
        active.filter(|i| f(i)).count()
    };
    let results = |i: &Instance| -> Vec<bool> { i.health.iter().flatten().map(Health::alive).collect() };
    [
        count(&|i| i.phase == Phase::Staging),
        count(&|i| i.phase == Phase::Running && !(dying && i.is_being_killed())),
        count(&|i| !results(i).is_empty() && results(i).iter().all(|alive| *alive)),
        count(&|i| results(i).iter().any(|alive| !*alive)),
    ]
}

/// A definition as 1.4 writes it: with what later versions only take, and `null` for what is not.
fn old_definition(mut app: Value) -> Value {
    let host = app["networks"][0]["mode"] == "host";
    let list = |v: &Value, key: &str| -> Vec<Value> {
        let list = v.as_array().into_iter().flatten();
        list.map(|item| item[key].clone()).collect()
    };
    let mapped = app["container"]["portMappings"].is_array();
    app["ports"] = json!(if mapped {
        list(&app["container"]["portMappings"], "servicePort")
    } else {
        list(&app["portDefinitions"], "port")
    });
    app["uris"] = json!(list(&app["fetch"], "uri"));
    app["ipAddress"] = Value::Null;
    if app["container"]["docker"].is_object() {
        app["container"]["docker"]["network"] = json!(if host { "HOST" } else { "BRIDGE" });
        app["container"]["docker"]["portMappings"] = app["container"]["portMappings"].clone();
    }
    for port in app["portDefinitions"].as_array_mut().into_iter().flatten() {
        if port["labels"].is_null() {
            port["labels"] = json!({});
        }
    }
    let Some(fields) = app.as_object_mut() else {
        return app;
    };
    fields.remove("networks");
    if let Some(container) = fields.get_mut("container").and_then(Value::as_object_mut) {
        container.remove("portMappings");
    }
    for key in [
        "cmd",
        "args",
        "user",
        "container",
        "residency",
        "taskKillGracePeriodSeconds",
        "acceptedResourceRoles",
    ] {
        fields.entry(key).or_insert(Value::Null);
    }
    for key in [
        "constraints",
        "dependencies",
        "fetch",
        "healthChecks",
        "readinessChecks",
    ] {
        fields.entry(key).or_insert(json!([]));
    }
    for key in ["env", "secrets"] {
        fields.entry(key).or_insert(json!({}));
    }
    app
}

impl State {
    /// Numbers as this version writes them.
    pub(super) fn numbers(&self, v: Value) -> Value {
        if self.version.writes_fractions() {
            v
        } else {
            definition::plain(v)
        }
    }

    /// A task as Marathon lists it.
    #[must_use]
    pub fn row(&self, a: &App, i: &Instance) -> Value {
        let (state, down) = match i.phase {
            Phase::Down(s) => (s, true),
            Phase::Staging | Phase::Waiting => ("TASK_STAGING", false),
            Phase::Starting => ("TASK_STARTING", false),
            Phase::Running if self.task_killing && i.is_being_killed() => ("TASK_KILLING", false),
            Phase::Running => ("TASK_RUNNING", false),
            Phase::Unreachable { inactive } => ("TASK_UNREACHABLE", inactive),
        };
        let health: Vec<Value> = i
            .health
            .iter()
            .flatten()
            .map(|h| {
                let mut r = json!({
                    "alive": h.alive(),
                    "consecutiveFailures": h.consecutive_failures,
                    "instanceId": format!("instance [{}]", self.instance_id(a, i)),
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
                if let Some(cause) = &h.last_failure_cause {
                    r["lastFailureCause"] = json!(cause);
                }
                r
            })
            .collect();
        let mut row = json!({
            "id": self.task_id(a, i),
            "appId": a.spec.id,
            "host": i.host,
            "slaveId": i.agent,
            "state": state,
            "ports": [],
            "servicePorts": [],
            "ipAddresses": addresses(i),
            "healthCheckResults": health,
            "localVolumes": super::volumes::listed(&a.spec.id, &i.volumes),
        });
        if let Some((region, zone)) = i.on.and_then(|on| self.agents.get(on.0)?.spec.domain.as_ref()) {
            row["region"] = json!(region);
            row["zone"] = json!(zone);
        }
        if self.version.has_roles() {
            row["role"] = a.definition.get("role").cloned().unwrap_or_else(|| json!("*"));
        }
        if !down {
            row["ports"] = json!(i.ports);
            row["version"] = json!(stamp(i.version));
            for (key, t) in [("stagedAt", i.staged_at), ("startedAt", i.started_at)] {
                if let Some(t) = t {
                    row[key] = json!(stamp(t));
                }
            }
        }
        self.written(row)
    }

    /// A task as this version writes it.
    fn written(&self, mut row: Value) -> Value {
        let Some(fields) = row.as_object_mut() else {
            return row;
        };
        if !self.version.has_fault_domains() {
            fields.remove("region");
            fields.remove("zone");
        }
        if self.version.writes_nulls() {
            fields.retain(|_, v| v.as_array().is_none_or(|list| !list.is_empty()));
            if fields.contains_key("version") {
                for key in ["stagedAt", "startedAt"] {
                    fields.entry(key).or_insert(Value::Null);
                }
            }
            let results = fields.get_mut("healthCheckResults").and_then(Value::as_array_mut);
            for result in results.into_iter().flatten().filter_map(Value::as_object_mut) {
                for key in ["firstSuccess", "lastFailure", "lastFailureCause", "lastSuccess"] {
                    result.entry(key).or_insert(Value::Null);
                }
                let id = result
                    .get("instanceId")
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                let bare = id
                    .trim_start_matches("instance [")
                    .trim_end_matches(']')
                    .to_owned();
                result.insert("instanceId".to_owned(), json!(bare));
            }
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

    /// An app's definition with its versions.
    pub(super) fn definition_json(&self, a: &App) -> Value {
        let mut app = json!(a.definition);
        app["version"] = json!(stamp(a.version));
        app["versionInfo"] = json!({
            "lastScalingAt": stamp(a.scaled_at), "lastConfigChangeAt": stamp(a.configured_at)});
        if self.version.shows_old_fields() {
            app = old_definition(app);
        }
        self.numbers(app)
    }

    /// An app as Marathon lists it.
    #[must_use]
    pub fn app_json(&self, a: &App, embed: Embed) -> Value {
        let mut app = self.definition_json(a);
        let [staged, running, healthy, unhealthy] = counts(a.instances.iter(), self.task_killing);
        app["tasksStaged"] = json!(staged);
        app["tasksRunning"] = json!(running);
        app["tasksHealthy"] = json!(healthy);
        app["tasksUnhealthy"] = json!(unhealthy);
        app["deployments"] = self.holders(&a.spec.id).map(|d| json!({"id": d.id})).collect();
        if embed.tasks {
            app["tasks"] = json!(self.rows(a));
        }
        if embed.readiness {
            app["readinessCheckResults"] = json!([]);
        }
        if embed.last_failure
            && let Some(failure) = &a.last_failure
        {
            app["lastTaskFailure"] = failure.clone();
        }
        if embed.stats {
            let key = self.version.stats_key();
            app[key] = self.stats(a);
        }
        app
    }

    fn stats(&self, a: &App) -> Value {
        let mut stats = json!({});
        let of = |wanted: &dyn Fn(DateTime<Utc>) -> bool| {
            let chosen = a
                .instances
                .iter()
                .filter(|i| i.phase.is_active() && wanted(i.version));
            let chosen: Vec<&Instance> = chosen.collect();
            if chosen.is_empty() {
                return None;
            }
            let [staged, running, healthy, unhealthy] = counts(chosen.iter().copied(), self.task_killing);
            let mut stats = json!({"counts": {"staged": staged, "running": running,
                "healthy": healthy, "unhealthy": unhealthy}});
            let mut ages: Vec<i64> = chosen
                .iter()
                .filter_map(|i| i.started_at)
                .map(|t| (self.now - t).num_milliseconds())
                .collect();
            ages.sort_unstable();
            if !ages.is_empty() {
                #[expect(clippy::cast_precision_loss, reason = "a lifetime in milliseconds is small")]
                let seconds = |ms: i64| ms as f64 / 1000.0;
                let middle = ages[ages.len() / 2];
                let average = ages.iter().sum::<i64>() / i64::try_from(ages.len()).unwrap_or(1);
                stats["lifeTime"] =
                    json!({"averageSeconds": seconds(average), "medianSeconds": seconds(middle)});
            }
            Some(json!({"stats": stats}))
        };
        for (key, found) in [
            ("startedAfterLastScaling", of(&|v| v >= a.scaled_at)),
            ("withLatestConfig", of(&|v| v >= a.configured_at)),
            ("withOutdatedConfig", of(&|v| v < a.configured_at)),
            ("totalSummary", of(&|_| true)),
        ] {
            if let Some(found) = found {
                stats[key] = found;
            }
        }
        stats
    }

    /// The launch queue.
    #[must_use]
    pub fn queue_json(&self, with_offers: bool) -> Value {
        let apps = self.apps.values().filter_map(|a| self.queued(a, with_offers));
        let queue: Vec<Value> = apps.chain(self.queued_pods(with_offers)).collect();
        json!({"queue": queue})
    }

    /// The offers that were turned down last, one of each agent, for something that is stuck.
    pub(super) fn turned_down(&self, stuck: bool) -> Value {
        let all = self.agents.iter().enumerate();
        let offering = all.filter(|(_, agent)| stuck && agent.takes_tasks());
        let scalar = |name: &str, most: f64| json!({"name": name, "role": "*", "scalar": most});
        offering
            .map(|(n, agent)| {
                let attributes: Vec<Value> = agent.spec.attributes.0.iter().map(offered).collect();
                json!({
                    "offer": {
                        "id": format!("{}-O{n}", self.framework_id.trim_end_matches("-0000")),
                        "hostname": self.agent_host(agent),
                        "agentId": self.agent_id(Agent(n)),
                        "resources": [scalar("cpus", 8.0), scalar("mem", 16_384.0), scalar("disk", 102_400.0),
                            {"name": "ports", "role": "*", "ranges": [{"begin": 31_000, "end": 32_000}]}],
                        "attributes": attributes,
                    },
                    "reason": ["UnfulfilledConstraint"],
                    "timestamp": stamp(self.now),
                })
            })
            .collect()
    }

    /// What became of the offers for something that waits: some were used, and while it is stuck some are not.
    pub(super) fn offers_json(&self, stuck: bool, used: usize, last_used: Option<DateTime<Utc>>) -> Value {
        let offering = self.agents.iter().filter(|a| a.takes_tasks());
        let offers = if stuck { offering.count() } else { 0 };
        let mut summary = json!({
            "processedOffersCount": offers + used,
            "unusedOffersCount": offers,
            "rejectSummaryLastOffers": funnel(offers, offers),
            "rejectSummaryLaunchAttempt": funnel(offers + used, offers),
        });
        if stuck {
            summary["lastUnusedOfferAt"] = json!(stamp(self.now));
        }
        if let Some(at) = last_used {
            summary["lastUsedOfferAt"] = json!(stamp(at));
        }
        summary
    }

    fn queued(&self, a: &App, with_offers: bool) -> Option<Value> {
        let waits = |i: &&Instance| matches!(i.phase, Phase::Waiting | Phase::Down(_)) && !i.unwanted;
        let waiting: Vec<&Instance> = a.instances.iter().filter(waits).collect();
        let first = waiting.iter().min_by_key(|i| i.since)?;
        let from = first.since + super::state::span(a.launch_delay);
        let until = a
            .backoff
            .map_or(from, |(delay, since)| from.max(since + super::state::span(delay)));
        let left = (until - self.now).num_seconds().max(0);
        let stuck = self.room(a, &first.uuid).is_none();
        let used = a.instances.iter().filter(|i| i.phase.is_active()).count();
        let last_used = a.instances.iter().filter_map(|i| i.staged_at).max();
        let mut item = json!({
            "count": waiting.len(),
            "delay": {"timeLeftSeconds": left, "overdue": left == 0},
            "since": stamp(first.since),
            "processedOffersSummary": self.offers_json(stuck, used, last_used),
            "app": self.definition_json(a),
        });
        if self.version.has_roles() {
            item["role"] = a.definition.get("role").cloned().unwrap_or_else(|| json!("*"));
        }
        if with_offers {
            item["lastUnusedOffers"] = self.turned_down(stuck);
        }
        Some(item)
    }

    /// The running deployments.
    #[must_use]
    pub fn deployments_json(&self) -> Value {
        self.deployments
            .iter()
            .map(super::deploy::Deployment::json)
            .collect()
    }

    /// The service ports of an app.
    pub(super) fn service_ports(a: &App) -> Vec<Value> {
        let list = |v: Option<&Value>, key: &str| -> Vec<Value> {
            let list = v.and_then(Value::as_array).into_iter().flatten();
            list.map(|p| p[key].clone()).collect()
        };
        let mapped = a.definition.get("container").map(|c| &c["portMappings"]);
        if mapped.is_some_and(Value::is_array) {
            list(mapped, "servicePort")
        } else {
            list(a.definition.get("portDefinitions"), "port")
        }
    }

    /// The groups there are, with the versions of what is in them.
    fn groups(&self) -> BTreeMap<String, DateTime<Utc>> {
        let mut groups: BTreeMap<String, DateTime<Utc>> = BTreeMap::new();
        groups.insert("/".to_owned(), self.last_version);
        let apps = self.apps.values().map(|a| (a.spec.id.as_str(), a.version));
        for (id, since) in apps.chain(self.pod_versions()) {
            let mut group = definition::parent(id);
            while group != "/" {
                let version = groups.entry(group.clone()).or_insert(since);
                *version = since.max(*version);
                group = definition::parent(&group);
            }
        }
        groups
    }

    /// Whether there is such a group.
    pub(super) fn is_group(&self, id: &str) -> bool {
        self.groups().contains_key(id)
    }

    /// The apps in a group and below it.
    pub(super) fn apps_below<'a>(&'a self, group: &'a str) -> impl Iterator<Item = &'a App> {
        let prefix = format!("{}/", group.trim_end_matches('/'));
        self.apps.values().filter(move |a| a.spec.id.starts_with(&prefix))
    }

    /// A group as Marathon lists it.
    pub(super) fn group_json(&self, id: &str) -> Value {
        self.group_with(id, GroupEmbed::ALL)
    }

    fn app_in_group(&self, a: &App, each: Option<AppEmbed>) -> Value {
        let Some(each) = each else {
            return self.definition_json(a);
        };
        let mut app = self.app_json(a, each.more);
        if let Some(fields) = app.as_object_mut() {
            let counts = ["tasksStaged", "tasksRunning", "tasksHealthy", "tasksUnhealthy"];
            fields.retain(|key, _| match key.as_str() {
                "deployments" => each.deployments,
                key => each.counts || !counts.contains(&key),
            });
        }
        app
    }

    /// The apps in a group and below it, as a list.
    pub(super) fn apps_of_group(&self, id: &str, embed: GroupEmbed) -> Value {
        let apps = self.apps_below(id);
        apps.map(|a| self.app_in_group(a, embed.each)).collect()
    }

    /// A group with what is asked for of it.
    pub(super) fn group_with(&self, id: &str, embed: GroupEmbed) -> Value {
        let groups = self.groups();
        let here = |child: &str| child != "/" && definition::parent(child) == id;
        let below: Vec<Value> = groups
            .keys()
            .filter(|g| embed.groups && here(g))
            .map(|g| self.group_with(g, embed))
            .collect();
        let apps: Vec<Value> = self
            .apps
            .values()
            .filter(|a| embed.apps && here(&a.spec.id))
            .map(|a| self.app_in_group(a, embed.each))
            .collect();
        let pods = if embed.pods { self.pods_in(id) } else { Vec::new() };
        let version = groups.get(id).copied().unwrap_or(self.last_version);
        let mut group = json!({"id": id, "apps": apps, "groups": below, "pods": pods,
            "dependencies": [], "version": stamp(version)});
        if self.version.has_roles() {
            group["enforceRole"] = json!(false);
        }
        group
    }
}
