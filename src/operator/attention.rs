//! What needs a person, told once a process: kills that should long be over, and the like.

use super::Operator;
use crate::engine::lifecycle;
use crate::model::ids::PolicyName;
use crate::model::run::IntentState;
use crate::model::snapshot::Snapshot;
use chrono::{DateTime, TimeDelta, Utc};
use std::sync::PoisonError;

/// A kill that is charged this much longer than the quarantine is told to people.
const UNREPLACED_AFTER: TimeDelta = TimeDelta::seconds(10);

impl Operator {
    /// Tells people, once a process, of kills that should long be settled: what we took down and nothing
    /// replaced stays charged, and is not to be forgotten.
    pub(super) async fn alert_about_the_unreplaced(&self, policy: &PolicyName, now: DateTime<Utc>) {
        let late = self
            .book
            .read(|ledger| {
                let mine = ledger.charged().filter(|(run, _)| run.plan.policy == *policy);
                mine.filter(|(_, intent)| !matches!(intent.state, IntentState::Held { .. }))
                    .filter(|(_, intent)| now > intent.deadline + self.config.quarantine + UNREPLACED_AFTER)
                    .map(|(run, intent)| {
                        (
                            intent.id.clone(),
                            run.plan.apps.to_string(),
                            intent.at,
                            intent.state.word(),
                        )
                    })
                    .collect::<Vec<_>>()
            })
            .await;
        for (id, app, at, state) in late {
            self.attend_once(
                format!("unreplaced/{id}"),
                format!(
                    "kill {id} of {app} is {state} since {} min and is not replaced: it counts as down because of us",
                    (now - at).num_minutes()
                ),
                "look at the app's deployments, launch queue and health; the charge ends when a replacement serves, \
                 or with `heartbreak clear`",
            );
        }
    }

    /// Tells people, once a process, of a kill that Marathon accepted and that should have shown by now.
    pub(super) async fn alert_about_kills_without_effect(
        &self,
        policy: &PolicyName,
        snapshot: &Snapshot,
        now: DateTime<Utc>,
    ) {
        let Some(info) = &snapshot.info else { return };
        let retry = self.kill_retry(&snapshot.cluster);
        let late = self
            .book
            .read(|ledger| {
                let mine = ledger
                    .charged()
                    .filter(|(run, _)| run.plan.policy == *policy && run.plan.cluster == snapshot.cluster);
                mine.filter_map(|(_, intent)| {
                    let mut apps = intent.targets.iter().filter_map(|t| snapshot.apps.get(&t.app));
                    let why =
                        apps.find_map(|app| lifecycle::without_effect(app, intent, info, retry, now))?;
                    Some((format!("no-effect/{}", intent.id), why))
                })
                .collect::<Vec<_>>()
            })
            .await;
        for (key, why) in late {
            self.attend_once(
                key,
                why,
                "nothing is sent again; it stays charged until it is proven that it did nothing, or until \
                 `heartbreak clear`",
            );
        }
    }

    /// [`Self::attend`], unless people were told before by this process.
    fn attend_once(&self, key: String, what: String, todo: &str) {
        let mut alerted = self.alerted.lock().unwrap_or_else(PoisonError::into_inner);
        let new = alerted.insert(key.clone());
        drop(alerted);
        if new {
            self.attend(key, what, todo.to_owned());
        }
    }

    /// Tells people about something that needs them.
    pub(super) fn attend(&self, key: String, what: String, todo: String) {
        tracing::error!(%what, %todo, "attention");
        self.attention
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, (what, todo));
        self.tell.notify_one();
    }
}
