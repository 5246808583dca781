//! Speaks to a running operator, and says plainly what to do when that does not work.
//!
//! Sends each request once: repeating is the person's decision. Follows no redirect and no proxy
//! setting of the environment, so that a token goes to the address that was named and nowhere else.

use super::trouble::Trouble;
use crate::exit::Exit;
use reqwest::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::hash::{BuildHasher, Hasher};
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// Time to open a connection: the operator is near or not there.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// Time for a whole answer; the operator itself gives up after ten seconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// Where the operator is and what lets us in.
#[derive(Clone)]
pub struct Place {
    /// Its address.
    pub url: Url,
    /// The bearer token, where one was found.
    pub token: Option<String>,
    /// Where a token was looked for, and what was found there; for the message after a 401.
    pub looked: Vec<String>,
    /// The Unix user, for the audit's display.
    pub user: Option<String>,
    /// The state directory on this host, whether or not it is there.
    pub state_dir: PathBuf,
}

impl Place {
    /// Whether the operator is on this very host.
    pub fn is_here(&self) -> bool {
        match self.url.host() {
            Some(url::Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
            Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
            Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
            None => false,
        }
    }
}

/// A connection to the operator.
pub struct Client {
    http: reqwest::Client,
    place: Place,
}

/// What RFC 9457 calls a problem, as far as we read it.
#[derive(Debug, Deserialize)]
struct Problem {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    detail: String,
}

impl Client {
    /// Makes a client; sends nothing yet.
    ///
    /// # Errors
    ///
    /// When the TLS provider or the system's certificates are missing.
    pub fn new(place: Place) -> Result<Self, Trouble> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_WITHIN)
            .timeout(ANSWER_WITHIN)
            .user_agent(concat!("heartbreak/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| {
                Trouble::new(
                    Exit::Ours,
                    format!("could not make an HTTP client: {}", chain(&error)),
                )
            })?;
        Ok(Self { http, place })
    }

    /// Where it speaks to.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Asks a question.
    ///
    /// # Errors
    ///
    /// Says what is wrong and what to do.
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<T, Trouble> {
        let text = self.get_bytes(path, query).await?;
        self.read(&text)
    }

    /// Asks a question whose answer is not JSON, and perhaps not text.
    ///
    /// # Errors
    ///
    /// As [`Client::get`].
    pub async fn get_bytes(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Vec<u8>, Trouble> {
        self.send(Method::GET, path, query, None).await
    }

    /// Asks for something that changes things; once.
    ///
    /// # Errors
    ///
    /// Says what is wrong, what to do, and whether it may have happened all the same.
    pub async fn post<T: DeserializeOwned>(&self, path: &[&str], body: &Value) -> Result<T, Trouble> {
        let text = self.send(Method::POST, path, &[], Some(body)).await?;
        self.read(&text)
    }

    fn read<T: DeserializeOwned>(&self, text: &[u8]) -> Result<T, Trouble> {
        serde_json::from_slice(text).map_err(|error| {
            Trouble::new(
                Exit::Ours,
                format!(
                    "{} answered something that this version ({}) cannot read: {error}\n\
                     Is it a Heartbreak of the same version? See: heartbreak status",
                    self.place.url,
                    env!("CARGO_PKG_VERSION")
                ),
            )
        })
    }

    async fn send(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Vec<u8>, Trouble> {
        let mut url = self.place.url.clone();
        // Pushed one by one, so that a slash in an argument stays an argument.
        url.path_segments_mut()
            .map_err(|()| {
                Trouble::new(
                    Exit::Usage,
                    format!("{} cannot be an operator's address", self.place.url),
                )
            })?
            .pop_if_empty()
            .extend(["api", "v1"])
            .extend(path);
        let changes = method != Method::GET;
        let mut request = self.http.request(method, url).query(query);
        if let Some(token) = &self.place.token {
            request = request.bearer_auth(token);
        }
        if let Some(user) = &self.place.user {
            request = request.header("x-heartbreak-user", user);
        }
        if changes {
            request = request.header("idempotency-key", one_off_key());
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request
            .send()
            .await
            .map_err(|error| self.unreachable(&error, changes))?;
        let status = response.status().as_u16();
        let text = response
            .bytes()
            .await
            .map_err(|error| self.unreachable(&error, changes))?;
        if (200..300).contains(&status) {
            Ok(text.to_vec())
        } else {
            Err(self.refused(status, &text))
        }
    }

    fn unreachable(&self, error: &reqwest::Error, changes: bool) -> Trouble {
        let cause = causes(error);
        if error.is_connect() {
            return Trouble::new(
                Exit::Unreachable,
                format!(
                    "no operator answers at {}: {cause}; nothing was asked of it.\n\
                     Start one with `heartbreak run`, or say where it is with --url or $HEARTBREAK_URL.",
                    self.place.url
                ),
            );
        }
        let happened = if changes {
            "It may have been done all the same: look at `heartbreak status` before repeating."
        } else {
            "Nothing was changed."
        };
        Trouble::new(
            Exit::Later,
            format!(
                "the operator at {} did not answer: {cause}.\n{happened}",
                self.place.url
            ),
        )
    }

    fn refused(&self, status: u16, text: &[u8]) -> Trouble {
        let problem = serde_json::from_slice::<Problem>(text)
            .ok()
            .filter(|p| p.kind.starts_with("urn:heartbreak:"));
        let Some(problem) = problem else {
            return Trouble::new(
                Exit::Unreachable,
                format!(
                    "{} answered HTTP {status}, and not as a Heartbreak does: is something else listening there, or a proxy in between?",
                    self.place.url
                ),
            );
        };
        let exit = match status {
            400 | 404 | 405 | 413 => Exit::Usage,
            401 | 403 | 409 => Exit::Refused,
            503 => Exit::Unreachable,
            504 => Exit::Later,
            _ => Exit::Ours,
        };
        let mut lines = vec![problem.detail];
        if status == 401 {
            lines.push("A token was looked for in:".into());
            lines.extend(self.place.looked.iter().map(|place| format!("  {place}")));
            lines.push("Name a file with --token-file or $HEARTBREAK_TOKEN_FILE.".into());
        }
        Trouble::new(exit, lines.join("\n"))
    }
}

/// The chain of causes under an error, in one line; the error itself repeats the address.
fn causes(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".into();
    }
    let mut next = std::error::Error::source(error);
    // "client error (Connect)" is a layer of the HTTP client and tells nobody anything.
    while let Some(cause) = next {
        match cause.source() {
            Some(below) if cause.to_string().starts_with("client error (") => next = Some(below),
            _ => return chain(cause),
        }
    }
    error.to_string()
}

/// An error with all its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !line.contains(&text) {
            line = format!("{line}: {text}");
        }
        next = cause.source();
    }
    line
}

/// A key for this one request: lets the operator see that two of them are two.
fn one_off_key() -> String {
    let number = || {
        std::collections::hash_map::RandomState::new()
            .build_hasher()
            .finish()
    };
    format!("cli-{:016x}{:016x}", number(), number())
}

#[cfg(test)]
mod tests;
