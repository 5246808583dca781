//! What people are told, before anybody decides how it looks.

use super::halt::Halt;
use super::ids::PolicyName;
use super::report::Report;
use super::view::RunView;
use serde::{Deserialize, Serialize};

/// Something that has to be visible. Its key names it for ever; a newer version replaces the older.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// `run/r-7Q2MK4XN`, `verdict/r-7Q2MK4XN`, `halt/12`, `resume/14`, `policy/cart/9`.
    pub key: String,
    /// Grows with every change of what is to be shown.
    pub version: u64,
    /// Stops and verdicts go first.
    pub priority: Priority,
    /// Slack channel id; the adapter's default when absent.
    pub channel: Option<String>,
    /// The key of the notice under which this one hangs, as a reply in its thread.
    pub under: Option<MessageRef>,
    /// What it says.
    pub body: NoticeBody,
}

/// Which notice goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Halts, aborts and verdicts.
    First,
    /// Requests for approval.
    Second,
    /// Changes of phase.
    Third,
    /// Ticks of progress; only the newest is worth sending.
    Last,
}

/// What a notice says.
#[derive(Clone, Debug, PartialEq)]
pub enum NoticeBody {
    /// The live card of a run, from request for approval to verdict.
    Run(Box<RunView>),
    /// The verdict, as a reply in the card's thread: edits notify nobody.
    Verdict(Box<Report>),
    /// Everything stopped. With what is still open, in words.
    Halted {
        /// Who, why, since when.
        halt: Halt,
        /// What is still open.
        open: Vec<String>,
    },
    /// A person lifted the halt.
    Resumed {
        /// Who, for display.
        by: String,
        /// Why.
        reason: String,
    },
    /// A policy's file turned bad.
    Suspended {
        /// Which.
        policy: PolicyName,
        /// What is wrong.
        why: String,
    },
    /// Something a person has to look at: a held charge, a panic in a pass.
    Attention {
        /// In one sentence.
        what: String,
        /// What to do.
        todo: String,
    },
}

/// Where a message stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageRef {
    /// Channel id.
    pub channel: String,
    /// Its timestamp: Slack's name for a message.
    pub ts: String,
}
