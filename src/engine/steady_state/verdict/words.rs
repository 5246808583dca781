//! What a verdict says: the fixed sentences of `steady-state` §7.2, and what the run could not have shown.

use super::Judged;
use crate::engine::steady_state::intervals::ERROR;
use crate::engine::steady_state::recovery::peak;
use crate::engine::steady_state::{percent, span};
use crate::model::experiment::{AbortCause, Control, Source};
use crate::model::plan::Plan;
use crate::model::run::Intent;
use crate::model::text::{capital, count};
use crate::model::verdict::{Difference, HypothesisResult, Outcome};

impl Judged<'_> {
    /// The fixed sentence of `steady-state` §7.2.
    pub(super) fn sentence(&self, outcome: Outcome, hypothesis: HypothesisResult, because: &str) -> String {
        let lead = match outcome {
            Outcome::Aborted => format!("Aborted, {hypothesis}"),
            Outcome::Completed | Outcome::Skipped => capital(&hypothesis.to_string()),
        };
        let mut text = format!("{lead}. {}.", self.kills());
        // The probe that decides is the one that is nearest to, or farthest beyond, its margin: among those that
        // disproved, where one did.
        let beyond = |d: &Difference| (d.says == HypothesisResult::Disproved, d.high - d.margin);
        let order = |a: &&Difference, b: &&Difference| {
            let (a, b) = (beyond(a), beyond(b));
            a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
        };
        if let Some(d) = self.differences.iter().max_by(order)
            && let (Some(p1), Some(p2)) = (d.experiment().share(), d.control().share())
        {
            let (experiment, control) = self.places();
            text += &format!(
                " Bad answers ({}): {} {experiment}, {} {control}",
                d.probe,
                percent(p1),
                percent(p2)
            );
            if d.low <= -1.0 && d.high >= 1.0 {
                // One pair bounds nothing.
                text += &format!("; difference {} points so far.", points(d.difference));
            } else {
                let (sure, side) = match hypothesis {
                    HypothesisResult::Disproved if d.says == HypothesisResult::Disproved => (d.low, "above"),
                    _ => (d.high, "below"),
                };
                text += &format!(
                    "; difference {} points, 95 % sure it is {side} {} (tolerated: {}).",
                    points(d.difference),
                    points(sure),
                    points(d.margin)
                );
            }
            text += &format!(
                " {} observations {control}, {} observations {experiment}.",
                count(d.control_observed),
                count(d.experiment_observed)
            );
            if let Some(smallest) = d.smallest.filter(|_| hypothesis != HypothesisResult::Disproved) {
                text += &format!(
                    " A difference below about {} points would probably have been missed.",
                    points(smallest).trim_start_matches('+')
                );
            }
        }
        // Of the probes that take time, the one that came nearest to its margin, or went farthest beyond it.
        let timed = self.differences.iter().filter_map(|d| Some((d, d.latency?)));
        if let Some((d, l)) =
            timed.max_by(|(_, a), (_, b)| (a.high / a.margin).total_cmp(&(b.high / b.margin)))
        {
            let (experiment, control) = self.places();
            let (sure, side) = match l.says {
                HypothesisResult::Disproved => (l.low, "above"),
                _ => (l.high, "below"),
            };
            let less = match &self.findings.plan.hypothesis.control {
                Control::Reference { .. } => ", less what the reference app did meanwhile",
                _ => "",
            };
            text += &format!(
                " Slowest 1 % of answers ({}): from {} {experiment}, from {} {control}; {:.2} times as long{less}, 95 % sure \
                 it is {side} {sure:.2} (tolerated: {}).",
                d.probe,
                milliseconds(l.experiment_p99_ms),
                milliseconds(l.control_p99_ms),
                l.ratio,
                l.margin
            );
        }
        if hypothesis != HypothesisResult::Held {
            text += &format!(" Reason: {because}.");
        }
        text + " Design: " + design(&self.findings.plan.hypothesis.control) + "."
    }

    /// `5 kills of 1 of 12 tasks`.
    pub(super) fn kills(&self) -> String {
        let each = self.killed / self.kills.max(1);
        let tasks = self.findings.plan.apps.instances();
        let plural = if self.kills == 1 { "kill" } else { "kills" };
        if each * self.kills == self.killed {
            format!("{} {plural} of {each} of {tasks} tasks", self.kills)
        } else {
            format!(
                "{} {plural}, {} tasks in all, of {tasks}",
                self.kills, self.killed
            )
        }
    }

    /// `Stayed within limits: yes (peak 0.4 %, limit 1 %).`
    pub(super) fn within_limits(&self) -> String {
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

    /// Where nobody answered the probe that ended the run: which of the two it was, in fixed words
    /// (`steady-state` §2.5).
    pub(super) fn down_or_cut_off(&self) -> Option<String> {
        let abort = self.findings.abort?;
        let probe = match &abort.cause {
            AbortCause::Blind { probe, .. } => probe,
            other => other.culprit()?,
        };
        let of_probe = self
            .findings
            .samples
            .iter()
            .filter(|s| s.probe == *probe && s.at <= abort.at);
        let last = &of_probe.max_by_key(|s| s.at)?.reading;
        if last.is_silence() {
            Some(format!(
                "The service is down: nobody answered probe {probe}, while the self-check was answered."
            ))
        } else if last.is_cut_off() {
            Some(format!(
                "We may be cut off: nobody answered probe {probe}, nor the self-check. The service may be well."
            ))
        } else {
            None
        }
    }

    /// What the run could not have seen, and what it did not try.
    pub(super) fn limits(&self) -> Vec<String> {
        let plan = self.findings.plan;
        let (experiment, control) = self.places();
        let mut limits: Vec<String> = self
            .differences
            .iter()
            .map(|d| match d.smallest {
                Some(smallest) => format!(
                    "Probe {}: a difference below about {} points would probably have been missed.",
                    d.probe,
                    points(smallest).trim_start_matches('+')
                ),
                None => format!(
                    "Probe {}: nothing could have been found, it saw nothing {control} or nothing {experiment}.",
                    d.probe
                ),
            })
            .collect();
        for (probe, difference) in plan.hypothesis.verdict_probes().zip(&self.differences) {
            let timed = probe.source.parts().iter().any(Source::takes_time);
            if timed && difference.latency.is_none() {
                let needs = match &plan.hypothesis.control {
                    Control::Sham { .. } => "five pairs, with a thousand answers in each group",
                    Control::Parallel { .. } => "25 s, with a thousand answers in each group",
                    Control::BeforeAfter | Control::Reference { .. } => {
                        "25 s before the first kill and after it, with a thousand answers on each side"
                    }
                };
                limits.push(format!(
                    "Probe {}: how long its slowest answers took was not compared, only how many were too slow; that \
                     needs {needs}.",
                    probe.name
                ));
            }
        }
        for probe in plan.hypothesis.verdict_probes() {
            if let Some(trend) = self.seen.trend(probe) {
                limits.push(format!(
                    "Probe {}: from the first to the second half of the time before, the app that was hit changed by {} points \
                     more than the reference app, 95 % sure each way {} to {}; it rests on both moving alike.",
                    probe.name,
                    points(trend.difference),
                    points(trend.low),
                    points(trend.high)
                ));
            }
            if let Some(before) = self.seen.before(probe).map(|b| b.interval(ERROR)) {
                limits.push(format!(
                    "Probe {}: before the first kill the two apps differed by {} points, 95 % sure each way {} to {}.",
                    probe.name,
                    points(before.difference),
                    points(before.low),
                    points(before.high)
                ));
            }
        }
        if let Some(chance) = self.differences.iter().filter_map(|d| d.chance).reduce(f64::min)
            && let Some(progress) = self.progress().filter(|p| p.have > 0)
        {
            limits.push(format!(
                "{} pairs: if kills did nothing, a difference like this would come by chance in {} of all orders (1 in {} at best).",
                progress.have,
                percent(chance),
                1_u64 << progress.have.min(62)
            ));
        }
        let most = plan
            .steps
            .iter()
            .map(|step| step.targets.len())
            .max()
            .unwrap_or(0);
        limits.push(match &plan.hypothesis.control {
            Control::BeforeAfter => {
                "Before/after only: anything else that changed at the same time looks the same.".into()
            }
            Control::Sham { window, settle, .. } => format!(
                "Sham slots: what shows later than {} after a kill, or lasts longer than the settle time of {}, is missed or counted on the wrong side.",
                span(*window),
                span(*settle)
            ),
            Control::Parallel { .. } => {
                "Parallel apps: what both share (database, cache, hosts) reaches the control group, too, and hides a difference; a request that is retried on the other app understates it.".into()
            }
            Control::Reference { app } => format!(
                "Reference app: what {app} does not share, and changed at the same time, looks like the kill."
            ),
        });
        if let Some(outage) = &plan.outage {
            limits.push(format!(
                "The tasks on {outage} died together and its agents stayed: replacements may have started on the same ones, \
                 and nothing of their network, disks or other tasks was touched."
            ));
        }
        limits.push(format!(
            "Not tested: other faults than killing tasks, more than {most} of {} tasks at once, other times and loads.",
            plan.apps.instances()
        ));
        limits
    }
}

