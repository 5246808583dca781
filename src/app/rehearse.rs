//! `rehearse`: measures a live app through a policy's probes, makes sham kills only, and says what limits fit.
//!
//! Nothing here can kill: it holds a prober and two ways to look at a cluster, and no permit is ever made. It needs no
//! running operator and no journal, because it is the first thing that a team runs.

use super::ahead::{policies_of, settings_of};
use super::alone::queries;
use super::serve;
use crate::cli::trouble::Trouble;
use crate::cli::works::RehearseArgs;
use crate::clock::RealClock;
use crate::engine::history::Ledger;
use crate::engine::ownership::Ownership;
use crate::engine::planner::{self, Wanted};
use crate::engine::schedule::longest_armed;
use crate::engine::steady_state::advice;
use crate::engine::steady_state::monitor::Monitor;
use crate::exit::Exit;
use crate::model::experiment::{ProbeSpec, Reading, Role, Sample, Share, Source};
use crate::model::ids::{AppId, RunId};
use crate::model::policy::{Limits, Mode, Policy};
use crate::model::rehearsal::{ProbeNoise, Rehearsal, ShamKill, Timing, WouldAbort};
use crate::model::snapshot::Snapshot;
use crate::model::words::brief;
use crate::policy::load::parse_policy;
use crate::policy::mend::{Edit, Step, edited};
use crate::ports::clock::Clock;
use crate::ports::cluster::{Cluster, Query};
use crate::ports::prober::{Patience, Prober};
use crate::settings::Settings;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often a word is said while it lasts.
const WORD_EVERY: Duration = Duration::from_secs(10);
/// Sham kills are at least this far apart: what comes after one is told from what comes after the next.
const SHAM_EVERY: Duration = Duration::from_secs(60);
/// Least samples of each probe: fewer say nothing.
const SAMPLES_MIN: u32 = 10;
/// The longest that looking at the cluster may take for a sham kill.
const LOOK_MAX: Duration = Duration::from_secs(20);

/// What is looked at, and with what.
pub struct Stage<'a> {
    /// The policy as its file has it.
    pub policy: &'a Policy,
    /// What binds every policy.
    pub limits: &'a Limits,
    /// Who owns what.
    pub ownership: Ownership,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Probes.
    pub prober: Arc<dyn Prober>,
    /// The policy's cluster; never asked to kill.
    pub cluster: Arc<dyn Cluster>,
}

