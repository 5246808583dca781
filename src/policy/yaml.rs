//! YAML text to a tree in which everything knows its place.
//!
//! Built on the event parser underneath `serde-saphyr`, because a typed reading stops at the first
//! error and forgets whether `no` was quoted. The tree is bounded before anything is built from it:
//! size, depth and number of nodes; anchors, aliases, merge keys and tags are refused, so nothing in
//! a file can stand for more than what is written.

use super::problem::{Scribe, Span};
use crate::model::text::is_hidden;
use granit_parser::{Event, Options, Parser, ScalarStyle};
use std::path::Path;

/// Largest file that is read, in bytes. The largest policy we could imagine is a tenth of it.
pub const SIZE_MAX: u64 = 256 * 1024;
/// Deepest nesting. A policy needs 6.
const DEPTH_MAX: usize = 16;
/// What is said about anything deeper.
const TOO_DEEP: Refusal = (
    "this is nested more than 16 deep",
    "nothing in a policy is nested deeper than 7; look for a bracket too many",
);
/// Most nodes. A policy has about 100, `owners.yaml` of 1,000 apps 4,000.
const NODES_MAX: usize = 20_000;

/// Something written, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where.
    pub at: Span,
    /// What.
    pub kind: Kind,
}

/// What is written.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A word, a number, a text.
    Scalar {
        /// As it reads after unquoting.
        text: String,
        /// Whether it stood without quotes.
        plain: bool,
    },
    /// `[a, b]` or `- a`.
    List(Vec<Node>),
    /// `{ a: b }` or `a: b`; no key twice.
    Map(Vec<(Key, Node)>),
}

/// The key of an entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// As it reads.
    pub text: String,
    /// Where.
    pub at: Span,
}

impl Node {
    /// Whether nothing is written, or one of the words YAML has for it.
    pub fn is_empty(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// What it is, for people.
    pub fn noun(&self) -> &'static str {
        match &self.kind {
            _ if self.is_empty() => "nothing",
            Kind::Scalar { .. } => "a single value",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a group of fields",
        }
    }

    /// The value under a key, when this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find(|(k, _)| k.text == key).map(|(_, node)| node),
            _ => None,
        }
    }
}

/// Checks what can be checked of the bytes alone and returns the text, or why not and what to do.
///
/// # Errors
///
/// A sentence and its help.
pub fn decode(bytes: &[u8]) -> Result<&str, (String, String)> {
    if bytes.len() as u64 > SIZE_MAX {
        return Err(too_large(bytes.len() as u64));
    }
    let resave = || "save it as UTF-8 without a byte order mark".to_owned();
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(("the file is UTF-16".into(), resave()));
    }
    if bytes.starts_with(&[0xef, 0xbb, 0xbf]) {
        return Err(("the file starts with a byte order mark".into(), resave()));
    }
    let line_of = |offset: usize| bytes[..offset].iter().filter(|b| **b == b'\n').count() + 1;
    if let Some(offset) = bytes.iter().position(|b| *b == 0) {
        return Err((
            format!("the file has a NUL byte in line {}", line_of(offset)),
            resave(),
        ));
    }
    std::str::from_utf8(bytes).map_err(|e| {
        (
            format!(
                "the file is not UTF-8: line {} has a byte that can't be read",
                line_of(e.valid_up_to())
            ),
            resave(),
        )
    })
}

/// The refusal of a file that is too large, whether or not it was read.
pub fn too_large(bytes: u64) -> (String, String) {
    (
        format!("the file has {bytes} bytes; more than {SIZE_MAX} are not read"),
        "split it: one policy per file".to_owned(),
    )
}

