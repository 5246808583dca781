//! Every message: how it reads, and that Slack would take it whatever people and Marathon wrote.

use super::*;
use crate::model::approval::{Approval, Denial};
use crate::model::command::{Person, Role as PersonRole, Via};
use crate::model::experiment::*;
use crate::model::gate::{Answer, GateAnswer, GateName, Judgement};
use crate::model::halt::Halt;
use crate::model::ids::{AppId, IntentId};
use crate::model::plan::{Plan, PlannedApp, PlannedApps, PlannedOutage, Step, Target};
use crate::model::policy::{ApprovalMode, ApprovalRule, Attribute, BlastRadius, Mode, RateLimit};
use crate::model::report::{Harm, KillRecovery, Report, SCHEMA};
use crate::model::run::{Aborted, Intent, IntentState, Phase, Run};
use crate::model::verdict::{HypothesisResult, Outcome, Verdict};
use crate::model::view::*;
use crate::slack::limits::{check_message, check_view};
use serde_json::Value;
use std::time::Duration;

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000 + second, 0).expect("a moment")
}

fn person_of(id: &str) -> Person {
    Person {
        id: id.into(),
        name: format!("<@{id}>"),
        via: Via::Slack,
        role: PersonRole::Approver,
    }
}

fn plan(t: &str) -> Plan {
    let target = |n: u32| Target {
        app: format!("/shop/cart{t}").as_str().into(),
        task: format!("shop_cart.instance-{n}._app.1{t}").as_str().into(),
        instance: "shop_cart.instance-1".into(),
        host: format!("a{n}{t}"),
        pod: false,
        agent: None,
    };
    Plan {
        run: "r-7Q2MK4XN".into(),
        policy: format!("cart{t}").as_str().into(),
        policy_digest: "0".into(),
        team: "shop".into(),
        cluster: format!("prod{t}").as_str().into(),
        framework_id: "f-1".into(),
        mode: Mode::Enforce,
        apps: PlannedApp {
            app: format!("/shop/cart{t}").as_str().into(),
            version: "v".into(),
            instances: 6,
            healthy: 6,
        }
        .into(),
        outage: None,
        requested_by: Some(person_of("U1ASKS")),
        steps: vec![
            Step {
                number: 1,
                targets: vec![target(1)],
                slot: None,
            },
            Step {
                number: 2,
                targets: vec![target(2)],
                slot: None,
            },
        ],
        gap: Duration::from_secs(60),
        blast_radius: BlastRadius {
            max_tasks: 1,
            max_percent: 25,
            min_healthy: 2,
            max_apps: 1,
            max_tasks_in_all: None,
        },
        rate_limit: RateLimit {
            kills: 4,
            per: Duration::from_secs(3_600),
            burst: 1,
        },
        allow_no_health_check: false,
        hypothesis: Hypothesis {
            interval: Duration::from_secs(1),
            timeout: Duration::from_millis(500),
            alpha: Share::percent(1),
            baseline: Baseline {
                at_least: Duration::from_secs(60),
                at_most: Duration::from_secs(300),
            },
            recovery: Recovery {
                within: Duration::from_secs(300),
                hold: Duration::from_secs(30),
                expected: true,
            },
            blind: Blindness {
                hold_fire_after: 2,
                abort_after: 5,
            },
            budget: None,
            self_check: None,
            each_task: None,
            probes: vec![ProbeSpec::new(
                format!("checkout{t}").as_str(),
                Role::Abort,
                Source::Tcp {
                    address: "cart:80".into(),
                },
            )],
            control: Default::default(),
            margin: None,
            latency_margin_percent: None,
        },
        approval: ApprovalRule {
            mode: ApprovalMode::Required,
            users: ["U2SAYS".into()].into(),
            groups: ["S1TEAM".into()].into(),
            quorum: 1,
            expires: Duration::from_secs(1_800),
        },
        channel: None,
        made_at: at(0),
        remarks: if t.is_empty() {
            vec![]
        } else {
            vec![t.to_owned(); 20]
        },
    }
}

fn judgement(t: &str) -> Judgement {
    let answers = GateName::ALL.map(|gate| GateAnswer {
        gate,
        answer: match gate {
            GateName::Approval => Answer::Refuse(format!("0 of 1 said yes{t}")),
            GateName::Outage => Answer::Unknown(format!("Alertmanager did not answer{t}")),
            _ => Answer::Pass(format!("fine{t}")),
        },
    });
    Judgement {
        run: "r-7Q2MK4XN".into(),
        digest: "0".into(),
        step: 1,
        at: at(-30),
        answers: answers.into(),
    }
}

fn intent(t: &str, step: u32, state: IntentState) -> Intent {
    Intent {
        id: IntentId::of(&"r-7Q2MK4XN".into(), step),
        run: "r-7Q2MK4XN".into(),
        step,
        targets: plan(t).steps[0].targets.clone(),
        at: at(100),
        deadline: at(110),
        sham: false,
        state,
    }
}

/// A rack goes dark: two tasks of each of `n` apps on one agent.
fn outage(t: &str, n: usize) -> Plan {
    let mut plan = plan(t);
    let ids: Vec<AppId> = (0..n)
        .map(|app| format!("/shop/app{app}{t}").as_str().into())
        .collect();
    let app = |id: &AppId| PlannedApp {
        app: id.clone(),
        version: "v".into(),
        instances: 6,
        healthy: 6,
    };
    plan.apps = PlannedApps::of(ids.iter().map(app)).unwrap();
    plan.outage = Some(PlannedOutage {
        attribute: Attribute::Named(format!("rack{t}")),
        value: format!("7{t}"),
        agents: vec![],
    });
    let targets = ids.iter().enumerate().flat_map(|(app, id)| {
        (1..=2).map(move |task| Target {
            app: id.clone(),
            task: format!("app{app}.instance-{task}{t}").as_str().into(),
            instance: "app.instance-1".into(),
            host: format!("a1{t}"),
            pod: false,
            agent: Some("S1".into()),
        })
    });
    plan.steps = vec![Step {
        number: 1,
        targets: targets.collect(),
        slot: None,
    }];
    plan.blast_radius = BlastRadius {
        max_tasks: 2,
        max_percent: 50,
        min_healthy: 2,
        max_apps: 3,
        max_tasks_in_all: Some(6),
    };
    plan
}

