//! Holidays from a calendar file: the part of iCalendar (RFC 5545) that whole-day holidays need.
//!
//! Read: `VEVENT` with `DTSTART` as a date, `DTEND` (exclusive) or `DURATION` in whole days, `EXDATE`, and an
//! `RRULE` that repeats the same day every year (`FREQ=YEARLY` with `INTERVAL`, `COUNT`, `UNTIL`, and a
//! `BYMONTH`/`BYMONTHDAY` that says the start's own day again). Cancelled events are left out; other components,
//! such as time zones and alarms, are passed over. Anything else that would move a holiday (events with a time of
//! day, other rules, `RDATE`, changed repetitions) refuses the whole file with its line: a holiday that is not
//! understood must not become a day with kills.
//!
//! A calendar speaks of whole years: from the first of January of its first event to the end of the year of its last
//! one that does not repeat. Outside of that nobody knows the holidays.

use chrono::{Datelike, NaiveDate, TimeDelta};
use std::collections::BTreeSet;

/// Most events in one file; a century of a country's holidays has fewer.
const EVENTS_MAX: usize = 10_000;
/// Longest event.
const DAYS_MAX: i64 = 366;
/// Where the repetition of a rule without end is cut off.
const LAST_YEAR: i32 = 2100;

/// The holidays of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holidays {
    /// The civil dates.
    pub dates: BTreeSet<NaiveDate>,
    /// The first date that the file speaks of.
    pub from: NaiveDate,
    /// The last one.
    pub until: NaiveDate,
}

/// Something in the file that can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Line, from 1.
    pub line: usize,
    /// What, in a sentence without full stop.
    pub what: String,
    /// How to mend it.
    pub help: &'static str,
}

/// Reads a calendar.
///
/// # Errors
///
/// Everything that can't be used, each with its line. Never repeats more of the file than the names of properties.
pub fn holidays(bytes: &[u8]) -> Result<Holidays, Vec<Wrong>> {
    let mut reader = Reader::default();
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    for (line, text) in unfolded(bytes) {
        if !reader.line(line, &text) {
            break;
        }
    }
    reader.finish()
}

/// Logical lines with the number of their first physical one. Continuations begin with a blank; they may cut a
/// character in two, so they are joined as bytes.
fn unfolded(bytes: &[u8]) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, Vec<u8>)> = vec![];
    for (index, line) in bytes.split(|b| *b == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match (line.first(), lines.last_mut()) {
            (Some(b' ' | b'\t'), Some((_, last))) => last.extend_from_slice(&line[1..]),
            (None, _) => {}
            _ => lines.push((index + 1, line.to_vec())),
        }
    }
    lines
        .into_iter()
        .map(|(line, bytes)| (line, String::from_utf8_lossy(&bytes).into_owned()))
        .collect()
}

#[derive(Default)]
struct Reader {
    /// Open components, outermost first.
    open: Vec<(usize, String)>,
    event: Option<Event>,
    events: usize,
    dates: BTreeSet<NaiveDate>,
    /// First date of all events; last dates of those that happen once, that repeat for a while, that never end.
    first: Option<NaiveDate>,
    once: Option<NaiveDate>,
    bounded: Option<NaiveDate>,
    wrong: Vec<Wrong>,
    last_line: usize,
}

#[derive(Default)]
struct Event {
    line: usize,
    start: Option<NaiveDate>,
    end: Option<NaiveDate>,
    days: Option<i64>,
    rule: Option<(usize, String)>,
    except: BTreeSet<NaiveDate>,
    cancelled: bool,
    /// A problem is already written down.
    bad: bool,
}

impl Reader {
    fn error(&mut self, line: usize, what: impl Into<String>, help: &'static str) {
        if let Some(event) = &mut self.event {
            event.bad = true;
        }
        self.wrong.push(Wrong {
            line,
            what: what.into(),
            help,
        });
    }

