//! The credentials of a session: owed, shown, renewed and lost.
//!
//! The session runtime checks tokens, which may take a while. This file owns what follows from the result.

use std::sync::Arc;

use fanwire_protocol::{CloseCode, ErrorCode, Pattern, Payload, Reply, Request, ServerFrame, Topic};

use super::terms::Terms;
use super::{Close, Effect, Session, Start, reply};
use crate::access::{Action, Refusal, decide};
use crate::identity::{Holder, Identity};
use crate::presence::MemberSession;
use crate::subscribers::SubscriptionKey;

/// The purpose for which a token was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// To prove the identity of the session.
    Connect,
    /// To continue the session beyond the end of the token before.
    Refresh,
    /// To allow this one subscription.
    Subscribe {
        /// The topic or pattern to join.
        pattern: Pattern,
        /// The start point of the subscription.
        start: Start,
    },
}

/// The result of accepted credentials of a session.
#[derive(Debug, PartialEq)]
pub struct AcceptedCredentials {
    /// The frame to send as the reply.
    pub reply: Option<ServerFrame>,
    /// The subscriptions that the new token does not allow any more. The session has removed them.
    pub revoked: Vec<(Pattern, SubscriptionKey)>,
}

impl Session {
    /// Returns whether the session has yet to show a token.
    pub fn owes_credentials(&self) -> bool {
        self.owes_credentials
    }

    /// Returns the effect of a request before the session has shown a token, unless the request shows one.
    pub(super) fn demand_credentials(&self, id: Option<u32>, request: &Request) -> Option<Effect> {
        let shows_token = matches!(request, Request::Connect { token: Some(_), .. });
        if !self.owes_credentials || shows_token {
            return None;
        }
        let message = "this broker wants to know who you are: begin with a 'connect' frame that has a token";
        let refusal = Refusal { code: ErrorCode::Unauthorized, message: message.to_owned() };
        Some(fail(id, refusal))
    }

    /// Decides a subscription to `topic` for which a dialect has checked the permit of its client.
    pub fn subscribe_under(
        &mut self,
        id: u32,
        topic: Topic,
        permit: Option<Arc<Holder>>,
        terms: Terms<'_>,
    ) -> Effect {
        self.subscribe(Some(id), topic.into(), Start::Now, permit, terms).unwrap_or_else(
            |Refusal { code, message }| Effect::Send(ServerFrame::Error { id: Some(id), code, message }),
        )
    }

    /// Gives a guest a user, which a dialect has checked.
    ///
    /// # Errors
    /// If the session has another user.
    pub fn sign_in(&mut self, user: Arc<str>, info: Option<Payload>) -> Result<(), Refusal> {
        if self.identity.user().is_some_and(|known| *known != user) {
            let message = "this connection is signed in as another user: open a new one".to_owned();
            return Err(Refusal { code: ErrorCode::Forbidden, message });
        }
        let guest = match &self.identity {
            Identity::Holder(holder) => (**holder).clone(),
            Identity::Anonymous => Holder { is_guest: true, ..Holder::default() },
        };
        self.identity = Identity::holder(Holder { user: Some(user), info, ..guest });
        Ok(())
    }

    /// Returns the holder of the token that allows the subscription to `pattern`, if it needs one.
    pub fn permit_of(&self, pattern: &Pattern) -> Option<&Arc<Holder>> {
        self.subscriptions.get(pattern)?.permit.as_ref()
    }

    /// Returns the session as the members of `pattern` are shown it: as the user that a guest's permit names, else as its own.
    pub fn member_session_in(&self, pattern: &Pattern) -> MemberSession {
        match self.permit_of(pattern).filter(|permit| self.identity.is_guest() && permit.user.is_some()) {
            Some(permit) => MemberSession {
                user: permit.user.clone(),
                connection: self.connection,
                info: permit.info.clone(),
            },
            None => self.member_session(),
        }
    }

    /// Applies the result of checking a token that was shown for `purpose`.
    ///
    /// A refused token ends a session that shows it to connect. If it is shown to refresh or for one subscription, the answer is an
    /// error and the session keeps what it had.
    pub fn authenticated(
        &mut self,
        id: Option<u32>,
        purpose: Purpose,
        outcome: Result<Identity, Refusal>,
        terms: Terms<'_>,
    ) -> Effect {
        let is_connecting = purpose == Purpose::Connect;
        let taken = outcome.and_then(|identity| self.take(id, purpose, identity, terms));
        match taken {
            Ok(effect) => effect,
            Err(refusal) if is_connecting => fail(id, refusal),
            Err(Refusal { code, message }) => Effect::Send(ServerFrame::Error { id, code, message }),
        }
    }

    fn take(
        &mut self,
        id: Option<u32>,
        purpose: Purpose,
        identity: Identity,
        terms: Terms<'_>,
    ) -> Result<Effect, Refusal> {
        match purpose {
            Purpose::Connect | Purpose::Refresh => {
                self.check_same_user(&identity)?;
                self.identity = identity;
                self.owes_credentials = false;
                let revoked = self.take_revoked(terms);
                let answer = if purpose == Purpose::Connect {
                    self.greet(id, terms)
                } else {
                    let expires = self.identity.expires_ms().map(|expires_ms| expires_ms / 1000);
                    reply(id, || Reply::Refreshed { expires })
                };
                let reply = if let Effect::Send(frame) = answer { Some(frame) } else { None };
                Ok(Effect::Accept(AcceptedCredentials { reply, revoked }))
            }
            Purpose::Subscribe { pattern, start } => {
                let permit = match identity {
                    Identity::Holder(holder) => Some(holder),
                    Identity::Anonymous => None,
                };
                self.subscribe(id, pattern, start, permit, terms)
            }
        }
    }

