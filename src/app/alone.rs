//! What works without a running operator: checks, snapshots, journals.

use super::serve;
use crate::cli::trouble::Trouble;
use crate::cli::works::{AuditArgs, CheckArgs, HistoryArgs, PlanArgs, Schema, TimelineArgs, WhyArgs};
use crate::clock::{RealClock, RealDice};
use crate::engine::history::Ledger;
use crate::engine::score;
use crate::exit::Exit;
use crate::journal::{MemoryJournal, SqliteJournal};
use crate::model::command::{Asked, Command, Person, Role, Via};
use crate::model::experiment::{ProbeSpec, Reading};
use crate::model::ids::{AppId, GroupId, PersonId, RunId};
use crate::model::notice::{MessageRef, Notice};
use crate::model::past::AppPast;
use crate::model::policy::{Policy, PolicyState};
use crate::model::report::Report;
use crate::model::snapshot::{Agent, App, Gap, GapKind, Snapshot};
use crate::model::view::{PlanView, Refusal, RefusalKind, Reply, TimelineItem, Why};
use crate::operator::{Operator, Ports};
use crate::policy::{self, Folder};
use crate::ports::Permit;
use crate::ports::clock::Clock;
use crate::ports::cluster::{Cluster, KillAnswer, KillOrder, LastLook, Query};
use crate::ports::inbox::Inbox;
use crate::ports::journal::Journal;
use crate::ports::notifier::{Notifier, NotifyError};
use crate::ports::pager::{Pager, PagerAnswer};
use crate::ports::prober::{Patience, Prober};
use crate::ports::reporter::Reporter;
use crate::ports::stop_file::StopFile;
use crate::settings::Settings;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};

fn settings_of(path: &Path) -> Result<Settings, Trouble> {
    Settings::load(path)
        .map_err(|problems| Trouble::new(Exit::BadInput, format!("{problems}\nnothing was done")))
}

/// `check`: every problem of the files, and of what the settings point at, as far as that can be tried
/// without harm.
pub async fn check(args: CheckArgs) -> Result<String, Trouble> {
    let mut good = vec![];
    let problems = policy::check(&args.paths);
    if !problems.is_empty() {
        return Err(Trouble::new(Exit::BadInput, problems.to_string()));
    }
    good.extend(args.paths.iter().map(|path| format!("{}: good", path.display())));
    if let Some(path) = &args.settings {
        let settings = settings_of(path)?;
        good.push(format!("{}: good, every secret can be read", path.display()));
        let set = serve::fit_for(Folder::new(&settings.policy_dir).read().set, &settings);
        for (name, state) in &set.policies {
            match state {
                PolicyState::Active(policy) => {
                    good.push(format!("policy {name}: {}", policy::allows(policy)))
                }
                PolicyState::Suspended { why } => {
                    return Err(Trouble::new(
                        Exit::BadInput,
                        format!("policy {name} would be suspended: {why}"),
                    ));
                }
            }
        }
        let clock: Arc<dyn Clock> = Arc::new(RealClock);
        for (name, client) in serve::clusters(&settings, &clock)? {
            let seen = client.look(&[]).await;
            match (&seen.info, seen.gaps.first()) {
                (Some(info), None) => {
                    good.push(format!(
                        "cluster {name}: Marathon {}, framework {}",
                        info.version, info.framework_id
                    ));
                }
                (_, gap) => {
                    let why = gap.map_or_else(|| "it did not say who it is".to_owned(), |g| g.why.clone());
                    return Err(Trouble::new(Exit::Unreachable, format!("cluster {name}: {why}")));
                }
            }
            if settings
                .clusters
                .iter()
                .any(|c| c.name == name && c.mesos.is_some())
            {
                match client.agents().await {
                    Ok(agents) => good.push(format!("cluster {name}: Mesos lists {} agents", agents.len())),
                    Err(gap) => {
                        return Err(Trouble::new(
                            Exit::Unreachable,
                            format!("cluster {name}: {}", gap.why),
                        ));
                    }
                }
            }
        }
        good.push("not tried: Slack, the pager, probes, and anything that would change something".into());
    }
    Ok(good.join("\n"))
}

/// `plan --save-snapshot`: looks at the policy's cluster and writes what was seen.
pub async fn save_snapshot(args: PlanArgs) -> Result<String, Trouble> {
    let settings = settings_of(&args.settings)?;
    let set = serve::fit_for(Folder::new(&settings.policy_dir).read().set, &settings);
    let Some(PolicyState::Active(policy)) = set.policies.get(&args.policy.as_str().into()) else {
        return Err(Trouble::new(
            Exit::BadInput,
            format!("there is no active policy {}; nothing was written", args.policy),
        ));
    };
    let clock: Arc<dyn Clock> = Arc::new(RealClock);
    let clients = serve::clusters(&settings, &clock)?;
    let Some(client) = clients.get(&policy.cluster) else {
        return Err(Trouble::new(
            Exit::BadInput,
            format!("cluster {} is not in the settings", policy.cluster),
        ));
    };
    let mut snapshot = client.look(&queries(policy)).await;
    if policy.fault.needs_agents() {
        snapshot.take_agents(client.agents().await);
    }
    let text = serde_json::to_string_pretty(&snapshot)
        .map_err(|error| Trouble::new(Exit::Ours, format!("the snapshot can't be written down: {error}")))?;
    std::fs::write(&args.snapshot, text).map_err(|error| {
        Trouble::new(
            Exit::State,
            format!("{} can't be written: {error}", args.snapshot.display()),
        )
    })?;
    Ok(format!(
        "{}: {} apps of cluster {}, {} gaps",
        args.snapshot.display(),
        snapshot.apps.len(),
        snapshot.cluster,
        snapshot.gaps.len()
    ))
}

