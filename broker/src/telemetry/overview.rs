//! `/api/v1/stats`: the table of metrics as JSON, for the console and for programs.
//!
//! Besides the metrics it has what Prometheus computes by itself: rates, and the counts of each worker. It has limits and
//! states that are no metrics, too.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value, json};

use super::counters::{LATENCY_BOUNDS_US, Shared, WorkerCounters};
use super::metric::{Kind, Metric};
use super::reading::{Reading, value_of_worker};
use super::table::METRICS;
use crate::clock;

/// The section of the totals, whose rates are measured and which are shown for each worker.
const TOTALS: &str = "totals.";

/// The keys of further metrics that are shown for each worker.
const OF_WORKERS: [&str; 3] = ["connections", "subscriptions", "outbox_bytes"];

/// All counters of the broker, for operators.
pub(crate) struct Overview {
    reading: Reading,
    facts: Facts,
    started_ms: u64,
    pace: Mutex<Pace>,
}

/// Facts that do not change while the broker runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    /// The maximum memory for history, in bytes.
    pub(crate) history_bytes_max: u64,
    /// The maximum size of one outbox, in bytes.
    pub(crate) outbox_bytes_max: u64,
    /// Whether an application is configured.
    pub(crate) has_hooks: bool,
    /// Whether durable topics are configured.
    pub(crate) has_store: bool,
}

/// The last rates, and the totals that the next rates are computed from.
#[derive(Debug, Default)]
struct Pace {
    rates: Map<String, Value>,
    totals: Vec<u64>,
    at_us: u64,
}

impl Overview {
    /// Shows these counters of a broker that starts now.
    pub(crate) fn new(workers: Vec<Arc<WorkerCounters>>, shared: Arc<Shared>, facts: Facts) -> Self {
        let overview = Self {
            reading: Reading { workers, shared },
            facts,
            started_ms: clock::unix_ms(),
            pace: Mutex::default(),
        };
        let idle = totals().map(|(key, _)| (key.to_owned(), json!(0.0))).collect();
        overview.pace.lock().unwrap_or_else(PoisonError::into_inner).rates = idle;
        overview
    }

    /// Computes the rates since the last call. The caller calls this about once a second.
    pub(crate) fn measure_pace(&self, now_us: u64) {
        let counts: Vec<u64> = totals().map(|(_, metric)| self.reading.value(metric, 0)).collect();
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = now_us.saturating_sub(pace.at_us) as f64 / 1e6;
        if seconds <= 0.0 {
            return;
        }
        let rate = |(index, (key, _)): (usize, (&str, _))| {
            let before = pace.totals.get(index).copied().unwrap_or(0);
            (key.to_owned(), json!(counts[index].wrapping_sub(before) as f64 / seconds))
        };
        let rates = totals().enumerate().map(rate).collect();
        *pace = Pace { rates, totals: counts, at_us: now_us };
    }

    /// Returns all values as of now. `store_failure` is the reason why durable topics cannot be used, while they cannot.
    pub(crate) fn stats(&self, store_failure: Option<Arc<str>>) -> Value {
        let mut page = Map::new();
        for metric in METRICS {
            if let Some(key) = metric.json {
                put(&mut page, key, self.value(metric));
            }
        }
        put(&mut page, "version", json!(env!("CARGO_PKG_VERSION")));
        put(&mut page, "started", json!(self.started_ms));
        put(&mut page, "now", json!(clock::unix_ms()));
        let rates = self.pace.lock().unwrap_or_else(PoisonError::into_inner).rates.clone();
        put(&mut page, "rates", Value::Object(rates));
        put(&mut page, "history.bytes_max", json!(self.facts.history_bytes_max));
        put(&mut page, "outbox_bytes_max", json!(self.facts.outbox_bytes_max));
        put(&mut page, "hooks.configured", json!(self.facts.has_hooks));
        put(&mut page, "store.configured", json!(self.facts.has_store));
        if let Some(failure) = store_failure {
            put(&mut page, "store.failure", json!(&*failure));
        }
        let certificate =
            METRICS.iter().find(|metric| metric.name.starts_with("fanwire_certificate_expires"));
        if let Some(expires_unix @ 1..) = certificate.map(|metric| self.reading.value(metric, 0)) {
            put(&mut page, "certificate_expires", json!(expires_unix * 1000));
        }
        put(&mut page, "process", Value::Object(process()));
        let workers = self.reading.workers.iter().map(|worker| of_worker(worker)).collect();
        put(&mut page, "workers", Value::Array(workers));
        Value::Object(page)
    }

