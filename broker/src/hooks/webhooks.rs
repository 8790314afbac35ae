//! Webhooks: collects events in a bounded queue, from which the sender delivers them. Adding an event never waits.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use fanwire_core::occupancy::Occupancy;
use fanwire_core::webhook_queue::{WebhookLimits, WebhookOutcome, WebhookQueue, WebhookStep};
use fanwire_protocol::{Member, Pattern, Topic};
use tokio::sync::Notify;

use super::delivery::EventSource;
use super::event::Event;
use crate::clock;
use crate::config::{WebhookEvent, WebhooksConfig};
use crate::engine::Observer;
use crate::telemetry::Shared;

/// The webhook events that wait to be delivered. Its locks are held for a few lines and are the last in the lock order.
pub(crate) struct Webhooks {
    events: Vec<WebhookEvent>,
    topics: Vec<Pattern>,
    vacated_after_ms: u64,
    queue: Mutex<Queue>,
    occupancy: Mutex<Occupancy>,
    /// Notified when the sender may have work.
    changed: Notify,
    counters: Arc<Shared>,
}

struct Queue {
    queue: WebhookQueue,
    events_max: usize,
    /// Whether the log already says that the queue is full.
    is_overflowing: bool,
}

impl Webhooks {
    /// Reports the events that `config` names.
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
            events: config.events.clone(),
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

    /// Returns whether events of this kind are reported.
    pub(super) fn reports(&self, kind: WebhookEvent) -> bool {
        self.events.contains(&kind)
    }

    /// Adds an event to the queue, if events of its kind are reported.
    pub(super) fn report(&self, event: Event<'_>) {
        if self.reports(event.kind()) {
            self.push(event.to_json(format!("{:032x}", fastrand::u128(..)), clock::unix_ms()));
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
                "webhook events happen faster than the application accepts them: the oldest are dropped and counted \
                 (webhooks.queue_events_max, webhooks.queue_bytes_max)"
            );
        }
        self.changed.notify_one();
    }

    fn occupy(&self, pattern: &Pattern, occupy: impl FnOnce(&mut Occupancy, &Pattern) -> bool) {
        let mut occupancy = self.lock_occupancy();
        if occupy(&mut occupancy, pattern) {
            // The event is added under the lock, so that no later event of the pattern can precede it.
            self.report(Event::Occupied(pattern));
        }
        self.bound_graces(&mut occupancy);
    }

    /// Ends the oldest graces beyond their maximum, and reports their topics as vacated.
    fn bound_graces(&self, occupancy: &mut Occupancy) {
        while let Some(pattern) = occupancy.end_excess() {
            self.report(Event::Vacated(&pattern));
        }
        self.counters.webhook_graces.store(occupancy.graces() as u64, Ordering::Relaxed);
    }

    /// Returns whether events of members of `topic` are reported.
    fn covers(&self, topic: &Topic) -> bool {
        self.topics.iter().any(|topics| topics.matches(topic))
    }

    /// Returns whether events of subscribers of `pattern` are reported.
    fn watches(&self, pattern: &Pattern) -> bool {
        (self.reports(WebhookEvent::Occupied) || self.reports(WebhookEvent::Vacated))
            && self.topics.iter().any(|topics| topics.intersects(pattern))
    }

    /// Reports all occupied topics as vacated, because the broker stops.
    pub(crate) fn conclude(&self) {
        let mut occupancy = self.lock_occupancy();
        for pattern in occupancy.conclude() {
            self.report(Event::Vacated(&pattern));
        }
    }

    /// Records the outcome of a batch.
    pub(super) fn finish(&self, outcome: WebhookOutcome) {
        let mut locked = self.lock();
        locked.queue.finish(outcome, clock::monotonic_ms(), fastrand::u64(..));
        if outcome == WebhookOutcome::Delivered && locked.queue.len() <= locked.events_max / 2 {
            locked.is_overflowing = false;
        }
        self.measure(&locked.queue);
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
        // No code under these locks leaves the data inconsistent, so a poisoned lock can be used.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_occupancy(&self) -> MutexGuard<'_, Occupancy> {
        self.occupancy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EventSource for Webhooks {
    /// Reports the topics that have had no subscriber for long enough. Returns the time of the next such report.
    fn expire(&self, now_ms: u64) -> Option<u64> {
        let mut occupancy = self.lock_occupancy();
        for pattern in occupancy.expire(now_ms) {
            self.report(Event::Vacated(&pattern));
        }
        self.bound_graces(&mut occupancy);
        occupancy.next_due_ms()
    }

    fn step(&self, now_ms: u64) -> WebhookStep {
        let mut locked = self.lock();
        let step = locked.queue.next(now_ms);
        self.measure(&locked.queue);
        step
    }

    fn hurry(&self, now_ms: u64) -> bool {
        let mut locked = self.lock();
        locked.queue.hurry(now_ms);
        !locked.queue.is_empty()
    }

    async fn changed(&self) {
        self.changed.notified().await;
    }

    fn give_up(&self) -> usize {
        let mut locked = self.lock();
        let count = locked.queue.give_up();
        self.measure(&locked.queue);
        count
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
            let mut occupancy = self.lock_occupancy();
            occupancy.vacate(pattern, clock::monotonic_ms() + self.vacated_after_ms);
            self.bound_graces(&mut occupancy);
            drop(occupancy);
            self.changed.notify_one();
        }
    }

    fn member_joined(&self, topic: &Topic, member: &Member) {
        if self.covers(topic) {
            self.report(Event::Joined(topic, member));
        }
    }

    fn member_left(&self, topic: &Topic, member: &Member) {
        if self.covers(topic) {
            self.report(Event::Left(topic, member));
        }
    }

    fn interest(&self, pattern: &Pattern) {
        if self.watches(pattern) {
            let until_ms = clock::monotonic_ms() + self.vacated_after_ms;
            self.occupy(pattern, |occupancy, pattern| occupancy.occupy_until(pattern, until_ms));
            self.changed.notify_one();
        }
    }
}
