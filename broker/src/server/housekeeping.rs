//! The periodic work of the main thread: history, the store, figures, and the certificate.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::clock;
use crate::engine::Engine;
use crate::log_limit;
use crate::telemetry::{Overview, Shared};
use crate::tls::Certificates;

/// The interval at which history is trimmed and idle topics are removed.
const TIDY_INTERVAL: Duration = Duration::from_secs(5);

/// The interval at which durable topics are tidied on disk.
const TIDY_STORE_INTERVAL: Duration = Duration::from_secs(60);

/// The interval at which rates and the store's queue are measured.
const MEASURE_INTERVAL: Duration = Duration::from_secs(1);

/// The interval at which the certificate files are checked for changes.
const CERTIFICATE_INTERVAL: Duration = Duration::from_secs(5);

/// Trims history and removes idle topics, at intervals and whenever memory runs short, and measures rates.
pub(super) async fn keep_tidy(engine: &Engine, overview: &Overview) {
    let ticks_of = |interval| {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        ticks
    };
    let mut ticks = ticks_of(TIDY_INTERVAL);
    let mut store_ticks = ticks_of(TIDY_STORE_INTERVAL);
    let mut measuring = ticks_of(MEASURE_INTERVAL);
    let housekeeping = engine.housekeeping();
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                housekeeping.tidy();
                log_limit::report_left_out();
            }
            _ = store_ticks.tick() => {
                let archive = housekeeping.clone();
                if let Err(error) = tokio::task::spawn_blocking(move || archive.tidy_archive()).await {
                    tracing::error!(%error, "tidying the store failed");
                }
            }
            _ = measuring.tick() => {
                housekeeping.measure_archive();
                overview.measure_pace(clock::monotonic_us());
                engine.members().expire(clock::monotonic_ms());
                engine.announce_counts(clock::monotonic_ms());
            }
            () = housekeeping.outgrown() => housekeeping.evict(),
        }
    }
}

/// Loads a renewed certificate soon after its files change. The files are read on a thread of their own, so that a file
/// system that does not answer holds up no connection.
pub(super) async fn watch_certificates(certificates: Option<Arc<Certificates>>, shared: &Shared) {
    let Some(certificates) = certificates else { return std::future::pending().await };
    loop {
        shared.certificate_expires_unix.store(certificates.expires_unix(), Ordering::Relaxed);
        tokio::time::sleep(CERTIFICATE_INTERVAL).await;
        let watched = certificates.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || watched.reload_if_changed()).await {
            tracing::error!(%error, "checking the certificate files failed");
        }
    }
}
