//! Commands that look and change nothing.

use super::client::Client;
use super::show::{self, Out};
use super::works::{HistoryArgs, PlanArgs, TimelineArgs, WhyArgs, Works};
use super::{Connection, Trouble, print, print_bytes};
use crate::exit::Exit;
use crate::model::ids::AppId;
use crate::model::past::AppPast;
use crate::model::report::{Form, Report as RunReport};
use crate::model::view::{
    PlanView, PolicyView, RunView, Status, TimelineItem, WasItYou as Was, Why as WhyView,
};
use chrono::{DateTime, TimeDelta, Utc};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand, ValueEnum};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often `--watch` asks: a person reads no faster, and the operator stays idle.
const WATCH_EVERY: Duration = Duration::from_secs(2);

/// `get`.
#[derive(Debug, Args)]
pub(super) struct Get {
    /// What
    #[arg(value_enum)]
    what: Listed,
    /// Ask again every two seconds and print what changed; ends with Ctrl-C
    #[arg(short, long)]
    watch: bool,
    /// At most this many runs, newest first
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=500), value_name = "N")]
    most: u16,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Listed {
    /// Policies, how they are and what is in their way
    #[value(alias = "policy")]
    Policies,
    /// Runs, newest first
    #[value(alias = "run")]
    Runs,
    /// Runs that wait for approval
    #[value(alias = "approval")]
    Approvals,
}

/// `describe`.
#[derive(Debug, Args)]
pub(super) struct Describe {
    #[command(subcommand)]
    what: Described,
}

#[derive(Debug, Subcommand)]
enum Described {
    /// A run: its plan, who approved it, every kill, the gates, the verdict
    Run {
        /// Its id, like r-7Q2MK4XN
        run: String,
    },
}

/// `plan`.
#[derive(Debug, Args)]
pub(super) struct Plan {
    /// A policy's name
    policy: String,
    /// Plan from this file instead of the live cluster; needs no operator
    #[arg(long, value_name = "FILE")]
    snapshot: Option<PathBuf>,
    /// Look at the cluster, write what was seen to this file, plan nothing; needs no operator
    #[arg(long, value_name = "FILE", conflicts_with = "snapshot")]
    save_snapshot: Option<PathBuf>,
}

/// `why`.
#[derive(Debug, Args)]
pub(super) struct Why {
    /// A policy's name or an app's id
    subject: String,
    /// Answer from this file instead of the live cluster; needs no operator
    #[arg(long, value_name = "FILE")]
    snapshot: Option<PathBuf>,
}

/// `was-it-you`.
#[derive(Debug, Args)]
pub(super) struct WasItYou {
    /// An app, a host or a task; everything without
    subject: Option<String>,
}

/// `timeline`.
#[derive(Debug, Args)]
pub(super) struct Timeline {
    /// How far back: 30m, 2h, 7d, or a time like 2026-11-23T14:03:00Z
    #[arg(long, default_value = "24h", value_name = "WHEN")]
    since: String,
    /// Only this app
    #[arg(long)]
    app: Option<String>,
    /// Read this journal instead of asking the operator; reads, never writes
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
}

/// `history`.
#[derive(Debug, Args)]
pub(super) struct History {
    /// The app's id
    app: String,
    /// Read this journal instead of asking the operator; reads, never writes
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// Draw the trend into this file too: .svg or .png
    #[arg(long, value_name = "FILE")]
    chart: Option<PathBuf>,
}

/// `report`.
#[derive(Debug, Args)]
pub(super) struct Report {
    /// A run's id
    #[arg(required_unless_present = "from", conflicts_with = "from")]
    run: Option<String>,
    /// Render this record (a report.json) instead; needs no operator
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// In which form; png is the chart as a picture and wants --to
    #[arg(
        long,
        alias = "form",
        default_value = "md",
        value_parser = PossibleValuesParser::new(Form::ALL.map(Form::word))
            .map(|word| Form::of_word(&word).expect("every possible value is a form's word"))
    )]
    format: Form,
    /// Write it to this file instead of printing it
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

pub(super) async fn status(client: &Client, out: &Out) -> Result<Exit, Trouble> {
    let status: Status = client.get(&["status"], &[]).await?;
    print(&out.say(&status, || show::lists::status(&status, out))?)?;
    Ok(Exit::Done)
}

