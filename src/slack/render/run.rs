//! The card of a run: one message from the request for approval to the verdict.

use super::{ABORT, APPROVE, DENY, Message, Sheet, button, value};
use crate::model::experiment::{AbortCause, Hypothesis, ProbeSpec};
use crate::model::gate::{Answer, GateAnswer, GateName, Judgement};
use crate::model::ids::ProbeName;
use crate::model::plan::{Plan, Step};
use crate::model::policy::{ApprovalRule, Mode};
use crate::model::run::{Intent, IntentState, Phase, Run};
use crate::model::verdict::{HypothesisResult, Outcome, Verdict};
use crate::model::view::RunView;
use crate::model::words::brief;
use crate::slack::parse::SLASH;
use crate::slack::text::{Lines, code, group_id, moment, person, person_id, prose, time, told};
use chrono::{DateTime, Utc};
use slack_morphism::prelude::*;

/// How many apps of a plan are listed one by one.
const APPS_SAID: usize = 8;

/// The card with its buttons.
pub fn card(view: &RunView, now: DateTime<Utc>) -> Message {
    let run = &view.run;
    match run.phase {
        Phase::AwaitingApproval => request(view, now),
        Phase::Baseline | Phase::Steps | Phase::Recovery => running(view, now),
        Phase::Aborting => aborting(view, now),
        Phase::Ended => ended(view),
    }
}

/// `kill 1 task of /shop/cart`: for headers, plain.
pub fn what(plan: &Plan) -> String {
    let mut tasks = match plan.kills() {
        1 => "1 task".to_owned(),
        n => format!("{n} tasks"),
    };
    if let Some(outage) = &plan.outage {
        tasks.push_str(&format!(" on {outage}"));
    }
    match plan.mode {
        Mode::Enforce => format!("kill {tasks} of {}", plan.apps),
        Mode::Rehearse | Mode::Off => format!("rehearse killing {tasks} of {}", plan.apps),
    }
}

/// The same for sentences: *1 of 6* tasks of `/shop/cart` in `prod`.
pub fn what_in_full(plan: &Plan) -> String {
    let verb = match plan.mode {
        Mode::Enforce => "kill",
        Mode::Rehearse | Mode::Off => "rehearse, without killing anything, to kill",
    };
    let place = plan.outage.as_ref().map_or_else(String::new, |outage| {
        format!(", all on {},", code(&outage.to_string(), 80))
    });
    format!(
        "{verb} *{} of {}* tasks{place} of {} in {}",
        plan.kills(),
        plan.apps.instances(),
        apps(plan, 200),
        code(plan.cluster.as_str(), 80)
    )
}

/// Its apps, each as code, in `longest` characters and a few: at most two, and how many more.
pub fn apps(plan: &Plan, longest: usize) -> String {
    let longest = if plan.apps.are_several() {
        longest / 2 - 10
    } else {
        longest
    };
    let named: Vec<_> = plan
        .apps
        .ids()
        .take(2)
        .map(|app| code(app.as_str(), longest))
        .collect();
    match plan.apps.count() {
        1 | 2 => named.join(" and "),
        n => format!("{} and {} more apps", named.join(", "), n - 2),
    }
}

/// How many served when planned: `6 of 6`, and for several apps each by name.
pub fn served(plan: &Plan) -> String {
    if !plan.apps.are_several() {
        return format!("{} of {}", plan.apps.healthy(), plan.apps.instances());
    }
    let each = plan.apps.iter().take(APPS_SAID).map(|planned| {
        format!(
            "{} {} of {}",
            code(planned.app.as_str(), 80),
            planned.healthy,
            planned.instances
        )
    });
    let more = plan.apps.iter().skip(APPS_SAID).count();
    let more = (more > 0).then(|| format!("and {more} more apps"));
    each.chain(more).collect::<Vec<_>>().join("\n")
}

/// Who asked, or that nobody did.
pub fn asked_by(plan: &Plan) -> String {
    plan.requested_by
        .as_ref()
        .map_or_else(|| "the schedule".to_owned(), person)
}

