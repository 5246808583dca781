//! Marathon's JSON into the model's nouns.

use super::decode::Found;
use super::wire;
use crate::model::ids::{AgentId, AppId, DeploymentId, InstanceId, TaskId, Word};
use crate::model::snapshot::{App, Gap, GapKind, Health, Task, TaskState};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

/// Apps of one or more lists, and what of them could not be read.
#[derive(Default)]
pub(super) struct Seen {
    pub apps: BTreeMap<AppId, App>,
    pub gaps: Vec<Gap>,
    unseen: BTreeSet<AppId>,
}

impl Seen {
    /// Takes in what a whole list showed. What an earlier list said of an app is replaced; an app that any
    /// list could not show stays unseen.
    pub fn add(&mut self, found: Found) {
        for gap in found.gaps {
            self.lose(gap);
        }
        for app in found.apps {
            if !self.unseen.contains(&app.id) {
                self.apps.insert(app.id.clone(), app);
            }
        }
    }

    pub(super) fn lose(&mut self, gap: Gap) {
        if let Some(id) = &gap.app {
            self.apps.remove(id);
            self.unseen.insert(id.clone());
        }
        self.gaps.push(gap);
    }

    /// Adds the deployments that `/v2/deployments` knows of.
    pub fn take_deployments(&mut self, body: &[u8]) {
        match serde_json::from_slice::<Vec<wire::Deployment>>(body) {
            Ok(all) => {
                for deployment in all {
                    let id = DeploymentId::new(deployment.id);
                    let pods = deployment.affected_pods.unwrap_or_default();
                    for app in deployment.affected_apps.into_iter().chain(pods) {
                        if let Some(app) = self.apps.get_mut(&AppId::new(app))
                            && !app.deployments.contains(&id)
                        {
                            app.deployments.push(id.clone());
                        }
                    }
                }
            }
            Err(e) => {
                let why = format!(
                    "the list of deployments could not be read ({}): {e}",
                    wire::said(body)
                );
                self.gaps.push(Gap {
                    app: None,
                    what: GapKind::Deployments,
                    why,
                });
            }
        }
    }

    /// Adds the launch delays that `/v2/queue` knows of.
    pub fn take_queue(&mut self, body: &[u8]) {
        match serde_json::from_slice::<wire::Queue>(body) {
            Ok(all) => {
                for queued in all.queue {
                    let left = queued.delay.and_then(|d| d.time_left_seconds).unwrap_or(0);
                    let left = u64::try_from(left).unwrap_or(0);
                    if left > 0
                        && let Some(app) = queued
                            .app
                            .or(queued.pod)
                            .and_then(|a| self.apps.get_mut(&AppId::new(a.id)))
                    {
                        app.launch_delay_s = app.launch_delay_s.max(Some(left));
                    }
                }
            }
            Err(e) => {
                let why = format!("the launch queue could not be read ({}): {e}", wire::said(body));
                self.gaps.push(Gap {
                    app: None,
                    what: GapKind::Queue,
                    why,
                });
            }
        }
    }
}

/// Reads one app with its tasks.
///
/// # Errors
///
/// A gap: with the app's id where that at least could be read, else touching everything.
pub(super) fn app(json: &str) -> Result<App, Gap> {
    let read: Result<wire::App<'_>, _> = serde_json::from_str(json);
    read.map_err(|e| e.to_string())
        .and_then(|app| readable(app, &mut Words::default()))
        .map_err(|why| unreadable(json, &why))
}

/// The gap that an unreadable app leaves: its own if it can be named, else everybody's.
pub(super) fn unreadable(json: &str, why: &str) -> Gap {
    let named = serde_json::from_str::<wire::OnlyId<'_>>(json)
        .map_err(|e| format!("an app without a readable id was listed: {e}"))
        .and_then(|only| AppId::parse(&only.id));
    let (app, why) = match named {
        Ok(id) => {
            let why = format!("what Marathon says of {id} could not be read: {why}");
            (Some(id), why)
        }
        Err(nameless) => (None, nameless),
    };
    Gap {
        app,
        what: GapKind::Apps,
        why,
    }
}

/// Texts that many tasks have in common, each held once.
#[derive(Default)]
pub(super) struct Words(HashSet<Arc<str>>);