    /// Takes one logical line; `false` when reading on makes no sense.
    fn line(&mut self, line: usize, text: &str) -> bool {
        self.last_line = line;
        let Some((name, parameters, value)) = property(text) else {
            self.error(
                line,
                "this line is not `NAME:value`, as every line of a calendar is",
                "export the calendar again as iCalendar (.ics)",
            );
            return false;
        };
        match name.as_str() {
            "BEGIN" => return self.begin(line, &value.to_ascii_uppercase()),
            "END" => return self.end(line, &value.to_ascii_uppercase()),
            _ if self.open.is_empty() => {
                self.error(
                    line,
                    "this is not a calendar: it does not begin with `BEGIN:VCALENDAR`",
                    "export the calendar again as iCalendar (.ics)",
                );
                return false;
            }
            _ => {}
        }
        // What is inside an alarm of an event says nothing of the event.
        if self
            .open
            .last()
            .is_some_and(|(_, component)| component == "VEVENT")
        {
            self.property(line, &name, &parameters, value);
        }
        true
    }

    fn begin(&mut self, line: usize, component: &str) -> bool {
        if self.open.is_empty() != (component == "VCALENDAR") {
            self.error(
                line,
                "this is not a calendar: `BEGIN:VCALENDAR` has to be the outermost, once",
                "export the calendar again as iCalendar (.ics)",
            );
            return false;
        }
        if component == "VEVENT" {
            self.events += 1;
            if self.events > EVENTS_MAX {
                self.error(
                    line,
                    format!("more than {EVENTS_MAX} events"),
                    "use a calendar that holds holidays only",
                );
                return false;
            }
            self.event = Some(Event {
                line,
                ..Event::default()
            });
        }
        self.open.push((line, component.to_owned()));
        true
    }

    fn end(&mut self, line: usize, component: &str) -> bool {
        match self.open.pop() {
            Some((_, open)) if open == component => {}
            _ => {
                self.error(
                    line,
                    "`END` closes what was not open",
                    "export the calendar again as iCalendar (.ics)",
                );
                return false;
            }
        }
        if component == "VEVENT"
            && let Some(event) = self.event.take()
            && !event.bad
        {
            self.take(event);
        }
        true
    }

    fn property(&mut self, line: usize, name: &str, parameters: &str, value: &str) {
        let Some(event) = &mut self.event else { return };
        let whole_day = "make it a whole-day event, or list its date under `holidays`";
        match name {
            "DTSTART" | "DTEND" => match date(parameters, value) {
                Some(date) if name == "DTSTART" => event.start = Some(date),
                Some(date) => event.end = Some(date),
                None => self.error(
                    line,
                    format!(
                        "`{name}` is not a date: only whole-day events from 1900 to {LAST_YEAR} are read"
                    ),
                    whole_day,
                ),
            },
            "DURATION" => match whole_days(value) {
                Some(days) => event.days = Some(days),
                None => self.error(line, "`DURATION` is not in whole days", whole_day),
            },
            "EXDATE" => {
                let dates: Option<Vec<_>> = value.split(',').map(|v| date(parameters, v)).collect();
                match dates {
                    Some(dates) => event.except.extend(dates),
                    None => self.error(line, "`EXDATE` is not a list of dates", whole_day),
                }
            }
            "RRULE" if event.rule.is_none() => event.rule = Some((line, value.to_ascii_uppercase())),
            "STATUS" => event.cancelled = value.eq_ignore_ascii_case("CANCELLED"),
            "RRULE" | "RDATE" | "EXRULE" | "RECURRENCE-ID" => self.error(
                line,
                format!("`{name}` is a repetition that is not read"),
                "write one event for each date, or list the dates under `holidays`",
            ),
            _ => {}
        }
    }

