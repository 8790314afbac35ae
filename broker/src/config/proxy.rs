//! The section `[proxy]`: which proxies in front of the broker are believed, and how they speak.

use std::net::IpAddr;

use ipnet::IpNet;

use super::value::Raw;

/// The proxies in front of the broker.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProxyConfig {
    /// The networks they are in. Nobody else is believed when he says that he speaks for another.
    pub trusted: Vec<IpNet>,
    /// How they begin a connection.
    pub protocol: ProxyProtocol,
}

/// How proxies begin a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProxyProtocol {
    /// As everybody else does.
    #[default]
    Off,
    /// With a header of the PROXY protocol, of version 1 or 2.
    V1V2,
}

/// Reads networks, and single addresses as networks of one.
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

/// Reads how proxies begin a connection.
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
