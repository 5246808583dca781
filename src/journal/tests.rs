use super::{MemoryJournal, SqliteJournal};
use crate::model::entry::Body;
use crate::model::experiment::{Reading, Sample};
use crate::model::ids::{RunId, Seq};
use crate::ports::journal::{AppendError, Journal, Measured};
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

fn at(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_790_000_000_000 + ms).unwrap()
}

fn stopped(why: &str) -> Body {
    Body::Stopped { why: why.to_owned() }
}

fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    (folder, path)
}

async fn filled(path: &Path, count: u64) -> SqliteJournal {
    let journal = SqliteJournal::open(path).await.unwrap();
    let bodies: Vec<_> = (1..=count).map(|n| stopped(&format!("why {n}"))).collect();
    journal.append(Seq(0), at(0), &bodies).await.unwrap();
    journal
}

#[track_caller]
fn says<T>(result: Result<T, impl std::error::Error>, words: &[&str]) {
    let Err(error) = result else {
        panic!("went well, and should have said {words:?}")
    };
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text:?}");
    }
}

#[tokio::test]
async fn what_was_appended_is_there_after_a_crash() {
    let (folder, path) = place();
    let journal = filled(&path, 3).await;
    let (name, entries) = (
        journal.installation().await.unwrap(),
        journal.read(Seq(0), 9).await.unwrap(),
    );
    // A crash: what is on the disk at this moment, log included, and nothing closed.
    let copy = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    let again = SqliteJournal::open(copy.path().join("journal.db")).await.unwrap();
    assert_eq!(again.read(Seq(0), 9).await.unwrap(), entries);
    assert_eq!(again.installation().await.unwrap(), name);
    let more = again.append(Seq(3), at(5), &[stopped("more")]).await.unwrap();
    assert_eq!((more[0].seq, more[0].at), (Seq(4), at(5)));
}

#[tokio::test]
async fn a_second_opening_is_refused_with_the_holders_pid() {
    let (_folder, path) = place();
    let first = filled(&path, 1).await;
    says(
        SqliteJournal::open(&path).await,
        &[&format!("process {}", std::process::id()), "not opened"],
    );
    drop(first);
    SqliteJournal::open(&path).await.unwrap();
}

#[tokio::test]
async fn the_append_goes_through_only_where_the_decision_was_made() {
    let (_folder, path) = place();
    let journal = filled(&path, 2).await;
    for wrong in [0, 1, 3] {
        let answer = journal.append(Seq(wrong), at(0), &[stopped("no")]).await;
        assert!(
            matches!(answer, Err(AppendError::Conflict { head: Seq(2) })),
            "{answer:?}"
        );
    }
    assert_eq!(journal.head().await.unwrap(), Seq(2));
    assert_eq!(journal.append(Seq(2), at(0), &[]).await.unwrap(), []);
}

#[tokio::test]
async fn entries_can_be_neither_changed_nor_taken_out_nor_put_out_of_order() {
    let (_folder, path) = place();
    let journal = filled(&path, 2).await;
    for sql in [
        "UPDATE entry SET body = 'x' WHERE seq = 1",
        "DELETE FROM entry WHERE seq = 2",
        "INSERT INTO entry SELECT 9, at, epoch, kind, run, body, prev, hash FROM entry WHERE seq = 1",
        "INSERT OR REPLACE INTO entry SELECT * FROM entry WHERE seq = 1",
    ] {
        says(journal.tamper(sql).await, &["append-only"]);
    }
}

