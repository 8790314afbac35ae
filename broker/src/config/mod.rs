//! Configuration: defaults, then a TOML file, then `FANWIRE_*` environment variables, then flags.
//!
//! This module owns the names, defaults and checks of all settings, and the errors with file, line and key. It is a leaf: it
//! does not know what the broker does with a setting. The log filter is the one value that it does not check; telemetry
//! parses it.

mod auth;
mod check;
mod document;
mod environment;
mod error;
mod file;
mod hooks;
mod limits;
mod load;
mod nearest;
mod proxy;
mod pusher;
mod rate;
mod renamed;
mod settings;
mod topic;
mod value;
mod webhooks;

#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

pub use auth::{AuthConfig, KeyConfig};
pub use error::{ConfigError, SourcePlace};
pub(crate) use hooks::SECRET_BYTES_MIN;
pub use hooks::{Callout, HooksConfig};
pub use limits::Limits;
pub use load::{Overrides, load, parse_time};
pub(crate) use nearest::nearest;
pub use proxy::{ProxyConfig, ProxyProtocol};
pub use pusher::{PusherAppConfig, PusherEvent, PusherWebhookConfig};
pub use rate::RateLimit;
pub use topic::{HistoryRule, SlowRule, TopicRule};
pub use webhooks::{WebhookEvent, WebhooksConfig};

/// The default port of the broker.
pub const PORT: u16 = 7400;

/// The whole configuration of a broker.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The address and port to listen on; port 0 takes any free port.
    pub listen: SocketAddr,
    /// Whether to require no credentials although other machines can reach `listen`.
    pub open: bool,
    /// The number of worker threads; 0 means one per core.
    pub workers: usize,
    /// The directory of durable topics; `None` if there are none.
    pub data_dir: Option<PathBuf>,
    /// The origins that are accepted besides the broker's own and loopback ones, as browsers write them.
    pub origins: Vec<String>,
    /// The credentials that are accepted.
    pub auth: AuthConfig,
    /// The API keys of back ends.
    pub keys: Vec<KeyConfig>,
    /// The Pusher apps. With any app the broker speaks the Pusher Channels protocol.
    pub pusher_apps: Vec<PusherAppConfig>,
    /// The certificate, if the broker uses TLS.
    pub tls: TlsConfig,
    /// The proxies in front of the broker.
    pub proxy: ProxyConfig,
    /// The settings of the log.
    pub log: LogConfig,
    /// The limits of one connection, one message and the whole process.
    pub limits: Limits,
    /// The limit of all history.
    pub history: HistoryConfig,
    /// The limits of writing durable topics.
    pub store: StoreLimits,
    /// The application's URL, and the callouts that are made to it.
    pub hooks: HooksConfig,
    /// The webhook events that are reported to the application.
    pub webhooks: WebhooksConfig,
    /// The topic rules in their order: the first rule whose pattern matches a topic applies. The rules of a file replace the
    /// default ones.
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
            pusher_apps: Vec::new(),
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
    /// Returns whether the broker requires credentials. If not, it is open.
    pub fn has_authentication(&self) -> bool {
        self.auth.checks_tokens() || !self.keys.is_empty()
    }
}

/// The certificate, if the broker uses TLS.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TlsConfig {
    /// The file with the certificate chain, in PEM.
    pub certificate: Option<PathBuf>,
    /// The file with the private key, in PEM.
    pub key: Option<PathBuf>,
}

/// The filter and the form of the log.
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
    /// Lines of text for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// The limit of all history.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryConfig {
    /// The maximum memory of all publications held as history, in bytes.
    pub bytes_max: u64,
}

impl Default for HistoryConfig {
    fn default() -> Self {
        Self { bytes_max: 256 * 1024 * 1024 }
    }
}

/// The limits of writing durable topics.
#[derive(Debug, Clone, PartialEq)]
pub struct StoreLimits {
    /// The maximum number of publications in one commit.
    pub group_messages_max: usize,
    /// The size of the queue for the disk, in bytes, at which publishers are slowed down. At twice this size they are refused.
    pub queue_bytes_max: usize,
    /// The maximum size of the database, in bytes; 0 means no limit.
    pub file_bytes_max: u64,
}

impl Default for StoreLimits {
    fn default() -> Self {
        Self { group_messages_max: 4096, queue_bytes_max: 64 * 1024 * 1024, file_bytes_max: 0 }
    }
}
