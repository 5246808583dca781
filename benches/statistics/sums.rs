//! Rules that others use and that only know sums since the start, or single requests.
//!
//! The design page names the z-tests, mSPRT and request-level SR without saying how they are computed. What stands
//! here is the plainest definition that gives its figures; each says where it does not.

use super::rules::{LIMIT, Rule};

/// Requests and bad ones since the start.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    observed: f64,
    bad: f64,
}

impl Sums {
    fn add(&mut self, observed: u32, bad: u32) {
        self.observed += f64::from(observed);
        self.bad += f64::from(bad);
    }
}

/// The share of all requests since the start is above the limit: k6's thresholds. k6 looks every two seconds; here
/// every sample is looked at, as on the page.
pub struct Pooled(Sums);

impl Pooled {
    pub fn new() -> Self {
        Self(Sums::default())
    }
}

impl Rule for Pooled {
    fn take(&mut self, observed: u32, bad: u32) -> bool {
        self.0.add(observed, bad);
        self.0.bad > LIMIT * self.0.observed
    }
}

/// The one-sided z-test of the share since the start against a fixed share, at 1 %, looked at after every sample as if
/// it were the only look: `(k/n - p) / sqrt(p (1 - p) / n) > 2.326`, once five requests were bad, as the normal
/// approximation is taken to need.
///
/// "Against the baseline" is against the true 0.1 % of the baseline. The page's figures fit that, and none of a
/// baseline that is itself measured for one to ten minutes.
pub struct ZTest {
    share: f64,
    sums: Sums,
}

impl ZTest {
    pub fn against(share: f64) -> Self {
        Self {
            share,
            sums: Sums::default(),
        }
    }
}

impl Rule for ZTest {
    fn take(&mut self, observed: u32, bad: u32) -> bool {
        self.sums.add(observed, bad);
        let Sums { observed, bad } = self.sums;
        let error = (self.share * (1.0 - self.share) / observed).sqrt();
        bad >= 5.0 && bad / observed - self.share > 2.326 * error
    }
}

/// Bad shares that a request-level rule has in mind: multiples of the limit, and everything.
const ALTERNATIVES: [f64; 8] = [0.015, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 0.99];

/// The likelihood ratio of every alternative against the limit, each request on its own; their mean is the evidence.
///
/// Right where requests fail independently of each other, and only there. The alternatives are ours.
pub struct Requests {
    /// Natural logarithms of Λ or R, for each alternative: no float holds them otherwise.
    logs: [f64; ALTERNATIVES.len()],
    restarts: bool,
    threshold: f64,
}

impl Requests {
    /// mSPRT: `Λ <- Λ · LR` from one start, fires at 1/α = 100.
    ///
    /// At the limit and 20 requests a second it fires in some 0.35 % of runs, on the page in 0.1 %; everything else fits.
    /// Of the slowest step (2 %) the page gives no 95 % quantile; ours is about 410 s.
    pub fn single_start() -> Self {
        Self {
            logs: [0.0; ALTERNATIVES.len()],
            restarts: false,
            threshold: 100.0,
        }
    }

    /// SR: `R <- (1 + R) · LR`, which starts afresh at every sample, fires at T/α = 60,000.
    pub fn restarted() -> Self {
        Self {
            logs: [f64::NEG_INFINITY; ALTERNATIVES.len()],
            restarts: true,
            threshold: 60_000.0,
        }
    }
}

impl Rule for Requests {
    fn take(&mut self, observed: u32, bad: u32) -> bool {
        let (good, bad) = (f64::from(observed - bad), f64::from(bad));
        for (log, share) in self.logs.iter_mut().zip(ALTERNATIVES) {
            if self.restarts {
                // ln(1 + R).
                *log = log.max(0.0) + (-log.abs()).exp().ln_1p();
            }
            *log += bad * (share / LIMIT).ln() + good * ((1.0 - share) / (1.0 - LIMIT)).ln();
        }
        let evidence: f64 = self.logs.iter().map(|log| log.exp()).sum();
        evidence >= self.threshold * ALTERNATIVES.len() as f64
    }
}
