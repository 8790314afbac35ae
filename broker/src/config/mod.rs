//! Configuration: defaults, then a TOML file, then `FANWIRE_*` environment variables, then flags.
//!
//! This module owns the names, defaults and checks of every setting, and the errors that say which file, line and key
//! is wrong. It is a leaf: it does not know what the broker does with a setting, reads no environment of its own and
//! opens no file but the one it is given. The log filter is the one value it cannot judge; telemetry parses it.

mod auth;
mod check;
mod environment;
mod error;
mod file;
mod hooks;
mod limits;
mod nearest;
mod proxy;
mod rate;
mod renamed;
mod settings;
mod topic;
mod value;
mod webhooks;

#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

pub use auth::{AuthConfig, KeyConfig};
pub use error::{ConfigError, SourcePlace};
pub(crate) use hooks::SECRET_BYTES_MIN;
pub use hooks::{Callout, HooksConfig};
pub use limits::Limits;
pub use proxy::{ProxyConfig, ProxyProtocol};
pub use rate::RateLimit;
pub use topic::{HistoryRule, SlowRule, TopicRule};
pub use webhooks::{WebhookEvent, WebhooksConfig};

use settings::{Loader, SETTINGS};
use value::Raw;

/// The port the broker listens on unless told otherwise.
pub const PORT: u16 = 7400;

/// Everything the broker can be told when it starts.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Address and port to listen on; port 0 takes any free port.
    pub listen: SocketAddr,
    /// Whether to serve everyone without credentials although `listen` can be reached from other machines.
    pub open: bool,
    /// Number of worker threads; 0 stands for one per core.
    pub workers: usize,
    /// The directory in which durable topics are kept; `None` if there are none.
    pub data_dir: Option<PathBuf>,
    /// Browser origins let in besides the broker's own and loopback ones, as browsers write them.
    pub origins: Vec<String>,
    /// What is accepted as credentials.
    pub auth: AuthConfig,
    /// API keys of back ends.
    pub keys: Vec<KeyConfig>,
    /// The certificate, where the broker speaks TLS.
    pub tls: TlsConfig,
    /// The proxies in front of the broker.
    pub proxy: ProxyConfig,
    /// What is logged, and how.
    pub log: LogConfig,
    /// What one connection, one message and the whole process may take.
    pub limits: Limits,
    /// What all histories share.
    pub history: HistoryConfig,
    /// How durable topics are written.
    pub store: StoreLimits,
    /// The application's URL, and the callouts that are made to it.
    pub hooks: HooksConfig,
    /// The webhook events that are reported to the application.
    pub webhooks: WebhooksConfig,
    /// Policies of topics, in the order they are tried: the first whose pattern matches wins. A file that has any replaces those that
    /// are there without one.
    pub topics: Vec<TopicRule>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)),
            open: false,
            workers: 0,
            data_dir: None,
            origins: Vec::new(),
            auth: AuthConfig::default(),
            keys: Vec::new(),
            tls: TlsConfig::default(),
            proxy: ProxyConfig::default(),
            log: LogConfig::default(),
            limits: Limits::default(),
            history: HistoryConfig::default(),
            store: StoreLimits::default(),
            hooks: HooksConfig::default(),
            webhooks: WebhooksConfig::default(),
            topics: vec![TopicRule::examples()],
        }
    }
}

impl Config {
    /// Whether anybody is asked for credentials. If not, the broker is open.
    pub fn asks_for_credentials(&self) -> bool {
        self.auth.checks_tokens() || !self.keys.is_empty()
    }
}

/// The certificate, where the broker speaks TLS.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TlsConfig {
    /// The file with the certificate and those it was signed with, in PEM.
    pub certificate: Option<PathBuf>,
    /// The file with its private key, in PEM.
    pub key: Option<PathBuf>,
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct LogConfig {
    /// Directives of `tracing`'s `EnvFilter`, such as `info` or `info,fanwire_broker=debug`.
    pub filter: String,
    /// The form of a log line.
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Auto }
    }
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// One line of text for people.
    Text,
    /// One JSON object per line for log collectors.
    Json,
}

/// What all histories share.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryConfig {
    /// The memory all kept publications of all topics may take together, in bytes.
    pub bytes_max: u64,
}

impl Default for HistoryConfig {
    fn default() -> Self {
        Self { bytes_max: 256 * 1024 * 1024 }
    }
}

/// How durable topics are written.
#[derive(Debug, Clone, PartialEq)]
pub struct StoreLimits {
    /// Publications written to disk at once, at most.
    pub group_messages_max: usize,
    /// What may wait for the disk before publishers are slowed down, in bytes; at twice that they are refused.
    pub queue_bytes_max: usize,
    /// How large the database may become, in bytes; 0 leaves it to the disk.
    pub file_bytes_max: u64,
}

impl Default for StoreLimits {
    fn default() -> Self {
        Self { group_messages_max: 4096, queue_bytes_max: 64 * 1024 * 1024, file_bytes_max: 0 }
    }
}

/// Settings given on the command line: pairs of a dotted key and its value, such as
/// `("limits.message_bytes_max", "64MiB")`. The key `port` sets only the port of `listen`.
#[derive(Debug, Clone, Default)]
pub struct Overrides(pub Vec<(String, String)>);

/// Puts the configuration together: defaults, then `file`, then the `FANWIRE_*` variables of `environment`, then
/// `flags`, each overriding the one before.
///
/// # Errors
/// Stops at the first thing that is wrong, and says where it stands and what would be right.
pub fn load(
    file: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
    flags: &Overrides,
) -> Result<Config, ConfigError> {
    let text = match file {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?,
        None => String::new(),
    };
    assemble(file::Source { path: file.unwrap_or(Path::new("")), text: &text }, environment, flags)
}

/// Reads a length of time as the configuration writes it: `90s`, `15m`, `1h`.
///
/// # Errors
/// Says what would be right.
pub fn parse_time(text: &str) -> Result<std::time::Duration, String> {
    Raw::Text(text).duration()
}

/// Does what [`load`] does once the file has been read.
fn assemble(
    source: file::Source<'_>,
    environment: impl Iterator<Item = (String, String)>,
    flags: &Overrides,
) -> Result<Config, ConfigError> {
    let mut loader = Loader::default();
    file::read(source, &mut loader)?;
    environment::read(environment, &mut loader)?;
    read_flags(flags, &mut loader)?;
    check::fit_defaults(&mut loader);
    check::check(&loader)?;
    Ok(loader.config)
}

/// Applies the flags in the order they were given, `port` last so that it holds whatever `listen` says.
fn read_flags(flags: &Overrides, loader: &mut Loader) -> Result<(), ConfigError> {
    let (ports, others): (Vec<_>, Vec<_>) = flags.0.iter().partition(|(key, _)| key == "port");
    for (key, text) in others {
        let Some(setting) = settings::find(key) else {
            if let Some(new) = renamed::new_name(key) {
                let (place, old) = (SourcePlace::Flags, key.clone());
                return Err(ConfigError::RenamedKey { place, old, new: new.to_owned() });
            }
            let keys = SETTINGS.iter().map(|setting| setting.key).chain(["port"]);
            let nearest = nearest::nearest(key, keys).map(str::to_owned);
            return Err(ConfigError::UnknownKey { place: SourcePlace::Flags, key: key.clone(), nearest });
        };
        loader.set(setting, Raw::Text(text), SourcePlace::Flags, key)?;
    }
    for (key, text) in ports {
        loader.set_port(text, SourcePlace::Flags, key)?;
    }
    Ok(())
}
