//! Adapter: asks whether somebody's pager is ringing.
//!
//! Asked of Alertmanager's API v2 (`GET /api/v2/alerts`, as in its OpenAPI description), or of any
//! URL that answers 2xx while all is quiet. Everything else is a no: an answer that can't be read
//! is not a quiet one.

use crate::ports::pager::{Pager, PagerAnswer};
use async_trait::async_trait;
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// More than this of an answer is not read.
const MOST_BODY: usize = 4 * 1024 * 1024;

/// More alerts than this are counted, not named.
const MOST_NAMED: usize = 10;

/// Whoever is asked.
#[derive(Clone, Debug)]
pub struct OutagePager {
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    NotConfigured,
    Alertmanager { client: Client, url: Url },
    AnyUrl { client: Client, url: Url },
}

impl OutagePager {
    /// Nobody is asked: the gate passes, and says so.
    pub fn not_configured() -> Self {
        Self {
            source: Source::NotConfigured,
        }
    }

    /// Asks Alertmanager at `url`, path prefix included, for active alerts that are neither silenced
    /// nor inhibited and that fit all `matchers` (`severity="page"`); any alert when there are none.
    ///
    /// # Errors
    ///
    /// A sentence when the URL can't be read or TLS can't be set up.
    pub fn alertmanager(url: &str, matchers: &[String], timeout: Duration) -> Result<Self, String> {
        let mut url = checked(url)?;
        url.set_query(None);
        url.path_segments_mut()
            .map_err(|()| "the pager's URL has no path".to_owned())?
            .pop_if_empty()
            .extend(["api", "v2", "alerts"]);
        url.query_pairs_mut()
            .extend_pairs([("active", "true"), ("silenced", "false"), ("inhibited", "false")])
            .extend_pairs(matchers.iter().map(|matcher| ("filter", matcher)));
        Ok(Self {
            source: Source::Alertmanager {
                client: client(timeout)?,
                url,
            },
        })
    }

    /// Asks a URL: 2xx is quiet; 409, 423 and 503 say that something is on; everything else says
    /// nothing. Redirects are not followed: behind one is usually a login page that answers 200.
    ///
    /// # Errors
    ///
    /// As for [`alertmanager`](Self::alertmanager).
    pub fn any_url(url: &str, timeout: Duration) -> Result<Self, String> {
        Ok(Self {
            source: Source::AnyUrl {
                client: client(timeout)?,
                url: checked(url)?,
            },
        })
    }
}

#[async_trait]
impl Pager for OutagePager {
    async fn ask(&self) -> PagerAnswer {
        match &self.source {
            Source::NotConfigured => PagerAnswer::NotConfigured,
            Source::Alertmanager { client, url } => match alerts(client, url).await {
                Ok(alerts) if alerts.is_empty() => PagerAnswer::Quiet,
                Ok(alerts) => PagerAnswer::Ringing(named(&alerts)),
                Err(why) => PagerAnswer::Unknown(format!("Alertmanager at {} {why}", place(url))),
            },
            Source::AnyUrl { client, url } => {
                match get(client, url).await.map(|response| response.status()) {
                    Ok(status) if status.is_success() => PagerAnswer::Quiet,
                    Ok(
                        status
                        @ (StatusCode::CONFLICT | StatusCode::LOCKED | StatusCode::SERVICE_UNAVAILABLE),
                    ) => PagerAnswer::Ringing(vec![format!("{} answered {}", place(url), status.as_u16())]),
                    Ok(status) => PagerAnswer::Unknown(format!(
                        "{} answered {}, which says neither quiet nor ringing",
                        place(url),
                        status.as_u16()
                    )),
                    Err(why) => PagerAnswer::Unknown(format!("{} {why}", place(url))),
                }
            }
        }
    }
}

/// What we need of Alertmanager's `gettableAlert`.
#[derive(Debug, Deserialize)]
struct Alert {
    labels: BTreeMap<String, String>,
    status: AlertStatus,
}

#[derive(Debug, Deserialize)]
struct AlertStatus {
    state: String,
}

