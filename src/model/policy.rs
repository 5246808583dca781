//! What a team allows to be broken, when, how much, and with whose approval.

use super::experiment::Hypothesis;
use super::ids::{AppId, ClusterName, GroupId, PersonId, PolicyDigest, PolicyName};
use chrono::{NaiveDate, NaiveTime, Weekday};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

/// One policy file, checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// `metadata.name`.
    pub name: PolicyName,
    /// `metadata.team`: who answers for it. Must own the apps where ownership is declared.
    pub team: String,
    /// `metadata.labels`: for people and for grouping only.
    pub labels: BTreeMap<String, String>,
    /// Off, rehearse or enforce.
    pub mode: Mode,
    /// A cluster of the settings file.
    pub cluster: ClusterName,
    /// Which apps and tasks may be hit.
    pub scope: Scope,
    /// What is done to them.
    pub fault: FaultSpec,
    /// When it may happen and how often it is meant to.
    pub schedule: Schedule,
    /// The most that may be down because of us, at once.
    pub blast_radius: BlastRadius,
    /// How fast kills may follow each other, across runs and restarts.
    pub rate_limit: RateLimit,
    /// What must stay true.
    pub hypothesis: Hypothesis,
    /// Whose yes is needed.
    pub approval: ApprovalRule,
    /// Who is told.
    pub notify: NotifyRule,
    /// Digest over everything above; any change changes it.
    pub digest: PolicyDigest,
}

/// How far a policy goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Nothing is planned.
    Off,
    /// Everything but the kill.
    Rehearse,
    /// The real thing.
    Enforce,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::Rehearse => "rehearse",
            Self::Enforce => "enforce",
        })
    }
}

/// Which apps and tasks a policy may hit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scope {
    /// `target.apps.labels`; `None` leaves the labels free.
    pub selector: Option<LabelSelector>,
    /// `target.apps.ids`; empty means every app that the selector leaves.
    pub ids: Vec<AppPattern>,
    /// `target.apps.except`.
    pub except: Vec<AppPattern>,
    /// `target.tasks.minAge`: younger tasks are left alone.
    pub min_age: Duration,
    /// `target.tasks.healthyOnly`: only tasks that count as healthy may be chosen.
    pub healthy_only: bool,
    /// `target.tasks.allowNoHealthCheck`: running counts as healthy for an app without health checks.
    pub allow_no_health_check: bool,
    /// `target.onePer`: what shares one turn.
    pub one_per: Fairness,
}

impl Scope {
    /// The app, where the policy can be about one only.
    pub fn one_app(&self) -> Option<AppId> {
        match self.ids.as_slice() {
            [AppPattern(id)] if !id.contains('*') => Some(AppId::new(id.clone())),
            _ => None,
        }
    }

    /// Whether the ids, exceptions and labels let this app in. Opting in is asked elsewhere.
    pub fn names<K: Borrow<str> + Ord>(&self, app: &AppId, labels: &BTreeMap<K, String>) -> bool {
        self.selector.as_ref().is_none_or(|s| s.matches(labels))
            && (self.ids.is_empty() || self.ids.iter().any(|p| p.matches(app)))
            && !self.except.iter().any(|p| p.matches(app))
    }
}

/// What shares one turn when the next app is drawn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Fairness {
    /// Every app has its own turn.
    App,
    /// Apps of one group path share a turn.
    Group,
    /// Apps with one value of this label share a turn.
    Label(String),
}

/// A conjunction of label terms. Like Marathon, and unlike Kubernetes, `!=` and `notin` do not
/// match an app that lacks the label (`LabelSelector.scala`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelSelector {
    /// All of these must hold.
    pub terms: Vec<LabelTerm>,
}

/// One term of a [`LabelSelector`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LabelTerm {
    /// The label is there.
    Exists(String),
    /// The label is there and its value is one of these.
    In(String, BTreeSet<String>),
    /// The label is there and its value is none of these.
    NotIn(String, BTreeSet<String>),
}

