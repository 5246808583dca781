//! Changes: a plan, a start, one step. The intent is durable before a byte leaves.

use super::fence::FinalLook;
use super::rehearsal::WritesDown;
use super::{Operator, Pace, PassError, pace};
use crate::engine::admit;
use crate::engine::gates::{self, budget};
use crate::engine::planner::{self, NoPlan, Wanted};
use crate::engine::schedule;
use crate::model::command::{Command, Person};
use crate::model::entry::Body;
use crate::model::experiment::AbortCause;
use crate::model::gate::{Answer, GateAnswer, GateName, Judgement};
use crate::model::ids::{IntentId, PolicyName, RunId, TaskId};
use crate::model::plan::{Plan, Target};
use crate::model::policy::{ApprovalMode, Mode, Policy};
use crate::model::run::{Intent, IntentState, Phase};
use crate::model::snapshot::Snapshot;
use crate::ports::cluster::{Cluster, KillAnswer, KillOrder};
use chrono::{DateTime, TimeDelta, Utc};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// What a commit that judges has found.
enum Judged {
    /// Every gate said yes; the permit is for exactly this step.
    Yes(admit::Permit),
    /// At least one did not.
    No(Judgement),
}

impl Operator {
    /// Makes a plan and puts it to people, or says why there is none.
    pub(super) async fn propose(
        &self,
        name: &PolicyName,
        policy: &Result<Arc<Policy>, String>,
        snapshot: &Snapshot,
        due: Option<DateTime<Utc>>,
        requested_by: Option<Person>,
    ) -> Result<Pace, PassError> {
        let Ok(active) = policy else {
            return Ok(Pace::new(pace::SOON, "the policy is not active"));
        };
        let around = self.around(None, None).await;
        let purpose = match due {
            Some(due) => format!("{name}|{}", due.format("%FT%TZ")),
            None => {
                let asked = self.book.read(|l| l.requests.get(name).map(|r| r.seq)).await;
                format!("{name}|request {}", asked.map_or(0, |s| s.0))
            }
        };
        let mut refused: Option<String> = None;
        let written = self
            .book
            .commit(|ledger, now| {
                refused = None;
                if ledger.open_run_of(name).is_some() {
                    return Ok::<_, std::convert::Infallible>(vec![]);
                }
                let made = planner::plan(&Wanted {
                    policy: active,
                    limits: &self.config.limits,
                    ownership: &around.ownership,
                    ledger,
                    snapshot,
                    seed: &self.config.seed,
                    purpose: &purpose,
                    requested_by: requested_by.clone(),
                    run: RunId::derive(&self.installation, ledger.head.next()),
                    now,
                    only: None,
                });
                let plan = match made {
                    Ok((plan, _)) => plan,
                    Err(NoPlan { why, .. }) => {
                        refused = Some(why.clone());
                        return Ok(no_run(name, due, requested_by.as_ref(), why));
                    }
                };
                let facts = around.facts(self, policy, ledger, snapshot, now);
                let Some(first) = plan.steps.first() else {
                    return Ok(no_run(
                        name,
                        due,
                        requested_by.as_ref(),
                        "the plan has no steps".into(),
                    ));
                };
                let judgement = gates::judge(&plan, first, &facts);
                if let Some(blocker) = gates::blocks_asking(&judgement) {
                    let why = in_words(blocker);
                    refused = Some(why.clone());
                    return Ok(no_run(name, due, requested_by.as_ref(), why));
                }
                let asks = plan.mode == Mode::Enforce && plan.approval.mode == ApprovalMode::Required;
                if asks && let Err(why) = self.ports.notifier.reachable() {
                    let why = format!("nobody can be asked for approval: {why}");
                    refused = Some(why.clone());
                    return Ok(no_run(name, due, requested_by.as_ref(), why));
                }
                let expires = now + TimeDelta::from_std(plan.approval.expires).unwrap_or(TimeDelta::MAX);
                Ok(vec![
                    Body::Planned {
                        digest: plan.digest(),
                        plan: Box::new(plan),
                        due,
                        approval_expires: asks.then_some(expires),
                    },
                    Body::Judged { judgement },
                ])
            })
            .await?;
        self.tell.notify_one();
        if let Some(why) = refused {
            tracing::info!(policy = %name, reason = %why, "no run");
            if let Some(person) = &requested_by {
                self.attend(
                    format!("declined/{name}/{}", written.first().map_or(0, |e| e.seq.0)),
                    format!("{person} asked for a run of {name}, and there is none: {why}"),
                    format!("nothing was killed; `heartbreak why {name}` shows every gate"),
                );
            }
            return Ok(Pace::new(pace::SOON, why));
        }
        Ok(Pace::new(Duration::ZERO, "planned"))
    }

