//! Which Marathon is pretended, and every question on which the versions differ.
//!
//! Nothing else compares versions: whoever needs a difference asks for it here by its name. The
//! answers were read from Marathon's source at the release that [`Version::full`] names, and where
//! a recording of a real one exists (1.7, 1.11), the recording has the last word.

use std::fmt;
use std::str::FromStr;

/// A minor version of Marathon; each stands for its last public release.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Version {
    V1_4,
    V1_5,
    V1_6,
    V1_7,
    V1_8,
    V1_9,
    V1_10,
    #[default]
    V1_11,
}

use Version::{V1_4, V1_5, V1_6, V1_7, V1_8, V1_9, V1_10, V1_11};

/// How much the events of deployments carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plans {
    /// The whole old and new world, whatever is asked.
    Heavy,
    /// The whole world, unless `plan-format=light` is asked for.
    HeavyUnlessAsked,
    /// Only steps.
    Light,
}

/// What becomes of the reader of an event stream that reads too slowly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlowReader {
    /// It misses events and is not told.
    MissesEvents,
    /// Its connection is closed.
    IsClosed,
}

/// How the plain text of `/v2/tasks` is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextTasks {
    /// Served.
    Served,
    /// 406.
    Refused,
}

impl Version {
    /// All of them, oldest first.
    pub const ALL: [Self; 8] = [V1_4, V1_5, V1_6, V1_7, V1_8, V1_9, V1_10, V1_11];

