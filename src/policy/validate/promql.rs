//! As much of PromQL as it takes to see how far a query looks back.

use std::time::Duration;

/// The longest range `[5m]` (or subquery `[1h:1m]`) of a PromQL text; what stands in quotes is no range.
pub(super) fn longest_window(query: &str) -> Option<Duration> {
    let mut ranges = vec![];
    let (mut quote, mut range) = (None, None::<String>);
    let mut characters = query.chars();
    while let Some(c) = characters.next() {
        match (quote, &mut range) {
            (Some(mark), _) => match c {
                '\\' if mark != '`' => {
                    characters.next();
                }
                c if c == mark => quote = None,
                _ => {}
            },
            (None, _) if matches!(c, '"' | '\'' | '`') => quote = Some(c),
            (None, None) if c == '[' => range = Some(String::new()),
            (None, Some(text)) if c == ']' => {
                ranges.extend(prometheus_duration(text.split(':').next().unwrap_or("")));
                range = None;
            }
            (None, Some(text)) => text.push(c),
            (None, None) => {}
        }
    }
    ranges.into_iter().max()
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
}
