//! The files as written: every field optional, every field with its place, nothing judged.
//!
//! This is the one declaration of what a policy file may say: the reader, `policies/schema.json` and
//! the completeness test of `policies/README.md` come from it. What the fields mean, and what is
//! refused although it can be read, is `validate`'s.

use super::problem::Scribe;
use super::read::{At, Day, Lasting, Minute, Percent, Place, Read, Text, Workdays, choice, record};
use super::yaml::{Kind, Node};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;
use std::collections::BTreeMap;

record! {
    /// A chaos policy: what may be broken, when, how much, and with whose approval.
    PolicyFile {
        /// Version of this form: `heartbreak/v1`.
        #[schemars(required)]
        api_version: Text,
        /// `ChaosPolicy`.
        #[schemars(required)]
        kind: Text,
        /// Who this policy is.
        #[schemars(required)]
        metadata: Metadata,
        /// What it allows.
        #[schemars(required)]
        spec: Spec,
    }
}

record! {
    /// Who this policy is.
    Metadata {
        /// Its name: a DNS label, unique over the folder.
        #[schemars(required)]
        name: Text,
        /// The team that answers for it; must own the apps where ownership is declared.
        #[schemars(required)]
        team: Text,
        /// For people and grouping; nothing is decided by them.
        labels: BTreeMap<String, Text>,
    }
}

record! {
    /// What the policy allows.
    Spec {
        /// How far it goes. Default: rehearse.
        mode: Mode,
        /// A cluster of the settings file.
        #[schemars(required)]
        cluster: Text,
        /// Which apps and tasks may be hit.
        #[schemars(required)]
        target: Target,
        /// What is done to them.
        #[schemars(required)]
        fault: Fault,
        /// When, and how often.
        #[schemars(required)]
        schedule: Schedule,
        /// The most that may be down because of us.
        blast_radius: BlastRadius,
        /// How fast kills may follow each other.
        rate_limit: RateLimit,
        /// What must stay true. Needed to enforce.
        steady_state: SteadyState,
        /// Whose yes is needed. Default: required.
        approval: Approval,
        /// Who is told.
        notify: Notify,
    }
    later {
        "change": "change-board references are not checked by this version",
        "expect": "alerts are not tested by this version",
        "onDisproved": "findings are not held by this version; put the app under `except` until it is mended",
    }
}

choice! {
    /// How far a policy goes.
    Mode {
        /// Nothing is planned.
        Off = "off",
        /// Everything but the kill.
        Rehearse = "rehearse",
        /// The real thing.
        Enforce = "enforce",
    }
}

record! {
    /// Which apps and tasks may be hit. What it names must also be opted in by its owner.
    Target {
        /// Which apps.
        #[schemars(required)]
        apps: Apps,
        /// Which of their tasks.
        tasks: Tasks,
        /// What shares one turn when the next app is drawn: `app`, `group` or `{ label: KEY }`. Default: app.
        one_per: OnePer,
    }
}

record! {
    /// Which apps. At least `labels` or `ids`.
    Apps {
        /// A selector in Marathon's words: `a=b, c in (d, e), f notin (g), h`.
        labels: Text,
        /// Absolute ids; `*` is one segment or a part of one, `**` any number of segments.
        ids: Vec<At<Text>>,
        /// Never these, whatever else is said.
        except: Vec<At<Text>>,
    }
}

record! {
    /// Which tasks of an app.
    Tasks {
        /// Younger tasks are left alone. Default: 10m.
        min_age: Lasting,
        /// Only tasks that count as healthy. Default: true.
        healthy_only: bool,
        /// Running counts as healthy for an app without health checks. Default: false.
        allow_no_health_check: bool,
    }
}

/// `app`, `group` or `{ label: KEY }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OnePer {
    /// Every app has its own turn.
    App,
    /// Apps of one group path share a turn.
    Group,
    /// Apps with one value of the label share a turn.
    Label(String),
}

record! {
    /// Apps with one value of this label share a turn.
    OnePerLabel {
        /// The label's key.
        #[schemars(required)]
        label: Text,
    }
}

impl Read for OnePer {
    fn read(node: &Node, scribe: &mut Scribe) -> Option<Self> {
        if matches!(node.kind, Kind::Map(_)) {
            let raw = OnePerLabel::read(node, scribe)?;
            return raw
                .place
                .need(&raw.label, "label", "write `{ label: team }`", scribe)
                .map(|l| Self::Label(l.value.0.clone()));
        }
        match super::read::scalar(node, scribe, "`app`, `group` or `{ label: KEY }`", "app")?.0 {
            "app" => Some(Self::App),
            "group" => Some(Self::Group),
            other => {
                super::read::unknown_word(other, node, &["app", "group", "{ label: KEY }"], &[], scribe);
                None
            }
        }
    }
}

