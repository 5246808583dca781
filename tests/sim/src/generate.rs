//! Big clusters: bodies as long as those of a large Marathon, made from a seed, one app at a time.
//!
//! Nothing of it is kept: app number `n` is made from the seed and `n` whenever it is asked for, so a
//! body of 78 MB costs its bytes and no memory. The same shape gives the same bytes on every machine.
//! Generated apps only stand there; what kills, changes and deploys goes by the state, which has none of
//! them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};

use crate::marathon::agents::AgentSpec;
use crate::marathon::state::{path_of, stamp};

/// How much to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Apps.
    pub apps: u32,
    /// Tasks of each app.
    pub tasks: u32,
    /// Another one gives other apps.
    pub seed: u64,
    /// The second number of the Marathon version, 4 to 11: ids and fields of tasks depend on it.
    pub minor: u8,
}

impl Shape {
    /// So many apps with so many tasks each, as 1.11 lists them.
    #[must_use]
    pub fn new(apps: u32, tasks: u32) -> Self {
        Self {
            apps,
            tasks,
            seed: 1,
            minor: 11,
        }
    }
}

/// `5000x20`, or `5000x20@7` with a seed.
impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let (size, seed) = text.split_once('@').unwrap_or((text, "1"));
            let (apps, tasks) = size.split_once('x')?;
            let shape = Self::new(apps.parse().ok()?, tasks.parse().ok()?);
            let seed = seed.parse().ok()?;
            (shape.apps > 0).then_some(Self { seed, ..shape })
        };
        read().ok_or_else(|| format!("{text:?} isn't APPSxTASKS such as 5000x20, or APPSxTASKS@SEED"))
    }
}

/// Which rows of an app, and with what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// With service ports, as only `GET /v2/tasks` lists them.
    pub services: bool,
    /// Only running tasks.
    pub running_only: bool,
}

/// Where generated tasks run.
#[derive(Clone, Debug)]
pub struct Place {
    /// Host name.
    pub host: String,
    /// Address.
    pub address: String,
    /// Agent id.
    pub id: String,
    /// Region and zone.
    pub domain: Option<(String, String)>,
}

/// Makes apps of one shape.
#[derive(Clone, Debug)]
pub struct Generator {
    shape: Shape,
    places: Vec<Place>,
}

/// Small, fast, and the same everywhere (Steele, Lea, Flood: `SplitMix`).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    /// Happens so many times in ten thousand.
    fn rarely(&mut self, in_ten_thousand: u64) -> bool {
        self.below(10_000) < in_ten_thousand
    }
}

const TIERS: [&str; 4] = ["front", "back", "data", "batch"];
const WORDS: [&str; 8] = [
    "cart", "search", "orders", "stock", "mail", "login", "price", "ledger",
];

/// What is decided of an app before its tasks.
struct Plan {
    id: String,
    checks: usize,
    resident: bool,
    deploying: bool,
    version: DateTime<Utc>,
    port: u64,
    dice: Dice,
}

impl Generator {
    /// On agents of its own, one for a hundred tasks, at least eight.
    #[must_use]
    pub fn new(shape: Shape) -> Self {
        let specs = AgentSpec::cluster(agents_for(shape));
        let place = |(n, spec): (usize, &AgentSpec)| Place {
            host: spec.host.clone(),
            address: spec.host.clone(),
            id: format!("4fb6a1c2-0d5e-4c1b-9f0e-7a3d2b1c0e9f-S{n}"),
            domain: spec.domain.clone(),
        };
        let places = specs.iter().enumerate().map(place).collect();
        Self { shape, places }
    }

    /// On these agents. Without any, on agents of its own.
    #[must_use]
    pub fn on(shape: Shape, places: Vec<Place>) -> Self {
        if places.is_empty() {
            Self::new(shape)
        } else {
            Self { shape, places }
        }
    }

    /// What it makes.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The id of an app, by its number from 0.
    #[must_use]
    pub fn id(&self, n: u32) -> String {
        let word = WORDS[n as usize % WORDS.len()];
        format!("/team-{:02}/{word}-{n:05}", n % 40)
    }

