//! The form of what clients send: `{"event":…,"channel":…,"data":…}`.
//!
//! The data of requests is an object, or the text of one. This file does not know what the requests mean.

use std::borrow::Cow;
use std::sync::Arc;

use fanwire_protocol::Payload;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A message of a client.
#[derive(Deserialize)]
pub(super) struct ClientMessage<'a> {
    /// The name of the event.
    #[serde(borrow)]
    pub(super) event: Cow<'a, str>,
    /// The channel of an event that the client sends.
    #[serde(borrow, default)]
    channel: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
}

/// The data of `pusher:subscribe` and `pusher:unsubscribe`.
#[derive(Deserialize)]
pub(super) struct Subscription {
    /// The channel that is meant.
    pub(super) channel: String,
    /// The signature, with the key before it.
    #[serde(default)]
    pub(super) auth: Option<String>,
    /// The member, exactly as it was signed.
    #[serde(default)]
    pub(super) channel_data: Option<String>,
}

/// The data of `pusher:signin`.
#[derive(Deserialize)]
pub(super) struct SignIn {
    /// The signature, with the key before it.
    pub(super) auth: String,
    /// The user, exactly as it was signed.
    pub(super) user_data: String,
}

/// A user, as the application describes it to the members of a channel.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct User {
    /// The id of the user. A number becomes its digits.
    pub(super) id: Arc<str>,
    /// The description of the user that other members see.
    pub(super) info: Option<Payload>,
}

/// Reads a value that is there, `null` included.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl<'a> ClientMessage<'a> {
    /// Reads a message.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub(super) fn parse(text: &'a str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| {
            format!(
                "a message is a JSON object with a text 'event', as in {{\"event\":\"pusher:ping\"}}: {error}"
            )
        })
    }

    /// Returns the channel of an event that the client sends. Old clients write it into the data.
    pub(super) fn channel(&self) -> Option<&str> {
        self.channel.as_deref()
    }

    /// Reads the data of a request.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub(super) fn request<T: for<'de> Deserialize<'de>>(&self) -> Result<T, String> {
        let wrong = |error: serde_json::Error| format!("the data of '{}' is not valid: {error}", self.event);
        let Some(data) = self.data.map(RawValue::get) else {
            return Err(format!("the data of '{}' is missing", self.event));
        };
        if data.starts_with('"') {
            let text: String = serde_json::from_str(data).map_err(wrong)?;
            return serde_json::from_str(&text).map_err(wrong);
        }
        serde_json::from_str(data).map_err(wrong)
    }

    /// Returns the data of an event as text: a string is its content, any other JSON is itself.
    ///
    /// # Errors
    /// If the string stands for no text.
    pub(super) fn event_data(&self) -> Result<Cow<'a, str>, String> {
        match self.data.map(RawValue::get) {
            None => Ok(Cow::Borrowed("")),
            Some(literal) if literal.starts_with('"') => serde_json::from_str(literal)
                .map(Cow::Owned)
                .map_err(|error| format!("the data is no text: {error}")),
            Some(json) => Ok(Cow::Borrowed(json)),
        }
    }
}

/// Reads the member in `channel_data`.
///
/// # Errors
/// Says what is wrong with it.
pub(super) fn member_in(channel_data: &str) -> Result<User, String> {
    #[derive(Deserialize)]
    struct ChannelData<'a> {
        #[serde(borrow)]
        user_id: &'a RawValue,
        #[serde(borrow, default)]
        user_info: Option<&'a RawValue>,
    }
    let data: ChannelData<'_> = serde_json::from_str(channel_data).map_err(|error| {
        format!(
            "channel_data is the text of a JSON object with user_id, as in {{\"user_id\":\"7\"}}: {error}"
        )
    })?;
    user_of("user_id", data.user_id, data.user_info)
}

/// Reads the user in `user_data`, and the users that it watches.
///
/// # Errors
/// Says what is wrong with it.
pub(super) fn user_in(user_data: &str) -> Result<(User, Vec<String>), String> {
    #[derive(Deserialize)]
    struct UserData<'a> {
        #[serde(borrow)]
        id: &'a RawValue,
        #[serde(borrow, default)]
        user_info: Option<&'a RawValue>,
        #[serde(borrow, default)]
        watchlist: Vec<&'a RawValue>,
    }
    let data: UserData<'_> = serde_json::from_str(user_data).map_err(|error| {
        format!("user_data is the text of a JSON object with a text id, as in {{\"id\":\"7\"}}: {error}")
    })?;
    let watched: Result<Vec<String>, String> =
        data.watchlist.iter().map(|id| id_of("an id of the watchlist", id)).collect();
    Ok((user_of("id", data.id, data.user_info)?, watched?))
}

