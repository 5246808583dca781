//! The rules that are compared. `Default` is the one that is built in; the others are what people use elsewhere.

use heartbreak::engine::steady_state::detector::Detector;
use heartbreak::engine::steady_state::hard_line;
use heartbreak::model::experiment::Share;
use std::collections::VecDeque;
use std::time::Duration;

/// The limit of every table.
pub const LIMIT: f64 = 0.01;

/// Takes samples and says when to abort.
pub trait Rule {
    /// Takes `bad` of `observed`; whether it fires now.
    fn take(&mut self, observed: u32, bad: u32) -> bool;
}

impl Rule for Box<dyn Rule> {
    fn take(&mut self, observed: u32, bad: u32) -> bool {
        (**self).take(observed, bad)
    }
}

/// The detector alone: "SR, batch-robust".
pub struct Robust {
    detector: Detector,
    limit: Share,
}

impl Robust {
    /// For samples this far apart, limit 1 %, α = 1 % in ten minutes.
    pub fn every(interval: Duration) -> Self {
        Self::with(Share::percent(1), Share::percent(1), interval)
    }

    /// For samples this far apart, with this limit, and this chance of a false abort in ten minutes.
    pub fn with(limit: Share, alpha: Share, interval: Duration) -> Self {
        Self {
            detector: Detector::new(alpha, 1, Duration::from_secs(600), interval),
            limit,
        }
    }
}

impl Rule for Robust {
    fn take(&mut self, observed: u32, bad: u32) -> bool {
        self.detector
            .take(f64::from(bad) / f64::from(observed), self.limit);
        self.detector.fires()
    }
}

/// What a policy gets: the detector and a hard line of 50 %.
pub struct Default(Robust);

impl Default {
    pub fn every(interval: Duration) -> Self {
        Self(Robust::every(interval))
    }

    /// See [`Robust::with`].
    pub fn with(limit: Share, alpha: Share, interval: Duration) -> Self {
        Self(Robust::with(limit, alpha, interval))
    }
}

impl Rule for Default {
    fn take(&mut self, observed: u32, bad: u32) -> bool {
        let hard = f64::from(bad) > 0.5 * f64::from(observed)
            && hard_line::crosses(observed, bad, Share::percent(50));
        self.0.take(observed, bad) || hard
    }
}

/// At least `wanted` of the last `of` samples are above the limit.
pub struct Count {
    wanted: usize,
    of: usize,
    last: VecDeque<bool>,
}

impl Count {
    pub fn new(wanted: usize, of: usize) -> Self {
        Self {
            wanted,
            of,
            last: VecDeque::new(),
        }
    }
}

impl Rule for Count {
    fn take(&mut self, observed: u32, bad: u32) -> bool {
        if self.last.len() == self.of {
            self.last.pop_front();
        }
        self.last.push_back(f64::from(bad) > LIMIT * f64::from(observed));
        self.last.iter().filter(|above| **above).count() >= self.wanted
    }
}

/// An exponentially weighted mean above the limit.
pub struct Ewma(f64);

impl Ewma {
    pub fn new() -> Self {
        Self(0.0)
    }
}

impl Rule for Ewma {
    fn take(&mut self, observed: u32, bad: u32) -> bool {
        self.0 += 0.2 * (f64::from(bad) / f64::from(observed) - self.0);
        self.0 > LIMIT
    }
}

/// The pooled share of every one of some windows is above a line.
pub struct Windows {
    lengths: &'static [usize],
    line: f64,
    /// Looks from this many samples on, at what there is by then.
    from: usize,
    last: VecDeque<(u32, u32)>,
}

impl Windows {
    pub fn new(lengths: &'static [usize], line: f64, from: usize) -> Self {
        Self {
            lengths,
            line,
            from,
            last: VecDeque::new(),
        }
    }
}

impl Rule for Windows {
    fn take(&mut self, observed: u32, bad: u32) -> bool {
        let longest = self.lengths.iter().copied().max().unwrap_or(1);
        if self.last.len() == longest {
            self.last.pop_front();
        }
        self.last.push_back((observed, bad));
        let above = |length: usize| {
            let (n, k) = self
                .last
                .iter()
                .rev()
                .take(length)
                .fold((0, 0), |(n, k), (observed, bad)| (n + observed, k + bad));
            f64::from(k) > self.line * f64::from(n)
        };
        self.last.len() >= self.from && self.lengths.iter().all(|length| above(*length))
    }
}

/// CUSUM of the likelihood ratio of 2 % against 0.1 %, from 0, firing at 8.
pub struct Cusum(f64);

impl Cusum {
    pub fn new() -> Self {
        Self(0.0)
    }
}

impl Rule for Cusum {
    fn take(&mut self, observed: u32, bad: u32) -> bool {
        let (p0, p1) = (0.001_f64, 0.02_f64);
        let good = f64::from(observed - bad);
        self.0 = (self.0 + f64::from(bad) * (p1 / p0).ln() + good * ((1.0 - p1) / (1.0 - p0)).ln()).max(0.0);
        self.0 > 8.0
    }
}

/// Bad samples in all, more than three: Argo's `failureLimit` of 3.
pub struct Total(u32);

impl Total {
    pub fn new() -> Self {
        Self(0)
    }
}

impl Rule for Total {
    fn take(&mut self, observed: u32, bad: u32) -> bool {
        self.0 += u32::from(f64::from(bad) > LIMIT * f64::from(observed));
        self.0 > 3
    }
}

/// The share of bad samples since the start has reached a line: Chaos Toolkit's ratio.
pub struct Cumulative {
    percent: u32,
    bad: u32,
    all: u32,
}

impl Cumulative {
    pub fn percent(percent: u32) -> Self {
        Self {
            percent,
            bad: 0,
            all: 0,
        }
    }
}

impl Rule for Cumulative {
    fn take(&mut self, observed: u32, bad: u32) -> bool {
        self.all += 1;
        self.bad += u32::from(f64::from(bad) > LIMIT * f64::from(observed));
        100 * self.bad >= self.percent * self.all
    }
}
