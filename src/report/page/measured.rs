//! What came of it: recovery by stage, harm, before against after.

use super::{Block, Cell, Mark, Table, code, text};
use crate::model::experiment::{Control, Group, Sample};
use crate::model::report::{KillRecovery, Origin, Report, Stage, StageSummary};
use crate::model::text::{capital, count};
use crate::model::verdict::{Counts, Difference, HypothesisResult};
use crate::report::words::{clock, percent, points, ratio, seconds, some};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeSet;

/// How long a stage took, or for how long at least it was not reached.
fn stage(report: &Report, recovery: &KillRecovery, reached: Option<DateTime<Utc>>) -> Cell {
    match (reached, report.ended) {
        (Some(at), _) => text(seconds(at - recovery.killed)),
        (None, Some(ended)) if ended > recovery.killed => {
            Cell::Word(Mark::Unsure, format!("> {}", seconds(ended - recovery.killed)))
        }
        (None, _) => Cell::Word(Mark::Unsure, "not seen".into()),
    }
}

/// What became of the kills that were real; a rehearsal has nothing to recover from.
fn real_recoveries(report: &Report) -> impl Iterator<Item = &KillRecovery> {
    report
        .recoveries
        .iter()
        .filter(|r| !report.intents.iter().any(|i| i.step == r.step && i.sham))
}

/// Median and worst of one stage, as the record has them.
fn summary(stage: &StageSummary) -> String {
    let time = |ms: u64| seconds(TimeDelta::milliseconds(i64::try_from(ms).unwrap_or(i64::MAX)));
    let worst = if stage.worst_is_censored { "> " } else { "" };
    let median = match stage.median_ms {
        Some(ms) => time(ms),
        None => "not reached by half of the kills".into(),
    };
    let open = match stage.censored {
        0 => String::new(),
        censored => format!(", {censored} not seen to the end"),
    };
    format!(
        "median {median}, worst {worst}{} ({}{open})",
        time(stage.worst_ms),
        some(stage.kills.into(), "kill", "kills")
    )
}

/// When a load balancer had the replacements in rotation; unknown where none was looked at.
fn rotation(report: &Report, recovery: &KillRecovery) -> Cell {
    match recovery.origins.contains_key(&Stage::Rotation) {
        true => stage(report, recovery, recovery.rotation),
        false => Cell::Word(Mark::Nothing, "unknown".into()),
    }
}

pub(super) fn recoveries(report: &Report) -> Vec<Block> {
    let rows: Vec<_> = real_recoveries(report)
        .map(|r| {
            let victims = report.plan.step(r.step).map_or(0, |s| match &r.app {
                Some(app) => s.kills_of(app),
                None => s.targets.len() as u32,
            });
            let of = r
                .app
                .as_ref()
                .map_or_else(String::new, |app| format!(" of {app}"));
            vec![
                text(r.step.to_string()),
                text(clock(r.killed)),
                text(format!("{victims}{of}")),
                stage(report, r, r.gone),
                stage(report, r, r.running),
                rotation(report, r),
                stage(report, r, r.capacity),
                stage(report, r, r.steady),
            ]
        })
        .collect();
    if rows.is_empty() {
        let why = match report.intents.as_slice() {
            [] => "No kill was made.",
            intents if intents.iter().all(|i| i.sham) => {
                "A rehearsal: nothing was killed, so there was nothing to recover from."
            }
            _ => "No recovery was recorded: no kill is known to have taken effect.",
        };
        return vec![Block::Text(why.into())];
    }
    let mut blocks = vec![];
    let of = |stage: Stage| report.stages.iter().find(|s| s.stage == stage);
    if let Some(capacity) = of(Stage::Capacity) {
        blocks.push(Block::Strong(format!(
            "Capacity restored: {}.",
            summary(capacity)
        )));
    }
    let others = Stage::ALL.into_iter().filter(|stage| *stage != Stage::Capacity);
    let said: Vec<String> = others
        .filter_map(|stage| Some(format!("{}: {}.", capital(stage.words()), summary(of(stage)?))))
        .collect();
    if !said.is_empty() {
        blocks.push(Block::List(said));
    }
    if !real_recoveries(report).any(|r| r.origins.contains_key(&Stage::Rotation)) {
        blocks.push(Block::Text(
            "When replacements were in rotation is unknown: no probe looked at the servers of a load balancer before \
             the kill."
                .into(),
        ));
    }
    blocks.push(Block::Table(Table {
        head: vec![
            "Step",
            "Killed (UTC)",
            "Tasks",
            "Gone",
            "Replacement runs",
            "In rotation",
            "Capacity restored",
            "Steady again",
        ],
        rows,
    }));
    blocks.push(Block::Text(format!(
        "{} “> 300 s” means: not reached in the 300 s that were watched; such a time counts for a median for as long \
         as it was watched (Kaplan and Meier).",
        counted_from(report)
    )));
    blocks.extend(held_back(report).map(Block::Text));
    blocks
}

