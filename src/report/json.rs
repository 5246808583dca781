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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

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
