use crate::model::experiment::{Control, Role, Share};
use crate::model::policy::*;
use crate::policy::allows;
use crate::policy::load::parse_policy;
use std::path::Path;
use std::time::Duration;

const GOOD: &str = include_str!("../../../policies/examples/2-approved-kill.yaml");

/// The least a policy can say.
const SMALL: &str = r#"apiVersion: heartbreak/v1
kind: ChaosPolicy
metadata: { name: cart, team: shop }
spec:
  cluster: prod
  target: { apps: { ids: ["/shop/cart"] } }
  fault: { killTasks: { } }
  schedule: { windows: [ { days: [mon], from: "09:30", to: "15:30" } ], timezone: Europe/Madrid }
  approval: { approvers: { users: [U012AB3CD] } }
"#;

fn policy(text: &str) -> Policy {
    parse_policy(Path::new("cart.yaml"), text.as_bytes()).unwrap_or_else(|(_, p)| panic!("{p}"))
}

fn problems(text: &str) -> Vec<String> {
    match parse_policy(Path::new("cart.yaml"), text.as_bytes()) {
        Ok(_) => vec![],
        Err((_, problems)) => problems
            .0
            .iter()
            .map(|p| format!("{}:{} {} | {}", p.at.line, p.at.column, p.what, p.help))
            .collect(),
    }
}

/// Replaces a piece of the good policy and expects exactly one problem that says this.
#[track_caller]
fn check(from: &str, to: &str, expected: &str) {
    let text = GOOD.replacen(from, to, 1);
    assert_ne!(text, GOOD, "the good policy does not have {from:?}");
    let said = problems(&text);
    assert!(said.len() == 1 && said[0].contains(expected), "said: {said:#?}");
}

/// As [`check`], with lines put at the end of `spec`.
#[track_caller]
fn add(lines: &str, expected: &str) {
    check(
        "  notify: { channel: C012AB3CD }\n",
        &format!("{lines}\n"),
        expected,
    );
}

/// As [`check`], for something that is fine.
#[track_caller]
fn fine(from: &str, to: &str) {
    let text = GOOD.replacen(from, to, 1);
    assert_ne!(text, GOOD, "the good policy does not have {from:?}");
    assert_eq!(problems(&text), Vec::<String>::new());
}

#[test]
fn defaults_are_the_safe_ones() {
    let p = policy(SMALL);
    assert_eq!(p.mode, Mode::Rehearse);
    assert_eq!(
        p.fault,
        FaultSpec::KillTasks {
            count: Count::Exactly(1),
            at_once: 1,
            gap: Duration::from_secs(30)
        }
    );
    assert_eq!(p.scope.min_age, Duration::from_secs(600));
    assert!(p.scope.healthy_only && !p.scope.allow_no_health_check);
    assert_eq!(p.scope.one_per, Fairness::App);
    assert_eq!(
        p.blast_radius,
        BlastRadius {
            max_tasks: 1,
            max_percent: 20,
            min_healthy: 2,
            max_apps: 1,
            max_tasks_in_all: None,
        }
    );
    assert_eq!(
        p.rate_limit,
        RateLimit {
            kills: 4,
            per: Duration::from_secs(3600),
            burst: 1
        }
    );
    assert_eq!(
        (p.schedule.cadence, p.schedule.min_gap),
        (Cadence::OnDemand, MinGap::Workdays(1))
    );
    let h = &p.hypothesis;
    assert_eq!(
        (h.interval, h.timeout),
        (Duration::from_secs(1), Duration::from_millis(800))
    );
    assert_eq!((h.alpha, h.budget), (Share::percent(1), None));
    assert_eq!(
        (h.baseline.at_least, h.baseline.at_most),
        (Duration::from_secs(60), Duration::from_secs(600))
    );
    assert_eq!(
        (h.recovery.within, h.recovery.hold),
        (Duration::from_secs(300), Duration::from_secs(30))
    );
    assert_eq!((h.blind.hold_fire_after, h.blind.abort_after), (1, 3));
    assert_eq!(
        (p.approval.mode, p.approval.quorum, p.approval.expires),
        (ApprovalMode::Required, 1, Duration::from_secs(1800))
    );
}

#[test]
fn a_probe_observes_until_told_otherwise() {
    let p = policy(
        &GOOD
            .replace("  mode: enforce\n", "")
            .replace("role: abort ", "")
            .replace(
                "        share: { max: 1%, hard: 50% }  # the defaults, written out\n",
                "",
            ),
    );
    let probe = &p.hypothesis.probes[0];
    assert_eq!(
        (probe.role, probe.max, probe.hard, probe.dip),
        (Role::Observe, Share::percent(1), Share::percent(50), None)
    );
}

#[test]
fn the_digest_follows_the_meaning_and_nothing_else() {
    let digest = |text: &str| policy(text).digest;
    assert_eq!(digest(GOOD).as_str().len(), 64);
    assert_eq!(digest(GOOD), digest(&format!("# a comment\n{GOOD}")));
    assert_eq!(digest(GOOD), digest(&GOOD.replace('\n', "\r\n")));
    for (from, to) in [
        ("minAge: 10m", "minAge: 11m"),
        ("team: shop", "team: shops"),
        ("U012AB3CD", "U012AB3CE"),
        ("50%", "60%"),
    ] {
        assert_ne!(digest(GOOD), digest(&GOOD.replace(from, to)), "{from}");
    }
}

