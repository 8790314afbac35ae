//! Operating the broker: starting, stopping, metrics, and the load generator.

mod banner;
mod bench;
mod bench_pusher;
mod metric_table;
mod metrics_and_stopping;
mod starting;
mod stopping_deaf_clients;