/// Rehearses a policy that the settings or a file know.
///
/// # Errors
///
/// Files that can't be used, and a time that is too short. What a probe or Marathon can't do is part of the result.
pub async fn rehearse(args: RehearseArgs) -> Result<Rehearsal, Trouble> {
    let settings = settings_of(&args.settings)?;
    let policies = policies_of(Some(&settings), std::slice::from_ref(&args.policy))?;
    let [policy] = policies.as_slice() else {
        return Err(Trouble::new(
            Exit::Usage,
            format!("{} holds {} policies; name one", args.policy, policies.len()),
        ));
    };
    let clock: Arc<dyn Clock> = Arc::new(RealClock);
    let cluster = serve::clusters(&settings, &clock)?
        .remove(&policy.cluster)
        .ok_or_else(|| {
            let why = format!(
                "cluster {} is not in the settings; nothing was measured",
                policy.cluster
            );
            Trouble::new(Exit::BadInput, why)
        })?;
    let set = crate::policy::Folder::new(&settings.policy_dir).read().set;
    let stage = Stage {
        policy,
        limits: &settings.limits,
        ownership: Ownership {
            opt_in: settings.opt_in.clone(),
            team_label: settings.team_label.clone(),
            owners: set.owners,
            owners_bad: set.owners_bad,
        },
        prober: Arc::new(serve::probes(&settings, settings.listen)?),
        clock,
        cluster,
    };
    let interrupted = async {
        // Without a signal handler nothing ends it early, and the time still does.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let progress = args.progress.clone();
    let mut rehearsal = stage
        .play(args.lasts, &|word| progress(word), interrupted)
        .await?;
    if args.write {
        rehearsal.written = Some(match file_of(&settings, &args.policy, policy) {
            Some(file) => {
                write(&file, policy, &rehearsal).unwrap_or_else(|why| format!("not written: {why}"))
            }
            None => "not written: no file holds the policy".to_owned(),
        });
    }
    Ok(rehearsal)
}

impl Stage<'_> {
    /// Measures for this long, or until `stop` comes.
    ///
    /// # Errors
    ///
    /// When the time is too short for the policy's interval, or there is nothing to measure with.
    pub async fn play(
        &self,
        lasts: Duration,
        progress: &(dyn Fn(&str) + Sync),
        stop: impl Future<Output = ()>,
    ) -> Result<Rehearsal, Trouble> {
        let hypothesis = &self.policy.hypothesis;
        let least = hypothesis.interval * SAMPLES_MIN;
        if lasts < least || hypothesis.probes.is_empty() {
            let why = match hypothesis.probes.is_empty() {
                true => "the policy has no probes; write some under `steadyState.probes`".to_owned(),
                false => format!(
                    "--for {} is too short: at an interval of {} at least {} are needed",
                    brief(lasts),
                    brief(hypothesis.interval),
                    brief(least)
                ),
            };
            return Err(Trouble::new(Exit::Usage, format!("{why}; nothing was measured")));
        }
        let seen = Mutex::new(Seen::new(self.policy, self.clock.now()));
        let began = (self.clock.now(), self.clock.elapsed());
        let ended = tokio::select! {
            biased;
            () = stop => false,
            () = self.clock.sleep(lasts) => true,
            () = self.sample(began, &seen) => true,
            () = self.pretend_to_kill(lasts, &seen) => true,
            () = self.say(began.1, lasts, &seen, progress) => true,
        };
        let measured = (self.clock.elapsed() - began.1).min(lasts);
        let seen = seen.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(self.conclude(began.0, measured, !ended, seen))
    }

    /// Every probe on a fixed grid, as a real run asks them; never ends.
    async fn sample(&self, began: (DateTime<Utc>, Duration), seen: &Mutex<Seen>) {
        let hypothesis = &self.policy.hypothesis;
        let interval = hypothesis.interval;
        let mut tick: u32 = 0;
        loop {
            let due = began.1 + interval * tick;
            let now = self.clock.elapsed();
            if due > now {
                self.clock.sleep(due - now).await;
            }
            let at = began.0 + TimeDelta::from_std(interval * tick).unwrap_or_default();
            let app = seen.lock().unwrap_or_else(PoisonError::into_inner).app.clone();
            let due = |tick: u32| {
                let due = move |probe: &&ProbeSpec| tick.is_multiple_of(ticks_between(probe, interval));
                hypothesis.probes.iter().filter(due)
            };
            let readings = join_all(due(tick).map(|probe| self.ask(probe, app.as_ref()))).await;
            let reached = (self.clock.elapsed() - began.1).as_millis() / interval.as_millis().max(1);
            let next = u32::try_from(reached)
                .unwrap_or(u32::MAX)
                .max(tick.saturating_add(1));
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            for (probe, reading) in due(tick).zip(readings) {
                seen.take(self.policy, probe, at, reading);
            }
            // Ticks that went by meanwhile were missed.
            for missed in tick + 1..next {
                let at = began.0 + TimeDelta::from_std(interval * missed).unwrap_or_default();
                for probe in due(missed) {
                    let why = "the tick was overrun".to_owned();
                    seen.take(self.policy, probe, at, Reading::Blind { why });
                }
            }
            tick = next;
        }
    }

    async fn ask(&self, probe: &ProbeSpec, app: Option<&AppId>) -> Reading {
        let blind = |why: &str| Reading::Blind { why: why.to_owned() };
        if probe.source != Source::Marathon {
            let (run, timing) = (run(), Patience::of(&self.policy.hypothesis));
            return tokio::select! {
                biased;
                reading = self.prober.take(&run, probe, timing) => reading,
                () = self.clock.sleep(self.policy.hypothesis.interval) => blind("no answer within the interval"),
            };
        }
        let Some(app) = app else {
            return blind("no app is planned yet");
        };
        tokio::select! {
            biased;
            look = self.cluster.look_at(app) => match look {
                Ok(Some(app)) => Reading::Seen {
                    observed: app.instances,
                    bad: app.missing(),
                    slowest_ms: None,
                    detail: None,
                },
                Ok(None) => blind("Marathon has no such app"),
                Err(gap) => blind(&gap.why),
            },
            () = self.clock.sleep(self.policy.hypothesis.interval) => blind("Marathon did not answer within the interval"),
        }
    }

    /// Looks at the policy's apps, and at the agents where its fault is about them.
    async fn look(&self, queries: &[Query]) -> Snapshot {
        let mut snapshot = self.cluster.look(queries).await;
        if self.policy.fault.needs_agents() {
            snapshot.take_agents(self.cluster.agents().await);
        }
        snapshot
    }

    /// Now and then everything that comes before a kill, and no kill; never ends.
    async fn pretend_to_kill(&self, lasts: Duration, seen: &Mutex<Seen>) {
        let rehearsed = Policy {
            mode: Mode::Rehearse,
            ..self.policy.clone()
        };
        let queries = queries(self.policy);
        for number in 0_u32.. {
            let snapshot = tokio::select! {
                biased;
                snapshot = self.look(&queries) => Some(snapshot),
                () = self.clock.sleep(LOOK_MAX) => None,
            };
            let now = self.clock.now();
            let plan = snapshot
                .ok_or_else(|| "Marathon did not answer".to_owned())
                .and_then(|snapshot| {
                    planner::plan(&Wanted {
                        policy: &rehearsed,
                        limits: self.limits,
                        ownership: &self.ownership,
                        ledger: &Ledger::default(),
                        snapshot: &snapshot,
                        seed: "rehearsal",
                        purpose: &format!("{}|{number}", self.policy.name),
                        requested_by: None,
                        run: run(),
                        now,
                        only: None,
                    })
                    .map(|(plan, _)| plan)
                    .map_err(|none| none.why)
                });
            // The first look only tells which app it is about.
            let (app, tasks, what) = match plan {
                Ok(plan) => {
                    let tasks: Vec<String> = plan
                        .steps
                        .iter()
                        .find(|step| !step.is_sham())
                        .into_iter()
                        .flat_map(|step| &step.targets)
                        .map(|target| format!("{} on {}", target.task, target.host))
                        .collect();
                    (
                        plan.apps.ids().next().cloned(),
                        u32::try_from(tasks.len()).unwrap_or(u32::MAX),
                        format!("would have killed {}", tasks.join(", ")),
                    )
                }
                Err(why) => (None, 0, format!("would have killed nothing: {why}")),
            };
            {
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.app = app.or_else(|| seen.app.take());
                if number > 0 {
                    seen.shams.push(ShamKill { at: now, tasks, what });
                }
            }
            let rest = if number == 0 {
                SHAM_EVERY.min(lasts / 4)
            } else {
                SHAM_EVERY
            };
            self.clock.sleep(rest).await;
        }
    }

    /// Says how far it is; never ends.
    async fn say(
        &self,
        began: Duration,
        lasts: Duration,
        seen: &Mutex<Seen>,
        progress: &(dyn Fn(&str) + Sync),
    ) {
        loop {
            self.clock.sleep(WORD_EVERY).await;
            let word = seen.lock().unwrap_or_else(PoisonError::into_inner).in_a_line();
            let past = Duration::from_secs((self.clock.elapsed() - began).as_secs());
            progress(&format!("{} of {}: {word}", brief(past), brief(lasts)));
        }
    }

    fn conclude(&self, began: DateTime<Utc>, measured: Duration, cut_short: bool, seen: Seen) -> Rehearsal {
        let hypothesis = &self.policy.hypothesis;
        let armed = longest_armed(self.policy);
        let timing = advice::timing(hypothesis, &seen.samples);
        let probes: Vec<ProbeNoise> = hypothesis
            .probes
            .iter()
            .map(|probe| advice::noise(hypothesis, probe, &seen.samples, armed, &timing))
            .collect();
        let mut remarks =
            vec!["Nothing was killed; how the app copes with a kill was not measured.".to_owned()];
        if measured < Duration::from_secs(600) {
            remarks.push(format!(
                "{} are short: what happens every ten minutes was perhaps not in them.",
                brief(Duration::from_secs(measured.as_secs()))
            ));
        }
        if probes.iter().all(|probe| probe.role != Role::Abort) {
            remarks.push("No probe may abort: a real run would not begin.".to_owned());
        }
        Rehearsal {
            policy: self.policy.name.clone(),
            began,
            measured_s: measured.as_secs(),
            cut_short,
            shams: seen.shams,
            would_abort: seen.would_abort,
            probes,
            timing,
            written: None,
            remarks,
        }
    }
}

