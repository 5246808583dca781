//! The event stream. An event never decides anything: it only says "look again".

use super::client::{Client, address, place, sentence};
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

/// What a stream has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// It was opened: whatever was said before is lost, so what is true has to be asked.
    Opened,
    /// Something happened, once or often.
    Events,
}

/// Follows the event stream for ever and calls `wake` after every connection and after every batch of
/// events. Events are lost now and then by design of Marathon: whoever is woken looks, and looks on a
/// timer as well. Dropping the future closes the stream.
pub async fn follow(client: &Client, wake: impl Fn(News) + Send + Sync) {
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
async fn once(client: &Client, wake: &(impl Fn(News) + Send + Sync), turn: u64) -> String {
    let (clock, silence) = (&client.options.clock, client.options.event_silence);
    let nodes = client.nodes();
    let turn = usize::try_from(turn).unwrap_or(0) % nodes.len().max(1);
    let Some(node) = nodes.get(turn) else {
        return "no node is configured".to_owned();
    };
    let query: Vec<(&str, &str)> = TYPES.iter().map(|t| ("event_type", *t)).collect();
    let url = address(node, &["v2", "events"], &query);
    // Marathon compares the whole header: anything added to it is a 405.
    let opened = client.open(url, "text/event-stream", None);
    let opened = tokio::select! {
        biased;
        opened = opened => opened,
        () = clock.sleep(silence) => return format!("{} did not answer", place(node)),
    };
    let mut response = match opened {
        Ok(response) => response,
        Err((why, _)) => return format!("{}: {why}", place(node)),
    };
    if response.status() == 401 {
        // A token that is refused is not used again.
        client.session.forget();
    }
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
    wake(News::Opened);
    let mut reader = Reader::default();
    loop {
        // Marathon sends an empty line every ten seconds: whoever says nothing for longer is gone, whatever
        // the socket believes.
        let chunk = tokio::select! {
            biased;
            chunk = response.chunk() => chunk,
            () = clock.sleep(silence) => return format!("{} was silent for {silence:?}", place(node)),
        };
        match chunk {
            Ok(Some(chunk)) => {
                if reader.take(&chunk) > 0 {
                    wake(News::Events);
                }
            }
            Ok(None) => return format!("{} closed it", place(node)),
            Err(e) => return format!("{} broke it off: {}", place(node), sentence(&e.without_url())),
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
