//! Which agent a task runs on, and which place that agent is at. What can't be told is never guessed.

use crate::model::ids::{AgentId, Word};
use crate::model::policy::Attribute;
use crate::model::snapshot::{Agent, AttributeValue, Task};
use std::collections::BTreeMap;

/// The agents of a cluster, to be looked up.
pub struct Agents<'a> {
    all: &'a [Agent],
    by_id: BTreeMap<&'a AgentId, &'a Agent>,
    by_host: BTreeMap<&'a str, Vec<&'a Agent>>,
}

impl<'a> Agents<'a> {
    /// Takes in what Mesos listed.
    pub fn of(all: &'a [Agent]) -> Self {
        let mut by_host: BTreeMap<&str, Vec<&Agent>> = BTreeMap::new();
        for agent in all {
            by_host.entry(agent.host.as_str()).or_default().push(agent);
        }
        Self {
            all,
            by_id: all.iter().map(|agent| (&agent.id, agent)).collect(),
            by_host,
        }
    }

    /// All of them, as listed.
    pub fn all(&self) -> &'a [Agent] {
        self.all
    }

    /// The agent of a task: by its agent id, and by its host only where that names exactly one agent. An
    /// agent that registered anew has a new id, while the rows of its tasks keep the old one; and two
    /// agents may share a host.
    ///
    /// # Errors
    ///
    /// Why it can't be told, in a sentence.
    pub fn find(&self, task: &Task) -> Result<&'a Agent, String> {
        if let Some(agent) = task.agent.as_ref().and_then(|id| self.by_id.get(id)) {
            return Ok(agent);
        }
        let named = match &task.agent {
            Some(id) => format!("Mesos lists no agent {id}"),
            None => "Marathon names no agent for it".to_owned(),
        };
        match self.by_host.get(task.host.as_str()).map(Vec::as_slice) {
            Some([one]) => Ok(one),
            None | Some([]) => Err(format!("{named} and none on host {:?}", task.host)),
            Some(several) => Err(format!(
                "{named}, and {} agents share host {:?}",
                several.len(),
                task.host
            )),
        }
    }
}

/// The value of an attribute at an agent, for one of its tasks; `None` where the agent has none and so is
/// at no such place.
///
/// Mesos knows regions and zones from 1.4 on. Where it tells none, the task's row does from Marathon 1.6
/// on: Marathon copied it from the same agent's offer.
///
/// # Errors
///
/// Why it can't be told: the agent has several values, or Mesos and Marathon disagree.
pub fn place(attribute: &Attribute, agent: &Agent, task: &Task) -> Result<Option<AttributeValue>, String> {
    let domain = |of_agent: &Option<String>, of_task: &Option<Word>| match (of_agent, of_task) {
        (Some(agent_says), Some(task_says)) if agent_says != task_says.as_str() => Err(format!(
            "Mesos says {attribute} {agent_says} and Marathon {attribute} {task_says}"
        )),
        (Some(value), _) => Ok(Some(AttributeValue::Text(value.clone()))),
        (None, Some(value)) => Ok(Some(AttributeValue::Text(value.to_string()))),
        (None, None) => Ok(None),
    };
    match attribute {
        Attribute::Hostname => Ok(Some(AttributeValue::Text(agent.host.clone()))),
        Attribute::Region => domain(&agent.region, &task.region),
        Attribute::Zone => domain(&agent.zone, &task.zone),
        Attribute::Named(name) => match agent.attributes.get(name).map(Vec::as_slice) {
            None | Some([]) => Ok(None),
            Some([value]) => Ok(Some(value.clone())),
            Some(several) => Err(format!(
                "agent {} has attribute {name} more than once: {}",
                agent.id,
                several
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(", ")
            )),
        },
    }
}

/// All values of an attribute at an agent by itself, without a task to tell more.
pub fn values(attribute: &Attribute, agent: &Agent) -> Vec<AttributeValue> {
    let one = |value: &Option<String>| value.iter().cloned().map(AttributeValue::Text).collect();
    match attribute {
        Attribute::Hostname => vec![AttributeValue::Text(agent.host.clone())],
        Attribute::Region => one(&agent.region),
        Attribute::Zone => one(&agent.zone),
        Attribute::Named(name) => agent.attributes.get(name).cloned().unwrap_or_default(),
    }
}
