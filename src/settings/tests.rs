use super::*;
use std::os::unix::fs::PermissionsExt;

const GOOD: &str = r#"apiVersion: heartbreak/v1
kind: Settings
armed: true
stateDir: state
listen: 0.0.0.0:9480
clusters:
  - name: prod
    marathon: { urls: ["http://m1:8080", "http://m2:8080"], leaderHosts: ["10.0.0.5:8080", m3], maxListMib: 64, maxBodyMib: 2, killRetry: 10s }
    auth: { basic: { user: chaos, passwordFile: password } }
limits: { tasksDown: 2, forbiddenApps: ["/shop/payments"], freezes: [ { from: 2026-12-18, to: 2027-01-07, why: year end } ] }
calendar: { timezone: Europe/Madrid, holidays: [ 2026-12-25 ] }
slack: { teamId: T012AB3CD, appId: A012AB3CD, botTokenFile: bot, signingSecretFile: signing, channel: C012AB3CD, admins: [U012AB3CD] }
api: { tokens: [ { name: ci, role: viewer, sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 } ] }
outage: { alertmanager: { url: "http://alerts:9093", matchers: ["severity=page"] } }
probes: { allowHosts: ["*.example.net", "10.0.0.0/8", cart], allowCommands: [ ["/usr/local/bin/check", cart] ] }
labels: { optIn: { chaos: opt-in }, team: team }
store: sqlite
quarantine: 5m
"#;

const SMALL: &str = "apiVersion: heartbreak/v1\nkind: Settings\nclusters: [ { name: prod, marathon: { urls: [\"http://m1:8080\"] } } ]\n";

fn parse(text: &str) -> Settings {
    Settings::parse(Path::new("/etc/heartbreak/heartbreak.yaml"), text.as_bytes())
        .unwrap_or_else(|p| panic!("{p}"))
}

/// Replaces a piece of the good settings and expects exactly one problem that says this.
#[track_caller]
fn check(from: &str, to: &str, expected: &str) {
    let text = GOOD.replacen(from, to, 1);
    assert_ne!(text, GOOD, "the good settings do not have {from:?}");
    let problems = Settings::parse(Path::new("heartbreak.yaml"), text.as_bytes())
        .err()
        .unwrap_or_default();
    assert!(
        problems.0.len() == 1 && problems.to_string().contains(expected),
        "{problems}"
    );
}

#[test]
fn everything_that_is_written_is_understood() {
    let s = parse(GOOD);
    assert!(s.armed);
    assert_eq!(s.state_dir, Path::new("/etc/heartbreak/state"));
    assert_eq!(s.clusters[0].urls.len(), 2);
    assert_eq!(
        (
            s.clusters[0].max_list_bytes,
            s.clusters[0].max_body_bytes,
            s.clusters[0].kill_retry
        ),
        (64 << 20, 2 << 20, Duration::from_secs(10))
    );
    assert!(s.clusters[0].leader_hosts.contains("10.0.0.5:8080"));
    assert_eq!(
        (
            s.limits.tasks_down,
            s.limits.kills_per_hour,
            s.limits.kills_per_workday
        ),
        (2, 10, 20)
    );
    let forbidden: Vec<_> = s.limits.forbidden_apps.iter().map(|a| a.0.as_str()).collect();
    assert_eq!(forbidden, ["/heartbreak/**", "/heartbreak", "/shop/payments"]);
    assert_eq!(s.limits.freezes[0].why, "year end");
    assert_eq!(s.limits.timezone, chrono_tz::Europe::Madrid);
    assert_eq!(s.limits.holidays.len(), 1);
    let slack = s.slack.unwrap();
    assert!(matches!(slack.delivery, Delivery::Http { .. }) && slack.admins.len() == 1);
    assert_eq!((s.tokens[0].role, s.tokens[0].sha256[0]), (Role::Viewer, 0x9f));
    assert_eq!(s.allow_hosts[0], HostRule::Under("example.net".into()));
    assert_eq!(
        s.allow_hosts[1],
        HostRule::Net {
            address: [10, 0, 0, 0].into(),
            bits: 8
        }
    );
    assert_eq!(s.allow_hosts[2], HostRule::Name("cart".into()));
    assert_eq!(s.allow_commands, [["/usr/local/bin/check", "cart"]]);
    assert!(matches!(s.outage, Some(Outage::Alertmanager { .. })));
}

