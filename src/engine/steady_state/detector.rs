//! The abort detector: a Shiryaev–Roberts e-detector that is robust to bursts inside a sample.
//!
//! Null hypothesis: at every sample, given the past, the *expected* bad share is at most the limit
//! ℓ. For each of five fractions f, with y the bad share of a sample,
//!
//! ```text
//! R_f ← (1 + R_f) · (1 + f·(y − ℓ)/ℓ)          R_f starts at 0
//! M   ← mean of the five R_f
//! abort when M ≥ c,   c = m·T / α
//! ```
//!
//! with m abort probes and T samples in the armed window. Each factor is a bet whose expectation is
//! at most 1 under the null and which is never negative, so M − t is a supermartingale and the chance
//! of a false abort within T samples is at most T/c = α/m, for any dependence of requests inside a
//! sample and for limits that change, as long as a sample's limit is fixed before it is taken.
//!
//! Source: the e-detectors of Shin, Ramdas and Rinaldo (2022) with the betting martingale of
//! Waudby-Smith and Ramdas.

use crate::model::experiment::Share;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Shares of the stake, each with weight one fifth: small ones for slow burns, large ones for outages.
const FRACTIONS: [f64; 5] = [0.05, 0.1, 0.25, 0.5, 0.9];

/// Where the evidence stops growing, so that a long outage does not run into infinity, which no
/// later good sample could ever bring down and which JSON cannot say.
const MOST: f64 = 1e300;

/// Collects evidence that a probe's bad share is above its limit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Detector {
    /// R_f for each fraction, as the bits of a float: text would lose the last digit.
    #[serde(with = "bits")]
    bets: [f64; 5],
    /// c.
    threshold: f64,
}

impl Detector {
    /// A detector without evidence.
    ///
    /// `probes` is the number of probes that share `alpha`, `armed` the longest the run is armed.
    /// An `alpha` of 0 asks for the impossible and is read as one in a million.
    pub fn new(alpha: Share, probes: usize, armed: Duration, interval: Duration) -> Self {
        let alpha = Share(alpha.0.max(1)).as_f64();
        Self::with_threshold(probes.max(1) as f64 * samples_in(armed, interval) / alpha)
    }

    /// A detector that fires at this much evidence; at least 1, at most 10³⁰⁰.
    pub fn with_threshold(threshold: f64) -> Self {
        Self {
            bets: [0.0; 5],
            threshold: threshold.clamp(1.0, MOST),
        }
    }

    /// Takes one sample: its bad share against the limit that was fixed before it was taken.
    ///
    /// A blind sample is not taken at all. Under a limit of 0 a single bad observation is proof.
    pub fn take(&mut self, share: f64, limit: Share) {
        let (share, limit) = (share.clamp(0.0, 1.0), limit.as_f64());
        let excess = match (share > 0.0, limit > 0.0) {
            (_, true) => (share - limit) / limit,
            (true, false) => MOST,
            (false, false) => -1.0,
        };
        for (bet, fraction) in self.bets.iter_mut().zip(FRACTIONS) {
            *bet = ((1.0 + *bet) * (1.0 + fraction * excess)).min(MOST);
        }
    }

    /// M, the evidence.
    pub fn evidence(&self) -> f64 {
        // Divided first: five times the most does not fit into a float.
        self.bets.iter().map(|bet| bet / FRACTIONS.len() as f64).sum()
    }

    /// c, the red line.
    pub fn threshold(&self) -> f64 {
        self.threshold
    }

    /// Whether there is enough evidence to abort.
    pub fn fires(&self) -> bool {
        self.evidence() >= self.threshold
    }

    /// Evidence as a share of what an abort needs, in per cent of log(1 + M) ÷ log(1 + c), rounded
    /// down; 100 if and only if it fires.
    pub fn percent(&self) -> u32 {
        if self.fires() {
            return 100;
        }
        let gauge = self.evidence().ln_1p() / self.threshold.ln_1p() * 100.0;
        gauge.clamp(0.0, 99.0) as u32
    }

    /// Forgets all evidence.
    pub fn reset(&mut self) {
        self.bets = [0.0; 5];
    }
}

/// T: how many samples fit into the armed window, at least one.
fn samples_in(armed: Duration, interval: Duration) -> f64 {
    let interval = interval.as_secs_f64().max(1e-3);
    (armed.as_secs_f64() / interval).ceil().max(1.0)
}

