//! The store of durable topics as part of the broker: opened before the first connection, and its state passed on to
//! publishers, to `/readyz`, to the metrics and to the log.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::ServeError;
use crate::config::Config;
use crate::engine::Archive;
#[cfg(debug_assertions)]
use crate::engine::{Scope, stepped};
use crate::http::Readiness;
use crate::hub::Pressure;
use crate::log_limit::LogLimit;
use crate::store::{Event, Observer, OpenError, Store, StoreConfig};
use crate::telemetry::Shared;

/// The variable by which a test starts a debug build over an archive in memory that numbers in steps of seven.
#[cfg(debug_assertions)]
const TEST_ARCHIVE: &str = "FANWIRE_TEST_ARCHIVE";

/// The permission bits of users that are neither the owner nor in the group.
const OTHERS: u32 = 0o007;
const OTHERS_READ: u32 = 0o004;
const OTHERS_WRITE: u32 = 0o002;

static DAMAGED: LogLimit = LogLimit::new("a durable publication is damaged");

/// Opens the store in the configured data directory, which is created if only it itself is missing. Returns `None` if
/// none is configured.
///
/// # Errors
/// If the directory cannot be used; the error says what to do.
pub(super) fn open(
    config: &Config,
    pressure: &Arc<Pressure>,
    readiness: &Arc<Readiness>,
    counters: &Arc<Shared>,
) -> Result<Option<Arc<dyn Archive>>, ServeError> {
    #[cfg(debug_assertions)]
    if std::env::var_os(TEST_ARCHIVE).is_some() {
        let (kept, seed) = (Arc::default(), fastrand::u64(..));
        return Ok(Some(Arc::new(stepped::Stepped::open(kept, Scope::All, seed, pressure.clone()))));
    }
    let Some(directory) = &config.data_dir else { return Ok(None) };
    create(directory).map_err(|source| ServeError::DataDirectory { directory: directory.clone(), source })?;
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
    warn_of_exposed_files(directory);
    Ok(Some(Arc::new(store)))
}

fn create(directory: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(directory) {
        // The store checks what is there already, and reports a parent that is missing.
        Err(error) if matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound) => {
            Ok(())
        }
        created => created,
    }
}

/// Logs a warning for each file of the data directory, and for the directory itself, that every user of the machine can
/// read or change.
fn warn_of_exposed_files(directory: &Path) {
    let mode_of = |path: &Path| std::fs::metadata(path).map(|metadata| metadata.permissions().mode());
    // Inside a directory that other users cannot enter, the modes of files do not matter.
    let Ok(mode) = mode_of(directory) else { return };
    if mode & OTHERS == 0 {
        return;
    }
    warn_if_exposed(directory, mode, "700");
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let is_own = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("fanwire."));
        if let (true, Ok(mode)) = (is_own, mode_of(&path)) {
            warn_if_exposed(&path, mode, "600");
        }
    }
}

fn warn_if_exposed(path: &Path, mode: u32, remedy: &str) {
    let what = match (mode & OTHERS_READ != 0, mode & OTHERS_WRITE != 0) {
        (_, true) => "change",
        (true, false) => "read",
        (false, false) => return,
    };
    let path = path.display();
    tracing::warn!(
        "every user of this machine can {what} the data of durable topics in {path}: chmod {remedy} {path}"
    );
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
        Event::EpochsRenewed(reason) => {
            tracing::warn!(
                %reason,
                "every durable topic begins a new epoch, so that clients with older positions notice what they missed"
            );
        }
        Event::PublicationDamaged { topic, offset } => {
            counters.store_damaged.fetch_add(1, Ordering::Relaxed);
            if let Some(left_out) = DAMAGED.allow() {
                tracing::error!(
                    %topic,
                    offset,
                    left_out,
                    "a durable publication is damaged on disk and is left out: check the disk, and restore a backup if \
                     the publication is needed"
                );
            }
        }
        Event::Committed { publications, elapsed } => {
            counters.store_commits.fetch_add(1, Ordering::Relaxed);
            counters.store_committed.fetch_add(publications as u64, Ordering::Relaxed);
            counters.store_commit_us.fetch_add(elapsed.as_micros() as u64, Ordering::Relaxed);
        }
    })
}
