//! The embedded store of durable topics: one SQLite database in the data directory.
//!
//! Owns what is on disk: publications, each topic's numbering, and idempotency keys. It gives durable topics their
//! offsets, and says so only when they are on disk. It is a leaf: it knows the words of the protocol and nothing of
//! engine, sessions, tasks or clocks; times are arguments.
//!
//! **Writing.** [`Store::append`] puts a publication into a bounded queue. One writer thread takes whatever has gathered,
//! commits it as one transaction with one sync of the disk, and then calls back, in the order in which it was asked.
//! Two topics may share a commit; within a topic the order of the queue is the order of the offsets.
//!
//! **Failing.** A commit that fails refuses all of its group, and leaves nothing of it that anyone could read. Only if
//! the machine crashes before the next commit may a publication that was refused be found on disk afterwards; whoever
//! was told "unavailable" must not take it for "never". [`Event::Failed`] tells the reason; the writer tries once a second
//! whether a commit succeeds again. Damage is not got over: nothing is written any more.
//!
//! **Reading** is done on the caller's thread over connections of its own, and waits for the disk.
//!
//! **Retention.** Readers apply [`Keep`] to the letter. The rows go later, some with each commit.

mod error;
mod heads;
mod health;
mod log_file;
mod numbering;
mod open;
mod queue;
mod readers;
mod retention;
mod row;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use fanwire_protocol::{Epoch, Payload, Position, Topic};

pub(crate) use error::{OpenError, StoreError};
pub(crate) use queue::Done;

use health::Health;
use open::DataDirectory;
use queue::{Job, Queue};
use readers::Readers;
use writer::Writer;

/// How long an idempotency key is remembered, in milliseconds.
pub(crate) const KEY_TTL_MS: u64 = 5 * 60 * 1000;

/// Told what happens inside the store, on whichever thread it happens and at times under a lock of the store's: it
/// must be quick and must not call the store.
pub(crate) type Observer = Arc<dyn Fn(Event) + Send + Sync>;

/// What happens inside the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// More waits to be written than `queue_bytes_max`: publishers have to wait.
    PressureRaised,
    /// Half of it is written: publishers may go on.
    PressureRelieved,
    /// The store cannot be relied on, for this reason.
    Failed(Arc<str>),
    /// It can again.
    Recovered,
    /// A group is on disk, and everyone in it has been told.
    Committed {
        /// How many publications it held, repeated ones included.
        publications: usize,
        /// How long it took, from taking it out of the queue.
        elapsed: Duration,
    },
}

/// The bounds of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoreConfig {
    /// How many publications are committed at once at most.
    pub(crate) group_count_max: usize,
    /// How many bytes are committed at once, give or take one publication.
    pub(crate) group_bytes_max: usize,
    /// How many bytes may wait to be written before publishers have to wait; at twice that they are refused.
    pub(crate) queue_bytes_max: usize,
    /// How long the write-ahead log may grow before it is moved into the database, in bytes. Readers can hold that up.
    pub(crate) log_bytes_max: u64,
    /// How much of the database the writer keeps in memory, in bytes.
    pub(crate) cache_bytes: u64,
    /// How large the database may become, in bytes; `None` leaves it to the disk.
    pub(crate) file_bytes_max: Option<u64>,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            group_count_max: 4_096,
            group_bytes_max: 4 << 20,
            queue_bytes_max: 64 << 20,
            log_bytes_max: 16 << 20,
            cache_bytes: 16 << 20,
            file_bytes_max: None,
        }
    }
}

/// How much of a topic is kept: what is beyond any of these goes, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keep {
    /// At most so many publications.
    pub(crate) messages: u64,
    /// At most so many bytes, counted by [`Append::cost`].
    pub(crate) bytes: u64,
    /// None accepted before this, in milliseconds since 1970.
    pub(crate) oldest_ts: u64,
}

impl Keep {
    /// Lets nothing go.
    #[cfg(test)]
    pub(crate) const ALL: Self = Self { messages: u64::MAX, bytes: u64::MAX, oldest_ts: 0 };
}

/// A publication to be accepted.
#[derive(Debug, Clone)]
pub(crate) struct Append {
    /// Where to.
    pub(crate) topic: Topic,
    /// The epoch the topic begins with if the store does not know it yet, or has used up the offsets of the old one.
    pub(crate) epoch: Epoch,
    /// What.
    pub(crate) payload: Payload,
    /// Who publishes, when known.
    pub(crate) from: Option<Arc<str>>,
    /// Idempotency key, looked up and remembered in the same transaction.
    pub(crate) key: Option<String>,
    /// The time, in milliseconds since 1970; keys age by it.
    pub(crate) ts: u64,
    /// What it counts for in [`Keep::bytes`].
    pub(crate) cost: u64,
    /// What the topic keeps. Old publications are deleted when there are a good deal more.
    pub(crate) keep: Keep,
}

