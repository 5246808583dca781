//! Whether the experimental group does worse than the control group, live: a gauge, never a decision.
//!
//! Two samples of the same moment with the same number of observations are as likely to be worse on one side as
//! on the other when the fault makes no difference, whatever is wrong with both. Each pair that differs is a bet
//! on a fair coin, with the same five stakes and the same red line as the abort detector (`steady-state` §3.2): what
//! both groups suffer alike moves nothing. The verdict is made from the counts, at the end.

use super::Tick;
use super::detector::Detector;
use crate::model::experiment::{Group, Hypothesis, ProbeSpec, Share};
use crate::model::ids::ProbeName;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One probe of the experimental group and its counterpart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Beside {
    probe: ProbeName,
    counterpart: ProbeName,
    detector: Detector,
    /// The side that was heard of first, until the other one is.
    waiting: Option<(Group, Tick)>,
}

impl Beside {
    /// One for every probe that the verdict compares with a probe of the control group.
    pub fn all(hypothesis: &Hypothesis, armed: Duration) -> Vec<Self> {
        let pairs: Vec<(&ProbeSpec, &ProbeSpec)> = hypothesis
            .verdict_probes()
            .filter_map(|probe| Some((probe, hypothesis.counterpart(&probe.name)?)))
            .collect();
        pairs
            .iter()
            .map(|(probe, counterpart)| Self {
                probe: probe.name.clone(),
                counterpart: counterpart.name.clone(),
                detector: Detector::new(hypothesis.alpha, pairs.len(), armed, hypothesis.interval),
                waiting: None,
            })
            .collect()
    }

    /// Whose gauge it is.
    pub fn probe(&self) -> &ProbeName {
        &self.probe
    }

    /// Evidence that the experimental group is worse, 0 to 100 per cent of what it takes to say so.
    pub fn percent(&self) -> u32 {
        self.detector.percent()
    }

    /// Takes a sample of either side; two of one moment are compared, others are let go.
    pub fn take(&mut self, probe: &ProbeName, tick: Tick, interval: Duration) {
        let side = match probe {
            p if *p == self.probe => Group::Experiment,
            p if *p == self.counterpart => Group::Control,
            _ => return,
        };
        let Some((_, other)) = self.waiting.take().filter(|(of, other)| {
            let apart = (tick.at - other.at).abs().to_std().unwrap_or(Duration::MAX);
            *of != side && apart < interval / 2
        }) else {
            self.waiting = Some((side, tick));
            return;
        };
        if tick.observed != other.observed || tick.bad == other.bad {
            return;
        }
        let worse = (tick.bad > other.bad) == (side == Group::Experiment);
        self.detector.take(f64::from(u8::from(worse)), Share::percent(50));
    }

    /// Forgets all evidence.
    pub fn reset(&mut self) {
        self.detector.reset();
        self.waiting = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::steady_state::testing::{at, hypothesis, probe};
    use crate::model::experiment::{Control, Role};

    const SECOND: Duration = Duration::from_secs(1);

    fn gauge() -> Beside {
        let mut h = hypothesis();
        h.control = Control::Parallel {
            control: "/shop/cart-control".into(),
            experiment: "/shop/cart".into(),
        };
        let mut other = probe("other", Role::Verdict);
        other.control_for = Some("edge".into());
        h.probes.push(other);
        let mut all = Beside::all(&h, Duration::from_secs(600));
        assert_eq!(all.len(), 1);
        all.remove(0)
    }

    /// Feeds pairs of bad counts, one a second, experiment first; the second at which the gauge is full.
    fn full_after(gauge: &mut Beside, pairs: impl IntoIterator<Item = (u32, u32)>) -> Option<u32> {
        pairs.into_iter().zip(0..).find_map(|((experiment, control), s)| {
            for (name, bad, late) in [("edge", experiment, 0.0), ("other", control, 0.1)] {
                let tick = Tick {
                    at: at(f64::from(s) + late),
                    observed: 100,
                    bad,
                };
                gauge.take(&name.into(), tick, SECOND);
            }
            (gauge.percent() == 100).then_some(s + 1)
        })
    }

    #[test]
    fn a_difference_that_is_always_there_fills_it_in_under_twenty_samples() {
        let found = full_after(&mut gauge(), std::iter::repeat_n((2, 0), 60));
        assert!(found.is_some_and(|s| (16..=19).contains(&s)), "{found:?}");
    }

    #[test]
    fn what_both_groups_suffer_alike_moves_nothing() {
        let mut g = gauge();
        assert_eq!(full_after(&mut g, std::iter::repeat_n((60, 60), 600)), None);
        assert_eq!(g.percent(), 0);
        // In turns, as a fair coin does at its most orderly.
        let turns = (0..600).map(|s| if s % 2 == 0 { (9, 10) } else { (10, 9) });
        assert_eq!(full_after(&mut g, turns), None);
        // Better than the control is no harm.
        assert_eq!(full_after(&mut gauge(), std::iter::repeat_n((0, 5), 600)), None);
    }

    #[test]
    fn only_samples_of_one_moment_and_one_size_are_compared() {
        let mut g = gauge();
        let tick = |s: f64, observed: u32, bad: u32| Tick {
            at: at(s),
            observed,
            bad,
        };
        for s in 0..60 {
            let s = f64::from(s) * 2.0;
            g.take(&"edge".into(), tick(s, 100, 50), SECOND);
            g.take(&"other".into(), tick(s + 0.6, 100, 0), SECOND);
            g.take(&"edge".into(), tick(s + 1.2, 100, 50), SECOND);
            g.take(&"other".into(), tick(s + 1.3, 99, 0), SECOND);
            g.take(&"third".into(), tick(s + 1.3, 100, 0), SECOND);
        }
        assert_eq!(g.percent(), 0);
    }
}
