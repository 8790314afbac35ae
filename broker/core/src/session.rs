//! One session as a state machine: a frame comes in, what to do about it comes out.
//!
//! This file owns what a session is and may hold. It knows nothing of sockets, encodings, topics' contents or other
//! sessions: effects name what the runner is to do, and the runner reports back what must be remembered.

use std::collections::HashMap;
use std::sync::Arc;

use fanwire_protocol::{
    ClientFrame, CloseCode, DecodeError, ErrorCode, Pattern, Payload, Reply, Request, ServerFrame, Since,
    Topic,
};
use foldhash::fast::RandomState;

use crate::access::{Action, Refusal, decide};
use crate::identity::{Holder, Identity};
use crate::keys::IdempotencyKey;
use crate::presence::MemberSession;
use crate::publication::Publish;
use crate::subscribers::{SessionKey, SubscriptionKey};

mod credentials;
mod terms;

pub use credentials::{AcceptedCredentials, Purpose};
pub use terms::Terms;

/// The close of a session by the broker: its code, reason and reconnect advice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    /// The code of the close.
    pub code: CloseCode,
    /// The sentence for people.
    pub reason: String,
    /// The time that a client should wait before it reconnects, in milliseconds.
    pub after_ms: Option<u64>,
    /// The error that goes before it, with the same sentence.
    pub error: Option<ErrorCode>,
    /// The reason and reconnect advice of the application, in place of those of the code.
    pub custom: Option<CustomClose>,
}

/// The parts of a close that the application may choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CustomClose {
    /// The number in the close frame.
    pub number: u16,
    /// Whether the client should reconnect.
    pub reconnect: bool,
}

impl Close {
    /// A close without a time to reconnect.
    pub fn new(code: CloseCode, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into(), after_ms: None, error: None, custom: None }
    }

    /// The close of a session whose credentials are missing, refused or at their end.
    pub fn unauthorized(refusal: Refusal) -> Self {
        Self { error: Some(refusal.code), ..Self::new(CloseCode::Unauthorized, refusal.message) }
    }

    /// The close of a session that a refusal ends, because its format has no frame for an error.
    pub fn refused(refusal: &Refusal) -> Self {
        let code = match refusal.code {
            ErrorCode::Unauthorized | ErrorCode::TokenExpired => CloseCode::Unauthorized,
            ErrorCode::Forbidden => CloseCode::Forbidden,
            ErrorCode::TooLarge => CloseCode::TooBig,
            ErrorCode::RateLimited => CloseCode::RateLimited,
            ErrorCode::Unavailable | ErrorCode::Internal => CloseCode::GoingAway,
            ErrorCode::BadFrame
            | ErrorCode::BadTopic
            | ErrorCode::NotSubscribed
            | ErrorCode::LimitExceeded
            | ErrorCode::HistoryOff => CloseCode::BadFrame,
        };
        Self::new(code, refusal.message.clone())
    }

    /// The number in the close frame.
    pub fn number(&self) -> u16 {
        self.custom.map_or(self.code.number(), |custom| custom.number)
    }

    /// Whether the client should reconnect.
    pub fn should_reconnect(&self) -> bool {
        self.custom.map_or(self.code.should_reconnect(), |custom| custom.reconnect)
    }

    /// The frame that announces the close.
    pub fn to_frame(&self) -> ServerFrame {
        ServerFrame::Closing {
            code: self.number(),
            reason: self.reason.clone(),
            reconnect: self.should_reconnect(),
            after_ms: self.after_ms,
        }
    }
}

