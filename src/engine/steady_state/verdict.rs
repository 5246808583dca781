//! What a run taught: positive evidence in either direction, or neither (`steady-state` §7).
//!
//! The experimental group is compared with the control group that the plan declares: shams of the same
//! app, an app beside it, an app that is left alone, or only the time before. How much a verdict can be
//! trusted depends on that, and every verdict says so.

mod untested;
mod words;

use super::groups::{Comparison, Seen, Slot};
use super::intervals::{self, ERROR, Interval};
use super::{Tick, later, percent, span};
use crate::model::experiment::{AbortCause, Control, Group, ProbeSpec, Sample};
use crate::model::ids::ProbeName;
use crate::model::plan::Plan;
use crate::model::policy::Mode;
use crate::model::report::KillRecovery;
use crate::model::run::{Aborted, Intent, IntentState};
use crate::model::verdict::{Counts, Difference, HypothesisResult, Outcome, Pair, Progress, Verdict};
use chrono::{DateTime, Utc};
use untested::{rehearsal, skipped};
use words::{about, caused_by_the_kill, points};

/// The label of a run that was aborted because a probe saw harm (`steady-state` §7.1).
const CAUSE_NOT_ESTABLISHED: &str = "degraded during the experiment, cause not established";

/// The label of harm that the control group felt, too (`steady-state` §3.2).
const COMMON_CAUSE: &str = "common cause";

/// All that a verdict rests on.
#[derive(Clone, Copy, Debug)]
pub struct Findings<'a> {
    /// What was planned.
    pub plan: &'a Plan,
    /// Every decided kill, and every sham.
    pub intents: &'a [Intent],
    /// Why the run ended early.
    pub abort: Option<&'a Aborted>,
    /// Why no kill was made, as one word or a short sentence; for runs without a kill.
    pub skipped: Option<&'a str>,
    /// Every sample of every probe, baseline included, not thinned.
    pub samples: &'a [Sample],
    /// What became of each kill.
    pub recoveries: &'a [KillRecovery],
    /// Pairs of slots of earlier runs of the same experiment, oldest first.
    pub earlier: &'a [(ProbeName, Pair)],
    /// Until when was watched.
    pub ended: DateTime<Utc>,
}

/// Judges a run that is over.
///
/// # Guarantees
///
/// - Depends on the findings alone.
/// - `Held` only when every planned step was taken and every kill was real, no slot was cut short or not
///   watched, both groups were measured, every probe that counts has its whole interval below its margin,
///   and the app recovered in time.
/// - A run without a kill, and a rehearsal, is never more than `NotTested`.
/// - A run that was aborted for blindness or by a person is never `Held` and never `Disproved`.
/// - Harm that the control group felt, too, disproves nothing.
pub fn verdict(findings: &Findings<'_>) -> Verdict {
    let made: Vec<&Intent> = findings
        .intents
        .iter()
        .filter(|intent| intent.may_have_killed())
        .collect();
    let rehearsed = findings.intents.iter().any(|intent| {
        let slot = findings.plan.step(intent.step).is_some_and(|step| step.is_sham());
        intent.sham && (findings.plan.mode != Mode::Enforce || !slot)
    });
    let Some(first) = made.iter().map(|intent| intent.at).min() else {
        return if rehearsed {
            rehearsal(findings)
        } else {
            skipped(findings)
        };
    };
    let seen = Seen::new(findings, first);
    let harm = findings
        .abort
        .filter(|abort| abort.cause.is_degradation())
        .map(|abort| seen.control_at(abort));
    let judged = Judged {
        differences: differences(&seen, findings, harm.as_ref()),
        killed: made.iter().map(|intent| intent.targets.len()).sum(),
        kills: made.len(),
        findings,
        seen,
        harm,
        from: first,
    };
    judged.verdict()
}

