//! What a run taught: positive evidence in either direction, or neither (`steady-state` §7).
//!
//! There are no control groups yet, so the design is before/after: samples from the first kill on
//! against samples before it, in the same app. It finds gross outages. Time itself is the biggest
//! source of change, so a small difference proves little, and every verdict says so.

use super::recovery::{may_have_killed, peak};
use super::{Pool, Tick, later, percent, span};
use crate::model::experiment::{ProbeSpec, Role, Sample};
use crate::model::plan::Plan;
use crate::model::report::KillRecovery;
use crate::model::run::{Aborted, Intent};
use crate::model::verdict::{Difference, HypothesisResult, Outcome, Verdict};
use chrono::{DateTime, Utc};
use statrs::distribution::{ContinuousCDF, Normal};

/// The design that every verdict is labelled with.
pub const DESIGN: &str = "weak (before/after)";

/// The label of a run that was aborted because a probe saw harm (`steady-state` §7.1).
const CAUSE_NOT_ESTABLISHED: &str = "degraded during the experiment, cause not established";

/// One-sided error of every interval.
const ERROR: f64 = 0.05;

/// All that a verdict rests on.
#[derive(Clone, Copy, Debug)]
pub struct Findings<'a> {
    /// What was planned.
    pub plan: &'a Plan,
    /// Every decided kill.
    pub intents: &'a [Intent],
    /// Why the run ended early.
    pub abort: Option<&'a Aborted>,
    /// Why no kill was made, as one word or a short sentence; for runs without a kill.
    pub skipped: Option<&'a str>,
    /// Every sample of every probe, baseline included, not thinned.
    pub samples: &'a [Sample],
    /// What became of each kill.
    pub recoveries: &'a [KillRecovery],
    /// Until when was watched.
    pub ended: DateTime<Utc>,
}

/// Judges a run that is over.
///
/// # Guarantees
///
/// - Depends on the findings alone.
/// - `Held` only when every planned step was a real kill, every probe that counts has its whole
///   interval below its margin, and the app recovered in time.
/// - A run without a kill, and a rehearsal, is never more than `NotTested`.
/// - A run that was aborted for blindness or by a person is never `Held` and never `Disproved`.
pub fn verdict(findings: &Findings<'_>) -> Verdict {
    let made: Vec<&Intent> = findings
        .intents
        .iter()
        .filter(|intent| may_have_killed(intent))
        .collect();
    let rehearsed = findings.intents.iter().any(|intent| intent.sham);
    let Some(first) = made.first() else {
        return if rehearsed {
            rehearsal(findings)
        } else {
            skipped(findings)
        };
    };
    let from = made.iter().map(|intent| intent.at).min().unwrap_or(first.at);
    let judged = Judged {
        findings,
        differences: differences(findings, from),
        killed: made.iter().map(|intent| intent.targets.len()).sum(),
        steps: made.len(),
        last_kill: made.iter().map(|intent| intent.at).max().unwrap_or(first.at),
        from,
    };
    judged.verdict()
}

/// The interval for the difference of two shares, after minus before, by Newcombe's method on
/// Wilson's bounds: right for tiny counts, and not of zero width when nothing was bad.
///
/// Returns the difference, its one-sided lower end and its one-sided upper end, each with the given
/// chance of error; `None` when one side has no observations.
///
/// # Caveats
///
/// Takes observations as independent. Bursts make the true interval wider.
fn newcombe(after: Pool, before: Pool, error: f64) -> Option<(f64, f64, f64)> {
    let (p1, p2) = (after.share()?, before.share()?);
    let z = z(error);
    let ((l1, u1), (l2, u2)) = (wilson(after, z)?, wilson(before, z)?);
    let d = p1 - p2;
    Some((d, d - (p1 - l1).hypot(u2 - p2), d + (u1 - p1).hypot(p2 - l2)))
}

/// Wilson's interval for one share.
fn wilson(pool: Pool, z: f64) -> Option<(f64, f64)> {
    let (p, n) = (pool.share()?, pool.observed as f64);
    let middle = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let half = z / (1.0 + z * z / n) * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    Some(((middle - half).max(0.0), (middle + half).min(1.0)))
}

/// The normal quantile that leaves this much on one side.
fn z(error: f64) -> f64 {
    Normal::standard().inverse_cdf(1.0 - error)
}

/// The smallest difference that would have been found four times in five; `None` without counts.
fn detectable(after: Pool, before: Pool) -> Option<f64> {
    if after.observed == 0 || before.observed == 0 {
        return None;
    }
    let (n1, n2) = (after.observed as f64, before.observed as f64);
    let p = ((after.bad + before.bad) as f64 + 1.0) / (n1 + n2 + 2.0);
    Some(((z(ERROR) + z(0.2)) * (p * (1.0 - p) * (1.0 / n1 + 1.0 / n2)).sqrt()).min(1.0))
}

