//! From the tree to what was written: records, lists and words, each with its place.
//!
//! A record is declared once with `record!`; its reader, its JSON Schema and the list of its fields
//! come from that one declaration. Reading never stops at a problem: a field that can't be read is
//! written down, marked as bad and left out, so that the judges after it neither use it nor call it
//! missing.

use super::problem::{Scribe, Span, nearest};
use super::yaml::{Kind, Node};
pub use crate::model::words::brief;
use chrono::{NaiveDate, NaiveTime};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct At<T> {
    /// Where.
    pub at: Span,
    /// What.
    pub value: T,
}

/// Where a record stands, and which of its fields were there but can't be used.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Place {
    /// Where the record starts.
    pub at: Span,
    /// Keys whose problem is already written down.
    pub bad: Vec<String>,
    /// Something was written here that this version refuses.
    pub refused: bool,
}

/// Something that can be read from a node.
pub trait Read: Sized + JsonSchema {
    /// Reads it, or writes down why not.
    fn read(node: &Node, scribe: &mut Scribe) -> Option<Self>;
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl<T: Read> Read for At<T> {
    fn read(node: &Node, scribe: &mut Scribe) -> Option<Self> {
        T::read(node, scribe).map(|value| At { at: node.at, value })
    }
}

impl<T: Read> Read for Vec<T> {
    fn read(node: &Node, scribe: &mut Scribe) -> Option<Self> {
        let Kind::List(items) = &node.kind else {
            scribe.error(
                node.at,
                format!("here is {}, a list is wanted", node.noun()),
                "write `[a, b]`, or one `- a` per line",
            );
            return None;
        };
        let read: Vec<_> = items.iter().map(|item| T::read(item, scribe)).collect();
        read.into_iter().collect()
    }
}

impl<T: Read> Read for BTreeMap<String, T> {
    fn read(node: &Node, scribe: &mut Scribe) -> Option<Self> {
        let Kind::Map(entries) = &node.kind else {
            scribe.error(
                node.at,
                format!("here is {}, `key: value` pairs are wanted", node.noun()),
                "write `{ key: value }`",
            );
            return None;
        };
        let read: Vec<_> = entries
            .iter()
            .map(|(k, n)| T::read(n, scribe).map(|v| (k.text.clone(), v)))
            .collect();
        read.into_iter().collect()
    }
}

/// The scalar's text and whether it was plain; writes down anything else.
pub fn scalar<'n>(
    node: &'n Node,
    scribe: &mut Scribe,
    wanted: &str,
    example: &str,
) -> Option<(&'n str, bool)> {
    match &node.kind {
        Kind::Scalar { text, plain } if !node.is_empty() => Some((text, *plain)),
        _ => {
            scribe.error(
                node.at,
                format!("here is {}, {wanted} is wanted", node.noun()),
                format!("write for example `{example}`"),
            );
            None
        }
    }
}

/// `snake_case` to the `camelCase` of the files; raw identifiers lose their mark.
pub fn camel(field: &str) -> String {
    let mut up = false;
    field
        .trim_start_matches("r#")
        .chars()
        .fold(String::new(), |mut out, c| {
            match c {
                '_' => up = true,
                c if std::mem::take(&mut up) => out.push(c.to_ascii_uppercase()),
                c => out.push(c),
            }
            out
        })
}

/// The entries of a record while it is read.
pub struct Fields<'n> {
    node: &'n Node,
    place: Place,
}

impl<'n> Fields<'n> {
    /// Checks the keys of a record: known ones stay, `later` ones are refused with their sentence,
    /// the others with a guess.
    pub fn of(node: &'n Node, known: &[&str], later: &[(&str, &str)], scribe: &mut Scribe) -> Option<Self> {
        let known: Vec<String> = known.iter().map(|k| camel(k)).collect();
        let Kind::Map(entries) = &node.kind else {
            let some = known
                .iter()
                .take(4)
                .map(|k| format!("`{k}`"))
                .collect::<Vec<_>>()
                .join(", ");
            let (what, help) = match known.is_empty() {
                true => (
                    format!("here is {}, `{{}}` is wanted", node.noun()),
                    "write `{}`".to_owned(),
                ),
                false => (
                    format!("here is {}, fields are wanted", node.noun()),
                    format!("write `key: value` with keys like {some}, or remove the line"),
                ),
            };
            scribe.error(node.at, what, help);
            return None;
        };
        let mut place = Place {
            at: node.at,
            ..Place::default()
        };
        for (key, _) in entries {
            if known.contains(&key.text) {
                continue;
            }
            if let Some((_, why)) = later.iter().find(|(name, _)| *name == key.text) {
                scribe.error_key(
                    key.at,
                    format!("`{}` is not available: {why}", key.text),
                    "remove it; it is refused rather than ignored",
                );
                place.refused = true;
                continue;
            }
            let all = known
                .iter()
                .map(String::as_str)
                .chain(later.iter().map(|(k, _)| *k));
            let help = match nearest(&key.text, all) {
                Some(near) => {
                    place.bad.push(near.to_owned());
                    format!("did you mean `{near}`?")
                }
                None if known.is_empty() => "remove it: nothing may be written here".to_owned(),
                None => format!("known here: {}", known.join(", ")),
            };
            scribe.error_key(key.at, format!("unknown field `{}`", key.text), help);
        }
        Some(Self { node, place })
    }

