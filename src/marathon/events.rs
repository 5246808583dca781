//! The event stream. An event never decides anything: it only says "look again".

use super::client::{Client, address, place};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Events after which another look may show something else.
const TYPES: [&str; 14] = [
    "status_update_event",
    "instance_changed_event",
    "instance_health_changed_event",
    "health_status_changed_event",
    "unhealthy_instance_kill_event",
    "unknown_instance_terminated_event",
    "deployment_info",
    "deployment_step_success",
    "deployment_step_failure",
    "deployment_success",
    "deployment_failed",
    "group_change_success",
    "app_terminated_event",
    "api_post_event",
];
/// First pause after a lost stream; doubles up to [`LONGEST`].
const SHORTEST: Duration = Duration::from_millis(500);
/// Longest pause.
const LONGEST: Duration = Duration::from_secs(30);

/// Follows the event stream for ever and calls `wake` after every connection and after every batch of
/// events. Events are lost now and then by design of Marathon: whoever is woken looks, and looks on a
/// timer as well. Dropping the future closes the stream.
pub async fn follow(client: &Client, wake: impl Fn() + Send + Sync) {
    let mut pause = SHORTEST;
    let dice = RandomState::new();
    for turn in 0_u64.. {
        let started = client.options.clock.elapsed();
        let why = once(client, &wake, turn).await;
        tracing::info!(cluster = %client.options.cluster, why, "event stream ended");
        if client.options.clock.elapsed().saturating_sub(started) > LONGEST {
            pause = SHORTEST;
        }
        let jitter = u32::try_from(dice.hash_one(turn) % 500).unwrap_or(0);
        client.options.clock.sleep(pause + pause * jitter / 1000).await;
        pause = (pause * 2).min(LONGEST);
    }
}

/// One connection, until it ends; says why it did.
async fn once(client: &Client, wake: &(impl Fn() + Send + Sync), turn: u64) -> String {
    let nodes = client.nodes();
    let turn = usize::try_from(turn).unwrap_or(0) % nodes.len().max(1);
    let Some(node) = nodes.get(turn) else {
        return "no node is configured".to_owned();
    };
    let query: Vec<(&str, &str)> = TYPES.iter().map(|t| ("event_type", *t)).collect();
    let url = address(node, &["v2", "events"], &query);
    // Marathon compares the whole header: anything added to it is a 405.
    let opened = client.open(url, "text/event-stream", None);
    let mut response = match tokio::time::timeout(client.options.event_silence, opened).await {
        Ok(Ok(response)) => response,
        Ok(Err((why, _))) => return format!("{}: {why}", place(node)),
        Err(_) => return format!("{} did not answer", place(node)),
    };
    let kind = response
        .headers()
        .get("content-type")
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    if response.status() != 200 || !kind.starts_with("text/event-stream") {
        return format!(
            "{} answered {} {kind:?} instead of events",
            place(node),
            response.status().as_u16()
        );
    }
    wake();
    let mut reader = Reader::default();
    loop {
        match tokio::time::timeout(client.options.event_silence, response.chunk()).await {
            Ok(Ok(Some(chunk))) => {
                if reader.take(&chunk) > 0 {
                    wake();
                }
            }
            Ok(Ok(None)) => return format!("{} closed it", place(node)),
            Ok(Err(e)) => return format!("{}: {}", place(node), e.without_url()),
            Err(_) => {
                return format!(
                    "{} was silent for {:?}",
                    place(node),
                    client.options.event_silence
                );
            }
        }
    }
}

/// Finds the ends of events in a stream of `text/event-stream`, wherever it is cut. Keeps three bits
/// and no text, so no stream can make it grow.
#[derive(Default)]
pub(super) struct Reader {
    after_cr: bool,
    line_has_text: bool,
    /// Whether the line begins with `data`.
    matched: usize,
    line_is_data: bool,
    event_has_data: bool,
}

impl Reader {
    /// Takes in some bytes; says how many events ended in them.
    pub fn take(&mut self, bytes: &[u8]) -> usize {
        bytes.iter().filter(|byte| self.step(**byte)).count()
    }

    fn step(&mut self, byte: u8) -> bool {
        let after_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
        match byte {
            b'\n' if after_cr => false,
            b'\r' | b'\n' => {
                if self.matched == 4 {
                    self.line_is_data = true;
                }
                self.event_has_data |= self.line_is_data;
                let ended = !self.line_has_text && std::mem::take(&mut self.event_has_data);
                self.line_has_text = false;
                self.line_is_data = false;
                self.matched = 0;
                ended
            }
            _ => {
                const NAME: &[u8; 5] = b"data:";
                if !self.line_has_text || self.matched > 0 {
                    let fits = NAME.get(self.matched) == Some(&byte);
                    self.matched = if fits { self.matched + 1 } else { 0 };
                    if self.matched == NAME.len() {
                        self.line_is_data = true;
                        self.matched = 0;
                    }
                }
                self.line_has_text = true;
                false
            }
        }
    }
}

#[cfg(test)]
#[path = "events_test.rs"]
mod tests;
