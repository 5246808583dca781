//! The target gate: are the planned tasks still there, opted in and allowed?

use super::Question;
use crate::engine::faults::agent_outage;
use crate::engine::targets::{self, Fit};
use crate::model::gate::Answer;
use crate::model::plan::PlannedApp;
use crate::model::policy::Policy;
use crate::model::snapshot::App;

/// Refuses when an app of the plan may no longer be hit, or when any task of the step is not exactly the
/// incarnation that was planned, running and, where the policy says so, healthy. An outage of agents
/// also has to be whole still.
pub fn judge(q: &Question<'_>) -> Answer {
    let policy = match q.facts.policy {
        Ok(policy) => policy,
        Err(why) => return Answer::Unknown(format!("without an active policy nothing is a target: {why}")),
    };
    // A target of an app that the plan does not name would be seen by no gate.
    if let Some(stray) = q.step.targets.iter().find(|t| !q.plan.apps.contains(&t.app)) {
        return Answer::Refuse(format!(
            "planned task {} is of {}, which is not an app of the plan",
            stray.task, stray.app
        ));
    }
    let apps = q.of_each_app(|app, planned| of_app(q, policy, app, planned));
    match &q.plan.outage {
        Some(outage) if apps.passes() => agent_outage::stands(q, policy, outage),
        _ => apps,
    }
}

fn of_app(q: &Question<'_>, policy: &Policy, app: &App, planned: &PlannedApp) -> Answer {
    match targets::fits(policy, app, q.facts.limits, q.facts.ownership) {
        Fit::Yes(_) => {}
        Fit::No(why) => return Answer::Refuse(why),
        Fit::Unknown(why) => return Answer::Unknown(why),
    }
    if app.version != planned.version {
        return Answer::Refuse(format!(
            "the definition of {} changed after the plan was made",
            app.id
        ));
    }
    for target in q.step.targets.iter().filter(|t| t.app == app.id) {
        let Some(task) = app.tasks.iter().find(|t| t.id == target.task) else {
            return Answer::Refuse(format!("planned task {} is gone", target.task));
        };
        if let Some(why) = targets::unfit_task(policy, app, task, q.facts.now) {
            return Answer::Refuse(format!("planned task {}: {why}", target.task));
        }
    }
    Answer::Pass(format!(
        "{} planned tasks of {} are there and may be hit",
        q.step.kills_of(&app.id),
        app.id
    ))
}
