//! Topic rules: the `[[topic]]` tables of the file.
//!
//! This file owns the keys of a rule and the checks of its values. `rules` in the core finds the rule of a topic.

use std::str::FromStr;
use std::time::Duration;

use fanwire_core::rule_pattern::RulePattern;
use fanwire_core::rules::Access;
use toml::de::DeValue;

use super::document::{Source, in_order};
use super::error::ConfigError;
use super::rate::{self, RateLimit};
use super::value::{Raw, kind};

const KEYS: [&str; 8] = [
    "topic.match",
    "topic.history",
    "topic.slow",
    "topic.durable",
    "topic.presence",
    "topic.publish",
    "topic.subscribe",
    "topic.rate",
];
const HISTORY_KEYS: [&str; 3] = ["topic.history.messages", "topic.history.bytes", "topic.history.ttl"];

/// The policy of all topics that match a pattern.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicRule {
    /// The pattern (key `match`), which is valid. `{user}` stands for the user's own id.
    pub pattern: String,
    /// The bounds of the history; `None` (written `history = false`) keeps none. Without the key the default applies.
    pub history: Option<HistoryRule>,
    /// The handling of a delivery that does not fit into a session's outbox.
    pub slow: SlowRule,
    /// The access that a publisher needs; `None` means the access without a rule.
    pub publish: Option<Access>,
    /// The access that a subscriber or reader needs; `None` means the access without a rule.
    pub subscribe: Option<Access>,
    /// The rate of publications of each topic; `None` means no limit.
    pub rate: Option<RateLimit>,
    /// Whether publications are written to disk, in `data_dir`, before they are acknowledged.
    pub durable: bool,
    /// Whether the topic has presence.
    pub presence: bool,
}

impl TopicRule {
    /// Returns the default rule: the pages under `/examples` use presence.
    pub(super) fn examples() -> Self {
        Self {
            pattern: "examples.>".to_owned(),
            history: Some(HistoryRule::default()),
            slow: SlowRule::default(),
            publish: None,
            subscribe: None,
            rate: None,
            durable: false,
            presence: true,
        }
    }
}

/// The handling of a delivery that does not fit into a session's outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SlowRule {
    /// The session is closed with 4413.
    #[default]
    Disconnect,
    /// The delivery is skipped, and the session receives the number of deliveries that it missed.
    Skip,
    /// Only the newest publication of a topic waits; the publications that it replaces are skipped.
    Latest,
}

/// The bounds of a topic's history. The oldest publications are dropped as soon as one of the bounds is exceeded.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryRule {
    /// The number of publications kept, without bound if `None`.
    pub messages: Option<u64>,
    /// The bytes of payload kept, without bound if `None`.
    pub bytes: Option<u64>,
    /// The time for which a publication is kept, for ever if `None`.
    pub ttl: Option<Duration>,
}

impl HistoryRule {
    /// The default history of a durable topic: bounded in size and time, and large enough for most applications.
    pub(super) fn durable() -> Self {
        Self { messages: None, bytes: Some(1 << 30), ttl: Some(Duration::from_secs(7 * 24 * 60 * 60)) }
    }
}

impl Default for HistoryRule {
    /// The history of a topic without a rule: its last 100 publications, for 2 minutes.
    fn default() -> Self {
        Self { messages: Some(100), bytes: None, ttl: Some(Duration::from_secs(120)) }
    }
}

/// Reads the value of the key `topic`, which stands at `offset`. With each rule that makes topics durable comes where it
/// says so.
pub(super) fn read_all(
    source: Source<'_>,
    offset: usize,
    value: &DeValue<'_>,
) -> Result<Vec<(TopicRule, Option<usize>)>, ConfigError> {
    let DeValue::Array(rules) = value else {
        let reason = format!("write each rule under its own [[topic]], found {}", kind(value));
        return Err(source.bad_value(offset, "topic", reason));
    };
    rules.iter().map(|rule| read(source, rule.span().start, rule.get_ref())).collect()
}

