//! Runs one piece under valgrind's callgrind and reads how many instructions it took.
//!
//! Counting begins and ends with [`crate::pieces::measured`], so that what a piece prepares is not counted. Does not know
//! what the pieces are.

use std::path::Path;
use std::process::{Command, Stdio};

/// The function that counting is switched on and off by; a generic function has a name for each use, hence the stars.
const MEASURED: &str = "*fanwire_instructions*pieces*measured*";

/// The instructions that the piece called `name` took.
pub(crate) fn count(name: &str) -> Result<u64, String> {
    let program =
        std::env::current_exe().map_err(|error| format!("this program cannot be found: {error}"))?;
    let file = std::env::temp_dir().join(format!("fanwire-instructions-{}-{name}.out", std::process::id()));
    let counted = count_into(&program, name, &file);
    // It is not there if valgrind could not be started.
    let _never_written = std::fs::remove_file(&file);
    counted
}

fn count_into(program: &Path, name: &str, file: &Path) -> Result<u64, String> {
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(format!("--toggle-collect={MEASURED}"))
        .arg(program)
        .args(["run", name])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("valgrind could not be started: {error}; install the package valgrind"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{name} failed under valgrind: {said}"));
    }
    let text =
        std::fs::read_to_string(file).map_err(|error| format!("{name}: callgrind wrote nothing: {error}"))?;
    let total = total(&text).ok_or_else(|| format!("{name}: callgrind wrote no total"))?;
    // A piece that was never switched on would pass every check.
    if total == 0 { Err(format!("{name}: nothing was counted; does it call measured()?")) } else { Ok(total) }
}

/// The total of a callgrind profile (<https://valgrind.org/docs/manual/cl-format.html>).
fn total(handle: &str) -> Option<u64> {
    let line =
        handle.lines().find_map(|line| line.strip_prefix("totals:").or(line.strip_prefix("summary:")))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_read_from_a_profile() {
        let handle =
            "# callgrind format\nversion: 1\nevents: Ir\nsummary: 4711\n\nfn=(1) f\n1 4711\n\ntotals: 4711\n";
        assert_eq!(total(handle), Some(4711));
        assert_eq!(total("events: Ir\n"), None);
    }
}
