//! Lines that the baseline draws: what is slow, and what a number may be, measured before the first kill.
//!
//! A probe may tolerate "half as slow again as the slowest 1 % before" or "a quarter above the mean
//! before". During the baseline its readings are collected and wait for that line; with the first kill
//! the line is fixed, and every reading from then on is judged by it. So from then on such a tolerance is
//! as fixed as one that was written down, and no reading is judged by a line that it had a part in,
//! except the baseline itself, which the verdict compares with.

use super::percent;
use crate::model::experiment::{
    Detail, Hypothesis, MEAN_SAMPLES, P99_REQUESTS, ProbeSpec, Reading, Role, Sample, Source, ValueRule,
};
use crate::model::ids::ProbeName;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::time::Duration;

/// What is collected of one probe at most; a longer baseline adds nothing to the line.
const COLLECTED_MAX: usize = 100_000;

/// The lines of all probes that follow the baseline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lines {
    timeout: Duration,
    drawn: Vec<Line>,
}

/// The line of one probe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Line {
    probe: ProbeName,
    /// Whether a run waits for it: a probe that only observes never decides.
    decides: bool,
    rule: Rule,
    /// The highest bad share of the baseline by its own line.
    limit: f64,
    /// What waits for the line: times in microseconds, or values.
    collected: Vec<f64>,
    /// The line, once it is fixed, in the same unit.
    fixed: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Rule {
    /// So many per cent of the 99th percentile; slower is bad.
    P99(u32),
    /// So many per cent above the mean, or below it when negative; beyond is bad.
    Mean(i32),
}

impl Rule {
    fn of(spec: &ProbeSpec) -> Option<Self> {
        match (&spec.source, &spec.value) {
            (_, Some(ValueRule::BaselinePercent(percent))) => Some(Self::Mean(*percent)),
            (Source::Http(http), _) => http.slower_than_baseline_percent.map(Self::P99),
            _ => None,
        }
    }

    fn needed(self) -> usize {
        let needed = match self {
            Self::P99(_) => P99_REQUESTS,
            Self::Mean(_) => MEAN_SAMPLES,
        };
        usize::try_from(needed).unwrap_or(usize::MAX)
    }

    /// The line that these draw; `None` for none.
    fn draw(self, collected: &[f64]) -> Option<f64> {
        match self {
            Self::P99(percent) => Some(p99(collected)? * f64::from(percent) / 100.0),
            Self::Mean(percent) => {
                let mean = mean(collected)?;
                Some(mean + mean.abs() * f64::from(percent) / 100.0)
            }
        }
    }

    fn is_beyond(self, value: f64, line: f64) -> bool {
        match self {
            Self::Mean(percent) if percent < 0 => value < line,
            Self::P99(_) | Self::Mean(_) => value > line,
        }
    }
}

