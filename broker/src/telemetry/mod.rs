//! What operators see: counters, the metrics made of them, and logs.
//!
//! A leaf: it counts what it is told and knows nothing of who tells it.

mod api_requests;
mod counters;
mod logs;
mod metrics;
mod overview;

pub use logs::{LogError, start_logs};

pub(crate) use api_requests::{ApiOperation, ApiOutcome, ApiRequestCounters};
pub(crate) use counters::{
    Counter, DropReason, HandshakeFailure, RateReason, RefusalReason, Shared, Transport, WorkerCounters,
};
pub(crate) use metrics::Metrics;
pub(crate) use overview::{Facts, Overview};
