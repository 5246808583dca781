//! Agents that the Mesos master loses and finds again, and what becomes of their tasks.
//!
//! An agent that falls silent is given up after [`Watch::agent_timeout`]; until then its tasks look as
//! if they ran. Then each of them is unreachable. After `inactiveAfterSeconds` it does not count any more
//! and another takes its place; after `expungeAfterSeconds` it is forgotten, and killed if it returns.
//! With 0 both happen at once; other times are looked at only now and then, as the real one does.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::agents::Presence;
use super::definition;
use super::placement::Agent;
use super::state::{App, Instance, Phase, State, span};

/// How long it takes until agents and their tasks are given up.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    /// From the last word of an agent to the moment when Mesos gives it up; 75 s on a real cluster.
    pub agent_timeout: Duration,
    /// How often Marathon looks whether unreachable tasks are inactive.
    pub reconcile_interval: Duration,
    /// How often it looks whether inactive tasks are to be forgotten.
    pub expunge_interval: Duration,
    /// How often it looks whether an app has too many tasks.
    pub scale_interval: Duration,
}

impl Default for Watch {
    /// As the real ones, but for the agents, which are given up after 2 s.
    fn default() -> Self {
        Self {
            agent_timeout: Duration::from_secs(2),
            reconcile_interval: Duration::from_secs(600),
            expunge_interval: Duration::from_secs(30),
            scale_interval: Duration::from_secs(300),
        }
    }
}

/// A task that Marathon has forgotten and that may return with its agent.
#[derive(Clone, Debug)]
pub(super) struct Orphan {
    agent: Agent,
    app: String,
    instance: String,
    /// When it dies, once its agent is back and Marathon has asked for its death.
    dies: Option<DateTime<Utc>>,
}

/// What Marathon looks at now and then, and when next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rounds {
    /// Which unreachable tasks are inactive.
    reconcile: DateTime<Utc>,
    /// Which inactive tasks are to be forgotten.
    expunge: DateTime<Utc>,
    /// Which apps have too many tasks.
    scale: DateTime<Utc>,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Round {
    GiveUp(Agent),
    Reconcile,
    Expunge,
    Scale,
    Orphan(usize),
}

impl Rounds {
    pub(super) fn from(now: DateTime<Utc>, t: &Watch) -> Self {
        Self {
            reconcile: now + span(t.reconcile_interval),
            expunge: now + span(t.expunge_interval),
            scale: now + span(t.scale_interval),
        }
    }
}

/// After how long an unreachable task is inactive, and after how long it is forgotten; neither ever when
/// the app says so.
fn strategy(a: &App) -> Option<(TimeDelta, TimeDelta)> {
    let said = a.definition.get("unreachableStrategy");
    if said.is_some_and(Value::is_string) || definition::resident(&a.definition) {
        return None;
    }
    let seconds = |key: &str| {
        let said = said.and_then(|s| s[key].as_i64()).unwrap_or(0);
        TimeDelta::seconds(said.clamp(0, 1 << 40))
    };
    Some((seconds("inactiveAfterSeconds"), seconds("expungeAfterSeconds")))
}

impl State {
    /// Says how long it takes until agents and their tasks are given up.
    pub fn set_watch(&mut self, watch: Watch) {
        self.watch = watch;
        self.rounds = Rounds::from(self.now, &watch);
    }

    /// An agent says nothing any more; its tasks are dead or cut off. Mesos gives it up after a while.
    pub fn silence_agent(&mut self, agent: Agent) {
        let due = self.now + span(self.watch.agent_timeout);
        if let Some(a) = self.agents.get_mut(agent.0)
            && a.presence == Presence::Active
        {
            a.given_up_at.get_or_insert(due);
        }
    }

    /// Mesos gives an agent up now.
    pub fn lose_agent(&mut self, agent: Agent) {
        let now = self.now;
        self.give_agent_up(agent, now);
        self.progress(now);
    }

