//! What the door is told to do. Each order is read to its end before anything is changed.

use std::time::Duration;

use serde_json::{Value, json};

use super::said::Said;
use crate::clock::Pace;
use crate::marathon::http::{Context, lock};
use crate::marathon::state::{AppSpec, Killed};
use crate::mischief::{Bespoken, On, Trouble};

/// From the death of a leader until another one leads, as it was seen on a real one.
const FAIL_OVER: Duration = Duration::from_millis(13_500);
/// Until a node that was killed is started again, if nothing else is said.
const BACK_AFTER: Duration = Duration::from_secs(30);

type Done = Result<(), String>;

pub(super) fn clock(context: &Context, said: &mut Said) -> Done {
    let mode = said.text("mode")?;
    let advance = said.time("advance")?;
    said.nothing_else()?;
    let pace: Option<Pace> = mode.map(|m| m.parse()).transpose()?;
    if pace.is_none() && advance.is_none() {
        return Err("neither \"mode\" nor \"advance\" is said".to_owned());
    }
    if let Some(pace) = pace {
        context.clock.set_pace(pace);
    }
    if let Some(by) = advance {
        context.clock.advance(by);
    }
    lock(&context.state).advance(context.clock.now());
    Ok(())
}

/// The requests a trouble can be on.
pub(super) const ON: [(&str, &[On]); 7] = [
    ("info", &[On::Info]),
    ("lists", &[On::Reads]),
    ("app", &[On::OneApp]),
    ("kills", &[On::Kills]),
    ("events", &[On::Events]),
    ("reads", &[On::Info, On::Reads, On::OneApp]),
    ("all", &[On::Info, On::Reads, On::OneApp, On::Kills, On::Events]),
];

pub(super) fn on_name(on: On) -> &'static str {
    ON.iter().find(|(_, of)| *of == [on]).map_or("", |(name, _)| name)
}

pub(super) const WHATS: &str = "slow, never, status, html, redirect, truncated, wrongTypes, unknownFields, emptyList, huge, \
     endless, stale, otherFramework, lostBefore, lostAfter, neverExecuted, executedLate, otherIncarnation, twice";

pub(super) fn trouble_name(trouble: &Trouble) -> &'static str {
    match trouble {
        Trouble::Delay(_) => "slow",
        Trouble::Hang => "never",
        Trouble::Status(..) | Trouble::Page(..) => "status",
        Trouble::Html200 => "html",
        Trouble::Redirect(_) => "redirect",
        Trouble::Truncated => "truncated",
        Trouble::WrongTypes => "wrongTypes",
        Trouble::UnknownFields => "unknownFields",
        Trouble::EmptyApps => "emptyList",
        Trouble::Huge(_) => "huge",
        Trouble::Endless => "endless",
        Trouble::Stale(_) => "stale",
        Trouble::OtherFramework(_) => "otherFramework",
        Trouble::CloseBefore => "lostBefore",
        Trouble::CloseAfter => "lostAfter",
        Trouble::AcceptNever => "neverExecuted",
        Trouble::ExecuteLate(_) => "executedLate",
        Trouble::OtherIncarnation => "otherIncarnation",
        Trouble::Twice(_) => "twice",
    }
}

pub(super) fn trouble_json(trouble: &Trouble) -> Value {
    let ms = |d: &Duration| json!({"by": format!("{}ms", d.as_millis())});
    match trouble {
        Trouble::Delay(d) | Trouble::ExecuteLate(d) | Trouble::Twice(d) => ms(d),
        Trouble::Status(status, body, _) => json!({"status": status, "body": body}),
        Trouble::Page(status, reason) => json!({"status": status, "reason": reason}),
        Trouble::Redirect(to) => json!({"to": to}),
        Trouble::Huge(mib) => json!({"mib": mib}),
        Trouble::OtherFramework(id) => json!({"id": id}),
        _ => json!({}),
    }
}

