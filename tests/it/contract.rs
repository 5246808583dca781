//! The pretend Marathon against recordings of two real ones.
//!
//! The judge asks it what the real ones were asked and compares every answer. What it prints when
//! something differs is what this test fails with.

use heartbreak_sim::{Sim, SimConfig, Version};
use std::path::Path;
use std::process::Stdio;

/// How many answers each real Marathon gave.
const EXCHANGES: usize = 97;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_answers_as_marathon_1_11_did() {
    judge(Version::V1_11, "1.11").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_answers_as_marathon_1_7_did() {
    judge(Version::V1_7, "1.7").await;
}

async fn judge(version: Version, recording: &str) {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let sim = Sim::start(SimConfig {
        version,
        ..SimConfig::default()
    })
    .await
    .expect("a port of this machine is free");
    let output = tokio::process::Command::new("python3")
        .arg(tests.join("judges/contract.py"))
        .args(["compare", "--base", &sim.url(), "--with"])
        .arg(tests.join("data/marathon").join(recording))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await;
    let output = match output {
        Ok(output) => output,
        Err(why) => panic!("the judge needs python3, and it can't be started: {why}"),
    };
    sim.stop().await;
    let said = String::from_utf8_lossy(&output.stdout);
    let trouble = String::from_utf8_lossy(&output.stderr);
    let wanted = format!("{EXCHANGES} passed, 0 failed");
    assert!(
        output.status.success() && said.lines().last() == Some(&wanted),
        "the pretend Marathon {recording} differs from the real one:\n{said}{trouble}"
    );
}
