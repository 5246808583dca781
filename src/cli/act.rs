//! Commands that change something: start, approve, deny, abort, halt, resume, clear.

use super::client::Client;
use super::show::{self, Out};
use super::works::Works;
use super::{Trouble, mention, print};
use crate::exit::Exit;
use crate::model::ids::RunId;
use crate::model::run::Phase;
use crate::model::view::{Reply, RunView};
use clap::Args;
use serde_json::json;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// How often `start --wait` looks at its run.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How many looks in a row may fail before waiting is given up: about a minute with an operator that
/// is being restarted. The run itself goes on.
const LOOKS_FAILED_MAX: u32 = 60;
/// The API gets this much of a head start over the halt file, so that the halt carries a name.
const HALT_FILE_AFTER: Duration = Duration::from_secs(1);

/// `start`.
#[derive(Debug, Args)]
pub(super) struct Start {
    /// A policy's name
    policy: String,
    /// Wait for the run's end, print its progress, exit with its verdict
    #[arg(short, long)]
    wait: bool,
}

/// `approve`.
#[derive(Debug, Args)]
pub(super) struct Approve {
    /// The run that waits
    run: String,
    /// The digest of the plan you have read, at least 12 characters; without it the plan is shown and nothing approved
    digest: Option<String>,
}

/// `deny`.
#[derive(Debug, Args)]
pub(super) struct Deny {
    /// The run that waits
    run: String,
    /// Why
    #[arg(required = true)]
    reason: Vec<String>,
}

/// `abort`.
#[derive(Debug, Args)]
pub(super) struct Abort {
    /// A run's id, or `all`
    run: String,
    /// Why
    #[arg(required = true)]
    reason: Vec<String>,
}

/// `halt` and `resume`.
#[derive(Debug, Args)]
pub(super) struct Reason {
    /// Why
    #[arg(required = true)]
    reason: Vec<String>,
}

/// `clear`.
#[derive(Debug, Args)]
pub(super) struct Clear {
    /// The intent, like r-7Q2MK4XN/2
    intent: String,
    /// Why it is known to be over
    #[arg(required = true)]
    reason: Vec<String>,
}

pub(super) async fn start(
    args: Start,
    client: &Client,
    works: &Works,
    out: &mut Out,
) -> Result<Exit, Trouble> {
    let reply: Reply = client
        .post(&["policies", &args.policy, "runs"], &json!({}))
        .await?;
    let run = match (&reply, args.wait) {
        (Reply::Run(view), true) => view.run.id.clone(),
        (_, true) => {
            answer(&reply, out)?;
            return Err(Trouble::new(
                Exit::Later,
                "no run to wait for was named; look at `heartbreak get runs`",
            ));
        }
        (_, false) => return answer(&reply, out),
    };
    wait(&run, client, works, out).await
}

/// Prints each change of a run until it is over. Progress goes to stderr, the result to stdout.
async fn wait(run: &RunId, client: &Client, works: &Works, out: &mut Out) -> Result<Exit, Trouble> {
    let (mut shown, mut failed) = (String::new(), 0);
    loop {
        match client.get::<RunView>(&["runs", run.as_str()], &[]).await {
            Ok(view) => {
                failed = 0;
                out.now = works.clock.now();
                let line = show::run::progress(&view);
                if line != shown {
                    mention(&format!("{} {line}", out.now.format("%H:%M:%S")));
                    shown = line;
                }
                if view.run.phase == Phase::Ended {
                    print(&out.say(&view, || show::run::ending(&view, out))?)?;
                    return match &view.run.verdict {
                        Some(verdict) => Ok(Exit::from(verdict)),
                        None => Err(Trouble::new(
                            Exit::Ours,
                            format!("run {run} ended without a verdict"),
                        )),
                    };
                }
            }
            Err(trouble)
                if matches!(trouble.exit, Exit::Unreachable | Exit::Later) && failed < LOOKS_FAILED_MAX =>
            {
                failed += 1;
                if failed == 1 {
                    mention(&format!(
                        "heartbreak: cannot see the run for the moment, still waiting: {}",
                        first_line(&trouble)
                    ));
                }
            }
            Err(trouble) => {
                return Err(Trouble::new(
                    trouble.exit,
                    format!(
                        "{}\nGave up waiting; run {run} goes on. See: heartbreak describe run {run}",
                        trouble.text
                    ),
                ));
            }
        }
        works.clock.sleep(LOOK_EVERY).await;
    }
}

fn first_line(trouble: &Trouble) -> &str {
    trouble.text.lines().next().unwrap_or("")
}

