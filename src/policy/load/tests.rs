use super::*;
use std::fs;

const GOOD: &str = include_str!("../../../policies/examples/2-approved-kill.yaml");

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// `active NAME` or `suspended NAME` for every policy.
fn states(reading: &Reading) -> Vec<String> {
    let word = |s: &PolicyState| match s {
        PolicyState::Active(_) => "active",
        PolicyState::Suspended { .. } => "suspended",
    };
    reading
        .set
        .policies
        .iter()
        .map(|(name, state)| format!("{} {name}", word(state)))
        .collect()
}

#[test]
fn every_example_loads() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/examples");
    let reading = Folder::new(&path).read();
    assert!(reading.problems.is_empty(), "{}", reading.problems);
    assert!(reading.set.policies.len() >= 7);
    assert_eq!(reading.set.owners.len(), 4);
    for file in files_of(&path).unwrap().iter().filter(|f| !is_owners(f)) {
        let text = fs::read_to_string(file).unwrap();
        assert!(
            text.starts_with("# yaml-language-server: $schema=../schema.json\n# "),
            "{}",
            file.display()
        );
    }
}

#[test]
fn every_source_and_tolerance_is_in_an_example() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/examples");
    let reading = Folder::new(&path).read();
    let mut kinds = std::collections::BTreeSet::new();
    for state in reading.set.policies.values() {
        let PolicyState::Active(policy) = state else {
            panic!("{state:?}")
        };
        for probe in &policy.hypothesis.probes {
            kinds.insert(probe.source.kind());
            kinds.extend(probe.source.parts().iter().map(|part| part.kind()));
        }
    }
    let all = [
        "anyOf",
        "command",
        "graphite",
        "haproxy",
        "http",
        "influxdb",
        "marathon",
        "prometheus",
        "tcp",
    ];
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), all);
    let texts: String = files_of(&path)
        .unwrap()
        .iter()
        .map(|f| fs::read_to_string(f).unwrap())
        .collect();
    for word in [
        "status:",
        "regex:",
        "jsonpath:",
        "slowerThan: 2",
        "baselineP99:",
        "value:",
        "baselinePercent:",
        "dip:",
        "selfCheck:",
    ] {
        assert!(texts.contains(word), "no example has `{word}`");
    }
}

#[test]
fn a_file_that_turns_bad_suspends_the_policy_it_held() {
    let dir = folder();
    let file = dir.path().join("a.yaml");
    fs::write(&file, GOOD).unwrap();
    let mut folder = Folder::new(dir.path());
    assert_eq!(states(&folder.read()), ["active cart-survives-task-loss"]);
    fs::write(&file, "{{{").unwrap();
    let reading = folder.read();
    assert_eq!(states(&reading), ["suspended cart-survives-task-loss"]);
    assert!(!reading.problems.is_empty());
    fs::write(&file, GOOD).unwrap();
    assert_eq!(states(&folder.read()), ["active cart-survives-task-loss"]);
    fs::remove_file(&file).unwrap();
    assert!(states(&folder.read()).is_empty());
}

#[test]
fn a_calendar_that_changes_is_seen_though_the_policy_that_names_it_does_not() {
    let calendar = |day: u32| {
        format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nDTSTART;VALUE=DATE:202612{day}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
        )
    };
    let dir = folder();
    let dates = "holidays: [ 2026-12-25, 2027-01-01 ]";
    assert!(GOOD.contains(dates));
    let text = GOOD.replace(dates, "holidays: [ { ics: days.ics } ]");
    fs::write(dir.path().join("a.yaml"), text).unwrap();
    fs::write(dir.path().join("days.ics"), calendar(24)).unwrap();
    let mut folder = Folder::new(dir.path());
    let free = |reading: &Reading| match reading.set.policies.values().next() {
        Some(PolicyState::Active(policy)) => format!("{:?}", policy.schedule.holidays),
        other => panic!("{other:?}: {}", reading.problems),
    };
    let before = folder.read();
    assert!(free(&before).contains("2026-12-24"), "{}", free(&before));
    let again = folder.read();
    assert_eq!(again.set, before.set, "nothing is new");
    fs::write(dir.path().join("days.ics"), calendar(31)).unwrap();
    let after = folder.read();
    assert!(free(&after).contains("2026-12-31"), "{}", free(&after));
    fs::remove_file(dir.path().join("days.ics")).unwrap();
    assert_eq!(states(&folder.read()), ["suspended cart-survives-task-loss"]);
    fs::write(dir.path().join("days.ics"), calendar(31)).unwrap();
    assert_eq!(folder.read().set, after.set);
}

