//! `/ui`: pages for a browser, made on the server, without a script.
//!
//! A browser cannot send a bearer token by itself, so the pages are open to this machine only (an SSH
//! tunnel will do) and to whoever brings a token of role viewer. They show and change nothing.

mod history;
mod html;
mod run;

use super::api::Ask;
use super::problem::Problem;
use super::read::{Fields, Given, command, path_of, query};
use super::{Door, auth};
use crate::model::command::{Asked, Command, Person, Role, Via};
use crate::model::ids::PersonId;
use crate::model::report::Form;
use crate::model::view::{Reply, RunView, Status};
use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use html::{Cell, Page, time};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The pages wait no longer than this for the operator.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Ended runs on the first page.
const RUNS_SHOWN: usize = 20;

/// Every page.
pub(super) fn routes() -> Router<Arc<Door>> {
    Router::new()
        .route("/ui", get(start))
        .route("/ui/runs/{run}", get(one_run))
        .route("/ui/runs/{run}/report", get(report))
        .route("/ui/history", get(past))
}

/// `GET /ui`.
async fn start(State(door): State<Arc<Door>>, request: Request) -> Result<Response, Problem> {
    let visit = Visit::of(&door, request, &[]).await?;
    let Reply::Status(status) = visit.ask(Command::Status).await? else {
        return Err(another_question());
    };
    let Reply::Runs(runs) = visit.ask(Command::Runs { most: RUNS_SHOWN }).await? else {
        return Err(another_question());
    };
    Ok(Html(render(&status, &runs)).into_response())
}

/// `GET /ui/runs/RUN`.
async fn one_run(State(door): State<Arc<Door>>, request: Request) -> Result<Response, Problem> {
    let visit = Visit::of(&door, request, &[]).await?;
    match visit.means(Ask::Run).await? {
        Reply::Run(view) => Ok(Html(run::render(&view)).into_response()),
        _ => Err(another_question()),
    }
}

/// `GET /ui/runs/RUN/report`: what `report.html` holds.
async fn report(State(door): State<Arc<Door>>, request: Request) -> Result<Response, Problem> {
    let visit = Visit::of(&door, request, &[]).await?;
    match visit.means(Ask::Report(Form::Html)).await? {
        Reply::Report(report) => {
            let kind = [(header::CONTENT_TYPE, Form::Html.media_type())];
            Ok((kind, (door.render)(&report, Form::Html)).into_response())
        }
        _ => Err(another_question()),
    }
}

/// `GET /ui/history?app=/an/app`.
async fn past(State(door): State<Arc<Door>>, request: Request) -> Result<Response, Problem> {
    let visit = Visit::of(&door, request, &["app"]).await?;
    match visit.means(Ask::History).await? {
        Reply::History(past) => {
            let chart = (door.trend)(&past, Form::Svg);
            Ok(Html(history::render(&past, &String::from_utf8_lossy(&chart))).into_response())
        }
        _ => Err(another_question()),
    }
}

fn another_question() -> Problem {
    Problem::ours("the operator answered another question than was asked")
}

/// Somebody who may look, and at what.
struct Visit<'a> {
    door: &'a Door,
    by: Person,
    given: Given,
}

impl<'a> Visit<'a> {
    async fn of(door: &'a Door, request: Request, known: &[&str]) -> Result<Self, Problem> {
        let (mut parts, _) = request.into_parts();
        let peer = parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map(|peer| peer.0);
        // First of all, so that a stranger learns nothing from how a request is refused.
        let by = match auth::person(&door.tokens, &parts.headers, Role::Viewer) {
            Ok(person) => person,
            Err(_) if auth::is_local(peer, &parts.headers) => Person {
                id: PersonId::new("ui"),
                name: "the local page".into(),
                via: Via::Api,
                role: Role::Viewer,
            },
            Err(problem) => return Err(problem),
        };
        let given = Given {
            path: path_of(&mut parts).await?,
            query: query(parts.uri.query().unwrap_or(""), known)?,
            body: Fields::default(),
        };
        Ok(Self { door, by, given })
    }

    /// Asks what the API would ask with the same path and query.
    async fn means(&self, ask: Ask) -> Result<Reply, Problem> {
        self.ask(command(ask, &self.given, self.door.clock.now())?).await
    }

