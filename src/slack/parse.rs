//! `/heartbreak …`: from what somebody typed to a command. Pure.
//!
//! Phones write curly quotes, long dashes and hard spaces; Slack writes mentions, links and entities. All of
//! that is undone here, so that nobody fails to stop a run because of a keyboard. What cannot be understood
//! is answered with what to write instead. Not here: whether the person may.

use crate::model::command::Command;
use crate::model::ids::{AppId, PlanDigest, PolicyName, RunId};
use chrono::{DateTime, Days, TimeDelta, Utc};

/// The slash command, as the manifest registers it.
pub const SLASH: &str = "/heartbreak";
/// What stands for a reason that was not given: stopping never waits for one.
pub const NO_REASON: &str = "no reason given";
/// Longest reason that is kept; the rest is cut.
const REASON_CHARS_MAX: usize = 500;
/// What is read of a command's text: Slack sends a few thousand characters at most.
const TEXT_BYTES_MAX: usize = 16 * 1024;
/// What `timeline` shows without a time.
const TIMELINE_DEFAULT: TimeDelta = TimeDelta::minutes(30);
/// The farthest that `timeline` looks back.
const TIMELINE_MAX: TimeDelta = TimeDelta::days(31);
/// Runs that `runs` shows without a number, and at most.
const RUNS: (usize, usize) = (10, 50);
/// The shortest part of a digest that names a plan.
const DIGEST_CHARS_MIN: usize = 12;

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $usage:literal, $what:literal;)*) => {
        /// The first word of a command.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Word {
            $($(#[$doc])* $name,)*
        }
        impl Word {
            /// All of them, in the order in which help shows them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
            /// As it is typed.
            pub fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
            /// What follows the word.
            pub fn usage(self) -> &'static str {
                match self { $(Self::$name => $usage,)* }
            }
            /// What it does, in a few words.
            pub fn what(self) -> &'static str {
                match self { $(Self::$name => $what,)* }
            }
        }
    };
}

words! {
    /// Was it us?
    WasItYou = "was-it-you", "[APP, HOST or TASK]", "whether we did it";
    /// Stop everything.
    Halt = "halt", "[REASON]", "stop everything until an admin resumes";
    /// End runs early.
    Abort = "abort", "[RUN] [REASON]", "end one run, or every open one";
    /// How is everything?
    Status = "status", "", "what is open, armed, halted or down because of us";
    /// Why not?
    Why = "why", "POLICY or APP", "why nothing happens, or whether it would";
    /// Which policies?
    Policies = "policies", "", "what is allowed, and what is next";
    /// What would be done?
    Plan = "plan", "POLICY", "what would be done now; changes nothing";
    /// Do it.
    Run = "run", "POLICY", "ask for a run now";
    /// Which runs?
    Runs = "runs", "[NUMBER]", "the latest runs";
    /// One run.
    Show = "show", "RUN", "one run, whole";
    /// Its report.
    Report = "report", "RUN", "how a run ended and what it taught";
    /// What did we do?
    Timeline = "timeline", "[30m, 2h, 7d] [APP]", "what we did";
    /// What has an app shown?
    History = "history", "APP", "what the experiments on an app have taught";
    /// What is coming?
    Forecast = "forecast", "[POLICY]", "when runs will begin in the next 30 days";
    /// Yes.
    Approve = "approve", "RUN DIGEST", "say yes to exactly this plan";
    /// No.
    Deny = "deny", "RUN REASON", "say no to a plan";
    /// Lift the halt.
    Resume = "resume", "[REASON]", "lift a halt (admins)";
    /// Free a charge.
    Clear = "clear", "RUN/STEP REASON", "free a kill that only a person can judge (admins)";
    /// This list.
    Help = "help", "", "this list";
}

