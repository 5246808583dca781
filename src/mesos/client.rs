//! Asks the masters in turn until the one that leads has answered.

use super::convert;
use crate::model::ids::ClusterName;
use crate::model::snapshot::Agent;
use async_trait::async_trait;
use reqwest::header;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use url::Url;

/// Most bytes of the list of agents, unpacked: ten thousand agents of 6 KiB.
const LIST_MAX: usize = 64 << 20;
/// Redirects followed by hand before giving up.
const HOPS: usize = 3;

/// Who signs our requests, where the masters want that.
#[async_trait]
pub trait Login: Send + Sync {
    /// The value of `Authorization`, marked sensitive.
    ///
    /// # Errors
    ///
    /// A sentence without any secret; nothing was asked then.
    async fn authorization(&self) -> Result<Option<header::HeaderValue>, String>;

    /// A master did not take the last one.
    fn forget(&self);
}

/// Everything a client needs.
#[derive(Clone)]
pub struct Options {
    /// Name of the cluster in the settings.
    pub cluster: ClusterName,
    /// Base addresses of the masters, tried in this order; a path in front of `/slaves` is allowed
    /// (`/mesos` behind DC/OS's Admin Router).
    pub urls: Vec<Url>,
    /// `None`: no credentials are sent.
    pub login: Option<Arc<dyn Login>>,
    /// Certificates.
    pub tls: Arc<rustls::ClientConfig>,
    /// For a connection with its TLS handshake.
    pub connect_timeout: Duration,
    /// For one whole answer.
    pub read_timeout: Duration,
}

/// Why no client could be made. Nothing was sent.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the Mesos masters of {cluster}: {why}")]
pub struct SetupError {
    /// Which cluster.
    pub cluster: ClusterName,
    /// In a sentence.
    pub why: String,
}

/// The masters of one cluster.
pub struct Client {
    options: Options,
    http: reqwest::Client,
    /// The one that answered last.
    led: Mutex<Option<Url>>,
}

impl Client {
    /// Makes a client; sends nothing.
    ///
    /// # Errors
    ///
    /// When the addresses can't be used, in a sentence.
    pub fn new(options: Options) -> Result<Self, SetupError> {
        let refuse = |why: String| SetupError {
            cluster: options.cluster.clone(),
            why,
        };
        if options.urls.is_empty() {
            return Err(refuse("no address is configured".to_owned()));
        }
        let plain = |url: &Url| {
            matches!(url.scheme(), "http" | "https")
                && url.host_str().is_some()
                && url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
        };
        if let Some(bad) = options.urls.iter().find(|url| !plain(url)) {
            return Err(refuse(format!(
                "the address of {} must be http:// or https://, without credentials or a query",
                bad.host_str().unwrap_or("a master")
            )));
        }
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured((*options.tls).clone())
            .retry(reqwest::retry::never())
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .http1_only()
            .connect_timeout(options.connect_timeout)
            .user_agent(concat!("heartbreak/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| refuse(format!("the HTTP client could not be made: {}", sentence(&e))))?;
        Ok(Self {
            options,
            http,
            led: Mutex::default(),
        })
    }

    /// Every agent that the leading master knows, as it knows them.
    ///
    /// # Errors
    ///
    /// What every master said, in a sentence.
    pub async fn agents(&self) -> Result<Vec<Agent>, String> {
        let mut all = vec![];
        for master in self.masters() {
            match self.agents_of(&master).await {
                Ok(agents) => return Ok(agents),
                Err(why) => all.push(format!("{}: {why}", place(&master))),
            }
        }
        Err(all.join("; "))
    }

    /// The masters, the one that led last first.
    fn masters(&self) -> Vec<Url> {
        let led = self.led.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut masters = self.options.urls.clone();
        if let Some(at) = led.and_then(|led| masters.iter().position(|m| m.origin() == led.origin())) {
            masters[..=at].rotate_right(1);
        }
        masters
    }

    /// Asks one master, and whoever it says leads.
    async fn agents_of(&self, master: &Url) -> Result<Vec<Agent>, String> {
        let mut url = master.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push("slaves");
        }
        for _ in 0..=HOPS {
            let mut response = self.get(&url).await?;
            if response.status() == 401 && self.options.login.is_some() {
                // A token may have ended while the request was under way: once more, and only once.
                if let Some(login) = &self.options.login {
                    login.forget();
                }
                response = self.get(&url).await?;
            }
            match response.status().as_u16() {
                200 => {
                    let agents = convert::agents(&body(response).await?)?;
                    *self.led.lock().unwrap_or_else(PoisonError::into_inner) = Some(url);
                    return Ok(agents);
                }
                301 | 302 | 303 | 307 | 308 => url = self.elsewhere(&url, &response)?,
                401 => return Err("it does not know us (401): check `clusters[].mesos.auth`".into()),
                403 => return Err("it knows us but does not show its agents (403)".into()),
                503 => return Err("no master leads, or it is only starting (503)".into()),
                status => return Err(format!("it answered {status}")),
            }
        }
        Err("it redirects in a circle".into())
    }

    async fn get(&self, url: &Url) -> Result<reqwest::Response, String> {
        let mut request = self
            .http
            .get(url.clone())
            .header(header::ACCEPT, "application/json")
            .timeout(self.options.read_timeout);
        if let Some(login) = &self.options.login
            && let Some(value) = login.authorization().await?
        {
            request = request.header(header::AUTHORIZATION, value);
        }
        request.send().await.map_err(|e| sentence(&e.without_url()))
    }

    /// Where a redirect leads: `//leader:5050/slaves`, without a scheme, as masters write it. Followed by
    /// hand and to listed masters only: our credentials go along.
    fn elsewhere(&self, from: &Url, response: &reqwest::Response) -> Result<Url, String> {
        let location = response.headers().get(header::LOCATION);
        let target = location
            .and_then(|l| l.to_str().ok())
            .and_then(|l| from.join(l).ok())
            .ok_or("it redirects to nowhere")?;
        if self.options.urls.iter().any(|u| u.origin() == target.origin()) {
            Ok(target)
        } else {
            Err(format!(
                "it says that {} leads, which is not among `clusters[].mesos.urls`: list it there by this name",
                place(&target)
            ))
        }
    }
}

async fn body(mut response: reqwest::Response) -> Result<Vec<u8>, String> {
    let mut body = vec![];
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > LIST_MAX => {
                return Err(format!("it sent more than {} MiB", LIST_MAX >> 20));
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(e) => return Err(format!("it broke off its answer: {}", sentence(&e.without_url()))),
        }
    }
}

/// Where, without anything secret.
fn place(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// An error with its causes, in one line.
fn sentence(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
#[path = "client_test.rs"]
mod tests;