pub(super) fn trouble(context: &Context, said: &mut Said) -> Done {
    let on = said.needed("on", "\"kills\"")?;
    let what = said.needed("what", "\"lostAfter\"")?;
    let times = said.count("times", 1_000_000)?;
    let lasts = said.time("for")?;
    let node = said.count("node", 1000)?;
    let Some((_, kinds)) = ON.iter().find(|(name, _)| *name == on) else {
        let known: Vec<&str> = ON.iter().map(|(name, _)| *name).collect();
        return Err(format!("\"on\" is \"{on}\"; there is {}", known.join(", ")));
    };
    let trouble = which(context, &what, said)?;
    said.nothing_else()?;
    let only_kills = matches!(
        trouble,
        Trouble::AcceptNever | Trouble::ExecuteLate(_) | Trouble::OtherIncarnation
    );
    if only_kills && *kinds != [On::Kills] {
        return Err(format!("\"{what}\" befalls kills only, and \"on\" is \"{on}\""));
    }
    let node = node.map(|n| address(context, n)).transpose()?;
    let now = context.clock.now();
    for kind in *kinds {
        context.mischief.make(Bespoken {
            number: 0,
            on: *kind,
            trouble: trouble.clone(),
            left: times,
            until: lasts.map(|d| now + chrono::TimeDelta::from_std(d).unwrap_or_default()),
            node: node.clone(),
        });
    }
    Ok(())
}

/// Reads what is to go wrong.
fn which(context: &Context, what: &str, said: &mut Said) -> Result<Trouble, String> {
    let by = |said: &mut Said, otherwise: u64| -> Result<Duration, String> {
        Ok(said.time("by")?.unwrap_or(Duration::from_secs(otherwise)))
    };
    Ok(match what {
        "slow" => Trouble::Delay(by(said, 5)?),
        "never" => Trouble::Hang,
        "status" => status(said)?,
        "html" => Trouble::Html200,
        "redirect" => {
            let to = said.needed("to", "\"http://127.0.0.1:9999/\"")?;
            if !to.starts_with("http://") && !to.starts_with("https://") {
                return Err(format!(
                    "\"to\" is \"{to}\", and has to begin with http:// or https://"
                ));
            }
            Trouble::Redirect(to)
        }
        "truncated" => Trouble::Truncated,
        "wrongTypes" => Trouble::WrongTypes,
        "unknownFields" => Trouble::UnknownFields,
        "emptyList" => Trouble::EmptyApps,
        "huge" => Trouble::Huge(said.count("mib", 2048)?.unwrap_or(64)),
        "endless" => Trouble::Endless,
        "stale" => Trouble::Stale(lock(&context.state).frozen()),
        "otherFramework" => {
            let id = said.text("id")?;
            Trouble::OtherFramework(id.unwrap_or_else(|| format!("{}-0000", uuid::Uuid::new_v4())))
        }
        "lostBefore" => Trouble::CloseBefore,
        "lostAfter" => Trouble::CloseAfter,
        "neverExecuted" => Trouble::AcceptNever,
        "executedLate" => Trouble::ExecuteLate(by(said, 25)?),
        "otherIncarnation" => Trouble::OtherIncarnation,
        "twice" => Trouble::Twice(by(said, 2)?),
        _ => return Err(format!("\"what\" is \"{what}\"; there is {WHATS}")),
    })
}

fn status(said: &mut Said) -> Result<Trouble, String> {
    let status = said.count("status", 599)?.unwrap_or(503);
    let reason = said.text("reason")?;
    let body = said.any("body")?;
    let Ok(status @ 200..) = u16::try_from(status) else {
        return Err(format!(
            "\"status\" is {status}, and has to be a number from 200 to 599"
        ));
    };
    if reason.is_some() && body.is_some() {
        return Err("\"reason\" is a page of its own, and \"body\" another".to_owned());
    }
    if let Some(reason) = reason {
        return Ok(Trouble::Page(status, reason));
    }
    let json = "application/json".to_owned();
    Ok(match body {
        Some(Value::String(text)) => Trouble::Status(status, text, "text/plain".to_owned()),
        Some(body) => Trouble::Status(status, body.to_string(), json),
        None => match words(status) {
            Some(body) => Trouble::Status(status, body.to_string(), json),
            None if status == 502 => Trouble::Page(status, "Connection to leader refused.".to_owned()),
            None => Trouble::Page(status, format!("Status {status}")),
        },
    })
}