/// The effect of one frame, which the session runtime carries out.
#[derive(Debug, PartialEq)]
pub enum Effect {
    /// Nothing: the request succeeded and asks for no reply.
    Nothing,
    /// Send the frame to the client.
    Send(ServerFrame),
    /// Send the frame, then close the session: the client breaks the protocol or has no access.
    Fail(ServerFrame, Close),
    /// Check the token, report back with [`Session::authenticated`], and handle nothing else before.
    Authenticate {
        /// The `id` of the request.
        id: Option<u32>,
        /// The token or key as it was shown.
        token: String,
        /// The purpose for which it was shown.
        purpose: Purpose,
    },
    /// Continue the session under the identity that it has proved: send the reply and end subscriptions that are no longer allowed.
    Accept(AcceptedCredentials),
    /// Publish if the session may, which the publish pipeline decides, and send the receipt if there is an `id`.
    Publish {
        /// The `id` of the request.
        id: Option<u32>,
        /// The publication that is requested.
        publish: PublishRequest,
    },
    /// Join the topic or pattern, report back with [`Session::subscribed`], and answer.
    Subscribe {
        /// The `id` of the request.
        id: Option<u32>,
        /// The topic or pattern to join.
        pattern: Pattern,
        /// The start point of the subscription.
        start: Start,
        /// The holder of the token that allows it, if the session's own identity does not.
        permit: Option<Arc<Holder>>,
    },
    /// Answer that the session has this subscription. Nothing changes.
    ConfirmSubscription {
        /// The `id` of the request.
        id: u32,
        /// The topic or pattern of the subscription.
        pattern: Pattern,
    },
    /// Leave the topic or pattern and answer.
    Unsubscribe {
        /// The `id` of the request.
        id: Option<u32>,
        /// The topic or pattern to leave.
        pattern: Pattern,
        /// The key it was joined under.
        key: SubscriptionKey,
    },
    /// Answer with the members of a topic.
    Presence {
        /// The `id` of the request.
        id: Option<u32>,
        /// The topic whose members are read.
        topic: Topic,
    },
    /// Make an RPC callout and answer with its result.
    Call {
        /// The `id` of the request.
        id: Option<u32>,
        /// The method that the application knows.
        method: String,
        /// The parameter of the RPC callout.
        data: Payload,
    },
    /// Read history and answer.
    History {
        /// The `id` of the request.
        id: Option<u32>,
        /// The topic whose history is read.
        topic: Topic,
        /// The place where reading begins.
        since: Option<Since>,
        /// The maximum number of publications.
        limit: usize,
        /// Whether the newest publication comes first.
        reverse: bool,
    },
}

/// A publication that a session asks for.
#[derive(Debug, PartialEq)]
pub struct PublishRequest {
    /// The topic to publish to.
    pub topic: Topic,
    /// The payload to publish.
    pub payload: Payload,
    /// The idempotency key, if the client gave one.
    pub key: Option<String>,
    /// Whether the session itself receives the publication.
    pub echo: bool,
}

/// The start point of a new subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// With what is published from now on.
    Now,
    /// Begins after a position or time.
    Since(Since),
    /// With the newest so many.
    Last(usize),
}

impl Start {
    /// The start that the options of a subscription mean.
    pub fn of(since: Option<Since>, last: Option<u32>) -> Self {
        match (since, last) {
            (Some(since), _) => Start::Since(since),
            (None, Some(last)) => Start::Last(last as usize),
            (None, None) => Start::Now,
        }
    }
}

/// One connected client, as a state machine.
#[derive(Debug)]
pub struct Session {
    connection: u64,
    identity: Identity,
    /// Whether the session has yet to show who it is; until then it may do nothing else.
    owes_credentials: bool,
    name: Option<Box<str>>,
    subscriptions: HashMap<Pattern, Subscription, RandomState>,
}

/// One subscription of a session.
#[derive(Debug)]
struct Subscription {
    key: SubscriptionKey,
    /// Whose token allows it, where the session by itself may not.
    permit: Option<Arc<Holder>>,
}

/// The software and version that `connected` names.
const SERVER: &str = concat!("fanwire/", env!("CARGO_PKG_VERSION"));

/// The longest name a client may give itself, in bytes.
const NAME_BYTES_MAX: usize = 255;

impl Session {
    /// A session of `identity`; `connection` is the broker's number for the connection.
    pub fn new(connection: u64, identity: Identity) -> Self {
        Self { connection, identity, owes_credentials: false, name: None, subscriptions: HashMap::default() }
    }

    /// A session that has yet to show who it is.
    pub fn awaiting_credentials(connection: u64) -> Self {
        Self { owes_credentials: true, ..Self::new(connection, Identity::Anonymous) }
    }

    /// Returns the identity of the session.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The broker's name for the connection.
    pub fn connection(&self) -> String {
        format!("{:x}", self.connection)
    }

    /// The broker's number for the connection, which its name is made of.
    pub fn connection_number(&self) -> u64 {
        self.connection
    }

    /// The session as others are shown it in presence.
    pub fn member_session(&self) -> MemberSession {
        let (user, info) = (self.identity.user().cloned(), self.identity.info().cloned());
        MemberSession { user, connection: self.connection, info }
    }

    /// The name the client gave itself in `connect`.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether the session is subscribed to exactly this.
    pub fn is_subscribed(&self, pattern: &Pattern) -> bool {
        self.subscriptions.contains_key(pattern)
    }

