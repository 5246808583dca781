//! Seeded whole-system runs: the real operator over in-memory ports on paused time, judged after every
//! step by code that does not use the engine.
//!
//! One seed draws everything: the cluster, the policy, the people, the trouble, the crash points. On a
//! failure the seed and the end of the trace are printed; `SIM_SEED=n cargo nextest run --test simulation`
//! runs that one again, and `SIM_SEEDS=n` more of them.

mod judge;
mod ports;
mod world;

use std::sync::Arc;
use world::{Sabotage, Setup, World};

/// Seeds run by default: two minutes of a core, unoptimised. Every night wants thousands, with `--release`.
const SEEDS: u64 = 60;

fn run(seed: u64, sabotage: Sabotage) -> (Arc<World>, Result<(), String>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime can be built");
    runtime.block_on(async {
        let world = World::new(Setup::draw(seed, sabotage));
        let outcome = ports::live_through(&world).await;
        (world, outcome)
    })
}

fn seeds() -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("SIM_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("SIM_SEEDS").unwrap_or(SEEDS)).collect(),
    }
}

#[test]
fn no_seed_breaks_an_invariant() {
    // Two threads: every machine that builds this has two cores.
    let all = seeds();
    let halves: Vec<Vec<u64>> = (0..2)
        .map(|half| all.iter().copied().filter(|s| s % 2 == half).collect())
        .collect();
    let mut totals = world::Totals::default();
    std::thread::scope(|scope| {
        let lives: Vec<_> = halves
            .iter()
            .map(|seeds| {
                scope.spawn(move || {
                    let mut totals = world::Totals::default();
                    for seed in seeds {
                        let (world, outcome) = run(*seed, Sabotage::None);
                        if let Err(why) = outcome {
                            panic!("seed {seed}: {why}\n{}", world.tail(60));
                        }
                        totals.add(&world.totals());
                    }
                    totals
                })
            })
            .collect();
        for life in lives {
            totals.add(
                &life
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            );
        }
    });
    println!("{totals:#?}");
    if seeds().len() >= 60 {
        totals.assert_not_vacuous();
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [3, 17, 42] {
        let (first, _) = run(seed, Sabotage::None);
        let (second, _) = run(seed, Sabotage::None);
        assert_eq!(first.trace(), second.trace(), "seed {seed} gave two traces");
    }
}

/// Runs seeds with one safeguard removed until an invariant breaks, and says which. `known` found it the last
/// time somebody looked, and saves the way there; when it finds it no more, the others are lived through.
#[track_caller]
fn is_found(sabotage: Sabotage, known: u64, expected: &[&str]) {
    for seed in std::iter::once(known).chain(0..150) {
        if let (_, Err(why)) = run(seed, sabotage) {
            println!("{sabotage:?} was found by seed {seed}: {why}");
            assert!(
                expected.iter().any(|e| why.starts_with(e)),
                "{sabotage:?} was found as: {why}"
            );
            return;
        }
    }
    panic!("{sabotage:?} was not found in 150 seeds");
}

#[test]
fn a_kill_that_is_sent_again_without_an_answer_is_found() {
    is_found(Sabotage::Resend, 0, &["I4", "I1"]);
}

#[test]
fn an_intent_that_is_not_durable_before_the_kill_is_found() {
    is_found(Sabotage::LoseIntents, 0, &["I3"]);
}

#[test]
fn a_last_look_that_nobody_asks_is_found() {
    is_found(Sabotage::NoLastLook, 7, &["I6", "I7", "I8", "I9"]);
}

#[test]
fn a_restart_that_takes_open_intents_for_unsent_is_found() {
    is_found(Sabotage::CrashedMeansNotSent, 1, &["I1", "I2"]);
}

#[test]
fn a_quarantine_that_is_too_short_is_found() {
    is_found(Sabotage::NoQuarantine, 23, &["I1", "I2"]);
}

#[test]
fn rates_that_a_restart_forgets_are_found() {
    is_found(Sabotage::ForgetRates, 8, &["I11"]);
}

#[test]
fn a_blast_radius_that_trusts_inherited_health_is_found() {
    is_found(Sabotage::InheritedHealth, 26, &["I1", "I2"]);
}

#[test]
fn an_approval_of_another_plan_that_counts_is_found() {
    is_found(Sabotage::AnyDigest, 1, &["I12"]);
}

#[test]
fn probes_that_are_blind_and_taken_for_good_are_found() {
    is_found(Sabotage::BlindIsGood, 36, &["I10"]);
}

#[test]
fn a_clock_that_is_believed_whatever_it_says_is_found() {
    is_found(Sabotage::TrustTheClock, 13, &["I7", "I11", "I12"]);
}

#[test]
fn a_deployment_that_is_not_looked_at_is_found() {
    is_found(Sabotage::HideDeployments, 0, &["I16"]);
}
