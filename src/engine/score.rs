//! How sure it is that an app survives our kills (`steady-state` §7.3).
//!
//! The survival rate has the posterior Beta(½ + held, ½ + disproved), each run's weight halving in 90 days. The
//! headline is its 5 % quantile: "survives at least this with 95 % confidence". Runs that taught nothing are listed and
//! do not count. Below three counted runs there is no score.

use super::steady_state::hard_line::beta_quantile;
use crate::model::experiment::Role;
use crate::model::ids::{AppId, ClusterName};
use crate::model::past::{AppPast, COUNTED_MIN, ClassPast, ResultPoint, Score, Taught, TrendPoint};
use crate::model::plan::Plan;
use crate::model::policy::Mode;
use crate::model::run::Run;
use crate::model::verdict::{HypothesisResult, Outcome};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeMap;

/// In this time a run loses half its weight: services change, and what they survived last year proves little.
pub const HALF_LIFE: TimeDelta = TimeDelta::days(90);
/// What the headline may be wrong by: one time in twenty.
const ERROR: f64 = 0.05;
/// A trend has a point at least this often, so that its fall is drawn as a curve.
const TREND_EVERY: TimeDelta = TimeDelta::days(15);
/// Most points of a trend; more can't be told apart on a screen.
const TREND_MAX: usize = 500;

/// What is known of a survival rate at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Posterior {
    held: f64,
    disproved: f64,
    at: DateTime<Utc>,
}

impl Posterior {
    /// Nothing is known: Beta(½, ½).
    pub fn nothing(at: DateTime<Utc>) -> Self {
        Self {
            held: 0.0,
            disproved: 0.0,
            at,
        }
    }

    /// The same at a later moment: what is known weighs less. A clock that went back changes nothing.
    #[must_use]
    pub fn at(self, at: DateTime<Utc>) -> Self {
        let age = (at - self.at).max(TimeDelta::zero()).num_milliseconds() as f64;
        let weight = 0.5_f64.powf(age / HALF_LIFE.num_milliseconds() as f64);
        Self {
            held: self.held * weight,
            disproved: self.disproved * weight,
            at: self.at.max(at),
        }
    }

    /// With one more run; those that taught nothing change nothing.
    #[must_use]
    pub fn and(self, hypothesis: HypothesisResult, at: DateTime<Utc>) -> Self {
        let mut now = self.at(at);
        match hypothesis {
            HypothesisResult::Held => now.held += 1.0,
            HypothesisResult::Disproved => now.disproved += 1.0,
            HypothesisResult::Inconclusive | HypothesisResult::NotTested => {}
        }
        now
    }

    /// The rate that is exceeded with this chance of error.
    pub fn quantile(&self, probability: f64) -> f64 {
        beta_quantile(0.5 + self.held, 0.5 + self.disproved, probability)
    }

    /// The mean rate.
    pub fn mean(&self) -> f64 {
        (0.5 + self.held) / (1.0 + self.worth())
    }

    /// How many fresh runs this is worth.
    pub fn worth(&self) -> f64 {
        self.held + self.disproved
    }

    fn point(&self) -> TrendPoint {
        TrendPoint {
            at: self.at,
            low: self.quantile(ERROR),
            mean: self.mean(),
            high: self.quantile(1.0 - ERROR),
        }
    }
}

/// What a run that ended has taught; `None` while it has no verdict.
pub fn taught(run: &Run) -> Option<Taught> {
    let verdict = run.verdict.as_ref()?;
    Some(Taught {
        run: run.id.clone(),
        policy: run.plan.policy.clone(),
        cluster: run.plan.cluster.clone(),
        at: run.ended?,
        outcome: verdict.outcome,
        hypothesis: verdict.hypothesis,
        reason: verdict.reason.clone(),
        rehearsed: run.plan.mode != Mode::Enforce,
        apps: run
            .plan
            .apps
            .ids()
            .map(|app| (app.clone(), class_of(&run.plan, app)))
            .collect(),
    })
}

