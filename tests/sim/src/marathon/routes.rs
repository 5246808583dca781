//! What Marathon answers to which request.

use hyper::Method;
use serde_json::{Value, json};

use super::definition;
use super::deploy::{Accepted, Manner};
use super::jackson;
use super::refusal::{Fault, Refusal};
use super::selector::Selector;
use super::show::{Embed, GroupEmbed};
use super::state::{App, Phase, State, Version, stamp};
use super::version::TextTasks;

/// An answer, before it becomes a response.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// None: no body, and no word on its type.
    pub(super) content_type: Option<String>,
    pub(super) body: String,
    pub(super) headers: Vec<(&'static str, String)>,
    /// Written by the web server under Marathon, which adds none of Marathon's headers.
    pub(super) bare: bool,
}

impl Answer {
    pub(super) fn empty(status: u16) -> Self {
        Self {
            status,
            content_type: None,
            body: String::new(),
            headers: Vec::new(),
            bare: false,
        }
    }

    pub(super) fn text(status: u16, content_type: &str, body: &str) -> Self {
        Self {
            content_type: Some(content_type.to_owned()),
            body: body.to_owned(),
            ..Self::empty(status)
        }
    }

    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self::text(status, "application/json", &body.to_string())
    }

    pub(super) fn with(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    fn deployment(accepted: &Accepted, status: u16) -> Self {
        Self::json(status, &accepted.json()).with("Marathon-Deployment-Id", accepted.id.clone())
    }

    /// An error page of the web server: a page for those who take pages, nothing for the others.
    pub(super) fn page(status: u16, reason: &str, path: &str, accept: Option<&str>) -> Self {
        let takes =
            accept.is_none_or(|a| a.contains("*/*") || a.contains("text/html") || a.contains("text/*"));
        let answer = if takes {
            let body = format!(
                "<html>\n<head>\n<meta http-equiv=\"Content-Type\" content=\"text/html;charset=utf-8\"/>\n\
                 <title>Error {status} {reason}</title>\n</head>\n<body><h2>HTTP ERROR {status}</h2>\n\
                 <p>Problem accessing {path}. Reason:\n<pre>    {reason}</pre></p>\n</body>\n</html>\n"
            );
            Self::text(status, "text/html;charset=iso-8859-1", &body)
        } else {
            Self::empty(status)
        };
        Self { bare: true, ..answer }
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        Self::json(refusal.status, &refusal.body)
    }
}

type Answered = Result<Answer, Refusal>;

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) accept: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) intent: Option<String>,
    pub(super) body: String,
}

fn ok(body: &Value) -> Answered {
    Ok(Answer::json(200, body))
}

fn not_allowed() -> Answered {
    Err(Refusal::message(405, "Method Not Allowed"))
}

fn no_such_url(version: Version) -> Answered {
    Err(Refusal::message(version.unknown_url_status(), "URI not found"))
}

