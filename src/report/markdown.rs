//! A report as Markdown: plain enough for a terminal, a pull request and chat.

use super::page::{Block, Cell, Mark, Page, Table};
use super::words::clean;

pub(super) fn render(page: &Page) -> String {
    let mut out = format!(
        "# {}\n\n**{} {}**\n\n",
        escape(&page.title),
        shape(page.mark),
        escape(&page.badge)
    );
    paragraph(&mut out, &page.sentence);
    for line in &page.lines {
        paragraph(&mut out, line);
    }
    for section in &page.sections {
        out.push_str(&format!("## {}\n\n", section.title));
        for block in &section.blocks {
            match block {
                Block::Text(text) => paragraph(&mut out, text),
                Block::Strong(text) => out.push_str(&format!("**{}**\n\n", escape(text))),
                Block::Facts(facts) => {
                    for (label, cell) in facts {
                        out.push_str(&format!("- {label}: {}\n", inline(cell)));
                    }
                    out.push('\n');
                }
                Block::List(items) => {
                    for item in items {
                        out.push_str(&format!("- {}\n", escape(item)));
                    }
                    out.push('\n');
                }
                Block::Table(rows) => table(&mut out, rows),
                Block::Chart(words) => out.push_str(&format!("![{}](chart.svg)\n\n", escape(words))),
            }
        }
    }
    out.push_str(&format!("---\n\n{}\n", escape(&page.footer)));
    out
}

fn paragraph(out: &mut String, text: &str) {
    out.push_str(&escape(text));
    out.push_str("\n\n");
}

fn table(out: &mut String, table: &Table) {
    out.push_str(&format!(
        "| {} |\n|{}\n",
        table.head.join(" | "),
        " --- |".repeat(table.head.len())
    ));
    for row in &table.rows {
        let cells: Vec<_> = row.iter().map(inline).collect();
        out.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    out.push('\n');
}

fn inline(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) => escape(text),
        Cell::Word(Mark::Nothing, text) => escape(text),
        Cell::Word(mark, text) => format!("{} {}", shape(*mark), escape(text)),
        // A code span can't hold a backtick, and a table's cell no bar.
        Cell::Code(text) if text.contains(['`', '|']) || text.is_empty() => escape(text),
        Cell::Code(text) => format!("`{}`", clean(text)),
    }
}

/// A shape for each colour, for those who see no colours.
pub(super) fn shape(mark: Mark) -> &'static str {
    match mark {
        Mark::Good => "✓",
        Mark::Bad => "✕",
        Mark::Unsure => "○",
        Mark::Nothing => "·",
    }
}

/// Text that stays text: nothing in it becomes emphasis, a link with a hidden address, a cell or HTML.
fn escape(text: &str) -> String {
    let text = clean(text);
    let mut out = String::with_capacity(text.len() + 8);
    for (index, c) in text.char_indices() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' if index == 0 => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' => {
                out.push('\\');
                out.push(c);
            }
            '#' | '+' | '-' | '=' if index == 0 => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::{Format, render, sample};
    use super::*;

    #[test]
    fn text_of_strangers_stays_text() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            assert_eq!(escape(text), expected);
        }
        check("a|b", r"a\|b");
        check("[x](http://evil)", r"\[x\](http://evil)");
        check("<script>", "&lt;script>");
        check("# no heading\n- no list", r"\# no heading - no list");
        check("`x` *y* _z_ ~w~", r"\`x\` \*y\* \_z\_ \~w\~");
        assert_eq!(inline(&Cell::Code("a`|b".into())), r"a\`\|b");
    }

    #[test]
    fn a_hostile_name_makes_no_row_and_no_heading() {
        let text = render(&sample::hostile(), Format::Markdown);
        assert!(!text.contains("\n# evil") && !text.contains("<script"), "{text}");
        for line in text.lines().filter(|l| l.starts_with("| ")) {
            let bars = line.replace(r"\|", "").matches('|').count();
            assert!((4..=8).contains(&bars), "{line}");
        }
    }

    #[test]
    fn a_run_that_held_reads_well_from_the_top() {
        let text = render(&sample::held(), Format::Markdown);
        let top: Vec<_> = text.lines().take(9).collect();
        insta::assert_snapshot!(top.join("\n"), @"");
    }

    #[test]
    fn a_run_that_was_stopped_leads_with_its_speed() {
        let text = render(&sample::disproved(), Format::Markdown);
        let (_, speed) = text.split_once("## Speed of stopping\n\n").unwrap();
        let (speed, _) = speed.split_once("## ").unwrap();
        insta::assert_snapshot!(speed, @"");
        let (_, recovery) = text.split_once("## Recovery of each kill\n\n").unwrap();
        let (recovery, _) = recovery.split_once("## ").unwrap();
        insta::assert_snapshot!(recovery, @"");
    }
}