#[test]
fn all_problems_are_told_at_once() {
    let bad = GOOD
        .replace("minAge: 10m", "minAgee: 10m")
        .replace("count: 1", "count: -1")
        .replace("Europe/Madrid", "Europe/Madird")
        .replace("\"15:30\"", "15:30")
        .replace("max: 1%", "max: 50 %")
        .replace("U012AB3CD", "ana");
    let said = problems(&bad);
    assert_eq!(said.len(), 6, "{said:#?}");
    insta::assert_snapshot!(parse_policy(Path::new("cart.yaml"), bad.as_bytes()).unwrap_err().1.0[0].to_string(), @r"
    error: unknown field `minAgee`
      --> cart.yaml:11:14
       |
    11 |     tasks: { minAgee: 10m, healthyOnly: true }
       |              ^^^^^^^
       = help: did you mean `minAge`?
    ");
}

#[test]
fn heads_and_names_are_checked() {
    check(
        "heartbreak/v1",
        "heartbreak/v2",
        "`heartbreak/v2` is not `heartbreak/v1`",
    );
    check("ChaosPolicy", "Settings", "`Settings` is not `ChaosPolicy`");
    check(
        "name: cart-survives-task-loss",
        "name: Cart_1",
        "is not a policy name",
    );
    check("team: shop", "team: no", "write it in quotes: \"no\"");
    check("team: shop, ", "", "`team` is missing");
    check("  cluster: prod\n", "", "`cluster` is missing");
    check("mode: enforce", "mode: enforced", "did you mean `enforce`?");
    check(
        "  cluster: prod\n",
        "  cluster:\n",
        "`cluster` is there but empty",
    );
    fine("mode: enforce", "mode: off");
}

#[test]
fn targets_are_named_exactly() {
    check(
        "ids: [\"/shop/cart\"]",
        "ids: [\"shop/cart\"]",
        "\"shop/cart\" does not start with `/`",
    );
    check(
        "ids: [\"/shop/cart\"]",
        "ids: [\"/shop/../cart\"]",
        "`..` segment",
    );
    check(
        "ids: [\"/shop/cart\"]",
        "ids: [\"/sh\u{43e}p/cart\"]",
        "other than lower-case letters",
    );
    check(
        "ids: [\"/shop/cart\"]",
        "ids: [\"/shop/c**\"]",
        "`**` shares a segment",
    );
    check(
        "ids: [\"/shop/cart\"]",
        "ids: [\"/*a*a*a*a*a*a*a*a*a\"]",
        "more than eight stars",
    );
    check("ids: [\"/shop/cart\"]", "ids: []", "`ids` is an empty list");
    check("ids: [\"/shop/cart\"]", "", "`apps` names nothing");
    check(
        "ids: [\"/shop/cart\"]",
        "labels: \"a in (b\"",
        "a bracket is not closed",
    );
    check("ids: [\"/shop/cart\"]", "labels: \"a=b c\"", "a comma is wanted");
    check(
        "ids: [\"/shop/cart\"]",
        "labels: \"!a\"",
        "put such apps under `except`",
    );
    check(
        "ids: [\"/shop/cart\"]",
        "labels: \"a=b,\"",
        "it ends where a label is wanted",
    );
    check(
        "    tasks:",
        "    onePer: apps\n    tasks:",
        "did you mean `app`?",
    );
    fine("    tasks:", "    onePer: { label: tier }\n    tasks:");
}

#[test]
fn selectors_mean_what_marathon_means() {
    let selector = super::scope::selector("chaos=opt-in, tier in (web, api), a!=b, c notin (d), e").unwrap();
    assert_eq!(
        selector.to_string(),
        "chaos==opt-in,tier in (api,web),a!=b,c!=d,e"
    );
    assert!(
        super::scope::selector("intern")
            .unwrap()
            .matches(&[("intern".to_owned(), String::new())].into())
    );
}

#[test]
fn counts_and_steps_must_make_sense() {
    check(
        "count: 1",
        "count: 0",
        "`count` is 0; it may be 1 to 1000 | write 1 or more; to kill nothing, write `mode: off`",
    );
    check("count: 1", "percent: 101", "`percent` is 101; it may be 1 to 100");
    check("count: 1", "percent: 10%", "write 10");
    check("count: 1", "count: 1, percent: 5", "exclude each other");
    check("count: 1", "count: 1, gap: 0s", "`gap` is 0s");
    check(
        "count: 1",
        "count: 1, scale: true",
        "a kill never changes the size of an app",
    );
    check("count: 1", "count: 1, wipe: true", "never wipes");
    check(
        "killTasks: { count: 1 }",
        "agentOutage: { attribute: rack }",
        "`value` is missing",
    );
    check(
        "killTasks: { count: 1 }",
        "external: {}",
        "outside hooks are not built",
    );
    check(
        "killTasks: { count: 1 }",
        "killTask: { count: 1 }",
        "did you mean `killTasks`?",
    );
    let two = GOOD.replace("count: 1", "count: 2, atOnce: 2");
    let said = problems(&two).join("\n");
    assert!(
        said.contains("`blastRadius.maxTasks` is 1") && said.contains("`rateLimit.burst` is 1"),
        "{said}"
    );
}

#[test]
fn windows_are_whole_and_in_a_known_zone() {
    check(
        "to: \"15:30\"",
        "to: \"09:00\"",
        "split it into `from: \"09:30\", to: \"23:59\"`",
    );
    check("to: \"15:30\"", "to: \"09:30\"", "write a later end");
    check("to: \"15:30\"", "to: \"24:00\"", "the last minute is \"23:59\"");
    check("to: \"15:30\"", "to: 15:30", "write it in quotes: \"15:30\"");
    check("to: \"15:30\"", "to: \"09:40\"", "no run would ever start");
    check(
        "days: [mon, tue, wed, thu]",
        "days: []",
        "`days` is an empty list",
    );
    check("days: [mon, tue, wed, thu]", "days: [mon, mon]", "written twice");
    check(
        "days: [mon, tue, wed, thu]",
        "days: [monday]",
        "none of the words known here",
    );
    check("Europe/Madrid", "Europe/Madird", "did you mean `Europe/Madrid`?");
    check("    timezone: Europe/Madrid\n", "", "`timezone` is missing");
    check(
        "2026-12-25",
        "{ ics: file:nowhere.ics }",
        "nowhere.ics: the file can't be read",
    );
    for outside in [
        "/etc/hostname",
        "../holidays.ics",
        "https://example.net/holidays.ics",
    ] {
        check(
            "2026-12-25",
            &format!("{{ ics: \"{outside}\" }}"),
            "is not a file beside this one",
        );
    }
    check("2026-12-25", "{ }", "`ics` is missing");
    check(
        "    holidays: [ 2026-12-25, 2027-01-01 ]",
        "    holidaysUntil: 2026-12-31",
        "`holidaysUntil` without `holidays`",
    );
    check("2026-12-25", "2026-13-25", "is not a date");
}

#[test]
fn cadences_exclude_each_other() {
    check(
        "onDemand: true",
        "onDemand: true\n    every: 2h",
        "exclude each other",
    );
    check("onDemand: true", "cron: \"* * * * *\"", "cron lines are not read");
    check(
        "onDemand: true",
        "meanTimeBetween: 3",
        "is not a number of work days",
    );
    check(
        "onDemand: true",
        "meanTimeBetween: 2 workdays\n    minTimeBetween: 3 workdays",
        "a mean can't be below the minimum",
    );
    check("onDemand: true", "every: 10s", "at least 1m");
    check("onDemand: true", "onDemand: false", "nothing would ever run");
    fine(
        "onDemand: true",
        "meanTimeBetween: 3 workdays\n    minTimeBetween: 4h",
    );
}

#[test]
fn several_runs_a_day_need_a_distance_that_somebody_chose() {
    let cadence = |mean: &str, gap: &str| format!("meanTimeBetween: {{ poisson: {mean} }}\n    {gap}");
    fine("onDemand: true", &cadence("2h", "minTimeBetween: 30m"));
    fine("onDemand: true", &cadence("2h", "minTimeBetween: none"));
    for (mean, gap, expected) in [
        ("2h", "", "`poisson` without `minTimeBetween`"),
        (
            "2h",
            "minTimeBetween: 1 workday",
            "`minTimeBetween` is in work days",
        ),
        ("2h", "minTimeBetween: 2h", "a mean has to be above the minimum"),
        (
            "1m",
            "minTimeBetween: none",
            "`poisson` is 1m; it may be 5m to 7d",
        ),
        (
            "30d",
            "minTimeBetween: none",
            "`poisson` is 30d; it may be 5m to 7d",
        ),
    ] {
        check("onDemand: true", &cadence(mean, gap), expected);
    }
    check("onDemand: true", "meanTimeBetween: { }", "`poisson` is missing");
    check(
        "onDemand: true",
        "meanTimeBetween: 2 workdays\n    minTimeBetween: 49h",
        "`meanTimeBetween` is 2 work days, less than `minTimeBetween` with 2d1h",
    );
}

/// The good policy with these holidays, in a folder with this calendar.
fn with_calendar(holidays: &str, calendar: &str) -> Result<Schedule, String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("spain.ics"), calendar).unwrap();
    let text = GOOD.replacen("[ 2026-12-25, 2027-01-01 ]", holidays, 1);
    assert_ne!(text, GOOD);
    let file = folder.path().join("cart.yaml");
    match parse_policy(&file, text.as_bytes()) {
        Ok(policy) => Ok(policy.schedule),
        Err((_, problems)) => Err(problems
            .to_string()
            .replace(&folder.path().display().to_string(), "")),
    }
}

