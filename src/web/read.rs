//! What a request means: path, query and body into a [`Command`], checked at the door.
//!
//! Pure, so that what is refused, and in which words, needs no server to be tested.

use super::api::Ask;
use super::problem::Problem;
use crate::model::command::Command;
use crate::model::ids::{AppId, PlanDigest, PolicyName, RunId};
use axum::RequestPartsExt;
use axum::extract::RawPathParams;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Runs in a list, unless `most` says otherwise.
const RUNS_DEFAULT: usize = 50;
/// Runs in a list at most: an answer stays within a few megabytes.
const RUNS_MAX: usize = 500;
/// Longest reason, in characters: it has to fit into a message.
const REASON_MAX: usize = 500;
/// Longest subject, in characters: app ids of Marathon are shorter.
const SUBJECT_MAX: usize = 256;
/// How many days `forecast` looks ahead, unless `to` says otherwise.
const FORECAST_DAYS: u64 = 30;
/// How far back `timeline` goes, unless `since` says otherwise.
const SINCE_DEFAULT: TimeDelta = TimeDelta::hours(24);

/// What came with a request, unchecked.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub path: BTreeMap<String, String>,
    pub query: BTreeMap<String, String>,
    pub body: Fields,
}

/// Every field that any body may have. Which of them a command takes is checked where it is made.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fields {
    reason: Option<String>,
    digest: Option<String>,
    intent: Option<String>,
}

pub(super) fn fields(bytes: &[u8]) -> Result<Fields, Problem> {
    if bytes.trim_ascii().is_empty() {
        return Ok(Fields::default());
    }
    serde_json::from_slice(bytes).map_err(|error| {
        Problem::invalid(format!(
            "the body is not the JSON object wanted here: {error}; nothing was done"
        ))
    })
}

/// What stands in the path in the places that the route names.
pub(super) async fn path_of(parts: &mut Parts) -> Result<BTreeMap<String, String>, Problem> {
    let found = parts.extract::<RawPathParams>().await;
    let found = found.map_err(|e| Problem::invalid(e.to_string()))?;
    Ok(found
        .iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect())
}

pub(super) fn query(text: &str, known: &[&str]) -> Result<BTreeMap<String, String>, Problem> {
    let mut found = BTreeMap::new();
    for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
        if !known.contains(&name.as_ref()) {
            let takes = if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            };
            return Err(Problem::invalid(format!(
                "query parameter {name:?} is not known here; known: {takes}"
            )));
        }
        if found
            .insert(name.clone().into_owned(), value.into_owned())
            .is_some()
        {
            return Err(Problem::invalid(format!(
                "query parameter {name:?} is given twice"
            )));
        }
    }
    Ok(found)
}

/// The key under which a repeat is the same request.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    match value.to_str() {
        Ok(key) if (1..=128).contains(&key.len()) => Ok(Some(key.to_owned())),
        _ => Err(Problem::invalid(
            "Idempotency-Key takes 1 to 128 printable ASCII characters; nothing was done",
        )),
    }
}

