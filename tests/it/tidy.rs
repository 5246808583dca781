//! Checks the shape of the source tree itself.
//!
//! Reads text, so an alias can slip past it; `clippy.toml` closes that side by resolving paths.

use heartbreak::engine::gates::REGISTRY;
use heartbreak::model::gate::GateName;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// `(layer, the crate modules it may name)`. Anything absent is refused.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("model", &["model"]),
    ("engine", &["engine", "model"]),
    ("ports", &["ports", "engine", "model"]),
    ("operator", &["operator", "ports", "engine", "model"]),
    ("policy", &["policy", "model"]),
    ("settings", &["settings", "policy", "model"]),
    ("marathon", &["marathon", "ports", "model"]),
    ("mesos", &["mesos", "ports", "model"]),
    ("probes", &["probes", "ports", "model"]),
    ("journal", &["journal", "ports", "model"]),
    ("slack", &["slack", "ports", "model"]),
    ("report", &["report", "ports", "model"]),
    ("web", &["web", "ports", "model"]),
    ("outage", &["outage", "ports", "model"]),
    ("clock", &["clock", "ports", "model"]),
    ("stop_file", &["stop_file", "ports", "model"]),
    ("exit", &["exit", "model"]),
    ("telemetry", &["telemetry", "model"]),
];

/// They wire everything together, so they may name everything.
const EDGES: &[&str] = &["app", "cli", "demo", "lib", "main"];

/// Words a pure layer may not contain, because each is a door to the outside.
const NOT_IN_PURE: &[&str] = &[
    "tokio",
    "reqwest",
    "axum",
    "std::fs",
    "std::env",
    "std::net",
    "Utc::now",
    "Instant::now",
    "SystemTime",
    "getrandom",
    "async fn",
];

/// The only files that may play with the pretend Marathon.
const MAY_PRETEND: &[&str] = &["demo", "cli"];

#[test]
fn layers_only_look_inwards() {
    let errors = errors(&src());
    assert!(errors.is_empty(), "{}", errors.join("\n"));
}

#[test]
fn every_gate_has_one_file_one_name_and_one_line_in_the_registry() {
    let folder = src().join("engine/gates");
    let files: BTreeSet<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .filter(|stem| stem != "mod" && stem != "tests")
        .collect();
    let names: BTreeSet<String> = GateName::ALL
        .iter()
        .map(|gate| gate.word().replace(' ', "_"))
        .collect();
    assert_eq!(
        files, names,
        "a file of engine/gates without a name, or the reverse"
    );

    let registered: Vec<GateName> = REGISTRY.iter().map(|(name, _)| *name).collect();
    assert_eq!(registered, GateName::ALL, "registered once each, in order");
    let text = code_only(&fs::read_to_string(folder.join("mod.rs")).unwrap());
    for file in files {
        assert_eq!(
            text.matches(&format!(", {file}::judge)")).count(),
            1,
            "{file}.rs has its own line in the registry"
        );
    }
}

#[test]
fn ports_re_export_the_permit_and_nothing_else_of_the_engine() {
    let mut doors = vec![];
    for file in files_of(&src(), "ports") {
        let text = code_only(&fs::read_to_string(&file).unwrap());
        doors.extend(
            text.lines()
                .filter(|line| line.contains("engine"))
                .map(|line| line.trim().to_owned()),
        );
    }
    assert_eq!(doors, ["pub use crate::engine::admit::Permit;"]);
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Everything that breaks the rule in a source tree.
fn errors(src: &Path) -> Vec<String> {
    let mut errors = vec![];
    for (layer, allowed) in MAY_IMPORT {
        let files = files_of(src, layer);
        if files.is_empty() {
            errors.push(format!("layer `{layer}` has no files: was it renamed?"));
        }
        for file in files {
            let text = code_only(&fs::read_to_string(&file).unwrap());
            let name = file.strip_prefix(src).unwrap().display();
            for module in crate_modules(&text) {
                if !allowed.contains(&module.as_str()) {
                    errors.push(format!("{name}: `{layer}` may not import `{module}`"));
                }
            }
            if text.contains("super::super::") {
                errors.push(format!("{name}: name the path from `crate::`"));
            }
            if ["model", "engine"].contains(layer) {
                for word in NOT_IN_PURE.iter().filter(|w| text.contains(**w)) {
                    errors.push(format!("{name}: `{word}` in a pure layer"));
                }
            }
            if text.contains("heartbreak_sim") {
                errors.push(format!("{name}: only {MAY_PRETEND:?} may use the simulator"));
            }
        }
    }
    let known = |layer: &str| MAY_IMPORT.iter().any(|(name, _)| *name == layer) || EDGES.contains(&layer);
    for entry in fs::read_dir(src).unwrap() {
        let path = entry.unwrap().path();
        let layer = path.file_stem().unwrap().to_string_lossy().into_owned();
        if !known(&layer) {
            errors.push(format!("`{layer}` is in no line of the table"));
        }
        let pretends = |file: &PathBuf| fs::read_to_string(file).unwrap().contains("heartbreak_sim");
        if EDGES.contains(&layer.as_str())
            && !MAY_PRETEND.contains(&layer.as_str())
            && files_of(src, &layer).iter().any(pretends)
        {
            errors.push(format!("{layer}: only {MAY_PRETEND:?} may use the simulator"));
        }
    }
    errors
}

/// `src/LAYER.rs` and everything under `src/LAYER/`.
fn files_of(src: &Path, layer: &str) -> Vec<PathBuf> {
    let mut found = vec![];
    let mut todo = vec![src.join(layer), src.join(layer).with_extension("rs")];
    while let Some(path) = todo.pop() {
        if path.is_dir() {
            todo.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.is_file() && path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found
}

/// Every `x` of `crate::x` and of `crate::{x::.., y}` in `text`; a glob gives an empty name.
fn crate_modules(text: &str) -> Vec<String> {
    let mut found = vec![];
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        let Some(list) = rest.strip_prefix('{') else {
            found.push(ident(rest));
            continue;
        };
        let (mut depth, mut start) = (0, true);
        for (i, c) in list.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => start = true,
                c if start && !c.is_whitespace() => {
                    found.push(ident(&list[i..]));
                    start = false;
                }
                _ => {}
            }
        }
    }
    found
}

