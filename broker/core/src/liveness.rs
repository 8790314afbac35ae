//! Liveness: when a silent session is pinged, and when it is closed.
//!
//! This file owns the decision. It does not know how a ping is written.

/// The last sign of life of one session. Times are milliseconds of the broker's monotonic clock.
#[derive(Debug, Clone, Copy)]
pub struct Liveness {
    heard_ms: u64,
    pinged: bool,
}

/// The action for a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pulse {
    /// Nothing: it has sent something within the interval.
    Fine,
    /// Ping it: it has been silent for the whole interval.
    Ping,
    /// Close it: it did not answer the ping.
    Dead,
}

impl Liveness {
    /// A session that has just sent something.
    pub fn new(now_ms: u64) -> Self {
        Self { heard_ms: now_ms, pinged: false }
    }

    /// Notes that the session has sent something.
    pub fn heard(&mut self, now_ms: u64) {
        *self = Self::new(now_ms);
    }

    /// Returns what to do at `now_ms`. A silence leads to one ping.
    pub fn check(&mut self, now_ms: u64, interval_ms: u64, timeout_ms: u64) -> Pulse {
        let silent_ms = now_ms.saturating_sub(self.heard_ms);
        if self.pinged && silent_ms >= interval_ms + timeout_ms {
            return Pulse::Dead;
        }
        if !self.pinged && silent_ms >= interval_ms {
            self.pinged = true;
            return Pulse::Ping;
        }
        Pulse::Fine
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_session_is_pinged_once_and_closed_if_it_stays_silent() {
        let mut liveness = Liveness::new(1_000);
        let mut check =
            |now_ms, expected| assert_eq!(liveness.check(now_ms, 25_000, 10_000), expected, "at {now_ms}");
        check(1_000, Pulse::Fine);
        check(25_999, Pulse::Fine);
        check(26_000, Pulse::Ping);
        check(27_000, Pulse::Fine);
        check(35_999, Pulse::Fine);
        check(36_000, Pulse::Dead);
    }

    #[test]
    fn an_answer_starts_the_silence_anew() {
        let mut liveness = Liveness::new(0);
        assert_eq!(liveness.check(25_000, 25_000, 10_000), Pulse::Ping);
        liveness.heard(30_000);
        assert_eq!(liveness.check(40_000, 25_000, 10_000), Pulse::Fine);
        assert_eq!(liveness.check(55_000, 25_000, 10_000), Pulse::Ping);
    }
}
