//! The record itself.

use crate::model::report::{Report, SCHEMA};
use serde::Deserialize;

/// Pretty JSON with a newline at the end: people read it too, and `diff` wants lines.
pub(super) fn render(report: &Report) -> String {
    let mut text = serde_json::to_string_pretty(report).expect("a report is plain data");
    text.push('\n');
    text
}

/// Reads a `report.json`, for making the other forms again.
///
/// # Errors
///
/// A sentence, when the text is no report or one of another version of the form.
pub fn read(text: &str) -> Result<Report, String> {
    #[derive(Deserialize)]
    struct Head {
        schema: String,
    }
    let head: Head = serde_json::from_str(text)
        .map_err(|error| format!("this is not a report: {error}. A report is JSON with a field `schema`"))?;
    if head.schema != SCHEMA {
        return Err(format!(
            "this report has the form {:?} and this program reads {SCHEMA:?}: use the version of heartbreak that \
             its field `operator` names",
            head.schema
        ));
    }
    serde_json::from_str(text).map_err(|error| format!("this report is damaged: {error}"))
}

/// `policies/report-schema.json`: JSON Schema of a `report.json`, for whoever reads reports by program. Fields
/// that are not required are left out when there is nothing to say; further ones may come within a version.
///
/// # Panics
///
/// Never: a schema is plain data.
pub fn schema() -> String {
    let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
    let mut schema = settings
        .into_generator()
        .into_root_schema_for::<Report>()
        .to_value();
    schema["properties"]["schema"]["const"] = SCHEMA.into();
    let mut text = serde_json::to_string_pretty(&schema).expect("a schema is plain data");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;
    use std::fs;
    use std::path::Path;

    /// That reports fit it is judged in `report`, by a library that nobody here wrote.
    #[test]
    fn the_schema_on_disk_is_the_schema_of_the_types() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/report-schema.json");
        if std::env::var_os("HEARTBREAK_WRITE_SCHEMA").is_some() {
            fs::write(&path, schema()).unwrap();
        }
        let held = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            held == schema(),
            "policies/report-schema.json is behind: run this test with HEARTBREAK_WRITE_SCHEMA=1"
        );
        // What a reader has to rely on is promised, and what may be absent is not.
        let schema: serde_json::Value = serde_json::from_str(&held).unwrap();
        let required = schema["required"].as_array().unwrap();
        assert!(required.contains(&"verdict".into()) && !required.contains(&"stages".into()));
        assert_eq!(schema["properties"]["schema"]["const"], SCHEMA);
    }

    #[test]
    fn what_was_written_is_read_back() {
        for report in sample::all() {
            assert_eq!(read(&render(&report)).unwrap(), report);
        }
    }

    #[test]
    fn another_form_is_refused_by_name_and_not_misread() {
        let mut report = sample::held();
        report.schema = "heartbreak/report/v9".into();
        let error = read(&render(&report)).unwrap_err();
        assert!(
            error.contains("heartbreak/report/v9") && error.contains(SCHEMA),
            "{error}"
        );
        assert!(read("{}").unwrap_err().starts_with("this is not a report: "));
        assert!(
            read(r#"{"schema":"heartbreak/report/v1"}"#)
                .unwrap_err()
                .starts_with("this report is damaged: ")
        );
    }
}