/// Kills after which Marathon held the replacement back: it does so after tasks that failed, and then a slow
/// recovery is not the app's alone.
fn held_back(report: &Report) -> Option<String> {
    let said: Vec<String> = real_recoveries(report)
        .filter_map(|kill| {
            let over = |at: DateTime<Utc>| kill.capacity.is_some_and(|whole| at > whole);
            let looks = report.health.iter().filter(|look| {
                look.at > kill.killed
                    && !over(look.at)
                    && kill.app.as_ref().is_none_or(|app| *app == look.app)
            });
            let longest = looks
                .filter_map(|look| look.launch_delay_s)
                .max()
                .filter(|s| *s > 0)?;
            Some(format!("step {} for up to {longest} s", kill.step))
        })
        .collect();
    (!said.is_empty()).then(|| {
        format!(
            "Marathon's launch queue held replacements back, as it does after tasks that failed: {}.",
            said.join(", ")
        )
    })
}

/// From what the times of the stages count.
fn counted_from(report: &Report) -> String {
    let unanswered = |r: &&KillRecovery| r.origins.get(&Stage::Killed) == Some(&Origin::Intent);
    let steps: BTreeSet<u32> = real_recoveries(report)
        .filter(unanswered)
        .map(|r| r.step)
        .collect();
    if steps.is_empty() {
        return "Times count from the answer to the kill request.".into();
    }
    let steps: Vec<_> = steps.iter().map(u32::to_string).collect();
    format!(
        "Times count from the answer to the kill request; of step {} the moment of an answer is not known, and they \
         count from the moment at which the kill was decided on.",
        steps.join(", ")
    )
}

pub(super) fn harm(report: &Report) -> Vec<Block> {
    if report.harm.is_empty() {
        return vec![Block::Text(
            "Nothing was counted: the run was never armed.".into(),
        )];
    }
    let rows = report
        .harm
        .iter()
        .map(|h| {
            let share = if h.observed == 0 {
                "–".into()
            } else {
                percent(h.bad as f64 / h.observed as f64)
            };
            vec![
                code(h.probe.as_str()),
                text(count(h.bad)),
                text(count(h.observed)),
                text(share),
                text(percent(h.worst)),
                text(h.burn.map_or_else(|| "–".into(), |b| format!("{b:.1} ×"))),
                text(count(h.blind)),
            ]
        })
        .collect();
    let mut blocks = vec![
        Block::Table(Table {
            head: vec![
                "Probe",
                "Bad",
                "Observed",
                "Bad share",
                "Worst sample",
                "Budget burnt",
                "Samples without an answer",
            ],
            rows,
        }),
        Block::Text(
            "Counted from the first kill to the end of recovery, whatever the cause. “Budget burnt”: how many times \
             faster than the limit tolerates, over a minute and over 5 s alike, at its fastest; alerts on service \
             level objectives often page at 14.4 ×. A second opinion: nothing was decided by it."
                .into(),
        ),
    ];
    blocks.extend(masked(report).map(Block::Text));
    blocks
}