/// What the control group was like when the run was aborted because a probe saw harm.
enum ControlThen {
    /// It kept its limit.
    Fine {
        /// What was seen of it, by probe of the experimental group.
        counts: Vec<(ProbeName, Counts)>,
        /// Where, in words: `after 2 shams`.
        place: String,
    },
    /// It did not.
    Broke(String),
    /// There was none, and why, where there could have been one.
    None(&'static str),
}

impl Seen<'_> {
    /// The control group of an abort: only what was measured, never what was assumed.
    fn control_at(&self, abort: &Aborted) -> ControlThen {
        let plan = self.plan();
        let hypothesis = &plan.hypothesis;
        let (counts, place): (Vec<(&ProbeSpec, Counts)>, String) = match &hypothesis.control {
            Control::BeforeAfter => return ControlThen::None(""),
            Control::Sham { .. } => {
                let Some(now) = self.slots.iter().rfind(|slot| slot.from <= abort.at) else {
                    return ControlThen::None("");
                };
                if now.sham {
                    return ControlThen::Broke("it happened after a sham, not after a kill".into());
                }
                let shams: Vec<&Slot> = self.slots.iter().filter(|s| s.sham && s.whole).collect();
                let over_shams = |probe: &ProbeSpec| {
                    shams
                        .iter()
                        .map(|s| self.between(&probe.name, s.from, s.to))
                        .sum::<Counts>()
                };
                let earlier = |probe: &ProbeSpec| self.earlier_control(&probe.name);
                let probes = || hypothesis.verdict_probes();
                if !shams.is_empty() {
                    let many = match shams.len() {
                        1 => "a sham".to_owned(),
                        n => format!("{n} shams"),
                    };
                    let counts = probes().map(|p| (p, over_shams(p))).collect();
                    (counts, format!("after {many}"))
                } else if probes().all(|p| earlier(p).observed > 0) {
                    let counts = probes().map(|p| (p, earlier(p))).collect();
                    (counts, "after the shams of earlier runs".into())
                } else {
                    // No sham came first. The time before the first slot is no control: something else may
                    // have begun at the same moment, and no run that begins with a kill could ever tell.
                    return ControlThen::None(
                        ", and no sham came before it that would have shown the app without a kill",
                    );
                }
            }
            Control::Parallel { .. } | Control::Reference { .. } => {
                let own = |probe: &ProbeName| {
                    hypothesis
                        .probes
                        .iter()
                        .any(|p| p.name == *probe && p.group() == Group::Control)
                };
                if let Some(probe) = abort.cause.culprit().filter(|probe| own(probe)) {
                    return ControlThen::Broke(format!("probe {probe} looks at the control group"));
                }
                let counts = hypothesis
                    .verdict_probes()
                    .filter_map(|p| {
                        let other = hypothesis.counterpart(&p.name)?;
                        Some((p, self.between(&other.name, self.first_kill, abort.at)))
                    })
                    .collect();
                (counts, "in the control group".into())
            }
        };
        for (probe, counts) in &counts {
            match counts.share() {
                None => return ControlThen::None(", and the control group was not seen"),
                Some(share) if !counts.is_within(probe.max) => {
                    return ControlThen::Broke(format!(
                        "probe {} saw {} bad {place}, limit {}",
                        probe.name,
                        percent(share),
                        probe.max
                    ));
                }
                Some(_) => {}
            }
        }
        if counts.is_empty() {
            return ControlThen::None("");
        }
        let counts = counts.into_iter().map(|(p, c)| (p.name.clone(), c)).collect();
        ControlThen::Fine { counts, place }
    }
}