/// `text` without whole-line comments, which may speak of anything.
fn code_only(text: &str) -> String {
    text.lines()
        .filter(|l| !l.trim_start().starts_with("//"))
        .map(|l| format!("{l}\n"))
        .collect()
}

fn ident(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

/// Checks what is said about a tree that keeps the rule but for one file.
#[track_caller]
fn check(file: &str, text: &str, expected: &[&str]) {
    let tree = tempfile::tempdir().unwrap();
    for (layer, _) in MAY_IMPORT {
        fs::create_dir(tree.path().join(layer)).unwrap();
        fs::write(
            tree.path().join(layer).join("mod.rs"),
            "use crate::model::Noun;\n",
        )
        .unwrap();
    }
    let path = tree.path().join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    assert_eq!(errors(tree.path()), expected);
}

#[test]
fn a_tree_that_keeps_the_rule_has_no_errors() {
    check(
        "engine/a.rs",
        "use crate::engine::b;\nuse crate::model::c;\n",
        &[],
    );
    check(
        "cli/demo.rs",
        "use heartbreak_sim::Sim;\nuse crate::web::Page;\n",
        &[],
    );
}

#[test]
fn comments_may_speak_of_anything() {
    check("model/a.rs", "/// Like tokio, see crate::slack::client.\n", &[]);
}

#[test]
fn an_import_hidden_in_braces_is_found() {
    check(
        "marathon/a.rs",
        "use crate::{model::{A, B}, slack::C};\n",
        &["marathon/a.rs: `marathon` may not import `slack`"],
    );
}

#[test]
fn a_glob_over_the_crate_is_found() {
    check(
        "engine/a.rs",
        "use crate::*;\n",
        &["engine/a.rs: `engine` may not import ``"],
    );
}

#[test]
fn a_path_that_climbs_twice_is_found() {
    check(
        "engine/gates/a.rs",
        "use super::super::super::operator::X;\n",
        &["engine/gates/a.rs: name the path from `crate::`"],
    );
}

#[test]
fn a_door_to_the_outside_in_a_pure_layer_is_found() {
    for word in NOT_IN_PURE {
        let said = format!("model/deep/a.rs: `{word}` in a pure layer");
        check("model/deep/a.rs", &format!("fn f() {{ {word} }}\n"), &[&said]);
    }
    check("web/a.rs", "async fn f() { tokio::spawn(g()); }\n", &[]);
}

#[test]
fn an_adapter_that_knows_the_engine_or_another_adapter_is_found() {
    for other in [
        "engine", "operator", "marathon", "web", "journal", "settings", "app",
    ] {
        let said = format!("slack/a.rs: `slack` may not import `{other}`");
        check("slack/a.rs", &format!("use crate::{other}::X;\n"), &[&said]);
    }
}

#[test]
fn a_layer_in_a_single_file_is_read_as_well() {
    check(
        "clock.rs",
        "use crate::operator::X;\n",
        &["clock.rs: `clock` may not import `operator`"],
    );
}

#[test]
fn a_layer_that_nobody_put_into_the_table_is_found() {
    check(
        "zookeeper/mod.rs",
        "",
        &["`zookeeper` is in no line of the table"],
    );
}

#[test]
fn a_renamed_layer_is_found() {
    let tree = tempfile::tempdir().unwrap();
    let said = errors(tree.path());
    assert_eq!(said.len(), MAY_IMPORT.len());
    assert_eq!(said[0], "layer `model` has no files: was it renamed?");
}

#[test]
fn the_simulator_outside_the_demo_is_found() {
    let text = "use heartbreak_sim::Sim;\n";
    check(
        "operator/a.rs",
        text,
        &[r#"operator/a.rs: only ["demo", "cli"] may use the simulator"#],
    );
    check(
        "app.rs",
        text,
        &[r#"app: only ["demo", "cli"] may use the simulator"#],
    );
}

#[test]
fn every_promise_about_marathon_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("src/marathon/mod.rs")).expect("it is there");
    let promises = text.split("the test that shows it").nth(1).expect("the list");
    let mut names: Vec<&str> = promises
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with("//!"))
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .filter(|name| name.contains('_'))
        .collect();
    assert!(names.len() >= 25, "{names:?}");
    let mut folders = vec![root.join("src"), root.join("tests/it")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let code = fs::read_to_string(path).expect("a file");
                names.retain(|name| !code.contains(&format!("fn {name}(")));
            }
        }
    }
    assert!(names.is_empty(), "no such tests: {names:?}");
}
