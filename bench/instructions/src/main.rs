//! Counts the instructions that the hot pieces of the broker take, and fails when one takes more than it used to.
//!
//! A count of instructions does not depend on what else the machine does, so it can be held against a baseline in
//! continuous integration, where times cannot. Each piece runs in a process of its own under valgrind's callgrind, which
//! counts only while the piece itself is at work. This program knows the pieces and the baseline; what a piece costs in
//! time is the load generator's business (`fanwire bench`).
//!
//! `check` compares with `baseline.txt` beside this crate's manifest, `renew` writes that file anew.

mod baseline;
mod callgrind;
mod pieces;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use baseline::{Baseline, Compiler};
use pieces::{PIECES, Piece};

const USAGE: &str = "\
Usage: fanwire-instructions check   count, and fail where a piece takes more than the baseline allows
       fanwire-instructions renew   count, and write the baseline
       fanwire-instructions run PIECE   run one piece, for a profiler";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["check"] => check(),
        ["renew"] => renew(),
        ["run", name] => run(name),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn baseline_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("baseline.txt")
}

fn run(name: &str) -> Result<(), String> {
    let piece = PIECES.iter().find(|piece| piece.name == name);
    let piece = piece.ok_or_else(|| format!("there is no piece '{name}'"))?;
    (piece.run)();
    Ok(())
}

/// Counts every piece and gives its instructions per operation.
fn count_all() -> Result<Vec<(&'static Piece, f64)>, String> {
    PIECES
        .iter()
        .map(|piece| Ok((piece, callgrind::count(piece.name)? as f64 / piece.operations as f64)))
        .collect()
}

fn check() -> Result<(), String> {
    let path = baseline_path();
    let text = std::fs::read_to_string(&path)
        .map_err(|error| format!("{} cannot be read: {error}; write it with renew", path.display()))?;
    let baseline: Baseline = text.parse()?;
    let compiler = Compiler::this()?;
    let tolerance = baseline.tolerance_for(&compiler);
    println!("baseline: {}; here: {compiler}; tolerance {:.0} %", baseline.compiler, 100.0 * tolerance);
    let counted = count_all()?;
    let mut wrong = baseline.unknown_to(&counted.iter().map(|(piece, _)| piece.name).collect::<Vec<_>>());
    for (piece, count) in counted {
        let before = baseline.count_of(piece.name);
        let change =
            before.map_or_else(String::new, |before| format!("{:+.1} %", 100.0 * (count / before - 1.0)));
        println!("{:<24} {count:>12.1} {:<24} {change:>8}", piece.name, piece.unit);
        wrong.extend(baseline::judge(piece.name, count, before, tolerance));
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

fn renew() -> Result<(), String> {
    let counted = count_all()?;
    let pieces = counted.iter().map(|(piece, count)| (piece.name.to_owned(), *count)).collect();
    let baseline = Baseline { compiler: Compiler::this()?, counts: pieces };
    let path = baseline_path();
    std::fs::write(&path, baseline.to_string())
        .map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
    print!("{baseline}");
    Ok(())
}
