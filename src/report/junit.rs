//! A run as JUnit XML, so that a pipeline shows it beside its tests.
//!
//! One suite: the hypothesis, each probe that counts, each kill's recovery. What is neither held nor
//! disproved is an *error*, not a pass: a pipeline must not turn green on a run that proved nothing.

use super::words::{points, ratio};
use crate::model::report::Report;
use crate::model::text::clean;
use crate::model::verdict::{Difference, HypothesisResult, Outcome};
use quick_junit::{NonSuccessKind, Property, Report as Suites, TestCase, TestCaseStatus, TestSuite};
use std::time::Duration;

pub(super) fn render(report: &Report) -> String {
    let plan = &report.plan;
    let mut suite = TestSuite::new(clean(plan.policy.as_str()));
    let length = report
        .ended
        .map_or(Duration::ZERO, |ended| span(ended - report.began));
    suite.set_timestamp(report.began.fixed_offset()).set_time(length);
    let facts = [
        ("run", report.run.to_string()),
        ("app", plan.apps.to_string()),
        ("cluster", plan.cluster.to_string()),
        ("plan digest", report.digest.to_string()),
    ];
    suite.add_properties(facts.map(|(name, value)| Property::new(name, clean(&value))));
    let class = format!("heartbreak.{}", plan.policy);
    let mut case = |name: String, time: Duration, status: TestCaseStatus| {
        let mut case = TestCase::new(clean(&name), status);
        case.set_classname(clean(&class)).set_time(time);
        suite.add_test_case(case);
    };
    case(format!("{} survives", plan.apps), length, hypothesis(report));
    for difference in report.verdict.iter().flat_map(|v| &v.differences) {
        let words = compared(difference);
        case(
            format!("probe {} stays within its margin", difference.probe),
            Duration::ZERO,
            status(difference.says, &words),
        );
    }
    for recovery in &report.recoveries {
        let app = recovery
            .app
            .as_ref()
            .map_or_else(|| plan.apps.to_string(), ToString::to_string);
        let name = format!("{app} is whole again after kill {}", recovery.step);
        match recovery.capacity {
            Some(at) => case(name, span(at - recovery.killed), TestCaseStatus::success()),
            None => case(
                name,
                report
                    .ended
                    .map_or(Duration::ZERO, |ended| span(ended - recovery.killed)),
                failed(
                    NonSuccessKind::Error,
                    "not recovered",
                    "not whole again while the run was watched",
                ),
            ),
        }
    }
    if let Some(verdict) = &report.verdict {
        let mut told = vec![verdict.sentence.as_str()];
        told.extend(verdict.lines.iter().map(String::as_str));
        told.extend(verdict.limits.iter().map(String::as_str));
        let told: Vec<_> = told.into_iter().map(clean).collect();
        suite.set_system_out(told.join("\n"));
    }
    let mut suites = Suites::new("heartbreak");
    suites.add_test_suite(suite);
    suites.to_string().expect("plain text is always XML")
}

/// What was compared for a probe: its bad shares, and where it takes time the slow ends of its answers, either of
/// which can be what disproved it.
fn compared(difference: &Difference) -> String {
    let mut words = format!(
        "{} of {} bad after a kill, {} of {} otherwise; difference {}, 95 % sure each way {} to {}, tolerated {}",
        difference.experiment_bad,
        difference.experiment_observed,
        difference.control_bad,
        difference.control_observed,
        points(difference.difference),
        points(difference.low),
        points(difference.high),
        points(difference.margin)
    );
    if let Some(latency) = &difference.latency {
        words.push_str(&format!(
            "; slowest 1 % of answers from {} ms after a kill, from {} ms otherwise: {} times as long, 95 % sure each way \
             {} to {}, tolerated {} ({})",
            ratio(latency.experiment_p99_ms),
            ratio(latency.control_p99_ms),
            ratio(latency.ratio),
            ratio(latency.low),
            ratio(latency.high),
            ratio(latency.margin),
            latency.says
        ));
    }
    words
}

