//! Webhooks of Pusher apps: what happens to channels, as Pusher's server libraries read it.
//!
//! This folder owns which events an app's URL receives, their form and their signature. Each URL has a queue of the same kind as the
//! webhooks of the broker, and the same thread delivers them.

mod absences;
mod sender;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use fanwire_core::channels::below;
use fanwire_core::webhook_queue::{WebhookLimits, WebhookOutcome, WebhookQueue, WebhookStep};
use fanwire_formats::pusher::{ChannelKind, channel_of, check_channel, kind_of, user_id_of};
use fanwire_protocol::{Member, Pattern, Topic, json};
use http::Uri;
use tokio::sync::Notify;

use crate::client::HttpClient;
use crate::clock;
use crate::config::{PusherAppConfig, PusherEvent, PusherWebhookConfig};
use crate::engine::Observer;
use crate::hooks::delivery::EventSource;
use crate::pusher::SharedPusherApps;
use crate::telemetry::Shared;
use absences::{Absences, Absent};

pub(crate) use sender::PusherWebhookSender;

/// The time for which an end must last before it is reported, in milliseconds.
const ABSENCE_MS: u64 = 3000;

/// The bounds of the queue of one URL. After five minutes Pusher gives up, and so does the broker.
const LIMITS: WebhookLimits = WebhookLimits {
    queue_events_max: 100_000,
    queue_bytes_max: 32 * 1024 * 1024,
    batch_events_max: 100,
    batch_bytes_max: 256 * 1024,
    delay_ms: 100,
    backoff_max_ms: 30_000,
    age_max_ms: 5 * 60 * 1000,
};

/// The webhooks of all apps.
#[derive(Default)]
pub(crate) struct PusherWebhooks {
    endpoints: Vec<Arc<Endpoint>>,
}

/// One URL of one app.
pub(super) struct Endpoint {
    app: Box<str>,
    prefix: Box<str>,
    events: Vec<PusherEvent>,
    queue: Mutex<WebhookQueue>,
    absences: Mutex<Absences>,
    /// Notified when the sender may have work.
    changed: Notify,
    counters: Arc<Shared>,
}

/// An event that a client has sent.
pub(crate) struct SentEvent<'a> {
    pub(crate) channel: &'a str,
    pub(crate) event: &'a str,
    pub(crate) data: &'a str,
    pub(crate) socket_id: &'a str,
    pub(crate) user_id: Option<&'a str>,
}

impl PusherWebhooks {
    /// The webhooks of these apps, with their senders, which the caller must run.
    ///
    /// # Errors
    /// If a URL is not valid, or an HTTP client cannot be made.
    pub(crate) fn new(
        configs: &[PusherAppConfig],
        apps: &Arc<SharedPusherApps>,
        counters: &Arc<Shared>,
    ) -> std::io::Result<(Self, Vec<PusherWebhookSender>)> {
        let (mut endpoints, mut senders) = (Vec::new(), Vec::new());
        for config in configs {
            for webhook in &config.webhooks {
                let uri: Uri = webhook.url.parse().map_err(std::io::Error::other)?;
                let endpoint = Arc::new(Endpoint::new(config, webhook, counters.clone()));
                endpoints.push(endpoint.clone());
                senders.push(PusherWebhookSender::new(endpoint, apps.clone(), uri, HttpClient::new(None)?));
            }
        }
        Ok((Self { endpoints }, senders))
    }

    /// Returns whether there is no URL.
    pub(crate) fn is_empty(&self) -> bool {
        self.endpoints.is_empty()
    }

    /// Returns whether the app reports events of this kind.
    pub(crate) fn report(&self, app: &str, kind: PusherEvent) -> bool {
        self.of(app, kind).next().is_some()
    }

