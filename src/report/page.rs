//! What a report contains, as a plain document: headings, sentences, facts, tables. How it looks is
//! for `markdown` and `html`.

use super::words::{clock, count, micros, moment, percent, points, seconds, some, source, span};
use crate::model::approval::Approval;
use crate::model::experiment::{AbortCause, ProbeSpec, Reading, Role, Sample};
use crate::model::gate::Judgement;
use crate::model::policy::ApprovalMode;
use crate::model::report::{KillRecovery, Report};
use crate::model::run::{Aborted, Intent, IntentState};
use crate::model::verdict::{HypothesisResult, Outcome};
use chrono::{DateTime, TimeDelta, Utc};

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
    pub(super) blocks: Vec<Block>,
}

pub(super) enum Block {
    /// A sentence.
    Text(String),
    /// A sentence that must not be overlooked.
    Strong(String),
    Facts(Vec<(&'static str, Cell)>),
    List(Vec<String>),
    Table(Table),
    /// The chart, with what it shows for those who can't see it.
    Chart(String),
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
    let mut sections = vec![
        Section {
            title: "Speed of stopping",
            blocks: speed(report),
        },
        Section {
            title: "What happened",
            blocks: vec![Block::Chart(chart_in_words(report))],
        },
        Section {
            title: "Recovery of each kill",
            blocks: recoveries(report),
        },
        Section {
            title: "Harm",
            blocks: harm(report),
        },
        Section {
            title: "Before and after",
            blocks: differences(report),
        },
        Section {
            title: "Hypothesis and limits",
            blocks: hypothesis(report),
        },
        Section {
            title: "Plan",
            blocks: plan(report),
        },
        Section {
            title: "Who asked and who approved",
            blocks: people(report),
        },
        Section {
            title: "Kill requests",
            blocks: requests(report),
        },
        Section {
            title: "Gates",
            blocks: gates(report),
        },
        Section {
            title: "What this run could not have seen",
            blocks: blind_spots(report),
        },
    ];
    sections.retain(|section| !section.blocks.is_empty());
    Page {
        title: format!("{} · {}", report.run, report.plan.app),
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

/// The sample with which the breach began: the one from which on, up to the abort, the bad
/// observations exceed the limit by most.
///
/// A single bad sample long before, followed by clean ones, is not the beginning of anything; one that
/// is never made up for is. Looks at the probe that stopped the run, or at every abort probe when the
/// budget did. `None` when no sample was the cause.
pub(super) fn first_bad_sample<'a>(report: &'a Report, aborted: &Aborted) -> Option<&'a Sample> {
    let culprit = match &aborted.cause {
        AbortCause::Limit { probe, .. } | AbortCause::Hard { probe, .. } => Some(probe),
        AbortCause::Budget { .. } => None,
        _ => return None,
    };
    let armed = report.intents.iter().map(|i| i.at).min()?;
    let (mut excess, mut worst, mut first) = (0.0, 0.0, None);
    for sample in report
        .samples
        .iter()
        .rev()
        .filter(|s| s.at >= armed && s.at <= aborted.at)
    {
        let Reading::Seen { observed, bad, .. } = sample.reading else {
            continue;
        };
        let mut watched = report.plan.hypothesis.abort_probes();
        let Some(probe) = watched.find(|p| p.name == sample.probe && culprit.is_none_or(|c| *c == p.name))
        else {
            continue;
        };
        excess += f64::from(bad) - probe.max.as_f64() * f64::from(observed);
        if excess > worst {
            (worst, first) = (excess, Some(sample));
        }
    }
    first
}

/// When an intent could have its last effect, as far as the record shows.
enum Effect {
    /// It had none and can have none.
    Never,
    /// Not after this.
    Until(DateTime<Utc>),
    /// Nothing in the record bounds it.
    Unbounded,
}

fn effect(report: &Report, intent: &Intent) -> Effect {
    let gone = report
        .recoveries
        .iter()
        .find(|r| r.step == intent.step)
        .and_then(|r| r.gone);
    match &intent.state {
        _ if intent.sham => Effect::Never,
        IntentState::NotSent { .. } | IntentState::NoEffect { .. } => Effect::Never,
        IntentState::Resolved { at, .. } => Effect::Until(gone.unwrap_or(*at)),
        IntentState::Acked { .. } => gone.map_or(Effect::Unbounded, Effect::Until),
        // The victim may have died by itself: only proof bounds these (`reliability` §1.4).
        IntentState::Open | IntentState::Ambiguous { .. } | IntentState::Held { .. } => Effect::Unbounded,
    }
}

fn speed(report: &Report) -> Vec<Block> {
    let Some(aborted) = &report.abort else {
        let text = if report.intents.iter().all(|i| i.sham) {
            "Nothing was killed, so nothing had to be stopped."
        } else {
            "Nothing breached, so nothing had to be stopped."
        };
        return vec![Block::Text(text.into()), Block::Facts(vec![after_breach(report)])];
    };
    let unbounded: Vec<_> = report
        .intents
        .iter()
        .filter(|i| matches!(effect(report, i), Effect::Unbounded))
        .map(|i| i.id.to_string())
        .collect();
    let last = report
        .intents
        .iter()
        .filter_map(|i| match effect(report, i) {
            Effect::Until(at) => Some(at),
            Effect::Never | Effect::Unbounded => None,
        })
        .chain([aborted.at])
        .max()
        .unwrap_or(aborted.at);
    let bad = first_bad_sample(report, aborted);
    let mut blocks = vec![Block::Strong(match (bad, unbounded.is_empty()) {
        (Some(bad), true) => format!(
            "{} from the first bad sample to the last moment a kill of ours could take effect.",
            seconds(last - bad.at)
        ),
        (None, true) => format!(
            "{} from the abort to the last moment a kill of ours could take effect.",
            seconds(last - aborted.at)
        ),
        (_, false) => format!(
            "Not bounded by what was seen: {} may still take effect. Its app counts as hit until that is settled.",
            unbounded.join(", ")
        ),
    })];
    let mut facts = vec![("Aborted because", text(aborted.cause.to_string()))];
    if let Some(bad) = bad {
        facts.push((
            "First bad sample",
            text(format!("{} UTC (probe {})", clock(bad.at), bad.probe)),
        ));
    }
    facts.push(("Abort journalled", text(format!("{} UTC", clock(aborted.at)))));
    if unbounded.is_empty() {
        facts.push((
            "Last possible effect of a kill",
            text(format!("{} UTC", clock(last))),
        ));
    }
    facts.push((
        "Breach to closed fence",
        text(match aborted.breach_to_fence_us {
            Some(us) => format!(
                "{} inside the process, then no kill request can leave",
                micros(us)
            ),
            None => "not measured: no sample was the cause".into(),
        }),
    ));
    facts.push(after_breach(report));
    blocks.push(Block::Facts(facts));
    blocks
}

fn after_breach(report: &Report) -> (&'static str, Cell) {
    let n = report.kills_after_breach;
    (
        "Kill requests after the breach",
        Cell::Word(if n == 0 { Mark::Good } else { Mark::Bad }, n.to_string()),
    )
}

fn chart_in_words(report: &Report) -> String {
    let kills = report.intents.iter().filter(|i| !i.sham).count() as u64;
    format!(
        "Bad share of every probe with its limit, tasks that serve, evidence for an abort, and {} of {} on one time axis.",
        some(kills, "kill", "kills"),
        report.plan.app
    )
}

/// How long a stage took, or for how long at least it was not reached.
fn stage(report: &Report, recovery: &KillRecovery, reached: Option<DateTime<Utc>>) -> Cell {
    match (reached, report.ended) {
        (Some(at), _) => text(seconds(at - recovery.killed)),
        (None, Some(ended)) if ended > recovery.killed => {
            Cell::Word(Mark::Unsure, format!("> {}", seconds(ended - recovery.killed)))
        }
        (None, _) => Cell::Word(Mark::Unsure, "not seen".into()),
    }
}

/// What became of the kills that were real; a rehearsal has nothing to recover from.
fn real_recoveries(report: &Report) -> impl Iterator<Item = &KillRecovery> {
    report
        .recoveries
        .iter()
        .filter(|r| !report.intents.iter().any(|i| i.step == r.step && i.sham))
}

/// Median and worst of one stage; a censored value is longer than any that was seen.
fn summary(report: &Report, pick: fn(&KillRecovery) -> Option<DateTime<Utc>>) -> Option<String> {
    let mut times: Vec<(bool, TimeDelta)> = real_recoveries(report)
        .map(|r| match pick(r) {
            Some(at) => (false, at - r.killed),
            None => (true, report.ended.unwrap_or(r.killed) - r.killed),
        })
        .collect();
    times.sort();
    let say = |(censored, time): &(bool, TimeDelta)| match (censored, report.ended) {
        (false, _) => seconds(*time),
        (true, Some(_)) => format!("> {}", seconds(*time)),
        (true, None) => "not seen yet".into(),
    };
    Some(format!(
        "median {}, worst {}",
        say(times.get((times.len().max(1) - 1) / 2)?),
        say(times.last()?)
    ))
}

fn recoveries(report: &Report) -> Vec<Block> {
    let rows: Vec<_> = real_recoveries(report)
        .map(|r| {
            let victims = report.plan.step(r.step).map_or(0, |s| s.targets.len());
            vec![
                text(r.step.to_string()),
                text(clock(r.killed)),
                text(victims.to_string()),
                stage(report, r, r.gone),
                stage(report, r, r.running),
                stage(report, r, r.capacity),
                stage(report, r, r.steady),
            ]
        })
        .collect();
    if rows.is_empty() {
        let why = match report.intents.as_slice() {
            [] => "No kill was made.",
            intents if intents.iter().all(|i| i.sham) => {
                "A rehearsal: nothing was killed, so there was nothing to recover from."
            }
            _ => "No recovery was recorded: no kill is known to have taken effect.",
        };
        return vec![Block::Text(why.into())];
    }
    let mut blocks = vec![];
    if let Some(capacity) = summary(report, |r| r.capacity) {
        blocks.push(Block::Strong(format!("Capacity restored: {capacity}.")));
    }
    if let Some(steady) = summary(report, |r| r.steady) {
        blocks.push(Block::Text(format!("Steady again: {steady}.")));
    }
    blocks.push(Block::Table(Table {
        head: vec![
            "Step",
            "Killed (UTC)",
            "Tasks",
            "Gone",
            "Replacement runs",
            "Capacity restored",
            "Steady again",
        ],
        rows,
    }));
    blocks.push(Block::Text(
        "Times count from the answer to the kill request. “> 300 s” means: not reached in the 300 s that were watched."
            .into(),
    ));
    blocks
}

fn harm(report: &Report) -> Vec<Block> {
    if report.harm.is_empty() {
        return vec![Block::Text(
            "Nothing was counted: the run was never armed.".into(),
        )];
    }
    let rows = report
        .harm
        .iter()
        .map(|h| {
            let share = if h.observed == 0 {
                "–".into()
            } else {
                percent(h.bad as f64 / h.observed as f64)
            };
            vec![
                code(h.probe.as_str()),
                text(count(h.bad)),
                text(count(h.observed)),
                text(share),
                text(percent(h.worst)),
                text(count(h.blind)),
            ]
        })
        .collect();
    vec![
        Block::Table(Table {
            head: vec![
                "Probe",
                "Bad",
                "Observed",
                "Bad share",
                "Worst sample",
                "Samples without an answer",
            ],
            rows,
        }),
        Block::Text("Counted from the first kill to the end of recovery, whatever the cause.".into()),
    ]
}

fn differences(report: &Report) -> Vec<Block> {
    let Some(verdict) = &report.verdict else {
        return vec![];
    };
    if verdict.differences.is_empty() {
        return vec![];
    }
    let side = |bad: u64, observed: u64| match observed {
        0 => text("nothing observed"),
        _ => text(format!(
            "{} ({} of {})",
            percent(bad as f64 / observed as f64),
            count(bad),
            count(observed)
        )),
    };
    let rows = verdict
        .differences
        .iter()
        .map(|d| {
            let mark = match d.says {
                HypothesisResult::Held => Mark::Good,
                HypothesisResult::Disproved => Mark::Bad,
                HypothesisResult::Inconclusive => Mark::Unsure,
                HypothesisResult::NotTested => Mark::Nothing,
            };
            vec![
                code(d.probe.as_str()),
                side(d.before_bad, d.before_observed),
                side(d.after_bad, d.after_observed),
                text(points(d.difference)),
                text(format!("{} to {}", points(d.low), points(d.high))),
                text(points(d.margin)),
                Cell::Word(mark, d.says.to_string()),
            ]
        })
        .collect();
    vec![Block::Table(Table {
        head: vec![
            "Probe",
            "Before the first kill",
            "After it",
            "Difference",
            "95 % sure within",
            "Tolerated",
            "Says",
        ],
        rows,
    })]
}

fn hypothesis(report: &Report) -> Vec<Block> {
    let h = &report.plan.hypothesis;
    let rows = h
        .probes
        .iter()
        .map(|p| {
            vec![
                code(p.name.as_str()),
                text(role(p)),
                text(source(p)),
                text(format!("{} bad", p.max)),
                text(p.hard.to_string()),
                text(p.dip.map_or_else(
                    || "none".into(),
                    |d| format!("{} for {} after a kill", d.max, span(d.lasts)),
                )),
            ]
        })
        .collect();
    let mut facts = vec![
        (
            "Sampled every",
            text(format!(
                "{} (given up after {})",
                span(h.interval),
                span(h.timeout)
            )),
        ),
        (
            "Before the first kill",
            text(format!(
                "steady for {}, given up after {}",
                span(h.baseline.at_least),
                span(h.baseline.at_most)
            )),
        ),
        (
            "Recovered means",
            text(format!(
                "as many tasks as before and steady for {}, within {}",
                span(h.recovery.hold),
                span(h.recovery.within)
            )),
        ),
        (
            "Samples without an answer",
            text(format!(
                "no kill after {}, abort after {} in a row",
                h.blind.hold_fire_after, h.blind.abort_after
            )),
        ),
        (
            "False abort, at most",
            text(format!("{} of runs, over all abort probes together", h.alpha)),
        ),
    ];
    if let Some(budget) = h.budget {
        facts.push((
            "Budget",
            text(format!("the run ends at {} failed requests", count(budget))),
        ));
    }
    vec![
        Block::Text(format!(
            "{} keeps every limit below while {} of its {} tasks {} killed.",
            report.plan.app,
            report.plan.kills(),
            report.plan.instances,
            if report.plan.kills() == 1 { "is" } else { "are" }
        )),
        Block::Table(Table {
            head: vec!["Probe", "Role", "Looks at", "Limit", "Hard line", "Declared dip"],
            rows,
        }),
        Block::Facts(facts),
    ]
}

fn role(probe: &ProbeSpec) -> &'static str {
    match probe.role {
        Role::Abort => "abort",
        Role::Verdict => "verdict",
        Role::Observe => "observe",
    }
}

fn plan(report: &Report) -> Vec<Block> {
    let p = &report.plan;
    let r = &p.blast_radius;
    let mut blocks = vec![
        Block::Facts(vec![
            ("Digest", code(report.digest.as_str())),
            (
                "Policy",
                text(format!("{} of team {}, mode {}", p.policy, p.team, p.mode)),
            ),
            ("Policy's digest", code(p.policy_digest.as_str())),
            ("Cluster", text(p.cluster.as_str())),
            ("Marathon's framework id", code(&p.framework_id)),
            ("App", text(format!("{}, definition of {}", p.app, p.app_version))),
            (
                "Size when planned",
                text(format!("{} of {} instances served", p.healthy, p.instances)),
            ),
            (
                "Blast radius",
                text(format!(
                    "at most {} and {} % at once, at least {} healthy left, {} at once",
                    some(u64::from(r.max_tasks), "task", "tasks"),
                    r.max_percent,
                    r.min_healthy,
                    some(u64::from(r.max_apps), "app", "apps")
                )),
            ),
            (
                "Rate",
                text(format!(
                    "{} per {}, {} at once",
                    some(u64::from(p.rate_limit.kills), "kill", "kills"),
                    span(p.rate_limit.per),
                    p.rate_limit.burst
                )),
            ),
            (
                "Between two steps",
                text(format!("at least {}, and recovered", span(p.gap))),
            ),
            ("Made", text(moment(p.made_at))),
            (
                "Ended",
                text(report.ended.map_or_else(|| "still open".into(), moment)),
            ),
        ]),
        Block::Table(Table {
            head: vec!["Step", "Task", "Instance", "Host"],
            rows: p
                .steps
                .iter()
                .flat_map(|s| {
                    s.targets.iter().map(|t| {
                        vec![
                            text(s.number.to_string()),
                            code(t.task.as_str()),
                            code(t.instance.as_str()),
                            text(&t.host),
                        ]
                    })
                })
                .collect(),
        }),
    ];
    if p.allow_no_health_check {
        blocks.push(Block::Text(
            "The policy allows an app without health checks: for such an app, running counted as healthy."
                .into(),
        ));
    }
    if !p.remarks.is_empty() {
        blocks.push(Block::List(p.remarks.clone()));
    }
    blocks
}

fn people(report: &Report) -> Vec<Block> {
    let p = &report.plan;
    let asked = match &p.requested_by {
        Some(person) => format!("{} ({}), through {}", person.name, person.id, person.via),
        None => "the schedule".into(),
    };
    let rule = match p.approval.mode {
        ApprovalMode::Automatic => "none needed: the policy approves automatically".into(),
        ApprovalMode::Required => format!(
            "{} for exactly this digest, within {}",
            some(u64::from(p.approval.quorum), "person", "different people"),
            span(p.approval.expires)
        ),
    };
    let mut blocks = vec![Block::Facts(vec![
        ("Asked by", text(asked)),
        ("Approval needed", text(rule)),
    ])];
    if !report.approvals.is_empty() {
        blocks.push(Block::Table(Table {
            head: vec!["Approved by", "Id", "Through", "When", "Digest"],
            rows: report.approvals.iter().map(|a| approval(report, a)).collect(),
        }));
    } else if p.approval.mode == ApprovalMode::Required {
        blocks.push(Block::Text("Nobody approved.".into()));
    }
    if let Some(denial) = &report.denied {
        blocks.push(Block::Strong(format!(
            "Denied by {} ({}) on {}: {}",
            denial.by.name,
            denial.by.id,
            moment(denial.at),
            denial.reason
        )));
    }
    blocks
}

fn approval(report: &Report, approval: &Approval) -> Vec<Cell> {
    let digest = if approval.digest == report.digest {
        Cell::Word(Mark::Good, "this plan's".into())
    } else {
        Cell::Word(Mark::Bad, format!("of another plan: {}", approval.digest.short()))
    };
    let by = &approval.by;
    vec![
        text(&by.name),
        code(by.id.as_str()),
        text(by.via.to_string()),
        text(moment(approval.at)),
        digest,
    ]
}

fn requests(report: &Report) -> Vec<Block> {
    if report.intents.is_empty() {
        return vec![Block::Text("None was decided on, so none was sent.".into())];
    }
    let rows = report
        .intents
        .iter()
        .map(|i| {
            let tasks: Vec<_> = i.targets.iter().map(|t| t.task.as_str()).collect();
            let (mark, known) = state(&i.state);
            let known = if i.sham {
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
                "Durable at",
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
    let ids = |tasks: &[crate::model::ids::TaskId]| {
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

fn gates(report: &Report) -> Vec<Block> {
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
    blocks
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn facts(report: &Report) -> String {
        speed(report)
            .into_iter()
            .map(|block| match block {
                Block::Text(text) | Block::Strong(text) => text,
                _ => String::new(),
            })
            .collect()
    }

    #[test]
    fn one_bad_sample_that_clean_ones_follow_is_not_the_beginning() {
        let report = sample::disproved();
        let aborted = report.abort.clone().unwrap();
        let first = first_bad_sample(&report, &aborted).unwrap();
        assert_eq!(clock(first.at), "14:04:02.000");
        let earlier = report
            .samples
            .iter()
            .filter(|s| s.at >= report.intents[0].at && s.at < first.at && s.probe == first.probe);
        assert!(
            earlier
                .filter_map(|s| s.reading.bad_share())
                .any(|share| share > 0.01),
            "there was one before"
        );
    }

    #[test]
    fn a_person_who_aborts_is_not_a_bad_sample() {
        let report = sample::hostile();
        assert!(first_bad_sample(&report, report.abort.as_ref().unwrap()).is_none());
        assert!(facts(&report).contains("from the abort to the last moment"));
    }

    #[test]
    fn a_victim_that_went_after_the_abort_makes_the_stop_slower() {
        let mut report = sample::disproved();
        report.recoveries[1].gone = report.abort.as_ref().map(|a| a.at + TimeDelta::seconds(4));
        assert!(
            facts(&report).starts_with("9.3 s from the first bad sample"),
            "{}",
            facts(&report)
        );
    }

    #[test]
    fn an_unanswered_request_has_no_bound_even_when_its_victim_is_gone() {
        let mut report = sample::disproved();
        let at = report.intents[1].at;
        report.intents[1].state = IntentState::Ambiguous {
            why: "no answer in 5 s".into(),
            at,
        };
        assert!(
            facts(&report).starts_with("Not bounded by what was seen: r-7Q2MK4XN/2"),
            "{}",
            facts(&report)
        );
    }

    #[test]
    fn what_was_not_reached_is_never_shorter_than_what_was() {
        let report = sample::disproved();
        assert_eq!(
            summary(&report, |r| r.capacity).unwrap(),
            "median 19.4 s, worst > 309 s"
        );
        assert_eq!(summary(&report, |r| r.gone).unwrap(), "median 0.9 s, worst 1.1 s");
        let mut open = report;
        open.ended = None;
        assert_eq!(
            summary(&open, |r| r.capacity).unwrap(),
            "median 19.4 s, worst not seen yet"
        );
        assert_eq!(
            stage(&open, &open.recoveries[1], None),
            Cell::Word(Mark::Unsure, "not seen".into())
        );
    }

    #[test]
    fn a_rehearsal_shows_no_recovery() {
        let blocks = recoveries(&sample::rehearsed());
        assert!(matches!(blocks.as_slice(), [Block::Text(text)] if text.starts_with("A rehearsal")));
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

    #[test]
    fn an_approval_of_another_plan_is_seen() {
        let mut report = sample::held();
        report.approvals[0].digest = "0123456789abcdef".into();
        let cells = approval(&report, &report.approvals[0]);
        assert_eq!(
            cells.last(),
            Some(&Cell::Word(Mark::Bad, "of another plan: 0123456789ab".into()))
        );
    }

    #[test]
    fn kills_after_the_breach_are_printed_always() {
        for report in sample::all() {
            let shown = speed(&report).iter().any(|block| match block {
                Block::Facts(facts) => facts.contains(&after_breach(&report)),
                _ => false,
            });
            assert!(shown, "{}", report.run);
        }
    }
}
