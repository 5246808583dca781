//! The blast-radius gate: are few enough down, counted against what is healthy now?

use super::Question;
use crate::engine::history::Ledger;
use crate::model::gate::Answer;
use crate::model::ids::ClusterName;
use crate::model::run::IntentState;
use crate::model::snapshot::App;
use std::collections::BTreeSet;

/// Refuses when the step would take more of an app, or of all apps together, down at once than the plan
/// and the cluster's limits allow. What is down for other reasons counts, and so does every kill of ours
/// that is not proven to be over, answered or not.
pub fn judge(q: &Question<'_>) -> Answer {
    let apps = q.of_each_app(|app, _| of_app(q, app));
    if !apps.passes() {
        return apps;
    }
    let step = q.tasks();
    if let Some(most) = q.plan.blast_radius.max_tasks_in_all {
        let down: usize = q
            .facts
            .ledger
            .charged()
            .filter(|(run, _)| run.plan.policy == q.plan.policy)
            .map(|(_, intent)| intent.targets.len())
            .sum();
        let down = u32::try_from(down).unwrap_or(u32::MAX);
        if down.saturating_add(step) > most {
            return Answer::Refuse(format!(
                "{step} more would exceed maxTasksInAll {most} of policy {}: {down} are charged",
                q.plan.policy
            ));
        }
    }
    let down = q.facts.ledger.charged_tasks(&q.plan.cluster);
    if down + step > q.facts.limits.tasks_down {
        return Answer::Refuse(format!(
            "{step} more would exceed the cluster's limit of {} tasks down by us at once: {down} are charged",
            q.facts.limits.tasks_down
        ));
    }
    apps
}

/// One app against its own allowance. An app of the plan that this step leaves alone counts too: what of
/// it is down already may be down because of us.
fn of_app(q: &Question<'_>, app: &App) -> Answer {
    let used = usage(q.facts.ledger, &q.plan.cluster, app);
    let step = q.step.kills_of(&app.id);
    let allowance = q.plan.blast_radius.allowance(app.instances);
    let counted = format!(
        "{} of {} healthy, {} charged to us, {} down for other reasons",
        app.healthy(),
        app.instances,
        used.charged,
        used.others
    );
    if allowance == 0 {
        return Answer::Refuse(format!(
            "the blast radius of {} rounds down to 0 (maxTasks {}, {} % of {}, minHealthy {})",
            app.id,
            q.plan.blast_radius.max_tasks,
            q.plan.blast_radius.max_percent,
            app.instances,
            q.plan.blast_radius.min_healthy
        ));
    }
    if used.charged + used.others + step > allowance {
        return Answer::Refuse(format!(
            "{step} more would exceed the blast radius of {allowance}: {counted}"
        ));
    }
    if app.healthy() < q.plan.blast_radius.min_healthy.saturating_add(step) {
        return Answer::Refuse(format!(
            "{step} more would leave fewer than {} healthy: {counted}",
            q.plan.blast_radius.min_healthy
        ));
    }
    Answer::Pass(format!("{step} of at most {allowance}: {counted}"))
}

/// What counts against an app's blast radius.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Tasks that every intent not proven over may have taken.
    pub charged: u32,
    /// Further instances that do not serve.
    pub others: u32,
}

/// Counts what is down, or may be, without counting a task twice.
///
/// A charged task that shows as not serving explains one missing instance; a charged task that still
/// serves (its kill may yet land) is charged on top of what is missing.
pub fn usage(ledger: &Ledger, cluster: &ClusterName, app: &App) -> Usage {
    let mut charged = 0;
    let mut explained = 0;
    for (_, intent) in ledger.charged().filter(|(run, _)| run.plan.cluster == *cluster) {
        let answered: BTreeSet<_> = match &intent.state {
            IntentState::Acked { tasks, .. } => tasks.iter().collect(),
            _ => BTreeSet::new(),
        };
        for target in intent.targets.iter().filter(|t| t.app == app.id) {
            charged += 1;
            let serves = app.tasks.iter().any(|task| {
                (task.instance == target.instance || task.id == target.task || answered.contains(&task.id))
                    && app.is_healthy(task)
            });
            explained += u32::from(!serves);
        }
    }
    Usage {
        charged,
        others: app.missing().saturating_sub(explained),
    }
}
