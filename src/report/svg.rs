//! What every drawing is made of.

use crate::model::text::escape;
use std::fmt::Write;

/// Words at a place.
pub(super) fn text(body: &mut String, class: &str, x: f64, y: f64, words: &str) {
    let _ = writeln!(
        body,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>",
        escape(words)
    );
}

/// The least of 1, 2 and 5, ten times as much, and so on, by which a length has at most so many steps.
pub(super) fn round_step(length: f64, steps_max: f64) -> f64 {
    let least = (length / steps_max).max(f64::MIN_POSITIVE);
    let ten = 10_f64.powf(least.log10().floor());
    let fits = |step: &f64| *step >= least * (1.0 - 1e-9);
    [1.0, 2.0, 5.0, 10.0]
        .map(|digit| digit * ten)
        .into_iter()
        .find(fits)
        .unwrap_or(least)
}

/// Round shares for a square-root scale of this height that ends with `most`, the highest first and none within
/// twenty of the next: 100, 50, 20, 10, 5, 2, 1 per cent, and so on, and nothing.
pub(super) fn round_shares(most: f64, height: f64) -> Vec<f64> {
    const APART: f64 = 20.0;
    let place = |share: f64| (share / most).sqrt() * height;
    let mut shares: Vec<f64> = vec![];
    for share in (0..6).flat_map(|n| [1.0, 0.5, 0.2].map(|digit| digit / 10_f64.powi(n))) {
        let clear = shares
            .last()
            .is_none_or(|above| place(*above) - place(share) >= APART);
        if share <= most * (1.0 + 1e-9) && clear && place(share) >= APART {
            shares.push(share);
        }
    }
    shares.push(0.0);
    shares
}

/// A share as a tick has it: `0 %`, `0.5 %`, `20 %`.
pub(super) fn share_label(share: f64) -> String {
    let text = format!("{:.4}", share * 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// A line or an area; nothing where there is nothing to draw.
pub(super) fn path(body: &mut String, class: &str, d: &str) {
    if !d.is_empty() {
        let _ = writeln!(body, "<path class=\"{class}\" d=\"{d}\"/>");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_ones_twos_and_fives() {
        for (length, step) in [
            (10.0, 2.0),
            (2.5, 0.5),
            (60.0, 10.0),
            (45.0, 10.0),
            (90.0, 20.0),
            (1.0, 0.2),
        ] {
            assert!(
                (round_step(length, 6.0) - step).abs() < 1e-9,
                "{length}: {}",
                round_step(length, 6.0)
            );
        }
        let labels =
            |most: f64| -> Vec<String> { round_shares(most, 110.0).into_iter().map(share_label).collect() };
        assert_eq!(labels(1.0), ["100 %", "50 %", "20 %", "5 %", "0 %"]);
        assert_eq!(labels(0.04), ["2 %", "1 %", "0.2 %", "0 %"]);
        assert_eq!(labels(0.002), ["0.2 %", "0.1 %", "0.05 %", "0.02 %", "0 %"]);
    }
}
