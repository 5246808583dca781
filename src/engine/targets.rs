//! Which apps and tasks may be hit: candidates, exclusions with reasons, and the seeded choice.

use super::ownership::{Consent, Ownership};
use crate::model::experiment::Control;
use crate::model::policy::{Fairness, Limits, Policy};
use crate::model::snapshot::{App, Task, TaskState};
use crate::model::view::Exclusion;
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

/// Whether an app may be hit under a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It may; with remarks for the plan.
    Yes(Vec<String>),
    /// It may not.
    No(String),
    /// That can't be known.
    Unknown(String),
}

/// Asks whether an app is meant at all: named by the policy, not forbidden, opted in by its owner.
pub fn is_meant(policy: &Policy, app: &App, limits: &Limits, ownership: &Ownership) -> Fit {
    if !policy.scope.names(&app.id, &app.labels) {
        return Fit::No(format!("{} is not in the policy's target", app.id));
    }
    if let Some(pattern) = limits.forbidden_apps.iter().find(|p| p.matches(&app.id)) {
        return Fit::No(format!("{} is forbidden by the settings ({pattern})", app.id));
    }
    match &policy.hypothesis.control {
        control if control.left_alone() == Some(&app.id) => {
            return Fit::No(format!("{} is the control group: it is left alone", app.id));
        }
        Control::Parallel { experiment, .. } if *experiment != app.id => {
            return Fit::No(format!(
                "{} is not the experimental group, {experiment} is",
                app.id
            ));
        }
        _ => {}
    }
    match ownership.consent(app, &policy.team) {
        Consent::Yes(remark) => Fit::Yes(vec![remark]),
        Consent::No(why) => Fit::No(why),
        Consent::Unknown(why) => Fit::Unknown(why),
    }
}

/// Asks everything about an app that does not depend on the moment.
pub fn fits(policy: &Policy, app: &App, limits: &Limits, ownership: &Ownership) -> Fit {
    let mut remarks = match is_meant(policy, app, limits, ownership) {
        Fit::Yes(remarks) => remarks,
        no => return no,
    };
    if app.instances < 2 {
        return Fit::No(format!(
            "{} has {} instance: nothing would be left",
            app.id, app.instances
        ));
    }
    if app.resident {
        return Fit::No(format!(
            "{} is resident: its tasks are bound to a volume on one agent and may not come back",
            app.id
        ));
    }
    if !app.health_checked {
        if !policy.scope.allow_no_health_check {
            return Fit::No(format!(
                "{} has no health check: nobody could tell when it is whole again \
                 (`target.tasks.allowNoHealthCheck: true` takes running for healthy)",
                app.id
            ));
        }
        remarks.push(format!(
            "{} has no health check: running counts as healthy",
            app.id
        ));
    }
    Fit::Yes(remarks)
}

/// Why a task may not be chosen now; `None` when it may.
pub fn unfit_task(policy: &Policy, app: &App, task: &Task, now: DateTime<Utc>) -> Option<String> {
    if task.state != TaskState::Running {
        return Some(format!("it is not running ({:?})", task.state));
    }
    let Some(started) = task.started_at else {
        return Some("nobody knows when it started".into());
    };
    let age = (now - started).to_std().unwrap_or_default();
    if age < policy.scope.min_age {
        return Some(format!(
            "it is {} s old, `minAge` is {} s",
            age.as_secs(),
            policy.scope.min_age.as_secs()
        ));
    }
    if policy.scope.healthy_only && !app.is_healthy(task) {
        return Some("it does not count as healthy".into());
    }
    None
}

/// Tasks of an app that may be chosen, in the order in which the seed draws them, and the others.
pub fn draw<'a>(
    policy: &Policy,
    app: &'a App,
    lot: &Lot<'_>,
    now: DateTime<Utc>,
) -> (Vec<&'a Task>, Vec<Exclusion>) {
    let (mut chosen, mut left_out) = (vec![], vec![]);
    for task in &app.tasks {
        match unfit_task(policy, app, task, now) {
            None => chosen.push(task),
            Some(why) => left_out.push(Exclusion {
                what: task.id.to_string(),
                why,
            }),
        }
    }
    chosen.sort_by_cached_key(|task| lot.rank(task.id.as_str()));
    (chosen, left_out)
}

/// What apps that share one turn have in common.
pub fn turn(policy: &Policy, app: &App) -> String {
    match &policy.scope.one_per {
        Fairness::App => app.id.to_string(),
        Fairness::Group => app
            .id
            .as_str()
            .rsplit_once('/')
            .map_or("", |(group, _)| group)
            .to_owned(),
        Fairness::Label(key) => app.labels.get(key.as_str()).cloned().unwrap_or_default(),
    }
}

/// A draw that anyone can repeat: ranks by SHA-256, so that it does not change when other tasks come and
/// go, when the operator restarts, or on another replica.
#[derive(Clone, Copy, Debug)]
pub struct Lot<'a> {
    /// The installation's secret seed.
    pub seed: &'a str,
    /// What the draw is for: a policy and an instant, or a policy and a request.
    pub purpose: &'a str,
}

impl Lot<'_> {
    /// The rank of an item; the smallest is drawn first.
    pub fn rank(&self, item: &str) -> [u8; 32] {
        Sha256::digest(format!("v1|{}|{}|pick|{item}", self.seed, self.purpose).as_bytes()).into()
    }

    /// Heads or tails.
    pub fn coin(&self, item: &str) -> bool {
        self.rank(item)[0] & 1 == 1
    }

    /// A number from 1 to `most`.
    pub fn up_to(&self, most: u32) -> u32 {
        let rank = self.rank("number");
        let number = u64::from_be_bytes(rank[..8].try_into().unwrap_or_default());
        1 + u32::try_from(number % u64::from(most.max(1))).unwrap_or(0)
    }
}
