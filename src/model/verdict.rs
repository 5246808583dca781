//! What a run taught about its hypothesis.

use super::ids::{ProbeName, RunId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// Every planned step was taken.
    Completed,
    /// Ended early.
    Aborted,
    /// No kill was made.
    Skipped,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Completed => "completed",
            Self::Aborted => "aborted",
            Self::Skipped => "skipped",
        })
    }
}

/// What a run taught about the hypothesis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum HypothesisResult {
    /// Positive evidence for it.
    Held,
    /// Positive evidence against it.
    Disproved,
    /// Neither.
    Inconclusive,
    /// No kill was made, or it was a rehearsal.
    NotTested,
}

impl fmt::Display for HypothesisResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Held => "held",
            Self::Disproved => "disproved",
            Self::Inconclusive => "inconclusive",
            Self::NotTested => "not tested",
        })
    }
}

/// The verdict on a run: two fields, never one (`steady-state` §7.1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// How it ended.
    pub outcome: Outcome,
    /// What it taught.
    pub hypothesis: HypothesisResult,
    /// One word for why it ended early or was skipped; empty when completed.
    pub reason: String,
    /// The fixed sentence for people.
    pub sentence: String,
    /// `Stayed within limits: …` and `Caused by the kill: …`.
    pub lines: Vec<String>,
    /// What the run could not have seen.
    pub limits: Vec<String>,
    /// How good the design is, with its name: `good (sham slots)`.
    pub design: String,
    /// What the design can and cannot tell, in fixed words (`steady-state` §3.3).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about_design: String,
    /// One comparison for each probe that counts.
    pub differences: Vec<Difference>,
    /// How many pairs of slots there are of those that a verdict rests on; `None` for other designs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pairs: Option<Progress>,
}

/// How far a design that collects pairs has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// Pairs that count, of this run and of earlier ones.
    pub have: u32,
    /// Pairs that a verdict rests on.
    pub need: u32,
    /// Those of `have` that earlier runs made.
    pub earlier: u32,
}

/// Bad observations out of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// Observations.
    pub observed: u64,
    /// Bad ones of them.
    pub bad: u64,
}

impl Counts {
    /// The bad share, 0 to 1; `None` when nothing was observed.
    pub fn share(self) -> Option<f64> {
        (self.observed > 0).then(|| self.bad as f64 / self.observed as f64)
    }
}

impl std::ops::Add for Counts {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            observed: self.observed.saturating_add(other.observed),
            bad: self.bad.saturating_add(other.bad),
        }
    }
}

impl std::iter::Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(items: I) -> Self {
        items.fold(Self::default(), std::ops::Add::add)
    }
}

/// How long answers took, in a form that does not grow with their number: how many took so many microseconds,
/// rounded down to eight binary digits, which is less than 1 % off.
///
/// Written as one text, `20480:3 20608:1`, so that a record stays readable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(into = "String", try_from = "String")]
pub struct Times(BTreeMap<u32, u32>);

impl Times {
    /// Takes note of one answer.
    pub fn note(&mut self, us: u32) {
        let digits = u32::BITS - us.leading_zeros();
        let dropped = digits.saturating_sub(8);
        let count = self.0.entry(us >> dropped << dropped).or_default();
        *count = count.saturating_add(1);
    }

    /// Whether there was no answer.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// So many answers took so many microseconds, in order of the time.
    pub fn counts(&self) -> impl Iterator<Item = (u32, u32)> {
        self.0.iter().map(|(us, count)| (*us, *count))
    }
}

impl FromIterator<u32> for Times {
    fn from_iter<I: IntoIterator<Item = u32>>(us: I) -> Self {
        let mut times = Self::default();
        us.into_iter().for_each(|us| times.note(us));
        times
    }
}

impl From<Times> for String {
    fn from(times: Times) -> Self {
        let counts: Vec<Self> = times
            .counts()
            .map(|(us, count)| format!("{us}:{count}"))
            .collect();
        counts.join(" ")
    }
}

impl TryFrom<String> for Times {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let part = |part: &str| -> Option<(u32, u32)> {
            let (us, count) = part.split_once(':')?;
            Some((us.parse().ok()?, count.parse().ok()?))
        };
        let parts = text.split_ascii_whitespace().map(|one| {
            part(one).ok_or_else(|| {
                format!("`{one}` is not a time in microseconds and a count, such as `20480:3`")
            })
        });
        parts.collect::<Result<_, _>>().map(Self)
    }
}

