//! What was written to a [`Policy`], with every default, and every reason why not.
//!
//! Everything is judged even when something is wrong, so that one look at the answer mends the file.
//! The records are taken apart without `..`: a field that is added to `raw` and forgotten here does
//! not compile. What depends on the live cluster (a radius that rounds to zero, an app that is not
//! there) is not asked here; the planner says it.

mod steady_state;

pub use steady_state::clean_requests;
pub(crate) use steady_state::web_address;

use super::problem::{Scribe, Span, nearest};
use super::raw::{self, PolicyFile};
use super::read::{At, Text, brief};
use crate::model::ids::{AppId, ClusterName, GroupId, PersonId, PolicyDigest, PolicyName};
use crate::model::plan::{canonical, hex};
use crate::model::policy::{
    AppPattern, ApprovalMode, ApprovalRule, BlastRadius, Cadence, Count, Fairness, FaultSpec, LabelSelector,
    LabelTerm, MinGap, Mode, NotifyRule, Owner, Policy, RateLimit, Schedule, Scope, Window,
};
use chrono::{NaiveDate, Weekday};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Longest an approval request may stand: a day-old yes is about a world that is gone.
const EXPIRES_MAX: Duration = Duration::from_secs(24 * 3600);
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
        } else if !abort.is_empty() && abort.iter().all(|p| p.source.kind() == "marathon") {
            scribe.error(
                steady_place,
                "the only abort probe asks Marathon, which may be minutes late",
                "add an `http` or `tcp` probe with `role: abort`",
            );
        }
    }
    if let (Some(at), Some(FaultSpec::KillTasks { count, at_once, .. })) = (fault_raw.map(|f| f.at), &fault) {
        steps_must_fit(at, *count, *at_once, radius, rate, scribe);
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

fn scope_of(raw: &raw::Target, scribe: &mut Scribe) -> Option<Scope> {
    let raw::Target {
        place,
        apps,
        tasks,
        one_per,
    } = raw;
    let apps = place.need(
        apps,
        "apps",
        "say which apps: `apps: { ids: [\"/shop/cart\"] }`",
        scribe,
    )?;
    let raw::Apps {
        place: apps_place,
        labels,
        ids,
        except,
    } = &apps.value;
    if labels.is_none() && ids.is_none() && !apps_place.is_bad("labels") && !apps_place.is_bad("ids") {
        scribe.error(
            apps.at,
            "`apps` names nothing",
            "say which: `ids: [\"/shop/**\"]`, or `labels: \"tier=web\"`, or both",
        );
    }
    let selector = labels.as_ref().and_then(|text| match selector(&text.value.0) {
        Ok(selector) => Some(selector),
        Err(why) => {
            scribe.error(text.at, format!("`labels` can't be read: {why}"), "write for example `\"chaos=opt-in, tier in (web, api), !legacy\"` without the `!`: a=b, a==b, a!=b, a in (b, c), a notin (b), a");
            None
        }
    });
    let mut patterns = |list: &Option<At<Vec<At<Text>>>>, key: &str| -> Vec<AppPattern> {
        let Some(list) = list else { return vec![] };
        if list.value.is_empty() {
            scribe.error(
                list.at,
                format!("`{key}` is an empty list"),
                "name an app, or remove the line",
            );
        }
        for id in &list.value {
            if let Err(why) = AppId::parse(&id.value.0.replace('*', "a")) {
                let why = why.replace(
                    &format!("{:?}", id.value.0.replace('*', "a")),
                    &format!("{:?}", id.value.0),
                );
                scribe.error(id.at, why, "write an absolute id as Marathon shows it, such as `/shop/cart`, `/shop/*` or `/shop/**`");
            } else if id.value.0.split('/').any(|s| s.contains("**") && s != "**") {
                scribe.error(
                    id.at,
                    "`**` shares a segment with other text",
                    "write `**` between two slashes, and `*` for a part of a segment",
                );
            } else if id.value.0.matches('*').count() > 8 {
                scribe.error(
                    id.at,
                    "there are more than eight stars",
                    "name the apps with fewer stars",
                );
            }
        }
        list.value
            .iter()
            .map(|id| AppPattern(id.value.0.clone()))
            .collect()
    };
    let (ids, except) = (patterns(ids, "ids"), patterns(except, "except"));
    let raw::Tasks {
        place: _,
        min_age,
        healthy_only,
        allow_no_health_check,
    } = &*raw::or_default(tasks);
    Some(Scope {
        selector,
        ids,
        except,
        min_age: min_age.as_ref().map_or(Duration::from_secs(600), |l| l.value.0),
        healthy_only: healthy_only.as_ref().is_none_or(|b| b.value),
        allow_no_health_check: allow_no_health_check.as_ref().is_some_and(|b| b.value),
        one_per: match one_per.as_ref().map(|o| &o.value) {
            None | Some(raw::OnePer::App) => Fairness::App,
            Some(raw::OnePer::Group) => Fairness::Group,
            Some(raw::OnePer::Label(key)) => Fairness::Label(key.clone()),
        },
    })
}

/// Reads Marathon's selector grammar, as far as it has a meaning here.
pub(crate) fn selector(text: &str) -> Result<LabelSelector, String> {
    let mut terms = vec![];
    let mut rest = text.trim();
    fn name(text: &str) -> (&str, &str) {
        let end = text
            .find(|c: char| !(c.is_ascii_alphanumeric() || "._-/".contains(c)))
            .unwrap_or(text.len());
        (&text[..end], text[end..].trim_start())
    }
    loop {
        let (key, after) = name(rest);
        if key.is_empty() {
            return Err(match rest.chars().next() {
                None => "it ends where a label is wanted".to_owned(),
                Some('!') => "`!label` is not part of it; put such apps under `except`".to_owned(),
                Some(c) => format!("`{c}` stands where a label is wanted"),
            });
        }
        let (word, after_word) = name(after);
        let term;
        if let Some((not, list)) = match word {
            "in" => Some((false, after_word)),
            "notin" => Some((true, after_word)),
            _ => None,
        } {
            let inside = list
                .strip_prefix('(')
                .ok_or(format!("after `{key} {word}` a list in brackets is wanted"))?;
            let (inside, after) = inside.split_once(')').ok_or("a bracket is not closed")?;
            let values: BTreeSet<String> = inside.split(',').map(|v| v.trim().to_owned()).collect();
            if values.iter().any(|v| v.is_empty() || name(v).0.len() != v.len()) {
                return Err(format!(
                    "the list after `{key} {word}` has an empty or strange value"
                ));
            }
            term = if not {
                LabelTerm::NotIn(key.to_owned(), values)
            } else {
                LabelTerm::In(key.to_owned(), values)
            };
            rest = after.trim_start();
        } else if let Some((not, value)) = ["!=", "==", "="]
            .iter()
            .find_map(|op| after.strip_prefix(op).map(|v| (*op == "!=", v)))
        {
            let (value, after) = name(value.trim_start());
            if value.is_empty() {
                return Err(format!("`{key}` is compared with nothing"));
            }
            let values = BTreeSet::from([value.to_owned()]);
            term = if not {
                LabelTerm::NotIn(key.to_owned(), values)
            } else {
                LabelTerm::In(key.to_owned(), values)
            };
            rest = after;
        } else {
            term = LabelTerm::Exists(key.to_owned());
            rest = after;
        }
        terms.push(term);
        rest = match rest.strip_prefix(',') {
            Some(more) => more.trim_start(),
            None if rest.is_empty() => return Ok(LabelSelector { terms }),
            None => {
                return Err(format!(
                    "after `{key}` a comma is wanted, here is `{}`",
                    rest.chars().take(10).collect::<String>()
                ));
            }
        };
    }
}

fn fault_of(raw: &raw::Fault, scribe: &mut Scribe) -> Option<FaultSpec> {
    let raw::Fault { place, kill_tasks } = raw;
    if place.refused && kill_tasks.is_none() {
        return None;
    }
    let kill = place.need(kill_tasks, "killTasks", "write `killTasks: { count: 1 }`", scribe)?;
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
    let gap_value = gap.as_ref().map_or(Duration::from_secs(30), |g| g.value.0);
    if let Some(gap) = gap.as_ref().filter(|g| g.value.0 < Duration::from_secs(1)) {
        scribe.error(
            gap.at,
            format!("`gap` is {}; it must be at least 1s", brief(gap.value.0)),
            "an abort can only prevent the next kill: leave time to notice, such as `30s`",
        );
    }
    Some(FaultSpec::KillTasks {
        count: most,
        at_once,
        gap: gap_value,
    })
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

/// A run that can't end inside any window never starts; better said here than waited for.
fn windows_must_hold_a_run(
    at: Span,
    schedule: &Schedule,
    fault: &FaultSpec,
    hypothesis: &crate::model::experiment::Hypothesis,
    scribe: &mut Scribe,
) {
    let FaultSpec::KillTasks { count, at_once, gap } = fault;
    let steps = match count {
        Count::Exactly(n) => n.div_ceil((*at_once).max(1)),
        Count::Percent(_) | Count::RandomUpTo(_) => 1,
    };
    // As `Plan::longest_from(1)` counts it, and the window gate asks it.
    let needed = hypothesis.baseline.at_most + (*gap).max(hypothesis.recovery.within) * steps;
    let longest = schedule
        .windows
        .iter()
        .filter_map(|w| (w.to - w.from).to_std().ok())
        .max();
    if let Some(longest) = longest.filter(|longest| *longest <= needed) {
        scribe.error(
            at,
            format!(
                "a run may take {}, the longest window has {}: no run would ever start",
                brief(needed),
                brief(longest)
            ),
            "widen a window, or shorten `count`, `gap`, `baseline.max` or `recovery.within`",
        );
    }
}

/// A zone, or the nearest name.
pub(crate) fn zone(text: &At<Text>, scribe: &mut Scribe) -> Option<chrono_tz::Tz> {
    let parsed = text.value.0.parse::<chrono_tz::Tz>().ok();
    if parsed.is_none() {
        let help = match nearest(&text.value.0, chrono_tz::TZ_VARIANTS.iter().map(|z| z.name())) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                "write a name of the IANA time zone database, such as `Europe/Madrid` or `UTC`".to_owned()
            }
        };
        scribe.error(text.at, format!("`{}` is not a time zone", text.value.0), help);
    }
    parsed
}

