//! What was seen of a cluster, when, and what could not be seen.

use super::ids::{AgentId, AppId, ClusterName, DeploymentId, InstanceId, TaskId, Word};
use super::policy::AppPattern;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// One look at a cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Which cluster.
    pub cluster: ClusterName,
    /// Our clock before the first request of the look went out: the snapshot is at least this old.
    pub taken_at: DateTime<Utc>,
    /// What `/v2/info` said, when it could be read.
    pub info: Option<ClusterInfo>,
    /// Every app that the query let through, by id.
    pub apps: BTreeMap<AppId, App>,
    /// Every Mesos agent; `None` when nobody asked, or when they could not be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agents: Option<Vec<Agent>>,
    /// What could not be seen. A gate that needed it answers `Unknown`.
    pub gaps: Vec<Gap>,
}

impl Snapshot {
    /// A snapshot in which nothing could be seen.
    pub fn unseen(cluster: ClusterName, taken_at: DateTime<Utc>, gap: Gap) -> Self {
        Self {
            cluster,
            taken_at,
            info: None,
            apps: BTreeMap::new(),
            agents: None,
            gaps: vec![gap],
        }
    }

    /// Whether everything that matters to apps was seen.
    pub fn is_whole(&self) -> bool {
        self.gaps.iter().all(|g| g.what == GapKind::Pods)
    }

    /// How old the snapshot is at `now`; negative after a clock jump.
    pub fn age(&self, now: DateTime<Utc>) -> TimeDelta {
        now - self.taken_at
    }

    /// The apps that one of the patterns may name, in the order of their ids; every app if there is no
    /// pattern. Only those that begin as a pattern does are looked at, so that a policy about one team
    /// costs what that team has and not what the cluster has.
    pub fn apps_like<'a>(&'a self, patterns: &'a [AppPattern]) -> impl Iterator<Item = &'a App> {
        let mut prefixes: Vec<&str> = patterns.iter().map(AppPattern::literal_prefix).collect();
        if patterns.is_empty() {
            prefixes.push("");
        }
        prefixes.sort_unstable();
        // Whatever begins with a longer prefix begins with the shorter one too.
        prefixes.dedup_by(|longer, shorter| longer.starts_with(*shorter));
        prefixes.into_iter().flat_map(|prefix| {
            self.apps
                .range(AppId::new(prefix)..)
                .map(|(_, app)| app)
                .take_while(move |app| app.id.as_str().starts_with(prefix))
        })
    }

    /// Takes in the agents, or that they could not be seen.
    pub fn take_agents(&mut self, seen: Result<Vec<Agent>, Gap>) {
        match seen {
            Ok(agents) => self.agents = Some(agents),
            Err(gap) => self.gaps.push(gap),
        }
    }

    /// The gaps that touch this app: its own and the ones that touch everything. An app that is seen to be
    /// no pod is not touched by pods that could not be seen. What is missing of the agents says nothing about
    /// an app; whoever needs them finds `agents` empty.
    pub fn gaps_of<'a>(&'a self, app: &'a AppId) -> impl Iterator<Item = &'a Gap> {
        let no_pod = self.apps.get(app).is_some_and(|a| !a.pod);
        self.gaps.iter().filter(move |g| match (&g.app, g.what) {
            (Some(touched), _) => touched == app,
            (None, GapKind::Agents) => false,
            (None, GapKind::Pods) => !no_pod,
            (None, _) => true,
        })
    }
}

/// What identifies a Marathon and its moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterInfo {
    /// `frameworkId`: pinned at first contact.
    pub framework_id: String,
    /// Marathon's version.
    pub version: MarathonVersion,
    /// `X-Marathon-Leader` or `leader`, as told.
    pub leader: Option<String>,
    /// Marathon's `Date` header minus our clock in the middle of the request, in milliseconds.
    pub clock_offset_ms: Option<i64>,
    /// Whether it shows a task that is being killed as `TASK_KILLING` (`--enable_features task_killing`);
    /// without that, such a task looks as if it ran on until it is dead.
    #[serde(default)]
    pub task_killing: bool,
    /// How long a follower waits for the leader before it gives up on a request that it passes on.
    #[serde(default)]
    pub proxy_timeout_ms: Option<u64>,
}

/// Compared on (major, minor) only: from 1.6 on the third number is a commit count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MarathonVersion {
    /// 1 so far.
    pub major: u32,
    /// 4 to 11.
    pub minor: u32,
}

impl MarathonVersion {
    /// From 1.8 on an instance keeps its id over restarts, stale task ids kill the replacement, and
    /// API kills are not dropped while the app is locked.
    pub fn stable_instances(self) -> bool {
        self >= Self { major: 1, minor: 8 }
    }

    /// Reads `1.11.24` or `1.7.236-abc`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(['.', '-', '+']);
        Some(Self {
            major: parts.next()?.parse().ok()?,
            minor: parts.next()?.parse().ok()?,
        })
    }
}

