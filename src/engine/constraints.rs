//! Whether an app could come back without some agents, as far as its placement constraints tell.
//!
//! Marathon's operators (`Constraints.scala`): UNIQUE, CLUSTER, GROUP_BY, LIKE, UNLIKE, MAX_PER, IS. Not
//! here: resources, roles, ports. An app that passes may still find no room.

use super::agents::values;
use crate::model::policy::Attribute;
use crate::model::snapshot::{Agent, AgentState, App, AttributeValue};
use std::collections::BTreeSet;

/// Why an app could not come back on the agents that are left when those at a place are away.
///
/// `hosts` are the agents that its tasks run on now, with those that are away. A CLUSTER constraint
/// without a value holds the app where it is; one that is on several values already finds no place at all.
///
/// # Errors
///
/// The constraint that would not be met, or that is not understood, in a sentence.
pub fn could_come_back(app: &App, all: &[Agent], away: &[&Agent], hosts: &[&Agent]) -> Result<(), String> {
    let mut left: Vec<&Agent> = all
        .iter()
        .filter(|agent| agent.state == AgentState::Active)
        .filter(|agent| !away.iter().any(|gone| gone.id == agent.id))
        .collect();
    let mut counts = vec![];
    for text in &app.constraints {
        let constraint = Constraint::parse(text)
            .ok_or_else(|| format!("constraint {text} of {} is not understood", app.id))?;
        match constraint.rule {
            Rule::Only(allows) => left.retain(|agent| allows(&values(&constraint.field, agent))),
            Rule::Cluster => {
                let here: BTreeSet<_> = hosts.iter().flat_map(|a| values(&constraint.field, a)).collect();
                left.retain(|agent| {
                    let has = values(&constraint.field, agent);
                    !has.is_empty() && here.iter().all(|value| has.contains(value))
                });
            }
            Rule::AtMost(_) | Rule::AtLeast(_) => counts.push((text, constraint)),
        }
        if left.is_empty() {
            return Err(format!(
                "{} is bound by constraint {text} and no agent is left for it",
                app.id
            ));
        }
    }
    if left.is_empty() {
        return Err(format!("no agent is left for {}", app.id));
    }
    for (text, constraint) in counts {
        let places: BTreeSet<_> = left.iter().flat_map(|a| values(&constraint.field, a)).collect();
        let places = u32::try_from(places.len()).unwrap_or(u32::MAX);
        let (needs, has) = match constraint.rule {
            Rule::AtMost(per) => (app.instances.div_ceil(per.max(1)), places),
            Rule::AtLeast(least) => (least, places),
            Rule::Only(_) | Rule::Cluster => continue,
        };
        if has < needs {
            return Err(format!(
                "{} has {} instances and constraint {text}, which needs {needs} places; {has} are left",
                app.id, app.instances
            ));
        }
    }
    Ok(())
}

/// One constraint of an app's definition.
struct Constraint {
    field: Attribute,
    rule: Rule,
}

/// Whether an agent with these values is allowed.
type Allows = Box<dyn Fn(&[AttributeValue]) -> bool>;

/// What a constraint asks of an agent's values.
enum Rule {
    /// Each agent by itself.
    Only(Allows),
    /// All tasks on the value they are on.
    Cluster,
    /// At most this many tasks on each value.
    AtMost(u32),
    /// At least this many values.
    AtLeast(u32),
}

impl Constraint {
    /// Reads `field:OPERATOR:value`; `None` when it is not understood.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, ':');
        let field = Attribute::parse(parts.next()?)?;
        let operator = parts.next()?;
        let value = parts.next().filter(|v| !v.is_empty()).map(ToOwned::to_owned);
        let whole = |regex: &str| regex::Regex::new(&format!("^(?:{regex})$")).ok();
        let only = |allows: Allows| Rule::Only(allows);
        let rule = match (operator, value) {
            ("UNIQUE", None) => Rule::AtMost(1),
            ("MAX_PER", Some(most)) => Rule::AtMost(most.parse().ok().filter(|n| *n > 0)?),
            ("GROUP_BY", None) => Rule::AtLeast(1),
            ("GROUP_BY", Some(least)) => Rule::AtLeast(least.parse().ok()?),
            ("CLUSTER", None) => Rule::Cluster,
            ("CLUSTER" | "IS", Some(value)) => only(Box::new(move |has| has.iter().any(|v| v.is(&value)))),
            ("LIKE", Some(regex)) => {
                let regex = whole(&regex)?;
                only(Box::new(move |has| {
                    has.iter().any(|v| regex.is_match(&v.to_string()))
                }))
            }
            ("UNLIKE", Some(regex)) => {
                let regex = whole(&regex)?;
                only(Box::new(move |has| {
                    !has.iter().any(|v| regex.is_match(&v.to_string()))
                }))
            }
            _ => return None,
        };
        Some(Self { field, rule })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::fixture::{agent, app};

