//! The latch that a breach closes, read in the critical section that lets a kill out.
//!
//! Closing it needs no journal, no await and no message: from the moment [`Fence::close`] returns, no
//! kill of that run can pass its last look any more. Closing and passing take the same lock, so a kill
//! either left before the breach or never leaves.

use crate::model::ids::{IntentId, RunId};
use crate::ports::clock::Clock;
use crate::ports::cluster::LastLook;
use crate::ports::stop_file::StopFile;
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// All latches of this process.
#[derive(Debug, Default)]
pub struct Fence {
    latches: Mutex<Latches>,
}

#[derive(Debug, Default)]
struct Latches {
    all: Option<String>,
    runs: BTreeMap<RunId, Closed>,
    sent: BTreeMap<RunId, Duration>,
}

#[derive(Clone, Debug)]
struct Closed {
    why: String,
    at: Duration,
}

impl Fence {
    fn lock(&self) -> std::sync::MutexGuard<'_, Latches> {
        // A panic elsewhere must not open the fence: the data is a few assignments and always whole.
        self.latches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets nothing of this run out any more. Gives the moment of the first closing.
    pub fn close(&self, run: &RunId, why: &str, now: Duration) -> Duration {
        self.lock()
            .runs
            .entry(run.clone())
            .or_insert_with(|| Closed {
                why: why.to_owned(),
                at: now,
            })
            .at
    }

    /// Lets nothing out any more, whatever the run.
    pub fn close_all(&self, why: &str) {
        self.lock().all.get_or_insert_with(|| why.to_owned());
    }

    /// Takes back [`close_all`](Self::close_all). A run's own latch stays closed.
    pub fn reopen_all(&self) {
        self.lock().all = None;
    }

    /// Why nothing of this run may leave.
    pub fn closed(&self, run: &RunId) -> Option<String> {
        let latches = self.lock();
        latches
            .all
            .clone()
            .or_else(|| latches.runs.get(run).map(|c| c.why.clone()))
    }

    /// How many requests of this run passed their last look after its latch closed: 0, by construction,
    /// and counted all the same.
    pub fn sent_after_closing(&self, run: &RunId) -> u32 {
        let latches = self.lock();
        match (latches.runs.get(run), latches.sent.get(run)) {
            (Some(closed), Some(sent)) if *sent > closed.at => 1,
            _ => 0,
        }
    }

    /// Forgets a run that is over.
    pub fn forget(&self, run: &RunId) {
        let mut latches = self.lock();
        latches.runs.remove(run);
        latches.sent.remove(run);
    }
}

/// The last look of one kill: everything that can be known in memory, with no await between it and the
/// first byte.
pub struct FinalLook {
    /// The latches.
    pub fence: Arc<Fence>,
    /// The run.
    pub run: RunId,
    /// The intent, for the words.
    pub intent: IntentId,
    /// No byte after this, by the wall clock.
    pub deadline: DateTime<Utc>,
    /// No byte after this, by the machine's own progress: a wall clock that goes back between intent and
    /// last look must not lengthen the life of a kill.
    pub latest: Duration,
    /// When the window closes.
    pub window_closes: DateTime<Utc>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The halt file.
    pub stop_file: Arc<dyn StopFile>,
}

impl LastLook for FinalLook {
    fn closed(&self) -> Option<String> {
        match self.stop_file.read() {
            Ok(None) => {}
            Ok(Some(reason)) => return Some(format!("the halt file is there: {reason}")),
            Err(why) => return Some(format!("the halt file can't be read: {why}")),
        }
        let (now, elapsed) = (self.clock.now(), self.clock.elapsed());
        if now > self.deadline || elapsed > self.latest {
            return Some(format!("{} is past its deadline", self.intent));
        }
        if now >= self.window_closes {
            return Some("the window has closed".into());
        }
        let mut latches = self.fence.lock();
        let why = latches
            .all
            .clone()
            .or_else(|| latches.runs.get(&self.run).map(|c| c.why.clone()));
        if why.is_none() {
            latches.sent.insert(self.run.clone(), elapsed);
        }
        why
    }
}
