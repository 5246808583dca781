//! The one writer of the journal in this process: decide on the fold, append at its head, take it in.

use crate::engine::history::Ledger;
use crate::model::entry::{Body, Entry};
use crate::ports::clock::Clock;
use crate::ports::journal::{AppendError, Journal, JournalError};
use chrono::{DateTime, Utc};
use std::sync::Arc;
use tokio::sync::Mutex;

/// How many times a decision is made again because somebody else wrote first.
const TRIES: u32 = 5;
/// Entries read at a time.
const PAGE: usize = 2_000;

/// The fold, and the only way to add to it.
pub struct Book {
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
    inner: Mutex<Inner>,
}

struct Inner {
    ledger: Ledger,
    /// An append was not confirmed: its entries may be there, so read before anything else.
    stale: bool,
}

/// Why nothing was written.
#[derive(Debug)]
pub enum CommitError<E> {
    /// The decision itself said no; nothing was written.
    Refused(E),
    /// The journal could not be written or read; whether the entries are there is unknown until it can
    /// be read again.
    Journal(JournalError),
}

impl<E: std::fmt::Display> std::fmt::Display for CommitError<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(why) => write!(f, "{why}"),
            Self::Journal(error) => write!(f, "the journal can't be written: {error}"),
        }
    }
}

impl Book {
    /// Reads the whole journal.
    ///
    /// # Errors
    ///
    /// When it can't be read or its chain does not hold.
    pub async fn open(journal: Arc<dyn Journal>, clock: Arc<dyn Clock>) -> Result<Self, JournalError> {
        let mut inner = Inner {
            ledger: Ledger::default(),
            stale: true,
        };
        catch_up(&*journal, &mut inner).await?;
        Ok(Self {
            journal,
            clock,
            inner: Mutex::new(inner),
        })
    }

    /// Looks at the fold.
    pub async fn read<T>(&self, look: impl FnOnce(&Ledger) -> T) -> T {
        look(&self.inner.lock().await.ledger)
    }

    /// Decides on the fold and appends what was decided, in one transaction: the append succeeds only at
    /// the head that was decided on, otherwise the decision is made again.
    ///
    /// # Errors
    ///
    /// What the decision refused with, or that the journal could not be written.
    pub async fn commit<E>(
        &self,
        mut decide: impl FnMut(&Ledger, DateTime<Utc>) -> Result<Vec<Body>, E> + Send,
    ) -> Result<Vec<Entry>, CommitError<E>> {
        let mut inner = self.inner.lock().await;
        for _ in 0..TRIES {
            if inner.stale {
                catch_up(&*self.journal, &mut inner)
                    .await
                    .map_err(CommitError::Journal)?;
            }
            let now = self.clock.now();
            let bodies = decide(&inner.ledger, now).map_err(CommitError::Refused)?;
            if bodies.is_empty() {
                return Ok(vec![]);
            }
            // From here on the entries may be there, whatever happens to this future.
            inner.stale = true;
            match self.journal.append(inner.ledger.head, now, &bodies).await {
                Ok(entries) => {
                    for entry in &entries {
                        inner.ledger.apply(entry);
                    }
                    inner.stale = false;
                    return Ok(entries);
                }
                Err(AppendError::Conflict { head }) => {
                    tracing::warn!(%head, "somebody else wrote to the journal; deciding again");
                }
                Err(AppendError::Failed(error)) => return Err(CommitError::Journal(error)),
            }
        }
        Err(CommitError::Journal(JournalError {
            what: format!("somebody else wrote to the journal {TRIES} times in a row; nothing was decided"),
            source: None,
        }))
    }

    /// Whether the last append is known to have succeeded, trying to find out.
    ///
    /// # Errors
    ///
    /// When the journal can't be read.
    pub async fn settle(&self) -> Result<(), JournalError> {
        let mut inner = self.inner.lock().await;
        if inner.stale {
            catch_up(&*self.journal, &mut inner).await
        } else {
            Ok(())
        }
    }
}

async fn catch_up(journal: &dyn Journal, inner: &mut Inner) -> Result<(), JournalError> {
    loop {
        let entries = journal.read(inner.ledger.head, PAGE).await?;
        for entry in &entries {
            inner.ledger.apply(entry);
        }
        if entries.len() < PAGE {
            inner.stale = false;
            return Ok(());
        }
    }
}
