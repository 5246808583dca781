//! Marathon's JSON as it is for 1.4 to 1.11.
//!
//! Only what is used is named; everything else may be there, absent or null. `unreachableStrategy`
//! (object or string) and `details` (string or array) therefore never get in the way. A field that is
//! used and has the wrong type makes its app unreadable, never smaller.

use chrono::{DateTime, NaiveDate, Utc};
use serde::de::{self, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

/// `GET /v2/apps/{id}`.
#[derive(Deserialize)]
pub(super) struct OneApp<'a> {
    #[serde(borrow)]
    pub app: &'a RawValue,
}

/// Just enough to say which app could not be read.
#[derive(Deserialize)]
pub(super) struct OnlyId<'a> {
    #[serde(borrow)]
    pub id: Text<'a>,
}

/// A text, borrowed from the answer where it has no escapes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Text<'a>(pub Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any<'a>(PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for Any<'a> {
            type Value = Text<'a>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        from.deserialize_str(Any(PhantomData))
    }
}

/// A moment, as Marathon writes it: `2026-11-23T12:00:00.123Z`. Other forms of RFC 3339 are understood too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(pub DateTime<Utc>);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Moment;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time such as 2026-11-23T12:00:00.123Z")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                usual_form(text.as_bytes())
                    .map_or_else(|| text.parse().map_err(E::custom), Ok)
                    .map(Moment)
            }
        }
        from.deserialize_str(Any)
    }
}

/// Reads the one form that Marathon writes, twenty times as fast as the general parser; `None` for any
/// other text. There are several in every task.
fn usual_form(text: &[u8]) -> Option<DateTime<Utc>> {
    let &[
        y1,
        y2,
        y3,
        y4,
        b'-',
        m1,
        m2,
        b'-',
        d1,
        d2,
        b'T',
        h1,
        h2,
        b':',
        n1,
        n2,
        b':',
        s1,
        s2,
        b'.',
        f1,
        f2,
        f3,
        b'Z',
    ] = text
    else {
        return None;
    };
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0_u32, |sum, digit| {
            digit.is_ascii_digit().then(|| sum * 10 + u32::from(digit - b'0'))
        })
    };
    let year = i32::try_from(number(&[y1, y2, y3, y4])?).ok()?;
    NaiveDate::from_ymd_opt(year, number(&[m1, m2])?, number(&[d1, d2])?)?
        .and_hms_milli_opt(
            number(&[h1, h2])?,
            number(&[n1, n2])?,
            number(&[s1, s2])?,
            number(&[f1, f2, f3])?,
        )
        .map(|moment| moment.and_utc())
}

/// Labels. One that is there twice is refused: nobody knows which of them Marathon means.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Labels(pub BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Labels;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("labels")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut labels = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, String>()? {
                    match labels.entry(key) {
                        Entry::Vacant(free) => free.insert(value),
                        Entry::Occupied(old) => {
                            return Err(de::Error::custom(format_args!(
                                "label {:?} is there twice",
                                old.key()
                            )));
                        }
                    };
                }
                Ok(Labels(labels))
            }
        }
        from.deserialize_map(Any)
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct App<'a> {
    #[serde(borrow)]
    pub id: Text<'a>,
    pub instances: u32,
    pub labels: Option<Labels>,
    #[serde(borrow)]
    pub version: Option<Text<'a>>,
    pub health_checks: Option<Vec<IgnoredAny>>,
    pub residency: Option<IgnoredAny>,
    pub container: Option<Container>,
    pub constraints: Option<Vec<Vec<String>>>,
    #[serde(borrow)]
    pub deployments: Option<Vec<DeploymentRef<'a>>>,
    pub task_kill_grace_period_seconds: Option<u64>,
    #[serde(borrow)]
    pub tasks: Option<Vec<Task<'a>>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Container {
    pub volumes: Option<Vec<Volume>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Volume {
    pub persistent: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
pub(super) struct DeploymentRef<'a> {
    #[serde(borrow)]
    pub id: Text<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Task<'a> {
    #[serde(borrow)]
    pub id: Text<'a>,
    #[serde(borrow)]
    pub app_id: Text<'a>,
    #[serde(borrow)]
    pub host: Text<'a>,
    #[serde(borrow)]
    pub state: Text<'a>,
    #[serde(borrow)]
    pub slave_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub ports: Option<&'a RawValue>,
    pub staged_at: Option<Moment>,
    pub started_at: Option<Moment>,
    #[serde(borrow)]
    pub version: Option<Text<'a>>,
    pub health_check_results: Option<Vec<HealthResult>>,
    pub local_volumes: Option<Vec<IgnoredAny>>,
    #[serde(borrow)]
    pub region: Option<Text<'a>>,
    #[serde(borrow)]
    pub zone: Option<Text<'a>>,
}

/// Its `instanceId` reads `instance [web.instance-…]`, in words, and is not used.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HealthResult {
    pub alive: bool,
    pub first_success: Option<Moment>,
    pub last_success: Option<Moment>,
}

/// `GET /v2/info`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Info {
    pub framework_id: Option<String>,
    pub version: String,
    pub leader: Option<String>,
    /// Flags of the process. Nothing of them decides alone, so a strange one does no harm.
    #[serde(rename = "marathon_config")]
    pub marathon_config: Option<Value>,
}

impl Info {
    /// Whether `--enable_features` has this one.
    pub fn has_feature(&self, name: &str) -> bool {
        let features = self.marathon_config.as_ref().map(|c| &c["features"]);
        match features {
            Some(Value::Array(all)) => all.iter().any(|f| f.as_str() == Some(name)),
            Some(Value::String(all)) => all.split(',').any(|f| f.trim() == name),
            _ => false,
        }
    }

