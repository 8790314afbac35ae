//! One worker: a thread with a runtime of its own, its hub, and the connections dealt to it.

use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use fanwire_core::session::Close;
use fanwire_protocol::CloseCode;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::connection::{self, Counted, Visitor};
use super::dispatch::Dispatch;
use super::handshakes::Handshakes;
use super::open_connections::{OpenConnection, OpenConnections};
use super::origin_check::OriginCheck;
use super::preamble::Preamble;
use super::unserved::UnservedConnections;
use crate::auth::SharedAuthenticator;
use crate::clock;
use crate::config::Limits;
use crate::engine::Engine;
use crate::hooks::Hooks;
use crate::http::{HttpState, Readiness};
use crate::hub::{Hub, Inbox, PinnedBound};
use crate::pusher::SharedPusherApps;
use crate::sessions::{
    ConnectionGuard, Lookups, Permit, PublishPipeline, Worker, WorkerMailbox, WorkerMailboxes,
};
use crate::telemetry::{HandshakeFailure, Metrics, Overview, WorkerCounters};

/// The maximum number of new connections that wait for a worker. While the queue is full, the broker accepts no connection.
const NEW_CONNECTIONS_MAX: usize = 1024;

/// The interval at which a worker checks its sessions: pings, time-outs, expiry.
const LOOK_AFTER_INTERVAL: Duration = Duration::from_secs(1);

/// The period over which the clients of a stopping broker spread their reconnects, in milliseconds.
const RETURN_SPREAD_MS: u64 = 5000;

/// The parts of a worker.
pub(super) struct WorkerParts {
    pub(super) number: usize,
    pub(super) workers: usize,
    pub(super) inbox: Arc<Inbox>,
    pub(super) pinned: Arc<PinnedBound>,
    pub(super) counters: Arc<WorkerCounters>,
    pub(super) engine: Arc<Engine>,
    pub(super) limits: Limits,
    pub(super) origin_check: OriginCheck,
    pub(super) unserved: UnservedConnections,
    pub(super) authenticator: Arc<SharedAuthenticator>,
    pub(super) hooks: Arc<Hooks>,
    pub(super) metrics: Metrics,
    pub(super) overview: Arc<Overview>,
    pub(super) readiness: Arc<Readiness>,
    pub(super) preamble: Preamble,
    pub(super) mailboxes: WorkerMailboxes,
    pub(super) mailbox: WorkerMailbox,
    pub(super) pusher_apps: Arc<SharedPusherApps>,
}

/// A connection on its way to a worker.
pub(super) struct NewConnection {
    pub(super) stream: std::net::TcpStream,
    pub(super) peer: IpAddr,
    pub(super) permit: Permit,
}

/// The main thread's handle to a worker.
pub(super) struct WorkerHandle {
    connections: mpsc::Sender<NewConnection>,
    drain: watch::Sender<Option<Instant>>,
    thread: JoinHandle<()>,
}

impl WorkerHandle {
    /// Passes a connection to the worker. Waits while the queue of the worker is full.
    pub(super) async fn serve(&self, connection: NewConnection) {
        if self.connections.send(connection).await.is_err() {
            tracing::error!("a worker is gone; its connection is dropped");
        }
    }

    /// Requests that the worker closes its sessions and ends at `deadline` at the latest. Returns its thread.
    pub(super) fn drain(self, deadline: Instant) -> JoinHandle<()> {
        self.drain.send_replace(Some(deadline));
        self.thread
    }
}

/// Starts a worker.
///
/// # Errors
/// If the system gives no thread or no runtime.
pub(super) fn start(parts: WorkerParts) -> io::Result<WorkerHandle> {
    let (connections, incoming) = mpsc::channel(NEW_CONNECTIONS_MAX);
    let (drain, draining) = watch::channel(None);
    let (ready, started) = std::sync::mpsc::sync_channel(1);
    let thread = std::thread::Builder::new().name(format!("fanwire-{}", parts.number)).spawn(move || {
        let options = tokio::runtime::LocalOptions::default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(options);
        match runtime {
            Ok(runtime) => {
                // The main thread waits for this message.
                let _received = ready.send(Ok(()));
                runtime.block_on(run(parts, incoming, draining));
            }
            Err(error) => drop(ready.send(Err(error))),
        }
    })?;
    started.recv().map_err(|_| io::Error::other("a worker died while it started"))??;
    Ok(WorkerHandle { connections, drain, thread })
}

