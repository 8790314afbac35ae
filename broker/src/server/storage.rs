//! The store of durable topics as part of the broker: opened before anybody is served, and its troubles passed on to
//! publishers, to `/readyz`, to the metrics and to the log.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::error::ServeError;
use crate::config::Config;
use crate::http::Readiness;
use crate::hub::Pressure;
use crate::store::{Event, Observer, OpenError, Store, StoreConfig};
use crate::telemetry::Shared;

/// Opens the store in the configured data directory, which is made if only it itself is missing. `None` if none is
/// configured.
///
/// # Errors
/// Says what is wrong with the directory and what to do.
pub(super) fn open(
    config: &Config,
    pressure: &Arc<Pressure>,
    readiness: &Arc<Readiness>,
    counters: &Arc<Shared>,
) -> Result<Option<Store>, ServeError> {
    let Some(directory) = &config.data_dir else { return Ok(None) };
    make(directory).map_err(|source| ServeError::DataDirectory { directory: directory.clone(), source })?;
    let limits = StoreConfig {
        group_count_max: config.store.group_messages_max,
        queue_bytes_max: config.store.queue_bytes_max,
        file_bytes_max: (config.store.file_bytes_max > 0).then_some(config.store.file_bytes_max),
        ..StoreConfig::default()
    };
    let observer = observe(pressure.clone(), readiness.clone(), counters.clone());
    let store = Store::open(directory, limits, observer)
        .map_err(|error: OpenError| ServeError::Store(error.to_string()))?;
    tracing::info!(directory = %directory.display(), "durable topics are kept on disk");
    Ok(Some(store))
}

fn make(directory: &Path) -> io::Result<()> {
    match std::fs::create_dir(directory) {
        // What is there already is looked at by the store, and what cannot be made for want of a parent is told by it.
        Err(error) if matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound) => {
            Ok(())
        }
        made => made,
    }
}

fn observe(pressure: Arc<Pressure>, readiness: Arc<Readiness>, counters: Arc<Shared>) -> Observer {
    Arc::new(move |event| match event {
        Event::PressureRaised => pressure.raise(),
        Event::PressureRelieved => pressure.relieve(),
        Event::Failed(reason) => {
            counters.store_failures.fetch_add(1, Ordering::Relaxed);
            tracing::error!(%reason, "durable topics cannot be written or read: publishes to them are refused");
            readiness.store_failed(Some(reason));
        }
        Event::Recovered => {
            tracing::info!("durable topics can be written and read again");
            readiness.store_failed(None);
        }
        Event::Committed { publications, elapsed } => {
            counters.store_commits.fetch_add(1, Ordering::Relaxed);
            counters.store_committed.fetch_add(publications as u64, Ordering::Relaxed);
            counters.store_commit_us.fetch_add(elapsed.as_micros() as u64, Ordering::Relaxed);
        }
    })
}
