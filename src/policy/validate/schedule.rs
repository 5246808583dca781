//! `spec.schedule`: windows, zone, holidays and cadence.

use crate::model::experiment::Control;
use crate::model::policy::{Cadence, Count, Covered, FaultSpec, MinGap, Schedule, Window};
use crate::policy::ics;
use crate::policy::load::bytes_of;
use crate::policy::problem::{Scribe, Span, nearest};
use crate::policy::raw;
use crate::policy::read::{At, Day, Text, brief};
use chrono::{Datelike, NaiveDate, Weekday};
use std::collections::BTreeSet;
use std::path::{Component, Path};
use std::time::Duration;

/// Runs closer together than this are a load test.
const POISSON_MIN: Duration = Duration::from_secs(5 * 60);
/// Open time: a week of it is a month of office hours.
const POISSON_MAX: Duration = Duration::from_secs(7 * 86_400);

/// A run that can't end inside any window never starts; better said here than waited for.
pub(super) fn windows_must_hold_a_run(
    at: Span,
    schedule: &Schedule,
    fault: &FaultSpec,
    hypothesis: &crate::model::experiment::Hypothesis,
    scribe: &mut Scribe,
) {
    let (steps, gap) = match fault {
        FaultSpec::KillTasks {
            count: Count::Exactly(n),
            at_once,
            gap,
        } => (n.div_ceil((*at_once).max(1)), gap),
        FaultSpec::KillTasks { gap, .. } | FaultSpec::AgentOutage { gap, .. } => (1, gap),
    };
    let (steps, slots) = match hypothesis.control {
        Control::Sham { .. } => (
            steps.saturating_mul(2),
            format!(", {steps} of {} slots with a kill", steps * 2),
        ),
        _ => (steps, String::new()),
    };
    // As `Plan::longest_from(1)` counts it, and the window gate asks it.
    let gap = (*gap).max(hypothesis.control.slot());
    let needed = hypothesis.baseline.at_most + gap.max(hypothesis.recovery.within).saturating_mul(steps);
    let longest = schedule
        .windows
        .iter()
        .filter_map(|w| (w.to - w.from).to_std().ok())
        .max();
    if let Some(longest) = longest.filter(|longest| *longest <= needed) {
        scribe.error(
            at,
            format!(
                "a run may take {}{slots}, the longest window has {}: no run would ever start",
                brief(needed),
                brief(longest)
            ),
            "widen a window, or shorten `count`, `gap`, `baseline.max`, `recovery.within` or the slots of `control`",
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

/// Where a calendar file may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IcsFrom {
    /// Beside the file that names it or below: whoever may write policies need not be one who may read all files.
    Beside,
    /// Anywhere.
    Anywhere,
}

/// Dates, each once, and which dates they speak of.
///
/// Calendar files speak of the years of their events, and dates listed beside them only add to those. Dates alone
/// speak of everything up to the end of their last year. `until` overrides the end of either.
pub(crate) fn holidays(
    list: &Option<At<Vec<raw::Holiday>>>,
    until: &Option<At<Day>>,
    from: IcsFrom,
    scribe: &mut Scribe,
) -> (BTreeSet<NaiveDate>, Covered) {
    let (mut dates, mut files) = (BTreeSet::new(), vec![]);
    for holiday in list.iter().flat_map(|l| &l.value) {
        match holiday {
            raw::Holiday::Day(date) => _ = dates.insert(*date),
            raw::Holiday::Ics(name) => files.extend(calendar_of(name, from, scribe)),
        }
    }
    let mut covered = Covered {
        from: files.iter().map(|file| file.from).max(),
        until: match files.iter().map(|file| file.until).min() {
            Some(until) => Some(until),
            None => dates
                .last()
                .and_then(|last| NaiveDate::from_ymd_opt(last.year(), 12, 31)),
        },
    };
    dates.extend(files.into_iter().flat_map(|file| file.dates));
    if let Some(until) = until {
        if covered.until.is_none() {
            scribe.error(
                until.at,
                "`holidaysUntil` without `holidays`",
                "list the holidays, or remove the line: without a list every date may have runs",
            );
        }
        covered.until = Some(until.value.0);
    }
    (dates, covered)
}

/// The holidays of a calendar file that was named.
fn calendar_of(name: &At<Text>, from: IcsFrom, scribe: &mut Scribe) -> Option<ics::Holidays> {
    let written = name.value.0.strip_prefix("file:").unwrap_or(&name.value.0);
    let path = Path::new(written);
    let beside = path
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if written.contains("://") || (from == IcsFrom::Beside && !beside) {
        scribe.error(
            name.at,
            format!("`{}` is not a file beside this one", name.value.0),
            "put the calendar into the policy folder and write its name, such as `{ ics: holidays.ics }`",
        );
        return None;
    }
    let path = scribe.file().parent().unwrap_or(Path::new("")).join(path);
    let bytes = bytes_of(&path);
    scribe.has_read(&path, bytes.as_deref().ok());
    let bytes = match bytes {
        Ok(bytes) => bytes,
        Err(problems) => {
            let why = problems.0.first().map_or_else(String::new, |p| p.what.clone());
            scribe.error(
                name.at,
                format!("{}: {why}", path.display()),
                "put the calendar there, or list the dates, such as `2026-12-25`",
            );
            return None;
        }
    };
    match ics::holidays(&bytes) {
        Ok(holidays) => Some(holidays),
        Err(wrong) => {
            // Ten lines say what kind of file it is; a thousand say no more.
            for ics::Wrong { line, what, help } in wrong.into_iter().take(10) {
                scribe.error_elsewhere(&path, line, what, help);
            }
            None
        }
    }
}

pub(super) fn schedule_of(raw: &raw::Schedule, scribe: &mut Scribe) -> Option<Schedule> {
    let raw::Schedule {
        place,
        windows,
        timezone,
        holidays: dates,
        holidays_until,
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
        (
            Some(At {
                value: raw::Mean::Workdays(workdays),
                ..
            }),
            _,
        ) => Cadence::MeanTimeBetween { workdays: *workdays },
        (
            Some(At {
                value: raw::Mean::Poisson(mean),
                ..
            }),
            _,
        ) => Cadence::Poisson { mean: *mean },
        (None, Some(every)) => Cadence::Every(every.value.0),
        (None, None) => Cadence::OnDemand,
    };
    let min_gap = match min_time_between.as_ref().map(|m| m.value) {
        None => MinGap::Workdays(1),
        Some(raw::Between::None) => MinGap::None,
        Some(raw::Between::Workdays(days)) => MinGap::Workdays(days),
        Some(raw::Between::Elapsed(time)) => MinGap::Elapsed(time),
    };
    match mean_time_between {
        None => {}
        Some(At {
            at,
            value: raw::Mean::Workdays(mean),
        }) => {
            let (gap, words) = match min_gap {
                MinGap::None => (0, String::new()),
                MinGap::Workdays(gap) => (u64::from(gap), format!("{gap}")),
                // A day has one moment at most, so that a gap in hours counts as the days that it reaches into.
                MinGap::Elapsed(time) => (time.as_secs().div_ceil(86_400), brief(time)),
            };
            if u64::from(*mean) < gap {
                scribe.error(
                    *at,
                    format!("`meanTimeBetween` is {mean} work days, less than `minTimeBetween` with {words}"),
                    "a mean can't be below the minimum: raise the one or lower the other",
                );
            }
        }
        Some(At {
            at,
            value: raw::Mean::Poisson(mean),
        }) => poisson_must_make_sense(*at, *mean, min_time_between.as_ref(), scribe),
    }
    let (holidays, covered) = holidays(dates, holidays_until, IcsFrom::Beside, scribe);
    Some(Schedule {
        windows: windows?,
        timezone: timezone?,
        holidays,
        covered,
        cadence,
        min_gap,
    })
}

/// Several runs a day are asked for: their distance has to be said, in hours.
fn poisson_must_make_sense(at: Span, mean: Duration, gap: Option<&At<raw::Between>>, scribe: &mut Scribe) {
    if !(POISSON_MIN..=POISSON_MAX).contains(&mean) {
        scribe.error(
            at,
            format!("`poisson` is {}; it may be 5m to 7d", brief(mean)),
            "write for example `{ poisson: 2h }`; for rarer runs write work days",
        );
    }
    match gap.map(|gap| (gap.at, gap.value)) {
        None => scribe.error(
            at,
            "`poisson` without `minTimeBetween`: several runs a day need a least distance that somebody chose",
            "write `minTimeBetween: 30m`, or `none`",
        ),
        Some((at, raw::Between::Workdays(_))) => scribe.error(
            at,
            "`minTimeBetween` is in work days, `poisson` is for several runs a day",
            "write hours or minutes, or `meanTimeBetween: 3 workdays`",
        ),
        Some((at, raw::Between::Elapsed(gap))) if gap >= mean => scribe.error(
            at,
            format!("`minTimeBetween` is {}, the mean between two runs only {}", brief(gap), brief(mean)),
            "a mean has to be above the minimum: raise the one or lower the other",
        ),
        Some((_, raw::Between::Elapsed(_) | raw::Between::None)) => {}
    }
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
