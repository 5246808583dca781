use super::cadence::{chance, chance_on, due_on, hash, share};
use super::windows::date_in;
use super::*;
use crate::model::experiment::{Baseline, Blindness, Hypothesis, Recovery, Share};
use crate::model::policy::*;
use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, TimeDelta, Timelike, Utc, Weekday};
use chrono_tz::Tz;
use std::collections::BTreeSet;
use std::time::Duration;

const EVERY_DAY: [Weekday; 7] = [
    Weekday::Mon,
    Weekday::Tue,
    Weekday::Wed,
    Weekday::Thu,
    Weekday::Fri,
    Weekday::Sat,
    Weekday::Sun,
];

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn clock(text: &str) -> NaiveTime {
    NaiveTime::parse_from_str(text, "%H:%M").unwrap()
}

fn window(from: &str, to: &str) -> Window {
    Window {
        days: EVERY_DAY.into(),
        from: clock(from),
        to: clock(to),
    }
}

fn schedule(zone: Tz, windows: Vec<Window>) -> Schedule {
    let cadence = Cadence::OnDemand;
    Schedule {
        windows,
        timezone: zone,
        holidays: BTreeSet::new(),
        covered: Default::default(),
        cadence,
        min_gap: MinGap::Workdays(1),
    }
}

fn office() -> Schedule {
    let days = EVERY_DAY[..5].to_vec();
    schedule(
        Tz::Europe__Berlin,
        vec![Window {
            days,
            from: clock("09:00"),
            to: clock("17:00"),
        }],
    )
}

fn limits() -> Limits {
    Limits {
        tasks_down: 1,
        kills_per_hour: 1,
        kills_per_workday: 1,
        forbidden_apps: vec![],
        freezes: vec![],
        timezone: Tz::Europe__Berlin,
        holidays: BTreeSet::new(),
        covered: Default::default(),
    }
}

#[test]
fn civil_windows_become_real_time_on_the_days_the_clocks_change() {
    #[track_caller]
    fn check(zone: Tz, date: &str, from: &str, to: &str, expected: &[(&str, &str)]) {
        let spans = windows_of(&schedule(zone, vec![window(from, to)]), day(date));
        let expected: Vec<_> = expected.iter().map(|(a, b)| (utc(a), utc(b))).collect();
        assert_eq!(spans, expected, "{zone} {date} {from}-{to}");
    }
    let berlin = Tz::Europe__Berlin;
    // Five hours in spring, seven in autumn.
    check(
        berlin,
        "2026-03-29",
        "00:00",
        "06:00",
        &[("2026-03-28T23:00:00Z", "2026-03-29T04:00:00Z")],
    );
    check(
        berlin,
        "2026-10-25",
        "00:00",
        "06:00",
        &[("2026-10-24T22:00:00Z", "2026-10-25T05:00:00Z")],
    );
    // Missing times are the first instant after the gap.
    check(
        berlin,
        "2026-03-29",
        "02:30",
        "04:00",
        &[("2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z")],
    );
    check(
        berlin,
        "2026-03-29",
        "01:00",
        "02:30",
        &[("2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z")],
    );
    check(berlin, "2026-03-29", "02:10", "02:50", &[]);
    // What closes twice closes the first time; what opens twice opens the last time before that.
    check(
        berlin,
        "2026-10-25",
        "01:00",
        "02:30",
        &[("2026-10-24T23:00:00Z", "2026-10-25T00:30:00Z")],
    );
    check(
        berlin,
        "2026-10-25",
        "02:30",
        "04:00",
        &[("2026-10-25T01:30:00Z", "2026-10-25T03:00:00Z")],
    );
    check(
        berlin,
        "2026-10-25",
        "02:10",
        "02:50",
        &[("2026-10-25T00:10:00Z", "2026-10-25T00:50:00Z")],
    );
    let york = Tz::America__New_York;
    check(
        york,
        "2026-03-08",
        "02:30",
        "05:00",
        &[("2026-03-08T07:00:00Z", "2026-03-08T09:00:00Z")],
    );
    check(
        york,
        "2026-11-01",
        "00:00",
        "01:30",
        &[("2026-11-01T04:00:00Z", "2026-11-01T05:30:00Z")],
    );
    let howe = Tz::Australia__Lord_Howe;
    check(
        howe,
        "2026-04-05",
        "01:00",
        "01:45",
        &[("2026-04-04T14:00:00Z", "2026-04-04T14:45:00Z")],
    );
    check(
        howe,
        "2026-04-05",
        "01:45",
        "03:00",
        &[("2026-04-04T15:15:00Z", "2026-04-04T16:30:00Z")],
    );
    let casa = Tz::Africa__Casablanca;
    check(
        casa,
        "2026-02-15",
        "01:00",
        "02:30",
        &[("2026-02-15T00:00:00Z", "2026-02-15T01:30:00Z")],
    );
    check(Tz::Pacific__Apia, "2011-12-30", "09:00", "17:00", &[]);
    check(
        Tz::Pacific__Apia,
        "2011-12-31",
        "09:00",
        "17:00",
        &[("2011-12-30T19:00:00Z", "2011-12-31T03:00:00Z")],
    );
    check(
        Tz::Asia__Kathmandu,
        "2026-06-01",
        "09:00",
        "10:00",
        &[("2026-06-01T03:15:00Z", "2026-06-01T04:15:00Z")],
    );
    check(
        Tz::Pacific__Chatham,
        "2026-06-01",
        "09:00",
        "10:00",
        &[("2026-05-31T20:15:00Z", "2026-05-31T21:15:00Z")],
    );
    // A window that ends before it begins never opens.
    check(berlin, "2026-06-01", "17:00", "09:00", &[]);
    check(berlin, "2026-06-01", "09:00", "09:00", &[]);
}

