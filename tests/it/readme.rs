//! What the first page of the project says can be done.

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
