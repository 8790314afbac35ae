//! One session as a state machine: a frame comes in, what to do about it comes out.
//!
//! This file owns what a session is and may hold. It knows nothing of sockets, encodings, topics' contents or other
//! sessions: effects name what the runner is to do, and the runner reports back what must be remembered.

use std::collections::HashMap;

use fanwire_protocol::{
    ClientFrame, CloseCode, DecodeError, ErrorCode, Pattern, Reply, Request, ServerFrame, Since, Topic,
};
use foldhash::fast::RandomState;

use crate::{Action, Identity, Publish, Refusal, SubscriptionKey, Terms, decide};

/// Why and how the broker closes a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    /// The close code.
    pub code: CloseCode,
    /// The sentence for people.
    pub reason: String,
    /// How long a client should wait before it comes back, in milliseconds.
    pub after_ms: Option<u64>,
}

impl Close {
    /// A close that says nothing of when to come back.
    pub fn new(code: CloseCode, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into(), after_ms: None }
    }

    /// The frame that announces the close.
    pub fn to_frame(&self) -> ServerFrame {
        ServerFrame::Closing {
            code: self.code.number(),
            reason: self.reason.clone(),
            reconnect: self.code.should_reconnect(),
            after_ms: self.after_ms,
        }
    }
}

/// What the runner of a session is to do about one frame.
#[derive(Debug, PartialEq)]
pub enum Effect {
    /// Nothing: the request succeeded and nobody wants to know.
    Nothing,
    /// Send this.
    Send(ServerFrame),
    /// Send this, then close: the peer does not speak the protocol.
    Fail(ServerFrame, Close),
    /// Publish, and send the receipt if there is an `id`.
    Publish {
        /// The request's `id`.
        id: Option<u32>,
        /// What to publish; `from` is filled in.
        publish: PublishRequest,
    },
    /// Join the topic or pattern, report back with [`Session::subscribed`], and answer.
    Subscribe {
        /// The request's `id`.
        id: Option<u32>,
        /// What to listen to.
        pattern: Pattern,
        /// Where to begin.
        start: Start,
    },
    /// Answer that the subscription stands, changing nothing.
    ConfirmSubscription {
        /// The request's `id`.
        id: u32,
        /// The subscription.
        pattern: Pattern,
    },
    /// Leave the topic or pattern and answer.
    Unsubscribe {
        /// The request's `id`.
        id: Option<u32>,
        /// What to leave.
        pattern: Pattern,
        /// The key it was joined under.
        key: SubscriptionKey,
    },
    /// Read history and answer.
    History {
        /// The request's `id`.
        id: Option<u32>,
        /// Whose.
        topic: Topic,
        /// From where.
        since: Option<Since>,
        /// How much at most.
        limit: usize,
        /// Newest first.
        reverse: bool,
    },
}

/// A publish as a session asks for it; the runner knows the session's own place, which `echo` is about.
#[derive(Debug, PartialEq)]
pub struct PublishRequest {
    /// Where to.
    pub topic: Topic,
    /// What.
    pub payload: fanwire_protocol::Payload,
    /// Idempotency key.
    pub key: Option<String>,
    /// Whether the session itself receives it.
    pub echo: bool,
}

/// Where a new subscription begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// With what is published from now on.
    Now,
    /// After a position.
    Since(Since),
    /// With the newest so many.
    Last(usize),
}

/// One connected client.
#[derive(Debug)]
pub struct Session {
    connection: u64,
    identity: Identity,
    name: Option<Box<str>>,
    subscriptions: HashMap<Pattern, SubscriptionKey, RandomState>,
}

/// The software and version that `connected` names.
const SERVER: &str = concat!("fanwire/", env!("CARGO_PKG_VERSION"));

/// The longest name a client may give itself, in bytes.
const NAME_BYTES_MAX: usize = 255;

impl Session {
    /// A session of `identity`; `connection` is the broker's number for the connection.
    pub fn new(connection: u64, identity: Identity) -> Self {
        Self { connection, identity, name: None, subscriptions: HashMap::default() }
    }

    /// Who the session is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The broker's name for the connection.
    pub fn connection(&self) -> String {
        format!("{:x}", self.connection)
    }

    /// The name the client gave itself in `connect`.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// What the session is subscribed to.
    pub fn subscriptions(&self) -> impl Iterator<Item = (&Pattern, SubscriptionKey)> {
        self.subscriptions.iter().map(|(pattern, key)| (pattern, *key))
    }

    /// Notes that the session listens to `pattern` under `key`.
    pub fn subscribed(&mut self, pattern: Pattern, key: SubscriptionKey) {
        self.subscriptions.insert(pattern, key);
    }