    /// Checks that a session stays with one user: its subscriptions and its presence are that user's.
    fn check_same_user(&self, identity: &Identity) -> Result<(), Refusal> {
        let is_new = !self.identity.is_authenticated() && self.subscriptions.is_empty();
        if is_new || self.identity.user() == identity.user() {
            return Ok(());
        }
        let message =
            "this token is of another user than the session: open a new connection for it".to_owned();
        Err(Refusal { code: ErrorCode::Unauthorized, message })
    }

    /// Checks that the session may subscribe to `pattern`, by its own identity or with a token for this one subscription. Returns the
    /// holder of the token if that is needed.
    pub(super) fn check_permit(
        &self,
        pattern: &Pattern,
        permit: Option<Arc<Holder>>,
        terms: Terms<'_>,
    ) -> Result<Option<Arc<Holder>>, Refusal> {
        let is_guest = self.identity.is_guest();
        let refusal = match decide(terms.rules, &self.identity, Action::Subscribe, pattern) {
            // A guest is a member of a topic as the user that the permit names.
            Ok(()) => return Ok(permit.filter(|permit| is_guest && permit.user.is_some())),
            Err(refusal) => refusal,
        };
        let Some(permit) = permit else { return Err(refusal) };
        if !is_guest && permit.user.is_some() && permit.user.as_ref() != self.identity.user() {
            let message = "the token for this subscription is of another user than the session".to_owned();
            return Err(Refusal { code: ErrorCode::Unauthorized, message });
        }
        decide(terms.rules, &Identity::Holder(permit.clone()), Action::Subscribe, pattern)?;
        Ok(Some(permit))
    }

    /// Sets the holder of the token that allows the subscription to `pattern`.
    pub fn permit(&mut self, pattern: &Pattern, permit: Option<Arc<Holder>>) {
        if let Some(subscription) = self.subscriptions.get_mut(pattern) {
            subscription.permit = permit;
        }
    }

    /// Removes the tokens of single subscriptions that are not valid any more.
    pub fn withdraw_permits(&mut self, is_good: impl Fn(&Arc<Holder>) -> bool) {
        for subscription in self.subscriptions.values_mut() {
            subscription.permit.take_if(|permit| !is_good(permit));
        }
    }

    /// Removes and returns the subscriptions that the session may not have any more because its token or the rules have changed.
    pub fn take_revoked(&mut self, terms: Terms<'_>) -> Vec<(Pattern, SubscriptionKey)> {
        let is_allowed = |pattern: &Pattern, permit: &Option<Arc<Holder>>| {
            self.check_permit(pattern, permit.clone(), terms).is_ok()
        };
        let revoked: Vec<Pattern> = self
            .subscriptions
            .iter()
            .filter(|(pattern, subscription)| !is_allowed(pattern, &subscription.permit))
            .map(|(pattern, _)| pattern.clone())
            .collect();
        self.take_subscriptions(revoked)
    }

    /// Removes and returns the subscriptions whose own token has ended by `now_ms`, in milliseconds since 1970.
    pub fn take_expired(&mut self, now_ms: u64) -> Vec<(Pattern, SubscriptionKey)> {
        let has_ended = |permit: &Option<Arc<Holder>>| {
            permit
                .as_ref()
                .and_then(|permit| permit.expires_ms)
                .is_some_and(|expires_ms| expires_ms <= now_ms)
        };
        let expired: Vec<Pattern> = self
            .subscriptions
            .iter()
            .filter(|(_, subscription)| has_ended(&subscription.permit))
            .map(|(pattern, _)| pattern.clone())
            .collect();
        self.take_subscriptions(expired)
    }

    /// Returns when the first subscription with a token of its own ends, in milliseconds since 1970.
    pub fn next_expiry_ms(&self) -> Option<u64> {
        let permits = self.subscriptions.values().filter_map(|subscription| subscription.permit.as_ref());
        permits.filter_map(|permit| permit.expires_ms).min()
    }

    fn take_subscriptions(&mut self, patterns: Vec<Pattern>) -> Vec<(Pattern, SubscriptionKey)> {
        let mut taken = Vec::with_capacity(patterns.len());
        for pattern in patterns {
            if let Some(subscription) = self.subscriptions.remove(&pattern) {
                taken.push((pattern, subscription.key));
            }
        }
        taken
    }
}

fn fail(id: Option<u32>, Refusal { code, message }: Refusal) -> Effect {
    // The error that answers the request was sent before. A client whose token could not be checked may reconnect.
    let close = match code {
        ErrorCode::Unavailable | ErrorCode::Internal => CloseCode::GoingAway,
        ErrorCode::Forbidden => CloseCode::Forbidden,
        _ => CloseCode::Unauthorized,
    };
    let close = Close::new(close, message.clone());
    Effect::Fail(ServerFrame::Error { id, code, message }, close)
}