#[test]
fn holidays_come_from_dates_and_calendar_files_and_say_how_far_they_go() {
    let day = |text: &str| text.parse::<chrono::NaiveDate>().unwrap();
    let ics = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART;VALUE=DATE:20261208\nEND:VEVENT\nEND:VCALENDAR\n";
    let both = with_calendar("[ { ics: file:spain.ics }, 2028-05-02 ]", ics).unwrap();
    assert_eq!(both.holidays, [day("2026-12-08"), day("2028-05-02")].into());
    // The file says how far holidays are known; a date beside it is one more and says nothing of its year.
    assert_eq!(
        (both.covered.from, both.covered.until),
        (Some(day("2026-01-01")), Some(day("2026-12-31")))
    );
    let listed = policy(GOOD).schedule.covered;
    assert_eq!((listed.from, listed.until), (None, Some(day("2027-12-31"))));
    assert!(policy(SMALL).schedule.covered.is_everything());
    let longer = with_calendar("[ { ics: spain.ics } ]\n    holidaysUntil: 2027-06-30", ics).unwrap();
    assert_eq!(longer.covered.until, Some(day("2027-06-30")));
}

#[test]
fn a_calendar_of_garbage_refuses_the_policy_with_its_own_place() {
    let said = with_calendar("[ { ics: spain.ics } ]", "BEGIN:VCALENDAR\nsecret stuff\n").unwrap_err();
    assert!(
        said.contains("--> /spain.ics:2:1") && said.contains("is not `NAME:value`"),
        "{said}"
    );
    assert!(!said.contains("secret"), "{said}");
}

#[test]
fn radius_and_rate_are_bounded() {
    for (field, expected) in [
        ("maxTasks: 0", "`maxTasks` is 0"),
        ("maxTasks: -1", "`-1` is negative"),
        ("maxPercent: 0", "`maxPercent` is 0"),
        ("maxPercent: 101", "`maxPercent` is 101; it may be 1 to 100"),
        ("maxPercent: 50 %", "a bare number is wanted | write 50"),
        ("maxPercent: .nan", "is not a whole number"),
        ("maxApps: 0", "`maxApps` is 0"),
    ] {
        add(&format!("  blastRadius: {{ {field} }}"), expected);
    }
    add("  rateLimit: { kills: 0 }", "`kills` is 0; it may be 1 to");
    add("  rateLimit: { burst: 0 }", "`burst` is 0; it may be 1 to");
    add("  rateLimit: { per: 0h }", "`per` is 0s; it may be 1s to 31d");
    add(
        "  rateLimit: { kills: 2, burst: 3 }",
        "`burst` is 3, more than the 2 `kills`",
    );
    fine("  notify:", "  blastRadius: { minHealthy: 0 }\n  notify:");
}

