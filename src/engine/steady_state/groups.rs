//! Samples to groups: what was seen with the fault and what without, for one probe (`steady-state` §3).
//!
//! Nothing is judged here. Which stretches belong to which group follows from the declared design, the
//! plan and the intents alone, never from what the samples show.

use super::intervals::{self, ERROR, Interval};
use super::verdict::Findings;
use super::{Tick, covers, delta, latency, later};
use crate::model::experiment::{Control, ProbeSpec};
use crate::model::ids::ProbeName;
use crate::model::plan::Plan;
use crate::model::verdict::{Counts, LatencyDifference, Pair, Times};
use chrono::{DateTime, TimeDelta, Utc};
use std::time::Duration;

/// Blocks of equal length that parallel groups are cut into, and their least length (`steady-state` §4.5).
const BLOCKS: i32 = 10;
const BLOCK_MIN: Duration = Duration::from_secs(5);

/// One slot as it was taken: a kill or a sham, and the window after it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub pair: u32,
    pub sham: bool,
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    /// Its window was over before the run ended or was aborted.
    pub whole: bool,
}

/// The slots of a run in order; none for designs without.
///
/// A kill that never left or was refused is no slot: nobody knows what group its window belongs to.
pub(super) fn slots(findings: &Findings<'_>) -> Vec<Slot> {
    let Control::Sham { window, .. } = findings.plan.hypothesis.control else {
        return vec![];
    };
    let over = findings
        .abort
        .map_or(findings.ended, |abort| abort.at.min(findings.ended));
    findings
        .intents
        .iter()
        .filter_map(|intent| {
            let slot = findings.plan.step(intent.step)?.slot?;
            let to = later(intent.at, window);
            (slot.sham == intent.sham && (slot.sham || intent.may_have_killed())).then_some(Slot {
                pair: slot.pair,
                sham: slot.sham,
                from: intent.at,
                to,
                whole: to <= over,
            })
        })
        .collect()
}

/// The same time in both groups.
#[derive(Clone, Copy, Debug)]
struct Block {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    /// Of a probe and of its counterpart.
    counts: (Counts, Counts),
}

/// What is compared for one probe.
#[derive(Clone, Debug)]
pub(super) struct Comparison {
    /// With the fault.
    pub experiment: Counts,
    /// Without.
    pub control: Counts,
    /// What a paired interval rests on, oldest first.
    pub pairs: Vec<Pair>,
    basis: Basis,
    /// How long answers took, where sides and not pairs are compared.
    answers: Sides<Vec<latency::Block>>,
}

/// Before the first kill, and after it.
#[derive(Clone, Debug, Default)]
struct Sides<T> {
    before: T,
    after: T,
}

/// Where the interval comes from.
#[derive(Clone, Debug)]
enum Basis {
    /// All observations of one side against all of the other.
    Sums,
    /// The same, and the shares of blocks of time on each side: what comes in bursts is less sure than its sums.
    Blocks(Sides<Vec<f64>>),
    /// The pairs.
    Pairs,
    /// Before against after, less the same of the reference app.
    Reference {
        /// The reference app after and before.
        other: Sides<Counts>,
        /// Differences of the two apps, block by block.
        blocks: Sides<Vec<f64>>,
    },
}

impl Comparison {
    /// Everything of one side against everything of the other.
    pub fn sums(experiment: Counts, control: Counts) -> Self {
        Self {
            experiment,
            control,
            pairs: vec![],
            basis: Basis::Sums,
            answers: Sides::default(),
        }
    }

    /// Sums, and how they came about; with fewer than two blocks on a side nothing is known of that.
    fn in_blocks(&mut self, blocks: Sides<Vec<f64>>) {
        if blocks.before.len() > 1 && blocks.after.len() > 1 {
            self.basis = Basis::Blocks(blocks);
        }
    }

    fn pairs(pairs: Vec<Pair>) -> Self {
        Self {
            experiment: pairs.iter().map(|p| p.experiment).sum(),
            control: pairs.iter().map(|p| p.control).sum(),
            pairs,
            basis: Basis::Pairs,
            answers: Sides::default(),
        }
    }