fn view(t: &str, phase: Phase) -> RunView {
    let approval = Approval {
        by: person_of("U2SAYS"),
        digest: "ab".into(),
        at: at(50),
    };
    let awaiting = phase == Phase::AwaitingApproval;
    RunView {
        run: Run {
            id: "r-7Q2MK4XN".into(),
            plan: plan(t),
            digest: "ab".repeat(32).as_str().into(),
            phase,
            phase_since: at(60),
            approvals: if awaiting { vec![] } else { vec![approval] },
            denied: None,
            approval_expires: Some(at(1_800)),
            started: (!awaiting).then(|| at(60)),
            accepted: Default::default(),
            intents: if awaiting {
                vec![]
            } else {
                vec![intent(
                    t,
                    1,
                    IntentState::Acked {
                        tasks: vec![],
                        at: at(101),
                    },
                )]
            },
            abort: None,
            judged: Some(judgement(t)),
            verdict: None,
            ended: None,
        },
        evidence_percent: Some(37),
        difference_percent: Some(12),
        probes: vec![format!("checkout: 0.4 % bad{t}")],
        healthy: Some(5),
        waiting: Some(format!("the replacement of step 1{t}")),
        reports: vec![],
    }
}

fn verdict(t: &str, outcome: Outcome, hypothesis: HypothesisResult, reason: &str) -> Verdict {
    Verdict {
        outcome,
        hypothesis,
        reason: reason.into(),
        sentence: format!("Held. 2 kills of 1 of 6 tasks.{t}"),
        lines: vec![
            format!("Stayed within limits: yes (peak 0.4 %, limit 1 %).{t}"),
            format!("Caused by the kill: not known yet, pair 1 of 5.{t}"),
        ],
        limits: vec![format!("Anything rarer than 1 in 300.{t}")],
        design: "weak (before/after)".into(),
        differences: vec![],
        about_design: String::new(),
        pairs: None,
    }
}

fn over(t: &str, verdict: Verdict) -> RunView {
    let mut view = view(t, Phase::Ended);
    view.run.intents = vec![
        intent(
            t,
            1,
            IntentState::Resolved {
                why: format!("whole again{t}"),
                at: at(140),
                tasks: vec![],
            },
        ),
        intent(
            t,
            2,
            IntentState::Held {
                why: format!("no effect seen{t}"),
                at: at(240),
            },
        ),
    ];
    view.run.verdict = Some(verdict);
    view.run.ended = Some(at(300));
    view.reports = vec![format!("/var/lib/heartbreak/reports/r-7Q2MK4XN/report.html{t}")];
    view
}

fn aborted(t: &str, cause: AbortCause, phase: Phase) -> RunView {
    let mut view = match phase {
        Phase::Ended => over(
            t,
            verdict(t, Outcome::Aborted, HypothesisResult::Disproved, cause.word()),
        ),
        other => self::view(t, other),
    };
    view.run.abort = Some(Aborted {
        cause,
        at: at(120),
        breach_to_fence_us: Some(843),
    });
    view
}

fn causes(t: &str) -> Vec<AbortCause> {
    let probe = || format!("checkout{t}").as_str().into();
    let by = || format!("<@U3STOP>{t}");
    vec![
        AbortCause::Limit {
            probe: probe(),
            evidence_percent: 104,
        },
        AbortCause::Hard {
            probe: probe(),
            observed: 20,
            bad: 12,
        },
        AbortCause::Budget {
            failed: 31,
            allowed: 30,
        },
        AbortCause::Blind {
            probe: probe(),
            missed: 5,
            why: format!("refused{t}"),
        },
        AbortCause::Manual {
            by: by(),
            reason: format!("too slow{t}"),
        },
        AbortCause::Halt {
            by: by(),
            reason: format!("incident{t}"),
        },
        AbortCause::Policy {
            why: format!("the policy is gone{t}"),
        },
        AbortCause::Gate {
            why: format!("window: it closed{t}"),
        },
        AbortCause::Restarted,
        AbortCause::Kill {
            why: format!("Marathon answered 500{t}"),
        },
        AbortCause::Consecutive {
            probe: probe(),
            samples: 5,
        },
    ]
}

fn report_of(t: &str) -> Report {
    Report {
        schema: SCHEMA.into(),
        operator: "0.1.0".into(),
        run: "r-7Q2MK4XN".into(),
        plan: plan(t),
        digest: "ab".repeat(32).as_str().into(),
        began: at(0),
        ended: Some(at(300)),
        approvals: vec![],
        denied: None,
        judgements: vec![],
        intents: vec![],
        recoveries: vec![KillRecovery {
            step: 1,
            app: None,
            killed: at(100),
            gone: Some(at(101)),
            running: Some(at(104)),
            capacity: Some(at(120)),
            steady: None,
            staged: None,
            rotation: None,
            healthy: None,
            answering: None,
            origins: Default::default(),
            by_order: false,
            felt: vec![],
        }],
        stages: vec![],
        clock_offset_ms: None,
        abort: None,
        kills_after_breach: 0,
        health: vec![],
        samples: vec![],
        evidence: vec![],
        harm: vec![Harm {
            probe: format!("checkout{t}").as_str().into(),
            observed: 3_000,
            bad: 12,
            worst: 0.04,
            blind: 0,
            burn: Some(1.4),
        }],
        verdict: Some(verdict(t, Outcome::Completed, HypothesisResult::Held, "")),
    }
}

fn halt(t: &str) -> Halt {
    Halt {
        by: person_of("U3STOP"),
        reason: format!("checkout is down{t}"),
        since: at(10),
    }
}

