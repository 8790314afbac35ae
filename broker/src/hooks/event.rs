//! What the application is told, as JSON: single events, and the call that brings many of them.

use bytes::Bytes;
use fanwire_core::identity::Identity;
use fanwire_core::webhook_queue::WebhookBatch;
use fanwire_protocol::{Member, Pattern, Payload, Topic};
use serde::Serialize;
use serde_json::value::RawValue;

use super::callout_request::written;
use crate::config::WebhookEvent;

/// Something that happened.
#[derive(Debug, Clone, Copy)]
pub(super) enum Happening<'a> {
    /// A connection is over.
    Disconnect(&'a Departed<'a>),
    /// A topic or pattern has its first subscriber.
    Occupied(&'a Pattern),
    /// It has none any more.
    Vacated(&'a Pattern),
    /// A user has become a member of a topic.
    Joined(&'a Topic, &'a Member),
    /// A user is no member of a topic any more.
    Left(&'a Topic, &'a Member),
}

/// A connection that is over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Departed<'a> {
    pub(super) identity: &'a Identity,
    pub(super) connection: u64,
    pub(super) transport: &'static str,
    /// When it began, in milliseconds since 1970.
    pub(super) connected_ts: u64,
    /// The close code.
    pub(super) code: u16,
    pub(super) reason: &'a str,
}

impl Happening<'_> {
    /// The hook it is told by.
    pub(super) fn tell(&self) -> WebhookEvent {
        match self {
            Happening::Disconnect(_) => WebhookEvent::Disconnect,
            Happening::Occupied(_) => WebhookEvent::Occupied,
            Happening::Vacated(_) => WebhookEvent::Vacated,
            Happening::Joined(..) => WebhookEvent::Join,
            Happening::Left(..) => WebhookEvent::Leave,
        }
    }
}

#[derive(Serialize, Default)]
struct Event<'a> {
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

/// Writes an event that happened `ts` milliseconds after 1970 began; `id` is its own.
pub(super) fn event_of(id: String, ts: u64, happening: Happening<'_>) -> Bytes {
    let info_of = |info: Option<&Payload>| info.and_then(|info| written(info).0);
    let mut event = Event { hook: happening.tell().name(), id, ts, ..Event::default() };
    match happening {
        Happening::Disconnect(departed) => {
            event.user = departed.identity.user().map(|user| &**user);
            event.connection = Some(format!("{:x}", departed.connection));
            event.transport = Some(departed.transport);
            event.connected_ts = Some(departed.connected_ts);
            event.code = Some(departed.code);
            event.reason = Some(departed.reason);
            event.info = info_of(departed.identity.info());
        }
        Happening::Occupied(pattern) | Happening::Vacated(pattern) => event.topic = Some(pattern.as_str()),
        Happening::Joined(topic, member) | Happening::Left(topic, member) => {
            event.topic = Some(topic.as_str());
            event.user = Some(&*member.user).filter(|user| !user.is_empty());
            event.connection = Some(member.connection.clone());
            event.info = info_of(member.info.as_ref());
        }
    }
    serde_json::to_vec(&event).expect("text, and JSON that was read before, can always be written").into()
}

/// Writes the body of the call `id` that brings `batch`, from the run of the broker that is called `run`.
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

    fn check(happening: Happening<'_>, expected: &str) {
        let event = event_of("1".to_owned(), 17, happening);
        assert_eq!(String::from_utf8(event.to_vec()).unwrap(), expected);
    }

    #[test]
    fn events_say_what_happened_and_when() {
        let identity = Identity::holder(Holder {
            user: Some(Arc::from("ann")),
            info: Some(Payload::from_json("{\"name\": \"Ann\"}").unwrap()),
            ..Holder::default()
        });
        let departed = Departed {
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
        check(Happening::Disconnect(&departed), &format!("{text}{rest}"));
        let pattern = Pattern::new("chat.>").unwrap();
        check(Happening::Occupied(&pattern), r#"{"hook":"occupied","id":"1","ts":17,"topic":"chat.>"}"#);
        check(Happening::Vacated(&pattern), r#"{"hook":"vacated","id":"1","ts":17,"topic":"chat.>"}"#);
        let topic = Topic::new("a").unwrap();
        let member = |user: &str| Member { user: user.to_owned(), connection: "2a".to_owned(), info: None };
        let bob = member("bob");
        let text = r#"{"hook":"join","id":"1","ts":17,"topic":"a","user":"bob","connection":"2a"}"#;
        check(Happening::Joined(&topic, &bob), text);
        let unnamed = member("");
        check(
            Happening::Left(&topic, &unnamed),
            r#"{"hook":"leave","id":"1","ts":17,"topic":"a","connection":"2a"}"#,
        );
    }

    #[test]
    fn a_call_brings_many_events() {
        let batch =
            WebhookBatch { events: vec!["{\"a\":1}".into(), "{\"b\":2}".into()], lost: 3, attempt: 2 };
        let expected =
            r#"{"hook":"tell","id":"x","run":"r","attempt":2,"lost":3,"events":[{"a":1},{"b":2}]}"#;
        assert_eq!(String::from_utf8(body_of("x", "r", &batch)).unwrap(), expected);
    }
}
