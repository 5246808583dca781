//! `heartbreak.yaml`: addresses, places of secrets, cluster-wide limits; never policy.
//!
//! Read with the same parser and the same kindness as policies. A secret is never written in the
//! file, so that the file can be shown, kept in version control and quoted in an error.

mod raw;
mod secret;
mod validate;

pub use raw::SettingsFile;
pub use secret::{Place, Secret, SecretError, SecretPlace};

use crate::model::command::Role;
use crate::model::ids::{ClusterName, PersonId};
use crate::model::policy::Limits;
use crate::policy::problem::{Problems, Scribe};
use crate::policy::read::Read;
use crate::policy::{load, yaml};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Everything the operator has to know before it starts.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Nothing is ever killed until this is true.
    pub armed: bool,
    /// `journal.db`, `halt`, `reports/`, `token`.
    pub state_dir: PathBuf,
    /// Policies and `owners.yaml`.
    pub policy_dir: PathBuf,
    /// Where the HTTP API listens.
    pub listen: SocketAddr,
    /// At least one; names are unique.
    pub clusters: Vec<Cluster>,
    /// What binds every policy on top of its own.
    pub limits: Limits,
    /// The label by which an app opts in, and the value it must have.
    pub opt_in: (String, String),
    /// The label that names the team owning an app.
    pub team_label: String,
    /// `None`: no Slack.
    pub slack: Option<Slack>,
    /// Who may use the HTTP API; the token in `state_dir` aside.
    pub tokens: Vec<ApiToken>,
    /// `None`: no outage gate.
    pub outage: Option<Outage>,
    /// Where probes may look. Empty: nowhere but public addresses.
    pub allow_hosts: Vec<HostRule>,
    /// Programs with their arguments that probes may run, word for word. Empty: none.
    pub allow_commands: Vec<Vec<String>>,
    /// The seed of the schedule; `None`: one is made at first start and kept in the journal.
    pub seed: Option<SecretPlace>,
    /// How long an unanswered kill stays charged before observation may clear it (`Tq`).
    pub quarantine: Duration,
}

/// One Marathon.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// As policies name it.
    pub name: ClusterName,
    /// Its masters, in order of preference.
    pub urls: Vec<url::Url>,
    /// How to log in.
    pub auth: Auth,
    /// Certificates.
    pub tls: Tls,
    /// The framework it has to be; `None`: pinned at first contact.
    pub framework_id: Option<String>,
    /// `host` or `host:port` by which its nodes call themselves, beside those of `urls`: there too our
    /// credentials may go.
    pub leader_hosts: BTreeSet<String>,
    /// Most bytes of one list of apps or pods, unpacked.
    pub max_list_bytes: usize,
    /// Most bytes of any other answer.
    pub max_body_bytes: usize,
    /// How often Marathon repeats a kill that Mesos has not confirmed (`--kill_retry_timeout`).
    pub kill_retry: Duration,
    /// The Mesos masters; `None`: no fault that is about agents is possible.
    pub mesos: Option<Mesos>,
}

/// The Mesos masters of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mesos {
    /// Each by the name under which it sends others to itself when it leads.
    pub urls: Vec<url::Url>,
    /// Whether Marathon's login is shown to them too.
    pub login: bool,
}

/// How to log in to a Marathon.
#[derive(Clone, Debug, Default)]
pub enum Auth {
    /// Not at all.
    #[default]
    None,
    /// `--http_credentials`.
    Basic {
        /// User.
        user: String,
        /// Password.
        password: SecretPlace,
    },
    /// A DC/OS service account.
    Dcos {
        /// `https://MASTER/acs/api/v1/auth/login`.
        login_url: url::Url,
        /// Its `uid`.
        service_account: String,
        /// Its private key, PEM.
        key: SecretPlace,
    },
}

