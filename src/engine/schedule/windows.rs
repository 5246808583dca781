//! Civil windows as stretches of real time.
//!
//! A window is one stretch for each civil date, so that it closes at most once: when the clocks go
//! back, its end is the first time that `to` comes, and its opening the last `from` before that. A
//! local time that does not exist is the first instant after the gap. Where the clocks are changed
//! inside, the stretch is shorter or longer than the civil times say: 00:00–06:00 in Berlin has five
//! hours in spring and seven in autumn.

use super::HORIZON_DAYS;
use crate::model::policy::{Covered, Limits, Schedule, Window};
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, TimeDelta, TimeZone, Utc, Weekday};
use chrono_tz::Tz;

/// A stretch of time: the start is inside, the end is not.
pub type Span = (DateTime<Utc>, DateTime<Utc>);

/// Why nothing may happen now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// In a sentence, with civil time and zone.
    pub why: String,
    /// When the schedule opens next; `None` when it does not within `HORIZON_DAYS` days.
    pub next_opening: Option<DateTime<Utc>>,
}

/// The schedule's windows on a civil date of its zone, in order; overlapping and touching ones are one.
/// Knows nothing of holidays and freezes.
pub fn windows_of(schedule: &Schedule, date: NaiveDate) -> Vec<Span> {
    let today = schedule
        .windows
        .iter()
        .filter(|window| window.days.contains(&date.weekday()));
    let mut spans: Vec<Span> = today
        .filter_map(|window| span(schedule.timezone, window, date))
        .collect();
    spans.sort_unstable();
    let mut merged: Vec<Span> = Vec::with_capacity(spans.len());
    for (start, end) in spans {
        match merged.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => merged.push((start, end)),
        }
    }
    merged
}

/// [`windows_of`] without holidays and freezes: the policy's own holidays by the date in its zone, those of
/// `limits` by the date in theirs.
pub fn open_windows(schedule: &Schedule, limits: &Limits, date: NaiveDate) -> Vec<Span> {
    if schedule.holidays.contains(&date) || !schedule.covered.contains(date) {
        return Vec::new();
    }
    windows_of(schedule, date)
        .into_iter()
        .flat_map(|span| without_frozen(span, limits))
        .collect()
}

/// Whether the schedule is open, and until when.
///
/// # Errors
///
/// [`Closed`] says why not and when it opens next.
pub fn open_until(schedule: &Schedule, limits: &Limits, now: DateTime<Utc>) -> Result<DateTime<Utc>, Closed> {
    let civil = now.with_timezone(&schedule.timezone);
    let today = civil.date_naive();
    let spans = open_windows(schedule, limits, today);
    if let Some((_, end)) = spans.iter().find(|(start, end)| *start <= now && now < *end) {
        return Ok(*end);
    }
    let next_opening = today
        .iter_days()
        .take(HORIZON_DAYS)
        .flat_map(|date| open_windows(schedule, limits, date))
        .map(|(start, _)| start)
        .find(|start| *start > now);
    let in_window = windows_of(schedule, today)
        .iter()
        .any(|(start, end)| *start <= now && now < *end);
    let reason = if schedule.windows.is_empty() {
        "the policy has no windows, so it never runs".to_owned()
    } else if schedule.holidays.contains(&today) {
        format!("{today} is a holiday of the policy")
    } else if !schedule.covered.contains(today) {
        uncovered(schedule.covered, today, "the policy")
    } else if let (true, Some(why)) = (in_window, frozen(limits, date_in(limits.timezone, now))) {
        why
    } else if in_window {
        "the window is cut short by a freeze".to_owned()
    } else {
        "no window of the policy is open".to_owned()
    };
    let next = match next_opening {
        Some(at) => format!("the next opens {}", civil_text(schedule.timezone, at)),
        None => format!("none opens in the next {HORIZON_DAYS} days"),
    };
    let why = format!("it is {}: {reason}; {next}", civil_text(schedule.timezone, now));
    Err(Closed { why, next_opening })
}

/// Whether a civil date counts as a work day: Monday to Friday, or a weekday that a window names, and neither
/// a holiday nor frozen.
pub fn is_work_day(schedule: &Schedule, limits: &Limits, date: NaiveDate) -> bool {
    let weekday = date.weekday();
    let works = !matches!(weekday, Weekday::Sat | Weekday::Sun)
        || schedule
            .windows
            .iter()
            .any(|window| window.days.contains(&weekday));
    let free = schedule.holidays.contains(&date) || !schedule.covered.contains(date);
    works && !free && frozen(limits, date).is_none()
}

