//! Requests on a fixed grid, and what counts as a bad answer.
//!
//! Open loop: every request goes out at its own moment, whether or not the earlier ones were
//! answered. Waiting for answers would ask a struggling service less often exactly when it matters.
//! Each request has its own connection, as a new user has; none is retried, none follows a redirect.

use super::addresses::Door;
use crate::model::experiment::{Reading, StatusRange};
use futures_util::future::join_all;
use regex::Regex;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout_at};
use url::Url;

/// How much of a body is read and compared.
const MOST_BODY: usize = 64 * 1024;

/// More requests than this in one sample are not sent.
const MOST_REQUESTS: u32 = 50;

/// One probe, as its policy has it.
pub(super) struct Question<'a> {
    pub url: &'a str,
    pub requests: u32,
    pub status: &'a [StatusRange],
    pub body_matches: Option<&'a str>,
    pub slower_than: Option<Duration>,
}

/// Takes one sample: `requests` requests, spread over the first part of `timeout`, all of them over
/// at its end.
pub(super) async fn take(
    door: &Door,
    tls: &rustls::ClientConfig,
    question: &Question<'_>,
    timeout: Duration,
) -> Reading {
    let began = Instant::now();
    match prepare(door, tls, question, began + timeout).await {
        Ok(asker) => {
            asker
                .ask_all(question.requests.clamp(1, MOST_REQUESTS), began + timeout)
                .await
        }
        Err(why) => Reading::Blind { why },
    }
}

