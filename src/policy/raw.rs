//! The files as written: every field optional, every field with its place, nothing judged.
//!
//! This is the one declaration of what a policy file may say: the reader, `policies/schema.json` and
//! the completeness test of `policies/README.md` come from it. What the fields mean, and what is
//! refused although it can be read, is `validate`'s.

mod probe;
mod schema;
mod steady_state;

pub use probe::{
    AnyOf, Body, Command, Dip, DnsFailure, Graphite, Haproxy, Http, Influxdb, Marathon, Number, Probe,
    Prometheus, Relative, Role, Scalar, Share, SlowerThan, SlowerThanBaseline, Source, Status, Tcp, To,
    Value,
};
pub use schema::{field_paths, schema};
pub use steady_state::{Baseline, Blind, Budget, Control, Design, EachTask, Recovery, SteadyState};

use super::problem::Scribe;
use super::read::{At, Day, Lasting, Minute, Place, Read, Text, Workdays, choice, record};
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
    /// The kind of harm: exactly one of these.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
    Fault {
        /// Ends tasks of one app; Marathon starts them again.
        kill_tasks: KillTasks,
        /// Ends every task of the target's apps on one rack, zone, region or host; the agents stay.
        agent_outage: AgentOutage,
    }
    later {
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
    /// Ends every task of the target's apps on the agents of one place: all of them or none.
    AgentOutage {
        /// What makes agents one place: the name of an agent attribute such as `rack`, or `"@hostname"`, `"@region"`, `"@zone"`, in quotes.
        #[schemars(required)]
        attribute: Text,
        /// Which place: its value, or `any` for one that the seed draws.
        #[schemars(required)]
        value: PlaceValue,
        /// `perAgent`: one agent after the other; `atOnce`: all in one step. Default: perAgent.
        steps: OutageSteps,
        /// The least time between two steps; a step also waits for recovery. Default: 30s.
        gap: Lasting,
    }
}

choice! {
    /// How an outage is shared out over steps.
    OutageSteps {
        /// One agent after the other, each once the one before has recovered.
        PerAgent = "perAgent",
        /// All agents in one step, hence in one request.
        AtOnce = "atOnce",
    }
}

/// A text or a number, as written: agent attributes may be either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceValue(pub String);

impl Read for PlaceValue {
    fn read(node: &Node, scribe: &mut Scribe) -> Option<Self> {
        let (text, plain) = super::read::scalar(node, scribe, "a value", "any")?;
        if plain && text.parse::<f64>().is_ok_and(f64::is_finite) {
            return Some(Self(text.to_owned()));
        }
        Text::read(node, scribe).map(|Text(text)| Self(text))
    }
}

impl JsonSchema for PlaceValue {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "PlaceValue".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number"] })
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
        /// Civil dates without runs: dates, and calendar files as `{ ics: holidays.ics }`.
        holidays: Vec<Holiday>,
        /// The last date that `holidays` speaks of; nothing runs after it. Default: the end of its last year.
        holidays_until: Day,
        /// On average once in so many work days, such as `3 workdays`; or `{ poisson: 2h }` for several a day.
        mean_time_between: Mean,
        /// At a fixed distance from the opening of the window, such as `2h`.
        every: Lasting,
        /// Only when a person asks. Default when neither of the other two is written.
        on_demand: bool,
        /// The least time between the kills of two runs on one app: `1 workday`, `4h` or `none`. Default: 1 workday; must be written with `poisson`.
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

/// A date without runs, or a file of them.
#[derive(Clone, Debug, PartialEq)]
pub enum Holiday {
    /// A date.
    Day(chrono::NaiveDate),
    /// A calendar file.
    Ics(At<Text>),
}

record! {
    /// Whole-day events of an iCalendar file.
    HolidayFile {
        /// The file, relative to this one.
        #[schemars(required)]
        ics: Text,
    }
}

impl Read for Holiday {
    fn read(node: &Node, scribe: &mut Scribe) -> Option<Self> {
        if !matches!(node.kind, Kind::Map(_)) {
            return Day::read(node, scribe).map(|day| Self::Day(day.0));
        }
        let HolidayFile { place, ics } = HolidayFile::read(node, scribe)?;
        place
            .need(&ics, "ics", "write `{ ics: holidays.ics }`", scribe)
            .cloned()
            .map(Self::Ics)
    }
}

impl JsonSchema for Holiday {
    fn schema_name() -> Cow<'static, str> {
        "Holiday".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [generator.subschema_for::<Day>(), generator.subschema_for::<HolidayFile>()] })
    }
}

/// `3 workdays`, or `{ poisson: 2h }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mean {
    /// At most one a day.
    Workdays(u32),
    /// Several a day.
    Poisson(std::time::Duration),
}

record! {
    /// Runs at random moments of the open time, several a day.
    Poisson {
        /// Mean open time between two runs, from 5m.
        #[schemars(required)]
        poisson: Lasting,
    }
}

impl Read for Mean {
    fn read(node: &Node, scribe: &mut Scribe) -> Option<Self> {
        if !matches!(node.kind, Kind::Map(_)) {
            return Workdays::read(node, scribe).map(|days| Self::Workdays(days.0));
        }
        let Poisson { place, poisson } = Poisson::read(node, scribe)?;
        place
            .need(&poisson, "poisson", "write `{ poisson: 2h }`", scribe)
            .map(|mean| Self::Poisson(mean.value.0))
    }
}

impl JsonSchema for Mean {
    fn schema_name() -> Cow<'static, str> {
        "Mean".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [generator.subschema_for::<Workdays>(), generator.subschema_for::<Poisson>()] })
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
        /// Tasks of all apps together. Must, and only, with `agentOutage`.
        max_tasks_in_all: u32,
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