/// Two stretches of the same length, one of each group: a pair of slots, or the same block of time in both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pair {
    /// The run that measured it.
    pub run: RunId,
    /// The pair's number in that run, from 1.
    pub number: u32,
    /// In the experimental group.
    pub experiment: Counts,
    /// In the control group.
    pub control: Counts,
    /// How long answers took in the experimental group, where the probe takes time.
    #[serde(default, skip_serializing_if = "Times::is_empty")]
    pub experiment_times: Times,
    /// The same in the control group.
    #[serde(default, skip_serializing_if = "Times::is_empty")]
    pub control_times: Times,
}

/// Bad share of the experimental group against the control group, for one probe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Difference {
    /// Whose samples.
    pub probe: ProbeName,
    /// Bad observations in the control group: after shams, of the other app, or before the first kill.
    #[serde(alias = "before_bad")]
    pub control_bad: u64,
    /// Observations in the control group.
    #[serde(alias = "before_observed")]
    pub control_observed: u64,
    /// Bad observations in the experimental group: after kills.
    #[serde(alias = "after_bad")]
    pub experiment_bad: u64,
    /// Observations in the experimental group.
    #[serde(alias = "after_observed")]
    pub experiment_observed: u64,
    /// Experiment minus control, as a share. For a reference app, less what that app did meanwhile.
    pub difference: f64,
    /// Lower end of the one-sided 95 % interval.
    pub low: f64,
    /// Upper end of the one-sided 95 % interval.
    pub high: f64,
    /// The difference that is tolerated.
    pub margin: f64,
    /// What this probe alone says.
    pub says: HypothesisResult,
    /// What it rests on, oldest first; empty for designs that do not pair.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pairs: Vec<Pair>,
    /// The chance of a mean difference this large if kills did nothing: exact, over every exchange of the
    /// two slots of each pair. `None` for designs whose pairs are not drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chance: Option<f64>,
    /// The smallest difference that would have been found four times in five; `None` without counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smallest: Option<f64>,
    /// How the slow end of the answers compares, where the probe takes time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<LatencyDifference>,
}

impl Difference {
    /// The counts of the experimental group.
    pub fn experiment(&self) -> Counts {
        Counts {
            observed: self.experiment_observed,
            bad: self.experiment_bad,
        }
    }

    /// The counts of the control group.
    pub fn control(&self) -> Counts {
        Counts {
            observed: self.control_observed,
            bad: self.control_bad,
        }
    }
}

/// The 99th percentile of the time of answers, experimental group over control group.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LatencyDifference {
    /// Answers of the experimental group that have a time.
    #[serde(default)]
    pub experiment_answers: u64,
    /// The same of the control group.
    #[serde(default)]
    pub control_answers: u64,
    /// In the experimental group, in milliseconds.
    pub experiment_p99_ms: f64,
    /// In the control group, in milliseconds.
    pub control_p99_ms: f64,
    /// The first over the second.
    pub ratio: f64,
    /// Lower end of the one-sided 95 % interval of the ratio.
    pub low: f64,
    /// Upper end of the one-sided 95 % interval of the ratio.
    pub high: f64,
    /// The ratio that is tolerated.
    pub margin: f64,
    /// The chance that an answer of the experimental group took longer than one of the control group, each drawn at
    /// random (Mann and Whitney); a half where they are alike. Describes, and decides nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slower_chance: Option<f64>,
    /// What the time of answers alone says.
    pub says: HypothesisResult,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_kept_to_less_than_one_per_cent_and_read_back_as_written() {
        let times: Times = [7, 7, 255, 256, 20_000, 20_001, 200_000, u32::MAX]
            .into_iter()
            .collect();
        let text = String::from(times.clone());
        assert_eq!(text, "7:2 255:1 256:1 19968:2 199680:1 4278190080:1");
        assert_eq!(Times::try_from(text).unwrap(), times);
        for us in (1..5_000_000).step_by(997) {
            let kept = Times::from_iter([us]).counts().next().unwrap().0;
            assert!(
                kept <= us && f64::from(us - kept) < 0.01 * f64::from(us),
                "{us} {kept}"
            );
        }
        assert!(
            Times::try_from("20 ms".to_owned())
                .unwrap_err()
                .contains("such as `20480:3`")
        );
    }

    #[test]
    fn a_pair_of_an_older_version_can_be_read_and_is_written_as_it_was() {
        let old = r#"{"run":"r-1","number":1,"experiment":{"observed":9,"bad":1},"control":{"observed":9,"bad":0}}"#;
        let pair: Pair = serde_json::from_str(old).unwrap();
        assert!(pair.experiment_times.is_empty());
        assert_eq!(serde_json::to_string(&pair).unwrap(), old);
    }
}
