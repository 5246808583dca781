//! The demo: the pretend outside, a flawed service and the real operator in one process.
//!
//! Takes no cluster address and can touch none: the only Marathon it knows is the pretend one that it
//! starts itself. What is pretended is the outside; the operator, its journal, its gates and its reports
//! are the real ones, started the way `heartbreak run` starts them.

mod agents;
mod sim;
mod story;

use crate::cli::trouble::Trouble;
use crate::cli::works::DemoArgs;
use crate::exit::Exit;
use heartbreak_sim::ProcessSpec;
use heartbreak_sim::processes::task_main;
pub use sim::run as sim;
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