/// `Caused by the kill: …`
pub(super) fn caused_by_the_kill(control: &Control, hypothesis: HypothesisResult, because: &str) -> String {
    match (hypothesis, control) {
        (HypothesisResult::Held, _) => format!("Caused by the kill: {because}."),
        (HypothesisResult::Disproved, Control::BeforeAfter) => {
            format!("Caused by the kill: probably, as far as before and after can tell ({because}).")
        }
        (HypothesisResult::Disproved, Control::Reference { .. }) => {
            format!("Caused by the kill: probably ({because}).")
        }
        (HypothesisResult::Disproved, Control::Sham { .. } | Control::Parallel { .. }) => {
            format!("Caused by the kill: yes ({because}).")
        }
        (HypothesisResult::Inconclusive, _) if because.starts_with("pair ") => {
            format!("Caused by the kill: not known yet, {because}.")
        }
        (HypothesisResult::Inconclusive, _) => format!("Caused by the kill: not known ({because})."),
        (HypothesisResult::NotTested, _) => format!("Caused by the kill: not tested ({because})."),
    }
}

/// The design with its strength behind it: `sham slots (good)`.
pub(super) fn design(control: &Control) -> &'static str {
    match control {
        Control::BeforeAfter => "before/after (weak)",
        Control::Sham { .. } => "sham slots (good)",
        Control::Parallel { .. } => "parallel apps (strong)",
        Control::Reference { .. } => "reference app (moderate)",
    }
}