fn read(
    source: Source<'_>,
    offset: usize,
    value: &DeValue<'_>,
) -> Result<(TopicRule, Option<usize>), ConfigError> {
    let DeValue::Table(table) = value else {
        let reason = format!("write each rule under its own [[topic]], found {}", kind(value));
        return Err(source.bad_value(offset, "topic", reason));
    };
    let mut pattern = None;
    let mut history = None;
    let mut slow = SlowRule::default();
    let (mut publish, mut subscribe) = (None, None);
    let mut rate = None;
    let mut durable = None;
    let mut presence = false;
    for (key, offset, value) in in_order(table) {
        let key = format!("topic.{key}");
        let refused = |reason| source.bad_value(offset, &key, reason);
        match key.as_str() {
            "topic.match" => pattern = Some(read_pattern(value).map_err(refused)?),
            "topic.history" => history = Some(read_history(source, offset, value)?),
            "topic.slow" => slow = read_slow(value).map_err(refused)?,
            "topic.durable" => durable = Some((offset, Raw::Toml(value).switch().map_err(refused)?)),
            "topic.presence" => presence = Raw::Toml(value).switch().map_err(refused)?,
            "topic.publish" => publish = Some(read_access(value).map_err(refused)?),
            "topic.subscribe" => subscribe = Some(read_access(value).map_err(refused)?),
            "topic.rate" => rate = rate::read(Raw::Toml(value)).map_err(refused)?,
            _ => return Err(source.unknown_key(offset, &key, KEYS.into_iter())),
        }
    }
    let pattern = pattern.ok_or_else(|| ConfigError::MissingKey {
        place: source.place(offset),
        key: "topic.match".to_owned(),
        reason: "a rule needs the pattern of its topics, as in match = \"chat.>\"".to_owned(),
    })?;
    if let (Some(None), Some((offset, true))) = (&history, durable) {
        let reason =
            "the rule also has history = false, but a durable topic needs a history: remove one of the two";
        return Err(source.bad_value(offset, "topic.durable", reason));
    }
    let durable_at = durable.and_then(|(offset, is_durable)| is_durable.then_some(offset));
    let durable = durable_at.is_some();
    let default = || Some(if durable { HistoryRule::durable() } else { HistoryRule::default() });
    let history = history.unwrap_or_else(default);
    Ok((TopicRule { pattern, history, slow, durable, presence, publish, subscribe, rate }, durable_at))
}

fn read_pattern(value: &DeValue<'_>) -> Result<String, String> {
    let text = Raw::Toml(value).word()?;
    RulePattern::from_str(text).map_err(|error| format!("'{text}' is not a pattern: {error}"))?;
    Ok(text.to_owned())
}

fn read_slow(value: &DeValue<'_>) -> Result<SlowRule, String> {
    match Raw::Toml(value).word()? {
        "disconnect" => Ok(SlowRule::Disconnect),
        "skip" => Ok(SlowRule::Skip),
        "latest" => Ok(SlowRule::Latest),
        other => Err(format!("'{other}' is none of \"disconnect\", \"skip\" and \"latest\"")),
    }
}

fn read_access(value: &DeValue<'_>) -> Result<Access, String> {
    match Raw::Toml(value).word()? {
        "anyone" => Ok(Access::Anyone),
        "authenticated" => Ok(Access::Authenticated),
        "granted" => Ok(Access::Granted),
        other => Err(format!("'{other}' is none of \"anyone\", \"authenticated\" and \"granted\"")),
    }
}

fn read_history(
    source: Source<'_>,
    offset: usize,
    value: &DeValue<'_>,
) -> Result<Option<HistoryRule>, ConfigError> {
    let key = "topic.history";
    let table = match value {
        DeValue::Boolean(false) => return Ok(None),
        DeValue::Table(table) => table,
        other => {
            let reason = format!(
                "expected false or bounds such as {{ messages = 100, ttl = \"2m\" }}, found {}",
                if matches!(other, DeValue::Boolean(_)) { "true" } else { kind(other) }
            );
            return Err(source.bad_value(offset, key, reason));
        }
    };
    let mut rule = HistoryRule { messages: None, bytes: None, ttl: None };
    for (name, offset, value) in in_order(table) {
        let key = format!("{key}.{name}");
        let raw = Raw::Toml(value);
        let read = match name {
            "messages" => at_least_one(raw.count()).map(|bound| rule.messages = Some(bound)),
            "bytes" => at_least_one(raw.bytes()).map(|bound| rule.bytes = Some(bound)),
            "ttl" => raw.duration().map(|bound| rule.ttl = Some(bound)),
            _ => return Err(source.unknown_key(offset, &key, HISTORY_KEYS.into_iter())),
        };
        read.map_err(|reason| source.bad_value(offset, &key, reason))?;
    }
    if table.is_empty() {
        let reason = "set at least one of messages, bytes and ttl, or write false to keep no history";
        return Err(source.bad_value(offset, key, reason));
    }
    Ok(Some(rule))
}

fn at_least_one(bound: Result<u64, String>) -> Result<u64, String> {
    match bound? {
        0 => Err("it must be at least 1; write history = false to keep no history".to_owned()),
        bound => Ok(bound),
    }
}
