//! `spec.steadyState`: probes, tolerances, and whether the numbers can work at all.

use super::control::{control_of, counterparts, sampled, timed};
use super::number;
use super::probe::{Timing, probe};
use super::source::may_be_asked;
use crate::model::experiment::{Baseline, Blindness, EachTask, Hypothesis, Recovery, Role, Share};
use crate::policy::problem::Scribe;
use crate::policy::raw;
use crate::policy::read::{At, Lasting, brief};
use std::time::Duration;

const INTERVAL_MIN: Duration = Duration::from_millis(200);
const INTERVAL_MAX: Duration = Duration::from_secs(60);
/// Most probes: each of them takes its share of α and of the target's patience.
const PROBES_MAX: usize = 20;

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
        self_check,
        probes,
        each_task,
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
        expected: within.is_some(),
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
        abort_after: abort_after.as_ref().map(|_| blindness.abort_after),
        has_control: has_control(control.as_ref()),
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
    let compare = control_of(control.as_ref(), place.at, every, recover.hold, scribe);
    timed(control.as_ref(), &probes, scribe);
    counterparts(list, &probes, compare.control.as_ref(), scribe);
    sampled(list, &probes, compare.control.as_ref(), scribe);
    if let Some(budget) = budget
        && !probes
            .iter()
            .any(|p| p.role == Role::Abort && p.counts_requests())
    {
        scribe.error(
            budget.at,
            "`budget` would count nothing: no abort probe tells of requests",
            "an abort probe of `http`, `tcp`, `haproxy`, or of `prometheus` with `requests`, and without `value`, counts them: add one, or remove `budget`",
        );
    }
    Some(Hypothesis {
        interval: every,
        timeout: patience,
        alpha: alpha_share,
        baseline: base,
        recovery: recover,
        blind: blindness,
        budget: failed,
        self_check: self_check.as_ref().map(|url| {
            may_be_asked(url, scribe);
            url.value.0.clone()
        }),
        probes,
        each_task: each_task.as_ref().and_then(|each| each_task_of(each, scribe)),
        control: compare.control?,
        margin: compare.margin,
        latency_margin_percent: compare.latency_margin_percent,
    })
}

/// The request for every task by itself: a path, and nothing that leads elsewhere.
fn each_task_of(raw: &At<raw::EachTask>, scribe: &mut Scribe) -> Option<EachTask> {
    const SUCH_AS: &str =
        "write for example `eachTask: { path: /health }`: host and port are those of each task";
    let raw::EachTask { place, path } = &raw.value;
    let path = place.need(path, "path", SUCH_AS, scribe)?;
    let text = &path.value.0;
    let whole = url::Url::parse(&format!("http://host:1{text}"));
    let leads_there = whole.is_ok_and(|url| {
        url.host_str() == Some("host")
            && url.port() == Some(1)
            && url.fragment().is_none()
            && url.username().is_empty()
    });
    if !text.starts_with('/') || !leads_there {
        scribe.error(
            path.at,
            format!("`path` is `{text}`; it has to begin with `/` and be a path, with a query at most"),
            SUCH_AS,
        );
        return None;
    }
    Some(EachTask { path: text.clone() })
}

/// Whether a design has a control that is watched beside the app, at the same time.
fn has_control(control: Option<&At<raw::Control>>) -> bool {
    match control.and_then(|c| c.value.design.as_ref()).map(|d| d.value) {
        Some(raw::Design::Parallel | raw::Design::Reference) => true,
        Some(raw::Design::Sham | raw::Design::BeforeAfter) | None => false,
    }
}
