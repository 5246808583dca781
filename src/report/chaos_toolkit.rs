//! A run as a journal in the format of the Chaos Toolkit, for the tools that read such journals.
//!
//! An export, and made so that it stays one: the addresses of its actions are names of ours (`urn:…`),
//! so that whoever feeds the experiment in it to `chaos run` kills nothing.
//!
//! The format is that of chaostoolkit-lib 1.x (`chaoslib.run`, `chaoslib.types.Journal`): `status` is one
//! of `completed`, `failed`, `aborted`; `deviated` says that the hypothesis was disproved. What the format
//! has no place for is under `heartbreak`.

use super::words::source;
use crate::model::experiment::{ProbeSpec, Source};
use crate::model::plan::Step;
use crate::model::policy::Mode;
use crate::model::report::{KillRecovery, Report};
use crate::model::run::{Intent, IntentState};
use crate::model::text::clean;
use crate::model::verdict::{HypothesisResult, Outcome};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

/// The version of chaostoolkit-lib whose format this is: readers choose their templates by it.
const FORMAT: &str = "1.44.0";

pub(super) fn render(report: &Report) -> String {
    let mut text = serde_json::to_string_pretty(&journal(report)).expect("a journal is plain data");
    text.push('\n');
    text
}

fn journal(report: &Report) -> Value {
    let plan = &report.plan;
    let ended = report.ended.unwrap_or(report.began);
    let probes: Vec<Value> = plan.hypothesis.probes.iter().map(probe).collect();
    let method: Vec<Value> = plan
        .steps
        .iter()
        .map(|step| action(report, step.number))
        .collect();
    json!({
        "chaoslib-version": FORMAT,
        "platform": clean(&format!("Marathon, cluster {}", plan.cluster)),
        "node": clean(&format!("heartbreak {}", report.operator)),
        "experiment": {
            "version": "1.0.0",
            "title": clean(plan.policy.as_str()),
            "description": clean(&format!(
                "Heartbreak run {}: {} of {} tasks of {}, in {} steps",
                report.run, plan.kills(), plan.apps.instances(), plan.apps, plan.steps.len()
            )),
            "tags": [clean("heartbreak"), clean(&plan.team), clean(&plan.apps.to_string())],
            "steady-state-hypothesis": {
                "title": clean(&format!("{} stays within its limits", plan.apps)),
                "probes": probes,
            },
            "method": method,
            "rollbacks": [],
        },
        "start": moment(report.began),
        "end": moment(ended),
        "duration": (ended - report.began).num_milliseconds() as f64 / 1000.0,
        "status": status(report),
        "deviated": hypothesis(report) == Some(HypothesisResult::Disproved),
        "steady_states": {
            "before": steady(report, Side::Before),
            "during": [],
            "after": steady(report, Side::After),
        },
        "run": report.intents.iter().map(|intent| taken(report, intent)).collect::<Vec<_>>(),
        "rollbacks": [],
        "heartbreak": {
            "schema": report.schema,
            "run": report.run,
            "planDigest": report.digest,
            "verdict": report.verdict,
        },
    })
}

fn hypothesis(report: &Report) -> Option<HypothesisResult> {
    report.verdict.as_ref().map(|v| v.hypothesis)
}

/// `failed` is the toolkit's word for "the hypothesis was not met before anything was done".
fn status(report: &Report) -> &'static str {
    match report.verdict.as_ref().map(|v| (v.outcome, v.reason.as_str())) {
        Some((Outcome::Completed, _)) => "completed",
        Some((Outcome::Skipped, reason)) if reason.starts_with("not steady") => "failed",
        Some((Outcome::Skipped | Outcome::Aborted, _)) => "aborted",
        None => "interrupted",
    }
}

