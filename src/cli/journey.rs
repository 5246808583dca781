//! From arguments over the real door to the operator's inbox and back, on a real socket.

use super::act::tests::{Still, works};
use super::show::tests::{judgement, plan, policy_view, run_view, status, why_view};
use crate::exit::Exit;
use crate::model::command::{Asked, Command, Role};
use crate::model::forecast::Forecast;
use crate::model::gate::GateName;
use crate::model::past::AppPast;
use crate::model::report::{Report, SCHEMA};
use crate::model::view::{PlanView, Refusal, Reply, WasIt, WasItYou};
use crate::ports::clock::Clock;
use crate::ports::inbox::Inbox;
use crate::web::{Door, Readiness, Token, router};
use async_trait::async_trait;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Answers every question with a view of the right kind.
#[derive(Default)]
struct Answering(Mutex<Vec<Asked>>);

#[async_trait]
impl Inbox for Answering {
    async fn ask(&self, asked: Asked) -> Result<Reply, Refusal> {
        let reply = match &asked.command {
            Command::Help => Reply::Help,
            Command::Status => Reply::Status(Box::new(status())),
            Command::Policies => Reply::Policies(vec![policy_view()]),
            Command::Runs { .. } => Reply::Runs(vec![run_view()]),
            Command::DescribeRun { .. } | Command::Run { .. } => Reply::Run(Box::new(run_view())),
            Command::Report { .. } => Reply::Report(Box::new(report())),
            Command::Plan { .. } => Reply::Plan(Box::new(plan_view())),
            Command::Why { .. } => Reply::Why(Box::new(why_view())),
            Command::WasItYou { .. } => Reply::WasItYou(Box::new(WasItYou {
                answer: WasIt::No,
                at: Still.now(),
                line: "No.".into(),
                items: vec![],
            })),
            Command::Timeline { .. } => Reply::Timeline(vec![]),
            Command::History { app } => Reply::History(Box::new(AppPast {
                app: app.clone(),
                at: Still.now(),
                classes: vec![],
            })),
            Command::Forecast { from, to, .. } => Reply::Forecast(Box::new(Forecast {
                from: *from,
                to: *to,
                seed_sha256: None,
                months: vec![],
                moments: vec![],
                remarks: vec![],
            })),
            Command::Approve { .. }
            | Command::Deny { .. }
            | Command::Abort { .. }
            | Command::Halt { .. }
            | Command::Resume { .. }
            | Command::Clear { .. } => Reply::Stopped {
                done: "Done.".into(),
                open: vec![],
            },
        };
        self.0.lock().unwrap().push(asked);
        Ok(reply)
    }
}

fn plan_view() -> PlanView {
    let digest = Some(plan().digest());
    PlanView {
        plan: Some(plan()),
        digest,
        none: None,
        left_out: vec![],
        judgement: Some(judgement()),
    }
}

fn report() -> Report {
    let run = run_view().run;
    Report {
        schema: SCHEMA.into(),
        operator: "0.1.0".into(),
        run: run.id,
        plan: run.plan,
        digest: run.digest,
        began: Still.now(),
        ended: run.ended,
        approvals: run.approvals,
        denied: None,
        judgements: vec![],
        intents: run.intents,
        recoveries: vec![],
        stages: vec![],
        clock_offset_ms: None,
        abort: None,
        kills_after_breach: 0,
        health: vec![],
        samples: vec![],
        evidence: vec![],
        harm: vec![],
        verdict: run.verdict,
    }
}

/// An operator's host: its state directory, its settings, its door on a free port.
struct Host {
    dir: tempfile::TempDir,
    url: String,
    inbox: Arc<Answering>,
}

