//! t5: when a load balancer began to send sessions to the replacements (`steady-state` §5.1).
//!
//! Comes from the servers that an `haproxy` probe of the app tells of. A server is new when it was not in the
//! pool at the last look before the kill, or was seen to leave it since; it is in rotation when it is up and
//! has had a session. marathon-lb names its servers by where a task listens, which links them to the
//! replacements that Marathon's rows show. Where names say nothing, the first new server goes to the first kill.

use super::stages::Replaced;
use crate::model::experiment::{Group, Hypothesis, Pooled, Sample, Source};
use crate::model::ids::{AppId, ProbeName};
use crate::model::plan::Plan;
use crate::model::run::Intent;
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};

/// What the balancers have shown of one kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rotation {
    /// When the last replacement was in rotation; `None` when that was not seen.
    pub at: Option<DateTime<Utc>>,
    /// Servers of an earlier kill were still missing, so the order decided.
    pub by_order: bool,
}

/// One for each kill, in order; `None` where nobody looked at a pool before the kill, or where it is not known
/// whose pool it is, because the run hits several apps. `replaced` has a row for each kill as well.
pub(super) fn rotations(
    plan: &Plan,
    kills: &[&Intent],
    replaced: &BTreeMap<&AppId, Vec<Replaced>>,
    samples: &[Sample],
) -> Vec<Option<Rotation>> {
    let unknown = || vec![None; kills.len()];
    let Some(probe) = of_the_app(&plan.hypothesis).filter(|_| !plan.apps.are_several()) else {
        return unknown();
    };
    let mut looks: Vec<&Sample> = samples.iter().filter(|s| s.probe == *probe).collect();
    looks.sort_by_key(|sample| sample.at);
    let rows = plan.apps.ids().next().and_then(|app| replaced.get(app));
    let addresses = |kill: usize| -> Vec<&str> {
        let row = rows.and_then(|rows| rows.get(kill));
        let known = row.into_iter().flat_map(|row| &row.addresses);
        known.flatten().map(String::as_str).collect()
    };
    let told = looks.iter().filter_map(|look| look.reading.detail());
    let names: BTreeSet<&str> = told.flat_map(|d| &d.pool).map(|s| s.server.as_str()).collect();
    // Some names are of replacements: then all of them are of what their addresses say.
    let named = (0..kills.len())
        .flat_map(addresses)
        .any(|address| names.iter().any(|name| is_at(name, address)));
    let mut taken: BTreeSet<&str> = BTreeSet::new();
    let mut open = false;
    kills
        .iter()
        .enumerate()
        .map(|(index, kill)| {
            let mut pool: BTreeMap<&str, Pooled> = BTreeMap::new();
            let (before, after) = looks.split_at(looks.partition_point(|look| look.at <= kill.at));
            before.iter().for_each(|look| apply(&mut pool, look));
            if pool.is_empty() {
                return None;
            }
            let mut old: BTreeSet<&str> = pool.keys().copied().collect();
            let own = addresses(index);
            let by_address = named && own.len() == kill.targets.len();
            let others: Vec<&str> = (0..kills.len())
                .filter(|other| *other != index)
                .flat_map(addresses)
                .collect();
            let at_one_of =
                |name: &str, addresses: &[&str]| addresses.iter().any(|address| is_at(name, address));
            let may_be_its_own = |name: &str| {
                let anothers = taken.contains(name) || named && at_one_of(name, &others);
                if by_address {
                    at_one_of(name, &own)
                } else {
                    !anothers
                }
            };
            let mut came = None;
            for look in after {
                apply(&mut pool, look);
                old.retain(|server| pool.contains_key(server));
                let serving = pool.iter().filter(|(_, state)| **state == Pooled::Serving);
                let new: Vec<&str> = serving
                    .map(|(server, _)| *server)
                    .filter(|server| !old.contains(server) && may_be_its_own(server))
                    .collect();
                if new.len() >= kill.targets.len() {
                    came = Some((look.at, new));
                    break;
                }
            }
            let at = came.as_ref().map(|(at, _)| *at);
            taken.extend(came.into_iter().flat_map(|(_, new)| new).take(kill.targets.len()));
            let by_order = open && !by_address;
            open |= at.is_none();
            Some(Rotation { at, by_order })
        })
        .collect()
}

