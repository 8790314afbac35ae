//! Finds the valid key that looks most like a mistyped one.
//!
//! This file owns the measure only; it is told the candidates.

/// The candidate that looks most like `given`; the first of several that look equally alike, and the empty string if
/// there are none.
///
/// A key in the wrong section counts as close: only its last part is compared, at the price of one edit.
pub(super) fn nearest<'a>(given: &str, candidates: impl Iterator<Item = &'a str>) -> &'a str {
    candidates.min_by_key(|candidate| distance(given, candidate)).unwrap_or_default()
}

fn distance(given: &str, candidate: &str) -> usize {
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    edits(given, candidate).min(edits(&last(given), &last(candidate)) + 1)
}

/// The number of characters to insert, remove or replace to make `left` into `right` (Levenshtein's distance), counted
/// row by row over the table of all prefixes.
fn edits(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, from) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, to) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 4] = ["listen", "limits.message_bytes_max", "limits.outbox_bytes_max", "log.format"];

    #[test]
    fn edits_count_insertions_removals_and_replacements() {
        for (left, right, expected) in
            [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("mesage", "message", 1)]
        {
            assert_eq!(edits(left, right), expected, "{left} -> {right}");
        }
    }

    #[test]
    fn mistyped_key_finds_its_neighbour() {
        for (given, expected) in [
            ("lissten", "listen"),
            ("limits.mesage_bytes_max", "limits.message_bytes_max"),
            ("limit.outbox_bytes_max", "limits.outbox_bytes_max"),
        ] {
            assert_eq!(nearest(given, KEYS.into_iter()), expected);
        }
    }

    #[test]
    fn key_in_the_wrong_section_finds_its_home() {
        assert_eq!(nearest("outbox_bytes_max", KEYS.into_iter()), "limits.outbox_bytes_max");
        assert_eq!(nearest("server.format", KEYS.into_iter()), "log.format");
    }
}