    /// Reports an event that a client has sent.
    pub(crate) fn client_event(&self, app: &str, sent: &SentEvent<'_>) {
        for endpoint in self.of(app, PusherEvent::ClientEvent) {
            let mut fields = vec![("event", sent.event), ("data", sent.data), ("socket_id", sent.socket_id)];
            fields.extend(sent.user_id.map(|user_id| ("user_id", user_id)));
            endpoint.push(PusherEvent::ClientEvent, sent.channel, &fields);
        }
    }

    /// Reports that a client has subscribed to a cached channel that holds no event.
    pub(crate) fn cache_miss(&self, app: &str, channel: &str) {
        for endpoint in self.of(app, PusherEvent::CacheMiss) {
            endpoint.push(PusherEvent::CacheMiss, channel, &[]);
        }
    }

    fn of(&self, app: &str, kind: PusherEvent) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.endpoints.iter().filter(move |endpoint| *endpoint.app == *app && endpoint.events.contains(&kind))
    }
}

impl Endpoint {
    fn new(config: &PusherAppConfig, webhook: &PusherWebhookConfig, counters: Arc<Shared>) -> Self {
        Self {
            app: Box::from(config.id.as_str()),
            prefix: Box::from(config.prefix.as_deref().unwrap_or_default()),
            events: webhook.events.clone(),
            queue: Mutex::new(WebhookQueue::new(LIMITS)),
            absences: Mutex::default(),
            changed: Notify::new(),
            counters,
        }
    }

    /// Returns the channel that the topic is for the app, if it is one.
    fn channel_of(&self, topic: &Topic) -> Option<String> {
        if topic.is_reserved() || below(&self.prefix, topic).is_none() {
            return None;
        }
        let channel = channel_of(&self.prefix, topic);
        check_channel(&channel).is_ok().then(|| channel.into_owned())
    }

    /// Adds an event with these texts.
    fn push(&self, kind: PusherEvent, channel: &str, fields: &[(&str, &str)]) {
        let mut event = format!("{{\"name\":\"{}\",\"channel\":", kind.name()).into_bytes();
        json::write_string(channel, &mut event);
        for (name, value) in fields {
            event.extend_from_slice(format!(",\"{name}\":").as_bytes());
            json::write_string(value, &mut event);
        }
        event.push(b'}');
        self.push_json(event);
    }

    fn push_json(&self, event: Vec<u8>) {
        let mut queue = self.lock();
        let before = queue.counts();
        queue.push(Bytes::from(event), clock::monotonic_ms());
        self.measure(before, &queue);
        drop(queue);
        self.changed.notify_one();
    }

    /// Reports a beginning, unless its end was not reported yet.
    fn begin(&self, kind: PusherEvent, topic: &Topic, user: Option<&str>) {
        let Some(channel) = self.channel_of(topic) else { return };
        let absent: Absent = (topic.clone(), user.map(Box::from));
        // The event is added under the lock, so that no later event of the channel can precede it.
        let mut absences = self.lock_absences();
        if absences.returned(&absent) && self.events.contains(&kind) {
            let fields: Vec<_> = user.into_iter().map(|user| ("user_id", user)).collect();
            self.push(kind, &channel, &fields);
        }
    }

    /// Notes an end, which is reported if it lasts.
    fn end(&self, topic: &Topic, user: Option<&str>) {
        if self.channel_of(topic).is_none() {
            return;
        }
        let absent: Absent = (topic.clone(), user.map(Box::from));
        let mut absences = self.lock_absences();
        if let Some(early) = absences.left(absent, clock::monotonic_ms() + ABSENCE_MS) {
            self.report_end(&early);
        }
        drop(absences);
        self.changed.notify_one();
    }

    fn report_end(&self, (topic, user): &Absent) {
        let Some(channel) = self.channel_of(topic) else { return };
        let (kind, fields) = match user {
            Some(user) => (PusherEvent::MemberRemoved, vec![("user_id", &**user)]),
            None => (PusherEvent::ChannelVacated, Vec::new()),
        };
        if self.events.contains(&kind) {
            self.push(kind, &channel, &fields);
        }
    }

