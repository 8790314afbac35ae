//! The overview: what all workers counted, as one page of JSON for the console and for programs.
//!
//! The same counters as on `/metrics`, beside what Prometheus works out by itself: rates, and each worker for itself.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use fanwire_protocol::{CloseCode, ErrorCode};
use serde::Serialize;

use super::counters::LATENCY_BOUNDS_US;
use super::{DropReason, HandshakeFailure, RateReason, RefusalReason, Shared, Transport, WorkerCounters};
use crate::clock;

/// All counters of the broker, ready to be shown to operators.
pub(crate) struct Overview {
    workers: Vec<Arc<WorkerCounters>>,
    shared: Arc<Shared>,
    facts: Facts,
    started_ms: u64,
    pace: Mutex<Pace>,
}

/// What does not change while the broker runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    /// The most memory that history may take, in bytes.
    pub(crate) history_bytes_max: u64,
    /// The most bytes that may wait for one session.
    pub(crate) outbox_bytes_max: u64,
    /// Whether there is an application to be asked.
    pub(crate) has_hooks: bool,
    /// Whether there is a disk for durable topics.
    pub(crate) has_store: bool,
}

/// How fast things went lately, and from which counts the next pace is worked out.
#[derive(Debug, Default)]
struct Pace {
    rates: Rates,
    totals: Traffic,
    at_us: u64,
}

/// What went in and out so far.
#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Traffic {
    publications: u64,
    publication_bytes: u64,
    deliveries: u64,
    received_bytes: u64,
    sent_bytes: u64,
}

/// The same per second.
#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Rates {
    publications: f64,
    publication_bytes: f64,
    deliveries: f64,
    received_bytes: f64,
    sent_bytes: f64,
}

type Counts = BTreeMap<&'static str, u64>;

/// Everything at one moment.
#[derive(Debug, Serialize)]
pub(crate) struct Stats {
    version: &'static str,
    /// When the broker started and what time it is, in milliseconds since 1970.
    started: u64,
    now: u64,
    rates: Rates,
    totals: Traffic,
    connections: Counts,
    connections_opened: Counts,
    connections_refused: Counts,
    handshakes: u64,
    handshakes_failed: Counts,
    subscriptions: u64,
    topics: u64,
    history: HistoryStats,
    outbox_bytes: u64,
    outbox_bytes_max: u64,
    inbox_bytes: u64,
    errors: Counts,
    closes: Counts,
    dropped_deliveries: Counts,
    publishes_refused: Counts,
    latency: LatencyStats,
    hooks: HookStats,
    store: StoreStats,
    key_set: Counts,
    /// In milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_expires: Option<u64>,
    process: BTreeMap<String, f64>,
    workers: Vec<WorkerStats>,
}

#[derive(Debug, Serialize)]
struct HistoryStats {
    publications: u64,
    bytes: u64,
    bytes_max: u64,
    evictions: u64,
}

#[derive(Debug, Serialize)]
struct LatencyStats {
    count: u64,
    sum_us: u64,
    /// How many took at most so long and longer than the bucket before; the last has no bound.
    buckets: Vec<Bucket>,
}

#[derive(Debug, Serialize)]
struct Bucket {
    #[serde(skip_serializing_if = "Option::is_none")]
    at_most_us: Option<u64>,
    count: u64,
}

#[derive(Debug, Serialize)]
struct HookStats {
    configured: bool,
    asks: Counts,
    ask_us: u64,
    asks_active: u64,
    asks_waiting: u64,
    /// What became of the events told so far.
    tells: Counts,
    tell_retries: u64,
    tells_waiting: u64,
    tells_waiting_bytes: u64,
    /// For how long the oldest of them has been waiting.
    tells_oldest_ms: u64,
}

#[derive(Debug, Serialize)]
struct StoreStats {
    configured: bool,
    /// Why durable topics cannot be used, while they cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
    queue_bytes: u64,
    commits: u64,
    publications: u64,
    commit_us: u64,
    failures: u64,
}

