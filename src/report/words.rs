//! Numbers, times and sources in the words that every page uses.

use crate::model::experiment::{ProbeSpec, Source};
use crate::model::text::count;
use chrono::{DateTime, TimeDelta, Utc};
use std::time::Duration;

/// `Mon 23 Nov 2026 14:03:11 UTC`.
pub(super) fn moment(at: DateTime<Utc>) -> String {
    at.format("%a %-d %b %Y %H:%M:%S UTC").to_string()
}

/// `14:03:11.250`, in UTC: where the date and the zone are said beside it.
pub(super) fn clock(at: DateTime<Utc>) -> String {
    at.format("%H:%M:%S%.3f").to_string()
}

/// `1 kill`, `3 kills`.
pub(super) fn some(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

/// A share from 0 to 1 as per cent. Something is never shown as nothing, and not quite all never as all.
pub(super) fn percent(share: f64) -> String {
    let p = share * 100.0;
    match p {
        _ if p == 0.0 => "0 %".into(),
        _ if p > 0.0 && p < 0.01 => "< 0.01 %".into(),
        _ if p < 100.0 && p > 99.99 => "> 99.99 %".into(),
        _ => format!("{} %", trimmed(p, if p.abs() < 10.0 || p > 99.0 { 2 } else { 1 })),
    }
}

/// A difference of shares: `+0.02 points`.
pub(super) fn points(difference: f64) -> String {
    let p = difference * 100.0;
    if p == 0.0 {
        return "0 points".into();
    }
    if p.abs() < 0.01 {
        return if p > 0.0 {
            "< +0.01 points"
        } else {
            "> −0.01 points"
        }
        .into();
    }
    format!(
        "{}{} points",
        if p > 0.0 { "+" } else { "−" },
        trimmed(p.abs(), 2)
    )
}

/// `1.5`, `20`: two digits after the point where they matter.
pub(super) fn ratio(number: f64) -> String {
    trimmed(number, 2)
}

fn trimmed(number: f64, places: usize) -> String {
    let text = format!("{number:.places$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// A distance in time, for reading: `4.2 s`, `300 s`.
pub(super) fn seconds(delta: TimeDelta) -> String {
    let s = delta.num_milliseconds() as f64 / 1000.0;
    format!("{} s", trimmed(s, if s.abs() < 100.0 { 1 } else { 0 }))
}

/// A declared length: `800 ms`, `30 s`, `5 min`, `1 h`.
pub(super) fn span(length: Duration) -> String {
    let ms = length.as_millis();
    match ms {
        _ if ms.is_multiple_of(3_600_000) && ms > 0 => format!("{} h", ms / 3_600_000),
        _ if ms.is_multiple_of(60_000) && ms > 0 => format!("{} min", ms / 60_000),
        _ if ms.is_multiple_of(1000) => format!("{} s", ms / 1000),
        _ if ms < 1000 => format!("{ms} ms"),
        _ => format!("{} s", trimmed(ms as f64 / 1000.0, 3)),
    }
}

/// `820 µs`, `1.2 ms`, `3 s`.
pub(super) fn micros(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{} ms", trimmed(us as f64 / 1e3, 2)),
        _ => format!("{} s", trimmed(us as f64 / 1e6, 2)),
    }
}

/// What a probe looks at, in one line.
pub(super) fn source(probe: &ProbeSpec) -> String {
    one(probe, &probe.source)
}

fn one(probe: &ProbeSpec, source: &Source) -> String {
    let what = match &probe.value {
        Some(rule) => format!("a number, {rule},"),
        None => "bad share".to_owned(),
    };
    match source {
        Source::Http(http) => {
            let codes: Vec<_> = http
                .status
                .iter()
                .map(|r| {
                    if r.from == r.to {
                        r.from.to_string()
                    } else {
                        format!("{}–{}", r.from, r.to)
                    }
                })
                .collect();
            let mut text = format!(
                "GET {}, {} a sample; good is status {}",
                http.url,
                some(u64::from(http.requests), "request", "requests"),
                codes.join(", ")
            );
            if let Some(pattern) = &http.body_matches {
                text.push_str(&format!(" and a body that matches {pattern}"));
            }
            if let Some(rule) = &http.json {
                text.push_str(&format!(" and a body with {rule}"));
            }
            if let Some(limit) = http.slower_than {
                text.push_str(&format!(" within {}", span(limit)));
            }
            if let Some(percent) = http.slower_than_baseline_percent {
                let times = trimmed(f64::from(percent) / 100.0, 2);
                text.push_str(&format!(" within {times} times the baseline's 99th percentile"));
            }
            text
        }
        Source::Tcp { address } => format!("a TCP connection to {address} opens"),
        Source::Marathon => "share of the app's instances that serve, counted from task rows".into(),
        Source::Prometheus(p) => format!("{what} by Prometheus at {}: {}", p.url, p.query),
        Source::Haproxy(h) => format!(
            "failed requests of backend {} by the counters of HAProxy at {}",
            h.backend,
            h.lbs.join(", ")
        ),
        Source::Graphite(g) => format!("{what} by Graphite at {}: {}", g.url, g.target),
        Source::Influxdb(i) => format!("{what} by InfluxDB at {}, database {}: {}", i.url, i.db, i.query),
        Source::Command { argv } => {
            let number = probe
                .value
                .as_ref()
                .map(|rule| format!(" and prints a number, {rule}"));
            format!("{} ends with 0{}", argv.join(" "), number.unwrap_or_default())
        }
        Source::AnyOf(group) => {
            let parts: Vec<_> = group.sources.iter().map(|part| one(probe, part)).collect();
            let quorum = match group.quorum {
                Some(quorum) => quorum.to_string(),
                None => "most".to_owned(),
            };
            format!("bad when {quorum} of those that see say so: {}", parts.join("; "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_little_is_never_nothing_and_nearly_all_is_never_all() {
        #[track_caller]
        fn check(share: f64, expected: &str) {
            assert_eq!(percent(share), expected);
        }
        check(0.0, "0 %");
        check(0.000_001, "< 0.01 %");
        check(0.0012, "0.12 %");
        check(0.5, "50 %");
        check(0.123_45, "12.3 %");
        check(0.999_7, "99.97 %");
        check(0.999_999, "> 99.99 %");
        check(1.0, "100 %");
    }

    #[test]
    fn differences_carry_their_sign() {
        assert_eq!(points(0.0002), "+0.02 points");
        assert_eq!(points(-0.005), "−0.5 points");
        assert_eq!(points(0.0), "0 points");
        assert_eq!(points(0.000_01), "< +0.01 points");
        assert_eq!(points(-0.000_01), "> −0.01 points");
    }

    #[test]
    fn lengths_keep_what_was_declared() {
        for (ms, text) in [
            (800, "800 ms"),
            (1500, "1.5 s"),
            (30_000, "30 s"),
            (300_000, "5 min"),
            (7_200_000, "2 h"),
        ] {
            assert_eq!(span(Duration::from_millis(ms)), text);
        }
        assert_eq!(span(Duration::ZERO), "0 s");
        assert_eq!(seconds(TimeDelta::milliseconds(4_230)), "4.2 s");
        assert_eq!(seconds(TimeDelta::seconds(300)), "300 s");
        assert_eq!(
            [micros(820), micros(1_240), micros(3_000_000)],
            ["820 µs", "1.24 ms", "3 s"]
        );
        assert_eq!(
            [count(7), count(1_000), count(1_234_567)],
            ["7", "1,000", "1,234,567"]
        );
    }
}
