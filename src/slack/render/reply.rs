//! Answers to commands, for one person.

use super::{Message, Sheet, halt_button, report, run, still_open};
use crate::model::forecast::Forecast;
use crate::model::gate::GateAnswer;
use crate::model::past::AppPast;
use crate::model::view::{
    ClusterView, Exclusion, PlanView, PolicyView, Reply, RunView, Status, TimelineItem, WasIt, WasItYou, Why,
    WhyPolicy,
};
use crate::slack::parse::{SLASH, Word};
use crate::slack::text::{code, person, prose, time, told};
use chrono::{DateTime, Utc};
use slack_morphism::prelude::SlackBlock;

/// An answer. Cards in it have no buttons: an answer vanishes, and with it the only copy of one.
pub fn reply(reply: &Reply, now: DateTime<Utc>) -> Message {
    match reply {
        Reply::Done(sentence) => Sheet::new()
            .text(told(sentence, 2_500))
            .done(told(sentence, 2_500)),
        Reply::Help => help(),
        Reply::Status(status) => self::status(status),
        Reply::Policies(policies) => self::policies(policies),
        Reply::Runs(runs) => self::runs(runs),
        Reply::Run(view) => without_buttons(run::card(view, now)),
        Reply::Report(report) => report::report(report),
        Reply::Plan(view) => plan(view),
        Reply::Why(why) => self::why(why),
        Reply::WasItYou(answer) => was_it_you(answer),
        Reply::Timeline(items) => {
            let lead = match items.len() {
                0 => "The journal has nothing by us in that time.".to_owned(),
                1 => "1 entry by us.".to_owned(),
                n => format!("{n} entries by us, newest first."),
            };
            Sheet::new()
                .text(lead.clone())
                .list("What we did", timeline(items), 2_900)
                .done(lead)
        }
        Reply::History(past) => history(past),
        Reply::Forecast(ahead) => forecast(ahead),
        Reply::Stopped { done, open } => Sheet::new()
            .text(told(done, 2_000))
            .text(still_open(open))
            .done(told(done, 2_000)),
    }
}

/// Every command, stops first.
pub fn help() -> Message {
    let lines = Word::ALL
        .iter()
        .map(|word| format!("`{}`: {}", word.line(), word.what()));
    Sheet::new()
        .text("*Heartbreak* finds out which services can lose tasks, and stops itself when one can't.".to_owned())
        .list("What you can ask", lines, 2_900)
        .foot(
            "Full members of the workspace may look, stop and ask for runs; the policy names who approves; admins \
             resume."
                .to_owned(),
        )
        .done(format!("{SLASH} was-it-you, halt, abort, status, why, …: what you can ask"))
}

fn status(status: &Status) -> Message {
    let Status {
        at,
        version,
        armed,
        halt,
        clusters,
        policies,
        open_runs,
        charged,
        outbox_waiting,
    } = status;
    let lead = match (halt, armed) {
        (Some(halt), _) => format!(
            "*Halted* by {} since {}: {}. Nothing is killed until an admin resumes.",
            person(&halt.by),
            time(halt.since),
            prose(&halt.reason, 500)
        ),
        (None, false) => "*Not armed:* nothing is killed until the settings say `armed: true`.".to_owned(),
        (None, true) => "*Armed, not halted.*".to_owned(),
    };
    let bad = policies.iter().filter(|p| p.state != "active").count();
    let waiting = match outbox_waiting {
        0 => "none".to_owned(),
        n => format!("{n}; what the channel shows may be old"),
    };
    let fallback = lead.replace(['*', '`'], "");
    let open = open_runs.iter().map(|view| format!("• {}", run_line(view)));
    let mut sheet = Sheet::new()
        .text(lead)
        .list("Open runs", open, 1_500)
        .list(
            "Down because of us",
            charged.iter().map(|c| format!("• {}", told(c, 400))),
            1_500,
        )
        .list("Clusters", clusters.iter().map(cluster), 1_200)
        .fields(vec![
            (
                "Policies",
                format!("{}, {bad} of them not active", policies.len()),
            ),
            ("Messages waiting for Slack", waiting),
        ]);
    if open_runs.is_empty() && charged.is_empty() {
        sheet = sheet.text("No run is open, and nothing is down because of us.".to_owned());
    }
    if halt.is_none() {
        sheet = sheet.buttons(vec![halt_button()]);
    }
    sheet
        .foot(format!("As of {} · version {}", time(*at), code(version, 40)))
        .done(fallback)
}

