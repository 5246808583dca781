//! The last complete bucket of a Graphite series.
//!
//! `/render?format=json` gives `[{"target": …, "datapoints": [[value, time], …]}]`, with `null` where
//! nothing was recorded. The newest bucket is still being filled; which one that is follows from the
//! distance of the buckets and from the server's own clock (its `Date`). Source: Graphite's documentation
//! of the render API.

use super::wire::{MOST_BODY, excerpt};
use super::{Ask, Memory, number, prometheus};
use crate::model::experiment::{Graphite, Reading, ValueRule};
use chrono::DateTime;
use serde::Deserialize;

/// How far back is asked: enough for two buckets of five minutes.
const FROM: &str = "-15min";

/// Takes one sample.
pub(super) async fn take(
    ask: &Ask<'_>,
    source: &Graphite,
    rule: Option<&ValueRule>,
    memory: &mut Memory,
) -> Reading {
    match measure(ask, source, memory).await {
        Ok(value) => number::judge(value, rule, None, memory),
        Err(why) => Reading::blind(why),
    }
}

#[derive(Deserialize)]
struct Series {
    datapoints: Vec<(Option<f64>, i64)>,
}

async fn measure(ask: &Ask<'_>, source: &Graphite, memory: &mut Memory) -> Result<f64, String> {
    let mut url = prometheus::base(&source.url, "render")?;
    url.query_pairs_mut()
        .append_pair("target", &source.target)
        .append_pair("from", FROM)
        .append_pair("format", "json");
    let answer = ask.get(url, MOST_BODY).await?;
    if answer.status == 400 {
        let said = excerpt(&String::from_utf8_lossy(&answer.body));
        return Err(format!("Graphite refuses the target: {said}"));
    }
    if answer.status != 200 {
        return Err(super::strange(answer.status));
    }
    let series: Vec<Series> = serde_json::from_slice(&answer.body)
        .map_err(|error| format!("Graphite's answer can't be read: {error}"))?;
    let points = match series.as_slice() {
        [] => return Err("the target gives no series".into()),
        [one] => &one.datapoints,
        several => {
            return Err(format!(
                "the target gives {} series, one is wanted: add for example `sumSeries(…)`",
                several.len()
            ));
        }
    };
    let now = answer.now().map(|now| now.timestamp());
    let (value, time) = last_complete(points, now)?;
    // A series may end long before the present.
    let step = step(points)?;
    let oldest = i64::try_from(ask.oldest().as_secs()).unwrap_or(i64::MAX);
    let oldest = oldest.max(step.saturating_mul(2));
    if let Some(age) = now.map(|now| now - time - step).filter(|age| *age > oldest) {
        return Err(format!(
            "the last bucket ({}) ended {age} s ago, more than two samples",
            clock(time)
        ));
    }
    if memory.bucket == Some(time) {
        return Err(format!(
            "the bucket of {} was counted already; ask only once for each, with `every`",
            clock(time)
        ));
    }
    let value = value.ok_or_else(|| format!("the last complete bucket ({}) is empty", clock(time)))?;
    memory.bucket = Some(time);
    Ok(value)
}

fn clock(time: i64) -> String {
    DateTime::from_timestamp(time, 0)
        .map_or_else(|| time.to_string(), |t| t.format("%H:%M:%S UTC").to_string())
}

/// Seconds from one bucket to the next.
fn step(points: &[(Option<f64>, i64)]) -> Result<i64, String> {
    let [.., (_, before), (_, last)] = points else {
        return Err(
            "the target gives fewer than two buckets in 15 minutes, so none is known to be complete".into(),
        );
    };
    match last - before {
        step @ 1.. => Ok(step),
        _ => Err("the buckets are not in order".into()),
    }
}

/// The newest bucket that has ended; without a clock, the last but one.
fn last_complete(points: &[(Option<f64>, i64)], now: Option<i64>) -> Result<(Option<f64>, i64), String> {
    let step = step(points)?;
    let last = points.last().map(|(_, time)| *time);
    let complete = |time: i64| now.map_or(Some(time) < last, |now| time + step <= now);
    let found = points.iter().rev().find(|(_, time)| complete(*time));
    found
        .copied()
        .ok_or_else(|| "no bucket of the target is complete yet".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bucket_that_is_still_filled_is_left_out() {
        let points = [(Some(1.0), 100), (Some(2.0), 110), (None, 120)];
        for (now, expected) in [
            (Some(125), Ok((Some(2.0), 110))),
            (Some(130), Ok((None, 120))),
            (Some(119), Ok((Some(1.0), 100))),
            (None, Ok((Some(2.0), 110))),
        ] {
            assert_eq!(last_complete(&points, now), expected, "{now:?}");
        }
        assert!(
            last_complete(&points[..1], None)
                .unwrap_err()
                .contains("two buckets")
        );
        assert!(
            last_complete(&points, Some(5))
                .unwrap_err()
                .contains("complete yet")
        );
        assert!(
            last_complete(&[(None, 5), (None, 5)], None)
                .unwrap_err()
                .contains("in order")
        );
    }
}
