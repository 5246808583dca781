//! Telling people: what should be visible, against what is.
//!
//! Nothing is queued. What has to be visible follows from the journal, what is visible is in the journal
//! (`Told`), and the difference is shown, stops and verdicts first. So a message can't be lost by a
//! crash, a Slack outage or a restart, and an old state can't overwrite a newer one.

use super::Operator;
use crate::engine::history::News;
use crate::model::entry::Body;
use crate::model::ids::RunId;
use crate::model::notice::{MessageRef, Notice, NoticeBody, Priority};
use crate::model::run::{Phase, Run};
use crate::ports::notifier::NotifyError;
use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often the card of a watched run shows its gauge.
const TICK: Duration = Duration::from_secs(5);
/// How often waiting notices are tried again, at the least.
const RETRY_MIN: Duration = Duration::from_secs(1);

impl Operator {
    /// Shows what is to be shown, for ever.
    pub(super) async fn tell_people(&self) {
        let mut not_before: BTreeMap<String, Duration> = BTreeMap::new();
        let mut failures: BTreeMap<String, u32> = BTreeMap::new();
        let mut ticked: BTreeMap<RunId, Duration> = BTreeMap::new();
        loop {
            let mut notices = self.wanted(&mut ticked).await;
            notices.sort_by_key(|(n, _)| n.priority);
            let mut rest = TICK;
            let mut waiting: usize = 0;
            for (notice, shown) in notices {
                let now = self.ports.clock.elapsed();
                if let Some(wait) = not_before
                    .get(&notice.key)
                    .map(|at| at.saturating_sub(now))
                    .filter(|w| !w.is_zero())
                {
                    rest = rest.min(wait);
                    waiting += 1;
                    continue;
                }
                match self.ports.notifier.show(&notice, shown.as_ref()).await {
                    Ok(message) => {
                        not_before.remove(&notice.key);
                        failures.remove(&notice.key);
                        if notice.priority != Priority::Last {
                            self.told(&notice, message).await;
                        }
                    }
                    Err(NotifyError::Gone) => {
                        // Forget where it stood; the next round posts it anew.
                        self.told(
                            &Notice { version: 0, ..notice },
                            MessageRef {
                                channel: String::new(),
                                ts: String::new(),
                            },
                        )
                        .await;
                        rest = RETRY_MIN;
                    }
                    Err(NotifyError::Never { why }) => {
                        tracing::error!(key = %notice.key, %why, "this can't be shown; it is in the journal and in the report");
                        if notice.priority != Priority::Last {
                            let nowhere = MessageRef {
                                channel: String::new(),
                                ts: String::new(),
                            };
                            self.told(&notice, nowhere).await;
                        }
                    }
                    // A tick is worth nothing later: the next one is newer, and a stop must not wait behind it.
                    Err(NotifyError::Later { why, .. }) if notice.priority == Priority::Last => {
                        tracing::debug!(key = %notice.key, %why, "a tick of progress was left out");
                    }
                    Err(NotifyError::Later { why, after }) => {
                        let count = failures.entry(notice.key.clone()).or_default();
                        *count += 1;
                        let backoff = super::pace::after_failures(*count, self.ports.dice.number());
                        let wait = after.max(RETRY_MIN).max(backoff.min(Duration::from_secs(30)));
                        tracing::warn!(key = %notice.key, %why, wait_s = wait.as_secs(), "not shown yet; it is kept");
                        not_before.insert(notice.key.clone(), self.ports.clock.elapsed() + wait);
                        rest = rest.min(wait);
                        waiting += 1;
                    }
                }
            }
            metrics::gauge!("heartbreak_outbox_waiting").set(waiting as f64);
            self.waiting.store(waiting, Ordering::Relaxed);
            tokio::select! {
                biased;
                () = self.tell.notified() => {}
                () = self.ports.clock.sleep(rest) => {}
            }
        }
    }

