//! Exact steps, targets and order. Immutable; has a digest; an approval is for a digest.

mod apps;

pub use apps::{PlannedApp, PlannedApps};

use super::command::Person;
use super::experiment::Hypothesis;
use super::ids::{
    AgentId, AppId, ClusterName, InstanceId, PlanDigest, PolicyDigest, PolicyName, RunId, TaskId,
};
use super::policy::{ApprovalRule, Attribute, BlastRadius, Mode, RateLimit};
use super::snapshot::{App, Task};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fmt;
use std::time::Duration;

/// What a run will do, with nothing left to choose.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// The run that will execute it.
    pub run: RunId,
    /// The policy it was made from.
    pub policy: PolicyName,
    /// That policy as it was.
    pub policy_digest: PolicyDigest,
    /// The team that answers for it.
    pub team: String,
    /// Where.
    pub cluster: ClusterName,
    /// The Marathon it was made for.
    pub framework_id: String,
    /// Rehearse or enforce.
    pub mode: Mode,
    /// The apps that are hit, as they were when planned.
    #[serde(flatten)]
    pub apps: PlannedApps,
    /// The place that is hit, where the fault is an outage of agents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outage: Option<PlannedOutage>,
    /// Who asked; `None` for the schedule.
    pub requested_by: Option<Person>,
    /// In this order.
    pub steps: Vec<Step>,
    /// Least time between two steps.
    pub gap: Duration,
    /// The most that may be down at once.
    pub blast_radius: BlastRadius,
    /// How fast kills may follow each other.
    pub rate_limit: RateLimit,
    /// Running counts as healthy for an app without health checks.
    pub allow_no_health_check: bool,
    /// What must stay true.
    pub hypothesis: Hypothesis,
    /// Whose yes is needed.
    pub approval: ApprovalRule,
    /// Slack channel id, when the policy has one of its own.
    pub channel: Option<String>,
    /// When it was made.
    pub made_at: DateTime<Utc>,
    /// What the planner wants people to know: ownership unknown, no health check, …
    pub remarks: Vec<String>,
}

/// One change: what goes out in one request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// From 1.
    pub number: u32,
    /// Tasks that die in this step, or in a sham would have; not empty.
    pub targets: Vec<Target>,
    /// Its slot, where the design takes a sham for every kill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<Slot>,
}

impl Target {
    /// This incarnation of a task of this app.
    pub fn of(app: &App, task: &Task) -> Self {
        Self {
            app: app.id.clone(),
            task: task.id.clone(),
            instance: task.instance.clone(),
            host: task.host.to_string(),
            pod: app.pod,
            agent: None,
        }
    }
}

impl Step {
    /// Targets that follow each other and share agent and app, for lists that people read.
    pub fn groups(&self) -> impl Iterator<Item = &[Target]> {
        self.targets
            .chunk_by(|a, b| (&a.host, &a.agent, &a.app) == (&b.host, &b.agent, &b.app))
    }

    /// How many tasks of this app die in it, or in a sham would.
    pub fn kills_of(&self, app: &AppId) -> u32 {
        u32::try_from(self.targets.iter().filter(|t| t.app == *app).count()).unwrap_or(u32::MAX)
    }

    /// Whether this step does everything but the kill.
    pub fn is_sham(&self) -> bool {
        self.slot.is_some_and(|slot| slot.sham)
    }
}

/// A step's part in a design with sham slots (`steady-state` §3.2): two slots make a pair, one of them
/// with a kill and one without, in an order that was drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Slot {
    /// From 1.
    pub pair: u32,
    /// Everything but the kill.
    pub sham: bool,
}

/// One task that will die.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Target {
    /// Its app.
    pub app: AppId,
    /// Exactly this incarnation.
    pub task: TaskId,
    /// What survives a restart on Marathon 1.8 and later.
    pub instance: InstanceId,
    /// Where it runs, for people.
    pub host: String,
    /// An instance of a pod: the whole of it dies, and it is asked for by `instance`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pod: bool,
    /// The agent it was found on, where that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
}

/// The place that an outage hits, as it was when planned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedOutage {
    /// What makes agents one place.
    pub attribute: Attribute,
    /// Which place.
    pub value: String,
    /// Its agents that have tasks of the plan, in the order of the steps.
    pub agents: Vec<PlannedAgent>,
}

/// An agent of a planned outage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedAgent {
    /// Its id.
    pub id: AgentId,
    /// Its host name.
    pub host: String,
}

impl fmt::Display for PlannedOutage {
    /// `rack 7`, `host a1.example.net`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.attribute, self.value)
    }
}

impl Plan {
    /// Digest over the canonical JSON: keys sorted, no floats.
    ///
    /// # Panics
    ///
    /// Never: a plan holds nothing that JSON cannot say.
    pub fn digest(&self) -> PlanDigest {
        let value = serde_json::to_value(self).expect("a plan is plain data");
        let mut text = String::new();
        canonical(&value, &mut text);
        PlanDigest::new(hex(&Sha256::digest(text.as_bytes())))
    }

    /// What is being tested, apart from when and on which tasks: runs of the same experiment add up
    /// (`steady-state` §3.2). The apps, how many die at once, and everything about the hypothesis; neither
    /// the schedule nor who approves it nor the apps' versions.
    ///
    /// # Panics
    ///
    /// Never: a hypothesis holds nothing that JSON cannot say.
    pub fn experiment(&self) -> PlanDigest {
        let most = self.steps.iter().map(|s| s.targets.len()).max();
        let value = serde_json::json!({
            "cluster": self.cluster,
            "apps": self.apps.ids().collect::<Vec<_>>(),
            "atOnce": most,
            "hypothesis": self.hypothesis,
        });
        let mut text = String::new();
        canonical(&value, &mut text);
        PlanDigest::new(hex(&Sha256::digest(text.as_bytes())))
    }

    /// How many tasks die in all; those that shams name do not.
    pub fn kills(&self) -> u32 {
        let real = self.steps.iter().filter(|s| !s.is_sham());
        u32::try_from(real.map(|s| s.targets.len()).sum::<usize>()).unwrap_or(u32::MAX)
    }

    /// How many steps do everything but the kill.
    pub fn shams(&self) -> u32 {
        u32::try_from(self.steps.iter().filter(|s| s.is_sham()).count()).unwrap_or(u32::MAX)
    }

    /// The longest the part from step `next` (from 1; 1 includes the baseline) may take, recovery included.
    pub fn longest_from(&self, next: u32) -> Duration {
        let h = &self.hypothesis;
        let baseline = if next <= 1 {
            h.baseline.at_most
        } else {
            Duration::ZERO
        };
        let left = (self.steps.len() as u32).saturating_sub(next.max(1) - 1);
        baseline + (self.gap.max(h.recovery.within)) * left
    }

    /// The step with this number.
    pub fn step(&self, number: u32) -> Option<&Step> {
        self.steps.iter().find(|s| s.number == number)
    }
}

/// Writes JSON with sorted keys and without blanks, whatever map type the JSON crate was built with.
pub fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<_> = map.iter().collect();
            keys.sort_by(|a, b| a.0.cmp(b.0));
            out.push('{');
            for (index, (key, value)) in keys.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                canonical(value, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                canonical(item, out);
            }
            out.push(']');
        }
        other => out.push_str(&other.to_string()),
    }
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            text.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
            text.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
            text
        })
}
