//! The deployment gate: is Marathon busy with an app of the plan?

use super::Question;
use crate::model::gate::Answer;
use crate::model::snapshot::App;

/// Refuses while a deployment holds an app of the plan or while its launches are delayed: a kill would then measure
/// Marathon's business and not the app's resilience. On Marathon up to 1.7 it also refuses while a kill
/// of ours is outstanding, because Marathon would drop the next one and still answer 200.
pub fn judge(q: &Question<'_>) -> Answer {
    q.of_each_app(|app, _| of_app(q, app))
}

fn of_app(q: &Question<'_>, app: &App) -> Answer {
    if let Some(deployment) = app.deployments.first() {
        return Answer::Refuse(format!("deployment {deployment} is at work on {}", app.id));
    }
    if let Some(seconds) = app.launch_delay_s.filter(|s| *s > 0) {
        return Answer::Refuse(format!(
            "Marathon delays launches of {} for another {seconds} s: a replacement would wait as long",
            app.id
        ));
    }
    let Some(info) = &q.facts.snapshot.info else {
        return Answer::Unknown("Marathon did not say its version".into());
    };
    let outstanding = q
        .facts
        .ledger
        .charged()
        .any(|(run, _)| run.plan.cluster == q.plan.cluster && run.plan.apps.contains(&app.id));
    if !info.version.stable_instances() && outstanding {
        return Answer::Refuse(format!(
            "a kill on {} is outstanding, and Marathon {} would silently drop another",
            app.id, info.version
        ));
    }
    Answer::Pass(format!("no deployment and no launch delay on {}", app.id))
}
