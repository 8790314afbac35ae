//! Durable topics: publishing through the store's writer, and reading what only the disk still holds.
//!
//! A publish goes to the store, which gives it its position; once it is on disk the writer's thread comes back here, and
//! from then on it goes the way of every other publication. The newest part of a topic is held in memory too, so the disk is
//! read only for whoever was away for long, after a restart, and for history. Reading waits for the disk on threads of its own.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fanwire_core::access::Refusal;
use fanwire_core::limits::HistoryLimits;
use fanwire_core::log::{Missed, Page};
use fanwire_core::publication::{Publication, Publish};
use fanwire_core::session::Start;
use fanwire_protocol::{Epoch, ErrorCode, Message, Position, Since, StartPoint, Topic};

use super::receipt::{Accepted, OwedReceipt};
use super::{Engine, History, Joined, Reading, topic};
use crate::clock;
use crate::owned_task;
use crate::store::{Append, Bounds, Committed, Keep, Store, StoreError, StoredPublication, TopicRecord};

/// How many readings of the disk run at once; the others wait for their turn.
pub(super) const READINGS_MAX: usize = 4;

/// How much of what was missed is read at once, in publications and in bytes of payload.
const PIECE_MESSAGES: usize = 1000;
const PIECE_BYTES: usize = 128 * 1024;

/// How many topics on disk are looked after at once.
const TOPICS_AT_ONCE: usize = 10_000;

/// How long a topic of which nothing is held stays known after its last publication, so that the positions of clients that
/// come back are still recognised.
const NUMBERING_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// What somebody is given first who begins to listen after a position that memory does not hold.
#[derive(Debug)]
pub(crate) struct Resumed {
    /// The newest position on disk.
    pub(crate) head: Position,
    /// `false` when something that was missed is no longer held.
    pub(crate) recovered: bool,
    /// The first piece of what was missed.
    pub(crate) piece: Piece,
}

/// A piece of what somebody missed.
#[derive(Debug)]
pub(crate) struct Piece {
    /// Oldest first.
    pub(crate) publications: Vec<Arc<Publication>>,
    /// Where the next piece begins.
    pub(crate) at: Position,
    /// The number of publications before these that were deleted in the meantime, because their time was up.
    pub(crate) lost: u64,
    /// The number of publications left out because they are damaged on disk.
    pub(crate) damaged: u64,
}

/// What is kept on disk under `history`, as of now.
fn keep(history: &HistoryLimits) -> Keep {
    let bound = |bound: usize| if bound == usize::MAX { u64::MAX } else { bound as u64 };
    Keep {
        messages: bound(history.messages),
        bytes: bound(history.bytes),
        ttl_ms: history.ttl_ms,
        now: clock::unix_ms(),
    }
}

/// What a client is told of an error of the store. The cause is the operator's business, and is logged when it begins.
pub(super) fn refusal(error: &StoreError) -> Refusal {
    let message = match error {
        StoreError::Full => {
            "more is published than the broker's disk takes: publish again in a moment".to_owned()
        }
        StoreError::TooManyTopics => error.to_string(),
        StoreError::Unavailable(_) | StoreError::NoSpace(_) | StoreError::Damaged(_) | StoreError::Closed => {
            "the broker cannot use its disk now, so nothing can be kept or read: try again later".to_owned()
        }
    };
    Refusal { code: ErrorCode::Unavailable, message }
}

pub(super) fn no_store() -> Refusal {
    let message = "the topic is durable, and this broker has no data directory".to_owned();
    Refusal { code: ErrorCode::Unavailable, message }
}

impl Engine {
    /// Sends a publication of a durable topic to the disk. `epoch` is the one the topic begins with if the store does not
    /// know it.
    pub(super) fn commit(
        self: &Arc<Self>,
        publish: Publish,
        epoch: Epoch,
        history: &HistoryLimits,
        receipt: OwedReceipt,
    ) -> Result<(), Refusal> {
        let name = publish.topic.clone();
        let ts = clock::unix_ms();
        let append = Append {
            topic: name.clone(),
            epoch,
            payload: publish.payload.clone(),
            from: publish.from.clone(),
            key: publish.key.clone(),
            ts,
            cost: Publication::cost_of(&publish.payload) as u64,
            keep: keep(history),
        };
        let engine = self.clone();
        let done = Box::new(move |result| {
            let topic = publish.topic.clone();
            receipt.send(topic, engine.committed(publish, result));
        });
        let Some(store) = &self.store else {
            self.with_topic(&name, |topic, _| topic.commit_failed());
            return Err(no_store());
        };
        store.append(append, done).map_err(|error| {
            self.with_topic(&name, |topic, _| topic.commit_failed());
            refusal(&error)
        })
    }

