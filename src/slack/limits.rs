//! What Slack refuses, as a list of rules over the JSON that would be sent.
//!
//! Slack answers a message that breaks one of these with `invalid_blocks`, `msg_too_long` or
//! `msg_blocks_too_long`, and then nobody sees the verdict. So every message is checked before it leaves,
//! and tests check every message with hostile text. Two of the rules are our own caps below Slack's
//! undocumented ones: [`BLOCK_TEXT_MAX`] and [`FALLBACK_BYTES_MAX`].

use super::text::width;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt;

/// All text of all blocks together. Slack's own cap is not documented; failures were reported from 11,341.
pub const BLOCK_TEXT_MAX: usize = 8_000;
/// The top-level text, in bytes after escaping: `chat.update` refuses more than 4,000, by one report bytes.
pub const FALLBACK_BYTES_MAX: usize = 3_000;
/// Blocks in a message.
const BLOCKS_MAX: usize = 50;
/// Blocks in a view.
const VIEW_BLOCKS_MAX: usize = 100;

/// A rule, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// There has to be a fallback text, and it has to be short.
    Fallback,
    /// At most 50 blocks in a message, 100 in a view.
    BlockCount,
    /// All block text together.
    BlockText,
    /// A block of a type we never send.
    BlockType,
    /// `block_id`: at most 255, unique.
    BlockId,
    /// `action_id`: at most 255, unique in the message.
    ActionId,
    /// Header: 1 to 150.
    Header,
    /// Section text: 1 to 3,000; a section needs text or fields.
    Section,
    /// Section fields: 1 to 10, each 1 to 2,000.
    Fields,
    /// Context: 1 to 10 elements, each 1 to 3,000.
    Context,
    /// Actions: 1 to 25 elements.
    Actions,
    /// Button: text 75, value 2,000, label 75, style `primary` or `danger`.
    Button,
    /// Confirm: title 100, text 300, buttons 30.
    Confirm,
    /// A place that takes `plain_text` only, or a text object of no known type.
    TextType,
    /// An input belongs in a view; label 2,000, `max_length` 3,000.
    Input,
    /// View: title, submit and close 24, callback 255, metadata 3,000, `submit` beside an input.
    View,
    /// `null` where a field should be left out.
    Null,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::Fallback,
        Self::BlockCount,
        Self::BlockText,
        Self::BlockType,
        Self::BlockId,
        Self::ActionId,
        Self::Header,
        Self::Section,
        Self::Fields,
        Self::Context,
        Self::Actions,
        Self::Button,
        Self::Confirm,
        Self::TextType,
        Self::Input,
        Self::View,
        Self::Null,
    ];
}

/// A broken rule and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub rule: Rule,
    /// A JSON pointer, and what is there.
    pub at: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {}", self.rule, self.at)
    }
}

/// Every rule that a message (`text` and `blocks`) breaks.
pub fn check_message(message: &Value) -> Vec<Broken> {
    let mut judge = Judge::default();
    let text = message["text"].as_str().unwrap_or_default();
    judge.claim(
        Rule::Fallback,
        (1..=FALLBACK_BYTES_MAX).contains(&text.len()) && !text.trim().is_empty(),
        || format!("/text: {} bytes of 1 to {FALLBACK_BYTES_MAX}", text.len()),
    );
    judge.blocks(message, BLOCKS_MAX, false);
    judge.nulls(message, "");
    judge.broken
}

/// Every rule that a modal view breaks.
pub fn check_view(view: &Value) -> Vec<Broken> {
    let mut judge = Judge::default();
    for (key, needed) in [("title", true), ("submit", false), ("close", false)] {
        if needed || !view[key].is_null() {
            judge.text(Rule::View, &view[key], 24, true, &format!("/{key}"));
        }
    }
    for (key, max) in [
        ("callback_id", 255),
        ("external_id", 255),
        ("private_metadata", 3_000),
    ] {
        let used = view[key].as_str().map_or(0, width);
        judge.claim(Rule::View, used <= max, || {
            format!("/{key}: {used} of at most {max}")
        });
    }
    let has_input = blocks_of(view).iter().any(|b| b["type"] == "input");
    judge.claim(Rule::View, !has_input || view["submit"].is_object(), || {
        "/submit: missing beside an input".to_owned()
    });
    judge.blocks(view, VIEW_BLOCKS_MAX, true);
    judge.nulls(view, "");
    judge.broken
}

