//! Commands that need no running operator: check, forecast, audit, schema, completions.

use super::show::{self, Format, Out};
use super::works::{self, AuditArgs, CheckArgs, ForecastArgs, Works};
use super::{Connection, Trouble, place, print};
use crate::exit::Exit;
use chrono::{Days, NaiveDate};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// What the options do not say. An `Args` can't say it in its own comment: that of the command stands in its place.
const FORECAST_HELP: &str = "\
Needs no operator. Expected numbers come from the policies alone; the moments are drawn from the \
installation's seed, so they are shown only where it can be read: on the operator's host.

Besides the formats above:
  -o csv  for spreadsheets: one line a moment, or one a month without the seed
  -o ics  for calendars: the moments at which runs will begin";

/// `check`.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// Policy files and folders; without any, the settings and the policies that they name
    paths: Vec<PathBuf>,
}

/// `forecast`.
#[derive(Debug, Args)]
#[command(after_help = FORECAST_HELP)]
pub(super) struct Forecast {
    /// First date; today, unless said otherwise
    #[arg(long, value_name = "DATE")]
    from: Option<NaiveDate>,
    /// Last date; 30 days after the first, unless said otherwise
    #[arg(long, value_name = "DATE")]
    to: Option<NaiveDate>,
    /// Only this policy: a name, a file or a folder; may be repeated
    #[arg(long = "policy", value_name = "POLICY")]
    policies: Vec<String>,
}

/// `audit`.
#[derive(Debug, Args)]
pub(super) struct Audit {
    #[command(subcommand)]
    what: AuditWhat,
}

#[derive(Debug, Subcommand)]
enum AuditWhat {
    /// Check the journal's chain of hashes; reads, never writes
    Verify {
        /// The journal; journal.db in the state directory, unless said otherwise
        #[arg(long, value_name = "FILE")]
        journal: Option<PathBuf>,
    },
}

/// `schema`.
#[derive(Debug, Args)]
pub(super) struct Schema {
    /// Of what
    #[arg(value_enum, default_value = "policy")]
    of: works::Schema,
}

/// `completions`.
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// For which shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

pub(super) async fn check(args: Check, connection: &Connection, works: &Works) -> Result<Exit, Trouble> {
    // Settings that were named are checked too; with nothing named at all, the default ones are.
    let settings = match (&connection.settings, args.paths.is_empty()) {
        (None, false) => None,
        (None, true) | (Some(_), _) => Some(connection.settings_file()),
    };
    print(
        &(works.check)(CheckArgs {
            settings,
            paths: args.paths,
        })
        .await?,
    )?;
    Ok(Exit::Done)
}

pub(super) async fn forecast(
    args: Forecast,
    connection: &Connection,
    works: &Works,
    out: &Out,
) -> Result<Exit, Trouble> {
    let Forecast { from, to, policies } = args;
    let from = from.unwrap_or_else(|| out.now.date_naive());
    let to = to.unwrap_or_else(|| from.checked_add_days(Days::new(30)).unwrap_or(from));
    let settings = connection.settings_file();
    // Files that were named need no settings: a policy can be looked at before there is an operator.
    let needed = connection.settings.is_some() || policies.is_empty();
    let ahead = (works.forecast)(ForecastArgs {
        settings: (needed || settings.exists()).then_some(settings),
        policies,
        from,
        to,
    })
    .await?;
    print(&match out.format {
        Format::Csv => show::forecast::csv(&ahead),
        Format::Ics => show::forecast::ics(&ahead, out.now),
        _ => out.say(&ahead, || show::forecast::forecast(&ahead, out))?,
    })?;
    Ok(Exit::Done)
}

pub(super) async fn audit(args: Audit, connection: &Connection, works: &Works) -> Result<Exit, Trouble> {
    let AuditWhat::Verify { journal } = args.what;
    let journal = journal.unwrap_or_else(|| place::state_dir(&connection.settings_file()).join("journal.db"));
    print(&(works.audit_verify)(AuditArgs { journal }).await?)?;
    Ok(Exit::Done)
}

pub(super) fn schema(args: Schema, works: &Works) -> Result<Exit, Trouble> {
    print(&(works.schema)(args.of)?)?;
    Ok(Exit::Done)
}

pub(super) fn completions(args: Completions, mut command: clap::Command) -> Result<Exit, Trouble> {
    let mut script = vec![];
    clap_complete::generate(args.shell, &mut command, "heartbreak", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
