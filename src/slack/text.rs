//! Text for Slack's `mrkdwn`: what people and Marathon wrote is shown, and never obeyed.
//!
//! Slack gives meaning to `& < >` (entities, mentions, links), to `* _ ~` and the backtick (formats), and
//! an unescaped `<!channel>` in a reason would ring everybody's phone. So every text that is not a literal
//! of ours goes through one of [`prose`], [`told`] and [`code`], which clean, neutralise, escape and cut it;
//! the length is counted after escaping, as Slack does. Not here: which text goes where.

use crate::model::command::Person;
use crate::model::text;
use chrono::{DateTime, Utc};

/// What Slack counts: UTF-16 units, which are never fewer than characters.
pub fn width(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Text that anybody may have written: reasons, error texts, remarks. No mention survives in it.
pub fn prose(text: &str, max: usize) -> String {
    shown(text, max, Mentions::Shown)
}

/// A sentence of the operator, which names people as `<@U…>`. Those mentions work; groups, channels and
/// `<!everyone>` do not.
pub fn told(text: &str, max: usize) -> String {
    // Sentences name commands as they are typed in a terminal; here a slash comes first.
    shown(
        &text.replace("`heartbreak ", "`/heartbreak "),
        max,
        Mentions::Kept,
    )
}

/// An id or another piece of machine text in a code span. An empty text becomes a dash: Slack shows two
/// bare backticks otherwise.
pub fn code(text: &str, max: usize) -> String {
    let mut out = Cut::new(max.saturating_sub(2));
    for c in clean(near(text, max)).chars() {
        let c = if c == '`' { '\'' } else { c };
        if !out.push(&escaped(c)) {
            break;
        }
    }
    let inner = out.done();
    if inner.is_empty() {
        "–".to_owned()
    } else {
        format!("`{inner}`")
    }
}

/// Plain text for `plain_text` objects, where no format and no mention works; still escaped, because Slack
/// reads entities there too.
pub fn plain(text: &str, max: usize) -> String {
    let mut out = Cut::new(max);
    for c in clean(near(text, max)).chars() {
        if !out.push(&escaped(c)) {
            break;
        }
    }
    out.or_dash()
}

/// Somebody, by their id: a mention for a person of Slack, the name in a code span for an API token.
pub fn person(person: &Person) -> String {
    person_id(person.id.as_str())
}

/// As [`person`], where only the id is known.
pub fn person_id(id: &str) -> String {
    if is_user_id(id) {
        format!("<@{id}>")
    } else {
        code(id, 64)
    }
}

/// Everybody of a user group. Posted, it rings them once; edits ring nobody.
pub fn group_id(id: &str) -> String {
    if id.starts_with('S') && is_id(id) {
        format!("<!subteam^{id}>")
    } else {
        code(id, 64)
    }
}

/// A moment, shown in each reader's own zone; in notifications as UTC.
pub fn moment(at: DateTime<Utc>, form: &str) -> String {
    format!("<!date^{}^{form}|{}>", at.timestamp(), at.format("%F %T UTC"))
}

/// `{time_secs}` on its day.
pub fn time(at: DateTime<Utc>) -> String {
    moment(at, "{date_short_pretty} {time_secs}")
}

/// Cuts text that is escaped already at a border that breaks no entity, no `<…>` and no character.
pub fn fit(text: &str, max: usize, measure: fn(&str) -> usize) -> String {
    if measure(text) <= max {
        return text.to_owned();
    }
    let (mut out, mut rest, mut used) = (String::new(), text, measure("…"));
    while !rest.is_empty() {
        let atom = atom(rest);
        used += measure(atom);
        if used > max {
            break;
        }
        out.push_str(atom);
        rest = &rest[atom.len()..];
    }
    out.push('…');
    out
}

/// The first piece of escaped text that must not be cut: an entity, a `<…>`, or one character.
fn atom(text: &str) -> &str {
    let end = match text.as_bytes()[0] {
        b'&' => text.find(';').filter(|end| *end < 8),
        b'<' => text.find('>'),
        _ => None,
    };
    let end = end.map_or_else(|| text.chars().next().map_or(0, char::len_utf8), |end| end + 1);
    &text[..end]
}

#[derive(Clone, Copy, PartialEq)]
enum Mentions {
    Shown,
    Kept,
}

fn shown(text: &str, max: usize, mentions: Mentions) -> String {
    let text = clean(near(text, max));
    let mut out = Cut::new(max);
    let mut rest = text.as_str();
    while let Some(c) = rest.chars().next() {
        if mentions == Mentions::Kept
            && let Some(mention) = user_mention(rest)
        {
            if !out.push(mention) {
                break;
            }
            rest = &rest[mention.len()..];
            continue;
        }
        if !out.push(&escaped(neutral(c))) {
            break;
        }
        rest = &rest[c.len_utf8()..];
    }
    out.or_dash()
}

/// `<@U012AB3CD>` at the start of the text.
fn user_mention(text: &str) -> Option<&str> {
    let inner = text.strip_prefix("<@")?;
    let id = &inner[..inner.find('>')?];
    is_user_id(id).then(|| &text[..id.len() + 3])
}

fn is_user_id(id: &str) -> bool {
    id.starts_with(['U', 'W']) && is_id(id)
}

fn is_id(id: &str) -> bool {
    (2..=24).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// Characters that would start a format are shown by ones that look alike: Slack has no way to escape them.
fn neutral(c: char) -> char {
    match c {
        '*' => '∗',
        '~' => '∼',
        '_' => 'ˍ',
        '`' => '\'',
        other => other,
    }
}

fn escaped(c: char) -> String {
    match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        other => other.to_string(),
    }
}

/// The part of a text that may matter when at most `max` of it is shown: megabytes are not worth cleaning.
fn near(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max * 8 + 64)]
}