/// What Marathon, or who stands before it, says with a status.
fn words(status: u16) -> Option<Value> {
    Some(match status {
        401 => json!({"message": "Not Authenticated!"}),
        403 => json!({"message": "Not Authorized to perform this action!"}),
        404 => json!({"message": "App '/pretended' does not exist"}),
        409 => {
            let id = uuid::Uuid::new_v4().to_string();
            crate::marathon::refusal::Refusal::locked(&[id]).body
        }
        423 => json!({"message": "Locked"}),
        500 | 503 => json!({"message": "Futures timed out after [10000 milliseconds]"}),
        _ => return None,
    })
}

/// The address of the node with a number, from 1.
fn address(context: &Context, number: u32) -> Result<String, String> {
    let s = lock(&context.state);
    let nodes: Vec<&str> = s.nodes().map(|(address, _)| address).collect();
    let found = nodes.get(number as usize - 1);
    found
        .map(|address| (*address).to_owned())
        .ok_or_else(|| format!("\"node\" is {number}, and there are {} nodes", nodes.len()))
}

pub(super) fn events(context: &Context, said: &mut Said) -> Done {
    let order = said.needed("do", "\"close\"")?;
    let count = said.count("count", 1_000_000)?;
    let lasts = said.time("for")?;
    said.nothing_else()?;
    let next = lock(&context.state).next_event();
    let many = u64::from(count.unwrap_or(10));
    match order.as_str() {
        "close" => context.orders.close(),
        "leaveOut" => context.orders.leave_out(next, many),
        "double" => context.orders.double(next, many),
        "reverse" => context.orders.reverse(next, many),
        "silence" => context.orders.silence(lasts.unwrap_or(Duration::from_secs(60))),
        "flood" => lock(&context.state).flood(count.unwrap_or(10_000)),
        other => {
            return Err(format!(
                "\"do\" is \"{other}\"; there is close, leaveOut, double, reverse, silence, flood"
            ));
        }
    }
    Ok(())
}

pub(super) fn leader(context: &Context, said: &mut Said) -> Done {
    let order = said.needed("do", "\"kill\" or \"abdicate\"")?;
    let lasts = said.time("lasts")?;
    let back_after = said.time("backAfter")?;
    said.nothing_else()?;
    let mut s = lock(&context.state);
    let Some(leader) = s.leader_now().map(str::to_owned) else {
        return Err("there is no leader at the moment".to_owned());
    };
    match order.as_str() {
        "kill" => {
            let back_after = back_after.unwrap_or(BACK_AFTER);
            s.kill_node(&leader, lasts.unwrap_or(FAIL_OVER), Some(back_after));
        }
        "abdicate" if lasts.is_some() || back_after.is_some() => {
            return Err("an abdication takes its own time: leave \"lasts\" and \"backAfter\" out".to_owned());
        }
        "abdicate" => s.abdicate(),
        other => return Err(format!("\"do\" is \"{other}\"; there is kill, abdicate")),
    }
    Ok(())
}

pub(super) fn nodes(context: &Context, said: &mut Said) -> Done {
    let order = said.needed("do", "\"kill\"")?;
    let node = said.count("node", 1000)?;
    let lasts = said.time("lasts")?;
    let back_after = said.time("backAfter")?;
    said.nothing_else()?;
    if order != "kill" {
        return Err(format!("\"do\" is \"{order}\"; there is kill"));
    }
    let node = node.ok_or("\"node\" is missing: 1 is the first one")?;
    let address = address(context, node)?;
    let back_after = back_after.unwrap_or(BACK_AFTER);
    let mut s = lock(&context.state);
    if s.kill_node(&address, lasts.unwrap_or(FAIL_OVER), Some(back_after)) {
        Ok(())
    } else {
        Err(format!("node {node} ({address}) is down already"))
    }
}

