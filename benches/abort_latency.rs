//! From the breaching sample to the closed fence, with 100 probes at 4 Hz through the real watch, monitor and fence:
//! `cargo bench --bench abort_latency`, with `-- --quick` for one round.
//!
//! Twenty runs of five probes each are armed at once; one probe of each turns bad, at moments of its own. The time is
//! taken inside the operator, as for every abort of a real run: from when a sample is there to when no further kill
//! request of its run can leave.

mod small_world;

use heartbreak::model::run::{Intent, IntentState};
use small_world::{SmallWorld, name};
use std::time::Duration;

const POLICIES: usize = 20;
const PROBES: usize = 5;
const ROUNDS: usize = 10;

#[tokio::main]
async fn main() {
    let rounds = if std::env::args().any(|arg| arg == "--quick") {
        1
    } else {
        ROUNDS
    };
    let (mut microseconds, mut after_breach) = (vec![], 0);
    for round in 0..rounds {
        let world = SmallWorld::start(POLICIES, PROBES, "60s").await;
        for n in 0..POLICIES {
            world.asks_for_a_run(n).await;
        }
        for n in 0..POLICIES {
            // An intent is there before its request leaves: only one that was answered is behind us.
            let answered =
                |i: &Intent| matches!(i.state, IntentState::Acked { .. } | IntentState::Resolved { .. });
            world
                .until(n, "past its first kill", |run| run.intents.iter().any(answered))
                .await;
        }
        let sent = world.outside.sent().len();
        assert_eq!(sent, POLICIES, "one kill each, and the next in a minute");
        for n in 0..POLICIES {
            tokio::time::sleep(Duration::from_millis(17)).await;
            let probe = format!("{}-{}", name("probe", n), (n + round) % PROBES);
            world.outside.turns_bad(&probe);
        }
        for n in 0..POLICIES {
            let run = world.until(n, "aborted", |run| run.abort.is_some()).await;
            microseconds.extend(run.abort.and_then(|abort| abort.breach_to_fence_us));
        }
        after_breach += world.outside.sent().len() - sent;
        world.stop().await;
    }
    microseconds.sort_unstable();
    let at = |share: f64| {
        let index = ((microseconds.len() as f64 * share).ceil() as usize).clamp(1, microseconds.len()) - 1;
        microseconds[index] as f64 / 1e3
    };
    println!(
        "| {} aborts, {} probes at 4 Hz | ms |",
        microseconds.len(),
        POLICIES * PROBES
    );
    println!("| --- | --- |");
    println!("| median | {:.3} |", at(0.5));
    println!("| 99 % | {:.3} |", at(0.99));
    println!("| longest | {:.3} |", at(1.0));
    println!("| kills after the breach | {after_breach} |");
    println!("Target: 99 % within 5 ms, and no kill after the breach.");
}
