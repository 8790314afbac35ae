//! The address of a server, with or without TLS.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;

/// An address to connect to, with or without TLS.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// The address of the server.
    pub(crate) address: SocketAddr,
    /// The TLS settings of clients; `None` without TLS.
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

impl Endpoint {
    /// An address that is spoken to in the clear.
    pub(crate) fn plain(address: SocketAddr) -> Self {
        Self { address, tls: None }
    }
}