#[test]
fn windows_agree_with_a_look_at_every_minute() {
    for (zone, first) in [
        (Tz::Europe__Berlin, "2026-03-27"),
        (Tz::Europe__Berlin, "2026-10-23"),
        (Tz::America__New_York, "2026-03-06"),
        (Tz::America__New_York, "2026-10-30"),
        (Tz::Australia__Lord_Howe, "2026-04-03"),
        (Tz::Australia__Lord_Howe, "2026-10-02"),
        (Tz::Africa__Casablanca, "2026-02-13"),
        (Tz::Africa__Casablanca, "2026-03-20"),
        (Tz::Pacific__Apia, "2011-12-28"),
        (Tz::Asia__Kathmandu, "2026-06-01"),
        (Tz::Pacific__Chatham, "2026-04-03"),
        (Tz::America__Havana, "2026-10-30"),
        (Tz::America__Havana, "2026-03-06"),
    ] {
        for date in day(first).iter_days().take(5) {
            let noon = date.and_hms_opt(12, 0, 0).unwrap().and_utc();
            let minutes: Vec<_> = (-2880..2880)
                .map(|minute| noon + TimeDelta::minutes(minute))
                .map(|at| (at, at.with_timezone(&zone).naive_local()))
                .filter(|(_, civil)| civil.date() == date)
                .collect();
            for (from, to) in [
                ("00:00", "06:00"),
                ("01:00", "02:30"),
                ("02:30", "03:15"),
                ("01:45", "02:15"),
                ("02:10", "02:50"),
                ("00:30", "01:30"),
                ("09:00", "17:00"),
            ] {
                let (open, shut) = (date.and_time(clock(from)), date.and_time(clock(to)));
                let end = minutes
                    .iter()
                    .position(|(_, civil)| *civil >= shut)
                    .unwrap_or(minutes.len());
                let begins = |index: usize| {
                    let after = |index: usize| minutes[index].1 >= open;
                    minutes[index].1 == open || (after(index) && (index == 0 || !after(index - 1)))
                };
                let start = (0..end).rev().find(|index| begins(*index));
                let spans = windows_of(&schedule(zone, vec![window(from, to)]), date);
                for (index, (at, civil)) in minutes.iter().enumerate() {
                    let expected = start.is_some_and(|start| start <= index && index < end);
                    let inside = spans.iter().any(|(start, end)| start <= at && at < end);
                    assert_eq!(inside, expected, "{zone} {from}-{to}: {civil} {at}");
                    assert!(!inside || (open <= *civil && *civil < shut));
                }
            }
        }
    }
}

#[test]
fn overlapping_and_touching_windows_are_one() {
    let windows = vec![
        window("11:00", "13:00"),
        window("09:00", "12:00"),
        window("13:00", "14:00"),
    ];
    let spans = windows_of(&schedule(Tz::UTC, windows), day("2026-06-01"));
    assert_eq!(
        spans,
        [(utc("2026-06-01T09:00:00Z"), utc("2026-06-01T14:00:00Z"))]
    );
}

#[test]
fn open_says_until_when_and_closed_says_why_and_until_when() {
    let mut limits = limits();
    limits.freezes = vec![Freeze {
        from: day("2026-12-18"),
        to: day("2027-01-07"),
        why: "year end".to_owned(),
    }];
    limits.holidays = [day("2026-06-04")].into();
    let mut schedule = office();
    schedule.holidays = [day("2026-06-03")].into();
    let ask = |at: &str| open_until(&schedule, &limits, utc(at));
    assert_eq!(ask("2026-06-01T07:00:00Z"), Ok(utc("2026-06-01T15:00:00Z")));
    assert_eq!(ask("2026-06-01T14:59:59.999Z"), Ok(utc("2026-06-01T15:00:00Z")));
    let closed = |at: &str, next: &str, words: &[&str]| {
        let closed = ask(at).unwrap_err();
        assert_eq!(closed.next_opening, Some(utc(next)), "{closed:?}");
        assert!(words.iter().all(|word| closed.why.contains(word)), "{closed:?}");
    };
    closed(
        "2026-06-01T06:59:59Z",
        "2026-06-01T07:00:00Z",
        &["08:59 CEST", "09:00 CEST", "no window"],
    );
    closed(
        "2026-06-01T15:00:00Z",
        "2026-06-02T07:00:00Z",
        &["Mon 2026-06-01 17:00"],
    );
    closed(
        "2026-06-03T10:00:00Z",
        "2026-06-05T07:00:00Z",
        &["holiday of the policy"],
    );
    closed(
        "2026-06-04T10:00:00Z",
        "2026-06-05T07:00:00Z",
        &["holiday for every policy"],
    );
    closed("2026-06-05T20:00:00Z", "2026-06-08T07:00:00Z", &["no window"]);
    closed(
        "2026-12-18T10:00:00Z",
        "2027-01-08T08:00:00Z",
        &["frozen", "year end", "CET"],
    );
    let never = open_until(
        &self::schedule(Tz::UTC, vec![]),
        &limits,
        utc("2026-06-01T07:00:00Z"),
    )
    .unwrap_err();
    assert_eq!(never.next_opening, None);
    assert!(never.why.contains("never runs"));
}

