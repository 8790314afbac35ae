//! The events that a store reports to its owner.

use std::sync::Arc;
use std::time::Duration;

use fanwire_protocol::Topic;

/// Receives the events of a store, on the thread on which they happen and at times under a lock of the store. It must
/// return quickly and must not call the store.
pub(crate) type Observer = Arc<dyn Fn(Event) + Send + Sync>;

/// An event inside a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// More than `queue_bytes_max` waits to be written: publishers have to wait.
    PressureRaised,
    /// Half of it is written: publishers may continue.
    PressureRelieved,
    /// The store cannot be relied on, for this reason.
    Failed(Arc<str>),
    /// The store can be relied on again.
    Recovered,
    /// Every topic was given a new epoch when the store was opened, for this reason.
    EpochsRenewed(Arc<str>),
    /// A publication on disk is damaged; it is left out of what is read.
    PublicationDamaged {
        /// The topic whose history changed.
        topic: Topic,
        /// The offset of the publication.
        offset: u64,
    },
    /// A group is on disk, and its callbacks have been called.
    Committed {
        /// The number of publications in it, duplicates included.
        publications: usize,
        /// The time since it was taken out of the queue.
        elapsed: Duration,
    },
}
