//! The demo, as a stranger runs it: the shipped binary, and the reports that it leaves on disk.

use std::path::PathBuf;
use std::process::Command;

#[test]
fn the_demo_holds_once_aborts_once_and_leaves_its_reports() {
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

    let [held, aborted] = reports.as_slice() else {
        panic!("two reports: {text}")
    };
    assert_eq!(held["verdict"]["hypothesis"], "held", "{}", held["verdict"]);
    assert_eq!(held["intents"].as_array().map(Vec::len), Some(2));
    assert_eq!(aborted["verdict"]["outcome"], "aborted", "{}", aborted["verdict"]);
    assert_eq!(aborted["kills_after_breach"], 0);
    let killed = aborted["intents"].as_array().map(Vec::len).unwrap_or_default();
    assert!(
        killed < 3,
        "{killed} of 3 kills were made although the service failed"
    );
    assert!(
        aborted["abort"]["breach_to_fence_us"].is_u64(),
        "{}",
        aborted["abort"]
    );
}