/// What a plan does to an app, and what judges it: only runs that agree in both are counted together.
pub fn class_of(plan: &Plan, app: &AppId) -> String {
    let at_once = plan
        .steps
        .iter()
        .map(|step| step.kills_of(app))
        .max()
        .unwrap_or(0);
    let instances = plan.apps.get(app).map_or(0, |planned| planned.instances).max(1);
    let share = f64::from(at_once) / f64::from(instances);
    let band = [
        (0.1, "up to 10 %"),
        (0.25, "11 to 25 %"),
        (0.5, "26 to 50 %"),
        (1.0, "more than half"),
    ]
    .iter()
    .find(|(most, _)| share <= *most)
    .map_or("all", |(_, words)| words);
    let mut judges: Vec<&str> = plan
        .hypothesis
        .probes
        .iter()
        .filter(|probe| probe.role != Role::Observe)
        .map(|probe| probe.name.as_str())
        .collect();
    judges.sort_unstable();
    let judges = match judges.is_empty() {
        true => "no probe".to_owned(),
        false => judges.join(", "),
    };
    format!("{band} of the tasks killed at once, judged by {judges}")
}

/// What an app's experiments have taught, from all runs that ended.
pub fn past<'a>(app: &AppId, all: impl IntoIterator<Item = &'a Taught>, now: DateTime<Utc>) -> AppPast {
    let mut classes: BTreeMap<(&ClusterName, &str), Vec<&Taught>> = BTreeMap::new();
    for run in all {
        for (_, class) in run.apps.iter().filter(|(hit, _)| hit == app) {
            classes.entry((&run.cluster, class)).or_default().push(run);
        }
    }
    let mut classes: Vec<ClassPast> = classes
        .into_iter()
        .map(|((cluster, class), runs)| class_past(cluster, class, runs, now))
        .collect();
    classes.sort_by_key(|class| std::cmp::Reverse(class.results.last().map(|point| point.at)));
    AppPast {
        app: app.clone(),
        at: now,
        classes,
    }
}

fn class_past(cluster: &ClusterName, class: &str, mut runs: Vec<&Taught>, now: DateTime<Utc>) -> ClassPast {
    use HypothesisResult::{Disproved, Held};
    runs.sort_by(|a, b| (a.at, &a.run).cmp(&(b.at, &b.run)));
    let count = |counts: &dyn Fn(&Taught) -> bool| {
        u32::try_from(runs.iter().filter(|run| counts(run)).count()).unwrap_or(u32::MAX)
    };
    let real = |run: &Taught| !run.rehearsed;
    let held = count(&|run| real(run) && run.hypothesis == Held);
    let disproved = count(&|run| real(run) && run.hypothesis == Disproved);
    let skipped = count(&|run| real(run) && run.outcome == Outcome::Skipped);
    let inconclusive = count(&|run| real(run) && run.outcome != Outcome::Skipped)
        .saturating_sub(held)
        .saturating_sub(disproved);
    let rehearsed = count(&|run| run.rehearsed);
    let counted: Vec<(DateTime<Utc>, HypothesisResult)> = runs
        .iter()
        .filter(|run| real(run) && matches!(run.hypothesis, Held | Disproved))
        .map(|run| (run.at, run.hypothesis))
        .collect();
    let (last, trend) = trend(&counted, now);
    let enough = held + disproved >= COUNTED_MIN;
    let score = last.filter(|_| enough).map(|last| Score {
        low: last.quantile(ERROR),
        mean: last.mean(),
        counted: held + disproved,
        worth: last.worth(),
    });
    let age = counted.last().map(|(at, _)| now - *at);
    let stale = age.filter(|age| *age > HALF_LIFE).map(|age| {
        format!(
            "stale evidence: the last counted run ended {} days ago, and each loses half its weight in {}",
            age.num_days(),
            HALF_LIFE.num_days()
        )
    });
    let others = [
        (inconclusive, "inconclusive"),
        (skipped, "skipped"),
        (rehearsed, "rehearsed"),
    ];
    let others: String = others
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, word)| format!(", {n} {word}"))
        .collect();
    let counts = format!("{} counted{others}", held + disproved);
    let sentence = match score {
        None => {
            format!("Not enough experiments: {counts}; a score needs {COUNTED_MIN} that held or disproved.")
        }
        Some(Score { low, mean, .. }) => format!(
            "Survives at least {} with 95 % confidence (mean {}): {held} of {} held; {counts}.",
            whole_percent(low),
            whole_percent(mean),
            held + disproved
        ),
    };
    ClassPast {
        cluster: cluster.clone(),
        class: class.to_owned(),
        held,
        disproved,
        inconclusive,
        skipped,
        rehearsed,
        score,
        sentence,
        stale,
        results: runs.iter().map(|run| result_point(run)).collect(),
        trend,
    }
}

