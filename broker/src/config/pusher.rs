//! Pusher apps: the `[[pusher.app]]` tables of the file. With any app the broker speaks the Pusher Channels protocol.
//!
//! This file owns the keys of an app and the checks of its values. Secret files are named here and read elsewhere.

use std::path::PathBuf;

use fanwire_protocol::Topic;
use toml::de::DeValue;

use super::document::{Source, in_order};
use super::error::ConfigError;
use super::hooks;
use super::nearest::nearest;
use super::rate::{self, RateLimit};
use super::value::{Raw, kind};
use crate::secret::Secret;

const KEYS: [&str; 10] = [
    "pusher.app.id",
    "pusher.app.key",
    "pusher.app.secret",
    "pusher.app.secret_file",
    "pusher.app.prefix",
    "pusher.app.client_events",
    "pusher.app.client_event_rate",
    "pusher.app.subscription_count",
    "pusher.app.event_bytes_max",
    "pusher.app.webhooks",
];
const WEBHOOK_KEYS: [&str; 2] = ["pusher.app.webhooks.url", "pusher.app.webhooks.events"];

/// The variable that holds the secret of the only app that has none in the file. The variable of one app of several is this, `_`,
/// and its id in upper case.
pub(super) const SECRET_VARIABLE: &str = "FANWIRE_PUSHER_APP_SECRET";

/// The longest id and key of an app, in bytes.
const NAME_BYTES_MAX: usize = 100;

/// The longest prefix. With the longest channel it still makes a topic.
const PREFIX_BYTES_MAX: usize = 64;

/// The configuration of one Pusher app.
#[derive(Debug, Clone, PartialEq)]
pub struct PusherAppConfig {
    /// The id, which is part of the paths of the REST API.
    pub id: String,
    /// The public key, which clients name when they connect.
    pub key: String,
    /// The secret that signs requests and subscriptions.
    pub secret: Option<Secret>,
    /// A file with that secret.
    pub secret_file: Option<PathBuf>,
    /// The levels that stand before a channel in the name of its topic; `None` if the file does not say, which means none.
    pub prefix: Option<String>,
    /// Whether clients may send events on private and presence channels.
    pub client_events: bool,
    /// The rate of these for each connection; `None` means no limit.
    pub client_event_rate: Option<RateLimit>,
    /// Whether subscribers receive the number of subscribers.
    pub subscription_count: bool,
    /// The maximum size of the data of an event, in bytes.
    pub event_bytes_max: usize,
    /// The webhooks of the app.
    pub webhooks: Vec<PusherWebhookConfig>,
}

/// A URL that receives the webhooks of a Pusher app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PusherWebhookConfig {
    /// The URL that receives the events.
    pub url: String,
    /// The events that are sent.
    pub events: Vec<PusherEvent>,
}

/// An event of a Pusher app that webhooks report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PusherEvent {
    /// A channel has its first subscriber.
    ChannelOccupied,
    /// A channel has lost its last subscriber.
    ChannelVacated,
    /// A user has joined a presence channel.
    MemberAdded,
    /// A user has left a presence channel.
    MemberRemoved,
    /// A client has sent an event.
    ClientEvent,
    /// A client has subscribed to a cache channel that holds no event.
    CacheMiss,
    /// The number of subscribers of a channel has changed.
    SubscriptionCount,
}

impl PusherEvent {
    /// All events that webhooks report.
    pub const ALL: [PusherEvent; 7] = [
        PusherEvent::ChannelOccupied,
        PusherEvent::ChannelVacated,
        PusherEvent::MemberAdded,
        PusherEvent::MemberRemoved,
        PusherEvent::ClientEvent,
        PusherEvent::CacheMiss,
        PusherEvent::SubscriptionCount,
    ];

    /// Returns the name in the configuration and in the calls.
    pub fn name(self) -> &'static str {
        match self {
            PusherEvent::ChannelOccupied => "channel_occupied",
            PusherEvent::ChannelVacated => "channel_vacated",
            PusherEvent::MemberAdded => "member_added",
            PusherEvent::MemberRemoved => "member_removed",
            PusherEvent::ClientEvent => "client_event",
            PusherEvent::CacheMiss => "cache_miss",
            PusherEvent::SubscriptionCount => "subscription_count",
        }
    }
}

