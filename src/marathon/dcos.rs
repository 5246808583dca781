//! Logging in to DC/OS with a service account: a token signed with its private key against a token that
//! Marathon's door takes, kept until shortly before it ends.
//!
//! The login token is a JWT (RS256, claims `uid` and `exp`), meant for one use; the answer is
//! `{"token":"…"}`, good for days. DC/OS documentation, "Authentication API"; the door's own words for a bad
//! token are 401 with HTML.

use super::auth::Provider;
use super::client::sentence;
use crate::ports::clock::Clock;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use ring::signature::RsaKeyPair;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use url::Url;

/// How long a login token may be used: minutes, because one request uses it.
const LOGIN_TOKEN_FOR: TimeDelta = TimeDelta::minutes(5);
/// A token is renewed this long before its end.
const RENEW_BEFORE: TimeDelta = TimeDelta::minutes(5);
/// How long a token without a readable end is used.
const UNKNOWN_LIFE: TimeDelta = TimeDelta::hours(1);
/// How long after a failed login no other is tried: accounts can be locked.
const AFTER_FAILURE: Duration = Duration::from_secs(5);
/// How long a login may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Most bytes of the answer.
const ANSWER_MAX: usize = 64 * 1024;

/// Which account, where.
#[derive(Clone)]
pub struct ServiceAccount {
    /// `https://MASTER/acs/api/v1/auth/login`.
    pub login_url: Url,
    /// The account's `uid`.
    pub uid: String,
    /// Its private key as PEM (PKCS#8 or PKCS#1), asked for each login.
    pub key: Provider,
}

/// A login that is kept.
pub(super) struct Session {
    kept: Mutex<Kept>,
    /// One login at a time: whoever waits finds the token of the one before.
    logging_in: tokio::sync::Mutex<()>,
    clock: Arc<dyn Clock>,
}

#[derive(Default)]
struct Kept {
    token: Option<(SecretString, DateTime<Utc>)>,
    failed: Option<(Duration, String)>,
}

#[derive(Deserialize)]
struct Answer {
    token: String,
}

#[derive(Deserialize)]
struct Claims {
    exp: i64,
}

impl Session {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            kept: Mutex::default(),
            logging_in: tokio::sync::Mutex::default(),
            clock,
        }
    }

    /// A token that is good for a while.
    ///
    /// # Errors
    ///
    /// A sentence without the key or a token; nothing was asked of Marathon then.
    pub async fn token(
        &self,
        http: &reqwest::Client,
        account: &ServiceAccount,
    ) -> Result<SecretString, String> {
        let _one = self.logging_in.lock().await;
        {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((token, until)) = &kept.token
                && self.clock.now() + RENEW_BEFORE < *until
            {
                return Ok(token.clone());
            }
            if let Some((at, why)) = &kept.failed
                && self.clock.elapsed().saturating_sub(*at) < AFTER_FAILURE
            {
                return Err(why.clone());
            }
        }
        let answer = login(http, account, self.clock.now()).await;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        match answer {
            Ok(token) => {
                let until = end_of(token.expose_secret()).unwrap_or_else(|| self.clock.now() + UNKNOWN_LIFE);
                *kept = Kept {
                    token: Some((token.clone(), until)),
                    failed: None,
                };
                Ok(token)
            }
            Err(why) => {
                kept.failed = Some((self.clock.elapsed(), why.clone()));
                Err(why)
            }
        }
    }

    /// Marathon's door did not take it: the next question logs in anew.
    pub fn forget(&self) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).token = None;
    }
}

async fn login(
    http: &reqwest::Client,
    account: &ServiceAccount,
    now: DateTime<Utc>,
) -> Result<SecretString, String> {
    let signed = login_token(account, now)?;
    let asked = http
        .post(account.login_url.clone())
        .timeout(TIMEOUT)
        .json(&serde_json::json!({"uid": account.uid, "token": signed.expose_secret()}))
        .send()
        .await;
    let mut response =
        asked.map_err(|e| format!("DC/OS can't be asked for a token: {}", sentence(&e.without_url())))?;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| {
        format!(
            "DC/OS broke off its answer to the login: {}",
            sentence(&e.without_url())
        )
    })? {
        if body.len() + chunk.len() > ANSWER_MAX {
            return Err("DC/OS answered the login with more than 64 KiB".to_owned());
        }
        body.extend_from_slice(&chunk);
    }
    if status != 200 {
        return Err(format!(
            "DC/OS does not let the service account {} in ({status}): check its uid, its key and its permissions",
            account.uid
        ));
    }
    // The answer holds a token: no part of it is shown.
    let answer: Answer = serde_json::from_slice(&body)
        .map_err(|_| "DC/OS answered the login with 200 and without a token".to_owned())?;
    Ok(answer.token.into())
}