/// [`text::clean`] without blanks around it.
pub fn clean(text: &str) -> String {
    text::clean(text).trim().to_owned()
}

/// Takes pieces until the room is used up; then ends in `…`.
struct Cut {
    text: String,
    used: usize,
    /// The last place where `…` would still fit.
    safe: usize,
    max: usize,
}

impl Cut {
    fn new(max: usize) -> Self {
        Self {
            text: String::new(),
            used: 0,
            safe: 0,
            max,
        }
    }

    /// Whether the piece fitted.
    fn push(&mut self, piece: &str) -> bool {
        let more = self.used + width(piece);
        if more > self.max {
            self.text.truncate(self.safe);
            if self.max > 0 {
                self.text.push('…');
            }
            return false;
        }
        self.text.push_str(piece);
        self.used = more;
        if more < self.max {
            self.safe = self.text.len();
        }
        true
    }

    fn done(self) -> String {
        self.text
    }

    /// Slack refuses empty texts.
    fn or_dash(self) -> String {
        if self.text.is_empty() {
            "–".to_owned()
        } else {
            self.text
        }
    }
}

/// Lines under a common cap: what does not fit is counted, not lost in silence.
pub struct Lines {
    lines: Vec<String>,
    used: usize,
    left_out: usize,
    max: usize,
}

/// Room kept for `… and 12345 more`.
const MORE: usize = 24;

impl Lines {
    /// With room for this many UTF-16 units; at least what "and more" takes.
    pub fn new(max: usize) -> Self {
        Self {
            lines: vec![],
            used: 0,
            left_out: 0,
            max: max.saturating_sub(MORE),
        }
    }

    /// Adds a line, or counts it. After the first that did not fit none is added: the order says what matters.
    pub fn push(&mut self, line: String) {
        let more = self.used + width(&line) + 1;
        if self.left_out > 0 || more > self.max {
            self.left_out += 1;
        } else {
            self.used = more;
            self.lines.push(line);
        }
    }

    /// Adds many.
    pub fn extend(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        lines.into_iter().for_each(|line| self.push(line));
        self
    }

