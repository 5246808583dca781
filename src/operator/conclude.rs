//! Ends a run: readings to verdict, the last entry, the report, and letting go of what watched it.

use super::watch::Watch;
use super::{Operator, Pace, PassError};
use crate::engine::report;
use crate::engine::steady_state::verdict::{Findings, verdict};
use crate::model::entry::Body;
use crate::model::ids::RunId;
use crate::model::report::Report;
use crate::model::run::Run;
use chrono::TimeDelta;
use std::sync::PoisonError;
use std::time::Duration;

/// How long ago a run may have ended for its missing report to be written at a start: longer than a long
/// weekend, and short enough that reports which somebody tidied away stay away.
const REPORTS_MISSED: TimeDelta = TimeDelta::days(7);

impl Operator {
    /// Ends a run with its verdict. Repeats do nothing.
    pub(super) async fn conclude(
        &self,
        run: &RunId,
        reason: &str,
        why: &str,
        recovered: bool,
    ) -> Result<Pace, PassError> {
        let Some(known) = self.book.read(|l| l.runs.get(run).cloned()).await else {
            return Ok(Pace::new(Duration::ZERO, "the run is unknown"));
        };
        let report = self.record_of(&known).await;
        // An abort says itself why nothing was killed.
        let skipped = known.abort.is_none().then(|| match reason {
            "" => why.to_owned(),
            reason => format!("{reason}: {why}"),
        });
        let experiment = known.plan.experiment();
        let earlier = self.book.read(|l| l.earlier_pairs(&experiment)).await;
        let verdict = verdict(&Findings {
            plan: &known.plan,
            intents: &known.intents,
            abort: known.abort.as_ref(),
            skipped: skipped.as_deref(),
            samples: &report.samples,
            recoveries: &report.recoveries,
            earlier: &earlier,
            ended: self.ports.clock.now(),
        });
        if !recovered && !known.intents.is_empty() {
            tracing::warn!(%run, %why, "the run ends without proof that the app is whole and steady again");
        }
        let written = self
            .book
            .commit(|ledger, _| {
                let open = ledger.runs.get(run).is_some_and(Run::is_open);
                Ok::<_, std::convert::Infallible>(if open {
                    vec![Body::Ended {
                        run: run.clone(),
                        verdict: Box::new(verdict.clone()),
                    }]
                } else {
                    vec![]
                })
            })
            .await?;
        if let Some(watch) = self
            .watches
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(run)
        {
            Watch::stop(&watch);
        }
        if !written.is_empty() {
            tracing::info!(%run, outcome = %verdict.outcome, hypothesis = %verdict.hypothesis, "{}", verdict.sentence);
            metrics::counter!(
                "heartbreak_verdicts_total",
                "outcome" => verdict.outcome.to_string(),
                "hypothesis" => verdict.hypothesis.to_string()
            )
            .increment(1);
            let after = self.fence.sent_after_closing(run);
            metrics::counter!("heartbreak_kills_after_breach_total").increment(u64::from(after));
            if let Some(known) = self.book.read(|l| l.runs.get(run).cloned()).await {
                self.write_report(&known).await;
            }
        }
        self.fence.forget(run);
        self.tell.notify_one();
        Ok(Pace::new(Duration::ZERO, "concluded"))
    }

    /// Writes the reports that an earlier process did not come to after the last entry of their runs.
    pub(super) async fn write_missed_reports(&self) {
        let since = self.started.0 - REPORTS_MISSED;
        let ended: Vec<RunId> = self
            .book
            .read(|l| {
                let lately = l.ended_runs().filter(|r| r.ended.is_some_and(|at| at > since));
                lately.map(|r| r.id.clone()).collect()
            })
            .await;
        for id in ended.into_iter().filter(|id| !self.ports.reporter.is_written(id)) {
            if let Some(run) = self.book.read(|l| l.runs.get(&id).cloned()).await {
                tracing::info!(run = %id, "the run is over and its report's files are missing: writing them");
                self.write_report(&run).await;
            }
        }
    }

    async fn write_report(&self, run: &Run) {
        let report = self.report_of(run).await;
        if let Err(why) = self.ports.reporter.write(&report).await {
            let run = &run.id;
            tracing::error!(%run, %why, "the report's files could not be written; the next start writes them, and `heartbreak report` shows them");
        }
    }

    /// The record of a run as it is shown and written, as far as it is known.
    pub(super) async fn report_of(&self, run: &Run) -> Report {
        report::published(self.record_of(run).await)
    }

    /// All that is known of a run.
    async fn record_of(&self, run: &Run) -> Report {
        let measured = match self.ports.journal.kept(&run.id).await {
            Ok(measured) => measured,
            Err(error) => {
                tracing::error!(run = %run.id, %error, "the samples of the run can't be read; its report has none");
                vec![]
            }
        };
        let (mut samples, mut health, mut evidence) = (vec![], vec![], vec![]);
        for item in measured {
            match item {
                crate::ports::journal::Measured::Sample(sample) => samples.push(sample),
                crate::ports::journal::Measured::Health(point) => health.push(point),
                crate::ports::journal::Measured::Evidence(point) => evidence.push(point),
            }
        }
        let judgements = self.judgements_of(&run.id).await;
        let kills_after_breach = self.fence.sent_after_closing(&run.id);
        report::assemble(
            run,
            judgements,
            samples,
            health,
            evidence,
            &self.config.version,
            kills_after_breach,
        )
    }

    /// Every judgement that was journalled for a run.
    async fn judgements_of(&self, run: &RunId) -> Vec<crate::model::gate::Judgement> {
        match self.ports.journal.of_run(run).await {
            Ok(entries) => entries
                .into_iter()
                .filter_map(|entry| match entry.body {
                    Body::Judged { judgement } => Some(judgement),
                    _ => None,
                })
                .collect(),
            Err(error) => {
                tracing::error!(%run, %error, "the judgements of the run can't be read; its report has none");
                vec![]
            }
        }
    }
}
