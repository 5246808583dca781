//! A report as Markdown: plain enough for a terminal, a pull request and chat.

use super::page::{Block, Cell, Mark, Page, Table};
use crate::model::text::clean;

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
                        out.push_str(&format!("- {}\n", line(item)));
                    }
                    out.push('\n');
                }
                Block::Table(rows) => table(&mut out, rows),
                Block::Chart { words, hint: _ } => {
                    out.push_str(&format!("![{}](chart.svg)\n\n", escape(words)))
                }
            }
        }
    }
    out.push_str(&format!("---\n\n{}\n", escape(&page.footer)));
    out
}

fn paragraph(out: &mut String, text: &str) {
    out.push_str(&line(text));
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
    let mut out = String::with_capacity(text.len() + 8);
    for c in clean(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

/// [`escape`], and at the start of a line nothing becomes a heading, a quote or a list either.
fn line(text: &str) -> String {
    let text = escape(text.trim_start());
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    match text.as_bytes().get(digits) {
        Some(b'#' | b'+' | b'-' | b'=' | b'>') if digits == 0 => format!("\\{text}"),
        Some(b'.' | b')') if digits > 0 && text.as_bytes().get(digits + 1) == Some(&b' ') => {
            format!("{}\\{}", &text[..digits], &text[digits..])
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::report::Form;
    use crate::report::{sample, text};

    #[test]
    fn text_of_strangers_stays_text() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            assert_eq!(escape(text), expected);
        }
        check("a|b", r"a\|b");
        check("[x](http://evil)", r"\[x\](http://evil)");
        check("<script>", "&lt;script>");
        check("# inside a cell", "# inside a cell");
        check("`x` *y* _z_ ~w~", r"\`x\` \*y\* \_z\_ \~w\~");
        assert_eq!(line("# no heading\n- no list"), r"\# no heading - no list");
        assert_eq!(line(" > no quote"), r"\> no quote");
        assert_eq!(line("1. no list"), r"1\. no list");
        assert_eq!(line("5.3 s is a number"), "5.3 s is a number");
        assert_eq!(inline(&Cell::Code("a`|b".into())), r"a\`\|b");
    }

    #[test]
    fn a_hostile_name_makes_no_row_and_no_heading() {
        let text = text(&sample::hostile(), Form::Markdown);
        assert!(!text.contains("\n# evil") && !text.contains("<script"), "{text}");
        for line in text.lines().filter(|l| l.starts_with("| ")) {
            let bars = line.replace(r"\|", "").matches('|').count();
            assert!((4..=9).contains(&bars), "{line}");
        }
    }

    #[test]
    fn a_run_that_held_reads_well_from_the_top() {
        let text = text(&sample::held(), Form::Markdown);
        let top: Vec<_> = text.lines().take(9).collect();
        insta::assert_snapshot!(top.join("\n"), @r"
        # r-7Q2MK4XN · /shop/cart

        **✓ Held**

        Held. 3 kills of 1 of 12 tasks. Failing requests: 0.23 % after a kill, 0.08 % before; difference +0.15 points, 95 % sure it is below +0.42 (tolerated: +1).

        Stayed within limits: yes (peak 10 %, limit 1 %, 25 % for 5 s after a kill).

        Caused by the kill: not known yet, pair 1 of 5.
        ");
    }

    #[test]
    fn a_run_that_was_stopped_leads_with_its_speed() {
        let text = text(&sample::disproved(), Form::Markdown);
        let (_, speed) = text.split_once("## Speed of stopping\n\n").unwrap();
        let (speed, _) = speed.split_once("## ").unwrap();
        insta::assert_snapshot!(speed, @r"
        **5.3 s from the first bad sample to the last moment a kill of ours could take effect.**

        - Aborted because: probe cart-edge stayed above its limit: 100 % of the evidence needed
        - First bad sample: 14:04:02.000 UTC (probe cart-edge)
        - Abort journalled: 14:04:07.304 UTC
        - Last kill to the abort: 5.9 s
        - Last possible effect of a kill: 14:04:07.304 UTC
        - Breach to closed fence: 412 µs inside the process, then no kill request can leave
        - Kill requests after the breach: ✓ 0
        ");
        let (_, recovery) = text.split_once("## Recovery of each kill\n\n").unwrap();
        let (recovery, _) = recovery.split_once("## ").unwrap();
        insta::assert_snapshot!(recovery, @r"
        **Capacity restored: median 19.4 s, worst > 309 s (2 kills, 1 not seen to the end).**

        - Victim gone: median 0.9 s, worst 1.1 s (2 kills).
        - Replacement running: median 6.1 s, worst > 309 s (2 kills, 1 not seen to the end).
        - Steady again: median 51 s, worst > 309 s (2 kills, 1 not seen to the end).

        When replacements were in rotation is unknown: no probe looked at the servers of a load balancer before the kill.

        | Step | Killed (UTC) | Tasks | Gone | Replacement runs | In rotation | Capacity restored | Steady again |
        | --- | --- | --- | --- | --- | --- | --- | --- |
        | 1 | 14:03:03.200 | 1 | 0.9 s | 6.1 s | unknown | 19.4 s | 51 s |
        | 2 | 14:04:01.400 | 1 | 1.1 s | ○ > 309 s | unknown | ○ > 309 s | ○ > 309 s |

        Times count from the answer to the kill request. “> 300 s” means: not reached in the 300 s that were watched; such a time counts for a median for as long as it was watched (Kaplan and Meier).
        ");
    }
}
