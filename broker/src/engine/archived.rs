//! Topics in the archive: publishing through it, and reading what memory does not hold.
//!
//! A publish is sent to the archive, which gives it its position. When the archive has accepted it, it arrives here like a publication
//! of another broker, and is held and delivered like every other publication. The newest part of a topic is held in memory too, so the archive
//! is read only for clients that were away for long, after a restart, and for history.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use fanwire_core::access::Refusal;
use fanwire_core::held::HeldSum;
use fanwire_core::limits::HistoryLimits;
use fanwire_core::log::Page;
use fanwire_core::publication::{Publication, Publish};
use fanwire_core::session::Start;
use fanwire_protocol::{Epoch, ErrorCode, Message, Position, Since, StartPoint, Topic};
use tokio::sync::oneshot;

use super::archive::{
    Append, Archive, ArchiveError, Bounds, Committed, Keep, Range, Removal, StoredPublication, Stretch,
    TopicRecord,
};
use super::commits;
use super::history::{History, PIECE_BYTES, PIECE_MESSAGES, Piece, Reading, Resumed};
use super::receipt::OwedReceipt;
use super::topic::TopicState;
use super::topics::Topics;
use crate::clock;

/// The topics in the archive.
pub(super) struct Archived {
    topics: Arc<Topics>,
    archive: Arc<dyn Archive>,
}

impl Archived {
    /// Connects the topics to the archive, in both directions.
    pub(super) fn new(topics: Arc<Topics>, archive: Arc<dyn Archive>) -> Self {
        let arriving = Arc::downgrade(&topics);
        archive.deliver_to(Box::new(move |arrivals| {
            // Once the engine has ended, what arrives is in the archive only.
            if let Some(topics) = arriving.upgrade() {
                topics.arrive(arrivals);
            }
        }));
        Self { topics, archive }
    }

    /// Returns the archive that is called.
    pub(super) fn archive(&self) -> &dyn Archive {
        &*self.archive
    }

    /// Sends a publication to the topic `state` to the archive. `epoch` is the one the topic begins with if the archive does not know
    /// it.
    ///
    /// # Errors
    /// If the archive refuses it at once.
    pub(super) fn commit(
        &self,
        state: Arc<TopicState>,
        publish: Publish,
        epoch: Epoch,
        history: &HistoryLimits,
        receipt: OwedReceipt,
    ) -> Result<(), Refusal> {
        let (name, bytes) = (publish.topic.clone(), publish.payload.len() as u64);
        let refused = state.clone();
        let append = Append {
            topic: publish.topic,
            epoch,
            cost: Publication::cost_of(&publish.payload) as u64,
            payload: publish.payload,
            from: publish.from,
            key: publish.key.map(|key| key.scoped()),
            ts: clock::unix_ms(),
            keep: keep(history),
            origin: publish.except,
        };
        let topics = self.topics.clone();
        let done = Box::new(move |result| receipted(&topics, &state, name, bytes, receipt, result));
        self.archive.append(append, done).map_err(|error| refuse_commit(&refused, &error))
    }

    /// Reads the head of a topic and, in the topic's order, the first piece of what a session missed that asks for `start`. Creates
    /// the topic, because the session is about to subscribe.
    ///
    /// # Errors
    /// If the archive cannot be read, or the topic cannot be created.
    pub(super) async fn resume(&self, topic: &Topic, start: &Start) -> Result<Resumed, Refusal> {
        let range = match start {
            Start::Now => return self.resume_now(topic).await,
            Start::Last(count) => Range::Newest(*count as u64),
            Start::Since(since) => {
                Range::Since(since.place_in(topic, self.epoch_for(Some(since), topic).await?))
            }
        };
        let Some(stretch) = self.read(topic, range, PIECE_MESSAGES, PIECE_BYTES).await? else {
            let at = self.begin_unknown(topic)?;
            let recovered = match range {
                Range::Since(start) => !misses_unknown(start, at, &self.keep_of(topic)),
                Range::Newest(_) | Range::Before(_) => true,
            };
            return Ok(Resumed { head: at, recovered, piece: Piece::empty(at) });
        };
        self.topics.with(topic, |locked, _| locked.load(Some(stretch.record)))?;
        let is_whole = !stretch.gap || matches!(start, Start::Last(_) | Start::Since(Since::Earliest));
        let recovered = is_whole && !stretch.damaged;
        let head = stretch.record.head;
        Ok(Resumed { head, recovered, piece: piece_of(topic, stretch, self.topics.memory().held()) })
    }

