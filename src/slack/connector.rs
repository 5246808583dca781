//! How slack-morphism reaches Slack: over reqwest, with time-outs, a cap, and no success without `ok: true`.
//!
//! slack-morphism's own connector waits for ever, names no user agent, and takes an HTML page with status
//! 200 for a success. This one does not. Not here: what is sent, when, and what to do about an error.

use bytes::BytesMut;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use reqwest::{RequestBuilder, Response, StatusCode, header};
use serde::de::DeserializeOwned;
use slack_morphism::errors::*;
use slack_morphism::multipart_form::FileMultipartData;
use slack_morphism::prelude::*;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// For one whole call; Slack usually answers in a fraction of a second.
const CALL_MAX: Duration = Duration::from_secs(10);
/// For the connection with its TLS handshake.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Most bytes of an answer: the members of a large user group fit many times.
const BODY_MAX: usize = 1 << 20;

/// A way to one Slack. Follows no redirect and uses no proxy of the environment: both would take the token
/// to somebody else.
#[derive(Clone, Debug)]
pub struct Connector {
    http: reqwest::Client,
    base: String,
}

impl Connector {
    /// For a Web API below `base`: `https://slack.com/api`.
    ///
    /// # Errors
    ///
    /// A sentence, when the address or the machine's TLS cannot be used. Nothing was sent.
    pub fn new(base: &Url) -> Result<Self, String> {
        if !is_safe(base) {
            return Err(format!(
                "Slack's address {} must be https://, or http:// on this machine: the bot's token goes there",
                place(base)
            ));
        }
        let mut roots = rustls::RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS could not be set up: {error}"))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(base.scheme() == "https")
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(CONNECT_MAX)
            .timeout(CALL_MAX)
            .user_agent(concat!("heartbreak/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| format!("the HTTP client for Slack could not be made: {error}"))?;
        Ok(Self {
            http,
            base: base.as_str().trim_end_matches('/').to_owned(),
        })
    }

    /// Posts to a `response_url`, which is a secret itself and carries no token. Its answer is `ok`, JSON or
    /// nothing; only the status counts.
    ///
    /// # Errors
    ///
    /// When Slack did not take it; the text holds no part of the address.
    pub async fn respond(&self, url: Url, body: &serde_json::Value) -> ClientResult<()> {
        let answer = self.http.post(url).json(body).send().await.map_err(transport)?;
        let status = answer.status();
        let retry_after = retry_after(&answer);
        let text = read(answer).await?;
        match status {
            StatusCode::TOO_MANY_REQUESTS => Err(rate_limited(retry_after)),
            status if status.is_success() => Ok(()),
            status => Err(http_error(status, &text)),
        }
    }

    /// Posts the bytes of a file to the address that Slack gave for it. The address is the permission: no
    /// token goes with it, and only the status counts.
    ///
    /// # Errors
    ///
    /// When Slack did not take it; the text holds no part of the address.
    pub async fn upload(&self, url: Url, bytes: Vec<u8>) -> ClientResult<()> {
        let request = self
            .http
            .post(url)
            .header(header::CONTENT_TYPE, "application/octet-stream");
        let answer = request.body(bytes).send().await.map_err(transport)?;
        let status = answer.status();
        let text = read(answer).await?;
        match status {
            StatusCode::OK => Ok(()),
            status => Err(http_error(status, &text)),
        }
    }

    async fn send<R: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        token: Option<&SlackApiToken>,
    ) -> ClientResult<R> {
        let request = match token {
            Some(token) => request.bearer_auth(&token.token_value.0),
            None => request,
        };
        let answer = request.send().await.map_err(transport)?;
        let (status, retry_after) = (answer.status(), retry_after(&answer));
        let kind = answer
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|v| v.to_str().ok());
        let json = kind.is_some_and(|k| k.to_ascii_lowercase().starts_with("application/json"));
        let body = read(answer).await?;
        if status == StatusCode::TOO_MANY_REQUESTS {
            return Err(rate_limited(retry_after));
        }
        if !status.is_success() || !json {
            return Err(http_error(status, &body));
        }
        let value: serde_json::Value = serde_json::from_slice(&body).map_err(undecoded)?;
        if value["ok"] != true {
            let code = value["error"]
                .as_str()
                .unwrap_or("unknown")
                .chars()
                .take(100)
                .collect();
            let error = SlackClientApiError::new(code).with_http_response_body(value.to_string());
            return Err(SlackClientError::ApiError(error));
        }
        serde_json::from_value(value).map_err(undecoded)
    }
}

/// Whether a token may go there.
fn is_safe(base: &Url) -> bool {
    let plain = base.username().is_empty() && base.password().is_none() && base.query().is_none();
    let here = match base.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    plain && base.host().is_some() && (base.scheme() == "https" || (base.scheme() == "http" && here))
}

/// Scheme, host, port and path: no user, no password, no query.
fn place(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

fn retry_after(answer: &Response) -> Option<Duration> {
    let seconds = answer
        .headers()
        .get(header::RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds))
}

