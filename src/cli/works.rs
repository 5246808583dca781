//! What works alone, without a running operator: filled in where everything is wired.
//!
//! The command line parses and prints; what needs the loop, the policies, a journal or the simulator
//! is given to it here as functions, so that it names none of them.

use super::trouble::Trouble;
use crate::exit::Exit;
use crate::model::forecast::Forecast;
use crate::model::past::AppPast;
use crate::model::rehearsal::Rehearsal;
use crate::model::report::{Form, Report};
use crate::model::view::{PlanView, TimelineItem, Why};
use crate::ports::clock::Clock;
use futures_util::future::BoxFuture;
use std::path::PathBuf;
use std::sync::Arc;

/// Work that may take a while.
pub type Work<A, T> = Box<dyn Fn(A) -> BoxFuture<'static, Result<T, Trouble>> + Send + Sync>;

/// Writes a report in a form.
pub type Render = Arc<dyn Fn(&Report, Form) -> Vec<u8> + Send + Sync>;

/// Draws the trend of an app, as SVG or PNG.
pub type RenderTrend = Arc<dyn Fn(&AppPast, Form) -> Vec<u8> + Send + Sync>;

/// Everything that works alone.
pub struct Works {
    /// The time that ages are counted from.
    pub clock: Arc<dyn Clock>,
    /// `run`: the operator, until it is told to stop.
    pub run: Work<RunArgs, ()>,
    /// `check`: what was checked, in lines, when all of it is good; every problem otherwise.
    pub check: Work<CheckArgs, String>,
    /// `plan --snapshot`: the plan that would be made from a file.
    pub plan_snapshot: Work<PlanArgs, PlanView>,
    /// `plan --save-snapshot`: looks at the cluster of the policy, writes what was seen, says what that was.
    pub save_snapshot: Work<PlanArgs, String>,
    /// `why --snapshot`: what the gates would say from a file.
    pub why_snapshot: Work<WhyArgs, Why>,
    /// `timeline --journal`: what a journal tells, read-only.
    pub timeline_journal: Work<TimelineArgs, Vec<TimelineItem>>,
    /// `history --journal`: what a journal tells of an app, read-only.
    pub history_journal: Work<HistoryArgs, AppPast>,
    /// `rehearse`: measures with a policy's probes and kills nothing.
    pub rehearse: Work<RehearseArgs, Rehearsal>,
    /// `forecast`: what the schedules hold.
    pub forecast: Work<ForecastArgs, Forecast>,
    /// `report`: one report in one form.
    pub render: Render,
    /// `history --chart`: the trend of an app, as SVG or PNG.
    pub trend: RenderTrend,
    /// `audit verify`: in a sentence, what was verified.
    pub audit_verify: Work<AuditArgs, String>,
    /// `schema`: JSON Schema of policies, settings or reports.
    pub schema: Box<dyn Fn(Schema) -> Result<String, Trouble> + Send + Sync>,
    /// `demo`.
    pub demo: Work<DemoArgs, Exit>,
    /// `sim`.
    pub sim: Work<SimArgs, Exit>,
}

/// What a schema is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Schema {
    /// A policy file.
    Policy,
    /// The settings file.
    Settings,
    /// A report.
    Report,
}

/// What `run` is given.
#[derive(Clone, Debug)]
pub struct RunArgs {
    /// The settings file.
    pub settings: PathBuf,
}

/// What `check` is given.
#[derive(Clone, Debug)]
pub struct CheckArgs {
    /// The settings file, where it is to be checked too.
    pub settings: Option<PathBuf>,
    /// Policy files and folders.
    pub paths: Vec<PathBuf>,
}

/// What the two snapshot forms of `plan` are given.
#[derive(Clone, Debug)]
pub struct PlanArgs {
    /// A policy's name.
    pub policy: String,
    /// The snapshot to read or to write.
    pub snapshot: PathBuf,
    /// The settings file: limits, and where the policies are.
    pub settings: PathBuf,
}

/// What `why --snapshot` is given.
#[derive(Clone, Debug)]
pub struct WhyArgs {
    /// A policy's name or an app's id.
    pub subject: String,
    /// The snapshot.
    pub snapshot: PathBuf,
    /// The settings file: limits, and where the policies are.
    pub settings: PathBuf,
}

/// What `timeline --journal` is given.
#[derive(Clone, Debug)]
pub struct TimelineArgs {
    /// The journal; read, never written.
    pub journal: PathBuf,
    /// From when; everything when absent.
    pub since: Option<chrono::DateTime<chrono::Utc>>,
    /// Only this app.
    pub app: Option<crate::model::ids::AppId>,
}

