//! What a probe has seen.

use crate::model::ids::ProbeName;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What one tick of one probe has shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sample {
    /// When the tick was due (the grid, not the answer).
    pub at: DateTime<Utc>,
    /// Whose.
    pub probe: ProbeName,
    /// What.
    pub reading: Reading,
}

/// What was seen once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Reading {
    /// Observations were made.
    Seen {
        /// How many.
        observed: u32,
        /// How many of them were bad.
        bad: u32,
        /// The slowest of them in milliseconds, where time was taken.
        slowest_ms: Option<u32>,
        /// What is known beyond the two numbers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<Box<Detail>>,
    },
    /// Nothing could be measured: neither good nor bad.
    Blind {
        /// Why not.
        why: String,
    },
}

/// What a reading tells beyond "so many, so many bad".
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Detail {
    /// Observations that were bad because nobody answered at all: refused, reset, timed out.
    #[serde(skip_serializing_if = "is_zero")]
    pub unanswered: u32,
    /// Whether it waits for a line that the baseline draws; `bad` is then without what that line adds.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pending: bool,
    /// How long each answer took that was as it should be, slow ones included, in microseconds; only for a
    /// probe that has a line for slow answers. An answer that did not come, or came wrong, has no time.
    ///
    /// A report's record is without them: what its verdict rests on is in [`Times`](crate::model::verdict::Times).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub times_us: Vec<u32>,
    /// The stages of the slowest request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slowest: Option<Phases>,
    /// The number that was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Harm that a load balancer kept from its users.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub masked: Option<Masked>,
    /// Servers of a load balancer of which something is new since the last sample that told of them; at
    /// first all that take requests.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pool: Vec<PoolServer>,
}

/// What a load balancer does with one of its servers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PoolServer {
    /// Its name there.
    pub server: String,
    /// What is done with it.
    pub state: Pooled,
}

/// Whether a load balancer sends requests to a server. With several balancers all have to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Pooled {
    /// It is down, held back or not known there any more.
    Out,
    /// It is up, and has had no session since the balancer began to count.
    Up,
    /// It is up, and has had one.
    Serving,
}

/// How the reason of a probe begins that is blind because we may be cut off.
const CUT_OFF: &str = "nobody answered, nor did the self-check";

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// How long the stages of a request took, in milliseconds; a stage that was not reached is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Phases {
    /// Resolving the host, once for all requests of a sample.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns_ms: Option<u32>,
    /// Opening the connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_ms: Option<u32>,
    /// Agreeing on TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_ms: Option<u32>,
    /// From the request to the head of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_byte_ms: Option<u32>,
    /// From departure to the end of the body, or to the moment it was given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_ms: Option<u32>,
}

/// What a load balancer made up for: its users saw no error, some of them a delay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Masked {
    /// Attempts that were made again on the same server.
    pub retries: u32,
    /// Requests that were sent to another server.
    pub redispatches: u32,
}

impl fmt::Display for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "masked: {} redispatched, {} retried",
            self.redispatches, self.retries
        )
    }
}

impl Reading {
    /// Observations without anything else to tell.
    pub fn seen(observed: u32, bad: u32) -> Self {
        Self::Seen {
            observed,
            bad,
            slowest_ms: None,
            detail: None,
        }
    }

    /// Nothing could be measured, and why.
    pub fn blind(why: impl Into<String>) -> Self {
        Self::Blind { why: why.into() }
    }

    /// Nobody answered, and nobody answers us elsewhere either.
    pub fn cut_off(why: &str) -> Self {
        Self::blind(format!("{CUT_OFF} ({why}): we may be cut off"))
    }

    /// Whether it is blind because nobody answers us anywhere.
    pub fn is_cut_off(&self) -> bool {
        matches!(self, Self::Blind { why } if why.starts_with(CUT_OFF))
    }

    /// The bad share; `None` when blind or when nothing was observed.
    pub fn bad_share(&self) -> Option<f64> {
        match self {
            Self::Seen { observed, bad, .. } if *observed > 0 => Some(f64::from(*bad) / f64::from(*observed)),
            _ => None,
        }
    }

