//! The archive: where topics are kept beyond the memory of this process, and in which order they are published there.
//!
//! The engine owns the trait, because it is the caller. `store::Store` implements it over SQLite on the local disk. An archive gives
//! positions, and everything it accepts reaches the engine as an [`Arrival`], whichever broker published it.
//!
//! **What the engine relies on.**
//! - The offsets of a topic grow with each publication, and need not be consecutive. The `ts` of a topic never go back.
//! - The arrivals of a topic come in the order of its positions. A publication that was accepted before under its key does not
//!   arrive again.
//! - The receipt of a publication and its arrival are independent: either may come first, on any thread. The engine passes a receipt
//!   on once both have come.
//! - A read may begin at any offset, also at one that no publication has.
//! - What has arrived can be read.
//!
//! An archive knows neither sessions nor rules; how much a topic keeps is an argument.

use std::pin::Pin;
use std::sync::Arc;

use fanwire_core::subscribers::SessionKey;
use fanwire_protocol::{Epoch, Pattern, Payload, Position, StartPoint, Topic};

/// The answer of an archive that comes later. It is driven by a task of the archive's own, so dropping it, or not polling it,
/// holds up no other reader.
pub(crate) type Pending<T> = Pin<Box<dyn Future<Output = Result<T, ArchiveError>> + Send>>;

/// Receives the outcome of a request. Called once, on a thread of the archive that must not be blocked.
pub(crate) type Done<T> = Box<dyn FnOnce(Result<T, ArchiveError>) + Send>;

/// Receives everything that the archive accepts, what was accepted together at once. Called on a thread of the archive, for each
/// topic in the order of its positions.
pub(crate) type Arrivals = Box<dyn Fn(Vec<Arrival>) + Send + Sync>;

/// The worker and session that published without echo, and must not receive the publication.
pub(crate) type Origin = (usize, SessionKey);

/// Keeps topics, and gives their publications positions.
pub(crate) trait Archive: Send + Sync {
    /// Starts to deliver arrivals. Called once, before anything is published.
    fn deliver_to(&self, arrivals: Arrivals);

    /// Accepts a publication. `done` receives its position, or why it was refused.
    ///
    /// # Errors
    /// If it is refused at once; then `done` is never called.
    fn append(&self, append: Append, done: Done<Committed>) -> Result<(), ArchiveError>;

    /// Reads the head of a topic that keeps `keep`; `None` if the archive does not know the topic.
    fn load(&self, topic: &Topic, keep: Keep) -> Pending<Option<TopicRecord>>;

    /// Reads a part of a topic; `None` if the archive does not know the topic.
    fn read(&self, topic: &Topic, range: Range, bounds: Bounds) -> Pending<Option<Stretch>>;

    /// Removes something of a topic.
    ///
    /// # Errors
    /// If it is refused at once; then `done` is never called.
    fn remove(&self, topic: &Topic, removal: Removal, done: Done<()>) -> Result<(), ArchiveError>;

    /// Deletes what topics need not keep any longer, some topics with each call, at `now_ms` since 1970. `keep_of` says how
    /// much a topic keeps; `None` leaves it alone. Waits for the disk. Returns topics whose numbering may be removed, because
    /// they have held nothing for a long time.
    fn tidy(&self, now_ms: u64, keep_of: &dyn Fn(&Topic) -> Option<Keep>) -> Vec<Topic>;

    /// Learns that this broker has got its first subscriber to a topic or pattern, or lost its last. Called under the topic's lock.
    fn interest(&self, pattern: &Pattern, change: Interest);

    /// Reports what the archive keeps and what waits in it.
    fn status(&self) -> Status;
}

/// An error of an archive, by what the caller can do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ArchiveError {
    /// Too much waits to be written. Publishing again in a moment helps.
    #[error("more is published than the broker's disk takes: publish again in a moment")]
    Full,
    /// There is no room for another topic. Nothing else is refused for it.
    #[error("there are too many durable topics: forget some that are not used any more")]
    TooManyTopics,
    /// It cannot be used now. The operator finds the reason in the log.
    #[error("the broker cannot use its disk now, so nothing can be kept or read: try again later")]
    Unavailable,
}

/// The bounds of a topic's history: what exceeds any of these is deleted, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keep {
    /// The maximum number of publications.
    pub(crate) messages: u64,
    /// The maximum number of bytes, counted by [`Append::cost`].
    pub(crate) bytes: u64,
    /// The maximum age, in milliseconds.
    pub(crate) ttl_ms: u64,
    /// The wall clock, in milliseconds since 1970.
    pub(crate) now: u64,
}

impl Keep {
    /// Limits that keep all publications.
    pub(crate) const ALL: Self = Self { messages: u64::MAX, bytes: u64::MAX, ttl_ms: u64::MAX, now: 0 };

