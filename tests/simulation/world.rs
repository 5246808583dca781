//! The outside in small: tasks, people, trouble; and everything that happened, in order.

use chrono::{DateTime, NaiveTime, TimeDelta, Utc, Weekday};
use heartbreak::model::entry::{Body, Entry};
use heartbreak::model::experiment::{
    Baseline, Blindness, Control, Http, Hypothesis, ProbeSpec, Recovery, Role, Share, Source, StatusRange,
};
use heartbreak::model::ids::{AppId, PersonId};
use heartbreak::model::policy::{
    ApprovalMode, ApprovalRule, BlastRadius, Cadence, Count, Fairness, FaultSpec, Limits, MinGap, Mode,
    NotifyRule, Policy, RateLimit, Schedule, Scope, Window,
};
use heartbreak::model::snapshot::App;
use heartbreak::operator::Operator;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// Monday 2026-11-23 09:00 UTC: where every simulated day begins.
pub fn monday_nine() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_424_400, 0).expect("a valid moment")
}

/// SplitMix64: small, and the same everywhere.
#[derive(Clone, Debug)]
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    pub fn below(&mut self, most: u64) -> u64 {
        self.next() % most.max(1)
    }
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }
    pub fn millis(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_millis(self.between(low, high))
    }
}

/// One safeguard removed on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    None,
    Resend,
    LoseIntents,
    NoLastLook,
    CrashedMeansNotSent,
    NoQuarantine,
    ForgetRates,
    InheritedHealth,
    AnyDigest,
    BlindIsGood,
    TrustTheClock,
    HideDeployments,
}

/// What the seed has drawn. Whole classes of trouble are off in some seeds.
#[derive(Clone, Debug)]
pub struct Setup {
    pub seed: u64,
    pub sabotage: Sabotage,
    pub policy: Policy,
    pub limits: Limits,
    pub instances: u32,
    pub stable: bool,
    pub length: Duration,
    pub lost_before: u64,
    pub answer_lost: u64,
    pub late: u64,
    pub never: u64,
    pub natural_deaths: u64,
    pub blind: u64,
    pub bad: u64,
    pub crash_every: u64,
    pub commit_lost: u64,
    pub clock_jumps: u64,
    pub deployments: u64,
    pub halts: u64,
    pub aborts: u64,
    pub read_errors: u64,
    pub stale: u64,
}

/// The longest that the network keeps a request, and the longest that Marathon waits with one.
pub const LATE_MAX: u64 = 60_000;
/// The oldest view that Marathon serves as the present, in milliseconds.
pub const STALE_MAX: u64 = 20_000;
/// No byte of a kill leaves later than this after its intent.
pub const DEADLINE: TimeDelta = TimeDelta::seconds(5);
/// What an honest operator waits before it frees an unanswered kill.
pub const QUARANTINE: TimeDelta = TimeDelta::seconds(150);

