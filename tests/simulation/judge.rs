//! Holds what happened against the invariants, one by one, without the engine.
//!
//! It reads the journal's entries as they were appended and the world as it truly is. One direct check
//! for each invariant: an invariant that is only implied is not tested.

use crate::world::{DEADLINE, Event, Setup, State};
use chrono::{DateTime, TimeDelta, Utc};
use heartbreak::model::entry::{Body, Entry};
use heartbreak::model::policy::{ApprovalMode, RateLimit, Window};
use heartbreak::model::run::{IntentState, Phase};
use std::collections::{BTreeMap, BTreeSet};

/// Our clock may be this far off before the operator has to notice.
const CLOCK_SLACK: TimeDelta = TimeDelta::seconds(31);

#[derive(Debug)]
struct Known {
    run: String,
    targets: BTreeSet<String>,
    committed: DateTime<Utc>,
    charged: bool,
    sham: bool,
    bytes_out: Option<DateTime<Utc>>,
    executed: Vec<DateTime<Utc>>,
}

#[derive(Debug)]
struct Planned {
    digest: String,
    requested_by: Option<String>,
    expires: Option<DateTime<Utc>>,
    started: bool,
    /// Which steps are shams, by number, as the digested plan says.
    shams: BTreeMap<u32, bool>,
}

/// The judge.
pub struct Judge {
    allowance: usize,
    rate: RateLimit,
    window: Window,
    approvals_required: bool,
    approvers: BTreeSet<String>,
    intents: BTreeMap<String, Known>,
    runs: BTreeMap<String, Planned>,
    denied: BTreeSet<String>,
    aborted: BTreeMap<String, DateTime<Utc>>,
    halted: Option<DateTime<Utc>>,
    clicks: Vec<(String, String, String, DateTime<Utc>)>,
    looked: Option<(DateTime<Utc>, bool, bool, Vec<String>)>,
    probed: Option<(DateTime<Utc>, bool)>,
    last_effect: Option<DateTime<Utc>>,
    jumped: bool,
    now: DateTime<Utc>,
    /// How often each gate said no.
    pub refusals: BTreeMap<String, u64>,
    /// The first broken invariant.
    pub broken: Option<String>,
}

impl Judge {
    pub fn new(setup: &Setup) -> Self {
        let radius = setup.policy.blast_radius;
        // By hand, not by the model's own arithmetic.
        let left = setup.instances - radius.min_healthy;
        Self {
            allowance: radius.max_tasks.min(left) as usize,
            rate: setup.policy.rate_limit,
            window: setup.policy.schedule.windows[0].clone(),
            approvals_required: setup.policy.approval.mode == ApprovalMode::Required,
            approvers: setup
                .policy
                .approval
                .users
                .iter()
                .map(ToString::to_string)
                .collect(),
            intents: BTreeMap::new(),
            runs: BTreeMap::new(),
            denied: BTreeSet::new(),
            aborted: BTreeMap::new(),
            halted: None,
            clicks: vec![],
            looked: None,
            probed: None,
            last_effect: None,
            jumped: false,
            now: crate::world::monday_nine(),
            refusals: BTreeMap::new(),
            broken: None,
        }
    }

    fn expect(&mut self, holds: bool, why: impl FnOnce() -> String) {
        if !holds && self.broken.is_none() {
            self.broken = Some(why());
        }
    }

    pub fn see(&mut self, event: &Event, world: &State, stable: bool) {
        match event {
            Event::Entry(entry) => {
                self.now = truth(entry, world);
                self.entry(entry, world);
            }
            Event::BytesOut { intent, tasks, at } => self.bytes_out(intent, tasks, *at),
            Event::Executed { intent, at, .. } => self.executed(intent, *at, world),
            Event::Looked {
                asked,
                deployment,
                whole,
                down,
            } => {
                self.looked = Some((*asked, *deployment, *whole, down.clone()));
            }
            Event::Probed { good, at } => self.probed = Some((*at, *good)),
            Event::Clicked { run, digest, by, at } => {
                self.clicks.push((run.clone(), digest.clone(), by.clone(), *at));
            }
            Event::HaltFile { at } => self.halted = Some(self.halted.unwrap_or(*at)),
            Event::Jumped { .. } => self.jumped = true,
            Event::Died { .. } | Event::Stale { .. } | Event::Crashed { .. } | Event::Restarted { .. } => {}
        }
        let _ = stable;
    }

