//! The people and places that are not there: nobody is told, nobody is on call, nothing is written, nothing halts.

use async_trait::async_trait;
use heartbreak::model::ids::{GroupId, PersonId, RunId};
use heartbreak::model::notice::{MessageRef, Notice};
use heartbreak::model::report::Report;
use heartbreak::ports::notifier::{Notifier, NotifyError};
use heartbreak::ports::pager::{Pager, PagerAnswer};
use heartbreak::ports::reporter::Reporter;
use heartbreak::ports::stop_file::StopFile;
use std::collections::BTreeSet;

/// Nobody.
pub struct Nobody;

#[async_trait]
impl Notifier for Nobody {
    async fn show(&self, _: &Notice, _: Option<&MessageRef>) -> Result<MessageRef, NotifyError> {
        Err(NotifyError::Never {
            why: "nobody is told here".into(),
        })
    }
    async fn members(&self, _: &GroupId) -> Result<BTreeSet<PersonId>, String> {
        Ok(BTreeSet::new())
    }
    fn reachable(&self) -> Result<(), String> {
        Ok(())
    }
}

#[async_trait]
impl Pager for Nobody {
    async fn ask(&self) -> PagerAnswer {
        PagerAnswer::Quiet
    }
}

#[async_trait]
impl Reporter for Nobody {
    async fn write(&self, _: &Report) -> Result<Vec<String>, String> {
        Ok(vec![])
    }
    fn places(&self, _: &RunId) -> Vec<String> {
        vec![]
    }
    fn is_written(&self, _: &RunId) -> bool {
        true
    }
}

impl StopFile for Nobody {
    fn read(&self) -> Result<Option<String>, String> {
        Ok(None)
    }
    fn remove(&self) -> Result<(), String> {
        Ok(())
    }
}
