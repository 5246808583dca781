//! `GET /slaves` as a master writes it (Mesos 1.0 to 1.11, `src/master/readonly_handler.cpp`).

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use std::fmt;

/// The answer. `/agents` does not exist; both lists are of the same form.
#[derive(serde::Deserialize)]
pub(super) struct Slaves {
    /// Registered agents.
    pub slaves: Vec<Slave>,
    /// Agents that an earlier master knew and that have not registered with this one yet (1.2 and later).
    #[serde(default)]
    pub recovered_slaves: Vec<Slave>,
}

/// One agent; what is not needed is not read.
#[derive(serde::Deserialize)]
pub(super) struct Slave {
    pub id: String,
    pub hostname: String,
    #[serde(default)]
    pub attributes: Attributes,
    /// Absent where no fault domain is set, and before 1.4.
    pub domain: Option<Domain>,
    /// Absent for a recovered agent.
    pub active: Option<bool>,
    /// 1.9 and later.
    pub deactivated: Option<bool>,
}

#[derive(serde::Deserialize)]
pub(super) struct Domain {
    pub fault_domain: Option<FaultDomain>,
}

#[derive(serde::Deserialize)]
pub(super) struct FaultDomain {
    pub region: Named,
    pub zone: Named,
}

#[derive(serde::Deserialize)]
pub(super) struct Named {
    pub name: String,
}

/// The attributes, in order. An attribute that an agent has twice is a key that the object has twice, and
/// a map would silently keep one of them.
#[derive(Default)]
pub(super) struct Attributes(pub Vec<(String, Attribute)>);

/// A scalar is a number; text, ranges (`[1-5]`) and sets (`{a, b}`) are strings.
#[derive(serde::Deserialize)]
#[serde(untagged)]
pub(super) enum Attribute {
    Text(String),
    Scalar(f64),
}

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Attributes;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of attributes")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Attributes, M::Error> {
                let mut pairs = vec![];
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Attributes(pairs))
            }
        }
        from.deserialize_map(Pairs)
    }
}
