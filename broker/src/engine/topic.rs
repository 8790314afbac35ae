//! One topic: its log, and which workers listen to it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fanwire_core::broadcast::Broadcast;
use fanwire_core::keys::IdempotencyKeys;
use fanwire_core::limits::HistoryLimits;
use fanwire_core::log::{Placed, TopicLog};
use fanwire_core::presence::Presence;
use fanwire_core::publication::{Publication, Publish};
use fanwire_core::rate::{Meter, Rate};
use fanwire_core::rules::TopicPolicy;
use fanwire_core::subscribers::SessionKey;
use fanwire_protocol::{Epoch, Position, Topic};

use super::interest::PatternInterest;
use super::receipt::Accepted;
use crate::clock;
use crate::hub::Inbox;
use crate::store::Committed;

/// How long a topic without history and subscribers stays, in milliseconds, so that somebody who comes right back
/// finds the position he left at.
const LINGER_MS: u64 = 120_000;

/// How many of a durable topic's newest publications are held in memory too, for those who were away only briefly.
const TAIL_MESSAGES: usize = 1000;

/// How many bytes these may take up.
const TAIL_BYTES: usize = 1 << 20;

/// One topic, shared by all who use it.
pub(super) struct TopicState {
    name: Topic,
    inner: Mutex<Inner>,
}

/// What every topic has. There may be millions, so what most of them do not need stands behind one pointer each.
struct Inner {
    log: TopicLog,
    /// Shared by all topics of a rule.
    policy: Arc<TopicPolicy>,
    /// Who listens; nothing while nobody does.
    subscribers: Option<Box<TopicSubscribers>>,
    patterns_as_of: u64,
    rare: Option<Box<Rare>>,
    used_us: u64,
    is_retired: bool,
    /// Of a durable topic, whether the log's numbering is that of the store. Until it is, nobody may be told of it.
    is_loaded: bool,
}

/// Who listens to a topic, by worker.
#[derive(Default)]
struct TopicSubscribers {
    /// How many subscriptions each worker has to exactly this topic; empty until there is one.
    exactly: Vec<u32>,
    /// How many pattern subscriptions of each worker match, as of `patterns_as_of`; empty if none does.
    by_pattern: Vec<u32>,
}

