//! The shipped binary as a process of its own, in front of a pretend Marathon: started, killed without
//! warning, and asked over its API.

use super::zone_of_noon;
use heartbreak::journal::SqliteJournal;
use heartbreak::model::entry::Entry;
use heartbreak::model::ids::Seq;
use heartbreak::ports::journal::Journal;
use heartbreak_sim::{AppSpec, Sim, SimConfig, Timings};
use reqwest::Method;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

/// The only app.
pub const APP: &str = "/shop/cart";
/// How many instances it has.
pub const INSTANCES: usize = 4;
/// The only policy.
pub const POLICY: &str = "cart-survives-task-loss";
/// The forms of a report on disk.
pub const REPORT_FILES: [&str; 4] = ["report.json", "report.md", "report.html", "chart.svg"];

/// Somebody with a token.
#[derive(Clone, Copy, Debug)]
pub enum Who {
    /// May stop.
    Desk,
    /// May ask for runs.
    Bo,
    /// May decide on plans.
    Ana,
    /// The operator's own token, in its state folder.
    Admin,
}

impl Who {
    const NAMED: [Self; 3] = [Self::Desk, Self::Bo, Self::Ana];

    /// The token's name, which is who the audit says it was.
    pub fn name(self) -> &'static str {
        match self {
            Self::Desk => "desk",
            Self::Bo => "bo",
            Self::Ana => "ana",
            Self::Admin => "local",
        }
    }

    fn role(self) -> &'static str {
        match self {
            Self::Desk => "stop",
            Self::Bo => "operator",
            Self::Ana => "approver",
            Self::Admin => "admin",
        }
    }

    fn secret(self) -> String {
        format!("{}-0123456789abcdef0123456789abcdef", self.name())
    }
}

/// What differs between the policies of these tests.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Kills of one run.
    pub kills: u32,
    /// `spec.rateLimit`, without its braces.
    pub rate: &'static str,
    /// `spec.approval`, without its braces.
    pub approval: &'static str,
    /// `spec.steadyState.control`, without its braces.
    pub control: &'static str,
}

/// Everything around the process: a folder with settings, policy and state, a pretend Marathon with one
/// app, and a server that always answers well for the probe.
pub struct Stage {
    /// The pretend Marathon.
    pub sim: Sim,
    folder: tempfile::TempDir,
    good: JoinHandle<()>,
    starts: AtomicU32,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.good.abort();
        if std::thread::panicking() {
            eprintln!("{}", self.logs());
        }
    }
}

impl Stage {
    /// Sets everything up; starts no operator yet.
    pub async fn set(terms: Terms) -> Result<Self, String> {
        let config = SimConfig {
            timings: Timings {
                kill_delay: Duration::from_millis(40),
                offer_delay: Duration::from_millis(80),
                start_delay: Duration::from_millis(40),
                health_delay: Duration::from_millis(40),
            },
            apps: vec![
                AppSpec::new(APP, 4)
                    .label("chaos", "opt-in")
                    .label("team", "shop"),
            ],
            ..SimConfig::default()
        };
        let sim = Sim::start(config).await.map_err(|e| e.to_string())?;
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .map_err(|e| e.to_string())?;
        let address = listener.local_addr().map_err(|e| e.to_string())?;
        let good = tokio::spawn(async move {
            let router = axum::Router::new().fallback(|| async { "good" });
            let _ = axum::serve(listener, router).await;
        });
        let stage = Self {
            sim,
            folder: tempfile::tempdir().map_err(|e| e.to_string())?,
            good,
            starts: AtomicU32::new(0),
        };
        stage
            .write_files(terms, &format!("http://{address}"))
            .map_err(|e| e.to_string())?;
        Ok(stage)
    }

