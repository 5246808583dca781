//! Commands from people: one at a time, journalled before they count, decided by compare-and-set.
//!
//! Every question is answered from the fold; every command is checked and written in one transaction, so
//! two people who press a button in the same millisecond get one yes and one clear no.

use super::Operator;
use super::book::CommitError;
use super::watch::micros;
use crate::engine::authority;
use crate::engine::history::Ledger;
use crate::model::command::{Asked, Command};
use crate::model::entry::Body;
use crate::model::experiment::AbortCause;
use crate::model::ids::{IntentId, PersonId, PlanDigest, PolicyName, RunId};
use crate::model::run::{IntentState, Phase, Run};
use crate::model::view::{Refusal, RefusalKind, Reply};
use crate::ports::inbox::Inbox;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use std::collections::BTreeSet;

/// The shortest part of a digest that names a plan.
const DIGEST_CHARS_MIN: usize = 12;

type Decision = Result<Vec<Body>, Refusal>;

#[async_trait]
impl Inbox for Operator {
    async fn ask(&self, asked: Asked) -> Result<Reply, Refusal> {
        authority::may_ask(&asked.by, &asked.command)
            .map_err(|why| Refusal::new(RefusalKind::NotAllowed, why))?;
        if asked.command.is_question() {
            return self.answer(&asked.command).await;
        }
        let outcome = self.obey(&asked).await;
        if let Err(refusal) = &outcome {
            tracing::info!(by = %asked.by.id, command = asked.command.word(), why = %refusal.why, "declined");
            let declined = Body::Declined {
                by: asked.by.clone(),
                command: asked.command.clone(),
                why: refusal.why.clone(),
            };
            // A request for a run that waits is not touched by somebody else's second one.
            if !matches!(asked.command, Command::Run { .. }) {
                let _ = self
                    .book
                    .commit(|_, _| Ok::<_, std::convert::Infallible>(vec![declined.clone()]))
                    .await;
            }
        }
        outcome
    }
}

impl Operator {
    async fn obey(&self, asked: &Asked) -> Result<Reply, Refusal> {
        match &asked.command {
            Command::Run { policy } => self.request(asked, policy).await,
            Command::Approve { run, digest } => self.approve(asked, run, digest).await,
            Command::Deny { run, reason } => self.deny(asked, run, reason).await,
            Command::Abort { run, reason } => self.abort(asked, run.as_ref(), reason).await,
            Command::Halt { reason } => self.halt(asked, reason).await,
            Command::Resume { reason } => self.resume(asked, reason).await,
            Command::Clear { intent, reason } => self.clear(asked, intent, reason).await,
            Command::Help
            | Command::Status
            | Command::Policies
            | Command::Runs { .. }
            | Command::DescribeRun { .. }
            | Command::Report { .. }
            | Command::Plan { .. }
            | Command::Why { .. }
            | Command::WasItYou { .. }
            | Command::Timeline { .. }
            | Command::History { .. }
            | Command::Forecast { .. } => self.answer(&asked.command).await,
        }
    }

    async fn request(&self, asked: &Asked, policy: &PolicyName) -> Result<Reply, Refusal> {
        let known = self.policy_set().policies.contains_key(policy);
        if !known {
            return Err(Refusal::new(
                RefusalKind::NotFound,
                format!(
                    "there is no policy {policy}; `heartbreak get policies` lists them; nothing was planned"
                ),
            ));
        }
        if let Err(why) = self.standing(policy) {
            return Err(Refusal::new(
                RefusalKind::Conflict,
                format!("policy {policy} can't run: {why}; nothing was planned"),
            ));
        }
        self.write(asked, |ledger, _| {
            if let Some(halt) = &ledger.halt {
                return conflict(format!(
                    "halted by {}: {}; nothing was planned",
                    halt.by, halt.reason
                ));
            }
            if let Some(run) = ledger.open_run_of(policy) {
                return conflict(format!(
                    "run {} of policy {policy} is open ({}); nothing new was planned",
                    run.id, run.phase
                ));
            }
            if ledger.requests.contains_key(policy) {
                return conflict(format!(
                    "a run of policy {policy} was asked for already and is being planned"
                ));
            }
            Ok(vec![])
        })
        .await?;
        self.hurry_now();
        Ok(Reply::Done(format!(
            "Taken: a run of {policy} is being planned. `heartbreak why {policy}` shows the gates."
        )))
    }