impl Word {
    /// The word for a command. No wildcard: a command that the chat does not know is a command that nobody
    /// can ask for in an incident.
    pub fn of(command: &Command) -> Self {
        match command {
            Command::Help => Self::Help,
            Command::Status => Self::Status,
            Command::Policies => Self::Policies,
            Command::Runs { .. } => Self::Runs,
            Command::DescribeRun { .. } => Self::Show,
            Command::Report { .. } => Self::Report,
            Command::Plan { .. } => Self::Plan,
            Command::Why { .. } => Self::Why,
            Command::WasItYou { .. } => Self::WasItYou,
            Command::Timeline { .. } => Self::Timeline,
            Command::History { .. } => Self::History,
            Command::Forecast { .. } => Self::Forecast,
            Command::Run { .. } => Self::Run,
            Command::Approve { .. } => Self::Approve,
            Command::Deny { .. } => Self::Deny,
            Command::Abort { .. } => Self::Abort,
            Command::Halt { .. } => Self::Halt,
            Command::Resume { .. } => Self::Resume,
            Command::Clear { .. } => Self::Clear,
        }
    }

    /// `/heartbreak approve RUN DIGEST`.
    pub fn line(self) -> String {
        format!("{SLASH} {} {}", self.text(), self.usage())
            .trim_end()
            .to_owned()
    }
}

/// Reads what followed `/heartbreak`.
///
/// # Errors
///
/// A sentence for the person who typed it: what is wrong, what to write instead, and that nothing was done.
pub fn parse(text: &str, now: DateTime<Utc>) -> Result<Command, String> {
    // Cut, not refused: no length of reason keeps a stop from stopping.
    let text = unescape(&text[..text.floor_char_boundary(TEXT_BYTES_MAX)]);
    let (first, rest) = head(&text);
    if first.is_empty() {
        return Ok(Command::Help);
    }
    let (word, rest) = word(&first, rest).ok_or_else(|| unknown(&first))?;
    read(word, rest, now).map_err(|wrong| format!("{wrong} Write `{}`. Nothing was done.", word.line()))
}

fn read(word: Word, rest: &str, now: DateTime<Utc>) -> Result<Command, String> {
    let nothing_more = |command| match head(rest).0.is_empty() {
        true => Ok(command),
        false => Err(format!("`{}` takes nothing after it.", word.text())),
    };
    match word {
        Word::Help => Ok(Command::Help),
        Word::Status => nothing_more(Command::Status),
        Word::Policies => nothing_more(Command::Policies),
        Word::Runs => number(rest).map(|most| Command::Runs { most }),
        Word::Show => only(rest)
            .and_then(run_id)
            .map(|run| Command::DescribeRun { run }),
        Word::Report => only(rest).and_then(run_id).map(|run| Command::Report { run }),
        Word::Plan => only(rest).map(|policy| Command::Plan {
            policy: PolicyName::new(policy),
        }),
        Word::Run => only(rest).map(|policy| Command::Run {
            policy: PolicyName::new(policy),
        }),
        Word::Why => only(rest).map(|subject| Command::Why { subject }),
        Word::WasItYou => match head(rest).0.is_empty() {
            true => Ok(Command::WasItYou { subject: None }),
            false => only(rest).map(|subject| Command::WasItYou {
                subject: Some(subject),
            }),
        },
        Word::Timeline => timeline(rest, now),
        Word::History => only(rest)
            .and_then(|app| AppId::parse(&app))
            .map(|app| Command::History { app }),
        Word::Forecast => {
            let policy = match head(rest).0.is_empty() {
                true => None,
                false => Some(PolicyName::new(only(rest)?)),
            };
            let from = now.date_naive();
            Ok(Command::Forecast {
                from,
                to: from.checked_add_days(Days::new(30)).unwrap_or(from),
                policy,
            })
        }
        Word::Approve => approve(rest),
        Word::Deny => {
            let (run, reason) = head(rest);
            let run = run_id(run)?;
            match reason_of(reason) {
                Some(reason) => Ok(Command::Deny { run, reason }),
                None => Err("A no needs a reason: whoever asked has to learn from it.".to_owned()),
            }
        }
        Word::Abort => abort(rest),
        Word::Halt => Ok(Command::Halt {
            reason: reason_or_none(rest),
        }),
        Word::Resume => Ok(Command::Resume {
            reason: reason_or_none(rest),
        }),
        Word::Clear => {
            let (intent, reason) = head(rest);
            let (run, step) = intent
                .split_once('/')
                .ok_or("Which kill? It is named like `r-7Q2MK4XN/2`.")?;
            let run = run_id(run.to_owned())?;
            let step: u32 = step
                .parse()
                .map_err(|_| format!("`{step}` is not the number of a step."))?;
            match reason_of(reason) {
                Some(reason) => Ok(Command::Clear {
                    intent: format!("{run}/{step}"),
                    reason,
                }),
                None => Err("Clearing needs a reason: how do you know that it is over?".to_owned()),
            }
        }
    }
}

