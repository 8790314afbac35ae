//! The pattern subscriptions of all workers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use fanwire_core::pattern_tree::PatternTree;
use fanwire_protocol::{Pattern, Topic};

/// The patterns with wildcards that any session of any worker is subscribed to. Each topic keeps the counts it found
/// here and looks again only when something has changed.
pub(super) struct PatternInterest {
    workers: usize,
    /// Under each pattern, the number of subscriptions of each worker.
    tree: RwLock<PatternTree<Vec<u32>>>,
    /// Raised with each change; zero means that there never was a pattern.
    generation: AtomicU64,
}

impl PatternInterest {
    /// No patterns yet, for this number of workers.
    pub(super) fn new(workers: usize) -> Self {
        Self { workers, tree: RwLock::default(), generation: AtomicU64::new(0) }
    }

    /// Adds a subscription of `worker` to `pattern`. If it is the first of all, `first` is called under the lock.
    pub(super) fn subscribe(&self, pattern: &Pattern, worker: usize, first: impl FnOnce()) {
        let mut tree = self.tree.write().unwrap_or_else(PoisonError::into_inner);
        let counts = tree.entry(pattern, || vec![0; self.workers]);
        let is_first = counts.iter().all(|count| *count == 0);
        counts[worker] += 1;
        self.generation.fetch_add(1, Ordering::Release);
        if is_first {
            first();
        }
    }

    /// Removes a subscription of `worker` to `pattern`. If it was the last of all, `last` is called under the lock.
    pub(super) fn unsubscribe(&self, pattern: &Pattern, worker: usize, last: impl FnOnce()) {
        let mut tree = self.tree.write().unwrap_or_else(PoisonError::into_inner);
        let Some(counts) = tree.get_mut(pattern) else { return };
        counts[worker] = counts[worker].saturating_sub(1);
        let was_last = counts.iter().all(|count| *count == 0);
        if was_last {
            tree.remove(pattern);
        }
        self.generation.fetch_add(1, Ordering::Release);
        if was_last {
            last();
        }
    }

    /// Returns the number of subscriptions of each worker that match `topic`, empty if none does; `None` if nothing has changed
    /// since generation `as_of`, which is set to the present one.
    pub(super) fn counts(&self, topic: &Topic, as_of: &mut u64) -> Option<Vec<u32>> {
        let generation = self.generation.load(Ordering::Acquire);
        if generation == *as_of {
            return None;
        }
        let tree = self.tree.read().unwrap_or_else(PoisonError::into_inner);
        let mut counts = Vec::new();
        tree.for_each_match(topic, |matching| {
            counts.resize(self.workers, 0);
            for (count, more) in counts.iter_mut().zip(matching) {
                *count += more;
            }
        });
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