fn request(view: &RunView, now: DateTime<Utc>) -> Message {
    let run = &view.run;
    let (plan, rule) = (&run.plan, &run.plan.approval);
    let expires = run.approval_expires.unwrap_or(now);
    let who = who_may(rule);
    let mut buttons = vec![];
    if run.denied.is_none() {
        let target = value(&run.id, &run.digest);
        let confirm = SlackBlockConfirmItem::new(
            SlackBlockPlainText::from("Approve exactly this plan?").into(),
            super::mrkdwn(format!(
                "It would {} *{} of {}* tasks of {}. The gates are asked again first.",
                if plan.mode == Mode::Enforce {
                    "kill"
                } else {
                    "rehearse to kill"
                },
                plan.kills(),
                plan.apps.instances(),
                apps(plan, 150)
            )),
            SlackBlockPlainText::from("Approve").into(),
            SlackBlockPlainText::from("Go back").into(),
        );
        buttons.push(
            button(
                APPROVE,
                "Approve",
                &format!("Approve run {}", run.id),
                target.clone(),
            )
            .with_style(SlackBlockButtonStyle::Primary)
            .with_confirm(confirm),
        );
        buttons.push(
            button(
                DENY,
                "Deny…",
                &format!("Deny run {} with a reason", run.id),
                target,
            )
            .with_style(SlackBlockButtonStyle::Danger),
        );
    }
    let text = format!(
        "Approval needed: {}, run {}, asked by {}, open until {}. To answer by text: {SLASH} approve {} {}",
        what_in_full(plan),
        code(run.id.as_str(), 40),
        asked_by(plan),
        time(expires),
        prose(run.id.as_str(), 40),
        prose(run.digest.short(), 12),
    );
    Sheet::new()
        .head(&format!("Approval needed: {}", what(plan)))
        .text(format!("{} asks to {}.", asked_by(plan), what_in_full(plan)))
        .list("These would die, in this order", targets(plan), 1_800)
        .fields(vec![
            ("Blast radius", blast_radius(plan)),
            ("Serving when planned", served(plan)),
            ("Lasts", format!("at most {}", brief(plan.longest_from(1)))),
            ("Gates", gates_in_short(run.judged.as_ref())),
            ("Stops itself if", stops_if(&plan.hypothesis)),
            (
                "Approvals",
                format!(
                    "{} of {} from {who}{}",
                    run.approvals.len(),
                    rule.quorum,
                    yes_so_far(run)
                ),
            ),
        ])
        .list(
            "Remarks",
            plan.remarks.iter().map(|r| format!("• {}", prose(r, 300))),
            600,
        )
        .buttons(buttons)
        .foot(format!(
            "{} · plan {} · policy {} · expires {} · whoever asked can't approve",
            code(run.id.as_str(), 40),
            code(run.digest.short(), 16),
            code(plan.policy.as_str(), 80),
            moment(expires, "{time} ({ago})"),
        ))
        .done(text)
}

fn running(view: &RunView, now: DateTime<Utc>) -> Message {
    let run = &view.run;
    let verb = if run.plan.mode == Mode::Enforce {
        "Running"
    } else {
        "Rehearsing"
    };
    let phase = phase(run);
    let abort = button(
        ABORT,
        "Abort",
        &format!("Abort run {}", run.id),
        value(&run.id, &run.digest),
    )
    .with_style(SlackBlockButtonStyle::Danger);
    Sheet::new()
        .head(&format!("{verb}: {}", what(&run.plan)))
        .text(format!(
            "Phase *{phase}* since {}.{}\nAsked by {}{}.",
            time(run.phase_since),
            view.waiting
                .as_ref()
                .map_or_else(String::new, |w| format!(" {}", told(w, 500))),
            asked_by(&run.plan),
            approved_by(run),
        ))
        .fields(
            [
                Some(("Evidence for an abort", gauge(view.evidence_percent))),
                view.difference_percent
                    .map(|p| ("Evidence that the control group does better", gauge(Some(p)))),
                Some(("Serving now", serving(view))),
                Some(("Kills", kills(run))),
                Some(("Stops itself if", stops_if(&run.plan.hypothesis))),
            ]
            .into_iter()
            .flatten()
            .collect(),
        )
        .list(
            "Probes",
            view.probes.iter().map(|p| format!("• {}", told(p, 300))),
            1_200,
        )
        .buttons(vec![abort])
        .foot(format!(
            "{} · plan {} · as of {}; when that is older than a minute, `{SLASH} status` knows more",
            code(run.id.as_str(), 40),
            code(run.digest.short(), 16),
            moment(now, "{time_secs}"),
        ))
        .done(format!(
            "{verb}: {}, phase {phase}, kills {}",
            told(&what(&run.plan), 400),
            kills(run)
        ))
}

