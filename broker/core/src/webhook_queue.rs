//! The queue of what the application is to be told: bounded, in order, sent in batches, tried again until it is taken.
//!
//! This file owns which events go together, when the next attempt is due, and what is dropped when the bounds are reached. What an
//! event says, how it travels and what time it is are the business of whoever drives the queue.

use std::collections::VecDeque;

use bytes::Bytes;

/// Up to how long the first repetition waits, in milliseconds; each further one up to twice as long as the one before.
pub const TELL_BACKOFF_BASE_MS: u64 = 200;

/// The longest wait that an application may ask for by `Retry-After`, in milliseconds: a slip of its finger must not silence the
/// broker for a year.
pub const TELL_RETRY_AFTER_MAX_MS: u64 = 5 * 60 * 1000;

/// Up to how long a repetition waits when the broker is about to stop, in milliseconds.
const HURRIED_BACKOFF_MAX_MS: u64 = 500;

/// The bounds of a queue. All are at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebhookLimits {
    /// Events held, those on their way included.
    pub queue_events_max: usize,
    /// Bytes held, those on their way included.
    pub queue_bytes_max: usize,
    /// Events in one batch.
    pub batch_events_max: usize,
    /// Bytes in one batch; a single event may have more.
    pub batch_bytes_max: usize,
    /// How long an event waits for others to go with, in milliseconds; may be 0.
    pub delay_ms: u64,
    /// How long a repetition waits at most, in milliseconds.
    pub backoff_max_ms: u64,
    /// How long an event is worth telling, in milliseconds.
    pub age_max_ms: u64,
}

/// What became of the events so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WebhookCounts {
    /// Taken by the application.
    pub delivered: u64,
    /// Dropped because the queue was full.
    pub full: u64,
    /// Dropped because the application refused them.
    pub refused: u64,
    /// Dropped because they were too old.
    pub expired: u64,
    /// Dropped because the broker stopped.
    pub stopped: u64,
    /// Attempts that failed and were, or will be, made again.
    pub retries: u64,
}

impl WebhookCounts {
    /// All events that the application was never told of.
    pub fn dropped(&self) -> u64 {
        self.full + self.refused + self.expired + self.stopped
    }
}

/// Events that go together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookBatch {
    /// In order, as they were put in.
    pub events: Vec<Bytes>,
    /// How many events were dropped since the last batch that was taken.
    pub lost: u64,
    /// Which attempt this is, beginning with 1.
    pub attempt: u32,
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebhookStep {
    /// Send this, and say what came of it by [`WebhookQueue::finish`]; there is no other batch before that.
    Send(WebhookBatch),
    /// Ask again at this time, in milliseconds of the clock that is passed in, or when something was put in.
    WaitUntil(u64),
    /// Ask again when something was put in, or a batch has come back.
    Rest,
}

/// What came of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookOutcome {
    /// The application has it.
    Delivered,
    /// The application does not want it, and would not want it the next time either.
    Refused,
    /// It did not arrive, or the application cannot take it now.
    Failed {
        /// How long the application asked to be left alone, in milliseconds.
        retry_after_ms: Option<u64>,
    },
}

#[derive(Debug)]
struct Waiting {
    event: Bytes,
    since_ms: u64,
}

/// The queue. At most one batch is on its way, so that the application is told everything in order.
#[derive(Debug)]
pub struct WebhookQueue {
    limits: WebhookLimits,
    waiting: VecDeque<Waiting>,
    /// The batch on its way; empty if there is none.
    sent: Vec<Waiting>,
    /// Bytes of all events held.
    bytes: usize,
    counts: WebhookCounts,
    /// How many dropped events the application has not been told of.
    lost: u64,
    /// How many of them the batch on its way tells of.
    lost_said: u64,
    /// Attempts that failed since the last that did not.
    failures: u32,
    /// When the next attempt is due by the back-off, and when by what the application asked for.
    backoff_until_ms: u64,
    retry_after_ms: u64,
    is_hurried: bool,
}

impl WebhookQueue {
    /// An empty queue.
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

    /// Puts an event in. If there is no room the oldest that are not on their way go, because what happened last says more about
    /// how things are; only if all are on their way is it the new one that goes.
    pub fn push(&mut self, event: Bytes, now_ms: u64) {
        self.bytes += event.len();
        self.waiting.push_back(Waiting { event, since_ms: now_ms });
        while self.len() > self.limits.queue_events_max || self.bytes > self.limits.queue_bytes_max {
            let Some(oldest) = self.waiting.pop_front() else { break };
            self.bytes -= oldest.event.len();
            self.counts.full += 1;
            self.lost += 1;
        }
    }

    /// What is to be done at `now_ms`.
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

    /// Drops what is too old to be worth telling.
    fn expire(&mut self, now_ms: u64) {
        let age_max_ms = self.limits.age_max_ms;
        let is_over = |waiting: &mut Waiting| waiting.since_ms.saturating_add(age_max_ms) <= now_ms;
        while let Some(waiting) = self.waiting.pop_front_if(is_over) {
            self.bytes -= waiting.event.len();
            self.counts.expired += 1;
            self.lost += 1;
        }
    }

    /// Notes at `now_ms` what came of the batch on its way. `random` is any number, and spreads the repetitions: each waits for
    /// anything from nothing to all of its time.
    pub fn finish(&mut self, outcome: WebhookOutcome, now_ms: u64, random: u64) {
        let sent = std::mem::take(&mut self.sent);
        if let WebhookOutcome::Failed { retry_after_ms } = outcome {
            for waiting in sent.into_iter().rev() {
                self.waiting.push_front(waiting);
            }
            self.counts.retries += 1;
            let max_ms = if self.is_hurried { HURRIED_BACKOFF_MAX_MS } else { self.limits.backoff_max_ms };
            let ceiling_ms = (TELL_BACKOFF_BASE_MS << self.failures.min(32)).min(max_ms);
            self.failures = self.failures.saturating_add(1);
            self.backoff_until_ms = now_ms.saturating_add(random % (ceiling_ms + 1));
            self.retry_after_ms = retry_after_ms
                .map_or(0, |wait_ms| now_ms.saturating_add(wait_ms.min(TELL_RETRY_AFTER_MAX_MS)));
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

    /// Waits for nothing from `now_ms` on but what the application asked for: the broker is about to stop.
    pub fn hurry(&mut self, now_ms: u64) {
        self.is_hurried = true;
        self.backoff_until_ms = self.backoff_until_ms.min(now_ms);
    }

    /// Drops everything, the batch on its way included. Returns how many events that were.
    pub fn give_up(&mut self) -> usize {
        let count = self.len();
        self.counts.stopped += count as u64;
        self.waiting.clear();
        self.sent.clear();
        self.bytes = 0;
        count
    }

    /// Events held, those on their way included.
    pub fn len(&self) -> usize {
        self.waiting.len() + self.sent.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of all events held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// When the oldest event held was put in.
    pub fn oldest_ms(&self) -> Option<u64> {
        self.sent.first().or(self.waiting.front()).map(|waiting| waiting.since_ms)
    }

    /// What became of the events so far.
    pub fn counts(&self) -> WebhookCounts {
        self.counts
    }
}

#[cfg(test)]
mod tests;
