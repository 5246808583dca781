//! Who is asking: bearer tokens, compared in constant time over SHA-256.
//!
//! Knows names and roles and nothing of routes. A token's secret is never kept, only its hash.

use super::problem::Problem;
use crate::model::command::{Person, Role, Via};
use crate::model::ids::PersonId;
use axum::http::{HeaderMap, header};
use sha2::{Digest, Sha256};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

/// Longest token that is hashed at all; ours have 64 characters.
const TOKEN_BYTES_MAX: usize = 512;

/// A name, what it may ask for, and the hash of its secret.
#[derive(Clone)]
pub struct Token {
    name: String,
    role: Role,
    sha256: [u8; 32],
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({} as {})", self.name, self.role)
    }
}

impl Token {
    /// A token by the SHA-256 of its secret in hex, as the settings file has it.
    ///
    /// # Errors
    ///
    /// A sentence, when the hash is not 64 hex characters, or when the name is empty or could be
    /// taken for a Slack user id: approvals name people by id, whatever door they come through.
    pub fn new(name: &str, role: Role, sha256_hex: &str) -> Result<Self, String> {
        if name.trim().is_empty() {
            return Err("an API token needs a name: the audit shows it".into());
        }
        if looks_like_slack_id(name) {
            return Err(format!(
                "API token {name:?} is named like a Slack user id; approvers are told apart by id, so choose another name"
            ));
        }
        let sha256 = unhex(sha256_hex).ok_or_else(|| {
            format!("sha256 of API token {name:?} is not 64 hex characters; make it with: printf %s TOKEN | sha256sum")
        })?;
        Ok(Self {
            name: name.to_owned(),
            role,
            sha256,
        })
    }

    /// A token by its secret: the one in the state directory.
    ///
    /// # Errors
    ///
    /// As [`Token::new`]; also for a secret shorter than 32 characters.
    pub fn of_secret(name: &str, role: Role, secret: &str) -> Result<Self, String> {
        if secret.len() < 32 {
            return Err(format!(
                "the secret of API token {name:?} has fewer than 32 characters"
            ));
        }
        let hash = Sha256::digest(secret.as_bytes());
        Self::new(name, role, &crate::model::plan::hex(&hash))
    }
}

fn looks_like_slack_id(name: &str) -> bool {
    name.len() >= 9
        && name.starts_with(['U', 'W', 'S', 'B'])
        && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0_u8; 32];
    if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(index * 2..index * 2 + 2)?, 16).ok()?;
    }
    Some(bytes)
}

/// Says who asks, when they may ask for what needs `needs`.
///
/// # Errors
///
/// 401 without a known token, 403 for a role that is too small.
pub(super) fn person(tokens: &[Token], headers: &HeaderMap, needs: Role) -> Result<Person, Problem> {
    let Some(secret) = bearer(headers) else {
        return Err(Problem::unauthorized(format!(
            "this needs a token of role {needs} or above in `Authorization: Bearer …`; nothing was done"
        )));
    };
    let Some(token) = find(tokens, secret) else {
        return Err(Problem::unauthorized(
            "this token is not known here: compare its SHA-256 with `api.tokens` of the settings file; nothing was done",
        ));
    };
    if token.role < needs {
        return Err(Problem::not_allowed(format!(
            "token {:?} has role {}, and this needs {needs} or above; nothing was done",
            token.name, token.role
        )));
    }
    let name = match said_user(headers) {
        Some(user) => format!("{user} (token {})", token.name),
        None => token.name.clone(),
    };
    Ok(Person {
        id: PersonId::new(token.name.clone()),
        name,
        via: Via::Api,
        role: token.role,
    })
}

/// The secret in the only `Authorization` header, if it is a bearer's.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let value = all.next()?.to_str().ok()?;
    if all.next().is_some() {
        return None;
    }
    let (scheme, secret) = value.split_once(' ')?;
    let secret = secret.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !secret.is_empty() && secret.len() <= TOKEN_BYTES_MAX)
        .then_some(secret)
}

/// Compares with every token, so that time tells neither whether nor where one matched.
fn find<'a>(tokens: &'a [Token], secret: &str) -> Option<&'a Token> {
    let asked: [u8; 32] = Sha256::digest(secret.as_bytes()).into();
    let mut found = Choice::from(0);
    let mut place = 0_u64;
    for (index, token) in (0_u64..).zip(tokens) {
        let same = token.sha256.ct_eq(&asked);
        place.conditional_assign(&index, same);
        found |= same;
    }
    if !bool::from(found) {
        return None;
    }
    tokens.get(usize::try_from(place).ok()?)
}

/// The Unix user that the command line names. For display only; what decides is the token.
fn said_user(headers: &HeaderMap) -> Option<&str> {
    let user = headers.get("x-heartbreak-user")?.to_str().ok()?;
    let plain = user
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    (plain && (1..=32).contains(&user.len())).then_some(user)
}