/// Reads a request into a command.
pub(super) fn command(ask: Ask, given: &Given, now: DateTime<Utc>) -> Result<Command, Problem> {
    let Fields {
        reason: why,
        digest,
        intent,
    } = &given.body;
    let takes: &[&str] = match ask {
        Ask::Approve => &["digest"],
        Ask::Deny | Ask::Abort | Ask::AbortAll | Ask::Halt | Ask::Resume => &["reason"],
        Ask::Clear => &["intent", "reason"],
        _ => &[],
    };
    for (name, given) in [
        ("reason", why.is_some()),
        ("digest", digest.is_some()),
        ("intent", intent.is_some()),
    ] {
        if given && !takes.contains(&name) {
            return Err(Problem::invalid(format!(
                "field {name:?} means nothing here and would be lost; leave it out; nothing was done"
            )));
        }
    }
    let reason = || reason(why.as_deref());
    Ok(match ask {
        Ask::Status => Command::Status,
        Ask::Policies | Ask::Gates => Command::Policies,
        Ask::Runs => Command::Runs {
            most: most(given.query.get("most"))?,
        },
        Ask::Approvals => Command::Runs { most: RUNS_MAX },
        Ask::Timeline => Command::Timeline {
            since: since(given.query.get("since"), now)?,
            app: given
                .query
                .get("app")
                .map(|app| AppId::parse(app).map_err(Problem::invalid))
                .transpose()?,
        },
        Ask::History | Ask::Trend(_) => match given.query.get("app") {
            Some(app) => Command::History {
                app: AppId::parse(app).map_err(Problem::invalid)?,
            },
            None => return Err(Problem::invalid("say of which app: ?app=/an/app")),
        },
        Ask::Forecast => {
            let from = date(given, "from")?.unwrap_or(now.date_naive());
            let last = || from.checked_add_days(Days::new(FORECAST_DAYS)).unwrap_or(from);
            Command::Forecast {
                from,
                to: date(given, "to")?.unwrap_or_else(last),
                policy: given
                    .query
                    .get("policy")
                    .map(|name| policy_name(name))
                    .transpose()?,
            }
        }
        Ask::Run => Command::DescribeRun { run: run(given)? },
        Ask::Report(_) => Command::Report { run: run(given)? },
        Ask::Plan => Command::Plan {
            policy: policy(given)?,
        },
        Ask::Why => match given.query.get("subject") {
            Some(text) => Command::Why {
                subject: subject(text)?,
            },
            None => {
                return Err(Problem::invalid(
                    "say about what: ?subject=POLICY or ?subject=/an/app",
                ));
            }
        },
        Ask::WasItYou => Command::WasItYou {
            subject: given.query.get("subject").map(|text| subject(text)).transpose()?,
        },
        Ask::Start => Command::Run {
            policy: policy(given)?,
        },
        Ask::Approve => Command::Approve {
            run: run(given)?,
            digest: plan_digest(digest.as_deref())?,
        },
        Ask::Deny => Command::Deny {
            run: run(given)?,
            reason: reason()?,
        },
        Ask::Abort => Command::Abort {
            run: Some(run(given)?),
            reason: reason()?,
        },
        Ask::AbortAll => Command::Abort {
            run: None,
            reason: reason()?,
        },
        Ask::Halt => Command::Halt { reason: reason()? },
        Ask::Resume => Command::Resume { reason: reason()? },
        Ask::Clear => Command::Clear {
            intent: intent_id(intent.as_deref())?,
            reason: reason()?,
        },
    })
}

/// `2026-11-23`.
fn date(given: &Given, name: &str) -> Result<Option<NaiveDate>, Problem> {
    let Some(text) = given.query.get(name) else {
        return Ok(None);
    };
    match text.parse() {
        Ok(date) if text.len() == 10 => Ok(Some(date)),
        _ => Err(Problem::invalid(format!(
            "`{name}` {:?} is not a date like 2026-11-23",
            cut(text)
        ))),
    }
}

fn run(given: &Given) -> Result<RunId, Problem> {
    run_id(given.path.get("run").map_or("", String::as_str))
}

/// `r-` and eight Crockford characters; lower case is fine.
fn run_id(text: &str) -> Result<RunId, Problem> {
    let body = text
        .strip_prefix("r-")
        .or_else(|| text.strip_prefix("R-"))
        .map(str::to_ascii_uppercase);
    match body {
        Some(body)
            if body.len() == 8
                && body
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() && !matches!(b, b'I' | b'L' | b'O' | b'U')) =>
        {
            Ok(RunId::new(format!("r-{body}")))
        }
        _ => Err(Problem::invalid(format!(
            "{:?} is not a run: those look like r-7Q2MK4XN",
            cut(text)
        ))),
    }
}

fn policy(given: &Given) -> Result<PolicyName, Problem> {
    policy_name(given.path.get("policy").map_or("", String::as_str))
}

fn policy_name(text: &str) -> Result<PolicyName, Problem> {
    let label = (1..=63).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !label {
        return Err(Problem::invalid(format!(
            "{:?} is not a policy's name: those have up to 63 lower-case letters, digits and `-`",
            cut(text)
        )));
    }
    Ok(PolicyName::new(text))
}

fn intent_id(text: Option<&str>) -> Result<String, Problem> {
    let text = text.unwrap_or("");
    let (run, step) = text.split_once('/').unwrap_or((text, ""));
    match (run_id(run), step.parse::<u32>()) {
        (Ok(run), Ok(step)) if step > 0 => Ok(format!("{run}/{step}")),
        _ => Err(Problem::invalid(format!(
            "{:?} is not an intent: those look like r-7Q2MK4XN/2; nothing was done",
            cut(text)
        ))),
    }
}