impl JsonSchema for OnePer {
    fn schema_name() -> Cow<'static, str> {
        "OnePer".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "enum": ["app", "group"] }, generator.subschema_for::<OnePerLabel>()] })
    }
}

record! {
    /// The kind of harm.
    Fault {
        /// Ends tasks of one app; Marathon starts them again.
        #[schemars(required)]
        kill_tasks: KillTasks,
    }
    later {
        "agentOutage": "outages of whole agents are not built into this version",
        "external": "outside hooks are not built into this version",
    }
}

record! {
    /// Ends tasks. One of `count`, `percent`, `randomUpTo`.
    KillTasks {
        /// This many in one run. Default: 1.
        count: u32,
        /// This share of the app's instances, rounded down, from 1 to 100.
        percent: u32,
        /// From 1 to this many, drawn from the seed.
        random_up_to: u32,
        /// How many of them in one step, hence in one request. Default: 1.
        at_once: u32,
        /// The least time between two steps; a step also waits for recovery. Default: 30s.
        gap: Lasting,
    }
    later {
        "scale": "a kill never changes the size of an app",
        "wipe": "a kill never wipes persistent volumes",
    }
}

record! {
    /// When runs may happen, and how often they are meant to. Without windows nothing ever runs.
    Schedule {
        /// Spans of civil time.
        #[schemars(required)]
        windows: Vec<Window>,
        /// The IANA zone of windows and holidays, such as `Europe/Madrid`.
        #[schemars(required)]
        timezone: Text,
        /// Civil dates without runs.
        holidays: Vec<Holiday>,
        /// On average once in so many work days, such as `3 workdays`.
        mean_time_between: Workdays,
        /// At a fixed distance from the opening of the window, such as `2h`.
        every: Lasting,
        /// Only when a person asks. Default when neither of the other two is written.
        on_demand: bool,
        /// The least time between the kills of two runs on one app: `1 workday`, `4h` or `none`. Default: 1 workday.
        min_time_between: Between,
    }
    later {
        "cron": "cron lines are not read by this version; use `meanTimeBetween`, `every` or `onDemand`",
    }
}

record! {
    /// A span of civil time on some weekdays, never across midnight.
    Window {
        /// Weekdays: mon, tue, wed, thu, fri, sat, sun.
        #[schemars(required)]
        days: Vec<At<Weekday>>,
        /// First minute inside, in quotes.
        #[schemars(required)]
        from: Minute,
        /// First minute outside, in quotes.
        #[schemars(required)]
        to: Minute,
    }
}

choice! {
    /// A day of the week.
    Weekday {
        /// Monday.
        Mon = "mon",
        /// Tuesday.
        Tue = "tue",
        /// Wednesday.
        Wed = "wed",
        /// Thursday.
        Thu = "thu",
        /// Friday.
        Fri = "fri",
        /// Saturday.
        Sat = "sat",
        /// Sunday.
        Sun = "sun",
    }
}

/// A date without runs. Calendar files are refused until they can be read.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(transparent, inline)]
pub struct Holiday(#[schemars(with = "Day")] pub chrono::NaiveDate);

impl Read for Holiday {
    fn read(node: &Node, scribe: &mut Scribe) -> Option<Self> {
        if node.get("ics").is_some() {
            scribe.error(
                node.at,
                "`ics` is not available: calendar files are not read by this version",
                "list the dates, such as `2026-12-25`; a file that is ignored would be a holiday with kills",
            );
            return None;
        }
        Day::read(node, scribe).map(|day| Self(day.0))
    }
}

/// `1 workday`, `4h` or `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Between {
    /// No minimum.
    None,
    /// Whole work days.
    Workdays(u32),
    /// Elapsed time.
    Elapsed(std::time::Duration),
}

impl Read for Between {
    fn read(node: &Node, scribe: &mut Scribe) -> Option<Self> {
        let (text, _) = super::read::scalar(node, scribe, "work days, a duration or `none`", "1 workday")?;
        let read = match text {
            "none" => Some(Self::None),
            _ => super::read::workdays(text).map(Self::Workdays).or_else(|| {
                super::read::duration(text)
                    .filter(|d| !d.is_zero())
                    .map(Self::Elapsed)
            }),
        };
        if read.is_none() {
            scribe.error(
                node.at,
                format!("`{text}` is neither work days nor a duration nor `none`"),
                "write for example `1 workday`, `4h` or `none`",
            );
        }
        read
    }
}