    /// The app with this id.
    #[must_use]
    pub fn number(&self, id: &str) -> Option<u32> {
        let n = id.rsplit_once('-')?.1.parse().ok()?;
        (n < self.shape.apps && self.id(n) == id).then_some(n)
    }

    /// The labels of an app: its team, its tier, and `chaos: opt-in` on every tenth.
    #[must_use]
    pub fn labels(&self, n: u32) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::from([
            ("HAPROXY_GROUP".to_owned(), "external".to_owned()),
            ("owner".to_owned(), format!("team-{:02}@example.com", n % 40)),
            ("team".to_owned(), format!("team-{:02}", n % 40)),
            ("tier".to_owned(), TIERS[n as usize % TIERS.len()].to_owned()),
        ]);
        if n.is_multiple_of(10) {
            labels.insert("chaos".to_owned(), "opt-in".to_owned());
        }
        labels
    }

    /// The command of an app.
    #[must_use]
    pub fn cmd(&self, n: u32) -> String {
        format!("exec /opt/run --name service-{n:05} --port $PORT0 --config /etc/service/config.yaml")
    }

    fn plan(&self, n: u32) -> Plan {
        let mut dice = Dice(self.shape.seed ^ (u64::from(n) << 32));
        dice.next();
        let base = DateTime::UNIX_EPOCH + TimeDelta::days(20_780);
        Plan {
            id: self.id(n),
            checks: [1, 1, 1, 1, 1, 1, 1, 1, 2, 0][usize::try_from(dice.below(10)).unwrap_or(0)],
            resident: dice.rarely(200),
            deploying: dice.rarely(50),
            version: base - TimeDelta::milliseconds(ms(dice.below(90 * 86_400_000))),
            port: 10_000 + dice.below(10_000),
            dice,
        }
    }

    /// Writes an app as `GET /v2/apps` lists it, with its tasks or without.
    pub fn write_app(&self, n: u32, tasks: bool, to: &mut String) {
        let mut plan = self.plan(n);
        let tasks_from = Dice(plan.dice.0);
        let mut rows = String::new();
        let [staged, running, healthy, unhealthy] =
            self.write_tasks(n, &plan, tasks_from, &mut rows, Rows::default());
        let (team, version) = (n % 40, stamp(plan.version));
        let _ = write!(to, "{{\"id\":\"{}\",\"acceptedResourceRoles\":[\"*\"],", plan.id);
        let _ = write!(
            to,
            "\"backoffFactor\":1.15,\"backoffSeconds\":1,\"cmd\":\"{}\",\"constraints\":[[\"hostname\",\"MAX_PER\",\"4\"]],",
            self.cmd(n)
        );
        let _ = write!(
            to,
            "\"container\":{{\"type\":\"DOCKER\",\"docker\":{{\"image\":\"registry.example.com/team-{team:02}/service-{n:05}:\
             1.{}.{}\",\"forcePullImage\":false,\"privileged\":false,\"parameters\":[]}},\"volumes\":[",
            plan.dice.below(40),
            plan.dice.below(9)
        );
        if plan.resident {
            to.push_str(
                "{\"containerPath\":\"data\",\"mode\":\"RW\",\"persistent\":{\"type\":\"root\",\"size\":1024,\"constraints\":[]}}",
            );
        }
        to.push_str(
            "],\"portMappings\":[{\"containerPort\":8080,\"hostPort\":0,\"labels\":{},\"name\":\"http\",",
        );
        let _ = write!(
            to,
            "\"protocol\":\"tcp\",\"servicePort\":{}}}]}},\"cpus\":0.5,\"disk\":0.0,",
            plan.port
        );
        let _ = write!(
            to,
            "\"env\":{{\"CONFIG\":\"{{\\\"level\\\":\\\"info\\\"}}\",\"DB_URL\":\"postgres://db.team-{team:02}.example.com:5432/\
             service_{n:05}\",\"GREETING\":\"gr\u{fc}\u{df} dich\",\"JAVA_OPTS\":\"-Xms256m -Xmx512m -XX:+UseG1GC \
             -Dservice.name=service-{n:05}\",\"SERVICE_NAME\":\"service-{n:05}\"}},"
        );
        to.push_str("\"executor\":\"\",\"fetch\":[],\"healthChecks\":[");
        for check in 0..plan.checks {
            let path = ["/health", "/ready"][check % 2];
            let _ = write!(
                to,
                "{}{{\"gracePeriodSeconds\":300,\"ignoreHttp1xx\":false,\"intervalSeconds\":10,\"maxConsecutiveFailures\":3,\
                 \"path\":\"{path}\",\"portIndex\":0,\"protocol\":\"MESOS_HTTP\",\"ipProtocol\":\"IPv4\",\"timeoutSeconds\":20,\
                 \"delaySeconds\":15}}",
                if check > 0 { "," } else { "" }
            );
        }
        let _ = write!(to, "],\"instances\":{},\"labels\":{{", self.shape.tasks);
        for (place, (key, value)) in self.labels(n).iter().enumerate() {
            let comma = if place > 0 { "," } else { "" };
            let _ = write!(to, "{comma}\"{key}\":\"{value}\"");
        }
        to.push_str(
            "},\"maxLaunchDelaySeconds\":300,\"mem\":512.0,\"gpus\":0,\"networks\":[{\"mode\":\"container/bridge\"}],",
        );
        if plan.resident {
            to.push_str(
                "\"residency\":{\"relaunchEscalationTimeoutSeconds\":3600,\"taskLostBehavior\":\"WAIT_FOREVER\"},",
            );
        }
        let unreachable = if plan.resident {
            "\"disabled\""
        } else {
            "{\"inactiveAfterSeconds\":0,\"expungeAfterSeconds\":0}"
        };
        let _ = write!(
            to,
            "\"requirePorts\":false,\"secrets\":{{}},\"upgradeStrategy\":\
             {{\"maximumOverCapacity\":1.0,\"minimumHealthCapacity\":1.0}},\"version\":\"{version}\",\"versionInfo\":\
             {{\"lastScalingAt\":\"{version}\",\"lastConfigChangeAt\":\"{version}\"}},\"killSelection\":\"YOUNGEST_FIRST\",\
             \"unreachableStrategy\":{unreachable},"
        );
        if self.shape.minor >= 9 {
            to.push_str("\"role\":\"*\",");
        }
        let _ = write!(
            to,
            "\"tasksStaged\":{staged},\"tasksRunning\":{running},\"tasksHealthy\":{healthy},\"tasksUnhealthy\":{unhealthy},\
             \"deployments\":["
        );
        if plan.deploying {
            let _ = write!(to, "{{\"id\":\"{}\"}}", uuid(&mut Dice(u64::from(n))));
        }
        to.push(']');
        if tasks {
            let _ = write!(to, ",\"tasks\":[{rows}]");
        }
        to.push('}');
    }

    /// Writes the rows of an app, with commas between them, and counts staged, running, healthy and
    /// unhealthy ones.
    fn write_tasks(&self, n: u32, plan: &Plan, mut dice: Dice, to: &mut String, of: Rows) -> [u32; 4] {
        let mut counts = [0; 4];
        let mut first = true;
        let path = path_of(&plan.id);
        for t in 0..self.shape.tasks {
            let place =
                (u64::from(n) * u64::from(self.shape.tasks) + u64::from(t)) % self.places.len() as u64;
            let place = &self.places[usize::try_from(place).unwrap_or(0)];
            let started = plan.version + TimeDelta::milliseconds(ms(dice.below(86_400_000)));
            let (state, sick) = match dice.below(1_000) {
                0..=2 => ("TASK_STAGING", false),
                3..=4 if self.shape.minor >= 8 => ("TASK_KILLED", false),
                5 => ("TASK_UNREACHABLE", false),
                6..=10 => ("TASK_RUNNING", true),
                _ => ("TASK_RUNNING", false),
            };
            let (own, host) = (uuid(&mut dice), &place.host);
            let (id, instance) = if self.shape.minor >= 8 {
                (
                    format!("{path}.instance-{own}._app.{}", 1 + dice.below(4)),
                    format!("{path}.instance-{own}"),
                )
            } else {
                (format!("{path}.{own}"), format!("{path}.marathon-{own}"))
            };
            let runs = state == "TASK_RUNNING";
            let mut unwanted = String::new();
            let to = if runs || !of.running_only {
                if !std::mem::take(&mut first) {
                    to.push(',');
                }
                &mut *to
            } else {
                &mut unwanted
            };
            let _ = write!(to, "{{\"appId\":\"{}\",\"healthCheckResults\":[", plan.id);
            for check in 0..if runs { plan.checks } else { 0 } {
                let passed = stamp(started + TimeDelta::milliseconds(20_000 + ms(dice.below(9_000))));
                let comma = if check > 0 { "," } else { "" };
                let _ = write!(
                    to,
                    "{comma}{{\"alive\":{},\"consecutiveFailures\":{},\"firstSuccess\":\"{passed}\",\"instanceId\":\"instance \
                     [{instance}]\",",
                    !sick,
                    u8::from(sick)
                );
                if sick {
                    let failed = stamp(started + TimeDelta::seconds(90));
                    let _ = write!(
                        to,
                        "\"lastFailure\":\"{failed}\",\"lastFailureCause\":\"503 Service Unavailable\","
                    );
                }
                let _ = write!(to, "\"lastSuccess\":\"{passed}\"}}");
            }
            let port = 31_000 + dice.below(1_000);
            let (active, reached) = (state != "TASK_KILLED", runs || state == "TASK_UNREACHABLE");
            let _ = write!(to, "],\"host\":\"{host}\",\"id\":\"{id}\",\"ipAddresses\":[");
            if runs {
                let _ = write!(
                    to,
                    "{{\"ipAddress\":\"{}\",\"protocol\":\"IPv4\"}}",
                    place.address
                );
            }
            to.push_str("],\"ports\":[");
            if active {
                let _ = write!(to, "{port}");
            }
            to.push_str("],\"servicePorts\":[");
            if of.services {
                let _ = write!(to, "{}", plan.port);
            }
            let _ = write!(to, "],\"slaveId\":\"{}\",\"state\":\"{state}\",", place.id);
            if active {
                let _ = write!(
                    to,
                    "\"stagedAt\":\"{}\",",
                    stamp(started - TimeDelta::milliseconds(1_400))
                );
                if reached {
                    let _ = write!(to, "\"startedAt\":\"{}\",", stamp(started));
                }
                let _ = write!(to, "\"version\":\"{}\",", stamp(plan.version));
            }
            to.push_str("\"localVolumes\":[");
            if plan.resident {
                let id = &plan.id;
                let _ = write!(
                    to,
                    "{{\"runSpecId\":\"{id}\",\"containerPath\":\"data\",\"uuid\":\"{own}\",\"persistenceId\":\"{path}#data#{own}\"}}"
                );
            }
            to.push(']');
            if let Some((region, zone)) = place.domain.as_ref().filter(|_| self.shape.minor >= 6) {
                let _ = write!(to, ",\"region\":\"{region}\",\"zone\":\"{zone}\"");
            }
            to.push_str(if self.shape.minor >= 9 {
                ",\"role\":\"*\"}"
            } else {
                "}"
            });
            counts[0] += u32::from(state == "TASK_STAGING");
            counts[1] += u32::from(runs);
            counts[2] += u32::from(runs && !sick && plan.checks > 0);
            counts[3] += u32::from(sick && plan.checks > 0);
        }
        counts
    }

    /// Writes the rows of an app, with commas between them.
    pub fn write_rows(&self, n: u32, of: Rows, to: &mut String) {
        let plan = self.plan(n);
        let dice = Dice(plan.dice.0);
        self.write_tasks(n, &plan, dice, to, of);
    }

    /// The body of `GET /v2/apps?embed=apps.tasks`, in pieces of an app or two.
    pub fn apps(&self) -> impl Iterator<Item = String> + '_ {
        let piece = |n: u32| {
            let mut piece = if n > 0 { "," } else { "{\"apps\":[" }.to_owned();
            self.write_app(n, true, &mut piece);
            piece
        };
        (0..self.shape.apps).map(piece).chain(["]}".to_owned()])
    }

    /// The same, whole: for 5000x20 some 78 MB.
    #[must_use]
    pub fn apps_body(&self) -> String {
        self.apps().collect()
    }
}