/// The difference that is tolerated: half the limit.
fn margin(probe: &ProbeSpec) -> f64 {
    probe.max.as_f64() / 2.0
}

/// One comparison for each probe that counts.
fn differences(findings: &Findings<'_>, from: DateTime<Utc>) -> Vec<Difference> {
    let hypothesis = &findings.plan.hypothesis;
    let counted: Vec<&ProbeSpec> = hypothesis
        .probes
        .iter()
        .filter(|p| p.role != Role::Observe)
        .collect();
    counted
        .iter()
        .map(|probe| {
            let (mut before, mut after) = (Pool::default(), Pool::default());
            for sample in findings
                .samples
                .iter()
                .filter(|s| s.probe == probe.name && s.at <= findings.ended)
            {
                let Some(tick) = Tick::of(sample) else { continue };
                // A sample that was under way when the first kill left may have felt it.
                let side = if later(sample.at, hypothesis.timeout) <= from {
                    &mut before
                } else {
                    &mut after
                };
                *side = side.and(tick);
            }
            let margin = margin(probe);
            let (difference, low, high) = newcombe(after, before, ERROR).unwrap_or((0.0, -1.0, 1.0));
            // Disproved needs one probe of several, so that side is corrected for their number
            // (Holm's first step); held needs all of them, and needs no correction.
            let strict =
                newcombe(after, before, ERROR / counted.len() as f64).map_or(-1.0, |(_, low, _)| low);
            let says = match () {
                () if strict > margin => HypothesisResult::Disproved,
                () if high < margin => HypothesisResult::Held,
                () => HypothesisResult::Inconclusive,
            };
            Difference {
                probe: probe.name.clone(),
                before_bad: before.bad,
                before_observed: before.observed,
                after_bad: after.bad,
                after_observed: after.observed,
                difference,
                low,
                high,
                margin,
                says,
            }
        })
        .collect()
}

impl Difference {
    fn pools(&self) -> (Pool, Pool) {
        (
            Pool {
                observed: self.after_observed,
                bad: self.after_bad,
            },
            Pool {
                observed: self.before_observed,
                bad: self.before_bad,
            },
        )
    }
}

