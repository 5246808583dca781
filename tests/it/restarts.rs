//! What a restart does and does not do: the shipped binary, killed without warning and started again.
//!
//! What happened is told by the pretend Marathon's own record and by the journal's entries as they
//! stand; nothing here asks the code that decides.

use crate::support::real_process::{Answer, Operator, POLICY, Stage, Terms, Who, until};
use futures_util::{StreamExt, stream};
use heartbreak::model::command::Command;
use heartbreak::model::entry::{Body, Entry};
use heartbreak::model::ids::{IntentId, RunId};
use heartbreak::model::plan::Step;
use heartbreak::model::run::{Intent, Phase};
use heartbreak::model::verdict::{HypothesisResult, Outcome, Verdict};
use heartbreak_sim::{On, Recorded, Trouble};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// How many lives are lived at once.
const AT_ONCE: usize = 4;
/// How long one process may take to bring the run to its end.
const LIFE_MAX: Duration = Duration::from_secs(60);

/// Two kills, approved by a person: every kind of entry that a run makes.
const TWO_KILLS: Terms = Terms {
    kills: 2,
    rate: "kills: 5, per: 1h, burst: 5",
    approval: "mode: required, approvers: { tokens: [ana] }, quorum: 1, expires: 10m",
    control: "design: beforeAfter",
};

/// One kill, approved by nobody, and no second one within the hour.
const ONE_KILL: Terms = Terms {
    kills: 1,
    rate: "kills: 1, per: 1h, burst: 1",
    approval: "mode: automatic",
    control: "design: beforeAfter",
};

