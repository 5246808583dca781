//! What people see, without colours: a changed snapshot is a change of product.

use super::*;
use crate::model::approval::Approval;
use crate::model::command::{Person, Role as PersonRole, Via};
use crate::model::experiment::*;
use crate::model::gate::{Answer, GateAnswer, GateName, Judgement};
use crate::model::halt::Halt;
use crate::model::ids::IntentId;
use crate::model::plan::{Plan, PlannedApp, PlannedOutage, Step, Target};
use crate::model::policy::{ApprovalMode, ApprovalRule, Attribute, BlastRadius, Mode, RateLimit};
use crate::model::run::{Intent, IntentState, Phase, Run};
use crate::model::verdict::{Difference, HypothesisResult, Outcome, Verdict};
use crate::model::view::*;
use std::time::Duration;

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_442_400 + second, 0).unwrap()
}

fn out() -> Out {
    Out {
        format: Format::Table,
        pen: Pen {
            colour: false,
            unicode: true,
        },
        now: at(0),
    }
}

fn ana() -> Person {
    Person {
        id: "U012AB3CD".into(),
        name: "ana".into(),
        via: Via::Slack,
        role: PersonRole::Operator,
    }
}

pub(in crate::cli) fn plan() -> Plan {
    Plan {
        run: "r-7Q2MK4XN".into(),
        policy: "cart".into(),
        policy_digest: "0".repeat(64).as_str().into(),
        team: "shop".into(),
        cluster: "prod".into(),
        framework_id: "f-1".into(),
        mode: Mode::Enforce,
        apps: PlannedApp {
            app: "/shop/cart".into(),
            version: "v".into(),
            instances: 4,
            healthy: 4,
        }
        .into(),
        outage: None,
        requested_by: Some(ana()),
        steps: vec![Step {
            number: 1,
            targets: vec![Target {
                app: "/shop/cart".into(),
                task: "shop_cart.instance-1._app.1".into(),
                instance: "shop_cart.instance-1".into(),
                host: "a1".into(),
                pod: false,
                agent: None,
            }],
            slot: None,
        }],
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
            per: Duration::from_secs(3600),
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
                "checkout",
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
            users: ["U012AB3CD".into()].into(),
            groups: Default::default(),
            quorum: 1,
            expires: Duration::from_secs(1800),
        },
        channel: None,
        made_at: at(-600),
        remarks: vec!["/shop/cart has no owner in owners.yaml".into()],
    }
}

fn answers() -> Vec<GateAnswer> {
    let answer = |gate, answer| GateAnswer { gate, answer };
    vec![
        answer(
            GateName::Window,
            Answer::Refuse("no window is open; next Mon 09:30 CET".into()),
        ),
        answer(GateName::Halt, Answer::Pass("not halted".into())),
        answer(
            GateName::Outage,
            Answer::Unknown("Alertmanager did not answer".into()),
        ),
        answer(GateName::BlastRadius, Answer::Pass("1 of 4 may be down".into())),
    ]
}

pub(in crate::cli) fn judgement() -> Judgement {
    Judgement {
        run: "r-7Q2MK4XN".into(),
        digest: "0".into(),
        step: 1,
        at: at(-30),
        answers: answers(),
    }
}

