//! The shipped binary as a process: signals, a typing error in its settings, no room on its disk.

use crate::support::real_process::{Operator, POLICY, Stage, Terms, Who, until};
use heartbreak::model::entry::Body;
use serde_json::json;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);

const TERMS: Terms = Terms {
    kills: 2,
    rate: "kills: 5, per: 1h, burst: 5",
    approval: "mode: automatic",
    control: "design: beforeAfter",
};

async fn ask_for_a_run(operator: &Operator) -> Result<(), String> {
    let path = format!("/api/v1/policies/{POLICY}/runs");
    let answer = operator.post(Who::Bo, &path, None, json!({})).await?;
    match answer.status {
        200..=299 => Ok(()),
        status => Err(format!("{status}: {}", answer.body)),
    }
}

/// Runs of the journal that were planned and not ended.
async fn open_runs(stage: &Stage) -> Result<usize, String> {
    let entries = stage.entries().await?;
    let planned = entries
        .iter()
        .filter(|e| matches!(e.body, Body::Planned { .. }))
        .count();
    let ended = entries
        .iter()
        .filter(|e| matches!(e.body, Body::Ended { .. }))
        .count();
    Ok(planned - ended)
}

#[tokio::test]
async fn a_typing_error_in_the_settings_starts_nothing_and_says_what_was_meant() {
    let stage = Stage::set(TERMS).await.expect("a stage");
    let text = std::fs::read_to_string(stage.settings()).expect("the settings");
    std::fs::write(stage.settings(), text.replace("policyDir:", "polciyDir:")).expect("written");
    let (code, said) = stage.command(&["run"]).await.expect("it ends");
    assert_eq!(code, Some(65), "{said}");
    for words in [
        "unknown field `polciyDir`",
        "did you mean `policyDir`",
        "heartbreak.yaml:5:1",
        "nothing was started",
    ] {
        assert!(said.contains(words), "{words:?} is not in:\n{said}");
    }
    assert!(!stage.journal().exists(), "not even a journal is made");
}

#[tokio::test]
async fn sigterm_ends_the_run_in_order_and_the_next_start_finds_nothing_open() -> Result<(), String> {
    let stage = Stage::set(TERMS).await?;
    let operator = stage.start_ready().await?;
    ask_for_a_run(&operator).await?;
    until("the first kill", SOON, async || {
        (!stage.sim.kills().is_empty()).then_some(())
    })
    .await?;
    operator.signal("TERM")?;
    let status = operator.end().await?;
    assert_eq!(status.code(), Some(0), "{}", stage.logs());
    let kills = stage.sim.kills().len();
    let next = stage.start_ready().await?;
    until("everything is closed", SOON, async || {
        (open_runs(&stage).await == Ok(0)).then_some(())
    })
    .await?;
    assert_eq!(stage.sim.kills().len(), kills, "nothing more was killed");
    drop(next);
    Ok(())
}

#[tokio::test]
async fn sigusr1_halts_and_the_process_goes_on() -> Result<(), String> {
    let stage = Stage::set(TERMS).await?;
    let mut operator = stage.start_ready().await?;
    operator.signal("USR1")?;
    let halted = async || {
        let status = operator.get(Who::Admin, "/api/v1/status").await.ok()?;
        status.body.to_string().contains("SIGUSR1 was sent").then_some(())
    };
    until("it is halted", SOON, halted).await?;
    let refused = ask_for_a_run(&operator).await.expect_err("halted");
    assert!(refused.contains("SIGUSR1"), "{refused}");
    assert!(operator.runs());
    Ok(())
}

/// Wherever the room runs out, nothing dies without a durable intent, the process goes on and says what is
/// wrong, and with room again the next start finds everything that was written.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_kills_nothing_that_is_not_written_down_and_loses_nothing() -> Result<(), String> {
    let mut stopped_before_a_kill = 0;
    for blocks in [160, 200, 240, 280, 320] {
        let stage = Stage::set(TERMS).await?;
        // Made with room, so that only what is written later is refused.
        stage.start_ready().await?.kill().await?;
        let mut operator = stage.start_with_little_room(blocks)?;
        let looks = async || {
            let answer = operator.get(Who::Admin, "/api/v1/status").await.ok()?;
            (answer.status == 200).then_some(())
        };
        if until("it answers", Duration::from_secs(10), looks).await.is_err() {
            // So little room that it could not start: it has to say so and be gone.
            assert!(!operator.runs(), "{}", stage.logs());
            assert_eq!(stage.sim.kills().len(), 0);
            continue;
        }
        let asked = ask_for_a_run(&operator).await;
        let settled = async || {
            let kills = stage.sim.kills().len();
            let full = stage.logs().contains("full")
                || stage.logs().contains("I/O")
                || stage.logs().contains("disk");
            let over = open_runs(&stage).await == Ok(0) && kills == 2;
            (full || over || asked.is_err()).then_some(full || asked.is_err())
        };
        let full = until("the room runs out, or the run is over", SOON, settled).await?;
        assert!(operator.runs(), "{}", stage.logs());
        let intents: Vec<String> = stage
            .entries()
            .await?
            .iter()
            .filter_map(|e| match &e.body {
                Body::Intended { intent, .. } => Some(intent.targets[0].task.as_str().to_owned()),
                _ => None,
            })
            .collect();
        for kill in stage.sim.kills() {
            assert!(
                intents.contains(&kill.asked),
                "{} died, and only {intents:?} are written down",
                kill.asked
            );
        }
        if full && stage.sim.kills().len() < 2 {
            stopped_before_a_kill += 1;
        }
        operator.kill().await?;

        let again = stage.start_ready().await?;
        until("everything is closed", SOON, async || {
            (open_runs(&stage).await == Ok(0)).then_some(())
        })
        .await?;
        let (code, said) = stage
            .command(&[
                "audit",
                "verify",
                "--journal",
                &stage.journal().display().to_string(),
            ])
            .await?;
        assert_eq!(code, Some(0), "{said}");
        assert!(stage.sim.kills().len() <= 2, "a kill was sent twice");
        drop(again);
    }
    assert!(
        stopped_before_a_kill > 0,
        "the room never ran out before the last kill"
    );
    Ok(())
}

#[test]
fn whoever_stops_reading_early_changes_no_exit_code() {
    use std::process::{Command, Stdio};
    let mut refused = Command::new(env!("CARGO_BIN_EXE_heartbreak"))
        .args(["check", "--settings", "/there/is/no/such/file.yaml"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    drop(refused.stderr.take());
    let code = refused.wait().expect("it ends").code();
    assert_eq!(code, Some(65), "as it is when somebody reads");
}