impl PusherAppConfig {
    /// An app with this id and key, and the default of everything else.
    pub fn new(id: impl Into<String>, key: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            key: key.into(),
            secret: None,
            secret_file: None,
            prefix: None,
            client_events: true,
            client_event_rate: Some(RateLimit { per_second: 10, burst: 20 }),
            subscription_count: false,
            event_bytes_max: 10 * 1024,
            webhooks: Vec::new(),
        }
    }

    /// Returns whether any webhook reports events of this kind.
    pub(super) fn reports(&self, kind: PusherEvent) -> bool {
        self.webhooks.iter().any(|webhook| webhook.events.contains(&kind))
    }

    /// Returns the variable of the environment that may hold the secret of this app among others.
    pub(super) fn secret_variable(&self) -> String {
        let letter =
            |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' };
        format!("{SECRET_VARIABLE}_{}", self.id.chars().map(letter).collect::<String>())
    }
}

/// Reads the section `pusher`, which holds nothing but the apps. With each app comes its place.
pub(super) fn read_section(
    source: Source<'_>,
    offset: usize,
    value: &DeValue<'_>,
) -> Result<Vec<(PusherAppConfig, usize)>, ConfigError> {
    let DeValue::Table(table) = value else {
        let reason = format!("write each Pusher app under its own [[pusher.app]], found {}", kind(value));
        return Err(source.bad_value(offset, "pusher", reason));
    };
    let mut apps: Vec<(PusherAppConfig, usize)> = Vec::new();
    for (key, offset, value) in in_order(table) {
        let key = format!("pusher.{key}");
        if key != "pusher.app" {
            return Err(source.unknown_key(offset, &key, ["pusher.app"].into_iter()));
        }
        let DeValue::Array(tables) = value else {
            let reason = format!("write each Pusher app under its own [[pusher.app]], found {}", kind(value));
            return Err(source.bad_value(offset, &key, reason));
        };
        for table in tables {
            let offset = table.span().start;
            let app = read_app(source, offset, table.get_ref())?;
            check_distinct(source, offset, &app, &apps)?;
            apps.push((app, offset));
        }
    }
    Ok(apps)
}

/// Checks that no two apps share what tells them apart.
fn check_distinct(
    source: Source<'_>,
    offset: usize,
    app: &PusherAppConfig,
    others: &[(PusherAppConfig, usize)],
) -> Result<(), ConfigError> {
    let prefix_of = |app: &PusherAppConfig| app.prefix.clone().unwrap_or_default();
    for (other, _) in others {
        let (key, reason) = if other.id == app.id {
            ("pusher.app.id", format!("there are two apps with the id '{}': give each its own", app.id))
        } else if other.key == app.key {
            ("pusher.app.key", format!("there are two apps with the key '{}': give each its own", app.key))
        } else if prefix_of(other) == prefix_of(app) {
            let reason = format!(
                "the apps '{}' and '{}' have the same prefix '{}', so each would receive the events of the other: give \
                 each its own prefix",
                other.id,
                app.id,
                prefix_of(app)
            );
            ("pusher.app.prefix", reason)
        } else {
            continue;
        };
        return Err(source.bad_value(offset, key, reason));
    }
    Ok(())
}

fn read_app(source: Source<'_>, offset: usize, value: &DeValue<'_>) -> Result<PusherAppConfig, ConfigError> {
    let DeValue::Table(table) = value else {
        let reason = format!("write each Pusher app under its own [[pusher.app]], found {}", kind(value));
        return Err(source.bad_value(offset, "pusher.app", reason));
    };
    let mut app = PusherAppConfig::new("", "");
    for (key, offset, value) in in_order(table) {
        let key = format!("pusher.app.{key}");
        let refused = |reason| source.bad_value(offset, &key, reason);
        let raw = Raw::Toml(value);
        match key.as_str() {
            "pusher.app.id" => app.id = read_name(raw).map_err(refused)?,
            "pusher.app.key" => app.key = read_name(raw).map_err(refused)?,
            "pusher.app.secret" => app.secret = read_secret(raw).map_err(refused)?,
            "pusher.app.secret_file" => {
                app.secret_file = raw.optional_word().map_err(refused)?.map(PathBuf::from);
            }
            "pusher.app.prefix" => app.prefix = Some(read_prefix(raw).map_err(refused)?),
            "pusher.app.client_events" => app.client_events = raw.switch().map_err(refused)?,
            "pusher.app.client_event_rate" => app.client_event_rate = rate::read(raw).map_err(refused)?,
            "pusher.app.subscription_count" => app.subscription_count = raw.switch().map_err(refused)?,
            "pusher.app.event_bytes_max" => app.event_bytes_max = read_size(raw).map_err(refused)?,
            "pusher.app.webhooks" => app.webhooks = read_webhooks(source, offset, value)?,
            _ => return Err(source.unknown_key(offset, &key, KEYS.into_iter())),
        }
    }
    let missing = |key: &str, reason: &str| {
        let (place, key, reason) = (source.place(offset), key.to_owned(), reason.to_owned());
        Err(ConfigError::MissingKey { place, key, reason })
    };
    if app.id.is_empty() {
        return missing("pusher.app.id", "a Pusher app needs an id, as in id = \"100\" (PUSHER_APP_ID)");
    }
    if app.key.is_empty() {
        return missing("pusher.app.key", "a Pusher app needs a key, which clients name (PUSHER_APP_KEY)");
    }
    if app.secret.is_some() && app.secret_file.is_some() {
        let reason = "the app has a secret as well: keep one of the two";
        return Err(source.bad_value(offset, "pusher.app.secret_file", reason));
    }
    Ok(app)
}