impl fmt::Display for MarathonVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Something that could not be seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Which app it touches; `None` touches everything.
    pub app: Option<AppId>,
    /// What was being read.
    pub what: GapKind,
    /// Why it could not be, in a sentence for people.
    pub why: String,
}

/// What was being read when a gap arose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum GapKind {
    /// `/v2/info`.
    Info,
    /// The list of apps, or one app.
    Apps,
    /// `/v2/deployments`.
    Deployments,
    /// `/v2/queue`.
    Queue,
    /// Mesos agents.
    Agents,
    /// The list of pods, or one pod. Not seeing pods says nothing of apps.
    Pods,
}

/// A Mesos agent, as the leading master knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// Its id: a new one when it registers anew.
    pub id: AgentId,
    /// Its host name; two agents may share one.
    pub host: String,
    /// By name; an agent may have an attribute more than once.
    pub attributes: BTreeMap<String, Vec<AttributeValue>>,
    /// Fault domain, where one is set.
    pub region: Option<String>,
    /// Fault domain, where one is set.
    pub zone: Option<String>,
    /// Whether it takes part.
    pub state: AgentState,
}

/// A value of an agent's attribute.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AttributeValue {
    /// Text; ranges and sets too, as Mesos writes them: `[1-5]`, `{a, b}`.
    Text(String),
    /// A scalar, in its shortest decimal form: `4`, `0.5`.
    Number(String),
}

impl AttributeValue {
    /// A scalar.
    pub fn number(number: f64) -> Self {
        // Mesos keeps three decimal places (`scalar_conversions`); Rust's shortest form adds none.
        Self::Number(number.to_string())
    }

    /// Whether this is the value that somebody wrote down: the same text, or the same number.
    pub fn is(&self, written: &str) -> bool {
        match self {
            Self::Text(text) => text == written,
            Self::Number(number) => {
                number == written || written.parse::<f64>().is_ok_and(|n| n.to_string() == *number)
            }
        }
    }
}

impl fmt::Display for AttributeValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) | Self::Number(text) => f.write_str(text),
        }
    }
}

/// Whether an agent takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AgentState {
    /// Registered and connected.
    Active,
    /// Registered, but disconnected or deactivated.
    Inactive,
    /// Known from an earlier master, not registered with this one yet.
    Recovered,
}

/// A Marathon app with its task rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct App {
    /// Absolute id.
    pub id: AppId,
    /// How many instances Marathon is asked to keep.
    pub instances: u32,
    /// Labels of the definition.
    pub labels: BTreeMap<Word, String>,
    /// Version of the definition: a Marathon timestamp.
    pub version: String,
    /// Whether the definition has health checks.
    pub health_checked: bool,
    /// Resident tasks are bound to a volume on one agent.
    pub resident: bool,
    /// `constraints`, each joined by a colon, for people.
    pub constraints: Vec<String>,
    /// Deployments that hold the app's lock.
    pub deployments: Vec<DeploymentId>,
    /// Seconds of launch back-off left in `/v2/queue`, when the app is delayed.
    pub launch_delay_s: Option<u64>,
    /// `taskKillGracePeriodSeconds`: from SIGTERM to SIGKILL. `None`: what the executor does by itself.
    #[serde(default)]
    pub kill_grace_s: Option<u64>,
    /// A pod: each of its instances is one row here, and it is killed by instance, never by task.
    #[serde(default)]
    pub pod: bool,
    /// Rows as listed, whatever their state. Rows are not running tasks.
    pub tasks: Vec<Task>,
}

impl App {
    /// Whether this row is a task that serves: running, and healthy by an answer that came after it
    /// started.
    ///
    /// Marathon 1.8 and later let a new incarnation inherit the old one's health results, so
    /// `alive` alone may speak of the dead one (seen on 1.11).
    pub fn is_healthy(&self, task: &Task) -> bool {
        task.state == TaskState::Running
            && match (&task.health, self.health_checked) {
                (
                    Health::Reported {
                        alive, last_success, ..
                    },
                    _,
                ) => {
                    *alive
                        && last_success
                            .is_some_and(|success| task.started_at.is_some_and(|started| success > started))
                }
                (Health::Unreported, checked) => !checked,
            }
    }

    /// How many tasks serve, counted by us from the rows.
    pub fn healthy(&self) -> u32 {
        u32::try_from(self.tasks.iter().filter(|t| self.is_healthy(t)).count()).unwrap_or(u32::MAX)
    }

    /// How many instances do not serve, whatever the cause.
    pub fn missing(&self) -> u32 {
        self.instances.saturating_sub(self.healthy())
    }
}

/// One row of a task list: one incarnation of an instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Its id; a new one for every incarnation.
    pub id: TaskId,
    /// What survives a restart on 1.8 and later; equal to `id` before.
    pub instance: InstanceId,
    /// The trailing counter on 1.8 and later.
    pub incarnation: Option<u64>,
    /// Agent hostname as in the offer.
    pub host: Word,
    /// Its first host port, while it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Mesos agent id.
    pub agent: Option<AgentId>,
    /// State as listed.
    pub state: TaskState,
    /// Set while the task is active.
    pub staged_at: Option<DateTime<Utc>>,
    /// Set once it has been running.
    pub started_at: Option<DateTime<Utc>>,
    /// Version of the definition it runs.
    pub version: Option<Word>,
    /// Health results, all of them together.
    pub health: Health,
    /// Fault domain.
    pub region: Option<Word>,
    /// Fault domain.
    pub zone: Option<Word>,
}