fn cluster(view: &ClusterView) -> String {
    let seen = view.seen.map_or_else(
        || "*never seen whole*".to_owned(),
        |at| format!("seen whole {}", time(at)),
    );
    let gaps = match view.gaps.as_slice() {
        [] => String::new(),
        [one] => format!("; not seen: {}", prose(one, 200)),
        [one, more @ ..] => format!("; not seen: {} and {} more", prose(one, 200), more.len()),
    };
    format!(
        "• {}: {seen}, {} apps{gaps}",
        code(view.name.as_str(), 80),
        view.apps
    )
}

fn run_line(view: &RunView) -> String {
    let run = &view.run;
    let result = run.verdict.as_ref().map_or_else(
        || run.phase.to_string(),
        |v| format!("{}, {}", v.outcome, v.hypothesis),
    );
    let waiting = view
        .waiting
        .as_ref()
        .map_or_else(String::new, |w| format!("; {}", told(w, 200)));
    format!(
        "{} {}: {result}, kills {}, planned {}{waiting}",
        code(run.id.as_str(), 40),
        run::apps(&run.plan, 150),
        run::kills(run),
        time(run.plan.made_at)
    )
}

fn policies(policies: &[PolicyView]) -> Message {
    let lead = match policies.len() {
        0 => "There is no policy, so nothing is ever killed.".to_owned(),
        1 => "1 policy.".to_owned(),
        n => format!("{n} policies."),
    };
    let mut sheet = Sheet::new().text(lead.clone());
    for policy in policies {
        sheet = sheet.text(self::policy(policy));
    }
    sheet = sheet.capped(policies.len() + 1, "policies", "heartbreak get policies");
    sheet.done(lead)
}

fn policy(view: &PolicyView) -> String {
    let next = view.next.map_or_else(
        || "nothing is due".to_owned(),
        |at| format!("next due {}", time(at)),
    );
    let blocked = view
        .blocked
        .as_ref()
        .map_or_else(String::new, |b| format!("\nBlocked: {}", run::gate(b, 200)));
    let last = view
        .last_run
        .as_ref()
        .map_or_else(String::new, |r| format!(", last run {}", code(r.as_str(), 40)));
    format!(
        "*{}* ({}, team {}, {}): {}\n>{}\n{next}{last}{blocked}",
        prose(view.name.as_str(), 80),
        prose(&view.mode, 20),
        prose(&view.team, 60),
        prose(view.cluster.as_str(), 60),
        prose(&view.state, 300),
        prose(&view.allows, 500),
    )
}

fn runs(runs: &[RunView]) -> Message {
    let lead = match runs.len() {
        0 => "There has been no run.".to_owned(),
        1 => "1 run.".to_owned(),
        n => format!("The latest {n} runs."),
    };
    let lines = runs.iter().map(|view| format!("• {}", run_line(view)));
    Sheet::new()
        .text(lead.clone())
        .list("Runs", lines, 2_900)
        .done(lead)
}

