//! Adapter: takes readings over HTTP and TCP, from where the settings let it.

pub mod addresses;
mod http;
mod tcp;

pub use addresses::{AllowList, Denied, Resolver, SystemResolver};

use crate::model::experiment::{ProbeSpec, Reading, Source};
use crate::ports::prober::Prober;
use addresses::Door;
use async_trait::async_trait;
use std::time::Duration;

/// What probes may reach.
#[derive(Clone, Debug, Default)]
pub struct ProbeOptions {
    /// `probes.allowHosts`: host globs, addresses and networks. Without any only public addresses.
    pub allow_hosts: Vec<String>,
    /// URLs or `host:port` that no probe may reach whatever is allowed: our own listener, Marathon.
    pub denied: Vec<String>,
}

/// Takes readings over HTTP and TCP.
pub struct Probes {
    door: Door,
    tls: rustls::ClientConfig,
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
        match (http::tls(), problems.is_empty()) {
            (Ok(tls), true) => Ok(Self {
                door: Door {
                    allow,
                    denied,
                    resolver,
                },
                tls,
            }),
            (tls, _) => {
                problems.extend(tls.err());
                Err(problems)
            }
        }
    }
}

#[async_trait]
impl Prober for Probes {
    async fn take(&self, probe: &ProbeSpec, timeout: Duration) -> Reading {
        match &probe.source {
            Source::Http {
                url,
                requests,
                status,
                body_matches,
                slower_than,
            } => {
                let question = http::Question {
                    url,
                    requests: *requests,
                    status,
                    body_matches: body_matches.as_deref(),
                    slower_than: *slower_than,
                };
                http::take(&self.door, &self.tls, &question, timeout).await
            }
            Source::Tcp { address } => tcp::take(&self.door, address, timeout).await,
            Source::Marathon => Reading::Blind {
                why: "this probe is counted from task rows, not taken over the network".into(),
            },
        }
    }
}

#[cfg(test)]
mod tests;
