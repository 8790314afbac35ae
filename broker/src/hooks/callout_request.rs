//! The body of a callout, as JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fanwire_protocol::{Payload, PayloadView};
use serde::Serialize;
use serde_json::value::RawValue;

use super::CalloutClient;
use crate::config::Callout;

/// The action of a client that a callout is made for.
#[derive(Debug, Clone, Copy)]
pub(super) enum CalloutRequest<'a> {
    /// A connection over this transport.
    Connect(&'static str),
    /// A subscription to this topic or pattern, or reading it.
    Subscribe(&'a str),
    /// A publication of this payload to a topic.
    Publish(&'a str, &'a Payload),
    /// A request with this method and payload.
    Request(&'a str, &'a Payload),
}

impl CalloutRequest<'_> {
    /// Returns the kind of the callout.
    pub(super) fn kind(&self) -> Callout {
        match self {
            CalloutRequest::Connect(_) => Callout::Connect,
            CalloutRequest::Subscribe(_) => Callout::Subscribe,
            CalloutRequest::Publish(..) => Callout::Publish,
            CalloutRequest::Request(..) => Callout::Request,
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

/// Returns the body of the callout for a request of `client`. `id` identifies the call.
pub(super) fn body_of(id: String, client: &CalloutClient, request: CalloutRequest<'_>) -> Vec<u8> {
    let mut body = Body {
        hook: request.kind().name(),
        id,
        user: client.identity.user().map(|user| &**user),
        connection: client.connection.map(|connection| format!("{connection:x}")),
        ..Body::default()
    };
    match request {
        CalloutRequest::Connect(transport) => body.transport = Some(transport),
        CalloutRequest::Subscribe(pattern) => body.topic = Some(pattern),
        CalloutRequest::Publish(topic, payload) => {
            body.topic = Some(topic);
            (body.data, body.data_base64) = written(payload);
        }
        CalloutRequest::Request(method, payload) => {
            body.method = Some(method);
            (body.data, body.data_base64) = written(payload);
        }
    }
    serde_json::to_vec(&body).expect("text and valid JSON can always be serialized")
}

/// Returns a payload as JSON, or as base64 if it is binary.
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

    fn check(request: CalloutRequest<'_>, expected: &str) {
        let client = CalloutClient { identity: Identity::user_named("ann"), connection: Some(0xbeef) };
        assert_eq!(String::from_utf8(body_of("1".to_owned(), &client, request)).unwrap(), expected);
    }

    #[test]
    fn payloads_are_in_the_body_unchanged() {
        let publish = |data: &str| {
            let head = r#"{"hook":"publish","id":"1","user":"ann","connection":"beef","topic":"a","#;
            format!("{head}{data}}}")
        };
        check(CalloutRequest::Publish("a", &Payload::text("hi\n")), &publish(r#""data":"hi\n""#));
        check(
            CalloutRequest::Publish("a", &Payload::binary(&b"\xff"[..])),
            &publish(r#""data_base64":"/w==""#),
        );
        let json = Payload::from_json("{\"n\": 12345678901234567890}").unwrap();
        check(CalloutRequest::Publish("a", &json), &publish(r#""data":{"n": 12345678901234567890}"#));
        let packed = Payload::from_msgpack(&[0x92, 1, 2]).unwrap();
        check(CalloutRequest::Publish("a", &packed), &publish(r#""data":[1,2]"#));
    }

    #[test]
    fn anonymous_client_has_no_user() {
        let client = CalloutClient { identity: Identity::Anonymous, connection: None };
        let body = body_of("1".to_owned(), &client, CalloutRequest::Subscribe("chat.>"));
        assert_eq!(body, br#"{"hook":"subscribe","id":"1","topic":"chat.>"}"#);
    }
}
