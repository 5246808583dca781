//! A running operator: its loops, its listener, its end.

use super::cluster::MarathonAndMesos;
use super::state::StateDir;
use crate::cli::trouble::Trouble;
use crate::clock::{RealClock, RealDice};
use crate::exit::Exit;
use crate::journal::SqliteJournal;
use crate::marathon;
use crate::model::command::{Asked, Command, Person, Role, Via};
use crate::model::experiment::Source;
use crate::model::ids::ClusterName;
use crate::model::policy::{Policy, PolicySet, PolicyState};
use crate::operator::{Config, Operator, Ports};
use crate::outage::OutagePager;
use crate::policy::{Folder, keep_reading};
use crate::ports::clock::Clock;
use crate::ports::cluster::Cluster;
use crate::ports::inbox::Inbox;
use crate::ports::notifier::Notifier;
use crate::probes::{ProbeOptions, Probes};
use crate::report::{Files, render, render_trend};
use crate::settings::{Auth, HostRule, Outage, SecretPlace, Settings};
use crate::stop_file::FileStop;
use crate::telemetry;
use crate::web::{self, Check, Door, Readiness, Token};
use chrono::TimeDelta;
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

/// How often the policy folder is read though nothing told us that it changed.
const RESCAN: Duration = Duration::from_secs(5);
/// No byte of a kill leaves later than this after its intent.
const INTENT_DEADLINE: TimeDelta = TimeDelta::seconds(5);
/// How long to wait for the answer to a kill.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an orderly end may take.
const STOP_MAX: Duration = Duration::from_secs(5);

/// An operator that runs.
pub struct Running {
    /// Where it listens.
    pub url: String,
    /// The way in.
    pub operator: Arc<Operator>,
    journal: SqliteJournal,
    tasks: JoinSet<()>,
    close: Arc<Notify>,
}

impl Running {
    /// Serves until SIGTERM or SIGINT, then ends in order. SIGUSR1 halts.
    pub async fn until_told(self) {
        use tokio::signal::unix::{SignalKind, signal};
        let listen =
            |kind| signal(kind).map_err(|error| tracing::error!(%error, "a signal can't be listened to"));
        let (Ok(mut term), Ok(mut int), Ok(mut usr1)) = (
            listen(SignalKind::terminate()),
            listen(SignalKind::interrupt()),
            listen(SignalKind::user_defined1()),
        ) else {
            return self.stop("signals can't be listened to").await;
        };
        loop {
            tokio::select! {
                _ = term.recv() => return self.stop("the operator was stopped by SIGTERM").await,
                _ = int.recv() => return self.stop("the operator was stopped by SIGINT").await,
                _ = usr1.recv() => self.halt_by_signal().await,
            }
        }
    }

    async fn halt_by_signal(&self) {
        let by = Person {
            id: "signal".into(),
            name: "SIGUSR1".into(),
            via: Via::Signal,
            role: Role::Stop,
        };
        let command = Command::Halt {
            reason: "SIGUSR1 was sent to the operator".into(),
        };
        match self
            .operator
            .ask(Asked {
                by,
                command,
                key: None,
            })
            .await
        {
            Ok(_) => tracing::warn!("halted by SIGUSR1; only a person resumes"),
            Err(refusal) => tracing::error!(why = %refusal.why, "the halt by SIGUSR1 was not taken"),
        }
    }

    /// Ends in order: the fence closes, armed runs abort, the journal says so.
    pub async fn stop(mut self, why: &str) {
        tracing::info!(%why, "stopping");
        self.close.notify_waiters();
        if tokio::time::timeout(STOP_MAX, self.operator.stop(why))
            .await
            .is_err()
        {
            tracing::error!("the end took too long; the next start treats it as a crash");
        }
        self.tasks.shutdown().await;
        if let Err(error) = self.journal.close().await {
            tracing::warn!(%error, "the journal did not close cleanly; every entry is durable all the same");
        }
    }
}

