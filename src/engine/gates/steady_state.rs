//! The steady-state gate: does the hypothesis hold?

use super::Question;
use crate::model::gate::Answer;

/// Passes on what the run's probes have shown so far; unknown before the baseline.
pub fn judge(q: &Question<'_>) -> Answer {
    q.facts.watch.map_or_else(
        || Answer::Unknown("not measured yet: the baseline comes before the first kill".into()),
        |watch| watch.steady.clone(),
    )
}
