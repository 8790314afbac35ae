//! The waits before reconnecting: full jitter, so that clients that were cut off together do not reconnect together.
//!
//! The wait before attempt *n* is drawn evenly from 0 to `min(cap, base × 2ⁿ)` ("Exponential Backoff And Jitter",
//! Marc Brooker, AWS Architecture Blog, 2015). This file knows no clock and draws no random numbers.

use std::time::Duration;

/// The bound of the first wait, unless set otherwise.
const BASE_DEFAULT: Duration = Duration::from_millis(250);

/// The bound of every later wait, unless set otherwise.
const CAP_DEFAULT: Duration = Duration::from_secs(20);

/// The way in which a client reconnects when its connection breaks. The first connection is tried only once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reconnect {
    /// The first wait is at most this long.
    pub base: Duration,
    /// No wait is longer than this.
    pub cap: Duration,
    /// After so many attempts in a row without success the client gives up; `None`: never.
    pub attempts_max: Option<u32>,
}

impl Default for Reconnect {
    /// Waits of at most 250 ms, 500 ms, 1 s … 20 s, for ever.
    fn default() -> Self {
        Self { base: BASE_DEFAULT, cap: CAP_DEFAULT, attempts_max: None }
    }
}

/// The attempts since the last connection that held.
#[derive(Debug)]
pub(crate) struct Backoff {
    policy: Reconnect,
    attempts: u32,
}

impl Backoff {
    pub(crate) fn new(policy: Reconnect) -> Self {
        Self { policy, attempts: 0 }
    }

    /// Counts one more attempt and says how long to wait before it; `None` when there have been enough. `random` is
    /// evenly distributed from 0 to 1.
    pub(crate) fn next_wait(&mut self, random: f64) -> Option<Duration> {
        if self.policy.attempts_max.is_some_and(|most| self.attempts >= most) {
            return None;
        }
        let doubled =
            1u32.checked_shl(self.attempts).map_or(self.policy.cap, |times| self.policy.base * times);
        self.attempts = self.attempts.saturating_add(1);
        Some(doubled.min(self.policy.cap).mul_f64(random.clamp(0.0, 1.0)))
    }

    /// The number of attempts so far.
    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Starts over: a connection held.
    pub(crate) fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backoff(attempts_max: Option<u32>) -> Backoff {
        let (base, cap) = (Duration::from_millis(100), Duration::from_secs(1));
        Backoff::new(Reconnect { base, cap, attempts_max })
    }

    #[test]
    fn waits_double_up_to_the_cap() {
        let mut backoff = backoff(None);
        let waits: Vec<u128> = (0..6).map(|_| backoff.next_wait(1.0).unwrap().as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1000, 1000]);
        for _ in 0..100 {
            assert!(backoff.next_wait(1.0).unwrap() <= Duration::from_secs(1));
        }
    }

    #[test]
    fn jitter_is_full_from_nothing_to_the_bound() {
        assert_eq!(backoff(None).next_wait(0.0), Some(Duration::ZERO));
        assert_eq!(backoff(None).next_wait(0.5), Some(Duration::from_millis(50)));
    }

    #[test]
    fn a_connection_that_held_starts_over() {
        let mut backoff = backoff(None);
        backoff.next_wait(1.0);
        backoff.next_wait(1.0);
        backoff.reset();
        assert_eq!(backoff.next_wait(1.0), Some(Duration::from_millis(100)));
    }

    #[test]
    fn attempts_are_given_up_after_the_most_allowed() {
        let mut backoff = backoff(Some(2));
        assert!(backoff.next_wait(1.0).is_some());
        assert!(backoff.next_wait(1.0).is_some());
        assert_eq!(backoff.next_wait(1.0), None);
        assert_eq!(backoff.attempts(), 2);
    }
}