/// The 99th percentile by nearest rank.
fn p99(values: &[f64]) -> Option<f64> {
    let mut values = values.to_vec();
    let rank = (values.len() * 99).div_ceil(100).checked_sub(1)?;
    let (_, found, _) = values.select_nth_unstable_by(rank, f64::total_cmp);
    Some(*found)
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

impl Lines {
    /// No line is drawn yet.
    pub fn new(hypothesis: &Hypothesis) -> Self {
        let drawn = hypothesis.probes.iter().filter_map(|spec| {
            Some(Line {
                probe: spec.name.clone(),
                decides: spec.role != Role::Observe,
                rule: Rule::of(spec)?,
                limit: spec.max.as_f64(),
                collected: vec![],
                fixed: None,
            })
        });
        Self {
            timeout: hypothesis.timeout,
            drawn: drawn.collect(),
        }
    }

    /// Takes note of a reading that waits for a line which is not fixed yet.
    pub fn collect(&mut self, sample: &Sample) {
        let line = self.drawn.iter_mut().find(|line| line.probe == sample.probe);
        let (Some(line), Some(detail)) = (line, sample.reading.detail()) else {
            return;
        };
        if line.fixed.is_some() || !detail.pending || line.collected.len() >= COLLECTED_MAX {
            return;
        }
        match line.rule {
            Rule::P99(_) => line
                .collected
                .extend(detail.times_us.iter().map(|us| f64::from(*us))),
            Rule::Mean(_) => line.collected.extend(detail.value.filter(|v| v.is_finite())),
        }
    }

    /// Fixes every line by what was collected.
    pub fn fix(&mut self) {
        for line in &mut self.drawn {
            line.fixed = line.fixed.or_else(|| line.rule.draw(&line.collected));
        }
    }

    /// A sample as judged by its line; the same sample while there is none, or when it was judged.
    pub fn judged<'s>(&self, sample: &'s Sample) -> Cow<'s, Sample> {
        let line = self.drawn.iter().find(|line| line.probe == sample.probe);
        let Some((rule, fixed)) = line.and_then(|line| Some((line.rule, line.fixed?))) else {
            return Cow::Borrowed(sample);
        };
        let Reading::Seen {
            observed,
            bad,
            slowest_ms,
            detail: Some(detail),
        } = &sample.reading
        else {
            return Cow::Borrowed(sample);
        };
        if !detail.pending {
            return Cow::Borrowed(sample);
        }
        let beyond = match rule {
            Rule::P99(_) => detail
                .times_us
                .iter()
                .filter(|us| rule.is_beyond(f64::from(**us), fixed))
                .count(),
            Rule::Mean(_) => usize::from(detail.value.is_some_and(|value| rule.is_beyond(value, fixed))),
        };
        let bad = bad
            .saturating_add(u32::try_from(beyond).unwrap_or(u32::MAX))
            .min(*observed);
        Cow::Owned(Sample {
            reading: Reading::Seen {
                observed: *observed,
                bad,
                slowest_ms: *slowest_ms,
                detail: Some(Box::new(Detail {
                    pending: false,
                    ..(**detail).clone()
                })),
            },
            ..sample.clone()
        })
    }

    /// What a line still needs, or why the baseline does not keep to its own line; `None` when all is well.
    pub fn missing(&self) -> Option<String> {
        let mut waited_for = self.drawn.iter().filter(|line| line.decides);
        waited_for.find_map(|line| self.missing_of(line))
    }

    fn missing_of(&self, line: &Line) -> Option<String> {
        let (name, has, needed) = (&line.probe, line.collected.len(), line.rule.needed());
        if has < needed {
            return Some(match line.rule {
                Rule::P99(_) => {
                    format!("probe {name}: {has} of the {needed} good requests that a 99th percentile needs")
                }
                Rule::Mean(_) => format!("probe {name}: {has} of the {needed} samples that a mean needs"),
            });
        }
        let fixed = line.rule.draw(&line.collected)?;
        if matches!(line.rule, Rule::P99(_)) && fixed >= self.timeout.as_micros() as f64 {
            return Some(format!(
                "probe {name}: its line for slow answers would be at {}, not below the timeout of {}, where all answers end anyway",
                milliseconds(fixed),
                milliseconds(self.timeout.as_micros() as f64)
            ));
        }
        if matches!(line.rule, Rule::Mean(_)) && mean(&line.collected) == Some(0.0) {
            return Some(format!(
                "probe {name}: the baseline's mean is 0, and a percentage of it says nothing"
            ));
        }
        let beyond = line
            .collected
            .iter()
            .filter(|v| line.rule.is_beyond(**v, fixed))
            .count();
        let share = beyond as f64 / has as f64;
        (share > line.limit).then(|| {
            format!(
                "probe {name}: {} of the baseline is beyond its own line ({}), limit {}",
                percent(share),
                line.in_words(),
                percent(line.limit)
            )
        })
    }

    /// The lines in words, fixed or as they would be fixed now.
    pub fn in_words(&self) -> Vec<String> {
        self.drawn
            .iter()
            .filter(|line| !line.collected.is_empty())
            .map(|line| format!("{}: {}", line.probe, line.in_words()))
            .collect()
    }
}

impl Line {
    fn in_words(&self) -> String {
        let has = self.collected.len();
        let fixed = self
            .fixed
            .or_else(|| self.rule.draw(&self.collected))
            .unwrap_or(f64::NAN);
        match self.rule {
            Rule::P99(per_cent) => format!(
                "slower than {} is bad, {} × the 99th percentile of {has} requests",
                milliseconds(fixed),
                f64::from(per_cent) / 100.0
            ),
            Rule::Mean(per_cent) => format!(
                "{} {} is bad, {per_cent:+} % of the mean {} of {has} samples",
                if per_cent < 0 { "below" } else { "above" },
                short(fixed),
                short(mean(&self.collected).unwrap_or(f64::NAN))
            ),
        }
    }
}

fn milliseconds(us: f64) -> String {
    format!("{} ms", short(us / 1e3))
}

/// A number in at most four digits that matter.
fn short(number: f64) -> String {
    let digits = 3 - number.abs().max(1.0).log10().floor().clamp(0.0, 3.0) as i32;
    let scale = 10_f64.powi(digits);
    format!("{}", (number * scale).round() / scale)
}

/// All samples of a run as judged by the lines that its baseline drew, with the times of their answers.
/// Borrowed where nothing waits.
pub fn judged_all<'s>(hypothesis: &Hypothesis, samples: &'s [Sample]) -> Cow<'s, [Sample]> {
    let mut lines = Lines::new(hypothesis);
    if lines.drawn.is_empty() {
        return Cow::Borrowed(samples);
    }
    samples.iter().for_each(|sample| lines.collect(sample));
    lines.fix();
    Cow::Owned(
        samples
            .iter()
            .map(|sample| lines.judged(sample).into_owned())
            .collect(),
    )
}

#[cfg(test)]
mod tests;
