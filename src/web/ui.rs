//! `/ui`: one page for a browser, made on the server, without a script.
//!
//! A browser cannot send a bearer token by itself, so the page is open to this machine only (an SSH
//! tunnel will do) and to whoever brings a token of role viewer. It shows and changes nothing.

use super::problem::Problem;
use super::{Door, auth};
use crate::model::command::{Asked, Command, Person, Role, Via};
use crate::model::ids::PersonId;
use crate::model::view::{Reply, Status};
use axum::extract::{ConnectInfo, Request, State};
use axum::response::{Html, IntoResponse, Response};
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The page waits no longer than this for the operator.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// `GET /ui`.
pub(super) async fn page(State(door): State<Arc<Door>>, request: Request) -> Response {
    let peer = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map(|peer| peer.0);
    let by = match auth::person(&door.tokens, request.headers(), Role::Viewer) {
        Ok(person) => person,
        Err(_) if auth::is_local(peer, request.headers()) => Person {
            id: PersonId::new("ui"),
            name: "the local page".into(),
            via: Via::Api,
            role: Role::Viewer,
        },
        Err(problem) => return problem.into_response(),
    };
    let asked = Asked {
        by,
        command: Command::Status,
        key: None,
    };
    match tokio::time::timeout(ANSWER_WITHIN, door.inbox.ask(asked)).await {
        Ok(Ok(Reply::Status(status))) => Html(render(&status)).into_response(),
        Ok(Ok(_)) => Problem::ours("the operator answered another question than was asked").into_response(),
        Ok(Err(refusal)) => Problem::refused(refusal).into_response(),
        Err(_) => Problem::late("the operator did not answer in time").into_response(),
    }
}

const STYLE: &str = "\
:root{color-scheme:light dark;--line:#8886;--soft:#777;--bad:#b3261e;--ok:#1b6e3c}\
@media(prefers-color-scheme:dark){:root{--soft:#aaa;--bad:#ff8a80;--ok:#7bd89b}}\
body{font:16px/1.45 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}\
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.35rem .8rem .35rem 0;border-bottom:1px solid var(--line)}\
th,.soft{color:var(--soft);font-weight:normal}.bad{color:var(--bad)}.ok{color:var(--ok)}code{font-size:.92em}\
.banner{border-left:.3rem solid;padding:.5rem 1rem;font-weight:600}";

/// The page, from the same data as the API.
fn render(status: &Status) -> String {
    let mut page = String::with_capacity(8192);
    // Writing to a string cannot fail.
    let _ = write!(
        page,
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <meta http-equiv=refresh content=10><title>Heartbreak</title><style>{STYLE}</style><h1>Heartbreak</h1>"
    );
    let (class, banner) = match (&status.halt, status.armed) {
        (Some(halt), _) => (
            "bad",
            format!(
                "Halted since {} by {}: {}",
                time(halt.since),
                halt.by.name,
                halt.reason
            ),
        ),
        (None, false) => ("soft", "Not armed: nothing is ever killed.".to_owned()),
        (None, true) => ("ok", "Armed, not halted.".to_owned()),
    };
    let _ = write!(
        page,
        "<p class=\"banner {class}\">{}<p class=soft>As of {}, version {}. {} waiting for Slack.",
        escape(&banner),
        time(status.at),
        escape(&status.version),
        status.outbox_waiting
    );
    clusters(&mut page, status);
    runs(&mut page, status);
    policies(&mut page, status);
    page
}

fn clusters(page: &mut String, status: &Status) {
    let rows = status.clusters.iter().map(|c| {
        let seen = c.seen.map_or_else(|| "never".to_owned(), time);
        vec![c.name.to_string(), seen, c.apps.to_string(), c.gaps.join("; ")]
    });
    table(
        page,
        "Clusters",
        &["name", "seen", "apps", "what could not be seen"],
        rows.collect(),
    );
}

