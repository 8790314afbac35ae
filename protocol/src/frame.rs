//! The frames of the WebSocket protocol, as values: what a client asks, what the broker answers and what it says on
//! its own. How they look in JSON and MessagePack is the business of [`crate::json`] and [`crate::msgpack`].

use std::sync::Arc;

use crate::code::ErrorCode;
use crate::payload::Payload;
use crate::position::Position;
use crate::since::Since;
use crate::topic::{Pattern, Topic};

/// One request of a client. The `id` ties a reply to it; without an `id` only errors are answered.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientFrame {
    /// The client's own number for the request.
    pub id: Option<u32>,
    /// The request of the client.
    pub request: Request,
}

/// The requests of clients.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Identifies the client; optional where anonymous sessions are allowed.
    Connect {
        /// A token or API key.
        token: Option<String>,
        /// A name for the client software, shown to operators.
        name: Option<String>,
    },
    /// Starts the flow of a topic's or pattern's publications.
    Subscribe {
        /// A topic, or a pattern of topics.
        pattern: Pattern,
        /// The start point, and a token for this subscription.
        options: SubscribeOptions,
    },
    /// Ends one subscription of the session.
    Unsubscribe {
        /// The topic or pattern exactly as it was subscribed to.
        pattern: Pattern,
    },
    /// Publishes one payload to a topic.
    Publish {
        /// The topic to publish to.
        topic: Topic,
        /// The payload to publish.
        payload: Payload,
        /// Idempotency key: a repeated publish with the same key is accepted once.
        key: Option<String>,
        /// Whether the publishing session itself receives the publication, if it is subscribed.
        echo: bool,
    },
    /// Reads what a topic still holds.
    History {
        /// The topic whose history is read.
        topic: Topic,
        /// Only publications after this place; in reverse, only those up to it.
        since: Option<Since>,
        /// At most so many; the broker has an upper bound of its own.
        limit: Option<u32>,
        /// Whether the newest publication comes first.
        reverse: bool,
    },
    /// Requests the members of a topic.
    Presence {
        /// The topic whose members are read.
        topic: Topic,
    },
    /// Prolongs the session with a new token.
    Refresh {
        /// The token that replaces the present one.
        token: String,
    },
    /// Passes a request to the application behind the broker.
    Call {
        /// The application's name for the question.
        method: String,
        /// The parameter of the RPC callout.
        data: Payload,
    },
    /// Requests a `pong` frame as the reply.
    Ping,
}

/// The start point of a subscription.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// Everything after this position comes before what is published from now on.
    pub since: Option<Since>,
    /// The newest so many publications come first. Excludes `since`.
    pub last: Option<u32>,
    /// A token for this one subscription.
    pub token: Option<String>,
}

/// One publication as subscribers and readers of history see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The topic that it was published to.
    pub topic: Topic,
    /// The payload as it was published.
    pub payload: Payload,
    /// Its position, if the topic keeps history.
    pub position: Option<Position>,
    /// The time at which the broker accepted it, in milliseconds since 1970, if the topic keeps history.
    pub ts: Option<u64>,
    /// The user that published it, when known.
    pub from: Option<Arc<str>>,
}

/// The receipt of a publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The topic that it was published to.
    pub topic: Topic,
    /// The position of the publication.
    pub position: Position,
    /// Whether this is the receipt of an earlier publish with the same idempotency key.
    pub duplicate: bool,
}

/// One user in a topic's presence.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// The id of the user, empty without one.
    pub user: String,
    /// The connection that joined.
    pub connection: String,
    /// The info of the user, as the application put it into the token.
    pub info: Option<Payload>,
}

/// A frame of the broker.
#[derive(Debug, Clone, PartialEq)]
pub enum ServerFrame {
    /// The success of the request `id`.
    Reply {
        /// The `id` of the request.
        id: u32,
        /// The topic or pattern of the request.
        reply: Reply,
    },
    /// A request failed, or a frame could not be read.
    Error {
        /// The request's `id`, when it had one and it could be read.
        id: Option<u32>,
        /// The word for programs.
        code: ErrorCode,
        /// The sentence for people: what happened and what to do.
        message: String,
    },
    /// A publication of a subscribed topic.
    Message(Message),
    /// A user's first connection joined a topic with presence.
    Join {
        /// The topic that the member joined.
        topic: Topic,
        /// The member that joined.
        member: Member,
    },
    /// A user's last connection left.
    Leave {
        /// The topic that the member left.
        topic: Topic,
        /// The member that left.
        member: Member,
    },
    /// The application began a subscription for this session.
    Subscribed {
        /// The topic or pattern of the subscription.
        pattern: Pattern,
        /// The newest position at the moment of joining; `None` for a pattern with wildcards.
        position: Option<Position>,
        /// `false` when something after the position that the application named is no longer held, and only then.
        recovered: bool,
    },
    /// The broker ended a subscription.
    Unsubscribed {
        /// The topic or pattern of the subscription.
        pattern: Pattern,
        /// The reason, as a code for programs.
        code: ErrorCode,
        /// The reason, as a sentence for people.
        reason: String,
    },
    /// Messages were skipped for this slow session.
    Lagged {
        /// In which topic, when it is one.
        topic: Option<Topic>,
        /// The number of skipped publications.
        missed: u64,
    },
    /// The broker is about to close the connection.
    Closing {
        /// The close code that follows.
        code: u16,
        /// The reason, as a sentence for people.
        reason: String,
        /// Whether the client should reconnect.
        reconnect: bool,
        /// The time to wait before reconnecting, in milliseconds.
        after_ms: Option<u64>,
    },
}

/// The success of each kind of request.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// The reply to [`Request::Connect`].
    Connected {
        /// The broker's name for the connection.
        connection: String,
        /// The user id of the session.
        user: Option<String>,
        /// The interval at which the broker pings an idle session, in seconds.
        ping_interval: u32,
        /// The broker's software and version.
        server: String,
    },
    /// The reply to [`Request::Subscribe`].
    Subscribed {
        /// The topic or pattern of the subscription.
        pattern: Pattern,
        /// The newest position at the moment of joining; `None` for a pattern with wildcards.
        position: Option<Position>,
        /// `false` when something after the asked position is no longer held, and only then.
        recovered: bool,
    },
    /// The reply to [`Request::Unsubscribe`].
    Unsubscribed {
        /// The subscription that ended.
        pattern: Pattern,
    },
    /// The reply to [`Request::Publish`].
    Published(Receipt),
    /// The reply to [`Request::History`].
    History {
        /// The topic whose history was read.
        topic: Topic,
        /// The newest position of the topic.
        position: Position,
        /// The publications, oldest first unless `reverse` was requested.
        messages: Vec<Message>,
        /// Whether there is more in the direction of reading.
        more: bool,
        /// Whether something between the place asked for and the first message is no longer held.
        gap: bool,
    },
    /// The reply to [`Request::Presence`].
    Presence {
        /// The topic whose members were read.
        topic: Topic,
        /// The members of the topic.
        members: Vec<Member>,
        /// Whether there are more than the broker names at once.
        more: bool,
    },
    /// The reply to [`Request::Refresh`].
    Refreshed {
        /// The end of the new token, in seconds since 1970; `None` if it does not end.
        expires: Option<u64>,
    },
    /// The reply to [`Request::Call`].
    Response {
        /// The answer of the application.
        data: Payload,
    },
    /// The reply to [`Request::Ping`].
    Pong,
}