#[tokio::test]
async fn a_changed_row_is_noticed_by_reading_opening_and_verifying() {
    for (sql, place_of_it) in [
        (
            "UPDATE entry SET body = replace(body, '2', '3') WHERE seq = 2",
            "entry 2:",
        ),
        ("UPDATE entry SET at = at + 1 WHERE seq = 2", "entry 2:"),
        ("UPDATE entry SET run = 'r-1' WHERE seq = 2", "entry 2:"),
        ("UPDATE entry SET kind = 'halted' WHERE seq = 2", "entry 2:"),
        ("UPDATE entry SET epoch = 7 WHERE seq = 2", "entry 2:"),
        ("UPDATE entry SET hash = zeroblob(32) WHERE seq = 2", "entry 2:"),
        ("UPDATE entry SET prev = zeroblob(32) WHERE seq = 2", "entry 2:"),
        ("DELETE FROM entry WHERE seq = 2", "entry 2:"),
        ("DELETE FROM entry WHERE seq = 1", "entry 1:"),
        (
            "UPDATE meta SET value = 'i-other' WHERE key = 'installation'",
            "entry 1:",
        ),
    ] {
        let (_folder, path) = place();
        let journal = filled(&path, 3).await;
        journal
            .tamper("DROP TRIGGER entry_no_update; DROP TRIGGER entry_no_delete")
            .await
            .unwrap();
        journal.tamper(sql).await.unwrap();
        if !sql.contains("meta") {
            says(journal.read(Seq(0), 9).await, &["broken", place_of_it]);
        }
        journal.close().await.unwrap();
        drop(journal);
        says(SqliteJournal::verify(&path).await, &["broken", place_of_it]);
        if sql.contains("meta") {
            says(SqliteJournal::open(&path).await, &["another one was here before"]);
        } else {
            says(
                SqliteJournal::open(&path).await,
                &["broken", place_of_it, "backup"],
            );
        }
    }
}

#[tokio::test]
async fn a_flipped_bit_in_the_file_is_noticed() {
    let (_folder, path) = place();
    let journal = filled(&path, 3).await;
    journal.close().await.unwrap();
    drop(journal);
    let mut bytes = std::fs::read(&path).unwrap();
    let spot = bytes.windows(5).position(|w| w == b"why 2").unwrap();
    bytes[spot] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    says(SqliteJournal::open(&path).await, &["broken", "entry 2"]);
}

#[tokio::test]
async fn what_is_not_a_journal_is_refused_and_left_alone() {
    let (_folder, path) = place();
    std::fs::write(
        &path,
        "not a database, though it is long enough to be one".repeat(40),
    )
    .unwrap();
    let before = std::fs::read(&path).unwrap();
    says(
        SqliteJournal::open(&path).await,
        &["not a journal", "not changed"],
    );
    says(SqliteJournal::read_only(&path).await, &["not a journal"]);
    assert_eq!(std::fs::read(&path).unwrap(), before);

    let (_folder, path) = place();
    let journal = filled(&path, 1).await;
    journal.tamper("PRAGMA application_id = 7").await.unwrap();
    drop(journal);
    says(SqliteJournal::open(&path).await, &["not a journal"]);
}

#[tokio::test]
async fn a_truncated_journal_is_refused() {
    let (_folder, path) = place();
    let journal = filled(&path, 2000).await;
    journal.close().await.unwrap();
    drop(journal);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    says(SqliteJournal::open(&path).await, &["damaged", "backup"]);
}

#[tokio::test]
async fn a_journal_that_was_there_and_is_gone_is_not_begun_anew() {
    let (folder, path) = place();
    let journal = filled(&path, 1).await;
    journal.close().await.unwrap();
    drop(journal);
    std::fs::write(&path, "").unwrap();
    says(
        SqliteJournal::open(&path).await,
        &["gone or empty", "journal.lock"],
    );
    std::fs::remove_file(&path).unwrap();
    says(SqliteJournal::open(&path).await, &["gone or empty"]);
    std::fs::remove_file(folder.path().join("journal.lock")).unwrap();
    SqliteJournal::open(&path).await.unwrap();
}

#[tokio::test]
async fn a_file_that_is_swapped_under_us_takes_no_more_entries() {
    let (_folder, path) = place();
    let journal = filled(&path, 1).await;
    std::fs::remove_file(&path).unwrap();
    says(
        journal.append(Seq(1), at(0), &[stopped("no")]).await,
        &["removed or replaced"],
    );
}

#[tokio::test]
async fn a_newer_journal_is_refused() {
    for (sql, words) in [
        ("PRAGMA user_version = 99", "schema 99"),
        ("UPDATE meta SET value = '99' WHERE key = 'format'", "format 99"),
    ] {
        let (_folder, path) = place();
        let journal = filled(&path, 1).await;
        journal.tamper(sql).await.unwrap();
        drop(journal);
        says(SqliteJournal::open(&path).await, &[words, "newer"]);
        says(SqliteJournal::read_only(&path).await, &[words]);
    }
}