pub(in crate::cli) fn run_view() -> RunView {
    let plan = plan();
    let target = plan.steps[0].targets[0].clone();
    let run = Run {
        id: "r-7Q2MK4XN".into(),
        digest: "ab".repeat(32).as_str().into(),
        phase: Phase::Ended,
        phase_since: at(-60),
        approvals: vec![Approval {
            by: ana(),
            digest: "ab".repeat(32).as_str().into(),
            at: at(-500),
        }],
        denied: None,
        approval_expires: Some(at(1200)),
        started: Some(at(-480)),
        accepted: Default::default(),
        intents: vec![Intent {
            id: IntentId::of(&"r-7Q2MK4XN".into(), 1),
            run: "r-7Q2MK4XN".into(),
            step: 1,
            targets: vec![target],
            at: at(-400),
            deadline: at(-390),
            sham: false,
            state: IntentState::Resolved {
                why: "4 of 4 healthy".into(),
                at: at(-350),
                tasks: vec![],
            },
        }],
        abort: None,
        judged: Some(judgement()),
        verdict: Some(Verdict {
            outcome: Outcome::Completed,
            hypothesis: HypothesisResult::Held,
            reason: String::new(),
            sentence: "Held: /shop/cart stayed within its limits when 1 of 4 tasks was killed.".into(),
            lines: vec!["Stayed within limits: yes (peak 0.4 %, limit 1 %).".into()],
            limits: vec!["failures shorter than 1 s".into()],
            design: "weak (before/after)".into(),
            differences: vec![Difference {
                probe: "checkout".into(),
                control_bad: 0,
                control_observed: 60,
                experiment_bad: 1,
                experiment_observed: 250,
                difference: 0.004,
                low: -0.01,
                high: 0.009,
                margin: 0.01,
                says: HypothesisResult::Held,
                pairs: vec![],
                chance: None,
                smallest: None,
                latency: None,
            }],
            about_design: String::new(),
            pairs: None,
        }),
        ended: Some(at(-60)),
        plan,
    };
    RunView {
        run,
        evidence_percent: None,
        difference_percent: None,
        probes: vec![],
        healthy: Some(4),
        waiting: None,
        reports: vec!["/var/lib/heartbreak/reports/r-7Q2MK4XN/report.html".into()],
    }
}

pub(in crate::cli) fn policy_view() -> PolicyView {
    PolicyView {
        name: "cart".into(),
        team: "shop".into(),
        mode: "enforce".into(),
        cluster: "prod".into(),
        state: "active".into(),
        allows: "1 task of /shop/**, Mon to Thu 09:30 to 15:30".into(),
        next: Some(at(7200)),
        blocked: Some(answers().remove(0)),
        last_run: Some("r-7Q2MK4XN".into()),
    }
}

pub(in crate::cli) fn status() -> Status {
    Status {
        at: at(-1),
        version: "0.1.0".into(),
        armed: true,
        halt: Some(Halt {
            by: ana(),
            reason: "checkout alert".into(),
            since: at(-300),
        }),
        clusters: vec![ClusterView {
            name: "prod".into(),
            seen: Some(at(-4)),
            version: Some("1.11".into()),
            framework_id: None,
            apps: 12,
            gaps: vec![],
        }],
        policies: vec![policy_view()],
        open_runs: vec![],
        charged: vec!["r-7Q2MK4XN/1: 1 task of /shop/cart, replacement staging".into()],
        outbox_waiting: 0,
    }
}

