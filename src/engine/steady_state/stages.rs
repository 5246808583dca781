//! The stages of one recovery from task rows, and several recoveries in two numbers (`steady-state` §5).

use crate::model::ids::{AppId, TaskId};
use crate::model::report::{FreshTask, HealthPoint, KillRecovery, Stage, StageSummary};
use crate::model::run::Intent;
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::{BTreeMap, BTreeSet};

/// Clocks that are nearer than this are taken for equal.
const OFFSET_MIN: i64 = 1_000;

/// The replacements of one kill: when the last of them reached each stage, by Marathon's rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Replaced {
    /// t2.
    pub staged: Option<DateTime<Utc>>,
    /// t3.
    pub running: Option<DateTime<Utc>>,
    /// t4.
    pub healthy: Option<DateTime<Utc>>,
    /// t4′, by our clock.
    pub answering: Option<DateTime<Utc>>,
    /// More than one replacement could have been the one, so the order decided.
    pub by_order: bool,
    /// Where the replacement of each target listens, as far as that is known.
    pub addresses: Vec<Option<String>>,
}

/// Matches the tasks that came after each kill with the tasks it took, for one app, in the order of the kills.
///
/// From Marathon 1.8 on an instance keeps its id over its incarnations: that is proof. Before, nothing links
/// a replacement to its victim, and the first staged goes to the first killed.
pub(super) fn replacements(kills: &[&Intent], app: &AppId, health: &[HealthPoint]) -> Vec<Replaced> {
    let mut latest: BTreeMap<&TaskId, &FreshTask> = BTreeMap::new();
    let mut healthy: BTreeMap<&TaskId, DateTime<Utc>> = BTreeMap::new();
    let mut offset = TimeDelta::zero();
    for point in health.iter().filter(|point| point.app == *app) {
        for task in &point.fresh {
            latest.insert(&task.task, task);
            // The first that was seen: where only the latest success is known, it goes on with time.
            if let Some(at) = task.healthy {
                let first = healthy.entry(&task.task).or_insert(at);
                *first = at.min(*first);
            }
        }
        if let Some(ms) = point.clock_offset_ms.filter(|ms| ms.abs() > OFFSET_MIN) {
            offset = TimeDelta::milliseconds(ms);
        }
    }
    let mut fresh: Vec<&FreshTask> = latest.into_values().collect();
    fresh.sort_by_key(|task| (task.staged, &task.task));
    let mut taken: BTreeSet<&TaskId> = BTreeSet::new();
    // Clocks are compared after their difference is taken away; what is left of it is up to a second.
    let ours = |at: DateTime<Utc>| at - offset;
    kills
        .iter()
        .map(|kill| {
            let mut found: Vec<Option<&FreshTask>> = vec![];
            let mut by_order = false;
            for target in kill.targets.iter().filter(|t| t.app == *app) {
                let after = |task: &&&FreshTask| {
                    let staged = task
                        .staged
                        .is_some_and(|at| ours(at) >= kill.at - TimeDelta::seconds(1));
                    staged && task.task != target.task && !taken.contains(&task.task)
                };
                let same = fresh
                    .iter()
                    .filter(after)
                    .find(|task| task.instance == target.instance);
                let chosen = same.or_else(|| {
                    let open = fresh.iter().filter(after).count();
                    by_order |= open > 1 || kill.targets.len() > 1;
                    fresh.iter().find(|task| after(task))
                });
                taken.extend(chosen.map(|task| &task.task));
                found.push(chosen.copied());
            }
            let last = |pick: &dyn Fn(&FreshTask) -> Option<DateTime<Utc>>| {
                let times = found.iter().map(|task| pick((*task)?));
                // One that was not reached keeps the whole stage open.
                times.collect::<Option<Vec<_>>>()?.into_iter().max()
            };
            Replaced {
                staged: last(&|task| task.staged).map(ours),
                running: last(&|task| task.started).map(ours),
                healthy: last(&|task| healthy.get(&task.task).copied()).map(ours),
                answering: last(&|task| task.answered),
                by_order,
                addresses: found.iter().map(|task| (*task)?.address.clone()).collect(),
            }
        })
        .collect()
}

