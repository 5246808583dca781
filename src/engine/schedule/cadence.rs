//! When runs are meant to happen: drawn from the seed, so that a restart or a second look changes
//! nothing and anybody with the seed can check it with `sha256sum`.

use super::HORIZON_DAYS;
use super::windows::{Span, civil_text, date_in, is_work_day, open_windows, start_of};
use crate::model::experiment::Control;
use crate::model::policy::{Cadence, Count, FaultSpec, Limits, MinGap, Policy, Schedule};
use crate::model::words::brief;
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

/// The instants in `[from, to)` at which the policy is meant to start a run, in order, drawn by its name `whose`. The gap since
/// the last kill is asked elsewhere ([`gap_allows`]).
///
/// A percentage of the tasks counts as the policy's `maxTasks` steps at most when the longest run is
/// kept free before the window's end, since the app's size is not known here.
pub fn due(
    seed: &str,
    policy: &Policy,
    whose: &str,
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
                whose,
                limits,
                date,
            )
        })
        .filter(|at| from <= *at && *at < to)
        .collect()
}

/// The first instant after `after` at which the policy is meant to start a run.
pub fn next_due(
    seed: &str,
    policy: &Policy,
    whose: &str,
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
                whose,
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
    let until = match schedule.min_gap {
        MinGap::None | MinGap::Workdays(0) => return Ok(()),
        MinGap::Elapsed(gap) => TimeDelta::from_std(gap)
            .ok()
            .and_then(|gap| last.checked_add_signed(gap)),
        MinGap::Workdays(days) => {
            let date = date_in(zone, last)
                .iter_days()
                .skip(1)
                .take(HORIZON_DAYS)
                .filter(|date| is_work_day(schedule, limits, *date))
                .nth(usize::try_from(days - 1).unwrap_or(usize::MAX));
            date.and_then(|date| start_of(zone, date))
        }
    };
    if until.is_some_and(|until| until <= now) {
        return Ok(());
    }
    let end = until.map_or("not in sight".to_owned(), |until| civil_text(zone, until));
    let why = format!(
        "the last kill on this app was {}, and the policy wants {} between two; that is over {end}",
        civil_text(zone, last),
        gap_in_words(schedule.min_gap)
    );
    Err(TooSoon { why, until })
}

/// `3 work days`, `36h`.
pub(super) fn gap_in_words(gap: MinGap) -> String {
    match gap {
        MinGap::None => "nothing".to_owned(),
        MinGap::Workdays(1) => "1 work day".to_owned(),
        MinGap::Workdays(days) => format!("{days} work days"),
        MinGap::Elapsed(time) => brief(time),
    }
}

