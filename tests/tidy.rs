//! Guards the shape of the repository: sizes, names, imports and snippets that the compiler does not look at.
//!
//! Every rule is a function from the text of a file to what is wrong with it, one test that applies it to the whole tree,
//! and one test that proves it can fail. This file knows the floors of the house (ARCHITECTURE.md); it does not know what
//! any file does.

#[path = "tidy/architecture.rs"]
mod architecture;
#[path = "tidy/archives.rs"]
mod archives;
#[path = "tidy/circles.rs"]
mod circles;
#[path = "tidy/floors.rs"]
mod floors;
#[path = "tidy/inner_floors.rs"]
mod inner_floors;
#[path = "tidy/offsets.rs"]
mod offsets;
#[path = "tidy/picks.rs"]
mod picks;
#[path = "tidy/readme.rs"]
mod readme;
#[path = "tidy/repeat.rs"]
mod repeat;
#[path = "tidy/rust.rs"]
mod rust;
#[path = "tidy/words.rs"]
mod words;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The most lines a source file may have.
const FILE_LINES_MAX: usize = 500;

/// The most lines a function may have, from its signature to its closing brace.
const FUNCTION_LINES_MAX: usize = 70;

/// Folders that hold no sources of ours.
const NOT_OURS: [&str; 7] = ["target", "node_modules", "build", ".git", "corpus", "artifacts", "vendor"];

/// Names that say nothing about what a module is for.
const EMPTY_NAMES: [&str; 8] =
    ["utils", "util", "helpers", "helper", "common", "manager", "managers", "misc"];

/// One breach of a rule.
#[derive(Debug, PartialEq)]
struct Breach {
    line: usize,
    message: String,
}

/// A file of the repository, its path relative to the root and with forward slashes.
struct Source {
    path: String,
    text: String,
}

impl Source {
    fn is(&self, extensions: &[&str]) -> bool {
        extensions.iter().any(|extension| self.path.ends_with(&format!(".{extension}")))
    }

    fn is_code(&self) -> bool {
        self.is(&["rs", "js", "mjs", "cjs", "ts", "php", "sh", "html", "css"])
    }

    /// Whether the whole file is a test module of a crate, as in `#[cfg(test)] mod tests;`.
    fn is_test_module(&self) -> bool {
        self.path.ends_with("/tests.rs")
    }

    /// The Rust code outside test modules, with comments and literals blanked out.
    fn shipped_code(&self) -> String {
        if self.is_test_module() {
            return String::new();
        }
        rust::without_test_modules(&rust::code_only(&self.text))
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies inside the repository").to_owned()
}

/// Every text file of the repository, in the order of their paths.
fn sources() -> io::Result<Vec<Source>> {
    let root = root();
    let mut sources = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                if !NOT_OURS.iter().any(|name| entry.file_name() == *name) {
                    folders.push(path);
                }
            } else if let Ok(text) = fs::read_to_string(&path) {
                let inside = path.strip_prefix(&root).unwrap_or(&path);
                sources.push(Source { path: inside.to_string_lossy().replace('\\', "/"), text });
            }
        }
    }
    sources.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(sources)
}

/// Applies `rule` to every file that `concerns` picks, and fails with every breach in one list.
fn check(concerns: impl Fn(&Source) -> bool, rule: impl Fn(&Source) -> Vec<Breach>) {
    let mut looked_at = 0;
    let mut breaches = Vec::new();
    let sources = sources().expect("the repository can be read");
    for source in sources.iter().filter(|source| concerns(source)) {
        looked_at += 1;
        for Breach { line, message } in rule(source) {
            breaches.push(format!("{}:{line}: {message}", source.path));
        }
    }
    assert!(looked_at > 0, "the rule found no file to look at, so it guards nothing");
    assert!(breaches.is_empty(), "\n{}\n", breaches.join("\n"));
}

/// Proves that `rule` accepts `good` and finds a breach in `bad` that mentions `expected` on `line`.
fn check_can_fail(
    rule: impl Fn(&Source) -> Vec<Breach>,
    path: &str,
    good: &str,
    bad: &str,
    line: usize,
    expected: &str,
) {
    let source = |text: &str| Source { path: path.to_owned(), text: text.to_owned() };
    assert_eq!(rule(&source(good)), [], "{good}");
    let breaches = rule(&source(bad));
    let hit = |breach: &Breach| breach.line == line && breach.message.contains(expected);
    assert!(breaches.iter().any(hit), "{bad}\n{breaches:?}");
}

fn is_rust(source: &Source) -> bool {
    source.is(&["rs"])
}