impl LabelSelector {
    /// Whether an app with these labels is selected.
    pub fn matches<K: Borrow<str> + Ord>(&self, labels: &BTreeMap<K, String>) -> bool {
        self.terms.iter().all(|term| match term {
            LabelTerm::Exists(key) => labels.contains_key(key.as_str()),
            LabelTerm::In(key, values) => labels.get(key.as_str()).is_some_and(|v| values.contains(v)),
            LabelTerm::NotIn(key, values) => labels.get(key.as_str()).is_some_and(|v| !values.contains(v)),
        })
    }
}

impl fmt::Display for LabelSelector {
    /// Marathon's own grammar, as `GET /v2/apps?label=` wants it; everything outside
    /// `[A-Za-z0-9._-]` is backslash-escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |text: &str| -> String {
            text.chars().fold(String::new(), |mut out, c| {
                if !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')) {
                    out.push('\\');
                }
                out.push(c);
                out
            })
        };
        let list = |values: &BTreeSet<String>| values.iter().map(|v| word(v)).collect::<Vec<_>>().join(",");
        for (index, term) in self.terms.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            match term {
                LabelTerm::Exists(key) => write!(f, "{}", word(key))?,
                LabelTerm::In(key, values) if values.len() == 1 => {
                    write!(f, "{}=={}", word(key), list(values))?
                }
                LabelTerm::NotIn(key, values) if values.len() == 1 => {
                    write!(f, "{}!={}", word(key), list(values))?
                }
                LabelTerm::In(key, values) => write!(f, "{} in ({})", word(key), list(values))?,
                LabelTerm::NotIn(key, values) => write!(f, "{} notin ({})", word(key), list(values))?,
            }
        }
        Ok(())
    }
}

/// An app id in which `*` stands for one segment or a part of one, and `**` for any number of segments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AppPattern(pub String);

impl AppPattern {
    /// Whether the pattern names this app.
    pub fn matches(&self, app: &AppId) -> bool {
        /// The first segment and, unless it was the last, the others.
        fn split(path: &str) -> (&str, Option<&str>) {
            path.split_once('/')
                .map_or((path, None), |(first, others)| (first, Some(others)))
        }
        fn segments(pattern: Option<&str>, id: Option<&str>) -> bool {
            let Some((first, others)) = pattern.map(split) else {
                return id.is_none();
            };
            let rest = id.map(split);
            if first == "**" {
                return segments(others, id) || rest.is_some_and(|(_, rest)| segments(pattern, rest));
            }
            rest.is_some_and(|(segment, rest)| {
                glob(first.as_bytes(), segment.as_bytes()) && segments(others, rest)
            })
        }
        fn glob(pattern: &[u8], text: &[u8]) -> bool {
            match (pattern.first(), text.first()) {
                (None, None) => true,
                (Some(b'*'), _) => {
                    glob(&pattern[1..], text) || (!text.is_empty() && glob(pattern, &text[1..]))
                }
                (Some(p), Some(t)) if p == t => glob(&pattern[1..], &text[1..]),
                _ => false,
            }
        }
        let pattern = self.0.trim_start_matches('/');
        let id = app.as_str().trim_start_matches('/');
        // The usual two, asked for every app by every policy: one app, and all below a path.
        match pattern.split_once('*') {
            None => pattern == id,
            Some((path, "*")) if path.ends_with('/') => {
                let path = &path[..path.len() - 1];
                id.strip_prefix(path)
                    .is_some_and(|below| below.is_empty() || below.starts_with('/'))
            }
            Some(_) => segments(Some(pattern), Some(id)),
        }
    }

    /// The text before the first star: every app that the pattern names begins with it, but for the `/` in
    /// front of a `**` that stands for nothing.
    pub fn literal_prefix(&self) -> &str {
        let (before, star) = self
            .0
            .split_once('*')
            .map_or((&*self.0, None), |(before, after)| (before, Some(after)));
        match star {
            Some(after) if after.starts_with('*') => before.strip_suffix('/').unwrap_or(before),
            _ => before,
        }
    }

    /// The longest text without stars that every app named by the pattern has in its id: what
    /// `GET /v2/apps?id=` may be asked for.
    pub fn longest_part(&self) -> &str {
        self.0
            .split("/**")
            .flat_map(|part| part.split('*'))
            .max_by_key(|part| part.len())
            .unwrap_or("")
    }
}