/// `Mon 2026-03-30 09:00 CEST`.
pub(super) fn civil_text(zone: Tz, at: DateTime<Utc>) -> String {
    at.with_timezone(&zone).format("%a %Y-%m-%d %H:%M %Z").to_string()
}

pub(super) fn date_in(zone: Tz, at: DateTime<Utc>) -> NaiveDate {
    at.with_timezone(&zone).date_naive()
}

/// The first instant of a civil date; the first after the gap when midnight does not exist.
pub(super) fn start_of(zone: Tz, date: NaiveDate) -> Option<DateTime<Utc>> {
    occurrences(zone, date.and_hms_opt(0, 0, 0)?).map(|(first, _)| first)
}

fn span(zone: Tz, window: &Window, date: NaiveDate) -> Option<Span> {
    if window.from >= window.to {
        return None;
    }
    let (closing, _) = occurrences(zone, date.and_time(window.to))?;
    let (first, last) = occurrences(zone, date.and_time(window.from))?;
    let opening = if last < closing { last } else { first };
    (opening < closing).then_some((opening, closing))
}

/// The first and the last instant with this local time; both are the first instant after the gap when
/// there is none.
fn occurrences(zone: Tz, local: NaiveDateTime) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    let found = zone.from_local_datetime(&local);
    if let (Some(first), Some(last)) = (found.earliest(), found.latest()) {
        return Some((first.to_utc(), last.to_utc()));
    }
    // Local time only grows around a gap: halve the stretch until its end is the first instant past it.
    let passed = |at: DateTime<Utc>| at.with_timezone(&zone).naive_local() >= local;
    let middle = local.and_utc().timestamp();
    let (mut before, mut after) = (middle - 27 * 3600, middle + 27 * 3600);
    while after - before > 1 {
        let half = before + (after - before) / 2;
        if passed(DateTime::from_timestamp(half, 0)?) {
            after = half
        } else {
            before = half
        }
    }
    let end = DateTime::from_timestamp(after, 0)?;
    Some((end, end))
}

/// Why a date of which no list of holidays speaks has no runs.
fn uncovered(covered: Covered, date: NaiveDate, whose: &str) -> String {
    let bound = match (covered.from, covered.until) {
        (Some(from), _) if date < from => format!("begin with {from}"),
        (_, Some(until)) => format!("end with {until}"),
        (_, None) => "do not say how far they go".to_owned(),
    };
    format!(
        "the holidays of {whose} {bound}: nobody knows whether {date} is one, so nothing runs until the list is renewed"
    )
}

/// Why nothing may happen on this date of the limits' zone.
fn frozen(limits: &Limits, date: NaiveDate) -> Option<String> {
    if limits.holidays.contains(&date) {
        return Some(format!("{date} is a holiday for every policy"));
    }
    if !limits.covered.contains(date) {
        return Some(uncovered(limits.covered, date, "the settings"));
    }
    let freeze = limits
        .freezes
        .iter()
        .find(|freeze| freeze.from <= date && date <= freeze.to)?;
    Some(format!(
        "everything is frozen from {} to {} ({})",
        freeze.from, freeze.to, freeze.why
    ))
}

fn without_frozen((start, end): Span, limits: &Limits) -> Vec<Span> {
    let (mut open, mut from) = (Vec::new(), start);
    let last = date_in(limits.timezone, end - TimeDelta::nanoseconds(1));
    // Clocks that go back at midnight make a date come twice; the day before and after cost nothing.
    let first = date_in(limits.timezone, start);
    for date in first
        .pred_opt()
        .unwrap_or(first)
        .iter_days()
        .take_while(|date| *date <= last)
    {
        if frozen(limits, date).is_none() {
            continue;
        }
        let bounds = start_of(limits.timezone, date)
            .zip(date.succ_opt().and_then(|d| last_start_of(limits.timezone, d)));
        // A date whose bounds nobody knows closes all of it.
        let Some((shut, again)) = bounds else {
            return Vec::new();
        };
        if from < shut.min(end) {
            open.push((from, shut.min(end)));
        }
        from = from.max(again);
    }
    if from < end {
        open.push((from, end));
    }
    open
}

fn last_start_of(zone: Tz, date: NaiveDate) -> Option<DateTime<Utc>> {
    occurrences(zone, date.and_hms_opt(0, 0, 0)?).map(|(_, last)| last)
}