#[test]
fn enforcing_needs_something_that_can_stop_it() {
    check(
        "role: abort ",
        "role: verdict ",
        "nothing could stop a run that hurts",
    );
    check(
        "source: { http: { url: \"http://cart.example.net/health\", requests: 5 } }",
        "source: { marathon: {} }",
        "may be minutes late",
    );
    fine("mode: enforce", "mode: rehearse");
    let floor = |hard: &str| {
        format!(
            "probes:\n      - {{ name: tasks, role: abort, source: {{ marathon: {{}} }}, share: {{ max: 5%, hard: {hard} }} }}"
        )
    };
    check("probes:", &floor("20%"), "it would end its own run");
    fine("probes:", &floor("21%"));
}

/// Puts lines into `steadyState`.
#[track_caller]
fn steady(line: &str, expected: &str) {
    check("    probes:\n", &format!("    {line}\n    probes:\n"), expected);
}

#[test]
fn times_of_the_steady_state_fit_together() {
    steady("interval: 100ms\n    timeout: 50ms", "it may be 200ms to 60s");
    steady("timeout: 1s", "less than the interval of 1s");
    steady("timeout: 0s", "must be more than 0");
    steady("alpha: 0%", "no run could ever be aborted");
    steady("baseline: { for: 5s }", "at least ten samples");
    steady("baseline: { for: 11m }", "`for` up to `max`");
    steady(
        "recovery: { within: 30s, hold: 30s }",
        "`hold` must be above 0 and below `within`",
    );
    steady("blind: { abortAfter: 0 }", "`abortAfter` is 0");
    steady("budget: { failedRequests: 0 }", "`failedRequests` is 0");
    steady("budget: {}", "`failedRequests` is missing");
    let counts_nothing = GOOD
        .replace(
            "    probes:\n",
            "    budget: { failedRequests: 9 }\n    probes:\n",
        )
        .replace(
            "{ http: { url: \"http://cart.example.net/health\", requests: 5 } }",
            "{ command: { argv: [\"/usr/local/bin/check\"] } }\n        value: { max: 9 }",
        );
    let said = problems(&counts_nothing).join("\n");
    assert!(
        said.contains("`budget` would count nothing: no abort probe tells of requests"),
        "{said}"
    );
    steady("selfCheck: \"http://169.254.169.254/\"", "it is never probed");
    steady("anyOf: []", "a group of vantage points is a source");
}

#[test]
fn shams_are_the_default_and_add_no_kills() {
    let control = |text: &str| policy(text).hypothesis.control;
    let sham = |pairs, window, settle| Control::Sham {
        pairs,
        window: Duration::from_secs(window),
        settle: Duration::from_secs(settle),
    };
    assert_eq!(control(GOOD), sham(5, 60, 60));
    let with = |line: &str| GOOD.replace("    probes:\n", &format!("    {line}\n    probes:\n"));
    assert_eq!(
        control(&with("control: { real: 8, window: 2m }")),
        sham(8, 120, 60)
    );
    // What is not written follows what is: a slot has ten samples and settles for as long as recovery takes.
    assert_eq!(
        control(&with("recovery: { within: 10m, hold: 3m }")),
        sham(5, 60, 180)
    );
    let slow = "interval: 30s\n    timeout: 10s\n    baseline: { for: 5m, max: 3h }";
    assert_eq!(control(&with(slow)), sham(5, 300, 60));
    assert_eq!(
        policy(&with("control: { margin: 0.2pp }")).hypothesis.margin,
        Some(Share(2_000))
    );
    let timed = |margin: &str| {
        with(&format!("control: {{ latencyMargin: {margin} }}")).replace(
            "        share: { max",
            "        slowerThan: 300ms\n        share: { max",
        )
    };
    let written = policy(&timed("1.25")).hypothesis;
    assert_eq!(written.latency_margin_percent, Some(125));
    assert_eq!(written.latency_margin(), 1.25);
    assert_eq!(policy(GOOD).hypothesis.latency_margin(), 1.5);
    let said = problems(&timed("1"));
    assert!(
        said.len() == 1 && said[0].contains("`latencyMargin` is 1; it may be above 1, up to 100"),
        "{said:?}"
    );
    let FaultSpec::KillTasks { count, .. } = policy(GOOD).fault else {
        panic!("the good policy kills tasks");
    };
    assert_eq!(count, Count::Exactly(1));
}

#[test]
fn a_design_is_refused_with_its_numbers_when_it_cannot_work() {
    steady("control: { real: 2 }", "`real` is 2; it may be 3 to 50");
    steady(
        "control: { real: 5, sham: 4 }",
        "5 `real` and 4 `sham`: slots come in pairs",
    );
    steady(
        "control: { window: 5s }",
        "`window` is 5s; it needs at least ten samples (10s)",
    );
    steady(
        "control: { settle: 20s }",
        "`settle` is 20s; it must be at least `recovery.hold` with 30s",
    );
    steady("control: { margin: 0pp }", "`margin` may be above 0pp up to 50pp");
    steady("control: { margin: 1% }", "is not a number of percentage points");
    steady(
        "control: { latencyMargin: 1.5 }",
        "`latencyMargin` has no meaning here: no probe takes the time of its answers",
    );
    steady(
        "control: { design: beforeAfter, real: 5 }",
        "`real` has no meaning in this design",
    );
    steady(
        "control: { reference: /a }",
        "`reference` has no meaning in this design",
    );
    steady("control: { design: reference }", "`reference` is missing");
    steady(
        "control: { design: parallel, control: /a }",
        "`experiment` is missing",
    );
    let twins = GOOD.replace(
        "    probes:\n",
        "    control: { design: parallel, control: /a, experiment: /a }\n    probes:\n",
    );
    assert!(problems(&twins).join("\n").contains("are the same app"));
    steady(
        "control: { design: parallel, control: a, experiment: /b }",
        "`a` is not an app",
    );
    steady("control: { design: shams }", "did you mean `sham`?");
    // Two slots for each kill have to fit into the six hours of the schedule's window.
    check(
        "count: 1",
        "count: 36",
        "a run may take 6h10m, 36 of 72 slots with a kill, the longest window has 6h",
    );
    fine("count: 1", "count: 34");
}

