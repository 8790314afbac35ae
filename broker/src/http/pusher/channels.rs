//! `GET channels`, `GET channels/{channel}` and `GET channels/{channel}/users`: what is known of channels.

use axum::response::Response;
use fanwire_core::channels::is_cached;
use fanwire_formats::pusher::{
    ChannelKind, channel_of, check_channel, data_of, is_client_event, kind_of, user_id_of,
};
use fanwire_protocol::{Topic, json};
use serde_json::{Map, Value};

use super::error::RestError;
use super::{Signed, json as json_response};
use crate::clock;
use crate::engine::{Reading, TopicActivity};

/// The number of publications that are read in search of the last event of a channel.
const CACHE_MESSAGES: usize = 100;

/// An attribute of a channel that a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Info {
    /// The number of users of a presence channel.
    UserCount,
    /// The number of subscriptions.
    SubscriptionCount,
    /// The last event of a cached channel.
    Cache,
}

impl Info {
    /// Reads a list of attributes separated by commas.
    pub(super) fn parse(text: &str) -> Result<Vec<Self>, RestError> {
        let mut all = Vec::new();
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            all.push(match name {
                "user_count" => Self::UserCount,
                "subscription_count" => Self::SubscriptionCount,
                "cache" => Self::Cache,
                _ => {
                    let name: String = name.chars().take(40).collect();
                    return Err(RestError::bad_request(format!(
                        "info: '{name}' is none of user_count, subscription_count and cache"
                    )));
                }
            });
        }
        Ok(all)
    }

    /// Checks that a channel has the attributes.
    pub(super) fn check(info: &[Self], channel: &str) -> Result<(), RestError> {
        if info.contains(&Self::UserCount) && kind_of(channel) != ChannelKind::Presence {
            return Err(RestError::bad_request("info: only presence channels have a user_count"));
        }
        Ok(())
    }
}

/// `GET channels`: the channels with subscribers.
pub(super) async fn list(signed: &Signed) -> Result<Response, RestError> {
    let filter = parameter(signed, "filter_by_prefix").unwrap_or("");
    let info = Info::parse(parameter(signed, "info").unwrap_or(""))?;
    Info::check(&info, filter)?;
    if info.contains(&Info::Cache) {
        return Err(RestError::bad_request("info: the list of channels has no cache: ask for one channel"));
    }
    let occupied = signed.state.engine.catalog().occupied(signed.app.topic_prefix()).await?;
    let mut channels = Map::new();
    for (topic, activity) in occupied {
        let channel = channel_of(&signed.app.prefix, &topic);
        if topic.is_reserved() || !channel.starts_with(filter) || check_channel(&channel).is_err() {
            continue;
        }
        let mut attributes = Map::new();
        write_counts(&info, &activity, &mut attributes);
        channels.insert(channel.into_owned(), Value::Object(attributes));
    }
    let answer = Map::from_iter([("channels".to_owned(), Value::Object(channels))]);
    Ok(json_response(Value::Object(answer).to_string().into_bytes()))
}

/// `GET channels/{channel}`: one channel, whether it has subscribers or not.
pub(super) async fn one(signed: &Signed, channel: &str) -> Result<Response, RestError> {
    let topic = topic_of(signed, channel)?;
    let info = Info::parse(parameter(signed, "info").unwrap_or(""))?;
    Info::check(&info, channel)?;
    let details = signed.state.engine.catalog().describe(&topic).await?;
    let is_occupied = details.state.as_ref().is_some_and(is_occupied);
    let mut answer = Map::from_iter([("occupied".to_owned(), Value::Bool(is_occupied))]);
    let Value::Object(attributes) = info_of(signed, channel, &topic, &info).await? else {
        return Ok(json_response(b"{}".to_vec()));
    };
    answer.extend(attributes);
    Ok(json_response(Value::Object(answer).to_string().into_bytes()))
}