    /// Asks the gates about a plan that waits for people, and starts it when only the probes are left
    /// to be asked.
    pub(super) async fn ask_gates(
        &self,
        run: &RunId,
        policy: &Result<Arc<Policy>, String>,
        snapshot: &Snapshot,
    ) -> Result<Pace, PassError> {
        let Some(plan) = self.book.read(|l| l.runs.get(run).map(|r| r.plan.clone())).await else {
            return Ok(Pace::new(pace::SOON, "the run is unknown"));
        };
        let around = self.around(Some(&plan), Some(&plan.approval)).await;
        let mut waits = String::new();
        let mut drifted = None;
        self.book
            .commit(|ledger, now| {
                let Some(first) = plan.steps.first() else {
                    return Ok(vec![]);
                };
                let still = ledger
                    .runs
                    .get(run)
                    .is_some_and(|r| r.phase == Phase::AwaitingApproval);
                if !still {
                    return Ok::<_, std::convert::Infallible>(vec![]);
                }
                let facts = around.facts(self, policy, ledger, snapshot, now);
                let judgement = gates::judge(&plan, first, &facts);
                drifted = judgement.blockers().find(|b| has_drifted(b)).map(in_words);
                let blocker = gates::blocks_starting(&judgement);
                waits = blocker.map(in_words).unwrap_or_default();
                let mut bodies = if blocker.is_none()
                    || is_news(ledger.runs.get(run).and_then(|r| r.judged.as_ref()), &judgement)
                {
                    vec![Body::Judged {
                        judgement: judgement.clone(),
                    }]
                } else {
                    vec![]
                };
                if blocker.is_none() {
                    bodies.push(Body::Moved {
                        run: run.clone(),
                        to: Phase::Baseline,
                    });
                }
                Ok(bodies)
            })
            .await?;
        self.tell.notify_one();
        if let Some(why) = drifted {
            return self
                .conclude(
                    run,
                    "changed",
                    &format!("the world changed, so the plan is void: {why}"),
                    false,
                )
                .await;
        }
        if waits.is_empty() {
            tracing::info!(%run, "started: measuring the baseline");
            return Ok(Pace::new(Duration::ZERO, "the baseline begins"));
        }
        Ok(Pace::new(Duration::from_secs(2), waits))
    }

