//! What the schedules come to: the calendar of the moments, and the runs and kills to be expected.
//!
//! Expectations come from the windows, holidays and means alone and need no seed. The moments are those that the
//! operator will act on, because both ask the same function. What happens on the day is not foreseen: gates, people,
//! rates, and apps that come and go.

use super::cadence::{coin_gap, due_on, gap_allows, gap_in_words, longest_run, starts_on};
use super::expected::{Expected, holds_back};
use super::windows::civil_text;
use crate::model::forecast::{Forecast, Moment, MonthAhead};
use crate::model::ids::AppId;
use crate::model::plan::hex;
use crate::model::policy::{Cadence, Count, FaultSpec, Limits, MinGap, Mode, Policy};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Longest stretch that is looked at, in days: more than that is a slip of the keyboard.
pub const DAYS_MAX: i64 = 5 * 366;

/// Foresees all policies from one date to another, both included. Policies that are off are left out.
///
/// # Errors
///
/// A sentence, when the dates are the wrong way round or too far apart.
pub fn forecast<'a>(
    seed: Option<&str>,
    policies: impl IntoIterator<Item = &'a Policy>,
    limits: &Limits,
    from: NaiveDate,
    to: NaiveDate,
) -> Result<Forecast, String> {
    let days = (to - from).num_days() + 1;
    if !(1..=DAYS_MAX).contains(&days) {
        return Err(format!(
            "from {from} to {to} is no stretch of 1 to {DAYS_MAX} days; nothing was foreseen"
        ));
    }
    let mut all = Forecast {
        from,
        to,
        seed_sha256: seed.map(|seed| hex(&Sha256::digest(seed.as_bytes()))),
        months: vec![],
        moments: vec![],
        remarks: vec![],
    };
    let on: Vec<&Policy> = policies
        .into_iter()
        .filter(|policy| policy.mode != Mode::Off)
        .collect();
    for policy in &on {
        Ahead::of(seed, policy, limits).foresee(&mut all);
    }
    all.moments
        .sort_by(|a, b| (a.at, &a.policy).cmp(&(b.at, &b.policy)));
    all.months
        .sort_by(|a, b| (&a.policy, &a.app, &a.month).cmp(&(&b.policy, &b.app, &b.month)));
    let gap_matters = |policy: &&&Policy| {
        policy.schedule.cadence != Cadence::OnDemand
            && policy.scope.one_app().is_some()
            // One date has one run in any case.
            && !matches!(policy.schedule.min_gap, MinGap::None | MinGap::Workdays(0 | 1))
    };
    let modes: Vec<Mode> = on.iter().filter(gap_matters).map(|policy| policy.mode).collect();
    if seed.is_some() && modes.contains(&Mode::Enforce) {
        all.remarks.push(format!(
            "Minimum gaps are counted as if nothing had been killed before {from}."
        ));
    }
    if modes.contains(&Mode::Rehearse) {
        all.remarks.push(
            "A rehearsal kills nothing, so no minimum gap holds the next one back: there are more of them than there would be of kills.".into(),
        );
    }
    if seed.is_none() {
        all.remarks.push(
            "The seed is not known here, so only expectations are shown, no moments: ask on the operator's host.".into(),
        );
    }
    all.remarks.push(
        "What a day brings is not in it: gates, approvals, rates and missed moments only make it fewer; people who ask for runs make it more."
            .into(),
    );
    Ok(all)
}

/// One policy, and what does not change from day to day.
struct Ahead<'a> {
    seed: Option<&'a str>,
    policy: &'a Policy,
    limits: &'a Limits,
    longest: TimeDelta,
    /// The apps, each with an equal share of the turns; the policy's own words where they can't be known.
    apps: Vec<String>,
    /// Whether its kills hold back its later runs.
    holds_back: bool,
    /// Kills of one run: mean and most.
    kills: (f64, u32),
}

/// What one month comes to.
#[derive(Default)]
struct Sum {
    days: u32,
    runs: f64,
    drawn: u32,
}

/// Kills of one run, mean and most; where that is known only when it is planned, the most that may be down
/// at once, and why.
fn most_kills(policy: &Policy) -> Result<(f64, u32), (u32, &'static str)> {
    let radius = &policy.blast_radius;
    match &policy.fault {
        FaultSpec::KillTasks { count, .. } => match *count {
            Count::Exactly(n) => Ok((f64::from(n), n)),
            Count::RandomUpTo(n) => Ok(((f64::from(n) + 1.0) / 2.0, n)),
            Count::Percent(_) => Err((radius.max_tasks, "kills a share of its app's tasks")),
        },
        FaultSpec::AgentOutage { .. } => Err((
            radius.max_tasks_in_all.unwrap_or(radius.max_tasks),
            "kills what is on one place when it runs, one step after the other",
        )),
    }
}

impl<'a> Ahead<'a> {
    fn of(seed: Option<&'a str>, policy: &'a Policy, limits: &'a Limits) -> Self {
        let named = policy.scope.ids.iter().all(|id| !id.0.contains('*'));
        // An outage gives no app a turn: it hits them together.
        let in_turn = !policy.fault.needs_agents();
        let apps = if in_turn && named && !policy.scope.ids.is_empty() && policy.scope.selector.is_none() {
            let left = |id: &AppId| {
                !policy
                    .scope
                    .except
                    .iter()
                    .chain(&limits.forbidden_apps)
                    .any(|p| p.matches(id))
            };
            let ids = policy.scope.ids.iter().map(|id| AppId::new(id.0.clone()));
            ids.filter(left).map(|id| id.to_string()).collect()
        } else {
            vec![in_its_words(policy)]
        };
        let kills = match (policy.mode, most_kills(policy)) {
            (Mode::Off | Mode::Rehearse, _) => (0.0, 0),
            (Mode::Enforce, Ok(kills)) => kills,
            (Mode::Enforce, Err((most, _))) => (f64::from(most), most),
        };
        Self {
            seed,
            policy,
            limits,
            longest: longest_run(policy),
            apps,
            holds_back: holds_back(policy),
            kills,
        }
    }