/// What a policy can touch.
pub(super) fn queries(policy: &Policy) -> Vec<Query> {
    let scope = &policy.scope;
    let query = |ids| Query {
        selector: scope.selector.clone(),
        ids,
    };
    match scope.ids.as_slice() {
        [] => vec![query(vec![])],
        ids => ids.iter().map(|id| query(vec![id.clone()])).collect(),
    }
}

/// `plan --snapshot`: what would be planned from what is in the file, at the moment it was taken.
pub async fn plan_snapshot(args: PlanArgs) -> Result<PlanView, Trouble> {
    let command = Command::Plan {
        policy: args.policy.as_str().into(),
    };
    match ask_snapshot(&args.settings, &args.snapshot, command).await? {
        Reply::Plan(view) => Ok(*view),
        other => Err(Trouble::new(
            Exit::Ours,
            format!("a plan was asked for and {other:?} came"),
        )),
    }
}

/// `why --snapshot`: what the gates would say from what is in the file, at the moment it was taken.
pub async fn why_snapshot(args: WhyArgs) -> Result<Why, Trouble> {
    let command = Command::Why {
        subject: args.subject,
    };
    match ask_snapshot(&args.settings, &args.snapshot, command).await? {
        Reply::Why(why) => Ok(*why),
        other => Err(Trouble::new(
            Exit::Ours,
            format!("a reason was asked for and {other:?} came"),
        )),
    }
}

async fn ask_snapshot(settings: &Path, snapshot: &Path, command: Command) -> Result<Reply, Trouble> {
    let settings = Settings::parse(
        settings,
        &std::fs::read(settings).map_err(|error| {
            Trouble::new(
                Exit::BadInput,
                format!("{} can't be read: {error}", settings.display()),
            )
        })?,
    )
    .map_err(|problems| Trouble::new(Exit::BadInput, problems.to_string()))?;
    let text = std::fs::read_to_string(snapshot).map_err(|error| {
        Trouble::new(
            Exit::BadInput,
            format!("{} can't be read: {error}", snapshot.display()),
        )
    })?;
    let snapshot: Snapshot = serde_json::from_str(&text).map_err(|error| {
        Trouble::new(
            Exit::BadInput,
            format!(
                "{} is not a snapshot that `plan --save-snapshot` wrote: {error}",
                snapshot.display()
            ),
        )
    })?;
    let set = serve::fit_for(Folder::new(&settings.policy_dir).read().set, &settings);
    let (_keep, policies) = watch::channel(Arc::new(set));
    let still = Arc::new(Still {
        at: snapshot.taken_at,
        snapshot,
    });
    let cluster = still.snapshot.cluster.clone();
    let ports = Ports {
        clock: still.clone(),
        dice: Arc::new(RealDice),
        clusters: BTreeMap::from([(cluster, still.clone() as Arc<dyn Cluster>)]),
        prober: still.clone(),
        journal: Arc::new(MemoryJournal::new("snapshot")),
        notifier: still.clone(),
        pager: still.clone(),
        reporter: still.clone(),
        stop_file: still,
    };
    let config = serve::config(&settings, "snapshot".into());
    let operator = Operator::start(ports, config, policies, Arc::new(Notify::new()))
        .await
        .map_err(|error| Trouble::new(Exit::Ours, error.to_string()))?;
    let by = Person {
        id: "snapshot".into(),
        name: "snapshot".into(),
        via: Via::Operator,
        role: Role::Viewer,
    };
    operator
        .ask(Asked {
            by,
            command,
            key: None,
        })
        .await
        .map_err(|Refusal { kind, why }| {
            let exit = match kind {
                RefusalKind::NotFound | RefusalKind::Invalid => Exit::BadInput,
                RefusalKind::NotAllowed | RefusalKind::Conflict => Exit::Refused,
                RefusalKind::Unavailable => Exit::Unreachable,
            };
            Trouble::new(exit, why)
        })
}

/// The world as a snapshot has it: nothing moves, nothing can be asked, nothing can be harmed.
struct Still {
    at: DateTime<Utc>,
    snapshot: Snapshot,
}

#[async_trait]
impl Clock for Still {
    fn now(&self) -> DateTime<Utc> {
        self.at
    }
    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
    async fn sleep(&self, _: Duration) {
        std::future::pending().await
    }
}

