//! Hosts, ports and origins as values, not as text: `shop.example` and `SHOP.example:443` are one host under https.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The maximum length of a host name in bytes (RFC 1035 §2.3.4).
const NAME_BYTES_MAX: usize = 255;

/// The host of a URL or a `Host` header.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    /// A name in lower case.
    Name(String),
    Address(IpAddr),
}

/// A host and perhaps a port (RFC 9110 §7.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Authority {
    host: Host,
    port: Option<u16>,
}

/// A scheme that an origin or a connection may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
    /// A scheme of an application shell, such as `capacitor`, in lower case.
    Other(String),
}

/// A browser origin (RFC 6454): scheme, host and port. The default port of the scheme is the same as no port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    scheme: Scheme,
    authority: Authority,
}

impl Authority {
    /// Reads `host` or `host:port`, where an IPv6 address stands in brackets. Returns `None` for everything that no browser
    /// writes: user information, an empty host, other characters than letters, digits, `-`, `.`, `_` and `~`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, port) = rest.split_once(']')?;
                (Host::Address(IpAddr::V6(address.parse::<Ipv6Addr>().ok()?)), port)
            }
            None => {
                let (name, port) = text.split_at(text.find(':').unwrap_or(text.len()));
                (Host::parse(name)?, port)
            }
        };
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => None,
            // RFC 3986 §3.2.3: a colon without a port means the default port.
            Some("") => None,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
            _ => return None,
        };
        Some(Self { host, port })
    }

    /// Returns whether the host can only be this machine: a loopback address, or `localhost` and names below it (RFC 6761
    /// §6.3). A look-alike such as `localhost.example` is not.
    pub(crate) fn is_loopback(&self) -> bool {
        match &self.host {
            Host::Name(name) => name == "localhost" || name.ends_with(".localhost"),
            Host::Address(address) => address.to_canonical().is_loopback(),
        }
    }

    /// Returns whether no name server of the web answers for the host: an address, or a name without dots.
    pub(crate) fn is_local_name(&self) -> bool {
        match &self.host {
            Host::Name(name) => !name.trim_end_matches('.').contains('.'),
            Host::Address(_) => true,
        }
    }

    /// Returns whether both have the same host, whatever their ports.
    pub(crate) fn has_host_of(&self, other: &Self) -> bool {
        self.host == other.host
    }

    fn port_under(&self, scheme: &Scheme) -> Option<u16> {
        self.port.or(scheme.default_port())
    }
}

impl Host {
    fn parse(text: &str) -> Option<Self> {
        let is_name_byte =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Some(Self::Address(address.into()));
        }
        let is_name = (1..=NAME_BYTES_MAX).contains(&text.len())
            && text.bytes().all(is_name_byte)
            && !text.starts_with('.')
            && !text.contains("..");
        is_name.then(|| Self::Name(text.to_ascii_lowercase()))
    }
}

impl Scheme {
    fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let is_scheme = text.starts_with(|first: char| first.is_ascii_lowercase())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
        match text.as_str() {
            "http" => Some(Self::Http),
            "https" => Some(Self::Https),
            _ if is_scheme => Some(Self::Other(text)),
            _ => None,
        }
    }

    fn default_port(&self) -> Option<u16> {
        match self {
            Self::Http => Some(80),
            Self::Https => Some(443),
            Self::Other(_) => None,
        }
    }
}

impl Origin {
    /// Reads `scheme://host` or `scheme://host:port`. Returns `None` for anything else, `null` among them.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        Some(Self { scheme: Scheme::parse(scheme)?, authority: Authority::parse(authority)? })
    }

    /// Returns whether both name the same origin.
    pub(crate) fn equals(&self, other: &Self) -> bool {
        self.scheme == other.scheme
            && self.authority.has_host_of(&other.authority)
            && self.authority.port_under(&self.scheme) == other.authority.port_under(&other.scheme)
    }

    /// Returns whether a page of this origin comes from `host`, a broker that is reached by `scheme`.
    ///
    /// An https page counts also where the broker sees http, because a proxy may end TLS without saying so. The opposite does
    /// not: an attacker in the network can forge http pages of any host.
    pub(crate) fn is_of(&self, scheme: &Scheme, host: &Authority) -> bool {
        (self.scheme == Scheme::Https || self.scheme == *scheme)
            && self.authority.has_host_of(host)
            && self.authority.port_under(&self.scheme) == host.port_under(&self.scheme)
    }

    /// Returns the host and port of the origin.
    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_browser_writes_as_a_host_is_none() {
        for text in [
            "",
            ":80",
            "[evil.example]",
            "[127.0.0.1]",
            "[::1",
            "[::1]evil.example",
            "[::1]:x",
            "::1",
            "h\u{f6}st.example",
            "user@localhost",
            "localhost:80@evil.example",
            "a b",
            "a/b",
            "a,b",
            "a:b",
            "a:99999",
            "a:+80",
            ".example",
            "a..example",
            "%6cocalhost",
            &"a".repeat(256),
        ] {
            assert_eq!(Authority::parse(text), None, "{text}");
        }
        for text in [
            "localhost",
            "LOCALHOST:7400",
            "a_b.example",
            "127.0.0.1:1",
            "[::1]",
            "[::1]:80",
            "a.example.",
            "a:",
        ] {
            assert!(Authority::parse(text).is_some(), "{text}");
        }
    }

    #[test]
    fn origins_are_compared_by_scheme_host_and_port() {
        let check = |left: &str, right: &str, expected: bool| {
            let (left, right) = (Origin::parse(left).unwrap(), Origin::parse(right).unwrap());
            assert_eq!(left.equals(&right), expected, "{left:?} and {right:?}");
        };
        check("https://app.example:443", "https://app.example", true);
        check("HTTPS://App.Example", "https://app.example", true);
        check("http://app.example:80", "http://app.example", true);
        check("https://app.example:80", "https://app.example", false);
        check("http://app.example", "https://app.example", false);
        check("https://app.example:8443", "https://app.example", false);
        check("capacitor://localhost", "capacitor://localhost", true);
        check("capacitor://localhost", "ionic://localhost", false);
        for text in [
            "null",
            "",
            "app.example",
            "://a",
            "https://",
            "https://a/",
            "1s://a",
            "https://a?b",
            "https://u@a",
        ] {
            assert_eq!(Origin::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_own_origin_depends_on_the_scheme_of_the_connection() {
        let check = |origin: &str, scheme: Scheme, host: &str, expected: bool| {
            let is_own = Origin::parse(origin).unwrap().is_of(&scheme, &Authority::parse(host).unwrap());
            assert_eq!(is_own, expected, "{origin} at {host} by {scheme:?}");
        };
        check("https://shop.example", Scheme::Https, "shop.example:443", true);
        check("https://shop.example:443", Scheme::Https, "shop.example", true);
        check("http://shop.example", Scheme::Https, "shop.example", false);
        check("http://shop.example", Scheme::Https, "shop.example:80", false);
        check("http://shop.example", Scheme::Http, "shop.example", true);
        check("http://shop.example", Scheme::Http, "shop.example:80", true);
        check("https://shop.example", Scheme::Http, "shop.example", true);
        check("https://shop.example", Scheme::Http, "shop.example:80", false);
        check("https://shop.example:8443", Scheme::Https, "shop.example", false);
    }
}