    /// Takes one step, if every gate lets it: judged, charged and written in one transaction, then sent
    /// once.
    pub(super) async fn do_step(
        &self,
        run: &RunId,
        number: u32,
        patience: DateTime<Utc>,
        policy: &Result<Arc<Policy>, String>,
        snapshot: &Snapshot,
    ) -> Result<Pace, PassError> {
        let Some(plan) = self.book.read(|l| l.runs.get(run).map(|r| r.plan.clone())).await else {
            return Ok(Pace::new(pace::SOON, "the run is unknown"));
        };
        let Some(step) = plan.step(number).cloned() else {
            return Ok(Pace::new(pace::SOON, "the plan has no such step"));
        };
        let around = self.around(Some(&plan), Some(&plan.approval)).await;
        let id = IntentId::of(run, number);
        let mut judged = None;
        let mut intent = None;
        let mut decided_at = self.ports.clock.elapsed();
        let written = self
            .book
            .commit(|ledger, now| {
                (judged, intent) = (None, None);
                decided_at = self.ports.clock.elapsed();
                let Some(known) = ledger.runs.get(run) else {
                    return Ok(vec![]);
                };
                let ready = matches!(known.phase, Phase::Baseline | Phase::Steps)
                    && known.abort.is_none()
                    && !known.intents.iter().any(|i| i.step == number);
                if !ready {
                    return Ok::<_, std::convert::Infallible>(vec![]);
                }
                let facts = around.facts(self, policy, ledger, snapshot, now);
                let mut judgement = gates::judge(&plan, &step, &facts);
                if let Some(why) = self.fence.closed(run) {
                    // The fence may close between the probes' answers and this moment.
                    replace(&mut judgement, GateName::SteadyState, Answer::Refuse(why));
                }
                let news = is_news(known.judged.as_ref(), &judgement);
                let question = gates::Question {
                    plan: &plan,
                    step: &step,
                    facts: &facts,
                };
                let sham = plan.mode != Mode::Enforce || step.is_sham();
                let rates = if sham {
                    Ok(vec![])
                } else {
                    budget::charge(&question)
                };
                match (admit::admit(&plan, &step, &judgement), rates) {
                    (Some(permit), Ok(rates)) => {
                        let decided = Intent {
                            id: id.clone(),
                            run: run.clone(),
                            step: number,
                            targets: step.targets.clone(),
                            at: now,
                            deadline: now + self.config.intent_deadline,
                            sham,
                            state: IntentState::Open,
                        };
                        let mut bodies = vec![Body::Judged { judgement }];
                        if known.phase == Phase::Baseline {
                            bodies.push(Body::Moved {
                                run: run.clone(),
                                to: Phase::Steps,
                            });
                        }
                        bodies.push(Body::Intended {
                            intent: decided.clone(),
                            rates,
                        });
                        self.in_flight
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .insert(id.clone());
                        judged = Some(Judged::Yes(permit));
                        intent = Some(decided);
                        Ok(bodies)
                    }
                    (_, rates) => {
                        if let Err(why) = rates
                            && judgement.passes()
                        {
                            replace(&mut judgement, GateName::Budget, Answer::Refuse(why));
                        }
                        let bodies = if news {
                            vec![Body::Judged {
                                judgement: judgement.clone(),
                            }]
                        } else {
                            vec![]
                        };
                        judged = Some(Judged::No(judgement));
                        Ok(bodies)
                    }
                }
            })
            .await;
        if let Err(error) = written {
            // Not known to be durable, so nothing is sent. If it is there after all, it is charged as
            // unanswered once its deadline is over.
            self.in_flight
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&id);
            return Err(error.into());
        }
        match (judged, intent) {
            (Some(Judged::Yes(permit)), Some(intent)) => {
                self.count_answers(run).await;
                self.send(&plan, &intent, decided_at, &permit, policy).await
            }
            (Some(Judged::No(judgement)), _) => {
                self.count_answers(run).await;
                self.refused(run, number, patience, &judgement).await
            }
            _ => Ok(Pace::new(pace::BUSY, "the run went on meanwhile")),
        }
    }

    /// Sends one kill, once, and writes down what is known of it. The only caller of the line that harms.
    async fn send(
        &self,
        plan: &Plan,
        intent: &Intent,
        decided_at: Duration,
        permit: &admit::Permit,
        policy: &Result<Arc<Policy>, String>,
    ) -> Result<Pace, PassError> {
        let now = self.ports.clock.now();
        let window_closes = policy
            .as_ref()
            .ok()
            .and_then(|p| schedule::open_until(&p.schedule, &self.config.limits, now).ok())
            .unwrap_or(now);
        let look = FinalLook {
            fence: self.fence.clone(),
            run: plan.run.clone(),
            intent: intent.id.clone(),
            deadline: intent.deadline,
            latest: decided_at + self.config.intent_deadline.to_std().unwrap_or_default(),
            window_closes,
            clock: self.ports.clock.clone(),
            stop_file: self.ports.stop_file.clone(),
        };
        let order = KillOrder::of(intent.id.clone(), &intent.targets, self.config.kill_timeout);
        for Target { app, task, .. } in &intent.targets {
            // One fixed line for each kill, to grep centrally; what is no kill must not look like one.
            let word = if intent.sham && plan.mode == Mode::Enforce {
                "HEARTBREAK_SHAM"
            } else {
                "HEARTBREAK_KILL"
            };
            tracing::warn!(
                "{word} app={app} task={task} run={} intent={} mode={}",
                plan.run,
                intent.id,
                plan.mode
            );
        }
        if let Some(watch) = self.watch_of(&plan.run) {
            watch.step_decided(intent.at, !intent.sham);
        }
        let answer = match (self.ports.clusters.get(&plan.cluster), order) {
            (_, Err(why)) => KillAnswer::NotSent { why },
            (None, _) => KillAnswer::NotSent {
                why: format!("cluster {} is not in the settings", plan.cluster),
            },
            // The one door: a sham of any kind can't get here.
            (Some(real), Ok(order)) if !intent.sham => {
                // A bound of our own beside the adapter's: what has no answer by then is unanswered.
                let bound = self.config.kill_timeout + Duration::from_secs(5);
                tokio::select! {
                    biased;
                    answer = real.kill(&order, permit, &look) => answer,
                    () = self.ports.clock.sleep(bound) => KillAnswer::Unanswered {
                        why: format!("no answer within {} s", bound.as_secs()),
                    },
                }
            }
            (Some(real), Ok(order)) => WritesDown(real.clone()).kill(&order, permit, &look).await,
        };
        if let KillAnswer::Accepted { tasks } = &answer {
            self.say_what_was_skipped(intent, tasks);
        }
        let at = self.ports.clock.now();
        let state = known(answer, at);
        if !(intent.sham && plan.mode == Mode::Enforce) {
            metrics::counter!("heartbreak_kills_total", "outcome" => state.word()).increment(1);
        }
        tracing::info!(intent = %intent.id, outcome = state.word(), "settled for now");
        if let Err(error) = self.write_settled(&intent.id, state.clone()).await {
            self.unwritten
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(intent.id.clone(), state);
            return Err(error);
        }
        self.in_flight
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&intent.id);
        self.tell.notify_one();
        Ok(Pace::new(pace::BUSY, "watching"))
    }

    /// Marathon answers 200 and leaves out what it does not know: people are told which that was.
    fn say_what_was_skipped(&self, intent: &Intent, named: &[TaskId]) {
        let skipped = intent.skipped(named);
        if !skipped.is_empty() && !named.is_empty() {
            let ids = skipped.iter().map(|t| t.task.as_str()).collect::<Vec<_>>();
            self.attend(
                format!("skipped/{}", intent.id),
                format!(
                    "Marathon took kill {} and left out {} of its {} tasks: {}",
                    intent.id,
                    skipped.len(),
                    intent.targets.len(),
                    ids.join(", ")
                ),
                "those had ended by themselves; all of them stay charged until the app is whole".into(),
            );
        }
    }

    /// A gate said no about a step: wait for it, or end the run when waiting can't help or has lasted.
    async fn refused(
        &self,
        run: &RunId,
        number: u32,
        patience: DateTime<Utc>,
        judgement: &Judgement,
    ) -> Result<Pace, PassError> {
        let Some(blocker) = judgement.first_blocker() else {
            return Ok(Pace::new(pace::BUSY, "no permit was given"));
        };
        let why = in_words(blocker);
        let final_no = judgement.blockers().find(|b| is_final(b));
        if let Some(cause) = final_no
            .map(in_words)
            .or_else(|| (judgement.at > patience).then(|| why.clone()))
        {
            if number == 1 {
                // No kill was made: the run is skipped, not aborted.
                return self
                    .conclude(run, "gate", &format!("no kill was made: {cause}"), false)
                    .await;
            }
            self.abort_run(run, AbortCause::Gate { why: cause }, None).await;
            return Ok(Pace::new(Duration::ZERO, why));
        }
        self.tell.notify_one();
        Ok(Pace::new(pace::BUSY, why))
    }

    /// Writes what is now known of a kill.
    pub(super) async fn settle(&self, intent: &IntentId, state: IntentState) -> Result<Pace, PassError> {
        self.write_settled(intent, state.clone()).await?;
        self.tell.notify_one();
        Ok(Pace::new(Duration::ZERO, format!("{intent} is {}", state.word())))
    }

    pub(super) async fn write_settled(&self, id: &IntentId, state: IntentState) -> Result<(), PassError> {
        self.book
            .commit(|ledger, _| {
                let current = ledger
                    .runs
                    .values()
                    .flat_map(|r| &r.intents)
                    .find(|i| i.id == *id)
                    .map(|i| &i.state);
                // A fact may not undo what was proven or what a person has to look at.
                let open = current.is_some_and(|s| s.is_charged() && *s != state);
                Ok::<_, std::convert::Infallible>(if open {
                    vec![Body::Settled {
                        intent: id.clone(),
                        state: state.clone(),
                    }]
                } else {
                    vec![]
                })
            })
            .await?;
        Ok(())
    }

    /// Moves a run from one phase to the next, if it is still there.
    pub(super) async fn move_to(&self, run: &RunId, from: Phase, to: Phase) -> Result<Pace, PassError> {
        self.book
            .commit(|ledger, _| {
                let there = ledger
                    .runs
                    .get(run)
                    .is_some_and(|r| r.phase == from && r.phase.may_become(to));
                Ok::<_, std::convert::Infallible>(if there {
                    vec![Body::Moved { run: run.clone(), to }]
                } else {
                    vec![]
                })
            })
            .await?;
        self.tell.notify_one();
        Ok(Pace::new(Duration::ZERO, to.word()))
    }

    async fn count_answers(&self, run: &RunId) {
        let judged = self
            .book
            .read(|l| l.runs.get(run).and_then(|r| r.judged.clone()))
            .await;
        for answer in judged.iter().flat_map(|j| &j.answers) {
            metrics::counter!(
                "heartbreak_gate_answers_total",
                "gate" => answer.gate.word(),
                "answer" => answer.answer.word()
            )
            .increment(1);
        }
    }
}