fn file_length(source: &Source) -> Vec<Breach> {
    let lines = source.text.lines().count();
    let message =
        format!("{lines} lines are too many; split the file by idea, at most {FILE_LINES_MAX} lines each");
    if lines > FILE_LINES_MAX { vec![Breach { line: FILE_LINES_MAX + 1, message }] } else { Vec::new() }
}

#[test]
fn files_are_short() {
    check(Source::is_code, file_length);
}

#[test]
fn long_file_is_found() {
    check_can_fail(file_length, "a.rs", &"x\n".repeat(500), &"x\n".repeat(501), 501, "501 lines");
}

fn function_length(source: &Source) -> Vec<Breach> {
    rust::functions(&source.shipped_code())
        .into_iter()
        .filter(|function| function.lines > FUNCTION_LINES_MAX)
        .map(|function| Breach {
            line: function.line,
            message: format!(
                "fn {} has {} lines; give its parts names of their own, at most {FUNCTION_LINES_MAX} lines each",
                function.name, function.lines
            ),
        })
        .collect()
}

#[test]
fn functions_are_short() {
    check(is_rust, function_length);
}

#[test]
fn long_function_is_found() {
    let function = |lines: usize| format!("\nfn long() {{\n{}}}\n", "    step();\n".repeat(lines));
    check_can_fail(function_length, "a.rs", &function(68), &function(69), 2, "fn long has 71 lines");
}

fn opening_doc(source: &Source) -> Vec<Breach> {
    let message =
        "the file must open with a //! doc that says what it owns and what it does not know".to_owned();
    if source.text.starts_with("//! ") { Vec::new() } else { vec![Breach { line: 1, message }] }
}

#[test]
fn rust_files_open_with_their_purpose() {
    check(is_rust, opening_doc);
}

#[test]
fn missing_purpose_is_found() {
    check_can_fail(opening_doc, "a.rs", "//! Owns all.\nuse x;\n", "use x;\n//! Owns all.\n", 1, "must open");
}

fn glob_imports(source: &Source) -> Vec<Breach> {
    let code = source.shipped_code();
    let mut breaches = Vec::new();
    for at in rust::words(&code, "use") {
        let import = code[at..].split(';').next().unwrap_or_default();
        if let Some(star) = import.find('*') {
            let message = "name what is imported instead of '*'".to_owned();
            breaches.push(Breach { line: rust::line_at(&code, at + star), message });
        }
    }
    breaches
}

#[test]
fn imports_name_what_they_import() {
    check(is_rust, glob_imports);
}

#[test]
fn glob_import_is_found() {
    let good = "use a::b;\nlet x = 2 * 3; // use a::*;\n#[cfg(test)]\nmod tests {\n    use super::*;\n}\n";
    check_can_fail(glob_imports, "a.rs", good, "use a::{\n    b,\n    c::*,\n};\n", 3, "instead of '*'");
}

/// Looks at the name of the file, of its folders, and of the modules declared inside it.
fn empty_names(source: &Source) -> Vec<Breach> {
    let breach = |line, name: &str| Breach {
        line,
        message: format!(
            "'{name}' says nothing about what is inside; name the module after the one idea it holds"
        ),
    };
    let is_empty = |name: &&str| EMPTY_NAMES.contains(name);
    let parts = source.path.split('/').map(|part| part.split('.').next().unwrap_or_default());
    let mut breaches: Vec<Breach> = parts.filter(is_empty).map(|name| breach(1, name)).collect();
    if is_rust(source) {
        let code = rust::code_only(&source.text);
        for at in rust::words(&code, "mod") {
            let end = |letter: char| !letter.is_alphanumeric() && letter != '_';
            let name = code[at + 3..].trim_start().split(end).next().unwrap_or_default();
            breaches.extend(is_empty(&name).then(|| breach(rust::line_at(&code, at), name)));
        }
    }
    breaches
}

#[test]
fn modules_have_telling_names() {
    check(Source::is_code, empty_names);
}

#[test]
fn empty_name_is_found() {
    check_can_fail(empty_names, "src/log.rs", "mod common_sense;\n", "\nmod utils {}\n", 2, "'utils'");
    let path_only = |source: &Source| empty_names(&Source { path: source.text.clone(), text: String::new() });
    check_can_fail(path_only, "", "src/commons/log.js", "src/common/log.js", 1, "'common'");
    check_can_fail(path_only, "", "src/log.php", "src/helpers.php", 1, "'helpers'");
}