#[test]
fn a_freeze_is_in_its_own_zone() {
    let mut limits = limits();
    limits.freezes = vec![Freeze {
        from: day("2026-06-02"),
        to: day("2026-06-02"),
        why: "x".to_owned(),
    }];
    // Berlin's second of June is 18:00 on the first to 18:00 on the second in New York.
    let schedule = schedule(Tz::America__New_York, vec![window("10:00", "20:00")]);
    let spans = |date: &str| open_windows(&schedule, &limits, day(date));
    assert_eq!(
        spans("2026-06-01"),
        [(utc("2026-06-01T14:00:00Z"), utc("2026-06-01T22:00:00Z"))]
    );
    assert_eq!(
        spans("2026-06-02"),
        [(utc("2026-06-02T22:00:00Z"), utc("2026-06-03T00:00:00Z"))]
    );
    assert!(
        open_until(&schedule, &limits, utc("2026-06-01T23:00:00Z"))
            .unwrap_err()
            .why
            .contains("frozen")
    );
}

#[test]
fn the_published_vectors_hold() {
    let date = day("2026-03-30");
    assert!((share(&hash("seed-42", "/shop/cart", date, "fire")) - 0.535_320_689_467_681).abs() < 1e-15);
    assert!((share(&hash("seed-42", "/shop/cart", date, "when")) - 0.838_726_050_435_049).abs() < 1e-15);
}

#[test]
fn a_draw_lands_at_its_share_of_the_window_less_the_longest_run() {
    let schedule = Schedule {
        cadence: Cadence::MeanTimeBetween { workdays: 1 },
        ..office()
    };
    let ask = |longest| {
        due_on(
            "seed-42",
            &schedule,
            MinGap::Workdays(1),
            longest,
            "/shop/cart",
            &limits(),
            day("2026-03-30"),
        )
    };
    let hours =
        |hours: f64| utc("2026-03-30T07:00:00Z") + TimeDelta::milliseconds((hours * 3_600_000.0) as i64);
    assert_eq!(ask(TimeDelta::zero()), [hours(8.0 * 0.838_726_050_435_049)]);
    assert_eq!(ask(TimeDelta::hours(2)), [hours(6.0 * 0.838_726_050_435_049)]);
    assert!(ask(TimeDelta::hours(8)).is_empty());
}

#[test]
fn a_fixed_distance_starts_at_the_opening_and_leaves_room_for_the_run() {
    let schedule = Schedule {
        cadence: Cadence::Every(Duration::from_secs(3 * 3600)),
        ..office()
    };
    let ask = |longest| {
        due_on(
            "s",
            &schedule,
            MinGap::Workdays(1),
            longest,
            "/a",
            &limits(),
            day("2026-03-30"),
        )
        .len()
    };
    assert_eq!(ask(TimeDelta::zero()), 3);
    assert_eq!(ask(TimeDelta::hours(2)), 2);
    let never = Schedule {
        cadence: Cadence::Every(Duration::ZERO),
        ..office()
    };
    assert!(
        due_on(
            "s",
            &never,
            MinGap::Workdays(1),
            TimeDelta::zero(),
            "/a",
            &limits(),
            day("2026-03-30")
        )
        .is_empty()
    );
    let asked = due_on(
        "s",
        &office(),
        MinGap::Workdays(1),
        TimeDelta::zero(),
        "/a",
        &limits(),
        day("2026-03-30"),
    );
    assert!(asked.is_empty());
}

#[test]
fn the_realised_mean_is_the_mean_that_was_asked_for() {
    #[track_caller]
    fn check(mean: u32, gap: u32) {
        let min_gap = MinGap::Workdays(gap);
        let schedule = Schedule {
            cadence: Cadence::MeanTimeBetween { workdays: mean },
            min_gap,
            ..office()
        };
        let (mut since, mut kills, mut days) = (gap, 0_u32, 0_u32);
        for date in day("2026-01-01").iter_days().take(28_000) {
            if !is_work_day(&schedule, &limits(), date) {
                continue;
            }
            (since, days) = (since + 1, days + 1);
            let fires = !due_on(
                "seed",
                &schedule,
                min_gap,
                TimeDelta::zero(),
                "/a",
                &limits(),
                date,
            )
            .is_empty();
            if fires && since >= gap {
                (since, kills) = (0, kills + 1);
            }
        }
        // 20,000 work days: five standard errors of the mean of a shifted geometric distribution.
        let p = chance(mean, gap - 1);
        let error = ((1.0 - p) / (p * p) / f64::from(kills)).sqrt();
        let realised = f64::from(days) / f64::from(kills);
        assert!(
            (realised - f64::from(mean)).abs() < 5.0 * error + 0.01,
            "{mean} {gap}: {realised} ± {error}"
        );
    }
    check(5, 1);
    check(5, 3);
    check(10, 5);
    check(1, 1);
}

