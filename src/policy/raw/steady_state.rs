//! `spec.steadyState` as written.

use super::probe::{Number, Probe};
use crate::policy::read::{Lasting, Percent, Points, Text, choice, record};

record! {
    /// What must stay true, and how it is watched.
    SteadyState {
        /// Distance of samples, 200ms to 60s. Default: 1s.
        interval: Lasting,
        /// Longest time one sample may take; shorter than the interval. Default: 800ms.
        timeout: Lasting,
        /// Bound on a false abort per armed window, over all abort probes. Default: 1%.
        alpha: Percent,
        /// The stretch before the first kill.
        baseline: Baseline,
        /// What counts as recovered.
        recovery: Recovery,
        /// What missing samples do.
        blind: Blind,
        /// Failed requests that end the run.
        budget: Budget,
        /// An address outside the target that tells "we are cut off" from "the service is down": when a probe gets no answer at all, and this gives none either, we are blind. Default: Marathon.
        self_check: Text,
        /// How to look.
        probes: Vec<Probe>,
        /// Asks every task by itself as well, at its host and first port, and draws what it answered. Decides nothing.
        each_task: EachTask,
        /// How the verdict compares.
        control: Control,
    }
    later {
        "anyOf": "a group of vantage points is a source of one probe: `source: { anyOf: { sources: […] } }`",
    }
}

record! {
    /// The stretch before the first kill, in which the steady state has to show itself.
    Baseline {
        /// At least this long. Default: 60s.
        r#for: Lasting,
        /// Given up after this long: the run is skipped. Default: 10m.
        max: Lasting,
    }
}

record! {
    /// What counts as recovered after a kill.
    Recovery {
        /// Within this time of the last kill. When it is written, an app that takes longer disproves the hypothesis; else nothing is concluded. Default: 5m.
        within: Lasting,
        /// Steady for this long. Default: 30s.
        hold: Lasting,
    }
}

record! {
    /// Asks every task by itself: how the app copes, and when a replacement first answers. At most 16 tasks, those that came after a kill first; their hosts need to be in the settings' `probes.allowHosts`.
    EachTask {
        /// Path and query of the request, such as `/health`; 200 to 399 is a good answer.
        #[schemars(required)]
        path: Text,
    }
}

record! {
    /// What missing samples do.
    Blind {
        /// Missed samples in a row that close the kill gate. Default: 1.
        hold_fire_after: u32,
        /// Missed samples in a row, and at least 3 s, that abort. Default: 3.
        abort_after: u32,
    }
}

record! {
    /// Failed requests in the armed window that end the run.
    Budget {
        /// How many may fail.
        #[schemars(required)]
        failed_requests: u32,
    }
}

record! {
    /// How the verdict compares. Kills only ever hit the experimental group.
    Control {
        /// `sham` (the default), `parallel`, `reference` or `beforeAfter`: see "Control groups" below.
        design: Design,
        /// `sham`: pairs of a kill and a sham that a verdict rests on, 3 to 50. Never adds kills: a run with fewer adds the pairs of earlier runs. Default: 5.
        real: u32,
        /// `sham`: the same number as `real`; every kill has its sham. Default: as `real`.
        sham: u32,
        /// `sham`: how long each slot is compared, at least ten samples. Default: 60s.
        window: Lasting,
        /// `sham`: the least time from there to the next slot, at least `recovery.hold`. Default: 60s.
        settle: Lasting,
        /// The difference of bad shares that is tolerated, in percentage points. Default: half of each probe's `share.max`.
        margin: Points,
        /// How many times as long the slowest 1 % of answers of an `http` probe may take; above 1, up to 100. Default: 1.5.
        latency_margin: Number,
        /// `parallel`: the app that is left alone.
        control: Text,
        /// `parallel`: the app that is hit; the target may name no other.
        experiment: Text,
        /// `reference`: an app that is left alone.
        reference: Text,
    }
}

choice! {
    /// How control and experiment are told apart.
    Design {
        /// The same app after a sham: everything but the kill, in an order that is drawn.
        Sham = "sham",
        /// Two apps of the same definition side by side, and a random split of requests.
        Parallel = "parallel",
        /// Before against after, less what an untouched app did meanwhile.
        Reference = "reference",
        /// The same app before the kill: the weakest design, and labelled so.
        BeforeAfter = "beforeAfter",
    }
}