    fn entry(&mut self, entry: &Entry, world: &State) {
        match &entry.body {
            Body::Planned {
                plan,
                digest,
                approval_expires,
                ..
            } => {
                let planned = Planned {
                    digest: digest.to_string(),
                    requested_by: plan.requested_by.as_ref().map(|p| p.id.to_string()),
                    expires: *approval_expires,
                    started: false,
                    shams: plan
                        .steps
                        .iter()
                        .map(|s| (s.number, s.slot.is_some_and(|slot| slot.sham)))
                        .collect(),
                };
                // I17: kills and shams come in pairs, one of each.
                let mut pairs: BTreeMap<u32, Vec<bool>> = BTreeMap::new();
                for slot in plan.steps.iter().filter_map(|s| s.slot) {
                    pairs.entry(slot.pair).or_default().push(slot.sham);
                }
                let paired = pairs.values().all(|p| p.len() == 2 && p[0] != p[1]);
                self.expect(paired, || format!("I17: slots are not in pairs: {pairs:?}"));
                self.runs.insert(plan.run.to_string(), planned);
            }
            Body::Denied { run, .. } => {
                self.denied.insert(run.to_string());
            }
            Body::Judged { judgement } => {
                for blocker in judgement.blockers() {
                    let name = serde_json::to_value(blocker.gate).expect("a gate is a word");
                    *self
                        .refusals
                        .entry(name.as_str().unwrap_or_default().to_owned())
                        .or_default() += 1;
                }
            }
            Body::Declined { why, .. } | Body::Skipped { why, .. } => {
                let gate = why.split(':').next().unwrap_or_default().replace(' ', "_");
                if gate.len() < 20 {
                    *self.refusals.entry(gate).or_default() += 1;
                }
            }
            Body::Moved {
                run,
                to: Phase::Baseline,
            } => self.start(run.as_str(), entry.at),
            Body::Aborting { run, .. } => {
                self.aborted.entry(run.to_string()).or_insert(self.now);
            }
            Body::Halted { .. } => self.halted = Some(self.halted.unwrap_or(self.now)),
            Body::Resumed { .. } => self.halted = None,
            Body::Intended { intent, .. } => {
                let targets: BTreeSet<String> =
                    intent.targets.iter().map(|t| t.instance.to_string()).collect();
                let planned = self.runs.get(intent.run.as_str());
                let as_planned = planned.and_then(|r| r.shams.get(&intent.step)) == Some(&intent.sham);
                self.expect(as_planned, || {
                    format!(
                        "I17: {} is a sham where its plan has a kill, or a kill where it has a sham",
                        intent.id
                    )
                });
                self.intend(
                    intent.id.as_str(),
                    intent.run.as_str(),
                    targets,
                    intent.sham,
                    world,
                );
            }
            Body::Settled { intent, state } => {
                let sham = self.intents.get(intent.as_str()).is_some_and(|i| i.sham);
                if !sham && !matches!(state, IntentState::Resolved { .. }) {
                    self.last_effect = Some(self.now);
                }
                if let Some(known) = self.intents.get_mut(intent.as_str()) {
                    known.charged = !sham && state.is_charged();
                }
            }
            _ => {}
        }
    }

    /// I12: every start consumes an approval of exactly this plan, in time, by an allowed person who did
    /// not ask for the run.
    fn start(&mut self, run: &str, at: DateTime<Utc>) {
        let Some(planned) = self.runs.get_mut(run) else {
            self.expect(false, || format!("I12: run {run} started without a plan"));
            return;
        };
        let (digest, requester, expires) = (
            planned.digest.clone(),
            planned.requested_by.clone(),
            planned.expires,
        );
        let twice = std::mem::replace(&mut planned.started, true);
        self.expect(!twice, || format!("I12: run {run} started twice"));
        if !self.approvals_required {
            return;
        }
        let approved = self.clicks.iter().any(|(r, d, by, _)| {
            r == run
                && d.len() >= 12
                && digest.starts_with(d.as_str())
                && self.approvers.contains(by)
                && requester.as_deref() != Some(by)
        });
        self.expect(approved, || {
            format!("I12: run {run} started without an approval of its plan")
        });
        let denied = self.denied.contains(run);
        self.expect(!denied, || format!("I12: run {run} started after a denial"));
        let late = expires.is_none_or(|e| at >= e);
        self.expect(!late, || {
            format!("I12: run {run} started after its request had expired")
        });
    }

