//! `rehearse`: prints as it goes to stderr, and what was found to stdout.

use super::show::{self, Out};
use super::works::{RehearseArgs, Works};
use super::{Connection, Trouble, mention, print};
use crate::exit::Exit;
use clap::Args;
use std::sync::Arc;
use std::time::Duration;

/// What the options do not say.
const HELP: &str = "\
Asks the policy's probes about the live app, makes sham kills only, and says what was measured: the noise, the \
evidence that it makes, the limit, interval and latency line that fit, and how fast an abort would be. Nothing is \
killed and nothing in the cluster is changed. Needs settings and no running operator. Ctrl-C ends it early and prints \
what was measured until then.";

/// `rehearse`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct Rehearse {
    /// A policy's name, or its file
    policy: String,
    /// For how long: 30s, 10m, 2h
    #[arg(long = "for", value_name = "TIME", default_value = "10m", value_parser = lasting)]
    lasts: Duration,
    /// Write what is advised into the policy's file; a copy of it as it was stays beside it
    #[arg(long)]
    write: bool,
}

pub(super) async fn rehearse(
    args: Rehearse,
    connection: &Connection,
    works: &Works,
    out: &Out,
) -> Result<Exit, Trouble> {
    let Rehearse { policy, lasts, write } = args;
    let rehearsal = (works.rehearse)(RehearseArgs {
        settings: connection.settings_file(),
        policy,
        lasts,
        write,
        progress: Arc::new(|word| mention(&show::clean(word))),
    })
    .await?;
    print(&out.say(&rehearsal, || show::rehearsal::rehearsal(&rehearsal, out))?)?;
    Ok(Exit::Done)
}

/// `30s`, `10m`, `2h`; up to a day.
fn lasting(text: &str) -> Result<Duration, String> {
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3_600,
        _ => 0,
    };
    let number = text
        .get(..text.len().saturating_sub(1))
        .and_then(|number| number.parse::<u64>().ok());
    match number.and_then(|number| number.checked_mul(unit)) {
        Some(seconds) if (1..=86_400).contains(&seconds) => Ok(Duration::from_secs(seconds)),
        _ => Err("write a time such as 30s, 10m or 2h, at most a day".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit_and_an_end() {
        assert_eq!(lasting("10m"), Ok(Duration::from_secs(600)));
        for bad in [
            "",
            "m",
            "10",
            "0s",
            "-1m",
            "25h",
            "1d",
            "5ä",
            "99999999999999999999h",
        ] {
            assert!(lasting(bad).is_err(), "{bad:?}");
        }
    }
}