impl Words {
    fn shared(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return known.clone();
        }
        let new: Arc<str> = text.into();
        self.0.insert(new.clone());
        new
    }
}

/// Takes over what decides something, and refuses what contradicts itself.
pub(super) fn readable(app: wire::App<'_>, words: &mut Words) -> Result<App, String> {
    let rows = app.tasks.ok_or("its tasks are missing")?;
    let checks = app.health_checks.map_or(0, |c| c.len());
    let kill_grace_s = app.task_kill_grace_period_seconds;
    let volumes = app.container.and_then(|c| c.volumes).unwrap_or_default();
    let resident = app.residency.is_some()
        || volumes.iter().any(|v| v.persistent.is_some())
        || rows
            .iter()
            .any(|t| t.local_volumes.as_ref().is_some_and(|v| !v.is_empty()));
    let mut ids: BTreeSet<&str> = BTreeSet::new();
    for row in &rows {
        if *row.app_id != *app.id {
            return Err(format!(
                "task {:?} among its tasks says it belongs to {:?}",
                &*row.id, &*row.app_id
            ));
        }
        if row.id.is_empty() || row.id.chars().any(char::is_control) || !ids.insert(&row.id) {
            return Err(format!(
                "task id {:?} is empty, listed twice or has control characters",
                &*row.id
            ));
        }
    }
    // Not collected in place: that would keep the room that the rows needed while they were read.
    let mut tasks = Vec::with_capacity(rows.len());
    tasks.extend(rows.into_iter().map(|row| task(row, checks, words)));
    // The same few keys stand in every app.
    let labels = app.labels.unwrap_or_default().0.into_iter();
    Ok(App {
        id: AppId::parse(&app.id)?,
        instances: app.instances,
        labels: labels
            .map(|(key, value)| (Word::new(words.shared(&key)), value))
            .collect(),
        version: app.version.map(|v| v.to_string()).unwrap_or_default(),
        health_checked: checks > 0,
        resident,
        constraints: app
            .constraints
            .unwrap_or_default()
            .iter()
            .map(|c| c.join(":"))
            .collect(),
        deployments: app
            .deployments
            .ok_or("its deployments are missing")?
            .into_iter()
            .map(|d| DeploymentId::new(&*d.id))
            .collect(),
        launch_delay_s: None,
        kill_grace_s,
        pod: false,
        tasks,
    })
}

fn task(row: wire::Task<'_>, checks: usize, words: &mut Words) -> Task {
    let agent = row
        .slave_id
        .filter(|a| !a.is_empty())
        .map(|a| AgentId::new(words.shared(&a)));
    let mut word = |text: &str| Word::new(words.shared(text));
    let (instance, incarnation) = instance_of(&row.id);
    Task {
        instance,
        incarnation,
        id: TaskId::new(&*row.id),
        host: word(&row.host),
        port: row.ports.and_then(|list| first_port(list.get())),
        agent,
        state: state(&row.state),
        staged_at: row.staged_at.map(|m| m.0),
        started_at: row.started_at.map(|m| m.0),
        version: row.version.as_deref().map(&mut word),
        health: health(&row.health_check_results.unwrap_or_default(), checks),
        region: row.region.as_deref().map(&mut word),
        zone: row.zone.as_deref().map(&mut word),
    }
}

/// The first of a list of host ports, if there is one that can be. Nothing hangs on it but a question to that task, so
/// a strange list is no trouble.
fn first_port(list: &str) -> Option<u16> {
    let first = list.trim_start().strip_prefix('[')?.split([',', ']']).next()?;
    first.trim().parse().ok().filter(|port| *port > 0)
}

/// `web.instance-UUID._app.2` is the second incarnation of `web.instance-UUID` (1.8 and later); any
/// other id is its own instance, as on 1.7 and earlier.
pub(super) fn instance_of(task: &str) -> (InstanceId, Option<u64>) {
    if let Some((instance, number)) = task.rsplit_once("._app.")
        && let Ok(number) = number.parse()
    {
        return (InstanceId::new(instance), Some(number));
    }
    (InstanceId::new(task.strip_suffix("._app").unwrap_or(task)), None)
}

