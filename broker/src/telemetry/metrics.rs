//! The metrics page: what all workers counted, added up when somebody asks.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fanwire_protocol::{CloseCode, ErrorCode};
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Registry, TextEncoder};

use super::counters::LATENCY_BOUNDS_US;
use super::{
    ApiOperation, ApiOutcome, DropReason, HandshakeFailure, RateReason, RefusalReason, Shared, Transport,
    WorkerCounters,
};
use crate::clock;

/// All counters of the broker, ready to be scraped.
#[derive(Clone)]
pub(crate) struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// Gathers from these counters and from the process itself.
    pub(crate) fn new(
        workers: Vec<Arc<WorkerCounters>>,
        shared: Arc<Shared>,
    ) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let labels = HashMap::from([("version".to_owned(), version)]);
        let help = "The version that runs; always 1.";
        let desc = Desc::new("fanwire_build_info".to_owned(), help.to_owned(), Vec::new(), labels)?;
        registry.register(Box::new(Totals { desc, workers, shared }))?;
        #[cfg(target_os = "linux")]
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(Self { registry })
    }

    /// The page, in the text format of Prometheus.
    pub(crate) fn render(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

/// Adds up on demand what the workers counted.
struct Totals {
    desc: Desc,
    workers: Vec<Arc<WorkerCounters>>,
    shared: Arc<Shared>,
}

type Pick = fn(&WorkerCounters) -> &super::Counter;

impl Collector for Totals {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = vec![build_info()];
        families.extend(self.connections());
        families.extend(self.traffic());
        families.extend(self.losses());
        families.extend(self.holdings());
        families.extend(self.store());
        families.extend(self.hooks());
        families.extend(self.tells());
        families.push(self.calls());
        families.push(self.latency());
        families
    }
}

impl Totals {
    fn sum(&self, pick: impl Fn(&WorkerCounters) -> u64) -> u64 {
        // A gauge may be raised on one worker and lowered on another; only the wrapping sum is always right.
        self.workers.iter().fold(0, |sum: u64, worker| sum.wrapping_add(pick(worker)))
    }

    fn connections(&self) -> Vec<MetricFamily> {
        let by_transport = |pick: fn(&WorkerCounters, usize) -> u64| -> Vec<_> {
            let total = |transport: Transport| self.sum(|worker| pick(worker, transport as usize));
            Transport::ALL
                .map(|transport| (Some(("transport", transport.label())), total(transport)))
                .to_vec()
        };
        let refused = RefusalReason::ALL
            .map(|reason| (Some(("reason", reason.label())), load(&self.shared.refused[reason as usize])));
        let failed = HandshakeFailure::ALL.map(|failure| {
            let total = self.sum(|worker| worker.handshakes_failed[failure as usize].value());
            (Some(("reason", failure.label())), total)
        });
        vec![
            gauge(
                "fanwire_connections",
                "Connections open now, by transport.",
                &by_transport(|worker, index| worker.connections[index].value()),
            ),
            counter(
                "fanwire_connections_opened_total",
                "Connections opened so far, by transport.",
                &by_transport(|worker, index| worker.connections_opened[index].value()),
            ),
            counter("fanwire_connections_refused_total", "Connections refused so far, by reason.", &refused),
            gauge(
                "fanwire_handshakes",
                "Connections that have not sent their first request yet.",
                &[(None, self.sum(|worker| worker.handshakes.value()))],
            ),
            counter(
                "fanwire_handshakes_failed_total",
                "Connections that ended before their first request, by reason.",
                &failed,
            ),
        ]
    }

    fn traffic(&self) -> Vec<MetricFamily> {
        let pairs: [(&str, &str, Pick); 5] = [
            ("fanwire_publications_total", "Publications accepted so far.", |worker| &worker.publications),
            (
                "fanwire_publication_bytes_total",
                "Payload bytes of the publications accepted so far.",
                |worker| &worker.publication_bytes,
            ),
            (
                "fanwire_deliveries_total",
                "Publications handed to sessions so far, one per session.",
                |worker| &worker.deliveries,
            ),
            ("fanwire_received_bytes_total", "Bytes read from WebSocket sessions so far.", |worker| {
                &worker.received_bytes
            }),
            ("fanwire_sent_bytes_total", "Bytes written to sessions so far.", |worker| &worker.sent_bytes),
        ];
        // Durable ones are accepted on the store's thread.
        let durable = [load(&self.shared.durable_publications), load(&self.shared.durable_publication_bytes)];
        let mut durable = durable.into_iter().chain(std::iter::repeat(0));
        let family = |(name, help, pick): (&str, &str, Pick)| {
            let total = self.sum(|worker| pick(worker).value()) + durable.next().unwrap_or(0);
            counter(name, help, &[(None, total)])
        };
        pairs.map(family).to_vec()
    }

