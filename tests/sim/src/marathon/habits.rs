//! What pretended tasks do of themselves. A label of their app says it, because nothing runs.
//!
//! | label | meaning |
//! |---|---|
//! | `SIM_KILL_MS` | how long a task takes to end after it was told to; cut short when its grace period is over |
//! | `SIM_FAIL_MS` | how long after its start a task ends by itself |
//! | `SIM_EXIT` | with which status it does; 1 unless given |

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::Value;

use super::state::{App, State, span};

/// What agents give a command between the request to end and `kill -9`, when the app says nothing.
const GRACE: Duration = Duration::from_secs(3);

fn label(a: &App, name: &str) -> Option<u64> {
    let labels = a.definition.get("labels").and_then(Value::as_object)?;
    labels.get(name)?.as_str()?.parse().ok()
}

/// How an app's tasks die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Death {
    pub(super) after: TimeDelta,
    /// The grace period is over before the task has ended.
    pub(super) forced: bool,
}

impl State {
    /// How the tasks of an app die when they are told to.
    pub(super) fn death(&self, app: &str) -> Death {
        let a = self.apps.get(app);
        let a = a.or_else(|| self.leaving.iter().find(|a| a.spec.id == app));
        let willing = |after| Death {
            after: span(after),
            forced: false,
        };
        let Some((a, slow)) = a.and_then(|a| Some((a, label(a, "SIM_KILL_MS")?))) else {
            return willing(self.timings.kill_delay);
        };
        let grace = a
            .definition
            .get("taskKillGracePeriodSeconds")
            .and_then(Value::as_u64);
        let grace = grace.map_or(GRACE, Duration::from_secs);
        let slow = Duration::from_millis(slow);
        if slow <= grace {
            willing(slow)
        } else {
            Death {
                after: span(grace),
                forced: true,
            }
        }
    }
}

/// How long a task of this app runs before it ends by itself.
pub(super) fn lifetime(a: &App) -> Option<TimeDelta> {
    label(a, "SIM_FAIL_MS").map(|ms| span(Duration::from_millis(ms)))
}

/// How it ends then: its state, and what its agent says.
pub(super) fn ending(a: &App) -> (&'static str, String) {
    match label(a, "SIM_EXIT").unwrap_or(1) {
        0 => ("TASK_FINISHED", "Command exited with status 0".to_owned()),
        status => ("TASK_FAILED", format!("Command exited with status {status}")),
    }
}

#[cfg(test)]
mod tests {
    use crate::marathon::state::{AppSpec, Killed, State, Timings, Version};
    use chrono::{DateTime, TimeDelta, Utc};
    use serde_json::{Value, json};

    const APP: &str = "/t/slow";

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::milliseconds(ms)
    }

    fn with(version: Version, spec: AppSpec) -> State {
        let mut s = State::new(version, Timings::default(), at(0));
        s.add_app(spec.health_checks(false));
        s
    }

    fn kill(s: &mut State) {
        let id = s.task_ids(APP)[0].clone();
        assert_eq!(s.kill(&[id], None, false).unwrap().len(), 1);
    }

    fn state(s: &State) -> Value {
        s.rows(s.app(APP).unwrap())
            .first()
            .map_or(Value::Null, |r| r["state"].clone())
    }

    #[test]
    fn point_6_a_task_lives_on_through_its_grace_period_and_not_longer() {
        for (grace, slow, dead_at, words) in [
            (Some(10), "4000", 4_000, "signal Terminated"),
            (Some(2), "60000", 2_000, "signal Killed"),
            (None, "60000", 3_000, "signal Killed"),
        ] {
            let mut spec = AppSpec::new(APP, 1).label("SIM_KILL_MS", slow);
            if let Some(grace) = grace {
                spec = spec.with("taskKillGracePeriodSeconds", json!(grace));
            }
            let mut s = with(Version::V1_11, spec);
            kill(&mut s);
            s.advance(at(dead_at - 1));
            assert_eq!(state(&s), "TASK_RUNNING", "{grace:?}");
            assert_eq!(
                s.app_json(s.app(APP).unwrap(), Default::default())["tasksRunning"],
                1
            );
            s.advance(at(dead_at));
            assert_eq!(state(&s), "TASK_KILLED", "{grace:?}");
            let killed = s
                .events_from(0)
                .into_iter()
                .find(|e| e.data["taskStatus"] == "TASK_KILLED");
            let message = killed.unwrap().data["message"].clone();
            assert!(message.as_str().unwrap().ends_with(words), "{message}");
        }
    }

    #[test]
    fn point_7_a_kill_makes_nothing_wait_but_a_kill_reported_as_finished_does() {
        for version in [Version::V1_11, Version::V1_7] {
            for (killed_are, delayed) in [(Killed::Killed, false), (Killed::Finished, true)] {
                let spec = AppSpec::new(APP, 1).with("backoffSeconds", json!(60));
                let mut s = with(version, spec);
                s.killed_are = killed_are;
                kill(&mut s);
                s.advance(at(300));
                let queue = s.queue_json(false);
                let left = queue["queue"][0]["delay"]["timeLeftSeconds"].as_i64().unwrap();
                assert_eq!(left > 50, delayed, "{version:?} {killed_are:?}: {queue}");
                assert!(s.app(APP).unwrap().last_failure.is_none());
                s.advance(at(10_000));
                assert_eq!(
                    state(&s) == "TASK_RUNNING",
                    !delayed,
                    "{version:?} {killed_are:?}"
                );
                s.advance(at(70_000));
                assert_eq!(state(&s), "TASK_RUNNING");
            }
        }
    }

    #[test]
    fn point_7_failures_make_launches_wait_longer_each_time_and_so_does_an_exit_with_0() {
        for (exit, shown) in [("1", "TASK_FAILED"), ("0", "TASK_FINISHED")] {
            let spec = AppSpec::new(APP, 1)
                .label("SIM_FAIL_MS", "1000")
                .label("SIM_EXIT", exit)
                .with("backoffSeconds", json!(10))
                .with("backoffFactor", json!(2));
            let mut s = with(Version::V1_11, spec);
            let mut starts = Vec::new();
            for ms in (0..120_000).step_by(100) {
                s.advance(at(ms));
                let row = s.rows(s.app(APP).unwrap())[0].clone();
                if let Some(start) = row.get("stagedAt") {
                    if starts.last() != Some(start) {
                        starts.push(start.clone());
                    }
                } else {
                    assert_eq!(row["state"], shown);
                }
            }
            let times: Vec<i64> = starts
                .iter()
                .map(|t| {
                    DateTime::parse_from_rfc3339(t.as_str().unwrap())
                        .unwrap()
                        .timestamp()
                })
                .collect();
            let waits: Vec<i64> = times.windows(2).skip(1).map(|w| w[1] - w[0]).collect();
            // Each time a task has run for a second and something, then 10, 20 and 40 s go by.
            assert!(
                waits.len() >= 2 && (20..24).contains(&waits[0]) && (40..44).contains(&waits[1]),
                "{waits:?}"
            );
        }
    }
}
