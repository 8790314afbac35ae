//! The committed counts, and what may become of them.
//!
//! Counts depend on the compiler and the processor's architecture, so the baseline names both. Where they are the same a
//! piece may take a twentieth more; elsewhere it is still held to account, but only for what no compiler does to it.

use std::fmt;
use std::process::Command;
use std::str::FromStr;

/// By how much a count may grow where compiler and architecture are those of the baseline.
const TOLERANCE: f64 = 0.05;

/// By how much a count may grow elsewhere.
const TOLERANCE_ELSEWHERE: f64 = 0.30;

/// Below this part of its baseline a piece is not better but something else than it was.
const PART_MIN: f64 = 0.5;

const PREAMBLE: &str = "\
# Instructions for one operation of each hot piece of the broker, as `make test-instructions` compares them.
# Write this file anew with `make instructions-baseline` when a change is meant to move a count, and say why in the commit.
";

/// What made the program that is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Compiler(String);

impl Compiler {
    /// The compiler on this machine, which is the one that cargo has just used.
    pub(crate) fn this() -> Result<Self, String> {
        let program = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let output = Command::new(program).arg("-vV").output();
        let output = output.map_err(|error| format!("rustc could not be asked for its version: {error}"))?;
        Self::from_version(&String::from_utf8_lossy(&output.stdout))
            .ok_or_else(|| "rustc did not say its version and host".to_owned())
    }

    /// From what `rustc -vV` prints.
    fn from_version(text: &str) -> Option<Self> {
        let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        Some(Self(format!("rustc {} {}", value("release")?, value("host")?)))
    }
}

impl fmt::Display for Compiler {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Instructions per operation, by piece.
#[derive(Debug, PartialEq)]
pub(crate) struct Baseline {
    /// What they were counted with.
    pub(crate) compiler: Compiler,
    /// In the order of the file.
    pub(crate) counts: Vec<(String, f64)>,
}

impl Baseline {
    /// By how much a count may grow when it is made with `compiler`.
    pub(crate) fn tolerance_for(&self, compiler: &Compiler) -> f64 {
        if self.compiler == *compiler { TOLERANCE } else { TOLERANCE_ELSEWHERE }
    }

    /// The count of one piece.
    pub(crate) fn count_of(&self, name: &str) -> Option<f64> {
        self.counts.iter().find(|(known, _)| known == name).map(|(_, count)| *count)
    }

    /// What is wrong with a baseline that speaks of more than `pieces`.
    pub(crate) fn unknown_to(&self, pieces: &[&str]) -> Vec<String> {
        let unknown = self.counts.iter().filter(|(name, _)| !pieces.contains(&name.as_str()));
        unknown
            .map(|(name, _)| format!("{name} is in the baseline but is not counted any more: renew it"))
            .collect()
    }
}

/// What is wrong with `count` of a piece that had `before`.
pub(crate) fn judge(name: &str, count: f64, before: Option<f64>, tolerance: f64) -> Option<String> {
    let Some(before) = before else { return Some(format!("{name} is not in the baseline: renew it")) };
    if count > before * (1.0 + tolerance) {
        return Some(format!(
            "{name} takes {count:.1} instructions where it took {before:.1}: make it cheaper again, or renew the baseline \
             and say in the commit what the price is for"
        ));
    }
    (count < before * PART_MIN).then(|| {
        format!("{name} takes {count:.1} instructions where it took {before:.1}: renew the baseline, or mend the piece")
    })
}

impl fmt::Display for Baseline {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{PREAMBLE}{}", self.compiler)?;
        for (name, count) in &self.counts {
            writeln!(formatter, "{name:<24} {count:>12.1}")?;
        }
        Ok(())
    }
}

impl FromStr for Baseline {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        let compiler = lines.next().ok_or("the baseline is empty: renew it")?;
        let counts = lines.map(|line| {
            let (name, count) =
                line.split_once(' ').ok_or_else(|| format!("'{line}' is no line of a baseline"))?;
            let count: f64 = count.trim().parse().map_err(|_| format!("'{line}' has no count"))?;
            if count > 0.0 { Ok((name.to_owned(), count)) } else { Err(format!("'{line}' has no count")) }
        });
        Ok(Self { compiler: Compiler(compiler.to_owned()), counts: counts.collect::<Result<_, String>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn baseline() -> Baseline {
        let compiler = Compiler("rustc 1.95.0 x86_64-unknown-linux-gnu".into());
        Baseline { compiler, counts: vec![("decode".into(), 1000.0), ("match".into(), 20.5)] }
    }

    #[test]
    fn a_baseline_is_read_as_it_was_written() {
        assert_eq!(baseline().to_string().parse(), Ok(baseline()));
        for (text, expected) in [
            ("", "is empty"),
            ("rustc 1\ndecode", "is no line"),
            ("rustc 1\ndecode many", "has no count"),
            ("rustc 1\ndecode 0", "has no count"),
            ("rustc 1\ndecode NaN", "has no count"),
        ] {
            let error = text.parse::<Baseline>().unwrap_err();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }

    #[test]
    fn growth_beyond_the_tolerance_is_wrong_and_so_is_a_piece_that_does_nothing() {
        let judged = |count, tolerance| judge("decode", count, Some(1000.0), tolerance);
        assert_eq!(judged(1049.0, TOLERANCE), None);
        assert_eq!(judged(700.0, TOLERANCE), None);
        assert!(judged(1051.0, TOLERANCE).is_some_and(|wrong| wrong.contains("cheaper again")));
        assert_eq!(judged(1051.0, TOLERANCE_ELSEWHERE), None);
        assert!(judged(1301.0, TOLERANCE_ELSEWHERE).is_some());
        assert!(judged(499.0, TOLERANCE).is_some_and(|wrong| wrong.contains("mend the piece")));
        assert!(
            judge("new", 1.0, None, TOLERANCE).is_some_and(|wrong| wrong.contains("not in the baseline"))
        );
    }

    #[test]
    fn a_piece_that_is_gone_is_missed() {
        assert_eq!(baseline().unknown_to(&["decode", "match"]), Vec::<String>::new());
        assert_eq!(baseline().unknown_to(&["decode"]).len(), 1);
    }

    #[test]
    fn only_the_same_compiler_on_the_same_architecture_is_held_to_the_narrow_tolerance() {
        let version = |release, host| {
            format!("rustc {release} (abc)\nbinary: rustc\nhost: {host}\nrelease: {release}\n")
        };
        let compiler = |release, host| Compiler::from_version(&version(release, host)).unwrap();
        let tolerance = |release, host| baseline().tolerance_for(&compiler(release, host));
        assert_eq!(tolerance("1.95.0", "x86_64-unknown-linux-gnu"), TOLERANCE);
        assert_eq!(tolerance("1.96.0", "x86_64-unknown-linux-gnu"), TOLERANCE_ELSEWHERE);
        assert_eq!(tolerance("1.95.0", "aarch64-unknown-linux-gnu"), TOLERANCE_ELSEWHERE);
        assert_eq!(Compiler::from_version("rustc"), None);
    }
}
