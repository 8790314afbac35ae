//! Order and history: where a publish becomes a publication.
//!
//! The engine owns all topics. Under a topic's lock it gives the position, appends to the log and puts the publication
//! into the inbox of every worker that listens; that lock is the topic's order. It knows nothing of sessions.
//!
//! Lock order: shard of the topic index → topic → pattern interest → inbox, and last of all what is to be told. No lock is held across an await.

mod catalog;
mod clearing;
mod describing;
mod index;
mod interest;
mod occupied;
mod present;
mod receipt;
mod stored;
mod topic;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use fanwire_core::access::Refusal;
use fanwire_core::limits::HistoryLimits;
use fanwire_core::log::{Missed, Page};
use fanwire_core::presence::{Departure, MemberSession};
use fanwire_core::publication::{Publication, Publish};
use fanwire_core::rate::Rate;
use fanwire_core::rules::{Rules, TopicPolicy};
use fanwire_core::session::Start;
use fanwire_protocol::{Epoch, Position, Since, StartPoint, Topic};
use tokio::sync::{Notify, Semaphore};

use crate::clock;
use crate::hooks::Webhooks;
use crate::hub::{Inbox, Pressure};
use crate::log_limit::LogLimit;
use crate::store::Store;
use crate::telemetry::Shared;
use catalog::Catalog;
use index::TopicIndex;
use interest::PatternInterest;
use present::Expected;
use topic::{Appended, TopicState};

pub(crate) use catalog::{TopicOrder, TopicQuery, TopicRow};
pub(crate) use describing::TopicDetails;
pub(crate) use receipt::{Accepted, LateReceipt, ReceiptQueue, ReceiptTo};
pub(crate) use stored::Resumed;

/// Limits the log lines about topics whose history was dropped: any publisher can cause them.
static EVICTED: LogLimit = LogLimit::new("history dropped");

/// All topics of the broker, shared by all workers.
pub(crate) struct Engine {
    topics: TopicIndex,
    patterns: PatternInterest,
    inboxes: Vec<Arc<Inbox>>,
    pressure: Arc<Pressure>,
    rules: ArcSwap<Rules>,
    history_bytes_max: u64,
    counters: Arc<Shared>,
    /// Rung when history has outgrown its memory.
    over_memory: Notify,
    /// What keeps durable topics; without it there are none.
    store: Option<Store>,
    /// Where somebody may come back whose connection broke.
    expected: Expected,
    /// Who is told what happens to topics, if anybody is.
    webhooks: Option<Arc<Webhooks>>,
    /// Turns for those who read the disk.
    readings: Arc<Semaphore>,
    /// Up to which topic the store has been tidied up in this round.
    tidied_until: Mutex<Option<Topic>>,
    /// All topics as they were shown to operators last.
    catalog: Catalog,
}

/// How far a publish has come under its topic's lock.
enum Begun {
    /// It is accepted.
    Appended(Appended),
    /// It has to go to the disk first, under this epoch if the topic is new there, and within these limits.
    Durable(Publish, Epoch, HistoryLimits),
}

/// What somebody is given who begins to listen to a topic.
#[derive(Debug)]
pub(crate) struct Joined {
    /// The newest position; everything after it will be delivered live.
    pub(crate) head: Position,
    /// What was missed, oldest first.
    pub(crate) missed: Vec<Arc<Publication>>,
    /// `false` when something that was missed is no longer held.
    pub(crate) recovered: bool,
    /// Whether presence is kept here, so that [`Engine::enter`] has to be told who has come.
    pub(crate) has_presence: bool,
}

/// How history is read.
#[derive(Debug)]
pub(crate) enum Reading {
    /// Oldest first, after a position.
    Forward {
        /// Where to begin; `None` is the oldest held.
        since: Option<Since>,
        /// At most so many.
        limit: usize,
    },
    /// Newest first, before a position.
    Backward {
        /// Where to begin; `None` is the newest held.
        until: Option<Since>,
        /// At most so many.
        limit: usize,
    },
}

