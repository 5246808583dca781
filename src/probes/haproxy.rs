//! The counters of HAProxy load balancers, from one look to the next.
//!
//! # What is counted
//!
//! The BACKEND row: in HTTP mode Δ`hrsp_5xx` of Δ`req_tot`, in TCP mode Δ(`econ` + `eresp`) of Δ`stot`.
//! HAProxy's own 502 and 503 are in `hrsp_5xx` already, so `econ` and `eresp` are never added to it
//! (measured on HAProxy 2.6). What it made up for (`wredis`, `wretr`) is harm that users did not see as
//! an error: it is kept beside, and never counts as bad.
//!
//! # Restarts
//!
//! marathon-lb reloads HAProxy at every change of tasks, and a new process counts from zero; the `pid`
//! column is a worker's number and stays 1. A new origin shows in any counter of any row that runs
//! backwards (our own looks move the counters of the statistics' row, so there always is one), in
//! `lastchg` of all servers of the backend jumping down together, or in other servers than before. What
//! happened between the two looks is then unknown: that sample is blind, not free of errors.

use super::wire::place;
use super::{Ask, Memory};
use crate::model::experiment::{Detail, Haproxy, Masked, PoolServer, Pooled, Reading};
use futures_util::future::join_all;
use std::collections::BTreeMap;
use url::Url;

/// The most that is read of the statistics: some 500 bytes for each of 16,000 rows.
const MOST_CSV: usize = 8 * 1024 * 1024;

/// What one look at one balancer has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// Requests, or sessions in TCP mode.
    total: u64,
    bad: u64,
    retries: u64,
    redispatches: u64,
    /// Seconds since the state of each server of the backend changed.
    servers: BTreeMap<String, u64>,
    /// The servers of the backend that take requests.
    pool: BTreeMap<String, Pooled>,
    /// Sessions, requests and failures of every row there is.
    rows: BTreeMap<(String, String), [u64; 3]>,
}

/// Takes one sample: what was counted since the last look, summed over the balancers.
pub(super) async fn take(ask: &Ask<'_>, source: &Haproxy, memory: &mut Memory) -> Reading {
    let looks = join_all(source.lbs.iter().map(|lb| async move {
        let url = address(lb)?;
        let name = place(&url);
        let answer = ask.get(url, MOST_CSV).await?;
        match answer.status {
            200 => read(&answer.body, &source.backend).map_err(|why| format!("{name}: {why}")),
            401 => Err(format!("{name} asks for a password; probes have none")),
            status => Err(format!("{name}: {}", super::strange(status))),
        }
    }))
    .await;
    let (mut sum, mut blind, mut counted) = (Sum::default(), vec![], vec![]);
    for (lb, look) in source.lbs.iter().zip(looks) {
        let look = match look {
            Ok(look) => look,
            Err(why) => {
                // What was counted meanwhile comes with the next look.
                blind.push(why);
                continue;
            }
        };
        match memory
            .looks
            .get(lb)
            .map(|before| (new_origin(before, &look), before))
        {
            None => blind
                .push("the first look at the counters: only from one look to the next can be counted".into()),
            Some((Some(why), _)) => blind.push(format!("{lb} was reloaded: {why}")),
            Some((None, before)) => {
                sum.add(before, &look);
                counted.push((lb.clone(), look));
                continue;
            }
        }
        memory.looks.insert(lb.clone(), look);
    }
    if let Some(why) = blind.first() {
        return Reading::blind(match source.lbs.len() {
            1 => why.clone(),
            all => format!("{} of {all} balancers can't be counted: {why}", blind.len()),
        });
    }
    // Only now: where one balancer can't be counted, what the others did meanwhile comes with the next sample.
    memory.looks.extend(counted);
    let mut reading = sum.reading(&source.backend);
    if let Reading::Seen {
        detail: Some(detail), ..
    } = &mut reading
    {
        let looks: Vec<&Look> = source.lbs.iter().filter_map(|lb| memory.looks.get(lb)).collect();
        let pool = pool_of(&looks);
        detail.pool = news(&memory.pool, &pool);
        memory.pool = pool;
    }
    reading
}

/// The servers to which every balancer sends requests; serving where one of them did.
fn pool_of(looks: &[&Look]) -> BTreeMap<String, Pooled> {
    let Some((first, others)) = looks.split_first() else {
        return BTreeMap::new();
    };
    first
        .pool
        .iter()
        .filter_map(|(server, state)| {
            let elsewhere = others.iter().map(|look| look.pool.get(server).copied());
            let elsewhere = elsewhere.collect::<Option<Vec<_>>>()?;
            let state = elsewhere.into_iter().fold(*state, Pooled::max);
            Some((server.clone(), state))
        })
        .collect()
}

/// What is new of a pool.
fn news(before: &BTreeMap<String, Pooled>, now: &BTreeMap<String, Pooled>) -> Vec<PoolServer> {
    let gone = before.keys().filter(|server| !now.contains_key(*server));
    let gone = gone.map(|server| (server, Pooled::Out));
    let changed = now
        .iter()
        .filter(|(server, state)| before.get(*server) != Some(state));
    gone.chain(changed.map(|(server, state)| (server, *state)))
        .map(|(server, state)| PoolServer {
            server: server.clone(),
            state,
        })
        .collect()
}

/// Where the statistics are: `/haproxy?stats;csv` under a bare base address.
fn address(lb: &str) -> Result<Url, String> {
    let mut url = Url::parse(lb).map_err(|error| format!("the URL can't be read: {error}"))?;
    if url.path() == "/" && url.query().is_none() {
        url.set_path("/haproxy");
        url.set_query(Some("stats;csv"));
    }
    Ok(url)
}