/// Reads exactly one document.
///
/// Duplicate keys are written down and the first one is kept, so that the rest can still be judged;
/// everything else that is wrong at this level ends the reading, and then the answer is `None`.
pub fn read(text: &str, scribe: &mut Scribe) -> Option<Node> {
    if let Some((index, line)) = text
        .lines()
        .enumerate()
        .find(|(_, l)| l.chars().any(|c| c != '\t' && is_hidden(c)))
    {
        let column = line.chars().position(|c| c != '\t' && is_hidden(c)).unwrap_or(0) + 1;
        scribe.error(
            Span {
                line: index + 1,
                column,
                width: 1,
            },
            "a control or invisible character",
            "remove it: what a reader can't see must not decide what is killed",
        );
        return None;
    }
    let mut options = Options::default();
    options.set_emit_comments(false);
    let mut builder = Builder {
        stack: vec![],
        root: None,
        nodes: 0,
    };
    for next in Parser::new_from_str_with_options(text, options) {
        let (event, span) = match next {
            Ok(next) => next,
            Err(error) => {
                let at = Span {
                    line: error.marker().line(),
                    column: error.marker().col() + 1,
                    width: 1,
                };
                let info = error.info();
                if info.contains("recursion limit") {
                    scribe.error(at, TOO_DEEP.0, TOO_DEEP.1);
                    return None;
                }
                let what = format!("this is not YAML: {info}");
                let help = "look at the indentation, brackets, quotes and colons here and in the line above; \
                            nothing after this place was read";
                if scribe.is_guarded() {
                    scribe.error_unseen(at, what, help);
                } else {
                    scribe.error(at, what, help);
                }
                return None;
            }
        };
        let width = if span.start.line() == span.end.line() {
            span.end.col().saturating_sub(span.start.col())
        } else {
            1
        };
        let at = Span {
            line: span.start.line(),
            column: span.start.col() + 1,
            width: width.max(1),
        };
        if let Err((what, help)) = builder.take(event, at, scribe) {
            scribe.error(at, what, help);
            return None;
        }
    }
    if builder.root.as_ref().is_none_or(Node::is_empty) {
        scribe.error(
            Span {
                line: 1,
                column: 1,
                width: 1,
            },
            "the file is empty",
            "write a policy, or delete the file",
        );
        return None;
    }
    builder.root
}

/// A list or map that is not finished yet.
enum Open {
    List(Span, Vec<Node>),
    Map(Span, Vec<(Key, Node)>, Option<Key>),
}

struct Builder {
    stack: Vec<Open>,
    root: Option<Node>,
    nodes: usize,
}

type Refusal = (&'static str, &'static str);

impl Builder {
    fn take(&mut self, event: Event<'_>, at: Span, scribe: &mut Scribe) -> Result<(), Refusal> {
        let anchor = (
            "anchors, aliases and merge keys (`&`, `*`, `<<`) are not read here",
            "write the value out where it is used",
        );
        let tag = ("tags (`!…`) are not read here", "remove the tag");
        match event {
            Event::DocumentStart(..) if self.root.is_some() => Err((
                "a second document starts here",
                "one file holds one document: move this one to a file of its own",
            )),
            Event::Alias(_) => Err(anchor),
            Event::Scalar(_, _, id, _) | Event::SequenceStart(_, id, _) | Event::MappingStart(_, id, _)
                if id != 0 =>
            {
                Err(anchor)
            }
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, _, Some(_))
            | Event::MappingStart(_, _, Some(_)) => Err(tag),
            Event::Scalar(text, style, ..) => {
                self.count()?;
                self.put(
                    Node {
                        at,
                        kind: Kind::Scalar {
                            text: text.into_owned(),
                            plain: style == ScalarStyle::Plain,
                        },
                    },
                    scribe,
                )
            }
            Event::SequenceStart(..) => self.open(Open::List(at, vec![])),
            Event::MappingStart(..) => self.open(Open::Map(at, vec![], None)),
            Event::SequenceEnd | Event::MappingEnd => match self.stack.pop() {
                Some(Open::List(at, items)) => self.put(
                    Node {
                        at,
                        kind: Kind::List(items),
                    },
                    scribe,
                ),
                Some(Open::Map(at, entries, _)) => self.put(
                    Node {
                        at,
                        kind: Kind::Map(entries),
                    },
                    scribe,
                ),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn count(&mut self) -> Result<(), Refusal> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err((
                "the file has more than 20000 values",
                "split it: one policy per file",
            ));
        }
        Ok(())
    }

    fn open(&mut self, open: Open) -> Result<(), Refusal> {
        self.count()?;
        if self.stack.len() >= DEPTH_MAX {
            return Err(TOO_DEEP);
        }
        if let Some(Open::Map(_, _, None)) = self.stack.last() {
            return Err(("a key has to be a single word", "write `key: value`"));
        }
        self.stack.push(open);
        Ok(())
    }

