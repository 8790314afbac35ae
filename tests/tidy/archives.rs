//! Keeps true which end-to-end tests run over one archive only: those that a table of TESTING.md names, and no others.
//!
//! This file knows how a test says that it does not run over the archive in memory. It does not know why.

use crate::rust::line_at;
use crate::{Breach, Source};

/// How a test says so.
const TEST: &str = "#[cfg_attr(feature = \"stepped-archive\", ignore = \"";

/// How a module says so.
const MODULE: &str = "#[cfg(not(feature = \"stepped-archive\"))]";

/// The end-to-end tests and modules that do not run over the archive in memory, with the reason of each.
pub(crate) fn exceptions(sources: &[Source]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for Source { text, .. } in sources.iter().filter(|source| source.path.starts_with("tests/e2e/")) {
        for (at, _) in text.match_indices(TEST) {
            let (reason, after) = text[at + TEST.len()..].split_once("\")]").unwrap_or_default();
            found.push((name_after(after, "fn "), reason.to_owned()));
        }
        for (at, _) in text.match_indices(MODULE) {
            found.push((name_after(&text[at + MODULE.len()..], "mod "), "is about the disk".to_owned()));
        }
    }
    found
}

fn name_after(text: &str, keyword: &str) -> String {
    let name = text.trim_start().strip_prefix(keyword).unwrap_or_default();
    name.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}

/// Compares the table with the tests.
pub(crate) fn table(page: &Source, exceptions: &[(String, String)]) -> Vec<Breach> {
    let cells = |line: &str| -> Option<(String, String)> {
        let mut cells = line.strip_prefix("| `")?.split('|');
        let name = cells.next()?.trim().trim_matches('`').to_owned();
        Some((name, cells.next()?.trim().to_owned()))
    };
    let begins = page.text.find("## Two archives").unwrap_or(page.text.len());
    let section = page.text[begins..].split("\n## ").next().unwrap_or_default();
    let rows: Vec<_> = section.lines().filter_map(cells).collect();
    let breach = |message: String| Breach { line: line_at(&page.text, begins), message };
    let unnamed = exceptions.iter().filter(|exception| !rows.contains(exception)).map(|(name, reason)| {
        breach(format!(
            "{name} does not run over the archive in memory ('{reason}'), and the table does not say so"
        ))
    });
    let stale = rows.iter().filter(|row| !exceptions.contains(row));
    let stale =
        stale.map(|(name, _)| breach(format!("{name} runs over both archives, or for another reason")));
    unnamed.chain(stale).collect()
}

/// Finds tests that are left out in any other way.
pub(crate) fn ignored(source: &Source) -> Vec<Breach> {
    let message =
        "every test runs; one that cannot run over the archive in memory says so as TESTING.md shows";
    let found = source.text.match_indices("ignore");
    let is_attribute = |at: &usize| {
        let line = source.text[..*at].rsplit('\n').next().unwrap_or_default().trim_start();
        line.starts_with("#[") && !source.text[..*at].ends_with(TEST.trim_end_matches("ignore = \""))
    };
    found
        .map(|(at, _)| at)
        .filter(is_attribute)
        .map(|at| Breach { line: line_at(&source.text, at), message: message.to_owned() })
        .collect()
}
