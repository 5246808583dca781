//! Sham slots: every kill gets a window in which everything is done but the kill (`steady-state` §3.2).
//!
//! The order of the two slots of a pair is drawn from the seed like everything else, and stands in the
//! plan: it is digested, shown and approved, and nobody chooses it once the plan is made.

use super::targets::Lot;
use crate::model::plan::{Slot, Step, Target};

/// Gives each kill its sham: one pair of slots for each of `real`, in order, numbered anew.
///
/// A sham names as many tasks as its kill: from `spare`, which no kill of the plan names, or, where there
/// are too few of those, the tasks of the next kill, which live until then.
///
/// # Errors
///
/// When every task is killed and the last slot would be a sham: it would have nobody to name.
pub fn in_pairs(real: Vec<Step>, spare: &[Target], lot: &Lot<'_>) -> Result<Vec<Step>, String> {
    let mut steps = Vec::with_capacity(real.len() * 2);
    let mut turn = 0;
    for (pair, kill) in (1..).zip(&real) {
        let sham_first = lot.coin(&format!("slot|{pair}"));
        let wanted = kill.targets.len();
        let named = if spare.len() >= wanted {
            let named = spare.iter().cycle().skip(turn).take(wanted).cloned().collect();
            turn = (turn + wanted) % spare.len();
            named
        } else if sham_first {
            kill.targets.clone()
        } else {
            let next = real.get(pair as usize).map(|next| next.targets.clone());
            next.ok_or_else(|| {
                format!(
                    "the plan kills every task that may be hit, so its last sham has none to name: \
                     kill at least {wanted} fewer, or write `control: {{ design: beforeAfter }}`"
                )
            })?
        };
        let slot = |sham| Some(Slot { pair, sham });
        let kill = Step {
            slot: slot(false),
            ..kill.clone()
        };
        let sham = Step {
            number: 0,
            targets: named,
            slot: slot(true),
        };
        steps.extend(if sham_first { [sham, kill] } else { [kill, sham] });
    }
    for (number, step) in (1..).zip(&mut steps) {
        step.number = number;
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::fixture::target;

    fn kills(count: u32) -> Vec<Step> {
        (1..=count)
            .map(|number| Step {
                number,
                targets: vec![target(number - 1)],
                slot: None,
            })
            .collect()
    }

    fn lot(seed: &str) -> Lot<'_> {
        Lot {
            seed,
            purpose: "cart|request 7",
        }
    }

    /// `K` for a kill, `s` for a sham, in order.
    fn order(steps: &[Step]) -> String {
        steps
            .iter()
            .map(|s| if s.is_sham() { 's' } else { 'K' })
            .collect()
    }

    #[test]
    fn every_pair_has_one_kill_and_one_sham_and_the_kills_keep_their_order() {
        let spare: Vec<_> = (5..9).map(target).collect();
        for seed in 0..200 {
            let seed = seed.to_string();
            let steps = in_pairs(kills(5), &spare, &lot(&seed)).unwrap();
            assert_eq!(steps.len(), 10);
            assert!((1..).zip(&steps).all(|(n, s)| s.number == n));
            for (pair, slots) in (1..).zip(steps.chunks(2)) {
                assert!(slots.iter().all(|s| s.slot.unwrap().pair == pair));
                assert_ne!(slots[0].is_sham(), slots[1].is_sham(), "{}", order(&steps));
            }
            let killed: Vec<_> = steps.iter().filter(|s| !s.is_sham()).collect();
            assert!((0..).zip(&killed).all(|(n, s)| s.targets == [target(n)]));
            // Nobody names a task that is dead by then, in a sham or otherwise.
            for (place, sham) in steps.iter().enumerate().filter(|(_, s)| s.is_sham()) {
                let dead = steps[..place]
                    .iter()
                    .filter(|s| !s.is_sham())
                    .flat_map(|s| &s.targets);
                assert!(dead.clone().all(|t| !sham.targets.contains(t)), "{steps:?}");
            }
        }
    }

    #[test]
    fn the_order_is_drawn_evenly_and_the_same_seed_draws_the_same() {
        let spare = [target(8), target(9)];
        let drawn = |seed: &str| order(&in_pairs(kills(5), &spare, &lot(seed)).unwrap());
        assert_eq!(drawn("s"), drawn("s"));
        let mut first = [0_u32; 5];
        for seed in 0..1_000 {
            let order = drawn(&seed.to_string());
            for (pair, count) in first.iter_mut().enumerate() {
                *count += u32::from(order.as_bytes()[pair * 2] == b's');
            }
        }
        // 500 ± 4.5 standard deviations of 15.8, in every place.
        assert!(first.iter().all(|n| (429..=571).contains(n)), "{first:?}");
    }

    #[test]
    fn where_every_task_is_killed_a_sham_names_the_next_one_or_there_is_no_plan() {
        let mut refused = 0;
        for seed in 0..100 {
            match in_pairs(kills(3), &[], &lot(&seed.to_string())) {
                Err(why) => {
                    assert!(why.contains("kill at least 1 fewer"), "{why}");
                    refused += 1;
                }
                Ok(steps) => assert!(order(&steps).ends_with("sK")),
            }
        }
        assert!((25..=75).contains(&refused), "{refused}");
    }
}
