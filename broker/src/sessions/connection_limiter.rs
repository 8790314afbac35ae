//! The connection limiter: the number of connections, in total and by network, and the rate of new ones.
//!
//! This file owns the permits. It does not know what a connection is.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fanwire_core::rate::{Meter, Rate};

use super::network::{ConnectionRateMeters, Network};
use crate::telemetry::{RefusalReason, Shared};

/// The limits of a [`ConnectionLimiter`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnectionLimits {
    /// The maximum number of connections at once.
    pub(crate) total_max: usize,
    /// The maximum number of connections at once from one network; 0 is no limit.
    pub(crate) per_network_max: usize,
    /// The rate of new connections from all networks together.
    pub(crate) total_rate: Option<Rate>,
    /// The rate of new connections from one network.
    pub(crate) arrival_rate: Option<Rate>,
}

/// The permits that are held. All listening sockets share one limiter.
#[derive(Debug)]
pub(crate) struct ConnectionLimiter {
    limits: ConnectionLimits,
    counters: Arc<Shared>,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    total: usize,
    by_network: HashMap<Network, usize>,
    arrivals_total: Meter,
    arrivals: ConnectionRateMeters,
}

/// The permit of one connection. Dropping it returns it to the limiter.
#[derive(Debug)]
pub(crate) struct Permit {
    limiter: Arc<ConnectionLimiter>,
    /// The network for which the connection is counted; `None` while only its proxy is known.
    network: Cell<Option<Network>>,
}

impl ConnectionLimiter {
    /// A limiter of which no permit is held.
    pub(crate) fn new(limits: ConnectionLimits, counters: Arc<Shared>) -> Arc<Self> {
        Arc::new(Self { limits, counters, held: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refuse(&self, reason: RefusalReason) -> RefusalReason {
        self.counters.refused(reason);
        reason
    }
}

impl Held {
    /// Counts one more connection from `network`, at `now_us`.
    fn enter(
        &mut self,
        network: Network,
        limits: &ConnectionLimits,
        now_us: u64,
    ) -> Result<(), RefusalReason> {
        if let Some(rate) = limits.arrival_rate
            && self.arrivals.take(network, rate, now_us).is_err()
        {
            return Err(RefusalReason::ConnectionRatePerAddress);
        }
        let count = self.by_network.get(&network).copied().unwrap_or(0);
        if limits.per_network_max > 0 && count >= limits.per_network_max {
            return Err(RefusalReason::ConnectionsPerAddressMax);
        }
        self.by_network.insert(network, count + 1);
        Ok(())
    }

    fn leave(&mut self, network: Network) {
        if let Some(count) = self.by_network.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                self.by_network.remove(&network);
            }
        }
    }
}

impl Permit {
    /// Takes a permit for a connection from `network`, at `now_us`. `None` stands for a trusted proxy that has not named the client yet.
    ///
    /// # Errors
    /// Says which limit is reached.
    pub(crate) fn take(
        limiter: &Arc<ConnectionLimiter>,
        network: Option<Network>,
        now_us: u64,
    ) -> Result<Self, RefusalReason> {
        let mut held = limiter.lock();
        if held.total >= limiter.limits.total_max {
            return Err(limiter.refuse(RefusalReason::ConnectionsMax));
        }
        if let Some(network) = network {
            held.enter(network, &limiter.limits, now_us).map_err(|reason| limiter.refuse(reason))?;
        }
        // Last, so that a network that is refused for its own limit uses up nothing of the rate of all.
        if let Some(rate) = limiter.limits.total_rate
            && held.arrivals_total.take(rate, now_us).is_err()
        {
            if let Some(network) = network {
                held.leave(network);
            }
            return Err(limiter.refuse(RefusalReason::ConnectionRate));
        }
        held.total += 1;
        drop(held);
        Ok(Self { limiter: limiter.clone(), network: Cell::new(network) })
    }

    /// Takes another permit for the same network.
    ///
    /// # Errors
    /// Says which limit is reached.
    pub(crate) fn another(&self, now_us: u64) -> Result<Self, RefusalReason> {
        Self::take(&self.limiter, self.network.get(), now_us)
    }

