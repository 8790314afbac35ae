//! Counters: one set per worker, so that two cores never write to the same counter.

use std::sync::atomic::{AtomicU64, Ordering};

use fanwire_core::held::HeldSum;
use fanwire_protocol::{CloseCode, ErrorCode};

use super::api_requests::ApiRequestCounters;
use super::counter::Counter;

/// The transport of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// The WebSocket protocol at `/ws`.
    WebSocket,
    /// A bare WebSocket on a topic's URL.
    Bare,
    /// An event stream (Server-Sent Events).
    Sse,
    /// A request that reads or polls.
    Poll,
    /// Plain HTTP, or a connection whose transport is not known yet.
    Http,
    /// The Pusher Channels protocol at `/app/{key}`.
    Pusher,
}

impl Transport {
    pub(crate) const ALL: [Transport; 6] = [
        Transport::WebSocket,
        Transport::Bare,
        Transport::Sse,
        Transport::Poll,
        Transport::Http,
        Transport::Pusher,
    ];

    pub(crate) fn label(self) -> &'static str {
        match self {
            Transport::WebSocket => "ws",
            Transport::Bare => "bare",
            Transport::Sse => "sse",
            Transport::Poll => "poll",
            Transport::Http => "http",
            Transport::Pusher => "pusher",
        }
    }
}

/// The reason why a delivery was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DropReason {
    /// The session's outbox was full; the session is closed with 4413.
    OutboxFull,
    /// The session was being closed for another reason.
    Closing,
    /// The session is slow, and the topic's rule allows it to skip; it receives the number of skipped deliveries.
    Skipped,
}

impl DropReason {
    pub(crate) const ALL: [DropReason; 3] =
        [DropReason::OutboxFull, DropReason::Closing, DropReason::Skipped];

    pub(crate) fn label(self) -> &'static str {
        match self {
            DropReason::OutboxFull => "outbox_full",
            DropReason::Closing => "closing",
            DropReason::Skipped => "skipped",
        }
    }
}

/// The reason why a connection was refused before its first request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefusalReason {
    /// The bound `limits.connections_max` was reached.
    ConnectionsMax,
    /// The bound `limits.connections_per_address_max` was reached.
    ConnectionsPerAddressMax,
    /// The rate `limits.connection_rate` was exceeded.
    ConnectionRate,
    /// The rate `limits.connection_rate_per_address` was exceeded.
    ConnectionRatePerAddress,
    /// The operating system had no free socket.
    NoSocket,
}

impl RefusalReason {
    pub(crate) const ALL: [RefusalReason; 5] = [
        RefusalReason::ConnectionsMax,
        RefusalReason::ConnectionsPerAddressMax,
        RefusalReason::ConnectionRate,
        RefusalReason::ConnectionRatePerAddress,
        RefusalReason::NoSocket,
    ];

    pub(crate) fn label(self) -> &'static str {
        match self {
            RefusalReason::ConnectionsMax => "connections_max",
            RefusalReason::ConnectionsPerAddressMax => "connections_per_address_max",
            RefusalReason::ConnectionRate => "connection_rate",
            RefusalReason::ConnectionRatePerAddress => "connection_rate_per_address",
            RefusalReason::NoSocket => "no_socket",
        }
    }
}

/// The answer to a connection that no worker serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefusalAnswer {
    /// An event stream that says when to reconnect.
    EventStream,
    /// A problem, as other requests receive it.
    Problem,
    /// None: more connections were refused at once than can be answered, or the client sent no request in time.
    None,
}

impl RefusalAnswer {
    pub(crate) const ALL: [RefusalAnswer; 3] =
        [RefusalAnswer::EventStream, RefusalAnswer::Problem, RefusalAnswer::None];

    pub(crate) fn label(self) -> &'static str {
        match self {
            RefusalAnswer::EventStream => "event_stream",
            RefusalAnswer::Problem => "problem",
            RefusalAnswer::None => "none",
        }
    }
}

/// The rate for which a publish was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RateReason {
    /// The rate `limits.publish_rate_per_session` was exceeded.
    Session,
    /// The `rate` of the topic's rule was exceeded.
    Topic,
}

impl RateReason {
    pub(crate) const ALL: [RateReason; 2] = [RateReason::Session, RateReason::Topic];

    pub(crate) fn label(self) -> &'static str {
        match self {
            RateReason::Session => "session_rate",
            RateReason::Topic => "topic_rate",
        }
    }
}

/// The reason why a connection ended before its first request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HandshakeFailure {
    /// It took longer than `limits.handshake_timeout`.
    TimedOut,
    /// It was the oldest of `limits.handshakes_max`, and made room for another.
    CrowdedOut,
    /// The bytes that it sent are not valid.
    Malformed,
    /// The TLS hand-shake failed.
    Tls,
    /// Plain HTTP on a port with TLS.
    PlainOnTls,
    /// TLS on a port without TLS.
    TlsOnPlain,
    /// A trusted proxy sent no header of the PROXY protocol.
    Proxy,
    /// The client that a proxy forwards for has reached its number or rate of connections.
    Refused,
    /// The client left, or the broker stopped.
    Left,
}