    async fn approve(&self, asked: &Asked, run: &RunId, digest: &PlanDigest) -> Result<Reply, Refusal> {
        let members = self.members_for(run).await;
        let entries = self
            .write(asked, |ledger, now| {
                let known = undecided(ledger, run, now)?;
                same_plan(known, digest)?;
                authority::may_decide(&asked.by, known, &members)
                    .map_err(|why| Refusal::new(RefusalKind::NotAllowed, why))?;
                if known.approvals.iter().any(|a| a.by.id == asked.by.id) {
                    return conflict(format!("you approved run {run} already"));
                }
                Ok(vec![Body::Approved {
                    run: run.clone(),
                    digest: known.digest.clone(),
                    by: asked.by.clone(),
                }])
            })
            .await;
        entries?;
        self.hurry_now();
        let (have, need) = self
            .book
            .read(|l| {
                l.runs
                    .get(run)
                    .map_or((0, 0), |r| (r.approvals.len(), r.plan.approval.quorum))
            })
            .await;
        Ok(Reply::Done(format!(
            "Approved: run {run}, {have} of {need}. The gates are asked again before anything happens."
        )))
    }

    async fn deny(&self, asked: &Asked, run: &RunId, reason: &str) -> Result<Reply, Refusal> {
        let members = self.members_for(run).await;
        self.write(asked, |ledger, now| {
            let known = undecided(ledger, run, now)?;
            // Whoever asked may take it back; anybody else has to be an approver.
            let own = known
                .plan
                .requested_by
                .as_ref()
                .is_some_and(|r| r.id == asked.by.id);
            if !own {
                authority::may_decide(&asked.by, known, &members)
                    .map_err(|why| Refusal::new(RefusalKind::NotAllowed, why))?;
            }
            Ok(vec![Body::Denied {
                run: run.clone(),
                by: asked.by.clone(),
                reason: reason.to_owned(),
            }])
        })
        .await?;
        self.hurry_now();
        Ok(Reply::Done(format!("Denied: run {run}. Nothing was killed.")))
    }

    async fn abort(&self, asked: &Asked, run: Option<&RunId>, reason: &str) -> Result<Reply, Refusal> {
        let open: Vec<RunId> = self
            .book
            .read(|l| l.open_runs().map(|r| r.id.clone()).collect())
            .await;
        let chosen: Vec<RunId> = match run {
            Some(run) if open.contains(run) => vec![run.clone()],
            Some(run) => {
                let known = self.book.read(|l| l.runs.get(run).map(|r| r.phase)).await;
                return Err(match known {
                    Some(_) => Refusal::new(RefusalKind::Conflict, format!("run {run} is over already")),
                    None => Refusal::new(
                        RefusalKind::NotFound,
                        format!("there is no run {run}; open are: {}", list(&open)),
                    ),
                });
            }
            None if open.is_empty() => {
                return Err(Refusal::new(
                    RefusalKind::NotFound,
                    "no run is open; nothing had to be aborted",
                ));
            }
            None => open,
        };
        let cause = AbortCause::Manual {
            by: asked.by.to_string(),
            reason: reason.to_owned(),
        };
        // The fence first: it needs no journal.
        let told = self.ports.clock.elapsed();
        for run in &chosen {
            self.fence
                .close(run, &cause.to_string(), self.ports.clock.elapsed());
        }
        let us = micros(self.ports.clock.elapsed().saturating_sub(told));
        let written = self
            .write(asked, |ledger, _| {
                let open = chosen.iter().filter(|id| {
                    ledger
                        .runs
                        .get(*id)
                        .is_some_and(|r| r.is_open() && r.abort.is_none())
                });
                Ok(open
                    .map(|id| Body::Aborting {
                        run: id.clone(),
                        cause: cause.clone(),
                        breach_to_fence_us: Some(us),
                    })
                    .collect())
            })
            .await;
        self.hurry_now();
        let done = match written {
            Ok(()) => format!("Aborting {}.", list(&chosen)),
            Err(refusal) if refusal.kind == RefusalKind::Unavailable => {
                let mut aborts = self
                    .unwritten_aborts
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                aborts.extend(chosen.iter().map(|id| (id.clone(), (cause.clone(), Some(us)))));
                format!(
                    "Aborting {}: no kill can leave any more, though the journal can't be written now.",
                    list(&chosen)
                )
            }
            Err(refusal) => return Err(refusal),
        };
        Ok(Reply::Stopped {
            done,
            open: self.still_open().await,
        })
    }

