//! The bounds and the results of reads.

use fanwire_protocol::Epoch;

use super::publication::{Keep, StoredPublication};

/// The numbering of a topic and what is held of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicRecord {
    /// The epoch of its offsets.
    pub(crate) epoch: Epoch,
    /// The offset of the newest publication; 0 before the first.
    pub(crate) head: u64,
    /// The offset of the newest publication that is no longer held.
    pub(crate) floor: u64,
    /// The time at which that one was accepted, in milliseconds since 1970; 0 if all are held.
    pub(crate) floor_ts: u64,
    /// The cost of all that is held.
    pub(crate) bytes: u64,
    /// The time at which the newest publication was accepted, held or not, in milliseconds since 1970; 0 before the first.
    pub(crate) newest_ts: u64,
}

/// The bounds of one read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// The last offset to read: what is committed already may not be delivered yet.
    pub(crate) through: u64,
    /// The maximum number of publications.
    pub(crate) limit: usize,
    /// The maximum number of bytes that the payloads take in JSON, the largest encoding; one publication is read in any
    /// case.
    pub(crate) bytes_max: usize,
    /// The bounds of the topic's history; anything beyond is not shown, whether it is deleted yet or not.
    pub(crate) keep: Keep,
}

/// A part of a topic, all of one moment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stretch {
    /// The publications, in the order of reading. Only damaged ones are missing between them.
    pub(crate) publications: Vec<StoredPublication>,
    /// The newest offset that is no longer held.
    pub(crate) floor: u64,
    /// The number of publications that were left out because they are damaged.
    pub(crate) damaged: u64,
    /// The last offset that was looked at, damaged or not.
    pub(crate) last: u64,
    /// Whether a bound ended the read and there is more within [`Bounds::through`].
    pub(crate) more: bool,
}