/// What a probe tolerates, as a range of its bad share.
fn probe(probe: &ProbeSpec) -> Value {
    let url = match &probe.source {
        Source::Http(http) => clean(&http.url),
        _ => format!("urn:heartbreak:probe:{}", probe.name),
    };
    json!({
        "type": "probe",
        "name": probe.name,
        "tolerance": { "type": "range", "range": [0.0, probe.max.as_f64()], "target": "body" },
        "provider": { "type": "http", "url": url, "method": "GET" },
        "heartbreak": { "source": clean(&source(probe)), "value": "bad share, 0 to 1" },
    })
}

/// A step of the method. One that kills nothing is a probe in the toolkit's words: it looks, and sends nothing.
fn action(report: &Report, step: u32) -> Value {
    let planned = report.plan.step(step);
    let targets = planned.map(|s| s.targets.as_slice()).unwrap_or_default();
    let tasks: Vec<_> = targets.iter().map(|t| clean(t.task.as_str())).collect();
    let (count, apps) = (tasks.len(), &report.plan.apps);
    let (kind, what, method) = match sham(report, step) {
        None => ("action", format!("kill {count} of {apps}"), "POST"),
        Some(word) => ("probe", format!("{word}, nothing is sent to {apps}"), "GET"),
    };
    json!({
        "type": kind,
        "name": clean(&format!("step {step}: {what}")),
        "provider": {
            "type": "http",
            "url": format!("urn:heartbreak:{}:step:{step}", report.run),
            "method": method,
            "arguments": { "tasks": tasks },
        },
    })
}

/// What a step is that kills nothing; `None` for a kill.
fn sham(report: &Report, step: u32) -> Option<&'static str> {
    if report.plan.mode != Mode::Enforce {
        return Some("rehearsed");
    }
    let taken = report.intents.iter().find(|intent| intent.step == step);
    let planned = report.plan.step(step);
    taken
        .map_or_else(|| planned.is_some_and(Step::is_sham), |intent| intent.sham)
        .then_some("sham")
}

/// A step that was taken, or rehearsed.
fn taken(report: &Report, intent: &Intent) -> Value {
    let real = !intent.sham;
    let recoveries: Vec<_> = report
        .recoveries
        .iter()
        .filter(|r| real && r.step == intent.step)
        .collect();
    let end = over(report, intent, &recoveries).max(intent.at);
    json!({
        "activity": action(report, intent.step),
        "output": {
            "sham": intent.sham,
            "state": intent.state.word(),
            "recovery": recoveries,
        },
        "status": if intent.sham || !recoveries.is_empty() { "succeeded" } else { "failed" },
        "start": moment(intent.at),
        "end": moment(end),
        "duration": (end - intent.at).num_milliseconds() as f64 / 1000.0,
    })
}

/// When a step was over: a kill once all it hit were whole again, one that was not carried out once that was known,
/// and a sham with its window or with the next step.
fn over(report: &Report, intent: &Intent, recoveries: &[&KillRecovery]) -> DateTime<Utc> {
    let end = report.ended.unwrap_or(intent.at);
    match &intent.state {
        _ if intent.sham => {
            let window = report.plan.hypothesis.control.window();
            let window = TimeDelta::from_std(window).unwrap_or_default();
            let next = report.intents.iter().map(|i| i.at).filter(|at| *at > intent.at);
            let window = (window > TimeDelta::zero()).then(|| intent.at + window);
            next.chain(window).chain([end]).min().unwrap_or(end)
        }
        IntentState::NotSent { at, .. } | IntentState::NoEffect { at, .. } => *at,
        _ => {
            let whole: Option<Vec<_>> = recoveries.iter().map(|r| r.capacity).collect();
            whole.and_then(|all| all.into_iter().max()).unwrap_or(end)
        }
    }
}

enum Side {
    Before,
    After,
}

