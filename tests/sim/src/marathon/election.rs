//! Who leads, who follows, and the time between two leaders.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::definition;
use super::state::{Killer, State, span, stamp};

/// From the answer to an abdication until the leader lets go.
const LETS_GO: TimeDelta = TimeDelta::milliseconds(500);
/// From then until another leads.
const TAKES_OVER: TimeDelta = TimeDelta::milliseconds(900);
/// From then until the old one's process has ended.
const EXITS: TimeDelta = TimeDelta::milliseconds(950);
/// Until the supervisor of a Marathon that has ended starts it again.
pub(crate) const RESTART: Duration = Duration::from_secs(5);

/// What a node's process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Up,
    /// It has lost the lead, takes connections until then, and answers none.
    Leaving(DateTime<Utc>),
    /// It is gone, and starts again then.
    Down(Option<DateTime<Utc>>),
}

/// One node of the pretend Marathon.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) address: String,
    life: Life,
}

/// The time without a leader.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vacancy {
    /// The leader was killed hard, and the others have not noticed yet.
    unnoticed: bool,
    began: DateTime<Utc>,
    until: DateTime<Utc>,
}

/// What a node is at this moment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Part {
    /// It leads.
    Leads,
    /// It passes on to this leader.
    Follows(String),
    /// It would pass on to a leader that is gone; how much of that time is over, from 0 to 1.
    LeaderGone(f64),
    /// It knows of no leader.
    Leaderless,
    /// It is no more.
    Gone,
}

impl State {
    /// One more node; the first one leads.
    pub(crate) fn join(&mut self, address: String) {
        if self.nodes.is_empty() {
            self.leader.clone_from(&address);
        }
        self.nodes.push(Node {
            address,
            life: Life::Up,
        });
    }

    /// The addresses of the nodes, and whether each one is up.
    pub fn nodes(&self) -> impl Iterator<Item = (&str, bool)> {
        self.nodes
            .iter()
            .map(|n| (n.address.as_str(), n.life == Life::Up))
    }

    /// Whether a node takes connections.
    pub(crate) fn listens(&self, address: &str) -> bool {
        self.nodes
            .iter()
            .any(|n| n.address == address && !matches!(n.life, Life::Down(_)))
    }

    /// The leader, if there is one.
    #[must_use]
    pub fn leader_now(&self) -> Option<&str> {
        self.lost.is_none().then_some(self.leader.as_str())
    }

    /// What a node is now.
    pub(crate) fn part_of(&self, own: &str) -> Part {
        if self.nodes.iter().any(|n| n.address == own && n.life != Life::Up) {
            return Part::Gone;
        }
        match self.lost {
            None if self.leader == own => Part::Leads,
            None => Part::Follows(self.leader.clone()),
            Some(lost) if lost.unnoticed && self.leader != own => {
                let all = (lost.until - lost.began).as_seconds_f64().max(0.001);
                Part::LeaderGone((self.now - lost.began).as_seconds_f64() / all)
            }
            Some(_) => Part::Leaderless,
        }
    }

    /// Ends a node as `kill -9` would. When it led, another leads after `lasts`.
    ///
    /// Says whether there is such a node, and it was up.
    pub fn kill_node(&mut self, address: &str, lasts: Duration, back_after: Option<Duration>) -> bool {
        let back = back_after.map(|after| self.now + span(after));
        let found = self
            .nodes
            .iter_mut()
            .find(|n| n.address == address && n.life == Life::Up);
        let Some(node) = found else {
            return false;
        };
        node.life = Life::Down(back);
        if self.leader == address && self.lost.is_none() {
            self.abdicates = None;
            self.lose_leader(true, self.now, span(lasts));
        }
        true
    }

    /// The leader has been asked to let go: it answers, and does so a moment later.
    pub fn abdicate(&mut self) {
        self.abdicates.get_or_insert(self.now + LETS_GO);
    }

    /// The leader is gone. Gone with it is what it kept in memory only: kills not carried out, the
    /// results of its own health checks, and delays of launches.
    fn lose_leader(&mut self, unnoticed: bool, at: DateTime<Utc>, lasts: TimeDelta) {
        let until = at + lasts;
        self.lost = Some(Vacancy {
            unnoticed,
            began: at,
            until,
        });
        for a in self.apps.values_mut().chain(&mut self.leaving) {
            a.backoff = None;
            for i in &mut a.instances {
                i.killing.take_if(|k| k.by == Killer::Request);
                for (n, check) in a.checks.iter_mut().enumerate().filter(|(_, c)| c.next.is_some()) {
                    check.next = Some(until + check.interval().min(TimeDelta::seconds(5)));
                    if let Some(slot) = i.health.get_mut(n) {
                        *slot = None;
                    }
                }
            }
        }
    }

    /// When who leads, or which node is up, changes next.
    pub(super) fn next_election(&self) -> Option<DateTime<Utc>> {
        let nodes = self.nodes.iter().filter_map(|n| match n.life {
            Life::Up => None,
            Life::Leaving(until) => Some(until),
            Life::Down(back) => back,
        });
        let electable = self.nodes.iter().any(|n| n.life == Life::Up);
        let vacancy = self.lost.filter(|_| electable).map(|l| l.until);
        nodes.chain(self.abdicates).chain(vacancy).min()
    }

    /// Carries out what is due.
    pub(super) fn hold_election(&mut self, at: DateTime<Utc>) {
        for node in &mut self.nodes {
            match node.life {
                Life::Leaving(until) if until <= at => node.life = Life::Down(Some(at + span(RESTART))),
                Life::Down(Some(back)) if back <= at => node.life = Life::Up,
                _ => {}
            }
        }
        if self.abdicates.take_if(|due| *due <= at).is_some() && self.lost.is_none() {
            if let Some(node) = self.nodes.iter_mut().find(|n| n.address == self.leader) {
                node.life = Life::Leaving(at + EXITS);
            }
            self.lose_leader(false, at, TAKES_OVER);
        }
        let Some(lost) = self.lost.filter(|l| l.until <= at) else {
            return;
        };
        let count = self.nodes.len();
        let old = self.nodes.iter().position(|n| n.address == self.leader);
        let start = old.map_or(0, |n| n + 1);
        let next = (0..count)
            .map(|n| &self.nodes[(start + n) % count])
            .find(|n| n.life == Life::Up);
        let Some(next) = next else {
            return;
        };
        self.leader.clone_from(&next.address);
        self.lost = None;
        self.stalled = false;
        let at = lost.until.max(at);
        self.leads_since = Some(at);
        self.take_over(at);
    }

    /// What a new leader tells those who listen already.
    fn take_over(&mut self, at: DateTime<Utc>) {
        let data = json!({"frameworkId": self.framework_id, "master": "127.0.0.1:5050"});
        self.emit("scheduler_registered_event", data, at);
        let checks: Vec<_> = self
            .apps
            .values()
            .flat_map(|a| {
                a.checks
                    .iter()
                    .map(|c| (a.spec.id.clone(), a.version, c.json.clone()))
            })
            .collect();
        for (app, version, check) in checks {
            let check = definition::plain(check);
            let data = json!({"appId": app, "version": stamp(version), "healthCheck": check});
            self.emit("add_health_check_event", data, at);
        }
    }
}
