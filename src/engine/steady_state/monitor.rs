//! Watches one run: is the steady state there, may a kill leave, does the run have to end?
//!
//! Only probes with role `abort` decide anything here. What a probe has not said counts as no:
//! a blind or absent sample adds no evidence, closes the kill gate at once, and aborts when it lasts.

use super::beside::Beside;
use super::detector::Detector;
use super::hard_line::{crosses, upper_bound};
use super::lines::Lines;
use super::{Tick, covers, earlier, later, percent, span, stretch};
use crate::model::experiment::{AbortCause, Hypothesis, ProbeSpec, Reading, Sample, Share, Source};
use crate::model::gate::Answer;
use crate::model::ids::ProbeName;
use crate::model::verdict::Counts;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// However short the interval, this long without an answer is needed before blindness aborts.
const BLIND_AT_LEAST: Duration = Duration::from_secs(3);

/// The last so many samples of a baseline must have seen something.
const SEEN_AT_THE_END: u64 = 10;

/// One chance in twenty that a baseline passes which is above its limit.
const BASELINE_ERROR: f64 = 0.05;

/// What the stretch before the first kill has shown so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "baseline")]
pub enum BaselineState {
    /// Not enough is known yet.
    Measuring {
        /// What is still missing.
        why: String,
    },
    /// The steady state has shown itself.
    Steady {
        /// The numbers.
        why: String,
    },
    /// It has not, and more samples will not change that: the run is skipped.
    NotSteady {
        /// The numbers.
        why: String,
    },
}

/// Watches one run, in two phases: the baseline, and armed from the first kill on.
///
/// Baseline samples spend nothing of `alpha`: arming forgets their evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Monitor {
    hypothesis: Hypothesis,
    began: Option<DateTime<Utc>>,
    armed: Option<DateTime<Utc>>,
    last_kill: Option<DateTime<Utc>>,
    failed: u64,
    watches: Vec<Watch>,
    /// The groups side by side, where there are two.
    #[serde(default)]
    beside: Vec<Beside>,
    lines: Lines,
}

/// What is known through one abort probe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Watch {
    spec: ProbeSpec,
    detector: Detector,
    /// Latest ticks, oldest first, for as long as a stretch of recovery takes.
    recent: VecDeque<Tick>,
    baseline: Counts,
    /// A sample of the baseline that crossed the hard line, in words.
    baseline_hard: Option<String>,
    /// Samples that saw something, in a row, up to now.
    seen_in_a_row: u64,
    /// Samples above the limit, in a row, since the run was armed. One that saw nothing changes nothing.
    #[serde(default)]
    above_in_a_row: u32,
    /// Samples that saw nothing, in a row, up to now.
    missed: u32,
    first_missed: Option<DateTime<Utc>>,
    why_missed: String,
    /// What a control has shown lately, oldest first; only for a limit that follows it.
    control: VecDeque<Tick>,
}

impl Monitor {
    /// Begins to watch, in the baseline.
    ///
    /// `armed_window` is the longest time from the first kill to the end of recovery: it sets how
    /// much evidence an abort takes. The baseline is not part of it.
    pub fn new(hypothesis: &Hypothesis, armed_window: Duration) -> Self {
        let probes = hypothesis.abort_probes().filter(|p| !p.is_floor()).count();
        let detector = Detector::new(hypothesis.alpha, probes, armed_window, hypothesis.interval);
        let watches = hypothesis
            .abort_probes()
            .map(|spec| Watch::new(spec.clone(), detector))
            .collect();
        Self {
            hypothesis: hypothesis.clone(),
            began: None,
            armed: None,
            last_kill: None,
            failed: 0,
            watches,
            beside: Beside::all(hypothesis, armed_window),
            lines: Lines::new(hypothesis),
        }
    }

    /// Goes from baseline to armed, just before the first kill: what the baseline has shown is fixed as
    /// the line for what follows it. Arming twice changes nothing.
    pub fn arm(&mut self, at: DateTime<Utc>) {
        if self.armed.is_none() {
            self.armed = Some(at);
            self.lines.fix();
            self.failed = 0;
            for watch in &mut self.watches {
                watch.detector.reset();
                watch.above_in_a_row = 0;
            }
            self.beside.iter_mut().for_each(Beside::reset);
        }
    }