/// What the load balancers of the app that was hit made up for since the first kill; `None` when they made up
/// for nothing.
fn masked(report: &Report) -> Option<String> {
    let kills = report.intents.iter().filter(|intent| intent.may_have_killed());
    let from = kills.map(|intent| intent.at).min()?;
    let probes = &report.plan.hypothesis.probes;
    let hit = |sample: &Sample| {
        let probe = probes.iter().find(|p| p.name == sample.probe);
        probe.is_some_and(|p| p.group() == Group::Experiment)
    };
    let seen = report.samples.iter().filter(|s| s.at >= from && hit(s));
    let (redispatches, retries) = seen.filter_map(|sample| sample.reading.detail()?.masked).fold(
        (0_u64, 0_u64),
        |(redispatches, retries), masked| {
            (
                redispatches + u64::from(masked.redispatches),
                retries + u64::from(masked.retries),
            )
        },
    );
    (redispatches + retries > 0).then(|| {
        format!(
            "Masked: HAProxy sent {} to another task and made {} again on the same one. Users saw no error for them, but may have waited for up to the balancer's connect timeout (3 s in marathon-lb).",
            some(redispatches, "request", "requests"),
            some(retries, "attempt", "attempts"),
        )
    })
}

pub(super) fn differences(report: &Report) -> Vec<Block> {
    let Some(verdict) = &report.verdict else {
        return vec![];
    };
    if verdict.differences.is_empty() {
        return vec![];
    }
    let side = |bad: u64, observed: u64| match observed {
        0 => text("nothing observed"),
        _ => text(format!(
            "{} ({} of {})",
            percent(bad as f64 / observed as f64),
            count(bad),
            count(observed)
        )),
    };
    let (control, experiment) = match &report.plan.hypothesis.control {
        Control::BeforeAfter | Control::Reference { .. } => ("Before the first kill", "After it"),
        Control::Sham { .. } => ("After a sham", "After a kill"),
        Control::Parallel { .. } => ("App left alone", "App that was hit"),
    };
    let rows = verdict
        .differences
        .iter()
        .map(|d| {
            vec![
                code(d.probe.as_str()),
                side(d.control_bad, d.control_observed),
                side(d.experiment_bad, d.experiment_observed),
                text(points(d.difference)),
                text(format!("{} to {}", points(d.low), points(d.high))),
                text(points(d.margin)),
                Cell::Word(mark(d.says), d.says.to_string()),
            ]
        })
        .collect();
    let mut blocks = vec![Block::Table(Table {
        head: vec![
            "Probe",
            control,
            experiment,
            "Difference",
            "95 % sure each way",
            "Tolerated",
            "Says",
        ],
        rows,
    })];
    blocks.extend(slow_ends(&verdict.differences, control, experiment));
    for difference in &verdict.differences {
        if let Some(chance) = difference.latency.and_then(|latency| latency.slower_chance) {
            blocks.push(Block::Text(format!(
                "{}: an answer drawn at random took longer than one of the control group with a chance of {} (0.5 where \
                 both are alike). This describes, and decides nothing.",
                difference.probe,
                ratio(chance)
            )));
        }
    }
    for difference in &verdict.differences {
        blocks.extend(pairs(difference, control, experiment));
    }
    blocks
}

/// How the slow ends of the groups compare, for the probes that take time.
fn slow_ends(differences: &[Difference], control: &'static str, experiment: &'static str) -> Option<Block> {
    let side = |p99: f64, answers: u64| match answers {
        // A record of an older version does not say of how many.
        0 => text(format!("{} ms", ratio(p99))),
        answers => text(format!(
            "{} ms ({})",
            ratio(p99),
            some(answers, "answer", "answers")
        )),
    };
    let rows: Vec<_> = differences
        .iter()
        .filter_map(|difference| Some((difference, difference.latency?)))
        .map(|(difference, latency)| {
            vec![
                code(difference.probe.as_str()),
                side(latency.control_p99_ms, latency.control_answers),
                side(latency.experiment_p99_ms, latency.experiment_answers),
                text(format!("× {}", ratio(latency.ratio))),
                text(format!("× {} to × {}", ratio(latency.low), ratio(latency.high))),
                text(format!("× {}", ratio(latency.margin))),
                Cell::Word(mark(latency.says), latency.says.to_string()),
            ]
        })
        .collect();
    (!rows.is_empty()).then(|| {
        Block::Table(Table {
            head: vec![
                "Slowest 1 % take at least",
                control,
                experiment,
                "Times as long",
                "95 % sure each way",
                "Tolerated",
                "Says",
            ],
            rows,
        })
    })
}

