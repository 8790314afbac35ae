//! Connection guards: each counts one connection under its transport, and holds its permit.
//!
//! This file owns the counting. It does not know what a connection is used for.

use std::cell::{Cell, OnceCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::Notify;

use super::connection_limiter::Permit;
use super::network::Network;
use super::publish_meter::PublishMeter;
use crate::clock;
use crate::telemetry::{RefusalReason, Transport, WorkerCounters};

/// One open connection, counted under one transport at a time. Dropping it ends the counting.
pub(crate) struct ConnectionGuard {
    transport: Cell<Transport>,
    counters: Arc<WorkerCounters>,
    abort: Rc<Notify>,
    /// The rate at which requests on this connection publish. Made at the first publish.
    publish_meter: OnceCell<Arc<PublishMeter>>,
    /// The number of requests on this connection that have guards of their own.
    streams: Cell<usize>,
    /// The guard of the whole connection, if this is the guard of one request.
    connection: Option<Rc<ConnectionGuard>>,
    peer: Cell<IpAddr>,
    permit: Permit,
}

impl ConnectionGuard {
    /// Counts a new connection from `peer`, as plain HTTP until [`ConnectionGuard::become_transport`].
    pub(crate) fn new(permit: Permit, peer: IpAddr, counters: Arc<WorkerCounters>) -> Rc<Self> {
        counters.connections[Transport::Http as usize].add(1);
        counters.connections_opened[Transport::Http as usize].add(1);
        let transport = Cell::new(Transport::Http);
        Rc::new(Self {
            transport,
            counters,
            abort: Rc::default(),
            publish_meter: OnceCell::new(),
            streams: Cell::new(0),
            connection: None,
            peer: Cell::new(peer),
            permit,
        })
    }

    /// Returns a guard for one of many requests on this connection (HTTP/2). The request is counted like a connection, under the same
    /// limits. `abort` ends the request; without it, the whole connection is ended.
    ///
    /// # Errors
    /// Says which limit is reached.
    pub(crate) fn for_stream(self: &Rc<Self>, abort: Option<Rc<Notify>>) -> Result<Rc<Self>, RefusalReason> {
        let permit = self.permit.another(clock::monotonic_us())?;
        self.counters.connections[Transport::Http as usize].add(1);
        self.streams.set(self.streams.get() + 1);
        Ok(Rc::new(Self {
            transport: Cell::new(Transport::Http),
            counters: self.counters.clone(),
            abort: abort.unwrap_or_else(|| self.abort.clone()),
            publish_meter: OnceCell::new(),
            streams: Cell::new(0),
            connection: Some(self.clone()),
            peer: self.peer.clone(),
            permit,
        }))
    }

    /// Returns the address of the client: that of the socket, or the one that a trusted proxy has named.
    pub(crate) fn peer(&self) -> IpAddr {
        self.peer.get()
    }

    /// Sets the client for which a trusted proxy has opened the whole connection.
    ///
    /// # Errors
    /// Says which limit is reached.
    pub(crate) fn introduce(&self, client: IpAddr) -> Result<(), RefusalReason> {
        self.peer.set(client);
        self.count_for(Some(client.into()))
    }

    /// Counts the connection for `network` from now on, or for no network.
    ///
    /// # Errors
    /// Says which limit is reached.
    pub(crate) fn count_for(&self, network: Option<Network>) -> Result<(), RefusalReason> {
        self.permit.claim(network, clock::monotonic_us())
    }

    /// Returns the number of requests on this connection that have guards of their own.
    pub(crate) fn streams(&self) -> usize {
        self.streams.get()
    }

    /// Returns the counters of the connection's worker.
    pub(crate) fn counters(&self) -> &WorkerCounters {
        &self.counters
    }

    /// Returns the signal that ends the connection although its task is blocked in a write.
    pub(crate) fn abort(&self) -> &Rc<Notify> {
        &self.abort
    }

    /// Returns the meter of what the requests of this connection publish.
    pub(crate) fn publish_meter(&self) -> Arc<PublishMeter> {
        self.publish_meter.get_or_init(Arc::default).clone()
    }

    /// Counts the connection under another transport from now on.
    pub(crate) fn become_transport(&self, transport: Transport) {
        let before = self.transport.replace(transport);
        self.counters.connections[before as usize].subtract(1);
        self.counters.connections[transport as usize].add(1);
        if transport != Transport::Http {
            self.counters.connections_opened[transport as usize].add(1);
        }
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.counters.connections[self.transport.get() as usize].subtract(1);
        if let Some(connection) = &self.connection {
            connection.streams.set(connection.streams.get() - 1);
        }
    }
}
