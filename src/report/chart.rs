//! The chart of a run as one SVG (`steady-state` §5.3): bad share of every probe, tasks, evidence and
//! kills above one time axis.
//!
//! Colour never says anything alone: a bad sample is a diamond, a kill a triangle, a blind stretch is
//! hatched, lines differ in dashes. There are as many points as pixels at most; each is the *worst*
//! sample of its pixel, so thinning hides no harm.

use super::each_task;
use super::page::first_bad_sample;
use super::slots;
use super::svg;
use super::words::ratio;
use crate::model::experiment::{AbortCause, ProbeSpec, Reading, Role, Sample};
use crate::model::policy::Mode;
use crate::model::report::{HealthPoint, KillRecovery, Report};
use crate::model::run::Aborted;
use crate::model::text::escape;
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

const WIDTH: f64 = 1000.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 980.0;
/// More probes than this are in the JSON and said to be.
const PROBES_MAX: usize = 8;
/// More kills than this share the last line.
const KILL_ROWS_MAX: usize = 16;

const STYLE: &str = include_str!("chart.css");

/// Draws the run.
pub(super) fn svg(report: &Report) -> String {
    let Some(axis) = Axis::of(report) else {
        return empty(report);
    };
    let mut chart = Chart {
        report,
        axis,
        body: String::new(),
        y: 58.0,
        through: vec![],
    };
    let probes = &report.plan.hypothesis.probes;
    for probe in probes.iter().take(PROBES_MAX) {
        chart.probe(probe);
    }
    if let Some(more @ 1..) = probes.len().checked_sub(PROBES_MAX) {
        chart.note(&format!("{more} more probes are in report.json"));
    }
    chart.tasks();
    chart.each_task();
    chart.evidence();
    chart.kills();
    let height = chart.time_axis();
    let (slots, height) = slots::panels(report, height);
    let marks = chart.marks();
    frame(report, height, &format!("{marks}{}{slots}", chart.body))
}

fn frame(report: &Report, height: f64, body: &str) -> String {
    let title = escape(&format!("{} · {}", report.run, report.plan.apps));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"hb\" viewBox=\"0 0 {WIDTH} {height:.0}\" \
         width=\"{WIDTH}\" height=\"{height:.0}\" role=\"img\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n\
         <defs><pattern id=\"hb-blind\" width=\"7\" height=\"7\" patternUnits=\"userSpaceOnUse\" \
         patternTransform=\"rotate(45)\"><rect width=\"7\" height=\"7\" class=\"hb-blind-bg\"/>\
         <rect width=\"2\" height=\"7\" class=\"hb-blind-bar\"/></pattern></defs>\n\
         <rect width=\"{WIDTH}\" height=\"{height:.0}\" class=\"hb-paper\"/>\n\
         <text x=\"14\" y=\"24\" class=\"hb-title\">{title}</text>\n{body}</svg>\n"
    )
}

fn empty(report: &Report) -> String {
    frame(
        report,
        70.0,
        "<text x=\"14\" y=\"50\" class=\"hb-soft\">Nothing was measured, so there is nothing to draw.</text>\n",
    )
}

/// The stretch of time that is drawn.
struct Axis {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
}

impl Axis {
    /// From the first thing measured to the last; `None` when nothing was.
    fn of(report: &Report) -> Option<Self> {
        let measured = || {
            let samples = report.samples.iter().map(|s| s.at);
            samples
                .chain(report.health.iter().map(|h| h.at))
                .chain(report.intents.iter().map(|i| i.at))
        };
        let stages = report
            .recoveries
            .iter()
            .flat_map(|r| [Some(r.killed), r.steady].into_iter().flatten());
        let from = measured().min()?;
        let to = measured()
            .chain(stages)
            .chain(report.abort.iter().map(|a| a.at))
            .max()?;
        Some(Self {
            from,
            to: to.max(from + TimeDelta::seconds(1)),
        })
    }

    fn x(&self, at: DateTime<Utc>) -> f64 {
        let share =
            (at - self.from).num_milliseconds() as f64 / (self.to - self.from).num_milliseconds() as f64;
        LEFT + share.clamp(0.0, 1.0) * (RIGHT - LEFT)
    }

