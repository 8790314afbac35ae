//! The pattern subscriptions of all workers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use fanwire_core::pattern_tree::PatternTree;
use fanwire_protocol::{Pattern, Topic};

use super::tally::{Change, Seat, Tally};

/// The patterns with wildcards that any session of any worker is subscribed to. Each topic keeps the counts it found
/// here and looks again only when something has changed.
pub(super) struct PatternInterest {
    workers: usize,
    /// The subscriptions under each pattern.
    tree: RwLock<PatternTree<Tally>>,
    /// Raised with each change; zero means that there never was a pattern.
    generation: AtomicU64,
}

impl PatternInterest {
    /// No patterns yet, for this number of workers.
    pub(super) fn new(workers: usize) -> Self {
        Self { workers, tree: RwLock::default(), generation: AtomicU64::new(0) }
    }

    /// Adds a subscription to `pattern`. `report` is called with what that means, under the lock.
    pub(super) fn subscribe(&self, pattern: &Pattern, seat: Seat, report: impl FnOnce(Change)) {
        let mut tree = self.tree.write().unwrap_or_else(PoisonError::into_inner);
        let change = tree.entry(pattern, Tally::default).add(seat, self.workers);
        self.generation.fetch_add(1, Ordering::Release);
        report(change);
    }

    /// Removes a subscription to `pattern`. `report` is called with what that means, under the lock.
    pub(super) fn unsubscribe(&self, pattern: &Pattern, seat: Seat, report: impl FnOnce(Change)) {
        let mut tree = self.tree.write().unwrap_or_else(PoisonError::into_inner);
        let Some(tally) = tree.get_mut(pattern) else { return };
        let change = tally.remove(seat);
        if tally.is_empty() {
            tree.remove(pattern);
        }
        self.generation.fetch_add(1, Ordering::Release);
        report(change);
    }

    /// Returns the subscriptions that match `topic`, empty if none does; `None` if nothing has changed
    /// since generation `as_of`, which is set to the present one.
    pub(super) fn counts(&self, topic: &Topic, as_of: &mut u64) -> Option<Tally> {
        let generation = self.generation.load(Ordering::Acquire);
        if generation == *as_of {
            return None;
        }
        let tree = self.tree.read().unwrap_or_else(PoisonError::into_inner);
        let mut counts = Tally::default();
        tree.for_each_match(topic, |matching| counts.add_all(matching));
        *as_of = generation;
        Some(counts)
    }

    /// Returns whether any subscription matches `topic`.
    pub(super) fn matches(&self, topic: &Topic) -> bool {
        if self.generation.load(Ordering::Acquire) == 0 {
            return false;
        }
        let tree = self.tree.read().unwrap_or_else(PoisonError::into_inner);
        let mut matches = false;
        tree.for_each_match(topic, |_| matches = true);
        matches
    }
}