impl Asked {
    pub(super) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.query
            .iter()
            .filter(move |(k, _)| k == key)
            .map(|(_, v)| v.as_str())
    }

    pub(super) fn first(&self, key: &str) -> Option<&str> {
        self.query.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// Whatever is not `true` is false, silently.
    pub(super) fn flag(&self, key: &str, otherwise: bool) -> bool {
        self.first(key)
            .map_or(otherwise, |v| v.eq_ignore_ascii_case("true"))
    }

    fn takes(&self, kinds: &[&str]) -> bool {
        self.accept.as_ref().is_none_or(|accept| {
            accept
                .split(',')
                .filter_map(|a| a.split(';').next())
                .any(|a| kinds.contains(&a.trim()))
        })
    }

    /// With `held`, a kill answers as ever and is not carried out.
    pub(super) fn answer(&self, s: &mut State, held: bool) -> Answer {
        self.answered(s, held).unwrap_or_else(|mut refusal| {
            if refusal.is_wrong_shape() {
                refusal.status = s.version.wrong_shape_status();
            }
            Answer::from(refusal)
        })
    }

    fn answered(&self, s: &mut State, held: bool) -> Answered {
        let get = self.method == Method::GET || self.method == Method::HEAD;
        let post = self.method == Method::POST;
        let delete = self.method == Method::DELETE;
        let path = self.path.trim_end_matches('/');
        if path == "/ping" {
            return if get { Ok(self.ping()) } else { not_allowed() };
        }
        if path.is_empty() {
            return Ok(Answer::empty(302).with("Location", format!("http://{}/ui/", s.leader)));
        }
        if path == "/metrics/prometheus" && s.version.newer_metrics() && get {
            let page = Answer::text(200, "text/plain; version=0.0.4; charset=utf-8", &prometheus(s));
            return Ok(page);
        }
        if !path.starts_with("/v2/") && path != "/metrics" {
            return no_such_url(s.version);
        }
        if let Some(answer) = self.tasks_as_text(s) {
            return answer;
        }
        if !self.takes(&["application/json", "application/*", "*/*"]) {
            return Err(Refusal::message(406, "Not Acceptable"));
        }
        let media = self.content_type.as_ref().and_then(|t| t.split(';').next());
        let brings = matches!(self.method, Method::POST | Method::PUT | Method::PATCH);
        let right_media = media.is_none_or(|m| m.trim().eq_ignore_ascii_case("application/json"));
        let answered = match path {
            "/v2/info" if get => ok(&info(s)),
            "/metrics" if get => ok(&metrics(s)),
            "/v2/leader" if get => ok(&json!({"leader": s.leader})),
            "/v2/leader" if delete => {
                let mut body = json!({"message": "Leadership abdicated"});
                if s.version.empty_details() {
                    body["details"] = json!([]);
                }
                s.abdicate();
                ok(&body)
            }
            "/v2/tasks" if get => self.tasks(s),
            "/v2/tasks/delete" if post && right_media => self.kill(s, held),
            "/v2/deployments" if get => ok(&s.deployments_json()),
            "/v2/queue" if get => {
                let with_offers = self.all("embed").any(|e| e == "lastUnusedOffers");
                ok(&s.queue_json(with_offers))
            }
            "/v2/groups" if get => self.group(s, ""),
            "/v2/pods" if brings && !right_media => Err(Refusal::message(415, "Unsupported Media Type")),
            "/v2/pods" => self.pods(s, "", held),
            "/v2/eventSubscriptions" if get && s.version.has_callbacks() => ok(&json!({"callbackUrls": []})),
            "/v2/schemas/app" if get && s.version.has_schemas() => ok(&schema()),
            "/v2/plugins" if get => ok(&json!({"plugins": []})),
            "/v2/apps" if get => self.apps(s),
            "/v2/apps" if brings && right_media => self.change_apps(s),
            "/v2/tasks/delete" | "/v2/apps" if brings && !right_media && (post || path == "/v2/apps") => {
                Err(Refusal::message(415, "Unsupported Media Type"))
            }
            "/v2/info" | "/metrics" | "/v2/leader" | "/v2/tasks" | "/v2/tasks/delete" | "/v2/deployments"
            | "/v2/queue" | "/v2/groups" | "/v2/plugins" | "/v2/apps" => not_allowed(),
            _ => {
                if let Some(id) = path.strip_prefix("/v2/apps/") {
                    if brings && !right_media {
                        return Err(Refusal::message(415, "Unsupported Media Type"));
                    }
                    self.app(s, id, held)
                } else if let Some(id) = path.strip_prefix("/v2/deployments/") {
                    if !delete {
                        return not_allowed();
                    }
                    Ok(match s.end_deployment(id, self.flag("force", false))? {
                        Some(accepted) => Answer::deployment(&accepted, 200),
                        None => Answer::empty(202),
                    })
                } else if let Some(id) = path
                    .strip_prefix("/v2/queue/")
                    .and_then(|rest| rest.strip_suffix("/delay"))
                {
                    if !delete {
                        return not_allowed();
                    }
                    s.reset_delay(&definition::canonical(id))?;
                    Ok(Answer::empty(204))
                } else if let Some(id) = path.strip_prefix("/v2/groups/").filter(|_| get) {
                    self.group(s, id)
                } else if let Some(rest) = path.strip_prefix("/v2/pods/") {
                    self.pods(s, rest, held)
                } else {
                    no_such_url(s.version)
                }
            }
        };
        answered.map(|mut answer| {
            if s.version.says_quality() && get && self.lists_tasks() {
                answer.content_type = Some("application/json; qs=2".to_owned());
            }
            if self.method == Method::HEAD {
                answer.body.clear();
            }
            answer
        })
    }

    /// A list of tasks, which the older versions write as plain text too.
    fn lists_tasks(&self) -> bool {
        let path = self.path.trim_end_matches('/');
        path == "/v2/tasks" || path.starts_with("/v2/apps/") && path.ends_with("/tasks")
    }

    /// A line for each app and port: the app, its service port, and where its tasks listen.
    fn tasks_as_text(&self, s: &State) -> Option<Answered> {
        let plain = self
            .accept
            .as_deref()
            .is_some_and(|a| a.trim().starts_with("text/plain"));
        if !plain || !self.lists_tasks() || self.method != Method::GET {
            return None;
        }
        if s.version.text_tasks() == TextTasks::Refused {
            return Some(Err(Refusal::message(406, "Not Acceptable")));
        }
        let path = self.path.trim_end_matches('/');
        let only = path
            .strip_prefix("/v2/apps/")
            .map(|rest| definition::canonical(rest.trim_end_matches("/tasks")));
        if let Some(id) = only.as_ref().filter(|id| s.app(id).is_none()) {
            return Some(Err(Refusal::no_app(s.version, id)));
        }
        let mut text = String::new();
        for a in s
            .apps()
            .filter(|a| only.as_ref().is_none_or(|id| a.spec.id == *id))
        {
            let name = a.spec.id.trim_start_matches('/').replace('/', "_");
            for (n, port) in State::service_ports(a).iter().enumerate() {
                text += &format!("{name}\t{port}");
                for i in a.instances.iter().filter(|i| i.phase == Phase::Running) {
                    let port = i.ports.get(n).copied().unwrap_or(0);
                    text += &format!("\t{}:{port}", i.host);
                }
                text.push('\n');
            }
        }
        Some(Ok(Answer::text(200, "text/plain", &text)))
    }

    fn ping(&self) -> Answer {
        if self.takes(&["text/plain", "text/*", "*/*"]) {
            Answer::text(200, "text/plain", "pong")
        } else if self.takes(&["application/json", "application/*"]) {
            Answer::json(200, &json!("pong"))
        } else {
            Answer::empty(204)
        }
    }

    pub(super) fn read(&self, s: &State) -> Result<Value, Refusal> {
        jackson::read(&self.body, s.version)
    }

    fn manner(&self) -> Manner {
        let patch = self.method == Method::PATCH;
        Manner {
            force: self.flag("force", false),
            partial: patch || self.flag("partialUpdate", true),
            create: !patch,
        }
    }

    fn apps(&self, s: &State) -> Answered {
        let selector = Selector::read(self.first("label").unwrap_or_default(), s.version)?;
        let embed = Embed::read(self.all("embed"));
        let id = self.first("id").unwrap_or_default().to_lowercase();
        let cmd = self.first("cmd").map(str::to_lowercase);
        let apps: Vec<Value> = s
            .apps()
            .filter(|a| a.spec.id.to_lowercase().contains(&id))
            .filter(|a| {
                let has = |part: &String| {
                    let own = a.definition.get("cmd").and_then(Value::as_str);
                    own.is_some_and(|own| own.to_lowercase().contains(part))
                };
                cmd.as_ref().is_none_or(has)
            })
            .filter(|a| selector.matches(&a.spec.labels))
            .map(|a| s.app_json(a, embed))
            .collect();
        ok(&json!({"apps": apps}))
    }

    /// A group, or the apps in it and below it.
    fn group(&self, s: &State, rest: &str) -> Answered {
        let names: Vec<&str> = self.all("embed").collect();
        if let Some(id) = rest
            .strip_suffix("apps")
            .filter(|id| id.is_empty() || id.ends_with('/'))
        {
            let id = definition::canonical(id.trim_end_matches('/'));
            return ok(&s.apps_of_group(&id, GroupEmbed::read(&names)));
        }
        let id = definition::canonical(rest);
        if id == "/" || s.is_group(&id) {
            return ok(&s.group_with(&id, GroupEmbed::read(&names)));
        }
        let words = format!("Group '{id}' does not exist");
        Err(Refusal::not_found(s.version, &words))
    }

    fn change_apps(&self, s: &mut State) -> Answered {
        let given = self.read(s)?;
        if self.method != Method::POST {
            let accepted = s.put_apps(&given, self.manner())?;
            return Ok(Answer::deployment(&accepted, 200));
        }
        let (accepted, body) = s.post_app(&given, self.flag("force", false))?;
        let id = definition::canonical(given["id"].as_str().unwrap_or_default());
        Ok(Answer::json(201, &body)
            .with("Marathon-Deployment-Id", accepted.id)
            .with("Location", format!("http://{}{id}", s.leader)))
    }

    /// Everything below `/v2/apps/`.
    fn app(&self, s: &mut State, rest: &str, held: bool) -> Answered {
        let get = self.method == Method::GET || self.method == Method::HEAD;
        let delete = self.method == Method::DELETE;
        if let Some((app, task)) = rest.rsplit_once("/tasks/") {
            return match delete {
                true => self.delete_tasks(s, &definition::canonical(app), Some(task), held),
                false => not_allowed(),
            };
        }
        if let Some(app) = rest.strip_suffix("/tasks") {
            if delete {
                return self.delete_tasks(s, &definition::canonical(app), None, held);
            }
            return if get {
                self.app_tasks(s, app)
            } else {
                not_allowed()
            };
        }
        if let Some((app, version)) = rest.rsplit_once("/versions/") {
            return if get {
                self.versions(s, &definition::canonical(app), Some(version))
            } else {
                not_allowed()
            };
        }
        if let Some(app) = rest.strip_suffix("/versions") {
            return if get {
                self.versions(s, &definition::canonical(app), None)
            } else {
                not_allowed()
            };
        }
        if let Some(app) = rest.strip_suffix("/restart")
            && self.method == Method::POST
        {
            let app = definition::canonical(app);
            let accepted = s.restart_app(&app, self.flag("force", false))?;
            return Ok(Answer::deployment(&accepted, 200));
        }
        if get {
            return self.show(s, rest);
        }
        let id = definition::canonical(rest);
        match self.method {
            Method::DELETE => {
                let accepted = s.delete_app(&id, self.flag("force", true))?;
                Ok(Answer::deployment(&accepted, 200))
            }
            Method::PUT | Method::PATCH => {
                let given = self.read(s)?;
                let accepted = s.put_app(&id, &given, self.manner())?;
                Ok(if accepted.created {
                    Answer::deployment(&accepted, 201).with("Location", format!("http://{}{id}", s.leader))
                } else {
                    Answer::deployment(&accepted, 200)
                })
            }
            _ => not_allowed(),
        }
    }

    fn show(&self, s: &State, rest: &str) -> Answered {
        let embed = Embed {
            tasks: true,
            last_failure: true,
            ..Embed::read(self.all("embed"))
        };
        if let Some(group) = star(rest) {
            let apps: Vec<Value> = in_group(s, &group)?.map(|a| s.app_json(a, embed)).collect();
            return ok(&json!({"*": apps}));
        }
        let id = definition::canonical(rest);
        let a = s.app(&id).ok_or_else(|| Refusal::no_app(s.version, &id))?;
        ok(&json!({"app": s.app_json(a, embed)}))
    }

    fn app_tasks(&self, s: &State, app: &str) -> Answered {
        if let Some(group) = star(app) {
            let tasks: Vec<Value> = in_group(s, &group)?.flat_map(|a| s.rows(a)).collect();
            return ok(&json!({"tasks": tasks}));
        }
        let id = definition::canonical(app);
        let a = s.app(&id).ok_or_else(|| Refusal::no_app(s.version, &id))?;
        ok(&json!({"tasks": s.rows(a)}))
    }

    fn versions(&self, s: &State, id: &str, version: Option<&str>) -> Answered {
        let a = s.app(id).ok_or_else(|| Refusal::no_app(s.version, id))?;
        let Some(version) = version else {
            let all: Vec<String> = a.history.iter().rev().map(|(at, _)| stamp(*at)).collect();
            return ok(&json!({"versions": all}));
        };
        let Some(found) = s.version_of(id, version) else {
            let words = format!("App '{id}' does not exist in version {version}");
            return Err(Refusal::not_found(s.version, &words));
        };
        let mut found = json!(found);
        found["version"] = json!(version);
        ok(&s.numbers(found))
    }

    fn tasks(&self, s: &State) -> Answered {
        let wanted: Vec<String> = self
            .all("status")
            .chain(self.all("status[]"))
            .map(str::to_lowercase)
            .filter(|w| w == "running" || w == "staging")
            .collect();
        let mut tasks = Vec::new();
        for a in s.apps() {
            for i in a.instances.iter().filter(|i| i.phase != Phase::Waiting) {
                // A task that has just been launched is provisioned; Mesos says nothing of staging.
                let runs = i.phase == Phase::Running && wanted.iter().any(|w| w == "running");
                if wanted.is_empty() || runs {
                    let mut row = s.row(a, i);
                    row["servicePorts"] = json!(State::service_ports(a));
                    tasks.push(row);
                }
            }
        }
        ok(&json!({"tasks": tasks}))
    }

    fn not_both(&self) -> Result<(bool, bool), Refusal> {
        let (scale, wipe) = (self.flag("scale", false), self.flag("wipe", false));
        if scale && wipe {
            let words = "You cannot use scale and wipe at the same time.";
            return Err(Refusal::message(400, words));
        }
        Ok((scale, wipe))
    }

    fn kill(&self, s: &mut State, held: bool) -> Answered {
        let (scale, wipe) = self.not_both()?;
        let ids = ids(&self.read(s)?)?;
        if scale {
            let found = s.find_all(&ids)?;
            if held {
                let body =
                    json!({"version": stamp(s.now()), "deploymentId": uuid::Uuid::new_v4().to_string()});
                return ok(&body);
            }
            let accepted = s.scale_kill(&found, self.flag("force", false))?;
            return Ok(Answer::deployment(&accepted, 200));
        }
        let rows = if held {
            s.rows_of(&ids)?
        } else {
            s.kill(&ids, self.intent.as_deref(), wipe)?
        };
        ok(&json!({"tasks": rows}))
    }

    /// `DELETE` of all tasks of an app, of those on a host, or of one.
    fn delete_tasks(&self, s: &mut State, app: &str, task: Option<&str>, held: bool) -> Answered {
        let (scale, wipe) = self.not_both()?;
        let no_task = |id: &str| Refusal::not_found(s.version, &format!("Task '{id}' does not exist"));
        let uuid = match task.map(|id| s.find(id)) {
            None => None,
            Some(Ok(found)) => Some(found.filter(|(of, _)| of == app).map(|(_, uuid)| uuid)),
            // What has not even the shape of an id is only unknown; a bad UUID is an error.
            Some(Err(refusal)) if refusal.status == 400 => Some(None),
            Some(Err(refusal)) if s.app(app).is_some() => return Err(refusal),
            Some(Err(_)) => Some(None),
        };
        let host = self.first("host").filter(|h| *h != "*");
        let chosen: Vec<(String, String)> = s.app(app).map_or_else(Vec::new, |a| {
            a.instances
                .iter()
                .filter(|i| {
                    uuid.as_ref()
                        .is_none_or(|u| u.as_deref() == Some(i.uuid.as_str()))
                })
                .filter(|i| task.is_some() || host.is_none_or(|h| i.host == h))
                .map(|i| {
                    (
                        i.uuid.clone(),
                        task.map_or_else(|| s.task_id(a, i), str::to_owned),
                    )
                })
                .collect()
        });
        if scale {
            if s.app(app).is_none_or(|a| a.instances.is_empty()) {
                return Err(Refusal::message(404, &format!("Path '{app}' does not exist")));
            }
            let found = [(app.to_owned(), chosen)].into();
            let accepted = s.scale_kill(&found, self.flag("force", false))?;
            return Ok(Answer::deployment(&accepted, 200));
        }
        let a = s.app(app).ok_or_else(|| Refusal::no_app(s.version, app))?;
        let rows: Vec<Value> = a
            .instances
            .iter()
            .filter(|i| i.phase != Phase::Waiting && chosen.iter().any(|(uuid, _)| *uuid == i.uuid))
            .map(|i| s.row(a, i))
            .collect();
        if let (Some(id), true) = (task, rows.is_empty()) {
            return Err(no_task(id));
        }
        if !held {
            s.kill_in(app, &chosen, self.intent.as_deref(), wipe);
        }
        match (task, rows.first()) {
            (Some(_), Some(row)) => ok(&json!({"task": row})),
            _ => ok(&json!({"tasks": rows})),
        }
    }
}

