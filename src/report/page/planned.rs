//! What was to happen: hypothesis, plan, and who asked for it and said yes.

use super::{Block, Cell, Mark, Table, code, text};
use crate::model::approval::Approval;
use crate::model::experiment::{ProbeSpec, Role};
use crate::model::policy::ApprovalMode;
use crate::model::report::Report;
use crate::model::text::count;
use crate::report::words::{moment, some, source, span};

pub(super) fn hypothesis(report: &Report) -> Vec<Block> {
    let h = &report.plan.hypothesis;
    let rows = h
        .probes
        .iter()
        .map(|p| {
            vec![
                code(p.name.as_str()),
                text(role(p)),
                text(source(p)),
                text(format!("{} bad", p.max)),
                text(p.hard.to_string()),
                text(p.dip.map_or_else(
                    || "none".into(),
                    |d| format!("{} for {} after a kill", d.max, span(d.lasts)),
                )),
            ]
        })
        .collect();
    let mut facts = vec![
        (
            "Sampled every",
            text(format!(
                "{} (given up after {})",
                span(h.interval),
                span(h.timeout)
            )),
        ),
        (
            "Before the first kill",
            text(format!(
                "steady for {}, given up after {}",
                span(h.baseline.at_least),
                span(h.baseline.at_most)
            )),
        ),
        (
            "Recovered means",
            text(format!(
                "as many tasks as before and steady for {}, within {}",
                span(h.recovery.hold),
                span(h.recovery.within)
            )),
        ),
        (
            "Samples without an answer",
            text(format!(
                "no kill after {}, abort after {} in a row",
                h.blind.hold_fire_after, h.blind.abort_after
            )),
        ),
        (
            "False abort, at most",
            text(format!("{} of runs, over all abort probes together", h.alpha)),
        ),
    ];
    if let Some(budget) = h.budget {
        facts.push((
            "Budget",
            text(format!("the run ends at {} failed requests", count(budget))),
        ));
    }
    vec![
        Block::Text(format!(
            "{} {} every limit below while {} of {} {} tasks {} killed.",
            report.plan.apps,
            if report.plan.apps.are_several() {
                "keep"
            } else {
                "keeps"
            },
            report.plan.kills(),
            if report.plan.apps.are_several() {
                "their"
            } else {
                "its"
            },
            report.plan.apps.instances(),
            if report.plan.kills() == 1 { "is" } else { "are" }
        )),
        Block::Table(Table {
            head: vec!["Probe", "Role", "Looks at", "Limit", "Hard line", "Declared dip"],
            rows,
        }),
        Block::Facts(facts),
    ]
}

fn role(probe: &ProbeSpec) -> &'static str {
    match probe.role {
        Role::Abort => "abort",
        Role::Verdict => "verdict",
        Role::Observe => "observe",
    }
}