/// What became of an [`Append`]: it is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Committed {
    /// Where the publication stands.
    pub(crate) position: Position,
    /// When it was accepted, in milliseconds since 1970: what [`Append::ts`] says, but never before the topic's publication
    /// before it.
    pub(crate) ts: u64,
    /// Whether it had been accepted before under the same key, so that nothing was added now.
    pub(crate) is_duplicate: bool,
}

/// Where a topic stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicRecord {
    /// The epoch of its offsets.
    pub(crate) epoch: Epoch,
    /// The offset of the newest publication; 0 before the first.
    pub(crate) head: u64,
    /// The offset of the newest publication that is not held any more; as many are held as head is after it.
    pub(crate) floor: u64,
    /// When that one was accepted, in milliseconds since 1970; 0 if all are held.
    pub(crate) floor_ts: u64,
    /// The cost of all that is held.
    pub(crate) bytes: u64,
    /// When the newest publication was accepted, held or not, in milliseconds since 1970; 0 before the first.
    pub(crate) newest_ts: u64,
}

/// How far a reading goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Nothing after this offset: what is committed already may not be delivered yet.
    pub(crate) through: u64,
    /// At most so many publications.
    pub(crate) limit: usize,
    /// At most so many bytes of payload, but at least one publication.
    pub(crate) bytes_max: usize,
    /// What the topic keeps; anything beyond is not shown, whether it is deleted yet or not.
    pub(crate) keep: Keep,
}

/// A publication as it is on disk. Topic and epoch are those it was read under.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StoredPublication {
    /// Its offset.
    pub(crate) offset: u64,
    /// When it was accepted, in milliseconds since 1970.
    pub(crate) ts: u64,
    /// Who published it, when known.
    pub(crate) from: Option<Arc<str>>,
    /// What was published, in the encoding it came in.
    pub(crate) payload: Payload,
}

/// A part of a topic, all of one moment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stretch {
    /// What was found, in the order of reading, without gaps.
    pub(crate) publications: Vec<StoredPublication>,
    /// The newest offset that is not held any more. Whoever asked for something at or before it has lost something.
    pub(crate) floor: u64,
    /// Whether a bound ended it and there is more within [`Bounds::through`].
    pub(crate) more: bool,
}

/// The store. Dropping it writes what waits, and closes the database.
pub(crate) struct Store {
    queue: Arc<Queue>,
    readers: Readers,
    #[cfg(test)]
    health: Arc<Health>,
    writer: Option<JoinHandle<()>>,
}

impl Store {
    /// Opens the data directory, which must exist, and makes the database in it if there is none.
    ///
    /// # Errors
    /// Says what is wrong with the directory and what to do; nothing that was there is changed then.
    pub(crate) fn open(directory: &Path, config: StoreConfig, observer: Observer) -> Result<Self, OpenError> {
        let claimed = Arc::new(DataDirectory::claim(directory)?);
        let connection = claimed.open_writer(&config)?;
        let queue = Arc::new(Queue::new(config.queue_bytes_max, observer.clone()));
        let health = Arc::new(Health::new(observer.clone()));
        let writer = Writer::new(connection, config, queue.clone(), health.clone(), observer)
            .map_err(|error| OpenError::from_sqlite(directory.into(), &error))?;
        let held = claimed.clone();
        let run = move || {
            writer.run();
            // The directory is free for another broker only when the database is closed.
            drop(held);
        };
        let thread = thread::Builder::new().name("store".to_owned()).spawn(run);
        let thread = thread.map_err(|error| OpenError::from_io(directory.into(), &error))?;
        Ok(Self {
            queue,
            readers: Readers::new(claimed, health.clone()),
            #[cfg(test)]
            health,
            writer: Some(thread),
        })
    }

    /// Accepts a publication. `done` is called on the writer's thread, when it is on disk or has failed; for one topic
    /// in the order of the offsets.
    ///
    /// # Errors
    /// [`StoreError::Full`] or [`StoreError::Closed`]; then `done` is never called.
    pub(crate) fn append(&self, append: Append, done: Done<Committed>) -> Result<(), StoreError> {
        self.queue.push(Job::Append(append, done))
    }

