//! The probe-freshness gate: has every abort probe answered lately?

use super::Question;
use crate::model::gate::Answer;

/// Passes on when the run's abort probes last answered; unknown before the baseline.
pub fn judge(q: &Question<'_>) -> Answer {
    q.facts.watch.map_or_else(
        || Answer::Unknown("no probe has been asked yet: the baseline comes before the first kill".into()),
        |watch| watch.fresh.clone(),
    )
}
