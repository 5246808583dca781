//! The command line: parses, asks, prints, and ends with a code that a script can branch on.
//!
//! Speaks to a running operator over its API and knows nothing of its inside; what works without one
//! is handed in as [`Works`]. Rendering is pure and in [`show`].

mod act;
mod alone;
pub mod client;
mod look;
pub mod place;
mod rehearse;
pub mod show;
pub mod trouble;
pub mod works;

pub use trouble::Trouble;
pub use works::Works;

use crate::exit::{self, Exit};
use crate::telemetry::{self, LogForm};
use clap::builder::styling::Styles;
use clap::{Args, CommandFactory, Parser, Subcommand};
use client::Client;
use show::{Out, Pen};
use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;

/// Safety-gated chaos for Mesos and Marathon.
///
/// Teams declare what may be broken, when, how much and with whose approval; Heartbreak breaks no more
/// than that, stops at once when the steady state degrades, and says what it taught.
#[derive(Debug, Parser)]
#[command(name = "heartbreak", version, max_term_width = 100, after_help = exit::table())]
#[command(styles = Styles::plain(), disable_help_subcommand = true, arg_required_else_help = true)]
pub struct Cli {
    /// How to print
    #[arg(short, long, global = true, value_enum, default_value = "table")]
    output: show::Format,
    /// How log lines look; json when stderr is not a terminal
    #[arg(long, global = true, value_enum, env = "HEARTBREAK_LOG", value_name = "FORM")]
    log: Option<LogForm>,
    // Last of the options, so that its heading covers nothing else.
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Command,
}

/// Where the operator is.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Where the operator is")]
pub struct Connection {
    /// The operator's address
    #[arg(
        long,
        global = true,
        env = "HEARTBREAK_URL",
        default_value = "http://127.0.0.1:9480"
    )]
    pub url: String,
    /// The file with the API token; on the operator's own host its token is used by itself
    #[arg(long, global = true, env = "HEARTBREAK_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The settings file
    ///
    /// /etc/heartbreak/heartbreak.yaml, unless said otherwise.
    #[arg(long, global = true, env = "HEARTBREAK_SETTINGS", value_name = "FILE")]
    pub settings: Option<PathBuf>,
}

impl Connection {
    /// The settings file that was named, or where it is by default.
    pub fn settings_file(&self) -> PathBuf {
        self.settings
            .clone()
            .unwrap_or_else(|| PathBuf::from(place::SETTINGS_DEFAULT))
    }
}

/// What can be asked. Those that need a running operator come first.
#[derive(Debug, Subcommand)]
enum Command {
    /// How is everything?
    Status,
    /// List policies, runs or what waits for approval
    Get(look::Get),
    /// One run, whole
    Describe(look::Describe),
    /// What would be done now, and would the gates let it? Changes nothing
    Plan(look::Plan),
    /// Why did nothing happen, or would it?
    Why(look::Why),
    /// Was it us? Yes, no, perhaps or cannot tell
    WasItYou(look::WasItYou),
    /// What did we do, since when?
    Timeline(look::Timeline),
    /// What have the experiments on an app taught? Score, lower bound and number
    History(look::History),
    /// One run's report
    Report(look::Report),
    /// Ask for a run now; it starts only if every gate says yes
    Start(act::Start),
    /// Say yes to exactly one plan
    Approve(act::Approve),
    /// Say no to a plan
    Deny(act::Deny),
    /// End one run early, or all of them
    Abort(act::Abort),
    /// Stop everything until a person resumes; works without the operator too
    Halt(act::Reason),
    /// Lift the halt
    Resume(act::Reason),
    /// Free a charge that only a person can judge
    Clear(act::Clear),
    /// Start the operator
    Run,
    /// Check policies and settings; says every problem at once
    Check(alone::Check),
    /// Measure a live app with a policy's probes, and kill nothing: what a new team runs first
    Rehearse(rehearse::Rehearse),
    /// The calendar: when runs will begin, and how many kills each month is to have
    Forecast(alone::Forecast),
    /// Watch it at work on this machine, with a pretend cluster
    Demo(works::DemoArgs),
    /// The pretend Marathon alone
    Sim(works::SimArgs),
    /// Verify the journal
    Audit(alone::Audit),
    /// Print a JSON Schema
    Schema(alone::Schema),
    /// Print completions for a shell
    Completions(alone::Completions),
}