impl Setup {
    pub fn draw(seed: u64, sabotage: Sabotage) -> Self {
        let mut dice = Dice(seed.wrapping_mul(0x2545_F491_4F6C_DD1D) ^ 0x00C0_FFEE);
        let instances = u32::try_from(dice.between(3, 12)).unwrap_or(3);
        let radius = u32::try_from(dice.between(1, 2)).unwrap_or(1);
        let kills = u32::try_from(dice.between(1, 3)).unwrap_or(1);
        let opens_late = dice.chance(100);
        let hours = dice.between(1, 4);
        let required = dice.chance(500) || sabotage == Sabotage::AnyDigest;
        let maybe = |dice: &mut Dice, most: u64| if dice.chance(600) { dice.below(most + 1) } else { 0 };
        let policy = Policy {
            name: "cart".into(),
            team: "shop".into(),
            labels: BTreeMap::new(),
            mode: Mode::Enforce,
            cluster: "sim".into(),
            scope: Scope {
                selector: None,
                ids: vec![],
                except: vec![],
                min_age: Duration::from_secs(dice.between(0, 20)),
                healthy_only: true,
                allow_no_health_check: false,
                one_per: Fairness::App,
            },
            fault: FaultSpec::KillTasks {
                count: Count::Exactly(kills),
                at_once: u32::try_from(dice.between(1, u64::from(radius))).unwrap_or(1),
                gap: Duration::from_secs(dice.between(1, 60)),
            },
            schedule: Schedule {
                windows: vec![Window {
                    days: vec![Weekday::Mon],
                    from: NaiveTime::from_hms_opt(
                        if opens_late { 9 } else { 8 },
                        if opens_late { 10 } else { 0 },
                        0,
                    )
                    .expect("a valid time"),
                    to: NaiveTime::from_hms_opt(9 + u32::try_from(hours).unwrap_or(1), 7, 0)
                        .expect("a valid time"),
                }],
                timezone: chrono_tz::Tz::UTC,
                holidays: BTreeSet::new(),
                covered: Default::default(),
                cadence: Cadence::Every(Duration::from_secs(60 * dice.between(3, 20))),
                min_gap: MinGap::None,
            },
            blast_radius: BlastRadius {
                max_tasks: radius,
                max_percent: 100,
                min_healthy: 1,
                max_apps: 1,
                max_tasks_in_all: None,
            },
            rate_limit: RateLimit {
                kills: u32::try_from(dice.between(2, 8)).unwrap_or(2),
                per: Duration::from_secs(60 * dice.between(10, 40)),
                burst: u32::try_from(dice.between(1, 3)).unwrap_or(1),
            },
            hypothesis: Hypothesis {
                interval: Duration::from_secs(1),
                timeout: Duration::from_millis(800),
                alpha: Share::percent(1),
                baseline: Baseline {
                    at_least: Duration::from_secs(20),
                    at_most: Duration::from_secs(120),
                },
                recovery: Recovery {
                    within: Duration::from_secs(240),
                    hold: Duration::from_secs(10),
                    expected: true,
                },
                blind: Blindness {
                    hold_fire_after: 1,
                    abort_after: 3,
                },
                budget: None,
                self_check: None,
                each_task: None,
                probes: vec![ProbeSpec {
                    max: Share::percent(5),
                    ..ProbeSpec::new(
                        "edge",
                        Role::Abort,
                        Source::Http(Http {
                            url: "http://cart.example/".into(),
                            requests: 50,
                            status: vec![StatusRange { from: 200, to: 299 }],
                            ..Http::default()
                        }),
                    )
                }],
                // By the seed and not by the dice: every world before this choice stays as it was.
                control: if seed.is_multiple_of(2) {
                    Control::Sham {
                        pairs: 3,
                        window: Duration::from_secs(20),
                        settle: Duration::from_secs(15),
                    }
                } else {
                    Control::BeforeAfter
                },
                margin: None,
                latency_margin_percent: None,
            },
            approval: ApprovalRule {
                mode: if required {
                    ApprovalMode::Required
                } else {
                    ApprovalMode::Automatic
                },
                users: ["U1", "U2"].map(PersonId::from).into(),
                groups: BTreeSet::new(),
                quorum: 1,
                expires: Duration::from_secs(60 * dice.between(2, 20)),
            },
            notify: NotifyRule::default(),
            digest: "d".into(),
        };
        let limits = Limits {
            tasks_down: 3,
            kills_per_hour: 30,
            kills_per_workday: 200,
            forbidden_apps: vec![],
            freezes: vec![],
            timezone: chrono_tz::Tz::UTC,
            holidays: BTreeSet::new(),
            covered: Default::default(),
        };
        let drawn = Self {
            seed,
            sabotage,
            policy,
            limits,
            instances,
            stable: dice.chance(700) || sabotage == Sabotage::InheritedHealth,
            length: Duration::from_secs(60 * dice.between(30, 50)),
            lost_before: maybe(&mut dice, 150),
            answer_lost: maybe(&mut dice, 250),
            late: maybe(&mut dice, 250),
            never: maybe(&mut dice, 100),
            natural_deaths: maybe(&mut dice, 3),
            blind: maybe(&mut dice, 20),
            bad: maybe(&mut dice, 4),
            crash_every: if dice.chance(600) {
                dice.between(100, 3_000)
            } else {
                0
            },
            commit_lost: maybe(&mut dice, 30),
            clock_jumps: if dice.chance(250) { dice.between(1, 3) } else { 0 },
            deployments: maybe(&mut dice, 3),
            halts: if dice.chance(250) { dice.between(1, 3) } else { 0 },
            aborts: if dice.chance(300) { dice.between(1, 4) } else { 0 },
            read_errors: maybe(&mut dice, 20),
            stale: maybe(&mut dice, 100),
        };
        drawn.with_the_trouble_that_shows(sabotage)
    }

