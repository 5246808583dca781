//! The freshness gate: is the snapshot young, whole, and of the cluster that was planned for?

use super::Question;
use crate::model::gate::Answer;
use crate::model::run::{Intent, IntentState};
use crate::model::snapshot::GapKind;
use chrono::{DateTime, TimeDelta, Utc};

/// A snapshot older than this is not a view but a memory (I15).
pub const AGE_MAX: TimeDelta = TimeDelta::seconds(10);

/// Refuses a snapshot that is old, that was taken before our own last effect, that has a gap where an
/// app of the plan is concerned, or that is of another Marathon than the pinned one.
pub fn judge(q: &Question<'_>) -> Answer {
    let facts = q.facts;
    let age = facts.snapshot.age(facts.now);
    if age > AGE_MAX || age < -TimeDelta::seconds(1) {
        return Answer::Unknown(format!(
            "the snapshot is {} s old, at most {} s are trusted",
            age.num_seconds(),
            AGE_MAX.num_seconds()
        ));
    }
    let Some(info) = &facts.snapshot.info else {
        let why = facts
            .snapshot
            .gaps
            .iter()
            .find(|g| g.what == GapKind::Info)
            .map(|g| g.why.clone());
        return Answer::Unknown(why.unwrap_or_else(|| "Marathon did not say who it is".into()));
    };
    let Some(pinned) = facts.ledger.pinned.get(&q.plan.cluster) else {
        return Answer::Refuse(format!(
            "this Marathon calls itself framework {:?} and none is pinned: the settings name another one \
             (`frameworkId`), or the journal can't be written",
            info.framework_id
        ));
    };
    if *pinned != info.framework_id || info.framework_id != q.plan.framework_id {
        return Answer::Refuse(format!(
            "this is another Marathon: it calls itself framework {:?}, the pinned one is {pinned:?} and the plan is \
             for {:?}; if it was installed anew on purpose, write its `frameworkId` into the settings",
            info.framework_id, q.plan.framework_id
        ));
    }
    if let Some(gap) = q
        .plan
        .apps
        .ids()
        .find_map(|app| facts.snapshot.gaps_of(app).next())
    {
        return Answer::Unknown(format!("something could not be seen: {}", gap.why));
    }
    let effects = facts
        .ledger
        .runs
        .values()
        .filter(|r| r.plan.cluster == q.plan.cluster);
    if let Some(last) = effects
        .flat_map(|r| r.intents.iter())
        .filter(|i| !i.sham)
        .map(last_known_effect)
        .max()
        && facts.snapshot.taken_at <= last
    {
        return Answer::Unknown("the snapshot is from before our own last kill was answered".into());
    }
    Answer::Pass(format!(
        "seen {} s ago, whole, framework {}",
        age.num_seconds().max(0),
        info.framework_id
    ))
}

fn last_known_effect(intent: &Intent) -> DateTime<Utc> {
    match &intent.state {
        IntentState::Open | IntentState::Held { .. } | IntentState::Resolved { .. } => intent.at,
        IntentState::NotSent { at, .. }
        | IntentState::Acked { at, .. }
        | IntentState::NoEffect { at, .. }
        | IntentState::Ambiguous { at, .. } => *at,
    }
}