fn approve(rest: &str) -> Result<Command, String> {
    let (first, rest) = head(rest);
    let (run, digest) = match first.split_once('.') {
        Some((run, digest)) => (run.to_owned(), digest.to_owned()),
        None => (first, head(rest).0),
    };
    let run = run_id(run)?;
    let digest = digest.to_ascii_lowercase();
    let long_enough = (DIGEST_CHARS_MIN..=64).contains(&digest.len());
    if !long_enough || !digest.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(format!(
            "A yes is for exactly one plan, so it needs the plan's digest too: at least {DIGEST_CHARS_MIN} hex characters. \
             It stands at the foot of the card of {run}."
        ));
    }
    Ok(Command::Approve {
        run,
        digest: PlanDigest::new(digest),
    })
}

fn abort(rest: &str) -> Result<Command, String> {
    let (first, after) = head(rest);
    // `r-` that is no run id is a slip of the finger, not the first word of a reason: aborting all
    // because of it would be a surprise, and saying so takes a second.
    if first.to_ascii_lowercase().starts_with("r-") {
        return Ok(Command::Abort {
            run: Some(run_id(first)?),
            reason: reason_or_none(after),
        });
    }
    Ok(Command::Abort {
        run: None,
        reason: reason_or_none(rest),
    })
}

fn timeline(rest: &str, now: DateTime<Utc>) -> Result<Command, String> {
    let (mut since, mut app) = (TIMELINE_DEFAULT, None);
    let mut rest = rest;
    loop {
        let (argument, after) = head(rest);
        rest = after;
        if argument.is_empty() {
            return Ok(Command::Timeline {
                since: now - since,
                app,
            });
        }
        if argument == "--since" {
            continue;
        }
        if argument.starts_with('/') {
            app = Some(AppId::parse(&argument)?);
        } else {
            since = span(&argument).ok_or_else(|| {
                format!("`{argument}` is neither a time back like `2h` nor an app like `/shop/cart`.")
            })?;
        }
    }
}

/// `30m`, `2h`, `7d`.
fn span(text: &str) -> Option<TimeDelta> {
    let unit = text.chars().last()?;
    let number: i64 = text
        .strip_suffix(unit)?
        .parse()
        .ok()
        .filter(|n| (1..=100_000).contains(n))?;
    let span = match unit {
        's' => TimeDelta::seconds(number),
        'm' => TimeDelta::minutes(number),
        'h' => TimeDelta::hours(number),
        'd' => TimeDelta::days(number),
        _ => return None,
    };
    Some(span.min(TIMELINE_MAX))
}

fn number(rest: &str) -> Result<usize, String> {
    let (word, after) = head(rest);
    match (word.as_str(), head(after).0.is_empty()) {
        ("", _) => Ok(RUNS.0),
        (_, true) => match word.parse::<usize>() {
            Ok(n) if n > 0 => Ok(n.min(RUNS.1)),
            _ => Err(format!("`{word}` is not a number of runs.")),
        },
        (_, false) => Err("That is more than a number.".to_owned()),
    }
}