/// `GET channels/{channel}/users`: the users of a presence channel.
pub(super) fn users(signed: &Signed, channel: &str) -> Result<Response, RestError> {
    let topic = topic_of(signed, channel)?;
    if kind_of(channel) != ChannelKind::Presence {
        return Err(RestError::bad_request("only presence channels have users"));
    }
    let limit = signed.state.limits.presence_members_max;
    let (members, _) = signed.state.engine.members().list(&topic, limit).unwrap_or_default();
    let mut body = b"{\"users\":[".to_vec();
    for (index, member) in members.iter().enumerate() {
        body.extend_from_slice(if index > 0 { b",{\"id\":" } else { b"{\"id\":" });
        json::write_string(user_id_of(member), &mut body);
        body.push(b'}');
    }
    body.extend_from_slice(b"]}");
    Ok(json_response(body))
}

/// Returns the attributes of a channel.
pub(super) async fn info_of(
    signed: &Signed,
    channel: &str,
    topic: &Topic,
    info: &[Info],
) -> Result<Value, RestError> {
    let details = signed.state.engine.catalog().describe(topic).await?;
    let mut attributes = Map::new();
    match &details.state {
        Some(activity) => write_counts(info, activity, &mut attributes),
        None => {
            for (wanted, name) in
                [(Info::UserCount, "user_count"), (Info::SubscriptionCount, "subscription_count")]
            {
                if info.contains(&wanted) {
                    attributes.insert(name.to_owned(), 0.into());
                }
            }
        }
    }
    if info.contains(&Info::Cache) {
        let ttl_ms = details.policy.history.ttl_ms;
        attributes.insert("cache".to_owned(), cache_of(signed, channel, topic, ttl_ms).await?);
    }
    Ok(Value::Object(attributes))
}

/// Returns the last event of a cached channel with the seconds for which it is kept; null if there is none.
async fn cache_of(signed: &Signed, channel: &str, topic: &Topic, ttl_ms: u64) -> Result<Value, RestError> {
    if !is_cached(channel) || !signed.state.engine.keeps_history(topic) {
        return Ok(Value::Null);
    }
    let reading = Reading::Backward { until: None, limit: CACHE_MESSAGES };
    let bytes_max = signed.state.limits.outbox_bytes_max;
    let history = signed.state.engine.read_history(topic, reading, bytes_max).await?;
    let mut messages = history.page.publications.iter().map(|publication| &publication.message);
    let Some(last) = messages.find(|message| !is_client_event(&message.payload)) else {
        return Ok(Value::Null);
    };
    let age_ms = last.ts.map_or(0, |ts| clock::unix_ms().saturating_sub(ts));
    let ttl = ttl_ms.saturating_sub(age_ms) / 1000;
    let data = Value::String(data_of(&last.payload));
    Ok(Value::Object(Map::from_iter([("data".to_owned(), data), ("ttl".to_owned(), ttl.into())])))
}

fn write_counts(info: &[Info], activity: &TopicActivity, attributes: &mut Map<String, Value>) {
    if info.contains(&Info::UserCount) {
        attributes.insert("user_count".to_owned(), activity.members.into());
    }
    if info.contains(&Info::SubscriptionCount) {
        let count = activity.subscribers - activity.pattern_subscribers;
        attributes.insert("subscription_count".to_owned(), count.into());
    }
}

fn is_occupied(activity: &TopicActivity) -> bool {
    activity.subscribers > activity.pattern_subscribers
}

fn topic_of(signed: &Signed, channel: &str) -> Result<Topic, RestError> {
    check_channel(channel)?;
    if kind_of(channel) == ChannelKind::OfUser {
        return Err(RestError::bad_request("the channels of users cannot be looked at"));
    }
    Ok(signed.app.topic_of(channel)?)
}

fn parameter<'s>(signed: &'s Signed, wanted: &str) -> Option<&'s str> {
    signed.parameters.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
}
