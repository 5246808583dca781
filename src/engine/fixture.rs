//! A world in which every gate says yes, for the tests of the engine: each changes one thing.

use super::gates::{self, Facts, Watched};
use super::history::Ledger;
use super::ownership::Ownership;
use super::steady_state::testing::hypothesis;
use crate::model::command::{Person, Role, Via};
use crate::model::entry::{Body, Entry};
use crate::model::gate::{Answer, GateName, Judgement, PagerAnswer};
use crate::model::ids::{AppId, IntentId, PersonId, RunId};
use crate::model::plan::{Plan, PlannedApp, Step, Target};
use crate::model::policy::*;
use crate::model::run::{Intent, IntentState, Phase};
use crate::model::snapshot::{
    Agent, AgentState, App, ClusterInfo, Health, MarathonVersion, Snapshot, Task, TaskState,
};
use crate::model::verdict::{HypothesisResult, Outcome, Verdict};
use chrono::{DateTime, NaiveTime, TimeDelta, Utc, Weekday};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Monday, 11:00 in Berlin, plus `seconds`.
pub fn at(seconds: i64) -> DateTime<Utc> {
    "2026-11-23T10:00:00Z".parse::<DateTime<Utc>>().unwrap() + TimeDelta::seconds(seconds)
}

pub fn person(id: &str, role: Role) -> Person {
    Person {
        id: id.into(),
        name: format!("@{id}"),
        via: Via::Slack,
        role,
    }
}

/// Task `n` of `/shop/cart`: incarnation 1, a day old, healthy.
pub fn task(n: u32) -> Task {
    Task {
        id: format!("cart.instance-{n}._app.1").as_str().into(),
        instance: format!("cart.instance-{n}").as_str().into(),
        incarnation: Some(1),
        host: format!("agent-{n}").into(),
        port: None,
        agent: None,
        state: TaskState::Running,
        staged_at: Some(at(-86_405)),
        started_at: Some(at(-86_400)),
        version: None,
        health: Health::Reported {
            alive: true,
            last_success: Some(at(-5)),
            first_success: Some(at(-86_300)),
        },
        region: None,
        zone: None,
    }
}

/// Agent `n`, on which task `n` runs: connected, without attributes.
pub fn agent(n: u32) -> Agent {
    Agent {
        id: format!("S{n}").as_str().into(),
        host: format!("agent-{n}"),
        attributes: BTreeMap::new(),
        region: None,
        zone: None,
        state: AgentState::Active,
    }
}

pub fn app(id: &str, instances: u32) -> App {
    App {
        id: id.into(),
        instances,
        labels: BTreeMap::from([("chaos".into(), "opt-in".into()), ("team".into(), "shop".into())]),
        version: "v1".into(),
        health_checked: true,
        resident: false,
        constraints: vec![],
        deployments: vec![],
        launch_delay_s: None,
        kill_grace_s: None,
        pod: false,
        tasks: (0..instances).map(task).collect(),
    }
}

pub fn target(n: u32) -> Target {
    let task = task(n);
    Target {
        app: "/shop/cart".into(),
        task: task.id,
        instance: task.instance,
        host: task.host.to_string(),
        pod: false,
        agent: None,
    }
}

pub fn policy() -> Policy {
    Policy {
        name: "cart".into(),
        team: "shop".into(),
        labels: BTreeMap::new(),
        mode: Mode::Enforce,
        cluster: "prod".into(),
        scope: Scope {
            selector: None,
            ids: vec![AppPattern("/shop/**".into())],
            except: vec![],
            min_age: Duration::from_secs(600),
            healthy_only: true,
            allow_no_health_check: false,
            one_per: Fairness::App,
        },
        fault: FaultSpec::KillTasks {
            count: Count::Exactly(2),
            at_once: 1,
            gap: Duration::from_secs(60),
        },
        schedule: Schedule {
            windows: vec![Window {
                days: vec![Weekday::Mon],
                from: NaiveTime::from_hms_opt(9, 0, 0).unwrap(),
                to: NaiveTime::from_hms_opt(17, 0, 0).unwrap(),
            }],
            timezone: chrono_tz::Europe::Berlin,
            holidays: BTreeSet::new(),
            covered: Default::default(),
            cadence: Cadence::OnDemand,
            min_gap: MinGap::None,
        },
        blast_radius: BlastRadius {
            max_tasks: 1,
            max_percent: 20,
            min_healthy: 1,
            max_apps: 1,
            max_tasks_in_all: None,
        },
        rate_limit: RateLimit {
            kills: 4,
            per: Duration::from_secs(3600),
            burst: 4,
        },
        hypothesis: hypothesis(),
        approval: ApprovalRule {
            mode: ApprovalMode::Required,
            users: BTreeSet::from([PersonId::from("ana")]),
            groups: BTreeSet::from(["oncall".into()]),
            quorum: 1,
            expires: Duration::from_secs(3600),
        },
        notify: NotifyRule::default(),
        digest: "policy-as-it-is".into(),
    }
}

