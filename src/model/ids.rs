//! Names and numbers that must not trade places.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

macro_rules! text_id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps a text that was checked where it came in.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }
            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }
        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self::new(text)
            }
        }
    )*};
}

text_id! {
    /// `metadata.name` of a policy: a DNS label, unique over the policy folder.
    PolicyName;
    /// The name of a cluster in the settings file.
    ClusterName;
    /// A run: `r-` and eight Crockford base32 characters.
    RunId;
    /// SHA-256 of a plan's canonical JSON, 64 lower-case hex characters.
    PlanDigest;
    /// SHA-256 of a policy as it was understood, 64 lower-case hex characters.
    PolicyDigest;
    /// A Marathon app, absolute: `/shop/cart`.
    AppId;
    /// A Marathon task: one incarnation of an instance. Its form differs by Marathon version.
    TaskId;
    /// What survives a restart on Marathon 1.8 and later; the same as the task on earlier ones.
    InstanceId;
    /// A Marathon deployment.
    DeploymentId;
    /// A person: a Slack user id, or the name of an API token.
    PersonId;
    /// A Slack user group.
    GroupId;
    /// A probe of a policy, unique in it.
    ProbeName;
    /// One step of one run: `r-7Q2MK4XN/2`. Sent with every kill as `X-Heartbreak-Intent`.
    IntentId;
}

macro_rules! shared_text {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Wraps a text; one that is shared already stays shared.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }
            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self::new(text)
            }
        }
        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self::new(text)
            }
        }
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(&self.0)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                String::deserialize(from).map(Self::new)
            }
        }
    )*};
}

shared_text! {
    /// A Mesos agent.
    AgentId;
    /// A text that many tasks have in common, such as the name of a host. A big snapshot holds it once.
    Word;
}

/// The place of an entry in the journal; the first is 1, and 0 means "before the first".
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// The place after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl RunId {
    /// Derives the id of the run whose plan is journalled at `seq` of this installation.
    ///
    /// Unique is what it has to be; unguessable is not needed.
    pub fn derive(installation: &str, seq: Seq) -> Self {
        const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        let hash = Sha256::digest(format!("run|{installation}|{seq}").as_bytes());
        let mut text = String::from("r-");
        for byte in &hash[..8] {
            text.push(char::from(CROCKFORD[usize::from(byte & 31)]));
        }
        Self(text)
    }
}

impl IntentId {
    /// The intent of step `step` (from 1) of `run`.
    pub fn of(run: &RunId, step: u32) -> Self {
        Self(format!("{run}/{step}"))
    }
}

impl PlanDigest {
    /// The first twelve hex characters: what people are shown and what buttons carry.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl AppId {
    /// Reads an app id and refuses what Marathon would: relative paths, `..`, empty segments,
    /// anything but lower-case letters, digits, `-` and `.`.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err(format!("app id {text:?} does not start with `/`"));
        };
        for segment in rest.split('/') {
            if segment.is_empty() || segment == "." || segment == ".." {
                return Err(format!("app id {text:?} has an empty, `.` or `..` segment"));
            }
            if !segment
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.')
            {
                return Err(format!(
                    "app id {text:?} has a character other than lower-case letters, digits, `-` and `.`"
                ));
            }
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_ids_have_the_documented_form() {
        let id = RunId::derive("i-1", Seq(7));
        assert_eq!(id.as_str().len(), 10);
        assert!(id.as_str().starts_with("r-"));
        assert_ne!(id, RunId::derive("i-1", Seq(8)));
        assert_ne!(id, RunId::derive("i-2", Seq(7)));
    }

    #[test]
    fn app_ids_that_marathon_would_refuse_are_refused() {
        assert!(AppId::parse("/shop/cart-2.blue").is_ok());
        for bad in [
            "shop",
            "",
            "/",
            "/shop//cart",
            "/shop/../cart",
            "/Shop",
            "/shop/ca\u{7}rt",
            "/shop/cart ",
        ] {
            assert!(AppId::parse(bad).is_err(), "{bad:?}");
        }
    }
}