/// The group of an id such as `shop/*`.
fn star(id: &str) -> Option<String> {
    if id == "*" {
        return Some("/".to_owned());
    }
    id.strip_suffix("/*").map(definition::canonical)
}

fn in_group<'a>(s: &'a State, group: &'a str) -> Result<impl Iterator<Item = &'a App>, Refusal> {
    if s.is_group(group) {
        Ok(s.apps_below(group))
    } else {
        let words = format!("Group '{group}' does not exist");
        Err(Refusal::not_found(s.version, &words))
    }
}

/// The ids in the body of a kill.
fn ids(body: &Value) -> Result<Vec<String>, Refusal> {
    let fault = |path: String, error: String| Fault {
        path,
        errors: vec![error],
    };
    let wrong = |error: String| Refusal::wrong_shape(&[fault(String::new(), error)]);
    let Some(object) = body.as_object() else {
        return Err(wrong(format!("{body} is not an object")));
    };
    let Some(ids) = object.get("ids") else {
        return Err(wrong(format!("'ids' is undefined on object: {body}")));
    };
    let Some(list) = ids.as_array() else {
        return Err(wrong("error.expected.jsarray".to_owned()));
    };
    let faults: Vec<Fault> = list
        .iter()
        .enumerate()
        .filter(|(_, id)| !id.is_string())
        .map(|(n, _)| fault(format!("({n})"), "error.expected.jsstring".to_owned()))
        .collect();
    if faults.is_empty() {
        Ok(list.iter().filter_map(Value::as_str).map(str::to_owned).collect())
    } else {
        Err(Refusal::wrong_shape(&faults))
    }
}