pub(super) fn tasks(context: &Context, said: &mut Said) -> Done {
    let victim = said.needed("crash", "a task id, or an app's id for one of its tasks")?;
    let state = said.text("as")?;
    said.nothing_else()?;
    let state = match state.as_deref() {
        None | Some("TASK_FAILED") => "TASK_FAILED",
        Some("TASK_FINISHED") => "TASK_FINISHED",
        Some("TASK_ERROR") => "TASK_ERROR",
        Some("TASK_GONE") => "TASK_GONE",
        Some("TASK_DROPPED") => "TASK_DROPPED",
        Some(other) => {
            return Err(format!(
                "\"as\" is \"{other}\"; there is TASK_FAILED, TASK_FINISHED, TASK_ERROR, TASK_GONE, TASK_DROPPED"
            ));
        }
    };
    let mut s = lock(&context.state);
    let id = if victim.starts_with('/') {
        let live = s.live_tasks().into_iter().find(|t| t.app == victim);
        live.map(|t| t.id)
            .ok_or_else(|| format!("no app {victim} runs a task"))?
    } else {
        victim
    };
    if s.end_task(&id, state) {
        Ok(())
    } else {
        Err(format!("no task {id} runs; GET /sim/state lists them"))
    }
}

pub(super) fn apps(context: &Context, said: &mut Said) -> Done {
    let id = said.needed("id", "\"/shop/cart\"")?;
    let instances = said.count("instances", 100_000)?;
    let healthy = said.flag("healthy")?;
    let delay = said.time("launchDelay")?;
    let labels = said.any("labels")?;
    said.nothing_else()?;
    let mut s = lock(&context.state);
    if s.app(&id).is_none() {
        let mut spec = AppSpec::named(&id)?;
        spec.instances = instances
            .ok_or_else(|| format!("there is no app {id}; with \"instances\", one is made that runs"))?;
        for (key, v) in labels.iter().filter_map(Value::as_object).flatten() {
            let v = v.as_str().ok_or_else(|| format!("label \"{key}\" is no text"))?;
            spec.labels.insert(key.clone(), v.to_owned());
        }
        s.add_app(spec);
    } else if labels.is_some() {
        return Err(format!(
            "there is an app {id}: change its labels with PUT /v2/apps{id}"
        ));
    } else if let Some(count) = instances {
        s.scale(&id, count);
    }
    if let Some(healthy) = healthy {
        s.set_health(&id, healthy);
    }
    if let Some(delay) = delay {
        s.set_launch_delay(&id, delay);
    }
    Ok(())
}

pub(super) fn deployments(context: &Context, said: &mut Said) -> Done {
    let app = said.needed("app", "\"/shop/cart\"")?;
    let stuck = said.flag("stuck")?;
    said.nothing_else()?;
    let mut s = lock(&context.state);
    if s.app(&app).is_none() {
        return Err(format!("there is no app {app}"));
    }
    let id = uuid::Uuid::new_v4().to_string();
    s.set_deployment(&app, stuck.unwrap_or(true).then_some(id.as_str()));
    Ok(())
}

pub(super) fn marathon(context: &Context, said: &mut Said) -> Done {
    let killing = said.flag("taskKilling")?;
    let killed = said.text("killedAre")?;
    said.nothing_else()?;
    let killed = match killed.as_deref() {
        None => None,
        Some("TASK_KILLED") => Some(Killed::Killed),
        Some("TASK_FINISHED") => Some(Killed::Finished),
        Some(other) => {
            return Err(format!(
                "\"killedAre\" is \"{other}\"; there is TASK_KILLED, TASK_FINISHED"
            ));
        }
    };
    if killing.is_none() && killed.is_none() {
        return Err("neither \"taskKilling\" nor \"killedAre\" is said".to_owned());
    }
    let mut s = lock(&context.state);
    if let Some(killing) = killing {
        s.task_killing = killing;
    }
    if let Some(killed) = killed {
        s.killed_are = killed;
    }
    Ok(())
}