    async fn resume_now(&self, topic: &Topic) -> Result<Resumed, Refusal> {
        let record = self.archive.load(topic, self.keep_of(topic)).await.map_err(|error| refusal(&error))?;
        let at = match record {
            Some(record) => {
                self.topics.with(topic, |locked, _| locked.load(Some(record)))?;
                record.head
            }
            None => self.begin_unknown(topic)?,
        };
        Ok(Resumed { head: at, recovered: true, piece: Piece::empty(at) })
    }

    /// Begins a topic that the archive does not know, and returns the position before its first publication.
    fn begin_unknown(&self, topic: &Topic) -> Result<Position, Refusal> {
        let head = self.topics.with(topic, |locked, _| {
            locked.load(None);
            locked.log().head()
        })?;
        Ok(Position { offset: 0, ..head })
    }

    /// Reads the piece after `at` of what a session missed.
    ///
    /// # Errors
    /// If the archive cannot be read.
    pub(super) async fn read_on(&self, topic: &Topic, at: Position) -> Result<Piece, Refusal> {
        let range = Range::Since(StartPoint::After(at));
        Ok(match self.read(topic, range, PIECE_MESSAGES, PIECE_BYTES).await? {
            Some(stretch) => piece_of(topic, stretch, self.topics.memory().held()),
            // Nothing was ever in the archive under this epoch, or no more is.
            None => Piece { has_gap: at.offset > 0, ..Piece::empty(at) },
        })
    }

    /// Reads a page of history of about `bytes_max` bytes at most. Creates no topic.
    ///
    /// # Errors
    /// If the archive cannot be read.
    pub(super) async fn read_history(
        &self,
        topic: &Topic,
        reading: &Reading,
        bytes_max: usize,
    ) -> Result<History, Refusal> {
        let start = reading.start_in(topic, self.epoch_for(reading.start(), topic).await?);
        let range = match reading {
            Reading::Forward { .. } => Range::Since(start),
            Reading::Backward { .. } => Range::Before(start),
        };
        let stretch = self.read(topic, range, reading.limit(), bytes_max).await?;
        let record = stretch.as_ref().map(|stretch| stretch.record);
        let known = self.topics.with_existing(topic, |locked, _| {
            locked.load(record);
            locked.log().head()
        });
        Ok(match stretch {
            Some(stretch) => {
                let head = stretch.record.head;
                let (gap, more) = (stretch.gap || stretch.damaged, stretch.more);
                let is_backward = matches!(range, Range::Before(_));
                let held = self.topics.memory().held();
                let publications = publications(topic, head.epoch, stretch.publications, is_backward, held);
                History { head, page: Page { publications, gap, more } }
            }
            None => {
                let epoch = known.map_or_else(|| self.topics.beginning_of(topic).0, |head| head.epoch);
                let head = Position { epoch, offset: 0 };
                let gap = match (range, start) {
                    // Before every position of its epoch there was nothing.
                    (Range::Before(_), StartPoint::After(at)) => at.epoch != epoch,
                    _ => misses_unknown(start, head, &self.keep_of(topic)),
                };
                History { head, page: Page { publications: Vec::new(), gap, more: false } }
            }
        })
    }