/// A run with at least one real kill.
struct Judged<'a> {
    findings: &'a Findings<'a>,
    differences: Vec<Difference>,
    /// Tasks that were asked to die.
    killed: usize,
    /// Kill requests.
    steps: usize,
    from: DateTime<Utc>,
    last_kill: DateTime<Utc>,
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
        Verdict {
            outcome,
            hypothesis,
            reason,
            sentence,
            lines: vec![self.within_limits(), caused_by_the_kill(hypothesis, &because)],
            limits: limits(self.findings.plan, &self.differences),
            design: DESIGN.into(),
            differences: self.differences,
        }
    }

    /// The rules of `steady-state` §7.1, in their order, and what tipped the scales.
    fn hypothesis(&self, outcome: Outcome) -> (HypothesisResult, String) {
        use HypothesisResult::{Disproved, Held, Inconclusive};
        match self.findings.abort {
            // Without a control nobody can tell the kill from a coincidence.
            Some(abort) if abort.cause.is_degradation() => {
                return (Inconclusive, format!("{CAUSE_NOT_ESTABLISHED}: {}", abort.cause));
            }
            Some(abort) => return (Inconclusive, format!("the run was cut short: {}", abort.cause)),
            None => {}
        }
        let planned = self.findings.plan.steps.len();
        let killed = || format!("{} of {planned} planned steps killed something", self.steps);
        if outcome != Outcome::Completed {
            return (Inconclusive, killed());
        }
        if let Some(worst) = self.differences.iter().find(|d| d.says == Disproved) {
            let Difference {
                probe, low, margin, ..
            } = worst;
            return (
                Disproved,
                format!(
                    "probe {probe} is worse after the kills by at least {} points, {} are tolerated",
                    points(*low),
                    points(*margin)
                ),
            );
        }
        match self.recovered() {
            Recovered::No(why) => return (Disproved, why),
            Recovered::Unknown(why) => return (Inconclusive, why),
            Recovered::Yes => {}
        }
        if self.steps < planned {
            return (Inconclusive, killed());
        }
        if self.differences.is_empty() {
            return (Inconclusive, "no probe counts for the verdict".into());
        }
        match self.differences.iter().find(|d| d.says != Held) {
            None => (Held, "no difference beyond what is tolerated".into()),
            Some(d) if d.before_observed == 0 || d.after_observed == 0 => (
                Inconclusive,
                format!("probe {} saw nothing before or nothing after the kills", d.probe),
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

    fn recovered(&self) -> Recovered {
        let recovery = self.findings.plan.hypothesis.recovery;
        let within = span(recovery.within);
        let deadline = later(self.last_kill, recovery.within);
        let steps = || {
            self.findings
                .intents
                .iter()
                .filter(|i| may_have_killed(i))
                .map(|i| i.step)
        };
        let steady_by_deadline = |step: u32| {
            let all = self.findings.recoveries.iter();
            let mut of_step = all.filter(|r| r.step == step).peekable();
            of_step.peek().is_some() && of_step.all(|r| r.steady.is_some_and(|at| at <= deadline))
        };
        let Some(step) = steps().find(|step| !steady_by_deadline(*step)) else {
            return Recovered::Yes;
        };
        let seen = |probe: &ProbeSpec| {
            let after = |s: &&Sample| s.probe == probe.name && self.last_kill < s.at;
            self.findings
                .samples
                .iter()
                .filter(after)
                .any(|s| Tick::of(s).is_some())
        };
        if self.findings.ended < deadline {
            Recovered::Unknown(format!(
                "step {step} was not watched for the {within} that it has to recover"
            ))
        } else if !self.findings.plan.hypothesis.abort_probes().all(seen) {
            Recovered::Unknown(format!(
                "nobody saw whether step {step} recovered within {within}"
            ))
        } else {
            Recovered::No(format!(
                "the app had not recovered from step {step} within {within} of the last kill"
            ))
        }
    }

    /// The fixed sentence of `steady-state` §7.2.
    fn sentence(&self, outcome: Outcome, hypothesis: HypothesisResult, because: &str) -> String {
        let lead = match outcome {
            Outcome::Aborted => format!("Aborted, {hypothesis}"),
            Outcome::Completed | Outcome::Skipped => capital(&hypothesis.to_string()),
        };
        let mut text = format!("{lead}. {}.", self.kills());
        // The probe that decides is the one that is nearest to, or farthest beyond, its margin.
        let beyond = |d: &Difference| d.high - d.margin;
        if let Some(d) = self
            .differences
            .iter()
            .max_by(|a, b| beyond(a).total_cmp(&beyond(b)))
        {
            let (after, before) = d.pools();
            if let (Some(p1), Some(p2)) = (after.share(), before.share()) {
                let (sure, side) = match hypothesis {
                    HypothesisResult::Disproved if d.says == HypothesisResult::Disproved => (d.low, "above"),
                    _ => (d.high, "below"),
                };
                text += &format!(
                    " Bad answers ({}): {} after the kills, {} before; difference {} points, 95 % sure it is {side} {} (tolerated: {}). {} before, {} after.",
                    d.probe,
                    percent(p1),
                    percent(p2),
                    points(d.difference),
                    points(sure),
                    points(d.margin),
                    thousands(d.before_observed),
                    thousands(d.after_observed),
                );
                if let Some(smallest) = detectable(after, before) {
                    text += &format!(
                        " A difference below about {} points would probably have been missed.",
                        points(smallest).trim_start_matches('+')
                    );
                }
            }
        }
        if hypothesis != HypothesisResult::Held {
            text += &format!(" Reason: {because}.");
        }
        text + " Design: before/after (weak)."
    }

    /// `5 kills of 1 of 12 tasks`.
    fn kills(&self) -> String {
        let each = self.killed / self.steps.max(1);
        let tasks = self.findings.plan.apps.instances();
        let plural = if self.steps == 1 { "kill" } else { "kills" };
        if each * self.steps == self.killed {
            format!("{} {plural} of {each} of {tasks} tasks", self.steps)
        } else {
            format!(
                "{} {plural}, {} tasks in all, of {tasks}",
                self.steps, self.killed
            )
        }
    }

    /// `Stayed within limits: yes (peak 0.4 %, limit 1 %).`
    fn within_limits(&self) -> String {
        let hypothesis = &self.findings.plan.hypothesis;
        let peak = peak(hypothesis, self.findings.samples, self.from);
        let numbers = peak.map(|(index, share)| (share, hypothesis.probes[index].max));
        match (self.findings.abort, numbers) {
            (Some(abort), numbers) if abort.cause.is_degradation() => {
                let peak = numbers.map(|(peak, limit)| format!("peak {}, limit {limit}; ", percent(peak)));
                format!(
                    "Stayed within limits: no ({}{}).",
                    peak.unwrap_or_default(),
                    abort.cause
                )
            }
            (_, None) => "Stayed within limits: not known, no probe saw anything after the kill.".into(),
            (Some(abort), Some((peak, limit))) if abort.cause.word() == "blind" => {
                format!(
                    "Stayed within limits: not known ({}; peak {} until then, limit {limit}).",
                    abort.cause,
                    percent(peak)
                )
            }
            (_, Some((peak, limit))) if peak > limit.as_f64() => format!(
                "Stayed within limits: no (peak {} over {}, limit {limit}; not for long enough to abort).",
                percent(peak),
                span(hypothesis.recovery.hold)
            ),
            (_, Some((peak, limit))) => {
                format!(
                    "Stayed within limits: yes (peak {}, limit {limit}).",
                    percent(peak)
                )
            }
        }
    }
}

/// `Caused by the kill: …`
fn caused_by_the_kill(hypothesis: HypothesisResult, because: &str) -> String {
    match hypothesis {
        HypothesisResult::Held => format!("Caused by the kill: {because}."),
        HypothesisResult::Disproved => {
            format!("Caused by the kill: probably, as far as before and after can tell ({because}).")
        }
        HypothesisResult::Inconclusive => format!("Caused by the kill: not known ({because})."),
        HypothesisResult::NotTested => format!("Caused by the kill: not tested ({because})."),
    }
}

/// What the run could not have seen, and what it did not try.
fn limits(plan: &Plan, differences: &[Difference]) -> Vec<String> {
    let mut limits: Vec<String> = differences
        .iter()
        .map(|d| match detectable(d.pools().0, d.pools().1) {
            Some(smallest) => format!(
                "Probe {}: a difference below about {} points would probably have been missed.",
                d.probe,
                points(smallest).trim_start_matches('+')
            ),
            None => format!(
                "Probe {}: nothing could have been found, it saw nothing before or nothing after.",
                d.probe
            ),
        })
        .collect();
    let most = plan
        .steps
        .iter()
        .map(|step| step.targets.len())
        .max()
        .unwrap_or(0);
    limits.push("Before/after only: anything else that changed at the same time looks the same.".into());
    limits.push(format!(
        "Not tested: other faults than killing tasks, more than {most} of {} tasks at once, other times and loads.",
        plan.apps.instances()
    ));
    limits
}

fn skipped(findings: &Findings<'_>) -> Verdict {
    let word = findings.abort.map(|abort| abort.cause.word().to_owned());
    let words = findings.abort.map(|abort| abort.cause.to_string());
    let given = findings.skipped.map(ToOwned::to_owned);
    let reason = given
        .clone()
        .or(word)
        .unwrap_or_else(|| "no kill was made".into());
    let because = given
        .or(words)
        .unwrap_or_else(|| "no kill left the operator".into());
    not_tested(
        Outcome::Skipped,
        reason,
        format!("Not tested. No kill was made: {because}."),
        "no kill was made",
    )
}

fn rehearsal(findings: &Findings<'_>) -> Verdict {
    let steps = findings.plan.steps.len();
    let shams = findings.intents.iter().filter(|intent| intent.sham).count();
    let told =
        format!("Not tested. Rehearsal: {shams} of {steps} steps were written down, nothing was killed.");
    match findings.abort {
        Some(abort) => not_tested(
            Outcome::Aborted,
            abort.cause.word().into(),
            format!("{told} Ended early: {}.", abort.cause),
            "a rehearsal kills nothing",
        ),
        None if shams < steps => not_tested(
            Outcome::Aborted,
            "cut short".into(),
            told,
            "a rehearsal kills nothing",
        ),
        None => not_tested(
            Outcome::Completed,
            String::new(),
            told,
            "a rehearsal kills nothing",
        ),
    }
}

fn not_tested(outcome: Outcome, reason: String, sentence: String, because: &str) -> Verdict {
    let within = match outcome {
        Outcome::Skipped => "Stayed within limits: not tested (no kill was made).",
        Outcome::Completed | Outcome::Aborted => "Stayed within limits: not tested (nothing was killed).",
    };
    Verdict {
        outcome,
        hypothesis: HypothesisResult::NotTested,
        reason,
        sentence,
        lines: vec![
            within.into(),
            caused_by_the_kill(HypothesisResult::NotTested, because),
        ],
        limits: vec!["Nothing was tested.".into()],
        design: DESIGN.into(),
        differences: vec![],
    }
}

/// A difference in percentage points, with its sign: `+0.02`, `+2.1`.
fn points(share: f64) -> String {
    let points = share * 100.0;
    let digits = match points.abs() {
        p if p >= 10.0 => 1,
        p if p >= 0.1 || p == 0.0 => 2,
        _ => 3,
    };
    let text = format!("{points:+.digits$}");
    if text
        .trim_start_matches(['+', '-'])
        .chars()
        .all(|c| c == '0' || c == '.')
    {
        "0".into()
    } else {
        text
    }
}

/// `30,000 observations`.
fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    format!("{text} observations")
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
pub(super) mod tests;
