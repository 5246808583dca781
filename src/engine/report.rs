//! Puts the record of a run together from what the journal kept. Pure, so that a report that got lost can
//! be written again, the same to the letter.

use super::steady_state::{lines, recovery};
use crate::model::experiment::{Reading, Sample};
use crate::model::gate::Judgement;
use crate::model::report::{EvidencePoint, HealthPoint, Report, SCHEMA};
use crate::model::run::Run;

/// The record of a run, as far as it is known, with the times of answers in its samples: what a verdict is
/// made from.
pub fn assemble(
    run: &Run,
    judgements: Vec<Judgement>,
    samples: Vec<Sample>,
    health: Vec<HealthPoint>,
    evidence: Vec<EvidencePoint>,
    operator: &str,
    kills_after_breach: u32,
) -> Report {
    // What waited for a line of the baseline is judged by it here, so that before and after are compared by
    // the same line.
    let samples = lines::judged_all(&run.plan.hypothesis, &samples).into_owned();
    let recoveries = recovery::of_run(run, &health, &samples);
    let armed = run.intents.iter().find(|i| i.may_have_killed()).map(|i| i.at);
    let to = run.ended.or_else(|| samples.last().map(|s| s.at));
    let harm = match (armed, to) {
        (Some(from), Some(to)) => recovery::harm(&run.plan.hypothesis, &samples, from, to),
        _ => vec![],
    };
    let stages = recovery::summaries(&recoveries, to);
    let offset = health
        .iter()
        .filter_map(|point| point.clock_offset_ms)
        .max_by_key(|ms| ms.abs());
    Report {
        schema: SCHEMA.to_owned(),
        operator: operator.to_owned(),
        run: run.id.clone(),
        plan: run.plan.clone(),
        digest: run.digest.clone(),
        began: run.plan.made_at,
        ended: run.ended,
        approvals: run.approvals.clone(),
        denied: run.denied.clone(),
        judgements,
        intents: run.intents.clone(),
        recoveries,
        stages,
        clock_offset_ms: offset.filter(|ms| ms.abs() > 1_000),
        abort: run.abort.clone(),
        kills_after_breach,
        health,
        samples,
        evidence,
        harm,
        verdict: run.verdict.clone(),
    }
}

/// The record as it is shown and written: without the time of every answer, which would be most of it. What
/// the verdict has made of them stays in its pairs.
pub fn published(mut report: Report) -> Report {
    let details = report
        .samples
        .iter_mut()
        .filter_map(|sample| match &mut sample.reading {
            Reading::Seen { detail, .. } => detail.as_deref_mut(),
            Reading::Blind { .. } => None,
        });
    details.for_each(|detail| detail.times_us.clear());
    report
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::fixture::{World, at, plan};
    use crate::model::experiment::Detail;

    #[test]
    fn a_published_record_has_everything_but_the_time_of_every_answer() {
        let ledger = World::planned(plan()).ledger();
        let run = ledger.runs.values().next().expect("the planned one");
        let sample = Sample {
            at: at(1),
            probe: "edge".into(),
            reading: Reading::Seen {
                observed: 3,
                bad: 1,
                slowest_ms: Some(9),
                detail: Some(Box::new(Detail {
                    unanswered: 1,
                    times_us: vec![4_000, 9_000],
                    ..Detail::default()
                })),
            },
        };
        let record = assemble(run, vec![], vec![sample], vec![], vec![], "0.1.0", 0);
        let times = |report: &Report| report.samples[0].reading.detail().map(|d| d.times_us.len());
        assert_eq!(times(&record), Some(2), "the verdict is made from them");
        let mut shown = published(record.clone());
        assert_eq!(times(&shown), Some(0));
        shown.samples = record.samples.clone();
        assert_eq!(shown, record);
    }
}
