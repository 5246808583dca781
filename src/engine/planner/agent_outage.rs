//! A plan for every matching task on one rack, zone, region or host: all of them or none.
//!
//! An outage that leaves something out teaches something else than it claims, so a place counts only
//! when *every* task of the policy's apps there may be hit now. What stands in the way is shown, place by
//! place; nothing is trimmed to fit.

use super::{Made, NoPlan, Wanted, identified, planned, unfit_now, unseen};
use crate::engine::agents::Agents;
use crate::engine::faults::agent_outage::{self, Hit, Located};
use crate::engine::gates;
use crate::engine::targets::{self, Fit, Lot};
use crate::model::plan::{Plan, PlannedAgent, PlannedApps, PlannedOutage, Step};
use crate::model::policy::{Attribute, OutageSteps, Place};
use crate::model::snapshot::{AgentState, App, GapKind};
use crate::model::view::Exclusion;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How many reasons against one place are shown.
const REASONS_SHOWN: usize = 20;
/// How many values are named when the one that was asked for is not there.
const VALUES_NAMED: usize = 10;

/// Makes the plan; see [`super::plan`].
pub(super) fn plan(
    wanted: &Wanted<'_>,
    lot: &Lot<'_>,
    attribute: &Attribute,
    value: &Place,
    how: OutageSteps,
    gap: Duration,
) -> Result<(Plan, Vec<Exclusion>), NoPlan> {
    let policy = wanted.policy;
    let mut left_out: Vec<_> = unseen(wanted.snapshot).collect();
    let none = |why: String, left_out: Vec<Exclusion>| Err(NoPlan { why, left_out });
    let info = match identified(wanted) {
        Ok(info) => info,
        Err(why) => return none(why, left_out),
    };
    if let Some(gap) = wanted
        .snapshot
        .gaps
        .iter()
        .find(|g| matches!(g.what, GapKind::Apps | GapKind::Pods))
    {
        let why = format!(
            "not every app could be seen, and an outage hits all or none: {}",
            gap.why
        );
        return none(why, left_out);
    }
    let agents = match agent_outage::agents_of(wanted.snapshot) {
        Ok(agents) => agents,
        Err(why) => return none(why, left_out),
    };
    let mut meant = vec![];
    let named = wanted.snapshot.apps_like(&policy.scope.ids);
    for app in named.filter(|app| policy.scope.names(&app.id, &app.labels)) {
        match targets::is_meant(policy, app, wanted.limits, wanted.ownership) {
            Fit::Yes(_) => meant.push(app),
            Fit::No(why) => left_out.push(Exclusion {
                what: app.id.to_string(),
                why,
            }),
            Fit::Unknown(why) => return none(format!("{}: {why}", app.id), left_out),
        }
    }
    if meant.is_empty() {
        let why = match left_out.first() {
            None => super::names_nothing(policy),
            Some(first) => format!("nothing can be hit now: {}", first.why),
        };
        return none(why, left_out);
    }
    let located = Located::of(meant, &agents, attribute);
    if let Some((app, task, first)) = located.unknown.first() {
        let why = format!(
            "it is unknown on which {attribute} {} of the tasks are, so no outage would be whole: task {} of {}: {first}",
            located.unknown.len(),
            task.id,
            app.id
        );
        let unknown = located.unknown.iter().map(|(app, task, why)| Exclusion {
            what: task.id.to_string(),
            why: format!("unknown {attribute}, of {}: {why}", app.id),
        });
        left_out.splice(0..0, unknown);
        return none(why, left_out);
    }
    let there: BTreeSet<String> = located.at.iter().map(|(_, value)| value.to_string()).collect();
    let places = match value {
        Place::Given(value) => vec![value.clone()],
        Place::Any => {
            let mut all: Vec<_> = there.iter().cloned().collect();
            all.sort_by_cached_key(|value| lot.rank(&format!("place|{value}")));
            all
        }
    };
    let mut first_no = None;
    for value in places {
        let place = PlannedOutage {
            attribute: attribute.clone(),
            value,
            agents: vec![],
        };
        match whole(wanted, lot, &agents, &located, place, how) {
            Ok(found) => {
                if let Some(only) = wanted.only.filter(|only| !found.apps.contains(only)) {
                    let place = found.outage.map_or_else(String::new, |o| o.to_string());
                    let why = format!("{place} is drawn this time, and no task of {only} is there");
                    return none(why, left_out);
                }
                let made = Made { gap, ..found };
                return Ok((made.plan(wanted, info), left_out));
            }
            Err((why, reasons)) => {
                first_no.get_or_insert(why);
                left_out.extend(reasons);
            }
        }
    }
    let why = first_no.unwrap_or_else(|| format!("no task of this policy's apps is on any {attribute}"));
    let why = match (value, there.len()) {
        (Place::Given(value), 1..) if !there.contains(value) && located.hits(value).is_empty() => {
            let named: Vec<_> = there.iter().take(VALUES_NAMED).map(String::as_str).collect();
            format!("{why}; there are tasks on {attribute} {}", named.join(", "))
        }
        _ => why,
    };
    none(why, left_out)
}

