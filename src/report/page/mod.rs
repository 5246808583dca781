//! What a report contains, as a plain document: headings, sentences, facts, tables. How it looks is
//! for `markdown` and `html`.
//!
//! `planned` speaks of what was to happen, `done` of what was decided and sent, `measured` of what came
//! of it, `felt` of what users felt of each kill, `speed` of how fast it stopped.

mod done;
mod felt;
mod measured;
mod planned;
mod speed;

pub(super) use speed::first_bad_sample;

use super::each_task;
use super::words::some;
use crate::model::experiment::Control;
use crate::model::report::Report;
use crate::model::verdict::{HypothesisResult, Outcome};
use done::{gates, gates_in_a_line, requests, requests_in_a_line};
use felt::{felt, moments};
use measured::{differences, harm, recoveries};
use planned::{hypothesis, people, plan, plan_in_a_line};
use speed::speed;

/// A whole report.
pub(super) struct Page {
    pub(super) title: String,
    pub(super) mark: Mark,
    /// `Held`, `Disproved · aborted (limit)`.
    pub(super) badge: String,
    /// The verdict's sentence.
    pub(super) sentence: String,
    /// `Stayed within limits: …` and `Caused by the kill: …`.
    pub(super) lines: Vec<String>,
    pub(super) sections: Vec<Section>,
    pub(super) footer: String,
}

/// How the verdict is coloured and which shape goes with the colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Good,
    Bad,
    Unsure,
    Nothing,
}

pub(super) struct Section {
    pub(super) title: &'static str,
    /// What stands for it in a page that can be folded, where the rest is for those who want to know it
    /// exactly; `None` for what everybody has to see.
    pub(super) folded: Option<String>,
    pub(super) blocks: Vec<Block>,
}

impl Section {
    fn open(title: &'static str, blocks: Vec<Block>) -> Self {
        Self {
            title,
            folded: None,
            blocks,
        }
    }
}

