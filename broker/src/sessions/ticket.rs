//! Tickets: which connections there are, by transport, and how many more there may be.

use std::cell::{Cell, OnceCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::{Network, PublishMeter};
use crate::telemetry::{RefusalReason, Transport, WorkerCounters};

/// The permits that are held, shared by all who give them out.
pub(crate) type HeldPermits = Arc<Mutex<Held>>;

/// The permit of one connection; what it took is given back when it goes.
#[derive(Debug)]
pub(crate) struct Permit {
    network: Network,
    held: HeldPermits,
}

#[derive(Debug, Default)]
pub(crate) struct Held {
    total: usize,
    by_network: HashMap<Network, usize>,
}

impl Permit {
    /// Takes a permit for a connection from `network`, if both limits allow one more; `per_address_max` 0 is no limit.
    ///
    /// # Errors
    /// Says which limit is reached.
    pub(crate) fn take(
        held: &HeldPermits,
        network: Network,
        total_max: usize,
        per_address_max: usize,
    ) -> Result<Self, RefusalReason> {
        let mut counts = held.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.total >= total_max {
            return Err(RefusalReason::ConnectionsMax);
        }
        let from_network = counts.by_network.get(&network).copied().unwrap_or(0);
        if per_address_max > 0 && from_network >= per_address_max {
            return Err(RefusalReason::ConnectionsPerAddressMax);
        }
        counts.total += 1;
        counts.by_network.insert(network, from_network + 1);
        Ok(Self { network, held: held.clone() })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        counts.total -= 1;
        if let Some(count) = counts.by_network.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                counts.by_network.remove(&self.network);
            }
        }
    }
}

/// One connection as it is counted: under one transport at a time.
pub(crate) struct ConnectionTicket {
    transport: Cell<Transport>,
    counters: Arc<WorkerCounters>,
    abort: Rc<Notify>,
    /// What requests on this connection publish. Made when the first one does.
    publish_meter: OnceCell<Arc<PublishMeter>>,
    /// How many requests on this connection have tickets of their own.
    streams: Cell<usize>,
    /// The ticket of the connection, if this is that of one request among others.
    connection: Option<Rc<ConnectionTicket>>,
    permit: Permit,
}

impl ConnectionTicket {
    /// Counts a new connection, as plain HTTP until it becomes something else.
    pub(crate) fn new(permit: Permit, counters: Arc<WorkerCounters>) -> Rc<Self> {
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
            permit,
        })
    }

    /// A ticket of its own for one request among others on this connection, counted like a connection and held to the same
    /// limits. Giving it up gives up the whole connection.
    ///
    /// # Errors
    /// Says which limit is reached.
    pub(crate) fn for_stream(
        self: &Rc<Self>,
        total_max: usize,
        per_address_max: usize,
    ) -> Result<Rc<Self>, RefusalReason> {
        let permit = Permit::take(&self.permit.held, self.permit.network, total_max, per_address_max)?;
        self.counters.connections[Transport::Http as usize].add(1);
        self.streams.set(self.streams.get() + 1);
        Ok(Rc::new(Self {
            transport: Cell::new(Transport::Http),
            counters: self.counters.clone(),
            abort: self.abort.clone(),
            publish_meter: OnceCell::new(),
            streams: Cell::new(0),
            connection: Some(self.clone()),
            permit,
        }))
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

impl Drop for ConnectionTicket {
    fn drop(&mut self) {
        self.counters.connections[self.transport.get() as usize].subtract(1);
        if let Some(connection) = &self.connection {
            connection.streams.set(connection.streams.get() - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_are_limited_in_total_and_by_address_and_come_back() {
        let held: HeldPermits = Arc::default();
        let [here, there] =
            ["127.0.0.1", "127.0.0.2"].map(|text| text.parse::<std::net::IpAddr>().unwrap().into());
        let first = Permit::take(&held, here, 2, 1).unwrap();
        assert_eq!(Permit::take(&held, here, 2, 1).unwrap_err(), RefusalReason::ConnectionsPerAddressMax);
        let second = Permit::take(&held, there, 2, 1).unwrap();
        assert_eq!(Permit::take(&held, there, 2, 0).unwrap_err(), RefusalReason::ConnectionsMax);
        drop(first);
        let third = Permit::take(&held, here, 2, 1).unwrap();
        drop((second, third));
        let counts = held.lock().unwrap();
        assert_eq!((counts.total, counts.by_network.len()), (0, 0));
    }
}