/// Everything at one place, when all of it may be hit now; otherwise the first reason and all of them.
fn whole<'a>(
    wanted: &Wanted<'_>,
    lot: &Lot<'_>,
    agents: &Agents<'a>,
    located: &Located<'a>,
    mut place: PlannedOutage,
    how: OutageSteps,
) -> Result<Made, (String, Vec<Exclusion>)> {
    let hits = located.hits(&place.value);
    if hits.is_empty() {
        return Err((format!("no task of this policy's apps is on {place}"), vec![]));
    }
    let mut no = vec![];
    let refuse = |what: String, why: String| Exclusion { what, why };
    for Hit { app, task, agent } in &hits {
        if agent.state != AgentState::Active {
            let why = format!(
                "agent {} on {} is not connected to Mesos: nothing on it can be ended now",
                agent.id, agent.host
            );
            no.push(refuse(task.id.to_string(), why));
        } else if let Some(why) = targets::unfit_task(wanted.policy, app, task, wanted.now) {
            no.push(refuse(task.id.to_string(), format!("{why}, of {}", app.id)));
        }
    }
    let steps = agent_outage::steps(how, &hits, |agent| lot.rank(&format!("agent|{}", agent.id)));
    let apps: BTreeMap<_, &App> = hits.iter().map(|hit| (&hit.app.id, hit.app)).collect();
    let busy = wanted.ledger.busy_apps(&wanted.policy.cluster);
    let mut remarks = vec![];
    for app in apps.values() {
        match unfit_now(wanted, &busy, app) {
            Ok(more) => remarks.extend(more),
            Err(why) => no.push(refuse(app.id.to_string(), why)),
        }
        if app.pod {
            let why = format!(
                "{} is a pod: its instances can't be ended in one request with tasks of apps",
                app.id
            );
            no.push(refuse(app.id.to_string(), why));
        }
        if let Err(why) = located.could_come_back(app, agents, &place.attribute, &place.value) {
            let why = format!("{} could not come back without {place}: {why}", app.id);
            no.push(refuse(app.id.to_string(), why));
        }
        let used = gates::usage(wanted.ledger, &wanted.policy.cluster, app);
        let allowance = wanted.policy.blast_radius.allowance(app.instances);
        let most = steps.iter().map(|step| step.kills_of(&app.id)).max().unwrap_or(0);
        if used.charged + used.others + most > allowance {
            let why = format!(
                "{most} of the {} tasks of {} would go down in one step, {} are down already, and its blast radius is {allowance}",
                app.instances,
                app.id,
                used.charged + used.others
            );
            no.push(refuse(app.id.to_string(), why));
        }
    }
    no.extend(
        in_all(wanted, apps.len(), &steps)
            .into_iter()
            .map(|why| refuse(place.to_string(), why)),
    );
    if let Some(first) = no.first() {
        let why = format!("{place} can't be taken down whole: {}", first.why);
        let more = no.len().saturating_sub(REASONS_SHOWN);
        no.truncate(REASONS_SHOWN);
        if more > 0 {
            no.push(refuse(place.to_string(), format!("and {more} more reasons")));
        }
        return Err((why, no));
    }
    let Some(planned) = PlannedApps::of(apps.values().map(|app| planned(app))) else {
        return Err((format!("no task of this policy's apps is on {place}"), vec![]));
    };
    let mut seen = BTreeSet::new();
    place.agents = steps
        .iter()
        .flat_map(|step| &step.targets)
        .filter_map(|target| agents.all().iter().find(|a| Some(&a.id) == target.agent.as_ref()))
        .filter(|agent| seen.insert(&agent.id))
        .map(|agent| PlannedAgent {
            id: agent.id.clone(),
            host: agent.host.clone(),
        })
        .collect();
    let mut told = BTreeSet::new();
    remarks.retain(|remark| told.insert(remark.clone()));
    remarks.push(format!(
        "the tasks on {place} die together and its agents stay: Marathon may start replacements on them"
    ));
    if !located.nowhere.is_empty() {
        remarks.push(format!(
            "{} tasks of this policy's apps run on agents without any {} and are left alone",
            located.nowhere.len(),
            place.attribute
        ));
    }
    Ok(Made {
        apps: planned,
        outage: Some(place),
        steps,
        gap: Duration::ZERO,
        remarks,
    })
}

/// What the whole of an outage exceeds, beyond what each app allows by itself.
fn in_all(wanted: &Wanted<'_>, apps: usize, steps: &[Step]) -> Vec<String> {
    let policy = wanted.policy;
    let radius = &policy.blast_radius;
    let apps = u32::try_from(apps).unwrap_or(u32::MAX);
    let largest = steps.iter().map(|s| s.targets.len()).max().unwrap_or(0);
    let largest = u32::try_from(largest).unwrap_or(u32::MAX);
    let mut no = vec![];
    if apps > radius.max_apps {
        no.push(format!(
            "it would hit {apps} apps, maxApps is {}",
            radius.max_apps
        ));
    }
    // A policy without a limit over all apps has none but the one of a single app.
    let in_all = radius.max_tasks_in_all.unwrap_or(radius.max_tasks);
    for (most, name) in [
        (in_all, "blastRadius.maxTasksInAll"),
        (policy.rate_limit.burst, "rateLimit.burst"),
        (wanted.limits.tasks_down, "limits.tasksDown of the settings"),
        (
            wanted.limits.kills_per_hour,
            "limits.killsPerHour of the settings",
        ),
        (
            wanted.limits.kills_per_workday,
            "limits.killsPerWorkday of the settings",
        ),
    ] {
        if largest > most {
            no.push(format!("{largest} tasks would die in one step, {name} is {most}"));
        }
    }
    no
}

#[cfg(test)]
mod tests;
