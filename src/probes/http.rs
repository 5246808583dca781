//! Requests on a fixed grid, and what counts as a bad answer.
//!
//! Open loop: every request goes out at its own moment, whether or not the earlier ones were
//! answered. Waiting for answers would ask a struggling service less often exactly when it matters.
//! Each request has its own connection, as a new user has; none is retried, none follows a redirect.

use super::addresses::{Door, NoAddress};
use super::json::Rule;
use super::wire::{MOST_BODY, Target, Why, millis};
use crate::model::experiment::{Detail, Http, Phases, Reading};
use crate::ports::prober::Patience;
use futures_util::future::join_all;
use regex::Regex;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use url::Url;

/// More requests than this in one sample are not sent.
const MOST_REQUESTS: u32 = 50;

/// Takes one sample: `requests` requests, each with the whole timeout, less what resolving the host took.
///
/// They leave one after the other: over a quarter of the timeout, or half of the room between it and the interval
/// where that is less, so that all of them are over before the next sample begins.
pub(super) async fn take(
    door: &Door,
    tls: &Arc<rustls::ClientConfig>,
    http: &Http,
    timing: Patience,
) -> Reading {
    let began = Instant::now();
    let requests = http.requests.clamp(1, MOST_REQUESTS);
    match prepare(door, tls, http, began + timing.timeout).await {
        Ok(asker) => asker.ask_all(requests, began.elapsed(), timing).await,
        Err(NoAddress::Unresolved(_)) if http.dns_failure_is_bad => sum_up(
            http,
            (0..requests).map(|_| Answer::silent(Phases::default())),
            began.elapsed(),
        ),
        Err(why) => Reading::blind(why.to_string()),
    }
}

/// Everything that can go wrong before a request leaves: blind, because nothing was learnt.
async fn prepare<'a>(
    door: &Door,
    tls: &Arc<rustls::ClientConfig>,
    http: &'a Http,
    deadline: Instant,
) -> Result<Asker<'a>, NoAddress> {
    let refused = NoAddress::Refused;
    let url = Url::parse(&http.url).map_err(|error| refused(format!("the URL can't be read: {error}")))?;
    let body = http.body_matches.as_deref().map(Regex::new).transpose();
    let body = body.map_err(|error| refused(format!("bodyMatches is no regular expression: {error}")))?;
    let json = http.json.as_ref().map(Rule::new).transpose().map_err(refused)?;
    let target = Target::find(door, tls, url, deadline).await?;
    Ok(Asker {
        target,
        http,
        body,
        json,
    })
}

struct Asker<'a> {
    target: Target,
    http: &'a Http,
    body: Option<Regex>,
    json: Option<Rule>,
}

/// What one request has shown.
struct Answer {
    shown: Shown,
    took: Duration,
    phases: Phases,
}

enum Shown {
    Good,
    /// As it should be, but too late.
    Slow,
    Bad,
    /// Bad, because nobody answered.
    Silent,
    /// It never left, for a reason of our own, or its answer can't be judged.
    Unknown(String),
}

impl Answer {
    fn silent(phases: Phases) -> Self {
        Self {
            shown: Shown::Silent,
            took: Duration::ZERO,
            phases,
        }
    }
}

impl Asker<'_> {
    async fn ask_all(&self, requests: u32, resolving: Duration, timing: Patience) -> Reading {
        let began = Instant::now();
        let spread = spread(timing);
        // The same patience for each of them, however late it leaves.
        let patience = timing.timeout.saturating_sub(resolving);
        if patience.is_zero() {
            return Reading::blind("resolving the host took all of the time");
        }
        let answers = join_all((0..requests).map(|number| {
            let departure = began + spread * number / requests;
            async move {
                sleep_until(departure).await;
                self.ask(patience).await
            }
        }));
        sum_up(self.http, answers.await, resolving)
    }

    /// One request, from departure to the end of its body.
    async fn ask(&self, patience: Duration) -> Answer {
        let departure = Instant::now();
        let outcome = self.target.get(departure + patience, MOST_BODY).await;
        let took = departure.elapsed();
        let (shown, phases) = match outcome {
            Ok(answer) => {
                let slow = self.http.slower_than.is_some_and(|line| took > line);
                let shown = match self.judge(answer.status, &answer.body, answer.whole) {
                    Ok(true) if slow => Shown::Slow,
                    Ok(true) => Shown::Good,
                    Ok(false) => Shown::Bad,
                    Err(why) => Shown::Unknown(why),
                };
                (shown, answer.phases)
            }
            Err(failure) => {
                let shown = match failure.why {
                    Why::Ours(why) => Shown::Unknown(why),
                    Why::Silence(_) => Shown::Silent,
                    Why::Broken(_) => Shown::Bad,
                };
                (shown, failure.phases)
            }
        };
        Answer { shown, took, phases }
    }

    /// Whether status and body are as they should be. A wrong status is bad whatever the body says.
    fn judge(&self, status: u16, body: &[u8], whole: bool) -> Result<bool, String> {
        let fits = |range: &crate::model::experiment::StatusRange| (range.from..=range.to).contains(&status);
        if !self.http.status.iter().any(fits) {
            return Ok(false);
        }
        let text = String::from_utf8_lossy(body);
        let matches = self.body.as_ref().is_none_or(|wanted| wanted.is_match(&text));
        match &self.json {
            Some(rule) if matches => {
                let read = if whole {
                    rule.fits(&text)
                } else {
                    Err("the body is longer than 64 KiB".to_owned())
                };
                read.map_err(|why| format!("the answer can't be judged: {why}"))
            }
            _ => Ok(matches),
        }
    }
}

/// Over how long the departures of a sample are spread.
fn spread(timing: Patience) -> Duration {
    let room = timing.interval.saturating_sub(timing.timeout);
    (timing.timeout / 4).min(room / 2)
}

/// The answers as one reading. One that can't be judged makes all of it blind: leaving it out would
/// make the others look like everything.
fn sum_up(http: &Http, answers: impl IntoIterator<Item = Answer>, resolving: Duration) -> Reading {
    let pending = http.slower_than_baseline_percent.is_some();
    // A verdict compares the slow ends of the groups, so a slow answer has to be among the times.
    let timed = pending || http.slower_than.is_some();
    let (mut observed, mut bad) = (0, 0);
    let (mut slowest, mut detail) = (Duration::ZERO, Detail::default());
    for answer in answers {
        observed += 1;
        detail.pending |= pending;
        match answer.shown {
            Shown::Unknown(why) => return Reading::blind(why),
            Shown::Good | Shown::Slow if timed => {
                bad += u32::from(matches!(answer.shown, Shown::Slow));
                let us = u32::try_from(answer.took.as_micros()).unwrap_or(u32::MAX);
                detail.times_us.push(us);
            }
            Shown::Good => {}
            Shown::Slow | Shown::Bad => bad += 1,
            Shown::Silent => {
                bad += 1;
                detail.unanswered += 1;
            }
        }
        if answer.took >= slowest {
            slowest = answer.took;
            detail.slowest = Some(Phases {
                dns_ms: Some(millis(resolving)),
                ..answer.phases
            });
        }
    }
    Reading::Seen {
        observed,
        bad,
        slowest_ms: Some(millis(slowest)),
        detail: Some(Box::new(detail)),
    }
}

#[cfg(test)]
mod tests;
