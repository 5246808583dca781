//! The verdict, as a reply in the card's thread: edits notify nobody.

use super::{Message, Sheet};
use crate::model::report::{KillRecovery, Report};
use crate::slack::parse::SLASH;
use crate::slack::render::run;
use crate::slack::text::{code, person, prose, time, told};
use chrono::{DateTime, Utc};

/// The verdict for whoever asked, by name.
pub fn verdict(report: &Report) -> Message {
    let asked = report
        .plan
        .requested_by
        .as_ref()
        .map_or_else(String::new, |p| format!("{} ", person(p)));
    render(report, &asked)
}

/// The same as an answer to one person, who needs no mention.
pub fn report(report: &Report) -> Message {
    render(report, "")
}

fn render(report: &Report, asked: &str) -> Message {
    let (sentence, lines) = match &report.verdict {
        Some(verdict) => (told(&verdict.sentence, 1_500), run::lines(verdict)),
        None => (
            "The run is open; there is no verdict yet.".to_owned(),
            String::new(),
        ),
    };
    let recoveries = report.recoveries.iter().map(recovery);
    let harm = report.harm.iter().map(|h| {
        format!(
            "• {}: {} of {} bad, worst sample {:.1} %, {} without an answer",
            code(h.probe.as_str(), 80),
            h.bad,
            h.observed,
            h.worst * 100.0,
            h.blind
        )
    });
    let limits = report
        .verdict
        .iter()
        .flat_map(|v| &v.limits)
        .map(|l| format!("• {}", prose(l, 300)));
    let mut facts = vec![("Kills after the breach", report.kills_after_breach.to_string())];
    if let Some(abort) = &report.abort {
        facts.extend(run::cause(&abort.cause, &report.plan.hypothesis));
        facts.extend(
            abort
                .breach_to_fence_us
                .map(|us| ("Breach to fence", run::micros(us))),
        );
    }
    let charged = report.intents.iter().filter(|i| i.is_charged()).map(run::intent);
    Sheet::new()
        .text(format!("{asked}{sentence}"))
        .text(lines)
        .fields(facts)
        .list("Recovery after each kill", recoveries, 1_500)
        .list("What probes saw while armed", harm, 900)
        .list("Still down because of us", charged, 900)
        .list("What this run could not have seen", limits, 600)
        .foot(format!(
            "{} · plan {} · began {}{} · `{SLASH} report {}` shows it again",
            code(report.run.as_str(), 40),
            code(report.digest.short(), 16),
            time(report.began),
            report
                .ended
                .map_or_else(String::new, |at| format!(" · ended {}", time(at))),
            prose(report.run.as_str(), 40),
        ))
        .done(format!(
            "{sentence} Run {}, {}.",
            code(report.run.as_str(), 40),
            told(&run::what(&report.plan), 300)
        ))
}

/// Every stage from the moment of the kill; what was not seen is said so.
fn recovery(kill: &KillRecovery) -> String {
    let after = |name: &str, at: Option<DateTime<Utc>>| match at {
        Some(at) => format!(
            "{name} after {:.1} s",
            (at - kill.killed).num_milliseconds() as f64 / 1_000.0
        ),
        None => format!("{name}: not seen"),
    };
    format!(
        "• step {}{}: {}, {}, {}, {}",
        kill.step,
        kill.app
            .as_ref()
            .map_or_else(String::new, |app| format!(", {}", code(app.as_str(), 80))),
        after("gone", kill.gone),
        after("replaced", kill.running),
        after("full capacity", kill.capacity),
        after("steady", kill.steady)
    )
}
