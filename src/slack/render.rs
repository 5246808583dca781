//! From data to messages: blocks, and one sentence with the verdict first for notifications and screen
//! readers. Pure.
//!
//! Every number, id and mention comes from the data; every text that we did not write goes through
//! [`text`]. What a message may hold is bounded by `Sheet`, so that none can be refused for
//! its size. Not here: where a message goes, and whether it is a new one or an edit.

mod reply;
mod report;
mod run;

use super::limits::{BLOCK_TEXT_MAX, FALLBACK_BYTES_MAX};
use super::parse::SLASH;
use super::text::{self, Lines, code, fit, person, plain, prose, told, width};
use crate::model::ids::{PlanDigest, RunId};
use crate::model::notice::NoticeBody;
use crate::model::view::{Refusal, RefusalKind};
use chrono::{DateTime, Utc};
use slack_morphism::prelude::*;

pub use reply::{help, reply};

/// The button that says yes.
pub const APPROVE: &str = "approve";
/// The button that asks why not.
pub const DENY: &str = "deny";
/// The button that ends one run.
pub const ABORT: &str = "abort";
/// The button that stops everything.
pub const HALT: &str = "halt";
/// The modal that asks why not, its block and its field.
pub const DENY_VIEW: &str = "deny";
/// Block and field of the reason in [`DENY_VIEW`].
pub const REASON: &str = "reason";
/// Longest reason that the modal takes.
const REASON_CHARS_MAX: u64 = 500;

/// What is sent: always both, because `chat.update` with text alone removes the blocks.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// One complete sentence, escaped, at most [`FALLBACK_BYTES_MAX`] bytes.
    pub text: String,
    /// What is seen.
    pub blocks: Vec<SlackBlock>,
}

impl Message {
    /// As JSON with `text` and `blocks`: what [`limits`](super::limits) judges.
    ///
    /// # Panics
    ///
    /// Never: blocks are plain data.
    pub fn json(&self) -> serde_json::Value {
        let blocks = serde_json::to_value(&self.blocks).expect("blocks are plain data");
        serde_json::json!({"text": self.text, "blocks": blocks})
    }
}

/// A notice as a message. `now` is shown where a message goes stale.
pub fn notice(body: &NoticeBody, now: DateTime<Utc>) -> Message {
    match body {
        NoticeBody::Run(view) => run::card(view, now),
        NoticeBody::Verdict(report) => report::verdict(report),
        NoticeBody::Halted { halt, open } => Sheet::new()
            .head("Halted: nothing is killed until a person resumes")
            .text(format!(
                "{} stopped everything {}.\n>{}",
                person(&halt.by),
                text::time(halt.since),
                prose(&halt.reason, 1_000)
            ))
            .text(still_open(open))
            .foot(format!("An admin lifts it with `{SLASH} resume REASON`. Aborted runs stay aborted."))
            .done(format!("Halted by {}: {}", person(&halt.by), prose(&halt.reason, 500))),
        NoticeBody::Resumed { by, reason } => Sheet::new()
            .text(format!("*Resumed* by {}: new runs may start again.\n>{}", told(by, 100), prose(reason, 1_000)))
            .done(format!("Resumed by {}: {}", told(by, 100), prose(reason, 500))),
        NoticeBody::Suspended { policy, why } => Sheet::new()
            .head(&format!("Policy {policy} is suspended"))
            .text(format!("Its file can't be used, and the last good version isn't used instead. Nothing runs under it.\n>{}", prose(why, 2_000)))
            .foot(format!("Mend the file; `heartbreak check` says what is wrong with it. `{SLASH} policies` shows how it stands."))
            .done(format!("Policy {} is suspended: {}", prose(policy.as_str(), 100), prose(why, 1_000))),
        NoticeBody::Attention { what, todo } => Sheet::new()
            .head("A person has to look")
            .text(told(what, 2_000))
            .text(format!("*What to do:* {}", told(todo, 2_000)))
            .done(format!("A person has to look: {}", told(what, 1_500))),
    }
}