    /// The interval with this one-sided chance of error.
    pub fn interval(&self, error: f64) -> Interval {
        let sums = |experiment: Counts, control: Counts| {
            intervals::newcombe(experiment, control, error).unwrap_or(Interval::NOTHING)
        };
        let own = || sums(self.experiment, self.control);
        match &self.basis {
            Basis::Sums => own(),
            Basis::Blocks(blocks) => {
                let blocks = intervals::welch(&blocks.after, &blocks.before, error);
                own().or_wider(blocks.unwrap_or(Interval::NOTHING))
            }
            Basis::Pairs => intervals::paired(&self.counts(), error),
            Basis::Reference { other, blocks } => {
                let bounded = intervals::less(own(), sums(other.after, other.before));
                let blocks = intervals::welch(&blocks.after, &blocks.before, error);
                bounded.or_wider(blocks.unwrap_or(Interval::NOTHING))
            }
        }
    }

    /// How much longer the slowest answers took, where enough of them were timed.
    pub fn latency(&self, margin: f64, error: f64) -> Option<LatencyDifference> {
        match &self.basis {
            Basis::Pairs => latency::compare_at(&self.pairs, margin, error),
            Basis::Sums | Basis::Blocks(_) | Basis::Reference { .. } => {
                let Sides { before, after } = &self.answers;
                latency::compare_sides_at(before, after, margin, error)
            }
        }
    }

    fn counts(&self) -> Vec<(Counts, Counts)> {
        self.pairs.iter().map(|p| (p.experiment, p.control)).collect()
    }

    /// The differences of the pairs.
    pub fn differences(&self) -> Vec<f64> {
        intervals::differences(&self.counts())
    }

    /// Whether both groups were seen.
    pub fn saw_both(&self) -> bool {
        let other = match &self.basis {
            Basis::Reference { other, .. } => other.before.observed > 0 && other.after.observed > 0,
            Basis::Sums | Basis::Blocks(_) | Basis::Pairs => true,
        };
        other && self.experiment.observed > 0 && self.control.observed > 0
    }
}

/// The samples of a run, by probe and in order.
pub(super) struct Seen<'a> {
    findings: &'a Findings<'a>,
    /// When the first kill became durable.
    pub first_kill: DateTime<Utc>,
    pub slots: Vec<Slot>,
}

impl<'a> Seen<'a> {
    pub fn new(findings: &'a Findings<'a>, first_kill: DateTime<Utc>) -> Self {
        Self {
            findings,
            first_kill,
            slots: slots(findings),
        }
    }

    fn ticks(&self, probe: &ProbeName) -> Vec<Tick> {
        let mut ticks: Vec<Tick> = self
            .findings
            .samples
            .iter()
            .filter(|s| s.probe == *probe && s.at <= self.findings.ended)
            .filter_map(Tick::of)
            .collect();
        ticks.sort_by_key(|tick| tick.at);
        ticks
    }

    /// When the run stopped being one: its abort or its end.
    fn over(&self) -> DateTime<Utc> {
        self.findings
            .abort
            .map_or(self.findings.ended, |abort| abort.at.min(self.findings.ended))
    }