fn plan_digest(text: Option<&str>) -> Result<PlanDigest, Problem> {
    let text = text.unwrap_or("").to_ascii_lowercase();
    if (12..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(PlanDigest::new(text));
    }
    Err(Problem::invalid(
        "an approval is for one plan: send its digest, at least the first 12 hex characters; nothing was approved",
    ))
}

/// A reason is kept for ever and shown in chat: not empty, not long, one line.
fn reason(text: Option<&str>) -> Result<String, Problem> {
    let text = text.unwrap_or("").trim();
    if text.is_empty() {
        return Err(Problem::invalid(
            "say why, in `reason`: the journal keeps it; nothing was done",
        ));
    }
    plain(text, REASON_MAX, "reason")
}

fn subject(text: &str) -> Result<String, Problem> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Problem::invalid("`subject` is empty"));
    }
    plain(text, SUBJECT_MAX, "subject")
}

fn plain(text: &str, most: usize, what: &str) -> Result<String, Problem> {
    if text.chars().count() > most || text.chars().any(char::is_control) {
        return Err(Problem::invalid(format!(
            "`{what}` takes up to {most} characters on one line; nothing was done"
        )));
    }
    Ok(text.to_owned())
}

fn most(text: Option<&String>) -> Result<usize, Problem> {
    match text.map(|t| t.parse()) {
        None => Ok(RUNS_DEFAULT),
        Some(Ok(most)) if (1..=RUNS_MAX).contains(&most) => Ok(most),
        Some(_) => Err(Problem::invalid(format!(
            "`most` takes a number from 1 to {RUNS_MAX}"
        ))),
    }
}

/// An RFC 3339 time, or how long ago: `90s`, `30m`, `2h`, `7d`.
fn since(text: Option<&String>, now: DateTime<Utc>) -> Result<DateTime<Utc>, Problem> {
    let Some(text) = text else {
        return Ok(now - SINCE_DEFAULT);
    };
    let ago = || {
        let number: i64 = text
            .get(..text.len().checked_sub(1)?)?
            .parse()
            .ok()
            .filter(|n| (0..=1_000_000).contains(n))?;
        let seconds = match text.chars().last()? {
            's' => number,
            'm' => number * 60,
            'h' => number * 3600,
            'd' => number * 86_400,
            _ => return None,
        };
        now.checked_sub_signed(TimeDelta::seconds(seconds))
    };
    DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc()).or_else(ago).ok_or_else(|| {
        Problem::invalid(format!(
            "`since` {:?} is neither a time like 2026-11-23T14:03:00Z nor how long ago, like 30m, 2h or 7d",
            cut(text)
        ))
    })
}

