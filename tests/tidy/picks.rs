//! Keeps the table of libraries in CONTRIBUTING.md true: every library of the workspace stands there with its reason, and
//! every library that is declared is used by a member.

use crate::{Breach, Source};

/// Finds libraries of the workspace's manifest that `contributing` does not name or none of `manifests` uses.
pub(crate) fn libraries(source: &Source, contributing: &str, manifests: &[&str]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut inside = false;
    for (number, line) in source.text.lines().enumerate() {
        if line.starts_with('[') {
            inside = line == "[workspace.dependencies]";
        }
        let Some(name) = line.split_once(" = ").map(|(name, _)| name).filter(|_| inside) else { continue };
        if name.starts_with("fanwire") {
            continue;
        }
        if !contributing.contains(&format!("`{name}`")) {
            let message = format!("say in the table of libraries of CONTRIBUTING.md why {name} is used");
            breaches.push(Breach { line: number + 1, message });
        }
        let uses = format!("{name}.workspace = true");
        let uses_with_features = format!("{name} = {{ workspace = true");
        let is_used = |line: &str| line == uses || line.starts_with(&uses_with_features);
        if !manifests.iter().any(|manifest| manifest.lines().any(is_used)) {
            let message = format!("no member uses {name}; remove it");
            breaches.push(Breach { line: number + 1, message });
        }
    }
    breaches
}
