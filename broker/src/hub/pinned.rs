//! Memory that sessions and answers keep beside history and outboxes, as it is counted for its worker.

use std::sync::Arc;

use crate::telemetry::WorkerCounters;

/// The memory of one session or answer, in bytes: publications that history may have dropped meanwhile. It counts in
/// [`WorkerCounters::pinned_bytes`] until it is dropped.
pub(crate) struct PinnedBytes {
    bytes: u64,
    counters: Arc<WorkerCounters>,
}

impl PinnedBytes {
    /// Nothing is kept yet.
    pub(crate) fn new(counters: Arc<WorkerCounters>) -> Self {
        Self { bytes: 0, counters }
    }

    /// Notes how much is kept now.
    pub(crate) fn set(&mut self, bytes: usize) {
        let bytes = bytes as u64;
        self.counters.pinned_bytes.add(bytes);
        self.counters.pinned_bytes.subtract(self.bytes);
        self.bytes = bytes;
    }
}

impl Drop for PinnedBytes {
    fn drop(&mut self) {
        self.counters.pinned_bytes.subtract(self.bytes);
    }
}
