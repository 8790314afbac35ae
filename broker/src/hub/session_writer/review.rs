//! The dates at which what a session may do has to be reviewed: its token ends, the token of a subscription ends, it has shown no
//! token in time, or the configuration has changed.
//!
//! There are no timers per session. The worker's sweep looks at the dates once a second.

use std::cell::Cell;

use fanwire_core::access::Refusal;
use fanwire_core::session::Close;
use fanwire_protocol::ErrorCode;

/// Stands for no end, in milliseconds since 1970.
const NEVER_MS: u64 = u64::MAX;

/// The dates of one session. Times are milliseconds since 1970.
#[derive(Debug)]
pub(crate) struct Review {
    session_ms: Cell<u64>,
    /// Whether the session ends because it has shown no token, rather than because its token ends.
    owes_credentials: Cell<bool>,
    subscription_ms: Cell<u64>,
    /// Whether the permissions have to be checked again because the configuration may have changed.
    is_requested: Cell<bool>,
}

impl Default for Review {
    fn default() -> Self {
        Self {
            session_ms: Cell::new(NEVER_MS),
            owes_credentials: Cell::new(false),
            subscription_ms: Cell::new(NEVER_MS),
            // A new session may have been admitted by a configuration that has just been replaced.
            is_requested: Cell::new(true),
        }
    }
}

impl Review {
    /// Sets when the session's token ends.
    pub(crate) fn end_session_at(&self, expires_ms: Option<u64>) {
        self.session_ms.set(expires_ms.unwrap_or(NEVER_MS));
        self.owes_credentials.set(false);
    }

    /// Sets until when the session must have shown a token.
    pub(crate) fn await_credentials_until(&self, deadline_ms: u64) {
        self.session_ms.set(deadline_ms);
        self.owes_credentials.set(true);
    }

    /// Sets when the first token of a single subscription ends.
    pub(crate) fn end_subscription_at(&self, expires_ms: Option<u64>) {
        self.subscription_ms.set(expires_ms.unwrap_or(NEVER_MS));
    }

    /// Returns whether the token of a subscription has ended by `now_ms`. Returns `true` once for each end that is set.
    pub(crate) fn take_subscription_end(&self, now_ms: u64) -> bool {
        let has_ended = self.has_subscription_end(now_ms);
        if has_ended {
            self.subscription_ms.set(NEVER_MS);
        }
        has_ended
    }

    /// Requests that the permissions are checked again.
    pub(super) fn request(&self) {
        self.is_requested.set(true);
    }

    /// Returns whether the permissions have to be checked again. Returns `true` once for each request.
    pub(crate) fn take_request(&self) -> bool {
        self.is_requested.take()
    }

    /// Returns how to close the session, if its time is up at `now_ms`.
    pub(super) fn session_end(&self, now_ms: u64) -> Option<Close> {
        if now_ms < self.session_ms.get() {
            return None;
        }
        let refusal = if self.owes_credentials.get() {
            let message = "no token was shown in time: begin with a 'connect' frame that has one".to_owned();
            Refusal { code: ErrorCode::Unauthorized, message }
        } else {
            let message = "the session's token has ended: connect again with a new one".to_owned();
            Refusal { code: ErrorCode::TokenExpired, message }
        };
        Some(Close::unauthorized(refusal))
    }

    /// Returns whether the token of a subscription has ended by `now_ms`.
    pub(super) fn has_subscription_end(&self, now_ms: u64) -> bool {
        now_ms >= self.subscription_ms.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_with_its_token_or_for_want_of_one() {
        let review = Review::default();
        let code = |now_ms| review.session_end(now_ms).and_then(|close| close.error);
        assert_eq!(code(u64::MAX - 1), None);
        review.await_credentials_until(10);
        assert_eq!((code(9), code(10)), (None, Some(ErrorCode::Unauthorized)));
        review.end_session_at(Some(20));
        assert_eq!((code(19), code(20)), (None, Some(ErrorCode::TokenExpired)));
        review.end_session_at(None);
        assert_eq!(code(20), None);
    }

    #[test]
    fn the_end_of_a_subscription_is_reported_once() {
        let review = Review::default();
        review.end_subscription_at(Some(10));
        assert!(!review.take_subscription_end(9));
        assert!(review.take_subscription_end(10));
        assert!(!review.take_subscription_end(11));
    }

    #[test]
    fn a_request_is_reported_once_and_a_new_session_begins_with_one() {
        let review = Review::default();
        assert!(review.take_request() && !review.take_request());
        review.request();
        assert!(review.take_request() && !review.take_request());
    }
}
