//! The limits Slack puts on blocks and views.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::failed;

/// Every button in the blocks, each with its `block_id`.
pub(super) fn buttons(blocks: &Value) -> Vec<Value> {
    let mut out = Vec::new();
    for block in blocks.as_array().into_iter().flatten() {
        let mut inside = list(block, "elements").to_vec();
        inside.push(block["accessory"].clone());
        for mut e in inside.into_iter().filter(|e| e["type"] == "button") {
            e["block_id"] = block["block_id"].clone();
            out.push(e);
        }
    }
    out
}

fn list<'a>(v: &'a Value, key: &str) -> &'a [Value] {
    v[key].as_array().map_or(&[], Vec::as_slice)
}

/// The blocks as Slack keeps them, or its refusal.
pub(super) fn checked(blocks: &Value, text: &str) -> Result<Value, Value> {
    let mut kept = match blocks {
        Value::Null => Vec::new(),
        Value::Array(a) => a.clone(),
        _ => return Err(failed("invalid_blocks_format")),
    };
    if kept.is_empty() && text.is_empty() {
        return Err(failed("no_text"));
    }
    check_all(&kept, 50).map_err(|m| refused("invalid_blocks", &m))?;
    for (n, b) in kept.iter_mut().enumerate() {
        if b["block_id"].is_null() {
            b["block_id"] = json!(format!("b{n}"));
        }
    }
    Ok(Value::Array(kept))
}

/// Whether Slack would open the view.
pub(super) fn checked_view(view: &Value) -> Result<(), Value> {
    let check = || {
        if view["type"] != "modal" {
            return Err("unsupported view type [json-pointer:/view/type]".to_owned());
        }
        text_within(&view["title"], 24, "/view/title")?;
        for key in ["submit", "close"] {
            if !view[key].is_null() {
                text_within(&view[key], 24, &format!("/view/{key}"))?;
            }
        }
        string_within(&view["callback_id"], 255, "/view/callback_id")?;
        string_within(&view["private_metadata"], 3000, "/view/private_metadata")?;
        check_all(list(view, "blocks"), 100)
    };
    check().map_err(|m| refused("invalid_arguments", &m))
}

fn refused(error: &str, message: &str) -> Value {
    json!({
        "ok": false, "error": error, "errors": [message],
        "response_metadata": {"messages": [format!("[ERROR] {message}")]},
    })
}

fn string_within(v: &Value, most: usize, at: &str) -> Result<(), String> {
    if v.as_str().is_some_and(|s| s.chars().count() > most) {
        return Err(format!(
            "must be less than {} characters [json-pointer:{at}]",
            most + 1
        ));
    }
    Ok(())
}

fn text_within(v: &Value, most: usize, at: &str) -> Result<(), String> {
    let at = format!("{at}/text");
    match v["text"].as_str() {
        None => Err(format!("missing required field: text [json-pointer:{at}]")),
        Some("") => Err(format!("must be more than 0 characters [json-pointer:{at}]")),
        Some(_) => string_within(&v["text"], most, &at),
    }
}

fn check_all(blocks: &[Value], most: usize) -> Result<(), String> {
    if blocks.len() > most {
        return Err(format!(
            "no more than {most} items allowed [json-pointer:/blocks]"
        ));
    }
    let mut ids = HashSet::new();
    for (n, b) in blocks.iter().enumerate() {
        let at = format!("/blocks/{n}");
        string_within(&b["block_id"], 255, &format!("{at}/block_id"))?;
        if b["block_id"].as_str().is_some_and(|id| !ids.insert(id)) {
            return Err(format!("`block_id` already exists [json-pointer:{at}/block_id]"));
        }
        check(b, &at)?;
    }
    Ok(())
}

fn check(b: &Value, at: &str) -> Result<(), String> {
    let elements = list(b, "elements");
    let few = |most: usize, what: &str, n: usize| {
        if n == 0 || n > most {
            let word = if n == 0 { "more than 0" } else { "no more than" };
            return Err(format!(
                "{word} items allowed, {most} at most [json-pointer:{at}/{what}]"
            ));
        }
        Ok(())
    };
    match b["type"].as_str().unwrap_or_default() {
        "header" => {
            if b["text"]["type"] != "plain_text" {
                return Err(format!("must be plain_text [json-pointer:{at}/text/type]"));
            }
            text_within(&b["text"], 150, &format!("{at}/text"))
        }
        "section" => {
            let fields = list(b, "fields");
            if b["text"].is_null() && fields.is_empty() {
                return Err(format!("missing required field: text [json-pointer:{at}]"));
            }
            if !b["text"].is_null() {
                text_within(&b["text"], 3000, &format!("{at}/text"))?;
            }
            if b["fields"].is_array() {
                few(10, "fields", fields.len())?;
            }
            for (n, f) in fields.iter().enumerate() {
                text_within(f, 2000, &format!("{at}/fields/{n}"))?;
            }
            element(&b["accessory"], &format!("{at}/accessory"))
        }
        "actions" => {
            few(25, "elements", elements.len())?;
            let mut ids = HashSet::new();
            for (n, e) in elements.iter().enumerate() {
                let at = format!("{at}/elements/{n}");
                element(e, &at)?;
                if e["action_id"].as_str().is_some_and(|id| !ids.insert(id)) {
                    return Err(format!(
                        "`action_id` already exists [json-pointer:{at}/action_id]"
                    ));
                }
            }
            Ok(())
        }
        "context" => {
            few(10, "elements", elements.len())?;
            for (n, e) in elements.iter().enumerate() {
                if e["type"] != "image" {
                    text_within(e, 3000, &format!("{at}/elements/{n}"))?;
                }
            }
            Ok(())
        }
        "input" => text_within(&b["label"], 2000, &format!("{at}/label")),
        "divider" | "image" | "rich_text" | "markdown" | "table" => Ok(()),
        other => Err(format!("unsupported type: {other} [json-pointer:{at}/type]")),
    }
}

fn element(e: &Value, at: &str) -> Result<(), String> {
    if e["type"] != "button" {
        return Ok(());
    }
    text_within(&e["text"], 75, &format!("{at}/text"))?;
    string_within(&e["action_id"], 255, &format!("{at}/action_id"))?;
    string_within(&e["value"], 2000, &format!("{at}/value"))?;
    if e["confirm"].is_object() {
        text_within(&e["confirm"]["title"], 100, &format!("{at}/confirm/title"))?;
        text_within(&e["confirm"]["text"], 300, &format!("{at}/confirm/text"))?;
        text_within(&e["confirm"]["confirm"], 30, &format!("{at}/confirm/confirm"))?;
        text_within(&e["confirm"]["deny"], 30, &format!("{at}/confirm/deny"))?;
    }
    Ok(())
}
