//! Latencies, and the rules that watch them.

use super::dice::Dice;
use super::rules::{Count, Rule};
use statrs::distribution::{ContinuousCDF, Normal};
use std::collections::VecDeque;

/// Of the natural logarithm of a log-normal latency whose 99 % quantile is ten times its median (20 and 200 ms).
const DEVIATION: f64 = std::f64::consts::LN_10 / 2.326;

/// How long requests take at the moment.
#[derive(Clone, Copy, Debug)]
pub struct Latencies {
    /// So many times as long as usual.
    factor: f64,
    /// For this share of requests.
    of: f64,
    /// Added to the natural logarithm of all.
    wander: f64,
}

impl Latencies {
    pub const USUAL: Self = Self::all(1.0);

    pub const fn all(factor: f64) -> Self {
        Self::some(1.0, factor)
    }

    pub const fn some(of: f64, factor: f64) -> Self {
        Self {
            factor,
            of,
            wander: 0.0,
        }
    }

    pub fn wandered(wander: f64) -> Self {
        Self {
            wander,
            ..Self::USUAL
        }
    }

    /// The share of requests that take longer than `line` times the usual 99 % quantile.
    pub fn above(self, line: f64) -> f64 {
        1.0 - self.below(line.ln())
    }

    fn below(self, log: f64) -> f64 {
        let at = log + std::f64::consts::LN_10 - self.wander;
        let share = |shift: f64| Normal::standard().cdf((at - shift) / DEVIATION);
        let slowed = self.of * share(self.factor.ln());
        if self.of < 1.0 {
            slowed + (1.0 - self.of) * share(0.0)
        } else {
            slowed
        }
    }

    /// The 99 % quantile of so many requests, as ln of its ratio to the usual one: the request at rank `⌈0.99 n⌉`,
    /// whose place in the distribution is Beta(rank, n - rank + 1).
    pub fn p99(self, observed: u32, dice: &mut Dice) -> f64 {
        let rank = (99 * observed).div_ceil(100);
        let place = dice.beta(f64::from(rank), f64::from(observed - rank + 1));
        let (mut low, mut high) = (-10.0, 10.0);
        if self.of >= 1.0 {
            return DEVIATION * Normal::standard().inverse_cdf(place) - std::f64::consts::LN_10
                + self.factor.ln()
                + self.wander;
        }
        for _ in 0..40 {
            let middle = f64::midpoint(low, high);
            if self.below(middle) < place {
                low = middle;
            } else {
                high = middle;
            }
        }
        high
    }
}

/// A slow wander of the logarithm of all latencies: AR(1), φ = 0.95, scaled so that its deviation stays what it is.
pub struct Wander {
    deviation: f64,
    at: Option<f64>,
}

impl Wander {
    pub fn new(deviation: f64) -> Self {
        Self { deviation, at: None }
    }

    pub fn next(&mut self, dice: &mut Dice) -> Latencies {
        let before = self.at.unwrap_or_else(|| self.deviation * dice.normal());
        let now = 0.95 * before + self.deviation * (1.0_f64 - 0.95 * 0.95).sqrt() * dice.normal();
        self.at = Some(now);
        Latencies::wandered(now)
    }
}

/// Looks at the latencies of one second after the other and says when to abort. It draws what it looks at: the number
/// of slow requests or the 99 % quantile.
pub trait Watch {
    /// Whether it fires in a second with so many requests.
    fn look(&mut self, now: Latencies, observed: u32, dice: &mut Dice) -> bool;
}

impl Watch for Box<dyn Watch> {
    fn look(&mut self, now: Latencies, observed: u32, dice: &mut Dice) -> bool {
        (**self).look(now, observed, dice)
    }
}

/// A rule for bad shares, where bad is slower than `line` times the usual 99 % quantile.
pub struct Slow<R> {
    pub line: f64,
    pub rule: R,
}

impl<R: Rule> Watch for Slow<R> {
    fn look(&mut self, now: Latencies, observed: u32, dice: &mut Dice) -> bool {
        self.rule
            .take(observed, dice.binomial(observed, now.above(self.line)))
    }
}

/// The 99 % quantile of a second is above a line (in usual 99 % quantiles), this often in a row.
pub struct P99Above {
    line: f64,
    count: Count,
}

impl P99Above {
    pub fn in_a_row(wanted: usize, line: f64) -> Self {
        Self {
            line: line.ln(),
            count: Count::new(wanted, wanted),
        }
    }
}

impl Watch for P99Above {
    fn look(&mut self, now: Latencies, observed: u32, dice: &mut Dice) -> bool {
        self.count.take(1, u32::from(now.p99(observed, dice) > self.line))
    }
}

/// Seconds from which the two rules below learn what is usual, before they can fire.
const BASELINE: usize = 60;

/// CUSUM on the logarithm of the 99 % quantile: `S <- max(0, S + (x - μ)/σ - ½)` fires above 8, with μ and σ as the
/// first minute gives them.
///
/// The page does not say that k is ½, as in the books, nor how long the baseline is.
#[derive(Default)]
pub struct P99Cusum {
    baseline: Vec<f64>,
    mean: f64,
    deviation: f64,
    sum: f64,
}

impl Watch for P99Cusum {
    fn look(&mut self, now: Latencies, observed: u32, dice: &mut Dice) -> bool {
        let x = now.p99(observed, dice);
        if self.baseline.len() < BASELINE {
            self.baseline.push(x);
            let n = self.baseline.len() as f64;
            self.mean = self.baseline.iter().sum::<f64>() / n;
            let squares: f64 = self.baseline.iter().map(|x| (x - self.mean).powi(2)).sum();
            self.deviation = (squares / (n - 1.0)).sqrt();
            return false;
        }
        self.sum = (self.sum + (x - self.mean) / self.deviation - 0.5).max(0.0);
        self.sum > 8.0
    }
}

/// Mann-Whitney on the 99 % quantiles of the last ten seconds against those of the first minute, one-sided, by the
/// normal approximation, looked at every second.
///
/// The page calls it sliding. Its figures fit a last ten seconds that slides and a minute that does not: with a minute
/// that slides along, 90 % of runs fire at 1 %, and a small rise is taken for usual before it is seen.
pub struct P99Ranks {
    quantile: f64,
    baseline: Vec<f64>,
    last: VecDeque<f64>,
}

/// Seconds of the window that slides.
const WINDOW: usize = 10;

impl P99Ranks {
    /// Fires above this quantile of the standard normal.
    pub fn above(quantile: f64) -> Self {
        Self {
            quantile,
            baseline: vec![],
            last: VecDeque::new(),
        }
    }
}

impl Watch for P99Ranks {
    fn look(&mut self, now: Latencies, observed: u32, dice: &mut Dice) -> bool {
        let x = now.p99(observed, dice);
        if self.baseline.len() < BASELINE {
            self.baseline.push(x);
            return false;
        }
        if self.last.len() == WINDOW {
            self.last.pop_front();
        }
        self.last.push_back(x);
        let below = |x: f64| self.baseline.iter().filter(|usual| **usual < x).count();
        let above: usize = self.last.iter().map(|x| below(*x)).sum();
        let (a, b) = (WINDOW as f64, BASELINE as f64);
        let z = (above as f64 - a * b / 2.0) / (a * b * (a + b + 1.0) / 12.0).sqrt();
        self.last.len() == WINDOW && z > self.quantile
    }
}
