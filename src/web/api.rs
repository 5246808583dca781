//! `/api/v1`: a table of routes, and the one handler that serves them all.
//!
//! The table says who may; a test walks it with every role. What a request means is read in
//! [`read`](super::read).

use super::problem::Problem;
use super::read::{Fields, Given, command, fields, idempotency_key, path_of, query};
use super::{BODY_BYTES_MAX, Door, auth};
use crate::model::command::{Asked, Command, Role};
use crate::model::ids::{PolicyName, RunId};
use crate::model::report::Form;
use crate::model::run::Phase;
use crate::model::view::Reply;
use axum::body::to_bytes;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use axum::{Json, Router};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The operator answers within two seconds; this is only for when it does not.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// One row of the table.
#[derive(Debug)]
pub(super) struct Route {
    pub post: bool,
    pub path: &'static str,
    pub needs: Role,
    pub query: &'static [&'static str],
    pub ask: Ask,
}

/// What a route asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Status,
    Policies,
    Gates,
    Runs,
    Approvals,
    Timeline,
    History,
    Trend(Form),
    Forecast,
    Run,
    Report(Form),
    Plan,
    Why,
    WasItYou,
    Start,
    Approve,
    Deny,
    Abort,
    AbortAll,
    Halt,
    Resume,
    Clear,
}

const fn look(path: &'static str, query: &'static [&'static str], ask: Ask) -> Route {
    Route {
        post: false,
        path,
        needs: Role::Viewer,
        query,
        ask,
    }
}

const fn report(path: &'static str, form: Form) -> Route {
    look(path, &[], Ask::Report(form))
}

const fn act(path: &'static str, needs: Role, ask: Ask) -> Route {
    Route {
        post: true,
        path,
        needs,
        query: &[],
        ask,
    }
}

/// Every route of the API and who may use it: the role named or any above it.
pub(super) const ROUTES: &[Route] = &[
    look("/api/v1/status", &[], Ask::Status),
    look("/api/v1/policies", &[], Ask::Policies),
    look("/api/v1/gates", &[], Ask::Gates),
    look("/api/v1/runs", &["most"], Ask::Runs),
    look("/api/v1/approvals", &[], Ask::Approvals),
    look("/api/v1/audit", &["since", "app"], Ask::Timeline),
    look("/api/v1/timeline", &["since", "app"], Ask::Timeline),
    look("/api/v1/history", &["app"], Ask::History),
    look("/api/v1/history.svg", &["app"], Ask::Trend(Form::Svg)),
    look("/api/v1/history.png", &["app"], Ask::Trend(Form::Png)),
    look("/api/v1/forecast", &["from", "to", "policy"], Ask::Forecast),
    look("/api/v1/runs/{run}", &[], Ask::Run),
    report("/api/v1/runs/{run}/report.json", Form::Json),
    report("/api/v1/runs/{run}/report.md", Form::Markdown),
    report("/api/v1/runs/{run}/report.html", Form::Html),
    report("/api/v1/runs/{run}/report.svg", Form::Svg),
    report("/api/v1/runs/{run}/report.png", Form::Png),
    report("/api/v1/runs/{run}/report.xml", Form::Junit),
    report("/api/v1/runs/{run}/report.chaostoolkit.json", Form::ChaosToolkit),
    look("/api/v1/policies/{policy}/plan", &[], Ask::Plan),
    look("/api/v1/why", &["subject"], Ask::Why),
    look("/api/v1/was-it-you", &["subject"], Ask::WasItYou),
    act("/api/v1/policies/{policy}/runs", Role::Operator, Ask::Start),
    act("/api/v1/runs/{run}/approve", Role::Approver, Ask::Approve),
    act("/api/v1/runs/{run}/deny", Role::Approver, Ask::Deny),
    act("/api/v1/runs/{run}/abort", Role::Stop, Ask::Abort),
    act("/api/v1/abort", Role::Stop, Ask::AbortAll),
    act("/api/v1/halt", Role::Stop, Ask::Halt),
    act("/api/v1/resume", Role::Admin, Ask::Resume),
    act("/api/v1/clear", Role::Admin, Ask::Clear),
];

/// The table as a router.
pub(super) fn routes() -> Router<Arc<Door>> {
    ROUTES.iter().fold(Router::new(), |router, route| {
        let method = if route.post {
            MethodFilter::POST
        } else {
            MethodFilter::GET
        };
        router.route(
            route.path,
            on(
                method,
                move |State(door): State<Arc<Door>>, request: Request| async move {
                    serve(&door, route, request)
                        .await
                        .unwrap_or_else(IntoResponse::into_response)
                },
            ),
        )
    })
}

/// Asks who it is, reads what is asked, asks the operator, shapes the answer.
async fn serve(door: &Door, route: &Route, request: Request) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    // First of all, so that a stranger learns nothing from how a request is refused.
    let by = auth::person(&door.tokens, &parts.headers, route.needs)?;
    let key = idempotency_key(&parts.headers)?;
    let given = Given {
        path: path_of(&mut parts).await?,
        query: query(parts.uri.query().unwrap_or(""), route.query)?,
        body: if route.post {
            let bytes = to_bytes(body, BODY_BYTES_MAX)
                .await
                .map_err(|_| Problem::too_large(BODY_BYTES_MAX))?;
            fields(&bytes)?
        } else {
            Fields::default()
        },
    };
    let command = command(route.ask, &given, door.clock.now())?;
    let (run, policy) = about(&command);

    let peer = parts
        .extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map(|peer| peer.0.to_string());
    let (word, question) = (command.word(), command.is_question());
    let asked = Asked {
        by: by.clone(),
        command,
        key,
    };
    let answer = tokio::time::timeout(ANSWER_WITHIN, door.inbox.ask(asked)).await;
    if !question {
        let from = peer.as_deref().unwrap_or("unknown");
        let outcome = match &answer {
            Ok(Ok(_)) => "done",
            Ok(Err(_)) => "refused",
            Err(_) => "no answer in time",
        };
        tracing::info!(command = word, by = by.id.as_str(), role = %by.role, from, outcome, "asked through the API");
    }
    let reply = match answer {
        Ok(Ok(reply)) => reply,
        Ok(Err(refusal)) => return Err(Problem::refused(refusal).about(run, policy)),
        Err(_) if question => {
            return Err(
                Problem::late("the operator did not answer in time; nothing was changed").about(run, policy),
            );
        }
        Err(_) => {
            return Err(Problem::late(
                "the operator did not answer in time; what was asked may have been done all the same: look at the status, or repeat it with the same Idempotency-Key",
            )
            .about(run, policy));
        }
    };
    shape(door, route.ask, reply)
}

