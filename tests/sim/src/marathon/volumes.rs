//! Persistent volumes: tasks that stay where their data is.

use serde_json::{Value, json};
use uuid::Uuid;

use super::placement::Agent;
use super::state::{App, Instance, Phase, path_of};

/// A volume that an instance has on its agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Volume {
    path: String,
    uuid: String,
}

/// The volumes that an instance of this app gets with its first launch.
pub(super) fn claim(a: &App) -> Vec<Volume> {
    let all = a
        .definition
        .get("container")
        .and_then(|c| c["volumes"].as_array());
    let persistent = all.into_iter().flatten().filter(|v| v["persistent"].is_object());
    persistent
        .map(|v| Volume {
            path: v["containerPath"].as_str().unwrap_or_default().to_owned(),
            uuid: Uuid::new_v4().to_string(),
        })
        .collect()
}

/// As a task lists them.
pub(super) fn listed(app: &str, volumes: &[Volume]) -> Value {
    let one = |v: &Volume| {
        json!({
            "runSpecId": app, "containerPath": v.path, "uuid": v.uuid,
            "persistenceId": format!("{}#{}#{}", path_of(app), v.path, v.uuid),
        })
    };
    volumes.iter().map(one).collect()
}

impl Instance {
    /// The agent that it can't leave, because its data is there.
    pub(super) fn bound_to(&self) -> Option<Agent> {
        self.on.filter(|_| !self.volumes.is_empty())
    }

    /// It was scaled away and waits, with its volumes, to be wanted again.
    pub(super) fn is_stopped(&self) -> bool {
        self.unwanted && !self.wiped && !self.volumes.is_empty() && matches!(self.phase, Phase::Down(_))
    }

    /// Its task has ended; its volumes wait for the next one. The older Marathons call that reserved, and
    /// list it as staging.
    pub(super) fn reserve(&mut self, at: chrono::DateTime<chrono::Utc>) {
        self.phase = Phase::Down("TASK_STAGING");
        self.since = at;
        self.staged_at = None;
        self.started_at = None;
        self.own_health = false;
        self.killing = None;
        self.health.fill(None);
    }
}

#[cfg(test)]
mod tests {
    use crate::marathon::agents::Presence;
    use crate::marathon::state::{AppSpec, State, Timings, Version};
    use chrono::{DateTime, TimeDelta, Utc};
    use serde_json::Value;

    const APP: &str = "/data/vol";

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::milliseconds(ms)
    }

    fn one(version: Version) -> State {
        let mut s = State::new(version, Timings::default(), at(0));
        s.add_app(AppSpec::new(APP, 1).health_checks(false).resident("data"));
        s
    }

    fn row(s: &State) -> Value {
        let rows = s.rows(s.app(APP).unwrap());
        assert_eq!(rows.len(), 1, "{rows:?}");
        rows[0].clone()
    }

    fn kill(s: &mut State, wipe: bool) {
        let id = s.task_ids(APP)[0].clone();
        assert_eq!(s.kill(&[id], None, wipe).unwrap().len(), 1);
    }

    #[test]
    fn a_killed_task_comes_back_to_its_agent_its_port_and_its_volume() {
        for (version, first, then) in [
            (Version::V1_11, "._app.1", "._app.2"),
            (Version::V1_7, ".1", ".2"),
        ] {
            let mut s = one(version);
            let before = row(&s);
            assert!(before["id"].as_str().unwrap().ends_with(first), "{before}");
            kill(&mut s, false);
            s.advance(at(300));
            let down = row(&s);
            let expected = if version == Version::V1_11 {
                "TASK_KILLED"
            } else {
                "TASK_STAGING"
            };
            assert_eq!(down["state"], expected);
            assert!(down.get("stagedAt").is_none());
            s.advance(at(5_000));
            let after = row(&s);
            assert_eq!(after["state"], "TASK_RUNNING");
            assert!(after["id"].as_str().unwrap().ends_with(then), "{after}");
            for same in ["host", "slaveId", "ports", "localVolumes"] {
                assert_eq!(before[same], after[same], "{same}");
            }
            let volume = &after["localVolumes"][0];
            let id = format!("data_vol#data#{}", volume["uuid"].as_str().unwrap());
            assert_eq!(volume["persistenceId"], id);
        }
    }

    #[test]
    fn with_wipe_the_answer_is_the_same_and_the_volume_is_gone() {
        let mut s = one(Version::V1_11);
        let before = row(&s);
        kill(&mut s, true);
        s.advance(at(5_000));
        let after = row(&s);
        assert_ne!(
            before["localVolumes"][0]["uuid"],
            after["localVolumes"][0]["uuid"]
        );
        let instance = |row: &Value| {
            row["id"]
                .as_str()
                .unwrap()
                .split("._app")
                .next()
                .unwrap()
                .to_owned()
        };
        assert_ne!(instance(&before), instance(&after));
        assert!(after["id"].as_str().unwrap().ends_with("._app.1"));
    }

    #[test]
    fn without_its_agent_it_waits_and_the_queue_says_so() {
        let mut s = one(Version::V1_11);
        let agent = s.app(APP).unwrap().instances[0].on.unwrap();
        kill(&mut s, false);
        s.advance(at(250));
        s.set_presence(agent, Presence::Unreachable);
        s.advance(at(3_600_000));
        assert_eq!(row(&s)["state"], "TASK_KILLED");
        let queue = s.queue_json(false);
        assert_eq!(queue["queue"][0]["count"], 1);
        assert_eq!(queue["queue"][0]["delay"]["overdue"], true);
        s.set_presence(agent, Presence::Active);
        s.advance(at(3_605_000));
        assert_eq!(row(&s)["state"], "TASK_RUNNING");
    }

    #[test]
    fn a_stale_id_kills_it_on_every_version() {
        for version in [Version::V1_11, Version::V1_5] {
            let mut s = one(version);
            let first = s.task_ids(APP);
            kill(&mut s, false);
            s.advance(at(5_000));
            let second = s.task_ids(APP);
            assert_ne!(first, second);
            assert_eq!(s.kill(&first, None, false).unwrap().len(), 1);
            s.advance(at(10_000));
            assert_eq!(s.kills()[1].killed, second[0]);
        }
    }
}
