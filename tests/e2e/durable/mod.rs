//! Durable topics: what was acknowledged is there after any ending, with the positions it was given.

mod crashes;
mod creation;
mod damage;
mod directory;
mod failing;
mod restarts;
mod restoring;
mod unread;

/// A rule that makes every topic durable.
const DURABLE: &str = "[[topic]]\nmatch = '>'\ndurable = true\n";
