//! The clock by which idempotency keys age: the wall clock, which may jump, made monotonic.
//!
//! When the wall clock is set back, this clock continues from where it was, at the speed of the monotonic clock. So a key
//! is remembered for its time whatever happens to the wall clock, and over a restart, because commits store the time.

use std::time::Instant;

#[derive(Debug)]
pub(super) struct KeyClock {
    base_ms: u64,
    base: Instant,
}

impl KeyClock {
    /// Continues from `newest_ts`, in milliseconds since 1970.
    pub(super) fn new(newest_ts: u64) -> Self {
        Self { base_ms: newest_ts, base: Instant::now() }
    }

    /// Returns the time when the wall clock shows `ts`; never less than before. Both are milliseconds since 1970.
    pub(super) fn now(&mut self, ts: u64) -> u64 {
        let continued = self.latest();
        if ts >= continued {
            *self = Self::new(ts);
        }
        continued.max(ts)
    }

    /// Returns the time without a look at the wall clock.
    pub(super) fn latest(&self) -> u64 {
        self.base_ms.saturating_add(self.base.elapsed().as_millis() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_does_not_go_back_and_does_not_stand_still() {
        let mut clock = KeyClock::new(10_000);
        assert!((10_000..11_000).contains(&clock.now(5_000)));
        assert_eq!(clock.now(60_000), 60_000);
        let first = clock.now(5_000);
        assert!((60_000..61_000).contains(&first));
        while clock.now(5_000) == first {
            std::thread::yield_now();
        }
        assert!(clock.now(5_000) > first);
    }
}
