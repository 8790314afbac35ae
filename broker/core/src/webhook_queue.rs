//! The queue of webhook events: bounded, in order, sent in batches, and sent again until the application accepts them.
//!
//! This file owns which events form a batch, when the next attempt is due, and what is dropped when a bound is reached. It does not
//! know what an event says or how it is sent; times are arguments.

use std::collections::VecDeque;

use bytes::Bytes;

/// The maximum wait before the first retry, in milliseconds; it doubles with each further retry.
pub const WEBHOOK_BACKOFF_BASE_MS: u64 = 200;

/// The maximum wait that an application can request by `Retry-After`, in milliseconds: a mistake there must not stop webhooks for a
/// year.
pub const WEBHOOK_RETRY_AFTER_MAX_MS: u64 = 5 * 60 * 1000;

/// The maximum wait before a retry while the broker stops, in milliseconds.
const HURRIED_BACKOFF_MAX_MS: u64 = 500;

/// The bounds of a queue. All are at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebhookLimits {
    /// The maximum number of events held, including those being sent.
    pub queue_events_max: usize,
    /// The maximum number of bytes held, including those being sent.
    pub queue_bytes_max: usize,
    /// The maximum number of events in one batch.
    pub batch_events_max: usize,
    /// The maximum number of bytes in one batch; a single event may have more.
    pub batch_bytes_max: usize,
    /// The time for which an event waits for others of its batch, in milliseconds; may be 0.
    pub delay_ms: u64,
    /// The maximum wait before a retry, in milliseconds.
    pub backoff_max_ms: u64,
    /// The age at which an event is dropped, in milliseconds.
    pub age_max_ms: u64,
}

/// The outcomes of the events so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WebhookCounts {
    /// Accepted by the application.
    pub delivered: u64,
    /// Dropped because the queue was full.
    pub full: u64,
    /// Dropped because the application refused them.
    pub refused: u64,
    /// Dropped because they were too old.
    pub expired: u64,
    /// Dropped because the broker stopped.
    pub stopped: u64,
    /// Attempts that failed and are repeated.
    pub retries: u64,
}

impl WebhookCounts {
    /// Returns the number of events that the application never received.
    pub fn dropped(&self) -> u64 {
        self.full + self.refused + self.expired + self.stopped
    }
}

/// Events that are sent together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookBatch {
    /// The events, in the order in which they were pushed.
    pub events: Vec<Bytes>,
    /// The number of events dropped since the last batch that was accepted.
    pub lost: u64,
    /// The number of the attempt, from 1.
    pub attempt: u32,
}

/// The next step of the sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebhookStep {
    /// Send this batch, and report the outcome by [`WebhookQueue::finish`]; no other batch is returned before that.
    Send(WebhookBatch),
    /// Call again at this time, in milliseconds of the clock that is passed in, or after a push.
    WaitUntil(u64),
    /// Call again after a push, or when a batch is finished.
    Rest,
}

/// The outcome of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookOutcome {
    /// The application has accepted it.
    Delivered,
    /// The application rejects it, and would reject it again.
    Refused,
    /// It did not arrive, or the application cannot accept it now.
    Failed {
        /// The wait that the application requests, in milliseconds.
        retry_after_ms: Option<u64>,
    },
}

#[derive(Debug)]
struct QueuedEvent {
    event: Bytes,
    since_ms: u64,
}

/// The queue. At most one batch is sent at a time, so that the application receives events in order.
#[derive(Debug)]
pub struct WebhookQueue {
    limits: WebhookLimits,
    waiting: VecDeque<QueuedEvent>,
    /// The batch being sent; empty if there is none.
    sent: Vec<QueuedEvent>,
    /// Bytes of all events held.
    bytes: usize,
    counts: WebhookCounts,
    /// The number of dropped events that no accepted batch has reported.
    lost: u64,
    /// The number of them that the batch being sent reports.
    lost_said: u64,
    /// The attempts that failed since the last success.
    failures: u32,
    /// The times at which the next attempt is due: by the back-off, and by the request of the application.
    backoff_until_ms: u64,
    retry_after_ms: u64,
    is_hurried: bool,
}

impl WebhookQueue {
    /// Creates an empty queue with these limits.
    pub fn new(limits: WebhookLimits) -> Self {
        Self {
            limits,
            waiting: VecDeque::new(),
            sent: Vec::new(),
            bytes: 0,
            counts: WebhookCounts::default(),
            lost: 0,
            lost_said: 0,
            failures: 0,
            backoff_until_ms: 0,
            retry_after_ms: 0,
            is_hurried: false,
        }
    }

