//! When runs are meant to happen: drawn from the seed, so that a restart or a second look changes
//! nothing and anybody with the seed can check it with `sha256sum`.

use super::HORIZON_DAYS;
use super::windows::{Span, civil_text, date_in, is_work_day, open_windows, start_of};
use crate::model::experiment::Control;
use crate::model::policy::{Cadence, Count, FaultSpec, Limits, MinGap, Policy, Schedule};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// An instant that is this far in the past without a run was missed: it is written down as skipped and never
/// caught up.
pub const MISSED_AFTER: Duration = Duration::from_secs(5 * 60);

/// The last kill on this app is too recent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooSoon {
    /// In a sentence.
    pub why: String,
    /// When the gap is over; `None` when it is not within `HORIZON_DAYS` days.
    pub until: Option<DateTime<Utc>>,
}

/// The instants in `[from, to)` at which the policy is meant to start a run on `app`, in order. The gap since
/// the last kill is asked elsewhere ([`gap_allows`]).
///
/// A percentage of the tasks counts as the policy's `maxTasks` steps at most when the longest run is
/// kept free before the window's end, since the app's size is not known here.
pub fn due(
    seed: &str,
    policy: &Policy,
    app: &str,
    limits: &Limits,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Vec<DateTime<Utc>> {
    let zone = policy.schedule.timezone;
    let (first, last, longest) = (date_in(zone, from), date_in(zone, to), longest_run(policy));
    first
        .iter_days()
        .take_while(|date| *date <= last)
        .flat_map(|date| {
            due_on(
                seed,
                &policy.schedule,
                coin_gap(policy),
                longest,
                app,
                limits,
                date,
            )
        })
        .filter(|at| from <= *at && *at < to)
        .collect()
}

/// The first instant after `after` at which the policy is meant to start a run on `app`.
pub fn next_due(
    seed: &str,
    policy: &Policy,
    app: &str,
    limits: &Limits,
    after: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let longest = longest_run(policy);
    date_in(policy.schedule.timezone, after)
        .iter_days()
        .take(HORIZON_DAYS)
        .flat_map(|date| {
            due_on(
                seed,
                &policy.schedule,
                coin_gap(policy),
                longest,
                app,
                limits,
                date,
            )
        })
        .find(|at| *at > after)
}

/// What the instants that have passed come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// None has passed that was not served.
    Nothing,
    /// This one is due now.
    Due(DateTime<Utc>),
    /// The latest passed too long ago: it is written down as skipped, and with it those before. Never caught up.
    Missed {
        /// Which.
        due: DateTime<Utc>,
        /// In a sentence.
        why: String,
    },
}

