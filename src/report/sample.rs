//! Realistic reports for tests, and for looking at: `HEARTBREAK_SAMPLES=DIR cargo test --lib report::`
//! leaves them in `DIR`.

use crate::model::approval::Approval;
use crate::model::command::{Person, Role as Right, Via};
use crate::model::experiment::{
    AbortCause, Baseline, Blindness, Control, Dip, EachTask, Http, Hypothesis, ProbeSpec, Reading, Recovery,
    Role, Sample, Share, Source, StatusRange,
};
use crate::model::gate::{Answer, GateAnswer, GateName, Judgement};
use crate::model::ids::{InstanceId, IntentId, ProbeName, TaskId};
use crate::model::plan::{Plan, PlannedApp, Slot, Step, Target};
use crate::model::policy::{ApprovalMode, ApprovalRule, BlastRadius, Mode, RateLimit};
use crate::model::report::{
    EvidencePoint, Felt, FreshTask, Harm, HealthPoint, KillRecovery, Origin, Report, SCHEMA, Stage,
    StageSummary, TaskAnswer,
};
use crate::model::run::{Aborted, Intent, IntentState};
use crate::model::verdict::{
    Counts, Difference, HypothesisResult, LatencyDifference, Outcome, Pair, Verdict,
};
use chrono::{DateTime, TimeDelta, Utc};
use std::time::Duration;

/// One of each kind that a page has to cope with.
pub(crate) fn all() -> Vec<Report> {
    vec![
        held(),
        disproved(),
        slots(),
        asked(),
        skipped(),
        open(),
        rehearsed(),
        hostile(),
    ]
}

/// Second 0 is Mon 23 Nov 2026 14:02:00 UTC.
fn at(second: f64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_442_520, 0).unwrap() + TimeDelta::milliseconds((second * 1000.0) as i64)
}

fn person(id: &str, name: &str) -> Person {
    Person {
        id: id.into(),
        name: name.into(),
        via: Via::Slack,
        role: Right::Approver,
    }
}

fn target(step: u32) -> Target {
    Target {
        app: "/shop/cart".into(),
        task: format!("shop_cart.instance-4b1c0d6e-77aa-11ef-9a3{step}-0242ac11000{step}._app.{step}")
            .as_str()
            .into(),
        instance: format!("shop_cart.instance-4b1c0d6e-77aa-11ef-9a3{step}-0242ac11000{step}")
            .as_str()
            .into(),
        host: format!("agent-{step}.prod.example.net"),
        pod: false,
        agent: None,
    }
}

fn plan() -> Plan {
    Plan {
        run: "r-7Q2MK4XN".into(),
        policy: "cart-survives-task-loss".into(),
        policy_digest: "4f8b1f6b2c0e7a5d9e3c1b0a8f7e6d5c4b3a29180706f5e4d3c2b1a09f8e7d6c".into(),
        team: "shop".into(),
        cluster: "prod".into(),
        framework_id: "5b1f9a2e-6a5c-4e0b-9f0d-0c1d2e3f4a5b-0000".into(),
        mode: Mode::Enforce,
        apps: PlannedApp {
            app: "/shop/cart".into(),
            version: "2026-11-20T09:14:02.311Z".into(),
            instances: 12,
            healthy: 12,
        }
        .into(),
        outage: None,
        requested_by: Some(person("U012AB3CD", "ana")),
        steps: (1..=3)
            .map(|number| Step {
                number,
                targets: vec![target(number)],
                slot: None,
            })
            .collect(),
        gap: Duration::from_secs(30),
        blast_radius: BlastRadius {
            max_tasks: 1,
            max_percent: 20,
            min_healthy: 2,
            max_apps: 1,
            max_tasks_in_all: None,
        },
        rate_limit: RateLimit {
            kills: 4,
            per: Duration::from_secs(3600),
            burst: 1,
        },
        allow_no_health_check: false,
        hypothesis: hypothesis(),
        approval: ApprovalRule {
            mode: ApprovalMode::Required,
            users: ["U0BEN0000".into()].into(),
            groups: [].into(),
            quorum: 1,
            expires: Duration::from_secs(1800),
        },
        channel: None,
        made_at: at(-400.0),
        remarks: vec!["Nobody is excluded as last editor: the policy's author is unknown.".into()],
    }
}

