//! What people changed outside of any command: the halt file and the policy folder, taken into the journal.

use super::{Operator, PassError};
use crate::engine::history::Ledger;
use crate::model::command::{Person, Role, Via};
use crate::model::entry::Body;
use crate::model::experiment::AbortCause;
use crate::model::ids::RunId;
use crate::model::policy::{PolicySet, PolicyState};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

impl Operator {
    /// Takes up a halt that somebody wrote into the halt file, so that it is sticky.
    pub(super) async fn take_up_halt_file(&self) {
        let _only_one = self.halting.lock().await;
        let Ok(Some(reason)) = self.ports.stop_file.read() else {
            return;
        };
        self.fence.close_all(&format!("the halt file is there: {reason}"));
        let by = Person {
            id: "halt-file".into(),
            name: "the halt file".into(),
            via: Via::File,
            role: Role::Stop,
        };
        let written = self
            .book
            .commit(|ledger, _| {
                Ok::<_, std::convert::Infallible>(if ledger.halt.is_some() {
                    vec![]
                } else {
                    vec![Body::Halted {
                        by: by.clone(),
                        reason: reason.clone(),
                    }]
                })
            })
            .await;
        match written {
            Ok(entries) if entries.is_empty() => {}
            Ok(_) => {
                tracing::warn!(%reason, "halted by the halt file");
                self.abort_what_is_under_way(&by.to_string(), &reason).await;
                self.tell.notify_one();
                self.hurry(Duration::ZERO);
            }
            Err(error) => {
                tracing::error!(%error, "the halt could not be journalled; the file stops us all the same")
            }
        }
    }

    /// Ends every run that has started, because of a halt that is in the journal: without waiting for its
    /// next pass.
    pub(super) async fn abort_what_is_under_way(&self, by: &str, reason: &str) {
        let started = |l: &Ledger| {
            l.open_runs()
                .filter(|r| r.started.is_some())
                .map(|r| r.id.clone())
                .collect()
        };
        let runs: Vec<RunId> = self.book.read(started).await;
        for run in runs {
            let (by, reason) = (by.to_owned(), reason.to_owned());
            self.abort_run(&run, AbortCause::Halt { by, reason }, None).await;
        }
    }

    /// Journals what changed in the policy folder.
    pub(super) async fn take_up_policies(&self) -> Result<(), PassError> {
        let set = self.policy_set();
        let known =
            |taken: &Option<Arc<PolicySet>>| taken.as_ref().is_some_and(|known| Arc::ptr_eq(known, &set));
        if known(&self.taken_up.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(());
        }
        let written = self
            .book
            .commit(|ledger, _| {
                let mut bodies = vec![];
                for (name, state) in &set.policies {
                    let known = ledger.policies.get(name);
                    match state {
                        PolicyState::Active(policy) => {
                            let same = known.is_some_and(|k| k.digest.as_ref() == Some(&policy.digest));
                            if !same {
                                bodies.push(Body::PolicySeen {
                                    policy: name.clone(),
                                    digest: policy.digest.clone(),
                                });
                            }
                        }
                        PolicyState::Suspended { why } => {
                            if known.is_none_or(|k| k.suspended.as_ref() != Some(why)) {
                                bodies.push(Body::PolicySuspended {
                                    policy: name.clone(),
                                    why: why.clone(),
                                });
                            }
                        }
                    }
                }
                let gone = ledger
                    .policies
                    .iter()
                    .filter(|(name, k)| !k.gone && !set.policies.contains_key(*name));
                bodies.extend(gone.map(|(name, _)| Body::PolicyGone { policy: name.clone() }));
                Ok::<_, std::convert::Infallible>(bodies)
            })
            .await?;
        for entry in &written {
            tracing::info!(
                kind = entry.body.kind(),
                "policy folder: {}",
                describe(&entry.body)
            );
        }
        *self.taken_up.lock().unwrap_or_else(PoisonError::into_inner) = Some(set);
        if !written.is_empty() {
            self.tell.notify_one();
            self.hurry(Duration::ZERO);
        }
        Ok(())
    }
}

/// The halt that is in force, from journal or file. A file that can't be read counts as there.
pub(super) fn halted(ledger: &Ledger, file: &Result<Option<String>, String>) -> Option<(String, String)> {
    if let Some(halt) = &ledger.halt {
        return Some((halt.by.to_string(), halt.reason.clone()));
    }
    match file {
        Ok(None) => None,
        Ok(Some(reason)) => Some(("the halt file".into(), reason.clone())),
        Err(why) => Some(("the halt file".into(), format!("it can't be read: {why}"))),
    }
}

fn describe(body: &Body) -> String {
    match body {
        Body::PolicySeen { policy, digest } => {
            format!(
                "{policy} is active ({})",
                digest.as_str().get(..12).unwrap_or_default()
            )
        }
        Body::PolicySuspended { policy, why } => format!("{policy} is suspended: {why}"),
        Body::PolicyGone { policy } => format!("{policy} is gone"),
        other => other.kind().to_owned(),
    }
}