/// What an answer to a kill says about it (`reliability` §1.4).
fn known(answer: KillAnswer, at: DateTime<Utc>) -> IntentState {
    match answer {
        KillAnswer::NotSent { why } => IntentState::NotSent { why, at },
        KillAnswer::Accepted { tasks } if tasks.is_empty() => IntentState::NoEffect {
            why: "Marathon knew none of the tasks any more".into(),
            at,
        },
        KillAnswer::Accepted { tasks } => IntentState::Acked { tasks, at },
        KillAnswer::Refused { status, why } => IntentState::NoEffect {
            why: format!("Marathon refused with {status}: {why}"),
            at,
        },
        KillAnswer::Unanswered { why } => IntentState::Ambiguous { why, at },
        KillAnswer::WrittenDown => IntentState::Resolved {
            why: "a rehearsal: nothing was sent".into(),
            at,
            tasks: vec![],
        },
    }
}

/// The entries for a due or requested run that does not come about.
fn no_run(
    policy: &PolicyName,
    due: Option<DateTime<Utc>>,
    requested_by: Option<&Person>,
    why: String,
) -> Vec<Body> {
    let mut bodies = vec![];
    if let Some(by) = requested_by {
        bodies.push(Body::Declined {
            by: by.clone(),
            command: Command::Run {
                policy: policy.clone(),
            },
            why: why.clone(),
        });
    }
    if let Some(due) = due {
        bodies.push(Body::Skipped {
            policy: policy.clone(),
            due,
            why,
        });
    }
    bodies
}

