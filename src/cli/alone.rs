//! Commands that need no running operator: check, audit, schema, completions.

use super::works::{self, AuditArgs, CheckArgs, Works};
use super::{Connection, Trouble, place, print};
use crate::exit::Exit;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `check`.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// Policy files and folders; without any, the settings and the policies that they name
    paths: Vec<PathBuf>,
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
