//! How fast a run stopped: from the first bad sample to the last moment a kill can take effect.

use super::{Block, Cell, Mark, text};
use crate::model::experiment::{Reading, Sample};
use crate::model::report::Report;
use crate::model::run::{Aborted, Intent, IntentState};
use crate::report::words::{clock, micros, seconds};
use chrono::{DateTime, Utc};

/// The sample with which the breach began: the one from which on, up to the abort, the bad
/// observations exceed the limit by most.
///
/// A single bad sample long before, followed by clean ones, is not the beginning of anything; one that
/// is never made up for is. Looks at the probe that stopped the run, or at every abort probe when the
/// budget did. `None` when no sample was the cause.
pub(in crate::report) fn first_bad_sample<'a>(report: &'a Report, aborted: &Aborted) -> Option<&'a Sample> {
    let culprit = aborted.cause.culprit();
    if !aborted.cause.is_degradation() {
        return None;
    }
    let armed = report.intents.iter().map(|i| i.at).min()?;
    let (mut excess, mut worst, mut first) = (0.0, 0.0, None);
    for sample in report
        .samples
        .iter()
        .rev()
        .filter(|s| s.at >= armed && s.at <= aborted.at)
    {
        let Reading::Seen { observed, bad, .. } = sample.reading else {
            continue;
        };
        let mut watched = report.plan.hypothesis.abort_probes();
        let Some(probe) = watched.find(|p| p.name == sample.probe && culprit.is_none_or(|c| *c == p.name))
        else {
            continue;
        };
        excess += f64::from(bad) - probe.max.as_f64() * f64::from(observed);
        if excess > worst {
            (worst, first) = (excess, Some(sample));
        }
    }
    first
}

/// When an intent could have its last effect, as far as the record shows.
enum Effect {
    /// It had none and can have none.
    Never,
    /// Not after this.
    Until(DateTime<Utc>),
    /// Nothing in the record bounds it.
    Unbounded,
}

fn effect(report: &Report, intent: &Intent) -> Effect {
    let gone = report
        .recoveries
        .iter()
        .find(|r| r.step == intent.step)
        .and_then(|r| r.gone);
    match &intent.state {
        _ if intent.sham => Effect::Never,
        IntentState::NotSent { .. } | IntentState::NoEffect { .. } => Effect::Never,
        IntentState::Resolved { at, .. } => Effect::Until(gone.unwrap_or(*at)),
        IntentState::Acked { .. } => gone.map_or(Effect::Unbounded, Effect::Until),
        // The victim may have died by itself: only proof bounds these (`reliability` §1.4).
        IntentState::Open | IntentState::Ambiguous { .. } | IntentState::Held { .. } => Effect::Unbounded,
    }
}

pub(super) fn speed(report: &Report) -> Vec<Block> {
    let Some(aborted) = &report.abort else {
        let text = match (report.intents.iter().all(|i| i.sham), report.ended) {
            (true, Some(_)) => "Nothing was killed, so nothing had to be stopped.",
            (false, Some(_)) => "Nothing breached, so nothing had to be stopped.",
            (_, None) => "The run is open and nothing has breached so far.",
        };
        return vec![Block::Text(text.into()), Block::Facts(vec![after_breach(report)])];
    };
    let unbounded: Vec<_> = report
        .intents
        .iter()
        .filter(|i| matches!(effect(report, i), Effect::Unbounded))
        .map(|i| i.id.to_string())
        .collect();
    let last = report
        .intents
        .iter()
        .filter_map(|i| match effect(report, i) {
            Effect::Until(at) => Some(at),
            Effect::Never | Effect::Unbounded => None,
        })
        .chain([aborted.at])
        .max()
        .unwrap_or(aborted.at);
    let bad = first_bad_sample(report, aborted);
    let harmless = report
        .intents
        .iter()
        .all(|i| matches!(effect(report, i), Effect::Never));
    let mut blocks = vec![Block::Strong(match (bad, unbounded.is_empty()) {
        _ if harmless => "No kill took effect, before the abort or after it.".into(),
        (Some(bad), true) => format!(
            "{} from the first bad sample to the last moment a kill of ours could take effect.",
            seconds(last - bad.at)
        ),
        (None, true) => format!(
            "{} from the abort to the last moment a kill of ours could take effect.",
            seconds(last - aborted.at)
        ),
        (_, false) => format!(
            "Not bounded by what was seen: {} may still take effect. Its app counts as hit until that is settled.",
            unbounded.join(", ")
        ),
    })];
    let mut facts = vec![("Aborted because", text(aborted.cause.to_string()))];
    if let Some(bad) = bad {
        facts.push((
            "First bad sample",
            text(format!("{} UTC (probe {})", clock(bad.at), bad.probe)),
        ));
    }
    facts.push(("Abort journalled", text(format!("{} UTC", clock(aborted.at)))));
    if let Some(killed) = last_kill(report, aborted) {
        facts.push(("Last kill to the abort", text(seconds(aborted.at - killed))));
    }
    if unbounded.is_empty() {
        facts.push((
            "Last possible effect of a kill",
            text(format!("{} UTC", clock(last))),
        ));
    }
    facts.push((
        "Breach to closed fence",
        text(match aborted.breach_to_fence_us {
            Some(us) => format!(
                "{} inside the process, then no kill request can leave",
                micros(us)
            ),
            None => "not measured: no sample was the cause".into(),
        }),
    ));
    facts.push(after_breach(report));
    blocks.push(Block::Facts(facts));
    blocks
}

