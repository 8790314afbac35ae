//! Durable topics: what was acknowledged is there after any ending, with the positions it was given.
//!
//! Most of this is about the store's disk, which an archive in memory does not have. Everything else runs over both archives.

#[cfg(not(feature = "stepped-archive"))]
mod crashes;
#[cfg(not(feature = "stepped-archive"))]
mod creation;
#[cfg(not(feature = "stepped-archive"))]
mod damage;
#[cfg(not(feature = "stepped-archive"))]
mod directory;
#[cfg(not(feature = "stepped-archive"))]
mod failing;
mod restarts;
#[cfg(not(feature = "stepped-archive"))]
mod restoring;
#[cfg(not(feature = "stepped-archive"))]
mod unread;
mod young_topics;

/// A rule that makes every topic durable.
const DURABLE: &str = "[[topic]]\nmatch = '>'\ndurable = true\n";
