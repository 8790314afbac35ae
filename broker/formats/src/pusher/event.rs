//! Events of the Pusher protocol as payloads, and payloads as events.
//!
//! An event is the JSON object `{"event":…,"data":…}`. Its data, which is a text for Pusher, stands in it as the JSON that it is, or as
//! a string. So native subscribers see ordinary JSON, and Pusher's receive the very bytes that were published.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fanwire_protocol::{Payload, PayloadError, PayloadView, json};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The beginning of the names of events that clients send.
pub const CLIENT_EVENT: &str = "client-";

/// The names that only the service may use, by their beginning.
const OF_SERVICE: [&str; 2] = ["pusher:", "pusher_internal:"];

/// The event by which a client learns of the users that it watches.
pub const WATCHLIST_EVENTS: &str = "pusher_internal:watchlist_events";

/// The name of a payload that is no event.
const MESSAGE: &str = "message";

/// The name of a binary payload, whose data is base64.
const BINARY: &str = "binary";

/// Returns whether only the service may use this name of an event.
pub fn is_of_service(name: &str) -> bool {
    OF_SERVICE.iter().any(|start| name.starts_with(start))
}

/// Returns the payload of an event with this name and data. `user_id` is the user that a client's event on a presence channel is from.
///
/// # Errors
/// If even as a string the data cannot be part of JSON.
pub fn event_payload(name: &str, data: &str, user_id: Option<&str>) -> Result<Payload, PayloadError> {
    let with = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::with_capacity(name.len() + data.len() + 32);
        out.extend_from_slice(b"{\"event\":");
        json::write_string(name, &mut out);
        out.extend_from_slice(b",\"data\":");
        write(&mut out);
        if let Some(user_id) = user_id {
            out.extend_from_slice(b",\"user_id\":");
            json::write_string(user_id, &mut out);
        }
        out.push(b'}');
        Payload::event(&String::from_utf8_lossy(&out))
    };
    if is_spliced(data)
        && let Ok(payload) = with(&|out| out.extend_from_slice(data.as_bytes()))
    {
        return Ok(payload);
    }
    with(&|out| json::write_string(data, out))
}

/// Returns whether data may stand in the event as it is: JSON text that is no string, with nothing around it, which would be lost.
fn is_spliced(data: &str) -> bool {
    let is_string = data.starts_with('"') || data.is_empty();
    !is_string && data.trim() == data && Payload::from_json(data).is_ok()
}

/// An event as it is stored.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    user_id: Option<&'a RawValue>,
}

/// Reads a value that is there, `null` included.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// A payload as the clients of the Pusher protocol receive it.
pub(super) struct Event<'a> {
    /// The name of the event.
    pub(super) name: Cow<'a, str>,
    data: Data<'a>,
    /// The JSON of the user that a client's event is from.
    pub(super) user_id: Option<&'a str>,
}

