//! `spec.steadyState` as written.

use crate::policy::problem::Scribe;
use crate::policy::read::{At, Lasting, Percent, Points, Read, Text, choice, record};
use crate::policy::yaml::{Kind, Node};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;

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
        /// With `parallel` and `reference`: it looks at the app that is left alone, and is compared with the probe of this name.
        control_for: Text,
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
    /// How the verdict compares. Kills only ever hit the experimental group.
    Control {
        /// `sham` (the default), `parallel`, `reference` or `beforeAfter`: see "Control groups" below.
        design: Design,
        /// `sham`: pairs of a kill and a sham that a verdict rests on, 3 to 50. Never adds kills: a run with fewer adds the pairs of earlier runs. Default: 5.
        real: u32,
        /// `sham`: the same number as `real`; every kill has its sham. Default: as `real`.
        sham: u32,
        /// `sham`: how long each slot is compared, at least ten samples. Default: 60s.
        window: Lasting,
        /// `sham`: the least time from there to the next slot, at least `recovery.hold`. Default: 60s.
        settle: Lasting,
        /// The difference of bad shares that is tolerated, in percentage points. Default: half of each probe's `share.max`.
        margin: Points,
        /// `parallel`: the app that is left alone.
        control: Text,
        /// `parallel`: the app that is hit; the target may name no other.
        experiment: Text,
        /// `reference`: an app that is left alone.
        reference: Text,
    }
}

choice! {
    /// How control and experiment are told apart.
    Design {
        /// The same app after a sham: everything but the kill, in an order that is drawn.
        Sham = "sham",
        /// Two apps of the same definition side by side, and a random split of requests.
        Parallel = "parallel",
        /// Before against after, less what an untouched app did meanwhile.
        Reference = "reference",
        /// The same app before the kill: the weakest design, and labelled so.
        BeforeAfter = "beforeAfter",
    }
}
