//! `spec.approval`: who may say yes, how many of them, and for how long.

use super::{is_dns_label, is_slack_id, number};
use crate::model::ids::{GroupId, PersonId};
use crate::model::policy::{ApprovalMode, ApprovalRule, Mode};
use crate::policy::problem::{Scribe, Span};
use crate::policy::raw;
use crate::policy::read::brief;
use std::collections::BTreeSet;
use std::time::Duration;

/// Longest an approval request may stand: a day-old yes is about a world that is gone.
const EXPIRES_MAX: Duration = Duration::from_secs(24 * 3600);

pub(super) fn approval_of(
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
