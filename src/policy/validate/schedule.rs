//! `spec.schedule`: windows, zone, holidays and cadence.

use crate::model::policy::{Cadence, Count, FaultSpec, MinGap, Schedule, Window};
use crate::policy::problem::{Scribe, Span, nearest};
use crate::policy::raw;
use crate::policy::read::{At, Text, brief};
use chrono::{NaiveDate, Weekday};
use std::collections::BTreeSet;
use std::time::Duration;

/// A run that can't end inside any window never starts; better said here than waited for.
pub(super) fn windows_must_hold_a_run(
    at: Span,
    schedule: &Schedule,
    fault: &FaultSpec,
    hypothesis: &crate::model::experiment::Hypothesis,
    scribe: &mut Scribe,
) {
    let FaultSpec::KillTasks { count, at_once, gap } = fault;
    let steps = match count {
        Count::Exactly(n) => n.div_ceil((*at_once).max(1)),
        Count::Percent(_) | Count::RandomUpTo(_) => 1,
    };
    // As `Plan::longest_from(1)` counts it, and the window gate asks it.
    let needed = hypothesis.baseline.at_most + (*gap).max(hypothesis.recovery.within) * steps;
    let longest = schedule
        .windows
        .iter()
        .filter_map(|w| (w.to - w.from).to_std().ok())
        .max();
    if let Some(longest) = longest.filter(|longest| *longest <= needed) {
        scribe.error(
            at,
            format!(
                "a run may take {}, the longest window has {}: no run would ever start",
                brief(needed),
                brief(longest)
            ),
            "widen a window, or shorten `count`, `gap`, `baseline.max` or `recovery.within`",
        );
    }
}

/// A zone, or the nearest name.
pub(crate) fn zone(text: &At<Text>, scribe: &mut Scribe) -> Option<chrono_tz::Tz> {
    let parsed = text.value.0.parse::<chrono_tz::Tz>().ok();
    if parsed.is_none() {
        let help = match nearest(&text.value.0, chrono_tz::TZ_VARIANTS.iter().map(|z| z.name())) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                "write a name of the IANA time zone database, such as `Europe/Madrid` or `UTC`".to_owned()
            }
        };
        scribe.error(text.at, format!("`{}` is not a time zone", text.value.0), help);
    }
    parsed
}

/// Dates, each once.
pub(crate) fn holidays(list: &Option<At<Vec<raw::Holiday>>>) -> BTreeSet<NaiveDate> {
    list.iter().flat_map(|l| &l.value).map(|h| h.0).collect()
}

