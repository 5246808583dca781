//! Changes single values in the text of a policy file and leaves everything else, comments too, as it was written.
//!
//! Works on places, not on a tree: what can't be done so is refused, never guessed. Whoever calls it reads the result
//! again and compares what it means.

use super::yaml::{self, Kind, Node};
use std::path::Path;

/// One step of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A field.
    Field(&'static str),
    /// An entry of a list, from 0.
    Entry(usize),
}

/// A value to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// Where: the last step is a field. Groups of fields that it is in are added where they are not written.
    pub path: Vec<Step>,
    /// As it stands in the file.
    pub value: String,
}

/// The text with all values written.
///
/// # Errors
///
/// A sentence, when a place can't be found or is written in a form that is not changed here. Nothing was changed then.
pub fn edited(text: &str, edits: &[Edit]) -> Result<String, String> {
    let (scribe, node) = yaml::read_bytes(Path::new("policy"), text.as_bytes(), false);
    let root = node
        .filter(|_| scribe.is_clean())
        .ok_or("the file can't be read")?;
    let mut changes = edits
        .iter()
        .map(|edit| change(text, &root, edit))
        .collect::<Result<Vec<_>, _>>()?;
    // From the end, so that places before stay what they are.
    changes.sort_by_key(|change| std::cmp::Reverse(change.from));
    let mut text = text.to_owned();
    for Change { from, to, with } in changes {
        text.replace_range(from..to, &with);
    }
    Ok(text)
}

struct Change {
    from: usize,
    to: usize,
    with: String,
}

fn change(text: &str, root: &Node, edit: &Edit) -> Result<Change, String> {
    let (last, parents) = edit.path.split_last().ok_or("no place was named")?;
    let Step::Field(last) = last else {
        return Err("only fields are written".into());
    };
    let (mut field, mut value) = (last, edit.value.clone());
    let (mut parent, mut parents) = (root, parents);
    for (depth, step) in parents.iter().enumerate() {
        let next = match (step, &parent.kind) {
            (Step::Field(name), _) => parent.get(name),
            (Step::Entry(index), Kind::List(entries)) => entries.get(*index),
            (Step::Entry(_), _) => None,
        };
        if let Some(next) = next {
            parent = next;
            continue;
        }
        for missing in parents[depth..].iter().rev() {
            let Step::Field(name) = missing else {
                return Err(format!("{} is not written in the file", in_words(&edit.path)));
            };
            value = format!("{{ {field}: {value} }}");
            field = name;
        }
        parents = &parents[..depth];
        break;
    }
    if let Some(node) = parent.get(field) {
        let Kind::Scalar { text: old, .. } = &node.kind else {
            return Err(format!("{} is not a single value", in_words(&edit.path)));
        };
        let from = offset(text, node.at.line, node.at.column).ok_or("a place is not in the file")?;
        // What stands there has to be what was read: an escape or a fold would make them differ.
        let as_written = [old.clone(), format!("\"{old}\""), format!("'{old}'")]
            .into_iter()
            .find(|written| text[from..].starts_with(written.as_str()))
            .ok_or_else(|| format!("{} is written in an unusual way", in_words(&edit.path)))?;
        return Ok(Change {
            from,
            to: from + as_written.len(),
            with: value,
        });
    }
    let Kind::Map(entries) = &parent.kind else {
        return Err(format!("{} has no fields", in_words(parents)));
    };
    let start = offset(text, parent.at.line, parent.at.column).ok_or("a place is not in the file")?;
    if text[start..].starts_with('{') {
        let comma = if entries.is_empty() { " " } else { "," };
        return Ok(Change {
            from: start + 1,
            to: start + 1,
            with: format!(" {field}: {value}{comma}"),
        });
    }
    let (first, _) = entries.first().ok_or("a group of fields is empty")?;
    // An entry of a list begins with its name, and goes on beginning with it.
    let second = entries
        .get(1)
        .filter(|_| matches!(parents.last(), Some(Step::Entry(_))));
    let first = second.map_or(first, |(second, _)| second);
    let at = offset(text, first.at.line, first.at.column).ok_or("a place is not in the file")?;
    // Before that field, on a line of its own: what follows goes on at the same column.
    Ok(Change {
        from: at,
        to: at,
        with: format!("{field}: {value}\n{}", " ".repeat(first.at.column - 1)),
    })
}

