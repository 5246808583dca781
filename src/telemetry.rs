//! Log format, and the name of every metric in one place.
//!
//! Other rooms write `metrics::counter!("heartbreak_…")` with the name in full, so that it can be
//! searched for; a test below holds every such name against [`METRICS`].

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use std::time::Duration;
use tracing::Level;
use tracing_subscriber::filter::{EnvFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogForm {
    /// One JSON object a line, for machines.
    Json,
    /// For people.
    Text,
}

impl LogForm {
    /// What was asked for; otherwise text on a terminal and JSON everywhere else.
    pub fn choose(asked: Option<Self>, terminal: bool) -> Self {
        asked.unwrap_or(if terminal { Self::Text } else { Self::Json })
    }
}

/// What is logged when `$RUST_LOG` says nothing.
const DEFAULT_FILTER: &str = "info,hyper=warn,hyper_util=warn,reqwest=warn,h2=warn,rustls=warn,sqlx=warn";

/// Crates that print headers and bodies, hence secrets, below `INFO`: `$RUST_LOG` cannot get at those.
const NEVER_BELOW_INFO: &[&str] = &[
    "hyper",
    "hyper_util",
    "h2",
    "reqwest",
    "rustls",
    "slack_morphism",
    "tower_http",
];

/// Whether a line of this crate and level may be printed at all.
fn printable(target: &str, level: Level) -> bool {
    let root = target.split("::").next().unwrap_or(target);
    level <= Level::INFO || !NEVER_BELOW_INFO.contains(&root)
}

/// Starts logging to stderr. A second call changes nothing: the first subscriber stays.
pub fn init(form: LogForm) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let safe = filter_fn(|meta| printable(meta.target(), *meta.level()));
    let lines = match form {
        LogForm::Json => fmt::layer()
            .json()
            .flatten_event(true)
            .with_writer(std::io::stderr)
            .boxed(),
        LogForm::Text => fmt::layer()
            .with_writer(std::io::stderr)
            .with_target(false)
            .boxed(),
    };
    // Fails only when somebody logs already, as in tests.
    let _ = tracing_subscriber::registry()
        .with(filter)
        .with(lines.with_filter(safe))
        .try_init();
}

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution, in seconds.
    Histogram,
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// In full.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// The labels it carries, each from a closed set.
    pub labels: &'static [&'static str],
    /// What it says, for `# HELP`.
    pub help: &'static str,
}

const fn metric(
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric {
        name,
        kind,
        labels,
        help,
    }
}

/// Every metric there is. App ids are never labels, but for the bounded `app_disturbed`.
pub const METRICS: &[Metric] = &[
    metric(
        "heartbreak_passes_total",
        Kind::Counter,
        &[],
        "Turns of the loop.",
    ),
    metric(
        "heartbreak_gate_answers_total",
        Kind::Counter,
        &["gate", "answer"],
        "Answers of each gate: pass, refuse, unknown.",
    ),
    metric(
        "heartbreak_kills_total",
        Kind::Counter,
        &["outcome"],
        "Kill requests by what became of them.",
    ),
    metric(
        "heartbreak_charged",
        Kind::Gauge,
        &[],
        "Kills that still count as a task down because of us.",
    ),
    metric("heartbreak_runs", Kind::Gauge, &["phase"], "Open runs by phase."),
    metric(
        "heartbreak_policies",
        Kind::Gauge,
        &["state"],
        "Policies by state: active; suspended because their file is bad.",
    ),
    metric(
        "heartbreak_verdicts_total",
        Kind::Counter,
        &["verdict"],
        "Runs that ended, by verdict.",
    ),
    metric(
        "heartbreak_probe_samples_total",
        Kind::Counter,
        &["policy", "probe", "kind"],
        "Samples of probes: seen or blind.",
    ),
    metric(
        "heartbreak_evidence_ratio",
        Kind::Gauge,
        &["policy", "probe"],
        "Evidence as a share of what an abort needs, 0 to 1; 0 after the run.",
    ),
    metric(
        "heartbreak_breach_to_fence_seconds",
        Kind::Histogram,
        &[],
        "From the sample that breached to the moment after which no kill request can leave.",
    ),
    metric(
        "heartbreak_kills_after_breach_total",
        Kind::Counter,
        &[],
        "Kill requests that left after a breach. Anything but 0 is a bug.",
    ),
    metric(
        "heartbreak_snapshot_age_seconds",
        Kind::Gauge,
        &["cluster"],
        "Age of the last whole look.",
    ),
    metric(
        "heartbreak_journal_seconds",
        Kind::Histogram,
        &[],
        "Time that a durable append takes.",
    ),
    metric(
        "heartbreak_outbox_waiting",
        Kind::Gauge,
        &[],
        "Messages that wait for Slack.",
    ),
    metric(
        "heartbreak_slack_rate_limited_total",
        Kind::Counter,
        &[],
        "Answers of Slack that said: later.",
    ),
    metric(
        "heartbreak_slack_reachable",
        Kind::Gauge,
        &[],
        "Whether Slack took our last call.",
    ),
    metric(
        "heartbreak_slack_requests_total",
        Kind::Counter,
        &["kind", "outcome"],
        "What came to Slack's door: command, interaction, event; taken, not-believed, repeated, not-text, not-read, no-secret.",
    ),
    metric(
        "heartbreak_leader",
        Kind::Gauge,
        &[],
        "1 where this process decides.",
    ),
    metric(
        "heartbreak_halted",
        Kind::Gauge,
        &[],
        "1 while everything is stopped.",
    ),
    metric(
        "heartbreak_armed",
        Kind::Gauge,
        &[],
        "1 where the settings let it kill.",
    ),
    metric(
        "heartbreak_app_disturbed",
        Kind::Gauge,
        &["app", "run"],
        "1 from a kill of ours until the app is steady again and 10 minutes more.",
    ),
];