fn item(t: &str, second: i64) -> TimelineItem {
    TimelineItem {
        at: at(second),
        kind: "kill".into(),
        run: Some("r-7Q2MK4XN".into()),
        app: Some(format!("/shop/cart{t}").as_str().into()),
        other_apps: vec![],
        what: format!("killed 1 of 6 tasks{t}"),
    }
}

fn status_of(t: &str, halted: bool) -> Status {
    Status {
        at: at(0),
        version: "0.1.0".into(),
        armed: true,
        halt: halted.then(|| halt(t)),
        clusters: vec![ClusterView {
            name: "prod".into(),
            seen: Some(at(-5)),
            version: Some("1.11".into()),
            framework_id: None,
            apps: 12,
            gaps: if t.is_empty() { vec![] } else { vec![t.to_owned()] },
        }],
        policies: policies_of(t),
        open_runs: vec![view(t, Phase::Steps)],
        charged: vec![format!("r-7Q2MK4XN/1 of /shop/cart: accepted by Marathon{t}")],
        outbox_waiting: 2,
    }
}

fn policies_of(t: &str) -> Vec<PolicyView> {
    vec![PolicyView {
        name: format!("cart{t}").as_str().into(),
        team: format!("shop{t}"),
        mode: "enforce".into(),
        cluster: "prod".into(),
        state: "active".into(),
        allows: format!("Kills 1 task of /shop/**{t}"),
        next: Some(at(86_400)),
        blocked: Some(GateAnswer {
            gate: GateName::Window,
            answer: Answer::Refuse(format!("closed until 09:30{t}")),
        }),
        last_run: Some("r-7Q2MK4XN".into()),
    }]
}

fn plan_view(t: &str) -> PlanView {
    PlanView {
        plan: Some(plan(t)),
        digest: Some("ab".repeat(32).as_str().into()),
        none: None,
        left_out: vec![Exclusion {
            what: format!("/shop/pay{t}"),
            why: format!("not opted in{t}"),
        }],
        judgement: Some(judgement(t)),
    }
}

fn why_of(t: &str) -> Why {
    Why {
        subject: format!("cart{t}"),
        at: at(0),
        lead: format!("Nothing runs: no window is open{t}"),
        policies: vec![WhyPolicy {
            policy: "cart".into(),
            run: Some("r-7Q2MK4XN".into()),
            none: None,
            answers: judgement(t).answers,
            left_out: plan_view(t).left_out,
            next: Some(at(3_600)),
        }],
    }
}

fn was_it(t: &str, answer: WasIt, items: Vec<TimelineItem>) -> Message {
    let line = match answer {
        WasIt::Yes => "Yes: killed 1 of 6 tasks of /shop/cart at 14:03:11",
        WasIt::No => "No: nothing by us on /shop/cart",
        WasIt::Perhaps => "one kill of /shop/cart is unanswered",
        WasIt::CannotTell => "the last entry is of 02:51",
    };
    reply(
        &Reply::WasItYou(Box::new(WasItYou {
            answer,
            at: at(0),
            line: format!("{line}{t}"),
            items,
        })),
        at(0),
    )
}

