//! The settings file as written; see `policy::raw` for how records are declared.

use crate::policy::problem::Scribe;
use crate::policy::raw::Holiday;
use crate::policy::read::{At, Day, Lasting, Read, Text, choice, record};
use crate::policy::yaml::{Kind, Node};

record! {
    /// The settings file.
    SettingsFile {
        /// `heartbreak/v1`.
        api_version: Text,
        /// `Settings`.
        kind: Text,
        /// Nothing is killed until this is true. Default: false.
        armed: bool,
        /// Where state is kept. Default: /var/lib/heartbreak.
        state_dir: Text,
        /// Where policies are. Default: /etc/heartbreak/policies.
        policy_dir: Text,
        /// Address and port of the HTTP API. Default: 127.0.0.1:9480.
        listen: Text,
        /// The Marathons.
        clusters: Vec<Cluster>,
        /// What binds every policy.
        limits: Limits,
        /// Zone and holidays for every policy.
        calendar: Calendar,
        /// Slack.
        slack: Slack,
        /// The HTTP API.
        api: Api,
        /// Whom to ask about outages.
        outage: Outage,
        /// Where probes may look.
        probes: Probes,
        /// Labels on apps.
        labels: Labels,
        /// `sqlite`.
        store: Store,
        /// The schedule's seed.
        seed_file: Text,
        /// How long an unanswered kill stays charged. Default: 5m.
        quarantine: Lasting,
    }
    later {
        "seed": "a secret is never written in this file; write `seedFile: /path/to/it`",
    }
}

record! {
    /// One Marathon.
    Cluster {
        /// As policies name it.
        name: Text,
        /// Where it is.
        marathon: Marathon,
        /// How to log in.
        auth: Auth,
        /// Certificates.
        tls: Tls,
        /// The framework it has to be.
        framework_id: Text,
        /// Its Mesos masters: for faults that are about agents.
        mesos: Mesos,
    }
}

record! {
    /// Where the Mesos masters are.
    Mesos {
        /// Every master, by the name under which it sends others to itself when it leads.
        urls: Vec<At<Text>>,
        /// How to log in. Default: none. Certificates are those of the cluster.
        auth: MesosAuth,
    }
}

choice! {
    /// How to log in to the Mesos masters.
    MesosAuth {
        /// Not at all.
        None = "none",
        /// With the cluster's `auth`.
        Marathon = "asMarathon",
    }
}

record! {
    /// Where a Marathon is.
    Marathon {
        /// Its masters.
        urls: Vec<At<Text>>,
        /// `host` or `host:port` by which its nodes call themselves, beside those of `urls`.
        leader_hosts: Vec<At<Text>>,
        /// The most of one list of apps that is read, in MiB. Default: 512.
        max_list_mib: u32,
        /// The most of any other answer that is read, in MiB. Default: 8.
        max_body_mib: u32,
        /// How often it repeats a kill that Mesos has not confirmed. Default: 30s.
        kill_retry: Lasting,
    }
}

record! {
    /// How to log in: one of these.
    Auth {
        /// User and password.
        basic: Basic,
        /// A DC/OS service account.
        dcos: Dcos,
    }
}

record! {
    /// User and password.
    Basic {
        /// User.
        user: Text,
        /// Place of the password.
        password_file: Text,
        /// Place of the password.
        password_env: Text,
    }
    later {
        "password": "a secret is never written in this file; write `passwordFile: /path/to/it` or `passwordEnv: NAME`",
    }
}

record! {
    /// A DC/OS service account.
    Dcos {
        /// Where to log in.
        login_url: Text,
        /// Its uid.
        service_account: Text,
        /// Place of its private key.
        key_file: Text,
        /// Place of its private key.
        key_env: Text,
    }
    later {
        "key": "a secret is never written in this file; write `keyFile: /path/to/it` or `keyEnv: NAME`",
    }
}

record! {
    /// Certificates.
    Tls {
        /// A private authority, PEM.
        ca_file: Text,
        /// Our certificate, PEM.
        cert_file: Text,
        /// Its private key, PEM.
        key_file: Text,
    }
    later {
        "key": "a secret is never written in this file; write `keyFile: /path/to/it`",
        "insecure": "certificates are always checked; name a private authority with `caFile`",
    }
}

record! {
    /// What binds every policy.
    Limits {
        /// Tasks down by us at once. Default: 3.
        tasks_down: u32,
        /// Kills in any hour. Default: 10.
        kills_per_hour: u32,
        /// Kills in a work day. Default: 20.
        kills_per_workday: u32,
        /// Apps that are never hit; `/heartbreak/**` always is.
        forbidden_apps: Vec<At<Text>>,
        /// Spans of dates without runs.
        freezes: Vec<Freeze>,
    }
}

record! {
    /// A span of dates without runs.
    Freeze {
        /// First day.
        from: Day,
        /// Last day.
        to: Day,
        /// Why.
        why: Text,
    }
}

record! {
    /// Zone and holidays for every policy.
    Calendar {
        /// Zone of freezes and work days. Default: UTC.
        timezone: Text,
        /// Dates without runs: dates, and calendar files as `{ ics: holidays.ics }`.
        holidays: Vec<Holiday>,
        /// The last date that `holidays` speaks of; nothing runs after it. Default: the end of its last year.
        holidays_until: Day,
    }
}