/// Reads an id or a key. Both stand in paths as they are.
fn read_name(raw: Raw<'_>) -> Result<String, String> {
    let text = raw.word()?;
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if text.len() > NAME_BYTES_MAX || !text.chars().all(is_plain) {
        return Err(format!(
            "'{text}' is not accepted: write at most {NAME_BYTES_MAX} letters, digits, '-', '_' and '.'"
        ));
    }
    Ok(text.to_owned())
}

/// Reads a secret. Errors do not repeat it.
fn read_secret(raw: Raw<'_>) -> Result<Option<Secret>, String> {
    Ok(raw.optional_word()?.map(Secret::new))
}

fn read_prefix(raw: Raw<'_>) -> Result<String, String> {
    let text = raw.text()?;
    let is_topic = || Topic::new(text).is_ok_and(|topic| !topic.is_reserved());
    if text.is_empty() {
        return Ok(String::new());
    }
    if text.len() > PREFIX_BYTES_MAX || text.starts_with('%') || !is_topic() {
        return Err(format!(
            "'{text}' is not the beginning of a topic: write at most {PREFIX_BYTES_MAX} bytes without wildcards and \
             without a dot at the end, as in \"shop\""
        ));
    }
    Ok(text.to_owned())
}

fn read_size(raw: Raw<'_>) -> Result<usize, String> {
    match raw.bytes()? {
        0 => Err("it must be at least 1".to_owned()),
        bytes => usize::try_from(bytes).map_err(|_| format!("{bytes} is too large for this machine")),
    }
}

fn read_webhooks(
    source: Source<'_>,
    offset: usize,
    value: &DeValue<'_>,
) -> Result<Vec<PusherWebhookConfig>, ConfigError> {
    let key = "pusher.app.webhooks";
    let expected = |found: &DeValue<'_>| {
        let example = "[{ url = \"https://app.example/pusher\", events = [\"channel_occupied\"] }]";
        source.bad_value(offset, key, format!("expected a list such as {example}, found {}", kind(found)))
    };
    let DeValue::Array(tables) = value else { return Err(expected(value)) };
    let mut webhooks = Vec::new();
    for table in tables {
        let DeValue::Table(fields) = table.get_ref() else { return Err(expected(table.get_ref())) };
        let (mut url, mut events) = (None, Vec::new());
        for (name, offset, value) in in_order(fields) {
            let key = format!("{key}.{name}");
            let refused = |reason| source.bad_value(offset, &key, reason);
            match name {
                "url" => url = hooks::read_url(Raw::Toml(value)).map_err(refused)?,
                "events" => events = read_events(Raw::Toml(value)).map_err(refused)?,
                _ => return Err(source.unknown_key(offset, &key, WEBHOOK_KEYS.into_iter())),
            }
        }
        let Some(url) = url else {
            let (place, key) = (source.place(table.span().start), "pusher.app.webhooks.url".to_owned());
            let reason = "a webhook needs the URL that receives its events".to_owned();
            return Err(ConfigError::MissingKey { place, key, reason });
        };
        webhooks.push(PusherWebhookConfig { url, events });
    }
    Ok(webhooks)
}

fn read_events(raw: Raw<'_>) -> Result<Vec<PusherEvent>, String> {
    let read = |name: &str| {
        PusherEvent::ALL.into_iter().find(|event| event.name() == name).ok_or_else(|| {
            let near = nearest(name, PusherEvent::ALL.into_iter().map(PusherEvent::name));
            let hint = near.map_or(String::new(), |near| format!("; did you mean '{near}'?"));
            let names = PusherEvent::ALL.map(|event| format!("'{}'", event.name())).join(", ");
            format!("'{name}' is not an event of Pusher's webhooks{hint} There are {names}")
        })
    };
    raw.list()?.iter().map(|name| read(name)).collect()
}
