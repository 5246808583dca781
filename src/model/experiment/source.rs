//! Where samples come from, and what of an answer is good.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// Where samples come from. One file in `probes` for each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// Requests on a fixed grid.
    Http(Http),
    /// A connection that opens.
    Tcp {
        /// `host:port`.
        address: String,
    },
    /// `1 − healthy ÷ expected` of the target app, counted by us from task rows.
    Marathon,
    /// A query of Prometheus.
    Prometheus(Prometheus),
    /// The counters of load balancers.
    Haproxy(Haproxy),
    /// The last complete bucket of a series.
    Graphite(Graphite),
    /// A query of InfluxDB 1.x.
    Influxdb(Influxdb),
    /// A program that the settings allow.
    Command {
        /// The program and its arguments, exactly as the settings allow them.
        argv: Vec<String>,
    },
    /// Several vantage points of the same quantity.
    AnyOf(AnyOf),
}

impl Source {
    /// The word for it in policies, logs and reports.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Http(_) => "http",
            Self::Tcp { .. } => "tcp",
            Self::Marathon => "marathon",
            Self::Prometheus(_) => "prometheus",
            Self::Haproxy(_) => "haproxy",
            Self::Graphite(_) => "graphite",
            Self::Influxdb(_) => "influxdb",
            Self::Command { .. } => "command",
            Self::AnyOf(_) => "anyOf",
        }
    }

    /// Whether answers are known to stay away now and then without anything being wrong: whatever
    /// has to be collected first by somebody else, and programs.
    pub fn is_flaky(&self) -> bool {
        match self {
            Self::Prometheus(_) | Self::Graphite(_) | Self::Influxdb(_) | Self::Command { .. } => true,
            Self::Http(_) | Self::Tcp { .. } | Self::Marathon | Self::Haproxy(_) => false,
            Self::AnyOf(group) => group.sources.iter().all(Self::is_flaky),
        }
    }

    /// Whether it has a line for slow answers, so that the time of each is taken.
    pub fn takes_time(&self) -> bool {
        match self {
            Self::Http(http) => http.slower_than.is_some() || http.slower_than_baseline_percent.is_some(),
            _ => false,
        }
    }

    /// The sources it asks: itself, or those of a group.
    pub fn parts(&self) -> &[Self] {
        match self {
            Self::AnyOf(group) => &group.sources,
            _ => std::slice::from_ref(self),
        }
    }
}

impl fmt::Display for Source {
    /// Where it looks, for people: an address, a query.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(http) => f.write_str(&http.url),
            Self::Tcp { address } => f.write_str(address),
            Self::Marathon => f.write_str("healthy tasks, as counted from Marathon's rows"),
            Self::Prometheus(p) => write!(f, "{} at {}", p.query, p.url),
            Self::Haproxy(h) => write!(f, "{} at {}", h.backend, h.lbs.join(", ")),
            Self::Graphite(g) => write!(f, "{} at {}", g.target, g.url),
            Self::Influxdb(i) => write!(f, "{} in {} at {}", i.query, i.db, i.url),
            Self::Command { argv } => f.write_str(&argv.join(" ")),
            Self::AnyOf(group) => {
                let parts: Vec<_> = group.sources.iter().map(ToString::to_string).collect();
                write!(f, "{}", parts.join(" | "))
            }
        }
    }
}

/// Requests on a fixed grid, and which answers are good.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Http {
    /// `http` or `https`.
    pub url: String,
    /// Requests in one sample, 1 to 50.
    pub requests: u32,
    /// What answers are good.
    pub status: Vec<StatusRange>,
    /// The body has to match.
    pub body_matches: Option<String>,
    /// Slower answers are bad.
    pub slower_than: Option<Duration>,
    /// What the body has to say at a JSON path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<JsonRule>,
    /// Answers slower than this many per cent of the baseline's 99th percentile are bad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slower_than_baseline_percent: Option<u32>,
    /// Whether a name that can't be resolved is a failure of the target, and not blindness.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dns_failure_is_bad: bool,
}

/// A span of HTTP status codes, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatusRange {
    /// First.
    pub from: u16,
    /// Last.
    pub to: u16,
}

