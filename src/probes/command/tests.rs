use super::*;
use crate::model::experiment::Decimal;

const LONG: Duration = Duration::from_secs(30);

fn sh(script: &str) -> Vec<String> {
    ["/bin/sh", "-c", script].map(str::to_owned).into()
}

async fn of(script: &str, rule: Option<&ValueRule>, timeout: Duration) -> Reading {
    let argv = sh(script);
    take(
        std::slice::from_ref(&argv),
        &argv,
        rule,
        timeout,
        &mut Memory::default(),
    )
    .await
}

#[track_caller]
fn check_blind(reading: Reading, words: &str) {
    match reading {
        Reading::Blind { why } => assert!(why.contains(words), "{why}"),
        Reading::Seen { .. } => panic!("{reading:?}"),
    }
}

fn counts(reading: &Reading) -> (u32, u32, Option<f64>) {
    match reading {
        Reading::Seen { observed, bad, .. } => (*observed, *bad, reading.detail().and_then(|d| d.value)),
        Reading::Blind { why } => panic!("blind: {why}"),
    }
}

fn at_most(max: &str) -> ValueRule {
    ValueRule::Range {
        min: None,
        max: Decimal::parse(max),
    }
}

#[tokio::test]
async fn zero_is_good_one_is_bad_and_anything_else_has_measured_nothing() {
    assert_eq!(counts(&of("exit 0", None, LONG).await), (1, 0, None));
    assert_eq!(counts(&of("exit 1", None, LONG).await), (1, 1, None));
    check_blind(
        of("echo oh dear >&2; exit 2", None, LONG).await,
        "ended with 2, which is neither good (0) nor bad (1): oh dear",
    );
    check_blind(of("kill -9 $$", None, LONG).await, "by a signal");
    let missing = vec!["/no/such/program".to_owned()];
    let memory = &mut Memory::default();
    let reading = take(std::slice::from_ref(&missing), &missing, None, LONG, memory).await;
    check_blind(reading, "could not be started");
}

#[tokio::test]
async fn a_number_that_is_printed_is_judged_where_that_is_asked_for() {
    let rule = at_most("10");
    assert_eq!(
        counts(&of("echo 7.5", Some(&rule), LONG).await),
        (1, 0, Some(7.5))
    );
    assert_eq!(
        counts(&of("echo 11", Some(&rule), LONG).await),
        (1, 1, Some(11.0))
    );
    assert_eq!(
        counts(&of("echo 7; exit 1", Some(&rule), LONG).await),
        (1, 1, Some(7.0))
    );
    assert_eq!(
        counts(&of("echo 7", None, LONG).await),
        (1, 0, Some(7.0)),
        "kept, not judged"
    );
    assert_eq!(counts(&of("echo all is well", None, LONG).await), (1, 0, None));
    check_blind(
        of("echo many", Some(&rule), LONG).await,
        "printed no number: many",
    );
    check_blind(of("true", Some(&rule), LONG).await, "printed no number");
    check_blind(of("echo NaN", Some(&rule), LONG).await, "printed no number");
}

#[tokio::test]
async fn only_what_the_settings_allow_word_for_word_is_run() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("ran");
    let script = format!("touch {}", trace.display());
    let memory = &mut Memory::default();
    for allowed in [vec![], vec![sh("true")], vec![vec!["/bin/sh".to_owned()]]] {
        let reading = take(&allowed, &sh(&script), None, LONG, memory).await;
        check_blind(reading, "so it was not run");
    }
    assert!(!trace.exists());
    assert_eq!(counts(&of(&script, None, LONG).await), (1, 0, None));
    assert!(trace.exists(), "and an allowed one is");
}

#[tokio::test]
async fn its_whole_process_group_ends_with_the_timeout() {
    let folder = tempfile::tempdir().unwrap();
    let note = folder.path().join("pid");
    let script = format!(
        "sleep 1000 & echo $! > {0}.new; mv {0}.new {0}; wait",
        note.display()
    );
    // Long enough for a loaded machine to start two programs.
    let reading = of(&script, None, Duration::from_secs(3)).await;
    check_blind(reading, "did not end within 3 s and was killed");
    let pid = std::fs::read_to_string(&note).unwrap();
    // Ended, and perhaps not yet buried by whoever inherits it.
    let gone = || match std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())) {
        Ok(stat) => stat.contains(") Z"),
        Err(_) => true,
    };
    let deadline = Instant::now() + LONG;
    while !gone() {
        assert!(Instant::now() < deadline, "the grandchild {pid} lives on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn endless_output_is_cut_off_and_nothing_is_told_to_it() {
    check_blind(of("yes", None, LONG).await, "more than 4 KiB");
    check_blind(of("yes >&2", None, LONG).await, "more than 4 KiB");
    let naked = "test -z \"$CARGO_MANIFEST_DIR$HOME\" && test \"$(pwd)\" = / && ! read -r line";
    assert_eq!(counts(&of(naked, None, LONG).await), (1, 0, None));
}