/// Mesos task states as Marathon lists them; new ones are kept by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TaskState {
    /// `TASK_STAGING`
    Staging,
    /// `TASK_STARTING`
    Starting,
    /// `TASK_RUNNING`
    Running,
    /// `TASK_KILLING`
    Killing,
    /// `TASK_UNREACHABLE`
    Unreachable,
    /// `TASK_KILLED`, `TASK_FAILED`, `TASK_FINISHED`, `TASK_ERROR`, `TASK_GONE`, `TASK_DROPPED`:
    /// over, though from 1.8 on the row may stay until the next incarnation.
    Over(String),
    /// Anything else, by name: neither running nor over as far as we know.
    Other(String),
}

/// All health results of a task together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Health {
    /// No result yet: unknown, not bad, and never fine for an app with health checks.
    Unreported,
    /// At least one result.
    Reported {
        /// Every result says alive.
        alive: bool,
        /// The oldest of the results' latest successes.
        last_success: Option<DateTime<Utc>>,
        /// The latest first success.
        first_success: Option<DateTime<Utc>>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000 + second, 0).unwrap()
    }

    fn app(task: Task) -> App {
        App {
            id: "/shop/cart".into(),
            instances: 1,
            labels: BTreeMap::new(),
            version: "v".into(),
            health_checked: true,
            resident: false,
            constraints: vec![],
            deployments: vec![],
            launch_delay_s: None,
            kill_grace_s: None,
            pod: false,
            tasks: vec![task],
        }
    }

    fn task() -> Task {
        Task {
            id: "cart.instance-1._app.2".into(),
            instance: "cart.instance-1".into(),
            incarnation: Some(2),
            host: "a1".into(),
            port: None,
            agent: None,
            state: TaskState::Running,
            staged_at: Some(at(0)),
            started_at: Some(at(1)),
            version: None,
            health: Health::Reported {
                alive: true,
                last_success: Some(at(5)),
                first_success: Some(at(5)),
            },
            region: None,
            zone: None,
        }
    }

    #[test]
    fn apps_are_found_by_how_their_ids_begin_each_once_and_none_is_missed() {
        let ids = ["/a", "/a-b", "/a/b", "/a/b/c", "/ab", "/b/a", "/c"];
        let with_id = |id: &str| App {
            id: id.into(),
            ..app(task())
        };
        let mut snapshot = Snapshot::unseen(
            "prod".into(),
            at(0),
            Gap {
                app: None,
                what: GapKind::Info,
                why: String::new(),
            },
        );
        snapshot.apps = ids.iter().map(|id| ((*id).into(), with_id(id))).collect();
        for (patterns, expected) in [
            (vec![], ids.to_vec()),
            (vec!["/**"], ids.to_vec()),
            (vec!["/a/**"], vec!["/a", "/a-b", "/a/b", "/a/b/c", "/ab"]),
            (vec!["/c", "/a/b/*", "/a/b"], vec!["/a/b", "/a/b/c", "/c"]),
            (vec!["/x"], vec![]),
        ] {
            let patterns: Vec<_> = patterns.into_iter().map(|p| AppPattern(p.into())).collect();
            let found: Vec<_> = snapshot.apps_like(&patterns).map(|a| a.id.as_str()).collect();
            assert_eq!(found, expected, "{patterns:?}");
            for id in ids {
                let named = patterns.iter().any(|p| p.matches(&id.into()));
                assert!(!named || found.contains(&id), "{id}");
            }
        }
    }

    #[test]
    fn inherited_health_does_not_count() {
        assert_eq!(app(task()).healthy(), 1);
        let inherited = Health::Reported {
            alive: true,
            last_success: Some(at(0)),
            first_success: Some(at(-900)),
        };
        assert_eq!(
            app(Task {
                health: inherited.clone(),
                ..task()
            })
            .healthy(),
            0
        );
        let staged = Task {
            health: inherited,
            state: TaskState::Staging,
            started_at: None,
            ..task()
        };
        assert_eq!(app(staged).healthy(), 0);
    }

    #[test]
    fn no_report_counts_only_where_there_is_no_health_check() {
        let silent = Task {
            health: Health::Unreported,
            ..task()
        };
        assert_eq!(app(silent.clone()).healthy(), 0);
        assert_eq!(
            App {
                health_checked: false,
                ..app(silent)
            }
            .healthy(),
            1
        );
    }

    #[test]
    fn versions_compare_on_two_numbers() {
        assert!(MarathonVersion::parse("1.11.24").unwrap().stable_instances());
        assert!(!MarathonVersion::parse("1.7.236").unwrap().stable_instances());
        assert_eq!(MarathonVersion::parse("x"), None);
    }
}
