//! What the settings mean, with every default, and every reason why not.

mod people;

use super::{Auth, Cluster, HostRule, Mesos, Place, SecretPlace, Settings, Tls, raw};
use crate::model::ids::{AppId, ClusterName};
use crate::model::policy::{AppPattern, Freeze, Limits};
use crate::policy::problem::{Scribe, Span};
use crate::policy::raw::or_default;
use crate::policy::read::{At, Place as Where, Text, brief};
use crate::policy::validate::{IcsFrom, holidays, is_dns_label, number, web_address, word, zone};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Never hit, whatever anybody writes: ourselves.
const ALWAYS_FORBIDDEN: &str = "/heartbreak/**";
/// The quarantine must outlive a kill's deadline, our longest pause, the network and Marathon's
/// patience together (`reliability` §1.4); below this that can't be claimed.
const QUARANTINE_MIN: Duration = Duration::from_secs(120);

/// The secrets that the settings name, and where they name them.
pub type Secrets = Vec<(Span, SecretPlace)>;

/// Judges one settings file.
struct Judge<'s> {
    folder: &'s Path,
    scribe: &'s mut Scribe,
    secrets: Secrets,
}

/// Judges a settings file. `None` when anything at all was written down.
pub fn settings(file: &raw::SettingsFile, folder: &Path, scribe: &mut Scribe) -> Option<(Settings, Secrets)> {
    let mut judge = Judge {
        folder,
        scribe,
        secrets: vec![],
    };
    let settings = judge.settings(file)?;
    let Judge { scribe, secrets, .. } = judge;
    scribe.is_clean().then_some((settings, secrets))
}