fn hypothesis() -> Hypothesis {
    Hypothesis {
        interval: Duration::from_secs(1),
        timeout: Duration::from_millis(800),
        alpha: Share::percent(1),
        baseline: Baseline {
            at_least: Duration::from_secs(60),
            at_most: Duration::from_secs(600),
        },
        recovery: Recovery {
            within: Duration::from_secs(300),
            hold: Duration::from_secs(30),
            expected: true,
        },
        blind: Blindness {
            hold_fire_after: 1,
            abort_after: 3,
        },
        budget: Some(500),
        self_check: None,
        each_task: None,
        probes: vec![
            ProbeSpec {
                dip: Some(Dip {
                    max: Share::percent(25),
                    lasts: Duration::from_secs(5),
                }),
                ..ProbeSpec::new(
                    "cart-edge",
                    Role::Abort,
                    Source::Http(Http {
                        url: "http://cart.example.net/cart/demo".into(),
                        requests: 20,
                        status: vec![StatusRange { from: 200, to: 299 }],
                        slower_than: Some(Duration::from_millis(300)),
                        ..Http::default()
                    }),
                )
            },
            ProbeSpec {
                max: Share::percent(20),
                hard: Share::percent(60),
                ..ProbeSpec::new("cart-tasks", Role::Observe, Source::Marathon)
            },
        ],
        control: Default::default(),
        margin: None,
        latency_margin_percent: None,
    }
}

fn judgement(step: u32, second: f64, blocker: Option<(GateName, Answer)>) -> Judgement {
    let why = |gate| match gate {
        GateName::Halt => "not halted",
        GateName::Armed => "armed in the settings",
        GateName::Leadership => "one instance, the journal's lock is ours",
        GateName::Clock => "Marathon's clock is 0.2 s from ours, at most 30 s allowed",
        GateName::Freshness => "seen 0.8 s ago, whole, framework as pinned",
        GateName::Policy => "the policy is the one that was planned (4f8b1f6b2c0e)",
        GateName::Window => {
            "Mon 09:30–15:30 Europe/Madrid, open for another 26 min, longest rest of the plan 15 min"
        }
        GateName::Target => "all planned tasks are there, opted in by owners.yaml, older than 10 min",
        GateName::Budget => "1 of 4 kills in the last hour, 3 of 20 today",
        GateName::BlastRadius => "0 down, 1 more, at most 1 allowed; 12 of 12 healthy",
        GateName::Deployment => "no deployment, no launch delay",
        GateName::Overlap => "no other run on /shop/cart",
        GateName::Outage => "Alertmanager has no active alert that matches severity=page",
        GateName::SteadyState => "cart-edge 0.1 % bad in 1,260 requests, evidence 4 %",
        GateName::ProbeFreshness => "cart-edge answered 0.4 s ago",
        GateName::Approval => "approved by ben for this digest, 3 min ago",
    };
    Judgement {
        run: "r-7Q2MK4XN".into(),
        digest: plan().digest(),
        step,
        at: at(second),
        answers: GateName::ALL
            .into_iter()
            .map(|gate| match &blocker {
                Some((blocked, answer)) if *blocked == gate => GateAnswer {
                    gate,
                    answer: answer.clone(),
                },
                _ => GateAnswer {
                    gate,
                    answer: Answer::Pass(why(gate).into()),
                },
            })
            .collect(),
    }
}

fn intent(step: u32, second: f64, state: IntentState) -> Intent {
    Intent {
        id: IntentId::of(&"r-7Q2MK4XN".into(), step),
        run: "r-7Q2MK4XN".into(),
        step,
        targets: vec![target(step)],
        at: at(second),
        deadline: at(second + 5.0),
        sham: false,
        state,
    }
}

fn resolved(step: u32, second: f64) -> IntentState {
    IntentState::Resolved {
        why: "the instance serves again with a later incarnation, 12 of 12 healthy".into(),
        at: at(second),
        tasks: vec![target(step).task],
    }
}

fn recovery(step: u32, second: f64, stages: [Option<f64>; 4]) -> KillRecovery {
    let [gone, running, capacity, steady] = stages.map(|s| s.map(|s| at(second + s)));
    KillRecovery {
        step,
        app: None,
        killed: at(second),
        gone,
        running,
        capacity,
        steady,
        staged: None,
        rotation: None,
        healthy: None,
        answering: None,
        origins: [(Stage::Killed, Origin::Answer)].into(),
        by_order: false,
        felt: vec![],
    }
}