    /// Round moments, at most about ten.
    fn ticks(&self) -> (Vec<DateTime<Utc>>, i64) {
        const STEPS: [i64; 17] = [
            1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400,
        ];
        let length = (self.to - self.from).num_seconds().max(1);
        let step = STEPS
            .into_iter()
            .find(|s| length / s <= 10)
            .unwrap_or(length / 10);
        let first = self.from.timestamp().div_euclid(step) * step;
        let ticks = (0..=length / step + 1)
            .filter_map(|n| DateTime::from_timestamp(first + n * step, 0))
            .filter(|at| (self.from..=self.to).contains(at))
            .collect();
        (ticks, step)
    }
}

/// A square-root scale: a limit of 1 % and a hard line of 50 % are both to be seen.
#[derive(Clone, Copy)]
struct Shares {
    top: f64,
    bottom: f64,
    most: f64,
}

impl Shares {
    fn y(self, share: f64) -> f64 {
        self.bottom - (share.clamp(0.0, self.most) / self.most).sqrt() * (self.bottom - self.top)
    }
}

struct Chart<'a> {
    report: &'a Report,
    axis: Axis,
    body: String,
    /// Where the next panel begins.
    y: f64,
    /// From where to where lines through every panel are drawn: not through titles and legends.
    through: Vec<(f64, f64)>,
}