/// The alerts that ring.
async fn alerts(client: &Client, url: &Url) -> Result<Vec<Alert>, String> {
    let response = get(client, url).await?;
    let status = response.status();
    if status != StatusCode::OK {
        return Err(format!("answered {}", status.as_u16()));
    }
    let body = read(response).await?;
    let alerts: Vec<Alert> = serde_json::from_slice(&body)
        .map_err(|error| format!("answered with something else than a list of alerts: {error}"))?;
    // Asked for, and checked: a proxy or an old version may not know the parameters. An alert that
    // is not processed yet is not known to be silenced.
    Ok(alerts
        .into_iter()
        .filter(|alert| alert.status.state != "suppressed")
        .collect())
}

async fn get(client: &Client, url: &Url) -> Result<Response, String> {
    client.get(url.clone()).send().await.map_err(in_words)
}

async fn read(mut response: Response) -> Result<Vec<u8>, String> {
    let mut body = vec![];
    while let Some(piece) = response.chunk().await.map_err(in_words)? {
        if body.len() + piece.len() > MOST_BODY {
            return Err(format!("answered with more than {} MiB", MOST_BODY >> 20));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// What went wrong, without the URL, which may carry a secret.
fn in_words(error: reqwest::Error) -> String {
    let error = error.without_url();
    if error.is_timeout() {
        return "did not answer in time".into();
    }
    let mut text = format!("could not be asked: {error}");
    let mut next = std::error::Error::source(&error);
    while let Some(cause) = next {
        text += &format!(": {cause}");
        next = cause.source();
    }
    text
}

/// Names of the alerts, each once, the most telling labels beside them.
fn named(alerts: &[Alert]) -> Vec<String> {
    let mut names: Vec<String> = alerts
        .iter()
        .map(|alert| {
            let label = |name: &str| alert.labels.get(name);
            let name = label("alertname").map_or("an alert without a name", String::as_str);
            let beside: Vec<_> = ["service", "job", "instance"]
                .into_iter()
                .filter_map(label)
                .take(1)
                .collect();
            match beside.first() {
                Some(beside) => format!("{name} ({beside})"),
                None => name.to_owned(),
            }
        })
        .collect();
    names.sort();
    names.dedup();
    let more = names.len().saturating_sub(MOST_NAMED);
    names.truncate(MOST_NAMED);
    if more > 0 {
        names.push(format!("and {more} more"));
    }
    names
}

fn checked(url: &str) -> Result<Url, String> {
    let url = Url::parse(url).map_err(|error| format!("the pager's URL can't be read: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err("the pager's URL has to begin with http:// or https:// and name a host".into());
    }
    Ok(url)
}

/// Scheme, host, port and path: no user, no password, no query.
fn place(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

fn client(timeout: Duration) -> Result<Client, String> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS could not be set up: {error}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .redirect(Policy::none())
        .timeout(timeout)
        .user_agent(concat!("heartbreak/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| format!("the HTTP client could not be made: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::body::Body;
    use axum::extract::RawQuery;
    use axum::http::header::CONTENT_TYPE;
    use axum::response::{IntoResponse, Response as Reply};
    use axum::routing::get;

    const SOON: Duration = Duration::from_secs(5);

    async fn serve(router: Router) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}")
    }

    /// Asks an Alertmanager under the prefix `/am` that gives this answer to the right question.
    async fn ask(status: u16, body: &'static str) -> PagerAnswer {
        let answer = move |RawQuery(query): RawQuery| async move {
            assert_eq!(
                query.unwrap(),
                "active=true&silenced=false&inhibited=false&filter=severity%3D%22page%22&filter=team%3Dshop"
            );
            let status = StatusCode::from_u16(status).unwrap();
            (status, [(CONTENT_TYPE, "text/html")], body).into_response()
        };
        let base = serve(Router::new().route("/am/api/v2/alerts", get(answer))).await;
        let matchers = ["severity=\"page\"".to_owned(), "team=shop".to_owned()];
        OutagePager::alertmanager(&format!("{base}/am/"), &matchers, SOON)
            .unwrap()
            .ask()
            .await
    }

    #[track_caller]
    fn check_unknown(answer: PagerAnswer, words: &str) {
        match answer {
            PagerAnswer::Unknown(why) => assert!(why.contains(words), "{why}"),
            other => panic!("{other:?} instead of unknown"),
        }
    }

    #[tokio::test]
    async fn an_empty_list_is_quiet_and_alerts_ring_by_name() {
        assert_eq!(ask(200, "[]").await, PagerAnswer::Quiet);
        let ringing = r#"[
            {"labels":{"alertname":"CartDown","service":"cart"},"status":{"state":"active"}},
            {"labels":{},"status":{"state":"unprocessed"}},
            {"labels":{"alertname":"Quiet"},"status":{"state":"suppressed"}}]"#;
        let expected = vec!["CartDown (cart)".to_owned(), "an alert without a name".to_owned()];
        assert_eq!(ask(200, ringing).await, PagerAnswer::Ringing(expected));
    }

    #[tokio::test]
    async fn an_answer_that_cannot_be_read_is_unknown() {
        check_unknown(
            ask(200, "<html>sign in</html>").await,
            "something else than a list of alerts",
        );
        check_unknown(
            ask(200, "[{\"labels\":{").await,
            "something else than a list of alerts",
        );
        check_unknown(ask(200, "").await, "something else than a list of alerts");
        check_unknown(
            ask(200, "{\"status\":\"success\",\"data\":[]}").await,
            "something else",
        );
        check_unknown(ask(500, "[]").await, "answered 500");
        check_unknown(ask(302, "[]").await, "answered 302");
        check_unknown(ask(204, "").await, "answered 204");
    }

    #[tokio::test]
    async fn a_pager_that_hangs_or_is_away_is_unknown() {
        let hang = || async { std::future::pending::<Reply>().await };
        let base = serve(
            Router::new()
                .route("/api/v2/alerts", get(hang))
                .route("/", get(hang)),
        )
        .await;
        let short = Duration::from_millis(50);
        check_unknown(
            OutagePager::alertmanager(&base, &[], short).unwrap().ask().await,
            "in time",
        );
        check_unknown(OutagePager::any_url(&base, short).unwrap().ask().await, "in time");
        let away = "http://user:secret@127.0.0.1:1/?token=secret";
        let PagerAnswer::Unknown(why) = OutagePager::any_url(away, SOON).unwrap().ask().await else {
            panic!("nobody listens on port 1");
        };
        assert!(
            why.contains("could not be asked") && !why.contains("secret"),
            "{why}"
        );
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_unknown() {
        let broken = || async {
            let pieces = [Ok("["), Err(std::io::Error::other("gone"))];
            Body::from_stream(futures_util::stream::iter(pieces)).into_response()
        };
        let base = serve(Router::new().route("/api/v2/alerts", get(broken))).await;
        check_unknown(
            OutagePager::alertmanager(&base, &[], SOON).unwrap().ask().await,
            "could not be asked",
        );
    }

    #[tokio::test]
    async fn any_url_is_quiet_on_2xx_only() {
        for (status, expected) in [
            (200, "quiet"),
            (204, "quiet"),
            (503, "ringing"),
            (423, "ringing"),
            (404, "unknown"),
            (500, "unknown"),
            (302, "unknown"),
        ] {
            let answer = move || async move { StatusCode::from_u16(status).unwrap() };
            let base = serve(Router::new().route("/", get(answer))).await;
            let found = match OutagePager::any_url(&base, SOON).unwrap().ask().await {
                PagerAnswer::Quiet => "quiet",
                PagerAnswer::Ringing(_) => "ringing",
                PagerAnswer::Unknown(_) => "unknown",
                PagerAnswer::NotConfigured => "not configured",
            };
            assert_eq!(found, expected, "{status}");
        }
    }

    #[tokio::test]
    async fn without_a_pager_nobody_is_asked() {
        assert_eq!(
            OutagePager::not_configured().ask().await,
            PagerAnswer::NotConfigured
        );
        assert!(OutagePager::any_url("ftp://pager", SOON).is_err());
        assert!(OutagePager::alertmanager("pager:9093", &[], SOON).is_err());
    }

    #[test]
    fn many_alerts_are_counted() {
        let alert = |n: usize| Alert {
            labels: [("alertname".to_owned(), format!("A{n:02}"))].into(),
            status: AlertStatus {
                state: "active".into(),
            },
        };
        let names = named(&(0..15).map(alert).collect::<Vec<_>>());
        assert_eq!((names.len(), names[10].as_str()), (11, "and 5 more"));
    }
}