/// Dates, each once.
pub(crate) fn holidays(list: &Option<At<Vec<raw::Holiday>>>) -> BTreeSet<NaiveDate> {
    list.iter().flat_map(|l| &l.value).map(|h| h.0).collect()
}

fn schedule_of(raw: &raw::Schedule, scribe: &mut Scribe) -> Option<Schedule> {
    let raw::Schedule {
        place,
        windows,
        timezone,
        holidays: dates,
        mean_time_between,
        every,
        on_demand,
        min_time_between,
    } = raw;
    let windows = place.need(
        windows,
        "windows",
        "say when somebody is awake to watch: `windows: [ { days: [mon, tue], from: \"09:30\", to: \"15:30\" } ]`",
        scribe,
    );
    if let Some(windows) = windows.filter(|w| w.value.is_empty()) {
        scribe.error(
            windows.at,
            "`windows` is an empty list: nothing would ever run",
            "write a window, or `mode: off`",
        );
    }
    let windows: Option<Vec<Window>> = windows.and_then(|w| {
        w.value
            .iter()
            .map(|raw| window_of(raw, scribe))
            .collect::<Vec<_>>()
            .into_iter()
            .collect()
    });
    let timezone = place.need(
        timezone,
        "timezone",
        "write the zone of the windows: `timezone: Europe/Madrid`",
        scribe,
    );
    let timezone = timezone.and_then(|t| zone(t, scribe));
    let on_demand_said = on_demand.as_ref().filter(|b| b.value);
    if [
        mean_time_between.is_some(),
        every.is_some(),
        on_demand_said.is_some(),
    ]
    .into_iter()
    .filter(|b| *b)
    .count()
        > 1
    {
        scribe.error(
            place.at,
            "`meanTimeBetween`, `every` and `onDemand` exclude each other",
            "keep one of them",
        );
    }
    if let Some(every) = every.as_ref().filter(|e| e.value.0 < Duration::from_secs(60)) {
        scribe.error(
            every.at,
            format!("`every` is {}; it must be at least 1m", brief(every.value.0)),
            "write for example `2h`",
        );
    }
    if let Some(off) = on_demand
        .as_ref()
        .filter(|b| !b.value && mean_time_between.is_none() && every.is_none())
    {
        scribe.error(
            off.at,
            "`onDemand: false` without another cadence: nothing would ever run",
            "write `meanTimeBetween: 3 workdays` or `every: 2h`, or `mode: off`",
        );
    }
    let cadence = match (mean_time_between, every) {
        (Some(mean), _) => Cadence::MeanTimeBetween {
            workdays: mean.value.0,
        },
        (None, Some(every)) => Cadence::Every(every.value.0),
        (None, None) => Cadence::OnDemand,
    };
    let min_gap = match min_time_between.as_ref().map(|m| m.value) {
        None => MinGap::Workdays(1),
        Some(raw::Between::None) => MinGap::None,
        Some(raw::Between::Workdays(days)) => MinGap::Workdays(days),
        Some(raw::Between::Elapsed(time)) => MinGap::Elapsed(time),
    };
    if let (Some(mean), MinGap::Workdays(gap)) = (mean_time_between, min_gap)
        && mean.value.0 < gap
    {
        scribe.error(
            mean.at,
            format!(
                "`meanTimeBetween` is {} work days, less than `minTimeBetween` with {gap}",
                mean.value.0
            ),
            "a mean can't be below the minimum: raise the one or lower the other",
        );
    }
    Some(Schedule {
        windows: windows?,
        timezone: timezone?,
        holidays: holidays(dates),
        cadence,
        min_gap,
    })
}