/// A no: what is wrong, what to do, what did not happen.
pub fn refusal(refusal: &Refusal) -> Message {
    let lead = match refusal.kind {
        RefusalKind::NotFound => "Not found",
        RefusalKind::NotAllowed => "Not allowed",
        RefusalKind::Conflict => "Not now",
        RefusalKind::Invalid => "Not understood",
        RefusalKind::Unavailable => "Not possible at the moment",
    };
    Sheet::new()
        .text(format!("*{lead}:* {}", told(&refusal.why, 2_500)))
        .done(format!("{lead}: {}", told(&refusal.why, 2_500)))
}

/// A sentence of the door's own, in which backticks mark what can be typed. It has to be escaped already.
pub fn sentence(text: impl Into<String>) -> Message {
    let text = text.into();
    Sheet::new().text(text.clone()).done(text)
}

/// What a parser says; people's own words in it are shown, its backticks format.
pub fn misread(why: &str) -> Message {
    let parts: Vec<String> = why
        .split('`')
        .enumerate()
        .map(|(index, part)| match index % 2 {
            0 if part.is_empty() => String::new(),
            0 => spaced(part),
            _ => code(part, 200),
        })
        .collect();
    sentence(parts.concat())
}

/// Prose with the blanks at its ends kept, for pieces of a sentence.
fn spaced(part: &str) -> String {
    let blank = |yes: bool| if yes { " " } else { "" };
    match part.trim().is_empty() {
        true => " ".to_owned(),
        false => format!(
            "{}{}{}",
            blank(part.starts_with(' ')),
            prose(part, 1_000),
            blank(part.ends_with(' '))
        ),
    }
}

/// The modal behind Deny: asks why. `channel` is where the answer will be whispered.
pub fn deny_view(run: &RunId, digest: &str, channel: Option<&str>) -> SlackView {
    let metadata =
        serde_json::json!({"value": format!("{run}.{digest}"), "channel": channel.unwrap_or_default()});
    let input = SlackBlockPlainTextInputElement::new()
        .with_action_id(REASON.into())
        .with_multiline(true)
        .with_min_length(3)
        .with_max_length(REASON_CHARS_MAX);
    let label = SlackBlockPlainText::new(plain(
        &format!("Why not? Everybody who sees run {run} will read it."),
        200,
    ));
    let blocks = vec![
        SlackInputBlock::new(label.into(), input.into())
            .with_block_id(REASON.into())
            .into(),
    ];
    SlackView::Modal(
        SlackModalView::new(SlackBlockPlainText::from("Deny this run").into(), blocks)
            .with_callback_id(DENY_VIEW.into())
            .with_private_metadata(fit(&metadata.to_string(), 3_000, width))
            .with_submit(SlackBlockPlainText::from("Deny").into())
            .with_close(SlackBlockPlainText::from("Go back").into()),
    )
}

/// What a button says about the thing it is for.
pub fn value(run: &RunId, digest: &PlanDigest) -> String {
    fit(&format!("{run}.{}", digest.short()), 2_000, width)
}

/// What is still open, as a list; that nothing is, where nothing is.
fn still_open(open: &[String]) -> String {
    if open.is_empty() {
        return "*Still open:* nothing.".to_owned();
    }
    let lines = open.iter().map(|line| format!("• {}", told(line, 500)));
    format!("*Still open:*\n{}", Lines::new(2_500).extend(lines).done())
}

/// Kept of [`BLOCK_TEXT_MAX`] for buttons, their dialogs and the foot.
const RESERVE: usize = 1_500;
/// Blocks before buttons and foot; Slack takes 50.
const BLOCKS_MAX: usize = 45;
/// A section's text.
const SECTION_MAX: usize = 3_000;
/// A field's text; the limit is 2,000, but a field is a glance.
const FIELD_MAX: usize = 700;

/// A message being written: keeps every block and the whole below Slack's limits.
struct Sheet {
    blocks: Vec<SlackBlock>,
    left: usize,
}