impl HandshakeFailure {
    pub(crate) const ALL: [HandshakeFailure; 9] = [
        HandshakeFailure::TimedOut,
        HandshakeFailure::CrowdedOut,
        HandshakeFailure::Malformed,
        HandshakeFailure::Tls,
        HandshakeFailure::PlainOnTls,
        HandshakeFailure::TlsOnPlain,
        HandshakeFailure::Proxy,
        HandshakeFailure::Refused,
        HandshakeFailure::Left,
    ];

    pub(crate) fn label(self) -> &'static str {
        match self {
            HandshakeFailure::TimedOut => "timed_out",
            HandshakeFailure::CrowdedOut => "crowded_out",
            HandshakeFailure::Malformed => "malformed",
            HandshakeFailure::Tls => "tls",
            HandshakeFailure::PlainOnTls => "plain_on_tls",
            HandshakeFailure::TlsOnPlain => "tls_on_plain",
            HandshakeFailure::Proxy => "proxy",
            HandshakeFailure::Refused => "refused",
            HandshakeFailure::Left => "left",
        }
    }
}

/// Upper bounds of the latency histogram's buckets, in microseconds.
pub(crate) const LATENCY_BOUNDS_US: [u64; 14] =
    [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000];

/// The counters of one worker.
#[derive(Debug, Default)]
pub(crate) struct WorkerCounters {
    pub(crate) connections: [Counter; Transport::ALL.len()],
    pub(crate) connections_opened: [Counter; Transport::ALL.len()],
    pub(crate) closes: [Counter; CloseCode::ALL.len()],
    /// Connections that the client ended.
    pub(crate) closes_by_client: Counter,
    pub(crate) errors: [Counter; ErrorCode::ALL.len()],
    /// Connections that have not sent their first request.
    pub(crate) handshakes: Counter,
    pub(crate) handshakes_failed: [Counter; HandshakeFailure::ALL.len()],
    pub(crate) rate_refusals: [Counter; RateReason::ALL.len()],
    pub(crate) api_requests: ApiRequestCounters,
    pub(crate) subscriptions: Counter,
    pub(crate) publications: Counter,
    pub(crate) publication_bytes: Counter,
    pub(crate) deliveries: Counter,
    pub(crate) drops: [Counter; DropReason::ALL.len()],
    pub(crate) received_bytes: Counter,
    pub(crate) sent_bytes: Counter,
    pub(crate) outbox_bytes: Counter,
    /// The memory of everything encoded for clients. The sum of [`Shared::held`].
    pub(crate) held: HeldSum,
    pub(crate) latency: [Counter; LATENCY_BOUNDS_US.len() + 1],
    pub(crate) latency_sum_us: Counter,
}

impl WorkerCounters {
    /// Counters at zero, whose memory counts in `held`.
    pub(crate) fn new(held: HeldSum) -> Self {
        Self { held, ..Self::default() }
    }

    /// Counts an error sent to a client.
    pub(crate) fn error(&self, code: ErrorCode) {
        self.errors[code as usize].add(1);
    }

    /// Counts a close the broker started.
    pub(crate) fn close(&self, code: CloseCode) {
        self.closes[code as usize].add(1);
    }

    /// Counts a publish refused for its rate.
    pub(crate) fn rate_refused(&self, reason: RateReason) {
        self.rate_refusals[reason as usize].add(1);
    }

    /// Counts a connection that ended before its first request.
    pub(crate) fn handshake_failed(&self, failure: HandshakeFailure) {
        self.handshakes_failed[failure as usize].add(1);
    }

    /// Counts deliveries that were dropped for a reason.
    pub(crate) fn dropped(&self, reason: DropReason, count: u64) {
        self.drops[reason as usize].add(count);
    }

    /// Counts the latency of a publication: from accepting it to writing it to the sockets of all subscribers of this worker
    /// that were ready.
    pub(crate) fn delivered_after(&self, elapsed_us: u64) {
        let bucket = LATENCY_BOUNDS_US.partition_point(|bound| *bound < elapsed_us);
        self.latency[bucket].add(1);
        self.latency_sum_us.add(elapsed_us);
    }
}

