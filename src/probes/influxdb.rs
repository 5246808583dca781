//! A query of InfluxDB 1.x that gives one row with one number.
//!
//! `/query` answers `{"results": [{"series": [{"columns": ["time", …], "values": [[time, …]]}]}]}`, and
//! `{"error": …}` or an error in a result. One row is wanted, so that it can't be in doubt which one
//! counts: a query with `GROUP BY time(…)` gives several, the last of them unfinished. The row's time is that of the
//! measurement, and of an aggregate the beginning of the time that was asked about (1970 where the query doesn't bound
//! it): a row that is older than two samples, or that was counted already, is no answer. Source: the API reference of
//! InfluxDB 1.8.

use super::wire::{MOST_BODY, excerpt};
use super::{Ask, Memory, number, prometheus};
use crate::model::experiment::{Influxdb, Reading, ValueRule};
use serde::Deserialize;
use serde_json::Value;

/// Takes one sample.
pub(super) async fn take(
    ask: &Ask<'_>,
    source: &Influxdb,
    rule: Option<&ValueRule>,
    memory: &mut Memory,
) -> Reading {
    match measure(ask, source, memory).await {
        Ok(value) => number::judge(value, rule, None, memory),
        Err(why) => Reading::blind(why),
    }
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    results: Vec<Outcome>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Outcome {
    #[serde(default)]
    series: Vec<Series>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Series {
    #[serde(default)]
    values: Vec<Vec<Value>>,
}

async fn measure(ask: &Ask<'_>, source: &Influxdb, memory: &mut Memory) -> Result<f64, String> {
    let mut url = prometheus::base(&source.url, "query")?;
    url.query_pairs_mut()
        .append_pair("db", &source.db)
        .append_pair("q", &source.query)
        .append_pair("epoch", "ms");
    let answer = ask.get(url, MOST_BODY).await?;
    let read: Result<Answer, _> = serde_json::from_slice(&answer.body);
    match (answer.status, read) {
        (200, Ok(read)) => {
            let (time, value) = one_number(&read)?;
            let now = answer.now();
            let age = now.map(|now| now.timestamp_millis().saturating_sub(time));
            let oldest = i64::try_from(ask.oldest().as_millis()).unwrap_or(i64::MAX);
            // The server's clock is told in whole seconds.
            if let Some(age) = age.filter(|age| *age > oldest.saturating_add(1_000)) {
                return Err(format!(
                    "the row is {} s old, more than two samples: bound the query, such as `time > now() - 30s`",
                    age / 1_000
                ));
            }
            if memory.bucket.is_some_and(|last| time <= last) {
                return Err("the row was counted already: nothing is newer".into());
            }
            memory.bucket = Some(time);
            Ok(value)
        }
        (
            400,
            Ok(Answer {
                error: Some(error), ..
            }),
        ) => Err(refused(&error)),
        (401 | 403, _) => Err("InfluxDB asks for a password; probes have none".into()),
        (200, Err(error)) => Err(format!("InfluxDB's answer can't be read: {error}")),
        (status, _) => Err(super::strange(status)),
    }
}

fn refused(error: &str) -> String {
    format!("InfluxDB refuses the query: {}", excerpt(error))
}

/// The time of the row, in milliseconds, and its number.
fn one_number(answer: &Answer) -> Result<(i64, f64), String> {
    let result = match answer.results.as_slice() {
        [one] => one,
        several => return Err(format!("InfluxDB gives {} results, one is wanted", several.len())),
    };
    if let Some(error) = answer.error.as_ref().or(result.error.as_ref()) {
        return Err(refused(error));
    }
    let series = match result.series.as_slice() {
        [] => return Err("the query gives nothing".into()),
        [one] => one,
        several => {
            return Err(format!(
                "the query gives {} series, one is wanted: leave out GROUP BY of a tag",
                several.len()
            ));
        }
    };
    let row = match series.values.as_slice() {
        [] => return Err("the query gives nothing".into()),
        [one] => one,
        several => {
            return Err(format!(
                "the query gives {} rows, one is wanted: leave out GROUP BY time(…)",
                several.len()
            ));
        }
    };
    match row.as_slice() {
        [time, Value::Number(number)] => {
            let time = time.as_i64().ok_or("the row has no time")?;
            let number = number.as_f64().ok_or("the query gives no number")?;
            Ok((time, number))
        }
        [_time, Value::Null] => Err("the query gives null".into()),
        [_time, _] => Err("the query gives no number".into()),
        row => Err(format!(
            "the row has {} columns beside the time, one is wanted",
            row.len().saturating_sub(1)
        )),
    }
}
