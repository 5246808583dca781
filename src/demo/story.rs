//! What a stranger sees, in order, told in plain words as it happens.

mod chat;

use self::chat::{Keyboard, framed, plain};
use super::{breathe, task_command};
use crate::app::{self, Running};
use crate::cli::trouble::Trouble;
use crate::cli::works::DemoArgs;
use crate::exit::Exit;
use crate::model::command::{Asked, Command, Person, Role, Via};
use crate::model::ids::{PolicyName, RunId};
use crate::model::report::Report;
use crate::model::run::{Phase, Run};
use crate::model::verdict::{HypothesisResult, Outcome};
use crate::model::view::{PlanView, Refusal, Reply};
use crate::ports::clock::Clock;
use crate::ports::inbox::Inbox;
use crate::settings::Settings;
use chrono::Timelike;
use heartbreak_sim::slack::{APP, Message, SECRET, Slack, TEAM, TOKEN};
use heartbreak_sim::{AppSpec, Balancer, Flavour, Load, Sim, SimConfig};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Requests a second that the load generator sends to each service.
const TRAFFIC: u32 = 100;
/// How long a message may take to appear in the pretend Slack.
const SLACK_MAX: Duration = Duration::from_secs(20);
/// How long one run may take before the demo gives up.
const RUN_MAX: Duration = Duration::from_secs(90);

/// Processes of each service: one more than its kills, so that every sham has one to name.
const TASKS: u32 = 6;

/// One of the two services of the demo.
struct Service {
    app: &'static str,
    policy: &'static str,
    title: &'static str,
    flavour: Flavour,
    kills: u32,
}

const SOUND: Service = Service {
    app: "/demo/cart",
    policy: "cart-survives-task-loss",
    title: "a sound service",
    flavour: Flavour::Sound,
    kills: 5,
};

const FLAWED: Service = Service {
    app: "/demo/leaky-cart",
    policy: "leaky-cart-survives-task-loss",
    title: "the same service with a flaw: its connection pool never forgets a dead backend, and bears only one",
    flavour: Flavour::Flawed,
    kills: 5,
};

/// Everything that has to stay alive while the story is told.
struct Stage {
    sim: Sim,
    slack: Slack,
    running: Running,
    sound: (Balancer, Load),
    flawed: (Balancer, Load),
    folder: PathBuf,
}

/// Tells the whole story.
pub async fn tell(args: DemoArgs) -> Result<Exit, Trouble> {
    say("Heartbreak, in about a minute. Nothing outside this machine is touched.\n");
    let mut keyboard = Keyboard::listen();
    let stage = set(args).await?;
    let held = chapter(args, &stage, &mut keyboard, &SOUND, &stage.sound, 1).await?;
    let aborted = chapter(args, &stage, &mut keyboard, &FLAWED, &stage.flawed, 2).await?;
    epilogue(&stage, &held, &aborted);
    if args.stay {
        say("\nEverything stays up. Press Enter to end it.");
        keyboard.line().await;
    }
    let denied = |report: &Report| report.denied.is_some();
    let as_told = outcome(&held) == Some((Outcome::Completed, HypothesisResult::Held))
        && outcome(&aborted) == Some((Outcome::Aborted, HypothesisResult::Disproved))
        && aborted.kills_after_breach == 0;
    let good = as_told || denied(&held) || denied(&aborted);
    let Stage {
        sim,
        slack: _,
        running,
        sound,
        flawed,
        folder: _,
    } = stage;
    drop((sound, flawed));
    running.stop("the demo is over").await;
    sim.stop().await;
    if good {
        Ok(Exit::Done)
    } else {
        Err(Trouble::new(
            Exit::Ours,
            "the story did not go as it should: the sound service should have held and the flawed one should have been aborted and disproved",
        ))
    }
}

fn outcome(report: &Report) -> Option<(Outcome, HypothesisResult)> {
    report.verdict.as_ref().map(|v| (v.outcome, v.hypothesis))
}

