//! The pretend agents, and which of them an app's constraints allow.

use std::collections::BTreeMap;

use serde_json::Value;

/// How many agents there are.
pub const AGENTS: usize = 8;

/// One agent, by its number from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Agent(pub usize);

impl Agent {
    /// Its host name, which is its address too.
    #[must_use]
    pub fn host(self) -> String {
        format!("127.0.1.{}", self.0 + 1)
    }

    /// The zone of its fault domain.
    #[must_use]
    pub fn zone(self) -> &'static str {
        ["eu-a", "eu-b"][self.0 % 2]
    }

    /// The region of its fault domain.
    #[must_use]
    pub fn region(self) -> &'static str {
        "eu"
    }

    fn value(self, field: &str) -> Option<String> {
        Some(match field {
            "hostname" | "@hostname" => self.host(),
            "@zone" => self.zone().to_owned(),
            "@region" => self.region().to_owned(),
            "rack" => format!("rack-{}", self.0 / 2 + 1),
            "zone" => format!("zone-{}", self.0 % 2 + 1),
            "row" => format!("row-{}", self.0 / 4 + 1),
            _ => return None,
        })
    }
}

/// Whether a constraint allows an agent, given where the app's other tasks are.
fn allows(constraint: &Value, agent: Agent, others: &[Agent]) -> bool {
    let text = |n: usize| constraint[n].as_str();
    let (Some(field), Some(op)) = (text(0), text(1)) else {
        return true;
    };
    let op = op.to_uppercase();
    let Some(mine) = agent.value(field) else {
        return op == "UNLIKE";
    };
    let there: Vec<String> = others.iter().filter_map(|o| o.value(field)).collect();
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
            let mut counts: BTreeMap<String, usize> = (0..AGENTS)
                .filter_map(|n| Some((Agent(n).value(field)?, 0)))
                .collect();
            for value in there {
                *counts.entry(value).or_default() += 1;
            }
            counts.values().min().is_none_or(|least| with_mine <= *least)
        }
        _ => true,
    }
}

/// The first agent from `start` on that the constraints allow.
#[must_use]
pub fn find(constraints: &[Value], start: usize, others: &[Agent]) -> Option<Agent> {
    (0..AGENTS)
        .map(|n| Agent((start + n) % AGENTS))
        .find(|agent| constraints.iter().all(|c| allows(c, *agent, others)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn constraints_choose_agents() {
        let one = |c: Value, others: &[Agent]| find(&[c], 0, others).map(|a| a.0);
        assert_eq!(one(json!(["hostname", "UNIQUE"]), &[Agent(0), Agent(1)]), Some(2));
        assert_eq!(one(json!(["hostname", "LIKE", "no-such-host"]), &[]), None);
        assert_eq!(one(json!(["@zone", "IS", "eu-b"]), &[]), Some(1));
        assert_eq!(one(json!(["rack", "GROUP_BY"]), &[Agent(0)]), Some(2));
        assert_eq!(one(json!(["rack", "CLUSTER"]), &[Agent(3)]), Some(2));
        assert_eq!(one(json!(["rack", "MAX_PER", "1"]), &[Agent(0)]), Some(2));
        assert_eq!(one(json!(["unknown", "UNLIKE", "x"]), &[]), Some(0));
    }
}
