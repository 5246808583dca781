//! How many runs begin on average, day by day: what the draws of [`cadence`](super::cadence) come to when nobody knows
//! the seed, with what the gap since the run before takes away.
//!
//! # Assumptions
//!
//! A run that begins kills. Runs whose gap reaches a moment exclude each other there, because of two of them the earlier
//! blocks the later; so the chance that a moment is free is one minus the sum of their chances. The draws of two dates
//! are independent, so that the chance of a run is the chance of its draw times that.

use super::cadence::{chance_on, coin_gap, gap_in_a_day, length, longest_run, rate, starts_on};
use super::windows::{Span, is_work_day};
use crate::model::policy::{Cadence, Limits, MinGap, Mode, Policy};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use std::collections::VecDeque;
use std::time::Duration;

/// A date is looked at in at least so many pieces.
const PIECES_MIN: f64 = 64.0;
/// And at most so many: a gap that is shorter than one of them blocks nothing but its own piece.
const PIECES_MAX: f64 = 1_024.0;
/// So many days before the first that is asked for, the policy is taken to be at work already.
const BEFORE: i64 = 30;

/// A part of a date: its middle, its length in seconds, and how many moments of it are drawn on average.
struct Piece {
    middle: DateTime<Utc>,
    drawn: f64,
}

/// Runs to be expected, asked for one date after the other.
pub(super) struct Expected<'a> {
    policy: &'a Policy,
    limits: &'a Limits,
    longest: TimeDelta,
    /// The gap that holds runs back, where one does.
    gap: Option<Duration>,
    /// Runs of earlier dates: until when they block, and how many there are on average. In the order of time.
    before: VecDeque<(DateTime<Utc>, f64)>,
}

/// Whether the kills of a policy hold back later runs of its own: a rehearsal kills nothing, and where there are
/// several apps another has the turn.
pub(super) fn holds_back(policy: &Policy) -> bool {
    policy.mode == Mode::Enforce
        && policy.scope.one_app().is_some()
        && !matches!(policy.schedule.min_gap, MinGap::None | MinGap::Workdays(0))
}

impl<'a> Expected<'a> {
    /// For a policy that has been at work for a while on `from`.
    pub(super) fn new(policy: &'a Policy, limits: &'a Limits, from: NaiveDate) -> Self {
        let gap = match (&policy.schedule.cadence, policy.schedule.min_gap) {
            (Cadence::Poisson { .. }, gap) => Some(gap_in_a_day(gap)),
            (_, MinGap::Elapsed(gap)) => Some(gap),
            // Whole days: the chances are made so that it need not be counted.
            _ => None,
        };
        let mut this = Self {
            policy,
            limits,
            longest: longest_run(policy),
            gap: gap.filter(|_| holds_back(policy)),
            before: VecDeque::new(),
        };
        if let Some(gap) = this.gap {
            let days = i64::try_from(gap.as_secs() / 86_400).unwrap_or(i64::MAX).min(400) + BEFORE;
            let first = from.checked_sub_signed(TimeDelta::days(days)).unwrap_or(from);
            for date in first.iter_days().take_while(|date| *date < from) {
                this.on(date);
            }
        }
        this
    }

    /// Runs on this date, which is the one after the last that was asked for.
    pub(super) fn on(&mut self, date: NaiveDate) -> f64 {
        let schedule = &self.policy.schedule;
        let starts = starts_on(schedule, self.longest, self.limits, date);
        let pieces = match schedule.cadence {
            Cadence::OnDemand | Cadence::Every(_) => return 0.0,
            _ if starts.is_empty() => return 0.0,
            Cadence::MeanTimeBetween { .. } if !is_work_day(schedule, self.limits, date) => return 0.0,
            Cadence::MeanTimeBetween { workdays } => {
                if holds_back(self.policy) && self.gap.is_none() {
                    let least = match schedule.min_gap {
                        MinGap::Workdays(gap) => gap,
                        _ => 1,
                    };
                    return 1.0 / f64::from(workdays.max(least).max(1));
                }
                let gap = coin_gap(self.policy);
                let chance = chance_on(schedule, workdays, gap, self.longest, self.limits, date);
                if self.gap.is_none() {
                    return chance;
                }
                evenly(&starts, chance)
            }
            Cadence::Poisson { mean } => kept(&starts, mean, gap_in_a_day(schedule.min_gap)),
        };
        let Some(gap) = self.gap.and_then(|gap| TimeDelta::from_std(gap).ok()) else {
            return pieces.iter().map(|piece| piece.drawn).sum();
        };
        let mut blocked: f64 = self.before.iter().map(|(_, runs)| runs).sum();
        let mut begun = Vec::with_capacity(pieces.len());
        for Piece { middle, drawn } in pieces {
            while let Some((_, runs)) = self.before.pop_front_if(|(until, _)| *until <= middle) {
                blocked -= runs;
            }
            begun.push((middle + gap, drawn * (1.0 - blocked).clamp(0.0, 1.0)));
        }
        let runs = begun.iter().map(|(_, runs)| runs).sum();
        self.before.extend(begun);
        runs
    }
}