impl fmt::Display for AppPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A kind of harm, as a policy declares it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FaultSpec {
    /// Ends tasks of one app.
    KillTasks {
        /// How many in one run.
        count: Count,
        /// How many of them in one step, hence in one request.
        at_once: u32,
        /// The least time between two steps; a step also waits for recovery.
        gap: Duration,
    },
    /// Ends every matching task on the agents of one place, over all apps that the policy names.
    AgentOutage {
        /// What makes agents one place.
        attribute: Attribute,
        /// Which place.
        value: Place,
        /// How the tasks are shared out over steps.
        steps: OutageSteps,
        /// The least time between two steps; a step also waits for recovery.
        gap: Duration,
    },
}

impl FaultSpec {
    /// Whether it can't be planned without knowing the Mesos agents.
    pub fn needs_agents(&self) -> bool {
        match self {
            Self::KillTasks { .. } => false,
            Self::AgentOutage { .. } => true,
        }
    }
}

/// What agents of one place have in common, in Marathon's own words for constraint fields.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Attribute {
    /// `@hostname`: a place is one host.
    Hostname,
    /// `@region` of the fault domain.
    Region,
    /// `@zone` of the fault domain.
    Zone,
    /// An attribute of the agents by this name.
    Named(String),
}

impl Attribute {
    /// Reads a constraint's field; `hostname` is the older word for `@hostname`. `None` for another word
    /// that begins with `@`, and for none at all.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "hostname" | "@hostname" => Some(Self::Hostname),
            "@region" => Some(Self::Region),
            "@zone" => Some(Self::Zone),
            other if other.is_empty() || other.starts_with('@') => None,
            name => Some(Self::Named(name.to_owned())),
        }
    }
}

impl fmt::Display for Attribute {
    /// `host`, `region`, `zone`, or the attribute's name: before a value, in sentences.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hostname => "host",
            Self::Region => "region",
            Self::Zone => "zone",
            Self::Named(name) => name,
        })
    }
}

/// Which place an outage hits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Place {
    /// One that the seed draws among those that can be hit.
    Any,
    /// The one with this value.
    Given(String),
}

/// How the tasks of an outage are shared out over steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OutageSteps {
    /// One agent after the other, each once the one before has recovered.
    PerAgent,
    /// All agents in one step, hence in one request.
    AtOnce,
}

/// How many tasks one run kills.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Count {
    /// This many.
    Exactly(u32),
    /// This share of the app's instances in per cent, rounded down.
    Percent(u32),
    /// A number from 1 to this, drawn from the seed.
    RandomUpTo(u32),
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(1) => f.write_str("1 task"),
            Self::Exactly(n) => write!(f, "{n} tasks"),
            Self::Percent(p) => write!(f, "{p} % of the tasks"),
            Self::RandomUpTo(n) => write!(f, "1 to {n} tasks"),
        }
    }
}

/// When runs may happen and how often they are meant to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Civil spans; a policy without any never runs.
    pub windows: Vec<Window>,
    /// The IANA zone the windows and holidays are in.
    pub timezone: chrono_tz::Tz,
    /// Civil dates without runs.
    pub holidays: BTreeSet<NaiveDate>,
    /// The dates that `holidays` speaks of; on others nobody knows whether they are holidays, so nothing runs.
    #[serde(default, skip_serializing_if = "Covered::is_everything")]
    pub covered: Covered,
    /// How runs come about.
    pub cadence: Cadence,
    /// The least time between the kills of two runs on one app.
    pub min_gap: MinGap,
}

/// A span of civil time on some weekdays. Never across midnight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Weekdays, not empty.
    pub days: Vec<Weekday>,
    /// First civil minute inside.
    pub from: NaiveTime,
    /// First civil minute outside.
    pub to: NaiveTime,
}

