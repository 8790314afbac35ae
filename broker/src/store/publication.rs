//! Publications on their way to the disk, as they are there, and how many of them a topic keeps: the types of the engine's
//! archive, by the names that the store uses for them.

pub(super) use crate::engine::{Append, Arrival, Arrivals, Committed, Keep, StoredPublication};

/// The time for which an idempotency key is remembered, in milliseconds.
pub(super) const KEY_TTL_MS: u64 = 5 * 60 * 1000;
