//! `spec.steadyState.control`: how control and experiment are told apart, and whether that can work.

use super::number;
use crate::model::experiment::{Control, Group, ProbeSpec, Role, Share, Source};
use crate::model::ids::AppId;
use crate::policy::problem::{Scribe, Span};
use crate::policy::raw;
use crate::policy::read::{At, Place, Text, brief};
use std::time::Duration;

/// Fewest pairs that a verdict may rest on: of two pairs that point one way, one in four does so by chance.
const PAIRS_MIN: u32 = 3;
const PAIRS_MAX: u32 = 50;
/// Longest window and longest settle time.
const SLOT_MAX: Duration = Duration::from_secs(4 * 3600);
/// Samples in a window, at the least.
const WINDOW_SAMPLES: u32 = 10;
/// What is not written: `steady-state` §2.7.
const PAIRS: u32 = 5;
const WINDOW: Duration = Duration::from_secs(60);
const SETTLE: Duration = Duration::from_secs(60);

/// What the verdict compares, and by how much it may differ.
pub(super) struct Comparing {
    /// `None` when it could not be made.
    pub control: Option<Control>,
    pub margin: Option<Share>,
    pub latency_margin_percent: Option<u32>,
}

/// Judges the design and the margins.
pub(super) fn control_of(
    written: Option<&At<raw::Control>>,
    above: Span,
    every: Duration,
    hold: Duration,
    scribe: &mut Scribe,
) -> Comparing {
    let at = written.map_or(above, |w| w.at);
    let none = raw::Control::default();
    let raw::Control {
        place,
        design,
        real,
        sham,
        window,
        settle,
        margin,
        latency_margin,
        control,
        experiment,
        reference,
    } = written.map_or(&none, |w| &w.value);
    let kind = design.as_ref().map_or(raw::Design::Sham, |d| d.value);
    let slots = [
        real.as_ref().map(|f| ("real", f.at)),
        sham.as_ref().map(|f| ("sham", f.at)),
        window.as_ref().map(|f| ("window", f.at)),
        settle.as_ref().map(|f| ("settle", f.at)),
    ];
    let two = [
        control.as_ref().map(|f| ("control", f.at)),
        experiment.as_ref().map(|f| ("experiment", f.at)),
    ];
    let one = [reference.as_ref().map(|f| ("reference", f.at))];
    let mut foreign = vec![];
    if kind != raw::Design::Sham {
        foreign.extend(slots.into_iter().flatten().map(|f| (f, "sham")));
    }
    if kind != raw::Design::Parallel {
        foreign.extend(two.into_iter().flatten().map(|f| (f, "parallel")));
    }
    if kind != raw::Design::Reference {
        foreign.extend(one.into_iter().flatten().map(|f| (f, "reference")));
    }
    for ((key, at), of) in foreign {
        scribe.error(
            at,
            format!("`{key}` has no meaning in this design"),
            format!("remove it, or write `design: {of}`"),
        );
    }
    if let Some(margin) = margin.as_ref().filter(|m| m.value.0 == 0 || m.value.0 > 500_000) {
        scribe.error(
            margin.at,
            "`margin` may be above 0pp up to 50pp",
            "write for example `0.5pp`: no number of requests could show a difference of exactly nothing",
        );
    }
    let margin = margin.as_ref().map(|m| Share(m.value.0));
    let latency_margin_percent =
        latency_margin.as_ref().map(|factor| {
            let percent = (factor.value.0.as_f64() * 100.0).round();
            if !(101.0..=10_000.0).contains(&percent) {
                scribe.error(
                factor.at,
                format!("`latencyMargin` is {}; it may be above 1, up to 100", factor.value.0),
                "write for example `1.5`: the slowest 1 % of answers may take one and a half times as long",
            );
            }
            percent as u32
        });
    let made = match kind {
        raw::Design::BeforeAfter => Some(Control::BeforeAfter),
        raw::Design::Sham => Some(slots_of(
            place,
            [real, sham],
            [window, settle],
            every,
            hold,
            scribe,
        )),
        raw::Design::Parallel => {
            let help = "write `control: { design: parallel, control: /shop/cart-control, experiment: /shop/cart-experiment }`";
            let left = place
                .need(control, "control", help, scribe)
                .and_then(|c| app(c, scribe));
            let hit = place
                .need(experiment, "experiment", help, scribe)
                .and_then(|e| app(e, scribe));
            if left.is_some() && left == hit {
                scribe.error(
                    at,
                    "`control` and `experiment` are the same app: nothing would be left alone",
                    "name two apps of the same definition, with a random split of requests between them",
                );
            }
            left.zip(hit)
                .map(|(control, experiment)| Control::Parallel { control, experiment })
        }
        raw::Design::Reference => place
            .need(
                reference,
                "reference",
                "write `control: { design: reference, reference: /shop/other }`",
                scribe,
            )
            .and_then(|r| app(r, scribe))
            .map(|app| Control::Reference { app }),
    };
    Comparing {
        control: made,
        margin,
        latency_margin_percent,
    }
}

/// Samples of a verdict probe in a slot, at the least.
const SLOT_SAMPLES: u32 = 4;

/// A probe that is rarely looked at sees too little of a slot.
pub(super) fn sampled(
    written: &[raw::Probe],
    probes: &[ProbeSpec],
    control: Option<&Control>,
    scribe: &mut Scribe,
) {
    let Some(Control::Sham { window, .. }) = control else {
        return;
    };
    for (raw, probe) in written
        .iter()
        .zip(probes)
        .filter(|(_, p)| p.role == Role::Verdict)
    {
        let Some(every) = probe.every.filter(|every| *every * SLOT_SAMPLES > *window) else {
            continue;
        };
        scribe.error(
            raw.every.as_ref().map_or(raw.place.at, |every| every.at),
            format!(
                "there is a sample every {}, fewer than four in a slot of {}: no slot would ever be compared",
                brief(every),
                brief(*window)
            ),
            format!(
                "write a `control.window` of at least {}, or a shorter `every`",
                brief(every * SLOT_SAMPLES)
            ),
        );
    }
}