/// Exactly one more word.
fn only(rest: &str) -> Result<String, String> {
    let (word, after) = head(rest);
    match (word.is_empty(), head(after).0.is_empty()) {
        (true, _) => Err("Something is missing.".to_owned()),
        (false, true) => Ok(word),
        (false, false) => Err("That is one word too many.".to_owned()),
    }
}

/// `r-` and eight Crockford characters; small letters and the usual mix-ups are put right.
fn run_id(text: String) -> Result<RunId, String> {
    let wrong = || match text.is_empty() {
        true => "Which run? Its id stands on its card.".to_owned(),
        false => format!("`{text}` is not the id of a run; they look like `r-7Q2MK4XN`."),
    };
    let id = text.trim_end_matches(['.', ',', ';', ':', '?', '!']);
    let id = id
        .strip_prefix("r-")
        .or_else(|| id.strip_prefix("R-"))
        .ok_or_else(wrong)?;
    let id: Option<String> = id
        .chars()
        .map(|c| match c.to_ascii_uppercase() {
            'O' => Some('0'),
            'I' | 'L' => Some('1'),
            'U' => None,
            c if c.is_ascii_alphanumeric() => Some(c),
            _ => None,
        })
        .collect();
    match id {
        Some(id) if id.len() == 8 => Ok(RunId::new(format!("r-{id}"))),
        _ => Err(wrong()),
    }
}

fn reason_or_none(text: &str) -> String {
    reason_of(text).unwrap_or_else(|| NO_REASON.to_owned())
}

/// The rest of the line, without quotes around it and without `--reason` before it.
fn reason_of(text: &str) -> Option<String> {
    let (first, after) = head(text);
    let text = if first == "--reason" { after } else { text };
    let text = text.trim();
    let quoted = |open: &[char], close: &[char]| {
        text.strip_prefix(open)
            .and_then(|t| t.strip_suffix(close))
            .filter(|t| !t.contains(open))
    };
    let text = quoted(&['"', '“', '„', '”'], &['"', '”', '“'])
        .or_else(|| quoted(&['\'', '‘'], &['\'', '’']))
        .unwrap_or(text)
        .trim();
    (!text.is_empty()).then(|| text.chars().take(REASON_CHARS_MAX).collect())
}

/// The first word as it was meant, and what follows as it was typed.
fn head(text: &str) -> (String, &str) {
    let text = text.trim_start();
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    (meant(word), rest)
}

/// Straight dashes instead of long ones, and no quotes or format marks around a word.
fn meant(word: &str) -> String {
    let word = word.trim_matches(['"', '\'', '“', '”', '„', '‘', '’', '`', '*']);
    let long = |c: char| matches!(c, '–' | '—' | '―' | '−' | '‑' | '‐');
    let mut out = String::with_capacity(word.len());
    for (index, c) in word.chars().enumerate() {
        match c {
            // At the start a phone has made one dash of two.
            '–' | '—' if index == 0 && word.chars().nth(1).is_some_and(char::is_alphabetic) => {
                out.push_str("--")
            }
            c if long(c) => out.push('-'),
            c => out.push(c),
        }
    }
    out
}

/// The command of a first word; `was it you` may be written with blanks.
fn word<'a>(first: &str, rest: &'a str) -> Option<(Word, &'a str)> {
    let first = first.to_lowercase();
    if first == "was" {
        let (it, after) = head(rest);
        let (you, after) = head(after);
        let spoken = it.eq_ignore_ascii_case("it") && you.trim_end_matches('?').eq_ignore_ascii_case("you");
        return spoken.then_some((Word::WasItYou, after));
    }
    let known = match first.trim_end_matches(['?', '!', '.', ',']) {
        "stop" => Some(Word::Halt),
        "describe" => Some(Word::Show),
        "wasityou" => Some(Word::WasItYou),
        "" => Some(Word::Help),
        plain => Word::ALL.iter().copied().find(|word| word.text() == plain),
    };
    known.map(|word| (word, rest))
}

