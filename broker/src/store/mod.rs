//! The embedded store of durable topics: one SQLite database in the data directory.
//!
//! Owns what is on disk: publications, the numbering of each topic, and idempotency keys. It assigns the offsets of durable
//! topics and confirms a publication only when it is on disk. It implements the engine's `Archive` in
//! `archive`, the one file that knows tasks, and knows nothing of sessions or wall clocks; wall-clock times are arguments.
//!
//! **Writing.** `Store::append` puts a publication into a bounded queue. One writer thread takes what has gathered,
//! commits it as one transaction with one sync of the disk, and then calls the callbacks in the order of the queue. Two
//! topics may share a commit; within a topic the order of the queue is the order of the offsets.
//!
//! **Failures.** A commit that fails refuses its whole group, and no reader sees any of it. Only if the machine crashes
//! before the next commit may a refused publication be found on disk afterwards: "unavailable" does not mean "never".
//! `Event::Failed` carries the reason; the writer tries once a second whether a commit succeeds again. After damage
//! nothing is written any more.
//!
//! **Numbering.** An offset is never assigned twice under one epoch. When the database has lost commits or is a copy,
//! opening it gives every topic a new epoch (see `mark.rs`).
//!
//! **Reading** happens on the caller's thread over connections of its own, and waits for the disk.
//!
//! **Retention.** Readers apply `Keep` exactly. The rows are deleted later, some with each commit.

mod archive;
mod backup;
mod config;
mod directory_sync;
mod error;
mod event;
mod group_writing;
mod heads;
mod health;
mod key_clock;
mod log_file;
mod mark;
mod newest;
mod numbering;
mod open;
mod publication;
mod queue;
mod readers;
mod record;
mod reserve;
mod retention;
mod row;
mod schema;
mod writer;

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, JoinHandle};

#[cfg(test)]
use fanwire_protocol::Epoch;
use fanwire_protocol::Topic;
use tokio::sync::Semaphore;

pub use backup::{CopyError, backup, restore};
pub(crate) use config::StoreConfig;
pub(crate) use error::{OpenError, StoreError};
pub(crate) use event::{Event, Observer};

use health::Health;
use open::DataDirectory;
use publication::{Append, Arrivals, Committed, Keep};
use queue::{Done, Job, Queue};
use readers::Readers;
use record::TopicRecord;
#[cfg(test)]
use record::{Bounds, Stretch};
use writer::{Reporting, Writer};

/// The store. Dropping it writes what waits and closes the database.
pub(crate) struct Store {
    queue: Arc<Queue>,
    readers: Arc<Readers>,
    /// Permits to read, for the reads of the engine.
    read_permits: Arc<Semaphore>,
    /// The receiver of publications, once the engine has registered it.
    arrivals: Arc<OnceLock<Arrivals>>,
    /// The last topic that was tidied in this round.
    tidied_until: Mutex<Option<Topic>>,
    #[cfg(test)]
    health: Arc<Health>,
    writer: Option<JoinHandle<()>>,
}

impl Store {
    /// Opens the data directory, which must exist, and creates the database in it if there is none.
    ///
    /// # Errors
    /// If the directory or the database cannot be used; the error says what to do, and nothing that was there is changed.
    pub(crate) fn open(directory: &Path, config: StoreConfig, observer: Observer) -> Result<Self, OpenError> {
        let claimed = Arc::new(DataDirectory::claim(directory)?);
        let opened = claimed.open_writer(&config)?;
        if let Some(reason) = &opened.renewed {
            observer(Event::EpochsRenewed(reason.as_str().into()));
        }
        let queue = Arc::new(Queue::new(config.queue_bytes_max, observer.clone()));
        let health = Arc::new(Health::new(observer.clone()));
        let arrivals = Arc::default();
        let reporting =
            Reporting { health: health.clone(), observer: observer.clone(), arrivals: Arc::clone(&arrivals) };
        let writer = Writer::new(opened, claimed.clone(), config, queue.clone(), reporting)
            .map_err(|error| OpenError::from_sqlite(directory.into(), &error))?;
        let thread = thread::Builder::new().name("store".to_owned()).spawn(move || writer.run());
        let thread = thread.map_err(|error| OpenError::from_io(directory.into(), &error))?;
        Ok(Self {
            queue,
            readers: Arc::new(Readers::new(claimed, health.clone(), observer)),
            read_permits: Arc::new(Semaphore::new(archive::READS_MAX)),
            arrivals,
            tidied_until: Mutex::default(),
            #[cfg(test)]
            health,
            writer: Some(thread),
        })
    }

