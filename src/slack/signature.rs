//! Is this request from Slack, fresh, and new?
//!
//! The signature covers the raw bytes (scheme `v0`: HMAC-SHA256 of `v0:timestamp:body`), is compared in
//! constant time, and is good for five minutes in both directions of our own clock, which tests own: that is
//! why slack-morphism's verifier, which asks the machine, is not used. Within those minutes a captured
//! request could be sent again, so signatures are remembered. Nothing here says why a signature is wrong.

use axum::http::HeaderMap;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use subtle::ConstantTimeEq;

/// The signature's header.
pub const SIGNATURE: &str = "x-slack-signature";
/// The timestamp's header: seconds since 1970, as digits.
pub const TIMESTAMP: &str = "x-slack-request-timestamp";
/// How far the timestamp may be from our clock, either way.
const SKEW_MAX_S: i64 = 300;
/// How long signatures are remembered: longer than one can be good, both ways of the clock together.
const MEMORY: Duration = Duration::from_secs(600);
/// How many are remembered. Slack delivers far fewer in ten minutes; beyond it the oldest is forgotten,
/// because refusing instead would let a flood of valid clicks lock the stop button.
const MEMORY_MAX: usize = 20_000;

/// Why a request is not believed. For our log; the sender learns nothing but 401.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotBelieved {
    /// Not exactly one signature and one timestamp.
    #[error("not exactly one signature and one timestamp header")]
    Headers,
    /// The timestamp is not made of digits.
    #[error("the timestamp is not made of digits")]
    Timestamp,
    /// Too old or too new.
    #[error("the timestamp is more than five minutes from our clock")]
    Skew,
    /// Signed with another secret, or changed on the way.
    #[error("the signature does not fit the body")]
    Signature,
}

/// Whether there is any sign of a signature at all.
pub fn is_signed(headers: &HeaderMap) -> bool {
    headers.contains_key(SIGNATURE)
}

/// Checks a request; gives back the signature, for the memory.
///
/// # Errors
///
/// [`NotBelieved`]; nothing may be done then.
pub fn verify(
    headers: &HeaderMap,
    body: &[u8],
    secret: &SecretString,
    now: DateTime<Utc>,
) -> Result<String, NotBelieved> {
    let signature = only(headers, SIGNATURE)?;
    let timestamp = only(headers, TIMESTAMP)?;
    let digits = (1..=12).contains(&timestamp.len()) && timestamp.bytes().all(|b| b.is_ascii_digit());
    let at: i64 = timestamp
        .parse()
        .ok()
        .filter(|_| digits)
        .ok_or(NotBelieved::Timestamp)?;
    let expected = sign(secret, timestamp, body);
    if !bool::from(expected.as_bytes().ct_eq(signature.as_bytes())) {
        return Err(NotBelieved::Signature);
    }
    if (now.timestamp() - at).abs() > SKEW_MAX_S {
        return Err(NotBelieved::Skew);
    }
    Ok(signature.to_owned())
}

/// `v0=` and 64 lower-case hex characters.
pub fn sign(secret: &SecretString, timestamp: &str, body: &[u8]) -> String {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret.expose_secret().as_bytes())
        .expect("HMAC takes keys of any length");
    for part in [b"v0:", timestamp.as_bytes(), b":", body] {
        mac.update(part);
    }
    format!("v0={}", crate::model::plan::hex(&mac.finalize().into_bytes()))
}

/// The header's value, if it is there once: with two of them somebody else may look at the other one.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, NotBelieved> {
    let mut all = headers.get_all(name).iter();
    match (all.next().and_then(|v| v.to_str().ok()), all.next()) {
        (Some(value), None) => Ok(value),
        _ => Err(NotBelieved::Headers),
    }
}

/// What came already.
#[derive(Default)]
pub struct Memory {
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    keys: HashSet<String>,
    order: VecDeque<(Duration, String)>,
}

impl Memory {
    /// Whether this key comes for the first time in ten minutes; remembers it.
    pub fn is_new(&self, key: String, elapsed: Duration) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((at, old)) = seen.order.pop_front() {
            if elapsed.saturating_sub(at) < MEMORY && seen.order.len() < MEMORY_MAX {
                seen.order.push_front((at, old));
                break;
            }
            seen.keys.remove(&old);
        }
        if !seen.keys.insert(key.clone()) {
            return false;
        }
        seen.order.push_back((elapsed, key));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Slack's own published example.
    const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
    const AT: i64 = 1_531_420_618;
    const BODY: &str = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    const SIGNED: &str = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";

    #[test]
    fn slacks_published_example_holds() {
        assert_eq!(
            sign(&SecretString::from(SECRET), "1531420618", BODY.as_bytes()),
            SIGNED
        );
        let headers = [(SIGNATURE, SIGNED), (TIMESTAMP, "1531420618")];
        assert_eq!(check(&headers, BODY.as_bytes(), AT), Ok(SIGNED.to_owned()));
    }

    fn check(headers: &[(&'static str, &str)], body: &[u8], now: i64) -> Result<String, NotBelieved> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().expect("a header value"));
        }
        let now = DateTime::from_timestamp(now, 0).expect("a moment");
        verify(&map, body, &SecretString::from(SECRET), now)
    }

    #[test]
    fn five_minutes_count_both_ways() {
        for (offset, good) in [
            (-301, false),
            (-300, true),
            (0, true),
            (300, true),
            (301, false),
            (i64::from(i32::MAX), false),
        ] {
            let headers = [(SIGNATURE, SIGNED), (TIMESTAMP, "1531420618")];
            assert_eq!(
                check(&headers, BODY.as_bytes(), AT + offset).is_ok(),
                good,
                "{offset}"
            );
        }
    }

    #[test]
    fn a_changed_byte_anywhere_is_noticed() {
        let headers = [(SIGNATURE, SIGNED), (TIMESTAMP, "1531420618")];
        for at in 0..BODY.len() {
            let mut body = BODY.as_bytes().to_vec();
            body[at] ^= 1;
            assert_eq!(
                check(&headers, &body, AT),
                Err(NotBelieved::Signature),
                "byte {at}"
            );
        }
        let other = [(SIGNATURE, SIGNED), (TIMESTAMP, "1531420619")];
        assert_eq!(check(&other, BODY.as_bytes(), AT), Err(NotBelieved::Signature));
    }

    #[test]
    fn a_key_is_new_once_in_ten_minutes() {
        let memory = Memory::default();
        let at = Duration::from_secs;
        assert!(memory.is_new("a".into(), at(0)));
        assert!(!memory.is_new("a".into(), at(1)));
        assert!(memory.is_new("b".into(), at(300)));
        assert!(!memory.is_new("a".into(), at(599)));
        assert!(memory.is_new("a".into(), at(600)));
        assert!(!memory.is_new("b".into(), at(899)));
    }

    #[test]
    fn the_memory_has_an_end() {
        let memory = Memory::default();
        for n in 0..=MEMORY_MAX {
            assert!(memory.is_new(n.to_string(), Duration::ZERO));
        }
        assert!(
            !memory.is_new(MEMORY_MAX.to_string(), Duration::ZERO),
            "the newest is known"
        );
        let seen = memory.seen.lock().expect("no panic");
        assert!(seen.keys.len() <= MEMORY_MAX && seen.order.len() == seen.keys.len());
    }
}