    /// Reads one field.
    pub fn take<T: Read>(&mut self, field: &str, scribe: &mut Scribe) -> Option<At<T>> {
        let key = camel(field);
        let node = self.node.get(&key)?;
        let read = if node.is_empty() {
            scribe.error(
                node.at,
                format!("`{key}` is there but empty"),
                "give it a value, or remove the line: then its default holds",
            );
            None
        } else {
            T::read(node, scribe)
        };
        if read.is_none() {
            self.place.bad.push(key);
        }
        read.map(|value| At { at: node.at, value })
    }

    /// The place, when all fields are taken.
    pub fn place(self) -> Place {
        self.place
    }
}

impl Place {
    /// A field that has to be there.
    pub fn need<'r, T>(
        &self,
        field: &'r Option<At<T>>,
        key: &str,
        help: &str,
        scribe: &mut Scribe,
    ) -> Option<&'r At<T>> {
        if field.is_none() && !self.bad.iter().any(|b| b == key) {
            scribe.error(self.at, format!("`{key}` is missing"), help);
        }
        field.as_ref()
    }

    /// Whether the field was written, readable or not.
    pub fn is_bad(&self, key: &str) -> bool {
        self.bad.iter().any(|b| b == key)
    }
}

/// Declares a record of a file: every field optional and with its place.
macro_rules! record {
    (
        $(#[$meta:meta])*
        $name:ident { $( $(#[$field_meta:meta])* $field:ident : $type:ty ),* $(,)? }
        $( later { $( $later:literal : $why:literal ),* $(,)? } )?
    ) => {
        #[derive(Clone, Debug, Default, schemars::JsonSchema)]
        $(#[$meta])*
        #[schemars(rename_all = "camelCase", deny_unknown_fields)]
        pub struct $name {
            /// Where it stands.
            #[schemars(skip)]
            pub place: $crate::policy::read::Place,
            $( $(#[$field_meta])* pub $field: Option<$crate::policy::read::At<$type>>, )*
        }

        impl $name {
            /// The keys, as files write them.
            pub const FIELDS: &'static [&'static str] = &[$( stringify!($field) ),*];
            /// Keys that the design knows and this version refuses, with why.
            pub const LATER: &'static [(&'static str, &'static str)] = &[$( $( ($later, $why) ),* )?];
        }

        impl $crate::policy::read::Read for $name {
            fn read(
                node: &$crate::policy::yaml::Node,
                scribe: &mut $crate::policy::problem::Scribe,
            ) -> Option<Self> {
                #[allow(unused_mut, clippy::allow_attributes, reason = "a record may have no field")]
                let mut fields = $crate::policy::read::Fields::of(node, Self::FIELDS, Self::LATER, scribe)?;
                Some(Self {
                    $( $field: fields.take(stringify!($field), scribe), )*
                    place: fields.place(),
                })
            }
        }
    };
}
pub(crate) use record;

/// Declares a closed set of words.
macro_rules! choice {
    ($(#[$meta:meta])* $name:ident { $( $(#[$word_meta:meta])* $variant:ident = $word:literal ),* $(,)? } $( later { $( $later:literal : $why:literal ),* $(,)? } )?) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, schemars::JsonSchema)]
        pub enum $name { $( $(#[$word_meta])* #[schemars(rename = $word)] $variant, )* }

        impl $crate::policy::read::Read for $name {
            fn read(
                node: &$crate::policy::yaml::Node,
                scribe: &mut $crate::policy::problem::Scribe,
            ) -> Option<Self> {
                const WORDS: &[&str] = &[$( $word ),*];
                const LATER: &[(&str, &str)] = &[$( $( ($later, $why) ),* )?];
                let (text, _) = $crate::policy::read::scalar(node, scribe, "a word", WORDS[0])?;
                match text {
                    $( $word => Some(Self::$variant), )*
                    other => {
                        $crate::policy::read::unknown_word(other, node, WORDS, LATER, scribe);
                        None
                    }
                }
            }
        }
    };
}
pub(crate) use choice;

/// Writes down a word that is not in its set.
pub fn unknown_word(word: &str, node: &Node, words: &[&str], later: &[(&str, &str)], scribe: &mut Scribe) {
    if let Some((_, why)) = later.iter().find(|(name, _)| *name == word) {
        scribe.error(
            node.at,
            format!("`{word}` is not available: {why}"),
            format!("known here: {}", words.join(", ")),
        );
        return;
    }
    let help = match nearest(word, words.iter().copied()) {
        Some(near) => format!("did you mean `{near}`? Known here: {}", words.join(", ")),
        None => format!("known here: {}", words.join(", ")),
    };
    scribe.error(node.at, format!("`{word}` is none of the words known here"), help);
}

// Unquoted words that other YAML readers take for a truth value, a number or nothing are refused, so
// that a file means the same to everybody ("the Norway problem").
/// A text.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(transparent, inline)]
pub struct Text(pub String);

impl Read for Text {
    fn read(node: &Node, scribe: &mut Scribe) -> Option<Self> {
        let (text, plain) = scalar(node, scribe, "a text", "\"some text\"")?;
        let truth = ["yes", "no", "on", "off", "true", "false", "y", "n"]
            .contains(&text.to_ascii_lowercase().as_str());
        let number = text.parse::<f64>().is_ok() || text.starts_with("0x") || text.starts_with("0o");
        if plain && (truth || number) {
            let kind = if truth { "a truth value" } else { "a number" };
            scribe.error(
                node.at,
                format!("`{text}` without quotes is {kind} to YAML, a text is wanted"),
                format!("write it in quotes: \"{text}\""),
            );
            return None;
        }
        if text.trim() != text || text.is_empty() {
            scribe.error(
                node.at,
                "the text is empty or has blanks around it",
                "remove the blanks, or the line",
            );
            return None;
        }
        Some(Self(text.to_owned()))
    }
}

impl Read for bool {
    fn read(node: &Node, scribe: &mut Scribe) -> Option<Self> {
        match scalar(node, scribe, "true or false", "true")? {
            ("true", true) => Some(true),
            ("false", true) => Some(false),
            (other, _) => {
                scribe.error(
                    node.at,
                    format!("`{other}` is not `true` or `false`"),
                    "write `true` or `false`, without quotes",
                );
                None
            }
        }
    }
}

impl Read for u32 {
    fn read(node: &Node, scribe: &mut Scribe) -> Option<Self> {
        let (text, plain) = scalar(node, scribe, "a whole number", "1")?;
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let (what, help) = match text.parse::<u32>() {
            Ok(number) if digits && plain && (text == "0" || !text.starts_with('0')) => return Some(number),
            _ if !plain && digits => (
                format!("\"{text}\" is a text, a number is wanted"),
                format!("write {text} without quotes"),
            ),
            _ if text.starts_with('-') => (
                format!("`{text}` is negative"),
                "write a whole number, 0 or more".to_owned(),
            ),
            _ if digits && text.starts_with('0') => (
                format!("`{text}` starts with a zero: some YAML readers take it for octal"),
                format!("write {}", text.trim_start_matches('0')),
            ),
            _ if text.ends_with('%') => (
                format!("`{text}` has a percent sign, a bare number is wanted"),
                format!("write {}", text.trim_end_matches(['%', ' '])),
            ),
            _ => (
                format!("`{text}` is not a whole number"),
                "write a whole number such as 1, up to 4294967295".to_owned(),
            ),
        };
        scribe.error(node.at, what, help);
        None
    }
}

/// A text form with its own reading: what it is called, an example, a pattern, and the reading.
macro_rules! form {
    ($(#[$meta:meta])* $name:ident($inner:ty), $wanted:literal, $example:literal, $pattern:literal, $parse:expr) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name(pub $inner);

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern, "examples": [$example] })
            }
        }

        impl Read for $name {
            fn read(node: &Node, scribe: &mut Scribe) -> Option<Self> {
                let (text, plain) = scalar(node, scribe, $wanted, $example)?;
                let parse: fn(&str, bool) -> Result<$inner, (String, String)> = $parse;
                match parse(text, plain) {
                    Ok(value) => Some(Self(value)),
                    Err((what, help)) => {
                        scribe.error(node.at, what, help);
                        None
                    }
                }
            }
        }
    };
}

form!(
    /// An elapsed time: `800ms`, `30s`, `10m`, `1h`, `14d`; also `1h30m`.
    Lasting(Duration), "a duration", "10m", r"^([0-9]+(ms|s|m|h|d))+$", |text, _| {
        duration(text).ok_or_else(|| {
            let help = if text.bytes().all(|b| b.is_ascii_digit()) {
                format!("say the unit: `{text}s`, `{text}m` or `{text}h`?")
            } else {
                "write a number and `ms`, `s`, `m`, `h` or `d` without blanks, such as `800ms`, `30s`, `10m` or `1h30m`".to_owned()
            };
            (format!("`{text}` is not a duration"), help)
        })
    }
);

form!(
    /// A share in parts per million, written as `1%` or `0.5%`.
    Percent(u32), "a percentage", "1%", r"^[0-9]{1,3}(\.[0-9]{1,4})?%$", |text, _| {
        percent(text).map_err(|why| (format!("`{text}` is not a percentage: {why}"), "write for example `1%` or `0.5%`, from 0% to 100%".to_owned()))
    }
);

form!(
    /// A difference of two shares in percentage points: `0.5pp`. Kept in parts per million.
    Points(u32), "percentage points", "0.5pp", r"^[0-9]{1,3}(\.[0-9]{1,4})?pp$", |text, _| {
        text.strip_suffix("pp").and_then(|number| percent(&format!("{number}%")).ok()).ok_or_else(|| {
            (format!("`{text}` is not a number of percentage points"), "write for example `0.5pp`, from 0pp to 100pp".to_owned())
        })
    }
);

form!(
    /// A civil minute of the day, in quotes: `"09:30"`.
    Minute(NaiveTime), "a time of day", "\"09:30\"", r"^([01][0-9]|2[0-3]):[0-5][0-9]$", |text, plain| {
        let colon = text.len() == 5 && text.as_bytes()[2] == b':' && text.bytes().enumerate().all(|(i, b)| i == 2 || b.is_ascii_digit());
        match NaiveTime::parse_from_str(text, "%H:%M") {
            Ok(time) if colon && !plain => Ok(time),
            Ok(_) if colon => Err((
                format!("`{text}` without quotes is a number in base 60 to some YAML readers"),
                format!("write it in quotes: \"{text}\""),
            )),
            _ if text == "24:00" => Err((
                "`24:00` is not a minute of this day".to_owned(),
                "the last minute is \"23:59\"; a window never crosses midnight, split it in two".to_owned(),
            )),
            _ => Err((format!("`{text}` is not a time of day"), "write hours and minutes with a colon, in quotes, such as \"09:30\"".to_owned())),
        }
    }
);

form!(
    /// A civil date: `2026-12-25`.
    Day(NaiveDate), "a date", "2026-12-25", r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", |text, _| {
        NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| text.len() == 10)
            .ok_or_else(|| (format!("`{text}` is not a date"), "write year, month and day, such as `2026-12-25`".to_owned()))
    }
);

form!(
    /// A number of work days: `3 workdays`.
    Workdays(u32), "a number of work days", "3 workdays", r"^[1-9][0-9]{0,2} workdays?$", |text, _| {
        workdays(text).ok_or_else(|| (format!("`{text}` is not a number of work days"), "write for example `1 workday` or `3 workdays`".to_owned()))
    }
);

/// `10m`, `1h30m`.
pub fn duration(text: &str) -> Option<Duration> {
    let (mut total, mut rest) = (Duration::ZERO, text);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after) = after.split_at(letters);
        let milliseconds: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        let part = number.parse::<u64>().ok()?.checked_mul(milliseconds)?;
        total = total.checked_add(Duration::from_millis(part))?;
        rest = after;
    }
    // A year is longer than anything here may last, and keeps sums from overflowing.
    (total <= Duration::from_secs(366 * 86_400)).then_some(total)
}

/// Parts per million.
fn percent(text: &str) -> Result<u32, &'static str> {
    if text.contains(char::is_whitespace) {
        return Err("there is a blank in it");
    }
    let number = text.strip_suffix('%').ok_or("the percent sign is missing")?;
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 4 || whole.len() > 3 {
        return Err("it needs a plain number with at most four decimals");
    }
    let millionths = whole.parse::<u32>().map_err(|_| "it is too large")? * 10_000
        + format!("{part:0<4}")
            .parse::<u32>()
            .map_err(|_| "it is too large")?;
    if millionths > 1_000_000 {
        Err("it is more than 100 %")
    } else {
        Ok(millionths)
    }
}

/// `3 workdays`.
pub fn workdays(text: &str) -> Option<u32> {
    let (number, unit) = text.split_once(' ')?;
    let days: u32 = number
        .parse()
        .ok()
        .filter(|_| number.bytes().all(|b| b.is_ascii_digit()))?;
    ((unit == "workdays" || (unit == "workday" && days == 1)) && (1..=366).contains(&days)).then_some(days)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::yaml;
    use std::path::Path;

    /// Reads `yaml` as `T` and compares the value, or the first sentence.
    #[track_caller]
    fn check<T: Read + std::fmt::Debug>(text: &str, expected: &str) {
        let (mut scribe, node) = yaml::read_bytes(Path::new("a"), format!("v: {text}").as_bytes(), false);
        let node = node.expect("the test writes YAML");
        let value = T::read(node.get("v").unwrap(), &mut scribe);
        let said = scribe
            .finish()
            .0
            .first()
            .map(|p| format!("{} | {}", p.what, p.help));
        let got = value.map_or_else(|| said.clone().unwrap_or_default(), |v| format!("{v:?}"));
        assert!(got.contains(expected), "got: {got}");
    }

    #[test]
    fn durations_need_a_unit_and_no_blank() {
        check::<Lasting>("10m", "Lasting(600s)");
        check::<Lasting>("1h30m", "Lasting(5400s)");
        check::<Lasting>("800ms", "Lasting(800ms)");
        check::<Lasting>("10", "say the unit: `10s`");
        check::<Lasting>("10 m", "is not a duration");
        check::<Lasting>("-1m", "is not a duration");
        check::<Lasting>("99999999999999d", "is not a duration");
        check::<Lasting>("[1]", "here is a list, a duration is wanted");
    }

    #[test]
    fn percentages_need_their_sign_and_stay_below_a_hundred() {
        check::<Percent>("1%", "Percent(10000)");
        check::<Percent>("0.5%", "Percent(5000)");
        check::<Percent>("100%", "Percent(1000000)");
        check::<Percent>("101%", "more than 100 %");
        check::<Percent>("50 %", "there is a blank in it");
        check::<Percent>("1", "the percent sign is missing");
        check::<Percent>(".nan", "the percent sign is missing");
        check::<Percent>("-1%", "plain number");
    }

    #[test]
    fn points_are_no_percentages() {
        check::<Points>("0.5pp", "Points(5000)");
        check::<Points>("2pp", "Points(20000)");
        check::<Points>("0.5%", "is not a number of percentage points");
        check::<Points>("0.5 pp", "is not a number of percentage points");
        check::<Points>("101pp", "is not a number of percentage points");
    }

    #[test]
    fn times_are_quoted_or_refused() {
        check::<Minute>("\"09:30\"", "Minute(09:30:00)");
        check::<Minute>("09:30", "write it in quotes: \"09:30\"");
        check::<Minute>("0930", "is not a time of day");
        check::<Minute>("\"9:30\"", "is not a time of day");
        check::<Minute>("\"24:00\"", "\"23:59\"");
        check::<Minute>("\"25:00\"", "is not a time of day");
    }

    #[test]
    fn norway_is_a_country() {
        check::<Text>("no", "`no` without quotes is a truth value to YAML");
        check::<Text>("\"no\"", "Text(\"no\")");
        check::<Text>("0930", "is a number to YAML");
        check::<Text>("1e3", "is a number to YAML");
        check::<Text>("shop", "Text(\"shop\")");
        check::<bool>("yes", "`yes` is not `true` or `false`");
        check::<bool>("true", "true");
    }

    #[test]
    fn numbers_are_whole_positive_and_bare() {
        check::<u32>("3", "3");
        check::<u32>("-3", "`-3` is negative");
        check::<u32>("010", "octal");
        check::<u32>("20%", "write 20");
        check::<u32>("\"3\"", "write 3 without quotes");
        check::<u32>("1.5", "is not a whole number");
        check::<u32>("99999999999", "is not a whole number");
    }

    #[test]
    fn dates_and_workdays_have_one_form() {
        check::<Day>("2026-12-25", "Day(2026-12-25)");
        check::<Day>("2026-02-30", "is not a date");
        check::<Day>("25.12.2026", "is not a date");
        check::<Workdays>("3 workdays", "Workdays(3)");
        check::<Workdays>("1 workday", "Workdays(1)");
        check::<Workdays>("0 workdays", "is not a number of work days");
        check::<Workdays>("3 days", "is not a number of work days");
    }
}