async fn read(answer: Response) -> ClientResult<BytesMut> {
    let mut body = BytesMut::new();
    let mut chunks = answer.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(transport)?;
        if body.len() + chunk.len() > BODY_MAX {
            return Err(system(format!("Slack's answer is longer than {BODY_MAX} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The address may be a `response_url`: a secret.
fn transport(error: reqwest::Error) -> SlackClientError {
    let why = if error.is_timeout() {
        "Slack did not answer in time"
    } else {
        "Slack can't be reached"
    };
    let mut text = why.to_owned();
    let error = error.without_url();
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(&error);
    while let Some(error) = cause {
        text = format!("{why}: {error}");
        cause = error.source();
    }
    system(text)
}

fn system(text: String) -> SlackClientError {
    SlackClientError::SystemError(SlackClientSystemError::new().with_message(text))
}

fn rate_limited(retry_after: Option<Duration>) -> SlackClientError {
    SlackClientError::RateLimitError(SlackRateLimitError::new().opt_retry_after(retry_after))
}

fn http_error(status: StatusCode, body: &[u8]) -> SlackClientError {
    let body = String::from_utf8_lossy(&body[..body.len().min(500)]).into_owned();
    SlackClientError::HttpError(SlackClientHttpError::new(status).with_http_response_body(body))
}

fn undecoded(error: serde_json::Error) -> SlackClientError {
    SlackClientError::ProtocolError(SlackClientProtocolError::new(error))
}

/// For the parts of slack-morphism that we never use; saying so beats pretending.
fn unused<'a, R: Send + 'a>(what: &str) -> BoxFuture<'a, ClientResult<R>> {
    std::future::ready(Err(system(format!(
        "{what} is not used by this program, nothing was sent"
    ))))
    .boxed()
}

impl SlackClientHttpConnector for Connector {
    fn http_get_uri<'a, RS>(
        &'a self,
        full_uri: Url,
        context: SlackClientApiCallContext<'a>,
    ) -> BoxFuture<'a, ClientResult<RS>>
    where
        RS: for<'de> serde::de::Deserialize<'de> + Send + 'a,
    {
        self.send(self.http.get(full_uri), context.token).boxed()
    }

    fn http_get_with_client_secret<'a, RS>(
        &'a self,
        _: Url,
        _: &'a SlackClientId,
        _: &'a SlackClientSecret,
    ) -> BoxFuture<'a, ClientResult<RS>>
    where
        RS: for<'de> serde::de::Deserialize<'de> + Send + 'a,
    {
        unused("OAuth")
    }

    fn http_post_uri<'a, RQ, RS>(
        &'a self,
        full_uri: Url,
        request_body: &'a RQ,
        context: SlackClientApiCallContext<'a>,
    ) -> BoxFuture<'a, ClientResult<RS>>
    where
        RQ: serde::ser::Serialize + Send + Sync,
        RS: for<'de> serde::de::Deserialize<'de> + Send + 'a,
    {
        let body = match serde_json::to_vec(request_body) {
            Ok(body) => body,
            Err(error) => return std::future::ready(Err(undecoded(error))).boxed(),
        };
        let request = self
            .http
            .post(full_uri)
            .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
            .body(body);
        self.send(request, context.token).boxed()
    }

    fn http_post_uri_multipart_form<'a, 'p, RS, PT, TS>(
        &'a self,
        _: Url,
        _: Option<FileMultipartData<'p>>,
        _: &'p PT,
        _: SlackClientApiCallContext<'a>,
    ) -> BoxFuture<'a, ClientResult<RS>>
    where
        RS: for<'de> serde::de::Deserialize<'de> + Send + 'a,
        PT: std::iter::IntoIterator<Item = (&'p str, Option<TS>)> + Clone,
        TS: AsRef<str> + 'p + Send,
    {
        unused("uploading files")
    }

    fn http_post_uri_binary<'a, 'p, RS>(
        &'a self,
        _: Url,
        _: String,
        _: &'a [u8],
        _: SlackClientApiCallContext<'a>,
    ) -> BoxFuture<'a, ClientResult<RS>>
    where
        RS: for<'de> serde::de::Deserialize<'de> + Send + 'a,
    {
        unused("uploading files")
    }

    fn create_method_uri_path(&self, method: &str) -> ClientResult<Url> {
        Ok(format!("{}/{method}", self.base).parse()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_nowhere_in_plain_text_but_to_this_machine() {
        #[track_caller]
        fn check(base: &str, good: bool) {
            assert_eq!(Connector::new(&base.parse().expect(base)).is_ok(), good, "{base}");
        }
        check("https://slack.com/api", true);
        check("http://127.0.0.1:3000/api", true);
        check("http://[::1]:3000/api", true);
        check("http://localhost/api", true);
        check("http://slack.com/api", false);
        check("http://127.0.0.1.evil.example/api", false);
        check("https://u:p@slack.com/api", false);
        check("https://slack.com/api?x=1", false);
        check("ftp://slack.com/api", false);
    }

    #[test]
    fn methods_hang_below_the_base_with_or_without_a_slash() {
        for base in ["https://slack.com/api", "https://slack.com/api/"] {
            let connector = Connector::new(&base.parse().expect(base)).expect(base);
            let url = connector.create_method_uri_path("auth.test").expect("a url");
            assert_eq!(url.as_str(), "https://slack.com/api/auth.test");
        }
    }
}
