//! The only maker of a [`Permit`].

use crate::model::gate::Judgement;
use crate::model::ids::PlanDigest;
use crate::model::plan::{Plan, Step};

/// Proof that a judgement let one step of one plan through.
///
/// Has a private field and one maker, cannot be cloned or stored in the journal, and dies with the
/// pass. The kill call takes one, so skipping the gates is a type error.
///
/// One can't be made elsewhere:
///
/// ```compile_fail,E0451
/// use heartbreak::engine::admit::Permit;
/// let forged = Permit { digest: "d".into(), step: 1 };
/// ```
///
/// nor copied, nor read from somewhere:
///
/// ```compile_fail,E0277
/// fn needs_clone<T: Clone>() {}
/// needs_clone::<heartbreak::ports::Permit>();
/// ```
///
/// ```compile_fail,E0277
/// fn needs_reading<T: serde::de::DeserializeOwned>() {}
/// needs_reading::<heartbreak::ports::Permit>();
/// ```
#[derive(Debug)]
pub struct Permit {
    digest: PlanDigest,
    step: u32,
}

impl Permit {
    /// Whether it is for this step of this plan.
    pub fn covers(&self, digest: &PlanDigest, step: u32) -> bool {
        self.digest == *digest && self.step == step
    }

    /// The step it is for.
    pub fn step(&self) -> u32 {
        self.step
    }
}

/// Gives a permit for `step` of `plan` when every registered gate said yes about exactly that.
pub fn admit(plan: &Plan, step: &Step, judgement: &Judgement) -> Option<Permit> {
    let digest = plan.digest();
    let about_this = judgement.run == plan.run && judgement.digest == digest && judgement.step == step.number;
    (about_this && judgement.passes()).then_some(Permit {
        digest,
        step: step.number,
    })
}
