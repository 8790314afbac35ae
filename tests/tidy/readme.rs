//! Keeps the snippets of the README true: each is a verbatim part of a file that a test runs.
//!
//! A snippet names its file in an HTML comment on the line before it, `<!-- from: PATH -->`, with blank lines between at
//! most. Up to two lines, such as one command, may stand without.

use crate::{Breach, Source};

/// The longest block that needs no file behind it.
const UNSOURCED_LINES_MAX: usize = 2;

/// Finds fenced blocks that are not, or not any more, a part of the file they name; `read` gives the text of a file.
pub(crate) fn snippets(source: &Source, read: impl Fn(&str) -> Option<String>) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut lines = source.text.lines().enumerate();
    let mut origin: Option<&str> = None;
    while let Some((number, line)) = lines.next() {
        let Some(fence) = fence(line) else {
            let comment = line.trim().strip_prefix("<!-- from:").and_then(|rest| rest.strip_suffix("-->"));
            origin = if line.trim().is_empty() { origin } else { comment.map(str::trim) };
            continue;
        };
        let mut block = String::new();
        let closed = lines.by_ref().map(|(_, line)| line).any(|line| {
            let end = line.trim() == fence;
            if !end {
                block.push_str(line);
                block.push('\n');
            }
            end
        });
        let message = if closed {
            judge(&block, origin.take(), &read)
        } else {
            Some("the block never ends".to_owned())
        };
        breaches.extend(message.map(|message| Breach { line: number + 1, message }));
    }
    breaches
}

/// The backticks that open a block on this line, which the same backticks alone will close.
fn fence(line: &str) -> Option<&str> {
    let ticks = line.len() - line.trim_start_matches('`').len();
    (ticks >= 3).then(|| &line[..ticks])
}

fn judge(block: &str, origin: Option<&str>, read: impl Fn(&str) -> Option<String>) -> Option<String> {
    let Some(path) = origin else {
        let lines = block.lines().count();
        return (lines > UNSOURCED_LINES_MAX).then(|| {
            format!(
                "a block of {lines} lines says where it comes from: put <!-- from: PATH --> before it, naming a file that \
                 a test runs and that holds these lines"
            )
        });
    };
    match read(path) {
        None => Some(format!("{path} cannot be read; name a file of this repository")),
        Some(text) if text.contains(block) => None,
        Some(_) => Some(format!("the block is not in {path} as it stands; copy it from there anew")),
    }
}