    /// One text; a dash when there is no line at all.
    pub fn done(mut self) -> String {
        match (self.left_out, self.lines.is_empty()) {
            (0, true) => return "–".to_owned(),
            (0, false) => {}
            (n, _) => self.lines.push(format!("… and {n} more")),
        }
        self.lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_wrote_is_shown_and_not_obeyed() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            assert_eq!(prose(text, 200), expected);
        }
        check("a < b && c > d", "a &lt; b &amp;&amp; c &gt; d");
        check("<!everyone> look", "&lt;!everyone&gt; look");
        check("<@U012AB3CD> look", "&lt;@U012AB3CD&gt; look");
        check("*bold* _it_ ~no~ `code`", "∗bold∗ ˍitˍ ∼no∼ 'code'");
        check("&lt;!here&gt;", "&amp;lt;!here&amp;gt;");
        check("one\ntwo\r\n> three", "one two  &gt; three");
        check("safe\u{202E}gnp.exe\u{200B}\u{7}\u{1b}[0m", "safegnp.exe[0m");
        check(" \u{202E}\n ", "–");
    }

    #[test]
    fn the_operators_sentences_may_name_people_and_nobody_else() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            assert_eq!(told(text, 200), expected);
        }
        check("approved by <@U012AB3CD>", "approved by <@U012AB3CD>");
        check(
            "<!channel> <!subteam^S1> <#C1> <@S1>",
            "&lt;!channel&gt; &lt;!subteam^S1&gt; &lt;#C1&gt; &lt;@S1&gt;",
        );
        check("<@U1|ana> <@u1> <@>", "&lt;@U1|ana&gt; &lt;@u1&gt; &lt;@&gt;");
        check("<@U012AB3CD", "&lt;@U012AB3CD");
    }

    #[test]
    fn cuts_break_no_entity_no_mention_and_no_character() {
        assert_eq!(prose("&&&&", 20), "&amp;&amp;&amp;&amp;");
        assert_eq!(prose("&&&&&", 20), "&amp;&amp;&amp;…");
        assert_eq!(prose("abcdef", 6), "abcdef");
        assert_eq!(prose("abcdefg", 6), "abcde…");
        assert_eq!(prose("🦀🦀🦀", 5), "🦀🦀…");
        assert_eq!(width(&prose(&"🦀&".repeat(500), 100)), 99);
        assert_eq!(told("ab<@U012AB3CD>", 10), "ab…");
        assert_eq!(code("a`b", 5), "`a'b`");
        assert_eq!(code("abcdef", 6), "`abc…`");
        assert_eq!(code("", 6), "–");
        assert_eq!(fit("a&amp;<@U1>", 100, width), "a&amp;<@U1>");
        assert_eq!(fit("a&amp;b", 6, width), "a…");
        assert_eq!(fit("a<@U1>bc", 7, width), "a<@U1>…");
        assert_eq!(fit("äöü", 5, str::len), "ä…");
    }

    #[test]
    fn lines_that_do_not_fit_are_counted() {
        let lines = |max, n: usize| Lines::new(max).extend((0..n).map(|i| format!("line {i}"))).done();
        assert_eq!(lines(100, 2), "line 0\nline 1");
        assert_eq!(lines(40, 4), "line 0\nline 1\n… and 2 more");
        assert_eq!(lines(40, 0), "–");
        assert!(width(&lines(60, 100_000)) <= 60);
    }

    #[test]
    fn only_ids_become_mentions() {
        assert_eq!(person_id("U012AB3CD"), "<@U012AB3CD>");
        assert_eq!(person_id("ci-bot"), "`ci-bot`");
        assert_eq!(person_id("U1> <!everyone"), "`U1&gt; &lt;!everyone`");
        assert_eq!(group_id("S012"), "<!subteam^S012>");
        assert_eq!(group_id("here"), "`here`");
    }

    #[test]
    fn moments_carry_a_fallback_for_notifications() {
        let at = DateTime::from_timestamp(1_790_000_000, 0).expect("a moment");
        assert_eq!(
            moment(at, "{time}"),
            "<!date^1790000000^{time}|2026-09-21 14:13:20 UTC>"
        );
    }
}