    /// Adds an event. If there is no room, the oldest events that are not being sent are dropped, because the newest events describe
    /// the present state; only if all are being sent is the new event dropped.
    pub fn push(&mut self, event: Bytes, now_ms: u64) {
        self.bytes += event.len();
        self.waiting.push_back(QueuedEvent { event, since_ms: now_ms });
        while self.len() > self.limits.queue_events_max || self.bytes > self.limits.queue_bytes_max {
            let Some(oldest) = self.waiting.pop_front() else { break };
            self.bytes -= oldest.event.len();
            self.counts.full += 1;
            self.lost += 1;
        }
    }

    /// Returns the next step at `now_ms`.
    pub fn next(&mut self, now_ms: u64) -> WebhookStep {
        if !self.sent.is_empty() {
            return WebhookStep::Rest;
        }
        self.expire(now_ms);
        let Some(oldest) = self.waiting.front() else { return WebhookStep::Rest };
        let is_full =
            self.waiting.len() >= self.limits.batch_events_max || self.bytes >= self.limits.batch_bytes_max;
        let mut due_ms = self.backoff_until_ms.max(self.retry_after_ms);
        if !(is_full || self.is_hurried || self.failures > 0) {
            due_ms = due_ms.max(oldest.since_ms.saturating_add(self.limits.delay_ms));
        }
        if due_ms > now_ms {
            return WebhookStep::WaitUntil(due_ms);
        }
        let mut bytes = 0;
        while let Some(next) = self.waiting.front()
            && self.sent.len() < self.limits.batch_events_max
            && (self.sent.is_empty() || bytes + next.event.len() <= self.limits.batch_bytes_max)
        {
            bytes += next.event.len();
            self.sent.extend(self.waiting.pop_front());
        }
        self.lost_said = self.lost;
        WebhookStep::Send(WebhookBatch {
            events: self.sent.iter().map(|waiting| waiting.event.clone()).collect(),
            lost: self.lost,
            attempt: self.failures.saturating_add(1),
        })
    }

    /// Drops events that are too old.
    fn expire(&mut self, now_ms: u64) {
        let age_max_ms = self.limits.age_max_ms;
        let is_over = |waiting: &mut QueuedEvent| waiting.since_ms.saturating_add(age_max_ms) <= now_ms;
        while let Some(waiting) = self.waiting.pop_front_if(is_over) {
            self.bytes -= waiting.event.len();
            self.counts.expired += 1;
            self.lost += 1;
        }
    }

    /// Takes the outcome of the batch being sent, at `now_ms`. `random` is any number, and spreads retries: each waits between
    /// nothing and its maximum.
    pub fn finish(&mut self, outcome: WebhookOutcome, now_ms: u64, random: u64) {
        let sent = std::mem::take(&mut self.sent);
        if let WebhookOutcome::Failed { retry_after_ms } = outcome {
            for waiting in sent.into_iter().rev() {
                self.waiting.push_front(waiting);
            }
            self.counts.retries += 1;
            let max_ms = if self.is_hurried { HURRIED_BACKOFF_MAX_MS } else { self.limits.backoff_max_ms };
            let ceiling_ms = (WEBHOOK_BACKOFF_BASE_MS << self.failures.min(32)).min(max_ms);
            self.failures = self.failures.saturating_add(1);
            self.backoff_until_ms = now_ms.saturating_add(random % (ceiling_ms + 1));
            self.retry_after_ms = retry_after_ms
                .map_or(0, |wait_ms| now_ms.saturating_add(wait_ms.min(WEBHOOK_RETRY_AFTER_MAX_MS)));
            return;
        }
        self.bytes -= sent.iter().map(|waiting| waiting.event.len()).sum::<usize>();
        (self.failures, self.backoff_until_ms, self.retry_after_ms) = (0, 0, 0);
        if outcome == WebhookOutcome::Delivered {
            self.counts.delivered += sent.len() as u64;
            self.lost -= self.lost_said;
        } else {
            self.counts.refused += sent.len() as u64;
            self.lost += sent.len() as u64;
        }
    }

    /// Ends all waits from `now_ms` on except those that the application requested: the broker is about to stop.
    pub fn hurry(&mut self, now_ms: u64) {
        self.is_hurried = true;
        self.backoff_until_ms = self.backoff_until_ms.min(now_ms);
    }

    /// Drops everything, including the batch being sent. Returns the number of events dropped.
    pub fn give_up(&mut self) -> usize {
        let count = self.len();
        self.counts.stopped += count as u64;
        self.waiting.clear();
        self.sent.clear();
        self.bytes = 0;
        count
    }

    /// Returns the number of events held, including those being sent.
    pub fn len(&self) -> usize {
        self.waiting.len() + self.sent.len()
    }

    /// Returns whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the bytes of all events held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns when the oldest event held was pushed.
    pub fn oldest_ms(&self) -> Option<u64> {
        self.sent.first().or(self.waiting.front()).map(|waiting| waiting.since_ms)
    }

    /// Returns the outcomes of the events so far.
    pub fn counts(&self) -> WebhookCounts {
        self.counts
    }
}

#[cfg(test)]
mod tests;
