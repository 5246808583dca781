//! The pretend Slack as it looks on a terminal, and one keyboard.

use heartbreak_sim::slack::Message;
use serde_json::Value;
use std::io::BufRead;
use tokio::sync::mpsc;

/// Widest line inside the frame.
const WIDTH: usize = 104;
/// The people of the pretend workspace who appear in the story.
const PEOPLE: [(&str, &str); 3] = [
    ("<@U0ANA0001>", "@ana"),
    ("<@U0BEN0002>", "@ben"),
    ("<@U0CHO0003>", "@cho"),
];

/// A message in a frame, line by line.
pub fn framed(message: &Message) -> Vec<String> {
    let mut lines = vec![];
    for block in message.blocks.as_array().into_iter().flatten() {
        let text = |value: &Value| plain(value["text"].as_str().unwrap_or_default());
        match block["type"].as_str().unwrap_or_default() {
            "header" => lines.push(text(&block["text"]).to_uppercase()),
            "section" => {
                lines.extend(text(&block["text"]).lines().map(str::to_owned));
                for field in block["fields"].as_array().into_iter().flatten() {
                    let field = text(field);
                    let (label, value) = field.split_once('\n').unwrap_or((&field, ""));
                    let mut values = value.lines();
                    lines.push(format!("{label:<22} {}", values.next().unwrap_or_default()));
                    lines.extend(values.map(|more| format!("{:<22} {more}", "")));
                }
            }
            "context" => {
                lines.extend(block["elements"].as_array().into_iter().flatten().map(text));
            }
            "actions" => {
                let buttons = block["elements"].as_array().into_iter().flatten();
                let labels: Vec<String> = buttons.map(|b| format!("[ {} ]", text(&b["text"]))).collect();
                lines.push(labels.join("  "));
            }
            _ => {}
        }
    }
    let mut framed = vec![format!("┌─ Slack, #chaos {}", "─".repeat(40))];
    framed.extend(
        lines
            .iter()
            .flat_map(|line| wrapped(line))
            .map(|line| format!("│ {line}")),
    );
    framed.push(format!("└{}", "─".repeat(55)));
    framed
}

/// Slack's markup without its marks: `<!date^…|when>` reads *when*, `<@U0ANA0001>` reads @ana.
pub fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        out.push_str(&rest[..at]);
        let token = rest[at..]
            .find('>')
            .map_or(&rest[at..], |end| &rest[at..=at + end]);
        match PEOPLE.iter().find(|(id, _)| *id == token) {
            Some((_, name)) => out.push_str(name),
            None => {
                let inner = token.trim_matches(['<', '>']);
                out.push_str(inner.rsplit_once('|').map_or(inner, |(_, label)| label));
            }
        }
        rest = &rest[at + token.len()..];
    }
    out.push_str(rest);
    let quoted = out.lines().map(|line| {
        line.strip_prefix('>')
            .map_or(line.to_owned(), |said| format!("\"{said}\""))
    });
    let joined = quoted.collect::<Vec<_>>().join("\n");
    joined
        .replace(['*', '`'], "")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

fn wrapped(line: &str) -> Vec<String> {
    let indent = &line[..line.len() - line.trim_start().len()];
    let mut lines = vec![indent.to_owned()];
    for word in line.trim_start().split(' ') {
        let last = lines.last_mut().expect("there is always one");
        if !last.trim_start().is_empty() && last.chars().count() + word.chars().count() + 1 > WIDTH {
            lines.push(format!("{indent}  {word}"));
        } else {
            if !last.trim_start().is_empty() {
                last.push(' ');
            }
            last.push_str(word);
        }
    }
    lines
}

/// The lines that somebody types. One reader for the whole story, on a thread of its own that nobody has to
/// wait for at the end.
pub struct Keyboard(mpsc::Receiver<String>);

impl Keyboard {
    pub fn listen() -> Self {
        let (send, lines) = mpsc::channel(8);
        std::thread::spawn(move || {
            for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                if send.blocking_send(line).is_err() {
                    break;
                }
            }
        });
        Self(lines)
    }

    /// The next line; `None` when there is no terminal, or no more of it.
    pub async fn line(&mut self) -> Option<String> {
        self.0.recv().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_reads_as_words() {
        let text = "<@U0BEN0002> asks to kill *2 of 4* tasks of `/demo/cart`, until <!date^1790000000^{time}|14:13:20 UTC> &amp; no longer\n>why not";
        assert_eq!(
            plain(text),
            "@ben asks to kill 2 of 4 tasks of /demo/cart, until 14:13:20 UTC & no longer\n\"why not\""
        );
        assert_eq!(plain("<not closed"), "not closed");
    }
}