    /// Takes over what became of a publication, on the writer's thread and in the order of the positions.
    fn committed(
        &self,
        publish: Publish,
        result: Result<Committed, StoreError>,
    ) -> Result<Accepted, Refusal> {
        let (name, bytes) = (publish.topic.clone(), publish.payload.len() as u64);
        let appended = self.with_topic(&name, |topic, state| match result {
            Ok(committed) => {
                Ok(topic.append_committed(state, publish, committed, &self.patterns, &self.inboxes))
            }
            Err(error) => {
                topic.commit_failed();
                Err(refusal(&error))
            }
        })?;
        if !appended.accepted.is_duplicate {
            self.counters.durable_publications.fetch_add(1, Ordering::Relaxed);
            self.counters.durable_publication_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        self.account(&appended);
        self.relieve_memory(&name);
        Ok(appended.accepted)
    }

    /// Begins to listen to a durable topic as far as memory goes; `None` if the disk has to be read first.
    pub(super) fn join_tail(
        &self,
        locked: &topic::Locked<'_>,
        name: &Topic,
        start: &Start,
    ) -> Option<Missed> {
        let log = locked.log();
        let publications = match start {
            _ if !locked.is_loaded() => return None,
            Start::Now => Vec::new(),
            Start::Last(count) if *count <= log.len() => log.last(*count),
            Start::Last(_) => return None,
            Start::Since(since) => {
                let place = since.place_in(name);
                log.holds_all_from(place).then(|| log.since(place).publications)?
            }
        };
        Some(Missed { publications, recovered: true })
    }

    /// Begins to listen for `worker` after `at`, which the caller was given by [`Engine::resume`] or [`Engine::read_on`];
    /// `None` if there is more to be read before.
    pub(crate) fn join_after(&self, topic: &Topic, worker: usize, at: Position) -> Option<Joined> {
        self.read_topic(topic, |locked, state| {
            let log = locked.log();
            let head = log.head();
            // The disk may be ahead of what has been delivered: then all that is delivered later is known already.
            let is_ahead = head.epoch == at.epoch && at.offset > head.offset;
            if !locked.is_loaded() || !(is_ahead || log.holds_all_from(StartPoint::After(at))) {
                return None;
            }
            let missed = if is_ahead { Vec::new() } else { log.since(StartPoint::After(at)).publications };
            let head = Position { offset: head.offset.max(at.offset), ..head };
            self.begin_listening(locked, state.name(), worker);
            let has_presence = locked.policy().presence;
            Some(Joined { head, missed, recovered: true, has_presence })
        })
    }

    /// Reads where a durable topic stands, and the first piece of what somebody missed who asks for `start`.
    ///
    /// # Errors
    /// If the disk cannot be read.
    pub(crate) async fn resume(self: &Arc<Self>, topic: &Topic, start: &Start) -> Result<Resumed, Refusal> {
        let start = start.clone();
        self.read_disk(topic, move |engine, store, topic, keep| {
            let record = engine.load(store, topic, keep)?;
            let (epoch, floor) = (record.epoch, record.floor);
            let head = Position { epoch, offset: record.head };
            let (after, mut recovered) = match &start {
                Start::Now => (record.head, true),
                Start::Last(count) => (record.head.saturating_sub(*count as u64).max(floor), true),
                Start::Since(since) => place_on_disk(store, topic, &record, since.place_in(topic), keep)?,
            };
            let piece = read_piece(store, topic, Position { epoch, offset: after }, keep)?;
            recovered &= piece.damaged == 0;
            recovered &=
                piece.lost == 0 || !matches!(&start, Start::Since(since) if *since != Since::Earliest);
            Ok(Resumed { head, recovered, piece })
        })
        .await
    }

    /// Whether there is a disk for durable topics.
    pub(crate) fn has_store(&self) -> bool {
        self.store.is_some()
    }

    /// Takes over from the disk where a durable topic stands.
    ///
    /// # Errors
    /// If the disk cannot be read.
    pub(super) async fn load_head(self: &Arc<Self>, topic: &Topic) -> Result<(), Refusal> {
        self.read_disk(topic, |engine, store, topic, keep| engine.load(store, topic, keep).map(drop)).await
    }

    /// Reads the piece after `at` of what somebody missed.
    ///
    /// # Errors
    /// If the disk cannot be read, or the topic was begun anew.
    pub(crate) async fn read_on(self: &Arc<Self>, topic: &Topic, at: Position) -> Result<Piece, Refusal> {
        self.read_disk(topic, move |_, store, topic, keep| read_piece(store, topic, at, keep)).await
    }

    /// Sees to it that it is known where a durable topic stands.
    ///
    /// # Errors
    /// If the disk cannot be read.
    pub(super) async fn load_numbering(self: &Arc<Self>, topic: &Topic) -> Result<(), Refusal> {
        self.read_disk(topic, |engine, store, topic, keep| engine.load(store, topic, keep).map(drop)).await
    }

    /// Reads a stretch of history of about `bytes_max` bytes at most, from the disk if memory does not hold it.
    ///
    /// # Errors
    /// If the disk cannot be read.
    pub(crate) async fn read_history(
        self: &Arc<Self>,
        topic: &Topic,
        reading: Reading,
        bytes_max: usize,
    ) -> Result<History, Refusal> {
        if let Some(history) = self.history(topic, &reading, bytes_max) {
            return Ok(history);
        }
        self.read_disk(topic, move |engine, store, topic, keep| {
            let record = engine.load(store, topic, keep)?;
            let head = Position { epoch: record.epoch, offset: record.head };
            let page = read_page(store, topic, &record, &reading, (bytes_max, keep))?;
            Ok(History { head, page })
        })
        .await
    }

    /// Runs `work` on a thread that may wait for the disk. The task owns its permit and drops it when `work` is done, so a
    /// session that does not take the result holds up no other reader.
    async fn read_disk<T: Send + 'static>(
        self: &Arc<Self>,
        topic: &Topic,
        work: impl FnOnce(&Self, &Store, &Topic, &Keep) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (engine, topic) = (self.clone(), topic.clone());
        let permits = self.readings.clone();
        let read = owned_task::run(async move {
            let permit = permits.acquire_owned().await;
            tokio::task::spawn_blocking(move || {
                let _permit = permit;
                let keep = keep(&engine.policy_of(&topic).history);
                let store = engine.store.as_ref().ok_or_else(no_store)?;
                work(&engine, store, &topic, &keep).map_err(|error| refusal(&error))
            })
            .await
        });
        read.await.and_then(|read| read).unwrap_or_else(|error| {
            tracing::error!(%error, "a read of the store ended early");
            Err(refusal(&StoreError::Closed))
        })
    }

