//! All topics that exist, and what they share: rules, patterns, inboxes, epochs, memory.
//!
//! Every change of a topic goes through [`Topics::with`] or [`Topics::with_existing`], which hold its lock and count what it holds.
//! Only publishing and subscribing create a topic. This file does not know archives, presence or the catalog.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arc_swap::{ArcSwap, Guard};
use fanwire_core::access::Refusal;
use fanwire_core::rate::{Meter, Rate};
use fanwire_core::rules::{Rules, TopicPolicy};
use fanwire_protocol::{Epoch, ErrorCode, Topic};

use super::archive::{Arrival, Scope};
use super::epochs::Epochs;
use super::index::TopicIndex;
use super::interest::PatternInterest;
use super::memory::Memory;
use super::new_topics::NewTopicMeters;
use super::topic::{Beginning, DeliveryTargets, Locked, TopicState};
use crate::clock;
use crate::hub::Inbox;
use crate::log_limit::LogLimit;
use crate::telemetry::Shared;

/// Limits the log lines about topics whose history was dropped: any publisher can cause them.
static EVICTED: LogLimit = LogLimit::new("history dropped");

/// Limits the log lines about topics that were refused: any publisher and any subscriber can cause them.
static REFUSED: LogLimit = LogLimit::new("topic refused");

/// The number of arrivals that are taken in under one hold of a topic's lock, so that publishers wait for it only briefly.
const ARRIVALS_AT_ONCE: usize = 64;

/// All topics, shared by all workers.
pub(super) struct Topics {
    index: TopicIndex,
    topics_max: u64,
    epochs: Epochs,
    new_topic_meters: NewTopicMeters,
    rules: ArcSwap<Rules>,
    patterns: PatternInterest,
    inboxes: Vec<Arc<Inbox>>,
    memory: Memory,
    counters: Arc<Shared>,
    /// Which topics are in the archive; `None` without an archive.
    archived: Option<Scope>,
}

impl Topics {
    /// No topics yet. There will be `topics_max` at most, and those of `archived` are in the archive.
    pub(super) fn new(
        rules: Rules,
        inboxes: Vec<Arc<Inbox>>,
        topics_max: u64,
        memory: Memory,
        counters: Arc<Shared>,
        archived: Option<Scope>,
    ) -> Self {
        Self {
            index: TopicIndex::new(),
            topics_max,
            epochs: Epochs::new(clock::unix_ms()),
            new_topic_meters: NewTopicMeters::default(),
            rules: ArcSwap::from_pointee(rules),
            patterns: PatternInterest::new(inboxes.len()),
            inboxes,
            memory,
            counters,
            archived,
        }
    }

    /// Returns the rules as they are now.
    pub(super) fn rules(&self) -> Guard<Arc<Rules>> {
        self.rules.load()
    }

    /// Returns the policy of a topic, whether it exists or not.
    pub(super) fn policy_of(&self, name: &Topic) -> TopicPolicy {
        self.rules.load().policy_of(name)
    }

    /// Returns whether topics with this policy are in the archive. A durable topic is even if there is no archive, and everything
    /// about it is refused.
    pub(super) fn is_archived(&self, policy: &TopicPolicy) -> bool {
        policy.durable || self.archived == Some(Scope::All)
    }

    /// Returns the epoch with which a topic that does not exist will begin, and since when nothing of it can be missing.
    pub(super) fn beginning_of(&self, name: &Topic) -> (Epoch, u64) {
        self.epochs.of(name, clock::unix_ms())
    }

    /// The accounting of memory.
    pub(super) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// The counters of what the engine does.
    pub(super) fn counters(&self) -> &Shared {
        &self.counters
    }

    /// Returns the interest of pattern subscriptions.
    pub(super) fn patterns(&self) -> &PatternInterest {
        &self.patterns
    }

    /// The inboxes, by worker.
    pub(super) fn inboxes(&self) -> &[Arc<Inbox>] {
        &self.inboxes
    }