#[test]
fn two_apps_are_compared_probe_by_probe() {
    const PARALLEL: &str = "control: { design: parallel, control: /shop/cart-b, experiment: /shop/cart }";
    let twin = |of: &str, kind: &str| {
        format!(
            "    {PARALLEL}\n    probes:\n      - {{ name: other, controlFor: {of}, source: {{ {kind} }} }}\n"
        )
    };
    let http = "http: { url: \"http://cart-b.example.net/health\", requests: 5 }";
    let good = GOOD.replace("    probes:\n", &twin("cart-edge", http));
    let hypothesis = policy(&good).hypothesis;
    let counterpart = hypothesis
        .counterpart(&"cart-edge".into())
        .map(|p| p.name.to_string());
    assert_eq!(counterpart.as_deref(), Some("other"));
    assert_eq!(hypothesis.verdict_probes().count(), 1);
    let relative = |more: &str| {
        let line = format!("        relative: {{ to: control{more} }}\n        share: {{ max: 3%");
        good.replace("        share: { max: 1%", &line)
            .replace("requests: 5 ", "requests: 50 ")
    };
    let blunt = relative("").replace("share: { max: 3%", "share: { max: 1%");
    let said = problems(&blunt).join("\n");
    assert!(
        said.contains(
            "the control shows 500 requests in 10s, and 598 are needed before it may loosen a limit of 1 %"
        ),
        "{said}"
    );
    let spec = |text: &str| {
        policy(text)
            .hypothesis
            .probes
            .into_iter()
            .find(|p| p.name.as_str() == "cart-edge")
    };
    let followed = spec(&relative("")).and_then(|p| p.relative).unwrap();
    assert_eq!(
        (followed.ratio_percent, followed.window),
        (200, Duration::from_secs(10))
    );
    for (more, words) in [
        (", ratio: 0.5", "`ratio` may be 1 to 10"),
        (", window: 1s", "two samples (2s) to 30s"),
    ] {
        let said = problems(&relative(more)).join("\n");
        assert!(said.contains(words), "{said}");
    }
    steady(
        PARALLEL,
        "probe `cart-edge` has no counterpart that asks /shop/cart-b",
    );
    let said = |of: &str, kind: &str| problems(&GOOD.replace("    probes:\n", &twin(of, kind))).join("\n");
    assert!(
        said("edge", http).contains("there is no probe `edge`"),
        "{}",
        said("edge", http)
    );
    let tcp = "tcp: { address: \"cart-b.example.net:80\" }";
    assert!(said("cart-edge", tcp).contains("they can't be compared"));
    check(
        "        role: abort",
        "        controlFor: cart-edge\n        role: abort",
        "`controlFor` has no meaning in this design",
    );
}

#[test]
fn a_baseline_must_be_able_to_show_the_limit() {
    assert_eq!(super::clean_requests(Share::percent(1)), 299);
    assert_eq!(super::clean_requests(Share(5_000)), 598);
    assert_eq!(super::clean_requests(Share(1_000)), 2_995);
    let slow = GOOD
        .replace("requests: 5", "requests: 1")
        .replace("    probes:\n", "    baseline: { max: 2m }\n    probes:\n");
    let said = problems(&slow);
    assert!(said[0].contains("at 1 requests/s a limit of 1 % needs 5m of baseline (299 clean requests), but `baseline.max` is 2m"), "{said:?}");
}

/// Replaces the probe's source.
#[track_caller]
fn source(to: &str, expected: &str) {
    check(
        "http: { url: \"http://cart.example.net/health\", requests: 5 }",
        to,
        expected,
    );
}

#[test]
fn probes_look_at_sensible_places() {
    source("http: { url: \"ftp://cart/\" }", "`ftp` is not http or https");
    source("http: { url: \"http://a:b@cart/\" }", "has a user or password");
    source(
        "http: { url: \"http://169.254.169.254/latest\" }",
        "it is never probed",
    );
    source(
        "http: { url: \"http://2852039166/\" }",
        "another spelling of 169.254.169.254",
    );
    source(
        "http: { url: \"http://0x7f.1/\" }",
        "another spelling of 127.0.0.1",
    );
    source(
        "http: { url: \"http://[::ffff:169.254.169.254]/\" }",
        "it is never probed",
    );
    source("http: { url: \"http://[fd00:ec2::254]/\" }", "it is never probed");
    source("http: { url: \"http://c\u{430}rt.example/\" }", "plain ASCII");
    source("http: { url: \"http://cart.example./\" }", "ends in a dot");
    source("http: { url: \"cart/health\" }", "not a web address");
    source(
        "http: { url: \"http://cart.example/\", requests: 51 }",
        "`requests` is 51; it may be 1 to 50",
    );
    source("tcp: { address: \"cart\" }", "is not `host:port`");
    source("tcp: { address: \"cart:0\" }", "is not `host:port`");
    source("tcp: { address: \"cart:80/x\" }", "is not `host:port`");
    source(
        "http: { url: \"http://cart/\" }, tcp: { address: \"cart:80\" }",
        "more than one source",
    );
    source("", "the source is missing");
    source("datadog: { url: x }", "is not built into this version");
}

