//! `fanwire serve`: configures a broker, says where it is, and runs it until it is told to stop.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use fanwire_broker::config::{self, Config, LogFormat, Overrides};
use fanwire_broker::server::{Instruction, Server};
use fanwire_broker::telemetry;
use tokio::signal::unix::{Signal, SignalKind, signal};

const EXAMPLES: &str = "\
Examples:
  fanwire serve                                     for this machine only, at http://127.0.0.1:7400
  fanwire serve --port 8000                         on another port
  fanwire serve --config fanwire.toml               with a configuration file
  fanwire serve --listen 0.0.0.0:7400 --open        for everybody who can reach this machine
  fanwire serve --set limits.message_bytes_max=4MiB with any setting of the file

Every setting can also come from the environment: limits.message_bytes_max is FANWIRE_LIMITS_MESSAGE_BYTES_MAX.
Flags win over the environment, the environment over the file. The file deploy/fanwire.toml lists all settings.
SIGTERM and Ctrl-C send clients away in good order and stop. SIGHUP reads the file again and takes over topic
rules, origins and a renewed certificate.";

/// Start a broker.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Configuration file (TOML).
    #[arg(long, value_name = "FILE", env = "FANWIRE_CONFIG")]
    config: Option<PathBuf>,
    /// Address and port to listen on [default: 127.0.0.1:7400]; port 0 takes any free port.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Port to listen on.
    #[arg(long, value_name = "PORT")]
    port: Option<String>,
    /// Serve everybody without credentials although other machines can reach the address.
    #[arg(long)]
    open: bool,
    /// Number of worker threads [default: one per core].
    #[arg(long, value_name = "COUNT")]
    workers: Option<String>,
    /// Directory in which durable topics are kept; made if it does not exist [default: none].
    #[arg(long, value_name = "DIRECTORY")]
    data_dir: Option<String>,
    /// Let pages of this origin, scheme and host, use the broker; may be repeated.
    #[arg(long, value_name = "ORIGIN")]
    allow_origin: Vec<String>,
    /// What to log: a level, or a list of target=level [default: info].
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
    /// Any setting of the configuration file; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_setting)]
    set: Vec<(String, String)>,
}

/// Reads `KEY=VALUE`.
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

/// Runs the broker until it is told to stop.
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
    let asks_for_credentials = config.asks_for_credentials();
    let server = Server::bind(config)?;
    greet(&server, asks_for_credentials);
    let mut signals = None;
    server.run(async || match &mut signals {
        Some(signals) => next_instruction(args, signals).await,
        None => match Signals::listen() {
            Ok(listening) => next_instruction(args, signals.insert(listening)).await,
            Err(error) => {
                tracing::error!(%error, "signals cannot be listened to: stop this broker with SIGKILL");
                std::future::pending().await
            }
        },
    })?;
    tracing::info!("stopped");
    Ok(())
}

fn configure(args: &Args) -> Result<Config, config::ConfigError> {
    // A variable that is not text cannot be a setting of ours.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    config::load(args.config.as_deref(), environment, &args.overrides())
}

/// The signals that a broker follows.
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

/// Waits for SIGTERM or Ctrl-C, which stop, or SIGHUP, which reads the configuration anew. One that is wrong is not taken
/// over.
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
            _ = signals.hang_up.recv() => match configure(args) {
                Ok(config) => return Instruction::Reload(Box::new(config)),
                Err(error) => tracing::error!(%error, "SIGHUP: the configuration is wrong and not taken over"),
            },
        }
    }
}

/// Says what a newcomer needs to know. Nobody reading it is no reason not to serve.
fn greet(server: &Server, asks_for_credentials: bool) {
    let address = reachable(server.address());
    let who = if asks_for_credentials {
        "for whoever shows a token or key"
    } else if !server.address().ip().is_loopback() {
        "open to everybody who can reach it (--open)"
    } else {
        "open, for this machine only"
    };
    let (scheme, websocket, tls) =
        if server.has_tls() { ("https", "wss", "TLS, ") } else { ("http", "ws", "") };
    let text = format!(
        "fanwire {version}, {workers} workers\n\
         \n  listening   {scheme}://{address}  ({tls}{who})\
         \n  WebSocket   {websocket}://{address}/ws\
         \n  start page  {scheme}://{address}/\
         \n  chat        {scheme}://{address}/examples/chat.html\
         \n  console     {scheme}://{address}/console\
         \n  metrics     {scheme}://{address}/metrics\
         \n\nTry it, in two terminals:\
         \n  curl -N -H 'Accept: text/event-stream' {scheme}://{address}/topics/chat.lobby\
         \n  curl -H 'Content-Type: text/plain' -d 'hello' {scheme}://{address}/topics/chat.lobby\n\n",
        version = env!("CARGO_PKG_VERSION"),
        workers = server.workers(),
    );
    let mut output = std::io::stdout().lock();
    let _nobody_reads = output.write_all(text.as_bytes()).and_then(|()| output.flush());
}

/// An address that can be connected to: listening on all addresses means that the loopback one will do.
fn reachable(address: SocketAddr) -> SocketAddr {
    if !address.ip().is_unspecified() {
        return address;
    }
    let loopback: std::net::IpAddr = match address {
        SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(loopback, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_configuration_is_for_this_machine_only() {
        assert!(Config::default().listen.ip().is_loopback());
        assert!(!Config::default().open);
    }

    #[test]
    fn all_addresses_are_reached_over_loopback() {
        assert_eq!(reachable("0.0.0.0:80".parse().unwrap()).to_string(), "127.0.0.1:80");
        assert_eq!(reachable("[::]:80".parse().unwrap()).to_string(), "[::1]:80");
        assert_eq!(reachable("10.1.2.3:80".parse().unwrap()).to_string(), "10.1.2.3:80");
    }
}
