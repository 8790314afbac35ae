//! Finds import circles between source files: files that need each other cannot be read, tested or moved one at a time.
//!
//! An import leads from a file to the file that defines the imported item; re-exports are followed. A folder's `mod.rs` holds
//! the folder's main type, so an import between it and a file of its own folder is no edge. Test modules do not count.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Source, rust, sources};

/// The files of one crate, by module path: `["engine", "topic"]` for `src/engine/topic.rs`.
struct Crate<'a> {
    modules: BTreeMap<Vec<String>, Module<'a>>,
}

struct Module<'a> {
    path: &'a str,
    code: String,
    /// The paths that the file names, each relative to the crate's root.
    imports: Vec<Vec<String>>,
    /// The paths that the file names in other crates, each with the name of the crate first.
    foreign: Vec<Vec<String>>,
    /// Names that the file exports again, with the path of the original.
    exports: BTreeMap<String, Vec<String>>,
}

/// Finds every circle among the sources of the crates, each as the sorted list of its files.
pub(crate) fn rust_circles(sources: &[Source]) -> Vec<Vec<String>> {
    let is_apart = |one: &[String], other: &[String]| !one.starts_with(other) && !other.starts_with(one);
    by_crate(sources).into_values().flat_map(|files| circles(&Crate::read(&files).edges(is_apart))).collect()
}

fn by_crate(sources: &[Source]) -> BTreeMap<&str, Vec<&Source>> {
    let mut by_crate: BTreeMap<&str, Vec<&Source>> = BTreeMap::new();
    for source in sources.iter().filter(|source| source.is(&["rs"])) {
        if let Some((root, _)) = source.path.split_once("/src/").filter(|_| !source.is_test_module()) {
            by_crate.entry(root).or_default().push(source);
        }
    }
    by_crate
}

/// Which Rust file imports which, across crates too, and between a folder's `mod.rs` and its own files.
pub(crate) fn rust_imports(sources: &[Source]) -> BTreeMap<String, BTreeSet<String>> {
    let crates: BTreeMap<&str, Crate<'_>> =
        by_crate(sources).into_iter().map(|(root, files)| (root, Crate::read(&files))).collect();
    let mut edges = BTreeMap::new();
    for one in crates.values() {
        edges.extend(one.edges(|_, _| true));
        for module in one.modules.values() {
            let exports = module
                .exports
                .values()
                .filter_map(|path| Some(one.modules.get(&one.definition(path, 0)?)?.path.to_owned()));
            edges.entry(module.path.to_owned()).or_default().extend(exports);
            let files = module.foreign.iter().filter_map(|path| {
                let (_, root) = CRATES.iter().find(|(name, _)| *name == path[0])?;
                let other = crates.get(root)?;
                Some(other.modules.get(&other.definition(&path[1..], 0)?)?.path.to_owned())
            });
            edges.entry(module.path.to_owned()).or_default().extend(files);
        }
    }
    edges
}

/// The crates that others import, and their folders.
const CRATES: [(&str, &str); 4] = [
    ("fanwire_protocol", "protocol"),
    ("fanwire_core", "broker/core"),
    ("fanwire_broker", "broker"),
    ("fanwire_client", "client-sdk/rust"),
];

/// Finds every circle among the TypeScript sources.
pub(crate) fn typescript_circles(sources: &[Source]) -> Vec<Vec<String>> {
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources.iter().filter(|source| source.is(&["ts", "tsx"]) && source.path.contains("/src/")) {
        let folder = source.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let targets = source.text.match_indices("from '.").map(|(at, _)| {
            let name = source.text[at + 6..].split('\'').next().unwrap_or_default();
            joined(folder, name)
        });
        let known = |stem: &String| {
            sources.iter().find(|other| {
                let without = other.path.trim_end_matches(".tsx").trim_end_matches(".ts");
                without == stem && other.is(&["ts", "tsx"])
            })
        };
        let targets = targets.filter_map(|stem| known(&stem).map(|other| other.path.clone()));
        edges.entry(source.path.clone()).or_default().extend(targets);
    }
    circles(&edges)
}

/// The path without ending that `name` leads to from `folder`.
fn joined(folder: &str, name: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').collect();
    for part in name.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let path = parts.join("/");
    let endings = [".tsx", ".ts", ".js"];
    endings.iter().find_map(|ending| path.strip_suffix(ending)).unwrap_or(&path).to_owned()
}