    /// A removed safeguard shows under the trouble that it is there for: more of it, and longer.
    fn with_the_trouble_that_shows(mut self, sabotage: Sabotage) -> Self {
        if sabotage != Sabotage::None {
            self.length *= 2;
        }
        match sabotage {
            Sabotage::NoQuarantine | Sabotage::CrashedMeansNotSent => {
                self.late = 400;
                self.answer_lost = 300;
            }
            Sabotage::TrustTheClock => self.clock_jumps = 8,
            Sabotage::NoLastLook => self.aborts = 4,
            Sabotage::None
            | Sabotage::Resend
            | Sabotage::LoseIntents
            | Sabotage::ForgetRates
            | Sabotage::InheritedHealth
            | Sabotage::AnyDigest
            | Sabotage::BlindIsGood
            | Sabotage::HideDeployments => {}
        }
        self
    }
}

/// One instance of the simulated app.
#[derive(Clone, Debug)]
pub struct Instance {
    pub number: u64,
    pub incarnation: u64,
    /// When the current incarnation was staged, started and first found healthy; `None`: not yet.
    pub staged: DateTime<Utc>,
    pub started: Option<DateTime<Utc>>,
    pub healthy: Option<DateTime<Utc>>,
    /// Over: when the next incarnation is staged.
    pub over_until: Option<DateTime<Utc>>,
    /// Why the last incarnation ended: an intent of ours, or by itself.
    pub down_by: Option<String>,
    /// Health of the incarnation before, which a new one inherits on 1.8 and later.
    pub inherited: Option<DateTime<Utc>>,
}

impl Instance {
    pub fn serves(&self) -> bool {
        self.over_until.is_none() && self.healthy.is_some()
    }
    pub fn task_id(&self, stable: bool) -> String {
        let (n, i) = (self.number, self.incarnation);
        if stable {
            format!("shop_cart.instance-{n:04}._app.{i}")
        } else {
            format!("shop_cart.{n:04}-{i:04}")
        }
    }
    pub fn instance_id(&self, stable: bool) -> String {
        if stable {
            format!("shop_cart.instance-{:04}", self.number)
        } else {
            self.task_id(false)
        }
    }
}

/// A request on its way.
#[derive(Clone, Debug)]
pub struct Request {
    pub intent: String,
    pub tasks: Vec<String>,
    pub lands: DateTime<Utc>,
}

