//! Idempotency keys that the client makes for its own publications.

use std::sync::atomic::{AtomicU64, Ordering};

/// Makes idempotency keys that no other client makes. They are unique, not secret.
#[derive(Debug)]
pub(crate) struct KeyMaker {
    client: u64,
    next: AtomicU64,
}

impl KeyMaker {
    /// Creates a maker whose keys begin with the random number `random`.
    pub(crate) fn new(random: u64) -> Self {
        Self { client: random, next: AtomicU64::new(0) }
    }

    /// Returns a key that was never returned before.
    pub(crate) fn make(&self) -> String {
        format!("{:016x}-{:x}", self.client, self.next.fetch_add(1, Ordering::Relaxed))
    }
}
