//! Tickets: which connections there are, by transport, and whom they are counted for.

use std::cell::{Cell, OnceCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::Notify;

use super::{Network, Permit, PublishMeter};
use crate::clock;
use crate::telemetry::{RefusalReason, Transport, WorkerCounters};

/// One connection as it is counted: under one transport at a time.
pub(crate) struct ConnectionGuard {
    transport: Cell<Transport>,
    counters: Arc<WorkerCounters>,
    abort: Rc<Notify>,
    /// What requests on this connection publish. Made when the first one does.
    publish_meter: OnceCell<Arc<PublishMeter>>,
    /// How many requests on this connection have tickets of their own.
    streams: Cell<usize>,
    /// The ticket of the connection, if this is that of one request among others.
    connection: Option<Rc<ConnectionGuard>>,
    peer: Cell<IpAddr>,
    permit: Permit,
}

impl ConnectionGuard {
    /// Counts a new connection from `peer`, as plain HTTP until it becomes something else.
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

    /// A ticket of its own for one request among others on this connection, counted like a connection and held to the same
    /// limits. Giving it up gives up the whole connection.
    ///
    /// # Errors
    /// Says which limit is reached.
    pub(crate) fn for_stream(self: &Rc<Self>) -> Result<Rc<Self>, RefusalReason> {
        let permit = self.permit.another(clock::monotonic_us())?;
        self.counters.connections[Transport::Http as usize].add(1);
        self.streams.set(self.streams.get() + 1);
        Ok(Rc::new(Self {
            transport: Cell::new(Transport::Http),
            counters: self.counters.clone(),
            abort: self.abort.clone(),
            publish_meter: OnceCell::new(),
            streams: Cell::new(0),
            connection: Some(self.clone()),
            peer: self.peer.clone(),
            permit,
        }))
    }

    /// Who the other side of the connection is: its address, or whom a trusted proxy made the connection for.
    pub(crate) fn peer(&self) -> IpAddr {
        self.peer.get()
    }

    /// Notes that a trusted proxy made the whole connection for `client`.
    ///
    /// # Errors
    /// Says which limit is reached.
    pub(crate) fn introduce(&self, client: IpAddr) -> Result<(), RefusalReason> {
        self.peer.set(client);
        self.count_for(Some(client.into()))
    }

    /// Counts the connection for `network` from now on, or for nobody.
    ///
    /// # Errors
    /// Says which limit is reached.
    pub(crate) fn count_for(&self, network: Option<Network>) -> Result<(), RefusalReason> {
        self.permit.claim(network, clock::monotonic_us())
    }

    /// How many requests on this connection have tickets of their own.
    pub(crate) fn streams(&self) -> usize {
        self.streams.get()
    }

    /// What is counted of the connection's worker.
    pub(crate) fn counters(&self) -> &WorkerCounters {
        &self.counters
    }

    /// Rung when the connection must end although its task cannot get anything written any more.
    pub(crate) fn abort(&self) -> &Rc<Notify> {
        &self.abort
    }

    /// How fast the requests of this connection publish.
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
