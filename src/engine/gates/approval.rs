//! The approval gate: did the right people approve this very plan?

use super::Question;
use crate::model::gate::Answer;
use crate::model::policy::{ApprovalMode, Mode};
use std::collections::BTreeSet;

/// Refuses unless enough different people, all of them allowed and none of them the requester, said
/// yes to exactly this plan, and nobody said no. The start has to come before the request expires; once
/// started, the approvals are consumed and the run's own limits hold.
pub fn judge(q: &Question<'_>) -> Answer {
    let rule = &q.plan.approval;
    if rule.mode == ApprovalMode::Automatic {
        return Answer::Pass("the policy says `approval: automatic`".into());
    }
    if q.plan.mode == Mode::Rehearse {
        return Answer::Pass("a rehearsal reaches nothing, so nobody has to approve it".into());
    }
    let Some(run) = q.facts.ledger.runs.get(&q.plan.run) else {
        return Answer::Refuse(format!(
            "nobody was asked yet; {} of {} approvals",
            0, rule.quorum
        ));
    };
    if let Some(denial) = &run.denied {
        return Answer::Refuse(format!("denied by {}: {}", denial.by, denial.reason));
    }
    if run.started.is_none()
        && let Some(expires) = run.approval_expires
        && q.facts.now >= expires
    {
        return Answer::Refuse(format!("the request expired at {}", expires.format("%F %T UTC")));
    }
    let nobody = BTreeSet::new();
    // Membership was asked when the run started, and the approvals were consumed then: an outage of the
    // chat afterwards must not hold a run half done.
    let (members, consumed) = match q.facts.members {
        Ok(members) => (members, false),
        Err(_) if run.started.is_some() => (&nobody, true),
        Err(why) if rule.groups.is_empty() => return Answer::Unknown(why.clone()),
        Err(why) => return Answer::Unknown(format!("the approver groups can't be read: {why}")),
    };
    let digest = q.plan.digest();
    let yes: BTreeSet<_> = run
        .approvals
        .iter()
        .filter(|a| a.digest == digest)
        .filter(|a| consumed || rule.users.contains(&a.by.id) || members.contains(&a.by.id))
        .filter(|a| q.plan.requested_by.as_ref().is_none_or(|r| r.id != a.by.id))
        .filter(|a| run.approval_expires.is_none_or(|expires| a.at < expires))
        .map(|a| &a.by.id)
        .collect();
    let names = yes.iter().map(|p| p.as_str()).collect::<Vec<_>>().join(", ");
    let (have, need) = (
        yes.len(),
        usize::try_from(rule.quorum.max(1)).unwrap_or(usize::MAX),
    );
    if have >= need {
        Answer::Pass(format!(
            "{have} of {need} approvals for plan {}: {names}",
            digest.short()
        ))
    } else {
        Answer::Refuse(format!("{have} of {need} approvals for plan {}", digest.short()))
    }
}
