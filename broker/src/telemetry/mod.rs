//! Telemetry: counters, the metrics made from them, and logs.
//!
//! A leaf: it does not know the parts of the broker that count.

mod api_requests;
mod counter;
mod counters;
mod logs;
mod metric;
mod metrics;
mod overview;
mod reading;
mod table;

#[cfg(test)]
mod tests;

pub use logs::{LogError, start_logs};

pub(crate) use api_requests::{ApiOperation, ApiOutcome};
pub(crate) use counters::{
    DropReason, HandshakeFailure, RateReason, RefusalAnswer, RefusalReason, Shared, Transport, WorkerCounters,
};
pub(crate) use metrics::Metrics;
pub(crate) use overview::{Facts, Overview};