    /// Forgets a subscription that the broker ended, and returns the key it was joined under.
    pub fn unsubscribed(&mut self, pattern: &Pattern) -> Option<SubscriptionKey> {
        self.subscriptions.remove(pattern)
    }

    /// Forgets all subscriptions and returns them, for the end of the session.
    pub fn end(&mut self) -> impl Iterator<Item = (Pattern, SubscriptionKey)> + use<> {
        std::mem::take(&mut self.subscriptions).into_iter()
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
        match request {
            Request::Connect { token: _, name } => Ok(self.connect(id, name, terms)),
            Request::Subscribe { pattern, options } => {
                let start = match (options.since, options.last) {
                    (Some(since), _) => Start::Since(since),
                    (None, Some(last)) => Start::Last(last as usize),
                    (None, None) => Start::Now,
                };
                self.subscribe(id, pattern, start, terms)
            }
            Request::Unsubscribe { pattern } => match self.subscriptions.remove(&pattern) {
                Some(key) => Ok(Effect::Unsubscribe { id, pattern, key }),
                None => Err(Refusal {
                    code: ErrorCode::NotSubscribed,
                    message: format!("this session is not subscribed to '{pattern}'"),
                }),
            },
            Request::Publish { topic, payload, key, echo } => {
                let publish = PublishRequest { topic, payload, key, echo };
                check_publish(&self.identity, &publish.topic, publish.payload.len(), terms)?;
                Ok(Effect::Publish { id, publish })
            }
            Request::History { topic, since, limit, reverse } => {
                decide(terms.rules, &self.identity, Action::ReadHistory, &topic.clone().into())?;
                let limit = limit.map_or(terms.limits.history_limit_max, |limit| limit as usize);
                let limit = limit.min(terms.limits.history_limit_max);
                Ok(Effect::History { id, topic, since, limit, reverse })
            }
            Request::Presence { topic } => {
                decide(terms.rules, &self.identity, Action::ReadPresence, &topic.clone().into())?;
                let message = format!("'{topic}' keeps no presence");
                Err(Refusal { code: ErrorCode::Unavailable, message })
            }
            Request::Refresh { .. } => {
                let message = "this broker checks no tokens, so there is nothing to refresh".to_owned();
                Err(Refusal { code: ErrorCode::Unavailable, message })
            }
            Request::Call { method, .. } => {
                let message =
                    format!("no application answers requests here, so nobody can answer '{method}'");
                Err(Refusal { code: ErrorCode::Unavailable, message })
            }
            Request::Ping => Ok(reply(id, || Reply::Pong)),
        }
    }

    fn connect(&mut self, id: Option<u32>, name: Option<String>, terms: Terms<'_>) -> Effect {
        self.name = name.filter(|name| name.len() <= NAME_BYTES_MAX).map(String::into_boxed_str);
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
        terms: Terms<'_>,
    ) -> Result<Effect, Refusal> {
        if self.subscriptions.contains_key(&pattern) {
            return Ok(id.map_or(Effect::Nothing, |id| Effect::ConfirmSubscription { id, pattern }));
        }
        self.check_subscribe(&pattern, &start, terms)?;
        Ok(Effect::Subscribe { id, pattern, start })
    }