fn about(command: &Command) -> (Option<RunId>, Option<PolicyName>) {
    match command {
        Command::DescribeRun { run }
        | Command::Report { run }
        | Command::Approve { run, .. }
        | Command::Deny { run, .. } => (Some(run.clone()), None),
        Command::Abort { run, .. } => (run.clone(), None),
        Command::Plan { policy } | Command::Run { policy } => (None, Some(policy.clone())),
        Command::Help
        | Command::Status
        | Command::Policies
        | Command::Runs { .. }
        | Command::Why { .. }
        | Command::WasItYou { .. }
        | Command::Timeline { .. }
        | Command::History { .. }
        | Command::Forecast { .. }
        | Command::Halt { .. }
        | Command::Resume { .. }
        | Command::Clear { .. } => (None, None),
    }
}

/// Questions answer with the view itself; commands with the whole [`Reply`], because what comes back
/// differs.
fn shape(door: &Door, ask: Ask, reply: Reply) -> Result<Response, Problem> {
    Ok(match (ask, reply) {
        (Ask::Status, Reply::Status(status)) => Json(status).into_response(),
        (Ask::Policies, Reply::Policies(policies)) => Json(policies).into_response(),
        (Ask::Gates, Reply::Policies(policies)) => {
            let gates: Vec<_> = policies
                .into_iter()
                .map(|p| serde_json::json!({ "policy": p.name, "state": p.state, "next": p.next, "blocked": p.blocked }))
                .collect();
            Json(gates).into_response()
        }
        (Ask::Runs, Reply::Runs(runs)) => Json(runs).into_response(),
        (Ask::Approvals, Reply::Runs(mut runs)) => {
            runs.retain(|r| r.run.phase == Phase::AwaitingApproval);
            Json(runs).into_response()
        }
        (Ask::Timeline, Reply::Timeline(items)) => Json(items).into_response(),
        (Ask::History, Reply::History(past)) => Json(past).into_response(),
        (Ask::Trend(form), Reply::History(past)) => (
            [(header::CONTENT_TYPE, form.media_type())],
            (door.trend)(&past, form),
        )
            .into_response(),
        (Ask::Forecast, Reply::Forecast(ahead)) => Json(ahead).into_response(),
        (Ask::Run, Reply::Run(run)) => Json(run).into_response(),
        (Ask::Report(form), Reply::Report(report)) => (
            [(header::CONTENT_TYPE, form.media_type())],
            (door.render)(&report, form),
        )
            .into_response(),
        (Ask::Plan, Reply::Plan(plan)) => Json(plan).into_response(),
        (Ask::Why, Reply::Why(why)) => Json(why).into_response(),
        (Ask::WasItYou, Reply::WasItYou(answer)) => Json(answer).into_response(),
        (
            Ask::Start
            | Ask::Approve
            | Ask::Deny
            | Ask::Abort
            | Ask::AbortAll
            | Ask::Halt
            | Ask::Resume
            | Ask::Clear,
            reply,
        ) => Json(reply).into_response(),
        (ask, reply) => {
            tracing::error!(
                ?ask,
                ?reply,
                "the operator answered another question than was asked"
            );
            return Err(Problem::ours(
                "the operator answered another question than was asked; nothing was changed",
            ));
        }
    })
}