/// Whether an instant is due now, from those up to `now` in order and the last one that was served or skipped.
pub fn standing(instants: &[DateTime<Utc>], served: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Standing {
    let waiting = instants
        .iter()
        .filter(|at| **at <= now && served.is_none_or(|last| **at > last));
    let (Some(&due), earlier) = (waiting.clone().next_back(), waiting.count().saturating_sub(1)) else {
        return Standing::Nothing;
    };
    let late = (now - due).to_std().unwrap_or_default();
    if late <= MISSED_AFTER {
        return Standing::Due(due);
    }
    let others = match earlier {
        0 => String::new(),
        n => format!(" ({n} earlier ones were missed too)"),
    };
    Standing::Missed {
        due,
        why: format!(
            "missed: the operator came {} s after the planned moment{others}",
            late.as_secs()
        ),
    }
}

/// Whether the schedule's minimum gap since the last real kill on the app is over.
///
/// # Errors
///
/// [`TooSoon`], also when the last kill is dated in the future because the clock went back.
pub fn gap_allows(
    schedule: &Schedule,
    limits: &Limits,
    last_kill: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<(), TooSoon> {
    let Some(last) = last_kill else { return Ok(()) };
    let zone = schedule.timezone;
    let (gap, until) = match schedule.min_gap {
        MinGap::None | MinGap::Workdays(0) => return Ok(()),
        MinGap::Elapsed(gap) => {
            let until = TimeDelta::from_std(gap)
                .ok()
                .and_then(|gap| last.checked_add_signed(gap));
            (format!("{} s", gap.as_secs()), until)
        }
        MinGap::Workdays(days) => {
            let date = date_in(zone, last)
                .iter_days()
                .skip(1)
                .take(HORIZON_DAYS)
                .filter(|date| is_work_day(schedule, limits, *date))
                .nth(usize::try_from(days - 1).unwrap_or(usize::MAX));
            (
                format!("{days} work days"),
                date.and_then(|date| start_of(zone, date)),
            )
        }
    };
    if until.is_some_and(|until| until <= now) {
        return Ok(());
    }
    let end = until.map_or("not in sight".to_owned(), |until| civil_text(zone, until));
    let why = format!(
        "the last kill on this app was {}, and the policy wants {gap} between two; that is over {end}",
        civil_text(zone, last)
    );
    Err(TooSoon { why, until })
}

pub(super) fn due_on(
    seed: &str,
    schedule: &Schedule,
    coin_gap: MinGap,
    longest: TimeDelta,
    app: &str,
    limits: &Limits,
    date: NaiveDate,
) -> Vec<DateTime<Utc>> {
    let starts: Vec<Span> = open_windows(schedule, limits, date)
        .into_iter()
        .map(|(start, end)| (start, end - longest))
        .filter(|(start, end)| start < end)
        .collect();
    match schedule.cadence {
        Cadence::OnDemand => Vec::new(),
        Cadence::MeanTimeBetween { workdays } => {
            let fires = is_work_day(schedule, limits, date)
                && share(&hash(seed, app, date, "fire")) < chance(workdays, coin_gap);
            let at = fires.then(|| along(&starts, share(&hash(seed, app, date, "when"))));
            at.flatten().into_iter().collect()
        }
        Cadence::Poisson { mean } => poisson(seed, app, date, &starts, mean, schedule.min_gap),
        Cadence::Every(step) => {
            let step = TimeDelta::from_std(step).unwrap_or(TimeDelta::MAX);
            if step < TimeDelta::seconds(1) {
                return Vec::new();
            }
            let next = |at: &DateTime<Utc>| at.checked_add_signed(step);
            let grid =
                |(start, end)| std::iter::successors(Some(start), next).take_while(move |at| *at < end);
            starts.into_iter().flat_map(grid).collect()
        }
    }
}

/// The chance of a run on a work day: with a mean of μ and a gap of ε work days, 1/μ would make the
/// realised mean μ + ε − 1, so it is 1/(μ − ε + 1). Elapsed time counts as whole days, rounded up.
pub(super) fn chance(workdays: u32, gap: MinGap) -> f64 {
    let gap = match gap {
        MinGap::None => 1,
        MinGap::Workdays(days) => u64::from(days.max(1)),
        MinGap::Elapsed(time) => time.as_secs().div_ceil(86_400).max(1),
    };
    match workdays {
        0 => 0.0,
        workdays => 1.0 / (u64::from(workdays).saturating_sub(gap) + 1) as f64,
    }
}

/// Most moments that one date can have: a day of them at the smallest mean that a policy may write.
const A_DAY_MAX: u32 = 288;

/// Independent moments of the open time, thinned: one that comes sooner after the last than the minimum gap is
/// dropped. Dropping makes the mean longer by the gap, so that they are drawn with a mean that is shorter by it.
fn poisson(
    seed: &str,
    app: &str,
    date: NaiveDate,
    spans: &[Span],
    mean: Duration,
    gap: MinGap,
) -> Vec<DateTime<Utc>> {
    let gap = match gap {
        MinGap::None => Duration::ZERO,
        MinGap::Elapsed(gap) => gap,
        // Refused when a policy is read: one a day is what the other cadence is for.
        MinGap::Workdays(_) => Duration::from_secs(86_400),
    };
    let open: f64 = spans
        .iter()
        .map(|(start, end)| (*end - *start).num_milliseconds() as f64 / 1e3)
        .sum();
    let apart = mean.saturating_sub(gap).as_secs_f64();
    if apart <= 0.0 || open <= 0.0 {
        return Vec::new();
    }
    let number = poisson_number(share(&hash(seed, app, date, "count")), open / apart);
    let draw = |i: u32| along(spans, share(&hash(seed, app, date, &format!("when|{i}"))));
    let mut moments: Vec<DateTime<Utc>> = (1..=number).filter_map(draw).collect();
    moments.sort_unstable();
    let gap = TimeDelta::from_std(gap).unwrap_or(TimeDelta::MAX);
    let mut kept: Vec<DateTime<Utc>> = Vec::with_capacity(moments.len());
    for at in moments {
        if kept.last().is_none_or(|last| at - *last >= gap && at > *last) {
            kept.push(at);
        }
    }
    kept
}

/// The number with this share of the Poisson distribution at or below it.
pub(super) fn poisson_number(share: f64, mean: f64) -> u32 {
    let mut chance = (-mean).exp();
    let (mut number, mut sum) = (0, chance);
    while share >= sum && number < A_DAY_MAX {
        number += 1;
        chance *= mean / f64::from(number);
        sum += chance;
    }
    number
}

/// The instant at this share of all the spans laid end to end, in whole milliseconds.
fn along(spans: &[Span], share: f64) -> Option<DateTime<Utc>> {
    let total: i64 = spans
        .iter()
        .map(|(start, end)| (*end - *start).num_milliseconds())
        .sum();
    let mut left = (share * total as f64) as i64;
    for (start, end) in spans {
        let length = (*end - *start).num_milliseconds();
        if left < length {
            return Some(*start + TimeDelta::milliseconds(left));
        }
        left -= length;
    }
    None
}

pub(super) fn hash(seed: &str, app: &str, date: NaiveDate, purpose: &str) -> [u8; 32] {
    Sha256::digest(format!("v1|{seed}|{app}|{date}|{purpose}")).into()
}

/// The top 53 bits as a number from 0 (possible) to 1 (not possible).
pub(super) fn share(hash: &[u8; 32]) -> f64 {
    let top = hash[..8]
        .iter()
        .fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
        >> 11;
    top as f64 / (1_u64 << 53) as f64
}

/// The gap that the coin is corrected for. The gap is kept for each app: it takes turns away only from a policy
/// with one app. With several another app has the turn, and a corrected coin would kill more often than was asked.
pub(super) fn coin_gap(policy: &Policy) -> MinGap {
    match policy.scope.one_app() {
        Some(_) => policy.schedule.min_gap,
        None => MinGap::None,
    }
}

/// From the first look to the end of the last recovery.
pub(super) fn longest_run(policy: &Policy) -> TimeDelta {
    let run = armed_for(policy).and_then(|all| all.checked_add(policy.hypothesis.baseline.at_most));
    // Longer than any window: nothing fits.
    run.and_then(|run| TimeDelta::from_std(run).ok())
        .filter(|run| *run < TimeDelta::days(2))
        .unwrap_or(TimeDelta::days(2))
}

/// From the first kill to the end of the last recovery, at most two days.
pub fn longest_armed(policy: &Policy) -> Duration {
    let most = Duration::from_secs(2 * 86_400);
    armed_for(policy).map_or(most, |armed| armed.min(most))
}

fn armed_for(policy: &Policy) -> Option<Duration> {
    let (kills, gap) = match &policy.fault {
        FaultSpec::KillTasks { count, at_once, gap } => {
            let tasks = match count {
                Count::Exactly(tasks) | Count::RandomUpTo(tasks) => *tasks,
                Count::Percent(_) => policy.blast_radius.max_tasks,
            };
            (tasks.div_ceil((*at_once).max(1)).max(1), *gap)
        }
        // How many agents a place has is known when the plan is made; the window gate asks for all of it.
        FaultSpec::AgentOutage { gap, .. } => (1, *gap),
    };
    let control = &policy.hypothesis.control;
    let slots = match control {
        // As many slots without a kill as with one.
        Control::Sham { .. } => kills.saturating_mul(2),
        _ => kills,
    };
    gap.max(control.slot())
        .max(policy.hypothesis.recovery.within)
        .checked_mul(slots)
}