impl JsonSchema for Between {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Between".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": r"^(none|[1-9][0-9]{0,2} workdays?|([0-9]+(ms|s|m|h|d))+)$" })
    }
}

record! {
    /// The most that may be down because of us, at once; the smallest of all holds.
    BlastRadius {
        /// Tasks of one app. Default: 1.
        max_tasks: u32,
        /// Share of the app's instances, 1 to 100, rounded down. Default: 20.
        max_percent: u32,
        /// Healthy tasks that must be left. Default: 2.
        min_healthy: u32,
        /// Apps at once under this policy. Default: 1.
        max_apps: u32,
    }
}

record! {
    /// How fast kills may follow each other, across runs and restarts.
    RateLimit {
        /// Tasks killed … Default: 4.
        kills: u32,
        /// … in this time. Default: 1h.
        per: Lasting,
        /// How many may come at once. Default: 1.
        burst: u32,
    }
}

record! {
    /// What must stay true, and how it is watched.
    SteadyState {
        /// Distance of samples, 200ms to 60s. Default: 1s.
        interval: Lasting,
        /// Longest time one sample may take; shorter than the interval. Default: 800ms.
        timeout: Lasting,
        /// Bound on a false abort per armed window, over all abort probes. Default: 1%.
        alpha: Percent,
        /// The stretch before the first kill.
        baseline: Baseline,
        /// What counts as recovered.
        recovery: Recovery,
        /// What missing samples do.
        blind: Blind,
        /// Failed requests that end the run.
        budget: Budget,
        /// How to look.
        probes: Vec<Probe>,
        /// How the verdict compares.
        control: Control,
    }
    later {
        "anyOf": "groups of vantage points are not judged by this version",
    }
}

record! {
    /// The stretch before the first kill, in which the steady state has to show itself.
    Baseline {
        /// At least this long. Default: 60s.
        r#for: Lasting,
        /// Given up after this long: the run is skipped. Default: 10m.
        max: Lasting,
    }
}

record! {
    /// What counts as recovered after a kill.
    Recovery {
        /// Within this time of the last kill. Default: 5m.
        within: Lasting,
        /// Steady for this long. Default: 30s.
        hold: Lasting,
    }
}

record! {
    /// What missing samples do.
    Blind {
        /// Missed samples in a row that close the kill gate. Default: 1.
        hold_fire_after: u32,
        /// Missed samples in a row, and at least 3 s, that abort. Default: 3.
        abort_after: u32,
    }
}

record! {
    /// Failed requests in the armed window that end the run.
    Budget {
        /// How many may fail.
        #[schemars(required)]
        failed_requests: u32,
    }
}

record! {
    /// One way to look.
    Probe {
        /// Unique in the policy: a DNS label.
        #[schemars(required)]
        name: Text,
        /// What its samples decide. Default: observe.
        role: Role,
        /// Where they come from.
        #[schemars(required)]
        source: Source,
        /// Good answers of `http`: codes and classes such as `[200, "2xx"]`. Default: 200 to 399.
        status: Vec<At<Status>>,
        /// What the body of `http` has to be.
        body: Body,
        /// Slower answers of `http` are bad.
        slower_than: SlowerThan,
        /// The limit and the hard line.
        share: Share,
        /// A declared, bounded lift of both lines after a kill. Default: none.
        dip: Dip,
    }
    later {
        "value": "tolerances on values are not judged by this version; use `share`, `status`, `body` or `slowerThan`",
        "relative": "limits relative to a control are not judged by this version",
        "anyOf": "groups of vantage points are not judged by this version",
    }
}

choice! {
    /// What a probe's samples decide.
    Role {
        /// Gate, abort and verdict.
        Abort = "abort",
        /// The verdict only.
        Verdict = "verdict",
        /// Drawn, never decides.
        Observe = "observe",
    }
}

record! {
    /// Where samples come from: exactly one.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
    Source {
        /// Requests on a fixed grid.
        http: Http,
        /// A connection that opens.
        tcp: Tcp,
        /// The share of the target's tasks that is not healthy, counted by us.
        marathon: Marathon,
    }
    later {
        "prometheus": "this source is not built into this version",
        "haproxy": "this source is not built into this version",
        "graphite": "this source is not built into this version",
        "influxdb": "this source is not built into this version",
        "datadog": "this source is not built into this version",
        "command": "commands are not run by this version",
    }
}