/// One moment at the most, anywhere with the same chance.
fn evenly(spans: &[Span], chance: f64) -> Vec<Piece> {
    let open: f64 = spans.iter().map(length).sum();
    in_pieces(spans, open / PIECES_MIN)
        .map(|(middle, seconds)| Piece {
            middle,
            drawn: chance * seconds / open,
        })
        .collect()
}

/// Moments of a date that are kept, those of its own before them being kept too.
fn kept(spans: &[Span], mean: Duration, gap: Duration) -> Vec<Piece> {
    let (rate, gap) = (rate(spans, mean, gap), gap.as_secs_f64());
    let open: f64 = spans.iter().map(length).sum();
    let pieces = (8.0 * open / gap.max(1e-9)).clamp(PIECES_MIN, PIECES_MAX);
    if gap <= 2.0 * open / pieces {
        let kept = 1.0 / (1.0 / rate.max(1e-12) + gap);
        return in_pieces(spans, open / pieces)
            .map(|(middle, seconds)| Piece {
                middle,
                drawn: kept * seconds,
            })
            .collect();
    }
    // How many are kept up to a moment, in seconds of that date; their number grows with
    // rate · (1 − what was kept within the gap before).
    let Some((first, _)) = spans.first().copied() else {
        return vec![];
    };
    let mut sums: Vec<(f64, f64)> = vec![];
    let (mut sum, mut near) = (0.0, 0);
    in_pieces(spans, open / pieces)
        .map(|(middle, seconds)| {
            let at = (middle - first).num_milliseconds() as f64 / 1e3;
            if sums.last().is_none_or(|(end, _)| *end < at - seconds * 0.75) {
                sums.push((at - seconds / 2.0, sum));
            }
            let before = up_to(&sums, &mut near, at - gap);
            let level = 1.0 + before;
            let drawn = ((level - sum) * (1.0 - (-rate * seconds).exp())).max(0.0);
            sum += drawn;
            sums.push((at + seconds / 2.0, sum));
            Piece { middle, drawn }
        })
        .collect()
}

/// The sum at a moment, between those of its neighbours. `near` is where the last answer was: moments only grow.
fn up_to(sums: &[(f64, f64)], near: &mut usize, at: f64) -> f64 {
    while sums.get(*near + 1).is_some_and(|(next, _)| *next <= at) {
        *near += 1;
    }
    match (sums.get(*near), sums.get(*near + 1)) {
        (Some((here, _)), _) if at <= *here => 0.0,
        (Some((here, sum)), Some((next, more))) => sum + (more - sum) * (at - here) / (next - here),
        (Some((_, sum)), None) => *sum,
        (None, _) => 0.0,
    }
}

/// Spans cut into pieces of at most about so many seconds: the middle of each, and its length.
fn in_pieces(spans: &[Span], seconds: f64) -> impl Iterator<Item = (DateTime<Utc>, f64)> {
    spans.iter().flat_map(move |span| {
        let (start, all) = (span.0, length(span));
        let pieces = (all / seconds.max(1e-3)).ceil().max(1.0);
        let each = all / pieces;
        (0..pieces as u32).map(move |n| {
            let middle = (f64::from(n) + 0.5) * each;
            (start + TimeDelta::milliseconds((middle * 1e3) as i64), each)
        })
    })
}
