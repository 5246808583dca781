//! The agents of the pretend cluster, as `heartbreak sim --agents` is given them.

use crate::cli::trouble::Trouble;
use crate::exit::Exit;
use heartbreak_sim::{AgentSpec, Attributes};
use serde::Deserialize;

/// More than any cluster has.
const MOST: usize = 10_000;

/// An agent as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    host: String,
    #[serde(default)]
    attributes: String,
    region: Option<String>,
    zone: Option<String>,
}

/// So many agents, or those that a file lists.
///
/// # Errors
///
/// When the file can't be read or something in it is wrong; all that is wrong is said at once.
pub fn read(said: &str) -> Result<Vec<AgentSpec>, Trouble> {
    let bad = |exit, what: String| Trouble::new(exit, format!("{what}; nothing was started"));
    if let Ok(count) = said.parse::<usize>() {
        return if (1..=MOST).contains(&count) {
            Ok(AgentSpec::cluster(count))
        } else {
            Err(bad(
                Exit::Usage,
                format!("--agents {count}: give 1 to {MOST} agents, or a file that lists them"),
            ))
        };
    }
    let text = std::fs::read_to_string(said).map_err(|error| {
        bad(
            Exit::BadInput,
            format!("--agents {said}: neither a number nor a file that can be read ({error})"),
        )
    })?;
    parse(&text).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(|p| format!("{said}: {p}")).collect();
        bad(Exit::BadInput, lines.join("\n"))
    })
}

fn parse(text: &str) -> Result<Vec<AgentSpec>, Vec<String>> {
    let written: Vec<Written> = serde_saphyr::from_str(text).map_err(|error| {
        let hint = "a list of `- host: NAME` is wanted, each with attributes, region and zone if it has them";
        vec![format!("{error}\n{hint}")]
    })?;
    let mut problems = Vec::new();
    if written.is_empty() {
        problems.push("lists no agent".to_owned());
    }
    let mut agents = Vec::new();
    for (n, one) in written.into_iter().enumerate() {
        let mut wrong = |what: String| problems.push(format!("agent {} ({}): {what}", n + 1, one.host));
        if one.host.trim().is_empty() {
            wrong("its host is empty".to_owned());
        }
        let mut agent = AgentSpec::new(one.host.clone());
        match one.attributes.parse::<Attributes>() {
            Ok(attributes) => agent.attributes = attributes,
            Err(what) => wrong(format!("attributes: {what}")),
        }
        match (one.region, one.zone) {
            (Some(region), Some(zone)) => agent = agent.domain(region, zone),
            (None, None) => {}
            _ => wrong("a fault domain has a region and a zone; give both or neither".to_owned()),
        }
        agents.push(agent);
    }
    if problems.is_empty() {
        Ok(agents)
    } else {
        Err(problems)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_list_make_agents() {
        assert_eq!(read("12").unwrap().len(), 12);
        let agents =
            parse("- host: a1\n  attributes: rack:r1;gen:3\n  region: eu\n  zone: eu-a\n- host: a2\n")
                .unwrap();
        let expected = AgentSpec::new("a1")
            .attribute("rack", "r1")
            .attribute("gen", "3")
            .domain("eu", "eu-a");
        assert_eq!(agents, [expected, AgentSpec::new("a2")]);
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once_and_that_nothing_was_started() {
        let problems = parse("- host: a1\n  zone: z\n- host: ''\n  attributes: rack\n").unwrap_err();
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(problems[0].contains("agent 1 (a1): a fault domain has a region and a zone"));
        assert!(problems[2].contains("isn't NAME:VALUE"));
        assert!(parse("- hots: a1\n").unwrap_err()[0].contains("hots"));
        for (said, words) in [
            ("0", "1 to 10000"),
            ("no-such-file", "neither a number nor a file"),
        ] {
            let trouble = read(said).unwrap_err().text;
            assert!(
                trouble.contains(words) && trouble.ends_with("nothing was started"),
                "{trouble}"
            );
        }
    }
}
