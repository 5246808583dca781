//! `/ui/history`: what an app's experiments have taught, with the trend of its score.

use super::html::{Cell, Page, time};
use crate::model::past::{AppPast, ClassPast};

/// The page of one app, with the chart of its past.
pub(super) fn render(past: &AppPast, chart: &str) -> String {
    let mut page = Page::new(&format!("{}: what its experiments taught", past.app), false);
    page.back();
    page.soft(&format!(
        "As of {}. A score is a survival rate under our kills, not an availability.",
        time(past.at)
    ));
    if past.classes.is_empty() {
        page.banner("soft", "Score: –. No experiment on this app has ended.");
        return page.done();
    }
    page.chart(chart);
    for class in &past.classes {
        one(&mut page, class);
    }
    page.done()
}

fn one(page: &mut Page, class: &ClassPast) {
    page.head(&class.class);
    let (score, mean, number) = match &class.score {
        Some(score) => (
            format!("{} % (lower bound, 95 % sure)", floor(score.low)),
            format!("{} %", floor(score.mean)),
            format!("{} counted, worth {:.1} fresh ones", score.counted, score.worth),
        ),
        None => (
            "– (not enough experiments)".to_owned(),
            "–".to_owned(),
            format!("{} counted", class.held + class.disproved),
        ),
    };
    let mut facts = vec![
        ("Cluster", class.cluster.to_string().into()),
        ("Score", score.into()),
        ("Mean", mean.into()),
        ("N", number.into()),
        ("In words", class.sentence.clone().into()),
    ];
    if let Some(stale) = &class.stale {
        facts.push(("Note", stale.clone().into()));
    }
    page.facts(facts);
    let rows = class.results.iter().rev().map(|point| {
        let why = match point.reason.is_empty() {
            true => Cell::nothing(),
            false => point.reason.clone().into(),
        };
        vec![
            Cell::run(&point.run),
            time(point.at).into(),
            point.policy.to_string().into(),
            Cell::taught(point.hypothesis),
            point.outcome.to_string().into(),
            why,
        ]
    });
    let heads = ["run", "ended", "policy", "hypothesis", "outcome", "why"];
    page.table("Its runs", &heads, rows.collect());
}

/// Whole per cent, never more than there is.
fn floor(share: f64) -> f64 {
    (share * 100.0 + 1e-9).floor()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::past::{ResultPoint, Score};
    use crate::model::verdict::{HypothesisResult, Outcome};
    use chrono::DateTime;

    fn past() -> AppPast {
        let at = DateTime::from_timestamp(1_795_442_400, 0).unwrap();
        AppPast {
            app: "/shop/cart".into(),
            at,
            classes: vec![ClassPast {
                cluster: "prod".into(),
                class: "up to 10 % at once, judged by <edge>".into(),
                held: 3,
                disproved: 0,
                inconclusive: 1,
                skipped: 0,
                rehearsed: 0,
                score: Some(Score {
                    low: 0.5599,
                    mean: 0.875,
                    counted: 3,
                    worth: 2.9,
                }),
                sentence: "Survives at least 55 % with 95 % confidence.".into(),
                stale: None,
                results: vec![ResultPoint {
                    at,
                    run: "r-7Q2MK4XN".into(),
                    policy: "cart".into(),
                    outcome: Outcome::Completed,
                    hypothesis: HypothesisResult::Held,
                    reason: String::new(),
                }],
                trend: vec![],
            }],
        }
    }

    #[test]
    fn the_score_stands_with_its_lower_bound_and_its_number_beside_the_chart() {
        let page = render(&past(), "<svg>trend</svg>");
        for said in [
            "55 % (lower bound, 95 % sure)",
            "87 %",
            "3 counted, worth 2.9 fresh ones",
            "<svg>trend</svg>",
            "href=\"/ui/runs/r-7Q2MK4XN\"",
            "judged by &lt;edge&gt;",
        ] {
            assert!(page.contains(said), "{said}: {page}");
        }
    }

    #[test]
    fn without_enough_experiments_there_is_no_number() {
        let mut few = past();
        few.classes[0].score = None;
        let page = render(&few, "");
        assert!(page.contains("not enough experiments") && page.contains("3 counted"));
        few.classes.clear();
        let none = render(&few, "<svg/>");
        assert!(none.contains("No experiment on this app has ended") && !none.contains("100 %"));
    }
}