    /// Returns the time before which nothing is kept of a topic whose newest publication was accepted at `newest_ts`. A
    /// wall clock that is behind that publication was set back; it does not bring back what had expired.
    pub(crate) fn oldest_ts(&self, newest_ts: u64) -> u64 {
        self.now.max(newest_ts).saturating_sub(self.ttl_ms)
    }
}

/// A publication to be accepted.
#[derive(Debug, Clone)]
pub(crate) struct Append {
    /// The topic it is published to.
    pub(crate) topic: Topic,
    /// The epoch the topic begins with, if the archive does not know the topic and has no epoch of its own.
    pub(crate) epoch: Epoch,
    /// The payload, in the encoding it came in.
    pub(crate) payload: Payload,
    /// The user who publishes, when known.
    pub(crate) from: Option<Arc<str>>,
    /// The idempotency key, looked up and remembered in the same transaction.
    pub(crate) key: Option<String>,
    /// The present time, in milliseconds since 1970.
    pub(crate) ts: u64,
    /// Its size in [`Keep::bytes`].
    pub(crate) cost: u64,
    /// The bounds of the topic's history.
    pub(crate) keep: Keep,
    /// Returned with the arrival.
    pub(crate) origin: Option<Origin>,
}

/// The receipt of an [`Append`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Committed {
    /// The position of the publication.
    pub(crate) position: Position,
    /// The time at which it was accepted, in milliseconds since 1970: [`Append::ts`], but never before the publication before it.
    pub(crate) ts: u64,
    /// Whether it had been accepted before under the same key, so that nothing was added now.
    pub(crate) is_duplicate: bool,
}

/// A publication that the archive has accepted, published here or by another broker.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    /// The topic it was published to.
    pub(crate) topic: Topic,
    /// The position of the publication.
    pub(crate) position: Position,
    /// Nothing of the topic lies between this offset and the position, both exclusive.
    pub(crate) after: u64,
    /// The time at which it was accepted, in milliseconds since 1970.
    pub(crate) ts: u64,
    /// The payload of the publication.
    pub(crate) payload: Payload,
    /// The user who published it, when known.
    pub(crate) from: Option<Arc<str>>,
    /// The session of this broker that must not receive it.
    pub(crate) origin: Option<Origin>,
}

/// The head of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TopicRecord {
    /// The newest position; what is published later comes after it.
    pub(crate) head: Position,
    /// The time at which the newest publication was accepted, in milliseconds since 1970; 0 before the first.
    pub(crate) newest_ts: u64,
}

/// Which part of a topic is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Range {
    /// The publications after a point, oldest first.
    Since(StartPoint),
    /// The newest publications, at most so many, oldest first.
    Newest(u64),
    /// The publications before a point, newest first; [`StartPoint::Earliest`] begins with the newest publication.
    Before(StartPoint),
}

/// The bounds of one read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// The maximum number of publications.
    pub(crate) limit: usize,
    /// The maximum number of bytes that the payloads take in JSON; at least one publication is read.
    pub(crate) bytes_max: usize,
    /// The bounds of the topic's history; anything beyond is not returned, whether it is deleted yet or not.
    pub(crate) keep: Keep,
}

/// A publication as the archive holds it. Topic and epoch are those it was read under.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StoredPublication {
    /// The offset of the publication.
    pub(crate) offset: u64,
    /// The time at which it was accepted, in milliseconds since 1970.
    pub(crate) ts: u64,
    /// The user who published it, when known.
    pub(crate) from: Option<Arc<str>>,
    /// The payload, in the encoding it came in.
    pub(crate) payload: Payload,
}

/// A part of a topic.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stretch {
    /// The publications, in the order of reading. Only damaged ones are missing between them.
    pub(crate) publications: Vec<StoredPublication>,
    /// The head of the topic at the moment of reading. Its epoch is that of all offsets here.
    pub(crate) record: TopicRecord,
    /// The offset up to which a read forward is complete: the next one continues after it.
    pub(crate) reached: u64,
    /// Whether something that the range asks for is no longer held.
    pub(crate) gap: bool,
    /// Whether publications were left out because they are damaged.
    pub(crate) damaged: bool,
    /// Whether a bound ended the read, and there is more.
    pub(crate) more: bool,
}

/// The part of a topic that is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Removal {
    /// All publications and idempotency keys. The numbering continues, so that positions reveal the loss.
    History,
    /// Everything. The topic begins again under another epoch.
    Numbering,
}

/// A change of the subscribers on this broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interest {
    /// The first subscriber has subscribed.
    Begins,
    /// The last subscriber has unsubscribed.
    Ends,
}

/// The topics that an archive keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Those whose rule says that they are durable.
    Durable,
    /// All topics of the archive.
    #[cfg_attr(
        not(debug_assertions),
        allow(dead_code, reason = "an archive that several brokers share keeps all")
    )]
    All,
}

/// The state of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Status {
    /// The topics it keeps; never changes.
    pub(crate) scope: Scope,
    /// The bytes that wait to be written.
    pub(crate) queued_bytes: usize,
}