    /// Says that a kill was sent, or may have been: a declared dip begins.
    pub fn killed(&mut self, at: DateTime<Utc>) {
        self.last_kill = self.last_kill.max(Some(at));
    }

    /// Whether the first kill has been decided on.
    pub fn is_armed(&self) -> bool {
        self.armed.is_some()
    }

    /// Takes one sample and says whether the run has to end: hard line first, then the limit, the
    /// samples in a row, the budget, blindness. Says nothing during the baseline.
    ///
    /// Samples of probes that cannot abort are ignored. A reading with nothing observed, or with
    /// more bad than observed, counts as blind.
    pub fn take(&mut self, sample: &Sample) -> Option<AbortCause> {
        self.lines.collect(sample);
        let judged = self.lines.judged(sample).into_owned();
        let sample = &judged;
        let mut probes = self.hypothesis.probes.iter();
        if let Some(of) = probes
            .find(|p| p.name == sample.probe)
            .and_then(|p| p.control_for.clone())
        {
            self.control(&Sample {
                probe: of,
                ..sample.clone()
            });
        }
        if let Some(tick) = Tick::of(sample) {
            for beside in &mut self.beside {
                beside.take(&sample.probe, tick, self.hypothesis.interval);
            }
        }
        let index = self.watches.iter().position(|w| w.spec.name == sample.probe)?;
        self.began = Some(self.began.map_or(sample.at, |began| began.min(sample.at)));
        let lines = self.lines(&self.watches[index], sample.at);
        let keep = self
            .hypothesis
            .recovery
            .hold
            .max(self.hypothesis.interval.saturating_mul(4));
        let (armed, interval) = (self.armed.is_some(), self.hypothesis.interval);

        let watch = &mut self.watches[index];
        let Some(tick) = Tick::of(sample) else {
            watch.miss(sample);
            let blind = self.watches[index].blind_too_long(later(sample.at, interval), &self.hypothesis);
            return blind.filter(|_| armed);
        };
        watch.see(tick, keep);
        let hard = if watch.spec.is_floor() {
            tick.share() > lines.hard.as_f64()
        } else {
            watch.detector.take(tick.share(), lines.limit);
            crosses(tick.observed, tick.bad, lines.hard)
        };
        if tick.share() > lines.limit.as_f64() {
            watch.above_in_a_row = watch.above_in_a_row.saturating_add(1);
        } else {
            watch.above_in_a_row = 0;
        }
        if !armed {
            watch.baseline = watch.baseline.and(tick);
            if hard {
                watch.baseline_hard = Some(format!("{} of {} bad in one sample", tick.bad, tick.observed));
            }
            return None;
        }
        if watch.spec.counts_requests() {
            self.failed = self.failed.saturating_add(u64::from(tick.bad));
        }

        let (watch, probe) = (&self.watches[index], || sample.probe.clone());
        if hard {
            return Some(AbortCause::Hard {
                probe: probe(),
                observed: tick.observed,
                bad: tick.bad,
            });
        }
        if watch.detector.fires() {
            return Some(AbortCause::Limit {
                probe: probe(),
                evidence_percent: watch.detector.percent(),
            });
        }
        if watch.spec.consecutive.is_some_and(|n| watch.above_in_a_row >= n) {
            return Some(AbortCause::Consecutive {
                probe: probe(),
                samples: watch.above_in_a_row,
            });
        }
        let allowed = self.hypothesis.budget.filter(|allowed| self.failed > *allowed)?;
        Some(AbortCause::Budget {
            failed: self.failed,
            allowed,
        })
    }

    /// A sample as [`take`](Self::take) judges it: by the lines that the baseline drew, once they are fixed.
    pub fn judged(&self, sample: &Sample) -> Sample {
        self.lines.judged(sample).into_owned()
    }