    /// A silent or lost agent is back, with the tasks that it had.
    pub fn return_agent(&mut self, agent: Agent) {
        let at = self.now;
        let Some(a) = self.agents.get_mut(agent.0) else {
            return;
        };
        a.presence = Presence::Active;
        a.given_up_at = None;
        let dies = at + span(self.timings.kill_delay);
        for (app, uuid) in self.tasks_on(agent, |i| i.phase.is_unreachable()) {
            let Some(i) = self.instance_mut(&app, &uuid) else {
                continue;
            };
            i.phase = Phase::Running;
            i.since = at;
            i.started_at.get_or_insert(at);
            // Marathon asks again for a kill that it has had no word of.
            if let Some(kill) = &mut i.killing {
                kill.due = dies;
            }
            self.tell_task(
                &app,
                &uuid,
                "TASK_RUNNING",
                "Unreachable agent re-reregistered",
                at,
            );
        }
        for orphan in self.orphans.iter_mut().filter(|o| o.agent == agent) {
            orphan.dies.get_or_insert(dies);
        }
        self.return_pods(agent, at);
    }

    /// The agent says nothing, and Mesos has not given it up yet.
    pub(crate) fn is_silent(&self, agent: Option<Agent>) -> bool {
        agent.is_some_and(|on| self.agents.get(on.0).is_some_and(|a| a.given_up_at.is_some()))
    }

    /// The ids of the tasks on an agent, of apps and of pods.
    pub(crate) fn tasks_of_agent(&self, agent: Agent) -> Vec<String> {
        let all = self.apps.values().chain(&self.leaving);
        let tasks = all.flat_map(|a| {
            let here = a
                .instances
                .iter()
                .filter(|i| i.on == Some(agent) && i.phase != Phase::Waiting);
            here.map(|i| self.task_id(a, i))
        });
        let mut tasks: Vec<String> = tasks.collect();
        tasks.extend(self.pod_tasks_on(agent));
        tasks
    }

    fn tasks_on(&self, agent: Agent, wanted: impl Fn(&Instance) -> bool) -> Vec<(String, String)> {
        let all = self.apps.values().chain(&self.leaving);
        all.flat_map(|a| {
            let here = a.instances.iter().filter(|i| i.on == Some(agent) && wanted(i));
            here.map(|i| (a.spec.id.clone(), i.uuid.clone()))
        })
        .collect()
    }

    fn give_agent_up(&mut self, agent: Agent, at: DateTime<Utc>) {
        let Some(a) = self.agents.get_mut(agent.0) else {
            return;
        };
        a.presence = Presence::Unreachable;
        a.given_up_at = None;
        let words = format!("Agent {} removed: health check timed out", a.spec.host);
        for (app, uuid) in self.tasks_on(agent, |i| i.phase.is_active() && !i.phase.is_unreachable()) {
            let Some(i) = self.instance_mut(&app, &uuid) else {
                continue;
            };
            i.phase = Phase::Unreachable { inactive: false };
            i.since = at;
            let Some((a, i)) = self.any(&app, &uuid) else {
                continue;
            };
            let (after, kept, unwanted) = match strategy(a) {
                None => (None, None, false),
                Some((inactive, expunged)) => (Some(inactive), Some(expunged), i.unwanted),
            };
            let at_once = after.is_some_and(|after| after.is_zero());
            self.tell_status(&app, &uuid, "TASK_UNREACHABLE", &words, at);
            let condition = if at_once {
                "UnreachableInactive"
            } else {
                "Unreachable"
            };
            self.tell_instance(&app, &uuid, condition, at);
            if at_once || unwanted {
                self.turn_inactive(&app, &uuid);
                if unwanted || kept.is_some_and(|kept| kept.is_zero()) {
                    self.forget(&app, &uuid);
                }
                self.refill(&app);
            }
        }
        self.lose_pods(agent, &words, at);
    }

    fn turn_inactive(&mut self, app: &str, uuid: &str) {
        if let Some(i) = self.instance_mut(app, uuid) {
            i.phase = Phase::Unreachable { inactive: true };
        }
    }

    /// Marathon forgets an instance whose task is out of reach; the task is killed if it returns.
    pub(super) fn forget(&mut self, app: &str, uuid: &str) {
        let Some((a, i)) = self.any(app, uuid) else {
            return;
        };
        let orphan = i.on.map(|agent| Orphan {
            agent,
            app: app.to_owned(),
            instance: self.instance_id(a, i),
            dies: None,
        });
        self.orphans.extend(orphan);
        if let Some(a) = self.any_mut(app, uuid) {
            a.instances.retain(|i| i.uuid != uuid);
        }
    }