/// Upper bounds of the histograms' buckets in seconds: fence closing is promised within 5 ms at p99.
const BUCKETS: &[f64] = &[
    0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];

/// How often finished histogram samples are folded, so that memory stays bounded when nobody scrapes.
const UPKEEP: Duration = Duration::from_secs(5);

/// Gives every metric its description, and those without labels their zero, so that "no kill after a
/// breach" is a number to alert on and not an absence.
pub fn describe() {
    for Metric {
        name,
        kind,
        labels,
        help,
    } in METRICS.iter().copied()
    {
        match kind {
            Kind::Counter => metrics::describe_counter!(name, help),
            Kind::Gauge => metrics::describe_gauge!(name, help),
            Kind::Histogram => metrics::describe_histogram!(name, metrics::Unit::Seconds, help),
        }
        if labels.is_empty() {
            match kind {
                Kind::Counter => metrics::counter!(name).increment(0),
                Kind::Gauge => metrics::gauge!(name).increment(0.0),
                Kind::Histogram => drop(metrics::histogram!(name)),
            }
        }
    }
}

/// Installs the Prometheus recorder for this process and describes every metric.
///
/// # Errors
///
/// When a recorder is installed already, or the upkeep thread cannot start.
pub fn install_metrics() -> Result<PrometheusHandle, String> {
    let handle = builder()
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|error| format!("could not install the metrics recorder: {error}"))?;
    describe();
    let folding = handle.clone();
    std::thread::Builder::new()
        .name("metrics-upkeep".into())
        .spawn(move || {
            loop {
                std::thread::sleep(UPKEEP);
                folding.run_upkeep();
            }
        })
        .map_err(|error| format!("could not start the metrics upkeep thread: {error}"))?;
    Ok(handle)
}

/// Writes the log of this process to a file, as text; for the demo, whose terminal tells a story.
///
/// # Errors
///
/// When the file can't be made.
pub fn init_file(path: &std::path::Path) -> std::io::Result<()> {
    let file = std::fs::File::create(path)?;
    let writer = std::sync::Mutex::new(file);
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(writer)
        .finish();
    // A second demo in one process (a test) keeps the first one's file.
    let _ = tracing::subscriber::set_global_default(subscriber);
    Ok(())
}

/// The recorder of this process, installed at the first call.
///
/// # Errors
///
/// As [`install_metrics`].
pub fn metrics_handle() -> Result<PrometheusHandle, String> {
    static HANDLE: std::sync::OnceLock<Result<PrometheusHandle, String>> = std::sync::OnceLock::new();
    HANDLE.get_or_init(install_metrics).clone()
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".into()), BUCKETS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }

    #[test]
    fn every_metric_that_is_written_is_in_the_list() {
        let known: BTreeSet<&str> = METRICS.iter().map(|m| m.name).collect();
        let literal = regex::Regex::new("\"(heartbreak_[a-z0-9_]+)\"").unwrap();
        let mut files = vec![];
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
        let mut seen = 0;
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            for found in literal.captures_iter(&text) {
                seen += 1;
                assert!(
                    known.contains(&found[1]),
                    "{}: {} is not in METRICS",
                    file.display(),
                    &found[1]
                );
            }
        }
        assert!(seen >= METRICS.len());
    }

    #[test]
    fn names_are_prefixed_and_unique() {
        let names: BTreeSet<&str> = METRICS.iter().map(|m| m.name).collect();
        assert_eq!(names.len(), METRICS.len());
        for metric in METRICS {
            assert!(metric.name.starts_with("heartbreak_"), "{}", metric.name);
            assert_eq!(
                metric.name.ends_with("_total"),
                metric.kind == Kind::Counter,
                "{}",
                metric.name
            );
        }
    }

    #[test]
    fn a_kill_after_a_breach_is_a_zero_before_it_is_a_bug() {
        let recorder = builder().unwrap().build_recorder();
        metrics::with_local_recorder(&recorder, describe);
        let text = recorder.handle().render();
        assert!(text.contains("heartbreak_kills_after_breach_total 0"), "{text}");
        assert!(
            text.contains("# HELP heartbreak_kills_after_breach_total"),
            "{text}"
        );
    }

    #[test]
    fn logs_are_json_where_nobody_sits_in_front() {
        assert_eq!(LogForm::choose(None, false), LogForm::Json);
        assert_eq!(LogForm::choose(None, true), LogForm::Text);
        assert_eq!(LogForm::choose(Some(LogForm::Json), true), LogForm::Json);
    }

    #[test]
    fn crates_that_print_secrets_when_debugging_are_kept_quiet() {
        assert!(!printable("hyper::proto::h1", Level::DEBUG));
        assert!(!printable("slack_morphism", Level::TRACE));
        assert!(printable("hyper::proto::h1", Level::WARN));
        assert!(printable("heartbreak::operator", Level::DEBUG));
    }
}
