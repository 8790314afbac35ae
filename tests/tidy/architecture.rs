//! Keeps ARCHITECTURE.md true where a test can: its length, the files of the walk, and the tests that hold the invariants.

use std::collections::BTreeSet;

use crate::{Breach, Source, circles, sources};

/// The most lines of the page: a newcomer reads it in ten minutes.
const LINES_MAX: usize = 200;

/// The most files in which a publication is followed.
const WALK_FILES_MAX: usize = 12;

/// The lines of the section with this title, each with its number.
fn section<'a>(text: &'a str, title: &str) -> Vec<(usize, &'a str)> {
    let lines = text.lines().enumerate().map(|(number, line)| (number + 1, line));
    let after = lines.skip_while(|(_, line)| line.trim_start_matches('#').trim() != title).skip(1);
    after.take_while(|(_, line)| !line.starts_with("## ")).collect()
}

/// What stands between the first backticks of a line.
fn code_of(line: &str) -> Option<&str> {
    line.split('`').nth(1)
}

fn length(source: &Source) -> Vec<Breach> {
    let lines = source.text.lines().count();
    let message =
        format!("{lines} lines are too many: keep the overview under {LINES_MAX}, move details to docs/");
    if lines > LINES_MAX { vec![Breach { line: LINES_MAX + 1, message }] } else { Vec::new() }
}

/// Finds files of the walk that do not exist, stand twice, are too many, or that no earlier file of the walk imports.
fn walk(source: &Source, imports: impl Fn(&str) -> Option<BTreeSet<String>>) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut walked: Vec<&str> = Vec::new();
    for (line, text) in section(&source.text, "The walk of a publication") {
        let is_step = text.split_once(". ").is_some_and(|(number, _)| number.parse::<usize>().is_ok());
        let Some(path) = code_of(text).filter(|_| is_step) else { continue };
        let mut breach = |message: String| breaches.push(Breach { line, message });
        if imports(path).is_none() {
            breach(format!("{path} is no file of this repository"));
        } else if walked.contains(&path) {
            breach(format!("{path} stands twice: a publication passes each file once"));
        } else if !walked.is_empty() && !walked.iter().any(|earlier| leads_to(&imports(earlier), path)) {
            breach(format!(
                "no file before it imports {path}: the walk leads downward, from caller to callee"
            ));
        }
        walked.push(path);
    }
    if walked.is_empty() || walked.len() > WALK_FILES_MAX {
        let message =
            format!("the walk has {} files; it has at least one and at most {WALK_FILES_MAX}", walked.len());
        breaches.push(Breach { line: 1, message });
    }
    breaches
}

/// Whether one of the `known` files is `path`, or the parent module of `path`, whose methods may stand in the child.
fn leads_to(known: &Option<BTreeSet<String>>, path: &str) -> bool {
    let parent = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let parents = [format!("{parent}.rs"), format!("{parent}/mod.rs")];
    known.iter().flatten().any(|file| file == path || parents.contains(file))
}

/// Finds invariants whose test does not exist; `is_test` knows the names of tests.
fn invariants(source: &Source, is_test: impl Fn(&str) -> bool) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let lines = section(&source.text, "Invariants").into_iter();
    let rows: Vec<_> = lines.filter(|(_, line)| line.starts_with("| ")).skip(2).collect();
    if rows.is_empty() {
        breaches.push(Breach { line: 1, message: "the section 'Invariants' has no rows".to_owned() });
    }
    for (line, row) in rows {
        let last = row.trim_end_matches([' ', '|']).rsplit('|').next().unwrap_or_default();
        let names: Vec<&str> = last.split('`').skip(1).step_by(2).collect();
        if names.is_empty() {
            breaches.push(Breach {
                line,
                message: "an invariant names the test that fails when it is broken".to_owned(),
            });
        }
        for name in names.into_iter().filter(|name| !is_test(name)) {
            breaches.push(Breach { line, message: format!("there is no test {name}") });
        }
    }
    breaches
}

fn is_page(source: &Source) -> bool {
    source.path == "ARCHITECTURE.md"
}

#[test]
fn the_overview_is_short() {
    crate::check(is_page, length);
}

#[test]
fn the_walk_leads_downward_through_files_that_exist() {
    let sources = sources().expect("the repository can be read");
    let edges = circles::rust_imports(&sources);
    let imports = |path: &str| {
        let exists = sources.iter().any(|source| source.path == path);
        exists.then(|| edges.get(path).cloned().unwrap_or_default())
    };
    crate::check(is_page, |source| walk(source, imports));
}

#[test]
fn every_invariant_has_its_test() {
    let sources = sources().expect("the repository can be read");
    let is_test = |name: &str| {
        let declared = format!("fn {name}(");
        sources.iter().any(|source| source.is(&["rs"]) && source.text.contains(&declared))
    };
    crate::check(is_page, |source| invariants(source, is_test));
}

#[test]
fn untrue_overview_is_found() {
    let can_fail = |rule: &dyn Fn(&Source) -> Vec<Breach>, good: &str, bad: &str, line, expected| {
        crate::check_can_fail(rule, "ARCHITECTURE.md", good, bad, line, expected);
    };
    can_fail(&length, "a\n", &"a\n".repeat(LINES_MAX + 1), LINES_MAX + 1, "too many");
    let imports = |path: &str| match path {
        "a.rs" => Some(BTreeSet::from(["b.rs".to_owned()])),
        "b.rs" | "c.rs" => Some(BTreeSet::new()),
        _ => None,
    };
    let page = |steps: &str| format!("## The walk of a publication\n\n{steps}\n## Next\n1. `x.rs`\n");
    let rule = |source: &Source| walk(source, imports);
    let good = page("1. `a.rs` reads\n2. `b.rs` writes\n");
    can_fail(&rule, &good, &page("1. `a.rs`\n2. `c.rs`\n"), 4, "no file before it imports c.rs");
    can_fail(&rule, &good, &page("1. `a.rs`\n2. `b.rs`\n3. `b.rs`\n"), 5, "stands twice");
    can_fail(&rule, &good, &page("1. `d.rs`\n"), 3, "no file of this repository");
    can_fail(&rule, &good, "## The walk\n", 1, "0 files");
    let rule = |source: &Source| invariants(source, |name| name == "one");
    let table = |row: &str| format!("## Invariants\n\n| invariant | test |\n| --- | --- |\n{row}\n");
    can_fail(&rule, &table("| it holds | `one` |"), &table("| it holds | `two` |"), 5, "no test two");
    can_fail(&rule, &table("| it holds | `one` |"), &table("| it holds | |"), 5, "names the test");
    can_fail(&rule, &table("| it holds | `one` |"), "## Invariants\n", 1, "no rows");
}