    /// Accepts a publication. `done` is called on the writer's thread when it is on disk or has failed; for one topic in
    /// the order of the offsets.
    ///
    /// # Errors
    /// [`StoreError::Full`] or [`StoreError::Closed`]; then `done` is never called.
    pub(crate) fn append(&self, append: Append, done: Done<Committed>) -> Result<(), StoreError> {
        self.queue.push(Job::Append(append, done))
    }

    /// Deletes what the topic need not keep, within the next commits. Needed where publications only age.
    ///
    /// # Errors
    /// [`StoreError::Full`] or [`StoreError::Closed`].
    pub(crate) fn trim(&self, topic: &Topic, keep: Keep) -> Result<(), StoreError> {
        self.queue.push(Job::Trim(topic.clone(), keep))
    }

    /// Deletes the topic with its numbering and its keys. A topic of that name that is created later must have another
    /// [`Append::epoch`], so that old positions do not refer to it.
    ///
    /// # Errors
    /// [`StoreError::Full`] or [`StoreError::Closed`]; then `done` is never called.
    pub(crate) fn forget_topic(&self, topic: &Topic, done: Done<()>) -> Result<(), StoreError> {
        self.queue.push(Job::Forget(topic.clone(), done))
    }

    /// Deletes all publications of the topic, which no reader sees from then on, and its keys. The numbering continues, so
    /// that old positions reveal the loss.
    ///
    /// # Errors
    /// [`StoreError::Full`] or [`StoreError::Closed`]; then `done` is never called.
    pub(crate) fn clear_topic(&self, topic: &Topic, done: Done<()>) -> Result<(), StoreError> {
        self.queue.push(Job::Clear(topic.clone(), done))
    }

    /// Deletes idempotency keys older than [`publication::KEY_TTL_MS`] at `now`, in milliseconds since 1970.
    ///
    /// # Errors
    /// [`StoreError::Full`] or [`StoreError::Closed`].
    pub(crate) fn forget_keys(&self, now: u64) -> Result<(), StoreError> {
        self.queue.push(Job::ForgetKeys(now))
    }

    /// Returns the numbering of a topic that keeps `keep`; `None` if the store does not know it.
    ///
    /// # Errors
    /// If the database cannot be read.
    #[cfg(test)]
    pub(crate) fn load(&self, topic: &Topic, keep: &Keep) -> Result<Option<TopicRecord>, StoreError> {
        self.readers.load(topic, keep)
    }

    /// Returns at most `limit` topics in the order of their names (as bytes) after the name `after`, with their numbering
    /// if each keeps what `keep_of` returns.
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

    /// Reads what comes after the offset `after`, oldest first; `None` if the topic is not known under this epoch.
    ///
    /// # Errors
    /// If the database cannot be read, or rows are missing.
    #[cfg(test)]
    pub(crate) fn read_after(
        &self,
        topic: &Topic,
        epoch: Epoch,
        after: u64,
        bounds: &Bounds,
    ) -> Result<Option<Stretch>, StoreError> {
        self.readers.read_after(topic, epoch, after, bounds)
    }

    /// Reads what comes before the offset `before`, newest first; `u64::MAX` begins with the newest. `None` if the topic is
    /// not known under this epoch.
    ///
    /// # Errors
    /// If the database cannot be read, or rows are missing.
    #[cfg(test)]
    pub(crate) fn read_before(
        &self,
        topic: &Topic,
        epoch: Epoch,
        before: u64,
        bounds: &Bounds,
    ) -> Result<Option<Stretch>, StoreError> {
        self.readers.read_before(topic, epoch, before, bounds)
    }

    /// Returns the offset after which to read what was accepted at `ts` (milliseconds since 1970) or later; `None` if the
    /// topic is not known under this epoch.
    ///
    /// # Errors
    /// If the database cannot be read, or rows are missing.
    #[cfg(test)]
    pub(crate) fn offset_before(
        &self,
        topic: &Topic,
        epoch: Epoch,
        ts: u64,
        keep: &Keep,
    ) -> Result<Option<u64>, StoreError> {
        self.readers.offset_before(topic, epoch, ts, keep)
    }

    /// Whether the store can be relied on. Outside of tests [`Event::Failed`] and [`Event::Recovered`] report it.
    ///
    /// # Errors
    /// The reason why not, for the operator.
    #[cfg(test)]
    pub(crate) fn health(&self) -> Result<(), Arc<str>> {
        self.health.reason().map_or(Ok(()), Err)
    }

    /// Returns the bytes that wait or are being written.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.queue.bytes()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(writer) = self.writer.take() {
            // A callback may hold the last handle to the store, and a thread cannot wait for itself.
            if writer.thread().id() != thread::current().id() {
                // A panic of the writer is in the log; what it had not committed was not acknowledged.
                let _ = writer.join();
            }
        }
    }
}

#[cfg(test)]
mod tests;