pub(super) fn plan(report: &Report) -> Vec<Block> {
    let p = &report.plan;
    let r = &p.blast_radius;
    let apps = p.apps.iter().flat_map(|planned| {
        let definition = format!("{}, definition of {}", planned.app, planned.version);
        let served = format!("{} of {} instances served", planned.healthy, planned.instances);
        [("App", text(definition)), ("Size when planned", text(served))]
    });
    let mut facts = vec![
        ("Digest", code(report.digest.as_str())),
        (
            "Policy",
            text(format!("{} of team {}, mode {}", p.policy, p.team, p.mode)),
        ),
        ("Policy's digest", code(p.policy_digest.as_str())),
        ("Cluster", text(p.cluster.as_str())),
        ("Marathon's framework id", code(&p.framework_id)),
    ];
    facts.extend(p.outage.as_ref().map(|outage| {
        let agents: Vec<_> = outage
            .agents
            .iter()
            .map(|a| format!("{} ({})", a.host, a.id))
            .collect();
        ("Outage", text(format!("{outage}, agents {}", agents.join(", "))))
    }));
    facts.extend(apps);
    facts.extend([
        (
            "Blast radius",
            text(format!(
                "at most {} and {} % at once, at least {} healthy left, {} at once",
                some(u64::from(r.max_tasks), "task", "tasks"),
                r.max_percent,
                r.min_healthy,
                some(u64::from(r.max_apps), "app", "apps")
            )),
        ),
        (
            "Rate",
            text(format!(
                "{} per {}, {} at once",
                some(u64::from(p.rate_limit.kills), "kill", "kills"),
                span(p.rate_limit.per),
                p.rate_limit.burst
            )),
        ),
        (
            "Between two steps",
            text(format!("at least {}, and recovered", span(p.gap))),
        ),
        ("Made", text(moment(p.made_at))),
        (
            "Ended",
            text(report.ended.map_or_else(|| "still open".into(), moment)),
        ),
    ]);
    let mut head = vec!["Step", "Task", "Instance", "Host"];
    if p.apps.are_several() {
        head.insert(1, "App");
    }
    let mut blocks = vec![
        Block::Facts(facts),
        Block::Table(Table {
            head,
            rows: p
                .steps
                .iter()
                .flat_map(|s| {
                    s.targets.iter().map(|t| {
                        let app = p.apps.are_several().then(|| code(t.app.as_str()));
                        let cells = [
                            Some(text(match s.slot {
                                None => s.number.to_string(),
                                Some(slot) => format!(
                                    "{}: pair {}, {}",
                                    s.number,
                                    slot.pair,
                                    if slot.sham { "sham" } else { "kill" }
                                ),
                            })),
                            app,
                            Some(code(t.task.as_str())),
                            Some(code(t.instance.as_str())),
                            Some(text(&t.host)),
                        ];
                        cells.into_iter().flatten().collect()
                    })
                })
                .collect(),
        }),
    ];
    if p.allow_no_health_check {
        blocks.push(Block::Text(
            "The policy allows an app without health checks: for such an app, running counted as healthy."
                .into(),
        ));
    }
    if !p.remarks.is_empty() {
        blocks.push(Block::List(p.remarks.clone()));
    }
    blocks
}

/// Which plan it was.
pub(super) fn plan_in_a_line(report: &Report) -> String {
    let p = &report.plan;
    let digest: String = report.digest.as_str().chars().take(12).collect();
    format!("{digest}, policy {}, made {}", p.policy, moment(p.made_at))
}

pub(super) fn people(report: &Report) -> Vec<Block> {
    let p = &report.plan;
    let asked = match &p.requested_by {
        Some(person) => format!("{} ({}), through {}", person.name, person.id, person.via),
        None => "the schedule".into(),
    };
    let rule = match p.approval.mode {
        ApprovalMode::Automatic => "none needed: the policy approves automatically".into(),
        ApprovalMode::Required => format!(
            "{} for exactly this digest, within {}",
            some(u64::from(p.approval.quorum), "person", "different people"),
            span(p.approval.expires)
        ),
    };
    let mut blocks = vec![Block::Facts(vec![
        ("Asked by", text(asked)),
        ("Approval needed", text(rule)),
    ])];
    if !report.approvals.is_empty() {
        blocks.push(Block::Table(Table {
            head: vec!["Approved by", "Id", "Through", "When", "Digest"],
            rows: report.approvals.iter().map(|a| approval(report, a)).collect(),
        }));
    } else if p.approval.mode == ApprovalMode::Required {
        blocks.push(Block::Text("Nobody approved.".into()));
    }
    if let Some(denial) = &report.denied {
        blocks.push(Block::Strong(format!(
            "Denied by {} ({}) on {}: {}",
            denial.by.name,
            denial.by.id,
            moment(denial.at),
            denial.reason
        )));
    }
    blocks
}

fn approval(report: &Report, approval: &Approval) -> Vec<Cell> {
    let digest = if approval.digest == report.digest {
        Cell::Word(Mark::Good, "this plan's".into())
    } else {
        Cell::Word(Mark::Bad, format!("of another plan: {}", approval.digest.short()))
    };
    let by = &approval.by;
    vec![
        text(&by.name),
        code(by.id.as_str()),
        text(by.via.to_string()),
        text(moment(approval.at)),
        digest,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn an_approval_of_another_plan_is_seen() {
        let mut report = sample::held();
        report.approvals[0].digest = "0123456789abcdef".into();
        let cells = approval(&report, &report.approvals[0]);
        assert_eq!(
            cells.last(),
            Some(&Cell::Word(Mark::Bad, "of another plan: 0123456789ab".into()))
        );
    }
}
