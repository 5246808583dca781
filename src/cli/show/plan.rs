//! A plan: what would die, in which order, under which limits, and what the gates say.

use super::{Out, Tone, clean, facts, many, span};
use crate::model::experiment::{ProbeSpec, Role};
use crate::model::plan::Plan;
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
    let what = many(plan.kills(), "task");
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
        ("Digest", digest),
        ("Takes at most", Some(length(plan.longest_from(1)))),
        ("Between steps", Some(format!("{} at least", length(plan.gap)))),
        (
            "Blast radius",
            Some(format!(
                "{}, {} %, {} healthy left, {}",
                many(radius.max_tasks, "task"),
                radius.max_percent,
                radius.min_healthy,
                many(radius.max_apps, "app")
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
        for (index, target) in step.targets.iter().enumerate() {
            let sham = if step.is_sham() { " (sham)" } else { "" };
            let number = if index == 0 {
                format!("{}.", step.number)
            } else {
                String::new()
            };
            text.push_str(&format!(
                "\n  {number:<3} {} on {}{sham}",
                clean(target.task.as_str()),
                clean(&target.host)
            ));
        }
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