/// Certificates for a Marathon.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Certificates of a private authority, PEM.
    pub ca_file: Option<PathBuf>,
    /// Our certificate, PEM, and its private key.
    pub client: Option<(PathBuf, SecretPlace)>,
}

/// One Slack app in one workspace.
#[derive(Clone, Debug)]
pub struct Slack {
    /// `T…`
    pub team_id: String,
    /// `A…`
    pub app_id: String,
    /// `xoxb-…`
    pub bot_token: SecretPlace,
    /// How Slack reaches us.
    pub delivery: Delivery,
    /// Where runs are shown.
    pub channel: String,
    /// Where our own trouble is shown; `channel` when absent.
    pub operators_channel: Option<String>,
    /// Who may resume and clear.
    pub admins: BTreeSet<PersonId>,
    /// Another address of Slack's Web API: a proxy.
    pub api_url: Option<url::Url>,
}

/// How Slack reaches us.
#[derive(Clone, Debug)]
pub enum Delivery {
    /// HTTP requests, signed with this secret.
    Http {
        /// The app's signing secret.
        signing_secret: SecretPlace,
    },
    /// Socket Mode: we call out, nothing has to reach us.
    Socket {
        /// `xapp-…`
        app_token: SecretPlace,
    },
}

/// A bearer token of the HTTP API. The token itself is nowhere on our side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiToken {
    /// Shown in the audit; a DNS label, so that it can't be taken for a Slack id.
    pub name: PersonId,
    /// What it may do.
    pub role: Role,
    /// SHA-256 of the token.
    pub sha256: [u8; 32],
}

/// Whom to ask whether somebody's pager is ringing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outage {
    /// Active alerts of an Alertmanager.
    Alertmanager {
        /// Its base address.
        url: url::Url,
        /// As its API takes them: `severity=page`. Not empty.
        matchers: Vec<String>,
    },
    /// Any address: 2xx is quiet, everything else is not.
    Url(url::Url),
}

/// What `probes.allowHosts` lets probes reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostRule {
    /// This name.
    Name(String),
    /// Any name under this domain, which is kept without `*.`.
    Under(String),
    /// Addresses with this prefix.
    Net {
        /// First address.
        address: std::net::IpAddr,
        /// Length of the prefix in bits.
        bits: u8,
    },
}

impl Settings {
    /// Reads the file and looks at every secret it names.
    ///
    /// Relative paths in it are relative to the file's folder.
    ///
    /// # Errors
    ///
    /// Every problem, each with its place and how to mend it.
    pub fn load(path: &Path) -> Result<Self, Problems> {
        let bytes = load::bytes_of(path)?;
        let (mut scribe, settings) = Self::judge(path, &bytes);
        if let Some((settings, secrets)) = settings {
            for (at, place) in secrets {
                if let Err(error) = place.get() {
                    scribe.error(at, error.to_string(), error.help());
                }
            }
            if scribe.is_clean() {
                return Ok(settings);
            }
        }
        Err(load::never_empty(path, scribe))
    }

    /// Reads settings from text, without touching the secrets they name.
    ///
    /// # Errors
    ///
    /// Every problem, each with its place and how to mend it.
    pub fn parse(path: &Path, text: &[u8]) -> Result<Self, Problems> {
        match Self::judge(path, text) {
            (scribe, Some((settings, _))) if scribe.is_clean() => Ok(settings),
            (scribe, _) => Err(load::never_empty(path, scribe)),
        }
    }

    fn judge(path: &Path, bytes: &[u8]) -> (Scribe, Option<(Self, validate::Secrets)>) {
        let (mut scribe, node) = yaml::read_bytes(path, bytes, true);
        let folder = path.parent().unwrap_or(Path::new(""));
        let file = node.and_then(|n| SettingsFile::read(&n, &mut scribe));
        let settings = file.and_then(|f| validate::settings(&f, folder, &mut scribe));
        (scribe, settings)
    }
}

#[cfg(test)]
mod tests;
