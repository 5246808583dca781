//! Where a probe looks.

use super::address::{probe_host, web_address};
use super::number;
use super::promql::is_selector;
use crate::model::experiment::{AnyOf, Graphite, Haproxy, Http, Influxdb, Prometheus, Source, StatusRange};
use crate::policy::problem::{Scribe, Span};
use crate::policy::raw;
use crate::policy::read::{At, Text};

/// Requests in one sample (`steady-state` §2.2).
const REQUESTS_MAX: u32 = 50;
/// Balancers of one probe: each is asked at every sample.
const LBS_MAX: usize = 16;
/// Vantage points of one probe.
const VANTAGES_MAX: usize = 8;
/// A query travels in a URL.
const QUERY_MAX: usize = 4_000;

/// Judges a source; tolerances come later. `None` when it can't be made.
pub(super) fn source_of(raw: &raw::Source, at: Span, scribe: &mut Scribe) -> Option<Source> {
    let raw::Source {
        place,
        http,
        tcp,
        marathon,
        prometheus,
        haproxy,
        graphite,
        influxdb,
        command,
        any_of,
    } = raw;
    let known = [
        http.is_some(),
        tcp.is_some(),
        marathon.is_some(),
        prometheus.is_some(),
        haproxy.is_some(),
        graphite.is_some(),
        influxdb.is_some(),
        command.is_some(),
        any_of.is_some(),
    ];
    match known.into_iter().filter(|is| *is).count() {
        0 => {
            if !place.refused && place.bad.is_empty() {
                scribe.error(
                    at,
                    "the source is missing",
                    "write one of `http`, `tcp`, `marathon`, `prometheus`, `haproxy`, `graphite`, `influxdb`, `command`, `anyOf`",
                );
            }
            return None;
        }
        1 => {}
        _ => scribe.error(at, "a probe has more than one source", "make two probes of it"),
    }
    if let Some(http) = http {
        http_of(&http.value, scribe)
    } else if let Some(tcp) = tcp {
        tcp_of(&tcp.value, scribe)
    } else if let Some(prometheus) = prometheus {
        prometheus_of(&prometheus.value, scribe)
    } else if let Some(haproxy) = haproxy {
        haproxy_of(&haproxy.value, scribe)
    } else if let Some(graphite) = graphite {
        let raw::Graphite { place, url, target } = &graphite.value;
        let url = base_url(
            place.need(url, "url", "write `url: \"http://graphite.example\"`", scribe),
            scribe,
        );
        let target = query_text(
            place.need(target, "target", "write a target that gives one series", scribe),
            scribe,
        );
        Some(Source::Graphite(Graphite {
            url: url?,
            target: target?,
        }))
    } else if let Some(influxdb) = influxdb {
        influxdb_of(&influxdb.value, scribe)
    } else if let Some(command) = command {
        command_of(&command.value, scribe)
    } else if let Some(group) = any_of {
        any_of_of(&group.value, scribe)
    } else {
        marathon.as_ref().map(|m| {
            let raw::Marathon { place: _ } = &m.value;
            Source::Marathon
        })
    }
}

fn http_of(raw: &raw::Http, scribe: &mut Scribe) -> Option<Source> {
    let raw::Http {
        place,
        url,
        requests,
        dns_failure,
    } = raw;
    let requests = number(
        requests,
        "requests",
        1..=REQUESTS_MAX,
        1,
        "write 1 to 50 requests per sample; a shorter `interval` gives more",
        scribe,
    );
    let url = place.need(url, "url", "write `url: \"http://cart.example/health\"`", scribe)?;
    may_be_asked(url, scribe);
    Some(Source::Http(Http {
        url: url.value.0.clone(),
        requests,
        status: vec![StatusRange { from: 200, to: 399 }],
        dns_failure_is_bad: match dns_failure.as_ref().map(|d| d.value) {
            Some(raw::DnsFailure::Bad) => true,
            Some(raw::DnsFailure::Blind) | None => false,
        },
        ..Http::default()
    }))
}