    fn losses(&self) -> Vec<MetricFamily> {
        let drops = DropReason::ALL.map(|reason| {
            (Some(("reason", reason.label())), self.sum(|worker| worker.drops[reason as usize].value()))
        });
        let mut closes = CloseCode::ALL
            .map(|code| {
                (Some(("reason", code.label())), self.sum(|worker| worker.closes[code as usize].value()))
            })
            .to_vec();
        closes.push((Some(("reason", "by_client")), self.sum(|worker| worker.closes_by_client.value())));
        let errors = ErrorCode::ALL.map(|code| {
            (Some(("code", code.as_str())), self.sum(|worker| worker.errors[code as usize].value()))
        });
        let rates = RateReason::ALL.map(|reason| {
            let total = self.sum(|worker| worker.rate_refusals[reason as usize].value());
            (Some(("reason", reason.label())), total)
        });
        vec![
            counter(
                "fanwire_publishes_refused_total",
                "Publishes refused because they came too fast, by reason.",
                &rates,
            ),
            counter("fanwire_dropped_deliveries_total", "Deliveries that did not happen, by reason.", &drops),
            counter("fanwire_closes_total", "Sessions ended so far, by reason.", &closes),
            counter("fanwire_errors_total", "Errors told to clients so far, by code.", &errors),
        ]
    }

    fn holdings(&self) -> Vec<MetricFamily> {
        let one = |value| [(None, value)];
        let shared = &self.shared;
        vec![
            gauge(
                "fanwire_subscriptions",
                "Subscriptions held now.",
                &one(self.sum(|worker| worker.subscriptions.value())),
            ),
            gauge(
                "fanwire_topics",
                "Topics that have subscribers or history now.",
                &one(load(&shared.topics)),
            ),
            gauge(
                "fanwire_outbox_bytes",
                "Bytes that wait to be written to sessions, as of the last second.",
                &one(self.sum(|worker| worker.outbox_bytes.value())),
            ),
            gauge(
                "fanwire_certificate_expires_timestamp_seconds",
                "When the TLS certificate expires, in seconds since 1970; 0 without TLS.",
                &one(load(&shared.certificate_expires_unix)),
            ),
            gauge(
                "fanwire_inbox_bytes",
                "Bytes of publications that wait to be delivered by the workers.",
                &one(load(&shared.inbox_bytes)),
            ),
            gauge(
                "fanwire_history_bytes",
                "Memory accounted for history.",
                &one(load(&shared.history_bytes)),
            ),
            gauge(
                "fanwire_history_publications",
                "Publications held as history.",
                &one(load(&shared.history_publications)),
            ),
            counter(
                "fanwire_history_evictions_total",
                "Topics whose history was dropped for want of memory.",
                &one(load(&shared.history_evictions)),
            ),
            counter(
                "fanwire_key_set_fetches_total",
                "Fetches of the identity provider's key set, by outcome.",
                &[
                    (Some(("outcome", "fetched")), load(&shared.key_set_fetches)),
                    (Some(("outcome", "failed")), load(&shared.key_set_failures)),
                ],
            ),
        ]
    }

    fn store(&self) -> Vec<MetricFamily> {
        let one = |value| [(None, value)];
        let shared = &self.shared;
        vec![
            counter(
                "fanwire_store_commits_total",
                "Groups of durable publications written to disk so far.",
                &one(load(&shared.store_commits)),
            ),
            counter(
                "fanwire_store_committed_publications_total",
                "Durable publications in these groups, repeated ones included.",
                &one(load(&shared.store_committed)),
            ),
            seconds(
                "fanwire_store_commit_seconds_total",
                "Time spent writing these groups.",
                load(&shared.store_commit_us),
            ),
            counter(
                "fanwire_store_failures_total",
                "Times the store became unusable.",
                &one(load(&shared.store_failures)),
            ),
            gauge(
                "fanwire_store_queue_bytes",
                "Bytes of durable publications that wait for the disk, as of the last second.",
                &one(load(&shared.store_queue_bytes)),
            ),
        ]
    }