fn mark(says: HypothesisResult) -> Mark {
    match says {
        HypothesisResult::Held => Mark::Good,
        HypothesisResult::Disproved => Mark::Bad,
        HypothesisResult::Inconclusive => Mark::Unsure,
        HypothesisResult::NotTested => Mark::Nothing,
    }
}

/// What a comparison of pairs rests on, pair by pair.
fn pairs(difference: &Difference, control: &'static str, experiment: &'static str) -> Vec<Block> {
    let side = |counts: Counts| match counts.share() {
        None => text("nothing observed"),
        Some(share) => text(format!(
            "{} ({} of {})",
            percent(share),
            count(counts.bad),
            count(counts.observed)
        )),
    };
    let rows: Vec<_> = difference
        .pairs
        .iter()
        .map(|pair| {
            let shares = pair.experiment.share().zip(pair.control.share());
            vec![
                code(pair.run.as_str()),
                text(pair.number.to_string()),
                side(pair.control),
                side(pair.experiment),
                text(shares.map_or_else(|| "–".into(), |(with, without)| points(with - without))),
            ]
        })
        .collect();
    if rows.is_empty() {
        return vec![];
    }
    let chance = difference.chance.map(|chance| {
        format!(
            "If kills did nothing, a mean difference this large would come about by chance in {} of all exchanges of \
             the two slots of each pair.",
            percent(chance)
        )
    });
    let mut blocks = vec![
        Block::Text(format!("{}, pair by pair:", difference.probe)),
        Block::Table(Table {
            head: vec!["Run", "Pair", control, experiment, "Difference"],
            rows,
        }),
    ];
    blocks.extend(chance.map(Block::Text));
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn what_was_not_reached_is_never_shorter_than_what_was() {
        let report = sample::disproved();
        let of = |stage: Stage| summary(report.stages.iter().find(|s| s.stage == stage).unwrap());
        assert_eq!(
            of(Stage::Capacity),
            "median 19.4 s, worst > 309 s (2 kills, 1 not seen to the end)"
        );
        assert_eq!(of(Stage::Gone), "median 0.9 s, worst 1.1 s (2 kills)");
        let never = StageSummary {
            median_ms: None,
            censored: 2,
            ..report.stages[0]
        };
        assert_eq!(
            summary(&never),
            "median not reached by half of the kills, worst 1.1 s (2 kills, 2 not seen to the end)"
        );
        let mut open = report.clone();
        open.ended = None;
        assert_eq!(
            stage(&open, &open.recoveries[1], None),
            Cell::Word(Mark::Unsure, "not seen".into())
        );
    }

    #[test]
    fn medians_come_from_the_record_and_from_nowhere_else() {
        let mut report = sample::held();
        let said = |report: &Report| {
            recoveries(report)
                .into_iter()
                .map(|block| match block {
                    Block::Text(text) | Block::Strong(text) => text,
                    Block::List(list) => list.join("\n"),
                    _ => String::new(),
                })
                .collect::<Vec<_>>()
                .join("\n")
        };
        assert!(
            said(&report).contains("Capacity restored: median 20.2 s"),
            "{}",
            said(&report)
        );
        for stage in &mut report.stages {
            stage.median_ms = Some(7_700);
        }
        assert_eq!(said(&report).matches("median 7.7 s").count(), report.stages.len());
        report.stages.clear();
        assert!(!said(&report).contains("median 7"), "{}", said(&report));
    }

    #[test]
    fn a_rotation_is_shown_censored_or_said_to_be_unknown() {
        let report = sample::held();
        let mut kill = report.recoveries[0].clone();
        kill.origins.clear();
        assert_eq!(
            rotation(&report, &kill),
            Cell::Word(Mark::Nothing, "unknown".into())
        );
        kill.origins
            .insert(Stage::Rotation, crate::model::report::Origin::Balancer);
        assert_eq!(
            rotation(&report, &kill),
            Cell::Word(Mark::Unsure, "> 199 s".into())
        );
        kill.rotation = Some(kill.killed + TimeDelta::milliseconds(21_500));
        assert_eq!(rotation(&report, &kill), text("21.5 s"));
        let unknown = |report: &Report| {
            recoveries(report)
                .iter()
                .any(|b| matches!(b, Block::Text(text) if text.contains("in rotation is unknown")))
        };
        assert!(unknown(&sample::disproved()) && !unknown(&sample::slots()));
    }

    #[test]
    fn both_ends_of_an_interval_are_said_to_be_one_sided() {
        let heads: Vec<&str> = differences(&sample::slots())
            .iter()
            .filter_map(|block| match block {
                Block::Table(table) => Some(table.head.clone()),
                _ => None,
            })
            .flatten()
            .filter(|name| name.contains('%'))
            .collect();
        assert_eq!(
            heads,
            [
                "95 % sure each way",
                "Slowest 1 % take at least",
                "95 % sure each way"
            ]
        );
    }

    #[test]
    fn times_are_said_to_count_from_what_they_count_from() {
        let mut report = sample::held();
        assert_eq!(
            counted_from(&report),
            "Times count from the answer to the kill request."
        );
        report.recoveries[1].origins.insert(Stage::Killed, Origin::Intent);
        let said = counted_from(&report);
        assert!(
            said.contains("; of step 2 the moment of an answer is not known"),
            "{said}"
        );
    }

    #[test]
    fn a_launch_delay_is_said_beside_the_recovery_that_it_slowed() {
        let mut report = sample::held();
        assert_eq!(held_back(&report), None);
        let (second, third) = (&report.recoveries[1], &report.recoveries[2]);
        let (from, whole, last) = (second.killed, second.capacity.unwrap(), third.killed);
        for look in &mut report.health {
            let after = (look.at - from).num_seconds();
            look.launch_delay_s = match look.at {
                at if at > whole && at < last => Some(90),
                at if at > from && at < last => u64::try_from(20 - after).ok(),
                _ => None,
            };
        }
        assert_eq!(
            held_back(&report).as_deref(),
            Some(
                "Marathon's launch queue held replacements back, as it does after tasks that failed: step 2 for up to 20 s."
            )
        );
    }

    #[test]
    fn a_rehearsal_shows_no_recovery() {
        let blocks = recoveries(&sample::rehearsed());
        assert!(matches!(blocks.as_slice(), [Block::Text(text)] if text.starts_with("A rehearsal")));
    }

    #[test]
    fn what_a_balancer_made_up_for_is_said_apart_from_what_was_bad() {
        let mut report = sample::held();
        assert_eq!(masked(&report), None);
        let killed = report.intents.iter().map(|i| i.at).min().unwrap();
        made_up_for(&mut report, |sample| {
            let late = sample.at >= killed && sample.at < killed + TimeDelta::seconds(2);
            // Before the first kill, so none of ours.
            (if late { 20 } else { 0 }, u32::from(sample.at < killed))
        });
        let said = masked(&report).unwrap();
        assert!(
            said.contains("to another task and made 0 attempts again"),
            "{said}"
        );
    }

    #[test]
    fn what_a_balancer_made_up_for_counts_from_the_first_real_kill_and_for_the_app_that_was_hit() {
        let mut report = sample::slots();
        report.intents[0].sham = true;
        let (sham, killed) = (report.intents[0].at, report.intents[3].at);
        report.intents[1].sham = true;
        made_up_for(&mut report, |sample| {
            let after_sham = sham <= sample.at && sample.at < killed;
            (u32::from(after_sham), 0)
        });
        assert_eq!(masked(&report), None, "only shams so far");
        // A probe of the app that is left alone sees retries that no kill has caused.
        made_up_for(&mut report, |sample| {
            (u32::from(sample.probe.as_str() == "cart-tasks"), 0)
        });
        assert!(masked(&report).is_some());
        report.plan.hypothesis.probes[1].control_for = Some("cart-edge".into());
        assert_eq!(masked(&report), None);
    }

    /// Redispatches and retries for every sample that saw something.
    fn made_up_for(report: &mut Report, of: impl Fn(&Sample) -> (u32, u32)) {
        use crate::model::experiment::{Detail, Masked, Reading};
        for sample in &mut report.samples {
            let (redispatches, retries) = of(sample);
            if let Reading::Seen { detail, .. } = &mut sample.reading {
                *detail = Some(Box::new(Detail {
                    masked: Some(Masked {
                        redispatches,
                        retries,
                    }),
                    ..Detail::default()
                }));
            }
        }
    }
}
