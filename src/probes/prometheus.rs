//! An instant query of Prometheus that gives one number.
//!
//! An instant query gives values that are up to five minutes old, and the time it returns is that of
//! the evaluation, not of the scrape. So the age of the last scrape is asked for beside it, as
//! `max(time() - timestamp(selector))`, and what is older than two samples is not taken for an answer.
//! Source: Prometheus' HTTP API (`/api/v1/query`) and its documentation of staleness.

use super::wire::{MOST_BODY, excerpt};
use super::{Ask, Memory, number};
use crate::model::experiment::{Prometheus, Reading, ValueRule};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

/// Takes one sample.
pub(super) async fn take(
    ask: &Ask<'_>,
    source: &Prometheus,
    rule: Option<&ValueRule>,
    memory: &mut Memory,
) -> Reading {
    match measure(ask, source).await {
        Ok((value, requests)) => number::judge(value, rule, requests, memory),
        Err(why) => Reading::blind(why),
    }
}

async fn measure(ask: &Ask<'_>, source: &Prometheus) -> Result<(f64, Option<f64>), String> {
    let freshness = source
        .freshness
        .as_ref()
        .map(|selector| format!("max(time() - timestamp({selector}))"));
    let (value, requests, age) = tokio::join!(
        query(ask, source, Some(&source.query)),
        query(ask, source, source.requests.as_ref()),
        query(ask, source, freshness.as_ref()),
    );
    let age = age.map_err(|why| format!("how fresh the series is can't be said: {why}"))?;
    let oldest = ask.oldest().as_secs_f64();
    if let Some(age) = age.filter(|age| *age < 0.0) {
        return Err(format!(
            "the series is dated {} s in the future: clocks differ, and how old it is can't be said",
            -age
        ));
    }
    if let Some(age) = age.filter(|age| age.is_nan() || *age >= oldest) {
        return Err(format!(
            "the series was last scraped {} s ago; less than {oldest} s, two samples, is needed",
            (age * 10.0).round() / 10.0
        ));
    }
    let requests = requests.map_err(|why| format!("the number of requests is not known: {why}"))?;
    let value = value?.ok_or("no query was asked")?;
    Ok((value, requests))
}

#[derive(Deserialize)]
struct Envelope {
    status: String,
    data: Option<Data>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(rename = "resultType")]
    kind: String,
    #[serde(default)]
    result: Value,
}

async fn query(ask: &Ask<'_>, source: &Prometheus, query: Option<&String>) -> Result<Option<f64>, String> {
    let Some(query) = query else { return Ok(None) };
    let mut url = base(&source.url, "api/v1/query")?;
    url.query_pairs_mut().append_pair("query", query);
    let answer = ask.get(url, MOST_BODY).await?;
    let read: Result<Envelope, _> = serde_json::from_slice(&answer.body);
    match (answer.status, read) {
        (200, Ok(envelope)) if envelope.status == "success" => {
            let data = envelope.data.ok_or("Prometheus answered without data")?;
            one_number(&data).map(Some)
        }
        (400 | 422, Ok(envelope)) => Err(format!(
            "Prometheus refuses the query: {}",
            excerpt(envelope.error.as_deref().unwrap_or("it does not say why"))
        )),
        (200, Err(error)) => Err(format!("Prometheus' answer can't be read: {error}")),
        (
            _,
            Ok(Envelope {
                error: Some(error), ..
            }),
        ) => Err(format!(
            "Prometheus answered {}: {}",
            answer.status,
            excerpt(&error)
        )),
        (status, _) => Err(super::strange(status)),
    }
}

fn one_number(data: &Data) -> Result<f64, String> {
    let pair = match (data.kind.as_str(), &data.result) {
        ("scalar", pair) => pair,
        ("vector", Value::Array(series)) => match series.as_slice() {
            [] => return Err("the query gives nothing: an empty vector".into()),
            [one] => one.get("value").ok_or("the series has no value")?,
            several => {
                return Err(format!(
                    "the query gives {} series, one is wanted: add for example `sum(…)`",
                    several.len()
                ));
            }
        },
        (kind, _) => {
            return Err(format!(
                "the query gives a {}, one number is wanted",
                excerpt(kind)
            ));
        }
    };
    let text = pair.get(1).and_then(Value::as_str).unwrap_or_default();
    match text {
        "NaN" => Err("the query gives NaN: often a division of zero by zero, without traffic".into()),
        "+Inf" | "Inf" | "-Inf" => Err(format!("the query gives {text}: often a division by zero")),
        text => text
            .parse()
            .map_err(|_| format!("the query gives `{}`, which is no number", excerpt(text))),
    }
}

/// The address of an endpoint under a base address.
pub(super) fn base(text: &str, endpoint: &str) -> Result<Url, String> {
    let whole = format!("{}/{endpoint}", text.trim_end_matches('/'));
    Url::parse(&whole).map_err(|error| format!("the URL can't be read: {error}"))
}