    fn hooks(&self) -> Vec<MetricFamily> {
        let one = |value| [(None, value)];
        let shared = &self.shared;
        let outcome = |name, value| (Some(("outcome", name)), load(value));
        vec![
            counter(
                "fanwire_hooks_asks_total",
                "Questions to the application so far, by outcome.",
                &[
                    outcome("allowed", &shared.hook_asks_allowed),
                    outcome("refused", &shared.hook_asks_refused),
                    outcome("failed", &shared.hook_asks_failed),
                ],
            ),
            seconds(
                "fanwire_hooks_ask_seconds_total",
                "Time that clients waited for these answers, added up.",
                load(&shared.hook_ask_us),
            ),
            gauge(
                "fanwire_hooks_asks_active",
                "Questions to the application that are on their way now.",
                &one(load(&shared.hook_asks_active)),
            ),
            gauge(
                "fanwire_hooks_asks_waiting",
                "Questions to the application that wait for their turn now.",
                &one(load(&shared.hook_asks_waiting)),
            ),
        ]
    }

    fn tells(&self) -> Vec<MetricFamily> {
        let one = |value| [(None, value)];
        let shared = &self.shared;
        let reason = |name, value| (Some(("reason", name)), load(value));
        let oldest_ms = clock::monotonic_ms().saturating_sub(load(&shared.hook_tells_oldest_ms));
        let is_waiting = load(&shared.hook_tells_waiting) > 0;
        vec![
            counter(
                "fanwire_hooks_tells_delivered_total",
                "Events that the application has taken.",
                &one(load(&shared.hook_tells_delivered)),
            ),
            counter(
                "fanwire_hooks_tells_dropped_total",
                "Events that the application was never told of, by reason.",
                &[
                    reason("full", &shared.hook_tells_full),
                    reason("refused", &shared.hook_tells_refused),
                    reason("expired", &shared.hook_tells_expired),
                    reason("stopped", &shared.hook_tells_stopped),
                ],
            ),
            counter(
                "fanwire_hooks_tell_retries_total",
                "Calls with events that failed and are made again.",
                &one(load(&shared.hook_tell_retries)),
            ),
            gauge(
                "fanwire_hooks_tells_waiting",
                "Events that wait to be told, those on their way included.",
                &one(load(&shared.hook_tells_waiting)),
            ),
            gauge(
                "fanwire_hooks_tells_waiting_bytes",
                "Bytes of these events.",
                &one(load(&shared.hook_tells_waiting_bytes)),
            ),
            gauge(
                "fanwire_hooks_tells_oldest_seconds",
                "How long the oldest of these events has waited, in whole seconds.",
                &one(if is_waiting { oldest_ms / 1000 } else { 0 }),
            ),
        ]
    }

    fn calls(&self) -> MetricFamily {
        let mut metrics = Vec::new();
        for call in ApiOperation::ALL {
            for outcome in ApiOutcome::ALL {
                let total = self.sum(|worker| worker.calls.count(call, outcome));
                let mut pairs = labels(Some(("call", call.label())));
                pairs.extend(labels(Some(("outcome", outcome.label()))));
                let mut counter = Counter::default();
                counter.set_value(total as f64);
                let mut metric = Metric::from_label(pairs);
                metric.set_counter(counter);
                metrics.push(metric);
            }
        }
        let help = "Server calls answered so far, by call and outcome.";
        family("fanwire_api_calls_total", help, MetricType::COUNTER, metrics)
    }

    fn latency(&self) -> MetricFamily {
        let mut histogram = Histogram::default();
        let mut cumulative = 0;
        let mut buckets = Vec::new();
        for (index, bound) in LATENCY_BOUNDS_US.iter().enumerate() {
            cumulative += self.sum(|worker| worker.latency[index].value());
            let mut bucket = Bucket::default();
            bucket.set_cumulative_count(cumulative);
            bucket.set_upper_bound(*bound as f64 / 1e6);
            buckets.push(bucket);
        }
        let overflow = self.sum(|worker| worker.latency[LATENCY_BOUNDS_US.len()].value());
        histogram.set_bucket(buckets);
        histogram.set_sample_count(cumulative + overflow);
        histogram.set_sample_sum(self.sum(|worker| worker.latency_sum_us.value()) as f64 / 1e6);
        let mut metric = Metric::default();
        metric.set_histogram(histogram);
        family(
            "fanwire_delivery_latency_seconds",
            "From accepting a publication to handing it to the operating system for all subscribers of one worker.",
            MetricType::HISTOGRAM,
            vec![metric],
        )
    }
}

