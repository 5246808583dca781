//! One GET over its own connection to a checked address, and how long each of its stages took.
//!
//! No redirect is followed, nothing is retried, no proxy is asked, and nothing of the operator's is
//! sent along. The connection goes to an address that [`Door`] has just checked and to no other, so a
//! name that leads elsewhere a moment later has no say in it.

use super::addresses::{Door, NoAddress};
use crate::model::experiment::Phases;
use bytes::Bytes;
use chrono::{DateTime, FixedOffset};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper::header;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use url::Url;

/// How much of the head of an answer is read.
const MOST_HEAD: usize = 64 * 1024;

/// How much of a body a probe reads (`reliability` §6.5).
pub(super) const MOST_BODY: usize = 64 * 1024;

/// Where a GET goes, checked.
#[derive(Clone)]
pub(super) struct Target {
    pub url: Url,
    addresses: Vec<SocketAddr>,
    tls: Arc<rustls::ClientConfig>,
}

/// An answer, whatever its status.
pub(super) struct Answer {
    pub status: u16,
    /// The date by the server's own clock, as it wrote it.
    pub date: Option<String>,
    pub body: Vec<u8>,
    /// Whether that is all of it.
    pub whole: bool,
    pub phases: Phases,
}

impl Answer {
    /// The moment of the answer by the server's own clock, in whole seconds; `None` where it tells none.
    pub fn now(&self) -> Option<DateTime<FixedOffset>> {
        DateTime::parse_from_rfc2822(self.date.as_deref()?).ok()
    }
}

/// No answer, or none that could be read to its end.
pub(super) struct Failure {
    pub why: Why,
    pub phases: Phases,
}

/// Why not.
#[derive(Debug)]
pub(super) enum Why {
    /// For a reason of this machine: nothing was learnt about the other side.
    Ours(String),
    /// Nobody answered: refused, reset, silent until the deadline.
    Silence(String),
    /// Somebody answered, but not to the end, or not in HTTP, or without being who it should be.
    Broken(String),
}

impl Why {
    pub fn into_words(self) -> String {
        match self {
            Self::Ours(why) | Self::Silence(why) | Self::Broken(why) => why,
        }
    }
}

impl Target {
    /// Resolves and checks the host of a URL, until the deadline.
    pub async fn find(
        door: &Door,
        tls: &Arc<rustls::ClientConfig>,
        url: Url,
        deadline: Instant,
    ) -> Result<Self, NoAddress> {
        let addresses = timeout_at(deadline, door.url(&url)).await;
        let addresses = addresses
            .map_err(|_| NoAddress::Unresolved("the host could not be resolved in time".to_owned()))??;
        Ok(Self {
            url,
            addresses,
            tls: tls.clone(),
        })
    }

    /// `host:port`, for people: a path or a query may say more than they should see.
    pub fn place(&self) -> String {
        place(&self.url)
    }

    /// One GET, from departure to the end of its body or to the deadline.
    pub async fn get(&self, deadline: Instant, most_body: usize) -> Result<Answer, Failure> {
        let departure = Instant::now();
        let mut phases = Phases::default();
        let outcome = timeout_at(deadline, self.stages(&mut phases, departure, deadline, most_body)).await;
        phases.total_ms = Some(millis(departure.elapsed()));
        match outcome {
            Ok(Ok(answer)) => Ok(Answer { phases, ..answer }),
            Ok(Err(why)) => Err(Failure { why, phases }),
            Err(_) => {
                let spent = format!("{} s", (departure.elapsed().as_secs_f64() * 10.0).round() / 10.0);
                let why = match phases.first_byte_ms {
                    Some(_) => Why::Broken(format!(
                        "{} did not finish its answer within {spent}",
                        self.place()
                    )),
                    None => Why::Silence(format!("{} did not answer within {spent}", self.place())),
                };
                Err(Failure { why, phases })
            }
        }
    }

    async fn stages(
        &self,
        phases: &mut Phases,
        departure: Instant,
        deadline: Instant,
        most_body: usize,
    ) -> Result<Answer, Why> {
        let stream = connect(&self.addresses, &self.place(), deadline).await?;
        phases.connect_ms = Some(millis(departure.elapsed()));
        if self.url.scheme() != "https" {
            return self.talk(TokioIo::new(stream), phases, most_body).await;
        }
        let host = self.url.host_str().unwrap_or_default();
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
            .map_err(|_| Why::Ours(format!("{host} can be no name in a certificate")))?;
        let began = Instant::now();
        let stream = TlsConnector::from(self.tls.clone()).connect(name, stream).await;
        let stream =
            stream.map_err(|error| Why::Broken(format!("TLS with {} failed: {error}", self.place())))?;
        phases.tls_ms = Some(millis(began.elapsed()));
        self.talk(TokioIo::new(stream), phases, most_body).await
    }

