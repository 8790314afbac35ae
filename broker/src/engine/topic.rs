//! One topic: its log, its subscribers by worker, and the state that only few topics have.
//!
//! Everything here happens under the topic's lock, which is the topic's order. This file does not know which topics there are.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fanwire_core::access::Refusal;
use fanwire_core::broadcast::Broadcast;
use fanwire_core::held::HeldSum;
use fanwire_core::keys::{IdempotencyKeys, KeyDigest};
use fanwire_core::limits::HistoryLimits;
use fanwire_core::log::{Placed, TopicLog};
use fanwire_core::presence::Presence;
use fanwire_core::publication::{Publication, Publish};
use fanwire_core::rate::{Meter, Rate};
use fanwire_core::rules::TopicPolicy;
use fanwire_protocol::{Epoch, Position, Topic};

use super::archive::{Arrival, Origin, TopicRecord};
use super::commits::{Commits, Committed};
use super::interest::PatternInterest;
use super::memory::{Held, Memory};
use super::receipt::Accepted;
use super::tally::{Change, Seat, Tally};
use crate::clock;
use crate::hub::Inbox;

/// The time for which a topic without history and subscribers stays, in milliseconds, so that a client that reconnects soon finds the
/// position it left at.
const LINGER_MS: u64 = 120_000;

/// The number of an archived topic's newest publications that are held in memory too, for clients that were away briefly.
const TAIL_MESSAGES: usize = 1000;

/// The number of bytes these may take up.
const TAIL_BYTES: usize = 1 << 20;

/// One topic, shared by all threads that use it.
pub(super) struct TopicState {
    name: Topic,
    inner: Mutex<Inner>,
}

/// The state that every topic has. There may be millions of topics, so what most of them do not need is behind one pointer each.
struct Inner {
    log: TopicLog,
    /// Shared by all topics of a rule.
    policy: Arc<TopicPolicy>,
    /// The subscribers; `None` while there are none.
    subscribers: Option<Box<TopicSubscribers>>,
    patterns_as_of: u64,
    rare: Option<Box<Rare>>,
    used_us: u64,
    is_retired: bool,
    /// Whether an archive keeps the topic and gives its positions. Fixed while the topic exists.
    is_archived: bool,
    /// Whether the log of an archived topic has the archive's numbering. Until then its positions must not be used.
    is_loaded: bool,
}

/// The subscribers of a topic, by worker.
#[derive(Default)]
struct TopicSubscribers {
    /// The number of subscriptions each worker has to exactly this topic; empty until there is one.
    exactly: Tally,
    /// The number of matching pattern subscriptions of each worker, as of `patterns_as_of`; empty if none matches.
    by_pattern: Tally,
}

/// The state that few topics have.
#[derive(Default)]
struct Rare {
    keys: Option<Box<IdempotencyKeys>>,
    /// The use of the policy's rate so far.
    meter: Meter,
    /// The publications on their way to the archive.
    commits: Commits,
    /// The members; `None` while there are none.
    presence: Option<Box<Presence>>,
}

/// The topic while its lock is held.
pub(super) struct Locked<'a>(MutexGuard<'a, Inner>);

/// The targets of deliveries: the patterns, and the inboxes by worker.
#[derive(Clone, Copy)]
pub(super) struct DeliveryTargets<'a> {
    pub(super) patterns: &'a PatternInterest,
    pub(super) inboxes: &'a [Arc<Inbox>],
}

/// The initial state of a topic.
pub(super) struct Beginning {
    pub(super) epoch: Epoch,
    /// Since when nothing published can be missing, in milliseconds since 1970.
    pub(super) began_ts: u64,
    pub(super) policy: Arc<TopicPolicy>,
    pub(super) is_archived: bool,
    /// The use of its rate so far.
    pub(super) meter: Meter,
}

impl TopicState {
    /// A topic that has not begun yet; see [`Locked::begin`].
    pub(super) fn new(name: Topic, policy: Arc<TopicPolicy>) -> Self {
        let inner = Inner {
            log: TopicLog::new(Epoch::FOREIGN, 0),
            policy,
            subscribers: None,
            patterns_as_of: 0,
            rare: None,
            used_us: clock::monotonic_us(),
            is_retired: false,
            is_archived: false,
            is_loaded: true,
        };
        Self { name, inner: Mutex::new(inner) }
    }

    pub(super) fn name(&self) -> &Topic {
        &self.name
    }