    /// The plan.
    pub fn plan(&self) -> &'a Plan {
        self.findings.plan
    }

    /// What the shams of earlier runs have shown to a probe.
    pub fn earlier_control(&self, probe: &ProbeName) -> Counts {
        self.findings
            .earlier
            .iter()
            .filter(|(of, _)| of == probe)
            .map(|(_, pair)| pair.control)
            .sum()
    }

    /// What a probe saw in the windows after kills, the last of them up to the abort, however late that
    /// came.
    pub fn after_kills(&self, probe: &ProbeName, abort: DateTime<Utc>) -> Counts {
        let last = self.slots.iter().map(|s| s.from).max();
        self.slots
            .iter()
            .filter(|s| !s.sham)
            .map(|s| {
                let to = if Some(s.from) == last { abort } else { s.to };
                self.between(probe, s.from, later(to, Duration::from_millis(1)))
            })
            .sum()
    }

    /// What was seen of a probe from a moment on until another.
    pub fn between(&self, probe: &ProbeName, from: DateTime<Utc>, to: DateTime<Utc>) -> Counts {
        Counts::of(stretch(&self.ticks(probe), from, to))
    }

    /// The comparison that the declared design asks for.
    pub fn compare(&self, probe: &ProbeSpec) -> Comparison {
        match &self.findings.plan.hypothesis.control {
            Control::BeforeAfter => self.before_after(&probe.name),
            Control::Sham { pairs, .. } => self.slot_pairs(&probe.name, *pairs),
            Control::Parallel { .. } => self.parallel(&probe.name),
            Control::Reference { .. } => self.reference(&probe.name),
        }
    }

    fn before_after(&self, probe: &ProbeName) -> Comparison {
        let ticks = self.sides(&self.ticks(probe));
        let mut comparison = Comparison::sums(Counts::of(&ticks.after), Counts::of(&ticks.before));
        comparison.answers = self.answers(probe, &ticks);
        let shares = |ticks: &[Tick], from, to| shares(ticks, stretches(from, to));
        comparison.in_blocks(Sides {
            before: ticks.before.first().map_or_else(Vec::new, |first| {
                shares(&ticks.before, first.at, self.quiet_until())
            }),
            after: shares(&ticks.after, self.first_kill, self.over()),
        });
        comparison
    }

    /// Until when no answer can have felt the first kill: one that was on its way then may have.
    fn quiet_until(&self) -> DateTime<Utc> {
        let quiet = self.first_kill - delta(self.findings.plan.hypothesis.timeout);
        later(quiet, Duration::from_millis(1))
    }

    /// What a probe saw after kills up to an abort, against what it saw after the shams before it. An aborted slot
    /// has no partner, so the slots are cut into blocks.
    pub fn aborted(&self, probe: &ProbeName, abort: DateTime<Utc>, control: Counts) -> Comparison {
        let mut comparison = Comparison::sums(self.after_kills(probe, abort), control);
        let ticks = self.ticks(probe);
        let side = |sham: bool| {
            let slots = self.slots.iter().filter(move |slot| slot.sham == sham);
            let blocks = slots.flat_map(|slot| {
                let to = slot.to.min(later(abort, Duration::from_millis(1)));
                pieces(slot.from, to, delta(BLOCK_MIN))
            });
            shares(&ticks, blocks)
        };
        comparison.in_blocks(Sides {
            before: side(true),
            after: side(false),
        });
        comparison
    }

    /// Ticks before the first kill, and those that may have felt it.
    fn sides(&self, ticks: &[Tick]) -> Sides<Vec<Tick>> {
        let timeout = self.findings.plan.hypothesis.timeout;
        let (before, after) = ticks
            .iter()
            .partition(|tick| later(tick.at, timeout) <= self.first_kill);
        Sides { before, after }
    }

    /// How long answers took before the first kill and after it, in blocks of equal length on each side; of the app
    /// that is left alone, too, where the probe has a counterpart that looks at it.
    fn answers(&self, probe: &ProbeName, ticks: &Sides<Vec<Tick>>) -> Sides<Vec<latency::Block>> {
        let other = self.findings.plan.hypothesis.counterpart(probe);
        let side = |from: DateTime<Utc>, to: DateTime<Utc>| {
            stretches(from, to)
                .map(|(from, to)| latency::Block {
                    own: self.times(probe, from, to),
                    other: other.map(|other| self.times(&other.name, from, to)),
                })
                .collect()
        };
        let Some(first) = ticks.before.first() else {
            return Sides::default();
        };
        Sides {
            before: side(first.at, self.quiet_until()),
            after: side(self.first_kill, self.over()),
        }
    }

    /// The pairs of this run in which both windows were watched to their ends, and before them as many of
    /// earlier runs as are still needed.
    fn slot_pairs(&self, probe: &ProbeName, needed: u32) -> Comparison {
        let own = self.own_pairs(probe);
        let earlier: Vec<Pair> = self
            .findings
            .earlier
            .iter()
            .filter(|(of, _)| of == probe)
            .map(|(_, pair)| pair.clone())
            .collect();
        let wanted = usize::try_from(needed)
            .unwrap_or(usize::MAX)
            .saturating_sub(own.len());
        let mut pairs = earlier[earlier.len().saturating_sub(wanted)..].to_vec();
        pairs.extend(own);
        Comparison::pairs(pairs)
    }

    /// The longest time without a sample of a probe that lets a stretch count as watched: as many samples in a row may be
    /// missed as abort nothing, and no more than a quarter of the stretch, but always one.
    fn hole(&self, probe: &ProbeName, stretch: TimeDelta) -> Duration {
        let hypothesis = &self.findings.plan.hypothesis;
        let spec = hypothesis.probes.iter().find(|p| p.name == *probe);
        let interval = spec.and_then(|p| p.every).unwrap_or(hypothesis.interval);
        let quarter = (stretch / 4).to_std().unwrap_or_default();
        (interval * hypothesis.blind.abort_after.max(2))
            .min(quarter)
            .max(interval * 2)
    }

    /// Whether a probe watched all of the time from the first kill to the end of the watch: the last that any probe saw,
    /// as a run ends a moment later.
    pub fn watched_to_the_end(&self, probe: &ProbeName) -> bool {
        let last = self.findings.samples.iter().map(|sample| sample.at).max();
        let (from, over) = (self.first_kill, self.over());
        let to = last.map_or(over, |last| last.min(over));
        let ticks = self.ticks(probe);
        let inside = stretch(&ticks, from, later(to, Duration::from_millis(1)));
        covers(inside, from, to, self.hole(probe, to - from) / 2)
    }

    /// The pairs of this run that count.
    pub fn own_pairs(&self, probe: &ProbeName) -> Vec<Pair> {
        let ticks = self.ticks(probe);
        let window = |pair: u32, sham: bool| -> Option<(Counts, Times)> {
            let slot = self
                .slots
                .iter()
                .find(|s| s.pair == pair && s.sham == sham && s.whole)?;
            let inside = stretch(&ticks, slot.from, slot.to);
            covers(
                inside,
                slot.from,
                slot.to,
                self.hole(probe, slot.to - slot.from) / 2,
            )
            .then(|| (Counts::of(inside), self.times(probe, slot.from, slot.to)))
        };
        let last = self.slots.iter().map(|s| s.pair).max().unwrap_or(0);
        (1..=last)
            .filter_map(|number| {
                let (experiment, experiment_times) = window(number, false)?;
                let (control, control_times) = window(number, true)?;
                Some(Pair {
                    run: self.findings.plan.run.clone(),
                    number,
                    experiment,
                    control,
                    experiment_times,
                    control_times,
                })
            })
            .collect()
    }

    /// How long the answers took that a probe saw from a moment on until another.
    fn times(&self, probe: &ProbeName, from: DateTime<Utc>, to: DateTime<Utc>) -> Times {
        let samples = self.findings.samples.iter();
        samples
            .filter(|s| s.probe == *probe && from <= s.at && s.at < to)
            .filter_map(|s| s.reading.detail())
            .flat_map(|detail| detail.times_us.iter().copied())
            .collect()
    }

    /// Blocks of the same time in both groups, from the first kill to the end.
    fn parallel(&self, probe: &ProbeName) -> Comparison {
        let hypothesis = &self.findings.plan.hypothesis;
        let times = |of: &ProbeName, block: &Block| self.times(of, block.from, block.to);
        let pairs = (1..).zip(self.blocks(probe, self.first_kill, self.over()));
        Comparison::pairs(
            pairs
                .map(|(number, block)| Pair {
                    run: self.findings.plan.run.clone(),
                    number,
                    experiment: block.counts.0,
                    control: block.counts.1,
                    experiment_times: times(probe, &block),
                    control_times: hypothesis
                        .counterpart(probe)
                        .map_or_else(Times::default, |other| times(&other.name, &block)),
                })
                .collect(),
        )
    }

    fn reference(&self, probe: &ProbeName) -> Comparison {
        let mut comparison = self.before_after(probe);
        let own = self.sides(&self.ticks(probe));
        let other = self.findings.plan.hypothesis.counterpart(probe);
        let other = other.map_or_else(Sides::default, |other| self.sides(&self.ticks(&other.name)));
        let differences = |from, to| {
            let counts: Vec<_> = self.blocks(probe, from, to).iter().map(|b| b.counts).collect();
            intervals::differences(&counts)
        };
        let began = own.before.first().map_or(self.first_kill, |tick| tick.at);
        comparison.basis = Basis::Reference {
            other: Sides {
                before: Counts::of(&other.before),
                after: Counts::of(&other.after),
            },
            blocks: Sides {
                before: differences(began, self.first_kill),
                after: differences(self.first_kill, self.over()),
            },
        };
        comparison
    }

    /// Whether the app that is hit and the reference app moved alike before the first kill: how much more the one changed
    /// from the first half of that time to the second. Only where a verdict rests on that.
    pub fn trend(&self, probe: &ProbeSpec) -> Option<Interval> {
        let Control::Reference { .. } = self.findings.plan.hypothesis.control else {
            return None;
        };
        let other = self.findings.plan.hypothesis.counterpart(&probe.name)?;
        let own = self.sides(&self.ticks(&probe.name)).before;
        let other = self.sides(&self.ticks(&other.name)).before;
        let (first, last) = (own.first()?.at, own.last()?.at);
        let middle = first + (last - first) / 2;
        let change = |ticks: &[Tick]| {
            let (early, late) = ticks.split_at(ticks.partition_point(|tick| tick.at <= middle));
            intervals::newcombe(Counts::of(late), Counts::of(early), ERROR)
        };
        Some(intervals::less(change(&own)?, change(&other)?))
    }

    /// The two groups before the first kill, where two apps are watched: they should not differ.
    pub fn before(&self, probe: &ProbeSpec) -> Option<Comparison> {
        let other = self.findings.plan.hypothesis.counterpart(&probe.name)?;
        let own = self.sides(&self.ticks(&probe.name)).before;
        let other = self.sides(&self.ticks(&other.name)).before;
        Some(Comparison::sums(Counts::of(&own), Counts::of(&other)))
    }

    /// A probe and its counterpart in blocks of equal length; blocks in which one of them saw nothing are
    /// left out.
    fn blocks(&self, probe: &ProbeName, from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<Block> {
        let Some(other) = self.findings.plan.hypothesis.counterpart(probe) else {
            return vec![];
        };
        let (own, other) = (self.ticks(probe), self.ticks(&other.name));
        stretches(from, to)
            .map(|(from, to)| Block {
                from,
                to,
                counts: (
                    Counts::of(stretch(&own, from, to)),
                    Counts::of(stretch(&other, from, to)),
                ),
            })
            .filter(|block| block.counts.0.observed > 0 && block.counts.1.observed > 0)
            .collect()
    }
}