fn plan(view: &PlanView) -> Message {
    let PlanView {
        plan,
        digest,
        none,
        left_out,
        judgement,
    } = view;
    let Some(plan) = plan else {
        let why = none
            .as_ref()
            .map_or_else(|| "no reason is known".to_owned(), |w| told(w, 1_500));
        return Sheet::new()
            .text(format!("*No plan can be made now:* {why}"))
            .list("Left out", exclusions(left_out), 2_500)
            .done(format!("No plan can be made now: {why}"));
    };
    let answers = judgement.as_ref().map_or(&[][..], |j| &j.answers);
    let verdict = match judgement {
        Some(judgement) if judgement.passes() => "All gates say yes.".to_owned(),
        Some(judgement) => judgement.first_blocker().map_or_else(
            || "Not every gate was asked.".to_owned(),
            |b| format!("It would not run: {}.", run::gate(b, 300)),
        ),
        None => "The gates were not asked.".to_owned(),
    };
    Sheet::new()
        .text(format!(
            "A run now would {}. {verdict} *Nothing was changed by asking.*",
            run::what_in_full(plan)
        ))
        .list("These would die, in this order", run::targets(plan), 1_200)
        .fields(vec![
            ("Blast radius", run::blast_radius(plan)),
            ("Serving", run::served(plan)),
            ("Stops itself if", run::stops_if(&plan.hypothesis)),
        ])
        .list("Gates", gates(answers), 2_000)
        .list(
            "Remarks",
            plan.remarks.iter().map(|r| format!("• {}", prose(r, 300))),
            500,
        )
        .list("Left out", exclusions(left_out), 800)
        .foot(format!(
            "digest {} · a real run gets its own",
            digest
                .as_ref()
                .map_or_else(|| "–".to_owned(), |d| code(d.short(), 16))
        ))
        .done(format!(
            "A run now would {}. {verdict}",
            told(&run::what(plan), 400)
        ))
}

fn gates(answers: &[GateAnswer]) -> Vec<String> {
    let mut sorted: Vec<&GateAnswer> = answers.iter().collect();
    // What blocks first, in the order in which it matters.
    sorted.sort_by_key(|a| (a.answer.passes(), a.gate));
    sorted.into_iter().map(|a| run::gate(a, 250)).collect()
}

fn exclusions(left_out: &[Exclusion]) -> Vec<String> {
    left_out
        .iter()
        .map(|e| format!("• {}: {}", code(&e.what, 150), prose(&e.why, 250)))
        .collect()
}

fn why(why: &Why) -> Message {
    let mut sheet = Sheet::new().text(format!("*{}*", told(&why.lead, 1_000)));
    if why.policies.is_empty() {
        sheet = sheet.text(format!("No policy names {}.", code(&why.subject, 200)));
    }
    for policy in &why.policies {
        sheet = why_policy(sheet, policy);
    }
    sheet
        .foot(format!("{}, as of {}", code(&why.subject, 200), time(why.at)))
        .done(told(&why.lead, 1_000))
}

fn why_policy(sheet: Sheet, view: &WhyPolicy) -> Sheet {
    let run = view
        .run
        .as_ref()
        .map(|r| format!("Open run {}", code(r.as_str(), 40)));
    let none = view.none.as_ref().map(|n| format!("No plan: {}", told(n, 400)));
    let next = view.next.map(|at| format!("Next due {}", time(at)));
    let facts = [run, none, next].into_iter().flatten();
    let left_out = exclusions(&view.left_out);
    let left: Vec<String> = match left_out.len() {
        0 => vec![],
        n => std::iter::once(format!("Left out: {n}"))
            .chain(left_out.into_iter().take(5))
            .collect(),
    };
    let lines = facts.chain(gates(&view.answers)).chain(left);
    sheet.list(
        &format!("Policy {}", prose(view.policy.as_str(), 80)),
        lines,
        2_800,
    )
}