fn aborting(view: &RunView, now: DateTime<Utc>) -> Message {
    let run = &view.run;
    let why = run.abort.as_ref().map_or_else(
        || "the reason is not recorded".to_owned(),
        |a| told(&a.cause.to_string(), 1_000),
    );
    Sheet::new()
        .head(&format!("Aborting: {}", what(&run.plan)))
        .text(format!(
            "No further kill can leave. Waiting until what we did is whole again.{}",
            view.waiting
                .as_ref()
                .map_or_else(String::new, |w| format!("\n{}", told(w, 500)))
        ))
        .fields(abort_facts(run))
        .fields(vec![
            ("Kills", kills(run)),
            ("Serving now", serving(view)),
            ("Asked by", format!("{}{}", asked_by(&run.plan), approved_by(run))),
        ])
        .list("Still down because of us", charged(run), 1_200)
        .foot(format!(
            "{} · as of {}",
            code(run.id.as_str(), 40),
            moment(now, "{time_secs}")
        ))
        .done(format!("Aborting: {}: {why}", told(&what(&run.plan), 400)))
}

fn ended(view: &RunView) -> Message {
    let run = &view.run;
    let what = what(&run.plan);
    let word = ending(run);
    let mut sheet = Sheet::new().head(&format!("{word}: {what}"));
    let mut told_why = String::new();
    if let Some(denial) = &run.denied {
        told_why = format!("{} said no: {}", person(&denial.by), prose(&denial.reason, 700));
        sheet = sheet.text(format!(
            "{} said no {}. Nothing was killed.\n>{}",
            person(&denial.by),
            time(denial.at),
            prose(&denial.reason, 1_000)
        ));
    }
    if let Some(verdict) = &run.verdict {
        if told_why.is_empty() {
            told_why = told(&verdict.sentence, 1_500);
        }
        sheet = sheet.text(told(&verdict.sentence, 1_500));
        if run.started.is_some() {
            sheet = sheet.text(lines(verdict));
        }
    }
    sheet = sheet.fields(abort_facts(run));
    if run.started.is_some() {
        sheet = sheet.fields(vec![
            ("Kills", kills(run)),
            ("Ran", ran(run)),
            ("Asked by", format!("{}{}", asked_by(&run.plan), approved_by(run))),
        ]);
    } else {
        sheet = sheet.fields(vec![("Kills", kills(run)), ("Asked by", asked_by(&run.plan))]);
    }
    sheet
        .list("Still down because of us", charged(run), 1_200)
        .list("Report", view.reports.iter().map(|place| code(place, 200)), 800)
        .foot(format!(
            "{} · plan {} · policy {}{}",
            code(run.id.as_str(), 40),
            code(run.digest.short(), 16),
            code(run.plan.policy.as_str(), 80),
            run.ended
                .map_or_else(String::new, |at| format!(" · ended {}", time(at))),
        ))
        .done(format!("{word}: {}. {told_why}", told(&what, 400)))
}

/// How a run ended, in the words of the report.
fn ending(run: &Run) -> &'static str {
    if run.denied.is_some() {
        return "Denied";
    }
    let Some(verdict) = &run.verdict else {
        return "Ended";
    };
    match (verdict.outcome, verdict.hypothesis) {
        (Outcome::Skipped, _) if verdict.reason.starts_with("expired") => "Expired",
        (Outcome::Skipped, _) => "Skipped",
        (Outcome::Aborted, HypothesisResult::Disproved) => "Aborted, disproved",
        (Outcome::Aborted, _) => "Aborted",
        (Outcome::Completed, HypothesisResult::Held) => "Held",
        (Outcome::Completed, HypothesisResult::Disproved) => "Disproved",
        (Outcome::Completed, HypothesisResult::Inconclusive) => "Inconclusive",
        (Outcome::Completed, HypothesisResult::NotTested) => "Rehearsed",
    }
}

/// The two lines of a verdict.
pub fn lines(verdict: &Verdict) -> String {
    verdict
        .lines
        .iter()
        .take(4)
        .map(|line| told(line, 500))
        .collect::<Vec<_>>()
        .join("\n")
}