fn unknown(first: &str) -> String {
    let first: String = first.chars().take(40).collect();
    let near = Word::ALL
        .iter()
        .map(|word| {
            (
                strsim::damerau_levenshtein(&first.to_lowercase(), word.text()),
                word.text(),
            )
        })
        .min()
        .filter(|(distance, text)| *distance <= 2 && *distance < text.len());
    let hint = near.map_or_else(String::new, |(_, text)| format!(" Did you mean `{text}`?"));
    format!("There is no command `{first}`.{hint} `{SLASH} help` lists them all. Nothing was done.")
}

/// Undoes what Slack does to text with `should_escape`: mentions become `@U012AB3CD`, links their label, and
/// entities the characters they stand for. In one pass, so that nothing is decoded twice.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['<', '&']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let token = rest.strip_prefix('<').and_then(|r| r.split_once('>'));
        if let Some((inner, after)) = token.filter(|(inner, _)| !inner.contains('<')) {
            out.push_str(&shown(inner));
            rest = after;
            continue;
        }
        let entity = [("&amp;", '&'), ("&lt;", '<'), ("&gt;", '>')]
            .into_iter()
            .find(|(e, _)| rest.starts_with(e));
        match entity {
            Some((entity, c)) => {
                out.push(c);
                rest = &rest[entity.len()..];
            }
            None => {
                let (c, after) = rest.split_at(1);
                out.push_str(c);
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

/// What a `<…>` of Slack's shows.
fn shown(inner: &str) -> String {
    let (target, label) = inner.split_once('|').map_or((inner, ""), |(t, l)| (t, l));
    let named = |id: &str| {
        if label.is_empty() {
            id.to_owned()
        } else {
            label.to_owned()
        }
    };
    match target.split_at_checked(1) {
        // Names can be taken by anybody; the id is the person.
        Some(("@", id)) => format!("@{id}"),
        Some(("#", id)) => format!("#{}", named(id)),
        Some(("!", special)) => {
            let id = special.split('^').nth(1).unwrap_or(special);
            format!("@{}", named(id).trim_start_matches('@'))
        }
        _ => named(target),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000, 0).expect("a moment")
    }

    #[track_caller]
    fn check(text: &str, expected: Command) {
        assert_eq!(parse(text, now()), Ok(expected), "{text}");
    }

    #[track_caller]
    fn refused(text: &str, because: &str) {
        let said = parse(text, now()).expect_err(text);
        assert!(said.contains(because), "{text}: {said}");
        assert!(said.ends_with("Nothing was done."), "{said}");
    }

    fn run() -> RunId {
        "r-7Q2MK4XN".into()
    }

    #[test]
    fn every_command_can_be_typed() {
        let reason = || "too busy".to_owned();
        check("", Command::Help);
        check("help", Command::Help);
        check("status", Command::Status);
        check("policies", Command::Policies);
        check(
            "plan cart",
            Command::Plan {
                policy: "cart".into(),
            },
        );
        check(
            "run cart",
            Command::Run {
                policy: "cart".into(),
            },
        );
        check(
            "why /shop/cart",
            Command::Why {
                subject: "/shop/cart".into(),
            },
        );
        check(
            "why cart",
            Command::Why {
                subject: "cart".into(),
            },
        );
        check("was-it-you", Command::WasItYou { subject: None });
        check(
            "was-it-you /shop/cart",
            Command::WasItYou {
                subject: Some("/shop/cart".into()),
            },
        );
        check("was it you", Command::WasItYou { subject: None });
        check(
            "Was it you? /shop/cart",
            Command::WasItYou {
                subject: Some("/shop/cart".into()),
            },
        );
        check("runs", Command::Runs { most: 10 });
        check("runs 3", Command::Runs { most: 3 });
        check("runs 1000000", Command::Runs { most: 50 });
        check("show r-7Q2MK4XN", Command::DescribeRun { run: run() });
        check("report r-7Q2MK4XN", Command::Report { run: run() });
        check(
            "approve r-7Q2MK4XN 0123456789ab",
            Command::Approve {
                run: run(),
                digest: "0123456789ab".into(),
            },
        );
        check(
            "approve r-7Q2MK4XN.0123456789AB",
            Command::Approve {
                run: run(),
                digest: "0123456789ab".into(),
            },
        );
        check(
            "deny r-7Q2MK4XN too busy",
            Command::Deny {
                run: run(),
                reason: reason(),
            },
        );
        check(
            "abort r-7Q2MK4XN too busy",
            Command::Abort {
                run: Some(run()),
                reason: reason(),
            },
        );
        check(
            "abort too busy",
            Command::Abort {
                run: None,
                reason: reason(),
            },
        );
        check("halt too busy", Command::Halt { reason: reason() });
        check("resume too busy", Command::Resume { reason: reason() });
        check(
            "clear r-7Q2MK4XN/2 too busy",
            Command::Clear {
                intent: "r-7Q2MK4XN/2".into(),
                reason: reason(),
            },
        );
        check(
            "timeline",
            Command::Timeline {
                since: now() - TimeDelta::minutes(30),
                app: None,
            },
        );
    }

    #[test]
    fn history_is_of_an_app_and_a_forecast_of_the_next_days() {
        check(
            "history /shop/cart",
            Command::History {
                app: "/shop/cart".into(),
            },
        );
        let from = now().date_naive();
        let to = from + Days::new(30);
        let policy = None;
        check("forecast", Command::Forecast { from, to, policy });
        let policy = Some("cart".into());
        check("forecast cart", Command::Forecast { from, to, policy });
    }

    #[test]
    fn stops_need_no_reason_and_a_no_does() {
        let none = || NO_REASON.to_owned();
        check("halt", Command::Halt { reason: none() });
        check("stop", Command::Halt { reason: none() });
        check("HALT!", Command::Halt { reason: none() });
        check(
            "abort r-7Q2MK4XN!",
            Command::Abort {
                run: Some(run()),
                reason: none(),
            },
        );
        check(
            "abort",
            Command::Abort {
                run: None,
                reason: none(),
            },
        );
        check(
            "abort r-7Q2MK4XN",
            Command::Abort {
                run: Some(run()),
                reason: none(),
            },
        );
        check("resume", Command::Resume { reason: none() });
        refused("deny r-7Q2MK4XN", "A no needs a reason");
        refused("clear r-7Q2MK4XN/1", "Clearing needs a reason");
    }

    #[test]
    fn what_phones_make_of_text_is_undone() {
        check(
            "deny r–7Q2MK4XN “too busy”",
            Command::Deny {
                run: run(),
                reason: "too busy".into(),
            },
        );
        check(
            "deny\u{a0}r-7q2mk4xn\u{a0}'too busy'",
            Command::Deny {
                run: run(),
                reason: "too busy".into(),
            },
        );
        check(
            "Deny `R-7Q2MK4XN` —reason too busy",
            Command::Deny {
                run: run(),
                reason: "too busy".into(),
            },
        );
        check(
            "timeline —since 2h",
            Command::Timeline {
                since: now() - TimeDelta::hours(2),
                app: None,
            },
        );
        check(
            "was–it—you “/shop/cart”",
            Command::WasItYou {
                subject: Some("/shop/cart".into()),
            },
        );
        check(
            "halt it’s \"not\" us – really",
            Command::Halt {
                reason: "it’s \"not\" us – really".into(),
            },
        );
        check(
            "abort r-7O2MK4XN",
            Command::Abort {
                run: Some("r-702MK4XN".into()),
                reason: NO_REASON.into(),
            },
        );
    }

    #[test]
    fn what_slack_makes_of_text_is_undone_once() {
        #[track_caller]
        fn reason(text: &str, expected: &str) {
            check(
                &format!("halt {text}"),
                Command::Halt {
                    reason: expected.into(),
                },
            );
        }
        reason(
            "asked by <@U012AB3CD|ana> and <@U1>",
            "asked by @U012AB3CD and @U1",
        );
        reason("see <#C1|ops> <#C2|> <#C3>", "see #ops #C2 #C3");
        reason("<!subteam^S1|@oncall> <!subteam^S2> <!here>", "@oncall @S2 @here");
        reason(
            "<https://x.example/a?b=1&amp;c=2|runbook> <https://y.example>",
            "runbook https://y.example",
        );
        reason(
            "a &lt;b&gt; &amp;amp; &lt;!here&gt; 5 < 6 & 7",
            "a <b> &amp; <!here> 5 < 6 & 7",
        );
        check(
            "was-it-you <http://a1.example.net|a1.example.net>",
            Command::WasItYou {
                subject: Some("a1.example.net".into()),
            },
        );
    }

    #[test]
    fn times_and_apps_come_in_any_order() {
        let app = || Some(AppId::new("/shop/cart"));
        check(
            "timeline 2h /shop/cart",
            Command::Timeline {
                since: now() - TimeDelta::hours(2),
                app: app(),
            },
        );
        check(
            "timeline /shop/cart --since 1d",
            Command::Timeline {
                since: now() - TimeDelta::days(1),
                app: app(),
            },
        );
        check(
            "timeline 90000d",
            Command::Timeline {
                since: now() - TIMELINE_MAX,
                app: None,
            },
        );
        refused("timeline yesterday", "neither a time back");
        refused("timeline 0m", "neither a time back");
        refused("timeline /Shop", "lower-case");
    }

    #[test]
    fn what_is_not_understood_is_answered_with_what_to_write() {
        refused("approve r-7Q2MK4XN", "needs the plan's digest");
        refused("approve r-7Q2MK4XN 0123456789a", "at least 12 hex");
        refused("approve r-7Q2MK4XN 0123456789xy", "at least 12 hex");
        refused("approve r-7Q2MK4XN", "/heartbreak approve RUN DIGEST");
        refused("approve", "Which run?");
        refused("abort r-7Q2M", "is not the id of a run");
        refused("show cart", "is not the id of a run");
        refused("plan", "Something is missing");
        refused("plan a b", "one word too many");
        refused("status now", "takes nothing after it");
        refused("runs few", "is not a number");
        refused("clear r-7Q2MK4XN x", "Which kill?");
        refused("stauts", "Did you mean `status`?");
        refused("aprove r-1", "Did you mean `approve`?");
        refused("bananas", "There is no command `bananas`. `/heartbreak help`");
    }

    #[test]
    fn a_reason_is_cut_and_never_a_reason_not_to_stop() {
        let Ok(Command::Halt { reason }) = parse(&format!("halt {}", "ä".repeat(50_000)), now()) else {
            panic!("a long reason stops too")
        };
        assert_eq!(reason.chars().count(), REASON_CHARS_MAX);
    }

    #[test]
    fn every_word_reads_as_the_command_it_documents() {
        for word in Word::ALL {
            let typed = format!(
                "{} {}",
                word.text(),
                match word {
                    Word::Show | Word::Report => "r-7Q2MK4XN",
                    Word::Plan | Word::Run | Word::Why => "cart",
                    Word::History => "/shop/cart",
                    Word::Approve => "r-7Q2MK4XN 0123456789ab",
                    Word::Deny => "r-7Q2MK4XN no",
                    Word::Clear => "r-7Q2MK4XN/1 over",
                    _ => "",
                }
            );
            let command = parse(&typed, now()).expect(&typed);
            assert_eq!(Word::of(&command), *word);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_fall_over(text in "\\PC{0,200}") {
            let _ = parse(&text, now());
        }

        #[test]
        fn no_text_after_a_stop_keeps_it_from_stopping(text in "[^rR<&]\\PC{0,100}") {
            let command = parse(&format!("halt {text}"), now());
            proptest::prop_assert!(matches!(command, Ok(Command::Halt { .. })), "{:?}", command);
        }
    }
}