record! {
    /// Slack.
    Slack {
        /// `T…`
        team_id: Text,
        /// `A…`
        app_id: Text,
        /// Place of the bot token.
        bot_token_file: Text,
        /// Place of the bot token.
        bot_token_env: Text,
        /// Place of the signing secret: HTTP delivery.
        signing_secret_file: Text,
        /// Place of the signing secret: HTTP delivery.
        signing_secret_env: Text,
        /// Place of the app token: Socket Mode.
        app_token_file: Text,
        /// Place of the app token: Socket Mode.
        app_token_env: Text,
        /// Where runs are shown.
        channel: Text,
        /// Where our own trouble is shown.
        operators_channel: Text,
        /// Who may resume.
        admins: Vec<At<Text>>,
        /// Another address of Slack's Web API.
        api_url: Text,
    }
    later {
        "botToken": "a secret is never written in this file; write `botTokenFile: /path/to/it` or `botTokenEnv: NAME`",
        "signingSecret": "a secret is never written in this file; write `signingSecretFile: /path/to/it` or `signingSecretEnv: NAME`",
        "appToken": "a secret is never written in this file; write `appTokenFile: /path/to/it` or `appTokenEnv: NAME`",
    }
}

record! {
    /// The HTTP API.
    Api {
        /// Who may use it.
        tokens: Vec<Token>,
    }
}

record! {
    /// One bearer token.
    Token {
        /// Shown in the audit.
        name: Text,
        /// What it may do.
        role: Role,
        /// SHA-256 of the token, 64 hex characters.
        sha256: Digest,
    }
    later {
        "token": "a secret is never written in this file; write `sha256:` with what `printf %s \"$TOKEN\" | sha256sum` prints",
    }
}

choice! {
    /// What a token may do; each may also do what those before it may.
    Role {
        /// Look.
        Viewer = "viewer",
        /// Stop.
        Stop = "stop",
        /// Ask for runs.
        Operator = "operator",
        /// Decide on plans.
        Approver = "approver",
        /// Resume.
        Admin = "admin",
    }
}

/// 64 hex characters, which a plain number may also look like.
#[derive(Clone, Debug, PartialEq, Eq, schemars::JsonSchema)]
#[schemars(transparent, inline)]
pub struct Digest(#[schemars(with = "String")] pub [u8; 32]);

impl Read for Digest {
    fn read(node: &Node, scribe: &mut Scribe) -> Option<Self> {
        let (text, _) = crate::policy::read::scalar(node, scribe, "64 hex characters", "9f86d081…")?;
        let byte = |i: usize| {
            text.get(2 * i..2 * i + 2)
                .and_then(|pair| u8::from_str_radix(pair, 16).ok())
        };
        let bytes: Option<Vec<u8>> = (0..32).map(byte).collect();
        let plain = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
        match bytes.and_then(|b| <[u8; 32]>::try_from(b).ok()).filter(|_| plain) {
            Some(bytes) => Some(Self(bytes)),
            None => {
                // Not repeated and not shown: it may be the token itself.
                scribe.error_unseen(
                    node.at,
                    "`sha256` is not 64 hex characters",
                    "write what `printf %s \"$TOKEN\" | sha256sum` prints",
                );
                None
            }
        }
    }
}

record! {
    /// Whom to ask about outages: one of these.
    Outage {
        /// Active alerts.
        alertmanager: Alertmanager,
        /// Any address: 2xx is quiet.
        url: Text,
    }
}

record! {
    /// An Alertmanager.
    Alertmanager {
        /// Its base address.
        url: Text,
        /// Which alerts count, such as `severity=page`.
        matchers: Vec<At<Text>>,
    }
}

record! {
    /// Where probes may look.
    Probes {
        /// Names, `*.domain`, and networks such as `10.0.0.0/8`.
        allow_hosts: Vec<At<Text>>,
        /// Programs that probes may run: each a list of its path and its arguments, word for word. Default: none.
        allow_commands: Vec<At<Vec<At<Text>>>>,
    }
}

record! {
    /// Labels on apps.
    Labels {
        /// `key: value` by which an app opts in, as one pair. Default: `{ chaos: opt-in }`.
        opt_in: std::collections::BTreeMap<String, Text>,
        /// The label that names the owning team. Default: team.
        team: Text,
    }
}

/// `sqlite`; anything else is refused.
#[derive(Clone, Debug, PartialEq, Eq, schemars::JsonSchema)]
pub enum Store {
    /// The embedded one.
    #[schemars(rename = "sqlite")]
    Sqlite,
}

impl Read for Store {
    fn read(node: &Node, scribe: &mut Scribe) -> Option<Self> {
        match &node.kind {
            Kind::Scalar { text, .. } if text == "sqlite" => return Some(Self::Sqlite),
            Kind::Map(_) => scribe.error_unseen(
                node.at,
                "only `sqlite` is built into this version",
                "write `store: sqlite`, and run one operator",
            ),
            _ => scribe.error(
                node.at,
                "only `sqlite` is built into this version",
                "write `store: sqlite`, and run one operator",
            ),
        }
        None
    }
}
