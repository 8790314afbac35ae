//! `fanwire check`: reads a configuration and its key files as `serve` does, and reports whether a broker can start with it.

use std::path::PathBuf;
use std::process::ExitCode;

use fanwire_broker::config::{self, Config, Overrides};
use fanwire_broker::server::Server;

const EXAMPLES: &str = "\
Exits with 0 if a broker can start. Otherwise it exits with 1 and prints one line with file, line and key. It starts \
nothing.

Examples:
  fanwire check --config /etc/fanwire/fanwire.toml
  fanwire check --config new.toml && systemctl reload fanwire";

/// Check a configuration without starting a broker.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Configuration file (TOML); FANWIRE_* variables apply as they do for serve.
    #[arg(long, value_name = "FILE", env = "FANWIRE_CONFIG")]
    config: Option<PathBuf>,
    /// Any setting of the configuration file; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = crate::serve::parse_setting)]
    set: Vec<(String, String)>,
}

/// Checks, and reports by the exit code.
pub(crate) fn run(args: Args) -> ExitCode {
    match check(args) {
        Ok(summary) => {
            println!("{summary}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("fanwire check: {error}");
            ExitCode::FAILURE
        }
    }
}

fn check(args: Args) -> Result<String, Box<dyn std::error::Error>> {
    // A variable that is not UTF-8 cannot be a setting.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let config = config::load(args.config.as_deref(), environment, &Overrides(args.set))?;
    Server::check(&config)?;
    Ok(summary(&config))
}

fn summary(config: &Config) -> String {
    let security = if config.has_authentication() {
        format!(
            "requires {}{}",
            if config.auth.checks_tokens() { "tokens or keys" } else { "keys" },
            if config.auth.anonymous { ", and accepts clients without credentials" } else { "" }
        )
    } else {
        "requires no credentials".to_owned()
    };
    format!(
        "valid: listens on {}, {security}; {} topic rules, {} API keys",
        config.listen,
        config.topics.len(),
        config.keys.len()
    )
}