impl<'a> Crate<'a> {
    fn read(files: &[&'a Source]) -> Self {
        let mut modules = BTreeMap::new();
        for source in files {
            let module = Module {
                path: &source.path,
                code: source.shipped_code(),
                imports: Vec::new(),
                foreign: Vec::new(),
                exports: BTreeMap::new(),
            };
            modules.insert(module_path(&source.path), module);
        }
        let names: BTreeSet<Vec<String>> = modules.keys().cloned().collect();
        for (place, module) in &mut modules {
            for import in uses(&module.code) {
                if import.path.first().is_some_and(|first| first.starts_with("fanwire_")) {
                    module.foreign.push(import.path);
                    continue;
                }
                let Some(path) = absolute(place, &import.path, &names) else { continue };
                if import.is_export {
                    module.exports.insert(import.name, path);
                } else {
                    module.imports.push(path);
                }
            }
            for path in inline_paths(&module.code) {
                module.imports.extend(absolute(place, &path, &names));
            }
        }
        Self { modules }
    }

    /// Which file imports which; `counts` decides between the modules of two files.
    fn edges(&self, counts: impl Fn(&[String], &[String]) -> bool) -> BTreeMap<String, BTreeSet<String>> {
        let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (place, module) in &self.modules {
            let targets = module.imports.iter().filter_map(|path| self.definition(path, 0));
            let targets = targets.filter(|target| target != place && counts(place, target));
            let paths = targets.filter_map(|target| Some(self.modules.get(&target)?.path.to_owned()));
            edges.entry(module.path.to_owned()).or_default().extend(paths);
        }
        edges
    }

    /// The module that defines what `path` names.
    fn definition(&self, path: &[String], depth: usize) -> Option<Vec<String>> {
        let length = (0..=path.len()).rev().find(|length| self.modules.contains_key(&path[..*length]))?;
        let exported = path.get(length).and_then(|name| self.modules[&path[..length]].exports.get(name));
        match exported {
            Some(original) if depth < 8 => self.definition(original, depth + 1),
            _ => Some(path[..length].to_vec()),
        }
    }
}

/// The module path of a file: `broker/src/engine/mod.rs` is `["engine"]`, `lib.rs` is the root.
fn module_path(path: &str) -> Vec<String> {
    let inside = path.split_once("/src/").map_or(path, |(_, inside)| inside).trim_end_matches(".rs");
    let mut parts: Vec<String> = inside.split('/').map(str::to_owned).collect();
    parts.pop_if(|last| ["mod", "lib", "main"].contains(&last.as_str()));
    parts
}

/// `path` from the root of the crate, as the module at `place` means it; `None` for other crates.
fn absolute(place: &[String], path: &[String], names: &BTreeSet<Vec<String>>) -> Option<Vec<String>> {
    let mut base = place.to_vec();
    let mut rest = path;
    match rest.first()?.as_str() {
        "crate" => (base, rest) = (Vec::new(), &rest[1..]),
        "self" => rest = &rest[1..],
        "super" => {
            while rest.first().is_some_and(|part| part == "super") {
                base.pop();
                rest = &rest[1..];
            }
        }
        first => {
            let child = [place, &[first.to_owned()]].concat();
            names.contains(&child).then_some(())?;
        }
    }
    base.extend_from_slice(rest);
    Some(base)
}

struct Use {
    path: Vec<String>,
    name: String,
    is_export: bool,
}

/// Every item that the `use` declarations of `code` name.
fn uses(code: &str) -> Vec<Use> {
    let mut found = Vec::new();
    for at in rust::words(code, "use") {
        let line_start = code[..at].rfind(['\n', ';', '}']).map_or(0, |before| before + 1);
        let before = code[line_start..at].trim();
        if !(before.is_empty() || before.starts_with("pub")) {
            continue;
        }
        let Some(end) = code[at..].find(';') else { continue };
        let mut leaves = Vec::new();
        expand(&code[at + 3..at + end], &[], &mut leaves);
        for (path, name) in leaves {
            found.push(Use { path, name, is_export: before.starts_with("pub") });
        }
    }
    found
}

/// Writes a use tree such as `a::{b, c::D}` out as its leaves.
fn expand(tree: &str, prefix: &[String], leaves: &mut Vec<(Vec<String>, String)>) {
    let tree = tree.trim();
    if let Some((head, group)) = tree.split_once('{') {
        let mut prefix = prefix.to_vec();
        prefix.extend(head.split("::").map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned));
        let (mut depth, mut start) = (0, 0);
        let group = group.trim_end().trim_end_matches('}').to_owned() + ",";
        for (at, letter) in group.char_indices() {
            match letter {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    if !group[start..at].trim().is_empty() {
                        expand(&group[start..at], &prefix, leaves);
                    }
                    start = at + 1;
                }
                _ => {}
            }
        }
        return;
    }
    let (path, alias) = tree.split_once(" as ").map_or((tree, None), |(path, alias)| (path, Some(alias)));
    let mut parts = prefix.to_vec();
    parts.extend(path.split("::").map(|part| part.trim().to_owned()).filter(|part| part != "self"));
    let name =
        alias.map_or_else(|| parts.last().cloned().unwrap_or_default(), |alias| alias.trim().to_owned());
    leaves.push((parts, name));
}