/// The counters that several threads write: rare events, and the sizes of the engine.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) refused: [AtomicU64; RefusalReason::ALL.len()],
    pub(crate) refusal_answers: [AtomicU64; RefusalAnswer::ALL.len()],
    pub(crate) topics: AtomicU64,
    pub(crate) history_bytes: AtomicU64,
    pub(crate) history_publications: AtomicU64,
    pub(crate) history_evictions: AtomicU64,
    /// Topics, idempotency keys and members that were refused for want of room.
    pub(crate) topics_refused: AtomicU64,
    pub(crate) keys_refused: AtomicU64,
    pub(crate) presence_refused: AtomicU64,
    /// The memory of idempotency keys, members, and the catalog of topics, which counts with that of history.
    pub(crate) key_bytes: AtomicU64,
    pub(crate) presence_bytes: AtomicU64,
    pub(crate) catalog_bytes: AtomicU64,
    pub(crate) inbox_bytes: AtomicU64,
    /// The memory of all publications and of everything encoded for clients, each counted once.
    pub(crate) held: HeldSum,
    /// Sessions and answers that were closed because too much was pinned.
    pub(crate) pinned_closes: AtomicU64,
    /// Publications of durable topics, which are accepted on the store's thread, and their bytes.
    pub(crate) durable_publications: AtomicU64,
    pub(crate) durable_publication_bytes: AtomicU64,
    pub(crate) store_commits: AtomicU64,
    /// Publications committed, including repeated ones.
    pub(crate) store_committed: AtomicU64,
    pub(crate) store_commit_us: AtomicU64,
    pub(crate) key_set_fetches: AtomicU64,
    pub(crate) key_set_failures: AtomicU64,
    /// Callouts by outcome, the time they took in microseconds, and the number of callouts now.
    pub(crate) callouts_allowed: AtomicU64,
    pub(crate) callouts_refused: AtomicU64,
    pub(crate) callouts_failed: AtomicU64,
    pub(crate) callouts_us: AtomicU64,
    pub(crate) callouts_active: AtomicU64,
    pub(crate) callouts_waiting: AtomicU64,
    pub(crate) callouts_bytes: AtomicU64,
    /// Webhook events by outcome, as their queue counts them.
    pub(crate) webhook_events_delivered: AtomicU64,
    pub(crate) webhook_events_full: AtomicU64,
    pub(crate) webhook_events_refused: AtomicU64,
    pub(crate) webhook_events_expired: AtomicU64,
    pub(crate) webhook_events_stopped: AtomicU64,
    pub(crate) webhook_retries: AtomicU64,
    /// Topics without subscribers that are not reported as vacated yet.
    pub(crate) webhook_graces: AtomicU64,
    pub(crate) webhook_events_waiting: AtomicU64,
    pub(crate) webhook_events_waiting_bytes: AtomicU64,
    /// The time at which the oldest waiting event happened, in milliseconds of the monotonic clock. It is later than now
    /// if no event waits.
    pub(crate) webhook_events_oldest_ms: AtomicU64,
    /// Events of the webhooks of all Pusher apps by outcome, and the calls that failed and are made again.
    pub(crate) pusher_webhook_events_delivered: AtomicU64,
    pub(crate) pusher_webhook_events_dropped: AtomicU64,
    pub(crate) pusher_webhook_retries: AtomicU64,
    pub(crate) store_failures: AtomicU64,
    pub(crate) store_damaged: AtomicU64,
    pub(crate) store_queue_bytes: AtomicU64,
    /// The time at which the certificate expires, in seconds since 1970; 0 without TLS.
    pub(crate) certificate_expires_unix: AtomicU64,
}

impl Shared {
    /// Returns the memory of publications and encoded frames that only sessions and answers keep, in bytes: neither history nor an
    /// inbox holds them.
    pub(crate) fn pinned_bytes(&self) -> u64 {
        // Threads change these sums at once: for a moment one may be below zero, or count what another no longer does.
        let sum = |bytes: &AtomicU64| bytes.load(Ordering::Relaxed).cast_signed().max(0).cast_unsigned();
        self.held.bytes().saturating_sub(sum(&self.history_bytes).saturating_add(sum(&self.inbox_bytes)))
    }

    /// Counts a connection that was refused.
    pub(crate) fn refused(&self, reason: RefusalReason) {
        self.refused[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts the answer to a connection that no worker serves.
    pub(crate) fn refusal_answered(&self, answer: RefusalAnswer) {
        self.refusal_answers[answer as usize].fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_that_is_below_zero_for_a_moment_counts_as_nothing() {
        let shared = Shared::default();
        let share = shared.held.share(1000);
        shared.history_bytes.store(300, Ordering::Relaxed);
        shared.inbox_bytes.fetch_sub(200, Ordering::Relaxed);
        assert_eq!(shared.pinned_bytes(), 700);
        shared.inbox_bytes.fetch_add(200 + 400, Ordering::Relaxed);
        assert_eq!(shared.pinned_bytes(), 300);
        drop(share);
        assert_eq!(shared.pinned_bytes(), 0);
    }

    #[test]
    fn codes_count_into_their_own_place() {
        for (index, code) in ErrorCode::ALL.into_iter().enumerate() {
            assert_eq!(code as usize, index);
        }
        for (index, code) in CloseCode::ALL.into_iter().enumerate() {
            assert_eq!(code as usize, index);
        }
        for (index, transport) in Transport::ALL.into_iter().enumerate() {
            assert_eq!(transport as usize, index);
        }
    }

    #[test]
    fn latencies_fall_into_the_bucket_whose_bound_they_do_not_pass() {
        let counters = WorkerCounters::default();
        for elapsed in [50, 51, 6_000_000] {
            counters.delivered_after(elapsed);
        }
        assert_eq!(counters.latency[0].value(), 1);
        assert_eq!(counters.latency[1].value(), 1);
        assert_eq!(counters.latency[LATENCY_BOUNDS_US.len()].value(), 1);
        assert_eq!(counters.latency_sum_us.value(), 6_000_101);
    }
}