#[test]
fn a_bad_file_suspends_the_name_it_carries_and_the_one_it_had() {
    let dir = folder();
    let file = dir.path().join("a.yaml");
    let mut folder = Folder::new(dir.path());
    fs::write(&file, GOOD.replace("count: 1", "count: 0")).unwrap();
    assert_eq!(states(&folder.read()), ["suspended cart-survives-task-loss"]);
    fs::write(&file, GOOD).unwrap();
    folder.read();
    fs::write(
        &file,
        GOOD.replace("count: 1", "count: 0")
            .replace("cart-survives-task-loss", "cart-two"),
    )
    .unwrap();
    assert_eq!(
        states(&folder.read()),
        ["suspended cart-survives-task-loss", "suspended cart-two"]
    );
}

#[test]
fn two_files_with_one_name_are_both_refused() {
    let dir = folder();
    fs::write(dir.path().join("a.yaml"), GOOD).unwrap();
    fs::write(dir.path().join("b.yml"), GOOD).unwrap();
    let reading = Folder::new(dir.path()).read();
    assert_eq!(states(&reading), ["suspended cart-survives-task-loss"]);
    assert_eq!(reading.problems.0.len(), 2);
    assert!(reading.problems.0[0].what.contains("a.yaml and"));
}

#[test]
fn a_bad_twin_suspends_the_good_one() {
    let dir = folder();
    fs::write(dir.path().join("a.yaml"), GOOD).unwrap();
    fs::write(dir.path().join("b.yaml"), GOOD.replace("count: 1", "count: -1")).unwrap();
    assert_eq!(
        states(&Folder::new(dir.path()).read()),
        ["suspended cart-survives-task-loss"]
    );
}

