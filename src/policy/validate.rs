//! What was written to a [`Policy`], with every default, and every reason why not.
//!
//! Everything is judged even when something is wrong, so that one look at the answer mends the file.
//! The records are taken apart without `..`: a field that is added to `raw` and forgotten here does
//! not compile. What depends on the live cluster (a radius that rounds to zero, an app that is not
//! there) is not asked here; the planner says it.

mod address;
mod approval;
mod control;
mod owners;
mod probe;
mod promql;
mod schedule;
mod scope;
mod source;
mod steady_state;
mod tolerance;

pub(crate) use address::web_address;
use approval::approval_of;
pub use owners::owners;
pub use probe::clean_requests;
pub(crate) use schedule::{IcsFrom, holidays, zone};
use schedule::{schedule_of, windows_must_hold_a_run};
use scope::scope_of;

use super::problem::{Scribe, Span};
use super::raw::{self, PolicyFile};
use super::read::{At, Lasting, Text, brief};
use crate::model::experiment::{Control, Source};
use crate::model::ids::{ClusterName, PolicyDigest, PolicyName};
use crate::model::plan::{canonical, hex};
use crate::model::policy::{
    ApprovalRule, Attribute, BlastRadius, Count, FaultSpec, Mode, NotifyRule, OutageSteps, Place, Policy,
    RateLimit, Schedule, Scope,
};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::time::Duration;

/// Most apps, tasks and kills any field may name: beyond it a slip of the keyboard is likelier.
const COUNT_MAX: u32 = 100_000;

/// Judges a policy file. `None` when anything at all was written down.
pub fn policy(file: &PolicyFile, scribe: &mut Scribe) -> Option<Policy> {
    let PolicyFile {
        place,
        api_version,
        kind,
        metadata,
        spec,
    } = file;
    word(
        place.need(
            api_version,
            "apiVersion",
            "write `apiVersion: heartbreak/v1`",
            scribe,
        ),
        "heartbreak/v1",
        scribe,
    );
    word(
        place.need(kind, "kind", "write `kind: ChaosPolicy`", scribe),
        "ChaosPolicy",
        scribe,
    );
    let metadata = place.need(
        metadata,
        "metadata",
        "write `metadata: { name: my-policy, team: my-team }`",
        scribe,
    );
    let spec = place.need(
        spec,
        "spec",
        "write `spec:` with cluster, target, fault and schedule",
        scribe,
    );
    let metadata = metadata.map(|m| metadata_of(&m.value, scribe));
    let spec = spec.map(|s| spec_of(&s.value, scribe));
    let ((Some((name, team, labels)), Some(spec)), true) =
        ((metadata.flatten(), spec.flatten()), scribe.is_clean())
    else {
        return None;
    };
    let (mode, cluster, scope, fault, schedule, blast_radius, rate_limit, hypothesis, approval, notify) =
        spec;
    let mut policy = Policy {
        name,
        team,
        labels,
        mode,
        cluster,
        scope,
        fault,
        schedule,
        blast_radius,
        rate_limit,
        hypothesis,
        approval,
        notify,
        digest: PolicyDigest::new(""),
    };
    policy.digest = digest(&policy);
    Some(policy)
}

/// SHA-256 over the canonical JSON of everything a policy means, so that a comment changes nothing
/// and any change of meaning voids approvals.
///
/// # Panics
///
/// Never: a policy is plain data.
pub fn digest(policy: &Policy) -> PolicyDigest {
    let mut value = serde_json::to_value(policy).expect("a policy is plain data");
    if let Some(map) = value.as_object_mut() {
        map.remove("digest");
    }
    let mut text = String::new();
    canonical(&value, &mut text);
    PolicyDigest::new(hex(&Sha256::digest(text.as_bytes())))
}

/// Writes down a text that is not the one word wanted.
pub(crate) fn word(text: Option<&At<Text>>, wanted: &str, scribe: &mut Scribe) {
    if let Some(text) = text.filter(|t| t.value.0 != wanted) {
        scribe.error(
            text.at,
            format!("`{}` is not `{wanted}`", text.value.0),
            format!("write `{wanted}`"),
        );
    }
}

