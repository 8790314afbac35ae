//! The bound on what all sessions and answers keep in memory beside history, and what follows when it is reached.
//!
//! Each session is bounded by its outbox. This bound holds for all of them together: a thousand clients that do not read would
//! otherwise keep a thousand outboxes of publications that history has dropped.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::Notify;

use crate::log_limit::LogLimit;
use crate::telemetry::Shared;

/// The share of `history.bytes_max` that sessions and answers may keep.
const SHARE: u64 = 2;

/// The shortest time between two searches of a worker for sessions to close, in milliseconds, if the first did not find enough.
const SEARCH_INTERVAL_MS: u64 = 50;

/// Limits the log lines about sessions that were closed: any client that does not read can cause them.
static CLOSED: LogLimit = LogLimit::new("sessions closed to free memory");

/// The bound on what sessions and answers keep in memory together.
pub(crate) struct PinnedBound {
    bytes_max: u64,
    counters: Arc<Shared>,
}

impl PinnedBound {
    /// The bound under `memory_bytes_max`. It is never less than one outbox, so that one session alone can use its own bound.
    pub(crate) fn new(memory_bytes_max: u64, outbox_bytes_max: u64, counters: Arc<Shared>) -> Self {
        Self { bytes_max: (memory_bytes_max / SHARE).max(outbox_bytes_max), counters }
    }

    /// Returns whether the bound is passed.
    pub(crate) fn is_over(&self) -> bool {
        self.counters.pinned_bytes() > self.bytes_max
    }

    /// Returns whether so much is below the bound that no further session must be closed.
    pub(crate) fn has_room(&self) -> bool {
        self.counters.pinned_bytes() <= self.bytes_max - self.bytes_max / 8
    }

    /// Counts and logs sessions and answers that were ended.
    pub(crate) fn closed(&self, count: u64) {
        if count == 0 {
            return;
        }
        self.counters.pinned_closes.fetch_add(count, Ordering::Relaxed);
        if let Some(left_out) = CLOSED.allow() {
            tracing::warn!(
                sessions = count,
                bytes_max = self.bytes_max,
                left_out,
                "sessions that do not read as fast as messages come were closed with 4413: together they kept more in \
                 memory than half of 'history.bytes_max'"
            );
        }
    }
}

/// The signal of one worker that sessions and answers keep too much.
#[derive(Default)]
pub(crate) struct MemoryShort {
    notify: Notify,
    searched_ms: Cell<u64>,
}

impl MemoryShort {
    /// Waits for the next time at which memory is short.
    pub(crate) async fn notified(&self) {
        self.notify.notified().await;
    }

    /// Signals that memory is short.
    pub(super) fn notify(&self) {
        self.notify.notify_waiters();
    }

    /// Returns whether the last search was long enough ago, and if so begins another.
    pub(super) fn may_search(&self, now_ms: u64) -> bool {
        let may = now_ms.saturating_sub(self.searched_ms.get()) >= SEARCH_INTERVAL_MS;
        if may {
            self.searched_ms.set(now_ms);
        }
        may
    }

    /// Notes that the search has found enough, so that the next one need not wait.
    pub(super) fn found_enough(&self) {
        self.searched_ms.set(0);
    }
}
