//! Operating the broker: starting, stopping, metrics, and the load generator.

mod bench;
mod bench_pusher;
mod greeting;
mod metric_table;
mod metrics_and_stopping;
mod starting;
