//! Telling: what happens is put into a queue that holds nobody up; a courier takes it from there.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use fanwire_core::occupancy::Occupancy;
use fanwire_core::webhook_queue::{WebhookLimits, WebhookOutcome, WebhookQueue, WebhookStep};
use fanwire_protocol::{Member, Pattern, Topic};
use tokio::sync::Notify;

use super::event::{Happening, event_of};
use crate::clock;
use crate::config::{WebhookEvent, WebhooksConfig};
use crate::engine::Observer;
use crate::telemetry::Shared;

/// What the application is to be told. Its locks are held for a few lines and taken last of all; what is put in is never waited for.
pub(crate) struct Webhooks {
    tells: Vec<WebhookEvent>,
    topics: Vec<Pattern>,
    vacated_after_ms: u64,
    queue: Mutex<Queue>,
    occupancy: Mutex<Occupancy>,
    /// Rung when there may be something to do.
    changed: Notify,
    counters: Arc<Shared>,
}

struct Queue {
    queue: WebhookQueue,
    events_max: usize,
    /// Whether it was said that the queue is full.
    is_overflowing: bool,
}

impl Webhooks {
    /// Tells what `config` says.
    pub(super) fn new(config: &WebhooksConfig, counters: Arc<Shared>) -> Self {
        let limits = WebhookLimits {
            queue_events_max: config.queue_events_max,
            queue_bytes_max: config.queue_bytes_max,
            batch_events_max: config.batch_events_max,
            batch_bytes_max: config.batch_bytes_max,
            delay_ms: config.delay.as_millis() as u64,
            backoff_max_ms: config.backoff_max.as_millis() as u64,
            age_max_ms: config.age_max.as_millis() as u64,
        };
        Self {
            tells: config.events.clone(),
            topics: config.topics.clone(),
            vacated_after_ms: config.vacated_after.as_millis() as u64,
            queue: Mutex::new(Queue {
                queue: WebhookQueue::new(limits),
                events_max: limits.queue_events_max,
                is_overflowing: false,
            }),
            occupancy: Mutex::default(),
            changed: Notify::new(),
            counters,
        }
    }

    /// Whether the application is told this.
    pub(super) fn tells(&self, tell: WebhookEvent) -> bool {
        self.tells.contains(&tell)
    }

    /// Puts an event into the queue, if the application is told of such.
    pub(super) fn tell(&self, happening: Happening<'_>) {
        if self.tells(happening.tell()) {
            let event = event_of(format!("{:032x}", fastrand::u128(..)), clock::unix_ms(), happening);
            self.push(event);
        }
    }

    fn push(&self, event: Bytes) {
        let now_ms = clock::monotonic_ms();
        let mut locked = self.lock();
        let full_before = locked.queue.counts().full;
        locked.queue.push(event, now_ms);
        let overflows = locked.queue.counts().full > full_before && !locked.is_overflowing;
        locked.is_overflowing |= overflows;
        self.measure(&locked.queue);
        drop(locked);
        if overflows {
            tracing::warn!(
                "the application is told less fast than things happen: the oldest events are dropped \
                 (webhooks.queue_events_max, webhooks.queue_bytes_max) and counted"
            );
        }
        self.changed.notify_one();
    }

    fn occupy(&self, pattern: &Pattern, occupy: impl FnOnce(&mut Occupancy, &Pattern) -> bool) {
        let mut occupancy = self.lock_occupancy();
        if occupy(&mut occupancy, pattern) {
            // Told under the lock, so that no later event of the pattern can come before it.
            self.tell(Happening::Occupied(pattern));
        }
    }

    /// Returns whether the application receives events of members of `topic`.
    fn reports(&self, topic: &Topic) -> bool {
        self.topics.iter().any(|topics| topics.matches(topic))
    }

    /// Whether the application wants to know about subscribers of `pattern`.
    fn watches(&self, pattern: &Pattern) -> bool {
        (self.tells(WebhookEvent::Occupied) || self.tells(WebhookEvent::Vacated))
            && self.topics.iter().any(|topics| topics.intersects(pattern))
    }