/// Every message there is, with `t` added to every text that we did not write; lists get `n` items.
fn everything(t: &str, n: usize) -> Vec<(String, Message)> {
    let mut all: Vec<(String, Message)> = vec![];
    let mut add = |name: &str, message: Message| all.push((name.to_owned(), message));
    let say = |body: NoticeBody| notice(&body, at(70));
    for phase in [
        Phase::AwaitingApproval,
        Phase::Baseline,
        Phase::Steps,
        Phase::Recovery,
        Phase::Aborting,
    ] {
        add(
            &format!("card {phase}"),
            say(NoticeBody::Run(Box::new(view(t, phase)))),
        );
    }
    let mut big = view(t, Phase::AwaitingApproval);
    big.run.plan.steps = vec![big.run.plan.steps[0].clone(); n];
    big.run.plan.approval.users = (0..n).map(|i| format!("U{i}").as_str().into()).collect();
    big.run.plan.hypothesis.probes = vec![big.run.plan.hypothesis.probes[0].clone(); n];
    add("card big", say(NoticeBody::Run(Box::new(big))));
    for cause in causes(t) {
        for phase in [Phase::Aborting, Phase::Ended] {
            add(
                &format!("card {phase} {}", cause.word()),
                say(NoticeBody::Run(Box::new(aborted(t, cause.clone(), phase)))),
            );
        }
    }
    for outcome in [Outcome::Completed, Outcome::Aborted, Outcome::Skipped] {
        for hypothesis in [
            HypothesisResult::Held,
            HypothesisResult::Disproved,
            HypothesisResult::Inconclusive,
            HypothesisResult::NotTested,
        ] {
            let mut ended = over(t, verdict(t, outcome, hypothesis, t));
            ended.run.intents = vec![ended.run.intents[1].clone(); n];
            add(
                &format!("card ended {outcome} {hypothesis}"),
                say(NoticeBody::Run(Box::new(ended))),
            );
        }
    }
    let mut denied = over(
        t,
        verdict(t, Outcome::Skipped, HypothesisResult::NotTested, "denied"),
    );
    denied.run.denied = Some(Denial {
        by: person_of("U2SAYS"),
        reason: format!("not now{t}"),
        at: at(40),
    });
    add("card denied", say(NoticeBody::Run(Box::new(denied))));
    let mut report = report_of(t);
    report.recoveries = vec![report.recoveries[0].clone(); n];
    report.harm = vec![report.harm[0].clone(); n];
    report.abort = Some(Aborted {
        cause: causes(t)[1].clone(),
        at: at(1),
        breach_to_fence_us: Some(9),
    });
    add("verdict", say(NoticeBody::Verdict(Box::new(report.clone()))));
    let open = || vec![format!("r-7Q2MK4XN/1: accepted{t}"); n];
    add(
        "halted",
        say(NoticeBody::Halted {
            halt: halt(t),
            open: open(),
        }),
    );
    add(
        "resumed",
        say(NoticeBody::Resumed {
            by: format!("<@U4LIFT>{t}"),
            reason: format!("over{t}"),
        }),
    );
    add(
        "suspended",
        say(NoticeBody::Suspended {
            policy: format!("cart{t}").as_str().into(),
            why: t.to_owned(),
        }),
    );
    add(
        "attention",
        say(NoticeBody::Attention {
            what: t.to_owned(),
            todo: t.to_owned(),
        }),
    );
    let answer = |r: Reply| reply(&r, at(70));
    add("done", answer(Reply::Done(t.to_owned())));
    add("help", answer(Reply::Help));
    let mut status = status_of(t, false);
    status.open_runs = vec![status.open_runs[0].clone(); n];
    status.charged = vec![status.charged[0].clone(); n];
    status.clusters = vec![status.clusters[0].clone(); n];
    add("status", answer(Reply::Status(Box::new(status))));
    add(
        "status halted",
        answer(Reply::Status(Box::new(status_of(t, true)))),
    );
    add(
        "policies",
        answer(Reply::Policies(vec![policies_of(t).remove(0); n])),
    );
    add(
        "runs",
        answer(Reply::Runs(vec![
            over(
                t,
                verdict(t, Outcome::Completed, HypothesisResult::Held, "")
            );
            n
        ])),
    );
    add("run", answer(Reply::Run(Box::new(view(t, Phase::Steps)))));
    for phase in [Phase::AwaitingApproval, Phase::Steps] {
        let mut dark = view(t, phase);
        dark.run.plan = outage(t, n);
        add("run of an outage", answer(Reply::Run(Box::new(dark.clone()))));
        add(
            "card of an outage",
            notice(&NoticeBody::Run(Box::new(dark)), at(70)),
        );
    }
    let mut dark = plan_view(t);
    dark.plan = Some(outage(t, n));
    add("plan of an outage", answer(Reply::Plan(Box::new(dark))));
    add("report", answer(Reply::Report(Box::new(report))));
    let mut planned = plan_view(t);
    planned.left_out = vec![planned.left_out[0].clone(); n];
    add("plan", answer(Reply::Plan(Box::new(planned.clone()))));
    planned.plan = None;
    planned.none = Some(t.to_owned());
    add("no plan", answer(Reply::Plan(Box::new(planned))));
    let mut why = why_of(t);
    why.policies = vec![why.policies[0].clone(); n];
    add("why", answer(Reply::Why(Box::new(why))));
    for was in [WasIt::Yes, WasIt::No, WasIt::Perhaps, WasIt::CannotTell] {
        add("was-it-you", was_it(t, was, vec![item(t, 1); n]));
    }
    add("timeline", answer(Reply::Timeline(vec![item(t, 1); n])));
    add(
        "stopped",
        answer(Reply::Stopped {
            done: t.to_owned(),
            open: open(),
        }),
    );
    for kind in [
        RefusalKind::NotFound,
        RefusalKind::NotAllowed,
        RefusalKind::Conflict,
        RefusalKind::Invalid,
        RefusalKind::Unavailable,
    ] {
        add("refusal", refusal(&Refusal::new(kind, t)));
    }
    add("misread", misread(&format!("There is no command `{t}`.")));
    all
}

/// What people, Marathon and an attacker might write.
fn hostile() -> Vec<String> {
    vec![
        String::new(),
        "x".repeat(10_000),
        "&".repeat(10_000),
        "🦀<!everyone>".repeat(800),
        "<!everyone> <!channel> <@U9HOSTILE> <!subteam^S9> *_~`".repeat(20),
        "\u{202E}לילה טוב\u{0}\n> quote\r\n".repeat(300),
        "```".repeat(500),
    ]
}

#[test]
fn slack_would_take_every_message_whatever_people_and_marathon_wrote() {
    for text in &hostile() {
        for n in [1, 90] {
            for (name, message) in everything(text, n) {
                let broken = check_message(&message.json());
                assert_eq!(broken, [], "{name}, {n} items, text {:.20}", text);
            }
        }
    }
}

/// The judge is slack_sdk in Python, which `tests/run` installs and names in `JUDGES_PYTHON`.
#[test]
fn slacks_own_library_takes_every_message_and_signs_as_we_do() {
    use secrecy::SecretString;
    use std::io::Write;
    use std::process::{Command, Stdio};
    let Some(python) = std::env::var_os("JUDGES_PYTHON") else {
        assert!(
            std::env::var_os("CI").is_none(),
            "CI judges with slack_sdk: JUDGES_PYTHON is not set"
        );
        eprintln!("not judged with slack_sdk: `tests/run` does that");
        return;
    };
    let messages: Vec<Value> = hostile()
        .iter()
        .chain([&"ordinary".to_owned()])
        .flat_map(|text| [1, 90].map(|n| (text.clone(), n)))
        .flat_map(|(text, n)| everything(&text, n))
        .map(|(name, message)| serde_json::json!({"name": name, "message": message.json()}))
        .collect();
    let view = deny_view(&"r-7Q2MK4XN".into(), "abababababab", Some("C012AB3CD"));
    let view = serde_json::to_value(view).expect("plain data");
    let secret = "8f742231b10e8888abcd99yyyzzz85a5";
    let signatures: Vec<Value> = ["", "text=halt+now", "payload=%7B%22a%22%3A1%7D&x=\u{e4}"]
        .map(|body| {
            let signed = crate::slack::signature::sign(&SecretString::from(secret), "1790000000", body.as_bytes());
            serde_json::json!({"secret": secret, "timestamp": "1790000000", "body": body, "signature": signed})
        })
        .into();
    let asked = serde_json::json!({
        "messages": messages, "views": [{"name": "deny", "view": view}], "signatures": signatures,
    });
    let judge = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/judges/slack.py");
    let mut child = Command::new(python)
        .arg(judge)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the judge starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let text = asked.to_string();
    let writing = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let out = child.wait_with_output().expect("the judge ends");
    writing.join().expect("no panic").expect("the judge reads");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
}