#[test]
fn metric_systems_are_asked_for_what_they_can_tell() {
    source("prometheus: { url: \"http://p/\" }", "`query` is missing");
    source(
        "prometheus: { url: \"http://169.254.169.254/\", query: up, freshness: up }",
        "it is never probed",
    );
    source(
        "prometheus: { url: \"http://p/?x\", query: up, freshness: up }",
        "a base address has no query",
    );
    source(
        "prometheus: { url: \"http://p\", query: up }",
        "needs `freshness`: its answers may be 5 minutes old",
    );
    source(
        "prometheus: { url: \"http://p\", query: \"rate(x[5m])\", freshness: x }",
        "looks back 5m at every sample, and there is a sample every 1s",
    );
    source(
        "prometheus: { url: \"http://p\", query: \"rate(x[1s] offset 1h)\", freshness: x }",
        "asks of another time than that of its sample",
    );
    for text in ["vector(1)", "sum(x)", "x)) or vector(0) or max((x"] {
        source(
            &format!("prometheus: {{ url: \"http://p\", query: up, freshness: \"{text}\" }}"),
            "`freshness` is not a selector",
        );
    }
    source(
        "haproxy: { lbs: [\"http://lb1:9090\", \"http://lb1:9090/\"], backend: b }",
        "is there twice",
    );
    source("haproxy: { lbs: [], backend: b }", "it may be 1 to 16");
    source(
        "haproxy: { lbs: [\"http://lb1\", \"http://lb1\"], backend: b }",
        "is there twice",
    );
    source("haproxy: { lbs: [\"http://lb1\"] }", "`backend` is missing");
    source(
        "haproxy: { lbs: [\"ftp://lb1\"], backend: b }",
        "not http or https",
    );
    source(
        "graphite: { url: \"http://g\", target: x }",
        "`graphite` can't be an abort probe",
    );
    source(
        "influxdb: { url: \"http://i\", db: d, query: \"SELECT x FROM y\" }",
        "`influxdb` can't be an abort probe",
    );
    for query in [
        "DROP DATABASE d",
        "SELECT x INTO y FROM z",
        "SELECT x FROM y; DROP SERIES",
    ] {
        let text = GOOD.replace("role: abort ", "role: verdict ").replace(
            "http: { url: \"http://cart.example.net/health\", requests: 5 }",
            &format!("influxdb: {{ url: \"http://i\", db: d, query: \"{query}\" }}"),
        );
        let said = problems(&text).join("\n");
        assert!(said.contains("not one `SELECT` that only reads"), "{said}");
    }
    source(
        "command: { argv: [] }",
        "does not begin with the path of a program",
    );
    source(
        "command: { argv: [check] }",
        "does not begin with the path of a program",
    );
}

#[test]
fn a_group_asks_the_same_from_several_places() {
    let http = "{ http: { url: \"http://a/\" } }";
    let [second, third] = ["b", "c"].map(|host| http.replace("//a/", &format!("//{host}/")));
    source(&format!("anyOf: {{ sources: [ {http} ] }}"), "it may have 2 to 8");
    source(
        &format!("anyOf: {{ sources: [ {http}, {second}, {http} ] }}"),
        "this vantage point is there twice",
    );
    source(
        &format!("anyOf: {{ sources: [ {http}, {{ marathon: {{}} }} ] }}"),
        "`marathon` can't stand in a group",
    );
    source(
        &format!("anyOf: {{ sources: [ {http}, {{ anyOf: {{ sources: [ {http}, {second} ] }} }} ] }}"),
        "`anyOf` can't stand in a group",
    );
    source(
        &format!("anyOf: {{ sources: [ {http}, {second}, {third} ], quorum: 1 }}"),
        "of 3 vantage points it may be 2 to 3",
    );
    source(
        &format!("anyOf: {{ sources: [ {http}, {{ graphite: {{ url: \"http://g\", target: x }} }} ] }}"),
        "`graphite` can't be an abort probe",
    );
}

#[test]
fn sources_that_collect_first_may_miss_five_samples() {
    let with = |source: &str, more: &str| {
        let text = GOOD
            .replace(
                "http: { url: \"http://cart.example.net/health\", requests: 5 }",
                source,
            )
            .replace("    probes:\n", &format!("{more}    probes:\n"));
        policy(&text).hypothesis.probes[0].abort_after
    };
    let prometheus = "prometheus: { url: \"http://p\", query: up, freshness: up }";
    assert_eq!(with(prometheus, ""), Some(5));
    assert_eq!(with(prometheus, "    blind: { abortAfter: 4 }\n"), None);
    assert_eq!(with("http: { url: \"http://cart/\", requests: 5 }", ""), None);
}

#[test]
fn a_baseline_must_be_able_to_show_what_a_tolerance_follows() {
    let with = |from: &str, to: &str, more: &str| {
        problems(
            &GOOD
                .replace(from, to)
                .replace("        share: {", &format!("        {more}\n        share: {{")),
        )
        .join("\n")
    };
    let said = with("requests: 5", "requests: 1", "slowerThan: { baselineP99: 1.5 }");
    assert!(
        said.contains("at 1 requests/s the 1000 requests that a 99th percentile needs take 17m of baseline, but `baseline.max` is 10m"),
        "{said}"
    );
    let said = with(
        "role: abort                    # may end the run; at least one such probe is needed to enforce\n        source: { http: { url: \"http://cart.example.net/health\", requests: 5 } }",
        "role: observe\n        every: 30s\n        source: { graphite: { url: \"http://g\", target: x } }",
        "value: { baselinePercent: +25 }",
    );
    assert!(
        said.contains("the 30 samples that the mean of a baseline needs take 15m, one every 30s, but `baseline.max` is 10m"),
        "{said}"
    );
}

/// Puts a line into the probe.
#[track_caller]
fn probe(line: &str, expected: &str) {
    check(
        "        share: { max: 1%, hard: 50% }",
        &format!("        {line}"),
        expected,
    );
}