    /// Tells of what has been without subscribers for long enough. Returns when the next will have been.
    pub(super) fn expire(&self, now_ms: u64) -> Option<u64> {
        let mut occupancy = self.lock_occupancy();
        for pattern in occupancy.expire(now_ms) {
            self.tell(Happening::Vacated(&pattern));
        }
        occupancy.next_due_ms()
    }

    /// Tells that nothing has subscribers any more, because the broker stops.
    pub(crate) fn conclude(&self) {
        let mut occupancy = self.lock_occupancy();
        for pattern in occupancy.conclude() {
            self.tell(Happening::Vacated(&pattern));
        }
    }

    /// What is to be done now.
    pub(super) fn step(&self, now_ms: u64) -> WebhookStep {
        let mut locked = self.lock();
        let step = locked.queue.next(now_ms);
        self.measure(&locked.queue);
        step
    }

    /// Notes what came of a batch.
    pub(super) fn finish(&self, outcome: WebhookOutcome) {
        let mut locked = self.lock();
        locked.queue.finish(outcome, clock::monotonic_ms(), fastrand::u64(..));
        if outcome == WebhookOutcome::Delivered && locked.queue.len() <= locked.events_max / 2 {
            locked.is_overflowing = false;
        }
        self.measure(&locked.queue);
    }

    /// Lets nothing wait any more, because the broker stops. Returns whether anything is left.
    pub(super) fn hurry(&self, now_ms: u64) -> bool {
        let mut locked = self.lock();
        locked.queue.hurry(now_ms);
        !locked.queue.is_empty()
    }

    /// Drops what is left. Returns how many events that were.
    pub(super) fn give_up(&self) -> usize {
        let mut locked = self.lock();
        let count = locked.queue.give_up();
        self.measure(&locked.queue);
        count
    }

    /// Waits until something has changed since the last time.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn measure(&self, queue: &WebhookQueue) {
        let (counts, shared) = (queue.counts(), &self.counters);
        for (counter, value) in [
            (&shared.webhook_events_delivered, counts.delivered),
            (&shared.webhook_events_full, counts.full),
            (&shared.webhook_events_refused, counts.refused),
            (&shared.webhook_events_expired, counts.expired),
            (&shared.webhook_events_stopped, counts.stopped),
            (&shared.webhook_retries, counts.retries),
            (&shared.webhook_events_waiting, queue.len() as u64),
            (&shared.webhook_events_waiting_bytes, queue.bytes() as u64),
            (&shared.webhook_events_oldest_ms, queue.oldest_ms().map_or(u64::MAX, |oldest_ms| oldest_ms)),
        ] {
            counter.store(value, Ordering::Relaxed);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing that holds these locks can panic half-way, so what a panic elsewhere left is still whole.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_occupancy(&self) -> MutexGuard<'_, Occupancy> {
        self.occupancy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Webhooks {
    fn occupied(&self, pattern: &Pattern) {
        if self.watches(pattern) {
            self.occupy(pattern, Occupancy::occupy);
        }
    }

    fn vacated(&self, pattern: &Pattern) {
        if self.watches(pattern) {
            self.lock_occupancy().vacate(pattern, clock::monotonic_ms() + self.vacated_after_ms);
            self.changed.notify_one();
        }
    }

    fn member_joined(&self, topic: &Topic, member: &Member) {
        if self.reports(topic) {
            self.tell(Happening::Joined(topic, member));
        }
    }

    fn member_left(&self, topic: &Topic, member: &Member) {
        if self.reports(topic) {
            self.tell(Happening::Left(topic, member));
        }
    }

    fn interest(&self, pattern: &Pattern) {
        if self.watches(pattern) {
            let until_ms = clock::monotonic_ms() + self.vacated_after_ms;
            self.occupy(pattern, |occupancy, pattern| occupancy.look_in(pattern, until_ms));
            self.changed.notify_one();
        }
    }
}
