//! The limits: what one connection, one message and the whole process may take, with their defaults.
//!
//! This file owns the figures. What happens when one is reached is decided by the part of the broker that counts it.

use std::time::Duration;

use super::rate::RateLimit;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// What one connection, one message and the whole process may take. Sizes are in bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Connections open at once, over all transports.
    pub connections_max: usize,
    /// Connections open at once from one address; 0 stands for no limit.
    pub connections_per_address_max: usize,
    /// New connections from everywhere together; `None` stands for no limit.
    pub connection_rate: Option<RateLimit>,
    /// New connections from one address; `None` stands for no limit.
    pub connection_rate_per_address: Option<RateLimit>,
    /// Connections at once that have not sent their first request yet.
    pub handshakes_max: usize,
    /// The longest message: one WebSocket message, one published body.
    pub message_bytes_max: usize,
    /// Frames that one WebSocket message may come in.
    pub fragments_per_message_max: usize,
    /// Publications of one session; `None` stands for no limit.
    pub publish_rate_per_session: Option<RateLimit>,
    /// What may wait to be written to one session before it counts as too slow.
    pub outbox_bytes_max: usize,
    /// Publications that may wait for one worker before publishers are slowed down. Where nobody sets it, it is four of the
    /// longest messages at least.
    pub inbox_bytes_max: usize,
    /// Subscriptions of one session.
    pub subscriptions_per_session_max: usize,
    /// Topics in one request to `/stream`.
    pub stream_topics_max: usize,
    /// Requests at once on one HTTP/2 connection.
    pub streams_per_connection_max: usize,
    /// The request line and headers of one HTTP request together.
    pub header_bytes_max: usize,
    /// How long a new connection may take to send its request head or finish its upgrade.
    pub handshake_timeout: Duration,
    /// How long the body of a request may take to arrive.
    pub body_timeout: Duration,
    /// How long a WebSocket session may be idle before it is pinged.
    pub ping_interval: Duration,
    /// How long a pinged session may stay silent before it is closed.
    pub ping_timeout: Duration,
    /// How often a comment is written to an idle event stream, so that proxies keep it open.
    pub sse_comment_interval: Duration,
    /// How long the other side may take to answer a close before its socket is dropped.
    pub close_timeout: Duration,
    /// How long a stopping broker waits for outboxes to empty.
    pub drain_timeout: Duration,
    /// Publications in one answer to a history request.
    pub history_limit_max: usize,
    /// Members in one answer to a presence request.
    pub presence_members_max: usize,
    /// How long a user whose last connection broke is still taken for present.
    pub presence_grace: Duration,
    /// Publications in one call of `POST /publish`.
    pub batch_messages_max: usize,
    /// The body of one call of `POST /publish`.
    pub batch_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 100_000,
            connections_per_address_max: 0,
            connection_rate: None,
            connection_rate_per_address: None,
            handshakes_max: 16_384,
            message_bytes_max: MIB,
            fragments_per_message_max: 16_384,
            publish_rate_per_session: None,
            outbox_bytes_max: 4 * MIB,
            inbox_bytes_max: 4 * MIB,
            subscriptions_per_session_max: 1_000,
            stream_topics_max: 64,
            streams_per_connection_max: 100,
            header_bytes_max: 16 * KIB,
            handshake_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(10),
            sse_comment_interval: Duration::from_secs(15),
            close_timeout: Duration::from_secs(5),
            drain_timeout: Duration::from_secs(10),
            history_limit_max: 1_000,
            presence_members_max: 1_000,
            presence_grace: Duration::from_secs(5),
            batch_messages_max: 1_000,
            batch_bytes_max: 16 * MIB,
        }
    }
}