#[test]
fn no_text_of_others_can_call_everybody_or_turn_the_writing() {
    let hostile = " <!everyone> <!channel> <!here> <!subteam^S9> <#C9> <http://evil.example|ok> \u{202E}`x` *b* _i_ ~s~ ";
    for (name, message) in everything(hostile, 2) {
        let all = message.json().to_string();
        for bad in [
            "<!everyone",
            "<!channel",
            "<!here",
            "<!subteam^S9",
            "<#C9",
            "<http",
            "\u{202E}",
        ] {
            assert!(!all.contains(bad), "{name} lets {bad} through: {all}");
        }
        let mut formatted = vec![message.text.clone()];
        visit(&message.json()["blocks"], &mut |object| {
            formatted.extend(
                (object["type"] == "mrkdwn").then(|| object["text"].as_str().expect("text").to_owned()),
            );
        });
        for text in formatted {
            // Inside a code span nothing is a format.
            for outside in text.split('`').step_by(2) {
                for bad in ["*b*", "_i_", "~s~"] {
                    assert!(!outside.contains(bad), "{name} lets {bad} through: {text}");
                }
            }
        }
    }
}

#[test]
fn links_are_made_of_nothing_but_our_own_forms() {
    for (name, message) in everything("", 2) {
        visit(&message.json()["blocks"], &mut |object| {
            if object["type"] == "mrkdwn" {
                assert_eq!(object["verbatim"], true, "{name}");
            }
        });
    }
}

fn visit(value: &Value, look: &mut impl FnMut(&Value)) {
    look(value);
    match value {
        Value::Array(items) => items.iter().for_each(|item| visit(item, look)),
        Value::Object(map) => map.values().for_each(|item| visit(item, look)),
        _ => {}
    }
}

#[test]
fn the_modal_is_one_that_slack_opens_and_carries_the_button_back() {
    for channel in [None, Some("C1"), Some("C".repeat(9_000).as_str())] {
        let view = serde_json::to_value(deny_view(&"r-7Q2MK4XN".into(), "abababababab", channel))
            .expect("plain data");
        assert_eq!(check_view(&view), []);
        assert_eq!(view["callback_id"], DENY_VIEW);
    }
    let view = serde_json::to_value(deny_view(&"r-7Q2MK4XN".into(), "abababababab", Some("C1")))
        .expect("plain data");
    assert_eq!(
        view["private_metadata"],
        r#"{"channel":"C1","value":"r-7Q2MK4XN.abababababab"}"#
    );
}

/// The buttons of a message: action, value, whether it asks again.
fn buttons(message: &Message) -> Vec<(String, String, bool)> {
    let mut found = vec![];
    visit(&message.json(), &mut |object| {
        if object["type"] == "button" {
            let text = |key: &str| object[key].as_str().unwrap_or_default().to_owned();
            found.push((text("action_id"), text("value"), object["confirm"].is_object()));
        }
    });
    found
}

#[test]
fn buttons_carry_run_and_digest_and_only_a_yes_asks_again() {
    let card = |phase| notice(&NoticeBody::Run(Box::new(view("", phase))), at(70));
    let value = || "r-7Q2MK4XN.abababababab".to_owned();
    assert_eq!(
        buttons(&card(Phase::AwaitingApproval)),
        [(APPROVE.into(), value(), true), (DENY.into(), value(), false)]
    );
    for phase in [Phase::Baseline, Phase::Steps, Phase::Recovery] {
        assert_eq!(buttons(&card(phase)), [(ABORT.into(), value(), false)]);
    }
    assert_eq!(buttons(&card(Phase::Aborting)), []);
    let ended = over("", verdict("", Outcome::Completed, HypothesisResult::Held, ""));
    assert_eq!(buttons(&notice(&NoticeBody::Run(Box::new(ended)), at(0))), []);
    assert_eq!(
        buttons(&reply(&Reply::Run(Box::new(view("", Phase::Steps))), at(0))),
        [],
        "an answer vanishes"
    );
    assert_eq!(
        buttons(&reply(&Reply::Status(Box::new(status_of("", false))), at(0))),
        [(HALT.into(), "all".into(), false)]
    );
    assert_eq!(
        buttons(&reply(&Reply::Status(Box::new(status_of("", true))), at(0))),
        []
    );
}

#[test]
fn the_notification_says_the_verdict_first() {
    #[track_caller]
    fn check(body: NoticeBody, expected: &str) {
        assert!(
            notice(&body, at(70)).text.starts_with(expected),
            "{}",
            notice(&body, at(70)).text
        );
    }
    let run = |view: RunView| NoticeBody::Run(Box::new(view));
    let ended = |outcome, hypothesis, reason: &str| run(over("", verdict("", outcome, hypothesis, reason)));
    check(
        run(view("", Phase::AwaitingApproval)),
        "Approval needed: kill *2 of 6* tasks of `/shop/cart` in `prod`, run `r-7Q2MK4XN`, asked by <@U1ASKS>",
    );
    check(
        run(view("", Phase::Steps)),
        "Running: kill 2 tasks of /shop/cart, phase steps, 1 of 2, kills 1 of 2",
    );
    check(
        run(aborted("", causes("")[1].clone(), Phase::Aborting)),
        "Aborting: kill 2 tasks of /shop/cart: probe checkout crossed its hard line",
    );
    check(
        ended(Outcome::Completed, HypothesisResult::Held, ""),
        "Held: kill 2 tasks of /shop/cart. Held. 2 kills",
    );
    check(
        ended(Outcome::Completed, HypothesisResult::Disproved, ""),
        "Disproved:",
    );
    check(
        ended(Outcome::Completed, HypothesisResult::Inconclusive, ""),
        "Inconclusive:",
    );
    check(
        ended(Outcome::Completed, HypothesisResult::NotTested, ""),
        "Rehearsed:",
    );
    check(
        ended(Outcome::Aborted, HypothesisResult::Disproved, "hard"),
        "Aborted, disproved:",
    );
    check(
        ended(Outcome::Aborted, HypothesisResult::Inconclusive, "manual"),
        "Aborted:",
    );
    check(
        ended(Outcome::Skipped, HypothesisResult::NotTested, "expired"),
        "Expired:",
    );
    check(
        ended(Outcome::Skipped, HypothesisResult::NotTested, "not steady"),
        "Skipped:",
    );
    check(
        NoticeBody::Halted {
            halt: halt(""),
            open: vec![],
        },
        "Halted by <@U3STOP>: checkout is down",
    );
    check(
        NoticeBody::Resumed {
            by: "<@U4LIFT>".into(),
            reason: "over".into(),
        },
        "Resumed by <@U4LIFT>: over",
    );
    check(
        NoticeBody::Verdict(Box::new(report_of(""))),
        "Held. 2 kills of 1 of 6 tasks.",
    );
}