#[test]
fn the_chance_is_the_corrected_one() {
    assert_eq!(chance(5, 0), 0.2);
    assert_eq!(chance(5, 2), 1.0 / 3.0);
    assert_eq!(chance(2, 8), 1.0);
    assert_eq!(chance(0, 0), 0.0);
    // A window on every work day: the published formula, whatever holidays lie between.
    let mut schedule = office();
    schedule.holidays = ["2026-05-14", "2026-05-25", "2026-06-04"].map(day).into();
    for (mean, gap) in [(5, 1), (5, 3), (10, 5), (10, 10)] {
        for date in day("2026-04-01").iter_days().take(90) {
            let chance = chance_on(
                &schedule,
                mean,
                MinGap::Workdays(gap),
                TimeDelta::zero(),
                &limits(),
                date,
            );
            let published = 1.0 / f64::from(mean - gap + 1);
            assert!(
                chance == published || !is_work_day(&schedule, &limits(), date),
                "{mean} {gap} {date}: {chance}"
            );
        }
    }
}

#[test]
fn only_days_that_a_gap_surely_blocks_are_made_up_for() {
    let hours = |hours: u64| MinGap::Elapsed(Duration::from_secs(3_600 * hours));
    let weekdays = |days: &[Weekday]| {
        let mut schedule = office();
        schedule.windows[0].days = days.to_vec();
        schedule
    };
    #[track_caller]
    fn check(schedule: &Schedule, mean: u32, gap: MinGap, date: &str, wanted: f64) {
        let chance = chance_on(schedule, mean, gap, TimeDelta::zero(), &limits(), day(date));
        assert_eq!(chance, wanted, "{gap:?} {date}");
    }
    let (monday, friday) = ("2026-06-01", "2026-06-05");
    // From Monday to Monday five work days pass: nothing is blocked.
    check(
        &weekdays(&[Weekday::Mon]),
        6,
        MinGap::Workdays(5),
        monday,
        1.0 / 6.0,
    );
    check(
        &weekdays(&[Weekday::Mon]),
        6,
        MinGap::Workdays(6),
        monday,
        1.0 / 5.0,
    );
    // Monday blocks Tuesday, and Tuesday does not block the Monday after it.
    let two = weekdays(&[Weekday::Mon, Weekday::Tue]);
    check(&two, 6, MinGap::Workdays(3), monday, 1.0 / 6.0);
    check(&two, 6, MinGap::Workdays(3), "2026-06-02", 1.0 / 5.0);
    // 100 hours: surely Tuesday to Thursday before a Friday, not Monday, when it was in the morning.
    check(&office(), 6, hours(100), friday, 1.0 / 3.0);
    // Before a Monday surely Friday, not Thursday.
    check(&office(), 6, hours(100), monday, 1.0 / 5.0);
    // Fourteen days have ten work days, of which the first may be over.
    check(&office(), 14, hours(14 * 24), friday, 1.0 / 5.0);
    // Less than a day may be over on the next.
    check(&office(), 5, hours(24), friday, 1.0 / 5.0);
}

/// Five years of one app: what the policy's mean allows, what is to be expected, and what some seeds draw on average.
fn five_years(policy: &Policy, mean: f64) -> [f64; 3] {
    use super::forecast::forecast;
    let (from, to) = (day("2026-01-01"), day("2030-12-31"));
    let ahead = |seed: &str| forecast(Some(seed), [policy], &limits(), from, to).unwrap();
    let seeds = ["a", "b", "c", "d"];
    let all: Vec<_> = seeds.into_iter().map(ahead).collect();
    let drawn: u32 = all.iter().flat_map(|a| &a.months).filter_map(|m| m.drawn).sum();
    let expected = all[0].months.iter().map(|m| m.runs).sum();
    let days: u32 = all[0].months.iter().map(|m| m.days).sum();
    [
        f64::from(days) / mean,
        expected,
        f64::from(drawn) / seeds.len() as f64,
    ]
}

