//! A connection that opens.

use super::addresses::Door;
use super::http::ours;
use crate::model::experiment::Reading;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// Takes one sample: one connection to the first address that lets it in, and nothing sent over it.
///
/// Refused, reset and timed out are bad; a name that can't be resolved, an address that may not be
/// reached and trouble of our own are blind.
pub(super) async fn take(door: &Door, address: &str, timeout: Duration) -> Reading {
    let began = Instant::now();
    let addresses = match timeout_at(began + timeout, door.address(address)).await {
        Ok(Ok(addresses)) => addresses,
        Ok(Err(why)) => return Reading::Blind { why },
        Err(_) => {
            return Reading::Blind {
                why: "the host could not be resolved in time".into(),
            };
        }
    };
    let left = (began + timeout).saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Reading::Blind {
            why: "resolving the host took all of the time".into(),
        };
    }
    // Each address gets its share of the time, so that a dead first one does not hide the others.
    let each = left / u32::try_from(addresses.len()).unwrap_or(u32::MAX);
    let connecting = Instant::now();
    let seen = |bad| {
        let slowest_ms = u32::try_from(connecting.elapsed().as_millis()).ok();
        Reading::Seen {
            observed: 1,
            bad,
            slowest_ms,
        }
    };
    let (mut tried, mut own) = (false, None);
    for address in addresses {
        match timeout_at(Instant::now() + each, TcpStream::connect(address)).await {
            Ok(Ok(_)) => return seen(0),
            Ok(Err(error)) => match ours(&error) {
                Some(why) => own = Some(why),
                None => tried = true,
            },
            Err(_) => tried = true,
        }
    }
    match own {
        Some(why) if !tried => Reading::Blind { why },
        _ => seen(1),
    }
}