pub fn limits() -> Limits {
    Limits {
        tasks_down: 5,
        kills_per_hour: 20,
        kills_per_workday: 50,
        forbidden_apps: vec![],
        freezes: vec![],
        timezone: chrono_tz::Europe::Berlin,
        holidays: BTreeSet::new(),
        covered: Default::default(),
    }
}

pub fn ownership() -> Ownership {
    Ownership {
        opt_in: ("chaos".into(), "opt-in".into()),
        team_label: "team".into(),
        owners: vec![],
        owners_bad: None,
    }
}

/// Two steps of one task each, asked for by bob.
pub fn plan() -> Plan {
    let policy = policy();
    Plan {
        run: "r-CART0001".into(),
        policy: policy.name,
        policy_digest: policy.digest,
        team: policy.team,
        cluster: policy.cluster,
        framework_id: "fw-1".into(),
        mode: Mode::Enforce,
        apps: PlannedApp {
            app: "/shop/cart".into(),
            version: "v1".into(),
            instances: 10,
            healthy: 10,
        }
        .into(),
        outage: None,
        requested_by: Some(person("bob", Role::Operator)),
        steps: (1..=2)
            .map(|number| Step {
                number,
                targets: vec![target(number - 1)],
                slot: None,
            })
            .collect(),
        gap: Duration::from_secs(60),
        blast_radius: policy.blast_radius,
        rate_limit: policy.rate_limit,
        allow_no_health_check: false,
        hypothesis: policy.hypothesis,
        approval: policy.approval,
        channel: None,
        made_at: at(-120),
        remarks: vec![],
    }
}

pub fn snapshot() -> Snapshot {
    Snapshot {
        cluster: "prod".into(),
        taken_at: at(-2),
        info: Some(ClusterInfo {
            framework_id: "fw-1".into(),
            version: MarathonVersion { major: 1, minor: 11 },
            leader: None,
            clock_offset_ms: Some(40),
            task_killing: false,
            proxy_timeout_ms: None,
        }),
        apps: BTreeMap::from([("/shop/cart".into(), app("/shop/cart", 10))]),
        agents: None,
        gaps: vec![],
    }
}

pub fn verdict() -> Verdict {
    Verdict {
        outcome: Outcome::Completed,
        hypothesis: HypothesisResult::Held,
        reason: String::new(),
        sentence: "held".into(),
        lines: vec![],
        limits: vec![],
        design: String::new(),
        differences: vec![],
        about_design: String::new(),
        pairs: None,
    }
}

pub fn planned(plan: &Plan) -> Body {
    Body::Planned {
        digest: plan.digest(),
        plan: Box::new(plan.clone()),
        due: None,
        approval_expires: Some(at(3600)),
    }
}

pub fn approved(plan: &Plan, by: &str) -> Body {
    Body::Approved {
        run: plan.run.clone(),
        digest: plan.digest(),
        by: person(by, Role::Approver),
    }
}

pub fn intended(plan: &Plan, number: u32, since: DateTime<Utc>) -> Body {
    let step = plan.step(number).unwrap();
    Body::Intended {
        intent: Intent {
            id: IntentId::of(&plan.run, number),
            run: plan.run.clone(),
            step: number,
            targets: step.targets.clone(),
            at: since,
            deadline: since + TimeDelta::seconds(5),
            sham: false,
            state: IntentState::Open,
        },
        rates: vec![],
    }
}

/// Everything a decision looks at.
pub struct World {
    pub now: DateTime<Utc>,
    pub policy: Result<Policy, String>,
    pub limits: Limits,
    pub ownership: Ownership,
    pub entries: Vec<Entry>,
    pub snapshot: Snapshot,
    pub armed: bool,
    pub leader: Answer,
    pub drift: TimeDelta,
    pub halt_file: Result<Option<String>, String>,
    pub pager: PagerAnswer,
    pub watch: Option<Watched>,
    pub members: Result<BTreeSet<PersonId>, String>,
    pub plan: Plan,
}