    /// Takes a whole event.
    fn take(&mut self, event: Event) {
        if event.cancelled {
            return;
        }
        let Some(start) = event.start else {
            return self.error(
                event.line,
                "this event has no `DTSTART`",
                "export the calendar again as iCalendar (.ics)",
            );
        };
        let days = match (event.end, event.days) {
            // Some programs write the same day twice for an event of one day.
            (Some(end), _) => (end - start).num_days() + i64::from(end == start),
            (None, days) => days.unwrap_or(1),
        };
        if !(1..=DAYS_MAX).contains(&days) {
            return self.error(
                event.line,
                format!("this event does not last 1 to {DAYS_MAX} days"),
                "a long stretch without runs is a freeze of the settings file",
            );
        }
        let starts = match &event.rule {
            None => vec![start],
            Some((line, rule)) => match yearly(rule, start) {
                Some(starts) => starts,
                None => {
                    return self.error(
                        *line,
                        "this `RRULE` is not read: only the same day of every year is",
                        "write one event for each date, or list the dates under `holidays`",
                    );
                }
            },
        };
        let mut last = start;
        for start in starts {
            if event.except.contains(&start) {
                continue;
            }
            last = last.max(start + TimeDelta::days(days - 1));
            self.dates
                .extend((0..days).map(|day| start + TimeDelta::days(day)));
        }
        self.first = Some(self.first.map_or(start, |first| first.min(start)));
        match &event.rule {
            None => self.once = self.once.max(Some(last)),
            Some((_, rule)) if rule.contains("UNTIL=") || rule.contains("COUNT=") => {
                self.bounded = self.bounded.max(Some(last));
            }
            Some(_) => {}
        }
    }

    fn finish(mut self) -> Result<Holidays, Vec<Wrong>> {
        if self.wrong.is_empty()
            && let Some((line, component)) = self.open.last().cloned()
        {
            // The name comes from the file, but only letters can be in it.
            let name: String = component
                .chars()
                .filter(char::is_ascii_alphanumeric)
                .take(20)
                .collect();
            self.error(
                self.last_line,
                format!("the file ends inside the `{name}` of line {line}: it was cut"),
                "export the calendar again as iCalendar (.ics)",
            );
        }
        let first = self.first.filter(|_| self.wrong.is_empty());
        let Some(first) = first.filter(|_| !self.dates.is_empty()) else {
            if self.wrong.is_empty() {
                self.error(
                    1,
                    "the calendar holds no event",
                    "a calendar without holidays would make each of them a day with runs; remove it or mend it",
                );
            }
            return Err(self.wrong);
        };
        let year = self.once.or(self.bounded).map_or(LAST_YEAR, |date| date.year());
        let bounds = NaiveDate::from_ymd_opt(first.year(), 1, 1).zip(NaiveDate::from_ymd_opt(year, 12, 31));
        let (from, until) = bounds.ok_or_else(Vec::new)?;
        Ok(Holidays {
            dates: self.dates,
            from,
            until,
        })
    }
}

/// Name in capitals, parameters, value.
fn property(text: &str) -> Option<(String, String, &str)> {
    let mut quoted = false;
    let colon = text.char_indices().find_map(|(at, c)| {
        quoted ^= c == '"';
        (c == ':' && !quoted).then_some(at)
    })?;
    let (head, value) = (&text[..colon], &text[colon + 1..]);
    let (name, parameters) = head.split_once(';').unwrap_or((head, ""));
    let named = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    named.then(|| {
        (
            name.to_ascii_uppercase(),
            parameters.to_ascii_uppercase(),
            value.trim(),
        )
    })
}

/// `20261225`, unless the parameters say that it is a moment.
fn date(parameters: &str, value: &str) -> Option<NaiveDate> {
    let value = value.trim();
    let digits = value.len() == 8 && value.bytes().all(|b| b.is_ascii_digit());
    if !digits || parameters.contains("VALUE=DATE-TIME") || parameters.contains("VALUE=PERIOD") {
        return None;
    }
    NaiveDate::parse_from_str(value, "%Y%m%d")
        .ok()
        .filter(|date| (1900..=LAST_YEAR).contains(&date.year()))
}

/// `P1D`, `P2W`.
fn whole_days(value: &str) -> Option<i64> {
    let value = value.trim().to_ascii_uppercase();
    let number = value.strip_prefix('P')?;
    let (number, factor) = match (number.strip_suffix('D'), number.strip_suffix('W')) {
        (Some(days), _) => (days, 1),
        (None, Some(weeks)) => (weeks, 7),
        (None, None) => return None,
    };
    Some(number.parse::<u16>().ok().map(i64::from)? * factor)
}

