//! When a session's time is up: its token ends, one of its subscriptions' tokens ends, or it has not said who it is.
//!
//! There are no timers per session: the worker's sweep asks, once a second.

use std::cell::Cell;

use fanwire_core::access::Refusal;
use fanwire_core::session::Close;
use fanwire_protocol::ErrorCode;

/// Stands for no end, in milliseconds since 1970.
const NEVER_MS: u64 = u64::MAX;

/// The ends of what one session was given. Times are milliseconds since 1970.
#[derive(Debug)]
pub(super) struct Expiry {
    session_ms: Cell<u64>,
    /// Whether the session ends because it owes credentials, rather than because they end.
    owes_credentials: Cell<bool>,
    subscription_ms: Cell<u64>,
}

impl Default for Expiry {
    fn default() -> Self {
        Self {
            session_ms: Cell::new(NEVER_MS),
            owes_credentials: Cell::new(false),
            subscription_ms: Cell::new(NEVER_MS),
        }
    }
}

impl Expiry {
    /// Notes when the session's token ends.
    pub(super) fn end_session_at(&self, expires_ms: Option<u64>) {
        self.session_ms.set(expires_ms.unwrap_or(NEVER_MS));
        self.owes_credentials.set(false);
    }

    /// Notes until when the session must have said who it is.
    pub(super) fn await_credentials_until(&self, deadline_ms: u64) {
        self.session_ms.set(deadline_ms);
        self.owes_credentials.set(true);
    }

    /// Notes when the first token of a single subscription ends.
    pub(super) fn end_subscription_at(&self, expires_ms: Option<u64>) {
        self.subscription_ms.set(expires_ms.unwrap_or(NEVER_MS));
    }

    /// How to close the session, if its time is up at `now_ms`.
    pub(super) fn session_end(&self, now_ms: u64) -> Option<Close> {
        if now_ms < self.session_ms.get() {
            return None;
        }
        let refusal = if self.owes_credentials.get() {
            let message = "no token was shown in time: begin with a 'connect' frame that has one".to_owned();
            Refusal { code: ErrorCode::Unauthorized, message }
        } else {
            let message = "the token's time is over: come back with a new one".to_owned();
            Refusal { code: ErrorCode::TokenExpired, message }
        };
        Some(Close::unauthorized(refusal))
    }

    /// Whether the token of a subscription has ended by `now_ms`.
    pub(super) fn has_subscription_end(&self, now_ms: u64) -> bool {
        now_ms >= self.subscription_ms.get()
    }

    /// Whether the token of a subscription has ended by `now_ms`. Said once for each end that is noted.
    pub(super) fn take_subscription_end(&self, now_ms: u64) -> bool {
        let is_over = self.has_subscription_end(now_ms);
        if is_over {
            self.subscription_ms.set(NEVER_MS);
        }
        is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_with_its_token_or_for_want_of_one() {
        let expiry = Expiry::default();
        let code = |now_ms| expiry.session_end(now_ms).and_then(|close| close.error);
        assert_eq!(code(u64::MAX - 1), None);
        expiry.await_credentials_until(10);
        assert_eq!((code(9), code(10)), (None, Some(ErrorCode::Unauthorized)));
        expiry.end_session_at(Some(20));
        assert_eq!((code(19), code(20)), (None, Some(ErrorCode::TokenExpired)));
        expiry.end_session_at(None);
        assert_eq!(code(20), None);
    }

    #[test]
    fn the_end_of_a_subscription_is_said_once() {
        let expiry = Expiry::default();
        expiry.end_subscription_at(Some(10));
        assert!(!expiry.take_subscription_end(9));
        assert!(expiry.take_subscription_end(10));
        assert!(!expiry.take_subscription_end(11));
    }
}