/// Starts the pretend cluster, the balancers, the traffic and the operator.
async fn set(args: DemoArgs) -> Result<Stage, Trouble> {
    let trouble = |what: &str, error: &dyn std::fmt::Display| {
        Trouble::new(
            Exit::Ours,
            format!("{what} can't be started: {error}; nothing else was done"),
        )
    };
    let app = |service: &Service| {
        AppSpec::new(service.app, TASKS)
            .label("chaos", "opt-in")
            .label("team", "demo")
            .health_checks(true)
    };
    let config = SimConfig {
        apps: vec![app(&SOUND), app(&FLAWED)],
        processes: Some(task_command()?),
        ..SimConfig::default()
    };
    let sim = Sim::start(config)
        .await
        .map_err(|e| trouble("the pretend Marathon", &e))?;
    let mut fronts = vec![];
    for service in [&SOUND, &FLAWED] {
        let balancer = Balancer::start(sim.state(), service.app, service.flavour)
            .await
            .map_err(|e| trouble("a load balancer", &e))?;
        fronts.push((service, balancer));
    }
    wait_for_tasks(&fronts).await?;
    let mut with_load = vec![];
    for (service, balancer) in fronts {
        let load = Load::start(&balancer.url(), TRAFFIC).map_err(|e| trouble("the traffic", &e))?;
        with_load.push((service, balancer, load));
    }
    say("The cluster: a pretend Marathon 1.11 whose tasks are real processes on this machine.");
    say(&format!("  Marathon        {}", sim.url()));
    for (service, balancer, _) in &with_load {
        say(&format!(
            "  {:<15} {TASKS} processes behind a balancer at {}, {TRAFFIC} requests/s ({})",
            service.app,
            balancer.url(),
            service.title
        ));
    }
    let folder = state_folder()?;
    crate::telemetry::init_file(&folder.join("operator.log")).map_err(|e| trouble("the log", &e))?;
    let urls: Vec<String> = with_load.iter().map(|(_, b, _)| b.url()).collect();
    let slack = Slack::start().await;
    write_files(&folder, &sim.url(), &slack.base(), &urls)?;
    let settings = Settings::load(&folder.join("heartbreak.yaml"))
        .map_err(|problems| Trouble::new(Exit::Ours, problems.to_string()))?;
    let running = app::start(settings).await?;
    slack.set_bot(&running.url);
    say(&format!(
        "  the operator    {} (the real one; its journal and log are in {})",
        running.url,
        folder.display()
    ));
    say(&format!(
        "  a pretend Slack {} (open it in a browser to see every message; its buttons work)\n",
        slack.base()
    ));
    breathe(args).await;
    let mut pairs = with_load.into_iter().map(|(_, balancer, load)| (balancer, load));
    match (pairs.next(), pairs.next()) {
        (Some(sound), Some(flawed)) => Ok(Stage {
            sim,
            slack,
            running,
            sound,
            flawed,
            folder,
        }),
        _ => Err(Trouble::new(
            Exit::Ours,
            "the demo has two services by construction",
        )),
    }
}

