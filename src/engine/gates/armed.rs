//! The armed gate: do the settings let us kill at all?

use super::Question;
use crate::model::gate::Answer;
use crate::model::policy::Mode;

/// Refuses a real kill unless the settings say `armed: true`. A rehearsal harms nothing and passes.
pub fn judge(q: &Question<'_>) -> Answer {
    match q.plan.mode {
        Mode::Off => Answer::Refuse("the plan's mode is off".into()),
        Mode::Rehearse => Answer::Pass("a rehearsal reaches nothing, so it needs no arming".into()),
        Mode::Enforce if q.facts.armed => Answer::Pass("the settings say `armed: true`".into()),
        Mode::Enforce => Answer::Refuse(
            "the operator is not armed: nothing is killed until the settings say `armed: true`".into(),
        ),
    }
}
