//! The fold, and what it must never forget.

use super::*;
use crate::engine::fixture::*;
use crate::model::command::Role;
use crate::model::entry::RateState;

/// A run with one answered and one unanswered kill.
fn busy() -> World {
    let mut world = World::good();
    world.moved(-90, Phase::Steps);
    world.killed(-80, 1, acked(0, -79));
    world.killed(-20, 2, ambiguous(-19));
    world
}

#[test]
fn what_was_written_and_read_again_folds_to_the_same() {
    let mut world = busy();
    let by = person("eve", Role::Stop);
    let reason = "fire".into();
    world.enter(-10, Body::Halted { by, reason });
    let text = serde_json::to_string(&world.entries).unwrap();
    let read: Vec<Entry> = serde_json::from_str(&text).unwrap();
    assert_eq!(Ledger::fold(&read), world.ledger());
    assert_eq!(world.ledger().head, Seq(world.entries.len() as u64));
}

#[test]
#[should_panic(expected = "in order, without gaps")]
fn a_gap_in_the_journal_is_not_folded_over() {
    let mut world = busy();
    world.entries.remove(1);
    let _ = world.ledger();
}

#[test]
fn every_state_that_is_not_proven_over_is_charged() {
    #[track_caller]
    fn check(state: IntentState, charged: u32, void: bool, over: bool) {
        let mut world = World::good();
        world.killed(-80, 1, state);
        let ledger = world.ledger();
        assert_eq!(ledger.charged_tasks(&"prod".into()), charged);
        assert_eq!(ledger.charged_tasks(&"else".into()), 0);
        assert_eq!(
            (ledger.kills[0].void, ledger.kills[0].over.is_some()),
            (void, over)
        );
        let last = ledger.last_kill_of(&"prod".into(), &"/shop/cart".into());
        assert_eq!(last.is_none(), void);
    }
    let why = || "no".to_owned();
    check(IntentState::Open, 1, false, false);
    check(acked(0, -79), 1, false, false);
    check(ambiguous(-79), 1, false, false);
    check(held(-79), 1, false, false);
    check(resolved(-79), 0, false, true);
    check(
        IntentState::NotSent {
            why: why(),
            at: at(-79),
        },
        0,
        true,
        true,
    );
    check(
        IntentState::NoEffect {
            why: why(),
            at: at(-79),
        },
        0,
        false,
        true,
    );
}

#[test]
fn the_moment_of_an_answer_outlives_the_state_that_told_it() {
    let mut world = World::good();
    world.killed(-80, 1, acked(0, -79));
    let id = world.ledger().charged().next().expect("one").1.id.clone();
    let over = resolved(-60);
    world.enter(
        -60,
        Body::Settled {
            intent: id.clone(),
            state: over.clone(),
        },
    );
    let ledger = world.ledger();
    let run = ledger.runs.values().next().expect("one");
    assert_eq!(run.intents[0].state, over);
    assert_eq!(run.accepted.get(&id), Some(&at(-79)));
    // What an older version wrote of a run does not have it.
    let mut written = serde_json::to_value(run).unwrap();
    written.as_object_mut().unwrap().remove("accepted").unwrap();
    let read: Run = serde_json::from_value(written).unwrap();
    assert!(read.accepted.is_empty());
}

#[test]
fn a_sham_charges_nothing_and_is_no_kill() {
    let mut world = World::good();
    let mut body = intended(&world.plan, 1, at(-80));
    if let Body::Intended { intent, .. } = &mut body {
        intent.sham = true;
    }
    world.enter(-80, body);
    let ledger = world.ledger();
    assert_eq!((ledger.charged().count(), ledger.kills.len()), (0, 0));
    assert_eq!(ledger.runs[&world.plan.run].intents.len(), 1);
}

#[test]
fn rates_are_those_of_the_last_intent_and_no_policy_edit_resets_them() {
    let mut world = World::good();
    for (number, arrival_ns) in [(1, 10), (2, 20)] {
        let mut body = intended(&world.plan, number, at(-80));
        if let Body::Intended { rates, .. } = &mut body {
            let bucket = "cart".into();
            rates.push(RateState { bucket, arrival_ns });
        }
        world.enter(-80, body);
    }
    let policy = PolicyName::from("cart");
    let digest = "new".into();
    world.enter(-70, Body::PolicySeen { policy, digest });
    assert_eq!(world.ledger().rates, BTreeMap::from([("cart".to_owned(), 20)]));
    assert_eq!(world.ledger().kills.len(), 2);
}

#[test]
fn news_are_kept_for_each_halt_resumption_suspension_and_held_kill() {
    let mut world = busy();
    let by = person("adm", Role::Admin);
    let reason = || "fire".to_owned();
    world.enter(
        -9,
        Body::Halted {
            by: by.clone(),
            reason: reason(),
        },
    );
    assert!(world.ledger().halt.is_some());
    world.enter(-8, Body::Resumed { by, reason: reason() });
    assert!(world.ledger().halt.is_none());
    let policy = "cart".into();
    world.enter(
        -7,
        Body::PolicySuspended {
            policy,
            why: reason(),
        },
    );
    let intent = "r-CART0001/1".into();
    world.enter(
        -6,
        Body::Settled {
            intent,
            state: held(-6),
        },
    );
    let n = world.entries.len();
    let keys: Vec<_> = world.ledger().news.into_keys().collect();
    let expected = [
        format!("halt/{}", n - 3),
        "held/r-CART0001/1".to_owned(),
        format!("policy/cart/{}", n - 1),
        format!("resume/{}", n - 2),
    ];
    assert_eq!(keys, expected);
}

#[test]
fn old_runs_are_forgotten_but_never_one_that_is_still_charged() {
    let mut world = World::good();
    world.killed(-80, 1, ambiguous(-79));
    let mut ledger = world.ledger();
    let mut enter = |body| {
        let seq = ledger.head.next();
        ledger.apply(&Entry { seq, at: at(0), body });
    };
    let verdict = || Box::new(verdict());
    let run = world.plan.run.clone();
    enter(Body::Ended {
        run,
        verdict: verdict(),
    });
    for index in 0..ENDED_RUNS_KEPT + 20 {
        let mut other = plan();
        other.run = RunId::new(format!("r-{index:08}"));
        enter(planned(&other));
        let run = other.run;
        enter(Body::Ended {
            run,
            verdict: verdict(),
        });
    }
    assert_eq!(ledger.runs.len(), ENDED_RUNS_KEPT);
    assert!(ledger.runs.contains_key(&world.plan.run));
    assert_eq!(ledger.charged_tasks(&"prod".into()), 1);
    assert!(ledger.busy_apps(&"prod".into()).contains(&"/shop/cart".into()));
    assert!(!ledger.runs.contains_key(&RunId::from("r-00000000")));
}

#[test]
fn a_new_process_ends_what_was_past_its_approval_and_nothing_else() {
    for (phase, left) in [
        (Phase::AwaitingApproval, 0),
        (Phase::Baseline, 1),
        (Phase::Steps, 1),
        (Phase::Recovery, 1),
        (Phase::Aborting, 0),
    ] {
        let mut world = World::good();
        world.moved(-90, phase);
        assert_eq!(world.ledger().left_open().len(), left, "{phase}");
    }
}