#[test]
fn status_says_first_that_it_is_halted() {
    insta::assert_snapshot!(lists::status(&status(), &out()), @r"
    HALTED 5 min ago by ana: checkout alert

    As of:              2026-11-23 13:59:59 UTC (1 s ago)
    Version:            0.1.0
    Waiting for Slack:  0

    Clusters
    NAME   SEEN      MARATHON   APPS   NOT SEEN
    prod   4 s ago   1.11       12     -

    Policies
    NAME   TEAM   MODE      STATE    NEXT     BLOCKED BY
    cart   shop   enforce   active   in 2 h   window: no window is open; next Mon 09:30 CET

    Open runs
    No runs.

    Counts as down because of us
    r-7Q2MK4XN/1: 1 task of /shop/cart, replacement staging
    ");
}

#[test]
fn policies_and_runs_are_tables() {
    insta::assert_snapshot!(lists::policies(&[policy_view()], &out()), @r"
    NAME   TEAM   MODE      STATE    NEXT     BLOCKED BY
    cart   shop   enforce   active   in 2 h   window: no window is open; next Mon 09:30 CET
    ");
    insta::assert_snapshot!(lists::runs(&[run_view()], &out()), @r"
    RUN          POLICY   APP          PHASE   KILLS    VERDICT           PLANNED
    r-7Q2MK4XN   cart     /shop/cart   ended   1 of 1   completed, held   10 min ago
    ");
    let wide = Out {
        format: Format::Wide,
        ..out()
    };
    insta::assert_snapshot!(lists::policies(&[policy_view()], &wide), @r"
    NAME   TEAM   MODE      STATE    NEXT     BLOCKED BY                                      CLUSTER   LAST RUN     ALLOWS
    cart   shop   enforce   active   in 2 h   window: no window is open; next Mon 09:30 CET   prod      r-7Q2MK4XN   1 task of /shop/**, Mon to Thu 09:30 to 15:30
    ");
    insta::assert_snapshot!(lists::runs(&[run_view()], &wide), @r"
    RUN          POLICY   APP          PHASE   KILLS    VERDICT           PLANNED      MODE      DIGEST         HEALTHY   WAITS FOR
    r-7Q2MK4XN   cart     /shop/cart   ended   1 of 1   completed, held   10 min ago   enforce   abababababab   4 of 4    -
    ");
}

#[test]
fn an_outage_shows_every_task_under_its_agent_and_app() {
    let mut dark = plan();
    let target = |app: &str, n: u32| Target {
        app: app.into(),
        task: format!("{app}.instance-{n}").trim_start_matches('/').into(),
        instance: "i".into(),
        host: format!("a{}", n / 2),
        pod: false,
        agent: Some(format!("S{}", n / 2).as_str().into()),
    };
    let mut pay = dark.apps.first.clone();
    pay.app = "/shop/pay".into();
    dark.apps.others.push(pay);
    dark.outage = Some(PlannedOutage {
        attribute: Attribute::Zone,
        value: "z1".into(),
        agents: vec![],
    });
    let (cart, pay) = ("/shop/cart", "/shop/pay");
    dark.steps = vec![
        Step {
            number: 1,
            targets: vec![target(cart, 2), target(cart, 3), target(pay, 2)],
            slot: None,
        },
        Step {
            number: 2,
            targets: vec![target(pay, 4)],
            slot: None,
        },
    ];
    dark.blast_radius.max_tasks_in_all = Some(4);
    assert_eq!(
        plan::headline(&dark),
        "Kills 4 tasks on zone z1 of /shop/cart and /shop/pay, 8 of 8 healthy."
    );
    let text = plan::body(&dark, None);
    assert!(
        text.contains("Apps:           /shop/cart (4 of 4 healthy), /shop/pay (4 of 4 healthy)"),
        "{text}"
    );
    assert!(text.contains("1 app, 4 tasks in all"), "{text}");
    let steps = text
        .split("Steps:\n")
        .nth(1)
        .and_then(|t| t.split("\nMust stay true").next());
    assert_eq!(
        steps.unwrap(),
        "  1.  a1, agent S1: /shop/cart\n        shop/cart.instance-2\n        shop/cart.instance-3\n      \
         a1, agent S1: /shop/pay\n        shop/pay.instance-2\n  2.  a2, agent S2: /shop/pay\n        shop/pay.instance-4"
    );
}

#[test]
fn a_plan_shows_steps_tasks_limits_gates_and_digest() {
    let view = PlanView {
        plan: Some(plan()),
        digest: Some("ab".repeat(32).as_str().into()),
        none: None,
        left_out: vec![Exclusion {
            what: "/shop/pay".into(),
            why: "not opted in".into(),
        }],
        judgement: Some(judgement()),
    };
    insta::assert_snapshot!(plan::plan(&view, &out()), @r"
    Kills 1 task of /shop/cart, 4 of 4 healthy.

    Policy:         cart (team shop)
    Cluster:        prod
    Mode:           enforce
    Digest:         abababababababababababababababababababababababababababababababab
    Takes at most:  10 min
    Between steps:  60 s at least
    Blast radius:   1 task, 25 %, 2 healthy left, 1 app
    Rate:           4 kills per 60 min, 1 at once
    Approval:       1 of U012AB3CD; stands 30 min
    Steps:
      1.  shop_cart.instance-1._app.1 on a1
    Must stay true:
      checkout: at most 1 % bad, aborts (tcp cart:80)
    Note: /shop/cart has no owner in owners.yaml

    The gates say no: window, no window is open; next Mon 09:30 CET
      ✓ halt          not halted
      ✗ window        no window is open; next Mon 09:30 CET
      ✓ blast radius  1 of 4 may be down
      ? outage        Alertmanager did not answer

      left out: 1
        /shop/pay: not opted in

    Nothing was changed.
    ");
}

#[test]
fn no_plan_says_why() {
    let view = PlanView {
        plan: None,
        digest: None,
        none: Some("no app is opted in".into()),
        left_out: vec![],
        judgement: None,
    };
    insta::assert_snapshot!(plan::plan(&view, &out()), @r"
    No plan: no app is opted in

    Nothing was changed.
    ");
}

#[test]
fn a_judgement_that_misses_gates_never_reads_as_yes() {
    let only = vec![GateAnswer {
        gate: GateName::Halt,
        answer: Answer::Pass("not halted".into()),
    }];
    let view = PlanView {
        plan: None,
        digest: None,
        none: None,
        left_out: vec![],
        judgement: Some(Judgement {
            answers: only,
            ..judgement()
        }),
    };
    assert!(plan::plan(&view, &out()).contains("counts as no"));
}

pub(in crate::cli) fn why_view() -> Why {
    Why {
        subject: "cart".into(),
        at: at(-2),
        lead: "Not now: no window is open; next Mon 09:30 CET.".into(),
        policies: vec![WhyPolicy {
            policy: "cart".into(),
            run: None,
            none: None,
            answers: answers(),
            left_out: (1..=12)
                .map(|n| Exclusion {
                    what: format!("/shop/app-{n}"),
                    why: "not opted in".into(),
                })
                .collect(),
            next: Some(at(7200)),
        }],
    }
}

#[test]
fn why_leads_with_what_matters_most_and_shows_every_gate_in_order() {
    insta::assert_snapshot!(why::why(&why_view(), &out()), @r"
    Not now: no window is open; next Mon 09:30 CET.
    cart, as of 2026-11-23 13:59:58 UTC (2 s ago)

    Policy cart
      next due: 2026-11-23 16:00:00 UTC (in 2 h)
      ✓ halt          not halted
      ✗ window        no window is open; next Mon 09:30 CET
      ✓ blast radius  1 of 4 may be down
      ? outage        Alertmanager did not answer
      left out: 12
        /shop/app-1: not opted in
        /shop/app-2: not opted in
        /shop/app-3: not opted in
        /shop/app-4: not opted in
        /shop/app-5: not opted in
        /shop/app-6: not opted in
        /shop/app-7: not opted in
        /shop/app-8: not opted in
        /shop/app-9: not opted in
        /shop/app-10: not opted in
        and 2 more; all of them with -o wide
    ");
}

#[test]
fn without_utf8_the_signs_are_words() {
    let plain = Out {
        pen: Pen {
            colour: false,
            unicode: false,
        },
        ..out()
    };
    insta::assert_snapshot!(why::gates(&answers(), plain.pen), @r"
    yes halt          not halted
    NO  window        no window is open; next Mon 09:30 CET
    yes blast radius  1 of 4 may be down
    ??  outage        Alertmanager did not answer
    ");
}

#[test]
fn describe_tells_the_whole_story() {
    insta::assert_snapshot!(run::describe(&run_view(), &out()), @r"
    Run r-7Q2MK4XN: ended
    Kills 1 task of /shop/cart, 4 of 4 healthy.

    Planned:              2026-11-23 13:50:00 UTC (10 min ago)
    Asked by:             ana
    In this phase since:  2026-11-23 13:59:00 UTC (60 s ago)
    Healthy now:          4 of 4
    Kills:                1 of 1
    Ended:                2026-11-23 13:59:00 UTC (60 s ago)

    Plan
    Policy:         cart (team shop)
    Cluster:        prod
    Mode:           enforce
    Digest:         abababababababababababababababababababababababababababababababab
    Takes at most:  10 min
    Between steps:  60 s at least
    Blast radius:   1 task, 25 %, 2 healthy left, 1 app
    Rate:           4 kills per 60 min, 1 at once
    Approval:       1 of U012AB3CD; stands 30 min
    Steps:
      1.  shop_cart.instance-1._app.1 on a1
    Must stay true:
      checkout: at most 1 % bad, aborts (tcp cart:80)
    Note: /shop/cart has no owner in owners.yaml

    Approval
      yes by ana through Slack, 2026-11-23 13:51:40 UTC (8 min ago), to abababababab

    Kills
      r-7Q2MK4XN/1 2026-11-23 13:53:20 UTC (6 min ago)
        shop_cart.instance-1._app.1 on a1
        over after 50 s: 4 of 4 healthy

    Gates before step 1, 30 s ago
      ✓ halt          not halted
      ✗ window        no window is open; next Mon 09:30 CET
      ✓ blast radius  1 of 4 may be down
      ? outage        Alertmanager did not answer

    Verdict
    Held: /shop/cart stayed within its limits when 1 of 4 tasks was killed.
    Stayed within limits: yes (peak 0.4 %, limit 1 %).
      checkout: bad 0 of 60 in control, 1 of 250 in experiment; held
    What this run could not have seen:
      • failures shorter than 1 s

    Report
      /var/lib/heartbreak/reports/r-7Q2MK4XN/report.html
    ");
}

#[test]
fn progress_is_one_line() {
    let mut view = run_view();
    view.run.phase = Phase::Baseline;
    view.waiting = Some("baseline, 20 s\nto go".into());
    insta::assert_snapshot!(run::progress(&view), @r"r-7Q2MK4XN baseline, kills 1 of 1, healthy 4 of 4, baseline, 20 s�to go");
}

#[test]
fn a_kill_that_was_not_sent_is_not_counted() {
    let mut view = run_view();
    view.run.intents[0].state = IntentState::NotSent {
        why: "halted".into(),
        at: at(-400),
    };
    assert_eq!(run::kills(&view.run), "0 of 1");
}

#[test]
fn cannot_tell_never_reads_as_no() {
    let answer = |answer, line: &str| WasItYou {
        answer,
        at: at(0),
        line: line.into(),
        items: vec![],
    };
    let cannot = why::was_it_you(
        &answer(WasIt::CannotTell, "Cannot tell: last entry 02:51."),
        &out(),
    );
    assert!(!cannot.contains("Nothing"), "{cannot}");
    insta::assert_snapshot!(why::was_it_you(&answer(WasIt::No, "No: nothing by us on /shop/cart."), &out()), @r"
    No: nothing by us on /shop/cart.
    As of 2026-11-23 14:00:00 UTC (now)

    Nothing else by us in the cluster in the last 30 minutes.
    ");
}

#[test]
fn a_stop_answers_what_is_still_open() {
    let reply = Reply::Stopped {
        done: "Halted 14:00:00 by ana.".into(),
        open: vec!["1 request unanswered".into()],
    };
    insta::assert_snapshot!(lists::reply(&reply, &out()), @r"
    Halted 14:00:00 by ana.
    Still open:
      1 request unanswered
    ");
}

#[test]
fn a_terminal_is_never_made_to_obey_what_others_wrote() {
    let item = TimelineItem {
        at: at(-90),
        kind: "halt".into(),
        run: None,
        app: None,
        other_apps: vec![],
        what: "by \x1b[31mmallory\u{202e}\x07".into(),
    };
    let text = why::timeline(&[item], &out());
    assert!(
        !text.contains('\x1b') && !text.contains('\x07') && !text.contains('\u{202e}'),
        "{text:?}"
    );
}

#[test]
fn json_and_yaml_are_the_view_itself() {
    let json = Out {
        format: Format::Json,
        ..out()
    }
    .data(&status())
    .unwrap()
    .unwrap();
    assert_eq!(serde_json::from_str::<Status>(&json).unwrap(), status());
    let yaml = Out {
        format: Format::Yaml,
        ..out()
    }
    .data(&status())
    .unwrap()
    .unwrap();
    assert_eq!(serde_saphyr::from_str::<Status>(&yaml).unwrap(), status());
    assert_eq!(out().data(&status()).unwrap(), None);
}

#[test]
fn colours_appear_only_with_a_pen_that_has_them() {
    let painted = Pen {
        colour: true,
        unicode: true,
    }
    .paint(Tone::Bad, "no");
    assert_eq!(painted, "\x1b[31mno\x1b[0m");
    assert!(!lists::status(&status(), &out()).contains('\x1b'));
}

#[test]
fn ages_use_the_largest_unit_that_fits_and_are_never_rounded_up() {
    #[track_caller]
    fn check(seconds: i64, expected: &str) {
        assert_eq!(age(at(0), at(seconds)), expected);
    }
    check(0, "now");
    check(-5, "5 s ago");
    check(-119, "119 s ago");
    check(-179, "2 min ago");
    check(7200, "in 2 h");
    check(-172_800, "2 d ago");
}
