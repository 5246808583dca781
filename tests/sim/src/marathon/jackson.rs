//! Reading JSON, with the words of Marathon's parser when it can't be read.

use serde::Deserialize as _;
use serde_json::Value;

use super::refusal::Refusal;
use super::state::Version;

/// Reads one JSON value; what comes after it is ignored, as Marathon does.
///
/// # Errors
/// The refusal with which Marathon answers.
pub fn read(text: &str, version: Version) -> Result<Value, Refusal> {
    if text.trim().is_empty() {
        let details = format!(
            "No content to map due to end-of-input\n at {}",
            place(text, text.len(), text.len())
        );
        return Err(Refusal {
            status: 400,
            body: serde_json::json!({
                "message": "Please specify data in JSON format", "details": details}),
        });
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    Value::deserialize(&mut reader).map_err(|_| {
        let mut scan = Scan { text, at: 0, version };
        let words = scan.value(None).err();
        Refusal::bad_json(&words.unwrap_or_else(|| "Invalid JSON".to_owned()))
    })
}

/// A place as the parser names it; `column` counts from the start of the text.
fn place(text: &str, at: usize, column: usize) -> String {
    let before = &text[..at.min(text.len())];
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |n| n + 1);
    let mut shown = text.len().min(500);
    while !text.is_char_boundary(shown) {
        shown -= 1;
    }
    let rest = text.len() - shown;
    let cut = if rest > 0 {
        format!("[truncated {rest} bytes]")
    } else {
        String::new()
    };
    format!(
        "[Source: (byte[])\"{}\"{cut}; line: {line}, column: {}]",
        &text[..shown],
        column.saturating_sub(start)
    )
}

/// Where the scanner is: in an object or in an array, and where that began.
#[derive(Clone, Copy)]
struct Inside {
    what: &'static str,
    close: char,
    start: usize,
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
    version: Version,
}

type Said = Result<(), String>;

