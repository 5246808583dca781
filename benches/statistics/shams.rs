//! Simulated runs with sham slots (§3.2 of the page), judged by the real intervals and the real permutation test.

use super::dice::Dice;
use super::{Noise, Stream, in_parallel};
use heartbreak::engine::steady_state::intervals::{ERROR, chance, differences, paired};
use heartbreak::model::verdict::{Counts, HypothesisResult};

/// Half the usual limit.
const MARGIN: f64 = 0.005;
const PAIRS: u32 = 4;
const PER_SECOND: u32 = 100;
/// Seconds that are compared after every kill and every sham, and seconds to settle after that.
const WINDOW: u32 = 60;
const SETTLE: u32 = 60;
/// The smallest chance that four pairs can show: one of the 16 ways to exchange them.
const FLOOR: f64 = 1.0 / 16.0;

/// How the bad share comes about while nothing is done. Its mean, or median, is 0.1 %.
#[derive(Clone, Copy, Debug)]
pub enum Background {
    /// Its logarithm is AR(1), φ = 0.98, with this deviation, and rises by so much over the whole run.
    Wanders { deviation: f64, drift: f64 },
    /// Bursts of 10 %.
    Bursts,
}

pub const BACKGROUNDS: [(&str, Background); 4] = [
    (
        "wander 0.3",
        Background::Wanders {
            deviation: 0.3,
            drift: 0.0,
        },
    ),
    (
        "wander 0.7",
        Background::Wanders {
            deviation: 0.7,
            drift: 0.0,
        },
    ),
    (
        "wander 0.7, doubles",
        Background::Wanders {
            deviation: 0.7,
            drift: std::f64::consts::LN_2,
        },
    ),
    ("bursts", Background::Bursts),
];

/// What a kill does: so large a share fails for so many seconds; and what the page says of it, over its backgrounds.
pub const EFFECTS: [(&str, f64, u32, &str); 4] = [
    ("nothing", 0.0, 0, "held 82 to 100, found 4 to 7"),
    ("10 % for 5 s", 0.1, 5, "found 95 to 100"),
    ("2 % for 30 s", 0.02, 30, "found 94 to 100"),
    ("100 % for 3 s", 1.0, 3, "disproved 100"),
];

/// In how many per cent of the runs the hypothesis is held, disproved, and a difference found: the pairs differ as far
/// as their exchange can show.
pub fn shams(background: Background, share: f64, lasts: u32, runs: u32) -> [f64; 3] {
    let all = in_parallel(runs, |seed| {
        let pairs = one(
            &mut Dice::new(u64::from(seed) + 90_000_000),
            background,
            share,
            lasts,
        );
        let found = chance(&differences(&pairs)).is_some_and(|chance| chance <= FLOOR);
        (paired(&pairs, ERROR).says(MARGIN), found)
    });
    let percent = |of: fn(&(HypothesisResult, bool)) -> bool| {
        100.0 * all.iter().filter(|run| of(run)).count() as f64 / f64::from(runs)
    };
    [
        percent(|(says, _)| *says == HypothesisResult::Held),
        percent(|(says, _)| *says == HypothesisResult::Disproved),
        percent(|(_, found)| *found),
    ]
}

/// What was seen after the kill and after the sham of every pair.
fn one(dice: &mut Dice, background: Background, share: f64, lasts: u32) -> Vec<(Counts, Counts)> {
    let mut bursts = Stream::new(Noise::Bursts, PER_SECOND);
    let mut wander = dice.normal();
    let length = f64::from(2 * PAIRS * (WINDOW + SETTLE));
    let mut second = 0.0;
    let mut slot = |dice: &mut Dice, kill: bool| {
        let mut seen = Counts::default();
        for at in 0..WINDOW + SETTLE {
            second += 1.0;
            let harm = if kill && at < lasts { share } else { 0.0 };
            let usual = match background {
                Background::Bursts => bursts.next(dice),
                Background::Wanders { deviation, drift } => {
                    wander = 0.98 * wander + (1.0_f64 - 0.98 * 0.98).sqrt() * dice.normal();
                    let log = deviation * wander + drift * second / length;
                    dice.binomial(PER_SECOND, (0.001 * log.exp()).min(0.5))
                }
            };
            // Of those that would not have failed anyhow.
            let bad = usual + dice.binomial(PER_SECOND - usual, harm);
            if at < WINDOW {
                seen = seen
                    + Counts {
                        observed: u64::from(PER_SECOND),
                        bad: u64::from(bad),
                    };
            }
        }
        seen
    };
    (0..PAIRS)
        .map(|_| {
            let kill_first = dice.share() < 0.5;
            let (first, second) = (slot(dice, kill_first), slot(dice, !kill_first));
            if kill_first {
                (first, second)
            } else {
                (second, first)
            }
        })
        .collect()
}