/// Waits until each balancer answers: processes take a moment to listen.
async fn wait_for_tasks(fronts: &[(&Service, Balancer)]) -> Result<(), Trouble> {
    for (service, balancer) in fronts {
        let mut good = 0;
        for _ in 0..400 {
            let answer = heartbreak_sim::processes::exchange(balancer.address(), "/").await;
            let ok = answer.is_ok_and(|bytes| bytes.starts_with(b"HTTP/1.1 200"));
            good = if ok { good + 1 } else { 0 };
            if good >= 12 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        if good < 12 {
            return Err(Trouble::new(
                Exit::Ours,
                format!("the tasks of {} did not come up within 10 s", service.app),
            ));
        }
    }
    Ok(())
}

/// One experiment, from the policy to the verdict.
async fn chapter(
    args: DemoArgs,
    stage: &Stage,
    keyboard: &mut Keyboard,
    service: &Service,
    front: &(Balancer, Load),
    number: u32,
) -> Result<Report, Trouble> {
    say(&format!(
        "── {number} ── {} ──────────────────────────────",
        service.title
    ));
    let policy = PolicyName::new(service.policy);
    say("The policy says what may be broken, when, how much, and with whose approval:");
    let text = std::fs::read_to_string(policy_file(&stage.folder, service)).unwrap_or_default();
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        say(&format!("    {line}"));
    }
    breathe(args).await;

    let text = format!("run {policy}");
    say(&format!("\nIn Slack, @ben types: /heartbreak {text}"));
    let bot = &stage.running.url;
    let answer = stage
        .slack
        .person("U0BEN0002")
        .command(bot, "/heartbreak", &text)
        .await;
    let said: serde_json::Value = serde_json::from_str(&answer.body).unwrap_or_default();
    say(&format!(
        "  only he reads: {}",
        plain(said["text"].as_str().unwrap_or(&answer.body))
    ));
    let run = wait_for_run(stage, &policy).await?;
    say(&format!(
        "\nThe plan {} of run {} is made.",
        run.digest.short(),
        run.id
    ));
    let gates = run.judged.as_ref().map(|j| j.answers.clone()).unwrap_or_default();
    let passed = gates.iter().filter(|a| a.answer.passes()).count();
    say(&format!(
        "Why it is safe: {passed} of {} gates say yes now, the others are asked before each kill:",
        gates.len()
    ));
    for gate in &gates {
        let mark = if gate.answer.passes() { "yes" } else { "   " };
        say(&format!(
            "    {mark:>3}  {:<16} {}",
            gate.gate.word(),
            gate.answer.why()
        ));
    }
    decide(args, stage, keyboard, &run).await?;
    let report = follow(stage, service, &run.id, front).await?;
    tell_verdict(&report, front);
    if let Some(reply) = stage
        .slack
        .wait_for(
            |m| m.thread_ts.is_some() && m.text.contains(service.app),
            SLACK_MAX,
        )
        .await
    {
        say(&format!("  In Slack, below the card: {}\n", plain(&reply.text)));
    }
    Ok(report)
}

/// Shows the request in Slack and waits until somebody has decided: with Enter here, or in the browser.
async fn decide(args: DemoArgs, stage: &Stage, keyboard: &mut Keyboard, run: &Run) -> Result<(), Trouble> {
    let asks = |m: &Message| m.button("approve").is_some_and(|b| is_about(&b, run));
    let Some(card) = stage.slack.wait_for(asks, SLACK_MAX).await else {
        return Err(Trouble::new(
            Exit::Ours,
            "the request for approval did not appear in the pretend Slack",
        ));
    };
    say("");
    for line in framed(&card) {
        say(&line);
    }
    if args.yes {
        say("@ana presses Approve (--yes).");
        press(stage, &card).await?;
    } else {
        say(&format!(
            "You are @ana. Press Enter to press Approve, or decide at {}; Ctrl-C ends the demo.",
            stage.slack.base()
        ));
        tokio::select! {
            line = keyboard.line() => match line {
                Some(_) => press(stage, &card).await?,
                None => return Err(Trouble::new(
                    Exit::Usage,
                    "there is no terminal to press Enter on; `heartbreak demo --yes` approves by itself. Nothing was killed",
                )),
            },
            () = decided(stage, run) => say("Decided in the browser."),
        }
    }
    let heard = stage
        .slack
        .wait_for_ephemeral("U0ANA0001", |text| text.contains(run.id.as_str()), SLACK_MAX)
        .await;
    if let Some(heard) = heard {
        say(&format!("  only she reads: {}", plain(&heard)));
    }
    Ok(())
}

fn is_about(button: &serde_json::Value, run: &Run) -> bool {
    button["value"]
        .as_str()
        .is_some_and(|value| value.starts_with(run.id.as_str()))
}

async fn press(stage: &Stage, card: &Message) -> Result<(), Trouble> {
    let ana = stage.slack.person("U0ANA0001");
    let answer = ana
        .click(&stage.running.url, &card.ts, "approve")
        .await
        .map_err(|why| Trouble::new(Exit::Ours, format!("the button can't be pressed: {why}")))?;
    match answer.status {
        200 => Ok(()),
        status => Err(Trouble::new(
            Exit::Ours,
            format!("the operator answered the click with {status}"),
        )),
    }
}

