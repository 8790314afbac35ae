//! `fanwire serve`: reads the configuration, starts a broker, and runs it until a signal stops it.

mod banner;
mod pusher;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use fanwire_broker::config::{self, Config, LogFormat, Overrides, PusherAppConfig};
use fanwire_broker::server::{Instruction, Server};
use fanwire_broker::telemetry;
use tokio::signal::unix::{Signal, SignalKind, signal};

use banner::Banner;

const EXAMPLES: &str = "\
Examples:
  fanwire serve                                     for this machine, port 7400
  fanwire serve --port 8000                         on another port
  fanwire serve --config fanwire.toml               with a configuration file
  fanwire serve --listen 0.0.0.0:7400 --open        for all machines
  fanwire serve --set limits.message_bytes_max=4MiB any setting of the file

Each setting also has a variable: limits.message_bytes_max is FANWIRE_LIMITS_MESSAGE_BYTES_MAX. Flags override \
variables, variables override the file. 'fanwire config' prints all settings.

SIGTERM and Ctrl-C close all sessions and stop the broker. SIGHUP reads the file again and applies topic rules, \
origins, credentials, Pusher apps and a renewed certificate.";

/// Start a broker on this machine.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Read this configuration file (TOML).
    #[arg(long, value_name = "FILE", env = "FANWIRE_CONFIG")]
    config: Option<PathBuf>,
    /// Address and port to listen on [default: 127.0.0.1:7400]; port 0 takes any free port.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Port to listen on.
    #[arg(long, value_name = "PORT")]
    port: Option<String>,
    /// Require no credentials, although other machines can reach the address.
    #[arg(long)]
    open: bool,
    /// Number of worker threads [default: one per core].
    #[arg(long, value_name = "COUNT")]
    workers: Option<String>,
    /// Directory of durable topics; it is created if it does not exist [default: none].
    #[arg(long, value_name = "DIRECTORY")]
    data_dir: Option<String>,
    /// Allow pages of this origin (scheme and host) to use the broker; may be repeated.
    #[arg(long, value_name = "ORIGIN")]
    allow_origin: Vec<String>,
    /// Log filter: a level, or a list of target=level [default: info].
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
    /// Any setting of the configuration file; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_setting)]
    set: Vec<(String, String)>,
}

/// Reads a setting of the form `KEY=VALUE`.
pub(crate) fn parse_setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) => Ok((key.trim().to_owned(), value.trim().to_owned())),
        None => Err("write KEY=VALUE, as in limits.message_bytes_max=4MiB".to_owned()),
    }
}

impl Args {
    fn overrides(&self) -> Overrides {
        let mut pairs = self.set.clone();
        let mut put = |key: &str, value: Option<String>| {
            pairs.extend(value.map(|value| (key.to_owned(), value)));
        };
        put("listen", self.listen.clone());
        put("port", self.port.clone());
        put("open", self.open.then(|| "true".to_owned()));
        put("workers", self.workers.clone());
        put("data_dir", self.data_dir.clone());
        put("log.filter", self.log.clone());
        put("origins", (!self.allow_origin.is_empty()).then(|| self.allow_origin.join(",")));
        Overrides(pairs)
    }
}

/// Runs the broker until a signal stops it.
pub(crate) fn run(args: Args) -> ExitCode {
    match serve(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fanwire serve: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(args: &Args) -> Result<(), Box<dyn std::error::Error>> {
    let config = configure(args)?;
    let json = match config.log.format {
        LogFormat::Auto => None,
        LogFormat::Text => Some(false),
        LogFormat::Json => Some(true),
    };
    telemetry::start_logs(&config.log.filter, json)?;
    let token_command = banner::token_command(&config, &banner::program());
    let pusher_apps = config.pusher_apps.clone();
    let server = Server::bind(config)?;
    print_banner(&server, token_command, pusher_apps);
    let mut signals = None;
    server.run(async || match &mut signals {
        Some(signals) => next_instruction(args, signals).await,
        None => match Signals::listen() {
            Ok(listening) => next_instruction(args, signals.insert(listening)).await,
            Err(error) => {
                tracing::error!(%error, "signals cannot be handled: stop this broker with SIGKILL");
                std::future::pending().await
            }
        },
    })?;
    tracing::info!("stopped");
    Ok(())
}

fn configure(args: &Args) -> Result<Config, config::ConfigError> {
    // A variable that is not UTF-8 cannot be a setting.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    config::load(args.config.as_deref(), environment, &args.overrides())
}

/// Reads the configuration again, away from the thread that accepts connections.
async fn reconfigure(args: &Args) -> Result<Config, String> {
    let args = args.clone();
    match tokio::task::spawn_blocking(move || configure(&args)).await {
        Ok(config) => config.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// The signals that a broker handles.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }
}

/// Waits for SIGTERM or Ctrl-C, which stop the broker, or SIGHUP, which reads the configuration again. A configuration with
/// an error is not applied.
async fn next_instruction(args: &Args, signals: &mut Signals) -> Instruction {
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => {
                tracing::info!("SIGTERM: draining");
                return Instruction::Stop;
            }
            _ = signals.interrupt.recv() => {
                tracing::info!("interrupted: draining");
                return Instruction::Stop;
            }
            _ = signals.hang_up.recv() => match reconfigure(args).await {
                Ok(config) => return Instruction::Reload(Box::new(config)),
                Err(error) => tracing::error!(%error, "SIGHUP: the configuration has an error and is not applied"),
            },
        }
    }
}

/// Prints the URLs of the broker and commands to try. If standard output is closed, the broker serves all the same.
fn print_banner(server: &Server, token_command: Option<String>, pusher_apps: Vec<PusherAppConfig>) {
    let banner = Banner {
        address: server.address(),
        has_tls: server.has_tls(),
        workers: server.workers(),
        token_command,
        pusher_apps,
    };
    let mut output = std::io::stdout().lock();
    let _closed = output.write_all(banner.text().as_bytes()).and_then(|()| output.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_configuration_is_for_this_machine_only() {
        assert!(Config::default().listen.ip().is_loopback());
        assert!(!Config::default().open);
    }
}