/// How runs come about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Cadence {
    /// Only when a person asks.
    OnDemand,
    /// On average once in this many work days, drawn from the seed; at most once a day.
    MeanTimeBetween {
        /// Work days.
        workdays: u32,
    },
    /// At a fixed distance from the opening of the window.
    Every(Duration),
    /// At random moments of the open time, independent of each other but for the minimum gap; several a day.
    Poisson {
        /// Mean open time between two runs, the minimum gap included.
        mean: Duration,
    },
}

/// The civil dates that a list of holidays speaks of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Covered {
    /// The first; `None`: all that came before.
    #[serde(default)]
    pub from: Option<NaiveDate>,
    /// The last; `None`: no list was given, so no date can be missing from it.
    #[serde(default)]
    pub until: Option<NaiveDate>,
}

impl Covered {
    /// Whether it has no bounds.
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the list speaks of this date.
    pub fn contains(&self, date: NaiveDate) -> bool {
        self.from.is_none_or(|from| from <= date) && self.until.is_none_or(|until| date <= until)
    }
}

/// The least distance between the kills of two runs on one app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MinGap {
    /// No minimum of its own.
    None,
    /// Whole work days: with 1, the next work day is allowed.
    Workdays(u32),
    /// Elapsed time.
    Elapsed(Duration),
}

/// The most that may be down because of us, at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BlastRadius {
    /// Tasks of one app. Zero means zero.
    pub max_tasks: u32,
    /// Share of the app's instances in per cent, rounded down.
    pub max_percent: u32,
    /// Healthy tasks that must be left.
    pub min_healthy: u32,
    /// Apps at once under this policy.
    pub max_apps: u32,
    /// Tasks of all apps together under this policy; `None` where a run hits one app only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tasks_in_all: Option<u32>,
}

impl BlastRadius {
    /// `B(A)` of `reliability`: how many instances of an app of this size may be down at once,
    /// rounded down.
    pub fn allowance(&self, instances: u32) -> u32 {
        let percent = u64::from(instances) * u64::from(self.max_percent) / 100;
        self.max_tasks
            .min(u32::try_from(percent).unwrap_or(u32::MAX))
            .min(instances.saturating_sub(self.min_healthy))
    }
}

/// How fast kills may follow each other: GCRA, and never more than `kills` in any stretch of `per`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RateLimit {
    /// Tasks killed.
    pub kills: u32,
    /// In this time.
    pub per: Duration,
    /// How many may come at once.
    pub burst: u32,
}

/// Whose yes is needed before a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalRule {
    /// Whether a person has to say yes.
    pub mode: ApprovalMode,
    /// Slack user ids (or API token names) who may say it.
    pub users: BTreeSet<PersonId>,
    /// Slack user groups who may say it; resolved at the click and at the start.
    pub groups: BTreeSet<GroupId>,
    /// How many different people.
    pub quorum: u32,
    /// How long the request stands.
    pub expires: Duration,
}

/// Whether a person has to say yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ApprovalMode {
    /// Yes, for every plan.
    Required,
    /// No; the run is announced.
    Automatic,
}

/// Who is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifyRule {
    /// Slack channel id; the settings' channel when absent.
    pub channel: Option<String>,
}

/// Who owns an app, and whether it is opted in: `owners.yaml` in the policy folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// An exact id, or a group path that ends in `/`. Nothing looser for the right to kill.
    pub app: String,
    /// The team that owns it.
    pub team: String,
    /// Whether it may be hit at all.
    pub opt_in: bool,
}

impl Owner {
    /// Whether this line speaks of the app.
    pub fn covers(&self, app: &AppId) -> bool {
        if self.app.ends_with('/') {
            app.as_str().starts_with(&self.app)
        } else {
            app.as_str() == self.app
        }
    }
}

/// Everything the policy folder says at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PolicySet {
    /// By name.
    pub policies: BTreeMap<PolicyName, PolicyState>,
    /// `owners.yaml`.
    pub owners: Vec<Owner>,
    /// Why `owners.yaml` can't be used, if it can't: then nothing that needs it is opted in.
    pub owners_bad: Option<String>,
}

