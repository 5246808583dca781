//! Rehearsals on a clock of their own, before a cluster whose kill door must stay shut.

use super::*;
use crate::model::snapshot::{App, ClusterInfo, Gap, Health, MarathonVersion, Snapshot, Task, TaskState};
use crate::ports::Permit;
use crate::ports::cluster::{KillAnswer, KillOrder, LastLook, Query};
use crate::ports::prober::Patience;
use async_trait::async_trait;
use std::sync::atomic::{AtomicU32, Ordering};

const POLICY: &str = include_str!("../../../policies/examples/2-approved-kill.yaml");

struct Paused(tokio::time::Instant);

#[async_trait]
impl Clock for Paused {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000, 0).unwrap() + TimeDelta::from_std(self.elapsed()).unwrap()
    }
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// Four healthy tasks of `/shop/cart`, and no way to kill one.
struct Calm;

impl Calm {
    fn app() -> App {
        let at = |seconds: i64| DateTime::from_timestamp(1_789_000_000 + seconds, 0);
        let task = |n: u32| Task {
            id: format!("cart.instance-{n}._app.1").as_str().into(),
            instance: format!("cart.instance-{n}").as_str().into(),
            incarnation: Some(1),
            host: format!("agent-{n}").into(),
            port: None,
            agent: None,
            state: TaskState::Running,
            staged_at: at(0),
            started_at: at(1),
            version: None,
            health: Health::Reported {
                alive: true,
                last_success: at(3),
                first_success: at(2),
            },
            region: None,
            zone: None,
        };
        App {
            id: "/shop/cart".into(),
            instances: 5,
            labels: [("chaos", "opt-in"), ("team", "shop")]
                .map(|(key, value)| (key.into(), value.to_owned()))
                .into(),
            version: "v1".into(),
            health_checked: true,
            resident: false,
            constraints: vec![],
            deployments: vec![],
            launch_delay_s: None,
            kill_grace_s: None,
            pod: false,
            tasks: (0..5).map(task).collect(),
        }
    }
}

#[async_trait]
impl Cluster for Calm {
    async fn look(&self, _: &[Query]) -> Snapshot {
        Snapshot {
            cluster: "prod".into(),
            taken_at: DateTime::from_timestamp(1_790_000_000, 0).unwrap(),
            info: Some(ClusterInfo {
                framework_id: "f".into(),
                version: MarathonVersion { major: 1, minor: 11 },
                leader: None,
                clock_offset_ms: None,
                task_killing: false,
                proxy_timeout_ms: None,
            }),
            apps: [(AppId::new("/shop/cart"), Self::app())].into(),
            agents: None,
            gaps: vec![],
        }
    }
    async fn look_at(&self, _: &AppId) -> Result<Option<App>, Gap> {
        Ok(Some(Self::app()))
    }
    async fn ping(&self) -> Result<(), String> {
        Ok(())
    }
    async fn kill(&self, _: &KillOrder, _: &Permit, _: &dyn LastLook) -> KillAnswer {
        panic!("a rehearsal asked for a kill");
    }
}

/// So many bad of 100 in every sample; every twentieth sample is bad alone when there is noise.
struct Noise {
    bad: u32,
    taken: AtomicU32,
}

#[async_trait]
impl Prober for Noise {
    async fn take(&self, _: &RunId, _: &ProbeSpec, _: Patience) -> Reading {
        self.taken.fetch_add(1, Ordering::Relaxed);
        Reading::Seen {
            observed: 100,
            bad: self.bad,
            slowest_ms: Some(20),
            detail: None,
        }
    }
}

fn policy() -> Policy {
    parse_policy(Path::new("p.yaml"), POLICY.as_bytes()).unwrap_or_else(|(_, p)| panic!("{p}"))
}

fn limits() -> Limits {
    Limits {
        tasks_down: 3,
        kills_per_hour: 10,
        kills_per_workday: 20,
        forbidden_apps: vec![],
        freezes: vec![],
        timezone: chrono_tz::UTC,
        holidays: Default::default(),
        covered: Default::default(),
    }
}

async fn play(
    policy: &Policy,
    bad: u32,
    lasts: Duration,
    stop_after: Duration,
) -> Result<(Rehearsal, Vec<String>), Trouble> {
    let limits = limits();
    let said = Mutex::new(vec![]);
    let stage = Stage {
        policy,
        limits: &limits,
        ownership: Ownership {
            opt_in: ("chaos".into(), "opt-in".into()),
            team_label: "team".into(),
            owners: vec![],
            owners_bad: None,
        },
        clock: Arc::new(Paused(tokio::time::Instant::now())),
        prober: Arc::new(Noise {
            bad,
            taken: AtomicU32::new(0),
        }),
        cluster: Arc::new(Calm),
    };
    let progress = |word: &str| said.lock().unwrap().push(word.to_owned());
    let rehearsal = stage
        .play(lasts, &progress, tokio::time::sleep(stop_after))
        .await?;
    Ok((rehearsal, said.into_inner().unwrap()))
}