/// A stretch of history, and the newest position at the moment of reading.
#[derive(Debug)]
pub(crate) struct History {
    pub(crate) head: Position,
    pub(crate) page: Page,
}

impl Engine {
    /// An engine without topics that delivers to `inboxes`, by worker number.
    pub(crate) fn new(
        inboxes: Vec<Arc<Inbox>>,
        pressure: Arc<Pressure>,
        rules: Rules,
        history_bytes_max: u64,
        counters: Arc<Shared>,
        store: Option<Store>,
        presence_grace: Duration,
    ) -> Self {
        Self {
            topics: TopicIndex::new(),
            patterns: PatternInterest::new(inboxes.len()),
            inboxes,
            pressure,
            rules: ArcSwap::from_pointee(rules),
            history_bytes_max,
            counters,
            over_memory: Notify::new(),
            store,
            expected: Expected::new(presence_grace.as_millis() as u64),
            webhooks: None,
            readings: Arc::new(Semaphore::new(stored::READINGS_MAX)),
            tidied_until: Mutex::default(),
            catalog: Catalog::default(),
        }
    }

    /// Accepts a publication and hands it to every worker with a subscriber. Returns `None` if the topic is durable: the receipt is
    /// sent to `receipt_to` when the publication is on disk.
    ///
    /// # Errors
    /// If the topic is durable and the disk cannot take the publication; then no receipt is sent.
    pub(crate) fn publish(
        self: &Arc<Self>,
        publish: Publish,
        receipt_to: ReceiptTo,
    ) -> Result<Option<Accepted>, Refusal> {
        let name = publish.topic.clone();
        let begun = self.with_topic(&name, |topic, state| {
            if topic.policy().durable {
                topic.expect_commit();
                return Begun::Durable(publish, topic.log().head().epoch, topic.policy().history);
            }
            Begun::Appended(topic.append(state, publish, &self.patterns, &self.inboxes))
        });
        match begun {
            Begun::Appended(appended) => {
                self.account(&appended);
                self.relieve_memory(&name);
                Ok(Some(appended.accepted))
            }
            Begun::Durable(publish, epoch, history) => {
                self.commit(publish, epoch, &history, receipt_to.reserve())?;
                Ok(None)
            }
        }
    }

    /// Sees to it that history fits into its memory, after something was published to `name`.
    fn relieve_memory(&self, name: &Topic) {
        if self.history_bytes() > self.history_bytes_max {
            self.over_memory.notify_one();
            // If tidying cannot keep up with those who publish, they do it themselves.
            if self.history_bytes() > self.history_bytes_max + self.history_bytes_max / 8 {
                self.clear(name);
            }
        }
    }

    /// Takes one publication of the rate that the topic's rule sets, if it sets one.
    ///
    /// # Errors
    /// If the rate does not allow it yet: the rate, and after how many microseconds it will.
    pub(crate) fn admit(&self, topic: &Topic) -> Result<(), (Rate, u64)> {
        if !self.rules.load().has_rates() || self.policy_of(topic).rate.is_none() {
            return Ok(());
        }
        self.with_topic(topic, |topic, _| topic.take_of_rate(clock::monotonic_us()))
    }

    /// Begins to listen to one topic for `worker`. Nothing is lost or doubled in between: what was missed and the
    /// head are taken, and the interest is noted, under one hold of the topic's lock. `None` if what is asked for is on
    /// disk: see [`Engine::resume`].
    pub(crate) fn join(&self, topic: &Topic, worker: usize, start: &Start) -> Option<Joined> {
        self.read_topic(topic, |topic, state| {
            let Missed { publications, recovered } = match start {
                _ if topic.policy().durable => self.join_tail(topic, state.name(), start)?,
                Start::Now => Missed { publications: Vec::new(), recovered: true },
                Start::Last(count) => Missed { publications: topic.log().last(*count), recovered: true },
                Start::Since(since) => topic.log().since(since.place_in(state.name())),
            };
            self.begin_listening(topic, state.name(), worker);
            let has_presence = topic.policy().presence;
            Some(Joined { head: topic.log().head(), missed: publications, recovered, has_presence })
        })
    }

