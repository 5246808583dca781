//! All slots of a run laid over each other: seconds since the kill, and since the sham (`steady-state` §5.3).
//!
//! This picture *is* the experiment: what the two lines share was there without the kill too.

use super::svg::{path, round_shares, round_step, share_label, text};
use super::words::{ratio, some};
use crate::model::experiment::{Control, ProbeSpec, Reading, Sample};
use crate::model::report::Report;
use std::fmt::Write;
use std::time::Duration;

const LEFT: f64 = 70.0;
const RIGHT: f64 = 980.0;
/// Height of a panel's plot.
const PLOT: f64 = 110.0;
/// Points along a window; more can't be told apart.
const BINS_MAX: u32 = 60;
/// More probes are in the record and said to be.
const PROBES_MAX: usize = 4;

/// What was seen in one slot, by bin: observed and bad.
struct Slot {
    sham: bool,
    bins: Vec<(u64, u64)>,
}

/// The panels below `y`, and where they end; nothing for designs without slots.
pub(super) fn panels(report: &Report, y: f64) -> (String, f64) {
    let (mut body, mut y) = (String::new(), y);
    let Control::Sham { window, .. } = report.plan.hypothesis.control else {
        return (body, y);
    };
    let probes: Vec<&ProbeSpec> = report.plan.hypothesis.verdict_probes().collect();
    for probe in probes.iter().take(PROBES_MAX) {
        let slots = slots(report, probe, window);
        let (kills, shams) = (
            slots.iter().filter(|s| !s.sham).count(),
            slots.iter().filter(|s| s.sham).count(),
        );
        if kills == 0 || shams == 0 {
            continue;
        }
        y = panel(&mut body, probe, &slots, window, y + 22.0);
    }
    if !body.is_empty() && probes.len() > PROBES_MAX {
        text(
            &mut body,
            "hb-soft",
            14.0,
            y + 6.0,
            &format!("{} more probes are in the record", probes.len() - PROBES_MAX),
        );
        y += 20.0;
    }
    (body, y)
}

fn slots(report: &Report, probe: &ProbeSpec, window: Duration) -> Vec<Slot> {
    let (bins, width_ms) = bins(report.plan.hypothesis.interval, window);
    let samples: Vec<&Sample> = report.samples.iter().filter(|s| s.probe == probe.name).collect();
    let taken = report.intents.iter().filter(|intent| {
        report
            .plan
            .step(intent.step)
            .is_some_and(|step| step.slot.is_some())
    });
    taken
        .map(|intent| {
            let mut slot = Slot {
                sham: intent.sham,
                bins: vec![(0, 0); bins],
            };
            for sample in &samples {
                let since = (sample.at - intent.at).num_milliseconds();
                let bin = usize::try_from(since.div_euclid(width_ms)).ok();
                if let (Some(bin), Reading::Seen { observed, bad, .. }) =
                    (bin.and_then(|bin| slot.bins.get_mut(bin)), &sample.reading)
                {
                    bin.0 += u64::from(*observed);
                    bin.1 += u64::from(*bad);
                }
            }
            slot
        })
        .filter(|slot| slot.bins.iter().any(|(observed, _)| *observed > 0))
        .collect()
}

/// How many bins a window has, and how many milliseconds one takes: never less than the distance of samples.
fn bins(interval: Duration, window: Duration) -> (usize, i64) {
    let width = interval.max(window / BINS_MAX).max(Duration::from_millis(1));
    let bins = window.as_millis().div_ceil(width.as_millis());
    (
        usize::try_from(bins).unwrap_or(1).max(1),
        i64::try_from(width.as_millis()).unwrap_or(i64::MAX),
    )
}

