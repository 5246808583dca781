//! A report as one HTML page: no network, no script, light and dark, phone and paper.

use super::markdown::shape;
use super::page::{Block, Cell, Mark, Page, Table};
use crate::model::text::escape;

const STYLE: &str = include_str!("report.css");

pub(super) fn render(page: &Page, chart: &str) -> String {
    let title = escape(&page.title);
    // The policy forbids what the page does not need, should a name ever get past `escape`.
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n\
         </head>\n<body>\n<main>\n<header>\n<p class=\"badge {}\">{} {}</p>\n<h1>{title}</h1>\n\
         <p class=\"lead\">{}</p>\n",
        class(page.mark),
        shape(page.mark),
        escape(&page.badge),
        escape(&page.sentence)
    );
    for line in &page.lines {
        out.push_str(&format!("<p class=\"line\">{}</p>\n", escape(line)));
    }
    out.push_str("</header>\n");
    for section in &page.sections {
        let title = format!("<h2>{}</h2>", escape(section.title));
        match &section.folded {
            Some(line) => out.push_str(&format!(
                "<section>\n<details>\n<summary>{title} <span>{}</span></summary>\n",
                escape(line)
            )),
            None => out.push_str(&format!("<section>\n{title}\n")),
        }
        for block in &section.blocks {
            block_html(&mut out, block, chart);
        }
        if section.folded.is_some() {
            out.push_str("</details>\n");
        }
        out.push_str("</section>\n");
    }
    out.push_str(&format!(
        "</main>\n<footer>{}</footer>\n</body>\n</html>\n",
        escape(&page.footer)
    ));
    out
}

fn block_html(out: &mut String, block: &Block, chart: &str) {
    match block {
        Block::Text(text) => out.push_str(&format!("<p>{}</p>\n", escape(text))),
        Block::Strong(text) => out.push_str(&format!("<p class=\"strong\">{}</p>\n", escape(text))),
        Block::Facts(facts) => {
            out.push_str("<dl>\n");
            for (label, cell) in facts {
                out.push_str(&format!("<dt>{}</dt><dd>{}</dd>\n", escape(label), inline(cell)));
            }
            out.push_str("</dl>\n");
        }
        Block::List(items) => {
            out.push_str("<ul>\n");
            for item in items {
                out.push_str(&format!("<li>{}</li>\n", escape(item)));
            }
            out.push_str("</ul>\n");
        }
        Block::Table(rows) => table(out, rows),
        Block::Chart { words, hint } => {
            out.push_str(&format!(
                "<p class=\"caption\">{}</p>\n<p class=\"caption hint\">{}</p>\n<div class=\"chart\" tabindex=\"0\">\n",
                escape(words),
                escape(hint)
            ));
            out.push_str(chart);
            out.push_str("</div>\n");
        }
    }
}

/// Every cell carries its column's name, so that a phone can show a row as a card.
fn table(out: &mut String, table: &Table) {
    out.push_str("<table>\n<thead><tr>");
    for name in &table.head {
        out.push_str(&format!("<th scope=\"col\">{}</th>", escape(name)));
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for row in &table.rows {
        out.push_str("<tr>");
        for (name, cell) in table.head.iter().zip(row) {
            out.push_str(&format!(
                "<td data-label=\"{}\">{}</td>",
                escape(name),
                inline(cell)
            ));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table>\n");
}

fn inline(cell: &Cell) -> String {
    match cell {
        // A number and its unit stay together.
        Cell::Text(text) if text.chars().count() <= 16 => {
            format!("<span class=\"short\">{}</span>", escape(text))
        }
        Cell::Text(text) => format!("<span>{}</span>", escape(text)),
        Cell::Code(text) => format!("<code>{}</code>", escape(text)),
        Cell::Word(Mark::Nothing, text) => format!("<span class=\"nothing\">{}</span>", escape(text)),
        Cell::Word(mark, text) => {
            let short = if text.chars().count() <= 16 { " short" } else { "" };
            format!(
                "<span class=\"{}{short}\">{} {}</span>",
                class(*mark),
                shape(*mark),
                escape(text)
            )
        }
    }
}

fn class(mark: Mark) -> &'static str {
    match mark {
        Mark::Good => "good",
        Mark::Bad => "bad",
        Mark::Unsure => "unsure",
        Mark::Nothing => "nothing",
    }
}

#[cfg(test)]
mod tests {
    use crate::model::report::Form;
    use crate::report::{sample, text};

    #[test]
    fn the_page_fetches_nothing_and_runs_nothing() {
        for report in sample::all() {
            let html = text(&report, Form::Html);
            for forbidden in [
                "<script", "<link", "<img", "<iframe", "src=", "href=", "@import", "url(http",
            ] {
                assert!(!html.contains(forbidden), "{forbidden} in {}", report.run);
            }
        }
    }

    #[test]
    fn a_hostile_name_stays_text_in_page_and_chart() {
        let report = sample::hostile();
        for form in [Form::Html, Form::Svg] {
            let text = text(&report, form);
            assert!(
                !text.contains("<script>alert") && !text.contains("\u{202e}"),
                "{form:?}"
            );
            assert!(
                text.contains("&lt;script&gt;alert"),
                "{form:?} shows what was there"
            );
        }
    }

    #[test]
    fn a_phone_is_told_that_the_abort_is_off_its_screen() {
        let html = text(&sample::disproved(), Form::Html);
        let hint = "<p class=\"caption hint\">Wider than this screen: scroll it sideways; the abort is at 14:04:07 UTC.</p>";
        assert!(html.contains(hint));
        assert!(html.contains(".hint { display: none; }"), "and nobody else is");
    }

    #[test]
    fn every_tag_that_opens_closes() {
        for report in sample::all() {
            for form in [Form::Html, Form::Svg] {
                balanced(&text(&report, form));
            }
        }
    }

    /// A small reader of our own output: tags nest, attributes are quoted.
    #[track_caller]
    fn balanced(html: &str) {
        let mut open: Vec<&str> = vec![];
        let mut rest = html;
        while let Some(start) = rest.find('<') {
            let end = start + rest[start..].find('>').expect("a tag ends");
            let tag = &rest[start + 1..end];
            rest = &rest[end + 1..];
            if tag.starts_with('!') || tag.ends_with('/') || tag.starts_with("meta") {
                continue;
            }
            let name = tag.split(' ').next().unwrap().trim_start_matches('/');
            if tag.starts_with('/') {
                assert_eq!(open.pop(), Some(name));
            } else {
                open.push(name);
                if name == "style" {
                    rest = &rest[rest.find("</style>").expect("a style ends")..];
                }
            }
        }
        assert!(open.is_empty(), "{open:?}");
    }
}