pub(super) fn schedule_of(raw: &raw::Schedule, scribe: &mut Scribe) -> Option<Schedule> {
    let raw::Schedule {
        place,
        windows,
        timezone,
        holidays: dates,
        mean_time_between,
        every,
        on_demand,
        min_time_between,
    } = raw;
    let windows = place.need(
        windows,
        "windows",
        "say when somebody is awake to watch: `windows: [ { days: [mon, tue], from: \"09:30\", to: \"15:30\" } ]`",
        scribe,
    );
    if let Some(windows) = windows.filter(|w| w.value.is_empty()) {
        scribe.error(
            windows.at,
            "`windows` is an empty list: nothing would ever run",
            "write a window, or `mode: off`",
        );
    }
    let windows: Option<Vec<Window>> = windows.and_then(|w| {
        w.value
            .iter()
            .map(|raw| window_of(raw, scribe))
            .collect::<Vec<_>>()
            .into_iter()
            .collect()
    });
    let timezone = place.need(
        timezone,
        "timezone",
        "write the zone of the windows: `timezone: Europe/Madrid`",
        scribe,
    );
    let timezone = timezone.and_then(|t| zone(t, scribe));
    let on_demand_said = on_demand.as_ref().filter(|b| b.value);
    if [
        mean_time_between.is_some(),
        every.is_some(),
        on_demand_said.is_some(),
    ]
    .into_iter()
    .filter(|b| *b)
    .count()
        > 1
    {
        scribe.error(
            place.at,
            "`meanTimeBetween`, `every` and `onDemand` exclude each other",
            "keep one of them",
        );
    }
    if let Some(every) = every.as_ref().filter(|e| e.value.0 < Duration::from_secs(60)) {
        scribe.error(
            every.at,
            format!("`every` is {}; it must be at least 1m", brief(every.value.0)),
            "write for example `2h`",
        );
    }
    if let Some(off) = on_demand
        .as_ref()
        .filter(|b| !b.value && mean_time_between.is_none() && every.is_none())
    {
        scribe.error(
            off.at,
            "`onDemand: false` without another cadence: nothing would ever run",
            "write `meanTimeBetween: 3 workdays` or `every: 2h`, or `mode: off`",
        );
    }
    let cadence = match (mean_time_between, every) {
        (Some(mean), _) => Cadence::MeanTimeBetween {
            workdays: mean.value.0,
        },
        (None, Some(every)) => Cadence::Every(every.value.0),
        (None, None) => Cadence::OnDemand,
    };
    let min_gap = match min_time_between.as_ref().map(|m| m.value) {
        None => MinGap::Workdays(1),
        Some(raw::Between::None) => MinGap::None,
        Some(raw::Between::Workdays(days)) => MinGap::Workdays(days),
        Some(raw::Between::Elapsed(time)) => MinGap::Elapsed(time),
    };
    if let (Some(mean), MinGap::Workdays(gap)) = (mean_time_between, min_gap)
        && mean.value.0 < gap
    {
        scribe.error(
            mean.at,
            format!(
                "`meanTimeBetween` is {} work days, less than `minTimeBetween` with {gap}",
                mean.value.0
            ),
            "a mean can't be below the minimum: raise the one or lower the other",
        );
    }
    Some(Schedule {
        windows: windows?,
        timezone: timezone?,
        holidays: holidays(dates),
        cadence,
        min_gap,
    })
}

fn window_of(raw: &raw::Window, scribe: &mut Scribe) -> Option<Window> {
    let raw::Window {
        place,
        days,
        from,
        to,
    } = raw;
    let days = place.need(days, "days", "write `days: [mon, tue, wed, thu, fri]`", scribe);
    let from = place.need(from, "from", "write `from: \"09:30\"`", scribe);
    let to = place.need(to, "to", "write `to: \"15:30\"`", scribe);
    let days = days.map(|list| {
        let mut days: Vec<Weekday> = vec![];
        for day in &list.value {
            let weekday = match day.value {
                raw::Weekday::Mon => Weekday::Mon,
                raw::Weekday::Tue => Weekday::Tue,
                raw::Weekday::Wed => Weekday::Wed,
                raw::Weekday::Thu => Weekday::Thu,
                raw::Weekday::Fri => Weekday::Fri,
                raw::Weekday::Sat => Weekday::Sat,
                raw::Weekday::Sun => Weekday::Sun,
            };
            if days.contains(&weekday) {
                scribe.error(day.at, "this day is written twice", "keep one of them");
            }
            days.push(weekday);
        }
        if days.is_empty() {
            scribe.error(
                list.at,
                "`days` is an empty list",
                "write the weekdays, such as `[mon, tue]`",
            );
        }
        days
    });
    let (from, to) = (from?, to?);
    if to.value.0 <= from.value.0 {
        let help = match to.value.0 == from.value.0 {
            true => "write a later end".to_owned(),
            false => format!(
                "a window never crosses midnight: split it into `from: \"{}\", to: \"23:59\"` and, on the next day, `from: \"00:00\", to: \"{}\"`",
                from.value.0.format("%H:%M"),
                to.value.0.format("%H:%M")
            ),
        };
        scribe.error(
            to.at,
            format!(
                "the window ends at {} and starts at {}",
                to.value.0.format("%H:%M"),
                from.value.0.format("%H:%M")
            ),
            help,
        );
        return None;
    }
    Some(Window {
        days: days?,
        from: from.value.0,
        to: to.value.0,
    })
}
