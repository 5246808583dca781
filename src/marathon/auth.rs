//! Who we are for Marathon.

use super::dcos::ServiceAccount;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use std::sync::Arc;

/// Gives a secret afresh each time it is asked, so that a changed file counts at once. The error is a
/// sentence without the secret.
pub type Provider = Arc<dyn Fn() -> Result<SecretString, String> + Send + Sync>;

/// How requests are signed.
#[derive(Clone)]
pub enum Auth {
    /// Not at all.
    None,
    /// HTTP Basic (`--http_credentials`).
    Basic {
        /// User name; no colon.
        user: String,
        /// Password, asked for each request.
        password: Provider,
    },
    /// DC/OS: `Authorization: token=…`, asked for each request. Whoever provides it renews it.
    DcosToken(Provider),
    /// DC/OS: logs in with a service account's key, and again before the token ends or when it is refused.
    DcosServiceAccount(ServiceAccount),
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Basic { user, .. } => write!(f, "Basic({user:?}, …)"),
            Self::DcosToken(_) => f.write_str("DcosToken(…)"),
            Self::DcosServiceAccount(account) => write!(f, "DcosServiceAccount({:?}, …)", account.uid),
        }
    }
}

impl Auth {
    /// The value of `Authorization`, marked sensitive; `None` where nothing is sent. What needs a login
    /// first is asked of the client.
    ///
    /// # Errors
    ///
    /// A sentence when the secret can't be had or does not fit into a header.
    pub(super) fn header(&self) -> Result<Option<hyper::http::HeaderValue>, String> {
        let text = match self {
            Self::None => return Ok(None),
            Self::Basic { user, password } => {
                let secret = password()?;
                let pair = format!("{user}:{}", secret.expose_secret().trim_end_matches(['\r', '\n']));
                format!("Basic {}", STANDARD.encode(pair))
            }
            Self::DcosToken(token) => return with_token(&token()?).map(Some),
            Self::DcosServiceAccount(_) => return Ok(None),
        };
        sensitive(&text).map(Some)
    }
}

/// `token=…`, as Admin Router wants it.
pub(super) fn with_token(token: &SecretString) -> Result<hyper::http::HeaderValue, String> {
    sensitive(&format!("token={}", token.expose_secret().trim()))
}

fn sensitive(text: &str) -> Result<hyper::http::HeaderValue, String> {
    let mut value = hyper::http::HeaderValue::from_str(text).map_err(|_| {
        "the secret for Marathon has characters that do not fit into an HTTP header".to_owned()
    })?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_written_as_rfc_7617_shows() {
        let password: Provider = Arc::new(|| Ok("open sesame\n".to_owned().into()));
        let auth = Auth::Basic {
            user: "Aladdin".into(),
            password,
        };
        assert_eq!(
            auth.header().unwrap().unwrap(),
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
        );
    }

    #[test]
    fn a_secret_is_read_again_each_time_and_never_shown() {
        let count = Arc::new(std::sync::atomic::AtomicU32::new(0));
        let auth = Auth::DcosToken(Arc::new(move || {
            Ok(format!("t{}\n", count.fetch_add(1, std::sync::atomic::Ordering::SeqCst)).into())
        }));
        assert_eq!(auth.header().unwrap().unwrap(), "token=t0");
        let second = auth.header().unwrap().unwrap();
        assert_eq!(second, "token=t1");
        assert!(!format!("{auth:?} {second:?}").contains("t1"));
    }
}