/// Median and worst of every stage over the kills, censored values kept as such.
pub(super) fn summaries(recoveries: &[KillRecovery], until: Option<DateTime<Utc>>) -> Vec<StageSummary> {
    Stage::ALL
        .iter()
        .filter_map(|stage| {
            // Where no load balancer was looked at, the rotation is unknown, which is not "longer than".
            let watched =
                |kill: &&KillRecovery| *stage != Stage::Rotation || kill.origins.contains_key(stage);
            let times: Vec<(TimeDelta, bool)> = recoveries
                .iter()
                .filter(watched)
                .map(|kill| match stage.of(kill) {
                    Some(at) => (at - kill.killed, false),
                    None => (until.map_or(TimeDelta::zero(), |end| end - kill.killed), true),
                })
                .collect();
            summary(*stage, &times)
        })
        .collect()
}

/// One stage: `(time, whether it is only known that it took longer)`.
fn summary(stage: Stage, times: &[(TimeDelta, bool)]) -> Option<StageSummary> {
    let censored = times.iter().filter(|(_, open)| *open).count();
    let always_watched = matches!(stage, Stage::Rotation | Stage::Capacity | Stage::Steady);
    if times.is_empty() || censored == times.len() && !always_watched {
        // A stage that nobody reported says nothing about recovery.
        return None;
    }
    let ms = |time: TimeDelta| u64::try_from(time.num_milliseconds()).unwrap_or(0);
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let worst = times.iter().max_by_key(|(time, open)| (*open, *time))?;
    Some(StageSummary {
        stage,
        kills: count(times.len()),
        censored: count(censored),
        median_ms: median(times).map(ms),
        worst_ms: ms(worst.0),
        worst_is_censored: worst.1,
    })
}

