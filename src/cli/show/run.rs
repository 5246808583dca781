//! One run, whole; its progress in a line; how it ended.

use super::{Out, Tone, clean, facts, span};
use crate::model::policy::Mode;
use crate::model::run::{Intent, IntentState, Run};
use crate::model::verdict::{HypothesisResult, Verdict};
use crate::model::view::RunView;

/// `1 of 2`: tasks that were asked to die, of those planned.
pub fn kills(run: &Run) -> String {
    let sent: usize = run
        .intents
        .iter()
        .filter(|i| !i.sham && was_sent(i))
        .map(|i| i.targets.len())
        .sum();
    format!("{sent} of {}", run.plan.kills())
}

/// Whether a byte may have left for it.
fn was_sent(intent: &Intent) -> bool {
    !matches!(intent.state, IntentState::NotSent { .. })
}

/// The verdict in two words; a dash while the run is open.
pub fn result(run: &Run) -> String {
    run.verdict
        .as_ref()
        .map_or_else(|| "-".to_owned(), |v| format!("{}, {}", v.outcome, v.hypothesis))
}

/// Where a run is, in one line without colours: printed whenever it changes.
pub fn progress(view: &RunView) -> String {
    let run = &view.run;
    let mut parts = vec![
        format!("{} {}", run.id, run.phase),
        format!("kills {}", kills(run)),
    ];
    if let Some(healthy) = view.healthy {
        parts.push(format!("healthy {healthy} of {}", run.plan.apps.instances()));
    }
    if let Some(percent) = view.evidence_percent {
        parts.push(format!("evidence {percent} %"));
    }
    if let Some(percent) = view.difference_percent {
        parts.push(format!("difference {percent} %"));
    }
    if let Some(waiting) = &view.waiting {
        parts.push(waiting.clone());
    }
    clean(&parts.join(", "))
}

/// How a run ended, with where its report is.
pub fn ending(view: &RunView, out: &Out) -> String {
    let mut lines = match &view.run.verdict {
        Some(verdict) => verdict_lines(verdict, out),
        None => vec![format!("Run {} has no verdict.", view.run.id)],
    };
    lines.extend(
        view.reports
            .iter()
            .map(|place| format!("Report: {}", clean(place))),
    );
    lines.join("\n")
}

fn verdict_lines(verdict: &Verdict, out: &Out) -> Vec<String> {
    let mut lines = vec![out.pen.paint(Tone::Strong, &clean(&verdict.sentence))];
    lines.extend(verdict.lines.iter().map(|line| clean(line)));
    lines.extend(verdict.differences.iter().map(|d| {
        clean(&format!(
            "  {}: bad {} of {} in control, {} of {} in experiment; {}",
            d.probe, d.control_bad, d.control_observed, d.experiment_bad, d.experiment_observed, d.says
        ))
    }));
    lines.extend((!verdict.about_design.is_empty()).then(|| clean(&verdict.about_design)));
    if verdict.hypothesis != HypothesisResult::NotTested && !verdict.limits.is_empty() {
        lines.push("What this run could not have seen:".to_owned());
        lines.extend(verdict.limits.iter().map(|limit| format!("  • {}", clean(limit))));
    }
    lines
}