    /// Records the outcome of a batch.
    fn finish(&self, outcome: WebhookOutcome) {
        let mut queue = self.lock();
        let before = queue.counts();
        queue.finish(outcome, clock::monotonic_ms(), fastrand::u64(..));
        self.measure(before, &queue);
    }

    /// Adds what has happened since `before` to the figures of all URLs.
    fn measure(&self, before: fanwire_core::webhook_queue::WebhookCounts, queue: &WebhookQueue) {
        let now = queue.counts();
        for (counter, count) in [
            (&self.counters.pusher_webhook_events_delivered, now.delivered - before.delivered),
            (&self.counters.pusher_webhook_events_dropped, now.dropped() - before.dropped()),
            (&self.counters.pusher_webhook_retries, now.retries - before.retries),
        ] {
            if count > 0 {
                counter.fetch_add(count, Ordering::Relaxed);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, WebhookQueue> {
        // No code under these locks leaves the data inconsistent, so a poisoned lock can be used.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_absences(&self) -> MutexGuard<'_, Absences> {
        self.absences.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EventSource for Endpoint {
    /// Reports the ends that have lasted until `now_ms`. Returns the time of the next.
    fn expire(&self, now_ms: u64) -> Option<u64> {
        let mut absences = self.lock_absences();
        for absent in absences.elapsed(now_ms) {
            self.report_end(&absent);
        }
        absences.next_ms()
    }

    fn step(&self, now_ms: u64) -> WebhookStep {
        let mut queue = self.lock();
        let before = queue.counts();
        let step = queue.next(now_ms);
        self.measure(before, &queue);
        step
    }

    fn hurry(&self, now_ms: u64) -> bool {
        self.expire(u64::MAX);
        let mut queue = self.lock();
        queue.hurry(now_ms);
        !queue.is_empty()
    }

    fn give_up(&self) -> usize {
        let mut queue = self.lock();
        let before = queue.counts();
        let count = queue.give_up();
        self.measure(before, &queue);
        count
    }

    async fn changed(&self) {
        self.changed.notified().await;
    }
}

impl Observer for PusherWebhooks {
    fn occupied(&self, pattern: &Pattern) {
        let Some(topic) = pattern.to_topic() else { return };
        for endpoint in &self.endpoints {
            endpoint.begin(PusherEvent::ChannelOccupied, &topic, None);
        }
    }

    fn vacated(&self, pattern: &Pattern) {
        let Some(topic) = pattern.to_topic() else { return };
        for endpoint in &self.endpoints {
            endpoint.end(&topic, None);
        }
    }

    fn member_joined(&self, topic: &Topic, member: &Member) {
        for endpoint in &self.endpoints {
            if endpoint.has_members(topic) {
                endpoint.begin(PusherEvent::MemberAdded, topic, Some(user_id_of(member)));
            }
        }
    }

    fn member_left(&self, topic: &Topic, member: &Member) {
        for endpoint in &self.endpoints {
            if endpoint.has_members(topic) {
                endpoint.end(topic, Some(user_id_of(member)));
            }
        }
    }

    fn interest(&self, _pattern: &Pattern) {}

    fn counted(&self, topic: &Topic, subscribers: u64) {
        for endpoint in &self.endpoints {
            let Some(channel) = endpoint.channel_of(topic) else { continue };
            if !endpoint.events.contains(&PusherEvent::SubscriptionCount) {
                continue;
            }
            let mut event = b"{\"name\":\"subscription_count\",\"channel\":".to_vec();
            json::write_string(&channel, &mut event);
            event.extend_from_slice(format!(",\"subscription_count\":{subscribers}}}").as_bytes());
            endpoint.push_json(event);
        }
    }
}

impl Endpoint {
    fn has_members(&self, topic: &Topic) -> bool {
        self.channel_of(topic).is_some_and(|channel| kind_of(&channel) == ChannelKind::Presence)
    }
}