    /// What is known beyond the two numbers.
    pub fn detail(&self) -> Option<&Detail> {
        match self {
            Self::Seen { detail, .. } => detail.as_deref(),
            Self::Blind { .. } => None,
        }
    }

    /// Whether there were observations and not one of them was answered: the service may be down, or
    /// we may be cut off from it. A watch turns silence of both into [`cut_off`](Self::cut_off), so in what a
    /// run has kept it is the service that is down.
    pub fn is_silence(&self) -> bool {
        match self {
            Self::Seen { observed, .. } => {
                *observed > 0 && self.detail().is_some_and(|d| d.unanswered >= *observed)
            }
            Self::Blind { .. } => false,
        }
    }

    /// Several readings of the same quantity as one.
    ///
    /// Blind only when all are blind. Otherwise it is the reading with the `quorum`-th highest bad
    /// share: it is above a limit exactly when at least so many are. The quorum is the majority of
    /// those that see when none is given, and never more than see.
    pub fn of_vantages(readings: Vec<(String, Self)>, quorum: Option<u32>) -> Self {
        let (mut seen, mut blind) = (vec![], vec![]);
        for (name, reading) in readings {
            match (reading.bad_share(), reading) {
                (Some(share), reading) => seen.push((share, reading)),
                (None, Self::Blind { why }) => blind.push(format!("{name}: {why}")),
                (None, Self::Seen { .. }) => blind.push(format!("{name}: nothing was observed")),
            }
        }
        if seen.is_empty() {
            return Self::blind(format!("no vantage point sees anything: {}", blind.join("; ")));
        }
        // Stable, so that among equals the first one written speaks.
        seen.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        let majority = seen.len() / 2 + 1;
        let quorum = quorum.map_or(majority, |q| usize::try_from(q).unwrap_or(usize::MAX));
        let place = quorum.clamp(1, seen.len()) - 1;
        seen.swap_remove(place).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(shares: &[Option<u32>], quorum: Option<u32>) -> Reading {
        let one = |share: &Option<u32>| match share {
            Some(bad) => Reading::seen(100, *bad),
            None => Reading::blind("no route"),
        };
        Reading::of_vantages(shares.iter().map(|s| ("lb".to_owned(), one(s))).collect(), quorum)
    }

    #[test]
    fn a_group_is_as_bad_as_its_quorum_sees() {
        for (shares, quorum, bad) in [
            (&[Some(0), Some(0), Some(90)][..], None, 0),
            (&[Some(0), Some(40), Some(90)], None, 40),
            (&[Some(0), Some(40), Some(90)], Some(3), 0),
            (&[Some(0), Some(90)], None, 0),
            (&[Some(50), None, Some(90)], None, 50),
            (&[None, None, Some(90)], None, 90),
            (&[None, None, Some(90)], Some(3), 90),
        ] {
            assert_eq!(
                of(shares, quorum),
                Reading::seen(100, bad),
                "{shares:?} {quorum:?}"
            );
        }
    }

    #[test]
    fn a_group_is_blind_only_when_all_of_it_is() {
        let Reading::Blind { why } = of(&[None, None], None) else {
            panic!("not blind");
        };
        assert_eq!(why, "no vantage point sees anything: lb: no route; lb: no route");
    }

    #[test]
    fn what_an_older_version_wrote_can_be_read() {
        let old = r#"{"seen":{"observed":3,"bad":1,"slowest_ms":7}}"#;
        let read: Reading = serde_json::from_str(old).unwrap();
        assert_eq!((read.bad_share(), read.detail()), (Some(1.0 / 3.0), None));
        assert_eq!(serde_json::to_string(&read).unwrap(), old);
    }

    #[test]
    fn silence_is_when_nobody_answered_anything() {
        let with = |unanswered| Reading::Seen {
            observed: 3,
            bad: 3,
            slowest_ms: None,
            detail: Some(Box::new(Detail {
                unanswered,
                ..Detail::default()
            })),
        };
        assert!(with(3).is_silence());
        assert!(!with(2).is_silence());
        assert!(!Reading::seen(3, 3).is_silence());
        assert!(!Reading::blind("x").is_silence());
    }
}
