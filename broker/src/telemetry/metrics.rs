//! `/metrics`: the table of metrics as a page for Prometheus.

use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, MetricFamily, MetricType};
use prometheus::{Registry, TextEncoder};

use super::counters::{LATENCY_BOUNDS_US, Shared, WorkerCounters};
use super::metric::{Kind, Metric};
use super::reading::{Latencies, Reading};
use super::table::METRICS;

/// All counters of the broker, for Prometheus.
#[derive(Clone)]
pub(crate) struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// Shows these counters, and those of the process.
    ///
    /// # Errors
    /// If the registry refuses a collector.
    pub(crate) fn new(
        workers: Vec<Arc<WorkerCounters>>,
        shared: Arc<Shared>,
    ) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        // The registry wants a description that no other collector has; one of all families is enough.
        let Metric { name, help, .. } = METRICS[0];
        let desc = Desc::new(name.to_owned(), help.to_owned(), Vec::new(), Default::default())?;
        registry.register(Box::new(Table { desc, reading: Reading { workers, shared } }))?;
        #[cfg(target_os = "linux")]
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(Self { registry })
    }

    /// Returns the page in the text format of Prometheus.
    ///
    /// # Errors
    /// If the format cannot express a metric.
    pub(crate) fn render(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

/// The table of metrics as a collector.
struct Table {
    desc: Desc,
    reading: Reading,
}

impl Collector for Table {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        METRICS.iter().map(|metric| family(metric, &self.reading)).collect()
    }
}

fn family(metric: &Metric, reading: &Reading) -> MetricFamily {
    let one = |(labels, value): (Vec<(&str, &str)>, u64)| {
        let value = metric.unit.shown(value);
        let mut one = prometheus::proto::Metric::from_label(labels.into_iter().map(pair).collect());
        match metric.kind {
            Kind::Counter => {
                let mut counter = Counter::default();
                counter.set_value(value);
                one.set_counter(counter);
            }
            Kind::Gauge => {
                let mut gauge = Gauge::default();
                gauge.set_value(value);
                one.set_gauge(gauge);
            }
            Kind::Histogram => one.set_histogram(histogram(&reading.latencies())),
        }
        one
    };
    let mut family = MetricFamily::default();
    family.set_name(metric.name.to_owned());
    family.set_help(metric.help.to_owned());
    family.set_field_type(match metric.kind {
        Kind::Counter => MetricType::COUNTER,
        Kind::Gauge => MetricType::GAUGE,
        Kind::Histogram => MetricType::HISTOGRAM,
    });
    family.set_metric(metric.series().into_iter().zip(reading.values(metric)).map(one).collect());
    family
}

fn pair((name, value): (&str, &str)) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

fn histogram(latencies: &Latencies) -> Histogram {
    let mut cumulative = 0;
    let bucket = |(bound, count): (&u64, &u64)| {
        cumulative += count;
        let mut bucket = Bucket::default();
        bucket.set_cumulative_count(cumulative);
        bucket.set_upper_bound(*bound as f64 / 1e6);
        bucket
    };
    let mut histogram = Histogram::default();
    histogram.set_bucket(LATENCY_BOUNDS_US.iter().zip(&latencies.counts).map(bucket).collect());
    histogram.set_sample_count(latencies.counts.iter().sum());
    histogram.set_sample_sum(latencies.sum_us as f64 / 1e6);
    histogram
}
