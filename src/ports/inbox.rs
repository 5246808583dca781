//! The way in for everything a person can ask. Implemented by the operator.

use crate::model::command::Asked;
use crate::model::view::{Refusal, Reply};
use async_trait::async_trait;

/// Takes what people ask.
#[async_trait]
pub trait Inbox: Send + Sync {
    /// Answers a question, or journals a command and then answers. Comes back within two seconds.
    ///
    /// # Errors
    ///
    /// A refusal says why, what to do, and that nothing was changed.
    async fn ask(&self, asked: Asked) -> Result<Reply, Refusal>;
}