impl Judge<'_> {
    fn settings(&mut self, file: &raw::SettingsFile) -> Option<Settings> {
        let raw::SettingsFile {
            place,
            api_version,
            kind,
            armed,
            state_dir,
            policy_dir,
            listen,
            clusters,
            limits,
            calendar,
            slack,
            api,
            outage,
            probes,
            labels,
            store,
            seed_file,
            quarantine,
        } = file;
        word(
            place.need(
                api_version,
                "apiVersion",
                "write `apiVersion: heartbreak/v1`",
                self.scribe,
            ),
            "heartbreak/v1",
            self.scribe,
        );
        word(
            place.need(kind, "kind", "write `kind: Settings`", self.scribe),
            "Settings",
            self.scribe,
        );
        match store.as_ref().map(|s| &s.value) {
            None | Some(raw::Store::Sqlite) => {}
        }
        let path = |text: &Option<At<Text>>, default: &str| -> PathBuf {
            self.folder.join(text.as_ref().map_or(default, |t| &t.value.0))
        };
        let (state_dir, policy_dir) = (
            path(state_dir, "/var/lib/heartbreak"),
            path(policy_dir, "/etc/heartbreak/policies"),
        );
        let listen = self.listen(listen);
        let list = place.need(
            clusters,
            "clusters",
            "write `clusters: [ { name: prod, marathon: { urls: [\"http://m1:8080\"] } } ]`",
            self.scribe,
        );
        if let Some(list) = list.filter(|l| l.value.is_empty()) {
            self.scribe
                .error(list.at, "`clusters` is an empty list", "name a Marathon");
        }
        let clusters: Option<Vec<_>> = list
            .map(|l| l.value.iter().map(|c| self.cluster(c)).collect::<Vec<_>>())?
            .into_iter()
            .collect();
        let limits = self.limits(&or_default(limits), &or_default(calendar));
        let slack = slack.as_ref().map(|s| self.slack(&s.value));
        let raw::Api { place: _, tokens } = &*or_default(api);
        let tokens = self.tokens(tokens.as_ref().map_or(&[], |t| &t.value));
        let outage = outage.as_ref().map(|o| self.outage(&o.value));
        let raw::Probes {
            place: _,
            allow_hosts,
            allow_commands,
        } = &*or_default(probes);
        let allow_commands = allow_commands
            .iter()
            .flat_map(|commands| &commands.value)
            .filter_map(|argv| self.command(argv))
            .collect();
        let allow_hosts = allow_hosts
            .iter()
            .flat_map(|h| &h.value)
            .filter_map(|h| self.host(h))
            .collect();
        let raw::Labels {
            place: _,
            opt_in,
            team,
        } = &*or_default(labels);
        let opt_in = self.opt_in(opt_in);
        let team_label = team
            .as_ref()
            .map_or_else(|| "team".to_owned(), |t| t.value.0.clone());
        let seed = seed_file
            .as_ref()
            .map(|f| self.secret(f.at, Place::File(self.folder.join(&f.value.0))));
        let tq = quarantine
            .as_ref()
            .map_or(Duration::from_secs(300), |q| q.value.0);
        if let Some(written) = quarantine
            .as_ref()
            .filter(|_| !(QUARANTINE_MIN..=Duration::from_secs(86_400)).contains(&tq))
        {
            self.scribe.error(
                written.at,
                format!("`quarantine` is {}; it may be 2m to 24h", brief(tq)),
                "it must be longer than an unanswered kill can still take effect: write for example `5m`",
            );
        }
        Some(Settings {
            armed: armed.as_ref().is_some_and(|a| a.value),
            state_dir,
            policy_dir,
            listen: listen?,
            clusters: clusters?,
            limits: limits?,
            opt_in: opt_in?,
            team_label,
            slack: match slack {
                Some(slack) => Some(slack?),
                None => None,
            },
            tokens,
            outage: match outage {
                Some(outage) => Some(outage?),
                None => None,
            },
            allow_hosts,
            allow_commands,
            seed,
            quarantine: tq,
        })
    }

    /// A program that probes may run. Its path is written out: no search path decides which one it is.
    fn command(&mut self, argv: &At<Vec<At<Text>>>) -> Option<Vec<String>> {
        if !argv
            .value
            .first()
            .is_some_and(|program| program.value.0.starts_with('/'))
        {
            self.scribe.error(
                argv.at,
                "an allowed command does not begin with the path of a program",
                "write it whole: `allowCommands: [ [\"/usr/local/bin/check\", \"cart\"] ]`",
            );
            return None;
        }
        Some(argv.value.iter().map(|word| word.value.0.clone()).collect())
    }

    fn listen(&mut self, text: &Option<At<Text>>) -> Option<SocketAddr> {
        let Some(text) = text else {
            return Some(SocketAddr::from(([127, 0, 0, 1], 9480)));
        };
        let parsed = text.value.0.parse().ok();
        if parsed.is_none() {
            self.scribe.error(
                text.at,
                format!("`{}` is not an address and a port", text.value.0),
                "write for example `127.0.0.1:9480` or `[::1]:9480`",
            );
        }
        parsed
    }

    fn secret(&mut self, at: Span, place: Place) -> SecretPlace {
        let secret = SecretPlace::new(place);
        self.secrets.push((at, secret.clone()));
        secret
    }

    /// A secret by `…File` or `…Env`: `None` when neither is written.
    fn optional_secret(
        &mut self,
        file: &Option<At<Text>>,
        env: &Option<At<Text>>,
        key: &str,
    ) -> Option<SecretPlace> {
        match (file, env) {
            (Some(file), None) => Some(self.secret(file.at, Place::File(self.folder.join(&file.value.0)))),
            (None, Some(env)) => {
                let good = env
                    .value
                    .0
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'_');
                if !good {
                    // Not repeated: it may be the secret.
                    self.scribe.error_unseen(
                        env.at,
                        format!("`{key}Env` is not the name of an environment variable"),
                        "write a name, such as `MARATHON_PASSWORD`",
                    );
                }
                Some(self.secret(env.at, Place::Env(env.value.0.clone()))).filter(|_| good)
            }
            (Some(_), Some(env)) => {
                self.scribe.error(
                    env.at,
                    format!("`{key}File` and `{key}Env` exclude each other"),
                    "keep one of them",
                );
                None
            }
            (None, None) => None,
        }
    }

    fn needed_secret(
        &mut self,
        place: &Where,
        file: &Option<At<Text>>,
        env: &Option<At<Text>>,
        key: &str,
    ) -> Option<SecretPlace> {
        let said = [
            file.is_some(),
            env.is_some(),
            place.refused,
            place.is_bad(&format!("{key}File")),
            place.is_bad(&format!("{key}Env")),
        ];
        if !said.contains(&true) {
            self.scribe.error(place.at, format!("`{key}File` or `{key}Env` is missing"), format!("write `{key}File: /path/to/it` or `{key}Env: NAME`; a secret is never written in this file"));
        }
        self.optional_secret(file, env, key)
    }

    fn url(&mut self, text: &At<Text>) -> Option<url::Url> {
        match web_address(&text.value.0) {
            Ok(url) => Some(url),
            Err((what, help)) => {
                self.scribe.error_unseen(text.at, what, help);
                None
            }
        }
    }

    fn cluster(&mut self, raw: &raw::Cluster) -> Option<Cluster> {
        let raw::Cluster {
            place,
            name,
            marathon,
            auth,
            tls,
            framework_id,
            mesos,
        } = raw;
        let name = place.need(name, "name", "write `name: prod`", self.scribe);
        if let Some(name) = name.filter(|n| !is_dns_label(&n.value.0)) {
            self.scribe.error(
                name.at,
                format!("`{}` is not a cluster name", name.value.0),
                "use 1 to 63 lower-case letters, digits and `-`",
            );
        }
        let marathon = place.need(
            marathon,
            "marathon",
            "write `marathon: { urls: [\"http://m1:8080\"] }`",
            self.scribe,
        );
        let urls = marathon.and_then(|m| {
            let raw::Marathon {
                place,
                urls,
                leader_hosts: _,
                max_list_mib: _,
                max_body_mib: _,
                kill_retry: _,
            } = &m.value;
            let list = place.need(urls, "urls", "write `urls: [\"http://m1:8080\"]`", self.scribe)?;
            if list.value.is_empty() {
                self.scribe.error(
                    list.at,
                    "`urls` is an empty list",
                    "write the address of every Marathon master",
                );
            }
            let urls: Vec<_> = list.value.iter().map(|u| self.url(u)).collect();
            urls.into_iter().collect::<Option<Vec<_>>>()
        });
        let limits = marathon.map(|m| self.marathon_limits(&m.value));
        let auth = match auth {
            Some(auth) => self.auth(&auth.value),
            None => Some(Auth::None),
        };
        let mesos = mesos.as_ref().map(|m| self.mesos(&m.value, urls.as_deref()));
        let tls = self.tls(&or_default(tls));
        let (leader_hosts, max_list_bytes, max_body_bytes, kill_retry) = limits?;
        Some(Cluster {
            name: ClusterName::new(name?.value.0.clone()),
            urls: urls?,
            auth: auth?,
            tls: tls?,
            framework_id: framework_id.as_ref().map(|f| f.value.0.clone()),
            mesos: match mesos {
                Some(mesos) => Some(mesos?),
                None => None,
            },
            leader_hosts,
            max_list_bytes,
            max_body_bytes,
            kill_retry,
        })
    }

    /// What of `marathon` has defaults.
    fn marathon_limits(&mut self, raw: &raw::Marathon) -> (BTreeSet<String>, usize, usize, Duration) {
        let mut mib = |field, key, default| {
            let help = "these are MiB: write for example 64";
            let most = number(field, key, 1..=4_096, default, help, self.scribe);
            usize::try_from(u64::from(most) << 20).unwrap_or(usize::MAX)
        };
        let list = mib(&raw.max_list_mib, "maxListMib", 512);
        let body = mib(&raw.max_body_mib, "maxBodyMib", 8);
        let retry = raw
            .kill_retry
            .as_ref()
            .map_or(Duration::from_secs(30), |r| r.value.0);
        let usual = (Duration::from_secs(1)..=Duration::from_secs(600)).contains(&retry);
        if let Some(written) = raw.kill_retry.as_ref().filter(|_| !usual) {
            self.scribe.error(
                written.at,
                format!("`killRetry` is {}; it may be 1s to 10m", brief(retry)),
                "write what Marathon's `--kill_retry_timeout` says, or nothing: its default is 30s",
            );
        }
        let mut hosts = BTreeSet::new();
        for host in raw.leader_hosts.iter().flat_map(|h| &h.value) {
            let text = &host.value.0;
            let read = url::Url::parse(&format!("http://{text}"));
            let plain = read.is_ok_and(|url| {
                let with_port = |port| format!("{}:{port}", url.host_str().unwrap_or_default());
                let bare = url.host_str() == Some(text);
                bare || url.port_or_known_default().is_some_and(|p| with_port(p) == *text)
            });
            if plain {
                hosts.insert(text.clone());
            } else {
                self.scribe.error(
                    host.at,
                    format!("`{text}` is not a host, or a host and a port"),
                    "write it as Marathon's `X-Marathon-Leader` has it, without `http://`: `10.0.0.5:8080`",
                );
            }
        }
        (hosts, list, body, retry)
    }

    fn mesos(&mut self, raw: &raw::Mesos, marathon: Option<&[url::Url]>) -> Option<Mesos> {
        let raw::Mesos { place, urls, auth } = raw;
        let list = place.need(urls, "urls", "write `urls: [\"http://m1:5050\"]`", self.scribe)?;
        if list.value.is_empty() {
            self.scribe.error(
                list.at,
                "`urls` is an empty list",
                "write the address of every Mesos master, or remove `mesos`",
            );
        }
        let urls: Vec<_> = list.value.iter().map(|u| self.url(u)).collect();
        let urls = urls.into_iter().collect::<Option<Vec<_>>>()?;
        let login = matches!(auth.as_ref().map(|a| a.value), Some(raw::MesosAuth::Marathon));
        let https = |urls: &[url::Url]| urls.iter().all(|u| u.scheme() == "https");
        if let Some(auth) = auth
            .as_ref()
            .filter(|_| login && marathon.is_some_and(https) && !https(&urls))
        {
            self.scribe.error(
                auth.at,
                "Marathon's login would go to a Mesos master in plain text",
                "write every address of `mesos.urls` with https://, or `auth: none`",
            );
        }
        Some(Mesos { urls, login })
    }

    fn auth(&mut self, raw: &raw::Auth) -> Option<Auth> {
        let raw::Auth { place, basic, dcos } = raw;
        match (basic, dcos) {
            (Some(basic), None) => {
                let raw::Basic {
                    place,
                    user,
                    password_file,
                    password_env,
                } = &basic.value;
                let user = place.need(user, "user", "write `user: chaos`", self.scribe);
                let password = self.needed_secret(place, password_file, password_env, "password");
                Some(Auth::Basic {
                    user: user?.value.0.clone(),
                    password: password?,
                })
            }
            (None, Some(dcos)) => {
                let raw::Dcos {
                    place,
                    login_url,
                    service_account,
                    key_file,
                    key_env,
                } = &dcos.value;
                let login = place.need(
                    login_url,
                    "loginUrl",
                    "write `loginUrl: \"https://MASTER/acs/api/v1/auth/login\"`",
                    self.scribe,
                );
                let account = place.need(
                    service_account,
                    "serviceAccount",
                    "write the uid of the service account",
                    self.scribe,
                );
                let key = self.needed_secret(place, key_file, key_env, "key");
                let login = login.and_then(|l| self.url(l));
                Some(Auth::Dcos {
                    login_url: login?,
                    service_account: account?.value.0.clone(),
                    key: key?,
                })
            }
            _ => {
                if place.bad.is_empty() {
                    self.scribe.error(
                        place.at,
                        "`auth` needs exactly one of `basic` and `dcos`",
                        "keep one, or remove `auth`",
                    );
                }
                None
            }
        }
    }

    fn tls(&mut self, raw: &raw::Tls) -> Option<Tls> {
        let raw::Tls {
            place,
            ca_file,
            cert_file,
            key_file,
        } = raw;
        if cert_file.is_some() != key_file.is_some() && place.bad.is_empty() {
            self.scribe.error(
                place.at,
                "`certFile` and `keyFile` belong together",
                "write both, or neither",
            );
        }
        let client = match (cert_file, key_file) {
            (Some(cert), Some(key)) => Some((
                self.folder.join(&cert.value.0),
                self.secret(key.at, Place::File(self.folder.join(&key.value.0))),
            )),
            _ => None,
        };
        Some(Tls {
            ca_file: ca_file.as_ref().map(|f| self.folder.join(&f.value.0)),
            client,
        })
    }

    fn limits(&mut self, raw: &raw::Limits, calendar: &raw::Calendar) -> Option<Limits> {
        let raw::Limits {
            place: _,
            tasks_down,
            kills_per_hour,
            kills_per_workday,
            forbidden_apps,
            freezes,
        } = raw;
        let raw::Calendar {
            place: _,
            timezone,
            holidays: dates,
            holidays_until,
        } = calendar;
        // Zero means zero: a cluster on which nothing may be killed is a sensible wish here.
        let mut limit = |field, key, default| {
            number(
                field,
                key,
                0..=100_000,
                default,
                "write a whole number",
                self.scribe,
            )
        };
        let tasks_down = limit(tasks_down, "tasksDown", 3);
        let kills_per_hour = limit(kills_per_hour, "killsPerHour", 10);
        let kills_per_workday = limit(kills_per_workday, "killsPerWorkday", 20);
        let mut forbidden = vec![
            AppPattern(ALWAYS_FORBIDDEN.to_owned()),
            AppPattern("/heartbreak".to_owned()),
        ];
        for app in forbidden_apps.iter().flat_map(|f| &f.value) {
            if AppId::parse(&app.value.0.replace('*', "a")).is_err() {
                self.scribe.error(
                    app.at,
                    format!("`{}` names no app", app.value.0),
                    "write an absolute id such as `/shop/payments`, or a pattern such as `/shop/**`",
                );
            }
            let pattern = AppPattern(app.value.0.clone());
            if !forbidden.contains(&pattern) {
                forbidden.push(pattern);
            }
        }
        let mut spans = vec![];
        for freeze in freezes.iter().flat_map(|f| &f.value) {
            let raw::Freeze { place, from, to, why } = freeze;
            let from = place.need(from, "from", "write `from: 2026-12-18`", self.scribe);
            let to = place.need(to, "to", "write `to: 2027-01-07`", self.scribe);
            let why = place.need(
                why,
                "why",
                "write the reason: it is shown to whoever asks why nothing happens",
                self.scribe,
            );
            let (Some(from), Some(to), Some(why)) = (from, to, why) else {
                continue;
            };
            if to.value.0 < from.value.0 {
                self.scribe.error(
                    to.at,
                    "the freeze ends before it starts",
                    "swap the dates; both are part of it",
                );
            }
            spans.push(Freeze {
                from: from.value.0,
                to: to.value.0,
                why: why.value.0.clone(),
            });
        }
        let timezone = match timezone {
            Some(text) => zone(text, self.scribe)?,
            None => chrono_tz::UTC,
        };
        let (holidays, covered) = holidays(dates, holidays_until, IcsFrom::Anywhere, self.scribe);
        Some(Limits {
            tasks_down,
            kills_per_hour,
            kills_per_workday,
            forbidden_apps: forbidden,
            freezes: spans,
            timezone,
            holidays,
            covered,
        })
    }

    fn host(&mut self, text: &At<Text>) -> Option<HostRule> {
        let word = &text.value.0;
        let is_name = |name: &str| {
            name.len() <= 253
                && !name.is_empty()
                && name.split('.').all(|l| is_dns_label(&l.to_ascii_lowercase()))
        };
        let rule = match word.split_once('/') {
            Some((address, bits)) => match (address.parse::<IpAddr>(), bits.parse::<u8>()) {
                (Ok(address), Ok(bits)) if bits <= if address.is_ipv4() { 32 } else { 128 } => {
                    Some(HostRule::Net { address, bits })
                }
                _ => None,
            },
            None => match (word.parse::<IpAddr>(), word.strip_prefix("*.")) {
                (Ok(address), _) => Some(HostRule::Net {
                    address,
                    bits: if address.is_ipv4() { 32 } else { 128 },
                }),
                (_, Some(domain)) if is_name(domain) => Some(HostRule::Under(domain.to_ascii_lowercase())),
                (_, None) if is_name(word) => Some(HostRule::Name(word.to_ascii_lowercase())),
                _ => None,
            },
        };
        if rule.is_none() {
            self.scribe.error(
                text.at,
                format!("`{word}` is not a host, a domain or a network"),
                "write for example `cart.example.net`, `*.example.net`, `10.0.0.0/8` or `10.1.2.3`",
            );
        }
        rule
    }

    fn opt_in(
        &mut self,
        field: &Option<At<std::collections::BTreeMap<String, Text>>>,
    ) -> Option<(String, String)> {
        let Some(field) = field else {
            return Some(("chaos".to_owned(), "opt-in".to_owned()));
        };
        let mut pairs = field.value.iter();
        match (pairs.next(), pairs.next()) {
            (Some((key, value)), None) if !key.is_empty() => Some((key.clone(), value.0.clone())),
            _ => {
                self.scribe.error(
                    field.at,
                    "`optIn` needs exactly one label",
                    "write for example `optIn: { chaos: opt-in }`",
                );
                None
            }
        }
    }
}