    /// Ends what [`Engine::join`] began, and if the session is `present`, what [`Engine::enter`] began.
    pub(crate) fn leave(
        &self,
        topic: &Topic,
        worker: usize,
        present: Option<&MemberSession>,
        departure: Departure,
    ) {
        if let Some(state) = self.find(topic) {
            let mut locked = state.lock();
            self.end_listening(&mut locked, state.name(), worker);
            if let Some(member_session) = present {
                self.exit(&mut locked, state.name(), member_session, departure);
            }
        }
    }

    /// The newest position of a topic; `None` while it is known to the disk only.
    pub(crate) fn head(&self, topic: &Topic) -> Option<Position> {
        self.read_topic(topic, |topic, _| topic.is_loaded().then(|| topic.log().head()))
    }

    /// Whether publications of the topic are kept at all.
    pub(crate) fn keeps_history(&self, topic: &Topic) -> bool {
        self.policy_of(topic).history.keeps()
    }

    /// Reads a stretch of history of about `bytes_max` bytes at most; `None` if it is on disk: see
    /// [`Engine::read_history`].
    pub(crate) fn history(&self, topic: &Topic, reading: &Reading, bytes_max: usize) -> Option<History> {
        self.read_topic(topic, |topic, state| {
            let log = topic.log();
            let place = match reading {
                Reading::Forward { since: place, .. } | Reading::Backward { until: place, .. } => {
                    place.as_ref().map_or(StartPoint::Earliest, |place| place.place_in(state.name()))
                }
            };
            let page = match reading {
                Reading::Forward { limit, .. } => {
                    if topic.policy().durable && !(topic.is_loaded() && log.holds_all_from(place)) {
                        return None;
                    }
                    log.page_forward(place, *limit)
                }
                Reading::Backward { .. } if topic.policy().durable => return None,
                Reading::Backward { limit, .. } => log.page_backward(place, *limit),
            };
            Some(History { head: log.head(), page: page.within(bytes_max) })
        })
    }

    /// Whether publishers have to wait until the workers have caught up.
    pub(crate) fn is_under_pressure(&self) -> bool {
        self.pressure.is_high()
    }

    /// Waits until publishers may go on.
    pub(crate) fn relieved(&self) -> impl Future<Output = ()> + Send + use<> {
        self.pressure.clone().relieved()
    }

    /// Waits until history has outgrown its memory.
    pub(crate) async fn outgrown(&self) {
        self.over_memory.notified().await;
    }

    /// Drops history whose time is up, and topics that nobody listens to and that hold nothing.
    pub(crate) fn tidy(&self) {
        let (now_us, now_ms) = (clock::monotonic_us(), clock::monotonic_ms());
        self.catalog.forget_stale(now_us);
        let mut idle = Vec::new();
        self.topics.for_each(|state| {
            let mut topic = state.lock();
            let before = topic.held();
            topic.trim(now_us);
            self.released(before, topic.held());
            if topic.is_idle(now_ms) {
                idle.push(state.name().clone());
            }
        });
        for name in idle {
            let is_gone = self.topics.remove_if(&name, |state| {
                let mut topic = state.lock();
                let before = topic.held();
                let retires = topic.retire(now_ms);
                self.released(before, topic.held());
                retires
            });
            if is_gone {
                self.counters.topics.fetch_sub(1, Ordering::Relaxed);
            }
        }
        self.topics.shrink();
    }

    /// Drops the history of the topics longest unused until it fits into its memory with an eighth to spare.
    pub(crate) fn evict(&self) {
        let goal = self.history_bytes_max - self.history_bytes_max / 8;
        if self.history_bytes() <= self.history_bytes_max {
            return;
        }
        let mut by_age: Vec<(u64, Topic)> = Vec::new();
        self.topics.for_each(|state| {
            let topic = state.lock();
            if !topic.log().is_empty() {
                by_age.push((topic.used_us(), state.name().clone()));
            }
        });
        by_age.sort_unstable_by_key(|(used_us, _)| *used_us);
        for (_, name) in by_age {
            if self.history_bytes() <= goal {
                break;
            }
            self.clear(&name);
        }
    }