pub(super) fn due_on(
    seed: &str,
    schedule: &Schedule,
    coin_gap: MinGap,
    longest: TimeDelta,
    whose: &str,
    limits: &Limits,
    date: NaiveDate,
) -> Vec<DateTime<Utc>> {
    let starts = starts_on(schedule, longest, limits, date);
    match schedule.cadence {
        Cadence::OnDemand => Vec::new(),
        Cadence::MeanTimeBetween { workdays } => {
            let fires = is_work_day(schedule, limits, date) && {
                let drawn = share(&hash(seed, whose, date, "fire"));
                // Which days block is asked only where it decides.
                drawn < chance(workdays, 0)
                    || (drawn < chance(workdays, days_blocking_max(coin_gap))
                        && drawn < chance_on(schedule, workdays, coin_gap, longest, limits, date))
            };
            let at = fires.then(|| along(&starts, share(&hash(seed, whose, date, "when"))));
            at.flatten().into_iter().collect()
        }
        Cadence::Poisson { mean } => poisson(seed, whose, date, &starts, mean, schedule.min_gap),
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

/// The stretches of a date in which a run can begin and still end inside its window.
pub(super) fn starts_on(
    schedule: &Schedule,
    longest: TimeDelta,
    limits: &Limits,
    date: NaiveDate,
) -> Vec<Span> {
    open_windows(schedule, limits, date)
        .into_iter()
        .map(|(start, end)| (start, end - longest))
        .filter(|(start, end)| start < end)
        .collect()
}

/// The chance of a run on a day with a window, when a kill on any of `blocking` such days before it would forbid
/// one on it: 1/(μ − blocking), with a mean of μ.
///
/// # Guarantees
///
/// A gap in work days blocks whole days, and then every day with a window has a run with chance 1/μ, whatever the
/// calendar. Kills on the days that block `date` exclude each other, since the earlier of two blocks the later too;
/// so the chance that none of them has one is 1 − blocking/μ, and that times 1/(μ − blocking) is 1/μ. With a window
/// on every work day and a gap of ε work days, blocking is ε − 1 and the chance the published 1/(μ − ε + 1).
///
/// Where more is held back than was counted here (a gap in hours blocks parts of days, gates say no), it is fewer
/// kills, never more. The kills are as many of the days that came up heads as fit between their gaps, for the
/// earliest that fits is always taken; days that drop out can't make more of them fit.
pub(super) fn chance(workdays: u32, blocking: u32) -> f64 {
    match workdays {
        0 => 0.0,
        workdays => 1.0 / f64::from(workdays.saturating_sub(blocking).max(1)),
    }
}

/// The chance of a run on a work day of this calendar.
pub(super) fn chance_on(
    schedule: &Schedule,
    workdays: u32,
    coin_gap: MinGap,
    longest: TimeDelta,
    limits: &Limits,
    date: NaiveDate,
) -> f64 {
    chance(workdays, days_blocking(schedule, coin_gap, longest, limits, date))
}

/// No date is blocked by more days than this.
fn days_blocking_max(gap: MinGap) -> u32 {
    match gap {
        MinGap::None => 0,
        MinGap::Workdays(days) => days.saturating_sub(1),
        MinGap::Elapsed(time) => u32::try_from(time.as_secs().div_ceil(86_400)).unwrap_or(u32::MAX),
    }
}

/// How many days with a window lie so shortly before `date` that a kill on any of them, whenever, forbids one on
/// `date`, whenever. Days without a window have no kills and block nothing.
fn days_blocking(
    schedule: &Schedule,
    gap: MinGap,
    longest: TimeDelta,
    limits: &Limits,
    date: NaiveDate,
) -> u32 {
    let works = |date: NaiveDate| is_work_day(schedule, limits, date);
    let before = std::iter::successors(date.pred_opt(), NaiveDate::pred_opt).take(HORIZON_DAYS);
    let with_window = |date: NaiveDate| {
        let starts = starts_on(schedule, longest, limits, date);
        starts.first().filter(|_| works(date)).map(|(first, _)| *first)
    };
    let blocking = match gap {
        MinGap::None => 0,
        MinGap::Workdays(gap) => {
            // Work days from the one after the kill to this one.
            let mut between = u32::from(works(date));
            before
                .take_while(|day| {
                    let near = between < gap;
                    between += u32::from(works(*day));
                    near
                })
                .filter(|day| with_window(*day).is_some())
                .count()
        }
        MinGap::Elapsed(gap) => {
            let gap = TimeDelta::from_std(gap).unwrap_or(TimeDelta::MAX);
            let Some((_, end)) = starts_on(schedule, longest, limits, date).last().copied() else {
                return 0;
            };
            // A day has at most 25 hours: what is further away is over in any case.
            let days = usize::try_from(gap.num_days() + 2).unwrap_or(usize::MAX);
            before
                .take(days)
                .filter(|day| with_window(*day).is_some_and(|first| end - first <= gap))
                .count()
        }
    };
    u32::try_from(blocking).unwrap_or(u32::MAX)
}

/// Most moments that are drawn for one date, before those that come too soon are dropped. The smallest mean that a
/// policy may write is five minutes, 288 in a day.
const A_DAY_MAX: u32 = 1_000;
/// Most moments that are drawn for one date on average: from here on, `A_DAY_MAX` cuts nothing off.
const A_DAY_MEAN_MAX: f64 = 600.0;

/// The gap between moments of one date.
pub(super) fn gap_in_a_day(gap: MinGap) -> Duration {
    match gap {
        MinGap::None => Duration::ZERO,
        MinGap::Elapsed(gap) => gap,
        // Refused when a policy is read: one a day is what the other cadence is for.
        MinGap::Workdays(_) => Duration::from_secs(86_400),
    }
}

/// Independent moments of the open time, thinned: one that comes sooner after the last of the same date than the
/// minimum gap is dropped. They are drawn oftener for that ([`rate`]), so that the mean is kept.
fn poisson(
    seed: &str,
    whose: &str,
    date: NaiveDate,
    spans: &[Span],
    mean: Duration,
    gap: MinGap,
) -> Vec<DateTime<Utc>> {
    let gap = gap_in_a_day(gap);
    let open: f64 = spans.iter().map(length).sum();
    let number = poisson_number(
        share(&hash(seed, whose, date, "count")),
        open * rate(spans, mean, gap),
    );
    let draw = |i: u32| along(spans, share(&hash(seed, whose, date, &format!("when|{i}"))));
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

/// Moments a second that have to be drawn, so that those that are kept of a date have the mean.
///
/// # Guarantees
///
/// They never have a shorter one. Each stretch is counted as if nothing had been before it, which is so for the first
/// of a date; what reaches over from a stretch or a date before only drops more. The closed time between two dates
/// blocks nothing and is not corrected for.
pub(super) fn rate(spans: &[Span], mean: Duration, gap: Duration) -> f64 {
    let open: f64 = spans.iter().map(length).sum();
    if gap >= mean || open <= 0.0 {
        return 0.0;
    }
    let (mean, gap) = (mean.as_secs_f64(), gap.as_secs_f64());
    // Without a gap the one, with a gap that blocks to its end whenever a moment was kept the other.
    let (mut low, mut high) = (1.0 / mean, 1.0 / (mean - gap));
    if low < high {
        for _ in 0..40 {
            let middle = f64::midpoint(low, high);
            let kept: f64 = spans.iter().map(|span| kept(length(span), gap, middle)).sum();
            if kept <= open / mean {
                low = middle;
            } else {
                high = middle;
            }
        }
    }
    low.min(A_DAY_MEAN_MAX / open)
}

/// How many moments of an open stretch are kept on average, or a little more than that.
fn kept(open: f64, gap: f64, rate: f64) -> f64 {
    // From one kept moment to the next it is the gap and then 1/rate; the last gap may reach beyond the end. Of
    // many moments that end is a small part.
    if open > 64.0 * gap {
        return ((open + gap) / (1.0 / rate + gap)).min(open * rate);
    }
    // The n-th is kept inside when n moments come in what n − 1 gaps leave.
    (1_u32..)
        .map(|n| (n, open - f64::from(n - 1) * gap))
        .take_while(|(_, left)| *left > 0.0)
        .map(|(n, left)| at_least(n, rate * left))
        .sum()
}

/// The chance of at least so many, where so many come on average.
fn at_least(number: u32, mean: f64) -> f64 {
    let mut chance = (-mean).exp();
    let mut fewer = 0.0;
    for n in 1..=number {
        fewer += chance;
        chance *= mean / f64::from(n);
    }
    (1.0 - fewer).max(0.0)
}

/// Seconds of a stretch.
pub(super) fn length((start, end): &Span) -> f64 {
    (*end - *start).num_milliseconds() as f64 / 1e3
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

/// `whose` is the name of the policy: one that hits several apps draws once for all of them, and draws the app then.
pub(super) fn hash(seed: &str, whose: &str, date: NaiveDate, purpose: &str) -> [u8; 32] {
    Sha256::digest(format!("v1|{seed}|{whose}|{date}|{purpose}")).into()
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