/// Whether a request certainly comes from this machine, by somebody who meant this machine.
///
/// The peer alone is not enough: a proxy on this host makes everybody local, and a web page can point
/// a name of its own at 127.0.0.1. So the `Host` must be a loopback one too, and nothing may have
/// forwarded the request.
pub(super) fn is_local(peer: Option<SocketAddr>, headers: &HeaderMap) -> bool {
    let forwarded = [
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-real-ip",
        "via",
    ]
    .iter()
    .any(|name| headers.contains_key(*name));
    let host = headers
        .get(header::HOST)
        .and_then(|h| h.to_str().ok())
        .is_some_and(is_loopback_host);
    peer.is_some_and(|peer| peer.ip().to_canonical().is_loopback()) && host && !forwarded
}

fn is_loopback_host(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(""),
        None => host.split(':').next().unwrap_or(""),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn tokens() -> Vec<Token> {
        vec![
            Token::of_secret("other", Role::Admin, "ffffffffffffffffffffffffffffffff").unwrap(),
            Token::of_secret("ci", Role::Operator, SECRET).unwrap(),
        ]
    }

    #[track_caller]
    fn check(pairs: &[(&'static str, &'static str)], needs: Role, expected: Result<&str, u16>) {
        let answer = person(&tokens(), &headers(pairs), needs);
        assert_eq!(
            answer
                .as_ref()
                .map(|p| p.name.as_str())
                .map_err(|p| p.status().as_u16()),
            expected,
            "{pairs:?}"
        );
    }

    #[test]
    fn a_token_is_found_by_its_hash_and_its_role_decides() {
        check(
            &[("authorization", "Bearer 0123456789abcdef0123456789abcdef")],
            Role::Viewer,
            Ok("ci"),
        );
        check(
            &[("authorization", "bearer 0123456789abcdef0123456789abcdef")],
            Role::Operator,
            Ok("ci"),
        );
        check(
            &[("authorization", "Bearer 0123456789abcdef0123456789abcdef")],
            Role::Approver,
            Err(403),
        );
        check(
            &[("authorization", "Bearer 0123456789abcdef0123456789abcdeF")],
            Role::Viewer,
            Err(401),
        );
        check(
            &[("authorization", "Basic 0123456789abcdef0123456789abcdef")],
            Role::Viewer,
            Err(401),
        );
        check(&[("authorization", "Bearer ")], Role::Viewer, Err(401));
        check(&[], Role::Viewer, Err(401));
    }

    #[test]
    fn two_authorization_headers_are_none() {
        check(
            &[
                ("authorization", "Bearer 0123456789abcdef0123456789abcdef"),
                ("authorization", "Bearer 0123456789abcdef0123456789abcdef"),
            ],
            Role::Viewer,
            Err(401),
        );
    }

    #[test]
    fn the_unix_user_is_shown_and_never_decides() {
        let with_user = |user| {
            [
                ("authorization", "Bearer 0123456789abcdef0123456789abcdef"),
                ("x-heartbreak-user", user),
            ]
        };
        check(&with_user("ana"), Role::Viewer, Ok("ana (token ci)"));
        check(&with_user("ana <!channel>"), Role::Viewer, Ok("ci"));
        let person = person(&tokens(), &headers(&with_user("ana")), Role::Viewer).unwrap();
        assert_eq!(person.id.as_str(), "ci");
    }

    #[test]
    fn tokens_that_could_be_mistaken_are_refused() {
        let hash = "a".repeat(64);
        assert!(Token::new("ci", Role::Viewer, &hash).is_ok());
        assert!(Token::new("U012AB3CD", Role::Viewer, &hash).is_err());
        assert!(Token::new(" ", Role::Viewer, &hash).is_err());
        assert!(Token::new("ci", Role::Viewer, "abc").is_err());
        assert!(Token::new("ci", Role::Viewer, &"ä".repeat(32)).is_err());
        assert!(Token::of_secret("ci", Role::Viewer, "short").is_err());
    }

    #[test]
    fn a_token_does_not_print_its_hash() {
        assert_eq!(format!("{:?}", tokens()[1]), "Token(ci as operator)");
    }

    #[test]
    fn local_means_peer_and_host_and_nothing_in_between() {
        #[track_caller]
        fn check(peer: &str, pairs: &[(&'static str, &'static str)], expected: bool) {
            assert_eq!(
                is_local(peer.parse().ok(), &headers(pairs)),
                expected,
                "{peer} {pairs:?}"
            );
        }
        check("127.0.0.1:4000", &[("host", "localhost:9480")], true);
        check("[::1]:4000", &[("host", "[::1]:9480")], true);
        check("[::ffff:127.0.0.1]:4000", &[("host", "127.0.0.1:9480")], true);
        check("10.0.0.9:4000", &[("host", "localhost:9480")], false);
        check("127.0.0.1:4000", &[("host", "evil.example:9480")], false);
        check("127.0.0.1:4000", &[], false);
        check(
            "127.0.0.1:4000",
            &[("host", "localhost"), ("x-forwarded-for", "1.2.3.4")],
            false,
        );
        check("", &[("host", "localhost:9480")], false);
    }
}