/// Everything that can be said about what happened, for the judge.
#[expect(dead_code, reason = "every field is shown in the trace")]
#[derive(Clone, Debug)]
pub enum Event {
    Entry(Box<Entry>),
    BytesOut {
        intent: String,
        tasks: Vec<String>,
        at: DateTime<Utc>,
    },
    Executed {
        intent: String,
        task: String,
        at: DateTime<Utc>,
    },
    Died {
        task: String,
        at: DateTime<Utc>,
    },
    Looked {
        asked: DateTime<Utc>,
        deployment: bool,
        whole: bool,
        down: Vec<String>,
    },
    Clicked {
        run: String,
        digest: String,
        by: String,
        at: DateTime<Utc>,
    },
    HaltFile {
        at: DateTime<Utc>,
    },
    Probed {
        good: bool,
        at: DateTime<Utc>,
    },
    Crashed {
        at: DateTime<Utc>,
    },
    Restarted {
        at: DateTime<Utc>,
    },
    Stale {
        age: TimeDelta,
    },
    Jumped {
        by: TimeDelta,
        at: DateTime<Utc>,
    },
}

/// The app as Marathon showed it at some moment.
#[derive(Clone, Debug)]
pub struct View {
    pub at: DateTime<Utc>,
    pub app: App,
    pub down: Vec<String>,
    pub deployment: bool,
}

#[derive(Default)]
pub struct State {
    pub journal: Vec<Entry>,
    pub measured: BTreeMap<String, Vec<heartbreak::ports::journal::Measured>>,
    pub instances: Vec<Instance>,
    pub in_network: Vec<Request>,
    pub deployment_until: Option<DateTime<Utc>>,
    pub bad_until: Option<DateTime<Utc>>,
    pub bad_share: u32,
    pub wall_offset: TimeDelta,
    pub halt_file: Option<String>,
    pub events: Vec<Event>,
    pub effects: u64,
    pub crash_at: Option<u64>,
    pub lost_intents: Vec<(u64, Entry)>,
    pub messages: u64,
    pub views: Vec<View>,
}

/// The world.
pub struct World {
    pub setup: Setup,
    pub began: tokio::time::Instant,
    pub state: Mutex<State>,
    pub dice: Mutex<Dice>,
    pub operator: Mutex<Option<Arc<Operator>>>,
    pub crash: tokio::sync::Notify,
    pub judge: Mutex<crate::judge::Judge>,
    pub trouble_over: Mutex<bool>,
}

