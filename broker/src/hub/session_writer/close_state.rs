//! The close of a session, from the request to the deadline.

use std::cell::{Cell, RefCell};

use fanwire_core::session::Close;

use crate::clock;

/// The progress of closing one session.
pub(super) struct CloseState {
    timeout_ms: u64,
    /// The close that was requested and not taken yet.
    requested: RefCell<Option<Box<Close>>>,
    is_closing: Cell<bool>,
    /// The time at which a closing session is aborted, in milliseconds of the monotonic clock.
    deadline_ms: Cell<Option<u64>>,
}

impl CloseState {
    /// The state of a session that is open and may take `timeout_ms` to close.
    pub(super) fn new(timeout_ms: u64) -> Self {
        let (requested, is_closing, deadline_ms) = (RefCell::default(), Cell::new(false), Cell::new(None));
        Self { timeout_ms, requested, is_closing, deadline_ms }
    }

    /// Requests a close. Returns whether it is the first request.
    pub(super) fn request(&self, close: Close) -> bool {
        let is_first = !self.is_closing.get();
        if is_first {
            self.begin();
            *self.requested.borrow_mut() = Some(Box::new(close));
        }
        is_first
    }

    /// Takes the close that was requested.
    pub(super) fn take(&self) -> Option<Close> {
        self.requested.borrow_mut().take().map(|close| *close)
    }

    /// Begins to close; the whole timeout remains.
    pub(super) fn begin(&self) {
        self.is_closing.set(true);
        self.deadline_ms.set(Some(clock::monotonic_ms() + self.timeout_ms));
    }

    /// Limits the time that remains to `timeout_ms`.
    pub(super) fn hurry(&self, timeout_ms: u64) {
        let sooner_ms = clock::monotonic_ms() + timeout_ms;
        self.deadline_ms.set(self.deadline_ms.get().map(|deadline_ms| deadline_ms.min(sooner_ms)));
    }

    /// Returns whether the session is being closed.
    pub(super) fn is_closing(&self) -> bool {
        self.is_closing.get()
    }

    /// Returns whether the deadline is over.
    pub(super) fn is_overdue(&self) -> bool {
        self.deadline_ms.get().is_some_and(|deadline_ms| deadline_ms <= clock::monotonic_ms())
    }
}

#[cfg(test)]
mod tests {
    use fanwire_protocol::CloseCode;

    use super::*;

    #[test]
    fn the_first_request_decides_how_a_session_is_closed() {
        let state = CloseState::new(60_000);
        assert!(state.request(Close::new(CloseCode::TooSlow, "first")));
        assert!(!state.request(Close::new(CloseCode::GoingAway, "second")));
        assert_eq!(state.take().map(|close| close.code), Some(CloseCode::TooSlow));
        assert!(state.take().is_none() && state.is_closing() && !state.is_overdue());
        state.hurry(0);
        assert!(state.is_overdue());
    }

    #[test]
    fn an_open_session_has_no_deadline() {
        let state = CloseState::new(0);
        state.hurry(0);
        assert!(!state.is_overdue());
        state.begin();
        assert!(state.is_overdue());
    }
}