/// What `rehearse` is given.
#[derive(Clone)]
pub struct RehearseArgs {
    /// The settings file.
    pub settings: PathBuf,
    /// A policy's name or file.
    pub policy: String,
    /// For how long.
    pub lasts: std::time::Duration,
    /// Whether what is advised is written into the policy's file.
    pub write: bool,
    /// Told how far it is, now and then.
    pub progress: Arc<dyn Fn(&str) + Send + Sync>,
}

/// What `history --journal` is given.
#[derive(Clone, Debug)]
pub struct HistoryArgs {
    /// The journal; read, never written.
    pub journal: PathBuf,
    /// Which app.
    pub app: crate::model::ids::AppId,
}

/// What `forecast` is given.
#[derive(Clone, Debug)]
pub struct ForecastArgs {
    /// The settings file: limits, seed, and where the policies are. `None`: none was named and there is none.
    pub settings: Option<PathBuf>,
    /// Policy files and folders, and names of policies of the settings' folder; all of that folder when empty.
    pub policies: Vec<String>,
    /// First date.
    pub from: chrono::NaiveDate,
    /// Last date.
    pub to: chrono::NaiveDate,
}

/// What `audit verify` is given.
#[derive(Clone, Debug)]
pub struct AuditArgs {
    /// The journal; `journal.db` in the state directory unless named.
    pub journal: PathBuf,
}

/// What `demo` is given.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct DemoArgs {
    /// Press Approve by itself
    #[arg(long)]
    pub yes: bool,
    /// Shorter waits, for pipelines
    #[arg(long)]
    pub fast: bool,
    /// Keep everything up after the story, until Enter
    #[arg(long)]
    pub stay: bool,
}

/// What `sim` is given.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = include_str!("../../tests/sim/src/door.txt"))]
pub struct SimArgs {
    /// Where it listens; further nodes listen on the ports above
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    pub listen: std::net::SocketAddr,
    /// As which Marathon it behaves
    #[arg(
        long = "marathon-version",
        alias = "with",
        default_value = "1.11",
        value_name = "VERSION",
        value_parser = ["1.4", "1.5", "1.6", "1.7", "1.8", "1.9", "1.10", "1.11"]
    )]
    pub version: String,
    /// The agents: how many, or a YAML file that lists them
    ///
    /// A number makes a cluster like the one the simulator was held to: two agents a rack, four a row, two
    /// zones. A file is a list of `- host: NAME`, each with `attributes:` as `mesos-agent --attributes`
    /// takes them ("rack:r1;gen:3;slots:[1-5];disks:{a,b}"), and `region:` with `zone:` for a fault domain.
    /// Tasks go to the region of the first agent unless a constraint names `@region`.
    ///
    /// Without this there are eight, or with --generate one for a hundred tasks.
    #[arg(long, value_name = "FILE|N")]
    pub agents: Option<String>,
    /// Add so many apps with so many tasks each, to be read only: APPSxTASKS, such as 5000x20 (78 MB)
    ///
    /// The same words give the same apps; APPSxTASKS@SEED gives others. Every tenth has the label
    /// `chaos: opt-in`. A kill of their tasks is answered with 200 and finds nobody.
    #[arg(long, value_name = "SIZE")]
    pub generate: Option<String>,
    /// Where the Mesos master listens (`/slaves`); any free port of 127.0.0.1 unless given
    #[arg(long, value_name = "ADDRESS")]
    pub mesos_listen: Option<std::net::SocketAddr>,
    /// How many nodes: the first leads, the others pass on to it
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=9))]
    pub nodes: u16,
    /// An app that runs from the start, with its labels; may be given several times
    ///
    /// Without any, and without --apps, there is /shop/cart:4,team=shop.
    #[arg(long = "app", value_name = "ID:INSTANCES,LABEL=VALUE,…")]
    pub app: Vec<String>,
    /// A file of app definitions as Marathon takes them, one or a list; they are deployed at the start
    #[arg(long, value_name = "FILE")]
    pub apps: Option<PathBuf>,
    /// What its tasks are: processes of this computer that answer on their ports, or only pretended
    #[arg(long, default_value = "pretend", value_enum)]
    pub tasks: TaskKind,
    /// How fast its time passes: real, x2 to x1000, or manual (only by POST /sim/clock)
    #[arg(long, default_value = "real", value_name = "PACE")]
    pub time: String,
    /// How long launches, kills and checks take: quick, or as on a real cluster
    #[arg(long, default_value = "quick", value_enum)]
    pub pace: LifePace,
    /// Ask everybody for these; nobody is asked without
    #[arg(long, value_name = "USER:PASSWORD")]
    pub credentials: Option<String>,
}

/// What the tasks of the pretend Marathon are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum TaskKind {
    /// Only rows in lists.
    Pretend,
    /// Processes of this computer.
    Processes,
}

/// How long things take on the pretend Marathon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LifePace {
    /// A task is replaced in two seconds.
    Quick,
    /// A task is replaced as fast as offers come, and killed in three seconds.
    Real,
}