/// Builds everything from settings and starts it.
///
/// # Errors
///
/// What is wrong and where; then nothing runs.
pub async fn start(settings: Settings) -> Result<Running, Trouble> {
    let clock: Arc<dyn Clock> = Arc::new(RealClock);
    let state = StateDir::make(&settings.state_dir)?;
    let journal = SqliteJournal::open(&state.journal())
        .await
        .map_err(|error| unusable(&error))?;
    let own_token = state.secret("token")?;
    let seed = match &settings.seed {
        Some(place) => secret(place).map_err(|why| Trouble::new(Exit::BadInput, why))?,
        None => state.secret("seed")?,
    };
    let listener = tokio::net::TcpListener::bind(settings.listen)
        .await
        .map_err(|error| {
            Trouble::new(
                Exit::Unreachable,
                format!(
                    "can't listen on {}: {error}; nothing was started",
                    settings.listen
                ),
            )
        })?;
    let address = listener.local_addr().unwrap_or(settings.listen);

    let clients = clusters(&settings, &clock)?;
    let prober = probes(&settings, address)?;
    let slack = Arc::new(super::slack::connect(&settings, &clock)?);
    let notifier: Arc<dyn Notifier> = slack.notifier();

    let mut folder = Folder::new(&settings.policy_dir);
    let reading = folder.read();
    if !reading.problems.is_empty() {
        tracing::error!("{}", reading.problems);
    }
    let (sender, policies) = watch::channel(Arc::new(fit_for(reading.set, &settings)));
    let events = Arc::new(Notify::new());
    let ports = Ports {
        clock: clock.clone(),
        dice: Arc::new(RealDice),
        clusters: clients
            .iter()
            .map(|(name, c)| (name.clone(), c.clone() as Arc<dyn Cluster>))
            .collect(),
        prober: Arc::new(prober),
        journal: Arc::new(journal.clone()),
        notifier,
        pager: Arc::new(pager(&settings)?),
        reporter: Arc::new(Files::new(state.reports())),
        stop_file: Arc::new(FileStop::new(state.halt())),
    };
    let operator = Operator::start(ports, config(&settings, seed), policies, events.clone())
        .await
        .map_err(|e| unusable(&e))?;

    let close = Arc::new(Notify::new());
    let mut tasks = JoinSet::new();
    let (served, router) = (
        operator.clone(),
        routes(&settings, &operator, &clock, &own_token, &slack)?,
    );
    tasks.spawn(async move { Box::pin(served.run()).await });
    let asking = slack.clone();
    tasks.spawn(async move { asking.keep_checking().await });
    tasks.spawn(read_folder(folder, sender, settings.clone()));
    for (name, client) in clients {
        let (events, operator) = (events.clone(), operator.clone());
        tasks.spawn(async move {
            let wake = |news| match news {
                marathon::News::Opened => operator.stream_opened(&name),
                marathon::News::Events => events.notify_one(),
            };
            marathon::follow(client.marathon(), wake).await;
        });
    }
    let closing = close.clone();
    tasks.spawn(async move {
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let served =
            axum::serve(listener, service).with_graceful_shutdown(async move { closing.notified().await });
        if let Err(error) = served.await {
            tracing::error!(%error, "the listener ended");
        }
    });
    if !settings.armed {
        tracing::warn!("not armed: nothing is killed until the settings say `armed: true`");
    }
    Ok(Running {
        url: format!("http://{address}"),
        operator,
        journal,
        tasks,
        close,
    })
}

fn unusable(error: &crate::ports::journal::JournalError) -> Trouble {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    Trouble::new(Exit::State, format!("{text}; nothing was started"))
}

/// What the settings decide with.
pub(super) fn config(settings: &Settings, seed: String) -> Config {
    Config {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        armed: settings.armed,
        limits: settings.limits.clone(),
        opt_in: settings.opt_in.clone(),
        team_label: settings.team_label.clone(),
        seed,
        quarantine: TimeDelta::from_std(settings.quarantine).unwrap_or(TimeDelta::MAX),
        kill_timeout: KILL_TIMEOUT,
        intent_deadline: INTENT_DEADLINE,
        kill_retry: settings
            .clusters
            .iter()
            .map(|c| {
                let retry = TimeDelta::from_std(c.kill_retry).unwrap_or(TimeDelta::MAX);
                (c.name.clone(), retry)
            })
            .collect(),
        framework_ids: settings
            .clusters
            .iter()
            .filter_map(|c| Some((c.name.clone(), c.framework_id.clone()?)))
            .collect(),
    }
}