    /// Whether the session may start a subscription to `pattern` at `start`.
    ///
    /// # Errors
    /// Says what is refused and what to do instead.
    pub fn check_subscribe(&self, pattern: &Pattern, start: &Start, terms: Terms<'_>) -> Result<(), Refusal> {
        decide(terms.rules, &self.identity, Action::Subscribe, pattern)?;
        if *start != Start::Now {
            decide(terms.rules, &self.identity, Action::ReadHistory, pattern)?;
            if pattern.is_wild() {
                let message =
                    format!("'{pattern}' is a pattern, which has no positions: resume each topic by itself");
                return Err(Refusal { code: ErrorCode::BadTopic, message });
            }
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

/// Whether `identity` may publish a payload of `bytes` to `topic`: the check of every path that accepts publications.
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
    if bytes > terms.limits.message_bytes_max {
        let message = format!(
            "the payload has {bytes} bytes and this broker takes at most {}: send less, or raise \
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
    /// The publish this becomes for a session of `identity` that stands at `place`, its worker and key.
    pub fn into_publish(self, identity: &Identity, place: (usize, crate::SessionKey)) -> Publish {
        let except = (!self.echo).then_some(place);
        Publish {
            topic: self.topic,
            payload: self.payload,
            key: self.key,
            from: identity.user().cloned(),
            except,
        }
    }
}

#[cfg(test)]
mod tests {
    use fanwire_protocol::{Payload, SubscribeOptions};

    use super::*;
    use crate::{Audience, Encoding, Rules, SessionKey, SessionLimits};

    const LIMITS: SessionLimits = SessionLimits {
        message_bytes_max: 10,
        subscriptions_max: 2,
        history_limit_max: 5,
        ping_interval_s: 25,
    };

    fn terms(rules: &Rules) -> Terms<'_> {
        Terms { limits: &LIMITS, rules }
    }

    fn session() -> Session {
        Session::new(0xbeef, Identity::Anonymous)
    }

    fn handle(session: &mut Session, id: Option<u32>, request: Request) -> Effect {
        session.handle(Ok(ClientFrame { id, request }), terms(&Rules::default()))
    }

    fn subscribe(pattern: &str, options: SubscribeOptions) -> Request {
        Request::Subscribe { pattern: pattern.parse().unwrap(), options }
    }

    fn check_error(effect: Effect, id: Option<u32>, code: ErrorCode) {
        match effect {
            Effect::Send(ServerFrame::Error { id: got_id, code: got, message }) => {
                assert_eq!((got_id, got), (id, code));
                assert!(!message.is_empty());
            }
            other => panic!("expected {code}, got {other:?}"),
        }
    }

    #[test]
    fn a_request_without_id_gets_errors_only() {
        let mut session = session();
        assert_eq!(handle(&mut session, None, Request::Ping), Effect::Nothing);
        let pong = Effect::Send(ServerFrame::Reply { id: 1, reply: Reply::Pong });
        assert_eq!(handle(&mut session, Some(1), Request::Ping), pong);
        let leave = Request::Unsubscribe { pattern: "a".parse().unwrap() };
        check_error(handle(&mut session, None, leave), None, ErrorCode::NotSubscribed);
    }

    #[test]
    fn subscribing_twice_changes_nothing() {
        let mut session = session();
        let pattern: Pattern = "a".parse().unwrap();
        let first = handle(&mut session, Some(1), subscribe("a", SubscribeOptions::default()));
        assert_eq!(first, Effect::Subscribe { id: Some(1), pattern: pattern.clone(), start: Start::Now });
        let key = Audience::default().join(&pattern, SessionKey(0), Encoding::Json, 0);
        session.subscribed(pattern.clone(), key);
        let again = handle(&mut session, Some(2), subscribe("a", SubscribeOptions::default()));
        assert_eq!(again, Effect::ConfirmSubscription { id: 2, pattern });
    }

    #[test]
    fn limits_refuse_with_their_own_codes() {
        let mut session = session();
        let mut audience = Audience::default();
        for name in ["a", "b"] {
            let pattern: Pattern = name.parse().unwrap();
            let key = audience.join(&pattern, SessionKey(0), Encoding::Json, 0);
            session.subscribed(pattern, key);
        }
        let third = handle(&mut session, Some(3), subscribe("c", SubscribeOptions::default()));
        check_error(third, Some(3), ErrorCode::LimitExceeded);
        let publish =
            |payload| Request::Publish { topic: "a".parse().unwrap(), payload, key: None, echo: true };
        check_error(
            handle(&mut session, None, publish(Payload::text("12345678901"))),
            None,
            ErrorCode::TooLarge,
        );
        assert!(matches!(
            handle(&mut session, None, publish(Payload::text("1234567890"))),
            Effect::Publish { .. }
        ));
        let history =
            Request::History { topic: "a".parse().unwrap(), since: None, limit: Some(99), reverse: false };
        assert!(matches!(handle(&mut session, Some(4), history), Effect::History { limit: 5, .. }));
    }

    #[test]
    fn patterns_cannot_resume() {
        let since = SubscribeOptions { since: Some(Since::Earliest), ..SubscribeOptions::default() };
        check_error(handle(&mut session(), Some(1), subscribe("a.*", since)), Some(1), ErrorCode::BadTopic);
    }

    #[test]
    fn what_the_broker_is_not_set_up_for_is_said() {
        for request in [
            Request::Presence { topic: "a".parse().unwrap() },
            Request::Refresh { token: "t".to_owned() },
            Request::Call { method: "m".to_owned(), data: Payload::text("") },
        ] {
            check_error(handle(&mut session(), Some(1), request), Some(1), ErrorCode::Unavailable);
        }
    }

    #[test]
    fn an_unreadable_frame_ends_the_session_and_a_rejected_one_does_not() {
        let mut session = session();
        let effect =
            session.handle(Err(DecodeError::Unreadable("no JSON".to_owned())), terms(&Rules::default()));
        assert!(matches!(
            effect,
            Effect::Fail(ServerFrame::Error { .. }, Close { code: CloseCode::BadFrame, .. })
        ));
        let rejected =
            DecodeError::Rejected { id: Some(7), code: ErrorCode::BadTopic, message: "bad topic".to_owned() };
        check_error(session.handle(Err(rejected), terms(&Rules::default())), Some(7), ErrorCode::BadTopic);
    }
}