#[test]
fn tolerances_are_of_the_kinds_that_are_judged() {
    probe("slower_than: 300ms", "did you mean `slowerThan`?");
    probe("slowerThan: { baselineP99: 1 }", "may be above 1, up to 100");
    probe("slowerThan: { baselineP99: \"2\" }", "is not a number");
    probe("slowerThan: {}", "`baselineP99` is missing");
    probe("slowerThan: 900ms", "less than the timeout of 800ms");
    probe("body: { regex: \"(\" }", "`regex` can't be used");
    probe("body: {}", "neither a `regex` nor a `jsonpath`");
    probe("body: { equals: 1 }", "neither a `regex` nor a `jsonpath`");
    probe("body: { jsonpath: $.x }", "needs to know what is wanted there");
    probe(
        "body: { jsonpath: $.x, equals: 1, exists: true }",
        "one thing only",
    );
    probe(
        "body: { jsonpath: \"x[\", exists: true }",
        "`jsonpath` can't be used",
    );
    probe(
        "body: { jsonpath: $.x, min: 2, max: 1 }",
        "`min` of 2 is above `max` of 1",
    );
    probe(
        "body: { jsonpath: $.x, in: [] }",
        "needs to know what is wanted there",
    );
    probe("value: { min: 1 }", "`value` has no meaning for a `http` source");
    probe("value: {}", "`value` needs one tolerance");
    probe("value: { min: 1, equals: 2 }", "`value` needs one tolerance");
    probe("value: { min: 2, max: 1 }", "`min` of 2 is above `max` of 1");
    probe("value: { min: 1s }", "`1s` is not a number");
    probe("value: { min: .nan }", "`.nan` is not a number");
    for percent in ["25", "+0", "+2000", "-101", "+1.5"] {
        probe(
            &format!("value: {{ baselinePercent: {percent} }}"),
            "with its sign is wanted",
        );
    }
    probe("every: 15s", "an abort probe is looked at every 1s");
    probe("relative: { to: control }", "this design has none");
    probe("relative: { ratio: 2 }", "`to` is missing");
    probe("status: []", "every answer would be bad");
    probe("status: [700]", "is not a status code or class");
    probe("share: { max: 0% }", "no number of good answers");
    probe("share: { max: 60% }", "not above the limit");
    probe("share: { max: 101% }", "more than 100 %");
    for path in ["health", "@other.example.net/", "/a#b"] {
        check(
            "    probes:\n",
            &format!("    eachTask: {{ path: \"{path}\" }}\n    probes:\n"),
            "has to begin with `/` and be a path",
        );
    }
    check(
        "    probes:\n",
        "    eachTask: {}\n    probes:\n",
        "`path` is missing",
    );
    probe("share: { consecutive: 1 }", "2 to 600 samples in a row");
    probe("share: { consecutive: 601 }", "2 to 600 samples in a row");
    probe(
        "share: { max: 1% }\n      - { name: b, role: verdict, source: { marathon: {} }, share: { consecutive: 5 } }",
        "only a probe with `role: abort` does that",
    );
    probe(
        "share: { max: 1% }\n      - { name: b, role: abort, source: { marathon: {} }, share: { consecutive: 5 } }",
        "repeat what it last heard",
    );
    probe("dip: { max: 1%, for: 5s }", "`max` must be above the limit");
    probe("dip: { max: 25%, for: 10m }", "below `recovery.within`");
    probe("dip: { max: 25% }", "`for` is missing");
    let twice = GOOD.replace(
        "      - name: cart-edge",
        "      - { name: cart-edge, source: { marathon: {} } }\n      - name: cart-edge",
    );
    assert!(problems(&twice)[0].contains("two probes are called `cart-edge`"));
    let tcp = GOOD
        .replace(
            "http: { url: \"http://cart.example.net/health\", requests: 5 }",
            "tcp: { address: \"cart:80\" }",
        )
        .replace("        share:", "        status: [200]\n        share:");
    assert!(problems(&tcp)[0].contains("`status` has no meaning for a `tcp` source"));
}

/// Replaces the approval.
#[track_caller]
fn approval(to: &str, expected: &str) {
    check(
        "{ mode: required, approvers: { users: [U012AB3CD], groups: [S0614TZR7] }, quorum: 1, expires: 30m }",
        to,
        expected,
    );
}

#[test]
fn approvers_are_known_by_id_and_are_enough() {
    approval("{ mode: required }", "nobody may give it");
    approval("{ approvers: { users: [] } }", "nobody may give it");
    approval("{ approvers: { users: [ana] } }", "is not a Slack user id");
    approval("{ approvers: { users: [\"@ana\"] } }", "is not a Slack user id");
    approval(
        "{ approvers: { groups: [U012AB3CD] } }",
        "is not a Slack user group id",
    );
    approval(
        "{ approvers: { tokens: [U012AB3CD] } }",
        "is not the name of an API token",
    );
    approval(
        "{ approvers: { users: [U012AB3CD] }, quorum: 2 }",
        "only 1 may approve",
    );
    approval(
        "{ approvers: { users: [U012AB3CD] }, quorum: 0 }",
        "`quorum` is 0",
    );
    approval(
        "{ approvers: { users: [U012AB3CD] }, expires: 25h }",
        "it may be 1m to 24h",
    );
    approval(
        "{ approvers: { users: [U012AB3CD] }, expires: 0s }",
        "it may be 1m to 24h",
    );
    approval("{ mode: veto }", "`veto` is not available");
    approval("{ mode: standing }", "`standing` is not available");
    approval(
        "{ mode: automatic, approvers: { users: [U012AB3CD] } }",
        "would be ignored",
    );
    check(
        "channel: C012AB3CD",
        "channel: \"#chaos\"",
        "is not a Slack channel id",
    );
    check(
        "channel: C012AB3CD",
        "channel: C012AB3CD, digest: daily",
        "digests are not sent",
    );
}

#[test]
fn later_parts_of_the_design_are_refused_not_ignored() {
    add(
        "  change: { ref: CHG1 }",
        "change-board references are not checked",
    );
    add("  expect: { alert: X }", "alerts are not tested");
    add("  onDisproved: hold", "findings are not held");
    add("  dryRun: true", "unknown field `dryRun`");
}