#[test]
fn what_is_drawn_is_what_is_to_be_expected_and_never_more_than_the_mean_allows() {
    let hours = |hours: u64| Duration::from_secs(3_600 * hours);
    let apart = |n: u64| MinGap::Elapsed(hours(n));
    let coin = |workdays| Cadence::MeanTimeBetween { workdays };
    #[track_caller]
    fn check(policy: &Policy, mean: f64, exact: bool) {
        let [allowed, expected, drawn] = five_years(policy, mean);
        let case = format!(
            "{:?} {:?}: {allowed:.1} allowed, {expected:.1} expected, {drawn:.1} drawn",
            policy.schedule.cadence, policy.schedule.min_gap
        );
        println!("{case}");
        assert!(expected <= allowed * 1.005, "{case}");
        assert!(!exact || expected >= allowed * 0.995, "{case}");
        // Four seeds; a gap makes numbers more even than those of Poisson, never less.
        assert!(
            (drawn - expected).abs() <= 4.0 * (expected / 4.0).sqrt() + 1.0,
            "{case}"
        );
    }
    let mut short = one_app(Cadence::OnDemand, MinGap::None);
    short.hypothesis.recovery.within = Duration::from_secs(60);
    let with = |cadence, min_gap| {
        let mut policy = short.clone();
        (policy.schedule.cadence, policy.schedule.min_gap) = (cadence, min_gap);
        policy
    };
    for (mean, gap) in [(5, 1), (5, 3), (10, 5), (5, 5)] {
        check(&with(coin(mean), MinGap::Workdays(gap)), f64::from(mean), true);
    }
    // A window on some days only: a mean of so many of those days.
    for days in [&[Weekday::Mon][..], &[Weekday::Mon, Weekday::Tue, Weekday::Fri]] {
        for gap in [3, 5, 6] {
            let mut policy = with(coin(6), MinGap::Workdays(gap));
            policy.schedule.windows[0].days = days.to_vec();
            check(&policy, 6.0, true);
        }
    }
    check(&with(coin(14), apart(14 * 24)), 14.0, false);
    check(&with(coin(6), apart(100)), 6.0, false);
    let open = five_years(&with(coin(1), MinGap::None), 1.0)[0];
    let longest = super::cadence::longest_run(&short).num_seconds() as f64;
    for (mean, gap, exact) in [(2, 1, true), (2, 0, true), (20, 19, false), (6, 5, true)] {
        let gap = if gap == 0 { MinGap::None } else { apart(gap) };
        let policy = with(Cadence::Poisson { mean: hours(mean) }, gap);
        let a_day = 8.0 - longest / 3_600.0;
        assert!(open > 1_300.0);
        check(&policy, mean as f64 / a_day, exact);
    }
    // Two windows: what a gap takes away from the second is not made up for.
    let mut policy = with(Cadence::Poisson { mean: hours(2) }, apart(1));
    policy.schedule.windows = vec![window("09:00", "13:00"), window("13:30", "17:30")];
    let a_day = 8.0 - 2.0 * longest / 3_600.0;
    check(&policy, 2.0 / a_day, false);
}

#[test]
fn a_rehearsal_holds_back_no_other() {
    use super::forecast::forecast;
    let mut policy = one_app(Cadence::MeanTimeBetween { workdays: 5 }, MinGap::Workdays(3));
    let ask = |policy: &Policy| {
        forecast(
            Some("s"),
            [policy],
            &limits(),
            day("2026-01-01"),
            day("2026-12-31"),
        )
        .unwrap()
    };
    let enforced = ask(&policy);
    policy.mode = Mode::Rehearse;
    let rehearsed = ask(&policy);
    let at = |ahead: &crate::model::forecast::Forecast| -> Vec<_> {
        ahead.moments.iter().map(|moment| moment.at).collect()
    };
    // The draw is the same in both modes, so that a rehearsal shows every moment at which a kill might be.
    assert_eq!(at(&enforced), at(&rehearsed));
    assert!(enforced.moments.iter().any(|m| m.held_back.is_some()));
    assert!(rehearsed.moments.iter().all(|m| m.held_back.is_none()));
    let sum = |ahead: &crate::model::forecast::Forecast| {
        let runs: f64 = ahead.months.iter().map(|m| m.runs).sum();
        (runs, ahead.months.iter().filter_map(|m| m.drawn).sum::<u32>())
    };
    let (runs, drawn) = sum(&rehearsed);
    assert_eq!(drawn as usize, rehearsed.moments.len());
    assert!((runs - 261.0 / 3.0).abs() < 1e-9, "{runs}");
    assert!((sum(&enforced).0 - 261.0 / 5.0).abs() < 1e-9);
    let said = |ahead: &crate::model::forecast::Forecast| ahead.remarks.join(" ");
    assert!(
        said(&rehearsed).contains("A rehearsal kills nothing"),
        "{:?}",
        rehearsed.remarks
    );
    assert!(
        said(&enforced).contains("as if nothing had been killed before 2026-01-01"),
        "{:?}",
        enforced.remarks
    );
}