/// Whose readings they are: counters are remembered by run.
fn run() -> RunId {
    RunId::from("r-REHEARSE")
}

/// How many ticks of the grid lie between two samples of a probe.
fn ticks_between(probe: &ProbeSpec, interval: Duration) -> u32 {
    let every = probe.every.unwrap_or(interval).as_millis();
    u32::try_from(every / interval.as_millis().max(1))
        .unwrap_or(u32::MAX)
        .max(1)
}

/// What was seen so far.
struct Seen {
    samples: Vec<Sample>,
    monitor: Monitor,
    app: Option<AppId>,
    shams: Vec<ShamKill>,
    would_abort: Vec<WouldAbort>,
}

impl Seen {
    fn new(policy: &Policy, now: DateTime<Utc>) -> Self {
        Self {
            samples: vec![],
            monitor: armed(policy, now),
            app: policy.scope.one_app(),
            shams: vec![],
            would_abort: vec![],
        }
    }

    fn take(&mut self, policy: &Policy, probe: &ProbeSpec, at: DateTime<Utc>, reading: Reading) {
        let sample = Sample {
            at,
            probe: probe.name.clone(),
            reading,
        };
        if let Some(cause) = self.monitor.take(&sample) {
            self.would_abort.push(WouldAbort {
                at,
                why: cause.to_string(),
            });
            self.monitor = armed(policy, at);
        }
        self.samples.push(sample);
    }

