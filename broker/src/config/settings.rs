//! The table of settings: each key, the values that it accepts, and its field in [`Config`].
//!
//! The file, the environment and the flags all use this table, so a key exists in all of them or in none. The checks of one
//! value are here; the checks of values against each other are in `check`.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::auth;
use super::error::{ConfigError, SourcePlace};
use super::hooks;
use super::proxy;
use super::rate;
use super::value::Raw;
use super::webhooks;
use super::{Config, LogFormat};

/// The maximum of `limits.message_bytes_max`. The 32-bit lengths of all encodings can express it.
const MESSAGE_BYTES_CAP: u64 = 1 << 30;

/// The minimum of `limits.header_bytes_max`, which the HTTP library needs.
const HEADER_BYTES_FLOOR: u64 = 8 * 1024;

/// The maximum of `workers`. It is more than any machine has cores, and catches typing errors.
const WORKERS_CAP: u64 = 1024;

/// One setting that is a single value.
pub(super) struct Setting {
    /// The dotted key, such as `limits.message_bytes_max`.
    pub(super) key: &'static str,
    apply: fn(&mut Config, Raw<'_>) -> Result<(), String>,
}

impl Setting {
    /// Returns whether the value is secret.
    pub(super) fn is_secret(&self) -> bool {
        matches!(self.key, "auth.secret" | "hooks.secret")
    }
}

/// Makes a row of the table whose field has the name of the key.
macro_rules! setting {
    ($($field:ident).+, $read:expr) => {
        Setting {
            key: join_key!($($field).+),
            apply: |config, raw| {
                config.$($field).+ = $read(raw)?;
                Ok(())
            },
        }
    };
}

/// Makes a dotted key from the path of a field.
macro_rules! join_key {
    ($first:ident) => {
        stringify!($first)
    };
    ($first:ident . $second:ident) => {
        concat!(stringify!($first), ".", stringify!($second))
    };
}

/// Every setting that is a single value, in the order of the example configuration.
pub(super) const SETTINGS: &[Setting] = &[
    setting!(listen, address),
    setting!(open, Raw::switch),
    setting!(workers, workers),
    setting!(data_dir, optional_path),
    setting!(origins, origins),
    setting!(auth.secret, auth::read_secret),
    setting!(auth.secret_file, optional_path),
    setting!(auth.public_key_file, optional_path),
    setting!(auth.jwks_url, auth::read_jwks_url),
    setting!(auth.jwks_ca_file, optional_path),
    setting!(auth.algorithms, auth::read_algorithms),
    setting!(auth.audience, words),
    setting!(auth.issuer, |raw: Raw<'_>| raw.optional_word().map(|word| word.map(str::to_owned))),
    setting!(auth.allow_endless, Raw::switch),
    setting!(auth.anonymous, Raw::switch),
    setting!(auth.cookie, auth::read_cookie),
    setting!(tls.certificate, optional_path),
    setting!(tls.key, optional_path),
    setting!(proxy.trusted, proxy::read_trusted),
    setting!(proxy.protocol, proxy::read_protocol),
    setting!(log.filter, |raw: Raw<'_>| raw.word().map(str::to_owned)),
    setting!(log.format, log_format),
    setting!(limits.connections_max, count),
    setting!(limits.connections_per_address_max, count_or_none),
    setting!(limits.connection_rate, rate::read),
    setting!(limits.connection_rate_per_address, rate::read),
    setting!(limits.handshakes_max, count),
    setting!(limits.message_bytes_max, message_bytes),
    setting!(limits.fragments_per_message_max, count),
    setting!(limits.publish_rate_per_session, rate::read),
    setting!(limits.outbox_bytes_max, bytes),
    setting!(limits.inbox_bytes_max, bytes),
    setting!(limits.topics_max, count),
    setting!(limits.subscriptions_per_session_max, count),
    setting!(limits.stream_topics_max, count),
    setting!(limits.streams_per_connection_max, count),
    setting!(limits.header_bytes_max, header_bytes),
    setting!(limits.handshake_timeout, Raw::duration),
    setting!(limits.body_timeout, Raw::duration),
    setting!(limits.write_timeout, Raw::duration),
    setting!(limits.ping_interval, Raw::duration),
    setting!(limits.ping_timeout, Raw::duration),
    setting!(limits.sse_comment_interval, Raw::duration),
    setting!(limits.close_timeout, Raw::duration),
    setting!(limits.drain_timeout, Raw::duration),
    setting!(limits.history_limit_max, count),
    setting!(limits.presence_members_max, count),
    setting!(limits.presence_grace, Raw::duration),
    setting!(limits.batch_messages_max, count),
    setting!(limits.batch_bytes_max, bytes),
    setting!(history.bytes_max, |raw: Raw<'_>| at_least_one(raw.bytes()?)),
    setting!(store.group_messages_max, count),
    setting!(store.queue_bytes_max, bytes),
    setting!(store.file_bytes_max, Raw::bytes),
    setting!(hooks.url, hooks::read_url),
    setting!(hooks.secret, hooks::read_secret),
    setting!(hooks.secret_file, optional_path),
    setting!(hooks.ca_file, optional_path),
    setting!(hooks.callouts, hooks::read_callouts),
    setting!(hooks.callout_topics, auth::read_patterns),
    setting!(hooks.timeout, hooks::read_timeout),
    setting!(hooks.callouts_at_once_max, count),
    setting!(hooks.callouts_waiting_max, count),
    setting!(hooks.callouts_bytes_max, bytes),
    setting!(hooks.answer_bytes_max, bytes),
    setting!(webhooks.events, webhooks::read_events),
    setting!(webhooks.topics, auth::read_patterns),
    setting!(webhooks.vacated_after, Raw::duration),
    setting!(webhooks.delay, Raw::duration),
    setting!(webhooks.batch_events_max, count),
    setting!(webhooks.batch_bytes_max, bytes),
    setting!(webhooks.queue_events_max, count),
    setting!(webhooks.queue_bytes_max, bytes),
    setting!(webhooks.backoff_max, Raw::duration),
    setting!(webhooks.age_max, Raw::duration),
];

/// Returns the setting with this dotted key.
pub(super) fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

/// A configuration that is being loaded, with the place of each setting.
#[derive(Default)]
pub(super) struct Loader {
    pub(super) config: Config,
    places: HashMap<&'static str, (SourcePlace, String)>,
    /// The place of the first durable topic rule.
    pub(super) durable_at: Option<SourcePlace>,
    /// The place of each Pusher app.
    pub(super) pusher_at: Vec<SourcePlace>,
}

impl Loader {
    /// Applies one setting. `spelled` is the key as it is written at `place`.
    pub(super) fn set(
        &mut self,
        setting: &'static Setting,
        raw: Raw<'_>,
        place: SourcePlace,
        spelled: &str,
    ) -> Result<(), ConfigError> {
        if place == SourcePlace::Flags && setting.is_secret() {
            let variable = format!("FANWIRE_{}", setting.key.replace('.', "_").to_uppercase());
            let way = match setting.key {
                "auth.secret" => "write the secret into a file and name that in 'auth.secret_file'",
                _ => "write the secret into a file and name that in 'hooks.secret_file'",
            };
            let reason =
                format!("every user of this machine can read a command line: {way}, or use {variable}");
            return Err(ConfigError::BadValue { place, key: spelled.to_owned(), reason });
        }
        if let Err(reason) = (setting.apply)(&mut self.config, raw) {
            return Err(ConfigError::BadValue { place, key: spelled.to_owned(), reason });
        }
        self.places.insert(setting.key, (place, spelled.to_owned()));
        Ok(())
    }

    /// Sets the port of `listen`, and keeps its address.
    pub(super) fn set_port(
        &mut self,
        text: &str,
        place: SourcePlace,
        spelled: &str,
    ) -> Result<(), ConfigError> {
        let Ok(port) = text.parse() else {
            let reason = format!("'{text}' is not a port from 0 to 65535");
            return Err(ConfigError::BadValue { place, key: spelled.to_owned(), reason });
        };
        self.config.listen.set_port(port);
        Ok(())
    }

    /// Returns the last place of the setting `key`, and the spelling of the key there.
    pub(super) fn place(&self, key: &str) -> (SourcePlace, String) {
        self.places.get(key).cloned().unwrap_or_else(|| (SourcePlace::Default, key.to_owned()))
    }
}

fn address(raw: Raw<'_>) -> Result<SocketAddr, String> {
    let text = raw.word()?;
    text.parse().map_err(|_| {
        format!("'{text}' is not an address with a port; write it as in '127.0.0.1:7400' or '[::1]:7400'")
    })
}

fn workers(raw: Raw<'_>) -> Result<usize, String> {
    match raw.count()? {
        number if number > WORKERS_CAP => Err(format!("{number} is too many; write at most {WORKERS_CAP}")),
        number => fit(number),
    }
}

/// Reads a list of origins (RFC 6454 §6.2).
fn origins(raw: Raw<'_>) -> Result<Vec<String>, String> {
    let check = |origin: &str| {
        let (scheme, host) = origin.split_once("://")?;
        let plain = |letter: char| {
            letter.is_ascii_lowercase() || letter.is_ascii_digit() || "+-.:[]_".contains(letter)
        };
        (!scheme.is_empty() && !host.is_empty() && origin.replace("://", "").chars().all(plain)).then_some(())
    };
    let list = raw.list()?;
    for origin in &list {
        check(origin).ok_or_else(|| {
            format!(
                "'{origin}' is not an origin; write it as browsers send it, scheme://host or scheme://host:port in \
                 lower case with no path, as in 'https://app.example'"
            )
        })?;
    }
    Ok(list.into_iter().map(Into::into).collect())
}

fn words(raw: Raw<'_>) -> Result<Vec<String>, String> {
    Ok(raw.list()?.into_iter().map(Into::into).collect())
}

fn optional_path(raw: Raw<'_>) -> Result<Option<PathBuf>, String> {
    Ok(raw.optional_word()?.map(PathBuf::from))
}

fn log_format(raw: Raw<'_>) -> Result<LogFormat, String> {
    match raw.word()? {
        "auto" => Ok(LogFormat::Auto),
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        other => Err(format!("'{other}' is not a log format; write 'auto', 'text' or 'json'")),
    }
}

fn count(raw: Raw<'_>) -> Result<usize, String> {
    fit(at_least_one(raw.count()?)?)
}

fn count_or_none(raw: Raw<'_>) -> Result<usize, String> {
    fit(raw.count()?)
}

fn bytes(raw: Raw<'_>) -> Result<usize, String> {
    fit(at_least_one(raw.bytes()?)?)
}

fn message_bytes(raw: Raw<'_>) -> Result<usize, String> {
    match at_least_one(raw.bytes()?)? {
        number if number > MESSAGE_BYTES_CAP => {
            Err(format!("{number} bytes is too much; write at most {MESSAGE_BYTES_CAP} (1GiB)"))
        }
        number => fit(number),
    }
}

fn header_bytes(raw: Raw<'_>) -> Result<usize, String> {
    match raw.bytes()? {
        number if number < HEADER_BYTES_FLOOR => {
            Err(format!("{number} bytes is too little; write at least {HEADER_BYTES_FLOOR} (8KiB)"))
        }
        number => fit(number),
    }
}

fn at_least_one(number: u64) -> Result<u64, String> {
    if number == 0 { Err("it must be at least 1".to_owned()) } else { Ok(number) }
}

/// Converts a number to `usize`, which has fewer than 64 bits on some machines.
fn fit(number: u64) -> Result<usize, String> {
    usize::try_from(number).map_err(|_| format!("{number} is too large for this machine"))
}