    fn put(&mut self, node: Node, scribe: &mut Scribe) -> Result<(), Refusal> {
        match self.stack.last_mut() {
            None => self.root = Some(node),
            Some(Open::List(_, items)) => items.push(node),
            Some(Open::Map(_, entries, waiting)) => match (waiting.take(), node.kind) {
                (Some(key), kind) => match entries.iter().find(|(k, _)| k.text == key.text) {
                    Some((first, _)) => scribe.error(
                        key.at,
                        format!(
                            "`{}` is written twice; the first is in line {}",
                            key.text, first.at.line
                        ),
                        "keep one of them: which one was meant is not guessed",
                    ),
                    None => entries.push((key, Node { at: node.at, kind })),
                },
                (None, Kind::Scalar { text, .. }) if text == "<<" => {
                    return Err((
                        "anchors, aliases and merge keys (`&`, `*`, `<<`) are not read here",
                        "write the value out where it is used",
                    ));
                }
                (None, Kind::Scalar { text, .. }) => *waiting = Some(Key { text, at: node.at }),
                (None, _) => return Err(("a key has to be a single word", "write `key: value`")),
            },
        }
        Ok(())
    }
}

/// Decodes and reads a file's bytes in one go.
pub fn read_bytes(file: &Path, bytes: &[u8], guarded: bool) -> (Scribe, Option<Node>) {
    match decode(bytes) {
        Ok(text) => {
            let mut scribe = if guarded {
                Scribe::guarded(file, text)
            } else {
                Scribe::new(file, text)
            };
            let node = read(text, &mut scribe);
            (scribe, node)
        }
        Err((what, help)) => {
            let mut scribe = Scribe::new(file, "");
            scribe.error(Span::default(), what, help);
            (scribe, None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first sentence about these bytes.
    #[track_caller]
    fn check(bytes: &[u8], expected: &str) {
        let (scribe, _) = read_bytes(Path::new("a.yaml"), bytes, false);
        let problems = scribe.finish();
        let said = problems.0.first().map_or("nothing", |p| p.what.as_str());
        assert!(said.contains(expected), "said: {said}");
        assert!(problems.0.iter().all(|p| !p.help.is_empty()));
    }

    #[test]
    fn bytes_that_are_no_text_are_refused_with_their_kind() {
        check(&vec![b'a'; 10 << 20], "10485760 bytes");
        check(b"a: \xff", "not UTF-8: line 1");
        check(b"\xff\xfea\0", "UTF-16");
        check(b"\xef\xbb\xbfa: b", "byte order mark");
        check(b"a: b\nc: \0", "NUL byte in line 2");
        check("a: \u{202e}b".as_bytes(), "invisible character");
        check(b"a: \x07", "control or invisible");
    }

    #[test]
    fn a_billion_laughs_are_not_heard() {
        let bomb = b"a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n";
        check(bomb, "anchors, aliases and merge keys");
        check(b"a: *b\n", "anchor");
        check(b"a: { <<: { b: 1 } }", "anchors, aliases and merge keys");
        check(b"a: !!str b", "tags");
    }

    #[test]
    fn deep_nesting_ends_at_once() {
        check("[".repeat(100_000).as_bytes(), "nested more than 16 deep");
        check(
            format!("{}x", "- ".repeat(50_000)).as_bytes(),
            "nested more than 16 deep",
        );
        check("{a: ".repeat(60_000).as_bytes(), "nested more than 16 deep");
        check(
            format!("[{}]", "1,".repeat(30_000)).as_bytes(),
            "more than 20000 values",
        );
    }

    #[test]
    fn one_file_is_one_document_that_says_something() {
        check(b"", "the file is empty");
        check(b"# nothing\n", "the file is empty");
        check(b"a: 1\n---\nb: 1\n", "second document");
        check(b"---\na: 1\n", "nothing");
        check(b"a: 1\r\nb: 2\r\n", "nothing");
        check(b"a: [1\nb: 2\n", "not YAML");
        check(b"? [a]\n: b\n", "a key has to be a single word");
    }

    #[test]
    fn a_key_written_twice_is_not_guessed() {
        check(
            b"a: 1\nb: 2\na: 3\n",
            "`a` is written twice; the first is in line 1",
        );
    }

    #[test]
    fn places_count_from_one_in_characters() {
        let (_, node) = read_bytes(Path::new("a"), "\u{e9}: x\nb: [y, zz]".as_bytes(), false);
        let node = node.unwrap();
        assert_eq!(
            node.get("\u{e9}").unwrap().at,
            Span {
                line: 1,
                column: 4,
                width: 1
            }
        );
        let Kind::List(items) = &node.get("b").unwrap().kind else {
            panic!()
        };
        assert_eq!(
            items[1].at,
            Span {
                line: 2,
                column: 8,
                width: 2
            }
        );
    }
}
