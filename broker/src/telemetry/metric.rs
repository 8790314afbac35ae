//! One row of the table of metrics: its name, type, labels and values, help, documentation, JSON key, and counter.
//!
//! The page for Prometheus, the JSON statistics and the operators' documentation are made from these rows.

use super::counters::{Shared, WorkerCounters};

/// One metric of the broker.
#[derive(Clone, Copy)]
pub(super) struct Metric {
    /// The name on `/metrics`.
    pub(super) name: &'static str,
    /// The type on `/metrics`.
    pub(super) kind: Kind,
    /// The meaning, as a whole sentence: the help on `/metrics` and the text in docs/operations.md.
    pub(super) help: &'static str,
    /// A link for docs/operations.md, in Markdown; empty if there is none.
    #[cfg_attr(not(test), expect(dead_code, reason = "only the test of docs/operations.md reads it"))]
    pub(super) see: &'static str,
    /// The labels. There is one series for each combination of their values; the values of the last label vary fastest.
    pub(super) labels: &'static [Label],
    /// The unit of the counter. `/metrics` has seconds, the JSON statistics have the counter's own unit.
    pub(super) unit: Unit,
    /// The dotted key in `/api/v1/stats`.
    pub(super) json: Option<&'static str>,
    /// The counter that holds the value.
    pub(super) source: Source,
}

/// The type of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A count that only grows.
    Counter,
    /// A value that rises and falls.
    Gauge,
    /// Counts of durations, by upper bound.
    Histogram,
}

/// The unit of a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// A number of things or bytes, or a time in seconds.
    One,
    /// Milliseconds, shown as seconds.
    Millis,
    /// Microseconds, shown as seconds.
    Micros,
}

/// A label and all of its values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Label {
    /// The name on `/metrics`.
    pub(super) name: &'static str,
    /// Returns the values of the label.
    pub(super) values: fn() -> Vec<&'static str>,
}

/// The counter that a metric reads. The second argument is the index of the series.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source {
    /// A counter of each worker; their values are added.
    Workers(fn(&WorkerCounters, usize) -> u64),
    /// A counter of the whole broker.
    Shared(fn(&Shared, usize) -> u64),
    /// A counter of each worker, and one more of the whole broker that is added to them.
    Both(fn(&WorkerCounters) -> u64, fn(&Shared) -> u64),
    /// The histogram of delivery latencies.
    Latency,
}

impl Metric {
    /// A counter. `help` is a whole sentence.
    pub(super) const fn counter(name: &'static str, help: &'static str, source: Source) -> Self {
        let (see, labels, unit, json) = ("", [].as_slice(), Unit::One, None);
        Self { name, kind: Kind::Counter, help, see, labels, unit, json, source }
    }

    /// A gauge. `help` is a whole sentence.
    pub(super) const fn gauge(name: &'static str, help: &'static str, source: Source) -> Self {
        let counter = Self::counter(name, help, source);
        Self { kind: Kind::Gauge, ..counter }
    }

    /// A histogram. `help` is a whole sentence.
    pub(super) const fn histogram(name: &'static str, help: &'static str, source: Source) -> Self {
        let counter = Self::counter(name, help, source);
        Self { kind: Kind::Histogram, ..counter }
    }

    /// The same metric with these labels.
    pub(super) const fn by(self, labels: &'static [Label]) -> Self {
        Self { labels, ..self }
    }

    /// The same metric under this key in `/api/v1/stats`.
    pub(super) const fn json(self, key: &'static str) -> Self {
        Self { json: Some(key), ..self }
    }

    /// The same metric, read from a counter of this unit.
    pub(super) const fn unit(self, unit: Unit) -> Self {
        Self { unit, ..self }
    }

    /// The same metric with a link in docs/operations.md.
    pub(super) const fn see(self, see: &'static str) -> Self {
        Self { see, ..self }
    }

    /// Returns the labels of each series, in the order of their indexes.
    pub(super) fn series(&self) -> Vec<Vec<(&'static str, &'static str)>> {
        self.labels.iter().fold(vec![Vec::new()], |series, label| {
            let extend = |labels: &Vec<(&'static str, &'static str)>| {
                let with = |value| [labels.as_slice(), &[(label.name, value)]].concat();
                (label.values)().into_iter().map(with).collect::<Vec<_>>()
            };
            series.iter().flat_map(extend).collect()
        })
    }
}

impl Unit {
    /// Converts a count of this unit to what `/metrics` shows.
    pub(super) fn shown(self, count: u64) -> f64 {
        match self {
            Unit::One => count as f64,
            Unit::Millis => count as f64 / 1e3,
            Unit::Micros => count as f64 / 1e6,
        }
    }
}