impl Host {
    async fn start() -> Self {
        // The binary does this first; a second time changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("token"), SECRET).unwrap();
        std::fs::write(
            dir.path().join("s.yaml"),
            format!("stateDir: {}\n", dir.path().display()),
        )
        .unwrap();
        let inbox = Arc::new(Answering::default());
        let door = Door {
            inbox: inbox.clone(),
            tokens: vec![Token::of_secret("local", Role::Admin, SECRET).unwrap()],
            ready: Arc::new(|| Readiness { checks: vec![] }),
            turned: Arc::new(|| Some(Duration::ZERO)),
            metrics: metrics_exporter_prometheus::PrometheusBuilder::new()
                .build_recorder()
                .handle(),
            clock: Arc::new(Still),
            render: Arc::new(|report, form| format!("{form:?} of {}", report.run).into_bytes()),
            trend: Arc::new(|_, _| vec![]),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let service = router(door).into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        Self { dir, url, inbox }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    async fn says(&self, line: &str) -> Exit {
        let settings = self.file("s.yaml");
        let place = ["--url", &self.url, "--settings", settings.to_str().unwrap()];
        let args = ["heartbreak"]
            .into_iter()
            .chain(line.split_whitespace())
            .chain(place);
        super::main(args.map(OsString::from), &works()).await
    }

    fn last(&self) -> Command {
        self.inbox.0.lock().unwrap().last().unwrap().command.clone()
    }
}

#[tokio::test]
async fn every_command_reaches_the_operator_as_what_was_meant() {
    let host = Host::start().await;
    let run = || "r-7Q2MK4XN".into();
    let why = || "a fire".to_owned();
    let digest = "0123456789ab";
    for (line, expected) in [
        ("status", Command::Status),
        ("get policies -o json", Command::Policies),
        ("get runs --most 7 -o wide", Command::Runs { most: 7 }),
        ("get approvals -o yaml", Command::Runs { most: 500 }),
        ("describe run r-7q2mk4xn", Command::DescribeRun { run: run() }),
        ("report r-7Q2MK4XN", Command::Report { run: run() }),
        (
            "plan cart",
            Command::Plan {
                policy: "cart".into(),
            },
        ),
        (
            "why /shop/cart",
            Command::Why {
                subject: "/shop/cart".into(),
            },
        ),
        ("was-it-you", Command::WasItYou { subject: None }),
        (
            "was-it-you /shop/cart",
            Command::WasItYou {
                subject: Some("/shop/cart".into()),
            },
        ),
        (
            "timeline --since 30m --app /shop/cart",
            Command::Timeline {
                since: Still.now() - chrono::TimeDelta::minutes(30),
                app: Some("/shop/cart".into()),
            },
        ),
        (
            "start cart",
            Command::Run {
                policy: "cart".into(),
            },
        ),
        (
            "approve r-7Q2MK4XN 0123456789ab",
            Command::Approve {
                run: run(),
                digest: digest.into(),
            },
        ),
        (
            "deny r-7Q2MK4XN a fire",
            Command::Deny {
                run: run(),
                reason: why(),
            },
        ),
        (
            "abort r-7Q2MK4XN a fire",
            Command::Abort {
                run: Some(run()),
                reason: why(),
            },
        ),
        (
            "abort all a fire",
            Command::Abort {
                run: None,
                reason: why(),
            },
        ),
        ("halt a fire", Command::Halt { reason: why() }),
        ("resume a fire", Command::Resume { reason: why() }),
        (
            "clear r-7Q2MK4XN/1 a fire",
            Command::Clear {
                intent: "r-7Q2MK4XN/1".into(),
                reason: why(),
            },
        ),
    ] {
        assert_eq!(host.says(line).await, Exit::Done, "{line}");
        assert_eq!(host.last(), expected, "{line}");
    }
}

#[tokio::test]
async fn a_report_is_written_where_it_was_asked_for_and_read_back() {
    let host = Host::start().await;
    let to = host.file("out.html");
    assert_eq!(
        host.says(&format!("report r-7Q2MK4XN --form html --to {}", to.display()))
            .await,
        Exit::Done
    );
    assert_eq!(std::fs::read_to_string(&to).unwrap(), "Html of r-7Q2MK4XN");
    let record = host.file("report.json");
    std::fs::write(&record, serde_json::to_string(&report()).unwrap()).unwrap();
    let again = host.file("again.xml");
    let line = format!(
        "report --from {} --format junit --to {}",
        record.display(),
        again.display()
    );
    assert_eq!(host.says(&line).await, Exit::Done);
    assert_eq!(
        std::fs::read_to_string(&again).unwrap(),
        format!("Junit of {}, alone", report().run)
    );
}

#[tokio::test]
async fn a_token_that_is_not_known_is_refused_and_asks_nothing() {
    let host = Host::start().await;
    std::fs::write(host.file("token"), "ffffffffffffffffffffffffffffffff").unwrap();
    assert_eq!(host.says("status").await, Exit::Refused);
    assert_eq!(host.says("resume because").await, Exit::Refused);
    assert!(host.inbox.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn every_view_survives_the_way_over_the_wire() {
    fn check<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(view: &T) {
        assert_eq!(
            serde_json::from_str::<T>(&serde_json::to_string(view).unwrap()).unwrap(),
            *view
        );
    }
    check(&run_view());
    check(&plan_view());
    check(&why_view());
    check(&report());
    check(&Reply::Run(Box::new(run_view())));
    assert_eq!(why_view().policies[0].answers[0].gate, GateName::Window);
    assert!(
        !Path::new("/var/lib/heartbreak/halt").exists(),
        "a test must not halt anything real"
    );
}
