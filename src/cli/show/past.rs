//! `history`: what an app's experiments have taught.

use super::{Out, Tone, clean, facts, table};
use crate::model::past::{AppPast, ClassPast};
use crate::model::verdict::{HypothesisResult, Outcome};

/// Newest runs of a class that are listed; all of them with `-o wide`.
const RUNS_SHOWN: usize = 10;
/// Characters of the trend.
const TREND_WIDTH: usize = 60;

/// `history APP`.
pub fn past(past: &AppPast, out: &Out) -> String {
    let head = out.pen.paint(
        Tone::Strong,
        &format!("{} as of {}", clean(past.app.as_str()), out.when(past.at)),
    );
    if past.classes.is_empty() {
        return format!("{head}\n\nScore: -. No experiment on this app has ended.");
    }
    let classes: Vec<String> = past.classes.iter().map(|c| class(c, out)).collect();
    format!("{head}\n\n{}", classes.join("\n\n"))
}

fn class(class: &ClassPast, out: &Out) -> String {
    let score = class.score.map_or_else(
        || "-".to_owned(),
        |score| {
            format!(
                "{} % (lower bound, N = {})",
                (score.low * 100.0 + 1e-9).floor(),
                score.counted
            )
        },
    );
    let head = facts(&[
        ("Cluster", Some(class.cluster.to_string())),
        ("Fault", Some(class.class.clone())),
        ("Score", Some(score)),
        ("In words", Some(class.sentence.clone())),
        ("Note", class.stale.clone()),
        ("Lower bound", line(class, out)),
    ]);
    let shown = if out.wide() { usize::MAX } else { RUNS_SHOWN };
    let rows: Vec<Vec<String>> = class
        .results
        .iter()
        .rev()
        .take(shown)
        .map(|point| {
            let why = match point.reason.is_empty() {
                true => "-".to_owned(),
                false => point.reason.clone(),
            };
            vec![
                mark(point.hypothesis, point.outcome, out).to_owned(),
                point.at.format("%Y-%m-%d %H:%M UTC").to_string(),
                point.run.to_string(),
                point.policy.to_string(),
                point.hypothesis.to_string(),
                point.outcome.to_string(),
                why,
            ]
        })
        .collect();
    let mut text = format!(
        "{head}\n{}",
        table(
            &["", "ENDED", "RUN", "POLICY", "HYPOTHESIS", "OUTCOME", "WHY"],
            &rows
        )
    );
    if class.results.len() > shown {
        text.push_str(&format!(
            "\nand {} older ones; all of them with -o wide",
            class.results.len() - shown
        ));
    }
    text
}

fn mark(hypothesis: HypothesisResult, outcome: Outcome, out: &Out) -> &'static str {
    match (hypothesis, outcome, out.pen.unicode) {
        (HypothesisResult::Held, _, true) => "●",
        (HypothesisResult::Held, _, false) => "+",
        (HypothesisResult::Disproved, _, true) => "✕",
        (HypothesisResult::Disproved, _, false) => "x",
        (_, Outcome::Skipped, true) => "·",
        (_, Outcome::Skipped, false) => ".",
        (_, _, true) => "○",
        (_, _, false) => "o",
    }
}

/// The lower bound over time, from where on it is the score, oldest first, in one line; nothing where signs for
/// it are missing.
fn line(class: &ClassPast, out: &Out) -> Option<String> {
    const STEPS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let trend = class.scored();
    let (first, last) = (trend.first()?, trend.last()?);
    if !out.pen.unicode || trend.len() < 2 {
        return None;
    }
    let width = TREND_WIDTH.min(trend.len());
    let signs: String = (0..width)
        .filter_map(|i| trend.get(i * (trend.len() - 1) / (width - 1).max(1)))
        .map(|point| STEPS[((point.low * 8.0) as usize).min(7)])
        .collect();
    Some(format!(
        "{signs} from {} to {}",
        first.at.format("%Y-%m-%d"),
        last.at.format("%Y-%m-%d")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::show::{Format, Pen};
    use crate::model::past::{ResultPoint, Score, TrendPoint};
    use chrono::{DateTime, TimeDelta};

    #[test]
    fn a_score_is_its_lower_bound_and_its_number() {
        let at = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
        let out = |unicode| Out {
            format: Format::Table,
            pen: Pen {
                colour: false,
                unicode,
            },
            now: at + TimeDelta::days(3),
        };
        let point = |n: i64, hypothesis, outcome| ResultPoint {
            at: at + TimeDelta::days(n),
            run: format!("r-{:08}", n + 2).as_str().into(),
            policy: "cart".into(),
            outcome,
            hypothesis,
            reason: if outcome == Outcome::Completed {
                ""
            } else {
                "not steady"
            }
            .into(),
        };
        let trend = |n: i64, low| TrendPoint {
            at: at + TimeDelta::days(n),
            low,
            mean: low + 0.1,
            high: 1.0,
        };
        let class = ClassPast {
            cluster: "prod".into(),
            class: "up to 10 % of the tasks killed at once, judged by edge".into(),
            held: 3,
            disproved: 1,
            inconclusive: 0,
            skipped: 1,
            rehearsed: 0,
            score: Some(Score {
                low: 0.5639,
                mean: 0.87,
                counted: 4,
                worth: 3.9,
            }),
            sentence: "Survives at least 56 %.".into(),
            stale: None,
            results: vec![
                point(-2, HypothesisResult::Held, Outcome::Completed),
                point(-1, HypothesisResult::Held, Outcome::Completed),
                point(0, HypothesisResult::Held, Outcome::Completed),
                point(1, HypothesisResult::Disproved, Outcome::Completed),
                point(2, HypothesisResult::NotTested, Outcome::Skipped),
            ],
            // The third counted run is the first with a score.
            trend: vec![
                trend(-2, 0.9),
                trend(-1, 0.9),
                trend(0, 0.2),
                trend(1, 0.4),
                trend(2, 0.56),
            ],
        };
        let all = AppPast {
            app: "/shop/cart".into(),
            at: at + TimeDelta::days(3),
            classes: vec![class],
        };
        insta::assert_snapshot!(past(&all, &out(true)), @"
        /shop/cart as of 2026-09-24 14:13:20 UTC (now)

        Cluster:      prod
        Fault:        up to 10 % of the tasks killed at once, judged by edge
        Score:        56 % (lower bound, N = 4)
        In words:     Survives at least 56 %.
        Lower bound:  ▂▄▅ from 2026-09-21 to 2026-09-23
            ENDED                  RUN          POLICY   HYPOTHESIS   OUTCOME     WHY
        ·   2026-09-23 14:13 UTC   r-00000004   cart     not tested   skipped     not steady
        ✕   2026-09-22 14:13 UTC   r-00000003   cart     disproved    completed   -
        ●   2026-09-21 14:13 UTC   r-00000002   cart     held         completed   -
        ●   2026-09-20 14:13 UTC   r-00000001   cart     held         completed   -
        ●   2026-09-19 14:13 UTC   r-00000000   cart     held         completed   -
        ");
        let plain = past(&all, &out(false));
        assert!(plain.is_ascii(), "{plain}");
        // Two counted runs have no score, and so no line of it either.
        let mut few = all.clone();
        few.classes[0].results.drain(..2);
        few.classes[0].score = None;
        assert!(!past(&few, &out(true)).contains("Lower bound"));
        let none = AppPast {
            classes: vec![],
            ..all
        };
        assert!(past(&none, &out(true)).ends_with("Score: -. No experiment on this app has ended."));
    }
}