#[test]
fn defaults_are_the_safe_ones() {
    let s = parse(SMALL);
    assert!(
        !s.armed
            && s.slack.is_none()
            && s.outage.is_none()
            && s.tokens.is_empty()
            && s.allow_hosts.is_empty()
    );
    assert_eq!(s.listen.to_string(), "127.0.0.1:9480");
    assert_eq!(
        (
            s.clusters[0].max_list_bytes,
            s.clusters[0].max_body_bytes,
            s.clusters[0].kill_retry
        ),
        (512 << 20, 8 << 20, Duration::from_secs(30))
    );
    assert_eq!(s.state_dir, Path::new("/var/lib/heartbreak"));
    assert_eq!(s.policy_dir, Path::new("/etc/heartbreak/policies"));
    assert_eq!(
        (
            s.limits.tasks_down,
            s.limits.kills_per_hour,
            s.limits.kills_per_workday
        ),
        (3, 10, 20)
    );
    assert_eq!(s.opt_in, ("chaos".to_owned(), "opt-in".to_owned()));
    assert_eq!(
        (s.team_label.as_str(), s.quarantine),
        ("team", Duration::from_secs(300))
    );
    assert_eq!(s.limits.timezone, chrono_tz::UTC);
}

#[test]
fn a_secret_in_the_file_is_refused_and_not_repeated() {
    for (from, to) in [
        ("passwordFile: password", "password: hunter2"),
        ("botTokenFile: bot", "botToken: hunter2"),
        ("signingSecretFile: signing", "signingSecret: hunter2"),
        ("store: sqlite", "seed: hunter2"),
        ("role: viewer", "role: viewer, token: hunter2"),
    ] {
        check(from, to, "a secret is never written in this file");
        let text = GOOD.replacen(from, to, 1);
        let problems = Settings::parse(Path::new("a"), text.as_bytes()).unwrap_err();
        assert!(!problems.to_string().contains("hunter2"), "{problems}");
        assert!(!format!("{problems:?}").contains("hunter2"), "{problems:?}");
    }
    for (from, to) in [
        ("http://m1:8080", "http://chaos:hunter2@m1:8080"),
        ("http://m1:8080", "chaos:hunter2@m1"),
        (
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "hunter2",
        ),
        ("passwordFile: password", "passwordEnv: \"hunter2!\""),
        ("passwordFile: password } }", "password: hunter2 ] }"),
        (
            "store: sqlite",
            "store: { postgres: { url: \"postgres://a:hunter2@db\" } }",
        ),
    ] {
        let problems = Settings::parse(Path::new("a"), GOOD.replacen(from, to, 1).as_bytes()).unwrap_err();
        assert!(!problems.to_string().contains("hunter2"), "{problems}");
    }
}

