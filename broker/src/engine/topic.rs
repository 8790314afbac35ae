//! One topic: its log, and which workers listen to it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fanwire_core::{Broadcast, Meter, Publish, Rate, RecentKeys, TopicLog, TopicPolicy};
use fanwire_protocol::{Epoch, Topic};

use super::Accepted;
use super::interest::PatternInterest;
use crate::clock;
use crate::hub::Inbox;

/// How long a topic without history and subscribers stays, in milliseconds, so that somebody who comes right back
/// finds the position he left at.
const LINGER_MS: u64 = 120_000;

/// One topic, shared by all who use it.
pub(super) struct TopicState {
    name: Topic,
    inner: Mutex<Inner>,
}

struct Inner {
    log: TopicLog,
    policy: TopicPolicy,
    /// How many subscriptions each worker has to exactly this topic; empty until there is one.
    listening: Vec<u32>,
    /// How many pattern subscriptions of each worker match, as of `patterns_as_of`.
    pattern_listening: Vec<u32>,
    patterns_as_of: u64,
    keys: Option<Box<RecentKeys>>,
    /// What was taken of the policy's rate.
    meter: Meter,
    used_us: u64,
    is_retired: bool,
}

/// The topic while its lock is held.
pub(super) struct Locked<'a>(MutexGuard<'a, Inner>);

/// What an append did.
pub(super) struct Appended {
    pub(super) accepted: Accepted,
    /// By how much the memory accounted for history has grown, in bytes; negative if old publications went.
    pub(super) bytes_grown: isize,
    /// By how many the publications held have grown.
    pub(super) publications_grown: isize,
}

impl TopicState {
    pub(super) fn new(name: Topic, epoch: Epoch, policy: TopicPolicy) -> Self {
        let inner = Inner {
            log: TopicLog::new(epoch, clock::unix_ms()),
            policy,
            listening: Vec::new(),
            pattern_listening: Vec::new(),
            patterns_as_of: 0,
            keys: None,
            meter: Meter::default(),
            used_us: clock::monotonic_us(),
            is_retired: false,
        };
        Self { name, inner: Mutex::new(inner) }
    }

    pub(super) fn name(&self) -> &Topic {
        &self.name
    }

    pub(super) fn lock(&self) -> Locked<'_> {
        // Nothing that holds this lock can panic half-way, so a poisoned topic is still whole.
        Locked(self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Locked<'_> {
    /// The log, to read from.
    pub(super) fn log(&self) -> &TopicLog {
        &self.0.log
    }

    /// Gives the publication its position, holds it, and puts it into the inboxes of those who listen.
    pub(super) fn append(
        &mut self,
        state: &TopicState,
        publish: Publish,
        patterns: &PatternInterest,
        inboxes: &[Arc<Inbox>],
    ) -> Appended {
        let (now_us, now_ms) = (clock::monotonic_us(), clock::monotonic_ms());
        self.0.used_us = now_us;
        self.refresh_patterns(state, patterns);
        let subscribers = self.subscribers();
        if let Some(position) = self.repeated(publish.key.as_deref(), now_ms) {
            let accepted = Accepted { position, is_duplicate: true, subscribers };
            return Appended { accepted, bytes_grown: 0, publications_grown: 0 };
        }
        let key = publish.key.clone();
        let except = publish.except;
        let before = (self.0.log.bytes(), self.0.log.len());
        let policy = self.0.policy;
        let publication = self.0.log.append(publish, &state.name, &policy.history, clock::unix_ms(), now_us);
        let position = self.0.log.head();
        if let Some(key) = key {
            self.0.keys.get_or_insert_default().remember(&key, position, now_ms);
        }
        if subscribers > 0 {
            let broadcast = Arc::new(Broadcast::new(publication, except).with_slow(policy.slow));
            for (worker, inbox) in inboxes.iter().enumerate() {
                if listeners(&self.0.listening, worker) + listeners(&self.0.pattern_listening, worker) > 0 {
                    inbox.push(broadcast.clone());
                }
            }
        }
        Appended {
            accepted: Accepted { position, is_duplicate: false, subscribers },
            bytes_grown: self.0.log.bytes() as isize - before.0 as isize,
            publications_grown: self.0.log.len() as isize - before.1 as isize,
        }
    }

    /// Takes one publication of the rate that holds for the topic.
    ///
    /// # Errors
    /// If the rate does not allow it yet: the rate, and after how many microseconds it will.
    pub(super) fn take_of_rate(&mut self, now_us: u64) -> Result<(), (Rate, u64)> {
        self.0
            .policy
            .rate
            .map_or(Ok(()), |rate| self.0.meter.take(rate, now_us).map_err(|wait_us| (rate, wait_us)))
    }

    fn repeated(&mut self, key: Option<&str>, now_ms: u64) -> Option<fanwire_protocol::Position> {
        self.0.keys.as_mut()?.position_of(key?, now_ms)
    }

    fn refresh_patterns(&mut self, state: &TopicState, patterns: &PatternInterest) {
        let inner = &mut *self.0;
        patterns.refresh(&state.name, &mut inner.patterns_as_of, &mut inner.pattern_listening);
    }

    fn subscribers(&self) -> u64 {
        self.0.listening.iter().chain(&self.0.pattern_listening).map(|count| u64::from(*count)).sum()
    }

    /// Notes that `worker`, one of `workers`, has one more subscription.
    pub(super) fn listen(&mut self, worker: usize, workers: usize) {
        if self.0.listening.is_empty() {
            self.0.listening = vec![0; workers];
        }
        self.0.listening[worker] += 1;
        self.0.used_us = clock::monotonic_us();
    }

    /// Notes that `worker` has one subscription less.
    pub(super) fn stop_listening(&mut self, worker: usize) {
        if let Some(count) = self.0.listening.get_mut(worker) {
            *count = count.saturating_sub(1);
        }
        if self.0.listening.iter().all(|count| *count == 0) {
            self.0.listening = Vec::new();
        }
        self.0.used_us = clock::monotonic_us();
    }

    /// When the topic was last published to, joined or left, in microseconds of the monotonic clock.
    pub(super) fn used_us(&self) -> u64 {
        self.0.used_us
    }

    /// Lets another policy hold from now on.
    pub(super) fn change_policy(&mut self, policy: TopicPolicy) {
        self.0.policy = policy;
    }

    /// Lets go of what is too old.
    pub(super) fn trim(&mut self, now_us: u64) {
        let history = self.0.policy.history;
        self.0.log.trim(&history, now_us);
    }

    /// Lets go of all history.
    pub(super) fn clear_history(&mut self) {
        self.0.log.clear();
    }

    /// Whether nobody needs the topic: no subscriber, nothing held, no key remembered, and unused for a while.
    pub(super) fn is_idle(&mut self, now_ms: u64) -> bool {
        self.0.listening.is_empty()
            && self.0.log.is_empty()
            && self.0.used_us / 1000 + LINGER_MS <= now_ms
            && self.0.keys.as_mut().is_none_or(|keys| keys.is_empty(now_ms))
    }

    /// Marks an idle topic as gone, so that whoever has found it already looks for a new one.
    pub(super) fn retire(&mut self, now_ms: u64) -> bool {
        self.0.is_retired = self.is_idle(now_ms);
        self.0.is_retired
    }

    /// Whether the topic is gone.
    pub(super) fn is_retired(&self) -> bool {
        self.0.is_retired
    }
}

fn listeners(counts: &[u32], worker: usize) -> u32 {
    counts.get(worker).copied().unwrap_or(0)
}