/// Lower-case letters, digits and `-`, at most 63, not at the ends.
pub(crate) fn is_dns_label(text: &str) -> bool {
    let inner = text
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    inner && (1..=63).contains(&text.len()) && !text.starts_with('-') && !text.ends_with('-')
}

/// Whether a text has the form of a Slack id that starts with one of these letters.
pub(crate) fn is_slack_id(text: &str, first: &[char]) -> bool {
    text.starts_with(first)
        && (3..=24).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// A number with bounds and a default.
pub(crate) fn number(
    field: &Option<At<u32>>,
    key: &str,
    bounds: std::ops::RangeInclusive<u32>,
    default: u32,
    help: &str,
    scribe: &mut Scribe,
) -> u32 {
    let Some(number) = field else { return default };
    if !bounds.contains(&number.value) {
        let (low, high) = bounds.into_inner();
        scribe.error(
            number.at,
            format!("`{key}` is {}; it may be {low} to {high}", number.value),
            help,
        );
        // What is compared with it must not be blamed as well.
        return default;
    }
    number.value
}

type Metadata = (PolicyName, String, BTreeMap<String, String>);

fn metadata_of(raw: &raw::Metadata, scribe: &mut Scribe) -> Option<Metadata> {
    let raw::Metadata {
        place,
        name,
        team,
        labels,
    } = raw;
    let name = place.need(name, "name", "write `name: my-policy`", scribe);
    if let Some(name) = name.filter(|n| !is_dns_label(&n.value.0)) {
        scribe.error(
            name.at,
            format!("`{}` is not a policy name", name.value.0),
            "use 1 to 63 lower-case letters, digits and `-`, such as `cart-survives-task-loss`",
        );
    }
    let team = place.need(
        team,
        "team",
        "write the team that answers for it: `team: shop`",
        scribe,
    )?;
    let labels = labels
        .iter()
        .flat_map(|l| &l.value)
        .map(|(k, v)| (k.clone(), v.0.clone()))
        .collect();
    Some((
        PolicyName::new(name?.value.0.clone()),
        team.value.0.clone(),
        labels,
    ))
}

type Spec = (
    Mode,
    ClusterName,
    Scope,
    FaultSpec,
    Schedule,
    BlastRadius,
    RateLimit,
    crate::model::experiment::Hypothesis,
    ApprovalRule,
    NotifyRule,
);

fn spec_of(raw: &raw::Spec, scribe: &mut Scribe) -> Option<Spec> {
    let raw::Spec {
        place,
        mode,
        cluster,
        target,
        fault,
        schedule,
        blast_radius,
        rate_limit,
        steady_state,
        approval,
        notify,
    } = raw;
    let enforces = matches!(
        mode,
        Some(At {
            value: raw::Mode::Enforce,
            ..
        })
    );
    let mode_at = raw::at(mode, place);
    let mode = match mode.as_ref().map(|m| m.value) {
        Some(raw::Mode::Off) => Mode::Off,
        Some(raw::Mode::Enforce) => Mode::Enforce,
        Some(raw::Mode::Rehearse) | None => Mode::Rehearse,
    };
    let cluster = place.need(
        cluster,
        "cluster",
        "write the name of a cluster of the settings file: `cluster: prod`",
        scribe,
    );
    let target = place.need(
        target,
        "target",
        "write `target: { apps: { ids: [\"/shop/cart\"] } }`",
        scribe,
    );
    let scope = target.and_then(|t| scope_of(&t.value, scribe));
    let fault_raw = place.need(
        fault,
        "fault",
        "write `fault: { killTasks: { count: 1 } }`",
        scribe,
    );
    let fault = fault_raw.and_then(|f| fault_of(&f.value, scribe));
    let schedule = place.need(
        schedule,
        "schedule",
        "write `schedule:` with windows and timezone; without windows nothing ever runs",
        scribe,
    );
    let schedule_at = schedule.map(|s| s.at);
    let schedule = schedule.and_then(|s| schedule_of(&s.value, scribe));
    let radius = radius_of(&raw::or_default(blast_radius), scribe);
    let rate = rate_of(&raw::or_default(rate_limit), scribe);
    let steady_place = raw::at(steady_state, place);
    let hypothesis = steady_state::hypothesis(&raw::or_default(steady_state), scribe);
    if enforces
        && !place.is_bad("steadyState")
        && !steady_state
            .as_ref()
            .is_some_and(|s| s.value.place.is_bad("probes"))
    {
        let abort: Vec<_> = hypothesis.iter().flat_map(|h| h.abort_probes()).collect();
        if hypothesis.is_some() && abort.is_empty() {
            scribe.error(
                if steady_state.is_some() {
                    steady_place
                } else {
                    mode_at
                },
                "`mode: enforce` without a probe of `role: abort`: nothing could stop a run that hurts",
                "give one probe `role: abort`, or write `mode: rehearse`",
            );
        } else if !abort.is_empty() && abort.iter().all(|p| p.source == Source::Marathon) {
            scribe.error(
                steady_place,
                "the only abort probe asks Marathon, which may be minutes late",
                "add an `http` or `tcp` probe with `role: abort`",
            );
        }
    }
    if let Some(hypothesis) = &hypothesis {
        for floor in hypothesis.abort_probes().filter(|p| p.source == Source::Marathon) {
            if floor.hard.as_f64() * 100.0 <= f64::from(radius.max_percent) {
                scribe.error(
                    steady_place,
                    format!(
                        "the hard line of probe `{}` is {}, and the policy's own kills may take {} % down: it would end its \
                         own run",
                        floor.name, floor.hard, radius.max_percent
                    ),
                    "a `marathon` probe aborts by its hard line alone: raise `share.hard` above `blastRadius.maxPercent`",
                );
            }
        }
    }
    if let (Some(at), Some(fault)) = (fault_raw.map(|f| f.at), &fault) {
        outage_must_be_bounded(raw, fault, at, scribe);
        let control = hypothesis.as_ref().map(|h| &h.control);
        if fault.needs_agents() && matches!(control, Some(Control::Sham { .. } | Control::Parallel { .. })) {
            scribe.error(
                at,
                "`agentOutage` is compared neither with shams nor with a control group: no place is like another",
                "write under `steadyState` `control: { design: beforeAfter }`, or `reference` with an app elsewhere",
            );
        }
        if let FaultSpec::KillTasks { count, at_once, .. } = fault {
            steps_must_fit(at, *count, *at_once, radius, rate, scribe);
        }
    }
    if let (Some(at), Some(schedule), Some(fault), Some(hypothesis)) =
        (schedule_at, &schedule, &fault, &hypothesis)
    {
        windows_must_hold_a_run(at, schedule, fault, hypothesis, scribe);
    }
    let approval_place = raw::at(approval, place);
    let approval = match place.is_bad("approval") {
        true => None,
        false => approval_of(&raw::or_default(approval), approval_place, mode, scribe),
    };
    let raw::Notify { place: _, channel } = &*raw::or_default(notify);
    if let Some(channel) = channel
        .as_ref()
        .filter(|c| !is_slack_id(&c.value.0, &['C', 'G', 'D']))
    {
        scribe.error(
            channel.at,
            format!("`{}` is not a Slack channel id", channel.value.0),
            "write the id that Slack shows at the end of the channel's details, such as `C012AB3CD`; names can change hands",
        );
    }
    let notify = NotifyRule {
        channel: channel.as_ref().map(|c| c.value.0.clone()),
    };
    Some((
        mode,
        ClusterName::new(cluster?.value.0.clone()),
        scope?,
        fault?,
        schedule?,
        radius,
        rate,
        hypothesis?,
        approval?,
        notify,
    ))
}

fn fault_of(raw: &raw::Fault, scribe: &mut Scribe) -> Option<FaultSpec> {
    let raw::Fault {
        place,
        kill_tasks,
        agent_outage,
    } = raw;
    let kill = match (kill_tasks, agent_outage) {
        (None, None) if place.refused => return None,
        (Some(_), Some(outage)) => {
            scribe.error(
                outage.at,
                "`killTasks` and `agentOutage` exclude each other",
                "keep one of them; a policy has one fault",
            );
            return None;
        }
        (None, Some(outage)) => return outage_of(&outage.value, scribe),
        (kill, None) => place.need(kill, "killTasks", "write `killTasks: { count: 1 }`", scribe)?,
    };
    let raw::KillTasks {
        place: _,
        count,
        percent,
        random_up_to,
        at_once,
        gap,
    } = &kill.value;
    let zero = "write 1 or more; to kill nothing, write `mode: off`";
    let written = [count, percent, random_up_to].into_iter().flatten().count();
    if written > 1 {
        scribe.error(
            kill.at,
            "`count`, `percent` and `randomUpTo` exclude each other",
            "keep one of them",
        );
    }
    let at_once = number(at_once, "atOnce", 1..=1000, 1, zero, scribe);
    let gap = gap_of(gap, scribe);
    let most = match (count, percent, random_up_to) {
        (_, Some(_), _) => Count::Percent(number(
            percent,
            "percent",
            1..=100,
            1,
            "write a share of the app from 1 to 100",
            scribe,
        )),
        (_, _, Some(_)) => Count::RandomUpTo(number(random_up_to, "randomUpTo", 1..=1000, 1, zero, scribe)),
        _ => Count::Exactly(number(count, "count", 1..=1000, 1, zero, scribe)),
    };
    Some(FaultSpec::KillTasks {
        count: most,
        at_once,
        gap,
    })
}

fn outage_of(raw: &raw::AgentOutage, scribe: &mut Scribe) -> Option<FaultSpec> {
    let raw::AgentOutage {
        place,
        attribute,
        value,
        steps,
        gap,
    } = raw;
    let attribute = place.need(
        attribute,
        "attribute",
        "write an agent attribute such as `attribute: rack`, or `attribute: \"@zone\"`",
        scribe,
    );
    let value = place.need(value, "value", "write `value: any`, or one place", scribe);
    let gap = gap_of(gap, scribe);
    let steps = match steps.as_ref().map(|s| s.value) {
        Some(raw::OutageSteps::AtOnce) => OutageSteps::AtOnce,
        Some(raw::OutageSteps::PerAgent) | None => OutageSteps::PerAgent,
    };
    let attribute = attribute?;
    let Some(parsed) = Attribute::parse(&attribute.value.0) else {
        scribe.error(
            attribute.at,
            format!("`{}` is none of Marathon's own fields", attribute.value.0),
            "write \"@hostname\", \"@region\", \"@zone\" or the name of an agent attribute",
        );
        return None;
    };
    let value = match value?.value.0.as_str() {
        "any" => Place::Any,
        given => Place::Given(given.to_owned()),
    };
    Some(FaultSpec::AgentOutage {
        attribute: parsed,
        value,
        steps,
        gap,
    })
}

/// The least time between two steps.
fn gap_of(gap: &Option<At<Lasting>>, scribe: &mut Scribe) -> Duration {
    if let Some(gap) = gap.as_ref().filter(|g| g.value.0 < Duration::from_secs(1)) {
        scribe.error(
            gap.at,
            format!("`gap` is {}; it must be at least 1s", brief(gap.value.0)),
            "an abort can only prevent the next kill: leave time to notice, such as `30s`",
        );
    }
    gap.as_ref().map_or(Duration::from_secs(30), |g| g.value.0)
}

/// What only a fault over several apps reads, and what only a fault of one app reads.
fn outage_must_be_bounded(raw: &raw::Spec, fault: &FaultSpec, at: Span, scribe: &mut Scribe) {
    let in_all = raw
        .blast_radius
        .as_ref()
        .and_then(|b| b.value.max_tasks_in_all.as_ref());
    let one_per = raw.target.as_ref().and_then(|t| t.value.one_per.as_ref());
    match (fault, in_all) {
        (FaultSpec::AgentOutage { .. }, None) => scribe.error(
            at,
            "`agentOutage` without `blastRadius.maxTasksInAll`: nothing would bound what all apps lose together",
            "write under `blastRadius` how many tasks may be down at once over all apps, such as `maxTasksInAll: 4`",
        ),
        (FaultSpec::KillTasks { .. }, Some(written)) => scribe.error(
            written.at,
            "`maxTasksInAll` is for `agentOutage`: a run of `killTasks` hits one app",
            "remove it; `maxTasks` says how many may be down",
        ),
        (FaultSpec::AgentOutage { .. }, Some(_)) | (FaultSpec::KillTasks { .. }, None) => {}
    }
    if let (FaultSpec::AgentOutage { .. }, Some(written)) = (fault, one_per) {
        scribe.error(
            written.at,
            "`onePer` has no meaning with `agentOutage`: no app is drawn, a place is",
            "remove it",
        );
    }
}

/// What one step asks for must be within the radius and the rate, or no step could ever pass.
fn steps_must_fit(
    at: Span,
    count: Count,
    at_once: u32,
    radius: BlastRadius,
    rate: RateLimit,
    scribe: &mut Scribe,
) {
    let step = match count {
        Count::Exactly(n) | Count::RandomUpTo(n) => at_once.min(n),
        Count::Percent(_) => at_once,
    };
    if at_once > radius.max_tasks {
        scribe.error(
            at,
            format!("`atOnce` is {at_once}, but `blastRadius.maxTasks` is {}: such a step would always be refused", radius.max_tasks),
            "lower `atOnce`, or raise `maxTasks` if that many may be down at once",
        );
    }
    if step > rate.burst {
        scribe.error(
            at,
            format!(
                "a step kills {step} tasks, but `rateLimit.burst` is {}: such a step would always be refused",
                rate.burst
            ),
            format!("lower `atOnce`, or write `burst: {step}` if that many may come at once"),
        );
    }
}

fn radius_of(raw: &raw::BlastRadius, scribe: &mut Scribe) -> BlastRadius {
    let raw::BlastRadius {
        place: _,
        max_tasks,
        max_percent,
        min_healthy,
        max_apps,
        max_tasks_in_all,
    } = raw;
    let zero = "zero means zero: nothing would ever be killed. Write 1 or more, or `mode: off`";
    BlastRadius {
        max_tasks: number(max_tasks, "maxTasks", 1..=COUNT_MAX, 1, zero, scribe),
        max_percent: number(
            max_percent,
            "maxPercent",
            1..=100,
            20,
            "write a share of the app from 1 to 100",
            scribe,
        ),
        min_healthy: number(
            min_healthy,
            "minHealthy",
            0..=COUNT_MAX,
            2,
            "write how many healthy tasks must be left",
            scribe,
        ),
        max_apps: number(max_apps, "maxApps", 1..=COUNT_MAX, 1, zero, scribe),
        max_tasks_in_all: max_tasks_in_all
            .as_ref()
            .map(|_| number(max_tasks_in_all, "maxTasksInAll", 1..=COUNT_MAX, 1, zero, scribe)),
    }
}

fn rate_of(raw: &raw::RateLimit, scribe: &mut Scribe) -> RateLimit {
    let raw::RateLimit {
        place,
        kills,
        per,
        burst,
    } = raw;
    let zero = "zero means zero: nothing would ever be killed. Write 1 or more, or `mode: off`";
    let rate = RateLimit {
        kills: number(kills, "kills", 1..=COUNT_MAX, 4, zero, scribe),
        per: per.as_ref().map_or(Duration::from_secs(3600), |p| p.value.0),
        burst: number(burst, "burst", 1..=COUNT_MAX, 1, zero, scribe),
    };
    if let Some(per) = per
        .as_ref()
        .filter(|p| !(Duration::from_secs(1)..=Duration::from_secs(31 * 86_400)).contains(&p.value.0))
    {
        scribe.error(
            per.at,
            format!("`per` is {}; it may be 1s to 31d", brief(per.value.0)),
            "write for example `1h`",
        );
    }
    if rate.burst > rate.kills {
        let at = raw::at(burst, place);
        scribe.error(
            at,
            format!("`burst` is {}, more than the {} `kills`", rate.burst, rate.kills),
            "lower `burst`, or raise `kills`",
        );
    }
    rate
}

#[cfg(test)]
mod tests;
