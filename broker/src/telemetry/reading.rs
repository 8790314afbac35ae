//! Reads counters: the values of one metric, over all workers.

use std::sync::Arc;

use super::counters::{LATENCY_BOUNDS_US, Shared, WorkerCounters};
use super::metric::{Metric, Source};

/// All counters of the broker.
#[derive(Clone)]
pub(super) struct Reading {
    pub(super) workers: Vec<Arc<WorkerCounters>>,
    pub(super) shared: Arc<Shared>,
}

/// The histogram of delivery latencies.
pub(super) struct Latencies {
    /// The number of deliveries in each bucket; the last bucket has no upper bound.
    pub(super) counts: Vec<u64>,
    /// The sum of the latencies in microseconds.
    pub(super) sum_us: u64,
}

impl Reading {
    /// Returns the value of each series of `metric`, in the order of [`Metric::series`].
    pub(super) fn values(&self, metric: &Metric) -> Vec<u64> {
        (0..metric.series().len()).map(|index| self.value(metric, index)).collect()
    }

    /// Returns the value of one series. A histogram has none.
    pub(super) fn value(&self, metric: &Metric, index: usize) -> u64 {
        match metric.source {
            Source::Workers(read) => self.sum(|worker| read(worker, index)),
            Source::Shared(read) => read(&self.shared, index),
            Source::Both(of_worker, of_broker) => self.sum(of_worker).wrapping_add(of_broker(&self.shared)),
            Source::Latency => 0,
        }
    }

    /// Returns the latencies of all workers.
    pub(super) fn latencies(&self) -> Latencies {
        let count = |index: usize| self.sum(|worker| worker.latency[index].value());
        Latencies {
            counts: (0..=LATENCY_BOUNDS_US.len()).map(count).collect(),
            sum_us: self.sum(|worker| worker.latency_sum_us.value()),
        }
    }

    fn sum(&self, read: impl Fn(&WorkerCounters) -> u64) -> u64 {
        // A gauge may be raised on one worker and lowered on another, so only the wrapping sum is always right.
        self.workers.iter().fold(0, |sum: u64, worker| sum.wrapping_add(read(worker)))
    }
}

/// Returns the value of `metric` on one worker, added over its series. Metrics that no worker counts have none.
pub(super) fn value_of_worker(metric: &Metric, worker: &WorkerCounters) -> Option<u64> {
    match metric.source {
        Source::Workers(read) => {
            let series = 0..metric.series().len();
            Some(series.fold(0, |sum: u64, index| sum.wrapping_add(read(worker, index))))
        }
        Source::Both(read, _) => Some(read(worker)),
        Source::Shared(_) | Source::Latency => None,
    }
}
