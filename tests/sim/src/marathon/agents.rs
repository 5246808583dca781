//! The agents of the pretend cluster: what they say of themselves, and whether they are there.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};

use super::placement::Agent;
use super::state::State;

/// What an agent says of itself under one name, typed as Mesos types it.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// Words.
    Text(String),
    /// A number.
    Scalar(f64),
    /// Ranges of whole numbers, both ends included.
    Ranges(Vec<(u64, u64)>),
    /// A set of words.
    Set(Vec<String>),
}

impl Attribute {
    /// Reads a value the way Mesos reads one: a number, `[1-5, 7-9]`, `{a, b}`, or else text.
    ///
    /// # Errors
    /// It begins as ranges and isn't a list of them.
    pub fn read(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let inside = |open, close| text.strip_prefix(open).and_then(|t| t.strip_suffix(close));
        let pieces = |list: &str| -> Vec<String> {
            let pieces = list.split(',').map(|p| p.trim().to_owned());
            pieces.filter(|p| !p.is_empty()).collect()
        };
        if let Some(list) = inside('[', ']') {
            let range = |piece: &String| {
                let (from, to) = piece.split_once('-')?;
                Some((from.trim().parse().ok()?, to.trim().parse().ok()?))
            };
            let ranges: Option<Vec<(u64, u64)>> = pieces(list).iter().map(range).collect();
            return ranges
                .map(Self::Ranges)
                .ok_or_else(|| format!("{text} begins as ranges and isn't a list such as [1-5, 7-9]"));
        }
        if let Some(list) = inside('{', '}') {
            return Ok(Self::Set(pieces(list)));
        }
        Ok(match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Self::Scalar(number),
            _ => Self::Text(text.to_owned()),
        })
    }
}

/// As `/slaves` and constraints see it.
impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Scalar(number) => write!(f, "{number}"),
            Self::Ranges(ranges) => {
                let ranges: Vec<String> = ranges.iter().map(|(from, to)| format!("{from}-{to}")).collect();
                write!(f, "[{}]", ranges.join(", "))
            }
            Self::Set(items) => write!(f, "{{{}}}", items.join(", ")),
        }
    }
}

/// All attributes of an agent in the notation of `mesos-agent --attributes`, such as
/// `rack:r1;generation:3;ports:[1-5];disks:{a,b}`. A name may come twice, as it may there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attributes(pub Vec<(String, Attribute)>);

impl FromStr for Attributes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let pairs = text.split(';').map(str::trim).filter(|p| !p.is_empty());
        let pairs: Result<Vec<_>, String> = pairs
            .map(|pair| {
                let (name, value) = pair
                    .split_once(':')
                    .filter(|(name, _)| !name.trim().is_empty())
                    .ok_or_else(|| format!("{pair:?} isn't NAME:VALUE"))?;
                Ok((name.trim().to_owned(), Attribute::read(value)?))
            })
            .collect();
        pairs.map(Self)
    }
}

/// An agent to pretend.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentSpec {
    /// Its host name; two agents may share one.
    pub host: String,
    /// What it says of itself.
    pub attributes: Attributes,
    /// Region and zone of its fault domain, if it has one.
    pub domain: Option<(String, String)>,
}

impl AgentSpec {
    /// An agent without attributes and without a fault domain.
    pub fn new(host: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            attributes: Attributes::default(),
            domain: None,
        }
    }

    /// Adds an attribute, read the way Mesos reads one; what can't be read is text.
    #[must_use]
    pub fn attribute(mut self, name: impl Into<String>, value: &str) -> Self {
        let read = Attribute::read(value).unwrap_or_else(|_| Attribute::Text(value.to_owned()));
        self.attributes.0.push((name.into(), read));
        self
    }

    /// Puts it into a fault domain.
    #[must_use]
    pub fn domain(mut self, region: impl Into<String>, zone: impl Into<String>) -> Self {
        self.domain = Some((region.into(), zone.into()));
        self
    }

    /// The agent with this number, from 0, of a cluster like those that were recorded: two a rack, four
    /// a row, two zones.
    #[must_use]
    pub fn recorded(n: usize) -> Self {
        let host = format!("127.0.{}.{}", 1 + n / 250, n % 250 + 1);
        Self::new(host)
            .attribute("rack", &format!("rack-{}", n / 2 + 1))
            .attribute("zone", &format!("zone-{}", n % 2 + 1))
            .attribute("row", &format!("row-{}", n / 4 + 1))
            .domain("eu", ["eu-a", "eu-b"][n % 2])
    }

    /// A cluster of so many of them.
    #[must_use]
    pub fn cluster(count: usize) -> Vec<Self> {
        (0..count).map(Self::recorded).collect()
    }
}

