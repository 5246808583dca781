//! Verdicts of runs that killed nothing: they have tested nothing.

use super::Findings;
use super::words::caused_by_the_kill;
use crate::model::experiment::Control;
use crate::model::verdict::{HypothesisResult, Outcome, Verdict};

/// No kill was made.
pub(super) fn skipped(findings: &Findings<'_>) -> Verdict {
    let word = findings.abort.map(|abort| abort.cause.word().to_owned());
    let words = findings.abort.map(|abort| abort.cause.to_string());
    let given = findings.skipped.map(ToOwned::to_owned);
    let reason = given
        .clone()
        .or(word)
        .unwrap_or_else(|| "no kill was made".into());
    let because = given
        .or(words)
        .unwrap_or_else(|| "no kill left the operator".into());
    not_tested(
        &findings.plan.hypothesis.control,
        Outcome::Skipped,
        reason,
        format!("Not tested. No kill was made: {because}."),
        "no kill was made",
    )
}

/// Nothing was to be killed.
pub(super) fn rehearsal(findings: &Findings<'_>) -> Verdict {
    let control = &findings.plan.hypothesis.control;
    let steps = findings.plan.steps.len();
    let shams = findings.intents.iter().filter(|intent| intent.sham).count();
    let told =
        format!("Not tested. Rehearsal: {shams} of {steps} steps were written down, nothing was killed.");
    match findings.abort {
        Some(abort) => not_tested(
            control,
            Outcome::Aborted,
            abort.cause.word().into(),
            format!("{told} Ended early: {}.", abort.cause),
            "a rehearsal kills nothing",
        ),
        None if shams < steps => not_tested(
            control,
            Outcome::Aborted,
            "cut short".into(),
            told,
            "a rehearsal kills nothing",
        ),
        None => not_tested(
            control,
            Outcome::Completed,
            String::new(),
            told,
            "a rehearsal kills nothing",
        ),
    }
}

fn not_tested(
    control: &Control,
    outcome: Outcome,
    reason: String,
    sentence: String,
    because: &str,
) -> Verdict {
    let within = match outcome {
        Outcome::Skipped => "Stayed within limits: not tested (no kill was made).",
        Outcome::Completed | Outcome::Aborted => "Stayed within limits: not tested (nothing was killed).",
    };
    Verdict {
        outcome,
        hypothesis: HypothesisResult::NotTested,
        reason,
        sentence,
        lines: vec![
            within.into(),
            caused_by_the_kill(control, HypothesisResult::NotTested, because),
        ],
        limits: vec!["Nothing was tested.".into()],
        design: control.label().into(),
        about_design: String::new(),
        differences: vec![],
        pairs: None,
    }
}
