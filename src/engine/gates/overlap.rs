//! The overlap gate: is another run at work on one of the same apps?

use super::Question;
use crate::model::gate::Answer;
use std::collections::BTreeSet;

/// Refuses while another run is open on an app of the plan, while another run's kill on it is not proven over, or
/// while the policy would hit more apps at once than it may.
pub fn judge(q: &Question<'_>) -> Answer {
    let others = || {
        let open = q.facts.ledger.open_runs();
        let charged = q.facts.ledger.charged().map(|(run, _)| run);
        open.chain(charged)
            .filter(|r| r.id != q.plan.run && r.plan.cluster == q.plan.cluster)
    };
    let shared = others().find_map(|r| {
        let app = q.plan.apps.ids().find(|app| r.plan.apps.contains(app))?;
        Some((r, app))
    });
    if let Some((run, app)) = shared {
        return Answer::Refuse(format!("run {} is not over on {app}", run.id));
    }
    let at_work: BTreeSet<_> = others()
        .filter(|r| r.plan.policy == q.plan.policy)
        .flat_map(|r| r.plan.apps.ids())
        .collect();
    let most = usize::try_from(q.plan.blast_radius.max_apps).unwrap_or(usize::MAX);
    let own = q.plan.apps.ids().count();
    if at_work.is_empty() && own > most {
        return Answer::Refuse(format!("the plan hits {own} apps at once, maxApps is {most}"));
    }
    if at_work.len() + own > most {
        return Answer::Refuse(format!(
            "policy {} is at work on {} apps, maxApps is {most}",
            q.plan.policy,
            at_work.len()
        ));
    }
    Answer::Pass(format!("no other run touches {}", q.plan.apps))
}