#[derive(Debug, Serialize)]
struct WorkerStats {
    connections: u64,
    subscriptions: u64,
    outbox_bytes: u64,
    #[serde(flatten)]
    totals: Traffic,
}

impl Overview {
    /// Shows these counters of a broker that starts now.
    pub(crate) fn new(workers: Vec<Arc<WorkerCounters>>, shared: Arc<Shared>, facts: Facts) -> Self {
        Self { workers, shared, facts, started_ms: clock::unix_ms(), pace: Mutex::default() }
    }

    /// Works out how fast things went since this was last called. To be called every second or so.
    pub(crate) fn measure_pace(&self, now_us: u64) {
        let totals = self.traffic();
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = now_us.saturating_sub(pace.at_us) as f64 / 1e6;
        if seconds <= 0.0 {
            return;
        }
        let rate = |of: fn(&Traffic) -> u64| of(&totals).wrapping_sub(of(&pace.totals)) as f64 / seconds;
        let rates = Rates {
            publications: rate(|totals| totals.publications),
            publication_bytes: rate(|totals| totals.publication_bytes),
            deliveries: rate(|totals| totals.deliveries),
            received_bytes: rate(|totals| totals.received_bytes),
            sent_bytes: rate(|totals| totals.sent_bytes),
        };
        *pace = Pace { rates, totals, at_us: now_us };
    }

    /// Everything as of now. `store_failure` says why durable topics cannot be used, while they cannot.
    pub(crate) fn stats(&self, store_failure: Option<Arc<str>>) -> Stats {
        let shared = &self.shared;
        let certificate = load(&shared.certificate_expires_unix);
        Stats {
            version: env!("CARGO_PKG_VERSION"),
            started: self.started_ms,
            now: clock::unix_ms(),
            rates: self.pace.lock().unwrap_or_else(PoisonError::into_inner).rates,
            totals: self.traffic(),
            connections: self.by_transport(|worker, index| worker.connections[index].value()),
            connections_opened: self.by_transport(|worker, index| worker.connections_opened[index].value()),
            connections_refused: by_label(RefusalReason::ALL, |reason| {
                (reason.label(), load(&shared.refused[reason as usize]))
            }),
            handshakes: self.sum(|worker| worker.handshakes.value()),
            handshakes_failed: by_label(HandshakeFailure::ALL, |failure| {
                (failure.label(), self.sum(|worker| worker.handshakes_failed[failure as usize].value()))
            }),
            subscriptions: self.sum(|worker| worker.subscriptions.value()),
            topics: load(&shared.topics),
            history: HistoryStats {
                publications: load(&shared.history_publications),
                bytes: load(&shared.history_bytes),
                bytes_max: self.facts.history_bytes_max,
                evictions: load(&shared.history_evictions),
            },
            outbox_bytes: self.sum(|worker| worker.outbox_bytes.value()),
            outbox_bytes_max: self.facts.outbox_bytes_max,
            inbox_bytes: load(&shared.inbox_bytes),
            errors: by_label(ErrorCode::ALL, |code| {
                (code.as_str(), self.sum(|worker| worker.errors[code as usize].value()))
            }),
            closes: self.closes(),
            dropped_deliveries: by_label(DropReason::ALL, |reason| {
                (reason.label(), self.sum(|worker| worker.drops[reason as usize].value()))
            }),
            publishes_refused: by_label(RateReason::ALL, |reason| {
                (reason.label(), self.sum(|worker| worker.rate_refusals[reason as usize].value()))
            }),
            latency: self.latency(),
            hooks: self.hooks(),
            store: self.store(store_failure),
            key_set: BTreeMap::from([
                ("fetched", load(&shared.key_set_fetches)),
                ("failed", load(&shared.key_set_failures)),
            ]),
            certificate_expires: (certificate > 0).then_some(certificate * 1000),
            process: process(),
            workers: self.workers.iter().map(|worker| WorkerStats::of(worker)).collect(),
        }
    }

