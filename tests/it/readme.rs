//! What the first page of the project says can be done, and what that of the policies says can be checked.

use heartbreak::engine::schedule::due;
use heartbreak::model::policy::{Covered, Limits};
use heartbreak::policy::load::parse_policy;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

const README: &str = include_str!("../../README.md");

/// The fenced blocks of one kind.
fn blocks(kind: &str) -> Vec<&'static str> {
    let mut fences = README.split("```");
    let mut found = vec![];
    // Outside, inside, outside, …
    while let (Some(_), Some(inside)) = (fences.next(), fences.next()) {
        found.extend(inside.strip_prefix(kind).and_then(|text| text.strip_prefix('\n')));
    }
    found
}

fn heartbreak() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_heartbreak"));
    command.env_clear();
    command
}

#[test]
fn its_policy_is_a_good_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let [policy] = blocks("yaml")[..] else {
        panic!("one policy")
    };
    let file = folder.path().join("cart.yaml");
    std::fs::write(&file, policy).expect("written");
    let checked = heartbreak().arg("check").arg(&file).output().expect("it runs");
    let told = [checked.stdout, checked.stderr].concat();
    let told = String::from_utf8_lossy(&told);
    assert!(checked.status.success(), "{told}");
    assert!(!told.contains("warning"), "{told}");
}

#[test]
fn its_commands_are_there_with_their_options() {
    let lines = blocks("sh").into_iter().flat_map(str::lines);
    let mut checked = 0;
    for line in lines {
        let Some(typed) = line
            .strip_prefix("heartbreak ")
            .or_else(|| line.strip_prefix("cargo run --release -- "))
        else {
            continue;
        };
        let typed = typed.split(" #").next().unwrap_or(typed);
        let mut words = typed.split_whitespace();
        let command = words.next().expect("a command");
        let help = heartbreak().args([command, "--help"]).output().expect("it runs");
        assert!(help.status.success(), "there is no {command}");
        let help = String::from_utf8_lossy(&help.stdout);
        for option in words.filter(|word| word.starts_with("--")) {
            assert!(help.contains(option), "{command} has no {option}");
        }
        checked += 1;
    }
    assert!(checked >= 12, "{checked} commands");
}

#[test]
fn the_draw_that_anybody_can_check_is_what_sha256sum_and_the_operator_say() {
    const POLICIES: &str = include_str!("../../policies/README.md");
    const EXAMPLE: &str = include_str!("../../policies/examples/3-all-year.yaml");
    let policy =
        parse_policy(Path::new("p.yaml"), EXAMPLE.as_bytes()).unwrap_or_else(|(_, why)| panic!("{why}"));
    let number = |purpose: &str| {
        let input = format!("v1|seed-42|web-tier-all-year|2026-04-02|{purpose}");
        let hash = <sha2::Sha256 as sha2::Digest>::digest(&input);
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let shown = format!("printf %s '{input}' | sha256sum\n# {hex}\n");
        assert!(POLICIES.contains(&shown), "policies/README.md lacks\n{shown}");
        let top = u64::from_str_radix(&hex[..16], 16).expect("hexadecimal") >> 11;
        let number = top as f64 / (1_u64 << 53) as f64;
        assert!(POLICIES.contains(&format!("{number:.4}")), "{purpose}: {number}");
        (hex, number)
    };
    let ((hex, fire), _) = (number("fire"), number("when"));
    assert!(POLICIES.contains(&format!("(0x{} >> 11) / 2**53", &hex[..16])));
    assert!(fire < 1.0 / 5.0);
    let limits = Limits {
        tasks_down: 1,
        kills_per_hour: 10,
        kills_per_workday: 10,
        forbidden_apps: vec![],
        freezes: vec![],
        timezone: policy.schedule.timezone,
        holidays: BTreeSet::new(),
        covered: Covered::default(),
    };
    let utc = |text: &str| text.parse().expect("a moment");
    let (from, to) = (utc("2026-04-01T22:00:00Z"), utc("2026-04-02T22:00:00Z"));
    let [at] = due("seed-42", &policy, policy.name.as_str(), &limits, from, to)[..] else {
        panic!("one moment")
    };
    let local = at
        .with_timezone(&policy.schedule.timezone)
        .format("%H:%M:%S")
        .to_string();
    for said in [local, at.format("%FT%TZ").to_string()] {
        assert!(POLICIES.contains(&said), "policies/README.md lacks {said}");
    }
}
