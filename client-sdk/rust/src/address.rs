//! Where a broker is: reads what people write (`ws://host:port/ws`, `http://host:port`, `host:port`) into one form.
//!
//! This file knows nothing of sockets; resolving the host is the business of [`crate::dial`].

use std::fmt;
use std::str::FromStr;

use http::Uri;

use crate::Error;

/// The port of an address that names neither a scheme nor a port: the broker's own default.
const PORT_DEFAULT: u16 = 7400;

/// The port of a URL with a scheme and no port (RFC 6455 §3).
const PORT_OF_SCHEME: u16 = 80;

/// The path of the broker's WebSocket protocol.
const PATH: &str = "/ws";

/// A broker's address, ready to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    host: String,
    port: u16,
    path: String,
}

impl Address {
    /// What to resolve and connect to.
    pub(crate) fn socket(&self) -> (&str, u16) {
        let host = self.host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        (host.unwrap_or(&self.host), self.port)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ws://{}:{}{}", self.host, self.port, self.path)
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
        match scheme.as_deref() {
            None | Some("ws" | "http") => {}
            Some("wss" | "https") => return Err(Error::TlsUnsupported),
            Some(_) => return Err(invalid("its scheme is neither ws:// nor http://")),
        }
        // Neither message repeats the address: what was put there may be a secret.
        if rest.contains(['?', '#']) {
            return Err(invalid("it has a query; a token belongs into Builder::token, never into a URL"));
        }
        if rest.contains('@') {
            return Err(invalid("it has a user name or password; use Builder::token"));
        }
        let uri: Uri = format!("http://{rest}")
            .parse()
            .map_err(|_| invalid("expected ws://host:port/ws, http://host:port or host:port"))?;
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| invalid("it has no host"))?;
        let names_port = uri.authority().is_some_and(|authority| authority.as_str() != host);
        let port = match uri.port_u16() {
            None | Some(0) if names_port => return Err(invalid("a port is a number from 1 to 65535")),
            Some(port) => port,
            None if scheme.is_some() => PORT_OF_SCHEME,
            None => PORT_DEFAULT,
        };
        let path = path_of(uri.path(), scheme.as_deref() == Some("ws"));
        Ok(Self { host: host.to_owned(), port, path })
    }
}

/// A `ws://` URL with a path means exactly that path; anything else is a base, under which the protocol lives at `/ws`.
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
    }

    #[test]
    fn brackets_are_for_urls_not_for_resolvers() {
        let address: Address = "[::1]:9000".parse().unwrap();
        assert_eq!(address.socket(), ("::1", 9000));
    }

    #[test]
    fn what_cannot_be_connected_to_is_refused() {
        for text in ["wss://broker", "https://broker:7400"] {
            assert!(matches!(text.parse::<Address>(), Err(Error::TlsUnsupported)), "{text}");
        }
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