    /// A sham is held to everything but the rate: it does all that a kill does, and is none.
    fn intend(&mut self, id: &str, run: &str, targets: BTreeSet<String>, sham: bool, world: &State) {
        let now = self.now;
        let tasks = targets.len();
        // I2: what may be down because of us, what else does not serve, and this.
        let charged: BTreeSet<&String> = self
            .intents
            .iter()
            .filter(|(id, i)| i.charged || world.in_network.iter().any(|r| r.intent == **id))
            .flat_map(|(_, i)| &i.targets)
            .collect();
        let charged_tasks: usize = self
            .intents
            .iter()
            .filter(|(id, i)| i.charged || world.in_network.iter().any(|r| r.intent == **id))
            .map(|(_, i)| i.targets.len())
            .sum();
        let others = self.looked.as_ref().map_or(0, |(_, _, _, down)| {
            // A charged task that does not serve explains one that is down.
            down.len().saturating_sub(
                charged
                    .len()
                    .min(down.iter().filter(|d| charged.contains(d)).count()),
            )
        });
        let _ = others;
        let allowance = self.allowance;
        self.expect(charged_tasks + tasks <= allowance, || {
            format!("I2: {charged_tasks} charged and {tasks} more exceed the radius of {allowance} ({id})")
        });
        let down = self.looked.as_ref().map_or(0, |l| l.3.len());
        self.expect(down + tasks <= allowance, || {
            format!("I2: {down} did not serve at the last look and {tasks} more exceed the radius of {allowance} ({id})")
        });
        // I4: one intent for each step of each run.
        let again = self.intents.contains_key(id);
        self.expect(!again, || format!("I4: intent {id} was decided twice"));
        // I8, I9.
        let aborted = self.aborted.contains_key(run);
        self.expect(!aborted, || format!("I8: intent {id} after the abort of its run"));
        if let Some(since) = self.halted {
            // The file is looked at in every last look; an intent may cross it by a moment.
            self.expect(now - since <= TimeDelta::seconds(2), || {
                format!("I9: intent {id} after a halt")
            });
        }
        // I10.
        let fresh = self
            .probed
            .is_some_and(|(at, good)| good && now - at <= TimeDelta::milliseconds(2_900));
        let probed = self.probed;
        self.expect(fresh, || {
            format!("I10: intent {id} at {now} while the last probe was {probed:?}")
        });
        // I11.
        let per = TimeDelta::from_std(self.rate.per).unwrap_or_default() - CLOCK_SLACK - CLOCK_SLACK;
        let recent: usize = self
            .intents
            .iter()
            .filter(|(_, i)| i.bytes_out.is_some())
            .filter(|(id, i)| {
                let pending = world.in_network.iter().any(|r| r.intent == **id);
                let last = i.executed.iter().copied().fold(i.committed, DateTime::max);
                pending || now - last < per
            })
            .map(|(_, i)| i.targets.len())
            .sum();
        let most = self.rate.kills as usize;
        self.expect(sham || recent + tasks <= most, || {
            format!(
                "I11: {recent} kills in the last {} s and {tasks} more, {most} are allowed ({id})",
                per.num_seconds()
            )
        });
        // I15, I16.
        match &self.looked {
            None => self.expect(false, || format!("I15: intent {id} without a look")),
            Some((asked, deployment, whole, _)) => {
                let (asked, deployment, whole) = (*asked, *deployment, *whole);
                let after = self.last_effect.is_none_or(|e| asked >= e);
                self.expect(whole && now - asked <= TimeDelta::seconds(11) && after, || {
                    format!(
                        "I15: intent {id} on a look of {asked}, whole {whole}, after the last effect {after}"
                    )
                });
                self.expect(!deployment, || {
                    format!("I16: intent {id} while a deployment was at work")
                });
            }
        }
        self.intents.insert(
            id.to_owned(),
            Known {
                run: run.to_owned(),
                targets,
                committed: now,
                charged: !sham,
                sham,
                bytes_out: None,
                executed: vec![],
            },
        );
    }