/// A margin for the slow end needs a probe that takes the time of its answers.
pub(super) fn timed(written: Option<&At<raw::Control>>, probes: &[ProbeSpec], scribe: &mut Scribe) {
    let margin = written.and_then(|control| control.value.latency_margin.as_ref());
    let takes_time = |probe: &ProbeSpec| probe.source.parts().iter().any(Source::takes_time);
    if let Some(margin) = margin.filter(|_| !probes.iter().any(takes_time)) {
        scribe.error(
            margin.at,
            "`latencyMargin` has no meaning here: no probe takes the time of its answers",
            "give an `http` probe `slowerThan`, or remove it",
        );
    }
}

fn slots_of(
    place: &Place,
    [real, sham]: [&Option<At<u32>>; 2],
    [window, settle]: [&Option<At<crate::policy::read::Lasting>>; 2],
    every: Duration,
    hold: Duration,
    scribe: &mut Scribe,
) -> Control {
    let help = "write for example `real: 5, sham: 5`: with fewer than 3 pairs nothing can be concluded, and `fault` says how many kills a run makes";
    let pairs = number(real, "real", PAIRS_MIN..=PAIRS_MAX, PAIRS, help, scribe);
    let shams = number(sham, "sham", PAIRS_MIN..=PAIRS_MAX, pairs, help, scribe);
    if shams != pairs {
        scribe.error(
            raw::at(sham, place),
            format!("{pairs} `real` and {shams} `sham`: slots come in pairs"),
            "write the same number for both",
        );
    }
    let least = every * WINDOW_SAMPLES;
    let length = window.as_ref().map_or(WINDOW.max(least), |w| w.value.0);
    if length < least || length > SLOT_MAX {
        scribe.error(
            raw::at(window, place),
            format!(
                "`window` is {}; it needs at least ten samples ({}), and may be at most 4h",
                brief(length),
                brief(least)
            ),
            "write for example `60s`",
        );
    }
    let pause = settle.as_ref().map_or(SETTLE.max(hold), |s| s.value.0);
    if pause < hold || pause > SLOT_MAX {
        scribe.error(
            raw::at(settle, place),
            format!(
                "`settle` is {}; it must be at least `recovery.hold` with {}, and may be at most 4h",
                brief(pause),
                brief(hold)
            ),
            "what a kill leaves behind would be counted in the next slot: raise `settle`, or lower `hold`",
        );
    }
    Control::Sham {
        pairs,
        window: length,
        settle: pause,
    }
}

fn app(text: &At<Text>, scribe: &mut Scribe) -> Option<AppId> {
    match AppId::parse(&text.value.0) {
        Ok(app) => Some(app),
        Err(why) => {
            scribe.error(
                text.at,
                format!("`{}` is not an app: {why}", text.value.0),
                "write Marathon's absolute id, such as `/shop/cart-control`",
            );
            None
        }
    }
}

/// In a design with two apps every probe that counts needs one that looks at the other app; in the others
/// there is no other app to look at.
pub(super) fn counterparts(
    written: &[raw::Probe],
    probes: &[ProbeSpec],
    control: Option<&Control>,
    scribe: &mut Scribe,
) {
    let Some(control) = control else { return };
    for (raw, probe) in written.iter().zip(probes) {
        let (Some(at), Some(of)) = (raw.control_for.as_ref().map(|f| f.at), &probe.control_for) else {
            continue;
        };
        let Some(app) = control.left_alone() else {
            scribe.error(
                at,
                "`controlFor` has no meaning in this design: no other app is looked at",
                "remove it, or write `control: { design: parallel, … }` or `{ design: reference, … }`",
            );
            continue;
        };
        let known = probes.iter().find(|p| p.name == *of);
        let twice = probes
            .iter()
            .filter(|p| p.control_for.as_ref() == Some(of))
            .count()
            > 1;
        let trouble = match known {
            None => Some(format!("there is no probe `{of}`")),
            Some(other) if other.group() == Group::Control => {
                Some(format!("`{of}` looks at the control group, too"))
            }
            Some(other) if other.source.kind() != probe.source.kind() => Some(format!(
                "`{of}` asks a `{}` source, this one a `{}` source: they can't be compared",
                other.source.kind(),
                probe.source.kind()
            )),
            Some(_) if twice => Some(format!("`{of}` has more than one counterpart")),
            Some(_) if probe.source == Source::Marathon => {
                Some("a `marathon` source counts the tasks of the app that is hit".to_owned())
            }
            Some(_) => None,
        };
        if let Some(what) = trouble {
            scribe.error(
                at,
                what,
                format!("name a probe of the app that is hit, and let this one ask {app} in the same way"),
            );
        }
    }
    if let Some(app) = control.left_alone() {
        let alone = written.iter().zip(probes).filter(|(_, p)| {
            p.role != Role::Observe
                && p.group() == Group::Experiment
                && p.source != Source::Marathon
                && !probes.iter().any(|c| c.control_for.as_ref() == Some(&p.name))
        });
        for (raw, probe) in alone {
            scribe.error(
                raw.place.at,
                format!("probe `{}` has no counterpart that asks {app}", probe.name),
                format!(
                    "add a probe with `controlFor: {}`, or give this one `role: observe`",
                    probe.name
                ),
            );
        }
    }
}
