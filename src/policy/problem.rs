//! What is wrong with a file, where, and how to mend it.
//!
//! A refusal is data: whoever reads a file gets every problem at once, and decides alone whether to
//! print it, to show it in Slack or to suspend a policy over it. Nothing here prints.

use crate::model::text::is_hidden;
use std::fmt;
use std::path::{Path, PathBuf};

/// A stretch of one line of a file. Lines and columns count from 1, columns in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// Line, from 1; 0 when the problem is with the file as a whole.
    pub line: usize,
    /// Column of the first character, from 1.
    pub column: usize,
    /// Characters under the caret, at least 1.
    pub width: usize,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, as it was named to us.
    pub file: PathBuf,
    /// Where in it.
    pub at: Span,
    /// The line as written, for the caret; `None` when it may not be shown or there is none.
    pub excerpt: Option<String>,
    /// What is wrong, in a sentence without full stop.
    pub what: String,
    /// How to mend it.
    pub help: String,
}

impl fmt::Display for Problem {
    /// rustc's way: the sentence, the place, the line with a caret, the help. Plain text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error: {}", self.what)?;
        if self.at.line == 0 {
            writeln!(f, "  --> {}", self.file.display())?;
            return writeln!(f, "   = help: {}", self.help);
        }
        let number = self.at.line.to_string();
        let margin = " ".repeat(number.len());
        writeln!(
            f,
            "{margin}--> {}:{}:{}",
            self.file.display(),
            self.at.line,
            self.at.column
        )?;
        if let Some(line) = &self.excerpt {
            let (shown, before) = clip(line, self.at.column - 1);
            let length = shown.chars().count();
            let width = self.at.width.min(length.saturating_sub(before)).max(1);
            writeln!(f, "{margin} |")?;
            writeln!(f, "{number} | {shown}")?;
            writeln!(f, "{margin} | {}{}", " ".repeat(before), "^".repeat(width))?;
        }
        writeln!(f, "{margin} = help: {}", self.help)
    }
}

/// Cuts a long line to the stretch around the caret and makes what a terminal would act on visible.
fn clip(line: &str, before: usize) -> (String, usize) {
    /// Enough for any line a person writes; a 1 MiB line must not be printed whole.
    const SHOWN: usize = 120;
    let start = if before < SHOWN - 20 { 0 } else { before - 40 };
    let text = line.chars().skip(start).take(SHOWN);
    (
        text.map(|c| {
            if c == '\t' {
                ' '
            } else if is_hidden(c) {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect(),
        before - start,
    )
}

/// Every problem of one or several files, in the order of the files and their lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A problem with a file as a whole: it can't be read, it is too large, …
    pub fn of_file(file: &Path, what: impl Into<String>, help: impl Into<String>) -> Self {
        Self(vec![Problem {
            file: file.to_owned(),
            at: Span::default(),
            excerpt: None,
            what: what.into(),
            help: help.into(),
        }])
    }

    /// Adds those of another file.
    pub fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.0 {
            writeln!(f, "{problem}")?;
        }
        match self.0.len() {
            0 => Ok(()),
            1 => f.write_str("1 problem. Nothing of this file is used until it is mended.\n"),
            n => {
                let mut files: Vec<_> = self.0.iter().map(|p| &p.file).collect();
                files.dedup();
                match files.len() {
                    1 => writeln!(
                        f,
                        "{n} problems. Nothing of this file is used until they are mended."
                    ),
                    m => writeln!(
                        f,
                        "{n} problems in {m} files. Nothing of these files is used until they are mended."
                    ),
                }
            }
        }
    }
}

impl std::error::Error for Problems {}

/// A file that another one names, and what was in it when it was read; `None` when it could not be.
pub type Beside = (PathBuf, Option<Vec<u8>>);

/// Collects the problems of one file while it is read and judged.
#[derive(Debug)]
pub struct Scribe {
    file: PathBuf,
    lines: Vec<String>,
    problems: Vec<Problem>,
    /// Other files whose content counted, too.
    beside: Vec<Beside>,
    /// The file may hold secrets: nothing that looks like one is shown.
    guarded: bool,
}

impl Scribe {
    /// A scribe for a file whose text is known.
    pub fn new(file: &Path, text: &str) -> Self {
        let lines = text.lines().map(str::to_owned).collect();
        Self {
            file: file.to_owned(),
            lines,
            problems: vec![],
            beside: vec![],
            guarded: false,
        }
    }

    /// Takes note of another file whose content, or that it has none, counts for what becomes of this one.
    pub fn has_read(&mut self, file: &Path, content: Option<&[u8]>) {
        self.beside.push((file.to_owned(), content.map(<[u8]>::to_vec)));
    }

    /// The other files whose content counted.
    pub fn beside(&self) -> &[Beside] {
        &self.beside
    }

    /// A scribe for a file in which somebody may have written a secret by mistake.
    pub fn guarded(file: &Path, text: &str) -> Self {
        Self {
            guarded: true,
            ..Self::new(file, text)
        }
    }

    /// The file that is judged, as it was named to us.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Writes down a problem of another file that this one names. None of its text is shown: whoever may write
    /// this file need not be one who may read the other.
    pub fn error_elsewhere(
        &mut self,
        file: &Path,
        line: usize,
        what: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.problems.push(Problem {
            file: file.to_owned(),
            at: Span {
                line,
                column: 1,
                width: 1,
            },
            excerpt: None,
            what: what.into(),
            help: help.into(),
        });
    }

    /// Writes down a problem.
    pub fn error(&mut self, at: Span, what: impl Into<String>, help: impl Into<String>) {
        let line = self.lines.get(at.line.wrapping_sub(1));
        let excerpt = line.map(|line| {
            if self.guarded {
                without_secrets(line)
            } else {
                line.clone()
            }
        });
        self.problems.push(Problem {
            file: self.file.clone(),
            at,
            excerpt,
            what: what.into(),
            help: help.into(),
        });
    }

    /// Writes down a problem without showing its line, whatever is on it.
    pub fn error_unseen(&mut self, at: Span, what: impl Into<String>, help: impl Into<String>) {
        self.error(at, what, help);
        if let Some(last) = self.problems.last_mut() {
            last.excerpt = None;
        }
    }

    /// Writes down a problem with a key. In a file that may hold secrets nothing after it is shown.
    pub fn error_key(&mut self, at: Span, what: impl Into<String>, help: impl Into<String>) {
        self.error(at, what, help);
        if let Some(line) = self
            .problems
            .last_mut()
            .filter(|_| self.guarded)
            .and_then(|p| p.excerpt.as_mut())
        {
            let end = at.column - 1 + at.width;
            if line.chars().count() > end {
                *line = format!("{}: …", line.chars().take(end).collect::<String>());
            }
        }
    }

    /// Whether the file may hold secrets.
    pub fn is_guarded(&self) -> bool {
        self.guarded
    }

    /// Whether nothing was wrong so far.
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }

    /// Everything that was wrong, by line.
    pub fn finish(mut self) -> Problems {
        self.problems.sort_by_key(|p| (p.at.line, p.at.column));
        Problems(self.problems)
    }
}

