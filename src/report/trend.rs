//! The trend of an app's experiments as one SVG (`steady-state` §7.3): one panel for each fault class, with a
//! mark for every run, the posterior's mean, its 90 % band, and the lower edge bold from where on it is a score.
//!
//! The lower edge is the score: "survives at least this with 95 % confidence". It falls by itself while nothing
//! is counted, and the panel says so.

use super::svg::{path, text};
use crate::model::past::{AppPast, COUNTED_MIN, ClassPast, TrendPoint};
use crate::model::text::escape;
use crate::model::verdict::{HypothesisResult, Outcome};
use chrono::{DateTime, TimeDelta, Utc};
use std::fmt::Write;

const WIDTH: f64 = 1000.0;
const LEFT: f64 = 70.0;
/// What lies at either end of the time is drawn this far from the plot's edge.
const PAD: f64 = 24.0;
const RIGHT: f64 = 980.0;
/// Height of a panel's plot.
const PLOT: f64 = 130.0;
/// More fault classes are in the JSON and said to be.
const CLASSES_MAX: usize = 6;

const STYLE: &str = include_str!("chart.css");

/// Draws the past of an app.
pub(super) fn svg(past: &AppPast) -> String {
    let mut body = String::new();
    let mut y = 48.0;
    for class in past.classes.iter().take(CLASSES_MAX) {
        y = panel(&mut body, class, past.at, y);
    }
    let note = match past.classes.len() {
        0 => Some("No experiment on this app has ended.".to_owned()),
        n if n > CLASSES_MAX => Some(format!(
            "{} more fault classes are in the record.",
            n - CLASSES_MAX
        )),
        _ => None,
    };
    if let Some(note) = note {
        text(&mut body, "hb-soft", 14.0, y, &note);
        y += 24.0;
    }
    let title = escape(&format!("{} · what its experiments taught", past.app));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"hb\" viewBox=\"0 0 {WIDTH} {y:.0}\" width=\"{WIDTH}\" \
         height=\"{y:.0}\" role=\"img\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n\
         <rect width=\"{WIDTH}\" height=\"{y:.0}\" class=\"hb-paper\"/>\n\
         <text x=\"14\" y=\"24\" class=\"hb-title\">{title}</text>\n{body}</svg>\n"
    )
}