    /// Such as `1.11`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            V1_4 => "1.4",
            V1_5 => "1.5",
            V1_6 => "1.6",
            V1_7 => "1.7",
            V1_8 => "1.8",
            V1_9 => "1.9",
            V1_10 => "1.10",
            V1_11 => "1.11",
        }
    }

    /// Its second number, from 4.
    #[must_use]
    pub fn minor(self) -> u8 {
        4 + self as u8
    }

    /// The release as `/v2/info` says it.
    #[must_use]
    pub fn full(self) -> &'static str {
        match self {
            V1_4 => "1.4.13",
            V1_5 => "1.5.15",
            V1_6 => "1.6.590",
            V1_7 => "1.7.236",
            V1_8 => "1.8.244",
            V1_9 => "1.9.109",
            V1_10 => "1.10.26",
            V1_11 => "1.11.24",
        }
    }

    // --- tasks and kills ---------------------------------------------------------------------

    /// An instance keeps its identity when its task is replaced, and a dead row stays listed.
    #[must_use]
    pub fn stable_instances(self) -> bool {
        self >= V1_8
    }

    /// A kill without scaling is dropped, with 200, while a deployment or another kill has the app.
    #[must_use]
    pub fn plain_kill_needs_lock(self) -> bool {
        self <= V1_7
    }

    /// What an instance is called in events when its task has been sent to an agent.
    #[must_use]
    pub fn launched(self) -> &'static str {
        if self.stable_instances() {
            "Provisioned"
        } else {
            "Created"
        }
    }

    /// An id of the right shape whose UUID is none is refused, and not only unknown.
    #[must_use]
    pub fn bad_uuid_is_refused(self) -> bool {
        self >= V1_6
    }

    /// After how many seconds Marathon asks Mesos again for a kill that nobody has confirmed.
    #[must_use]
    pub fn kill_retry_seconds(self) -> u32 {
        // 10 s in the first releases of 1.5 to 1.7.
        if self == V1_4 { 10 } else { 30 }
    }

    /// `GROUP_BY` without a number divides by zero. Seen on 1.11; the others were not asked.
    #[must_use]
    pub fn divides_by_group_by(self) -> bool {
        self == V1_11
    }

    /// The default of `maxLaunchDelaySeconds`.
    #[must_use]
    pub fn max_launch_delay_seconds(self) -> u32 {
        if self <= V1_7 { 3600 } else { 300 }
    }

    /// The shortest time between two offers, ms: what a replacement waits for at worst.
    #[must_use]
    pub fn min_revive_offers_interval(self) -> u32 {
        if self == V1_8 { 30_000 } else { 5_000 }
    }

    /// How many deployments may run at once.
    #[must_use]
    pub fn max_running_deployments(self) -> Option<usize> {
        (self >= V1_5).then_some(100)
    }

    /// A delay of launches can only be reset while there is one.
    #[must_use]
    pub fn delay_reset_needs_a_delay(self) -> bool {
        self <= V1_7
    }

    // --- documents ---------------------------------------------------------------------------

    /// Apps and tasks are written the old way: empty lists left out of tasks, `null` for what is not.
    #[must_use]
    pub fn writes_nulls(self) -> bool {
        self <= V1_5
    }

    /// App definitions still show `ports`, `uris`, `ipAddress` and the ports of Docker.
    #[must_use]
    pub fn shows_old_fields(self) -> bool {
        self == V1_4
    }

    /// Tasks show the region and the zone of their agent.
    #[must_use]
    pub fn has_fault_domains(self) -> bool {
        self >= V1_6
    }

    /// Apps, tasks and the queue show a Mesos role.
    #[must_use]
    pub fn has_roles(self) -> bool {
        self >= V1_9
    }

    /// The operator `IS`, and the fields `@region`, `@zone` and `@hostname` of constraints.
    #[must_use]
    pub fn has_is_constraints(self) -> bool {
        self >= V1_6
    }

    /// Where the statistics of tasks are in an app, if asked for.
    #[must_use]
    pub fn stats_key(self) -> &'static str {
        if self >= V1_9 { "tasksStats" } else { "taskStats" }
    }

    /// `16.0` and not `16`.
    #[must_use]
    pub fn writes_fractions(self) -> bool {
        self >= V1_9
    }

    /// The newer JSON parser, with other words about what is wrong.
    #[must_use]
    pub fn newer_parser(self) -> bool {
        self >= V1_9
    }

    /// A label selector is refused with the furthest failure, and not only the last.
    #[must_use]
    pub fn selector_tells_the_furthest(self) -> bool {
        self <= V1_8
    }

    /// 404 and other messages have an empty list of details.
    #[must_use]
    pub fn empty_details(self) -> bool {
        self >= V1_9
    }

    /// The answer to a new app lists its tasks, which it has none of.
    #[must_use]
    pub fn new_app_lists_tasks(self) -> bool {
        self <= V1_8
    }

    /// `.` and `..` are named among the words an app id may not end with.
    #[must_use]
    pub fn reserves_dots(self) -> bool {
        self >= V1_9
    }

    /// An app id may not end with `restart`, `tasks` or `versions`.
    #[must_use]
    pub fn reserves_words(self) -> bool {
        self >= V1_8
    }

    /// JSON of the wrong shape.
    #[must_use]
    pub fn wrong_shape_status(self) -> u16 {
        if self == V1_4 { 400 } else { 422 }
    }

    /// A URL that does not exist.
    #[must_use]
    pub fn unknown_url_status(self) -> u16 {
        if self <= V1_5 { 404 } else { 500 }
    }

    /// Lists of tasks say `application/json; qs=2`.
    #[must_use]
    pub fn says_quality(self) -> bool {
        self <= V1_5
    }

    /// Tasks as plain text.
    #[must_use]
    pub fn text_tasks(self) -> TextTasks {
        if self <= V1_9 {
            TextTasks::Served
        } else {
            TextTasks::Refused
        }
    }

    /// `/v2/eventSubscriptions`, `/v2/artifacts`: there, and deprecated.
    #[must_use]
    pub fn has_callbacks(self) -> bool {
        self == V1_4
    }

    /// `/v2/schemas`; 1.7 only with a flag.
    #[must_use]
    pub fn has_schemas(self) -> bool {
        self <= V1_6
    }

    /// `/metrics` in the newer form, and `/metrics/prometheus`.
    #[must_use]
    pub fn newer_metrics(self) -> bool {
        self >= V1_7
    }

    /// Every answer says that it may not be framed.
    #[must_use]
    pub fn says_frame_options(self) -> bool {
        self >= V1_7
    }

    // --- events ------------------------------------------------------------------------------

    /// What deployment events carry.
    #[must_use]
    pub fn plans(self) -> Plans {
        match self {
            V1_4 => Plans::Heavy,
            V1_5 => Plans::HeavyUnlessAsked,
            _ => Plans::Light,
        }
    }

    /// What becomes of a slow reader.
    #[must_use]
    pub fn slow_reader(self) -> SlowReader {
        if self <= V1_7 {
            SlowReader::MissesEvents
        } else {
            SlowReader::IsClosed
        }
    }

    /// How many events may wait for one reader.
    #[must_use]
    pub fn event_buffer(self) -> u64 {
        if self == V1_4 { 50 } else { 1024 }
    }

    /// Under which key `failed_health_check_event` has the instance.
    #[must_use]
    pub fn failed_check_key(self) -> &'static str {
        if self == V1_4 { "instanceId" } else { "taskId" }
    }

    /// `deployment_failed` says why.
    #[must_use]
    pub fn tells_why_deployments_fail(self) -> bool {
        self >= V1_6
    }

    // --- several nodes -----------------------------------------------------------------------

    /// A follower sends readers of events to the leader, and does not read for them.
    #[must_use]
    pub fn events_redirect(self) -> bool {
        self >= V1_7
    }

    /// No leader is known.
    #[must_use]
    pub fn leaderless_status(self) -> u16 {
        if self <= V1_6 { 503 } else { 502 }
    }

    /// The leader does not listen.
    #[must_use]
    pub fn leader_refused_status(self) -> u16 {
        if self == V1_4 { 503 } else { 502 }
    }

    /// The leader is silent for longer than followers wait.
    #[must_use]
    pub fn leader_silent_status(self) -> u16 {
        if self.asynchronous_proxy() { 500 } else { 504 }
    }

    /// The proxy that loses bodies of unknown length; the older one loses the bodies of `DELETE`.
    #[must_use]
    pub fn asynchronous_proxy(self) -> bool {
        self >= V1_6
    }

    /// How many requests a follower passes on at once; 500 above.
    #[must_use]
    pub fn max_proxied(self) -> usize {
        if self.asynchronous_proxy() { 64 } else { 32 }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Version {
    type Err = String;

    /// Reads `1.7`, and `1.7.236` as the same.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL
            .into_iter()
            .find(|v| text == v.name() || text == v.full());
        found.ok_or_else(|| {
            let known: Vec<&str> = Self::ALL.iter().map(|v| v.name()).collect();
            format!("no Marathon that is known here: one of {}", known.join(", "))
        })
    }
}