    /// Returns one metric: a number, an object by label value, an object of objects, or the histogram.
    fn value(&self, metric: &Metric) -> Value {
        if metric.kind == Kind::Histogram {
            return self.latency();
        }
        if metric.labels.is_empty() {
            return json!(self.reading.value(metric, 0));
        }
        let mut by_label = Map::new();
        for (series, value) in metric.series().iter().zip(self.reading.values(metric)) {
            let path: Vec<&str> = series.iter().map(|(_, label)| *label).collect();
            put_at(&mut by_label, &path, json!(value));
        }
        Value::Object(by_label)
    }

    fn latency(&self) -> Value {
        let latencies = self.reading.latencies();
        let bucket = |(index, count): (usize, &u64)| match LATENCY_BOUNDS_US.get(index) {
            Some(bound) => json!({ "at_most_us": bound, "count": count }),
            None => json!({ "count": count }),
        };
        json!({
            "count": latencies.counts.iter().sum::<u64>(),
            "sum_us": latencies.sum_us,
            "buckets": latencies.counts.iter().enumerate().map(bucket).collect::<Vec<_>>(),
        })
    }
}

/// Returns the totals: their keys without the section, and their metrics.
fn totals() -> impl Iterator<Item = (&'static str, &'static Metric)> {
    METRICS.iter().filter_map(|metric| Some((metric.json?.strip_prefix(TOTALS)?, metric)))
}

fn of_worker(worker: &WorkerCounters) -> Value {
    let further = METRICS.iter().filter_map(|metric| Some((metric.json?, metric)));
    let further = further.filter(|(key, _)| OF_WORKERS.contains(key));
    let count =
        |(key, metric): (&str, &Metric)| Some((key.to_owned(), json!(value_of_worker(metric, worker)?)));
    Value::Object(totals().chain(further).filter_map(count).collect())
}

/// Puts `value` under a dotted key.
fn put(page: &mut Map<String, Value>, key: &str, value: Value) {
    put_at(page, &key.split('.').collect::<Vec<_>>(), value);
}

/// Puts `value` at the end of a path of keys, and makes the objects on the way.
fn put_at(page: &mut Map<String, Value>, path: &[&str], value: Value) {
    match path {
        [] => {}
        [key] => {
            page.insert((*key).to_owned(), value);
        }
        [key, rest @ ..] => {
            if let Value::Object(section) = page.entry(*key).or_insert_with(|| json!({})) {
                put_at(section, rest, value);
            }
        }
    }
}

/// Returns what the operating system reports of the process: its values on `/metrics`, by their names without `process_`.
#[cfg(target_os = "linux")]
fn process() -> Map<String, Value> {
    use prometheus::core::Collector;
    let families = prometheus::process_collector::ProcessCollector::for_self().collect();
    let figure = |family: &prometheus::proto::MetricFamily| {
        let metric = family.get_metric().first()?;
        let value = match family.get_field_type() {
            prometheus::proto::MetricType::COUNTER => metric.get_counter().get_value(),
            _ => metric.get_gauge().get_value(),
        };
        Some((family.name().trim_start_matches("process_").to_owned(), json!(value)))
    };
    let mut figures: Map<String, Value> = families.iter().filter_map(figure).collect();
    // The collector counts whole seconds, which say nothing about an interval of two seconds.
    let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    figures.insert("cpu_seconds_total".to_owned(), json!(cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9));
    figures
}

#[cfg(not(target_os = "linux"))]
fn process() -> Map<String, Value> {
    Map::new()
}