    /// Asks the store where a topic stands, and takes it over if nobody has yet.
    fn load(&self, store: &Store, topic: &Topic, keep: &Keep) -> Result<TopicRecord, StoreError> {
        let record = store.load(topic, keep)?;
        let place =
            |record: &TopicRecord| (Position { epoch: record.epoch, offset: record.head }, record.newest_ts);
        let head = record.as_ref().map(place);
        let known = self.with_topic(topic, |locked, _| {
            locked.load(head);
            locked.log().head()
        });
        Ok(record.unwrap_or(TopicRecord {
            epoch: known.epoch,
            head: 0,
            floor: 0,
            floor_ts: 0,
            bytes: 0,
            newest_ts: 0,
        }))
    }

    /// Counts what waits for the disk.
    pub(crate) fn measure_store(&self) {
        let bytes = self.store.as_ref().map_or(0, Store::queued_bytes);
        self.counters.store_queue_bytes.store(bytes as u64, Ordering::Relaxed);
    }

    /// Lets go of what durable topics need not keep any longer. One call looks at some topics after those of the call
    /// before. Waits for the disk.
    pub(crate) fn tidy_store(&self) {
        let Some(store) = &self.store else { return };
        // A full queue or a failing disk is no loss here: the next call asks for the same.
        let _asked_again = store.forget_keys(clock::unix_ms());
        let mut last = self.tidied_until.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let keep_of = |topic: &Topic| keep(&self.policy_of(topic).history);
        let Ok(topics) = store.topics(last.as_ref(), TOPICS_AT_ONCE, keep_of) else { return };
        *last = (topics.len() == TOPICS_AT_ONCE).then(|| topics[topics.len() - 1].0.clone());
        drop(last);
        let forgotten_before = clock::unix_ms().saturating_sub(NUMBERING_KEPT.as_millis() as u64);
        for (topic, record) in topics {
            // What no rule calls durable any more is left alone, for the next rule that does.
            if !self.policy_of(&topic).durable {
                continue;
            }
            if record.floor == record.head && record.newest_ts < forgotten_before {
                self.forget(store, &topic);
            } else {
                let _asked_again = store.trim(&topic, keep_of(&topic));
            }
        }
    }

    /// Lets the store forget a topic that holds nothing, unless somebody uses it. What is published later waits in the
    /// store's queue behind this, and begins under a new epoch.
    pub(super) fn forget(&self, store: &Store, name: &Topic) {
        if self.find(name).is_some() {
            return;
        }
        self.with_topic(name, |topic, _| {
            if !topic.is_loaded() && store.forget_topic(name, Box::new(|_| {})).is_ok() {
                topic.load(None);
            }
        });
    }
}