    pub(super) fn lock(&self) -> Locked<'_> {
        // Nothing that holds this lock can panic part-way, so a poisoned topic is still whole.
        Locked(self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Locked<'_> {
    /// Begins a topic that no other thread has found yet.
    pub(super) fn begin(&mut self, beginning: Beginning) {
        let Beginning { epoch, began_ts, policy, is_archived, meter } = beginning;
        self.0.log = TopicLog::new(epoch, began_ts);
        self.0.policy = policy;
        (self.0.is_archived, self.0.is_loaded) = (is_archived, !is_archived);
        if meter != Meter::default() {
            self.rare().meter = meter;
        }
    }

    /// The log, to read from.
    pub(super) fn log(&self) -> &TopicLog {
        &self.0.log
    }

    /// Accepts a publication to a topic in memory: gives it its position, holds it, and puts it into the inboxes of the workers with
    /// subscribers.
    ///
    /// # Errors
    /// If its idempotency key is new and there is no memory for the key.
    pub(super) fn accept(
        &mut self,
        name: &Topic,
        mut publish: Publish,
        targets: DeliveryTargets<'_>,
        memory: &Memory,
    ) -> Result<Accepted, Refusal> {
        self.refresh_patterns(name, targets.patterns);
        let subscribers = self.subscribers();
        let mut digest = None;
        if let Some(key) = publish.key.take() {
            self.forget_old_keys(memory);
            let of_key = memory.digest(&key);
            if let Some(position) = self.repeated(of_key) {
                return Ok(Accepted { position, is_duplicate: true, subscribers });
            }
            memory.reserve_key(&key, of_key)?;
            digest = Some(of_key);
        }
        let now_us = clock::monotonic_us();
        self.0.used_us = now_us;
        let except = publish.except;
        let inner = &mut *self.0;
        let publication =
            inner.log.append(publish, name, &inner.policy.history, clock::unix_ms(), now_us, memory.held());
        let position = self.0.log.head();
        if let Some(key) = digest {
            self.rare().keys.get_or_insert_default().remember(key, position.offset, now_us / 1000);
        }
        self.deliver(publication, except, targets);
        Ok(Accepted { position, is_duplicate: false, subscribers })
    }

    /// Takes publications that the archive has accepted, holds them, and puts them into the inboxes of the workers with
    /// subscribers. Returns the receipts that waited for them. `name` is the topic's own, not that of an arrival: fan-out joins
    /// publications that share it.
    pub(super) fn arrive(
        &mut self,
        name: &Topic,
        arrivals: impl Iterator<Item = Arrival>,
        targets: DeliveryTargets<'_>,
        held: &HeldSum,
    ) -> Vec<Committed> {
        let now_us = clock::monotonic_us();
        self.0.used_us = now_us;
        self.refresh_patterns(name, targets.patterns);
        let tail = self.tail();
        let (mut broadcasts, mut due) = (Vec::new(), Vec::new());
        for Arrival { position, after, ts, payload, from, origin, .. } in arrivals {
            let publish = Publish { topic: name.clone(), payload, key: None, from, except: None };
            let placed = Placed { position, after, ts };
            let publication = self.0.log.append_placed(publish, name, placed, &tail, now_us, held);
            broadcasts.extend(self.broadcast(publication, origin));
            due.extend(self.0.rare.as_mut().into_iter().flat_map(|rare| rare.commits.arrived(position)));
        }
        self.0.is_loaded = true;
        for inbox in self.subscribed_inboxes(targets.inboxes) {
            inbox.push_all(&broadcasts);
        }
        due
    }

    fn deliver(&self, publication: Arc<Publication>, except: Option<Origin>, targets: DeliveryTargets<'_>) {
        let Some(broadcast) = self.broadcast(publication, except) else { return };
        for inbox in self.subscribed_inboxes(targets.inboxes) {
            inbox.push(broadcast.clone());
        }
    }

    /// Returns a publication as it is delivered; `None` if there is no subscriber.
    fn broadcast(&self, publication: Arc<Publication>, except: Option<Origin>) -> Option<Arc<Broadcast>> {
        self.0.subscribers.as_ref()?;
        Some(Arc::new(Broadcast::new(publication, except).with_slow(self.0.policy.slow)))
    }

    /// Returns the inboxes of the workers with subscribers.
    pub(super) fn subscribed_inboxes<'i>(
        &self,
        inboxes: &'i [Arc<Inbox>],
    ) -> impl Iterator<Item = &'i Arc<Inbox>> {
        let subscribers = self.0.subscribers.as_deref();
        let is_subscribed = move |(worker, _): &(usize, &'i Arc<Inbox>)| {
            subscribers.is_some_and(|subscribers| subscribers.of(*worker) > 0)
        };
        inboxes.iter().enumerate().filter(is_subscribed).map(|(_, inbox)| inbox)
    }

    /// Returns the number of members.
    pub(super) fn member_count(&self) -> usize {
        self.0.rare.as_ref().and_then(|rare| rare.presence.as_ref()).map_or(0, |presence| presence.len())
    }

    /// The members; `None` while there are none.
    pub(super) fn presence(&mut self) -> &mut Option<Box<Presence>> {
        &mut self.rare().presence
    }

    fn rare(&mut self) -> &mut Rare {
        self.0.rare.get_or_insert_default()
    }

    /// Returns the memory that the topic holds.
    pub(super) fn held(&self) -> Held {
        let mut held = Held { bytes: self.0.log.bytes(), publications: self.0.log.len(), ..Held::default() };
        if let Some(rare) = &self.0.rare {
            held.key_bytes = rare.keys.as_ref().map_or(0, |keys| keys.bytes());
            held.presence_bytes = rare.presence.as_ref().map_or(0, |presence| presence.bytes());
        }
        held
    }

    /// Takes one publication of the rate that holds for the topic.
    ///
    /// # Errors
    /// If the rate does not allow it yet: the rate, and after how many microseconds it will.
    pub(super) fn take_of_rate(&mut self, now_us: u64) -> Result<(), (Rate, u64)> {
        let Some(rate) = self.0.policy.rate else { return Ok(()) };
        self.rare().meter.take(rate, now_us).map_err(|wait_us| (rate, wait_us))
    }

    /// Returns the position that the first publish with this key was given, if the key is remembered.
    fn repeated(&self, key: KeyDigest) -> Option<Position> {
        let offset = self.0.rare.as_ref()?.keys.as_ref()?.offset_of(key)?;
        Some(Position { offset, ..self.0.log.head() })
    }

    /// Forgets the keys whose time is over, and gives their memory back.
    pub(super) fn forget_old_keys(&mut self, memory: &Memory) {
        let Some(keys) = self.0.rare.as_mut().and_then(|rare| rare.keys.as_mut()) else { return };
        let now_ms = clock::monotonic_ms();
        while let Some(key) = keys.forget_old(now_ms) {
            memory.release_key(key);
        }
        if keys.is_empty() {
            self.rare().keys = None;
        }
    }

    /// Counts again the pattern subscriptions that match this topic, whose name is `name`, if any pattern subscription changed.
    pub(super) fn refresh_patterns(&mut self, name: &Topic, patterns: &PatternInterest) {
        let inner = &mut *self.0;
        let Some(by_pattern) = patterns.counts(name, &mut inner.patterns_as_of) else { return };
        if !by_pattern.is_empty() || inner.subscribers.is_some() {
            inner.subscribers.get_or_insert_default().by_pattern = by_pattern;
            inner.subscribers.take_if(|subscribers| subscribers.is_empty());
        }
    }

    /// Returns the number of subscriptions, as of the last [`Locked::refresh_patterns`].
    pub(super) fn subscribers(&self) -> u64 {
        let Some(subscribers) = &self.0.subscribers else { return 0 };
        subscribers.exactly.subscribers() + subscribers.by_pattern.subscribers()
    }

    /// Returns how many of these are to patterns.
    pub(super) fn pattern_subscribers(&self) -> u64 {
        let Some(subscribers) = &self.0.subscribers else { return 0 };
        subscribers.by_pattern.subscribers()
    }

    /// Adds a subscription to exactly this topic; there are `workers` workers.
    pub(super) fn subscribe(&mut self, seat: Seat, workers: usize) -> Change {
        self.0.used_us = clock::monotonic_us();
        self.0.subscribers.get_or_insert_default().exactly.add(seat, workers)
    }

    /// Removes a subscription to exactly this topic.
    pub(super) fn unsubscribe(&mut self, seat: Seat) -> Change {
        self.0.used_us = clock::monotonic_us();
        let subscribers = &mut self.0.subscribers;
        let change = subscribers.get_or_insert_default().exactly.remove(seat);
        subscribers.take_if(|subscribers| subscribers.is_empty());
        change
    }

    /// Returns when the topic was last published to, joined or left, in microseconds of the monotonic clock.
    pub(super) fn used_us(&self) -> u64 {
        self.0.used_us
    }

    /// Applies another policy from now on. A topic that exists stays as durable as it was: its positions could not stay what they
    /// are otherwise.
    pub(super) fn change_policy(&mut self, policy: Arc<TopicPolicy>) {
        let durable = self.0.policy.durable;
        let is_as_durable = policy.durable == durable;
        self.0.policy = if is_as_durable { policy } else { Arc::new(TopicPolicy { durable, ..*policy }) };
    }

    /// Returns the policy that applies to the topic.
    pub(super) fn policy(&self) -> TopicPolicy {
        *self.0.policy
    }

    /// Returns whether an archive keeps the topic.
    pub(super) fn is_archived(&self) -> bool {
        self.0.is_archived
    }

    /// Returns whether the log's positions may be used.
    pub(super) fn is_loaded(&self) -> bool {
        self.0.is_loaded
    }

    /// Takes over the head of an archived topic; `None` if the archive does not know the topic. Nothing happens if the topic
    /// has a head of the archive already.
    pub(super) fn load(&mut self, record: Option<TopicRecord>) {
        if !self.is_loaded() {
            if let Some(TopicRecord { head, newest_ts }) = record {
                self.0.log.begin_after(head, newest_ts);
            }
            self.0.is_loaded = true;
        }
    }

    /// Returns the publications on their way to the archive; the topic stays while there are any.
    pub(super) fn commits(&mut self) -> &mut Commits {
        &mut self.rare().commits
    }

    /// Returns what is held in memory: all of the history, or the newest part of an archived topic's.
    fn tail(&self) -> HistoryLimits {
        let history = self.0.policy.history;
        if !self.0.is_archived {
            return history;
        }
        HistoryLimits {
            messages: history.messages.min(TAIL_MESSAGES),
            bytes: history.bytes.min(TAIL_BYTES),
            ..history
        }
    }

    /// Drops what is too old.
    pub(super) fn trim(&mut self, now_us: u64) {
        let tail = self.tail();
        self.0.log.trim(&tail, now_us);
    }

    /// Drops all history from memory.
    pub(super) fn clear_history(&mut self) {
        self.0.log.clear();
    }

    /// Returns whether the topic is not needed: no subscriber, nothing held that the archive does not hold too or will soon, no
    /// key remembered, and unused for a while.
    pub(super) fn is_idle(&self, now_ms: u64) -> bool {
        self.0.subscribers.as_ref().is_none_or(|subscribers| subscribers.exactly.is_empty())
            && (self.0.log.is_empty() || self.0.is_archived)
            && self.0.used_us / 1000 + LINGER_MS <= now_ms
            && self.0.rare.as_ref().is_none_or(|rare| rare.is_idle())
    }

    /// Retires the topic if it is idle: a thread that has found it already looks for another. What it holds is in the archive too.
    pub(super) fn retire(&mut self, now_ms: u64) -> bool {
        self.0.is_retired = self.is_idle(now_ms);
        if self.0.is_retired {
            self.0.log.clear();
        }
        self.0.is_retired
    }

    /// Returns whether a client may know a position of the topic at which something was published.
    pub(super) fn has_positions(&self) -> bool {
        self.0.log.head().offset > 0 || self.0.is_archived
    }

    /// Returns whether the topic is retired.
    pub(super) fn is_retired(&self) -> bool {
        self.0.is_retired
    }
}

impl TopicSubscribers {
    /// Returns the number of subscriptions of `worker`.
    fn of(&self, worker: usize) -> u32 {
        self.exactly.of_worker(worker) + self.by_pattern.of_worker(worker)
    }

    /// Returns whether there is no subscription.
    fn is_empty(&self) -> bool {
        self.exactly.is_empty() && self.by_pattern.is_empty()
    }
}

impl Rare {
    /// Returns whether the topic can do without.
    fn is_idle(&self) -> bool {
        self.commits.is_idle() && self.presence.is_none() && self.keys.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_without_subscribers_is_small() {
        // With the counters of an `Arc` and the allocator's word, 160 bytes.
        assert!(size_of::<TopicState>() <= 136, "{}", size_of::<TopicState>());
    }
}