pub(super) async fn approve(args: Approve, client: &Client, out: &Out) -> Result<Exit, Trouble> {
    let Approve { run, digest } = args;
    let Some(digest) = digest else {
        let view: RunView = client.get(&["runs", &run], &[]).await?;
        print(&show::run::describe(&view, out))?;
        return Err(Trouble::new(
            Exit::Usage,
            format!(
                "nothing was approved: an approval is for one plan.\nRead it above, then: heartbreak approve {run} {}",
                view.run.digest.short()
            ),
        ));
    };
    let reply: Reply = client
        .post(&["runs", &run, "approve"], &json!({ "digest": digest }))
        .await?;
    answer(&reply, out)
}

pub(super) async fn deny(args: Deny, client: &Client, out: &Out) -> Result<Exit, Trouble> {
    let body = json!({ "reason": args.reason.join(" ") });
    answer(
        &client.post::<Reply>(&["runs", &args.run, "deny"], &body).await?,
        out,
    )
}

pub(super) async fn abort(args: Abort, client: &Client, out: &Out) -> Result<Exit, Trouble> {
    let body = json!({ "reason": args.reason.join(" ") });
    let path: &[&str] = if args.run == "all" {
        &["abort"]
    } else {
        &["runs", &args.run, "abort"]
    };
    answer(&client.post::<Reply>(path, &body).await?, out)
}

pub(super) async fn resume(args: Reason, client: &Client, out: &Out) -> Result<Exit, Trouble> {
    let body = json!({ "reason": args.reason.join(" ") });
    answer(&client.post::<Reply>(&["resume"], &body).await?, out)
}

pub(super) async fn clear(args: Clear, client: &Client, out: &Out) -> Result<Exit, Trouble> {
    let body = json!({ "intent": args.intent, "reason": args.reason.join(" ") });
    answer(&client.post::<Reply>(&["clear"], &body).await?, out)
}

/// Stops everything: through the API, and by the halt file as well where the operator is on this host.
///
/// Works with a token that cannot be read, settings that cannot be parsed and an operator that does
/// not answer. Exits 0 only when the operator itself has confirmed it.
pub(super) async fn halt(
    args: Reason,
    client: Result<Client, Trouble>,
    state_dir: &Path,
    out: &Out,
) -> Result<Exit, Trouble> {
    let reason = args.reason.join(" ");
    let here = client.as_ref().map_or(true, |client| client.place().is_here());
    let body = json!({ "reason": reason });
    let asking = async {
        match &client {
            Ok(client) => client.post::<Reply>(&["halt"], &body).await,
            Err(trouble) => Err(trouble.clone()),
        }
    };
    tokio::pin!(asking);
    let early = tokio::time::timeout(HALT_FILE_AFTER, &mut asking).await;
    let file = if here {
        write_halt_file(state_dir, &reason)
    } else {
        Err(not_here(state_dir))
    };
    let asked = match early {
        Ok(asked) => asked,
        Err(_) => asking.await,
    };
    match (asked, file) {
        (Ok(reply), file) => {
            answer(&reply, out)?;
            if let Err(why) = file {
                mention(&format!(
                    "heartbreak: the halt stands; the halt file was not written as well: {why}"
                ));
            }
            Ok(Exit::Done)
        }
        (Err(trouble), Ok(said)) => Err(Trouble::new(
            trouble.exit,
            format!(
                "{said} An operator that uses this state directory sends no further kill; none has confirmed it.\n\
                 The API said: {}",
                trouble.text
            ),
        )),
        (Err(trouble), Err(why)) => Err(Trouble::new(
            trouble.exit,
            format!(
                "NOT HALTED as far as can be told.\nThe API: {}\nThe halt file: {why}\n\
                 What still works: write any text to {} on the operator's host, or send SIGTERM to the operator.",
                trouble.text,
                state_dir.join("halt").display()
            ),
        )),
    }
}

fn not_here(state_dir: &Path) -> String {
    format!(
        "the operator is on another host; {} here is not its",
        state_dir.join("halt").display()
    )
}

/// Writes the halt file durably. One that is there already stays: it holds the first reason.
fn write_halt_file(state_dir: &Path, reason: &str) -> Result<String, String> {
    let path = state_dir.join("halt");
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut file = match std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)
    {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Ok(format!("The halt file {} was there already.", path.display()));
        }
        Err(error) => return Err(failed(error)),
    };
    file.write_all(format!("{reason}\n").as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(failed)?;
    Ok(format!("The halt file {} is written.", path.display()))
}

/// Prints what came back.
fn answer(reply: &Reply, out: &Out) -> Result<Exit, Trouble> {
    print(&out.say(reply, || show::lists::reply(reply, out))?)?;
    Ok(Exit::Done)
}

#[cfg(test)]
pub(super) mod tests;
