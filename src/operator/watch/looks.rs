//! Looks at the apps of a run while it is watched: who serves, and what became of whom.

use super::{State, Watch};
use crate::model::experiment::{ProbeSpec, Reading, Sample, Source};
use crate::model::ids::{AppId, ClusterName};
use crate::model::plan::Plan;
use crate::model::report::{FreshTask, HealthPoint};
use crate::model::snapshot::{App, Health, Task, TaskState};
use crate::operator::Operator;
use crate::ports::journal::Measured;
use chrono::{DateTime, Utc};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use std::sync::PoisonError;
use std::time::Duration;

/// The longest that looking at the apps may take in one tick.
const LOOK_MAX: Duration = Duration::from_secs(5);
/// How often the apps are looked at when no probe needs them more often.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The same for each app: with more than five of them Marathon still answers five looks a second.
pub(super) const LOOK_EVERY_APP: Duration = Duration::from_millis(200);
/// How many apps are looked at side by side.
const LOOKS_AT_ONCE: usize = 4;

impl State {
    /// Tasks that came after the first look and of whose rows something is new.
    pub(super) fn fresh(&mut self, app: &App) -> Vec<FreshTask> {
        let there = || app.tasks.iter().map(|task| task.id.clone()).collect();
        let old = self.old.entry(app.id.clone()).or_insert_with(there);
        let mut news = vec![];
        for task in app.tasks.iter().filter(|task| !old.contains(&task.id)) {
            let (known, row) = (self.fresh.get(&task.id), fresh_task(task));
            let row = FreshTask {
                answered: self.answered.get(&task.id).copied(),
                // A task that is over gives its ports back.
                address: row.address.or_else(|| known?.address.clone()),
                ..row
            };
            if known != Some(&row) {
                self.fresh.insert(task.id.clone(), row.clone());
                news.push(row);
            }
        }
        news
    }

    /// Takes in one look at every app of the plan.
    fn seen(&mut self, apps: &[App], plan: &Plan, now: DateTime<Utc>) {
        self.find_places(apps, plan);
        self.healthy = Some(apps.iter().map(App::healthy).sum());
        let whole = plan.apps.iter().all(|planned| {
            let mut apps = apps.iter().filter(|app| app.id == planned.app);
            apps.any(|app| app.healthy() >= planned.healthy.min(app.instances))
        });
        if !whole {
            self.whole_since = None;
        } else {
            self.whole_since = self.whole_since.or(Some(now));
        }
    }
}

impl Operator {
    /// One look at the apps, and at each task by itself where one is due: feeds the probes that count tasks, and says what
    /// is to be kept.
    pub(super) async fn look_at_apps(
        &self,
        plan: &Plan,
        watch: &Watch,
        at: DateTime<Utc>,
        is_due: bool,
    ) -> Vec<Measured> {
        let counting: Vec<&ProbeSpec> = plan
            .hypothesis
            .probes
            .iter()
            .filter(|probe| probe.source == Source::Marathon)
            .collect();
        if !is_due && counting.is_empty() {
            return vec![];
        }
        let places = if is_due { watch.places() } else { vec![] };
        let mut measured = vec![];
        let counted = async {
            let apps = self.look_at(plan).await;
            for probe in counting {
                let reading = match &apps {
                    Ok(apps) => Reading::seen(
                        apps.iter().map(|app| app.instances).sum(),
                        apps.iter().map(App::missing).sum(),
                    ),
                    Err(why) => Reading::Blind { why: why.clone() },
                };
                let probe = probe.name.clone();
                let sample = Sample { at, probe, reading };
                self.take(plan, watch, &sample, &mut measured).await;
            }
            apps
        };
        let (apps, answers) = tokio::join!(counted, self.ask_each(plan, places));
        let Ok(apps) = apps else {
            return measured;
        };
        let offset = self.clock_offset_of(&plan.cluster);
        let mut state = watch.lock();
        state.heard(&answers, at);
        for app in &apps {
            let own = answers.iter().filter(|(of, _)| *of == app.id);
            measured.push(Measured::Health(HealthPoint {
                asked: own.map(|(_, answer)| answer.clone()).collect(),
                launch_delay_s: self.launch_delay_of(&plan.cluster, &app.id),
                ..health_point(app, at, state.fresh(app), offset)
            }));
        }
        state.seen(&apps, plan, self.ports.clock.now());
        measured
    }

    /// Every app of the plan, or why one of them could not be seen: half a look is none.
    async fn look_at(&self, plan: &Plan) -> Result<Vec<App>, String> {
        let Some(cluster) = self.ports.clusters.get(&plan.cluster) else {
            return Err(format!("cluster {} is not in the settings", plan.cluster));
        };
        let looks = stream::iter(plan.apps.ids().cloned()).map(|app| async move {
            match cluster.look_at(&app).await {
                Ok(Some(app)) => Ok(app),
                Ok(None) => Err(format!("Marathon says that {app} does not exist")),
                Err(gap) => Err(gap.why),
            }
        });
        tokio::select! {
            biased;
            seen = looks.buffered(LOOKS_AT_ONCE).try_collect() => seen,
            () = self.ports.clock.sleep(plan.hypothesis.interval.min(LOOK_MAX)) => {
                Err("Marathon did not answer within the interval".into())
            }
        }
    }

    /// How far Marathon's clock is from ours, as last seen.
    fn clock_offset_of(&self, cluster: &ClusterName) -> Option<i64> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(cluster)?.last.as_ref()?.info.as_ref()?.clock_offset_ms
    }

    /// For how long the launch queue holds back tasks of an app, as last seen: a look at the app alone does not tell.
    fn launch_delay_of(&self, cluster: &ClusterName, app: &AppId) -> Option<u64> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(cluster)?.last.as_ref()?.apps.get(app)?.launch_delay_s
    }
}

/// What a task's row says of its beginning.
///
/// From Marathon 1.8 on an instance keeps its health results when its task is replaced: a first success before
/// this task's start is that of the one that was killed, and the latest success is the next best.
fn fresh_task(task: &Task) -> FreshTask {
    let own = |at: &DateTime<Utc>| task.started_at.is_some_and(|started| started <= *at);
    FreshTask {
        task: task.id.clone(),
        instance: task.instance.clone(),
        staged: task.staged_at,
        started: task.started_at,
        healthy: match &task.health {
            Health::Reported {
                first_success,
                last_success,
                ..
            } => first_success.filter(own).or(last_success.filter(own)),
            Health::Unreported => None,
        },
        address: task.port.map(|port| format!("{}:{port}", task.host)),
        answered: None,
    }
}

fn health_point(app: &App, at: DateTime<Utc>, fresh: Vec<FreshTask>, offset: Option<i64>) -> HealthPoint {
    let count = |state: &dyn Fn(&TaskState) -> bool| {
        u32::try_from(app.tasks.iter().filter(|t| state(&t.state)).count()).unwrap_or(u32::MAX)
    };
    HealthPoint {
        at,
        app: app.id.clone(),
        healthy: app.healthy(),
        instances: app.instances,
        running: count(&|s| *s == TaskState::Running),
        staged: count(&|s| matches!(s, TaskState::Staging | TaskState::Starting)),
        fresh,
        launch_delay_s: app.launch_delay_s,
        clock_offset_ms: offset,
        asked: vec![],
    }
}