fn result_point(run: &Taught) -> ResultPoint {
    ResultPoint {
        at: run.at,
        run: run.run.clone(),
        policy: run.policy.clone(),
        outcome: run.outcome,
        hypothesis: run.hypothesis,
        reason: run.reason.clone(),
    }
}

/// What is known now, and the line that led there; nothing before the first counted run.
fn trend(
    counted: &[(DateTime<Utc>, HypothesisResult)],
    now: DateTime<Utc>,
) -> (Option<Posterior>, Vec<TrendPoint>) {
    let Some(((first, hypothesis), rest)) = counted.split_first() else {
        return (None, vec![]);
    };
    let mut known = Posterior::nothing(*first).and(*hypothesis, *first);
    let mut line = vec![known];
    let go = |to: DateTime<Utc>, known: &mut Posterior, line: &mut Vec<Posterior>| {
        while to - known.at > TREND_EVERY {
            *known = known.at(known.at + TREND_EVERY);
            line.push(*known);
        }
    };
    for (at, hypothesis) in rest {
        go(*at, &mut known, &mut line);
        known = known.and(*hypothesis, *at);
        line.push(known);
    }
    go(now, &mut known, &mut line);
    known = known.at(now);
    line.push(known);
    let step = line.len().div_ceil(TREND_MAX);
    let last = line.len() - 1;
    let kept = line
        .iter()
        .enumerate()
        .filter(|(index, _)| index % step == 0 || *index == last);
    (Some(known), kept.map(|(_, known)| known.point()).collect())
}

