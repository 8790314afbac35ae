//! The single-writer counter that all counts of a worker are made of.

use std::sync::atomic::{AtomicU64, Ordering};

/// A count that only one thread adds to and any thread may read.
///
/// Because there is one writer, adding is a plain load and store: no locked instruction on the path of a publication.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds `count`. Only the thread that owns the counter may call this.
    pub(crate) fn add(&self, count: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
    }

    /// Subtracts `count`, for gauges. Only the thread that owns the counter may call this.
    pub(crate) fn subtract(&self, count: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_sub(count), Ordering::Relaxed);
    }

    /// Replaces the count by another.
    pub(crate) fn set(&self, count: u64) {
        self.0.store(count, Ordering::Relaxed);
    }

    /// Returns the count so far.
    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