/// Whether a server is what listens at an address, `host:port`, by the name that marathon-lb gives it: the host, its
/// IP address where the host is a name, and the port, joined by `_`, which also stands for every other sign than
/// letters, digits and `-` (marathon-lb, `marathon_lb.py`, `serverName`).
fn is_at(server: &str, address: &str) -> bool {
    let Some((host, port)) = address.rsplit_once(':') else {
        return false;
    };
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || c == '-' {
            c
        } else {
            '_'
        }
    };
    let host: String = host.chars().map(plain).collect();
    let between = server
        .strip_prefix(host.as_str())
        .and_then(|rest| rest.strip_suffix(port));
    between.is_some_and(|ip| ip.starts_with('_') && ip.ends_with('_'))
}

/// The first probe that tells of the servers of the app that is hit. Vantage points take turns in telling, so
/// a group of them tells nothing.
fn of_the_app(hypothesis: &Hypothesis) -> Option<&ProbeName> {
    let mut probes = hypothesis.probes.iter();
    let found = probes.find(|p| matches!(p.source, Source::Haproxy(_)) && p.group() == Group::Experiment);
    found.map(|probe| &probe.name)
}

/// Takes in what is new of the pool; only servers that are in it are kept.
fn apply<'s>(pool: &mut BTreeMap<&'s str, Pooled>, look: &'s Sample) {
    for news in look.reading.detail().into_iter().flat_map(|detail| &detail.pool) {
        match news.state {
            Pooled::Out => {
                pool.remove(news.server.as_str());
            }
            state => {
                pool.insert(&news.server, state);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::steady_state::recovery::{recoveries, summaries};
    use crate::engine::steady_state::testing::{at, seen};
    use crate::engine::steady_state::verdict::tests::{intent, plan};
    use crate::model::experiment::{Detail, Haproxy, PoolServer, Reading};
    use crate::model::report::{Origin, Stage};
    use Pooled::{Out, Serving, Up};

    /// A look at the balancer that tells this news.
    fn look(seconds: f64, news: &[(&str, Pooled)]) -> Sample {
        let pool = news.iter().map(|(server, state)| PoolServer {
            server: (*server).into(),
            state: *state,
        });
        Sample {
            reading: Reading::Seen {
                observed: 100,
                bad: 0,
                slowest_ms: None,
                detail: Some(Box::new(Detail {
                    pool: pool.collect(),
                    ..Detail::default()
                })),
            },
            ..seen("edge", seconds, 0, 100)
        }
    }

    /// A plan whose probe asks a load balancer.
    fn balanced(kills: u32) -> Plan {
        let mut plan = plan(kills);
        plan.hypothesis.probes[0].source = Source::Haproxy(Haproxy {
            lbs: vec!["http://lb1:9090".into()],
            backend: "shop_cart_10000".into(),
        });
        plan
    }

    fn found(plan: &Plan, kills: &[Intent], looks: &[Sample]) -> Vec<Option<Rotation>> {
        rotations(plan, &kills.iter().collect::<Vec<_>>(), &BTreeMap::new(), looks)
    }

    const BEFORE: [(&str, Pooled); 2] = [("a", Serving), ("b", Serving)];

    #[test]
    fn a_replacement_is_in_rotation_with_its_first_session_and_not_before() {
        let looks = [
            look(90.0, &BEFORE),
            // For 22 s marathon-lb believes that the victim is up; a reload makes the old ones begin anew.
            look(104.0, &[("b", Up)]),
            look(105.0, &[("b", Serving), ("a", Out)]),
            look(111.0, &[("c", Up)]),
            look(113.0, &[("c", Serving)]),
        ];
        let kill = intent(1, 100.0);
        let seen = |looks: &[Sample]| found(&balanced(1), std::slice::from_ref(&kill), looks)[0];
        let of = |at| Some(Rotation { at, by_order: false });
        assert_eq!(seen(&looks), of(Some(at(113.0))));
        assert_eq!(seen(&looks[..4]), of(None), "up, but without a session");
        // A task that comes back under the same address was seen to leave.
        let same = [
            look(90.0, &BEFORE),
            look(105.0, &[("a", Out)]),
            look(112.0, &[("a", Serving)]),
        ];
        assert_eq!(seen(&same), of(Some(at(112.0))));
    }

    #[test]
    fn two_open_kills_share_the_replacements_in_their_order_and_say_so() {
        let looks = [
            look(90.0, &BEFORE),
            look(125.0, &[("c", Serving)]),
            look(140.0, &[("d", Serving)]),
        ];
        let kills = [intent(1, 100.0), intent(2, 120.0)];
        let both = found(&balanced(2), &kills, &looks);
        let times: Vec<_> = both.iter().map(|r| r.unwrap().at).collect();
        assert_eq!(times, [Some(at(125.0)), Some(at(140.0))]);
        let never = found(&balanced(2), &kills, &looks[..1]);
        assert!(never[1].unwrap().by_order, "{never:?}");
    }

    #[test]
    fn a_server_that_is_named_by_its_address_belongs_to_the_replacement_that_listens_there() {
        let looks = [
            look(90.0, &BEFORE),
            look(125.0, &[("agent7_10_0_0_7_31005", Serving)]),
            look(130.0, &[("other", Serving)]),
            look(140.0, &[("agent8_10_0_0_8_31006", Serving)]),
        ];
        let kills = [intent(1, 100.0), intent(2, 120.0)];
        let of = |addresses: [Option<&str>; 2], looks: &[Sample]| -> Vec<_> {
            let row = |address: Option<&str>| Replaced {
                addresses: vec![address.map(ToOwned::to_owned)],
                ..Replaced::default()
            };
            let app = "/shop/cart".into();
            let replaced = BTreeMap::from([(&app, addresses.map(row).to_vec())]);
            let kills: Vec<_> = kills.iter().collect();
            let found = rotations(&balanced(2), &kills, &replaced, looks);
            found
                .into_iter()
                .map(|r| r.map(|r| (r.at, r.by_order)).unwrap())
                .collect()
        };
        // The second kill's replacement came first, and another app's server does not matter.
        let crossed = [Some("agent8:31006"), Some("agent7:31005")];
        assert_eq!(
            of(crossed, &looks),
            [(Some(at(140.0)), false), (Some(at(125.0)), false)]
        );
        // The first kill's never came: what came is not its own.
        assert_eq!(
            of(crossed, &looks[..3]),
            [(None, false), (Some(at(125.0)), false)]
        );
        // Where no row tells of its replacement, what no other kill can have is its own.
        assert_eq!(
            of([None, Some("agent7:31005")], &looks),
            [(Some(at(130.0)), false), (Some(at(125.0)), false)]
        );
        // Names of another kind say nothing, so the order decides.
        let unnamed = [Some("agent1:31001"), Some("agent2:31002")];
        assert_eq!(
            of(unnamed, &looks),
            [(Some(at(125.0)), false), (Some(at(130.0)), false)]
        );
    }

    #[test]
    fn names_are_told_apart_by_the_whole_host_and_the_whole_port() {
        assert!(
            is_at("10_0_6_25_16916", "10.0.6.25:16916"),
            "an agent known by its address"
        );
        assert!(is_at("agent1_192_0_2_1_1024", "agent1:1024"));
        assert!(is_at("mesos-1_example_192_0_2_1_1024", "mesos-1.example:1024"));
        for other in [
            "agent10:1024",
            "agent:1024",
            "agent1:24",
            "agent1:10244",
            "agent1",
        ] {
            assert!(!is_at("agent1_192_0_2_1_1024", other), "{other}");
        }
    }

    #[test]
    fn where_nobody_looks_at_a_pool_the_rotation_is_unknown_and_where_somebody_does_it_is_censored() {
        let kill = intent(1, 100.0);
        let looks = [look(90.0, &BEFORE)];
        let until = Some(at(400.0));
        let all = |plan: &Plan, looks: &[Sample]| {
            let found = recoveries(plan, std::slice::from_ref(&kill), &[], looks);
            let summary = summaries(&found, until)
                .into_iter()
                .find(|s| s.stage == Stage::Rotation);
            (
                found[0].origins.get(&Stage::Rotation).copied(),
                found[0].rotation,
                summary,
            )
        };
        let (origin, reached, summary) = all(&balanced(1), &looks);
        assert_eq!((origin, reached), (Some(Origin::Balancer), None));
        let summary = summary.expect("it was watched");
        assert_eq!((summary.kills, summary.censored, summary.median_ms), (1, 1, None));
        assert!(summary.worst_is_censored);
        // No balancer among the probes; none that was looked at in time; one that belongs to another app.
        assert_eq!(all(&plan(1), &looks), (None, None, None));
        assert_eq!(all(&balanced(1), &[look(101.0, &BEFORE)]), (None, None, None));
        let mut control = balanced(1);
        control.hypothesis.probes[0].control_for = Some("other".into());
        assert_eq!(all(&control, &looks), (None, None, None));
    }
}