fn in_words(answer: &GateAnswer) -> String {
    format!("{}: {}", answer.gate, answer.answer.why())
}

/// Whether an answer differs in kind or words from the last one that was journalled, time aside.
fn is_news(last: Option<&Judgement>, now: &Judgement) -> bool {
    let kinds = |j: &Judgement| {
        j.answers
            .iter()
            .map(|a| (a.gate, a.answer.word()))
            .collect::<Vec<_>>()
    };
    last.is_none_or(|last| last.step != now.step || kinds(last) != kinds(now))
}

/// A refusal that voids a plan which waits for people: what was approved is not what would happen.
fn has_drifted(answer: &GateAnswer) -> bool {
    matches!(
        (answer.gate, &answer.answer),
        (
            GateName::Target | GateName::Policy | GateName::Window,
            Answer::Refuse(_)
        )
    )
}

/// A refusal that no waiting within the run can change.
fn is_final(answer: &GateAnswer) -> bool {
    matches!(
        (answer.gate, &answer.answer),
        (
            GateName::Target | GateName::Policy | GateName::Window | GateName::Approval | GateName::Outage,
            Answer::Refuse(_)
        )
    )
}

fn replace(judgement: &mut Judgement, gate: GateName, answer: Answer) {
    for known in judgement.answers.iter_mut().filter(|a| a.gate == gate) {
        known.answer = answer.clone();
    }
}