fn tcp_of(raw: &raw::Tcp, scribe: &mut Scribe) -> Option<Source> {
    let raw::Tcp { place, address } = raw;
    let address = place.need(
        address,
        "address",
        "write `address: \"cart.example:6379\"`",
        scribe,
    )?;
    let url = web_address(&format!("http://{}", address.value.0));
    let port = address
        .value
        .0
        .rsplit_once(':')
        .and_then(|(_, p)| p.parse::<u16>().ok())
        .filter(|p| *p > 0);
    match url {
        Ok(url) if port.is_some() && !address.value.0.contains(['/', '?', '#', '@']) => {
            if let Err((what, help)) = probe_host(&url, &format!("http://{}", address.value.0)) {
                scribe.error(address.at, what, help);
            }
        }
        _ => scribe.error(
            address.at,
            format!("`{}` is not `host:port`", address.value.0),
            "write for example `\"cart.example:6379\"`",
        ),
    }
    Some(Source::Tcp {
        address: address.value.0.clone(),
    })
}

fn prometheus_of(raw: &raw::Prometheus, scribe: &mut Scribe) -> Option<Source> {
    let raw::Prometheus {
        place,
        url,
        query,
        requests,
        freshness,
    } = raw;
    let url = base_url(
        place.need(
            url,
            "url",
            "write `url: \"http://prometheus.example:9090\"`",
            scribe,
        ),
        scribe,
    );
    let query = query_text(
        place.need(query, "query", "write a query that gives one number", scribe),
        scribe,
    );
    let requests = requests.as_ref().and_then(|q| query_text(Some(q), scribe));
    let selector = freshness.as_ref().filter(|text| !text.value.0.trim().is_empty());
    if let Some(text) = selector.filter(|text| !is_selector(&text.value.0)) {
        scribe.error(
            text.at,
            "`freshness` is not a selector: of anything else Prometheus gives the present as its age, however old the series is",
            "write the series behind the query and nothing around it, such as `'http_requests_total{app=\"cart\"}'`",
        );
    }
    let freshness = freshness.as_ref().and_then(|q| query_text(Some(q), scribe));
    Some(Source::Prometheus(Prometheus {
        url: url?,
        query: query?,
        requests,
        freshness,
    }))
}

fn haproxy_of(raw: &raw::Haproxy, scribe: &mut Scribe) -> Option<Source> {
    let raw::Haproxy { place, lbs, backend } = raw;
    let lbs = place.need(lbs, "lbs", "write `lbs: [\"http://lb1.example:9090\"]`", scribe);
    let backend = place.need(
        backend,
        "backend",
        "write the backend's name as HAProxy has it, such as `shop_cart_10000`",
        scribe,
    );
    let lbs = lbs?;
    if lbs.value.is_empty() || lbs.value.len() > LBS_MAX {
        scribe.error(
            lbs.at,
            format!(
                "`lbs` names {} balancers; it may be 1 to {LBS_MAX}",
                lbs.value.len()
            ),
            "name each balancer that carries traffic to the app: one that is left out is not watched",
        );
    }
    for (index, lb) in lbs.value.iter().enumerate() {
        may_be_asked(lb, scribe);
        let same = |other: &At<Text>| other.value.0.trim_end_matches('/') == lb.value.0.trim_end_matches('/');
        if lbs.value[..index].iter().any(same) {
            scribe.error(
                lb.at,
                format!("`{}` is there twice", lb.value.0),
                "its traffic would count twice: remove one",
            );
        }
    }
    Some(Source::Haproxy(Haproxy {
        lbs: lbs.value.iter().map(|lb| lb.value.0.clone()).collect(),
        backend: backend?.value.0.clone(),
    }))
}

fn influxdb_of(raw: &raw::Influxdb, scribe: &mut Scribe) -> Option<Source> {
    let raw::Influxdb {
        place,
        url,
        db,
        query,
    } = raw;
    let url = base_url(
        place.need(
            url,
            "url",
            "write `url: \"http://influxdb.example:8086\"`",
            scribe,
        ),
        scribe,
    );
    let db = place.need(db, "db", "name the database", scribe);
    let written = place.need(
        query,
        "query",
        "write a `SELECT` that gives one row with one number",
        scribe,
    );
    if let Some(query) = written {
        let words: Vec<String> = query
            .value
            .0
            .split_whitespace()
            .map(str::to_ascii_lowercase)
            .collect();
        let selects = words.first().is_some_and(|word| word == "select");
        if !selects || words.iter().any(|word| word == "into") || query.value.0.contains(';') {
            scribe.error(
                query.at,
                "the query is not one `SELECT` that only reads",
                "probes change nothing: write one `SELECT` without `INTO` and without `;`",
            );
        }
    }
    let query = query_text(written, scribe);
    Some(Source::Influxdb(Influxdb {
        url: url?,
        db: db?.value.0.clone(),
        query: query?,
    }))
}