#[test]
fn the_gap_counts_work_days_or_elapsed_time() {
    #[track_caller]
    fn check(gap: MinGap, last: &str, over: &str) {
        let schedule = Schedule {
            min_gap: gap,
            ..office()
        };
        let limits = Limits {
            holidays: [day("2026-06-08")].into(),
            ..limits()
        };
        let ask = |now| gap_allows(&schedule, &limits, Some(utc(last)), now);
        assert_eq!(ask(utc(over)), Ok(()));
        let early = ask(utc(over) - TimeDelta::milliseconds(1)).unwrap_err();
        assert_eq!(early.until, Some(utc(over)), "{early:?}");
        assert!(
            ask(utc(last) - TimeDelta::days(3)).is_err(),
            "a clock that went back"
        );
    }
    // Friday; the Monday after is a holiday.
    check(
        MinGap::Workdays(1),
        "2026-06-05T10:00:00Z",
        "2026-06-08T22:00:00Z",
    );
    check(
        MinGap::Workdays(2),
        "2026-06-05T10:00:00Z",
        "2026-06-09T22:00:00Z",
    );
    check(
        MinGap::Workdays(1),
        "2026-06-03T21:59:00Z",
        "2026-06-03T22:00:00Z",
    );
    check(
        MinGap::Elapsed(Duration::from_secs(7200)),
        "2026-06-05T10:00:00Z",
        "2026-06-05T12:00:00Z",
    );
    let none = Schedule {
        min_gap: MinGap::None,
        ..office()
    };
    assert_eq!(
        gap_allows(
            &none,
            &limits(),
            Some(utc("2026-06-05T10:00:00Z")),
            utc("2026-06-05T10:00:00Z")
        ),
        Ok(())
    );
    assert_eq!(
        gap_allows(&office(), &limits(), None, utc("2026-06-05T10:00:00Z")),
        Ok(())
    );
}

#[test]
fn work_days_are_weekdays_without_holidays_and_freezes() {
    let mut schedule = office();
    schedule.holidays = [day("2026-06-03")].into();
    let limits = Limits {
        holidays: [day("2026-06-04")].into(),
        ..limits()
    };
    let works = |schedule: &Schedule, date| is_work_day(schedule, &limits, day(date));
    assert!(works(&schedule, "2026-06-05"));
    for not in ["2026-06-03", "2026-06-04", "2026-06-06", "2026-06-07"] {
        assert!(!works(&schedule, not), "{not}");
    }
    schedule.windows[0].days.push(Weekday::Sat);
    assert!(works(&schedule, "2026-06-06"));
}

fn policy(cadence: Cadence) -> Policy {
    Policy {
        name: "p".into(),
        team: "t".into(),
        labels: Default::default(),
        mode: Mode::Rehearse,
        cluster: "c".into(),
        scope: Scope {
            selector: None,
            ids: vec![],
            except: vec![],
            min_age: Duration::ZERO,
            healthy_only: true,
            allow_no_health_check: false,
            one_per: Fairness::App,
        },
        fault: FaultSpec::KillTasks {
            count: Count::Exactly(3),
            at_once: 2,
            gap: Duration::from_secs(60),
        },
        schedule: Schedule { cadence, ..office() },
        blast_radius: BlastRadius {
            max_tasks: 3,
            max_percent: 50,
            min_healthy: 1,
            max_apps: 1,
            max_tasks_in_all: None,
        },
        rate_limit: RateLimit {
            kills: 1,
            per: Duration::from_secs(3600),
            burst: 1,
        },
        hypothesis: Hypothesis {
            interval: Duration::from_secs(1),
            timeout: Duration::from_millis(500),
            alpha: Share(10_000),
            baseline: Baseline {
                at_least: Duration::from_secs(60),
                at_most: Duration::from_secs(600),
            },
            recovery: Recovery {
                within: Duration::from_secs(1500),
                hold: Duration::from_secs(10),
                expected: true,
            },
            blind: Blindness {
                hold_fire_after: 1,
                abort_after: 3,
            },
            budget: None,
            self_check: None,
            each_task: None,
            probes: vec![],
            control: Default::default(),
            margin: None,
            latency_margin_percent: None,
        },
        approval: ApprovalRule {
            mode: ApprovalMode::Required,
            users: BTreeSet::new(),
            groups: BTreeSet::new(),
            quorum: 1,
            expires: Duration::from_secs(60),
        },
        notify: NotifyRule::default(),
        digest: "d".into(),
    }
}

#[test]
fn a_policy_is_due_within_the_bounds_and_leaves_its_longest_run_before_the_closing() {
    // Two steps of 25 minutes and a baseline of ten: one hour before 17:00 Berlin is 14:00 UTC.
    let policy = policy(Cadence::Every(Duration::from_secs(3600)));
    let ask = |from: &str, to: &str| due("s", &policy, "/a", &limits(), utc(from), utc(to));
    let day = ask("2026-06-01T00:00:00Z", "2026-06-02T00:00:00Z");
    assert_eq!(
        (day.len(), day[0], day[6]),
        (7, utc("2026-06-01T07:00:00Z"), utc("2026-06-01T13:00:00Z"))
    );
    assert_eq!(ask("2026-06-01T08:00:00Z", "2026-06-01T10:00:00Z"), day[1..3]);
    assert_eq!(next_due("s", &policy, "/a", &limits(), day[0]), Some(day[1]));
    assert_eq!(
        next_due("s", &policy, "/a", &limits(), day[6]),
        Some(utc("2026-06-02T07:00:00Z"))
    );
}

