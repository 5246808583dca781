//! What the door is told to do to agents and to the Mesos masters.

use serde_json::{Value, json};

use super::said::Said;
use crate::marathon::agents::Presence;
use crate::marathon::http::{Context, lock};
use crate::marathon::placement::Agent;
use crate::marathon::state::State;

/// The agents as the door shows them.
pub(super) fn shown(s: &State) -> Value {
    let one = |(n, a): (usize, &crate::marathon::agents::AgentNode)| {
        let attributes: Vec<String> = a
            .spec
            .attributes
            .0
            .iter()
            .map(|(k, v)| format!("{k}:{v}"))
            .collect();
        let mut one = json!({
            "number": n + 1, "host": a.spec.host, "id": s.agent_id(Agent(n)), "is": name(s, Agent(n)),
            "attributes": attributes.join(";"), "tasks": s.tasks_of_agent(Agent(n)),
        });
        if let Some((region, zone)) = &a.spec.domain {
            one["region"] = json!(region);
            one["zone"] = json!(zone);
        }
        one
    };
    let agents: Vec<Value> = s.agents().iter().enumerate().map(one).collect();
    json!({"agents": agents, "mesos": {"leader": s.mesos.leader(), "recovering": s.mesos.recovering}})
}

fn name(s: &State, agent: Agent) -> &'static str {
    if s.is_silent(Some(agent)) {
        return "silent";
    }
    match s.agents()[agent.0].presence {
        Presence::Active => "active",
        Presence::Deactivated => "deactivated",
        Presence::Disconnected => "disconnected",
        Presence::Recovered => "recovered",
        Presence::Unreachable => "unreachable",
    }
}

pub(super) fn agents(context: &Context, said: &mut Said) -> Result<(), String> {
    let which = said.needed("agent", "a host name, an id, or a number from \"1\"")?;
    let order = said.needed("do", "\"lose\"")?;
    said.nothing_else()?;
    let mut s = lock(&context.state);
    let agent = s
        .find_agent(&which)
        .ok_or_else(|| format!("there is no agent {which}; GET /sim/agents lists them"))?;
    match order.as_str() {
        "silence" => s.silence_agent(agent),
        "lose" => s.lose_agent(agent),
        "return" => s.return_agent(agent),
        "register" => s.register_anew(agent),
        "deactivate" => s.set_presence(agent, Presence::Deactivated),
        "disconnect" => s.set_presence(agent, Presence::Disconnected),
        "recover" => s.set_presence(agent, Presence::Recovered),
        other => {
            return Err(format!(
                "\"do\" is \"{other}\"; there is silence, lose, return, register, deactivate, disconnect, recover"
            ));
        }
    }
    Ok(())
}

pub(super) fn mesos(context: &Context, said: &mut Said) -> Result<(), String> {
    let order = said.needed("do", "\"depose\"")?;
    said.nothing_else()?;
    let masters = &mut lock(&context.state).mesos;
    match order.as_str() {
        "depose" => masters.depose(),
        "elect" => {
            if !masters.elect_last() {
                return Err("no master has ever led".to_owned());
            }
        }
        "recover" => masters.recovering = true,
        "recovered" => masters.recovering = false,
        other => {
            return Err(format!(
                "\"do\" is \"{other}\"; there is depose, elect, recover, recovered"
            ));
        }
    }
    Ok(())
}
