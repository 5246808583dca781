//! The clock gate: is our clock to be believed?
//!
//! Windows, rates and expiries are only as good as the clock. It is held against three others: the
//! machine's own progress since the start, the journal's last entry, and Marathon's `Date` header.

use super::Question;
use crate::model::gate::Answer;
use chrono::TimeDelta;

/// Further apart than this is not drift but a clock that somebody moved.
const APART_MAX: TimeDelta = TimeDelta::seconds(30);

/// Answers `Unknown` when any two clocks are more than 30 seconds apart.
pub fn judge(q: &Question<'_>) -> Answer {
    let facts = q.facts;
    if facts.clock_drift.abs() > APART_MAX {
        return Answer::Unknown(format!(
            "the wall clock moved {} s against the machine's own progress since the start: restart the operator \
             once the clock is right",
            facts.clock_drift.num_seconds()
        ));
    }
    if let Some(last) = facts.ledger.last_at
        && last - facts.now > APART_MAX
    {
        return Answer::Unknown(format!(
            "the journal's last entry is {} s in the future: the clock went back",
            (last - facts.now).num_seconds()
        ));
    }
    match facts.snapshot.info.as_ref().and_then(|i| i.clock_offset_ms) {
        Some(ms) if TimeDelta::milliseconds(ms).abs() > APART_MAX => Answer::Unknown(format!(
            "Marathon's clock is {} s away from ours: one of the two is wrong",
            ms / 1000
        )),
        Some(ms) => Answer::Pass(format!(
            "Marathon's clock is {} s away from ours, 30 s are tolerated",
            ms / 1000
        )),
        None => Answer::Pass("the clock agrees with the machine's progress and with the journal".into()),
    }
}
