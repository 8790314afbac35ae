//! Proxies in front of the broker: headers, the PROXY protocol, and real proxies.

mod client_address;
mod real_proxies;