record! {
    /// Requests on a fixed grid.
    Http {
        /// `http://` or `https://`, without user and password.
        #[schemars(required)]
        url: Text,
        /// Requests in one sample, 1 to 50. Default: 1.
        requests: u32,
    }
    later {
        "dnsFailure": "a name that can't be resolved is always blind in this version",
    }
}

record! {
    /// A connection that opens.
    Tcp {
        /// `host:port`.
        #[schemars(required)]
        address: Text,
    }
}

record! {
    /// Needs no fields: `{}`.
    Marathon {}
}

/// A code (`200`) or a class (`"2xx"`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// First code.
    pub from: u16,
    /// Last code.
    pub to: u16,
}

impl Read for Status {
    fn read(node: &Node, scribe: &mut Scribe) -> Option<Self> {
        let (text, _) = super::read::scalar(node, scribe, "a status code or class", "200")?;
        let class = text
            .strip_suffix("xx")
            .and_then(|d| d.parse::<u16>().ok())
            .filter(|d| (1..=5).contains(d) && text.len() == 3);
        let code = text
            .parse::<u16>()
            .ok()
            .filter(|c| (100..=599).contains(c) && text.len() == 3);
        match (class, code) {
            (Some(class), _) => Some(Self {
                from: class * 100,
                to: class * 100 + 99,
            }),
            (None, Some(code)) => Some(Self { from: code, to: code }),
            (None, None) => {
                scribe.error(
                    node.at,
                    format!("`{text}` is not a status code or class"),
                    "write a code such as `200`, or a class such as `\"2xx\"`",
                );
                None
            }
        }
    }
}

impl JsonSchema for Status {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Status".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "integer", "minimum": 100, "maximum": 599 },
            { "type": "string", "pattern": "^[1-5]([0-9]{2}|xx)$" },
        ] })
    }
}

record! {
    /// What the body has to be.
    Body {
        /// A regular expression that has to be found in it.
        #[schemars(required)]
        regex: Text,
    }
    later {
        "jsonpath": "JSON paths are not judged by this version; use `regex`",
        "equals": "JSON values are not judged by this version; use `regex`",
        "in": "JSON values are not judged by this version; use `regex`",
        "min": "JSON values are not judged by this version; use `regex`",
        "max": "JSON values are not judged by this version; use `regex`",
        "exists": "JSON values are not judged by this version; use `regex`",
    }
}

/// A duration; what is relative to a baseline is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(transparent, inline)]
pub struct SlowerThan(#[schemars(with = "Lasting")] pub std::time::Duration);

impl Read for SlowerThan {
    fn read(node: &Node, scribe: &mut Scribe) -> Option<Self> {
        if let Kind::Map(_) = node.kind {
            scribe.error(
                node.at,
                "`baselineP99` is not available: limits relative to a baseline are not judged by this version",
                "write a duration, such as `slowerThan: 300ms`",
            );
            return None;
        }
        Lasting::read(node, scribe).map(|l| Self(l.0))
    }
}

record! {
    /// The limit line and the hard line.
    Share {
        /// Highest tolerated bad share. Default: 1%.
        max: Percent,
        /// Degradation by definition, from one sample with enough requests. Default: 50%.
        hard: Percent,
    }
}

record! {
    /// A bounded lift of both lines after a kill.
    Dip {
        /// The line meanwhile.
        #[schemars(required)]
        max: Percent,
        /// For this long after a kill.
        #[schemars(required)]
        r#for: Lasting,
    }
}

record! {
    /// How the verdict compares.
    Control {
        /// `beforeAfter`: the same app before the kill. Default: beforeAfter.
        design: Design,
    }
    later {
        "real": "repeated slots are not run by this version",
        "sham": "sham slots are not run by this version",
        "window": "repeated slots are not run by this version",
        "settle": "repeated slots are not run by this version",
        "margin": "margins are not judged by this version",
    }
}

choice! {
    /// How control and experiment are told apart.
    Design {
        /// The same app before the kill: the weakest design, and labelled so.
        BeforeAfter = "beforeAfter",
    }
    later {
        "sham": "sham slots are not run by this version",
        "parallel": "parallel apps are not compared by this version",
        "reference": "reference apps are not compared by this version",
    }
}

record! {
    /// Whose yes is needed before a run.
    Approval {
        /// Whether a person has to say yes. Default: required.
        mode: ApprovalMode,
        /// Who may say it.
        approvers: Approvers,
        /// How many different people. Default: 1.
        quorum: u32,
        /// How long the request stands, at most 24h. Default: 30m.
        expires: Lasting,
    }
    later {
        "notice": "`veto` is not built into this version",
        "for": "`standing` is not built into this version",
        "maxRuns": "`standing` is not built into this version",
    }
}

choice! {
    /// Whether a person has to say yes.
    ApprovalMode {
        /// Yes, for every plan.
        Required = "required",
        /// No; the run is announced.
        Automatic = "automatic",
    }
    later {
        "veto": "announcing and waiting for an objection is not built into this version",
        "standing": "standing approvals are not built into this version",
    }
}

record! {
    /// Who may approve.
    Approvers {
        /// Slack user ids, such as `U012AB3CD`.
        users: Vec<At<Text>>,
        /// Slack user group ids, such as `S0614TZR7`.
        groups: Vec<At<Text>>,
        /// Names of API tokens of the settings file.
        tokens: Vec<At<Text>>,
    }
}

record! {
    /// Who is told.
    Notify {
        /// Slack channel id, such as `C012AB3CD`. Default: the settings' channel.
        channel: Text,
    }
    later {
        "digest": "digests are not sent by this version",
    }
}

record! {
    /// One line of `owners.yaml`.
    OwnerLine {
        /// An exact id, or a group path that ends in `/`.
        #[schemars(required)]
        app: Text,
        /// The team that owns it.
        #[schemars(required)]
        team: Text,
        /// Whether it may be hit at all. Default: false.
        opt_in: bool,
    }
}

/// Where a record would stand that was not written at all: its parent's place.
pub fn or_default<'r, T: Default + Clone>(field: &'r Option<At<T>>) -> Cow<'r, T> {
    field
        .as_ref()
        .map_or_else(|| Cow::Owned(T::default()), |at| Cow::Borrowed(&at.value))
}

