//! The table of metrics. A new metric is one row here.
//!
//! `/metrics`, `/api/v1/stats` and the list in docs/operations.md are made from this table. Tests compare it with the
//! documentation, with the OpenAPI document, with the dashboard and with a running broker.

use std::sync::atomic::{AtomicU64, Ordering};

use fanwire_protocol::{CloseCode, ErrorCode};

use super::metric::Source::{Both, Latency, Shared, Workers};
use super::metric::{Label, Metric, Unit};
use super::{
    ApiOperation, ApiOutcome, DropReason, HandshakeFailure, RateReason, RefusalAnswer, RefusalReason,
    Transport,
};
use crate::clock;

const VERSION: Label = Label { name: "version", values: || vec![env!("CARGO_PKG_VERSION")] };
const TRANSPORT: Label =
    Label { name: "transport", values: || Transport::ALL.map(Transport::label).to_vec() };
const REFUSAL: Label =
    Label { name: "reason", values: || RefusalReason::ALL.map(RefusalReason::label).to_vec() };
const REFUSAL_ANSWER: Label =
    Label { name: "answer", values: || RefusalAnswer::ALL.map(RefusalAnswer::label).to_vec() };
const HANDSHAKE: Label =
    Label { name: "reason", values: || HandshakeFailure::ALL.map(HandshakeFailure::label).to_vec() };
const DROP: Label = Label { name: "reason", values: || DropReason::ALL.map(DropReason::label).to_vec() };
const RATE: Label = Label { name: "reason", values: || RateReason::ALL.map(RateReason::label).to_vec() };
const ERROR: Label = Label { name: "code", values: || ErrorCode::ALL.map(ErrorCode::as_str).to_vec() };
const CLOSE: Label = Label {
    name: "reason",
    values: || CloseCode::ALL.map(CloseCode::label).into_iter().chain(["by_client"]).collect(),
};
const OPERATION: Label =
    Label { name: "operation", values: || ApiOperation::ALL.map(ApiOperation::label).to_vec() };
const API_OUTCOME: Label =
    Label { name: "outcome", values: || ApiOutcome::ALL.map(ApiOutcome::label).to_vec() };
const FETCH: Label = Label { name: "outcome", values: || vec!["fetched", "failed"] };
const CALLOUT: Label = Label { name: "outcome", values: || vec!["allowed", "refused", "failed"] };
const WEBHOOK_DROP: Label =
    Label { name: "reason", values: || vec!["full", "refused", "expired", "stopped"] };