fn window_of(raw: &raw::Window, scribe: &mut Scribe) -> Option<Window> {
    let raw::Window {
        place,
        days,
        from,
        to,
    } = raw;
    let days = place.need(days, "days", "write `days: [mon, tue, wed, thu, fri]`", scribe);
    let from = place.need(from, "from", "write `from: \"09:30\"`", scribe);
    let to = place.need(to, "to", "write `to: \"15:30\"`", scribe);
    let days = days.map(|list| {
        let mut days: Vec<Weekday> = vec![];
        for day in &list.value {
            let weekday = match day.value {
                raw::Weekday::Mon => Weekday::Mon,
                raw::Weekday::Tue => Weekday::Tue,
                raw::Weekday::Wed => Weekday::Wed,
                raw::Weekday::Thu => Weekday::Thu,
                raw::Weekday::Fri => Weekday::Fri,
                raw::Weekday::Sat => Weekday::Sat,
                raw::Weekday::Sun => Weekday::Sun,
            };
            if days.contains(&weekday) {
                scribe.error(day.at, "this day is written twice", "keep one of them");
            }
            days.push(weekday);
        }
        if days.is_empty() {
            scribe.error(
                list.at,
                "`days` is an empty list",
                "write the weekdays, such as `[mon, tue]`",
            );
        }
        days
    });
    let (from, to) = (from?, to?);
    if to.value.0 <= from.value.0 {
        let help = match to.value.0 == from.value.0 {
            true => "write a later end".to_owned(),
            false => format!(
                "a window never crosses midnight: split it into `from: \"{}\", to: \"23:59\"` and, on the next day, `from: \"00:00\", to: \"{}\"`",
                from.value.0.format("%H:%M"),
                to.value.0.format("%H:%M")
            ),
        };
        scribe.error(
            to.at,
            format!(
                "the window ends at {} and starts at {}",
                to.value.0.format("%H:%M"),
                from.value.0.format("%H:%M")
            ),
            help,
        );
        return None;
    }
    Some(Window {
        days: days?,
        from: from.value.0,
        to: to.value.0,
    })
}