    fn in_a_line(&self) -> String {
        let (mut observed, mut bad, mut blind) = (0_u64, 0_u64, 0_u64);
        for sample in &self.samples {
            match sample.reading {
                Reading::Seen {
                    observed: n, bad: k, ..
                } => {
                    observed += u64::from(n);
                    bad += u64::from(k);
                }
                Reading::Blind { .. } => blind += 1,
            }
        }
        let evidence = self.monitor.evidence().values().copied().max().unwrap_or(0);
        format!(
            "{bad} of {observed} bad, {blind} samples blind, evidence {evidence} %, sham kills: {}",
            self.shams.len()
        )
    }
}

/// A monitor that judges from now on as in a run that has killed.
fn armed(policy: &Policy, now: DateTime<Utc>) -> Monitor {
    let mut monitor = Monitor::new(&policy.hypothesis, longest_armed(policy));
    monitor.arm(now);
    monitor
}

/// The file that holds the policy.
fn file_of(settings: &Settings, named: &str, policy: &Policy) -> Option<PathBuf> {
    let holds = |file: &Path| {
        let bytes = std::fs::read(file).unwrap_or_default();
        parse_policy(file, &bytes).is_ok_and(|found| found.name == policy.name)
    };
    if Path::new(named).is_file() {
        return Some(PathBuf::from(named));
    }
    let folder = if Path::new(named).is_dir() {
        Path::new(named)
    } else {
        settings.policy_dir.as_path()
    };
    let files = std::fs::read_dir(folder)
        .ok()?
        .flatten()
        .map(|entry| entry.path());
    let mut files = files.filter(|file| file.extension().is_some_and(|e| e == "yaml" || e == "yml"));
    files.find(|file| holds(file))
}

/// Writes what is advised into the policy's file, beside a copy of the file as it was, and says what was done.
///
/// # Errors
///
/// A sentence; then the file is as it was.
fn write(file: &Path, policy: &Policy, rehearsal: &Rehearsal) -> Result<String, String> {
    let edits = edits(rehearsal);
    if edits.is_empty() {
        return Ok("nothing to write: what was measured fits the policy as it is".to_owned());
    }
    // A link stays a link: what it leads to is written.
    let file = std::fs::canonicalize(file).map_err(|e| format!("{} can't be found: {e}", file.display()))?;
    let old = std::fs::read_to_string(&file).map_err(|e| format!("{} can't be read: {e}", file.display()))?;
    let new = edited(&old, &edits)?;
    let (before, after) = (means(&file, &old)?, means(&file, &new)?);
    if !differs_as_wanted(&before, &after, policy, rehearsal) {
        return Err(
            "the changed file would mean something else than was advised; write it by hand".to_owned(),
        );
    }
    let name = file
        .file_name()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_default();
    // Neither ends in .yaml: the policy folder does not read them.
    let copy = file.with_file_name(format!("{name}.before-rehearsal"));
    let fresh = file.with_file_name(format!(".{name}.rehearsed"));
    let failed = |what: &Path| {
        let what = what.display().to_string();
        move |error: std::io::Error| format!("{what} can't be written: {error}")
    };
    std::fs::write(&copy, &old).map_err(failed(&copy))?;
    let written = (|| {
        let mut to = std::fs::File::create(&fresh)?;
        to.set_permissions(std::fs::metadata(&file)?.permissions())?;
        to.write_all(new.as_bytes())?;
        to.sync_all()?;
        std::fs::rename(&fresh, &file)
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&fresh);
    }
    written.map_err(failed(&file))?;
    let lines: Vec<String> = edits
        .iter()
        .map(|edit| match edit.path.last() {
            Some(Step::Field(field)) => format!("{field}: {}", edit.value),
            _ => edit.value.clone(),
        })
        .collect();
    Ok(format!(
        "{}: {}; as it was: {}. Approvals of the old policy are void.",
        file.display(),
        lines.join(", "),
        copy.display()
    ))
}