/// What a kill cost that was felt for so many samples of twenty requests.
fn felt(samples: u64, bad: u64, [failed, low, high]: [f64; 3]) -> Felt {
    Felt {
        probe: "cart-edge".into(),
        observed: samples * 20,
        bad,
        dip_area_s: failed / 20.0,
        attributable: failed,
        attributable_low: low,
        attributable_high: high,
        worst_second: 0.1,
        worst_ten_seconds: 0.02,
        masked_retries: 0,
        masked_redispatches: 0,
    }
}

/// One stage over several kills: its median and its worst in seconds, and whether the worst was not seen to end.
fn over_all(stage: Stage, kills: u32, median: f64, (worst, open): (f64, bool)) -> StageSummary {
    let ms = |seconds: f64| (seconds * 1e3).round() as u64;
    StageSummary {
        stage,
        kills,
        censored: u32::from(open),
        median_ms: Some(ms(median)),
        worst_ms: ms(worst),
        worst_is_censored: open,
    }
}

/// Noise that is the same every time.
fn dice(n: u64) -> f64 {
    let x = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03;
    let x = (x ^ (x >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    ((x ^ (x >> 32)) >> 11) as f64 / (1u64 << 53) as f64
}

/// Samples, health and evidence for a run of `length` seconds with kills at `kills`; `bad` says how
/// likely a bad answer is at a second.
fn watch(report: &mut Report, length: u32, kills: &[f64], bad: impl Fn(f64) -> f64) {
    let probe = ProbeName::new("cart-edge");
    let mut evidence = 2.0_f64;
    for second in 0..length {
        let t = f64::from(second);
        let reading = if (95..97).contains(&second) {
            Reading::Blind {
                why: "the answer took longer than 800 ms to begin".into(),
            }
        } else {
            let wrong = (0..20)
                .filter(|i| dice(u64::from(second) * 100 + i) < bad(t))
                .count() as u32;
            evidence = (evidence + if wrong > 0 { f64::from(wrong) * 4.0 } else { -0.6 }).clamp(0.0, 100.0);
            Reading::Seen {
                observed: 20,
                bad: wrong,
                slowest_ms: Some(40 + second % 17),
                detail: None,
            }
        };
        report.samples.push(Sample {
            at: at(t),
            probe: probe.clone(),
            reading,
        });
        report.evidence.push(EvidencePoint {
            at: at(t),
            probe: probe.clone(),
            percent: evidence as u32,
        });
        let since = kills
            .iter()
            .filter(|k| **k <= t)
            .map(|k| t - k)
            .fold(f64::INFINITY, f64::min);
        let (healthy, running, staged) = match since {
            s if s < 1.0 => (12, 12, 0),
            s if s < 6.0 => (11, 11, 1),
            s if s < 18.0 => (11, 12, 0),
            _ => (12, 12, 0),
        };
        report.samples.push(Sample {
            at: at(t),
            probe: "cart-tasks".into(),
            reading: Reading::seen(12, 12 - healthy),
        });
        report.health.push(HealthPoint {
            at: at(t),
            app: "/shop/cart".into(),
            healthy,
            instances: 12,
            running,
            staged,
            fresh: vec![],
            launch_delay_s: None,
            clock_offset_ms: None,
            asked: vec![],
        });
    }
}

fn blank() -> Report {
    let plan = plan();
    Report {
        schema: SCHEMA.into(),
        operator: "0.1.0".into(),
        run: plan.run.clone(),
        digest: plan.digest(),
        began: plan.made_at,
        ended: None,
        approvals: vec![Approval {
            by: person("U0BEN0000", "ben"),
            digest: plan.digest(),
            at: at(-190.0),
        }],
        plan,
        denied: None,
        judgements: vec![],
        intents: vec![],
        recoveries: vec![],
        stages: vec![],
        clock_offset_ms: None,
        abort: None,
        kills_after_breach: 0,
        health: vec![],
        samples: vec![],
        evidence: vec![],
        harm: vec![],
        verdict: None,
    }
}

fn verdict(outcome: Outcome, hypothesis: HypothesisResult, reason: &str, sentence: &str) -> Verdict {
    Verdict {
        outcome,
        hypothesis,
        reason: reason.into(),
        sentence: sentence.into(),
        lines: vec![],
        limits: vec![
            "A difference below about 0.9 points would probably have been missed.".into(),
            "Not tested: loss of more than 1 of 12 tasks, loss of an agent, any other time of day.".into(),
        ],
        design: "weak (before/after)".into(),
        differences: vec![],
        about_design: String::new(),
        pairs: None,
    }
}

/// Three kills, all recovered, hypothesis held.
/// The run that held, in which every task was asked by itself as well.
pub(crate) fn asked() -> Report {
    let mut report = held();
    report.run = "r-A5KED000".into();
    report.plan.hypothesis.each_task = Some(EachTask {
        path: "/health".into(),
    });
    let kills: Vec<(TaskId, DateTime<Utc>)> = report
        .plan
        .steps
        .iter()
        .zip(&report.recoveries)
        .map(|(step, kill)| (step.targets[0].task.clone(), kill.killed))
        .collect();
    let answer = |task: &TaskId, ms: u32| TaskAnswer {
        task: task.clone(),
        ms: (ms > 0).then_some(ms),
        blind: None,
    };
    for (index, point) in report.health.iter_mut().enumerate() {
        let wave = 4 + (index as u32 * 7) % 5;
        // The survivors are slower for as long as they carry the load of one more.
        let loaded = kills
            .iter()
            .any(|(_, at)| (1..9).contains(&(point.at - at).num_seconds()));
        let own = if loaded { wave * 3 } else { wave };
        let survivors = [11, 12].map(|n| target(n).task);
        point.asked = survivors.iter().map(|task| answer(task, own)).collect();
        for (task, killed) in &kills {
            let since = (point.at - *killed).num_milliseconds();
            match since {
                ..0 => point.asked.push(answer(task, own)),
                0..1_000 => point.asked.push(answer(task, 0)),
                5_000.. => {
                    let new = TaskId::new(format!("{task}0"));
                    let cold = if since < 7_000 {
                        0
                    } else {
                        wave * 8 / (1 + since as u32 / 12_000)
                    };
                    point.asked.push(answer(&new, cold));
                    if since < 6_000 {
                        point.fresh.push(FreshTask {
                            instance: InstanceId::new(new.as_str()),
                            task: new,
                            staged: Some(*killed + TimeDelta::seconds(1)),
                            started: Some(*killed + TimeDelta::seconds(5)),
                            healthy: None,
                            address: None,
                            answered: None,
                        });
                    }
                }
                _ => {}
            }
        }
    }
    for kill in &mut report.recoveries {
        kill.answering = Some(kill.killed + TimeDelta::milliseconds(7_400));
        kill.origins.insert(Stage::Answering, Origin::OwnRequest);
    }
    report
        .stages
        .insert(2, over_all(Stage::Answering, 3, 7.4, (7.4, false)));
    report
}

pub(crate) fn held() -> Report {
    let mut report = blank();
    let kills = [63.2, 121.4, 178.0];
    watch(&mut report, 262, &kills, |t| {
        if kills.iter().any(|k| t >= *k && t < k + 2.0) {
            0.08
        } else {
            0.001
        }
    });
    for (step, second) in (1..).zip(kills) {
        report
            .intents
            .push(intent(step, second - 0.2, resolved(step, second + 19.0)));
        let stages = [0.9, 6.1, 18.2 + f64::from(step), 48.0 + f64::from(step)].map(Some);
        let mut kill = recovery(step, second, stages);
        kill.healthy = Some(at(second + 16.4 + f64::from(step)));
        kill.origins.insert(Stage::Healthy, Origin::HealthResult);
        kill.felt = vec![felt(48 + u64::from(step), 4, [3.2, 0.1, 6.3])];
        report.recoveries.push(kill);
        report.judgements.push(judgement(
            step,
            second - 20.0,
            Some((
                GateName::SteadyState,
                Answer::Refuse("cart-edge: 11 s of the baseline are missing".into()),
            )),
        ));
        report.judgements.push(judgement(
            step,
            second - 10.0,
            Some((
                GateName::Outage,
                Answer::Unknown("Alertmanager did not answer within 2 s".into()),
            )),
        ));
        report.judgements.push(judgement(step, second - 0.3, None));
    }
    report.stages = vec![
        over_all(Stage::Gone, 3, 0.9, (0.9, false)),
        over_all(Stage::Running, 3, 6.1, (6.1, false)),
        over_all(Stage::Healthy, 3, 18.4, (19.4, false)),
        over_all(Stage::Capacity, 3, 20.2, (21.2, false)),
        over_all(Stage::Steady, 3, 50.0, (51.0, false)),
    ];
    report.harm = vec![
        Harm {
            probe: "cart-edge".into(),
            observed: 3_940,
            bad: 9,
            worst: 0.1,
            blind: 2,
            burn: Some(1.4),
        },
        Harm {
            probe: "cart-tasks".into(),
            observed: 2_388,
            bad: 51,
            worst: 1.0 / 12.0,
            blind: 0,
            burn: Some(1.4),
        },
    ];
    report.ended = Some(at(262.0));
    let mut verdict = verdict(
        Outcome::Completed,
        HypothesisResult::Held,
        "",
        "Held. 3 kills of 1 of 12 tasks. Failing requests: 0.23 % after a kill, 0.08 % before; difference +0.15 \
         points, 95 % sure it is below +0.42 (tolerated: +1).",
    );
    verdict.lines = vec![
        "Stayed within limits: yes (peak 10 %, limit 1 %, 25 % for 5 s after a kill).".into(),
        "Caused by the kill: not known yet, pair 1 of 5.".into(),
    ];
    verdict.differences = vec![Difference {
        probe: "cart-edge".into(),
        control_bad: 1,
        control_observed: 1_260,
        experiment_bad: 9,
        experiment_observed: 3_940,
        difference: 0.0015,
        low: -0.0011,
        high: 0.0042,
        margin: 0.01,
        says: HypothesisResult::Held,
        pairs: vec![],
        chance: None,
        smallest: None,
        latency: None,
    }];
    report.verdict = Some(verdict);
    report
}

/// Five kills and five shams in pairs; every kill costs some requests for a few seconds.
pub(crate) fn slots() -> Report {
    let mut report = blank();
    report.run = "r-5L0T5000".into();
    report.plan.run = report.run.clone();
    report.plan.hypothesis.control = Control::Sham {
        pairs: 5,
        window: Duration::from_secs(60),
        settle: Duration::from_secs(30),
    };
    let order = [false, true, true, false, false, true, false, true, true, false];
    report.plan.steps = (1..)
        .zip(order)
        .map(|(number, sham)| Step {
            number,
            targets: vec![target(number)],
            slot: Some(Slot {
                pair: number.div_ceil(2),
                sham,
            }),
        })
        .collect();
    report.digest = report.plan.digest();
    let when = |step: u32| 62.0 + 95.0 * f64::from(step - 1);
    let kills: Vec<f64> = (1..)
        .zip(order)
        .filter(|(_, sham)| !sham)
        .map(|(step, _)| when(step))
        .collect();
    watch(&mut report, 1_010, &kills, |t| {
        match kills.iter().any(|k| t >= *k && t < k + 6.0) {
            true => 0.3,
            false => 0.001,
        }
    });
    for (step, sham) in (1..).zip(order) {
        let at = when(step);
        let mut intent = intent(step, at, resolved(step, at + 19.0));
        intent.sham = sham;
        report.intents.push(intent);
        report.judgements.push(judgement(step, at - 0.1, None));
        if !sham {
            report
                .recoveries
                .push(recovery(step, at, [0.9, 6.1, 18.4, 41.0].map(Some)));
        }
    }
    for kill in &mut report.recoveries {
        kill.rotation = Some(kill.killed + TimeDelta::milliseconds(20_500));
        kill.origins.insert(Stage::Rotation, Origin::Balancer);
    }
    report.stages = vec![
        over_all(Stage::Gone, 5, 0.9, (0.9, false)),
        over_all(Stage::Running, 5, 6.1, (6.1, false)),
        over_all(Stage::Rotation, 5, 20.5, (20.5, false)),
        over_all(Stage::Capacity, 5, 18.4, (18.4, false)),
        over_all(Stage::Steady, 5, 41.0, (41.0, false)),
    ];
    report.ended = Some(at(1_010.0));
    let counts = |at: f64| {
        let mut counts = Counts::default();
        for sample in &report.samples {
            let since = (sample.at - self::at(at)).num_milliseconds();
            if let (true, 0..60_000, Reading::Seen { observed, bad, .. }) =
                (sample.probe.as_str() == "cart-edge", since, &sample.reading)
            {
                counts.observed += u64::from(*observed);
                counts.bad += u64::from(*bad);
            }
        }
        counts
    };
    let pairs: Vec<Pair> = (1..=5)
        .map(|number| {
            let (first, second) = (2 * number - 1, 2 * number);
            let first_is_sham = order[first as usize - 1];
            let (kill, sham) = if first_is_sham {
                (second, first)
            } else {
                (first, second)
            };
            Pair {
                run: report.run.clone(),
                number,
                experiment: counts(when(kill)),
                control: counts(when(sham)),
                experiment_times: [20_000, 20_000, 61_000].into_iter().collect(),
                control_times: [20_000, 20_000, 55_500].into_iter().collect(),
            }
        })
        .collect();
    let (experiment, control): (Counts, Counts) = (
        pairs.iter().map(|p| p.experiment).sum(),
        pairs.iter().map(|p| p.control).sum(),
    );
    let mut verdict = verdict(
        Outcome::Completed,
        HypothesisResult::Disproved,
        "",
        "Disproved. 5 kills of 1 of 12 tasks. Failing requests are more frequent after a kill than after a sham.",
    );
    verdict.lines = vec![
        "Stayed within limits: no (peak 50 %, limit 1 %).".into(),
        "Caused by the kill: yes (probe cart-edge is worse after a kill by at least +2.1 points, +0.50 are tolerated)."
            .into(),
    ];
    report.harm = vec![Harm {
        probe: "cart-edge".into(),
        observed: 19_000,
        bad: experiment.bad + control.bad,
        worst: 0.5,
        blind: 2,
        burn: Some(1.4),
    }];
    verdict.design = "good (sham slots)".into();
    verdict.about_design =
        "Design: sham slots (5 real, 5 sham, same app). A difference here is not explained by slow \
                            drift. Effects lasting longer than the 30 s settle time would be missed."
            .into();
    verdict.differences = vec![Difference {
        probe: "cart-edge".into(),
        control_bad: control.bad,
        control_observed: control.observed,
        experiment_bad: experiment.bad,
        experiment_observed: experiment.observed,
        difference: experiment.share().unwrap_or_default() - control.share().unwrap_or_default(),
        low: 0.021,
        high: 0.037,
        margin: 0.005,
        says: HypothesisResult::Disproved,
        pairs,
        chance: Some(0.031_25),
        smallest: Some(0.006),
        latency: Some(LatencyDifference {
            experiment_answers: 6_000,
            control_answers: 6_000,
            experiment_p99_ms: 61.0,
            control_p99_ms: 55.5,
            ratio: 1.099,
            low: 0.94,
            high: 1.21,
            margin: 1.5,
            slower_chance: Some(0.53),
            says: HypothesisResult::Held,
        }),
    }];
    report.verdict = Some(verdict);
    report
}

/// The second kill breaks the service; the detector stops the run; one app never recovers in time.
pub(crate) fn disproved() -> Report {
    let mut report = blank();
    report.run = "r-0D15PR0V".into();
    let kills = [63.2, 121.4];
    watch(&mut report, 430, &kills, |t| match t {
        t if (122.0..170.0).contains(&t) => 0.28,
        t if t >= 170.0 => 0.12,
        _ => 0.001,
    });
    for point in report.health.iter_mut().filter(|p| p.at > at(121.4)) {
        (point.healthy, point.running, point.staged) = (11, 11, 1);
    }
    for sample in report
        .samples
        .iter_mut()
        .filter(|s| s.at > at(121.4) && s.probe.as_str() == "cart-tasks")
    {
        sample.reading = Reading::seen(12, 1);
    }
    report.intents.push(intent(1, 63.0, resolved(1, 84.0)));
    report.intents.push(intent(
        2,
        121.2,
        IntentState::Acked {
            tasks: vec![target(2).task],
            at: at(121.4),
        },
    ));
    report
        .recoveries
        .push(recovery(1, 63.2, [Some(0.9), Some(6.1), Some(19.4), Some(51.0)]));
    report
        .recoveries
        .push(recovery(2, 121.4, [Some(1.1), None, None, None]));
    report.stages = vec![
        over_all(Stage::Gone, 2, 0.9, (1.1, false)),
        over_all(Stage::Running, 2, 6.1, (308.6, true)),
        over_all(Stage::Capacity, 2, 19.4, (308.6, true)),
        over_all(Stage::Steady, 2, 51.0, (308.6, true)),
    ];
    report.judgements.push(judgement(1, 62.9, None));
    report.judgements.push(judgement(2, 121.1, None));
    report.judgements.push(judgement(
        3,
        129.0,
        Some((
            GateName::SteadyState,
            Answer::Refuse("cart-edge crossed its limit: the run is being aborted".into()),
        )),
    ));
    report.abort = Some(Aborted {
        cause: AbortCause::Limit {
            probe: "cart-edge".into(),
            evidence_percent: 100,
        },
        at: at(127.304),
        breach_to_fence_us: Some(412),
    });
    report.harm = vec![Harm {
        probe: "cart-edge".into(),
        observed: 7_300,
        bad: 873,
        worst: 0.45,
        blind: 2,
        burn: Some(1.4),
    }];
    report.ended = Some(at(430.0));
    let mut verdict = verdict(
        Outcome::Aborted,
        HypothesisResult::Disproved,
        "limit",
        "Disproved. After the 2nd of 3 kills of 1 of 12 tasks 28 % of requests failed; before the first kill 0.1 %. \
         Aborted 5.3 s after the first bad sample; no kill request left after that.",
    );
    verdict.lines = vec![
        "Stayed within limits: no (peak 45 %, limit 1 %).".into(),
        "Caused by the kill: likely, the difference is +11.9 points (tolerated +1).".into(),
    ];
    verdict.differences = vec![Difference {
        probe: "cart-edge".into(),
        control_bad: 1,
        control_observed: 1_260,
        experiment_bad: 873,
        experiment_observed: 7_300,
        difference: 0.1188,
        low: 0.1124,
        high: 0.1252,
        margin: 0.01,
        says: HypothesisResult::Disproved,
        pairs: vec![],
        chance: None,
        smallest: None,
        latency: None,
    }];
    report.verdict = Some(verdict);
    report
}

/// Not steady before the first kill: nothing was killed.
pub(crate) fn skipped() -> Report {
    let mut report = blank();
    report.run = "r-5K1PPED0".into();
    watch(&mut report, 75, &[], |_| 0.06);
    report.judgements.push(judgement(
        1,
        75.0,
        Some((
            GateName::SteadyState,
            Answer::Refuse("cart-edge: 6 % bad, limit 1 %".into()),
        )),
    ));
    report.ended = Some(at(75.0));
    report.verdict = Some(verdict(
        Outcome::Skipped,
        HypothesisResult::NotTested,
        "not steady",
        "Skipped. /shop/cart was not steady before the first kill: 6 % of requests failed, limit 1 %. Nothing was killed.",
    ));
    report
}

/// Still waiting for people: nothing measured yet.
pub(crate) fn open() -> Report {
    let mut report = blank();
    report.run = "r-0PEN0000".into();
    report.approvals.clear();
    report
}

/// A rehearsal: everything but the kill.
pub(crate) fn rehearsed() -> Report {
    let mut report = held();
    report.run = "r-REHEARSE".into();
    report.stages.clear();
    report.plan.mode = Mode::Rehearse;
    for intent in &mut report.intents {
        intent.sham = true;
        intent.state = IntentState::NotSent {
            why: "a rehearsal sends nothing".into(),
            at: intent.at,
        };
    }
    for recovery in &mut report.recoveries {
        recovery.felt.clear();
        recovery.healthy = None;
        recovery.gone = None;
        recovery.running = None;
        recovery.capacity = Some(recovery.killed);
        recovery.steady = Some(recovery.killed);
    }
    report.verdict = Some(verdict(
        Outcome::Completed,
        HypothesisResult::NotTested,
        "",
        "Rehearsed. 3 steps were taken without the kill; every probe stayed within its limit.",
    ));
    report
}

/// Names and reasons written by somebody who means ill.
pub(crate) fn hostile() -> Report {
    let mut report = disproved();
    let evil = "<script>alert(1)</script>\n# evil\n| a | b | `x` \u{202e}txt";
    report.run = "r-H0ST11E0".into();
    report.plan.apps.first.app = evil.into();
    report.plan.remarks = vec![evil.into()];
    report.plan.framework_id = evil.into();
    if let Some(person) = &mut report.plan.requested_by {
        person.name = evil.into();
    }
    for probe in &mut report.plan.hypothesis.probes {
        probe.name = evil.into();
    }
    for sample in &mut report.samples {
        sample.probe = evil.into();
    }
    report.abort = Some(Aborted {
        cause: AbortCause::Manual {
            by: evil.into(),
            reason: evil.into(),
        },
        at: at(127.0),
        breach_to_fence_us: None,
    });
    if let Some(verdict) = &mut report.verdict {
        verdict.sentence = evil.into();
        verdict.lines = vec![evil.into()];
        verdict.reason = evil.into();
    }
    report
}