    /// Drops the history of one topic for want of memory; whoever misses it will be told.
    fn clear(&self, name: &Topic) {
        let Some(state) = self.find(name) else { return };
        let mut topic = state.lock();
        let before = topic.held();
        self.clear_memory(&mut topic);
        if topic.policy().durable {
            return;
        }
        drop(topic);
        self.counters.history_evictions.fetch_add(1, Ordering::Relaxed);
        if let Some(left_out) = EVICTED.allow() {
            let bytes = before.0;
            tracing::warn!(topic = %name, bytes, left_out, "history dropped: history.bytes_max is reached");
        }
    }

    fn history_bytes(&self) -> u64 {
        self.counters.history_bytes.load(Ordering::Relaxed)
    }

    fn account(&self, appended: &Appended) {
        // Growth and shrinkage go through one wrapping addition, so that the sum is right whatever the order.
        self.counters.history_bytes.fetch_add(appended.bytes_grown as u64, Ordering::Relaxed);
        self.counters.history_publications.fetch_add(appended.publications_grown as u64, Ordering::Relaxed);
    }

    fn released(&self, before: (usize, usize), after: (usize, usize)) {
        self.counters.history_bytes.fetch_sub((before.0 - after.0) as u64, Ordering::Relaxed);
        self.counters.history_publications.fetch_sub((before.1 - after.1) as u64, Ordering::Relaxed);
    }

    fn find(&self, name: &Topic) -> Option<Arc<TopicState>> {
        self.topics.find(name)
    }

    /// Like [`Engine::with_topic`], but lets go of what is too old first, so that nobody is shown it.
    fn read_topic<T>(&self, name: &Topic, work: impl FnOnce(&mut topic::Locked<'_>, &TopicState) -> T) -> T {
        self.with_topic(name, |topic, state| {
            let before = topic.held();
            topic.trim(clock::monotonic_us());
            self.released(before, topic.held());
            work(topic, state)
        })
    }

    /// Runs `work` under the topic's lock, making the topic if there is none.
    fn with_topic<T>(&self, name: &Topic, work: impl FnOnce(&mut topic::Locked<'_>, &TopicState) -> T) -> T {
        loop {
            let state = self.find(name).unwrap_or_else(|| self.create(name));
            let mut locked = state.lock();
            // Between finding and locking, the topic may have been retired; then there is a new one to find.
            if !locked.is_retired() {
                return work(&mut locked, &state);
            }
        }
    }

    fn create(&self, name: &Topic) -> Arc<TopicState> {
        let epoch = Epoch::from_random(fastrand::u64(..) >> 16);
        let new = TopicState::new(name.clone(), epoch, self.shared_policy_of(name));
        self.topics.find_or_add(new, |new| {
            self.counters.topics.fetch_add(1, Ordering::Relaxed);
            // Asked again under the lock of the shard, so that no topic is made by rules that have just been changed: whoever
            // changes them walks over every shard afterwards.
            new.lock().settle_policy(self.shared_policy_of(name));
        })
    }

    /// The rules as they stand now.
    pub(crate) fn rules(&self) -> Guard<Arc<Rules>> {
        self.rules.load()
    }

    fn policy_of(&self, name: &Topic) -> TopicPolicy {
        self.rules.load().policy_of(name)
    }

    fn shared_policy_of(&self, name: &Topic) -> Arc<TopicPolicy> {
        self.rules.load().shared_policy_of(name).clone()
    }

    /// Lets other rules hold from now on, for the topics that are there already too.
    pub(crate) fn change_rules(&self, rules: Rules) {
        self.rules.store(Arc::new(rules));
        self.topics.for_each(|state| state.lock().change_policy(self.shared_policy_of(state.name())));
        // What the new rules no longer keep goes now.
        self.tidy();
    }
}

#[cfg(test)]
mod tests;