/// What tripped, what was measured, against which limit, and how fast.
pub fn abort_facts(run: &Run) -> Vec<(&'static str, String)> {
    let Some(abort) = &run.abort else { return vec![] };
    let mut facts = cause(&abort.cause, &run.plan.hypothesis);
    if let Some(us) = abort.breach_to_fence_us {
        facts.push(("Breach to fence", micros(us)));
    }
    facts.push(("Since", time(abort.at)));
    facts
}

/// `0.84 ms`.
pub fn micros(us: u64) -> String {
    format!("{}.{:02} ms", us / 1_000, us % 1_000 / 10)
}

/// A cause, cut into what people look for. No wildcard: a new rule needs its words.
pub fn cause(cause: &AbortCause, hypothesis: &Hypothesis) -> Vec<(&'static str, String)> {
    let spec = |name: &ProbeName| hypothesis.probes.iter().find(|p| p.name == *name);
    let limit = |name: &ProbeName, of: fn(&ProbeSpec) -> String| {
        spec(name).map_or_else(|| "not known".to_owned(), of)
    };
    match cause {
        AbortCause::Limit {
            probe,
            evidence_percent,
        } => vec![
            (
                "What tripped",
                format!("probe {} stayed above its limit", code(probe.as_str(), 80)),
            ),
            (
                "Measured",
                format!("{evidence_percent} % of the evidence that is needed"),
            ),
            ("Limit", limit(probe, |p| format!("{} bad", p.max))),
        ],
        AbortCause::Consecutive { probe, samples } => vec![
            (
                "What tripped",
                format!("probe {} was above its limit", code(probe.as_str(), 80)),
            ),
            ("Measured", format!("{samples} samples in a row")),
            (
                "Limit",
                limit(probe, |p| match p.consecutive {
                    Some(n) => format!("{} bad, {n} in a row", p.max),
                    None => format!("{} bad", p.max),
                }),
            ),
        ],
        AbortCause::Hard { probe, observed, bad } => vec![
            (
                "What tripped",
                format!("probe {} crossed its hard line", code(probe.as_str(), 80)),
            ),
            ("Measured", format!("{bad} of {observed} bad in one sample")),
            ("Limit", limit(probe, |p| format!("{} bad in one sample", p.hard))),
        ],
        AbortCause::Budget { failed, allowed } => vec![
            ("What tripped", "the budget of failed requests".to_owned()),
            ("Measured", format!("{failed} failed requests")),
            ("Limit", format!("{allowed} failed requests")),
        ],
        AbortCause::Blind { probe, missed, why } => vec![
            (
                "What tripped",
                format!("probe {} gave no answer", code(probe.as_str(), 80)),
            ),
            (
                "Measured",
                format!("{missed} samples missed in a row: {}", prose(why, 300)),
            ),
            ("Limit", format!("{} in a row", hypothesis.blind.abort_after)),
        ],
        AbortCause::Manual { by, reason } => {
            vec![("Aborted by", told(by, 100)), ("Because", prose(reason, 500))]
        }
        AbortCause::Halt { by, reason } => {
            vec![("Halted by", told(by, 100)), ("Because", prose(reason, 500))]
        }
        AbortCause::Policy { why } => {
            vec![("What tripped", format!("the policy changed: {}", prose(why, 500)))]
        }
        AbortCause::Gate { why } => vec![("What tripped", format!("a gate closed: {}", told(why, 500)))],
        AbortCause::Restarted => vec![(
            "What tripped",
            "the operator restarted while the run was armed".to_owned(),
        )],
        AbortCause::Kill { why } => vec![(
            "What tripped",
            format!("a kill did not go as it must: {}", prose(why, 500)),
        )],
        AbortCause::NotRecovered { step, why } => vec![
            (
                "What tripped",
                format!(
                    "not whole and steady again after step {step}: {}",
                    prose(why, 500)
                ),
            ),
            ("Limit", format!("within {}", brief(hypothesis.recovery.within))),
        ],
    }
}

