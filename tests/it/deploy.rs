//! What stands in `deploy/` against what the binary asks for and offers.

use crate::support::world::World;
use heartbreak::exit::Exit;
use heartbreak::slack::parse::SLASH;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

fn deploy(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn json(name: &str) -> Value {
    serde_json::from_str(&deploy(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// The binary takes these words: it gets as far as a settings file that is not there.
fn check_the_binary_takes(words: &[&str]) {
    let out = Command::new(env!("CARGO_BIN_EXE_heartbreak"))
        .args(words)
        .env_clear()
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(
        out.status.code(),
        Some(i32::from(Exit::BadInput.code())),
        "{words:?}: {said}"
    );
    assert!(
        said.contains("/etc/heartbreak/heartbreak.yaml"),
        "{words:?}: {said}"
    );
}

#[test]
fn marathon_starts_the_binary_with_words_that_it_takes() {
    check_the_binary_takes(&texts(&json("marathon.json")["args"]));
}

#[test]
fn systemd_starts_the_binary_with_words_that_it_takes_and_knows_its_exit_codes() {
    let unit = deploy("heartbreak.service");
    let start = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="))
        .expect("ExecStart");
    let words: Vec<&str> = start.split(' ').skip(1).collect();
    check_the_binary_takes(&words);
    let known: BTreeSet<String> = Exit::ALL.iter().map(|exit| exit.code().to_string()).collect();
    let prevent = unit
        .lines()
        .find_map(|line| line.strip_prefix("RestartPreventExitStatus="))
        .expect("a list");
    for code in prevent.split(' ') {
        assert!(known.contains(code), "{code} is no exit code of ours");
    }
}

#[tokio::test]
async fn marathon_takes_the_app_and_finds_its_health() {
    let world = World::start().await;
    let app = json("marathon.json");
    let posted = reqwest::Client::new()
        .post(format!("{}/v2/apps", world.sim.url()))
        .json(&app)
        .send()
        .await;
    let posted = posted.expect("an answer");
    let status = posted.status();
    assert_eq!(status, 201, "{}", posted.text().await.unwrap_or_default());

    let path = app["healthChecks"][0]["path"].as_str().expect("a path");
    let healthy = reqwest::get(format!("{}{path}", world.running.url))
        .await
        .expect("an answer");
    assert_eq!(healthy.status(), 200);
    assert_eq!(app["instances"], 1, "one journal, one process");
    assert_eq!(
        app["upgradeStrategy"]["maximumOverCapacity"], 0,
        "never two of them, not even for a moment"
    );
    let grace = app["taskKillGracePeriodSeconds"]
        .as_u64()
        .expect("a grace period");
    assert!(grace > 5, "an orderly end may take five seconds");
    let folders: Vec<&str> = app["container"]["volumes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|v| v["containerPath"].as_str())
        .collect();
    assert_eq!(folders, ["/etc/heartbreak", "/var/lib/heartbreak"]);
    let port = app["portDefinitions"][0]["port"].as_u64().expect("a port");
    let settings = deploy("README.md");
    assert!(
        settings.contains(&format!("listen: 127.0.0.1:{port}")),
        "the runbook's settings listen elsewhere"
    );
    world.stop().await;
}

#[tokio::test]
async fn the_slack_app_points_at_routes_that_are_there_and_has_the_scopes_that_are_used() {
    let world = World::start().await;
    let manifest = json("slack-manifest.json");
    let command = &manifest["features"]["slash_commands"][0];
    assert_eq!(command["command"], SLASH);
    assert_eq!(command["should_escape"], true, "mentions come as ids");
    let http = reqwest::Client::new();
    for url in [
        &command["url"],
        &manifest["settings"]["interactivity"]["request_url"],
    ] {
        let url = url.as_str().expect("a url");
        let path = &url[url.find("/slack/").expect("a path below /slack/")..];
        let unsigned = http
            .post(format!("{}{path}", world.running.url))
            .send()
            .await
            .expect("an answer");
        assert_eq!(unsigned.status(), 401, "{path}");
    }
    assert_eq!(manifest["settings"]["socket_mode_enabled"], false);

    // Every method that is called, and the scope that it takes.
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/slack/client.rs");
    let source = std::fs::read_to_string(source).expect("the client");
    let scopes = [
        ("auth.test", None),
        ("chat.postMessage", Some("chat:write")),
        ("chat.update", Some("chat:write")),
        ("chat.postEphemeral", Some("chat:write")),
        ("views.open", None),
        ("users.info", Some("users:read")),
        ("usergroups.users.list", Some("usergroups:read")),
        ("files.getUploadURLExternal", Some("files:write")),
        ("files.completeUploadExternal", Some("files:write")),
    ];
    let mut needed: BTreeSet<&str> = ["commands"].into();
    let mut found = 0;
    for call in [
        "self.get(\"",
        "self.send(\"",
        "self\n            .get(\"",
        "self\n            .send(\"",
    ] {
        for (at, _) in source.match_indices(call) {
            let rest = &source[at + call.len()..];
            let method = &rest[..rest.find('"').expect("the end of a literal")];
            let scope = scopes.iter().find(|(known, _)| *known == method);
            let (_, scope) = scope.unwrap_or_else(|| panic!("{method} is called: which scope does it take?"));
            needed.extend(*scope);
            found += 1;
        }
    }
    assert_eq!(found, scopes.len(), "every method is called in one place");
    let granted: BTreeSet<&str> = texts(&manifest["oauth_config"]["scopes"]["bot"])
        .into_iter()
        .collect();
    assert_eq!(granted, needed);
    world.stop().await;
}