fn radius_of(raw: &raw::BlastRadius, scribe: &mut Scribe) -> BlastRadius {
    let raw::BlastRadius {
        place: _,
        max_tasks,
        max_percent,
        min_healthy,
        max_apps,
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

fn approval_of(
    raw: &raw::Approval,
    at: Span,
    policy_mode: Mode,
    scribe: &mut Scribe,
) -> Option<ApprovalRule> {
    let raw::Approval {
        place,
        mode,
        approvers,
        quorum,
        expires,
    } = raw;
    let mode = match mode.as_ref().map(|m| m.value) {
        Some(raw::ApprovalMode::Automatic) => ApprovalMode::Automatic,
        Some(raw::ApprovalMode::Required) | None => ApprovalMode::Required,
    };
    let approvers_bad = place.is_bad("approvers");
    let raw::Approvers {
        place: inner,
        users,
        groups,
        tokens,
    } = &*raw::or_default(approvers);
    let unreadable = approvers_bad
        || place.is_bad("mode")
        || ["users", "groups", "tokens"].iter().any(|k| inner.is_bad(k));
    let mut people = BTreeSet::new();
    for user in users.iter().flat_map(|u| &u.value) {
        if !is_slack_id(&user.value.0, &['U', 'W']) {
            scribe.error(
                user.at,
                format!("`{}` is not a Slack user id", user.value.0),
                "write the member id from the person's Slack profile, such as `U012AB3CD`; anybody can take a name",
            );
        }
        people.insert(PersonId::new(user.value.0.clone()));
    }
    for token in tokens.iter().flat_map(|t| &t.value) {
        if !is_dns_label(&token.value.0) {
            scribe.error(
                token.at,
                format!("`{}` is not the name of an API token", token.value.0),
                "write the `name` of a token of the settings file",
            );
        }
        people.insert(PersonId::new(token.value.0.clone()));
    }
    let mut teams = BTreeSet::new();
    for group in groups.iter().flat_map(|g| &g.value) {
        if !is_slack_id(&group.value.0, &['S']) {
            scribe.error(
                group.at,
                format!("`{}` is not a Slack user group id", group.value.0),
                "write the group's id, such as `S0614TZR7`; handles can change",
            );
        }
        teams.insert(GroupId::new(group.value.0.clone()));
    }
    let needed = number(
        quorum,
        "quorum",
        1..=20,
        1,
        "write how many different people have to say yes",
        scribe,
    );
    if mode == ApprovalMode::Required && people.is_empty() && teams.is_empty() && !unreadable {
        let or = if policy_mode == Mode::Enforce {
            ""
        } else {
            "; a rehearsal kills nothing and may also have `approval: { mode: automatic }`"
        };
        scribe.error(
            at,
            "an approval is required and nobody may give it: no run would ever start",
            format!("write `approval: {{ approvers: {{ users: [U012AB3CD] }} }}`{or}"),
        );
    } else if mode == ApprovalMode::Required
        && teams.is_empty()
        && !unreadable
        && people.len() < needed as usize
    {
        let at = raw::at(quorum, place);
        scribe.error(
            at,
            format!("`quorum` is {needed}, but only {} may approve", people.len()),
            "name more approvers, or lower the quorum; remember that nobody approves their own request",
        );
    }
    if mode == ApprovalMode::Automatic
        && let Some(extra) = approvers.as_ref().map(|a| a.at).or(quorum.as_ref().map(|q| q.at))
    {
        scribe.error(
            extra,
            "`mode: automatic` asks nobody, so approvers and quorum would be ignored",
            "remove them, or write `mode: required`",
        );
    }
    let expires_value = expires.as_ref().map_or(Duration::from_secs(1800), |e| e.value.0);
    if let Some(expires) = expires
        .as_ref()
        .filter(|e| !(Duration::from_secs(60)..=EXPIRES_MAX).contains(&e.value.0))
    {
        scribe.error(
            expires.at,
            format!("`expires` is {}; it may be 1m to 24h", brief(expires.value.0)),
            "an approval is for the world as it was shown: write for example `30m`",
        );
    }
    Some(ApprovalRule {
        mode,
        users: people,
        groups: teams,
        quorum: needed,
        expires: expires_value,
    })
}

/// Judges `owners.yaml`. `None` when anything at all was written down.
pub fn owners(lines: &[At<raw::OwnerLine>], scribe: &mut Scribe) -> Option<Vec<Owner>> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut owners = vec![];
    for line in lines {
        let raw::OwnerLine {
            place,
            app,
            team,
            opt_in,
        } = &line.value;
        let app = place.need(
            app,
            "app",
            "write `app: /shop/cart`, or a group path such as `app: /shop/`",
            scribe,
        );
        let team = place.need(team, "team", "write the team that owns it", scribe);
        let (Some(app), Some(team)) = (app, team) else {
            continue;
        };
        let text = &app.value.0;
        if text.contains('*') {
            scribe.error(
                app.at,
                format!("`{text}` has a star"),
                "the right to kill is given by exact id or by a group path that ends in `/`",
            );
        } else if let Err(why) = AppId::parse(text.strip_suffix('/').unwrap_or(text)) {
            let help = if text == "/" {
                "the whole cluster can't be given away at once: name a group such as `/shop/`"
            } else {
                "write an absolute id such as `/shop/cart`, or a group path such as `/shop/`"
            };
            scribe.error(app.at, why, help);
        }
        if let Some(first) = seen.insert(text.clone(), line.at.line) {
            scribe.error(
                app.at,
                format!("`{text}` is written twice; the first is in line {first}"),
                "keep one of them",
            );
        }
        owners.push(Owner {
            app: text.clone(),
            team: team.value.0.clone(),
            opt_in: opt_in.as_ref().is_some_and(|o| o.value),
        });
    }
    scribe.is_clean().then_some(owners)
}

#[cfg(test)]
mod tests;