/// One fault class; returns where the next one begins.
fn panel(body: &mut String, class: &ClassPast, now: DateTime<Utc>, y: f64) -> f64 {
    let head = format!("{} · cluster {}", class.class, class.cluster);
    text(body, "hb-head", 14.0, y, &head);
    text(body, "hb-label", 14.0, y + 17.0, &class.sentence);
    let scored = class.scored();
    let bold = match scored {
        [] => format!("no score below {COUNTED_MIN} counted runs"),
        _ => "bold: score".to_owned(),
    };
    let legend = format!(
        "● held, ✕ disproved, ○ inconclusive, · skipped or rehearsed; {bold}, thin: mean, band: 90 %"
    );
    text(body, "hb-soft hb-end", RIGHT, y + 34.0, &legend);
    let (marks, top) = (y + 50.0, y + 62.0);
    let bottom = top + PLOT;
    let began = class.results.first().map_or(now, |point| point.at);
    let from = began.min(now - TimeDelta::days(1));
    let x = |at: DateTime<Utc>| {
        let share = (at - from).num_seconds() as f64 / (now - from).num_seconds().max(1) as f64;
        LEFT + PAD + share.clamp(0.0, 1.0) * (RIGHT - LEFT - 2.0 * PAD)
    };
    let height = |share: f64| bottom - share.clamp(0.0, 1.0) * PLOT;
    let _ = writeln!(
        body,
        "<rect class=\"hb-plot\" x=\"{LEFT}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{PLOT}\"/>",
        RIGHT - LEFT
    );
    for percent in [0_u32, 50, 80, 100] {
        let at = height(f64::from(percent) / 100.0);
        let _ = writeln!(
            body,
            "<line class=\"hb-grid\" x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{RIGHT}\" y2=\"{at:.1}\"/>"
        );
        text(
            body,
            "hb-tick hb-end",
            LEFT - 6.0,
            at + 4.0,
            &format!("{percent} %"),
        );
    }
    let placed = |trend: &[TrendPoint]| -> Vec<(f64, TrendPoint)> {
        let points: Vec<_> = trend.iter().map(|point| (x(point.at), *point)).collect();
        match points.as_slice() {
            // A line of no length is none: what is known of one moment gets a width.
            [first, .., last] if last.0 - first.0 >= PAD => points,
            [.., last] => vec![(last.0 - PAD / 2.0, last.1), (last.0 + PAD / 2.0, last.1)],
            [] => points,
        }
    };
    let line = |points: &[(f64, TrendPoint)], of: fn(&TrendPoint) -> f64| -> String {
        let points = points.iter().enumerate().map(|(n, (x, point))| {
            let word = if n == 0 { 'M' } else { 'L' };
            format!("{word}{x:.1} {:.1}", height(of(point)))
        });
        points.collect()
    };
    if !class.trend.is_empty() {
        let points = placed(&class.trend);
        let back: String = points
            .iter()
            .rev()
            .map(|(x, point)| format!("L{x:.1} {:.1}", height(point.low)))
            .collect();
        path(body, "hb-band", &format!("{}{back}Z", line(&points, |p| p.high)));
        path(body, "hb-running", &line(&points, |p| p.mean));
        path(body, "hb-steady", &line(&placed(scored), |p| p.low));
    }
    for result in &class.results {
        let (sign, kind) = match (result.hypothesis, result.outcome) {
            (HypothesisResult::Held, _) => ("●", "hb-held"),
            (HypothesisResult::Disproved, _) => ("✕", "hb-abort-label"),
            (HypothesisResult::Inconclusive, _) => ("○", "hb-soft"),
            (HypothesisResult::NotTested, Outcome::Completed | Outcome::Aborted | Outcome::Skipped) => {
                ("·", "hb-soft")
            }
        };
        text(body, &format!("{kind} hb-mid"), x(result.at), marks, sign);
    }
    if class.trend.is_empty() {
        text(
            body,
            "hb-soft hb-mid",
            (LEFT + RIGHT) / 2.0,
            top + PLOT / 2.0,
            "nothing counted yet",
        );
    }
    for (at, anchor) in [(from, ""), (now, " hb-end")] {
        let day = at.format("%-d %b %Y").to_string();
        text(body, &format!("hb-tick{anchor}"), x(at), bottom + 16.0, &day);
    }
    if let Some(stale) = &class.stale {
        text(body, "hb-soft hb-mid", (LEFT + RIGHT) / 2.0, bottom + 16.0, stale);
    }
    bottom + 46.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::past::{ResultPoint, Score};

    fn day(n: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_442_400, 0).unwrap() + TimeDelta::days(n)
    }

    fn result(n: i64, hypothesis: HypothesisResult) -> ResultPoint {
        ResultPoint {
            at: day(n),
            run: format!("r-{n:08}").as_str().into(),
            policy: "cart".into(),
            outcome: match hypothesis {
                HypothesisResult::NotTested => Outcome::Skipped,
                _ => Outcome::Completed,
            },
            hypothesis,
            reason: String::new(),
        }
    }

    fn past() -> AppPast {
        use HypothesisResult::{Disproved, Held, Inconclusive, NotTested};
        let taught = [Held, Held, Inconclusive, Held, Disproved, Held, NotTested, Held];
        let results: Vec<_> = (0..)
            .map(|n| n * 7)
            .zip(taught)
            .map(|(n, what)| result(n, what))
            .collect();
        let trend = (0..8).map(|n| TrendPoint {
            at: day(n * 7),
            low: 0.2 + 0.07 * n as f64,
            mean: 0.6 + 0.03 * n as f64,
            high: 0.97,
        });
        AppPast {
            app: "/shop/<cart>".into(),
            at: day(50),
            classes: vec![ClassPast {
                cluster: "prod".into(),
                class: "up to 10 % of the tasks killed at once, judged by cart-edge".into(),
                held: 5,
                disproved: 1,
                inconclusive: 1,
                skipped: 1,
                rehearsed: 0,
                score: Some(Score {
                    low: 0.69,
                    mean: 0.81,
                    counted: 6,
                    worth: 5.1,
                }),
                sentence: "Survives at least 69 % with 95 % confidence (mean 81 %): 5 of 6 held; 6 counted, 1 inconclusive, 1 skipped.".into(),
                stale: None,
                results,
                trend: trend.collect(),
            }],
        }
    }

    #[test]
    fn every_run_has_its_mark_and_the_score_is_the_bold_line() {
        let drawn = svg(&past());
        for (sign, n) in [(">●<", 5), (">✕<", 1), (">○<", 1), (">·<", 1)] {
            assert_eq!(drawn.matches(sign).count(), n, "{sign}");
        }
        assert_eq!(drawn.matches("class=\"hb-steady\"").count(), 1);
        assert!(drawn.contains("Survives at least 69 %") && !drawn.contains("NaN"));
        if let Some(dir) = std::env::var_os("HEARTBREAK_SAMPLES") {
            let dir = std::path::Path::new(&dir);
            std::fs::write(dir.join("trend.svg"), &drawn).unwrap();
            std::fs::write(dir.join("trend.png"), crate::report::picture::png(&drawn)).unwrap();
        }
    }

    /// Where a line begins and ends.
    fn ends(drawn: &str, class: &str) -> Vec<f64> {
        let line = drawn.lines().find(|l| l.contains(&format!("class=\"{class}\"")));
        let line = line.expect("it is drawn");
        line.split(['M', 'L', '"'])
            .filter_map(|at| at.split_once(' ')?.0.parse().ok())
            .collect()
    }

    #[test]
    fn a_single_run_is_to_be_seen_and_has_no_score() {
        let mut one = past();
        one.classes[0].trend.truncate(1);
        one.classes[0].results.truncate(1);
        one.classes[0].score = None;
        one.at = day(0) + TimeDelta::seconds(40);
        let drawn = svg(&one);
        let mean = ends(&drawn, "hb-running");
        assert!(
            mean.len() == 2 && mean[1] - mean[0] >= 10.0 && mean[1] <= RIGHT,
            "{mean:?}"
        );
        assert!(
            !drawn.contains("class=\"hb-steady\"") && !drawn.contains("bold"),
            "{drawn}"
        );
        assert!(drawn.contains("no score below 3 counted runs"), "{drawn}");
        if let Some(dir) = std::env::var_os("HEARTBREAK_SAMPLES") {
            let dir = std::path::Path::new(&dir);
            std::fs::write(dir.join("trend-one.png"), crate::report::picture::png(&drawn)).unwrap();
        }
    }

    #[test]
    fn the_score_is_drawn_from_the_third_counted_run_on() {
        let drawn = svg(&past());
        let (mean, score) = (ends(&drawn, "hb-running"), ends(&drawn, "hb-steady"));
        // Held, held, inconclusive, held: the fourth run is the third that counts.
        assert_eq!((mean.len(), score.len(), score[0]), (8, 5, mean[3]));
        // A score that is one day old has a width, too.
        let mut young = past();
        young.classes[0].trend.truncate(4);
        young.classes[0].results.truncate(4);
        assert_eq!(ends(&svg(&young), "hb-steady").len(), 2);
    }

    #[test]
    fn an_app_without_experiments_has_words_and_no_hundred_per_cent() {
        let drawn = svg(&AppPast {
            app: "/new".into(),
            at: day(0),
            classes: vec![],
        });
        assert!(drawn.contains("No experiment on this app has ended"));
        assert!(!drawn.contains("100 %"));
    }

    #[test]
    fn a_hostile_name_stays_text() {
        assert!(svg(&past()).contains("&lt;cart&gt;"));
    }
}