/// The dates of a rule that repeats a day every year; `None` for any other rule.
fn yearly(rule: &str, start: NaiveDate) -> Option<Vec<NaiveDate>> {
    let (mut every, mut count, mut until, mut is_yearly) = (1_i32, usize::MAX, None, false);
    for part in rule.split(';').filter(|part| !part.is_empty()) {
        let (key, value) = part.split_once('=')?;
        match key {
            "FREQ" if value == "YEARLY" => is_yearly = true,
            "INTERVAL" => every = value.parse().ok().filter(|every| (1..=100).contains(every))?,
            "COUNT" => count = value.parse().ok().filter(|count| *count > 0)?,
            // A moment as the end of whole days: its date is the last that may be one.
            "UNTIL" => until = Some(date("", value.get(..8)?)?),
            "BYMONTH" if value.parse() == Ok(start.month()) => {}
            "BYMONTHDAY" if value.parse() == Ok(start.day()) => {}
            "WKST" => {}
            _ => return None,
        }
    }
    let years = (start.year()..=LAST_YEAR).step_by(usize::try_from(every).ok()?);
    is_yearly.then(|| {
        years
            .filter_map(|year| start.with_year(year))
            .take_while(|date| until.is_none_or(|until| *date <= until))
            .take(count)
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calendar(events: &[&str]) -> String {
        let events: String = events
            .iter()
            .map(|event| {
                format!(
                    "BEGIN:VEVENT\r\n{}\r\nEND:VEVENT\r\n",
                    event.replace('\n', "\r\n")
                )
            })
            .collect();
        format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{events}END:VCALENDAR\r\n")
    }

    #[track_caller]
    fn read(events: &[&str]) -> Holidays {
        holidays(calendar(events).as_bytes()).expect("it can be read")
    }

    #[track_caller]
    fn dates(events: &[&str], wanted: &[&str]) {
        let dates: Vec<String> = read(events).dates.iter().map(ToString::to_string).collect();
        assert_eq!(dates, wanted);
    }

    #[track_caller]
    fn refused(text: &str, line: usize, what: &str) {
        let wrong = holidays(text.as_bytes()).expect_err("it must be refused");
        assert!(
            wrong.iter().any(|w| w.line == line && w.what.contains(what)),
            "{wrong:?}"
        );
    }

    #[test]
    fn whole_day_events_become_dates() {
        dates(
            &["SUMMARY:Christmas\nDTSTART;VALUE=DATE:20261225"],
            &["2026-12-25"],
        );
        // The end is the first day after it.
        dates(
            &["DTSTART;VALUE=DATE:20261224\nDTEND;VALUE=DATE:20261227"],
            &["2026-12-24", "2026-12-25", "2026-12-26"],
        );
        dates(&["DTSTART:20261224\nDTEND:20261224"], &["2026-12-24"]);
        dates(&["DTSTART:20261224\nDURATION:P2D"], &["2026-12-24", "2026-12-25"]);
        dates(
            &[
                "DTSTART:20261225",
                "DTSTART:20261226\nSTATUS:CANCELLED",
                "DTSTART:20261101\nBEGIN:VALARM\nDTSTART:20261102T090000Z\nEND:VALARM",
            ],
            &["2026-11-01", "2026-12-25"],
        );
    }

    #[test]
    fn a_day_that_comes_every_year_comes_every_year() {
        dates(
            &["DTSTART:20240229\nRRULE:FREQ=YEARLY;COUNT=2"],
            &["2024-02-29", "2028-02-29"],
        );
        dates(
            &[
                "DTSTART:20251225\nRRULE:FREQ=YEARLY;UNTIL=20271231T000000Z;BYMONTH=12;BYMONTHDAY=25\nEXDATE:20261225",
            ],
            &["2025-12-25", "2027-12-25"],
        );
        let forever = read(&["DTSTART:20200101\nRRULE:FREQ=YEARLY"]);
        assert_eq!((forever.dates.len(), forever.until.year()), (81, LAST_YEAR));
    }

    #[test]
    fn a_calendar_speaks_of_the_years_of_its_events() {
        let both = read(&[
            "DTSTART:20200101\nRRULE:FREQ=YEARLY",
            "DTSTART:20260403",
            "DTSTART:20270326",
        ]);
        // Easter after 2027 is not in the file, so 2028 is not covered although New Year's Day is known.
        assert_eq!(both.until.to_string(), "2027-12-31");
        assert_eq!(both.from.to_string(), "2020-01-01");
        let one = read(&["DTSTART:20270106"]);
        assert_eq!(
            (one.from.to_string(), one.until.to_string()),
            ("2027-01-01".to_owned(), "2027-12-31".to_owned())
        );
    }

    #[test]
    fn folded_lines_are_joined_even_within_a_character() {
        let mut text = b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:Fronleichnam f\xc3\n \xbcr alle\nDTSTART;VALUE=\n DATE:2026".to_vec();
        text.extend_from_slice(b"\n 0604\nEND:VEVENT\nEND:VCALENDAR\n");
        assert_eq!(holidays(&text).unwrap().dates.len(), 1);
    }

    #[test]
    fn garbage_is_refused_with_its_line() {
        refused("", 1, "holds no event");
        refused("\u{0}\u{1}\u{2}", 1, "is not `NAME:value`");
        refused("<html><body>Not: found</body></html>", 1, "is not");
        refused("HTTP/1.1 404 Not Found\nDate: x\n", 1, "is not `NAME:value`");
        refused("SUMMARY:x\n", 1, "does not begin with `BEGIN:VCALENDAR`");
        refused(&calendar(&[]), 1, "holds no event");
        refused(&calendar(&["SUMMARY:no start"]), 3, "no `DTSTART`");
        let cut = &calendar(&["DTSTART:20261225"]);
        refused(
            &cut[..cut.len() - 27],
            4,
            "the file ends inside the `VEVENT` of line 3",
        );
        refused(
            "BEGIN:VCALENDAR\nBEGIN:VEVENT\nEND:VCALENDAR\n",
            3,
            "closes what was not open",
        );
        refused("BEGIN:VCALENDAR\nBEGIN:VCALENDAR\n", 2, "outermost");
        refused(&calendar(&["DTSTART:20261340"]), 4, "is not a date");
        refused(&calendar(&["DTSTART:00010101"]), 4, "is not a date");
        refused(
            &calendar(&["DTSTART:20261225\nDTEND:20261224"]),
            3,
            "does not last",
        );
    }

    #[test]
    fn what_would_be_a_holiday_in_other_words_refuses_the_file() {
        refused(
            &calendar(&["DTSTART;TZID=Europe/Madrid:20261224T120000"]),
            4,
            "only whole-day events",
        );
        refused(
            &calendar(&["DTSTART;VALUE=DATE-TIME:20261224"]),
            4,
            "only whole-day events",
        );
        for rule in [
            "FREQ=WEEKLY",
            "FREQ=YEARLY;BYDAY=4TH",
            "FREQ=YEARLY;BYMONTH=11",
            "FREQ=YEARLY;COUNT=0",
            "FREQ=YEARLY;INTERVAL=0",
            "nonsense",
            "COUNT=3",
        ] {
            refused(
                &calendar(&[&format!("DTSTART:20261225\nRRULE:{rule}")]),
                5,
                "only the same day of every year",
            );
        }
        refused(
            &calendar(&["DTSTART:20261225\nRDATE:20261226"]),
            5,
            "`RDATE` is a repetition",
        );
        refused(&calendar(&["DTSTART:20261225\nEXDATE:x"]), 5, "`EXDATE` is not");
        refused(
            &calendar(&["DTSTART:20261225\nDURATION:PT12H"]),
            5,
            "not in whole days",
        );
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let good = calendar(&[
            "DTSTART;VALUE=DATE:20261224\nDTEND;VALUE=DATE:20261227\nRRULE:FREQ=YEARLY;UNTIL=20301231",
        ]);
        let mut dice = 7_u64;
        for _ in 0..5_000 {
            let mut bytes = good.clone().into_bytes();
            for _ in 0..4 {
                dice = dice
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                let at = (dice >> 33) as usize % bytes.len();
                bytes[at] = (dice >> 20) as u8;
            }
            let _ = holidays(&bytes);
            let _ = holidays(&bytes[..bytes.len() / 2]);
        }
    }
}
