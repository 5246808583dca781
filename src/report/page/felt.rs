//! What users felt of each kill, and where the moments of its stages come from.

use super::{Block, Table, code, text};
use crate::model::experiment::Control;
use crate::model::ids::ProbeName;
use crate::model::report::{Felt, KillRecovery, Report, Stage};
use crate::model::text::count;
use crate::report::words::{clock, percent};
use std::collections::BTreeMap;

/// Nothing where nothing can be compared.
pub(super) fn felt(report: &Report) -> Vec<Block> {
    let mut blocks = vec![];
    let mut rows: Vec<_> = report
        .recoveries
        .iter()
        .flat_map(|kill| {
            let step = kill.step.to_string();
            kill.felt.iter().map(move |felt| row(step.clone(), felt))
        })
        .collect();
    if !rows.is_empty() {
        let totals = totals(report);
        rows.extend(totals.iter().map(|(kills, sum)| row(format!("all {kills}"), sum)));
        blocks.push(Block::Table(Table {
            head: vec![
                "Step",
                "Probe",
                "Failed because of it",
                "Seconds of total loss",
                "Worst second",
                "Worst 10 s",
                "Masked by the balancer",
            ],
            rows,
        }));
        let sums = match totals.is_empty() {
            true => "",
            false => " That of all kills adds theirs up, end by end, and is wide rather than narrow.",
        };
        blocks.push(Block::Text(format!(
            "From the kill until steady again, less what fails anyway: {}. The interval is 95 %; what was masked cost \
             time and no error.{sums}",
            anyway(&report.plan.hypothesis.control)
        )));
    }
    blocks
}

/// What there would have been without the kill, by the design.
fn anyway(control: &Control) -> &'static str {
    match control {
        Control::BeforeAfter => "before the first step",
        Control::Sham { .. } => "after shams, or before the first step where none was seen",
        Control::Parallel { .. } => {
            "what failed in the app that is left alone at the same time, or before the first step where no probe looks \
             at it"
        }
        Control::Reference { .. } => {
            "before the first step, and as much more as the app that is left alone has failed more since then"
        }
    }
}

/// All kills together, by probe, with their number; nothing where it would repeat the only one. A kill of several
/// apps is there once for each, and counts once: as the one that was felt longest.
fn totals(report: &Report) -> Vec<(u64, Felt)> {
    let mut longest: BTreeMap<(&ProbeName, u32), &Felt> = BTreeMap::new();
    for kill in &report.recoveries {
        for felt in &kill.felt {
            let kept = longest.entry((&felt.probe, kill.step)).or_insert(felt);
            if felt.observed > kept.observed {
                *kept = felt;
            }
        }
    }
    let mut totals: Vec<(u64, Felt)> = vec![];
    for felt in longest.into_values() {
        match totals.last_mut().filter(|(_, sum)| sum.probe == felt.probe) {
            Some((kills, sum)) => {
                *kills += 1;
                sum.observed += felt.observed;
                sum.bad += felt.bad;
                sum.dip_area_s += felt.dip_area_s;
                sum.attributable += felt.attributable;
                sum.attributable_low += felt.attributable_low;
                sum.attributable_high += felt.attributable_high;
                sum.worst_second = sum.worst_second.max(felt.worst_second);
                sum.worst_ten_seconds = sum.worst_ten_seconds.max(felt.worst_ten_seconds);
                sum.masked_retries += felt.masked_retries;
                sum.masked_redispatches += felt.masked_redispatches;
            }
            None => totals.push((1, felt.clone())),
        }
    }
    totals.retain(|(kills, _)| *kills > 1);
    totals
}

/// Every moment of every kill, and who said so.
pub(super) fn moments(report: &Report) -> Vec<Block> {
    let mut blocks = vec![];
    let origins: Vec<String> = report.recoveries.iter().filter_map(origins).collect();
    if !origins.is_empty() {
        blocks.push(Block::List(origins));
    }
    if let Some(ms) = report.clock_offset_ms {
        blocks.push(Block::Text(format!(
            "Marathon's clock is {:+.1} s from ours; times by its clock have that taken away.",
            ms as f64 / 1e3
        )));
    }
    blocks
}

fn row(step: String, felt: &Felt) -> Vec<super::Cell> {
    let masked = match (felt.masked_redispatches, felt.masked_retries) {
        (0, 0) => "nothing seen".into(),
        (redispatched, retried) => {
            format!("{} redispatched, {} retried", count(redispatched), count(retried))
        }
    };
    vec![
        text(step),
        code(felt.probe.as_str()),
        text(format!(
            "≈ {:.0} ({:.0} to {:.0}) of {}",
            felt.attributable,
            felt.attributable_low,
            felt.attributable_high,
            count(felt.observed)
        )),
        text(format!("{:.2}", felt.dip_area_s)),
        text(percent(felt.worst_second)),
        text(percent(felt.worst_ten_seconds)),
        text(masked),
    ]
}

/// `Step 2: killed at 14:03:11.250 (our clock, at the answer), replacement staged after 1.2 s (the task's row), …`.
fn origins(kill: &KillRecovery) -> Option<String> {
    let killed = kill.origins.get(&Stage::Killed).map(|origin| {
        format!(
            "{} at {} UTC ({})",
            Stage::Killed.words(),
            clock(kill.killed),
            origin.words()
        )
    });
    let stages = Stage::ALL.iter().filter_map(|stage| {
        let (at, origin) = (stage.of(kill)?, kill.origins.get(stage)?);
        Some(format!(
            "{} after {:.1} s ({})",
            stage.words(),
            (at - kill.killed).num_milliseconds() as f64 / 1e3,
            origin.words()
        ))
    });
    let said: Vec<String> = killed.into_iter().chain(stages).collect();
    let order = if kill.by_order {
        "; replacements matched by order"
    } else {
        ""
    };
    (!said.is_empty()).then(|| format!("Step {}: {}{order}.", kill.step, said.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::report::Origin;
    use crate::report::sample;

    #[test]
    fn where_the_moment_of_the_kill_comes_from_is_said_like_that_of_the_others() {
        let mut kill = sample::held().recoveries[0].clone();
        kill.origins = [(Stage::Killed, Origin::Answer), (Stage::Gone, Origin::Look)].into();
        assert_eq!(
            origins(&kill).as_deref(),
            Some(
                "Step 1: killed at 14:03:03.200 UTC (our clock, at the answer), victim gone after 0.9 s (our clock, at \
                 the first look that showed it)."
            )
        );
    }

    #[test]
    fn what_all_kills_cost_is_added_up_and_a_kill_of_two_apps_counts_once() {
        let mut report = sample::held();
        let said = |report: &Report| -> Vec<String> {
            let blocks = felt(report);
            let Some(Block::Table(table)) = blocks.first() else {
                return vec![];
            };
            let cells = table.rows.iter().map(|row| format!("{:?} {:?}", row[0], row[2]));
            cells.collect()
        };
        let rows = said(&report);
        assert_eq!(rows.len(), 4, "{rows:?}");
        assert_eq!(rows[3], "Text(\"all 3\") Text(\"≈ 10 (0 to 19) of 3,000\")");
        // The same kill as another app felt it: the same requests, seen for less long.
        let mut again = report.recoveries[0].clone();
        again.app = Some("/shop/stock".into());
        again.felt[0].observed -= 100;
        report.recoveries.push(again);
        assert_eq!(said(&report).last(), rows.last());
        report.recoveries.truncate(1);
        assert_eq!(said(&report).len(), 1, "one kill is its own sum");
    }
}
