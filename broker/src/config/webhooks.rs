//! The section `[webhooks]`: which events are reported to the application, and how they are batched and retried.
//!
//! This file owns the keys, their defaults and the checks of each value. The URL and the secret stand in `[hooks]`.

use std::time::Duration;

use fanwire_protocol::Pattern;

use super::hooks::all_topics;
use super::nearest::nearest;
use super::value::Raw;

/// The webhook events that are reported, and the limits of their batches and of their queue.
#[derive(Debug, Clone, PartialEq)]
pub struct WebhooksConfig {
    /// The events that are reported.
    pub events: Vec<WebhookEvent>,
    /// The topics whose events are reported. `disconnect` has no topic and is always reported.
    pub topics: Vec<Pattern>,
    /// The time without subscribers after which a topic is reported as vacated.
    pub vacated_after: Duration,
    /// The time that an event waits for further events of its batch.
    pub delay: Duration,
    /// The maximum number of events in one call.
    pub batch_events_max: usize,
    /// The maximum size of the events in one call, in bytes.
    pub batch_bytes_max: usize,
    /// The maximum number of queued events; beyond it the oldest are dropped.
    pub queue_events_max: usize,
    /// The maximum size of the queued events, in bytes.
    pub queue_bytes_max: usize,
    /// The longest wait between two attempts to deliver a batch.
    pub backoff_max: Duration,
    /// The maximum age of an event; older events are dropped.
    pub age_max: Duration,
}

impl Default for WebhooksConfig {
    fn default() -> Self {
        Self {
            events: Vec::new(),
            topics: vec![all_topics()],
            vacated_after: Duration::from_secs(5),
            delay: Duration::from_millis(100),
            batch_events_max: 500,
            batch_bytes_max: 256 * 1024,
            queue_events_max: 100_000,
            queue_bytes_max: 32 * 1024 * 1024,
            backoff_max: Duration::from_secs(30),
            age_max: Duration::from_secs(60 * 60),
        }
    }
}

/// A kind of webhook event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookEvent {
    /// A connection has ended.
    Disconnect,
    /// A topic or pattern has its first subscriber.
    Occupied,
    /// A topic or pattern has lost its last subscriber.
    Vacated,
    /// A user has joined a topic with presence.
    Join,
    /// A user has left a topic with presence.
    Leave,
}

impl WebhookEvent {
    /// All kinds of webhook events.
    pub const ALL: [WebhookEvent; 5] = [
        WebhookEvent::Disconnect,
        WebhookEvent::Occupied,
        WebhookEvent::Vacated,
        WebhookEvent::Join,
        WebhookEvent::Leave,
    ];

    /// Returns the name in the configuration and in the calls.
    pub fn name(self) -> &'static str {
        match self {
            WebhookEvent::Disconnect => "disconnect",
            WebhookEvent::Occupied => "occupied",
            WebhookEvent::Vacated => "vacated",
            WebhookEvent::Join => "join",
            WebhookEvent::Leave => "leave",
        }
    }
}

/// Reads the list of events.
pub(super) fn read_events(raw: Raw<'_>) -> Result<Vec<WebhookEvent>, String> {
    let read = |name: &str| {
        WebhookEvent::ALL.into_iter().find(|event| event.name() == name).ok_or_else(|| {
            let nearest = nearest(name, WebhookEvent::ALL.into_iter().map(WebhookEvent::name));
            let hint = nearest.map_or(".".to_owned(), |nearest| format!("; did you mean '{nearest}'?"));
            format!(
                "'{name}' is not a webhook event{hint} There are 'disconnect', 'occupied', 'vacated', 'join' and 'leave'"
            )
        })
    };
    raw.list()?.iter().map(|name| read(name)).collect()
}