type Label<'a> = Option<(&'a str, &'a str)>;

fn load(value: &AtomicU64) -> u64 {
    value.load(Ordering::Relaxed)
}

fn labels(label: Label<'_>) -> Vec<LabelPair> {
    let pair = |(name, value): (&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name(name.to_owned());
        pair.set_value(value.to_owned());
        pair
    };
    label.map(pair).into_iter().collect()
}

fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

fn counter(name: &str, help: &str, values: &[(Label<'_>, u64)]) -> MetricFamily {
    let metric = |(label, value): &(Label<'_>, u64)| {
        let mut counter = Counter::default();
        counter.set_value(*value as f64);
        let mut metric = Metric::from_label(labels(*label));
        metric.set_counter(counter);
        metric
    };
    family(name, help, MetricType::COUNTER, values.iter().map(metric).collect())
}

/// A total of time, counted in microseconds.
fn seconds(name: &str, help: &str, total_us: u64) -> MetricFamily {
    let mut counter = Counter::default();
    counter.set_value(total_us as f64 / 1e6);
    let mut metric = Metric::default();
    metric.set_counter(counter);
    family(name, help, MetricType::COUNTER, vec![metric])
}

fn gauge(name: &str, help: &str, values: &[(Label<'_>, u64)]) -> MetricFamily {
    let metric = |(label, value): &(Label<'_>, u64)| {
        let mut gauge = Gauge::default();
        gauge.set_value(*value as f64);
        let mut metric = Metric::from_label(labels(*label));
        metric.set_gauge(gauge);
        metric
    };
    family(name, help, MetricType::GAUGE, values.iter().map(metric).collect())
}

fn build_info() -> MetricFamily {
    let label = Some(("version", env!("CARGO_PKG_VERSION")));
    gauge("fanwire_build_info", "The version that runs; always 1.", &[(label, 1)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_added_up() {
        let workers = vec![Arc::new(WorkerCounters::default()), Arc::new(WorkerCounters::default())];
        workers[0].publications.add(3);
        workers[1].publications.add(4);
        workers[0].connections[Transport::Bare as usize].add(1);
        workers[1].connections[Transport::Bare as usize].subtract(1);
        workers[1].delivered_after(70);
        let metrics = Metrics::new(workers, Arc::default()).unwrap();
        let page = metrics.render().unwrap();
        for line in [
            "fanwire_publications_total 7",
            "fanwire_connections{transport=\"bare\"} 0",
            "fanwire_delivery_latency_seconds_bucket{le=\"0.00005\"} 0",
            "fanwire_delivery_latency_seconds_bucket{le=\"0.0001\"} 1",
            "fanwire_delivery_latency_seconds_bucket{le=\"+Inf\"} 1",
            concat!("fanwire_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        ] {
            assert!(page.lines().any(|found| found == line), "{line} in\n{page}");
        }
    }

    #[test]
    fn the_operators_page_lists_what_there_is() {
        let page = Metrics::new(vec![Arc::default()], Arc::default()).unwrap().render().unwrap();
        let mut served: Vec<&str> =
            page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
        let text = include_str!("../../../docs/operations.md");
        let (_, rest) = text.split_once("| metric |").unwrap();
        let (table, _) = rest.split_once("Worth an alarm").unwrap();
        // The first cell of each row names metrics, and so does the sentence below the table.
        let cells =
            table.lines().map(|line| line.trim_start_matches("| ").split(" | ").next().unwrap_or(line));
        let mut listed: Vec<&str> = cells
            .flat_map(|cell| cell.split('`').skip(1).step_by(2))
            .map(|name| name.split('{').next().unwrap_or(name))
            .collect();
        served.sort_unstable();
        listed.sort_unstable();
        assert_eq!(listed, served, "docs/operations.md lists each metric once, and none that is not there");
    }
}