/// Cuts a line after the first key whose value may be a secret: `password: …`.
///
/// Keys that end in `File` or `Env` name a place and are shown.
fn without_secrets(line: &str) -> String {
    let lower = line.to_ascii_lowercase();
    let mut cut = line.len();
    for word in ["password", "secret", "token", "credential", "key", "passwd"] {
        for (start, _) in lower.match_indices(word) {
            let rest = &lower[start..];
            let Some(colon) = rest.find(':') else { continue };
            let key = rest[..colon].trim_end_matches(['"', '\'', ' ']);
            let is_key = key
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
            if is_key && key != "tokens" && !key.ends_with("file") && !key.ends_with("env") {
                cut = cut.min(start + colon + 1);
            }
        }
    }
    for sign in ["xoxb-", "xoxp-", "xapp-", "-----begin"] {
        if let Some(start) = lower.find(sign) {
            cut = cut.min(start);
        }
    }
    if let (Some(scheme), Some(at)) = (lower.find("://"), lower.rfind('@'))
        && scheme < at
    {
        cut = cut.min(scheme + 3);
    }
    if cut == line.len() {
        line.to_owned()
    } else {
        format!("{} …", &line[..cut])
    }
}

/// The known word that was probably meant, if any is near enough.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let flat = |text: &str| text.replace(['_', '-'], "").to_ascii_lowercase();
    let wanted = flat(word);
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&wanted, &flat(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_shows_the_place_with_a_caret_and_the_way_out() {
        let mut scribe = Scribe::new(Path::new("cart.yaml"), "one\n  minAgee: 10m\n");
        scribe.error(
            Span {
                line: 2,
                column: 3,
                width: 7,
            },
            "unknown field `minAgee`",
            "did you mean `minAge`?",
        );
        insta::assert_snapshot!(scribe.finish().to_string(), @r"
        error: unknown field `minAgee`
         --> cart.yaml:2:3
          |
        2 |   minAgee: 10m
          |   ^^^^^^^
          = help: did you mean `minAge`?

        1 problem. Nothing of this file is used until it is mended.
        ");
    }

    #[test]
    fn a_line_of_a_megabyte_is_not_printed_whole() {
        let line = format!("{}bad", "x".repeat(1 << 20));
        let mut scribe = Scribe::new(Path::new("a"), &line);
        scribe.error(
            Span {
                line: 1,
                column: (1 << 20) + 1,
                width: 3,
            },
            "bad",
            "mend it",
        );
        let text = scribe.finish().to_string();
        assert!(text.len() < 600 && text.contains("^^^"), "{text}");
    }

    #[test]
    fn characters_that_a_terminal_would_act_on_are_not_passed_on() {
        let mut scribe = Scribe::new(Path::new("a"), "a\u{1b}[31m\u{202e}b");
        scribe.error(
            Span {
                line: 1,
                column: 1,
                width: 1,
            },
            "bad",
            "mend it",
        );
        let text = scribe.finish().to_string();
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'));
    }

    #[test]
    fn lines_that_may_hold_a_secret_are_cut() {
        #[track_caller]
        fn check(line: &str, expected: &str) {
            assert_eq!(without_secrets(line), expected);
        }
        check(
            "auth: { basic: { user: a, password: hunter2 } }",
            "auth: { basic: { user: a, password: …",
        );
        check("botToken: abc", "botToken: …");
        check("\"signingSecret\" : abc", "\"signingSecret\" : …");
        check("botTokenFile: /run/secrets/bot", "botTokenFile: /run/secrets/bot");
        check("name: xoxb-123", "name:  …");
        check("urls: [http://a:b@c]", "urls: [http:// …");
        check("policyDir: /etc/policies", "policyDir: /etc/policies");
    }

    #[test]
    fn the_nearest_word_forgives_case_and_underscores_but_not_everything() {
        assert_eq!(
            nearest("slower_than", ["slowerThan", "share"]),
            Some("slowerThan")
        );
        assert_eq!(nearest("minage", ["minAge", "maxApps"]), Some("minAge"));
        assert_eq!(nearest("colour", ["minAge", "maxApps"]), None);
    }
}
