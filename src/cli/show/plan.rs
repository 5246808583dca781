//! A plan: what would die, in which order, under which limits, and what the gates say.

use super::{Out, Tone, clean, facts, many, span};
use crate::model::experiment::{ProbeSpec, Role};
use crate::model::plan::{Plan, Step};
use crate::model::policy::{ApprovalMode, ApprovalRule, Mode};
use crate::model::view::PlanView;
use chrono::TimeDelta;
use std::time::Duration;

/// `plan`.
pub fn plan(view: &PlanView, out: &Out) -> String {
    let mut parts = vec![];
    match &view.plan {
        Some(plan) => {
            parts.push(out.pen.paint(Tone::Strong, &clean(&headline(plan))));
            let digest = view.digest.as_ref().map(|d| d.as_str().to_owned());
            parts.push(body(plan, digest));
        }
        None => {
            let why = view.none.as_deref().unwrap_or("the planner gave no reason");
            parts.push(out.pen.paint(Tone::Strong, &clean(&format!("No plan: {why}"))));
        }
    }
    if let Some(judgement) = &view.judgement {
        let lead = match judgement.first_blocker() {
            Some(first) => format!("The gates say no: {}, {}", first.gate, first.answer.why()),
            None if judgement.passes() => "Every gate says yes.".to_owned(),
            None => "The gates have not all answered, which counts as no.".to_owned(),
        };
        parts.push(format!(
            "{}\n{}",
            clean(&lead),
            super::why::gates(&judgement.answers, out.pen)
        ));
    }
    let left_out = super::why::left_out(&view.left_out, out);
    if !left_out.is_empty() {
        parts.push(left_out.join("\n"));
    }
    parts.push("Nothing was changed.".to_owned());
    parts.join("\n\n")
}

/// What a plan does, in one sentence.
pub fn headline(plan: &Plan) -> String {
    let mut what = many(plan.kills(), "task");
    if let Some(outage) = &plan.outage {
        what.push_str(&format!(" on {outage}"));
    }
    match plan.mode {
        Mode::Enforce => format!(
            "Kills {what} of {}, {} of {} healthy.",
            plan.apps,
            plan.apps.healthy(),
            plan.apps.instances()
        ),
        Mode::Rehearse => format!("Rehearses killing {what} of {}; nothing is killed.", plan.apps),
        Mode::Off => format!("The policy is off; would be {what} of {}.", plan.apps),
    }
}

/// Steps, limits, probes, approval.
pub fn body(plan: &Plan, digest: Option<String>) -> String {
    let radius = &plan.blast_radius;
    let mut text = facts(&[
        ("Policy", Some(format!("{} (team {})", plan.policy, plan.team))),
        ("Cluster", Some(plan.cluster.to_string())),
        ("Mode", Some(plan.mode.to_string())),
        ("Apps", plan.apps.are_several().then(|| served(plan))),
        ("Digest", digest),
        ("Takes at most", Some(length(plan.longest_from(1)))),
        ("Between steps", Some(format!("{} at least", length(plan.gap)))),
        (
            "Blast radius",
            Some(format!(
                "{}, {} %, {} healthy left, {}{}",
                many(radius.max_tasks, "task"),
                radius.max_percent,
                radius.min_healthy,
                many(radius.max_apps, "app"),
                radius
                    .max_tasks_in_all
                    .map_or_else(String::new, |n| format!(", {} in all", many(n, "task")))
            )),
        ),
        (
            "Rate",
            Some(format!(
                "{} per {}, {} at once",
                many(plan.rate_limit.kills, "kill"),
                length(plan.rate_limit.per),
                plan.rate_limit.burst
            )),
        ),
        ("Approval", Some(approval(&plan.approval))),
    ]);
    text.push_str("\nSteps:");
    if plan.shams() > 0 {
        text.push_str(" each kill has its sham, which does everything but the kill");
    }
    for step in &plan.steps {
        text.push_str(&steps(plan, step));
    }
    text.push_str("\nMust stay true:");
    for spec in &plan.hypothesis.probes {
        text.push_str(&format!("\n  {}", clean(&probe(spec))));
    }
    if plan.hypothesis.probes.is_empty() {
        text.push_str("\n  nothing: no probe watches this");
    }
    for remark in &plan.remarks {
        text.push_str(&format!("\nNote: {}", clean(remark)));
    }
    text
}

/// Each app with what of it served when planned.
fn served(plan: &Plan) -> String {
    let each = plan
        .apps
        .iter()
        .map(|a| format!("{} ({} of {} healthy)", a.app, a.healthy, a.instances));
    each.collect::<Vec<_>>().join(", ")
}

/// One step: its tasks, and where several apps are hit, each group of them under its agent and app.
fn steps(plan: &Plan, step: &Step) -> String {
    let mut text = String::new();
    let sham = if step.is_sham() { " (sham)" } else { "" };
    let mut number = format!("{}.", step.number);
    for group in step.groups() {
        let Some(first) = group.first() else { continue };
        if plan.outage.is_some() {
            let agent = first
                .agent
                .as_ref()
                .map_or_else(String::new, |id| format!(", agent {id}"));
            let head = format!("{}{agent}: {}", first.host, first.app);
            text.push_str(&format!("\n  {number:<3} {}", clean(&head)));
            number.clear();
        }
        for target in group {
            text.push_str(&match plan.outage {
                Some(_) => format!("\n        {}", clean(target.task.as_str())),
                None => format!(
                    "\n  {number:<3} {} on {}{sham}",
                    clean(target.task.as_str()),
                    clean(&target.host)
                ),
            });
            number.clear();
        }
    }
    text
}

fn probe(spec: &ProbeSpec) -> String {
    let role = match spec.role {
        Role::Abort => "aborts",
        Role::Verdict => "for the verdict only",
        Role::Observe => "only drawn",
    };
    let good = spec.value.as_ref().map(|rule| format!(", good is {rule}"));
    format!(
        "{}: at most {} bad, {role} ({} {}{})",
        spec.name,
        spec.max,
        spec.source.kind(),
        spec.source,
        good.unwrap_or_default()
    )
}

fn approval(rule: &ApprovalRule) -> String {
    match rule.mode {
        ApprovalMode::Automatic => "none needed; the run is announced".to_owned(),
        ApprovalMode::Required => {
            let people = rule.users.iter().map(ToString::to_string);
            let who: Vec<String> = people
                .chain(rule.groups.iter().map(|g| format!("group {g}")))
                .collect();
            let who = if who.is_empty() {
                "nobody: it can never be approved".to_owned()
            } else {
                who.join(", ")
            };
            format!("{} of {who}; stands {}", rule.quorum, length(rule.expires))
        }
    }
}

fn length(duration: Duration) -> String {
    TimeDelta::from_std(duration).map_or_else(|_| "for ever".to_owned(), span)
}
