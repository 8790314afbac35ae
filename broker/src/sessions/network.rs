//! Networks: the unit by which connections are limited, and the rate of connections from each.
//!
//! This file owns the mapping of addresses to networks. It does not know which limits hold.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use fanwire_core::rate::{Meter, Rate};
use foldhash::fast::RandomState;

/// The maximum number of networks that are remembered. At the maximum, networks that are not known yet are not limited.
const NETWORKS_MAX: usize = 65_536;

/// An IPv4 address, or the /64 network that a provider assigns to one IPv6 customer (RFC 6177).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Network(IpAddr);

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = u128::from(address) & !u128::from(u64::MAX);
                Self(IpAddr::V6(Ipv6Addr::from(network)))
            }
            v4 => Self(v4),
        }
    }
}

/// The rate of new connections from each network.
#[derive(Debug, Default)]
pub(crate) struct ConnectionRateMeters {
    by_network: HashMap<Network, Meter, RandomState>,
}

impl ConnectionRateMeters {
    /// Counts one new connection from `network` at `now_us`.
    ///
    /// # Errors
    /// Returns the microseconds after which the rate allows the next one.
    pub(crate) fn take(&mut self, network: Network, rate: Rate, now_us: u64) -> Result<(), u64> {
        if self.by_network.len() >= NETWORKS_MAX && !self.by_network.contains_key(&network) {
            self.by_network.retain(|_, meter| !meter.is_rested(now_us));
            if self.by_network.len() >= NETWORKS_MAX {
                return Ok(());
            }
        }
        self.by_network.entry(network).or_default().take(rate, now_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn all_addresses_of_one_ipv6_customer_are_one_network() {
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff::9"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
    }

    #[test]
    fn one_network_does_not_use_up_the_rate_of_another() {
        let (mut meters, rate) = (ConnectionRateMeters::default(), Rate { per_second: 1, burst: 1 });
        assert_eq!(meters.take(network("192.0.2.1"), rate, 0), Ok(()));
        assert_eq!(meters.take(network("192.0.2.1"), rate, 0), Err(1_000_000));
        assert_eq!(meters.take(network("192.0.2.2"), rate, 0), Ok(()));
    }

    #[test]
    fn the_table_is_bounded_and_forgets_networks_that_have_rested() {
        let (mut meters, rate) = (ConnectionRateMeters::default(), Rate { per_second: 1, burst: 1 });
        for number in 0..NETWORKS_MAX as u32 + 10 {
            assert_eq!(meters.take(IpAddr::from(number.to_be_bytes()).into(), rate, 0), Ok(()));
        }
        assert_eq!(meters.by_network.len(), NETWORKS_MAX);
        assert_eq!(meters.take(network("198.51.100.1"), rate, 2_000_000), Ok(()));
        assert_eq!(meters.by_network.len(), 1);
    }
}
