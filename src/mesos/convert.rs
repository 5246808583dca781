//! What a master wrote, as nouns.
//!
//! One entry that can't be understood makes the whole list unusable: an agent left out would turn its
//! tasks into tasks of nobody, or, through a host name it shares, of another agent.

use super::wire;
use crate::model::snapshot::{Agent, AgentState, AttributeValue};
use std::collections::{BTreeMap, BTreeSet};

/// The agents of an answer.
///
/// # Errors
///
/// What can't be understood, in a sentence.
pub(super) fn agents(body: &[u8]) -> Result<Vec<Agent>, String> {
    let all: wire::Slaves =
        serde_json::from_slice(body).map_err(|error| format!("its list of agents is not one: {error}"))?;
    let registered = all.slaves.into_iter().map(|s| (s, false));
    let recovered = all.recovered_slaves.into_iter().map(|s| (s, true));
    let mut ids = BTreeSet::new();
    let mut agents = vec![];
    for (slave, recovered) in registered.chain(recovered) {
        if slave.id.is_empty() || slave.hostname.is_empty() {
            return Err(format!(
                "it lists an agent without id or host name (id {:?}, host {:?})",
                slave.id, slave.hostname
            ));
        }
        if !ids.insert(slave.id.clone()) {
            return Err(format!("it lists agent {} twice", slave.id));
        }
        agents.push(agent(slave, recovered));
    }
    Ok(agents)
}

fn agent(slave: wire::Slave, recovered: bool) -> Agent {
    let state = match (recovered, slave.active, slave.deactivated) {
        (true, ..) => AgentState::Recovered,
        (false, Some(true), None | Some(false)) => AgentState::Active,
        (false, ..) => AgentState::Inactive,
    };
    let mut attributes: BTreeMap<String, Vec<AttributeValue>> = BTreeMap::new();
    for (name, value) in slave.attributes.0 {
        let value = match value {
            wire::Attribute::Text(text) => AttributeValue::Text(text),
            wire::Attribute::Scalar(number) => AttributeValue::number(number),
        };
        let values = attributes.entry(name).or_default();
        if !values.contains(&value) {
            values.push(value);
        }
    }
    let domain = slave.domain.and_then(|d| d.fault_domain);
    let (region, zone) = match domain {
        Some(domain) => (Some(domain.region.name), Some(domain.zone.name)),
        None => (None, None),
    };
    Agent {
        id: slave.id.as_str().into(),
        host: slave.hostname,
        attributes,
        region,
        zone,
        state,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(entry: &str) -> Agent {
        agents(format!("{{\"slaves\":[{entry}]}}").as_bytes())
            .unwrap()
            .remove(0)
    }

    #[test]
    fn attributes_keep_their_kind_and_a_key_that_comes_twice_keeps_both_values() {
        let agent = one(
            r#"{"id":"S1","hostname":"a1","active":true,"resources":{"cpus":4.0},
                "attributes":{"rack":"r1","rack":"r2","gen":3.0,"load":0.5,"slots":"[1-5]","disks":"{a, b}"}}"#,
        );
        let of = |name: &str| {
            agent.attributes[name]
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        assert_eq!(of("rack"), ["r1", "r2"]);
        assert_eq!(agent.attributes["gen"], [AttributeValue::Number("3".into())]);
        assert_eq!(of("load"), ["0.5"]);
        assert_eq!(of("slots"), ["[1-5]"]);
        assert_eq!(of("disks"), ["{a, b}"]);
        assert_eq!((agent.region, agent.zone), (None, None));
    }

    #[test]
    fn fault_domains_are_read_where_there_are_any() {
        let agent = one(r#"{"id":"S1","hostname":"a1","active":true,
                "domain":{"fault_domain":{"region":{"name":"eu"},"zone":{"name":"z1"}}}}"#);
        assert_eq!(
            (agent.region.as_deref(), agent.zone.as_deref()),
            (Some("eu"), Some("z1"))
        );
    }

    #[test]
    fn only_a_registered_connected_agent_is_active() {
        #[track_caller]
        fn check(fields: &str, expected: AgentState) {
            assert_eq!(
                one(&format!(r#"{{"id":"S1","hostname":"a1"{fields}}}"#)).state,
                expected
            );
        }
        check(r#","active":true"#, AgentState::Active);
        check(r#","active":true,"deactivated":false"#, AgentState::Active);
        check(r#","active":true,"deactivated":true"#, AgentState::Inactive);
        check(r#","active":false"#, AgentState::Inactive);
        check("", AgentState::Inactive);
        let all = agents(br#"{"slaves":[],"recovered_slaves":[{"id":"S1","hostname":"a1"}]}"#).unwrap();
        assert_eq!(all[0].state, AgentState::Recovered);
    }

    #[test]
    fn a_list_that_is_not_understood_is_none() {
        #[track_caller]
        fn check(body: &str, expected: &str) {
            let why = agents(body.as_bytes()).unwrap_err();
            assert!(why.contains(expected), "{why}");
        }
        check("<html>", "is not one");
        check("{}", "is not one");
        check(r#"{"slaves":[{"hostname":"a1"}]}"#, "missing field `id`");
        check(
            r#"{"slaves":[{"id":"","hostname":"a1"}]}"#,
            "without id or host name",
        );
        check(
            r#"{"slaves":[{"id":"S1","hostname":"a1"}],"recovered_slaves":[{"id":"S1","hostname":"a1"}]}"#,
            "agent S1 twice",
        );
        check(
            r#"{"slaves":[{"id":"S1","hostname":"a1","attributes":{"x":[1]}}]}"#,
            "is not one",
        );
        check(
            r#"{"slaves":[{"id":"S1","hostname":"a1","attributes":[]}]}"#,
            "is not one",
        );
    }
}
