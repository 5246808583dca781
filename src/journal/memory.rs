//! A journal that lives as long as the process, with the same chain and the same answers as the one on disk.

use super::chain::{self, Hash, Row};
use crate::model::entry::{Body, Entry};
use crate::model::ids::{RunId, Seq};
use crate::ports::journal::{AppendError, Journal, JournalError, Measured};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A journal in memory; for rehearsals of a whole cluster, simulation and tests. Survives nothing.
#[derive(Debug)]
pub struct MemoryJournal {
    installation: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    rows: Vec<Row>,
    kept: BTreeMap<RunId, Vec<Measured>>,
}

impl MemoryJournal {
    /// An empty journal of the installation with this name.
    pub fn new(installation: impl Into<String>) -> Self {
        Self {
            installation: installation.into(),
            state: Mutex::default(),
        }
    }

    /// The place of the last entry.
    pub fn head(&self) -> Seq {
        Seq(self.state().rows.len() as u64)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is one push of what is ready, so a panic leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The link that stands after entry `seq`.
    fn link(&self, rows: &[Row], seq: usize) -> (u64, Hash) {
        let hash = match seq.checked_sub(1) {
            None => chain::genesis(&self.installation),
            Some(index) => rows[index]
                .hash
                .as_slice()
                .try_into()
                .expect("a sealed row has 32 bytes of hash"),
        };
        (seq as u64, hash)
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn installation(&self) -> Result<String, JournalError> {
        Ok(self.installation.clone())
    }

    async fn read(&self, after: Seq, most: usize) -> Result<Vec<Entry>, JournalError> {
        let state = self.state();
        let Some(after) = usize::try_from(after.0)
            .ok()
            .filter(|after| *after <= state.rows.len())
        else {
            return Ok(Vec::new());
        };
        let end = after.saturating_add(most).min(state.rows.len());
        chain::entries(self.link(&state.rows, after), &state.rows[after..end])
    }

    async fn append(
        &self,
        expected: Seq,
        at: DateTime<Utc>,
        bodies: &[Body],
    ) -> Result<Vec<Entry>, AppendError> {
        let mut state = self.state();
        let head = Seq(state.rows.len() as u64);
        if head != expected {
            return Err(AppendError::Conflict { head });
        }
        let (mut seq, mut prev) = self.link(&state.rows, state.rows.len());
        let (mut rows, mut entries) = (Vec::new(), Vec::new());
        for body in bodies {
            let (row, entry) = chain::seal(prev, Seq(seq + 1), at, 1, body)?;
            (seq, prev) = row.follows((seq, prev))?;
            rows.push(row);
            entries.push(entry);
        }
        state.rows.append(&mut rows);
        Ok(entries)
    }

    async fn keep(&self, run: &RunId, measured: &[Measured]) -> Result<(), JournalError> {
        self.state()
            .kept
            .entry(run.clone())
            .or_default()
            .extend_from_slice(measured);
        Ok(())
    }

    async fn kept(&self, run: &RunId) -> Result<Vec<Measured>, JournalError> {
        Ok(self.state().kept.get(run).cloned().unwrap_or_default())
    }
}