fn command_of(raw: &raw::Command, scribe: &mut Scribe) -> Option<Source> {
    let raw::Command { place, argv } = raw;
    let argv = place.need(
        argv,
        "argv",
        "write `argv: [\"/usr/local/bin/check\", \"cart\"]`",
        scribe,
    )?;
    if !argv
        .value
        .first()
        .is_some_and(|program| program.value.0.starts_with('/'))
    {
        scribe.error(
            argv.at,
            "`argv` does not begin with the path of a program",
            "write the whole path, such as `\"/usr/local/bin/check\"`: no shell and no search path is used",
        );
    }
    Some(Source::Command {
        argv: argv.value.iter().map(|word| word.value.0.clone()).collect(),
    })
}

fn any_of_of(raw: &raw::AnyOf, scribe: &mut Scribe) -> Option<Source> {
    let raw::AnyOf {
        place,
        sources,
        quorum,
    } = raw;
    let help = "write two or more sources: `anyOf: { sources: [ { http: { … } }, { http: { … } } ] }`";
    let sources = place.need(sources, "sources", help, scribe)?;
    let all = sources.value.len();
    if !(2..=VANTAGES_MAX).contains(&all) {
        scribe.error(
            sources.at,
            format!("a group has {all} vantage points; it may have 2 to {VANTAGES_MAX}"),
            help,
        );
    }
    let made: Vec<_> = sources
        .value
        .iter()
        .map(|one| {
            let source = source_of(&one.value, one.at, scribe);
            if let Some(Source::Marathon | Source::AnyOf(_)) = source {
                let kind = source.as_ref().map_or("", |s| s.kind());
                scribe.error(
                    one.at,
                    format!("`{kind}` can't stand in a group"),
                    "a group asks the same question from several places; make a probe of its own of it",
                );
            }
            source
        })
        .collect();
    for (index, (one, source)) in sources.value.iter().zip(&made).enumerate() {
        if source.is_some() && made[..index].contains(source) {
            scribe.error(
                one.at,
                "this vantage point is there twice",
                "it would have two votes: remove one",
            );
        }
    }
    let majority = u32::try_from(all / 2 + 1).unwrap_or(u32::MAX);
    let quorum = quorum.as_ref().map(|q| (q.value, q.at));
    if let Some((number, at)) = quorum
        && !(majority..=u32::try_from(all).unwrap_or(u32::MAX)).contains(&number)
    {
        scribe.error(
            at,
            format!("`quorum` is {number}; of {all} vantage points it may be {majority} to {all}"),
            "where fewer than most may end a run, each of them is an abort probe of its own: write them as such, and `alpha` is split among them",
        );
    }
    Some(Source::AnyOf(AnyOf {
        sources: made.into_iter().collect::<Option<Vec<_>>>()?,
        quorum: quorum.map(|(number, _)| number),
    }))
}

/// Writes down what is wrong with an address that a probe would ask.
pub(super) fn may_be_asked(url: &At<Text>, scribe: &mut Scribe) {
    if let Err((what, help)) = web_address(&url.value.0).and_then(|u| probe_host(&u, &url.value.0)) {
        scribe.error(url.at, what, help);
    }
}

/// The base address of a metric system: no query, to which the endpoint is added.
fn base_url(url: Option<&At<Text>>, scribe: &mut Scribe) -> Option<String> {
    let url = url?;
    may_be_asked(url, scribe);
    if url.value.0.contains(['?', '#']) {
        scribe.error(
            url.at,
            "a base address has no query",
            "write it up to the host, or the path in front of the API",
        );
    }
    Some(url.value.0.clone())
}

/// A query that fits into a URL.
fn query_text(text: Option<&At<Text>>, scribe: &mut Scribe) -> Option<String> {
    let text = text?;
    if text.value.0.len() > QUERY_MAX {
        scribe.error(
            text.at,
            format!(
                "the query is {} bytes long; {QUERY_MAX} are the most",
                text.value.0.len()
            ),
            "record it under a name of its own where it is measured, and ask for that",
        );
    }
    Some(text.value.0.clone())
}