/// `describe run`: the whole story, in the order in which it happened.
pub fn describe(view: &RunView, out: &Out) -> String {
    let run = &view.run;
    let asked = run
        .plan
        .requested_by
        .as_ref()
        .map_or_else(|| "the schedule".to_owned(), |p| p.name.clone());
    let mut parts = vec![
        format!(
            "{}\n{}",
            out.pen
                .paint(Tone::Strong, &clean(&format!("Run {}: {}", run.id, run.phase))),
            clean(&super::plan::headline(&run.plan))
        ),
        facts(&[
            ("Planned", Some(out.when(run.plan.made_at))),
            ("Asked by", Some(asked)),
            ("In this phase since", Some(out.when(run.phase_since))),
            ("Waits for", view.waiting.clone()),
            (
                "Healthy now",
                view.healthy
                    .map(|h| format!("{h} of {}", run.plan.apps.instances())),
            ),
            (
                "Evidence",
                view.evidence_percent
                    .map(|p| format!("{p} % of what an abort needs")),
            ),
            (
                "Difference",
                view.difference_percent.map(|p| {
                    format!(
                        "{p} % of what it takes to call the experimental group worse than the control group"
                    )
                }),
            ),
            ("Kills", Some(kills(run))),
            ("Ended", run.ended.map(|at| out.when(at))),
        ]),
        section(
            "Plan",
            super::plan::body(&run.plan, Some(run.digest.as_str().to_owned())),
            out,
        ),
    ];
    let approvals = approvals(run, out);
    if !approvals.is_empty() {
        parts.push(section("Approval", approvals.join("\n"), out));
    }
    if !view.probes.is_empty() {
        let lines: Vec<String> = view.probes.iter().map(|p| format!("  {}", clean(p))).collect();
        parts.push(section("Probes", lines.join("\n"), out));
    }
    if !run.intents.is_empty() {
        let lines: Vec<String> = run
            .intents
            .iter()
            .map(|i| intent(i, run.plan.mode, out))
            .collect();
        parts.push(section("Kills", lines.join("\n"), out));
    }
    if let Some(judged) = &run.judged {
        let title = format!("Gates before step {}, {}", judged.step, out.age(judged.at));
        parts.push(section(&title, super::why::gates(&judged.answers, out.pen), out));
    }
    if let Some(abort) = &run.abort {
        let fence = abort.breach_to_fence_us.map_or_else(String::new, |us| {
            format!(
                "\n  From the breach to the closed fence: {} ms",
                f64::from(u32::try_from(us).unwrap_or(u32::MAX)) / 1000.0
            )
        });
        let line = format!(
            "  {}: {}{}",
            out.when(abort.at),
            clean(&abort.cause.to_string()),
            fence
        );
        parts.push(section("Aborted", line, out));
    }
    if let Some(verdict) = &run.verdict {
        parts.push(section("Verdict", verdict_lines(verdict, out).join("\n"), out));
    }
    if !view.reports.is_empty() {
        let lines: Vec<String> = view.reports.iter().map(|p| format!("  {}", clean(p))).collect();
        parts.push(section("Report", lines.join("\n"), out));
    }
    parts.join("\n\n")
}

fn section(title: &str, body: String, out: &Out) -> String {
    format!("{}\n{body}", out.pen.paint(Tone::Strong, title))
}

fn approvals(run: &Run, out: &Out) -> Vec<String> {
    let mut lines: Vec<String> = run
        .approvals
        .iter()
        .map(|a| {
            format!(
                "  yes by {} through {}, {}, to {}",
                clean(&a.by.name),
                a.by.via,
                out.when(a.at),
                a.digest.short()
            )
        })
        .collect();
    if let Some(denial) = &run.denied {
        lines.push(format!(
            "  NO by {}, {}: {}",
            clean(&denial.by.name),
            out.when(denial.at),
            clean(&denial.reason)
        ));
    }
    if let (Some(expires), None, true) = (run.approval_expires, run.started, run.is_open()) {
        lines.push(format!("  the request ends {}", out.when(expires)));
    }
    lines
}

/// One kill and what became of it.
fn intent(intent: &Intent, mode: Mode, out: &Out) -> String {
    let fate = match &intent.state {
        IntentState::Open => "nothing is known of it yet; counts as a kill".to_owned(),
        IntentState::NotSent { why, .. } => format!("not sent: {why}"),
        IntentState::Acked { at, .. } => {
            format!(
                "Marathon accepted it after {}; still counts as down",
                span(*at - intent.at)
            )
        }
        IntentState::NoEffect { why, .. } => format!("no effect: {why}"),
        IntentState::Ambiguous { why, .. } => format!("unanswered, counts as a kill: {why}"),
        IntentState::Resolved { why, at, .. } => format!("over after {}: {why}", span(*at - intent.at)),
        IntentState::Held { why, .. } => format!("HELD, a person has to look: {why}"),
    };
    let sham = match (intent.sham, mode) {
        (false, _) => "",
        (true, Mode::Enforce) => " (sham: nothing is sent)",
        (true, Mode::Rehearse | Mode::Off) => " (rehearsed)",
    };
    let mut lines = vec![format!(
        "  {}{sham} {}",
        clean(intent.id.as_str()),
        out.when(intent.at)
    )];
    lines.extend(
        intent
            .targets
            .iter()
            .map(|t| format!("    {} on {}", clean(t.task.as_str()), clean(&t.host))),
    );
    lines.push(format!("    {}", clean(&fate)));
    lines.join("\n")
}
