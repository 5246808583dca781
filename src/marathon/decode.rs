//! The list of apps, read while it arrives: what is held is the app that is being read and whatever was
//! asked for, never the body.
//!
//! The frame around the apps is small and read here, token by token; every app is read by `serde_json`
//! out of the bytes that have arrived, and again once twice as many are there if it was not complete.
//!
//! # Guarantees
//!
//! - A list counts when it was read to its last byte, and only then: one that is cut off, goes on after its
//!   end, names `apps` twice, is not UTF-8 or is longer than the cap shows nothing at all.
//! - An app that can't be read is unseen on its own if the JSON around it is in order, and makes the whole
//!   list worthless if it is not: nobody knows then where it ends.
//! - Wherever the body is cut into pieces, the outcome is the same.

use super::convert::{Words, readable, unreadable};
use super::wire;
use crate::model::ids::AppId;
use crate::model::snapshot::{App, Gap, GapKind};
use crate::ports::cluster::Query;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeSet;

/// Most bytes of one app. With 800 bytes a task, this is more than 80,000 tasks.
const ONE_APP: usize = 64 << 20;
/// How much of the beginning is kept, to say what kind of answer it was.
const BEGIN: usize = 4 << 10;

/// What a whole list showed.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Found {
    /// Apps that were asked for, in the order of the list.
    pub apps: Vec<App>,
    /// Apps that could not be read.
    pub gaps: Vec<Gap>,
}

/// Where in the frame reading goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Start,
    FirstKey,
    Key,
    Colon { apps: bool },
    Value { apps: bool },
    FirstApp,
    App,
    AfterApp,
    AfterValue,
    End,
}

/// Reads one answer of `GET /v2/apps`.
pub(super) struct AppList<'q> {
    queries: &'q [Query],
    place: Place,
    /// What has arrived and was not read yet.
    rest: Vec<u8>,
    /// How long `rest` was when it was too short; nothing is tried again before it has doubled.
    too_short: usize,
    most: usize,
    taken: usize,
    begin: Vec<u8>,
    listed: BTreeSet<AppId>,
    apps_named: bool,
    words: Words,
    found: Found,
}

impl<'q> AppList<'q> {
    /// Reads a list of at most `most` bytes and keeps the apps that a query asks for.
    pub fn new(queries: &'q [Query], most: usize) -> Self {
        Self {
            queries,
            place: Place::Start,
            rest: vec![],
            too_short: 0,
            most,
            taken: 0,
            begin: vec![],
            listed: BTreeSet::new(),
            apps_named: false,
            words: Words::default(),
            found: Found::default(),
        }
    }

    /// Takes in the next bytes.
    ///
    /// # Errors
    ///
    /// Why the list is worth nothing, in a sentence. Then it stays so; nothing needs to be read any more.
    pub fn take(&mut self, piece: &[u8]) -> Result<(), String> {
        self.taken = self.taken.saturating_add(piece.len());
        if self.taken > self.most {
            return Err(format!(
                "it is longer than {}, and no more is read of it",
                super::client::size(self.most)
            ));
        }
        let missing = BEGIN.saturating_sub(self.begin.len()).min(piece.len());
        self.begin.extend_from_slice(&piece[..missing]);
        self.rest.extend_from_slice(piece);
        if self.rest.len() / 2 >= self.too_short || self.rest.len() > ONE_APP {
            self.read(false)?;
        }
        if self.rest.len() > ONE_APP {
            return Err(format!("one app in it is longer than {} MiB", ONE_APP >> 20));
        }
        Ok(())
    }

    /// Ends the list.
    ///
    /// # Errors
    ///
    /// Why the list is worth nothing, in a sentence.
    pub fn end(mut self) -> Result<Found, String> {
        self.read(true)?;
        match self.place {
            Place::End if self.apps_named => Ok(self.found),
            Place::End => Err(self.bad("it has no `apps`")),
            _ => Err(self.bad("it ends too early")),
        }
    }

    fn bad(&self, why: impl std::fmt::Display) -> String {
        let said = wire::said(&self.begin);
        format!("the answer is {said}, and {why} (before byte {})", self.taken)
    }

    /// Reads as far as the bytes go; `last` when no more will come.
    fn read(&mut self, last: bool) -> Result<(), String> {
        let mut rest = std::mem::take(&mut self.rest);
        let text = match std::str::from_utf8(&rest) {
            Ok(text) => Ok(text),
            // The last character is not whole yet.
            Err(e) if e.error_len().is_none() && !last => std::str::from_utf8(&rest[..e.valid_up_to()]),
            Err(e) => Err(e),
        }
        .map_err(|_| self.bad("it is not UTF-8"))?;
        let mut at = 0;
        let mut more = true;
        while more {
            at = text.len() - text[at..].trim_start_matches([' ', '\t', '\n', '\r']).len();
            let step = match &text[at..] {
                "" => None,
                tail => self.step(tail, last)?,
            };
            more = step.is_some();
            at += step.unwrap_or(0);
        }
        rest.drain(..at);
        self.too_short = rest.len();
        self.rest = rest;
        Ok(())
    }

