//! What every drawing is made of.

use crate::model::text::escape;
use std::fmt::Write;

/// Words at a place.
pub(super) fn text(body: &mut String, class: &str, x: f64, y: f64, words: &str) {
    let _ = writeln!(
        body,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>",
        escape(words)
    );
}

/// A line or an area; nothing where there is nothing to draw.
pub(super) fn path(body: &mut String, class: &str, d: &str) {
    if !d.is_empty() {
        let _ = writeln!(body, "<path class=\"{class}\" d=\"{d}\"/>");
    }
}
