//! `spec.steadyState.probes` as written.

use crate::policy::problem::Scribe;
use crate::policy::read::{At, Lasting, Percent, Read, Text, choice, record, scalar};
use crate::policy::yaml::{Kind, Node};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;

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
        /// Distance of its samples, a multiple of `interval` up to 5m; not for `role: abort`. Default: `interval`.
        every: Lasting,
        /// Good answers of `http`: codes and classes such as `[200, "2xx"]`. Default: 200 to 399.
        status: Vec<At<Status>>,
        /// What the body of `http` has to be.
        body: Body,
        /// Slower answers of `http` are bad: `300ms`, or `{ baselineP99: 1.5 }`.
        slower_than: SlowerThan,
        /// What a measured number has to be, for `prometheus`, `graphite`, `influxdb` and `command`; without it the number is a bad share from 0 to 1.
        value: Value,
        /// The limit and the hard line.
        share: Share,
        /// Loosens the limit, never the hard line, by what a control sees; needs a design with a control beside the app. Default: none.
        relative: Relative,
        /// A declared, bounded lift of both lines after a kill. Default: none.
        dip: Dip,
        /// With `parallel` and `reference`: it looks at the app that is left alone, and is compared with the probe of this name.
        control_for: Text,
    }
    later {
        "anyOf": "a group of vantage points is a source: `source: { anyOf: { sources: […] } }`",
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
        /// A query of Prometheus that gives one number.
        prometheus: Prometheus,
        /// The counters of HAProxy, such as marathon-lb's.
        haproxy: Haproxy,
        /// The last complete bucket of a Graphite series; not for `role: abort`.
        graphite: Graphite,
        /// A query of InfluxDB 1.x that gives one row with one number; not for `role: abort`.
        influxdb: Influxdb,
        /// A program: exit code 0 is good, 1 is bad, anything else is blind.
        command: Command,
        /// Several vantage points of the same quantity: blind only when all are.
        any_of: AnyOf,
    }
    later {
        "datadog": "this source is not built into this version",
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
        /// What a host name is that can't be resolved. Default: blind.
        dns_failure: DnsFailure,
    }
}

choice! {
    /// What a host name is that can't be resolved.
    DnsFailure {
        /// Nothing was learnt about the target.
        Blind = "blind",
        /// A failure of the target, as every failed request.
        Bad = "bad",
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

record! {
    /// A query of Prometheus that gives one number.
    Prometheus {
        /// Its base address, without `/api/v1`.
        #[schemars(required)]
        url: Text,
        /// Gives one number: a bad share from 0 to 1, or what `value` judges.
        #[schemars(required)]
        query: Text,
        /// Gives how many requests the share is made of. Default: it counts as 100.
        requests: Text,
        /// A selector of the series behind the query: its last scrape has to be younger than two samples. Must for `role: abort`.
        freshness: Text,
    }
}

record! {
    /// The counters of HAProxy, such as marathon-lb's.
    Haproxy {
        /// Base addresses of the statistics, such as `http://lb1:9090`, at most 16; all are summed.
        #[schemars(required)]
        lbs: Vec<At<Text>>,
        /// The backend, such as `shop_cart_10000`.
        #[schemars(required)]
        backend: Text,
    }
}

record! {
    /// The last complete bucket of a Graphite series.
    Graphite {
        /// Its base address, without `/render`.
        #[schemars(required)]
        url: Text,
        /// A target that gives one series.
        #[schemars(required)]
        target: Text,
    }
}

record! {
    /// A query of InfluxDB 1.x.
    Influxdb {
        /// Its base address, without `/query`.
        #[schemars(required)]
        url: Text,
        /// The database.
        #[schemars(required)]
        db: Text,
        /// A `SELECT` that gives one row with one number.
        #[schemars(required)]
        query: Text,
    }
}

record! {
    /// A program that the settings allow.
    Command {
        /// Program and arguments, word for word as in `probes.allowCommands` of the settings.
        #[schemars(required)]
        argv: Vec<At<Text>>,
    }
}

record! {
    /// Several vantage points of the same quantity.
    AnyOf {
        /// Two to eight sources; not `marathon`, not another group.
        #[schemars(required)]
        sources: Vec<At<Source>>,
        /// How many have to be bad together, at least the majority. Default: the majority of those that see.
        quorum: u32,
    }
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
        let (text, _) = crate::policy::read::scalar(node, scribe, "a status code or class", "200")?;
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
        regex: Text,
        /// A JSON path (RFC 9535); with one of the following.
        jsonpath: Text,
        /// The value there: a text, a number or a truth value.
        equals: Scalar,
        /// One of these values is there.
        r#in: Vec<Scalar>,
        /// The number there is at least this.
        min: Number,
        /// The number there is at most this.
        max: Number,
        /// Whether something is there.
        exists: bool,
    }
}

/// A duration, or a multiple of the baseline's 99th percentile.
#[derive(Clone, Debug, PartialEq)]
pub enum SlowerThan {
    /// `300ms`.
    Fixed(std::time::Duration),
    /// `{ baselineP99: 1.5 }`.
    Baseline(At<Number>),
}

record! {
    /// A multiple of what the baseline shows.
    SlowerThanBaseline {
        /// Slower than so many times the baseline's 99th percentile; above 1, such as 1.5.
        #[schemars(required)]
        baseline_p99: Number,
    }
}

impl Read for SlowerThan {
    fn read(node: &Node, scribe: &mut Scribe) -> Option<Self> {
        if !matches!(node.kind, Kind::Map(_)) {
            return Lasting::read(node, scribe).map(|l| Self::Fixed(l.0));
        }
        let SlowerThanBaseline { place, baseline_p99 } = SlowerThanBaseline::read(node, scribe)?;
        let help = "write `slowerThan: { baselineP99: 1.5 }`, or a duration such as `300ms`";
        let factor = place.need(&baseline_p99, "baselineP99", help, scribe)?;
        Some(Self::Baseline(factor.clone()))
    }
}

impl JsonSchema for SlowerThan {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "SlowerThan".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let fixed = Lasting::json_schema(generator);
        let baseline = generator.subschema_for::<SlowerThanBaseline>();
        json_schema!({ "anyOf": [fixed, baseline] })
    }
}

