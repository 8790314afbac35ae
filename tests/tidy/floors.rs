//! The floors of the house: which crate and which module of the broker may know which.
//!
//! This file owns the picture of DESIGN and ARCHITECTURE as two tables. When a crate or module is added it must be given
//! its floor here, because one without a floor could import anything.

use crate::{Breach, Source, rust};

/// Every crate of the workspace with the crates of the workspace it may depend on, tests included.
const CRATES: [(&str, &[&str]); 10] = [
    ("fanwire-protocol", &[]),
    ("fanwire-core", &["fanwire-protocol"]),
    ("fanwire-formats", &["fanwire-core", "fanwire-protocol"]),
    ("fanwire-broker", &["fanwire-core", "fanwire-formats", "fanwire-protocol"]),
    ("fanwire-client", &["fanwire-protocol"]),
    ("fanwire-bench", &["fanwire-client", "fanwire-protocol"]),
    ("fanwire-instructions", &["fanwire-core", "fanwire-formats", "fanwire-protocol"]),
    ("fanwire", &["fanwire-bench", "fanwire-broker", "fanwire-client", "fanwire-protocol"]),
    ("fanwire-tests", &["fanwire-client", "fanwire-protocol"]),
    ("fanwire-fuzz", &["fanwire-core", "fanwire-protocol"]),
];

/// The modules of the broker from the ground up. A module may import those below its own floor, never a neighbour.
const FLOORS: [&[&str]; 11] = [
    &["failpoint", "operator_file", "owned_task", "socket"],
    &["clock", "problem", "secret"],
    &["log_limit"],
    &["topic_path", "token", "key_hash", "client"],
    &["auth", "telemetry", "config", "tls", "proxy"],
    &["hub", "pusher"],
    &["engine"],
    &["hooks", "store"],
    &["sessions"],
    &["transports", "http"],
    &["server"],
];

/// What has no place where everything must be deterministic: I/O, logging, metrics, and clocks that are read.
const IMPURE: [&str; 5] = ["tokio", "tracing", "prometheus", "Instant::now", "SystemTime::now"];

/// Finds dependencies between crates that point upward.
pub(crate) fn crate_imports(source: &Source) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut allowed: Option<(&str, &[&str])> = None;
    let mut section = String::new();
    for (number, line) in source.text.lines().enumerate() {
        let mut dependency = None;
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_owned();
            dependency = section.split_once("dependencies.").map(|(_, name)| name.to_owned());
        } else if let Some(name) = line.strip_prefix("name = ").filter(|_| section == "package") {
            let name = name.trim_matches('"');
            allowed = CRATES.into_iter().find(|(known, _)| *known == name);
            if allowed.is_none() {
                let message = format!("crate {name} has no floor; give it one in tests/tidy/floors.rs");
                breaches.push(Breach { line: number + 1, message });
            }
        } else if section.ends_with("dependencies") {
            dependency = line.split(['.', '=', ' ']).next().map(str::to_owned);
        }
        let (Some(dependency), Some((name, allowed))) = (dependency, allowed) else { continue };
        if dependency.starts_with("fanwire") && !allowed.contains(&dependency.as_str()) {
            let message = format!("{name} must not depend on {dependency}: imports point downward only");
            breaches.push(Breach { line: number + 1, message });
        }
    }
    breaches
}

/// Finds paths in a file of `broker/src` that lead to a module on the same floor or above.
pub(crate) fn module_imports(source: &Source) -> Vec<Breach> {
    let code = rust::code_only(&source.text);
    let inside = source.path.trim_start_matches("broker/src/").trim_end_matches(".rs");
    let levels: Vec<&str> = inside.split('/').filter(|level| *level != "mod").collect();
    let own = levels[0];
    let is_root = own == "lib";
    let Some(floor) = floor_of(own).or(is_root.then_some(FLOORS.len())) else {
        let message = format!("module '{own}' has no floor; give it one in tests/tidy/floors.rs");
        return vec![Breach { line: 1, message }];
    };
    let mut targets = after(&code, "crate::");
    if !is_root {
        targets.extend(after(&code, &"super::".repeat(levels.len())));
    }
    let mut breaches = Vec::new();
    for (at, target) in targets.into_iter().filter(|(_, target)| target != own) {
        let message = match floor_of(&target) {
            Some(below) if below < floor => continue,
            Some(_) => {
                format!("'{own}' must not know '{target}': imports point downward only, never to a neighbour")
            }
            // Types of the crate's root are named in capitals; a module is not.
            None if target.starts_with(char::is_uppercase) || target.is_empty() => continue,
            None => format!("module '{target}' has no floor; give it one in tests/tidy/floors.rs"),
        };
        breaches.push(Breach { line: rust::line_at(&code, at), message });
    }
    breaches
}

fn floor_of(module: &str) -> Option<usize> {
    FLOORS.iter().position(|modules| modules.contains(&module))
}

/// The names that follow `prefix` in paths, those of a `{…}` group one by one, each with its offset.
pub(crate) fn after(code: &str, prefix: &str) -> Vec<(usize, String)> {
    let mut names = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        let before = code[..at].bytes().next_back();
        if before.is_some_and(|byte| rust::is_word(byte) || byte == b':') {
            continue;
        }
        let start = at + prefix.len();
        if code[start..].starts_with('{') {
            names.extend(group(code, start));
        } else {
            names.push((start, name_at(code, start)));
        }
    }
    names
}

/// The first name of each member of the group whose brace is at `open`.
fn group(code: &str, open: usize) -> Vec<(usize, String)> {
    let mut names = Vec::new();
    let mut depth = 0;
    let mut expected = false;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => (depth, expected) = (depth + 1, depth == 0),
            b'}' => depth -= 1,
            b',' if depth == 1 => expected = true,
            byte if expected && rust::is_word(byte) => {
                names.push((at, name_at(code, at)));
                expected = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

fn name_at(code: &str, start: usize) -> String {
    code[start..].chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}

/// Finds I/O, logging, metrics and clocks in a crate that must have none.
pub(crate) fn purity(source: &Source) -> Vec<Breach> {
    let code = if source.is(&["rs"]) { rust::code_only(&source.text) } else { source.text.clone() };
    let find = |name: &'static str| {
        let breach = |at| Breach {
            line: rust::line_at(&code, at),
            message: format!("{name} has no place here: this crate is deterministic; pass in what it needs"),
        };
        rust::words(&code, name).map(breach).collect::<Vec<_>>()
    };
    IMPURE.into_iter().flat_map(find).collect()
}
