//! Who a session is, at work: tokens are checked, and what is over comes to its end.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use fanwire_core::access::Refusal;
use fanwire_core::identity::{Holder, Identity};
use fanwire_core::presence::Departure;
use fanwire_core::session::{Admitted, Close, Purpose};
use fanwire_core::subscribers::SubscriptionKey;
use fanwire_protocol::{CloseCode, ErrorCode, Pattern, ServerFrame};

use super::LiveSession;
use crate::auth::Reauthorization;
use crate::clock;
use crate::hooks::CalloutClient;

/// The transport of whoever can show a token in a frame, as the application is told.
const FRAMES: &str = "ws";

/// A token on its way through the checks. While it is, the session handles no other frames: they are meant to be handled with
/// what the token gives.
pub(super) struct Checking {
    id: Option<u32>,
    purpose: Purpose,
    outcome: Pin<Box<dyn Future<Output = Result<Identity, Refusal>>>>,
}

impl LiveSession {
    /// Begins to check a token. Most checks are over at once; if this one is, its consequence is handled here.
    pub(super) fn authenticate(&mut self, id: Option<u32>, token: String, purpose: Purpose) -> Option<Close> {
        let authenticator = self.worker().authenticator.current();
        let (hooks, connection) = (self.worker.hooks.clone(), self.session.connection_number());
        let is_for_session = matches!(purpose, Purpose::Connect | Purpose::Refresh);
        let outcome = Box::pin(async move {
            let identity = authenticator.check(&token).await?;
            if !is_for_session {
                return Ok(identity);
            }
            hooks.connect(CalloutClient { identity, connection: Some(connection) }, FRAMES).await
        });
        self.checking = Some(Checking { id, purpose, outcome });
        match self.poll_authentication(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(close) => close,
            Poll::Pending => None,
        }
    }

    /// Goes on with the check of a token, if there is one. Returns how to close the session if that is what came of it.
    pub(super) fn poll_authentication(&mut self, context: &mut Context<'_>) -> Poll<Option<Close>> {
        let Some(checking) = &mut self.checking else { return Poll::Ready(None) };
        let Poll::Ready(outcome) = checking.outcome.as_mut().poll(context) else { return Poll::Pending };
        let Some(Checking { id, purpose, .. }) = self.checking.take() else { return Poll::Ready(None) };
        let (worker, rules) = (self.worker().clone(), self.worker().engine.rules());
        let effect = self.session.authenticated(id, purpose, outcome, worker.terms(&rules));
        drop(rules);
        let close = self.run(effect);
        if !self.session.owes_credentials() {
            self.writer().end_session_at(self.session.identity().expires_ms());
            self.worker.registry.identify(&self.handle, self.session.identity().user());
            // The check may have begun before the configuration changed.
            self.writer().question();
        }
        Poll::Ready(close)
    }

    /// Notes whose token allows a subscription that was just opened, and when that ends.
    pub(super) fn note_permit(&mut self, pattern: &Pattern, permit: Option<Arc<Holder>>) {
        if permit.is_some() {
            self.session.permit(pattern, permit);
            self.writer().end_subscription_at(self.session.next_expiry_ms());
        }
    }

    /// Ends the subscriptions whose own token has ended, if the sweep has found that there are any.
    pub(crate) fn end_expired(&mut self) {
        if !self.writer().take_subscription_end() {
            return;
        }
        let expired = self.session.take_expired(clock::unix_ms());
        let reason = "the token of this subscription is over: subscribe again with a new one";
        self.end_subscriptions(expired, ErrorCode::TokenExpired, reason);
        self.writer().end_subscription_at(self.session.next_expiry_ms());
        self.flush_replies();
    }

    /// Sees whether the session may still be there and have what it has, if the configuration has changed since that was decided.
    pub(crate) fn answer_question(&mut self) {
        if !self.writer().take_question() || self.session.owes_credentials() {
            return;
        }
        let worker = self.worker.clone();
        let authenticator = worker.authenticator.current();
        match authenticator.standing(self.session.identity()) {
            Reauthorization::Good => {}
            Reauthorization::Changed(reason) => {
                return self.writer().want_close(Close::new(CloseCode::GoingAway, reason));
            }
            Reauthorization::Gone(refusal) => return self.writer().want_close(Close::unauthorized(refusal)),
        }
        self.session.withdraw_permits(|permit| {
            authenticator.standing(&Identity::Holder(permit.clone())) == Reauthorization::Good
        });
        let revoked = self.session.take_revoked(worker.terms(&worker.engine.rules()));
        if revoked.is_empty() {
            return;
        }
        let reason = "what the broker allows has changed, and this subscription is not allowed any more";
        self.end_subscriptions(revoked, ErrorCode::Forbidden, reason);
        self.flush_replies();
        if !self.format.has_frames {
            self.writer().want_close(Close::new(CloseCode::Forbidden, reason));
        }
    }

    /// Leaves subscriptions that the core has forgotten, and says so.
    pub(super) fn end_subscriptions(
        &mut self,
        ended: Vec<(Pattern, SubscriptionKey)>,
        code: ErrorCode,
        reason: &str,
    ) {
        for (pattern, key) in ended {
            self.leave(&pattern, key, Departure::Left);
            self.send(&ServerFrame::Unsubscribed { pattern, code, reason: reason.to_owned() });
        }
    }

    /// Lets the session go on as whom it has shown to be.
    pub(super) fn admitted(&mut self, admitted: Admitted) {
        if let Some(frame) = admitted.reply {
            self.send(&frame);
        }
        let reason = "the new token does not allow this subscription any more";
        self.end_subscriptions(admitted.revoked, ErrorCode::Forbidden, reason);
    }
}