record! {
    /// What a measured number has to be: `min` and `max`, or `equals`, or `baselinePercent`.
    Value {
        /// At least.
        min: Number,
        /// At most.
        max: Number,
        /// Exactly.
        equals: Number,
        /// At most so much above the baseline's mean (`+25`), or below it (`-25`); with its sign.
        baseline_percent: Number,
    }
}

/// A decimal number, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number(pub crate::model::experiment::Decimal);

impl Read for Number {
    fn read(node: &Node, scribe: &mut Scribe) -> Option<Self> {
        let (text, plain) = scalar(node, scribe, "a number", "0.5")?;
        let number = crate::model::experiment::Decimal::parse(text).filter(|_| plain);
        if number.is_none() {
            scribe.error(
                node.at,
                format!("`{text}` is not a number"),
                "write a decimal number such as `12`, `0.5` or `1e6`, without quotes and units",
            );
        }
        number.map(Self)
    }
}

impl JsonSchema for Number {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Number".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number" })
    }
}

/// A text, a number or a truth value of JSON. Without quotes `1` is a number and `true` a truth value.
#[derive(Clone, Debug, PartialEq)]
pub struct Scalar(pub serde_json::Value);

impl Read for Scalar {
    fn read(node: &Node, scribe: &mut Scribe) -> Option<Self> {
        let (text, plain) = scalar(node, scribe, "a text, a number or a truth value", "ok")?;
        let bare = match serde_json::from_str(text) {
            Ok(value @ (serde_json::Value::Bool(_) | serde_json::Value::Number(_))) if plain => value,
            _ => text.into(),
        };
        Some(Self(bare))
    }
}

impl JsonSchema for Scalar {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Scalar".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

record! {
    /// A limit that follows a control.
    Relative {
        /// What it follows: `control`.
        #[schemars(required)]
        to: To,
        /// How many times the control's bad share is tolerated, 1 to 10. Default: 2.
        ratio: Number,
        /// How far back the control is looked at, two samples to 30s. Default: 10s.
        window: Lasting,
    }
}

choice! {
    /// What a limit follows.
    To {
        /// The control of `control.design`.
        Control = "control",
    }
}

record! {
    /// The limit line and the hard line.
    Share {
        /// Highest tolerated bad share. Default: 1%.
        max: Percent,
        /// Degradation by definition, from one sample with enough requests. Default: 50%.
        hard: Percent,
        /// So many samples in a row above `max` abort as well, 2 to 600: an extra rule, with no bound on false aborts. Default: none.
        consecutive: u32,
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