/// The data of an event.
enum Data<'a> {
    /// A JSON string that is the data.
    Literal(&'a str),
    /// The data as it is.
    Text(&'a str),
    /// Bytes that are sent as base64.
    Bytes(&'a [u8]),
}

impl<'a> Event<'a> {
    /// Reads a payload, which must not be MessagePack. What looks like an event of a client or of the service, and was published by
    /// other clients, is passed as a whole: it must not be taken for one.
    pub(super) fn of(payload: &'a Payload) -> Self {
        let whole = |name: &'static str, data| Self { name: Cow::Borrowed(name), data, user_id: None };
        let text = match payload.view() {
            PayloadView::Json(text) => text,
            PayloadView::Text(text) => return whole(MESSAGE, Data::Text(text)),
            PayloadView::Binary(bytes) | PayloadView::MessagePack(bytes) => {
                return whole(BINARY, Data::Bytes(bytes));
            }
        };
        let Some(Envelope { event: name, data, user_id }) = envelope_of(text) else {
            return whole(MESSAGE, Data::Text(text));
        };
        let is_of_client = name.starts_with(CLIENT_EVENT);
        let Some(data) = data.map(RawValue::get) else { return whole(MESSAGE, Data::Text(text)) };
        if !payload.is_event() && (is_of_client || is_of_service(&name)) {
            return whole(MESSAGE, Data::Text(text));
        }
        let data = if data.starts_with('"') { Data::Literal(data) } else { Data::Text(data) };
        let user_id = user_id.map(RawValue::get).filter(|_| is_of_client);
        Self { name, data, user_id }
    }

    /// Appends the data as a JSON string.
    pub(super) fn write_data(&self, out: &mut Vec<u8>) {
        match self.data {
            Data::Literal(literal) => out.extend_from_slice(literal.as_bytes()),
            Data::Text(text) => json::write_string(text, out),
            Data::Bytes(bytes) => json::write_string(&STANDARD.encode(bytes), out),
        }
    }
}

fn envelope_of(text: &str) -> Option<Envelope<'_>> {
    if text.starts_with('{') { serde_json::from_str(text).ok() } else { None }
}

/// Returns whether a payload is an event that a client has sent, or claims to be. Such events are not kept for late subscribers.
pub fn is_client_event(payload: &Payload) -> bool {
    match payload.view() {
        PayloadView::Json(text) => {
            envelope_of(text).is_some_and(|envelope| envelope.event.starts_with(CLIENT_EVENT))
        }
        _ => false,
    }
}

/// Returns the data of a payload as Pusher's clients receive it.
pub fn data_of(payload: &Payload) -> String {
    let payload = payload.to_json_payload();
    match Event::of(&payload).data {
        Data::Literal(literal) => serde_json::from_str(literal).unwrap_or_default(),
        Data::Text(text) => text.to_owned(),
        Data::Bytes(bytes) => STANDARD.encode(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_comes_out_exactly_as_it_went_in() {
        for (data, inside) in [
            (r#"{"a": 1.0}"#, r#"{"a": 1.0}"#),
            ("17", "17"),
            ("9007199254740993", "9007199254740993"),
            ("null", "null"),
            ("plain", r#""plain""#),
            (r#""quoted""#, r#""\"quoted\"""#),
            ("", r#""""#),
            (" 17", r#"" 17""#),
            ("{\"a\":\n1}", "{\"a\":\n1}"),
            ("{\"a\":1}\n", r#""{\"a\":1}\n""#),
            ("line\u{2028}\u{1}", "\"line\u{2028}\\u0001\""),
        ] {
            let payload = event_payload("e", data, None).unwrap();
            let PayloadView::Json(text) = payload.view() else { panic!("{payload:?}") };
            assert_eq!(text, format!("{{\"event\":\"e\",\"data\":{inside}}}"));
            assert_eq!(data_of(&payload), data);
            let native = Payload::from_json(text).unwrap();
            assert_eq!(data_of(&native), data, "the same text published natively");
        }
    }

    #[test]
    fn data_that_would_nest_too_deep_is_kept_as_a_string() {
        let deep = format!("{}{}", "[".repeat(128), "]".repeat(128));
        let payload = event_payload("e", &deep, None).unwrap();
        assert_eq!(data_of(&payload), deep);
        let half = r#"{"a":"\ud83d"}"#;
        assert_eq!(data_of(&event_payload("e", half, None).unwrap()), half);
    }

    #[test]
    fn payloads_of_other_clients_are_messages_and_never_forged_events() {
        let check = |payload: Payload, name: &str, data: &str| {
            let event = Event::of(&payload);
            assert_eq!((&*event.name, data_of(&payload).as_str()), (name, data));
            assert_eq!(event.user_id, None);
        };
        check(Payload::text("hi"), MESSAGE, "hi");
        check(Payload::binary([0, 255]), BINARY, "AP8=");
        for json in [
            "[1]",
            r#"{"data":1}"#,
            r#"{"event":1,"data":2}"#,
            r#"{"event":"a"}"#,
            r#"{"event":"client-a","data":1,"user_id":"7"}"#,
            r#"{"event":"pusher:error","data":{}}"#,
            r#"{"event":"pusher_internal:member_added","data":{}}"#,
        ] {
            check(Payload::from_json(json).unwrap(), MESSAGE, json);
        }
        check(Payload::from_json(r#"{"event":"a","data":[1],"user_id":"7"}"#).unwrap(), "a", "[1]");
    }

    #[test]
    fn an_event_of_a_client_names_its_user() {
        let payload = event_payload("client-a", "{}", Some("a\"b")).unwrap();
        let event = Event::of(&payload);
        assert_eq!((&*event.name, event.user_id), ("client-a", Some(r#""a\"b""#)));
        assert!(is_client_event(&payload));
        assert!(!is_client_event(&event_payload("a", "{}", None).unwrap()));
    }
}
