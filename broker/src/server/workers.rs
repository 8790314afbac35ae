//! Starts the workers and the engine that they share, and ends the workers.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use fanwire_core::rules::Rules;
use tokio::time::Instant;

use super::error::ServeError;
use super::origin_check::OriginCheck;
use super::preamble::Preamble;
use super::unserved::UnservedConnections;
use super::worker::{self, WorkerHandle, WorkerParts};
use crate::auth::SharedAuthenticator;
use crate::config::Config;
use crate::engine::{Archive, Engine, EngineParts};
use crate::hooks::Hooks;
use crate::http::Readiness;
use crate::hub::{Inbox, PinnedBound, Pressure};
use crate::pusher::SharedPusherApps;
use crate::sessions::WorkerMailboxes;
use crate::telemetry::{Facts, Metrics, Overview, Shared, WorkerCounters};

/// The parts that all workers share.
pub(super) struct SharedParts<'a> {
    pub(super) config: &'a Config,
    pub(super) shared: &'a Arc<Shared>,
    pub(super) pressure: &'a Arc<Pressure>,
    pub(super) readiness: &'a Arc<Readiness>,
    pub(super) origin_check: &'a OriginCheck,
    pub(super) unserved: &'a UnservedConnections,
    pub(super) authenticator: &'a Arc<SharedAuthenticator>,
    pub(super) hooks: &'a Arc<Hooks>,
    pub(super) preamble: &'a Preamble,
    pub(super) pusher_apps: &'a Arc<SharedPusherApps>,
}

/// A broker whose workers serve connections.
pub(super) struct Running {
    pub(super) engine: Arc<Engine>,
    pub(super) overview: Arc<Overview>,
    pub(super) workers: Vec<WorkerHandle>,
}

/// Starts `count` workers over one engine with these rules and this archive.
///
/// # Errors
/// If the operating system provides no thread or no runtime, or a metric is not valid.
pub(super) fn start(
    parts: &SharedParts<'_>,
    count: usize,
    rules: Rules,
    archive: Option<Arc<dyn Archive>>,
) -> Result<Running, ServeError> {
    let SharedParts { config, shared, pressure, .. } = *parts;
    let limits = &config.limits;
    let inboxes: Vec<_> = (0..count).map(|_| Arc::new(Inbox::new(pressure.clone()))).collect();
    let counters: Vec<Arc<WorkerCounters>> =
        inboxes.iter().map(|_| Arc::new(WorkerCounters::new(shared.held))).collect();
    let (history_bytes_max, has_store) = (config.history.bytes_max, archive.is_some());
    let engine = Arc::new(Engine::new(EngineParts {
        inboxes: inboxes.clone(),
        pressure: pressure.clone(),
        rules,
        topics_max: limits.topics_max as u64,
        memory_bytes_max: history_bytes_max,
        replay_bytes_max: limits.outbox_bytes_max / 2,
        counters: shared.clone(),
        archive,
        observer: parts.hooks.observer(),
        presence_grace: limits.presence_grace,
    }));
    let pinned = PinnedBound::new(history_bytes_max, limits.outbox_bytes_max as u64, shared.clone());
    let pinned = Arc::new(pinned);
    let start = |error: &dyn std::error::Error| ServeError::Start(error.to_string());
    let metrics = Metrics::new(counters.clone(), shared.clone()).map_err(|error| start(&error))?;
    let facts = Facts {
        history_bytes_max,
        outbox_bytes_max: limits.outbox_bytes_max as u64,
        has_hooks: config.hooks.url.is_some(),
        has_store,
    };
    let overview = Arc::new(Overview::new(counters.clone(), shared.clone(), facts));
    let (mailboxes, incoming) = WorkerMailboxes::new(count);
    let mut workers = Vec::new();
    let each = inboxes.into_iter().zip(counters).zip(incoming).enumerate();
    for (number, ((inbox, counters), mailbox)) in each {
        let parts = WorkerParts {
            number,
            workers: count,
            inbox,
            pinned: pinned.clone(),
            counters,
            engine: engine.clone(),
            limits: limits.clone(),
            origin_check: parts.origin_check.clone(),
            unserved: parts.unserved.clone(),
            authenticator: parts.authenticator.clone(),
            hooks: parts.hooks.clone(),
            metrics: metrics.clone(),
            overview: overview.clone(),
            readiness: parts.readiness.clone(),
            preamble: parts.preamble.clone(),
            mailboxes: mailboxes.clone(),
            mailbox,
            pusher_apps: parts.pusher_apps.clone(),
        };
        workers.push(worker::start(parts).map_err(|error: io::Error| start(&error))?);
    }
    Ok(Running { engine, overview, workers })
}

/// Requests that all workers close their sessions, and waits until the workers have ended, which they do by `deadline`.
pub(super) async fn drain(workers: Vec<WorkerHandle>, deadline: Instant) {
    let threads: Vec<JoinHandle<()>> = workers.into_iter().map(|worker| worker.drain(deadline)).collect();
    // On a thread of its own: the main thread answers probes meanwhile. A worker ends by itself at the deadline.
    let joined = tokio::task::spawn_blocking(move || {
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a worker has panicked");
            }
        }
    });
    if let Err(error) = joined.await {
        tracing::error!(%error, "waiting for the workers failed");
    }
}