/// A policy as its file is now.
#[derive(Clone, Debug, PartialEq)]
pub enum PolicyState {
    /// The file is good.
    Active(std::sync::Arc<Policy>),
    /// The file turned bad, or another file has the same name. The last good version is not used.
    Suspended {
        /// Every problem, with file, line, column and how to mend it.
        why: String,
    },
}

/// Limits of the settings file that bind every policy on top of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Tasks down by us at once, over the whole cluster.
    pub tasks_down: u32,
    /// Kills in any hour, over the whole cluster.
    pub kills_per_hour: u32,
    /// Kills in a civil work day, over the whole cluster.
    pub kills_per_workday: u32,
    /// Apps that are never hit.
    pub forbidden_apps: Vec<AppPattern>,
    /// Spans of civil dates without runs; both ends included.
    pub freezes: Vec<Freeze>,
    /// The zone of `freezes` and of the work day.
    pub timezone: chrono_tz::Tz,
    /// Holidays for every policy.
    pub holidays: BTreeSet<NaiveDate>,
    /// The dates that `holidays` speaks of; on others nothing runs.
    #[serde(default, skip_serializing_if = "Covered::is_everything")]
    pub covered: Covered,
}

/// A span of civil dates without runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freeze {
    /// First day.
    pub from: NaiveDate,
    /// Last day.
    pub to: NaiveDate,
    /// Why.
    pub why: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stays_in_its_segment_and_two_stars_do_not() {
        #[track_caller]
        fn check(pattern: &str, id: &str, expected: bool) {
            assert_eq!(
                AppPattern(pattern.into()).matches(&AppId::new(id)),
                expected,
                "{pattern} {id}"
            );
        }
        check("/shop/*", "/shop/cart", true);
        check("/shop/*", "/shop/cart/v2", false);
        check("/shop/**", "/shop/cart/v2", true);
        check("/shop/**", "/shops/cart", false);
        check("/shop/ca*t", "/shop/cart", true);
        check("/shop/cart", "/shop/cart2", false);
        check("/**/db", "/a/b/db", true);
        check("/**/db", "/db", true);
        check("/shop/**", "/shop", true);
        check("/shop/**/db", "/shop/db/x", false);
        check("/**", "/a/b", true);
        check("/shop", "/shop/cart", false);
        check("/shop/cart", "/shop", false);
    }

    #[test]
    fn what_is_asked_for_by_id_is_in_every_id_that_a_pattern_names() {
        #[track_caller]
        fn check(pattern: &str, prefix: &str, part: &str) {
            let pattern = AppPattern(pattern.into());
            assert_eq!((pattern.literal_prefix(), pattern.longest_part()), (prefix, part));
        }
        check("/shop/cart", "/shop/cart", "/shop/cart");
        check("/shop/*", "/shop/", "/shop/");
        check("/shop/**", "/shop", "/shop");
        check("/**", "", "");
        check("/**/db", "", "/db");
        check("/a/**/payments/*", "/a", "/payments/");
        check("/sh*p/c", "/sh", "p/c");
    }

    #[test]
    fn the_radius_is_the_smallest_of_three_and_rounds_down() {
        let radius = BlastRadius {
            max_tasks: 3,
            max_percent: 20,
            min_healthy: 2,
            max_apps: 1,
            max_tasks_in_all: None,
        };
        assert_eq!(radius.allowance(4), 0);
        assert_eq!(radius.allowance(9), 1);
        assert_eq!(radius.allowance(100), 3);
        assert_eq!(
            BlastRadius {
                max_percent: 100,
                ..radius
            }
            .allowance(3),
            1
        );
        assert_eq!(
            BlastRadius {
                max_tasks: 0,
                ..radius
            }
            .allowance(100),
            0
        );
    }

    #[test]
    fn selectors_are_written_in_marathons_grammar() {
        let selector = LabelSelector {
            terms: vec![
                LabelTerm::In("chaos".into(), ["opt-in".to_owned()].into()),
                LabelTerm::In("tier".into(), ["a".to_owned(), "b".to_owned()].into()),
                LabelTerm::Exists("x/y".into()),
            ],
        };
        assert_eq!(selector.to_string(), r"chaos==opt-in,tier in (a,b),x\/y");
    }
}
