//! How things look in a terminal. Pure: data, a moment and a pen in, text out.
//!
//! `-o json` and `-o yaml` print the views as they are; everything here is for people, and may change.

pub mod forecast;
pub mod lists;
pub mod past;
pub mod plan;
pub mod rehearsal;
pub mod run;
pub mod why;

use super::Trouble;
use crate::exit::Exit;
use crate::model::text::is_hidden;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use std::io::IsTerminal;

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For people with a wide screen.
    Wide,
    /// For machines.
    Json,
    /// For machines and people.
    Yaml,
    /// For spreadsheets; `forecast` only.
    Csv,
    /// For calendars; `forecast` only.
    Ics,
}

/// What rendering needs to know.
#[derive(Clone, Copy, Debug)]
pub struct Out {
    /// How to print.
    pub format: Format,
    /// With what.
    pub pen: Pen,
    /// What ages are counted from.
    pub now: DateTime<Utc>,
}

impl Out {
    /// The data itself, where that was asked for.
    ///
    /// # Errors
    ///
    /// When the data cannot be said in that format: our own fault.
    pub fn data(&self, value: &impl Serialize) -> Result<Option<String>, Trouble> {
        let ours = |error: String| Trouble::new(Exit::Ours, format!("could not write the answer: {error}"));
        Ok(match self.format {
            Format::Table | Format::Wide => None,
            Format::Csv | Format::Ics => {
                return Err(Trouble::new(
                    Exit::Usage,
                    "only `forecast` prints csv and ics; use table, wide, json or yaml",
                ));
            }
            Format::Json => Some(serde_json::to_string_pretty(value).map_err(|e| ours(e.to_string()))?),
            Format::Yaml => {
                // By way of JSON, so that both formats show the same thing.
                let plain = serde_json::to_value(value).map_err(|e| ours(e.to_string()))?;
                Some(serde_saphyr::to_string(&plain).map_err(|e| ours(e.to_string()))?)
            }
        })
    }

    /// The data itself, or the text for people.
    ///
    /// # Errors
    ///
    /// As [`Out::data`].
    pub fn say(&self, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<String, Trouble> {
        Ok(self.data(value)?.unwrap_or_else(text))
    }

    fn wide(&self) -> bool {
        self.format == Format::Wide
    }

    /// `4 min ago`, `in 2 h`.
    fn age(&self, at: DateTime<Utc>) -> String {
        age(self.now, at)
    }

    /// The time and how long ago that is.
    fn when(&self, at: DateTime<Utc>) -> String {
        format!("{} ({})", at.format("%Y-%m-%d %H:%M:%S UTC"), self.age(at))
    }
}

/// What may be used: colours only on a terminal without `$NO_COLOR`, signs only where UTF-8 is spoken.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pen {
    /// ANSI colours.
    pub colour: bool,
    /// ✓ ✗ ?
    pub unicode: bool,
}

/// A colour by what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// A yes.
    Good,
    /// A no.
    Bad,
    /// Not known.
    Unsure,
    /// Less important.
    Soft,
    /// More important.
    Strong,
}

impl Pen {
    /// What stdout can take.
    pub fn of_stdout() -> Self {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let locale = set("LC_ALL")
            .or_else(|| set("LC_CTYPE"))
            .or_else(|| set("LANG"))
            .unwrap_or_default();
        let locale = locale.to_ascii_lowercase();
        Self {
            colour: std::io::stdout().is_terminal()
                && set("NO_COLOR").is_none()
                && set("TERM").is_none_or(|term| term != "dumb"),
            unicode: locale.contains("utf-8") || locale.contains("utf8"),
        }
    }

    /// Text in a tone.
    pub fn paint(self, tone: Tone, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Good => "32",
            Tone::Bad => "31",
            Tone::Unsure => "33",
            Tone::Soft => "2",
            Tone::Strong => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// How long ago, or until when, in the largest unit that fits.
pub fn age(now: DateTime<Utc>, at: DateTime<Utc>) -> String {
    let past = now - at;
    let length = span(past.abs());
    if past.abs() < TimeDelta::seconds(1) {
        "now".to_owned()
    } else if past > TimeDelta::zero() {
        format!("{length} ago")
    } else {
        format!("in {length}")
    }
}

/// A length of time in the largest unit that fits, cut and never rounded up.
pub fn span(length: TimeDelta) -> String {
    match length.num_seconds() {
        s if s < 120 => format!("{s} s"),
        s if s < 120 * 60 => format!("{} min", s / 60),
        s if s < 48 * 3600 => format!("{} h", s / 3600),
        s => format!("{} d", s / 86_400),
    }
}

/// Text from elsewhere without what a terminal would obey.
pub fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if is_hidden(c) { '\u{fffd}' } else { c })
        .collect()
}

/// The lines of a text from elsewhere, each [`clean`].
pub fn clean_lines(text: &str) -> impl Iterator<Item = String> + '_ {
    text.lines().map(clean)
}

/// An aligned table without lines, as `kubectl` prints it.
pub fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| clean(cell)).collect())
        .collect();
    let width = |column: usize| {
        let cells = rows
            .iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count());
        cells.chain([heads[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded: Vec<String> = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        padded.join("   ").trim_end().to_owned()
    };
    let mut lines = vec![line(heads.to_vec())];
    lines.extend(
        rows.iter()
            .map(|row| line(row.iter().map(String::as_str).collect())),
    );
    lines.join("\n")
}

/// `name:` and value, aligned, for descriptions. Rows without a value are left out.
pub fn facts(rows: &[(&str, Option<String>)]) -> String {
    let width = rows
        .iter()
        .map(|(name, _)| name.chars().count() + 1)
        .max()
        .unwrap_or(0);
    let lines: Vec<String> = rows
        .iter()
        .filter_map(|(name, value)| {
            let value = clean(value.as_deref()?);
            Some(format!("{:<width$}  {value}", format!("{name}:")))
        })
        .collect();
    lines.join("\n")
}

/// `1 task`, `2 tasks`.
pub fn many(number: u32, noun: &str) -> String {
    if number == 1 {
        format!("1 {noun}")
    } else {
        format!("{number} {noun}s")
    }
}

/// The first `most` characters, with a sign when there were more.
pub fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{kept}…")
}

#[cfg(test)]
pub(super) mod tests;