#[test]
fn silence_never_reads_as_no() {
    let line = |answer| was_it("", answer, vec![]).text;
    assert!(line(WasIt::CannotTell).starts_with("Cannot tell: the last entry"));
    assert!(line(WasIt::Perhaps).starts_with("Perhaps: one kill"));
    assert!(line(WasIt::Yes).starts_with("Yes: killed"));
    let empty = was_it("", WasIt::CannotTell, vec![]).json().to_string();
    assert!(!empty.contains("Nothing else by us"));
}

#[test]
fn a_rehearsal_is_called_one() {
    let mut view = view("", Phase::Steps);
    view.run.plan.mode = Mode::Rehearse;
    view.run.intents[0].sham = true;
    let text = shown(&notice(&NoticeBody::Run(Box::new(view)), at(70)));
    assert!(text.contains("# Rehearsing: rehearse killing 2 tasks"), "{text}");
    assert!(text.contains("0 killed, 1 of 2 rehearsed"), "{text}");
}

#[test]
fn what_a_parser_says_keeps_its_code_and_loses_the_format_of_others() {
    assert_eq!(
        misread("There is no command `*x*<!here>`. Write `/heartbreak help`.").text,
        "There is no command `*x*&lt;!here&gt;`. Write `/heartbreak help`."
    );
}

/// A message as lines: `#` a header, `|` a field, `[…]` a button, `~` the foot.
fn shown(message: &Message) -> String {
    let json = message.json();
    let text = |v: &Value| v["text"].as_str().unwrap_or_default().to_owned();
    let mut lines = vec![format!("({})", message.text)];
    for block in json["blocks"].as_array().expect("blocks") {
        let each = |key: &str| block[key].as_array().cloned().unwrap_or_default();
        match block["type"].as_str().expect("a type") {
            "header" => lines.push(format!("# {}", text(&block["text"]))),
            "context" => lines.extend(each("elements").iter().map(|e| format!("~ {}", text(e)))),
            "actions" => lines.extend(
                each("elements")
                    .iter()
                    .map(|e| format!("[{}] {}", text(&e["text"]), e["value"])),
            ),
            _ => {
                lines.extend(block["text"].is_object().then(|| text(&block["text"])));
                lines.extend(
                    each("fields")
                        .iter()
                        .map(|f| format!("| {}", text(f).replacen('\n', " ", 1))),
                );
            }
        }
    }
    lines.join("\n")
}