/// The offset after which `place` begins on disk, and whether everything from there on is held.
fn place_on_disk(
    store: &Store,
    topic: &Topic,
    record: &TopicRecord,
    place: StartPoint,
    keep: &Keep,
) -> Result<(u64, bool), StoreError> {
    Ok(match place {
        StartPoint::Earliest => (record.floor, true),
        StartPoint::After(at)
            if at.epoch == record.epoch && (record.floor..=record.head).contains(&at.offset) =>
        {
            (at.offset, true)
        }
        StartPoint::After(_) => (record.floor, false),
        StartPoint::Moment(moment) => {
            let after = store.offset_before(topic, record.epoch, moment, keep)?.unwrap_or(record.head);
            (after, holds_all_from(record, moment, keep))
        }
    })
}

/// Whether nothing accepted at `moment` or later has gone. A topic of which nothing has gone may have been begun anew, but
/// only when everything of it was too old to be kept.
fn holds_all_from(record: &TopicRecord, moment: u64, keep: &Keep) -> bool {
    if record.floor == 0 { keep.oldest_ts(record.newest_ts) <= moment } else { record.floor_ts < moment }
}

fn read_piece(store: &Store, topic: &Topic, at: Position, keep: &Keep) -> Result<Piece, StoreError> {
    let bounds = Bounds { through: u64::MAX, limit: PIECE_MESSAGES, bytes_max: PIECE_BYTES, keep: *keep };
    let Some(stretch) = store.read_after(topic, at.epoch, at.offset, &bounds)? else {
        // Nothing was ever on disk under this epoch, or no more is.
        return Ok(Piece { publications: Vec::new(), at, lost: u64::from(at.offset > 0), damaged: 0 });
    };
    let lost = stretch.floor.saturating_sub(at.offset);
    let publications = publications(topic, at.epoch, stretch.publications);
    let at = Position { offset: stretch.last, ..at };
    Ok(Piece { publications, at, lost, damaged: stretch.damaged })
}

fn read_page(
    store: &Store,
    topic: &Topic,
    record: &TopicRecord,
    reading: &Reading,
    (bytes_max, keep): (usize, &Keep),
) -> Result<Page, StoreError> {
    let (Reading::Forward { limit, .. } | Reading::Backward { limit, .. }) = reading;
    let bounds = Bounds { through: u64::MAX, limit: *limit, bytes_max, keep: *keep };
    let (stretch, gap) = match reading {
        Reading::Forward { since, .. } => {
            let place = since.as_ref().map_or(StartPoint::Earliest, |since| since.place_in(topic));
            let (after, is_whole) = place_on_disk(store, topic, record, place, keep)?;
            (store.read_after(topic, record.epoch, after, &bounds)?, !is_whole)
        }
        Reading::Backward { until, .. } => {
            let place = until.as_ref().map_or(StartPoint::Earliest, |until| until.place_in(topic));
            let (before, gap) = match place {
                StartPoint::Earliest => (u64::MAX, false),
                // Nothing was ever published before an epoch's first offset, so nothing of it can be missing.
                StartPoint::After(at) if at.epoch == record.epoch => {
                    (at.offset, (2..=record.floor).contains(&at.offset))
                }
                StartPoint::After(_) => (u64::MAX, true),
                StartPoint::Moment(_) => {
                    let (after, is_whole) = place_on_disk(store, topic, record, place, keep)?;
                    (after + 1, !is_whole)
                }
            };
            (store.read_before(topic, record.epoch, before, &bounds)?, gap)
        }
    };
    Ok(match stretch {
        Some(stretch) => {
            let backward = matches!(reading, Reading::Backward { .. });
            let mut found = stretch.publications;
            if backward {
                found.reverse();
            }
            let mut publications = publications(topic, record.epoch, found);
            if backward {
                publications.reverse();
            }
            Page { publications, gap: gap || stretch.damaged > 0, more: stretch.more }
        }
        None => Page { publications: Vec::new(), gap, more: false },
    })
}

/// Makes publications of what is on disk, given oldest first. When each was accepted is told from the wall clock, but never
/// so that a later one seems earlier.
fn publications(topic: &Topic, epoch: Epoch, stored: Vec<StoredPublication>) -> Vec<Arc<Publication>> {
    let (now_us, now_ms) = (clock::monotonic_us(), clock::unix_ms());
    let mut newest_us = 0;
    let place = |StoredPublication { offset, ts, from, payload }| {
        let age_us = now_ms.saturating_sub(ts).saturating_mul(1000);
        newest_us = now_us.saturating_sub(age_us).max(newest_us);
        let position = Some(Position { epoch, offset });
        let message = Message { topic: topic.clone(), payload, position, ts: Some(ts), from };
        Arc::new(Publication { message, offset, accepted_us: newest_us })
    };
    stored.into_iter().map(place).collect()
}
