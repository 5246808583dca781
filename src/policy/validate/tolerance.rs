//! What of an answer, or of a number, is good.

use super::probe::Timing;
use crate::model::experiment::{Http, JsonRule, JsonWant, Source, StatusRange, ValueRule};
use crate::policy::problem::{Scribe, Span};
use crate::policy::raw;
use crate::policy::read::{At, brief};
use std::time::Duration;

/// What makes an answer over HTTP good, as written.
pub(super) struct Tolerance<'a> {
    pub status: &'a Option<At<Vec<At<raw::Status>>>>,
    pub body: &'a Option<At<raw::Body>>,
    pub slower_than: &'a Option<At<raw::SlowerThan>>,
}

/// The same, judged; where nothing was written the default of the source holds.
#[derive(Default)]
pub(super) struct Good {
    status: Option<Vec<StatusRange>>,
    regex: Option<String>,
    json: Option<JsonRule>,
    slower_than: Option<Duration>,
    pub slower_than_baseline: Option<u32>,
}

impl Tolerance<'_> {
    pub fn good(&self, timing: Timing, scribe: &mut Scribe) -> Good {
        let mut good = Good::default();
        if let Some(list) = self.status {
            if list.value.is_empty() {
                scribe.error(
                    list.at,
                    "`status` is an empty list: every answer would be bad",
                    "write for example `[200, \"2xx\"]`, or remove the line",
                );
            }
            let range = |s: &At<raw::Status>| StatusRange {
                from: s.value.from,
                to: s.value.to,
            };
            good.status = Some(list.value.iter().map(range).collect());
        }
        if let Some(body) = self.body {
            (good.regex, good.json) = body_of(&body.value, body.at, scribe);
        }
        match self.slower_than.as_ref().map(|s| (&s.value, s.at)) {
            Some((raw::SlowerThan::Fixed(limit), at)) => {
                if limit.is_zero() || *limit >= timing.patience {
                    scribe.error(
                        at,
                        format!("`slowerThan` is {}; it must be more than 0 and less than the timeout of {}", brief(*limit), brief(timing.patience)),
                        "an answer that takes longer than the timeout is bad anyway: lower `slowerThan`, or raise `timeout`",
                    );
                }
                good.slower_than = Some(*limit);
            }
            Some((raw::SlowerThan::Baseline(factor), _)) => {
                let percent = (factor.value.0.as_f64() * 100.0).round();
                if !(101.0..=10_000.0).contains(&percent) {
                    scribe.error(
                        factor.at,
                        format!("`baselineP99` is {}; it may be above 1, up to 100", factor.value.0),
                        "write for example `1.5`: slower than one and a half times the baseline's 99th percentile is bad",
                    );
                }
                good.slower_than_baseline = Some(percent as u32);
            }
            None => {}
        }
        good
    }

    /// Puts it into every `http` source there is; says what has no meaning where there is none.
    pub fn apply(&self, good: &Good, source: &mut Source, scribe: &mut Scribe) {
        let kind = source.kind();
        let mut applied = false;
        let parts: &mut [Source] = match source {
            Source::AnyOf(group) => &mut group.sources,
            other => std::slice::from_mut(other),
        };
        for part in parts {
            let Source::Http(http) = part else { continue };
            applied = true;
            let Http {
                status,
                body_matches,
                json,
                slower_than,
                slower_than_baseline_percent,
                url: _,
                requests: _,
                dns_failure_is_bad: _,
            } = http;
            *status = good.status.clone().unwrap_or_else(|| std::mem::take(status));
            *body_matches = good.regex.clone();
            *json = good.json.clone();
            *slower_than = good.slower_than;
            *slower_than_baseline_percent = good.slower_than_baseline;
        }
        let http_only = [
            self.status.as_ref().map(|f| ("status", f.at)),
            self.body.as_ref().map(|f| ("body", f.at)),
            self.slower_than.as_ref().map(|f| ("slowerThan", f.at)),
        ];
        for (key, at) in http_only.into_iter().flatten().filter(|_| !applied) {
            scribe.error(
                at,
                format!("`{key}` has no meaning for a `{kind}` source"),
                "remove it, or use an `http` source",
            );
        }
        if let (Some(at), true, "anyOf") = (
            self.slower_than.as_ref().map(|f| f.at),
            good.slower_than_baseline.is_some(),
            kind,
        ) {
            scribe.error(
                at,
                "a group of vantage points has no baseline of its own: each may have another",
                "write a duration such as `slowerThan: 300ms`, or make a probe of each",
            );
        }
    }
}