    /// What is due next.
    pub(super) fn next_round(&self) -> Option<(DateTime<Utc>, Round)> {
        let silent = self.agents.iter().enumerate();
        let silent = silent.filter_map(|(n, a)| Some((a.given_up_at?, Round::GiveUp(Agent(n)))));
        let orphans = self.orphans.iter().enumerate();
        let orphans = orphans.filter_map(|(n, o)| Some((o.dies?, Round::Orphan(n))));
        let r = &self.rounds;
        let rounds = [
            (r.reconcile, Round::Reconcile),
            (r.expunge, Round::Expunge),
            (r.scale, Round::Scale),
        ];
        silent.chain(orphans).chain(rounds).min()
    }

    /// Skips rounds in which there is nothing to see, so that a long leap of time costs nothing.
    pub(super) fn skip_rounds(&mut self, now: DateTime<Utc>) {
        let unreachable = |a: &App| a.instances.iter().any(|i| i.phase.is_unreachable());
        let busy = self.apps.values().any(|a| unreachable(a) || too_many(a) > 0)
            || self.agents.iter().any(|a| a.given_up_at.is_some());
        if busy {
            return;
        }
        let t = self.watch;
        for (next, interval) in [
            (&mut self.rounds.reconcile, t.reconcile_interval),
            (&mut self.rounds.expunge, t.expunge_interval),
            (&mut self.rounds.scale, t.scale_interval),
        ] {
            let step = interval.as_millis().max(1);
            let passed = (now - *next).num_milliseconds();
            if let Ok(passed) = u128::try_from(passed) {
                let whole = (passed / step + 1) * step;
                *next += TimeDelta::milliseconds(i64::try_from(whole).unwrap_or(i64::MAX));
            }
        }
    }

    pub(super) fn go_round(&mut self, round: Round, at: DateTime<Utc>) {
        let t = self.watch;
        match round {
            Round::GiveUp(agent) => self.give_agent_up(agent, at),
            Round::Orphan(n) => {
                let orphan = self.orphans.remove(n);
                let data = json!({"instanceId": orphan.instance, "runSpecId": orphan.app,
                    "condition": "Killed"});
                self.emit("unknown_instance_terminated_event", data, at);
            }
            Round::Reconcile => {
                self.rounds.reconcile = at + span(t.reconcile_interval);
                let due = |a: &App, i: &Instance| {
                    let after = strategy(a).map(|(after, _)| after);
                    i.phase == Phase::Unreachable { inactive: false }
                        && after.is_some_and(|after| i.since + after <= at)
                };
                for (app, uuid) in self.instances_where(due) {
                    self.turn_inactive(&app, &uuid);
                    self.tell_instance(&app, &uuid, "UnreachableInactive", at);
                    self.refill(&app);
                }
            }
            Round::Expunge => {
                self.rounds.expunge = at + span(t.expunge_interval);
                let due = |a: &App, i: &Instance| {
                    let after = strategy(a).map(|(_, after)| after);
                    i.phase == Phase::Unreachable { inactive: true }
                        && after.is_some_and(|after| i.since + after <= at)
                };
                for (app, uuid) in self.instances_where(due) {
                    self.forget(&app, &uuid);
                }
            }
            Round::Scale => {
                self.rounds.scale = at + span(t.scale_interval);
                let crowded = self.apps.values().map(|a| (a.spec.id.clone(), too_many(a)));
                let crowded: Vec<(String, usize)> = crowded.filter(|(_, n)| *n > 0).collect();
                for (app, surplus) in crowded {
                    if self.holders(&app).next().is_none() {
                        self.give_up_some(&app, surplus, at);
                    }
                }
            }
        }
    }

    fn instances_where(&self, wanted: impl Fn(&App, &Instance) -> bool) -> Vec<(String, String)> {
        let found = self.apps.values().flat_map(|a| {
            let found = a.instances.iter().filter(|i| wanted(a, i));
            found.map(|i| (a.spec.id.clone(), i.uuid.clone()))
        });
        found.collect()
    }
}

/// How many more tasks an app has than it wants, after one of them has returned.
fn too_many(a: &App) -> usize {
    let wanted = a.instances.iter().filter(|i| i.counts()).count();
    wanted.saturating_sub(a.spec.instances as usize)
}