    /// Takes note of what a control shows at the same time, for the abort probe of that name: it may
    /// loosen the limit of the samples that come after it.
    fn control(&mut self, sample: &Sample) {
        let keep = self.hypothesis.interval.saturating_mul(4);
        let (Some(watch), Some(tick)) = (
            self.watches.iter_mut().find(|w| w.spec.name == sample.probe),
            Tick::of(sample),
        ) else {
            return;
        };
        let Some(relative) = watch.spec.relative else {
            return;
        };
        watch.control.push_back(tick);
        let oldest = earlier(tick.at, relative.window.saturating_add(keep));
        while watch.control.front().is_some_and(|tick| tick.at < oldest) {
            watch.control.pop_front();
        }
    }

    /// Whether samples have stayed away for so long that the run has to end.
    ///
    /// [`take`](Self::take) hears of blind samples only when somebody delivers them; a prober that
    /// hangs delivers nothing. To be asked at every tick. Says nothing during the baseline.
    pub fn overdue(&self, now: DateTime<Utc>) -> Option<AbortCause> {
        let armed = self.armed?;
        let h = &self.hypothesis;
        // One interval more than for delivered misses: an answer may be on its way.
        self.watches.iter().find_map(|watch| {
            let patience = BLIND_AT_LEAST.max(h.interval.saturating_mul(watch.abort_after(h))) + h.interval;
            let last = watch.recent.back().map_or(armed, |tick| tick.at.max(armed));
            (now > later(last, patience)).then(|| AbortCause::Blind {
                probe: watch.spec.name.clone(),
                missed: watch.missed.max(watch.abort_after(h)),
                why: format!(
                    "no sample for {}",
                    span((now - last).to_std().unwrap_or_default())
                ),
            })
        })
    }

    /// Evidence of each abort probe as a share of what an abort needs, 0 to 100 per cent. A hard floor
    /// collects none.
    pub fn evidence(&self) -> BTreeMap<ProbeName, u32> {
        self.watches
            .iter()
            .filter(|w| !w.spec.is_floor())
            .map(|w| (w.spec.name.clone(), w.detector.percent()))
            .collect()
    }

    /// Evidence, for each probe that has a counterpart in a control group, that its group does worse, as a share
    /// of what it takes to say so, 0 to 100 per cent. Nothing is decided by it.
    pub fn beside(&self) -> BTreeMap<ProbeName, u32> {
        let gauge = |b: &Beside| (b.probe().clone(), b.percent());
        self.beside.iter().map(gauge).collect()
    }

    /// What the baseline has shown so far.
    ///
    /// Steady: measured for long enough, and for every abort probe the one-sided 95 % upper bound
    /// of the bad share is at most the limit, the detector is below its red line, no sample crossed
    /// the hard line, and the last ten samples saw something.
    ///
    /// # Caveats
    ///
    /// Time counts from the first sample, blind or not. When no sample ever comes the answer stays
    /// `Measuring`: whoever delivers samples has to bound that by `baseline.at_most`.
    pub fn baseline(&self, now: DateTime<Utc>) -> BaselineState {
        use BaselineState::{Measuring, NotSteady, Steady};
        if self.watches.is_empty() {
            return NotSteady {
                why: "no probe has the role abort, so nothing can show a steady state".into(),
            };
        }
        let Some(began) = self.began else {
            return Measuring {
                why: "no sample yet".into(),
            };
        };
        if let Some(why) = self.watches.iter().find_map(Watch::broken_baseline) {
            return NotSteady { why };
        }
        let measured = (now - began).to_std().unwrap_or_default();
        let least = self.hypothesis.baseline.at_least;
        let missing = (measured < least)
            .then(|| format!("{} of {} measured", span(measured), span(least)))
            .or_else(|| self.watches.iter().find_map(Watch::missing_in_baseline))
            .or_else(|| self.lines.missing());
        match missing {
            None => Steady {
                why: self
                    .watches
                    .iter()
                    .map(Watch::baseline_in_words)
                    .chain(self.lines.in_words())
                    .chain(self.warnings())
                    .collect::<Vec<_>>()
                    .join("; "),
            },
            Some(why) if measured >= self.hypothesis.baseline.at_most => NotSteady {
                why: format!(
                    "not steady within {}: {why}",
                    span(self.hypothesis.baseline.at_most)
                ),
            },
            Some(why) => Measuring { why },
        }
    }

