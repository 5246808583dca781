//! Tables: status, policies, runs; and short answers to commands.

use super::{Out, Tone, clean, cut, facts, table};
use crate::model::view::{ClusterView, PolicyView, Reply, RunView, Status};

/// Longest sentence in a narrow table.
const SENTENCE_MAX: usize = 60;

/// `status`.
pub fn status(status: &Status, out: &Out) -> String {
    let (tone, first) = match (&status.halt, status.armed) {
        (Some(halt), _) => (
            Tone::Bad,
            format!(
                "HALTED {} by {}: {}",
                out.age(halt.since),
                halt.by.name,
                halt.reason
            ),
        ),
        (None, false) => (Tone::Unsure, "Not armed: nothing is ever killed.".to_owned()),
        (None, true) => (Tone::Good, "Armed, not halted.".to_owned()),
    };
    let mut parts = vec![
        out.pen.paint(tone, &clean(&first)),
        facts(&[
            ("As of", Some(out.when(status.at))),
            ("Version", Some(status.version.clone())),
            ("Waiting for Slack", Some(status.outbox_waiting.to_string())),
        ]),
        section("Clusters", &clusters(&status.clusters, out), out),
        section("Policies", &policies(&status.policies, out), out),
        section("Open runs", &runs(&status.open_runs, out), out),
    ];
    if !status.charged.is_empty() {
        let lines: Vec<String> = status.charged.iter().map(|line| clean(line)).collect();
        parts.push(section("Counts as down because of us", &lines.join("\n"), out));
    }
    parts.join("\n\n")
}

fn section(title: &str, body: &str, out: &Out) -> String {
    format!("{}\n{body}", out.pen.paint(Tone::Strong, title))
}

fn clusters(clusters: &[ClusterView], out: &Out) -> String {
    if clusters.is_empty() {
        return "None in the settings.".to_owned();
    }
    let rows: Vec<_> = clusters
        .iter()
        .map(|c| {
            let gaps = if c.gaps.is_empty() {
                "-".to_owned()
            } else {
                c.gaps.join("; ")
            };
            vec![
                c.name.to_string(),
                c.seen.map_or_else(|| "never".to_owned(), |at| out.age(at)),
                c.version.clone().unwrap_or_else(|| "unknown".to_owned()),
                c.apps.to_string(),
                gaps,
            ]
        })
        .collect();
    table(&["NAME", "SEEN", "MARATHON", "APPS", "NOT SEEN"], &rows)
}

/// `get policies`.
pub fn policies(policies: &[PolicyView], out: &Out) -> String {
    if policies.is_empty() {
        return "No policies.".to_owned();
    }
    let sentence = |text: String| {
        if out.wide() {
            text
        } else {
            cut(&text, SENTENCE_MAX)
        }
    };
    let rows: Vec<_> = policies
        .iter()
        .map(|p| {
            let blocked = match &p.blocked {
                Some(b) => format!("{}: {}", b.gate, b.answer.why()),
                None => "-".to_owned(),
            };
            let mut row = vec![
                p.name.to_string(),
                p.team.clone(),
                p.mode.clone(),
                sentence(p.state.clone()),
                p.next.map_or_else(|| "-".to_owned(), |at| out.age(at)),
                sentence(blocked),
            ];
            if out.wide() {
                row.push(p.cluster.to_string());
                row.push(
                    p.last_run
                        .as_ref()
                        .map_or_else(|| "-".to_owned(), ToString::to_string),
                );
                row.push(p.allows.clone());
            }
            row
        })
        .collect();
    let mut heads = vec!["NAME", "TEAM", "MODE", "STATE", "NEXT", "BLOCKED BY"];
    if out.wide() {
        heads.extend(["CLUSTER", "LAST RUN", "ALLOWS"]);
    }
    table(&heads, &rows)
}

/// `get runs`.
pub fn runs(runs: &[RunView], out: &Out) -> String {
    if runs.is_empty() {
        return "No runs.".to_owned();
    }
    let rows: Vec<_> = runs
        .iter()
        .map(|view| {
            let run = &view.run;
            let mut row = vec![
                run.id.to_string(),
                run.plan.policy.to_string(),
                run.plan.apps.to_string(),
                run.phase.to_string(),
                super::run::kills(run),
                super::run::result(run),
                out.age(run.plan.made_at),
            ];
            if out.wide() {
                row.push(run.plan.mode.to_string());
                row.push(run.digest.short().to_owned());
                row.push(view.healthy.map_or_else(
                    || "-".to_owned(),
                    |h| format!("{h} of {}", run.plan.apps.instances()),
                ));
                row.push(view.waiting.clone().unwrap_or_else(|| "-".to_owned()));
            }
            row
        })
        .collect();
    let mut heads = vec!["RUN", "POLICY", "APP", "PHASE", "KILLS", "VERDICT", "PLANNED"];
    if out.wide() {
        heads.extend(["MODE", "DIGEST", "HEALTHY", "WAITS FOR"]);
    }
    table(&heads, &rows)
}

/// What came back from a command.
pub fn reply(reply: &Reply, out: &Out) -> String {
    match reply {
        Reply::Done(sentence) => clean(sentence),
        Reply::Help => "See: heartbreak --help".to_owned(),
        Reply::Status(view) => status(view, out),
        Reply::Policies(views) => policies(views, out),
        Reply::Runs(views) => runs(views, out),
        Reply::Run(view) => super::run::describe(view, out),
        Reply::Report(report) => match &report.verdict {
            Some(verdict) => clean(&verdict.sentence),
            None => format!("Run {} is not over.", report.run),
        },
        Reply::Plan(view) => super::plan::plan(view, out),
        Reply::Why(view) => super::why::why(view, out),
        Reply::WasItYou(answer) => super::why::was_it_you(answer, out),
        Reply::Timeline(items) => super::why::timeline(items, out),
        Reply::History(past) => super::past::past(past, out),
        Reply::Forecast(ahead) => super::forecast::forecast(ahead, out),
        Reply::Stopped { done, open } => {
            let mut lines = vec![out.pen.paint(Tone::Strong, &clean(done))];
            if open.is_empty() {
                lines.push("Nothing of ours is still open.".to_owned());
            } else {
                lines.push("Still open:".to_owned());
                lines.extend(open.iter().map(|line| format!("  {}", clean(line))));
            }
            lines.join("\n")
        }
    }
}