/// One comparison for each probe that counts.
fn differences(seen: &Seen<'_>, findings: &Findings<'_>, harm: Option<&ControlThen>) -> Vec<Difference> {
    let hypothesis = &findings.plan.hypothesis;
    let probes: Vec<&ProbeSpec> = hypothesis.verdict_probes().collect();
    let comparisons: Vec<Comparison> = probes
        .iter()
        .map(|probe| match (harm, findings.abort) {
            // An aborted slot has no partner: what was seen after kills, against the control as it was.
            (Some(ControlThen::Fine { counts, .. }), Some(abort)) if !seen.slots.is_empty() => {
                let control = counts.iter().find(|(of, _)| *of == probe.name);
                let control = control.map_or_else(Counts::default, |(_, counts)| *counts);
                seen.aborted(&probe.name, abort.at, control)
            }
            _ => seen.compare(probe),
        })
        .collect();
    let mut margins: Vec<f64> = probes.iter().map(|p| hypothesis.margin_of(p)).collect();
    // One disproof among all comparisons is enough, those of the slow ends included, so all of them share the error.
    let slow = hypothesis.latency_margin();
    let mut slow_ends: Vec<_> = comparisons.iter().map(|c| c.latency(slow, ERROR)).collect();
    let timed: Vec<usize> = (0..probes.len()).filter(|p| slow_ends[*p].is_some()).collect();
    margins.extend(timed.iter().map(|_| slow));
    let says = intervals::holm(&margins, |index, error| {
        let Some(place) = index.checked_sub(probes.len()) else {
            return comparisons[index].interval(error);
        };
        let probe = timed[place];
        let known = slow_ends[probe].filter(|_| error == ERROR);
        let latency = known.or_else(|| comparisons[probe].latency(slow, error));
        latency.map_or(Interval::NOTHING, |l| Interval {
            difference: l.ratio,
            low: l.low,
            high: l.high,
        })
    });
    for (probe, says) in timed.iter().zip(&says[probes.len()..]) {
        if let Some(latency) = &mut slow_ends[*probe] {
            latency.says = *says;
        }
    }
    let drawn = matches!(hypothesis.control, Control::Sham { .. });
    probes
        .iter()
        .zip(&comparisons)
        .zip(margins.iter().zip(&says))
        .zip(slow_ends)
        .map(|(((probe, comparison), (margin, says)), latency)| {
            let interval = comparison.interval(ERROR);
            let slow_end = latency.map_or(HypothesisResult::Held, |l| l.says);
            let paired = comparison.differences();
            Difference {
                probe: probe.name.clone(),
                control_bad: comparison.control.bad,
                control_observed: comparison.control.observed,
                experiment_bad: comparison.experiment.bad,
                experiment_observed: comparison.experiment.observed,
                difference: interval.difference,
                low: interval.low,
                high: interval.high,
                margin: *margin,
                says: match says {
                    _ if slow_end == HypothesisResult::Disproved => HypothesisResult::Disproved,
                    HypothesisResult::Held if !comparison.saw_both() => HypothesisResult::Inconclusive,
                    // The slow end, once it can be compared, has to be inside its margin, too.
                    HypothesisResult::Held => slow_end,
                    says => *says,
                },
                chance: intervals::chance(&paired).filter(|_| drawn),
                smallest: intervals::smallest(comparison.experiment, comparison.control, &paired),
                pairs: comparison.pairs.clone(),
                latency,
            }
        })
        .collect()
}

/// A run with at least one real kill.
struct Judged<'a> {
    findings: &'a Findings<'a>,
    seen: Seen<'a>,
    differences: Vec<Difference>,
    /// The control group, when a probe saw harm.
    harm: Option<ControlThen>,
    /// Tasks that were asked to die.
    killed: usize,
    /// Kill requests.
    kills: usize,
    from: DateTime<Utc>,
}

/// Whether the app was whole and steady again in time.
enum Recovered {
    Yes,
    /// Watched to the end of the time and not seen.
    No(String),
    /// Not watched for long enough to know.
    Unknown(String),
}