/// Floats by their bits: what comes back is what went in.
mod bits {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(bets: &[f64; 5], to: S) -> Result<S::Ok, S::Error> {
        bets.map(f64::to_bits).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[f64; 5], D::Error> {
        let bets = <[u64; 5]>::deserialize(from)?.map(f64::from_bits);
        if bets.iter().all(|bet| (0.0..=super::MOST).contains(bet)) {
            Ok(bets)
        } else {
            Err(serde::de::Error::custom(
                "evidence is not a number from 0 to 1e300",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::steady_state::testing::Dice;

    const ONE: Share = Share::percent(1);

    /// The number of the sample, from 1, at which a stream fires at c = 60,000; blind is `None`.
    #[track_caller]
    fn check(limit: Share, stream: impl IntoIterator<Item = Option<f64>>, fires_at: Option<usize>) {
        let mut detector = Detector::with_threshold(60_000.0);
        let fired = stream.into_iter().take(5_000).position(|sample| {
            if let Some(share) = sample {
                detector.take(share, limit);
            }
            detector.fires()
        });
        assert_eq!(fired.map(|index| index + 1), fires_at);
    }

    fn constant(share: f64) -> impl Iterator<Item = Option<f64>> {
        std::iter::repeat(Some(share))
    }

    #[test]
    fn fires_at_the_published_samples() {
        check(ONE, constant(0.0).take(20).chain(constant(1.0)), Some(23));
        check(ONE, constant(0.05), Some(9));
        check(ONE, constant(0.20), Some(5));
        check(ONE, constant(0.02), Some(19));
        check(ONE, constant(0.01), None);
        check(ONE, constant(0.0), None);
        check(ONE, constant(1.0), Some(3));
        check(ONE, [Some(1.0), None, Some(1.0), None, Some(1.0)], Some(5));
        check(Share::percent(5), constant(1.0), Some(5));
        check(
            Share::percent(5),
            [Some(0.0), Some(1.0)].into_iter().cycle(),
            Some(14),
        );
    }

    #[test]
    fn evidence_grows_as_published() {
        let mut detector = Detector::with_threshold(60_000.0);
        for expected in [2.44, 9.952, 37.3136] {
            detector.take(0.05, ONE);
            assert!(
                (detector.evidence() - expected).abs() < 1e-9,
                "{}",
                detector.evidence()
            );
        }
        let mut detector = Detector::with_threshold(60_000.0);
        (0..600).for_each(|_| detector.take(0.01, ONE));
        assert!((detector.evidence() - 600.0).abs() < 1e-6);
        let mut detector = Detector::with_threshold(60_000.0);
        (0..600).for_each(|_| detector.take(0.0, ONE));
        assert!(
            (detector.evidence() - 6.4222).abs() < 1e-3,
            "{}",
            detector.evidence()
        );
    }

    #[test]
    fn the_threshold_is_probes_times_samples_over_alpha() {
        let second = Duration::from_secs(1);
        let c = |probes, armed, interval| Detector::new(ONE, probes, armed, interval).threshold();
        assert_eq!(c(1, Duration::from_secs(600), second), 60_000.0);
        assert_eq!(c(3, Duration::from_secs(600), second), 180_000.0);
        assert_eq!(
            c(1, Duration::from_secs(600), Duration::from_millis(250)),
            240_000.0
        );
        assert_eq!(c(1, Duration::ZERO, second), 100.0);
        assert!(Detector::new(Share(0), 1, second, second).threshold().is_finite());
    }

    #[test]
    fn a_long_outage_stays_finite_and_fired() {
        let mut detector = Detector::with_threshold(60_000.0);
        for _ in 0..100_000 {
            detector.take(1.0, Share(1));
        }
        assert!(detector.evidence().is_finite() && detector.fires());
    }

    #[test]
    fn under_a_limit_of_zero_one_bad_observation_is_proof() {
        let mut detector = Detector::with_threshold(60_000.0);
        (0..10).for_each(|_| detector.take(0.0, Share(0)));
        assert!(!detector.fires());
        detector.take(0.001, Share(0));
        assert!(detector.fires() && detector.evidence().is_finite());
    }

    #[test]
    fn the_gauge_says_100_only_when_it_fires() {
        let mut detector = Detector::with_threshold(60_000.0);
        assert_eq!(detector.percent(), 0);
        let mut last = 0;
        while !detector.fires() {
            assert!(detector.percent() < 100 && detector.percent() >= last);
            last = detector.percent();
            detector.take(0.02, ONE);
        }
        assert_eq!(detector.percent(), 100);
        let mut near = Detector::with_threshold(600.000_001);
        (0..600).for_each(|_| near.take(0.01, ONE));
        assert_eq!(near.percent(), 99);
    }

    #[test]
    fn json_brings_back_every_bit() {
        let mut detector = Detector::with_threshold(60_000.0);
        for step in 0..2_000 {
            detector.take(f64::from(step % 7) / 50.0, ONE);
            let text = serde_json::to_string(&detector).unwrap();
            assert_eq!(serde_json::from_str::<Detector>(&text).unwrap(), detector);
        }
        let broken = r#"{"bets":[18446744073709551615,0,0,0,0],"threshold":1.0}"#;
        assert!(serde_json::from_str::<Detector>(broken).is_err());
    }

    /// Runs null streams of 600 samples and counts those that fire; α is 1 % for each.
    #[track_caller]
    fn law(seed: u64, mut sample: impl FnMut(&mut Dice) -> f64) {
        const RUNS: u32 = 1_000;
        let mut dice = Dice(seed);
        let fired = (0..RUNS)
            .filter(|_| {
                let mut detector = Detector::new(ONE, 1, Duration::from_secs(600), Duration::from_secs(1));
                (0..600).any(|_| {
                    detector.take(sample(&mut dice), ONE);
                    detector.fires()
                })
            })
            .count();
        // At α = 1 % 10 are expected at the most; 23 is four standard deviations above.
        assert!(fired <= 23, "{fired} of {RUNS} null streams fired");
    }

    #[test]
    fn null_streams_abort_no_more_often_than_alpha() {
        law(1, |dice| f64::from(dice.of(20, 0.01)) / 20.0);
        law(2, |dice| f64::from(dice.of(1, 0.01)));
        // All requests of a second fail together: the worst dependence inside a sample.
        law(3, |dice| if dice.share() < 0.02 { 0.5 } else { 0.0 });
        law(4, |dice| if dice.share() < 0.10 { 0.1 } else { 0.0 });
    }
}