    /// Reads one token of the frame, or one app; says how long it was, or `None` if there is too little of
    /// it. `text` does not begin with white space and is not empty.
    fn step(&mut self, text: &str, last: bool) -> Result<Option<usize>, String> {
        let next = match (self.place, text.as_bytes()[0]) {
            (Place::Start, b'{') => Place::FirstKey,
            (Place::FirstKey | Place::AfterValue, b'}') => Place::End,
            (Place::FirstKey | Place::Key, b'"') => {
                let key = value::<wire::Text<'_>>(text, last).map_err(|e| self.bad(e))?;
                let Some((key, length)) = key else { return Ok(None) };
                let apps = *key == *"apps";
                if apps && std::mem::replace(&mut self.apps_named, true) {
                    return Err(self.bad("it names `apps` twice"));
                }
                self.place = Place::Colon { apps };
                return Ok(Some(length));
            }
            (Place::Colon { apps }, b':') => Place::Value { apps },
            (Place::Value { apps: true }, b'[') => Place::FirstApp,
            (Place::Value { apps: false }, _) => {
                let skipped = value::<IgnoredAny>(text, last).map_err(|e| self.bad(e))?;
                return Ok(skipped.map(|(_, length)| {
                    self.place = Place::AfterValue;
                    length
                }));
            }
            (Place::FirstApp | Place::AfterApp, b']') => Place::AfterValue,
            (Place::FirstApp | Place::App, _) => {
                let length = self.app(text, last)?;
                if length.is_some() {
                    self.place = Place::AfterApp;
                }
                return Ok(length);
            }
            (Place::AfterApp, b',') => Place::App,
            (Place::AfterValue, b',') => Place::Key,
            (Place::End, _) => return Err(self.bad("something follows its end")),
            (place, _) => return Err(self.bad(format_args!("it is not a list of apps ({place:?})"))),
        };
        self.place = next;
        Ok(Some(1))
    }

    /// Reads the app at the beginning of `text`; says how long it was, or `None` if there is too little of it.
    fn app(&mut self, text: &str, last: bool) -> Result<Option<usize>, String> {
        match value::<wire::App<'_>>(text, last) {
            Ok(None) => Ok(None),
            Ok(Some((app, length))) => {
                self.keep(app, &text[..length]);
                Ok(Some(length))
            }
            // Something in it is not as it should be. If the JSON is, its end is certain.
            Err(why) => {
                let around = value::<IgnoredAny>(text, last).map_err(|e| self.bad(e))?;
                Ok(around.map(|(_, length)| {
                    self.lose(unreadable(&text[..length], &why.to_string()));
                    length
                }))
            }
        }
    }

    fn keep(&mut self, app: wire::App<'_>, json: &str) {
        let id = match AppId::parse(&app.id) {
            Ok(id) => id,
            Err(why) => return self.lose(unreadable(json, &why)),
        };
        let none = wire::Labels::default();
        let labels = &app.labels.as_ref().unwrap_or(&none).0;
        let wanted = self.queries.iter().any(|query| query.matches(&id, labels));
        if !self.listed.insert(id.clone()) {
            let why = format!("Marathon listed {id} twice in one answer");
            return self.lose(Gap {
                app: Some(id),
                what: GapKind::Apps,
                why,
            });
        }
        if wanted {
            match readable(app, &mut self.words) {
                Ok(app) => self.found.apps.push(app),
                Err(why) => self.lose(unreadable(json, &why)),
            }
        }
    }

    /// Remembers a gap, unless it touches only an app that nobody asks about.
    fn lose(&mut self, gap: Gap) {
        let asked = |id: &AppId| self.queries.iter().any(|query| query.names(id));
        if gap.app.as_ref().is_none_or(asked) {
            self.found.gaps.push(gap);
        }
    }
}

/// The JSON value at the beginning of `text`, with its length; `None` if its end is not there yet.
fn value<'a, T: Deserialize<'a>>(text: &'a str, last: bool) -> Result<Option<(T, usize)>, serde_json::Error> {
    // A number at the very end may go on in the next bytes, and half of one is not always said to be half.
    let in_number = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'e' | 'E');
    let text = if last {
        text
    } else {
        text.trim_end_matches(in_number)
    };
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<T>();
    match values.next() {
        None => Ok(None),
        Some(Ok(value)) => Ok(Some((value, values.byte_offset()))),
        Some(Err(e)) if e.is_eof() && !last => Ok(None),
        Some(Err(e)) => Err(e),
    }
}

#[cfg(test)]
#[path = "decode_test.rs"]
mod tests;