pub(super) fn state(name: &str) -> TaskState {
    match name {
        "TASK_STAGING" => TaskState::Staging,
        "TASK_STARTING" => TaskState::Starting,
        "TASK_RUNNING" => TaskState::Running,
        "TASK_KILLING" => TaskState::Killing,
        "TASK_UNREACHABLE" => TaskState::Unreachable,
        "TASK_KILLED" | "TASK_FAILED" | "TASK_FINISHED" | "TASK_ERROR" | "TASK_GONE" | "TASK_DROPPED" => {
            TaskState::Over(name.to_owned())
        }
        _ => TaskState::Other(name.to_owned()),
    }
}

/// A check that has not answered yet counts as one that never succeeded.
fn health(results: &[wire::HealthResult], checks: usize) -> Health {
    if results.is_empty() {
        return Health::Unreported;
    }
    let complete = results.len() >= checks;
    let successes: Option<Vec<_>> = results.iter().map(|r| r.last_success.map(|m| m.0)).collect();
    Health::Reported {
        alive: results.iter().all(|r| r.alive),
        last_success: successes
            .filter(|_| complete)
            .and_then(|all| all.into_iter().min()),
        first_success: results.iter().filter_map(|r| r.first_success.map(|m| m.0)).max(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::marathon::reference;
    use crate::ports::cluster::Query;

    const TASK: &str = r#"{"id":"a.instance-1._app.2","appId":"/a","host":"h","state":"TASK_RUNNING"}"#;

    fn list(body: &[u8]) -> Seen {
        let mut seen = Seen::default();
        seen.add(reference::whole(&[Query::all()], body).unwrap());
        seen
    }

    fn check(app_json: &str, gap: Option<Option<&str>>) {
        let seen = list(format!(r#"{{"apps":[{app_json}]}}"#).as_bytes());
        assert_eq!(
            seen.gaps.len(),
            usize::from(gap.is_some()),
            "{app_json}: {:?}",
            seen.gaps
        );
        assert_eq!(seen.apps.is_empty(), gap.is_some(), "{app_json}");
        if let Some(expected) = gap {
            assert_eq!(
                seen.gaps[0].app.as_ref().map(AppId::as_str),
                expected,
                "{app_json}"
            );
        }
    }

    fn with(tasks: &str) -> String {
        format!(r#"{{"id":"/a","instances":1,"deployments":[],"tasks":[{tasks}]}}"#)
    }

    #[test]
    fn the_first_port_is_one_that_can_be_asked_or_none() {
        for (list, port) in [
            ("[31002, 31003]", Some(31_002)),
            ("[ 31002 ]", Some(31_002)),
            ("[]", None),
            ("null", None),
            ("[0]", None),
            ("[70000]", None),
            ("[-1, 31002]", None),
            ("[\"31002\"]", None),
            ("{\"a\": [31002]}", None),
        ] {
            assert_eq!(first_port(list), port, "{list}");
        }
    }

    #[test]
    fn an_app_with_an_unreadable_row_is_unseen_and_never_smaller() {
        check(&with(TASK), None);
        check(&with(r#"{"id":7}"#), Some(Some("/a")));
        check(&with(&TASK.replace("/a", "/b")), Some(Some("/a")));
        check(&with(&format!("{TASK},{TASK}")), Some(Some("/a")));
        check(r#"{"id":"/a","instances":1,"deployments":[]}"#, Some(Some("/a")));
        check(r#"{"id":"/a","instances":1,"tasks":[]}"#, Some(Some("/a")));
        check(
            &with(TASK).replace("\"instances\":1", "\"instances\":-1"),
            Some(Some("/a")),
        );
        check(
            &with(TASK).replace("\"instances\":1", "\"instances\":99999999999"),
            Some(Some("/a")),
        );
        check(
            &with(TASK).replace("\"instances\":1", "\"instances\":1,\"instances\":2"),
            Some(Some("/a")),
        );
        check(
            &with(TASK).replace(
                "\"instances\":1",
                r#""instances":1,"labels":{"chaos":"opt-in","chaos":"no"}"#,
            ),
            Some(Some("/a")),
        );
    }

    #[test]
    fn an_app_that_cannot_be_named_makes_everything_uncertain() {
        check(&with(TASK).replace("\"/a\"", "\"/../a\""), Some(None));
        check(&with(TASK).replace("\"/a\"", "\"/a\\u0007\""), Some(None));
        check("7", Some(None));
    }

    #[test]
    fn depth_bombs_and_broken_text_are_gaps() {
        let bomb = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        check(
            &with(TASK).replace("\"instances\":1", &format!("\"instances\":1,\"labels\":{bomb}")),
            Some(Some("/a")),
        );
        for body in [
            &b"\xff\xfe"[..],
            b"",
            b"{\"apps\":[{",
            b"<html>",
            b"{\"apps\":7}",
            b"null",
        ] {
            let mut seen = Seen::default();
            assert!(reference::whole(&[Query::all()], body).is_err(), "{body:?}");
            seen.take_deployments(body);
            seen.take_queue(body);
            assert_eq!(seen.gaps.len(), 2, "{body:?}");
        }
    }

    #[test]
    fn extra_null_and_unknown_fields_do_no_harm() {
        let task = TASK.replace("TASK_RUNNING", "TASK_NEWLY_INVENTED").replace(
            "\"host\"",
            r#""slaveId":null,"healthCheckResults":null,"new":{"x":[1]},"host""#,
        );
        let json = with(&task).replace(
            "\"deployments\"",
            r#""unreachableStrategy":"disabled","labels":null,"deployments""#,
        );
        let app = app(&json).unwrap();
        assert_eq!(app.tasks[0].state, TaskState::Other("TASK_NEWLY_INVENTED".into()));
        assert_eq!(app.tasks[0].health, Health::Unreported);
    }

    #[test]
    fn resident_apps_are_known_by_any_of_three_signs() {
        assert!(!app(&with(TASK)).unwrap().resident);
        for sign in [
            r#""residency":{}"#,
            r#""container":{"volumes":[{"persistent":{"size":1}}]}"#,
        ] {
            let json = with(TASK).replace("\"deployments\"", &format!("{sign},\"deployments\""));
            assert!(app(&json).unwrap().resident, "{sign}");
        }
        assert!(
            app(&with(&TASK.replace("\"host\"", "\"localVolumes\":[{}],\"host\"")))
                .unwrap()
                .resident
        );
    }

    #[test]
    fn the_oldest_last_success_counts_and_a_silent_check_has_none() {
        let at = |s: i64| chrono::DateTime::from_timestamp(s, 0);
        let result = |s: Option<i64>| wire::HealthResult {
            alive: true,
            first_success: at(1).map(wire::Moment),
            last_success: s.and_then(at).map(wire::Moment),
        };
        let last = |results: &[wire::HealthResult], checks| match health(results, checks) {
            Health::Reported { last_success, .. } => last_success,
            Health::Unreported => panic!("reported"),
        };
        assert_eq!(last(&[result(Some(9)), result(Some(5))], 2), at(5));
        assert_eq!(last(&[result(Some(9)), result(None)], 2), None);
        assert_eq!(last(&[result(Some(9))], 2), None);
    }

    #[test]
    fn instances_lose_only_the_counter_of_1_8() {
        assert_eq!(
            instance_of("web.instance-1._app.2"),
            ("web.instance-1".into(), Some(2))
        );
        assert_eq!(instance_of("web.0813b411"), ("web.0813b411".into(), None));
        assert_eq!(
            instance_of("web.marathon-1._app"),
            ("web.marathon-1".into(), None)
        );
        assert_eq!(instance_of("web._app.99999999999999999999999").1, None);
    }

    #[test]
    fn deployments_and_delays_find_their_apps() {
        let mut seen = list(format!(r#"{{"apps":[{}]}}"#, with(TASK)).as_bytes());
        seen.take_deployments(br#"[{"id":"d","affectedApps":["/a","/b"],"steps":[]}]"#);
        seen.take_queue(
            br#"{"queue":[{"app":{"id":"/a"},"delay":{"timeLeftSeconds":7}},{"pod":{"id":"/p"}}]}"#,
        );
        let app = &seen.apps[&AppId::from("/a")];
        assert_eq!(app.deployments, ["d".into()]);
        assert_eq!(app.launch_delay_s, Some(7));
        assert!(seen.gaps.is_empty());
    }
}
