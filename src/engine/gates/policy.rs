//! The policy gate: is this still the policy that was planned for?

use super::Question;
use crate::model::gate::Answer;
use crate::model::policy::Mode;

/// Refuses when the policy is suspended, gone, switched off, or differs from the one in the plan.
pub fn judge(q: &Question<'_>) -> Answer {
    match q.facts.policy {
        Err(why) => Answer::Refuse(format!("policy {} is not active: {why}", q.plan.policy)),
        Ok(policy) if policy.mode == Mode::Off => {
            Answer::Refuse(format!("policy {} has `mode: off`", q.plan.policy))
        }
        Ok(policy) if policy.digest != q.plan.policy_digest => Answer::Refuse(format!(
            "policy {} was changed after the plan was made",
            q.plan.policy
        )),
        Ok(policy) => Answer::Pass(format!(
            "policy {} is unchanged, mode {}",
            policy.name, policy.mode
        )),
    }
}
