//! What every task answered when it was asked by itself, one row for each (`steady-state` §3.1, §5.3).
//!
//! A row shows how the app coped, not what users saw: the victim is down by construction, and a load balancer
//! would have asked another task.

use super::svg::{path, text};
use crate::model::ids::TaskId;
use crate::model::report::Report;
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Height of a row.
pub(super) const ROW: f64 = 15.0;
/// More rows are in the record and said to be.
pub(super) const ROWS_MAX: usize = 24;
/// Answers nearer than this on the page are one mark, the worst of them.
const APART: f64 = 3.0;

/// What is said of the rows, word for word (`steady-state` §3.3).
pub(super) const CAVEAT: &str = "Survivors took over the load of the killed task; per-task curves below show how the \
                                 app coped and are not a control group.";

/// When a task was asked, and how many milliseconds a good answer took.
type Answered = (DateTime<Utc>, Option<u32>);

/// One task.
pub(super) struct Row<'a> {
    task: &'a TaskId,
    kind: Kind,
    answers: Vec<Answered>,
}

/// What a task is to the run, in the order of the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Survivor,
    Killed(u32),
    Replacement,
}

/// The tasks that were asked, survivors first; blind answers are gaps.
pub(super) fn rows(report: &Report) -> Vec<Row<'_>> {
    let mut found: BTreeMap<&TaskId, Vec<Answered>> = BTreeMap::new();
    for point in &report.health {
        for answer in point.asked.iter().filter(|answer| answer.blind.is_none()) {
            found.entry(&answer.task).or_default().push((point.at, answer.ms));
        }
    }
    let real = |step: u32| report.intents.iter().any(|i| i.step == step && !i.sham);
    let fresh = |task: &TaskId| {
        report
            .health
            .iter()
            .flat_map(|h| &h.fresh)
            .any(|f| f.task == *task)
    };
    let mut rows: Vec<Row<'_>> = found
        .into_iter()
        .map(|(task, answers)| {
            let hit = report
                .plan
                .steps
                .iter()
                .zip(1..)
                .find(|(step, number)| real(*number) && step.targets.iter().any(|t| t.task == *task));
            let kind = match hit {
                Some((_, step)) => Kind::Killed(step),
                None if fresh(task) => Kind::Replacement,
                None => Kind::Survivor,
            };
            Row { task, kind, answers }
        })
        .collect();
    rows.sort_by(|a, b| (a.kind, a.answers[0].0, a.task).cmp(&(b.kind, b.answers[0].0, b.task)));
    rows
}

/// Draws the rows from `top` on; `x` places a moment.
pub(super) fn draw(
    body: &mut String,
    rows: &[Row<'_>],
    left: f64,
    top: f64,
    x: impl Fn(DateTime<Utc>) -> f64,
) {
    let answers = rows.iter().flat_map(|row| &row.answers);
    let slowest = answers.filter_map(|(_, ms)| *ms).max().unwrap_or(1).max(1);
    for (row, n) in rows.iter().take(ROWS_MAX).zip(0_u8..) {
        let bottom = top + ROW * (f64::from(n) + 1.0) - 2.0;
        let name = match row.kind {
            Kind::Survivor => "survivor".to_owned(),
            Kind::Killed(step) => format!("step {step}"),
            Kind::Replacement => "new".to_owned(),
        };
        text(body, "hb-tick hb-end", left - 6.0, bottom - 1.0, &name);
        let (mut good, mut bad) = (String::new(), String::new());
        let mut drawn: Option<(f64, Option<u32>)> = None;
        let mut mark = |at: f64, ms: Option<u32>| {
            let _ = match ms {
                Some(ms) => {
                    let height = 1.5 + (f64::from(ms) / f64::from(slowest)).sqrt() * (ROW - 5.0);
                    write!(good, "M{at:.1} {bottom:.1}v-{height:.1}")
                }
                None => write!(bad, "M{at:.1} {bottom:.1}v-{:.1}", ROW - 3.0),
            };
        };
        for (at, ms) in &row.answers {
            let at = x(*at);
            drawn = Some(match drawn {
                // No answer is worse than the slowest one.
                Some((first, seen)) if at - first < APART => {
                    (first, seen.zip(*ms).map(|(seen, ms)| seen.max(ms)))
                }
                Some((first, seen)) => {
                    mark(first, seen);
                    (at, *ms)
                }
                None => (at, *ms),
            });
        }
        if let Some((first, seen)) = drawn {
            mark(first, seen);
        }
        path(body, "hb-answer", &good);
        path(body, "hb-no-answer", &bad);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{chart, markdown, page, sample};

    #[test]
    fn survivors_victims_and_replacements_have_a_row_each_in_this_order() {
        let report = sample::asked();
        let kinds: Vec<Kind> = rows(&report).iter().map(|row| row.kind).collect();
        assert_eq!(
            kinds,
            [
                Kind::Survivor,
                Kind::Survivor,
                Kind::Killed(1),
                Kind::Killed(2),
                Kind::Killed(3),
                Kind::Replacement,
                Kind::Replacement,
                Kind::Replacement
            ]
        );
        let drawn = chart::svg(&report);
        assert_eq!(drawn.matches("class=\"hb-answer\"").count(), 8);
        assert!(drawn.matches("class=\"hb-no-answer\"").count() >= 3);
        assert!(!drawn.contains("NaN"));
    }

    #[test]
    fn the_page_says_what_the_rows_are_not() {
        let words = markdown::render(&page::of(&sample::asked()));
        assert!(words.contains(CAVEAT), "{words}");
        assert!(!markdown::render(&page::of(&sample::held())).contains(CAVEAT));
        let mut rehearsed = sample::asked();
        rehearsed.intents.iter_mut().for_each(|intent| intent.sham = true);
        let words = markdown::render(&page::of(&rehearsed));
        assert!(!words.contains(CAVEAT), "nobody took over anything: {words}");
    }

    #[test]
    fn marks_that_would_lie_on_each_other_are_the_worst_of_them() {
        let report = sample::asked();
        let mut all = rows(&report);
        let row = all.remove(0);
        let mut body = String::new();
        // Everything at one place: a single mark, and as one answer is missing that is it.
        let mut row = Row {
            answers: row.answers.into_iter().map(|(at, _)| (at, Some(3))).collect(),
            ..row
        };
        row.answers[1].1 = None;
        draw(&mut body, &[row], 70.0, 0.0, |_| 100.0);
        assert_eq!(body.matches('M').count(), 1, "{body}");
        assert!(body.contains("hb-no-answer"), "{body}");
    }
}
