//! The parts of `benches/run` that are programs of their own, so that CPU and memory are counted each by
//! itself: `scale serve|pretend|observe|observe-few|receive|decide|decide-few|events …`. See `benches/README.md`.

use heartbreak::clock::RealClock;
use heartbreak::engine::gates::{self, Facts};
use heartbreak::engine::history::Ledger;
use heartbreak::engine::ownership::Ownership;
use heartbreak::engine::planner::{self, Wanted};
use heartbreak::marathon::{Auth, Client, Options, TlsFiles, follow};
use heartbreak::model::gate::{Answer, PagerAnswer};
use heartbreak::model::policy::{LabelSelector, LabelTerm, Limits, Policy, PolicyState};
use heartbreak::model::snapshot::Snapshot;
use heartbreak::policy::Folder;
use heartbreak::ports::clock::Clock;
use heartbreak::ports::cluster::{Cluster, Query};
use heartbreak_sim::generate::Shape;
use heartbreak_sim::{Sim, SimConfig};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Events in the stream that is read.
const EVENTS: usize = 2_000_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["serve", apps] => serve(apps.parse()?).await,
        ["pretend", apps] => pretend(apps.parse()?).await,
        ["observe", url, policy] => observe(url, policy, &[Query::all()]).await,
        ["observe-few", url, policy] => observe(url, policy, &[opted_in()]).await,
        ["receive", url] => receive(url).await,
        ["decide", url, policies] => decide(url, policies, Query::all()).await,
        ["decide-few", url, policies] => decide(url, policies, opted_in()).await,
        ["events", url] => events(url).await,
        [] => {
            eprintln!("these are measured by benches/run");
            Ok(())
        }
        other => Err(format!("what is {other:?}? See benches/README.md").into()),
    }
}

/// What the operator asks for. The server here sends everything all the same: what nobody asked for is dropped
/// while it is read.
fn opted_in() -> Query {
    Query {
        selector: Some(LabelSelector {
            terms: vec![LabelTerm::In("chaos".into(), BTreeSet::from(["opt-in".into()]))],
        }),
        ids: vec![],
    }
}

/// A Marathon of the simulator whose answers are made once, so that serving costs next to nothing, and whose
/// event stream is as fast as it is read and ends.
async fn serve(count: u32) -> Outcome<()> {
    let sim = Sim::start(SimConfig {
        generate: Some(Shape::new(count, 20)),
        ..SimConfig::default()
    })
    .await?;
    let http = reqwest::Client::builder().no_proxy().build()?;
    let mut answers: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    for (path, query) in [
        (
            "/v2/apps",
            "?embed=apps.tasks&embed=apps.counts&embed=apps.deployments",
        ),
        ("/v2/info", ""),
        ("/v2/deployments", ""),
        ("/v2/queue", ""),
        ("/v2/pods/::status", ""),
    ] {
        let body = http
            .get(format!("{}{path}{query}", sim.url()))
            .send()
            .await?
            .bytes()
            .await?;
        answers.insert(path, body.to_vec());
    }
    sim.stop().await;
    let event = b"event: status_update_event\r\ndata: {\"slaveId\":\"a\",\"taskId\":\"web.instance-1._app.2\",\
        \"taskStatus\":\"TASK_RUNNING\",\"message\":\"\",\"appId\":\"/web\",\"host\":\"agent-1\",\"ports\":[31001],\
        \"version\":\"2026-11-23T12:00:00.123Z\",\"eventType\":\"status_update_event\",\
        \"timestamp\":\"2026-11-23T12:00:01.123Z\"}\r\n\r\n";
    let events = Arc::new(event.repeat(1000));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{} {}", listener.local_addr()?, answers["/v2/apps"].len());
    let answers = Arc::new(answers);
    loop {
        let (socket, _) = listener.accept().await?;
        let (answers, events) = (answers.clone(), events.clone());
        tokio::spawn(async move { talk(socket, &answers, &events).await.ok() });
    }
}

/// Answers requests on one connection until it is closed.
async fn talk(
    mut socket: TcpStream,
    answers: &BTreeMap<&str, Vec<u8>>,
    events: &[u8],
) -> std::io::Result<()> {
    let mut asked = Vec::new();
    loop {
        asked.clear();
        while !asked.ends_with(b"\r\n\r\n") {
            if socket.read_buf(&mut asked).await? == 0 {
                return Ok(());
            }
        }
        let text = String::from_utf8_lossy(&asked).into_owned();
        let path = text.split([' ', '?']).nth(1).unwrap_or_default();
        if path == "/v2/events" {
            socket
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
                .await?;
            for _ in 0..EVENTS / 1000 {
                socket.write_all(events).await?;
            }
            return socket.shutdown().await;
        }
        let body = answers.get(path).map_or(&b"{}"[..], Vec::as_slice);
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        socket.write_all(head.as_bytes()).await?;
        socket.write_all(body).await?;
    }
}

/// A Marathon of the simulator as it is; says at the end of the input how many reads there were.
async fn pretend(count: u32) -> Outcome<()> {
    let sim = Sim::start(SimConfig {
        generate: Some(Shape::new(count, 4)),
        ..SimConfig::default()
    })
    .await?;
    println!("{}", sim.url());
    let mut input = BufReader::new(tokio::io::stdin());
    let mut line = String::new();
    while input.read_line(&mut line).await? > 0 {
        println!("{}", sim.mischief().read());
        line.clear();
    }
    sim.stop().await;
    Ok(())
}