/// Waits until the run no longer waits for people.
async fn decided(stage: &Stage, run: &Run) {
    loop {
        let open = stage.running.operator.read_ledger(|l| {
            l.runs
                .get(&run.id)
                .is_some_and(|r| r.phase == Phase::AwaitingApproval && r.approvals.is_empty())
        });
        if !open.await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Says what happens while it happens.
async fn follow(
    stage: &Stage,
    service: &Service,
    run: &RunId,
    front: &(Balancer, Load),
) -> Result<Report, Trouble> {
    let clock = crate::clock::RealClock;
    let began = clock.elapsed();
    let mut said = Said::default();
    loop {
        let view = match ask(stage, "ana", Command::DescribeRun { run: run.clone() }).await? {
            Reply::Run(view) => *view,
            _ => return Err(Trouble::new(Exit::Ours, "the operator answered something else")),
        };
        let (ok, failed) = front.1.counts();
        said.news(
            &view.run,
            view.evidence_percent,
            ok,
            failed,
            clock.elapsed().saturating_sub(began),
        );
        if view.run.phase == Phase::Ended {
            break;
        }
        if clock.elapsed().saturating_sub(began) > RUN_MAX {
            let waiting = view.waiting.unwrap_or_default();
            return Err(Trouble::new(
                Exit::Ours,
                format!(
                    "the run on {} did not end within {} s; it waits for: {waiting}",
                    service.app,
                    RUN_MAX.as_secs()
                ),
            ));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    match ask(stage, "ana", Command::Report { run: run.clone() }).await? {
        Reply::Report(report) => Ok(*report),
        _ => Err(Trouble::new(Exit::Ours, "the operator answered something else")),
    }
}

/// What has been said of a run, so that everything is said once.
#[derive(Default)]
struct Said {
    phase: Option<Phase>,
    intents: usize,
    resolved: usize,
    percent: u32,
}

impl Said {
    fn news(&mut self, run: &Run, evidence: Option<u32>, ok: u64, failed: u64, since: Duration) {
        let at = format!("  {:>5.1} s", since.as_secs_f64());
        if self.phase != Some(run.phase) {
            self.phase = Some(run.phase);
            match run.phase {
                Phase::AwaitingApproval | Phase::Ended => {}
                Phase::Baseline => say(&format!(
                    "{at}  measuring the steady state before anything is touched"
                )),
                Phase::Steps => say(&format!(
                    "{at}  steady. Every kill has a sham: everything but the kill, in an order that was drawn. \
                     What happens after both is no finding"
                )),
                Phase::Recovery => say(&format!(
                    "{at}  all kills made; waiting until the app is whole and steady"
                )),
                Phase::Aborting => {
                    let cause = run
                        .abort
                        .as_ref()
                        .map(|a| a.cause.to_string())
                        .unwrap_or_default();
                    say(&format!("{at}  ABORT: {cause}"));
                    if let Some(us) = run.abort.as_ref().and_then(|a| a.breach_to_fence_us) {
                        say(&format!(
                            "           {us} µs from the breaching sample to the closed fence: no further kill can leave"
                        ));
                    }
                }
            }
        }
        for intent in run.intents.iter().skip(self.intents) {
            let tasks: Vec<&str> = intent.targets.iter().map(|t| t.task.as_str()).collect();
            if intent.sham {
                say(&format!(
                    "{at}  sham: everything but the kill of {}",
                    tasks.join(", ")
                ));
                continue;
            }
            say(&format!(
                "{at}  KILL {} ({} requests so far: {ok} good, {failed} failed)",
                tasks.join(", "),
                ok + failed
            ));
        }
        self.intents = run.intents.len();
        let real = run.intents.iter().filter(|i| !i.sham);
        let resolved = real.filter(|i| !i.is_charged()).count();
        if resolved > self.resolved {
            self.resolved = resolved;
            say(&format!(
                "{at}  replaced: the new process serves, seen in Marathon's own rows"
            ));
        }
        if let Some(percent) = evidence.filter(|p| *p >= self.percent + 25 && *p < 100) {
            self.percent = percent;
            say(&format!(
                "{at}  requests fail: {percent} % of the evidence that an abort needs"
            ));
        }
    }
}

fn tell_verdict(report: &Report, front: &(Balancer, Load)) {
    if let Some(verdict) = &report.verdict {
        say(&format!("\n  Verdict: {}", verdict.sentence));
        for line in &verdict.lines {
            say(&format!("           {line}"));
        }
        say(&format!("           {}", verdict.about_design));
        if let Some(unseen) = verdict.limits.first() {
            say(&format!("           {unseen}"));
        }
    }
    let real = report.intents.iter().filter(|i| !i.sham);
    let killed: usize = real.map(|i| i.targets.len()).sum();
    let (ok, failed) = front.1.counts();
    let planned = report.plan.kills();
    say(&format!(
        "  Killed {killed} of {planned} planned; kills after the breach: {}; traffic: {ok} good, {failed} failed.\n",
        report.kills_after_breach
    ));
}

fn epilogue(stage: &Stage, held: &Report, aborted: &Report) {
    say("── What is left ──────────────────────────────");
    say("Two reports, each as JSON (the record), Markdown, and one HTML page with its chart:");
    for report in [held, aborted] {
        say(&format!(
            "  {}/report.html",
            stage
                .folder
                .join("state/reports")
                .join(report.run.as_str())
                .display()
        ));
    }
    say(&format!(
        "The journal, which says everything that was decided: {}",
        stage.folder.join("state/journal.db").display()
    ));
    say("\nNext, on a real cluster (policies/README.md and deploy/README.md say more):");
    say(
        "  heartbreak check --settings heartbreak.yaml policies/    every problem of your files, with its place",
    );
    say(
        "  heartbreak run --settings heartbreak.yaml                the operator; `mode: rehearse` does all but the kill",
    );
    say(
        "  heartbreak plan POLICY                                   which tasks would die, and what every gate says",
    );
}

/// Asks the operator as a person of the demo.
async fn ask(stage: &Stage, who: &str, command: Command) -> Result<Reply, Trouble> {
    let by = Person {
        id: who.into(),
        name: format!("@{who}"),
        via: Via::Api,
        role: Role::Admin,
    };
    stage
        .running
        .operator
        .ask(Asked {
            by,
            command,
            key: None,
        })
        .await
        .map_err(|Refusal { why, .. }| Trouble::new(Exit::Refused, why))
}

/// Waits until the plan stands.
async fn wait_for_run(stage: &Stage, policy: &PolicyName) -> Result<Run, Trouble> {
    for _ in 0..300 {
        if let Some(run) = stage
            .running
            .operator
            .read_ledger(|l| l.open_run_of(policy).cloned())
            .await
        {
            return Ok(run);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let why = match ask(
        stage,
        "ana",
        Command::Plan {
            policy: policy.clone(),
        },
    )
    .await?
    {
        Reply::Plan(view) => no_plan(&view),
        _ => String::new(),
    };
    Err(Trouble::new(
        Exit::Ours,
        format!("no plan came about within 15 s: {why}"),
    ))
}

fn no_plan(view: &PlanView) -> String {
    let mut text = view.none.clone().unwrap_or_default();
    for answer in view.judgement.iter().flat_map(|j| j.blockers()) {
        let _ = write!(text, "; {}: {}", answer.gate, answer.answer.why());
    }
    text
}

fn policy_file(folder: &Path, service: &Service) -> PathBuf {
    folder.join("policies").join(format!("{}.yaml", service.policy))
}

/// A fresh folder that nobody else uses; it stays, with the reports in it.
fn state_folder() -> Result<PathBuf, Trouble> {
    let now = crate::clock::RealClock.now();
    let name = format!(
        "heartbreak-demo-{}-{}",
        now.format("%Y%m%d-%H%M%S"),
        std::process::id()
    );
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir_all(folder.join("policies")).map_err(|error| {
        Trouble::new(
            Exit::State,
            format!("{} can't be made: {error}", folder.display()),
        )
    })?;
    Ok(folder)
}

/// Writes a secret so that nobody else can read it.
fn secret_file(path: &Path, secret: &str) -> Result<(), Trouble> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    file.and_then(|mut file| file.write_all(secret.as_bytes()))
        .map_err(|error| {
            Trouble::new(
                Exit::State,
                format!("{} can't be written: {error}", path.display()),
            )
        })
}

/// Writes the settings and the two policies, as a person would.
fn write_files(folder: &Path, marathon: &str, slack: &str, fronts: &[String]) -> Result<(), Trouble> {
    let write = |name: &str, text: String| {
        std::fs::write(folder.join(name), text)
            .map_err(|error| Trouble::new(Exit::State, format!("{name} can't be written: {error}")))
    };
    secret_file(&folder.join("slack-bot-token"), TOKEN)?;
    secret_file(&folder.join("slack-signing-secret"), SECRET)?;
    write(
        "heartbreak.yaml",
        format!(
            "apiVersion: heartbreak/v1\nkind: Settings\narmed: true\nstateDir: state\npolicyDir: policies\n\
             listen: 127.0.0.1:0\nclusters:\n  - name: demo\n    marathon: {{ urls: [\"{marathon}\"] }}\n\
             probes: {{ allowHosts: [\"127.0.0.0/8\"] }}\n\
             slack:\n  teamId: {TEAM}\n  appId: {APP}\n  botTokenFile: slack-bot-token\n  \
             signingSecretFile: slack-signing-secret\n  channel: C0CHAOS01\n  operatorsChannel: C0OPERATE\n  admins: [U0CHO0003]\n  \
             apiUrl: {slack}/api\n"
        ),
    )?;
    // A window needs a zone in which it is day now, wherever and whenever the demo runs.
    let ahead = 12 - i64::from(crate::clock::RealClock.now().hour());
    let zone = match ahead {
        0 => "Etc/GMT".to_owned(),
        ahead if ahead > 0 => format!("Etc/GMT-{ahead}"),
        ahead => format!("Etc/GMT+{}", -ahead),
    };
    for (service, url) in [&SOUND, &FLAWED].into_iter().zip(fronts) {
        // What the flaw breaks stays broken, so nothing but a calm stretch may pass for recovered, and the tighter
        // limit is crossed before the next slot.
        let (calm, limit) = match service.app.contains("leaky") {
            true => ("3s", "3%"),
            false => ("1s", "5%"),
        };
        let text = format!(
            "apiVersion: heartbreak/v1
kind: ChaosPolicy
metadata: {{ name: {}, team: demo }}
spec:
  mode: enforce
  cluster: demo
  target: {{ apps: {{ ids: [\"{}\"] }}, tasks: {{ minAge: 0s }} }}
  fault: {{ killTasks: {{ count: {}, gap: 1s }} }}
  schedule:
    windows: [ {{ days: [mon, tue, wed, thu, fri, sat, sun], from: \"08:00\", to: \"20:00\" }} ]
    timezone: {zone}
    onDemand: true
  blastRadius: {{ maxTasks: 1, maxPercent: 25, minHealthy: 4 }}
  rateLimit: {{ kills: 5, per: 1h, burst: 5 }}
  steadyState:
    interval: 250ms
    timeout: 240ms
    blind: {{ holdFireAfter: 1, abortAfter: 12 }}
    baseline: {{ for: 3s, max: 20s }}
    recovery: {{ within: 20s, hold: {calm} }}
    control: {{ design: sham, real: 5, sham: 5, window: 2500ms, settle: {calm}, margin: 2.5pp }}
    probes:
      - name: front-door
        role: abort
        source: {{ http: {{ url: \"{url}\", requests: 10 }} }}
        share: {{ max: {limit}, hard: 60% }}
    eachTask: {{ path: / }}
  approval: {{ mode: required, approvers: {{ users: [U0ANA0001] }}, quorum: 1, expires: 10m }}
",
            service.policy, service.app, service.kills
        );
        write(&format!("policies/{}.yaml", service.policy), text)?;
    }
    Ok(())
}

/// The demo tells its story on the terminal.
fn say(line: &str) {
    println!("{line}");
}
