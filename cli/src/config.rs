//! `fanwire config`: prints the configuration file with every key, its default and what it is for.

use std::io::Write;
use std::process::ExitCode;

/// The one text of all defaults, which a test of the broker holds against the defaults themselves.
const DEFAULTS: &str = include_str!("../../deploy/fanwire.toml");

/// Print a configuration file with every key, its default, and what it is for.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  fanwire config > fanwire.toml\n  fanwire config | less")]
pub(crate) struct Args {}

/// Prints the example file.
pub(crate) fn run(_args: Args) -> ExitCode {
    match std::io::stdout().lock().write_all(DEFAULTS.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        // `fanwire config | head` is no failure.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fanwire config: {error}");
            ExitCode::FAILURE
        }
    }
}
