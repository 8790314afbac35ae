//! Publications on their way to the disk, as they are there, and how many of them a topic keeps.

use std::sync::Arc;

use fanwire_protocol::{Epoch, Payload, Position, Topic};

/// The time for which an idempotency key is remembered, in milliseconds.
pub(crate) const KEY_TTL_MS: u64 = 5 * 60 * 1000;

/// How much of a topic is kept: what exceeds any of these is deleted, oldest first.
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
    /// Keeps everything.
    #[cfg(test)]
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
    /// The topic.
    pub(crate) topic: Topic,
    /// The epoch with which the topic begins if the store does not know it, or has used up the offsets of its epoch.
    pub(crate) epoch: Epoch,
    /// The payload.
    pub(crate) payload: Payload,
    /// The user that publishes, if known.
    pub(crate) from: Option<Arc<str>>,
    /// The idempotency key, looked up and remembered in the same transaction.
    pub(crate) key: Option<String>,
    /// The wall clock, in milliseconds since 1970.
    pub(crate) ts: u64,
    /// What the publication counts for in [`Keep::bytes`].
    pub(crate) cost: u64,
    /// What the topic keeps. Old publications are deleted when there are considerably more.
    pub(crate) keep: Keep,
}

/// The outcome of an [`Append`] that is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Committed {
    /// The position of the publication.
    pub(crate) position: Position,
    /// When it was accepted, in milliseconds since 1970: [`Append::ts`], but never before the topic's previous publication.
    pub(crate) ts: u64,
    /// Whether it had been accepted before under the same key, so that nothing was added.
    pub(crate) is_duplicate: bool,
}

/// A publication as it is on disk. Topic and epoch are those under which it was read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StoredPublication {
    /// The offset.
    pub(crate) offset: u64,
    /// When it was accepted, in milliseconds since 1970.
    pub(crate) ts: u64,
    /// The user that published it, if known.
    pub(crate) from: Option<Arc<str>>,
    /// The payload, in the encoding in which it was published.
    pub(crate) payload: Payload,
}
