//! From a number to a reading.

use super::Memory;
use crate::model::experiment::{Detail, Reading, SHARE_COUNTS_AS, ValueRule};

/// The tolerance for a number, as the probe has it.
///
/// With a rule for values the number is one observation, good or bad. A line that comes from the
/// baseline is not known here: then the number is good until the engine has judged it.
///
/// Without a rule it is a bad share from 0 to 1: of `requests` requests where that is known, otherwise
/// of [`SHARE_COUNTS_AS`], with what is lost by rounding carried over to the next sample.
pub(super) fn judge(
    value: f64,
    rule: Option<&ValueRule>,
    requests: Option<f64>,
    memory: &mut Memory,
) -> Reading {
    if !value.is_finite() {
        return Reading::blind(format!("the answer is {value}, which is no number to judge"));
    }
    let detail = |value| {
        Some(Box::new(Detail {
            pending: matches!(rule, Some(ValueRule::BaselinePercent(_))),
            value: Some(value),
            ..Detail::default()
        }))
    };
    if let Some(rule) = rule {
        let good = match rule {
            ValueRule::Range { min, max } => {
                min.as_ref().is_none_or(|min| value >= min.as_f64())
                    && max.as_ref().is_none_or(|max| value <= max.as_f64())
            }
            ValueRule::Equals(wanted) => value == wanted.as_f64(),
            ValueRule::BaselinePercent(_) => true,
        };
        return Reading::Seen {
            observed: 1,
            bad: u32::from(!good),
            slowest_ms: None,
            detail: detail(value),
        };
    }
    if !(0.0..=1.0).contains(&value) {
        return Reading::blind(format!(
            "the answer is {value}, which is no share from 0 to 1; judge other numbers with `value: {{ max: … }}`"
        ));
    }
    let (observed, bad) = match requests {
        Some(requests) if !requests.is_finite() || requests < 0.0 => {
            return Reading::blind(format!("the number of requests is {requests}"));
        }
        Some(requests) if requests < 1.0 => {
            return Reading::blind("there were no requests, so nothing can be seen");
        }
        Some(requests) => {
            let observed = requests.round().min(f64::from(u32::MAX));
            (observed as u32, (value * observed).round() as u32)
        }
        None => {
            let exact = value * f64::from(SHARE_COUNTS_AS) + memory.carried;
            let bad = exact.floor().clamp(0.0, f64::from(SHARE_COUNTS_AS));
            memory.carried = (exact - bad).clamp(0.0, 1.0);
            (SHARE_COUNTS_AS, bad as u32)
        }
    };
    Reading::Seen {
        observed,
        bad,
        slowest_ms: None,
        detail: detail(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::experiment::Decimal;

    fn counts(reading: &Reading) -> (u32, u32) {
        match reading {
            Reading::Seen { observed, bad, .. } => (*observed, *bad),
            Reading::Blind { why } => panic!("blind: {why}"),
        }
    }

    #[track_caller]
    fn blind(reading: Reading, words: &str) {
        match reading {
            Reading::Blind { why } => assert!(why.contains(words), "{why}"),
            Reading::Seen { .. } => panic!("{reading:?}"),
        }
    }

    fn range(min: &str, max: &str) -> ValueRule {
        ValueRule::Range {
            min: Decimal::parse(min),
            max: Decimal::parse(max),
        }
    }

    #[test]
    fn a_value_is_one_observation_that_fits_or_not() {
        for (value, rule, bad) in [
            (3.0, range("1", "3"), 0),
            (3.1, range("1", "3"), 1),
            (0.9, range("1", ""), 1),
            (900.0, range("1", ""), 0),
            (2.0, ValueRule::Equals(Decimal::parse("2.0").unwrap()), 0),
            (2.1, ValueRule::Equals(Decimal::parse("2.0").unwrap()), 1),
            (1e9, ValueRule::BaselinePercent(25), 0),
        ] {
            let reading = judge(value, Some(&rule), None, &mut Memory::default());
            assert_eq!(counts(&reading), (1, bad), "{value} {rule:?}");
            assert_eq!(reading.detail().unwrap().value, Some(value));
        }
    }

    #[test]
    fn a_share_loses_nothing_by_rounding() {
        let mut memory = Memory::default();
        let bad: u32 = (0..1000)
            .map(|_| counts(&judge(0.0037, None, None, &mut memory)).1)
            .sum();
        assert!((369..=371).contains(&bad), "{bad} of 100,000 at 0.37 %");
        for (share, bad) in [(0.0, 0), (1.0, 100), (0.5, 50)] {
            assert_eq!(
                counts(&judge(share, None, None, &mut Memory::default())),
                (100, bad)
            );
        }
    }

    #[test]
    fn a_share_of_known_requests_is_counted_in_them() {
        let of = |share, requests| judge(share, None, Some(requests), &mut Memory::default());
        assert_eq!(counts(&of(0.25, 80.0)), (80, 20));
        assert_eq!(counts(&of(0.0, 12.4)), (12, 0));
        blind(of(0.0, 0.0), "no requests");
        blind(of(0.0, f64::NAN), "the number of requests");
        blind(of(0.0, -3.0), "the number of requests");
    }

    #[test]
    fn what_is_no_number_or_no_share_is_blind() {
        for (value, words) in [
            (f64::NAN, "no number"),
            (f64::INFINITY, "no number"),
            (f64::NEG_INFINITY, "no number"),
            (1.01, "no share"),
            (-0.1, "no share"),
        ] {
            blind(judge(value, None, None, &mut Memory::default()), words);
        }
        let rule = range("1", "");
        blind(
            judge(f64::INFINITY, Some(&rule), None, &mut Memory::default()),
            "no number",
        );
    }
}
