//! A connection that opens.

use super::addresses::Door;
use super::wire::{Why, connect, millis};
use crate::model::experiment::{Detail, Phases, Reading};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Takes one sample: one connection to the first address that lets it in, and nothing sent over it.
///
/// Refused, reset and timed out are bad; a name that can't be resolved, an address that may not be
/// reached and trouble of our own are blind.
pub(super) async fn take(door: &Door, address: &str, timeout: Duration) -> Reading {
    let began = Instant::now();
    let deadline = began + timeout;
    let addresses = match timeout_at(deadline, door.address(address)).await {
        Ok(Ok(addresses)) => addresses,
        Ok(Err(why)) => return Reading::blind(why.to_string()),
        Err(_) => return Reading::blind("the host could not be resolved in time"),
    };
    let connecting = Instant::now();
    if connecting >= deadline {
        return Reading::blind("resolving the host took all of the time");
    }
    let bad = match connect(&addresses, address, deadline).await {
        Ok(_) => 0,
        Err(Why::Ours(why)) => return Reading::blind(why),
        Err(Why::Silence(_) | Why::Broken(_)) => 1,
    };
    let took = millis(connecting.elapsed());
    Reading::Seen {
        observed: 1,
        bad,
        slowest_ms: Some(took),
        detail: Some(Box::new(Detail {
            unanswered: bad,
            slowest: Some(Phases {
                dns_ms: Some(millis(connecting - began)),
                connect_ms: Some(took),
                ..Phases::default()
            }),
            ..Detail::default()
        })),
    }
}
