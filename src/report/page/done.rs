//! What was decided and sent: kill requests and the gates' answers.

use super::{Block, Cell, Mark, Table, code, text};
use crate::model::gate::Judgement;
use crate::model::ids::TaskId;
use crate::model::policy::Mode;
use crate::model::report::Report;
use crate::model::run::IntentState;
use crate::report::words::{clock, some};
use std::collections::{BTreeMap, BTreeSet};

/// What became of the requests; those that are not proven over are told apart.
pub(super) fn requests_in_a_line(report: &Report) -> String {
    let (shams, kills): (Vec<_>, Vec<_>) = report.intents.iter().partition(|i| i.sham);
    let mut said = vec![match kills.len() as u64 {
        0 => "none was sent".to_owned(),
        n => format!("{}, each written at most once", some(n, "request", "requests")),
    }];
    let states: BTreeSet<_> = kills.iter().map(|i| i.state.word()).collect();
    said.extend(states.into_iter().map(|word| {
        let so = kills.iter().filter(|i| i.state.word() == word).count();
        match word {
            "resolved" => format!("{so} whole again"),
            word => format!("{so} {word}"),
        }
    }));
    let steps = shams.len() as u64;
    said.extend((steps > 0).then(|| match report.plan.mode {
        Mode::Enforce => some(steps, "sham", "shams"),
        _ => some(steps, "rehearsed step", "rehearsed steps"),
    }));
    said.join(", ")
}

pub(super) fn requests(report: &Report) -> Vec<Block> {
    if report.intents.is_empty() {
        return vec![Block::Text("None was decided on, so none was sent.".into())];
    }
    let rows = report
        .intents
        .iter()
        .map(|i| {
            let tasks: Vec<_> = i.targets.iter().map(|t| t.task.as_str()).collect();
            let (mark, known) = state(&i.state);
            let known = if i.sham && report.plan.mode == Mode::Enforce {
                "sham: nothing was sent".into()
            } else if i.sham {
                "rehearsed: nothing was sent".into()
            } else {
                known
            };
            vec![
                code(i.id.as_str()),
                text(clock(i.at)),
                text(clock(i.deadline)),
                code(tasks.join(" ")),
                Cell::Word(if i.sham { Mark::Nothing } else { mark }, known),
            ]
        })
        .collect();
    vec![
        Block::Table(Table {
            head: vec![
                "Intent",
                "Durable at (UTC)",
                "Not sent after",
                "Asked to die",
                "What is known",
            ],
            rows,
        }),
        Block::Text(
            "Each request carried its intent as the header X-Heartbreak-Intent and was written at most once."
                .into(),
        ),
    ]
}

fn state(state: &IntentState) -> (Mark, String) {
    let ids = |tasks: &[TaskId]| {
        tasks
            .iter()
            .map(|t| t.as_str().to_owned())
            .collect::<Vec<_>>()
            .join(" ")
    };
    match state {
        IntentState::Open => (Mark::Unsure, "open: nothing is known; counts as a kill".into()),
        IntentState::NotSent { why, at } => (Mark::Nothing, format!("not sent ({}): {why}", clock(*at))),
        IntentState::Acked { tasks, at } => (
            Mark::Unsure,
            format!("answered {} with {}; not yet whole again", clock(*at), ids(tasks)),
        ),
        IntentState::NoEffect { why, at } => (Mark::Nothing, format!("no effect ({}): {why}", clock(*at))),
        IntentState::Ambiguous { why, at } => (
            Mark::Unsure,
            format!("ambiguous since {}: {why}; counts as a kill", clock(*at)),
        ),
        IntentState::Resolved { why, at, tasks } if tasks.is_empty() => {
            (Mark::Good, format!("whole again at {}: {why}", clock(*at)))
        }
        IntentState::Resolved { why, at, tasks } => (
            Mark::Good,
            format!("killed {}; whole again at {}: {why}", ids(tasks), clock(*at)),
        ),
        IntentState::Held { why, at } => (
            Mark::Bad,
            format!("held since {}: {why}; a person has to look", clock(*at)),
        ),
    }
}

/// What the gates said before each step, whoever said no by name.
pub(super) fn gates_in_a_line(report: &Report) -> String {
    let mut last: BTreeMap<u32, &Judgement> = BTreeMap::new();
    last.extend(report.judgements.iter().map(|j| (j.step, j)));
    let (yes, no): (Vec<&Judgement>, Vec<&Judgement>) = last.values().partition(|j| j.passes());
    let mut said: Vec<String> = no
        .into_iter()
        .flat_map(|j| j.blockers().map(move |b| (j.step, b)))
        .map(|(step, b)| {
            format!(
                "{} said {} before step {step} ({})",
                b.gate,
                b.answer.word(),
                b.answer.why()
            )
        })
        .collect();
    said.extend(yes.first().map(|j| {
        let steps = some(yes.len() as u64, "step", "steps");
        format!("all {} said yes before {steps}", j.answers.len())
    }));
    match said.is_empty() {
        true => "they were never asked".into(),
        false => said.join("; "),
    }
}