fn hypothesis(report: &Report) -> TestCaseStatus {
    match &report.verdict {
        None => failed(
            NonSuccessKind::Error,
            "open",
            "the run is still open: there is no verdict yet",
        ),
        Some(verdict) => match (verdict.hypothesis, verdict.outcome) {
            (HypothesisResult::Inconclusive, Outcome::Aborted) => {
                failed(NonSuccessKind::Error, "aborted", &verdict.sentence)
            }
            (result, _) => status(result, &verdict.sentence),
        },
    }
}

fn status(result: HypothesisResult, words: &str) -> TestCaseStatus {
    match result {
        HypothesisResult::Held => TestCaseStatus::success(),
        HypothesisResult::Disproved => failed(NonSuccessKind::Failure, "disproved", words),
        HypothesisResult::Inconclusive => failed(NonSuccessKind::Error, "inconclusive", words),
        HypothesisResult::NotTested => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(clean(words));
            status
        }
    }
}

fn failed(kind: NonSuccessKind, word: &str, words: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(word).set_message(clean(words));
    status
}

fn span(delta: chrono::TimeDelta) -> Duration {
    delta.to_std().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use crate::model::report::Form;
    use crate::report::{render, sample, text};
    use quick_junit::Report as Suites;

    fn counts(report: &crate::model::report::Report) -> (usize, usize, usize) {
        let suites = Suites::deserialize_from_str(&text(report, Form::Junit)).unwrap();
        (suites.tests, suites.failures, suites.errors)
    }

    #[test]
    fn a_run_that_held_passes_and_counts_its_recoveries() {
        // Hypothesis, one probe, three kills.
        assert_eq!(counts(&sample::held()), (5, 0, 0));
    }

    #[test]
    fn a_disproved_hypothesis_fails_the_pipeline() {
        let (_, failures, errors) = counts(&sample::disproved());
        assert!(failures >= 1, "the hypothesis");
        assert_eq!(errors, 1, "the kill that never recovered");
    }

    #[test]
    fn a_probe_that_was_too_slow_says_by_how_much() {
        let mut report = sample::slots();
        let verdict = report.verdict.as_mut().unwrap();
        let difference = &mut verdict.differences[0];
        (difference.difference, difference.low, difference.high) = (0.0002, -0.001, 0.0011);
        if let Some(latency) = &mut difference.latency {
            (latency.experiment_p99_ms, latency.ratio) = (122.0, 2.198);
            (latency.low, latency.high) = (1.94, 2.41);
            latency.says = crate::model::verdict::HypothesisResult::Disproved;
        }
        let xml = text(&report, Form::Junit);
        for words in [
            "difference +0.02 points, 95 % sure each way −0.1 points to +0.11 points, tolerated +0.5 points",
            "slowest 1 % of answers from 122 ms after a kill, from 55.5 ms otherwise: 2.2 times as long, 95 % sure each \
             way 1.94 to 2.41, tolerated 1.5 (disproved)",
        ] {
            assert!(xml.contains(words), "{words}: {xml}");
        }
    }

    #[test]
    fn what_proved_nothing_is_never_a_pass() {
        for report in [sample::skipped(), sample::open(), sample::rehearsed()] {
            let xml = text(&report, Form::Junit);
            let suites = Suites::deserialize_from_str(&xml).unwrap();
            let first = &suites.test_suites[0].test_cases[0];
            assert!(
                !matches!(first.status, quick_junit::TestCaseStatus::Success { .. }),
                "{}: {xml}",
                report.run
            );
        }
    }

    #[test]
    fn a_hostile_name_stays_text() {
        let xml = String::from_utf8(render(&sample::hostile(), Form::Junit)).unwrap();
        assert!(!xml.contains("<script") && !xml.contains('\u{202e}'), "{xml}");
        Suites::deserialize_from_str(&xml).unwrap();
    }
}