/// What has to be written for the policy to be as advised.
fn edits(rehearsal: &Rehearsal) -> Vec<Edit> {
    use Step::{Entry, Field};
    let steady = |field| vec![Field("spec"), Field("steadyState"), Field(field)];
    let mut edits = vec![];
    let Timing {
        interval_ms,
        interval_advised_ms,
        timeout_advised_ms,
        ..
    } = rehearsal.timing;
    if interval_advised_ms != interval_ms {
        for (field, ms) in [("interval", interval_advised_ms), ("timeout", timeout_advised_ms)] {
            edits.push(Edit {
                path: steady(field),
                value: brief(Duration::from_millis(ms)),
            });
        }
    }
    for (index, noise) in rehearsal.probes.iter().enumerate() {
        let of_probe = |fields: &[Step]| {
            let mut path = steady("probes");
            path.push(Entry(index));
            path.extend(fields);
            path
        };
        if let Some(limit) = noise.limit_advised.filter(|limit| *limit != noise.limit) {
            edits.push(Edit {
                path: of_probe(&[Field("share"), Field("max")]),
                value: percent(limit),
            });
        }
        if let Some(line) = noise.slower_than_advised_ms {
            edits.push(Edit {
                path: of_probe(&[Field("slowerThan")]),
                value: format!("{line}ms"),
            });
        }
    }
    edits
}

/// A source with the advised line for slow answers.
fn with_line(source: &Source, noise: &ProbeNoise) -> Source {
    let mut source = source.clone();
    if let (Source::Http(http), Some(line)) = (&mut source, noise.slower_than_advised_ms) {
        http.slower_than = Some(Duration::from_millis(u64::from(line)));
    }
    source
}

fn percent(share: Share) -> String {
    format!("{}%", f64::from(share.0) / 10_000.0)
}

fn means(file: &Path, text: &str) -> Result<Policy, String> {
    parse_policy(file, text.as_bytes())
        .map_err(|(_, problems)| format!("the changed file would be refused: {problems}"))
}

/// Whether two policies differ in the values that were written and in nothing that is not of the steady state.
fn differs_as_wanted(before: &Policy, after: &Policy, policy: &Policy, rehearsal: &Rehearsal) -> bool {
    let rest = |policy: &Policy| Policy {
        hypothesis: before.hypothesis.clone(),
        digest: before.digest.clone(),
        ..policy.clone()
    };
    let timing = &rehearsal.timing;
    let wanted = |noise: &ProbeNoise| noise.limit_advised.unwrap_or(noise.limit);
    let (old, new) = (&policy.hypothesis, &after.hypothesis);
    rest(before) == rest(after)
        && before.hypothesis == *old
        && new.interval == Duration::from_millis(timing.interval_advised_ms)
        && new.timeout == Duration::from_millis(timing.timeout_advised_ms)
        && new.probes.len() == old.probes.len()
        && rehearsal
            .probes
            .iter()
            .zip(&new.probes)
            .zip(&old.probes)
            .all(|((noise, new), old)| {
                new.max == wanted(noise)
                    && new.name == old.name
                    && new.role == old.role
                    && new.source == with_line(&old.source, noise)
                    && new.hard == old.hard
                    && new.dip == old.dip
            })
}

#[cfg(test)]
mod tests;
