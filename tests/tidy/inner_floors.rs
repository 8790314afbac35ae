//! The floors inside the core and inside the folder of sessions: which of their modules may import which.
//!
//! A module may import those below its own floor, never a neighbour. A folder's `mod.rs` or `lib.rs` may import all of them.

use crate::{Breach, Source, check, check_can_fail, is_rust, rust};

/// One folder with the floors of its modules, from the ground up.
struct House {
    root: &'static str,
    /// How a file of the folder begins a path to one of its modules, at depth one and below.
    prefixes: &'static [&'static str],
    floors: &'static [&'static [&'static str]],
}

const CORE: House = House {
    root: "broker/core/src/",
    prefixes: &["crate::"],
    floors: &[
        &[
            "channels",
            "format",
            "held",
            "identity",
            "liveness",
            "occupancy",
            "pattern_tree",
            "presence",
            "rate",
            "rule_pattern",
            "webhook_queue",
        ],
        &["keys", "subscribers"],
        &["publication"],
        &["frame", "limits"],
        &["log", "rules"],
        &["access", "broadcast", "notice"],
        &["fanout", "session"],
        &["outbox"],
    ],
};

const SESSIONS: House = House {
    root: "broker/src/sessions/",
    prefixes: &["super::", "super::super::", "crate::sessions::"],
    floors: &[
        &["command", "ending", "lookups", "network", "publish_meter", "replies"],
        &["connection_limiter", "handle", "publishing"],
        &["connection_guard", "decision", "new_session", "registry"],
        &["worker"],
        &["mailbox", "reads"],
        &["joins"],
        &["runtime"],
    ],
};

impl House {
    fn floor_of(&self, module: &str) -> Option<usize> {
        self.floors.iter().position(|modules| modules.contains(&module))
    }

    /// Finds imports of a file that do not lead to a lower floor.
    fn breaches(&self, source: &Source) -> Vec<Breach> {
        let inside = source.path.trim_start_matches(self.root).trim_end_matches(".rs");
        let own = inside.split('/').next().unwrap_or_default();
        if ["lib", "mod"].contains(&own) {
            return Vec::new();
        }
        let Some(floor) = self.floor_of(own) else {
            let message = format!("module '{own}' has no floor; give it one in tests/tidy/inner_floors.rs");
            return vec![Breach { line: 1, message }];
        };
        let code = source.shipped_code();
        let mut breaches = Vec::new();
        for prefix in self.prefixes {
            for (at, target) in crate::floors::after(&code, prefix) {
                let above = self.floor_of(&target).filter(|other| *other >= floor && target != own);
                if above.is_some() {
                    let message =
                        format!("'{own}' must not import '{target}': imports lead to a lower floor only");
                    breaches.push(Breach { line: rust::line_at(&code, at), message });
                }
            }
        }
        breaches
    }
}

#[test]
fn core_imports_downward_only() {
    check(|source| source.path.starts_with(CORE.root) && is_rust(source), |source| CORE.breaches(source));
}

#[test]
fn sessions_import_downward_only() {
    check(
        |source| source.path.starts_with(SESSIONS.root) && is_rust(source),
        |source| SESSIONS.breaches(source),
    );
}

#[test]
fn import_of_a_higher_floor_is_found() {
    let rule = |source: &Source| CORE.breaches(source);
    let path = "broker/core/src/log/entries.rs";
    let good = "use crate::publication::Publication;\nuse crate::log::TopicLog;\n";
    check_can_fail(rule, path, good, "\nuse crate::{\n    outbox::Outbox,\n};\n", 3, "'outbox'");
    let attic = Source { path: "broker/core/src/attic.rs".to_owned(), text: String::new() };
    assert!(CORE.breaches(&attic)[0].message.contains("has no floor"));
}