    /// Deletes what the topic need not keep, in its own time. Worth asking for when publications only age.
    ///
    /// # Errors
    /// [`StoreError::Full`] or [`StoreError::Closed`].
    pub(crate) fn trim(&self, topic: &Topic, keep: Keep) -> Result<(), StoreError> {
        self.queue.push(Job::Trim(topic.clone(), keep))
    }

    /// Forgets the topic and its numbering, with its keys. If it comes back, [`Append::epoch`] must be another, so that
    /// old positions say nothing of it.
    ///
    /// # Errors
    /// [`StoreError::Full`] or [`StoreError::Closed`]; then `done` is never called.
    pub(crate) fn forget_topic(&self, topic: &Topic, done: Done<()>) -> Result<(), StoreError> {
        self.queue.push(Job::Forget(topic.clone(), done))
    }

    /// Lets go of all that the topic holds, out of sight at once, and of its keys. Its numbering goes on, so that positions tell
    /// whoever comes back of the loss.
    ///
    /// # Errors
    /// [`StoreError::Full`] or [`StoreError::Closed`]; then `done` is never called.
    pub(crate) fn clear_topic(&self, topic: &Topic, done: Done<()>) -> Result<(), StoreError> {
        self.queue.push(Job::Clear(topic.clone(), done))
    }

    /// Deletes idempotency keys older than [`KEY_TTL_MS`] at `now`, in milliseconds since 1970.
    ///
    /// # Errors
    /// [`StoreError::Full`] or [`StoreError::Closed`].
    pub(crate) fn forget_keys(&self, now: u64) -> Result<(), StoreError> {
        self.queue.push(Job::ForgetKeys(now))
    }

    /// Where a topic stands if it keeps `keep`; `None` if the store does not know it.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub(crate) fn load(&self, topic: &Topic, keep: &Keep) -> Result<Option<TopicRecord>, StoreError> {
        self.readers.load(topic, keep)
    }

    /// At most `limit` topics in the order of their names (as bytes) after the name `after`, and where they stand if
    /// each keeps what `keep_of` says.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub(crate) fn topics(
        &self,
        after: Option<&Topic>,
        limit: usize,
        keep_of: impl Fn(&Topic) -> Keep,
    ) -> Result<Vec<(Topic, TopicRecord)>, StoreError> {
        self.readers.topics(after, limit, keep_of)
    }

    /// What comes after the offset `after`, oldest first; `None` if the topic is not known under this epoch.
    ///
    /// # Errors
    /// If the database cannot be read, or rows are missing.
    pub(crate) fn read_after(
        &self,
        topic: &Topic,
        epoch: Epoch,
        after: u64,
        bounds: &Bounds,
    ) -> Result<Option<Stretch>, StoreError> {
        self.readers.read_after(topic, epoch, after, bounds)
    }

    /// What comes before the offset `before`, newest first; `u64::MAX` begins with the newest. `None` if the topic is
    /// not known under this epoch.
    ///
    /// # Errors
    /// If the database cannot be read, or rows are missing.
    pub(crate) fn read_before(
        &self,
        topic: &Topic,
        epoch: Epoch,
        before: u64,
        bounds: &Bounds,
    ) -> Result<Option<Stretch>, StoreError> {
        self.readers.read_before(topic, epoch, before, bounds)
    }

    /// The offset to read after for what was accepted at `ts` (milliseconds since 1970) or later. `None` if the topic is
    /// not known under this epoch.
    ///
    /// # Errors
    /// If the database cannot be read, or rows are missing.
    pub(crate) fn offset_before(
        &self,
        topic: &Topic,
        epoch: Epoch,
        ts: u64,
        keep: &Keep,
    ) -> Result<Option<u64>, StoreError> {
        self.readers.offset_before(topic, epoch, ts, keep)
    }

    /// Whether the store can be relied on. Others are told by [`Event::Failed`] and [`Event::Recovered`].
    ///
    /// # Errors
    /// The reason why not, for the operator.
    #[cfg(test)]
    pub(crate) fn health(&self) -> Result<(), Arc<str>> {
        self.health.reason().map_or(Ok(()), Err)
    }

    /// The bytes that wait or are being written.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.queue.bytes()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(writer) = self.writer.take() {
            // Whoever is called back may hold the last handle to the store, and a thread cannot wait for itself.
            if writer.thread().id() != thread::current().id() {
                // A writer that panicked has said so; what it had not committed was not acknowledged.
                let _ = writer.join();
            }
        }
    }
}

#[cfg(test)]
mod tests;
