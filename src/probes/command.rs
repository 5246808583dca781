//! A program that the settings allow.
//!
//! Exit code 0 is good, 1 is bad, anything else is blind: a program that could not be started, was
//! killed or crashed has measured nothing. What it prints may be one JSON number.
//!
//! # Guarantees
//!
//! - Only an argv that stands in `probes.allowCommands`, word for word.
//! - No shell, nothing of the operator's environment, nothing on its standard input.
//! - Its own process group, which is killed at the timeout and whenever nobody waits any more.
//! - At most 4 KiB of its output are read.
//!
//! # Caveats
//!
//! A program that leaves its process group is out of reach. It runs as the operator's user.

use super::wire::excerpt;
use super::{Memory, number};
use crate::model::experiment::{Detail, Reading, ValueRule};
use rustix::process::{Pid, Signal, kill_process_group};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::{Instant, timeout_at};

/// How much of what a program prints is read.
const MOST_OUTPUT: u64 = 4 * 1024;

/// Takes one sample.
pub(super) async fn take(
    allowed: &[Vec<String>],
    argv: &[String],
    rule: Option<&ValueRule>,
    timeout: Duration,
    memory: &mut Memory,
) -> Reading {
    if !allowed.iter().any(|allowed| allowed == argv) {
        return Reading::blind(format!(
            "the command {argv:?} is not in probes.allowCommands of the settings, so it was not run"
        ));
    }
    match run(argv, timeout).await {
        Ok((status, printed)) => judge(status, &printed, rule, memory),
        Err(why) => Reading::blind(why),
    }
}

/// Kills a process group when it goes out of scope.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // Gone already: nothing is left to kill.
            kill_process_group(pid, Signal::KILL).ok();
        }
    }
}

async fn run(argv: &[String], timeout: Duration) -> Result<(ExitStatus, String), String> {
    let deadline = Instant::now() + timeout;
    let (program, words) = argv.split_first().ok_or("the command is empty")?;
    let mut child = Command::new(program)
        .args(words)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("LC_ALL", "C")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("{program} could not be started: {error}"))?;
    let id = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw);
    let mut group = Group(id);
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let ended = timeout_at(deadline, async {
        let (out, err) = tokio::join!(capped(out), capped(err));
        (out, err, child.wait().await)
    })
    .await;
    let Ok((out, err, status)) = ended else {
        return Err(format!(
            "{program} did not end within {} s and was killed",
            timeout.as_secs_f64()
        ));
    };
    let status = status.map_err(|error| format!("how {program} ended is not known: {error}"))?;
    // Its leader is gone, and its number may soon be another's; whoever it left behind closed the pipes.
    group.0 = None;
    let (out, err) = (out?, err?);
    match status.code() {
        Some(0 | 1) => Ok((status, out)),
        Some(code) => Err(format!(
            "{program} ended with {code}, which is neither good (0) nor bad (1){}",
            said(&err)
        )),
        None => Err(format!(
            "{program} was ended by a signal ({status}){}",
            said(&err)
        )),
    }
}

fn said(err: &str) -> String {
    match excerpt(err) {
        said if said.is_empty() => String::new(),
        said => format!(": {said}"),
    }
}

/// All that a program prints, if it is little. One that prints more is not read on: its pipe fills, or
/// breaks.
async fn capped(pipe: Option<impl AsyncRead + Unpin>) -> Result<String, String> {
    let Some(pipe) = pipe else {
        return Ok(String::new());
    };
    let mut read = vec![];
    pipe.take(MOST_OUTPUT + 1)
        .read_to_end(&mut read)
        .await
        .map_err(|error| format!("the output could not be read: {error}"))?;
    if read.len() as u64 > MOST_OUTPUT {
        return Err("the command printed more than 4 KiB".into());
    }
    Ok(String::from_utf8_lossy(&read).into_owned())
}

fn judge(status: ExitStatus, printed: &str, rule: Option<&ValueRule>, memory: &mut Memory) -> Reading {
    let ended_badly = status.code() != Some(0);
    let printed = printed.trim();
    let value: Option<f64> = match (printed.is_empty(), serde_json::from_str(printed)) {
        (true, _) => None,
        (false, Ok(value)) => Some(value),
        (false, Err(_)) if rule.is_none() => None,
        (false, Err(_)) => {
            return Reading::blind(format!("the command printed no number: {}", excerpt(printed)));
        }
    };
    match (value, rule) {
        (Some(value), Some(rule)) if !ended_badly => number::judge(value, Some(rule), None, memory),
        (None, Some(_)) if !ended_badly => Reading::blind("the command printed no number to judge"),
        (value, _) => Reading::Seen {
            observed: 1,
            bad: u32::from(ended_badly),
            slowest_ms: None,
            detail: value.map(|value| {
                Box::new(Detail {
                    value: Some(value),
                    ..Detail::default()
                })
            }),
        },
    }
}
#[cfg(test)]
mod tests;
