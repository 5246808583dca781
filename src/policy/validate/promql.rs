//! As much of PromQL as it takes to see how far a query looks back, and whether a text is a selector.

use std::time::Duration;

/// A PromQL text without its comments, and with nothing left of what stands in quotes but the quotes.
fn bare(query: &str) -> String {
    let mut bare = String::new();
    let mut characters = query.chars();
    while let Some(c) = characters.next() {
        match c {
            '#' => {
                characters.by_ref().find(|c| *c == '\n');
                bare.push('\n');
            }
            '"' | '\'' | '`' => {
                bare.extend(['"', '"']);
                while let Some(inner) = characters.next().filter(|inner| *inner != c) {
                    if inner == '\\' && c != '`' {
                        characters.next();
                    }
                }
            }
            c => bare.push(c),
        }
    }
    bare
}

/// The longest range `[5m]` (or subquery `[1h:1m]`) of a PromQL text; what stands in quotes or in a comment is no range.
pub(super) fn longest_window(query: &str) -> Option<Duration> {
    let bare = bare(query);
    let ranges = bare.split('[').skip(1);
    ranges
        .filter_map(|text| {
            let text = text.split(']').next().unwrap_or("");
            prometheus_duration(text.split(':').next().unwrap_or(""))
        })
        .max()
}

/// Whether a query asks of another time than now: `offset 1h`, `@ 1600000000`.
pub(super) fn is_of_another_time(query: &str) -> bool {
    let mut outside = String::new();
    let mut depth = 0_u32;
    for c in bare(query).chars() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            c if depth == 0 => outside.push(c),
            _ => {}
        }
    }
    let mut words = outside.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | ':')));
    outside.contains('@') || words.any(|word| word.eq_ignore_ascii_case("offset"))
}

/// Whether a text is the selector of some series and nothing else: `up`, `up{job="a"}`, `{job="a"}`. Of anything else
/// `timestamp()` gives the moment of the evaluation, however old the series is (Prometheus' documentation of it).
pub(super) fn is_selector(text: &str) -> bool {
    let bare = bare(text);
    // A comment would take with it what is written around the selector.
    if bare.contains('\n') {
        return false;
    }
    let (name, labels) = match bare.split_once('{') {
        Some((name, rest)) => (name, rest.trim_end().strip_suffix('}')),
        None => (bare.as_str(), Some("")),
    };
    let (name, Some(labels)) = (name.trim(), labels) else {
        return false;
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
    let is_label = |c: char| is_name(c) || c.is_whitespace() || matches!(c, '=' | '!' | '~' | ',' | '"');
    name.chars().all(is_name)
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && labels.chars().all(is_label)
        && !(name.is_empty() && labels.trim().is_empty())
}

/// `5m`, `1h30m`, `1d`, `1w`, `1y`, `300` (seconds), by Prometheus' grammar; one that can't be read is
/// as long as can be.
fn prometheus_duration(text: &str) -> Option<Duration> {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let (mut total, mut rest) = (0_u64, text.as_str());
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number: u64 = rest[..digits].parse().ok().unwrap_or(u64::MAX);
        rest = &rest[digits..];
        let letters = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let unit = match &rest[..letters] {
            "ms" => 1,
            "s" | "" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            "y" => 31_536_000_000,
            _ => u64::MAX,
        };
        if digits == 0 && letters == 0 {
            return Some(Duration::MAX);
        }
        total = total.saturating_add(number.saturating_mul(unit));
        rest = &rest[letters..];
    }
    Some(Duration::from_millis(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_range_of_a_query_is_found() {
        let seconds = |query: &str| longest_window(query).map(|d| d.as_millis());
        for (query, expected) in [
            ("up", None),
            ("rate(x[5m])", Some(300_000)),
            (
                "sum(rate(x{code=~\"[5]..\"}[1s])) / sum(rate(x[2s]))",
                Some(2_000),
            ),
            ("max_over_time(x[1h30m:1m])", Some(5_400_000)),
            ("rate(x[500ms])", Some(500)),
            ("rate(x[ 10 ])", Some(10_000)),
            ("x{a='[9h]', b=`\\`}[1s]", Some(1_000)),
            ("x{a=\"\\\"[9h]\"}[1s]", Some(1_000)),
        ] {
            assert_eq!(seconds(query), expected, "{query}");
        }
        assert!(longest_window("rate(x[$__interval])").unwrap() > Duration::from_secs(1_000_000));
    }

    #[test]
    fn what_stands_in_a_comment_hides_nothing() {
        let hidden = "# the app's errors\nsum(rate(x[5m])) / sum(rate(y[1s]))";
        assert_eq!(longest_window(hidden), Some(Duration::from_secs(300)));
        assert_eq!(
            longest_window("rate(x[1s]) # not [5m]"),
            Some(Duration::from_secs(1))
        );
    }

    #[test]
    fn a_query_of_another_time_is_seen() {
        for query in [
            "sum(rate(x[1s] offset 1h))",
            "x OFFSET -5m",
            "x @ 1600000000",
            "x{a=\"b\"} offset 1w",
        ] {
            assert!(is_of_another_time(query), "{query}");
        }
        for query in [
            "x{offset=\"@\"}",
            "offsets_total",
            "x{a=\"offset 1h\"} # offset 1h",
            "rate(x[1s])",
        ] {
            assert!(!is_of_another_time(query), "{query}");
        }
    }

    #[test]
    fn only_the_selector_of_series_is_one() {
        for text in [
            "up",
            "job:errors:rate1m",
            "up{job=\"a(b)\", code=~'5..'}",
            "{__name__=\"up\"}",
            " up { job != \"a\" } ",
        ] {
            assert!(is_selector(text), "{text}");
        }
        for text in [
            "",
            "{}",
            "vector(1)",
            "sum(up)",
            "up[5m]",
            "up offset 1h",
            "up @ 5",
            "up + up",
            "1up",
            "x)) or vector(0) or max((x",
            "up{job=\"a\"} > 0",
            "up{job=\"a\"",
            "up # all of them",
        ] {
            assert!(!is_selector(text), "{text}");
        }
    }
}