impl World {
    /// A plan that was approved by ana a minute ago; every gate says yes.
    pub fn good() -> Self {
        Self::planned(plan())
    }

    /// The same with another plan.
    pub fn planned(plan: Plan) -> Self {
        let mut world = Self::unapproved(plan);
        let yes = approved(&world.plan, "ana");
        world.enter(-60, yes);
        world
    }

    /// The same before anybody has decided.
    pub fn unapproved(plan: Plan) -> Self {
        let yes = || Answer::Pass("yes".into());
        let mut world = Self {
            now: at(0),
            policy: Ok(policy()),
            limits: limits(),
            ownership: ownership(),
            entries: vec![],
            snapshot: snapshot(),
            armed: true,
            leader: yes(),
            drift: TimeDelta::zero(),
            halt_file: Ok(None),
            pager: PagerAnswer::Quiet,
            watch: Some(Watched {
                steady: yes(),
                fresh: yes(),
            }),
            members: Ok(BTreeSet::new()),
            plan,
        };
        let pinned = Body::Pinned {
            cluster: "prod".into(),
            framework_id: "fw-1".into(),
        };
        world.enter(-200, pinned);
        let body = planned(&world.plan);
        world.enter(-120, body);
        world
    }

    pub fn enter(&mut self, seconds: i64, body: Body) {
        let seq = self.ledger().head.next();
        self.entries.push(Entry {
            seq,
            at: at(seconds),
            body,
        });
    }

    pub fn ledger(&self) -> Ledger {
        Ledger::fold(&self.entries)
    }

    pub fn app(&mut self) -> &mut App {
        self.snapshot.apps.get_mut(&AppId::from("/shop/cart")).unwrap()
    }

    pub fn moved(&mut self, seconds: i64, to: Phase) {
        let run = self.plan.run.clone();
        self.enter(seconds, Body::Moved { run, to });
    }

    /// Decides on a step of the plan and, where `state` says more than open, settles it a second later.
    pub fn killed(&mut self, seconds: i64, number: u32, state: IntentState) {
        let plan = self.plan.clone();
        self.killed_by(&plan, seconds, number, state);
    }

    pub fn killed_by(&mut self, plan: &Plan, seconds: i64, number: u32, state: IntentState) {
        self.enter(seconds, intended(plan, number, at(seconds)));
        if state != IntentState::Open {
            let intent = IntentId::of(&plan.run, number);
            self.enter(seconds + 1, Body::Settled { intent, state });
        }
    }

    /// Another run of another policy on an app, past its approval.
    pub fn other_run(&mut self, seconds: i64, run: &str, policy: &str, app: &str) -> Plan {
        let mut other = plan();
        other.run = RunId::from(run);
        other.policy = policy.into();
        other.apps.first.app = app.into();
        for target in other.steps.iter_mut().flat_map(|s| &mut s.targets) {
            target.app = app.into();
        }
        self.enter(seconds, planned(&other));
        other
    }

    pub fn judge(&self, number: u32) -> Judgement {
        let ledger = self.ledger();
        let facts = Facts {
            now: self.now,
            policy: self.policy.as_ref().map_err(String::as_str),
            limits: &self.limits,
            ledger: &ledger,
            snapshot: &self.snapshot,
            ownership: &self.ownership,
            armed: self.armed,
            leader: &self.leader,
            clock_drift: self.drift,
            halt_file: &self.halt_file,
            pager: &self.pager,
            watch: self.watch.as_ref(),
            members: &self.members,
        };
        gates::judge(&self.plan, self.plan.step(number).unwrap(), &facts)
    }

    pub fn answer(&self, gate: GateName, number: u32) -> Answer {
        let judgement = self.judge(number);
        judgement
            .answers
            .into_iter()
            .find(|a| a.gate == gate)
            .unwrap()
            .answer
    }
}

pub fn acked(n: u32, seconds: i64) -> IntentState {
    IntentState::Acked {
        tasks: vec![task(n).id],
        at: at(seconds),
    }
}

pub fn ambiguous(seconds: i64) -> IntentState {
    IntentState::Ambiguous {
        why: "reset".into(),
        at: at(seconds),
    }
}

pub fn resolved(seconds: i64) -> IntentState {
    IntentState::Resolved {
        why: "whole".into(),
        at: at(seconds),
        tasks: vec![],
    }
}

pub fn held(seconds: i64) -> IntentState {
    IntentState::Held {
        why: "still runs".into(),
        at: at(seconds),
    }
}