pub(super) fn secret(place: &SecretPlace) -> Result<String, String> {
    place
        .get()
        .map(|s| s.expose().to_owned())
        .map_err(|error| format!("{error}; {}", error.help()))
}

/// One for each cluster of the settings: its Marathon, and its Mesos masters where they are named.
pub(super) fn clusters(
    settings: &Settings,
    clock: &Arc<dyn Clock>,
) -> Result<BTreeMap<ClusterName, Arc<MarathonAndMesos>>, Trouble> {
    let mut clients = BTreeMap::new();
    for cluster in &settings.clusters {
        let auth = match &cluster.auth {
            Auth::None => marathon::Auth::None,
            Auth::Basic { user, password } => {
                let place = password.clone();
                marathon::Auth::Basic {
                    user: user.clone(),
                    password: Arc::new(move || secret(&place).map(SecretString::from)),
                }
            }
            Auth::Dcos {
                login_url,
                service_account,
                key,
            } => {
                let place = key.clone();
                marathon::Auth::DcosServiceAccount(marathon::ServiceAccount {
                    login_url: login_url.clone(),
                    uid: service_account.clone(),
                    key: Arc::new(move || secret(&place).map(SecretString::from)),
                })
            }
        };
        let options = marathon::Options {
            cluster: cluster.name.clone(),
            urls: cluster.urls.clone(),
            auth,
            tls: marathon::TlsFiles {
                ca: cluster.tls.ca_file.clone(),
                cert: cluster.tls.client.as_ref().map(|(cert, _)| cert.clone()),
                key: cluster
                    .tls
                    .client
                    .as_ref()
                    .and_then(|(_, key)| match key.place() {
                        crate::settings::Place::File(path) => Some(path.clone()),
                        crate::settings::Place::Env(_) => None,
                    }),
            },
            allowed_hosts: cluster.leader_hosts.clone(),
            connect_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(30),
            event_silence: Duration::from_secs(30),
            max_list_bytes: cluster.max_list_bytes,
            max_body_bytes: cluster.max_body_bytes,
            clock: clock.clone(),
        };
        let client = marathon::Client::new(options)
            .map_err(|error| Trouble::new(Exit::BadInput, format!("{error}; nothing was started")))?;
        let both = MarathonAndMesos::new(Arc::new(client), cluster)?;
        clients.insert(cluster.name.clone(), Arc::new(both));
    }
    Ok(clients)
}

/// The probes that the settings allow.
pub(super) fn probes(settings: &Settings, own: SocketAddr) -> Result<Probes, Trouble> {
    Probes::new(&ProbeOptions {
        allow_hosts: settings.allow_hosts.iter().map(host_rule).collect(),
        allow_commands: settings.allow_commands.clone(),
        denied: denied(settings, own),
    })
    .map_err(|problems| {
        Trouble::new(
            Exit::BadInput,
            format!("{}; nothing was started", problems.join("\n")),
        )
    })
}

fn host_rule(rule: &HostRule) -> String {
    match rule {
        HostRule::Name(name) => name.clone(),
        HostRule::Under(domain) => format!("*.{domain}"),
        HostRule::Net { address, bits } => format!("{address}/{bits}"),
    }
}

/// Where no probe may look, whatever is allowed: ourselves, every Marathon and every Mesos master.
fn denied(settings: &Settings, own: SocketAddr) -> Vec<String> {
    let marathons = settings
        .clusters
        .iter()
        .flat_map(|c| c.urls.iter().chain(c.mesos.iter().flat_map(|m| &m.urls)))
        .map(ToString::to_string);
    // Before it listens, a port that is still to be chosen is nobody's.
    let own = Some(own).filter(|own| own.port() != 0);
    marathons.chain(own.map(|own| own.to_string())).collect()
}

fn pager(settings: &Settings) -> Result<OutagePager, Trouble> {
    const TIMEOUT: Duration = Duration::from_secs(4);
    match &settings.outage {
        None => Ok(OutagePager::not_configured()),
        Some(Outage::Alertmanager { url, matchers }) => {
            OutagePager::alertmanager(url.as_str(), matchers, TIMEOUT)
        }
        Some(Outage::Url(url)) => OutagePager::any_url(url.as_str(), TIMEOUT),
    }
    .map_err(|why| Trouble::new(Exit::BadInput, format!("{why}; nothing was started")))
}

