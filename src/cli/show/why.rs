//! Why nothing happened, whether it was us, and what we did.

use super::{Out, Pen, Tone, clean, table};
use crate::model::gate::{Answer, GateAnswer};
use crate::model::view::{Exclusion, TimelineItem, WasIt, WasItYou, Why, WhyPolicy};

/// `why`: the one blocker that matters most, then every gate.
pub fn why(why: &Why, out: &Out) -> String {
    let mut parts = vec![format!(
        "{}\n{}",
        out.pen.paint(Tone::Strong, &clean(&why.lead)),
        out.pen.paint(
            Tone::Soft,
            &clean(&format!("{}, as of {}", why.subject, out.when(why.at)))
        )
    )];
    parts.extend(why.policies.iter().map(|p| policy(p, out)));
    if why.policies.is_empty() {
        parts.push("No policy names it.".to_owned());
    }
    parts.join("\n\n")
}

fn policy(view: &WhyPolicy, out: &Out) -> String {
    let mut lines = vec![
        out.pen
            .paint(Tone::Strong, &clean(&format!("Policy {}", view.policy))),
    ];
    if let Some(run) = &view.run {
        lines.push(format!("  open run: {}", clean(run.as_str())));
    }
    if let Some(none) = &view.none {
        lines.push(format!("  no plan: {}", clean(none)));
    }
    if let Some(next) = view.next {
        lines.push(format!("  next due: {}", out.when(next)));
    }
    if !view.answers.is_empty() {
        lines.push(gates(&view.answers, out.pen));
    }
    lines.extend(left_out(&view.left_out, out));
    lines.join("\n")
}

/// Every gate's answer in the order in which blockers matter, each with its sentence.
pub fn gates(answers: &[GateAnswer], pen: Pen) -> String {
    let mut sorted: Vec<&GateAnswer> = answers.iter().collect();
    sorted.sort_by_key(|a| a.gate);
    let width = sorted.iter().map(|a| a.gate.word().len()).max().unwrap_or(0);
    let lines: Vec<String> = sorted
        .into_iter()
        .map(|a| {
            let gate = a.gate.word();
            format!(
                "  {} {gate:<width$}  {}",
                sign(&a.answer, pen),
                clean(a.answer.why())
            )
        })
        .collect();
    lines.join("\n")
}

/// ✓ ✗ ? or, where UTF-8 is not spoken, words of one width.
fn sign(answer: &Answer, pen: Pen) -> String {
    let (tone, sign, word) = match answer {
        Answer::Pass(_) => (Tone::Good, "✓", "yes"),
        Answer::Refuse(_) => (Tone::Bad, "✗", "NO "),
        Answer::Unknown(_) => (Tone::Unsure, "?", "?? "),
    };
    pen.paint(tone, if pen.unicode { sign } else { word })
}

/// How many of what was left out are shown unless the screen is wide.
const LEFT_OUT_SHOWN: usize = 10;

/// What was looked at and left out, with its reason.
pub fn left_out(exclusions: &[Exclusion], out: &Out) -> Vec<String> {
    if exclusions.is_empty() {
        return vec![];
    }
    let shown = if out.wide() {
        exclusions.len()
    } else {
        LEFT_OUT_SHOWN
    };
    let mut lines = vec![format!("  left out: {}", exclusions.len())];
    lines.extend(
        exclusions
            .iter()
            .take(shown)
            .map(|e| format!("    {}: {}", clean(&e.what), clean(&e.why))),
    );
    if exclusions.len() > shown {
        lines.push(format!(
            "    and {} more; all of them with -o wide",
            exclusions.len() - shown
        ));
    }
    lines
}

/// `was-it-you`: the answer in one line, then all that we did around it.
pub fn was_it_you(answer: &WasItYou, out: &Out) -> String {
    let tone = match answer.answer {
        WasIt::Yes => Tone::Bad,
        WasIt::No => Tone::Good,
        WasIt::Perhaps | WasIt::CannotTell => Tone::Unsure,
    };
    let head = format!(
        "{}\n{}",
        out.pen.paint(tone, &clean(&answer.line)),
        out.pen
            .paint(Tone::Soft, &format!("As of {}", out.when(answer.at)))
    );
    match (answer.items.is_empty(), answer.answer) {
        (false, _) => format!("{head}\n\n{}", timeline(&answer.items, out)),
        // An empty list beside "cannot tell" would read as a no.
        (true, WasIt::CannotTell) => head,
        (true, WasIt::Yes | WasIt::No | WasIt::Perhaps) => {
            format!("{head}\n\nNothing else by us in the cluster in the last 30 minutes.")
        }
    }
}

/// `timeline`.
pub fn timeline(items: &[TimelineItem], out: &Out) -> String {
    if items.is_empty() {
        return "The journal has nothing by us in that time.".to_owned();
    }
    let dash = || "-".to_owned();
    let rows: Vec<_> = items
        .iter()
        .map(|item| {
            vec![
                item.at.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
                out.age(item.at),
                item.kind.clone(),
                item.run.as_ref().map_or_else(dash, ToString::to_string),
                match (&item.app, item.other_apps.len()) {
                    (None, _) => dash(),
                    (Some(app), 0) => app.to_string(),
                    (Some(app), more) => format!("{app} and {more} more"),
                },
                item.what.clone(),
            ]
        })
        .collect();
    table(&["AT", "AGE", "WHAT", "RUN", "APP", "IN WORDS"], &rows)
}