/// When the last kill before an abort took effect.
fn last_kill(report: &Report, aborted: &Aborted) -> Option<DateTime<Utc>> {
    let kills = report.recoveries.iter().map(|kill| kill.killed);
    kills.filter(|killed| *killed <= aborted.at).max()
}

fn after_breach(report: &Report) -> (&'static str, Cell) {
    let n = report.kills_after_breach;
    (
        "Kill requests after the breach",
        Cell::Word(if n == 0 { Mark::Good } else { Mark::Bad }, n.to_string()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;
    use chrono::TimeDelta;

    fn facts(report: &Report) -> String {
        speed(report)
            .into_iter()
            .map(|block| match block {
                Block::Text(text) | Block::Strong(text) => text,
                _ => String::new(),
            })
            .collect()
    }

    #[test]
    fn one_bad_sample_that_clean_ones_follow_is_not_the_beginning() {
        let report = sample::disproved();
        let aborted = report.abort.clone().unwrap();
        let first = first_bad_sample(&report, &aborted).unwrap();
        assert_eq!(clock(first.at), "14:04:02.000");
        let earlier = report
            .samples
            .iter()
            .filter(|s| s.at >= report.intents[0].at && s.at < first.at && s.probe == first.probe);
        assert!(
            earlier
                .filter_map(|s| s.reading.bad_share())
                .any(|share| share > 0.01),
            "there was one before"
        );
    }

    #[test]
    fn the_delay_from_the_last_kill_to_the_abort_is_said() {
        let of = |report: &Report| {
            speed(report).into_iter().find_map(|block| match block {
                Block::Facts(facts) => facts
                    .into_iter()
                    .find(|(label, _)| *label == "Last kill to the abort")
                    .map(|(_, cell)| cell),
                _ => None,
            })
        };
        let mut report = sample::disproved();
        assert_eq!(of(&report), Some(text("5.9 s")));
        report.recoveries.clear();
        assert_eq!(of(&report), None, "an abort before the first kill has none");
        assert_eq!(of(&sample::held()), None);
    }

    #[test]
    fn a_person_who_aborts_is_not_a_bad_sample() {
        let report = sample::hostile();
        assert!(first_bad_sample(&report, report.abort.as_ref().unwrap()).is_none());
        assert!(facts(&report).contains("from the abort to the last moment"));
    }

    #[test]
    fn an_abort_before_the_first_kill_says_that_nothing_died() {
        let mut report = sample::disproved();
        report.intents.clear();
        report.recoveries.clear();
        assert_eq!(
            facts(&report),
            "No kill took effect, before the abort or after it."
        );
    }

    #[test]
    fn an_open_run_does_not_speak_as_if_it_were_over() {
        assert!(facts(&sample::open()).contains("so far"));
    }

    #[test]
    fn a_victim_that_went_after_the_abort_makes_the_stop_slower() {
        let mut report = sample::disproved();
        report.recoveries[1].gone = report.abort.as_ref().map(|a| a.at + TimeDelta::seconds(4));
        assert!(
            facts(&report).starts_with("9.3 s from the first bad sample"),
            "{}",
            facts(&report)
        );
    }

    #[test]
    fn an_unanswered_request_has_no_bound_even_when_its_victim_is_gone() {
        let mut report = sample::disproved();
        let at = report.intents[1].at;
        report.intents[1].state = IntentState::Ambiguous {
            why: "no answer in 5 s".into(),
            at,
        };
        assert!(
            facts(&report).starts_with("Not bounded by what was seen: r-7Q2MK4XN/2"),
            "{}",
            facts(&report)
        );
    }

    #[test]
    fn kills_after_the_breach_are_printed_always() {
        for report in sample::all() {
            let shown = speed(&report).iter().any(|block| match block {
                Block::Facts(facts) => facts.contains(&after_breach(&report)),
                _ => false,
            });
            assert!(shown, "{}", report.run);
        }
    }
}