/// Two kills and two shams, approved by nobody.
const TWO_PAIRS: Terms = Terms {
    kills: 2,
    rate: "kills: 5, per: 1h, burst: 5",
    approval: "mode: automatic",
    control: "design: sham, window: 2s, settle: 400ms",
};

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_each_journal_entry_in_turn_the_next_start_leaves_the_cluster_whole() {
    let reference = Stage::set(TWO_KILLS).await.or_say("the stage can be set");
    let entries = undisturbed(&reference).await.or_say("without any crash");
    let entries = u64::try_from(entries).expect("a small number");
    assert!(
        entries >= 15,
        "{entries} entries: fewer than a run of two kills can have"
    );

    let lives: Vec<(u64, Result<AtCrash, String>)> = stream::iter(1..=entries)
        .map(|k| async move {
            let stage = Stage::set(TWO_KILLS).await.or_say("the stage can be set");
            let lived = crash_and_recover(&stage, k).await;
            (k, lived.map_err(|why| format!("{why}\n{}", stage.logs())))
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;

    let mut failed: Vec<String> = vec![];
    let mut met: [BTreeSet<u64>; 4] = Default::default();
    for (k, life) in lives {
        match life {
            Err(why) => failed.push(format!("killed after entry {k} of {entries}: {why}")),
            Ok(crash) => {
                let moments = [
                    !crash.run_started,
                    crash.intent_open,
                    crash.request_unanswered,
                    crash.run_ended,
                ];
                for (seen, moment) in met.iter_mut().zip(moments) {
                    seen.extend(moment.then_some(k));
                }
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
    // Otherwise the moments that matter were never met.
    let moments = [
        "before its run started",
        "while a kill was undecided",
        "between the request for a kill and its answer",
        "after the end of its run",
    ];
    for (moment, seen) in moments.iter().zip(&met) {
        assert!(!seen.is_empty(), "no process died {moment}: {met:?}");
        println!("died {moment}: {seen:?} of {entries}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_the_same_journal_is_refused() {
    let stage = Stage::set(ONE_KILL).await.or_say("the stage can be set");
    let mut first = stage.start_ready().await.or_say("the first process starts");

    let (code, text) = stage.command(&["run"]).await.or_say("the second process ends");
    assert_eq!(code, Some(73), "{text}");
    assert!(text.contains(&stage.journal().display().to_string()), "{text}");
    assert!(text.contains("nothing was started"), "{text}");

    assert!(first.runs());
    let run = bring_to_its_end(&stage, &first)
        .await
        .or_say("the first process goes on");
    let entries = stage.entries().await.or_say("the journal can be read");
    let starts = entries.iter().filter(|e| matches!(e.body, Body::Started { .. }));
    assert_eq!(starts.count(), 1, "the second process wrote to the journal");
    assert_eq!(outcome(&entries, &run), Some(Outcome::Completed));
    assert_eq!(stage.sim.kills().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn restarting_twenty_times_in_an_hour_gives_no_extra_kill() {
    const RESTARTS: usize = 20;
    let stage = Stage::set(ONE_KILL).await.or_say("the stage can be set");
    let mut operator = stage.start_ready().await.or_say("the operator starts");
    let run = bring_to_its_end(&stage, &operator).await.or_say("the first run");
    let entries = stage.entries().await.or_say("the journal can be read");
    assert_eq!(outcome(&entries, &run), Some(Outcome::Completed));
    assert_eq!(stage.sim.kills().len(), 1, "the first run has its kill");

    for restart in 1..=RESTARTS {
        operator.kill().await.or_say("it can be killed");
        operator = stage.start_ready().await.or_say("the operator starts again");
        let answer = ask_for_a_run(&operator, None).await.or_say("it answers");
        assert_eq!(answer.status, 200, "restart {restart}: {answer:?}");
        let refusals = until("the request is judged", Duration::from_secs(30), async || {
            let refusals = refusals(&stage.entries().await.ok()?);
            (refusals.len() >= restart).then_some(refusals)
        })
        .await
        .or_say(&format!("restart {restart}"));
        assert_eq!(refusals.len(), restart);
        let last = refusals.last().expect("there is one");
        assert!(
            last.starts_with("budget: ") && last.contains(POLICY) && last.contains("free at"),
            "restart {restart}: {last}"
        );
        assert_eq!(
            gate(&operator, "budget").await,
            "refuse",
            "restart {restart}: what `why` says"
        );
    }
    assert_eq!(kill_requests(&stage).len(), 1, "one request for a kill ever left");
    assert_eq!(stage.sim.kills().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_halt_survives_kill_minus_nine() {
    let stage = Stage::set(TWO_KILLS).await.or_say("the stage can be set");
    let reason = "checkout is on fire, ask the desk first";
    let operator = stage.start_ready().await.or_say("the operator starts");
    let halted = operator
        .post(Who::Desk, "/api/v1/halt", None, json!({ "reason": reason }))
        .await
        .or_say("it answers");
    assert_eq!(halted.status, 200, "{halted:?}");
    operator.kill().await.or_say("it can be killed");

    let operator = stage.start_ready().await.or_say("the operator starts again");
    let status = operator
        .get(Who::Desk, "/api/v1/status")
        .await
        .or_say("it answers");
    assert_eq!(status.body["halt"]["by"]["id"], Who::Desk.name(), "{status:?}");
    assert_eq!(status.body["halt"]["reason"], reason, "{status:?}");

    let refused = ask_for_a_run(&operator, None).await.or_say("it answers");
    assert_eq!(refused.status, 409, "{refused:?}");
    let words = refused.body["detail"].as_str().unwrap_or_default();
    assert!(
        words.contains(&format!("halted by {}: {reason}", Who::Desk.name())),
        "{refused:?}"
    );

    let resume = async |who| {
        let body = json!({ "reason": "the fire is out" });
        operator.post(who, "/api/v1/resume", None, body).await
    };
    assert_eq!(resume(Who::Ana).await.or_say("it answers").status, 403);
    let taken = ask_for_a_run(&operator, None).await.or_say("it answers");
    assert_eq!(taken.status, 409, "still halted: {taken:?}");

    assert_eq!(resume(Who::Admin).await.or_say("it answers").status, 200);
    let status = operator
        .get(Who::Desk, "/api/v1/status")
        .await
        .or_say("it answers");
    assert_eq!(status.body["halt"], Value::Null);
    let taken = ask_for_a_run(&operator, None).await.or_say("it answers");
    assert_eq!(taken.status, 200, "{taken:?}");
    until("a run is planned", Duration::from_secs(30), async || {
        let entries = stage.entries().await.ok()?;
        let mut planned = entries.iter().filter(|e| matches!(e.body, Body::Planned { .. }));
        planned.next().map(|_| ())
    })
    .await
    .or_say("after the resume");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_inside_a_sham_after_a_kill_nothing_more_dies_and_the_run_is_concluded_in_words() {
    let verdict = restarted_inside_a_sham(false, Death::Kill).await;
    assert_eq!(
        (verdict.outcome, verdict.hypothesis, verdict.reason.as_str()),
        (
            Outcome::Aborted,
            HypothesisResult::Inconclusive,
            "operator restarted"
        ),
        "{verdict:#?}"
    );
    let told = "Caused by the kill: not known (the run was cut short: the operator restarted while the run was armed).";
    assert_eq!(verdict.lines[1], told, "{verdict:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_inside_a_sham_before_any_kill_nothing_dies_and_nothing_was_tested() {
    let verdict = restarted_inside_a_sham(true, Death::Kill).await;
    assert_eq!(
        (verdict.outcome, verdict.hypothesis),
        (Outcome::Skipped, HypothesisResult::NotTested),
        "{verdict:#?}"
    );
    assert_eq!(
        verdict.sentence,
        "Not tested. No kill was made: the operator restarted while the run was armed."
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_in_order_inside_a_sham_the_run_ends_with_it_and_nothing_more_dies() {
    let verdict = restarted_inside_a_sham(false, Death::Term).await;
    assert_eq!(
        (verdict.outcome, verdict.hypothesis),
        (Outcome::Aborted, HypothesisResult::Inconclusive),
        "{verdict:#?}"
    );
}

/// How a process dies.
enum Death {
    /// SIGKILL.
    Kill,
    /// SIGTERM, which it may answer.
    Term,
}

/// The verdict on a run whose operator died inside a sham, and was started again on what it left.
///
/// Whether a sham comes first is drawn; runs are begun until one fits.
async fn restarted_inside_a_sham(first: bool, death: Death) -> Verdict {
    for _ in 0..30 {
        let stage = Stage::set(TWO_PAIRS).await.or_say("the stage can be set");
        let operator = stage.start_ready().await.or_say("the operator starts");
        let taken = ask_for_a_run(&operator, None).await.or_say("it answers");
        assert_eq!(taken.status, 200, "{taken:?}");
        let drawn = until("a run is planned", Duration::from_secs(30), async || {
            let entries = stage.entries().await.ok()?;
            entries.iter().find_map(|e| match &e.body {
                Body::Planned { plan, .. } => Some(plan.steps.iter().map(Step::is_sham).collect::<Vec<_>>()),
                _ => None,
            })
        });
        let drawn = drawn.await.or_say("it is drawn");
        assert_eq!(drawn.iter().filter(|sham| **sham).count(), 2, "{drawn:?}");
        if first && !drawn[0] {
            continue;
        }
        until("it is inside a sham", LIFE_MAX, async || {
            let entries = stage.entries().await.ok()?;
            let taken: Vec<bool> = intents(&entries).map(|i| i.sham).collect();
            let inside = taken.last() == Some(&true) && (first || taken.contains(&false));
            inside.then_some(())
        })
        .await
        .or_say("before the first process dies");
        match death {
            Death::Kill => operator.kill().await.map(drop).or_say("it can be killed"),
            Death::Term => {
                operator.signal("TERM").or_say("it can be told");
                operator.end().await.map(drop).or_say("it ends");
            }
        };
        let left = stage.entries().await.or_say("the journal can be read");
        let (decided, sent) = (intents(&left).count(), kill_requests(&stage).len());
        let shams = intents(&left).filter(|i| i.sham).count();
        assert_eq!(decided - shams, sent, "a sham sends nothing");

        let second = stage.start_ready().await.or_say("the operator starts again");
        let ended = until("the run ends", LIFE_MAX, async || {
            let entries = stage.entries().await.ok()?;
            entries.iter().find_map(|e| match &e.body {
                Body::Ended { run, verdict } => Some((run.clone(), verdict.clone())),
                _ => None,
            })
        });
        let (run, verdict) = ended.await.or_say("after the restart");
        let reports = until("the report is written", Duration::from_secs(10), async || {
            stage.missing_reports(run.as_str()).is_empty().then_some(())
        });
        reports.await.or_say("after the restart");
        second.kill().await.or_say("it can be killed");
        let (runs, kills) = settle(&stage).await.or_say("in the end");
        let now = stage.entries().await.or_say("the journal can be read");
        assert_eq!((runs, kills), (1, sent), "kills after the restart");
        assert_eq!(
            (intents(&now).count(), kill_requests(&stage).len()),
            (decided, sent),
            "what was decided and sent after the restart"
        );
        return *verdict;
    }
    panic!("of 30 runs none began with a sham");
}

/// How things stood when a process was killed.
struct AtCrash {
    /// A kill was decided, and nothing was known of what followed.
    intent_open: bool,
    /// Its request had reached Marathon already.
    request_unanswered: bool,
    /// The run had started: its approval was consumed.
    run_started: bool,
    /// The run was over already.
    run_ended: bool,
}

/// One run without any crash: how many entries its journal has when everything is written.
async fn undisturbed(stage: &Stage) -> Result<usize, String> {
    let operator = stage.start()?;
    let run = within_a_life(bring_to_its_end(stage, &operator)).await?;
    // What people are told of the end is journalled after the end.
    let entries = until("people are told", Duration::from_secs(10), async || {
        let entries = stage.entries().await.ok()?;
        let told = |e: &Entry| matches!(&e.body, Body::Told { key, .. } if key.starts_with("verdict/"));
        entries.iter().any(told).then_some(entries)
    })
    .await?;
    operator.kill().await?;
    let outcome = outcome(&entries, &run);
    check(outcome == Some(Outcome::Completed), || {
        format!("the run should be completed: {outcome:?}")
    })?;
    let settled = settle(stage).await?;
    check(settled == (1, 2), || {
        format!("one run and two kills: {settled:?}")
    })?;
    Ok(entries.len())
}

/// A life in which the first process dies as soon as the journal has `k` entries, and a second one
/// finds what it left.
async fn crash_and_recover(stage: &Stage, k: u64) -> Result<AtCrash, String> {
    // So that processes die before the request, before the answer, and before the kill itself.
    match k % 3 {
        0 => {}
        1 => stage
            .sim
            .mischief()
            .always(On::Kills, Trouble::Delay(Duration::from_millis(300))),
        _ => stage
            .sim
            .mischief()
            .always(On::Kills, Trouble::ExecuteLate(Duration::from_millis(300))),
    }
    let first = stage.start()?;
    let died = async {
        tokio::select! {
            biased;
            () = stage.head_reaches(k) => Ok(()),
            // It may come out a few entries short of the reference; then it dies after the end.
            run = bring_to_its_end(stage, &first) => run.map(|_| ()),
        }
    };
    within_a_life(died).await?;
    if k % 3 == 1 && open_intents(&stage.entries().await?).next().is_some() {
        let sent = async || {
            let entries = stage.entries().await.ok()?;
            (kill_requests(stage).len() >= intents(&entries).count()).then_some(())
        };
        // Not certain: this very intent may be answered meanwhile.
        let _ = until("the request arrives", Duration::from_millis(150), sent).await;
    }
    first.kill().await?;

    let left = stage.entries().await?;
    let crash = AtCrash {
        intent_open: open_intents(&left).next().is_some(),
        request_unanswered: open_intents(&left).any(|intent| {
            kill_requests(stage)
                .iter()
                .any(|r| r.header("x-heartbreak-intent") == Some(intent.as_str()))
        }),
        run_started: left.iter().any(|e| {
            matches!(
                e.body,
                Body::Moved {
                    to: Phase::Baseline,
                    ..
                }
            )
        }),
        run_ended: left.iter().any(|e| matches!(e.body, Body::Ended { .. })),
    };
    requests_match_intents(stage, &left).map_err(|why| format!("as the first process left it: {why}"))?;

    let second = stage.start()?;
    let run = within_a_life(bring_to_its_end(stage, &second)).await?;
    let reports = until(
        "the report's files are there",
        Duration::from_secs(10),
        async || stage.missing_reports(run.as_str()).is_empty().then_some(()),
    );
    reports
        .await
        .map_err(|why| format!("{why}; missing: {:?}", stage.missing_reports(run.as_str())))?;
    // Nothing can be sent any more, so what was sent is all that ever will be.
    second.kill().await?;
    let (runs, kills) = settle(stage).await?;
    check(runs == 1, || format!("{runs} runs for one request"))?;
    let most = usize::try_from(TWO_KILLS.kills).unwrap_or_default();
    let decided = intents(&stage.entries().await?).count();
    check(kills <= decided && decided <= most, || {
        format!("{kills} kills of {decided} decided ones, and the plan has {most}")
    })?;
    if crash.run_started {
        let before = intents(&left).count();
        check(decided == before, || {
            format!("a run that had started went on after the restart: {before} intents, then {decided}")
        })?;
    }
    Ok(crash)
}

/// What has to be true once no process runs any more. Gives the number of runs and of kills.
async fn settle(stage: &Stage) -> Result<(usize, usize), String> {
    until("the app is whole", Duration::from_secs(10), async || {
        stage.is_whole().then_some(())
    })
    .await?;
    let entries = stage.entries().await?;
    requests_match_intents(stage, &entries)?;

    let kills = stage.sim.kills();
    let requested: BTreeSet<String> = kill_requests(stage).iter().flat_map(tasks_of).collect();
    let mut dead = BTreeSet::new();
    for kill in &kills {
        check(
            kill.asked == kill.killed && requested.contains(&kill.killed),
            || format!("{} died, and {} was asked for", kill.killed, kill.asked),
        )?;
        check(dead.insert(&kill.killed), || {
            format!("{} died twice", kill.killed)
        })?;
        check(kill.others_down_in_app.is_empty(), || {
            format!(
                "{} was killed while {:?} were down",
                kill.killed, kill.others_down_in_app
            )
        })?;
    }
    let planned: Vec<&RunId> = of_kind(&entries, "planned");
    let ended: Vec<&RunId> = of_kind(&entries, "ended");
    check(planned == ended, || {
        format!("planned are {planned:?}, ended are {ended:?}")
    })?;
    let journal = stage.journal().display().to_string();
    let (code, text) = stage.command(&["audit", "verify", "--journal", &journal]).await?;
    check(code == Some(0), || {
        format!("the audit ends with {code:?}: {text}")
    })?;
    Ok((planned.len(), kills.len()))
}

/// Every request for a kill has an intent that was there before it, with just these tasks, and no
/// intent and no task is asked for twice.
fn requests_match_intents(stage: &Stage, entries: &[Entry]) -> Result<(), String> {
    let (mut seen, mut tasks) = (BTreeSet::new(), BTreeSet::new());
    for request in kill_requests(stage) {
        let id = request.header("x-heartbreak-intent").unwrap_or_default();
        let found = entries.iter().find_map(|e| match &e.body {
            Body::Intended { intent, .. } if intent.id.as_str() == id => Some((e.at, intent)),
            _ => None,
        });
        let Some((at, intent)) = found else {
            return Err(format!("a kill was requested without an intent: {request:?}"));
        };
        check(at <= request.at, || {
            format!("{id} was written at {at}, its request came at {}", request.at)
        })?;
        check(seen.insert(id.to_owned()), || format!("{id} was sent twice"))?;
        let asked = tasks_of(&request);
        let meant: Vec<String> = intent.targets.iter().map(|t| t.task.to_string()).collect();
        check(asked == meant, || {
            format!("{id} is about {meant:?}, its request about {asked:?}")
        })?;
        for task in asked {
            check(tasks.insert(task.clone()), || {
                format!("{task} was asked for twice")
            })?;
        }
    }
    Ok(())
}

/// What the people around do, again and again, whatever process answers: Bo asks for one run, Ana
/// approves it, both wait for its end. Under their keys a repeat is the same request.
async fn bring_to_its_end(stage: &Stage, operator: &Operator) -> Result<RunId, String> {
    let wait = Duration::from_secs(30);
    let taken = until("a run is asked for", wait, async || {
        ask_for_a_run(operator, Some("bo-asks-once")).await.ok()
    })
    .await?;
    check(taken.status == 200, || {
        format!("the request was not taken: {taken:?}")
    })?;
    until("the run ends", LIFE_MAX, async || {
        let runs = operator.get(Who::Ana, "/api/v1/runs").await.ok()?;
        let run = &runs.body.as_array()?.first()?["run"];
        let id = RunId::new(run["id"].as_str()?);
        let asks = !run["approval_expires"].is_null() && run["approvals"].as_array()?.is_empty();
        if asks && run["phase"] == "awaitingApproval" {
            let path = format!("/api/v1/runs/{id}/approve");
            let digest = json!({ "digest": run["digest"] });
            let _ = operator
                .post(Who::Ana, &path, Some("ana-approves-once"), digest)
                .await;
        }
        (run["phase"] == "ended").then_some(id)
    })
    .await
    .map_err(|why| format!("{why}; the simulator is {}", whole(stage)))
}

async fn ask_for_a_run(operator: &Operator, key: Option<&str>) -> Result<Answer, String> {
    let path = format!("/api/v1/policies/{POLICY}/runs");
    operator.post(Who::Bo, &path, key, Value::Null).await
}

async fn within_a_life<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    tokio::time::timeout(LIFE_MAX, work)
        .await
        .unwrap_or_else(|_| Err(format!("not over within {} s", LIFE_MAX.as_secs())))
}

/// What `why` says of a gate: pass, refuse or unknown.
async fn gate(operator: &Operator, name: &str) -> String {
    let why = operator
        .get(Who::Desk, &format!("/api/v1/why?subject={POLICY}"))
        .await
        .or_say("it answers");
    let answers = why.body["policies"][0]["answers"].as_array();
    let answer = answers.and_then(|all| all.iter().find(|a| a["gate"] == name));
    answer
        .and_then(|a| a["answer"].as_str())
        .map_or_else(|| why.body.to_string(), str::to_owned)
}

fn outcome(entries: &[Entry], wanted: &RunId) -> Option<Outcome> {
    entries.iter().find_map(|e| match &e.body {
        Body::Ended { run, verdict } if run == wanted => Some(verdict.outcome),
        _ => None,
    })
}

/// Why runs that were asked for did not come about, oldest first.
fn refusals(entries: &[Entry]) -> Vec<String> {
    let declined = entries.iter().filter_map(|e| match &e.body {
        Body::Declined {
            command: Command::Run { .. },
            why,
            ..
        } => Some(why.clone()),
        _ => None,
    });
    declined.collect()
}

fn of_kind<'a>(entries: &'a [Entry], kind: &str) -> Vec<&'a RunId> {
    let of_kind = entries.iter().filter(|e| e.body.kind() == kind);
    of_kind.filter_map(|e| e.body.run()).collect()
}

fn intents(entries: &[Entry]) -> impl Iterator<Item = &Intent> {
    entries.iter().filter_map(|e| match &e.body {
        Body::Intended { intent, .. } => Some(intent),
        _ => None,
    })
}

/// Intents of which nothing more is written.
fn open_intents(entries: &[Entry]) -> impl Iterator<Item = &IntentId> {
    let settled = |id: &IntentId| {
        entries
            .iter()
            .any(|e| matches!(&e.body, Body::Settled { intent, .. } if intent == id))
    };
    intents(entries).map(|i| &i.id).filter(move |id| !settled(id))
}

/// The requests for kills that reached the pretend Marathon.
fn kill_requests(stage: &Stage) -> Vec<Recorded> {
    stage.sim.requests()
}

/// The tasks that a request asks to die.
fn tasks_of(request: &Recorded) -> Vec<String> {
    let body: Value = serde_json::from_str(&request.body).unwrap_or_default();
    let ids = body["ids"].as_array().cloned().unwrap_or_default();
    ids.iter()
        .map(|id| id.as_str().unwrap_or_default().to_owned())
        .collect()
}

fn whole(stage: &Stage) -> &'static str {
    if stage.is_whole() { "whole" } else { "not whole" }
}

/// Ends a test with the reason in its own lines, where `expect` would quote it.
trait OrSay<T> {
    fn or_say(self, what: &str) -> T;
}

impl<T> OrSay<T> for Result<T, String> {
    #[track_caller]
    fn or_say(self, what: &str) -> T {
        match self {
            Ok(there) => there,
            Err(why) => panic!("{what}: {why}"),
        }
    }
}

fn check(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}
