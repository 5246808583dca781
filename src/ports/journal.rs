//! The append-only record of what we decided and did.

use crate::model::entry::{Body, Entry};
use crate::model::experiment::Sample;
use crate::model::ids::{RunId, Seq};
use crate::model::report::{EvidencePoint, HealthPoint};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Keeps entries. Everything that decides is a fold of them.
#[async_trait]
pub trait Journal: Send + Sync {
    /// A random name made with the journal; part of every run id.
    async fn installation(&self) -> Result<String, JournalError>;

    /// Entries after `after`, in order, at most `most`.
    ///
    /// # Errors
    ///
    /// When they can't be read, or when the hash chain does not hold.
    async fn read(&self, after: Seq, most: usize) -> Result<Vec<Entry>, JournalError>;

    /// Every entry that speaks of one run, in order.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    async fn of_run(&self, run: &RunId) -> Result<Vec<Entry>, JournalError> {
        const PAGE: usize = 2_000;
        let (mut found, mut after) = (vec![], Seq(0));
        loop {
            let page = self.read(after, PAGE).await?;
            let full = page.len() == PAGE;
            after = page.last().map_or(after, |e| e.seq);
            found.extend(page.into_iter().filter(|e| e.body.run() == Some(run)));
            if !full {
                return Ok(found);
            }
        }
    }

    /// Appends entries in one durable transaction, if and only if the journal's head is `expected`.
    ///
    /// Everything that was checked against the fold of the entries up to `expected` still holds when
    /// this succeeds: this is what makes "check again and write the intent" one transaction.
    ///
    /// # Errors
    ///
    /// [`AppendError::Conflict`] when somebody else wrote. After [`AppendError::Failed`] the entries
    /// may or may not be there: a broken commit is often a done commit. Read before going on.
    async fn append(
        &self,
        expected: Seq,
        at: DateTime<Utc>,
        bodies: &[Body],
    ) -> Result<Vec<Entry>, AppendError>;

    /// Keeps what was measured during a run, beside the chain: it decides nothing, the report needs it.
    ///
    /// # Errors
    ///
    /// When it can't be written; nothing depends on it but the chart.
    async fn keep(&self, run: &RunId, measured: &[Measured]) -> Result<(), JournalError>;

    /// What was kept for a run, in order.
    ///
    /// # Errors
    ///
    /// When it can't be read.
    async fn kept(&self, run: &RunId) -> Result<Vec<Measured>, JournalError>;
}

/// Something measured during a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Measured {
    /// A probe's sample.
    Sample(Sample),
    /// Tasks that served.
    Health(HealthPoint),
    /// Evidence.
    Evidence(EvidencePoint),
}

/// Why the journal could not do its work.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct JournalError {
    /// In a sentence: what was tried, what to do.
    pub what: String,
    /// The cause, where there is one.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Why entries could not be appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Somebody else wrote first; nothing was appended.
    #[error("the journal's head is {head}, not where this decision was made")]
    Conflict {
        /// The head.
        head: Seq,
    },
    /// The entries may or may not be there.
    #[error("the journal could not confirm an append")]
    Failed(#[from] JournalError),
}
