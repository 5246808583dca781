//! `spec.steadyState`: probes, tolerances, and whether the numbers can work at all.

use super::control::{control_of, counterparts};
use super::{is_dns_label, number};
use crate::model::experiment::{
    Baseline, Blindness, Dip, Http, Hypothesis, ProbeSpec, Recovery, Role, Share, Source, StatusRange,
};
use crate::model::ids::ProbeName;
use crate::policy::problem::{Scribe, Span};
use crate::policy::raw;
use crate::policy::read::{At, Lasting, brief};
use std::net::IpAddr;
use std::time::Duration;

const INTERVAL_MIN: Duration = Duration::from_millis(200);
const INTERVAL_MAX: Duration = Duration::from_secs(60);
/// Most probes: each of them takes its share of α and of the target's patience.
const PROBES_MAX: usize = 20;
/// Requests in one sample (`steady-state` §2.2).
const REQUESTS_MAX: u32 = 50;

/// Judges the hypothesis. `None` when a probe could not be made.
pub fn hypothesis(raw: &raw::SteadyState, scribe: &mut Scribe) -> Option<Hypothesis> {
    let raw::SteadyState {
        place,
        interval,
        timeout,
        alpha,
        baseline,
        recovery,
        blind,
        budget,
        probes,
        control,
    } = raw;
    let lasting =
        |field: &Option<At<Lasting>>, default: Duration| field.as_ref().map_or(default, |f| f.value.0);
    let every = lasting(interval, Duration::from_secs(1));
    if let Some(at) = interval
        .as_ref()
        .filter(|_| !(INTERVAL_MIN..=INTERVAL_MAX).contains(&every))
        .map(|i| i.at)
    {
        scribe.error(
            at,
            format!("`interval` is {}; it may be 200ms to 60s", brief(every)),
            "write for example `1s`",
        );
    }
    let patience = lasting(timeout, Duration::from_millis(800));
    if patience.is_zero() || patience >= every {
        scribe.error(
            timeout.as_ref().or(interval.as_ref()).map_or(place.at, |f| f.at),
            format!(
                "`timeout` is {}; it must be more than 0 and less than the interval of {}",
                brief(patience),
                brief(every)
            ),
            format!("write for example `timeout: {}`", brief(every * 4 / 5)),
        );
    }
    let alpha_share = Share(alpha.as_ref().map_or(10_000, |a| a.value.0));
    if let Some(at) = alpha
        .as_ref()
        .filter(|a| a.value.0 == 0 || a.value.0 > 200_000)
        .map(|a| a.at)
    {
        scribe.error(
            at,
            format!("`alpha` is {alpha_share}; it may be above 0% up to 20%"),
            "write for example `1%`: at 0% no run could ever be aborted by its limit",
        );
    }
    let raw::Baseline { place: _, r#for, max } = &*raw::or_default(baseline);
    let base = Baseline {
        at_least: lasting(r#for, Duration::from_secs(60)),
        at_most: lasting(max, Duration::from_secs(600)),
    };
    if base.at_least < every * 10
        || base.at_least > base.at_most
        || base.at_most > Duration::from_secs(4 * 3600)
    {
        scribe.error(
            raw::at(baseline, place),
            format!("the baseline is {} to {}; it needs at least ten samples ({}), and `for` up to `max`, and at most 4h", brief(base.at_least), brief(base.at_most), brief(every * 10)),
            "write for example `baseline: { for: 60s, max: 10m }`",
        );
    }
    let raw::Recovery {
        place: _,
        within,
        hold,
    } = &*raw::or_default(recovery);
    let recover = Recovery {
        within: lasting(within, Duration::from_secs(300)),
        hold: lasting(hold, Duration::from_secs(30)),
    };
    if recover.hold.is_zero()
        || recover.hold >= recover.within
        || recover.within > Duration::from_secs(4 * 3600)
    {
        scribe.error(
            raw::at(recovery, place),
            format!("recovery within {} and steady for {} can't be: `hold` must be above 0 and below `within`, at most 4h", brief(recover.within), brief(recover.hold)),
            "write for example `recovery: { within: 5m, hold: 30s }`",
        );
    }
    let raw::Blind {
        place: blind_place,
        hold_fire_after,
        abort_after,
    } = &*raw::or_default(blind);
    let missed = "count missed samples in a row; not looking is never allowed";
    let blindness = Blindness {
        hold_fire_after: number(hold_fire_after, "holdFireAfter", 1..=10, 1, missed, scribe),
        abort_after: number(abort_after, "abortAfter", 1..=20, 3, missed, scribe),
    };
    if blindness.abort_after < blindness.hold_fire_after {
        scribe.error(
            raw::at(abort_after, blind_place),
            format!(
                "`abortAfter` is {}, less than `holdFireAfter` with {}",
                blindness.abort_after, blindness.hold_fire_after
            ),
            "the gate closes first, then the run ends: raise `abortAfter`",
        );
    }
    let failed = budget.as_ref().and_then(|b| {
        let raw::Budget {
            place,
            failed_requests,
        } = &b.value;
        let failed = place.need(
            failed_requests,
            "failedRequests",
            "write `budget: { failedRequests: 500 }`",
            scribe,
        )?;
        Some(u64::from(number(
            &Some(failed.clone()),
            "failedRequests",
            1..=u32::MAX,
            1,
            "write how many requests may fail, or remove `budget`",
            scribe,
        )))
    });
    let list: &[raw::Probe] = probes.as_ref().map_or(&[], |p| &p.value);
    if list.len() > PROBES_MAX {
        scribe.error(
            raw::at(probes, place),
            format!("there are {} probes; {PROBES_MAX} are the most", list.len()),
            "keep those that decide something",
        );
    }
    let timing = Timing {
        every,
        patience,
        at_most: base.at_most,
        recover_within: recover.within,
    };
    let made: Vec<_> = list.iter().map(|p| probe(p, timing, scribe)).collect();
    for (index, one) in list.iter().enumerate() {
        let name = one.name.as_ref().map(|n| &n.value);
        let twin = list[..index]
            .iter()
            .any(|other| name.is_some() && other.name.as_ref().map(|n| &n.value) == name);
        if let Some(name) = one.name.as_ref().filter(|_| twin) {
            scribe.error(
                name.at,
                format!("two probes are called `{}`", name.value.0),
                "give each its own name",
            );
        }
    }
    let probes = made.into_iter().collect::<Option<Vec<_>>>()?;
    let (control, margin) = control_of(control.as_ref(), place.at, every, recover.hold, scribe);
    counterparts(list, &probes, control.as_ref(), scribe);
    Some(Hypothesis {
        interval: every,
        timeout: patience,
        alpha: alpha_share,
        baseline: base,
        recovery: recover,
        blind: blindness,
        budget: failed,
        probes,
        control: control?,
        margin,
    })
}

/// What a probe's numbers are judged against.
#[derive(Clone, Copy)]
struct Timing {
    every: Duration,
    patience: Duration,
    at_most: Duration,
    recover_within: Duration,
}

fn probe(raw: &raw::Probe, timing: Timing, scribe: &mut Scribe) -> Option<ProbeSpec> {
    let raw::Probe {
        place,
        name,
        role,
        source,
        status,
        body,
        slower_than,
        share,
        dip,
        control_for,
    } = raw;
    let name = place.need(name, "name", "give the probe a name: `name: cart-edge`", scribe);
    if let Some(name) = name.filter(|n| !is_dns_label(&n.value.0)) {
        scribe.error(
            name.at,
            format!("`{}` is not a probe name", name.value.0),
            "use 1 to 63 lower-case letters, digits and `-`",
        );
    }
    let role = match role.as_ref().map(|r| r.value) {
        Some(raw::Role::Abort) => Role::Abort,
        Some(raw::Role::Verdict) => Role::Verdict,
        Some(raw::Role::Observe) | None => Role::Observe,
    };
    let source_at = raw::at(source, place);
    let source = place.need(
        source,
        "source",
        "say where to look: `source: { http: { url: \"http://…\" } }`",
        scribe,
    );
    let mut source = source.and_then(|s| source_of(&s.value, s.at, scribe));
    let http_only = [
        status.as_ref().map(|f| ("status", f.at)),
        body.as_ref().map(|f| ("body", f.at)),
        slower_than.as_ref().map(|f| ("slowerThan", f.at)),
    ];
    if let Some(Source::Http(Http {
        status: good,
        body_matches,
        slower_than: slow,
        ..
    })) = &mut source
    {
        if let Some(list) = status {
            if list.value.is_empty() {
                scribe.error(
                    list.at,
                    "`status` is an empty list: every answer would be bad",
                    "write for example `[200, \"2xx\"]`, or remove the line",
                );
            }
            *good = list
                .value
                .iter()
                .map(|s| StatusRange {
                    from: s.value.from,
                    to: s.value.to,
                })
                .collect();
        }
        if let Some(body) = body {
            let raw::Body { place, regex } = &body.value;
            if let Some(regex) = if place.refused {
                regex.as_ref()
            } else {
                place.need(regex, "regex", "write `body: { regex: \"ok\" }`", scribe)
            } {
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
                *body_matches = Some(regex.value.0.clone());
            }
        }
        if let Some(limit) = slower_than {
            if limit.value.0.is_zero() || limit.value.0 >= timing.patience {
                scribe.error(
                    limit.at,
                    format!("`slowerThan` is {}; it must be more than 0 and less than the timeout of {}", brief(limit.value.0), brief(timing.patience)),
                    "an answer that takes longer than the timeout is bad anyway: lower `slowerThan`, or raise `timeout`",
                );
            }
            *slow = Some(limit.value.0);
        }
    } else if let Some(other) = &source {
        for (key, at) in http_only.into_iter().flatten() {
            scribe.error(
                at,
                format!("`{key}` has no meaning for a `{}` source", other.kind()),
                "remove it, or use an `http` source",
            );
        }
    }
    let raw::Share {
        place: share_place,
        max,
        hard,
    } = &*raw::or_default(share);
    let max_share = Share(max.as_ref().map_or(10_000, |m| m.value.0));
    let hard_share = Share(hard.as_ref().map_or(500_000, |h| h.value.0));
    if max_share.0 == 0 {
        scribe.error(
            raw::at(max, share_place),
            "`max` is 0%: no number of good answers could ever show that it holds",
            "write a small share such as `0.1%`, or use `budget` to count failed requests",
        );
    }
    if hard_share <= max_share {
        scribe.error(
            hard.as_ref().or(max.as_ref()).map_or(place.at, |f| f.at),
            format!("the hard line of {hard_share} is not above the limit of {max_share}"),
            "the limit is judged over many samples, the hard line by one: raise `hard`, or lower `max`",
        );
    }
    if role != Role::Observe && max_share.0 > 0 {
        enough_requests(source.as_ref(), source_at, max_share, timing, scribe);
    }
    let dip = dip
        .as_ref()
        .and_then(|d| dip_of(&d.value, d.at, max_share, timing, scribe));
    Some(ProbeSpec {
        name: ProbeName::new(name?.value.0.clone()),
        role,
        source: source?,
        max: max_share,
        hard: hard_share,
        dip,
        control_for: control_for.as_ref().map(|of| ProbeName::new(of.value.0.clone())),
        ..ProbeSpec::new("", role, Source::Marathon)
    })
}

fn dip_of(raw: &raw::Dip, at: Span, limit: Share, timing: Timing, scribe: &mut Scribe) -> Option<Dip> {
    let raw::Dip { place, max, r#for } = raw;
    let max = place.need(max, "max", "write `dip: { max: 25%, for: 5s }`", scribe);
    let lasts = place.need(r#for, "for", "write `dip: { max: 25%, for: 5s }`", scribe);
    let (max, lasts) = (Share(max?.value.0), lasts?.value.0);
    if max <= limit || lasts.is_zero() || lasts >= timing.recover_within {
        scribe.error(
            at,
            format!("a dip to {max} for {} is none: `max` must be above the limit of {limit}, `for` above 0 and below `recovery.within`", brief(lasts)),
            "write for example `dip: { max: 25%, for: 5s }`, or remove it",
        );
    }
    Some(Dip { max, lasts })
}

/// Clean requests that show with 95 % confidence that a limit holds: `ln(0.05) / ln(1 − limit)`.
pub fn clean_requests(limit: Share) -> u64 {
    if limit >= Share::WHOLE {
        return 1;
    }
    (0.05_f64.ln() / (1.0 - limit.as_f64()).ln()).ceil() as u64
}

/// The baseline must be able to show that the limit holds, or every run would be skipped.
fn enough_requests(source: Option<&Source>, at: Span, limit: Share, timing: Timing, scribe: &mut Scribe) {
    let per_sample = match source {
        Some(Source::Http(http)) => u64::from(http.requests),
        Some(Source::Tcp { .. }) => 1,
        // Tasks are counted, not asked; how many there are is the cluster's to say.
        Some(_) | None => return,
    };
    if per_sample == 0 || timing.every.is_zero() {
        return;
    }
    let needed = clean_requests(limit);
    let samples = needed.div_ceil(per_sample);
    let takes = timing.every * u32::try_from(samples).unwrap_or(u32::MAX);
    if takes > timing.at_most {
        let rate = per_sample as f64 / timing.every.as_secs_f64();
        scribe.error(
            at,
            format!(
                "at {} requests/s a limit of {limit} needs {} of baseline ({needed} clean requests), but `baseline.max` is {}",
                (rate * 100.0).round() / 100.0,
                brief(Duration::from_secs(takes.as_secs().div_ceil(60) * 60)),
                brief(timing.at_most)
            ),
            "raise `requests`, `baseline.max` or `share.max`; otherwise every run would be skipped as not steady",
        );
    }
}

fn source_of(raw: &raw::Source, at: Span, scribe: &mut Scribe) -> Option<Source> {
    let raw::Source {
        place,
        http,
        tcp,
        marathon,
    } = raw;
    let known = [http.is_some(), tcp.is_some(), marathon.is_some()]
        .into_iter()
        .filter(|b| *b)
        .count();
    if known > 1 {
        scribe.error(at, "a probe has more than one source", "make two probes of it");
    }
    if known == 0 {
        if !place.refused && place.bad.is_empty() {
            scribe.error(
                at,
                "the source is missing",
                "write one of `http`, `tcp`, `marathon`",
            );
        }
        return None;
    }
    if let Some(http) = http {
        let raw::Http { place, url, requests } = &http.value;
        let requests = number(
            requests,
            "requests",
            1..=REQUESTS_MAX,
            1,
            "write 1 to 50 requests per sample; a shorter `interval` gives more",
            scribe,
        );
        let url = place.need(url, "url", "write `url: \"http://cart.example/health\"`", scribe)?;
        if let Err((what, help)) = web_address(&url.value.0).and_then(|u| probe_host(&u, &url.value.0)) {
            scribe.error(url.at, what, help);
        }
        return Some(Source::Http(Http {
            url: url.value.0.clone(),
            requests,
            status: vec![StatusRange { from: 200, to: 399 }],
            ..Http::default()
        }));
    }
    if let Some(tcp) = tcp {
        let raw::Tcp { place, address } = &tcp.value;
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
        return Some(Source::Tcp {
            address: address.value.0.clone(),
        });
    }
    marathon.as_ref().map(|m| {
        let raw::Marathon { place: _ } = &m.value;
        Source::Marathon
    })
}

/// Reads a web address as the settings and the probes need it. The text is never repeated: it may
/// hold a password.
///
/// # Errors
///
/// What is wrong, and how to mend it.
pub(crate) fn web_address(text: &str) -> Result<url::Url, (String, String)> {
    let help = || "write for example `http://host.example:8080/path`".to_owned();
    let url = url::Url::parse(text).map_err(|e| (format!("this is not a web address: {e}"), help()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err((format!("`{}` is not http or https", url.scheme()), help()));
    }
    if !url.username().is_empty()
        || url.password().is_some()
        || text
            .split(['/', '?', '#'])
            .nth(2)
            .is_some_and(|a| a.contains('@'))
    {
        return Err((
            "the address has a user or password in it".to_owned(),
            "remove them: addresses are logged and shown".to_owned(),
        ));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(("the address has no host".to_owned(), help()));
    }
    Ok(url)
}

/// Hosts that no probe has a reason to ask, and spellings that hide where a request goes.
///
/// Whether a private network is allowed is the settings' to say (`probes.allowHosts`), and is checked
/// again for every address that the name resolves to.
fn probe_host(url: &url::Url, text: &str) -> Result<(), (String, String)> {
    let written = text
        .split("://")
        .nth(1)
        .unwrap_or("")
        .split(['/', '?', '#'])
        .next()
        .unwrap_or("");
    let written = match written.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => written,
    };
    let host = url.host_str().unwrap_or("");
    let plainly = "write the host plainly: an ASCII name, or four decimal numbers".to_owned();
    if !written.is_ascii() || written.contains('%') || written.contains("xn--") {
        return Err((
            "the host is not written in plain ASCII: it may look like another".to_owned(),
            plainly,
        ));
    }
    if host.ends_with('.') {
        return Err(("the host ends in a dot".to_owned(), "remove the dot".to_owned()));
    }
    let address: Option<IpAddr> = match url.host() {
        Some(url::Host::Ipv4(v4)) => {
            if written != v4.to_string() {
                return Err((format!("the host is another spelling of {v4}"), plainly));
            }
            Some(v4.into())
        }
        Some(url::Host::Ipv6(v6)) => Some(v6.to_ipv4_mapped().map_or(v6.into(), IpAddr::from)),
        _ => None,
    };
    let Some(address) = address else { return Ok(()) };
    let refused = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast(),
        IpAddr::V6(v6) => {
            v6.is_unicast_link_local()
                || v6.is_unspecified()
                || v6.is_multicast()
                || v6.segments()[..2] == [0xfd00, 0x0ec2]
        }
    };
    if refused {
        return Err((
            format!(
                "{address} is a link-local, metadata, multicast or unspecified address: it is never probed"
            ),
            "probe the service at its own address".to_owned(),
        ));
    }
    Ok(())
}
