//! Adapter: takes readings, from where the settings let it. One file for each source.

pub mod addresses;
mod command;
mod graphite;
mod haproxy;
mod http;
mod influxdb;
mod json;
mod number;
mod prometheus;
mod tcp;
mod wire;

pub use addresses::{AllowList, Denied, Resolver, SystemResolver};

use crate::model::experiment::{ProbeSpec, Reading, Source};
use crate::model::ids::{ProbeName, RunId};
use crate::ports::prober::{Patience, Prober};
use addresses::Door;
use async_trait::async_trait;
use futures_util::future::join_all;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use url::Url;

/// What a probe remembers is forgotten after this long without a look: what happened in between was
/// not watched by anybody.
const MEMORY_MAX: Duration = Duration::from_secs(15 * 60);

/// What probes may reach.
#[derive(Clone, Debug, Default)]
pub struct ProbeOptions {
    /// `probes.allowHosts`: host globs, addresses and networks. Without any only public addresses.
    pub allow_hosts: Vec<String>,
    /// `probes.allowCommands`: programs with their arguments, word for word. Without any, none is run.
    pub allow_commands: Vec<Vec<String>>,
    /// URLs or `host:port` that no probe may reach whatever is allowed: our own listener, Marathon.
    pub denied: Vec<String>,
}

/// Takes readings.
pub struct Probes {
    door: Door,
    tls: Arc<rustls::ClientConfig>,
    commands: Vec<Vec<String>>,
    memories: Mutex<HashMap<Whose, Memory>>,
}

/// A probe of a run; within a group of vantage points also which of them.
type Whose = (RunId, ProbeName, usize);

/// What a source remembers from one look to the next.
#[derive(Clone, Debug, Default)]
struct Memory {
    /// The last look at the counters of each balancer.
    looks: BTreeMap<String, haproxy::Look>,
    /// The pool of those balancers, as last told.
    pool: BTreeMap<String, crate::model::experiment::Pooled>,
    /// The part of a bad request that rounding has left over, 0 to 1.
    carried: f64,
    /// The time of the last bucket that was counted.
    bucket: Option<i64>,
    /// When it was last used.
    used: Option<Instant>,
}

/// How a metric system is asked: checked addresses, one deadline.
struct Ask<'a> {
    door: &'a Door,
    tls: &'a Arc<rustls::ClientConfig>,
    deadline: Instant,
    /// The distance of samples: answers that are older than two of them are stale.
    every: Duration,
}

impl Ask<'_> {
    /// The oldest that an answer may be: two samples.
    fn oldest(&self) -> Duration {
        self.every * 2
    }

    /// One GET.
    ///
    /// # Errors
    ///
    /// A sentence when there was no whole answer.
    async fn get(&self, url: Url, most_body: usize) -> Result<wire::Answer, String> {
        let target = wire::Target::find(self.door, self.tls, url, self.deadline).await;
        let target = target.map_err(|why| why.to_string())?;
        let answer = target.get(self.deadline, most_body).await;
        let answer = answer.map_err(|failure| failure.why.into_words())?;
        match answer.whole {
            true => Ok(answer),
            false => Err(format!(
                "the answer of {} is longer than {} KiB",
                target.place(),
                most_body / 1024
            )),
        }
    }
}

/// What to say of a status that no answer of a metric system should have.
fn strange(status: u16) -> String {
    match status {
        300..400 => format!("the answer is {status}, a redirect; probes follow none"),
        _ => format!("the answer is status {status}"),
    }
}

impl Probes {
    /// Probes with the resolver of this machine.
    ///
    /// # Errors
    ///
    /// One sentence for each option that can't be read.
    pub fn new(options: &ProbeOptions) -> Result<Self, Vec<String>> {
        Self::with_resolver(options, Box::new(SystemResolver))
    }

    /// Probes with a resolver of the caller's.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn with_resolver(options: &ProbeOptions, resolver: Box<dyn Resolver>) -> Result<Self, Vec<String>> {
        let mut problems = vec![];
        let allow = AllowList::parse(&options.allow_hosts).unwrap_or_else(|found| {
            problems.extend(found);
            AllowList::default()
        });
        let denied: Vec<Denied> = options
            .denied
            .iter()
            .filter_map(|text| Denied::parse(text).map_err(|problem| problems.push(problem)).ok())
            .collect();
        match (wire::tls(), problems.is_empty()) {
            (Ok(tls), true) => Ok(Self {
                door: Door {
                    allow,
                    denied,
                    resolver,
                },
                tls,
                commands: options.allow_commands.clone(),
                memories: Mutex::default(),
            }),
            (tls, _) => {
                problems.extend(tls.err());
                Err(problems)
            }
        }
    }

    /// One reading of one source.
    async fn one(
        &self,
        source: &Source,
        probe: &ProbeSpec,
        timing: Patience,
        memory: &mut Memory,
    ) -> Reading {
        let timeout = timing.timeout;
        let rule = probe.value.as_ref();
        let ask = &Ask {
            door: &self.door,
            tls: &self.tls,
            deadline: Instant::now() + timeout,
            every: probe.every.unwrap_or(timing.interval),
        };
        match source {
            Source::Http(http) => http::take(&self.door, &self.tls, http, timing).await,
            Source::Tcp { address } => tcp::take(&self.door, address, timeout).await,
            Source::Prometheus(source) => prometheus::take(ask, source, rule, memory).await,
            Source::Haproxy(source) => haproxy::take(ask, source, memory).await,
            Source::Graphite(source) => graphite::take(ask, source, rule, memory).await,
            Source::Influxdb(source) => influxdb::take(ask, source, rule, memory).await,
            Source::Command { argv } => command::take(&self.commands, argv, rule, timeout, memory).await,
            Source::Marathon => {
                Reading::blind("this probe is counted from task rows, not taken over the network")
            }
            Source::AnyOf(_) => Reading::blind("a group of vantage points can't stand in a group"),
        }
    }

    /// One reading of a source that may remember the last one.
    async fn remembering(
        &self,
        whose: Whose,
        source: &Source,
        probe: &ProbeSpec,
        timing: Patience,
    ) -> Reading {
        let lock = || self.memories.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let fresh = |memory: &Memory| memory.used.is_some_and(|used| now - used <= MEMORY_MAX);
        // Taken out while it is used: a look that nobody waits for any more leaves nothing behind.
        let mut memory = lock().remove(&whose).filter(fresh).unwrap_or_default();
        let reading = self.one(source, probe, timing, &mut memory).await;
        memory.used = Some(now);
        let mut memories = lock();
        memories.retain(|_, memory| fresh(memory));
        memories.insert(whose, memory);
        reading
    }
}

#[async_trait]
impl Prober for Probes {
    async fn take(&self, run: &RunId, probe: &ProbeSpec, timing: Patience) -> Reading {
        let whose = |number| (run.clone(), probe.name.clone(), number);
        let Source::AnyOf(group) = &probe.source else {
            return self.remembering(whose(0), &probe.source, probe, timing).await;
        };
        let readings = join_all(
            group
                .sources
                .iter()
                .enumerate()
                .map(|(number, source)| async move {
                    let reading = self.remembering(whose(number), source, probe, timing).await;
                    (format!("{} {source}", source.kind()), reading)
                }),
        );
        Reading::of_vantages(readings.await, group.quorum)
    }
}

#[cfg(test)]
mod tests;
