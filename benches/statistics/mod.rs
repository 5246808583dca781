//! The simulation behind the published numbers: noise, rules, and the page's tables as data.
//!
//! Everything is drawn from SplitMix64 with fixed seeds, one for each run, so that a result does not depend on how many
//! threads there are. Shared by the benchmarks and by a test, which runs a short part of it.

#![allow(
    dead_code,
    unused_imports,
    clippy::allow_attributes,
    reason = "each of its users takes a part"
)]

pub mod dice;
pub mod kayenta;
pub mod latency;
pub mod latency_verdicts;
pub mod page;
pub mod rules;
pub mod shams;
pub mod sums;
pub mod verdicts;
pub mod watched;

use dice::Dice;
use rules::Rule;
use std::thread;

/// Samples of a run of the tables: ten minutes of seconds.
pub const RUN: u32 = 600;

/// How the bad share of one second comes about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Noise {
    /// Every request fails with this chance, independently.
    Independent(f64),
    /// Mean 0.1 %, requests of one second correlated: the share of a second is Beta(0.024, 23.976).
    OverDispersed,
    /// 0.1 %, and 10 % during bursts, which begin about every 300 s and last about 2 s.
    Bursts,
}

/// Draws the samples of one run.
pub struct Stream {
    noise: Noise,
    observed: u32,
    in_burst: bool,
}

impl Stream {
    pub fn new(noise: Noise, observed: u32) -> Self {
        Self {
            noise,
            observed,
            in_burst: false,
        }
    }

    /// How many of the observed requests of the next second are bad.
    pub fn next(&mut self, dice: &mut Dice) -> u32 {
        let share = match self.noise {
            Noise::Independent(share) => share,
            Noise::OverDispersed => dice.beta(0.024, 23.976),
            Noise::Bursts => {
                // A geometric length with mean two: it goes on with one chance in two.
                self.in_burst = if self.in_burst {
                    dice.share() < 0.5
                } else {
                    dice.share() < 1.0 / 300.0
                };
                if self.in_burst { 0.1 } else { 0.001 }
            }
        };
        dice.binomial(self.observed, share)
    }
}

/// In how many of the runs a rule fires within [`RUN`] samples of noise.
pub fn false_aborts<R: Rule>(noise: Noise, observed: u32, runs: u32, rule: impl Fn() -> R + Sync) -> u32 {
    firing(runs, || {
        let (mut stream, mut rule) = (Stream::new(noise, observed), rule());
        move |dice: &mut Dice| rule.take(observed, stream.next(dice))
    })
}

/// The same for whatever `begin` makes for each run: it takes one sample with the dice of the run and says whether it
/// fires.
pub fn firing<F: FnMut(&mut Dice) -> bool>(runs: u32, begin: impl Fn() -> F + Sync) -> u32 {
    let fires = |seed: u32| {
        let (mut dice, mut sample) = (Dice::new(u64::from(seed)), begin());
        (0..RUN).any(|_| sample(&mut dice))
    };
    in_parallel(runs, |seed| u32::from(fires(seed))).iter().sum()
}

/// A step of the bad share after a clean stretch.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub observed: u32,
    /// Clean samples before.
    pub clean: u32,
    pub before: f64,
    pub after: f64,
    /// Samples after the step in which a rule has to fire.
    pub most: u32,
}

/// How many samples after the step a rule fires, for every run that did not fire before, sorted; the ones that never
/// fired count as [`u32::MAX`].
pub fn delays<R: Rule>(step: Step, runs: u32, rule: impl Fn() -> R + Sync) -> Vec<u32> {
    delays_of((step.clean, step.most), runs, || {
        let mut rule = rule();
        move |dice: &mut Dice, after: bool| {
            let share = if after { step.after } else { step.before };
            rule.take(step.observed, dice.binomial(step.observed, share))
        }
    })
}

/// The same for whatever `begin` makes for each run: it takes one sample with the dice of the run, before or after the
/// step, and says whether it fires.
pub fn delays_of<F: FnMut(&mut Dice, bool) -> bool>(
    (clean, most): (u32, u32),
    runs: u32,
    begin: impl Fn() -> F + Sync,
) -> Vec<u32> {
    let one = |seed: u32| {
        let (mut dice, mut sample) = (Dice::new(u64::from(seed) + 7_000_000), begin());
        if (0..clean).any(|_| sample(&mut dice, false)) {
            return None;
        }
        let fired = (1..=most).find(|_| sample(&mut dice, true));
        Some(fired.unwrap_or(u32::MAX))
    };
    let mut all: Vec<u32> = in_parallel(runs, one).into_iter().flatten().collect();
    all.sort_unstable();
    all
}

/// The value below which this share of a sorted list is; `None` when it never came.
pub fn quantile(sorted: &[u32], share: f64) -> Option<u32> {
    let at = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
    sorted.get(at).copied().filter(|v| *v != u32::MAX)
}

/// Runs something for every seed from 1, on all cores; results in the order of the seeds.
pub fn in_parallel<T: Send>(runs: u32, work: impl Fn(u32) -> T + Sync) -> Vec<T> {
    let threads = thread::available_parallelism().map_or(1, |n| n.get() as u32);
    let share = runs.div_ceil(threads);
    thread::scope(|scope| {
        let work = &work;
        let workers: Vec<_> = (0..threads)
            .map(|t| {
                let seeds = (t * share + 1)..=((t + 1) * share).min(runs);
                scope.spawn(move || seeds.map(work).collect::<Vec<T>>())
            })
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().expect("a simulation does not panic"))
            .collect()
    })
}