fn blocks_of(holder: &Value) -> &[Value] {
    holder["blocks"].as_array().map_or(&[], Vec::as_slice)
}

#[derive(Default)]
struct Judge {
    broken: Vec<Broken>,
    block_text: usize,
    block_ids: BTreeSet<String>,
    action_ids: BTreeSet<String>,
}

impl Judge {
    fn claim(&mut self, rule: Rule, holds: bool, at: impl FnOnce() -> String) {
        if !holds {
            self.broken.push(Broken { rule, at: at() });
        }
    }

    fn blocks(&mut self, holder: &Value, most: usize, view: bool) {
        let blocks = blocks_of(holder);
        self.claim(Rule::BlockCount, blocks.len() <= most, || {
            format!("/blocks: {} of at most {most}", blocks.len())
        });
        for (index, block) in blocks.iter().enumerate() {
            self.block(block, &format!("/blocks/{index}"), view);
        }
        let used = self.block_text;
        self.claim(Rule::BlockText, used <= BLOCK_TEXT_MAX, || {
            format!("/blocks: {used} of at most {BLOCK_TEXT_MAX} in all")
        });
    }

    fn block(&mut self, block: &Value, at: &str, view: bool) {
        if let Some(id) = block["block_id"].as_str() {
            let fresh = self.block_ids.insert(id.to_owned());
            self.claim(Rule::BlockId, fresh && (1..=255).contains(&width(id)), || {
                format!("{at}/block_id: {id}")
            });
        }
        match block["type"].as_str().unwrap_or_default() {
            "header" => self.text(Rule::Header, &block["text"], 150, true, &format!("{at}/text")),
            "section" => self.section(block, at),
            "context" => {
                let elements = elements_of(block);
                self.claim(Rule::Context, (1..=10).contains(&elements.len()), || {
                    format!("{at}/elements: {}", elements.len())
                });
                for (index, element) in elements.iter().enumerate() {
                    self.text(
                        Rule::Context,
                        element,
                        3_000,
                        false,
                        &format!("{at}/elements/{index}"),
                    );
                }
            }
            "actions" => {
                let elements = elements_of(block);
                self.claim(Rule::Actions, (1..=25).contains(&elements.len()), || {
                    format!("{at}/elements: {}", elements.len())
                });
                for (index, element) in elements.iter().enumerate() {
                    self.button(element, &format!("{at}/elements/{index}"));
                }
            }
            "divider" => {}
            "input" => self.input(block, at, view),
            other => self.claim(Rule::BlockType, false, || format!("{at}/type: {other:?}")),
        }
    }

    fn section(&mut self, block: &Value, at: &str) {
        let fields = block["fields"].as_array();
        self.claim(
            Rule::Section,
            block["text"].is_object() || fields.is_some(),
            || format!("{at}: neither text nor fields"),
        );
        if block["text"].is_object() {
            self.text(Rule::Section, &block["text"], 3_000, false, &format!("{at}/text"));
        }
        if let Some(fields) = fields {
            self.claim(Rule::Fields, (1..=10).contains(&fields.len()), || {
                format!("{at}/fields: {}", fields.len())
            });
            for (index, field) in fields.iter().enumerate() {
                self.text(Rule::Fields, field, 2_000, false, &format!("{at}/fields/{index}"));
            }
        }
    }

    fn button(&mut self, button: &Value, at: &str) {
        self.claim(Rule::Button, button["type"] == "button", || {
            format!("{at}: not a button")
        });
        self.text(Rule::Button, &button["text"], 75, true, &format!("{at}/text"));
        for (key, max) in [("value", 2_000), ("accessibility_label", 75)] {
            let used = button[key].as_str().map_or(0, width);
            self.claim(Rule::Button, used <= max, || {
                format!("{at}/{key}: {used} of at most {max}")
            });
        }
        let style = &button["style"];
        let known = style.is_null() || style == "primary" || style == "danger";
        self.claim(Rule::Button, known, || format!("{at}/style: {style}"));
        self.action_id(button, at);
        let confirm = &button["confirm"];
        if confirm.is_object() {
            for (key, max, plain) in [
                ("title", 100, true),
                ("text", 300, false),
                ("confirm", 30, true),
                ("deny", 30, true),
            ] {
                self.text(
                    Rule::Confirm,
                    &confirm[key],
                    max,
                    plain,
                    &format!("{at}/confirm/{key}"),
                );
            }
        }
    }