/// Everything that can go wrong before a request leaves: blind, because nothing was learnt.
async fn prepare(
    door: &Door,
    tls: &rustls::ClientConfig,
    question: &Question<'_>,
    deadline: Instant,
) -> Result<Asker, String> {
    let url = Url::parse(question.url).map_err(|error| format!("the URL can't be read: {error}"))?;
    let body = question.body_matches.map(Regex::new).transpose();
    let body = body.map_err(|error| format!("bodyMatches is no regular expression: {error}"))?;
    let addresses = timeout_at(deadline, door.url(&url)).await;
    let addresses = addresses.map_err(|_| "the host could not be resolved in time".to_owned())??;
    let client = Client::builder()
        .tls_backend_preconfigured(tls.clone())
        .dns_resolver(Pinned(addresses))
        .no_proxy()
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .pool_max_idle_per_host(0)
        .gzip(false)
        .user_agent(concat!("heartbreak-probe/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| format!("the HTTP client could not be made: {error}"))?;
    let (status, slower_than) = (question.status.to_vec(), question.slower_than);
    Ok(Asker {
        client,
        url,
        status,
        body,
        slower_than,
    })
}

/// Answers every name with the addresses that were checked.
struct Pinned(Vec<SocketAddr>);

impl Resolve for Pinned {
    fn resolve(&self, _name: Name) -> Resolving {
        let addresses: Addrs = Box::new(self.0.clone().into_iter());
        Box::pin(std::future::ready(Ok(addresses)))
    }
}

struct Asker {
    client: Client,
    url: Url,
    status: Vec<StatusRange>,
    body: Option<Regex>,
    slower_than: Option<Duration>,
}

/// What one request has shown.
enum Answer {
    Good(Duration),
    Bad(Duration),
    /// It never left, for a reason of our own.
    NotAsked(String),
}

impl Asker {
    async fn ask_all(&self, requests: u32, deadline: Instant) -> Reading {
        let began = Instant::now();
        let spread = self.spread(deadline.saturating_duration_since(began));
        // The same patience for each of them, however late it leaves.
        let patience = deadline.saturating_duration_since(began).saturating_sub(spread);
        if patience.is_zero() {
            return Reading::Blind {
                why: "resolving the host took all of the time".into(),
            };
        }
        let answers = join_all((0..requests).map(|number| {
            let departure = began + spread * number / requests;
            async move {
                sleep_until(departure).await;
                self.ask(patience).await
            }
        }));
        sum_up(answers.await)
    }

    /// Over how long the departures are spread: a quarter of the time, or with a latency line what
    /// is left of it beside that line, up to half; so that slow answers can still be told from none.
    fn spread(&self, left: Duration) -> Duration {
        match self.slower_than {
            Some(line) => left.saturating_sub(line).min(left / 2),
            None => left / 4,
        }
    }

    /// One request, from departure to the end of its body.
    async fn ask(&self, patience: Duration) -> Answer {
        let departure = Instant::now();
        let outcome = timeout_at(departure + patience, self.fetch()).await;
        let took = departure.elapsed();
        match outcome {
            Ok(Ok(true)) if self.slower_than.is_none_or(|line| took <= line) => Answer::Good(took),
            Ok(Ok(_)) | Err(_) => Answer::Bad(took),
            Ok(Err(error)) => match own_trouble(&error) {
                Some(why) => Answer::NotAsked(why),
                None => Answer::Bad(took),
            },
        }
    }

    /// Whether status and body are as they should be.
    async fn fetch(&self) -> Result<bool, reqwest::Error> {
        let response = self.client.get(self.url.clone()).send().await?;
        let code = response.status().as_u16();
        let status = self
            .status
            .iter()
            .any(|range| (range.from..=range.to).contains(&code));
        let body = read(response).await?;
        let text = String::from_utf8_lossy(&body);
        Ok(status && self.body.as_ref().is_none_or(|wanted| wanted.is_match(&text)))
    }
}

/// The beginning of a body. A body that breaks off is an error even where nobody looks at it: its
/// user did not get it either.
async fn read(mut response: Response) -> Result<Vec<u8>, reqwest::Error> {
    let mut body = vec![];
    while let Some(piece) = response.chunk().await? {
        let room = MOST_BODY - body.len();
        body.extend_from_slice(&piece[..piece.len().min(room)]);
        if body.len() == MOST_BODY {
            break;
        }
    }
    Ok(body)
}

fn sum_up(answers: Vec<Answer>) -> Reading {
    let (mut observed, mut bad, mut slowest, mut own) = (0, 0, Duration::ZERO, None);
    for answer in answers {
        match answer {
            Answer::Good(took) | Answer::Bad(took) => {
                observed += 1;
                bad += u32::from(matches!(answer, Answer::Bad(_)));
                slowest = slowest.max(took);
            }
            Answer::NotAsked(why) => own = Some(why),
        }
    }
    match own {
        Some(why) if observed == 0 => Reading::Blind { why },
        _ => Reading::Seen {
            observed,
            bad,
            slowest_ms: Some(u32::try_from(slowest.as_millis()).unwrap_or(u32::MAX)),
        },
    }
}

/// Why a request could not even be tried, when the reason is this machine's and not the service's.
fn own_trouble(error: &reqwest::Error) -> Option<String> {
    let mut next: Option<&(dyn Error + 'static)> = error.source();
    while let Some(cause) = next {
        if let Some(found) = cause.downcast_ref::<io::Error>().and_then(ours) {
            return Some(found);
        }
        next = cause.source();
    }
    None
}

/// Whether an I/O error speaks of this machine: no file descriptors, ports, memory or network.
pub(super) fn ours(error: &io::Error) -> Option<String> {
    use io::ErrorKind::{AddrNotAvailable, NetworkDown, NetworkUnreachable, OutOfMemory};
    // EMFILE and ENFILE have no kind of their own.
    let scarce = matches!(error.raw_os_error(), Some(23 | 24));
    let ours = scarce
        || matches!(
            error.kind(),
            AddrNotAvailable | NetworkDown | NetworkUnreachable | OutOfMemory
        );
    ours.then(|| format!("this machine could not connect: {error}"))
}

/// TLS for probes: the machine's roots, no client certificate, never the operator's credentials.
pub(super) fn tls() -> Result<rustls::ClientConfig, String> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS could not be set up: {error}"))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests;