/// All metrics of the broker, in the order of docs/operations.md.
pub(super) const METRICS: &[Metric] = &[
    Metric::gauge(
        "fanwire_build_info",
        "The version of the broker; the value is always 1.",
        Shared(|_, _| 1),
    )
    .by(&[VERSION]),
    Metric::gauge(
        "fanwire_connections",
        "Open connections.",
        Workers(|worker, index| worker.connections[index].value()),
    )
    .by(&[TRANSPORT])
    .json("connections"),
    Metric::counter(
        "fanwire_connections_opened_total",
        "Connections opened.",
        Workers(|worker, index| worker.connections_opened[index].value()),
    )
    .by(&[TRANSPORT])
    .json("connections_opened"),
    Metric::counter(
        "fanwire_connections_refused_total",
        "Connections refused.",
        Shared(|shared, index| load(&shared.refused[index])),
    )
    .by(&[REFUSAL])
    .json("connections_refused"),
    Metric::counter(
        "fanwire_refusal_answers_total",
        "Answers to connections that no worker served, because of a limit or because the broker drained.",
        Shared(|shared, index| load(&shared.refusal_answers[index])),
    )
    .by(&[REFUSAL_ANSWER])
    .json("refusal_answers"),
    Metric::gauge(
        "fanwire_handshakes",
        "Connections that have not sent their first request.",
        Workers(|worker, _| worker.handshakes.value()),
    )
    .json("handshakes"),
    Metric::counter(
        "fanwire_handshakes_failed_total",
        "Connections that ended before their first request.",
        Workers(|worker, index| worker.handshakes_failed[index].value()),
    )
    .by(&[HANDSHAKE])
    .json("handshakes_failed")
    .see("[reasons](tls-and-proxies.md)"),
    Metric::counter(
        "fanwire_closes_total",
        "Sessions closed.",
        Workers(|worker, index| worker.closes.get(index).unwrap_or(&worker.closes_by_client).value()),
    )
    .by(&[CLOSE])
    .json("closes")
    .see("[close codes](protocol.md#close-codes)"),
    Metric::counter(
        "fanwire_errors_total",
        "Errors sent to clients.",
        Workers(|worker, index| worker.errors[index].value()),
    )
    .by(&[ERROR])
    .json("errors")
    .see("[error codes](protocol.md#error-codes)"),
    Metric::counter(
        "fanwire_api_requests_total",
        "Requests to the server API that were answered.",
        Workers(|worker, index| worker.api_requests.value(index)),
    )
    .by(&[OPERATION, API_OUTCOME])
    .json("api_requests")
    .see("[server API](http.md#server-api)"),
    Metric::gauge(
        "fanwire_subscriptions",
        "Subscriptions.",
        Workers(|worker, _| worker.subscriptions.value()),
    )
    .json("subscriptions"),
    Metric::gauge(
        "fanwire_topics",
        "Topics that have subscribers or history.",
        Shared(|shared, _| load(&shared.topics)),
    )
    .json("topics"),
    Metric::counter(
        "fanwire_publications_total",
        "Publications accepted.",
        // Publications of durable topics are accepted on the thread of the store.
        Both(|worker| worker.publications.value(), |shared| load(&shared.durable_publications)),
    )
    .json("totals.publications"),
    Metric::counter(
        "fanwire_publication_bytes_total",
        "Payload bytes of the publications accepted.",
        Both(|worker| worker.publication_bytes.value(), |shared| load(&shared.durable_publication_bytes)),
    )
    .json("totals.publication_bytes"),
    Metric::counter(
        "fanwire_publishes_refused_total",
        "Publishes refused because their rate was too high.",
        Workers(|worker, index| worker.rate_refusals[index].value()),
    )
    .by(&[RATE])
    .json("publishes_refused"),
    Metric::counter(
        "fanwire_deliveries_total",
        "Publications passed to sessions, one per session.",
        Workers(|worker, _| worker.deliveries.value()),
    )
    .json("totals.deliveries"),
    Metric::counter(
        "fanwire_dropped_deliveries_total",
        "Deliveries dropped.",
        Workers(|worker, index| worker.drops[index].value()),
    )
    .by(&[DROP])
    .json("dropped_deliveries")
    .see("[slow clients](protocol.md)"),
    Metric::histogram(
        "fanwire_delivery_latency_seconds",
        "Time from accepting a publication to writing it to the sockets of all subscribers of one worker.",
        Latency,
    )
    .json("latency"),
    Metric::counter(
        "fanwire_received_bytes_total",
        "Bytes read from WebSocket sessions and from bodies of HTTP requests.",
        Workers(|worker, _| worker.received_bytes.value()),
    )
    .json("totals.received_bytes"),
    Metric::counter(
        "fanwire_sent_bytes_total",
        "Bytes written to sessions.",
        Workers(|worker, _| worker.sent_bytes.value()),
    )
    .json("totals.sent_bytes"),
    Metric::gauge(
        "fanwire_inbox_bytes",
        "Bytes of publications that wait to be delivered by the workers.",
        Shared(|shared, _| load(&shared.inbox_bytes)),
    )
    .json("inbox_bytes"),
    Metric::gauge(
        "fanwire_outbox_bytes",
        "Bytes that wait to be written to sessions, measured once a second.",
        Workers(|worker, _| worker.outbox_bytes.value()),
    )
    .json("outbox_bytes"),
    Metric::gauge(
        "fanwire_pinned_bytes",
        "Memory of publications and encoded frames that only sessions and answers on their way keep, each counted once.",
        Shared(|shared, _| shared.pinned_bytes()),
    )
    .json("pinned_bytes"),
    Metric::counter(
        "fanwire_pinned_closes_total",
        "Sessions and answers that were ended because what they keep in memory reached its share of history.bytes_max.",
        Shared(|shared, _| load(&shared.pinned_closes)),
    ),
    Metric::gauge(
        "fanwire_history_publications",
        "Publications held as history.",
        Shared(|shared, _| load(&shared.history_publications)),
    )
    .json("history.publications"),
    Metric::gauge(
        "fanwire_history_bytes",
        "Memory accounted for history.",
        Shared(|shared, _| load(&shared.history_bytes)),
    )
    .json("history.bytes"),
    Metric::counter(
        "fanwire_history_evictions_total",
        "Topics whose history was dropped because history.bytes_max was reached.",
        Shared(|shared, _| load(&shared.history_evictions)),
    )
    .json("history.evictions"),
    Metric::gauge(
        "fanwire_idempotency_key_bytes",
        "Memory accounted for idempotency keys. Half of history.bytes_max at most.",
        Shared(|shared, _| load(&shared.key_bytes)),
    ),
    Metric::gauge(
        "fanwire_presence_bytes",
        "Memory accounted for the members of topics with presence. About a quarter of history.bytes_max at most.",
        Shared(|shared, _| load(&shared.presence_bytes)),
    ),
    Metric::gauge(
        "fanwire_catalog_bytes",
        "Memory accounted for the list of topics that operators were shown last.",
        Shared(|shared, _| load(&shared.catalog_bytes)),
    ),
    Metric::counter(
        "fanwire_topics_refused_total",
        "Publishes and subscriptions refused because limits.topics_max was reached.",
        Shared(|shared, _| load(&shared.topics_refused)),
    ),
    Metric::counter(
        "fanwire_idempotency_keys_refused_total",
        "Publishes refused because there was no room for their idempotency key.",
        Shared(|shared, _| load(&shared.keys_refused)),
    ),
    Metric::counter(
        "fanwire_presence_refused_total",
        "Subscriptions refused because there was no room for another member.",
        Shared(|shared, _| load(&shared.presence_refused)),
    ),
    Metric::gauge(
        "fanwire_store_queue_bytes",
        "Bytes of durable publications that wait for the disk, measured once a second.",
        Shared(|shared, _| load(&shared.store_queue_bytes)),
    )
    .json("store.queue_bytes"),
    Metric::counter(
        "fanwire_store_commits_total",
        "Groups of durable publications written to disk.",
        Shared(|shared, _| load(&shared.store_commits)),
    )
    .json("store.commits"),
    Metric::counter(
        "fanwire_store_committed_publications_total",
        "Durable publications in these groups, including repeated ones.",
        Shared(|shared, _| load(&shared.store_committed)),
    )
    .json("store.publications"),
    Metric::counter(
        "fanwire_store_commit_seconds_total",
        "Time spent writing these groups.",
        Shared(|shared, _| load(&shared.store_commit_us)),
    )
    .unit(Unit::Micros)
    .json("store.commit_us"),
    Metric::counter(
        "fanwire_store_failures_total",
        "Times the store became unusable.",
        Shared(|shared, _| load(&shared.store_failures)),
    )
    .json("store.failures"),
    Metric::counter(
        "fanwire_store_damaged_publications_total",
        "Reads of durable publications that are damaged on disk and were left out.",
        Shared(|shared, _| load(&shared.store_damaged)),
    )
    .json("store.damaged"),
    Metric::counter(
        "fanwire_callouts_total",
        "Authorization and RPC callouts to the application.",
        Shared(|shared, index| {
            load([&shared.callouts_allowed, &shared.callouts_refused, &shared.callouts_failed][index])
        }),
    )
    .by(&[CALLOUT])
    .json("callouts.total")
    .see("[callouts](hooks.md)"),
    Metric::counter(
        "fanwire_callouts_seconds_total",
        "Time that clients waited for callouts, added up.",
        Shared(|shared, _| load(&shared.callouts_us)),
    )
    .unit(Unit::Micros)
    .json("callouts.us"),
    Metric::gauge(
        "fanwire_callouts_active",
        "Callouts in progress.",
        Shared(|shared, _| load(&shared.callouts_active)),
    )
    .json("callouts.active"),
    Metric::gauge(
        "fanwire_callouts_waiting",
        "Callouts that wait for a free place among those in progress.",
        Shared(|shared, _| load(&shared.callouts_waiting)),
    )
    .json("callouts.waiting"),
    Metric::gauge(
        "fanwire_callouts_bytes",
        "Bytes of the callouts that wait or are in progress.",
        Shared(|shared, _| load(&shared.callouts_bytes)),
    )
    .json("callouts.bytes"),
    Metric::counter(
        "fanwire_webhook_events_delivered_total",
        "Webhook events that the application has accepted.",
        Shared(|shared, _| load(&shared.webhook_events_delivered)),
    )
    .json("webhooks.delivered")
    .see("[webhooks](hooks.md#webhooks)"),
    Metric::counter(
        "fanwire_webhook_events_dropped_total",
        "Webhook events dropped before the application accepted them.",
        Shared(|shared, index| {
            load(
                [
                    &shared.webhook_events_full,
                    &shared.webhook_events_refused,
                    &shared.webhook_events_expired,
                    &shared.webhook_events_stopped,
                ][index],
            )
        }),
    )
    .by(&[WEBHOOK_DROP])
    .json("webhooks.dropped"),
    Metric::counter(
        "fanwire_webhook_retries_total",
        "Webhook calls that failed and are made again.",
        Shared(|shared, _| load(&shared.webhook_retries)),
    )
    .json("webhooks.retries"),
    Metric::gauge(
        "fanwire_webhook_events_waiting",
        "Webhook events that wait to be accepted, including those in the call in progress.",
        Shared(|shared, _| load(&shared.webhook_events_waiting)),
    )
    .json("webhooks.waiting"),
    Metric::gauge(
        "fanwire_webhook_events_waiting_bytes",
        "Bytes of these events.",
        Shared(|shared, _| load(&shared.webhook_events_waiting_bytes)),
    )
    .json("webhooks.waiting_bytes"),
    Metric::gauge(
        "fanwire_webhook_events_oldest_seconds",
        "Age of the oldest of these events.",
        Shared(|shared, _| match load(&shared.webhook_events_waiting) {
            0 => 0,
            _ => clock::monotonic_ms().saturating_sub(load(&shared.webhook_events_oldest_ms)),
        }),
    )
    .unit(Unit::Millis)
    .json("webhooks.oldest_ms"),
    Metric::gauge(
        "fanwire_webhook_graces",
        "Topics and patterns that have lost their last subscriber and are not reported as vacated yet.",
        Shared(|shared, _| load(&shared.webhook_graces)),
    )
    .json("webhooks.graces"),
    Metric::counter(
        "fanwire_key_set_fetches_total",
        "Fetches of the identity provider's key set.",
        Shared(|shared, index| load([&shared.key_set_fetches, &shared.key_set_failures][index])),
    )
    .by(&[FETCH])
    .json("key_set"),
    Metric::gauge(
        "fanwire_certificate_expires_timestamp_seconds",
        "Time at which the TLS certificate expires, in seconds since 1970; 0 without TLS.",
        Shared(|shared, _| load(&shared.certificate_expires_unix)),
    ),
    Metric::counter(
        "fanwire_pusher_webhook_events_delivered_total",
        "Events that the webhooks of Pusher apps have delivered.",
        Shared(|shared, _| load(&shared.pusher_webhook_events_delivered)),
    )
    .see("[the Pusher protocol](pusher.md)"),
    Metric::counter(
        "fanwire_pusher_webhook_events_dropped_total",
        "Events of the webhooks of Pusher apps that were dropped.",
        Shared(|shared, _| load(&shared.pusher_webhook_events_dropped)),
    ),
    Metric::counter(
        "fanwire_pusher_webhook_retries_total",
        "Calls of the webhooks of Pusher apps that failed and are made again.",
        Shared(|shared, _| load(&shared.pusher_webhook_retries)),
    ),
];

fn load(value: &AtomicU64) -> u64 {
    value.load(Ordering::Relaxed)
}