#[test]
fn what_is_wrong_is_told() {
    check(
        "kind: Settings",
        "kind: ChaosPolicy",
        "`ChaosPolicy` is not `Settings`",
    );
    check("0.0.0.0:9480", "0.0.0.0", "is not an address and a port");
    check("name: prod", "name: Prod", "is not a cluster name");
    check(
        "urls: [\"http://m1:8080\", \"http://m2:8080\"]",
        "urls: []",
        "`urls` is an empty list",
    );
    check("http://m1:8080", "m1:8080", "is not http or https");
    check(
        "passwordFile: password",
        "passwordFile: password, passwordEnv: P",
        "exclude each other",
    );
    check(
        ", passwordFile: password",
        "",
        "`passwordFile` or `passwordEnv` is missing",
    );
    check("tasksDown: 2", "taskDown: 2", "did you mean `tasksDown`?");
    check("/shop/payments", "shop", "names no app");
    check(
        "to: 2027-01-07",
        "to: 2026-01-07",
        "the freeze ends before it starts",
    );
    check("Europe/Madrid", "Madrid", "is not a time zone");
    check(
        "[ 2026-12-25 ]",
        "[ { ics: file:a.ics } ]",
        "a.ics: the file can't be read",
    );
    check("teamId: T012AB3CD", "teamId: acme", "is not a Slack workspace id");
    check("admins: [U012AB3CD]", "admins: [ana]", "is not a Slack user id");
    check(
        "signingSecretFile: signing, ",
        "",
        "Slack has no way to reach the operator",
    );
    check("role: viewer", "role: root", "none of the words known here");
    check("name: ci", "name: U012AB3CD", "is not a token name");
    check("severity=page", "page", "is not a matcher");
    check(
        "10.0.0.0/8",
        "10.0.0.0/33",
        "is not a host, a domain or a network",
    );
    check(
        "allowCommands: [ [\"/usr",
        "allowCommands: [ [\"usr",
        "begin with the path of a program",
    );
    check(
        "allowCommands: [ [\"/usr/local/bin/check\", cart] ]",
        "allowCommands: [ \"/bin/x\" ]",
        "a list is wanted",
    );
    check("optIn: { chaos: opt-in }", "optIn: {}", "exactly one label");
    check(
        "store: sqlite",
        "store: { postgres: {} }",
        "only `sqlite` is built in",
    );
    check("quarantine: 5m", "quarantine: 10s", "it may be 2m to 24h");
    check(
        "maxListMib: 64",
        "maxListMib: 0",
        "`maxListMib` is 0; it may be 1 to 4096",
    );
    check("maxBodyMib: 2", "maxBodyMib: 8MiB", "maxBodyMib");
    check("killRetry: 10s", "killRetry: 0s", "it may be 1s to 10m");
    check(
        "m3]",
        "\"http://m3:8080\"]",
        "is not a host, or a host and a port",
    );
    check(
        "    auth:",
        "    mesos: { urls: [] }\n    auth:",
        "`urls` is an empty list",
    );
    check(
        "    auth:",
        "    mesos: { urls: [\"http://u:p@m1:5050\"] }\n    auth:",
        "the address has a user or password in it",
    );
    check(
        "    auth:",
        "    mesos: { urls: [\"http://m1:5050\"], auth: same }\n    auth:",
        "asMarathon",
    );
    check("armed: true", "armed: yes", "`yes` is not `true` or `false`");
}

#[test]
fn loading_looks_at_every_secret() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("heartbreak.yaml");
    std::fs::write(&file, GOOD).unwrap();
    let write = |name: &str, text: &str, mode: u32| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    write("bot", "xoxb-1\n", 0o600);
    write("signing", "", 0o600);
    write("password", "hunter2", 0o644);
    let problems = Settings::load(&file).unwrap_err();
    assert_eq!(problems.0.len(), 2, "{problems}");
    assert!(problems.0[0].what.contains("can be read by others (mode 644)") && problems.0[0].at.line == 9);
    assert!(problems.0[1].what.contains("signing is empty"));
    write("signing", "abc", 0o600);
    write("password", "hunter2", 0o600);
    let settings = Settings::load(&file).unwrap();
    assert_eq!(
        settings.slack.as_ref().unwrap().bot_token.get().unwrap().expose(),
        "xoxb-1"
    );
    assert!(!format!("{settings:?}").contains("hunter2"));
    assert!(Settings::load(&folder.path().join("missing.yaml")).is_err());
}

#[test]
fn mesos_masters_get_the_login_of_marathon_only_where_that_is_written_and_never_in_plain_text() {
    let mesos = |marathon: &str, masters: &str| {
        let text = format!(
            "apiVersion: heartbreak/v1\nkind: Settings\nclusters:\n  - name: prod\n    \
             marathon: {{ urls: [\"{marathon}\"] }}\n    mesos: {masters}\n"
        );
        Settings::parse(Path::new("a"), text.as_bytes()).map(|s| s.clusters[0].mesos.clone().unwrap())
    };
    let found = mesos(
        "http://m1:8080",
        "{ urls: [\"http://m1:5050\", \"http://m2:5050\"] }",
    )
    .unwrap();
    assert_eq!((found.urls.len(), found.login), (2, false));
    let found = mesos(
        "https://m1:8443",
        "{ urls: [\"https://m1/mesos\"], auth: asMarathon }",
    )
    .unwrap();
    assert!(found.login);
    let found = mesos("https://m1:8443", "{ urls: [\"http://m1:5050\"], auth: none }").unwrap();
    assert!(!found.login);
    let why = mesos(
        "https://m1:8443",
        "{ urls: [\"http://m1:5050\"], auth: asMarathon }",
    )
    .unwrap_err();
    assert!(why.to_string().contains("in plain text"), "{why}");
}