    /// What a baseline that passes does not bode well for: a limit so near to what there is without any
    /// kill that the run will abort on noise.
    pub fn warnings(&self) -> Vec<String> {
        let near = |watch: &&Watch| {
            watch.baseline.observed > 0 && watch.spec.max.as_f64() < 2.0 * watch.baseline_upper()
        };
        self.watches
            .iter()
            .filter(near)
            .map(|watch| {
                let Watch { spec, .. } = watch;
                format!(
                    "warning: the limit of {} is less than twice what the baseline of {} is sure of ({}), so noise may abort the run",
                    spec.max,
                    spec.name,
                    percent(watch.baseline_upper())
                )
            })
            .collect()
    }

    /// The gate's answer to "does the hypothesis hold?"
    ///
    /// Passes when every abort probe's detector is below its red line and its bad share, pooled over
    /// the last stretch of `recovery.hold`, is at most the limit. Before the first kill the baseline
    /// must have shown the steady state, too. A declared dip changes nothing here: no kill leaves
    /// while an earlier one still shows.
    pub fn steady_state(&self, now: DateTime<Utc>) -> Answer {
        if self.watches.is_empty() {
            return Answer::Unknown(
                "no probe has the role abort, so nobody would see the harm of a kill".into(),
            );
        }
        if self.armed.is_none() {
            match self.baseline(now) {
                BaselineState::Steady { .. } => {}
                BaselineState::Measuring { why } => {
                    return Answer::Unknown(format!("the baseline is still being measured: {why}"));
                }
                BaselineState::NotSteady { why } => return Answer::Refuse(why),
            }
        }
        let hold = stretch(self.hypothesis.recovery.hold, self.hypothesis.interval);
        let mut unseen = None;
        let mut said = vec![];
        for watch in &self.watches {
            let (name, limit) = (&watch.spec.name, watch.spec.max);
            let evidence = watch.detector.percent();
            if watch.detector.fires() {
                return Answer::Refuse(format!(
                    "probe {name} has all the evidence that an abort needs, limit {limit}"
                ));
            }
            let pool = Counts::of(watch.since(earlier(now, hold), now));
            match pool.share() {
                None => {
                    unseen.get_or_insert(format!(
                        "probe {name} has seen nothing in the last {}",
                        span(hold)
                    ));
                }
                Some(share) if pool.is_within(limit) => {
                    said.push(format!(
                        "{name} {} bad (limit {limit}, evidence {evidence} %)",
                        percent(share)
                    ));
                }
                Some(share) => {
                    return Answer::Refuse(format!(
                        "probe {name}: {} bad in the last {} ({} of {}), limit {limit}",
                        percent(share),
                        span(hold),
                        pool.bad,
                        pool.observed
                    ));
                }
            }
        }
        match unseen {
            Some(why) => Answer::Unknown(why),
            None => Answer::Pass(format!("over the last {}: {}", span(hold), said.join(", "))),
        }
    }