    async fn halt(&self, asked: &Asked, reason: &str) -> Result<Reply, Refusal> {
        // The fence first: it needs no journal.
        self.fence.close_all(&format!("halted by {}: {reason}", asked.by));
        let mut already = None;
        let written = self
            .write(asked, |ledger, _| {
                already = ledger.halt.as_ref().map(|h| format!("{} ({})", h.by, h.reason));
                Ok(if already.is_some() {
                    vec![]
                } else {
                    vec![Body::Halted {
                        by: asked.by.clone(),
                        reason: reason.to_owned(),
                    }]
                })
            })
            .await;
        if written.is_ok() {
            self.abort_what_is_under_way(&asked.by.to_string(), reason).await;
        }
        self.hurry_now();
        let done = match (written, already) {
            (Ok(()), None) => format!(
                "Halted by {}: {reason}. Only a person resumes it: `heartbreak resume`.",
                asked.by
            ),
            (Ok(()), Some(earlier)) => format!("Halted already by {earlier}."),
            (Err(refusal), _) if refusal.kind == RefusalKind::Unavailable => format!(
                "Halted in this process, though the journal can't be written now ({}). Write the halt file too: it \
                 survives a restart.",
                refusal.why
            ),
            (Err(refusal), _) => return Err(refusal),
        };
        Ok(Reply::Stopped {
            done,
            open: self.still_open().await,
        })
    }

    /// The journal first and the file after it: whatever fails between the two leaves the halt standing.
    async fn resume(&self, asked: &Asked, reason: &str) -> Result<Reply, Refusal> {
        let _only_one = self.halting.lock().await;
        let there = !matches!(self.ports.stop_file.read(), Ok(None));
        self.write(asked, |ledger, _| match (&ledger.halt, there) {
            (None, false) => conflict("nothing is halted".to_owned()),
            _ => Ok(vec![Body::Resumed {
                by: asked.by.clone(),
                reason: reason.to_owned(),
            }]),
        })
        .await?;
        self.ports.stop_file.remove().map_err(|why| {
            Refusal::new(
                RefusalKind::Unavailable,
                format!("the halt file can't be removed, so the halt stays: {why}"),
            )
        })?;
        self.fence.reopen_all();
        self.hurry_now();
        Ok(Reply::Done(format!(
            "Resumed by {}: {reason}. Aborted runs stay aborted.",
            asked.by
        )))
    }

    async fn clear(&self, asked: &Asked, intent: &str, reason: &str) -> Result<Reply, Refusal> {
        let id = IntentId::new(intent);
        self.write(asked, |ledger, now| {
            let found = ledger.charged().find(|(_, i)| i.id == id);
            match found {
                None => Err(Refusal::new(
                    RefusalKind::NotFound,
                    format!(
                        "no kill {intent} is charged; `heartbreak status` lists them; nothing was changed"
                    ),
                )),
                Some((_, i)) if matches!(i.state, IntentState::Open) => {
                    conflict(format!("{intent} is on its way; nothing was changed"))
                }
                Some(_) => Ok(vec![Body::Settled {
                    intent: id.clone(),
                    state: IntentState::Resolved {
                        why: format!("cleared by {}: {reason}", asked.by),
                        at: now,
                        tasks: vec![],
                    },
                }]),
            }
        })
        .await?;
        Ok(Reply::Done(format!(
            "Cleared: {intent} no longer counts as a task that is down."
        )))
    }

