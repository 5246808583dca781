//! Ends every matching task on the agents of one place. The agents stay: only what ran on them dies
//! together, so it is an outage in so far as Marathon starts the replacements elsewhere.

use crate::engine::agents::{Agents, place};
use crate::engine::constraints;
use crate::engine::gates::Question;
use crate::engine::targets::{self, Fit};
use crate::model::gate::Answer;
use crate::model::plan::{PlannedOutage, Step, Target};
use crate::model::policy::{Attribute, OutageSteps, Policy};
use crate::model::snapshot::{Agent, App, AttributeValue, GapKind, Snapshot, Task, TaskState};

/// A task of an app that runs on an agent of the place.
#[derive(Clone, Copy, Debug)]
pub struct Hit<'a> {
    /// The app.
    pub app: &'a App,
    /// The task.
    pub task: &'a Task,
    /// The agent.
    pub agent: &'a Agent,
}

/// Where every task of some apps is.
#[derive(Debug, Default)]
pub struct Located<'a> {
    /// Tasks whose agent has a value, with it.
    pub at: Vec<(Hit<'a>, AttributeValue)>,
    /// Tasks on agents without a value: at no such place.
    pub nowhere: Vec<Hit<'a>>,
    /// Tasks of which it can't be told, and why.
    pub unknown: Vec<(&'a App, &'a Task, String)>,
}

impl<'a> Located<'a> {
    /// Looks for every task that is not over.
    pub fn of(apps: impl IntoIterator<Item = &'a App>, agents: &Agents<'a>, attribute: &Attribute) -> Self {
        let mut located = Self::default();
        for app in apps {
            let live = app
                .tasks
                .iter()
                .filter(|t| !matches!(t.state, TaskState::Over(_)));
            for task in live {
                let found = agents.find(task).and_then(|agent| {
                    place(attribute, agent, task).map(|value| (Hit { app, task, agent }, value))
                });
                match found {
                    Ok((hit, Some(value))) => located.at.push((hit, value)),
                    Ok((hit, None)) => located.nowhere.push(hit),
                    Err(why) => located.unknown.push((app, task, why)),
                }
            }
        }
        located
    }

    /// The tasks at one place.
    pub fn hits(&self, value: &str) -> Vec<Hit<'a>> {
        let here = self.at.iter().filter(|(_, at)| at.is(value));
        here.map(|(hit, _)| *hit).collect()
    }

    /// Every agent that a task of this app is on, as far as known.
    pub fn hosts(&self, app: &App) -> Vec<&'a Agent> {
        let hits = self.at.iter().map(|(hit, _)| hit).chain(&self.nowhere);
        hits.filter(|hit| hit.app.id == app.id)
            .map(|hit| hit.agent)
            .collect()
    }

    /// Whether an app could come back without the agents of a place.
    ///
    /// # Errors
    ///
    /// Why not, in a sentence that names it.
    pub fn could_come_back(
        &self,
        app: &App,
        agents: &Agents<'a>,
        attribute: &Attribute,
        value: &str,
    ) -> Result<(), String> {
        let listed = agents.all().iter().filter(|agent| {
            crate::engine::agents::values(attribute, agent)
                .iter()
                .any(|v| v.is(value))
        });
        // Where only the task's row tells the zone, the agent is away all the same.
        let hit = self.hits(value).into_iter().map(|hit| hit.agent);
        let away: Vec<&Agent> = listed.chain(hit).collect();
        constraints::could_come_back(app, agents.all(), &away, &self.hosts(app))
    }
}

/// The agents of a snapshot.
///
/// # Errors
///
/// Why they could not be seen.
pub fn agents_of(snapshot: &Snapshot) -> Result<Agents<'_>, String> {
    match &snapshot.agents {
        Some(agents) => Ok(Agents::of(agents)),
        None => {
            let gap = snapshot.gaps.iter().find(|g| g.what == GapKind::Agents);
            Err(gap.map_or_else(
                || "the Mesos agents were not looked at".to_owned(),
                |g| g.why.clone(),
            ))
        }
    }
}

/// Whether what was planned is still the whole of what is at the place.
///
/// Before the first step every task that is there now has to be in the plan: a part of an outage would
/// teach something else than was approved. Later the place may have filled again, by replacements of what
/// we killed, so only the step's own tasks are asked about.
pub fn stands(q: &Question<'_>, policy: &Policy, outage: &PlannedOutage) -> Answer {
    let facts = q.facts;
    let agents = match agents_of(facts.snapshot) {
        Ok(agents) => agents,
        Err(why) => return Answer::Unknown(why),
    };
    let meant = facts.snapshot.apps_like(&policy.scope.ids).filter(|app| {
        let fit = targets::is_meant(policy, app, facts.limits, facts.ownership);
        !matches!(fit, Fit::No(_)) || q.plan.apps.contains(&app.id)
    });
    let located = Located::of(meant, &agents, &outage.attribute);
    if let Some((app, task, why)) = located.unknown.first() {
        return Answer::Unknown(format!(
            "whether task {} of {} is on {outage} is unknown: {why}",
            task.id, app.id
        ));
    }
    let there = located.hits(&outage.value);
    if let Some(gone) = q
        .step
        .targets
        .iter()
        .find(|t| !there.iter().any(|hit| hit.task.id == t.task))
    {
        return Answer::Refuse(format!("planned task {} is no longer on {outage}", gone.task));
    }
    if q.step.number == 1 {
        let planned = |hit: &&Hit<'_>| {
            let mut targets = q.plan.steps.iter().flat_map(|s| &s.targets);
            targets.any(|t| t.task == hit.task.id)
        };
        if let Some(more) = there.iter().find(|hit| !planned(hit)) {
            return Answer::Refuse(format!(
                "task {} of {} is on {outage} too and is not in the plan: it would be a part of an outage",
                more.task.id, more.app.id
            ));
        }
    }
    for app in q.plan.apps.ids().filter_map(|id| facts.snapshot.apps.get(id)) {
        if let Err(why) = located.could_come_back(app, &agents, &outage.attribute, &outage.value) {
            return Answer::Refuse(format!("{} could not come back without {outage}: {why}", app.id));
        }
    }
    Answer::Pass(format!(
        "{} planned tasks are on {outage}, and nothing else",
        q.step.targets.len()
    ))
}

/// One step for each agent, or one in all; agents in the order that `rank` gives, on each of them by app
/// and task.
pub fn steps<R: Ord>(how: OutageSteps, hits: &[Hit<'_>], rank: impl Fn(&Agent) -> R) -> Vec<Step> {
    let mut ordered = hits.to_vec();
    ordered.sort_by_cached_key(|hit| {
        (
            rank(hit.agent),
            hit.agent.id.clone(),
            hit.app.id.clone(),
            hit.task.id.clone(),
        )
    });
    let steps: Vec<&[Hit<'_>]> = match how {
        OutageSteps::AtOnce if ordered.is_empty() => vec![],
        OutageSteps::AtOnce => vec![&ordered],
        OutageSteps::PerAgent => ordered.chunk_by(|a, b| a.agent.id == b.agent.id).collect(),
    };
    (1..)
        .zip(steps)
        .map(|(number, hits)| Step {
            number,
            targets: hits.iter().map(target).collect(),
            slot: None,
        })
        .collect()
}

fn target(hit: &Hit<'_>) -> Target {
    Target {
        agent: Some(hit.agent.id.clone()),
        ..Target::of(hit.app, hit.task)
    }
}
