//! Asks every task by itself, where the policy wants that: how the app copes, and when a replacement first answers,
//! to the second (`steady-state` §3.1, §5.1). It is drawn, and decides nothing.

use super::State;
use crate::model::experiment::{Http, ProbeSpec, Reading, Role, Source, StatusRange};
use crate::model::ids::{AppId, TaskId};
use crate::model::plan::Plan;
use crate::model::report::TaskAnswer;
use crate::model::snapshot::{App, TaskState};
use crate::operator::Operator;
use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use std::collections::BTreeSet;

/// Most tasks that are asked by themselves in one look.
const ASKED_MAX: usize = 16;

/// Where a task can be asked.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    app: AppId,
    task: TaskId,
    host: String,
    port: u16,
}

impl State {
    /// Takes note of which tasks can be asked by themselves: those that came since, then those that are to die, then
    /// others, always the same ones.
    pub(super) fn find_places(&mut self, apps: &[App], plan: &Plan) {
        if plan.hypothesis.each_task.is_none() {
            return;
        }
        let to_die: BTreeSet<&TaskId> = plan
            .steps
            .iter()
            .flat_map(|s| &s.targets)
            .map(|t| &t.task)
            .collect();
        let rows = apps
            .iter()
            .flat_map(|app| app.tasks.iter().map(move |task| (app, task)));
        let mut places: Vec<(u8, Place)> = rows
            .filter(|(_, task)| task.state == TaskState::Running)
            .filter_map(|(app, task)| {
                let old = self.old.get(&app.id).is_some_and(|old| old.contains(&task.id));
                let rank = match old {
                    false => 0,
                    true if to_die.contains(&task.id) => 1,
                    true => 2,
                };
                let place = Place {
                    app: app.id.clone(),
                    task: task.id.clone(),
                    host: task.host.to_string(),
                    port: task.port?,
                };
                Some((rank, place))
            })
            .collect();
        places.sort_by(|(a, one), (b, other)| (a, &one.task).cmp(&(b, &other.task)));
        places.truncate(ASKED_MAX);
        self.places = places.into_iter().map(|(_, place)| place).collect();
    }

    /// Takes note of the first good answer of each task that came since.
    pub(super) fn heard(&mut self, answers: &[(AppId, TaskAnswer)], at: DateTime<Utc>) {
        for (app, answer) in answers.iter().filter(|(_, answer)| answer.ms.is_some()) {
            let old = self.old.get(app).is_none_or(|old| old.contains(&answer.task));
            if !old {
                self.answered.entry(answer.task.clone()).or_insert(at);
            }
        }
    }
}

impl Operator {
    /// Asks tasks by themselves, as the policy wants it: what they answer is drawn, and decides nothing.
    pub(super) async fn ask_each(&self, plan: &Plan, places: Vec<Place>) -> Vec<(AppId, TaskAnswer)> {
        let Some(each) = &plan.hypothesis.each_task else {
            return vec![];
        };
        join_all(places.into_iter().map(|place| async move {
            let host = match place.host.contains(':') {
                true => format!("[{}]", place.host),
                false => place.host,
            };
            let source = Source::Http(Http {
                url: format!("http://{host}:{}{}", place.port, each.path),
                requests: 1,
                status: vec![StatusRange { from: 200, to: 399 }],
                ..Http::default()
            });
            let spec = ProbeSpec::new("each-task", Role::Observe, source);
            let (ms, blind) = match self.reading(plan, &spec).await {
                Reading::Seen {
                    bad: 0, slowest_ms, ..
                } => (Some(slowest_ms.unwrap_or(0)), None),
                Reading::Seen { .. } => (None, None),
                Reading::Blind { why } => (None, Some(why)),
            };
            let task = place.task;
            (place.app, TaskAnswer { task, ms, blind })
        }))
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::experiment::EachTask;
    use crate::operator::watch::Watch;
    use chrono::TimeDelta;
    use std::collections::BTreeMap;

    #[test]
    fn of_many_tasks_those_that_came_since_are_asked_first_then_those_that_are_to_die() {
        use crate::engine::fixture::{app, plan};
        let mut plan = plan();
        plan.hypothesis.each_task = Some(EachTask {
            path: "/health".into(),
        });
        let to_die = plan.steps[0].targets[0].task.clone();
        let mut app = app("/shop/cart", 0);
        app.tasks = (0..40).map(crate::engine::fixture::task).collect();
        for (n, task) in app.tasks.iter_mut().enumerate() {
            task.port = Some(31_000 + n as u16);
        }
        app.tasks[5].port = None;
        app.tasks[2].state = TaskState::Staging;
        app.tasks[39].host = "::1".into();
        let watch = Watch::new(&plan);
        let mut state = watch.lock();
        state.fresh(&app);
        let new = app.tasks[39].id.clone();
        state.old.get_mut(&app.id).expect("looked at").remove(&new);
        state.find_places(std::slice::from_ref(&app), &plan);
        let asked: Vec<&TaskId> = state.places.iter().map(|place| &place.task).collect();
        assert_eq!(asked.len(), ASKED_MAX);
        assert_eq!(asked[..2], [&new, &to_die]);
        assert!(!asked.contains(&&app.tasks[5].id) && !asked.contains(&&app.tasks[2].id));
        // Its first good answer counts, and only that of one that was not there before.
        let good = |task: &TaskId, ms: Option<u32>| {
            let answer = TaskAnswer {
                task: task.clone(),
                ms,
                blind: None,
            };
            (app.id.clone(), answer)
        };
        let at = |s: i64| DateTime::UNIX_EPOCH + TimeDelta::seconds(s);
        state.heard(&[good(&new, None), good(&to_die, Some(3))], at(1));
        state.heard(&[good(&new, Some(9))], at(2));
        state.heard(&[good(&new, Some(2))], at(3));
        assert_eq!(state.answered, BTreeMap::from([(new, at(2))]));
        plan.hypothesis.each_task = None;
        state.places.clear();
        state.find_places(std::slice::from_ref(&app), &plan);
        assert!(state.places.is_empty(), "nobody wants that");
    }
}
