//! TLS: every transport under it, the clients, and hostile peers.

mod clients;
mod hostile;
mod transports;