/// What a JSON body has to say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JsonRule {
    /// A path by RFC 9535, such as `$.status`.
    pub path: String,
    /// What is wanted there.
    pub want: JsonWant,
}

impl fmt::Display for JsonRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        match &self.want {
            JsonWant::Equals(wanted) => write!(f, "{path} = {wanted}"),
            JsonWant::In(wanted) => {
                let wanted: Vec<_> = wanted.iter().map(ToString::to_string).collect();
                write!(f, "{path} one of {}", wanted.join(", "))
            }
            JsonWant::Range {
                min: Some(min),
                max: Some(max),
            } => write!(f, "{path} from {min} to {max}"),
            JsonWant::Range { min: Some(min), .. } => write!(f, "{path} at least {min}"),
            JsonWant::Range { max: Some(max), .. } => write!(f, "{path} at most {max}"),
            JsonWant::Range { .. } | JsonWant::Exists(true) => write!(f, "{path}"),
            JsonWant::Exists(false) => write!(f, "no {path}"),
        }
    }
}

/// What is wanted at a path. Where the path leads to several values, each of them has to fit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum JsonWant {
    /// This very value: a text, a number or a truth value.
    Equals(serde_json::Value),
    /// One of these.
    In(Vec<serde_json::Value>),
    /// A number between two ends, both included; at least one is there.
    Range {
        /// At least.
        min: Option<Decimal>,
        /// At most.
        max: Option<Decimal>,
    },
    /// Something, or nothing.
    Exists(bool),
}

/// A decimal number as it was written, so that what is digested holds no float.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Decimal(String);

impl Decimal {
    /// Reads a finite decimal number such as `-12`, `0.05` or `1e6`.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = text
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
        let finite = text.parse::<f64>().is_ok_and(f64::is_finite);
        (plain && finite).then(|| Self(text.to_owned()))
    }

    /// As a number; never infinite.
    pub fn as_f64(&self) -> f64 {
        self.0.parse().unwrap_or(f64::NAN)
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A share that says nothing of how many requests it is made of counts as so many: few enough that a
/// verdict does not take it for certainty, many enough that a baseline can show a limit of 1 %.
pub const SHARE_COUNTS_AS: u32 = 100;

/// A query of Prometheus that gives one number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Prometheus {
    /// Base address, without `/api/v1`.
    pub url: String,
    /// Gives one number: a bad share from 0 to 1, or a value for the tolerance `value`.
    pub query: String,
    /// Gives how many requests that share is made of, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<String>,
    /// A selector of the series behind the query: its last scrape has to be younger than two samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freshness: Option<String>,
}

/// One backend on one or more HAProxy load balancers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Haproxy {
    /// Base addresses of their statistics, such as `http://lb1:9090`; all are summed.
    pub lbs: Vec<String>,
    /// The backend's name, such as `shop_cart_10000`.
    pub backend: String,
}

/// A series of Graphite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Graphite {
    /// Base address, without `/render`.
    pub url: String,
    /// A target that gives one series.
    pub target: String,
}

/// A query of InfluxDB 1.x that gives one row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Influxdb {
    /// Base address, without `/query`.
    pub url: String,
    /// The database.
    pub db: String,
    /// A `SELECT` that gives one row with one number.
    pub query: String,
}

/// Several vantage points of the same quantity: blind only when all are, bad when a quorum of those
/// that see is bad.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AnyOf {
    /// Two or more.
    pub sources: Vec<Source>,
    /// How many have to agree; the majority of those that see when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_stay_as_written_and_are_always_finite() {
        for good in ["0", "-12", "+25", "0.05", "1e6"] {
            assert_eq!(Decimal::parse(good).unwrap().to_string(), good);
        }
        for bad in ["", "NaN", "inf", "1e999", "0x10", "1_000", "1 %", "."] {
            assert_eq!(Decimal::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_plan_of_an_older_version_can_be_read() {
        let old = r#"{"http":{"url":"http://x/","requests":1,"status":[{"from":200,"to":399}],"body_matches":null,"slower_than":null}}"#;
        let source: Source = serde_json::from_str(old).unwrap();
        assert_eq!(source.kind(), "http");
        assert_eq!(
            serde_json::to_string(&source).unwrap(),
            old,
            "its digest must not change"
        );
    }
}