pub(super) enum Block {
    /// A sentence.
    Text(String),
    /// A sentence that must not be overlooked.
    Strong(String),
    Facts(Vec<(&'static str, Cell)>),
    List(Vec<String>),
    Table(Table),
    /// The chart.
    Chart {
        /// What it shows, for those who can't see it.
        words: String,
        /// What to say where only a part of it fits on the screen.
        hint: String,
    },
}

pub(super) struct Table {
    pub(super) head: Vec<&'static str>,
    pub(super) rows: Vec<Vec<Cell>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    Text(String),
    /// An id, a digest, an address: to be copied.
    Code(String),
    /// A gate's answer or another yes, no or unknown, with its colour.
    Word(Mark, String),
}

fn text(text: impl Into<String>) -> Cell {
    Cell::Text(text.into())
}

fn code(text: impl Into<String>) -> Cell {
    Cell::Code(text.into())
}

/// Everything that is said about a run.
pub(super) fn of(report: &Report) -> Page {
    let (mark, badge) = badge(report);
    let (sentence, lines) = match &report.verdict {
        Some(verdict) => (verdict.sentence.clone(), verdict.lines.clone()),
        None => (
            "The run is still open: there is no verdict yet, and the numbers below will change.".into(),
            vec![],
        ),
    };
    // How it is watched belongs to what was planned; what is claimed stands for itself.
    let (watching, claim): (Vec<_>, Vec<_>) = hypothesis(report)
        .into_iter()
        .partition(|block| matches!(block, Block::Facts(_)));
    let mut sections = vec![
        Section::open("Speed of stopping", speed(report)),
        Section::open("What happened", happened(report)),
        Section::open(
            "Recovery of each kill",
            recoveries(report).into_iter().chain(felt(report)).collect(),
        ),
        Section::open("Harm", harm(report)),
        Section::open(compared(report), differences(report)),
        Section::open("What this run could not have seen", blind_spots(report)),
        Section::open("Hypothesis and limits", claim),
        Section::open("Who asked and who approved", people(report)),
        Section {
            title: "Plan",
            folded: Some(plan_in_a_line(report)),
            blocks: plan(report).into_iter().chain(watching).collect(),
        },
        Section {
            title: "Moments of each kill",
            folded: Some("from the kill to each stage, and who said so".into()),
            blocks: moments(report),
        },
        Section {
            title: "Kill requests",
            folded: Some(requests_in_a_line(report)),
            blocks: requests(report),
        },
        Section {
            title: "Gates",
            folded: Some(gates_in_a_line(report)),
            blocks: gates(report),
        },
    ];
    sections.retain(|section| !section.blocks.is_empty());
    Page {
        title: format!("{} · {}", report.run, report.plan.apps),
        mark,
        badge,
        sentence,
        lines,
        sections,
        footer: format!(
            "{} · heartbreak {} · every number on this page is in report.json · times are UTC",
            report.schema, report.operator
        ),
    }
}

/// What the design compares.
fn compared(report: &Report) -> &'static str {
    match report.plan.hypothesis.control {
        Control::BeforeAfter | Control::Reference { .. } => "Before and after",
        Control::Sham { .. } => "Kills against shams",
        Control::Parallel { .. } => "The app that was hit against the one left alone",
    }
}

fn badge(report: &Report) -> (Mark, String) {
    let Some(verdict) = &report.verdict else {
        return (Mark::Nothing, "Open".into());
    };
    let (mark, word) = match verdict.hypothesis {
        HypothesisResult::Held => (Mark::Good, "Held"),
        HypothesisResult::Disproved => (Mark::Bad, "Disproved"),
        HypothesisResult::Inconclusive => (Mark::Unsure, "Inconclusive"),
        HypothesisResult::NotTested => (Mark::Nothing, "Not tested"),
    };
    let end = match (verdict.outcome, verdict.reason.as_str()) {
        (Outcome::Completed, _) => String::new(),
        (outcome, "") => format!(" · {outcome}"),
        (outcome, reason) => format!(" · {outcome} ({reason})"),
    };
    (mark, format!("{word}{end}"))
}

/// The chart, and before it what its rows of single tasks are not.
fn happened(report: &Report) -> Vec<Block> {
    let killed = report.intents.iter().any(|intent| !intent.sham);
    let asked = killed && !each_task::rows(report).is_empty();
    let caveat = asked.then(|| Block::Text(each_task::CAVEAT.into()));
    caveat
        .into_iter()
        .chain([Block::Chart {
            words: chart_in_words(report),
            hint: chart_hint(report),
        }])
        .collect()
}

/// A small screen shows the beginning, and the abort is rarely there.
fn chart_hint(report: &Report) -> String {
    let abort = report.abort.as_ref().map(|aborted| {
        let at = aborted.at.format("%H:%M:%S");
        format!("; the abort is at {at} UTC")
    });
    format!(
        "Wider than this screen: scroll it sideways{}.",
        abort.unwrap_or_default()
    )
}

fn chart_in_words(report: &Report) -> String {
    let kills = report.intents.iter().filter(|i| !i.sham).count() as u64;
    format!(
        "Bad share of every probe with its limit, tasks that serve, evidence for an abort, and {} of {} on one time axis.",
        some(kills, "kill", "kills"),
        report.plan.apps
    )
}

fn blind_spots(report: &Report) -> Vec<Block> {
    let Some(verdict) = &report.verdict else {
        return vec![];
    };
    let mut blocks = vec![];
    if !verdict.limits.is_empty() {
        blocks.push(Block::List(verdict.limits.clone()));
    }
    if !verdict.design.is_empty() {
        blocks.push(Block::Facts(vec![("Design", text(&verdict.design))]));
    }
    if !verdict.about_design.is_empty() {
        blocks.push(Block::Text(verdict.about_design.clone()));
    }
    blocks
}