/// Enough of a text to recognise it in an error.
fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_442_400, 0).unwrap()
    }

    fn given(path: &[(&str, &str)], query: &[(&str, &str)], body: &str) -> Given {
        let map = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(k, v)| (k.to_string(), v.to_string()))
                .collect()
        };
        Given {
            path: map(path),
            query: map(query),
            body: fields(body.as_bytes()).unwrap(),
        }
    }

    #[track_caller]
    fn check(ask: Ask, given: Given, expected: Result<Command, &str>) {
        let answer = command(ask, &given, now()).map_err(|p| {
            serde_json::to_value(&p).unwrap()["detail"]
                .as_str()
                .unwrap()
                .to_owned()
        });
        match (&answer, expected) {
            (Ok(command), Ok(expected)) => assert_eq!(*command, expected),
            (Err(detail), Err(part)) => assert!(detail.contains(part), "{detail}"),
            (answer, expected) => panic!("{answer:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn runs_and_policies_are_checked_at_the_door() {
        check(
            Ask::Run,
            given(&[("run", "r-7q2mk4xn")], &[], ""),
            Ok(Command::DescribeRun {
                run: "r-7Q2MK4XN".into(),
            }),
        );
        check(
            Ask::Run,
            given(&[("run", "r-7Q2MK4XU")], &[], ""),
            Err("is not a run"),
        );
        check(
            Ask::Run,
            given(&[("run", "../../etc")], &[], ""),
            Err("is not a run"),
        );
        check(
            Ask::Plan,
            given(&[("policy", "cart")], &[], ""),
            Ok(Command::Plan {
                policy: "cart".into(),
            }),
        );
        check(
            Ask::Plan,
            given(&[("policy", "Cart!")], &[], ""),
            Err("is not a policy's name"),
        );
    }

    #[test]
    fn every_stop_and_decision_says_why_on_one_line() {
        check(
            Ask::Halt,
            given(&[], &[], r#"{"reason":" fire "}"#),
            Ok(Command::Halt {
                reason: "fire".into(),
            }),
        );
        for ask in [Ask::Halt, Ask::Resume, Ask::AbortAll] {
            check(ask, given(&[], &[], ""), Err("say why"));
            check(ask, given(&[], &[], r#"{"reason":"  "}"#), Err("say why"));
            check(ask, given(&[], &[], r#"{"reason":"a\nb"}"#), Err("on one line"));
        }
        let long = format!(r#"{{"reason":"{}"}}"#, "x".repeat(REASON_MAX + 1));
        check(Ask::Halt, given(&[], &[], &long), Err("up to 500 characters"));
    }

    #[test]
    fn an_approval_without_a_digest_approves_nothing() {
        let run = [("run", "r-7Q2MK4XN")];
        check(Ask::Approve, given(&run, &[], ""), Err("nothing was approved"));
        check(
            Ask::Approve,
            given(&run, &[], r#"{"digest":"abc"}"#),
            Err("nothing was approved"),
        );
        check(
            Ask::Approve,
            given(&run, &[], r#"{"digest":"0123456789AB"}"#),
            Ok(Command::Approve {
                run: "r-7Q2MK4XN".into(),
                digest: "0123456789ab".into(),
            }),
        );
    }

    #[test]
    fn a_field_that_would_be_lost_is_refused() {
        check(
            Ask::Start,
            given(&[("policy", "cart")], &[], r#"{"reason":"x"}"#),
            Err("would be lost"),
        );
        assert!(fields(br#"{"raeson":"x"}"#).is_err());
        assert!(fields(b"[]").is_err());
        assert!(query("sinse=1", &["since"]).is_err());
        assert!(query("since=1&since=2", &["since"]).is_err());
    }

    #[test]
    fn since_is_a_time_or_how_long_ago() {
        let at = |text: &str| since(Some(&text.to_owned()), now());
        assert_eq!(at("30m").unwrap(), now() - TimeDelta::minutes(30));
        assert_eq!(at("2h").unwrap(), now() - TimeDelta::hours(2));
        assert_eq!(
            at("2026-11-23T14:03:00+01:00").unwrap().to_rfc3339(),
            "2026-11-23T13:03:00+00:00"
        );
        assert_eq!(since(None, now()).unwrap(), now() - TimeDelta::hours(24));
        for bad in ["", "m", "30", "-1m", "30w", "9999999999h", "5ä"] {
            assert!(at(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn history_names_an_app_and_a_forecast_its_dates() {
        check(
            Ask::History,
            given(&[], &[("app", "/shop/cart")], ""),
            Ok(Command::History {
                app: "/shop/cart".into(),
            }),
        );
        check(Ask::History, given(&[], &[], ""), Err("say of which app"));
        check(Ask::History, given(&[], &[("app", "cart")], ""), Err("cart"));
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        check(
            Ask::Forecast,
            given(&[], &[("to", "2026-12-31"), ("policy", "cart")], ""),
            Ok(Command::Forecast {
                from: now().date_naive(),
                to: day("2026-12-31"),
                policy: Some("cart".into()),
            }),
        );
        check(
            Ask::Forecast,
            given(&[], &[("from", "2026-01-01")], ""),
            Ok(Command::Forecast {
                from: day("2026-01-01"),
                to: day("2026-01-31"),
                policy: None,
            }),
        );
        for bad in ["", "tomorrow", "2026-02-30", "2026-1-1"] {
            check(
                Ask::Forecast,
                given(&[], &[("from", bad)], ""),
                Err("is not a date"),
            );
        }
    }

    #[test]
    fn an_intent_is_a_run_and_a_step() {
        let clear = |intent: &str| given(&[], &[], &format!(r#"{{"intent":"{intent}","reason":"seen"}}"#));
        check(
            Ask::Clear,
            clear("r-7Q2MK4XN/2"),
            Ok(Command::Clear {
                intent: "r-7Q2MK4XN/2".into(),
                reason: "seen".into(),
            }),
        );
        for bad in ["", "r-7Q2MK4XN", "r-7Q2MK4XN/0", "r-7Q2MK4XN/x"] {
            check(Ask::Clear, clear(bad), Err("is not an intent"));
        }
    }
}