    async fn ask(&self, command: Command) -> Result<Reply, Problem> {
        let asked = Asked {
            by: self.by.clone(),
            command,
            key: None,
        };
        match tokio::time::timeout(ANSWER_WITHIN, self.door.inbox.ask(asked)).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(refusal)) => Err(Problem::refused(refusal)),
            Err(_) => Err(Problem::late("the operator did not answer in time")),
        }
    }
}

/// The first page, from the same data as the API.
fn render(status: &Status, latest: &[RunView]) -> String {
    let mut page = Page::new("Heartbreak", true);
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
    page.banner(class, &banner);
    page.soft(&format!(
        "As of {}, version {}. {} waiting for Slack.",
        time(status.at),
        status.version,
        status.outbox_waiting
    ));
    clusters(&mut page, status);
    runs(&mut page, status);
    ended(&mut page, latest);
    policies(&mut page, status);
    page.done()
}

fn clusters(page: &mut Page, status: &Status) {
    let rows = status.clusters.iter().map(|c| {
        let seen = c.seen.map_or_else(|| "never".to_owned(), time);
        vec![
            c.name.to_string().into(),
            seen.into(),
            c.apps.to_string().into(),
            c.gaps.join("; ").into(),
        ]
    });
    page.table(
        "Clusters",
        &["name", "seen", "apps", "what could not be seen"],
        rows.collect(),
    );
}

fn runs(page: &mut Page, status: &Status) {
    let rows = status.open_runs.iter().map(|view| {
        let run = &view.run;
        let healthy = view.healthy.map_or_else(
            || "unknown".to_owned(),
            |h| format!("{h} of {}", run.plan.apps.instances()),
        );
        vec![
            Cell::run(&run.id),
            run.plan.policy.to_string().into(),
            Cell::apps(&run.plan),
            run.phase.to_string().into(),
            run::kills(run).into(),
            healthy.into(),
            view.waiting.clone().unwrap_or_default().into(),
        ]
    });
    page.table(
        "Open runs",
        &["run", "policy", "app", "phase", "kills", "healthy", "waits for"],
        rows.collect(),
    );
    if !status.charged.is_empty() {
        let rows = status.charged.iter().map(|line| vec![line.clone().into()]);
        page.table("Counts as down because of us", &["what"], rows.collect());
    }
}

fn ended(page: &mut Page, latest: &[RunView]) {
    let rows = latest.iter().filter(|view| !view.run.is_open()).map(|view| {
        let run = &view.run;
        let verdict = run.verdict.as_ref();
        vec![
            Cell::run(&run.id),
            run.ended.map_or_else(|| "unknown".to_owned(), time).into(),
            run.plan.policy.to_string().into(),
            Cell::apps(&run.plan),
            verdict.map_or_else(Cell::nothing, |v| Cell::taught(v.hypothesis)),
            verdict.map_or_else(Cell::nothing, |v| v.sentence.clone().into()),
        ]
    });
    page.table(
        "Latest runs",
        &["run", "ended", "policy", "app", "hypothesis", "verdict"],
        rows.collect(),
    );
}

fn policies(page: &mut Page, status: &Status) {
    let rows = status.policies.iter().map(|p| {
        let blocked = p.blocked.as_ref().map_or_else(
            || "every gate says yes".to_owned(),
            |b| format!("{}: {} ({})", b.gate, b.answer.why(), b.answer.word()),
        );
        vec![
            p.name.to_string().into(),
            p.team.clone().into(),
            p.mode.clone().into(),
            p.state.clone().into(),
            p.next.map_or_else(|| "unknown".to_owned(), time).into(),
            blocked.into(),
            p.allows.clone().into(),
        ]
    });
    page.table(
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
        assert!(render(&status(), &[]).contains("Armed, not halted."));
        let disarmed = Status {
            armed: false,
            ..status()
        };
        assert!(render(&disarmed, &[]).contains("nothing is ever killed"));
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
        let hostile = Status {
            halt,
            charged: vec!["<img src=x>".into()],
            ..status()
        };
        let page = render(&hostile, &[]);
        assert!(
            page.contains("Halted since 2026-11-23 14:00:00 UTC by &lt;b&gt;ana&lt;/b&gt;"),
            "{page}"
        );
        assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("<b>"));
    }
}