/// A time in parts of equal length, ten of them unless they would be shorter than five seconds.
fn stretches(from: DateTime<Utc>, to: DateTime<Utc>) -> impl Iterator<Item = (DateTime<Utc>, DateTime<Utc>)> {
    pieces(from, to, ((to - from) / BLOCKS).max(delta(BLOCK_MIN)))
}

/// As many parts of this length as there are.
fn pieces(
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    length: TimeDelta,
) -> impl Iterator<Item = (DateTime<Utc>, DateTime<Utc>)> {
    std::iter::successors(Some(from), move |start| Some(*start + length))
        .map(move |start| (start, start + length))
        .take_while(move |(_, end)| *end <= to)
}

/// The bad share of each of these parts in which something was seen.
fn shares(ticks: &[Tick], parts: impl Iterator<Item = (DateTime<Utc>, DateTime<Utc>)>) -> Vec<f64> {
    parts
        .filter_map(|(from, to)| Counts::of(stretch(ticks, from, to)).share())
        .collect()
}

/// Ticks from one moment to another, the end excluded.
fn stretch(ticks: &[Tick], from: DateTime<Utc>, to: DateTime<Utc>) -> &[Tick] {
    let first = ticks.partition_point(|tick| tick.at < from);
    let last = ticks.partition_point(|tick| tick.at < to).max(first);
    &ticks[first..last]
}
