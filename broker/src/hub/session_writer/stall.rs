//! A client that takes nothing of what waits for it.

use std::cell::Cell;

use fanwire_core::outbox::Outbox;

/// Stands for an empty outbox in place of a time.
const NOTHING_WAITS: u64 = u64::MAX;

/// Stands for an empty outbox in place of seconds.
const NOT_BEHIND: u32 = u32::MAX;

/// Detects that nothing leaves an outbox for too long, although something waits in it.
pub(super) struct Stall {
    timeout_ms: u32,
    /// The number of bytes taken when the outbox was checked last.
    taken: Cell<u32>,
    /// Since when nothing has been taken, in milliseconds of the monotonic clock; [`NOTHING_WAITS`] if nothing waits.
    since_ms: Cell<u64>,
    /// The backlog that is being watched: since when it waits, in seconds of the monotonic clock, and what will have been taken once it is gone.
    behind_since_s: Cell<u32>,
    gone_at_taken: Cell<u32>,
}

impl Stall {
    /// A stall after `timeout_ms` without progress.
    pub(super) fn new(timeout_ms: u64) -> Self {
        let timeout_ms = u32::try_from(timeout_ms).unwrap_or(u32::MAX);
        Self {
            timeout_ms,
            taken: Cell::new(0),
            since_ms: Cell::new(NOTHING_WAITS),
            behind_since_s: Cell::new(NOT_BEHIND),
            gone_at_taken: Cell::new(0),
        }
    }

    /// Returns whether the time without progress is over at `now_ms`. Called again and again.
    pub(super) fn is_over(&self, now_ms: u64, outbox: &Outbox) -> bool {
        if outbox.is_empty() {
            self.since_ms.set(NOTHING_WAITS);
            self.behind_since_s.set(NOT_BEHIND);
            return false;
        }
        self.watch_backlog(now_ms, outbox);
        let has_progressed = self.taken.replace(outbox.taken_bytes()) != outbox.taken_bytes();
        let since_ms = if has_progressed { now_ms } else { self.since_ms.get().min(now_ms) };
        self.since_ms.set(since_ms);
        now_ms - since_ms >= u64::from(self.timeout_ms)
    }

    /// Returns since when the oldest bytes that wait have been in the outbox, as far as is known at `now_ms`, in seconds of
    /// the monotonic clock.
    pub(super) fn behind_since_s(&self, now_ms: u64, outbox: &Outbox) -> u32 {
        self.watch_backlog(now_ms, outbox);
        self.behind_since_s.get()
    }

    /// Begins to watch what waits now, if what was watched has left.
    fn watch_backlog(&self, now_ms: u64, outbox: &Outbox) {
        let taken = outbox.taken_bytes();
        // Counters wrap, so that they are compared by their distance.
        let is_gone = taken.wrapping_sub(self.gone_at_taken.get()) < u32::MAX / 2;
        if is_gone || self.behind_since_s.get() == NOT_BEHIND {
            self.behind_since_s.set((now_ms / 1000) as u32);
            let waiting = u32::try_from(outbox.bytes() + outbox.pinned_bytes()).unwrap_or(u32::MAX / 2);
            self.gone_at_taken.set(taken.wrapping_add(waiting));
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use fanwire_formats::BARE;

    use super::*;

    #[test]
    fn only_time_without_progress_counts() {
        let stall = Stall::new(10);
        let mut outbox = Outbox::new(&BARE, 1000);
        assert!(!stall.is_over(0, &outbox));
        outbox.push_own(Bytes::from_static(b"four"));
        assert!(!stall.is_over(100, &outbox), "it has just come");
        assert!(!stall.is_over(109, &outbox));
        outbox.advance(1);
        assert!(!stall.is_over(110, &outbox), "a byte is progress");
        assert!(stall.is_over(120, &outbox));
        outbox.advance(3);
        assert!(!stall.is_over(130, &outbox), "nothing waits");
    }

    #[test]
    fn a_session_is_behind_since_its_oldest_waiting_bytes_came() {
        let stall = Stall::new(1_000_000);
        let mut outbox = Outbox::new(&BARE, 1000);
        outbox.push_own(Bytes::from_static(b"four"));
        assert_eq!(stall.behind_since_s(10_000, &outbox), 10);
        outbox.push_own(Bytes::from_static(b"more"));
        outbox.advance(3);
        assert_eq!(stall.behind_since_s(20_000, &outbox), 10, "one of the first bytes still waits");
        outbox.advance(1);
        assert_eq!(stall.behind_since_s(30_000, &outbox), 30, "the first bytes have left");
        outbox.advance(4);
        assert!(!stall.is_over(40_000, &outbox));
        outbox.push_own(Bytes::from_static(b"last"));
        assert_eq!(stall.behind_since_s(50_000, &outbox), 50);
    }
}
