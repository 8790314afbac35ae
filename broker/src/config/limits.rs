//! The limits of one connection, one message and the whole process, with their defaults.
//!
//! This file owns the values. The part of the broker that counts decides what happens when one is reached.

use std::time::Duration;

use super::rate::RateLimit;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// The limits of one connection, one message and the whole process. Sizes are in bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// The maximum number of open connections, over all transports.
    pub connections_max: usize,
    /// The maximum number of open connections from one address; 0 means no limit.
    pub connections_per_address_max: usize,
    /// The rate of new connections from all addresses; `None` means no limit.
    pub connection_rate: Option<RateLimit>,
    /// The rate of new connections from one address; `None` means no limit.
    pub connection_rate_per_address: Option<RateLimit>,
    /// The maximum number of connections that have not sent their first request.
    pub handshakes_max: usize,
    /// The maximum size of a message: one WebSocket message, one published body.
    pub message_bytes_max: usize,
    /// The maximum number of frames of one WebSocket message.
    pub fragments_per_message_max: usize,
    /// The rate of publications of one session; `None` means no limit.
    pub publish_rate_per_session: Option<RateLimit>,
    /// The maximum size of one session's outbox. A session that exceeds it is too slow.
    pub outbox_bytes_max: usize,
    /// The size of a worker's inbox at which publishers are slowed down. The default is at least four of the largest
    /// messages.
    pub inbox_bytes_max: usize,
    /// The maximum number of topics that exist at a time. Existing ones can be used beyond it.
    pub topics_max: usize,
    /// The maximum number of subscriptions of one session.
    pub subscriptions_per_session_max: usize,
    /// The maximum number of topics in one request to `/stream`.
    pub stream_topics_max: usize,
    /// The maximum number of concurrent requests on one HTTP/2 connection.
    pub streams_per_connection_max: usize,
    /// The maximum size of the request line and headers of one HTTP request.
    pub header_bytes_max: usize,
    /// The time limit for the request head or the upgrade of a new connection.
    pub handshake_timeout: Duration,
    /// The time limit for the body of a request.
    pub body_timeout: Duration,
    /// The time without progress after which a client that takes nothing of what waits for it is disconnected.
    pub write_timeout: Duration,
    /// The idle time after which a WebSocket session is pinged.
    pub ping_interval: Duration,
    /// The time after a ping after which a silent session is closed.
    pub ping_timeout: Duration,
    /// The interval of comments on an idle event stream. They make proxies keep it open.
    pub sse_comment_interval: Duration,
    /// The time limit for the answer to a close, after which the socket is dropped.
    pub close_timeout: Duration,
    /// The time limit for flushing outboxes when the broker stops.
    pub drain_timeout: Duration,
    /// The maximum number of publications in one answer to a history request.
    pub history_limit_max: usize,
    /// The maximum number of members in one answer to a presence request.
    pub presence_members_max: usize,
    /// The time for which a user remains present after the last connection breaks.
    pub presence_grace: Duration,
    /// The maximum number of publications in one `POST /publish`.
    pub batch_messages_max: usize,
    /// The maximum size of the body of one `POST /publish`.
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
            topics_max: 1_000_000,
            subscriptions_per_session_max: 1_000,
            stream_topics_max: 64,
            streams_per_connection_max: 100,
            header_bytes_max: 16 * KIB,
            handshake_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(60),
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