pub(super) fn gates(report: &Report) -> Vec<Block> {
    if report.judgements.is_empty() {
        return vec![Block::Text("The gates were never asked.".into())];
    }
    let mut steps: Vec<u32> = report.judgements.iter().map(|j| j.step).collect();
    steps.sort_unstable();
    steps.dedup();
    let mut blocks = vec![];
    for step in steps {
        let of_step: Vec<&Judgement> = report.judgements.iter().filter(|j| j.step == step).collect();
        let Some((last, earlier)) = of_step.split_last() else {
            continue;
        };
        let passed = if last.passes() {
            "every gate said yes"
        } else {
            "not every gate said yes"
        };
        blocks.push(Block::Strong(format!(
            "Step {step}, asked last at {} UTC: {passed}.",
            clock(last.at)
        )));
        if let Some(summary) = earlier_judgements(earlier) {
            blocks.push(Block::Text(summary));
        }
        blocks.push(Block::Table(Table {
            head: vec!["Gate", "Answer", "Why"],
            rows: last
                .answers
                .iter()
                .map(|a| {
                    let mark = match a.answer.word() {
                        "pass" => Mark::Good,
                        "refuse" => Mark::Bad,
                        _ => Mark::Unsure,
                    };
                    vec![
                        text(a.gate.word()),
                        Cell::Word(mark, a.answer.word().into()),
                        text(a.answer.why()),
                    ]
                })
                .collect(),
        }));
    }
    blocks
}

/// `Asked 12 times before, from … to …: 3 times yes; no from window 5 times, …`
fn earlier_judgements(earlier: &[&Judgement]) -> Option<String> {
    let (first, last) = (earlier.first()?, earlier.last()?);
    let yes = earlier.iter().filter(|j| j.passes()).count() as u64;
    let mut by_gate: Vec<(&'static str, u64)> = vec![];
    for blocker in earlier.iter().flat_map(|j| j.blockers()) {
        let word = blocker.gate.word();
        match by_gate.iter_mut().find(|(gate, _)| *gate == word) {
            Some((_, n)) => *n += 1,
            None => by_gate.push((word, 1)),
        }
    }
    by_gate.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    let no: Vec<_> = by_gate
        .iter()
        .map(|(gate, n)| format!("{gate} ({})", some(*n, "time", "times")))
        .collect();
    Some(format!(
        "Asked {} before, from {} to {} UTC: {} yes{}.",
        some(earlier.len() as u64, "time", "times"),
        clock(first.at),
        clock(last.at),
        some(yes, "time", "times"),
        if no.is_empty() {
            String::new()
        } else {
            format!("; no or unknown from {}", no.join(", "))
        }
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn what_is_folded_says_first_what_did_not_go_as_planned() {
        let (held, disproved) = (sample::held(), sample::disproved());
        assert_eq!(gates_in_a_line(&held), "all 16 said yes before 3 steps");
        assert_eq!(
            requests_in_a_line(&held),
            "3 requests, each written at most once, 3 whole again"
        );
        assert_eq!(
            requests_in_a_line(&sample::slots()),
            "5 requests, each written at most once, 5 whole again, 5 shams"
        );
        assert_eq!(
            requests_in_a_line(&disproved),
            "2 requests, each written at most once, 1 acked, 1 whole again"
        );
        assert_eq!(
            gates_in_a_line(&disproved),
            "steady state said refuse before step 3 (cart-edge crossed its limit: the run is being aborted); \
             all 16 said yes before 2 steps"
        );
    }

    #[test]
    fn the_last_judgement_of_a_step_is_whole_and_the_earlier_ones_are_counted() {
        let blocks = gates(&sample::held());
        let tables = blocks.iter().filter_map(|b| match b {
            Block::Table(table) => Some(table.rows.len()),
            _ => None,
        });
        assert_eq!(tables.collect::<Vec<_>>(), [16, 16, 16]);
        let Block::Text(earlier) = &blocks[1] else {
            panic!("the second block counts the earlier ones")
        };
        assert_eq!(
            earlier,
            "Asked 2 times before, from 14:02:43.200 to 14:02:53.200 UTC: 0 times yes; no or unknown from \
             steady state (1 time), outage (1 time)."
        );
    }
}
