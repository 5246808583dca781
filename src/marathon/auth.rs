//! Who we are for Marathon.

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
    /// DC/OS login with a service account's RS256 key: refused when the client is built.
    DcosServiceAccount {
        /// The account.
        uid: String,
    },
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Basic { user, .. } => write!(f, "Basic({user:?}, …)"),
            Self::DcosToken(_) => f.write_str("DcosToken(…)"),
            Self::DcosServiceAccount { uid } => write!(f, "DcosServiceAccount({uid:?})"),
        }
    }
}

impl Auth {
    /// The value of `Authorization`, marked sensitive; `None` where nothing is sent.
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
                format!("Basic {}", base64(pair.as_bytes()))
            }
            Self::DcosToken(token) => format!("token={}", token()?.expose_secret().trim()),
            Self::DcosServiceAccount { .. } => return Err(REFUSED_LOGIN.to_owned()),
        };
        let mut value = hyper::http::HeaderValue::from_str(&text).map_err(|_| {
            "the secret for Marathon has characters that do not fit into an HTTP header".to_owned()
        })?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

/// Why a service account is refused.
pub(super) const REFUSED_LOGIN: &str = "logging in to DC/OS with a service account's key is not supported: \
    let a sidecar write a token to a file and name that file instead; nothing was sent";

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let all = chunk
            .iter()
            .enumerate()
            .fold(0_u32, |n, (i, b)| n | u32::from(*b) << (16 - 8 * i));
        for place in 0..4 {
            if place <= chunk.len() {
                text.push(char::from(LETTERS[(all >> (18 - 6 * place) & 63) as usize]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_written_as_rfc_4648_wants() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
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
