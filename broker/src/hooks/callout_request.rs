//! What the application is asked, as JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fanwire_protocol::{Payload, PayloadView};
use serde::Serialize;
use serde_json::value::RawValue;

use super::CalloutClient;
use crate::config::Callout;

/// What somebody wants.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wish<'a> {
    /// To be there, over this transport.
    Connect(&'static str),
    /// To listen to this topic or pattern, or to read it.
    Subscribe(&'a str),
    /// To publish this to a topic.
    Publish(&'a str, &'a Payload),
    /// An answer to this.
    Request(&'a str, &'a Payload),
}

impl Wish<'_> {
    /// The hook it is asked by.
    pub(super) fn ask(&self) -> Callout {
        match self {
            Wish::Connect(_) => Callout::Connect,
            Wish::Subscribe(_) => Callout::Subscribe,
            Wish::Publish(..) => Callout::Publish,
            Wish::Request(..) => Callout::Request,
        }
    }
}

#[derive(Serialize, Default)]
struct Body<'a> {
    hook: &'static str,
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transport: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
}

/// The body of the call that asks whether `asker` may have what it wishes; `id` is the call's own.
pub(super) fn body_of(id: String, asker: &CalloutClient, wish: Wish<'_>) -> Vec<u8> {
    let mut body = Body {
        hook: wish.ask().name(),
        id,
        user: asker.identity.user().map(|user| &**user),
        connection: asker.connection.map(|connection| format!("{connection:x}")),
        ..Body::default()
    };
    match wish {
        Wish::Connect(transport) => body.transport = Some(transport),
        Wish::Subscribe(pattern) => body.topic = Some(pattern),
        Wish::Publish(topic, payload) => {
            body.topic = Some(topic);
            (body.data, body.data_base64) = written(payload);
        }
        Wish::Request(method, payload) => {
            body.method = Some(method);
            (body.data, body.data_base64) = written(payload);
        }
    }
    serde_json::to_vec(&body).expect("text, and JSON that was read before, can always be written")
}

/// A payload as JSON, or as base64 if it is binary.
pub(super) fn written(payload: &Payload) -> (Option<Box<RawValue>>, Option<String>) {
    let payload = payload.to_json_payload();
    let json = match payload.view() {
        PayloadView::Binary(bytes) | PayloadView::MessagePack(bytes) => {
            return (None, Some(STANDARD.encode(bytes)));
        }
        PayloadView::Text(text) => serde_json::value::to_raw_value(text),
        PayloadView::Json(text) => RawValue::from_string(text.to_owned()),
    };
    (Some(json.expect("a payload is valid JSON")), None)
}

#[cfg(test)]
mod tests {
    use fanwire_core::identity::Identity;

    use super::*;

    fn check(wish: Wish<'_>, expected: &str) {
        let asker = CalloutClient { identity: Identity::user_named("ann"), connection: Some(0xbeef) };
        assert_eq!(String::from_utf8(body_of("1".to_owned(), &asker, wish)).unwrap(), expected);
    }

    #[test]
    fn payloads_are_asked_about_as_they_are() {
        let publish = |data: &str| {
            let head = r#"{"hook":"publish","id":"1","user":"ann","connection":"beef","topic":"a","#;
            format!("{head}{data}}}")
        };
        check(Wish::Publish("a", &Payload::text("hi\n")), &publish(r#""data":"hi\n""#));
        check(Wish::Publish("a", &Payload::binary(&b"\xff"[..])), &publish(r#""data_base64":"/w==""#));
        let json = Payload::from_json("{\"n\": 12345678901234567890}").unwrap();
        check(Wish::Publish("a", &json), &publish(r#""data":{"n": 12345678901234567890}"#));
        let packed = Payload::from_msgpack(&[0x92, 1, 2]).unwrap();
        check(Wish::Publish("a", &packed), &publish(r#""data":[1,2]"#));
    }

    #[test]
    fn somebody_unknown_is_nobody() {
        let asker = CalloutClient { identity: Identity::Anonymous, connection: None };
        let body = body_of("1".to_owned(), &asker, Wish::Subscribe("chat.>"));
        assert_eq!(body, br#"{"hook":"subscribe","id":"1","topic":"chat.>"}"#);
    }
}
