//! A client that takes nothing of what waits for it.

use std::cell::Cell;

use fanwire_core::outbox::Outbox;

/// Stands for an empty outbox in place of a time.
const NOTHING_WAITS: u64 = u64::MAX;

/// Detects that nothing leaves an outbox for too long, although something waits in it.
pub(super) struct Stall {
    timeout_ms: u32,
    /// The number of bytes taken when the outbox was checked last.
    taken: Cell<u32>,
    /// Since when nothing has been taken, in milliseconds of the monotonic clock; [`NOTHING_WAITS`] if nothing waits.
    since_ms: Cell<u64>,
}

impl Stall {
    /// A stall after `timeout_ms` without progress.
    pub(super) fn new(timeout_ms: u64) -> Self {
        let timeout_ms = u32::try_from(timeout_ms).unwrap_or(u32::MAX);
        Self { timeout_ms, taken: Cell::new(0), since_ms: Cell::new(NOTHING_WAITS) }
    }

    /// Returns whether the time without progress is over at `now_ms`. Called again and again.
    pub(super) fn is_over(&self, now_ms: u64, outbox: &Outbox) -> bool {
        if outbox.is_empty() {
            self.since_ms.set(NOTHING_WAITS);
            return false;
        }
        let has_progressed = self.taken.replace(outbox.taken_bytes()) != outbox.taken_bytes();
        let since_ms = if has_progressed { now_ms } else { self.since_ms.get().min(now_ms) };
        self.since_ms.set(since_ms);
        now_ms - since_ms >= u64::from(self.timeout_ms)
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
}