#[test]
fn dates_are_of_the_zone() {
    let at = utc("2026-06-05T22:30:00Z");
    assert_eq!(date_in(Tz::Europe__Berlin, at), day("2026-06-06"));
    assert_eq!((at.hour(), at.day()), (22, 5));
}

fn one_app(cadence: Cadence, min_gap: MinGap) -> Policy {
    let mut policy = policy(cadence);
    policy.mode = Mode::Enforce;
    policy.scope.ids = vec![AppPattern("/shop/cart".into())];
    policy.schedule.min_gap = min_gap;
    policy
}

#[test]
fn a_coin_is_corrected_for_a_gap_only_when_one_app_must_keep_it() {
    use super::cadence::coin_gap;
    let mut policy = one_app(Cadence::MeanTimeBetween { workdays: 5 }, MinGap::Workdays(3));
    assert_eq!(coin_gap(&policy), MinGap::Workdays(3));
    policy.scope.ids.push(AppPattern("/shop/stock".into()));
    assert_eq!(coin_gap(&policy), MinGap::None);
    policy.scope.ids = vec![AppPattern("/shop/*".into())];
    assert_eq!(coin_gap(&policy), MinGap::None);
}

#[test]
fn a_date_of_which_no_list_of_holidays_speaks_has_no_runs() {
    let covered = Covered {
        from: Some(day("2026-01-01")),
        until: Some(day("2026-12-31")),
    };
    let ours = Schedule { covered, ..office() };
    let theirs = Limits { covered, ..limits() };
    for (schedule, limits, whose) in [
        (&ours, &limits(), "the policy"),
        (&office(), &theirs, "the settings"),
    ] {
        let open = |date| !open_windows(schedule, limits, day(date)).is_empty();
        assert!(open("2026-06-01") && open("2026-12-31") && !open("2027-01-04") && !open("2025-12-31"));
        assert!(!is_work_day(schedule, limits, day("2027-01-04")));
        let closed = open_until(schedule, limits, utc("2027-01-04T10:00:00Z")).unwrap_err();
        assert!(
            closed
                .why
                .contains(&format!("the holidays of {whose} end with 2026-12-31")),
            "{}",
            closed.why
        );
        assert_eq!(closed.next_opening, None);
    }
}

#[test]
fn random_moments_keep_their_distance_and_their_mean() {
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    #[track_caller]
    fn check(mean: Duration, gap: MinGap) -> Vec<DateTime<Utc>> {
        let schedule = Schedule {
            cadence: Cadence::Poisson { mean },
            min_gap: gap,
            ..office()
        };
        let (mut all, mut days) = (vec![], 0_u32);
        for date in day("2026-01-01").iter_days().take(2_800) {
            days += u32::from(!open_windows(&schedule, &limits(), date).is_empty());
            let moments = due_on("s", &schedule, gap, TimeDelta::zero(), "/a", &limits(), date);
            assert!(moments.is_sorted());
            all.extend(moments);
        }
        // Eight open hours a day, of which the first moment waits for no gap.
        let wanted = f64::from(days) * 8.0 * 3600.0 / mean.as_secs_f64();
        let more = all.len() as f64 / wanted;
        assert!((0.97..=1.03).contains(&more), "{mean:?} {gap:?}: {more}");
        all
    }
    check(minutes(120), MinGap::None);
    check(minutes(30), MinGap::None);
    for (mean, gap) in [(120, 30), (40, 20)] {
        let all = check(minutes(mean), MinGap::Elapsed(minutes(gap)));
        assert!(
            all.windows(2)
                .all(|pair| pair[1] - pair[0] >= TimeDelta::minutes(gap as i64))
        );
    }
}

#[test]
fn the_number_of_random_moments_follows_the_poisson_distribution() {
    use super::cadence::poisson_number;
    // P(0) = e⁻², P(≤ 1) = 3e⁻², P(≤ 2) = 5e⁻².
    for (share, number) in [
        (0.0, 0),
        (0.135, 0),
        (0.136, 1),
        (0.405, 1),
        (0.407, 2),
        (0.676, 2),
        (0.677, 3),
    ] {
        assert_eq!(poisson_number(share, 2.0), number, "{share}");
    }
    assert_eq!(poisson_number(1.0 - f64::EPSILON, 1e9), 1_000);
}