    /// Returns the subscriptions, in no order.
    pub fn subscriptions(&self) -> impl ExactSizeIterator<Item = (&Pattern, SubscriptionKey)> {
        self.subscriptions.iter().map(|(pattern, subscription)| (pattern, subscription.key))
    }

    /// Returns the key of the subscription to exactly this.
    pub fn key_of(&self, pattern: &Pattern) -> Option<SubscriptionKey> {
        self.subscriptions.get(pattern).map(|subscription| subscription.key)
    }

    /// Notes that the session is subscribed to `pattern` under `key`.
    pub fn subscribed(&mut self, pattern: Pattern, key: SubscriptionKey) {
        self.subscriptions.insert(pattern, Subscription { key, permit: None });
    }

    /// Forgets a subscription that the broker ended, and returns the key it was joined under.
    pub fn unsubscribed(&mut self, pattern: &Pattern) -> Option<SubscriptionKey> {
        self.subscriptions.remove(pattern).map(|subscription| subscription.key)
    }

    /// Forgets all subscriptions and returns them, for the end of the session.
    pub fn end(&mut self) -> impl Iterator<Item = (Pattern, SubscriptionKey)> + use<> {
        let all = std::mem::take(&mut self.subscriptions);
        all.into_iter().map(|(pattern, subscription)| (pattern, subscription.key))
    }

    /// Decides what one frame leads to.
    pub fn handle(&mut self, frame: Result<ClientFrame, DecodeError>, terms: Terms<'_>) -> Effect {
        let ClientFrame { id, request } = match frame {
            Ok(frame) => frame,
            Err(DecodeError::Rejected { id, code, message }) => {
                return Effect::Send(ServerFrame::Error { id, code, message });
            }
            Err(DecodeError::Unreadable(message)) => {
                let close = Close::new(CloseCode::BadFrame, message.clone());
                return Effect::Fail(
                    ServerFrame::Error { id: None, code: ErrorCode::BadFrame, message },
                    close,
                );
            }
        };
        self.handle_request(id, request, terms).unwrap_or_else(|Refusal { code, message }| {
            Effect::Send(ServerFrame::Error { id, code, message })
        })
    }

    fn handle_request(
        &mut self,
        id: Option<u32>,
        request: Request,
        terms: Terms<'_>,
    ) -> Result<Effect, Refusal> {
        if let Some(effect) = self.demand_credentials(id, &request) {
            return Ok(effect);
        }
        match request {
            Request::Connect { token, name } => {
                self.name = name.filter(|name| name.len() <= NAME_BYTES_MAX).map(String::into_boxed_str);
                Ok(match token.filter(|_| terms.has_authentication) {
                    Some(token) => Effect::Authenticate { id, token, purpose: Purpose::Connect },
                    None => self.greet(id, terms),
                })
            }
            Request::Subscribe { pattern, options } => {
                let start = Start::of(options.since, options.last);
                match options.token.filter(|_| terms.has_authentication) {
                    Some(token) => {
                        let purpose = Purpose::Subscribe { pattern, start };
                        Ok(Effect::Authenticate { id, token, purpose })
                    }
                    None => self.subscribe(id, pattern, start, None, terms),
                }
            }
            Request::Unsubscribe { pattern } => match self.subscriptions.remove(&pattern) {
                Some(Subscription { key, .. }) => Ok(Effect::Unsubscribe { id, pattern, key }),
                None => Err(Refusal {
                    code: ErrorCode::NotSubscribed,
                    message: format!("this session is not subscribed to '{pattern}'"),
                }),
            },
            Request::Publish { topic, payload, key, echo } => {
                Ok(Effect::Publish { id, publish: PublishRequest { topic, payload, key, echo } })
            }
            Request::History { topic, since, limit, reverse } => {
                decide(terms.rules, &self.identity, Action::ReadHistory, &topic.clone().into())?;
                let limit = limit.map_or(terms.limits.history_limit_max, |limit| limit as usize);
                let limit = limit.min(terms.limits.history_limit_max);
                Ok(Effect::History { id, topic, since, limit, reverse })
            }
            Request::Presence { topic } => {
                decide(terms.rules, &self.identity, Action::ReadPresence, &topic.clone().into())?;
                Ok(Effect::Presence { id, topic })
            }
            Request::Refresh { token } if terms.has_authentication => {
                Ok(Effect::Authenticate { id, token, purpose: Purpose::Refresh })
            }
            Request::Refresh { .. } => {
                let message = "this broker checks no tokens, so there is nothing to refresh".to_owned();
                Err(Refusal { code: ErrorCode::Unavailable, message })
            }
            Request::Call { method, data } => {
                check_size("question", data.len(), terms)?;
                Ok(Effect::Call { id, method, data })
            }
            Request::Ping => Ok(reply(id, || Reply::Pong)),
        }
    }