    /// Checks and writes in one transaction: the command itself, then what it comes to.
    async fn write(
        &self,
        asked: &Asked,
        mut decide: impl FnMut(&Ledger, DateTime<Utc>) -> Decision + Send,
    ) -> Result<(), Refusal> {
        let written = self
            .book
            .commit(|ledger, now| {
                if asked.key.as_ref().is_some_and(|key| ledger.knows_key(key)) {
                    return Ok(vec![]);
                }
                let mut bodies = vec![Body::Asked {
                    by: asked.by.clone(),
                    command: asked.command.clone(),
                    key: asked.key.clone(),
                }];
                bodies.extend(decide(ledger, now)?);
                Ok(bodies)
            })
            .await;
        self.tell.notify_one();
        match written {
            Ok(_) => Ok(()),
            Err(CommitError::Refused(refusal)) => Err(refusal),
            Err(CommitError::Journal(error)) => Err(Refusal::new(
                RefusalKind::Unavailable,
                format!("not recorded, try again: the journal can't be written ({error})"),
            )),
        }
    }

    async fn members_for(&self, run: &RunId) -> Result<BTreeSet<PersonId>, String> {
        match self
            .book
            .read(|l| l.runs.get(run).map(|r| r.plan.approval.clone()))
            .await
        {
            Some(rule) => self.members(&rule).await,
            None => Ok(BTreeSet::new()),
        }
    }

    fn hurry_now(&self) {
        self.wake.notify_one();
        self.tell.notify_one();
    }
}

/// The run, if people may still decide on it.
fn undecided<'a>(ledger: &'a Ledger, run: &RunId, now: DateTime<Utc>) -> Result<&'a Run, Refusal> {
    let Some(known) = ledger.runs.get(run) else {
        return Err(Refusal::new(
            RefusalKind::NotFound,
            format!("there is no run {run}; nothing was changed"),
        ));
    };
    if let Some(denial) = &known.denied {
        return refuse(format!(
            "run {run} was denied already by {}: {}; nothing was changed",
            denial.by, denial.reason
        ));
    }
    if known.phase != Phase::AwaitingApproval {
        let how = match (&known.verdict, known.approvals.last()) {
            (Some(verdict), _) => format!("it is over: {}", verdict.sentence),
            (None, Some(approval)) => format!(
                "it was approved by {} and is in phase {}",
                approval.by, known.phase
            ),
            (None, None) => format!("it is in phase {}", known.phase),
        };
        return refuse(format!(
            "run {run} can't be decided on any more: {how}; nothing was changed"
        ));
    }
    match known.approval_expires {
        Some(expires) if now >= expires => refuse(format!(
            "the request for run {run} expired at {}; nothing was changed",
            expires.format("%F %T UTC")
        )),
        None => refuse(format!("run {run} needs no approval; nothing was changed")),
        Some(_) => Ok(known),
    }
}

/// Whether a person decided on this very plan.
fn same_plan(run: &Run, digest: &PlanDigest) -> Result<(), Refusal> {
    let given = digest.as_str();
    if given.len() >= DIGEST_CHARS_MIN && run.digest.as_str().starts_with(given) {
        return Ok(());
    }
    refuse(format!(
        "that button or digest ({given}) is for another plan than run {} has now ({}); nothing was changed",
        run.id,
        run.digest.short()
    ))
}

fn refuse<T>(why: String) -> Result<T, Refusal> {
    Err(Refusal::new(RefusalKind::Conflict, why))
}

fn conflict(why: String) -> Decision {
    refuse(why)
}

fn list(runs: &[RunId]) -> String {
    if runs.is_empty() {
        return "none".into();
    }
    runs.iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}