/// Exact tasks by host, in the order of the steps; in an outage by agent and app.
pub fn targets(plan: &Plan) -> Vec<String> {
    let several = plan.steps.len() > 1;
    if plan.outage.is_some() {
        let groups = plan
            .steps
            .iter()
            .flat_map(|step| step.groups().map(move |group| (step.number, group)));
        return groups
            .filter_map(|(step, group)| {
                let first = group.first()?;
                let step = if several {
                    format!("step {step}: ")
                } else {
                    String::new()
                };
                let tasks: Vec<_> = group.iter().map(|t| code(t.task.as_str(), 200)).collect();
                Some(format!(
                    "• {step}{} on {}: {}",
                    code(first.app.as_str(), 120),
                    code(&first.host, 120),
                    tasks.join(", ")
                ))
            })
            .collect();
    }
    let each = plan
        .steps
        .iter()
        .flat_map(|step| step.targets.iter().map(move |target| (step, target)));
    each.map(|(step, target)| {
        let number = step.number;
        let step = match (several, step.is_sham()) {
            (_, true) => format!("step {number}, a sham, kills nothing: "),
            (true, false) => format!("step {number}: "),
            (false, false) => String::new(),
        };
        format!(
            "• {step}{} on {}",
            code(target.task.as_str(), 200),
            code(&target.host, 120)
        )
    })
    .collect()
}

/// What may be down at once, and what must be left.
pub fn blast_radius(plan: &Plan) -> String {
    let radius = &plan.blast_radius;
    if plan.apps.are_several() {
        return format!(
            "of each app at most {} tasks and {} % down at once, never fewer than {} serving; at most {} apps{}",
            radius.max_tasks,
            radius.max_percent,
            radius.min_healthy,
            radius.max_apps,
            radius
                .max_tasks_in_all
                .map_or_else(String::new, |n| format!(" and {n} tasks in all"))
        );
    }
    format!(
        "at most {} down at once, never fewer than {} serving",
        radius.allowance(plan.apps.first.instances),
        radius.min_healthy
    )
}

/// What ends the run by itself.
pub fn stops_if(hypothesis: &Hypothesis) -> String {
    let probes = hypothesis.abort_probes().map(|p| {
        let row = p
            .consecutive
            .map(|n| format!(", {n} samples in a row above that"));
        format!(
            "{} has more than {} bad{}, or {} in one sample",
            code(p.name.as_str(), 60),
            p.max,
            row.unwrap_or_default(),
            p.hard
        )
    });
    let budget = hypothesis
        .budget
        .map(|n| format!("more than {n} requests fail in all"));
    let blind = format!("a probe misses {} samples in a row", hypothesis.blind.abort_after);
    Lines::new(600).extend(probes.chain(budget).chain([blind])).done()
}

fn who_may(rule: &ApprovalRule) -> String {
    let users = rule.users.iter().map(|u| person_id(u.as_str()));
    let groups = rule.groups.iter().map(|g| group_id(g.as_str()));
    let all: Vec<String> = users.chain(groups).collect();
    let shown = all.iter().take(8).cloned().collect::<Vec<_>>().join(", ");
    match (all.len(), all.len().saturating_sub(8)) {
        (0, _) => "nobody: the policy names no approver".to_owned(),
        (_, 0) => shown,
        (_, more) => format!("{shown} and {more} more"),
    }
}

fn yes_so_far(run: &Run) -> String {
    let yes: Vec<String> = run.approvals.iter().take(8).map(|a| person(&a.by)).collect();
    if yes.is_empty() {
        String::new()
    } else {
        format!("; yes by {}", yes.join(", "))
    }
}

fn approved_by(run: &Run) -> String {
    let yes: Vec<String> = run.approvals.iter().take(8).map(|a| person(&a.by)).collect();
    if yes.is_empty() {
        String::new()
    } else {
        format!(", approved by {}", yes.join(", "))
    }
}

/// `15 of 16 pass`, and the blockers that matter most.
fn gates_in_short(judged: Option<&Judgement>) -> String {
    let Some(judged) = judged else {
        return "not asked yet".to_owned();
    };
    // Approval is what this card asks for, and what probes see is measured before the first kill.
    let now: Vec<&GateAnswer> = judged
        .answers
        .iter()
        .filter(|a| !a.gate.is_answered_later())
        .collect();
    let mut blockers: Vec<&GateAnswer> = now.iter().copied().filter(|a| !a.answer.passes()).collect();
    blockers.sort_by_key(|a| a.gate);
    let (asked, passed) = (now.len(), now.len() - blockers.len());
    let lines = blockers.into_iter().map(|a| gate(a, 160));
    let head = format!(
        "{passed} of {asked} say yes at {}",
        moment(judged.at, "{time_secs}")
    );
    let later = format!("all {} are asked before each kill", GateName::ALL.len());
    Lines::new(600)
        .extend(std::iter::once(head).chain(lines).chain([later]))
        .done()
}

