//! What every page looks like, and the one place where text becomes markup.

use crate::model::ids::RunId;
use crate::model::plan::Plan;
use crate::model::text::escape;
use crate::model::verdict::HypothesisResult;
use std::fmt::Write;

const STYLE: &str = include_str!("ui.css");

/// What stands in a table, as markup.
pub(super) struct Cell(String);

impl From<String> for Cell {
    fn from(text: String) -> Self {
        if text.is_empty() {
            return Self::nothing();
        }
        // A time, a name, a number with its unit stay on one line.
        let short = if text.chars().count() <= 24 {
            " class=short"
        } else {
            ""
        };
        Self(format!("<span{short}>{}</span>", escape(&text)))
    }
}

impl Cell {
    /// A dash.
    pub fn nothing() -> Self {
        Self("<span class=soft>–</span>".into())
    }

    /// A run, with the way to its page.
    pub fn run(run: &RunId) -> Self {
        Self(link(&format!("/ui/runs/{}", encoded(run.as_str())), run.as_str()))
    }

    /// The apps of a plan, each with the way to its history.
    pub fn apps(plan: &Plan) -> Self {
        let apps = plan.apps.ids().map(|app| {
            let to = format!("/ui/history?app={}", encoded(app.as_str()));
            link(&to, app.as_str())
        });
        Self(format!("<span>{}</span>", apps.collect::<Vec<_>>().join(" ")))
    }

    /// What a run taught, told by a sign and a word, never by the colour alone.
    pub fn taught(hypothesis: HypothesisResult) -> Self {
        let (class, sign) = match hypothesis {
            HypothesisResult::Held => ("ok", "●"),
            HypothesisResult::Disproved => ("bad", "✕"),
            HypothesisResult::Inconclusive => ("unsure", "○"),
            HypothesisResult::NotTested => ("soft", "·"),
        };
        Self(format!(
            "<span class=\"{class} short\">{sign} {}</span>",
            escape(&hypothesis.to_string())
        ))
    }
}

/// A page that is being written.
pub(super) struct Page(String);

impl Page {
    /// With its title and the way back. A page about something that goes on comes again by itself.
    pub fn new(title: &str, again: bool) -> Self {
        let refresh = if again {
            "<meta http-equiv=refresh content=10>"
        } else {
            ""
        };
        let title = escape(title);
        Self(format!(
            "<!doctype html><html lang=en><meta charset=utf-8>\
             <meta name=viewport content=\"width=device-width, initial-scale=1\">\
             <meta name=color-scheme content=\"light dark\">{refresh}<title>{title}</title><style>{STYLE}</style>\
             <main><h1>{title}</h1>"
        ))
    }

    /// The way back to the first page.
    pub fn back(&mut self) {
        self.add(&format!("<p>{}", link("/ui", "← all runs and policies")));
    }

    /// What matters most, in one sentence.
    pub fn banner(&mut self, class: &str, text: &str) {
        self.add(&format!("<p class=\"banner {class}\">{}", escape(text)));
    }

    /// A heading.
    pub fn head(&mut self, text: &str) {
        self.add(&format!("<h2>{}</h2>", escape(text)));
    }

    /// A paragraph.
    pub fn line(&mut self, text: &str) {
        self.add(&format!("<p>{}", escape(text)));
    }

    /// A paragraph of less weight.
    pub fn soft(&mut self, text: &str) {
        self.add(&format!("<p class=soft>{}", escape(text)));
    }

    /// The way to somewhere else.
    pub fn way(&mut self, to: &str, text: &str) {
        self.add(&format!("<p>{}", link(to, text)));
    }

    /// Names and what is behind them.
    pub fn facts(&mut self, facts: Vec<(&str, Cell)>) {
        self.add("<dl>");
        for (name, cell) in facts {
            self.add(&format!("<dt>{}<dd>{}", escape(name), cell.0));
        }
        self.add("</dl>");
    }

    /// A picture that this program drew.
    pub fn chart(&mut self, svg: &str) {
        self.add(&format!("<div class=chart tabindex=0>{svg}</div>"));
    }

    /// A heading and a table, or that there is nothing. Every cell carries its column's name, so that a phone
    /// can show a row as a card.
    pub fn table(&mut self, title: &str, heads: &[&str], rows: Vec<Vec<Cell>>) {
        self.head(title);
        if rows.is_empty() {
            self.soft("None.");
            return;
        }
        self.add("<table><thead><tr>");
        for head in heads {
            self.add(&format!("<th scope=col>{}", escape(head)));
        }
        self.add("</thead><tbody>");
        for row in rows {
            self.add("<tr>");
            for (head, cell) in heads.iter().zip(row) {
                self.add(&format!("<td data-label=\"{}\">{}", escape(head), cell.0));
            }
        }
        self.add("</table>");
    }

    fn add(&mut self, markup: &str) {
        // Writing to a string cannot fail.
        let _ = self.0.write_str(markup);
    }

    /// The whole page.
    pub fn done(self) -> String {
        self.0 + "</main>"
    }
}

/// A time as the pages show it.
pub(super) fn time(at: chrono::DateTime<chrono::Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn link(to: &str, text: &str) -> String {
    format!("<a href=\"{}\">{}</a>", escape(to), escape(text))
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