/// What few topics have.
#[derive(Default)]
struct Rare {
    keys: Option<Box<IdempotencyKeys>>,
    /// What was taken of the policy's rate.
    meter: Meter,
    /// How many publications are on their way to the disk.
    commits_pending: u32,
    /// Who is there; nothing while nobody is.
    presence: Option<Box<Presence>>,
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
    pub(super) fn new(name: Topic, epoch: Epoch, policy: Arc<TopicPolicy>) -> Self {
        let inner = Inner {
            log: TopicLog::new(epoch, clock::unix_ms()),
            policy,
            subscribers: None,
            patterns_as_of: 0,
            rare: None,
            used_us: clock::monotonic_us(),
            is_retired: false,
            is_loaded: false,
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
        self.refresh_patterns(&state.name, patterns);
        let subscribers = self.subscribers();
        if let Some(position) = self.repeated(publish.key.as_deref(), now_ms) {
            let accepted = Accepted { position, is_duplicate: true, subscribers };
            return Appended { accepted, bytes_grown: 0, publications_grown: 0 };
        }
        let key = publish.key.clone();
        let except = publish.except;
        let before = self.held();
        let inner = &mut *self.0;
        let publication =
            inner.log.append(publish, &state.name, &inner.policy.history, clock::unix_ms(), now_us);
        let position = self.0.log.head();
        if let Some(key) = key {
            self.rare().keys.get_or_insert_default().remember(&key, position, now_ms);
        }
        self.deliver(publication, except, inboxes);
        self.appended(Accepted { position, is_duplicate: false, subscribers }, before)
    }

    /// Takes a publication that the store has given its position, or that it knew already, holds it, and puts it into the
    /// inboxes of those who listen.
    pub(super) fn append_committed(
        &mut self,
        state: &TopicState,
        publish: Publish,
        committed: Committed,
        patterns: &PatternInterest,
        inboxes: &[Arc<Inbox>],
    ) -> Appended {
        let Committed { position, ts, is_duplicate } = committed;
        self.rare().commits_pending -= 1;
        self.0.used_us = clock::monotonic_us();
        self.refresh_patterns(&state.name, patterns);
        let accepted = Accepted { position, is_duplicate, subscribers: self.subscribers() };
        let before = self.held();
        if is_duplicate {
            return self.appended(accepted, before);
        }
        let (except, tail, now_us) = (publish.except, self.tail(), self.0.used_us);
        // The store numbers consecutively.
        let placed = Placed { position, after: position.offset - 1, ts };
        let publication = self.0.log.append_placed(publish, &state.name, placed, &tail, now_us);
        self.0.is_loaded = true;
        self.deliver(publication, except, inboxes);
        self.appended(accepted, before)
    }

    fn deliver(
        &self,
        publication: Arc<Publication>,
        except: Option<(usize, SessionKey)>,
        inboxes: &[Arc<Inbox>],
    ) {
        if self.subscribers() == 0 {
            return;
        }
        let broadcast = Arc::new(Broadcast::new(publication, except).with_slow(self.0.policy.slow));
        for inbox in self.listening_inboxes(inboxes) {
            inbox.push(broadcast.clone());
        }
    }

    /// The inboxes of the workers that listen.
    pub(super) fn listening_inboxes<'i>(
        &self,
        inboxes: &'i [Arc<Inbox>],
    ) -> impl Iterator<Item = &'i Arc<Inbox>> {
        let subscribers = self.0.subscribers.as_deref();
        let listens = move |(worker, _): &(usize, &'i Arc<Inbox>)| {
            subscribers.is_some_and(|subscribers| subscribers.of(*worker) > 0)
        };
        inboxes.iter().enumerate().filter(listens).map(|(_, inbox)| inbox)
    }

    /// How many members are there.
    pub(super) fn member_count(&self) -> usize {
        self.0.rare.as_ref().and_then(|rare| rare.presence.as_ref()).map_or(0, |presence| presence.len())
    }

    /// Who is there.
    pub(super) fn presence(&mut self) -> &mut Option<Box<Presence>> {
        &mut self.rare().presence
    }

    fn rare(&mut self) -> &mut Rare {
        self.0.rare.get_or_insert_default()
    }

    /// The memory held, in bytes and publications.
    pub(super) fn held(&self) -> (usize, usize) {
        (self.0.log.bytes(), self.0.log.len())
    }

    fn appended(&self, accepted: Accepted, before: (usize, usize)) -> Appended {
        let after = self.held();
        Appended {
            accepted,
            bytes_grown: after.0 as isize - before.0 as isize,
            publications_grown: after.1 as isize - before.1 as isize,
        }
    }

    /// Takes one publication of the rate that holds for the topic.
    ///
    /// # Errors
    /// If the rate does not allow it yet: the rate, and after how many microseconds it will.
    pub(super) fn take_of_rate(&mut self, now_us: u64) -> Result<(), (Rate, u64)> {
        let Some(rate) = self.0.policy.rate else { return Ok(()) };
        self.rare().meter.take(rate, now_us).map_err(|wait_us| (rate, wait_us))
    }

    fn repeated(&mut self, key: Option<&str>, now_ms: u64) -> Option<fanwire_protocol::Position> {
        self.0.rare.as_mut()?.keys.as_mut()?.position_of(key?, now_ms)
    }

    /// Brings up to date who listens by a pattern to this topic, whose name is `name`.
    pub(super) fn refresh_patterns(&mut self, name: &Topic, patterns: &PatternInterest) {
        let inner = &mut *self.0;
        let Some(by_pattern) = patterns.counts(name, &mut inner.patterns_as_of) else { return };
        if !by_pattern.is_empty() || inner.subscribers.is_some() {
            inner.subscribers.get_or_insert_default().by_pattern = by_pattern;
            inner.subscribers.take_if(|subscribers| subscribers.is_over());
        }
    }

    /// How many subscriptions there are, as of the last [`Locked::refresh_patterns`].
    pub(super) fn subscribers(&self) -> u64 {
        let Some(subscribers) = &self.0.subscribers else { return 0 };
        subscribers.exactly.iter().chain(&subscribers.by_pattern).map(|count| u64::from(*count)).sum()
    }

    /// How many of these are to patterns.
    pub(super) fn pattern_subscribers(&self) -> u64 {
        let Some(subscribers) = &self.0.subscribers else { return 0 };
        subscribers.by_pattern.iter().map(|count| u64::from(*count)).sum()
    }

    /// Notes that `worker`, one of `workers`, has one more subscription. Returns whether nobody had one before.
    pub(super) fn listen(&mut self, worker: usize, workers: usize) -> bool {
        let exactly = &mut self.0.subscribers.get_or_insert_default().exactly;
        let was_vacant = exactly.is_empty();
        if was_vacant {
            *exactly = vec![0; workers];
        }
        exactly[worker] += 1;
        self.0.used_us = clock::monotonic_us();
        was_vacant
    }

    /// Notes that `worker` has one subscription less. Returns whether nobody has one any more.
    pub(super) fn stop_listening(&mut self, worker: usize) -> bool {
        let mut is_last = false;
        if let Some(subscribers) = &mut self.0.subscribers {
            if let Some(count) = subscribers.exactly.get_mut(worker) {
                *count = count.saturating_sub(1);
            }
            if subscribers.exactly.iter().all(|count| *count == 0) {
                is_last = !subscribers.exactly.is_empty();
                subscribers.exactly = Vec::new();
            }
        }
        self.0.subscribers.take_if(|subscribers| subscribers.is_over());
        self.0.used_us = clock::monotonic_us();
        is_last
    }

    /// When the topic was last published to, joined or left, in microseconds of the monotonic clock.
    pub(super) fn used_us(&self) -> u64 {
        self.0.used_us
    }

    /// Lets another policy hold from now on. A topic that is in use stays as durable as it was: its positions could not
    /// stay what they are otherwise.
    pub(super) fn change_policy(&mut self, policy: Arc<TopicPolicy>) {
        let durable = self.0.policy.durable;
        let is_as_durable = policy.durable == durable;
        self.0.policy = if is_as_durable { policy } else { Arc::new(TopicPolicy { durable, ..*policy }) };
    }

    /// Decides what holds for a topic that nobody has found yet.
    pub(super) fn settle_policy(&mut self, policy: Arc<TopicPolicy>) {
        self.0.policy = policy;
    }

    /// What holds for the topic.
    pub(super) fn policy(&self) -> TopicPolicy {
        *self.0.policy
    }

    /// Whether the log's positions may be told to anybody.
    pub(super) fn is_loaded(&self) -> bool {
        self.0.is_loaded || !self.0.policy.durable
    }

    /// Takes over where the store says that a durable topic stands and when its newest publication was accepted, `None` if
    /// the store does not know the topic. Nothing happens if that is known already.
    pub(super) fn load(&mut self, head: Option<(Position, u64)>) {
        if !self.is_loaded() {
            if let Some((head, ts)) = head {
                self.0.log.begin_after(head, ts);
            }
            self.0.is_loaded = true;
        }
    }

    /// Notes that a publication is on its way to the disk; the topic stays until [`Locked::append_committed`] or
    /// [`Locked::commit_failed`].
    pub(super) fn expect_commit(&mut self) {
        self.rare().commits_pending += 1;
    }

    /// Notes that a publication did not reach the disk.
    pub(super) fn commit_failed(&mut self) {
        self.rare().commits_pending -= 1;
    }

    /// What is held in memory: all of the history, or of a durable topic's the newest part.
    fn tail(&self) -> HistoryLimits {
        let history = self.0.policy.history;
        if !self.0.policy.durable {
            return history;
        }
        HistoryLimits {
            messages: history.messages.min(TAIL_MESSAGES),
            bytes: history.bytes.min(TAIL_BYTES),
            ..history
        }
    }

    /// Lets go of what is too old.
    pub(super) fn trim(&mut self, now_us: u64) {
        let tail = self.tail();
        self.0.log.trim(&tail, now_us);
    }

    /// Lets go of all history.
    pub(super) fn clear_history(&mut self) {
        self.0.log.clear();
    }

    /// Whether nobody needs the topic: no subscriber, nothing held that is not on
    /// disk too or on its way there, no key remembered, and unused for a while.
    pub(super) fn is_idle(&mut self, now_ms: u64) -> bool {
        self.0.subscribers.as_ref().is_none_or(|subscribers| subscribers.exactly.is_empty())
            && (self.0.log.is_empty() || self.0.policy.durable)
            && self.0.used_us / 1000 + LINGER_MS <= now_ms
            && self.0.rare.as_mut().is_none_or(|rare| rare.is_over(now_ms))
    }

    /// Marks an idle topic as gone, so that whoever has found it already looks for a new one. What it holds is on disk, too.
    pub(super) fn retire(&mut self, now_ms: u64) -> bool {
        self.0.is_retired = self.is_idle(now_ms);
        if self.0.is_retired {
            self.0.log.clear();
        }
        self.0.is_retired
    }

    /// Whether the topic is gone.
    pub(super) fn is_retired(&self) -> bool {
        self.0.is_retired
    }
}

impl TopicSubscribers {
    /// How many subscriptions of `worker` there are.
    fn of(&self, worker: usize) -> u32 {
        let of = |counts: &[u32]| counts.get(worker).copied().unwrap_or(0);
        of(&self.exactly) + of(&self.by_pattern)
    }

    /// Whether nobody listens.
    fn is_over(&self) -> bool {
        self.exactly.is_empty() && self.by_pattern.is_empty()
    }
}

impl Rare {
    /// Whether the topic can do without.
    fn is_over(&mut self, now_ms: u64) -> bool {
        self.commits_pending == 0
            && self.presence.is_none()
            && self.keys.as_mut().is_none_or(|keys| keys.is_empty(now_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_nobody_listens_to_is_small() {
        // With the counters of an `Arc` and the allocator's word, 160 bytes.
        assert!(size_of::<TopicState>() <= 136, "{}", size_of::<TopicState>());
    }
}
