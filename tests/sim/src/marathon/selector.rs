//! Label selectors, and what Marathon says about bad ones.

use std::collections::BTreeMap;

use super::refusal::Refusal;
use super::state::Version;

const TERM: &str = r"(\\.|[-A-Za-z0-9_.])+";
const EQUALITY: &str = "(==|!=)";
const SET: &str = "(in|notin)";

/// One condition on the labels of an app; all of them need the label to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Term {
    Has(String),
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
}

/// A label selector: every condition must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector(Vec<Term>);

impl Selector {
    /// Reads a selector.
    ///
    /// # Errors
    /// 422 with the words of that version's parser.
    pub fn read(text: &str, version: Version) -> Result<Self, Refusal> {
        let mut parser = Parser {
            text,
            at: 0,
            furthest: None,
        };
        let terms = parser.all();
        parser.blanks();
        if parser.at == text.len() {
            return Ok(Self(terms));
        }
        // The older parser tells the furthest failure, the newer one has forgotten it.
        let reason = match (version.selector_tells_the_furthest(), parser.furthest) {
            (true, Some((at, words))) if at >= parser.at => words,
            _ => "end of input expected".to_owned(),
        };
        Err(Refusal::message(
            422,
            &format!("Can not parse label selector {text}. Reason: {reason}"),
        ))
    }

    /// Whether labels fulfil it.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|term| match term {
            Term::Has(key) => labels.contains_key(key),
            Term::In(key, list) => labels.get(key).is_some_and(|v| list.contains(v)),
            Term::NotIn(key, list) => labels.get(key).is_some_and(|v| !list.contains(v)),
        })
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    furthest: Option<(usize, String)>,
}

impl Parser<'_> {
    fn blanks(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    fn fail<T>(&mut self, wanted: &str) -> Option<T> {
        let found = self.text[self.at..]
            .chars()
            .next()
            .map_or_else(|| "end of source".to_owned(), |c| format!("'{c}'"));
        let words = format!("{wanted} expected but {found} found");
        if self.furthest.as_ref().is_none_or(|(at, _)| self.at >= *at) {
            self.furthest = Some((self.at, words));
        }
        None
    }

    fn literal(&mut self, text: &str) -> Option<()> {
        self.blanks();
        if self.text[self.at..].starts_with(text) {
            self.at += text.len();
            return Some(());
        }
        self.fail(&format!("'{text}'"))
    }

    fn either(&mut self, first: &'static str, second: &'static str, pattern: &str) -> Option<&'static str> {
        self.blanks();
        for word in [first, second] {
            if self.text[self.at..].starts_with(word) {
                self.at += word.len();
                return Some(word);
            }
        }
        self.fail(&format!("string matching regex '{pattern}'"))
    }

    fn term(&mut self) -> Option<String> {
        self.blanks();
        let (mut out, mut long) = (String::new(), 0);
        let mut chars = self.text[self.at..].chars();
        while let Some(c) = chars.next() {
            if c == '\\' {
                let Some(next) = chars.next() else { break };
                out.push(next);
                long += 1 + next.len_utf8();
            } else if c.is_ascii_alphanumeric() || "-_.".contains(c) {
                out.push(c);
                long += 1;
            } else {
                break;
            }
        }
        if out.is_empty() {
            return self.fail(&format!("string matching regex '{TERM}'"));
        }
        self.at += long;
        Some(out)
    }

    fn try_out<T>(&mut self, parse: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let before = self.at;
        let parsed = parse(self);
        if parsed.is_none() {
            self.at = before;
        }
        parsed
    }

    fn list(&mut self) -> Option<Vec<String>> {
        self.literal("(")?;
        let mut list = Vec::new();
        if let Some(first) = self.try_out(Self::term) {
            list.push(first);
            while let Some(more) = self.try_out(|p| {
                p.literal(",")?;
                p.term()
            }) {
                list.push(more);
            }
        }
        self.literal(")")?;
        Some(list)
    }

    fn selector(&mut self) -> Option<Term> {
        let set = self.try_out(|p| {
            let key = p.term()?;
            let op = p.either("in", "notin", SET)?;
            let list = p.list()?;
            Some(match op {
                "in" => Term::In(key, list),
                _ => Term::NotIn(key, list),
            })
        });
        let equality = |p: &mut Self| {
            let key = p.term()?;
            let op = p.either("==", "!=", EQUALITY)?;
            let value = vec![p.term()?];
            Some(match op {
                "==" => Term::In(key, value),
                _ => Term::NotIn(key, value),
            })
        };
        set.or_else(|| self.try_out(equality))
            .or_else(|| self.try_out(|p| p.term().map(Term::Has)))
    }

    fn all(&mut self) -> Vec<Term> {
        let mut terms = Vec::new();
        if let Some(first) = self.selector() {
            terms.push(first);
            while let Some(more) = self.try_out(|p| {
                p.literal(",")?;
                p.selector()
            }) {
                terms.push(more);
            }
        }
        terms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn says(text: &str, version: Version, reason: &str) {
        let refusal = Selector::read(text, version).unwrap_err();
        let wanted = format!("Can not parse label selector {text}. Reason: {reason}");
        assert_eq!((refusal.status, refusal.words()), (422, wanted.as_str()));
    }

    #[test]
    fn what_each_version_says_about_a_bad_selector() {
        says("chaos=opt-in", Version::V1_11, "end of input expected");
        says("((", Version::V1_11, "end of input expected");
        says("chaos=opt-in", Version::V1_7, "',' expected but '=' found");
        says(
            "((",
            Version::V1_7,
            r"string matching regex '(\\.|[-A-Za-z0-9_.])+' expected but '(' found",
        );
    }

    #[test]
    fn every_condition_needs_the_label() {
        let labels: BTreeMap<String, String> = [("tier".to_owned(), "front".to_owned())].into();
        for (text, found) in [
            ("", true),
            ("tier", true),
            ("other", false),
            ("tier==front", true),
            ("tier != front", false),
            ("other!=x", false),
            ("tier in (a, front)", true),
            ("tier notin (a,b), tier", true),
            ("other notin (a)", false),
            (r"t\ier", true),
        ] {
            let selector = Selector::read(text, Version::V1_11).unwrap();
            assert_eq!(selector.matches(&labels), found, "{text}");
        }
    }
}
