//! `rehearse`: what was measured, and what follows from it.

use super::{Out, Tone, clean, facts, many, table};
use crate::model::rehearsal::{Delay, ProbeNoise, Rehearsal};

/// Moments that are listed; all of them with `-o json`.
const SHOWN: usize = 5;

/// For people.
pub fn rehearsal(rehearsal: &Rehearsal, out: &Out) -> String {
    let Rehearsal {
        policy,
        began,
        measured_s,
        cut_short,
        shams,
        would_abort,
        probes,
        timing,
        written,
        remarks,
    } = rehearsal;
    let early = if *cut_short { ", ended early" } else { "" };
    let mut parts = vec![out.pen.paint(
        Tone::Strong,
        &format!(
            "Rehearsal of {policy}: {measured_s} s from {}{early}",
            began.format("%Y-%m-%d %H:%M:%S UTC")
        ),
    )];
    parts.extend(probes.iter().map(probe));
    parts.push(facts(&[
        (
            "Interval",
            Some(format!(
                "{} ms, timeout {} ms",
                timing.interval_ms, timing.timeout_ms
            )),
        ),
        (
            "Advised",
            Some(format!(
                "{} ms, timeout {} ms",
                timing.interval_advised_ms, timing.timeout_advised_ms
            )),
        ),
        ("Because", Some(timing.why.clone())),
    ]));
    parts.push(delays(probes));
    parts.push(listed(
        &format!("{}, none of them made:", many(shams.len() as u32, "kill")),
        shams
            .iter()
            .map(|sham| format!("{} {}", sham.at.format("%H:%M:%S"), sham.what)),
    ));
    if would_abort.is_empty() {
        parts.push("A real run would not have been aborted.".to_owned());
    } else {
        parts.push(listed(
            "A real run would have been aborted:",
            would_abort
                .iter()
                .map(|abort| format!("{} {}", abort.at.format("%H:%M:%S"), abort.why)),
        ));
    }
    if let Some(written) = written {
        parts.push(format!("Policy file: {}", clean(written)));
    }
    let remarks: Vec<String> = remarks.iter().map(|remark| clean(remark)).collect();
    parts.push(out.pen.paint(Tone::Soft, &remarks.join("\n")));
    parts.join("\n\n")
}

fn probe(noise: &ProbeNoise) -> String {
    let share = |share: f64| format!("{:.3} %", share * 100.0);
    let p99 = noise
        .p99_ms
        .map(|p99| format!("99 % of requests within {p99} ms"));
    let slower = noise
        .slower_than_ms
        .map(|ms| match noise.slower_than_why.as_str() {
            "" => format!("slowerThan: {ms}ms (half as slow again as that)"),
            why => format!("{ms} ms (half as slow again as that); {why}"),
        });
    let spread = noise.spread.map(|spread| match spread {
        s if s < 2.0 => format!("{s:.1}: failures come one by one"),
        s => format!("{s:.1}: failures come in bursts"),
    });
    facts(&[
        (
            "Probe",
            Some(format!("{} ({:?})", noise.probe, noise.role).to_lowercase()),
        ),
        (
            "Seen",
            Some(format!(
                "{} of {} bad in {} samples, {} blind",
                noise.bad, noise.observed, noise.samples, noise.blind
            )),
        ),
        (
            "Noise",
            noise.share.map(|mean| {
                format!(
                    "{}, 95 % sure below {}; worst sample {}",
                    share(mean),
                    share(noise.upper),
                    share(noise.worst)
                )
            }),
        ),
        ("Spread", spread),
        (
            "Evidence",
            Some(format!(
                "at most {} % of what an abort takes",
                noise.evidence_peak
            )),
        ),
        ("Latency", p99),
        ("Limit", Some(format!("{}; {}", noise.limit, noise.limit_why))),
        ("Advised", noise.limit_advised.map(|limit| limit.to_string())),
        ("Tightest", noise.limit_tightest.map(|limit| limit.to_string())),
        ("L", slower),
    ])
}

/// Time to detect, as it is and as advised.
fn delays(probes: &[ProbeNoise]) -> String {
    let cell = |delay: &Delay| delay.seconds.map_or_else(|| "-".to_owned(), |s| format!("{s} s"));
    let mut rows = vec![];
    for noise in probes {
        for (what, delays) in [("now", &noise.delays), ("advised", &noise.delays_advised)] {
            if !delays.is_empty() {
                let cells = delays.iter().map(cell);
                rows.push(
                    [noise.probe.to_string(), what.to_owned()]
                        .into_iter()
                        .chain(cells)
                        .collect(),
                );
            }
        }
    }
    format!(
        "Time from a rise of the bad share to the abort (median; - is inside the limit or not within 10 min):\n{}",
        table(&["PROBE", "LIMITS", "2 %", "5 %", "20 %", "100 %"], &rows)
    )
}

fn listed(title: &str, lines: impl ExactSizeIterator<Item = String>) -> String {
    let all = lines.len();
    let mut text = vec![title.to_owned()];
    text.extend(lines.take(SHOWN).map(|line| format!("  {}", clean(&line))));
    if all > SHOWN {
        text.push(format!("  and {} more", all - SHOWN));
    }
    text.join("\n")
}