/// The steady state before the first kill, and from it on, by what each probe counted.
fn steady(report: &Report, side: Side) -> Value {
    let first = report.intents.first().map(|i| i.at);
    let counted = |at: DateTime<Utc>| match (&side, first) {
        (Side::Before, Some(first)) => at < first,
        (Side::Before, None) => true,
        (Side::After, Some(first)) => at >= first,
        (Side::After, None) => false,
    };
    let probes: Vec<Value> = report
        .plan
        .hypothesis
        .probes
        .iter()
        .map(|spec| {
            let (mut observed, mut bad) = (0_u64, 0_u64);
            for sample in report
                .samples
                .iter()
                .filter(|s| s.probe == spec.name && counted(s.at))
            {
                if let crate::model::experiment::Reading::Seen {
                    observed: seen,
                    bad: wrong,
                    ..
                } = &sample.reading
                {
                    observed += u64::from(*seen);
                    bad += u64::from(*wrong);
                }
            }
            // Nothing measured is not met: not knowing is a no.
            let share = (observed > 0).then(|| bad as f64 / observed as f64);
            json!({
                "activity": probe(spec),
                "output": { "badShare": share, "bad": bad, "observed": observed },
                "status": if share.is_some() { "succeeded" } else { "failed" },
                "tolerance_met": share.is_some_and(|s| s <= spec.max.as_f64()),
                "start": moment(report.began),
                "end": moment(report.ended.unwrap_or(report.began)),
                "duration": 0.0,
            })
        })
        .collect();
    let met = !probes.is_empty() && probes.iter().all(|p| p["tolerance_met"] == true);
    json!({ "steady_state_met": met, "probes": probes })
}

/// The toolkit writes UTC without saying so.
fn moment(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%S%.6f").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn only_a_disproved_hypothesis_has_deviated() {
        for report in sample::all() {
            let expected = hypothesis(&report) == Some(HypothesisResult::Disproved);
            assert_eq!(journal(&report)["deviated"], expected, "{}", report.run);
        }
        assert_eq!(journal(&sample::disproved())["status"], "aborted");
        assert_eq!(journal(&sample::held())["status"], "completed");
        assert_eq!(journal(&sample::open())["status"], "interrupted");
    }

    #[test]
    fn a_sham_is_named_as_one_and_ends_with_its_window() {
        let report = sample::slots();
        let journal = journal(&report);
        let steps = journal["run"].as_array().unwrap();
        assert_eq!(steps.len(), 10);
        for (step, intent) in steps.iter().zip(&report.intents) {
            let activity = &step["activity"];
            let name = activity["name"].as_str().unwrap();
            if intent.sham {
                assert!(name.ends_with(": sham, nothing is sent to /shop/cart"), "{name}");
                assert_eq!(
                    (&activity["type"], &step["duration"]),
                    (&json!("probe"), &json!(60.0))
                );
                assert_ne!(activity["provider"]["method"], "POST");
            } else {
                assert!(name.ends_with(": kill 1 of /shop/cart"), "{name}");
                assert_eq!(
                    (&activity["type"], &step["duration"]),
                    (&json!("action"), &json!(18.4))
                );
            }
        }
        let method = &journal["experiment"]["method"];
        assert_eq!(method[1]["name"], steps[1]["activity"]["name"]);
    }

    #[test]
    fn a_rehearsed_step_ends_with_the_next_and_claims_no_kill() {
        let journal = journal(&sample::rehearsed());
        let first = &journal["run"][0];
        assert_eq!(
            first["activity"]["name"],
            "step 1: rehearsed, nothing is sent to /shop/cart"
        );
        assert_eq!(
            (&first["duration"], &first["output"]["recovery"]),
            (&json!(58.2), &json!([]))
        );
    }

    #[test]
    fn running_the_exported_experiment_can_kill_nothing() {
        for report in sample::all() {
            let journal = journal(&report);
            for action in journal["experiment"]["method"].as_array().unwrap() {
                assert!(
                    action["provider"]["url"]
                        .as_str()
                        .unwrap()
                        .starts_with("urn:heartbreak:")
                );
            }
        }
    }

    #[test]
    fn a_steady_state_that_was_not_measured_is_not_met() {
        assert_eq!(
            journal(&sample::open())["steady_states"]["after"]["steady_state_met"],
            false
        );
        assert_eq!(
            journal(&sample::held())["steady_states"]["before"]["steady_state_met"],
            true
        );
    }
}