fn unfinished_code(source: &Source) -> Vec<Breach> {
    let code = rust::code_only(&source.text);
    let find = |name: &'static str| {
        let code = &code;
        rust::words(code, name)
            .filter(move |at| code[at + name.len()..].starts_with('!'))
            .map(move |at| Breach {
                line: rust::line_at(code, at),
                message: format!("{name}! must not be committed; finish the code or leave it out"),
            })
            .collect::<Vec<_>>()
    };
    ["todo", "unimplemented", "dbg"].into_iter().flat_map(find).collect()
}

#[test]
fn code_is_finished() {
    check(is_rust, unfinished_code);
}

#[test]
fn unfinished_code_is_found() {
    let good = "fn a() { let todo = \"todo!()\"; } // dbg!(x)\n";
    check_can_fail(unfinished_code, "a.rs", good, "fn a() {\n    todo!()\n}\n", 2, "todo!");
    check_can_fail(unfinished_code, "a.rs", good, "fn a() { dbg!(1); }\n", 1, "dbg!");
}

#[test]
fn crates_import_downward_only() {
    check(|source| source.path.ends_with("Cargo.toml"), floors::crate_imports);
}

#[test]
fn upward_crate_import_is_found() {
    let good = "[package]\nname = \"fanwire-core\"\n[dependencies]\nfanwire-protocol.workspace = true\n";
    let bad = format!("{good}[dev-dependencies]\nfanwire-broker.workspace = true\n");
    check_can_fail(
        floors::crate_imports,
        "broker/core/Cargo.toml",
        good,
        &bad,
        6,
        "must not depend on fanwire-broker",
    );
    let bad = "[package]\nname = \"fanwire-client\"\n[dependencies.fanwire-core]\npath = \"x\"\n";
    check_can_fail(floors::crate_imports, "Cargo.toml", good, bad, 3, "must not depend on fanwire-core");
    let bad = "[package]\nname = \"fanwire-new\"\n";
    check_can_fail(floors::crate_imports, "Cargo.toml", good, bad, 2, "has no floor");
}

#[test]
fn broker_modules_import_downward_only() {
    check(|source| source.path.starts_with("broker/src/") && is_rust(source), floors::module_imports);
}

#[test]
fn upward_module_import_is_found() {
    let check = |path, good, bad, line, expected| {
        check_can_fail(floors::module_imports, path, good, bad, line, expected)
    };
    let engine = "broker/src/engine/mod.rs";
    check(
        engine,
        "use crate::hub::Hub;\nuse crate::config::Config;",
        "use crate::sessions::Runner;",
        1,
        "'sessions'",
    );
    check(
        engine,
        "use crate::engine::Log;",
        "use crate::{\n    hub::{Hub, Tick},\n    http::Api,\n};",
        3,
        "'http'",
    );
    check(engine, "use super::hub::Hub;", "use super::server::Server;", 1, "'server'");
    check(engine, "fn a() { super::hub::a() }", "\nfn a() { crate::transports::b() }", 2, "'transports'");
    check("broker/src/engine/log.rs", "use super::server;", "use super::super::server;", 1, "'server'");
    check(
        "broker/src/http/publish.rs",
        "use crate::sessions::A;",
        "use crate::transports::sse;",
        1,
        "'transports'",
    );
    check(
        "broker/src/telemetry/mod.rs",
        "use crate::telemetry::A;",
        "use crate::config::Config;",
        1,
        "'config'",
    );
    check(
        "broker/src/engine/mod.rs",
        "// crate::server",
        "use crate::attic::Old;",
        1,
        "'attic' has no floor",
    );
    check(
        "broker/src/lib.rs",
        "use crate::server::Server;",
        "use crate::attic::Old;",
        1,
        "'attic' has no floor",
    );
}

#[test]
fn core_and_protocol_are_pure() {
    let pure =
        |source: &Source| source.path.starts_with("broker/core/") || source.path.starts_with("protocol/");
    check(|source| pure(source) && source.is(&["rs", "toml"]), floors::purity);
}

#[test]
fn impurity_is_found() {
    let good = "//! Knows no tokio.\nuse std::time::Instant;\nfn a(now: Instant) {}\n";
    for (bad, expected) in [
        ("use std::time::Instant;\nlet now = Instant::now();\n", "Instant::now"),
        ("let now =\n    std::time::SystemTime::now();\n", "SystemTime::now"),
        ("\nuse tokio::net::TcpStream;\n", "tokio"),
        ("\ntracing::info!(\"x\");\n", "tracing"),
        ("\nuse prometheus::Counter;\n", "prometheus"),
    ] {
        check_can_fail(floors::purity, "broker/core/src/a.rs", good, bad, 2, expected);
    }
    check_can_fail(
        floors::purity,
        "broker/core/Cargo.toml",
        "bytes = \"1\"\n",
        "\ntokio.workspace = true\n",
        2,
        "tokio",
    );
}

