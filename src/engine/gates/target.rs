//! The target gate: are the planned tasks still there, opted in and allowed?

use super::Question;
use crate::engine::targets::{self, Fit};
use crate::model::gate::Answer;

/// Refuses when the app may no longer be hit, or when any task of the step is not exactly the
/// incarnation that was planned, running and, where the policy says so, healthy.
pub fn judge(q: &Question<'_>) -> Answer {
    let app = match q.app() {
        Ok(app) => app,
        Err(answer) => return answer,
    };
    let policy = match q.facts.policy {
        Ok(policy) => policy,
        Err(why) => return Answer::Unknown(format!("without an active policy nothing is a target: {why}")),
    };
    match targets::fits(policy, app, q.facts.limits, q.facts.ownership) {
        Fit::Yes(_) => {}
        Fit::No(why) => return Answer::Refuse(why),
        Fit::Unknown(why) => return Answer::Unknown(why),
    }
    if app.version != q.plan.app_version {
        return Answer::Refuse(format!(
            "the definition of {} changed after the plan was made",
            app.id
        ));
    }
    for target in &q.step.targets {
        let Some(task) = app.tasks.iter().find(|t| t.id == target.task) else {
            return Answer::Refuse(format!("planned task {} is gone", target.task));
        };
        if let Some(why) = targets::unfit_task(policy, app, task, q.facts.now) {
            return Answer::Refuse(format!("planned task {}: {why}", target.task));
        }
    }
    Answer::Pass(format!(
        "{} planned tasks of {} are there and may be hit",
        q.step.targets.len(),
        app.id
    ))
}
