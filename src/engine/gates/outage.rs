//! The outage gate: is nobody's pager ringing?

use super::Question;
use crate::model::gate::{Answer, PagerAnswer};

/// Refuses while an alert is active. A pager that can't be asked counts as ringing.
pub fn judge(q: &Question<'_>) -> Answer {
    match q.facts.pager {
        PagerAnswer::NotConfigured => Answer::Pass("the settings name no pager to ask (`outage:`)".into()),
        PagerAnswer::Quiet => Answer::Pass("no matching alert is active".into()),
        PagerAnswer::Ringing(alerts) => Answer::Refuse(format!("an alert is active: {}", alerts.join(", "))),
        PagerAnswer::Unknown(why) => Answer::Unknown(format!("the pager can't be asked: {why}")),
    }
}