    /// Every notice whose newest version is not visible, with where it stands.
    async fn wanted(&self, ticked: &mut BTreeMap<RunId, Duration>) -> Vec<(Notice, Option<MessageRef>)> {
        let (runs, news, told) = self
            .book
            .read(|ledger| {
                let mut runs: Vec<Run> = ledger.open_runs().cloned().collect();
                // A card that shows the end and a verdict in its thread are wanted once.
                let unfinished = ledger.ended_runs().filter(|r| {
                    let shown = |key: String| ledger.told.get(&key).map_or(0, |(_, version)| *version);
                    shown(format!("run/{}", r.id)) < version(r) || shown(format!("verdict/{}", r.id)) == 0
                });
                runs.extend(unfinished.cloned());
                (runs, ledger.news.clone(), ledger.told.clone())
            })
            .await;
        let mut wanted = vec![];
        let stands = |key: &str| {
            told.get(key)
                .map(|(m, v)| (Some(m.clone()).filter(|m| !m.ts.is_empty()), *v))
                .unwrap_or((None, 0))
        };
        let now = self.ports.clock.elapsed();
        for run in runs {
            let key = format!("run/{}", run.id);
            let (at, shown) = stands(&key);
            let fresh = version(&run);
            let tick = run.is_watched()
                && ticked
                    .get(&run.id)
                    .is_none_or(|last| now.saturating_sub(*last) >= TICK);
            if shown < fresh || (tick && at.is_some()) {
                ticked.insert(run.id.clone(), now);
                let priority = match (shown < fresh, run.phase) {
                    (false, _) => Priority::Last,
                    (true, Phase::Aborting | Phase::Ended) => Priority::First,
                    (true, Phase::AwaitingApproval) => Priority::Second,
                    (true, _) => Priority::Third,
                };
                let view = self.run_view(&run);
                wanted.push((
                    Notice {
                        key: key.clone(),
                        version: fresh,
                        priority,
                        channel: run.plan.channel.clone(),
                        under: None,
                        body: NoticeBody::Run(Box::new(view)),
                    },
                    at.clone(),
                ));
            }
            let verdict = format!("verdict/{}", run.id);
            let killed_or_tried = run.started.is_some();
            if !run.is_open() && killed_or_tried && stands(&verdict).1 == 0 && shown > 0 {
                let report = self.report_of(&run).await;
                wanted.push((
                    Notice {
                        key: verdict,
                        version: 1,
                        priority: Priority::First,
                        channel: run.plan.channel.clone(),
                        under: at,
                        body: NoticeBody::Verdict(Box::new(report)),
                    },
                    None,
                ));
            }
        }
        for (key, item) in news.into_iter().filter(|(key, _)| stands(key).1 == 0) {
            let (priority, body) = match item {
                News::Halted(halt) => (
                    Priority::First,
                    NoticeBody::Halted {
                        halt,
                        open: self.still_open().await,
                    },
                ),
                News::Resumed { by, reason } => (
                    Priority::First,
                    NoticeBody::Resumed {
                        by: by.to_string(),
                        reason,
                    },
                ),
                News::Suspended { policy, why } => (Priority::Third, NoticeBody::Suspended { policy, why }),
                News::Held { intent, why } => (
                    Priority::First,
                    NoticeBody::Attention {
                        what: format!("kill {intent} needs a person: {why}"),
                        todo: format!(
                            "look at the task, then `heartbreak clear {intent} --reason …`; it stays charged until then"
                        ),
                    },
                ),
            };
            wanted.push((
                Notice {
                    key,
                    version: 1,
                    priority,
                    channel: None,
                    under: None,
                    body,
                },
                None,
            ));
        }
        let attention = self
            .attention
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        for (key, (what, todo)) in attention {
            let body = NoticeBody::Attention { what, todo };
            wanted.push((
                Notice {
                    key,
                    version: 1,
                    priority: Priority::Third,
                    channel: None,
                    under: None,
                    body,
                },
                None,
            ));
        }
        wanted
    }

    /// Journals that a notice is visible.
    async fn told(&self, notice: &Notice, message: MessageRef) {
        if self
            .attention
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&notice.key)
            .is_some()
        {
            return;
        }
        let body = Body::Told {
            key: notice.key.clone(),
            message,
            version: notice.version,
        };
        let written = self
            .book
            .commit(|_, _| Ok::<_, std::convert::Infallible>(vec![body.clone()]))
            .await;
        if let Err(error) = written {
            tracing::error!(key = %notice.key, %error, "it is visible but that could not be journalled; it may be shown twice");
        }
    }
}

/// Grows with everything that changes a run's card. Cheap to compute, the same after a restart.
fn version(run: &Run) -> u64 {
    let settled: u64 = run
        .intents
        .iter()
        .map(|i| match i.state {
            crate::model::run::IntentState::Open => 1,
            crate::model::run::IntentState::Resolved { .. } => 3,
            _ => 2,
        })
        .sum();
    let phase = match run.phase {
        Phase::AwaitingApproval => 1,
        Phase::Baseline => 2,
        Phase::Steps => 3,
        Phase::Recovery => 4,
        Phase::Aborting => 5,
        Phase::Ended => 6,
    };
    phase * 1_000_000 + (run.approvals.len() as u64) * 10_000 + settled * 10 + u64::from(run.denied.is_some())
}
