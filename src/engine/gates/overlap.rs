//! The overlap gate: is another run at work on the same app?

use super::Question;
use crate::model::gate::Answer;

/// Refuses while another run is open on the app, while another run's kill on it is not proven over, or
/// while the policy would hit more apps at once than it may.
pub fn judge(q: &Question<'_>) -> Answer {
    let others = || {
        let open = q.facts.ledger.open_runs();
        let charged = q.facts.ledger.charged().map(|(run, _)| run);
        open.chain(charged)
            .filter(|r| r.id != q.plan.run && r.plan.cluster == q.plan.cluster)
    };
    if let Some(run) = others().find(|r| r.plan.app == q.plan.app) {
        return Answer::Refuse(format!("run {} is not over on {}", run.id, q.plan.app));
    }
    let mut apps: Vec<_> = others()
        .filter(|r| r.plan.policy == q.plan.policy)
        .map(|r| &r.plan.app)
        .collect();
    apps.sort();
    apps.dedup();
    let most = usize::try_from(q.plan.blast_radius.max_apps).unwrap_or(usize::MAX);
    if apps.len() + 1 > most {
        return Answer::Refuse(format!(
            "policy {} is at work on {} apps, maxApps is {most}",
            q.plan.policy,
            apps.len()
        ));
    }
    Answer::Pass(format!("no other run touches {}", q.plan.app))
}
