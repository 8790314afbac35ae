//! Order and history: where a publish becomes a publication.
//!
//! Under a topic's lock the engine gives the position, appends to the log, and puts the publication into the inbox of every worker
//! with a subscriber; that lock is the topic's order. The engine does not know sessions, and knows archives and observers only by
//! the traits it defines.
//!
//! | file | owns |
//! | --- | --- |
//! | `topics` | all topics that exist; `index`, `epochs`, `new_topics`, `interest` are parts of it |
//! | `topic` | one topic under its lock |
//! | `memory` | the accounting of what clients can make the engine hold |
//! | `archived` | topics in an archive, whose contract is in `archive`; `commits` is a part of it |
//! | `history` | reading |
//! | `presence`, `counts` | members, and the numbers of subscribers that channels announce |
//! | `catalog`, `details` | topics as operators see them |
//! | `housekeeping` | the periodic work: trimming, eviction, the archive |
//! | `tally`, `interest` | subscriptions by worker and role |
//! | `receipt`, `observer` | where receipts and events go |
//!
//! Lock order: shard of the topic index → topic → pattern interest → inbox, and last of all what an observer locks. No lock is held
//! across an await.

mod archive;
mod archived;
mod catalog;
mod commits;
mod counts;
mod details;
mod epochs;
mod history;
mod housekeeping;
mod index;
mod interest;
mod memory;
mod new_topics;
mod observer;
mod presence;
mod receipt;
mod tally;
mod topic;
mod topics;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::Guard;
use fanwire_core::access::Refusal;
use fanwire_core::limits::HistoryLimits;
use fanwire_core::log::Missed;
use fanwire_core::presence::{Departure, MemberSession};
use fanwire_core::publication::{Publication, Publish};
use fanwire_core::rate::Rate;
use fanwire_core::rules::Rules;
use fanwire_core::session::Start;
use fanwire_protocol::{Epoch, Pattern, Position, Topic};

use crate::clock;
use crate::hub::{Inbox, Pressure};
use crate::telemetry::Shared;
use archived::Archived;
use counts::SubscriberCounts;
use memory::Memory;
use tally::Change;
use topic::{Locked, TopicState};
use topics::Topics;

pub(crate) use archive::{
    Append, Archive, ArchiveError, Arrival, Arrivals, Bounds, Committed, Done, Interest, Keep, Pending,
    Range, Removal, Scope, Status, StoredPublication, Stretch, TopicRecord,
};
pub(crate) use catalog::{Catalog, TopicOrder, TopicQuery, TopicRow};
pub(crate) use details::{TopicActivity, TopicDetails};
pub(crate) use history::{History, Piece, Reading, Resumed};
pub(crate) use housekeeping::Housekeeping;
pub(crate) use observer::Observer;
pub(crate) use presence::Members;
pub(crate) use receipt::{Accepted, LateReceipt, ReceiptQueue, ReceiptTo, send_together};
pub(crate) use tally::{Role, Seat};

/// All topics of the broker, shared by all workers: publishing, subscribing and reading. Callers that need one part of it hold
/// that part: [`Members`], [`Catalog`] or [`Housekeeping`].
pub(crate) struct Engine {
    topics: Arc<Topics>,
    /// The topics in the archive; `None` without one.
    archived: Option<Arc<Archived>>,
    members: Members,
    counts: SubscriberCounts,
    observer: Option<Arc<dyn Observer>>,
    pressure: Arc<Pressure>,
    catalog: Arc<Catalog>,
    replay_bytes_max: usize,
}

/// The parts of an engine.
pub(crate) struct EngineParts {
    /// The inboxes it delivers to, by worker number.
    pub(crate) inboxes: Vec<Arc<Inbox>>,
    /// The pressure that slows publishers down.
    pub(crate) pressure: Arc<Pressure>,
    pub(crate) rules: Rules,
    /// The maximum number of topics that exist at a time.
    pub(crate) topics_max: u64,
    /// The maximum memory of what clients can make it hold, in bytes.
    pub(crate) memory_bytes_max: u64,
    /// The maximum memory of what one session is sent at once of what it missed, in bytes. Beyond, it is sent piece by piece.
    pub(crate) replay_bytes_max: usize,
    pub(crate) counters: Arc<Shared>,
    /// Keeps topics beyond memory.
    pub(crate) archive: Option<Arc<dyn Archive>>,
    /// Learns what happens to topics.
    pub(crate) observer: Option<Arc<dyn Observer>>,
    /// The time for which a user whose connection broke stays a member.
    pub(crate) presence_grace: Duration,
}

