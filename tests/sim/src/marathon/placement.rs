//! The pretend agents, and which of them an app's constraints allow.

use std::collections::BTreeMap;

use serde_json::Value;

use super::agents::AgentNode;

/// One agent, by its place in the configuration, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Agent(pub usize);

/// Whether a constraint allows an agent, given where the app's other tasks are.
fn allows(agents: &[AgentNode], constraint: &Value, agent: Agent, others: &[Agent]) -> bool {
    let value = |agent: Agent, field: &str| agents.get(agent.0).and_then(|a| a.value(field));
    let text = |n: usize| constraint[n].as_str();
    let (Some(field), Some(op)) = (text(0), text(1)) else {
        return true;
    };
    let op = op.to_uppercase();
    let Some(mine) = value(agent, field) else {
        return op == "UNLIKE";
    };
    let there: Vec<String> = others.iter().filter_map(|o| value(*o, field)).collect();
    let with_mine = there.iter().filter(|v| **v == mine).count();
    let like = |pattern: &str| {
        regex::Regex::new(&format!("^(?:{pattern})$")).is_ok_and(|pattern| pattern.is_match(&mine))
    };
    match (op.as_str(), text(2)) {
        ("UNIQUE", _) => with_mine == 0,
        ("CLUSTER", Some(value)) if !value.is_empty() => mine == value,
        ("CLUSTER", _) => there.iter().all(|v| *v == mine),
        ("MAX_PER", Some(most)) => most.parse().is_ok_and(|most: usize| with_mine < most),
        ("LIKE", Some(pattern)) => like(pattern),
        ("UNLIKE", Some(pattern)) => !like(pattern),
        ("IS", value) => mine == value.unwrap_or_default(),
        ("GROUP_BY", _) => {
            let mut counts: BTreeMap<String, usize> = (0..agents.len())
                .filter_map(|n| Some((value(Agent(n), field)?, 0)))
                .collect();
            for value in there {
                *counts.entry(value).or_default() += 1;
            }
            counts.values().min().is_none_or(|least| with_mine <= *least)
        }
        _ => true,
    }
}

/// Whether an app is grouped without saying over how many values.
pub(super) fn groups_without_number(d: &super::definition::Definition) -> bool {
    let all = d.get("constraints").and_then(Value::as_array);
    all.into_iter()
        .flatten()
        .any(|c| c[1] == "GROUP_BY" && c.get(2).is_none())
}

/// Whether an agent is where tasks go that say nothing of regions: in that of the master, for which the
/// first agent's region stands.
fn is_near(agents: &[AgentNode], agent: &AgentNode) -> bool {
    let region = |a: &AgentNode| a.value("@region");
    let home = agents.first().and_then(region);
    home.is_none() || region(agent).is_none() || region(agent) == home
}

/// The first agent from `start` on that is there and that the constraints allow.
#[must_use]
pub fn find(agents: &[AgentNode], constraints: &[Value], start: usize, others: &[Agent]) -> Option<Agent> {
    let anywhere = constraints.iter().any(|c| c[0] == "@region");
    (0..agents.len())
        .map(|n| Agent((start + n) % agents.len()))
        .filter(|agent| agents[agent.0].takes_tasks())
        .filter(|agent| anywhere || is_near(agents, &agents[agent.0]))
        .find(|agent| constraints.iter().all(|c| allows(agents, c, *agent, others)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::marathon::agents::{AgentSpec, Presence};
    use crate::marathon::state::{State, Timings, Version};
    use chrono::DateTime;
    use serde_json::json;

    #[test]
    fn constraints_choose_agents() {
        let mut s = State::new(Version::V1_11, Timings::default(), DateTime::UNIX_EPOCH);
        let one = |c: Value, others: &[Agent]| find(s.agents(), &[c], 0, others).map(|a| a.0);
        assert_eq!(one(json!(["hostname", "UNIQUE"]), &[Agent(0), Agent(1)]), Some(2));
        assert_eq!(one(json!(["hostname", "LIKE", "no-such-host"]), &[]), None);
        assert_eq!(one(json!(["@zone", "IS", "eu-b"]), &[]), Some(1));
        assert_eq!(one(json!(["rack", "GROUP_BY"]), &[Agent(0)]), Some(2));
        assert_eq!(one(json!(["rack", "CLUSTER"]), &[Agent(3)]), Some(2));
        assert_eq!(one(json!(["rack", "MAX_PER", "1"]), &[Agent(0)]), Some(2));
        assert_eq!(one(json!(["unknown", "UNLIKE", "x"]), &[]), Some(0));
        s.set_presence(Agent(0), Presence::Unreachable);
        assert_eq!(find(s.agents(), &[], 0, &[]), Some(Agent(1)));
    }

    #[test]
    fn tasks_stay_in_the_region_of_the_master_unless_a_constraint_names_regions() {
        let mut s = State::new(Version::V1_11, Timings::default(), DateTime::UNIX_EPOCH);
        s.set_agents(vec![
            AgentSpec::new("a1").domain("eu", "z"),
            AgentSpec::new("a2").domain("us", "z"),
            AgentSpec::new("a3"),
        ]);
        let from = |c: &[Value], start| find(s.agents(), c, start, &[]).map(|a| a.0);
        assert_eq!(from(&[], 1), Some(2));
        assert_eq!(from(&[json!(["@region", "IS", "us"])], 0), Some(1));
        assert_eq!(from(&[json!(["hostname", "IS", "a2"])], 0), None);
    }
}
