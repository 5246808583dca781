//! The halt gate: is the operator stopped?

use super::Question;
use crate::model::gate::Answer;

/// Refuses while a halt is in force or the halt file is there. A halt file that can't be read counts as
/// there.
pub fn judge(q: &Question<'_>) -> Answer {
    if let Some(halt) = &q.facts.ledger.halt {
        return Answer::Refuse(format!(
            "halted by {} ({}) since {}: {}. `heartbreak resume` lifts it",
            halt.by,
            halt.by.via,
            halt.since.format("%F %T UTC"),
            halt.reason
        ));
    }
    match q.facts.halt_file {
        Ok(None) => Answer::Pass("no halt is in force".into()),
        Ok(Some(reason)) => Answer::Refuse(format!(
            "the halt file is there: {reason}. `heartbreak resume` removes it"
        )),
        Err(why) => Answer::Unknown(format!(
            "the halt file can't be read, which counts as a halt: {why}"
        )),
    }
}
