//! Trusted proxies in front of the broker, and the client for which a proxy sends a request.
//!
//! A leaf: it reads addresses and schemes out of headers. It does not know what they are used for.

mod header;

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

pub(crate) use header::{Progress, read};

/// The header in which proxies name the client. Each proxy adds an address at the end.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The header in which a proxy names the scheme of the client's request.
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The proxies whose headers are trusted.
#[derive(Debug)]
pub(crate) struct Proxies {
    trusted: Vec<IpNet>,
    /// Whether trusted proxies begin every connection with a header of the PROXY protocol.
    has_header: bool,
}

impl Proxies {
    /// Trusts proxies in these networks. `has_header` says whether they begin connections with a PROXY header.
    pub(crate) fn new(trusted: Vec<IpNet>, has_header: bool) -> Self {
        Self { trusted, has_header }
    }

    /// Returns whether this address is a trusted proxy.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted.iter().any(|network| network.contains(&address))
    }

    /// Returns whether a connection from this address must begin with a PROXY header.
    pub(crate) fn sends_header(&self, address: IpAddr) -> bool {
        self.has_header && self.trusts(address)
    }

    /// Returns whether a trusted proxy says that the client reached it over https. After a PROXY header, `peer` is the client, so
    /// the header counts from every peer then: it only makes the broker stricter.
    pub(crate) fn says_https(&self, headers: &HeaderMap, peer: IpAddr) -> bool {
        let said = headers.get_all(FORWARDED_PROTO).iter().next_back().map(|value| value.as_bytes());
        let nearest = said.and_then(|value| value.rsplit(|byte| *byte == b',').next());
        nearest.is_some_and(|scheme| scheme.trim_ascii().eq_ignore_ascii_case(b"https"))
            && (self.has_header || self.trusts(peer))
    }

    /// Returns the client of a request with these headers that came from `peer`: the address nearest to the broker that is not a
    /// trusted proxy. Addresses before that one were written by a peer that is not trusted.
    pub(crate) fn client_of(&self, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
        let mut client = peer.to_canonical();
        let values: Vec<&[u8]> =
            headers.get_all(FORWARDED_FOR).iter().map(|value| value.as_bytes()).collect();
        let hops = values.into_iter().rev().flat_map(|value| value.rsplit(|byte| *byte == b','));
        for hop in hops {
            if !self.trusts(client) {
                break;
            }
            let Some(address) = parse_hop(hop) else { break };
            client = address;
        }
        client
    }
}

/// Reads one address, with or without a port.
fn parse_hop(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn check(values: &[&'static str], peer: &str, expected: &str) {
        let proxies = Proxies::new(vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()], false);
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(FORWARDED_FOR, HeaderValue::from_static(value));
        }
        let client = proxies.client_of(&headers, peer.parse().unwrap());
        assert_eq!(client.to_string(), expected, "{values:?} from {peer}");
    }

    #[test]
    fn the_nearest_address_that_is_no_trusted_proxy_is_the_client() {
        check(&["203.0.113.7"], "10.0.0.1", "203.0.113.7");
        check(&["203.0.113.7, 10.0.0.2"], "10.0.0.1", "203.0.113.7");
        check(&["203.0.113.7", "10.0.0.2, 10.0.0.3"], "fd00::1", "203.0.113.7");
        check(&["203.0.113.7:4711"], "10.0.0.1", "203.0.113.7");
        check(&["[2001:db8::1]:4711"], "::ffff:10.0.0.1", "2001:db8::1");
        check(&["[2001:db8::1]"], "10.0.0.1", "2001:db8::1");
        check(&["10.0.0.9"], "10.0.0.1", "10.0.0.9");
        check(&[], "10.0.0.1", "10.0.0.1");
    }

    #[test]
    fn a_trusted_proxy_says_by_which_scheme_it_was_reached() {
        for (values, peer, has_header, expected) in [
            (&["https"][..], "10.0.0.1", false, true),
            (&["http, HTTPS "], "10.0.0.1", false, true),
            (&["https", "http"], "10.0.0.1", false, false),
            (&["http"], "10.0.0.1", false, false),
            (&[], "10.0.0.1", false, false),
            (&["https"], "203.0.113.7", false, false),
            (&["https"], "203.0.113.7", true, true),
        ] {
            let proxies = Proxies::new(vec!["10.0.0.0/8".parse().unwrap()], has_header);
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(FORWARDED_PROTO, HeaderValue::from_static(value));
            }
            assert_eq!(
                proxies.says_https(&headers, peer.parse().unwrap()),
                expected,
                "{values:?} from {peer}"
            );
        }
    }

    #[test]
    fn what_a_client_writes_itself_is_not_believed() {
        // This peer is not trusted.
        check(&["10.0.0.1"], "203.0.113.7", "203.0.113.7");
        check(&["192.0.2.1, 10.0.0.2"], "203.0.113.7", "203.0.113.7");
        // A client behind a proxy that claims another address.
        check(&["192.0.2.1, 203.0.113.7"], "10.0.0.1", "203.0.113.7");
        check(&["192.0.2.1", "203.0.113.7"], "10.0.0.1", "203.0.113.7");
        check(&["192.0.2.1, rubbish, 10.0.0.2"], "10.0.0.1", "10.0.0.2");
        check(&["unknown", ""], "10.0.0.1", "10.0.0.1");
    }
}
