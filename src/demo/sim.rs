//! `heartbreak sim`: a pretend Marathon that stays up until Ctrl-C.

use super::{agents, task_command};
use crate::cli::trouble::Trouble;
use crate::cli::works::{LifePace, SimArgs, TaskKind};
use crate::exit::Exit;
use heartbreak_sim::{AppSpec, Clock, Sim, SimConfig, Timings, Version, Watch};
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

/// `heartbreak sim`.
///
/// # Errors
///
/// When something on the command line or in the file of apps is wrong, or when it can't listen. Nothing
/// is started then.
pub async fn run(args: SimArgs) -> Result<Exit, Trouble> {
    let sim = start(&args).await?;
    print!("{}", greeting(&args, &sim));
    let _ = tokio::signal::ctrl_c().await;
    sim.stop().await;
    Ok(Exit::Done)
}

fn usage(what: impl std::fmt::Display) -> Trouble {
    Trouble::new(Exit::Usage, format!("{what}; nothing was started"))
}

async fn start(args: &SimArgs) -> Result<Sim, Trouble> {
    let version: Version = args
        .version
        .parse()
        .map_err(|why| usage(format!("--marathon-version {}: {why}", args.version)))?;
    let pace = args
        .time
        .parse()
        .map_err(|why| usage(format!("--time {}: {why}", args.time)))?;
    let mut apps = Vec::new();
    for text in &args.app {
        apps.push(AppSpec::read(text).map_err(|why| usage(format!("--app {text}: {why}")))?);
    }
    if apps.is_empty() && args.apps.is_none() {
        apps.push(AppSpec::new("/shop/cart", 4).label("team", "shop"));
    }
    if let Some(credentials) = &args.credentials
        && credentials
            .split_once(':')
            .is_none_or(|(user, _)| user.is_empty())
    {
        return Err(usage("--credentials: a user, a colon and a password are needed"));
    }
    let definitions = args.apps.as_deref().map(read).transpose()?;
    let config = SimConfig {
        agents: args.agents.as_deref().map_or(Ok(Vec::new()), agents::read)?,
        generate: args
            .generate
            .as_deref()
            .map(|said| said.parse().map_err(|what| usage(format!("--generate: {what}"))))
            .transpose()?,
        mesos: args.mesos_listen,
        version,
        timings: match args.pace {
            LifePace::Quick => Timings::default(),
            LifePace::Real => Timings::real(version),
        },
        watch: match args.pace {
            LifePace::Quick => Watch::default(),
            LifePace::Real => Watch {
                agent_timeout: Duration::from_secs(75),
                ..Watch::default()
            },
        },
        apps,
        processes: match args.tasks {
            TaskKind::Pretend => None,
            TaskKind::Processes => Some(task_command()?),
        },
        listen: Some(args.listen),
        nodes: args.nodes,
        clock: Clock::new(pace),
        credentials: args.credentials.clone(),
    };
    let sim = Sim::start(config).await.map_err(|error| {
        let last = args.listen.port().saturating_add(args.nodes - 1);
        let more = if args.nodes > 1 {
            format!(" to {last}")
        } else {
            String::new()
        };
        let mesos = args
            .mesos_listen
            .map_or_else(String::new, |mesos| format!(" and {mesos}"));
        Trouble::new(
            Exit::Unreachable,
            format!(
                "can't listen on {}{more}{mesos}: {error}; nothing was started",
                args.listen
            ),
        )
    })?;
    if let (Some(file), Some(definitions)) = (&args.apps, definitions) {
        for definition in definitions {
            if let Err(why) = sim.with(|s| s.deploy(&definition)) {
                sim.stop().await;
                let id = definition["id"].as_str().unwrap_or("without an id").to_owned();
                let text = format!(
                    "--apps {}: app {id}: Marathon says {why}; nothing was started",
                    file.display()
                );
                return Err(Trouble::new(Exit::BadInput, text));
            }
        }
    }
    Ok(sim)
}

/// The definitions in a file: one, a list, or a list under `apps` as `GET /v2/apps` writes it.
fn read(file: &Path) -> Result<Vec<serde_json::Value>, Trouble> {
    let bad = |why: String| {
        Trouble::new(
            Exit::BadInput,
            format!("--apps {}: {why}; nothing was started", file.display()),
        )
    };
    let text = std::fs::read_to_string(file).map_err(|error| bad(format!("can't be read: {error}")))?;
    let all: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| bad(format!("is no JSON: {error}")))?;
    match all {
        serde_json::Value::Array(list) => Ok(list),
        serde_json::Value::Object(mut one) => match one.remove("apps") {
            Some(serde_json::Value::Array(list)) => Ok(list),
            Some(_) => Err(bad("\"apps\" is no list".to_owned())),
            None => Ok(vec![one.into()]),
        },
        _ => Err(bad("has to be an app, or a list of apps".to_owned())),
    }
}

/// What it says when it is up.
fn greeting(args: &SimArgs, sim: &Sim) -> String {
    let mut text = String::new();
    let mut say = |line: String| {
        let _ = writeln!(text, "{line}");
    };
    say(format!("A pretend Marathon {}.", sim.with(|s| s.version_text())));
    for (n, address) in sim.addresses().iter().enumerate() {
        let part = if n == 0 {
            "leads"
        } else {
            "passes on to the leader"
        };
        say(format!("  node {}  http://{address}  {part}", n + 1));
    }
    let apps: Vec<String> = sim.with(|s| {
        s.apps()
            .map(|a| format!("{} ({} tasks)", a.spec.id, a.spec.instances))
            .collect()
    });
    say(match apps.as_slice() {
        [] => "It runs nothing yet: POST an app to /v2/apps.".to_owned(),
        some if some.len() <= 8 => format!("It runs {}.", some.join(", ")),
        many => format!("It runs {} apps.", many.len()),
    });
    if let Some(size) = &args.generate {
        say(format!(
            "Besides, {size} generated apps and tasks, to be read only."
        ));
    }
    say(format!("Its agents:   curl {}/slaves", sim.mesos_url()));
    if args.tasks == TaskKind::Processes {
        say("Its tasks are processes of this computer; they end with it.".to_owned());
    }
    if args.time != "real" {
        say(format!("Its time passes: {}.", args.time));
    }
    let user = if args.credentials.is_some() {
        " -u USER:PASSWORD"
    } else {
        ""
    };
    say(format!(
        "Look at it:   curl{user} '{}/v2/apps?embed=apps.tasks'",
        sim.url()
    ));
    say(format!("Trouble it:   curl {}/sim", sim.url()));
    say("Ctrl-C ends it.".to_owned());
    text
}
