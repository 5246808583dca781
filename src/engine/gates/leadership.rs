//! The leadership gate: are we the one who decides?

use super::Question;
use crate::model::gate::Answer;

/// Passes on what the operator knows of its hold on the journal.
pub fn judge(q: &Question<'_>) -> Answer {
    q.facts.leader.clone()
}
