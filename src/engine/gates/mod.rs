//! One file per gate: may this step of this plan run now?
//!
//! Every gate is asked, always, before every step, and every answer is kept. A gate that cannot see
//! answers `Unknown`, and unknown counts as no. A new gate is one file, one variant of
//! [`GateName`] and one line in [`REGISTRY`].

mod approval;
mod armed;
mod blast_radius;
pub mod budget;
mod clock;
mod deployment;
mod freshness;
mod halt;
mod leadership;
mod outage;
mod overlap;
mod policy;
mod probe_freshness;
mod steady_state;
mod target;
#[cfg(test)]
mod tests;
mod window;

pub use blast_radius::usage;

use super::history::Ledger;
use super::ownership::Ownership;
use crate::model::gate::{Answer, GateAnswer, GateName, Judgement, PagerAnswer};
use crate::model::ids::{AppId, PersonId};
use crate::model::plan::{Plan, PlannedApp, Step};
use crate::model::policy::{Limits, Policy};
use crate::model::snapshot::{App, Snapshot};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeSet;

/// Everything the gates may look at.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// Now, by our wall clock.
    pub now: DateTime<Utc>,
    /// The plan's policy as it is now; `Err` says why it is not active.
    pub policy: Result<&'a Policy, &'a str>,
    /// Limits of the settings.
    pub limits: &'a Limits,
    /// The journal's fold.
    pub ledger: &'a Ledger,
    /// What was seen of the cluster.
    pub snapshot: &'a Snapshot,
    /// Who owns what.
    pub ownership: &'a Ownership,
    /// Whether the settings let us kill.
    pub armed: bool,
    /// Whether we are the one who decides.
    pub leader: &'a Answer,
    /// How far the wall clock has moved away from the machine's own progress since the start.
    pub clock_drift: TimeDelta,
    /// What the halt file says; `Err` when it can't be read.
    pub halt_file: &'a Result<Option<String>, String>,
    /// What the pager says.
    pub pager: &'a PagerAnswer,
    /// What the probes of this run say; `None` before its baseline.
    pub watch: Option<&'a Watched>,
    /// The members of the approval rule's groups; `Err` when they can't be known.
    pub members: &'a Result<BTreeSet<PersonId>, String>,
}

/// What a run's probes say about the two gates that ask them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// Does the hypothesis hold?
    pub steady: Answer,
    /// Has every abort probe answered lately?
    pub fresh: Answer,
}

/// One question to all gates.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The step of it.
    pub step: &'a Step,
    /// What can be known.
    pub facts: &'a Facts<'a>,
}

/// How many apps' answers one gate says in full; the blockers come first.
const ANSWERS_SAID: usize = 5;

impl Question<'_> {
    /// Asks about every app of the plan, whether it is hit in this step or not, and makes one answer of
    /// all: a refusal before not knowing, not knowing before a yes.
    fn of_each_app(&self, ask: impl Fn(&App, &PlannedApp) -> Answer) -> Answer {
        let answers = self.plan.apps.iter().map(|planned| {
            let answer = self
                .seen(&planned.app)
                .map_or_else(|no| no, |app| ask(app, planned));
            if self.plan.apps.are_several() && !answer.why().contains(planned.app.as_str()) {
                let named = |why: String| format!("{}: {why}", planned.app);
                match answer {
                    Answer::Pass(why) => Answer::Pass(named(why)),
                    Answer::Refuse(why) => Answer::Refuse(named(why)),
                    Answer::Unknown(why) => Answer::Unknown(named(why)),
                }
            } else {
                answer
            }
        });
        let (mut yes, mut no, mut unknown) = (vec![], vec![], vec![]);
        for answer in answers {
            match answer {
                Answer::Pass(why) => yes.push(why),
                Answer::Refuse(why) => no.push(why),
                Answer::Unknown(why) => unknown.push(why),
            }
        }
        let said = |mut whys: Vec<String>| {
            let more = whys.len().saturating_sub(ANSWERS_SAID);
            whys.truncate(ANSWERS_SAID);
            let more = if more > 0 {
                format!("; and {more} more apps")
            } else {
                String::new()
            };
            whys.join("; ") + &more
        };
        if !no.is_empty() {
            Answer::Refuse(said(no))
        } else if !unknown.is_empty() {
            Answer::Unknown(said(unknown))
        } else {
            Answer::Pass(said(yes))
        }
    }

    /// An app as seen, or the answer to give when it was not.
    fn seen(&self, id: &AppId) -> Result<&App, Answer> {
        let snapshot = self.facts.snapshot;
        if let Some(app) = snapshot.apps.get(id) {
            return Ok(app);
        }
        let gaps: Vec<_> = snapshot.gaps_of(id).map(|g| g.why.as_str()).collect();
        Err(if gaps.is_empty() {
            Answer::Refuse(format!(
                "{id} is not among the apps that Marathon shows: deleted, renamed, or its labels changed"
            ))
        } else {
            Answer::Unknown(format!("{id} could not be seen: {}", gaps.join("; ")))
        })
    }

    fn tasks(&self) -> u32 {
        u32::try_from(self.step.targets.len()).unwrap_or(u32::MAX)
    }
}

type Gate = fn(&Question<'_>) -> Answer;

/// Every gate, in the order of [`GateName::ALL`].
pub const REGISTRY: [(GateName, Gate); 16] = [
    (GateName::Halt, halt::judge),
    (GateName::Armed, armed::judge),
    (GateName::Leadership, leadership::judge),
    (GateName::Clock, clock::judge),
    (GateName::Freshness, freshness::judge),
    (GateName::Policy, policy::judge),
    (GateName::Window, window::judge),
    (GateName::Target, target::judge),
    (GateName::Budget, budget::judge),
    (GateName::BlastRadius, blast_radius::judge),
    (GateName::Deployment, deployment::judge),
    (GateName::Overlap, overlap::judge),
    (GateName::Outage, outage::judge),
    (GateName::SteadyState, steady_state::judge),
    (GateName::ProbeFreshness, probe_freshness::judge),
    (GateName::Approval, approval::judge),
];

/// Asks every gate about one step of one plan and keeps every answer.
pub fn judge(plan: &Plan, step: &Step, facts: &Facts<'_>) -> Judgement {
    let question = Question { plan, step, facts };
    let answers = REGISTRY
        .iter()
        .map(|(gate, judge)| GateAnswer {
            gate: *gate,
            answer: judge(&question),
        })
        .collect();
    Judgement {
        run: plan.run.clone(),
        digest: plan.digest(),
        step: step.number,
        at: facts.now,
        answers,
    }
}

/// The blocker that keeps a plan from being put to people.
pub fn blocks_asking(judgement: &Judgement) -> Option<&GateAnswer> {
    judgement
        .blockers()
        .filter(|a| !a.gate.is_answered_later())
        .min_by_key(|a| a.gate)
}

/// The blocker that keeps an approved plan from starting its baseline.
pub fn blocks_starting(judgement: &Judgement) -> Option<&GateAnswer> {
    judgement
        .blockers()
        .filter(|a| !matches!(a.gate, GateName::SteadyState | GateName::ProbeFreshness))
        .min_by_key(|a| a.gate)
}
