//! What users felt of each kill, and where the moments of its stages come from.

use super::{Block, Table, code, text};
use crate::model::report::{Felt, KillRecovery, Report, Stage};
use crate::model::text::count;
use crate::report::words::percent;

/// Nothing where nothing can be compared.
pub(super) fn felt(report: &Report) -> Vec<Block> {
    let mut blocks = vec![];
    let rows: Vec<_> = report
        .recoveries
        .iter()
        .flat_map(|kill| kill.felt.iter().map(move |felt| row(kill, felt)))
        .collect();
    if !rows.is_empty() {
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
        blocks.push(Block::Text(
            "From the kill until steady again, less what fails anyway: after shams, or before the first step. The \
             interval is 95 %; what was masked cost time and no error."
                .into(),
        ));
    }
    blocks
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

fn row(kill: &KillRecovery, felt: &Felt) -> Vec<super::Cell> {
    let masked = match (felt.masked_redispatches, felt.masked_retries) {
        (0, 0) => "nothing seen".into(),
        (redispatched, retried) => {
            format!("{} redispatched, {} retried", count(redispatched), count(retried))
        }
    };
    vec![
        text(kill.step.to_string()),
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

/// `Step 2: replacement staged after 1.2 s (the task's row), …`.
fn origins(kill: &KillRecovery) -> Option<String> {
    let said: Vec<String> = Stage::ALL
        .iter()
        .filter_map(|stage| {
            let (at, origin) = (stage.of(kill)?, kill.origins.get(stage)?);
            Some(format!(
                "{} after {:.1} s ({})",
                stage.words(),
                (at - kill.killed).num_milliseconds() as f64 / 1e3,
                origin.words()
            ))
        })
        .collect();
    let order = if kill.by_order {
        "; replacements matched by order"
    } else {
        ""
    };
    (!said.is_empty()).then(|| format!("Step {}: {}{order}.", kill.step, said.join(", ")))
}