#[test]
fn what_is_no_file_blocks_and_does_not_hang() {
    let dir = folder();
    fs::create_dir(dir.path().join("folder.yaml")).unwrap();
    std::os::unix::fs::symlink(dir.path().join("loop.yaml"), dir.path().join("loop.yaml")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", dir.path().join("zero.yaml")).unwrap();
    std::os::unix::fs::symlink(dir.path(), dir.path().join("self.yaml")).unwrap();
    fs::write(dir.path().join(".hidden.yaml"), "{{{").unwrap();
    fs::write(dir.path().join("notes.txt"), "{{{").unwrap();
    let reading = Folder::new(dir.path()).read();
    assert_eq!(
        states(&reading),
        [
            "suspended folder",
            "suspended loop",
            "suspended self",
            "suspended zero"
        ]
    );
}

#[test]
fn a_file_of_ten_megabytes_is_not_read() {
    let dir = folder();
    fs::write(dir.path().join("big.yaml"), vec![b'#'; 10 << 20]).unwrap();
    let reading = Folder::new(dir.path()).read();
    assert!(
        reading.problems.0[0]
            .what
            .contains("10485760 bytes; more than 262144"),
        "{}",
        reading.problems
    );
}

#[test]
fn a_folder_that_is_gone_suspends_what_was_in_it() {
    let dir = folder();
    fs::write(dir.path().join("a.yaml"), GOOD).unwrap();
    fs::write(
        dir.path().join("owners.yaml"),
        "- { app: /shop/cart, team: shop, optIn: true }\n",
    )
    .unwrap();
    let mut folder = Folder::new(dir.path());
    assert_eq!(folder.read().set.owners.len(), 1);
    drop(dir);
    let reading = folder.read();
    assert_eq!(states(&reading), ["suspended cart-survives-task-loss"]);
    assert!(reading.set.owners_bad.is_some() && reading.set.owners.is_empty());
}

#[test]
fn owners_are_exact_or_groups() {
    #[track_caller]
    fn check(text: &str, expected: &str) {
        match parse_owners(Path::new("owners.yaml"), text.as_bytes()) {
            Ok(owners) => assert_eq!(format!("{} owners", owners.len()), expected),
            Err(problems) => assert!(problems.to_string().contains(expected), "{problems}"),
        }
    }
    check(
        "- { app: /shop/cart, team: shop, optIn: true }\n- { app: /shop/, team: shop }",
        "2 owners",
    );
    check("- { app: /shop/*, team: shop }", "has a star");
    check(
        "- { app: /, team: shop }",
        "the whole cluster can't be given away",
    );
    check("- { app: shop/cart, team: shop }", "does not start with `/`");
    check("- { app: /shop/../cart, team: shop }", "`..` segment");
    check(
        "- { app: /shop/cart, team: a }\n- { app: /shop/cart, team: b }",
        "is written twice",
    );
    check("- { app: /shop/cart }", "`team` is missing");
    check("app: /shop/cart", "a list is wanted");
    check(
        "- { app: /shop/cart, team: shop, optin: true }",
        "did you mean `optIn`?",
    );
}

#[test]
fn bad_owners_opt_nobody_in() {
    let dir = folder();
    fs::write(
        dir.path().join("owners.yaml"),
        "- { app: /shop/cart, team: shop, optIn: true }\n- { app: x }\n",
    )
    .unwrap();
    let reading = Folder::new(dir.path()).read();
    assert!(reading.set.owners.is_empty());
    assert!(reading.set.owners_bad.unwrap().contains("owners.yaml:2"));
}

#[test]
fn check_takes_files_and_folders() {
    let dir = folder();
    fs::write(dir.path().join("a.yaml"), GOOD).unwrap();
    fs::write(
        dir.path().join("b.yaml"),
        GOOD.replace("atOnce", "x").replace("count: 1", "count: 0"),
    )
    .unwrap();
    assert!(check(&[dir.path().join("a.yaml")]).is_empty());
    assert_eq!(
        check(&[dir.path().join("b.yaml"), dir.path().join("a.yaml")])
            .0
            .len(),
        1
    );
    assert!(!check(&[dir.path().to_owned()]).is_empty());
    assert!(!check(&[dir.path().join("missing.yaml")]).is_empty());
}

#[test]
fn the_schema_on_disk_is_the_schema_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/schema.json");
    let schema = raw::schema();
    if std::env::var_os("HEARTBREAK_WRITE_SCHEMA").is_some() {
        fs::write(&path, &schema).unwrap();
    }
    let held = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        held == schema,
        "policies/schema.json is behind: run this test with HEARTBREAK_WRITE_SCHEMA=1"
    );
    assert!(!schema.contains("\"null\""));
}

#[test]
fn the_readme_names_every_field() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/README.md");
    let text = fs::read_to_string(path).unwrap_or_default();
    let paths = raw::field_paths();
    assert!(
        paths.len() > 60,
        "the walk over the schema found only {}",
        paths.len()
    );
    let missing: Vec<_> = paths
        .iter()
        // The sources of a group are the sources themselves, described once.
        .filter(|p| !p.contains(".anyOf.sources."))
        .filter(|p| !text.contains(&format!("`{p}`")))
        .collect();
    assert!(missing.is_empty(), "policies/README.md lacks {missing:#?}");
}