fn client(url: &str) -> Outcome<Client> {
    Ok(Client::new(Options {
        cluster: "prod".into(),
        urls: vec![url.parse()?],
        auth: Auth::None,
        tls: TlsFiles::default(),
        allowed_hosts: BTreeSet::new(),
        connect_timeout: Duration::from_secs(5),
        read_timeout: Duration::from_secs(60),
        event_silence: Duration::from_secs(30),
        max_list_bytes: 512 << 20,
        max_body_bytes: 8 << 20,
        clock: Arc::new(RealClock),
    })?)
}

fn policies(folder: &str) -> Outcome<Vec<Arc<Policy>>> {
    let reading = Folder::new(folder).read();
    let all = reading.set.policies.into_values();
    all.map(|state| match state {
        PolicyState::Active(policy) => Ok(policy),
        PolicyState::Suspended { why } => Err(why.into()),
    })
    .collect()
}

/// Limits as the settings have them.
fn limits() -> Outcome<Limits> {
    Ok(serde_json::from_value(json!({
        "tasks_down": 5, "kills_per_hour": 20, "kills_per_workday": 50, "forbidden_apps": ["/heartbreak/**"],
        "freezes": [], "timezone": "Europe/Madrid", "holidays": [],
    }))?)
}

/// Plans for a policy and asks every gate about the first step; says how many answered.
fn decided(policy: &Arc<Policy>, limits: &Limits, snapshot: &Snapshot) -> (bool, usize) {
    let now = RealClock.now();
    let ownership = Ownership {
        opt_in: ("chaos".into(), "opt-in".into()),
        team_label: "team".into(),
        owners: vec![],
        owners_bad: None,
    };
    let ledger = Ledger::default();
    let made = planner::plan(&Wanted {
        policy,
        limits,
        ownership: &ownership,
        ledger: &ledger,
        snapshot,
        seed: "a seed",
        purpose: "a purpose",
        requested_by: None,
        run: "r-BENCH000".into(),
        now,
        only: None,
    });
    let Ok((plan, _)) = made else { return (false, 0) };
    let leader = Answer::Pass(String::new());
    let (halt_file, members) = (Ok(None), Ok(BTreeSet::new()));
    let facts = Facts {
        now,
        policy: Ok(policy),
        limits,
        ledger: &ledger,
        snapshot,
        ownership: &ownership,
        armed: true,
        leader: &leader,
        clock_drift: chrono::TimeDelta::zero(),
        halt_file: &halt_file,
        pager: &PagerAnswer::NotConfigured,
        watch: None,
        members: &members,
    };
    let judgement = gates::judge(&plan, &plan.steps[0], &facts);
    (true, judgement.answers.len())
}

/// One pass as the operator does it, without its journal: look, plan, ask every gate.
async fn observe(url: &str, folder: &str, queries: &[Query]) -> Outcome<()> {
    let policies = policies(folder)?;
    let snapshot = client(url)?.look(queries).await;
    let tasks: usize = snapshot.apps.values().map(|app| app.tasks.len()).sum();
    let (planned, answers) = decided(&policies[0], &limits()?, &snapshot);
    println!(
        "{} apps, {tasks} tasks, {} gaps {:?}; planned: {planned}, {answers} gates answered",
        snapshot.apps.len(),
        snapshot.gaps.len(),
        snapshot.gaps.first(),
    );
    Ok(())
}

/// The least that anybody who reads JSON has to do: receive it, and look whether it is JSON.
async fn receive(url: &str) -> Outcome<()> {
    let http = reqwest::Client::builder().no_proxy().http1_only().build()?;
    let body = http.get(format!("{url}/v2/apps")).send().await?.bytes().await?;
    let _: serde::de::IgnoredAny = serde_json::from_slice(&body)?;
    println!("{} bytes", body.len());
    Ok(())
}

/// Every policy of a folder on one snapshot.
async fn decide(url: &str, folder: &str, query: Query) -> Outcome<()> {
    let policies = policies(folder)?;
    let snapshot = client(url)?.look(&[query]).await;
    let limits = limits()?;
    let mut best = Duration::MAX;
    let mut planned = 0;
    for _ in 0..10 {
        let began = cpu()?;
        planned = policies
            .iter()
            .filter(|policy| black_box(decided(policy, &limits, &snapshot)).0)
            .count();
        best = best.min(cpu()?.saturating_sub(began));
    }
    println!(
        "{}",
        json!({"policies": policies.len(), "planned": planned, "ms": best.as_secs_f64() * 1000.0})
    );
    Ok(())
}

/// Reads a whole event stream; says how many events a second of CPU they were, and how often it woke.
async fn events(url: &str) -> Outcome<()> {
    let client = client(url)?;
    let woken = AtomicUsize::new(0);
    let began = cpu()?;
    // The stream ends by itself; whoever follows it pauses then, longer than the rest takes.
    let reading = follow(&client, |_| {
        woken.fetch_add(1, Ordering::Relaxed);
    });
    let quiet = async {
        let mut last = 0;
        loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let now = woken.load(Ordering::Relaxed);
            if now > 1 && now == last {
                return;
            }
            last = now;
        }
    };
    tokio::select! { () = reading => {}, () = quiet => {} }
    let spent = cpu()?.saturating_sub(began).as_secs_f64();
    println!(
        "{}",
        json!({"events": EVENTS, "woken": woken.load(Ordering::Relaxed), "cpu_s": spent, "per_s": EVENTS as f64 / spent})
    );
    Ok(())
}

/// CPU time of this process so far.
fn cpu() -> Outcome<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Ok(Duration::new(time.tv_sec.try_into()?, time.tv_nsec.try_into()?))
}