/// The shape of an app, as far as anybody asks for it here.
fn schema() -> Value {
    json!({
        "$schema": "http://json-schema.org/schema#", "type": "object", "required": ["id"],
        "properties": {"id": {"type": "string"}, "cmd": {"type": "string"}, "instances": {"type": "integer"}},
    })
}

fn prometheus(s: &State) -> String {
    let (apps, running) = (s.apps().count(), s.live_tasks().len());
    format!(
        "# TYPE marathon_apps_active_gauge gauge\nmarathon_apps_active_gauge {apps}\n\
         # TYPE marathon_instances_running_gauge gauge\nmarathon_instances_running_gauge {running}\n"
    )
}

fn metrics(s: &State) -> Value {
    let running = s.live_tasks().len();
    if !s.version.newer_metrics() {
        let gauge = |n: usize| {
            json!({"tags": {}, "unit": {"name": "unknown", "label": "unknown"},
            "min": n, "max": n, "sum": n, "count": 1, "mean": n})
        };
        return json!({
            "start": stamp(s.now() - chrono::TimeDelta::seconds(10)), "end": stamp(s.now()),
            "counters": {}, "histograms": {}, "min-max-counters": {}, "additional": {},
            "gauges": {
                "service.mesosphere.marathon.app.count": gauge(s.apps().count()),
                "service.mesosphere.marathon.task.running.count": gauge(running),
            },
        });
    }
    let gauge = |n: usize| json!({"value": n});
    json!({
        "version": "4.0.0", "counters": {}, "histograms": {}, "meters": {}, "timers": {},
        "gauges": {
            "marathon.apps.active.gauge": gauge(s.apps().count()),
            "marathon.instances.running.gauge": gauge(running),
        },
    })
}