    fn action_id(&mut self, element: &Value, at: &str) {
        let id = element["action_id"].as_str().unwrap_or_default();
        let fresh = self.action_ids.insert(id.to_owned());
        self.claim(Rule::ActionId, fresh && (1..=255).contains(&width(id)), || {
            format!("{at}/action_id: {id:?}")
        });
    }

    fn input(&mut self, block: &Value, at: &str, view: bool) {
        self.claim(Rule::Input, view, || format!("{at}: an input outside a view"));
        self.text(Rule::Input, &block["label"], 2_000, true, &format!("{at}/label"));
        let longest = block["element"]["max_length"].as_u64().unwrap_or(0);
        self.claim(Rule::Input, longest <= 3_000, || {
            format!("{at}/element/max_length: {longest}")
        });
        self.action_id(&block["element"], &format!("{at}/element"));
    }

    /// A text object: of a type that is allowed there, not empty, not too long.
    fn text(&mut self, rule: Rule, text: &Value, max: usize, plain_only: bool, at: &str) {
        let kind = text["type"].as_str().unwrap_or_default();
        let known = kind == "plain_text" || (kind == "mrkdwn" && !plain_only);
        self.claim(Rule::TextType, known, || format!("{at}/type: {kind:?}"));
        let used = text["text"].as_str().map_or(0, width);
        let blank = text["text"].as_str().unwrap_or_default().trim().is_empty();
        self.claim(rule, !blank && used <= max, || {
            format!("{at}: {used} of 1 to {max}")
        });
        self.block_text += used;
    }