/// The first minute of an incident: the answer, then all that we did around it.
fn was_it_you(answer: &WasItYou) -> Message {
    let word = match answer.answer {
        WasIt::Yes => "Yes",
        WasIt::No => "No",
        WasIt::Perhaps => "Perhaps",
        WasIt::CannotTell => "Cannot tell",
    };
    let line = told(&answer.line, 1_500);
    // The operator's line says its answer itself; the word is added where it does not.
    let line = if line.to_lowercase().starts_with(&word.to_lowercase()) {
        line
    } else {
        format!("{word}: {line}")
    };
    let mut sheet = Sheet::new().text(format!("*{line}*"));
    sheet = match (answer.items.is_empty(), answer.answer) {
        (false, _) => sheet.list(
            "All that we did in the cluster in the last 30 minutes, newest first",
            timeline(&answer.items),
            2_900,
        ),
        // An empty list beside "cannot tell" would read as a no.
        (true, WasIt::CannotTell) => sheet,
        (true, WasIt::Yes | WasIt::No | WasIt::Perhaps) => {
            sheet.text("Nothing else by us in the cluster in the last 30 minutes.".to_owned())
        }
    };
    if answer.answer != WasIt::No {
        sheet = sheet.buttons(vec![halt_button()]);
    }
    sheet.foot(format!("As of {}", time(answer.at))).done(line)
}

fn history(past: &AppPast) -> Message {
    let app = code(past.app.as_str(), 150);
    let lead = match past.classes.first() {
        None => format!("{app}: no experiment has ended, so there is no score."),
        Some(first) => format!("{app}: {}", told(&first.sentence, 400)),
    };
    let classes = past.classes.iter().map(|class| {
        let stale = class
            .stale
            .as_ref()
            .map_or_else(String::new, |why| format!(" _{}_", told(why, 200)));
        format!(
            "• *{}*, {}: {}{stale}",
            prose(class.cluster.as_str(), 60),
            told(&class.class, 200),
            told(&class.sentence, 300)
        )
    });
    Sheet::new()
        .text(lead.clone())
        .list(
            "By cluster and fault, never averaged",
            classes.collect::<Vec<_>>(),
            2_900,
        )
        .done(lead)
}

fn forecast(ahead: &Forecast) -> Message {
    let (runs, kills) = ahead
        .months
        .iter()
        .fold((0.0, 0.0), |sum, month| (sum.0 + month.runs, sum.1 + month.kills));
    let kills = match kills > 0.0 {
        true => format!("{kills:.1} kills"),
        false => "no kills".to_owned(),
    };
    let lead = format!(
        "From {} to {} about {runs:.1} runs and {kills} are to be expected.",
        ahead.from, ahead.to
    );
    let moments = ahead
        .moments
        .iter()
        .filter(|m| m.held_back.is_none())
        .map(|moment| {
            let kills = match moment.kills_max {
                0 => "rehearsal".to_owned(),
                1 => "1 kill".to_owned(),
                n => format!("up to {n} kills"),
            };
            format!(
                "• {} {}: {kills} of {}",
                time(moment.at),
                code(moment.policy.as_str(), 80),
                told(&moment.app, 200)
            )
        });
    Sheet::new()
        .text(lead.clone())
        .list("When runs will begin", moments.collect::<Vec<_>>(), 2_500)
        .foot(told(&ahead.remarks.join(" "), 1_000))
        .done(lead)
}

fn timeline(items: &[TimelineItem]) -> Vec<String> {
    let mut sorted: Vec<&TimelineItem> = items.iter().collect();
    sorted.sort_by_key(|item| std::cmp::Reverse(item.at));
    sorted
        .into_iter()
        .map(|item| {
            let run = item
                .run
                .as_ref()
                .map_or_else(String::new, |r| format!(" {}", code(r.as_str(), 40)));
            let app = match (&item.app, item.other_apps.len()) {
                (None, _) => String::new(),
                (Some(app), 0) => format!(" {}", code(app.as_str(), 150)),
                (Some(app), more) => format!(" {} and {more} more", code(app.as_str(), 150)),
            };
            format!(
                "• {} *{}*{run}{app}: {}",
                time(item.at),
                prose(&item.kind, 30),
                told(&item.what, 300)
            )
        })
        .collect()
}

fn without_buttons(mut message: Message) -> Message {
    message
        .blocks
        .retain(|block| !matches!(block, SlackBlock::Actions(_)));
    message
}