/// Parses, does, prints.
///
/// Errors are printed here and nowhere else, to stderr, with what to do.
pub async fn main(args: impl IntoIterator<Item = OsString>, works: &Works) -> Exit {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return refuse_usage(&error),
    };
    let terminal = std::io::stderr().is_terminal();
    if matches!(cli.command, Command::Run | Command::Sim(_)) {
        telemetry::init(LogForm::choose(cli.log, terminal));
    }
    let mut out = Out {
        format: cli.output,
        pen: Pen::of_stdout(),
        now: works.clock.now(),
    };
    match dispatch(cli, works, &mut out).await {
        Ok(exit) => exit,
        Err(trouble) => {
            for line in show::clean_lines(&trouble.text) {
                mention(&format!("heartbreak: {line}"));
            }
            trouble.exit
        }
    }
}

/// Prints clap's answer; help and version are no errors, and clap's own 2 would read as a verdict.
fn refuse_usage(error: &clap::Error) -> Exit {
    // Nowhere to say so when the terminal is gone.
    let _ = error.print();
    if error.use_stderr() {
        Exit::Usage
    } else {
        Exit::Done
    }
}

async fn dispatch(cli: Cli, works: &Works, out: &mut Out) -> Result<Exit, Trouble> {
    let Cli {
        connection,
        command,
        output: _,
        log: _,
    } = cli;
    let client = || -> Result<Client, Trouble> {
        let user = std::env::var("SUDO_USER").or_else(|_| std::env::var("USER")).ok();
        Client::new(place::find(&connection, user)?)
    };
    match command {
        Command::Status => look::status(&client()?, out).await,
        Command::Get(args) => look::get(args, &client()?, works, out).await,
        Command::Describe(args) => look::describe(args, &client()?, out).await,
        Command::Plan(args) => look::plan(args, client, &connection, works, out).await,
        Command::Why(args) => look::why(args, client, &connection, works, out).await,
        Command::WasItYou(args) => look::was_it_you(args, &client()?, out).await,
        Command::Timeline(args) => look::timeline(args, client, works, out).await,
        Command::History(args) => look::history(args, client, works, out).await,
        Command::Report(args) => look::report(args, client, works).await,
        Command::Start(args) => act::start(args, &client()?, works, out).await,
        Command::Approve(args) => act::approve(args, &client()?, out).await,
        Command::Deny(args) => act::deny(args, &client()?, out).await,
        Command::Abort(args) => act::abort(args, &client()?, out).await,
        Command::Halt(args) => {
            act::halt(
                args,
                client(),
                &place::state_dir(&connection.settings_file()),
                out,
            )
            .await
        }
        Command::Resume(args) => act::resume(args, &client()?, out).await,
        Command::Clear(args) => act::clear(args, &client()?, out).await,
        Command::Run => (works.run)(works::RunArgs {
            settings: connection.settings_file(),
        })
        .await
        .map(|()| Exit::Done),
        Command::Check(args) => alone::check(args, &connection, works).await,
        Command::Rehearse(args) => rehearse::rehearse(args, &connection, works, out).await,
        Command::Forecast(args) => alone::forecast(args, &connection, works, out).await,
        Command::Demo(args) => (works.demo)(args).await,
        Command::Sim(args) => (works.sim)(args).await,
        Command::Audit(args) => alone::audit(args, &connection, works).await,
        Command::Schema(args) => alone::schema(args, works),
        Command::Completions(args) => alone::completions(args, Cli::command()),
    }
}

/// Writes a line to stderr. Whoever reads there may have left: that is no reason to end differently.
fn mention(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Prints to stdout. A reader that has gone away (`| head`) ends us quietly.
fn print(text: &str) -> Result<(), Trouble> {
    if text.ends_with('\n') {
        print_bytes(text.as_bytes())
    } else {
        print_bytes(format!("{text}\n").as_bytes())
    }
}

/// Prints to stdout as it is.
fn print_bytes(bytes: &[u8]) -> Result<(), Trouble> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Trouble::new(Exit::State, format!("could not print: {error}"))),
    }
}

#[cfg(test)]
mod journey;
#[cfg(test)]
mod tests;