    fn foresee(&self, all: &mut Forecast) {
        let policy = self.policy;
        if self.apps.is_empty() {
            all.remarks.push(format!(
                "{} names no app that may be hit: every one is excepted or forbidden.",
                policy.name
            ));
            return;
        }
        if policy.schedule.cadence == Cadence::OnDemand {
            all.remarks
                .push(format!("{} runs only when a person asks.", policy.name));
            return;
        }
        if let (Mode::Enforce, Err((most, what))) = (policy.mode, most_kills(policy)) {
            all.remarks.push(format!(
                "{} {what}; counted as the {most} that its blast radius allows at most.",
                policy.name
            ));
        }
        if let Some(until) = policy
            .schedule
            .covered
            .until
            .into_iter()
            .chain(self.limits.covered.until)
            .min()
            .filter(|until| *until < all.to)
        {
            all.remarks.push(format!(
                "{}: holidays are known until {until}; nothing runs after that until the list is renewed.",
                policy.name
            ));
        }
        let mut months: BTreeMap<String, Sum> = BTreeMap::new();
        let mut last = None;
        let mut expected = Expected::new(policy, self.limits, all.from);
        for date in all.from.iter_days().take_while(|date| *date <= all.to) {
            let open = starts_on(&policy.schedule, self.longest, self.limits, date);
            let expected = expected.on(date);
            let sum = months.entry(date.format("%Y-%m").to_string()).or_default();
            sum.days += u32::from(!open.is_empty());
            // A fixed distance is no chance: it is the same with and without a seed.
            let seed = match policy.schedule.cadence {
                Cadence::Every(_) => Some(self.seed.unwrap_or_default()),
                _ => self.seed,
            };
            let Some(seed) = seed else {
                sum.runs += expected;
                continue;
            };
            let begin = self.moments(seed, date, &mut last, &mut all.moments);
            sum.drawn += begin;
            sum.runs += match policy.schedule.cadence {
                Cadence::Every(_) => f64::from(begin),
                _ => expected,
            };
        }
        if self.seed.is_none() {
            all.moments.retain(|moment| moment.policy != policy.name);
        }
        let share = 1.0 / self.apps.len() as f64;
        for (month, sum) in months {
            let (mean, most) = self.kills;
            all.months.extend(self.apps.iter().map(|app| {
                let drawn = (self.seed.is_some() && self.apps.len() == 1).then_some(sum.drawn);
                let runs = sum.runs * share;
                let runs_max = drawn.unwrap_or(runs.ceil() as u32);
                MonthAhead {
                    policy: policy.name.clone(),
                    mode: policy.mode,
                    cluster: policy.cluster.clone(),
                    app: app.clone(),
                    month: month.clone(),
                    days: sum.days,
                    runs,
                    drawn,
                    kills: runs * mean,
                    kills_max: runs_max.saturating_mul(most),
                }
            }));
        }
    }

    /// Adds the moments of a date, and counts those that will begin. `last` is the last of them so far.
    fn moments(
        &self,
        seed: &str,
        date: NaiveDate,
        last: &mut Option<DateTime<Utc>>,
        into: &mut Vec<Moment>,
    ) -> u32 {
        let policy = self.policy;
        let due = due_on(
            seed,
            &policy.schedule,
            coin_gap(policy),
            self.longest,
            policy.name.as_str(),
            self.limits,
            date,
        );
        let mut begin = 0;
        for at in due {
            let held_back = last
                .filter(|_| self.holds_back)
                .and_then(|last| self.too_soon(last, at));
            if held_back.is_none() {
                *last = Some(at);
                begin += 1;
            }
            into.push(Moment {
                at,
                local: civil_text(policy.schedule.timezone, at),
                longest_s: u64::try_from(self.longest.num_seconds()).unwrap_or(0),
                policy: policy.name.clone(),
                mode: policy.mode,
                app: self.apps.join(" or "),
                kills_max: self.kills.1,
                held_back,
            });
        }
        begin
    }

    /// Why a moment has no run, when the run before it began at `last`.
    fn too_soon(&self, last: DateTime<Utc>, at: DateTime<Utc>) -> Option<String> {
        let schedule = &self.policy.schedule;
        let until = gap_allows(schedule, self.limits, Some(last), at).err()?.until;
        let again = match until {
            Some(until) => format!("the next may begin from {}", civil_text(schedule.timezone, until)),
            None => "no end of that is in sight".to_owned(),
        };
        Some(format!(
            "too soon: the run before is to begin {}, and the policy wants {} between two kills of this app; {again}",
            civil_text(schedule.timezone, last),
            gap_in_words(schedule.min_gap)
        ))
    }
}

/// Which apps a policy speaks of, where it does not list them.
fn in_its_words(policy: &Policy) -> String {
    let ids: Vec<&str> = policy.scope.ids.iter().map(|id| id.0.as_str()).collect();
    match (&policy.scope.selector, ids.is_empty()) {
        (Some(selector), true) => selector.to_string(),
        (Some(selector), false) => format!("{} with {selector}", ids.join(" or ")),
        (None, true) => "every app".to_owned(),
        (None, false) => ids.join(" or "),
    }
}