/// The byte at which a line and a column (from 1, in characters) begin.
fn offset(text: &str, line: usize, column: usize) -> Option<usize> {
    let start: usize = text
        .split_inclusive('\n')
        .take(line.checked_sub(1)?)
        .map(str::len)
        .sum();
    let rest = text.get(start..)?;
    rest.char_indices()
        .map(|(at, _)| start + at)
        .chain([text.len()])
        .nth(column.checked_sub(1)?)
}

fn in_words(path: &[Step]) -> String {
    let words: Vec<String> = path
        .iter()
        .map(|step| match step {
            Step::Field(name) => (*name).to_owned(),
            Step::Entry(index) => format!("number {}", index + 1),
        })
        .collect();
    words.join(".")
}

#[cfg(test)]
mod tests {
    use super::Step::{Entry, Field};
    use super::*;

    fn edit(path: &[Step], value: &str) -> Edit {
        Edit {
            path: path.to_vec(),
            value: value.into(),
        }
    }

    #[test]
    fn a_value_is_replaced_and_comments_stay() {
        let text = "a:\n  # why\n  interval: 1s   # as agreed\n  ü: { max: 1%, hard: \"50%\" } # ä\n";
        let edits = [
            edit(&[Field("a"), Field("interval")], "250ms"),
            edit(&[Field("a"), Field("ü"), Field("max")], "2%"),
            edit(&[Field("a"), Field("ü"), Field("hard")], "60%"),
        ];
        assert_eq!(
            edited(text, &edits).unwrap(),
            "a:\n  # why\n  interval: 250ms   # as agreed\n  ü: { max: 2%, hard: 60% } # ä\n"
        );
    }

    #[test]
    fn a_missing_field_is_added_where_its_neighbours_are() {
        let text = "a:\n  probes:\n    - name: x # first\n      share: { }\n    - { name: y, share: { hard: 50% } }\n";
        let probe = |n, field| [Field("a"), Field("probes"), Entry(n), field];
        let edits = [
            edit(&[Field("a"), Field("interval")], "250ms"),
            edit(&probe(0, Field("extra")), "1"),
            edit(
                &[
                    Field("a"),
                    Field("probes"),
                    Entry(0),
                    Field("share"),
                    Field("max"),
                ],
                "2%",
            ),
            edit(
                &[
                    Field("a"),
                    Field("probes"),
                    Entry(1),
                    Field("share"),
                    Field("max"),
                ],
                "5%",
            ),
        ];
        let new = edited(text, &edits).unwrap();
        assert_eq!(
            new,
            "a:\n  interval: 250ms\n  probes:\n    - name: x # first\n      extra: 1\n      share: { max: 2%  }\n    - { name: y, share: { max: 5%, hard: 50% } }\n"
        );
        assert!(
            yaml::read_bytes(Path::new("p"), new.as_bytes(), false)
                .0
                .is_clean()
        );
    }

    #[test]
    fn a_group_that_is_not_written_is_added_whole() {
        let text = "a:\n  probes:\n    - name: x\n      role: abort\n    - { name: y }\n";
        let max = |n| {
            let path = [
                Field("a"),
                Field("probes"),
                Entry(n),
                Field("share"),
                Field("max"),
            ];
            edit(&path, "2%")
        };
        assert_eq!(
            edited(text, &[max(0), max(1)]).unwrap(),
            "a:\n  probes:\n    - name: x\n      share: { max: 2% }\n      role: abort\n    - { share: { max: 2% }, name: y }\n"
        );
    }

    #[test]
    fn what_is_not_there_or_strange_is_refused() {
        for (path, expected) in [
            (
                vec![Field("b"), Entry(0), Field("c")],
                "is not written in the file",
            ),
            (
                vec![Field("a"), Entry(3), Field("c")],
                "is not written in the file",
            ),
            (vec![Field("a"), Field("list")], "is not a single value"),
            (vec![Field("a"), Field("odd")], "is written in an unusual way"),
        ] {
            let text = "a:\n  list: [1]\n  odd: \"\\x41\"\n";
            let said = edited(text, &[edit(&path, "1")]).unwrap_err();
            assert!(said.contains(expected), "{said}");
        }
        assert!(edited("a: [", &[]).is_err());
    }
}