/// The median by Kaplan and Meier (1958): the first time by which half have recovered, where those that
/// were not watched for longer count only for as long as they were. `None` when that was never seen.
fn median(times: &[(TimeDelta, bool)]) -> Option<TimeDelta> {
    let mut sorted = times.to_vec();
    // At equal times what was reached comes before what was only watched.
    sorted.sort_by_key(|(time, open)| (*time, *open));
    let mut survival = 1.0;
    for (index, (time, open)) in sorted.iter().enumerate() {
        let at_risk = (sorted.len() - index) as f64;
        if !open {
            survival *= 1.0 - 1.0 / at_risk;
            if survival <= 0.5 + 1e-9 {
                return Some(*time);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::steady_state::testing::at;
    use crate::engine::steady_state::verdict::tests::intent;

    fn fresh(
        task: &str,
        instance: &str,
        staged: f64,
        started: Option<f64>,
        healthy: Option<f64>,
    ) -> FreshTask {
        FreshTask {
            task: task.into(),
            instance: instance.into(),
            staged: Some(at(staged)),
            started: started.map(at),
            healthy: healthy.map(at),
            address: None,
            answered: None,
        }
    }

    fn point(seconds: f64, fresh: Vec<FreshTask>, offset: i64) -> HealthPoint {
        HealthPoint {
            at: at(seconds),
            app: "/shop/cart".into(),
            healthy: 12,
            instances: 12,
            running: 12,
            staged: 0,
            fresh,
            launch_delay_s: None,
            clock_offset_ms: Some(offset),
            asked: vec![],
        }
    }

    #[test]
    fn an_instance_that_keeps_its_id_is_proof_and_otherwise_the_order_decides() {
        let (first, second) = (intent(1, 100.0), intent(2, 200.0));
        let health = [
            point(102.0, vec![fresh("n.9", "other", 101.0, None, None)], 20),
            point(103.0, vec![fresh("c.1", "cart.1", 101.5, Some(103.0), None)], 20),
            point(
                109.0,
                vec![fresh("c.1", "cart.1", 101.5, Some(103.0), Some(108.0))],
                20,
            ),
            point(
                210.0,
                vec![fresh("x.2", "new", 201.0, Some(204.0), Some(209.0))],
                20,
            ),
        ];
        let found = replacements(&[&first, &second], &"/shop/cart".into(), &health);
        assert_eq!(
            found[0],
            Replaced {
                staged: Some(at(101.5)),
                running: Some(at(103.0)),
                healthy: Some(at(108.0)),
                answering: None,
                by_order: false,
                addresses: vec![None],
            }
        );
        assert_eq!((found[1].staged, found[1].by_order), (Some(at(201.0)), false));
    }

    #[test]
    fn healthy_is_when_it_was_first_so_however_late_it_was_last_so() {
        let kill = intent(1, 100.0);
        let health = [108.0, 110.0, 112.0]
            .map(|at| point(at, vec![fresh("c.1", "cart.1", 101.5, Some(103.0), Some(at))], 0));
        let found = replacements(&[&kill], &"/shop/cart".into(), &health);
        assert_eq!(found[0].healthy, Some(at(108.0)));
    }

    #[test]
    fn the_first_answer_to_us_is_by_our_clock_and_counts_for_the_last_replacement() {
        let mut kill = intent(1, 100.0);
        let mut second = kill.targets[0].clone();
        second.task = "cart.2".into();
        second.instance = "cart.2".into();
        kill.targets.push(second);
        let answered = |task: &str, instance: &str, at_s: Option<f64>| FreshTask {
            answered: at_s.map(at),
            ..fresh(task, instance, 161.5, Some(163.0), None)
        };
        let of = |second: Option<f64>| {
            let tasks = vec![
                answered("c.1", "cart.1", Some(104.0)),
                answered("c.2", "cart.2", second),
            ];
            replacements(&[&kill], &"/shop/cart".into(), &[point(109.0, tasks, 60_000)])[0].answering
        };
        assert_eq!(of(Some(106.0)), Some(at(106.0)));
        assert_eq!(of(None), None, "one that never answered keeps it open");
    }

    #[test]
    fn a_clock_that_is_off_by_more_than_a_second_is_put_right() {
        let kill = intent(1, 100.0);
        let health = [point(
            109.0,
            vec![fresh("c.1", "cart.1", 161.5, Some(163.0), None)],
            60_000,
        )];
        let found = replacements(&[&kill], &"/shop/cart".into(), &health);
        assert_eq!(
            (found[0].staged, found[0].running),
            (Some(at(101.5)), Some(at(103.0)))
        );
        assert_eq!(found[0].healthy, None);
    }

    #[test]
    fn a_median_counts_what_was_not_seen_to_end() {
        let of = |times: &[(i64, bool)]| {
            let times: Vec<_> = times
                .iter()
                .map(|(s, open)| (TimeDelta::seconds(*s), *open))
                .collect();
            let found = summary(Stage::Capacity, &times).unwrap();
            (found.median_ms, found.worst_ms, found.worst_is_censored)
        };
        assert_eq!(
            of(&[(10, false), (20, false), (30, false)]),
            (Some(20_000), 30_000, false)
        );
        assert_eq!(
            of(&[(10, false), (20, false), (300, true)]),
            (Some(20_000), 300_000, true)
        );
        // A textbook case: of four, one leaves the watch at 5; half have recovered by 20 of those left.
        assert_eq!(
            of(&[(5, true), (10, false), (20, false), (30, false)]).0,
            Some(20_000)
        );
        assert_eq!(of(&[(300, true), (310, true)]), (None, 310_000, true));
        assert_eq!(of(&[(10, false), (300, true), (300, true)]).0, None);
    }
}