/// What the design can and cannot tell, in the fixed words of `steady-state` §3.3.
pub(super) fn about(plan: &Plan, intents: &[Intent]) -> String {
    match &plan.hypothesis.control {
        Control::BeforeAfter => {
            "Design: before/after (same app). A difference here may have any cause that came at the same time; only gross outages stand out.".into()
        }
        Control::Sham { settle, .. } => {
            let shams = plan.steps.iter().filter(|s| s.is_sham()).count();
            let real = plan.steps.len() - shams;
            let taken = intents.iter().filter(|i| i.sham).count();
            let made = intents.iter().filter(|i| i.may_have_killed()).count();
            let of = match (made, taken) == (real, shams) {
                true => String::new(),
                false => format!(" of {real} and {shams} planned"),
            };
            format!(
                "Design: sham slots ({made} real, {taken} sham{of}, same app). A difference here is not explained by slow drift. Effects lasting longer than the {} settle time would be missed.",
                span(*settle)
            )
        }
        Control::Parallel { control, experiment } => format!(
            "Design: parallel apps ({experiment} was hit, {control} was left alone). A difference here is what users of the one saw and users of the other did not."
        ),
        Control::Reference { app } => format!(
            "Design: reference app ({app} was left alone). Before against after, less what the reference app did meanwhile; the two have to move alike without a kill."
        ),
    }
}

/// A difference in percentage points, with its sign: `+0.02`, `+2.1`.
pub(super) fn points(share: f64) -> String {
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

/// `61 ms`, `9.5 ms`.
pub(super) fn milliseconds(ms: f64) -> String {
    match ms {
        ms if ms >= 10.0 => format!("{ms:.0} ms"),
        ms => format!("{ms:.1} ms"),
    }
}
