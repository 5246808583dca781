//! Samples to evidence to abort; readings to verdict.
#![expect(missing_docs, reason = "stub")]
use crate::model::experiment::*;
use crate::model::gate::Answer;
use crate::model::ids::*;
use chrono::*;
use std::collections::BTreeMap;
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BaselineState {
    Measuring { why: String },
    Steady { why: String },
    NotSteady { why: String },
}
pub struct Monitor;
impl Monitor {
    pub fn new(_h: &Hypothesis, _a: std::time::Duration) -> Self {
        Self
    }
    pub fn arm(&mut self, _at: DateTime<Utc>) {}
    pub fn killed(&mut self, _at: DateTime<Utc>) {}
    pub fn take(&mut self, _s: &Sample) -> Option<AbortCause> {
        None
    }
    pub fn evidence(&self) -> BTreeMap<ProbeName, u32> {
        BTreeMap::new()
    }
    pub fn baseline(&self, _n: DateTime<Utc>) -> BaselineState {
        BaselineState::Measuring { why: String::new() }
    }
    pub fn steady(&self, _n: DateTime<Utc>) -> Answer {
        Answer::Unknown(String::new())
    }
    pub fn fresh(&self, _n: DateTime<Utc>) -> Answer {
        Answer::Unknown(String::new())
    }
    pub fn steady_since(
        &self,
        _n: DateTime<Utc>,
        _s: Option<DateTime<Utc>>,
        _h: std::time::Duration,
    ) -> Option<DateTime<Utc>> {
        None
    }
}
pub mod verdict {
    use crate::model::{report::Report, verdict::*};
    pub struct Ending {
        pub reason: String,
        pub why: String,
        pub recovered: bool,
    }
    pub fn verdict(_r: &Report, _e: &Ending) -> Verdict {
        unimplemented!()
    }
}
pub mod recovery {
    use crate::model::{experiment::Sample, report::*, run::Run};
    pub fn recoveries(_r: &Run, _h: &[HealthPoint], _s: &[Sample]) -> Vec<KillRecovery> {
        vec![]
    }
    pub fn harm(_r: &Run, _s: &[Sample]) -> Vec<Harm> {
        vec![]
    }
}