fn user_of(name: &str, id: &RawValue, info: Option<&RawValue>) -> Result<User, String> {
    let id = id_of(name, id)?;
    let info =
        info.map(|info| Payload::from_json(info.get())).transpose().map_err(|error| error.to_string())?;
    Ok(User { id: id.into(), info })
}

/// Returns an id, which is a text that is not empty, or the digits of a number.
fn id_of(name: &str, id: &RawValue) -> Result<String, String> {
    let text = id.get();
    let is_number = || text.starts_with(|letter: char| letter == '-' || letter.is_ascii_digit());
    match serde_json::from_str::<String>(text) {
        Ok(id) if id.is_empty() => Err(format!("{name} must not be empty")),
        Ok(id) => Ok(id),
        Err(_) if is_number() => Ok(text.to_owned()),
        Err(_) => Err(format!("{name} must be a text, and is {}", text.chars().take(40).collect::<String>())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_of_a_request_is_an_object_or_the_text_of_one() {
        for text in [
            r#"{"event":"pusher:subscribe","data":{"channel":"a"}}"#,
            r#"{"event":"pusher:subscribe","data":"{\"channel\":\"a\"}"}"#,
            r#"{"data":{"channel":"a","auth":null,"other":1},"event":"pusher:subscribe"}"#,
        ] {
            let subscription: Subscription = ClientMessage::parse(text).unwrap().request().unwrap();
            assert_eq!((subscription.channel.as_str(), subscription.auth), ("a", None), "{text}");
        }
        for text in [
            r#"{"event":"pusher:subscribe"}"#,
            r#"{"event":"pusher:subscribe","data":null}"#,
            r#"{"event":"pusher:subscribe","data":{"channel":1}}"#,
            r#"{"event":"pusher:subscribe","data":"a"}"#,
        ] {
            assert!(ClientMessage::parse(text).unwrap().request::<Subscription>().is_err(), "{text}");
        }
        for text in ["", "[]", "{}", r#"{"event":1}"#, r#"{"event":"a","event":"b"}"#, r#"{"event":"a"} x"#] {
            assert!(ClientMessage::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_data_of_an_event_is_text_or_json_as_it_was_written() {
        let data = |text| ClientMessage::parse(text).unwrap().event_data().map(Cow::into_owned);
        assert_eq!(data(r#"{"event":"client-a","data":{"a": 1.0}}"#).unwrap(), r#"{"a": 1.0}"#);
        assert_eq!(data(r#"{"event":"client-a","data":"a\"b"}"#).unwrap(), "a\"b");
        assert_eq!(data(r#"{"event":"client-a","data":null}"#).unwrap(), "null");
        assert_eq!(data(r#"{"event":"client-a"}"#).unwrap(), "");
        assert!(data(r#"{"event":"client-a","data":"\ud83d"}"#).is_err());
    }

    #[test]
    fn the_id_of_a_user_may_be_a_number() {
        let id = |data: &str| member_in(data).map(|user| user.id.to_string());
        assert_eq!(id(r#"{"user_id":10,"user_info":{"name":"Mr. Channels"}}"#).unwrap(), "10");
        assert_eq!(id(r#"{"user_id":"ann"}"#).unwrap(), "ann");
        assert_eq!(id(r#"{"user_id":9007199254740993}"#).unwrap(), "9007199254740993");
        for data in
            ["", "{}", r#"{"user_id":""}"#, r#"{"user_id":true}"#, r#"{"user_id":{}}"#, r#"{"user_id":null}"#]
        {
            assert!(member_in(data).is_err(), "{data}");
        }
        let (user, watched) =
            user_in(r#"{"id":"7","user_info":{"name": "Ann"},"watchlist":["8",9]}"#).unwrap();
        assert_eq!(watched, ["8", "9"]);
        assert_eq!(user.info, Some(Payload::from_json(r#"{"name": "Ann"}"#).unwrap()));
    }
}