    fn sum(&self, pick: impl Fn(&WorkerCounters) -> u64) -> u64 {
        // A gauge may be raised on one worker and lowered on another; only the wrapping sum is always right.
        self.workers.iter().fold(0, |sum: u64, worker| sum.wrapping_add(pick(worker)))
    }

    fn by_transport(&self, pick: fn(&WorkerCounters, usize) -> u64) -> Counts {
        by_label(Transport::ALL, |transport| {
            (transport.label(), self.sum(|worker| pick(worker, transport as usize)))
        })
    }

    fn traffic(&self) -> Traffic {
        let sum =
            self.workers.iter().map(|worker| Traffic::of(worker)).fold(Traffic::default(), Traffic::plus);
        // Durable ones are accepted on the store's thread.
        let durable = Traffic {
            publications: load(&self.shared.durable_publications),
            publication_bytes: load(&self.shared.durable_publication_bytes),
            ..Traffic::default()
        };
        sum.plus(durable)
    }

    fn closes(&self) -> Counts {
        let mut closes = by_label(CloseCode::ALL, |code| {
            (code.label(), self.sum(|worker| worker.closes[code as usize].value()))
        });
        closes.insert("by_client", self.sum(|worker| worker.closes_by_client.value()));
        closes
    }

    fn latency(&self) -> LatencyStats {
        let bucket = |index: usize| Bucket {
            at_most_us: LATENCY_BOUNDS_US.get(index).copied(),
            count: self.sum(|worker| worker.latency[index].value()),
        };
        let buckets: Vec<Bucket> = (0..=LATENCY_BOUNDS_US.len()).map(bucket).collect();
        let count = buckets.iter().map(|bucket| bucket.count).sum();
        LatencyStats { count, sum_us: self.sum(|worker| worker.latency_sum_us.value()), buckets }
    }

    fn hooks(&self) -> HookStats {
        let shared = &self.shared;
        let tells_waiting = load(&shared.hook_tells_waiting);
        let oldest_ms = clock::monotonic_ms().saturating_sub(load(&shared.hook_tells_oldest_ms));
        HookStats {
            configured: self.facts.has_hooks,
            asks: BTreeMap::from([
                ("allowed", load(&shared.hook_asks_allowed)),
                ("refused", load(&shared.hook_asks_refused)),
                ("failed", load(&shared.hook_asks_failed)),
            ]),
            ask_us: load(&shared.hook_ask_us),
            asks_active: load(&shared.hook_asks_active),
            asks_waiting: load(&shared.hook_asks_waiting),
            tells: BTreeMap::from([
                ("delivered", load(&shared.hook_tells_delivered)),
                ("full", load(&shared.hook_tells_full)),
                ("refused", load(&shared.hook_tells_refused)),
                ("expired", load(&shared.hook_tells_expired)),
                ("stopped", load(&shared.hook_tells_stopped)),
            ]),
            tell_retries: load(&shared.hook_tell_retries),
            tells_waiting,
            tells_waiting_bytes: load(&shared.hook_tells_waiting_bytes),
            tells_oldest_ms: if tells_waiting > 0 { oldest_ms } else { 0 },
        }
    }

    fn store(&self, failure: Option<Arc<str>>) -> StoreStats {
        let shared = &self.shared;
        StoreStats {
            configured: self.facts.has_store,
            failure: failure.map(|failure| failure.to_string()),
            queue_bytes: load(&shared.store_queue_bytes),
            commits: load(&shared.store_commits),
            publications: load(&shared.store_committed),
            commit_us: load(&shared.store_commit_us),
            failures: load(&shared.store_failures),
        }
    }
}

impl Traffic {
    fn of(worker: &WorkerCounters) -> Self {
        Self {
            publications: worker.publications.value(),
            publication_bytes: worker.publication_bytes.value(),
            deliveries: worker.deliveries.value(),
            received_bytes: worker.received_bytes.value(),
            sent_bytes: worker.sent_bytes.value(),
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            publications: self.publications.wrapping_add(other.publications),
            publication_bytes: self.publication_bytes.wrapping_add(other.publication_bytes),
            deliveries: self.deliveries.wrapping_add(other.deliveries),
            received_bytes: self.received_bytes.wrapping_add(other.received_bytes),
            sent_bytes: self.sent_bytes.wrapping_add(other.sent_bytes),
        }
    }
}