fn panel(body: &mut String, probe: &ProbeSpec, slots: &[Slot], window: Duration, y: f64) -> f64 {
    let count = |sham: bool| slots.iter().filter(|s| s.sham == sham).count() as u64;
    let (kills, shams) = (
        some(count(false), "kill", "kills"),
        some(count(true), "sham", "shams"),
    );
    text(
        body,
        "hb-head",
        14.0,
        y,
        &format!("{} · {kills} over {shams}", probe.name),
    );
    let legend = "thick: after a kill · dashed: after a sham · bands: from the best to the worst slot · square-root scale";
    text(body, "hb-soft hb-end", RIGHT, y, legend);
    let (top, bottom) = (y + 14.0, y + 14.0 + PLOT);
    let length = slots.first().map_or(1, |s| s.bins.len()).max(1) as f64;
    let x = |bin: usize| LEFT + (bin as f64 + 0.5) / length * (RIGHT - LEFT);
    let share = |(observed, bad): (u64, u64)| (observed > 0).then(|| bad as f64 / observed as f64);
    let worst = slots.iter().flat_map(|s| &s.bins).filter_map(|bin| share(*bin));
    let most = nice(worst.fold(probe.max.as_f64() * 1.5, f64::max));
    // As in the chart above: a limit of 1 % and a dip of 50 % are both to be seen.
    let height = |share: f64| bottom - (share / most).clamp(0.0, 1.0).sqrt() * PLOT;
    let _ = writeln!(
        body,
        "<rect class=\"hb-plot\" x=\"{LEFT}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{PLOT}\"/>",
        RIGHT - LEFT
    );
    for share in round_shares(most, PLOT) {
        let at = height(share);
        let _ = writeln!(
            body,
            "<line class=\"hb-grid\" x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{RIGHT}\" y2=\"{at:.1}\"/>"
        );
        text(body, "hb-tick hb-end", LEFT - 6.0, at + 4.0, &share_label(share));
    }
    let limit = height(probe.max.as_f64());
    path(body, "hb-limit", &format!("M{LEFT} {limit:.1}H{RIGHT}"));
    for (sham, band, line) in [
        (true, "hb-band", "hb-sham-line"),
        (false, "hb-kill-band", "hb-steady"),
    ] {
        let group: Vec<&Slot> = slots.iter().filter(|s| s.sham == sham).collect();
        let (mut upper, mut lower, mut mean) = (vec![], vec![], vec![]);
        for bin in 0..length as usize {
            let of: Vec<f64> = group.iter().filter_map(|s| share(*s.bins.get(bin)?)).collect();
            let sums = group
                .iter()
                .filter_map(|s| s.bins.get(bin))
                .fold((0, 0), |sum, bin| (sum.0 + bin.0, sum.1 + bin.1));
            let Some(pooled) = share(sums) else { continue };
            upper.push((x(bin), height(of.iter().copied().fold(0.0, f64::max))));
            lower.push((x(bin), height(of.iter().copied().fold(1.0, f64::min))));
            mean.push((x(bin), height(pooled)));
        }
        lower.reverse();
        if group.len() > 1 {
            path(body, band, &format!("{}Z", through(upper.iter().chain(&lower))));
        }
        path(body, line, &through(mean.iter()));
    }
    text(
        body,
        "hb-label hb-limit-label hb-end",
        RIGHT - 5.0,
        limit - 4.0,
        &format!("limit {}", probe.max),
    );
    let seconds = window.as_secs_f64();
    let step = round_step(seconds, 6.0);
    for tick in (0..=6)
        .map(|n| f64::from(n) * step)
        .filter(|tick| *tick <= seconds * (1.0 + 1e-9))
    {
        let at = LEFT + tick / seconds * (RIGHT - LEFT);
        let _ = writeln!(
            body,
            "<line class=\"hb-axis\" x1=\"{at:.1}\" y1=\"{bottom:.1}\" x2=\"{at:.1}\" y2=\"{:.1}\"/>",
            bottom + 5.0
        );
        let anchor = match at {
            at if at < LEFT + 10.0 => "",
            at if at > RIGHT - 10.0 => " hb-end",
            _ => " hb-mid",
        };
        text(
            body,
            &format!("hb-tick{anchor}"),
            at,
            bottom + 18.0,
            &format!("{} s", ratio(tick)),
        );
    }
    bottom + 26.0
}

/// The next share above that reads well.
fn nice(share: f64) -> f64 {
    [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0]
        .into_iter()
        .find(|step| share <= *step)
        .unwrap_or(1.0)
}

fn through<'a>(points: impl Iterator<Item = &'a (f64, f64)>) -> String {
    let mut d = String::new();
    for (n, (x, y)) in points.enumerate() {
        let _ = write!(d, "{}{x:.1} {y:.1}", if n == 0 { 'M' } else { 'L' });
    }
    d
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{chart, sample};

    #[test]
    fn kills_and_shams_are_two_lines_and_two_bands_over_the_same_seconds() {
        let drawn = chart::svg(&sample::slots());
        for class in ["hb-sham-line", "hb-steady\" d", "hb-band", "hb-kill-band"] {
            assert!(drawn.contains(&format!("class=\"{class}")), "{class}");
        }
        assert!(drawn.contains("5 kills over 5 shams"));
        assert!(!drawn.contains("NaN"));
    }

    #[test]
    fn the_seconds_of_a_window_are_round() {
        let mut report = sample::slots();
        report.plan.hypothesis.control = Control::Sham {
            pairs: 5,
            window: Duration::from_millis(2_500),
            settle: Duration::from_secs(30),
        };
        let drawn = chart::svg(&report);
        for label in ["0 s", "0.5 s", "1 s", "1.5 s", "2 s", "2.5 s"] {
            assert!(drawn.contains(&format!(">{label}<")), "{label}");
        }
        assert!(!drawn.contains(">0.4 s<"));
    }

    #[test]
    fn a_run_without_slots_has_no_such_panel() {
        for report in [sample::held(), sample::open(), sample::rehearsed()] {
            assert!(!chart::svg(&report).contains("hb-sham-line\""), "{}", report.run);
        }
    }

    #[test]
    fn a_run_that_took_only_shams_so_far_has_nothing_to_lay_over_each_other() {
        let mut report = sample::slots();
        report.intents.retain(|intent| intent.sham);
        assert!(!chart::svg(&report).contains("hb-kill-band\""));
    }
}