impl Judged<'_> {
    fn verdict(self) -> Verdict {
        let planned = self.findings.plan.steps.len();
        let (outcome, reason) = match self.findings.abort {
            Some(abort) => (Outcome::Aborted, abort.cause.word().to_owned()),
            None if self.findings.intents.len() < planned => (Outcome::Aborted, "cut short".to_owned()),
            None => (Outcome::Completed, String::new()),
        };
        let (hypothesis, because) = self.hypothesis(outcome);
        let sentence = self.sentence(outcome, hypothesis, &because);
        let control = &self.findings.plan.hypothesis.control;
        Verdict {
            outcome,
            hypothesis,
            reason,
            sentence,
            lines: [
                Some(self.within_limits()),
                Some(caused_by_the_kill(control, hypothesis, &because)),
                self.down_or_cut_off(),
            ]
            .into_iter()
            .flatten()
            .collect(),
            limits: self.limits(),
            design: control.label().into(),
            about_design: about(self.findings.plan, self.findings.intents),
            pairs: self.progress(),
            differences: self.differences,
        }
    }

    /// The rules of `steady-state` §7.1, in their order, and what tipped the scales.
    fn hypothesis(&self, outcome: Outcome) -> (HypothesisResult, String) {
        use HypothesisResult::{Disproved, Inconclusive};
        if let Some(abort) = self.findings.abort {
            return self.aborted(abort);
        }
        if outcome != Outcome::Completed {
            return (Inconclusive, self.taken());
        }
        let recovered = self.recovered();
        if let Recovered::No(why) = &recovered
            && self.expects_recovery()
        {
            return (Disproved, why.clone());
        }
        let missing = self.progress().filter(|p| p.have < p.need);
        // Looking at the interval after every pair would find a difference sooner or later.
        if missing.is_none()
            && let Some(worst) = self.differences.iter().find(|d| d.says == Disproved)
        {
            return (Disproved, self.worse(worst));
        }
        match recovered {
            Recovered::No(why) => {
                return (
                    Inconclusive,
                    format!("{why}, and the policy declares no `recovery.within`"),
                );
            }
            Recovered::Unknown(why) => return (Inconclusive, why),
            Recovered::Yes => {}
        }
        if let Some(Progress { have, need, .. }) = missing {
            return (Inconclusive, format!("pair {have} of {need}"));
        }
        self.held_or_not()
    }

    /// What an early end leaves to say.
    fn aborted(&self, abort: &Aborted) -> (HypothesisResult, String) {
        use HypothesisResult::{Disproved, Inconclusive};
        let cut = || format!("the run was cut short: {}", abort.cause);
        if let AbortCause::NotRecovered { step, .. } = &abort.cause {
            let sham = self.findings.plan.step(*step).is_some_and(|s| s.is_sham());
            return match self.recovered_from(*step, abort.at) {
                _ if sham => (
                    Inconclusive,
                    format!("{COMMON_CAUSE}: {}, which was a sham", abort.cause),
                ),
                Recovered::No(_) if self.expects_recovery() => (Disproved, abort.cause.to_string()),
                Recovered::No(_) => (
                    Inconclusive,
                    format!("{}, and the policy declares no `recovery.within`", abort.cause),
                ),
                Recovered::Yes | Recovered::Unknown(_) => (Inconclusive, cut()),
            };
        }
        match &self.harm {
            None => (Inconclusive, cut()),
            Some(ControlThen::None(why)) => (
                Inconclusive,
                format!("{CAUSE_NOT_ESTABLISHED}: {}{why}", abort.cause),
            ),
            Some(ControlThen::Broke(why)) => (
                Inconclusive,
                format!(
                    "{COMMON_CAUSE}: {}, and the control group broke its limit, too: {why}",
                    abort.cause
                ),
            ),
            Some(ControlThen::Fine { place, .. }) => {
                let counted = matches!(abort.cause, AbortCause::Budget { .. });
                if counted && !self.differences.iter().any(|d| d.low > d.margin) {
                    return (
                        Inconclusive,
                        format!(
                            "{}, and no probe is worse than {place} by more than is tolerated",
                            abort.cause
                        ),
                    );
                }
                (
                    Disproved,
                    format!("{}, and the limit was kept {place}", abort.cause),
                )
            }
        }
    }

    /// `probe edge is worse after a kill by at least +1.9 points, +0.50 are tolerated`.
    fn worse(&self, difference: &Difference) -> String {
        if let Some(l) = difference.latency.filter(|_| difference.low <= difference.margin) {
            return format!(
                "probe {} is slower {}: its slowest 1 % take at least {:.2} times as long, {} times are tolerated",
                difference.probe,
                self.places().0,
                l.low,
                l.margin
            );
        }
        format!(
            "probe {} is worse {} by at least {} points, {} are tolerated",
            difference.probe,
            self.places().0,
            points(difference.low),
            points(difference.margin)
        )
    }

    fn held_or_not(&self) -> (HypothesisResult, String) {
        use HypothesisResult::{Held, Inconclusive};
        let planned = self.findings.plan.steps.iter().filter(|s| !s.is_sham()).count();
        if self.kills < planned {
            return (Inconclusive, self.taken());
        }
        if self.differences.is_empty() {
            return (Inconclusive, "no probe counts for the verdict".into());
        }
        if let Some(why) = self.unstable() {
            return (Inconclusive, why);
        }
        let (experiment, control) = self.places();
        match self.differences.iter().find(|d| d.says != Held) {
            None => (Held, "no difference beyond what is tolerated".into()),
            Some(d) if d.control_observed == 0 || d.experiment_observed == 0 => (
                Inconclusive,
                format!("probe {} saw nothing {control} or nothing {experiment}", d.probe),
            ),
            Some(Difference {
                probe,
                high,
                margin,
                latency: Some(l),
                ..
            }) if high < margin => (
                Inconclusive,
                format!(
                    "probe {probe} saw too little of its slow end: its slowest 1 % may take {:.2} times as long, {} times \
                     are tolerated",
                    l.high, l.margin
                ),
            ),
            Some(d) => (
                Inconclusive,
                format!(
                    "probe {} saw too little: its difference may be {} points, {} are tolerated",
                    d.probe,
                    points(d.high),
                    points(d.margin)
                ),
            ),
        }
    }

    /// Why the groups can't be relied on, where they can't: a slot that nobody watched to its end, or a
    /// control group that is over its limit or differed before anything was done.
    fn unstable(&self) -> Option<String> {
        let plan = self.findings.plan;
        let hypothesis = &plan.hypothesis;
        let pairs = plan
            .steps
            .iter()
            .filter_map(|s| s.slot)
            .map(|s| s.pair)
            .max()
            .unwrap_or(0);
        for (probe, difference) in hypothesis.verdict_probes().zip(&self.differences) {
            let watched = self.seen.own_pairs(&probe.name).len();
            if u32::try_from(watched).unwrap_or(u32::MAX) < pairs {
                return Some(format!(
                    "probe {} watched {watched} of {pairs} pairs of slots to their ends",
                    probe.name
                ));
            }
            let other = hypothesis.counterpart(&probe.name).map(|other| &other.name);
            let unwatched = [Some(&probe.name), other].into_iter().flatten();
            let unwatched = unwatched
                .filter(|_| pairs == 0)
                .find(|probe| !self.seen.watched_to_the_end(probe));
            if let Some(probe) = unwatched {
                return Some(format!(
                    "probe {probe} did not see all of the time from the first kill to the end"
                ));
            }
            let control = difference.control();
            if let Some(share) = control.share().filter(|_| !control.is_within(probe.max)) {
                return Some(format!(
                    "{COMMON_CAUSE}: probe {} saw {} bad {}, limit {}",
                    probe.name,
                    percent(share),
                    self.places().1,
                    probe.max
                ));
            }
            let margin = hypothesis.margin_of(probe);
            if matches!(hypothesis.control, Control::Parallel { .. })
                && let Some(before) = self.seen.before(probe).map(|before| before.interval(ERROR))
                && (before.low > margin || before.high < -margin)
            {
                return Some(format!(
                    "probe {} differed between the apps by {} points before any kill",
                    probe.name,
                    points(before.difference)
                ));
            }
        }
        None
    }

    /// How many pairs there are of those that a verdict rests on: as many as the probe has that saw least.
    fn progress(&self) -> Option<Progress> {
        let Control::Sham { pairs, .. } = self.findings.plan.hypothesis.control else {
            return None;
        };
        let run = &self.findings.plan.run;
        let count = |pairs: usize| u32::try_from(pairs).unwrap_or(u32::MAX);
        let least = self.differences.iter().min_by_key(|d| d.pairs.len());
        let (have, earlier) = least.map_or((0, 0), |d| {
            let earlier = d.pairs.iter().filter(|p| p.run != *run).count();
            (count(d.pairs.len()), count(earlier))
        });
        Some(Progress {
            have,
            need: pairs,
            earlier,
        })
    }

    /// `2 of 3 planned kills were made`.
    fn taken(&self) -> String {
        let planned = self.findings.plan.steps.iter().filter(|s| !s.is_sham()).count();
        format!("{} of {planned} planned steps killed something", self.kills)
    }

    /// Where the two groups are, in words.
    fn places(&self) -> (&'static str, &'static str) {
        match &self.findings.plan.hypothesis.control {
            Control::Sham { .. } => ("after a kill", "after a sham"),
            Control::Parallel { .. } => ("in the app that was hit", "in the app that was left alone"),
            Control::BeforeAfter | Control::Reference { .. } => ("after the kills", "before"),
        }
    }

    /// Whether recovering in time is part of the hypothesis.
    fn expects_recovery(&self) -> bool {
        self.findings.plan.hypothesis.recovery.expected
    }

    fn recovered(&self) -> Recovered {
        let steps = self.findings.intents.iter().filter(|i| i.may_have_killed());
        let mut unknown = None;
        for intent in steps {
            match self.recovered_from(intent.step, self.findings.ended) {
                Recovered::Yes => {}
                Recovered::No(why) => return Recovered::No(why),
                Recovered::Unknown(why) => unknown = unknown.or(Some(why)),
            }
        }
        unknown.map_or(Recovered::Yes, Recovered::Unknown)
    }

    /// Whether the app recovered from one step within its time, as seen until a moment.
    fn recovered_from(&self, step: u32, until: DateTime<Utc>) -> Recovered {
        let recovery = self.findings.plan.hypothesis.recovery;
        let within = span(recovery.within);
        let Some(intent) = self.findings.intents.iter().find(|i| i.step == step) else {
            return Recovered::Unknown(format!("step {step} was not taken"));
        };
        let deadline = later(intent.at, recovery.within);
        let all = self.findings.recoveries.iter();
        let of_step: Vec<_> = all.filter(|r| r.step == step).collect();
        // Such as a kill that a leader accepted, and forgot when it ended.
        let did_nothing = |r: &&KillRecovery| r.gone.is_none() && r.staged.is_none();
        let proven = matches!(intent.state, IntentState::Resolved { .. });
        if !proven && !of_step.is_empty() && of_step.iter().all(did_nothing) {
            return Recovered::Unknown(format!(
                "the kill of step {step} was accepted, and nobody saw a task end"
            ));
        }
        if !of_step.is_empty() && of_step.iter().all(|r| r.steady.is_some_and(|at| at <= deadline)) {
            return Recovered::Yes;
        }
        let seen = |probe: &ProbeSpec| {
            let after = |s: &&Sample| s.probe == probe.name && intent.at < s.at;
            self.findings
                .samples
                .iter()
                .filter(after)
                .any(|s| Tick::of(s).is_some())
        };
        if until < deadline {
            Recovered::Unknown(format!(
                "step {step} was not watched for the {within} that it has to recover"
            ))
        } else if !self.findings.plan.hypothesis.abort_probes().all(seen) {
            Recovered::Unknown(format!(
                "nobody saw whether step {step} recovered within {within}"
            ))
        } else {
            Recovered::No(format!(
                "the app had not recovered from step {step} within {within}"
            ))
        }
    }
}

#[cfg(test)]
mod slots;
#[cfg(test)]
pub(super) mod tests;