#[test]
fn offsets_are_compared_and_never_computed() {
    check(offsets::concerns, offsets::computed);
}

#[test]
fn computed_offset_is_found() {
    let good = "fn a(offset: u64) -> u64 { if first.offset > offset { offset } else { b + 1 } }\n";
    for bad in
        ["\nx.offset + 1", "\nx.offset += 1", "\nhead - first.offset", "\nfirst_offset.saturating_sub(1)"]
    {
        check_can_fail(offsets::computed, "broker/src/a.rs", good, bad, 2, "never computed");
    }
    check_can_fail(
        offsets::computed,
        "a.ts",
        "// offset + 1\n",
        "\nhead!.offset - seen?.offset",
        2,
        "computed",
    );
}

#[test]
fn tests_over_one_archive_are_the_ones_of_the_table() {
    let exceptions = archives::exceptions(&sources().unwrap());
    check(|source| source.path == "TESTING.md", |source| archives::table(source, &exceptions));
    check(|source| is_rust(source) && source.path != "tests/tidy.rs", archives::ignored);
}

#[test]
fn unnamed_exception_is_found() {
    let ignored = "#[test]\n#[cfg_attr(feature = \"stepped-archive\", ignore = \"why\")]\nfn a() {}\n";
    let source = Source { path: "tests/e2e/a.rs".to_owned(), text: ignored.to_owned() };
    assert_eq!(archives::ignored(&source), []);
    let exceptions = archives::exceptions(&[source]);
    let rule = |source: &Source| archives::table(source, &exceptions);
    let good = "\n## Two archives\n\n| `a` | why |\n\n## Other\n\n| `c` | x |\n";
    check_can_fail(rule, "TESTING.md", good, "\n## Two archives\n", 2, "a does not run");
    check_can_fail(
        rule,
        "TESTING.md",
        good,
        &good.replace("| why |", "| why |\n| `b` | x |"),
        2,
        "b runs over",
    );
    check_can_fail(
        archives::ignored,
        "a.rs",
        ignored,
        "#[test]\n#[ignore]\nfn a() {}\n",
        2,
        "every test runs",
    );
}

#[test]
fn readme_snippets_are_parts_of_tested_files() {
    let read = |path: &str| fs::read_to_string(root().join(path)).ok();
    check(|source| source.path == "README.md", |source| readme::snippets(source, read));
}

#[test]
fn stale_readme_snippet_is_found() {
    let read = |path: &str| (path == "a.sh").then(|| "set -e\ncurl one\ncurl two\ncurl three\n".to_owned());
    let rule = |source: &Source| readme::snippets(source, read);
    let good =
        "Try:\n<!-- from: a.sh -->\n```sh\ncurl one\ncurl two\ncurl three\n```\n```sh\nmake run\n```\n";
    let check = |bad: &str, line, expected| check_can_fail(rule, "README.md", good, bad, line, expected);
    check("<!-- from: a.sh -->\n```sh\ncurl one\ncurl 2\n```\n", 2, "is not in a.sh");
    check("<!-- from: b.sh -->\n\n```sh\ncurl one\n```\n", 3, "b.sh cannot be read");
    check("Try:\n```sh\ncurl one\ncurl two\ncurl three\n```\n", 2, "says where it comes from");
    check("```sh\ncurl one\n", 1, "never ends");
}

#[test]
fn every_library_is_used_and_explained() {
    let contributing = fs::read_to_string(root().join("CONTRIBUTING.md")).unwrap();
    let sources = sources().unwrap();
    let is_manifest = |source: &&Source| source.path.ends_with("/Cargo.toml");
    let manifests: Vec<&str> =
        sources.iter().filter(is_manifest).map(|source| source.text.as_str()).collect();
    check(|source| source.path == "Cargo.toml", |source| picks::libraries(source, &contributing, &manifests));
}

#[test]
fn unexplained_library_is_found() {
    let manifests =
        ["[dependencies]\nbytes.workspace = true\nhttp = { workspace = true, optional = true }\n"];
    let rule = |source: &Source| picks::libraries(source, "| `bytes`, `attic` | shared frames |", &manifests);
    let good = "[workspace.dependencies]\nfanwire-core = { path = \"core\" }\nbytes = \"1\"\n";
    let check = |bad, line, expected| check_can_fail(rule, "Cargo.toml", good, bad, line, expected);
    check("[workspace.dependencies]\n\nhttp = \"1\"\n", 3, "why http is used");
    check("[workspace.dependencies]\nattic = \"1\"\n", 2, "no member uses attic");
}