impl Scan<'_> {
    fn blanks(&mut self) -> Option<char> {
        loop {
            let c = self.text[self.at..].chars().next()?;
            if !c.is_ascii_whitespace() {
                return Some(c);
            }
            self.at += c.len_utf8();
        }
    }

    fn between(inside: Option<Inside>) -> String {
        let what = inside.map_or("root", |i| i.what);
        format!("Unexpected end-of-input within/between {what} entries")
    }

    fn unclosed(&self, inside: Inside) -> String {
        format!(
            "Unexpected end-of-input: expected close marker for {} (start marker at {})",
            inside.what,
            place(self.text, inside.start, inside.start + 1)
        )
    }

    fn unexpected(c: char, wanted: &str) -> String {
        format!("Unexpected character ('{c}' (code {})): {wanted}", u32::from(c))
    }

    fn tokens(&self, alone: bool) -> &'static str {
        match (self.version.newer_parser(), alone) {
            (true, _) => "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')",
            (false, false) => "(number, String, array, object, 'true', 'false' or 'null')",
            (false, true) => "('true', 'false' or 'null')",
        }
    }

    fn value(&mut self, inside: Option<Inside>) -> Said {
        let Some(c) = self.blanks() else {
            return Err(Self::between(inside));
        };
        match c {
            '{' => self.object(),
            '[' => self.array(),
            '"' => self.string("Unexpected end-of-input: was expecting closing quote for a string value"),
            '-' | '0'..='9' => self.number(),
            c if c.is_alphabetic() => self.word(),
            c => Err(Self::unexpected(
                c,
                &format!("expected a valid value {}", self.tokens(false)),
            )),
        }
    }

    fn number(&mut self) -> Said {
        let rest = &self.text[self.at..];
        let long = rest
            .find(|c: char| !c.is_ascii_digit() && !"+-.eE".contains(c))
            .unwrap_or(rest.len());
        let digits = rest[..long].trim_start_matches('-');
        let zeros = digits.len() > 1 && digits.starts_with('0') && digits.as_bytes()[1].is_ascii_digit();
        self.at += long;
        if zeros {
            return Err("Invalid numeric value: Leading zeroes not allowed".to_owned());
        }
        Ok(())
    }

    fn word(&mut self) -> Said {
        let rest = &self.text[self.at..];
        let long = rest
            .find(|c: char| !c.is_alphanumeric() && c != '_' && c != '$')
            .unwrap_or(rest.len());
        let word = &rest[..long];
        if ["true", "false", "null"].contains(&word) {
            self.at += long;
            return Ok(());
        }
        Err(format!(
            "Unrecognized token '{word}': was expecting {}",
            self.tokens(true)
        ))
    }

    fn string(&mut self, unended: &str) -> Said {
        let mut escaped = false;
        for (n, c) in self.text[self.at..].char_indices().skip(1) {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => {
                    self.at += n + 1;
                    return Ok(());
                }
                c if u32::from(c) < 32 => {
                    return Err(format!(
                        "Illegal unquoted character ((CTRL-CHAR, code {})): has to be escaped using backslash to be included in string value",
                        u32::from(c)
                    ));
                }
                _ => {}
            }
        }
        Err(unended.to_owned())
    }

    /// After an entry: a comma, or the end. Says whether it was the end.
    fn ended(&mut self, inside: Inside) -> Result<bool, String> {
        match self.blanks() {
            None => Err(self.unclosed(inside)),
            Some(',') => {
                self.at += 1;
                Ok(false)
            }
            Some(c) if c == inside.close => {
                self.at += 1;
                Ok(true)
            }
            Some(c @ ('}' | ']')) => Err(format!(
                "Unexpected close marker '{c}': expected '{}' (for {} starting at {})",
                inside.close,
                inside.what,
                place(self.text, inside.start, inside.start + 1)
            )),
            Some(c) => Err(Self::unexpected(
                c,
                &format!("was expecting comma to separate {} entries", inside.what),
            )),
        }
    }

    fn array(&mut self) -> Said {
        let inside = Inside {
            what: "Array",
            close: ']',
            start: self.at,
        };
        self.at += 1;
        match self.blanks() {
            None => return Err(self.unclosed(inside)),
            Some(']') => {
                self.at += 1;
                return Ok(());
            }
            Some(_) => {}
        }
        loop {
            self.value(Some(inside))?;
            if self.ended(inside)? {
                return Ok(());
            }
        }
    }

    fn object(&mut self) -> Said {
        let inside = Inside {
            what: "Object",
            close: '}',
            start: self.at,
        };
        self.at += 1;
        match self.blanks() {
            None => return Err(self.unclosed(inside)),
            Some('}') => {
                self.at += 1;
                return Ok(());
            }
            Some(_) => {}
        }
        loop {
            match self.blanks() {
                None => return Err(Self::between(Some(inside))),
                Some('"') => self.string("Unexpected end-of-input in field name")?,
                Some(c) => {
                    let wanted = "was expecting double-quote to start field name";
                    return Err(Self::unexpected(c, wanted));
                }
            }
            match self.blanks() {
                None => return Err(Self::between(Some(inside))),
                Some(':') => self.at += 1,
                Some(c) => {
                    let wanted = "was expecting a colon to separate field name and value";
                    return Err(Self::unexpected(c, wanted));
                }
            }
            self.value(Some(inside))?;
            if self.ended(inside)? {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn said(text: &str) -> String {
        let refusal = read(text, Version::V1_11).unwrap_err();
        assert_eq!(refusal.status, 400);
        refusal.body["details"].as_str().unwrap().to_owned()
    }

    #[test]
    fn the_words_of_the_real_parser() {
        assert_eq!(
            said("{\"id\": "),
            "Unexpected end-of-input within/between Object entries"
        );
        assert_eq!(
            said("{\"ids\": ["),
            "Unexpected end-of-input: expected close marker for Array (start marker at \
             [Source: (byte[])\"{\"ids\": [\"; line: 1, column: 9])"
        );
        assert_eq!(
            said(""),
            "No content to map due to end-of-input\n at [Source: (byte[])\"\"; line: 1, column: 0]"
        );
        assert!(said("{a:1}").ends_with("was expecting double-quote to start field name"));
        assert!(said("[1 2]").ends_with("was expecting comma to separate Array entries"));
        assert!(said("nul").starts_with("Unrecognized token 'nul'"));
    }

    #[test]
    fn what_follows_the_value_is_ignored() {
        assert_eq!(read("{} x", Version::V1_7), Ok(serde_json::json!({})));
    }
}