    /// The gate's answer to "has every abort probe answered lately?"
    ///
    /// Passes when every abort probe has a sample that saw something and is younger than two
    /// intervals, and when none has missed `hold_fire_after` samples in a row.
    pub fn probe_freshness(&self, now: DateTime<Utc>) -> Answer {
        if self.watches.is_empty() {
            return Answer::Unknown("no probe has the role abort, so none can be fresh".into());
        }
        let oldest = self.hypothesis.interval.saturating_mul(2);
        let mut worst = Duration::ZERO;
        for watch in &self.watches {
            let name = &watch.spec.name;
            if watch.missed >= self.hypothesis.blind.hold_fire_after.max(1) {
                let (missed, why) = (watch.missed, &watch.why_missed);
                return Answer::Unknown(format!(
                    "probe {name} saw nothing {missed} times in a row ({why})"
                ));
            }
            let Some(tick) = watch.recent.back() else {
                return Answer::Unknown(format!("probe {name} has not seen anything yet"));
            };
            let Ok(age) = (later(now, self.hypothesis.interval) - tick.at).to_std() else {
                return Answer::Unknown(format!(
                    "probe {name}'s last sample is from the future: {}",
                    tick.at
                ));
            };
            let age = age.saturating_sub(self.hypothesis.interval);
            if age >= oldest {
                return Answer::Unknown(format!(
                    "probe {name}'s last answer is {} old, less than {} is needed",
                    span(age),
                    span(oldest)
                ));
            }
            worst = worst.max(age);
        }
        Answer::Pass(format!(
            "the oldest answer is {} old, less than {} is needed",
            span(worst),
            span(oldest)
        ))
    }

    /// Since when, at the least, the app has been steady: `now − hold` when every abort probe has
    /// watched all of that time and its pooled bad share is at most the limit; `None` otherwise, and
    /// for a `hold` longer than the hypothesis' own, of which nothing is kept.
    pub fn steady_since(&self, now: DateTime<Utc>, hold: Duration) -> Option<DateTime<Utc>> {
        let interval = self.hypothesis.interval;
        let from = earlier(now, stretch(hold, interval));
        let steady = |watch: &Watch| {
            let ticks: Vec<Tick> = watch.since(from, now).copied().collect();
            covers(&ticks, from, now, interval) && Counts::of(&ticks).is_within(watch.spec.max)
        };
        (!self.watches.is_empty() && self.watches.iter().all(steady)).then_some(from)
    }

    /// The lines for a sample that was due at `at`. Both are fixed before the sample is taken.
    fn lines(&self, watch: &Watch, at: DateTime<Utc>) -> LimitAndHard {
        let spec = &watch.spec;
        let declared = LimitAndHard {
            limit: watch.relative_limit(at),
            hard: spec.hard,
        };
        let (Some(dip), Some(kill)) = (spec.dip, self.last_kill) else {
            return declared;
        };
        // A sample that was under way when the kill left belongs to the dip.
        let begins = earlier(kill, self.hypothesis.interval);
        if begins < at && at < later(kill, dip.lasts) {
            LimitAndHard {
                limit: declared.limit.max(dip.max),
                hard: declared.hard.max(dip.max),
            }
        } else {
            declared
        }
    }
}

/// The limit line and the hard line at a moment.
struct LimitAndHard {
    limit: Share,
    hard: Share,
}

impl Watch {
    fn new(spec: ProbeSpec, detector: Detector) -> Self {
        Self {
            spec,
            detector,
            recent: VecDeque::new(),
            baseline: Counts::default(),
            baseline_hard: None,
            seen_in_a_row: 0,
            above_in_a_row: 0,
            missed: 0,
            first_missed: None,
            why_missed: String::new(),
            control: VecDeque::new(),
        }
    }

    /// The limit for a sample that was due at `at`: the declared one, or `ratio` times the upper 95 %
    /// bound of the control's bad share in the window before it, whichever is higher, and never more than
    /// the hard line (`steady-state` §2.3). Only earlier control samples count, so it is fixed before the
    /// sample is taken.
    ///
    /// A control that sees little does not loosen anything: its window needs so many requests that it
    /// would leave the limit alone if all of them were good.
    fn relative_limit(&self, at: DateTime<Utc>) -> Share {
        let declared = self.spec.max;
        let Some(relative) = self.spec.relative else {
            return declared;
        };
        let from = earlier(at, relative.window);
        let seen = Counts::of(self.control.iter().filter(|tick| from <= tick.at && tick.at < at));
        let ratio = f64::from(relative.ratio_percent) / 100.0;
        if ratio * upper_bound(0, seen.observed.max(1), BASELINE_ERROR) > declared.as_f64() {
            return declared;
        }
        let followed = ratio * upper_bound(seen.bad, seen.observed, BASELINE_ERROR);
        let followed = Share((followed.clamp(0.0, 1.0) * 1e6) as u32);
        declared.max(followed.min(self.spec.hard))
    }