impl WorkerStats {
    fn of(worker: &WorkerCounters) -> Self {
        let connections =
            worker.connections.iter().fold(0, |sum: u64, count| sum.wrapping_add(count.value()));
        Self {
            connections,
            subscriptions: worker.subscriptions.value(),
            outbox_bytes: worker.outbox_bytes.value(),
            totals: Traffic::of(worker),
        }
    }
}

fn load(value: &AtomicU64) -> u64 {
    value.load(Ordering::Relaxed)
}

fn by_label<T, const N: usize>(all: [T; N], count: impl Fn(T) -> (&'static str, u64)) -> Counts {
    all.into_iter().map(count).collect()
}

/// What the operating system says of the process: its figures on `/metrics`, by their names without `process_`.
#[cfg(target_os = "linux")]
fn process() -> BTreeMap<String, f64> {
    use prometheus::core::Collector;
    let families = prometheus::process_collector::ProcessCollector::for_self().collect();
    let figure = |family: &prometheus::proto::MetricFamily| {
        let metric = family.get_metric().first()?;
        let value = match family.get_field_type() {
            prometheus::proto::MetricType::COUNTER => metric.get_counter().get_value(),
            _ => metric.get_gauge().get_value(),
        };
        Some((family.name().trim_start_matches("process_").to_owned(), value))
    };
    let mut figures: BTreeMap<String, f64> = families.iter().filter_map(figure).collect();
    // There it is counted in whole seconds, which says nothing over two of them.
    let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    figures.insert("cpu_seconds_total".to_owned(), cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9);
    figures
}

#[cfg(not(target_os = "linux"))]
fn process() -> BTreeMap<String, f64> {
    BTreeMap::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overview(workers: Vec<Arc<WorkerCounters>>) -> Overview {
        let facts = Facts { history_bytes_max: 7, outbox_bytes_max: 5, has_hooks: false, has_store: true };
        Overview::new(workers, Arc::default(), facts)
    }

    #[test]
    fn rates_are_of_the_time_between_two_looks() {
        let worker = Arc::new(WorkerCounters::default());
        let overview = overview(vec![worker.clone(), Arc::default()]);
        worker.deliveries.add(1000);
        overview.measure_pace(1_000_000);
        worker.publications.add(30);
        overview.shared.durable_publications.fetch_add(20, Ordering::Relaxed);
        overview.measure_pace(3_000_000);
        overview.measure_pace(3_000_000);
        let stats = overview.stats(None);
        assert_eq!((stats.rates.publications, stats.rates.deliveries), (25.0, 0.0));
        assert_eq!((stats.totals.publications, stats.totals.deliveries), (50, 1000));
    }

    #[test]
    fn each_worker_is_shown_and_all_together() {
        let workers: Vec<Arc<WorkerCounters>> = vec![Arc::default(), Arc::default()];
        workers[0].connections[Transport::Sse as usize].add(2);
        workers[1].connections[Transport::Sse as usize].add(3);
        workers[1].delivered_after(70);
        workers[1].delivered_after(9_000_000);
        let stats = overview(workers).stats(Some("full".into()));
        assert_eq!(stats.connections["sse"], 5);
        assert_eq!(stats.workers.iter().map(|worker| worker.connections).collect::<Vec<_>>(), [2, 3]);
        assert_eq!((stats.latency.count, stats.latency.buckets[1].count), (2, 1));
        let last = stats.latency.buckets.last().unwrap();
        assert_eq!((last.at_most_us, last.count), (None, 1));
        let text = serde_json::to_string(&stats).unwrap();
        assert!(text.contains(r#""failure":"full""#), "{text}");
        #[cfg(target_os = "linux")]
        assert!(stats.process["resident_memory_bytes"] > 0.0);
    }
}