#[test]
fn a_forecast_is_what_the_operator_will_act_on() {
    use super::forecast::forecast;
    let policy = one_app(Cadence::MeanTimeBetween { workdays: 5 }, MinGap::Workdays(3));
    let (from, to) = (day("2026-01-01"), day("2026-12-31"));
    let ahead = forecast(Some("s"), [&policy], &limits(), from, to).unwrap();
    let acted = due(
        "s",
        &policy,
        policy.name.as_str(),
        &limits(),
        utc("2025-12-31T23:00:00Z"),
        utc("2026-12-31T23:00:00Z"),
    );
    assert_eq!(ahead.moments.iter().map(|m| m.at).collect::<Vec<_>>(), acted);
    // None that begins is sooner than three work days after the one before.
    let begun: Vec<_> = ahead.moments.iter().filter(|m| m.held_back.is_none()).collect();
    assert!(
        begun
            .windows(2)
            .all(|pair| pair[1].at - pair[0].at >= TimeDelta::days(2))
    );
    assert!(begun.len() < acted.len(), "some have to be held back");
    // 261 work days of 2026 and a mean of five.
    let runs: f64 = ahead.months.iter().map(|m| m.runs).sum();
    let days: u32 = ahead.months.iter().map(|m| m.days).sum();
    assert!(
        (ahead.months.len(), days) == (12, 261) && (runs - 52.2).abs() < 1e-9,
        "{runs} {days}"
    );
    assert_eq!(
        ahead.months.iter().filter_map(|m| m.drawn).sum::<u32>(),
        begun.len() as u32
    );
    assert!(ahead.months.iter().all(|m| m.kills_max == 3 * m.drawn.unwrap()));
    assert_eq!(ahead.seed_sha256.unwrap().len(), 64);
}

#[test]
fn without_a_seed_a_forecast_has_expectations_and_no_moments() {
    use super::forecast::forecast;
    let ask = |policy: &Policy, seed| {
        forecast(seed, [policy], &limits(), day("2026-06-01"), day("2026-06-30")).unwrap()
    };
    let coin = one_app(Cadence::MeanTimeBetween { workdays: 5 }, MinGap::Workdays(1));
    let blind = ask(&coin, None);
    assert!(blind.moments.is_empty() && blind.seed_sha256.is_none());
    assert_eq!(blind.months[0].drawn, None);
    assert_eq!(blind.months[0].runs, ask(&coin, Some("s")).months[0].runs);
    assert!(
        blind.remarks[0].contains("The seed is not known here"),
        "{:?}",
        blind.remarks
    );
    // Once a day at the most, because of the gap of one work day: 22 of them in June 2026.
    let grid = one_app(Cadence::Every(Duration::from_secs(3600)), MinGap::Workdays(1));
    assert!((ask(&grid, None).months[0].runs - 22.0).abs() < 1e-9 && ask(&grid, None).moments.is_empty());
    let mut rehearsed = coin.clone();
    rehearsed.mode = Mode::Rehearse;
    assert_eq!(ask(&rehearsed, Some("s")).months[0].kills_max, 0);
    rehearsed.mode = Mode::Off;
    assert!(ask(&rehearsed, Some("s")).months.is_empty());
    assert!(ask(&policy(Cadence::OnDemand), None).remarks[0].contains("only when a person asks"));
    for (from, to) in [("2026-02-01", "2026-01-01"), ("2026-01-01", "2036-01-01")] {
        assert!(forecast(None, [], &limits(), day(from), day(to)).is_err());
    }
}

#[test]
fn several_apps_share_the_turns_of_a_policy() {
    use super::forecast::forecast;
    let mut policy = one_app(Cadence::MeanTimeBetween { workdays: 2 }, MinGap::Workdays(2));
    policy.scope.ids.push(AppPattern("/shop/stock".into()));
    policy.scope.ids.push(AppPattern("/shop/paid".into()));
    policy.scope.except.push(AppPattern("/shop/p*".into()));
    let ahead = forecast(
        Some("s"),
        [&policy],
        &limits(),
        day("2026-06-01"),
        day("2026-06-30"),
    )
    .unwrap();
    let rows: Vec<_> = ahead
        .months
        .iter()
        .map(|m| (m.app.as_str(), m.runs, m.drawn))
        .collect();
    assert_eq!(rows, [("/shop/cart", 5.5, None), ("/shop/stock", 5.5, None)]);
    assert!(
        ahead
            .moments
            .iter()
            .all(|m| m.app == "/shop/cart or /shop/stock" && m.held_back.is_none())
    );
}

#[test]
fn a_moment_that_passed_five_minutes_ago_is_missed_and_never_caught_up() {
    let first = utc("2026-06-01T08:00:00Z");
    let hours: Vec<_> = (0..4).map(|n| first + TimeDelta::hours(n)).collect();
    let ask = |served, now| standing(&hours, served, now);
    assert_eq!(ask(None, first - TimeDelta::seconds(1)), Standing::Nothing);
    assert_eq!(ask(None, first), Standing::Due(first));
    assert_eq!(ask(None, first + TimeDelta::minutes(5)), Standing::Due(first));
    assert_eq!(ask(Some(first), first + TimeDelta::minutes(5)), Standing::Nothing);
    let late = ask(None, hours[3] + TimeDelta::seconds(301));
    let Standing::Missed { due, why } = late else {
        panic!("{late:?}");
    };
    // All four are over with the latest: what was not done then is not done now.
    assert_eq!(
        (due, why.as_str()),
        (
            hours[3],
            "missed: the operator came 301 s after the planned moment (3 earlier ones were missed too)"
        )
    );
    // An earlier one that was missed keeps nobody from the one that is due.
    assert_eq!(ask(Some(first), hours[2]), Standing::Due(hours[2]));
}
