//! Webhook events as JSON: single events, and the body of the call that contains a batch of them.

use bytes::Bytes;
use fanwire_core::identity::Identity;
use fanwire_core::webhook_queue::WebhookBatch;
use fanwire_protocol::{Member, Pattern, Payload, Topic};
use serde::Serialize;
use serde_json::value::RawValue;

use super::callout_request::written;
use crate::config::WebhookEvent;

/// An event that is reported to the application.
#[derive(Debug, Clone, Copy)]
pub(super) enum Event<'a> {
    /// A connection has ended.
    Disconnect(&'a EndedConnection<'a>),
    /// A topic or pattern has its first subscriber.
    Occupied(&'a Pattern),
    /// A topic or pattern has no subscriber any more.
    Vacated(&'a Pattern),
    /// A user has joined a topic with presence.
    Joined(&'a Topic, &'a Member),
    /// A user has left a topic with presence.
    Left(&'a Topic, &'a Member),
}

/// A connection that has ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct EndedConnection<'a> {
    pub(super) identity: &'a Identity,
    pub(super) connection: u64,
    pub(super) transport: &'static str,
    /// The time at which it began, in milliseconds since 1970.
    pub(super) connected_ts: u64,
    /// The code of the close.
    pub(super) code: u16,
    pub(super) reason: &'a str,
}

impl Event<'_> {
    /// Returns the kind of the event.
    pub(super) fn kind(&self) -> WebhookEvent {
        match self {
            Event::Disconnect(_) => WebhookEvent::Disconnect,
            Event::Occupied(_) => WebhookEvent::Occupied,
            Event::Vacated(_) => WebhookEvent::Vacated,
            Event::Joined(..) => WebhookEvent::Join,
            Event::Left(..) => WebhookEvent::Leave,
        }
    }

    /// Returns the event as JSON. `id` identifies it; it happened `ts` milliseconds after 1970 began.
    pub(super) fn to_json(self, id: String, ts: u64) -> Bytes {
        let info_of = |info: Option<&Payload>| info.and_then(|info| written(info).0);
        let mut json = EventJson { hook: self.kind().name(), id, ts, ..EventJson::default() };
        match self {
            Event::Disconnect(ended) => {
                json.user = ended.identity.user().map(|user| &**user);
                json.connection = Some(format!("{:x}", ended.connection));
                json.transport = Some(ended.transport);
                json.connected_ts = Some(ended.connected_ts);
                json.code = Some(ended.code);
                json.reason = Some(ended.reason);
                json.info = info_of(ended.identity.info());
            }
            Event::Occupied(pattern) | Event::Vacated(pattern) => json.topic = Some(pattern.as_str()),
            Event::Joined(topic, member) | Event::Left(topic, member) => {
                json.topic = Some(topic.as_str());
                json.user = Some(&*member.user).filter(|user| !user.is_empty());
                json.connection = Some(member.connection.clone());
                json.info = info_of(member.info.as_ref());
            }
        }
        serde_json::to_vec(&json).expect("text and valid JSON can always be serialized").into()
    }
}

#[derive(Serialize, Default)]
struct EventJson<'a> {
    hook: &'static str,
    id: String,
    ts: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transport: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connected_ts: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    info: Option<Box<RawValue>>,
}

/// Returns the body of the call `id` with the events of `batch`. `run` names the run of the broker.
pub(super) fn body_of(id: &str, run: &str, batch: &WebhookBatch) -> Vec<u8> {
    let (attempt, lost) = (batch.attempt, batch.lost);
    let head = format!(
        "{{\"hook\":\"tell\",\"id\":\"{id}\",\"run\":\"{run}\",\"attempt\":{attempt},\"lost\":{lost},\"events\":["
    );
    let mut body = head.into_bytes();
    for (index, event) in batch.events.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(event);
    }
    body.extend_from_slice(b"]}");
    body
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fanwire_core::identity::Holder;

    use super::*;

    fn check(event: Event<'_>, expected: &str) {
        let json = event.to_json("1".to_owned(), 17);
        assert_eq!(String::from_utf8(json.to_vec()).unwrap(), expected);
    }

    #[test]
    fn events_contain_their_fields() {
        let identity = Identity::holder(Holder {
            user: Some(Arc::from("ann")),
            info: Some(Payload::from_json("{\"name\": \"Ann\"}").unwrap()),
            ..Holder::default()
        });
        let ended = EndedConnection {
            identity: &identity,
            connection: 0xbeef,
            transport: "ws",
            connected_ts: 3,
            code: 1001,
            reason: "gone\n",
        };
        let text =
            r#"{"hook":"disconnect","id":"1","ts":17,"user":"ann","connection":"beef","transport":"ws","#;
        let rest = r#""connected_ts":3,"code":1001,"reason":"gone\n","info":{"name": "Ann"}}"#;
        check(Event::Disconnect(&ended), &format!("{text}{rest}"));
        let pattern = Pattern::new("chat.>").unwrap();
        check(Event::Occupied(&pattern), r#"{"hook":"occupied","id":"1","ts":17,"topic":"chat.>"}"#);
        check(Event::Vacated(&pattern), r#"{"hook":"vacated","id":"1","ts":17,"topic":"chat.>"}"#);
        let topic = Topic::new("a").unwrap();
        let member = |user: &str| Member { user: user.to_owned(), connection: "2a".to_owned(), info: None };
        let bob = member("bob");
        let text = r#"{"hook":"join","id":"1","ts":17,"topic":"a","user":"bob","connection":"2a"}"#;
        check(Event::Joined(&topic, &bob), text);
        let unnamed = member("");
        check(
            Event::Left(&topic, &unnamed),
            r#"{"hook":"leave","id":"1","ts":17,"topic":"a","connection":"2a"}"#,
        );
    }

    #[test]
    fn call_contains_many_events() {
        let batch =
            WebhookBatch { events: vec!["{\"a\":1}".into(), "{\"b\":2}".into()], lost: 3, attempt: 2 };
        let expected =
            r#"{"hook":"tell","id":"x","run":"r","attempt":2,"lost":3,"events":[{"a":1},{"b":2}]}"#;
        assert_eq!(String::from_utf8(body_of("x", "r", &batch)).unwrap(), expected);
    }
}
