//! The keepalive of a session: what is sent after a silence, and when an answer is overdue.

use std::cell::Cell;

use bytes::Bytes;
use fanwire_core::liveness::{Liveness, Pulse};

use crate::clock;

/// The way in which a transport keeps a quiet session open and detects a dead one.
#[derive(Clone, Copy)]
pub(crate) struct Keepalive {
    /// The bytes that are sent after a silence.
    pub(crate) bytes: &'static [u8],
    /// The longest silence, in milliseconds.
    pub(crate) interval_ms: u64,
    /// The longest wait for an answer, in milliseconds; `None` if the transport has no answers.
    pub(crate) timeout_ms: Option<u64>,
    /// The longest time for which a client may take nothing of what waits for it, in milliseconds.
    pub(crate) write_timeout_ms: u64,
    /// The longest time that a session may take to close, in milliseconds.
    pub(crate) close_timeout_ms: u64,
}

/// The keepalive of one session with its last sign of life.
pub(super) struct KeepaliveState {
    keepalive: Keepalive,
    liveness: Cell<Liveness>,
}

impl KeepaliveState {
    /// The state of a session that has just begun.
    pub(super) fn new(keepalive: Keepalive) -> Self {
        Self { keepalive, liveness: Cell::new(Liveness::new(clock::monotonic_ms())) }
    }

    /// Notes that the client has sent something.
    pub(super) fn heard(&self) {
        let mut liveness = self.liveness.get();
        liveness.heard(clock::monotonic_ms());
        self.liveness.set(liveness);
    }

    /// Returns what to do at `now_ms`.
    pub(super) fn check(&self, now_ms: u64) -> Pulse {
        let mut liveness = self.liveness.get();
        let timeout_ms = self.keepalive.timeout_ms.unwrap_or(u64::MAX / 2);
        let pulse = liveness.check(now_ms, self.keepalive.interval_ms, timeout_ms);
        if pulse == Pulse::Ping && self.keepalive.timeout_ms.is_none() {
            // Nothing answers, so the next silence begins now.
            liveness.heard(now_ms);
        }
        self.liveness.set(liveness);
        pulse
    }

    /// Returns the bytes to send after a silence.
    pub(super) fn bytes(&self) -> Bytes {
        Bytes::from_static(self.keepalive.bytes)
    }
}
