//! The demo: the pretend outside, a flawed service and the real operator in one process.
//!
//! Takes no cluster address and can touch none: the only Marathon it knows is the pretend one that it
//! starts itself. What is pretended is the outside; the operator, its journal, its gates and its reports
//! are the real ones, started the way `heartbreak run` starts them.

mod agents;
mod story;

use crate::cli::trouble::Trouble;
use crate::cli::works::{DemoArgs, SimArgs};
use crate::exit::Exit;
use heartbreak_sim::processes::task_main;
use heartbreak_sim::{AppSpec, ProcessSpec, Sim, SimConfig, Version};
use std::ffi::OsString;
use std::time::Duration;

/// The word after the program's name that makes this process one task of the pretend cluster.
const TASK: &str = "pretend-task";

/// `heartbreak demo`.
///
/// # Errors
///
/// When something it needs can't be started, or when the story does not go as it should.
pub async fn run(args: DemoArgs) -> Result<Exit, Trouble> {
    // Ctrl-C drops everything that was started: children end with us.
    tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => {
            println!("\nStopped. Every process that the demo started is ended.");
            Ok(Exit::Done)
        }
        told = Box::pin(story::tell(args)) => told,
    }
}

/// `heartbreak sim`: a pretend Marathon that stays up until Ctrl-C.
///
/// # Errors
///
/// When it can't listen.
pub async fn sim(args: SimArgs) -> Result<Exit, Trouble> {
    let version = if args.version == "1.7" {
        Version::V1_7
    } else {
        Version::V1_11
    };
    let config = SimConfig {
        agents: args.agents.as_deref().map_or(Ok(Vec::new()), agents::read)?,
        generate: args.generate.as_deref().map(shape).transpose()?,
        mesos: args.mesos_listen,
        version,
        apps: vec![
            AppSpec::new("/shop/cart", 4)
                .label("team", "shop")
                .health_checks(true),
        ],
        listen: Some(args.listen),
        ..SimConfig::default()
    };
    let sim = Sim::start(config).await.map_err(|error| {
        Trouble::new(
            Exit::Unreachable,
            match args.mesos_listen {
                None => format!("can't listen on {}: {error}; nothing was started", args.listen),
                Some(mesos) => format!(
                    "can't listen on {} and {mesos}: {error}; nothing was started",
                    args.listen
                ),
            },
        )
    })?;
    println!("A pretend Marathon {} listens on {}", args.version, sim.url());
    println!(
        "It runs /shop/cart with 4 tasks. Try: curl {}/v2/apps?embed=apps.tasks",
        sim.url()
    );
    println!("Its agents: curl {}/slaves", sim.mesos_url());
    println!("Ctrl-C ends it.");
    let _ = tokio::signal::ctrl_c().await;
    sim.stop().await;
    Ok(Exit::Done)
}

/// How many apps to generate.
fn shape(said: &str) -> Result<heartbreak_sim::generate::Shape, Trouble> {
    said.parse()
        .map_err(|what| Trouble::new(Exit::Usage, format!("--generate: {what}; nothing was started")))
}

/// Whether this process was started as a task of the pretend cluster, and on which port it serves.
pub fn task_port(args: impl IntoIterator<Item = OsString>) -> Option<u16> {
    let args: Vec<String> = args.into_iter().filter_map(|a| a.into_string().ok()).collect();
    let asked =
        args.get(1).is_some_and(|word| word == TASK) && args.get(2).is_some_and(|word| word == "--port");
    if asked { args.get(3)?.parse().ok() } else { None }
}

/// Serves as one task until its standard input closes: nothing outlives the demo.
pub async fn task(port: u16) -> Exit {
    match task_main(port).await {
        Ok(()) => Exit::Done,
        Err(_) => Exit::Ours,
    }
}

/// How the pretend cluster starts a task: this very program, as a process of its own.
fn task_command() -> Result<ProcessSpec, Trouble> {
    let own = std::env::current_exe()
        .map_err(|error| Trouble::new(Exit::Ours, format!("this program can't find itself: {error}")))?;
    Ok(ProcessSpec {
        command: vec![own.display().to_string(), TASK.to_owned()],
    })
}

/// A breath between two sentences; shorter for pipelines.
async fn breathe(args: DemoArgs) {
    let pause = if args.fast { 0 } else { 900 };
    tokio::time::sleep(Duration::from_millis(pause)).await;
}