/// How many agents a cluster of this shape has: one for a hundred tasks, at least eight.
#[must_use]
pub fn agents_for(shape: Shape) -> usize {
    let tasks = u64::from(shape.apps) * u64::from(shape.tasks);
    usize::try_from(tasks / 100).unwrap_or(usize::MAX).clamp(8, 1_000)
}

fn ms(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(0)
}

/// A time-based one by its form.
fn uuid(dice: &mut Dice) -> String {
    let (a, b) = (dice.next(), dice.next());
    format!(
        "{:08x}-{:04x}-11{:02x}-{:04x}-{:012x}",
        a >> 32,
        (a >> 16) & 0xffff,
        a & 0xff,
        0x8000 | (b >> 48) & 0x3fff,
        b & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn a_shape_is_read_from_words() {
        assert_eq!("5000x20".parse(), Ok(Shape::new(5000, 20)));
        assert_eq!("3x2@9".parse::<Shape>().unwrap().seed, 9);
        for bad in ["", "5000", "0x2", "ax2", "3x2@"] {
            assert!(bad.parse::<Shape>().unwrap_err().contains("APPSxTASKS"), "{bad}");
        }
    }

    #[test]
    fn the_same_shape_gives_the_same_bytes_and_another_seed_gives_others() {
        let body = |seed| {
            Generator::new(Shape {
                seed,
                ..Shape::new(30, 20)
            })
            .apps_body()
        };
        assert_eq!(body(1), body(1));
        assert_ne!(body(1), body(2));
    }

    #[test]
    fn a_body_is_as_long_as_a_large_marathons_and_its_counts_are_those_of_its_rows() {
        let generator = Generator::new(Shape::new(500, 20));
        let text = generator.apps_body();
        let per_task = text.len() / 10_000;
        assert!((700..=850).contains(&per_task), "{per_task} bytes a task");
        let body: Value = serde_json::from_str(&text).unwrap();
        let apps = body["apps"].as_array().unwrap();
        assert_eq!(apps.len(), 500);
        let mut states = std::collections::BTreeSet::new();
        for (n, app) in (0..).zip(apps) {
            let rows = app["tasks"].as_array().unwrap();
            let is = |row: &&Value, state: &str| row["state"] == state;
            let count = |state: &str| rows.iter().filter(|r| is(r, state)).count();
            assert_eq!(app["tasksRunning"], count("TASK_RUNNING"));
            assert_eq!(app["tasksStaged"], count("TASK_STAGING"));
            let alive = |r: &&Value| {
                let results = r["healthCheckResults"].as_array().unwrap();
                !results.is_empty() && results.iter().all(|h| h["alive"] == true)
            };
            assert_eq!(app["tasksHealthy"], rows.iter().filter(alive).count());
            states.extend(rows.iter().map(|r| r["state"].as_str().unwrap().to_owned()));
            let id = app["id"].as_str().unwrap();
            assert_eq!(generator.number(id), Some(n));
            let labels: BTreeMap<String, String> = serde_json::from_value(app["labels"].clone()).unwrap();
            assert_eq!(labels, generator.labels(n));
            let mut rows_again = String::new();
            generator.write_rows(n, Rows::default(), &mut rows_again);
            let rows_again: Value = serde_json::from_str(&format!("[{rows_again}]")).unwrap();
            assert_eq!(rows_again, app["tasks"]);
        }
        let all = ["TASK_KILLED", "TASK_RUNNING", "TASK_STAGING", "TASK_UNREACHABLE"];
        assert!(states.iter().eq(all.iter()), "{states:?}");
    }

    #[test]
    fn older_versions_have_older_ids_and_fewer_fields() {
        let old = Shape {
            minor: 5,
            ..Shape::new(1, 1)
        };
        let mut row = String::new();
        Generator::new(old).write_rows(0, Rows::default(), &mut row);
        assert!(
            !row.contains("instance-") && !row.contains("\"zone\"") && !row.contains("\"role\""),
            "{row}"
        );
    }
}