    /// Counts the connection for `network`, or for no network, from `now_us` on.
    ///
    /// # Errors
    /// Says which limit is reached; then the connection is counted as before.
    pub(crate) fn claim(&self, network: Option<Network>, now_us: u64) -> Result<(), RefusalReason> {
        if self.network.get() == network {
            return Ok(());
        }
        let mut held = self.limiter.lock();
        if let Some(network) = network {
            held.enter(network, &self.limiter.limits, now_us)
                .map_err(|reason| self.limiter.refuse(reason))?;
        }
        if let Some(before) = self.network.replace(network) {
            held.leave(before);
        }
        Ok(())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut held = self.limiter.lock();
        held.total -= 1;
        if let Some(network) = self.network.get() {
            held.leave(network);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn limiter(total_max: usize, per_network_max: usize) -> Arc<ConnectionLimiter> {
        ConnectionLimiter::new(
            ConnectionLimits { total_max, per_network_max, total_rate: None, arrival_rate: None },
            Arc::default(),
        )
    }

    fn network(text: &str) -> Network {
        text.parse::<IpAddr>().unwrap().into()
    }

    fn counts(limiter: &ConnectionLimiter) -> (usize, usize) {
        let held = limiter.lock();
        (held.total, held.by_network.len())
    }

    #[test]
    fn permits_are_limited_in_total_and_by_network_and_come_back() {
        let limiter = limiter(2, 1);
        let (here, there) = (Some(network("127.0.0.1")), Some(network("127.0.0.2")));
        let first = Permit::take(&limiter, here, 0).unwrap();
        assert_eq!(Permit::take(&limiter, here, 0).unwrap_err(), RefusalReason::ConnectionsPerAddressMax);
        let second = Permit::take(&limiter, there, 0).unwrap();
        assert_eq!(Permit::take(&limiter, None, 0).unwrap_err(), RefusalReason::ConnectionsMax);
        drop(first);
        let third = Permit::take(&limiter, here, 0).unwrap();
        drop((second, third));
        assert_eq!(counts(&limiter), (0, 0));
    }

    #[test]
    fn the_rate_of_all_is_not_used_up_by_networks_that_are_refused_for_their_own() {
        let each = Rate { per_second: 1, burst: 1 };
        let limits = ConnectionLimits {
            total_max: 100,
            per_network_max: 0,
            total_rate: Some(Rate { per_second: 1, burst: 3 }),
            arrival_rate: Some(each),
        };
        let limiter = ConnectionLimiter::new(limits, Arc::default());
        let take = |text: &str, now_us| Permit::take(&limiter, Some(network(text)), now_us);
        let first = take("192.0.2.1", 0).unwrap();
        for _ in 0..10 {
            assert_eq!(take("192.0.2.1", 0).unwrap_err(), RefusalReason::ConnectionRatePerAddress);
        }
        let more = [take("192.0.2.2", 0).unwrap(), take("192.0.2.3", 0).unwrap()];
        assert_eq!(take("192.0.2.4", 0).unwrap_err(), RefusalReason::ConnectionRate);
        assert_eq!(Permit::take(&limiter, None, 0).unwrap_err(), RefusalReason::ConnectionRate);
        assert_eq!(counts(&limiter), (3, 3), "a connection that is refused holds nothing");
        let late = take("192.0.2.5", 1_000_000).unwrap();
        drop((first, more, late));
        assert_eq!(counts(&limiter), (0, 0));
    }

    #[test]
    fn a_connection_of_a_proxy_is_counted_for_the_client_that_it_names() {
        let limiter = limiter(10, 1);
        let permits = [(); 3].map(|()| Permit::take(&limiter, None, 0).unwrap());
        assert_eq!(permits[0].claim(Some(network("192.0.2.1")), 0), Ok(()));
        assert_eq!(permits[0].claim(Some(network("192.0.2.1")), 0), Ok(()), "it is counted once");
        let refused = permits[1].claim(Some(network("192.0.2.1")), 0);
        assert_eq!(refused, Err(RefusalReason::ConnectionsPerAddressMax));
        assert_eq!(permits[1].claim(Some(network("192.0.2.2")), 0), Ok(()));
        assert_eq!(permits[0].claim(Some(network("192.0.2.3")), 0), Ok(()));
        assert_eq!(permits[2].claim(Some(network("192.0.2.1")), 0), Ok(()), "it was given back");
        assert_eq!(permits[1].another(0).unwrap_err(), RefusalReason::ConnectionsPerAddressMax);
        drop(permits);
        assert_eq!(counts(&limiter), (0, 0));
    }
}
