//! One probe: its tolerances, and whether its numbers can work at all.

use super::is_dns_label;
use super::promql::{is_of_another_time, longest_window};
use super::source::source_of;
use super::tolerance::{Tolerance, fits_value, value_of};
use crate::model::experiment::{
    Dip, MEAN_SAMPLES, P99_REQUESTS, ProbeSpec, Relative, Role, SHARE_COUNTS_AS, Share, Source, ValueRule,
};
use crate::model::ids::ProbeName;
use crate::policy::problem::{Scribe, Span};
use crate::policy::raw;
use crate::policy::read::{At, brief};
use std::time::Duration;

/// A probe is looked at this seldom at most.
const EVERY_MAX: Duration = Duration::from_secs(300);
/// Missed samples in a row that abort, for sources that are known to be flaky (`steady-state` §2.5).
const ABORT_AFTER_FLAKY: u32 = 5;

/// What a probe's numbers are judged against.
#[derive(Clone, Copy)]
pub(super) struct Timing {
    pub every: Duration,
    pub patience: Duration,
    pub at_most: Duration,
    pub recover_within: Duration,
    /// `blind.abortAfter`, when it was written.
    pub abort_after: Option<u32>,
    /// Whether the design has a control beside the app.
    pub has_control: bool,
}

pub(super) fn probe(raw: &raw::Probe, timing: Timing, scribe: &mut Scribe) -> Option<ProbeSpec> {
    let raw::Probe {
        place,
        name,
        role,
        source,
        every,
        status,
        body,
        slower_than,
        value,
        share,
        relative,
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
    let distance = distance(every, role, source.as_ref(), timing, scribe);
    if let (Some(source), Role::Abort) = (&source, role) {
        may_abort(source, source_at, scribe);
    }
    if let Some(source) = source.as_ref().filter(|_| role != Role::Observe) {
        is_of_its_sample(source, source_at, distance.unwrap_or(timing.every), scribe);
    }

    let tolerance = Tolerance {
        status,
        body,
        slower_than,
    };
    let good = tolerance.good(timing, scribe);
    let value = value
        .as_ref()
        .and_then(|v| value_of(&v.value, v.at, scribe).map(|rule| (rule, v.at)));
    if let Some(source) = &mut source {
        tolerance.apply(&good, source, scribe);
        if let Some((rule, at)) = &value {
            fits_value(rule, *at, source, scribe);
        }
    }

    let raw::Share {
        place: share_place,
        max,
        hard,
        consecutive,
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
    if hard_share >= Share::WHOLE {
        scribe.error(
            raw::at(hard, share_place),
            "the hard line is 100%: no sample can be worse, so nothing would ever cross it",
            "write for example `50%`",
        );
    }
    if hard_share <= max_share {
        scribe.error(
            hard.as_ref().or(max.as_ref()).map_or(place.at, |f| f.at),
            format!("the hard line of {hard_share} is not above the limit of {max_share}"),
            "the limit is judged over many samples, the hard line by one: raise `hard`, or lower `max`",
        );
    }
    if let Some(in_a_row) = consecutive {
        if !(2..=600).contains(&in_a_row.value) {
            scribe.error(
                in_a_row.at,
                format!(
                    "`consecutive` is {}; 2 to 600 samples in a row can be asked for",
                    in_a_row.value
                ),
                "write for example `consecutive: 5`; for one sample alone there is `hard`",
            );
        } else if role != Role::Abort {
            scribe.error(
                in_a_row.at,
                "`consecutive` ends a run, and only a probe with `role: abort` does that",
                "give the probe `role: abort`, or remove `consecutive`",
            );
        } else if source == Some(Source::Marathon) {
            scribe.error(
                in_a_row.at,
                "Marathon hears of health late, and its samples repeat what it last heard: many in a row are no more than one",
                "remove `consecutive`; `hard` is what a `marathon` probe aborts by",
            );
        }
    }
    let value = value.map(|(rule, _)| rule);
    if let Some(source) = &source {
        let pace = Pace {
            per_sample: per_sample(source, value.as_ref()),
            every: distance.unwrap_or(timing.every),
            at_most: timing.at_most,
        };
        // The baseline asks this of abort probes only.
        if role == Role::Abort && max_share.0 > 0 {
            pace.can_show_the_limit(source_at, max_share, scribe);
        }
        if let (Some(at), true) = (
            slower_than.as_ref().map(|s| s.at),
            good.slower_than_baseline.is_some(),
        ) {
            pace.can_show_a_p99(at, scribe);
        }
        if let (Some(ValueRule::BaselinePercent(_)), Some(at)) = (&value, raw.value.as_ref().map(|v| v.at)) {
            pace.can_show_a_mean(at, scribe);
        }
    }
    let dip = dip
        .as_ref()
        .and_then(|d| dip_of(&d.value, d.at, max_share, timing, scribe));
    let relative = relative
        .as_ref()
        .and_then(|r| relative_of(&r.value, r.at, timing, scribe));
    if let (Some(relative), Some(source), Some(written)) = (relative, &source, &raw.relative) {
        let observed = per_sample(source, value.as_ref());
        can_loosen(relative, observed, max_share, (written.at, timing.every), scribe);
    }
    let source = source?;
    let flaky = timing.abort_after.is_none() && source.is_flaky();
    Some(ProbeSpec {
        name: ProbeName::new(name?.value.0.clone()),
        role,
        max: max_share,
        hard: hard_share,
        dip,
        value,
        every: distance,
        relative,
        control_for: control_for.as_ref().map(|of| ProbeName::new(of.value.0.clone())),
        abort_after: flaky.then_some(ABORT_AFTER_FLAKY),
        consecutive: consecutive.as_ref().map(|n| n.value),
        source,
    })
}

/// The distance of samples, where it is not the interval or where the source has to know it.
fn distance(
    every: &Option<At<crate::policy::read::Lasting>>,
    role: Role,
    source: Option<&Source>,
    timing: Timing,
    scribe: &mut Scribe,
) -> Option<Duration> {
    let knows = source.is_some_and(|s| s.parts().iter().any(|p| matches!(p, Source::Prometheus(_))));
    let Some(written) = every else {
        return knows.then_some(timing.every);
    };
    let every = written.value.0;
    let interval = timing.every.as_nanos().max(1);
    let problem = if role == Role::Abort && every != timing.every {
        Some((
            format!(
                "an abort probe is looked at every {}, the interval",
                brief(timing.every)
            ),
            "remove `every`; a longer distance would only be a later abort",
        ))
    } else if source == Some(&Source::Marathon) {
        Some((
            "`every` has no meaning for a `marathon` source".to_owned(),
            "remove it: task rows are counted at every look",
        ))
    } else if every < timing.every || every > EVERY_MAX || !every.as_nanos().is_multiple_of(interval) {
        Some((
            format!(
                "`every` is {}; it may be a multiple of the interval of {}, up to 5m",
                brief(every),
                brief(timing.every)
            ),
            "write for example `every: 15s`",
        ))
    } else {
        None
    };
    if let Some((what, help)) = problem {
        scribe.error(written.at, what, help);
        return None;
    }
    Some(every)
}

/// Whether a source tells soon enough to stop a run by.
fn may_abort(source: &Source, at: Span, scribe: &mut Scribe) {
    for part in source.parts() {
        match part {
            Source::Graphite(_) | Source::Influxdb(_) => scribe.error(
                at,
                format!("`{}` can't be an abort probe: it tells of harm when its bucket is complete, too late to stop the next kill", part.kind()),
                "write `role: verdict`, and let an `http`, `tcp` or `haproxy` probe abort",
            ),
            Source::Prometheus(prometheus) => {
                if prometheus.freshness.is_none() {
                    scribe.error(
                        at,
                        "an abort probe of Prometheus needs `freshness`: its answers may be 5 minutes old, and don't say so",
                        "write the selector of the series behind the query, such as `freshness: 'http_requests_total{app=\"cart\"}'`, or `role: verdict`",
                    );
                }
            }
            Source::Http(_)
            | Source::Tcp { .. }
            | Source::Marathon
            | Source::Haproxy(_)
            | Source::Command { .. }
            | Source::AnyOf(_) => {}
        }
    }
}

/// Whether what a query asks is of the time of its sample: how often it is asked, and how far it looks back.
fn is_of_its_sample(source: &Source, at: Span, every: Duration, scribe: &mut Scribe) {
    for part in source.parts() {
        let Source::Prometheus(prometheus) = part else {
            continue;
        };
        let queries = || {
            [Some(&prometheus.query), prometheus.requests.as_ref()]
                .into_iter()
                .flatten()
        };
        if queries().any(|query| is_of_another_time(query)) {
            scribe.error(
                at,
                "the query asks of another time than that of its sample (`offset` or `@`)",
                "remove it, or write `role: observe`: what was then says nothing of what a kill does now",
            );
        }
        let longest = queries().filter_map(|query| longest_window(query)).max();
        if let Some(window) = longest.filter(|window| *window > every) {
            scribe.error(
                at,
                format!("the query looks back {} at every sample, and there is a sample every {}: overlapping windows count the same requests again and again, and hide a change behind the past", brief(window), brief(every)),
                format!("look back at most {}, take samples farther apart (`every` of a verdict probe, or `interval`), or write `role: observe`", brief(every)),
            );
        }
    }
}

/// A limit follows a control only where that sees enough to bound it: as many requests in a window as would leave the
/// limit alone if all of them were good.
fn can_loosen(
    relative: Relative,
    per_sample: Option<u64>,
    limit: Share,
    (at, every): (Span, Duration),
    scribe: &mut Scribe,
) {
    let Some(per_sample) = per_sample else { return };
    let samples = relative.window.as_nanos() / every.as_nanos().max(1);
    let sees = per_sample.saturating_mul(u64::try_from(samples).unwrap_or(u64::MAX));
    let share = u64::from(limit.0) * 100 / u64::from(relative.ratio_percent.max(1));
    let needed = clean_requests(Share(u32::try_from(share).unwrap_or(u32::MAX).max(1)));
    if sees < needed {
        scribe.error(
            at,
            format!(
                "`relative` would never do anything: the control shows {sees} requests in {}, and {needed} are needed before it may loosen a limit of {limit}",
                brief(relative.window)
            ),
            "raise `requests`, lower `interval`, raise `share.max` or lower `ratio`; or remove it",
        );
    }
}

/// Observations of one sample, where they are known before anybody has looked.
fn per_sample(source: &Source, value: Option<&ValueRule>) -> Option<u64> {
    if value.is_some() {
        return Some(1);
    }
    match source {
        Source::Http(http) => Some(u64::from(http.requests)),
        Source::Tcp { .. } | Source::Command { .. } => Some(1),
        Source::Prometheus(prometheus) if prometheus.requests.is_some() => None,
        Source::Prometheus(_) | Source::Graphite(_) | Source::Influxdb(_) => Some(u64::from(SHARE_COUNTS_AS)),
        // Traffic and tasks are the cluster's to say.
        Source::Marathon | Source::Haproxy(_) => None,
        Source::AnyOf(group) => group
            .sources
            .iter()
            .map(|part| per_sample(part, value))
            .min()
            .flatten(),
    }
}

/// How fast a baseline learns.
struct Pace {
    per_sample: Option<u64>,
    every: Duration,
    at_most: Duration,
}

impl Pace {
    /// How long so many observations take, rounded up to minutes; `None` when it is not known or fits.
    fn too_long(&self, observations: u64) -> Option<String> {
        let per_sample = self.per_sample.filter(|n| *n > 0)?;
        let samples = observations.div_ceil(per_sample);
        let takes = self
            .every
            .checked_mul(u32::try_from(samples).unwrap_or(u32::MAX))
            .unwrap_or(Duration::MAX);
        (takes > self.at_most).then(|| {
            brief(Duration::from_secs(
                takes.as_secs().div_ceil(60).saturating_mul(60),
            ))
        })
    }

    /// `at 0.2 requests/s`.
    fn rate(&self) -> String {
        let rate = self.per_sample.unwrap_or(0) as f64 / self.every.as_secs_f64().max(1e-3);
        format!("at {} requests/s", (rate * 100.0).round() / 100.0)
    }

    /// The baseline must be able to show that the limit holds, or every run would be skipped.
    fn can_show_the_limit(&self, at: Span, limit: Share, scribe: &mut Scribe) {
        let needed = clean_requests(limit);
        if let Some(takes) = self.too_long(needed) {
            scribe.error(
                at,
                format!(
                    "{} a limit of {limit} needs {takes} of baseline ({needed} clean requests), but `baseline.max` is {}",
                    self.rate(),
                    brief(self.at_most)
                ),
                "raise `requests`, `baseline.max` or `share.max`; otherwise every run would be skipped as not steady",
            );
        }
    }

    fn can_show_a_p99(&self, at: Span, scribe: &mut Scribe) {
        if let Some(takes) = self.too_long(P99_REQUESTS.into()) {
            scribe.error(
                at,
                format!(
                    "{} the {P99_REQUESTS} requests that a 99th percentile needs take {takes} of baseline, but `baseline.max` is {}",
                    self.rate(),
                    brief(self.at_most)
                ),
                "raise `requests` or `baseline.max`, or write a duration such as `slowerThan: 300ms`",
            );
        }
    }

    fn can_show_a_mean(&self, at: Span, scribe: &mut Scribe) {
        if let Some(takes) = self.too_long(MEAN_SAMPLES.into()) {
            scribe.error(
                at,
                format!(
                    "the {MEAN_SAMPLES} samples that the mean of a baseline needs take {takes}, one every {}, but `baseline.max` is {}",
                    brief(self.every),
                    brief(self.at_most)
                ),
                "raise `baseline.max`, lower `every`, or write `min` or `max`",
            );
        }
    }
}

/// Clean requests that show with 95 % confidence that a limit holds: `ln(0.05) / ln(1 − limit)`.
pub fn clean_requests(limit: Share) -> u64 {
    if limit >= Share::WHOLE {
        return 1;
    }
    (0.05_f64.ln() / (1.0 - limit.as_f64()).ln()).ceil() as u64
}

fn dip_of(raw: &raw::Dip, at: Span, limit: Share, timing: Timing, scribe: &mut Scribe) -> Option<Dip> {
    let raw::Dip { place, max, r#for } = raw;
    let max = place.need(max, "max", "write `dip: { max: 25%, for: 5s }`", scribe);
    let lasts = place.need(r#for, "for", "write `dip: { max: 25%, for: 5s }`", scribe);
    let (max, lasts) = (Share(max?.value.0), lasts?.value.0);
    if max >= Share::WHOLE {
        scribe.error(
            at,
            format!(
                "during a dip to 100% no share could end the run for {} after every kill",
                brief(lasts)
            ),
            "write how bad it may be at most, such as `25%`",
        );
    }
    if max <= limit || lasts.is_zero() || lasts >= timing.recover_within {
        scribe.error(
            at,
            format!("a dip to {max} for {} is none: `max` must be above the limit of {limit}, `for` above 0 and below `recovery.within`", brief(lasts)),
            "write for example `dip: { max: 25%, for: 5s }`, or remove it",
        );
    }
    Some(Dip { max, lasts })
}

fn relative_of(raw: &raw::Relative, at: Span, timing: Timing, scribe: &mut Scribe) -> Option<Relative> {
    let raw::Relative {
        place,
        to,
        ratio,
        window,
    } = raw;
    let example = "write `relative: { to: control, ratio: 2, window: 10s }`";
    match place.need(to, "to", example, scribe)?.value {
        raw::To::Control => {}
    }
    if !timing.has_control {
        scribe.error(
            at,
            "`relative` needs a control that is watched beside the app, and this design has none",
            "remove it; then the limit is the declared one, whatever happens elsewhere",
        );
        return None;
    }
    let percent = ratio
        .as_ref()
        .map_or(200.0, |r| (r.value.0.as_f64() * 100.0).round());
    if !(100.0..=1_000.0).contains(&percent) {
        scribe.error(raw::at(ratio, place), "`ratio` may be 1 to 10", example);
    }
    let window_is = window.as_ref().map_or(Duration::from_secs(10), |w| w.value.0);
    if window_is < timing.every * 2 || window_is > Duration::from_secs(30) {
        scribe.error(
            raw::at(window, place),
            format!(
                "`window` is {}; it may be two samples ({}) to 30s",
                brief(window_is),
                brief(timing.every * 2)
            ),
            "a long window lags behind the control and aborts falsely: write for example `10s`",
        );
    }
    Some(Relative {
        ratio_percent: percent.clamp(100.0, 1_000.0) as u32,
        window: window_is,
    })
}