impl World {
    pub fn new(setup: Setup) -> Arc<Self> {
        let now = monday_nine();
        let instances = (0..u64::from(setup.instances))
            .map(|number| Instance {
                number,
                incarnation: 1,
                staged: now - TimeDelta::hours(2),
                started: Some(now - TimeDelta::hours(2)),
                healthy: Some(now - TimeDelta::hours(1)),
                over_until: None,
                down_by: None,
                inherited: None,
            })
            .collect();
        let dice = Dice(setup.seed ^ 0xD1CE);
        let judge = crate::judge::Judge::new(&setup);
        Arc::new(Self {
            began: tokio::time::Instant::now(),
            state: Mutex::new(State {
                instances,
                ..State::default()
            }),
            dice: Mutex::new(dice),
            operator: Mutex::new(None),
            crash: tokio::sync::Notify::new(),
            judge: Mutex::new(judge),
            trouble_over: Mutex::new(false),
            setup,
        })
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub fn roll<T>(&self, draw: impl FnOnce(&mut Dice) -> T) -> T {
        draw(
            &mut self
                .dice
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
        )
    }

    /// Whether trouble of this likelihood happens now; never in the stretch without trouble.
    pub fn trouble(&self, per_mille: u64) -> bool {
        let over = *self
            .trouble_over
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        !over && self.roll(|d| d.chance(per_mille))
    }

    /// True time since the simulated morning.
    pub fn elapsed(&self) -> Duration {
        tokio::time::Instant::now() - self.began
    }

    /// True time.
    pub fn truth(&self) -> DateTime<Utc> {
        let now = monday_nine() + TimeDelta::from_std(self.elapsed()).unwrap_or_default();
        DateTime::from_timestamp_millis(now.timestamp_millis()).unwrap_or(now)
    }

    /// What the operator's wall clock says.
    pub fn wall(&self) -> DateTime<Utc> {
        self.truth() + self.lock().wall_offset
    }

    /// Writes an event down and has it judged at once.
    pub fn happened(&self, event: Event) {
        let mut state = self.lock();
        state.events.push(event.clone());
        let mut judge = self
            .judge
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        judge.see(&event, &state, self.setup.stable);
    }

    /// Moves tasks on: executions that land, deaths, replacements, health.
    pub fn turn(&self) {
        let now = self.truth();
        let mut events = vec![];
        {
            let mut state = self.lock();
            let landing: Vec<Request> = state
                .in_network
                .iter()
                .filter(|r| r.lands <= now)
                .cloned()
                .collect();
            state.in_network.retain(|r| r.lands > now);
            for request in landing {
                execute(&mut state, &request, now, self.setup.stable, &mut events, || {
                    self.roll(|d| d.between(500, 8_000))
                });
            }
            for instance in &mut state.instances {
                if let Some(until) = instance.over_until.filter(|u| *u <= now) {
                    instance.over_until = None;
                    instance.incarnation += 1;
                    instance.staged = until;
                    instance.inherited = instance.healthy;
                    instance.started = None;
                    instance.healthy = None;
                }
                if instance.over_until.is_none()
                    && instance.started.is_none()
                    && now - instance.staged > TimeDelta::seconds(3)
                {
                    instance.started = Some(now);
                }
                if let Some(started) = instance.started
                    && instance.healthy.is_none()
                    && now - started > TimeDelta::seconds(6)
                {
                    instance.healthy = Some(now);
                    instance.down_by = None;
                }
            }
        }
        for event in events {
            self.happened(event);
        }
    }

    /// One task dies by itself.
    pub fn natural_death(&self) {
        let now = self.truth();
        let pick = self.roll(Dice::next);
        let back = self.roll(|d| d.between(1_000, 20_000));
        let mut died = None;
        {
            let mut state = self.lock();
            let stable = self.setup.stable;
            let count = state.instances.len() as u64;
            let at = usize::try_from(pick % count.max(1)).unwrap_or(0);
            if let Some(instance) = state.instances.get_mut(at).filter(|i| i.serves()) {
                died = Some(instance.task_id(stable));
                instance.down_by = None;
                instance.over_until = Some(now + TimeDelta::milliseconds(i64::try_from(back).unwrap_or(1)));
            }
        }
        if let Some(task) = died {
            self.happened(Event::Died { task, at: now });
        }
    }

    pub fn trace(&self) -> Vec<String> {
        self.lock().events.iter().map(|e| format!("{e:?}")).collect()
    }

    pub fn tail(&self, lines: usize) -> String {
        let trace = self.trace();
        let before = trace.len().saturating_sub(lines);
        // Of what was long ago, all that is more than a look.
        let quiet = |line: &&String| !(line.starts_with("Probed") || line.starts_with("Looked"));
        trace[..before]
            .iter()
            .filter(quiet)
            .chain(&trace[before..])
            .map(|line| line.chars().take(600).collect::<String>())
            .collect::<Vec<_>>()
            .join("\n")
    }

    pub fn totals(&self) -> Totals {
        let state = self.lock();
        let count = |f: &dyn Fn(&Event) -> bool| state.events.iter().filter(|e| f(e)).count() as u64;
        let entries = |f: &dyn Fn(&Body) -> bool| state.journal.iter().filter(|e| f(&e.body)).count() as u64;
        Totals {
            seeds: 1,
            intents: entries(&|b| matches!(b, Body::Intended { .. })),
            executed: count(&|e| matches!(e, Event::Executed { .. })),
            crashes: count(&|e| matches!(e, Event::Crashed { .. })),
            ended: entries(&|b| matches!(b, Body::Ended { .. })),
            aborts: entries(&|b| matches!(b, Body::Aborting { .. })),
            halts: entries(&|b| matches!(b, Body::Halted { .. })),
            approvals: entries(&|b| matches!(b, Body::Approved { .. })),
            declined: entries(&|b| matches!(b, Body::Declined { .. })),
            deaths: count(&|e| matches!(e, Event::Died { .. })),
            ambiguous: entries(&|b| {
                matches!(
                    b,
                    Body::Settled {
                        state: heartbreak::model::run::IntentState::Ambiguous { .. },
                        ..
                    }
                )
            }),
            stale: count(&|e| matches!(e, Event::Stale { .. })),
            refusals: self
                .judge
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .refusals
                .clone(),
        }
    }
}

/// Kills whatever incarnation each named instance has now on 1.8 and later, or exactly the task before.
pub fn execute(
    state: &mut State,
    request: &Request,
    now: DateTime<Utc>,
    stable: bool,
    events: &mut Vec<Event>,
    mut back: impl FnMut() -> u64,
) -> Vec<String> {
    let mut killed = vec![];
    for asked in &request.tasks {
        let matches = |i: &Instance| {
            if stable {
                asked.starts_with(&format!("{}._app.", i.instance_id(true)))
            } else {
                *asked == i.task_id(false)
            }
        };
        if let Some(instance) = state
            .instances
            .iter_mut()
            .find(|i| matches(i) && i.over_until.is_none())
        {
            let task = instance.task_id(stable);
            instance.over_until = Some(now + TimeDelta::milliseconds(i64::try_from(back()).unwrap_or(1)));
            instance.down_by = Some(request.intent.clone());
            killed.push(task.clone());
            events.push(Event::Executed {
                intent: request.intent.clone(),
                task,
                at: now,
            });
        }
    }
    killed
}

/// What a batch of seeds has done: a safeguard that never bit has not been tested.
#[derive(Debug, Default)]
pub struct Totals {
    pub seeds: u64,
    pub intents: u64,
    pub executed: u64,
    pub crashes: u64,
    pub ended: u64,
    pub aborts: u64,
    pub halts: u64,
    pub approvals: u64,
    pub declined: u64,
    pub deaths: u64,
    pub ambiguous: u64,
    pub stale: u64,
    pub refusals: BTreeMap<String, u64>,
}

impl Totals {
    pub fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.intents += other.intents;
        self.executed += other.executed;
        self.crashes += other.crashes;
        self.ended += other.ended;
        self.aborts += other.aborts;
        self.halts += other.halts;
        self.approvals += other.approvals;
        self.declined += other.declined;
        self.deaths += other.deaths;
        self.ambiguous += other.ambiguous;
        self.stale += other.stale;
        for (gate, count) in &other.refusals {
            *self.refusals.entry(gate.clone()).or_default() += count;
        }
    }

    /// Every kind of trouble and the gates that face it must have happened.
    pub fn assert_not_vacuous(&self) {
        let Self {
            seeds: _,
            intents,
            executed,
            crashes,
            ended,
            aborts,
            halts,
            approvals,
            declined,
            deaths,
            ambiguous,
            stale,
            refusals,
        } = self;
        for (what, count) in [
            ("intents", intents),
            ("executed", executed),
            ("crashes", crashes),
            ("ended", ended),
            ("aborts", aborts),
            ("halts", halts),
            ("approvals", approvals),
            ("declined", declined),
            ("deaths", deaths),
            ("ambiguous", ambiguous),
            ("stale", stale),
        ] {
            assert!(*count > 0, "no seed had any {what}: {self:#?}");
        }
        for gate in [
            "halt",
            "clock",
            "freshness",
            "window",
            "target",
            "budget",
            "blast_radius",
            "deployment",
            "probe_freshness",
            "approval",
        ] {
            assert!(
                refusals.get(gate).copied().unwrap_or(0) > 0,
                "the {gate} gate never said no: {self:#?}"
            );
        }
    }
}

/// The app of the simulation.
pub fn cart() -> AppId {
    "/shop/cart".into()
}