/// A JWT for one login.
fn login_token(account: &ServiceAccount, now: DateTime<Utc>) -> Result<SecretString, String> {
    let pem = (account.key)()?;
    let key = key_pair(pem.expose_secret().as_bytes())?;
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","typ":"JWT"}"#);
    let claims = serde_json::json!({"uid": account.uid, "exp": (now + LOGIN_TOKEN_FOR).timestamp()});
    let text = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let mut signature = vec![0; key.public().modulus_len()];
    let random = ring::rand::SystemRandom::new();
    key.sign(
        &ring::signature::RSA_PKCS1_SHA256,
        &random,
        text.as_bytes(),
        &mut signature,
    )
    .map_err(|_| "the service account's key could not sign".to_owned())?;
    Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(&signature)).into())
}

fn key_pair(pem: &[u8]) -> Result<RsaKeyPair, String> {
    let wrong = |why: String| format!("the service account's key can't be used: {why}");
    let key =
        PrivateKeyDer::from_pem_slice(pem).map_err(|_| wrong("it is not a private key in PEM".to_owned()))?;
    match &key {
        PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
        PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
        _ => return Err(wrong("it is not an RSA key".to_owned())),
    }
    .map_err(|error| wrong(format!("{error}; it has to be RSA with 2,048 bits or more")))
}

