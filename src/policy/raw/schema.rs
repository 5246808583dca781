//! The JSON Schema of a policy file, and the list of its fields.

use super::PolicyFile;

/// Every field of a policy file by its path, such as `spec.target.tasks.minAge`.
pub fn field_paths() -> Vec<String> {
    /// `within` are the declarations on the way here: one that holds itself is not entered again.
    fn walk<'s>(
        schema: &'s serde_json::Value,
        root: &'s serde_json::Value,
        path: &str,
        within: &[&'s str],
        out: &mut Vec<String>,
    ) {
        if let Some(name) = schema.get("$ref").and_then(|r| r.as_str()) {
            let target = name.rsplit('/').next().and_then(|n| root["$defs"].get(n));
            if within.contains(&name) {
                return;
            }
            let within = [within, &[name]].concat();
            return target.into_iter().for_each(|t| walk(t, root, path, &within, out));
        }
        for part in ["items", "anyOf"] {
            match schema.get(part) {
                Some(serde_json::Value::Array(list)) => {
                    list.iter().for_each(|s| walk(s, root, path, within, out));
                }
                Some(one) => walk(one, root, path, within, out),
                None => {}
            }
        }
        if let Some(serde_json::Value::Object(fields)) = schema.get("properties") {
            for (key, value) in fields {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                out.push(path.clone());
                walk(value, root, &path, within, out);
            }
        }
    }
    let root = schema_value();
    let mut out = vec![];
    walk(&root, &root, "", &[], &mut out);
    out
}

fn schema_value() -> serde_json::Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12();
    let mut value = settings
        .into_generator()
        .into_root_schema_for::<PolicyFile>()
        .to_value();
    without_null(&mut value);
    value
}

/// A field may be left out but never be empty; schemars says "or null" of everything optional.
fn without_null(value: &mut serde_json::Value) {
    use serde_json::Value;
    let is_null = |v: &Value| v.get("type").is_some_and(|t| t == "null") || v.is_null();
    match value {
        Value::Object(map) => {
            if let Some(Value::Array(types)) = map.get_mut("type") {
                types.retain(|t| t != "null");
                if types.len() == 1 {
                    let only = types.remove(0);
                    map.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(any)) = map.get_mut("anyOf") {
                any.retain(|s| !is_null(s));
                if any.len() == 1
                    && let Some(Value::Object(only)) = any.pop()
                {
                    map.remove("anyOf");
                    map.extend(only);
                }
            }
            if let Some(Value::Array(words)) = map.get_mut("enum") {
                words.retain(|w| !w.is_null());
            }
            map.remove("format");
            map.values_mut().for_each(without_null);
        }
        Value::Array(list) => list.iter_mut().for_each(without_null),
        _ => {}
    }
}

/// `policies/schema.json`: JSON Schema of a policy file, for editors.
///
/// # Panics
///
/// Never: a schema is plain data.
pub fn schema() -> String {
    let mut text = serde_json::to_string_pretty(&schema_value()).expect("a schema is plain data");
    text.push('\n');
    text
}
