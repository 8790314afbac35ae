//! The address of a broker: reads the forms that people write (`wss://host:port/ws`, `http://host:port`, `host:port`) into one form.
//!
//! This file knows nothing of sockets; resolving the host is the business of [`crate::dial`].

use std::fmt;
use std::str::FromStr;

use http::Uri;

use crate::error::Error;

/// The port of an address that names neither a scheme nor a port: the broker's own default.
const PORT_DEFAULT: u16 = 7400;

/// The ports of URLs with a scheme and no port, in the clear and under TLS (RFC 6455 §3).
const PORT_PLAIN: u16 = 80;
const PORT_TLS: u16 = 443;

/// The path of the broker's WebSocket protocol.
const PATH: &str = "/ws";

/// A broker's address, ready to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    has_tls: bool,
    host: String,
    port: u16,
    path: String,
}

impl Address {
    /// Whether the broker is to be spoken to under TLS.
    pub(crate) fn has_tls(&self) -> bool {
        self.has_tls
    }

    /// The host to resolve, and the name that a certificate must have.
    pub(crate) fn host(&self) -> &str {
        let host = self.host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        host.unwrap_or(&self.host)
    }

    /// The host and port to connect to.
    pub(crate) fn socket(&self) -> (&str, u16) {
        (self.host(), self.port)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.has_tls { "wss" } else { "ws" };
        write!(formatter, "{scheme}://{}:{}{}", self.host, self.port, self.path)
    }
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(scheme.to_ascii_lowercase()), rest),
            None => (None, text),
        };
        let has_tls = match scheme.as_deref() {
            None | Some("ws" | "http") => false,
            Some("wss" | "https") => true,
            Some(_) => return Err(invalid("its scheme is none of ws, wss, http and https")),
        };
        // Neither message repeats the address: what was put there may be a secret.
        if rest.contains(['?', '#']) {
            return Err(invalid("it has a query; a token is passed separately, never in a URL"));
        }
        if rest.contains('@') {
            return Err(invalid("it has a user name or password; pass a token separately instead"));
        }
        let uri: Uri = format!("http://{rest}").parse().map_err(|_| {
            invalid("expected wss://host:port/ws, https://host:port, the same without TLS, or host:port")
        })?;
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| invalid("it has no host"))?;
        let names_port = uri.authority().is_some_and(|authority| authority.as_str() != host);
        let port = match uri.port_u16() {
            None | Some(0) if names_port => return Err(invalid("a port is a number from 1 to 65535")),
            Some(port) => port,
            None if has_tls => PORT_TLS,
            None if scheme.is_some() => PORT_PLAIN,
            None => PORT_DEFAULT,
        };
        let path = path_of(uri.path(), matches!(scheme.as_deref(), Some("ws" | "wss")));
        Ok(Self { has_tls, host: host.to_owned(), port, path })
    }
}

/// A `ws://` or `wss://` URL with a path means exactly that path; anything else is a base, under which the protocol lives at `/ws`.
fn path_of(path: &str, exact: bool) -> String {
    let base = path.trim_end_matches('/');
    if base.is_empty() {
        PATH.to_owned()
    } else if exact || base.ends_with(PATH) {
        base.to_owned()
    } else {
        format!("{base}{PATH}")
    }
}

fn invalid(reason: &'static str) -> Error {
    Error::InvalidAddress { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let address: Address = text.parse().unwrap();
        assert_eq!(address.to_string(), expected, "{text}");
    }

    #[test]
    fn every_way_of_writing_an_address_means_the_websocket_path() {
        check("ws://127.0.0.1:7400/ws", "ws://127.0.0.1:7400/ws");
        check("http://127.0.0.1:7400", "ws://127.0.0.1:7400/ws");
        check("http://127.0.0.1:7400/", "ws://127.0.0.1:7400/ws");
        check("HTTP://broker", "ws://broker:80/ws");
        check("localhost:7400", "ws://localhost:7400/ws");
        check("localhost", "ws://localhost:7400/ws");
        check("[::1]:9000", "ws://[::1]:9000/ws");
        check("http://proxy/live", "ws://proxy:80/live/ws");
        check("ws://proxy/live", "ws://proxy:80/live");
        check("wss://proxy/live", "wss://proxy:443/live");
        check("https://broker:7400", "wss://broker:7400/ws");
        check("HTTPS://proxy/live", "wss://proxy:443/live/ws");
    }

    #[test]
    fn brackets_are_for_urls_not_for_resolvers() {
        let address: Address = "[::1]:9000".parse().unwrap();
        assert_eq!(address.socket(), ("::1", 9000));
    }

    #[test]
    fn what_cannot_be_connected_to_is_refused() {
        for text in [
            "",
            "ftp://broker",
            "a b",
            "ws://h/ws?token=secret",
            "user:secret@host:1",
            "host:0",
            "host:99999",
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(matches!(error, Error::InvalidAddress { .. }), "{text}: {error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