const LONG: Duration = Duration::from_secs(3_600);

#[tokio::test(start_paused = true)]
async fn a_quiet_app_is_measured_for_the_time_that_was_asked_and_nothing_is_killed() {
    let policy = policy();
    let (rehearsal, said) = play(&policy, 0, Duration::from_secs(200), LONG).await.unwrap();
    assert_eq!((rehearsal.measured_s, rehearsal.cut_short), (200, false));
    let noise = &rehearsal.probes[0];
    assert!((198..=201).contains(&noise.samples), "{noise:?}");
    assert_eq!((noise.bad, noise.evidence_peak < Some(50)), (0, true));
    assert!(rehearsal.would_abort.is_empty());
    let shams: Vec<&str> = rehearsal.shams.iter().map(|sham| sham.what.as_str()).collect();
    assert_eq!(shams.len(), 3, "{shams:?}");
    assert!(
        shams
            .iter()
            .all(|what| what.starts_with("would have killed cart.instance-")),
        "{shams:?}"
    );
    assert!(rehearsal.shams.iter().all(|sham| sham.tasks == 1));
    assert_eq!(said.len(), 19);
    assert!(said[0].starts_with("10s of 3m20s: 0 of 1"), "{}", said[0]);
}

#[tokio::test(start_paused = true)]
async fn noise_above_the_limit_says_when_a_real_run_would_have_ended_and_which_limit_fits() {
    let (rehearsal, _) = play(&policy(), 3, Duration::from_secs(300), LONG).await.unwrap();
    assert!(
        rehearsal.would_abort.len() > 3,
        "each time the evidence begins anew"
    );
    assert!(rehearsal.would_abort[0].why.contains("stayed above its limit"));
    let noise = &rehearsal.probes[0];
    assert_eq!(noise.evidence_peak, Some(100));
    assert_eq!(noise.limit_advised, Some(Share::percent(10)));
}

#[tokio::test(start_paused = true)]
async fn what_was_measured_until_it_was_interrupted_is_told() {
    let stop = Duration::from_millis(30_500);
    let (rehearsal, _) = play(&policy(), 0, LONG, stop).await.unwrap();
    assert_eq!((rehearsal.measured_s, rehearsal.cut_short), (30, true));
    assert!((30..=32).contains(&rehearsal.probes[0].samples));
    assert!(
        rehearsal
            .remarks
            .iter()
            .any(|remark| remark.contains("are short"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_time_that_says_nothing_is_refused() {
    let trouble = play(&policy(), 0, Duration::from_secs(3), LONG)
        .await
        .unwrap_err();
    assert_eq!(trouble.exit, Exit::Usage);
    assert!(
        trouble.text.contains("at least 10s are needed"),
        "{}",
        trouble.text
    );
    let mut blind = policy();
    blind.hypothesis.probes.clear();
    let trouble = play(&blind, 0, LONG, LONG).await.unwrap_err();
    assert!(trouble.text.contains("has no probes"), "{}", trouble.text);
}

#[tokio::test(start_paused = true)]
async fn what_is_advised_is_written_and_nothing_else_changes() {
    let (rehearsal, _) = play(&policy(), 3, Duration::from_secs(300), LONG).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cart.yaml");
    std::fs::write(&file, POLICY).unwrap();
    let said = write(&file, &policy(), &rehearsal).unwrap();
    assert!(said.contains("max: 10%"), "{said}");
    let new = std::fs::read_to_string(&file).unwrap();
    let comments = |text: &str| text.matches('#').count();
    assert_eq!(comments(&new), comments(POLICY));
    let after = parse_policy(&file, new.as_bytes()).unwrap_or_else(|(_, p)| panic!("{p}"));
    assert_eq!(after.hypothesis.probes[0].max, Share::percent(10));
    assert_eq!(
        (after.schedule, after.approval),
        (policy().schedule, policy().approval)
    );
    let copy = folder.path().join("cart.yaml.before-rehearsal");
    assert_eq!(std::fs::read_to_string(copy).unwrap(), POLICY);
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        2,
        "nothing is left over"
    );
    // A file that is not what was measured any more is left alone.
    std::fs::write(&file, POLICY.replace("hard: 50%", "hard: 60%")).unwrap();
    if POLICY.contains("hard: 50%") {
        let said = write(&file, &policy(), &rehearsal).unwrap_err();
        assert!(said.contains("something else than was advised"), "{said}");
    }
}