/// Whole per cent, cut: a lower bound must not be rounded up.
fn whole_percent(share: f64) -> String {
    format!("{} %", (share * 100.0 + 1e-9).floor())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::fixture;
    use HypothesisResult::{Disproved, Held, Inconclusive, NotTested};

    fn day(n: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000, 0).unwrap() + TimeDelta::days(n)
    }

    fn low(held: u32, disproved: u32) -> f64 {
        let known = |known: Posterior, (n, what): (u32, HypothesisResult)| {
            (0..n).fold(known, |known, _| known.and(what, day(0)))
        };
        [(held, Held), (disproved, Disproved)]
            .into_iter()
            .fold(Posterior::nothing(day(0)), known)
            .quantile(ERROR)
    }

    fn run(n: i64, hypothesis: HypothesisResult) -> Taught {
        Taught {
            run: format!("r-{n:08}").as_str().into(),
            policy: "cart".into(),
            cluster: "prod".into(),
            at: day(n),
            outcome: match hypothesis {
                NotTested => Outcome::Skipped,
                _ => Outcome::Completed,
            },
            hypothesis,
            reason: String::new(),
            rehearsed: false,
            apps: vec![("/shop/cart".into(), "up to 10 %".into())],
        }
    }

    fn only(runs: &[Taught], now: DateTime<Utc>) -> ClassPast {
        let mut past = past(&"/shop/cart".into(), runs, now);
        assert_eq!(past.classes.len(), 1);
        past.classes.remove(0)
    }

    #[test]
    fn the_published_lower_bounds_hold() {
        for (held, disproved, percent) in [
            (1, 0, 23.0),
            (3, 0, 56.0),
            (5, 0, 69.0),
            (10, 0, 83.0),
            (20, 0, 91.0),
            (50, 0, 96.0),
            (100, 0, 98.0),
            (19, 1, 82.0),
        ] {
            let low = low(held, disproved) * 100.0;
            assert!((low - percent).abs() <= 0.5, "{held} and {disproved}: {low}");
        }
    }

    #[test]
    fn a_weekly_year_is_worth_18_runs_and_one_failure_shows() {
        let mut runs: Vec<Taught> = (0..52).map(|week| run(7 * week, Held)).collect();
        let now = day(7 * 51);
        let score = only(&runs, now).score.unwrap();
        assert!((score.worth - 17.9).abs() < 0.05, "{}", score.worth);
        assert!((score.low - 0.90).abs() < 0.005, "{}", score.low);
        runs[51].hypothesis = Disproved;
        let low = only(&runs, now).score.unwrap().low;
        assert!((low - 0.80).abs() < 0.005, "{low}");
    }

    #[test]
    fn there_is_no_score_below_three_counted_runs() {
        let mut runs = vec![
            run(0, Held),
            run(1, Held),
            run(2, Inconclusive),
            run(3, NotTested),
        ];
        let mut rehearsal = run(4, NotTested);
        rehearsal.rehearsed = true;
        runs.push(rehearsal);
        let class = only(&runs, day(5));
        assert_eq!(class.score, None);
        assert_eq!(
            class.sentence,
            "Not enough experiments: 2 counted, 1 inconclusive, 1 skipped, 1 rehearsed; a score needs 3 that held or \
             disproved."
        );
        runs.push(run(5, Held));
        let class = only(&runs, day(5));
        assert_eq!(class.score.unwrap().counted, 3);
        assert!(
            class.sentence.starts_with("Survives at least 5")
                && class.sentence.contains("3 of 3 held; 3 counted, 1 inconclusive"),
            "{}",
            class.sentence
        );
        // What does not count changes nothing but the list.
        assert_eq!(class.results.len(), 6);
        let bare: Vec<Taught> = runs.iter().filter(|r| r.hypothesis == Held).cloned().collect();
        assert_eq!(only(&bare, day(5)).score, class.score);
    }

    #[test]
    fn an_app_without_experiments_has_no_class_and_so_no_number() {
        let past = past(&"/else".into(), &[run(0, Held)], day(1));
        assert!(past.classes.is_empty());
    }

    #[test]
    fn clusters_and_fault_classes_are_never_mixed() {
        let mut elsewhere = run(1, Disproved);
        elsewhere.cluster = "test".into();
        let mut harder = run(2, Disproved);
        harder.apps[0].1 = "more than half".into();
        let runs = [run(0, Held), elsewhere, harder];
        let past = past(&"/shop/cart".into(), &runs, day(3));
        let seen: Vec<_> = past
            .classes
            .iter()
            .map(|c| (c.cluster.as_str(), c.class.as_str(), c.held, c.disproved))
            .collect();
        assert_eq!(
            seen,
            [
                ("prod", "more than half", 0, 1),
                ("test", "up to 10 %", 0, 1),
                ("prod", "up to 10 %", 1, 0)
            ]
        );
    }

    #[test]
    fn a_trend_falls_when_nothing_is_tried_and_says_why() {
        let runs: Vec<Taught> = (0..10).map(|n| run(n, Held)).collect();
        let fresh = only(&runs, day(10));
        assert_eq!(fresh.stale, None);
        let old = only(&runs, day(200));
        assert!(
            old.stale
                .unwrap()
                .starts_with("stale evidence: the last counted run ended 191 days ago")
        );
        assert!(old.score.unwrap().low < fresh.score.unwrap().low - 0.2);
        let after: Vec<_> = old.trend.iter().filter(|p| p.at > day(9)).collect();
        assert!(after.len() >= 12 && after.windows(2).all(|pair| pair[1].low < pair[0].low));
        assert!(old.trend.iter().all(|p| p.low < p.mean && p.mean < p.high));
        let many: Vec<Taught> = (0..3_000).map(|n| run(n, Held)).collect();
        let many = only(&many, day(3_000));
        assert!(many.trend.len() <= TREND_MAX + 1 && many.trend.last().unwrap().at == day(3_000));
    }

    #[test]
    fn the_fault_class_is_the_share_at_once_and_the_probes_that_judge() {
        let plan = fixture::plan();
        let app = plan.apps.first.app.clone();
        let class = class_of(&plan, &app);
        assert!(
            class.contains("of the tasks killed at once, judged by edge"),
            "{class}"
        );
        let mut observed = plan.clone();
        observed.hypothesis.probes[0].role = Role::Observe;
        assert!(class_of(&observed, &app).ends_with("judged by no probe"));
        let mut all = plan.clone();
        all.apps.first.instances = 1;
        assert!(
            class_of(&all, &app).starts_with("more than half"),
            "{}",
            class_of(&all, &app)
        );
    }
}