/// The start of a subscription to a topic.
#[derive(Debug)]
pub(crate) struct Joined {
    /// The newest position; everything after it is delivered live.
    pub(crate) head: Position,
    /// The missed publications, oldest first.
    pub(crate) missed: Vec<Arc<Publication>>,
    /// `false` when something that was missed is no longer held.
    pub(crate) recovered: bool,
    /// Whether the topic keeps presence, so that [`Members::enter`] must follow.
    pub(crate) has_presence: bool,
}

/// The state of a publish after its topic's lock is released.
enum Step {
    /// The publish is accepted at once.
    Accepted(Accepted),
    /// It must go to the archive, under this epoch if the topic is new there, and within these limits. The topic exists until the
    /// receipt has come.
    Commit(Arc<TopicState>, Publish, Epoch, HistoryLimits),
}

impl Engine {
    /// An engine without topics.
    pub(crate) fn new(parts: EngineParts) -> Self {
        let scope = parts.archive.as_ref().map(|archive| archive.status().scope);
        let memory = Memory::new(parts.memory_bytes_max, parts.counters.clone());
        let topics = Topics::new(parts.rules, parts.inboxes, parts.topics_max, memory, parts.counters, scope);
        let topics = Arc::new(topics);
        let archived = parts.archive.map(|archive| Arc::new(Archived::new(topics.clone(), archive)));
        let grace_ms = parts.presence_grace.as_millis() as u64;
        let members = Members::new(topics.clone(), grace_ms, parts.observer.clone());
        let catalog = Arc::new(Catalog::new(topics.clone(), archived.clone()));
        let counts = SubscriberCounts::new(parts.observer.clone());
        let (observer, pressure) = (parts.observer, parts.pressure);
        Self {
            topics,
            archived,
            members,
            counts,
            observer,
            pressure,
            catalog,
            replay_bytes_max: parts.replay_bytes_max,
        }
    }

    /// Returns the members of topics with presence.
    pub(crate) fn members(&self) -> &Members {
        &self.members
    }

    /// Announces the numbers of subscribers that are due at `now_ms`.
    pub(crate) fn announce_counts(&self, now_ms: u64) {
        self.counts.announce_due(&self.topics, now_ms);
    }