    fn write_files(&self, terms: Terms, good: &str) -> std::io::Result<()> {
        let folder = self.folder.path();
        std::fs::create_dir(folder.join("policies"))?;
        let tokens: String = Who::NAMED
            .iter()
            .map(|who| {
                format!(
                    "    - {{ name: {}, role: {}, sha256: \"{}\" }}\n",
                    who.name(),
                    who.role(),
                    sha256(&who.secret())
                )
            })
            .collect();
        let settings = format!(
            "apiVersion: heartbreak/v1
kind: Settings
armed: true
stateDir: {0}/state
policyDir: {0}/policies
listen: 127.0.0.1:0
clusters:
  - name: pretend
    marathon: {{ urls: [\"{1}\"] }}
probes: {{ allowHosts: [\"127.0.0.0/8\"] }}
api:
  tokens:
{tokens}",
            folder.display(),
            self.sim.url(),
        );
        std::fs::write(self.settings(), settings)?;
        let policy = format!(
            "apiVersion: heartbreak/v1
kind: ChaosPolicy
metadata: {{ name: {POLICY}, team: shop }}
spec:
  mode: enforce
  cluster: pretend
  target: {{ apps: {{ ids: [\"{APP}\"] }}, tasks: {{ minAge: 0s }} }}
  fault: {{ killTasks: {{ count: {}, gap: 1s }} }}
  schedule:
    windows: [ {{ days: [mon, tue, wed, thu, fri, sat, sun], from: \"08:00\", to: \"20:00\" }} ]
    timezone: {}
    onDemand: true
    minTimeBetween: none
  blastRadius: {{ maxTasks: 1, maxPercent: 25, minHealthy: 3 }}
  rateLimit: {{ {} }}
  steadyState:
    interval: 200ms
    timeout: 190ms
    baseline: {{ for: 2s, max: 20s }}
    recovery: {{ within: 8s, hold: 400ms }}
    control: {{ {} }}
    probes:
      - name: front-door
        role: abort
        source: {{ http: {{ url: \"{good}/\", requests: 5 }} }}
        share: {{ max: 30%, hard: 90% }}
  approval: {{ {} }}
",
            terms.kills,
            zone_of_noon(),
            terms.rate,
            terms.control,
            terms.approval,
        );
        std::fs::write(folder.join("policies").join(format!("{POLICY}.yaml")), policy)
    }

    /// The settings file.
    pub fn settings(&self) -> PathBuf {
        self.folder.path().join("heartbreak.yaml")
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Where the journal is.
    pub fn journal(&self) -> PathBuf {
        self.state().join("journal.db")
    }

    /// The files of a run's report that are not there.
    pub fn missing_reports(&self, run: &str) -> Vec<&'static str> {
        let folder = self.state().join("reports").join(run);
        REPORT_FILES
            .into_iter()
            .filter(|name| !folder.join(name).is_file())
            .collect()
    }

    /// Runs a command of the binary to its end: its exit code, and what it printed to stdout and stderr.
    pub async fn command(&self, args: &[&str]) -> Result<(Option<i32>, String), String> {
        let running = self.binary().args(args).kill_on_drop(true).output();
        let out = tokio::time::timeout(Duration::from_secs(30), running)
            .await
            .map_err(|_| format!("`heartbreak {}` did not end", args.join(" ")))?
            .map_err(|e| e.to_string())?;
        let text = [out.stdout, out.stderr].concat();
        Ok((out.status.code(), String::from_utf8_lossy(&text).into_owned()))
    }

    fn binary(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_heartbreak"));
        command
            .env_clear()
            .env("HEARTBREAK_SETTINGS", self.settings())
            .stdin(Stdio::null());
        command
    }

    /// Starts the operator; it may not listen yet.
    pub fn start(&self) -> Result<Operator, String> {
        let mut command = self.binary();
        command.arg("run");
        self.spawn(command)
    }

    /// Starts the operator so that no file of it may grow beyond this many blocks of 1,024 bytes: the
    /// journal's next page is refused as on a full disk.
    pub fn start_with_little_room(&self, blocks: u32) -> Result<Operator, String> {
        let mut command = Command::new("bash");
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" run");
        command
            .args(["-c", &script, env!("CARGO_BIN_EXE_heartbreak")])
            .env_clear()
            .env("HEARTBREAK_SETTINGS", self.settings())
            .stdin(Stdio::null());
        self.spawn(command)
    }

    fn spawn(&self, mut command: Command) -> Result<Operator, String> {
        let number = self.starts.fetch_add(1, Ordering::Relaxed) + 1;
        let log = self.folder.path().join(format!("stderr-{number}.log"));
        let file = std::fs::File::create(&log).map_err(|e| e.to_string())?;
        let child = command
            .stdout(Stdio::null())
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| e.to_string())?;
        // The binary does the same first of all; without it no client can be made.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(15))
            .build()
            .map_err(|e| e.to_string())?;
        Ok(Operator {
            child,
            log,
            own_token: self.state().join("token"),
            http,
        })
    }

    /// Starts the operator and waits until it has looked at the cluster and says that it is ready.
    pub async fn start_ready(&self) -> Result<Operator, String> {
        let operator = self.start()?;
        until("the operator is ready", Duration::from_secs(30), async || {
            operator
                .get(Who::Admin, "/readyz")
                .await
                .ok()
                .filter(|a| a.status == 200)
        })
        .await?;
        Ok(operator)
    }

    /// What all processes wrote to stderr so far, in order.
    pub fn logs(&self) -> String {
        let started = self.starts.load(Ordering::Relaxed);
        (1..=started)
            .map(|n| {
                let log = self.folder.path().join(format!("stderr-{n}.log"));
                let text = std::fs::read_to_string(log).unwrap_or_else(|e| e.to_string());
                format!("── process {n} ──\n{text}")
            })
            .collect()
    }

    /// Every entry of the journal.
    pub async fn entries(&self) -> Result<Vec<Entry>, String> {
        let journal = SqliteJournal::read_only(self.journal())
            .await
            .map_err(|e| e.to_string())?;
        let read = journal.read(Seq(0), usize::MAX).await;
        let _ = journal.close().await;
        read.map_err(|e| e.to_string())
    }

    /// Waits until the journal has at least `head` entries.
    pub async fn head_reaches(&self, head: u64) {
        const LOOK_EVERY: Duration = Duration::from_millis(2);
        let log = PathBuf::from(format!("{}-wal", self.journal().display()));
        let journal = loop {
            // Before there is a write-ahead log, what is opened might never show what comes later.
            if log.exists()
                && let Ok(journal) = SqliteJournal::read_only(self.journal()).await
            {
                break journal;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        };
        while !journal.head().await.is_ok_and(|seq| seq.0 >= head) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let _ = journal.close().await;
    }

    /// Whether all instances of the app serve and nothing is about to die.
    pub fn is_whole(&self) -> bool {
        self.sim.with(|state| {
            let quiet = state
                .app(APP)
                .is_some_and(|app| !app.instances.iter().any(|i| i.is_being_killed()));
            quiet && state.up_tasks(APP).len() == INSTANCES
        })
    }
}

/// A running operator. Dropping it kills it.
pub struct Operator {
    child: Child,
    log: PathBuf,
    own_token: PathBuf,
    http: reqwest::Client,
}

/// An answer of its API.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body; `null` when it is no JSON.
    pub body: Value,
}

impl Operator {
    /// SIGKILL, and waits until the process is gone.
    pub async fn kill(mut self) -> Result<ExitStatus, String> {
        self.child.start_kill().map_err(|e| e.to_string())?;
        self.child.wait().await.map_err(|e| e.to_string())
    }

    /// Sends a signal by its name, such as `TERM`.
    pub fn signal(&self, name: &str) -> Result<(), String> {
        let id = self.child.id().ok_or("it has ended")?;
        let sent = std::process::Command::new("kill")
            .args([format!("-{name}"), id.to_string()])
            .status();
        sent.map_err(|e| e.to_string())?
            .success()
            .then_some(())
            .ok_or_else(|| "kill failed".to_owned())
    }

    /// Waits until the process ends by itself.
    pub async fn end(mut self) -> Result<ExitStatus, String> {
        let waiting = tokio::time::timeout(Duration::from_secs(30), self.child.wait());
        waiting
            .await
            .map_err(|_| "it does not end".to_owned())?
            .map_err(|e| e.to_string())
    }

    /// Whether the process still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks a question.
    pub async fn get(&self, who: Who, path: &str) -> Result<Answer, String> {
        self.ask(Method::GET, who, path, None, Value::Null).await
    }

    /// Asks for something, under a key that makes a repeat the same request.
    pub async fn post(&self, who: Who, path: &str, key: Option<&str>, body: Value) -> Result<Answer, String> {
        self.ask(Method::POST, who, path, key, body).await
    }

    async fn ask(
        &self,
        method: Method,
        who: Who,
        path: &str,
        key: Option<&str>,
        body: Value,
    ) -> Result<Answer, String> {
        let url = self.url().ok_or("it does not listen yet")?;
        let token = match who {
            Who::Admin => read(&self.own_token)?.trim().to_owned(),
            named => named.secret(),
        };
        let mut request = self
            .http
            .request(method, format!("{url}{path}"))
            .bearer_auth(token);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await.map_err(|e| e.to_string())?;
        let status = answer.status().as_u16();
        let text = answer.text().await.map_err(|e| e.to_string())?;
        Ok(Answer {
            status,
            body: serde_json::from_str(&text).unwrap_or_default(),
        })
    }

    /// Where it listens, as its log says.
    fn url(&self) -> Option<String> {
        let log = std::fs::read_to_string(&self.log).ok()?;
        log.lines().find_map(|line| {
            let line: Value = serde_json::from_str(line).ok()?;
            (line["message"] == "listening").then(|| line["url"].as_str().map(str::to_owned))?
        })
    }
}

/// Waits until `look` sees something, and says what was waited for when it takes too long.
pub async fn until<T>(
    what: &str,
    within: Duration,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> Result<T, String> {
    let looking = async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(within, looking)
        .await
        .map_err(|_| format!("not within {} s: {what}", within.as_secs()))
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))
}

fn sha256(text: &str) -> String {
    use sha2::Digest;
    let hash = sha2::Sha256::digest(text.as_bytes());
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