/// The place of a field, or of the record it is missing from.
pub fn at<T>(field: &Option<At<T>>, place: &Place) -> super::problem::Span {
    field.as_ref().map_or(place.at, |f| f.at)
}

/// Every field of a policy file by its path, such as `spec.target.tasks.minAge`.
pub fn field_paths() -> Vec<String> {
    fn walk(schema: &serde_json::Value, root: &serde_json::Value, path: &str, out: &mut Vec<String>) {
        if let Some(name) = schema.get("$ref").and_then(|r| r.as_str()) {
            let target = name.rsplit('/').next().and_then(|n| root["$defs"].get(n));
            return target.into_iter().for_each(|t| walk(t, root, path, out));
        }
        for part in ["items", "anyOf"] {
            match schema.get(part) {
                Some(serde_json::Value::Array(list)) => list.iter().for_each(|s| walk(s, root, path, out)),
                Some(one) => walk(one, root, path, out),
                None => {}
            }
        }
        if let Some(serde_json::Value::Object(fields)) = schema.get("properties") {
            for (key, value) in fields {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                out.push(path.clone());
                walk(value, root, &path, out);
            }
        }
    }
    let root = schema_value();
    let mut out = vec![];
    walk(&root, &root, "", &mut out);
    out
}

fn schema_value() -> serde_json::Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12();
    let mut value = settings
        .into_generator()
        .into_root_schema_for::<PolicyFile>()
        .to_value();
    without_null(&mut value);
    value
}

/// A field may be left out but never be empty; schemars says "or null" of everything optional.
fn without_null(value: &mut serde_json::Value) {
    use serde_json::Value;
    let is_null = |v: &Value| v.get("type").is_some_and(|t| t == "null") || v.is_null();
    match value {
        Value::Object(map) => {
            if let Some(Value::Array(types)) = map.get_mut("type") {
                types.retain(|t| t != "null");
                if types.len() == 1 {
                    let only = types.remove(0);
                    map.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(any)) = map.get_mut("anyOf") {
                any.retain(|s| !is_null(s));
                if any.len() == 1
                    && let Some(Value::Object(only)) = any.pop()
                {
                    map.remove("anyOf");
                    map.extend(only);
                }
            }
            if let Some(Value::Array(words)) = map.get_mut("enum") {
                words.retain(|w| !w.is_null());
            }
            map.remove("format");
            map.values_mut().for_each(without_null);
        }
        Value::Array(list) => list.iter_mut().for_each(without_null),
        _ => {}
    }
}

/// `policies/schema.json`: JSON Schema of a policy file, for editors.
///
/// # Panics
///
/// Never: a schema is plain data.
pub fn schema() -> String {
    let mut text = serde_json::to_string_pretty(&schema_value()).expect("a schema is plain data");
    text.push('\n');
    text
}