    fn miss(&mut self, sample: &Sample) {
        self.seen_in_a_row = 0;
        self.missed = self.missed.saturating_add(1);
        self.first_missed.get_or_insert(sample.at);
        self.why_missed = match &sample.reading {
            Reading::Blind { why } => why.clone(),
            Reading::Seen { observed: 0, .. } => "nothing was observed".into(),
            Reading::Seen { .. } => "more bad than observed".into(),
        };
    }

    fn see(&mut self, tick: Tick, keep: Duration) {
        self.seen_in_a_row = self.seen_in_a_row.saturating_add(1);
        self.missed = 0;
        self.first_missed = None;
        let place = self.recent.partition_point(|earlier| earlier.at <= tick.at);
        self.recent.insert(place, tick);
        let oldest = earlier(tick.at, keep);
        while self.recent.front().is_some_and(|tick| tick.at < oldest) {
            self.recent.pop_front();
        }
    }

    /// The abort for blindness, when it has lasted for enough samples and for enough time up to `until`.
    fn blind_too_long(&self, until: DateTime<Utc>, hypothesis: &Hypothesis) -> Option<AbortCause> {
        let first = self.first_missed?;
        let enough = self.missed >= self.abort_after(hypothesis) && until >= later(first, BLIND_AT_LEAST);
        enough.then(|| AbortCause::Blind {
            probe: self.spec.name.clone(),
            missed: self.missed,
            why: self.why_missed.clone(),
        })
    }

    /// Missed samples in a row that abort; at least one.
    fn abort_after(&self, hypothesis: &Hypothesis) -> u32 {
        self.spec
            .abort_after
            .unwrap_or(hypothesis.blind.abort_after)
            .max(1)
    }

    fn since(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> impl Iterator<Item = &Tick> {
        self.recent
            .iter()
            .filter(move |tick| from <= tick.at && tick.at <= to)
    }

    fn baseline_upper(&self) -> f64 {
        upper_bound(self.baseline.bad, self.baseline.observed, BASELINE_ERROR)
    }

    /// What no further sample can mend.
    fn broken_baseline(&self) -> Option<String> {
        let name = &self.spec.name;
        if let Some(hard) = &self.baseline_hard {
            return Some(format!(
                "probe {name} crossed its hard line of {} before any kill: {hard}",
                self.spec.hard
            ));
        }
        self.detector.fires().then(|| {
            let Counts { bad, observed } = self.baseline;
            format!(
                "probe {name} stayed above its limit of {} before any kill: {bad} of {observed} bad",
                self.spec.max
            )
        })
    }

    /// What further samples may mend.
    fn missing_in_baseline(&self) -> Option<String> {
        let (name, limit) = (&self.spec.name, self.spec.max);
        if self.baseline_upper() > limit.as_f64() {
            return Some(format!("probe {}", self.baseline_in_words()));
        }
        (self.seen_in_a_row < SEEN_AT_THE_END).then(|| {
            let seen = self.seen_in_a_row;
            format!("probe {name} saw something in its last {seen} samples, {SEEN_AT_THE_END} in a row are needed for limit {limit}")
        })
    }

    fn baseline_in_words(&self) -> String {
        let Counts { bad, observed } = self.baseline;
        let (name, limit, upper) = (&self.spec.name, self.spec.max, percent(self.baseline_upper()));
        format!("{name}: {bad} of {observed} bad, 95 % sure below {upper} (limit {limit})")
    }
}

impl ProbeSpec {
    /// Whether it aborts only by its hard line (`steady-state` §2.2): Marathon hears of health late, and its
    /// samples repeat what it last heard, so they are no evidence that adds up. Every task is counted, so the
    /// share itself crosses the line, however few they are.
    pub(crate) fn is_floor(&self) -> bool {
        self.source == Source::Marathon
    }
}

#[cfg(test)]
mod tests;
