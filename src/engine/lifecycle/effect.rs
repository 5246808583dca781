//! Kills that Marathon accepted and that have no effect.
//!
//! Marathon up to 1.7 answers 200 and drops a kill while the app is locked; any Marathon does nothing about an
//! unreachable resident task; and a leader that ends right after its answer forgets the kill.

use crate::model::ids::TaskId;
use crate::model::run::{Intent, IntentState};
use crate::model::snapshot::{App, ClusterInfo, Health, Task, TaskState};
use chrono::{DateTime, TimeDelta, Utc};

/// How often Marathon repeats a kill that Mesos has not confirmed: 30 s from 1.5.12 on, 10 s before
/// (`KillConfig`).
pub const KILL_RETRY: TimeDelta = TimeDelta::seconds(30);
/// From SIGTERM to SIGKILL where the app does not say: Mesos' executors take 3 s, Docker's stop up to 10 s.
const USUAL_GRACE: TimeDelta = TimeDelta::seconds(10);

/// How long an accepted kill may take to show: the app's grace period and two of Marathon's own attempts.
pub(super) fn within(app: &App, kill_retry: TimeDelta) -> TimeDelta {
    grace(app) + kill_retry * 2
}

fn grace(app: &App) -> TimeDelta {
    let told = app.kill_grace_s.and_then(|s| i64::try_from(s).ok());
    told.and_then(TimeDelta::try_seconds)
        .map_or(USUAL_GRACE, |told| told.max(USUAL_GRACE))
}

/// Whether it is proven that a kill did nothing: every task that Marathon named has answered a health check
/// after its grace would have been over, so none was asked to end, and nothing else of these apps is down.
pub(super) fn never_came(apps: &[&App], tasks: &[TaskId], answered: DateTime<Utc>) -> bool {
    let is_well = |id: &TaskId| {
        apps.iter().any(|app| {
            let over = answered + grace(app);
            let mut rows = app.tasks.iter();
            rows.any(|t| t.id == *id && app.is_healthy(t) && well_after(t, over))
        })
    };
    tasks.iter().all(is_well) && apps.iter().all(|app| app.healthy() >= app.instances)
}

fn well_after(task: &Task, moment: DateTime<Utc>) -> bool {
    matches!(&task.health, Health::Reported { last_success: Some(success), .. } if *success > moment)
}

/// What people are told when an accepted kill should have shown by now in this app and has not.
pub fn without_effect(
    app: &App,
    intent: &Intent,
    info: &ClusterInfo,
    kill_retry: TimeDelta,
    now: DateTime<Utc>,
) -> Option<String> {
    let IntentState::Acked { tasks, at } = &intent.state else {
        return None;
    };
    if now <= *at + within(app, kill_retry) {
        return None;
    }
    let goes_on = |t: &&Task| matches!(t.state, TaskState::Running | TaskState::Unreachable);
    let mut named = app.tasks.iter().filter(|t| tasks.contains(&t.id));
    let task = named.find(goes_on)?;
    let cause = if task.state == TaskState::Unreachable {
        "its agent is unreachable, so nothing can end it".to_owned()
    } else if !info.version.stable_instances() {
        format!(
            "Marathon {} answers 200 and drops a kill while the app is locked by a deployment or by another kill",
            info.version
        )
    } else {
        "a leader that ends right after its answer forgets the kill".to_owned()
    };
    let sure = if info.task_killing {
        "; this Marathon would show it as TASK_KILLING if it were ending"
    } else {
        ""
    };
    Some(format!(
        "Marathon accepted kill {} of {} {} s ago and {} still runs: {cause}{sure}",
        intent.id,
        app.id,
        (now - *at).num_seconds(),
        task.id
    ))
}
