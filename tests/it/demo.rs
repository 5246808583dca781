//! The demo, as a stranger runs it: the shipped binary, and the reports that it leaves on disk.

use crate::support::judges::accept_reports;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[test]
fn the_demo_holds_once_disproves_once_and_leaves_its_reports() {
    let temp = tempfile::tempdir().expect("a folder can be made");
    let out = Command::new(env!("CARGO_BIN_EXE_heartbreak"))
        .args(["demo", "--yes", "--fast"])
        .env_clear()
        .env("TMPDIR", temp.path())
        .output()
        .expect("the binary can be run");
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(
        out.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&out.stderr)
    );

    let pages: Vec<PathBuf> = text
        .lines()
        .filter_map(|line| line.trim().strip_suffix("report.html").map(PathBuf::from))
        .collect();
    assert_eq!(pages.len(), 2, "{text}");
    let reports: Vec<serde_json::Value> = pages
        .iter()
        .map(|folder| {
            for file in ["report.html", "report.md", "chart.svg"] {
                assert!(
                    folder.join(file).is_file(),
                    "{} is missing",
                    folder.join(file).display()
                );
            }
            let json = std::fs::read_to_string(folder.join("report.json")).expect("the record is there");
            serde_json::from_str(&json).expect("the record is JSON")
        })
        .collect();

    accept_reports(&pages);

    let [held, aborted] = reports.as_slice() else {
        panic!("two reports: {text}")
    };
    assert_eq!(held["verdict"]["hypothesis"], "held", "{}", held["verdict"]);
    let taken = |report: &serde_json::Value, sham: bool| {
        let intents = report["intents"].as_array().expect("a list");
        intents.iter().filter(|i| i["sham"] == sham).count()
    };
    assert_eq!((taken(held, false), taken(held, true)), (5, 5));
    let recoveries = held["recoveries"].as_array().expect("a list");
    for kill in recoveries {
        let at = |stage: &str| kill[stage].as_str().map(str::to_owned);
        assert!(
            at("answering").is_some()
                && at("answering") >= at("gone")
                && kill["origins"]["answering"] == "ownRequest",
            "{kill}"
        );
    }
    assert_eq!(held["verdict"]["pairs"]["have"], 5, "{}", held["verdict"]);
    let unseen = held["verdict"]["limits"][0].as_str().unwrap_or_default();
    assert!(unseen.contains("would probably have been missed"), "{unseen}");
    assert_eq!(aborted["verdict"]["outcome"], "aborted", "{}", aborted["verdict"]);
    assert_eq!(
        aborted["verdict"]["hypothesis"], "disproved",
        "{}",
        aborted["verdict"]
    );
    let difference = &aborted["verdict"]["differences"][0];
    assert!(
        difference["low"].as_f64() > difference["margin"].as_f64(),
        "{difference}"
    );
    assert_eq!(aborted["kills_after_breach"], 0);
    let killed = taken(aborted, false);
    assert!(
        killed < 3,
        "{killed} of 5 kills were made although the service failed"
    );
    assert!(
        aborted["abort"]["breach_to_fence_us"].is_u64(),
        "{}",
        aborted["abort"]
    );
}

/// Tasks of the pretend cluster that a demo with this folder for temporary files has started.
fn tasks_of(temp: &Path) -> Vec<String> {
    let mark = format!("TMPDIR={}", temp.display());
    let processes = std::fs::read_dir("/proc").expect("/proc is there").flatten();
    processes
        .filter_map(|entry| {
            let environment = std::fs::read(entry.path().join("environ")).ok()?;
            let words = std::fs::read(entry.path().join("cmdline")).ok()?;
            let ours = environment.split(|b| *b == 0).any(|line| line == mark.as_bytes());
            let words = String::from_utf8_lossy(&words).replace('\0', " ");
            (ours && words.contains("pretend-task")).then_some(words)
        })
        .collect()
}

fn demo(temp: &Path, stdin: Stdio) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_heartbreak"));
    command
        .args(["demo", "--fast"])
        .env_clear()
        .env("TMPDIR", temp)
        .stdin(stdin)
        .stdout(Stdio::piped());
    command
}

#[test]
fn ctrl_c_ends_the_demo_and_leaves_no_process_behind() {
    let temp = tempfile::tempdir().expect("a folder can be made");
    let mut child = demo(temp.path(), Stdio::piped())
        .spawn()
        .expect("the binary can be run");
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut told = String::new();
    while !told.contains("Press Enter to press Approve") {
        assert_ne!(
            out.read_line(&mut told).expect("text"),
            0,
            "it ended early: {told}"
        );
    }
    assert!(
        tasks_of(temp.path()).len() >= 12,
        "two services of six tasks each"
    );
    let sent = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(sent.expect("kill can be run").success());
    out.read_to_string(&mut told).expect("text");
    let status = child.wait().expect("it ends");
    assert!(status.success(), "{status}: {told}");
    assert!(
        told.contains("Every process that the demo started is ended."),
        "{told}"
    );
    assert_eq!(tasks_of(temp.path()), Vec::<String>::new());
}

#[test]
fn without_a_keyboard_the_demo_says_how_to_approve_and_kills_nothing() {
    let temp = tempfile::tempdir().expect("a folder can be made");
    let out = demo(temp.path(), Stdio::null())
        .output()
        .expect("the binary can be run");
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(64), "{said}");
    assert!(
        said.contains("`heartbreak demo --yes` approves by itself. Nothing was killed"),
        "{said}"
    );
    assert_eq!(tasks_of(temp.path()), Vec::<String>::new());
}