    fn nulls(&mut self, value: &Value, at: &str) {
        match value {
            Value::Null => self.claim(Rule::Null, false, || at.to_owned()),
            Value::Array(items) => {
                items
                    .iter()
                    .enumerate()
                    .for_each(|(i, item)| self.nulls(item, &format!("{at}/{i}")));
            }
            Value::Object(map) => {
                map.iter()
                    .for_each(|(key, item)| self.nulls(item, &format!("{at}/{key}")));
            }
            Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

fn elements_of(block: &Value) -> &[Value] {
    block["elements"].as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn mrkdwn(text: &str) -> Value {
        json!({"type": "mrkdwn", "text": text})
    }

    fn plain(text: &str) -> Value {
        json!({"type": "plain_text", "text": text})
    }

    fn button(id: &str) -> Value {
        json!({"type": "button", "action_id": id, "text": plain("Go")})
    }

    fn message(blocks: Value) -> Value {
        json!({"text": "t", "blocks": blocks})
    }

    fn actions(elements: Value) -> Value {
        message(json!([{"type": "actions", "elements": elements}]))
    }

    fn with(mut value: Value, key: &str, more: Value) -> Value {
        value[key] = more;
        value
    }

    fn view() -> Value {
        json!({"type": "modal", "title": plain("Deny"), "submit": plain("Deny"), "blocks": [
            {"type": "input", "label": plain("Why"), "element": {"type": "plain_text_input", "action_id": "a"}}]})
    }

    #[test]
    fn what_slack_takes_breaks_no_rule() {
        let good = message(json!([
            {"type": "header", "block_id": "h", "text": plain("Head")},
            {"type": "section", "text": mrkdwn(&"x".repeat(3_000)), "fields": [mrkdwn("a"), plain("b")]},
            {"type": "actions", "elements": [button("a"), button("b")]},
            {"type": "divider"},
            {"type": "context", "elements": [mrkdwn("c")]},
        ]));
        assert_eq!(check_message(&good), []);
        assert_eq!(check_message(&json!({"text": "only text"})), []);
        assert_eq!(check_view(&view()), []);
    }

    #[test]
    fn each_rule_has_an_example_that_breaks_it_alone() {
        let long = |n: usize| "x".repeat(n);
        let section = |text: &str| json!({"type": "section", "text": mrkdwn(text)});
        let confirm = json!({"title": plain(&long(101)), "text": mrkdwn("t"), "confirm": plain("c"), "deny": plain("d")});
        let bad: Vec<(Rule, Value)> = vec![
            (Rule::Fallback, json!({"blocks": []})),
            (Rule::Fallback, json!({"text": " ", "blocks": []})),
            (Rule::Fallback, json!({"text": "ä".repeat(1_501), "blocks": []})),
            (
                Rule::BlockCount,
                message(json!(vec![json!({"type": "divider"}); 51])),
            ),
            (Rule::BlockText, message(json!(vec![section(&long(2_001)); 4]))),
            (Rule::BlockType, message(json!([{"type": "banner"}]))),
            (
                Rule::BlockId,
                message(json!([{"type": "divider", "block_id": "d"}, {"type": "divider", "block_id": "d"}])),
            ),
            (
                Rule::BlockId,
                message(json!([{"type": "divider", "block_id": long(256)}])),
            ),
            (Rule::ActionId, actions(json!([button("a"), button("a")]))),
            (Rule::ActionId, actions(json!([button(&long(256))]))),
            (
                Rule::Header,
                message(json!([{"type": "header", "text": plain(&long(151))}])),
            ),
            (Rule::Section, message(json!([section(&long(3_001))]))),
            (Rule::Section, message(json!([section(&"🦀".repeat(1_501))]))),
            (Rule::Section, message(json!([section("")]))),
            (Rule::Section, message(json!([{"type": "section"}]))),
            (
                Rule::Fields,
                message(json!([{"type": "section", "fields": vec![mrkdwn("f"); 11]}])),
            ),
            (
                Rule::Fields,
                message(json!([{"type": "section", "fields": [mrkdwn(&long(2_001))]}])),
            ),
            (
                Rule::Context,
                message(json!([{"type": "context", "elements": []}])),
            ),
            (
                Rule::Context,
                message(json!([{"type": "context", "elements": vec![mrkdwn("c"); 11]}])),
            ),
            (
                Rule::Context,
                message(json!([{"type": "context", "elements": [mrkdwn(&long(3_001))]}])),
            ),
            (Rule::Actions, actions(json!([]))),
            (
                Rule::Actions,
                actions(json!((0..26).map(|i| button(&i.to_string())).collect::<Vec<_>>())),
            ),
            (
                Rule::Button,
                actions(json!([with(button("a"), "text", plain(&long(76)))])),
            ),
            (
                Rule::Button,
                actions(json!([with(button("a"), "value", json!(long(2_001)))])),
            ),
            (
                Rule::Button,
                actions(json!([with(button("a"), "accessibility_label", json!(long(76)))])),
            ),
            (
                Rule::Button,
                actions(json!([with(button("a"), "style", json!("loud"))])),
            ),
            (
                Rule::Confirm,
                actions(json!([with(button("a"), "confirm", confirm)])),
            ),
            (
                Rule::TextType,
                message(json!([{"type": "header", "text": mrkdwn("h")}])),
            ),
            (
                Rule::TextType,
                message(json!([{"type": "section", "text": {"type": "html", "text": "t"}}])),
            ),
            (Rule::Input, message(json!([view()["blocks"][0]]))),
            (Rule::Null, with(message(json!([])), "thread_ts", Value::Null)),
        ];
        for (rule, example) in &bad {
            let broken: BTreeSet<Rule> = check_message(example).into_iter().map(|b| b.rule).collect();
            assert_eq!(broken, BTreeSet::from([*rule]), "{example}");
        }
        let bad_views: Vec<(Rule, Value)> = vec![
            (Rule::View, with(view(), "title", plain(&long(25)))),
            (Rule::View, with(view(), "private_metadata", json!(long(3_001)))),
            (
                Rule::View,
                json!({"title": plain("t"), "blocks": view()["blocks"]}),
            ),
            (
                Rule::BlockCount,
                with(view(), "blocks", json!(vec![json!({"type": "divider"}); 101])),
            ),
        ];
        for (rule, example) in &bad_views {
            let broken: BTreeSet<Rule> = check_view(example).into_iter().map(|b| b.rule).collect();
            assert_eq!(broken, BTreeSet::from([*rule]), "{example}");
        }
        let shown: BTreeSet<Rule> = bad.iter().chain(&bad_views).map(|(rule, _)| *rule).collect();
        assert_eq!(shown, Rule::ALL.into(), "every rule has its example");
    }
}
