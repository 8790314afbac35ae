//! What a session wants and only the application can allow: it waits, and what it said next waits with it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use fanwire_core::access::Refusal;
use fanwire_core::session::{Close, Effect};
use fanwire_protocol::{Pattern, Payload, Reply, ServerFrame, Topic};

use super::LiveSession;
use super::publishing::PublishCallout;
use super::work::Reading as Work;
use crate::config::Callout;
use crate::hooks::CalloutClient;

type Answer<T> = Pin<Box<dyn Future<Output = Result<T, Refusal>>>>;

/// A question on its way to the application. While it is, the session handles no other frames, so that its publications stay in
/// the order it sent them.
pub(super) enum PendingCallout {
    /// Whether this may be published, and as what.
    Publish {
        /// The request's `id`.
        id: Option<u32>,
        /// The topic to publish to.
        topic: Topic,
        /// The rest of the publish pipeline.
        callout: PublishCallout,
    },
    /// Whether this may be listened to or read.
    Read {
        /// What follows if it may.
        effect: Effect,
        /// Nothing, if it may.
        answer: Answer<()>,
    },
}

/// How a session ends that has waited for a decision.
pub(crate) enum Ending {
    /// By this close.
    Close(Close),
    /// Because of this; it has no frames to be told in.
    Refused(Refusal),
}

impl LiveSession {
    /// Whether a token is being checked or the application asked, so that no further frames may be handled.
    pub(crate) fn awaits_decision(&self) -> bool {
        self.checking.is_some() || self.asking.is_some()
    }

    /// Goes on with what is being decided, if anything is. Returns how to end the session if that is what came of it.
    pub(crate) fn poll_decision(&mut self, context: &mut Context<'_>) -> Poll<Option<Ending>> {
        if self.checking.is_some() {
            return self.poll_authentication(context).map(|close| close.map(Ending::Close));
        }
        let Some(asking) = &mut self.asking else { return Poll::Ready(None) };
        let ending = match asking {
            PendingCallout::Publish { id, topic, callout } => {
                let (id, topic) = (*id, topic.clone());
                let Poll::Ready(accepted) = callout.as_mut().poll(context) else { return Poll::Pending };
                self.asking = None;
                match accepted {
                    Ok(Some(accepted)) if id.is_some() => {
                        self.send_receipt(id, topic, Ok(accepted));
                        None
                    }
                    Ok(_) => None,
                    Err(refusal) if self.format.refuses_by_close => {
                        self.worker.counters.error(refusal.code);
                        Some(Ending::Refused(refusal))
                    }
                    Err(refusal) => {
                        self.send_refusal(id, refusal);
                        None
                    }
                }
            }
            PendingCallout::Read { answer, .. } => {
                let Poll::Ready(answer) = answer.as_mut().poll(context) else { return Poll::Pending };
                let Some(PendingCallout::Read { effect, .. }) = self.asking.take() else {
                    return Poll::Ready(None);
                };
                match answer {
                    Ok(()) => self.carry_out(effect).map(Ending::Close),
                    Err(refusal) => {
                        self.send_refusal(id_of(&effect), refusal);
                        None
                    }
                }
            }
        };
        // It was we who did not listen meanwhile, so the session cannot be blamed for its silence.
        self.writer.heard();
        Poll::Ready(ending)
    }

    /// Begins to ask the application whether the session may have what `effect` would give it, if it wants to be asked. If not, the
    /// effect comes back. What the session is subscribed to already it may read.
    pub(super) fn ask_read(&mut self, effect: Effect) -> Option<Effect> {
        let hooks = &self.worker.hooks;
        if !hooks.asks(Callout::Subscribe) {
            return Some(effect);
        }
        let pattern: Pattern = match &effect {
            Effect::Subscribe { pattern, .. } => pattern.clone(),
            Effect::History { topic, .. } | Effect::Presence { topic, .. } => topic.clone().into(),
            _ => return Some(effect),
        };
        if self.session.is_subscribed(&pattern)
            || !hooks.asks_about(Callout::Subscribe, self.session.identity(), &pattern)
        {
            return Some(effect);
        }
        let (hooks, asker) = (hooks.clone(), self.asker());
        let answer = Box::pin(async move { hooks.subscribe(asker, &pattern).await });
        self.asking = Some(PendingCallout::Read { effect, answer });
        None
    }

    /// Passes a question of the client on to the application. The session goes on meanwhile.
    pub(super) fn call(&mut self, id: Option<u32>, method: String, data: Payload) {
        let (hooks, asker) = (self.worker.hooks.clone(), self.asker());
        self.read(Work::answer(async move {
            match hooks.request(asker, &method, &data).await {
                Ok(data) => id.map(|id| ServerFrame::Reply { id, reply: Reply::Response { data } }),
                Err(Refusal { code, message }) => Some(ServerFrame::Error { id, code, message }),
            }
        }));
    }

    /// The session as the application is told of it.
    pub(super) fn asker(&self) -> CalloutClient {
        CalloutClient {
            identity: self.session.identity().clone(),
            connection: Some(self.session.connection_number()),
        }
    }

    fn send_refusal(&mut self, id: Option<u32>, Refusal { code, message }: Refusal) {
        self.send(&ServerFrame::Error { id, code, message });
    }
}

fn id_of(effect: &Effect) -> Option<u32> {
    match effect {
        Effect::Subscribe { id, .. } | Effect::History { id, .. } | Effect::Presence { id, .. } => *id,
        _ => None,
    }
}