/// Paths that stand in the code itself, such as `crate::clock::unix_ms()`.
fn inline_paths(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for root in ["crate", "super"] {
        for at in rust::words(code, root) {
            let text: String =
                code[at..].chars().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | ':')).collect();
            let is_start = !code[..at].ends_with("::");
            if text.contains("::") && is_start {
                found.push(text.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect());
            }
        }
    }
    found
}

/// The strongly connected parts of more than one file, by a search from every file.
fn circles(edges: &BTreeMap<String, BTreeSet<String>>) -> Vec<Vec<String>> {
    let reached = |from: &String| {
        let mut seen = BTreeSet::new();
        let mut waiting: Vec<&String> = edges.get(from).into_iter().flatten().collect();
        while let Some(next) = waiting.pop() {
            if seen.insert(next.clone()) {
                waiting.extend(edges.get(next).into_iter().flatten());
            }
        }
        seen
    };
    let reach: BTreeMap<&String, BTreeSet<String>> = edges.keys().map(|file| (file, reached(file))).collect();
    let mut found: BTreeSet<Vec<String>> = BTreeSet::new();
    for (file, seen) in &reach {
        let circle: Vec<String> = seen
            .iter()
            .filter(|other| reach.get(other).is_some_and(|back| back.contains(*file)))
            .cloned()
            .collect();
        if circle.len() > 1 {
            found.insert(circle);
        }
    }
    found.into_iter().collect()
}

#[test]
fn files_import_each_other_in_no_circle() {
    let sources = sources().expect("the repository can be read");
    let circles = [rust_circles(&sources), typescript_circles(&sources)].concat();
    let lines: Vec<String> = circles.iter().map(|circle| circle.join(" ↔ ")).collect();
    assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
}

#[test]
fn import_circle_is_found() {
    let source = |path: &str, text: &str| Source { path: path.to_owned(), text: text.to_owned() };
    let module = source("a/src/b/mod.rs", "mod one;\nmod two;\npub(crate) use one::One;\npub struct Main;");
    let one = |text| source("a/src/b/one.rs", text);
    let two = |text| source("a/src/b/two.rs", text);
    let found = |one, two| {
        rust_circles(&[source("a/src/lib.rs", "mod b;"), source(&module.path, &module.text), one, two])
    };
    // An import of the folder's main type is none; a test module does not count.
    assert!(
        found(
            one("use super::Main;\n#[cfg(test)]\nmod tests { use super::super::two::Two; }"),
            two("use super::One;")
        )
        .is_empty()
    );
    let circle = vec![vec!["a/src/b/one.rs".to_owned(), "a/src/b/two.rs".to_owned()]];
    assert_eq!(found(one("use super::two::Two;"), two("use super::{Main, One};")), circle);
    assert_eq!(found(one("fn a() { crate::b::two::run() }"), two("use crate::b::one::One;")), circle);
    let (a, b) = (
        source("x/src/a.ts", "import { b } from './in/b.js';"),
        source("x/src/in/b.ts", "import type { A } from '../a.js';"),
    );
    assert_eq!(typescript_circles(&[a, b]).len(), 1);
}