    async fn talk<S>(&self, stream: TokioIo<S>, phases: &mut Phases, most_body: usize) -> Result<Answer, Why>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let began = Instant::now();
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(MOST_HEAD)
            .handshake(stream)
            .await
            .map_err(|error| self.failed(&error))?;
        // Ends with this request, however it ends.
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        let path = match self.url.query() {
            Some(query) => format!("{}?{query}", self.url.path()),
            None => self.url.path().to_owned(),
        };
        let request = hyper::Request::get(path)
            .header(
                header::HOST,
                &self.url[url::Position::BeforeHost..url::Position::AfterPort],
            )
            .header(
                header::USER_AGENT,
                concat!("heartbreak-probe/", env!("CARGO_PKG_VERSION")),
            )
            .header(header::ACCEPT, "*/*")
            .header(header::CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(|error| Why::Ours(format!("the request can't be written: {error}")))?;
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| self.failed(&error))?;
        phases.first_byte_ms = Some(millis(began.elapsed()));
        let status = response.status().as_u16();
        let date = response.headers().get(header::DATE).and_then(|d| d.to_str().ok());
        let date = date.map(str::to_owned);
        let (body, whole) = self.read(response.into_body(), most_body).await?;
        Ok(Answer {
            status,
            date,
            body,
            whole,
            phases: Phases::default(),
        })
    }

    /// The beginning of a body. A body that breaks off is an error even where nobody looks at it:
    /// its user did not get it either.
    async fn read(&self, mut body: hyper::body::Incoming, most: usize) -> Result<(Vec<u8>, bool), Why> {
        let mut read = vec![];
        while let Some(frame) = body.frame().await {
            let frame = frame
                .map_err(|error| Why::Broken(format!("the answer of {} broke off: {error}", self.place())))?;
            let Ok(piece) = frame.into_data() else { continue };
            let room = most - read.len();
            read.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.len() > room {
                return Ok((read, false));
            }
        }
        Ok((read, true))
    }

    fn failed(&self, error: &hyper::Error) -> Why {
        let cause = std::error::Error::source(error).and_then(|c| c.downcast_ref::<io::Error>());
        if let Some(why) = cause.and_then(ours) {
            return Why::Ours(why);
        }
        let place = self.place();
        match cause {
            Some(cause) => Why::Silence(format!("{place} broke the connection: {cause}")),
            None if error.is_incomplete_message() || error.is_closed() || error.is_canceled() => {
                Why::Silence(format!("{place} closed the connection without an answer"))
            }
            None => Why::Broken(format!("{place} does not speak HTTP: {error}")),
        }
    }
}

/// `host:port` of a URL.
pub(super) fn place(url: &Url) -> String {
    let host = url.host_str().unwrap_or("?");
    match url.port_or_known_default() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// A connection to the first address that lets it in. Each gets its share of the time, so that a dead
/// first one does not hide the others.
pub(super) async fn connect(
    addresses: &[SocketAddr],
    place: &str,
    deadline: Instant,
) -> Result<TcpStream, Why> {
    let left = deadline.saturating_duration_since(Instant::now());
    let each = left / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
    let (mut silent, mut own) = (None, None);
    for address in addresses {
        match timeout_at(Instant::now() + each, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => match ours(&error) {
                Some(why) => own = Some(why),
                None => silent = Some(format!("{place} can't be connected to: {error}")),
            },
            Err(_) => silent = Some(format!("{place} did not take the connection")),
        }
    }
    Err(match (silent, own) {
        (None, Some(own)) => Why::Ours(own),
        (silent, _) => Why::Silence(silent.unwrap_or_else(|| format!("{place} has no address"))),
    })
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
pub(super) fn tls() -> Result<Arc<rustls::ClientConfig>, String> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS could not be set up: {error}"))?;
    Ok(Arc::new(
        config.with_root_certificates(roots).with_no_client_auth(),
    ))
}

/// Whole milliseconds, rounded down.
pub(super) fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

/// Text from outside for people: one line, no control characters, at most 200 characters.
pub(super) fn excerpt(text: &str) -> String {
    let mut line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(200)
        .collect();
    if text.chars().count() > 200 {
        line.push('…');
    }
    line.trim().to_owned()
}
