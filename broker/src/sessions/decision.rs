//! Decisions that a session waits for: a token check, or an authorization callout.
//!
//! While a decision is pending, the session processes no further frames. So its publications stay in the order in which it sent them,
//! and a frame after a token is decided with what the token grants. This file does not know what follows from a decision.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use fanwire_core::access::Refusal;
use fanwire_core::identity::Identity;
use fanwire_core::session::{Effect, Purpose};
use fanwire_protocol::Topic;

use super::publishing::PublishCallout;
use crate::engine::Accepted;

/// A decision of the authenticator or the application.
type Answer<T> = Pin<Box<dyn Future<Output = Result<T, Refusal>>>>;

/// A decision that is pending.
pub(super) enum Decision {
    /// The identity that a token shows.
    Token {
        /// The `id` of the request.
        id: Option<u32>,
        /// The purpose for which the token was shown.
        purpose: Purpose,
        /// The check that is under way.
        answer: Answer<Identity>,
    },
    /// Whether the client may publish, and what. The rest of the publish pipeline follows.
    Publish {
        /// The `id` of the request.
        id: Option<u32>,
        /// The topic that is read.
        topic: Topic,
        /// The rest of the pipeline.
        callout: PublishCallout,
    },
    /// Whether the client may subscribe or read.
    Read {
        /// The effect that follows if it may.
        effect: Effect,
        /// The callout that is under way.
        answer: Answer<()>,
    },
}

/// A decision that was made.
pub(super) enum Decided {
    /// The outcome of a [`Decision::Token`].
    Token(Option<u32>, Purpose, Result<Identity, Refusal>),
    /// Of [`Decision::Publish`]: the receipt, or `None` if it follows later.
    Publish(Option<u32>, Topic, Result<Option<Accepted>, Refusal>),
    /// The outcome of a [`Decision::Read`].
    Read(Effect, Result<(), Refusal>),
}

/// The decision of one session that is pending, if there is one. Boxed, because most sessions never wait for one.
#[derive(Default)]
pub(super) struct PendingDecision(Option<Box<Decision>>);

impl PendingDecision {
    /// Makes the session wait for `decision`.
    pub(super) fn begin(&mut self, decision: Decision) {
        self.0 = Some(Box::new(decision));
    }

    /// Returns whether a decision is pending.
    pub(super) fn is_pending(&self) -> bool {
        self.0.is_some()
    }

    /// Returns the decision when it is made; `None` if none is pending.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Decided>> {
        let Some(mut decision) = self.0.take() else { return Poll::Ready(None) };
        match *decision {
            Decision::Token { id, purpose, mut answer } => match answer.as_mut().poll(context) {
                Poll::Ready(outcome) => return Poll::Ready(Some(Decided::Token(id, purpose, outcome))),
                Poll::Pending => *decision = Decision::Token { id, purpose, answer },
            },
            Decision::Publish { id, topic, mut callout } => match callout.as_mut().poll(context) {
                Poll::Ready(accepted) => return Poll::Ready(Some(Decided::Publish(id, topic, accepted))),
                Poll::Pending => *decision = Decision::Publish { id, topic, callout },
            },
            Decision::Read { effect, mut answer } => match answer.as_mut().poll(context) {
                Poll::Ready(answer) => return Poll::Ready(Some(Decided::Read(effect, answer))),
                Poll::Pending => *decision = Decision::Read { effect, answer },
            },
        }
        self.0 = Some(decision);
        Poll::Pending
    }
}
