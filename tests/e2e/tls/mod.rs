//! TLS: every transport under it, the clients, and hostile peers.

mod clients;
mod files;
mod hostile;
mod slow_http2_reader;
mod transports;