#[test]
fn the_request_for_approval_reads_so() {
    insta::assert_snapshot!(shown(&notice(&NoticeBody::Run(Box::new(view("", Phase::AwaitingApproval))), at(70))), @r##"
    (Approval needed: kill *2 of 6* tasks of `/shop/cart` in `prod`, run `r-7Q2MK4XN`, asked by <@U1ASKS>, open until <!date^1790001800^{date_short_pretty} {time_secs}|2026-09-21 14:43:20 UTC>. To answer by text: /heartbreak approve r-7Q2MK4XN abababababab)
    # Approval needed: kill 2 tasks of /shop/cart
    <@U1ASKS> asks to kill *2 of 6* tasks of `/shop/cart` in `prod`.
    *These would die, in this order*
    • step 1: `shop_cart.instance-1._app.1` on `a1`
    • step 2: `shop_cart.instance-2._app.1` on `a2`
    | *Blast radius* at most 1 down at once, never fewer than 2 serving
    | *Serving when planned* 6 of 6
    | *Lasts* at most 15m
    | *Gates* 12 of 13 say yes at <!date^1789999970^{time_secs}|2026-09-21 14:12:50 UTC>
    ? unknown, outage: Alertmanager did not answer
    all 16 are asked before each kill
    | *Stops itself if* `checkout` has more than 1 % bad, or 50 % in one sample
    a probe misses 5 samples in a row
    | *Approvals* 0 of 1 from <@U2SAYS>, <!subteam^S1TEAM>
    [Approve] "r-7Q2MK4XN.abababababab"
    [Deny…] "r-7Q2MK4XN.abababababab"
    ~ `r-7Q2MK4XN` · plan `abababababab` · policy `cart` · expires <!date^1790001800^{time} ({ago})|2026-09-21 14:43:20 UTC> · whoever asked can't approve
    "##);
}

#[test]
fn the_request_for_an_outage_names_every_task_by_app_and_agent() {
    let mut view = view("", Phase::AwaitingApproval);
    view.run.plan = outage("", 3);
    let shown = shown(&notice(&NoticeBody::Run(Box::new(view)), at(70)));
    for line in [
        "# Approval needed: kill 6 tasks on rack 7 of /shop/app0, /shop/app1 and /shop/app2",
        "<@U1ASKS> asks to kill *6 of 18* tasks, all on `rack 7`, of `/shop/app0`, `/shop/app1` and 1 more apps in `prod`.",
        "• `/shop/app0` on `a1`: `app0.instance-1`, `app0.instance-2`",
        "• `/shop/app2` on `a1`: `app2.instance-1`, `app2.instance-2`",
        "| *Blast radius* of each app at most 2 tasks and 50 % down at once, never fewer than 2 serving; at most 3 apps and 6 tasks in all",
        "| *Serving when planned* `/shop/app0` 6 of 6",
    ] {
        assert!(shown.contains(line), "{line}\nis not in\n{shown}");
    }
}

#[test]
fn the_running_card_reads_so() {
    insta::assert_snapshot!(shown(&notice(&NoticeBody::Run(Box::new(view("", Phase::Steps))), at(70))), @r##"
    (Running: kill 2 tasks of /shop/cart, phase steps, 1 of 2, kills 1 of 2)
    # Running: kill 2 tasks of /shop/cart
    Phase *steps, 1 of 2* since <!date^1790000060^{date_short_pretty} {time_secs}|2026-09-21 14:14:20 UTC>. the replacement of step 1
    Asked by <@U1ASKS>, approved by <@U2SAYS>.
    | *Evidence for an abort* ▰▰▰▱▱▱▱▱▱▱ 37 %
    | *Evidence that the control group does better* ▰▱▱▱▱▱▱▱▱▱ 12 %
    | *Serving now* 5 of 6 (floor 2)
    | *Kills* 1 of 2
    | *Stops itself if* `checkout` has more than 1 % bad, or 50 % in one sample
    a probe misses 5 samples in a row
    *Probes*
    • checkout: 0.4 % bad
    [Abort] "r-7Q2MK4XN.abababababab"
    ~ `r-7Q2MK4XN` · plan `abababababab` · as of <!date^1790000070^{time_secs}|2026-09-21 14:14:30 UTC>; when that is older than a minute, `/heartbreak status` knows more
    "##);
}

#[test]
fn the_aborted_card_reads_so() {
    let view = aborted("", causes("")[1].clone(), Phase::Ended);
    insta::assert_snapshot!(shown(&notice(&NoticeBody::Run(Box::new(view)), at(70))), @r##"
    (Aborted, disproved: kill 2 tasks of /shop/cart. Held. 2 kills of 1 of 6 tasks.)
    # Aborted, disproved: kill 2 tasks of /shop/cart
    Held. 2 kills of 1 of 6 tasks.
    Stayed within limits: yes (peak 0.4 %, limit 1 %).
    Caused by the kill: not known yet, pair 1 of 5.
    | *What tripped* probe `checkout` crossed its hard line
    | *Measured* 12 of 20 bad in one sample
    | *Limit* 50 % bad in one sample
    | *Breach to fence* 0.84 ms
    | *Since* <!date^1790000120^{date_short_pretty} {time_secs}|2026-09-21 14:15:20 UTC>
    | *Kills* 2 of 2
    | *Ran* 4m, from <!date^1790000060^{date_short_pretty} {time_secs}|2026-09-21 14:14:20 UTC>
    | *Asked by* <@U1ASKS>, approved by <@U2SAYS>
    *Still down because of us*
    • `r-7Q2MK4XN/2` (1 asked to die): *a person has to look:* no effect seen
    *Report*
    `/var/lib/heartbreak/reports/r-7Q2MK4XN/report.html`
    ~ `r-7Q2MK4XN` · plan `abababababab` · policy `cart` · ended <!date^1790000300^{date_short_pretty} {time_secs}|2026-09-21 14:18:20 UTC>
    "##);
}

#[test]
fn the_denied_card_reads_so() {
    let mut view = over(
        "",
        verdict("", Outcome::Skipped, HypothesisResult::NotTested, "denied"),
    );
    view.run.denied = Some(Denial {
        by: person_of("U2SAYS"),
        reason: "not on a *Friday* <!here>".into(),
        at: at(40),
    });
    view.run.started = None;
    view.run.intents.clear();
    insta::assert_snapshot!(shown(&notice(&NoticeBody::Run(Box::new(view)), at(70))), @r##"
    (Denied: kill 2 tasks of /shop/cart. <@U2SAYS> said no: not on a ∗Friday∗ &lt;!here&gt;)
    # Denied: kill 2 tasks of /shop/cart
    <@U2SAYS> said no <!date^1790000040^{date_short_pretty} {time_secs}|2026-09-21 14:14:00 UTC>. Nothing was killed.
    >not on a ∗Friday∗ &lt;!here&gt;
    Held. 2 kills of 1 of 6 tasks.
    | *Kills* 0 of 2
    | *Asked by* <@U1ASKS>
    *Report*
    `/var/lib/heartbreak/reports/r-7Q2MK4XN/report.html`
    ~ `r-7Q2MK4XN` · plan `abababababab` · policy `cart` · ended <!date^1790000300^{date_short_pretty} {time_secs}|2026-09-21 14:18:20 UTC>
    "##);
}

#[test]
fn the_verdict_reads_so() {
    insta::assert_snapshot!(shown(&notice(&NoticeBody::Verdict(Box::new(report_of(""))), at(70))), @r##"
    (Held. 2 kills of 1 of 6 tasks. Run `r-7Q2MK4XN`, kill 2 tasks of /shop/cart.)
    <@U1ASKS> Held. 2 kills of 1 of 6 tasks.
    Stayed within limits: yes (peak 0.4 %, limit 1 %).
    Caused by the kill: not known yet, pair 1 of 5.
    | *Kills after the breach* 0
    *Recovery after each kill*
    • step 1: gone after 1.0 s, replaced after 4.0 s, full capacity after 20.0 s, steady: not seen
    *What probes saw while armed*
    • `checkout`: 12 of 3000 bad, worst sample 4.0 %, 0 without an answer
    *What this run could not have seen*
    • Anything rarer than 1 in 300.
    ~ `r-7Q2MK4XN` · plan `abababababab` · began <!date^1790000000^{date_short_pretty} {time_secs}|2026-09-21 14:13:20 UTC> · ended <!date^1790000300^{date_short_pretty} {time_secs}|2026-09-21 14:18:20 UTC> · `/heartbreak report r-7Q2MK4XN` shows it again
    "##);
}

#[test]
fn a_halt_reads_so() {
    let body = NoticeBody::Halted {
        halt: halt(""),
        open: vec!["r-7Q2MK4XN/1 of /shop/cart: accepted".into()],
    };
    insta::assert_snapshot!(shown(&notice(&body, at(70))), @r##"
    (Halted by <@U3STOP>: checkout is down)
    # Halted: nothing is killed until a person resumes
    <@U3STOP> stopped everything <!date^1790000010^{date_short_pretty} {time_secs}|2026-09-21 14:13:30 UTC>.
    >checkout is down
    *Still open:*
    • r-7Q2MK4XN/1 of /shop/cart: accepted
    ~ An admin lifts it with `/heartbreak resume REASON`. Aborted runs stay aborted.
    "##);
}

#[test]
fn the_status_reads_so() {
    insta::assert_snapshot!(shown(&reply(&Reply::Status(Box::new(status_of("", false))), at(70))), @r##"
    (Armed, not halted.)
    *Armed, not halted.*
    *Open runs*
    • `r-7Q2MK4XN` `/shop/cart`: steps, kills 1 of 2, planned <!date^1790000000^{date_short_pretty} {time_secs}|2026-09-21 14:13:20 UTC>; the replacement of step 1
    *Down because of us*
    • r-7Q2MK4XN/1 of /shop/cart: accepted by Marathon
    *Clusters*
    • `prod`: seen whole <!date^1789999995^{date_short_pretty} {time_secs}|2026-09-21 14:13:15 UTC>, 12 apps
    | *Policies* 1, 0 of them not active
    | *Messages waiting for Slack* 2; what the channel shows may be old
    [Halt everything] "all"
    ~ As of <!date^1790000000^{date_short_pretty} {time_secs}|2026-09-21 14:13:20 UTC> · version `0.1.0`
    "##);
}

#[test]
fn was_it_you_reads_so() {
    insta::assert_snapshot!(shown(&was_it("", WasIt::Yes, vec![item("", 1), item("", 2)])), @r##"
    (Yes: killed 1 of 6 tasks of /shop/cart at 14:03:11)
    *Yes: killed 1 of 6 tasks of /shop/cart at 14:03:11*
    *All that we did in the cluster in the last 30 minutes, newest first*
    • <!date^1790000002^{date_short_pretty} {time_secs}|2026-09-21 14:13:22 UTC> *kill* `r-7Q2MK4XN` `/shop/cart`: killed 1 of 6 tasks
    • <!date^1790000001^{date_short_pretty} {time_secs}|2026-09-21 14:13:21 UTC> *kill* `r-7Q2MK4XN` `/shop/cart`: killed 1 of 6 tasks
    [Halt everything] "all"
    ~ As of <!date^1790000000^{date_short_pretty} {time_secs}|2026-09-21 14:13:20 UTC>
    "##);
}

#[test]
fn why_reads_so() {
    insta::assert_snapshot!(shown(&reply(&Reply::Why(Box::new(why_of(""))), at(70))), @r##"
    (Nothing runs: no window is open)
    *Nothing runs: no window is open*
    *Policy cart*
    Open run `r-7Q2MK4XN`
    Next due <!date^1790003600^{date_short_pretty} {time_secs}|2026-09-21 15:13:20 UTC>
    ? unknown, outage: Alertmanager did not answer
    ✗ NO, approval: 0 of 1 said yes
    ✓ yes, halt: fine
    ✓ yes, armed: fine
    ✓ yes, leadership: fine
    ✓ yes, clock: fine
    ✓ yes, freshness: fine
    ✓ yes, policy: fine
    ✓ yes, window: fine
    ✓ yes, target: fine
    ✓ yes, budget: fine
    ✓ yes, blast radius: fine
    ✓ yes, deployment: fine
    ✓ yes, overlap: fine
    ✓ yes, steady state: fine
    ✓ yes, probe freshness: fine
    Left out: 1
    • `/shop/pay`: not opted in
    ~ `cart`, as of <!date^1790000000^{date_short_pretty} {time_secs}|2026-09-21 14:13:20 UTC>
    "##);
}

#[test]
fn help_reads_so() {
    insta::assert_snapshot!(shown(&help()), @r##"
    (/heartbreak was-it-you, halt, abort, status, why, …: what you can ask)
    *Heartbreak* finds out which services can lose tasks, and stops itself when one can't.
    *What you can ask*
    `/heartbreak was-it-you [APP, HOST or TASK]`: whether we did it
    `/heartbreak halt [REASON]`: stop everything until an admin resumes
    `/heartbreak abort [RUN] [REASON]`: end one run, or every open one
    `/heartbreak status`: what is open, armed, halted or down because of us
    `/heartbreak why POLICY or APP`: why nothing happens, or whether it would
    `/heartbreak policies`: what is allowed, and what is next
    `/heartbreak plan POLICY`: what would be done now; changes nothing
    `/heartbreak run POLICY`: ask for a run now
    `/heartbreak runs [NUMBER]`: the latest runs
    `/heartbreak show RUN`: one run, whole
    `/heartbreak report RUN`: how a run ended and what it taught
    `/heartbreak timeline [30m, 2h, 7d] [APP]`: what we did
    `/heartbreak history APP`: what the experiments on an app have taught
    `/heartbreak forecast [POLICY]`: when runs will begin in the next 30 days
    `/heartbreak approve RUN DIGEST`: say yes to exactly this plan
    `/heartbreak deny RUN REASON`: say no to a plan
    `/heartbreak resume [REASON]`: lift a halt (admins)
    `/heartbreak clear RUN/STEP REASON`: free a kill that only a person can judge (admins)
    `/heartbreak help`: this list
    ~ Full members of the workspace may look, stop and ask for runs; the policy names who approves; admins resume.
    "##);
}