/// Suspends policies that ask for what the settings do not have: a cluster, a command.
pub(super) fn fit_for(mut set: PolicySet, settings: &Settings) -> PolicySet {
    for state in set.policies.values_mut() {
        let PolicyState::Active(policy) = state else {
            continue;
        };
        if let Some(why) = unfit(policy, settings) {
            *state = PolicyState::Suspended { why };
        }
    }
    set
}

/// Why a policy can't be followed with these settings.
fn unfit(policy: &Policy, settings: &Settings) -> Option<String> {
    if !settings.clusters.iter().any(|c| c.name == policy.cluster) {
        let names: Vec<_> = settings.clusters.iter().map(|c| c.name.to_string()).collect();
        return Some(format!(
            "spec.cluster is {:?}, and the settings name only {}",
            policy.cluster.as_str(),
            names.join(", ")
        ));
    }
    let mut sources = policy.hypothesis.probes.iter().flat_map(|p| p.source.parts());
    sources.find_map(|source| match source {
        Source::Command { argv } if !settings.allow_commands.contains(argv) => Some(format!(
            "a probe runs {argv:?}, and probes.allowCommands of the settings does not allow just that"
        )),
        _ => None,
    })
}

/// Reads the folder whenever it changes, and now and then.
async fn read_folder(folder: Folder, sender: watch::Sender<Arc<PolicySet>>, settings: Settings) {
    let (raw, mut read) = watch::channel(sender.borrow().clone());
    let pass_on = async move {
        while read.changed().await.is_ok() {
            let set = read.borrow_and_update().clone();
            let set = Arc::new(fit_for((*set).clone(), &settings));
            sender.send_if_modified(|known| {
                let changed = **known != *set;
                if changed {
                    *known = set;
                }
                changed
            });
        }
    };
    tokio::join!(keep_reading(folder, RESCAN, raw), pass_on);
}

fn routes(
    settings: &Settings,
    operator: &Arc<Operator>,
    clock: &Arc<dyn Clock>,
    own_token: &str,
    slack: &Arc<super::slack::Slack>,
) -> Result<axum::Router, Trouble> {
    let bad = |why: String| Trouble::new(Exit::BadInput, format!("{why}; nothing was started"));
    let mut tokens = vec![Token::of_secret("local", Role::Admin, own_token).map_err(bad)?];
    for token in &settings.tokens {
        let sha256 = crate::model::plan::hex(&token.sha256);
        tokens.push(Token::new(token.name.as_str(), token.role, &sha256).map_err(bad)?);
    }
    let (ready, turned) = (operator.clone(), operator.clone());
    let chat = slack.clone();
    let door = Door {
        inbox: operator.clone() as Arc<dyn Inbox>,
        tokens,
        ready: Arc::new(move || readiness(&ready, &chat)),
        turned: Arc::new(move || Some(turned.since_last_turn())),
        metrics: telemetry::metrics_handle().map_err(|why| Trouble::new(Exit::Ours, why))?,
        clock: clock.clone(),
        render: Arc::new(render),
        trend: Arc::new(render_trend),
    };
    Ok(web::router(door).merge(slack.routes(operator.clone(), clock.clone())))
}

fn readiness(operator: &Operator, slack: &super::slack::Slack) -> Readiness {
    let mut checks = vec![Check {
        what: "journal".into(),
        ok: operator.journal_works(),
        why: if operator.journal_works() {
            "can be written".into()
        } else {
            "could not be written last time".into()
        },
    }];
    for cluster in operator.cluster_views() {
        checks.push(Check {
            what: format!("cluster {}", cluster.name),
            ok: cluster.seen.is_some() && cluster.gaps.is_empty(),
            why: cluster
                .gaps
                .first()
                .cloned()
                .unwrap_or_else(|| "was seen whole".into()),
        });
    }
    if let Some(state) = slack.state() {
        checks.push(Check {
            what: "slack".into(),
            ok: state.is_ok(),
            why: state.err().unwrap_or_else(|| "took our last call".into()),
        });
    }
    Readiness { checks }
}