#[async_trait]
impl Cluster for Still {
    async fn agents(&self) -> Result<Vec<Agent>, Gap> {
        self.snapshot.agents.clone().ok_or_else(|| Gap {
            app: None,
            what: GapKind::Agents,
            why: "this snapshot was taken without the Mesos agents".into(),
        })
    }

    async fn look(&self, _: &[Query]) -> Snapshot {
        self.snapshot.clone()
    }
    async fn look_at(&self, app: &AppId) -> Result<Option<App>, Gap> {
        Ok(self.snapshot.apps.get(app).cloned())
    }
    async fn ping(&self) -> Result<(), String> {
        Err("this is a snapshot".into())
    }
    async fn kill(&self, _: &KillOrder, _: &Permit, _: &dyn LastLook) -> KillAnswer {
        KillAnswer::NotSent {
            why: "this is a snapshot".into(),
        }
    }
}

#[async_trait]
impl Prober for Still {
    async fn take(&self, _: &RunId, _: &ProbeSpec, _: Patience) -> Reading {
        Reading::Blind {
            why: "this is a snapshot".into(),
        }
    }
}

#[async_trait]
impl Notifier for Still {
    async fn show(&self, _: &Notice, _: Option<&MessageRef>) -> Result<MessageRef, NotifyError> {
        Err(NotifyError::Never {
            why: "this is a snapshot".into(),
        })
    }
    async fn members(&self, _: &GroupId) -> Result<BTreeSet<PersonId>, String> {
        Err("this is a snapshot: nobody can be asked who is in the group".into())
    }
    fn reachable(&self) -> Result<(), String> {
        Ok(())
    }
}

#[async_trait]
impl Pager for Still {
    async fn ask(&self) -> PagerAnswer {
        PagerAnswer::Unknown("this is a snapshot: no pager is asked".into())
    }
}

#[async_trait]
impl Reporter for Still {
    async fn write(&self, _: &Report) -> Result<Vec<String>, String> {
        Ok(vec![])
    }
    fn places(&self, _: &RunId) -> Vec<String> {
        vec![]
    }
    fn is_written(&self, _: &RunId) -> bool {
        true
    }
}

impl StopFile for Still {
    fn read(&self) -> Result<Option<String>, String> {
        Ok(None)
    }
    fn remove(&self) -> Result<(), String> {
        Ok(())
    }
}

/// `timeline --journal`: what a journal tells, read-only, beside a running operator or without one.
pub async fn timeline_journal(args: TimelineArgs) -> Result<Vec<TimelineItem>, Trouble> {
    let mut items = vec![];
    let head = fold(&args.journal, |ledger| items.extend(ledger.timeline.drain(..)))
        .await?
        .head;
    tracing::debug!(%head, "the journal was read to its end");
    Ok(items
        .into_iter()
        .filter(|item| args.since.is_none_or(|since| item.at >= since))
        .filter(|item| args.app.as_ref().is_none_or(|app| item.apps().any(|a| a == app)))
        .collect())
}

/// `history --journal`: what a journal tells of an app, read-only.
pub async fn history_journal(args: HistoryArgs) -> Result<AppPast, Trouble> {
    let ledger = fold(&args.journal, |_| {}).await?;
    Ok(score::past(&args.app, &ledger.taught, RealClock.now()))
}

/// Folds a journal, and shows the fold after each page.
async fn fold(journal: &Path, mut page_done: impl FnMut(&mut Ledger)) -> Result<Ledger, Trouble> {
    let state = |error: &dyn std::fmt::Display| Trouble::new(Exit::State, error.to_string());
    let journal = SqliteJournal::read_only(journal).await.map_err(|e| state(&e))?;
    let mut ledger = Ledger::default();
    loop {
        let page = journal.read(ledger.head, 2_000).await.map_err(|e| state(&e))?;
        if page.is_empty() {
            return Ok(ledger);
        }
        for entry in &page {
            ledger.apply(entry);
        }
        page_done(&mut ledger);
    }
}

/// `audit verify`: walks the hash chain from the first entry to the last.
pub async fn audit_verify(args: AuditArgs) -> Result<String, Trouble> {
    let verified = SqliteJournal::verify(&args.journal)
        .await
        .map_err(|error| Trouble::new(Exit::State, format!("{error}; do not trust this journal")))?;
    Ok(format!(
        "{} entries, the chain holds; its head is {}. Compare it with a copy noted elsewhere: a chain can't show that \
         its last entries are gone.",
        verified.entries, verified.head
    ))
}

/// `schema`: JSON Schema of what people write, and of what is written for them.
pub fn schema(of: Schema) -> Result<String, Trouble> {
    match of {
        Schema::Policy => Ok(policy::schema()),
        Schema::Settings => {
            serde_json::to_string_pretty(&schemars::schema_for!(crate::settings::SettingsFile))
                .map_err(|error| Trouble::new(Exit::Ours, error.to_string()))
        }
        Schema::Report => Ok(crate::report::schema()),
    }
}
