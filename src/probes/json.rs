//! What a JSON body has to say.

use crate::model::experiment::{JsonRule, JsonWant};
use serde_json::Value;
use serde_json_path::JsonPath;

/// A rule whose path has been read.
pub(super) struct Rule {
    path: JsonPath,
    rule: JsonRule,
}

impl Rule {
    pub fn new(rule: &JsonRule) -> Result<Self, String> {
        let path = JsonPath::parse(&rule.path)
            .map_err(|error| format!("`{}` is no JSON path: {error}", rule.path))?;
        let rule = rule.clone();
        Ok(Self { path, rule })
    }

    /// Whether a body is as wanted.
    ///
    /// # Errors
    ///
    /// When it can't be said: it is no JSON, or there is nothing at the path (unless just that was
    /// the question), or no number where one is compared.
    pub fn fits(&self, body: &str) -> Result<bool, String> {
        let body: Value =
            serde_json::from_str(body).map_err(|error| format!("the body is not JSON: {error}"))?;
        let found = self.path.query(&body).all();
        if let JsonWant::Exists(wanted) = self.rule.want {
            return Ok(found.is_empty() != wanted);
        }
        if found.is_empty() {
            return Err(format!("nothing is at {}", self.rule.path));
        }
        let fits: Result<Vec<bool>, String> = found.into_iter().map(|value| self.one(value)).collect();
        Ok(fits?.into_iter().all(|fits| fits))
    }

    fn one(&self, value: &Value) -> Result<bool, String> {
        match &self.rule.want {
            JsonWant::Equals(wanted) => Ok(same(value, wanted)),
            JsonWant::In(wanted) => Ok(wanted.iter().any(|wanted| same(value, wanted))),
            JsonWant::Range { min, max } => {
                let number = value
                    .as_f64()
                    .ok_or_else(|| format!("what is at {} is not a number", self.rule.path))?;
                Ok(min.as_ref().is_none_or(|min| number >= min.as_f64())
                    && max.as_ref().is_none_or(|max| number <= max.as_f64()))
            }
            JsonWant::Exists(_) => Ok(true),
        }
    }
}

/// Equality of JSON values in which 1 and 1.0 are the same number.
fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a.total_cmp(&b).is_eq() || a == b,
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::experiment::Decimal;
    use serde_json::json;

    fn fits(path: &str, want: JsonWant, body: &str) -> Result<bool, String> {
        let path = path.to_owned();
        Rule::new(&JsonRule { path, want }).unwrap().fits(body)
    }

    fn range(min: &str, max: &str) -> JsonWant {
        JsonWant::Range {
            min: Decimal::parse(min),
            max: Decimal::parse(max),
        }
    }

    #[test]
    fn values_are_compared_as_json() {
        let body = r#"{"status":"ok","n":3,"deep":[{"v":1.0},{"v":2}],"on":true}"#;
        for (path, want, expected) in [
            ("$.status", JsonWant::Equals(json!("ok")), true),
            ("$.status", JsonWant::Equals(json!("OK")), false),
            ("$.n", JsonWant::Equals(json!("3")), false),
            ("$.n", JsonWant::Equals(json!(3.0)), true),
            ("$.on", JsonWant::Equals(json!(true)), true),
            ("$.status", JsonWant::In(vec![json!("warn"), json!("ok")]), true),
            ("$.deep[*].v", range("1", "2"), true),
            ("$.deep[*].v", range("1.5", "2"), false),
            ("$.n", range("4", ""), false),
            ("$.n", range("", "4"), true),
            ("$.error", JsonWant::Exists(false), true),
            ("$.status", JsonWant::Exists(false), false),
            ("$.error", JsonWant::Exists(true), false),
        ] {
            assert_eq!(fits(path, want.clone(), body), Ok(expected), "{path} {want:?}");
        }
    }

    #[test]
    fn what_cannot_be_compared_is_no_answer() {
        for (body, words) in [
            ("<html>", "not JSON"),
            ("{}", "nothing is at $.n"),
            (r#"{"n":"many"}"#, "not a number"),
        ] {
            let why = fits("$.n", range("1", "2"), body).unwrap_err();
            assert!(why.contains(words), "{why}");
        }
    }
}