    /// Returns the epoch of a topic if `since` can only be read with it.
    async fn epoch_for(&self, since: Option<&Since>, topic: &Topic) -> Result<Epoch, Refusal> {
        if !since.is_some_and(Since::needs_epoch) {
            return Ok(Epoch::FOREIGN);
        }
        let record = self.archive.load(topic, self.keep_of(topic)).await.map_err(|error| refusal(&error))?;
        Ok(match record {
            Some(record) => record.head.epoch,
            None => {
                let known = self.topics.with_existing(topic, |locked, _| locked.log().head().epoch);
                known.unwrap_or_else(|| self.topics.beginning_of(topic).0)
            }
        })
    }

    async fn read(
        &self,
        topic: &Topic,
        range: Range,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Option<Stretch>, Refusal> {
        let bounds = Bounds { limit, bytes_max, keep: self.keep_of(topic) };
        self.archive.read(topic, range, bounds).await.map_err(|error| refusal(&error))
    }

    /// Reads the head of a topic, and takes it over if the topic exists. `None` if the archive does not know the topic.
    ///
    /// # Errors
    /// If the archive cannot be read.
    pub(super) async fn load_head(&self, topic: &Topic) -> Result<Option<TopicRecord>, Refusal> {
        let record = self.archive.load(topic, self.keep_of(topic)).await.map_err(|error| refusal(&error))?;
        self.topics.with_existing(topic, |locked, _| locked.load(record));
        Ok(record)
    }

    /// Removes everything that a topic holds, in memory and in the archive, and returns the position up to which that was.
    ///
    /// # Errors
    /// If the archive cannot be written; then nothing is removed.
    pub(super) async fn clear(&self, topic: &Topic) -> Result<Position, Refusal> {
        let record = self.load_head(topic).await?;
        let at_rest = record.map_or_else(
            || Position { epoch: self.topics.beginning_of(topic).0, offset: 0 },
            |record| record.head,
        );
        let (sender, cleared) = oneshot::channel();
        let (topics, name) = (self.topics.clone(), topic.clone());
        let done = Box::new(move |result: Result<(), ArchiveError>| {
            // On the thread of the archive, so that nothing that arrives later is dropped from memory.
            let position = result.map(|()| {
                let cleared = topics.with_existing(&name, |locked, _| {
                    locked.clear_history();
                    locked.is_loaded().then(|| locked.log().head())
                });
                cleared.flatten().unwrap_or(at_rest)
            });
            // The caller may have gone.
            let _gone = sender.send(position);
        });
        self.archive.remove(topic, Removal::History, done).map_err(|error| refusal(&error))?;
        let position = cleared.await.unwrap_or(Err(ArchiveError::Unavailable));
        position.map_err(|error| refusal(&error))
    }

    /// Counts what waits to be written.
    pub(super) fn measure(&self) {
        let bytes = self.archive.status().queued_bytes;
        self.topics.counters().store_queue_bytes.store(bytes as u64, Ordering::Relaxed);
    }

    /// Deletes what topics need not keep any longer. Waits for the disk.
    pub(super) fn tidy(&self) {
        let keep_of = |topic: &Topic| {
            let policy = self.topics.policy_of(topic);
            self.topics.is_archived(&policy).then(|| keep(&policy.history))
        };
        for topic in self.archive.tidy(clock::unix_ms(), &keep_of) {
            self.forget(&topic);
        }
    }

    /// Lets the archive forget a topic that holds nothing, unless it is in use. What is published later is behind this in the queue
    /// of the archive, and begins under the epoch of the topic that is created here.
    pub(super) fn forget(&self, name: &Topic) {
        if self.topics.find(name).is_some() {
            return;
        }
        // Where there are too many topics already, this is tried again with the next call.
        let _full = self.topics.with(name, |locked, _| {
            let remove = || self.archive.remove(name, Removal::Numbering, Box::new(|_| {}));
            if !locked.is_loaded() && remove().is_ok() {
                locked.load(None);
            }
        });
    }

    fn keep_of(&self, topic: &Topic) -> Keep {
        keep(&self.topics.policy_of(topic).history)
    }
}

/// Makes a piece of what the archive returned.
fn piece_of(topic: &Topic, stretch: Stretch, held: &HeldSum) -> Piece {
    let at = Position { offset: stretch.reached, ..stretch.record.head };
    let (has_gap, is_damaged) = (stretch.gap, stretch.damaged);
    let publications = publications(topic, at.epoch, stretch.publications, false, held);
    Piece { publications, has_gap, is_damaged, ..Piece::empty(at) }
}

/// Takes a receipt from the archive, and passes it on once the publication has arrived too, by [`Topics::arrive`].
fn receipted(
    topics: &Topics,
    state: &TopicState,
    name: Topic,
    bytes: u64,
    receipt: OwedReceipt,
    result: Result<Committed, ArchiveError>,
) {
    let Committed { position, is_duplicate, .. } = match result {
        Ok(committed) => committed,
        Err(error) => {
            let refusal = refuse_commit(state, &error);
            return receipt.send(name, Err(refusal));
        }
    };
    if !is_duplicate {
        let counters = topics.counters();
        counters.durable_publications.fetch_add(1, Ordering::Relaxed);
        counters.durable_publication_bytes.fetch_add(bytes, Ordering::Relaxed);
    }
    let committed = commits::Committed { position, is_duplicate, receipt };
    let (due, subscribers) = {
        let mut locked = state.lock();
        locked.refresh_patterns(state.name(), topics.patterns());
        (locked.commits().committed(committed), locked.subscribers())
    };
    if let Some(committed) = due {
        committed.send(&name, subscribers);
    }
}

/// Ends the wait for a receipt that will not come, and returns the refusal to send instead.
fn refuse_commit(state: &TopicState, error: &ArchiveError) -> Refusal {
    state.lock().commits().refused();
    refusal(error)
}

/// Returns what is kept under `history`, as of now.
fn keep(history: &HistoryLimits) -> Keep {
    let bound = |bound: usize| if bound == usize::MAX { u64::MAX } else { bound as u64 };
    Keep {
        messages: bound(history.messages),
        bytes: bound(history.bytes),
        ttl_ms: history.ttl_ms,
        now: clock::unix_ms(),
    }
}

/// Returns whether a reader that asks for `start` has missed something of a topic that the archive does not know, and that begins at
/// `head`. Such a topic may have been known once, but only if all of it was too old to be kept.
fn misses_unknown(start: StartPoint, head: Position, keep: &Keep) -> bool {
    match start {
        StartPoint::Earliest => false,
        StartPoint::After(position) => position != head,
        StartPoint::Moment(moment) => moment < keep.oldest_ts(0),
    }
}

/// Returns the refusal that a client receives. The cause concerns the operator, and is logged when it begins.
fn refusal(error: &ArchiveError) -> Refusal {
    Refusal { code: ErrorCode::Unavailable, message: error.to_string() }
}

/// Returns the refusal of everything about a durable topic on a broker without an archive.
pub(super) fn no_archive() -> Refusal {
    let message = "the topic is durable, and this broker has no data directory".to_owned();
    Refusal { code: ErrorCode::Unavailable, message }
}

/// Makes publications of what the archive returned. The monotonic time of each follows from the wall clock, but never so that a later
/// publication seems earlier.
fn publications(
    topic: &Topic,
    epoch: Epoch,
    mut stored: Vec<StoredPublication>,
    is_backward: bool,
    held: &HeldSum,
) -> Vec<Arc<Publication>> {
    if is_backward {
        stored.reverse();
    }
    let (now_us, now_ms) = (clock::monotonic_us(), clock::unix_ms());
    let mut newest_us = 0;
    let place = |StoredPublication { offset, ts, from, payload }| {
        let age_us = now_ms.saturating_sub(ts).saturating_mul(1000);
        newest_us = now_us.saturating_sub(age_us).max(newest_us);
        let position = Some(Position { epoch, offset });
        let message = Message { topic: topic.clone(), payload, position, ts: Some(ts), from };
        Arc::new(Publication::new(message, offset, newest_us, held))
    };
    let mut publications: Vec<_> = stored.into_iter().map(place).collect();
    if is_backward {
        publications.reverse();
    }
    publications
}