    /// `--leader_proxy_read_timeout`, in milliseconds.
    pub fn proxy_timeout_ms(&self) -> Option<u64> {
        self.marathon_config.as_ref()?["leader_proxy_read_timeout_ms"].as_u64()
    }
}

/// One of `GET /v2/deployments`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Deployment {
    pub id: String,
    pub affected_apps: Vec<String>,
    pub affected_pods: Option<Vec<String>>,
}

/// `GET /v2/queue`.
#[derive(Debug, Deserialize)]
pub(super) struct Queue {
    pub queue: Vec<Queued>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Queued {
    /// Absent for pods.
    pub app: Option<QueuedApp>,
    /// Absent for apps.
    pub pod: Option<QueuedApp>,
    pub delay: Option<Delay>,
}

#[derive(Debug, Deserialize)]
pub(super) struct QueuedApp {
    pub id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Delay {
    pub time_left_seconds: Option<i64>,
}

/// The answer of a kill.
#[derive(Debug, Deserialize)]
pub(super) struct Killed {
    pub tasks: Vec<KilledTask>,
}

#[derive(Debug, Deserialize)]
pub(super) struct KilledTask {
    pub id: String,
}

/// `GET /v2/pods/::status`: each pod is read on its own, as apps are.
#[derive(Deserialize)]
pub(super) struct PodList<'a>(#[serde(borrow)] pub Vec<&'a RawValue>);

#[derive(Debug, Deserialize)]
pub(super) struct Pod {
    pub id: String,
    pub spec: PodSpec,
    pub instances: Option<Vec<PodInstance>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct PodSpec {
    pub version: Option<String>,
    pub labels: Option<BTreeMap<String, String>>,
    pub containers: Vec<PodContainer>,
    pub scaling: Scaling,
    pub scheduling: Option<Scheduling>,
    pub volumes: Option<Vec<Volume>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodContainer {
    pub health_check: Option<IgnoredAny>,
    pub lifecycle: Option<Lifecycle>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Lifecycle {
    pub kill_grace_period_seconds: Option<f64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Scaling {
    pub instances: u32,
}

#[derive(Debug, Deserialize)]
pub(super) struct Scheduling {
    pub placement: Option<Placement>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Placement {
    pub constraints: Option<Vec<PodConstraint>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodConstraint {
    pub field_name: String,
    pub operator: String,
    pub value: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodInstance {
    pub id: String,
    pub status: String,
    pub agent_hostname: Option<String>,
    pub agent_id: Option<String>,
    pub agent_region: Option<String>,
    pub agent_zone: Option<String>,
    pub containers: Option<Vec<ContainerStatus>>,
    pub local_volumes: Option<Vec<IgnoredAny>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ContainerStatus {
    pub name: String,
    pub status: String,
    pub status_since: Option<DateTime<Utc>>,
    pub container_id: Option<String>,
    pub conditions: Option<Vec<Condition>>,
}

/// `healthy` is the one that is used; no report of a check counts as `false`, unlike with apps.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Condition {
    pub name: String,
    pub value: String,
    pub last_updated: Option<DateTime<Utc>>,
}

/// One of the answer of a pod's kill (1.5 and later; 1.4 writes something else).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct KilledInstance {
    pub instance_id: String,
}

/// An error, where it is JSON at all.
#[derive(Debug, Deserialize)]
pub(super) struct Problem {
    pub message: String,
}

/// The message of a JSON error body.
pub(super) fn message(body: &[u8]) -> Option<String> {
    serde_json::from_slice::<Problem>(body).ok().map(|p| p.message)
}

/// What a body says, short and harmless enough for a sentence.
pub(super) fn said(body: &[u8]) -> String {
    if let Some(message) = message(body) {
        let clean: String = message
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(300)
            .collect();
        return format!("\"{}\"", clean.trim());
    }
    match body.iter().find(|b| !b.is_ascii_whitespace()) {
        None => "an empty body".to_owned(),
        Some(b'<') => "an HTML page".to_owned(),
        Some(_) => "a body that is not Marathon's JSON".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn moment(text: &str) -> Option<DateTime<Utc>> {
        serde_json::from_value::<Moment>(text.into()).ok().map(|m| m.0)
    }

    #[test]
    fn a_moment_is_read_in_any_form_of_rfc_3339_and_nonsense_is_refused() {
        for text in [
            "2026-11-23T12:00:00.123Z",
            "2026-11-23T12:00:00Z",
            "2026-11-23T13:00:00.123456+01:00",
            "2016-12-31T23:59:60.000Z",
        ] {
            let expected = DateTime::parse_from_rfc3339(text).unwrap().to_utc();
            assert_eq!(moment(text), Some(expected), "{text}");
        }
        for text in [
            "",
            "2026-02-30T12:00:00.123Z",
            "2026-11-23T24:00:00.123Z",
            "2026-11-23T12:00:00.1x3Z",
            "2026-11-23T12:00:00.123",
        ] {
            assert_eq!(moment(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_usual_form_means_what_the_general_parser_says(
            seconds in -62_135_596_800_i64..253_402_300_799, millis in 0_u32..1000,
        ) {
            let at = DateTime::from_timestamp(seconds, millis * 1_000_000).unwrap();
            let text = at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
            prop_assert_eq!(usual_form(text.as_bytes()), text.parse().ok());
        }
    }
}
