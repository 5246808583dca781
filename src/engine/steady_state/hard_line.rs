//! Exact bounds on a share, and the hard line: degradation that one sample proves.
//!
//! Clopper–Pearson bounds: exact whatever the counts, and wider than they need to be rather than
//! narrower.

use crate::model::experiment::Share;
use statrs::function::beta::beta_reg;

/// One chance in a thousand that a sample crosses the hard line by accident.
const HARD: f64 = 0.001;

/// Whether one sample alone proves a bad share above `hard`: the one-sided 99.9 % lower bound is
/// above it. At 50 %: 10 of 10, 18 of 20, 66 of 100.
pub fn crosses(observed: u32, bad: u32, hard: Share) -> bool {
    lower_bound(u64::from(bad), u64::from(observed), HARD) > hard.as_f64()
}

/// The one-sided lower bound with this chance of error for `bad` of `observed`; 0 when nothing was
/// observed or nothing was bad.
///
/// Never NaN: a count that makes no sense (more bad than observed) counts as all bad.
pub fn lower_bound(bad: u64, observed: u64, error: f64) -> f64 {
    let bad = bad.min(observed);
    if bad == 0 {
        return 0.0;
    }
    if bad == observed {
        return error.powf(1.0 / observed as f64);
    }
    // P(X ≥ k) at share p is the regularized incomplete beta I_p(k, n − k + 1).
    beta_quantile(bad as f64, (observed - bad + 1) as f64, error)
}

/// The one-sided upper bound with this chance of error for `bad` of `observed`; 1 when nothing was
/// observed or everything was bad.
pub fn upper_bound(bad: u64, observed: u64, error: f64) -> f64 {
    let bad = bad.min(observed);
    if bad == observed {
        return 1.0;
    }
    if bad == 0 {
        return 1.0 - error.powf(1.0 / observed as f64);
    }
    beta_quantile((bad + 1) as f64, (observed - bad) as f64, 1.0 - error)
}

/// The quantile of a beta distribution, by halving.
///
/// The inverse in the library starts from a guess and can leave its way for extreme shapes; sixty
/// halvings of a monotone function can't.
pub(crate) fn beta_quantile(a: f64, b: f64, probability: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if beta_reg(a, b, middle) < probability {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use statrs::distribution::{Beta, ContinuousCDF};

    #[test]
    fn the_published_counts_cross_and_their_neighbours_do_not() {
        for (bad, observed) in [(10, 10), (18, 20), (66, 100), (550, 1_000)] {
            assert!(crosses(observed, bad, Share::percent(50)), "{bad} of {observed}");
            assert!(
                !crosses(observed, bad - 1, Share::percent(50)),
                "{} of {observed}",
                bad - 1
            );
        }
        assert!(!crosses(9, 9, Share::percent(50)));
    }

    #[test]
    fn the_ends_are_guarded() {
        assert_eq!(lower_bound(0, 0, 0.05), 0.0);
        assert_eq!(lower_bound(0, 100, 0.05), 0.0);
        assert_eq!(upper_bound(0, 0, 0.05), 1.0);
        assert_eq!(upper_bound(7, 7, 0.05), 1.0);
        assert!(!crosses(0, 0, Share(0)));
        assert!(!crosses(1_000, 1_000, Share::WHOLE));
        assert!(lower_bound(9, 3, 0.05) <= 1.0);
    }

    #[test]
    fn clean_requests_needed_are_as_published() {
        for (limit, needed) in [(0.01, 299), (0.005, 598), (0.001, 2_995)] {
            assert!(upper_bound(0, needed, 0.05) <= limit);
            assert!(upper_bound(0, needed - 1, 0.05) > limit);
        }
    }

    #[test]
    fn agrees_with_the_inverse_of_the_library() {
        for (bad, observed) in [(1, 10), (3, 50), (66, 100), (17, 600), (550, 1_000), (90, 6_000)] {
            let (k, n) = (bad as f64, observed as f64);
            let low = Beta::new(k, n - k + 1.0).unwrap().inverse_cdf(0.001);
            let high = Beta::new(k + 1.0, n - k).unwrap().inverse_cdf(0.95);
            assert!(
                (lower_bound(bad, observed, 0.001) - low).abs() < 1e-6,
                "{bad} of {observed}: {low}"
            );
            assert!(
                (upper_bound(bad, observed, 0.05) - high).abs() < 1e-6,
                "{bad} of {observed}: {high}"
            );
        }
    }

    #[test]
    fn large_counts_come_close_to_the_normal_bound() {
        for (bad, observed) in [
            (1_500_u64, 150_000_u64),
            (400, 40_000),
            (75_000, 150_000),
            (5_000, 1_000_000),
        ] {
            let p = bad as f64 / observed as f64;
            let se = (p * (1.0 - p) / observed as f64).sqrt();
            assert!(
                (upper_bound(bad, observed, 0.05) - (p + 1.645 * se)).abs() < 0.2 * se,
                "{bad}/{observed}"
            );
            assert!(
                (lower_bound(bad, observed, 0.05) - (p - 1.645 * se)).abs() < 0.2 * se,
                "{bad}/{observed}"
            );
        }
    }
}
