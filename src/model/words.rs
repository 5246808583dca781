//! A policy in one or two plain sentences.

use super::policy::{
    ApprovalMode, ApprovalRule, BlastRadius, Cadence, Count, FaultSpec, MinGap, Mode, OutageSteps, Place,
    Policy, Schedule, Window,
};

use std::time::Duration;

/// A duration as people write it: the largest units first.
pub fn brief(duration: Duration) -> String {
    let mut left = duration.as_millis();
    let mut out = String::new();
    for (unit, size) in [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
        ("ms", 1),
    ] {
        if left >= size {
            out.push_str(&format!("{}{unit}", left / size));
            left %= size;
        }
    }
    if out.is_empty() { "0s".to_owned() } else { out }
}

/// What a policy allows, for a person who decides whether that is what was meant.
pub fn allows(policy: &Policy) -> String {
    let verb = match policy.mode {
        Mode::Off => "Is off; otherwise it would kill",
        Mode::Rehearse => "Rehearses, without killing, to kill",
        Mode::Enforce => "Kills",
    };
    let (harm, steps) = harm(&policy.fault);
    let BlastRadius {
        max_tasks,
        max_percent,
        min_healthy,
        max_apps,
        max_tasks_in_all,
    } = &policy.blast_radius;
    let rate = &policy.rate_limit;
    let plural = |n: u32, noun: &str| {
        if n == 1 {
            format!("1 {noun}")
        } else {
            format!("{n} {noun}s")
        }
    };
    let what = format!(
        "{verb} {harm} of {} on {},{steps} {}",
        target(policy),
        policy.cluster,
        when(&policy.schedule)
    );
    let bounds = format!(
        "Never more than {} down or {max_percent} % of an app, never fewer than {min_healthy} healthy, {} at once{}, \
         at most {} in {}",
        plural(*max_tasks, "task"),
        plural(*max_apps, "app"),
        max_tasks_in_all.map_or_else(String::new, |n| format!(" with {} in all", plural(n, "task"))),
        plural(rate.kills, "kill"),
        brief(rate.per),
    );
    format!(
        "{what}; {}.\n{bounds}; {}.",
        gap_words(policy.schedule.min_gap),
        approval(&policy.approval)
    )
}

/// What is done, and in which steps.
fn harm(fault: &FaultSpec) -> (String, String) {
    match fault {
        FaultSpec::KillTasks { count, at_once, gap } => {
            let steps = match (count, at_once) {
                (Count::Exactly(1), _) => String::new(),
                (_, 1) => format!(" one at a time at least {} apart,", brief(*gap)),
                (_, n) => format!(" up to {n} at a time at least {} apart,", brief(*gap)),
            };
            (count.to_string(), steps)
        }
        FaultSpec::AgentOutage {
            attribute,
            value,
            steps,
            gap,
        } => {
            let place = match value {
                Place::Any => format!("one {attribute}"),
                Place::Given(value) => format!("{attribute} {value}"),
            };
            let steps = match steps {
                OutageSteps::AtOnce => " all at once,".to_owned(),
                OutageSteps::PerAgent => format!(" one agent at a time at least {} apart,", brief(*gap)),
            };
            (format!("every task on {place}"), steps)
        }
    }
}

fn target(policy: &Policy) -> String {
    let scope = &policy.scope;
    let mut text = match scope.ids.as_slice() {
        [] => "any opted-in app".to_owned(),
        ids => ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    };
    if let Some(selector) = &scope.selector {
        text.push_str(&format!(" with labels {selector}"));
    }
    if !scope.except.is_empty() {
        text.push_str(&format!(
            " except {}",
            scope
                .except
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        ));
    }
    text
}

fn when(schedule: &Schedule) -> String {
    let often = match &schedule.cadence {
        Cadence::OnDemand => "when a person asks".to_owned(),
        Cadence::MeanTimeBetween { workdays: 1 } => "about once every work day".to_owned(),
        Cadence::MeanTimeBetween { workdays } => format!("about once in {workdays} work days"),
        Cadence::Every(time) => format!("every {}", brief(*time)),
        Cadence::Poisson { mean } => format!("at random about once in {} of open time", brief(*mean)),
    };
    let window = |w: &Window| {
        let days = w
            .days
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ");
        format!("{days} {} to {}", w.from.format("%H:%M"), w.to.format("%H:%M"))
    };
    let windows = schedule
        .windows
        .iter()
        .map(window)
        .collect::<Vec<_>>()
        .join(" and ");
    let free = match schedule.holidays.len() {
        0 => String::new(),
        1 => ", except on 1 holiday".to_owned(),
        n => format!(", except on {n} holidays"),
    };
    let free = match schedule.covered.until {
        Some(until) => format!("{free} (known until {until}; nothing runs after that)"),
        None => free,
    };
    format!("{often}, on {windows} {} time{free}", schedule.timezone)
}

fn gap_words(gap: MinGap) -> String {
    match gap {
        MinGap::None => "no minimum between two runs on one app".to_owned(),
        MinGap::Workdays(1) => "the next run on the same app at the earliest on the next work day".to_owned(),
        MinGap::Workdays(n) => format!("the next run on the same app at the earliest {n} work days later"),
        MinGap::Elapsed(time) => format!(
            "the next run on the same app at the earliest {} later",
            brief(time)
        ),
    }
}

fn approval(rule: &ApprovalRule) -> String {
    let ApprovalRule {
        mode,
        users,
        groups,
        quorum,
        expires,
    } = rule;
    match mode {
        ApprovalMode::Automatic => "nobody has to approve".to_owned(),
        ApprovalMode::Required => {
            let who: Vec<_> = users
                .iter()
                .map(ToString::to_string)
                .chain(groups.iter().map(|g| format!("group {g}")))
                .collect();
            let number = if *quorum == 1 {
                "1 person".to_owned()
            } else {
                format!("{quorum} people")
            };
            format!(
                "{number} of {} must approve each plan within {}",
                who.join(", "),
                brief(*expires)
            )
        }
    }
}
