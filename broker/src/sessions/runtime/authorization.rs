//! Authorization of a session: tokens are checked when they are shown, and permissions are reviewed when a token ends or the
//! configuration changes.

use std::task::{Context, Poll, Waker};

use fanwire_core::access::Refusal;
use fanwire_core::identity::Identity;
use fanwire_core::presence::Departure;
use fanwire_core::session::{AcceptedCredentials, Close, Purpose};
use fanwire_core::subscribers::SubscriptionKey;
use fanwire_protocol::{CloseCode, ErrorCode, Pattern, ServerFrame};

use super::SessionRuntime;
use crate::auth::Reauthorization;
use crate::clock;
use crate::sessions::decision::Decision;

/// The transport of sessions that can show a token in a frame, as the `connect` callout names it.
const TRANSPORT: &str = "ws";

impl SessionRuntime {
    /// Begins to check a token. Most checks end at once; then what follows is done here.
    pub(super) fn authenticate(&mut self, id: Option<u32>, token: String, purpose: Purpose) -> Option<Close> {
        let authenticator = self.worker.authenticator.current();
        let (hooks, mut client) = (self.worker.hooks.clone(), self.callout_client());
        let is_for_session = matches!(purpose, Purpose::Connect | Purpose::Refresh);
        let answer = Box::pin(async move {
            client.identity = authenticator.check(&token).await?;
            if is_for_session { hooks.connect(client, TRANSPORT).await } else { Ok(client.identity) }
        });
        self.decision.begin(Decision::Token { id, purpose, answer });
        match self.decision.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Some(decided)) => self.decided(decided),
            Poll::Ready(None) | Poll::Pending => None,
        }
    }

    /// Continues with a token that was checked.
    pub(super) fn authenticated(
        &mut self,
        id: Option<u32>,
        purpose: Purpose,
        outcome: Result<Identity, Refusal>,
    ) -> Option<Close> {
        let user_before = self.handle.user();
        let effect = {
            let rules = self.worker.engine.rules();
            self.handle.session_mut().authenticated(id, purpose, outcome, self.worker.terms(&rules))
        };
        let close = self.run(effect);
        let (owes_credentials, expires_ms) = {
            let session = self.handle.session();
            (session.owes_credentials(), session.identity().expires_ms())
        };
        if !owes_credentials {
            self.writer().review().end_session_at(expires_ms);
            self.worker.registry.reindex(&self.handle, user_before);
            // The check may have begun before the configuration changed.
            self.writer().request_review();
        }
        close
    }

    /// Continues with credentials that were accepted.
    pub(super) fn accept_credentials(&mut self, accepted: AcceptedCredentials) {
        if let Some(frame) = accepted.reply {
            self.replies.send(&frame);
        }
        let reason = "the new token does not allow this subscription any more";
        self.end_subscriptions(accepted.revoked, ErrorCode::Forbidden, reason);
    }

    /// Has the worker look after the end of the tokens of single subscriptions.
    pub(super) fn schedule_expiry(&self) {
        let expires_ms = self.handle.session().next_expiry_ms();
        self.writer().review().end_subscription_at(expires_ms);
    }

    /// Ends the subscriptions whose own token has ended, if the worker's sweep has found any.
    pub(super) fn end_expired(&mut self) {
        if !self.writer().review().take_subscription_end(clock::unix_ms()) {
            return;
        }
        let expired = self.handle.session_mut().take_expired(clock::unix_ms());
        let reason = "the token of this subscription has ended: subscribe again with a new one";
        self.end_subscriptions(expired, ErrorCode::TokenExpired, reason);
        self.schedule_expiry();
        self.replies.flush();
    }

    /// Checks again what the session may do, and where it is a member, if the configuration may have changed since that was
    /// decided.
    pub(super) fn review(&mut self) {
        if !self.writer().review().take_request() || self.handle.session().owes_credentials() {
            return;
        }
        let worker = self.worker.clone();
        let authenticator = worker.authenticator.current();
        let standing = authenticator.standing(self.handle.session().identity());
        match standing {
            Reauthorization::Good => {}
            Reauthorization::Changed(reason) => {
                return self.writer().request_close(Close::new(CloseCode::GoingAway, reason));
            }
            Reauthorization::Gone(refusal) => {
                return self.writer().request_close(Close::unauthorized(refusal));
            }
        }
        let revoked = {
            let mut session = self.handle.session_mut();
            session.withdraw_permits(|permit| {
                authenticator.standing(&Identity::Holder(permit.clone())) == Reauthorization::Good
            });
            session.take_revoked(worker.terms(&worker.engine.rules()))
        };
        self.joins.enter_missing();
        if revoked.is_empty() {
            return;
        }
        let reason = "the broker's configuration has changed, and this subscription is not allowed any more";
        self.end_subscriptions(revoked, ErrorCode::Forbidden, reason);
        self.replies.flush();
        if !self.writer().format().has_frames {
            self.writer().request_close(Close::new(CloseCode::Forbidden, reason));
        }
    }

    /// Leaves subscriptions that the core has ended, and announces that.
    fn end_subscriptions(&mut self, ended: Vec<(Pattern, SubscriptionKey)>, code: ErrorCode, reason: &str) {
        for (pattern, key) in ended {
            self.joins.leave(&pattern, key, Departure::Left);
            self.replies.send(&ServerFrame::Unsubscribed { pattern, code, reason: reason.to_owned() });
        }
    }
}