/// Whether an agent is there, as the Mesos master sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Presence {
    /// Registered and connected.
    #[default]
    Active,
    /// Registered; nothing is launched on it any more (Mesos 1.9).
    Deactivated,
    /// Registered, its connection is broken.
    Disconnected,
    /// The master knows it from before its own restart and has not heard of it since.
    Recovered,
    /// Given up: listed nowhere.
    Unreachable,
}

/// An agent of the cluster.
#[derive(Clone, Debug)]
pub struct AgentNode {
    /// What it says of itself.
    pub spec: AgentSpec,
    /// Whether it is there.
    pub presence: Presence,
    /// The number at the end of its id; a new one when it registers anew.
    pub(super) number: usize,
    /// It is silent, and the master gives it up then.
    pub(super) given_up_at: Option<DateTime<Utc>>,
}

impl AgentNode {
    /// Tasks can be launched on it.
    pub(super) fn takes_tasks(&self) -> bool {
        self.presence == Presence::Active && self.given_up_at.is_none()
    }

    /// Its address.
    pub(crate) fn address(&self) -> String {
        let host = &self.spec.host;
        if host.parse::<std::net::IpAddr>().is_ok() {
            return host.clone();
        }
        format!("127.0.{}.{}", 1 + self.number / 250, self.number % 250 + 1)
    }

    /// What a constraint on this field sees of it.
    pub(super) fn value(&self, field: &str) -> Option<String> {
        let domain = self.spec.domain.as_ref();
        match field {
            "hostname" | "@hostname" => Some(self.spec.host.clone()),
            "@region" => domain.map(|(region, _)| region.clone()),
            "@zone" => domain.map(|(_, zone)| zone.clone()),
            _ => {
                let mut all = self.spec.attributes.0.iter();
                all.find(|(name, _)| name == field)
                    .map(|(_, value)| value.to_string())
            }
        }
    }
}

impl State {
    /// Replaces all agents; for a cluster on which nothing runs yet.
    pub fn set_agents(&mut self, specs: Vec<AgentSpec>) {
        let node = |(number, spec)| AgentNode {
            spec,
            presence: Presence::Active,
            number,
            given_up_at: None,
        };
        self.agents = specs.into_iter().enumerate().map(node).collect();
    }

    /// The agents, in the order of their configuration.
    #[must_use]
    pub fn agents(&self) -> &[AgentNode] {
        &self.agents
    }

    /// The id of an agent, as tasks and the Mesos master name it.
    #[must_use]
    pub fn agent_id(&self, agent: Agent) -> String {
        let framework = self.framework_id.trim_end_matches("-0000");
        let number = self.agents.get(agent.0).map_or(agent.0, |a| a.number);
        format!("{framework}-S{number}")
    }

    /// The host name under which the Mesos master lists an agent.
    #[must_use]
    pub fn agent_host(&self, agent: &AgentNode) -> String {
        self.host.clone().unwrap_or_else(|| agent.spec.host.clone())
    }

    /// The agent with this host name, id or number from 1.
    #[must_use]
    pub fn find_agent(&self, name: &str) -> Option<Agent> {
        let named = |n: &usize| {
            let id = self.agent_id(Agent(*n));
            let (_, short) = id.rsplit_once('-').unwrap_or_default();
            self.agents[*n].spec.host == name || id == name || short == name
        };
        let by_name = (0..self.agents.len()).find(named);
        let by_number = || {
            name.parse::<usize>()
                .ok()?
                .checked_sub(1)
                .filter(|n| *n < self.agents.len())
        };
        by_name.or_else(by_number).map(Agent)
    }

    /// Says how the Mesos master sees an agent from now on; tasks are not touched.
    pub fn set_presence(&mut self, agent: Agent, presence: Presence) {
        if let Some(a) = self.agents.get_mut(agent.0) {
            a.presence = presence;
        }
    }

    /// The agent registers anew: the same host, another id. Tasks keep the old one.
    pub fn register_anew(&mut self, agent: Agent) {
        let next = self.agents.iter().map(|a| a.number + 1).max().unwrap_or(0);
        if let Some(a) = self.agents.get_mut(agent.0) {
            a.number = next;
            a.presence = Presence::Active;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_as_mesos_reads_them() {
        let read: Attributes = "rack:r1; gen:3;slots:[1-5, 7-9];disks:{b,a};rack:r2;odd:[x"
            .parse()
            .unwrap();
        let shown: Vec<String> = read.0.iter().map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!(
            shown,
            [
                "rack=r1",
                "gen=3",
                "slots=[1-5, 7-9]",
                "disks={b, a}",
                "rack=r2",
                "odd=[x"
            ]
        );
        assert_eq!(read.0[1].1, Attribute::Scalar(3.0));
        assert!("rack".parse::<Attributes>().unwrap_err().contains("NAME:VALUE"));
        assert!("a:[1,2]".parse::<Attributes>().unwrap_err().contains("ranges"));
    }
}