/// When a token ends by its own words. It is not verified: whoever takes it does that.
fn end_of(token: &str) -> Option<DateTime<Utc>> {
    let claims = token.split('.').nth(1)?;
    let claims: Claims =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?).ok()?;
    DateTime::from_timestamp(claims.exp, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::marathon::pretend::{Do, Server, answer, json, options, serve};
    use crate::marathon::{Auth, Client};
    use crate::model::ids::ClusterName;
    use crate::ports::cluster::Cluster;

    const PKCS8: &str = include_str!("../../tests/data/dcos/for-tests-only.pem");
    const PKCS1: &str = include_str!("../../tests/data/dcos/for-tests-only-pkcs1.pem");

    fn account(login_url: Url, key: &'static str) -> ServiceAccount {
        ServiceAccount {
            login_url,
            uid: "chaos".into(),
            key: Arc::new(move || Ok(key.to_owned().into())),
        }
    }

    fn token_until(second: i64) -> String {
        let claims = URL_SAFE_NO_PAD.encode(format!(r#"{{"uid":"chaos","exp":{second}}}"#));
        format!("e30.{claims}.c2ln")
    }

    /// A master in front of a Marathon: tokens are handed out by number, and only the newest is good.
    async fn master(good_for: TimeDelta) -> Server {
        let count = std::sync::atomic::AtomicI64::new(0);
        let newest = Mutex::new(String::new());
        serve(move |request| {
            if request.starts_with("POST /acs/api/v1/auth/login") {
                let number = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                let noon = DateTime::parse_from_rfc3339("2026-11-23T12:00:00Z")
                    .unwrap()
                    .timestamp();
                let token = token_until(noon + good_for.num_seconds() + number);
                *newest.lock().unwrap() = token.clone();
                return json(&format!(r#"{{"token":"{token}"}}"#));
            }
            let good = format!("authorization: token={}\r\n", newest.lock().unwrap());
            if request.to_ascii_lowercase().contains(&good.to_ascii_lowercase()) {
                return json(r#"{"version":"1.11.24","frameworkId":"f-1"}"#);
            }
            answer(401, "text/html", "<html>401 Authorization Required</html>")
        })
        .await
    }

    fn client(server: &Server) -> Client {
        let mut options = options(vec![server.url.clone()]);
        let login_url = server.url.join("/acs/api/v1/auth/login").unwrap();
        options.auth = Auth::DcosServiceAccount(account(login_url, PKCS8));
        Client::new(options).expect("a client")
    }

    fn logins(server: &Server) -> usize {
        server
            .asked()
            .iter()
            .filter(|r| r.starts_with("POST /acs/"))
            .count()
    }

    #[test]
    fn the_login_token_is_signed_with_the_accounts_key() {
        for pem in [PKCS8, PKCS1] {
            let now = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
            let token = login_token(&account("https://m/".parse().unwrap(), pem), now).unwrap();
            let token = token.expose_secret();
            let (text, signature) = token.rsplit_once('.').unwrap();
            let (header, claims) = text.split_once('.').unwrap();
            let header: serde_json::Value =
                serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
            let claims: serde_json::Value =
                serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
            assert_eq!(header, serde_json::json!({"alg": "RS256", "typ": "JWT"}));
            assert_eq!(claims, serde_json::json!({"uid": "chaos", "exp": 1_790_000_300}));
            let key = key_pair(pem.as_bytes()).unwrap();
            let public = ring::signature::UnparsedPublicKey::new(
                &ring::signature::RSA_PKCS1_2048_8192_SHA256,
                key.public().as_ref(),
            );
            public
                .verify(text.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap())
                .expect("the signature holds");
        }
    }

    #[test]
    fn a_key_that_can_t_be_used_is_said_to_be_without_being_shown() {
        for (pem, words) in [
            ("", "not a private key in PEM"),
            ("secret rubbish", "not a private key in PEM"),
            (
                "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
                "RSA with 2,048 bits or more",
            ),
            (
                "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n",
                "not an RSA key",
            ),
        ] {
            let said = key_pair(pem.as_bytes()).map(drop).expect_err(pem);
            assert!(
                said.contains(words) && !said.contains("rubbish") && !said.contains("AAAA"),
                "{said}"
            );
        }
    }

    #[tokio::test]
    async fn one_login_serves_many_questions() {
        let server = master(TimeDelta::days(5)).await;
        let client = client(&server);
        for _ in 0..3 {
            let seen = client.look(&[]).await;
            assert_eq!(seen.cluster, ClusterName::new("c"));
            assert!(seen.info.is_some(), "{:?}", seen.gaps);
        }
        assert_eq!(logins(&server), 1);
    }

    #[tokio::test]
    async fn a_token_is_renewed_before_it_ends() {
        let server = master(RENEW_BEFORE - TimeDelta::seconds(30)).await;
        let client = client(&server);
        assert!(client.look(&[]).await.info.is_some());
        let first = logins(&server);
        assert!(client.look(&[]).await.info.is_some());
        assert!(
            logins(&server) > first,
            "a token that ends within five minutes is not used again"
        );
    }

    #[tokio::test]
    async fn a_token_that_is_refused_leads_to_one_new_login() {
        let server = master(TimeDelta::days(5)).await;
        let client = client(&server);
        assert!(client.look(&[]).await.info.is_some());
        // Somebody revokes it: what the client holds is no longer the newest.
        client.session.kept.lock().unwrap().token =
            Some((token_until(9_999_999_999).into(), DateTime::<Utc>::MAX_UTC));
        assert!(client.look(&[]).await.info.is_some());
        assert!((2..=4).contains(&logins(&server)), "{} logins", logins(&server));
    }

    #[tokio::test]
    async fn a_login_that_is_refused_is_said_and_not_hammered() {
        let server = serve(|request| match request.starts_with("POST /acs/") {
            true => answer(401, "text/html", "<html>no</html>"),
            false => Do::Close,
        })
        .await;
        let client = client(&server);
        for _ in 0..3 {
            let gaps = format!("{:?}", client.look(&[]).await.gaps);
            assert!(
                gaps.contains("does not let the service account chaos in (401)"),
                "{gaps}"
            );
        }
        assert_eq!(logins(&server), 1, "an account that is locked helps nobody");
        assert_eq!(server.asked().len(), 1, "nothing was asked of Marathon");
    }
}