    /// Returns the inboxes that deliveries go to.
    pub(super) fn targets(&self) -> DeliveryTargets<'_> {
        DeliveryTargets { patterns: &self.patterns, inboxes: &self.inboxes }
    }

    /// Returns the topic if it exists.
    pub(super) fn find(&self, name: &Topic) -> Option<Arc<TopicState>> {
        self.index.find(name)
    }

    /// Calls `visit` with every topic, under the locks of the shards in turn.
    pub(super) fn for_each(&self, visit: impl FnMut(&Arc<TopicState>)) {
        self.index.for_each(visit);
    }

    /// Runs `work` under the topic's lock. The topic is created if it does not exist.
    ///
    /// # Errors
    /// If there are `limits.topics_max` topics, and this one is not among them.
    pub(super) fn with<T>(
        &self,
        name: &Topic,
        work: impl FnOnce(&mut Locked<'_>, &Arc<TopicState>) -> T,
    ) -> Result<T, Refusal> {
        loop {
            let state = match self.find(name) {
                Some(state) => state,
                None => self.create(name, || self.count_new_topic(name))?,
            };
            // Between finding and locking, the topic may have been retired; then there is a new one to find.
            let mut locked = state.lock();
            if !locked.is_retired() {
                return Ok(self.counted(&mut locked, |locked| work(locked, &state)));
            }
        }
    }

    /// Runs `work` under the topic's lock if the topic exists.
    pub(super) fn with_existing<T>(
        &self,
        name: &Topic,
        work: impl FnOnce(&mut Locked<'_>, &TopicState) -> T,
    ) -> Option<T> {
        loop {
            let state = self.find(name)?;
            let mut locked = state.lock();
            if !locked.is_retired() {
                return Some(self.counted(&mut locked, |locked| work(locked, &state)));
            }
        }
    }

    /// Runs `work` and counts what the topic holds more or less by it.
    fn counted<T>(&self, locked: &mut Locked<'_>, work: impl FnOnce(&mut Locked<'_>) -> T) -> T {
        let before = locked.held();
        let done = work(locked);
        self.memory.settle(before, locked.held());
        done
    }

    fn create<E>(&self, name: &Topic, count: impl FnOnce() -> Result<(), E>) -> Result<Arc<TopicState>, E> {
        let new = TopicState::new(name.clone(), self.rules.load().shared_policy_of(name).clone());
        self.index.find_or_add(new, |new| {
            count()?;
            // Read under the lock of the shard, so that no topic begins under rules that have just been changed: the thread that
            // changes them walks over every shard afterwards.
            let rules = self.rules.load();
            let policy = rules.shared_policy_of(name).clone();
            let meter =
                if policy.rate.is_some() { self.new_topic_meters.remove(name) } else { Meter::default() };
            let (epoch, began_ts) = self.beginning_of(name);
            let is_archived = self.is_archived(&policy);
            new.lock().begin(Beginning { epoch, began_ts, policy, is_archived, meter });
            Ok(())
        })
    }

    fn count_new_topic(&self, name: &Topic) -> Result<(), Refusal> {
        let topics_max = self.topics_max;
        if self.counters.topics.fetch_add(1, Ordering::Relaxed) < topics_max {
            return Ok(());
        }
        self.counters.topics.fetch_sub(1, Ordering::Relaxed);
        self.counters.topics_refused.fetch_add(1, Ordering::Relaxed);
        if let Some(left_out) = REFUSED.allow() {
            tracing::warn!(topic = %name, topics_max, left_out, "topic refused: limits.topics_max is reached");
        }
        Err(Refusal {
            code: ErrorCode::LimitExceeded,
            message: format!(
                "the broker has {topics_max} topics, the maximum of 'limits.topics_max': use an existing topic, or try \
                 again when others have become idle"
            ),
        })
    }

    /// Takes in publications that the archive has accepted, and sends the receipts that waited for them. Those for a topic that is
    /// not used on this broker are in the archive only.
    pub(super) fn arrive(&self, arrivals: Vec<Arrival>) {
        let mut arrivals = arrivals.into_iter().peekable();
        while let Some(name) = arrivals.peek().map(|arrival| arrival.topic.clone()) {
            let state = match self.find(&name) {
                Some(state) => state,
                None if self.patterns.matches(&name) => self.create_beyond_limit(&name),
                None => {
                    arrivals.next();
                    continue;
                }
            };
            let mut locked = state.lock();
            // Between finding and locking, the topic may have been retired; then it is looked up again.
            if locked.is_retired() {
                continue;
            }
            let due = self.counted(&mut locked, |locked| {
                let of_topic = std::iter::from_fn(|| arrivals.next_if(|arrival| arrival.topic == name));
                locked.arrive(
                    state.name(),
                    of_topic.take(ARRIVALS_AT_ONCE),
                    self.targets(),
                    self.memory.held(),
                )
            });
            let subscribers = locked.subscribers();
            drop(locked);
            due.into_iter().for_each(|committed| committed.send(&name, subscribers));
            self.relieve_memory(&name);
        }
    }

    /// Creates a topic for what was published on another broker, under whose limit it was.
    fn create_beyond_limit(&self, name: &Topic) -> Arc<TopicState> {
        let created = self.create(name, || {
            self.counters.topics.fetch_add(1, Ordering::Relaxed);
            Ok::<(), Infallible>(())
        });
        created.unwrap_or_else(|never| match never {})
    }

    /// Takes one publication of the rate of a topic, if its rule sets one.
    ///
    /// # Errors
    /// If the rate does not allow it yet: the rate, and after how many microseconds it will.
    pub(super) fn take_of_rate(&self, name: &Topic) -> Result<(), (Rate, u64)> {
        let rules = self.rules.load();
        if !rules.has_rates() {
            return Ok(());
        }
        let Some(rate) = rules.policy_of(name).rate else { return Ok(()) };
        let now_us = clock::monotonic_us();
        let taken = self.with_existing(name, |locked, _| locked.take_of_rate(now_us));
        taken.unwrap_or_else(|| {
            self.new_topic_meters.take(name, rate, now_us).map_err(|wait_us| (rate, wait_us))
        })
    }

    /// Applies other rules from now on, to existing topics too.
    pub(super) fn change_rules(&self, rules: Rules) {
        self.rules.store(Arc::new(rules));
        let rules = self.rules.load();
        self.for_each(|state| state.lock().change_policy(rules.shared_policy_of(state.name()).clone()));
        // What the new rules no longer keep is dropped now.
        self.tidy();
    }

    /// Drops history and keys whose time is over, and topics without subscribers that hold nothing.
    pub(super) fn tidy(&self) {
        let (now_us, now_ms) = (clock::monotonic_us(), clock::monotonic_ms());
        self.new_topic_meters.forget_rested(now_us);
        let mut idle = Vec::new();
        self.for_each(|state| {
            let mut locked = state.lock();
            self.counted(&mut locked, |locked| {
                locked.trim(now_us);
                locked.forget_old_keys(&self.memory);
            });
            if locked.is_idle(now_ms) {
                idle.push(state.name().clone());
            }
        });
        for name in idle {
            let is_removed = self.index.remove_if(&name, |state| {
                let mut locked = state.lock();
                let retires = self.counted(&mut locked, |locked| locked.retire(now_ms));
                if retires && locked.has_positions() {
                    self.epochs.renew(&name);
                }
                retires
            });
            if is_removed {
                self.counters.topics.fetch_sub(1, Ordering::Relaxed);
            }
        }
        self.index.shrink();
    }

    /// Drops history if memory is over its cap by far, after something was published to `name`: then the periodic eviction cannot
    /// keep up with the publishers, and each drops the history of its own topic.
    pub(super) fn relieve_memory(&self, name: &Topic) {
        if self.memory.is_over() && self.memory.is_far_over() {
            self.evict_one(name);
        }
    }

    /// Drops the history of the topics longest unused until memory has room again.
    pub(super) fn evict(&self) {
        if !self.memory.is_over() {
            return;
        }
        let mut by_age: Vec<(u64, Topic)> = Vec::new();
        self.for_each(|state| {
            let locked = state.lock();
            if !locked.log().is_empty() {
                by_age.push((locked.used_us(), state.name().clone()));
            }
        });
        by_age.sort_unstable_by_key(|(used_us, _)| *used_us);
        for (_, name) in by_age {
            if self.memory.has_room() {
                break;
            }
            self.evict_one(&name);
        }
    }

    /// Drops the history of one topic for want of memory. Positions reveal the loss to a client that needs it.
    pub(super) fn evict_one(&self, name: &Topic) {
        let evicted = self.with_existing(name, |locked, _| {
            let bytes = locked.held().bytes;
            locked.clear_history();
            (!locked.is_archived()).then_some(bytes)
        });
        let Some(Some(bytes)) = evicted else { return };
        self.counters.history_evictions.fetch_add(1, Ordering::Relaxed);
        if let Some(left_out) = EVICTED.allow() {
            tracing::warn!(topic = %name, bytes, left_out, "history dropped: history.bytes_max is reached");
        }
    }

    /// Removes all topics, as if all had been idle for long.
    #[cfg(test)]
    pub(super) fn forget_all(&self) {
        self.for_each(|state| self.epochs.renew(state.name()));
        self.index.clear();
    }
}