impl Chart<'_> {
    fn put(&mut self, element: &str) {
        self.body.push_str(element);
        self.body.push('\n');
    }

    fn line(&mut self, class: &str, x1: f64, y1: f64, x2: f64, y2: f64) {
        self.put(&format!(
            "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
        ));
    }

    fn rect(&mut self, class: &str, x: f64, y: f64, width: f64, height: f64) {
        self.put(&format!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
        ));
    }

    fn text(&mut self, class: &str, x: f64, y: f64, text: &str) {
        svg::text(&mut self.body, class, x, y, text);
    }

    fn path(&mut self, class: &str, d: &str) {
        svg::path(&mut self.body, class, d);
    }

    fn note(&mut self, text: &str) {
        self.text("hb-soft", LEFT, self.y + 4.0, text);
        self.y += 24.0;
    }

    /// Title of a panel; returns the top and bottom of its plot.
    fn panel(&mut self, title: &str, legend: &str, height: f64) -> (f64, f64) {
        self.text("hb-head", 14.0, self.y, title);
        self.text("hb-soft hb-end", RIGHT, self.y, legend);
        let top = self.y + 10.0;
        let bottom = top + height;
        self.rect("hb-plot", LEFT, top, RIGHT - LEFT, height);
        self.through.push((top - 5.0, bottom + 14.0));
        self.y = bottom + 30.0;
        (top, bottom)
    }

    /// Moments at which tasks really died, from the record of recoveries or else of intents.
    fn real_kills(&self) -> Vec<DateTime<Utc>> {
        let real = self.report.intents.iter().filter(|i| !i.sham);
        real.map(|i| self.recovery(i.step).map_or(i.at, |r| r.killed))
            .collect()
    }

    /// The recovery of a step: of several apps, the latest of each stage, and none that an app did not
    /// reach.
    fn recovery(&self, step: u32) -> Option<KillRecovery> {
        let of_step = self.report.recoveries.iter().filter(|r| r.step == step);
        of_step.cloned().reduce(|a, b| KillRecovery {
            step,
            app: None,
            killed: a.killed,
            gone: a.gone.zip(b.gone).map(|(a, b)| a.max(b)),
            running: a.running.zip(b.running).map(|(a, b)| a.max(b)),
            capacity: a.capacity.zip(b.capacity).map(|(a, b)| a.max(b)),
            steady: a.steady.zip(b.steady).map(|(a, b)| a.max(b)),
            staged: a.staged.zip(b.staged).map(|(a, b)| a.max(b)),
            healthy: a.healthy.zip(b.healthy).map(|(a, b)| a.max(b)),
            answering: a.answering.zip(b.answering).map(|(a, b)| a.max(b)),
            rotation: a.rotation.zip(b.rotation).map(|(a, b)| a.max(b)),
            ..a
        })
    }

    fn probe(&mut self, probe: &ProbeSpec) {
        let report = self.report;
        let samples: Vec<&Sample> = report.samples.iter().filter(|s| s.probe == probe.name).collect();
        let worst = samples
            .iter()
            .filter_map(|s| s.reading.bad_share())
            .fold(0.0, f64::max);
        let dip = probe.dip.map_or(0.0, |d| d.max.as_f64());
        let most = (worst.max(probe.hard.as_f64()).max(dip).max(probe.max.as_f64()) * 1.1).clamp(0.01, 1.0);
        let role = match probe.role {
            Role::Abort => "can abort",
            Role::Verdict => "for the verdict",
            Role::Observe => "observed only",
        };
        let sized = most_and_least(&samples).is_some_and(|(most, least)| most > least);
        let size = if sized { ", larger for more requests" } else { "" };
        let (top, bottom) = self.panel(
            &format!("{} · bad share ({role})", probe.name),
            &format!(
                "◆ above the limit{size} · hatched: no answer · grey: before the first kill · square-root scale"
            ),
            112.0,
        );
        let scale = Shares { top, bottom, most };
        for share in svg::round_shares(most, bottom - top) {
            let y = scale.y(share);
            self.line("hb-grid", LEFT, y, RIGHT, y);
            self.text("hb-tick hb-end", LEFT - 6.0, y + 4.0, &svg::share_label(share));
        }
        if let Some((low, high)) = self.baseline_band(&samples) {
            self.rect(
                "hb-band",
                LEFT,
                scale.y(high),
                RIGHT - LEFT,
                (scale.y(low) - scale.y(high)).max(2.0),
            );
        }
        self.blind(&samples, top, bottom);
        let labels = self.limits(probe, scale);
        self.shares(probe, &samples, scale);
        // Last, so that no curve runs through a word.
        for (class, x, y, words) in labels {
            self.text(&class, x, y, &words);
        }
    }

    /// 1st to 99th percentile of the samples before the first kill.
    fn baseline_band(&self, samples: &[&Sample]) -> Option<(f64, f64)> {
        let first = self.report.intents.iter().map(|i| i.at).min()?;
        let before = samples.iter().filter(|s| s.at < first);
        let mut shares: Vec<f64> = before.filter_map(|s| s.reading.bad_share()).collect();
        shares.sort_by(f64::total_cmp);
        let pick = |share: f64| {
            shares
                .get(((shares.len() as f64 - 1.0) * share).round() as usize)
                .copied()
        };
        Some((pick(0.01)?, pick(0.99)?))
    }

    /// Stretches without an answer, hatched over the whole height.
    fn blind(&mut self, samples: &[&Sample], top: f64, bottom: f64) {
        let half = TimeDelta::from_std(self.report.plan.hypothesis.interval / 2).unwrap_or(TimeDelta::zero());
        let mut stretch: Option<(DateTime<Utc>, DateTime<Utc>)> = None;
        let mut stretches = vec![];
        for sample in samples {
            match (&sample.reading, &mut stretch) {
                (Reading::Blind { .. }, Some((_, until))) => *until = sample.at,
                (Reading::Blind { .. }, None) => stretch = Some((sample.at, sample.at)),
                (Reading::Seen { .. }, _) => stretches.extend(stretch.take()),
            }
        }
        stretches.extend(stretch);
        for (from, until) in stretches {
            let (x1, x2) = (self.axis.x(from - half), self.axis.x(until + half));
            self.rect("hb-blind", x1, top, (x2 - x1).max(2.0), bottom - top);
        }
    }

    /// Limit line and hard line, lifted by the declared dip after every real kill; returns their labels.
    fn limits(&mut self, probe: &ProbeSpec, scale: Shares) -> Vec<(String, f64, f64, String)> {
        let mut labels = vec![];
        let mut lifts: Vec<(f64, f64)> = vec![];
        if let Some(dip) = probe.dip {
            let lasts = TimeDelta::from_std(dip.lasts).unwrap_or(TimeDelta::zero());
            for kill in self.real_kills() {
                let (from, until) = (self.axis.x(kill), self.axis.x(kill + lasts));
                match lifts.last_mut() {
                    Some(last) if from <= last.1 => last.1 = last.1.max(until),
                    _ => lifts.push((from, until)),
                }
            }
            for (from, until) in &lifts {
                let y = scale.y(dip.max.as_f64());
                self.rect("hb-dip", *from, y, until - from, scale.bottom - y);
            }
        }
        for (class, name, line) in [
            ("hb-hard", "hard line", probe.hard),
            ("hb-limit", "limit", probe.max),
        ] {
            let low = scale.y(line.as_f64());
            let high = scale.y(probe.dip.map_or(line, |d| d.max.max(line)).as_f64());
            let mut d = format!("M{LEFT:.1} {low:.1}");
            for (from, until) in &lifts {
                d.push_str(&format!("H{from:.1}V{high:.1}H{until:.1}V{low:.1}"));
            }
            d.push_str(&format!("H{RIGHT:.1}"));
            self.path(class, &d);
            // Above the line, where the baseline is calm; below it when the line is at the panel's edge.
            let beside = if low - scale.top < 16.0 {
                low + 13.0
            } else {
                low - 4.0
            };
            labels.push((
                format!("hb-label {class}-label"),
                LEFT + 5.0,
                beside,
                format!("{name} {line}"),
            ));
        }
        if let Some(dip) = probe.dip
            && let Some((_, until)) = lifts.first()
        {
            // Beside the lift: above it is where the curve runs after a kill.
            labels.push((
                "hb-label hb-soft".into(),
                until + 5.0,
                scale.y(dip.max.as_f64()) + 4.0,
                format!("dip {}", dip.max),
            ));
        }
        labels
    }

    /// The worst share of each pixel as a line that breaks where nothing was seen, and a diamond
    /// where it lies above the limit, by its area as large as the sample.
    fn shares(&mut self, probe: &ProbeSpec, samples: &[&Sample], scale: Shares) {
        let (mut d, mut diamonds) = (String::new(), String::new());
        let mut pen_down = false;
        let mut column: Option<(i64, f64, u32)> = None;
        let (largest, least) = most_and_least(samples).unwrap_or((1, 1));
        let half = |observed: u32| match largest > least {
            true => 2.0 + 3.0 * (f64::from(observed) / f64::from(largest)).sqrt(),
            false => 4.0,
        };
        let mut draw = |column: (i64, f64, u32), pen_down: &mut bool| {
            let (x, y) = (column.0 as f64, scale.y(column.1));
            d.push_str(&format!("{}{x:.0} {y:.1}", if *pen_down { "L" } else { "M" }));
            *pen_down = true;
            if column.1 > probe.max.as_f64() {
                let r = half(column.2);
                let r = ratio((r * 10.0).round() / 10.0);
                diamonds.push_str(&format!("M{x:.0} {y:.1}m0 -{r}l{r} {r}l-{r} {r}l-{r} -{r}z"));
            }
        };
        for sample in samples {
            let Some((share, observed)) = sample.reading.bad_share().zip(observed(sample)) else {
                if let Some(done) = column.take() {
                    draw(done, &mut pen_down);
                }
                pen_down = false;
                continue;
            };
            let x = self.axis.x(sample.at).round() as i64;
            match &mut column {
                Some((here, worst, _)) if *here == x && *worst >= share => {}
                Some((here, worst, of)) if *here == x => (*worst, *of) = (share, observed),
                _ => {
                    if let Some(done) = column.replace((x, share, observed)) {
                        draw(done, &mut pen_down);
                    }
                }
            }
        }
        if let Some(done) = column {
            draw(done, &mut pen_down);
        }
        self.path("hb-share", &d);
        self.path("hb-above", &diamonds);
    }

    fn tasks(&mut self) {
        let report = self.report;
        let points = together(report);
        if points.is_empty() {
            return;
        }
        let most = points
            .iter()
            .map(|h| h.instances.max(h.running + h.staged))
            .max()
            .unwrap_or(1)
            .max(1);
        let (top, bottom) = self.panel(
            "tasks",
            "filled: healthy · solid: running · dotted: staged · dashed: asked for",
            76.0,
        );
        let y = |n: u32| bottom - f64::from(n) / f64::from(most) * (bottom - top - 6.0);
        let step = svg::round_step(f64::from(most), 3.0).ceil() as u32;
        let clear = |n: &u32| y(*n) - y(most) >= 14.0;
        for n in (0..most)
            .step_by(step.max(1) as usize)
            .filter(clear)
            .chain([most])
        {
            self.line("hb-grid", LEFT, y(n), RIGHT, y(n));
            self.text("hb-tick hb-end", LEFT - 6.0, y(n) + 4.0, &n.to_string());
        }
        let stairs = |value: fn(&crate::model::report::HealthPoint) -> u32| {
            let mut d = String::new();
            let mut last = None;
            for point in &points {
                let (x, n) = (self.axis.x(point.at), value(point));
                match last {
                    None => d.push_str(&format!("M{x:.1} {:.1}", y(n))),
                    Some(before) if before != n => d.push_str(&format!("H{x:.1}V{:.1}", y(n))),
                    Some(_) => {}
                }
                last = Some(n);
            }
            d.push_str(&format!(
                "H{:.1}",
                points.last().map_or(LEFT, |p| self.axis.x(p.at))
            ));
            d
        };
        let healthy = stairs(|h| h.healthy);
        let first = points.first().map_or(LEFT, |p| self.axis.x(p.at));
        let lines = [
            stairs(|h| h.running),
            stairs(|h| h.staged),
            stairs(|h| h.instances),
        ];
        self.path("hb-healthy", &format!("{healthy}V{bottom:.1}H{first:.1}Z"));
        for (class, d) in ["hb-running", "hb-staged", "hb-instances"].into_iter().zip(lines) {
            self.path(class, &d);
        }
    }

    /// What the tasks answered, each asked by itself.
    fn each_task(&mut self) {
        let rows = each_task::rows(self.report);
        if rows.is_empty() {
            return;
        }
        let shown = rows.len().min(each_task::ROWS_MAX);
        let (top, _) = self.panel(
            "each task, asked by itself",
            "bars: the slower the answer the taller · red: no good answer · gap: not asked",
            shown as f64 * each_task::ROW + 4.0,
        );
        let axis = &self.axis;
        each_task::draw(&mut self.body, &rows, LEFT, top, |at| axis.x(at));
        if rows.len() > shown {
            self.note(&format!("{} more tasks are in report.json", rows.len() - shown));
        }
    }

    fn evidence(&mut self) {
        let report = self.report;
        if report.evidence.is_empty() {
            return;
        }
        let (top, bottom) = self.panel(
            "evidence for an abort",
            "per cent of what an abort needs, logarithmic gauge",
            60.0,
        );
        let y = |percent: u32| bottom - f64::from(percent.min(100)) / 100.0 * (bottom - top - 8.0);
        for percent in [0, 50] {
            self.line("hb-grid", LEFT, y(percent), RIGHT, y(percent));
            self.text(
                "hb-tick hb-end",
                LEFT - 6.0,
                y(percent) + 4.0,
                &format!("{percent} %"),
            );
        }
        self.line("hb-threshold", LEFT, y(100), RIGHT, y(100));
        self.text("hb-tick hb-end", LEFT - 6.0, y(100) + 4.0, "100 %");
        for probe in report.plan.hypothesis.probes.iter().take(PROBES_MAX) {
            let (mut d, mut last) = (String::new(), None);
            for point in report.evidence.iter().filter(|e| e.probe == probe.name) {
                let here = (self.axis.x(point.at).round() as i64, point.percent);
                // The same pixel and the same value would draw the same point.
                if last != Some(here) {
                    let word = if last.is_none() { 'M' } else { 'L' };
                    d.push_str(&format!("{word}{} {:.1}", here.0, y(here.1)));
                }
                last = Some(here);
            }
            self.path("hb-evidence", &d);
        }
    }

    /// One line for each kill: when, and how long until capacity and steadiness were back.
    fn kills(&mut self) {
        let intents = &self.report.intents;
        if intents.is_empty() {
            return;
        }
        self.text("hb-head", 14.0, self.y, "kills");
        let shams = match self.report.plan.mode {
            _ if intents.iter().all(|i| !i.sham) => "",
            Mode::Enforce => " · ▽ sham",
            _ => " · ▽ rehearsed",
        };
        let legend = format!(
            "▼ kill{shams} · ● replacement runs · ◆ healthy · thin: to capacity restored · thick: to steady again · dashed: not reached"
        );
        self.text("hb-soft hb-end", RIGHT, self.y, &legend);
        let mut y = self.y + 22.0;
        let row = if intents.len() > 6 { 15.0 } else { 20.0 };
        for (index, intent) in intents.iter().enumerate() {
            let recovery = self.recovery(intent.step);
            let x = self.axis.x(recovery.as_ref().map_or(intent.at, |r| r.killed));
            self.text("hb-tick hb-end", LEFT - 6.0, y + 4.0, &intent.step.to_string());
            if let Some(recovery) = recovery.filter(|_| !intent.sham) {
                self.spans(&recovery, x, y);
            }
            let class = if intent.sham { "hb-sham" } else { "hb-kill" };
            self.path(class, &format!("M{:.1} {:.1}h12l-6 10z", x - 6.0, y - 6.0));
            if index + 1 < KILL_ROWS_MAX {
                y += row;
            }
        }
        self.y = y + 6.0;
    }

    fn spans(&mut self, recovery: &KillRecovery, x: f64, y: f64) {
        let end = |reached: Option<DateTime<Utc>>| reached.map(|at| self.axis.x(at));
        let (running, healthy) = (end(recovery.running), end(recovery.healthy));
        let (capacity, steady) = (end(recovery.capacity), end(recovery.steady));
        for (reached, class, offset) in [(capacity, "hb-capacity", -2.5), (steady, "hb-steady", 2.5)] {
            let to = reached.unwrap_or(RIGHT);
            let class = if reached.is_some() {
                class.to_owned()
            } else {
                format!("{class} hb-censored")
            };
            self.line(&class, x, y + offset, to, y + offset);
            match reached {
                Some(to) => self.line(&class, to, y + offset - 4.5, to, y + offset + 4.5),
                None => self.path(
                    &class,
                    &format!("M{:.1} {:.1}l6 4l-6 4", to - 6.0, y + offset - 4.0),
                ),
            }
        }
        if let Some(running) = running {
            self.put(&format!(
                "<circle class=\"hb-dot\" cx=\"{running:.1}\" cy=\"{y:.1}\" r=\"4\"/>"
            ));
        }
        if let Some(healthy) = healthy {
            self.path("hb-dot", &format!("M{healthy:.1} {:.1}l5 5l-5 5l-5 -5z", y - 5.0));
        }
    }

    /// The axis under everything; returns the height of the whole.
    fn time_axis(&mut self) -> f64 {
        let y = self.y;
        self.line("hb-axis", LEFT, y, RIGHT, y);
        let (ticks, step) = self.axis.ticks();
        for tick in ticks {
            let x = self.axis.x(tick);
            self.line("hb-axis", x, y, x, y + 5.0);
            let form = if step % 60 == 0 { "%H:%M" } else { "%H:%M:%S" };
            self.text("hb-tick hb-mid", x, y + 18.0, &tick.format(form).to_string());
        }
        let day = self.axis.from.format("%a %-d %b %Y, UTC").to_string();
        self.text("hb-soft", 14.0, y + 36.0, &day);
        y + 48.0
    }

    /// Kills and the abort as lines through every panel, drawn below them.
    fn marks(&self) -> String {
        let mut out = String::new();
        let mut line = |class: &str, x: f64| {
            let parts = self.through.iter();
            let d: String = parts
                .map(|(from, to)| format!("M{x:.1} {from:.1}V{to:.1}"))
                .collect();
            svg::path(&mut out, class, &d);
        };
        for kill in self.real_kills() {
            line("hb-kill-line", self.axis.x(kill));
        }
        if let Some(aborted) = &self.report.abort {
            let x = self.axis.x(aborted.at);
            line("hb-abort", x);
            svg::path(&mut out, "hb-abort", &format!("M{x:.1} 31V45"));
            let (class, label) = if x > WIDTH / 2.0 {
                (" hb-end", x - 6.0)
            } else {
                ("", x + 6.0)
            };
            svg::text(
                &mut out,
                &format!("hb-abort-label{class}"),
                label,
                42.0,
                &self.abort_label(aborted),
            );
        }
        out
    }

    /// `✕ abort: limit of cart-edge (evidence 100 %)`: the rule, the probe and how clear it was.
    fn abort_label(&self, aborted: &Aborted) -> String {
        let word = aborted.cause.word();
        let of = first_bad_sample(self.report, aborted).map(|bad| format!(" of {}", bad.probe));
        let figure = match &aborted.cause {
            AbortCause::Limit { evidence_percent, .. } => format!(" (evidence {evidence_percent} %)"),
            AbortCause::Consecutive { samples, .. } => format!(" ({samples} samples in a row)"),
            AbortCause::Hard { observed, bad, .. } => format!(" ({bad} of {observed} bad)"),
            AbortCause::Budget { failed, allowed } => format!(" ({failed} failed, {allowed} allowed)"),
            AbortCause::Blind { missed, .. } => format!(" ({missed} samples missed)"),
            _ => String::new(),
        };
        format!("✕ abort: {word}{}{figure}", of.unwrap_or_default())
    }
}

