//! What is said at the door: small JSON objects, read strictly.

use std::time::Duration;

use serde_json::{Map, Value};

/// An object whose fields are taken one by one; what is left over was not understood.
pub(super) struct Said {
    fields: Map<String, Value>,
    asked: Vec<&'static str>,
}

impl Said {
    /// Reads the body of a request.
    pub(super) fn read(body: &[u8]) -> Result<Self, String> {
        let v: Value = serde_json::from_slice(body)
            .map_err(|why| format!("the body is no JSON ({why}); say for example {{\"do\": \"kill\"}}"))?;
        match v {
            Value::Object(fields) => Ok(Self {
                fields,
                asked: Vec::new(),
            }),
            other => Err(format!(
                "the body is {}, and an object such as {{\"do\": \"kill\"}} is needed",
                kind(&other)
            )),
        }
    }

    fn take<T>(
        &mut self,
        key: &'static str,
        wanted: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, String> {
        self.asked.push(key);
        match self.fields.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(v) => match read(&v) {
                Some(read) => Ok(Some(read)),
                None => Err(format!("\"{key}\" is {v}, and has to be {wanted}")),
            },
        }
    }

    /// A text.
    pub(super) fn text(&mut self, key: &'static str) -> Result<Option<String>, String> {
        self.take(key, "a text", |v| v.as_str().map(str::to_owned))
    }

    /// A text that has to be there.
    pub(super) fn needed(&mut self, key: &'static str, such_as: &str) -> Result<String, String> {
        let found = self.text(key)?;
        found.ok_or_else(|| format!("\"{key}\" is missing: say which, such as {such_as}"))
    }

    /// A number from 1 to `most`.
    pub(super) fn count(&mut self, key: &'static str, most: u32) -> Result<Option<u32>, String> {
        let wanted = format!("a number from 1 to {most}");
        let read = |v: &Value| {
            let n = u32::try_from(v.as_u64()?).ok()?;
            (1..=most).contains(&n).then_some(n)
        };
        self.take(key, &wanted, read)
    }

    /// True or false.
    pub(super) fn flag(&mut self, key: &'static str) -> Result<Option<bool>, String> {
        self.take(key, "true or false", Value::as_bool)
    }

    /// A length of time.
    pub(super) fn time(&mut self, key: &'static str) -> Result<Option<Duration>, String> {
        let wanted = "a length of time such as \"500ms\", \"30s\", \"5m\" or \"1h\", at most a year";
        self.take(key, wanted, |v| duration(v.as_str()?))
    }

    /// Any document.
    pub(super) fn any(&mut self, key: &'static str) -> Result<Option<Value>, String> {
        self.take(key, "", |v| Some(v.clone()))
    }

    /// Refuses what nobody asked for.
    pub(super) fn nothing_else(&self) -> Result<(), String> {
        let Some(left) = self.fields.keys().next() else {
            return Ok(());
        };
        Err(format!(
            "\"{left}\" means nothing here; there is {}",
            self.asked.join(", ")
        ))
    }
}

fn kind(v: &Value) -> &'static str {
    match v {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Reads `500ms`, `30s`, `5m` or `1h`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(split);
    let number: u64 = number.trim().parse().ok()?;
    let ms = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    let ms = number.checked_mul(ms)?;
    (ms <= 366 * 24 * 3_600_000).then(|| Duration::from_millis(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_have_a_unit_and_an_end() {
        let read = |text: &str| duration(text).map(|d| d.as_millis());
        assert_eq!(read("500ms"), Some(500));
        assert_eq!(read("30s"), Some(30_000));
        assert_eq!(read("2h"), Some(7_200_000));
        for bad in [
            "",
            "30",
            "s",
            "-1s",
            "1.5s",
            "9999999999999999999s",
            "400000h",
            "1 week",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