    /// Returns the topics as operators see them.
    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        self.catalog.clone()
    }

    /// Returns the periodic work, for the thread that does it.
    pub(crate) fn housekeeping(&self) -> Housekeeping {
        Housekeeping::new(self.topics.clone(), self.archived.clone(), self.catalog.clone())
    }

    /// Returns the pressure by which publishers wait until the workers have delivered more.
    pub(crate) fn pressure(&self) -> &Arc<Pressure> {
        &self.pressure
    }

    /// Accepts a publication and hands it to every worker with a subscriber. Returns `None` if the topic is in the archive: the
    /// receipt is sent to `receipt_to` when the archive has accepted the publication.
    ///
    /// # Errors
    /// If there is no room for the topic or the idempotency key, or the archive cannot take the publication; then no receipt is
    /// sent.
    pub(crate) fn publish(
        &self,
        publish: Publish,
        receipt_to: ReceiptTo,
    ) -> Result<Option<Accepted>, Refusal> {
        let name = publish.topic.clone();
        let step = self.topics.with(&name, |locked, state| {
            if locked.is_archived() {
                locked.commits().begin();
                let (epoch, history) = (locked.log().head().epoch, locked.policy().history);
                return Ok(Step::Commit(state.clone(), publish, epoch, history));
            }
            let (targets, memory) = (self.topics.targets(), self.topics.memory());
            locked.accept(state.name(), publish, targets, memory).map(Step::Accepted)
        })?;
        match step? {
            Step::Accepted(accepted) => {
                self.topics.relieve_memory(&name);
                Ok(Some(accepted))
            }
            Step::Commit(state, publish, epoch, history) => {
                let Some(archived) = &self.archived else {
                    state.lock().commits().refused();
                    return Err(archived::no_archive());
                };
                archived.commit(state, publish, epoch, &history, receipt_to.reserve())?;
                Ok(None)
            }
        }
    }

    /// Takes one publication of the rate of a topic, if its rule sets one.
    ///
    /// # Errors
    /// If the rate does not allow it yet: the rate, and after how many microseconds it will.
    pub(crate) fn take_of_rate(&self, topic: &Topic) -> Result<(), (Rate, u64)> {
        self.topics.take_of_rate(topic)
    }

    /// Subscribes `worker` to one topic. Nothing is lost or doubled in between: what was missed and the head are read, and the
    /// subscription is added, under one hold of the topic's lock. Returns `None` if what is asked for is in the archive or too much to
    /// be sent at once, or there is no room for another topic or member: see [`Engine::resume`].
    pub(crate) fn join(&self, topic: &Topic, seat: impl Into<Seat>, start: &Start) -> Option<Joined> {
        let seat = seat.into();
        let joined = self.topics.with(topic, |locked, state| {
            locked.trim(clock::monotonic_us());
            let Missed { publications, recovered } =
                history::missed(locked, state.name(), start, self.replay_bytes_max)?;
            let has_presence = locked.policy().presence && seat.role == Role::Subscriber;
            if has_presence && self.topics.memory().check_presence().is_err() {
                return None;
            }
            self.subscribe(locked, state.name(), seat);
            Some(Joined { head: locked.log().head(), missed: publications, recovered, has_presence })
        });
        joined.ok().flatten()
    }

    /// Reads where a subscription begins that [`Engine::join`] does not answer, and the first piece of what was missed.
    ///
    /// # Errors
    /// If the archive cannot be read, or there is no room for the topic or the member.
    pub(crate) async fn resume(&self, topic: &Topic, start: &Start) -> Result<Resumed, Refusal> {
        let in_memory = self.topics.with(topic, |locked, state| {
            if locked.policy().presence {
                self.topics.memory().check_presence()?;
            }
            locked.trim(clock::monotonic_us());
            let resumed =
                (!locked.is_archived()).then(|| history::resume_in_memory(locked, state.name(), start));
            Ok::<_, Refusal>(resumed)
        })??;
        match in_memory {
            Some(resumed) => Ok(resumed),
            None => self.archived()?.resume(topic, start).await,
        }
    }

    /// Reads the piece after `at` of what a session missed.
    ///
    /// # Errors
    /// If the archive cannot be read, or there is no room for the topic.
    pub(crate) async fn read_on(&self, topic: &Topic, at: Position) -> Result<Piece, Refusal> {
        let in_memory = self.topics.with(topic, |locked, _| {
            locked.trim(clock::monotonic_us());
            (!locked.is_archived()).then(|| history::read_on_in_memory(locked, at))
        })?;
        match in_memory {
            Some(piece) => Ok(piece),
            None => self.archived()?.read_on(topic, at).await,
        }
    }

    /// Subscribes `worker` after `at`, which [`Engine::resume`] or [`Engine::read_on`] returned; `None` if there is more to read
    /// before.
    pub(crate) fn join_after(&self, topic: &Topic, seat: impl Into<Seat>, at: Position) -> Option<Joined> {
        let seat = seat.into();
        let joined = self.topics.with_existing(topic, |locked, state| {
            locked.trim(clock::monotonic_us());
            let (missed, head) = history::rest(locked, at, self.replay_bytes_max)?;
            self.subscribe(locked, state.name(), seat);
            let has_presence = locked.policy().presence && seat.role == Role::Subscriber;
            Some(Joined { head, missed, recovered: true, has_presence })
        });
        joined.flatten()
    }

    /// Returns the memory of what [`Engine::join`] sends at once for this start; `None` if it cannot send it.
    pub(crate) fn joined_bytes(&self, topic: &Topic, start: &Start) -> Option<usize> {
        let held = self.topics.with_existing(topic, |locked, state| {
            let missed = history::missed(locked, state.name(), start, self.replay_bytes_max);
            missed.map(|missed| missed.cost())
        });
        held.unwrap_or_else(|| (!self.topics.is_archived(&self.topics.policy_of(topic))).then_some(0))
    }

    /// Ends what [`Engine::join`] began, and if the session is `present`, what [`Members::enter`] began.
    pub(crate) fn leave(
        &self,
        topic: &Topic,
        seat: impl Into<Seat>,
        present: Option<&MemberSession>,
        departure: Departure,
    ) {
        let seat = seat.into();
        self.topics.with_existing(topic, |locked, state| {
            self.unsubscribe(locked, state.name(), seat);
            if let Some(member_session) = present {
                self.members.exit(locked, state.name(), member_session, departure);
            }
        });
    }

    fn subscribe(&self, locked: &mut Locked<'_>, name: &Topic, seat: Seat) {
        let change = locked.subscribe(seat, self.topics.inboxes().len());
        self.report_topic(locked, name, (change, Interest::Begins));
        self.counts.changed(&self.topics, locked, name);
    }

    fn unsubscribe(&self, locked: &mut Locked<'_>, name: &Topic, seat: Seat) {
        let change = locked.unsubscribe(seat);
        self.report_topic(locked, name, (change, Interest::Ends));
        self.counts.changed(&self.topics, locked, name);
    }

    fn report_topic(&self, locked: &Locked<'_>, name: &Topic, (change, interest): (Change, Interest)) {
        let archived = self.archived.as_deref().filter(|_| locked.is_archived());
        if self.observer.is_some() || archived.is_some() {
            self.report_interest(&name.clone().into(), archived, (change, interest));
        }
    }

    fn report_interest(
        &self,
        pattern: &Pattern,
        archived: Option<&Archived>,
        (change, interest): (Change, Interest),
    ) {
        if let Some(archived) = archived.filter(|_| change.of_interest) {
            archived.archive().interest(pattern, interest);
        }
        match (self.observer.as_ref().filter(|_| change.of_occupancy), interest) {
            (Some(observer), Interest::Begins) => observer.occupied(pattern),
            (Some(observer), Interest::Ends) => observer.vacated(pattern),
            (None, _) => {}
        }
    }

    /// Subscribes to all topics that match a pattern with wildcards.
    pub(crate) fn join_pattern(&self, pattern: &Pattern, seat: impl Into<Seat>) {
        let report = |change| {
            self.report_interest(pattern, self.archived.as_deref(), (change, Interest::Begins));
        };
        self.topics.patterns().subscribe(pattern, seat.into(), report);
    }

    /// Ends what [`Engine::join_pattern`] began.
    pub(crate) fn leave_pattern(&self, pattern: &Pattern, seat: impl Into<Seat>) {
        let report = |change| {
            self.report_interest(pattern, self.archived.as_deref(), (change, Interest::Ends));
        };
        self.topics.patterns().unsubscribe(pattern, seat.into(), report);
    }

    /// Reports that a client polls a topic or pattern, and was answered without a subscription.
    pub(crate) fn report_poll(&self, pattern: &Pattern) {
        if let Some(observer) = &self.observer {
            observer.interest(pattern);
        }
    }

    /// Returns the newest position of a topic; `None` if only the archive knows it, or the topic does not exist.
    pub(crate) fn head(&self, topic: &Topic) -> Option<Position> {
        let head =
            self.topics.with_existing(topic, |locked, _| locked.is_loaded().then(|| locked.log().head()));
        head.flatten()
    }

    /// Returns whether publications of the topic are kept at all.
    pub(crate) fn keeps_history(&self, topic: &Topic) -> bool {
        self.topics.policy_of(topic).history.keeps()
    }

    /// Reads a page of history of about `bytes_max` bytes at most; `None` if it is in the archive: see
    /// [`Engine::read_history`].
    pub(crate) fn history(&self, topic: &Topic, reading: &Reading, bytes_max: usize) -> Option<History> {
        history::read_memory(&self.topics, topic, reading, bytes_max)
    }

    /// Reads a page of history of about `bytes_max` bytes at most, from the archive if memory does not hold it.
    ///
    /// # Errors
    /// If the archive cannot be read.
    pub(crate) async fn read_history(
        &self,
        topic: &Topic,
        reading: Reading,
        bytes_max: usize,
    ) -> Result<History, Refusal> {
        match self.history(topic, &reading, bytes_max) {
            Some(history) => Ok(history),
            None => self.archived()?.read_history(topic, &reading, bytes_max).await,
        }
    }

    /// Removes everything that a topic holds, in memory and in the archive, and returns the position up to which that was.
    ///
    /// # Errors
    /// If the archive cannot be written; then nothing is removed.
    pub(crate) async fn clear_history(&self, topic: &Topic) -> Result<Position, Refusal> {
        let cleared = self.topics.with_existing(topic, |locked, _| {
            (!locked.is_archived()).then(|| {
                locked.clear_history();
                locked.log().head()
            })
        });
        match cleared {
            Some(Some(head)) => Ok(head),
            None if !self.topics.is_archived(&self.topics.policy_of(topic)) => {
                Ok(Position { epoch: self.topics.beginning_of(topic).0, offset: 0 })
            }
            _ => self.archived()?.clear(topic).await,
        }
    }

    /// Returns the rules as they are now.
    pub(crate) fn rules(&self) -> Guard<Arc<Rules>> {
        self.topics.rules()
    }

    /// Applies other rules from now on, to existing topics too.
    pub(crate) fn change_rules(&self, rules: Rules) {
        self.topics.change_rules(rules);
    }

    fn archived(&self) -> Result<&Archived, Refusal> {
        self.archived.as_deref().ok_or_else(archived::no_archive)
    }
}

#[cfg(test)]
pub(crate) mod conformance;
#[cfg(any(test, debug_assertions))]
pub(crate) mod stepped;
#[cfg(test)]
mod tests;
