//! Offsets are compared, never computed: an archive gives them, and only the archive knows by how much they grow.
//!
//! This file knows where offsets are given, and which code only reads them. It does not know what the code does with them.

use crate::rust::{code_only, line_at};
use crate::{Breach, Source};

/// The sources that read offsets.
const READERS: [&str; 8] = [
    "protocol/src/",
    "broker/core/src/",
    "broker/formats/src/",
    "broker/src/",
    "client-sdk/",
    "cli/src/",
    "console/src/",
    "examples/",
];

/// The sources that give offsets, or bounds beside them.
const GIVERS: [&str; 3] = ["protocol/src/position.rs", "broker/src/store/", "broker/src/engine/stepped.rs"];

/// Returns whether the rule is for this file.
pub(crate) fn concerns(source: &Source) -> bool {
    let begins = |folders: &[&str]| folders.iter().any(|folder| source.path.starts_with(folder));
    let is_test = source.path.contains("/test") || source.path.contains("/dist/");
    begins(&READERS) && !begins(&GIVERS) && !is_test && source.is(&["rs", "ts", "tsx", "js", "mjs", "php"])
}

/// Finds sums and differences of offsets.
pub(crate) fn computed(source: &Source) -> Vec<Breach> {
    let code = if source.is(&["rs"]) { source.shipped_code() } else { code_only(&source.text) };
    let ends = code.match_indices("offset").map(|(at, word)| (at, at + word.len()));
    let is_computed = |&(at, end): &(usize, usize)| {
        let after = code[end..].trim_start();
        let arithmetic = ["saturating_", "checked_", "wrapping_", "abs_diff"];
        let is_operand = (after.starts_with(['+', '-']) && !after.starts_with("->"))
            || after
                .strip_prefix('.')
                .is_some_and(|method| arithmetic.iter().any(|name| method.starts_with(name)));
        let is_path = |letter: char| letter.is_alphanumeric() || "_.$?!".contains(letter);
        let before = code[..at].trim_end_matches(is_path);
        let is_whole_word =
            !code[end..].starts_with(|letter: char| letter.is_alphanumeric() || letter == '_');
        is_whole_word && (is_operand || before.ends_with("+ ") || before.ends_with("- "))
    };
    let message =
        "offsets are compared, never computed: use Position::bound_before or bound_after for a bound";
    ends.filter(is_computed)
        .map(|(at, _)| Breach { line: line_at(&code, at), message: message.to_owned() })
        .collect()
}