async fn run(
    parts: WorkerParts,
    mut incoming: mpsc::Receiver<NewConnection>,
    mut draining: watch::Receiver<Option<Instant>>,
) {
    let http = http_state(&parts);
    let hub = Rc::new(Hub::new(parts.number, parts.inbox, parts.pinned, parts.counters.clone()));
    let authenticator = parts.authenticator.clone();
    let handshakes_max = parts.limits.handshakes_max.div_ceil(parts.workers);
    let worker = Rc::new(Worker::new(
        hub.clone(),
        parts.engine,
        parts.limits,
        parts.counters.clone(),
        parts.authenticator,
        parts.hooks,
        parts.workers,
    ));
    tokio::task::spawn_local(parts.mailbox.answer(worker.clone()));
    let dispatch = Rc::new(Dispatch::new(worker, http, parts.origin_check, parts.preamble));
    let handshakes = Rc::new(Handshakes::new(handshakes_max));
    let open_connections: Rc<OpenConnections> = Rc::default();
    let look_after = look_after(hub.clone(), handshakes.clone(), parts.counters.clone(), authenticator);
    tokio::task::spawn_local(look_after);
    // These tasks end with the runtime, which this function's caller drops.
    tokio::task::spawn_local(hub.clone().run());
    loop {
        let has_room = handshakes.make_room(|| parts.counters.handshake_failed(HandshakeFailure::CrowdedOut));
        tokio::select! {
            () = handshakes.room(), if !has_room => {}
            connection = incoming.recv(), if has_room => {
                let Some(NewConnection { stream, peer, permit }) = connection else { break };
                let guard = ConnectionGuard::new(permit, peer, parts.counters.clone());
                let counted = Counted {
                    connection: OpenConnection::new(&open_connections),
                    handshake: handshakes.begin(guard.abort().clone()),
                };
                let visitor = Visitor { stream, guard, counted, unserved: parts.unserved.clone() };
                let served = connection::serve(visitor, dispatch.clone(), draining.clone());
                tokio::task::spawn_local(served);
            }
            _ = draining.changed() => break,
        }
    }
    let deadline = draining.borrow().unwrap_or_else(Instant::now);
    // What was accepted before is delivered before the sessions are closed.
    hub.deliver_waiting();
    close_all(&hub);
    if tokio::time::timeout_at(deadline, all_gone(&open_connections, &hub)).await.is_err() {
        tracing::warn!(
            sessions = hub.len(),
            "the drain deadline has passed: the remaining sessions are cut off"
        );
    }
}

/// Waits until no connection is served and no session is open.
async fn all_gone(open_connections: &OpenConnections, hub: &Hub) {
    while !open_connections.is_empty() || hub.len() > 0 {
        tokio::select! {
            () = open_connections.emptied() => {}
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
        }
    }
}

/// Returns the state of this worker's HTTP handlers.
fn http_state(parts: &WorkerParts) -> HttpState {
    HttpState {
        publishing: PublishPipeline::new(
            parts.engine.clone(),
            Worker::session_limits(&parts.limits),
            &parts.limits,
            parts.hooks.clone(),
            parts.counters.clone(),
        ),
        lookups: Lookups::new(parts.engine.clone(), parts.hooks.clone(), parts.limits.presence_members_max),
        limits: Arc::new(parts.limits.clone()),
        counters: parts.counters.clone(),
        metrics: parts.metrics.clone(),
        engine: parts.engine.clone(),
        catalog: parts.engine.catalog(),
        overview: parts.overview.clone(),
        readiness: parts.readiness.clone(),
        mailboxes: parts.mailboxes.clone(),
        pusher_apps: parts.pusher_apps.clone(),
    }
}

/// Closes every session and asks its client to reconnect, spread over a period.
fn close_all(hub: &Hub) {
    hub.for_each_writer(|writer| {
        let after_ms = Some(fastrand::u64(0..RETURN_SPREAD_MS));
        writer.request_close(Close {
            after_ms,
            ..Close::new(CloseCode::GoingAway, "the broker is shutting down")
        });
    });
}

/// Checks all sessions at an interval: pings quiet ones, closes silent ones, aborts blocked ones, measures what waits to be written,
/// and re-authorizes sessions after the accepted credentials have changed.
async fn look_after(
    hub: Rc<Hub>,
    handshakes: Rc<Handshakes>,
    counters: Arc<WorkerCounters>,
    authenticator: Arc<SharedAuthenticator>,
) {
    let mut changes = authenticator.changes();
    let mut ticks = tokio::time::interval(LOOK_AFTER_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let (now_ms, unix_ms) = (clock::monotonic_ms(), clock::unix_ms());
        let mut waiting_bytes = 0;
        let seen = authenticator.changes();
        let has_changed = std::mem::replace(&mut changes, seen) != seen;
        hub.for_each_writer(|writer| {
            if has_changed {
                writer.request_review();
            }
            writer.sweep(now_ms, unix_ms, &counters);
            waiting_bytes += writer.waiting_bytes() as u64;
        });
        hub.relieve_memory();
        counters.outbox_bytes.set(waiting_bytes);
        counters.handshakes.set(handshakes.len() as u64);
    }
}