/// Why the counters do not go on from where they were, if they don't.
fn new_origin(before: &Look, now: &Look) -> Option<String> {
    for (row, counters) in &before.rows {
        let Some(later) = now.rows.get(row) else {
            // Rows come and go by reloads only; the rows of this backend are looked at below.
            continue;
        };
        if counters.iter().zip(later).any(|(before, now)| now < before) {
            return Some(format!("the counters of {}/{} run backwards", row.0, row.1));
        }
    }
    if before.servers.keys().ne(now.servers.keys()) {
        return Some("it has other servers than before".into());
    }
    let jumped = before
        .servers
        .iter()
        .all(|(server, before)| now.servers[server] < *before);
    (jumped && !before.servers.is_empty())
        .then(|| "every server's last change is more recent than before".into())
}

#[derive(Default)]
struct Sum {
    total: u64,
    bad: u64,
    retries: u64,
    redispatches: u64,
}

impl Sum {
    /// Adds what was counted between two looks at one balancer; the second is not before the first.
    fn add(&mut self, before: &Look, now: &Look) {
        self.total += now.total.saturating_sub(before.total);
        self.bad += now.bad.saturating_sub(before.bad);
        self.retries += now.retries.saturating_sub(before.retries);
        self.redispatches += now.redispatches.saturating_sub(before.redispatches);
    }

    fn reading(&self, backend: &str) -> Reading {
        let count = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        // A request that began before the first look can fail after it.
        let observed = self.total.max(self.bad);
        if observed == 0 {
            return Reading::blind(format!(
                "no request went to {backend} since the last look, so nothing can be seen"
            ));
        }
        let masked = Masked {
            retries: count(self.retries),
            redispatches: count(self.redispatches),
        };
        Reading::Seen {
            observed: count(observed),
            bad: count(self.bad),
            slowest_ms: None,
            detail: Some(Box::new(Detail {
                masked: (masked != Masked::default()).then_some(masked),
                ..Detail::default()
            })),
        }
    }
}

/// Reads the statistics as CSV.
fn read(csv: &[u8], backend: &str) -> Result<Look, String> {
    let csv = csv.strip_prefix(b"# ").unwrap_or(csv);
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(csv);
    let head = reader
        .headers()
        .map_err(|error| format!("no CSV: {error}"))?
        .clone();
    let column = |name: &str| {
        head.iter()
            .position(|column| column == name)
            .ok_or_else(|| format!("this is not HAProxy's statistics: the column {name} is missing"))
    };
    let (px, sv, lastchg) = (column("pxname")?, column("svname")?, column("lastchg")?);
    let (stot, req_tot, hrsp_5xx) = (column("stot")?, column("req_tot")?, column("hrsp_5xx")?);
    let (econ, eresp) = (column("econ")?, column("eresp")?);
    let (wretr, wredis) = (column("wretr")?, column("wredis")?);
    // Every HAProxy has this column; what takes requests is not worth being blind for.
    let status = column("status").ok();
    let (mut rows, mut servers, mut pool) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let (mut found, mut backends) = (None, vec![]);
    for record in reader.records() {
        let record = record.map_err(|error| format!("no CSV: {error}"))?;
        let text = |column: usize| record.get(column).unwrap_or_default();
        let counter = |column: usize| -> Result<Option<u64>, String> {
            match text(column) {
                "" => Ok(None),
                number => number.parse().map(Some).map_err(|_| {
                    let name = head.get(column).unwrap_or_default();
                    format!("the {name} of {}/{} is no number", text(px), text(sv))
                }),
            }
        };
        let name = (text(px).to_owned(), text(sv).to_owned());
        let some = |column| counter(column).map(Option::unwrap_or_default);
        rows.insert(name, [some(stot)?, some(req_tot)?, some(hrsp_5xx)?]);
        match (text(px) == backend, text(sv)) {
            (false, "BACKEND") => backends.push(text(px).to_owned()),
            (true, "BACKEND") => {
                let need = |column: usize| {
                    counter(column)?.ok_or_else(|| {
                        format!(
                            "the row of {backend} has no {}",
                            head.get(column).unwrap_or_default()
                        )
                    })
                };
                // TCP mode leaves the columns of HTTP empty.
                let (total, bad) = match (counter(req_tot)?, counter(hrsp_5xx)?) {
                    (Some(total), Some(bad)) => (total, bad),
                    _ => (need(stot)?, need(econ)? + need(eresp)?),
                };
                found = Some((total, bad, need(wretr)?, need(wredis)?));
            }
            (true, "FRONTEND") | (false, _) => {}
            (true, server) => {
                // `UP 9/11` is on its way down and takes requests until it is there.
                let takes = |status: &str| status.starts_with("UP") || status == "no check";
                if status.is_some_and(|column| takes(text(column))) {
                    let state = match some(stot)? {
                        0 => Pooled::Up,
                        _ => Pooled::Serving,
                    };
                    pool.insert(server.to_owned(), state);
                }
                if let Some(seconds) = counter(lastchg)? {
                    servers.insert(server.to_owned(), seconds);
                }
            }
        }
    }
    let Some((total, bad, retries, redispatches)) = found else {
        let some: Vec<_> = backends.iter().take(5).map(|b| super::wire::excerpt(b)).collect();
        return Err(match some.is_empty() {
            true => format!("there is no backend {backend}, nor any other"),
            false => format!("there is no backend {backend}; there are {}", some.join(", ")),
        });
    };
    Ok(Look {
        total,
        bad,
        retries,
        redispatches,
        servers,
        pool,
        rows,
    })
}
#[cfg(test)]
mod tests;