pub(super) async fn get(args: Get, client: &Client, works: &Works, out: &mut Out) -> Result<Exit, Trouble> {
    let most = args.most.to_string();
    let mut last = String::new();
    loop {
        out.now = works.clock.now();
        let (data, text) = match args.what {
            Listed::Policies => {
                let policies: Vec<PolicyView> = client.get(&["policies"], &[]).await?;
                (out.data(&policies)?, show::lists::policies(&policies, out))
            }
            Listed::Runs => {
                let runs: Vec<RunView> = client.get(&["runs"], &[("most", &most)]).await?;
                (out.data(&runs)?, show::lists::runs(&runs, out))
            }
            Listed::Approvals => {
                let runs: Vec<RunView> = client.get(&["approvals"], &[]).await?;
                (out.data(&runs)?, show::lists::runs(&runs, out))
            }
        };
        let text = data.unwrap_or(text);
        if text != last {
            print(&text)?;
        }
        if !args.watch {
            return Ok(Exit::Done);
        }
        last = text;
        works.clock.sleep(WATCH_EVERY).await;
    }
}

pub(super) async fn describe(args: Describe, client: &Client, out: &Out) -> Result<Exit, Trouble> {
    let Described::Run { run } = args.what;
    let view: RunView = client.get(&["runs", &run], &[]).await?;
    print(&out.say(&view, || show::run::describe(&view, out))?)?;
    Ok(Exit::Done)
}

pub(super) async fn plan(
    args: Plan,
    client: impl Fn() -> Result<Client, Trouble>,
    connection: &Connection,
    works: &Works,
    out: &Out,
) -> Result<Exit, Trouble> {
    let settings = connection.settings_file();
    let Plan {
        policy,
        snapshot,
        save_snapshot,
    } = args;
    if let Some(snapshot) = save_snapshot {
        print(
            &(works.save_snapshot)(PlanArgs {
                policy,
                snapshot,
                settings,
            })
            .await?,
        )?;
        return Ok(Exit::Done);
    }
    let view: PlanView = match snapshot {
        Some(snapshot) => {
            (works.plan_snapshot)(PlanArgs {
                policy,
                snapshot,
                settings,
            })
            .await?
        }
        None => client()?.get(&["policies", &policy, "plan"], &[]).await?,
    };
    print(&out.say(&view, || show::plan::plan(&view, out))?)?;
    Ok(Exit::Done)
}

pub(super) async fn why(
    args: Why,
    client: impl Fn() -> Result<Client, Trouble>,
    connection: &Connection,
    works: &Works,
    out: &Out,
) -> Result<Exit, Trouble> {
    let Why { subject, snapshot } = args;
    let view: WhyView = match snapshot {
        Some(snapshot) => {
            (works.why_snapshot)(WhyArgs {
                subject,
                snapshot,
                settings: connection.settings_file(),
            })
            .await?
        }
        None => client()?.get(&["why"], &[("subject", &subject)]).await?,
    };
    print(&out.say(&view, || show::why::why(&view, out))?)?;
    Ok(Exit::Done)
}

pub(super) async fn was_it_you(args: WasItYou, client: &Client, out: &Out) -> Result<Exit, Trouble> {
    let query: Vec<(&str, &str)> = args.subject.iter().map(|s| ("subject", s.as_str())).collect();
    let answer: Was = client.get(&["was-it-you"], &query).await?;
    print(&out.say(&answer, || show::why::was_it_you(&answer, out))?)?;
    Ok(Exit::Done)
}

pub(super) async fn timeline(
    args: Timeline,
    client: impl Fn() -> Result<Client, Trouble>,
    works: &Works,
    out: &Out,
) -> Result<Exit, Trouble> {
    let Timeline { since, app, journal } = args;
    let items: Vec<TimelineItem> = match journal {
        Some(journal) => {
            let since = Some(when(&since, out.now)?);
            let app = app
                .map(|a| AppId::parse(&a).map_err(|why| Trouble::new(Exit::Usage, why)))
                .transpose()?;
            (works.timeline_journal)(TimelineArgs { journal, since, app }).await?
        }
        None => {
            let mut query = vec![("since", since.as_str())];
            query.extend(app.iter().map(|app| ("app", app.as_str())));
            client()?.get(&["timeline"], &query).await?
        }
    };
    print(&out.say(&items, || show::why::timeline(&items, out))?)?;
    Ok(Exit::Done)
}