    fn bytes_out(&mut self, id: &str, tasks: &[String], at: DateTime<Utc>) {
        self.now = at;
        // I3: the intent is in the journal before a byte leaves.
        let Some(known) = self.intents.get_mut(id) else {
            self.expect(false, || {
                format!("I3: a kill of {tasks:?} left without a durable intent ({id})")
            });
            return;
        };
        let (first, sham) = (known.bytes_out.is_none(), known.sham);
        known.bytes_out = known.bytes_out.or(Some(at));
        let (run, committed) = (known.run.clone(), known.committed);
        self.last_effect = Some(at);
        self.expect(first, || format!("I4: the kill of {id} was sent twice"));
        self.expect(!sham, || format!("I17: {id} is a sham and was sent"));
        self.expect(at - committed <= DEADLINE + TimeDelta::seconds(1), || {
            format!(
                "I6: the kill of {id} left {} s after its intent",
                (at - committed).num_seconds()
            )
        });
        if let Some(aborted) = self.aborted.get(&run).copied() {
            self.expect(at - aborted <= TimeDelta::zero(), || {
                format!("I8: the kill of {id} left after the abort")
            });
        }
        if let Some(halted) = self.halted {
            self.expect(at - halted <= TimeDelta::zero(), || {
                format!("I9: the kill of {id} left after a halt")
            });
        }
        // I7, in true time, with what the clock may be off.
        let date = at.date_naive();
        let opens = date.and_time(self.window.from).and_utc() - CLOCK_SLACK;
        let closes = date.and_time(self.window.to).and_utc() + CLOCK_SLACK;
        self.expect(opens <= at && at < closes, || {
            format!("I7: the kill of {id} left at {at}, the window is {opens} to {closes}")
        });
    }

    fn executed(&mut self, id: &str, at: DateTime<Utc>, world: &State) {
        self.now = at;
        let Some(known) = self.intents.get_mut(id) else {
            self.expect(false, || {
                format!("I3: a kill of {id} was executed that nobody decided")
            });
            return;
        };
        known.executed.push(at);
        let (count, most) = (known.executed.len(), known.targets.len());
        self.expect(count <= most, || {
            format!("I4: {count} tasks died by {id}, which names {most}")
        });
        // I1: what is truly down because of us.
        let down = world
            .instances
            .iter()
            .filter(|i| i.down_by.is_some() && !i.serves())
            .count();
        let allowance = self.allowance;
        self.expect(down <= allowance, || {
            format!("I1: {down} instances are down by us, the radius is {allowance} ({id})")
        });
    }

    /// Bookkeeping at the end of a life without trouble: nothing is left open.
    pub fn at_the_end(&mut self, journal: &[Entry]) {
        let ended: BTreeSet<&str> = journal
            .iter()
            .filter_map(|e| match &e.body {
                Body::Ended { run, .. } => Some(run.as_str()),
                _ => None,
            })
            .collect();
        let open: Vec<&String> = self.runs.keys().filter(|r| !ended.contains(r.as_str())).collect();
        let open = open.len();
        // One may be going on; two can't be under one policy.
        self.expect(open <= 1, || format!("L1: {open} runs are open at the end"));
        let mut states: BTreeMap<&str, &IntentState> = BTreeMap::new();
        for entry in journal {
            if let Body::Settled { intent, state } = &entry.body {
                states.insert(intent.as_str(), state);
            }
        }
        let stuck: Vec<String> = self
            .intents
            .iter()
            .filter(|(id, i)| {
                let charged = states
                    .get(id.as_str())
                    .is_none_or(|s| s.is_charged() && !matches!(s, IntentState::Held { .. }));
                charged && !i.sham && self.now - i.committed > TimeDelta::minutes(20)
            })
            .map(|(id, _)| id.clone())
            .collect();
        let jumped = self.jumped;
        self.expect(stuck.is_empty() || jumped, || {
            format!("L2: charged for more than 20 minutes: {stuck:?}")
        });
    }
}

/// The true moment of an entry: its own time, less what the wall clock was off.
fn truth(entry: &Entry, world: &State) -> DateTime<Utc> {
    entry.at - world.wall_offset
}