impl Sheet {
    fn new() -> Self {
        Self {
            blocks: vec![],
            left: BLOCK_TEXT_MAX - RESERVE,
        }
    }

    /// Bold, plain, at most one line.
    fn head(mut self, title: &str) -> Self {
        let title = plain(title, 150);
        self.left = self.left.saturating_sub(width(&title));
        self.blocks
            .push(SlackHeaderBlock::new(SlackBlockPlainText::new(title).into()).into());
        self
    }

    /// A paragraph; left out when the room is used up.
    fn text(mut self, text: String) -> Self {
        let room = SECTION_MAX.min(self.left);
        if room >= 2 && !text.is_empty() && self.blocks.len() < BLOCKS_MAX {
            let text = fit(&text, room, width);
            self.left -= width(&text);
            self.blocks
                .push(SlackSectionBlock::new().with_text(mrkdwn(text)).into());
        }
        self
    }

    /// A title and its list; nothing for an empty one.
    fn list(self, title: &str, lines: impl IntoIterator<Item = String>, max: usize) -> Self {
        let mut lines = lines.into_iter().peekable();
        if lines.peek().is_none() {
            return self;
        }
        let room = max.min(self.left.saturating_sub(width(title) + 4));
        self.text(format!("*{title}*\n{}", Lines::new(room).extend(lines).done()))
    }

    /// At most ten facts, side by side.
    fn fields(mut self, facts: Vec<(&str, String)>) -> Self {
        let mut fields = vec![];
        for (label, value) in facts.into_iter().take(10) {
            let room = FIELD_MAX.min(self.left);
            if room >= 40 && !value.is_empty() {
                let field = fit(&format!("*{label}*\n{value}"), room, width);
                self.left -= width(&field);
                fields.push(mrkdwn(field));
            }
        }
        if !fields.is_empty() {
            self.blocks
                .push(SlackSectionBlock::new().with_fields(fields).into());
        }
        self
    }

    /// After `wanted` paragraphs: says how many were left out for want of room, and where they are.
    fn capped(mut self, wanted: usize, what: &str, elsewhere: &str) -> Self {
        let missing = wanted.saturating_sub(self.blocks.len());
        if missing > 0 {
            self = self.foot(format!("{missing} more {what}: `{elsewhere}` shows all"));
        }
        self
    }

    fn buttons(mut self, buttons: Vec<SlackBlockButtonElement>) -> Self {
        if !buttons.is_empty() {
            let elements = buttons.into_iter().map(SlackActionBlockElement::Button).collect();
            self.blocks.push(SlackActionsBlock::new(elements).into());
        }
        self
    }

    /// The small print; has its own room.
    fn foot(mut self, text: String) -> Self {
        let text = SlackBlockMarkDownText::new(fit(&text, 700, width)).with_verbatim(true);
        self.blocks.push(SlackContextBlock::new(vec![text.into()]).into());
        self
    }

    fn done(self, fallback: String) -> Message {
        Message {
            text: fit(&fallback, FALLBACK_BYTES_MAX, str::len),
            blocks: self.blocks,
        }
    }
}

/// Formats and explicit mentions work; nothing else in it becomes a link or a mention.
fn mrkdwn(text: String) -> SlackBlockText {
    SlackBlockMarkDownText::new(text).with_verbatim(true).into()
}

fn button(action: &str, label: &str, spoken: &str, value: String) -> SlackBlockButtonElement {
    SlackBlockButtonElement::new(SlackBlockPlainText::from(label).into())
        .with_action_id(action.into())
        .with_value(value)
        .with_accessibility_label(SlackAccessibilityLabel(plain(spoken, 75)))
}

/// Stops everything. Without a dialog: stopping is the safe direction.
fn halt_button() -> SlackBlockButtonElement {
    button(HALT, "Halt everything", "Halt all runs", "all".to_owned())
        .with_style(SlackBlockButtonStyle::Danger)
}

#[cfg(test)]
mod tests;