    fn greet(&self, id: Option<u32>, terms: Terms<'_>) -> Effect {
        reply(id, || Reply::Connected {
            connection: self.connection(),
            user: self.identity.user().map(|user| user.to_string()),
            ping_interval: terms.limits.ping_interval_s,
            server: SERVER.to_owned(),
        })
    }

    fn subscribe(
        &mut self,
        id: Option<u32>,
        pattern: Pattern,
        start: Start,
        permit: Option<Arc<Holder>>,
        terms: Terms<'_>,
    ) -> Result<Effect, Refusal> {
        let permit = self.check_permit(&pattern, permit, terms)?;
        if let Some(subscription) = self.subscriptions.get_mut(&pattern) {
            subscription.permit = permit;
            return Ok(id.map_or(Effect::Nothing, |id| Effect::ConfirmSubscription { id, pattern }));
        }
        self.check_start(&pattern, &start, terms)?;
        Ok(Effect::Subscribe { id, pattern, start, permit })
    }

    /// Whether the session may start a subscription to `pattern` at `start`.
    ///
    /// # Errors
    /// Says what is refused and what to do instead.
    pub fn check_subscribe(&self, pattern: &Pattern, start: &Start, terms: Terms<'_>) -> Result<(), Refusal> {
        decide(terms.rules, &self.identity, Action::Subscribe, pattern)?;
        if *start != Start::Now {
            decide(terms.rules, &self.identity, Action::ReadHistory, pattern)?;
        }
        self.check_start(pattern, start, terms)
    }

    /// Whether a subscription that is allowed may start at `start`, and there is room for one more.
    ///
    /// # Errors
    /// Says what is refused and what to do instead.
    pub fn check_start(&self, pattern: &Pattern, start: &Start, terms: Terms<'_>) -> Result<(), Refusal> {
        if *start != Start::Now && pattern.is_wild() {
            let message =
                format!("'{pattern}' is a pattern, which has no positions: resume each topic by itself");
            return Err(Refusal { code: ErrorCode::BadTopic, message });
        }
        if self.subscriptions.len() >= terms.limits.subscriptions_max {
            let message = format!(
                "a session may hold {} subscriptions: unsubscribe from something first, or use a pattern",
                terms.limits.subscriptions_max
            );
            return Err(Refusal { code: ErrorCode::LimitExceeded, message });
        }
        Ok(())
    }
}

/// Checks that `identity` may publish a payload of `bytes` to `topic`. The publish pipeline is the only caller.
///
/// # Errors
/// Says what is refused and what to do instead.
pub fn check_publish(
    identity: &Identity,
    topic: &Topic,
    bytes: usize,
    terms: Terms<'_>,
) -> Result<(), Refusal> {
    decide(terms.rules, identity, Action::Publish, &topic.clone().into())?;
    check_size("payload", bytes, terms)
}

fn check_size(what: &str, bytes: usize, terms: Terms<'_>) -> Result<(), Refusal> {
    if bytes > terms.limits.message_bytes_max {
        let message = format!(
            "the {what} has {bytes} bytes and this broker takes at most {}: send less, or raise \
             limits.message_bytes_max",
            terms.limits.message_bytes_max
        );
        return Err(Refusal { code: ErrorCode::TooLarge, message });
    }
    Ok(())
}

fn reply(id: Option<u32>, make: impl FnOnce() -> Reply) -> Effect {
    id.map_or(Effect::Nothing, |id| Effect::Send(ServerFrame::Reply { id, reply: make() }))
}

impl PublishRequest {
    /// Returns the request of the session that has the key `session` on the worker with the number `worker`.
    pub fn into_publish(self, worker: usize, session: SessionKey) -> Publish {
        let except = (!self.echo).then_some((worker, session));
        Publish {
            topic: self.topic,
            payload: self.payload,
            key: self.key.map(IdempotencyKey::from),
            from: None,
            except,
        }
    }
}

#[cfg(test)]
mod tests;
