//! Every way to stop, each enough alone, and that only a person starts again.

use crate::support::world::{Given, World};
use heartbreak::model::command::Command;
use heartbreak::model::experiment::AbortCause;
use heartbreak::model::run::Phase;
use heartbreak::model::verdict::Outcome;
use heartbreak::model::view::Reply;

fn three_kills() -> Given {
    Given {
        approval: "mode: automatic",
        kills: 3,
        ..Given::default()
    }
}

#[tokio::test]
async fn a_halt_ends_what_is_open_says_what_is_left_and_stays() {
    let world = World::given(three_kills()).await;
    world.asks_for_a_run().await.expect("it is taken");
    world.until_killed(1).await;
    let halt = || Command::Halt {
        reason: "incident 4711".into(),
    };
    let Ok(Reply::Stopped { done, open }) = world.api(halt()).await else {
        panic!("a halt answers what is still open");
    };
    assert!(done.contains("Halted by local: incident 4711"), "{done}");
    assert!(open.iter().any(|line| line.contains("/shop/cart")), "{open:?}");
    let run = world.until_over().await;
    assert!(matches!(
        run.abort.map(|a| a.cause),
        Some(AbortCause::Halt { .. })
    ));
    assert_eq!(world.sim.kills().len(), 1);

    let refused = world.asks_for_a_run().await.expect_err("halted");
    assert!(
        refused.why.contains("incident 4711") && refused.why.contains("nothing was planned"),
        "{}",
        refused.why
    );
    let Ok(Reply::Stopped { done, .. }) = world.api(halt()).await else {
        panic!("a second halt is no error");
    };
    assert!(done.contains("Halted already"), "{done}");
    world
        .api(Command::Resume {
            reason: "over".into(),
        })
        .await
        .expect("an admin resumes");
    world.asks_for_a_run().await.expect("it is taken again");
    world.stop().await;
}

#[tokio::test]
async fn a_file_named_halt_is_enough() {
    let world = World::given(three_kills()).await;
    world.asks_for_a_run().await.expect("it is taken");
    world.until_killed(1).await;
    std::fs::write(world.state().join("halt"), "the database is on fire\n").expect("the file is written");
    let run = world.until_over().await;
    assert_eq!(run.verdict.map(|v| v.outcome), Some(Outcome::Aborted));
    assert_eq!(world.sim.kills().len(), 1);
    world.why_says("the database is on fire").await;
    world.asks_for_a_run().await.ok();
    world.why_says("Nothing happens: halt").await;
    assert_eq!(world.sim.kills().len(), 1);
    // Taking the file away lifts nothing: only a person does.
    std::fs::remove_file(world.state().join("halt")).expect("the file is removed");
    let refused = world.asks_for_a_run().await.expect_err("halted");
    assert!(refused.why.contains("the database is on fire"), "{}", refused.why);
    world
        .api(Command::Resume {
            reason: "put out".into(),
        })
        .await
        .expect("an admin resumes");
    world.asks_for_a_run().await.expect("it is taken again");
    world.stop().await;
}

#[tokio::test]
async fn a_halt_file_stops_at_once_while_marathon_hangs() {
    let world = World::given(three_kills()).await;
    world.asks_for_a_run().await.expect("it is taken");
    world.until_killed(1).await;
    world
        .sim
        .mischief()
        .always(heartbreak_sim::On::Reads, heartbreak_sim::Trouble::Hang);
    std::fs::write(world.state().join("halt"), "fire\n").expect("the file is written");
    let told = tokio::time::timeout(
        std::time::Duration::from_secs(8),
        world.until("aborting", |run| run.abort.is_some()),
    );
    assert!(told.await.is_ok(), "the abort waited for Marathon");
    world.sim.mischief().clear_all();
    world.until_over().await;
    assert_eq!(world.sim.kills().len(), 1);
    world.stop().await;
}

#[tokio::test]
async fn a_halt_that_cannot_be_lifted_in_the_journal_keeps_its_file() {
    let world = World::start().await;
    let file = world.state().join("halt");
    std::fs::write(&file, "fire\n").expect("the file is written");
    world.why_says("fire").await;
    // Somebody without the right to: refused before anything is touched.
    let refused = world.types(crate::support::world::ANA, "resume").await;
    assert!(refused.body.contains("needs the role admin"), "{}", refused.body);
    assert!(file.exists());
    world
        .api(Command::Resume {
            reason: "over".into(),
        })
        .await
        .expect("an admin resumes");
    assert!(!file.exists());
    world.stop().await;
}

#[tokio::test]
async fn an_abort_ends_one_run_and_halts_nothing() {
    let world = World::given(three_kills()).await;
    world.asks_for_a_run().await.expect("it is taken");
    world.until_killed(1).await;
    let run = world.run().await.expect("a run").id;
    let stopped = world
        .api(Command::Abort {
            run: Some(run),
            reason: "enough".into(),
        })
        .await;
    assert!(matches!(stopped, Ok(Reply::Stopped { .. })), "{stopped:?}");
    let run = world.until_over().await;
    assert_eq!(run.verdict.as_ref().map(|v| v.outcome), Some(Outcome::Aborted));
    assert!(run.verdict.is_some_and(|v| v.sentence.contains("enough")));
    assert_eq!(world.sim.kills().len(), 1);
    world.asks_for_a_run().await.expect("nothing is halted");
    world.stop().await;
}

#[tokio::test]
async fn an_orderly_end_of_the_process_ends_its_run() {
    let world = World::given(three_kills()).await;
    world.asks_for_a_run().await.expect("it is taken");
    world.until_killed(1).await;
    let state = world.state();
    let ended = world.stop_and_keep().await;
    let journal = heartbreak::journal::SqliteJournal::read_only(state.join("journal.db"))
        .await
        .expect("the journal");
    use heartbreak::ports::journal::Journal;
    let entries = journal
        .read(heartbreak::model::ids::Seq(0), usize::MAX)
        .await
        .expect("its entries");
    let mut ledger = heartbreak::engine::history::Ledger::default();
    for entry in &entries {
        ledger.apply(entry);
    }
    let run = ledger.runs.values().next().expect("a run");
    assert!(
        matches!(run.phase, Phase::Aborting | Phase::Ended),
        "{}",
        run.phase
    );
    assert!(run.abort.is_some());
    drop(ended);
}
