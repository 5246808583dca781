//! `/ui/runs/RUN`: what a run was to do, what it did, and what it taught.

use super::html::{Cell, Page, time};
use crate::model::run::Run;
use crate::model::verdict::HypothesisResult;
use crate::model::view::RunView;

/// The page of one run.
pub(super) fn render(view: &RunView) -> String {
    let run = &view.run;
    let mut page = Page::new(&format!("Run {}", run.id), run.is_open());
    page.back();
    match &run.verdict {
        Some(verdict) => {
            let class = match verdict.hypothesis {
                HypothesisResult::Held => "ok",
                HypothesisResult::Disproved => "bad",
                HypothesisResult::Inconclusive => "unsure",
                HypothesisResult::NotTested => "soft",
            };
            page.banner(class, &verdict.sentence);
            for line in &verdict.lines {
                page.line(line);
            }
            page.way(
                &format!("/ui/runs/{}/report", run.id),
                "The whole report, with its chart",
            );
        }
        None => page.banner(
            "soft",
            &match &view.waiting {
                Some(waiting) => format!("Under way ({}): {waiting}", run.phase),
                None => format!("Under way: {}", run.phase),
            },
        ),
    }
    page.facts(facts(view));
    let rows = run.plan.steps.iter().map(|step| {
        let intent = run.intents.iter().find(|i| i.step == step.number);
        let tasks: Vec<String> = step.targets.iter().map(|t| t.task.to_string()).collect();
        vec![
            step.number.to_string().into(),
            (if step.is_sham() { "sham" } else { "kill" }).to_owned().into(),
            tasks.join(", ").into(),
            intent.map_or_else(Cell::nothing, |i| time(i.at).into()),
            intent.map_or_else(Cell::nothing, |i| i.state.word().to_owned().into()),
        ]
    });
    let rows = rows.collect();
    page.table("Steps", &["step", "what", "tasks", "decided", "became"], rows);
    page.done()
}

fn facts(view: &RunView) -> Vec<(&'static str, Cell)> {
    let run = &view.run;
    let mut facts = vec![
        ("Policy", run.plan.policy.to_string().into()),
        ("Cluster", run.plan.cluster.to_string().into()),
        ("App and its history", Cell::apps(&run.plan)),
        ("Design", run.plan.hypothesis.control.label().to_owned().into()),
        (
            "Phase",
            format!("{} since {}", run.phase, time(run.phase_since)).into(),
        ),
        ("Kills", kills(run).into()),
        (
            "Plan",
            run.digest.to_string().chars().take(12).collect::<String>().into(),
        ),
    ];
    let approved: Vec<String> = run.approvals.iter().map(|a| a.by.name.clone()).collect();
    if !approved.is_empty() {
        facts.push(("Approved by", approved.join(", ").into()));
    }
    if let Some(abort) = &run.abort {
        facts.push(("Aborted", format!("{} at {}", abort.cause, time(abort.at)).into()));
    }
    if let Some(healthy) = view.healthy {
        facts.push((
            "Healthy now",
            format!("{healthy} of {}", run.plan.apps.instances()).into(),
        ));
    }
    facts
}

/// `1 of 3`: tasks that were asked to die, of those planned.
pub(super) fn kills(run: &Run) -> String {
    let killed: usize = run
        .intents
        .iter()
        .filter(|i| !i.sham)
        .map(|i| i.targets.len())
        .sum();
    format!("{killed} of {}", run.plan.kills())
}
