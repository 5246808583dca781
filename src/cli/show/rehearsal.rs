//! `rehearse`: what was measured, and what follows from it.

use super::{Out, Tone, clean, facts, many, table};
use crate::model::experiment::Role;
use crate::model::rehearsal::{Delay, ProbeNoise, Rehearsal, ShamKill};

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
        &title(shams),
        shams
            .iter()
            .map(|sham| format!("{} {}", sham.at.format("%H:%M:%S"), sham.what)),
    ));
    if would_abort.is_empty() {
        let ended = match probes.iter().any(|probe| probe.role == Role::Abort) {
            true => "A real run would not have been aborted.",
            false => "Nothing could have aborted a real run.",
        };
        parts.push(ended.to_owned());
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

/// What the list of sham kills begins with.
fn title(shams: &[ShamKill]) -> String {
    let all = many(u32::try_from(shams.len()).unwrap_or(u32::MAX), "sham kill");
    match shams.iter().filter(|sham| sham.tasks > 0).count() {
        0 if shams.is_empty() => "No sham kill was due in that time.".to_owned(),
        0 => format!("{all}, and a real one would have killed nothing either:"),
        some if some < shams.len() => {
            format!("{all}; nothing was killed, and at {some} of them something would have been:")
        }
        _ => format!("{all}; nothing was killed:"),
    }
}

fn probe(noise: &ProbeNoise) -> String {
    let share = |share: f64| format!("{:.3} %", share * 100.0);
    let p99 = noise
        .p99_ms
        .map(|p99| format!("99 % of requests within {p99} ms"));
    let slower = match (noise.slower_than_ms, noise.slower_than_why.as_str()) {
        (Some(ms), "") => Some(format!("slowerThan: {ms}ms (half as slow again as that)")),
        (Some(ms), why) => Some(format!("{ms} ms (half as slow again as that); {why}")),
        (None, "") => None,
        (None, why) => Some(format!("none; {why}")),
    };
    let evidence = match noise.evidence_peak {
        Some(peak) => format!("at most {peak} % of what an abort takes"),
        None => format!("none; {}", noise.evidence_why),
    };
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
        ("Evidence", Some(evidence)),
        ("Latency", p99),
        ("Limit", Some(format!("{}; {}", noise.limit, noise.limit_why))),
        ("Advised", noise.limit_advised.map(|limit| limit.to_string())),
        ("Tightest", noise.limit_tightest.map(|limit| limit.to_string())),
        ("Slow line", slower),
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
    let late = match probes.iter().all(|noise| noise.evidence_peak.is_some()) {
        true => "",
        false => "; what only Marathon tells counts from when Marathon knows it",
    };
    format!(
        "Time from a rise of the bad share to the abort (median; - is inside the limit or not within 10 min{late}):\n{}",
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::show::{Format, Pen};
    use crate::model::experiment::Share;
    use crate::model::rehearsal::Timing;
    use chrono::{DateTime, TimeDelta};

    fn edge() -> ProbeNoise {
        let delay = |share, seconds| Delay { share, seconds };
        ProbeNoise {
            probe: "edge".into(),
            role: Role::Abort,
            samples: 600,
            blind: 0,
            observed: 600,
            bad: 1,
            share: Some(1.0 / 600.0),
            upper: 0.0079,
            worst: 1.0,
            spread: Some(1.0),
            evidence_peak: Some(12),
            evidence_why: String::new(),
            p99_ms: None,
            limit: Share::percent(2),
            limit_advised: Some(Share::percent(2)),
            limit_tightest: Some(Share::percent(2)),
            limit_why: "2 % fits: it is at least twice what was seen".into(),
            slower_than_ms: None,
            slower_than_advised_ms: None,
            slower_than_why: "600 requests were seen: measure for longer".into(),
            delays: vec![
                delay(0.02, None),
                delay(0.05, None),
                delay(0.2, Some(31.0)),
                delay(1.0, Some(7.0)),
            ],
            delays_advised: vec![],
        }
    }

    fn tasks() -> ProbeNoise {
        let mut delays = edge().delays;
        delays.iter_mut().for_each(|delay| delay.seconds = None);
        delays[3].seconds = Some(1.0);
        ProbeNoise {
            probe: "tasks".into(),
            observed: 7_200,
            bad: 0,
            share: Some(0.0),
            upper: 0.0004,
            worst: 0.0,
            spread: None,
            evidence_peak: None,
            evidence_why: "a run ends at the first sample with more than 50 %".into(),
            slower_than_why: String::new(),
            delays,
            ..edge()
        }
    }

    fn played(tasks_of_shams: &[u32]) -> Rehearsal {
        let began = DateTime::from_timestamp(1_774_877_400, 0).unwrap();
        let sham = |(n, tasks): (usize, &u32)| ShamKill {
            at: began + TimeDelta::minutes(1 + n as i64),
            tasks: *tasks,
            what: match tasks {
                0 => "would have killed nothing: a deployment is at work on /shop/cart".into(),
                _ => "would have killed cart.1 on agent-1".into(),
            },
        };
        Rehearsal {
            policy: "cart".into(),
            began,
            measured_s: 600,
            cut_short: false,
            shams: tasks_of_shams.iter().enumerate().map(sham).collect(),
            would_abort: vec![],
            probes: vec![edge(), tasks()],
            timing: Timing {
                interval_ms: 1_000,
                timeout_ms: 800,
                interval_advised_ms: 1_000,
                timeout_advised_ms: 800,
                why: "kept: probe tasks asks marathon, which has a pace of its own".into(),
            },
            written: None,
            remarks: vec!["A remark.".into()],
        }
    }

    fn shown(rehearsal: &Rehearsal) -> String {
        let out = Out {
            format: Format::Table,
            pen: Pen::default(),
            now: DateTime::UNIX_EPOCH,
        };
        super::rehearsal(rehearsal, &out)
    }

    #[test]
    fn a_rehearsal_says_what_a_floor_does_instead_and_why_there_is_no_line_for_slow_answers() {
        insta::assert_snapshot!(shown(&played(&[1])), @"
        Rehearsal of cart: 600 s from 2026-03-30 13:30:00 UTC

        Probe:      edge (abort)
        Seen:       1 of 600 bad in 600 samples, 0 blind
        Noise:      0.167 %, 95 % sure below 0.790 %; worst sample 100.000 %
        Spread:     1.0: failures come one by one
        Evidence:   at most 12 % of what an abort takes
        Limit:      2 %; 2 % fits: it is at least twice what was seen
        Advised:    2 %
        Tightest:   2 %
        Slow line:  none; 600 requests were seen: measure for longer

        Probe:      tasks (abort)
        Seen:       0 of 7200 bad in 600 samples, 0 blind
        Noise:      0.000 %, 95 % sure below 0.040 %; worst sample 0.000 %
        Evidence:   none; a run ends at the first sample with more than 50 %
        Limit:      2 %; 2 % fits: it is at least twice what was seen
        Advised:    2 %
        Tightest:   2 %

        Interval:  1000 ms, timeout 800 ms
        Advised:   1000 ms, timeout 800 ms
        Because:   kept: probe tasks asks marathon, which has a pace of its own

        Time from a rise of the bad share to the abort (median; - is inside the limit or not within 10 min; what only Marathon tells counts from when Marathon knows it):
        PROBE   LIMITS   2 %   5 %   20 %   100 %
        edge    now      -     -     31 s   7 s
        tasks   now      -     -     -      1 s

        1 sham kill; nothing was killed:
          13:31:00 would have killed cart.1 on agent-1

        A real run would not have been aborted.

        A remark.
        ");
    }

    #[test]
    fn sham_kills_are_counted_as_what_they_were() {
        #[track_caller]
        fn check(tasks: &[u32], words: &str) {
            let shown = shown(&played(tasks));
            assert!(shown.lines().any(|line| line == words), "{shown}");
        }
        check(&[], "No sham kill was due in that time.");
        check(&[1], "1 sham kill; nothing was killed:");
        check(&[1, 2], "2 sham kills; nothing was killed:");
        check(
            &[0],
            "1 sham kill, and a real one would have killed nothing either:",
        );
        check(
            &[0, 1],
            "2 sham kills; nothing was killed, and at 1 of them something would have been:",
        );
    }
}
