//! Adapter: Slack. Reads what people type and press, writes what they see.
//!
//! Inwards [`door`] checks that a request is Slack's ([`signature`]) and ours, finds out who asks
//! ([`client`]), turns text and buttons into commands ([`parse`]) and hands them to the inbox. Outwards
//! [`notifier`] shows notices as messages ([`render`], [`text`], [`limits`]), not faster than Slack allows
//! ([`pace`]). Decides nothing: whether somebody may is the engine's to say.

pub mod client;
pub mod connector;
pub mod door;
mod inbound;
pub mod limits;
pub mod notifier;
pub mod pace;
pub mod parse;
pub mod render;
pub mod signature;
pub mod text;
pub mod trouble;

#[cfg(test)]
mod pretend;

use secrecy::SecretString;
use std::sync::Arc;

pub use client::{Client, Options};
pub use door::{Door, router};
pub use notifier::SlackNotifier;

/// Gives a secret afresh each time it is asked, so that a rotated file counts at once. The error is a
/// sentence without the secret.
pub type Secret = Arc<dyn Fn() -> Result<SecretString, String> + Send + Sync>;