/// An RFC 3339 time, or how long before `now`.
fn when(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, Trouble> {
    let ago = || {
        let unit = match text.chars().last()? {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return None,
        };
        let number: i64 = text[..text.len() - 1]
            .parse()
            .ok()
            .filter(|n| (0..=1_000_000).contains(n))?;
        now.checked_sub_signed(TimeDelta::seconds(number * unit))
    };
    DateTime::parse_from_rfc3339(text)
        .ok()
        .map(|at| at.to_utc())
        .or_else(ago)
        .ok_or_else(|| {
            Trouble::new(
                Exit::Usage,
                format!(
                    "--since {text:?} is neither a time like 2026-11-23T14:03:00Z nor how long ago, like 30m"
                ),
            )
        })
}

pub(super) async fn history(
    args: History,
    client: impl Fn() -> Result<Client, Trouble>,
    works: &Works,
    out: &Out,
) -> Result<Exit, Trouble> {
    let History { app, journal, chart } = args;
    let chart = chart.map(|file| chart_form(&file).map(|form| (file, form)));
    let chart = chart.transpose()?;
    let app = AppId::parse(&app).map_err(|why| Trouble::new(Exit::Usage, why))?;
    let past: AppPast = match journal {
        Some(journal) => (works.history_journal)(HistoryArgs { journal, app }).await?,
        None => client()?.get(&["history"], &[("app", app.as_str())]).await?,
    };
    if let Some((file, form)) = chart {
        std::fs::write(&file, (works.trend)(&past, form))
            .map_err(|e| Trouble::new(Exit::State, format!("could not write {}: {e}", file.display())))?;
    }
    print(&out.say(&past, || show::past::past(&past, out))?)?;
    Ok(Exit::Done)
}

/// The form of a chart, by how its file ends.
fn chart_form(file: &Path) -> Result<Form, Trouble> {
    match file.extension().and_then(|e| e.to_str()) {
        Some("svg") => Ok(Form::Svg),
        Some("png") => Ok(Form::Png),
        _ => Err(Trouble::new(
            Exit::Usage,
            format!(
                "a chart is .svg or .png, and {} is neither; nothing was written",
                file.display()
            ),
        )),
    }
}

pub(super) async fn report(
    args: Report,
    client: impl Fn() -> Result<Client, Trouble>,
    works: &Works,
) -> Result<Exit, Trouble> {
    let Report {
        run,
        from,
        format: form,
        to,
    } = args;
    if to.is_none() && !form.is_text() && std::io::stdout().is_terminal() {
        let why = format!(
            "a {} is not text: say --to FILE, or send it on with a pipe; nothing was written",
            form.word()
        );
        return Err(Trouble::new(Exit::Usage, why));
    }
    let bytes = match (run, from) {
        (_, Some(file)) => {
            let report = read_report(&file)?;
            (works.render)(&report, form)
        }
        (Some(run), None) => client()?.get_bytes(&["runs", &run, form.route()], &[]).await?,
        (None, None) => return Err(Trouble::new(Exit::Usage, "say which run, or --from FILE")),
    };
    match to {
        None => print_bytes(&bytes)?,
        Some(file) => std::fs::write(&file, bytes)
            .map_err(|e| Trouble::new(Exit::State, format!("could not write {}: {e}", file.display())))?,
    }
    Ok(Exit::Done)
}

fn read_report(file: &Path) -> Result<RunReport, Trouble> {
    let bad = |why: String| {
        Trouble::new(
            Exit::BadInput,
            format!("{} is no report of ours: {why}", file.display()),
        )
    };
    let text = std::fs::read_to_string(file).map_err(|e| bad(e.to_string()))?;
    let report: RunReport = serde_json::from_str(&text).map_err(|e| bad(e.to_string()))?;
    if report.schema != crate::model::report::SCHEMA {
        return Err(bad(format!(
            "its schema is {:?}, wanted is {:?}",
            report.schema,
            crate::model::report::SCHEMA
        )));
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_is_drawn_as_its_file_ends() {
        assert_eq!(chart_form(Path::new("a.svg")).ok(), Some(Form::Svg));
        assert_eq!(chart_form(Path::new("a.b.png")).ok(), Some(Form::Png));
        for file in ["a.pdf", "svg", ""] {
            let trouble = chart_form(Path::new(file)).unwrap_err();
            assert_eq!(trouble.exit, Exit::Usage);
            assert!(trouble.text.ends_with("nothing was written"), "{}", trouble.text);
        }
    }

    #[test]
    fn since_is_a_time_or_how_long_ago() {
        let now = DateTime::from_timestamp(1_795_442_400, 0).unwrap();
        assert_eq!(when("30m", now).unwrap(), now - TimeDelta::minutes(30));
        assert_eq!(
            when("2026-11-23T14:00:00+01:00", now).unwrap().to_rfc3339(),
            "2026-11-23T13:00:00+00:00"
        );
        for bad in ["", "30", "m", "-3m", "ä", "3ä", "9999999999d"] {
            assert_eq!(when(bad, now).unwrap_err().exit, Exit::Usage, "{bad:?}");
        }
    }

    #[test]
    fn a_file_that_is_no_report_is_refused_with_its_name() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "{}").unwrap();
        let trouble = read_report(file.path()).unwrap_err();
        assert_eq!(trouble.exit, Exit::BadInput);
        assert!(trouble.text.contains(file.path().to_str().unwrap()), "{trouble}");
    }
}