fn info(s: &State) -> Value {
    let port = s.leader.rsplit_once(':').and_then(|(_, p)| p.parse::<u16>().ok());
    let mut config = json!({
        "access_control_allow_origin": null, "checkpoint": true, "default_network_name": null,
        "env_vars_prefix": null, "executor": "//cmd", "features": [], "framework_name": "marathon",
        "ha": true, "hostname": "127.0.0.1", "maintenance_mode": true, "master": s.mesos.named(),
        "mesos_bridge_name": "mesos-bridge", "mesos_leader_ui_url": format!("http://{}/", s.mesos.named()),
        "mesos_user": "root", "store_cache": true, "webui_url": null,
    });
    for (key, number) in [
        ("decline_offer_duration", 120_000),
        ("failover_timeout", 604_800),
        ("launch_token", 100),
        ("launch_token_refresh_interval", 30_000),
        ("leader_proxy_connection_timeout_ms", 5_000),
        ("leader_proxy_read_timeout_ms", 10_000),
        ("local_port_max", 20_000),
        ("local_port_min", 10_000),
        ("max_instances_per_offer", 5),
        ("mesos_heartbeat_failure_threshold", 5),
        ("mesos_heartbeat_interval", 15_000),
        ("offer_matching_timeout", 3_000),
        ("on_elected_prepare_timeout", 180_000),
        ("reconciliation_initial_delay", 15_000),
        ("reconciliation_interval", 600_000),
        ("scale_apps_initial_delay", 15_000),
        ("scale_apps_interval", 300_000),
        ("task_launch_confirm_timeout", 300_000),
        ("task_launch_timeout", 300_000),
        ("task_lost_expunge_initial_delay", 300_000),
        ("task_lost_expunge_interval", 30_000),
        ("task_reservation_timeout", 20_000),
    ] {
        config[key] = json!(number);
    }
    config["min_revive_offers_interval"] = json!(s.version.min_revive_offers_interval());
    if s.version.has_roles() {
        config["mesos_role"] = json!("*");
        config["new_group_enforce_role"] = json!("Off");
    } else {
        config["mesos_role"] = Value::Null;
        config["revive_offers_for_new_apps"] = json!(true);
        config["revive_offers_repetitions"] = json!(3);
    }
    json!({
        "name": "marathon", "version": s.version_text(), "buildref": "unknown", "elected": true,
        "leader": s.leader, "frameworkId": s.framework_id, "marathon_config": config,
        "zookeeper_config": {"zk": "zk://127.0.0.1:2181/marathon", "zk_compression": true,
            "zk_compression_threshold": 65_536, "zk_connection_timeout": 10_000,
            "zk_max_node_size": 1_024_000, "zk_max_versions": 50, "zk_session_timeout": 10_000,
            "zk_timeout": 10_000},
        "http_config": {"http_port": port.unwrap_or(8080), "https_port": 8443},
    })
}