/// One gate's answer, in words and not only in a sign.
pub fn gate(answer: &GateAnswer, max: usize) -> String {
    let word = match &answer.answer {
        Answer::Pass(_) => "✓ yes",
        Answer::Refuse(_) => "✗ NO",
        Answer::Unknown(_) => "? unknown",
    };
    format!("{word}, {}: {}", answer.gate, told(answer.answer.why(), max))
}

fn phase(run: &Run) -> String {
    match run.phase {
        Phase::Steps => format!(
            "steps, {} of {}",
            (run.next_step() - 1).min(steps(run)),
            steps(run)
        ),
        other => other.to_string(),
    }
}

fn steps(run: &Run) -> u32 {
    u32::try_from(run.plan.steps.len()).unwrap_or(u32::MAX)
}

/// Ten cells and the number: nothing is said by the picture alone.
fn gauge(percent: Option<u32>) -> String {
    let Some(percent) = percent else {
        return "no reading yet".to_owned();
    };
    let full = usize::try_from(percent.min(100) / 10).unwrap_or(10);
    format!("{}{} {percent} %", "▰".repeat(full), "▱".repeat(10 - full))
}

fn serving(view: &RunView) -> String {
    let floor = view.run.plan.blast_radius.min_healthy;
    match view.healthy {
        Some(healthy) => format!("{healthy} of {} (floor {floor})", view.run.plan.apps.instances()),
        None => format!("not known (floor {floor})"),
    }
}

/// `1 of 3`: tasks that were asked to die, of those planned. What was only rehearsed is called so.
pub fn kills(run: &Run) -> String {
    let slot = |i: &Intent| run.plan.step(i.step).is_some_and(Step::is_sham);
    let tasks = |sham: bool| -> usize {
        run.intents
            .iter()
            .filter(|i| i.sham == sham && !slot(i) && !matches!(i.state, IntentState::NotSent { .. }))
            .map(|i| i.targets.len())
            .sum()
    };
    let planned = run.plan.kills();
    let done = match (run.plan.mode, tasks(true)) {
        (Mode::Enforce, 0) => format!("{} of {planned}", tasks(false)),
        (_, rehearsed) => format!("{} killed, {rehearsed} of {planned} rehearsed", tasks(false)),
    };
    match run.plan.shams() {
        0 => done,
        all => format!(
            "{done}, and {} of {all} shams",
            run.intents.iter().filter(|i| slot(i)).count()
        ),
    }
}

/// Kills that still count as tasks down because of us.
pub fn charged(run: &Run) -> Vec<String> {
    run.intents
        .iter()
        .filter(|i| i.is_charged())
        .map(intent)
        .collect()
}

/// A kill and what is known of it. No wildcard: every state has its words.
pub fn intent(intent: &Intent) -> String {
    let fate = match &intent.state {
        IntentState::Open => "nothing is known of it yet; counts as a kill".to_owned(),
        IntentState::NotSent { why, .. } => format!("not sent: {}", prose(why, 200)),
        IntentState::Acked { .. } => {
            "Marathon accepted it; the replacement is not proven to serve".to_owned()
        }
        IntentState::NoEffect { why, .. } => format!("no effect: {}", prose(why, 200)),
        IntentState::Ambiguous { why, .. } => format!("unanswered, counts as a kill: {}", prose(why, 200)),
        IntentState::Resolved { why, .. } => format!("over: {}", prose(why, 200)),
        IntentState::Held { why, .. } => format!("*a person has to look:* {}", prose(why, 200)),
    };
    format!(
        "• {} ({} asked to die): {fate}",
        code(intent.id.as_str(), 60),
        intent.targets.len()
    )
}

fn ran(run: &Run) -> String {
    match (run.started, run.ended) {
        (Some(from), Some(to)) => {
            let seconds = (to - from).num_seconds().max(0).unsigned_abs();
            format!(
                "{}, from {}",
                brief(std::time::Duration::from_secs(seconds)),
                time(from)
            )
        }
        _ => "not known".to_owned(),
    }
}
