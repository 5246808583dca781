//! The real watch over one probe, fed a sample a second: for figures that rest on more than the detector.

use super::dice::Dice;
use heartbreak::engine::steady_state::monitor::Monitor;
use heartbreak::model::experiment::{
    AbortCause, Baseline, Blindness, Control, Dip, Hypothesis, ProbeSpec, Reading, Recovery, Relative, Role,
    Sample, Share, Source,
};
use std::time::Duration;

/// Requests a second that every probe sees.
const OBSERVED: u32 = 100;

const EDGE: &str = "edge";
const CONTROL: &str = "control";

/// A limit of 1 %, a hard line of 50 %, a sample a second, α = 1 %; a second app beside the first.
fn hypothesis() -> Hypothesis {
    let probe = |name: &str, role: Role| {
        let address = "simulated:80".to_owned();
        ProbeSpec::new(name, role, Source::Tcp { address })
    };
    let mut control = probe(CONTROL, Role::Verdict);
    control.control_for = Some(EDGE.into());
    Hypothesis {
        interval: Duration::from_secs(1),
        timeout: Duration::from_millis(800),
        alpha: Share::percent(1),
        baseline: Baseline {
            at_least: Duration::from_secs(60),
            at_most: Duration::from_secs(600),
        },
        recovery: Recovery {
            within: Duration::from_secs(300),
            hold: Duration::from_secs(30),
            expected: true,
        },
        blind: Blindness {
            hold_fire_after: 1,
            abort_after: 3,
        },
        budget: None,
        self_check: None,
        each_task: None,
        probes: vec![probe(EDGE, Role::Abort), control],
        control: Control::Parallel {
            control: "/shop/cart-control".into(),
            experiment: "/shop/cart".into(),
        },
        margin: None,
        latency_margin_percent: None,
    }
}

/// An armed watch; samples come half a second after every full second.
pub struct Watched {
    monitor: Monitor,
    now: chrono::DateTime<chrono::Utc>,
}

impl Watched {
    /// With nothing declared but what `change` does to the abort probe.
    fn with(change: impl FnOnce(&mut ProbeSpec)) -> Self {
        let now = chrono::DateTime::from_timestamp(1_790_000_000, 0).expect("a moment");
        let mut hypothesis = hypothesis();
        change(&mut hypothesis.probes[0]);
        let mut monitor = Monitor::new(&hypothesis, Duration::from_secs(600));
        monitor.arm(now);
        Self { monitor, now }
    }

    /// A fixed limit, and nothing else.
    pub fn absolute() -> Self {
        Self::with(|_| {})
    }

    /// So many missed samples in a row abort.
    pub fn blind_after(missed: u32) -> Self {
        Self::with(|probe| probe.abort_after = Some(missed))
    }

    /// The limit follows twice what the control has seen lately.
    pub fn relative(seconds: u64) -> Self {
        let window = Duration::from_secs(seconds);
        Self::with(|probe| {
            probe.relative = Some(Relative {
                ratio_percent: 200,
                window,
            });
        })
    }

    /// A kill now, after which so many per cent may fail for so long.
    pub fn dip(percent: u32, seconds: u64) -> Self {
        let lasts = Duration::from_secs(seconds);
        let mut watched = Self::with(|probe| {
            probe.dip = Some(Dip {
                max: Share::percent(percent),
                lasts,
            });
        });
        watched.monitor.killed(watched.now);
        watched
    }

    /// The next second, in which this share of the requests to each app fails; whether the run has to end.
    pub fn second(&mut self, dice: &mut Dice, experiment: f64, control: f64) -> bool {
        self.now += chrono::TimeDelta::seconds(1);
        let mut seen = |name, share| {
            let bad = dice.binomial(OBSERVED, share);
            self.take(name, Reading::seen(OBSERVED, bad)).is_some()
        };
        // Whatever the control says now counts from the next sample on.
        seen(CONTROL, control);
        seen(EDGE, experiment)
    }

    /// The next second, in which nothing fails and nobody looks at the control; whether the run has to end.
    pub fn fine(&mut self) -> bool {
        self.now += chrono::TimeDelta::seconds(1);
        self.take(EDGE, Reading::seen(OBSERVED, 0)).is_some()
    }

    /// The next second without an answer; whether the run has to end.
    pub fn missed(&mut self) -> bool {
        self.now += chrono::TimeDelta::seconds(1);
        self.take(EDGE, Reading::blind("simulated")).is_some()
    }

    /// Whether the gauge of "the experimental group is worse" is full.
    pub fn is_worse(&self) -> bool {
        self.monitor.beside().values().any(|percent| *percent == 100)
    }

    fn take(&mut self, probe: &str, reading: Reading) -> Option<AbortCause> {
        self.monitor.take(&Sample {
            at: self.now - chrono::TimeDelta::milliseconds(500),
            probe: probe.into(),
            reading,
        })
    }
}