fn observed(sample: &Sample) -> Option<u32> {
    match sample.reading {
        Reading::Seen { observed, .. } => Some(observed),
        Reading::Blind { .. } => None,
    }
}

/// The most and the fewest observations of a sample.
fn most_and_least(samples: &[&Sample]) -> Option<(u32, u32)> {
    let observed = || samples.iter().filter_map(|s| observed(s)).filter(|n| *n > 0);
    observed().max().zip(observed().min())
}

/// The tasks of all apps of the plan together, at each moment at which every one of them was seen.
fn together(report: &Report) -> Vec<HealthPoint> {
    let apps = &report.plan.apps;
    let mut sums: BTreeMap<DateTime<Utc>, (u32, HealthPoint)> = BTreeMap::new();
    for point in report.health.iter().filter(|h| apps.contains(&h.app)) {
        match sums.entry(point.at) {
            Entry::Vacant(entry) => {
                entry.insert((1, point.clone()));
            }
            Entry::Occupied(mut entry) => {
                let (seen, sum) = entry.get_mut();
                *seen += 1;
                sum.healthy += point.healthy;
                sum.instances += point.instances;
                sum.running += point.running;
                sum.staged += point.staged;
            }
        }
    }
    let whole = sums.into_values().filter(|(seen, _)| *seen == apps.count());
    whole.map(|(_, sum)| sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn count(svg: &str, what: &str) -> usize {
        svg.matches(what).count()
    }

    #[test]
    fn every_kill_has_a_triangle_and_a_line() {
        let held = svg(&sample::held());
        assert_eq!(count(&held, "class=\"hb-kill\""), 3);
        assert_eq!(count(&held, "class=\"hb-kill-line\""), 3);
        assert_eq!(count(&held, "class=\"hb-abort\""), 0);
    }

    #[test]
    fn a_rehearsal_has_open_triangles_and_no_recovery() {
        let rehearsed = svg(&sample::rehearsed());
        assert_eq!(count(&rehearsed, "class=\"hb-sham\""), 3);
        assert_eq!(count(&rehearsed, "class=\"hb-kill\""), 0);
        assert_eq!(count(&rehearsed, "class=\"hb-capacity"), 0);
    }

    #[test]
    fn an_abort_is_marked_with_its_rule_and_probe() {
        let aborted = svg(&sample::disproved());
        assert!(count(&aborted, "class=\"hb-abort\"") > 0);
        assert!(aborted.contains("✕ abort: limit of cart-edge (evidence 100 %)"));
    }

    #[test]
    fn no_line_runs_through_a_title_or_a_legend() {
        let drawn = svg(&sample::disproved());
        let of = |class: &str, name: &str| -> Vec<f64> {
            let tags = drawn.lines().filter(|l| l.contains(&format!("class=\"{class}")));
            let after = tags.flat_map(|l| l.split(name).skip(1));
            after
                .filter_map(|rest| rest.split(['"', 'M', ' ']).next()?.parse().ok())
                .collect()
        };
        let heads = of("hb-head", " y=\"");
        let line = drawn.lines().find(|l| l.contains("class=\"hb-abort\"")).unwrap();
        let parts: Vec<(f64, f64)> = line
            .split('M')
            .filter_map(|part| {
                let (from, to) = part.split_once(' ')?.1.split_once('V')?;
                Some((from.parse().ok()?, to.split('"').next()?.parse().ok()?))
            })
            .collect();
        assert!(heads.len() > 3 && parts.len() > 2, "{heads:?} {parts:?}");
        for head in heads {
            // A line of text: nine above where it stands, three below.
            let through = parts
                .iter()
                .find(|(from, to)| *from < head + 3.0 && *to > head - 9.0);
            assert_eq!(through, None, "a title stands at {head}");
        }
    }

    #[test]
    fn a_replacement_that_is_healthy_has_a_diamond() {
        let mut report = sample::held();
        let dots = |report: &Report| count(&svg(report), "class=\"hb-dot\" d=");
        report.recoveries[0].healthy = None;
        let before = dots(&report);
        report.recoveries[0].healthy = Some(report.recoveries[0].killed + TimeDelta::seconds(9));
        assert_eq!(dots(&report), before + 1);
        assert!(svg(&report).contains("◆ healthy"));
    }

    #[test]
    fn a_point_is_as_large_as_its_sample_where_they_differ() {
        let mut report = sample::held();
        let above = |report: &Report| {
            let drawn = svg(report);
            let line = drawn.lines().find(|l| l.contains("class=\"hb-above\"")).unwrap();
            (line.to_owned(), drawn.contains("larger for more requests"))
        };
        let (same, said) = above(&report);
        assert!(!said && same.contains("m0 -4l4 4l-4 4l-4 -4z"), "{same}");
        let bad = |s: &&mut Sample| {
            s.probe.as_str() == "cart-edge" && s.reading.bad_share().is_some_and(|share| share > 0.01)
        };
        report.samples.iter_mut().find(bad).unwrap().reading = Reading::seen(2_000, 100);
        let (sized, said) = above(&report);
        assert!(said && sized.contains("m0 -5l5 5l-5 5l-5 -5z"), "{sized}");
        assert!(sized.contains("m0 -2.3l2.3 2.3"), "{sized}");
    }

    #[test]
    fn a_stage_that_was_not_reached_is_drawn_as_open() {
        assert_eq!(count(&svg(&sample::held()), "hb-censored\""), 0);
        assert_eq!(
            count(&svg(&sample::disproved()), "hb-capacity hb-censored\""),
            2,
            "line and arrow"
        );
    }

    #[test]
    fn a_blind_stretch_is_one_hatched_gap_and_breaks_the_line() {
        let held = sample::held();
        let drawn = svg(&held);
        assert_eq!(count(&drawn, "class=\"hb-blind\""), 1);
        let line = drawn.lines().find(|l| l.contains("class=\"hb-share\"")).unwrap();
        assert_eq!(count(line, "M"), 2);
    }

    #[test]
    fn thinning_keeps_the_worst_sample() {
        let mut report = sample::held();
        let worst = report.samples.len() / 2 / 2 * 2;
        report.samples.retain(|s| s.probe.as_str() == "cart-edge");
        let template = report.samples[0].clone();
        report.samples = (0..40_000)
            .map(|n| Sample {
                at: template.at + TimeDelta::milliseconds(n * 250),
                reading: Reading::seen(20, if n == worst as i64 { 20 } else { 0 }),
                ..template.clone()
            })
            .collect();
        report.evidence.clear();
        let drawn = svg(&report);
        assert!(drawn.len() < 60_000, "{} bytes", drawn.len());
        let above = drawn.lines().find(|l| l.contains("class=\"hb-above\"")).unwrap();
        assert_eq!(count(above, "M"), 1);
    }

    #[test]
    fn nothing_measured_is_said_and_not_drawn() {
        let open = svg(&sample::open());
        assert!(open.contains("Nothing was measured"));
        assert!(!open.contains("NaN") && !open.contains("inf"));
    }

    #[test]
    fn no_coordinate_is_lost() {
        for report in sample::all() {
            let drawn = svg(&report);
            assert!(
                !drawn.contains("NaN") && !drawn.contains("inf "),
                "{}",
                report.run
            );
        }
    }

    #[test]
    fn ticks_are_round_and_few() {
        let from = DateTime::from_timestamp(1_795_442_523, 0).unwrap();
        for length in [1, 7, 60, 262, 3_601, 90_000] {
            let (ticks, _) = Axis {
                from,
                to: from + TimeDelta::seconds(length),
            }
            .ticks();
            assert!((1..=12).contains(&ticks.len()), "{length} s: {ticks:?}");
        }
    }
}
