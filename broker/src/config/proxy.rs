//! The section `[proxy]`: the trusted proxies in front of the broker, and their protocol.

use std::net::IpAddr;

use ipnet::IpNet;

use super::value::Raw;

/// The proxies in front of the broker.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProxyConfig {
    /// The networks of trusted proxies. Only they may name the client that they forward for.
    pub trusted: Vec<IpNet>,
    /// The beginning of their connections.
    pub protocol: ProxyProtocol,
}

/// The beginning of a proxy's connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProxyProtocol {
    /// Connections begin as those of clients do.
    #[default]
    Off,
    /// Connections begin with a header of the PROXY protocol, version 1 or 2.
    V1V2,
}

/// Reads a list of networks. A single address is a network of one address.
pub(super) fn read_trusted(raw: Raw<'_>) -> Result<Vec<IpNet>, String> {
    let read = |text: &str| {
        let single = || text.parse::<IpAddr>().ok().map(|address| IpNet::from(address.to_canonical()));
        text.parse().ok().or_else(single).ok_or_else(|| {
            format!(
                "'{text}' is neither an address nor a network; write '127.0.0.1', '10.0.0.0/8' or 'fd00::/8'"
            )
        })
    };
    raw.list()?.iter().map(|text| read(text)).collect()
}

/// Reads the protocol of proxies.
pub(super) fn read_protocol(raw: Raw<'_>) -> Result<ProxyProtocol, String> {
    match raw.word()? {
        "off" => Ok(ProxyProtocol::Off),
        "v1v2" => Ok(ProxyProtocol::V1V2),
        other => Err(format!("'{other}' is neither \"off\" nor \"v1v2\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trusted_proxies_are_addresses_and_networks() {
        let trusted = read_trusted(Raw::Text("127.0.0.1, 10.0.0.0/8, fd00::/8, ::1")).unwrap();
        let texts: Vec<String> = trusted.iter().map(IpNet::to_string).collect();
        assert_eq!(texts, ["127.0.0.1/32", "10.0.0.0/8", "fd00::/8", "::1/128"]);
        for bad in ["localhost", "10.0.0.0/33", "10.0.0", "*", "proxy.example/8"] {
            assert!(read_trusted(Raw::Text(bad)).is_err_and(|reason| reason.contains(bad)), "{bad}");
        }
        assert!(read_protocol(Raw::Text("v1")).is_err());
    }
}