fn body_of(raw: &raw::Body, at: Span, scribe: &mut Scribe) -> (Option<String>, Option<JsonRule>) {
    let raw::Body {
        place,
        regex,
        jsonpath,
        equals,
        r#in,
        min,
        max,
        exists,
    } = raw;
    if let Some(regex) = regex {
        // The bound keeps a hostile expression from taking the operator's memory.
        if let Err(error) = regex::RegexBuilder::new(&regex.value.0)
            .size_limit(1 << 20)
            .build()
        {
            let why = error.to_string();
            let why = why
                .lines()
                .last()
                .unwrap_or("")
                .trim_start_matches("error: ")
                .to_owned();
            scribe.error(regex.at, format!("`regex` can't be used: {why}"), "write a regular expression of Rust's `regex` crate; it has no look-around and no back-references");
        }
    }
    let wants = [
        equals.as_ref().map(|v| JsonWant::Equals(v.value.0.clone())),
        r#in.as_ref()
            .map(|v| JsonWant::In(v.value.iter().map(|s| s.0.clone()).collect())),
        (min.is_some() || max.is_some()).then(|| JsonWant::Range {
            min: min.as_ref().map(|n| n.value.0.clone()),
            max: max.as_ref().map(|n| n.value.0.clone()),
        }),
        exists.as_ref().map(|v| JsonWant::Exists(v.value)),
    ];
    let mut wants: Vec<JsonWant> = wants.into_iter().flatten().collect();
    if jsonpath.is_none() && (regex.is_none() || !wants.is_empty()) {
        if place.bad.is_empty() {
            scribe.error(
                at,
                "`body` says neither a `regex` nor a `jsonpath` that is judged",
                "write `body: { regex: \"ok\" }` or `body: { jsonpath: \"$.status\", equals: \"ok\" }`",
            );
        }
        return (regex.as_ref().map(|r| r.value.0.clone()), None);
    }
    let json = jsonpath.as_ref().and_then(|path| {
        if let Err(error) = serde_json_path::JsonPath::parse(&path.value.0) {
            scribe.error(
                path.at,
                format!("`jsonpath` can't be used: {error}"),
                "write a path by RFC 9535, such as `$.status` or `$.checks[*].ok`",
            );
        }
        if wants.len() != 1 || matches!(wants.first(), Some(JsonWant::In(list)) if list.is_empty()) {
            scribe.error(
                path.at,
                "`jsonpath` needs to know what is wanted there, and one thing only",
                "add one of `equals`, `in`, `min` and `max`, `exists`",
            );
            return None;
        }
        if let Some(JsonWant::Range {
            min: Some(min),
            max: Some(max),
        }) = wants.first()
            && min.as_f64() > max.as_f64()
        {
            scribe.error(
                path.at,
                format!("`min` of {min} is above `max` of {max}"),
                "no number could be good: exchange them",
            );
        }
        Some(JsonRule {
            path: path.value.0.clone(),
            want: wants.pop()?,
        })
    });
    (regex.as_ref().map(|r| r.value.0.clone()), json)
}

pub(super) fn value_of(raw: &raw::Value, at: Span, scribe: &mut Scribe) -> Option<ValueRule> {
    let raw::Value {
        place,
        min,
        max,
        equals,
        baseline_percent,
    } = raw;
    let number = |n: &Option<At<raw::Number>>| n.as_ref().map(|n| n.value.0.clone());
    let rules = [
        (min.is_some() || max.is_some()).then(|| ValueRule::Range {
            min: number(min),
            max: number(max),
        }),
        number(equals).map(ValueRule::Equals),
        baseline_percent.as_ref().and_then(|percent| {
            let written = percent.value.0.to_string();
            let whole = written.parse::<i32>().ok().filter(|p| *p != 0 && (-100..=1_000).contains(p));
            let signed = written.starts_with(['+', '-']);
            if whole.is_none() || !signed {
                scribe.error(
                    percent.at,
                    format!("`baselinePercent` is {written}; a whole number with its sign is wanted, from -100 to +1000"),
                    "write `+25` for at most 25 % above the baseline's mean, `-25` for at most 25 % below it",
                );
                return None;
            }
            whole.map(ValueRule::BaselinePercent)
        }),
    ];
    let mut rules: Vec<_> = rules.into_iter().flatten().collect();
    if let Some(ValueRule::Range {
        min: Some(min),
        max: Some(max),
    }) = rules.first()
        && min.as_f64() > max.as_f64()
    {
        scribe.error(
            at,
            format!("`min` of {min} is above `max` of {max}"),
            "no number could be good: exchange them",
        );
        return None;
    }
    if rules.len() != 1 {
        if place.bad.is_empty() && (baseline_percent.is_none() || rules.len() > 1) {
            scribe.error(
                at,
                "`value` needs one tolerance",
                "write `min` and `max`, or `equals`, or `baselinePercent`; what is tolerated in both directions by different rules is two probes",
            );
        }
        return None;
    }
    rules.pop()
}

/// Whether there is a number to judge.
pub(super) fn fits_value(rule: &ValueRule, at: Span, source: &Source, scribe: &mut Scribe) {
    let measures = |part: &Source| {
        matches!(
            part,
            Source::Prometheus(_) | Source::Graphite(_) | Source::Influxdb(_) | Source::Command { .. }
        )
    };
    if let Some(part) = source.parts().iter().find(|part| !measures(part)) {
        scribe.error(
            at,
            format!("`value` has no meaning for a `{}` source", part.kind()),
            "remove it; `value` judges the number of `prometheus`, `graphite`, `influxdb` and `command`, `share` the bad share of the others",
        );
    }
    if let (ValueRule::BaselinePercent(_), Source::AnyOf(_)) = (rule, source) {
        scribe.error(
            at,
            "a group of vantage points has no baseline of its own: each may have another",
            "write `min` or `max`, or make a probe of each",
        );
    }
    let counts = |part: &Source| matches!(part, Source::Prometheus(p) if p.requests.is_some());
    if source.parts().iter().any(counts) {
        scribe.error(
            at,
            "`value` and `requests` don't go together: a value is one observation, however many requests it is made of",
            "remove `requests`, or remove `value` and let the query give the bad share",
        );
    }
}