    /// Four hosts: a1 and a2 on rack r1, a3 on r2, a4 without a rack; r1 goes away. Three instances.
    #[track_caller]
    fn check(constraints: &[&str], expected: Option<&str>) {
        let mut all: Vec<Agent> = (1..=4).map(agent).collect();
        for (agent, rack) in all.iter_mut().zip(["r1", "r1", "r2"]) {
            agent
                .attributes
                .insert("rack".into(), vec![AttributeValue::Text(rack.into())]);
        }
        all[3]
            .attributes
            .insert("gen".into(), vec![AttributeValue::number(3.0)]);
        let mut app = app("/shop/cart", 3);
        app.constraints = constraints.iter().map(ToString::to_string).collect();
        let away: Vec<&Agent> = all[..2].iter().collect();
        let found = could_come_back(&app, &all, &away, &[&all[0], &all[1]]);
        match (found, expected) {
            (Ok(()), None) => {}
            (Err(why), Some(expected)) => assert!(why.contains(expected), "{why}"),
            (found, _) => panic!("{constraints:?}: {found:?}"),
        }
    }

    #[test]
    fn an_app_that_its_constraints_would_leave_without_a_place_is_named_with_the_constraint() {
        check(&[], None);
        check(
            &["hostname:UNIQUE"],
            Some(
                "/shop/cart has 3 instances and constraint hostname:UNIQUE, which needs 3 places; 2 are left",
            ),
        );
        check(&["@hostname:MAX_PER:2"], None);
        check(&["@hostname:MAX_PER:1"], Some("needs 3 places; 2 are left"));
        check(&["rack:GROUP_BY:2"], Some("needs 2 places; 1 are left"));
        check(&["rack:GROUP_BY"], None);
        check(&["rack:CLUSTER"], Some("bound by constraint rack:CLUSTER"));
        check(&["rack:CLUSTER:r1"], Some("bound by constraint rack:CLUSTER:r1"));
        check(&["rack:CLUSTER:r2"], None);
        check(&["hostname:CLUSTER"], Some("hostname:CLUSTER"));
        check(&["rack:IS:r1"], Some("rack:IS:r1"));
        check(&["gen:IS:3"], None);
        check(&["gen:IS:3.0"], None);
        check(&["gen:IS:4"], Some("gen:IS:4"));
        check(&["rack:LIKE:r[1]"], Some("rack:LIKE:r[1]"));
        check(&["rack:LIKE:r[12]"], None);
        check(&["rack:LIKE:r"], Some("rack:LIKE:r"));
        check(&["rack:UNLIKE:r2"], None);
        check(&["rack:UNLIKE:r2", "gen:UNLIKE:3"], Some("gen:UNLIKE:3"));
        check(&["@zone:IS:z1"], Some("@zone:IS:z1"));
        check(
            &["rack:LIKE:r2", "hostname:UNIQUE"],
            Some("needs 3 places; 1 are left"),
        );
    }

    #[test]
    fn a_constraint_that_is_not_understood_is_a_no() {
        check(
            &["rack:NEAR:r2"],
            Some("constraint rack:NEAR:r2 of /shop/cart is not understood"),
        );
        check(&["rack:LIKE:(?<=r)2"], Some("is not understood"));
        check(&["@rack:UNIQUE"], Some("is not understood"));
        check(&["hostname"], Some("is not understood"));
        check(&["hostname:MAX_PER:x"], Some("is not understood"));
    }
}