fn runs(page: &mut String, status: &Status) {
    let rows = status.open_runs.iter().map(|view| {
        let run = &view.run;
        let killed = run
            .intents
            .iter()
            .filter(|i| !i.sham)
            .map(|i| i.targets.len())
            .sum::<usize>();
        vec![
            run.id.to_string(),
            run.plan.policy.to_string(),
            run.plan.apps.to_string(),
            run.phase.to_string(),
            format!("{killed} of {}", run.plan.kills()),
            view.healthy.map_or_else(
                || "unknown".to_owned(),
                |h| format!("{h} of {}", run.plan.apps.instances()),
            ),
            view.waiting.clone().unwrap_or_default(),
        ]
    });
    table(
        page,
        "Open runs",
        &["run", "policy", "app", "phase", "kills", "healthy", "waits for"],
        rows.collect(),
    );
    if !status.charged.is_empty() {
        let rows = status.charged.iter().map(|line| vec![line.clone()]).collect();
        table(page, "Counts as down because of us", &["what"], rows);
    }
}

fn policies(page: &mut String, status: &Status) {
    let rows = status.policies.iter().map(|p| {
        let blocked = p.blocked.as_ref().map_or_else(
            || "every gate says yes".to_owned(),
            |b| format!("{}: {} ({})", b.gate, b.answer.why(), b.answer.word()),
        );
        vec![
            p.name.to_string(),
            p.team.clone(),
            p.mode.clone(),
            p.state.clone(),
            p.next.map_or_else(|| "unknown".to_owned(), time),
            blocked,
            p.allows.clone(),
        ]
    });
    table(
        page,
        "Policies and gates",
        &[
            "name",
            "team",
            "mode",
            "state",
            "next due",
            "first gate in the way",
            "allows",
        ],
        rows.collect(),
    );
}

fn table(page: &mut String, title: &str, heads: &[&str], rows: Vec<Vec<String>>) {
    let _ = write!(page, "<h2>{}</h2>", escape(title));
    if rows.is_empty() {
        page.push_str("<p class=soft>None.");
        return;
    }
    page.push_str("<table><tr>");
    for head in heads {
        let _ = write!(page, "<th>{}", escape(head));
    }
    for row in rows {
        page.push_str("<tr>");
        for cell in row {
            let _ = write!(page, "<td>{}", escape(&cell));
        }
    }
    page.push_str("</table>");
}

fn time(at: chrono::DateTime<chrono::Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// Everything that comes from elsewhere goes through here: reasons, app ids and gate texts are not ours.
fn escape(text: &str) -> String {
    text.chars()
        .fold(String::with_capacity(text.len()), |mut out, c| {
            match c {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '"' => out.push_str("&quot;"),
                '\'' => out.push_str("&#39;"),
                c => out.push(c),
            }
            out
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::halt::Halt;

    fn status() -> Status {
        let at = chrono::DateTime::from_timestamp(1_795_442_400, 0).unwrap();
        Status {
            at,
            version: "0.1.0".into(),
            armed: true,
            halt: None,
            clusters: vec![],
            policies: vec![],
            open_runs: vec![],
            charged: vec![],
            outbox_waiting: 0,
        }
    }

    #[test]
    fn the_page_says_first_whether_anything_can_be_killed() {
        assert!(render(&status()).contains("Armed, not halted."));
        assert!(
            render(&Status {
                armed: false,
                ..status()
            })
            .contains("nothing is ever killed")
        );
    }

    #[test]
    fn nothing_that_people_write_becomes_markup() {
        let by = Person {
            id: "ana".into(),
            name: "<b>ana</b>".into(),
            via: Via::Slack,
            role: Role::Operator,
        };
        let halt = Some(Halt {
            by,
            reason: "<script>alert('x')</script>".into(),
            since: status().at,
        });
        let page = render(&Status {
            halt,
            charged: vec!["<img src=x>".into()],
            ..status()
        });
        assert!(
            page.contains("Halted since 2026-11-23 14:00:00 UTC by &lt;b&gt;ana&lt;/b&gt;"),
            "{page}"
        );
        assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("<b>"));
    }
}