#[test]
fn a_policy_can_be_said_in_sentences() {
    insta::assert_snapshot!(allows(&policy(GOOD)), @r"
    Kills 1 task of /shop/cart on prod, when a person asks, on Mon, Tue, Wed, Thu 09:30 to 15:30 Europe/Madrid time, except on 2 holidays (known until 2027-12-31; nothing runs after that); the next run on the same app at the earliest on the next work day.
    Never more than 1 task down or 20 % of an app, never fewer than 2 healthy, 1 app at once, at most 4 kills in 1h; 1 person of U012AB3CD, group S0614TZR7 must approve each plan within 30m.
    ");
}

const OUTAGE: &str = include_str!("../../../policies/examples/9-rack-outage.yaml");

#[test]
fn an_outage_says_where_which_and_in_which_steps() {
    let fault = |from: &str, to: &str| policy(&OUTAGE.replacen(from, to, 1)).fault;
    let outage = |attribute: Attribute, value: Place, steps: OutageSteps| FaultSpec::AgentOutage {
        attribute,
        value,
        steps,
        gap: Duration::from_secs(30),
    };
    let rack = || Attribute::Named("rack".into());
    assert_eq!(fault("", ""), outage(rack(), Place::Any, OutageSteps::AtOnce));
    assert_eq!(policy(OUTAGE).blast_radius.max_tasks_in_all, Some(12));
    assert_eq!(
        fault("steps: atOnce", ""),
        outage(rack(), Place::Any, OutageSteps::PerAgent)
    );
    for (written, given) in [
        ("7", "7"),
        ("\"7\"", "7"),
        ("0.5", "0.5"),
        ("eu-west-1a", "eu-west-1a"),
        ("\"{a, b}\"", "{a, b}"),
    ] {
        assert_eq!(
            fault("value: any ", &format!("value: {written} ")),
            outage(rack(), Place::Given(given.into()), OutageSteps::AtOnce)
        );
    }
    for (written, attribute) in [
        ("\"@hostname\"", Attribute::Hostname),
        ("hostname", Attribute::Hostname),
        ("\"@region\"", Attribute::Region),
        ("\"@zone\"", Attribute::Zone),
    ] {
        assert_eq!(
            fault("attribute: rack ", &format!("attribute: {written} ")),
            outage(attribute, Place::Any, OutageSteps::AtOnce)
        );
    }
    assert_eq!(
        allows(&policy(OUTAGE)).lines().next().unwrap(),
        "Kills every task on one rack of any opted-in app with labels chaos==opt-in,tier==web on prod, all at once, \
         about once in 10 work days, on Tue, Wed 09:30 to 15:30 Europe/Madrid time; \
         the next run on the same app at the earliest 5 work days later."
    );
    assert!(allows(&policy(OUTAGE)).contains("5 apps at once with 12 tasks in all"));
}

#[test]
fn an_outage_that_nothing_bounds_or_that_means_nothing_is_refused() {
    #[track_caller]
    fn check(from: &str, to: &str, expected: &str) {
        let text = OUTAGE.replacen(from, to, 1);
        assert_ne!(text, OUTAGE, "the example does not have {from:?}");
        let said = problems(&text);
        assert!(said.len() == 1 && said[0].contains(expected), "said: {said:#?}");
    }
    check(
        ", maxTasksInAll: 12",
        "",
        "`agentOutage` without `blastRadius.maxTasksInAll`",
    );
    check("maxTasksInAll: 12", "maxTasksInAll: 0", "zero means zero");
    check("      attribute: rack", "      # attribute: rack", "attribute");
    check("value: any", "# value: any", "value");
    check("value: any", "value: yes", "in quotes");
    check(
        "attribute: rack",
        "attribute: \"@rack\"",
        "none of Marathon's own fields",
    );
    check(
        "steps: atOnce",
        "steps: atonce",
        "`atonce` is none of the words known here",
    );
    check("steps: atOnce", "gap: 500ms", "it must be at least 1s");
    check(
        "tier=web\" }",
        "tier=web\" }, onePer: group",
        "`onePer` has no meaning with `agentOutage`",
    );
    check(
        "    agentOutage:",
        "    killTasks: { count: 1 }\n    agentOutage:",
        "`killTasks` and `agentOutage` exclude each other",
    );
}

#[test]
fn a_fault_of_one_app_takes_no_limit_over_all_apps() {
    add(
        "  blastRadius: { maxTasksInAll: 2 }",
        "`maxTasksInAll` is for `agentOutage`",
    );
}

#[test]
fn a_verdict_probe_sees_enough_of_every_slot_and_counts_nothing_twice() {
    let second = |every: &str, query: &str, more: &str| {
        let probe = format!(
            "      - {{ name: slo, role: verdict, every: {every}, source: {{ prometheus: {{ url: \"http://p\", query: \"{query}\" }} }} }}\n"
        );
        problems(&GOOD.replace("    probes:\n", &format!("{more}    probes:\n{probe}"))).join("\n")
    };
    assert_eq!(second("15s", "sum(rate(x[15s]))", ""), "");
    let said = second("15s", "sum(rate(x[1m]))", "");
    assert!(
        said.contains("looks back 1m at every sample, and there is a sample every 15s"),
        "{said}"
    );
    let said = second("30s", "sum(rate(x[30s]))", "");
    assert!(
        said.contains("there is a sample every 30s, fewer than four in a slot of 1m"),
        "{said}"
    );
    assert_eq!(
        second("30s", "sum(rate(x[30s]))", "    control: { window: 2m }\n"),
        ""
    );
    // How good the time before is, is asked of abort probes only.
    assert_eq!(
        second("15s", "max(x)", "    baseline: { for: 60s, max: 5m }\n"),
        ""
    );
}

#[test]
fn lines_that_nothing_could_cross_are_refused() {
    check(
        "hard: 50%",
        "hard: 100%",
        "the hard line is 100%: no sample can be worse",
    );
    check(
        "share: { max: 1%, hard: 50% }",
        "dip: { max: 100%, for: 4m }",
        "during a dip to 100% no share could end the run for 4m after every kill",
    );
}