#[tokio::test]
async fn a_later_opening_fences_an_earlier_one() {
    let (_folder, path) = place();
    let journal = filled(&path, 1).await;
    journal
        .tamper("UPDATE meta SET value = '2' WHERE key = 'epoch'")
        .await
        .unwrap();
    says(
        journal.append(Seq(1), at(0), &[stopped("no")]).await,
        &["another process", "nothing was appended"],
    );
}

#[tokio::test]
async fn a_full_disk_is_said_and_goes_away() {
    let (_folder, path) = place();
    let journal = filled(&path, 1).await;
    journal.tamper("PRAGMA max_page_count = 1").await.unwrap();
    let big = [stopped("first"), stopped(&"x".repeat(100_000))];
    says(
        journal.append(Seq(1), at(0), &big).await,
        &["disk is full", "nothing was appended"],
    );
    assert_eq!(journal.head().await.unwrap(), Seq(1));
    journal.tamper("PRAGMA max_page_count = 1000000").await.unwrap();
    assert_eq!(journal.append(Seq(1), at(0), &big).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_read_only_file_is_said() {
    let (_folder, path) = place();
    let journal = filled(&path, 1).await;
    journal.tamper("PRAGMA query_only = ON").await.unwrap();
    says(
        journal.append(Seq(1), at(0), &[stopped("no")]).await,
        &["read-only", "nothing was appended"],
    );
}

#[tokio::test]
async fn an_append_whose_caller_goes_away_is_there_whole_or_not_at_all() {
    let (_folder, path) = place();
    let journal = filled(&path, 0).await;
    for round in 0..40 {
        let head = journal.head().await.unwrap();
        let writer = journal.clone();
        let caller =
            tokio::spawn(async move { writer.append(head, at(0), &[stopped("a"), stopped("b")]).await });
        for _ in 0..round % 8 {
            tokio::task::yield_now().await;
        }
        caller.abort();
        let _ = caller.await;
        // Reading comes after the append that is under way, if it is.
        let entries = journal.read(Seq(0), usize::MAX).await.unwrap();
        assert_eq!(entries.len() % 2, 0);
    }
    let head = journal.head().await.unwrap();
    assert_eq!(
        journal
            .append(head, at(0), &[stopped("after")])
            .await
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_writers_take_turns() {
    let (_folder, path) = place();
    let journal = filled(&path, 0).await;
    let writers: Vec<_> = (0..200)
        .map(|number| {
            let journal = journal.clone();
            tokio::spawn(async move {
                let mut head = journal.head().await.unwrap();
                loop {
                    match journal
                        .append(head, at(number), &[stopped(&number.to_string())])
                        .await
                    {
                        Ok(entries) => return entries[0].seq,
                        Err(AppendError::Conflict { head: newer }) => head = newer,
                        Err(AppendError::Failed(error)) => panic!("{error}"),
                    }
                }
            })
        })
        .collect();
    let mut places = Vec::new();
    for writer in writers {
        places.push(writer.await.unwrap().0);
    }
    places.sort_unstable();
    assert_eq!(places, (1..=200).collect::<Vec<_>>());
    assert_eq!(journal.read(Seq(0), 999).await.unwrap().len(), 200);
}

#[tokio::test]
async fn a_journal_can_be_looked_at_beside_its_operator_and_from_a_copy() {
    let (folder, path) = place();
    let journal = filled(&path, 3).await;
    let beside = SqliteJournal::read_only(&path).await.unwrap();
    assert_eq!(
        beside.read(Seq(1), 1).await.unwrap(),
        journal.read(Seq(1), 1).await.unwrap()
    );
    says(
        beside.append(Seq(3), at(0), &[stopped("no")]).await,
        &["reading only", "nothing was written"],
    );
    let verified = SqliteJournal::verify(&path).await.unwrap();
    assert_eq!((verified.entries, verified.head.len()), (3, 64));
    beside.close().await.unwrap();
    journal.close().await.unwrap();
    let copy = folder.path().join("copy.db");
    std::fs::copy(&path, &copy).unwrap();
    assert_eq!(SqliteJournal::verify(&copy).await.unwrap(), verified);
    says(
        SqliteJournal::read_only(folder.path().join("none.db")).await,
        &["check the path"],
    );
    says(journal.read(Seq(0), 1).await, &["is closed"]);
}

#[tokio::test]
async fn a_hundred_thousand_entries_are_verified_at_the_opening() {
    let (_folder, path) = place();
    let journal = filled(&path, 100_000).await;
    journal.close().await.unwrap();
    drop(journal);
    let journal = SqliteJournal::open(&path).await.unwrap();
    assert_eq!(journal.head().await.unwrap(), Seq(100_000));
}

#[tokio::test]
async fn an_entry_that_could_not_be_read_again_is_not_written() {
    use crate::model::verdict::{Difference, HypothesisResult, Outcome, Verdict};
    let difference = Difference {
        probe: "p".into(),
        control_bad: 0,
        control_observed: 0,
        experiment_bad: 0,
        experiment_observed: 0,
        difference: f64::NAN,
        low: 0.0,
        high: 0.0,
        margin: 0.0,
        says: HypothesisResult::Held,
        pairs: vec![],
        chance: None,
        smallest: None,
        latency: None,
    };
    let verdict = Verdict {
        outcome: Outcome::Completed,
        hypothesis: HypothesisResult::Held,
        reason: String::new(),
        sentence: String::new(),
        lines: vec![],
        limits: vec![],
        design: String::new(),
        differences: vec![difference],
        about_design: String::new(),
        pairs: None,
    };
    let body = Body::Ended {
        run: RunId::new("r-1"),
        verdict: Box::new(verdict),
    };
    let (_folder, path) = place();
    let journal = filled(&path, 1).await;
    says(
        journal.append(Seq(1), at(0), std::slice::from_ref(&body)).await,
        &["nothing was appended"],
    );
    assert_eq!(journal.head().await.unwrap(), Seq(1));
    let memory = MemoryJournal::new("i");
    says(
        memory.append(Seq(0), at(0), &[stopped("a"), body]).await,
        &["nothing was appended"],
    );
    assert_eq!(memory.head(), Seq(0));
}

/// Something done to a journal.
#[derive(Clone, Debug)]
enum Deed {
    Append { behind: u64, ms: i64, whys: Vec<String> },
    Read { after: u64, most: usize },
    Keep { run: u8, count: u32 },
    Kept { run: u8 },
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        (
            prop_oneof![4 => Just(0), 1 => 1_u64..3],
            -9_i64..9,
            prop::collection::vec(".{0,9}", 0..4)
        )
            .prop_map(|(behind, ms, whys)| Deed::Append { behind, ms, whys }),
        (0_u64..20, 0_usize..20).prop_map(|(after, most)| Deed::Read { after, most }),
        (0_u8..3, 0_u32..4).prop_map(|(run, count)| Deed::Keep { run, count }),
        (0_u8..3).prop_map(|run| Deed::Kept { run }),
    ]
}

/// Does it and says what came of it.
async fn do_it(journal: &dyn Journal, deed: &Deed, head: &mut u64) -> String {
    let run = |number: &u8| RunId::new(format!("r-{number}"));
    match deed {
        Deed::Append { behind, ms, whys } => {
            let bodies: Vec<_> = whys.iter().map(|why| stopped(why)).collect();
            let time = at(*ms) + TimeDelta::microseconds(7);
            let answer = journal
                .append(Seq(head.wrapping_sub(*behind)), time, &bodies)
                .await;
            if let Ok(entries) = &answer {
                *head += entries.len() as u64;
            }
            format!("{answer:?}")
        }
        Deed::Read { after, most } => format!("{:?}", journal.read(Seq(*after), *most).await),
        Deed::Keep { run: number, count } => {
            let one = |n: u32| {
                Measured::Sample(Sample {
                    at: at(n.into()),
                    probe: "p".into(),
                    reading: Reading::seen(n, 0),
                })
            };
            format!(
                "{:?}",
                journal
                    .keep(&run(number), &(0..*count).map(one).collect::<Vec<_>>())
                    .await
            )
        }
        Deed::Kept { run: number } => format!("{:?}", journal.kept(&run(number)).await),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn memory_and_disk_answer_alike(deeds in prop::collection::vec(deed(), 1..30)) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
            let (_folder, path) = place();
            let disk = SqliteJournal::open(&path).await.unwrap();
            let memory = MemoryJournal::new(disk.installation().await.unwrap());
            let (mut one, mut other) = (0, 0);
            for deed in &deeds {
                let answers = (do_it(&disk, deed, &mut one).await, do_it(&memory, deed, &mut other).await);
                assert_eq!(answers.0, answers.1, "{deed:?}");
            }
        });
    }
}
